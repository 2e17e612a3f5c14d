/* SPDX-License-Identifier: EUPL-1.2 */
/* store/bucket.c: one bucket of a catalogue, for proofs and repair. */
#include "store/catalogue.h"
#include "store/rows.h"

static enum err pairs_read(struct cursor *slugs, uint32_t id, unsigned bucket, struct buf *pairs)
{
    struct slug_hash first = {.bytes = {(uint8_t) bucket}};
    struct row row;
    uint8_t key[SLUG_KEY_SIZE];
    enum err err = cursor_seek(slugs, rows_slug(key, id, &first), &row);
    for (; err == ERR_OK; err = cursor_next(slugs, &row)) {
        err = rows_own(row.key, SLUG_KEY_SIZE, id);
        if (err != ERR_OK || row.key.data[4] != bucket) {
            break;
        }
        struct slug_row slug;
        err = rows_slug_get(row.value, &slug);
        if (err != ERR_OK) {
            break;
        }
        buf_put(pairs, bytes_of(row.key.data + 4, SLUG_HASH_SIZE));
        buf_put(pairs, BYTES_OF_ARRAY(slug.leaf.bytes));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err catalogue_bucket(struct txn *txn, uint32_t id, unsigned bucket,
                          struct digests *ret_digests, struct buf *pairs)
{
    struct cursor slugs = {0};
    size_t before = pairs->size;
    enum err err = rows_digests(txn, id, ret_digests);
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_SLUGS, &slugs);
    }
    if (err == ERR_OK) {
        err = pairs_read(&slugs, id, bucket, pairs);
    }
    cursor_close(&slugs);
    if (err != ERR_OK || pairs->err != ERR_OK) {
        return err != ERR_OK ? err : pairs->err;
    }
    struct bytes added = buf_bytes(pairs); /* perhaps of nothing at all */
    if (before > 0) {
        added = bytes_of(pairs->data + before, pairs->size - before);
    }
    struct hash digest = bucket_digest(added);
    return memcmp(digest.bytes, ret_digests->buckets[bucket].bytes, HASH_SIZE) == 0 ? ERR_OK
                                                                                    : ERR_CORRUPT;
}
