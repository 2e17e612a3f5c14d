/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/test_stories_time.c: clocks that are wrong (promise N8): they change no timer, no
 * acceptance, and nothing is forgotten for them; and who has one is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/defer.h"
#include "proto/pack.h"
#include "store/txn.h"
#include "tests/sim/state.h"

#define HOUR_MS (3600ull * 1000)
#define DAY_MS (24 * HOUR_MS)
#define DAY_S (24ll * 3600)

/* Off by so many seconds, from the start of 2026 on: an hour, 400 days, 1970, 2038, 2106, before
 * any of them. */
static const int64_t jumps_s[] = {3600,
                                  -3600,
                                  400 * DAY_S,
                                  -400 * DAY_S,
                                  -SIM_WALL_S,
                                  2147483648 - SIM_WALL_S - 60,
                                  4294967296 - SIM_WALL_S - 60,
                                  -2ll * SIM_WALL_S};
#define JUMPS (sizeof jumps_s / sizeof *jumps_s)

static uint64_t hints_of(struct sim *sim, unsigned lab)
{
    struct txn *txn = NULL;
    uint64_t count = 0;
    assert_int_equal(txn_begin_read(sim->labs[lab]->store, &txn), ERR_OK);
    assert_int_equal(txn_rows(txn, TABLE_GONE, &count), ERR_OK);
    txn_end(txn);
    return count;
}

static uint64_t refused_by(struct sim *sim, unsigned lab)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ERR_COUNT; i++) {
        sum += sim->labs[lab]->node->refused[i];
    }
    return sum;
}

/* `status` has this warning. */
static bool warned(struct sim *sim, unsigned lab)
{
    defer(buf_done) struct buf answer = {0};
    struct ctl_msg msg;
    bool found = false;
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 0);
    assert_int_equal(sim_request(sim, lab, CTL_status, buf_bytes(&params), &answer), ERR_OK);
    assert_int_equal(ctl_decode(buf_bytes(&answer), &msg), ERR_OK);
    const msgpack_object_map *map = &msg.result.via.map;
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key, *value = &map->ptr[i].val;
        if (key->via.str.size != 8 || memcmp(key->via.str.ptr, "warnings", 8) != 0) {
            continue;
        }
        for (uint32_t k = 0; k < value->via.array.size; k++) {
            const msgpack_object_str *text = &value->via.array.ptr[k].via.str;
            found = found || (text->size == 5 && memcmp(text->ptr, "clock", 5) == 0);
        }
    }
    ctl_done(&msg);
    return found;
}

/* A hub and two more, who agree and remember a withdrawal. */
static struct sim *three(uint64_t seed)
{
    struct sim *sim = sim_new(seed);
    for (unsigned i = 0; i < 3; i++) {
        (void) sim_lab(sim, "L");
        if (i > 0) {
            sim_link(sim, i, 0);
        }
        sim_publish(sim, i, "fiche", 6, 300, i);
    }
    assert_true(sim_converge(sim, 10000));
    sim_withdraw(sim, 0, "fiche-3");
    sim_withdraw(sim, 0, "fiche-4");
    sim_run(sim, 2 * HOUR_MS);
    assert_true(sim_converged(sim));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(hints_of(sim, i), 2);
    }
    return sim;
}

/* One lab with two hints, for stories of months: nobody pings. */
static struct sim *hermit(uint64_t seed)
{
    struct sim *sim = sim_new(seed);
    (void) sim_lab(sim, "L");
    sim_publish(sim, 0, "fiche", 6, 300, 0);
    sim_withdraw(sim, 0, "fiche-3");
    sim_withdraw(sim, 0, "fiche-4");
    assert_int_equal(hints_of(sim, 0), 2);
    return sim;
}

static void round_of_news(struct sim *sim, unsigned salt)
{
    for (unsigned i = 0; i < 3; i++) {
        sim_publish(sim, i, "neu", 1, 300, salt);
    }
    assert_true(sim_converge(sim, 10000));
}

