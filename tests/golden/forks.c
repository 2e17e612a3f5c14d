/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/golden/forks.c: lab a's signing key on two machines: branches of heads, merge heads, the
 * openings that lead through them, fork proofs, and a recovery statement; and what of all that is
 * refused.
 *
 *     a      1 ─ 2 ─ 3 ─ 4 ─ 5 ─ 6
 *     b                └ 4 ─ … ─ 8 ─ 9 (joins a from 4) ─ 10
 *     c                                └ 10 ─ 11 ─ 12 (joins b from 10)
 *     tie    1 ─ 2 and 2: 3 joins the lower hash
 *     first  1 ─ 2 ─ 3 and 1 ─ 2: 4 joins it from 1
 *     wrong  as tie, but 3 joins the higher hash
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/fork.h"
#include "proto/msg.h"
#include "proto/pack.h"
#include "proto/recover.h"
#include "proto/root.h"
#include "tests/golden/golden.h"

#define HEADS_MAX 16

struct branch {
    uint64_t n;
    struct head heads[HEADS_MAX + 1]; /* by number */
    struct buf bytes[HEADS_MAX + 1];
    struct opening whole; /* from 1 on, the last head included */
};

enum { BRANCH_A, BRANCH_B, BRANCH_C, BRANCH_TIE, BRANCH_FIRST, BRANCH_WRONG, BRANCH_COUNT };
static const char *const names[BRANCH_COUNT] = {"a", "b", "c", "tie", "first", "wrong"};

struct forks {
    struct golden *golden;
    struct branch branches[BRANCH_COUNT];
};

/* ---- branches ---- */

static void fits(enum err err)
{
    must(err == ERR_OK);
}

static void head_put(struct forks *forks, struct branch *branch, uint64_t issued_at,
                     const struct hash *history)
{
    struct digests digests;
    digests_init(&digests);
    uint64_t n = ++branch->n;
    must(n <= HEADS_MAX);
    struct head *head = &branch->heads[n];
    *head = (struct head){.generation = 1,
                          .audience = "public",
                          .n = n,
                          .root = digests_root(&digests),
                          .history = *history,
                          .issued_at = issued_at};
    memcpy(head->lab.bytes, forks->golden->a.root_public, KEY_SIZE);
    fits(head_sign(head, forks->golden->a.signing_secret, &branch->bytes[n]));
    fits(opening_add(&branch->whole, BYTES_OF_ARRAY(head->hash.bytes)));
}

static void publish(struct forks *forks, struct branch *branch, uint64_t issued_at, unsigned count)
{
    static const struct hash zero;
    for (unsigned i = 0; i < count; i++) {
        struct hash history;
        if (branch->n == 0) {
            opening_begin(&branch->whole, 1);
        }
        fits(opening_history(&branch->whole, &zero, NULL, NULL, branch->n + 1, &history));
        head_put(forks, branch, issued_at, &history);
    }
}

/* The first `n` heads of another branch, without merge heads among them but those already there. */
static void branch_off(struct branch *branch, const struct branch *from, uint64_t n)
{
    struct opening_at at = {0};
    uint8_t room[OPENING_ITEM_MAX];
    struct bytes item;
    branch->n = n;
    opening_begin(&branch->whole, 1);
    while (at.hash < n && opening_next(&from->whole, &at, room, &item)) {
        fits(opening_add(&branch->whole, item));
    }
    for (uint64_t i = 1; i <= n; i++) {
        branch->heads[i] = from->heads[i];
        buf_put(&branch->bytes[i], buf_bytes(&from->bytes[i]));
    }
}

