/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/head.c: a head is read back with its hash; each field out of its bounds, each altered bit
 * and each other shape is refused; order and history. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "proto/head.h"
#include "proto/pack.h"
#include "proto/signed.h"

static uint8_t public_key[KEY_SIZE], secret[SIGN_SECRET_SIZE];

static int keys_make(void **state)
{
    (void) state;
    uint8_t seed[SIGN_SEED_SIZE] = {7, 8, 9};
    sign_keypair(seed, public_key, secret);
    return 0;
}

static struct head head_made(void)
{
    struct head head = {.generation = 3,
                        .audience = "public",
                        .n = 42,
                        .count = 853,
                        .bytes = 921240,
                        .issued_at = 1700000000};
    memset(head.network.bytes, 1, HASH_SIZE);
    memset(head.lab.bytes, 2, KEY_SIZE);
    memset(head.root.bytes, 3, HASH_SIZE);
    memset(head.history.bytes, 4, HASH_SIZE);
    memset(head.instance, 5, INSTANCE_SIZE);
    return head;
}

/* Field by field: what lies between the fields is nobody's. */
static void assert_same(const struct head *a, const struct head *b)
{
    assert_memory_equal(a->network.bytes, b->network.bytes, HASH_SIZE);
    assert_memory_equal(a->lab.bytes, b->lab.bytes, KEY_SIZE);
    assert_true(a->generation == b->generation);
    assert_string_equal(a->audience, b->audience);
    assert_true(a->n == b->n);
    assert_true(a->count == b->count);
    assert_true(a->bytes == b->bytes);
    assert_memory_equal(a->root.bytes, b->root.bytes, HASH_SIZE);
    assert_memory_equal(a->history.bytes, b->history.bytes, HASH_SIZE);
    assert_true(a->issued_at == b->issued_at);
    assert_memory_equal(a->instance, b->instance, INSTANCE_SIZE);
    assert_memory_equal(a->hash.bytes, b->hash.bytes, HASH_SIZE);
}

static void a_head_is_read_back_with_its_hash(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct head head = head_made(), opened, peeked;
    assert_err(head_sign(&head, secret, &bytes), ERR_OK);
    struct bytes copy = kit_copy(buf_bytes(&bytes));
    assert_err(head_open(copy, public_key, &opened), ERR_OK);
    assert_err(head_peek(copy, &peeked), ERR_OK);
    assert_same(&opened, &head);
    assert_same(&peeked, &head);
    struct signed_object object;
    assert_err(signed_split(copy, HEAD_SIZE_MAX, &object), ERR_OK);
    struct hash hash = hash_of(TAG_HEAD_HASH, object.payload);
    assert_memory_equal(hash.bytes, head.hash.bytes, HASH_SIZE);
    kit_free(copy);
}

static void the_largest_head_fits_its_limit(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct head head = head_made(), opened;
    head.generation = head.n = head.count = head.bytes = head.issued_at = UINT64_MAX;
    memset(head.audience, 'a', AUDIENCE_SIZE_MAX);
    head.audience[AUDIENCE_SIZE_MAX] = '\0';
    assert_err(head_sign(&head, secret, &bytes), ERR_OK);
    assert_in_range(bytes.size, 1, HEAD_SIZE_MAX);
    assert_err(head_open(buf_bytes(&bytes), public_key, &opened), ERR_OK);
    assert_same(&opened, &head);
}

static void signing_refuses_what_nobody_may_say(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct head head = head_made();
    head.generation = 0;
    assert_err(head_sign(&head, secret, &bytes), ERR_INVALID);
    head = head_made();
    head.n = 0;
    assert_err(head_sign(&head, secret, &bytes), ERR_INVALID);
    head = head_made();
    head.audience[0] = 'P';
    assert_err(head_sign(&head, secret, &bytes), ERR_INVALID);
    head.audience[0] = '\0';
    assert_err(head_sign(&head, secret, &bytes), ERR_INVALID);
    memset(head.audience, 'a', sizeof head.audience); /* not closed */
    assert_err(head_sign(&head, secret, &bytes), ERR_INVALID);
    assert_int_equal(bytes.size, 0);
}

static void one_altered_bit_anywhere_is_refused(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct head head = head_made(), opened;
    assert_err(head_sign(&head, secret, &bytes), ERR_OK);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
        struct bytes copy = kit_copy(buf_bytes(&bytes));
        assert_true(head_open(copy, public_key, &opened) != ERR_OK);
        (void) (head_peek(copy, &opened) == ERR_OK);
        kit_free(copy);
        bytes.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    for (size_t cut = 0; cut < bytes.size; cut++) {
        struct bytes copy = kit_copy(bytes_of(bytes.data, cut));
        assert_err(head_open(copy, public_key, &opened), ERR_CANONICAL);
        kit_free(copy);
    }
}

static void a_head_of_another_key_is_peeked_but_not_opened(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct head head = head_made(), other = {.n = 77};
    uint8_t other_key[KEY_SIZE] = {1};
    assert_err(head_sign(&head, secret, &bytes), ERR_OK);
    assert_err(head_open(buf_bytes(&bytes), other_key, &other), ERR_SIGNATURE);
    assert_int_equal(other.n, 77);
    assert_err(head_peek(buf_bytes(&bytes), &other), ERR_OK);
}

