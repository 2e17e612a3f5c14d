/* SPDX-License-Identifier: EUPL-1.2 */
/* store/lost.h: versions of own entries that gave way when branches were merged (decision 0008).
 * They stay until the operator drops them, or erases the slug: never part of a head, a delta or an
 * export.
 *
 *   lost   id u32 ‖ slug hash 16 ‖ leaf 32   -> merge n u64 ‖ rev that stands u64 ‖ entry
 */
#ifndef ESSAIM_STORE_LOST_H
#define ESSAIM_STORE_LOST_H

#include "store/catalogue.h"

#define LOST_AT_SIZE (SLUG_HASH_SIZE + HASH_SIZE)

struct lost {
    uint64_t merge_n;   /* of the head that joined the branches */
    uint64_t kept_rev;  /* of what stands instead; 0 = nothing does */
    struct bytes entry; /* borrowed from the transaction */
};

/* The same version twice is one row. */
MUST_USE enum err lost_put(struct txn *txn, uint32_t id, const struct lost *lost);
/* The first one behind *at, in the order of slug hashes (all zero to start). ERR_NOT_FOUND at the
 * end; ERR_CORRUPT when the row is not what its key says: *at has moved on nevertheless, unless the
 * table itself is damaged. */
MUST_USE enum err lost_next(struct txn *txn, uint32_t id, uint8_t at[LOST_AT_SIZE],
                            struct lost *ret_lost);
MUST_USE enum err lost_any(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                           bool *ret_any);
/* Drops all versions of a slug. ERR_NOT_FOUND when there was none. */
MUST_USE enum err lost_drop(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash);
MUST_USE enum err lost_count(struct txn *txn, uint64_t *ret_count);

#endif