static void join(struct forks *forks, struct branch *trunk, const struct branch *side, uint64_t k)
{
    uint8_t number[8], item[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
    be64_put(number, k);
    fits(opening_add(&trunk->whole, BYTES_OF_ARRAY(number)));
    for (uint64_t n = k; n <= side->n; n++) {
        memcpy(item + 1, side->heads[n].hash.bytes, HASH_SIZE);
        fits(opening_add(&trunk->whole, BYTES_OF_ARRAY(item)));
    }
    publish(forks, trunk, 1735690000, 1);
}

/* Head 3 joins what should have been its trunk: no opening says so. */
static void join_wrongly(struct forks *forks, struct branch *branch, const struct branch *trunk)
{
    struct hash own = history_next(&branch->heads[2].history, &branch->heads[2].hash);
    struct hash other = history_next(&trunk->heads[2].history, &trunk->heads[2].hash);
    struct hash history = history_merge(&own, &other);
    head_put(forks, branch, 1735690000, &history);
}

static void branch_done(struct branch *branch)
{
    for (unsigned i = 0; i <= HEADS_MAX; i++) {
        buf_done(&branch->bytes[i]);
    }
    opening_done(&branch->whole);
}

static void branches_make(struct forks *forks)
{
    struct branch *branches = forks->branches;
    struct branch *a = &branches[BRANCH_A], *b = &branches[BRANCH_B], *c = &branches[BRANCH_C];
    publish(forks, a, 1735689601, 6);
    branch_off(b, a, 3);
    publish(forks, b, 1735689602, 5);
    join(forks, b, a, 4);
    publish(forks, b, 1735689603, 1);
    branch_off(c, b, 9);
    publish(forks, c, 1735689604, 2);
    join(forks, c, b, 10);

    struct branch other = {0}, *tie = &branches[BRANCH_TIE], *first = &branches[BRANCH_FIRST];
    publish(forks, &other, 1735689605, 2);
    uint64_t issued_at = 1735689606;
    do { /* until its hash is the higher one */
        branch_done(tie);
        branch_off(tie, &other, 1);
        publish(forks, tie, issued_at++, 1);
    } while (memcmp(tie->heads[2].hash.bytes, other.heads[2].hash.bytes, HASH_SIZE) < 0);
    join(forks, tie, &other, 2);
    publish(forks, first, 1735689607, 3);
    join(forks, first, &other, 1);
    branch_off(&branches[BRANCH_WRONG], &other, 2);
    join_wrongly(forks, &branches[BRANCH_WRONG], tie);
    branch_done(&other);
}

static void branches_out(struct forks *forks)
{
    struct out *out = &forks->golden->out;
    out_open(out, "branches", '{');
    for (unsigned i = 0; i < BRANCH_COUNT; i++) {
        out_open(out, names[i], '[');
        for (uint64_t n = 1; n <= forks->branches[i].n; n++) {
            out_hex(out, NULL, buf_bytes(&forks->branches[i].bytes[n]));
        }
        out_close(out, ']');
    }
    out_close(out, '}');
}

/* ---- openings ---- */

/* The items from head `from` on that lead to head n. */
static void items_take(const struct branch *branch, uint64_t from, uint64_t n,
                       struct opening *ret_opening)
{
    struct opening_at at = {0};
    uint8_t room[OPENING_ITEM_MAX];
    struct bytes item;
    opening_begin(ret_opening, from);
    while (opening_next(&branch->whole, &at, room, &item)) {
        bool trunk = item.size == HASH_SIZE;
        if (trunk && at.hash >= n) {
            break;
        }
        if (at.hash >= from) {
            fits(opening_add(ret_opening, item));
        }
    }
}

static enum err history_below(void *user, uint64_t n, struct hash *ret_history)
{
    const struct branch *branch = user;
    must(n <= branch->n);
    *ret_history = branch->heads[n].history;
    return ERR_OK;
}

/* `items` as given, whether or not they lead anywhere; `below`: what the receiver holds. */
static void opening_out(struct forks *forks, unsigned number, uint64_t held, uint64_t offered,
                        const struct list *items, const char *why)
{
    struct out *out = &forks->golden->out;
    struct branch *branch = &forks->branches[number];
    out_open(out, NULL, '{');
    if (why != NULL) {
        out_text(out, "what", "opening");
        out_text(out, "why", why);
    }
    out_text(out, "branch", names[number]);
    out_uint(out, "held", held);
    out_uint(out, "offered", offered);
    out_open(out, "below", '{');
    for (uint64_t n = 1; n < held; n++) {
        char key[8];
        (void) snprintf(key, sizeof key, "%u", (unsigned) n);
        out_hex(out, key, BYTES_OF_ARRAY(branch->heads[n].history.bytes));
    }
    out_close(out, '}');
    defer(opening_done) struct opening opening = {0};
    opening_begin(&opening, held == 0 ? 1 : held);
    enum err err = ERR_OK;
    size_t at = 0;
    struct bytes item;
    out_open(out, "opening", '[');
    while (list_next(items, &at, &item)) {
        out_hex(out, NULL, item);
        err = err == ERR_OK ? opening_add(&opening, item) : err;
    }
    out_close(out, ']');
    out_close(out, '}');
    struct hash from = held == 0 ? (struct hash){0} : branch->heads[held].history;
    if (err == ERR_OK) {
        err = opening_check(&opening, &from, history_below, branch, offered,
                            &branch->heads[offered].history);
    }
    must((err == ERR_OK) == (why == NULL));
}

/* The items of a true opening; `skip` leaves one out, `twice` doubles one, `flip` alters one's last
 * byte (all: SIZE_MAX for none). */
struct change {
    size_t skip, twice, flip;
};

static void items_list(const struct opening *opening, const struct change *change, struct buf *raw)
{
    struct opening_at at = {0};
    uint8_t room[OPENING_ITEM_MAX];
    struct bytes item;
    for (size_t i = 0; opening_next(opening, &at, room, &item); i++) {
        room[item.size - 1] ^= i == change->flip;
        if (i != change->skip) {
            list_put(raw, item);
        }
        if (i == change->twice) {
            list_put(raw, item);
        }
    }
}

static const struct change unchanged = {SIZE_MAX, SIZE_MAX, SIZE_MAX};

static void opening_changed_out(struct forks *forks, unsigned number, uint64_t held,
                                uint64_t offered, const struct change *change, const char *why)
{
    defer(opening_done) struct opening opening = {0};
    defer(buf_done) struct buf raw = {0};
    items_take(&forks->branches[number], held == 0 ? 1 : held, offered, &opening);
    items_list(&opening, change, &raw);
    must(raw.err == ERR_OK);
    opening_out(forks, number, held, offered, &(struct list){.raw = buf_bytes(&raw)}, why);
}

static void openings_out(struct forks *forks)
{
    static const uint64_t helds[] = {0, 1, 4, 8, 9, 10, 11};
    out_open(&forks->golden->out, "joined", '[');
    for (unsigned i = 0; i < sizeof helds / sizeof helds[0]; i++) {
        opening_changed_out(forks, BRANCH_C, helds[i], 12, &unchanged, NULL);
        if (helds[i] < 9) {
            opening_changed_out(forks, BRANCH_C, helds[i], 9, &unchanged, NULL);
        }
    }
    for (uint64_t held = 0; held < 3; held++) {
        opening_changed_out(forks, BRANCH_TIE, held, 3, &unchanged, NULL);
        opening_changed_out(forks, BRANCH_FIRST, held, 4, &unchanged, NULL);
    }
    out_close(&forks->golden->out, ']');
}

static void bad_openings_out(struct forks *forks)
{
    /* From 8: hash 8, k, three of the side, hashes 9 to 11, k, one of the side. */
    static const struct {
        struct change change;
        const char *why;
    } bads[] = {
        {{0, SIZE_MAX, SIZE_MAX}, "no hash before the side"},
        {{1, SIZE_MAX, SIZE_MAX}, "hashes of a side without k"},
        {{3, SIZE_MAX, SIZE_MAX}, "a side with a hash missing"},
        {{9, SIZE_MAX, SIZE_MAX}, "an empty side"},
        {{SIZE_MAX, 1, SIZE_MAX}, "k twice"},
        {{SIZE_MAX, 4, SIZE_MAX}, "a side with a hash twice"},
        {{SIZE_MAX, SIZE_MAX, 1}, "another k"},
        {{SIZE_MAX, SIZE_MAX, 2}, "an altered hash of a side"},
        {{SIZE_MAX, SIZE_MAX, 0}, "an altered hash before a side"},
    };
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        opening_changed_out(forks, BRANCH_C, 8, 12, &bads[i].change, bads[i].why);
    }
    const struct branch *branches = forks->branches;
    defer(buf_done) struct buf raw = {0};
    uint8_t k[8] = {[7] = 2}, side[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
    memcpy(side + 1, branches[BRANCH_TIE].heads[2].hash.bytes, HASH_SIZE);
    list_put(&raw, BYTES_OF_ARRAY(branches[BRANCH_WRONG].heads[1].hash.bytes));
    list_put(&raw, BYTES_OF_ARRAY(branches[BRANCH_WRONG].heads[2].hash.bytes));
    list_put(&raw, BYTES_OF_ARRAY(k));
    list_put(&raw, BYTES_OF_ARRAY(side));
    opening_out(forks, BRANCH_WRONG, 1, 3, &(struct list){.raw = buf_bytes(&raw)},
                "a side as long as the trunk, with the higher hash");
}

/* ---- fork proofs ---- */

/* A proof in its parts; the items packed, with their array's head. */
struct parts {
    const char *word;
    uint64_t version, k;
    struct bytes record;
    struct bytes heads[2];
    struct hash histories[2];
    struct buf items[2];
};

static void parts_done(struct parts *parts)
{
    buf_done(&parts->items[0]);
    buf_done(&parts->items[1]);
}

static void items_pack(const struct opening *opening, const struct change *change, struct buf *into)
{
    defer(buf_done) struct buf raw = {0};
    struct bytes item;
    size_t at = 0, count = 0;
    items_list(opening, change, &raw);
    struct list list = {.raw = buf_bytes(&raw)};
    while (list_next(&list, &at, &item)) {
        count++;
    }
    buf_clear(into);
    pack_array(into, count);
    pack_raw(into, buf_bytes(&raw));
}

static void part_take(struct parts *parts, unsigned i, const struct branch *branch, uint64_t n,
                      const struct change *change)
{
    defer(opening_done) struct opening opening = {0};
    parts->heads[i] = buf_bytes(&branch->bytes[n]);
    parts->histories[i] = branch->heads[parts->k].history;
    items_take(branch, parts->k, n, &opening);
    items_pack(&opening, change, &parts->items[i]);
}

static void parts_take(struct forks *forks, struct parts *parts, unsigned a, uint64_t a_n,
                       unsigned b, uint64_t b_n, uint64_t k)
{
    parts->word = "fork";
    parts->version = 1;
    parts->k = k;
    parts->record = buf_bytes(&forks->golden->a.record);
    part_take(parts, 0, &forks->branches[a], a_n, &unchanged);
    part_take(parts, 1, &forks->branches[b], b_n, &unchanged);
}

static void parts_put(const struct parts *parts, struct buf *into)
{
    pack_array(into, 10);
    pack_cstr(into, parts->word);
    pack_uint(into, parts->version);
    pack_bin(into, parts->record);
    pack_uint(into, parts->k);
    for (unsigned i = 0; i < 2; i++) {
        pack_bin(into, parts->heads[i]);
        pack_bin(into, BYTES_OF_ARRAY(parts->histories[i].bytes));
        pack_raw(into, buf_bytes(&parts->items[i]));
    }
    must(into->err == ERR_OK);
}

static void fork_out(struct forks *forks, const char *why, unsigned a, uint64_t a_n, unsigned b,
                     uint64_t b_n, uint64_t k)
{
    struct out *out = &forks->golden->out;
    defer(parts_done) struct parts parts = {0};
    defer(buf_done) struct buf bytes = {0}, encoded = {0};
    defer(opening_done) struct opening one = {0}, other = {0};
    struct forked forked;
    parts_take(forks, &parts, a, a_n, b, b_n, k);
    parts_put(&parts, &bytes);
    fits(fork_verify(buf_bytes(&bytes), &forked));
    items_take(&forks->branches[a], k, a_n, &one);
    items_take(&forks->branches[b], k, b_n, &other);
    fits(fork_encode(parts.record, k,
                     &(struct fork_branch){parts.heads[1], parts.histories[1], &other},
                     &(struct fork_branch){parts.heads[0], parts.histories[0], &one}, &encoded));
    must(bytes_equal(buf_bytes(&bytes), buf_bytes(&encoded)));
    out_open(out, NULL, '{');
    out_text(out, "why", why);
    out_hex(out, "bytes", buf_bytes(&bytes));
    out_uint(out, "k", forked.k);
    out_uint(out, "exact", forked.exact);
    out_hex(out, "lab", BYTES_OF_ARRAY(forked.record.lab.bytes));
    out_hex(out, "a", BYTES_OF_ARRAY(forked.a.hash.bytes));
    out_hex(out, "b", BYTES_OF_ARRAY(forked.b.hash.bytes));
    out_hex(out, "a_at_k", BYTES_OF_ARRAY(forked.a_at_k.bytes));
    out_hex(out, "b_at_k", BYTES_OF_ARRAY(forked.b_at_k.bytes));
    out_close(out, '}');
}

static void forks_out(struct forks *forks)
{
    const struct branch *branches = forks->branches;
    bool a_lower = memcmp(branches[BRANCH_A].heads[4].hash.bytes,
                          branches[BRANCH_B].heads[4].hash.bytes, HASH_SIZE) < 0;
    out_open(&forks->golden->out, "forks", '[');
    fork_out(forks, "two heads of one number", a_lower ? BRANCH_A : BRANCH_B, 4,
             a_lower ? BRANCH_B : BRANCH_A, 4, 4);
    fork_out(forks, "heads of other numbers", BRANCH_A, 6, BRANCH_B, 8, 4);
    fork_out(forks, "a merge head on the way", BRANCH_A, 6, BRANCH_B, 10, 4);
    fork_out(forks, "two merge heads on the way", BRANCH_A, 4, BRANCH_C, 12, 4);
    fork_out(forks, "from k on, but parted before", BRANCH_A, 6, BRANCH_B, 7, 5);
    fork_out(forks, "parted behind a merge head", BRANCH_B, 10, BRANCH_C, 11, 10);
    fork_out(forks, "parted at once", BRANCH_TIE, 2, BRANCH_FIRST, 4, 1);
    out_close(&forks->golden->out, ']');
}

static void bad_out(struct forks *forks, const char *what, const char *why, struct bytes bytes)
{
    struct out *out = &forks->golden->out;
    struct forked forked;
    struct lab_id lab;
    uint8_t link_pk[KEY_SIZE];
    uint64_t issued_at;
    enum err err = strcmp(what, "fork") == 0 ? fork_verify(bytes, &forked)
                                             : recover_open(bytes, &lab, link_pk, &issued_at);
    must(err != ERR_OK);
    out_open(out, NULL, '{');
    out_text(out, "what", what);
    out_text(out, "why", why);
    out_hex(out, "bytes", bytes);
    out_close(out, '}');
}

static void parts_bad(struct forks *forks, const struct parts *parts, const char *why)
{
    defer(buf_done) struct buf bytes = {0};
    parts_put(parts, &bytes);
    bad_out(forks, "fork", why, buf_bytes(&bytes));
}

/* Of a good proof, heads 6 of a and 10 of b from 4 on, everything but the items. */
static void bad_parts_out(struct forks *forks, const struct parts *good)
{
    struct parts parts = *good;
    parts.word = "forc";
    parts_bad(forks, &parts, "another word first");
    parts = *good;
    parts.version = 2;
    parts_bad(forks, &parts, "version 2");
    parts = *good;
    parts.k = 0;
    parts_bad(forks, &parts, "k is 0");
    parts.k = 7;
    parts_bad(forks, &parts, "k above the lower head's number");
    parts.k = 5;
    parts_bad(forks, &parts, "k is not where the items start");
    parts = *good;
    parts.record = buf_bytes(&forks->golden->b.record);
    parts_bad(forks, &parts, "another lab's record");
    parts = *good;
    parts.histories[1].bytes[31] ^= 1;
    parts_bad(forks, &parts, "an altered history");
    parts = *good;
    parts.heads[1] = parts.heads[0];
    parts.histories[1] = parts.histories[0];
    parts.items[1] = parts.items[0];
    parts_bad(forks, &parts, "one head twice");
    parts = *good;
    for (unsigned i = 0; i < 2; i++) {
        parts.heads[i] = good->heads[1 - i];
        parts.histories[i] = good->histories[1 - i];
        parts.items[i] = good->items[1 - i];
    }
    parts_bad(forks, &parts, "the higher head first");
}

static void bad_items_out(struct forks *forks)
{
    defer(parts_done) struct parts parts = {0};
    const struct branch *branches = forks->branches;
    parts_take(forks, &parts, BRANCH_A, 6, BRANCH_B, 10, 4);
    /* Hashes 4 to 8 (0 to 4), k and three of the side (5 to 8), hash 9. */
    static const struct {
        struct change change;
        const char *why;
    } bads[] = {{{0, SIZE_MAX, SIZE_MAX}, "the first hash missing"},
                {{9, SIZE_MAX, SIZE_MAX}, "the last hash missing"},
                {{SIZE_MAX, 9, SIZE_MAX}, "a hash too many"},
                {{5, SIZE_MAX, SIZE_MAX}, "a side without k"},
                {{8, SIZE_MAX, SIZE_MAX}, "a hash of the side missing"},
                {{SIZE_MAX, SIZE_MAX, 0}, "the hash at k altered"}};
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        part_take(&parts, 1, &branches[BRANCH_B], 10, &bads[i].change);
        parts_bad(forks, &parts, bads[i].why);
    }
    parts.k = 5;
    part_take(&parts, 0, &branches[BRANCH_A], 6, &unchanged);
    part_take(&parts, 1, &branches[BRANCH_B], 10, &unchanged);
    parts_bad(forks, &parts, "a side that starts below k");
    parts.k = 1;
    part_take(&parts, 0, &branches[BRANCH_A], 6, &unchanged);
    part_take(&parts, 1, &branches[BRANCH_B], 10, &unchanged);
    parts_bad(forks, &parts, "the same head at k");
    parts.k = 4;
    part_take(&parts, 0, &branches[BRANCH_B], 8, &unchanged);
    part_take(&parts, 1, &branches[BRANCH_B], 10, &unchanged);
    parts_bad(forks, &parts, "two heads of one history");
    part_take(&parts, 0, &branches[BRANCH_A], 6, &unchanged);
    part_take(&parts, 1, &branches[BRANCH_C], 12, &unchanged);
    parts.heads[1] = buf_bytes(&branches[BRANCH_B].bytes[10]);
    parts_bad(forks, &parts, "the items of another head");
}

