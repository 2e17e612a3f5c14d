/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/fork: two histories under one key are shown, and nothing else is: no altered bit, no cut,
 * no honest line, no stranger's key convicts anybody. Lines are made by line.h.
 */
#include "proto/fork.h"

#include "base/defer.h"
#include "proto/pack.h"
#include "tests/unit/lack.h"
#include "tests/unit/line.h"

static struct line_keys keys;

/* Two branches of one line. */
struct pair {
    struct line *a, *b;
};

static void pair_done(struct pair *pair)
{
    free(pair->a);
    free(pair->b);
}

/* Both have the same heads below `k`, and `a_count`, `b_count` heads from there. */
static struct pair pair_make(uint64_t k, unsigned a_count, unsigned b_count)
{
    struct pair pair = {.a = line_new(&keys)};
    line_publish(pair.a, (unsigned) k - 1);
    pair.b = line_branch(pair.a, pair.a->n, 2);
    pair.a->stamp = 1;
    line_publish(pair.a, a_count);
    line_publish(pair.b, b_count);
    return pair;
}

/* A proof in its parts, to be altered. */
struct parts {
    const char *word;
    uint64_t version, k;
    struct bytes record, heads[2];
    struct hash histories[2];
    struct line_items items[2];
    unsigned extra;
};

static void branch_take(struct parts *parts, unsigned i, const struct line *line, uint64_t n)
{
    parts->heads[i] = line_head(line, n);
    parts->histories[i] = line->heads[parts->k].history;
    items_make(&parts->items[i], line, parts->k, n);
}

/* Heads `a_n` and `b_n`, the lower one first. */
static struct parts parts_make(const struct line *a, uint64_t a_n, const struct line *b,
                               uint64_t b_n, uint64_t k)
{
    struct parts parts = {
        .word = "fork", .version = 1, .k = k, .record = buf_bytes(&a->keys->signed_record)};
    int hashes = memcmp(a->heads[a_n].hash.bytes, b->heads[b_n].hash.bytes, HASH_SIZE);
    unsigned first = a_n != b_n ? a_n > b_n : hashes > 0;
    branch_take(&parts, first, a, a_n);
    branch_take(&parts, 1 - first, b, b_n);
    return parts;
}

static void parts_put(const struct parts *parts, struct buf *into)
{
    pack_array(into, 10 + parts->extra);
    pack_cstr(into, parts->word);
    pack_uint(into, parts->version);
    pack_bin(into, parts->record);
    pack_uint(into, parts->k);
    for (unsigned i = 0; i < 2; i++) {
        pack_bin(into, parts->heads[i]);
        pack_bin(into, BYTES_OF_ARRAY(parts->histories[i].bytes));
        pack_array(into, parts->items[i].count);
        for (size_t item = 0; item < parts->items[i].count; item++) {
            pack_bin(into, items_get(&parts->items[i], item));
        }
    }
    for (unsigned i = 0; i < parts->extra; i++) {
        pack_nil(into);
    }
    assert_err(into->err, ERR_OK);
}

/* In a block of its very size; and nothing is written unless it verifies. */
static enum err verified(struct bytes bytes, struct forked *ret_forked)
{
    struct bytes copy = kit_copy(bytes);
    struct forked forked = {.k = 77777};
    enum err err = fork_verify(copy, &forked);
    assert_true(err == ERR_OK || forked.k == 77777);
    if (err == ERR_OK && ret_forked != NULL) {
        *ret_forked = forked; /* its views are dead */
    }
    kit_free(copy);
    return err;
}

static void expect(const struct parts *parts, enum err wanted)
{
    defer(buf_done) struct buf bytes = {0};
    parts_put(parts, &bytes);
    assert_err(verified(buf_bytes(&bytes), NULL), wanted);
}

