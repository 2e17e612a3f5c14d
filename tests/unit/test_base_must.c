/* SPDX-License-Identifier: EUPL-1.2 */
/* base/must.c: a broken must() says where, and ends the process. */
#include "tests/unit/kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"

/* Runs must(fact) in a child whose stderr we read. */
static int status_of_must(bool fact, char *said, size_t said_size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void) signal(SIGABRT, SIG_DFL);
        (void) setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        (void) dup2(ends[1], STDERR_FILENO);
        must(fact);
        _exit(7);
    }
    (void) close(ends[1]);
    size_t size = 0;
    ssize_t got = 0;
    while ((got = read(ends[0], said + size, said_size - 1 - size)) > 0) {
        size += (size_t) got;
    }
    said[size] = '\0';
    (void) close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_true_fact_passes_in_silence(void **state)
{
    (void) state;
    char said[256];
    int status = status_of_must(true, said, sizeof said);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_string_equal(said, "");
}

static void a_false_fact_is_printed_and_aborts(void **state)
{
    (void) state;
    char said[256];
    int status = status_of_must(false, said, sizeof said);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "test_base_must.c:"));
    assert_non_null(strstr(said, "must(fact) failed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_fact_passes_in_silence),
        cmocka_unit_test(a_false_fact_is_printed_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
