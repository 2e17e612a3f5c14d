/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/test_stories_net.c: peers that fall silent (promise N4): how soon that is noticed, how
 * soon a link stands again, and how patiently who is gone is asked for; and those that speak, but
 * hardly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/defer.h"
#include "tests/sim/press.h"
#include "tests/sim/state.h"

#define MINUTE_MS (60ull * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define DETECT_MS (90ull * 1000)
#define RECONNECT_MS (30ull * 1000)
#define STEP_MS 100

/* Does `lab` believe in a link with `other`? */
static bool believes(struct sim *sim, unsigned lab, unsigned other)
{
    const struct node *node = sim->labs[lab]->node;
    for (size_t i = 0; i < node->link_count; i++) {
        if (node->links[i]->state == LINK_READY &&
            memcmp(node->links[i]->lab.bytes, sim_id(sim, other)->bytes, KEY_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static struct peer *peer_in(struct sim *sim, unsigned lab, unsigned other)
{
    struct peer *peer = peer_find(sim->labs[lab]->node, sim_id(sim, other));
    assert_non_null(peer);
    return peer;
}

/* How long until it is so, in ms of virtual time; fails beyond `limit_ms`. */
static uint64_t until_link(struct sim *sim, unsigned lab, unsigned other, bool linked,
                           uint64_t limit_ms)
{
    uint64_t began = sim_now(sim);
    while (believes(sim, lab, other) != linked) {
        assert_true(sim_now(sim) - began <= limit_ms);
        sim_run(sim, STEP_MS);
    }
    return sim_now(sim) - began;
}

/* Two linked labs that agree; `idle_ms` later. */
static struct sim *pair(uint64_t seed, uint64_t idle_ms, unsigned *a, unsigned *b)
{
    struct sim *sim = sim_new(seed);
    *a = sim_lab(sim, "A");
    *b = sim_lab(sim, "B");
    sim_link(sim, *a, *b);
    sim_publish(sim, *a, "un", 2, 300, 1);
    assert_true(sim_converge(sim, 10000));
    sim_run(sim, idle_ms);
    return sim;
}

static void a_peer_whose_power_goes_is_missed_within_90_s(void **state)
{
    (void) state;
    uint64_t slowest = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        unsigned a, b;
        struct sim *sim = pair(seed, seed * 1777, &a, &b);
        unsigned gone = seed % 2 == 0 ? a : b; /* the dialler, or the other */
        sim_blackout(sim, gone);
        uint64_t took = until_link(sim, gone == a ? b : a, gone, false, DETECT_MS + STEP_MS);
        slowest = took > slowest ? took : slowest;
        sim_free(sim);
    }
    print_message("slowest: %llu ms\n", (unsigned long long) slowest);
}

/* A daemon asks for the next wake-up after every turn, and forgets the one before. */
static void who_is_asked_all_the_time_forgets_no_time(void **state)
{
    (void) state;
    unsigned a, b;
    struct sim *sim = pair(50, 1000, &a, &b);
    sim_cut(sim, a, b, true);
    uint64_t wake_ms = node_wake_ms(sim->labs[a]->node);
    for (unsigned i = 0; i < 800 && believes(sim, a, b); i++) {
        (void) sim_publish(sim, a, "neu", 1, 100, i);
        uint64_t next_ms = node_wake_ms(sim->labs[a]->node);
        assert_true(wake_ms <= sim->labs[a]->node->now_ms || next_ms <= wake_ms);
        wake_ms = next_ms;
        sim_run(sim, 200);
    }
    assert_false(believes(sim, a, b));
    sim_free(sim);
}

static void a_way_that_swallows_everything_is_noticed_within_90_s(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        unsigned a, b;
        struct sim *sim = pair(seed, seed * 2111, &a, &b);
        if (seed % 3 == 0) {
            sim_cut(sim, a, b, true);
        } else { /* one way only: who hears nothing more is the one to notice */
            sim_cut_way(sim, seed % 3 == 1 ? a : b, seed % 3 == 1 ? b : a, true);
        }
        if (seed % 2 == 0) { /* talking into the dark changes nothing */
            sim_publish(sim, a, "deux", 2, 300, 1);
        }
        (void) until_link(sim, seed % 3 == 1 ? b : a, seed % 3 == 1 ? a : b, false,
                          DETECT_MS + STEP_MS);
        sim_free(sim);
    }
}

static void whoever_is_back_is_linked_again_within_30_s(void **state)
{
    (void) state;
    static const uint64_t outages_ms[] = {5000,          30000,       100000,      3 * MINUTE_MS,
                                          9 * MINUTE_MS, 1 * HOUR_MS, 30 * HOUR_MS};
    for (size_t i = 0; i < sizeof outages_ms / sizeof *outages_ms; i++) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
            unsigned a, b;
            struct sim *sim = pair(seed, seed * 997, &a, &b);
            sim_cut(sim, a, b, true);
            sim_run(sim, outages_ms[i]);
            sim_publish(sim, a, "pendant", 2, 300, 1);
            sim_cut(sim, a, b, false);
            if (outages_ms[i] <= DETECT_MS) { /* nobody has noticed yet */
                (void) until_link(sim, a, b, false, DETECT_MS);
            }
            (void) until_link(sim, a, b, true, RECONNECT_MS);
            assert_true(sim_converge(sim, RECONNECT_MS));
            sim_free(sim);
        }
    }
}