/* The proof by fork_encode, the branches given in both orders. */
static void encode(const struct line *a, uint64_t a_n, const struct line *b, uint64_t b_n,
                   uint64_t k, struct buf *into)
{
    struct opening openings[2] = {0};
    line_opening(a, k, a_n, &openings[0]);
    line_opening(b, k, b_n, &openings[1]);
    struct fork_branch one = {line_head(a, a_n), a->heads[k].history, &openings[0]};
    struct fork_branch other = {line_head(b, b_n), b->heads[k].history, &openings[1]};
    one.items = k == a_n ? NULL : one.items;
    defer(buf_done) struct buf again = {0};
    struct bytes record = buf_bytes(&a->keys->signed_record);
    assert_err(fork_encode(record, k, &one, &other, into), ERR_OK);
    assert_err(fork_encode(record, k, &other, &one, &again), ERR_OK);
    assert_true(bytes_equal(buf_bytes(into), buf_bytes(&again)));
    opening_done(&openings[0]);
    opening_done(&openings[1]);
}

/* Both ways of writing it agree, and it shows what it should. */
static void expect_proof(const struct line *a, uint64_t a_n, const struct line *b, uint64_t b_n,
                         uint64_t k, bool exact)
{
    defer(buf_done) struct buf bytes = {0}, by_hand = {0};
    struct forked forked;
    encode(a, a_n, b, b_n, k, &bytes);
    struct parts parts = parts_make(a, a_n, b, b_n, k);
    parts_put(&parts, &by_hand);
    assert_true(bytes_equal(buf_bytes(&bytes), buf_bytes(&by_hand)));
    assert_err(fork_verify(buf_bytes(&bytes), &forked), ERR_OK);
    assert_memory_equal(forked.record.lab.bytes, keys.record.lab.bytes, KEY_SIZE);
    assert_int_equal(forked.k, k);
    assert_int_equal(forked.exact, exact);
    bool a_first = bytes_equal(parts.heads[0], line_head(a, a_n));
    const struct line *first = a_first ? a : b, *second = a_first ? b : a;
    assert_int_equal(forked.a.n, a_first ? a_n : b_n);
    assert_int_equal(forked.b.n, a_first ? b_n : a_n);
    assert_true(bytes_equal(forked.a_signed, line_head(first, forked.a.n)));
    assert_true(bytes_equal(forked.b_signed, line_head(second, forked.b.n)));
    assert_true(forked.a_signed.data > bytes.data && forked.a_signed.data < forked.b_signed.data);
    assert_memory_equal(forked.a_at_k.bytes, first->heads[k].hash.bytes, HASH_SIZE);
    assert_memory_equal(forked.b_at_k.bytes, second->heads[k].hash.bytes, HASH_SIZE);
    assert_memory_equal(forked.a.hash.bytes, first->heads[forked.a.n].hash.bytes, HASH_SIZE);
}

/* ---- what is shown ---- */

static void two_heads_of_one_number_are_a_fork(void **state)
{
    (void) state;
    for (uint64_t k = 1; k < 6; k++) {
        defer(pair_done) struct pair pair = pair_make(k, 1, 1);
        expect_proof(pair.a, k, pair.b, k, k, true);
        expect_proof(pair.b, k, pair.a, k, k, true);
    }
}

static void two_heads_of_any_numbers_are_a_fork_by_what_leads_to_them(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(4, 6, 9);
    for (uint64_t a = 4; a <= 9; a++) {
        for (uint64_t b = 4; b <= 12; b++) {
            for (uint64_t k = 4; k <= a && k <= b; k++) {
                expect_proof(pair.a, a, pair.b, b, k, k == 4);
            }
        }
    }
}

static void branches_that_sign_odd_and_even_numbers_are_a_fork(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(1, 7, 8);
    for (uint64_t odd = 1; odd <= 7; odd += 2) {
        for (uint64_t even = 2; even <= 8; even += 2) {
            expect_proof(pair.a, odd, pair.b, even, 1, true);
        }
    }
}

