/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/proof.c: what a proof shows, and that nothing else passes for one. */
#include "tests/unit/kit.h"

#include <sodium.h>
#include <stdio.h>

#include "base/defer.h"
#include "proto/pack.h"
#include "proto/proof.h"
#include "proto/scan.h"

#define ENTRIES 300

/* A small catalogue, signed. */
struct made {
    uint8_t pairs[BUCKET_COUNT][64 * PAIR_SIZE];
    size_t sizes[BUCKET_COUNT];
    struct digests digests;
    struct buf record, head;
    uint8_t signing_secret[SIGN_SECRET_SIZE];
    struct head signed_head;
};

static void entry_make(unsigned number, struct buf *into)
{
    char slug[32];
    (void) snprintf(slug, sizeof slug, "fiche-%u", number);
    defer(buf_done) struct buf body = {0};
    pack_map(&body, 1);
    pack_cstr(&body, "title");
    pack_cstr(&body, slug);
    struct entry entry = {.slug = bytes_of_str(slug),
                          .kind = bytes_of_str("resource"),
                          .body = buf_bytes(&body),
                          .rev = 3};
    assert_err(entry_encode(&entry, into), ERR_OK);
}

static int pair_order(const void *a, const void *b)
{
    return memcmp(a, b, SLUG_HASH_SIZE);
}

static void made_sign(struct made *made)
{
    uint8_t seed[SIGN_SEED_SIZE] = {7};
    uint8_t root_secret[SIGN_SECRET_SIZE];
    struct lab_record record = {.generation = 1, .name = bytes_of_str("Ti Lab"), .issued_at = 1};
    sign_keypair(seed, record.lab.bytes, root_secret);
    seed[0] = 8;
    sign_keypair(seed, record.signing_pk, made->signing_secret);
    record.link_pk[0] = 9;
    assert_err(lab_record_sign(&record, root_secret, &made->record), ERR_OK);
    made->signed_head = (struct head){.lab = record.lab,
                                      .generation = 1,
                                      .audience = "public",
                                      .n = 3,
                                      .count = ENTRIES,
                                      .bytes = 1000,
                                      .root = digests_root(&made->digests)};
    assert_err(head_sign(&made->signed_head, made->signing_secret, &made->head), ERR_OK);
}

static struct made *made_new(void)
{
    struct made *made = calloc(1, sizeof *made);
    assert_non_null(made);
    for (unsigned i = 0; i < ENTRIES; i++) {
        defer(buf_done) struct buf entry = {0};
        entry_make(i, &entry);
        struct entry view;
        assert_err(entry_decode(buf_bytes(&entry), &view), ERR_OK);
        struct slug_hash slug_hash = hash_slug(view.slug);
        struct hash leaf = entry_leaf(buf_bytes(&entry));
        unsigned bucket = bucket_of(&slug_hash);
        uint8_t *pair = made->pairs[bucket] + made->sizes[bucket];
        memcpy(pair, slug_hash.bytes, SLUG_HASH_SIZE);
        memcpy(pair + SLUG_HASH_SIZE, leaf.bytes, HASH_SIZE);
        made->sizes[bucket] += PAIR_SIZE;
    }
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        qsort(made->pairs[i], made->sizes[i] / PAIR_SIZE, PAIR_SIZE, pair_order);
        made->digests.buckets[i] = bucket_digest(bytes_of(made->pairs[i], made->sizes[i]));
    }
    made_sign(made);
    return made;
}

static void made_free(struct made *made)
{
    buf_done(&made->record);
    buf_done(&made->head);
    free(made);
}

/* A proof about `slug`, with `entry` or without. */
static void prove(const struct made *made, const char *slug, struct bytes entry, struct buf *into)
{
    struct slug_hash slug_hash = hash_slug(bytes_of_str(slug));
    unsigned bucket = bucket_of(&slug_hash);
    struct proof proof = {.record = buf_bytes(&made->record),
                          .head = buf_bytes(&made->head),
                          .slug = bytes_of_str(slug),
                          .entry = entry,
                          .pairs = bytes_of(made->pairs[bucket], made->sizes[bucket])};
    proof_path(&made->digests, bucket, proof.path);
    proof_encode(&proof, into);
    assert_err(into->err, ERR_OK);
}

static void every_entry_is_proven_there(void **state)
{
    struct made *made = *state;
    for (unsigned i = 0; i < ENTRIES; i++) {
        char slug[32];
        (void) snprintf(slug, sizeof slug, "fiche-%u", i);
        defer(buf_done) struct buf entry = {0};
        defer(buf_done) struct buf proof = {0};
        entry_make(i, &entry);
        prove(made, slug, buf_bytes(&entry), &proof);
        struct proven proven;
        assert_err(proof_verify(buf_bytes(&proof), &proven), ERR_OK);
        assert_true(proven.present);
        assert_true(bytes_equal(proven.entry.slug, bytes_of_str(slug)));
        assert_int_equal(proven.head.n, 3);
    }
}

