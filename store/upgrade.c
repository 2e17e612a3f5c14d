/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/upgrade.c: rows of an older schema, brought to this one in the transaction that opens the
 * store.
 *
 * Schema 3: withdrawn slugs are remembered by nothing that a list of likely slugs could be tried
 * on. Old hints named the slug; what they would have to name now is erased. They go, and who has
 * missed one is mended bucket by bucket. Own retired slugs get their key.
 */
#include "base/buf.h"
#include "store/rows.h"

static enum err retired_take(struct txn *txn, struct buf *rows)
{
    struct row row;
    defer(cursor_close) struct cursor cursor = {0};
    enum err err = cursor_open(txn, TABLE_RETIRED, &cursor);
    if (err == ERR_OK) {
        err = cursor_next(&cursor, &row);
    }
    for (; err == ERR_OK; err = cursor_next(&cursor, &row)) {
        if (row.key.size == SLUG_KEY_SIZE && row.value.size <= UINT8_MAX) { /* else bit rot */
            uint8_t size = (uint8_t) row.value.size;
            buf_put(rows, row.key);
            buf_put(rows, bytes_of(&size, 1));
            buf_put(rows, row.value);
        }
    }
    return err == ERR_NOT_FOUND ? rows->err : err;
}

static enum err retired_key(struct txn *txn)
{
    defer(buf_done) struct buf rows = {0};
    enum err err = retired_take(txn, &rows);
    if (err == ERR_OK) {
        err = txn_clear(txn, TABLE_RETIRED);
    }
    for (size_t at = 0; err == ERR_OK && at < rows.size;) {
        const uint8_t *row = rows.data + at;
        uint8_t key[SLUG_KEY_SIZE];
        struct slug_hash slug_hash;
        size_t size = row[SLUG_KEY_SIZE];
        memcpy(slug_hash.bytes, row + ID_KEY_SIZE, SLUG_HASH_SIZE);
        err = txn_put(txn, TABLE_RETIRED, rows_retired(txn, key, be32_get(row), &slug_hash),
                      bytes_of(row + SLUG_KEY_SIZE + 1, size));
        at += SLUG_KEY_SIZE + 1 + size;
    }
    return err;
}

enum err upgrade_tombstones(struct txn *txn)
{
    enum err err = txn_clear(txn, TABLE_GONE);
    return err == ERR_OK ? retired_key(txn) : err;
}
