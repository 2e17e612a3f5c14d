/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/signed.c: form before signature, and exactly two items. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "proto/pack.h"
#include "proto/signed.h"

static uint8_t public_key[KEY_SIZE], secret[SIGN_SECRET_SIZE];

static int keys_make(void **state)
{
    (void) state;
    uint8_t seed[SIGN_SEED_SIZE] = {1, 2, 3};
    sign_keypair(seed, public_key, secret);
    return 0;
}

static void what_is_put_is_split_and_verified(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    signed_put(TAG_SIG_LAB, bytes_of("\x91\x05", 2), secret, &bytes);
    struct signed_object object;
    assert_err(signed_split(buf_bytes(&bytes), bytes.size, &object), ERR_OK);
    assert_true(bytes_equal(object.payload, bytes_of("\x91\x05", 2)));
    assert_int_equal(object.signature.size, SIGNATURE_SIZE);
    assert_err(signed_verify(&object, TAG_SIG_LAB, public_key), ERR_OK);
    assert_err(signed_verify(&object, TAG_SIG_HEAD, public_key), ERR_SIGNATURE);
    assert_err(signed_split(buf_bytes(&bytes), bytes.size - 1, &object), ERR_SIZE);
}

static void parts_put(struct buf *into, size_t items, const char *payload, size_t signature_size)
{
    defer(buf_done) struct buf payload_bytes = {0};
    uint8_t signature[SIGNATURE_SIZE + 1] = {0};
    kit_hex(&payload_bytes, payload);
    pack_array(into, items);
    pack_bin(into, buf_bytes(&payload_bytes));
    if (items > 1) {
        pack_bin(into, bytes_of(signature, signature_size));
    }
    for (size_t i = 2; i < items; i++) {
        pack_nil(into);
    }
}

static void another_form_is_refused(void **state)
{
    (void) state;
    static const struct {
        size_t items;
        const char *payload;
        size_t signature_size;
        enum err err;
    } cases[] = {
        {2, "90", SIGNATURE_SIZE, ERR_OK},
        {1, "90", 0, ERR_INVALID},
        {3, "90", SIGNATURE_SIZE, ERR_SIZE},
        {2, "90", SIGNATURE_SIZE - 1, ERR_INVALID},
        {2, "90", SIGNATURE_SIZE + 1, ERR_INVALID},
        {2, "90", 0, ERR_INVALID},
        {2, "", SIGNATURE_SIZE, ERR_CANONICAL},
        {2, "9000", SIGNATURE_SIZE, ERR_CANONICAL},
        {2, "cc05", SIGNATURE_SIZE, ERR_CANONICAL},
        {2, "919191919191919190", SIGNATURE_SIZE, ERR_SIZE},
        {2, "9191919191919190", SIGNATURE_SIZE, ERR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        parts_put(&bytes, cases[i].items, cases[i].payload, cases[i].signature_size);
        struct signed_object object;
        assert_err(signed_split(buf_bytes(&bytes), 1000, &object), cases[i].err);
    }
    static const char *const hex[] = {"", "c0", "92a0a0", "92c0c0", "82a0c0a161c0"};
    for (size_t i = 0; i < sizeof hex / sizeof hex[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        struct signed_object object;
        kit_hex(&bytes, hex[i]);
        assert_true(signed_split(buf_bytes(&bytes), 1000, &object) != ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_split_and_verified),
        cmocka_unit_test(another_form_is_refused),
    };
    return cmocka_run_group_tests(tests, keys_make, NULL);
}
