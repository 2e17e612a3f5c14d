/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/hints.c: withdrawal hints: given out, resolved, forgotten.
 *
 * A hint names the very entry that was withdrawn, by its bucket and a hash of its leaf, and nothing
 * that could be tried with a list of likely slugs. So whoever holds that entry finds it by a walk
 * through its bucket; to everybody else it is noise, which is passed over.
 */
#include "store/hints.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "store/catalogue.h"
#include "store/rows.h"

/* ---- given out ---- */

enum err catalogue_hints(struct txn *txn, uint32_t id, uint64_t after_n, uint8_t at[24],
                         size_t count, struct buf *into, bool *ret_more)
{
    static const struct hint first;
    uint8_t start[GONE_KEY_SIZE], floor[GONE_KEY_SIZE];
    struct row row;
    defer(cursor_close) struct cursor gone = {0};
    if (after_n == UINT64_MAX) {
        *ret_more = false;
        return ERR_OK;
    }
    (void) rows_gone(floor, id, after_n + 1, &first);
    be32_put(start, id);
    memcpy(start + 4, at, GONE_KEY_SIZE - 4);
    bool resumed = memcmp(start, floor, sizeof start) >= 0;
    struct bytes from = resumed ? BYTES_OF_ARRAY(start) : BYTES_OF_ARRAY(floor);
    enum err err = cursor_open(txn, TABLE_GONE, &gone);
    if (err == ERR_OK) {
        err = cursor_seek(&gone, from, &row);
    }
    if (err == ERR_OK && resumed && bytes_equal(row.key, from)) {
        err = cursor_next(&gone, &row);
    }
    for (size_t found = 0; err == ERR_OK; err = cursor_next(&gone, &row)) {
        err = rows_own(row.key, GONE_KEY_SIZE, id);
        if (err != ERR_OK) {
            break;
        }
        if (found++ == count) {
            *ret_more = true;
            return ERR_OK;
        }
        memcpy(at, row.key.data + 4, GONE_KEY_SIZE - 4);
        buf_put(into, bytes_of(row.key.data + 12, HINT_SIZE));
        if (into->err != ERR_OK) {
            return into->err;
        }
    }
    if (err == ERR_NOT_FOUND) {
        *ret_more = false;
        err = ERR_OK;
    }
    return err;
}

/* ---- resolved ---- */

static int hint_order(const void *a, const void *b)
{
    return memcmp(a, b, HINT_SIZE);
}

static bool hinted(struct bytes hints, const struct slug_hash *slug_hash, const struct hash *leaf)
{
    struct hint hint = hash_hint(slug_hash, leaf);
    return bsearch(hint.bytes, hints.data, hints.size / HINT_SIZE, HINT_SIZE, hint_order) != NULL;
}

/* The entries of the list that came with the hints: withdrawn again while they were sent. */
static enum err items_hinted(struct bytes hints, struct change *items, size_t count,
                             struct buf *dropped)
{
    for (size_t i = 0; i < count; i++) {
        struct change *item = &items[i];
        if (item->size == 0 || !hinted(hints, &item->slug_hash, &item->leaf)) {
            continue;
        }
        if (dropped != NULL) {
            uint8_t seq[SEQ_KEY_SIZE];
            buf_put(dropped, rows_seq(seq, item->seq));
        }
        item->rev = item->seq = 0;
        item->size = 0;
    }
    return dropped != NULL ? dropped->err : ERR_OK;
}

/* One bucket: its held rows and its part of the list side by side. What the list changes anyway is
 * the list's matter. */
