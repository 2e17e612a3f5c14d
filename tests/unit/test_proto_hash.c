/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/hash.c against digests and signatures made by other programs (Python's hashlib, PyNaCl,
 * OpenSSL),
 * and against every single altered bit. Nothing here calls sodium_init: none of it needs to. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "base/limits.h"
#include "proto/hash.h"

static void assert_hex(const uint8_t *bytes, size_t size, const char *hex)
{
    defer(buf_done) struct buf wanted = {0};
    kit_hex(&wanted, hex);
    assert_int_equal(wanted.size, size);
    assert_memory_equal(bytes, wanted.data, size);
}

static void keys_of(uint8_t first, uint8_t public_key[KEY_SIZE], uint8_t secret[SIGN_SECRET_SIZE])
{
    uint8_t seed[SIGN_SEED_SIZE];
    for (size_t i = 0; i < sizeof seed; i++) {
        seed[i] = (uint8_t) (first + i);
    }
    sign_keypair(seed, public_key, secret);
}

static void each_tag_gives_the_digest_others_compute(void **state)
{
    (void) state;
    static const char *const wanted[TAG_COUNT] = {
        [TAG_LEAF] = "ec578134752a3fd286bb462006723a71956bed36f9e65ff1a031de4c6794490a",
        [TAG_SLUG] = "ad8b55f69e835cd8d8896f279b15779e223bf6013f758f05441c0bff9719acda",
        [TAG_BUCKET] = "e44a31c49992edb59ec61539c419ea5101bf0013a933a99742642c5ae2672d8f",
        [TAG_NODE] = "821dc9186ff8266eb9cc3664af5a6742316ba7e66a864b6494d2838ff46ab27a",
        [TAG_HEAD_HASH] = "e059d12f0d0111fe8da4e2cc61bb153cf20950c95a08716874ca49e41e8c7d84",
        [TAG_HISTORY] = "589558492fdc1daf791739badee4714906e756828cc2e71f448e6c2d4489c44f",
        [TAG_MERGE] = "a4dfa1e4d261d77c784d2915cc30117b3bc20ed8898dd65860344ccf07fb908f",
        [TAG_GONE] = "2d0179285f701d986be805fdb95a13353571314a5ef094da09e6a6c296a68759",
        [TAG_SIG_LAB] = "f21d1275d3244f57520a5415e7e2591c7e98a39ad92a5275d1fd6f67e1e29951",
        [TAG_SIG_HEAD] = "17895a6c87d5fc6bd77e4fe8af9d8d283bb2f448b4a40093cb347712ad82efcd",
        [TAG_SIG_RECOVER] = "819ace3aa536d3efcf58dfea680d4b2393630b56dcba17a355b69fa52d376974",
        [TAG_SIG_RECEIPT] = "46beeebcf1aaeffb694c4aa7bbd51734aaaf1dd4bdf7858d1f394f9916a83a74",
    };
    for (unsigned tag = 0; tag < TAG_COUNT; tag++) {
        struct hash hash = hash_of((enum hash_tag) tag, bytes_of_str("abc"));
        assert_hex(hash.bytes, sizeof hash.bytes, wanted[tag]);
    }
    struct hash nothing = hash_of(TAG_LEAF, (struct bytes){0});
    assert_hex(nothing.bytes, sizeof nothing.bytes,
               "fea1ea2bb385bdbb92f88a3515abef0e53b45b5d64d07cf389d8b218191766d2");
}

static void tags_differ_and_are_padded_with_zeroes(void **state)
{
    (void) state;
    for (unsigned i = 0; i < TAG_COUNT; i++) {
        const uint8_t *tag = hash_tag_bytes((enum hash_tag) i);
        assert_memory_equal(tag, "essaim1 ", 8);
        size_t size = strnlen((const char *) tag, 16);
        for (size_t k = size; k < 16; k++) {
            assert_int_equal(tag[k], 0);
        }
        for (unsigned k = 0; k < i; k++) {
            assert_memory_not_equal(tag, hash_tag_bytes((enum hash_tag) k), 16);
        }
    }
}

static void a_hash_of_two_is_the_hash_of_both_in_a_row(void **state)
{
    (void) state;
    struct bytes text = bytes_of_str("essaimage");
    struct hash whole = hash_of(TAG_NODE, text);
    for (size_t cut = 0; cut <= text.size; cut++) {
        struct hash hash = hash_of_two(TAG_NODE, bytes_of(text.data, cut),
                                       bytes_of(text.data + cut, text.size - cut));
        assert_memory_equal(hash.bytes, whole.bytes, HASH_SIZE);
    }
}

