/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/test_stories_hints.c: how others hear of a withdrawal, and that nothing that is kept
 * for it names what was withdrawn (promise S8).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/defer.h"
#include "proto/entry.h"
#include "store/txn.h"
#include "tests/sim/press.h"
#include "tests/sim/state.h"

#define MINUTE_MS (60ull * 1000)
#define DAY_MS (24 * 60 * MINUTE_MS)

static uint64_t rows_of(struct sim *sim, unsigned lab, enum table table)
{
    struct txn *txn = NULL;
    uint64_t count = 0;
    assert_int_equal(txn_begin_read(sim->labs[lab]->store, &txn), ERR_OK);
    assert_int_equal(txn_rows(txn, table, &count), ERR_OK);
    txn_end(txn);
    return count;
}

/* So often has it asked for digests, and for a bucket. */
static uint64_t mended(const struct sim *sim, unsigned lab, enum msg_type type)
{
    return sim_said(sim, lab, type);
}

/* Two labs that agree on 300 entries of the first; then the second is off. */
static struct sim *apart(uint64_t seed, unsigned *ret_a, unsigned *ret_b)
{
    struct sim *sim = sim_new(seed);
    *ret_a = sim_lab(sim, "A");
    *ret_b = sim_lab(sim, "B");
    sim_publish(sim, *ret_a, "fiche", 300, 100, 1);
    sim_link(sim, *ret_b, *ret_a);
    assert_true(sim_converge(sim, 10000));
    sim_stop(sim, *ret_b);
    return sim;
}

static void back(struct sim *sim, unsigned a, unsigned b)
{
    sim_start(sim, b);
    assert_true(sim_converge(sim, MINUTE_MS));
    assert_true(sim_verify(sim, a));
    assert_true(sim_verify(sim, b));
}

static void who_holds_the_very_entry_finds_it_by_its_hint(void **state)
{
    (void) state;
    unsigned a, b;
    struct sim *sim = apart(90, &a, &b);
    sim_withdraw(sim, a, "fiche-3");
    sim_withdraw(sim, a, "fiche-150");
    sim_publish(sim, a, "neu", 1, 100, 1);
    back(sim, a, b);
    assert_false(sim_has(sim, b, a, "fiche-3"));
    assert_int_equal(mended(sim, b, MSG_BUCKETS), 0);
    assert_int_equal(rows_of(sim, b, TABLE_GONE), 2);
    sim_free(sim);
}

static void who_holds_an_older_revision_is_mended_bucket_by_bucket(void **state)
{
    (void) state;
    unsigned a, b;
    struct sim *sim = apart(91, &a, &b);
    struct sim_batch again = {.prefix = "fiche", .count = 1, .size = 200, .salt = 2};
    assert_int_equal(sim_try_publish(sim, a, &again), ERR_OK);
    sim_withdraw(sim, a, "fiche-0");
    back(sim, a, b);
    assert_false(sim_has(sim, b, a, "fiche-0"));
    assert_int_equal(mended(sim, b, MSG_BUCKETS), 1);
    assert_int_equal(mended(sim, b, MSG_BUCKET), 1);  /* only the one that differs */
    assert_int_equal(rows_of(sim, b, TABLE_GONE), 1); /* of what it held itself */
    sim_free(sim);
}

static void what_is_published_again_with_the_same_text_stays(void **state)
{
    (void) state;
    unsigned a, b;
    struct sim *sim = apart(92, &a, &b);
    struct sim_batch again = {.prefix = "fiche", .count = 1, .size = 100, .salt = 1};
    unsigned c = sim_lab(sim, "C");
    sim_withdraw(sim, a, "fiche-0");
    sim_link(sim, c, a);
    sim_run(sim, 5000); /* C has seen it gone */
    assert_int_equal(sim_try_publish(sim, a, &again), ERR_OK);
    back(sim, a, b);
    for (unsigned lab = 0; lab < 3; lab++) {
        assert_true(sim_has(sim, lab, a, "fiche-0"));
        assert_int_equal(mended(sim, lab, MSG_BUCKETS), 0);
    }
    /* Nor does who hears of it at third hand lose it. */
    sim_stop(sim, a);
    unsigned d = sim_lab(sim, "D");
    sim_link(sim, d, b);
    sim_link(sim, d, c);
    assert_true(sim_converge(sim, MINUTE_MS));
    assert_true(sim_has(sim, d, a, "fiche-0"));
    sim_free(sim);
}