static void branches_may_hold_merge_heads(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(3, 3, 5), other = pair_make(3, 5, 3);
    line_join(pair.b, pair.a); /* k = 3 lies on the way: head 8 of b joins what a is */
    line_publish(pair.b, 2);
    line_join(other.a, other.b);
    expect_proof(pair.b, 10, other.a, 8, 3, true);
    expect_proof(pair.b, 8, other.a, 7, 3, true);
    expect_proof(pair.b, 10, pair.a, 5, 3, true);   /* joined or not: that fork was signed */
    expect_proof(pair.b, 10, other.a, 8, 8, false); /* behind one merge head, and at one */
}

/* ---- what is not ---- */

static void one_history_is_no_fork_whatever_is_shown_of_it(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(3, 3, 5);
    struct line *line = pair.b;
    line_join(line, pair.a);
    line_publish(line, 2);
    for (uint64_t a = 1; a <= line->n; a++) {
        for (uint64_t b = 1; b <= line->n; b++) {
            for (uint64_t k = 1; k <= a && k <= b; k++) {
                struct parts parts = parts_make(line, a, line, b, k);
                /* The merge head 8 joined a side from 3 on. */
                bool below = k > 3 && ((a >= 8 && k < 8) || (b >= 8 && k < 8));
                expect(&parts, a == b || !below ? ERR_INVALID : ERR_UNLINKED);
            }
        }
    }
}

static void no_altered_bit_and_no_cut_passes(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(3, 3, 4), merged = pair_make(2, 2, 4);
    line_join(merged.b, merged.a);
    struct buf proofs[4] = {0};
    encode(pair.a, 3, pair.b, 3, 3, &proofs[0]);
    encode(pair.a, 5, pair.b, 6, 3, &proofs[1]);
    encode(pair.a, 5, pair.b, 6, 4, &proofs[2]);
    encode(merged.a, 3, merged.b, 6, 2, &proofs[3]);
    for (unsigned i = 0; i < 4; i++) {
        struct buf *proof = &proofs[i];
        assert_err(verified(buf_bytes(proof), NULL), ERR_OK);
        for (size_t bit = 0; bit < 8 * proof->size; bit++) {
            proof->data[bit / 8] ^= (uint8_t) (1u << bit % 8);
            assert_int_not_equal(verified(buf_bytes(proof), NULL), ERR_OK);
            proof->data[bit / 8] ^= (uint8_t) (1u << bit % 8);
        }
        for (size_t size = 0; size < proof->size; size++) {
            assert_err(verified(bytes_of(proof->data, size), NULL), ERR_CANONICAL);
        }
        buf_put_u8(proof, 0xc0);
        assert_err(verified(buf_bytes(proof), NULL), ERR_CANONICAL);
        buf_done(proof);
    }
}

static void it_has_its_form_and_no_other(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(3, 3, 5);
    const struct parts good = parts_make(pair.a, 5, pair.b, 7, 3);
    struct parts bad = good;
    expect(&good, ERR_OK);
    bad.word = "forc";
    expect(&bad, ERR_INVALID);
    bad = good;
    bad.version = 2;
    expect(&bad, ERR_INVALID);
    bad = good;
    bad.extra = 1;
    expect(&bad, ERR_INVALID);
    bad = good;
    bad.record = line_head(pair.a, 5);
    expect(&bad, ERR_INVALID);
    bad = good;
    bad.heads[1] = good.record;
    expect(&bad, ERR_INVALID);
    static const uint8_t strange[][3] = {{0x90}, {0x80}, {0xc0}, {0x93, 1, 2}, {0xa0}};
    static const size_t sizes[] = {1, 1, 1, 3, 1};
    for (unsigned i = 0; i < 5; i++) {
        enum err err = verified(bytes_of(strange[i], sizes[i]), NULL);
        assert_err(err, i == 3 ? ERR_CANONICAL : ERR_INVALID);
    }
    /* k = 3 in two bytes says the same, but not canonically. */
    defer(buf_done) struct buf bytes = {0}, longer = {0};
    parts_put(&good, &bytes);
    size_t at = 0;
    while (memcmp(bytes.data + at, "\x03\xc4", 2) != 0) {
        at++;
    }
    buf_put(&longer, bytes_of(bytes.data, at));
    buf_put_u8(&longer, 0xcc);
    buf_put(&longer, bytes_of(bytes.data + at, bytes.size - at));
    assert_err(verified(buf_bytes(&longer), NULL), ERR_CANONICAL);
    bytes.data[at] = 0xff; /* a negative k */
    assert_err(verified(buf_bytes(&bytes), NULL), ERR_INVALID);
}

