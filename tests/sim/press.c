/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/press.c: written from doc/protocol.md, not from node/. */
#include "tests/sim/press.h"

#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "tests/sim/state.h"

#define SAY_SIZE 60000

void press_init(struct press *press, struct sim *sim, unsigned lab)
{
    *press = (struct press){.sim = sim, .lab = lab, .generation = 1};
}

void press_branch(const struct press *press, uint64_t n, struct press *ret_branch)
{
    press_init(ret_branch, press->sim, press->lab);
    ret_branch->generation = press->generation;
    ret_branch->cap = press->count + 1;
    ret_branch->items = calloc(ret_branch->cap, sizeof *ret_branch->items);
    must(ret_branch->items != NULL);
    for (size_t i = 0; i < press->count; i++) {
        const struct press_item *item = &press->items[i];
        if (item->rev > n) {
            continue;
        }
        struct press_item *copy = &ret_branch->items[ret_branch->count++];
        *copy = *item;
        copy->bytes = (struct buf){0};
        buf_put(&copy->bytes, buf_bytes(&item->bytes));
        copy->end = item->end > n ? 0 : item->end;
        copy->withdrawn = item->withdrawn && copy->end != 0;
    }
    for (uint64_t i = 1; i <= n; i++) {
        ret_branch->heads[i] = press->heads[i];
        buf_put(&ret_branch->signed_heads[i], buf_bytes(&press->signed_heads[i]));
    }
    ret_branch->n = n;
}

void press_done(struct press *press)
{
    for (size_t i = 0; i < press->count; i++) {
        buf_done(&press->items[i].bytes);
    }
    for (size_t n = 0; n <= PRESS_HEADS_MAX; n++) {
        buf_done(&press->signed_heads[n]);
    }
    free(press->items);
    *press = (struct press){0};
}

static void end(struct press *press, const struct slug_hash *slug, bool withdrawn)
{
    for (size_t i = 0; i < press->count; i++) {
        struct press_item *item = &press->items[i];
        if (item->end == 0 && memcmp(item->slug.bytes, slug->bytes, SLUG_HASH_SIZE) == 0) {
            item->end = press->n + 1;
            item->withdrawn = withdrawn;
        }
    }
}

static struct press_item *item_add(struct press *press, const struct slug_hash *slug, uint64_t rev)
{
    if (press->count == press->cap) {
        press->cap = press->cap == 0 ? 32 : press->cap * 2;
        press->items = realloc(press->items, press->cap * sizeof *press->items);
        must(press->items != NULL);
    }
    end(press, slug, false);
    press->items[press->count] = (struct press_item){.slug = *slug, .rev = rev};
    return &press->items[press->count++];
}

static void put(struct press *press, const char *slug, uint64_t rev, struct bytes body)
{
    struct slug_hash slug_hash = hash_slug(bytes_of_str(slug));
    struct press_item *item = item_add(press, &slug_hash, rev);
    struct entry entry = {
        .slug = bytes_of_str(slug), .kind = bytes_of_str("need"), .rev = rev, .body = body};
    must(entry_encode(&entry, &item->bytes) == ERR_OK);
}

void press_take(struct press *press, struct sim *sim, unsigned by, unsigned lab)
{
    struct txn *txn = NULL;
    uint32_t id = 0;
    struct held_head held;
    defer(buf_done) struct buf hashes = {0};
    press_init(press, sim, lab);
    must(txn_begin_read(sim->labs[by]->store, &txn) == ERR_OK);
    must(sim_find(sim, txn, lab, &id, &held) == ERR_OK);
    must(held.head.n <= PRESS_HEADS_MAX);
    must(catalogue_opening(txn, id, 1, (size_t) held.head.n, &hashes) == ERR_OK);
    for (uint64_t n = 1; n <= held.head.n; n++) {
        memcpy(press->heads[n].hash.bytes, hashes.data + (n - 1) * HASH_SIZE, HASH_SIZE);
    }
    press->n = held.head.n;
    press->generation = held.head.generation;
    press->heads[press->n] = held.head;
    buf_put(&press->signed_heads[press->n], held.signed_bytes);
    struct entry_cursor *cursor = NULL;
    must(entry_cursor_open(txn, id, 0, NULL, &cursor) == ERR_OK);
    struct bytes entry;
    uint64_t rev = 0;
    struct slug_hash slug;
    while (entry_cursor_next(cursor, &entry, &rev, &slug) == ERR_OK) {
        buf_put(&item_add(press, &slug, rev)->bytes, entry);
    }
    entry_cursor_close(cursor);
    txn_end(txn);
}

