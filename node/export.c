/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/export.c: bundle_export: what a link would carry, in parts of a file (doc/protocol.md §10).
 *
 *   RECORDS ─► PROOF ─► HEADS ─► of each head in turn: DELTA… DELTA_END ─► BYE
 *
 * Each part is made from the snapshot of its own turn, by the code that serves peers. A catalogue
 * that moved on since it was announced is announced again before more of it is given out.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/pack.h"

#define PART_SIZE_MAX (256u * 1024u)
#define LIST_MSG_SIZE (32u * 1024u)

enum phase { PHASE_RECORDS, PHASE_PROOFS, PHASE_HEADS, PHASE_DELTAS, PHASE_OVER };

/* A catalogue that goes out: as last announced. */
struct listed {
    uint32_t catalogue;
    struct lab_id lab;
    struct hash head_hash;
    uint64_t arrival;
};

struct exporting {
    struct link *link;
    enum phase phase;
    struct lab_id *labs; /* chosen; none: all */
    size_t lab_count, lab_cap;
    struct lab_id lab_at; /* the last record listed, where all are */
    size_t lab_place;     /* the next one, where some are chosen */
    uint64_t record_from; /* records of later arrivals are not listed yet */
    uint32_t fork_at, catalogue_at;
    struct listed *listed;
    size_t count, cap, at; /* `at` is going out */
    uint64_t arrival;      /* given last */
    uint64_t total;        /* entries announced */
};

static bool same_lab(const struct lab_id *a, const struct lab_id *b)
{
    return memcmp(a->bytes, b->bytes, KEY_SIZE) == 0;
}

void export_drop(struct client *client)
{
    struct exporting *exporting = client->exporting;
    client->exporting = NULL;
    if (exporting == NULL) {
        return;
    }
    link_free(exporting->link);
    free(exporting->labs);
    free(exporting->listed);
    free(exporting);
}

static bool chosen(const struct exporting *exporting, const struct lab_id *lab)
{
    for (size_t i = 0; i < exporting->lab_count; i++) {
        if (same_lab(&exporting->labs[i], lab)) {
            return true;
        }
    }
    return exporting->lab_count == 0;
}

/* ---- records ---- */

static enum err records_send(struct node *node, struct link *link, const struct buf *raw,
                             size_t count)
{
    if (raw->err == ERR_OK && count > 0) {
        link_send(
            node, link,
            &(struct msg){.type = MSG_RECORDS, .records = {.raw = buf_bytes(raw), .count = count}});
    }
    return raw->err;
}

/* The next one to list. ERR_NOT_FOUND at the end. */
static enum err record_next(struct exporting *exporting, struct txn *txn, struct held_lab *ret_held)
{
    if (exporting->lab_count == 0) {
        bool first = exporting->lab_place++ == 0;
        return lab_next(txn, first, &exporting->lab_at, ret_held);
    }
    enum err err = ERR_NOT_FOUND;
    while (err == ERR_NOT_FOUND && exporting->lab_place < exporting->lab_count) {
        err = lab_get(txn, &exporting->labs[exporting->lab_place++], ret_held);
    }
    return err;
}

static enum err phase_records(struct node *node, struct exporting *exporting, struct txn *txn)
{
    defer(buf_done) struct buf raw = {0};
    size_t count = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && raw.size < LIST_MSG_SIZE) {
        struct held_lab held;
        err = record_next(exporting, txn, &held);
        if (err == ERR_OK) {
            list_put(&raw, held.signed_bytes);
            count++;
        }
    }
    if (err == ERR_NOT_FOUND) {
        exporting->phase = PHASE_PROOFS;
        err = ERR_OK;
    }
    return err != ERR_OK ? err : records_send(node, exporting->link, &raw, count);
}

/* ---- proofs ---- */

static enum err phase_proofs(struct node *node, struct exporting *exporting, struct txn *txn)
{
    struct link *link = exporting->link;
    struct catalogue_name name;
    enum err err = fork_next(txn, &exporting->fork_at);
    if (err == ERR_NOT_FOUND) {
        exporting->phase = PHASE_HEADS;
        return ERR_OK;
    }
    if (err == ERR_OK) {
        err = catalogue_name_of(txn, exporting->fork_at, &name);
    }
    if (err != ERR_OK || !chosen(exporting, &name.lab)) {
        return err;
    }
    bool sent = false;
    size_t queued = link->queued;
    link->queued = 0; /* one may be larger than a part */
    err = fork_announce(node, link, txn, exporting->fork_at, &sent);
    link->queued = queued;
    must(err != ERR_OK || sent);
    return err;
}

/* ---- heads ---- */

struct listing {
    struct buf records, heads;
    size_t record_count, head_count;
};

static void listing_done(struct listing *listing)
{
    buf_done(&listing->records);
    buf_done(&listing->heads);
}

