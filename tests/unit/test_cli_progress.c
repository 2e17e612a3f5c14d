/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/progress.c: drawn on a terminal only, not at once, and wiped at the end. */
#include "tests/unit/kit.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/progress.h"
#include "cli/when.h"

/* What is drawn on stderr while `progress` makes its steps. */
static void drawn(struct progress *progress, uint64_t done, uint64_t total, char ret_text[512])
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    progress_step(progress, done, total);
    progress_step(progress, done, total); /* at once again: not drawn */
    progress_end(progress);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void) close(saved);
    rewind(file);
    ret_text[fread(ret_text, 1, 511, file)] = '\0';
    (void) fclose(file);
}

static void work_that_lasts_is_shown_and_wiped(void **state)
{
    (void) state;
    char text[512];
    struct progress known = {.on = true, .what = "working"}; /* begun at time zero: long ago */
    drawn(&known, 15, 60, text);
    assert_string_equal(text, "\r\033[Kworking [#######.......................] 15/60\r\033[K");
    struct progress full = {.on = true, .what = "working"};
    drawn(&full, 70, 60, text);
    assert_string_equal(text, "\r\033[Kworking [##############################] 70/60\r\033[K");
    struct progress unknown = {.on = true, .what = "working"};
    drawn(&unknown, 15, 0, text);
    assert_string_equal(text, "\r\033[Kworking 15\r\033[K");
}

static void short_work_is_not_shown(void **state)
{
    (void) state;
    char text[512];
    struct progress fresh;
    progress_begin(&fresh, "working", false);
    assert_false(fresh.on);
    drawn(&fresh, 1, 2, text);
    assert_string_equal(text, "");
    struct progress young = {.on = true, .what = "working", .begun_ms = when_now_ms()};
    drawn(&young, 1, 2, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_that_lasts_is_shown_and_wiped),
        cmocka_unit_test(short_work_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
