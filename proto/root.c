/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/root.c: 256 bucket digests, and the binary tree over them worked off level by level. */
#include "proto/root.h"

#include "base/must.h"

struct hash bucket_digest(struct bytes pairs)
{
    must(pairs.size % PAIR_SIZE == 0);
    return hash_of(TAG_BUCKET, pairs);
}

void digests_init(struct digests *digests)
{
    struct hash empty = bucket_digest((struct bytes){0});
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        digests->buckets[i] = empty;
    }
}

struct hash digests_root(const struct digests *digests)
{
    struct digests level = *digests;
    for (size_t count = BUCKET_COUNT / 2; count > 0; count /= 2) {
        for (size_t i = 0; i < count; i++) {
            struct bytes left = BYTES_OF_ARRAY(level.buckets[2 * i].bytes);
            struct bytes right = BYTES_OF_ARRAY(level.buckets[2 * i + 1].bytes);
            level.buckets[i] = hash_of_two(TAG_NODE, left, right);
        }
    }
    return level.buckets[0];
}
