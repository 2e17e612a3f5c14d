/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_break.c: what a hostile peer or lab tries where deltas are mended, chains
 * judged and branches joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/defer.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "proto/root.h"
#include "tests/sim/cluster.h"

#define MINUTE_MS 60000u

/* ---- a catalogue made by hand ---- */

/* One entry, and the head of a catalogue that holds it alone. */
struct made {
    struct buf entry, head, extra; /* extra: another entry of the same bucket */
    struct head view;
    struct digests digests;
    uint8_t pair[PAIR_SIZE];
    unsigned bucket;
};

static void made_done(struct made *made)
{
    buf_done(&made->entry);
    buf_done(&made->extra);
    buf_done(&made->head);
}

static void entry_make(const char *slug, uint64_t rev, struct buf *into)
{
    defer(buf_done) struct buf body = {0};
    pack_map(&body, 2);
    pack_cstr(&body, "summary");
    pack_cstr(&body, "Rien de particulier.");
    pack_cstr(&body, "title");
    pack_cstr(&body, "Fiche");
    struct entry entry = {.slug = bytes_of_str(slug),
                          .kind = bytes_of_str("need"),
                          .body = buf_bytes(&body),
                          .rev = rev};
    assert_int_equal(entry_encode(&entry, into), ERR_OK);
}

/* Signed by lab `of`, in the network of `near`'s own head. */
static void make(struct sim *sim, unsigned of, unsigned near, struct made *made)
{
    struct head known;
    assert_true(sim_head(sim, near, near, &known));
    entry_make("vrai", 1, &made->entry);
    struct slug_hash slug_hash = hash_slug(bytes_of_str("vrai"));
    struct hash leaf = entry_leaf(buf_bytes(&made->entry));
    memcpy(made->pair, slug_hash.bytes, SLUG_HASH_SIZE);
    memcpy(made->pair + SLUG_HASH_SIZE, leaf.bytes, HASH_SIZE);
    made->bucket = bucket_of(&slug_hash);
    digests_init(&made->digests);
    made->digests.buckets[made->bucket] = bucket_digest(BYTES_OF_ARRAY(made->pair));
    char slug[32];
    for (unsigned i = 0;; i++) {
        (void) snprintf(slug, sizeof slug, "faux-%u", i);
        struct slug_hash other = hash_slug(bytes_of_str(slug));
        if (bucket_of(&other) == made->bucket) {
            break;
        }
    }
    entry_make(slug, 1, &made->extra);
    made->view = (struct head){.network = known.network,
                               .lab = *sim_id(sim, of),
                               .generation = 1,
                               .audience = "public",
                               .n = 1,
                               .count = 1,
                               .bytes = made->entry.size,
                               .root = digests_root(&made->digests)};
    assert_int_equal(head_sign(&made->view, sim_signing(sim, of), &made->head), ERR_OK);
}

