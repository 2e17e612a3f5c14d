/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/opening.h: what links two heads, doc/protocol.md §4.5 and §4.6: head hashes, and the sides
 * that merge heads joined. Pure; grows with what is added, within its bounds.
 */
#ifndef ESSAIM_PROTO_OPENING_H
#define ESSAIM_PROTO_OPENING_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/limits.h"
#include "proto/hash.h"

#define OPENING_SIDES_MAX 16
#define OPENING_SIDE_COUNT_MAX 16384 /* hashes of one side: longer ones cannot be merged */
#define OPENING_SIDE_MARK 0x01
#define OPENING_ITEM_MAX (1 + HASH_SIZE)

/* The branch that merge head `n` joined: its heads k … k + count - 1. */
struct side {
    uint64_t n, k, count;
    size_t at; /* of its first hash in struct opening.sides, in bytes */
};

struct opening {
    uint64_t from;          /* number of the first hash: 1 or more; set by opening_begin */
    struct buf hashes;      /* heads from, from + 1, …: HASH_SIZE each */
    struct buf side_hashes; /* HASH_SIZE each */
    unsigned side_count;
    struct side sides[OPENING_SIDES_MAX]; /* ascending by n */
};

/* Of a zeroed or used one; keeps the memory. must() that from >= 1. */
void opening_begin(struct opening *opening, uint64_t from);
void opening_done(struct opening *opening); /* accepts zeroed ones; leaves a zeroed one */

/* One item as it is sent. ERR_MALFORMED: not of 32, 8 or 33 bytes, a side before any hash, twice in
 * one place, empty (found at the next hash or by opening_check), longer than the trunk, or as long
 * with a tip hash not below the trunk's, k of 0 or beyond its merge head. ERR_SIZE: over
 * OPENING_COUNT_MAX hashes in all, OPENING_SIDE_COUNT_MAX in a side or OPENING_SIDES_MAX sides.
 * ERR_NOMEM. A refused item leaves what was there. */
MUST_USE enum err opening_add(struct opening *opening, struct bytes item);
/* The items again, in order: *at = 0 to start; false at the end. `room` holds the item given. */
struct opening_at {
    uint64_t hash, side_hash; /* how many were given */
    unsigned side;            /* sides finished */
    bool in_side;
};
bool opening_next(const struct opening *opening, struct opening_at *at,
                  uint8_t room[OPENING_ITEM_MAX], struct bytes *ret_item);

/* history(n) of the trunk for a k below `from` (asked for at most OPENING_SIDES_MAX times). */
typedef enum err opening_history_fn(void *user, uint64_t n, struct hash *ret_history);

/* Folds from history(from) to history(n) and compares: ERR_OK when the items reach exactly head n
 * with that history; ERR_UNLINKED when they do not, ERR_MALFORMED for an empty side; the errors of
 * `history`, which may be NULL where no side starts below `from` (ERR_UNLINKED then). */
MUST_USE enum err opening_check(const struct opening *opening, const struct hash *history_from,
                                opening_history_fn *history, void *user, uint64_t n,
                                const struct hash *history_n);
/* The fold alone: history(n) for from <= n <= from + hashes; ERR_UNLINKED outside. */
MUST_USE enum err opening_history(const struct opening *opening, const struct hash *history_from,
                                  opening_history_fn *history, void *user, uint64_t n,
                                  struct hash *ret_history);

/* The trunk's hash of head n; NULL when it is not among the items. */
const uint8_t *opening_hash(const struct opening *opening, uint64_t n);
/* Is that head on the trunk or on a side? */
bool opening_holds(const struct opening *opening, uint64_t n, const struct hash *hash);
/* The side's hash of head n, of the side that merge head `sides[i].n` joined; NULL. */
const uint8_t *opening_side_hash(const struct opening *opening, unsigned i, uint64_t n);

/* history of a merge head from history_next of both tips, doc/protocol.md §4.6. */
struct hash history_merge(const struct hash *trunk_next, const struct hash *side_next);

#endif
