/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/import.c: bundle_import: a file is read as if a peer said it (doc/protocol.md §10).
 *
 *   parts ─► frames ─► RECORDS, HEADS, PROOF: as from a link ─► of each wanted head DELTA…
 *   DELTA_END: less what is held or staged, as from a link ─► outcome of each head, at the end
 *
 * The link is a pseudo link of no lab that is in no list: what would be sent to it is dropped, what
 * would close it ends the import. A large delta waits for its job, and with it the rest of the part
 * and the answer. What would be asked again is wanted of another reading of the file: a `pass`.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/import.h"
#include "proto/did.h"
#include "proto/pack.h"

#define WAITING_MAX (2 * CTL_MSG_SIZE_MAX)
#define MAGIC_SIZE (sizeof BUNDLE_MAGIC - 1)

/* ---- beginning and end ---- */

bool import_fetching(const struct importing *importing)
{
    const struct fetch *fetch = importing->reading.fetch;
    return fetch != NULL && fetch->open && fetch->link == importing->link;
}

static void import_free(struct client *client)
{
    struct importing *importing = client->importing;
    client->importing = NULL;
    reading_done(&importing->reading);
    link_free(importing->link);
    buf_done(&importing->in);
    free(importing->items);
    free(importing);
}

void import_drop(struct node *node, struct client *client)
{
    struct importing *importing = client->importing;
    if (importing == NULL) {
        return;
    }
    if (fetch_link_lost(node, importing->link) != ERR_OK) {
        node_log(node, 4, "bundle: what came of an unfinished import is not kept");
    }
    fetch_link_down(node, importing->link);
    import_free(client);
}

/* Nothing of the delta under way is kept. */
enum err import_fail(struct node *node, struct importing *importing, enum err why, const char *text)
{
    struct reading *reading = &importing->reading;
    importing->err = why;
    importing->text = text;
    importing->blocked = false;
    importing->lab = reading->on ? importing->items[reading->item].name.lab : (struct lab_id){{0}};
    enum err err = ERR_OK;
    if (import_fetching(importing) && !reading->fetch->complete && reading->fetch->has_staging) {
        struct txn *txn = NULL;
        err = node_txn(node, &txn);
        err = err == ERR_OK ? staging_drop(txn, reading->fetch->catalogue) : err;
    }
    fetch_link_down(node, importing->link);
    reading_done(reading);
    return err;
}

/* A file that no writer makes. */
enum err import_refuse(struct node *node, struct importing *importing, const char *text)
{
    node_refuse(node, ERR_SYNTAX);
    return import_fail(node, importing, ERR_SYNTAX, text);
}

/* Was the link closed, as a peer's would be? Its BYE, last in `out`, says why. */
enum err import_judge(struct node *node, struct importing *importing, const struct lab_id *lab)
{
    struct link *link = importing->link;
    if (link->out.err != ERR_OK) {
        return link->out.err;
    }
    if (link->state != LINK_CLOSING) {
        buf_clear(&link->out);
        return ERR_OK;
    }
    enum err why = ERR_MALFORMED;
    struct bytes left = buf_bytes(&link->out);
    while (left.size > 2) {
        size_t size = (size_t) left.data[0] << 8 | left.data[1];
        struct msg msg;
        if (msg_decode(bytes_of(left.data + 2, size), &msg) == ERR_OK && msg.type == MSG_BYE) {
            for (enum err each = ERR_OK; each < ERR_COUNT; each++) {
                why = bytes_equal(msg.bye.reason, bytes_of_str(err_text(each))) ? each : why;
            }
        }
        left = bytes_of(left.data + 2 + size, left.size - 2 - size);
    }
    enum err err = import_fail(node, importing, why, NULL);
    importing->lab = lab != NULL ? *lab : importing->lab;
    return err;
}

/* ---- what is announced ---- */