/* Head 4 of branch a once more, with one field altered: beside the one that is there it is no fork
 * of that catalogue. */
static void bad_catalogue_out(struct forks *forks, const struct head *head, const char *why)
{
    defer(buf_done) struct buf bytes = {0};
    defer(parts_done) struct parts parts = {0};
    struct head altered = *head;
    fits(head_sign(&altered, forks->golden->a.signing_secret, &bytes));
    parts_take(forks, &parts, BRANCH_A, 4, BRANCH_B, 5, 4);
    parts.heads[0] = buf_bytes(&bytes);
    parts_bad(forks, &parts, why);
}

static void bad_forks_out(struct forks *forks)
{
    defer(parts_done) struct parts good = {0};
    defer(buf_done) struct buf bytes = {0};
    parts_take(forks, &good, BRANCH_A, 6, BRANCH_B, 10, 4);
    bad_parts_out(forks, &good);
    bad_items_out(forks);
    const struct head head = forks->branches[BRANCH_A].heads[4];
    struct head bad = head;
    bad.network.bytes[0] = 1;
    bad_catalogue_out(forks, &bad, "of two networks");
    bad = head;
    bad.lab.bytes[0] ^= 1;
    bad_catalogue_out(forks, &bad, "of two labs");
    bad = head;
    bad.generation = 2;
    bad_catalogue_out(forks, &bad, "of two generations");
    bad = head;
    bad.audience[0] = 'q';
    bad_catalogue_out(forks, &bad, "of two audiences");
    parts_put(&good, &bytes);
    buf_put_u8(&bytes, 0);
    bad_out(forks, "fork", "something follows", buf_bytes(&bytes));
    bytes.size -= 2;
    bad_out(forks, "fork", "cut at the end", buf_bytes(&bytes));
    buf_clear(&bytes);
    pack_array(&bytes, 0);
    bad_out(forks, "fork", "empty", buf_bytes(&bytes));
}

