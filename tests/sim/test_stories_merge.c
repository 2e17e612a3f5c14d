/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/test_stories_merge.c: nothing is lost where branches are joined, a repair is cut short
 * or a publication is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/defer.h"
#include "base/limits.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "proto/root.h"
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

/* What gave way in merges, by lab 0's client. */
struct gone {
    uint64_t total, count, pages;
    uint64_t kept_rev, merge_n; /* of the last one */
};

static struct gone gone_of(struct sim *sim, uint32_t client)
{
    struct gone gone = {0};
    uint8_t at[48] = {0};
    bool more = true;
    while (more) {
        defer(buf_done) struct buf params = {0};
        defer(buf_done) struct buf reply = {0};
        struct ctl_msg msg;
        struct bytes next = {0};
        pack_map(&params, gone.pages > 0 ? 1 : 0);
        if (gone.pages++ > 0) {
            pack_cstr(&params, "after");
            pack_bin(&params, BYTES_OF_ARRAY(at));
        }
        assert_err(sim_request_by(sim, 0, client, CTL_lost, buf_bytes(&params), &reply), ERR_OK);
        assert_err(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
        const msgpack_object *rows = ctl_get(&msg.result, "lost");
        assert_non_null(rows);
        for (uint32_t i = 0; i < rows->via.array.size; i++) {
            const msgpack_object *row = &rows->via.array.ptr[i];
            assert_err(ctl_get_uint(row, "kept", &gone.kept_rev), ERR_OK);
            assert_err(ctl_get_uint(row, "merge", &gone.merge_n), ERR_OK);
            gone.count++;
        }
        assert_err(ctl_get_uint(&msg.result, "total", &gone.total), ERR_OK);
        more = ctl_get_bin(&msg.result, "next", &next) == ERR_OK;
        if (more) {
            assert_int_equal(next.size, sizeof at);
            memcpy(at, next.data, sizeof at);
        }
        ctl_done(&msg);
    }
    assert_int_equal(gone.count, gone.total);
    return gone;
}

static enum err forget(struct sim *sim, const char *slug)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 1);
    pack_cstr(&params, "slugs");
    pack_array(&params, 1);
    pack_cstr(&params, slug);
    return sim_request(sim, 0, CTL_forget, buf_bytes(&params), NULL);
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

/* ---- what gives way ---- */

static void what_gives_way_is_kept_though_nobody_waits_for_the_answer(void **state)
{
    (void) state;
    struct sim *sim = forked(35, 3, 200);
    sim_publish(sim, 0, "a", 2, 200, 7); /* a-0 and a-1 otherwise; the longer branch */
    sim_cut(sim, 0, 1, false);
    sim_run(sim, 15 * MINUTE_MS);
    assert_true(sim_forked(sim, 0, 0));
    defer(buf_done) struct buf params = {0};
    repair_params(&params, false);
    sim_request_later(sim, 0, 1, CTL_repair, buf_bytes(&params));
    sim_run(sim, 10);
    assert_true(sim_forked(sim, 0, 0));
    sim_client_lost(sim, 0); /* killed in the middle of it */
    sim_run(sim, 5 * MINUTE_MS);
    assert_false(sim_forked(sim, 0, 0));
    struct gone gone = gone_of(sim, 2);
    assert_int_equal(gone.total, 2);
    assert_int_equal(gone.merge_n, 4);
    assert_int_equal(gone.kept_rev, 3);
    sim_stop(sim, 0);
    sim_start(sim, 0); /* keeps no history: and drops what it kept of it, but not this */
    sim_run(sim, 2ull * 24 * 60 * MINUTE_MS); /* a compaction, too */
    assert_int_equal(gone_of(sim, 1).total, 2);
    assert_true(sim_bytes(sim, 0, "essaimage 1.0") > 0);
    assert_true(sim_verify(sim, 0));
    assert_err(forget(sim, "a-2"), ERR_NOT_FOUND); /* nothing of that gave way */
    assert_err(forget(sim, "a-1"), ERR_OK);
    assert_int_equal(gone_of(sim, 1).total, 1);
    defer(buf_done) struct buf erase = {0};
    withdraw_params(&erase, "a-0", true);
    assert_err(sim_request(sim, 0, CTL_withdraw, buf_bytes(&erase), NULL), ERR_OK);
    assert_int_equal(gone_of(sim, 1).total, 0);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    assert_true(sim_verify(sim, 0));
    sim_free(sim);
}

