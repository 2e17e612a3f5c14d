/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/lock.c: one daemon a directory. */
#include "tests/unit/kit.h"

#include <stdio.h>
#include <unistd.h>

#include "daemon/lock.h"

static void a_second_daemon_is_refused_and_told_the_pid_of_the_first(void **state)
{
    (void) state;
    char dir[] = "/tmp/essaim-lock-XXXXXX";
    char path[64];
    char pid[32];
    int fd = -1;
    int other = -1;
    struct say say = {0};
    assert_non_null(mkdtemp(dir));
    (void) snprintf(path, sizeof path, "%s/lock", dir);
    (void) snprintf(pid, sizeof pid, "pid %ld", (long) getpid());
    assert_err(lock_take(dir, &fd, &say), ERR_OK);
    assert_err(lock_take(dir, &other, &say), ERR_LOCKED);
    assert_int_equal(other, -1);
    assert_non_null(strstr(say.text, pid));
    assert_non_null(strstr(say.text, dir));
    lock_release(fd);
    lock_release(-1);
    assert_err(lock_take(dir, &fd, &say), ERR_OK); /* the file left behind is no lock */
    lock_release(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/tmp/elsewhere", path), 0);
    assert_err(lock_take(dir, &fd, &say), ERR_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_err(lock_take(dir, &fd, &say), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_daemon_is_refused_and_told_the_pid_of_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
