/* SPDX-License-Identifier: EUPL-1.2 */
/* store/staging.h: bodies of a large delta that arrive over several turns, kept until the head that
 * covers them. They survive a lost link and a restart. At most one staging a catalogue. */
#ifndef ESSAIM_STORE_STAGING_H
#define ESSAIM_STORE_STAGING_H

#include "store/catalogue.h"

struct staging {
    uint64_t first_seq; /* its first body */
    uint64_t m;         /* the held head's n it starts from */
};
/* ERR_NOT_FOUND when there is none. */
MUST_USE enum err staging_get(struct txn *txn, uint32_t id, struct staging *ret_staging);
MUST_USE enum err staging_put(struct txn *txn, uint32_t id, const struct staging *staging);
/* Reads the staged bodies back into a change list, in seq order (leaf and slug hash computed anew).
 */
MUST_USE enum err staging_load(struct txn *txn, uint32_t id, const struct staging *staging,
                               struct change_list *ret_list);
/* Forgets the staging row only: its bodies became visible by catalogue_apply. */
MUST_USE enum err staging_close(struct txn *txn, uint32_t id);
/* Forgets the row and sends its bodies (bodies of `id` from first_seq on) to the trash. */
MUST_USE enum err staging_drop(struct txn *txn, uint32_t id);

#endif