static void who_loses_the_network_finds_everybody_again_within_30_s(void **state)
{
    (void) state;
    struct sim *sim = sim_new(3);
    unsigned lab = sim_lab(sim, "Portable");
    unsigned others[6];
    for (unsigned i = 0; i < 6; i++) {
        others[i] = sim_lab(sim, "L");
        sim_link(sim, lab, others[i]);
        (void) until_link(sim, lab, others[i], true, 10000);
    }
    for (unsigned i = 0; i < 6;
         i++) { /* one after the other: the first ones are asked less often */
        sim_cut(sim, lab, others[i], true);
        sim_run(sim, 10 * MINUTE_MS);
    }
    sim_run(sim, 10 * HOUR_MS);
    for (unsigned i = 0; i < 6; i++) {
        sim_cut(sim, lab, others[i], false);
    }
    uint64_t healed = sim_now(sim);
    for (unsigned i = 0; i < 6; i++) {
        (void) until_link(sim, lab, others[i], true, RECONNECT_MS);
    }
    assert_true(sim_now(sim) - healed <= RECONNECT_MS);
    sim_free(sim);
}

/* Every time a dial is planned: how long after the one before. */
static unsigned watch_dials(struct sim *sim, unsigned lab, unsigned gone, uint64_t ms,
                            uint64_t gaps_ms[], unsigned max)
{
    unsigned count = 0;
    uint64_t planned = peer_in(sim, lab, gone)->dial_at_ms;
    for (uint64_t end = sim_now(sim) + ms; sim_now(sim) < end && count < max;) {
        sim_run(sim, STEP_MS);
        uint64_t next = peer_in(sim, lab, gone)->dial_at_ms;
        if (next != planned) {
            gaps_ms[count++] = next - planned;
            planned = next;
        }
    }
    return count;
}

static void a_peer_that_is_gone_is_asked_for_ever_less_often_up_to_5_min(void **state)
{
    (void) state;
    uint64_t gaps[300], at_ms = 0, sum = 0;
    unsigned distinct = 0, late = 0;
    struct sim *sim = sim_new(4);
    unsigned lab = sim_lab(sim, "A");
    unsigned hub = sim_lab(sim, "H");
    unsigned gone = sim_lab(sim, "G");
    sim_link(sim, lab, hub); /* not alone */
    sim_link(sim, lab, gone);
    (void) until_link(sim, lab, gone, true, 10000);
    sim_crash(sim, gone);
    unsigned count = watch_dials(sim, lab, gone, 5 * HOUR_MS, gaps, 300);
    assert_in_range(count, 150, 250);
    for (unsigned i = 0; i < count; i++, at_ms += gaps[i]) {
        bool lost = at_ms < HOUR_MS; /* for an hour it may just be the network */
        assert_true(gaps[i] <= (lost ? 2 * DIAL_LOST_MS_MAX : DIAL_MS_MAX) + 1000);
        assert_true(gaps[i] >= DIAL_MS_MIN * 3 / 4);
        if (at_ms > HOUR_MS + 20 * MINUTE_MS) {
            assert_true(gaps[i] >= DIAL_MS_MAX * 3 / 4 - 1000);
            distinct += gaps[i] != gaps[i - 1];
            sum += gaps[i];
            late++;
        }
    }
    assert_true(late > 30);
    assert_true(distinct > late / 2); /* jitter */
    assert_true(sum / late < DIAL_MS_MAX);
    sim_start(sim, gone);
    (void) until_link(sim, lab, gone, true, DIAL_MS_MAX + STEP_MS);
    assert_int_equal(peer_in(sim, lab, gone)->dial_delay_ms, DIAL_MS_MIN);
    sim_free(sim);
}

