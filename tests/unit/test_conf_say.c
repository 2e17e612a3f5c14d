/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/say.c: sentences for the operator. */
#include "tests/unit/kit.h"

#include "conf/say.h"

static void a_sentence_is_cut_to_its_room_and_holds_no_control_bytes(void **state)
{
    (void) state;
    struct say say;
    char long_text[2 * SAY_SIZE_MAX];
    say_set(NULL, "nobody listens");
    say_set(&say, "a\x1b[31m%s\x7f\n", "b");
    assert_string_equal(say.text, "a?[31mb??");
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    say_set(&say, "%s", long_text);
    assert_int_equal(strlen(say.text), SAY_SIZE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_is_cut_to_its_room_and_holds_no_control_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
