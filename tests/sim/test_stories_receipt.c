/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_receipt.c: the publisher sees, node by node, who has erased (S8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/defer.h"
#include "proto/pack.h"
#include "proto/receipt.h"
#include "tests/sim/cluster.h"

#define MINUTE_MS (60ull * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define LABS 3

/* What sim_publish writes has its salt in every line. */
#define SECRET_SALT 4711
#define SECRET "essaimage 4711."

/* Three labs in a row; C knows A only by what B passes on. All hold A's secret. */
static struct sim *row(uint64_t seed, unsigned ret_labs[LABS])
{
    struct sim *sim = sim_new(seed);
    static const char *const names[] = {"A", "B", "C"};
    for (unsigned i = 0; i < LABS; i++) {
        ret_labs[i] = sim_lab(sim, names[i]);
    }
    sim_link(sim, ret_labs[1], ret_labs[0]);
    sim_link(sim, ret_labs[2], ret_labs[1]);
    sim_publish(sim, ret_labs[0], "fiche", 20, 300, 1);
    sim_publish(sim, ret_labs[0], "secret", 2, 2500, SECRET_SALT);
    assert_true(sim_converge(sim, MINUTE_MS));
    return sim;
}

/* Gives the number of the head that withdrew it. */
static uint64_t forget(struct sim *sim, unsigned lab)
{
    struct head head;
    sim_withdraw(sim, lab, "secret-0");
    sim_withdraw(sim, lab, "secret-1");
    assert_true(sim_head(sim, lab, lab, &head));
    return head.n;
}

/* Nobody of whom it is said has the secret on its disk. */
static unsigned claims(struct sim *sim, const unsigned labs[LABS], uint64_t n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < LABS; i++) {
        if (sim_claim(sim, labs[0], labs[i], labs[0]) >= n) {
            assert_int_equal(sim_bytes(sim, labs[i], SECRET), 0);
            count++;
        }
    }
    return count;
}

static void compact(struct sim *sim, unsigned lab)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 0);
    assert_int_equal(sim_request(sim, lab, CTL_compact, buf_bytes(&params), NULL), ERR_OK);
}

/* ---- who erased says so ---- */

static void the_publisher_sees_within_a_day_that_all_have_erased(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(80, labs);
    sim_run(sim, 2 * HOUR_MS);
    uint64_t n = forget(sim, labs[0]);
    assert_true(sim_converge(sim, MINUTE_MS));
    assert_int_equal(claims(sim, labs, n), 0);
    for (unsigned minute = 0; minute < 24 * 60; minute += 10) {
        sim_run(sim, 10 * MINUTE_MS);
        (void) claims(sim, labs, n);
    }
    assert_int_equal(claims(sim, labs, n), LABS);
    for (unsigned i = 0; i < LABS; i++) {
        assert_true(sim_claim(sim, labs[2], labs[i], labs[0]) >= n); /* and so does anybody */
        assert_true(sim_verify(sim, labs[i]));
    }
    uint64_t said = sim_said(sim, labs[1], MSG_RECEIPTS);
    sim_run(sim, 2 * DAY_MS);
    assert_int_equal(sim_said(sim, labs[1], MSG_RECEIPTS), said); /* once */
    sim_free(sim);
}

static void compacting_at_once_is_said_at_once(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(81, labs);
    sim_run(sim, 2 * HOUR_MS);
    uint64_t n = forget(sim, labs[0]);
    assert_true(sim_converge(sim, MINUTE_MS));
    compact(sim, labs[2]);
    sim_run(sim, MINUTE_MS);
    assert_int_equal(claims(sim, labs, n), 1);
    assert_true(sim_claim(sim, labs[0], labs[2], labs[0]) >= n);
    /* what is withdrawn later it does not say */
    sim_withdraw(sim, labs[0], "fiche-3");
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_run(sim, 5 * HOUR_MS);
    assert_int_equal(sim_claim(sim, labs[0], labs[2], labs[0]), n);
    sim_free(sim);
}

