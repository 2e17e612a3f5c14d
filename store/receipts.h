/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/receipts.h: who says that what was withdrawn is off its disk: the newest receipt of each
 * lab, and which catalogues a receipt of this store owes a word (doc/decisions/0014-receipts.md).
 *
 *   receipts    lab 32   -> arrival u64 ‖ signed receipt                         (schema 3)
 *   withdrawn   id u32   -> generation u64 ‖ n u64 ‖ owed u8: the last head that
 *                           brought a withdrawal                                 (schema 3)
 */
#ifndef ESSAIM_STORE_RECEIPTS_H
#define ESSAIM_STORE_RECEIPTS_H

#include "base/buf.h"
#include "proto/head.h"
#include "proto/receipt.h"
#include "store/store.h"

struct held_receipt {
    struct receipt receipt; /* views into the transaction */
    struct bytes signed_bytes;
    uint64_t arrival;
};
/* ERR_NOT_FOUND, ERR_CORRUPT. */
MUST_USE enum err receipts_get(struct txn *txn, const struct lab_id *lab,
                               struct held_receipt *ret_held);
/* Stores an opened (checked) receipt in place of its lab's former one and gives it an arrival. The
 * caller holds the lab's record and compared the numbers. */
MUST_USE enum err receipts_put(struct txn *txn, const struct receipt *receipt,
                               struct bytes signed_bytes, const struct lab_id *from);

/* ---- withdrawals ---- */

struct withdrawal {
    uint64_t generation, n; /* of the head */
    bool owed;              /* no receipt of this store covers it yet */
};
/* For catalogue_apply: this head brought withdrawals. */
MUST_USE enum err receipts_owe(struct txn *txn, uint32_t id, const struct head *head);
/* ERR_NOT_FOUND when none ever came. */
MUST_USE enum err withdrawal_get(struct txn *txn, uint32_t id, struct withdrawal *ret_withdrawal);
/* Does any catalogue wait for a receipt? */
MUST_USE enum err receipts_owed(struct txn *txn, bool *ret_owed);
/* Is nothing left in the file, in pages free or not, of what is gone? Then what is held now may be
 * said of it. */
bool receipts_clean(const struct txn *txn);
/* The rows of a receipt that speaks of the store as it is in this transaction, which must be clean:
 * for every catalogue of that network with a withdrawal the head that is held. Where something
 * beside that head is kept on purpose (a staging that began before it, former revisions) what
 * `before` (NULL: nothing) said stays. What is covered is no longer owed. *ret_moved: something
 * that was owed is. */
MUST_USE enum err receipts_rows(struct txn *txn, const struct hash *network,
                                const struct receipt *before, struct buf *rows, size_t *ret_count,
                                bool *ret_moved);

/* The newest (generation, number) of receipts of the own lab that this store did not make; both 0
 * when there never was one. */
MUST_USE enum err receipts_seen_get(struct txn *txn, uint64_t *ret_generation,
                                    uint64_t *ret_number);
MUST_USE enum err receipts_seen_put(struct txn *txn, uint64_t generation, uint64_t number);

#endif
