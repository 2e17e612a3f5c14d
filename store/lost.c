/* SPDX-License-Identifier: EUPL-1.2 */
/* store/lost.c: see lost.h. What is dropped is garbage like any other body (store_erase_due). */
#include "store/lost.h"

#include "base/defer.h"
#include "base/must.h"
#include "proto/entry.h"
#include "store/rows.h"

#define LOST_VALUE_MIN 16

static struct bytes lost_key(uint8_t into[LOST_KEY_SIZE], uint32_t id,
                             const uint8_t at[LOST_AT_SIZE])
{
    be32_put(into, id);
    memcpy(into + ID_KEY_SIZE, at, LOST_AT_SIZE);
    return bytes_of(into, LOST_KEY_SIZE);
}

enum err lost_decode(const struct row *row, struct lost *ret_lost)
{
    struct entry entry;
    if (row->key.size != LOST_KEY_SIZE || row->value.size <= LOST_VALUE_MIN) {
        return ERR_CORRUPT;
    }
    struct lost lost = {
        .merge_n = be64_get(row->value.data),
        .kept_rev = be64_get(row->value.data + 8),
        .entry = bytes_of(row->value.data + LOST_VALUE_MIN, row->value.size - LOST_VALUE_MIN),
    };
    if (entry_decode(lost.entry, &entry) != ERR_OK) {
        return ERR_CORRUPT;
    }
    struct slug_hash slug_hash = hash_slug(entry.slug);
    struct hash leaf = entry_leaf(lost.entry);
    const uint8_t *at = row->key.data + ID_KEY_SIZE;
    if (memcmp(slug_hash.bytes, at, SLUG_HASH_SIZE) != 0 ||
        memcmp(leaf.bytes, at + SLUG_HASH_SIZE, HASH_SIZE) != 0) {
        return ERR_CORRUPT;
    }
    *ret_lost = lost;
    return ERR_OK;
}

enum err lost_put(struct txn *txn, uint32_t id, const struct lost *lost)
{
    struct entry entry;
    must(entry_peek(lost->entry, &entry) == ERR_OK);
    uint8_t at[LOST_AT_SIZE];
    uint8_t key[LOST_KEY_SIZE];
    struct slug_hash slug_hash = hash_slug(entry.slug);
    struct hash leaf = entry_leaf(lost->entry);
    memcpy(at, slug_hash.bytes, SLUG_HASH_SIZE);
    memcpy(at + SLUG_HASH_SIZE, leaf.bytes, HASH_SIZE);
    defer(buf_done) struct buf value = {0};
    uint8_t numbers[LOST_VALUE_MIN];
    be64_put(numbers, lost->merge_n);
    be64_put(numbers + 8, lost->kept_rev);
    buf_put(&value, BYTES_OF_ARRAY(numbers));
    buf_put(&value, lost->entry);
    return value.err != ERR_OK ? value.err
                               : txn_put(txn, TABLE_LOST, lost_key(key, id, at), buf_bytes(&value));
}

enum err lost_next(struct txn *txn, uint32_t id, uint8_t at[LOST_AT_SIZE], struct lost *ret_lost)
{
    uint8_t key[LOST_KEY_SIZE];
    struct row row;
    defer(cursor_close) struct cursor lost = {0};
    enum err err = cursor_open(txn, TABLE_LOST, &lost);
    if (err == ERR_OK) {
        err = cursor_seek(&lost, lost_key(key, id, at), &row);
    }
    if (err == ERR_OK && bytes_equal(row.key, BYTES_OF_ARRAY(key))) {
        err = cursor_next(&lost, &row);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (row.key.size != LOST_KEY_SIZE || be32_get(row.key.data) != id) {
        return row.key.size != LOST_KEY_SIZE ? ERR_CORRUPT : ERR_NOT_FOUND;
    }
    memcpy(at, row.key.data + ID_KEY_SIZE, LOST_AT_SIZE);
    return lost_decode(&row, ret_lost);
}

/* The first row of that slug. */
static enum err lost_seek(struct cursor *lost, uint32_t id, const struct slug_hash *slug_hash)
{
    uint8_t at[LOST_AT_SIZE] = {0};
    uint8_t key[LOST_KEY_SIZE];
    struct row row;
    memcpy(at, slug_hash->bytes, SLUG_HASH_SIZE);
    enum err err = cursor_seek(lost, lost_key(key, id, at), &row);
    if (err != ERR_OK) {
        return err;
    }
    bool same = row.key.size >= SLUG_KEY_SIZE && memcmp(row.key.data, key, SLUG_KEY_SIZE) == 0;
    return same ? ERR_OK : ERR_NOT_FOUND;
}

enum err lost_any(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash, bool *ret_any)
{
    defer(cursor_close) struct cursor lost = {0};
    enum err err = cursor_open(txn, TABLE_LOST, &lost);
    if (err == ERR_OK) {
        err = lost_seek(&lost, id, slug_hash);
    }
    *ret_any = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err lost_drop(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash)
{
    bool any = false;
    defer(cursor_close) struct cursor lost = {0};
    enum err err = cursor_open(txn, TABLE_LOST, &lost);
    while (err == ERR_OK) {
        err = lost_seek(&lost, id, slug_hash);
        if (err == ERR_OK) {
            any = true;
            err = cursor_del(&lost);
        }
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    return any ? txn_erase_due(txn) : ERR_NOT_FOUND;
}

enum err lost_count(struct txn *txn, uint64_t *ret_count)
{
    return txn_rows(txn, TABLE_LOST, ret_count);
}
