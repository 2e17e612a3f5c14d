/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/client.c: control connections: who may ask what, answers in order, `sync` and `watch`.
 *
 * Writes are stepped and answered after the commit; reads wait for the end of the turn and see the
 * committed state.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/did.h"
#include "proto/entry.h"
#include "proto/pack.h"

#define WATCH_CATALOGUES_MAX 4096
#define WATCH_WENT_MAX QUOTA_ENTRIES /* withdrawals one client was not told yet */

struct client *client_find(struct node *node, uint32_t number)
{
    for (size_t i = 0; i < node->client_count; i++) {
        if (node->clients[i]->number == number) {
            return node->clients[i];
        }
    }
    return NULL;
}

enum err client_up(struct node *node, const struct event *event)
{
    struct client *client = node->client_count < CTL_CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
    if (client == NULL) {
        struct effect *effect = effects_add(node, EFFECT_CLIENT_CLOSE);
        if (effect != NULL) {
            effect->client = event->client;
        }
        return ERR_OK;
    }
    client->number = event->client;
    client->role = event->role;
    node->clients[node->client_count++] = client;
    return ERR_OK;
}

void client_down(struct node *node, struct client *client)
{
    /* Bodies of an unfinished batch go; where even that cannot be written, the next start drops
     * them. */
    if (batch_drop(node, &client->batch) != ERR_OK) {
        node_log(node, 4, "batch: an unfinished batch is dropped at the next start");
    }
    for (size_t i = 0; i < SYNC_WAITS_MAX; i++) {
        if (node->syncs[i].open && node->syncs[i].client == client->number) {
            node->syncs[i].open = false;
        }
    }
    for (size_t i = 0; i < node->client_count; i++) {
        if (node->clients[i] == client) {
            node->clients[i] = node->clients[--node->client_count];
            break;
        }
    }
    import_drop(node, client);
    export_drop(client);
    buf_free(client->out);
    for (size_t i = 0; i < client->watch_count; i++) {
        buf_done(&client->watch_items[i].went);
    }
    free(client->watch_items);
    free(client);
}

struct buf *client_out(struct client *client)
{
    if (client->out == NULL) {
        client->out = buf_new(256);
        client->unanswered = client->unanswered || client->out == NULL;
    }
    return client->out;
}

void client_error(struct client *client, uint32_t id, enum err err, const char *field,
                  const char *message)
{
    struct buf *out = client_out(client);
    if (out != NULL) {
        ctl_put_error(out, id, err, field, message);
    }
}

void clients_emit(struct node *node)
{
    for (size_t i = 0; i < node->client_count; i++) {
        struct client *client = node->clients[i];
        if (client->unanswered) {
            node->effects->err = ERR_NOMEM;
            return;
        }
        if (client->out == NULL || client->out->size == 0) {
            continue;
        }
        if (client->out->err != ERR_OK) {
            node->effects->err = client->out->err;
            return;
        }
        struct effect *effect = effects_add(node, EFFECT_REPLY);
        if (effect != NULL) {
            effect->client = client->number;
            client->queued += client->out->size;
            effect->bytes = take(&client->out);
        }
        effect = client->closing ? effects_add(node, EFFECT_CLIENT_CLOSE) : NULL;
        if (effect != NULL) {
            effect->client = client->number;
        }
    }
}

enum err answer_add(struct node *node, uint32_t client, uint32_t id, bool own,
                    struct answer **ret_answer)
{
    struct own *mine = &node->own;
    enum err err = node_grow((void **) &mine->answers, mine->answer_count, &mine->answer_cap,
                             sizeof *mine->answers);
    if (err != ERR_OK) {
        return err;
    }
    struct answer *answer = &mine->answers[mine->answer_count++];
    *answer = (struct answer){.client = client, .id = id, .own = own};
    *ret_answer = answer;
    return ERR_OK;
}

/* ---- peers_add, peers_remove ---- */

static bool address_valid(struct bytes text)
{
    size_t colon = text.size;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f) {
            return false;
        }
        colon = text.data[i] == ':' ? i : colon;
    }
    if (text.size >= PEER_ADDRESS_MAX || colon == 0 || colon + 1 >= text.size ||
        text.size - colon > 6) {
        return false;
    }
    unsigned port = 0;
    for (size_t i = colon + 1; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        port = port * 10 + (text.data[i] - '0');
    }
    return port > 0 && port <= 65535;
}