/* Two halves, each with links of its own: nobody is alone, and nobody is told. */
static void two_parts_of_a_network_find_each_other_within_40_s(void **state)
{
    (void) state;
    static const uint64_t outages_ms[] = {2 * MINUTE_MS, 7 * MINUTE_MS, 50 * MINUTE_MS};
    for (size_t i = 0; i < sizeof outages_ms / sizeof *outages_ms; i++) {
        struct sim *sim = sim_new(20 + i);
        for (unsigned lab = 0; lab < 6; lab++) {
            (void) sim_lab(sim, "L");
            for (unsigned other = 0; other < lab; other++) {
                sim_link(sim, lab, other);
            }
        }
        sim_run(sim, 10000);
        for (unsigned cut = 0; cut < 2; cut++) {
            for (unsigned lab = 0; lab < 9; lab++) {
                sim_cut(sim, lab / 3, 3 + lab % 3, cut == 0);
            }
            sim_publish(sim, 0, "un", 1, 300, cut);
            sim_publish(sim, 5, "deux", 1, 300, cut);
            if (cut == 0) {
                sim_run(sim, outages_ms[i]);
                assert_false(sim_converged(sim));
            }
        }
        assert_true(sim_converge(sim, 40000));
        sim_free(sim);
    }
}

static void who_is_alone_asks_every_15_s_at_the_least(void **state)
{
    (void) state;
    uint64_t gaps[200];
    unsigned a, b;
    struct sim *sim = pair(5, 1000, &a, &b);
    sim_crash(sim, b);
    unsigned count = watch_dials(sim, a, b, HOUR_MS / 2, gaps, 200);
    for (unsigned i = 0; i < count; i++) {
        assert_true(gaps[i] <= DIAL_ALONE_MS_MAX + 1000);
        assert_true(i < 3 || gaps[i] >= DIAL_ALONE_MS_MAX * 3 / 4);
    }
    sim_free(sim);
}

/* ---- drips ---- */

/* `hub` holds the puppet's 400 entries; `lab` is offered them by the puppet first, then by it. */
struct drip {
    struct sim *sim;
    unsigned lab, hub, puppet;
    struct press press;
    struct msg want;
};

static void drip_set(struct drip *drip, uint64_t seed)
{
    struct msg want;
    drip->sim = sim_new(seed);
    drip->lab = sim_lab(drip->sim, "Labo");
    drip->hub = sim_lab(drip->sim, "Relais");
    drip->puppet = sim_puppet(drip->sim, "Goutte");
    sim_peer(drip->sim, drip->hub, drip->puppet, false);
    sim_peer(drip->sim, drip->lab, drip->puppet, false);
    press_init(&drip->press, drip->sim, drip->puppet);
    for (unsigned i = 0; i < 400; i++) {
        char slug[16];
        (void) snprintf(slug, sizeof slug, "f-%u", i);
        press_put(&drip->press, slug, i, 300);
    }
    press_sign(&drip->press);
    assert_true(puppet_dial(drip->sim, drip->puppet, drip->hub));
    press_offer(&drip->press, drip->puppet, 1, 1);
    assert_true(puppet_await(drip->sim, drip->puppet, MSG_WANT, 20000, &want));
    press_serve(&drip->press, drip->puppet, &want, 1);
    sim_run(drip->sim, 1000);
    puppet_close(drip->sim, drip->puppet);
    assert_true(puppet_dial(drip->sim, drip->puppet, drip->lab));
    press_offer(&drip->press, drip->puppet, 1, 1);
    assert_true(puppet_await(drip->sim, drip->puppet, MSG_WANT, 20000, &drip->want));
}