static void what_goes_while_it_is_being_sent_goes(void **state)
{
    (void) state;
    struct sim *sim = sim_new(93);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    struct head head;
    sim_publish(sim, a, "avant", 1, 100, 1);
    sim_publish(sim, a, "fiche", 4000, 1000, 1);
    sim_rate_all(sim, 1024 * 1024);
    sim_link(sim, b, a);
    sim_run(sim, 3000); /* the first ones are there */
    assert_false(sim_head(sim, b, a, &head));
    sim_withdraw(sim, a, "avant-0");
    assert_true(sim_converge(sim, MINUTE_MS));
    assert_false(sim_has(sim, b, a, "avant-0"));
    assert_int_equal(mended(sim, b, MSG_BUCKETS), 0);
    assert_true(sim_verify(sim, b));
    sim_free(sim);
}

/* The link is lost after that, and the rest comes over another one. */
static void what_was_staged_and_is_gone_since_goes(void **state)
{
    (void) state;
    struct sim *sim = sim_new(94);
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    sim_publish(sim, a, "avant", 1, 100, 1);
    sim_publish(sim, a, "fiche", 9000, 1000, 1);
    sim_rate_all(sim, 1024 * 1024);
    sim_link(sim, b, a);
    sim_run(sim, 7000);
    assert_true(sim_staged(sim, b, a));
    sim_stop(sim, b);
    sim_withdraw(sim, a, "avant-0");
    back(sim, a, b);
    assert_false(sim_has(sim, b, a, "avant-0"));
    assert_int_equal(mended(sim, b, MSG_BUCKETS), 0);
    sim_free(sim);
}

static void a_newcomer_is_told_of_nothing_that_was_gone_before(void **state)
{
    (void) state;
    struct sim *sim = sim_new(95);
    unsigned a = sim_lab(sim, "A");
    sim_publish(sim, a, "fiche", 30, 100, 1);
    for (unsigned i = 0; i < 20; i++) {
        char slug[16];
        (void) snprintf(slug, sizeof slug, "fiche-%u", i);
        sim_withdraw(sim, a, slug);
    }
    unsigned b = sim_lab(sim, "B");
    sim_link(sim, b, a);
    assert_true(sim_converge(sim, 10000));
    assert_int_equal(rows_of(sim, a, TABLE_GONE), 20);
    assert_int_equal(rows_of(sim, b, TABLE_GONE), 0);
    assert_int_equal(mended(sim, b, MSG_BUCKETS), 0);
    sim_free(sim);
}

/* ---- heads that are no more ---- */

/* It was withdrawn at a head that the next generation leaves out: its hint must not take it from
 * those for whom it stands. */