static enum err peers_add(struct node *node, struct client *client, uint32_t id,
                          const msgpack_object *params)
{
    struct bytes lab_text = {0};
    struct bytes address = {0};
    struct bytes alias = {0};
    struct lab_id lab;
    enum err err = ctl_get_str(params, "lab", &lab_text);
    if (err != ERR_OK || did_decode(lab_text, &lab) != ERR_OK) {
        client_error(client, id, ERR_USAGE, "lab", "lab must be a did:key of an Ed25519 key");
        return ERR_OK;
    }
    bool has_address = ctl_get_str(params, "address", &address) == ERR_OK && address.size > 0;
    bool has_alias = ctl_get_str(params, "alias", &alias) == ERR_OK && alias.size > 0;
    if (has_address && !address_valid(address)) {
        client_error(client, id, ERR_USAGE, "address", "an address is HOST:PORT");
        return ERR_OK;
    }
    if (has_alias && !slug_valid(alias)) {
        client_error(client, id, ERR_USAGE, "alias", "an alias is 1 to 64 of a-z, 0-9 and hyphens");
        return ERR_OK;
    }
    if (memcmp(lab.bytes, node->config.lab.bytes, KEY_SIZE) == 0) {
        client_error(client, id, ERR_USAGE, "lab", "this is the own lab");
        return ERR_OK;
    }
    struct peer *peer = peer_make(node, &lab);
    if (peer == NULL) {
        client_error(client, id, ERR_FULL, "lab", "too many peers");
        return ERR_OK;
    }
    peer->row.removed = false;
    if (has_address) {
        memset(peer->row.address, 0, sizeof peer->row.address);
        bytes_copy(peer->row.address, address);
    }
    if (has_alias) {
        memset(peer->row.alias, 0, sizeof peer->row.alias);
        bytes_copy(peer->row.alias, alias);
    }
    peer->row_dirty = true;
    peer->dial_at_ms = 0;
    peer->dial_delay_ms = DIAL_MS_MIN;
    struct answer *answer = NULL;
    err = answer_add(node, client->number, id, false, &answer);
    peers_dial(node);
    return err;
}

static enum err peers_remove(struct node *node, struct client *client, uint32_t id,
                             const msgpack_object *params)
{
    struct bytes text = {0};
    struct lab_id lab;
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    if (err != ERR_OK) {
        return err;
    }
    err = ctl_get_str(params, "lab", &text);
    if (err == ERR_OK && did_decode(text, &lab) != ERR_OK) {
        err = query_lab(node, txn, text, &lab);
    }
    struct peer *peer = err == ERR_OK ? peer_find(node, &lab) : NULL;
    if (peer == NULL || peer->row.removed) {
        client_error(client, id, err == ERR_AMBIGUOUS ? err : ERR_NOT_FOUND, "lab", NULL);
        return ERR_OK;
    }
    peer->row.removed = true;
    memset(peer->row.address, 0, sizeof peer->row.address);
    memset(peer->row.alias, 0, sizeof peer->row.alias);
    peer->row_dirty = true;
    if (peer->link != NULL) {
        link_close(node, peer->link, BYE_REFUSED, "removed");
    }
    for (size_t i = 0; i < node->link_count; i++) {
        if (node->links[i]->reader && node->links[i]->peer == peer) {
            link_close(node, node->links[i], BYE_REFUSED, "removed");
        }
    }
    struct answer *answer = NULL;
    return answer_add(node, client->number, id, false, &answer);
}

/* ---- sync ---- */

static unsigned held_by(const struct node *node)
{
    unsigned held = 0;
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct peer *peer = node->peers[i];
        held += !peer->row.removed && peer->acked >= node->own.arrival &&
                (peer->link != NULL || peer->acked > 0);
    }
    return held;
}

static void sync_answer(struct node *node, struct sync_wait *wait, unsigned held)
{
    struct client *client = client_find(node, wait->client);
    struct buf *out = client == NULL ? NULL : client_out(client);
    if (out != NULL) {
        ctl_put_response(out, wait->id);
        pack_map(out, 2);
        pack_cstr(out, "held");
        pack_uint(out, held);
        pack_cstr(out, "n");
        pack_uint(out, node->own.held ? node->own.head.n : 0);
    }
    wait->open = false;
}

