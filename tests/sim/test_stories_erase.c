/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_erase.c: what was withdrawn leaves every disk in time (promise S8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void compact(struct sim *sim, unsigned lab)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 0);
    assert_int_equal(sim_request_by(sim, lab, 2, CTL_compact, buf_bytes(&params), NULL), ERR_OK);
}

/* One record of a batch; the last one ends it. */
static enum err batch_say(struct sim *sim, unsigned lab, const char *slug, bool more)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf body = {0};
    defer(buf_done) struct buf text = {0};
    while (text.size < 2500) {
        buf_printf(&text, "essaimage 77.%s ", slug);
    }
    pack_map(&body, 3);
    pack_cstr(&body, "body");
    pack_str(&body, buf_bytes(&text));
    pack_cstr(&body, "summary");
    pack_cstr(&body, "Une fiche.");
    pack_cstr(&body, "title");
    pack_cstr(&body, "Fiche");
    pack_map(&params, 2);
    pack_cstr(&params, "entries");
    pack_array(&params, 1);
    pack_array(&params, 3);
    pack_cstr(&params, slug);
    pack_cstr(&params, "innovation");
    pack_bin(&params, buf_bytes(&body));
    pack_cstr(&params, "more");
    pack_bool(&params, more);
    return sim_request_by(sim, lab, 1, CTL_publish, buf_bytes(&params), NULL);
}

static void a_batch_goes_on_across_a_compaction(void **state)
{
    (void) state;
    struct sim *sim = sim_new(66);
    unsigned a = sim_lab(sim, "A");
    sim_publish(sim, a, "secret", 3, 2500, SECRET_SALT);
    sim_withdraw(sim, a, "secret-1");
    assert_int_equal(batch_say(sim, a, "un", true), ERR_OK);
    assert_int_equal(batch_say(sim, a, "deux", true), ERR_OK);
    compact(sim, a);
    assert_int_equal(sim_bytes(sim, a, "essaimage 4711.1"), 0);
    assert_int_equal(batch_say(sim, a, "trois", false), ERR_OK);
    assert_true(sim_has(sim, a, a, "un"));
    assert_true(sim_has(sim, a, a, "deux"));
    assert_true(sim_has(sim, a, a, "trois"));
    assert_true(sim_verify(sim, a));
    sim_free(sim);
}

