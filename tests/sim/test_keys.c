/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_keys.c: keys that change while the lab runs, guards that outlive their stores, and
 * labs that come back from nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "proto/lab.h"
#include "proto/pack.h"
#include "tests/sim/cluster.h"

#define assert_err(got, wanted) assert_string_equal(err_code(got), err_code(wanted))

struct trio {
    struct sim *sim;
    unsigned a, b, c;
};

static struct trio trio_new(uint64_t seed)
{
    struct trio trio = {.sim = sim_new(seed)};
    trio.a = sim_lab(trio.sim, "A");
    trio.b = sim_lab(trio.sim, "B");
    trio.c = sim_lab(trio.sim, "C");
    sim_link(trio.sim, trio.a, trio.b);
    sim_link(trio.sim, trio.b, trio.c);
    return trio;
}

static struct head head_of(struct sim *sim, unsigned lab, unsigned of)
{
    struct head head = {0};
    assert_true(sim_head(sim, lab, of, &head));
    return head;
}

static enum err publish(struct sim *sim, unsigned lab, const char *prefix)
{
    return sim_try_publish(
        sim, lab, &(struct sim_batch){.prefix = prefix, .count = 1, .size = 100, .salt = 1});
}

static bool warned(struct sim *sim, unsigned lab, const char *code)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    pack_map(&params, 0);
    assert_err(sim_request(sim, lab, CTL_status, buf_bytes(&params), &reply), ERR_OK);
    struct ctl_msg msg;
    assert_err(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
    const msgpack_object *warnings = ctl_get(&msg.result, "warnings");
    bool found = false;
    for (uint32_t i = 0; i < warnings->via.array.size; i++) {
        const msgpack_object *text = &warnings->via.array.ptr[i];
        found = found ||
                bytes_equal(bytes_of(text->via.str.ptr, text->via.str.size), bytes_of_str(code));
    }
    ctl_done(&msg);
    return found;
}

/* ---- rotation ---- */

static void new_keys_reach_all_over_links_that_stand(void **state)
{
    (void) state;
    struct trio t = trio_new(1);
    sim_publish(t.sim, t.a, "un", 5, 300, 1);
    assert_true(sim_converge(t.sim, 10000));
    struct head old = head_of(t.sim, t.c, t.a);
    uint64_t wire = sim_wire(t.sim, t.a, t.b);
    assert_err(sim_rotate(t.sim, t.a), ERR_OK);
    assert_true(sim_converge(t.sim, 5000));
    struct head new = head_of(t.sim, t.c, t.a);
    assert_int_equal(new.generation, 2);
    assert_int_equal(new.n, old.n + 1);
    assert_int_equal(new.count, 5);
    assert_memory_equal(&new.root, &old.root, sizeof old.root);
    assert_true(sim_wire(t.sim, t.a, t.b) > wire); /* the very same connection */
    sim_publish(t.sim, t.a, "deux", 3, 300, 1);
    assert_true(sim_converge(t.sim, 5000));
    assert_err(sim_rotate(t.sim, t.a), ERR_OK); /* and once more */
    sim_publish(t.sim, t.a, "trois", 3, 300, 1);
    assert_true(sim_converge(t.sim, 5000));
    assert_int_equal(head_of(t.sim, t.c, t.a).generation, 3);
    for (unsigned lab = t.a; lab <= t.c; lab++) {
        assert_true(sim_verify(t.sim, lab));
    }
    sim_free(t.sim);
}