static void k_lies_between_1_and_the_lower_number(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(1, 3, 5);
    const struct parts good = parts_make(pair.a, 3, pair.b, 5, 1);
    expect(&good, ERR_OK);
    static const uint64_t ks[] = {0, 4, 5, 6, UINT64_MAX};
    for (unsigned i = 0; i < sizeof ks / sizeof ks[0]; i++) {
        struct parts bad = good;
        bad.k = ks[i];
        expect(&bad, ERR_INVALID);
    }
    struct parts bad = good;
    bad.k = 2; /* the items are those from 1 */
    expect(&bad, ERR_UNLINKED);
}

static void branches_stand_in_their_order_and_are_two(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(3, 2, 2);
    for (uint64_t a_n = 3; a_n <= 4; a_n++) {
        const struct parts good = parts_make(pair.a, a_n, pair.b, 3, 3);
        expect(&good, ERR_OK);
        struct parts bad = good;
        for (unsigned i = 0; i < 2; i++) {
            bad.heads[i] = good.heads[1 - i];
            bad.histories[i] = good.histories[1 - i];
            bad.items[i] = good.items[1 - i];
        }
        expect(&bad, ERR_INVALID);
        bad = good;
        bad.heads[1] = good.heads[0];
        bad.histories[1] = good.histories[0];
        bad.items[1] = good.items[0];
        expect(&bad, ERR_INVALID);
    }
}

/* One of the branches' heads, 3 of a or 4 of b, is signed anew, altered. */
static void expect_altered(const struct pair *pair, const struct head *head,
                           const uint8_t secret[SIGN_SECRET_SIZE], enum err wanted)
{
    defer(buf_done) struct buf bytes = {0};
    struct head altered = *head;
    assert_err(head_sign(&altered, secret, &bytes), ERR_OK);
    struct parts parts = parts_make(pair->a, 3, pair->b, 4, 3);
    parts.heads[head->n - 3] = buf_bytes(&bytes);
    expect(&parts, wanted);
}

static void both_heads_are_of_one_catalogue_lab_and_generation(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(3, 1, 2);
    const struct head good = pair.b->heads[4];
    struct head bad = good;
    expect_altered(&pair, &good, keys.signing_secret, ERR_OK);
    bad.network.bytes[31] = 1;
    expect_altered(&pair, &bad, keys.signing_secret, ERR_INVALID);
    bad = good;
    bad.lab.bytes[0] ^= 1;
    expect_altered(&pair, &bad, keys.signing_secret, ERR_INVALID);
    bad = good;
    bad.generation = 2;
    expect_altered(&pair, &bad, keys.signing_secret, ERR_INVALID);
    bad = pair.a->heads[3];
    bad.generation = 2;
    expect_altered(&pair, &bad, keys.signing_secret, ERR_INVALID);
    bad = good;
    bad.audience[0] = 'q';
    expect_altered(&pair, &bad, keys.signing_secret, ERR_INVALID);
    bad = good;
    bad.audience[6] = '1';
    expect_altered(&pair, &bad, keys.signing_secret, ERR_INVALID);
    bad = good;
    bad.history.bytes[0] ^= 1;
    expect_altered(&pair, &bad, keys.signing_secret, ERR_UNLINKED);
    expect_altered(&pair, &good, keys.root_secret, ERR_SIGNATURE);
}

