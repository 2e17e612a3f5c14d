/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/noise.c: one Noise pattern and suite, written down from revision 34 of the specification.
 *
 * Happy path: each handshake message is a row of tokens (§7.5); write and read walk the same row,
 * and the payload is sealed behind it; after three messages noise_split gives the two transport
 * keys. How it fails: whatever is short, altered or of low order makes the one error ERR_DECRYPT
 * and wipes the handshake, so that the cause cannot be told from outside and nothing can go on.
 */
#include "proto/noise.h"

#include <sodium.h>

#include "base/must.h"

#define NAME "Noise_XX_25519_ChaChaPoly_SHA512"
#define STEPS 3u
#define STEP_DEAD 4u
#define TOKENS_MAX 4
#define NONCE_MAX UINT64_MAX /* reserved for Rekey() */

enum token { TOKEN_NONE, TOKEN_E, TOKEN_S, TOKEN_EE, TOKEN_ES, TOKEN_SE };

static const enum token pattern[STEPS][TOKENS_MAX] = {
    {TOKEN_E},
    {TOKEN_E, TOKEN_EE, TOKEN_S, TOKEN_ES},
    {TOKEN_S, TOKEN_SE},
};

/* ---- cipher state (§5.1) ---- */

static void nonce_bytes(uint64_t nonce, uint8_t ret_bytes[12])
{
    memset(ret_bytes, 0, 4);
    for (unsigned i = 0; i < 8; i++) {
        ret_bytes[4 + i] = (uint8_t) (nonce >> (8 * i));
    }
}

static enum err seal(struct noise_cipher *cipher, struct bytes ad, struct bytes plain,
                     uint8_t *into)
{
    if (cipher->nonce == NONCE_MAX) {
        return ERR_FULL;
    }
    uint8_t nonce[12];
    nonce_bytes(cipher->nonce, nonce);
    (void) crypto_aead_chacha20poly1305_ietf_encrypt(into, NULL, plain.data, plain.size, ad.data,
                                                     ad.size, NULL, nonce, cipher->key);
    cipher->nonce++;
    return ERR_OK;
}

static enum err open_sealed(struct noise_cipher *cipher, struct bytes ad, struct bytes sealed,
                            uint8_t *into)
{
    if (cipher->nonce == NONCE_MAX || sealed.size < NOISE_TAG_SIZE) {
        return ERR_DECRYPT;
    }
    uint8_t nonce[12];
    nonce_bytes(cipher->nonce, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(into, NULL, NULL, sealed.data, sealed.size,
                                                  ad.data, ad.size, nonce, cipher->key) != 0) {
        return ERR_DECRYPT;
    }
    cipher->nonce++;
    return ERR_OK;
}

enum err noise_seal(struct noise_cipher *cipher, struct bytes plain, uint8_t *into)
{
    must(cipher->keyed);
    return seal(cipher, bytes_of(NULL, 0), plain, into);
}

enum err noise_open(struct noise_cipher *cipher, struct bytes sealed, uint8_t *into)
{
    must(cipher->keyed);
    return open_sealed(cipher, bytes_of(NULL, 0), sealed, into);
}

void noise_rekey(struct noise_cipher *cipher)
{
    must(cipher->keyed);
    static const uint8_t zeros[32] = {0};
    uint8_t sealed[sizeof zeros + NOISE_TAG_SIZE], nonce[12];
    nonce_bytes(NONCE_MAX, nonce);
    (void) crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, zeros, sizeof zeros, NULL, 0,
                                                     NULL, nonce, cipher->key);
    memcpy(cipher->key, sealed, sizeof cipher->key);
    sodium_memzero(sealed, sizeof sealed);
}

/* ---- symmetric state (§5.2) ---- */

static void hmac(const uint8_t key[NOISE_HASH_SIZE], struct bytes first, struct bytes second,
                 uint8_t ret_mac[NOISE_HASH_SIZE])
{
    crypto_auth_hmacsha512_state state;
    crypto_auth_hmacsha512_init(&state, key, NOISE_HASH_SIZE);
    crypto_auth_hmacsha512_update(&state, first.data, first.size);
    crypto_auth_hmacsha512_update(&state, second.data, second.size);
    crypto_auth_hmacsha512_final(&state, ret_mac);
    sodium_memzero(&state, sizeof state);
}

/* HKDF with two outputs (§4.3). The outputs may be the chaining key itself. */
static void hkdf(const uint8_t chaining_key[NOISE_HASH_SIZE], struct bytes material,
                 uint8_t ret_first[NOISE_HASH_SIZE], uint8_t ret_second[NOISE_HASH_SIZE])
{
    static const uint8_t one = 1, two = 2;
    uint8_t key[NOISE_HASH_SIZE];
    hmac(chaining_key, material, bytes_of(NULL, 0), key);
    hmac(key, bytes_of(&one, 1), bytes_of(NULL, 0), ret_first);
    hmac(key, bytes_of(ret_first, NOISE_HASH_SIZE), bytes_of(&two, 1), ret_second);
    sodium_memzero(key, sizeof key);
}

