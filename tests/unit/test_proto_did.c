/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/did.c: known names, one text a key, and no other text. */
#include "tests/unit/kit.h"

#include "proto/did.h"

/* of the key whose seed is all zero, of the zero key, of the key of all ones */
#define DID_SEED_ZERO "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
#define DID_ZERO "did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP"
#define DID_ONES "did:key:z6MkwgaR63138bEEgad7uk993KMX54vBA6KTB4sFhCPnSB2e"

static void known_keys_have_their_known_names(void **state)
{
    (void) state;
    struct lab_id lab;
    uint8_t seed[SIGN_SEED_SIZE] = {0}, secret[SIGN_SECRET_SIZE];
    char did[DID_SIZE_MAX];
    sign_keypair(seed, lab.bytes, secret);
    did_encode(&lab, did);
    assert_string_equal(did, DID_SEED_ZERO);
    memset(lab.bytes, 0, sizeof lab.bytes);
    did_encode(&lab, did);
    assert_string_equal(did, DID_ZERO);
    memset(lab.bytes, 0xff, sizeof lab.bytes);
    did_encode(&lab, did);
    assert_string_equal(did, DID_ONES);
}

static void every_key_is_read_back(void **state)
{
    (void) state;
    uint64_t seed = 5;
    for (unsigned round = 0; round < 5000; round++) {
        struct lab_id lab, again;
        for (size_t i = 0; i < sizeof lab.bytes; i++) {
            uint64_t dice = kit_random(&seed);
            lab.bytes[i] = dice % 8 == 0 ? 0 : dice % 8 == 1 ? 0xff : (uint8_t) (dice >> 8);
        }
        char did[DID_SIZE_MAX];
        did_encode(&lab, did);
        assert_err(did_decode(bytes_of_str(did), &again), ERR_OK);
        assert_memory_equal(lab.bytes, again.bytes, KEY_SIZE);
    }
}

static void a_changed_letter_is_another_key_or_refused(void **state)
{
    (void) state;
    char text[] = DID_SEED_ZERO;
    for (size_t at = 0; at < sizeof text - 1; at++) {
        char was = text[at];
        for (int byte = 0; byte < 256; byte++) {
            struct lab_id lab;
            text[at] = (char) byte;
            if ((char) byte != was && did_decode(bytes_of(text, sizeof text - 1), &lab) == ERR_OK) {
                char again[DID_SIZE_MAX];
                did_encode(&lab, again);
                assert_memory_equal(again, text, sizeof text);
                assert_true(at >= 9); /* not in did:key:z */
            }
        }
        text[at] = was;
    }
}

static void everything_else_is_refused(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "",
        "did:key:z",
        "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "DID:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "did:web:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "did:key:u6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        DID_SEED_ZERO "1",
        "did:key:z16MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW ",
        "did:key:z0MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        /* another codec (an X25519 key), more than 34 bytes */
        "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
        "did:key:zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        "did:key:z11111111111111111111111111111111111111111111111",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lab_id lab = {.bytes = {9}};
        assert_err(did_decode(bytes_of_str(bad[i]), &lab), ERR_INVALID);
        assert_int_equal(lab.bytes[0], 9);
    }
    char nul[] = DID_SEED_ZERO;
    nul[20] = '\0';
    struct lab_id lab;
    assert_err(did_decode(bytes_of(nul, sizeof nul - 1), &lab), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_keys_have_their_known_names),
        cmocka_unit_test(every_key_is_read_back),
        cmocka_unit_test(a_changed_letter_is_another_key_or_refused),
        cmocka_unit_test(everything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
