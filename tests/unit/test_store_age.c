/* SPDX-License-Identifier: EUPL-1.2 */
/* store/age: one row, any numbers, and a row that is none. */
#include "store/age.h"

#include "store_help.h"

static void a_store_has_no_age_until_it_is_noted(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    struct age age = {0};
    is_err(age_get(txn, &age), ERR_NOT_FOUND);
    ok(age_put(txn, &(struct age){.age_s = 7, .wall_s = -9}));
    ok(txn_commit(txn));
    help_reopen(scratch);
    txn = help_read(scratch);
    ok(age_get(txn, &age));
    assert_int_equal(age.age_s, 7);
    assert_int_equal(age.wall_s, -9);
    txn_end(txn);
}

static void every_number_comes_back(void **state)
{
    struct scratch *scratch = *state;
    static const struct age ages[] = {
        {0, 0}, {UINT64_MAX, INT64_MIN}, {1, INT64_MAX}, {4294967296, -1}};
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
        struct txn *txn = help_write(scratch);
        struct age age = {0};
        ok(age_put(txn, &ages[i]));
        ok(age_get(txn, &age));
        assert_int_equal(age.age_s, ages[i].age_s);
        assert_int_equal(age.wall_s, ages[i].wall_s);
        txn_end(txn);
    }
}

static void a_row_of_another_size_is_damage(void **state)
{
    struct scratch *scratch = *state;
    struct age age = {0};
    help_row(scratch, TABLE_META, bytes_of_str("age"), bytes_of_str("fifteen bytes.."));
    struct txn *txn = help_read(scratch);
    is_err(age_get(txn, &age), ERR_CORRUPT);
    txn_end(txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_store_has_no_age_until_it_is_noted),
        TEST(every_number_comes_back),
        TEST(a_row_of_another_size_is_damage),
    };
    return cmocka_run_group_tests_name("store_age", tests, NULL, NULL);
}