static void a_lab_that_was_off_for_a_month_says_it_when_it_is_back(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(82, labs);
    sim_blackout(sim, labs[2]);
    uint64_t n = forget(sim, labs[0]);
    sim_run(sim, 30 * DAY_MS);
    assert_int_equal(claims(sim, labs, n), 2);
    sim_start(sim, labs[2]);
    assert_true(sim_converge(sim, 5 * MINUTE_MS));
    assert_int_equal(claims(sim, labs, n), 2);
    sim_run(sim, 15 * MINUTE_MS);
    assert_int_equal(claims(sim, labs, n), LABS);
    sim_free(sim);
}

static void who_never_had_the_entry_says_so_too(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(83, labs);
    uint64_t n = forget(sim, labs[0]);
    sim_run(sim, DAY_MS);
    unsigned late = sim_lab(sim, "D");
    sim_link(sim, late, labs[2]);
    assert_true(sim_converge(sim, MINUTE_MS));
    assert_int_equal(sim_claim(sim, labs[0], late, labs[0]), 0);
    sim_run(sim, 2 * HOUR_MS);
    assert_true(sim_claim(sim, labs[0], late, labs[0]) >= n);
    sim_free(sim);
}

static void where_nothing_was_withdrawn_nothing_is_said(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(84, labs);
    sim_publish(sim, labs[0], "fiche", 20, 300, 2);
    assert_true(sim_converge(sim, MINUTE_MS));
    compact(sim, labs[1]);
    sim_run(sim, 2 * DAY_MS);
    for (unsigned i = 0; i < LABS; i++) {
        assert_int_equal(sim_said(sim, labs[i], MSG_RECEIPTS), 0);
    }
    sim_free(sim);
}

static void a_crash_between_the_swap_and_the_receipt_loses_nothing(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(85, labs);
    uint64_t n = forget(sim, labs[0]);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_disk(sim, labs[2], SIM_DISK_CRASH); /* its next commit is the receipt's */
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 0);
    (void) sim_request(sim, labs[2], CTL_compact, buf_bytes(&params), NULL);
    assert_false(sim_live(sim, labs[2]));
    assert_int_equal(sim_bytes(sim, labs[2], SECRET), 0);
    sim_start(sim, labs[2]);
    sim_run(sim, MINUTE_MS);
    assert_int_equal(sim_claim(sim, labs[0], labs[2], labs[0]), 0);
    sim_run(sim, 11 * MINUTE_MS);
    assert_true(sim_claim(sim, labs[0], labs[2], labs[0]) >= n);
    sim_free(sim);
}

/* ---- stores that go back, keys that change ---- */

/* C comes back from a copy that holds the secret, and takes its word back until it erased again. */
static void word_taken_back(struct sim *sim, const unsigned labs[LABS], uint64_t n)
{
    assert_true(sim_bytes(sim, labs[2], SECRET) > 0);
    sim_start(sim, labs[2]);
    sim_run(sim, MINUTE_MS);
    assert_true(sim_converge(sim, 5 * MINUTE_MS));
    assert_true(sim_bytes(sim, labs[2], SECRET) > 0);
    assert_true(sim_claim(sim, labs[0], labs[2], labs[0]) < n);
    assert_int_equal(claims(sim, labs, n), 2);
    sim_run(sim, 25 * MINUTE_MS);
    assert_int_equal(claims(sim, labs, n), LABS);
    assert_true(sim_verify(sim, labs[2]));
}

static void a_store_that_went_back_takes_its_word_back(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(86, labs);
    sim_stop(sim, labs[2]);
    sim_backup(sim, labs[2]);
    sim_start(sim, labs[2]);
    uint64_t n = forget(sim, labs[0]);
    sim_run(sim, DAY_MS);
    assert_int_equal(claims(sim, labs, n), LABS);
    sim_stop(sim, labs[2]);
    sim_restore(sim, labs[2]);
    word_taken_back(sim, labs, n);
    sim_free(sim);
}

