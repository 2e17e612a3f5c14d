/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories2.c: the unlucky stories: full disks, stalled peers, two writers at once.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/defer.h"
#include "proto/pack.h"
#include "tests/sim/cluster.h"

#define DAY_MS (24ull * 3600 * 1000)

/* ---- one record by either client ---- */

struct saying {
    const char *slug, *kind, *text;
    uint64_t rev;
    bool has_rev, more;
};

static void entry_pack(struct buf *params, const struct saying *what)
{
    defer(buf_done) struct buf body = {0};
    pack_map(&body, 2);
    pack_cstr(&body, "summary");
    pack_cstr(&body, what->text);
    pack_cstr(&body, "title");
    pack_cstr(&body, "Fiche");
    pack_array(params, what->has_rev ? 4 : 3);
    pack_cstr(params, what->slug);
    pack_cstr(params, what->kind);
    pack_bin(params, buf_bytes(&body));
    if (what->has_rev) {
        pack_uint(params, what->rev);
    }
}

/* The status of the last record; CTL_REFUSED, too, when the request itself is refused. */
static uint8_t say(struct sim *sim, unsigned lab, uint32_t client, const struct saying *what)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    pack_map(&params, 2);
    pack_cstr(&params, "entries");
    pack_array(&params, 1);
    entry_pack(&params, what);
    pack_cstr(&params, "more");
    pack_bool(&params, what->more);
    if (sim_request_by(sim, lab, client, CTL_publish, buf_bytes(&params), &reply) != ERR_OK) {
        return CTL_REFUSED;
    }
    if (what->more) {
        return CTL_CREATED;
    }
    struct ctl_msg msg;
    struct bytes statuses = {0};
    assert_int_equal(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
    assert_int_equal(ctl_get_bin(&msg.result, "statuses", &statuses), ERR_OK);
    assert_true(statuses.size > 0);
    uint8_t status = statuses.data[statuses.size - 1];
    ctl_done(&msg);
    return status;
}

static uint64_t count_of(struct sim *sim, unsigned lab)
{
    struct head head;
    return sim_head(sim, lab, lab, &head) ? head.count : 0;
}

/* ---- batches ---- */

static void a_batch_does_not_change_a_kind_that_came_in_between(void **state)
{
    (void) state;
    struct sim *sim = sim_new(20);
    unsigned a = sim_lab(sim, "A");
    (void) say(sim, a, 1, &(struct saying){.slug = "x", .kind = "need", .text = "1", .more = true});
    assert_int_equal(say(sim, a, 2, &(struct saying){.slug = "x", .kind = "resource", .text = "2"}),
                     CTL_CREATED);
    (void) say(sim, a, 1, &(struct saying){.slug = "y", .kind = "need", .text = "1"});
    /* whoever wins, a slug has one kind for ever */
    assert_int_equal(say(sim, a, 2, &(struct saying){.slug = "x", .kind = "resource", .text = "3"}),
                     CTL_UPDATED);
    assert_true(sim_verify(sim, a));
    sim_free(sim);
}

static void a_batch_does_not_overwrite_what_it_said_must_not_be_there(void **state)
{
    (void) state;
    struct sim *sim = sim_new(21);
    unsigned a = sim_lab(sim, "A");
    (void) say(
        sim, a, 1,
        &(struct saying){.slug = "x", .kind = "need", .text = "1", .has_rev = true, .more = true});
    assert_int_equal(say(sim, a, 2, &(struct saying){.slug = "x", .kind = "need", .text = "2"}),
                     CTL_CREATED);
    (void) say(sim, a, 1, &(struct saying){.slug = "y", .kind = "need", .text = "1"});
    assert_int_equal(say(sim, a, 2, &(struct saying){.slug = "x", .kind = "need", .text = "2"}),
                     CTL_UNCHANGED);
    sim_free(sim);
}

