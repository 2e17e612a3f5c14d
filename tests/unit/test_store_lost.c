/* SPDX-License-Identifier: EUPL-1.2 */
/* Versions of own entries that gave way in merges. */
#include "store_help.h"

#include "store/lost.h"

static void lose(struct txn *txn, uint32_t id, unsigned number, uint64_t rev)
{
    struct buf entry = {0};
    help_entry(number, rev, (unsigned) rev, 100, &entry);
    ok(lost_put(txn, id,
                &(struct lost){.merge_n = rev + 10, .kept_rev = 7, .entry = buf_bytes(&entry)}));
    buf_done(&entry);
}

/* How many there are, each whole. */
static unsigned count_of(struct txn *txn, uint32_t id)
{
    uint8_t at[LOST_AT_SIZE] = {0};
    struct lost lost;
    unsigned count = 0;
    enum err err = lost_next(txn, id, at, &lost);
    while (err == ERR_OK) {
        struct entry entry;
        ok(entry_decode(lost.entry, &entry));
        assert_int_equal(lost.merge_n, entry.rev + 10);
        assert_int_equal(lost.kept_rev, 7);
        count++;
        err = lost_next(txn, id, at, &lost);
    }
    is_err(err, ERR_NOT_FOUND);
    return count;
}

static void versions_of_a_slug_stand_beside_each_other(void **state)
{
    struct txn *txn = help_write(*state);
    uint64_t count = 9;
    ok(lost_count(txn, &count));
    assert_int_equal(count, 0);
    lose(txn, 1, 3, 7);
    lose(txn, 1, 3, 2);
    lose(txn, 1, 4, 5);
    lose(txn, 2, 3, 9);
    lose(txn, 1, 3, 2); /* once more: the same row */
    assert_int_equal(count_of(txn, 1), 3);
    assert_int_equal(count_of(txn, 2), 1);
    assert_int_equal(count_of(txn, 3), 0);
    ok(lost_count(txn, &count));
    assert_int_equal(count, 4);
    txn_end(txn);
}

static void dropping_a_slug_leaves_the_others_and_is_noted_as_garbage(void **state)
{
    struct scratch *scratch = *state;
    struct slug_hash slug = help_slug(3), none = help_slug(5);
    bool any = false;
    struct txn *txn = help_write(scratch);
    for (uint64_t rev = 1; rev < 6; rev++) {
        lose(txn, 1, 3, rev);
        lose(txn, 1, 4, rev);
        lose(txn, 2, 3, rev);
    }
    ok(txn_commit(txn));
    assert_false(store_erase_due(scratch->store));
    txn = help_write(scratch);
    ok(lost_any(txn, 1, &none, &any));
    assert_false(any);
    ok(lost_any(txn, 1, &slug, &any));
    assert_true(any);
    is_err(lost_drop(txn, 1, &none), ERR_NOT_FOUND);
    ok(lost_drop(txn, 1, &slug));
    is_err(lost_drop(txn, 1, &slug), ERR_NOT_FOUND);
    ok(lost_any(txn, 1, &slug, &any));
    assert_false(any);
    assert_int_equal(count_of(txn, 1), 5);
    assert_int_equal(count_of(txn, 2), 5);
    ok(txn_commit(txn));
    assert_true(store_erase_due(scratch->store));
}

static void a_row_that_holds_something_else_is_damage(void **state)
{
    struct scratch *scratch = *state;
    uint8_t at[LOST_AT_SIZE] = {0};
    uint8_t key[4 + LOST_AT_SIZE] = {0, 0, 0, 1, 1};
    struct lost lost;
    struct buf value = {0}, entry = {0};
    buf_put(&value, bytes_of("0123456789abcdef", 16));
    help_row(scratch, TABLE_LOST, BYTES_OF_ARRAY(key), buf_bytes(&value)); /* no entry */
    key[4] = 2;
    buf_put(&value, bytes_of_str("no entry"));
    help_row(scratch, TABLE_LOST, BYTES_OF_ARRAY(key), buf_bytes(&value));
    key[4] = 3;
    value.size = 16;
    help_entry(3, 9, 1, 100, &entry);
    buf_put(&value, buf_bytes(&entry)); /* of another slug */
    help_row(scratch, TABLE_LOST, BYTES_OF_ARRAY(key), buf_bytes(&value));
    struct txn *txn = help_write(scratch);
    for (uint8_t i = 1; i <= 3; i++) {
        is_err(lost_next(txn, 1, at, &lost), ERR_CORRUPT);
        assert_int_equal(at[0], i); /* one may go on behind it */
    }
    is_err(lost_next(txn, 1, at, &lost), ERR_NOT_FOUND);
    txn_end(txn);
    help_row(scratch, TABLE_LOST, bytes_of(key, 21), buf_bytes(&value));
    memset(at, 0, sizeof at);
    at[0] = 2;
    memset(at + 1, 0xff, sizeof at - 1);
    txn = help_write(scratch);
    is_err(lost_next(txn, 1, at, &lost), ERR_CORRUPT); /* a key of another size */
    txn_end(txn);
    buf_done(&entry);
    buf_done(&value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(versions_of_a_slug_stand_beside_each_other),
        TEST(dropping_a_slug_leaves_the_others_and_is_noted_as_garbage),
        TEST(a_row_that_holds_something_else_is_damage),
    };
    return cmocka_run_group_tests_name("store_lost", tests, NULL, NULL);
}
