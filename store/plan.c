/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/plan.c: how a catalogue will change: the change list, and what it will add up to.
 *
 * Happy path: change_add for each new or withdrawn entry, change_settle (sorted by slug hash, one
 * change a slug), catalogue_plan, a comparison with the signed head by the caller, catalogue_apply
 * (apply.c). The plan reads the rows of touched buckets only, and checks the stored digests on the
 * way: bit rot in them is ERR_CORRUPT and never signed into a new head.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "store/catalogue.h"
#include "store/rows.h"

#define CHANGE_COUNT_MIN 16
#define CHANGE_COUNT_MAX (1u << 22)

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

/* Merges `count` changes of one bucket with its rows; new_pairs is what it becomes. */
static enum err plan_bucket(struct planning *planning, unsigned bucket, const struct change *items,
                            size_t count)
{
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

/* The index of the first change behind those of item `i`'s bucket. */
static size_t bucket_end(const struct change_list *list, size_t i)
{
    size_t end = i + 1;
    while (end < list->count &&
           bucket_of(&list->items[end].slug_hash) == bucket_of(&list->items[i].slug_hash)) {
        must(slug_order(&list->items[end - 1].slug_hash, &list->items[end].slug_hash) < 0);
        end++;
    }
    return end;
}

enum err catalogue_plan(struct txn *txn, uint32_t id, const struct change_list *list,
                        struct plan *ret_plan)
{
    struct plan plan = {0};
    defer(planning_done) struct planning planning = {.plan = &plan, .id = id};
    enum err err = plan_begin(txn, &planning);
    for (size_t i = 0; i < list->count && err == ERR_OK;) {
        size_t end = bucket_end(list, i);
        unsigned bucket = bucket_of(&list->items[i].slug_hash);
        err = plan_bucket(&planning, bucket, &list->items[i], end - i);
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

enum err catalogue_pairs(struct txn *txn, uint32_t id, const struct change_list *list,
                         unsigned bucket, struct buf *pairs)
{
    must(bucket < BUCKET_COUNT);
    struct plan plan = {0};
    defer(planning_done) struct planning planning = {.plan = &plan, .id = id};
    size_t first = 0, count = list != NULL ? list->count : 0;
    for (size_t behind = count; first < behind;) {
        size_t middle = first + (behind - first) / 2;
        bool below = bucket_of(&list->items[middle].slug_hash) < bucket;
        first = below ? middle + 1 : first;
        behind = below ? behind : middle;
    }
    bool touched = first < count && bucket_of(&list->items[first].slug_hash) == bucket;
    enum err err = plan_begin(txn, &planning);
    if (err == ERR_OK) {
        err = plan_bucket(&planning, bucket, touched ? &list->items[first] : NULL,
                          touched ? bucket_end(list, first) - first : 0);
    }
    if (err == ERR_OK) {
        buf_put(pairs, buf_bytes(&planning.new_pairs));
        err = pairs->err;
    }
    return err;
}

enum err change_plan(const struct change_list *list, struct plan *ret_plan)
{
    struct plan plan = {0};
    defer(planning_done) struct planning planning = {.plan = &plan};
    enum err err = ERR_OK;
    digests_init(&plan.digests);
    for (size_t i = 0; i < list->count && err == ERR_OK;) {
        size_t end = bucket_end(list, i);
        unsigned bucket = bucket_of(&list->items[i].slug_hash);
        buf_clear(&planning.new_pairs);
        for (; i < end && err == ERR_OK; i++) {
            err = plan_change(&planning, &list->items[i], NULL);
        }
        err = err == ERR_OK ? planning.new_pairs.err : err;
        plan.digests.buckets[bucket] = bucket_digest(buf_bytes(&planning.new_pairs));
    }
    if (err == ERR_OK) {
        plan.root = digests_root(&plan.digests);
        *ret_plan = plan;
    }
    return err;
}