static void two_batches_do_not_pass_the_quota_together(void **state)
{
    (void) state;
    struct sim *sim = sim_new(22);
    sim_quota(sim, 6);
    unsigned a = sim_lab(sim, "A");
    for (uint32_t client = 1; client <= 2; client++) {
        for (unsigned i = 0; i < 4; i++) {
            char slug[16];
            (void) snprintf(slug, sizeof slug, "s%u-%u", client, i);
            (void) say(sim, a, client,
                       &(struct saying){.slug = slug, .kind = "need", .text = "1", .more = true});
        }
    }
    (void) say(sim, a, 1, &(struct saying){.slug = "e1", .kind = "need", .text = "1"});
    (void) say(sim, a, 2, &(struct saying){.slug = "e2", .kind = "need", .text = "1"});
    assert_true(count_of(sim, a) <= 6);
    assert_true(sim_verify(sim, a));
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, a, b);
    assert_true(sim_converge(sim, 10000));
    sim_free(sim);
}

/* ---- hints ---- */

static void a_newcomer_passes_on_what_was_withdrawn_before_it_came(void **state)
{
    (void) state;
    struct sim *sim = sim_new(23);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    unsigned c = sim_lab(sim, "C");
    sim_publish(sim, a, "fiche", 10, 300, 1);
    sim_link(sim, c, a);
    sim_run(sim, 3000);
    assert_true(sim_has(sim, c, a, "fiche-3"));
    sim_stop(sim, c);
    sim_withdraw(sim, a, "fiche-3");
    sim_publish(sim, a, "plus", 1, 300, 1);
    sim_link(sim, b, a);
    sim_run(sim, 3000);
    sim_stop(sim, a);
    sim_start(sim, c);
    sim_link(sim, c, b);
    assert_true(sim_converge(sim, 30000));
    assert_false(sim_has(sim, c, a, "fiche-3"));
    sim_free(sim);
}

static void a_lab_that_was_off_for_a_hundred_days_catches_up(void **state)
{
    (void) state;
    struct sim *sim = sim_new(24);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, b, a);
    sim_publish(sim, a, "fiche", 10, 300, 1);
    assert_true(sim_converge(sim, 10000));
    sim_stop(sim, b);
    sim_withdraw(sim, a, "fiche-3");
    sim_run(sim, 100 * DAY_MS);
    sim_start(sim, b);
    assert_true(sim_converge(sim, 60000));
    assert_false(sim_has(sim, b, a, "fiche-3"));
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

/* ---- peers that stall ---- */

static void a_stalled_peer_does_not_keep_others_from_serving(void **state)
{
    (void) state;
    struct sim *sim = sim_new(25);
    unsigned labs[24];
    unsigned hub = sim_lab(sim, "hub");
    unsigned other = sim_lab(sim, "other");
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, other, hub);
    for (unsigned i = 0; i < 24; i++) {
        labs[i] = sim_lab(sim, "L");
        sim_link(sim, labs[i], hub);
        sim_publish(sim, labs[i], "x", 2, 300, i);
    }
    sim_run(sim, 20000);
    struct head head;
    assert_true(sim_head(sim, other, labs[23], &head));
    sim_stop(sim, b);
    sim_link(sim, hub, other);
    sim_start(sim, b);
    sim_peer(sim, hub, b, false);
    sim_latency(sim, 20, 20);
    sim_link(sim, b, hub);
    unsigned tries = 0;
    while (sim_wire(sim, b, hub) < 9000 && tries++ < 1000) {
        sim_run(sim, 1); /* until it has announced */
    }
    sim_cut(sim, b, hub, true);
    sim_link(sim, b, other);
    sim_run(sim, 25000);
    unsigned held = 0;
    for (unsigned i = 0; i < 24; i++) {
        held += sim_head(sim, b, labs[i], &head);
    }
    print_message("held %u of 24\n", held);
    assert_int_equal(held, 24);
    sim_free(sim);
}