static void a_withdrawal_that_never_counted_is_forgotten(void **state)
{
    (void) state;
    struct sim *sim = sim_new(96);
    unsigned lab = sim_lab(sim, "Labo");
    unsigned puppet = sim_puppet(sim, "Pantin");
    struct press press, next;
    struct msg want;
    struct head head;
    sim_peer(sim, lab, puppet, false);
    press_init(&press, sim, puppet);
    assert_true(puppet_dial(sim, puppet, lab));
    press_put(&press, "un", 1, 100);
    press_sign(&press);
    press_branch(&press, 1, &next);
    press_drop(&press, "un"); /* the thief's */
    press_put(&press, "vol", 1, 100);
    press_sign(&press);
    press_offer(&press, puppet, 1, 1);
    assert_true(puppet_await(sim, puppet, MSG_WANT, 20000, &want));
    press_serve(&press, puppet, &want, 1);
    press_offer(&press, puppet, 2, 2);
    assert_true(puppet_await(sim, puppet, MSG_WANT, 20000, &want));
    press_serve(&press, puppet, &want, 2);
    sim_run(sim, 1000);
    assert_false(sim_has(sim, lab, puppet, "un"));
    assert_int_equal(rows_of(sim, lab, TABLE_GONE), 1);
    puppet_rotate(sim, puppet, &next.heads[1]);
    next.generation = 2;
    press_put(&next, "deux", 1, 100);
    press_sign(&next);
    press_put(&next, "trois", 1, 100);
    press_sign(&next);
    press_say_record(sim, puppet, puppet);
    press_offer(&next, puppet, 3, 3);
    while (puppet_await(sim, puppet, MSG_WANT, 5000, &want)) {
        press_serve(&next, puppet, &want, 3);
    }
    assert_true(sim_head(sim, lab, puppet, &head));
    assert_int_equal(head.n, 3);
    assert_true(sim_has(sim, lab, puppet, "un"));
    assert_false(sim_has(sim, lab, puppet, "vol"));
    assert_int_equal(rows_of(sim, lab, TABLE_GONE), 1); /* of what the thief put there */
    assert_true(sim_verify(sim, lab));
    press_done(&press);
    press_done(&next);
    sim_free(sim);
}

/* ---- nothing that is kept names it ---- */

/* `needle` stands in no key and no value of the table. */
static void table_lacks(struct sim *sim, unsigned lab, enum table table, struct bytes needle)
{
    struct txn *txn = NULL;
    struct row row;
    assert_int_equal(txn_begin_read(sim->labs[lab]->store, &txn), ERR_OK);
    struct cursor cursor = {0};
    assert_int_equal(cursor_open(txn, table, &cursor), ERR_OK);
    while (cursor_next(&cursor, &row) == ERR_OK) {
        assert_null(memmem(row.key.data, row.key.size, needle.data, needle.size));
        assert_null(memmem(row.value.data, row.value.size, needle.data, needle.size));
    }
    cursor_close(&cursor);
    txn_end(txn);
}