static void the_record_is_of_the_heads_lab_and_generation(void **state)
{
    (void) state;
    struct line_keys stranger = {0}, next = {0};
    defer(pair_done) struct pair pair = pair_make(3, 3, 5);
    const struct parts good = parts_make(pair.a, 5, pair.b, 7, 3);
    struct parts bad = good;
    line_keys_make(&stranger, 2, 1);
    line_keys_make(&next, 1, 2);
    bad.record = buf_bytes(&stranger.signed_record);
    expect(&bad, ERR_SIGNATURE);
    bad.record = buf_bytes(&next.signed_record);
    expect(&bad, ERR_SIGNATURE);
    /* A stranger who names the other lab's signing key convicts nobody. */
    memcpy(stranger.record.signing_pk, keys.record.signing_pk, KEY_SIZE);
    buf_clear(&stranger.signed_record);
    assert_err(lab_record_sign(&stranger.record, stranger.root_secret, &stranger.signed_record),
               ERR_OK);
    bad.record = buf_bytes(&stranger.signed_record);
    expect(&bad, ERR_INVALID);
    /* Nor does the lab's own record of another generation. */
    memcpy(next.record.signing_pk, keys.record.signing_pk, KEY_SIZE);
    buf_clear(&next.signed_record);
    assert_err(lab_record_sign(&next.record, next.root_secret, &next.signed_record), ERR_OK);
    bad.record = buf_bytes(&next.signed_record);
    expect(&bad, ERR_INVALID);
    /* A record that its lab did not sign. */
    buf_clear(&next.signed_record);
    buf_put(&next.signed_record, good.record);
    next.signed_record.data[next.signed_record.size - 1] ^= 1;
    bad.record = buf_bytes(&next.signed_record);
    expect(&bad, ERR_SIGNATURE);
    buf_done(&stranger.signed_record);
    buf_done(&next.signed_record);
}

static void items_lead_to_the_heads_or_are_refused(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(3, 3, 5);
    const struct parts good = parts_make(pair.a, 5, pair.b, 7, 3);
    struct parts bad;
    for (unsigned branch = 0; branch < 2; branch++) {
        for (size_t i = 0; i < good.items[branch].count; i++) {
            bad = good;
            bad.items[branch].bytes[i][31] ^= 1;
            expect(&bad, ERR_UNLINKED);
            for (size_t size = 0; size <= OPENING_ITEM_MAX + 1; size++) {
                bad = good;
                bad.items[branch].sizes[i] = size;
                expect(&bad, size == HASH_SIZE ? ERR_OK : ERR_INVALID);
            }
        }
        bad = good;
        bad.items[branch].count = 0;
        expect(&bad, ERR_UNLINKED);
        bad = good;
        bad.items[branch].count--;
        expect(&bad, ERR_UNLINKED);
        bad = good;
        items_put(&bad.items[branch], items_get(&good.items[branch], 0));
        expect(&bad, ERR_UNLINKED);
        bad = good;
        items_put_k(&bad.items[branch], 3); /* a side with nothing in it */
        expect(&bad, ERR_INVALID);
        bad = good;
        bad.histories[branch].bytes[0] ^= 1;
        expect(&bad, ERR_UNLINKED);
        bad = good;
        bad.items[branch] = good.items[1 - branch];
        expect(&bad, ERR_UNLINKED);
    }
}

static void no_side_starts_below_k(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(4, 3, 6), side = pair_make(3, 3, 3);
    line_join(pair.b, side.b); /* from 3 on, head 10 */
    struct parts parts = parts_make(pair.a, 6, pair.b, 10, 4);
    expect(&parts, ERR_UNLINKED);
    parts = parts_make(pair.a, 6, pair.b, 9, 4);
    expect(&parts, ERR_OK);
}

static void more_sides_than_an_opening_holds_are_too_large(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(1, 1, 30);
    struct parts parts = parts_make(pair.a, 1, pair.b, 30, 1);
    struct line_items few = parts.items[1];
    parts.items[1].count = 0;
    for (unsigned i = 0; i < 29; i++) {
        items_put(&parts.items[1], items_get(&few, i));
        if (i <= OPENING_SIDES_MAX) {
            items_put_k(&parts.items[1], 1);
            items_put_side(&parts.items[1], &(struct hash){{0}});
        }
    }
    expect(&parts, ERR_SIZE);
}

