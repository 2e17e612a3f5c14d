/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_bundle2.c: files that tell of histories that part, join or begin anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/defer.h"
#include "proto/pack.h"
#include "tests/sim/bundle.h"

static size_t forks_of(struct sim *sim, unsigned lab)
{
    static const uint8_t empty_map[] = {0x80};
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    assert_int_equal(sim_request(sim, lab, CTL_forks, BYTES_OF_ARRAY(empty_map), &reply), ERR_OK);
    assert_int_equal(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
    size_t count = ctl_get(&msg.result, "forks")->via.array.size;
    ctl_done(&msg);
    return count;
}

/* Lab A's machine was put back to an older copy, unnoticed, and published on: two branches, and at
 * last the merge head of both, each in a file. B is linked with A, but for a while. */
struct parted {
    struct sim *sim;
    unsigned a, b, c, d;
    struct buf first, second, merged;
};

static void publish_times(struct sim *sim, unsigned lab, const char *word, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        char prefix[16];
        (void) snprintf(prefix, sizeof prefix, "%s%u", word, i);
        sim_publish(sim, lab, prefix, 2, 200, 1);
    }
}

static void part(struct parted *parted, uint64_t seed, unsigned first, unsigned second)
{
    static const uint8_t empty_map[] = {0x80};
    struct sim *sim = sim_new(seed);
    *parted = (struct parted){.sim = sim,
                              .a = sim_lab(sim, "A"),
                              .b = sim_lab(sim, "B"),
                              .c = sim_lab(sim, "C"),
                              .d = sim_lab(sim, "D")};
    sim_apart(sim, parted->c, true);
    sim_apart(sim, parted->d, true);
    sim_link(sim, parted->a, parted->b);
    sim_publish(sim, parted->a, "fonds", 10, 200, 1);
    assert_true(sim_converge(sim, 60000));
    sim_stop(sim, parted->a);
    sim_backup(sim, parted->a);
    sim_start(sim, parted->a);
    publish_times(sim, parted->a, "a", first);
    assert_true(sim_converge(sim, 600000));
    bundle_export(sim, parted->a, &parted->first);
    sim_stop(sim, parted->a);
    sim_cut(sim, parted->a, parted->b, true);
    sim_restore(sim, parted->a);
    sim_start(sim, parted->a);
    publish_times(sim, parted->a, "b", second);
    bundle_export(sim, parted->a, &parted->second);
    sim_cut(sim, parted->a, parted->b, false);
    sim_run(sim, 900000);
    assert_int_equal(forks_of(sim, parted->a), 1);
    assert_int_equal(sim_request(sim, parted->a, CTL_repair, BYTES_OF_ARRAY(empty_map), NULL),
                     ERR_OK);
    assert_true(sim_converge(sim, 600000));
    bundle_export(sim, parted->b, &parted->merged);
}

static void parted_done(struct parted *parted)
{
    buf_done(&parted->first);
    buf_done(&parted->second);
    buf_done(&parted->merged);
    sim_free(parted->sim);
}

static void two_files_show_a_fork_and_a_third_one_carries_its_proof(void **state)
{
    (void) state;
    for (unsigned second = 1; second <= 5; second += 2) { /* shorter, as long, longer */
        struct parted parted;
        defer(buf_done) struct buf file = {0};
        part(&parted, 90 + second, 3, second);
        struct sim *sim = parted.sim;
        assert_int_equal(bundle_import(sim, parted.c, buf_bytes(&parted.first)).accepted, 1);
        struct bundle_outcome outcome = bundle_import(sim, parted.c, buf_bytes(&parted.second));
        assert_int_equal(outcome.err, ERR_OK);
        assert_int_equal(outcome.refused, 1);
        assert_string_equal(outcome.why, "E-FORK");
        assert_int_equal(forks_of(sim, parted.c), 1);
        assert_true(sim_has(sim, parted.c, parted.a, "a0-0"));
        assert_false(sim_has(sim, parted.c, parted.a, "b0-0"));
        assert_true(sim_verify(sim, parted.c));
        /* what C passes on says so, too */
        bundle_export(sim, parted.c, &file);
        assert_int_equal(bundle_import(sim, parted.d, buf_bytes(&file)).err, ERR_OK);
        assert_int_equal(forks_of(sim, parted.d), 1);
        assert_true(bundle_same(sim, parted.d, parted.c, parted.a));
        outcome = bundle_import(sim, parted.d, buf_bytes(&parted.second));
        assert_int_equal(outcome.refused, 1);
        assert_true(sim_verify(sim, parted.d));
        parted_done(&parted);
    }
}

