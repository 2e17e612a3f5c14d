/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/verified.h: the last heads whose signatures were checked, or made here.
 *
 * Each comes again byte by byte: at the end of its delta, from every other peer, the own one as an
 * echo. A signature costs more to check than everything else about a head.
 */
#ifndef ESSAIM_NODE_VERIFIED_H
#define ESSAIM_NODE_VERIFIED_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "proto/head.h"

#define VERIFIED_MAX 16

struct verified_head {
    uint8_t signing_pk[KEY_SIZE];
    uint8_t bytes[HEAD_SIZE_MAX]; /* signature and all */
    size_t size;                  /* 0 = none */
};

struct verified {
    struct verified_head heads[VERIFIED_MAX];
    unsigned next; /* the oldest */
};

/* The head's signature is right under that key. */
void verified_put(struct verified *verified, struct bytes signed_head,
                  const uint8_t signing_pk[KEY_SIZE]);

/* As head_open: opens a head whose signature is right under that key. */
MUST_USE enum err verified_open(struct verified *verified, struct bytes signed_head,
                                const uint8_t signing_pk[KEY_SIZE], struct head *ret_head);

#endif