static void mix_hash(struct noise *noise, struct bytes bytes)
{
    crypto_hash_sha512_state state;
    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, noise->hash, sizeof noise->hash);
    crypto_hash_sha512_update(&state, bytes.data, bytes.size);
    crypto_hash_sha512_final(&state, noise->hash);
}

/* MixKey of one Diffie-Hellman result, which is refused when it is all zero (§12.1 allows, we
 * insist). */
static enum err mix_dh(struct noise *noise, const uint8_t secret[32], const uint8_t public_key[32])
{
    uint8_t shared[32], key[NOISE_HASH_SIZE];
    if (crypto_scalarmult(shared, secret, public_key) != 0) {
        sodium_memzero(shared, sizeof shared);
        return ERR_DECRYPT;
    }
    hkdf(noise->chaining_key, BYTES_OF_ARRAY(shared), noise->chaining_key, key);
    memcpy(noise->cipher.key, key, sizeof noise->cipher.key);
    noise->cipher.nonce = 0;
    noise->cipher.keyed = true;
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(key, sizeof key);
    return ERR_OK;
}

/* EncryptAndHash; without a key yet the bytes travel in the clear, but hashed. */
static enum err seal_and_hash(struct noise *noise, struct bytes plain, uint8_t *into,
                              size_t *ret_size)
{
    size_t size = plain.size;
    if (noise->cipher.keyed) {
        enum err err = seal(&noise->cipher, BYTES_OF_ARRAY(noise->hash), plain, into);
        if (err != ERR_OK) {
            return err;
        }
        size += NOISE_TAG_SIZE;
    } else {
        bytes_copy(into, plain);
    }
    mix_hash(noise, bytes_of(into, size));
    *ret_size = size;
    return ERR_OK;
}

/* DecryptAndHash. */
static enum err open_and_hash(struct noise *noise, struct bytes sealed, uint8_t *into,
                              size_t *ret_size)
{
    size_t size = sealed.size;
    uint8_t hash[NOISE_HASH_SIZE];
    memcpy(hash, noise->hash, sizeof hash);
    mix_hash(noise, sealed); /* first: `into` may be where `sealed` is */
    if (noise->cipher.keyed) {
        enum err err = open_sealed(&noise->cipher, BYTES_OF_ARRAY(hash), sealed, into);
        if (err != ERR_OK) {
            return err;
        }
        size -= NOISE_TAG_SIZE;
    } else if (size > 0) {
        memmove(into, sealed.data, size);
    }
    *ret_size = size;
    return ERR_OK;
}

/* ---- handshake state (§5.3) ---- */

enum err noise_init(struct noise *noise, bool initiator, struct bytes prologue,
                    const uint8_t static_secret[32], const uint8_t ephemeral_secret[32])
{
    _Static_assert(sizeof NAME - 1 <= NOISE_HASH_SIZE, "a longer name would have to be hashed");
    *noise = (struct noise){.initiator = initiator};
    memcpy(noise->static_secret, static_secret, 32);
    memcpy(noise->ephemeral_secret, ephemeral_secret, 32);
    /* Clamping makes any 32 bytes a secret; all zero is one that was never drawn. */
    if (sodium_is_zero(static_secret, 32) || sodium_is_zero(ephemeral_secret, 32) ||
        crypto_scalarmult_base(noise->static_public, noise->static_secret) != 0 ||
        crypto_scalarmult_base(noise->ephemeral_public, noise->ephemeral_secret) != 0) {
        noise_done(noise);
        return ERR_KEY;
    }
    memcpy(noise->hash, NAME, sizeof NAME - 1);
    memcpy(noise->chaining_key, noise->hash, NOISE_HASH_SIZE);
    mix_hash(noise, prologue);
    return ERR_OK;
}

void noise_done(struct noise *noise)
{
    if (noise != NULL) {
        sodium_memzero(noise, sizeof *noise);
        noise->step = STEP_DEAD;
    }
}

size_t noise_overhead(const struct noise *noise)
{
    static const size_t overhead[STEPS] = {32, 32 + 32 + 2 * NOISE_TAG_SIZE,
                                           32 + 2 * NOISE_TAG_SIZE};
    return noise->step < STEPS ? overhead[noise->step] : 0;
}

/* The initiator writes steps 0 and 2, the responder step 1. */
static bool writes_next(const struct noise *noise)
{
    return noise->initiator == (noise->step % 2 == 0);
}

