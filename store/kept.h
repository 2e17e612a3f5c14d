/* SPDX-License-Identifier: EUPL-1.2 */
/* store/kept.h: former revisions of own entries, where the lab chose to keep them. They are for its
 * own agents alone: never part of a head, a delta or an export.
 *
 *   kept   id u32 ‖ slug hash 16 ‖ rev u64 -> entry
 */
#ifndef ESSAIM_STORE_KEPT_H
#define ESSAIM_STORE_KEPT_H

#include "store/catalogue.h"

MUST_USE enum err kept_put(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                           uint64_t rev, struct bytes entry);
/* The revision with the least rev > *rev (start with 0), borrowed from the transaction.
 * ERR_NOT_FOUND at the end; ERR_CORRUPT when the row holds no entry of that slug and rev. */
MUST_USE enum err kept_next(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                            uint64_t *rev, struct bytes *ret_entry);
/* Is any revision of this catalogue kept? */
MUST_USE enum err kept_any(struct txn *txn, uint32_t id, bool *ret_any);
/* Forgets all revisions of a slug. ERR_NOT_FOUND when there was none. */
MUST_USE enum err kept_drop(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash);
/* Forgets everything. ERR_NOT_FOUND when there was nothing. */
MUST_USE enum err kept_clear(struct txn *txn);

#endif