static enum err listing_send(struct node *node, struct exporting *exporting,
                             const struct listing *listing)
{
    enum err err = records_send(node, exporting->link, &listing->records, listing->record_count);
    err = err == ERR_OK ? listing->heads.err : err;
    if (err != ERR_OK) {
        return err;
    }
    link_send(node, exporting->link,
              &(struct msg){.type = MSG_HEADS,
                            .heads = {.upto = exporting->arrival,
                                      .heads = {.raw = buf_bytes(&listing->heads),
                                                .count = listing->head_count}}});
    return ERR_OK;
}

/* The head of `listed` as it is now, under the next arrival; before it its record, if that is newer
 * than those at the beginning of the file. */
static enum err head_list(struct exporting *exporting, struct txn *txn, struct listed *listed,
                          const struct held_head *held, struct listing *into)
{
    struct held_lab lab;
    enum err err = lab_get(txn, &held->head.lab, &lab);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    if (lab.arrival > exporting->record_from) {
        list_put(&into->records, lab.signed_bytes);
        into->record_count++;
    }
    listed->arrival = ++exporting->arrival;
    listed->head_hash = held->head.hash;
    list_put_head(&into->heads, listed->arrival, held->signed_bytes);
    into->head_count++;
    return ERR_OK;
}

static enum err catalogue_list(struct node *node, struct exporting *exporting, struct txn *txn,
                               struct listing *into)
{
    struct held_head held;
    enum err err = catalogue_head(txn, exporting->catalogue_at, &held);
    if (err != ERR_OK) {
        return err;
    }
    bool goes = memcmp(held.head.network.bytes, node->network.bytes, HASH_SIZE) == 0 &&
                strcmp(held.head.audience, "public") == 0 && chosen(exporting, &held.head.lab);
    if (!goes) {
        return ERR_OK;
    }
    err = node_grow((void **) &exporting->listed, exporting->count, &exporting->cap,
                    sizeof *exporting->listed);
    if (err != ERR_OK) {
        return err;
    }
    struct listed *listed = &exporting->listed[exporting->count++];
    *listed = (struct listed){.catalogue = exporting->catalogue_at, .lab = held.head.lab};
    exporting->total += held.head.count;
    return head_list(exporting, txn, listed, &held, into);
}

static enum err phase_heads(struct node *node, struct exporting *exporting, struct txn *txn)
{
    defer(listing_done) struct listing listing = {0};
    enum err err = ERR_OK;
    while (err == ERR_OK && listing.records.size + listing.heads.size < LIST_MSG_SIZE) {
        err = catalogue_next(txn, &exporting->catalogue_at);
        if (err == ERR_OK) {
            err = catalogue_list(node, exporting, txn, &listing);
        }
    }
    if (err == ERR_NOT_FOUND) {
        exporting->phase = PHASE_DELTAS;
        err = ERR_OK;
    }
    return err != ERR_OK ? err : listing_send(node, exporting, &listing);
}

/* ---- deltas ---- */

/* What its lab signed since it was announced is announced before it goes out. */
static enum err listed_renew(struct node *node, struct exporting *exporting, struct txn *txn,
                             struct listed *listed)
{
    struct held_head held;
    enum err err = catalogue_head(txn, listed->catalogue, &held);
    if (err != ERR_OK || memcmp(held.head.hash.bytes, listed->head_hash.bytes, HASH_SIZE) == 0) {
        return err;
    }
    defer(listing_done) struct listing listing = {0};
    err = head_list(exporting, txn, listed, &held, &listing);
    return err != ERR_OK ? err : listing_send(node, exporting, &listing);
}

static bool streaming(const struct link *link)
{
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (link->streams[i].open) {
            return true;
        }
    }
    return false;
}

static enum err phase_deltas(struct node *node, struct exporting *exporting, struct txn *txn)
{
    struct link *link = exporting->link;
    if (exporting->at == exporting->count) {
        link_send(node, link, &(struct msg){.type = MSG_BYE, .bye = {.code = BYE_GOING}});
        exporting->phase = PHASE_OVER;
        return ERR_OK;
    }
    struct listed *listed = &exporting->listed[exporting->at];
    enum err err = listed_renew(node, exporting, txn, listed);
    if (err == ERR_OK && !streaming(link)) {
        err = serve_open(node, link, txn,
                         &(struct msg){.type = MSG_WANT,
                                       .want = {.stream = listed->arrival,
                                                .lab = listed->lab,
                                                .audience = bytes_of_str("public")}});
    }
    if (err == ERR_OK) {
        err = serve_flush(node, link, txn);
    }
    exporting->at += err == ERR_OK && !streaming(link);
    return err;
}