static void a_large_delta_goes_on_across_compactions(void **state)
{
    (void) state;
    unsigned compactions = 0;
    struct head head;
    struct sim *sim = sim_new(67);
    unsigned a = sim_lab(sim, "A"), b = sim_lab(sim, "B");
    sim_publish(sim, a, "fiche", 8000, 1500, 1);
    sim_link(sim, b, a);
    sim_run(sim, 50);
    sim_rate(sim, a, b, 2000000);
    while (!sim_head(sim, b, a, &head)) {
        if (sim_bytes(sim, b, "essaimage 1.") > 0) { /* a part of it is staged */
            compact(sim, b);
            compactions++;
        }
        sim_run(sim, 200);
        assert_true(sim_now(sim) < HOUR_MS);
    }
    assert_true(compactions > 0);
    assert_true(sim_converge(sim, MINUTE_MS));
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

/* ---- lives: labs come and go while their entries do ---- */

#define LIFE_LABS 4
#define LIFE_SLUGS 12
#define LIFE_SALT                                                                                  \
    100000 /* of the first publication: all of six digits, so that none begins as another */

struct life {
    struct sim *sim;
    uint64_t dice;
    unsigned labs[LIFE_LABS], published;
    unsigned salt[LIFE_LABS][LIFE_SLUGS]; /* what stands there; 0: nothing */
};

static unsigned pick(struct life *life, unsigned below)
{
    life->dice ^= life->dice << 13;
    life->dice ^= life->dice >> 7;
    life->dice ^= life->dice << 17;
    return (unsigned) (life->dice % below);
}

static void life_write(struct life *life, unsigned number)
{
    unsigned slug = pick(life, LIFE_SLUGS), *salt = &life->salt[number][slug];
    char name[32];
    (void) snprintf(name, sizeof name, "f%u-0", slug);
    if (*salt != 0 && pick(life, 2) == 0) {
        sim_withdraw(life->sim, life->labs[number], name);
        *salt = 0;
        return;
    }
    (void) snprintf(name, sizeof name, "f%u", slug);
    *salt = LIFE_SALT + life->published++;
    sim_publish(life->sim, life->labs[number], name, 1, 50 + pick(life, 3000), *salt);
}

static void life_act(struct life *life)
{
    unsigned number = pick(life, LIFE_LABS), lab = life->labs[number], what = pick(life, 10);
    bool live = sim_live(life->sim, lab);
    if (what < 6 && live) {
        life_write(life, number);
    } else if (what == 6 && live) {
        compact(life->sim, lab);
    } else if (what == 7 && live) {
        (pick(life, 2) == 0 ? sim_blackout : sim_stop)(life->sim, lab);
    } else if (what == 8 && !live) {
        sim_start(life->sim, lab);
    } else if (what == 9) {
        sim_run(life->sim, pick(life, 3) == 0 ? DAY_MS : MINUTE_MS);
    }
    sim_run(life->sim, pick(life, 2000));
}

/* Everything that stands is everywhere, and nothing else of what was ever published is anywhere. */
static void life_check(struct life *life)
{
    for (unsigned i = 0; i < life->published; i++) {
        bool stands = false;
        char text[32];
        for (unsigned at = 0; at < LIFE_LABS * LIFE_SLUGS; at++) {
            stands = stands || life->salt[at / LIFE_SLUGS][at % LIFE_SLUGS] == LIFE_SALT + i;
        }
        (void) snprintf(text, sizeof text, "essaimage %u.", LIFE_SALT + i);
        for (unsigned number = 0; number < LIFE_LABS; number++) {
            if ((sim_bytes(life->sim, life->labs[number], text) > 0) != stands) {
                fail_msg("publication %u %s at lab %u", i, stands ? "is missing" : "is still there",
                         number);
            }
        }
    }
}

static void life_run(uint64_t seed)
{
    static const char *const names[LIFE_LABS] = {"A", "B", "C", "D"};
    struct life life = {.sim = sim_new(seed), .dice = seed * 0x9E3779B97F4A7C15ull + 1};
    for (unsigned i = 0; i < LIFE_LABS; i++) {
        life.labs[i] = sim_lab(life.sim, names[i]);
        if (i > 0) {
            sim_link(life.sim, life.labs[i], life.labs[pick(&life, i)]);
        }
    }
    for (unsigned i = 30 + pick(&life, 50); i > 0; i--) {
        life_act(&life);
    }
    for (unsigned i = 0; i < LIFE_LABS; i++) {
        if (!sim_live(life.sim, life.labs[i])) {
            sim_start(life.sim, life.labs[i]);
        }
    }
    assert_true(sim_converge(life.sim, HOUR_MS));
    sim_run(life.sim, 13 * HOUR_MS);
    life_check(&life);
    for (unsigned i = 0; i < LIFE_LABS; i++) {
        assert_true(sim_verify(life.sim, life.labs[i]));
    }
    sim_free(life.sim);
}

static void whatever_labs_come_and_go_nothing_withdrawn_is_left_or_comes_back(void **state)
{
    (void) state;
    const char *lives = getenv("SIM_LIVES");
    uint64_t seeds = lives != NULL ? strtoull(lives, NULL, 10) : 25;
    seeds = getenv("ESSAIM_LONG") == NULL ? seeds : 1000;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        print_message("# seed %llu\n", (unsigned long long) seed);
        life_run(seed);
    }
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
        cmocka_unit_test(a_batch_goes_on_across_a_compaction),
        cmocka_unit_test(a_large_delta_goes_on_across_compactions),
        cmocka_unit_test(whatever_labs_come_and_go_nothing_withdrawn_is_left_or_comes_back),
    };
    return cmocka_run_group_tests_name("stories_erase", tests, NULL, NULL);
}