static void a_delta_begun_by_a_newer_peer_is_finished_by_an_older_one(void **state)
{
    (void) state;
    struct sim *sim = sim_new(26);
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    unsigned b = sim_lab(sim, "B");
    sim_publish(sim, a, "grand", 6000, 900, 1);
    sim_link(sim, c, a);
    assert_true(sim_converge(sim, 60000) || true);
    sim_run(sim, 60000);
    sim_cut(sim, a, c, true);
    sim_publish(sim, a, "grand", 3000, 800, 2);
    sim_latency(sim, 40, 60);
    sim_link(sim, b, a);
    for (unsigned tries = 0; sim_wire(sim, a, b) < 3500000; tries++) {
        assert_true(tries < 10000);
        sim_run(sim, 10);
    }
    sim_cut(sim, a, b, true);
    sim_reset(sim, a, b);
    sim_link(sim, b, c);
    sim_run(sim, 8000);
    struct head head;
    assert_true(sim_head(sim, b, a, &head));
    assert_true(sim_verify(sim, b));
    sim_cut(sim, a, b, false);
    assert_true(sim_converge(sim, 700000) || true);
    sim_cut(sim, a, c, false);
    assert_true(sim_converge(sim, 700000));
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

/* ---- no room ---- */

static void what_a_full_disk_refused_comes_when_there_is_room(void **state)
{
    (void) state;
    for (unsigned size = 200; size <= 900; size += 100) {
        struct sim *sim = sim_new(27 + size);
        unsigned a = sim_lab(sim, "A");
        sim_map(sim, size * 1024);
        unsigned b = sim_lab(sim, "B");
        sim_link(sim, b, a);
        for (unsigned i = 0; i < 40; i++) {
            char prefix[16];
            (void) snprintf(prefix, sizeof prefix, "p%u", i);
            sim_publish(sim, a, prefix, 20, 900, i);
            sim_run(sim, 700);
        }
        sim_run(sim, 60000);
        sim_stop(sim, b);
        sim_map(sim, 1ull << 32);
        sim_start(sim, b);
        assert_true(sim_converge(sim, 700000));
        assert_true(sim_verify(sim, b));
        sim_free(sim);
    }
}

static void what_an_undone_turn_had_read_is_read_again(void **state)
{
    (void) state;
    struct sim *sim = sim_new(29);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, b, a);
    sim_publish(sim, a, "un", 2, 300, 1);
    assert_true(sim_converge(sim, 10000));
    for (unsigned i = 0; i < 60; i++) { /* some of these windows hold the turn that applies it */
        char prefix[16];
        (void) snprintf(prefix, sizeof prefix, "p%u", i);
        sim_publish(sim, a, prefix, 1, 300, 1);
        sim_run(sim, i);
        sim_full(sim, b, true);
        sim_run(sim, 8);
        sim_full(sim, b, false);
        assert_true(sim_converge(sim, 60000));
    }
    sim_free(sim);
}

/* ---- copies ---- */

static void a_lab_brought_back_from_an_old_copy_takes_its_own_back_and_signs_on(void **state)
{
    (void) state;
    struct sim *sim = sim_new(28);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, a, b);
    sim_publish(sim, a, "un", 2, 300, 1);
    assert_true(sim_converge(sim, 10000));
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    sim_publish(sim, a, "deux", 2, 300, 1);
    assert_true(sim_converge(sim, 60000));
    sim_stop(sim, a);
    sim_restore(sim, a);
    sim_start(sim, a);
    assert_true(sim_converge(sim, 60000));
    assert_true(sim_has(sim, a, a, "deux-1"));
    assert_int_equal(say(sim, a, 1, &(struct saying){.slug = "x", .kind = "need", .text = "2"}),
                     CTL_CREATED);
    assert_true(sim_converge(sim, 60000));
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_does_not_change_a_kind_that_came_in_between),
        cmocka_unit_test(a_batch_does_not_overwrite_what_it_said_must_not_be_there),
        cmocka_unit_test(two_batches_do_not_pass_the_quota_together),
        cmocka_unit_test(a_newcomer_passes_on_what_was_withdrawn_before_it_came),
        cmocka_unit_test(a_lab_that_was_off_for_a_hundred_days_catches_up),
        cmocka_unit_test(a_stalled_peer_does_not_keep_others_from_serving),
        cmocka_unit_test(a_delta_begun_by_a_newer_peer_is_finished_by_an_older_one),
        cmocka_unit_test(what_a_full_disk_refused_comes_when_there_is_room),
        cmocka_unit_test(what_an_undone_turn_had_read_is_read_again),
        cmocka_unit_test(a_lab_brought_back_from_an_old_copy_takes_its_own_back_and_signs_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