static bool drip_held(struct drip *drip)
{
    struct head head;
    return sim_head(drip->sim, drip->lab, drip->puppet, &head);
}

/* Gives one entry every `gap_ms` until it is held; how long that took. */
static uint64_t drip_run(struct drip *drip, uint64_t gap_ms)
{
    defer(press_delta_done) struct press_delta delta = {0};
    uint64_t began = sim_now(drip->sim);
    struct bytes entry;
    size_t at = 0;
    press_delta(&drip->press, &drip->want, 1, &delta);
    struct list list = {.raw = buf_bytes(&delta.entries), .count = delta.entry_count};
    while (!drip_held(drip) && list_next(&list, &at, &entry)) {
        defer(buf_done) struct buf raw = {0};
        list_put(&raw, entry);
        struct msg msg = {.type = MSG_DELTA,
                          .delta = {.stream = drip->want.want.stream,
                                    .entries = {.raw = buf_bytes(&raw), .count = 1}}};
        if (puppet_linked(drip->sim, drip->puppet)) {
            puppet_say(drip->sim, drip->puppet, &msg);
        }
        sim_run(drip->sim, gap_ms);
    }
    return sim_now(drip->sim) - began;
}

static void drip_clear(struct drip *drip)
{
    press_done(&drip->press);
    sim_free(drip->sim);
}

static void who_drips_is_left_for_whoever_gives_freely(void **state)
{
    (void) state;
    static const uint64_t gaps_ms[] = {100, 1000, 4000, 9000};
    for (size_t i = 0; i < sizeof gaps_ms / sizeof *gaps_ms; i++) {
        struct drip drip;
        drip_set(&drip, 30 + i);
        sim_link(drip.sim, drip.lab, drip.hub);
        uint64_t took = drip_run(&drip, gaps_ms[i]);
        print_message("an entry every %llu ms: held after %llu ms\n",
                      (unsigned long long) gaps_ms[i], (unsigned long long) took);
        assert_true(drip_held(&drip));
        assert_true(took <= 60000);
        assert_true(sim_verify(drip.sim, drip.lab));
        drip_clear(&drip);
    }
}

/* News come in small pieces, from several at once, all day: nobody is slow. */
static void news_now_and_then_are_no_crawling(void **state)
{
    (void) state;
    struct sim *sim = sim_new(41);
    for (unsigned i = 0; i < 4; i++) {
        (void) sim_lab(sim, "L");
        for (unsigned other = 0; other < i; other++) {
            sim_link(sim, i, other);
        }
    }
    sim_run(sim, 5000);
    for (unsigned i = 0; i < 60; i++) {
        sim_publish(sim, i % 4, "neu", 1, 300, i);
        sim_run(sim, i % 3 == 0 ? 400 : 7000);
    }
    assert_true(sim_converge(sim, 5000));
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(sim->labs[i]->node->refused[ERR_TIMEOUT], 0);
    }
    sim_free(sim);
}

static void who_is_slow_and_alone_is_waited_for(void **state)
{
    (void) state;
    struct drip drip;
    drip_set(&drip, 40);
    (void) drip_run(&drip, 1000);
    press_say_end(&drip.press, drip.puppet, drip.want.want.stream, 1);
    sim_run(drip.sim, 2000);
    assert_true(drip_held(&drip));
    assert_true(puppet_linked(drip.sim, drip.puppet));
    drip_clear(&drip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_whose_power_goes_is_missed_within_90_s),
        cmocka_unit_test(who_is_asked_all_the_time_forgets_no_time),
        cmocka_unit_test(a_way_that_swallows_everything_is_noticed_within_90_s),
        cmocka_unit_test(whoever_is_back_is_linked_again_within_30_s),
        cmocka_unit_test(who_loses_the_network_finds_everybody_again_within_30_s),
        cmocka_unit_test(a_peer_that_is_gone_is_asked_for_ever_less_often_up_to_5_min),
        cmocka_unit_test(two_parts_of_a_network_find_each_other_within_40_s),
        cmocka_unit_test(who_is_alone_asks_every_15_s_at_the_least),
        cmocka_unit_test(who_drips_is_left_for_whoever_gives_freely),
        cmocka_unit_test(news_now_and_then_are_no_crawling),
        cmocka_unit_test(who_is_slow_and_alone_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