static void an_absent_slug_is_proven_absent(void **state)
{
    struct made *made = *state;
    for (unsigned i = 0; i < 200; i++) {
        char slug[32];
        (void) snprintf(slug, sizeof slug, "absente-%u", i);
        defer(buf_done) struct buf proof = {0};
        prove(made, slug, (struct bytes){0}, &proof);
        struct proven proven;
        assert_err(proof_verify(buf_bytes(&proof), &proven), ERR_OK);
        assert_false(proven.present);
    }
}

static void presence_and_absence_cannot_be_exchanged(void **state)
{
    struct made *made = *state;
    struct proven proven;
    defer(buf_done) struct buf entry = {0};
    defer(buf_done) struct buf hidden = {0};
    defer(buf_done) struct buf invented = {0};
    entry_make(5, &entry);
    prove(made, "fiche-5", (struct bytes){0}, &hidden);
    assert_err(proof_verify(buf_bytes(&hidden), &proven), ERR_ROOT);
    defer(buf_done) struct buf stranger = {0};
    entry_make(ENTRIES + 5, &stranger);
    prove(made, "fiche-305", buf_bytes(&stranger), &invented);
    assert_err(proof_verify(buf_bytes(&invented), &proven), ERR_ROOT);
}

static void another_entrys_bytes_prove_nothing(void **state)
{
    struct made *made = *state;
    struct proven proven;
    defer(buf_done) struct buf entry = {0};
    defer(buf_done) struct buf proof = {0};
    entry_make(6, &entry);
    prove(made, "fiche-5", buf_bytes(&entry), &proof);
    assert_int_not_equal(proof_verify(buf_bytes(&proof), &proven), ERR_OK);
}

static void a_head_of_another_key_proves_nothing(void **state)
{
    struct made *made = *state;
    defer(buf_done) struct buf own = made->head;
    made->head = (struct buf){0};
    uint8_t seed[SIGN_SEED_SIZE] = {99};
    uint8_t thief[SIGN_SECRET_SIZE];
    uint8_t ignored[KEY_SIZE];
    sign_keypair(seed, ignored, thief);
    assert_err(head_sign(&made->signed_head, thief, &made->head), ERR_OK);
    defer(buf_done) struct buf entry = {0};
    defer(buf_done) struct buf proof = {0};
    entry_make(5, &entry);
    prove(made, "fiche-5", buf_bytes(&entry), &proof);
    struct proven proven;
    assert_err(proof_verify(buf_bytes(&proof), &proven), ERR_SIGNATURE);
    buf_done(&made->head);
    made->head = own;
    own = (struct buf){0};
}

