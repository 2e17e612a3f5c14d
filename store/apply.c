/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/apply.c: a settled and planned change list is written.
 *
 * Happy path: the bodies are there, then the chain of heads, slugs with their hints, the order of
 * revisions, digests, the head with its arrival; bodies that nothing points to any more are
 * dropped. An apply that fails half way spoils its transaction.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "proto/opening.h"
#include "store/catalogue.h"
#include "store/ledger.h"
#include "store/receipts.h"
#include "store/rows.h"

/* Up to here the bodies of a list are hashed once more before they become visible. */
#define REHASH_COUNT_MAX 512

struct applying {
    struct txn *txn;
    const struct apply *apply;
    struct cursor slugs, revs, gone, bodies;
    struct buf dropped; /* seqs of replaced and withdrawn bodies */
    uint64_t parted;    /* the first head that was another before */
    uint64_t created, replaced, withdrawn;
};

static void applying_done(struct applying *applying)
{
    cursor_close(&applying->slugs);
    cursor_close(&applying->revs);
    cursor_close(&applying->gone);
    cursor_close(&applying->bodies);
    buf_done(&applying->dropped);
}

/* The old entry of a slug leaves the delta order, and its body the store. */
static enum err forget(struct applying *applying, const struct change *change,
                       const struct slug_row *old)
{
    uint8_t key[REV_KEY_SIZE], seq[SEQ_KEY_SIZE];
    struct bytes value;
    enum err err = cursor_at(
        &applying->revs, rows_rev(key, applying->apply->id, old->rev, &change->slug_hash), &value);
    if (err == ERR_OK) {
        err = cursor_del(&applying->revs);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) { /* not there: bit rot, gone is what we want */
        return err;
    }
    if (change->size == 0 || old->seq != change->seq) {
        buf_put(&applying->dropped, rows_seq(seq, old->seq));
    }
    return applying->dropped.err;
}

static enum err slug_publish(struct applying *applying, const struct change *change)
{
    uint8_t key_bytes[SLUG_KEY_SIZE], value[SLUG_VALUE_SIZE];
    struct bytes key = rows_slug(key_bytes, applying->apply->id, &change->slug_hash);
    struct slug_row row = {
        .rev = change->rev, .seq = change->seq, .size = change->size, .leaf = change->leaf};
    struct slug_row old;
    struct bytes old_value;
    rows_slug_put(value, &row);
    enum err err = cursor_put_new(&applying->slugs, key, BYTES_OF_ARRAY(value), &old_value);
    if (err != ERR_EXISTS) {
        applying->created++;
        return err;
    }
    applying->replaced++;
    err = rows_slug_get(old_value, &old);
    if (err == ERR_OK) {
        err = cursor_put_here(&applying->slugs, key, BYTES_OF_ARRAY(value));
    }
    return err == ERR_OK ? forget(applying, change, &old) : err;
}

static enum err gone_put(struct applying *applying, const struct slug_hash *slug_hash,
                         const struct hash *leaf)
{
    const struct apply *apply = applying->apply;
    struct hint hint = hash_hint(slug_hash, leaf);
    uint8_t key[GONE_KEY_SIZE], now[8];
    be64_put(now, apply->now_s);
    return cursor_put(&applying->gone, rows_gone(key, apply->id, apply->head->n, &hint),
                      BYTES_OF_ARRAY(now));
}

static enum err went_put(const struct applying *applying, const struct slug_hash *slug_hash)
{
    struct buf *went = applying->apply->went;
    uint8_t row[SLUG_KEY_SIZE];
    if (went == NULL) {
        return ERR_OK;
    }
    buf_put(went, rows_slug(row, applying->apply->id, slug_hash));
    return went->err;
}

static enum err slug_withdraw(struct applying *applying, const struct change *change)
{
    static const struct hash none;
    uint8_t key[SLUG_KEY_SIZE];
    struct bytes value;
    struct slug_row old;
    enum err err = cursor_at(&applying->slugs,
                             rows_slug(key, applying->apply->id, &change->slug_hash), &value);
    if (err == ERR_OK) {
        applying->withdrawn++;
        err = rows_slug_get(value, &old);
        if (err == ERR_OK) {
            err = cursor_del(&applying->slugs);
        }
        if (err == ERR_OK) {
            err = forget(applying, change, &old);
        }
        if (err == ERR_OK) {
            err = gone_put(applying, &change->slug_hash, &old.leaf);
        }
        if (err == ERR_OK) {
            err = went_put(applying, &change->slug_hash);
        }
    } else if (err == ERR_NOT_FOUND) {
        err = ERR_OK;
    }
    /* Also when it was not here: others may still hold it, and hear of it from us. */
    bool known = memcmp(change->leaf.bytes, none.bytes, HASH_SIZE) != 0;
    return err == ERR_OK && known ? gone_put(applying, &change->slug_hash, &change->leaf) : err;
}