static struct item *item_of(struct importing *importing, const struct catalogue_name *name)
{
    for (size_t i = 0; i < importing->count; i++) {
        const struct catalogue_name *other = &importing->items[i].name;
        if (memcmp(other->lab.bytes, name->lab.bytes, KEY_SIZE) == 0 &&
            memcmp(other->network.bytes, name->network.bytes, HASH_SIZE) == 0 &&
            strcmp(other->audience, name->audience) == 0) {
            return &importing->items[i];
        }
    }
    return NULL;
}

static enum err item_make(struct importing *importing, const struct catalogue_name *name,
                          struct item **ret_item)
{
    struct item *item = item_of(importing, name);
    enum err err = ERR_OK;
    if (item == NULL) {
        err = node_grow((void **) &importing->items, importing->count, &importing->cap,
                        sizeof *importing->items);
    }
    if (item == NULL && err == ERR_OK) {
        item = &importing->items[importing->count++];
        *item = (struct item){.name = *name, .outcome = OUTCOME_COUNT};
    }
    *ret_item = item;
    return err;
}

struct offer *import_offer(struct link *link, uint64_t arrival)
{
    for (size_t i = 0; i < link->offer_count; i++) {
        if (link->offers[i].arrival == arrival && !link->offers[i].done) {
            return &link->offers[i];
        }
    }
    return NULL;
}

/* What was counted as refused since; ERR_OK: nothing. */
enum err import_refused(const struct node *node, const uint64_t before[ERR_COUNT])
{
    enum err why = ERR_OK;
    for (enum err each = ERR_OK; each < ERR_COUNT; each++) {
        why = node->refused[each] > before[each] ? each : why;
    }
    return why;
}

/* What became of a head that was announced just now. */
static void item_judge(struct node *node, struct importing *importing, struct item *item,
                       const struct head *head, enum err why)
{
    struct offer *offer = import_offer(importing->link, item->arrival);
    const struct own *own = &node->own;
    bool mine = memcmp(head->lab.bytes, node->config.lab.bytes, KEY_SIZE) == 0;
    if (offer != NULL && item->outcome == OUTCOME_REFUSED) {
        offer->done = true; /* once is enough */
    } else if (offer != NULL) {
        offer->ask = item->ask;
        offer->asked = item->asked;
        item->outcome = OUTCOME_WANTED;
    } else if (why == ERR_OK && mine && own->frozen != 0 && (!own->held || head->n > own->head.n)) {
        item->outcome = OUTCOME_REFUSED;
        item->why = ERR_FROZEN; /* of ours, and this store never signed it */
    } else if (why != ERR_OK) {
        item->outcome = OUTCOME_REFUSED;
        item->why = why;
    } else if (item->outcome != OUTCOME_ACCEPTED && item->outcome != OUTCOME_REFUSED) {
        item->outcome = OUTCOME_UNCHANGED;
    }
}

static enum err head_take(struct node *node, struct importing *importing, uint64_t arrival,
                          struct bytes bytes)
{
    defer(buf_done) struct buf raw = {0};
    list_put_head(&raw, arrival, bytes);
    struct msg one = {.type = MSG_HEADS, .heads = {.upto = arrival}};
    one.heads.heads = (struct list){.raw = buf_bytes(&raw), .count = 1};
    uint64_t before[ERR_COUNT];
    memcpy(before, node->refused, sizeof before);
    struct head head = {0};
    bool readable = head_peek(bytes, &head) == ERR_OK;
    enum err err = raw.err != ERR_OK ? raw.err : fetch_heads(node, importing->link, &one);
    if (err == ERR_OK) {
        err = import_judge(node, importing, readable ? &head.lab : NULL);
    }
    if (err != ERR_OK || importing->err != ERR_OK) {
        return err;
    }
    must(readable);
    if (importing->count >= OFFERS_MAX) {
        return import_refuse(node, importing, "too many heads in a bundle");
    }
    struct catalogue_name name;
    head_name(&head, &name);
    struct item *item = NULL;
    err = item_make(importing, &name, &item);
    if (err == ERR_OK) {
        item->arrival = arrival;
        item_judge(node, importing, item, &head, import_refused(node, before));
    }
    return err;
}

