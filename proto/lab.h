/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/lab.h: the lab record, doc/protocol.md §4.1. */
#ifndef ESSAIM_PROTO_LAB_H
#define ESSAIM_PROTO_LAB_H

#include "base/buf.h"
#include "proto/hash.h"

#define LAST_GOOD_MAX 32

struct last_good {
    struct hash network;
    struct bytes audience; /* borrowed */
    uint64_t n;
    struct hash head_hash;
};

struct lab_record {
    struct lab_id lab;
    uint64_t generation;
    struct bytes name; /* borrowed */
    uint8_t signing_pk[KEY_SIZE];
    uint8_t link_pk[KEY_SIZE];
    uint64_t issued_at; /* seconds since 1970 */
    unsigned last_good_count;
    struct last_good last_good[LAST_GOOD_MAX];
};

/* Appends the signed object. `root_secret` must be the secret of record->lab. ERR_INVALID for a bad
 * field. */
MUST_USE enum err lab_record_sign(const struct lab_record *record,
                                  const uint8_t root_secret[SIGN_SECRET_SIZE], struct buf *into);
/* Pre-scan, exact fields, signature by record->lab; views into `bytes`. ERR_CANONICAL, ERR_INVALID,
 * ERR_SIZE, ERR_SIGNATURE. */
MUST_USE enum err lab_record_open(struct bytes bytes, struct lab_record *ret_record);
/* Of bytes that were opened once before: no signature check. */
MUST_USE enum err lab_record_peek(struct bytes bytes, struct lab_record *ret_record);

#endif
