/* SPDX-License-Identifier: EUPL-1.2 */
/* One bucket of a catalogue, as proofs and repair want it. */
#include "store_help.h"

static void every_bucket_makes_its_digest_and_all_make_the_root(void **state)
{
    struct scratch *scratch = *state;
    struct digests digests;
    struct buf pairs = {0};
    struct head head = help_publish(scratch, 0, 700, 1, 50);
    struct txn *txn = help_read(scratch);
    size_t before = 0;
    for (unsigned bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        ok(catalogue_bucket(txn, 1, bucket, &digests, &pairs));
        for (size_t at = before; at < pairs.size; at += PAIR_SIZE) {
            assert_int_equal(pairs.data[at], bucket);
            assert_true(at == 0 ||
                        memcmp(pairs.data + at - PAIR_SIZE, pairs.data + at, SLUG_HASH_SIZE) < 0);
        }
        before = pairs.size;
    }
    assert_int_equal(pairs.size, 700 * PAIR_SIZE);
    struct hash root = digests_root(&digests);
    assert_memory_equal(root.bytes, head.root.bytes, HASH_SIZE);
    txn_end(txn);
    buf_done(&pairs);
}

static void a_bucket_that_does_not_make_its_digest_is_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct digests digests;
    struct buf pairs = {0};
    struct slug_hash slug = help_slug(3);
    uint8_t key[20] = {0, 0, 0, 1}, value[52] = {0};
    (void) help_publish(scratch, 0, 700, 1, 50);
    memcpy(key + 4, slug.bytes, SLUG_HASH_SIZE);
    help_row(scratch, TABLE_SLUGS, BYTES_OF_ARRAY(key), BYTES_OF_ARRAY(value));
    struct txn *txn = help_read(scratch);
    is_err(catalogue_bucket(txn, 1, bucket_of(&slug), &digests, &pairs), ERR_CORRUPT);
    ok(catalogue_bucket(txn, 1, (bucket_of(&slug) + 1) % BUCKET_COUNT, &digests, &pairs));
    is_err(catalogue_bucket(txn, 2, 0, &digests, &pairs), ERR_CORRUPT); /* has no digests */
    txn_end(txn);
    help_row(scratch, TABLE_SLUGS, BYTES_OF_ARRAY(key), bytes_of("short", 5));
    txn = help_read(scratch);
    is_err(catalogue_bucket(txn, 1, bucket_of(&slug), &digests, &pairs), ERR_CORRUPT);
    pairs.size_max = pairs.size + 1;
    is_err(catalogue_bucket(txn, 1, (bucket_of(&slug) + 1) % BUCKET_COUNT, &digests, &pairs),
           ERR_SIZE);
    txn_end(txn);
    buf_done(&pairs);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_bucket_makes_its_digest_and_all_make_the_root),
        TEST(a_bucket_that_does_not_make_its_digest_is_corrupt),
    };
    return cmocka_run_group_tests_name("store_bucket", tests, NULL, NULL);
}