static void who_keeps_what_gave_way_does_not_say_that_all_is_erased(void **state)
{
    (void) state;
    struct sim *sim = forked(41, 3, 200);
    struct head head;
    bool frozen = true;
    sim_publish(sim, 0, "a", 2, 200, 7);
    sim_cut(sim, 0, 1, false);
    sim_run(sim, 15 * MINUTE_MS);
    assert_err(sim_repair(sim, 0, false, &frozen), ERR_OK);
    assert_int_equal(gone_of(sim, 1).total, 2);
    sim_withdraw(sim, 0, "a-1");
    assert_true(sim_head(sim, 0, 0, &head));
    sim_run(sim, 2ull * 24 * 60 * MINUTE_MS);
    assert_int_equal(sim_claim(sim, 0, 1, 0), head.n); /* nothing gave way there */
    assert_int_equal(sim_claim(sim, 0, 0, 0), 0);
    assert_err(forget(sim, "a-0"), ERR_OK);
    assert_err(forget(sim, "a-1"), ERR_OK);
    sim_run(sim, 2ull * 24 * 60 * MINUTE_MS);
    assert_int_equal(sim_claim(sim, 0, 0, 0), head.n);
    sim_free(sim);
}

static void all_that_gives_way_is_kept_beyond_what_one_answer_tells(void **state)
{
    (void) state;
    struct sim *sim = forked(36, 1200, 1000);
    sim_publish(sim, 0, "a", 1200, 1000, 7);
    sim_cut(sim, 0, 1, false);
    sim_run(sim, 15 * MINUTE_MS);
    bool frozen = true;
    assert_err(sim_repair(sim, 0, false, &frozen), ERR_OK);
    assert_false(frozen);
    struct gone gone = gone_of(sim, 1);
    assert_int_equal(gone.total, 1200);
    assert_true(gone.pages > 1);
    assert_true(sim_verify(sim, 0));
    sim_free(sim);
}

static void a_merge_keeps_former_bodies_where_the_lab_wants_them(void **state)
{
    (void) state;
    for (unsigned longer = 0; longer < 2; longer++) { /* ours the shorter, the longer branch */
        struct sim *sim = sim_new(37 + longer);
        sim_keep(sim, true);
        (void) sim_lab(sim, "Ti Lab");
        (void) sim_lab(sim, "Région Sud");
        sim_link(sim, 0, 1);
        sim_publish(sim, 0, "fonds", 3, 200, 1);
        assert_true(sim_converge(sim, MINUTE_MS));
        sim_stop(sim, 0);
        sim_backup(sim, 0);
        sim_start(sim, 0);
        sim_publish(sim, 0, "fonds", 1, 200, 2); /* fonds-0 */
        sim_withdraw(sim, 0, "fonds-1");
        assert_true(sim_converge(sim, 10 * MINUTE_MS));
        sim_stop(sim, 0);
        sim_cut(sim, 0, 1, true);
        sim_restore(sim, 0);
        sim_start(sim, 0);
        for (unsigned i = 0; i < (longer ? 4 : 1); i++) {
            sim_publish(sim, 0, "b", 1, 200, 10 + i);
        }
        size_t of_b = revisions(sim, 0, "b-0");
        sim_cut(sim, 0, 1, false);
        sim_run(sim, 15 * MINUTE_MS);
        bool frozen = true;
        assert_err(sim_repair(sim, 0, false, &frozen), ERR_OK);
        assert_false(frozen);
        assert_int_equal(revisions(sim, 0, "fonds-0"), 2); /* replaced by the other branch */
        assert_int_equal(revisions(sim, 0, "fonds-1"), 1); /* withdrawn there */
        assert_int_equal(revisions(sim, 0, "fonds-2"), 1);
        assert_int_equal(revisions(sim, 0, "b-0"), of_b); /* signed anew is no former body */
        assert_int_equal(gone_of(sim, 1).total, 0);
        assert_true(sim_verify(sim, 0));
        sim_free(sim);
    }
}

/* ---- an entry that has no room for a longer number ---- */

struct thief {
    struct buf entry, head;
};

static void thief_serves(struct sim *sim, unsigned puppet, const struct msg *msg, void *user)
{
    const struct thief *thief = user;
    if (msg->type != MSG_WANT) {
        return;
    }
    if (!msg->want.has_after || msg->want.after_rev != UINT64_MAX) {
        defer(buf_done) struct buf raw = {0};
        list_put(&raw, buf_bytes(&thief->entry));
        struct msg delta = {
            .type = MSG_DELTA,
            .delta = {.stream = msg->want.stream, .entries = {.raw = buf_bytes(&raw), .count = 1}}};
        puppet_say(sim, puppet, &delta);
    }
    puppet_say(
        sim, puppet,
        &(struct msg){.type = MSG_DELTA_END,
                      .delta_end = {.stream = msg->want.stream, .head = buf_bytes(&thief->head)}});
}

