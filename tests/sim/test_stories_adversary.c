/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_adversary.c: what an adversary thought of: bad moments to lose a server,
 * numbers at their ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/defer.h"
#include "proto/fork.h"
#include "store/txn.h"
#include "tests/sim/press.h"
#include "tests/sim/state.h"

#define MINUTE_MS 60000u
#define assert_err(got, wanted) assert_string_equal(err_code(got), err_code(wanted))

static struct head head_of(struct sim *sim, unsigned lab, unsigned of)
{
    struct head head = {0};
    assert_true(sim_head(sim, lab, of, &head));
    return head;
}

static void finish(struct sim *sim, unsigned lab)
{
    enum err err = ERR_CONFLICT;
    for (unsigned i = 0; err == ERR_CONFLICT && i < 5; i++) {
        err = sim_rotate(sim, lab);
    }
    assert_err(err, ERR_OK);
}

/* The new record was on its way before what it names: who holds it holds no head that counts. */
static void a_server_lost_right_after_a_rotation_takes_nothing_along(void **state)
{
    (void) state;
    struct sim *sim = sim_new(1);
    unsigned a = sim_lab(sim, "A"), b = sim_lab(sim, "B");
    sim_link(sim, a, b);
    sim_publish(sim, a, "fonds", 20, 200, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_rate(sim, a, b, 20000);
    sim_publish(sim, a, "gros", 1500, 2000, 1);
    sim_run(sim, 1000);
    assert_err(sim_rotate(sim, a), ERR_OK);
    for (unsigned i = 0; i < 600 && sim_generation(sim, b, a) < 2; i++) {
        sim_run(sim, 500);
    }
    assert_int_equal(sim_generation(sim, b, a), 2);
    assert_int_equal(head_of(sim, b, a).n, 1);
    sim_crash(sim, a);
    sim_rate(sim, a, b, 0);
    sim_store_lost(sim, a);
    sim_run(sim, MINUTE_MS);
    sim_recover(sim, a);
    sim_peer(sim, a, b, true);
    sim_run(sim, 2 * MINUTE_MS);
    finish(sim, a);
    sim_publish(sim, a, "neuf", 1, 100, 1);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    assert_true(sim_has(sim, b, a, "fonds-0"));
    assert_true(sim_has(sim, a, a, "fonds-0"));
    sim_free(sim);
}

static enum err publish(struct sim *sim, unsigned lab, const char *prefix)
{
    return sim_try_publish(
        sim, lab, &(struct sim_batch){.prefix = prefix, .count = 1, .size = 100, .salt = 1});
}

/* A head of `of`, signed by whoever has its key. */
static void forge(struct sim *sim, unsigned of, uint64_t n, uint8_t salt, struct buf *into)
{
    struct head head = {.lab = *sim_id(sim, of), .generation = 1, .n = n};
    memcpy(head.audience, "public", 7);
    memset(head.history.bytes, salt, HASH_SIZE);
    struct digests digests;
    digests_init(&digests);
    head.root = digests_root(&digests);
    assert_err(head_sign(&head, sim_signing(sim, of), into), ERR_OK);
}

static void say_head(struct sim *sim, unsigned puppet, uint64_t arrival, struct bytes head)
{
    defer(buf_done) struct buf raw = {0};
    list_put_head(&raw, arrival, head);
    puppet_say(
        sim, puppet,
        &(struct msg){.type = MSG_HEADS,
                      .heads = {.upto = arrival, .heads = {.raw = buf_bytes(&raw), .count = 1}}});
}

/* The thief offers heads of the number `n` to `to`, and a proof that there are two. */
static void numbers_told(struct sim *sim, unsigned thief, unsigned of, unsigned to, uint64_t n)
{
    defer(buf_done) struct buf one = {0};
    defer(buf_done) struct buf two = {0};
    defer(buf_done) struct buf proof = {0};
    struct msg want;
    forge(sim, of, n, 1, &one);
    forge(sim, of, n, 2, &two);
    struct fork_branch x = {.head = buf_bytes(&one)}, y = {.head = buf_bytes(&two)};
    memset(x.history.bytes, 1, HASH_SIZE);
    memset(y.history.bytes, 2, HASH_SIZE);
    assert_err(fork_encode(sim_record(sim, of), n, &x, &y, &proof), ERR_OK);
    assert_true(puppet_dial(sim, thief, to));
    say_head(sim, thief, 5, buf_bytes(&one));
    say_head(sim, thief, 6, buf_bytes(&two));
    if (puppet_await(sim, thief, MSG_WANT, 20000, &want)) {
        puppet_say(
            sim, thief,
            &(struct msg){.type = MSG_DELTA_END,
                          .delta_end = {.stream = want.want.stream, .head = buf_bytes(&two)}});
    }
    sim_run(sim, 20000);
    puppet_close(sim, thief);
    assert_true(puppet_dial(sim, thief, to));
    puppet_say(
        sim, thief,
        &(struct msg){
            .type = MSG_PROOF,
            .proof = {.lab = *sim_id(sim, of), .size = proof.size, .part = buf_bytes(&proof)}});
    sim_run(sim, 20000);
    puppet_close(sim, thief);
}

static void a_thiefs_highest_numbers_are_void_after_a_rotation(void **state)
{
    (void) state;
    static const uint64_t ends[] = {1ull << 63, UINT64_MAX - 1, UINT64_MAX};
    for (unsigned i = 0; i < 3; i++) {
        struct sim *sim = sim_new(20 + i);
        unsigned a = sim_lab(sim, "A"), b = sim_lab(sim, "B"), c = sim_lab(sim, "C");
        unsigned thief = sim_puppet(sim, "thief");
        sim_link(sim, a, b);
        sim_link(sim, b, c);
        sim_peer(sim, b, thief, false);
        sim_peer(sim, a, thief, false);
        sim_publish(sim, a, "fonds", 20, 200, 1);
        assert_true(sim_converge(sim, MINUTE_MS));
        numbers_told(sim, thief, a, a, ends[i]);
        numbers_told(sim, thief, a, b, ends[i]);
        bool frozen = false;
        assert_err(publish(sim, a, "x"), ERR_FROZEN);
        assert_true(sim_forked(sim, a, a) && sim_forked(sim, b, a) && sim_forked(sim, c, a));
        assert_err(sim_repair(sim, a, false, &frozen), ERR_OK);
        assert_true(frozen);
        finish(sim, a);
        sim_publish(sim, a, "neuf", 1, 100, 1);
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        for (unsigned lab = 0; lab < 3; lab++) {
            assert_true(sim_has(sim, lab, a, "neuf-0"));
            assert_false(sim_forked(sim, lab, a));
            assert_true(sim_verify(sim, lab));
        }
        sim_stop(sim, a);
        sim_start(sim, a);
        assert_err(publish(sim, a, "encore"), ERR_OK);
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        sim_free(sim);
    }
}

static void publish_many(struct sim *sim, unsigned lab, const char *prefix, unsigned heads)
{
    for (unsigned i = 0; i < heads; i++) {
        char slug[24];
        (void) snprintf(slug, sizeof slug, "%s%u", prefix, i);
        assert_err(publish(sim, lab, slug), ERR_OK);
    }
}

/* Away during a fork, its merge and a rotation. */
static void who_was_away_for_fork_merge_and_rotation_comes_to_the_same(void **state)
{
    (void) state;
    struct sim *sim = sim_new(40);
    unsigned a = sim_lab(sim, "A"), b = sim_lab(sim, "B"), c = sim_lab(sim, "C"),
             d = sim_lab(sim, "D"), e = sim_lab(sim, "E");
    for (unsigned i = 1; i < 5; i++) {
        sim_link(sim, i / 2, i); /* a-b, b-c, b-d, c-e */
    }
    sim_link(sim, a, c);
    sim_publish(sim, a, "fonds", 20, 200, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, d); /* holds head 1 */
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    publish_many(sim, a, "a", 300);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    sim_stop(sim, e); /* holds branch a */
    sim_stop(sim, a);
    sim_cut(sim, a, b, true);
    sim_cut(sim, a, c, true);
    sim_restore(sim, a);
    sim_start(sim, a);
    assert_err(publish(sim, a, "b"), ERR_OK);
    sim_withdraw(sim, a, "fonds-3");
    sim_cut(sim, a, b, false);
    sim_cut(sim, a, c, false);
    sim_run(sim, 15 * MINUTE_MS);
    assert_true(sim_forked(sim, a, a) && sim_forked(sim, b, a) && sim_forked(sim, c, a));
    unsigned f = sim_lab(sim, "F");
    sim_link(sim, b, f);
    sim_run(sim, MINUTE_MS);
    bool frozen = true;
    assert_err(sim_repair(sim, a, false, &frozen), ERR_OK);
    assert_false(frozen);
    sim_publish(sim, a, "apres", 2, 100, 1);
    sim_run(sim, MINUTE_MS);
    finish(sim, a);
    sim_publish(sim, a, "neuf", 2, 100, 1);
    sim_start(sim, d);
    sim_start(sim, e);
    assert_true(sim_converge(sim, 15 * MINUTE_MS));
    for (unsigned lab = 0; lab <= f; lab++) {
        assert_true(sim_has(sim, lab, a, "neuf-0"));
        assert_true(sim_has(sim, lab, a, "a299-0"));
        assert_true(sim_has(sim, lab, a, "b-0"));
        assert_false(sim_has(sim, lab, a, "fonds-3"));
        assert_false(sim_forked(sim, lab, a));
        assert_true(sim_verify(sim, lab));
    }
    sim_free(sim);
}

/* The same old copy put back twice, with and without what was merged in between on the longer
 * branch; somebody was away with each of the branches. */
static void put_back_again(unsigned seed, const unsigned *heads, unsigned rounds)
{
    struct sim *sim = sim_new(seed);
    unsigned a = sim_lab(sim, "A"), b = sim_lab(sim, "B"), away[4];
    sim_link(sim, a, b);
    sim_run(sim, 5000);
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    publish_many(sim, a, "x", 3);
    assert_true(sim_converge(sim, MINUTE_MS));
    for (unsigned round = 0; round < rounds; round++) {
        char prefix[8];
        (void) snprintf(prefix, sizeof prefix, "y%u", round);
        away[round] = sim_lab(sim, "Loin");
        sim_link(sim, away[round], a);
        sim_stop(sim, a);
        sim_cut(sim, a, b, true);
        sim_restore(sim, a);
        sim_start(sim, a);
        sim_peer(sim, a, away[round], true);
        publish_many(sim, a, prefix, heads[round]);
        sim_run(sim, MINUTE_MS);
        sim_stop(sim, away[round]); /* it holds this branch */
        sim_cut(sim, a, b, false);
        sim_run(sim, 15 * MINUTE_MS);
        bool frozen = true;
        assert_err(sim_repair(sim, a, false, &frozen), ERR_OK);
        assert_false(frozen);
        assert_true(sim_converge(sim, 15 * MINUTE_MS));
    }
    for (unsigned round = 0; round < rounds; round++) {
        sim_start(sim, away[round]);
        sim_peer(sim, a, away[round], true);
    }
    sim_publish(sim, a, "fin", 1, 100, 1);
    assert_true(sim_converge(sim, 15 * MINUTE_MS));
    for (unsigned lab = a; lab <= away[rounds - 1]; lab++) {
        assert_true(sim_has(sim, lab, a, "x2-0") && sim_has(sim, lab, a, "fin-0"));
        for (unsigned round = 0; round < rounds; round++) {
            char slug[24];
            (void) snprintf(slug, sizeof slug, "y%u%u-0", round, heads[round] - 1);
            assert_true(sim_has(sim, lab, a, slug));
        }
        assert_false(sim_forked(sim, lab, a));
        assert_true(sim_verify(sim, lab));
    }
    sim_free(sim);
}

static void one_copy_put_back_again_and_again_is_merged_each_time(void **state)
{
    (void) state;
    static const unsigned longer[] = {4, 13, 30}, shorter[] = {2, 1, 1}, mixed[] = {1, 9, 2, 25};
    put_back_again(60, longer, 3);
    put_back_again(61, shorter, 3);
    put_back_again(62, mixed, 4);
}

/* A lab is lost while it was forked: each of two peers holds another branch. */
static void a_repair_without_keys_is_refused(void **state)
{
    (void) state;
    struct sim *sim = sim_new(70);
    unsigned a = sim_lab(sim, "A"), b = sim_lab(sim, "B"), c = sim_lab(sim, "C");
    sim_link(sim, a, b);
    sim_link(sim, a, c);
    sim_publish(sim, a, "fonds", 5, 100, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, a);
    sim_backup(sim, a);
    sim_start(sim, a);
    sim_cut(sim, a, c, true);
    publish_many(sim, a, "x", 2);
    sim_run(sim, MINUTE_MS);
    sim_stop(sim, a);
    sim_restore(sim, a);
    sim_cut(sim, a, b, true);
    sim_cut(sim, a, c, false);
    sim_start(sim, a);
    publish_many(sim, a, "y", 3);
    sim_run(sim, MINUTE_MS);
    sim_stop(sim, a);
    sim_cut(sim, a, b, false);
    sim_recover(sim, a);
    sim_peer(sim, a, b, true);
    sim_peer(sim, a, c, true);
    sim_run(sim, MINUTE_MS);
    bool frozen = false;
    assert_err(sim_repair(sim, a, false, &frozen), ERR_FROZEN); /* it has no keys to sign with */
    finish(sim, a);
    sim_run(sim, MINUTE_MS);
    assert_err(sim_repair(sim, a, false, &frozen), ERR_OK);
    assert_false(frozen);
    sim_publish(sim, a, "fin", 1, 100, 1);
    assert_true(sim_converge(sim, 15 * MINUTE_MS));
    for (unsigned lab = a; lab <= c; lab++) {
        assert_false(sim_forked(sim, lab, a));
        assert_true(sim_has(sim, lab, a, "fonds-4") && sim_has(sim, lab, a, "fin-0"));
        assert_true(sim_verify(sim, lab));
    }
    sim_free(sim);
}

static uint64_t hints_of(struct sim *sim, unsigned lab)
{
    struct txn *txn = NULL;
    uint64_t count = 0;
    assert_int_equal(txn_begin_read(sim->labs[lab]->store, &txn), ERR_OK);
    assert_int_equal(txn_rows(txn, TABLE_GONE, &count), ERR_OK);
    txn_end(txn);
    return count;
}

/* A relay adds names of what never was to what another lab withdrew. */
static void hints_of_nothing_are_not_kept(void **state)
{
    (void) state;
    struct sim *sim = sim_new(30);
    unsigned a = sim_lab(sim, "A"), b = sim_lab(sim, "B");
    sim_link(sim, a, b);
    unsigned relay = sim_puppet(sim, "relay");
    unsigned owner = sim_puppet(sim, "owner");
    sim_peer(sim, a, relay, false);
    struct press press;
    press_init(&press, sim, owner);
    press_put(&press, "un", 1, 100);
    press_sign(&press);
    assert_true(puppet_dial(sim, relay, a));
    press_say_record(sim, relay, owner);
    for (uint64_t n = 1; n <= 5; n++) {
        press_offer(&press, relay, n, n);
        struct msg want;
        assert_true(puppet_await(sim, relay, MSG_WANT, 20000, &want));
        uint64_t stream = want.want.stream;
        defer(press_delta_done) struct press_delta delta = {0};
        press_delta(&press, &want, n, &delta);
        press_say_delta(sim, relay, stream, &delta);
        for (unsigned i = 0; i < 25; i++) {
            uint8_t hints[16 * 4000];
            for (size_t at = 0; at < sizeof hints; at++) {
                hints[at] = (uint8_t) sim_roll(sim);
            }
            puppet_say(
                sim, relay,
                &(struct msg){.type = MSG_DELTA,
                              .delta = {.stream = stream, .withdrawn = BYTES_OF_ARRAY(hints)}});
        }
        press_say_end(&press, relay, stream, n);
        sim_run(sim, 5000);
        press_put(&press, "un", (unsigned) n + 1, 100);
        press_sign(&press);
    }
    assert_true(sim_has(sim, b, owner, "un"));
    assert_int_equal(hints_of(sim, a) + hints_of(sim, b), 0);
    press_done(&press);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thiefs_highest_numbers_are_void_after_a_rotation),
        cmocka_unit_test(one_copy_put_back_again_and_again_is_merged_each_time),
        cmocka_unit_test(a_repair_without_keys_is_refused),
        cmocka_unit_test(hints_of_nothing_are_not_kept),
        cmocka_unit_test(who_was_away_for_fork_merge_and_rotation_comes_to_the_same),
        cmocka_unit_test(a_server_lost_right_after_a_rotation_takes_nothing_along),
    };
    return cmocka_run_group_tests_name("sim/adversary", tests, NULL, NULL);
}
