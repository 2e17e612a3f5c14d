/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/noise: our own vectors always, those of ../shared/vectors where they are; every flipped bit
 * and every truncation refused; low-order points refused; hundreds of handshakes with itself.
 */
#include "proto/noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#define MESSAGE_SIZE_MAX 1024
#define NAME "Noise_XX_25519_ChaChaPoly_SHA512"

static const struct bytes none;

/* ---- vectors ---- */

static struct bytes unhex(const json_t *object, const char *key, uint8_t *into)
{
    const char *hex = json_string_value(json_object_get(object, key));
    size_t size = 0;
    const char *end = NULL;
    assert_non_null(hex);
    assert_int_equal(sodium_hex2bin(into, MESSAGE_SIZE_MAX, hex, strlen(hex), NULL, &size, &end),
                     0);
    assert_int_equal(*end, 0);
    return bytes_of(into, size);
}

static void side_init(struct noise *side, bool initiator, const json_t *vector)
{
    uint8_t prologue[MESSAGE_SIZE_MAX], secret[MESSAGE_SIZE_MAX], ephemeral[MESSAGE_SIZE_MAX];
    struct bytes view = unhex(vector, initiator ? "init_prologue" : "resp_prologue", prologue);
    (void) unhex(vector, initiator ? "init_static" : "resp_static", secret);
    (void) unhex(vector, initiator ? "init_ephemeral" : "resp_ephemeral", ephemeral);
    assert_int_equal(noise_init(side, initiator, view, secret, ephemeral), ERR_OK);
}

static void vector_check(const json_t *vector)
{
    struct noise sides[2];
    struct noise_cipher send[2], recv[2];
    uint8_t payload[MESSAGE_SIZE_MAX], wanted[MESSAGE_SIZE_MAX], out[MESSAGE_SIZE_MAX],
        back[MESSAGE_SIZE_MAX];
    side_init(&sides[0], true, vector);
    side_init(&sides[1], false, vector);
    size_t i = 0;
    json_t *message = NULL;
    json_array_foreach(json_object_get(vector, "messages"), i, message)
    {
        struct bytes plain = unhex(message, "payload", payload);
        struct bytes sealed = unhex(message, "ciphertext", wanted);
        size_t from = i % 2, to = 1 - from, size = 0;
        if (i < 3) {
            assert_int_equal(noise_overhead(&sides[from]), sealed.size - plain.size);
            assert_int_equal(noise_write(&sides[from], plain, out, &size), ERR_OK);
            assert_int_equal(size, sealed.size);
            assert_memory_equal(out, sealed.data, size);
            assert_int_equal(noise_read(&sides[to], sealed, back, &size), ERR_OK);
            assert_int_equal(size, plain.size);
        } else {
            if (json_is_true(json_object_get(message, "rekey"))) {
                noise_rekey(&send[from]);
                noise_rekey(&recv[to]);
            }
            assert_int_equal(noise_seal(&send[from], plain, out), ERR_OK);
            assert_memory_equal(out, sealed.data, sealed.size);
            assert_int_equal(noise_open(&recv[to], sealed, back), ERR_OK);
        }
        assert_memory_equal(back, plain.data, plain.size);
        if (i == 2) {
            noise_split(&sides[0], &send[0], &recv[0]);
            noise_split(&sides[1], &send[1], &recv[1]);
            struct bytes hash = unhex(vector, "handshake_hash", wanted);
            assert_int_equal(hash.size, NOISE_HASH_SIZE);
            assert_memory_equal(sides[0].hash, hash.data, hash.size);
            assert_memory_equal(sides[1].hash, hash.data, hash.size);
        }
    }
    assert_true(i >= 3);
}

/* How many vectors of our suite the file has, all checked. */
static size_t file_check(const char *path)
{
    json_error_t error;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(file);
    size_t i = 0, count = 0;
    json_t *vector = NULL;
    json_array_foreach(json_object_get(file, "vectors"), i, vector)
    {
        const char *name = json_string_value(json_object_get(vector, "protocol_name"));
        assert_non_null(name);
        if (strcmp(name, NAME) == 0) {
            vector_check(vector);
            count++;
        }
    }
    json_decref(file);
    return count;
}

static const char *source_root(void)
{
    const char *root = getenv("ESSAIM_SOURCE");
    return root == NULL ? "." : root;
}

