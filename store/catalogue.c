/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/catalogue.c: catalogues as they are read: names, heads, entries in delta order, openings;
 * and the small writes around them: new ids, bodies, retired kinds, chores.
 *
 * Whatever leaves is checked: an entry against its leaf, a head against its own form and name.
 */
#include "store/catalogue.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "proto/entry.h"
#include "store/hints.h"
#include "store/rows.h"

#define NAME_KEY_MAX (HASH_SIZE + KEY_SIZE + AUDIENCE_SIZE_MAX)
#define ARRIVAL_SIZE 8
/* Up to here bodies are deleted at once: a page or two each. */
#define DROP_COUNT_MAX 512

/* ---- names ---- */

static struct bytes name_key(uint8_t into[NAME_KEY_MAX], const struct catalogue_name *name)
{
    size_t audience_size = strnlen(name->audience, AUDIENCE_SIZE_MAX + 1);
    must(audience_size <= AUDIENCE_SIZE_MAX);
    memcpy(into, name->network.bytes, HASH_SIZE);
    memcpy(into + HASH_SIZE, name->lab.bytes, KEY_SIZE);
    memcpy(into + HASH_SIZE + KEY_SIZE, name->audience, audience_size);
    return bytes_of(into, HASH_SIZE + KEY_SIZE + audience_size);
}

static enum err id_get(struct txn *txn, enum table table, struct bytes key, uint32_t *ret_id)
{
    struct bytes value;
    enum err err = txn_get(txn, table, key, &value);
    if (err == ERR_OK && value.size != ID_KEY_SIZE) {
        return ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *ret_id = be32_get(value.data);
    }
    return err;
}

enum err catalogue_find(struct txn *txn, const struct catalogue_name *name, uint32_t *ret_id)
{
    uint8_t key[NAME_KEY_MAX];
    return id_get(txn, TABLE_NAMES, name_key(key, name), ret_id);
}

static bool name_read(struct bytes key, struct catalogue_name *ret_name)
{
    if (key.size < HASH_SIZE + KEY_SIZE || key.size > NAME_KEY_MAX) {
        return false;
    }
    *ret_name = (struct catalogue_name){0};
    memcpy(ret_name->network.bytes, key.data, HASH_SIZE);
    memcpy(ret_name->lab.bytes, key.data + HASH_SIZE, KEY_SIZE);
    memcpy(ret_name->audience, key.data + HASH_SIZE + KEY_SIZE, key.size - HASH_SIZE - KEY_SIZE);
    return true;
}

enum err catalogue_name_of(struct txn *txn, uint32_t id, struct catalogue_name *ret_name)
{
    static const uint8_t first[1];
    uint8_t value[ID_KEY_SIZE];
    struct bytes wanted = rows_id(value, id);
    struct row row;
    defer(cursor_close) struct cursor names = {0};
    enum err err = cursor_open(txn, TABLE_NAMES, &names);
    if (err == ERR_OK) {
        err = cursor_seek(&names, BYTES_OF_ARRAY(first), &row);
    }
    while (err == ERR_OK && !bytes_equal(row.value, wanted)) {
        err = cursor_next(&names, &row);
    }
    return err == ERR_OK && !name_read(row.key, ret_name) ? ERR_CORRUPT : err;
}

enum err catalogue_open(struct txn *txn, const struct catalogue_name *name, uint32_t *ret_id)
{
    uint32_t id = 0;
    enum err err = catalogue_find(txn, name, ret_id);
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    err = id_get(txn, TABLE_META, bytes_of_str("catalogues"), &id);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    if (id == UINT32_MAX) {
        return ERR_CORRUPT;
    }
    id++;
    uint8_t key[NAME_KEY_MAX], value[ID_KEY_SIZE];
    struct bytes id_value = rows_id(value, id);
    err = txn_put(txn, TABLE_META, bytes_of_str("catalogues"), id_value);
    if (err == ERR_OK) {
        err = txn_put(txn, TABLE_NAMES, name_key(key, name), id_value);
    }
    if (err == ERR_OK) {
        *ret_id = id;
    }
    return err;
}

