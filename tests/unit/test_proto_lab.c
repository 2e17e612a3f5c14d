/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/lab.c: a record is read back; each field out of its bounds, each altered bit and each other
 * shape is refused. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "base/limits.h"
#include "proto/lab.h"
#include "proto/pack.h"
#include "proto/signed.h"

static uint8_t root_public[KEY_SIZE], root_secret[SIGN_SECRET_SIZE];

static int keys_make(void **state)
{
    (void) state;
    uint8_t seed[SIGN_SEED_SIZE] = {4, 5, 6};
    sign_keypair(seed, root_public, root_secret);
    return 0;
}

static struct lab_record record_made(void)
{
    struct lab_record record = {
        .generation = 1, .name = bytes_of_str("Ti Lab"), .issued_at = 1700000000};
    memcpy(record.lab.bytes, root_public, KEY_SIZE);
    memset(record.signing_pk, 0x11, KEY_SIZE);
    memset(record.link_pk, 0x22, KEY_SIZE);
    return record;
}

static struct lab_record record_with_last_good(unsigned count)
{
    struct lab_record record = record_made();
    record.generation = 2;
    record.last_good_count = count;
    for (unsigned i = 0; i < count && i < LAST_GOOD_MAX; i++) {
        struct last_good *good = &record.last_good[i];
        good->audience = bytes_of_str("public");
        good->n = i + 1;
        memset(good->network.bytes, (int) i, HASH_SIZE);
        memset(good->head_hash.bytes, (int) (i + 100), HASH_SIZE);
    }
    return record;
}

static void a_record_is_read_back(void **state)
{
    (void) state;
    struct lab_record records[] = {record_made(), record_with_last_good(0),
                                   record_with_last_good(1), record_with_last_good(LAST_GOOD_MAX)};
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        const struct lab_record *record = &records[i];
        assert_err(lab_record_sign(record, root_secret, &bytes), ERR_OK);
        struct bytes copy = kit_copy(buf_bytes(&bytes));
        struct lab_record opened, peeked;
        assert_err(lab_record_open(copy, &opened), ERR_OK);
        assert_err(lab_record_peek(copy, &peeked), ERR_OK);
        assert_int_equal(peeked.generation, record->generation);
        assert_true(bytes_equal(peeked.name, record->name));
        assert_memory_equal(opened.lab.bytes, record->lab.bytes, KEY_SIZE);
        assert_int_equal(opened.generation, record->generation);
        assert_true(bytes_equal(opened.name, record->name));
        assert_memory_equal(opened.signing_pk, record->signing_pk, KEY_SIZE);
        assert_memory_equal(opened.link_pk, record->link_pk, KEY_SIZE);
        assert_int_equal(opened.issued_at, record->issued_at);
        assert_int_equal(opened.last_good_count, record->last_good_count);
        for (unsigned k = 0; k < record->last_good_count; k++) {
            const struct last_good *got = &opened.last_good[k], *put = &record->last_good[k];
            assert_memory_equal(got->network.bytes, put->network.bytes, HASH_SIZE);
            assert_true(bytes_equal(got->audience, put->audience));
            assert_int_equal(got->n, put->n);
            assert_memory_equal(got->head_hash.bytes, put->head_hash.bytes, HASH_SIZE);
        }
        kit_free(copy);
    }
}