void syncs_check(struct node *node)
{
    unsigned held = held_by(node);
    for (size_t i = 0; i < SYNC_WAITS_MAX; i++) {
        struct sync_wait *wait = &node->syncs[i];
        if (!wait->open) {
            continue;
        }
        struct client *client = client_find(node, wait->client);
        if (held >= wait->wait) {
            sync_answer(node, wait, held);
        } else if (node->now_ms >= wait->deadline_ms) {
            char text[96];
            (void) snprintf(text, sizeof text, "%u of %llu peers hold the newest head", held,
                            (unsigned long long) wait->wait);
            if (client != NULL) {
                client_error(client, wait->id, ERR_TIMEOUT, NULL, text);
            }
            wait->open = false;
        }
    }
}

static enum err sync_begin(struct node *node, struct client *client, uint32_t id,
                           const msgpack_object *params)
{
    uint64_t wait = 0;
    uint64_t timeout_ms = 0;
    if (ctl_get_uint(params, "wait", &wait) != ERR_OK ||
        ctl_get_uint(params, "timeout_ms", &timeout_ms) != ERR_OK || wait > KNOWN_PEERS_MAX ||
        timeout_ms > 24u * 3600u * 1000u) {
        client_error(client, id, ERR_USAGE, NULL,
                     "wait (peers) and timeout_ms (at most a day) are numbers");
        return ERR_OK;
    }
    for (size_t i = 0; i < SYNC_WAITS_MAX; i++) {
        if (!node->syncs[i].open) {
            node->syncs[i] = (struct sync_wait){
                .open = true,
                .client = client->number,
                .id = id,
                .wait = wait,
                .deadline_ms = node->now_ms + timeout_ms,
            };
            return ERR_OK;
        }
    }
    client_error(client, id, ERR_BUSY, NULL, NULL);
    return ERR_OK;
}

/* ---- watch ---- */

static enum err watch_begin(struct client *client, uint32_t id)
{
    client->watching = true;
    struct buf *out = client_out(client);
    if (out == NULL) {
        return ERR_NOMEM;
    }
    ctl_put_response(out, id);
    pack_map(out, 0);
    return ERR_OK;
}

static struct watch_item *watch_find(const struct client *client, uint32_t catalogue)
{
    for (size_t at = 0; at < client->watch_count; at++) {
        if (client->watch_items[at].catalogue == catalogue) {
            return &client->watch_items[at];
        }
    }
    return NULL;
}

static enum err watch_add(struct client *client, const struct changed *changed)
{
    if (watch_find(client, changed->catalogue) != NULL ||
        client->watch_count >= WATCH_CATALOGUES_MAX) {
        return ERR_OK;
    }
    enum err err = node_grow((void **) &client->watch_items, client->watch_count,
                             &client->watch_cap, sizeof *client->watch_items);
    if (err != ERR_OK) {
        return err;
    }
    struct watch_item *item = &client->watch_items[client->watch_count++];
    *item = (struct watch_item){.catalogue = changed->catalogue, .after_rev = changed->old_n};
    memset(item->after_slug.bytes, 0xff, SLUG_HASH_SIZE);
    return ERR_OK;
}

/* What was withdrawn is told by its slug's hash, which is kept nowhere: in memory alone, and of who
 * does not read for too long only so much. */
static enum err watch_went(struct client *client, struct bytes went)
{
    struct watch_item *item = NULL;
    for (size_t at = 0; at < went.size; at += WENT_SIZE) {
        uint32_t id = be32_get(went.data + at);
        if (item == NULL || item->catalogue != id) {
            item = watch_find(client, id);
        }
        if (item == NULL || client->went_count == WATCH_WENT_MAX) {
            continue;
        }
        buf_put(&item->went, bytes_of(went.data + at + 4, SLUG_HASH_SIZE));
        if (item->went.err != ERR_OK) {
            return item->went.err;
        }
        client->went_count++;
    }
    return ERR_OK;
}

/* What this turn changed is due to every watcher; what one was not told yet of a catalogue stays
 * due from there. */
enum err watch_changed(struct node *node)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < node->client_count; i++) {
        struct client *client = node->clients[i];
        for (size_t k = 0; err == ERR_OK && client->watching && k < node->changed_count; k++) {
            err = watch_add(client, &node->changed[k]);
        }
        if (err == ERR_OK && client->watching) {
            err = watch_went(client, buf_bytes(&node->went));
        }
    }
    node->changed_count = 0;
    buf_done(&node->went);
    return err;
}