/* Head 1 of that lab as an older version signed it elsewhere: one entry of the greatest size. */
static void thief_make(struct sim *sim, unsigned of, const char *slug, char filler,
                       struct thief *thief)
{
    static char text[ENTRY_SIZE_MAX];
    memset(text, filler, sizeof text);
    struct head head;
    assert_true(sim_head(sim, 0, 0, &head));
    defer(buf_done) struct buf body = {0};
    size_t rest = 1 + (1 + strlen(slug)) + 1 + (1 + strlen("need")) + 1 + (1 + strlen("body")) + 3;
    pack_map(&body, 1);
    pack_cstr(&body, "body");
    pack_str(&body, bytes_of(text, ENTRY_SIZE_MAX - rest));
    struct entry entry = {.slug = bytes_of_str(slug),
                          .kind = bytes_of_str("need"),
                          .body = buf_bytes(&body),
                          .rev = 1};
    buf_clear(&thief->entry);
    buf_clear(&thief->head);
    assert_err(entry_encode(&entry, &thief->entry), ERR_OK);
    assert_int_equal(thief->entry.size, ENTRY_SIZE_MAX);
    struct slug_hash slug_hash = hash_slug(entry.slug);
    struct hash leaf = entry_leaf(buf_bytes(&thief->entry));
    uint8_t pair[PAIR_SIZE];
    struct digests digests;
    memcpy(pair, slug_hash.bytes, SLUG_HASH_SIZE);
    memcpy(pair + SLUG_HASH_SIZE, leaf.bytes, HASH_SIZE);
    digests_init(&digests);
    digests.buckets[bucket_of(&slug_hash)] = bucket_digest(BYTES_OF_ARRAY(pair));
    head.lab = *sim_id(sim, of);
    head.n = head.count = 1;
    head.history = (struct hash){{0}};
    head.bytes = thief->entry.size;
    head.root = digests_root(&digests);
    assert_err(head_sign(&head, sim_signing(sim, of), &thief->head), ERR_OK);
}

static void an_entry_that_cannot_be_signed_anew_gives_way_and_is_kept(void **state)
{
    (void) state;
    for (char filler = 'a'; filler < 'i'; filler++) { /* of its leaf some are higher than ours */
        struct sim *sim = sim_new(39);
        struct thief thief = {0};
        const char *slug = filler % 2 == 0 ? "gros" : "b-0";
        (void) sim_lab(sim, "Ti Lab");
        unsigned puppet = sim_puppet(sim, "Voleur");
        sim_peer(sim, 0, puppet, false);
        sim_publish(sim, 0, "b", 1, 100, 1);
        for (unsigned i = 0; i < 127; i++) {
            sim_publish(sim, 0, "c", 1, 100, i);
        }
        thief_make(sim, 0, slug, filler, &thief);
        puppet_on(sim, puppet, thief_serves, &thief);
        assert_true(puppet_dial(sim, puppet, 0));
        sim_run(sim, 1000);
        bool frozen = true;
        assert_err(sim_repair(sim, 0, false, &frozen), ERR_OK);
        assert_false(frozen);
        struct gone gone = gone_of(sim, 1);
        assert_int_equal(gone.total, 1);
        assert_int_equal(gone.merge_n, 129); /* a number of two bytes */
        assert_int_equal(gone.kept_rev, filler % 2 == 0 ? 0 : 1);
        assert_false(sim_has(sim, 0, 0, "gros"));
        assert_true(sim_has(sim, 0, 0, "b-0"));
        assert_true(sim_verify(sim, 0));
        buf_done(&thief.entry);
        buf_done(&thief.head);
        sim_free(sim);
    }
}

/* ---- long branches ---- */

static uint64_t proof_size(struct sim *sim, unsigned lab)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    uint64_t size = 0;
    pack_map(&params, 0);
    assert_err(sim_request(sim, lab, CTL_forks, buf_bytes(&params), &reply), ERR_OK);
    assert_err(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
    const msgpack_object *forks = ctl_get(&msg.result, "forks");
    assert_int_equal(forks->via.array.size, 1);
    assert_err(ctl_get_uint(&forks->via.array.ptr[0], "proof_size", &size), ERR_OK);
    ctl_done(&msg);
    return size;
}

/* A puppet's catalogue of one entry, and many heads that never were but in its chain. */
struct chain {
    struct buf entry, head, hashes;
    uint64_t n;
};

static void chain_done(struct chain *chain)
{
    buf_done(&chain->entry);
    buf_done(&chain->head);
    buf_done(&chain->hashes);
}