static void a_backup_put_back_takes_its_word_back(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(87, labs);
    sim_withdraw(sim, labs[0], "fiche-1");
    sim_run(sim, DAY_MS);
    uint64_t before = sim_claim(sim, labs[0], labs[2], labs[0]);
    assert_true(before > 0);
    sim_save(sim, labs[2]); /* with the receipt of that time in it */
    uint64_t n = forget(sim, labs[0]);
    sim_run(sim, DAY_MS);
    assert_int_equal(claims(sim, labs, n), LABS);
    sim_stop(sim, labs[2]);
    sim_load(sim, labs[2]);
    sim_start(sim, labs[2]);
    sim_run(sim, 2 * MINUTE_MS);
    assert_int_equal(sim_claim(sim, labs[0], labs[2], labs[0]), before);
    sim_run(sim, 25 * MINUTE_MS);
    assert_int_equal(claims(sim, labs, n), LABS);
    sim_free(sim);
}

static void new_keys_sign_the_receipt_again(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct receipt receipt;
    struct sim *sim = row(88, labs);
    uint64_t n = forget(sim, labs[0]);
    sim_run(sim, DAY_MS);
    assert_int_equal(claims(sim, labs, n), LABS);
    sim_stage(sim, labs[2], 2);
    assert_int_equal(sim_rotate(sim, labs[2]), ERR_OK);
    sim_run(sim, MINUTE_MS);
    assert_int_equal(sim_generation(sim, labs[0], labs[2]), 2);
    defer(buf_done) struct buf bytes = {0};
    assert_true(sim_receipt(sim, labs[0], labs[2], &bytes));
    assert_int_equal(receipt_peek(buf_bytes(&bytes), &receipt), ERR_OK);
    assert_int_equal(receipt.generation, 2);
    assert_int_equal(claims(sim, labs, n), LABS);
    sim_free(sim);
}

/* ---- what others may not say ---- */

struct forger {
    struct sim *sim;
    unsigned victim, puppet;
};

static struct buf *signed_by(const struct forger *forger, unsigned of, unsigned key,
                             uint64_t number, uint64_t n)
{
    static struct buf bytes, rows;
    buf_clear(&bytes);
    buf_clear(&rows);
    receipt_put_row(&rows, &(struct receipt_row){.lab = *sim_id(forger->sim, forger->victim),
                                                 .audience = bytes_of_str("public"),
                                                 .generation = 1,
                                                 .n = n});
    struct receipt receipt = {.lab = *sim_id(forger->sim, of),
                              .generation = 1,
                              .number = number,
                              .rows = buf_bytes(&rows),
                              .row_count = 1};
    assert_int_equal(receipt_sign(&receipt, sim_signing(forger->sim, key), &bytes), ERR_OK);
    return &bytes;
}

/* False when the link did not stand that. */
static bool said(const struct forger *forger, struct bytes item)
{
    defer(buf_done) struct buf raw = {0};
    if (!puppet_linked(forger->sim, forger->puppet)) {
        assert_true(puppet_dial(forger->sim, forger->puppet, forger->victim));
    }
    list_put(&raw, item);
    puppet_say(
        forger->sim, forger->puppet,
        &(struct msg){.type = MSG_RECEIPTS, .receipts = {.raw = buf_bytes(&raw), .count = 1}});
    sim_run(forger->sim, 200);
    return puppet_linked(forger->sim, forger->puppet);
}