static void say_record(struct sim *sim, unsigned puppet, struct bytes record)
{
    defer(buf_done) struct buf raw = {0};
    list_put(&raw, record);
    puppet_say(sim, puppet,
               &(struct msg){.type = MSG_RECORDS, .records = {.raw = buf_bytes(&raw), .count = 1}});
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

static void say_end(struct sim *sim, unsigned puppet, uint64_t stream, struct bytes head)
{
    puppet_say(sim, puppet,
               &(struct msg){.type = MSG_DELTA_END, .delta_end = {.stream = stream, .head = head}});
}

static void say_entry(struct sim *sim, unsigned puppet, uint64_t stream, struct bytes entry)
{
    defer(buf_done) struct buf raw = {0};
    list_put(&raw, entry);
    puppet_say(sim, puppet,
               &(struct msg){
                   .type = MSG_DELTA,
                   .delta = {.stream = stream, .entries = {.raw = buf_bytes(&raw), .count = 1}}});
}

/* Its answer to BUCKETS. */
static void say_digests(struct sim *sim, unsigned puppet, uint64_t stream, const struct made *made)
{
    puppet_say(
        sim, puppet,
        &(struct msg){.type = MSG_BUCKETS,
                      .buckets = {.stream = stream,
                                  .n = UINT64_MAX,
                                  .lab = made->view.lab,
                                  .audience = bytes_of_str("public"),
                                  .digests = bytes_of(&made->digests, sizeof made->digests)}});
}

static void say_bucket(struct sim *sim, unsigned puppet, uint64_t stream, const struct made *made,
                       bool extra)
{
    defer(buf_done) struct buf raw = {0};
    list_put(&raw, buf_bytes(&made->entry));
    if (extra) {
        list_put(&raw, buf_bytes(&made->extra));
    }
    puppet_say(
        sim, puppet,
        &(struct msg){.type = MSG_BUCKET,
                      .bucket = {.stream = stream,
                                 .n = UINT64_MAX,
                                 .lab = made->view.lab,
                                 .audience = bytes_of_str("public"),
                                 .bucket = made->bucket,
                                 .pairs = BYTES_OF_ARRAY(made->pair),
                                 .entries = {.raw = buf_bytes(&raw), .count = extra ? 2 : 1}}});
}

/* A lab, and one that is played by the test, linked: its head was offered, its delta lacked the
 * entry, and it is asked for its digests. */
static struct sim *asked_for_buckets(uint64_t seed, struct made *made, uint64_t *ret_stream)
{
    struct sim *sim = sim_new(seed);
    struct msg msg;
    (void) sim_lab(sim, "Ti Lab");
    sim_publish(sim, 0, "fonds", 3, 200, 1);
    (void) sim_puppet(sim, "Malin");
    sim_peer(sim, 0, 1, false);
    assert_true(puppet_dial(sim, 1, 0));
    make(sim, 1, 0, made);
    say_head(sim, 1, 1, buf_bytes(&made->head));
    assert_true(puppet_await(sim, 1, MSG_WANT, 5000, &msg));
    *ret_stream = msg.want.stream;
    say_end(sim, 1, *ret_stream, buf_bytes(&made->head));
    assert_true(puppet_await(sim, 1, MSG_BUCKETS, 5000, &msg));
    assert_int_equal(msg.buckets.stream, *ret_stream);
    return sim;
}

/* ---- while a delta is mended ---- */

static void an_answered_question_about_buckets_makes_the_delta_whole(void **state)
{
    (void) state;
    defer(made_done) struct made made = {0};
    uint64_t stream = 0;
    struct sim *sim = asked_for_buckets(1, &made, &stream);
    say_digests(sim, 1, stream, &made);
    say_bucket(sim, 1, stream, &made, false);
    sim_run(sim, 5000);
    assert_true(puppet_linked(sim, 1));
    assert_true(sim_has(sim, 0, 1, "vrai"));
    assert_true(sim_verify(sim, 0));
    sim_free(sim);
}

static void who_goes_on_with_a_delta_that_is_being_mended_is_closed(void **state)
{
    (void) state;
    for (unsigned what = 0; what < 3; what++) {
        defer(made_done) struct made made = {0};
        defer(buf_done) struct buf raw = {0};
        static const uint8_t hash[HASH_SIZE];
        uint64_t stream = 0;
        struct sim *sim = asked_for_buckets(2 + what, &made, &stream);
        list_put(&raw, BYTES_OF_ARRAY(hash));
        if (what == 0) { /* the chain was checked already */
            puppet_say(sim, 1,
                       &(struct msg){.type = MSG_DELTA,
                                     .delta = {.stream = stream,
                                               .opening = {.raw = buf_bytes(&raw), .count = 1}}});
        } else if (what == 1) {
            say_entry(sim, 1, stream, buf_bytes(&made.extra));
        } else {
            say_end(sim, 1, stream, buf_bytes(&made.head));
        }
        say_digests(sim, 1, stream, &made);
        say_bucket(sim, 1, stream, &made, false);
        sim_run(sim, 15000);
        assert_true(sim_live(sim, 0));
        assert_false(puppet_linked(sim, 1));
        assert_true(sim_verify(sim, 0));
        sim_publish(sim, 0, "suite", 1, 200, 1);
        sim_free(sim);
    }
}

static void an_entry_that_no_list_names_is_not_kept(void **state)
{
    (void) state;
    defer(made_done) struct made made = {0};
    uint64_t stream = 0;
    struct sim *sim = asked_for_buckets(5, &made, &stream);
    say_digests(sim, 1, stream, &made);
    say_bucket(sim, 1, stream, &made, true);
    sim_run(sim, 5000);
    assert_false(puppet_linked(sim, 1));
    assert_true(sim_verify(sim, 0));
    sim_free(sim);
}

/* More entries of one bucket than one list can name: refused, before looking among them costs much.
 */
static void a_bucket_is_not_filled_for_ever(void **state)
{
    (void) state;
    defer(made_done) struct made made = {0};
    uint64_t stream = 0;
    struct sim *sim = asked_for_buckets(6, &made, &stream);
    say_digests(sim, 1, stream, &made);
    unsigned said = 0;
    for (unsigned i = 0; said < 1500 && puppet_linked(sim, 1); i++) {
        defer(buf_done) struct buf raw = {0};
        defer(buf_done) struct buf entry = {0};
        char slug[32];
        (void) snprintf(slug, sizeof slug, "trop-%u", i);
        struct slug_hash slug_hash = hash_slug(bytes_of_str(slug));
        if (bucket_of(&slug_hash) != made.bucket) {
            continue;
        }
        entry_make(slug, 1, &entry);
        list_put(&raw, buf_bytes(&entry));
        puppet_say(sim, 1,
                   &(struct msg){.type = MSG_BUCKET,
                                 .bucket = {.stream = stream,
                                            .n = UINT64_MAX,
                                            .lab = made.view.lab,
                                            .audience = bytes_of_str("public"),
                                            .bucket = made.bucket,
                                            .entries = {.raw = buf_bytes(&raw), .count = 1}}});
        said++;
        if (said % 100 == 0) {
            sim_run(sim, 200);
        }
    }
    sim_run(sim, 2000);
    assert_false(puppet_linked(sim, 1));
    assert_true(sim_verify(sim, 0));
    sim_free(sim);
}

/* ---- innocent peers ---- */

static void a_relay_whose_delta_ends_with_a_head_that_is_over_by_now_is_not_to_blame(void **state)
{
    (void) state;
    for (unsigned known = 0; known < 2; known++) { /* too old; not known yet */
        struct sim *sim = sim_new(20 + known);
        defer(made_done) struct made made = {0};
        struct msg msg;
        (void) sim_lab(sim, "Ti Lab");
        sim_publish(sim, 0, "fonds", 3, 200, 1);
        unsigned relay = sim_puppet(sim, "Relais");
        unsigned third = sim_lab(sim, "Le Tiers");
        sim_publish(sim, third, "tiers", 1, 200, 1);
        sim_peer(sim, 0, relay, false);
        assert_true(puppet_dial(sim, relay, 0));
        make(sim, third, 0, &made);
        say_record(sim, relay, sim_record(sim, third));
        say_head(sim, relay, 1, buf_bytes(&made.head));
        assert_true(puppet_await(sim, relay, MSG_WANT, 5000, &msg));
        uint64_t stream = msg.want.stream;
        say_entry(sim, relay, stream, buf_bytes(&made.entry));
        if (known == 0) {
            say_record(sim, relay, sim_next_record(sim, third, 2));
        } else {
            made.view.generation = 2;
            buf_clear(&made.head);
            assert_int_equal(head_sign(&made.view, sim_signing(sim, third), &made.head), ERR_OK);
        }
        say_end(sim, relay, stream, buf_bytes(&made.head));
        sim_run(sim, 5000);
        assert_true(puppet_linked(sim, relay));
        assert_true(sim_verify(sim, 0));
        sim_free(sim);
    }
}

/* ---- the own catalogue ---- */

static struct bytes no_params(void)
{
    static const uint8_t empty_map[] = {0x80};
    return BYTES_OF_ARRAY(empty_map);
}

static enum err repair(struct sim *sim, unsigned lab, bool *ret_frozen)
{
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    enum err err = sim_request(sim, lab, CTL_repair, no_params(), &reply);
    if (err != ERR_OK) {
        return err;
    }
    assert_int_equal(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
    assert_int_equal(ctl_get_bool(&msg.result, "frozen", ret_frozen), ERR_OK);
    ctl_done(&msg);
    return ERR_OK;
}

static enum err try_one(struct sim *sim, unsigned lab, const char *prefix)
{
    return sim_try_publish(sim, lab,
                           &(struct sim_batch){.prefix = prefix, .count = 1, .size = 100});
}

/* Lab 0 was put back twice: lab 1 holds branch a, lab 2 branch b, itself it signed c. All know of
 * the fork between a and b. Lab 2 is away. */
static struct sim *three_branches(uint64_t seed)
{
    struct sim *sim = sim_new(seed);
    (void) sim_lab(sim, "Ti Lab");
    (void) sim_lab(sim, "Région Sud");
    (void) sim_lab(sim, "Lab4Lab");
    sim_link(sim, 0, 1);
    sim_link(sim, 0, 2);
    sim_link(sim, 1, 2);
    sim_publish(sim, 0, "fonds", 5, 200, 1);
    assert_true(sim_converge(sim, MINUTE_MS));
    sim_stop(sim, 0);
    sim_backup(sim, 0);
    sim_start(sim, 0);
    sim_cut(sim, 0, 2, true);
    sim_cut(sim, 1, 2, true);
    sim_publish(sim, 0, "a", 1, 200, 1);
    sim_run(sim, 5 * MINUTE_MS);
    sim_stop(sim, 0);
    sim_restore(sim, 0);
    sim_cut(sim, 0, 1, true);
    sim_cut(sim, 0, 2, false);
    sim_start(sim, 0);
    sim_publish(sim, 0, "b", 1, 200, 1);
    sim_run(sim, 10 * MINUTE_MS);
    assert_true(sim_has(sim, 1, 0, "a-0"));
    assert_true(sim_has(sim, 2, 0, "b-0"));
    sim_stop(sim, 0);
    sim_restore(sim, 0);
    sim_cut(sim, 0, 2, true);
    sim_start(sim, 0);
    sim_publish(sim, 0, "c", 1, 200, 1);
    sim_cut(sim, 1, 2, false);
    sim_run(sim, 10 * MINUTE_MS);
    return sim;
}

static void a_merge_that_leaves_a_branch_out_does_not_end_the_freeze(void **state)
{
    (void) state;
    struct sim *sim = three_branches(30);
    sim_stop(sim, 2);
    sim_cut(sim, 0, 1, false);
    sim_run(sim, 10 * MINUTE_MS);
    bool frozen = false;
    assert_int_equal(repair(sim, 0, &frozen), ERR_OK);
    assert_true(sim_has(sim, 0, 0, "a-0"));
    assert_true(sim_has(sim, 0, 0, "c-0"));
    sim_run(sim, MINUTE_MS); /* nobody who knows of b would take what is signed now */
    assert_int_equal(try_one(sim, 0, "perdu"), ERR_FROZEN);
    sim_cut(sim, 0, 2, false);
    sim_start(sim, 2);
    sim_run(sim, 10 * MINUTE_MS);
    assert_int_equal(repair(sim, 0, &frozen), ERR_OK);
    assert_false(frozen);
    sim_publish(sim, 0, "suite", 1, 200, 1);
    assert_true(sim_converge(sim, 20 * MINUTE_MS));
    for (unsigned lab = 0; lab < 3; lab++) {
        assert_true(sim_has(sim, lab, 0, "a-0"));
        assert_true(sim_has(sim, lab, 0, "b-0"));
        assert_true(sim_has(sim, lab, 0, "c-0"));
        assert_true(sim_has(sim, lab, 0, "suite-0"));
        assert_true(sim_verify(sim, lab));
    }
    sim_free(sim);
}

/* One record by a batch. */
static enum err batch_say(struct sim *sim, unsigned lab, const char *slug, bool more)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf body = {0};
    pack_map(&body, 2);
    pack_cstr(&body, "summary");
    pack_cstr(&body, "Rien de particulier.");
    pack_cstr(&body, "title");
    pack_cstr(&body, "Fiche");
    pack_map(&params, 2);
    pack_cstr(&params, "entries");
    pack_array(&params, 1);
    pack_array(&params, 3);
    pack_cstr(&params, slug);
    pack_cstr(&params, "need");
    pack_bin(&params, buf_bytes(&body));
    pack_cstr(&params, "more");
    pack_bool(&params, more);
    return sim_request_by(sim, lab, 1, CTL_publish, buf_bytes(&params), NULL);
}

static void a_batch_that_is_open_while_the_own_catalogue_comes_back_does_no_harm(void **state)
{
    (void) state;
    for (uint64_t seed = 40; seed < 44; seed++) {
        struct sim *sim = sim_new(seed);
        (void) sim_lab(sim, "Ti Lab");
        (void) sim_lab(sim, "Région Sud");
        sim_link(sim, 0, 1);
        sim_publish(sim, 0, "fonds", 5, 200, 1);
        assert_true(sim_converge(sim, MINUTE_MS));
        sim_stop(sim, 0);
        sim_backup(sim, 0);
        sim_start(sim, 0);
        sim_publish(sim, 0, "a", seed % 2 == 0 ? 5 : 3000, 200, 1);
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        sim_stop(sim, 0);
        sim_cut(sim, 0, 1, true);
        sim_restore(sim, 0);
        sim_start(sim, 0);
        sim_run(sim, MINUTE_MS);
        assert_int_equal(batch_say(sim, 0, "lot-1", true), ERR_OK);
        sim_cut(sim, 0, 1, false);
        for (unsigned i = 0; i < 100 && !sim_linked(sim, 0, 1); i++) {
            sim_run(sim, 500);
        }
        if (!sim_linked(sim, 0, 1)) {
            fail_msg("no link while the batch was open");
        }
        for (unsigned i = 0; i < 100 && !sim_has(sim, 0, 0, "a-4"); i++) {
            sim_run(sim, 50);
        }
        assert_true(sim_has(sim, 0, 0, "a-4"));
        enum err err = batch_say(sim, 0, "lot-2", false);
        assert_true(sim_live(sim, 0));
        assert_int_equal(sim_has(sim, 0, 0, "lot-1"), err == ERR_OK);
        assert_int_equal(sim_has(sim, 0, 0, "lot-2"), err == ERR_OK);
        sim_run(sim, 5 * MINUTE_MS);
        assert_true(sim_verify(sim, 0));
        assert_int_equal(try_one(sim, 0, "suite"), ERR_OK);
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        sim_free(sim);
    }
}

static void unusual_branches_are_joined_too(void **state)
{
    (void) state;
    for (unsigned what = 0; what < 4; what++) { /* bit 0: withdrawn there; bit 1: here */
        struct sim *sim = sim_new(50 + what);
        (void) sim_lab(sim, "Ti Lab");
        (void) sim_lab(sim, "Région Sud");
        sim_link(sim, 0, 1);
        sim_run(sim, 1000);
        sim_stop(sim, 0);
        sim_backup(sim, 0);
        sim_start(sim, 0);
        sim_publish(sim, 0, "a", 1, 200, 1);
        if ((what & 1) != 0) {
            sim_withdraw(sim, 0, "a-0");
        }
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        sim_stop(sim, 0);
        sim_cut(sim, 0, 1, true);
        sim_restore(sim, 0);
        sim_start(sim, 0);
        sim_publish(sim, 0, "b", 1, 200, 1); /* head 1 once more */
        if ((what & 2) != 0) {
            sim_withdraw(sim, 0, "b-0");
        }
        sim_cut(sim, 0, 1, false);
        sim_run(sim, 15 * MINUTE_MS);
        bool frozen = true;
        assert_int_equal(repair(sim, 0, &frozen), ERR_OK);
        assert_false(frozen);
        assert_int_equal(repair(sim, 0, &frozen), ERR_OK); /* nothing is left to be done */
        sim_publish(sim, 0, "suite", 1, 200, 1);
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        for (unsigned lab = 0; lab < 2; lab++) {
            assert_int_equal(sim_has(sim, lab, 0, "a-0"), (what & 1) == 0);
            assert_int_equal(sim_has(sim, lab, 0, "b-0"), (what & 2) == 0);
            assert_true(sim_has(sim, lab, 0, "suite-0"));
            assert_true(sim_verify(sim, lab));
        }
        sim_free(sim);
    }
}

static void a_batch_that_is_open_while_keys_are_rotated_does_no_harm(void **state)
{
    (void) state;
    struct sim *sim = sim_new(60);
    (void) sim_lab(sim, "Ti Lab");
    sim_publish(sim, 0, "fonds", 5, 200, 1);
    assert_int_equal(batch_say(sim, 0, "lot-1", true), ERR_OK);
    assert_int_equal(sim_rotate(sim, 0), ERR_OK);
    enum err err = batch_say(sim, 0, "lot-2", false);
    assert_true(sim_live(sim, 0));
    assert_int_equal(sim_has(sim, 0, 0, "lot-1"), err == ERR_OK);
    assert_int_equal(sim_has(sim, 0, 0, "lot-2"), err == ERR_OK);
    assert_int_equal(try_one(sim, 0, "suite"), ERR_OK);
    assert_true(sim_verify(sim, 0));
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answered_question_about_buckets_makes_the_delta_whole),
        cmocka_unit_test(who_goes_on_with_a_delta_that_is_being_mended_is_closed),
        cmocka_unit_test(an_entry_that_no_list_names_is_not_kept),
        cmocka_unit_test(a_bucket_is_not_filled_for_ever),
        cmocka_unit_test(a_relay_whose_delta_ends_with_a_head_that_is_over_by_now_is_not_to_blame),
        cmocka_unit_test(a_merge_that_leaves_a_branch_out_does_not_end_the_freeze),
        cmocka_unit_test(a_batch_that_is_open_while_keys_are_rotated_does_no_harm),
        cmocka_unit_test(unusual_branches_are_joined_too),
        cmocka_unit_test(a_batch_that_is_open_while_the_own_catalogue_comes_back_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