static void peers_that_were_away_meet_the_new_keys_later(void **state)
{
    (void) state;
    struct trio t = trio_new(2);
    sim_publish(t.sim, t.a, "un", 5, 300, 1);
    assert_true(sim_converge(t.sim, 10000));
    sim_stop(t.sim, t.b);
    assert_err(sim_rotate(t.sim, t.a), ERR_OK);
    sim_publish(t.sim, t.a, "deux", 2, 300, 1);
    sim_start(t.sim, t.b);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    sim_start(t.sim, t.a); /* now with the new keys from its files */
    sim_publish(t.sim, t.a, "trois", 2, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    assert_int_equal(head_of(t.sim, t.c, t.a).generation, 2);
    assert_true(sim_verify(t.sim, t.c));
    sim_free(t.sim);
}

static void a_lab_that_never_published_may_rotate(void **state)
{
    (void) state;
    struct trio t = trio_new(3);
    sim_run(t.sim, 10000);
    assert_err(sim_rotate(t.sim, t.a), ERR_OK);
    struct head head;
    assert_false(sim_head(t.sim, t.a, t.a, &head));
    sim_publish(t.sim, t.a, "un", 1, 100, 1);
    assert_true(sim_converge(t.sim, 10000));
    assert_int_equal(head_of(t.sim, t.c, t.a).n, 1);
    assert_int_equal(head_of(t.sim, t.c, t.a).generation, 2);
    sim_free(t.sim);
}

static void a_record_that_names_an_older_head_is_a_conflict(void **state)
{
    (void) state;
    struct trio t = trio_new(4);
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 0);
    sim_publish(t.sim, t.a, "un", 1, 100, 1);
    sim_stage(t.sim, t.a, 2);
    sim_publish(t.sim, t.a, "deux", 1, 100, 1);
    assert_err(sim_request(t.sim, t.a, CTL_key_rotate, buf_bytes(&params), NULL), ERR_CONFLICT);
    assert_err(sim_request(t.sim, t.a, CTL_key_rotate, buf_bytes(&params), NULL), ERR_CONFLICT);
    sim_stage(t.sim, t.a, 1); /* not newer */
    assert_err(sim_request(t.sim, t.a, CTL_key_rotate, buf_bytes(&params), NULL), ERR_CONFLICT);
    sim_publish(t.sim, t.a, "trois", 1, 100, 1);
    assert_int_equal(head_of(t.sim, t.a, t.a).generation, 1);
    assert_err(sim_rotate(t.sim, t.a), ERR_OK);
    assert_true(sim_verify(t.sim, t.a));
    sim_free(t.sim);
}

static void a_disk_without_room_keeps_the_old_keys(void **state)
{
    (void) state;
    struct trio t = trio_new(5);
    sim_publish(t.sim, t.a, "un", 1, 100, 1);
    assert_true(sim_converge(t.sim, 10000));
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 0);
    sim_stage(t.sim, t.a, 2);
    sim_full(t.sim, t.a, true);
    assert_err(sim_request(t.sim, t.a, CTL_key_rotate, buf_bytes(&params), NULL), ERR_FULL);
    sim_full(t.sim, t.a, false);
    sim_publish(t.sim, t.a, "deux", 1, 100, 1);
    assert_true(sim_converge(t.sim, 60000));
    assert_int_equal(head_of(t.sim, t.c, t.a).generation, 1);
    assert_err(sim_rotate(t.sim, t.a), ERR_OK);
    assert_true(sim_converge(t.sim, 60000));
    assert_int_equal(head_of(t.sim, t.c, t.a).generation, 2);
    sim_free(t.sim);
}

static void a_crash_before_or_after_the_commit_leaves_one_set(void **state)
{
    (void) state;
    static const enum sim_disk disks[] = {SIM_DISK_CRASH, SIM_DISK_CRASH_LATE, SIM_DISK_EIO,
                                          SIM_DISK_EIO_LATE};
    for (unsigned i = 0; i < 4; i++) {
        struct trio t = trio_new(6 + i);
        sim_publish(t.sim, t.a, "un", 2, 100, 1);
        assert_true(sim_converge(t.sim, 10000));
        sim_run(t.sim, 1000); /* cursors are written */
        sim_disk(t.sim, t.a, disks[i]);
        assert_err(sim_rotate(t.sim, t.a), ERR_NO_DAEMON);
        sim_start(t.sim, t.a);
        sim_publish(t.sim, t.a, "deux", 2, 100, 1);
        assert_true(sim_converge(t.sim, 60000));
        assert_int_equal(head_of(t.sim, t.c, t.a).generation, i % 2 == 0 ? 1 : 2);
        assert_true(sim_verify(t.sim, t.a) && sim_verify(t.sim, t.c));
        sim_free(t.sim);
    }
}

/* ---- a stolen signing key ---- */

static void forge(struct sim *sim, unsigned puppet, unsigned lab, uint64_t n, uint64_t arrival)
{
    defer(buf_done) struct buf signed_head = {0};
    defer(buf_done) struct buf raw = {0};
    struct head head = head_of(sim, lab, lab);
    head.n = n;
    head.issued_at++;
    assert_err(head_sign(&head, sim_signing(sim, lab), &signed_head), ERR_OK);
    list_put_head(&raw, arrival, buf_bytes(&signed_head));
    struct msg msg = {.type = MSG_HEADS,
                      .heads = {.upto = arrival, .heads = {.raw = buf_bytes(&raw), .count = 1}}};
    puppet_say(sim, puppet, &msg);
}

