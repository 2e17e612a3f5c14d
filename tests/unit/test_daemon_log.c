/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/log.c: one line a message, nothing hostile in it, priorities for the journal. */
#include "tests/unit/kit.h"

#include <stdio.h>
#include <unistd.h>

#include "daemon/log.h"

static void escaped(const char *text, size_t size, const char *wanted)
{
    char line[256];
    struct bytes copy = kit_copy(bytes_of(text, size));
    assert_int_equal(log_escape(copy, line, sizeof line), strlen(wanted));
    kit_free(copy);
    assert_string_equal(line, wanted);
}

#define ESCAPED(text, wanted) escaped(text, sizeof(text) - 1, wanted)

static void what_cannot_be_printed_is_escaped(void **state)
{
    (void) state;
    ESCAPED("Région Sud", "Région Sud");
    ESCAPED("a\nb\r\tc", "a\\x0ab\\x0d\\x09c");
    ESCAPED("\x1b[31m\x00\x7f", "\\x1b[31m\\x00\\x7f");
    ESCAPED("\xc2\x9b", "\\xc2\\x9b");            /* C1: CSI */
    ESCAPED("\xe2\x80\xae", "\\xe2\\x80\\xae");   /* right-to-left override */
    ESCAPED("a\xe2\x80\x8b", "a\\xe2\\x80\\x8b"); /* zero width space */
    ESCAPED("\xe2\x81\xa6\xef\xbb\xbf", "\\xe2\\x81\\xa6\\xef\\xbb\\xbf");
    ESCAPED("\xff\xc3", "\\xff\\xc3"); /* no UTF-8, cut UTF-8 */
    ESCAPED("\xf0\x9f\x90\x9d", "\xf0\x9f\x90\x9d");
}

static void a_text_is_cut_between_characters(void **state)
{
    (void) state;
    char line[6];
    assert_int_equal(log_escape(bytes_of_str("abc\xc3\xa9z"), line, sizeof line), 5);
    assert_string_equal(line, "abc\xc3\xa9");
    assert_int_equal(log_escape(bytes_of_str("abcd\xc3\xa9"), line, sizeof line), 4);
    assert_string_equal(line, "abcd");
    assert_int_equal(log_escape(bytes_of_str("ab\n"), line, sizeof line), 2);
    assert_string_equal(line, "ab");
}

/* What log_write says, into `ret_text`. */
static void said(int level, char *ret_text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int kept = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_write(level, "some-code", "%s is %d", "one\n", 1);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    assert_int_equal(close(kept) + close(ends[1]), 0);
    ssize_t got = read(ends[0], ret_text, size - 1);
    assert_true(got >= 0);
    ret_text[got] = '\0';
    assert_int_equal(close(ends[0]), 0);
}

static void lines_have_a_level_and_a_code(void **state)
{
    (void) state;
    char text[128];
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    log_init();
    said(LOG_LEVEL_WARNING, text, sizeof text);
    assert_string_equal(text, "warning some-code one\\x0a is 1\n");
    said(LOG_LEVEL_ERROR, text, sizeof text);
    assert_string_equal(text, "error some-code one\\x0a is 1\n");
    assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
    log_init();
    said(LOG_LEVEL_INFO, text, sizeof text);
    assert_string_equal(text, "<6>some-code one\\x0a is 1\n");
}

static void what_is_less_serious_than_the_level_is_not_said(void **state)
{
    (void) state;
    char text[128];
    log_set_level(LOG_LEVEL_WARNING);
    said(LOG_LEVEL_INFO, text, sizeof text);
    assert_string_equal(text, "");
    said(LOG_LEVEL_WARNING, text, sizeof text);
    assert_string_not_equal(text, "");
    log_set_level(LOG_LEVEL_DEBUG);
    said(LOG_LEVEL_DEBUG, text, sizeof text);
    assert_string_not_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_printed_is_escaped),
        cmocka_unit_test(a_text_is_cut_between_characters),
        cmocka_unit_test(lines_have_a_level_and_a_code),
        cmocka_unit_test(what_is_less_serious_than_the_level_is_not_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
