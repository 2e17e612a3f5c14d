/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/history.c: where heads stand in a catalogue's chain, openings made from it, and forks.
 *
 * The chain is the trunk in `hashes`, with what merge heads joined in `sides` (fold.h). Rows that
 * are missing where the head says that there are some are damage: ERR_CORRUPT.
 */
#include "store/history.h"

#include <stdlib.h>

#include "base/must.h"
#include "proto/fork.h"
#include "store/fold.h"
#include "store/ledger.h"

/* n of the held head; 0 when there is none. */
static enum err held_n(struct txn *txn, uint32_t id, uint64_t *ret_n)
{
    struct held_head held = {0};
    enum err err = catalogue_head(txn, id, &held);
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        *ret_n = err == ERR_OK ? held.head.n : 0;
        err = ERR_OK;
    }
    return err;
}

/* The hash of trunk head `n`, by a cursor that stands on head n - 1 unless this is the `first`. */
static enum err hash_step(struct cursor *hashes, uint32_t id, uint64_t n, bool first,
                          struct hash *ret_hash)
{
    uint8_t key[N_KEY_SIZE];
    struct row row;
    enum err err =
        first ? cursor_seek(hashes, rows_n(key, id, n), &row) : cursor_next(hashes, &row);
    if (err == ERR_OK) {
        err = rows_own(row.key, N_KEY_SIZE, id);
    }
    if (err == ERR_OK && be64_get(row.key.data + 4) != n) {
        err = ERR_NOT_FOUND;
    }
    if (err == ERR_OK && row.value.size != HASH_SIZE) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        memcpy(ret_hash->bytes, row.value.data, HASH_SIZE);
    }
    return err;
}

enum err history_at(struct txn *txn, uint32_t id, uint64_t n, struct hash *ret_history)
{
    uint64_t held = 0;
    defer(fold_close) struct fold fold = {0};
    defer(cursor_close) struct cursor hashes = {0};
    enum err err = held_n(txn, id, &held);
    if (err == ERR_OK && (n == 0 || n - 1 > held)) {
        err = ERR_NOT_FOUND;
    }
    if (err == ERR_OK) {
        err = fold_open(txn, id, &fold);
    }
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_HASHES, &hashes);
    }
    if (err != ERR_OK) {
        return err;
    }
    while (fold.n < n) {
        struct hash hash;
        err = hash_step(&hashes, id, fold.n, fold.n == 1, &hash);
        if (err == ERR_OK) {
            err = fold_step(&fold, &hash);
        }
        if (err != ERR_OK) {
            return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
    }
    *ret_history = fold.history;
    return ERR_OK;
}

/* Whether a row is there with that hash: ERR_NOT_FOUND when there is no row. */
static enum err hash_is(struct txn *txn, enum table table, struct bytes key,
                        const struct hash *hash, bool *ret_is)
{
    struct bytes value;
    enum err err = txn_get(txn, table, key, &value);
    if (err == ERR_OK && value.size != HASH_SIZE) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *ret_is = memcmp(value.data, hash->bytes, HASH_SIZE) == 0;
    }
    return err;
}

enum err history_sides(struct txn *txn, uint32_t id, unsigned *ret_count)
{
    defer(fold_close) struct fold fold = {0};
    enum err err = fold_open(txn, id, &fold);
    if (err == ERR_OK) {
        *ret_count = fold.side_count;
    }
    return err;
}