/* ---- heads ---- */

enum err catalogue_next(struct txn *txn, uint32_t *id)
{
    if (*id == UINT32_MAX) {
        return ERR_NOT_FOUND;
    }
    uint8_t key[ID_KEY_SIZE];
    struct row row;
    defer(cursor_close) struct cursor heads = {0};
    enum err err = cursor_open(txn, TABLE_HEADS, &heads);
    if (err == ERR_OK) {
        err = cursor_seek(&heads, rows_id(key, *id + 1), &row);
    }
    if (err == ERR_OK && row.key.size != ID_KEY_SIZE) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *id = be32_get(row.key.data);
    }
    return err;
}

enum err catalogue_head(struct txn *txn, uint32_t id, struct held_head *ret_held)
{
    uint8_t key[ID_KEY_SIZE];
    struct bytes value;
    struct held_head held;
    enum err err = txn_get(txn, TABLE_HEADS, rows_id(key, id), &value);
    if (err != ERR_OK) {
        return err;
    }
    if (value.size <= ARRIVAL_SIZE || value.size > ARRIVAL_SIZE + HEAD_SIZE_MAX) {
        return ERR_CORRUPT;
    }
    held.arrival = be64_get(value.data);
    held.signed_bytes = bytes_of(value.data + ARRIVAL_SIZE, value.size - ARRIVAL_SIZE);
    if (head_peek(held.signed_bytes, &held.head) != ERR_OK) {
        return ERR_CORRUPT;
    }
    *ret_held = held;
    return ERR_OK;
}

/* ---- entries ---- */

enum err catalogue_slug(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                        struct slug_row *ret_row)
{
    uint8_t key[SLUG_KEY_SIZE];
    struct bytes value;
    enum err err = txn_get(txn, TABLE_SLUGS, rows_slug(key, id, slug_hash), &value);
    return err == ERR_OK ? rows_slug_get(value, ret_row) : err;
}

enum err catalogue_entry(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                         struct bytes *ret_entry)
{
    struct slug_row row;
    enum err err = catalogue_slug(txn, id, slug_hash, &row);
    if (err != ERR_OK) {
        return err;
    }
    defer(cursor_close) struct cursor bodies = {0};
    err = cursor_open(txn, TABLE_BODIES, &bodies);
    return err == ERR_OK ? rows_entry(&bodies, id, &row, ret_entry) : err;
}

struct entry_cursor {
    struct cursor revs, slugs, bodies;
    uint32_t id;
    bool started;
    bool broken;              /* the table itself: nothing can be read behind `at` */
    uint8_t at[REV_KEY_SIZE]; /* the last row given, or where to start behind */
};

enum err entry_cursor_open(struct txn *txn, uint32_t id, uint64_t after_rev,
                           const struct slug_hash *after_slug, struct entry_cursor **ret_cursor)
{
    struct entry_cursor *cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL) {
        return ERR_NOMEM;
    }
    struct slug_hash last_slug;
    memset(last_slug.bytes, 0xff, sizeof last_slug.bytes);
    cursor->id = id;
    (void) rows_rev(cursor->at, id, after_rev, after_slug != NULL ? after_slug : &last_slug);
    enum err err = cursor_open(txn, TABLE_REVS, &cursor->revs);
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_SLUGS, &cursor->slugs);
    }
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_BODIES, &cursor->bodies);
    }
    if (err != ERR_OK) {
        entry_cursor_close(cursor);
        return err;
    }
    *ret_cursor = cursor;
    return ERR_OK;
}

/* The first row of `revs` behind the start, then one after the other. Keys that are none are passed
 * over: they name nothing, and `verify` sees them. */
static enum err revs_step(struct entry_cursor *cursor, struct row *ret_row)
{
    struct bytes at = BYTES_OF_ARRAY(cursor->at);
    enum err err = cursor->broken ? ERR_NOT_FOUND : ERR_OK;
    while (err == ERR_OK) {
        err = cursor->started ? cursor_next(&cursor->revs, ret_row)
                              : cursor_seek(&cursor->revs, at, ret_row);
        if (err != ERR_OK) {
            break;
        }
        cursor->started = true;
        err = rows_own(ret_row->key, REV_KEY_SIZE, cursor->id);
        if (err == ERR_OK && bytes_compare(ret_row->key, at) > 0) {
            bytes_copy(cursor->at, ret_row->key);
            return ERR_OK;
        }
        err = err == ERR_CORRUPT ? ERR_OK : err;
    }
    cursor->broken = err != ERR_NOT_FOUND;
    return err;
}

