/* SPDX-License-Identifier: EUPL-1.2 */
/* store/hints.h: the table `gone`, for the files of store/ alone. */
#ifndef ESSAIM_STORE_HINTS_H
#define ESSAIM_STORE_HINTS_H

#include "store/txn.h"

/* Looks at up to *left rows from where the last call stopped, and deletes those older than
 * HINT_TTL_S and those that are damaged; a round ends at the end of the table. */
MUST_USE enum err hints_expire(struct txn *txn, uint64_t now_s, size_t *left, bool *ret_round_over);

#endif