static void payload_put(struct buf *into, unsigned replaced, const char *hex)
{
    static const char *const items[13] = {"a468656164", "01", "32", "32", "01", "a67075626c6963",
                                          "01",         "00", "00", "32", "32", "05",
                                          "16"};
    static const uint8_t zeroes[32];
    pack_array(into, 13);
    for (unsigned i = 0; i < 13; i++) {
        const char *item = i == replaced ? hex : items[i];
        if (strcmp(item, "32") == 0 || strcmp(item, "16") == 0) {
            pack_bin(into, bytes_of(zeroes, item[0] == '3' ? 32 : 16));
        } else {
            kit_hex(into, item);
        }
    }
}

static void signed_by_the_right_key_the_fields_are_checked_all_the_same(void **state)
{
    (void) state;
    static const struct {
        unsigned item;
        const char *hex;
        enum err err;
    } cases[] = {
        {99, "", ERR_OK},
        {0, "a36c6162", ERR_INVALID}, /* lab */
        {1, "02", ERR_INVALID},       /* version */
        {2, "16", ERR_INVALID},
        {3, "16", ERR_INVALID},
        {4, "00", ERR_INVALID}, /* generation */
        {5, "a0", ERR_INVALID}, /* audience */
        {5, "a65075626c6963", ERR_INVALID},
        {5, "c4067075626c6963", ERR_INVALID},
        {5,
         "d94161616161616161616161616161616161616161616161616161616161616161616161616161616161"
         "61616161616161616161616161616161616161616161616161",
         ERR_INVALID},
        {6, "00", ERR_INVALID}, /* n */
        {6, "ff", ERR_INVALID},
        {7, "ff", ERR_INVALID}, /* count */
        {8, "c0", ERR_INVALID}, /* bytes */
        {9, "16", ERR_INVALID},
        {10, "16", ERR_INVALID},
        {11, "c0", ERR_INVALID},
        {12, "32", ERR_INVALID}, /* instance */
        {12, "c400", ERR_INVALID},
        {11, "cc05", ERR_CANONICAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf payload = {0}, bytes = {0};
        payload_put(&payload, cases[i].item, cases[i].hex);
        uint8_t signature[SIGNATURE_SIZE];
        sign_bytes(TAG_SIG_HEAD, buf_bytes(&payload), secret, signature);
        pack_array(&bytes, 2);
        pack_bin(&bytes, buf_bytes(&payload));
        pack_bin(&bytes, BYTES_OF_ARRAY(signature));
        struct head head = {.n = 77};
        assert_err(head_open(buf_bytes(&bytes), public_key, &head), cases[i].err);
        assert_err(head_peek(buf_bytes(&bytes), &head), cases[i].err);
        assert_int_equal(head.n, cases[i].err == ERR_OK ? 1 : 77);
    }
}

static void a_head_over_the_size_limit_is_refused_unread(void **state)
{
    (void) state;
    static const uint8_t zeroes[HEAD_SIZE_MAX + 1];
    struct head head;
    assert_err(head_peek(bytes_of(zeroes, HEAD_SIZE_MAX + 1), &head), ERR_SIZE);
    assert_err(head_peek(bytes_of(zeroes, HEAD_SIZE_MAX), &head), ERR_CANONICAL);
    assert_err(head_open(bytes_of(zeroes, HEAD_SIZE_MAX + 1), public_key, &head), ERR_SIZE);
}

static void heads_are_ordered_by_generation_then_number(void **state)
{
    (void) state;
    static const struct head rising[] = {{.generation = 1, .n = 1},
                                         {.generation = 1, .n = 2},
                                         {.generation = 1, .n = UINT64_MAX},
                                         {.generation = 2, .n = 1},
                                         {.generation = UINT64_MAX, .n = 1}};
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 5; k++) {
            int order = head_compare(&rising[i], &rising[k]);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
}

static void history_hashes_what_was_and_what_came(void **state)
{
    (void) state;
    struct hash history = {0}, head_hash;
    memset(head_hash.bytes, 1, HASH_SIZE);
    struct hash next = history_next(&history, &head_hash);
    defer(buf_done) struct buf wanted = {0};
    kit_hex(&wanted, "2c744efd1a219bee2dfcd5a371740d5b22a1f77f7744f976bed0476a2d7a03d3");
    assert_memory_equal(next.bytes, wanted.data, HASH_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_read_back_with_its_hash),
        cmocka_unit_test(the_largest_head_fits_its_limit),
        cmocka_unit_test(signing_refuses_what_nobody_may_say),
        cmocka_unit_test(one_altered_bit_anywhere_is_refused),
        cmocka_unit_test(a_head_of_another_key_is_peeked_but_not_opened),
        cmocka_unit_test(signed_by_the_right_key_the_fields_are_checked_all_the_same),
        cmocka_unit_test(a_head_over_the_size_limit_is_refused_unread),
        cmocka_unit_test(heads_are_ordered_by_generation_then_number),
        cmocka_unit_test(history_hashes_what_was_and_what_came),
    };
    return cmocka_run_group_tests(tests, keys_make, NULL);
}