static enum err heads_take(struct node *node, struct importing *importing, const struct msg *msg)
{
    size_t at = 0;
    uint64_t arrival = 0;
    struct bytes item;
    enum err err = ERR_OK;
    importing->listed = true;
    while (err == ERR_OK && importing->err == ERR_OK &&
           list_next_head(&msg->heads.heads, &at, &arrival, &item)) {
        err = arrival > msg->heads.upto ? import_refuse(node, importing, "arrivals out of order")
                                        : head_take(node, importing, arrival, item);
    }
    return err;
}

/* ---- frames ---- */

static enum err frame_take(struct node *node, struct importing *importing, struct bytes bytes)
{
    struct msg msg;
    enum err err = msg_decode(bytes, &msg);
    if (err != ERR_OK) {
        return import_refuse(node, importing, "a message in the bundle is damaged");
    }
    if (importing->whole) {
        return import_refuse(node, importing, "the bundle goes on behind its end");
    }
    switch (msg.type) {
    case MSG_RECORDS:
        err = fetch_records(node, importing->link, &msg);
        return err == ERR_OK ? import_judge(node, importing, NULL) : err;
    case MSG_PROOF:
        err = fork_part(node, importing->link, &msg);
        return err == ERR_OK ? import_judge(node, importing, NULL) : err;
    case MSG_HEADS:
        return heads_take(node, importing, &msg);
    case MSG_DELTA:
        return reading_delta(node, importing, &msg);
    case MSG_DELTA_END:
        return reading_end(node, importing, &msg);
    case MSG_BYE:
        if (!importing->listed || importing->reading.on) {
            return import_refuse(node, importing, "the bundle ends too early");
        }
        importing->whole = true;
        return ERR_OK;
    default:
        return import_refuse(node, importing, "a message in the bundle does not belong there");
    }
}

/* Reads whole frames as far as they go. */
static enum err frames_take(struct node *node, struct importing *importing)
{
    size_t at = 0;
    enum err err = ERR_OK;
    const struct buf *in = &importing->in;
    if (!importing->begun) {
        size_t size = in->size < MAGIC_SIZE ? in->size : MAGIC_SIZE;
        bool good = size == 0 || memcmp(in->data, BUNDLE_MAGIC, size) == 0;
        if (!good || (importing->end && size < MAGIC_SIZE)) {
            return import_refuse(node, importing, "this is no bundle");
        }
        importing->begun = size == MAGIC_SIZE;
        at = importing->begun ? size : 0;
    }
    while (err == ERR_OK && importing->begun && importing->err == ERR_OK && in->size - at >= 2) {
        size_t size = (size_t) in->data[at] << 8 | in->data[at + 1];
        if (size == 0 || size > MSG_SIZE_MAX) {
            err = import_refuse(node, importing, "a message in the bundle is damaged");
            break;
        }
        if (in->size - at - 2 < size) {
            break;
        }
        err = frame_take(node, importing, bytes_of(in->data + at + 2, size));
        if (importing->blocked && !importing->reading.ended) {
            break; /* this one again, later */
        }
        at += 2 + size;
        if (importing->blocked) {
            break;
        }
    }
    buf_shift(&importing->in, at);
    return err;
}

/* The file was read to its end. */
static enum err import_over(struct node *node, struct importing *importing)
{
    struct reading *reading = &importing->reading;
    importing->whole = importing->whole && importing->in.size == 0;
    importing->over = true;
    enum err err = fetch_link_lost(node, importing->link); /* what came is kept for the next time */
    fetch_link_down(node, importing->link);
    reading_done(reading);
    return err;
}