enum err history_where(struct txn *txn, uint32_t id, uint64_t n, const struct hash *hash,
                       enum where *ret_where)
{
    uint64_t held = 0;
    uint8_t key[N_KEY_SIZE], side_key[SIDE_KEY_SIZE];
    bool is = false;
    defer(fold_close) struct fold fold = {0};
    enum err err = held_n(txn, id, &held);
    if (err != ERR_OK) {
        return err;
    }
    if (n == 0 || n > held) {
        *ret_where = n == 0 ? WHERE_OTHER : WHERE_UNKNOWN;
        return ERR_OK;
    }
    err = hash_is(txn, TABLE_HASHES, rows_n(key, id, n), hash, &is);
    if (err == ERR_OK && is) {
        *ret_where = WHERE_TRUNK;
        return ERR_OK;
    }
    if (err == ERR_OK) {
        err = fold_open(txn, id, &fold);
    }
    for (unsigned i = 0; i < fold.side_count && err == ERR_OK && !is; i++) {
        struct bytes at = rows_side(side_key, id, fold.list[i].n, n);
        err = hash_is(txn, TABLE_SIDES, at, hash, &is);
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    *ret_where = is ? WHERE_SIDE : WHERE_OTHER;
    return ERR_OK;
}

/* The side that head `n` joined, as items. */
static enum err opening_side(struct fold *fold, uint64_t n, struct opening *opening)
{
    const struct fold_side *side = fold_side(fold, n);
    uint8_t item[OPENING_ITEM_MAX];
    struct bytes hash;
    uint64_t at = 0;
    if (side == NULL) {
        return ERR_OK;
    }
    be64_put(item, side->k);
    enum err err = opening_add(opening, bytes_of(item, 8));
    if (err == ERR_OK) {
        err = fold_side_next(fold, side, true, &at, &hash);
    }
    while (err == ERR_OK) {
        item[0] = OPENING_SIDE_MARK;
        memcpy(item + 1, hash.data, HASH_SIZE);
        err = opening_add(opening, BYTES_OF_ARRAY(item));
        if (err == ERR_OK) {
            err = fold_side_next(fold, side, false, &at, &hash);
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err history_opening(struct txn *txn, uint32_t id, uint64_t end, size_t count,
                         struct opening *opening)
{
    must(opening->from > 0);
    defer(fold_close) struct fold fold = {0};
    defer(cursor_close) struct cursor hashes = {0};
    uint64_t first = opening->from + opening->hashes.size / HASH_SIZE;
    enum err err = fold_open(txn, id, &fold);
    if (err == ERR_OK) {
        err = cursor_open(txn, TABLE_HASHES, &hashes);
    }
    for (uint64_t n = first; n < end && n - first < count && err == ERR_OK; n++) {
        struct hash hash;
        err = hash_step(&hashes, id, n, n == first, &hash);
        if (err == ERR_OK) {
            err = opening_add(opening, BYTES_OF_ARRAY(hash.bytes));
        }
        if (err == ERR_OK) {
            err = opening_side(&fold, n + 1, opening);
        }
    }
    return err;
}

/* ---- forks: generation u64 ‖ k u64 ‖ arrival u64 ‖ times u8 ‖ proof ---- */

#define FORK_FIXED_SIZE (8 + 8 + 8 + 1)

enum err fork_get(struct txn *txn, uint32_t id, struct held_fork *ret_held)
{
    uint8_t key[ID_KEY_SIZE];
    struct bytes value;
    enum err err = txn_get(txn, TABLE_FORKS, rows_id(key, id), &value);
    if (err != ERR_OK) {
        return err;
    }
    if (value.size < FORK_FIXED_SIZE || value.size > FORK_FIXED_SIZE + FORK_SIZE_MAX) {
        return ERR_CORRUPT;
    }
    struct held_fork held = {
        .generation = be64_get(value.data),
        .k = be64_get(value.data + 8),
        .arrival = be64_get(value.data + 16),
        .times = value.data[24],
        .proof = bytes_of(value.data + FORK_FIXED_SIZE, value.size - FORK_FIXED_SIZE),
    };
    if (held.generation == 0 || held.k == 0 || held.arrival == 0) {
        return ERR_CORRUPT;
    }
    *ret_held = held;
    return ERR_OK;
}

enum err fork_put(struct txn *txn, uint32_t id, uint64_t generation, uint64_t k, struct bytes proof,
                  const struct lab_id *from, uint64_t *ret_arrival)
{
    must(generation > 0);
    must(k > 0);
    must(proof.size <= FORK_SIZE_MAX);
    struct held_fork old = {0};
    struct arrival arrival = {.kind = ARRIVAL_FORK, .catalogue = id, .from = *from};
    enum err err = fork_get(txn, id, &old);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    unsigned times = err == ERR_OK && old.generation == generation ? old.times + 1 : 0;
    defer(buf_done) struct buf value = {0};
    uint8_t *at = buf_extend(&value, FORK_FIXED_SIZE + proof.size);
    if (at == NULL) {
        return value.err;
    }
    bytes_copy(at + FORK_FIXED_SIZE, proof); /* may lie in the transaction: copied first */
    err = arrival_add(txn, old.arrival, &arrival, &arrival.number);
    if (err != ERR_OK) {
        return err;
    }
    be64_put(at, generation);
    be64_put(at + 8, k);
    be64_put(at + 16, arrival.number);
    at[24] = (uint8_t) (times < UINT8_MAX ? times : UINT8_MAX);
    uint8_t key[ID_KEY_SIZE];
    err = txn_put(txn, TABLE_FORKS, rows_id(key, id), buf_bytes(&value));
    if (err == ERR_OK) {
        *ret_arrival = arrival.number;
    }
    return err;
}

enum err fork_drop(struct txn *txn, uint32_t id)
{
    uint8_t key[ID_KEY_SIZE];
    struct held_fork held;
    enum err err = fork_get(txn, id, &held);
    if (err == ERR_OK) {
        err = arrival_drop(txn, held.arrival);
    }
    return err == ERR_OK ? txn_del(txn, TABLE_FORKS, rows_id(key, id)) : err;
}

enum err fork_next(struct txn *txn, uint32_t *id)
{
    if (*id == UINT32_MAX) {
        return ERR_NOT_FOUND;
    }
    uint8_t key[ID_KEY_SIZE];
    struct row row;
    defer(cursor_close) struct cursor forks = {0};
    enum err err = cursor_open(txn, TABLE_FORKS, &forks);
    if (err == ERR_OK) {
        err = cursor_seek(&forks, rows_id(key, *id + 1), &row);
    }
    if (err == ERR_OK && row.key.size != ID_KEY_SIZE) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *id = be32_get(row.key.data);
    }
    return err;
}