static enum err export_step(struct node *node, struct exporting *exporting, struct txn *txn)
{
    switch (exporting->phase) {
    case PHASE_RECORDS:
        return phase_records(node, exporting, txn);
    case PHASE_PROOFS:
        return phase_proofs(node, exporting, txn);
    case PHASE_HEADS:
        return phase_heads(node, exporting, txn);
    case PHASE_DELTAS:
        return phase_deltas(node, exporting, txn);
    case PHASE_OVER:
        break;
    }
    return ERR_OK;
}

/* ---- the request ---- */

/* `labs`: names, aliases, ids. The client's own mistakes: *ret_bad is the answer. */
static enum err labs_choose(struct node *node, struct exporting *exporting, struct txn *txn,
                            const msgpack_object *labs, enum err *ret_bad)
{
    for (uint32_t i = 0; i < labs->via.array.size; i++) {
        const msgpack_object *item = &labs->via.array.ptr[i];
        struct lab_id lab;
        if (item->type != MSGPACK_OBJECT_STR || i == LABS_MAX) {
            *ret_bad = ERR_USAGE;
            return ERR_OK;
        }
        enum err err = query_lab(node, txn, bytes_of(item->via.str.ptr, item->via.str.size), &lab);
        if (err == ERR_NOT_FOUND || err == ERR_AMBIGUOUS) {
            *ret_bad = err;
            return ERR_OK;
        }
        if (err == ERR_OK) {
            err = node_grow((void **) &exporting->labs, exporting->lab_count, &exporting->lab_cap,
                            sizeof *exporting->labs);
        }
        if (err != ERR_OK) {
            return err;
        }
        exporting->labs[exporting->lab_count++] = lab;
    }
    return ERR_OK;
}

static enum err export_begin(struct node *node, struct client *client, struct txn *txn,
                             const msgpack_object *labs, enum err *ret_bad)
{
    struct exporting *exporting = calloc(1, sizeof *exporting);
    struct link *link = link_file();
    if (exporting == NULL || link == NULL) {
        link_free(link);
        free(exporting);
        return ERR_NOMEM;
    }
    client->exporting = exporting;
    exporting->link = link;
    link->queued = PEER_OUT_SIZE_MAX - PART_SIZE_MAX; /* so much room is left for a part */
    buf_put_str(&link->out, BUNDLE_MAGIC);
    enum err err = arrival_last(txn, &exporting->record_from);
    if (err == ERR_OK && labs != NULL && labs->type == MSGPACK_OBJECT_ARRAY) {
        err = labs_choose(node, exporting, txn, labs, ret_bad);
    } else if (labs != NULL) {
        *ret_bad = ERR_USAGE;
    }
    if (err != ERR_OK || *ret_bad != ERR_OK) {
        export_drop(client);
    }
    return err;
}

static enum err part_answer(struct client *client, uint32_t id, bool *ret_next)
{
    struct exporting *exporting = client->exporting;
    struct link *link = exporting->link;
    struct buf *out = client_out(client);
    if (out == NULL || link->out.err != ERR_OK) {
        return ERR_NOMEM;
    }
    size_t size = link->out.size < PART_SIZE_MAX ? link->out.size : PART_SIZE_MAX;
    *ret_next = exporting->phase != PHASE_OVER || size < link->out.size;
    uint64_t sent = link->entries_sent;
    ctl_put_response(out, id);
    pack_map(out, 5);
    pack_cstr(out, "entries");
    pack_uint(out, sent);
    pack_cstr(out, "missing");
    pack_uint(out, link->nothing_sent);
    pack_cstr(out, "next");
    pack_bool(out, *ret_next);
    pack_cstr(out, "part");
    pack_bin(out, bytes_of(link->out.data, size));
    pack_cstr(out, "total");
    pack_uint(out, exporting->total > sent ? exporting->total : sent);
    buf_shift(&link->out, size);
    return ERR_OK;
}

enum err export_answer(struct node *node, struct client *client, struct txn *txn,
                       const struct ctl_msg *msg)
{
    const msgpack_object *labs = ctl_get(&msg->params, "labs");
    enum err bad = ERR_OK;
    enum err err = ERR_OK;
    if (labs != NULL) {
        export_drop(client); /* begins anew */
    }
    if (client->exporting == NULL) {
        err = export_begin(node, client, txn, labs, &bad);
    }
    if (err != ERR_OK || bad != ERR_OK) {
        if (err == ERR_OK) {
            client_error(client, msg->id, bad, "labs",
                         bad == ERR_NOT_FOUND ? "no lab of that name is known"
                         : bad == ERR_USAGE   ? "labs is an array of names"
                                              : NULL);
        }
        return err;
    }
    struct exporting *exporting = client->exporting;
    while (err == ERR_OK && exporting->phase != PHASE_OVER && link_room(exporting->link) > 0) {
        err = export_step(node, exporting, txn);
    }
    bool next = false;
    if (err == ERR_OK) {
        err = part_answer(client, msg->id, &next);
    }
    if (err != ERR_OK || !next) {
        export_drop(client);
    }
    return err;
}