static void no_store_names_what_was_withdrawn(void **state)
{
    (void) state;
    static const char *const names[] = {"A", "B", "C"};
    struct sim *sim = sim_new(97);
    for (unsigned lab = 0; lab < 3; lab++) {
        (void) sim_lab(sim, names[lab]);
        if (lab > 0) {
            sim_link(sim, lab, lab - 1);
        }
    }
    sim_publish(sim, 0, "jeanne-dupont", 20, 100, 1);
    sim_publish(sim, 0, "autre", 20, 100, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    for (unsigned i = 0; i < 20; i++) {
        char slug[32];
        (void) snprintf(slug, sizeof slug, "jeanne-dupont-%u", i);
        sim_withdraw(sim, 0, slug);
    }
    assert_true(sim_converge(sim, MINUTE_MS));
    assert_int_equal(rows_of(sim, 0, TABLE_RETIRED), 20);
    for (unsigned lab = 0; lab < 3; lab++) {
        assert_int_equal(rows_of(sim, lab, TABLE_GONE), 20);
        for (unsigned i = 0; i < 20; i++) {
            char slug[32];
            (void) snprintf(slug, sizeof slug, "jeanne-dupont-%u", i);
            struct slug_hash hash = hash_slug(bytes_of_str(slug));
            struct bytes needle =
                bytes_of(hash.bytes + 1, 8); /* any part of it would be too much */
            table_lacks(sim, lab, TABLE_GONE, needle);
            table_lacks(sim, lab, TABLE_RETIRED, needle);
        }
    }
    sim_run(sim, DAY_MS);
    for (unsigned lab = 0; lab < 3; lab++) {
        assert_int_equal(sim_bytes(sim, lab, "jeanne-dupont"), 0);
        for (unsigned i = 0; i < 20; i++) {
            char slug[32];
            (void) snprintf(slug, sizeof slug, "jeanne-dupont-%u", i);
            struct slug_hash hash = hash_slug(bytes_of_str(slug));
            assert_int_equal(sim_bytes_of(sim, lab, bytes_of(hash.bytes + 1, 8)), 0);
            (void) snprintf(slug, sizeof slug, "autre-%u", i);
            hash = hash_slug(bytes_of_str(slug));
            assert_true(sim_bytes_of(sim, lab, BYTES_OF_ARRAY(hash.bytes)) > 0); /* it would see */
        }
        assert_true(sim_verify(sim, lab));
    }
    sim_free(sim);
}

/* ---- hints that lie ---- */

struct foe {
    struct sim *sim;
    unsigned lab, puppet;
    struct press press;
};

/* A puppet's catalogue of two entries is held, its second head is asked for. */
static struct msg foe_set(struct foe *foe, uint64_t seed)
{
    struct msg want;
    foe->sim = sim_new(seed);
    foe->lab = sim_lab(foe->sim, "Labo");
    foe->puppet = sim_puppet(foe->sim, "Pantin");
    sim_peer(foe->sim, foe->lab, foe->puppet, false);
    press_init(&foe->press, foe->sim, foe->puppet);
    assert_true(puppet_dial(foe->sim, foe->puppet, foe->lab));
    press_put(&foe->press, "un", 1, 100);
    press_put(&foe->press, "deux", 1, 100);
    press_sign(&foe->press);
    press_offer(&foe->press, foe->puppet, 1, 1);
    assert_true(puppet_await(foe->sim, foe->puppet, MSG_WANT, 20000, &want));
    press_serve(&foe->press, foe->puppet, &want, 1);
    press_put(&foe->press, "trois", 1, 100);
    press_sign(&foe->press);
    press_offer(&foe->press, foe->puppet, 2, 2);
    assert_true(puppet_await(foe->sim, foe->puppet, MSG_WANT, 20000, &want));
    return want;
}

static void foe_clear(struct foe *foe)
{
    press_done(&foe->press);
    sim_free(foe->sim);
}

/* Of entries nobody ever had. */
static void noise_say(struct foe *foe, uint64_t stream, size_t count)
{
    uint8_t noise[3000 * HINT_SIZE];
    while (count > 0) {
        size_t part = count < 3000 ? count : 3000;
        sim_roll_bytes(foe->sim, noise, part * HINT_SIZE);
        puppet_say(foe->sim, foe->puppet,
                   &(struct msg){.type = MSG_DELTA,
                                 .delta = {.stream = stream,
                                           .withdrawn = bytes_of(noise, part * HINT_SIZE)}});
        count -= part;
    }
}

static void hints_of_nothing_are_passed_over_and_not_remembered(void **state)
{
    (void) state;
    struct foe foe;
    struct msg want = foe_set(&foe, 98);
    noise_say(&foe, want.want.stream, HINTS_MAX);
    press_serve(&foe.press, foe.puppet, &want, 2);
    sim_run(foe.sim, 5000);
    assert_true(puppet_linked(foe.sim, foe.puppet));
    assert_true(sim_has(foe.sim, foe.lab, foe.puppet, "un"));
    assert_true(sim_has(foe.sim, foe.lab, foe.puppet, "trois"));
    assert_int_equal(rows_of(foe.sim, foe.lab, TABLE_GONE), 0);
    foe_clear(&foe);
}

static void one_hint_too_many_ends_the_link(void **state)
{
    (void) state;
    struct foe foe;
    struct msg want = foe_set(&foe, 99);
    noise_say(&foe, want.want.stream, HINTS_MAX + 1);
    sim_run(foe.sim, 5000);
    assert_false(puppet_linked(foe.sim, foe.puppet));
    assert_false(sim_has(foe.sim, foe.lab, foe.puppet, "trois"));
    foe_clear(&foe);
}

/* Of what its lab never withdrew: the root says so, and nothing is lost. */
static void a_hint_of_what_stands_takes_nothing_away(void **state)
{
    (void) state;
    for (unsigned item = 0; item < 3; item += 2) { /* one that is held, one that just came */
        struct foe foe;
        struct digests digests;
        struct msg asked, want = foe_set(&foe, 100 + item);
        struct hint hint = press_hint(&foe.press.items[item]);
        defer(press_delta_done) struct press_delta delta = {0};
        uint64_t stream = want.want.stream;
        press_delta(&foe.press, &want, 2, &delta);
        buf_put(&delta.withdrawn, BYTES_OF_ARRAY(hint.bytes));
        press_say_delta(foe.sim, foe.puppet, stream, &delta);
        press_say_end(&foe.press, foe.puppet, stream, 2);
        assert_true(puppet_await(foe.sim, foe.puppet, MSG_BUCKETS, 3000, &asked));
        press_digests(&foe.press, &digests);
        asked.buckets.n = UINT64_MAX;
        asked.buckets.digests = bytes_of(&digests, sizeof digests);
        puppet_say(foe.sim, foe.puppet, &asked);
        assert_true(puppet_await(foe.sim, foe.puppet, MSG_BUCKET, 3000, &asked));
        assert_int_equal(asked.bucket.bucket, hint.bytes[0]);
        assert_true(sim_has(foe.sim, foe.lab, foe.puppet, "un")); /* as long as it is in doubt */
        const struct press_item *named = &foe.press.items[item];
        struct hash leaf = entry_leaf(buf_bytes(&named->bytes));
        defer(buf_done) struct buf pairs = {0};
        defer(buf_done) struct buf raw = {0};
        buf_put(&pairs, BYTES_OF_ARRAY(named->slug.bytes));
        buf_put(&pairs, BYTES_OF_ARRAY(leaf.bytes));
        list_put(&raw, buf_bytes(&named->bytes));
        asked.bucket.n = UINT64_MAX;
        asked.bucket.entries = (struct list){.raw = buf_bytes(&raw), .count = 1};
        asked.bucket.pairs = buf_bytes(&pairs);
        puppet_say(foe.sim, foe.puppet, &asked);
        sim_run(foe.sim, 5000);
        assert_true(sim_has(foe.sim, foe.lab, foe.puppet, "un"));
        assert_true(sim_has(foe.sim, foe.lab, foe.puppet, "trois"));
        assert_int_equal(rows_of(foe.sim, foe.lab, TABLE_GONE), 0);
        assert_true(sim_verify(foe.sim, foe.lab));
        foe_clear(&foe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_the_very_entry_finds_it_by_its_hint),
        cmocka_unit_test(who_holds_an_older_revision_is_mended_bucket_by_bucket),
        cmocka_unit_test(what_is_published_again_with_the_same_text_stays),
        cmocka_unit_test(what_goes_while_it_is_being_sent_goes),
        cmocka_unit_test(what_was_staged_and_is_gone_since_goes),
        cmocka_unit_test(a_newcomer_is_told_of_nothing_that_was_gone_before),
        cmocka_unit_test(a_withdrawal_that_never_counted_is_forgotten),
        cmocka_unit_test(no_store_names_what_was_withdrawn),
        cmocka_unit_test(hints_of_nothing_are_passed_over_and_not_remembered),
        cmocka_unit_test(one_hint_too_many_ends_the_link),
        cmocka_unit_test(a_hint_of_what_stands_takes_nothing_away),
    };
    return cmocka_run_group_tests_name("stories_hints", tests, NULL, NULL);
}
