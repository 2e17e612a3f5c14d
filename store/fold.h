/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/fold.h: the history of a chain, folded hash by hash from head 1 through the sides that
 * merge heads joined (doc/protocol.md §4.4, §4.6). For the files of store/ alone.
 */
#ifndef ESSAIM_STORE_FOLD_H
#define ESSAIM_STORE_FOLD_H

#include "proto/opening.h"
#include "store/rows.h"

/* The branch that head `n` joined, from its head k on. */
struct fold_side {
    uint64_t n, k;
    struct hash history; /* history(k): where it starts from, once the fold was there */
};

struct fold {
    uint64_t n; /* of the head whose history this is */
    struct hash history;
    uint32_t id;
    struct cursor sides;
    unsigned side_count;
    struct fold_side list[OPENING_SIDES_MAX]; /* ascending by n */
};

/* Reads which sides there are: ERR_CORRUPT when there are more than OPENING_SIDES_MAX, or one that
 * is none. history(1) to start. */
MUST_USE enum err fold_open(struct txn *txn, uint32_t id, struct fold *ret_fold);
void fold_close(struct fold *fold); /* accepts zeroed ones */
/* From history(n) to history(n + 1): `hash` is that of head n. ERR_CORRUPT when rows of the side
 * that head n + 1 joined are missing. */
MUST_USE enum err fold_step(struct fold *fold, const struct hash *hash);
/* The side that head `n` joined; NULL. */
const struct fold_side *fold_side(const struct fold *fold, uint64_t n);
/* Walks the rows of one side: the first one with `first` = true. ERR_NOT_FOUND at its end,
 * ERR_CORRUPT where one is missing or malformed. *n is the number of the head that was given. */
MUST_USE enum err fold_side_next(struct fold *fold, const struct fold_side *side, bool first,
                                 uint64_t *n, struct bytes *ret_hash);

#endif
