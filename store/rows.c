/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/rows.c: keys and values of the catalogue tables, and what several files do with them.
 *
 * What comes from disk is measured before it is read: bit rot gives ERR_CORRUPT, never a crash and
 * never a wrong entry, because every body is hashed against the leaf that `slugs` keeps for it.
 */
#include "store/rows.h"

#include "base/limits.h"
#include "proto/entry.h"

#define DIGESTS_PART 16
#define DIGESTS_PARTS (BUCKET_COUNT / DIGESTS_PART)
#define DIGESTS_PART_SIZE (DIGESTS_PART * HASH_SIZE)

struct bytes rows_id(uint8_t into[ID_KEY_SIZE], uint32_t id)
{
    be32_put(into, id);
    return bytes_of(into, ID_KEY_SIZE);
}

struct bytes rows_seq(uint8_t into[SEQ_KEY_SIZE], uint64_t seq)
{
    be64_put(into, seq);
    return bytes_of(into, SEQ_KEY_SIZE);
}

struct bytes rows_n(uint8_t into[N_KEY_SIZE], uint32_t id, uint64_t n)
{
    be32_put(into, id);
    be64_put(into + 4, n);
    return bytes_of(into, N_KEY_SIZE);
}

struct bytes rows_side(uint8_t into[SIDE_KEY_SIZE], uint32_t id, uint64_t merge, uint64_t n)
{
    be32_put(into, id);
    be64_put(into + 4, merge);
    be64_put(into + 12, n);
    return bytes_of(into, SIDE_KEY_SIZE);
}

struct bytes rows_slug(uint8_t into[SLUG_KEY_SIZE], uint32_t id, const struct slug_hash *slug_hash)
{
    be32_put(into, id);
    memcpy(into + 4, slug_hash->bytes, SLUG_HASH_SIZE);
    return bytes_of(into, SLUG_KEY_SIZE);
}

struct bytes rows_retired(const struct txn *txn, uint8_t into[SLUG_KEY_SIZE], uint32_t id,
                          const struct slug_hash *slug_hash)
{
    struct slug_hash hash = hash_retired(txn->store->retired_key, slug_hash);
    return rows_slug(into, id, &hash);
}

struct bytes rows_rev(uint8_t into[REV_KEY_SIZE], uint32_t id, uint64_t rev,
                      const struct slug_hash *slug_hash)
{
    be32_put(into, id);
    be64_put(into + 4, rev);
    memcpy(into + 12, slug_hash->bytes, SLUG_HASH_SIZE);
    return bytes_of(into, REV_KEY_SIZE);
}

struct bytes rows_gone(uint8_t into[GONE_KEY_SIZE], uint32_t id, uint64_t n,
                       const struct hint *hint)
{
    be32_put(into, id);
    be64_put(into + 4, n);
    memcpy(into + 12, hint->bytes, HINT_SIZE);
    return bytes_of(into, GONE_KEY_SIZE);
}

enum err rows_own(struct bytes key, size_t size, uint32_t id)
{
    if (key.size != size) {
        return ERR_CORRUPT;
    }
    return be32_get(key.data) == id ? ERR_OK : ERR_NOT_FOUND;
}

void rows_slug_put(uint8_t into[SLUG_VALUE_SIZE], const struct slug_row *row)
{
    be64_put(into, row->rev);
    be64_put(into + 8, row->seq);
    be32_put(into + 16, row->size);
    memcpy(into + 20, row->leaf.bytes, HASH_SIZE);
}

enum err rows_slug_get(struct bytes value, struct slug_row *ret_row)
{
    if (value.size != SLUG_VALUE_SIZE) {
        return ERR_CORRUPT;
    }
    ret_row->rev = be64_get(value.data);
    ret_row->seq = be64_get(value.data + 8);
    ret_row->size = be32_get(value.data + 16);
    memcpy(ret_row->leaf.bytes, value.data + 20, HASH_SIZE);
    return ERR_OK;
}

enum err rows_body(struct bytes value, uint32_t *ret_id, struct bytes *ret_entry)
{
    if (value.size < BODY_VALUE_MIN || value.size > BODY_VALUE_MIN + ENTRY_SIZE_MAX) {
        return ERR_CORRUPT;
    }
    *ret_id = be32_get(value.data);
    *ret_entry = bytes_of(value.data + BODY_VALUE_MIN, value.size - BODY_VALUE_MIN);
    return ERR_OK;
}

enum err rows_entry(struct cursor *bodies, uint32_t id, const struct slug_row *row,
                    struct bytes *ret_entry)
{
    uint8_t key[SEQ_KEY_SIZE];
    struct bytes value, entry = {0};
    uint32_t owner = 0;
    enum err err = cursor_at(bodies, rows_seq(key, row->seq), &value);
    if (err == ERR_OK) {
        err = rows_body(value, &owner, &entry);
    }
    if (err == ERR_NOT_FOUND || (err == ERR_OK && (owner != id || entry.size != row->size))) {
        return ERR_CORRUPT;
    }
    if (err != ERR_OK) {
        return err;
    }
    struct hash leaf = entry_leaf(entry);
    if (memcmp(leaf.bytes, row->leaf.bytes, HASH_SIZE) != 0) {
        return ERR_CORRUPT;
    }
    *ret_entry = entry;
    return ERR_OK;
}

/* ---- digests ---- */

static struct bytes part_key(uint8_t into[ID_KEY_SIZE + 1], uint32_t id, unsigned part)
{
    be32_put(into, id);
    into[ID_KEY_SIZE] = (uint8_t) part;
    return bytes_of(into, ID_KEY_SIZE + 1);
}

enum err rows_digests(struct txn *txn, uint32_t id, struct digests *ret_digests)
{
    for (unsigned part = 0; part < DIGESTS_PARTS; part++) {
        uint8_t key[ID_KEY_SIZE + 1];
        struct bytes value;
        enum err err = txn_get(txn, TABLE_DIGESTS, part_key(key, id, part), &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && value.size != DIGESTS_PART_SIZE)) {
            return ERR_CORRUPT;
        }
        if (err != ERR_OK) {
            return err;
        }
        memcpy(&ret_digests->buckets[(size_t) part * DIGESTS_PART], value.data, DIGESTS_PART_SIZE);
    }
    return ERR_OK;
}

enum err rows_digests_put(struct txn *txn, uint32_t id, const struct digests *digests)
{
    for (unsigned part = 0; part < DIGESTS_PARTS; part++) {
        uint8_t key[ID_KEY_SIZE + 1];
        struct bytes old;
        struct bytes new =
            bytes_of(&digests->buckets[(size_t) part * DIGESTS_PART], DIGESTS_PART_SIZE);
        enum err err = txn_get(txn, TABLE_DIGESTS, part_key(key, id, part), &old);
        if (err == ERR_OK && bytes_equal(old, new)) {
            continue;
        }
        if (err == ERR_OK || err == ERR_NOT_FOUND) {
            err = txn_put(txn, TABLE_DIGESTS, bytes_of(key, sizeof key), new);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}