enum err entry_cursor_next(struct entry_cursor *cursor, struct bytes *ret_entry, uint64_t *ret_rev,
                           struct slug_hash *ret_slug)
{
    struct row row;
    struct bytes value;
    struct slug_row slug_row;
    enum err err = revs_step(cursor, &row);
    *ret_rev = be64_get(cursor->at + 4);
    memcpy(ret_slug->bytes, cursor->at + 12, SLUG_HASH_SIZE);
    if (err != ERR_OK) {
        return err;
    }
    if (row.value.size != SEQ_KEY_SIZE) {
        return ERR_CORRUPT;
    }
    uint8_t key[SLUG_KEY_SIZE];
    err = cursor_at(&cursor->slugs, rows_slug(key, cursor->id, ret_slug), &value);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    err = rows_slug_get(value, &slug_row);
    if (err != ERR_OK) {
        return err;
    }
    if (slug_row.rev != *ret_rev || slug_row.seq != be64_get(row.value.data)) {
        return ERR_CORRUPT;
    }
    return rows_entry(&cursor->bodies, cursor->id, &slug_row, ret_entry);
}

void entry_cursor_close(struct entry_cursor *cursor)
{
    if (cursor != NULL) {
        cursor_close(&cursor->revs);
        cursor_close(&cursor->slugs);
        cursor_close(&cursor->bodies);
        free(cursor);
    }
}

/* ---- openings ---- */

enum err catalogue_opening(struct txn *txn, uint32_t id, uint64_t from, size_t count,
                           struct buf *into)
{
    uint8_t key[N_KEY_SIZE];
    struct row row;
    defer(cursor_close) struct cursor hashes = {0};
    size_t before = into->size;
    enum err err = cursor_open(txn, TABLE_HASHES, &hashes);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err =
            i == 0 ? cursor_seek(&hashes, rows_n(key, id, from), &row) : cursor_next(&hashes, &row);
        if (err == ERR_OK) {
            err = rows_own(row.key, N_KEY_SIZE, id);
        }
        if (err == ERR_OK && be64_get(row.key.data + 4) != from + i) {
            err = ERR_NOT_FOUND;
        }
        if (err == ERR_OK && row.value.size != HASH_SIZE) {
            err = ERR_CORRUPT;
        }
        if (err == ERR_OK) {
            buf_put(into, row.value);
            err = into->err;
        }
    }
    if (err != ERR_OK && into->err == ERR_OK) {
        into->size = before;
    }
    return err;
}

/* ---- small writes ---- */

enum err body_append(struct txn *txn, uint32_t id, struct bytes entry, uint64_t *ret_seq)
{
    must(entry.size > 0);
    must(entry.size <= ENTRY_SIZE_MAX);
    uint8_t *value = NULL;
    enum err err = txn_append_body(txn, BODY_VALUE_MIN + entry.size, ret_seq, &value);
    if (err == ERR_OK) {
        be32_put(value, id);
        memcpy(value + BODY_VALUE_MIN, entry.data, entry.size);
    }
    return err;
}

enum err body_get(struct txn *txn, uint32_t id, uint64_t seq, struct bytes *ret_entry)
{
    uint8_t key[SEQ_KEY_SIZE];
    struct bytes value, entry = {0};
    uint32_t owner = 0;
    enum err err = txn_get(txn, TABLE_BODIES, rows_seq(key, seq), &value);
    if (err == ERR_OK) {
        err = rows_body(value, &owner, &entry);
    }
    if (err == ERR_OK && owner != id) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *ret_entry = entry;
    }
    return err;
}

