/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_fork.c: two histories under one key: found, frozen, joined again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/defer.h"
#include "proto/pack.h"
#include "tests/sim/cluster.h"

#define MINUTE_MS 60000u

/* ---- asking ---- */

static struct bytes no_params(void)
{
    static const uint8_t empty_map[] = {0x80};
    return BYTES_OF_ARRAY(empty_map);
}

/* How many forks that lab knows. */
static size_t forks_of(struct sim *sim, unsigned lab)
{
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    assert_int_equal(sim_request(sim, lab, CTL_forks, no_params(), &reply), ERR_OK);
    assert_int_equal(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
    const msgpack_object *forks = ctl_get(&msg.result, "forks");
    assert_non_null(forks);
    size_t count = forks->via.array.size;
    ctl_done(&msg);
    return count;
}

struct repaired {
    uint64_t merged, conflicts, n;
    bool frozen;
};

static enum err repair(struct sim *sim, unsigned lab, struct repaired *ret_repaired)
{
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    enum err err = sim_request(sim, lab, CTL_repair, no_params(), &reply);
    if (err != ERR_OK) {
        return err;
    }
    assert_int_equal(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
    assert_int_equal(ctl_get_uint(&msg.result, "merged", &ret_repaired->merged), ERR_OK);
    assert_int_equal(ctl_get_uint(&msg.result, "conflicts", &ret_repaired->conflicts), ERR_OK);
    assert_int_equal(ctl_get_uint(&msg.result, "n", &ret_repaired->n), ERR_OK);
    assert_int_equal(ctl_get_bool(&msg.result, "frozen", &ret_repaired->frozen), ERR_OK);
    ctl_done(&msg);
    return ERR_OK;
}

static enum err try_one(struct sim *sim, unsigned lab, const char *prefix)
{
    return sim_try_publish(sim, lab,
                           &(struct sim_batch){.prefix = prefix, .count = 1, .size = 100});
}

static void has_all(struct sim *sim, unsigned labs, unsigned of, const char *prefix, unsigned count)
{
    for (unsigned lab = 0; lab < labs; lab++) {
        for (unsigned i = 0; i < count; i++) {
            char slug[64];
            (void) snprintf(slug, sizeof slug, "%s-%u", prefix, i);
            if (!sim_has(sim, lab, of, slug)) {
                fail_msg("lab %u lacks %s", lab, slug);
            }
        }
    }
}

/* ---- the plot ---- */

/* Three labs, all linked; lab 0 has published 20 entries, been copied, and published 5 more ("a").
 * Then its machine was put back to the copy, far from the others. */
static struct sim *put_back(uint64_t seed)
{
    struct sim *sim = sim_new(seed);
    (void) sim_lab(sim, "Ti Lab");
    (void) sim_lab(sim, "Région Sud");
    (void) sim_lab(sim, "Lab4Lab");
    sim_link(sim, 0, 1);
    sim_link(sim, 0, 2);
    sim_link(sim, 1, 2);
    sim_publish(sim, 0, "fonds", 20, 200, 1);
    sim_publish(sim, 1, "autre", 3, 200, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, 0);
    sim_backup(sim, 0);
    sim_start(sim, 0);
    sim_publish(sim, 0, "a", 5, 200, 1);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    sim_stop(sim, 0);
    sim_cut(sim, 0, 1, true);
    sim_cut(sim, 0, 2, true);
    sim_restore(sim, 0);
    sim_start(sim, 0);
    return sim;
}

static void together(struct sim *sim)
{
    sim_cut(sim, 0, 1, false);
    sim_cut(sim, 0, 2, false);
    sim_run(sim, 15 * MINUTE_MS);
}

static void a_lab_put_back_catches_up_by_itself_and_signs_on(void **state)
{
    (void) state;
    struct sim *sim = put_back(41);
    together(sim);
    assert_int_equal(forks_of(sim, 0) + forks_of(sim, 1) + forks_of(sim, 2), 0);
    sim_publish(sim, 0, "b", 3, 200, 1);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    has_all(sim, 3, 0, "a", 5);
    has_all(sim, 3, 0, "b", 3);
    sim_free(sim);
}

static void a_lab_put_back_that_publishes_forks_and_everybody_knows(void **state)
{
    (void) state;
    struct sim *sim = put_back(42);
    sim_publish(sim, 0, "b", 3, 200, 1);
    together(sim);
    for (unsigned lab = 0; lab < 3; lab++) {
        assert_int_equal(forks_of(sim, lab), 1);
    }
    assert_int_equal(try_one(sim, 0, "c"), ERR_FROZEN);
    assert_int_equal(try_one(sim, 1, "d"), ERR_OK); /* others go on */
    sim_run(sim, MINUTE_MS);
    assert_true(sim_has(sim, 2, 1, "d-0"));
    sim_crash(sim, 0); /* and it is not forgotten */
    sim_start(sim, 0);
    assert_int_equal(try_one(sim, 0, "c"), ERR_FROZEN);
    sim_free(sim);
}

static void repair_joins_both_branches_and_nothing_is_lost(void **state)
{
    (void) state;
    for (unsigned own = 1; own <= 9; own += 4) { /* ours the shorter, the longer branch */
        struct sim *sim = put_back(43 + own);
        for (unsigned i = 0; i < own; i++) {
            char prefix[16];
            (void) snprintf(prefix, sizeof prefix, "b%u", i);
            sim_publish(sim, 0, prefix, 2, 200, 1);
        }
        together(sim);
        assert_int_equal(forks_of(sim, 2), 1);
        struct repaired repaired = {0};
        assert_int_equal(repair(sim, 0, &repaired), ERR_OK);
        assert_int_equal(repaired.merged, 1);
        assert_int_equal(repaired.conflicts, 0);
        assert_false(repaired.frozen);
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        has_all(sim, 3, 0, "fonds", 20);
        has_all(sim, 3, 0, "a", 5);
        for (unsigned i = 0; i < own; i++) {
            char prefix[16];
            (void) snprintf(prefix, sizeof prefix, "b%u", i);
            has_all(sim, 3, 0, prefix, 2);
        }
        for (unsigned lab = 0; lab < 3; lab++) {
            assert_int_equal(forks_of(sim, lab), 0);
            assert_true(sim_verify(sim, lab));
        }
        sim_publish(sim, 0, "suite", 3, 200, 1);
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        has_all(sim, 3, 0, "suite", 3);
        sim_free(sim);
    }
}

static void of_one_slug_on_both_branches_the_higher_stands_and_the_other_is_told(void **state)
{
    (void) state;
    struct sim *sim = put_back(60);
    sim_publish(sim, 0, "a", 2, 200, 7); /* a-0 and a-1 otherwise */
    sim_withdraw(sim, 0, "fonds-3");
    together(sim);
    struct repaired repaired = {0};
    assert_int_equal(repair(sim, 0, &repaired), ERR_OK);
    assert_int_equal(repaired.merged, 1);
    assert_int_equal(repaired.conflicts, 2);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    has_all(sim, 3, 0, "a", 5);
    for (unsigned lab = 0; lab < 3; lab++) {
        assert_false(sim_has(sim, lab, 0, "fonds-3")); /* withdrawn on one branch: it stays so */
        assert_true(sim_verify(sim, lab));
    }
    sim_free(sim);
}

static void who_meets_the_merge_first_or_starts_later_comes_to_the_same(void **state)
{
    (void) state;
    struct sim *sim = put_back(70);
    sim_publish(sim, 0, "b", 3, 200, 1);
    sim_stop(sim, 2); /* never hears of the fork */
    sim_cut(sim, 0, 1, false);
    sim_run(sim, 15 * MINUTE_MS);
    struct repaired repaired = {0};
    assert_int_equal(repair(sim, 0, &repaired), ERR_OK);
    assert_int_equal(repaired.merged, 1);
    unsigned late = sim_lab(sim, "Le Tiers");
    sim_link(sim, late, 1);
    sim_start(sim, 2);
    sim_cut(sim, 0, 2, false);
    assert_true(sim_converge(sim, 20 * MINUTE_MS));
    for (unsigned lab = 0; lab < 4; lab++) {
        has_all(sim, 4, 0, "a", 5);
        has_all(sim, 4, 0, "b", 3);
        assert_true(sim_verify(sim, lab));
        assert_int_equal(forks_of(sim, lab), 0);
    }
    sim_free(sim);
}

/* Nothing is written at the middle one when its queue is empty again: the proof must go all the
 * same. */
static void a_proof_that_found_no_room_goes_when_there_is_room(void **state)
{
    (void) state;
    struct sim *sim = put_back(75);
    sim_publish(sim, 0, "b", 3, 200, 1);
    sim_rate(sim, 1, 2, 4000);
    sim_publish(sim, 1, "gros", 2500, 1000, 1);
    sim_run(sim, 5000);
    sim_cut(sim, 0, 1, false);
    for (unsigned i = 0; i < 600 && !sim_forked(sim, 1, 0); i++) {
        sim_run(sim, 100);
    }
    assert_true(sim_forked(sim, 1, 0));
    sim_run(sim, 5000);
    assert_false(sim_forked(sim, 2, 0)); /* it waits behind a megabyte */
    sim_rate(sim, 1, 2, 0);
    for (unsigned i = 0; i < 20 && !sim_forked(sim, 2, 0); i++) {
        sim_run(sim, MINUTE_MS);
    }
    assert_true(sim_forked(sim, 2, 0));
    sim_free(sim);
}

/* ---- copies of any age (A3) ---- */

/* Ti Lab publishes `rounds` times, is put back to its state after `age` of them, and tries to sign
 * while it is alone, and again with its peer. */
static void put_back_to(unsigned rounds, unsigned age, bool guarded)
{
    struct sim *sim = sim_new(1000 + rounds * 100 + age);
    unsigned a = sim_lab(sim, "Ti Lab");
    unsigned b = sim_lab(sim, "Région Sud");
    sim_guards(sim, guarded);
    sim_link(sim, a, b);
    for (unsigned i = 0; i < rounds; i++) {
        char prefix[16];
        (void) snprintf(prefix, sizeof prefix, "p%u", i);
        sim_publish(sim, a, prefix, 1, 100, i);
        if (i == age) {
            sim_stop(sim, a);
            sim_backup(sim, a);
            sim_start(sim, a);
        }
    }
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    sim_stop(sim, a);
    sim_cut(sim, a, b, true);
    sim_restore(sim, a);
    sim_start(sim, a);
    bool signs = try_one(sim, a, "seul") == ERR_OK;
    assert_int_equal(signs, !guarded || age + 1 == rounds);
    sim_cut(sim, a, b, false);
    sim_run(sim, 15 * MINUTE_MS);
    bool forked = signs && age + 1 < rounds;
    assert_int_equal(forks_of(sim, a), forked);
    assert_int_equal(forks_of(sim, b), forked);
    if (forked) {
        struct repaired repaired = {0};
        assert_int_equal(repair(sim, a, &repaired), ERR_OK);
        assert_int_equal(repaired.merged, 1);
    }
    assert_int_equal(try_one(sim, a, "encore"), ERR_OK);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    for (unsigned i = 0; i < rounds; i++) {
        char prefix[16];
        (void) snprintf(prefix, sizeof prefix, "p%u", i);
        has_all(sim, 2, 0, prefix, 1);
    }
    has_all(sim, 2, 0, "encore", 1);
    has_all(sim, 2, 0, "seul", signs);
    sim_free(sim);
}

static void a_copy_of_any_age_forks_nothing_where_the_guard_is_there(void **state)
{
    (void) state;
    for (unsigned age = 0; age < 12; age++) {
        put_back_to(12, age, true);
    }
}

static void a_copy_of_any_age_with_its_guard_forks_and_is_merged_with_nothing_lost(void **state)
{
    (void) state;
    for (unsigned age = 0; age < 12; age++) {
        put_back_to(12, age, false);
    }
}

/* ---- roots that differ ---- */

static void what_was_forgotten_is_mended_by_buckets_and_not_by_everything(void **state)
{
    (void) state;
    struct sim *sim = sim_new(81);
    unsigned a = sim_lab(sim, "Ti Lab");
    unsigned b = sim_lab(sim, "Région Sud");
    sim_link(sim, b, a);
    sim_publish(sim, a, "fiche", 600, 1000, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, b);
    sim_withdraw(sim, a, "fiche-3");
    sim_withdraw(sim, a, "fiche-300");
    sim_publish(sim, a, "plus", 5, 1000, 1);
    sim_run(sim, 100ull * 24 * 60 * MINUTE_MS); /* by now nobody knows what was withdrawn */
    sim_start(sim, b);
    assert_true(sim_converge(sim, 5 * MINUTE_MS));
    assert_false(sim_has(sim, b, a, "fiche-3"));
    assert_false(sim_has(sim, b, a, "fiche-300"));
    assert_true(sim_has(sim, b, a, "plus-4"));
    assert_true(sim_verify(sim, b));
    uint64_t wire = sim_wire(sim, a, b);
    if (wire > 60000) { /* two sets of digests, two buckets, five entries; not 600 kB */
        fail_msg("%llu bytes", (unsigned long long) wire);
    }
    sim_free(sim);
}

static void a_large_delta_is_mended_too(void **state)
{
    (void) state;
    struct sim *sim = sim_new(82);
    unsigned a = sim_lab(sim, "Ti Lab");
    unsigned b = sim_lab(sim, "Région Sud");
    sim_link(sim, b, a);
    sim_publish(sim, a, "fiche", 3000, 300, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, b);
    sim_withdraw(sim, a, "fiche-7");
    sim_publish(sim, a, "plus", 2500, 300, 1); /* applied by the job */
    sim_publish(sim, a, "fiche", 100, 300, 2);
    sim_run(sim, 100ull * 24 * 60 * MINUTE_MS);
    sim_start(sim, b);
    assert_true(sim_converge(sim, 5 * MINUTE_MS));
    assert_true(sim_verify(sim, b));
    uint64_t wire = sim_wire(sim, a, b);
    if (wire > 1200000) { /* 2,600 entries of 400 bytes, and not 5,500 */
        fail_msg("%llu bytes", (unsigned long long) wire);
    }
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lab_put_back_catches_up_by_itself_and_signs_on),
        cmocka_unit_test(a_lab_put_back_that_publishes_forks_and_everybody_knows),
        cmocka_unit_test(repair_joins_both_branches_and_nothing_is_lost),
        cmocka_unit_test(of_one_slug_on_both_branches_the_higher_stands_and_the_other_is_told),
        cmocka_unit_test(a_copy_of_any_age_forks_nothing_where_the_guard_is_there),
        cmocka_unit_test(a_copy_of_any_age_with_its_guard_forks_and_is_merged_with_nothing_lost),
        cmocka_unit_test(a_proof_that_found_no_room_goes_when_there_is_room),
        cmocka_unit_test(what_was_forgotten_is_mended_by_buckets_and_not_by_everything),
        cmocka_unit_test(a_large_delta_is_mended_too),
        cmocka_unit_test(who_meets_the_merge_first_or_starts_later_comes_to_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