static void our_own_vectors_come_out_byte_for_byte(void **state)
{
    (void) state;
    char path[4096];
    (void) snprintf(path, sizeof path, "%s/tests/vectors/noise-xx.json", source_root());
    assert_int_equal(file_check(path), 6);
}

static void the_shared_vectors_come_out_byte_for_byte(void **state)
{
    (void) state;
    char path[4096];
    const char *shared = getenv("ESSAIM_SHARED");
    (void) snprintf(path, sizeof path, "%s%s/vectors/noise-xx-25519-chachapoly.json",
                    shared == NULL ? source_root() : shared, shared == NULL ? "/../shared" : "");
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        skip();
    }
    (void) fclose(file);
    assert_true(file_check(path) >= 1);
}

/* ---- handshakes with itself ---- */

struct pair {
    struct noise sides[2]; /* initiator, responder */
};

static void pair_init(struct pair *pair, uint32_t seed)
{
    uint8_t secrets[4][32], key[randombytes_SEEDBYTES] = {0};
    be32_put(key, seed);
    randombytes_buf_deterministic(secrets, sizeof secrets, key);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(noise_init(&pair->sides[i], i == 0, bytes_of_str("essaim"), secrets[2 * i],
                                    secrets[2 * i + 1]),
                         ERR_OK);
    }
}