static void a_file_joins_the_branches_wherever_its_reader_stands(void **state)
{
    (void) state;
    for (unsigned second = 1; second <= 5; second += 2) {
        struct parted parted;
        part(&parted, 100 + second, 3, second);
        struct sim *sim = parted.sim;
        assert_int_equal(bundle_import(sim, parted.c, buf_bytes(&parted.first)).accepted, 1);
        assert_int_equal(bundle_import(sim, parted.d, buf_bytes(&parted.second)).accepted, 1);
        unsigned passes = 0;
        const unsigned readers[] = {parted.c, parted.d};
        for (unsigned i = 0; i < 2; i++) {
            struct bundle_outcome outcome =
                bundle_import(sim, readers[i], buf_bytes(&parted.merged));
            assert_int_equal(outcome.err, ERR_OK);
            assert_int_equal(outcome.accepted, 1);
            assert_true(bundle_same(sim, readers[i], parted.b, parted.a));
            assert_true(sim_has(sim, readers[i], parted.a, "a0-0"));
            assert_true(sim_has(sim, readers[i], parted.a, "b0-0"));
            assert_true(sim_verify(sim, readers[i]));
            passes = outcome.passes > passes ? outcome.passes : passes;
        }
        assert_true(passes > 1); /* on the side it had to be read again */
        /* from the merge head on all goes its usual way */
        sim_publish(sim, parted.a, "suite", 2, 200, 1);
        bundle_export(sim, parted.a, &parted.merged);
        for (unsigned i = 0; i < 2; i++) {
            struct bundle_outcome next = bundle_import(sim, readers[i], buf_bytes(&parted.merged));
            assert_int_equal(next.accepted, 1);
            assert_int_equal(next.passes, 1);
            assert_true(sim_has(sim, readers[i], parted.a, "suite-1"));
        }
        struct bundle_outcome late = bundle_import(sim, parted.c, buf_bytes(&parted.second));
        assert_int_equal(late.err, ERR_OK);
        assert_int_equal(late.accepted, 0);
        parted_done(&parted);
    }
}

static void a_fork_that_is_known_ends_with_the_file_of_the_merge(void **state)
{
    (void) state;
    struct parted parted;
    part(&parted, 110, 3, 3);
    struct sim *sim = parted.sim;
    assert_int_equal(bundle_import(sim, parted.c, buf_bytes(&parted.first)).accepted, 1);
    assert_int_equal(bundle_import(sim, parted.c, buf_bytes(&parted.second)).refused, 1);
    assert_int_equal(forks_of(sim, parted.c), 1);
    struct bundle_outcome outcome = bundle_import(sim, parted.c, buf_bytes(&parted.merged));
    assert_int_equal(outcome.accepted, 1);
    assert_int_equal(forks_of(sim, parted.c), 0);
    assert_true(bundle_same(sim, parted.c, parted.b, parted.a));
    assert_true(sim_verify(sim, parted.c));
    parted_done(&parted);
}

static void a_lab_that_reads_of_a_newer_state_of_its_own_signs_no_more(void **state)
{
    (void) state;
    struct sim *sim = sim_new(111);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    sim_publish(sim, a, "fonds", 3, 200, 1);
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    sim_publish(sim, a, "plus", 3, 200, 1);
    bundle_export(sim, a, &file);
    sim_stop(sim, a);
    sim_restore(sim, a);
    sim_start(sim, a);
    struct bundle_outcome outcome = bundle_import(sim, a, buf_bytes(&file));
    assert_int_equal(outcome.err, ERR_OK);
    assert_int_equal(outcome.refused, 1);
    assert_string_equal(outcome.why, "E-FROZEN");
    assert_int_equal(
        sim_try_publish(sim, a, &(struct sim_batch){.prefix = "x", .count = 1, .size = 100}),
        ERR_FROZEN);
    sim_free(sim);
}

static void a_file_carries_new_keys_and_what_was_signed_with_them(void **state)
{
    (void) state;
    struct sim *sim = sim_new(112);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 9, 200, 1);
    bundle_export(sim, a, &file);
    assert_int_equal(bundle_import(sim, c, buf_bytes(&file)).accepted, 1);
    sim_stage(sim, a, 2);
    assert_int_equal(sim_rotate(sim, a), ERR_OK);
    sim_publish(sim, a, "neuf", 2, 200, 1);
    bundle_export(sim, a, &file);
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.accepted, 1);
    struct head head;
    assert_true(sim_head(sim, c, a, &head));
    assert_int_equal(head.generation, 2);
    assert_true(bundle_same(sim, c, a, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void keys_that_change_while_a_file_is_written_are_in_it(void **state)
{
    (void) state;
    struct sim *sim = sim_new(113);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 900, 1000, 1);
    for (unsigned parts = 0; bundle_part(sim, a, parts == 0, &file); parts++) {
        if (parts == 1) {
            sim_stage(sim, a, 2);
            assert_int_equal(sim_rotate(sim, a), ERR_OK);
            sim_publish(sim, a, "neuf", 2, 200, 1);
        }
    }
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.err, ERR_OK);
    assert_int_equal(outcome.accepted, 1);
    assert_true(bundle_same(sim, c, a, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]); /* by hand */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_files_show_a_fork_and_a_third_one_carries_its_proof),
        cmocka_unit_test(a_file_joins_the_branches_wherever_its_reader_stands),
        cmocka_unit_test(a_fork_that_is_known_ends_with_the_file_of_the_merge),
        cmocka_unit_test(a_file_carries_new_keys_and_what_was_signed_with_them),
        cmocka_unit_test(keys_that_change_while_a_file_is_written_are_in_it),
        cmocka_unit_test(a_lab_that_reads_of_a_newer_state_of_its_own_signs_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
