/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/entry.h: an entry's bytes (doc/protocol.md §4.2) and its leaf. */
#ifndef ESSAIM_PROTO_ENTRY_H
#define ESSAIM_PROTO_ENTRY_H

#include <stdbool.h>

#include "base/buf.h"
#include "proto/hash.h"

struct entry {
    struct bytes slug, kind; /* borrowed from the bytes */
    struct bytes body;       /* one canonical map */
    uint64_t rev;            /* >= 1 */
};

bool slug_valid(struct bytes slug);
bool kind_valid(struct bytes kind);
bool audience_valid(struct bytes audience);

/* Appends the canonical entry. `body` must be canonical already. ERR_SLUG, ERR_INVALID (kind, rev
 * 0, body not a map), ERR_CANONICAL (body), ERR_SIZE (over ENTRY_SIZE_MAX, or over the node and
 * depth limits). */
MUST_USE enum err entry_encode(const struct entry *entry, struct buf *into);
/* Strict pre-scan and field checks; views into `bytes`. No allocation. The same errors. */
MUST_USE enum err entry_decode(struct bytes bytes, struct entry *ret_entry);
/* Of bytes that were checked before: no pre-scan. */
MUST_USE enum err entry_peek(struct bytes bytes, struct entry *ret_entry);

/* The size that an entry of `size` bytes and `rev` has under another one: numbers grow. */
size_t entry_size_under(size_t size, uint64_t rev, uint64_t other_rev);

struct hash entry_leaf(struct bytes bytes);

/* The value of top-level field `name` of the entry's body as raw canonical bytes; ERR_NOT_FOUND. */
MUST_USE enum err entry_field(const struct entry *entry, const char *name, struct bytes *ret_value);

#endif