/* ---- recovery statements ---- */

static void statement(const struct golden_lab *lab, const char *word, uint64_t version,
                      const uint8_t secret[SIGN_SECRET_SIZE], enum hash_tag tag, struct buf *into)
{
    defer(buf_done) struct buf payload = {0};
    uint8_t signature[SIGNATURE_SIZE];
    pack_array(&payload, 5);
    pack_cstr(&payload, word);
    pack_uint(&payload, version);
    pack_bin(&payload, BYTES_OF_ARRAY(lab->root_public));
    pack_bin(&payload, BYTES_OF_ARRAY(lab->link_public));
    pack_uint(&payload, 1735690001);
    sign_bytes(tag, buf_bytes(&payload), secret, signature);
    buf_clear(into);
    pack_array(into, 2);
    pack_bin(into, buf_bytes(&payload));
    pack_bin(into, BYTES_OF_ARRAY(signature));
}

static void recoveries_out(struct forks *forks)
{
    struct golden *golden = forks->golden;
    const struct golden_lab *labs[] = {&golden->a, &golden->b};
    out_open(&golden->out, "recoveries", '[');
    for (unsigned i = 0; i < 2; i++) {
        defer(buf_done) struct buf bytes = {0};
        struct lab_id lab;
        memcpy(lab.bytes, labs[i]->root_public, KEY_SIZE);
        fits(recover_sign(&lab, labs[i]->root_secret, labs[i]->link_public,
                          i == 0 ? 1735690001 : UINT64_MAX, &bytes));
        out_open(&golden->out, NULL, '{');
        out_hex(&golden->out, "bytes", buf_bytes(&bytes));
        out_value(&golden->out, "value", bytes_of(bytes.data + 3, bytes.data[2]));
        out_close(&golden->out, '}');
    }
    out_close(&golden->out, ']');
}

