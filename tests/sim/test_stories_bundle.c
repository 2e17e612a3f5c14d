/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_bundle.c: labs that never meet; files that were cut, flipped or late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "base/limits.h"
#include "base/must.h"
#include "proto/msg.h"
#include "proto/pack.h"
#include "store/staging.h"
#include "tests/sim/bundle.h"
#include "node/parts.h"
#include "tests/sim/state.h"

#define DAY_MS (24ull * 3600 * 1000)
#define PART_SIZE 100000

/* A lab with a history: three heads, one entry gone, one changed. */
static void publish_some(struct sim *sim, unsigned lab, const char *prefix, unsigned count)
{
    char slug[32];
    sim_publish(sim, lab, prefix, count, 200, 1);
    (void) snprintf(slug, sizeof slug, "%s-1", prefix);
    sim_withdraw(sim, lab, slug);
    sim_publish(sim, lab, prefix, 1, 200, 2);
}

/* So long that what was withdrawn is remembered no more. */
static void long_after(struct sim *sim, unsigned a, unsigned b)
{
    sim_stop(sim, a);
    sim_stop(sim, b);
    sim_run(sim, 100 * DAY_MS);
    sim_start(sim, a);
    sim_start(sim, b);
    sim_run(sim, 7200 * 1000);
}

/* ---- stories ---- */

static void a_bundle_carries_catalogues_to_a_lab_that_never_links(void **state)
{
    (void) state;
    struct sim *sim = sim_new(70);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned b = sim_lab(sim, "B");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    publish_some(sim, a, "fiche", 12);
    publish_some(sim, b, "besoin", 5);
    sim_link(sim, b, a);
    assert_true(sim_converge(sim, 10000));
    bundle_export(sim, b, &file);
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.err, ERR_OK);
    assert_int_equal(outcome.accepted, 2);
    assert_true(outcome.whole);
    assert_true(bundle_same(sim, c, a, a) && bundle_same(sim, c, b, b));
    assert_false(sim_has(sim, c, a, "fiche-1"));
    assert_true(sim_verify(sim, c));
    outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.unchanged, 2);
    assert_int_equal(outcome.accepted + outcome.incomplete + outcome.refused, 0);
    sim_free(sim);
}

static void what_came_from_a_file_is_announced_to_every_peer(void **state)
{
    (void) state;
    struct sim *sim = sim_new(71);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    unsigned d = sim_lab(sim, "D");
    sim_apart(sim, a, true);
    sim_link(sim, d, c);
    publish_some(sim, a, "fiche", 4);
    sim_run(sim, 3000);
    bundle_export(sim, a, &file);
    assert_int_equal(bundle_import(sim, c, buf_bytes(&file)).accepted, 1);
    sim_run(sim, 1000);
    assert_true(bundle_same(sim, d, a, a));
    sim_free(sim);
}

static void a_later_bundle_brings_only_what_is_new_and_an_older_one_nothing(void **state)
{
    (void) state;
    struct sim *sim = sim_new(72);
    defer(buf_done) struct buf old = {0};
    defer(buf_done) struct buf new = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    publish_some(sim, a, "fiche", 3000);
    bundle_export(sim, a, &old);
    assert_int_equal(bundle_import(sim, c, buf_bytes(&old)).accepted, 1);
    publish_some(sim, a, "fiche", 7);
    sim_withdraw(sim, a, "fiche-2000");
    bundle_export(sim, a, &new);
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&new));
    assert_int_equal(outcome.accepted, 1);
    assert_int_equal(outcome.passes, 1);
    assert_true(bundle_same(sim, c, a, a));
    assert_false(sim_has(sim, c, a, "fiche-2000"));
    assert_int_equal(bundle_import(sim, c, buf_bytes(&old)).unchanged, 1);
    assert_true(bundle_same(sim, c, a, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void a_bundle_withdraws_what_nobody_remembers_as_withdrawn(void **state)
{
    (void) state;
    struct sim *sim = sim_new(73);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 20, 200, 1);
    bundle_export(sim, a, &file);
    assert_int_equal(bundle_import(sim, c, buf_bytes(&file)).accepted, 1);
    sim_withdraw(sim, a, "fiche-3");
    sim_withdraw(sim, a, "fiche-17");
    long_after(sim, a, c);
    sim_publish(sim, a, "plus", 1, 200, 1);
    bundle_export(sim, a, &file);
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.accepted, 1);
    assert_int_equal(outcome.passes, 1);
    assert_false(sim_has(sim, c, a, "fiche-3"));
    assert_false(sim_has(sim, c, a, "fiche-17"));
    assert_true(bundle_same(sim, c, a, a));
    sim_free(sim);
}