static void a_name_is_one_line_of_1_to_64_bytes(void **state)
{
    (void) state;
    char longest[LAB_NAME_SIZE_MAX + 1];
    memset(longest, 'a', sizeof longest);
    const struct {
        struct bytes name;
        enum err err;
    } cases[] = {
        {bytes_of_str("a"), ERR_OK},
        {bytes_of_str("Laboratoire d\xe2\x80\x99innovation"), ERR_OK},
        {bytes_of(longest, LAB_NAME_SIZE_MAX), ERR_OK},
        {bytes_of(longest, LAB_NAME_SIZE_MAX + 1), ERR_INVALID},
        {bytes_of_str(""), ERR_INVALID},
        {bytes_of_str("a\nb"), ERR_INVALID},
        {bytes_of_str("a\tb"), ERR_INVALID},
        {bytes_of_str("a\xff"), ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        struct lab_record record = record_made();
        record.name = cases[i].name;
        assert_err(lab_record_sign(&record, root_secret, &bytes), cases[i].err);
        assert_int_equal(bytes.size > 0, cases[i].err == ERR_OK);
    }
}

static void signing_refuses_what_nobody_may_say(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct lab_record record = record_made();
    record.generation = 0;
    assert_err(lab_record_sign(&record, root_secret, &bytes), ERR_INVALID);
    record = record_made();
    record.lab.bytes[0] ^= 1; /* another lab's secret */
    assert_err(lab_record_sign(&record, root_secret, &bytes), ERR_INVALID);
    record = record_with_last_good(1);
    record.generation = 1; /* there is no generation before */
    assert_err(lab_record_sign(&record, root_secret, &bytes), ERR_INVALID);
    record = record_with_last_good(LAST_GOOD_MAX);
    record.last_good_count++;
    assert_err(lab_record_sign(&record, root_secret, &bytes), ERR_INVALID);
    record = record_with_last_good(1);
    record.last_good[0].n = 0;
    assert_err(lab_record_sign(&record, root_secret, &bytes), ERR_INVALID);
    record = record_with_last_good(1);
    record.last_good[0].audience = bytes_of_str("Public");
    assert_err(lab_record_sign(&record, root_secret, &bytes), ERR_INVALID);
    assert_int_equal(bytes.size, 0);
}

static void one_altered_bit_anywhere_is_refused(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct lab_record record = record_with_last_good(2), opened;
    assert_err(lab_record_sign(&record, root_secret, &bytes), ERR_OK);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
        struct bytes copy = kit_copy(buf_bytes(&bytes));
        assert_true(lab_record_open(copy, &opened) != ERR_OK);
        (void) (lab_record_peek(copy, &opened) == ERR_OK);
        kit_free(copy);
        bytes.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    for (size_t cut = 0; cut < bytes.size; cut++) {
        struct bytes copy = kit_copy(bytes_of(bytes.data, cut));
        assert_err(lab_record_open(copy, &opened), ERR_CANONICAL);
        kit_free(copy);
    }
    buf_put_u8(&bytes, 0);
    assert_err(lab_record_open(buf_bytes(&bytes), &opened), ERR_CANONICAL);
}

/* A payload of nine items of which one may be replaced by raw hexadecimal. */
static void payload_put(struct buf *into, unsigned replaced, const char *hex)
{
    static const char *const items[9] = {"a36c6162", "01",     "KEY", "01", "a454657374",
                                         "ZEROES",   "ZEROES", "05",  "90"};
    pack_array(into, 9);
    for (unsigned i = 0; i < 9; i++) {
        const char *item = i == replaced ? hex : items[i];
        uint8_t zeroes[KEY_SIZE] = {0};
        if (strcmp(item, "KEY") == 0) {
            pack_bin(into, BYTES_OF_ARRAY(root_public));
        } else if (strcmp(item, "ZEROES") == 0) {
            pack_bin(into, BYTES_OF_ARRAY(zeroes));
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
        {0, "a46c616262", ERR_INVALID}, /* labb */
        {0, "a468656164", ERR_INVALID}, /* head */
        {0, "c4036c6162", ERR_INVALID}, /* as bin */
        {1, "02", ERR_INVALID},         /* version */
        {2, "c400", ERR_INVALID},
        {2, "a0", ERR_INVALID},
        {3, "00", ERR_INVALID}, /* generation */
        {3, "ff", ERR_INVALID},
        {4, "a0", ERR_INVALID}, /* name */
        {4, "c40161", ERR_INVALID},
        {4, "a3610a62", ERR_INVALID},
        {5, "c40100", ERR_INVALID},
        {6, "c0", ERR_INVALID},
        {7, "ff", ERR_INVALID}, /* issued before 1970 */
        {7, "c0", ERR_INVALID},
        {7, "cfffffffffffffffff", ERR_OK},
        {8, "c0", ERR_INVALID},
        {8, "80", ERR_INVALID},
        {8, "91c0", ERR_INVALID},
        {8, "9190", ERR_INVALID},
        {8, "cc09", ERR_CANONICAL},
        {8, "90c0", ERR_CANONICAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf payload = {0}, bytes = {0};
        payload_put(&payload, cases[i].item, cases[i].hex);
        uint8_t signature[SIGNATURE_SIZE];
        sign_bytes(TAG_SIG_LAB, buf_bytes(&payload), root_secret, signature);
        pack_array(&bytes, 2);
        pack_bin(&bytes, buf_bytes(&payload));
        pack_bin(&bytes, BYTES_OF_ARRAY(signature));
        struct lab_record record = {.generation = 77};
        assert_err(lab_record_open(buf_bytes(&bytes), &record), cases[i].err);
        assert_err(lab_record_peek(buf_bytes(&bytes), &record), cases[i].err);
        assert_int_equal(record.generation, cases[i].err == ERR_OK ? 1 : 77);
    }
}

static void more_last_good_heads_than_allowed_are_refused(void **state)
{
    (void) state;
    for (unsigned over = 0; over < 2; over++) {
        defer(buf_done) struct buf payload = {0}, good = {0}, bytes = {0};
        uint8_t zeroes[HASH_SIZE] = {0};
        pack_array(&good, LAST_GOOD_MAX + over);
        for (unsigned i = 0; i < LAST_GOOD_MAX + over; i++) {
            pack_array(&good, 4);
            pack_bin(&good, BYTES_OF_ARRAY(zeroes));
            pack_cstr(&good, "public");
            pack_uint(&good, 1);
            pack_bin(&good, BYTES_OF_ARRAY(zeroes));
        }
        payload_put(&payload, 3, "02");
        payload.size--; /* the empty list at the end */
        buf_put(&payload, buf_bytes(&good));
        signed_put(TAG_SIG_LAB, buf_bytes(&payload), root_secret, &bytes);
        struct lab_record record;
        assert_err(lab_record_open(buf_bytes(&bytes), &record), over ? ERR_INVALID : ERR_OK);
    }
}

static void a_record_over_the_size_limit_is_refused_unread(void **state)
{
    (void) state;
    static const uint8_t zeroes[RECORD_SIZE_MAX + 1];
    struct lab_record record;
    assert_err(lab_record_open(bytes_of(zeroes, RECORD_SIZE_MAX + 1), &record), ERR_SIZE);
    assert_err(lab_record_open(bytes_of(zeroes, RECORD_SIZE_MAX), &record), ERR_CANONICAL);
}

static void a_record_signed_by_another_key_opens_for_nobody(void **state)
{
    (void) state;
    defer(buf_done) struct buf payload = {0}, bytes = {0};
    uint8_t other_seed[SIGN_SEED_SIZE] = {9}, other_public[KEY_SIZE], other[SIGN_SECRET_SIZE];
    sign_keypair(other_seed, other_public, other);
    payload_put(&payload, 99, "");
    signed_put(TAG_SIG_LAB, buf_bytes(&payload), other, &bytes);
    struct lab_record record;
    assert_err(lab_record_open(buf_bytes(&bytes), &record), ERR_SIGNATURE);
    buf_clear(&bytes);
    signed_put(TAG_SIG_HEAD, buf_bytes(&payload), root_secret, &bytes); /* for another purpose */
    assert_err(lab_record_open(buf_bytes(&bytes), &record), ERR_SIGNATURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_back),
        cmocka_unit_test(a_name_is_one_line_of_1_to_64_bytes),
        cmocka_unit_test(signing_refuses_what_nobody_may_say),
        cmocka_unit_test(one_altered_bit_anywhere_is_refused),
        cmocka_unit_test(signed_by_the_right_key_the_fields_are_checked_all_the_same),
        cmocka_unit_test(more_last_good_heads_than_allowed_are_refused),
        cmocka_unit_test(a_record_over_the_size_limit_is_refused_unread),
        cmocka_unit_test(a_record_signed_by_another_key_opens_for_nobody),
    };
    return cmocka_run_group_tests(tests, keys_make, NULL);
}
