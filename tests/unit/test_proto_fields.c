/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/fields.c: items come in order and by type; the first that does not fit spoils the rest. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "proto/fields.h"

static void items_are_taken_in_order(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    kit_hex(&bytes, "96 05 a26162 c40101 c402aabb 92c0c3 9107");
    struct fields fields = fields_of(buf_bytes(&bytes));
    fields_expect(&fields, 6);
    assert_int_equal(fields_uint(&fields), 5);
    assert_true(bytes_equal(fields_str(&fields), bytes_of_str("ab")));
    assert_int_equal(fields_bin(&fields).data[0], 1);
    uint8_t copy[2];
    fields_copy(&fields, copy, sizeof copy);
    assert_memory_equal(copy, "\xaa\xbb", 2);
    assert_true(bytes_equal(fields_raw(&fields), bytes_of("\x92\xc0\xc3", 3)));
    assert_err(fields_end(&fields), ERR_INVALID); /* not yet */
    assert_int_equal(fields_array(&fields), 1);
    assert_int_equal(fields_uint(&fields), 7);
    assert_err(fields_end(&fields), ERR_OK);
}

static void a_wrong_type_spoils_the_rest(void **state)
{
    (void) state;
    static const char *const not_uint[] = {"ff", "a0", "c400", "90", "80", "c0", "c3", ""};
    for (size_t i = 0; i < sizeof not_uint / sizeof not_uint[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        kit_hex(&bytes, not_uint[i]);
        struct fields fields = fields_of(buf_bytes(&bytes));
        assert_int_equal(fields_uint(&fields), 0);
        assert_err(fields.err, ERR_INVALID);
        assert_int_equal(fields_str(&fields).size, 0);
        assert_int_equal(fields_bin(&fields).size, 0);
        assert_int_equal(fields_raw(&fields).size, 0);
        assert_int_equal(fields_array(&fields), 0);
        assert_err(fields_end(&fields), ERR_INVALID);
    }
}

static void a_copy_has_exactly_its_size(void **state)
{
    (void) state;
    static const char *const sized[] = {"c400", "c40101", "c403010203"};
    for (size_t i = 0; i < sizeof sized / sizeof sized[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        kit_hex(&bytes, sized[i]);
        struct fields fields = fields_of(buf_bytes(&bytes));
        uint8_t copy[2] = {8, 9};
        fields_copy(&fields, copy, sizeof copy);
        assert_memory_equal(copy, "\x08\x09", 2);
        assert_err(fields_end(&fields), ERR_INVALID);
    }
}

static void another_count_and_an_unmet_wish_are_errors(void **state)
{
    (void) state;
    struct fields fields = fields_of(bytes_of("\x92\x01\x02", 3));
    fields_expect(&fields, 3);
    assert_err(fields.err, ERR_INVALID);
    fields = fields_of(bytes_of("\x01", 1));
    assert_int_equal(fields_uint(&fields), 1);
    fields_want(&fields, 1);
    assert_err(fields_end(&fields), ERR_OK);
    fields_want(&fields, 0);
    fields_want(&fields, 1);
    assert_err(fields_end(&fields), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_taken_in_order),
        cmocka_unit_test(a_wrong_type_spoils_the_rest),
        cmocka_unit_test(a_copy_has_exactly_its_size),
        cmocka_unit_test(another_count_and_an_unmet_wish_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