static void a_jump_mid_run_changes_nothing_but_the_dates(void **state)
{
    (void) state;
    for (unsigned i = 0; i < JUMPS; i++) {
        for (unsigned who = 0; who < 2; who++) { /* the hub, or a leaf */
            struct sim *sim = three(10 + i);
            size_t links = sim->conn_count;
            sim_clock(sim, who, jumps_s[i]);
            round_of_news(sim, 1);
            sim_run(sim, HOUR_MS + 60000); /* chores are hourly */
            round_of_news(sim, 2);
            sim_clock(sim, who, 0); /* and back */
            sim_run(sim, HOUR_MS + 60000);
            round_of_news(sim, 3);
            assert_int_equal(sim->conn_count, links); /* no link was lost for it */
            for (unsigned lab = 0; lab < 3; lab++) {
                assert_int_equal(hints_of(sim, lab), 2);
                assert_int_equal(refused_by(sim, lab), 0);
                assert_true(sim_verify(sim, lab));
            }
            sim_free(sim);
        }
    }
}

static void a_start_under_a_wrong_clock_forgets_nothing(void **state)
{
    (void) state;
    for (unsigned i = 0; i < JUMPS; i++) {
        struct sim *sim = three(30 + i);
        for (unsigned round = 0; round < 2; round++) {
            sim_stop(sim, 0);
            sim_clock(sim, 0, round == 0 ? jumps_s[i] : 0);
            sim_start(sim, 0);
            sim_run(sim, HOUR_MS + 60000);
            round_of_news(sim, round);
            assert_int_equal(hints_of(sim, 0), 2);
        }
        sim_free(sim);
    }
}

static void a_lab_whose_clock_stands_still_forgets_in_time(void **state)
{
    (void) state;
    struct sim *sim = hermit(50);
    for (unsigned day = 0; day < 91; day++) { /* back by a day, every day */
        sim_clock(sim, 0, -(int64_t) day * DAY_S);
        sim_publish(sim, 0, "neu", 1, 300, day);
        sim_run(sim, DAY_MS);
        assert_int_equal(hints_of(sim, 0), day < 88 ? 2 : hints_of(sim, 0));
    }
    sim_publish(sim, 0, "neu", 1, 300, 1000);
    sim_run(sim, DAY_MS);
    assert_int_equal(hints_of(sim, 0), 0);
    sim_free(sim);
}

static void the_time_a_lab_was_off_counts_up_to_30_days(void **state)
{
    (void) state;
    struct sim *sim = hermit(51);
    uint64_t before_s = when_age_s(sim->labs[0]->node);
    sim_stop(sim, 0);
    sim_run(sim, 10 * DAY_MS);
    sim_start(sim, 0);
    uint64_t after_s = when_age_s(sim->labs[0]->node);
    assert_in_range(after_s - before_s, 10 * DAY_S - 7200, 10 * DAY_S + 7200);
    sim_stop(sim, 0);
    sim_run(sim, 500 * DAY_MS);
    sim_start(sim, 0);
    assert_in_range(when_age_s(sim->labs[0]->node) - after_s, 30 * DAY_S - 7200, 30 * DAY_S + 7200);
    after_s = when_age_s(sim->labs[0]->node);
    sim_crash(sim, 0); /* and once noted it does not count again */
    sim_start(sim, 0);
    assert_in_range(when_age_s(sim->labs[0]->node) - after_s, 0, 7200);
    sim_free(sim);
}

/* ---- the warning ---- */