/* Runs to the end; message `bad` (0 to 2) is altered on its way by `alter`. The first error. */
static enum err pair_run(struct pair *pair, unsigned bad,
                         size_t (*alter)(uint8_t *message, size_t size, size_t how), size_t how,
                         size_t payload_size)
{
    uint8_t message[MESSAGE_SIZE_MAX], payload[MESSAGE_SIZE_MAX] = {7}, back[MESSAGE_SIZE_MAX];
    for (unsigned i = 0; i < 3; i++) {
        size_t size = 0;
        struct noise *from = &pair->sides[i % 2], *to = &pair->sides[1 - i % 2];
        enum err err = noise_write(from, bytes_of(payload, payload_size), message, &size);
        if (err != ERR_OK) {
            return err;
        }
        if (i == bad) {
            size = alter(message, size, how);
        }
        err = noise_read(to, bytes_of(message, size), back, &size);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static size_t flip_bit(uint8_t *message, size_t size, size_t how)
{
    message[how / 8] ^= (uint8_t) (1u << (how % 8));
    return size;
}

static size_t truncate_to(uint8_t *message, size_t size, size_t how)
{
    (void) message;
    (void) size;
    return how;
}

static size_t lengthen(uint8_t *message, size_t size, size_t how)
{
    memset(message + size, 0, how);
    return size + how;
}

static const size_t message_sizes[] = {32, 96, 64};

static void hundreds_of_handshakes_agree_and_carry_messages_both_ways(void **state)
{
    (void) state;
    for (uint32_t seed = 0; seed < 300; seed++) {
        struct pair pair;
        struct noise_cipher send[2], recv[2];
        pair_init(&pair, seed);
        assert_int_equal(pair_run(&pair, 3, NULL, 0, seed % 50), ERR_OK);
        assert_memory_equal(pair.sides[0].hash, pair.sides[1].hash, NOISE_HASH_SIZE);
        assert_memory_equal(pair.sides[0].remote_static, pair.sides[1].static_public, 32);
        assert_memory_equal(pair.sides[1].remote_static, pair.sides[0].static_public, 32);
        for (unsigned i = 0; i < 2; i++) {
            noise_split(&pair.sides[i], &send[i], &recv[i]);
        }
        assert_memory_not_equal(send[0].key, send[1].key, 32);
        for (unsigned i = 0; i < 8; i++) {
            uint8_t text[64 + NOISE_TAG_SIZE] = "in place";
            assert_int_equal(noise_seal(&send[i % 2], bytes_of(text, 64), text), ERR_OK);
            assert_memory_not_equal(text, "in place", 8);
            assert_int_equal(noise_open(&recv[1 - i % 2], BYTES_OF_ARRAY(text), text), ERR_OK);
            assert_memory_equal(text, "in place", 9);
        }
        noise_done(&pair.sides[0]);
        noise_done(&pair.sides[1]);
    }
}

static void every_flipped_bit_of_the_handshake_is_refused(void **state)
{
    (void) state;
    for (size_t payload_size = 0; payload_size <= 5; payload_size += 5) {
        for (unsigned i = 0; i < 3; i++) {
            for (size_t bit = 0; bit < 8 * (message_sizes[i] + payload_size); bit++) {
                struct pair pair;
                pair_init(&pair, 1);
                assert_int_equal(pair_run(&pair, i, flip_bit, bit, payload_size), ERR_DECRYPT);
            }
        }
    }
}

static void every_truncated_or_lengthened_handshake_message_is_refused(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 3; i++) {
        for (size_t size = 0; size < message_sizes[i]; size++) {
            struct pair pair;
            pair_init(&pair, 2);
            assert_int_equal(pair_run(&pair, i, truncate_to, size, 0), ERR_DECRYPT);
        }
        for (size_t more = 1; more < 40; more++) {
            struct pair pair;
            pair_init(&pair, 2);
            assert_int_equal(pair_run(&pair, i, lengthen, more, 0), ERR_DECRYPT);
        }
    }
}

/* The points of small order, and the same ones over p and with the unused top bit set: RFC 7748
 * reads them all as one of 0, 1, -1 and the two of order 8. */
static const char *const low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void low_order_ephemeral_keys_are_refused(void **state)
{
    (void) state;
    for (size_t i = 0; i < 2 * sizeof low_order / sizeof low_order[0]; i++) {
        uint8_t point[96] = {0}, back[96];
        size_t size = 0;
        assert_int_equal(sodium_hex2bin(point, 32, low_order[i / 2], 64, NULL, &size, NULL), 0);
        point[31] |= (uint8_t) ((i % 2) << 7);
        struct pair pair;
        pair_init(&pair, 3);
        /* the responder learns it in message 1 and meets it in its own DH … */
        assert_int_equal(noise_read(&pair.sides[1], bytes_of(point, 32), back, &size), ERR_OK);
        assert_int_equal(noise_write(&pair.sides[1], none, back, &size), ERR_DECRYPT);
        /* … the initiator in message 2 */
        assert_int_equal(noise_write(&pair.sides[0], none, back, &size), ERR_OK);
        assert_int_equal(noise_read(&pair.sides[0], BYTES_OF_ARRAY(point), back, &size),
                         ERR_DECRYPT);
    }
}

/* A peer that plays by the rules in all but its static key, which has no secret. */
static void low_order_static_keys_are_refused(void **state)
{
    (void) state;
    for (size_t i = 0; i < 2 * sizeof low_order / sizeof low_order[0]; i++) {
        uint8_t point[32], message[MESSAGE_SIZE_MAX], back[MESSAGE_SIZE_MAX];
        size_t size = 0;
        assert_int_equal(sodium_hex2bin(point, 32, low_order[i / 2], 64, NULL, &size, NULL), 0);
        point[31] |= (uint8_t) ((i % 2) << 7);
        struct pair pair;
        pair_init(&pair, 4);
        memcpy(pair.sides[0].static_public, point, 32);
        for (unsigned step = 0; step < 2; step++) {
            assert_int_equal(noise_write(&pair.sides[step], none, message, &size), ERR_OK);
            assert_int_equal(
                noise_read(&pair.sides[1 - step], bytes_of(message, size), back, &size), ERR_OK);
        }
        assert_int_equal(noise_write(&pair.sides[0], none, message, &size), ERR_OK);
        assert_int_equal(noise_read(&pair.sides[1], bytes_of(message, size), back, &size),
                         ERR_DECRYPT);
    }
}

static void after_a_refusal_nothing_is_left_of_the_handshake(void **state)
{
    (void) state;
    struct pair pair;
    uint8_t message[96] = {0}, back[96];
    size_t size = 77;
    pair_init(&pair, 5);
    assert_int_equal(noise_read(&pair.sides[1], bytes_of(message, 31), back, &size), ERR_DECRYPT);
    assert_int_equal(size, 77);
    assert_true(sodium_is_zero(pair.sides[1].static_secret, 32));
    assert_true(sodium_is_zero(pair.sides[1].ephemeral_secret, 32));
    assert_int_equal(noise_read(&pair.sides[1], bytes_of(message, 32), back, &size), ERR_DECRYPT);
    assert_int_equal(noise_write(&pair.sides[1], none, back, &size), ERR_DECRYPT);
    assert_int_equal(noise_overhead(&pair.sides[1]), 0);
    noise_done(NULL);
}

static void a_secret_that_was_never_drawn_is_refused(void **state)
{
    (void) state;
    struct noise noise;
    static const uint8_t zero[32] = {0}, good[32] = {9};
    assert_int_equal(noise_init(&noise, true, none, zero, good), ERR_KEY);
    assert_int_equal(noise_init(&noise, true, none, good, zero), ERR_KEY);
    assert_int_equal(noise_init(&noise, true, none, good, good), ERR_OK);
    noise_done(&noise);
}

static void a_different_prologue_is_refused(void **state)
{
    (void) state;
    struct noise sides[2];
    uint8_t secret[32] = {0x10}, ephemeral[32] = {0x20}, message[96], back[96];
    size_t size = 0;
    assert_int_equal(noise_init(&sides[0], true, bytes_of_str("essaim\1"), secret, ephemeral), 0);
    assert_int_equal(noise_init(&sides[1], false, bytes_of_str("essaim\2"), ephemeral, secret), 0);
    assert_int_equal(noise_write(&sides[0], none, message, &size), ERR_OK);
    assert_int_equal(noise_read(&sides[1], bytes_of(message, size), back, &size), ERR_OK);
    assert_int_equal(noise_write(&sides[1], none, message, &size), ERR_OK);
    assert_int_equal(noise_read(&sides[0], bytes_of(message, size), back, &size), ERR_DECRYPT);
}

static void a_used_up_nonce_seals_and_opens_nothing(void **state)
{
    (void) state;
    struct noise_cipher send = {.keyed = true, .nonce = UINT64_MAX - 1}, recv = send;
    uint8_t sealed[16 + NOISE_TAG_SIZE], back[16];
    uint8_t plain[16] = {1};
    assert_int_equal(noise_seal(&send, BYTES_OF_ARRAY(plain), sealed), ERR_OK);
    assert_int_equal(noise_open(&recv, BYTES_OF_ARRAY(sealed), back), ERR_OK);
    assert_int_equal(noise_seal(&send, BYTES_OF_ARRAY(plain), sealed), ERR_FULL);
    static const uint8_t last[12] = {0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};
    (void) crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, plain, sizeof plain, NULL, 0,
                                                     NULL, last, send.key);
    assert_int_equal(noise_open(&recv, BYTES_OF_ARRAY(sealed), back), ERR_DECRYPT);
}

