/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/daemon.c: how descriptors are shared out. The whole is tested in tests/e2e/test_daemon.py.
 */
#include "tests/unit/kit.h"

#include "base/limits.h"
#include "daemon/daemon.h"

static void shares_never_exceed_what_there_is_and_keep_a_reserve(void **state)
{
    (void) state;
    for (unsigned fds = 0; fds < 5000; fds++) {
        unsigned links = 0;
        unsigned clients = 0;
        daemon_shares(fds, PEERS_MAX + HALF_OPEN_MAX, &links, &clients);
        assert_true(links + clients <= fds);
        assert_true(clients <= CTL_CLIENTS_MAX);
        assert_true(links <= PEERS_MAX + HALF_OPEN_MAX);
        if (fds >= 4 * FD_RESERVE) {
            assert_true(links + clients + FD_RESERVE <= fds);
            assert_int_equal(clients, CTL_CLIENTS_MAX);
            assert_int_equal(links, PEERS_MAX + HALF_OPEN_MAX);
        }
    }
}

static void with_sixty_four_descriptors_sixteen_clients_are_heard(void **state)
{
    (void) state;
    unsigned links = 0;
    unsigned clients = 0;
    daemon_shares(64, PEERS_MAX + HALF_OPEN_MAX, &links, &clients);
    assert_int_equal(clients, 16);
    assert_int_equal(links, 24);
    daemon_shares(4096, 5, &links, &clients);
    assert_int_equal(links, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_never_exceed_what_there_is_and_keep_a_reserve),
        cmocka_unit_test(with_sixty_four_descriptors_sixteen_clients_are_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
