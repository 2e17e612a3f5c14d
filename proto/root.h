/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/root.h: the 256-bucket Merkle root, doc/protocol.md §4.3 (tree: R. Merkle 1987). */
#ifndef ESSAIM_PROTO_ROOT_H
#define ESSAIM_PROTO_ROOT_H

#include "proto/hash.h"

#define BUCKET_COUNT 256
#define PAIR_SIZE (SLUG_HASH_SIZE + HASH_SIZE)

struct digests {
    struct hash buckets[BUCKET_COUNT];
};

/* Digest of one bucket from its pairs (slug hash ‖ leaf, PAIR_SIZE each), ascending by slug hash.
 */
struct hash bucket_digest(struct bytes pairs);
/* The digests of the empty catalogue. */
void digests_init(struct digests *digests);
struct hash digests_root(const struct digests *digests);
/* Bucket number of a slug hash. */
static inline unsigned bucket_of(const struct slug_hash *slug_hash)
{
    return slug_hash->bytes[0];
}

#endif