/* ---- limits ---- */

/* Heads 1 and `count` + 1 of two branches of a lab with a name of that size. */
struct large {
    struct line_keys keys;
    struct buf one, other;
    struct opening opening;
};

static void large_done(struct large *large)
{
    buf_done(&large->keys.signed_record);
    buf_done(&large->one);
    buf_done(&large->other);
    opening_done(&large->opening);
}

static void large_make(struct large *large, size_t count, size_t name_size)
{
    static const char name[] = "a name of sixty-four bytes, which is all that a name of a lab has";
    line_keys_make(&large->keys, 3, 1);
    large->keys.record.name = bytes_of(name, name_size);
    buf_clear(&large->keys.signed_record);
    assert_err(
        lab_record_sign(&large->keys.record, large->keys.root_secret, &large->keys.signed_record),
        ERR_OK);
    struct head head = {
        .lab = large->keys.record.lab, .generation = 1, .audience = "public", .n = 1};
    assert_err(head_sign(&head, large->keys.signing_secret, &large->one), ERR_OK);
    opening_begin(&large->opening, 1);
    for (size_t i = 0; i < count; i++) {
        uint8_t hash[HASH_SIZE] = {0};
        be64_put(hash, i);
        assert_err(opening_add(&large->opening, BYTES_OF_ARRAY(hash)), ERR_OK);
    }
    head.n = count + 1;
    assert_err(
        opening_history(&large->opening, &(struct hash){0}, NULL, NULL, head.n, &head.history),
        ERR_OK);
    assert_err(head_sign(&head, large->keys.signing_secret, &large->other), ERR_OK);
}

static enum err large_encode(const struct large *large, struct buf *into)
{
    struct fork_branch one = {buf_bytes(&large->one), {{0}}, NULL};
    struct fork_branch other = {buf_bytes(&large->other), {{0}}, &large->opening};
    return fork_encode(buf_bytes(&large->keys.signed_record), 1, &one, &other, into);
}

/* A proof of that very size: a hash takes 34 bytes, the lab's name what is left. */
static void large_of_size(struct large *large, size_t size)
{
    for (size_t name_size = 1; name_size <= LAB_NAME_SIZE_MAX; name_size++) {
        struct large small = {0};
        defer(buf_done) struct buf bytes = {0};
        large_make(&small, 300, name_size); /* as many bytes a number as thousands */
        assert_err(large_encode(&small, &bytes), ERR_OK);
        large_done(&small);
        if ((size - bytes.size) % 34 == 0) {
            large_make(large, 300 + (size - bytes.size) / 34, name_size);
            return;
        }
    }
    fail();
}

static void a_proof_has_at_most_its_largest_size(void **state)
{
    (void) state;
    for (size_t size = FORK_SIZE_MAX - 1; size <= FORK_SIZE_MAX + 1; size++) {
        defer(large_done) struct large large = {0};
        defer(buf_done) struct buf bytes = {0};
        large_of_size(&large, size);
        buf_put_u8(&bytes, 7);
        enum err wanted = size <= FORK_SIZE_MAX ? ERR_OK : ERR_SIZE;
        assert_err(large_encode(&large, &bytes), wanted);
        assert_int_equal(bytes.size, 1 + (wanted == ERR_OK ? size : 0)); /* behind what was there */
        if (wanted == ERR_OK) {
            assert_err(verified(bytes_of(bytes.data + 1, size), NULL), ERR_OK);
        }
    }
    uint8_t *zeros = calloc(1, FORK_SIZE_MAX + 1);
    assert_non_null(zeros);
    assert_err(verified(bytes_of(zeros, FORK_SIZE_MAX + 1), NULL), ERR_SIZE);
    assert_err(verified(bytes_of(zeros, FORK_SIZE_MAX), NULL), ERR_CANONICAL);
    free(zeros);
}