static enum err rows_hinted(struct cursor *slugs, uint32_t id, struct bytes hints,
                            const struct change *items, size_t count, struct change_list *added)
{
    struct slug_hash first = {.bytes = {hints.data[0]}};
    struct row row;
    uint8_t key[SLUG_KEY_SIZE];
    size_t i = 0;
    enum err err = cursor_seek(slugs, rows_slug(key, id, &first), &row);
    for (; err == ERR_OK; err = cursor_next(slugs, &row)) {
        struct slug_row held;
        struct change gone = {0};
        err = rows_own(row.key, SLUG_KEY_SIZE, id);
        if (err != ERR_OK || row.key.data[4] != hints.data[0]) {
            break;
        }
        err = rows_slug_get(row.value, &held);
        if (err != ERR_OK) {
            break;
        }
        memcpy(gone.slug_hash.bytes, row.key.data + 4, SLUG_HASH_SIZE);
        int order = -1;
        while (i < count && (order = memcmp(items[i].slug_hash.bytes, gone.slug_hash.bytes,
                                            SLUG_HASH_SIZE)) < 0) {
            i++;
        }
        bool listed = i < count && order == 0;
        if (!listed && hinted(hints, &gone.slug_hash, &held.leaf)) {
            err = change_add(added, &gone);
        }
        if (err != ERR_OK) {
            break;
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* The first change of the list that is in that bucket or a later one. */
static size_t bucket_start(const struct change_list *list, unsigned bucket)
{
    size_t first = 0;
    for (size_t behind = list->count; first < behind;) {
        size_t middle = first + (behind - first) / 2;
        bool below = bucket_of(&list->items[middle].slug_hash) < bucket;
        first = below ? middle + 1 : first;
        behind = below ? behind : middle;
    }
    return first;
}

/* All hints of one bucket. */
static enum err bucket_hinted(struct cursor *slugs, uint32_t id, struct bytes hints,
                              struct change_list *list, struct buf *dropped,
                              struct change_list *added)
{
    unsigned bucket = hints.data[0];
    size_t from = bucket_start(list, bucket);
    size_t count = bucket_start(list, bucket + 1) - from;
    struct change *items = count > 0 ? list->items + from : NULL;
    enum err err = items_hinted(hints, items, count, dropped);
    return err == ERR_OK ? rows_hinted(slugs, id, hints, items, count, added) : err;
}

enum err change_hinted(struct txn *txn, uint32_t id, struct buf *hints, struct change_list *list,
                       struct buf *dropped)
{
    must(hints->size % HINT_SIZE == 0);
    if (hints->err != ERR_OK || hints->size == 0) {
        return hints->err;
    }
    qsort(hints->data, hints->size / HINT_SIZE, HINT_SIZE, hint_order);
    defer(cursor_close) struct cursor slugs = {0};
    struct change_list added = {0};
    enum err err = cursor_open(txn, TABLE_SLUGS, &slugs);
    for (size_t at = 0; err == ERR_OK && at < hints->size;) {
        size_t end = at + HINT_SIZE;
        while (end < hints->size && hints->data[end] == hints->data[at]) {
            end += HINT_SIZE;
        }
        err =
            bucket_hinted(&slugs, id, bytes_of(hints->data + at, end - at), list, dropped, &added);
        at = end;
    }
    for (size_t i = 0; err == ERR_OK && i < added.count; i++) {
        err = change_add(list, &added.items[i]);
    }
    change_done(&added);
    return err == ERR_OK ? change_settle(list, NULL) : err;
}

/* ---- forgotten ---- */

/* Where the round goes on; a round starts before all keys, also damaged short ones. */
static struct bytes gone_from(const struct store *store)
{
    static const uint8_t first[GONE_KEY_SIZE];
    bool starts = memcmp(store->gone_at, first, sizeof first) == 0;
    return bytes_of(store->gone_at, starts ? 1 : GONE_KEY_SIZE);
}

enum err hints_expire(struct txn *txn, uint64_t now_s, size_t *left, bool *ret_round_over)
{
    struct store *store = txn->store;
    defer(cursor_close) struct cursor gone = {0};
    struct row row;
    enum err err = cursor_open(txn, TABLE_GONE, &gone);
    if (err == ERR_OK) {
        err = cursor_seek(&gone, gone_from(store), &row);
    }
    while (err == ERR_OK) {
        bool well = row.key.size == GONE_KEY_SIZE && row.value.size == 8;
        if (well) {
            memcpy(store->gone_at, row.key.data, GONE_KEY_SIZE);
        }
        if (*left == 0) {
            break;
        }
        (*left)--;
        uint64_t since = well ? be64_get(row.value.data) : 0;
        if (!well || (since < now_s && now_s - since > HINT_TTL_S)) {
            err = cursor_del(&gone);
            if (err == ERR_OK) {
                err = cursor_seek(&gone, gone_from(store), &row);
            }
        } else {
            err = cursor_next(&gone, &row);
        }
    }
    *ret_round_over = err == ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND) {
        memset(store->gone_at, 0, sizeof store->gone_at);
        err = ERR_OK;
    }
    return err;
}
