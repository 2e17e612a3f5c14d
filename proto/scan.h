/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/scan.h: the pre-scan that every msgpack byte from outside passes before msgpack-c sees it.
 *
 * Iterative, allocation-free, linear. Strict mode is doc/protocol.md §2 (canonical msgpack);
 * lenient mode is for the control socket, where any msgpack-RPC client may talk: any msgpack but
 * ext, well-formed and bounded.
 */
#ifndef ESSAIM_PROTO_SCAN_H
#define ESSAIM_PROTO_SCAN_H

#include "base/bytes.h"
#include "base/err.h"

struct scan_limits {
    unsigned depth_max; /* nesting of arrays and maps, at most 16 */
    size_t nodes_max;   /* values and keys */
};

/* Exactly one canonical value fills `bytes`. ERR_CANONICAL otherwise (also for truncated and
 * trailing bytes), ERR_SIZE when depth or nodes are over the limits. Declared counts are checked
 * against the bytes that remain. */
MUST_USE enum err scan_strict(struct bytes bytes, struct scan_limits limits);

/* One well-formed value at the head of a stream: ERR_OK and its size; ERR_MORE when it is not
 * complete yet (bytes that can never become acceptable are refused at once); ERR_MALFORMED;
 * ERR_SIZE. */
MUST_USE enum err scan_lenient(struct bytes bytes, struct scan_limits limits, size_t *ret_size);

/* One step over *canonical* bytes that passed scan_strict: reads the head of the value at `*at` and
 * moves behind it (for str and bin behind the content, for array and map to their first item). For
 * peeking without allocation. */
enum scan_kind {
    SCAN_NIL,
    SCAN_BOOL,
    SCAN_UINT,
    SCAN_INT,
    SCAN_STR,
    SCAN_BIN,
    SCAN_ARRAY,
    SCAN_MAP
};
struct scan_item {
    enum scan_kind kind;
    uint64_t value;     /* UINT, BOOL; count of ARRAY items or MAP pairs */
    int64_t negative;   /* INT: below zero */
    struct bytes bytes; /* STR, BIN: the content, borrowed */
};
MUST_USE enum err scan_next(struct bytes bytes, size_t *at, struct scan_item *ret_item);

/* Moves `*at` behind one whole value (skips nested ones). */
MUST_USE enum err scan_skip(struct bytes bytes, size_t *at);

#endif