static enum err import_go(struct node *node, struct importing *importing)
{
    struct reading *reading = &importing->reading;
    enum err err = ERR_OK;
    if (importing->blocked && reading->ended && !import_fetching(importing)) {
        importing->blocked = false;
        err = import_judge(node, importing, NULL);
        err = err == ERR_OK && importing->err == ERR_OK ? reading_close(node, importing) : err;
    } else if (importing->blocked && !reading->ended) {
        importing->blocked = false; /* try again */
    }
    if (err == ERR_OK && !importing->blocked && importing->err == ERR_OK) {
        err = frames_take(node, importing);
    }
    bool at_end = importing->end && !importing->blocked && importing->err == ERR_OK;
    return err == ERR_OK && at_end && !importing->over ? import_over(node, importing) : err;
}

enum err imports_settle(struct node *node)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < node->client_count; i++) {
        struct importing *importing = node->clients[i]->importing;
        if (importing != NULL && importing->blocked) {
            err = import_go(node, importing);
        }
    }
    return err;
}

/* ---- requests ---- */

static bool import_elsewhere(const struct node *node, const struct client *client)
{
    for (size_t i = 0; i < node->client_count; i++) {
        if (node->clients[i] != client && node->clients[i]->importing != NULL) {
            return true;
        }
    }
    return false;
}

/* The next reading of the same file. */
static enum err pass_begin(struct importing *importing)
{
    struct link *link = link_file();
    if (link == NULL) {
        return ERR_NOMEM;
    }
    link_free(importing->link);
    importing->link = link;
    buf_clear(&importing->in);
    importing->begun = importing->listed = importing->whole = false;
    importing->end = importing->over = false;
    return ERR_OK;
}

static enum err import_begin(struct client *client)
{
    struct importing *importing = calloc(1, sizeof *importing);
    struct link *link = link_file();
    if (importing == NULL || link == NULL) {
        link_free(link);
        free(importing);
        return ERR_NOMEM;
    }
    importing->link = link;
    buf_init(&importing->in, WAITING_MAX);
    client->importing = importing;
    return ERR_OK;
}