void press_put(struct press *press, const char *slug, unsigned salt, size_t size)
{
    defer(buf_done) struct buf text = {0};
    defer(buf_done) struct buf body = {0};
    do {
        buf_printf(&text, "essaimage %u.0 ", salt);
    } while (text.size < size);
    pack_map(&body, 2);
    pack_cstr(&body, "summary");
    pack_str(&body, buf_bytes(&text));
    pack_cstr(&body, "title");
    pack_cstr(&body, "Fiche");
    put(press, slug, press->n + 1, buf_bytes(&body));
}

void press_put_rev(struct press *press, const char *slug, uint64_t rev)
{
    defer(buf_done) struct buf body = {0};
    pack_map(&body, 0);
    put(press, slug, rev, buf_bytes(&body));
}

void press_drop(struct press *press, const char *slug)
{
    struct slug_hash slug_hash = hash_slug(bytes_of_str(slug));
    end(press, &slug_hash, true);
}

/* ---- heads ---- */

static int slug_order(const void *a, const void *b)
{
    const struct press_item *const *x = a;
    const struct press_item *const *y = b;
    return memcmp((*x)->slug.bytes, (*y)->slug.bytes, SLUG_HASH_SIZE);
}

static int rev_order(const void *a, const void *b)
{
    const struct press_item *const *x = a;
    const struct press_item *const *y = b;
    if ((*x)->rev != (*y)->rev) {
        return (*x)->rev < (*y)->rev ? -1 : 1;
    }
    return slug_order(a, b);
}

static bool live_at(const struct press_item *item, uint64_t n)
{
    return item->rev <= n && (item->end == 0 || item->end > n);
}

/* The live items, by slug hash; to be freed. */
static const struct press_item **live_items(const struct press *press, size_t *ret_count)
{
    const struct press_item **live = calloc(press->count + 1, sizeof *live);
    must(live != NULL);
    size_t count = 0;
    for (size_t i = 0; i < press->count; i++) {
        if (press->items[i].end == 0) {
            live[count++] = &press->items[i];
        }
    }
    qsort(live, count, sizeof *live, slug_order);
    *ret_count = count;
    return live;
}

void press_digests(const struct press *press, struct digests *ret_digests)
{
    size_t count = 0;
    const struct press_item **live = live_items(press, &count);
    digests_init(ret_digests);
    for (size_t at = 0; at < count;) {
        unsigned bucket = bucket_of(&live[at]->slug);
        defer(buf_done) struct buf pairs = {0};
        for (; at < count && bucket_of(&live[at]->slug) == bucket; at++) {
            struct hash leaf = entry_leaf(buf_bytes(&live[at]->bytes));
            buf_put(&pairs, BYTES_OF_ARRAY(live[at]->slug.bytes));
            buf_put(&pairs, BYTES_OF_ARRAY(leaf.bytes));
        }
        ret_digests->buckets[bucket] = bucket_digest(buf_bytes(&pairs));
    }
    free(live);
}

struct head press_head(const struct press *press)
{
    uint64_t n = press->n + 1;
    struct head head = {.lab = *sim_id(press->sim, press->lab),
                        .generation = press->generation,
                        .audience = "public",
                        .n = n,
                        .issued_at = 1767225600};
    for (size_t i = 0; i < press->count; i++) {
        if (press->items[i].end == 0) {
            head.count++;
            head.bytes += press->items[i].bytes.size;
        }
    }
    struct digests digests;
    press_digests(press, &digests);
    head.root = digests_root(&digests);
    if (n > 1) {
        head.history = history_next(&press->heads[n - 1].history, &press->heads[n - 1].hash);
    }
    return head;
}

void press_sign_head(struct press *press, const struct head *head)
{
    must(press->n < PRESS_HEADS_MAX);
    press->n++;
    press->heads[press->n] = *head;
    must(head_sign(&press->heads[press->n], sim_signing(press->sim, press->lab),
                   &press->signed_heads[press->n]) == ERR_OK);
}

void press_sign(struct press *press)
{
    struct head head = press_head(press);
    press_sign_head(press, &head);
}

/* ---- deltas ---- */

void press_delta_done(struct press_delta *delta)
{
    buf_done(&delta->entries);
    buf_done(&delta->withdrawn);
    buf_done(&delta->opening);
}

