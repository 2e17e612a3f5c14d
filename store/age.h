/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/age.h: how old this store is by its own reckoning, which no jump of the wall clock changes
 * (doc/decisions/0012-time.md). What must be kept for a time is kept for so much of this age.
 */
#ifndef ESSAIM_STORE_AGE_H
#define ESSAIM_STORE_AGE_H

#include "store/store.h"

struct age {
    uint64_t age_s; /* counts from about 1970, and only forward */
    int64_t wall_s; /* what the wall clock said when it was noted */
};
/* ERR_NOT_FOUND when it was never noted. */
MUST_USE enum err age_get(struct txn *txn, struct age *ret_age);
MUST_USE enum err age_put(struct txn *txn, const struct age *age);

#endif