static bool staged(struct sim *sim, unsigned lab, unsigned of)
{
    struct txn *txn = NULL;
    struct staging staging;
    struct catalogue_name name = {.lab = *sim_id(sim, of), .audience = "public"};
    uint32_t id = 0;
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    enum err err = catalogue_find(txn, &name, &id);
    err = err == ERR_OK ? staging_get(txn, id, &staging) : err;
    txn_end(txn);
    return err == ERR_OK;
}

static void a_large_delta_goes_on_where_the_file_was_cut(void **state)
{
    (void) state;
    struct sim *sim = sim_new(74);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 6000, 1000, 1);
    sim_publish(sim, a, "fiche", 10, 1000, 2);
    bundle_export(sim, a, &file);
    for (unsigned tenth = 2; tenth < 10; tenth += 3) {
        struct bytes cut = bytes_of(file.data, file.size / 10 * tenth);
        struct bundle_outcome outcome = bundle_import(sim, c, cut);
        assert_int_equal(outcome.err, ERR_OK);
        assert_int_equal(outcome.incomplete, 1);
        assert_false(outcome.whole);
        assert_true(staged(sim, c, a));
        assert_true(sim_verify(sim, c));
        sim_crash(sim, c);
        sim_start(sim, c);
    }
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.accepted, 1);
    assert_int_equal(outcome.passes, 1);
    assert_true(bundle_same(sim, c, a, a));
    assert_false(staged(sim, c, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void what_was_staged_and_is_gone_meanwhile_goes(void **state)
{
    (void) state;
    struct sim *sim = sim_new(75);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 400, 300, 1);
    bundle_export(sim, a, &file);
    assert_int_equal(bundle_import(sim, c, bytes_of(file.data, file.size / 2)).incomplete, 1);
    assert_true(staged(sim, c, a));
    for (unsigned i = 0; i < 400; i += 3) {
        char slug[32];
        (void) snprintf(slug, sizeof slug, "fiche-%u", i);
        sim_withdraw(sim, a, slug);
    }
    long_after(sim, a, c);
    sim_publish(sim, a, "fiche", 2, 300, 2);
    bundle_export(sim, a, &file);
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.accepted, 1);
    assert_int_equal(outcome.passes, 1);
    assert_true(bundle_same(sim, c, a, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void what_another_staged_wrongly_is_read_again(void **state)
{
    (void) state;
    struct sim *sim = sim_new(76);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 40, 300, 1);
    bundle_export(sim, a, &file);
    /* a flipped letter in the text of an entry, and the file cut behind it */
    struct bytes cut = bytes_of(file.data, file.size - 100);
    file.data[file.size / 2] ^= 1;
    assert_int_equal(bundle_import(sim, c, cut).incomplete, 1);
    assert_true(staged(sim, c, a));
    file.data[file.size / 2] ^= 1;
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.accepted, 1);
    assert_int_equal(outcome.passes, 2);
    assert_true(bundle_same(sim, c, a, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void of_a_file_that_lies_in_its_middle_nothing_is_kept(void **state)
{
    (void) state;
    struct sim *sim = sim_new(88);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 6000, 1000, 1);
    bundle_export(sim, a, &file);
    struct bundle_outcome outcome = {0};
    size_t at = 0;
    for (; !staged(sim, c, a); at += PART_SIZE) {
        bundle_import_part(sim, c, bytes_of(file.data + at, PART_SIZE), false, &outcome);
        assert_int_equal(outcome.err, ERR_OK);
    }
    memset(file.data + at, 0xc1, 70000);
    bundle_import_part(sim, c, bytes_of(file.data + at, PART_SIZE), false, &outcome);
    assert_int_not_equal(outcome.err, ERR_OK);
    assert_false(staged(sim, c, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

/* ---- cut and flipped ---- */

/* Two catalogues in a small file, and a lab that imports it. */
struct pair {
    struct sim *sim;
    unsigned a, b, c;
    struct buf file;
};

static void pair_make(struct pair *pair, uint64_t seed)
{
    *pair = (struct pair){.sim = sim_new(seed)};
    pair->a = sim_lab(pair->sim, "A");
    pair->b = sim_lab(pair->sim, "B");
    pair->c = sim_lab(pair->sim, "C");
    sim_apart(pair->sim, pair->c, true);
    sim_publish(pair->sim, pair->a, "fiche", 2, 60, 1);
    sim_publish(pair->sim, pair->a, "fiche", 1, 60, 2);
    sim_publish(pair->sim, pair->b, "besoin", 2, 60, 1);
    sim_withdraw(pair->sim, pair->b, "besoin-1");
    sim_link(pair->sim, pair->b, pair->a);
    assert_true(sim_converge(pair->sim, 10000));
    bundle_export(pair->sim, pair->b, &pair->file);
    sim_stop(pair->sim, pair->c);
    sim_backup(pair->sim, pair->c);
    sim_start(pair->sim, pair->c);
}

static void pair_done(struct pair *pair)
{
    buf_done(&pair->file);
    sim_free(pair->sim);
}

/* What C holds is true; how many catalogues that is. */
static unsigned held_rightly(struct pair *pair)
{
    unsigned held = 0;
    const unsigned of[] = {pair->a, pair->b};
    for (unsigned i = 0; i < 2; i++) {
        struct head head;
        if (sim_head(pair->sim, pair->c, of[i], &head)) {
            assert_true(bundle_same(pair->sim, pair->c, of[i], of[i]));
            held++;
        }
    }
    return held;
}

static void forget(struct pair *pair)
{
    sim_stop(pair->sim, pair->c);
    sim_restore(pair->sim, pair->c);
    sim_start(pair->sim, pair->c);
}

static void a_file_cut_at_any_byte_counts_up_to_its_last_whole_delta(void **state)
{
    (void) state;
    struct pair pair;
    pair_make(&pair, 77);
    unsigned last = 0;
    for (size_t size = 0; size < pair.file.size; size++) {
        struct bundle_outcome outcome =
            bundle_import_by(pair.sim, pair.c, bytes_of(pair.file.data, size), 700);
        bool magic = size >= sizeof BUNDLE_MAGIC - 1;
        assert_int_equal(outcome.err, magic ? ERR_OK : ERR_SYNTAX);
        assert_false(outcome.whole);
        unsigned held = held_rightly(&pair);
        assert_true(held >= last);
        if (held > last) {
            assert_true(sim_verify(pair.sim, pair.c));
            last = held;
        }
        if (size % 100 == 0) {
            outcome = bundle_import(pair.sim, pair.c, buf_bytes(&pair.file));
            assert_int_equal(outcome.accepted + outcome.unchanged, 2);
            assert_int_equal(held_rightly(&pair), 2);
            forget(&pair);
            last = 0;
        }
    }
    assert_int_equal(last, 2); /* only the goodbye was missing */
    pair_done(&pair);
}

static void no_flipped_bit_makes_anything_wrong_be_held(void **state)
{
    (void) state;
    struct pair pair;
    pair_make(&pair, 78);
    unsigned kinds[3] = {0};
    unsigned last = 0;
    for (size_t bit = 0; bit < pair.file.size * 8; bit++) {
        pair.file.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
        struct bundle_outcome outcome = bundle_import(pair.sim, pair.c, buf_bytes(&pair.file));
        pair.file.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
        unsigned held = held_rightly(&pair);
        kinds[held]++;
        if (outcome.err == ERR_OK && outcome.whole && outcome.refused + outcome.incomplete == 0) {
            assert_int_equal(held, 2); /* a number that means nothing */
        }
        assert_true(held >= last);
        if (held > last) {
            assert_true(sim_verify(pair.sim, pair.c));
        }
        if (held == 2) {
            forget(&pair);
        }
        last = held % 2;
    }
    assert_true(kinds[0] > kinds[2]);
    assert_true(kinds[1] > 0);
    assert_true(sim_verify(pair.sim, pair.c));
    (void) bundle_import(pair.sim, pair.c, buf_bytes(&pair.file));
    assert_int_equal(held_rightly(&pair), 2);
    pair_done(&pair);
}

static void parts_of_any_size_make_the_same(void **state)
{
    (void) state;
    struct pair pair;
    pair_make(&pair, 79);
    const size_t sizes[] = {1, 2, 3, 15, 16, 17, 18, 64, 1000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bundle_outcome outcome =
            bundle_import_by(pair.sim, pair.c, buf_bytes(&pair.file), sizes[i]);
        assert_int_equal(outcome.accepted, 2);
        assert_true(outcome.whole);
        assert_int_equal(held_rightly(&pair), 2);
        forget(&pair);
    }
    pair_done(&pair);
}

/* ---- meanwhile ---- */

static void a_file_goes_before_a_peer_that_serves_the_same(void **state)
{
    (void) state;
    struct sim *sim = sim_new(80);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_publish(sim, a, "fiche", 6000, 1000, 1);
    bundle_export(sim, a, &file);
    sim_link(sim, c, a);
    sim_rate(sim, a, c, 200000); /* thirty seconds for all */
    sim_run(sim, 9000);
    struct head head;
    assert_false(sim_head(sim, c, a, &head));
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.accepted, 1);
    assert_true(bundle_same(sim, c, a, a));
    assert_true(sim_linked(sim, c, a));
    sim_rate(sim, a, c, 0);
    sim_publish(sim, a, "plus", 1, 100, 1);
    assert_true(sim_converge(sim, 60000));
    assert_true(sim_linked(sim, c, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void an_export_that_lasts_gives_what_is_published_meanwhile(void **state)
{
    (void) state;
    struct sim *sim = sim_new(81);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 4000, 1000, 1);
    unsigned parts = 0;
    while (bundle_part(sim, a, parts == 0, &file)) {
        if (parts % 3 == 0 && parts < 13) {
            sim_publish(sim, a, "fiche", 400, 1000, parts + 2);
            sim_withdraw(sim, a, "fiche-399");
        }
        parts++;
    }
    assert_true(parts > 10);
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.err, ERR_OK);
    assert_int_equal(outcome.accepted, 1);
    assert_true(bundle_same(sim, c, a, a));
    assert_false(sim_has(sim, c, a, "fiche-399"));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void a_full_disk_ends_an_import_and_it_goes_on_later(void **state)
{
    (void) state;
    struct sim *sim = sim_new(82);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 6000, 1000, 1);
    bundle_export(sim, a, &file);
    const size_t size = 500000;
    for (unsigned parts = 1; parts < 12; parts += 2) {
        struct bundle_outcome outcome = {0};
        for (unsigned i = 0; i < parts; i++) {
            bundle_import_part(sim, c, bytes_of(file.data + i * size, size), false, &outcome);
            assert_int_equal(outcome.err, ERR_OK);
        }
        sim_full(sim, c, true);
        bundle_import_part(sim, c, bytes_of(file.data + parts * size, size), false, &outcome);
        if (outcome.err == ERR_OK) { /* that turn had nothing to write */
            bundle_import_part(sim, c, bytes_of("", 0), true, &outcome);
        }
        assert_int_equal(outcome.err, ERR_FULL);
        sim_full(sim, c, false);
        assert_true(sim_verify(sim, c));
    }
    assert_int_equal(bundle_import(sim, c, buf_bytes(&file)).accepted, 1);
    assert_true(bundle_same(sim, c, a, a));
    sim_free(sim);
}

/* Everything that waits for that lab is stepped; its turn does not end. */
static void step_all(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    while (lab->inbox != NULL) {
        struct sim_item *item = lab->inbox;
        lab->inbox = item->next;
        item->event.bytes = buf_bytes(&item->bytes);
        item->event.address = item->address;
        sim_step(sim, number, &item->event);
        sim_item_free(item);
    }
    lab->inbox_last = NULL;
}

static void what_a_peer_gave_whole_in_the_same_turn_is_waited_for(void **state)
{
    (void) state;
    struct sim *sim = sim_new(85);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_publish(sim, a, "fiche", 2500, 60, 1);
    bundle_export(sim, a, &file);
    sim_latency(sim, 1000, 1000);
    sim_link(sim, c, a);
    const struct fetch *fetch = &sim->labs[c]->node->fetches[0];
    while (!fetch->open) {
        assert_true(sim_next(sim, sim_now(sim) + 10000));
    }
    sim_run(sim, 1500);
    sim_busy(sim, 100000); /* the delta is on its way: let it come, unheard */
    sim_run(sim, 1000);
    step_all(sim, c);
    assert_true(fetch->complete);
    struct bundle_outcome outcome = bundle_import_by(sim, c, buf_bytes(&file), 1000000);
    assert_int_equal(outcome.err, ERR_OK);
    assert_int_equal(outcome.unchanged, 1);
    assert_true(outcome.whole);
    assert_true(bundle_same(sim, c, a, a));
    assert_true(sim_verify(sim, c));
    sim_free(sim);
}

static void what_came_from_a_peer_between_two_parts_is_passed_over(void **state)
{
    (void) state;
    struct sim *sim = sim_new(86);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_publish(sim, a, "fiche", 40, 60, 1);
    bundle_export(sim, a, &file);
    struct bundle_outcome outcome = {0};
    bundle_import_part(sim, c, bytes_of(file.data, 700), false, &outcome);
    assert_int_equal(outcome.incomplete, 1);
    sim_link(sim, c, a);
    sim_run(sim, 10000);
    assert_true(bundle_same(sim, c, a, a));
    bundle_import_part(sim, c, bytes_of(file.data + 700, file.size - 700), true, &outcome);
    assert_int_equal(outcome.err, ERR_OK);
    assert_int_equal(outcome.unchanged, 1);
    assert_true(outcome.whole);
    sim_free(sim);
}

static void a_file_that_pauses_loses_nothing(void **state)
{
    (void) state;
    struct pair pair;
    pair_make(&pair, 89);
    struct bundle_outcome outcome = {0};
    for (size_t at = 0; at < pair.file.size; at += pair.file.size / 16) {
        size_t left = pair.file.size - at;
        size_t size = left < pair.file.size / 16 ? left : pair.file.size / 16;
        bundle_import_part(pair.sim, pair.c, bytes_of(pair.file.data + at, size), size == left,
                           &outcome);
        assert_int_equal(outcome.err, ERR_OK);
        sim_run(pair.sim, 40000);
    }
    assert_int_equal(outcome.accepted, 2);
    assert_false(outcome.again);
    assert_int_equal(held_rightly(&pair), 2);
    pair_done(&pair);
}

static void a_small_disk_says_so_and_keeps_what_it_took(void **state)
{
    (void) state;
    struct sim *sim = sim_new(87);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    sim_publish(sim, a, "fiche", 12000, 1000, 1);
    bundle_export(sim, a, &file);
    sim_map(sim, 10u << 20);
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    struct bundle_outcome outcome = bundle_import(sim, c, buf_bytes(&file));
    assert_int_equal(outcome.err, ERR_FULL);
    assert_true(staged(sim, c, a));
    assert_true(sim_verify(sim, c));
    sim_stop(sim, c);
    sim_map(sim, 1u << 30);
    sim_start(sim, c);
    assert_int_equal(bundle_import(sim, c, buf_bytes(&file)).accepted, 1);
    assert_true(bundle_same(sim, c, a, a));
    sim_free(sim);
}

static void one_import_at_a_time_and_a_silent_one_is_dropped(void **state)
{
    (void) state;
    struct pair pair;
    pair_make(&pair, 83);
    struct bundle_outcome outcome = {0};
    bundle_import_part(pair.sim, pair.c, bytes_of(pair.file.data, 100), false, &outcome);
    assert_int_equal(outcome.err, ERR_OK);
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 1);
    pack_cstr(&params, "part");
    pack_bin(&params, bytes_of(pair.file.data, 100));
    assert_int_equal(
        sim_request_by(pair.sim, pair.c, 2, CTL_bundle_import, buf_bytes(&params), NULL), ERR_BUSY);
    sim_run(pair.sim, 61000);
    assert_int_equal(
        sim_request_by(pair.sim, pair.c, 2, CTL_bundle_import, buf_bytes(&params), NULL), ERR_OK);
    sim_run(pair.sim, 61000);
    assert_int_equal(bundle_import(pair.sim, pair.c, buf_bytes(&pair.file)).accepted, 2);
    pair_done(&pair);
}

static void a_daemon_that_dies_while_it_imports_has_lost_nothing(void **state)
{
    (void) state;
    struct sim *sim = sim_new(84);
    defer(buf_done) struct buf file = {0};
    unsigned a = sim_lab(sim, "A");
    unsigned c = sim_lab(sim, "C");
    sim_apart(sim, c, true);
    sim_publish(sim, a, "fiche", 6000, 1000, 1);
    bundle_export(sim, a, &file);
    struct bundle_outcome outcome = {0};
    for (size_t at = 0; at + PART_SIZE < file.size; at += PART_SIZE) {
        bundle_import_part(sim, c, bytes_of(file.data + at, PART_SIZE), false, &outcome);
        assert_int_equal(outcome.err, ERR_OK);
    }
    sim_crash(sim, c);
    sim_start(sim, c);
    assert_true(staged(sim, c, a));
    assert_true(sim_verify(sim, c));
    assert_int_equal(bundle_import(sim, c, buf_bytes(&file)).accepted, 1);
    assert_true(bundle_same(sim, c, a, a));
    sim_free(sim);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]); /* by hand */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bundle_carries_catalogues_to_a_lab_that_never_links),
        cmocka_unit_test(what_came_from_a_file_is_announced_to_every_peer),
        cmocka_unit_test(a_later_bundle_brings_only_what_is_new_and_an_older_one_nothing),
        cmocka_unit_test(a_bundle_withdraws_what_nobody_remembers_as_withdrawn),
        cmocka_unit_test(a_large_delta_goes_on_where_the_file_was_cut),
        cmocka_unit_test(what_was_staged_and_is_gone_meanwhile_goes),
        cmocka_unit_test(of_a_file_that_lies_in_its_middle_nothing_is_kept),
        cmocka_unit_test(what_another_staged_wrongly_is_read_again),
        cmocka_unit_test(a_file_cut_at_any_byte_counts_up_to_its_last_whole_delta),
        cmocka_unit_test(no_flipped_bit_makes_anything_wrong_be_held),
        cmocka_unit_test(parts_of_any_size_make_the_same),
        cmocka_unit_test(a_file_goes_before_a_peer_that_serves_the_same),
        cmocka_unit_test(an_export_that_lasts_gives_what_is_published_meanwhile),
        cmocka_unit_test(a_full_disk_ends_an_import_and_it_goes_on_later),
        cmocka_unit_test(what_a_peer_gave_whole_in_the_same_turn_is_waited_for),
        cmocka_unit_test(what_came_from_a_peer_between_two_parts_is_passed_over),
        cmocka_unit_test(a_file_that_pauses_loses_nothing),
        cmocka_unit_test(a_small_disk_says_so_and_keeps_what_it_took),
        cmocka_unit_test(one_import_at_a_time_and_a_silent_one_is_dropped),
        cmocka_unit_test(a_daemon_that_dies_while_it_imports_has_lost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