static bool wanted(const struct press_item *item, const struct msg *want, uint64_t n)
{
    if (!live_at(item, n) || item->rev <= want->want.m) {
        return false;
    }
    return !want->want.has_after || item->rev > want->want.after_rev ||
           (item->rev == want->want.after_rev &&
            memcmp(item->slug.bytes, want->want.after_slug.bytes, SLUG_HASH_SIZE) > 0);
}

struct hint press_hint(const struct press_item *item)
{
    struct hash leaf = entry_leaf(buf_bytes(&item->bytes));
    return hash_hint(&item->slug, &leaf);
}

void press_delta(const struct press *press, const struct msg *want, uint64_t n,
                 struct press_delta *delta)
{
    const struct press_item **items = calloc(press->count + 1, sizeof *items);
    must(items != NULL);
    for (size_t i = 0; i < press->count; i++) {
        const struct press_item *item = &press->items[i];
        if (wanted(item, want, n)) {
            items[delta->entry_count++] = item;
        }
        if (item->withdrawn && item->end > want->want.m && item->end <= n) {
            struct hint hint = press_hint(item);
            buf_put(&delta->withdrawn, BYTES_OF_ARRAY(hint.bytes));
        }
    }
    qsort(items, delta->entry_count, sizeof *items, rev_order);
    for (size_t i = 0; i < delta->entry_count; i++) {
        list_put(&delta->entries, buf_bytes(&items[i]->bytes));
    }
    free(items);
    for (uint64_t i = want->want.m == 0 ? 1 : want->want.m; i < n; i++) {
        list_put(&delta->opening, BYTES_OF_ARRAY(press->heads[i].hash.bytes));
        delta->opening_count++;
    }
}

/* ---- through a puppet ---- */

void press_say_record(struct sim *sim, unsigned puppet, unsigned lab)
{
    defer(buf_done) struct buf raw = {0};
    list_put(&raw, sim_record(sim, lab));
    puppet_say(sim, puppet,
               &(struct msg){.type = MSG_RECORDS, .records = {.raw = buf_bytes(&raw), .count = 1}});
}

void press_offer(const struct press *press, unsigned puppet, uint64_t arrival, uint64_t n)
{
    defer(buf_done) struct buf raw = {0};
    list_put_head(&raw, arrival, buf_bytes(&press->signed_heads[n]));
    struct msg msg = {.type = MSG_HEADS,
                      .heads = {.upto = arrival, .heads = {.raw = buf_bytes(&raw), .count = 1}}};
    puppet_say(press->sim, puppet, &msg);
}

void press_say_delta(struct sim *sim, unsigned puppet, uint64_t stream,
                     const struct press_delta *delta)
{
    struct list all = {.raw = buf_bytes(&delta->entries), .count = delta->entry_count};
    size_t at = 0;
    struct bytes item;
    bool more = list_next(&all, &at, &item);
    while (more) {
        defer(buf_done) struct buf raw = {0};
        size_t count = 0;
        for (; more && raw.size + item.size < SAY_SIZE; more = list_next(&all, &at, &item)) {
            list_put(&raw, item);
            count++;
        }
        puppet_say(sim, puppet,
                   &(struct msg){.type = MSG_DELTA,
                                 .delta = {.stream = stream,
                                           .entries = {.raw = buf_bytes(&raw), .count = count}}});
    }
    struct msg msg = {
        .type = MSG_DELTA,
        .delta = {.stream = stream,
                  .withdrawn = buf_bytes(&delta->withdrawn),
                  .opening = {.raw = buf_bytes(&delta->opening), .count = delta->opening_count}}};
    puppet_say(sim, puppet, &msg);
}

void press_say_end(const struct press *press, unsigned puppet, uint64_t stream, uint64_t n)
{
    struct msg msg = {.type = MSG_DELTA_END,
                      .delta_end = {.stream = stream, .head = buf_bytes(&press->signed_heads[n])}};
    puppet_say(press->sim, puppet, &msg);
}

void press_serve(const struct press *press, unsigned puppet, const struct msg *want, uint64_t n)
{
    uint64_t stream = want->want.stream;
    defer(press_delta_done) struct press_delta delta = {0};
    press_delta(press, want, n, &delta);
    press_say_delta(press->sim, puppet, stream, &delta);
    press_say_end(press, puppet, stream, n);
}