static void new_keys_end_what_a_thief_does_with_the_old_ones(void **state)
{
    (void) state;
    struct trio t = trio_new(10);
    sim_publish(t.sim, t.a, "un", 3, 100, 1);
    assert_true(sim_converge(t.sim, 10000));
    unsigned thief = sim_puppet(t.sim, "Voleur");
    sim_apart(t.sim, thief, true);
    sim_peer(t.sim, t.a, thief, false);
    assert_true(puppet_dial(t.sim, thief, t.a));
    forge(t.sim, thief, t.a, UINT64_MAX / 2, 100);
    sim_run(t.sim, 1000);
    assert_true(warned(t.sim, t.a, "own-head-unknown"));
    assert_err(publish(t.sim, t.a, "gel"), ERR_FROZEN);
    forge(t.sim, thief, t.a, 2, 101); /* another head 2: a fork */
    assert_err(sim_rotate(t.sim, t.a), ERR_OK);
    assert_false(warned(t.sim, t.a, "own-head-unknown"));
    assert_false(warned(t.sim, t.a, "own-fork"));
    assert_err(publish(t.sim, t.a, "degel"), ERR_OK);
    assert_true(sim_converge(t.sim, 60000));
    assert_int_equal(head_of(t.sim, t.c, t.a).generation, 2);
    sim_crash(t.sim, t.a);
    sim_start(t.sim, t.a);
    sim_run(t.sim, 60000);
    assert_err(publish(t.sim, t.a, "encore"), ERR_OK);
    assert_true(sim_converge(t.sim, 60000));
    assert_true(sim_verify(t.sim, t.a) && sim_verify(t.sim, t.c));
    sim_free(t.sim);
}

static void newer_keys_from_elsewhere_stop_the_older_ones(void **state)
{
    (void) state;
    struct trio t = trio_new(11);
    sim_publish(t.sim, t.a, "un", 1, 100, 1);
    assert_true(sim_converge(t.sim, 10000));
    unsigned puppet = sim_puppet(t.sim, "Ailleurs");
    sim_apart(t.sim, puppet, true);
    sim_peer(t.sim, t.a, puppet, false);
    assert_true(puppet_dial(t.sim, puppet, t.a));
    struct bytes record = sim_next_record(t.sim, t.a, 2);
    defer(buf_done) struct buf raw = {0};
    list_put(&raw, record);
    struct msg msg = {.type = MSG_RECORDS, .records = {.raw = buf_bytes(&raw), .count = 1}};
    puppet_say(t.sim, puppet, &msg);
    sim_run(t.sim, 1000);
    assert_true(warned(t.sim, t.a, "own-replaced"));
    assert_err(publish(t.sim, t.a, "gel"), ERR_FROZEN);
    assert_err(sim_rotate(t.sim, t.a), ERR_FROZEN);
    sim_free(t.sim);
}

/* ---- the guard ---- */

static void a_store_that_went_back_signs_nothing_before_it_is_whole_again(void **state)
{
    (void) state;
    struct trio t = trio_new(20);
    sim_guards(t.sim, true);
    sim_publish(t.sim, t.a, "un", 2, 300, 1);
    assert_true(sim_converge(t.sim, 10000));
    sim_stop(t.sim, t.a);
    sim_backup(t.sim, t.a);
    sim_start(t.sim, t.a);
    sim_publish(t.sim, t.a, "deux", 2, 300, 1);
    sim_publish(t.sim, t.a, "trois", 2, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    assert_int_equal(sim_guard_n(t.sim, t.a), 3);
    sim_stop(t.sim, t.a);
    sim_stop(t.sim, t.b);
    sim_restore(t.sim, t.a);
    sim_start(t.sim, t.a); /* alone: nobody can tell it */
    assert_true(warned(t.sim, t.a, "own-guard"));
    assert_false(warned(t.sim, t.a, "own-head-unknown"));
    assert_err(publish(t.sim, t.a, "gel"), ERR_FROZEN);
    assert_err(sim_rotate(t.sim, t.a), ERR_FROZEN);
    assert_int_equal(sim_guard_n(t.sim, t.a), 3);
    sim_crash(t.sim, t.a);
    sim_start(t.sim, t.a);
    assert_true(warned(t.sim, t.a, "own-guard"));
    sim_start(t.sim, t.b);
    sim_run(t.sim, 60000);
    assert_false(warned(t.sim, t.a, "own-guard"));
    assert_true(sim_has(t.sim, t.a, t.a, "trois-1"));
    assert_err(publish(t.sim, t.a, "quatre"), ERR_OK);
    assert_int_equal(sim_guard_n(t.sim, t.a), 4);
    assert_true(sim_converge(t.sim, 60000));
    assert_true(sim_verify(t.sim, t.a) && sim_verify(t.sim, t.c));
    sim_free(t.sim);
}

static void publish_some(struct sim *sim, unsigned lab, const char *prefix, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char slug[32];
        (void) snprintf(slug, sizeof slug, "%s%u", prefix, i);
        sim_publish(sim, lab, slug, 1, 100, i);
    }
}

