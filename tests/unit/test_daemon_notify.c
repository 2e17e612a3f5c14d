/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/notify.c: the datagram, and how often the watchdog is fed. */
#include "tests/unit/kit.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/notify.h"

/* A manager's socket at `path` ('@' = abstract), and what arrives there. */
static void told_at(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char text[32] = {0};
    memcpy(at.sun_path, path, strlen(path));
    if (at.sun_path[0] == '@') {
        at.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path));
    assert_int_equal(bind(fd, (struct sockaddr *) &at, size), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    notify_send("READY=1");
    assert_int_equal(recv(fd, text, sizeof text - 1, MSG_DONTWAIT), 7);
    assert_string_equal(text, "READY=1");
    assert_int_equal(close(fd), 0);
}

static void the_manager_is_told_at_a_path_or_an_abstract_name(void **state)
{
    (void) state;
    char path[64];
    (void) snprintf(path, sizeof path, "/tmp/essaim-notify-%ld", (long) getpid());
    told_at(path);
    assert_int_equal(unlink(path), 0);
    (void) snprintf(path, sizeof path, "@essaim-notify-%ld", (long) getpid());
    told_at(path);
}

static void without_a_manager_nothing_happens(void **state)
{
    (void) state;
    char path[300];
    memset(path, '/', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    notify_send("READY=1");
    assert_int_equal(setenv("NOTIFY_SOCKET", "relative", 1), 0);
    notify_send("READY=1");
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    notify_send("READY=1");
    assert_int_equal(setenv("NOTIFY_SOCKET", "/nonexistent/x", 1), 0);
    notify_send("READY=1");
}

static void the_watchdog_is_fed_twice_a_period(void **state)
{
    (void) state;
    char pid[32];
    (void) snprintf(pid, sizeof pid, "%ld", (long) getpid());
    assert_int_equal(unsetenv("WATCHDOG_PID") + unsetenv("WATCHDOG_USEC"), 0);
    assert_int_equal(notify_watchdog_ms(), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    assert_int_equal(notify_watchdog_ms(), 15000);
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_int_equal(notify_watchdog_ms(), 15000);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    assert_int_equal(notify_watchdog_ms(), 0);
    assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "10", 1), 0);
    assert_int_equal(notify_watchdog_ms(), 1);
    assert_int_equal(setenv("WATCHDOG_USEC", "99999999999999999999999", 1), 0);
    assert_int_equal(notify_watchdog_ms(), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "5x", 1), 0);
    assert_int_equal(notify_watchdog_ms(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_manager_is_told_at_a_path_or_an_abstract_name),
        cmocka_unit_test(without_a_manager_nothing_happens),
        cmocka_unit_test(the_watchdog_is_fed_twice_a_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