static void forged_altered_and_old_receipts_change_nothing(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(89, labs);
    defer(buf_done) struct buf old = {0};
    defer(buf_done) struct buf now = {0};
    defer(buf_done) struct buf then = {0};
    sim_withdraw(sim, labs[0], "fiche-1");
    sim_run(sim, DAY_MS);
    assert_true(sim_receipt(sim, labs[0], labs[2], &old));
    uint64_t n = forget(sim, labs[0]);
    sim_run(sim, DAY_MS);
    assert_true(sim_claim(sim, labs[0], labs[2], labs[0]) >= n);
    assert_true(sim_receipt(sim, labs[0], labs[2], &now));
    struct forger forger = {.sim = sim, .victim = labs[0], .puppet = sim_puppet(sim, "P")};
    unsigned stranger = sim_puppet(sim, "S");
    sim_peer(sim, labs[0], forger.puppet, false);
    assert_true(said(&forger, buf_bytes(&old))); /* true once */
    assert_true(said(&forger, buf_bytes(&now)));
    assert_true(said(&forger, buf_bytes(signed_by(&forger, stranger, stranger, 1, 9))));
    /* of another, by its own key; any bit */
    assert_false(said(&forger, buf_bytes(signed_by(&forger, labs[2], forger.puppet, 99, 99))));
    for (size_t at = 0; at < now.size; at += 7) {
        buf_put(&then, buf_bytes(&now));
        then.data[at] ^= 4;
        (void) said(&forger, buf_bytes(&then));
        buf_clear(&then);
    }
    assert_true(sim_receipt(sim, labs[0], labs[2], &then));
    assert_true(bytes_equal(buf_bytes(&now), buf_bytes(&then)));
    buf_clear(&then);
    assert_false(sim_receipt(sim, labs[0], stranger, &then));
    assert_true(said(&forger, buf_bytes(signed_by(&forger, forger.puppet, forger.puppet, 5, 3))));
    assert_int_equal(sim_claim(sim, labs[0], forger.puppet, labs[0]), 3);
    (void) said(&forger, buf_bytes(signed_by(&forger, forger.puppet, forger.puppet, 4, 2)));
    assert_int_equal(sim_claim(sim, labs[0], forger.puppet, labs[0]), 3);
    assert_true(sim_verify(sim, labs[0]));
    sim_free(sim);
}

static void a_flood_of_receipts_is_passed_on_as_the_newest_alone(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(90, labs);
    struct forger forger = {.sim = sim, .victim = labs[0], .puppet = sim_puppet(sim, "P")};
    sim_peer(sim, labs[0], forger.puppet, false);
    assert_true(puppet_dial(sim, forger.puppet, labs[0]));
    for (uint64_t number = 1; number <= 3000; number += 100) {
        defer(buf_done) struct buf raw = {0};
        for (uint64_t i = 0; i < 100; i++) {
            list_put(&raw,
                     buf_bytes(signed_by(&forger, forger.puppet, forger.puppet, number + i, 1)));
        }
        puppet_say(sim, forger.puppet,
                   &(struct msg){.type = MSG_RECEIPTS,
                                 .receipts = {.raw = buf_bytes(&raw), .count = 100}});
    }
    sim_run(sim, MINUTE_MS);
    defer(buf_done) struct buf bytes = {0};
    struct receipt receipt;
    assert_true(sim_receipt(sim, labs[2], forger.puppet, &bytes));
    assert_int_equal(receipt_peek(buf_bytes(&bytes), &receipt), ERR_OK);
    assert_int_equal(receipt.number, 3000);
    assert_true(sim_said(sim, labs[0], MSG_RECEIPTS) <= 32);
    sim_free(sim);
}