static void a_replayed_altered_or_short_message_is_refused_and_costs_no_nonce(void **state)
{
    (void) state;
    struct noise_cipher send = {.keyed = true, .key = {4}}, recv = send;
    uint8_t first[32], second[32], back[32], plain[16] = {1};
    assert_int_equal(noise_seal(&send, BYTES_OF_ARRAY(plain), first), ERR_OK);
    assert_int_equal(noise_seal(&send, BYTES_OF_ARRAY(plain), second), ERR_OK);
    assert_int_equal(noise_open(&recv, BYTES_OF_ARRAY(second), back), ERR_DECRYPT);
    assert_int_equal(noise_open(&recv, BYTES_OF_ARRAY(first), back), ERR_OK);
    assert_int_equal(noise_open(&recv, BYTES_OF_ARRAY(first), back), ERR_DECRYPT);
    for (size_t bit = 0; bit < 8 * sizeof second; bit++) {
        (void) flip_bit(second, sizeof second, bit);
        assert_int_equal(noise_open(&recv, BYTES_OF_ARRAY(second), back), ERR_DECRYPT);
        (void) flip_bit(second, sizeof second, bit);
    }
    for (size_t size = 0; size < sizeof second; size++) {
        assert_int_equal(noise_open(&recv, bytes_of(second, size), back), ERR_DECRYPT);
    }
    assert_int_equal(recv.nonce, 1);
    assert_int_equal(noise_open(&recv, BYTES_OF_ARRAY(second), back), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_vectors_come_out_byte_for_byte),
        cmocka_unit_test(the_shared_vectors_come_out_byte_for_byte),
        cmocka_unit_test(hundreds_of_handshakes_agree_and_carry_messages_both_ways),
        cmocka_unit_test(every_flipped_bit_of_the_handshake_is_refused),
        cmocka_unit_test(every_truncated_or_lengthened_handshake_message_is_refused),
        cmocka_unit_test(low_order_ephemeral_keys_are_refused),
        cmocka_unit_test(low_order_static_keys_are_refused),
        cmocka_unit_test(after_a_refusal_nothing_is_left_of_the_handshake),
        cmocka_unit_test(a_secret_that_was_never_drawn_is_refused),
        cmocka_unit_test(a_different_prologue_is_refused),
        cmocka_unit_test(a_used_up_nonce_seals_and_opens_nothing),
        cmocka_unit_test(a_replayed_altered_or_short_message_is_refused_and_costs_no_nonce),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
