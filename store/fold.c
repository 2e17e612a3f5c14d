/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/fold.c: the history of a chain.
 *
 *     1 ── 2 ── k ── … ── n-1 ── n        trunk: table `hashes`, fed by the caller
 *               └─ k' ── … ── t ─┘        side of n: table `sides`, folded when the fold gets to n
 *
 * The fold passes head k of every side before it meets its merge head, and keeps history(k).
 */
#include "store/fold.h"

/* The first row of the side after merge head `after`: its merge head and its k. */
static enum err side_find(struct fold *fold, uint64_t after, struct fold_side *ret_side)
{
    uint8_t key[SIDE_KEY_SIZE];
    struct row row;
    if (after == UINT64_MAX) {
        return ERR_NOT_FOUND;
    }
    enum err err = cursor_seek(&fold->sides, rows_side(key, fold->id, after + 1, 0), &row);
    if (err == ERR_OK) {
        err = rows_own(row.key, SIDE_KEY_SIZE, fold->id);
    }
    if (err != ERR_OK) {
        return err;
    }
    *ret_side =
        (struct fold_side){.n = be64_get(row.key.data + 4), .k = be64_get(row.key.data + 12)};
    return ret_side->k > 0 && ret_side->k < ret_side->n ? ERR_OK : ERR_CORRUPT;
}

enum err fold_open(struct txn *txn, uint32_t id, struct fold *ret_fold)
{
    struct fold fold = {.n = 1, .id = id};
    struct fold_side side;
    uint64_t after = 0;
    enum err err = cursor_open(txn, TABLE_SIDES, &fold.sides);
    while (err == ERR_OK && (err = side_find(&fold, after, &side)) == ERR_OK) {
        if (fold.side_count == OPENING_SIDES_MAX) {
            err = ERR_CORRUPT;
            break;
        }
        fold.list[fold.side_count++] = side;
        after = side.n;
    }
    if (err != ERR_NOT_FOUND) {
        fold_close(&fold);
        return err;
    }
    *ret_fold = fold;
    return ERR_OK;
}

void fold_close(struct fold *fold)
{
    cursor_close(&fold->sides);
}

const struct fold_side *fold_side(const struct fold *fold, uint64_t n)
{
    for (unsigned i = 0; i < fold->side_count; i++) {
        if (fold->list[i].n == n) {
            return &fold->list[i];
        }
    }
    return NULL;
}

enum err fold_side_next(struct fold *fold, const struct fold_side *side, bool first, uint64_t *n,
                        struct bytes *ret_hash)
{
    uint8_t key[SIDE_KEY_SIZE];
    struct row row;
    uint64_t wanted = first ? side->k : *n + 1;
    enum err err = first
                       ? cursor_seek(&fold->sides, rows_side(key, fold->id, side->n, wanted), &row)
                       : cursor_next(&fold->sides, &row);
    if (err == ERR_OK) {
        err = rows_own(row.key, SIDE_KEY_SIZE, fold->id);
    }
    if (err == ERR_OK && be64_get(row.key.data + 4) != side->n) {
        err = ERR_NOT_FOUND;
    }
    if (err != ERR_OK) {
        return err;
    }
    if (be64_get(row.key.data + 12) != wanted || wanted >= side->n || row.value.size != HASH_SIZE) {
        return ERR_CORRUPT;
    }
    *n = wanted;
    *ret_hash = row.value;
    return ERR_OK;
}

/* history_next of the side's tip. */
static enum err side_fold(struct fold *fold, const struct fold_side *side, struct hash *ret_next)
{
    struct hash history = side->history, hash;
    struct bytes value;
    uint64_t n = 0;
    enum err err = fold_side_next(fold, side, true, &n, &value);
    while (err == ERR_OK) {
        memcpy(hash.bytes, value.data, HASH_SIZE);
        history = history_next(&history, &hash);
        err = fold_side_next(fold, side, false, &n, &value);
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    *ret_next = history;
    return ERR_OK;
}

enum err fold_step(struct fold *fold, const struct hash *hash)
{
    for (unsigned i = 0; i < fold->side_count; i++) {
        if (fold->list[i].k == fold->n) {
            fold->list[i].history = fold->history;
        }
    }
    struct hash next = history_next(&fold->history, hash), side_next;
    const struct fold_side *side = fold_side(fold, fold->n + 1);
    if (side != NULL) {
        enum err err = side_fold(fold, side, &side_next);
        if (err != ERR_OK) {
            return err;
        }
        next = history_merge(&next, &side_next);
    }
    fold->history = next;
    fold->n++;
    return ERR_OK;
}
