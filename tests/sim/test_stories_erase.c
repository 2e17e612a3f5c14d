/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_erase.c: what was withdrawn leaves every disk in time (promise S8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"
#include "proto/pack.h"
#include "tests/sim/cluster.h"

#define MINUTE_MS (60ull * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* What sim_publish writes has its salt in every line. */
#define SECRET_SALT 4711
#define SECRET "essaimage 4711."
#define REPLACED_SALT 4712
#define REPLACED "essaimage 4712."

/* Withdrawals and replacements of small entries and of ones that fill pages of their own. */
static void secrets_publish(struct sim *sim, unsigned lab)
{
    sim_publish(sim, lab, "fiche", 40, 300, 1);
    sim_publish(sim, lab, "secret", 4, 200, SECRET_SALT);
    sim_publish(sim, lab, "gros", 4, 2500, SECRET_SALT);
    sim_publish(sim, lab, "vieux", 4, 2600, REPLACED_SALT);
}

static void secrets_withdraw(struct sim *sim, unsigned lab)
{
    for (unsigned i = 0; i < 4; i++) {
        char slug[32];
        (void) snprintf(slug, sizeof slug, "secret-%u", i);
        sim_withdraw(sim, lab, slug);
        (void) snprintf(slug, sizeof slug, "gros-%u", i);
        sim_withdraw(sim, lab, slug);
    }
    sim_publish(sim, lab, "vieux", 4, 2100, 2);
}

static unsigned secrets(struct sim *sim, unsigned lab)
{
    return sim_bytes(sim, lab, SECRET) + sim_bytes(sim, lab, REPLACED);
}

/* Three labs in a row, who all hold the first one's secrets. */
static struct sim *row(uint64_t seed, unsigned ret_labs[3])
{
    struct sim *sim = sim_new(seed);
    static const char *const names[] = {"A", "B", "C"};
    for (unsigned i = 0; i < 3; i++) {
        ret_labs[i] = sim_lab(sim, names[i]);
    }
    sim_link(sim, ret_labs[1], ret_labs[0]);
    sim_link(sim, ret_labs[2], ret_labs[1]);
    secrets_publish(sim, ret_labs[0]);
    assert_true(sim_converge(sim, MINUTE_MS));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(secrets(sim, ret_labs[i]) > 0);
    }
    return sim;
}

static void every_node_that_is_on_erases_within_a_day(void **state)
{
    (void) state;
    unsigned labs[3];
    struct sim *sim = row(60, labs);
    sim_run(sim, HOUR_MS); /* the start is long past */
    secrets_withdraw(sim, labs[0]);
    assert_true(sim_converge(sim, MINUTE_MS));
    assert_true(secrets(sim, labs[0]) > 0);
    assert_true(secrets(sim, labs[2]) > 0);
    sim_run(sim, 13 * HOUR_MS); /* half of the day */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(secrets(sim, labs[i]), 0);
        assert_true(sim_verify(sim, labs[i]));
    }
    assert_true(sim_converged(sim));
    sim_run(sim, DAY_MS);
    assert_int_equal(secrets(sim, labs[1]), 0);
    sim_free(sim);
}

static void a_node_that_was_off_for_days_erases_soon_after_it_is_back(void **state)
{
    (void) state;
    unsigned labs[3];
    struct sim *sim = row(61, labs);
    sim_blackout(sim, labs[2]);
    secrets_withdraw(sim, labs[0]);
    sim_run(sim, 3 * DAY_MS);
    assert_true(secrets(sim, labs[2]) > 0);
    sim_start(sim, labs[2]);
    assert_true(sim_converge(sim, 5 * MINUTE_MS));
    assert_false(sim_has(sim, labs[2], labs[0], "secret-1"));
    sim_run(sim, 12 * MINUTE_MS);
    assert_int_equal(secrets(sim, labs[2]), 0);
    assert_true(sim_verify(sim, labs[2]));
    /* Nobody got anything back from it. */
    assert_int_equal(secrets(sim, labs[0]) + secrets(sim, labs[1]), 0);
    sim_free(sim);
}

static void a_node_that_went_off_before_it_erased_does_so_at_its_next_start(void **state)
{
    (void) state;
    unsigned labs[3];
    struct sim *sim = row(62, labs);
    sim_run(sim, HOUR_MS);
    secrets_withdraw(sim, labs[0]);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, labs[1]);
    sim_crash(sim, labs[0]);
    sim_run(sim, 3 * DAY_MS);
    assert_true(secrets(sim, labs[0]) > 0);
    assert_true(secrets(sim, labs[1]) > 0);
    sim_start(sim, labs[0]);
    sim_start(sim, labs[1]);
    sim_run(sim, 11 * MINUTE_MS);
    assert_int_equal(secrets(sim, labs[0]) + secrets(sim, labs[1]), 0);
    sim_free(sim);
}

