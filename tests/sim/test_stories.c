/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories.c: what labs live through together, on the real node and store under a
 * virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/sim/cluster.h"

static void two_labs_hold_the_same_after_a_link(void **state)
{
    (void) state;
    struct sim *sim = sim_new(1);
    unsigned a = sim_lab(sim, "Ti Lab");
    unsigned b = sim_lab(sim, "Région Sud");
    sim_publish(sim, a, "avant", 5, 300, 1);
    sim_link(sim, a, b);
    assert_true(sim_converge(sim, 5000));
    assert_true(sim_has(sim, b, a, "avant-4"));
    sim_publish(sim, b, "apres", 3, 300, 1);
    assert_true(sim_converge(sim, 2000));
    assert_true(sim_has(sim, a, b, "apres-2"));
    assert_true(sim_verify(sim, a));
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

static void a_third_lab_relays(void **state)
{
    (void) state;
    struct sim *sim = sim_new(2);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    unsigned c = sim_lab(sim, "C");
    sim_link(sim, a, b);
    sim_link(sim, c, b);
    sim_publish(sim, a, "un", 2, 300, 1);
    sim_publish(sim, c, "deux", 2, 300, 1);
    assert_true(sim_converge(sim, 5000));
    assert_true(sim_has(sim, c, a, "un-1"));
    assert_true(sim_has(sim, a, c, "deux-1"));
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

static void a_withdrawal_travels(void **state)
{
    (void) state;
    struct sim *sim = sim_new(3);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    unsigned c = sim_lab(sim, "C");
    sim_link(sim, a, b);
    sim_link(sim, b, c);
    sim_publish(sim, a, "fiche", 10, 300, 1);
    assert_true(sim_converge(sim, 5000));
    sim_withdraw(sim, a, "fiche-3");
    assert_true(sim_converge(sim, 5000));
    assert_false(sim_has(sim, c, a, "fiche-3"));
    assert_true(sim_has(sim, c, a, "fiche-4"));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void a_large_catalogue_arrives_staged_and_whole(void **state)
{
    (void) state;
    struct sim *sim = sim_new(4);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_publish(sim, a, "grand", 6000, 900, 1);
    sim_link(sim, b, a);
    assert_true(sim_converge(sim, 60000));
    assert_true(sim_has(sim, b, a, "grand-5999"));
    sim_publish(sim, a, "grand", 3000, 800, 2);
    assert_true(sim_converge(sim, 60000));
    assert_true(sim_verify(sim, a));
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

static void a_large_delta_goes_on_where_the_link_was_lost(void **state)
{
    (void) state;
    struct sim *sim = sim_new(5);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_publish(sim, a, "grand", 8000, 900, 1);
    sim_latency(sim, 40, 60);
    sim_link(sim, b, a);
    for (unsigned tries = 0; sim_wire(sim, a, b) < 4000000; tries++) {
        assert_true(tries < 10000);
        sim_run(sim, 10);
    }
    sim_reset(sim, a, b);
    assert_true(sim_converge(sim, 60000));
    assert_true(sim_wire(sim, a, b) < 6500000); /* the second link carried the rest only */
    sim_publish(sim, a, "plus", 8000, 900, 1);
    sim_run(sim, 300);
    sim_crash(sim, b);
    sim_start(sim, b);
    assert_true(sim_converge(sim, 60000));
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

static void a_lab_may_publish_much_while_its_first_delta_goes_out(void **state)
{
    (void) state;
    struct sim *sim = sim_new(15);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_publish(sim, a, "grand", 8000, 900, 1);
    sim_latency(sim, 40, 60);
    sim_link(sim, b, a);
    for (unsigned tries = 0; sim_wire(sim, a, b) < 4000000; tries++) {
        assert_true(tries < 10000);
        sim_run(sim, 10);
    }
    sim_publish(sim, a, "grand", 6000, 900, 2); /* most of them were sent already */
    assert_true(sim_converge(sim, 60000));
    assert_true(sim_wire(sim, a, b) > 8500000); /* over the first link, which was never closed */
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

static void a_reconnect_with_nothing_new_costs_640_bytes_at_most(void **state)
{
    (void) state;
    struct sim *sim = sim_new(6);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    unsigned c = sim_lab(sim, "C");
    sim_link(sim, a, b);
    sim_link(sim, b, c);
    sim_publish(sim, a, "fiche", 20, 300, 1);
    sim_publish(sim, c, "fiche", 20, 300, 1);
    assert_true(sim_converge(sim, 10000));
    sim_run(sim, 1000);
    for (unsigned round = 0; round < 3; round++) {
        sim_reset(sim, a, b);
        for (unsigned tries = 0; !sim_linked(sim, a, b); tries++) {
            assert_true(tries < 1000);
            sim_run(sim, 50);
        }
        sim_run(sim, 1000);
        print_message("reconnect: %llu bytes\n", (unsigned long long) sim_wire(sim, a, b));
        assert_true(sim_wire(sim, a, b) <= 640);
    }
    sim_free(sim);
}

static void bytes_in_any_pieces_mean_the_same(void **state)
{
    (void) state;
    for (size_t split = 1; split < 40; split += 13) {
        struct sim *sim = sim_new(7);
        unsigned a = sim_lab(sim, "A");
        unsigned b = sim_lab(sim, "B");
        sim_split(sim, split);
        sim_publish(sim, a, "fiche", 3, 200, 1);
        sim_link(sim, a, b);
        assert_true(sim_converge(sim, 5000));
        assert_true(sim_has(sim, b, a, "fiche-2"));
        sim_free(sim);
    }
}

static void a_lab_that_was_off_catches_up(void **state)
{
    (void) state;
    struct sim *sim = sim_new(8);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    unsigned c = sim_lab(sim, "C");
    sim_link(sim, a, b);
    sim_link(sim, c, b);
    sim_publish(sim, a, "un", 2, 300, 1);
    assert_true(sim_converge(sim, 10000));
    sim_stop(sim, b);
    sim_publish(sim, a, "deux", 2, 300, 1);
    sim_publish(sim, c, "trois", 2, 300, 1);
    sim_run(sim, 60000);
    sim_start(sim, b);
    assert_true(sim_converge(sim, 700000));
    assert_true(sim_has(sim, c, a, "deux-1"));
    sim_free(sim);
}

static void a_silent_link_is_found_dead_and_made_anew(void **state)
{
    (void) state;
    struct sim *sim = sim_new(9);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, a, b);
    sim_publish(sim, a, "un", 2, 300, 1);
    assert_true(sim_converge(sim, 10000));
    sim_cut(sim, a, b, true);
    sim_publish(sim, a, "deux", 2, 300, 1);
    sim_run(sim, 100000);
    assert_false(sim_linked(sim, a, b));
    sim_cut(sim, a, b, false);
    assert_true(sim_converge(sim, 60000));
    sim_free(sim);
}

static uint64_t story_trace(uint64_t seed)
{
    struct sim *sim = sim_new(seed);
    unsigned labs[5];
    for (unsigned i = 0; i < 5; i++) {
        labs[i] = sim_lab(sim, "L");
    }
    for (unsigned i = 1; i < 5; i++) {
        sim_link(sim, labs[i - 1], labs[i]);
    }
    sim_link(sim, labs[4], labs[0]);
    for (unsigned i = 0; i < 5; i++) {
        sim_publish(sim, labs[i], "x", 4, 200, i);
        sim_run(sim, 20);
    }
    sim_crash(sim, labs[2]);
    sim_run(sim, 500);
    sim_start(sim, labs[2]);
    assert_true(sim_converge(sim, 700000));
    uint64_t trace = sim_trace(sim);
    sim_free(sim);
    return trace;
}

static void the_same_seed_gives_the_same_trace(void **state)
{
    (void) state;
    for (uint64_t seed = 100; seed < 105; seed++) {
        assert_int_equal(story_trace(seed), story_trace(seed));
    }
    assert_int_not_equal(story_trace(100), story_trace(101));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_labs_hold_the_same_after_a_link),
        cmocka_unit_test(a_third_lab_relays),
        cmocka_unit_test(a_withdrawal_travels),
        cmocka_unit_test(a_large_catalogue_arrives_staged_and_whole),
        cmocka_unit_test(a_large_delta_goes_on_where_the_link_was_lost),
        cmocka_unit_test(a_lab_may_publish_much_while_its_first_delta_goes_out),
        cmocka_unit_test(a_reconnect_with_nothing_new_costs_640_bytes_at_most),
        cmocka_unit_test(bytes_in_any_pieces_mean_the_same),
        cmocka_unit_test(a_lab_that_was_off_catches_up),
        cmocka_unit_test(a_silent_link_is_found_dead_and_made_anew),
        cmocka_unit_test(the_same_seed_gives_the_same_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