static void whose_clock_is_right_is_not_warned(void **state)
{
    (void) state;
    struct sim *sim = three(60);
    for (unsigned day = 0; day < 2; day++) {
        for (unsigned lab = 0; lab < 3; lab++) {
            assert_false(warned(sim, lab));
        }
        sim_run(sim, DAY_MS);
        round_of_news(sim, day);
    }
    sim_stop(sim, 2); /* away for long: what it hears then is old, and says nothing */
    sim_publish(sim, 0, "neu", 1, 300, 90);
    sim_publish(sim, 1, "neu", 1, 300, 90);
    sim_run(sim, DAY_MS);
    sim_start(sim, 2);
    assert_true(sim_converge(sim, 60000));
    assert_false(warned(sim, 2));
    sim_free(sim);
}

static void whose_clock_is_before_there_was_any_essaim_is_warned(void **state)
{
    (void) state;
    struct sim *sim = sim_new(61);
    unsigned a = sim_lab(sim, "A");
    assert_false(warned(sim, a));
    sim_clock(sim, a, -SIM_WALL_S);
    sim_run(sim, HOUR_MS);
    assert_true(warned(sim, a));
    sim_clock(sim, a, 0);
    sim_run(sim, HOUR_MS);
    assert_false(warned(sim, a));
    sim_free(sim);
}

static void whose_own_head_is_of_tomorrow_is_warned_until_it_signs_again(void **state)
{
    (void) state;
    struct sim *sim = sim_new(62);
    unsigned a = sim_lab(sim, "A");
    sim_clock(sim, a, 2 * DAY_S);
    sim_publish(sim, a, "demain", 1, 300, 1);
    assert_false(warned(sim, a)); /* it is alone, and cannot know */
    sim_clock(sim, a, 0);
    sim_run(sim, HOUR_MS);
    assert_true(warned(sim, a));
    sim_publish(sim, a, "aujourd-hui", 1, 300, 1);
    assert_false(warned(sim, a));
    sim_free(sim);
}

/* Of three labs the first one's clock is wrong: it is warned, and the others are not. */
static void who_differs_from_two_others_is_warned_and_they_are_not(void **state)
{
    (void) state;
    for (unsigned i = 0; i < JUMPS; i++) {
        struct sim *sim = three(70 + i);
        sim_clock(sim, 0, jumps_s[i] + (jumps_s[i] > 0 ? 60 : -60));
        sim_run(sim, HOUR_MS);
        round_of_news(sim, 1);
        assert_true(warned(sim, 0));
        assert_false(warned(sim, 1));
        assert_false(warned(sim, 2));
        sim_clock(sim, 0, 0);
        sim_run(sim, HOUR_MS);
        round_of_news(sim, 2);
        assert_false(warned(sim, 0));
        sim_free(sim);
    }
}

static void one_lab_alone_cannot_make_others_doubt_their_clocks(void **state)
{
    (void) state;
    struct sim *sim = sim_new(90);
    unsigned a = sim_lab(sim, "A"), b = sim_lab(sim, "B");
    sim_link(sim, a, b);
    sim_clock(sim, b, 400 * DAY_S);
    sim_publish(sim, b, "menteur", 1, 300, 1);
    assert_true(sim_converge(sim, 10000));
    sim_run(sim, HOUR_MS);
    for (unsigned i = 0; i < 5; i++) {
        sim_publish(sim, b, "menteur", 1, 300, 2 + i);
        assert_true(sim_converge(sim, 10000));
    }
    assert_false(warned(sim, a));
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jump_mid_run_changes_nothing_but_the_dates),
        cmocka_unit_test(a_start_under_a_wrong_clock_forgets_nothing),
        cmocka_unit_test(a_lab_whose_clock_stands_still_forgets_in_time),
        cmocka_unit_test(the_time_a_lab_was_off_counts_up_to_30_days),
        cmocka_unit_test(whose_clock_is_right_is_not_warned),
        cmocka_unit_test(whose_clock_is_before_there_was_any_essaim_is_warned),
        cmocka_unit_test(whose_own_head_is_of_tomorrow_is_warned_until_it_signs_again),
        cmocka_unit_test(who_differs_from_two_others_is_warned_and_they_are_not),
        cmocka_unit_test(one_lab_alone_cannot_make_others_doubt_their_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