/* One life: a copy of some age is put back, beside the guard. The peer may lack the last heads. */
static void copy_of_some_age(uint64_t seed, unsigned before, unsigned after, unsigned unseen)
{
    struct sim *sim = sim_new(seed);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_guards(sim, true);
    sim_link(sim, a, b);
    publish_some(sim, a, "avant", before);
    assert_true(sim_converge(sim, 60000));
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    publish_some(sim, a, "apres", after);
    assert_true(sim_converge(sim, 60000));
    sim_cut(sim, a, b, true);
    publish_some(sim, a, "jamais", unseen);
    sim_stop(sim, a);
    sim_restore(sim, a);
    sim_cut(sim, a, b, false);
    sim_start(sim, a);
    bool back = after + unseen > 0;
    assert_true(warned(sim, a, "own-guard") == back);
    sim_run(sim, 600000);
    enum err err = publish(sim, a, "suite");
    assert_err(err, unseen > 0 ? ERR_FROZEN : ERR_OK); /* nobody can give those back */
    assert_true(sim_converge(sim, 60000));
    assert_false(sim_forked(sim, a, a) || sim_forked(sim, b, a));
    assert_int_equal(head_of(sim, b, a).count, before + after + (unseen > 0 ? 0 : 1));
    assert_true(sim_verify(sim, a) && sim_verify(sim, b));
    sim_free(sim);
}

static void a_copy_of_any_age_makes_no_fork_where_the_guard_survived(void **state)
{
    (void) state;
    unsigned lives = getenv("ESSAIM_LONG") != NULL ? 1000 : 200;
    for (unsigned i = 0; i < lives; i++) {
        unsigned dice = (i + 1) * 2654435761u;
        copy_of_some_age(400 + i, 1 + (dice >> 4) % 7, (dice >> 10) % 9,
                         (dice >> 16) % 4 == 0 ? (dice >> 20) % 4 : 0);
    }
}

