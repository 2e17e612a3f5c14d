/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/test_copies.c: stores that are not what they were: lost, or brought back from an older
 * copy, while the others go on. Nobody misses anything for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/defer.h"
#include "tests/sim/cluster.h"

#define DAY_S (24ll * 3600)

static void publish(struct sim *sim, unsigned lab, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        char prefix[16];
        (void) snprintf(prefix, sizeof prefix, "p%u", i);
        sim_publish(sim, lab, prefix, 1, 100, i + 1);
        sim_run(sim, 500);
    }
}

/* b and c know each other through the hub alone; c has read far in the hub's old store. The clock
 * of the new one may be behind. */
static void anew(uint64_t seed, int64_t off_s)
{
    struct sim *sim = sim_new(seed);
    unsigned hub = sim_lab(sim, "hub");
    unsigned b = sim_lab(sim, "B");
    unsigned c = sim_lab(sim, "C");
    sim_link(sim, b, hub);
    sim_link(sim, c, hub);
    publish(sim, b, 20);
    assert_true(sim_converge(sim, 10000));
    sim_stop(sim, c);
    sim_stop(sim, hub);
    sim_store_lost(sim, hub);
    sim_clock(sim, hub, off_s);
    sim_start(sim, hub);
    sim_peer(sim, hub, b, false);
    sim_peer(sim, hub, c, false);
    sim_run(sim, 20000);
    publish(sim, b, 1);
    assert_true(sim_converge(sim, 700000));
    sim_start(sim, c);
    assert_true(sim_converge(sim, 700000));
    publish(sim, b, 3);
    publish(sim, c, 3);
    assert_true(sim_converge(sim, 30000));
    sim_free(sim);
}

static void a_hub_that_lost_its_store_learns_and_tells_everything_anew(void **state)
{
    (void) state;
    anew(60, 0);
    anew(64, -400 * DAY_S);
}

/* While the restored hub is alone with b it gives the numbers of its arrivals again, to other
 * things. c has read up to there already. */
static void put_back(uint64_t seed, bool saved, int64_t off_s)
{
    struct sim *sim = sim_new(seed);
    unsigned hub = sim_lab(sim, "hub");
    unsigned b = sim_lab(sim, "B");
    unsigned c = sim_lab(sim, "C");
    unsigned d = sim_lab(sim, "D");
    sim_link(sim, b, hub);
    sim_link(sim, c, hub);
    sim_link(sim, d, hub);
    publish(sim, b, 2);
    publish(sim, d, 2);
    assert_true(sim_converge(sim, 10000));
    if (saved) {
        sim_save(sim, hub);
    } else {
        sim_stop(sim, hub);
        sim_backup(sim, hub);
        sim_start(sim, hub);
        assert_true(sim_converge(sim, 700000));
    }
    publish(sim, b, 5);
    assert_true(sim_converge(sim, 700000));
    sim_stop(sim, c);
    sim_stop(sim, hub);
    if (saved) {
        sim_load(sim, hub);
    } else {
        sim_restore(sim, hub);
    }
    sim_clock(sim, hub, off_s);
    sim_start(sim, hub);
    publish(sim, d, 1);
    publish(sim, b, 7);
    sim_publish(sim, d, "neuf", 1, 100, 9);
    publish(sim, b, 1);
    assert_true(sim_converge(sim, 700000));
    sim_start(sim, c);
    assert_true(sim_converge(sim, 700000));
    assert_true(sim_has(sim, c, d, "neuf-0"));
    sim_free(sim);
}

static void what_a_restored_hub_learns_is_told_to_who_had_read_on(void **state)
{
    (void) state;
    put_back(61, true, 0);
    put_back(65, true, -400 * DAY_S);
    put_back(66, false, 0); /* what tells it from the store it was is the time */
}

/* A peer tells of a newer head of ours and cannot give what is behind it. */
static void who_has_heard_of_a_newer_own_head_signs_nothing_after_a_restart_either(void **state)
{
    (void) state;
    struct sim *sim = sim_new(63);
    unsigned a = sim_lab(sim, "A");
    unsigned puppet = sim_puppet(sim, "Pantin");
    sim_peer(sim, a, puppet, false);
    publish(sim, a, 2);
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    publish(sim, a, 3);
    defer(buf_done) struct buf head = {0};
    assert_true(sim_signed_head(sim, a, a, &head));
    sim_stop(sim, a);
    sim_restore(sim, a);
    sim_start(sim, a);
    assert_true(puppet_dial(sim, puppet, a));
    defer(buf_done) struct buf raw = {0};
    list_put_head(&raw, 1, buf_bytes(&head));
    struct msg msg = {.type = MSG_HEADS,
                      .heads = {.upto = 1, .heads = {.raw = buf_bytes(&raw), .count = 1}}};
    puppet_say(sim, puppet, &msg);
    sim_run(sim, 3000);
    struct sim_batch batch = {.prefix = "neuf", .count = 1, .size = 100, .salt = 9};
    assert_int_equal(sim_try_publish(sim, a, &batch), ERR_FROZEN);
    sim_crash(sim, a);
    sim_start(sim, a);
    assert_int_equal(sim_try_publish(sim, a, &batch), ERR_FROZEN);
    sim_free(sim);
}

static void a_withdrawal_costs_little_whatever_the_catalogue_holds(void **state)
{
    (void) state;
    struct sim *sim = sim_new(62);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, a, b);
    sim_publish(sim, a, "fiche", 100, 2000, 1);
    assert_true(sim_converge(sim, 10000));
    sim_run(sim, 5000);
    uint64_t before = sim_wire(sim, a, b);
    sim_withdraw(sim, a, "fiche-3");
    assert_true(sim_converge(sim, 10000));
    assert_true(sim_linked(sim, a, b));
    assert_true(sim_wire(sim, a, b) - before < 3000);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hub_that_lost_its_store_learns_and_tells_everything_anew),
        cmocka_unit_test(what_a_restored_hub_learns_is_told_to_who_had_read_on),
        cmocka_unit_test(who_has_heard_of_a_newer_own_head_signs_nothing_after_a_restart_either),
        cmocka_unit_test(a_withdrawal_costs_little_whatever_the_catalogue_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