static enum err apply_slugs(struct applying *applying)
{
    const struct change_list *list = applying->apply->list;
    enum err err = ERR_OK;
    for (size_t i = 0; i < list->count && err == ERR_OK; i++) {
        const struct change *change = &list->items[i];
        err = change->size > 0 ? slug_publish(applying, change) : slug_withdraw(applying, change);
    }
    return err;
}

static int rev_order(const void *a, const void *b, void *context)
{
    const struct change *items = context;
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    if (items[x].rev != items[y].rev) {
        return items[x].rev < items[y].rev ? -1 : 1;
    }
    return (x > y) - (x < y); /* the list is in slug order */
}

static enum err body_there(struct applying *applying, const struct change *change)
{
    const struct apply *apply = applying->apply;
    const struct slug_row row = {.seq = change->seq, .size = change->size, .leaf = change->leaf};
    uint8_t key[SEQ_KEY_SIZE];
    struct bytes value, entry = {0};
    uint32_t owner = 0;
    if (apply->list->count <= REHASH_COUNT_MAX) {
        return rows_entry(&applying->bodies, apply->id, &row, &entry);
    }
    enum err err = cursor_at(&applying->bodies, rows_seq(key, change->seq), &value);
    if (err == ERR_OK) {
        err = rows_body(value, &owner, &entry);
    }
    bool wrong = err == ERR_NOT_FOUND ||
                 (err == ERR_OK && (owner != apply->id || entry.size != change->size));
    return wrong ? ERR_CORRUPT : err;
}

static int seq_order(const void *a, const void *b, void *context)
{
    const struct change *items = context;
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (items[x].seq > items[y].seq) - (items[x].seq < items[y].seq);
}

/* What becomes visible must be there: a seq from a transaction that was undone may stand for
 * another body by now. In the order of their seqs, page after page. */
static enum err apply_bodies(struct applying *applying)
{
    const struct change_list *list = applying->apply->list;
    uint32_t *order = malloc((list->count + 1) * sizeof *order);
    if (order == NULL) {
        return ERR_NOMEM;
    }
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].size > 0) {
            order[count++] = (uint32_t) i;
        }
    }
    qsort_r(order, count, sizeof *order, seq_order, list->items);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = body_there(applying, &list->items[order[i]]);
    }
    free(order);
    return err;
}

/* Delta order, so that rows of `revs` are put in the order of their keys. */
static enum err apply_revs(struct applying *applying)
{
    const struct change_list *list = applying->apply->list;
    uint32_t *order = malloc((list->count + 1) * sizeof *order);
    if (order == NULL) {
        return ERR_NOMEM;
    }
    size_t count = 0;
    bool sorted = true;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].size > 0) {
            sorted =
                sorted && (count == 0 || list->items[order[count - 1]].rev <= list->items[i].rev);
            order[count++] = (uint32_t) i;
        }
    }
    if (!sorted) {
        qsort_r(order, count, sizeof *order, rev_order, list->items);
    }
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        const struct change *change = &list->items[order[i]];
        uint8_t key[REV_KEY_SIZE], seq[SEQ_KEY_SIZE];
        err = cursor_put(&applying->revs,
                         rows_rev(key, applying->apply->id, change->rev, &change->slug_hash),
                         rows_seq(seq, change->seq));
    }
    free(order);
    return err;
}

/* ---- the chain of heads ---- */

static enum err chain_append(struct applying *applying, struct cursor *hashes)
{
    const struct apply *apply = applying->apply;
    uint8_t key[N_KEY_SIZE];
    uint64_t n = apply->opening_from;
    enum err err = ERR_OK;
    for (size_t at = 0; at < apply->opening.size && err == ERR_OK; at += HASH_SIZE) {
        err = cursor_put(hashes, rows_n(key, apply->id, n++),
                         bytes_of(apply->opening.data + at, HASH_SIZE));
    }
    if (err == ERR_OK) {
        err = cursor_put(hashes, rows_n(key, apply->id, apply->head->n),
                         BYTES_OF_ARRAY(apply->head->hash.bytes));
    }
    return err;
}