static void chain_serves(struct sim *sim, unsigned puppet, const struct msg *msg, void *user)
{
    const struct chain *chain = user;
    if (msg->type != MSG_WANT) {
        return;
    }
    bool bare = msg->want.has_after && msg->want.after_rev == UINT64_MAX;
    struct msg delta = {.type = MSG_DELTA, .delta = {.stream = msg->want.stream}};
    if (!bare && msg->want.m == 0) {
        defer(buf_done) struct buf raw = {0};
        list_put(&raw, buf_bytes(&chain->entry));
        delta.delta.entries = (struct list){.raw = buf_bytes(&raw), .count = 1};
        puppet_say(sim, puppet, &delta);
        delta.delta.entries = (struct list){0};
    }
    uint64_t at = msg->want.m > 1 ? msg->want.m : 1;
    while (at < chain->n) {
        defer(buf_done) struct buf raw = {0};
        unsigned count = 0;
        for (; at < chain->n && count < 1500; at++, count++) {
            list_put(&raw, bytes_of(chain->hashes.data + (at - 1) * HASH_SIZE, HASH_SIZE));
        }
        delta.delta.opening = (struct list){.raw = buf_bytes(&raw), .count = count};
        puppet_say(sim, puppet, &delta);
    }
    puppet_say(
        sim, puppet,
        &(struct msg){.type = MSG_DELTA_END,
                      .delta_end = {.stream = msg->want.stream, .head = buf_bytes(&chain->head)}});
}

static void chain_make(struct sim *sim, unsigned of, uint64_t n, uint8_t salt, struct chain *chain)
{
    struct thief thief = {0};
    thief_make(sim, of, "fiche", 'x', &thief);
    struct head head;
    assert_err(head_peek(buf_bytes(&thief.head), &head), ERR_OK);
    for (uint64_t i = 1; i < n; i++) {
        struct hash hash = {{salt}};
        be64_put(hash.bytes + 8, i);
        buf_put(&chain->hashes, BYTES_OF_ARRAY(hash.bytes));
        head.history = history_next(&head.history, &hash);
    }
    chain->n = head.n = n;
    assert_err(head_sign(&head, sim_signing(sim, of), &chain->head), ERR_OK);
    chain->entry = thief.entry;
    buf_done(&thief.head);
}

static void chain_tell(struct sim *sim, unsigned puppet, uint64_t arrival, struct chain *chain)
{
    defer(buf_done) struct buf raw = {0};
    puppet_on(sim, puppet, chain_serves, chain);
    list_put_head(&raw, arrival, buf_bytes(&chain->head));
    struct msg msg = {.type = MSG_HEADS,
                      .heads = {.upto = arrival, .heads = {.raw = buf_bytes(&raw), .count = 1}}};
    puppet_say(sim, puppet, &msg);
    sim_run(sim, MINUTE_MS);
}

/* The whole of both branches would not fit into a proof: from the shorter one's tip on it does. */
static void of_branches_of_many_heads_a_short_proof_is_passed_on(void **state)
{
    (void) state;
    struct sim *sim = sim_new(40);
    struct chain one = {0};
    struct chain other = {0};
    unsigned a = sim_lab(sim, "Ti Lab");
    unsigned b = sim_lab(sim, "Région Sud");
    unsigned puppet = sim_puppet(sim, "Fourche");
    sim_link(sim, a, b);
    sim_peer(sim, a, puppet, false);
    sim_publish(sim, a, "fonds", 1, 100, 1);
    assert_true(puppet_dial(sim, puppet, a));
    chain_make(sim, puppet, 9000, 1, &one);
    chain_make(sim, puppet, 9010, 2, &other);
    chain_tell(sim, puppet, 1, &one);
    struct head head;
    assert_true(sim_head(sim, b, puppet, &head));
    assert_int_equal(head.n, 9000);
    chain_tell(sim, puppet, 2, &other);
    assert_true(sim_forked(sim, a, puppet));
    assert_true(sim_forked(sim, b, puppet)); /* who never saw but one branch */
    assert_in_range(proof_size(sim, b), 500, 2000);
    chain_done(&one);
    chain_done(&other);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_that_takes_long_is_waited_for_while_it_comes),
        cmocka_unit_test(a_branch_that_stops_coming_is_waited_for_a_minute),
        cmocka_unit_test(what_force_gives_up_is_gone_from_the_disk_in_that_turn),
        cmocka_unit_test(what_gives_way_is_kept_though_nobody_waits_for_the_answer),
        cmocka_unit_test(who_keeps_what_gave_way_does_not_say_that_all_is_erased),
        cmocka_unit_test(all_that_gives_way_is_kept_beyond_what_one_answer_tells),
        cmocka_unit_test(a_merge_keeps_former_bodies_where_the_lab_wants_them),
        cmocka_unit_test(an_entry_that_cannot_be_signed_anew_gives_way_and_is_kept),
        cmocka_unit_test(of_branches_of_many_heads_a_short_proof_is_passed_on),
        cmocka_unit_test(an_erasure_that_is_refused_in_the_turn_of_a_freeze_erases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
