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
    sim_request_later(sim, a, CTL_withdraw, buf_bytes(&params));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_erasure_that_is_refused_in_the_turn_of_a_freeze_erases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