/* Deletes rows of this catalogue from `key` (of `size` bytes, the id first) on. */
static enum err rows_forget(struct cursor *cursor, struct bytes key, uint32_t id)
{
    struct row row;
    enum err err = cursor_seek(cursor, key, &row);
    while (err == ERR_OK) {
        err = rows_own(row.key, key.size, id);
        if (err == ERR_OK) {
            err = cursor_del(cursor);
        }
        if (err == ERR_OK) {
            err = cursor_seek(cursor, key, &row);
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* One walk along the held rows and the opening together: written is what differs. */
static enum err chain_replace(struct applying *applying, struct cursor *hashes)
{
    const struct apply *apply = applying->apply;
    uint8_t key_bytes[N_KEY_SIZE];
    struct row row = {0};
    struct bytes key = rows_n(key_bytes, apply->id, 1);
    enum err held = cursor_seek(hashes, key, &row);
    for (uint64_t n = 1; n <= apply->head->n && (held == ERR_OK || held == ERR_NOT_FOUND); n++) {
        struct bytes hash = n == apply->head->n
                                ? BYTES_OF_ARRAY(apply->head->hash.bytes)
                                : bytes_of(apply->opening.data + (n - 1) * HASH_SIZE, HASH_SIZE);
        key = rows_n(key_bytes, apply->id, n);
        if (held != ERR_OK || !bytes_equal(row.key, key) || !bytes_equal(row.value, hash)) {
            enum err err = cursor_put(hashes, key, hash);
            if (err != ERR_OK) {
                return err;
            }
            applying->parted = applying->parted == 0 ? n : applying->parted;
        }
        held = held == ERR_OK ? cursor_next(hashes, &row) : held;
    }
    if (held != ERR_OK || apply->head->n == UINT64_MAX) {
        return held == ERR_NOT_FOUND ? ERR_OK : held;
    }
    return rows_forget(hashes, rows_n(key_bytes, apply->id, apply->head->n + 1), apply->id);
}

/* The chain's hash for a row of `sides`, or NULL. */
static const uint8_t *side_hash(const struct opening *chain, struct bytes key)
{
    uint64_t merge = be64_get(key.data + 4), n = be64_get(key.data + 12);
    for (unsigned i = 0; chain != NULL && i < chain->side_count; i++) {
        const struct side *side = &chain->sides[i];
        if (side->n == merge && n >= side->k && n - side->k < side->count) {
            return chain->side_hashes.data + side->at + (n - side->k) * HASH_SIZE;
        }
    }
    return NULL;
}

/* Forgets the rows of `sides` that are not the chain's. */
static enum err sides_forget(struct applying *applying, struct cursor *sides)
{
    const struct apply *apply = applying->apply;
    uint8_t key[SIDE_KEY_SIZE];
    struct row row;
    enum err err = cursor_seek(sides, rows_side(key, apply->id, 0, 0), &row);
    while (err == ERR_OK) {
        err = rows_own(row.key, SIDE_KEY_SIZE, apply->id);
        if (err != ERR_OK) {
            break;
        }
        memcpy(key, row.key.data, SIDE_KEY_SIZE);
        const uint8_t *wanted = side_hash(apply->chain, BYTES_OF_ARRAY(key));
        if (wanted != NULL && bytes_equal(row.value, bytes_of(wanted, HASH_SIZE))) {
            err = cursor_next(sides, &row);
            continue;
        }
        err = cursor_del(sides);
        if (err == ERR_OK) {
            err = cursor_seek(sides, BYTES_OF_ARRAY(key), &row);
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err sides_put(struct applying *applying, struct cursor *sides)
{
    const struct opening *chain = applying->apply->chain;
    uint8_t key[SIDE_KEY_SIZE];
    struct bytes old;
    enum err err = ERR_OK;
    for (unsigned i = 0; i < chain->side_count; i++) {
        const struct side *side = &chain->sides[i];
        for (uint64_t j = 0; j < side->count && err == ERR_OK; j++) {
            struct bytes hash =
                bytes_of(chain->side_hashes.data + side->at + j * HASH_SIZE, HASH_SIZE);
            struct bytes at = rows_side(key, applying->apply->id, side->n, side->k + j);
            err = cursor_put_new(sides, at, hash, &old);
            if (err == ERR_EXISTS) {
                err = bytes_equal(old, hash) ? ERR_OK : cursor_put(sides, at, hash);
            }
        }
    }
    return err;
}

/* Hints of withdrawals at heads that are no more: what went there may stand now. */
static enum err hints_forget(struct applying *applying)
{
    const struct apply *apply = applying->apply;
    static const struct hint first;
    uint8_t key[GONE_KEY_SIZE];
    if (applying->parted == 0 && apply->head->n == UINT64_MAX) {
        return ERR_OK;
    }
    uint64_t from = applying->parted > 0 ? applying->parted : apply->head->n + 1;
    return rows_forget(&applying->gone, rows_gone(key, apply->id, from, &first), apply->id);
}

static enum err apply_chain(struct applying *applying)
{
    const struct apply *apply = applying->apply;
    defer(cursor_close) struct cursor hashes = {0};
    defer(cursor_close) struct cursor sides = {0};
    enum err err = cursor_open(applying->txn, TABLE_HASHES, &hashes);
    if (err == ERR_OK) {
        err = apply->replace ? chain_replace(applying, &hashes) : chain_append(applying, &hashes);
    }
    if (err != ERR_OK || (!apply->replace && apply->chain == NULL)) {
        return err;
    }
    err = cursor_open(applying->txn, TABLE_SIDES, &sides);
    if (err == ERR_OK && apply->replace) {
        err = sides_forget(applying, &sides);
    }
    if (err == ERR_OK && apply->chain != NULL) {
        err = sides_put(applying, &sides);
    }
    if (err == ERR_OK && apply->replace) {
        err = hints_forget(applying);
    }
    return err;
}

static enum err apply_head(struct applying *applying, uint64_t *ret_arrival)
{
    const struct apply *apply = applying->apply;
    uint8_t key_bytes[ID_KEY_SIZE];
    struct bytes key = rows_id(key_bytes, apply->id), old;
    struct arrival arrival = {.kind = ARRIVAL_HEAD, .catalogue = apply->id, .from = apply->from};
    uint64_t old_arrival = 0;
    enum err err = txn_get(applying->txn, TABLE_HEADS, key, &old);
    if (err == ERR_OK) {
        if (old.size < 8) {
            return ERR_CORRUPT;
        }
        old_arrival = be64_get(old.data);
    } else if (err != ERR_NOT_FOUND) {
        return err;
    }
    err = arrival_add(applying->txn, old_arrival, &arrival, &arrival.number);
    if (err != ERR_OK) {
        return err;
    }
    uint8_t value[8 + HEAD_SIZE_MAX];
    be64_put(value, arrival.number);
    bytes_copy(value + 8, apply->signed_head);
    err = txn_put(applying->txn, TABLE_HEADS, key, bytes_of(value, 8 + apply->signed_head.size));
    if (err == ERR_OK) {
        *ret_arrival = arrival.number;
    }
    return err;
}

/* Also where nothing of it was here: its lab waits to hear that it is gone. */
static enum err apply_withdrawals(struct applying *applying)
{
    const struct apply *apply = applying->apply;
    bool any = apply->hinted;
    for (size_t i = 0; i < apply->list->count && !any; i++) {
        any = apply->list->items[i].size == 0;
    }
    return any ? receipts_owe(applying->txn, apply->id, apply->head) : ERR_OK;
}

static enum err apply_all(struct applying *applying, uint64_t *ret_arrival)
{
    const struct apply *apply = applying->apply;
    struct txn *txn = applying->txn;
    enum err err = cursor_open(txn, TABLE_SLUGS, &applying->slugs);
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_REVS, &applying->revs);
    }
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_GONE, &applying->gone);
    }
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_BODIES, &applying->bodies);
    }
    if (err == ERR_OK) {
        err = apply_bodies(applying);
    }
    if (err == ERR_OK) { /* takes hints away, before others come */
        err = apply_chain(applying);
    }
    if (err == ERR_OK) {
        err = apply_slugs(applying);
    }
    if (err == ERR_OK) {
        err = apply_revs(applying);
    }
    if (err == ERR_OK) {
        err = rows_digests_put(txn, apply->id, &apply->plan->digests);
    }
    if (err == ERR_OK) {
        err = bodies_drop(txn, &applying->dropped);
    }
    if (err == ERR_OK) {
        err = apply_withdrawals(applying);
    }
    return err == ERR_OK ? apply_head(applying, ret_arrival) : err;
}

enum err catalogue_apply(struct txn *txn, const struct apply *apply, uint64_t *ret_arrival)
{
    const struct plan *plan = apply->plan;
    const struct head *head = apply->head;
    must(memcmp(plan->root.bytes, head->root.bytes, HASH_SIZE) == 0);
    must(plan->count == head->count);
    must(plan->bytes == head->bytes);
    must(head->n > 0);
    must(apply->signed_head.size > 0);
    must(apply->signed_head.size <= HEAD_SIZE_MAX);
    must(apply->opening.size % HASH_SIZE == 0);
    must((apply->opening.size == 0 && !apply->replace) ||
         apply->opening_from + apply->opening.size / HASH_SIZE == head->n);
    must(!apply->replace || apply->opening_from == 1);
    defer(applying_done) struct applying applying = {.txn = txn, .apply = apply};
    uint64_t arrival = 0;
    enum err err = apply_all(&applying, &arrival);
    if (err != ERR_OK) {
        return txn_spoil(txn, err);
    }
    must(applying.created == plan->created);
    must(applying.replaced == plan->replaced);
    must(applying.withdrawn == plan->withdrawn);
    *ret_arrival = arrival;
    return ERR_OK;
}
