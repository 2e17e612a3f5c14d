/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/roles.c: every role by every group, and nothing by default (promise S7). */
#include "tests/unit/kit.h"

#include <grp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/roles.h"

static const struct roles all = {
    .owner = 1000,
    .groups = {0, 11, 12, 13, 14},
    .set = {false, true, true, true, true},
};

static void every_group_gives_its_role_and_the_highest_counts(void **state)
{
    (void) state;
    for (unsigned mask = 0; mask < 16; mask++) {
        gid_t groups[5] = {99};
        size_t count = 1;
        enum role wanted = ROLE_NONE;
        for (unsigned role = ROLE_READER; role <= ROLE_ADMIN; role++) {
            if ((mask & (1u << (role - 1))) != 0) {
                groups[count++] = 10 + role;
                wanted = (enum role) role;
            }
        }
        assert_int_equal(roles_of(&all, 1001, groups, count), wanted);
    }
}

static void root_and_the_owner_are_admin_without_any_group(void **state)
{
    (void) state;
    assert_int_equal(roles_of(&all, 0, NULL, 0), ROLE_ADMIN);
    assert_int_equal(roles_of(&all, 1000, NULL, 0), ROLE_ADMIN);
    assert_int_equal(roles_of(&all, 1001, NULL, 0), ROLE_NONE);
}

static void a_role_without_a_group_is_given_to_nobody(void **state)
{
    (void) state;
    const struct roles none = {.owner = 1000};
    const gid_t zero = 0; /* what an unset row holds */
    assert_int_equal(roles_of(&none, 1001, &zero, 1), ROLE_NONE);
}

static void groups_are_looked_up_by_name(void **state)
{
    (void) state;
    struct conf conf;
    struct roles roles;
    struct say say = {0};
    const struct group *group = getgrgid(0);
    assert_non_null(group);
    conf_default(&conf);
    assert_err(roles_load(&conf, 5, &roles, &say), ERR_OK);
    assert_false(roles.set[ROLE_AGENT]);
    (void) snprintf(conf.roles_agent, sizeof conf.roles_agent, "%s", group->gr_name);
    assert_err(roles_load(&conf, 5, &roles, &say), ERR_OK);
    assert_true(roles.set[ROLE_AGENT]);
    assert_int_equal(roles.groups[ROLE_AGENT], 0);
    assert_int_equal(roles.owner, 5);
}

static void a_group_that_does_not_exist_is_an_error_with_its_name(void **state)
{
    (void) state;
    struct conf conf;
    struct roles roles;
    struct say say = {0};
    conf_default(&conf);
    (void) snprintf(conf.roles_reader, sizeof conf.roles_reader, "no-such-group-here");
    assert_err(roles_load(&conf, 5, &roles, &say), ERR_CONFIG);
    assert_non_null(strstr(say.text, "reader = no-such-group-here"));
}

static void the_kernel_tells_who_is_at_the_other_end(void **state)
{
    (void) state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const struct roles mine = {.owner = geteuid()};
    assert_int_equal(roles_of_socket(&mine, ends[0]), ROLE_ADMIN);
    const struct roles group = {
        .owner = geteuid() + 1,
        .groups = {0, 0, getegid(), 0, 0},
        .set = {false, false, true, false, false},
    };
    enum role wanted = geteuid() == 0 ? ROLE_ADMIN : ROLE_AGENT;
    assert_int_equal(roles_of_socket(&group, ends[0]), wanted);
    assert_int_equal(close(ends[0]) + close(ends[1]), 0);
    assert_int_equal(roles_of_socket(&mine, ends[0]), ROLE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_group_gives_its_role_and_the_highest_counts),
        cmocka_unit_test(root_and_the_owner_are_admin_without_any_group),
        cmocka_unit_test(a_role_without_a_group_is_given_to_nobody),
        cmocka_unit_test(groups_are_looked_up_by_name),
        cmocka_unit_test(a_group_that_does_not_exist_is_an_error_with_its_name),
        cmocka_unit_test(the_kernel_tells_who_is_at_the_other_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