/* ee, es, se: the first letter is the initiator's key, the second the responder's. */
static enum err token_dh(struct noise *noise, enum token token)
{
    bool own_static = token != TOKEN_EE && (token == TOKEN_SE) == noise->initiator;
    bool remote_static = token != TOKEN_EE && !own_static;
    return mix_dh(noise, own_static ? noise->static_secret : noise->ephemeral_secret,
                  remote_static ? noise->remote_static : noise->remote_ephemeral);
}

static enum err write_token(struct noise *noise, enum token token, uint8_t *into, size_t *ret_size)
{
    *ret_size = 0;
    switch (token) {
    case TOKEN_E:
        memcpy(into, noise->ephemeral_public, 32);
        mix_hash(noise, bytes_of(into, 32));
        *ret_size = 32;
        return ERR_OK;
    case TOKEN_S:
        return seal_and_hash(noise, BYTES_OF_ARRAY(noise->static_public), into, ret_size);
    default:
        return token_dh(noise, token);
    }
}

static enum err read_token(struct noise *noise, enum token token, struct bytes left,
                           size_t *ret_size)
{
    size_t plain_size = 0;
    *ret_size = 0;
    switch (token) {
    case TOKEN_E:
        memcpy(noise->remote_ephemeral, left.data, 32);
        mix_hash(noise, bytes_of(left.data, 32));
        *ret_size = 32;
        return ERR_OK;
    case TOKEN_S:
        *ret_size = 32 + NOISE_TAG_SIZE;
        return open_and_hash(noise, bytes_of(left.data, *ret_size), noise->remote_static,
                             &plain_size);
    default:
        return token_dh(noise, token);
    }
}

static enum err write_message(struct noise *noise, struct bytes payload, uint8_t *into,
                              size_t *ret_size)
{
    size_t at = 0, size = 0;
    for (size_t i = 0; i < TOKENS_MAX && pattern[noise->step][i] != TOKEN_NONE; i++) {
        enum err err = write_token(noise, pattern[noise->step][i], into + at, &size);
        if (err != ERR_OK) {
            return err;
        }
        at += size;
    }
    enum err err = seal_and_hash(noise, payload, into + at, &size);
    if (err == ERR_OK) {
        *ret_size = at + size;
    }
    return err;
}

static enum err read_message(struct noise *noise, struct bytes message, uint8_t *into,
                             size_t *ret_size)
{
    if (message.size < noise_overhead(noise)) {
        return ERR_DECRYPT; /* so every token below finds its bytes */
    }
    size_t at = 0, size = 0;
    for (size_t i = 0; i < TOKENS_MAX && pattern[noise->step][i] != TOKEN_NONE; i++) {
        struct bytes left = bytes_of(message.data + at, message.size - at);
        enum err err = read_token(noise, pattern[noise->step][i], left, &size);
        if (err != ERR_OK) {
            return err;
        }
        at += size;
    }
    struct bytes left = bytes_of(message.data + at, message.size - at);
    return open_and_hash(noise, left, into, ret_size);
}

enum err noise_write(struct noise *noise, struct bytes payload, uint8_t *into, size_t *ret_size)
{
    if (noise->step == STEP_DEAD) {
        return ERR_DECRYPT;
    }
    must(noise->step < STEPS);
    must(writes_next(noise));
    enum err err = write_message(noise, payload, into, ret_size);
    if (err != ERR_OK) {
        noise_done(noise);
        return err;
    }
    noise->step++;
    return ERR_OK;
}

enum err noise_read(struct noise *noise, struct bytes message, uint8_t *into, size_t *ret_size)
{
    if (noise->step == STEP_DEAD) {
        return ERR_DECRYPT;
    }
    must(noise->step < STEPS);
    must(!writes_next(noise));
    enum err err = read_message(noise, message, into, ret_size);
    if (err != ERR_OK) {
        noise_done(noise);
        return err;
    }
    noise->step++;
    return ERR_OK;
}

void noise_split(const struct noise *noise, struct noise_cipher *ret_send,
                 struct noise_cipher *ret_recv)
{
    must(noise->step == STEPS);
    uint8_t first[NOISE_HASH_SIZE], second[NOISE_HASH_SIZE];
    hkdf(noise->chaining_key, bytes_of(NULL, 0), first, second);
    *ret_send = (struct noise_cipher){.keyed = true};
    *ret_recv = (struct noise_cipher){.keyed = true};
    memcpy(ret_send->key, noise->initiator ? first : second, sizeof ret_send->key);
    memcpy(ret_recv->key, noise->initiator ? second : first, sizeof ret_recv->key);
    sodium_memzero(first, sizeof first);
    sodium_memzero(second, sizeof second);
}
