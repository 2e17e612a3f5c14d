/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/test_abuse.c: labs whose keys are good and whose manners are not: one that signs
 * without end (A1), one that signs two histories (A2), one whose word nobody wants any more (A4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/cluster.h"

#define LABS 10
#define FLOODER 0
#define HONEST 1
#define QUOTA 50
#define RATE 1000000 /* bytes a second, each link */
#define MINUTE_MS 60000u

/* ---- a network of links that carry so much and no more ---- */

static struct sim *ring(uint64_t seed)
{
    struct sim *sim = sim_new(seed);
    sim_quota(sim, QUOTA);
    sim_rate_all(sim, RATE);
    for (unsigned i = 0; i < LABS; i++) {
        (void) sim_lab(sim, "Labo");
    }
    for (unsigned i = 0; i < LABS; i++) {
        sim_link(sim, i, (i + 1) % LABS);
        if (i % 3 == 0) {
            sim_link(sim, i, (i + 4) % LABS);
        }
    }
    for (unsigned i = 0; i < LABS; i++) {
        sim_publish(sim, i, "fonds", 5, 300, 1);
    }
    assert_true(sim_converge(sim, MINUTE_MS));
    return sim;
}

static bool everywhere(struct sim *sim, unsigned of, uint64_t n)
{
    for (unsigned lab = 0; lab < LABS; lab++) {
        struct head head;
        if (!sim_head(sim, lab, of, &head) || head.n < n) {
            return false;
        }
    }
    return true;
}

/* What happens beside, every few ms. */
typedef void beside(struct sim *sim, void *user);

/* How long the next `count` publications of the honest lab take to be everywhere, at most. */
static uint64_t slowest(struct sim *sim, unsigned count, beside *each, void *user)
{
    uint64_t worst_ms = 0;
    for (unsigned i = 0; i < count; i++) {
        struct head head;
        sim_publish(sim, HONEST, "neuf", 1, 300, 100 + i);
        assert_true(sim_head(sim, HONEST, HONEST, &head));
        uint64_t began_ms = sim_now(sim);
        while (!everywhere(sim, HONEST, head.n)) {
            assert_true(sim_now(sim) - began_ms < MINUTE_MS);
            if (each != NULL) {
                each(sim, user);
            }
            sim_run(sim, 5);
        }
        uint64_t took_ms = sim_now(sim) - began_ms;
        worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
        sim_run(sim, 200);
    }
    return worst_ms;
}

/* ---- A1 ---- */

struct flood {
    uint64_t signed_count, refused;
};

/* Changes what it has, tries to have ever more, and withdraws now and then. */
static void flood(struct sim *sim, void *user)
{
    struct flood *state = user;
    for (unsigned i = 0; i < 4; i++) {
        char prefix[16];
        unsigned number = (unsigned) (state->signed_count + state->refused) + i;
        (void) snprintf(prefix, sizeof prefix, "s%u", number % (2 * QUOTA));
        struct sim_batch batch = {.prefix = prefix, .count = 1, .size = 1000, .salt = number};
        enum err err = sim_try_publish(sim, FLOODER, &batch);
        assert_true(err == ERR_OK || err == ERR_REFUSED);
        state->signed_count += err == ERR_OK;
        state->refused += err != ERR_OK;
    }
}

static void a_lab_that_signs_without_end_delays_nobody_and_takes_its_quota_at_most(void **state)
{
    (void) state;
    struct sim *sim = ring(80);
    uint64_t before_ms = slowest(sim, 10, NULL, NULL);
    struct flood flooded = {0};
    bool whole = getenv("ESSAIM_LONG") != NULL;
    uint64_t during_ms = slowest(sim, whole ? 200 : 10, flood, &flooded);
    while (flooded.signed_count < (whole ? 1000000 : 2000)) {
        flood(sim, &flooded);
        sim_run(sim, 5);
    }
    print_message("%llu heads signed, %llu refused; %llu ms before, %llu ms meanwhile\n",
                  (unsigned long long) flooded.signed_count, (unsigned long long) flooded.refused,
                  (unsigned long long) before_ms, (unsigned long long) during_ms);
    assert_true(during_ms <= 2 * before_ms);
    assert_true(flooded.refused > 0);
    assert_true(sim_converge(sim, MINUTE_MS));
    struct head head;
    for (unsigned lab = 0; lab < LABS; lab++) {
        assert_true(sim_head(sim, lab, FLOODER, &head));
        assert_true(head.count <= QUOTA);
        for (unsigned of = 1; of < LABS; of++) { /* nothing of others went for it */
            assert_true(sim_has(sim, lab, of, "fonds-4"));
        }
        assert_true(sim_verify(sim, lab));
    }
    /* Heads coalesce: far fewer of them crossed a link than were signed. */
    assert_true(sim_said(sim, 5, MSG_HEADS) < flooded.signed_count);
    sim_free(sim);
}

/* ---- A2 ---- */

static void two_histories_are_known_to_all_within_three_rounds(void **state)
{
    (void) state;
    struct sim *sim = ring(81);
    uint64_t round_ms = slowest(sim, 10, NULL, NULL);
    sim_stop(sim, FLOODER);
    sim_backup(sim, FLOODER);
    sim_start(sim, FLOODER);
    sim_publish(sim, FLOODER, "un", 3, 300, 2);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    sim_stop(sim, FLOODER);
    for (unsigned lab = 1; lab < LABS; lab++) {
        sim_cut(sim, FLOODER, lab, true);
    }
    sim_restore(sim, FLOODER);
    sim_start(sim, FLOODER);
    sim_publish(sim, FLOODER, "deux", 3, 300, 3);
    sim_publish(sim, FLOODER, "trois", 3, 300, 3);
    for (unsigned lab = 1; lab < LABS; lab++) {
        sim_cut(sim, FLOODER, lab, false);
    }
    bool linked = false;
    for (unsigned tries = 0; !linked && tries < 100000; tries++) {
        sim_run(sim, 5);
        linked = sim_linked(sim, FLOODER, 1) || sim_linked(sim, FLOODER, LABS - 1);
    }
    uint64_t began_ms = sim_now(sim);
    unsigned known = 0;
    while (known < LABS && sim_now(sim) - began_ms <= MINUTE_MS) {
        sim_run(sim, 5);
        known = 0;
        for (unsigned lab = 0; lab < LABS; lab++) {
            known += sim_forked(sim, lab, FLOODER);
        }
    }
    uint64_t took_ms = sim_now(sim) - began_ms;
    print_message("a round: %llu ms; all %u know after %llu ms\n", (unsigned long long) round_ms,
                  known, (unsigned long long) took_ms);
    assert_int_equal(known, LABS);
    assert_true(took_ms <= 3 * round_ms);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lab_that_signs_without_end_delays_nobody_and_takes_its_quota_at_most),
        cmocka_unit_test(two_histories_are_known_to_all_within_three_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
