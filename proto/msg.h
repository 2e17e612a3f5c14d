/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/msg.h: the messages of doc/protocol.md §6, one table.
 *
 * Decoding is: scan_strict, then the item count and types of the row; lists stay views into the
 * message and are walked with list_next. Nothing is allocated.
 */
#ifndef ESSAIM_PROTO_MSG_H
#define ESSAIM_PROTO_MSG_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/limits.h"
#include "proto/hash.h"

/* HELLO's `features`: what the sender of it understands beyond version 1. */
#define FEATURE_RECEIPTS 1u

/* A file of messages begins so, doc/protocol.md §10. */
#define BUNDLE_MAGIC "essaim-bundle-1\n"
#define PROOF_PART_SIZE_MAX (60 * 1024)

/* clang-format off */
/* number, name, item count (the type included) */
#define MSG_TABLE(X) \
    X(1,  HELLO,     11) \
    X(2,  RECORDS,    2) \
    X(3,  HEADS,      3) \
    X(4,  WANT,       7) \
    X(5,  DELTA,      5) \
    X(6,  DELTA_END,  3) \
    X(7,  BUCKETS,    6) \
    X(8,  BUCKET,     8) \
    X(9,  PROOF,      5) \
    X(10, ACK,        3) \
    X(11, PING,       2) \
    X(12, PONG,       2) \
    X(13, BYE,        3) \
    X(14, REKEY,      1) \
    X(15, JOIN,       3) \
    X(16, JOINED,     2) \
    X(17, RECEIPTS,   2)
/* clang-format on */
#define MSG_ENUM_ROW(number, name, items) MSG_##name = (number),
enum msg_type { MSG_TABLE(MSG_ENUM_ROW) };
#undef MSG_ENUM_ROW

enum bye {
    BYE_GOING = 0,
    BYE_REPLACED = 1,
    BYE_REFUSED = 2,
    BYE_PROTOCOL = 3,
    BYE_TIMEOUT = 4,
    BYE_BUDGET = 5,
    BYE_NETWORK = 6,
    BYE_VERSION = 7,
};

/* A msgpack array whose items are all bin (or, in HEADS, pairs): the raw items, and how many. */
struct list {
    struct bytes raw;
    size_t count;
};

struct msg {
    enum msg_type type;
    union {
        struct {
            uint64_t version, features, holds, cursor;
            uint64_t generation; /* 0: `record` is a recovery statement (proto/recover.h) */
            struct hash network;
            struct lab_id lab;
            struct bytes record; /* size 0: nil */
            uint8_t index[INSTANCE_SIZE];
            bool has_read_index;
            uint8_t read_index[INSTANCE_SIZE];
        } hello;
        struct list records, receipts;
        struct {
            uint64_t upto;
            struct list heads; /* of [arrival, bin]: list_next_head */
        } heads;
        struct {
            uint64_t stream, m, after_rev;
            struct lab_id lab;
            struct bytes audience;
            bool has_after;
            struct slug_hash after_slug;
        } want;
        struct {
            uint64_t stream;
            struct list entries;
            struct bytes withdrawn; /* hints: multiple of HINT_SIZE */
            struct list opening;    /* of bin32, bin8, bin33: see proto/opening.h */
        } delta;
        struct {
            uint64_t stream;
            struct bytes head; /* size 0: nil */
        } delta_end;
        struct {
            uint64_t stream, n;
            struct lab_id lab;
            struct bytes audience;
            struct bytes digests; /* of all buckets, or size 0 */
        } buckets;
        struct {
            uint64_t stream, n;
            struct lab_id lab;
            struct bytes audience;
            unsigned bucket;
            struct bytes pairs; /* multiple of PAIR_SIZE */
            struct list entries;
        } bucket;
        struct {
            struct lab_id lab;
            uint64_t size, offset; /* of the whole proof, and of this part in it */
            struct bytes part;
        } proof;
        struct {
            uint64_t cursor, upto;
        } ack;
        uint64_t ping; /* PING and PONG */
        struct {
            uint64_t code;
            struct bytes reason; /* a line of at most 200 bytes */
        } bye;
    };
};

const char *msg_name(enum msg_type type); /* "HELLO"; "?" for an unknown one */

/* Appends one message (lists are given as raw, already packed items: see list_put_*). */
void msg_encode(const struct msg *msg, struct buf *into);
/* ERR_CANONICAL, ERR_SIZE, ERR_MALFORMED (unknown type, item count, item type or value out of
 * bounds), ERR_UNSUPPORTED (a reserved type: JOIN, JOINED). Views into `bytes`. */
MUST_USE enum err msg_decode(struct bytes bytes, struct msg *ret_msg);

/* Walks a list of bin: false at the end. Start with *at = 0. */
bool list_next(const struct list *list, size_t *at, struct bytes *ret_item);
bool list_next_head(const struct list *list, size_t *at, uint64_t *ret_arrival,
                    struct bytes *ret_head);
/* Appends one item to the raw buffer of a list being built. */
void list_put(struct buf *raw, struct bytes item);
void list_put_head(struct buf *raw, uint64_t arrival, struct bytes head);

#endif
