/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/plan.c: how a catalogue changes: the change list, what it will add up to, and writing it.
 *
 * Happy path: change_add for each new or withdrawn entry, change_settle (sorted by slug hash, one
 * change a slug), catalogue_plan, a comparison with the signed head by the caller, catalogue_apply.
 * The plan reads the rows of touched buckets only, and checks the stored digests on the way: bit
 * rot in them is ERR_CORRUPT and never signed into a new head. An apply that fails half way spoils
 * its transaction.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "store/catalogue.h"
#include "store/ledger.h"
#include "store/rows.h"

#define CHANGE_COUNT_MIN 16
#define CHANGE_COUNT_MAX (1u << 22)
/* Up to here the bodies of a list are hashed once more before they become visible. */
#define REHASH_COUNT_MAX 512

/* ---- the change list ---- */

enum err change_add(struct change_list *list, const struct change *change)
{
    if (list->count == list->cap) {
        if (list->count >= CHANGE_COUNT_MAX) {
            return ERR_SIZE;
        }
        size_t cap = list->cap < CHANGE_COUNT_MIN ? CHANGE_COUNT_MIN : list->cap * 2;
        struct change *items = realloc(list->items, cap * sizeof *items);
        if (items == NULL) {
            return ERR_NOMEM;
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = *change;
    return ERR_OK;
}

void change_done(struct change_list *list)
{
    if (list != NULL) {
        free(list->items);
        *list = (struct change_list){0};
    }
}

static int slug_order(const struct slug_hash *a, const struct slug_hash *b)
{
    return memcmp(a->bytes, b->bytes, SLUG_HASH_SIZE);
}

static int change_order(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int order = slug_order(&x->slug_hash, &y->slug_hash);
    if (order == 0) {
        order = (x->order > y->order) - (x->order < y->order);
    }
    return order != 0 ? order : (x->seq > y->seq) - (x->seq < y->seq);
}

/* By bucket first, in place, each item moved once: then every bucket fits the nearest cache. */
static void change_sort(struct change_list *list)
{
    size_t next[BUCKET_COUNT] = {0}, end[BUCKET_COUNT];
    for (size_t i = 0; i < list->count; i++) {
        next[bucket_of(&list->items[i].slug_hash)]++;
    }
    size_t sum = 0;
    for (size_t bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        size_t count = next[bucket];
        next[bucket] = sum;
        sum += count;
        end[bucket] = sum;
    }
    size_t start = 0;
    for (size_t bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        while (next[bucket] < end[bucket]) {
            struct change *item = &list->items[next[bucket]];
            size_t home = bucket_of(&item->slug_hash);
            if (home == bucket) {
                next[bucket]++;
                continue;
            }
            struct change *other = &list->items[next[home]++];
            struct change moved = *other;
            *other = *item;
            *item = moved;
        }
        qsort(&list->items[start], end[bucket] - start, sizeof *list->items, change_order);
        start = end[bucket];
    }
}

enum err change_settle(struct change_list *list, struct buf *dropped)
{
    if (list->count == 0) {
        return ERR_OK;
    }
    change_sort(list);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct change *item = &list->items[i];
        bool last = i + 1 == list->count ||
                    slug_order(&item->slug_hash, &list->items[i + 1].slug_hash) != 0;
        if (last) {
            list->items[kept++] = *item;
        } else if (dropped != NULL && item->size > 0) {
            uint8_t seq[SEQ_KEY_SIZE];
            buf_put(dropped, rows_seq(seq, item->seq));
        }
    }
    list->count = kept;
    return dropped != NULL ? dropped->err : ERR_OK;
}

/* ---- planning ---- */

struct planning {
    struct plan *plan;
    struct digests held; /* as stored */
    struct hash root;    /* of the held head */
    bool fresh;          /* no head yet */
    struct cursor slugs;
    uint32_t id;
    struct buf old_pairs, new_pairs;
};

static void planning_done(struct planning *planning)
{
    cursor_close(&planning->slugs);
    buf_done(&planning->old_pairs);
    buf_done(&planning->new_pairs);
}

static void pair_put(struct buf *pairs, const uint8_t *slug_hash, const uint8_t *leaf)
{
    uint8_t *at = buf_extend(pairs, PAIR_SIZE);
    if (at != NULL) {
        memcpy(at, slug_hash, SLUG_HASH_SIZE);
        memcpy(at + SLUG_HASH_SIZE, leaf, HASH_SIZE);
    }
}

/* A change meets the row of its slug, or none (old NULL). */
static enum err plan_change(struct planning *planning, const struct change *change,
                            const struct slug_row *old)
{
    struct plan *plan = planning->plan;
    if (old != NULL) {
        if (plan->count == 0 || plan->bytes < old->size) {
            return ERR_CORRUPT;
        }
        plan->count--;
        plan->bytes -= old->size;
    }
    if (change->size == 0) {
        plan->withdrawn += old != NULL;
        return ERR_OK;
    }
    plan->count++;
    plan->bytes += change->size;
    plan->created += old == NULL;
    plan->replaced += old != NULL;
    pair_put(&planning->new_pairs, change->slug_hash.bytes, change->leaf.bytes);
    return ERR_OK;
}

/* The next row of the bucket: ERR_NOT_FOUND behind its last one. */
static enum err bucket_row(struct planning *planning, const struct row *row, unsigned bucket,
                           struct slug_row *ret_row)
{
    enum err err = rows_own(row->key, SLUG_KEY_SIZE, planning->id);
    if (err == ERR_OK && row->key.data[4] != bucket) {
        err = ERR_NOT_FOUND;
    }
    if (err == ERR_OK) {
        err = rows_slug_get(row->value, ret_row);
    }
    if (err == ERR_OK) {
        pair_put(&planning->old_pairs, row->key.data + 4, ret_row->leaf.bytes);
    }
    return err;
}

static int row_order(const struct change *change, const struct row *row)
{
    return memcmp(change->slug_hash.bytes, row->key.data + 4, SLUG_HASH_SIZE);
}

/* Merges `count` changes of one bucket with its rows. */
static enum err plan_bucket(struct planning *planning, const struct change *items, size_t count)
{
    unsigned bucket = bucket_of(&items->slug_hash);
    struct hash *digest = &planning->plan->digests.buckets[bucket];
    struct slug_hash first = {.bytes = {(uint8_t) bucket}};
    struct slug_row old;
    struct row row;
    uint8_t key[SLUG_KEY_SIZE];
    size_t i = 0;
    buf_clear(&planning->old_pairs);
    buf_clear(&planning->new_pairs);
    enum err err = cursor_seek(&planning->slugs, rows_slug(key, planning->id, &first), &row);
    for (; err == ERR_OK; err = cursor_next(&planning->slugs, &row)) {
        err = bucket_row(planning, &row, bucket, &old);
        int order = -1; /* of the next change against this row */
        while (err == ERR_OK && i < count && (order = row_order(&items[i], &row)) < 0) {
            err = plan_change(planning, &items[i++], NULL);
        }
        if (err != ERR_OK) {
            break;
        }
        if (i < count && order == 0) {
            err = plan_change(planning, &items[i++], &old);
        } else {
            pair_put(&planning->new_pairs, row.key.data + 4, old.leaf.bytes);
        }
        if (err != ERR_OK) {
            break;
        }
    }
    err = err == ERR_NOT_FOUND ? ERR_OK : err;
    while (err == ERR_OK && i < count) {
        err = plan_change(planning, &items[i++], NULL);
    }
    err = err == ERR_OK ? planning->old_pairs.err : err;
    err = err == ERR_OK ? planning->new_pairs.err : err;
    if (err != ERR_OK) {
        return err;
    }
    struct hash stored = bucket_digest(buf_bytes(&planning->old_pairs));
    if (memcmp(stored.bytes, digest->bytes, HASH_SIZE) != 0) {
        return ERR_CORRUPT;
    }
    *digest = bucket_digest(buf_bytes(&planning->new_pairs));
    return ERR_OK;
}

/* What is held now: digests, count, bytes. */
static enum err plan_begin(struct txn *txn, struct planning *planning)
{
    struct held_head held;
    struct plan *plan = planning->plan;
    enum err err = catalogue_head(txn, planning->id, &held);
    planning->fresh = err == ERR_NOT_FOUND;
    if (planning->fresh) {
        digests_init(&planning->held);
        err = ERR_OK;
    } else if (err == ERR_OK) {
        plan->count = held.head.count;
        plan->bytes = held.head.bytes;
        planning->root = held.head.root;
        err = rows_digests(txn, planning->id, &planning->held);
    }
    plan->digests = planning->held;
    return err == ERR_OK ? cursor_open(txn, TABLE_SLUGS, &planning->slugs) : err;
}

/* Both roots at once, the held and the new one: where nothing changed they share the work. */
static enum err plan_end(struct planning *planning)
{
    struct digests old = planning->held, new = planning->plan->digests;
    for (size_t count = BUCKET_COUNT / 2; count > 0; count /= 2) {
        for (size_t i = 0; i < count; i++) {
            const struct hash *left = &new.buckets[2 * i], *right = &new.buckets[2 * i + 1];
            const struct hash *old_left = &old.buckets[2 * i], *old_right = old_left + 1;
            struct hash node =
                hash_of_two(TAG_NODE, BYTES_OF_ARRAY(left->bytes), BYTES_OF_ARRAY(right->bytes));
            bool same = memcmp(left, old_left, sizeof *left) == 0 &&
                        memcmp(right, old_right, sizeof *right) == 0;
            old.buckets[i] = same ? node
                                  : hash_of_two(TAG_NODE, BYTES_OF_ARRAY(old_left->bytes),
                                                BYTES_OF_ARRAY(old_right->bytes));
            new.buckets[i] = node;
        }
    }
    planning->plan->root = new.buckets[0];
    bool held = memcmp(old.buckets[0].bytes, planning->root.bytes, HASH_SIZE) == 0;
    return planning->fresh || held ? ERR_OK : ERR_CORRUPT;
}

enum err catalogue_plan(struct txn *txn, uint32_t id, const struct change_list *list,
                        struct plan *ret_plan)
{
    struct plan plan = {0};
    defer(planning_done) struct planning planning = {.plan = &plan, .id = id};
    enum err err = plan_begin(txn, &planning);
    for (size_t i = 0; i < list->count && err == ERR_OK;) {
        size_t end = i + 1;
        while (end < list->count &&
               bucket_of(&list->items[end].slug_hash) == bucket_of(&list->items[i].slug_hash)) {
            must(slug_order(&list->items[end - 1].slug_hash, &list->items[end].slug_hash) < 0);
            end++;
        }
        err = plan_bucket(&planning, &list->items[i], end - i);
        i = end;
    }
    if (err == ERR_OK) {
        err = plan_end(&planning);
    }
    if (err == ERR_OK) {
        *ret_plan = plan;
    }
    return err;
}

/* ---- applying ---- */

struct applying {
    struct txn *txn;
    const struct apply *apply;
    struct cursor slugs, revs, gone, bodies;
    struct buf dropped; /* seqs of replaced and withdrawn bodies */
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

static enum err gone_put(struct applying *applying, const struct slug_hash *slug_hash)
{
    const struct apply *apply = applying->apply;
    uint8_t key[GONE_KEY_SIZE], now[8];
    be64_put(now, apply->now_s);
    return cursor_put(&applying->gone, rows_rev(key, apply->id, apply->head->n, slug_hash),
                      BYTES_OF_ARRAY(now));
}

static enum err slug_withdraw(struct applying *applying, const struct change *change)
{
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
    } else if (err == ERR_NOT_FOUND) {
        err = ERR_OK;
    }
    /* Also when it was not here: others may still hold it, and hear of it from us. */
    return err == ERR_OK ? gone_put(applying, &change->slug_hash) : err;
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
    uint32_t *order = malloc(list->count * sizeof *order);
    if (order == NULL && list->count > 0) {
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

static enum err apply_hints(struct applying *applying)
{
    struct bytes hints = applying->apply->hints;
    enum err err = ERR_OK;
    for (size_t at = 0; at < hints.size && err == ERR_OK; at += SLUG_HASH_SIZE) {
        struct slug_hash slug_hash;
        memcpy(slug_hash.bytes, hints.data + at, SLUG_HASH_SIZE);
        err = gone_put(applying, &slug_hash);
    }
    return err;
}

static enum err apply_hashes(struct applying *applying)
{
    const struct apply *apply = applying->apply;
    uint8_t key[N_KEY_SIZE];
    uint64_t n = apply->opening_from;
    defer(cursor_close) struct cursor hashes = {0};
    enum err err = cursor_open(applying->txn, TABLE_HASHES, &hashes);
    for (size_t at = 0; at < apply->opening.size && err == ERR_OK; at += HASH_SIZE) {
        err = cursor_put(&hashes, rows_n(key, apply->id, n++),
                         bytes_of(apply->opening.data + at, HASH_SIZE));
    }
    if (err == ERR_OK) {
        err = cursor_put(&hashes, rows_n(key, apply->id, apply->head->n),
                         BYTES_OF_ARRAY(apply->head->hash.bytes));
    }
    return err;
}

static enum err apply_head(struct applying *applying, uint64_t *ret_arrival)
{
    const struct apply *apply = applying->apply;
    uint8_t key_bytes[ID_KEY_SIZE];
    struct bytes key = rows_id(key_bytes, apply->id), old;
    struct arrival arrival = {.is_head = true, .catalogue = apply->id, .from = apply->from};
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
    if (err == ERR_OK) {
        err = apply_slugs(applying);
    }
    if (err == ERR_OK) {
        err = apply_revs(applying);
    }
    if (err == ERR_OK) {
        err = apply_hints(applying);
    }
    if (err == ERR_OK) {
        err = apply_hashes(applying);
    }
    if (err == ERR_OK) {
        err = rows_digests_put(txn, apply->id, &apply->plan->digests);
    }
    if (err == ERR_OK) {
        err = bodies_drop(txn, &applying->dropped);
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
    must(apply->hints.size % SLUG_HASH_SIZE == 0);
    must(apply->opening.size % HASH_SIZE == 0);
    must(apply->opening.size == 0 ||
         apply->opening_from + apply->opening.size / HASH_SIZE == head->n);
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