static void a_slug_hash_is_short_by_parameter_not_by_cutting(void **state)
{
    (void) state;
    struct slug_hash hash = hash_slug(bytes_of_str("geotrek"));
    assert_hex(hash.bytes, sizeof hash.bytes, "9fc417325f3b0bfa5ed3686eb1fcfd6e");
    struct hash full = hash_of(TAG_SLUG, bytes_of_str("geotrek"));
    assert_memory_not_equal(hash.bytes, full.bytes, SLUG_HASH_SIZE);
}

static void a_hint_is_the_bucket_and_a_hash_of_the_leaf(void **state)
{
    (void) state;
    struct slug_hash slug = hash_slug(bytes_of_str("geotrek"));
    struct slug_hash other = slug;
    struct hash leaf;
    for (size_t i = 0; i < sizeof leaf.bytes; i++) {
        leaf.bytes[i] = (uint8_t) i;
    }
    struct hint hint = hash_hint(&slug, &leaf);
    assert_hex(hint.bytes, sizeof hint.bytes, "9f4142aca2706c50e419c355df645572");
    memset(other.bytes + 1, 0, sizeof other.bytes - 1);
    struct hint same = hash_hint(&other, &leaf);
    assert_memory_equal(&hint, &same, sizeof hint); /* nothing else of the slug is in it */
}

static void a_retired_slug_is_hidden_by_the_key(void **state)
{
    (void) state;
    struct slug_hash slug = hash_slug(bytes_of_str("geotrek"));
    uint8_t key[KEY_SIZE];
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t) (i + 1);
    }
    struct slug_hash hidden = hash_retired(key, &slug);
    assert_hex(hidden.bytes, sizeof hidden.bytes, "93ab30099a0c432a7041ffe8055ff8f4");
    key[31] ^= 1;
    struct slug_hash other = hash_retired(key, &slug);
    assert_memory_not_equal(&hidden, &other, sizeof hidden);
}

static void signatures_are_those_of_other_programs(void **state)
{
    (void) state;
    uint8_t public_key[KEY_SIZE], secret[SIGN_SECRET_SIZE], signature[SIGNATURE_SIZE];
    keys_of(0, public_key, secret);
    assert_hex(public_key, sizeof public_key,
               "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    sign_bytes(TAG_SIG_LAB, bytes_of_str("abc"), secret, signature);
    assert_hex(signature, sizeof signature,
               "f23da4660ed5ecbc4451c5c0c291898c0dc57bdcd5fc4ec5676a0ea5845ed716"
               "c646821999aa0c68d3c9aedf545f20e57c8d026e4c8cf4fcf654473059fef200");
    sign_bytes(TAG_SIG_HEAD, (struct bytes){0}, secret, signature);
    assert_hex(signature, sizeof signature,
               "a22a9ef19dfcbf042ac658621cdb7db4c8e7aee604356656e37a8a828b490724"
               "6fdb147f5ac7ea483918884ec7397166e0f2988a53c0843b05af33a9436db60a");
    assert_err(sign_verify(TAG_SIG_HEAD, (struct bytes){0}, public_key, signature), ERR_OK);
}

static void one_altered_bit_anywhere_is_refused(void **state)
{
    (void) state;
    uint8_t public_key[KEY_SIZE], secret[SIGN_SECRET_SIZE], signature[SIGNATURE_SIZE];
    uint8_t payload[] = {'a', 'b', 'c'};
    keys_of(1, public_key, secret);
    sign_bytes(TAG_SIG_LAB, BYTES_OF_ARRAY(payload), secret, signature);
    assert_err(sign_verify(TAG_SIG_LAB, BYTES_OF_ARRAY(payload), public_key, signature), ERR_OK);
    struct {
        uint8_t *at;
        size_t size;
    } parts[] = {{payload, sizeof payload}, {public_key, KEY_SIZE}, {signature, SIGNATURE_SIZE}};
    for (size_t i = 0; i < 3; i++) {
        for (size_t bit = 0; bit < parts[i].size * 8; bit++) {
            parts[i].at[bit / 8] ^= (uint8_t) (1u << bit % 8);
            assert_err(sign_verify(TAG_SIG_LAB, BYTES_OF_ARRAY(payload), public_key, signature),
                       ERR_SIGNATURE);
            parts[i].at[bit / 8] ^= (uint8_t) (1u << bit % 8);
        }
    }
}

static void a_signature_for_one_purpose_stands_for_no_other(void **state)
{
    (void) state;
    uint8_t public_key[KEY_SIZE], secret[SIGN_SECRET_SIZE], signature[SIGNATURE_SIZE];
    keys_of(2, public_key, secret);
    sign_bytes(TAG_SIG_LAB, bytes_of_str("abc"), secret, signature);
    assert_err(sign_verify(TAG_SIG_HEAD, bytes_of_str("abc"), public_key, signature),
               ERR_SIGNATURE);
}

static void a_signature_plus_the_group_order_is_refused(void **state)
{
    (void) state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    uint8_t public_key[KEY_SIZE], secret[SIGN_SECRET_SIZE], signature[SIGNATURE_SIZE];
    keys_of(3, public_key, secret);
    sign_bytes(TAG_SIG_LAB, bytes_of_str("abc"), secret, signature);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned) signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t) carry;
        carry >>= 8;
    }
    assert_err(sign_verify(TAG_SIG_LAB, bytes_of_str("abc"), public_key, signature), ERR_SIGNATURE);
}