enum err body_drop(struct txn *txn, uint64_t seq)
{
    uint8_t key[SEQ_KEY_SIZE];
    enum err err = txn_erase_due(txn);
    return err == ERR_OK ? txn_put(txn, TABLE_TRASH, rows_seq(key, seq), bytes_of("", 0)) : err;
}

static int seq_order(const void *a, const void *b)
{
    return memcmp(a, b, SEQ_KEY_SIZE);
}

enum err bodies_drop(struct txn *txn, struct buf *seqs)
{
    must(seqs->size % SEQ_KEY_SIZE == 0);
    if (seqs->err != ERR_OK) {
        return seqs->err;
    }
    size_t count = seqs->size / SEQ_KEY_SIZE;
    if (count == 0) {
        return ERR_OK;
    }
    qsort(seqs->data, count, SEQ_KEY_SIZE, seq_order);
    defer(cursor_close) struct cursor trash = {0};
    enum err err = txn_erase_due(txn);
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_TRASH, &trash);
    }
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        struct bytes key = bytes_of(seqs->data + i * SEQ_KEY_SIZE, SEQ_KEY_SIZE);
        if (count > DROP_COUNT_MAX) {
            err = cursor_put(&trash, key, bytes_of("", 0));
            continue;
        }
        err = txn_del(txn, TABLE_BODIES, key);
        if (err == ERR_OK || err == ERR_NOT_FOUND) { /* lost to bit rot: gone is what we want */
            err = txn_del(txn, TABLE_TRASH, key);    /* the seq may be given again */
        }
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    return err;
}

enum err retired_get(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                     struct bytes *ret_kind)
{
    uint8_t key[SLUG_KEY_SIZE];
    struct bytes kind;
    enum err err = txn_get(txn, TABLE_RETIRED, rows_retired(txn, key, id, slug_hash), &kind);
    if (err == ERR_OK && !kind_valid(kind)) {
        return ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *ret_kind = kind;
    }
    return err;
}

enum err retired_drop(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash)
{
    uint8_t key[SLUG_KEY_SIZE];
    return txn_del(txn, TABLE_RETIRED, rows_retired(txn, key, id, slug_hash));
}

enum err retired_put(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                     struct bytes kind)
{
    must(kind_valid(kind));
    uint8_t key[SLUG_KEY_SIZE];
    return txn_put(txn, TABLE_RETIRED, rows_retired(txn, key, id, slug_hash), kind);
}

/* ---- chores ---- */

enum err catalogue_trash(struct txn *txn, bool *ret_waits)
{
    uint64_t count = 0;
    enum err err = txn_rows(txn, TABLE_TRASH, &count);
    if (err == ERR_OK) {
        *ret_waits = count > 0;
    }
    return err;
}

static enum err trash_empty(struct txn *txn, size_t *left, bool *ret_empty)
{
    defer(cursor_close) struct cursor trash = {0};
    static const uint8_t first[1];
    struct row row;
    uint8_t seq[SEQ_KEY_SIZE];
    enum err err = cursor_open(txn, TABLE_TRASH, &trash);
    while (err == ERR_OK) {
        err = cursor_seek(&trash, BYTES_OF_ARRAY(first), &row);
        if (err != ERR_OK || *left == 0) {
            break;
        }
        (*left)--;
        if (row.key.size == SEQ_KEY_SIZE) {
            memcpy(seq, row.key.data, SEQ_KEY_SIZE);
            err = txn_del(txn, TABLE_BODIES, BYTES_OF_ARRAY(seq));
        }
        if (err == ERR_OK || err == ERR_NOT_FOUND) {
            err = cursor_del(&trash);
        }
    }
    *ret_empty = err == ERR_NOT_FOUND;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err catalogue_chores(struct txn *txn, uint64_t now_s, size_t count, bool *ret_left)
{
    must(count > 0);
    size_t left = count;
    bool trash_empty_now = false, round_over = false;
    enum err err = trash_empty(txn, &left, &trash_empty_now);
    if (err == ERR_OK) {
        err = hints_expire(txn, now_s, &left, &round_over);
    }
    if (err == ERR_OK) {
        *ret_left = !trash_empty_now || !round_over;
    }
    return err;
}
