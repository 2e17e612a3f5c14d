/* SPDX-License-Identifier: EUPL-1.2 */
/* Former revisions of own entries. */
#include "store_help.h"

#include "store/kept.h"

static void keep(struct txn *txn, uint32_t id, unsigned number, uint64_t rev)
{
    struct buf entry = {0};
    struct slug_hash slug = help_slug(number);
    help_entry(number, rev, (unsigned) rev, 100, &entry);
    ok(kept_put(txn, id, &slug, rev, buf_bytes(&entry)));
    buf_done(&entry);
}

/* Revisions found, as decimal digits. */
static uint64_t revs_of(struct txn *txn, uint32_t id, unsigned number)
{
    struct slug_hash slug = help_slug(number);
    struct bytes bytes;
    uint64_t rev = 0, revs = 0;
    enum err err = kept_next(txn, id, &slug, &rev, &bytes);
    while (err == ERR_OK) {
        struct entry entry;
        ok(entry_decode(bytes, &entry));
        assert_int_equal(entry.rev, rev);
        revs = revs * 10 + rev;
        err = kept_next(txn, id, &slug, &rev, &bytes);
    }
    is_err(err, ERR_NOT_FOUND);
    return revs;
}

static void revisions_of_a_slug_come_in_order(void **state)
{
    struct txn *txn = help_write(*state);
    keep(txn, 1, 3, 7);
    keep(txn, 1, 3, 2);
    keep(txn, 1, 4, 5);
    keep(txn, 2, 3, 9);
    keep(txn, 1, 3, 2); /* once more: the same row */
    assert_int_equal(revs_of(txn, 1, 3), 27);
    assert_int_equal(revs_of(txn, 1, 4), 5);
    assert_int_equal(revs_of(txn, 2, 3), 9);
    assert_int_equal(revs_of(txn, 2, 4), 0);
    txn_end(txn);
}

static void the_last_revision_there_can_be_ends_the_walk(void **state)
{
    struct txn *txn = help_write(*state);
    struct slug_hash slug = help_slug(3);
    struct bytes bytes;
    uint64_t rev = UINT64_MAX;
    keep(txn, 1, 3, 1);
    is_err(kept_next(txn, 1, &slug, &rev, &bytes), ERR_NOT_FOUND);
    txn_end(txn);
}

static void dropping_a_slug_leaves_the_others_and_is_noted_as_garbage(void **state)
{
    struct scratch *scratch = *state;
    struct slug_hash slug = help_slug(3);
    struct txn *txn = help_write(scratch);
    for (uint64_t rev = 1; rev < 6; rev++) {
        keep(txn, 1, 3, rev);
        keep(txn, 1, 4, rev);
    }
    ok(txn_commit(txn));
    assert_false(store_erase_due(scratch->store));
    txn = help_write(scratch);
    ok(kept_drop(txn, 1, &slug));
    is_err(kept_drop(txn, 1, &slug), ERR_NOT_FOUND);
    assert_int_equal(revs_of(txn, 1, 3), 0);
    assert_int_equal(revs_of(txn, 1, 4), 12345);
    ok(txn_commit(txn));
    assert_true(store_erase_due(scratch->store));
}

static void clearing_forgets_everything_once(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    is_err(kept_clear(txn), ERR_NOT_FOUND);
    assert_false(txn_dirty(txn));
    keep(txn, 1, 3, 1);
    keep(txn, 2, 4, 1);
    ok(txn_commit(txn));
    txn = help_write(scratch);
    ok(kept_clear(txn));
    ok(txn_commit(txn));
    assert_int_equal(help_rows(scratch, TABLE_KEPT), 0);
    assert_true(store_erase_due(scratch->store));
}

static void a_row_that_holds_something_else_is_damage(void **state)
{
    struct txn *txn = help_write(*state);
    struct slug_hash slug = help_slug(3);
    struct buf entry = {0};
    struct bytes bytes;
    uint64_t rev = 0;
    help_entry(4, 2, 1, 100, &entry);
    ok(kept_put(txn, 1, &slug, 2, buf_bytes(&entry))); /* of another slug */
    is_err(kept_next(txn, 1, &slug, &rev, &bytes), ERR_CORRUPT);
    assert_int_equal(rev, 2); /* one may go on behind it */
    help_entry(3, 9, 1, 100, &entry);
    ok(kept_put(txn, 1, &slug, 3, buf_bytes(&entry))); /* another rev */
    is_err(kept_next(txn, 1, &slug, &rev, &bytes), ERR_CORRUPT);
    ok(kept_put(txn, 1, &slug, 4, bytes_of_str("no entry")));
    is_err(kept_next(txn, 1, &slug, &rev, &bytes), ERR_CORRUPT);
    is_err(kept_next(txn, 1, &slug, &rev, &bytes), ERR_NOT_FOUND);
    ok(kept_drop(txn, 1, &slug));
    buf_done(&entry);
    txn_end(txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(revisions_of_a_slug_come_in_order),
        TEST(the_last_revision_there_can_be_ends_the_walk),
        TEST(dropping_a_slug_leaves_the_others_and_is_noted_as_garbage),
        TEST(clearing_forgets_everything_once),
        TEST(a_row_that_holds_something_else_is_damage),
    };
    return cmocka_run_group_tests_name("store_kept", tests, NULL, NULL);
}