static void a_lost_store_comes_back_from_the_peers_by_its_guard(void **state)
{
    (void) state;
    struct trio t = trio_new(21);
    sim_guards(t.sim, true);
    sim_publish(t.sim, t.a, "un", 2, 300, 1);
    sim_publish(t.sim, t.a, "deux", 2, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    sim_store_lost(t.sim, t.a);
    sim_start(t.sim, t.a);
    assert_true(warned(t.sim, t.a, "own-guard"));
    assert_err(publish(t.sim, t.a, "gel"), ERR_FROZEN);
    sim_peer(t.sim, t.a, t.b, true); /* its peers went with the store */
    sim_run(t.sim, 60000);
    assert_false(warned(t.sim, t.a, "own-guard"));
    assert_true(sim_has(t.sim, t.a, t.a, "un-1"));
    assert_err(publish(t.sim, t.a, "trois"), ERR_OK);
    assert_int_equal(sim_guard_n(t.sim, t.a), 3);
    assert_true(sim_converge(t.sim, 60000));
    sim_free(t.sim);
}

static void a_guard_of_unknown_number_waits_for_one_peer_with_nothing_more(void **state)
{
    (void) state;
    struct trio t = trio_new(22);
    sim_guards(t.sim, true);
    sim_publish(t.sim, t.a, "un", 2, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    sim_stop(t.sim, t.b);
    sim_guard(t.sim, t.a, GUARD_N_UNKNOWN);
    sim_start(t.sim, t.a);
    sim_run(t.sim, 3600000);
    assert_true(warned(t.sim, t.a, "own-guard"));
    assert_err(publish(t.sim, t.a, "gel"), ERR_FROZEN);
    sim_start(t.sim, t.b);
    for (unsigned i = 0; i < 1200 && !sim_linked(t.sim, t.a, t.b); i++) {
        sim_run(t.sim, 1000);
    }
    sim_run(t.sim, 5000);
    assert_true(warned(t.sim, t.a, "own-guard"));
    sim_run(t.sim, 10000);
    assert_false(warned(t.sim, t.a, "own-guard"));
    assert_int_equal(sim_guard_n(t.sim, t.a), 1);
    assert_err(publish(t.sim, t.a, "deux"), ERR_OK);
    assert_true(sim_converge(t.sim, 60000));
    sim_free(t.sim);
}

static void the_guard_follows_every_head_and_a_lost_one_is_made_anew(void **state)
{
    (void) state;
    struct sim *sim = sim_new(23);
    unsigned a = sim_lab(sim, "A");
    assert_int_equal(sim_guard_n(sim, a), 0);
    for (uint64_t n = 1; n < 5; n++) {
        sim_publish(sim, a, n == 3 ? "beaucoup" : "un", n == 3 ? 3000 : 1, 100, (unsigned) n);
        assert_int_equal(sim_guard_n(sim, a), n);
    }
    sim_guards(sim, true);
    sim_crash(sim, a);
    sim_guard(sim, a, 0); /* the power took the last lines back */
    sim_start(sim, a);
    sim_run(sim, 10);
    assert_int_equal(sim_guard_n(sim, a), 4);
    assert_err(publish(sim, a, "deux"), ERR_OK);
    sim_free(sim);
}

/* ---- recovery ---- */

static void finish(struct sim *sim, unsigned lab)
{
    for (unsigned i = 0; i < 5; i++) {
        enum err err = sim_rotate(sim, lab);
        if (err != ERR_CONFLICT) {
            assert_err(err, ERR_OK);
            return;
        }
    }
    fail();
}

static void a_lab_comes_back_from_its_root_key_and_a_peer(void **state)
{
    (void) state;
    struct trio t = trio_new(30);
    sim_publish(t.sim, t.a, "un", 200, 300, 1);
    sim_publish(t.sim, t.c, "autre", 50, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    sim_recover(t.sim, t.a);
    assert_true(warned(t.sim, t.a, "recovering"));
    assert_err(publish(t.sim, t.a, "gel"), ERR_FROZEN);
    sim_peer(t.sim, t.a, t.b, true);
    sim_run(t.sim, 30000);
    assert_true(sim_has(t.sim, t.a, t.a, "un-199"));
    assert_true(sim_has(t.sim, t.a, t.c, "autre-49"));
    assert_err(publish(t.sim, t.a, "gel"), ERR_FROZEN);
    finish(t.sim, t.a);
    assert_err(publish(t.sim, t.a, "deux"), ERR_OK);
    assert_true(sim_converge(t.sim, 60000));
    struct head head = head_of(t.sim, t.c, t.a);
    assert_int_equal(head.generation, 2);
    assert_int_equal(head.n, 3);
    assert_int_equal(head.count, 201);
    sim_stop(t.sim, t.a);
    sim_start(t.sim, t.a); /* an ordinary lab from now on */
    sim_publish(t.sim, t.a, "trois", 2, 300, 1);
    sim_publish(t.sim, t.c, "encore", 2, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    for (unsigned lab = t.a; lab <= t.c; lab++) {
        assert_true(sim_verify(t.sim, lab));
    }
    sim_free(t.sim);
}

static void a_peer_that_could_not_read_once_is_asked_again_on_the_same_link(void **state)
{
    (void) state;
    struct sim *sim = sim_new(36);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, a, b);
    sim_publish(sim, a, "un", 20, 300, 1);
    assert_true(sim_converge(sim, 60000));
    sim_stop(sim, a);
    sim_rot(sim, b, a, "un-7");
    sim_recover(sim, a);
    sim_peer(sim, a, b, true);
    sim_run(sim, 5000);
    assert_true(sim_linked(sim, a, b));
    assert_false(sim_has(sim, a, a, "un-7"));
    uint64_t asked = sim_said(sim, a, MSG_WANT);
    sim_run(sim, 4 * 3600000);
    assert_false(sim_has(sim, a, a, "un-7"));
    asked = sim_said(sim, a, MSG_WANT) - asked;
    assert_in_range(asked, 20, 100); /* never given up, nor asked all the time */
    sim_rot(sim, b, a, "un-7");      /* the bit flips back */
    sim_run(sim, 11 * 60000);
    assert_true(sim_has(sim, a, a, "un-7"));
    finish(sim, a);
    assert_true(sim_converge(sim, 60000));
    sim_free(sim);
}

static void recovery_goes_on_after_crashes_of_either_side(void **state)
{
    (void) state;
    struct trio t = trio_new(31);
    sim_publish(t.sim, t.a, "un", 5000, 600, 1);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    sim_recover(t.sim, t.a);
    sim_peer(t.sim, t.a, t.b, true);
    for (unsigned i = 0; i < 4; i++) {
        sim_run(t.sim, 60);
        unsigned victim = i % 2 == 0 ? t.a : t.b;
        sim_crash(t.sim, victim);
        sim_start(t.sim, victim);
        assert_true(warned(t.sim, t.a, "recovering"));
    }
    sim_run(t.sim, 120000);
    finish(t.sim, t.a);
    assert_true(sim_converge(t.sim, 60000));
    assert_int_equal(head_of(t.sim, t.c, t.a).count, 5000);
    sim_free(t.sim);
}

static void a_stolen_server_that_is_still_linked_does_not_push_it_out(void **state)
{
    (void) state;
    struct trio t = trio_new(32);
    sim_publish(t.sim, t.a, "un", 20, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    unsigned stolen = sim_twin(t.sim, t.a); /* the same lab and keys, played by the test */
    sim_apart(t.sim, stolen, true);
    assert_true(puppet_dial(t.sim, stolen, t.b));
    sim_recover(t.sim, t.a);
    sim_peer(t.sim, t.a, t.b, true);
    sim_run(t.sim, 30000);
    assert_true(puppet_linked(t.sim, stolen));
    assert_true(sim_linked(t.sim, t.a, t.b));
    assert_true(sim_has(t.sim, t.a, t.a, "un-19"));
    finish(t.sim, t.a);
    sim_run(t.sim, 60000);
    assert_err(publish(t.sim, t.a, "deux"), ERR_OK);
    sim_run(t.sim, 60000);
    assert_true(sim_has(t.sim, t.c, t.a, "deux-0"));
    puppet_close(t.sim, stolen);
    assert_false(puppet_dial(t.sim, stolen, t.b)); /* its keys are over */
    sim_free(t.sim);
}

static void a_peer_that_does_not_know_the_lab_says_nothing_to_it(void **state)
{
    (void) state;
    struct trio t = trio_new(33);
    sim_publish(t.sim, t.a, "un", 2, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    sim_recover(t.sim, t.a);
    sim_peer(t.sim, t.a, t.c, true); /* C never heard of A as a peer */
    sim_run(t.sim, 30000);
    assert_false(sim_has(t.sim, t.a, t.a, "un-1"));
    struct head head;
    assert_false(sim_head(t.sim, t.a, t.a, &head));
    sim_peer(t.sim, t.c, t.a, false);
    sim_run(t.sim, 60000);
    assert_true(sim_has(t.sim, t.a, t.a, "un-1"));
    sim_free(t.sim);
}

static void only_a_known_lab_with_the_key_it_states_is_let_in_to_read(void **state)
{
    (void) state;
    struct trio t = trio_new(35);
    sim_publish(t.sim, t.a, "un", 2, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    unsigned reader = sim_reader(t.sim, t.a, true);
    unsigned liar = sim_reader(t.sim, t.a, false);
    struct msg msg;
    assert_true(puppet_dial(t.sim, reader, t.b));
    assert_true(puppet_await(t.sim, reader, MSG_HEADS, 5000, &msg));
    assert_false(puppet_dial(t.sim, liar, t.b));
    assert_false(puppet_dial(t.sim, reader, t.c)); /* C never heard of A as a peer */
    sim_unpeer(t.sim, t.b, t.a);
    assert_false(puppet_dial(t.sim, reader, t.b));
    sim_free(t.sim);
}

static void nothing_is_taken_from_a_lab_that_reads(void **state)
{
    (void) state;
    struct trio t = trio_new(36);
    sim_publish(t.sim, t.a, "un", 2, 300, 1);
    assert_true(sim_converge(t.sim, 60000));
    sim_stop(t.sim, t.a);
    unsigned reader = sim_reader(t.sim, t.a, true);
    assert_true(puppet_dial(t.sim, reader, t.b));
    defer(buf_done) struct buf records = {0};
    list_put(&records, sim_next_record(t.sim, t.c, 7)); /* as good as any other */
    struct msg record = {.type = MSG_RECORDS, .records = {.raw = buf_bytes(&records), .count = 1}};
    puppet_say(t.sim, reader, &record);
    defer(buf_done) struct buf heads = {0};
    defer(buf_done) struct buf signed_head = {0};
    struct head head = head_of(t.sim, t.b, t.a);
    head.n++;
    assert_err(head_sign(&head, sim_signing(t.sim, t.a), &signed_head), ERR_OK);
    list_put_head(&heads, 1, buf_bytes(&signed_head));
    struct msg said = {.type = MSG_HEADS,
                       .heads = {.upto = 1, .heads = {.raw = buf_bytes(&heads), .count = 1}}};
    puppet_say(t.sim, reader, &said);
    struct msg heard;
    assert_false(puppet_await(t.sim, reader, MSG_WANT, 30000, &heard));
    assert_true(puppet_linked(t.sim, reader)); /* it is no crime either */
    assert_int_equal(sim_generation(t.sim, t.b, t.c), 1);
    sim_free(t.sim);
}

static void a_lab_that_nobody_knows_begins_anew_at_generation_1(void **state)
{
    (void) state;
    struct sim *sim = sim_new(34);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_publish(sim, a, "un", 2, 300, 1);
    sim_peer(sim, b, a, false);
    sim_stop(sim, a);
    sim_recover(sim, a);
    sim_peer(sim, a, b, true);
    sim_run(sim, 10000);
    assert_err(sim_rotate(sim, a), ERR_OK);
    assert_err(publish(sim, a, "deux"), ERR_OK);
    assert_true(sim_converge(sim, 60000));
    struct head head = head_of(sim, b, a);
    assert_int_equal(head.generation, 1);
    assert_int_equal(head.n, 1);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_keys_reach_all_over_links_that_stand),
        cmocka_unit_test(peers_that_were_away_meet_the_new_keys_later),
        cmocka_unit_test(a_lab_that_never_published_may_rotate),
        cmocka_unit_test(a_record_that_names_an_older_head_is_a_conflict),
        cmocka_unit_test(a_disk_without_room_keeps_the_old_keys),
        cmocka_unit_test(a_crash_before_or_after_the_commit_leaves_one_set),
        cmocka_unit_test(new_keys_end_what_a_thief_does_with_the_old_ones),
        cmocka_unit_test(newer_keys_from_elsewhere_stop_the_older_ones),
        cmocka_unit_test(a_store_that_went_back_signs_nothing_before_it_is_whole_again),
        cmocka_unit_test(a_copy_of_any_age_makes_no_fork_where_the_guard_survived),
        cmocka_unit_test(a_lost_store_comes_back_from_the_peers_by_its_guard),
        cmocka_unit_test(a_guard_of_unknown_number_waits_for_one_peer_with_nothing_more),
        cmocka_unit_test(the_guard_follows_every_head_and_a_lost_one_is_made_anew),
        cmocka_unit_test(a_lab_comes_back_from_its_root_key_and_a_peer),
        cmocka_unit_test(a_peer_that_could_not_read_once_is_asked_again_on_the_same_link),
        cmocka_unit_test(recovery_goes_on_after_crashes_of_either_side),
        cmocka_unit_test(a_stolen_server_that_is_still_linked_does_not_push_it_out),
        cmocka_unit_test(a_peer_that_does_not_know_the_lab_says_nothing_to_it),
        cmocka_unit_test(only_a_known_lab_with_the_key_it_states_is_let_in_to_read),
        cmocka_unit_test(nothing_is_taken_from_a_lab_that_reads),
        cmocka_unit_test(a_lab_that_nobody_knows_begins_anew_at_generation_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
