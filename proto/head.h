/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/head.h: the head and its history, doc/protocol.md §4.4 and §4.5. */
#ifndef ESSAIM_PROTO_HEAD_H
#define ESSAIM_PROTO_HEAD_H

#include "base/buf.h"
#include "base/limits.h"
#include "proto/hash.h"

struct head {
    struct hash network;
    struct lab_id lab;
    uint64_t generation;
    char audience[AUDIENCE_SIZE_MAX + 1]; /* NUL-terminated copy */
    uint64_t n, count, bytes;
    struct hash root, history;
    uint64_t issued_at; /* seconds since 1970 */
    uint8_t instance[INSTANCE_SIZE];
    struct hash hash; /* head_hash: filled by head_sign and head_open */
};

/* Appends the signed object and fills head->hash. ERR_INVALID for a bad field. */
MUST_USE enum err head_sign(struct head *head, const uint8_t signing_secret[SIGN_SECRET_SIZE],
                            struct buf *into);
/* Pre-scan and exact fields, no signature: to learn whose key to check with. ERR_CANONICAL,
 * ERR_INVALID, ERR_SIZE. */
MUST_USE enum err head_peek(struct bytes bytes, struct head *ret_head);
/* head_peek and the signature. ERR_SIGNATURE. */
MUST_USE enum err head_open(struct bytes bytes, const uint8_t signing_pk[KEY_SIZE],
                            struct head *ret_head);

/* <0, 0, >0 by (generation, n). */
int head_compare(const struct head *a, const struct head *b);

/* history(n+1) from history(n) and head_hash(n). history(1) is all zero. */
struct hash history_next(const struct hash *history, const struct hash *head_hash);

#endif
