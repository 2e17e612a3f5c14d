/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_merge.c: nothing is lost where branches are joined, a repair is cut short
 * or a publication is refused. */
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

#define assert_err(got, wanted) assert_string_equal(err_code(got), err_code(wanted))

/* ---- asking ---- */

static void withdraw_params(struct buf *params, const char *slug, bool erase)
{
    pack_map(params, 2);
    pack_cstr(params, "erase");
    pack_bool(params, erase);
    pack_cstr(params, "slugs");
    pack_array(params, 1);
    pack_cstr(params, slug);
}

/* How many revisions of that entry are there, the current one included. */
static size_t revisions(struct sim *sim, unsigned lab, const char *slug)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    pack_map(&params, 1);
    pack_cstr(&params, "slug");
    pack_cstr(&params, slug);
    enum err err = sim_request(sim, lab, CTL_history, buf_bytes(&params), &reply);
    if (err == ERR_NOT_FOUND) {
        return 0;
    }
    assert_err(err, ERR_OK);
    assert_err(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
    const msgpack_object *rows = ctl_get(&msg.result, "revisions");
    assert_non_null(rows);
    size_t count = rows->via.array.size;
    ctl_done(&msg);
    return count;
}

/* A head of that lab that nobody signed with its store is told to it. */
static void forge(struct sim *sim, unsigned puppet, unsigned lab, uint64_t arrival)
{
    defer(buf_done) struct buf signed_head = {0};
    defer(buf_done) struct buf raw = {0};
    struct head head;
    assert_true(sim_head(sim, lab, lab, &head));
    head.n += 100;
    assert_err(head_sign(&head, sim_signing(sim, lab), &signed_head), ERR_OK);
    list_put_head(&raw, arrival, buf_bytes(&signed_head));
    struct msg msg = {.type = MSG_HEADS,
                      .heads = {.upto = arrival, .heads = {.raw = buf_bytes(&raw), .count = 1}}};
    puppet_say(sim, puppet, &msg);
}

/* ---- refused means: nothing happened ---- */

static void an_erasure_that_is_refused_in_the_turn_of_a_freeze_erases_nothing(void **state)
{
    (void) state;
    struct sim *sim = sim_new(31);
    sim_keep(sim, true);
    unsigned a = sim_lab(sim, "Ti Lab");
    unsigned thief = sim_puppet(sim, "Voleur");
    sim_peer(sim, a, thief, false);
    sim_publish(sim, a, "fiche", 1, 100, 1);
    sim_publish(sim, a, "fiche", 1, 100, 2);
    sim_publish(sim, a, "fiche", 1, 100, 3);
    assert_int_equal(revisions(sim, a, "fiche-0"), 3);
    assert_true(puppet_dial(sim, thief, a));
    sim_latency(sim, 1, 1);
    sim_busy(sim, 1000);
    defer(buf_done) struct buf params = {0};
    withdraw_params(&params, "fiche-0", true);
    sim_request_later(sim, a, 1, CTL_withdraw, buf_bytes(&params));
    forge(sim, thief, a, 100); /* both come while the loop is busy: one turn */
    enum err err = ERR_OK;
    for (unsigned i = 0; i < 10 && !sim_answered(sim, a, &err); i++) {
        sim_run(sim, 1000);
    }
    assert_true(sim_answered(sim, a, &err));
    assert_err(err, ERR_FROZEN);
    sim_busy(sim, 0);
    puppet_close(sim, thief);
    assert_int_equal(revisions(sim, a, "fiche-0"), 3);
    assert_true(sim_has(sim, a, a, "fiche-0"));
    assert_err(sim_rotate(sim, a), ERR_OK); /* ends the freeze */
    assert_err(sim_request(sim, a, CTL_withdraw, buf_bytes(&params), NULL), ERR_OK);
    assert_int_equal(revisions(sim, a, "fiche-0"), 0);
    assert_int_equal(sim_bytes(sim, a, "essaimage 1."), 0);
    assert_true(sim_verify(sim, a));
    sim_free(sim);
}

/* ---- repair ---- */

/* Two labs; A has published `count` entries more ("a") than its copy holds, was put back to it far
 * from B, and published one entry ("b") there. */
