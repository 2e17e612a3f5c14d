/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/history.h: the chain of a catalogue's heads, the sides that merge heads joined, and what is
 * known of forks (doc/protocol.md §4.5 to §4.7, §8).
 *
 *   hashes   id u32 ‖ n u64                 -> head hash of the trunk
 *   sides    id u32 ‖ merge n u64 ‖ n u64   -> head hash of the side that head `merge n` joined,
 *                                              n = k …
 *   forks    id u32                         -> generation u64 ‖ k u64 ‖ arrival u64 ‖ times u8 ‖
 *                                              proof
 */
#ifndef ESSAIM_STORE_HISTORY_H
#define ESSAIM_STORE_HISTORY_H

#include "proto/opening.h"
#include "store/catalogue.h"

/* history(n) of the trunk, 1 <= n <= held n + 1, folded from head 1 through all sides.
 * ERR_NOT_FOUND beyond it, ERR_CORRUPT when a row is missing. Costs a hash for each head. */
MUST_USE enum err history_at(struct txn *txn, uint32_t id, uint64_t n, struct hash *ret_history);

/* How many sides its merge heads joined: at most OPENING_SIDES_MAX can be shown to anybody. */
MUST_USE enum err history_sides(struct txn *txn, uint32_t id, unsigned *ret_count);

enum where { WHERE_UNKNOWN, WHERE_TRUNK, WHERE_SIDE, WHERE_OTHER };
/* Where head n of that hash stands: UNKNOWN when n is above the held n, OTHER when the trunk has
 * another head n and no side has this one. */
MUST_USE enum err history_where(struct txn *txn, uint32_t id, uint64_t n, const struct hash *hash,
                                enum where *ret_where);

/* Appends heads opening->from + (what it has) … up to `end` - 1, at most `count` hashes, with the
 * sides that head `end` and those below it joined, to an opening that was begun (the caller may
 * go on with the next call). A side that belongs behind the last hash is given with it.
 * ERR_NOT_FOUND when a hash is missing. */
MUST_USE enum err history_opening(struct txn *txn, uint32_t id, uint64_t end, size_t count,
                                  struct opening *opening);

struct held_fork {
    uint64_t generation, k, arrival;
    unsigned times;     /* how often the proof was replaced */
    struct bytes proof; /* borrowed; size 0: seen here, too large to be passed on */
};
/* ERR_NOT_FOUND when none is known. */
MUST_USE enum err fork_get(struct txn *txn, uint32_t id, struct held_fork *ret_held);
/* Puts or replaces it (times + 1 when of the same generation) and gives it a new arrival, of kind
 * ARRIVAL_FORK. */
MUST_USE enum err fork_put(struct txn *txn, uint32_t id, uint64_t generation, uint64_t k,
                           struct bytes proof, const struct lab_id *from, uint64_t *ret_arrival);
/* Forgets it and its arrival. ERR_NOT_FOUND. */
MUST_USE enum err fork_drop(struct txn *txn, uint32_t id);
/* Walks catalogues with a fork, by id: the next one with id > *id. ERR_NOT_FOUND at the end. */
MUST_USE enum err fork_next(struct txn *txn, uint32_t *id);

#endif
