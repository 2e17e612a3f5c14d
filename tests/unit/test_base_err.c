/* SPDX-License-Identifier: EUPL-1.2 */
/* base/err.c: the table is complete, its codes are unique and stable, its exits are those of the
 * CLI contract. */
#include "tests/unit/kit.h"

#include <ctype.h>
#include <string.h>

static void every_error_has_a_code_a_text_and_an_exit(void **state)
{
    (void) state;
    for (int i = 1; i < ERR_COUNT; i++) {
        const char *code = err_code((enum err) i);
        assert_memory_equal(code, "E-", 2);
        for (const char *at = code; *at != '\0'; at++) {
            assert_true(isupper((unsigned char) *at) || *at == '-');
        }
        assert_true(strlen(err_text((enum err) i)) > 0);
        assert_in_range(err_exit((enum err) i), 1, 9);
    }
    assert_int_equal(err_exit(ERR_OK), 0);
}

static void no_two_errors_share_a_code(void **state)
{
    (void) state;
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_int_equal(err_from_code(err_code((enum err) i)), i);
    }
}

static void an_unknown_error_is_an_internal_one(void **state)
{
    (void) state;
    assert_string_equal(err_code(ERR_COUNT), "E-INTERNAL");
    assert_string_equal(err_code((enum err) 100000), "E-INTERNAL");
    assert_int_equal(err_from_code("E-NOWHERE"), ERR_INTERNAL);
    assert_int_equal(err_from_code(""), ERR_INTERNAL);
}

static void exits_follow_the_contract(void **state)
{
    (void) state;
    assert_int_equal(err_exit(ERR_INTERNAL), 1);
    assert_int_equal(err_exit(ERR_USAGE), 2);
    assert_int_equal(err_exit(ERR_NOT_FOUND), 3);
    assert_int_equal(err_exit(ERR_REFUSED), 4);
    assert_int_equal(err_exit(ERR_FIELD), 5);
    assert_int_equal(err_exit(ERR_CONFLICT), 6);
    assert_int_equal(err_exit(ERR_NO_DAEMON), 7);
    assert_int_equal(err_exit(ERR_TIMEOUT), 8);
    assert_int_equal(err_exit(ERR_PARTIAL), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_code_a_text_and_an_exit),
        cmocka_unit_test(no_two_errors_share_a_code),
        cmocka_unit_test(an_unknown_error_is_an_internal_one),
        cmocka_unit_test(exits_follow_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