static struct sim *forked(uint64_t seed, unsigned count, size_t size)
{
    struct sim *sim = sim_new(seed);
    unsigned a = sim_lab(sim, "Ti Lab");
    unsigned b = sim_lab(sim, "Région Sud");
    sim_link(sim, a, b);
    sim_publish(sim, a, "fonds", 5, 200, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    sim_publish(sim, a, "a", count, size, 1);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    sim_stop(sim, a);
    sim_cut(sim, a, b, true);
    sim_restore(sim, a);
    sim_start(sim, a);
    sim_publish(sim, a, "b", 1, 200, 1);
    return sim;
}

static void repair_params(struct buf *params, bool force)
{
    pack_map(params, 1);
    pack_cstr(params, "force");
    pack_bool(params, force);
}

static void a_branch_that_takes_long_is_waited_for_while_it_comes(void **state)
{
    (void) state;
    struct sim *sim = forked(32, 3000, 5000);
    sim_rate_all(sim, 120000); /* 15 MB: more than two minutes */
    sim_cut(sim, 0, 1, false);
    sim_run(sim, 10 * MINUTE_MS);
    assert_true(sim_forked(sim, 0, 0));
    defer(buf_done) struct buf params = {0};
    repair_params(&params, false);
    uint64_t from_ms = sim_now(sim);
    sim_request_later(sim, 0, 1, CTL_repair, buf_bytes(&params));
    enum err err = ERR_NOT_FOUND;
    for (unsigned i = 0; i < 100 && !sim_answered(sim, 0, &err); i++) {
        sim_run(sim, 10000);
    }
    assert_err(err, ERR_OK);
    assert_true(sim_now(sim) - from_ms > 2 * MINUTE_MS);
    assert_false(sim_forked(sim, 0, 0));
    assert_true(sim_has(sim, 0, 0, "a-2999"));
    assert_true(sim_converge(sim, 20 * MINUTE_MS));
    sim_free(sim);
}

static void a_branch_that_stops_coming_is_waited_for_a_minute(void **state)
{
    (void) state;
    struct sim *sim = forked(33, 3000, 5000);
    sim_rate_all(sim, 120000);
    sim_cut(sim, 0, 1, false);
    sim_run(sim, 10 * MINUTE_MS);
    defer(buf_done) struct buf params = {0};
    repair_params(&params, false);
    sim_request_later(sim, 0, 1, CTL_repair, buf_bytes(&params));
    sim_run(sim, 90 * 1000);
    enum err err = ERR_OK;
    assert_false(sim_answered(sim, 0, &err));
    sim_client_lost(sim, 0); /* whoever asks next takes over */
    sim_request_later(sim, 0, 2, CTL_repair, buf_bytes(&params));
    sim_run(sim, 1000);
    assert_false(sim_answered(sim, 0, &err));
    sim_cut_way(sim, 1, 0, true); /* and nothing comes any more */
    sim_run(sim, 3 * MINUTE_MS);
    assert_true(sim_answered(sim, 0, &err));
    assert_true(err == ERR_TIMEOUT || err == ERR_NET);
    assert_true(sim_forked(sim, 0, 0));
    sim_free(sim);
}

/* A guard that is ahead, and a peer that goes in the middle of what it gives back. */
static void what_force_gives_up_is_gone_from_the_disk_in_that_turn(void **state)
{
    (void) state;
    struct sim *sim = sim_new(34);
    unsigned a = sim_lab(sim, "Ti Lab");
    unsigned b = sim_lab(sim, "Région Sud");
    sim_guards(sim, true);
    sim_link(sim, a, b);
    sim_publish(sim, a, "fonds", 5, 200, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    sim_publish(sim, a, "a", 3000, 3000, 1);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    sim_stop(sim, a);
    sim_restore(sim, a);
    sim_rate_all(sim, 100000); /* 9 MB: a minute and a half */
    sim_start(sim, a);
    sim_run(sim, MINUTE_MS);
    assert_true(sim_staged(sim, a, a));
    sim_cut(sim, a, b, true);
    sim_reset(sim, a, b);
    sim_run(sim, 2 * MINUTE_MS);
    assert_true(sim_staged(sim, a, a));
    bool frozen = false;
    assert_err(sim_repair(sim, a, true, &frozen), ERR_OK);
    assert_false(sim_staged(sim, a, a));
    assert_int_equal(sim_guard_n(sim, a), 1);
    assert_true(sim_verify(sim, a));
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_that_takes_long_is_waited_for_while_it_comes),
        cmocka_unit_test(a_branch_that_stops_coming_is_waited_for_a_minute),
        cmocka_unit_test(what_force_gives_up_is_gone_from_the_disk_in_that_turn),
        cmocka_unit_test(an_erasure_that_is_refused_in_the_turn_of_a_freeze_erases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
