/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/receipt.h: what a lab says about its own disk, doc/protocol.md §11: of these catalogues
 * nothing is left on it that their head does not hold, but for what came later. */
#ifndef ESSAIM_PROTO_RECEIPT_H
#define ESSAIM_PROTO_RECEIPT_H

#include "base/buf.h"
#include "base/limits.h"
#include "proto/hash.h"

struct receipt_row {
    struct lab_id lab;
    struct bytes audience;  /* borrowed */
    uint64_t generation, n; /* of the head */
};

struct receipt {
    struct lab_id lab;
    uint64_t generation; /* of the record whose signing key signed it */
    uint64_t number;     /* receipts of a lab are ordered by (generation, number) */
    uint64_t issued_at;  /* seconds since 1970 */
    struct hash network; /* of all rows */
    struct bytes rows;   /* borrowed: receipt_next, receipt_find */
    size_t row_count;
};

/* Appends one row to those of a receipt that is to be signed: ascending by lab, audience. */
void receipt_put_row(struct buf *rows, const struct receipt_row *row);
/* Appends the signed object. ERR_INVALID for a bad field or rows that do not ascend, ERR_SIZE. */
MUST_USE enum err receipt_sign(const struct receipt *receipt,
                               const uint8_t signing_secret[SIGN_SECRET_SIZE], struct buf *into);
/* Pre-scan, exact fields and the order of the rows, no signature: to learn whose key to check
 * with. Views into `bytes`. ERR_CANONICAL, ERR_INVALID, ERR_SIZE. */
MUST_USE enum err receipt_peek(struct bytes bytes, struct receipt *ret_receipt);
/* receipt_peek and the signature. ERR_SIGNATURE. */
MUST_USE enum err receipt_open(struct bytes bytes, const uint8_t signing_pk[KEY_SIZE],
                               struct receipt *ret_receipt);

/* Walks the rows of an opened receipt: false at the end. Start with *at = 0. */
bool receipt_next(const struct receipt *receipt, size_t *at, struct receipt_row *ret_row);
/* The row of that catalogue; false when there is none. */
bool receipt_find(const struct receipt *receipt, const struct lab_id *lab, struct bytes audience,
                  struct receipt_row *ret_row);
/* <0, 0, >0 by (generation, number). */
int receipt_compare(const struct receipt *a, const struct receipt *b);

#endif