static void bad_recoveries_out(struct forks *forks)
{
    const struct golden_lab *a = &forks->golden->a;
    defer(buf_done) struct buf bytes = {0};
    statement(a, "recovery", 1, a->root_secret, TAG_SIG_RECOVER, &bytes);
    bad_out(forks, "recover", "another word first", buf_bytes(&bytes));
    statement(a, "recover", 2, a->root_secret, TAG_SIG_RECOVER, &bytes);
    bad_out(forks, "recover", "version 2", buf_bytes(&bytes));
    statement(a, "recover", 1, a->signing_secret, TAG_SIG_RECOVER, &bytes);
    bad_out(forks, "recover", "signed by the signing key", buf_bytes(&bytes));
    statement(a, "recover", 1, a->root_secret, TAG_SIG_LAB, &bytes);
    bad_out(forks, "recover", "signed as a record", buf_bytes(&bytes));
    statement(a, "recover", 1, a->root_secret, TAG_SIG_RECOVER, &bytes);
    bytes.data[bytes.size - 1] ^= 1;
    bad_out(forks, "recover", "the signature altered", buf_bytes(&bytes));
    bad_out(forks, "recover", "a lab record", buf_bytes(&a->record));
}

static struct forks *forks_new(struct golden *golden)
{
    struct forks *forks = calloc(1, sizeof *forks);
    must(forks != NULL);
    forks->golden = golden;
    branches_make(forks);
    return forks;
}

static void forks_free(struct forks *forks)
{
    for (unsigned i = 0; i < BRANCH_COUNT; i++) {
        branch_done(&forks->branches[i]);
    }
    free(forks);
}

void golden_forks(struct golden *golden)
{
    struct forks *forks = forks_new(golden);
    branches_out(forks);
    openings_out(forks);
    forks_out(forks);
    recoveries_out(forks);
    forks_free(forks);
}

void golden_bad_forks(struct golden *golden)
{
    struct forks *forks = forks_new(golden);
    bad_openings_out(forks);
    bad_forks_out(forks);
    bad_recoveries_out(forks);
    forks_free(forks);
}