static void twins_do_not_answer_each_other_for_ever(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(91, labs);
    uint64_t n = forget(sim, labs[0]);
    sim_run(sim, DAY_MS);
    uint64_t before = sim_said(sim, labs[2], MSG_RECEIPTS);
    struct forger forger = {.sim = sim, .victim = labs[0], .puppet = sim_puppet(sim, "P")};
    sim_peer(sim, labs[0], forger.puppet, false);
    for (uint64_t number = 100; number < 160; number++) { /* one a minute, signed by C's key */
        assert_true(said(&forger, buf_bytes(signed_by(&forger, labs[2], labs[2], number, 1000))));
        sim_run(sim, MINUTE_MS);
    }
    assert_true(sim_said(sim, labs[2], MSG_RECEIPTS) - before <= 7);
    sim_run(sim, HOUR_MS);
    uint64_t claimed = sim_claim(sim, labs[0], labs[2], labs[0]);
    assert_true(claimed >= n && claimed < 1000); /* what is true at C has the last word */
    /* there is no number above the highest: nobody waits for it in a loop */
    assert_true(said(&forger, buf_bytes(signed_by(&forger, labs[2], labs[2], UINT64_MAX, 1000))));
    sim_run(sim, HOUR_MS);
    sim_free(sim);
}

/* ---- who does not understand them ---- */

static void who_does_not_understand_receipts_gets_none_and_reads_on(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct msg msg;
    struct sim *sim = row(92, labs);
    (void) forget(sim, labs[0]);
    sim_run(sim, DAY_MS);
    unsigned puppet = sim_puppet(sim, "P");
    sim_peer(sim, labs[0], puppet, false);
    for (uint64_t features = 0; features <= 6; features += 2) {
        puppet_features(sim, puppet, features);
        assert_true(puppet_dial(sim, puppet, labs[0]));
        assert_false(puppet_await(sim, puppet, MSG_RECEIPTS, MINUTE_MS / 4, &msg));
        sim_publish(sim, labs[0], "neuf", 1, 100, (unsigned) features + 1);
        assert_true(puppet_await(sim, puppet, MSG_HEADS, MINUTE_MS / 4, &msg));
        puppet_close(sim, puppet);
    }
    puppet_features(sim, puppet, FEATURE_RECEIPTS | 8);
    assert_true(puppet_dial(sim, puppet, labs[0]));
    unsigned count = 0;
    while (puppet_await(sim, puppet, MSG_RECEIPTS, MINUTE_MS / 4, &msg)) {
        count += (unsigned) msg.receipts.count;
    }
    assert_int_equal(count, LABS);
    sim_free(sim);
}

static void a_reconnect_with_nothing_new_costs_no_more(void **state)
{
    (void) state;
    unsigned labs[LABS];
    struct sim *sim = row(93, labs);
    (void) forget(sim, labs[0]);
    sim_run(sim, DAY_MS);
    sim_reset(sim, labs[0], labs[1]);
    sim_run(sim, MINUTE_MS / 3);
    assert_true(sim_linked(sim, labs[0], labs[1]));
    assert_true(sim_wire(sim, labs[0], labs[1]) <= 640);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_publisher_sees_within_a_day_that_all_have_erased),
        cmocka_unit_test(compacting_at_once_is_said_at_once),
        cmocka_unit_test(a_lab_that_was_off_for_a_month_says_it_when_it_is_back),
        cmocka_unit_test(who_never_had_the_entry_says_so_too),
        cmocka_unit_test(where_nothing_was_withdrawn_nothing_is_said),
        cmocka_unit_test(a_crash_between_the_swap_and_the_receipt_loses_nothing),
        cmocka_unit_test(a_store_that_went_back_takes_its_word_back),
        cmocka_unit_test(a_backup_put_back_takes_its_word_back),
        cmocka_unit_test(new_keys_sign_the_receipt_again),
        cmocka_unit_test(forged_altered_and_old_receipts_change_nothing),
        cmocka_unit_test(a_flood_of_receipts_is_passed_on_as_the_newest_alone),
        cmocka_unit_test(twins_do_not_answer_each_other_for_ever),
        cmocka_unit_test(who_does_not_understand_receipts_gets_none_and_reads_on),
        cmocka_unit_test(a_reconnect_with_nothing_new_costs_no_more),
    };
    return cmocka_run_group_tests_name("stories_receipt", tests, NULL, NULL);
}