static void a_buffer_with_too_little_room_is_left_as_it_was(void **state)
{
    (void) state;
    defer(large_done) struct large large = {0};
    defer(buf_done) struct buf whole = {0}, small = {0};
    large_make(&large, 3, 5);
    assert_err(large_encode(&large, &whole), ERR_OK);
    buf_init(&small, whole.size - 1);
    assert_err(large_encode(&large, &small), ERR_SIZE);
    assert_int_equal(small.size, 0);
}

static void what_is_no_head_cannot_be_put_in_order(void **state)
{
    (void) state;
    defer(pair_done) struct pair pair = pair_make(3, 1, 1);
    defer(buf_done) struct buf bytes = {0};
    struct fork_branch good = {line_head(pair.a, 3), {{0}}, NULL};
    struct fork_branch bad = {buf_bytes(&keys.signed_record), {{0}}, NULL};
    assert_err(fork_encode(buf_bytes(&keys.signed_record), 3, &good, &bad, &bytes), ERR_INVALID);
    assert_err(fork_encode(buf_bytes(&keys.signed_record), 3, &bad, &good, &bytes), ERR_INVALID);
    assert_int_equal(bytes.size, 0);
}

static void without_memory_neither_a_proof_nor_a_verdict_is_made(void **state)
{
    (void) state;
    defer(large_done) struct large large = {0};
    defer(buf_done) struct buf whole = {0};
    large_make(&large, 3000, 5);
    assert_err(large_encode(&large, &whole), ERR_OK);
    bool met = true;
    for (unsigned granted = 0; met; granted++) {
        defer(buf_done) struct buf bytes = {0};
        lack_begin(granted);
        enum err err = large_encode(&large, &bytes);
        met = lack_end();
        assert_err(err, met ? ERR_NOMEM : ERR_OK);
        assert_int_equal(bytes.size, met ? 0 : whole.size);
        assert_true(granted < 100);
    }
    met = true;
    for (unsigned granted = 0; met; granted++) {
        struct forked forked = {.k = 5};
        lack_begin(granted);
        enum err err = fork_verify(buf_bytes(&whole), &forked);
        met = lack_end();
        assert_err(err, met ? ERR_NOMEM : ERR_OK);
        assert_int_equal(forked.k, met ? 5 : 1);
        assert_true(granted < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_heads_of_one_number_are_a_fork),
        cmocka_unit_test(two_heads_of_any_numbers_are_a_fork_by_what_leads_to_them),
        cmocka_unit_test(branches_that_sign_odd_and_even_numbers_are_a_fork),
        cmocka_unit_test(branches_may_hold_merge_heads),
        cmocka_unit_test(one_history_is_no_fork_whatever_is_shown_of_it),
        cmocka_unit_test(no_altered_bit_and_no_cut_passes),
        cmocka_unit_test(it_has_its_form_and_no_other),
        cmocka_unit_test(k_lies_between_1_and_the_lower_number),
        cmocka_unit_test(branches_stand_in_their_order_and_are_two),
        cmocka_unit_test(both_heads_are_of_one_catalogue_lab_and_generation),
        cmocka_unit_test(the_record_is_of_the_heads_lab_and_generation),
        cmocka_unit_test(items_lead_to_the_heads_or_are_refused),
        cmocka_unit_test(no_side_starts_below_k),
        cmocka_unit_test(more_sides_than_an_opening_holds_are_too_large),
        cmocka_unit_test(a_proof_has_at_most_its_largest_size),
        cmocka_unit_test(a_buffer_with_too_little_room_is_left_as_it_was),
        cmocka_unit_test(what_is_no_head_cannot_be_put_in_order),
        cmocka_unit_test(without_memory_neither_a_proof_nor_a_verdict_is_made),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    line_keys_make(&keys, 1, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&keys.signed_record);
    return failed;
}