static enum err withdraw_erase(struct sim *sim, unsigned lab, const char *slug, uint8_t *ret_status)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    struct bytes statuses = {0};
    pack_map(&params, 2);
    pack_cstr(&params, "erase");
    pack_bool(&params, true);
    pack_cstr(&params, "slugs");
    pack_array(&params, 1);
    pack_cstr(&params, slug);
    enum err err = sim_request(sim, lab, CTL_withdraw, buf_bytes(&params), &reply);
    if (err == ERR_OK) {
        assert_int_equal(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
        assert_int_equal(ctl_get_bin(&msg.result, "statuses", &statuses), ERR_OK);
        assert_int_equal(statuses.size, 1);
        *ret_status = statuses.data[0];
        ctl_done(&msg);
    }
    return err;
}

static void withdrawing_with_erase_is_answered_when_the_bytes_are_gone(void **state)
{
    (void) state;
    uint8_t status = CTL_REFUSED;
    struct sim *sim = sim_new(63);
    unsigned a = sim_lab(sim, "A");
    sim_publish(sim, a, "secret", 1, 2500, SECRET_SALT);
    sim_publish(sim, a, "autre", 1, 2500, 5);
    assert_int_equal(withdraw_erase(sim, a, "secret-0", &status), ERR_OK);
    assert_int_equal(status, CTL_CREATED);
    assert_int_equal(secrets(sim, a), 0);
    assert_true(sim_bytes(sim, a, "essaimage 5.") > 0);
    assert_int_equal(withdraw_erase(sim, a, "secret-0", &status), ERR_OK);
    assert_int_equal(status, CTL_REFUSED); /* it is not there */
    assert_true(sim_verify(sim, a));
    sim_free(sim);
}

static bool warns(struct sim *sim, unsigned lab, const char *warning)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    pack_map(&params, 0);
    assert_int_equal(sim_request(sim, lab, CTL_status, buf_bytes(&params), &reply), ERR_OK);
    return memmem(reply.data, reply.size, warning, strlen(warning)) != NULL;
}

static void a_copy_that_fails_is_told_and_tried_again(void **state)
{
    (void) state;
    uint8_t status = 0;
    char path[300], inside[320];
    struct sim *sim = sim_new(64);
    unsigned a = sim_lab(sim, "A");
    sim_publish(sim, a, "secret", 1, 2500, SECRET_SALT);
    (void) snprintf(path, sizeof path, "%s/compact.tmp", sim_dir(sim, a));
    (void) snprintf(inside, sizeof inside, "%s/foreign", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkdir(inside, 0700), 0); /* in the way */
    assert_int_equal(withdraw_erase(sim, a, "secret-0", &status), ERR_PARTIAL);
    assert_false(sim_has(sim, a, a, "secret-0"));
    assert_true(secrets(sim, a) > 0);
    assert_true(warns(sim, a, "erase-waits"));
    sim_run(sim, 2 * HOUR_MS);
    assert_true(warns(sim, a, "erase-waits"));
    assert_int_equal(rmdir(inside), 0);
    sim_run(sim, HOUR_MS + MINUTE_MS);
    assert_int_equal(secrets(sim, a), 0);
    assert_false(warns(sim, a, "erase-waits"));
    sim_free(sim);
}

static void a_node_where_nothing_was_withdrawn_is_never_copied(void **state)
{
    (void) state;
    struct stat before, after;
    char path[300];
    struct sim *sim = sim_new(65);
    unsigned a = sim_lab(sim, "A");
    sim_publish(sim, a, "fiche", 40, 300, 1);
    (void) snprintf(path, sizeof path, "%s/data.mdb", sim_dir(sim, a));
    assert_int_equal(stat(path, &before), 0);
    sim_run(sim, 2 * DAY_MS);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    sim_withdraw(sim, a, "fiche-3");
    sim_run(sim, 2 * DAY_MS);
    assert_int_equal(stat(path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_that_is_on_erases_within_a_day),
        cmocka_unit_test(a_node_that_was_off_for_days_erases_soon_after_it_is_back),
        cmocka_unit_test(a_node_that_went_off_before_it_erased_does_so_at_its_next_start),
        cmocka_unit_test(withdrawing_with_erase_is_answered_when_the_bytes_are_gone),
        cmocka_unit_test(a_copy_that_fails_is_told_and_tried_again),
        cmocka_unit_test(a_node_where_nothing_was_withdrawn_is_never_copied),
    };
    return cmocka_run_group_tests_name("stories_erase", tests, NULL, NULL);
}