static void a_key_of_small_order_signs_nothing(void **state)
{
    (void) state;
    /* the neutral element: R = neutral, S = 0 verifies for every message where it is let in */
    uint8_t neutral[KEY_SIZE] = {1}, signature[SIGNATURE_SIZE] = {1};
    assert_err(sign_verify(TAG_SIG_LAB, bytes_of_str("abc"), neutral, signature), ERR_SIGNATURE);
}

static void a_payload_over_the_limit_is_refused_unread(void **state)
{
    (void) state;
    static uint8_t payload[RECEIPT_SIZE_MAX + 1];
    uint8_t public_key[KEY_SIZE], secret[SIGN_SECRET_SIZE], signature[SIGNATURE_SIZE];
    keys_of(4, public_key, secret);
    sign_bytes(TAG_SIG_LAB, bytes_of(payload, RECEIPT_SIZE_MAX), secret, signature);
    assert_err(sign_verify(TAG_SIG_LAB, bytes_of(payload, RECEIPT_SIZE_MAX), public_key, signature),
               ERR_OK);
    assert_err(
        sign_verify(TAG_SIG_LAB, bytes_of(payload, RECEIPT_SIZE_MAX + 1), public_key, signature),
        ERR_SIZE);
}

static void a_link_key_is_that_of_another_program(void **state)
{
    (void) state;
    defer(buf_done) struct buf secret = {0};
    kit_hex(&secret, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    uint8_t public_key[KEY_SIZE];
    assert_err(link_public(secret.data, public_key), ERR_OK);
    assert_hex(public_key, sizeof public_key,
               "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f");
}

static void a_link_secret_of_zeroes_is_no_key(void **state)
{
    (void) state;
    uint8_t secret[KEY_SIZE] = {0}, public_key[KEY_SIZE] = {7};
    assert_err(link_public(secret, public_key), ERR_KEY);
    assert_int_equal(public_key[0], 7);
}

static void a_wiped_secret_is_zeroes_to_its_end_and_no_further(void **state)
{
    (void) state;
    uint8_t secret[40];
    static const uint8_t zeros[40];
    memset(secret, 7, sizeof secret);
    secret_wipe(secret, 39);
    assert_memory_equal(secret, zeros, 39);
    assert_int_equal(secret[39], 7);
    secret_wipe(secret, 0);
    assert_int_equal(secret[39], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_tag_gives_the_digest_others_compute),
        cmocka_unit_test(tags_differ_and_are_padded_with_zeroes),
        cmocka_unit_test(a_hash_of_two_is_the_hash_of_both_in_a_row),
        cmocka_unit_test(a_slug_hash_is_short_by_parameter_not_by_cutting),
        cmocka_unit_test(a_hint_is_the_bucket_and_a_hash_of_the_leaf),
        cmocka_unit_test(a_retired_slug_is_hidden_by_the_key),
        cmocka_unit_test(signatures_are_those_of_other_programs),
        cmocka_unit_test(one_altered_bit_anywhere_is_refused),
        cmocka_unit_test(a_signature_for_one_purpose_stands_for_no_other),
        cmocka_unit_test(a_signature_plus_the_group_order_is_refused),
        cmocka_unit_test(a_key_of_small_order_signs_nothing),
        cmocka_unit_test(a_payload_over_the_limit_is_refused_unread),
        cmocka_unit_test(a_link_key_is_that_of_another_program),
        cmocka_unit_test(a_link_secret_of_zeroes_is_no_key),
        cmocka_unit_test(a_wiped_secret_is_zeroes_to_its_end_and_no_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