struct change_note {
    const struct held_head *held;
    struct bytes name;
    struct bytes entry; /* size 0: withdrawn */
    struct slug_hash slug_hash;
    uint64_t rev;
};

static void watch_put(struct buf *out, const struct change_note *note)
{
    ctl_put_notification(out, "change");
    pack_map(out, 7);
    pack_cstr(out, "change");
    pack_cstr(out, note->entry.size > 0 ? "published" : "withdrawn");
    pack_cstr(out, "entry");
    if (note->entry.size > 0) {
        pack_bin(out, note->entry);
    } else {
        pack_nil(out);
    }
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(note->held->head.lab.bytes));
    pack_cstr(out, "n");
    pack_uint(out, note->held->head.n);
    pack_cstr(out, "name");
    pack_str(out, note->name);
    pack_cstr(out, "rev");
    pack_uint(out, note->rev);
    pack_cstr(out, "slug_hash");
    pack_bin(out, BYTES_OF_ARRAY(note->slug_hash.bytes));
}

static bool watch_room(const struct client *client)
{
    size_t out = client->out == NULL ? 0 : client->out->size;
    return client->queued + out < CTL_PAGE_SIZE_MAX;
}

static enum err watch_entries(struct client *client, struct watch_item *item, struct txn *txn,
                              struct change_note *note, bool *ret_end)
{
    struct entry_cursor *cursor = NULL;
    enum err err =
        entry_cursor_open(txn, item->catalogue, item->after_rev, &item->after_slug, &cursor);
    if (err != ERR_OK) {
        return err;
    }
    while (err == ERR_OK && watch_room(client)) {
        err = entry_cursor_next(cursor, &note->entry, &note->rev, &note->slug_hash);
        if (err == ERR_OK || err == ERR_CORRUPT) {
            item->after_rev = note->rev;
            item->after_slug = note->slug_hash;
        }
        if (err == ERR_OK) {
            watch_put(client_out(client), note);
        }
        err = err == ERR_CORRUPT ? ERR_OK : err;
    }
    entry_cursor_close(cursor);
    *ret_end = err == ERR_NOT_FOUND;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err watch_withdrawn(struct client *client, struct watch_item *item, struct txn *txn,
                                struct change_note *note, bool *ret_end)
{
    note->entry = (struct bytes){0};
    note->rev = 0;
    while (item->went_at < item->went.size && watch_room(client)) {
        struct slug_row row;
        memcpy(note->slug_hash.bytes, item->went.data + item->went_at, SLUG_HASH_SIZE);
        item->went_at += SLUG_HASH_SIZE;
        client->went_count--;
        enum err err = catalogue_slug(txn, item->catalogue, &note->slug_hash, &row);
        if (err == ERR_NOT_FOUND) { /* else it lives again, and was told so */
            watch_put(client_out(client), note);
        } else if (err != ERR_OK) {
            return err;
        }
    }
    *ret_end = item->went_at == item->went.size;
    return ERR_OK;
}

static enum err watch_one(struct client *client, struct watch_item *item, struct txn *txn,
                          bool *ret_end)
{
    struct held_head held;
    enum err err = catalogue_head(txn, item->catalogue, &held);
    struct held_lab lab;
    if (err == ERR_OK) {
        err = lab_get(txn, &held.head.lab, &lab);
    }
    if (err != ERR_OK) {
        *ret_end = true;
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    struct change_note note = {.held = &held, .name = lab.record.name};
    bool end = false;
    err = watch_entries(client, item, txn, &note, &end);
    if (err == ERR_OK && end) {
        err = watch_withdrawn(client, item, txn, &note, &end);
    }
    *ret_end = end;
    return err;
}

enum err watch_flush(struct node *node, struct client *client, struct txn *txn)
{
    (void) node;
    while (client->watch_count > 0 && watch_room(client)) {
        if (client_out(client) == NULL) {
            return ERR_NOMEM;
        }
        bool end = false;
        enum err err = watch_one(client, &client->watch_items[0], txn, &end);
        if (err != ERR_OK) {
            return err;
        }
        if (end) {
            struct buf *went = &client->watch_items[0].went;
            client->went_count -= (went->size - client->watch_items[0].went_at) / SLUG_HASH_SIZE;
            buf_done(went);
            client->watch_count--;
            memmove(&client->watch_items[0], &client->watch_items[1],
                    client->watch_count * sizeof *client->watch_items);
        }
    }
    return ERR_OK;
}

/* ---- requests ---- */

static enum err client_write(struct node *node, struct client *client, const struct ctl_msg *msg,
                             enum ctl_method method)
{
    switch (method) {
    case CTL_publish:
        return own_publish(node, client, msg->id, &msg->params);
    case CTL_withdraw:
        return own_withdraw(node, client, msg->id, &msg->params);
    case CTL_peers_add:
        return peers_add(node, client, msg->id, &msg->params);
    case CTL_peers_remove:
        return peers_remove(node, client, msg->id, &msg->params);
    case CTL_bundle_import:
        return import_request(node, client, msg->id, &msg->params);
    case CTL_sync:
        return sync_begin(node, client, msg->id, &msg->params);
    case CTL_watch:
        return watch_begin(client, msg->id);
    case CTL_key_rotate:
        return rotate_begin(node, client, msg->id);
    case CTL_compact:
        return compact_ask(node, client, msg->id);
    case CTL_backup:
        return backup_ask(node, client, msg->id, &msg->params);
    case CTL_forget:
        return lost_forget(node, client, msg->id, &msg->params);
    case CTL_repair:
        return repair_begin(node, client, msg->id, &msg->params);
    default:
        client_error(client, msg->id, ERR_UNSUPPORTED, NULL, NULL);
        return ERR_OK;
    }
}

static enum err client_later(struct node *node, struct client *client, struct bytes bytes)
{
    enum err err =
        node_grow((void **) &node->reads, node->read_count, &node->read_cap, sizeof *node->reads);
    if (err != ERR_OK) {
        return err;
    }
    struct read_wait *wait = &node->reads[node->read_count];
    *wait = (struct read_wait){.client = client->number};
    buf_put(&wait->bytes, bytes);
    node->read_count++;
    return wait->bytes.err;
}

enum err client_bytes(struct node *node, struct client *client, struct bytes bytes)
{
    if (client->closing) {
        return ERR_OK;
    }
    struct ctl_msg msg = {0};
    enum err err = ctl_decode(bytes, &msg);
    if (err != ERR_OK) {
        node_refuse(node, err);
        client_error(client, msg.id, err, NULL, NULL);
        client->closing = true; /* who says what is no request is not listened to further */
        return err == ERR_NOMEM ? err : ERR_OK;
    }
    enum ctl_method method = CTL_hello;
    if (msg.type != 0) {
        ctl_done(&msg);
        return ERR_OK; /* a notification wants no answer, and none means anything here */
    }
    if (ctl_find(msg.method, &method) != ERR_OK) {
        node_refuse(node, ERR_UNSUPPORTED);
        client_error(client, msg.id, ERR_UNSUPPORTED, NULL, "no such method");
    } else if (client->role < ctl_role(method)) {
        node_refuse(node, ERR_ROLE);
        client_error(client, msg.id, ERR_ROLE, NULL, NULL);
    } else if (ctl_writes(method)) {
        err = client_write(node, client, &msg, method);
    } else {
        err = client_later(node, client, bytes);
    }
    ctl_done(&msg);
    return err;
}

enum err clients_tick(struct node *node)
{
    imports_tick(node);
    for (size_t i = 0; i < node->client_count; i++) {
        struct batch *batch = &node->clients[i]->batch;
        if (batch->open && node->now_ms - batch->touched_ms >= BATCH_IDLE_MS) {
            enum err err = batch_drop(node, batch);
            if (err != ERR_OK) {
                return err;
            }
        }
    }
    return ERR_OK;
}

uint64_t clients_wake_ms(const struct node *node)
{
    uint64_t wake = imports_wake_ms(node);
    for (size_t i = 0; i < SYNC_WAITS_MAX; i++) {
        if (node->syncs[i].open && node->syncs[i].deadline_ms < wake) {
            wake = node->syncs[i].deadline_ms;
        }
    }
    for (size_t i = 0; i < node->client_count; i++) {
        const struct batch *batch = &node->clients[i]->batch;
        if (batch->open && batch->touched_ms + BATCH_IDLE_MS < wake) {
            wake = batch->touched_ms + BATCH_IDLE_MS;
        }
    }
    return wake;
}