static void no_altered_bit_and_no_cut_passes(void **state)
{
    struct made *made = *state;
    defer(buf_done) struct buf entry = {0};
    defer(buf_done) struct buf proof = {0};
    entry_make(5, &entry);
    prove(made, "fiche-5", buf_bytes(&entry), &proof);
    struct proven proven;
    for (size_t bit = 0; bit < proof.size * 8; bit++) {
        proof.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_int_not_equal(proof_verify(buf_bytes(&proof), &proven), ERR_OK);
        proof.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    for (size_t size = 0; size < proof.size; size++) {
        assert_int_not_equal(proof_verify(bytes_of(proof.data, size), &proven), ERR_OK);
    }
    assert_err(proof_verify(buf_bytes(&proof), &proven), ERR_OK);
}

/* The packed proof with item `item` replaced; 8 and more: appended. */
static void expect_replaced(struct bytes whole, size_t item, struct bytes packed, enum err wanted)
{
    defer(buf_done) struct buf bytes = {0};
    size_t at = 1;
    buf_put_u8(&bytes, (uint8_t) (item < 8 ? 0x98 : 0x99));
    for (size_t i = 0; i < 8; i++) {
        size_t from = at;
        assert_err(scan_skip(whole, &at), ERR_OK);
        buf_put(&bytes, i == item ? packed : bytes_of(whole.data + from, at - from));
    }
    if (item >= 8) {
        buf_put(&bytes, packed);
    }
    struct proven proven;
    assert_err(proof_verify(buf_bytes(&bytes), &proven), wanted);
}

static void an_item_of_another_kind_or_bounds_is_invalid(void **state)
{
    struct made *made = *state;
    defer(buf_done) struct buf entry = {0};
    defer(buf_done) struct buf proof = {0};
    entry_make(5, &entry);
    prove(made, "fiche-5", buf_bytes(&entry), &proof);
    static const uint8_t nothing[] = {0xc0}, number[] = {0x02}, below[] = {0xff};
    static const uint8_t text[] = {0xa5, 'p', 'r', 'o', 'o', 'm'}, none[] = {0xc4, 0};
    static const uint8_t odd[] = {0xc4, 1, 0}, capital[] = {0xa1, 'A'}, empty[] = {0x90};
    static const uint8_t few[] = {0x98, 0xc4, 0,    0xc4, 0,    0xc4, 0,    0xc4, 0,
                                  0xc4, 0,    0xc4, 0,    0xc4, 0,    0xc4, 0};
    static const uint8_t mixed[] = {0x98, 1, 2, 3, 4, 5, 6, 7, 8};
    struct bytes whole = buf_bytes(&proof);
    expect_replaced(whole, 0, BYTES_OF_ARRAY(text), ERR_INVALID);
    expect_replaced(whole, 1, BYTES_OF_ARRAY(number), ERR_INVALID);
    expect_replaced(whole, 1, BYTES_OF_ARRAY(below), ERR_INVALID);
    for (size_t item = 0; item < 8; item++) {
        if (item != 1) {
            expect_replaced(whole, item, BYTES_OF_ARRAY(number), ERR_INVALID);
        }
        if (item != 5) { /* nil for the entry: it is said to be absent */
            expect_replaced(whole, item, BYTES_OF_ARRAY(nothing), ERR_INVALID);
        }
    }
    expect_replaced(whole, 4, BYTES_OF_ARRAY(capital), ERR_SLUG);
    expect_replaced(whole, 5, BYTES_OF_ARRAY(none), ERR_INVALID);
    expect_replaced(whole, 6, BYTES_OF_ARRAY(odd), ERR_INVALID);
    expect_replaced(whole, 7, BYTES_OF_ARRAY(empty), ERR_INVALID);
    expect_replaced(whole, 7, BYTES_OF_ARRAY(few), ERR_INVALID);
    expect_replaced(whole, 7, BYTES_OF_ARRAY(mixed), ERR_INVALID);
    expect_replaced(whole, 8, BYTES_OF_ARRAY(nothing), ERR_INVALID);
}

static void a_record_of_another_generation_or_lab_proves_nothing(void **state)
{
    struct made *made = *state;
    defer(buf_done) struct buf entry = {0};
    entry_make(5, &entry);
    for (unsigned other = 0; other < 2; other++) {
        defer(buf_done) struct buf record_bytes = {0};
        defer(buf_done) struct buf proof = {0};
        uint8_t seed[SIGN_SEED_SIZE] = {(uint8_t) (7 + 10 * other)};
        uint8_t root_secret[SIGN_SECRET_SIZE];
        struct lab_record record = {.generation = 2 - other, .name = bytes_of_str("Ti Lab")};
        sign_keypair(seed, record.lab.bytes, root_secret);
        memcpy(record.signing_pk, made->signing_secret + SIGN_SEED_SIZE, KEY_SIZE);
        assert_err(lab_record_sign(&record, root_secret, &record_bytes), ERR_OK);
        struct made changed = *made;
        changed.record = record_bytes;
        prove(&changed, "fiche-5", buf_bytes(&entry), &proof);
        struct proven proven;
        assert_err(proof_verify(buf_bytes(&proof), &proven), ERR_SIGNATURE);
    }
}

static void more_bytes_than_a_proof_may_have_are_not_read(void **state)
{
    (void) state;
    static const uint8_t one[1];
    struct proven proven;
    assert_err(proof_verify(bytes_of(one, PROOF_SIZE_MAX + 1), &proven), ERR_SIZE);
}

static int set_up(void **state)
{
    *state = made_new();
    return sodium_init() < 0;
}

static int tear_down(void **state)
{
    made_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_proven_there),
        cmocka_unit_test(an_absent_slug_is_proven_absent),
        cmocka_unit_test(presence_and_absence_cannot_be_exchanged),
        cmocka_unit_test(another_entrys_bytes_prove_nothing),
        cmocka_unit_test(a_head_of_another_key_proves_nothing),
        cmocka_unit_test(no_altered_bit_and_no_cut_passes),
        cmocka_unit_test(an_item_of_another_kind_or_bounds_is_invalid),
        cmocka_unit_test(a_record_of_another_generation_or_lab_proves_nothing),
        cmocka_unit_test(more_bytes_than_a_proof_may_have_are_not_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
