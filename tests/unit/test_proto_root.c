/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/root.c against roots computed by another program (Python's hashlib). */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "proto/root.h"

static void assert_hash(struct hash hash, const char *hex)
{
    defer(buf_done) struct buf wanted = {0};
    kit_hex(&wanted, hex);
    assert_int_equal(wanted.size, HASH_SIZE);
    assert_memory_equal(hash.bytes, wanted.data, HASH_SIZE);
}

static void the_empty_catalogue_has_its_root(void **state)
{
    (void) state;
    struct digests digests;
    digests_init(&digests);
    assert_hash(digests.buckets[0],
                "1229b034618203d86d4d423de195057ea33de810338e4f5edb471154bb7ad673");
    assert_memory_equal(digests.buckets[0].bytes, digests.buckets[255].bytes, HASH_SIZE);
    assert_hash(digests_root(&digests),
                "07881a6118343376262116f1c64ecf304629a031fba920877e9fa4fb6d3cb8b2");
}

static void every_bucket_has_its_place_in_the_root(void **state)
{
    (void) state;
    struct digests digests;
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        uint8_t pair[PAIR_SIZE];
        memset(pair, (int) i, sizeof pair);
        digests.buckets[i] = bucket_digest(BYTES_OF_ARRAY(pair));
    }
    const char *wanted = "090368002687557b8ca430db59293839facd64712a0deffa47463f57cbcdc825";
    assert_hash(digests_root(&digests), wanted);
    struct hash root = digests_root(&digests);
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        digests.buckets[i].bytes[i % HASH_SIZE] ^= 1;
        struct hash other = digests_root(&digests);
        assert_memory_not_equal(other.bytes, root.bytes, HASH_SIZE);
        digests.buckets[i].bytes[i % HASH_SIZE] ^= 1;
    }
    assert_hash(digests_root(&digests), wanted); /* and the digests were not touched by it */
}

static void two_buckets_swapped_are_another_root(void **state)
{
    (void) state;
    struct digests digests;
    digests_init(&digests);
    uint8_t pair[PAIR_SIZE] = {0};
    struct hash empty = digests.buckets[0];
    digests.buckets[0] = bucket_digest(BYTES_OF_ARRAY(pair));
    struct hash left = digests_root(&digests);
    digests.buckets[1] = digests.buckets[0];
    digests.buckets[0] = empty;
    struct hash right = digests_root(&digests);
    assert_memory_not_equal(left.bytes, right.bytes, HASH_SIZE);
}

static void a_bucket_is_the_first_byte_of_the_slug_hash(void **state)
{
    (void) state;
    struct slug_hash hash = hash_slug(bytes_of_str("geotrek"));
    assert_int_equal(bucket_of(&hash), 0x9f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_catalogue_has_its_root),
        cmocka_unit_test(every_bucket_has_its_place_in_the_root),
        cmocka_unit_test(two_buckets_swapped_are_another_root),
        cmocka_unit_test(a_bucket_is_the_first_byte_of_the_slug_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
