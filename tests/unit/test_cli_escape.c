/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/escape.c: nothing that hides, reorders or acts reaches a terminal; the rest stays. */
#include "tests/unit/kit.h"

#include <locale.h>

#include "base/defer.h"
#include "cli/escape.h"

static void assert_escaped(struct bytes text, enum escape_mode mode, const char *wanted)
{
    defer(buf_done) struct buf got = {0};
    escape_put(&got, text, mode);
    buf_put_u8(&got, '\0');
    assert_err(got.err, ERR_OK);
    assert_string_equal((const char *) got.data, wanted);
}

#define LINE(text, wanted) assert_escaped(bytes_of(text, sizeof(text) - 1), ESCAPE_LINE, wanted)

static void plain_and_french_text_stays_as_it_is(void **state)
{
    (void) state;
    LINE("", "");
    LINE("plain ~ text", "plain ~ text");
    LINE(
        "\xc5\x93uvre \xc2\xab\xc2\xa0\xc3\xa9t\xc3\xa9\xc2\xa0\xc2\xbb \xe2\x80\x99 \xe2\x82\xac",
        "\xc5\x93uvre \xc2\xab\xc2\xa0\xc3\xa9t\xc3\xa9\xc2\xa0\xc2\xbb \xe2\x80\x99 \xe2\x82\xac");
    LINE("back\\slash", "back\\slash");
    LINE("\xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x98\x80", "\xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x98\x80");
}

static void controls_are_written_out(void **state)
{
    (void) state;
    LINE("\x1b[31mred\x1b]0;title\x07", "\\u{001B}[31mred\\u{001B}]0;title\\u{0007}");
    LINE("a\0b\x7f", "a\\u{0000}b\\u{007F}");
    LINE("\xc2\x9b"
         "31m",
         "\\u{009B}31m");
    LINE("\t\n\r", "\\t\\n\\r");
}

static void bidi_and_invisible_characters_are_written_out(void **state)
{
    (void) state;
    LINE("\xd8\x9c \xe2\x80\x8e \xe2\x80\x8f", "\\u{061C} \\u{200E} \\u{200F}");
    LINE("\xe2\x80\xaa\xe2\x80\xae", "\\u{202A}\\u{202E}");
    LINE("\xe2\x81\xa6\xe2\x81\xa9", "\\u{2066}\\u{2069}");
    LINE("\xe2\x80\x8b\xe2\x80\x8d\xe2\x81\xa0\xef\xbb\xbf",
         "\\u{200B}\\u{200D}\\u{2060}\\u{FEFF}");
    LINE("\xe2\x80\xa8\xe2\x80\xa9", "\\u{2028}\\u{2029}");
    LINE("\xf3\xa0\x81\x81", "\\u{E0041}");
}

static void bytes_that_are_no_text_are_written_out(void **state)
{
    (void) state;
    LINE("a\xff\xc3", "a\\x{FF}\\x{C3}");
    LINE("\xed\xa0\x80", "\\x{ED}\\x{A0}\\x{80}");
    LINE("\xc0\xaf", "\\x{C0}\\x{AF}");
}

static void unassigned_characters_are_written_out(void **state)
{
    (void) state;
    if (setlocale(LC_ALL, "C.UTF-8") == NULL) {
        skip();
    }
    LINE("\xcd\xb8", "\\u{0378}");
    (void) setlocale(LC_ALL, "C");
}

static void a_tab_separated_field_reverses(void **state)
{
    (void) state;
    assert_escaped(bytes_of_str("a\tb\\t\n"), ESCAPE_FIELD, "a\\tb\\\\t\\n");
}

static void a_block_keeps_its_lines(void **state)
{
    (void) state;
    assert_escaped(bytes_of_str("a\n\tb\r\n\x1b"), ESCAPE_BLOCK, "a\n    b\\r\n\\u{001B}");
}

static void json_keeps_the_value(void **state)
{
    (void) state;
    assert_escaped(bytes_of_str("\"\\\n\t\r\x1b\x7f\xc3\xa9"), ESCAPE_JSON,
                   "\\\"\\\\\\n\\t\\r\\u001b\\u007f\xc3\xa9");
    assert_escaped(bytes_of_str("\xe2\x80\xae\xf3\xa0\x81\x81\xff"), ESCAPE_JSON,
                   "\\u202e\\udb40\\udc41\\ufffd");
}

static void no_escaped_text_holds_a_character_that_needs_it(void **state)
{
    (void) state;
    static const uint8_t nasty[] = "\xe2\x80\xae\xc2\x9b\x1b a";
    uint64_t seed = 5;
    for (unsigned round = 0; round < 3000; round++) {
        defer(buf_done) struct buf got = {0};
        uint8_t bytes[64];
        for (size_t i = 0; i < sizeof bytes; i++) {
            uint64_t random = kit_random(&seed);
            bytes[i] =
                (uint8_t) (random % 3 == 0 ? random >> 8 : nasty[random % (sizeof nasty - 1)]);
        }
        escape_put(&got, BYTES_OF_ARRAY(bytes), (enum escape_mode)(round % 2));
        for (size_t i = 0; i < got.size; i++) {
            assert_true(got.data[i] >= 0x20 && got.data[i] != 0x7f);
            bool c1 = got.data[i] == 0xc2 && i + 1 < got.size && got.data[i + 1] < 0xa0;
            bool general = got.data[i] == 0xe2 && i + 2 < got.size && got.data[i + 1] == 0x80 &&
                           got.data[i + 2] >= 0xa8 && got.data[i + 2] <= 0xae;
            assert_false(c1 || general);
        }
    }
}

static void text_is_cut_to_a_width_between_characters(void **state)
{
    (void) state;
    struct bytes text = bytes_of_str("\xc3\xa9t\xc3\xa9");
    assert_int_equal(escape_cut(text, 0), 0);
    assert_int_equal(escape_cut(text, 1), 2);
    assert_int_equal(escape_cut(text, 2), 3);
    assert_int_equal(escape_cut(text, 9), 5);
    assert_int_equal(escape_width(text), 3);
    if (setlocale(LC_ALL, "C.UTF-8") != NULL) {
        struct bytes wide = bytes_of_str("\xe6\xbc\xa2\xe5\xad\x97");
        assert_int_equal(escape_width(wide), 4);
        assert_int_equal(escape_cut(wide, 3), 3);
        (void) setlocale(LC_ALL, "C");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_french_text_stays_as_it_is),
        cmocka_unit_test(controls_are_written_out),
        cmocka_unit_test(bidi_and_invisible_characters_are_written_out),
        cmocka_unit_test(bytes_that_are_no_text_are_written_out),
        cmocka_unit_test(unassigned_characters_are_written_out),
        cmocka_unit_test(a_tab_separated_field_reverses),
        cmocka_unit_test(a_block_keeps_its_lines),
        cmocka_unit_test(json_keeps_the_value),
        cmocka_unit_test(no_escaped_text_holds_a_character_that_needs_it),
        cmocka_unit_test(text_is_cut_to_a_width_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