enum err import_request(struct node *node, struct client *client, uint32_t id,
                        const msgpack_object *params)
{
    struct bytes part = {0};
    bool end = false;
    if (ctl_get_bin(params, "part", &part) != ERR_OK) {
        client_error(client, id, ERR_USAGE, "part", "part is the next bytes of the bundle");
        return ERR_OK;
    }
    (void) (ctl_get_bool(params, "end", &end) == ERR_OK);
    if (client->importing == NULL && import_elsewhere(node, client)) {
        client_error(client, id, ERR_BUSY, NULL, "another bundle is being imported");
        return ERR_OK;
    }
    enum err err = client->importing == NULL ? import_begin(client) : ERR_OK;
    if (err == ERR_OK && client->importing->over) {
        err = pass_begin(client->importing);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct importing *importing = client->importing;
    if (importing->wait_count == WAITS_MAX || importing->end ||
        importing->in.size + part.size > WAITING_MAX) {
        const char *text = "wait for the answers to the parts before";
        client_error(client, id, ERR_BUSY, NULL, text);
        return import_fail(node, importing, ERR_BUSY, text); /* a part is missing now */
    }
    buf_put(&importing->in, part);
    importing->end = end;
    importing->touched_ms = node->now_ms;
    if (import_fetching(importing)) {
        importing->reading.fetch->progress_ms = node->now_ms;
    }
    importing->waits[importing->wait_count++] = id;
    if (importing->in.err != ERR_OK) {
        return importing->in.err;
    }
    return importing->blocked || importing->err != ERR_OK ? ERR_OK : import_go(node, importing);
}

static bool import_again(const struct importing *importing)
{
    for (size_t i = 0; importing->over && i < importing->count; i++) {
        if (importing->items[i].outcome == OUTCOME_AGAIN) {
            return true;
        }
    }
    return false;
}

static void answer_counts(const struct importing *importing, struct buf *out, uint32_t id)
{
    uint64_t counts[OUTCOME_COUNT] = {0};
    for (size_t i = 0; i < importing->count; i++) {
        counts[importing->items[i].outcome]++;
    }
    ctl_put_response(out, id);
    pack_map(out, 6);
    pack_cstr(out, "accepted");
    pack_uint(out, counts[OUTCOME_ACCEPTED]);
    pack_cstr(out, "again");
    pack_bool(out, import_again(importing));
    pack_cstr(out, "incomplete");
    pack_uint(out, counts[OUTCOME_WANTED] + counts[OUTCOME_AGAIN] + counts[OUTCOME_NOTHING]);
    pack_cstr(out, "refused");
    pack_array(out, importing->over ? counts[OUTCOME_REFUSED] : 0);
    for (size_t i = 0; importing->over && i < importing->count; i++) {
        const struct item *item = &importing->items[i];
        if (item->outcome == OUTCOME_REFUSED) {
            pack_array(out, 3);
            pack_bin(out, BYTES_OF_ARRAY(item->name.lab.bytes));
            pack_cstr(out, err_code(item->why));
            pack_cstr(out, err_text(item->why));
        }
    }
    pack_cstr(out, "unchanged");
    pack_uint(out, counts[OUTCOME_UNCHANGED]);
    pack_cstr(out, "whole");
    pack_bool(out, importing->whole);
}

static void failure_put(const struct importing *importing, struct client *client, uint32_t id)
{
    static const struct lab_id nobody = {{0}};
    char did[DID_SIZE_MAX];
    bool has_lab = memcmp(importing->lab.bytes, nobody.bytes, KEY_SIZE) != 0;
    did_encode(&importing->lab, did);
    client_error(client, id, importing->err, has_lab ? did : NULL, importing->text);
}

static enum err import_answer(struct client *client)
{
    struct importing *importing = client->importing;
    struct buf *out = client_out(client);
    if (out == NULL) {
        return ERR_NOMEM;
    }
    unsigned count = importing->wait_count;
    importing->wait_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (importing->err != ERR_OK) {
            failure_put(importing, client, importing->waits[i]);
        } else {
            answer_counts(importing, out, importing->waits[i]);
        }
    }
    if (count > 0 && (importing->err != ERR_OK || (importing->over && !import_again(importing)))) {
        import_free(client);
    }
    return ERR_OK;
}

enum err imports_answer(struct node *node)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < node->client_count; i++) {
        struct client *client = node->clients[i];
        if (client->importing != NULL && !client->importing->blocked) {
            err = import_answer(client);
        }
    }
    return err;
}

enum err imports_undo(struct node *node)
{
    for (size_t i = 0; i < node->client_count; i++) {
        struct importing *importing = node->clients[i]->importing;
        if (importing != NULL) {
            reading_done(&importing->reading);
            importing->blocked = false;
            importing->err = ERR_FULL;
            importing->text = NULL;
            importing->lab = (struct lab_id){{0}};
        }
    }
    return imports_answer(node);
}

void imports_tick(struct node *node)
{
    for (size_t i = 0; i < node->client_count; i++) {
        const struct importing *importing = node->clients[i]->importing;
        if (importing != NULL && !importing->blocked &&
            node->now_ms - importing->touched_ms >= IMPORT_IDLE_MS) {
            import_drop(node, node->clients[i]);
        }
    }
}

uint64_t imports_wake_ms(const struct node *node)
{
    uint64_t wake = UINT64_MAX;
    for (size_t i = 0; i < node->client_count; i++) {
        const struct importing *importing = node->clients[i]->importing;
        if (importing != NULL && importing->touched_ms + IMPORT_IDLE_MS < wake) {
            wake = importing->touched_ms + IMPORT_IDLE_MS;
        }
    }
    return wake;
}
