/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/recover: the root key vouches for a link key, and nobody else does. */
#include "proto/recover.h"

#include <sodium.h>

#include "base/defer.h"
#include "proto/lab.h"
#include "proto/pack.h"
#include "tests/unit/kit.h"
#include "tests/unit/lack.h"

static struct lab_id lab;
static uint8_t root_secret[SIGN_SECRET_SIZE], link_pk[KEY_SIZE];

/* Nothing is written unless it opens. */
static enum err opened(struct bytes bytes)
{
    struct bytes copy = kit_copy(bytes);
    struct lab_id got = {{7}};
    uint8_t got_pk[KEY_SIZE] = {8};
    uint64_t issued_at = 9;
    enum err err = recover_open(copy, &got, got_pk, &issued_at);
    assert_true(err == ERR_OK || (got.bytes[0] == 7 && got_pk[0] == 8 && issued_at == 9));
    kit_free(copy);
    return err;
}

static void a_statement_comes_back_as_it_was_signed(void **state)
{
    (void) state;
    static const uint64_t times[] = {0, 127, 128, 1735689600, UINT64_MAX};
    for (unsigned i = 0; i < 5; i++) {
        defer(buf_done) struct buf bytes = {0};
        struct lab_id got;
        uint8_t got_pk[KEY_SIZE];
        uint64_t issued_at = 1;
        buf_put_u8(&bytes, 0xc0); /* appended to what stands there */
        assert_err(recover_sign(&lab, root_secret, link_pk, times[i], &bytes), ERR_OK);
        assert_true(bytes.size - 1 <= RECOVER_SIZE_MAX);
        assert_err(recover_open(bytes_of(bytes.data + 1, bytes.size - 1), &got, got_pk, &issued_at),
                   ERR_OK);
        assert_memory_equal(got.bytes, lab.bytes, KEY_SIZE);
        assert_memory_equal(got_pk, link_pk, KEY_SIZE);
        assert_true(issued_at == times[i]);
    }
}

static void only_the_labs_own_root_key_signs_it(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct lab_id other = lab;
    other.bytes[31] ^= 1;
    assert_err(recover_sign(&other, root_secret, link_pk, 1, &bytes), ERR_INVALID);
    assert_int_equal(bytes.size, 0);
}

static void no_altered_bit_and_no_cut_passes(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    assert_err(recover_sign(&lab, root_secret, link_pk, 1735689600, &bytes), ERR_OK);
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        bytes.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_int_not_equal(opened(buf_bytes(&bytes)), ERR_OK);
        bytes.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    for (size_t size = 0; size < bytes.size; size++) {
        assert_err(opened(bytes_of(bytes.data, size)), ERR_CANONICAL);
    }
    assert_err(opened(buf_bytes(&bytes)), ERR_OK);
    buf_put_u8(&bytes, 0);
    assert_err(opened(buf_bytes(&bytes)), ERR_CANONICAL);
}

/* The payload's five items, one of them replaced; signed as it should be, or for a record. */
static void expect(unsigned item, const char *packed, size_t size, enum hash_tag tag,
                   enum err wanted)
{
    defer(buf_done) struct buf payload = {0}, bytes = {0};
    pack_array(&payload, 5);
    for (unsigned i = 0; i < 5; i++) {
        if (i == item) {
            buf_put(&payload, bytes_of(packed, size));
        } else if (i == 0) {
            pack_cstr(&payload, "recover");
        } else if (i == 2 || i == 3) {
            pack_bin(&payload, i == 2 ? BYTES_OF_ARRAY(lab.bytes) : BYTES_OF_ARRAY(link_pk));
        } else {
            pack_uint(&payload, 1);
        }
    }
    uint8_t signature[SIGNATURE_SIZE];
    sign_bytes(tag, buf_bytes(&payload), root_secret, signature);
    pack_array(&bytes, 2);
    pack_bin(&bytes, buf_bytes(&payload));
    pack_bin(&bytes, BYTES_OF_ARRAY(signature));
    assert_err(opened(buf_bytes(&bytes)), wanted);
}

static void it_has_its_fields_and_no_others(void **state)
{
    (void) state;
    expect(9, NULL, 0, TAG_SIG_RECOVER, ERR_OK);
    expect(9, NULL, 0, TAG_SIG_LAB, ERR_SIGNATURE);
    expect(9, NULL, 0, TAG_SIG_HEAD, ERR_SIGNATURE);
    expect(0, "\xa7recovem", 8, TAG_SIG_RECOVER, ERR_INVALID);
    expect(0, "\xc0", 1, TAG_SIG_RECOVER, ERR_INVALID);
    expect(1, "\x02", 1, TAG_SIG_RECOVER, ERR_INVALID);
    expect(2, "\xc4\x01\x01", 3, TAG_SIG_RECOVER, ERR_INVALID);
    expect(3, "\xc0", 1, TAG_SIG_RECOVER, ERR_INVALID);
    expect(4, "\xff", 1, TAG_SIG_RECOVER, ERR_INVALID);
    expect(4, "\x01\x01", 2, TAG_SIG_RECOVER, ERR_CANONICAL);
    expect(4, "\xcc\x01", 2, TAG_SIG_RECOVER, ERR_CANONICAL);
    expect(4, "", 0, TAG_SIG_RECOVER, ERR_CANONICAL);
}

static void a_lab_record_is_no_statement_and_the_other_way_round(void **state)
{
    (void) state;
    defer(buf_done) struct buf record_bytes = {0}, bytes = {0};
    struct lab_record record = {.lab = lab, .generation = 1, .name = bytes_of_str("Ti Lab")};
    assert_err(lab_record_sign(&record, root_secret, &record_bytes), ERR_OK);
    assert_err(opened(buf_bytes(&record_bytes)), ERR_INVALID);
    assert_err(recover_sign(&lab, root_secret, link_pk, 1, &bytes), ERR_OK);
    assert_err(lab_record_open(buf_bytes(&bytes), &record), ERR_INVALID);
}

static void more_bytes_than_it_can_have_are_not_read(void **state)
{
    (void) state;
    static const uint8_t zeros[RECOVER_SIZE_MAX + 1];
    assert_err(opened(bytes_of(zeros, RECOVER_SIZE_MAX)), ERR_CANONICAL);
    assert_err(opened(bytes_of(zeros, RECOVER_SIZE_MAX + 1)), ERR_SIZE);
}

static void without_memory_nothing_is_signed(void **state)
{
    (void) state;
    bool met = true;
    for (unsigned granted = 0; met; granted++) {
        defer(buf_done) struct buf bytes = {0};
        lack_begin(granted);
        enum err err = recover_sign(&lab, root_secret, link_pk, 1, &bytes);
        met = lack_end();
        assert_err(err, met ? ERR_NOMEM : ERR_OK);
        assert_true(granted < 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_comes_back_as_it_was_signed),
        cmocka_unit_test(only_the_labs_own_root_key_signs_it),
        cmocka_unit_test(no_altered_bit_and_no_cut_passes),
        cmocka_unit_test(it_has_its_fields_and_no_others),
        cmocka_unit_test(a_lab_record_is_no_statement_and_the_other_way_round),
        cmocka_unit_test(more_bytes_than_it_can_have_are_not_read),
        cmocka_unit_test(without_memory_nothing_is_signed),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    static const uint8_t seed[SIGN_SEED_SIZE] = {5};
    sign_keypair(seed, lab.bytes, root_secret);
    memset(link_pk, 6, sizeof link_pk);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
