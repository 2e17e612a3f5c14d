/* SPDX-License-Identifier: EUPL-1.2 */
/* store/kept.c: see kept.h. Rows of one slug lie together, in the order of their revisions. What is
 * forgotten is garbage like any other body (store_erase_due). */
#include "store/kept.h"

#include "base/limits.h"
#include "base/must.h"
#include "proto/entry.h"
#include "store/rows.h"

#define KEPT_KEY_SIZE (SLUG_KEY_SIZE + 8)

static struct bytes kept_key(uint8_t into[KEPT_KEY_SIZE], uint32_t id,
                             const struct slug_hash *slug_hash, uint64_t rev)
{
    (void) rows_slug(into, id, slug_hash);
    be64_put(into + SLUG_KEY_SIZE, rev);
    return bytes_of(into, KEPT_KEY_SIZE);
}

/* The row at or behind `key`, if it is of the same slug. */
static enum err kept_seek(struct cursor *kept, struct bytes key, struct row *ret_row)
{
    enum err err = cursor_seek(kept, key, ret_row);
    if (err != ERR_OK) {
        return err;
    }
    bool same = ret_row->key.size >= SLUG_KEY_SIZE &&
                memcmp(ret_row->key.data, key.data, SLUG_KEY_SIZE) == 0;
    return same ? ERR_OK : ERR_NOT_FOUND;
}

enum err kept_put(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash, uint64_t rev,
                  struct bytes entry)
{
    must(entry.size > 0);
    must(entry.size <= ENTRY_SIZE_MAX);
    uint8_t key[KEPT_KEY_SIZE];
    return txn_put(txn, TABLE_KEPT, kept_key(key, id, slug_hash, rev), entry);
}

enum err kept_next(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash, uint64_t *rev,
                   struct bytes *ret_entry)
{
    uint8_t key[KEPT_KEY_SIZE];
    struct row row;
    struct entry entry;
    if (*rev == UINT64_MAX) {
        return ERR_NOT_FOUND;
    }
    defer(cursor_close) struct cursor kept = {0};
    enum err err = cursor_open(txn, TABLE_KEPT, &kept);
    if (err == ERR_OK) {
        err = kept_seek(&kept, kept_key(key, id, slug_hash, *rev + 1), &row);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (row.key.size != KEPT_KEY_SIZE) {
        return ERR_CORRUPT;
    }
    *rev = be64_get(row.key.data + SLUG_KEY_SIZE);
    if (entry_decode(row.value, &entry) != ERR_OK || entry.rev != *rev) {
        return ERR_CORRUPT;
    }
    struct slug_hash of_entry = hash_slug(entry.slug);
    if (memcmp(of_entry.bytes, slug_hash->bytes, SLUG_HASH_SIZE) != 0) {
        return ERR_CORRUPT;
    }
    *ret_entry = row.value;
    return ERR_OK;
}

enum err kept_any(struct txn *txn, uint32_t id, bool *ret_any)
{
    static const struct slug_hash first;
    uint8_t key[KEPT_KEY_SIZE];
    struct row row;
    defer(cursor_close) struct cursor kept = {0};
    enum err err = cursor_open(txn, TABLE_KEPT, &kept);
    if (err == ERR_OK) {
        err = cursor_seek(&kept, kept_key(key, id, &first, 0), &row);
    }
    if (err == ERR_OK) {
        err = rows_own(row.key, KEPT_KEY_SIZE, id);
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        *ret_any = err == ERR_OK;
        err = ERR_OK;
    }
    return err;
}

enum err kept_drop(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash)
{
    uint8_t key[KEPT_KEY_SIZE];
    struct row row;
    bool any = false;
    defer(cursor_close) struct cursor kept = {0};
    enum err err = cursor_open(txn, TABLE_KEPT, &kept);
    while (err == ERR_OK) {
        err = kept_seek(&kept, kept_key(key, id, slug_hash, 0), &row);
        if (err == ERR_OK) {
            any = true;
            err = cursor_del(&kept);
        }
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    return any ? txn_erase_due(txn) : ERR_NOT_FOUND;
}

enum err kept_clear(struct txn *txn)
{
    uint64_t rows = 0;
    enum err err = txn_rows(txn, TABLE_KEPT, &rows);
    if (err == ERR_OK && rows == 0) {
        err = ERR_NOT_FOUND;
    }
    if (err == ERR_OK) {
        err = txn_clear(txn, TABLE_KEPT);
    }
    return err == ERR_OK ? txn_erase_due(txn) : err;
}
