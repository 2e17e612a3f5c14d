/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/hash.c: BLAKE2b and Ed25519 of libsodium, each with a domain tag in front, so that bytes
 * hashed or signed for one purpose never stand for another. Verification fails with ERR_SIGNATURE,
 * also for small-order keys and altered S (libsodium refuses both). */
#include "proto/hash.h"

#include <sodium.h>

#include "base/limits.h"
#include "base/must.h"

#define TAG_SIZE 16
/* What is signed: receipts are the largest. */
#define SIGNED_SIZE_MAX (TAG_SIZE + RECEIPT_SIZE_MAX)

static const uint8_t tags[TAG_COUNT][TAG_SIZE] = {
    [TAG_LEAF] = "essaim1 leaf",           [TAG_SLUG] = "essaim1 slug",
    [TAG_BUCKET] = "essaim1 bucket",       [TAG_NODE] = "essaim1 node",
    [TAG_HEAD_HASH] = "essaim1 headhash",  [TAG_HISTORY] = "essaim1 history",
    [TAG_MERGE] = "essaim1 merge",         [TAG_GONE] = "essaim1 gone",
    [TAG_SIG_LAB] = "essaim1 lab",         [TAG_SIG_HEAD] = "essaim1 head",
    [TAG_SIG_RECOVER] = "essaim1 recover", [TAG_SIG_RECEIPT] = "essaim1 erased",
};

const uint8_t *hash_tag_bytes(enum hash_tag tag)
{
    must(tag < TAG_COUNT);
    return tags[tag];
}

static void digest(enum hash_tag tag, struct bytes first, struct bytes second, uint8_t *into,
                   size_t size)
{
    crypto_generichash_blake2b_state state;
    (void) crypto_generichash_blake2b_init(&state, NULL, 0, size);
    (void) crypto_generichash_blake2b_update(&state, hash_tag_bytes(tag), TAG_SIZE);
    if (first.size > 0) {
        (void) crypto_generichash_blake2b_update(&state, first.data, first.size);
    }
    if (second.size > 0) {
        (void) crypto_generichash_blake2b_update(&state, second.data, second.size);
    }
    (void) crypto_generichash_blake2b_final(&state, into, size);
}

struct hash hash_of(enum hash_tag tag, struct bytes bytes)
{
    return hash_of_two(tag, bytes, (struct bytes){0});
}

struct hash hash_of_two(enum hash_tag tag, struct bytes first, struct bytes second)
{
    struct hash hash;
    digest(tag, first, second, hash.bytes, sizeof hash.bytes);
    return hash;
}

struct slug_hash hash_slug(struct bytes slug)
{
    struct slug_hash hash;
    digest(TAG_SLUG, slug, (struct bytes){0}, hash.bytes, sizeof hash.bytes);
    return hash;
}

struct hint hash_hint(const struct slug_hash *slug_hash, const struct hash *leaf)
{
    struct hint hint;
    digest(TAG_GONE, BYTES_OF_ARRAY(leaf->bytes), (struct bytes){0}, hint.bytes, sizeof hint.bytes);
    memmove(hint.bytes + 1, hint.bytes, sizeof hint.bytes - 1);
    hint.bytes[0] = slug_hash->bytes[0];
    return hint;
}

struct slug_hash hash_retired(const uint8_t key[KEY_SIZE], const struct slug_hash *slug_hash)
{
    struct slug_hash hash;
    crypto_generichash_blake2b_state state;
    (void) crypto_generichash_blake2b_init(&state, key, KEY_SIZE, sizeof hash.bytes);
    (void) crypto_generichash_blake2b_update(&state, slug_hash->bytes, SLUG_HASH_SIZE);
    (void) crypto_generichash_blake2b_final(&state, hash.bytes, sizeof hash.bytes);
    sodium_memzero(&state, sizeof state);
    return hash;
}

void sign_keypair(const uint8_t seed[SIGN_SEED_SIZE], uint8_t ret_public[KEY_SIZE],
                  uint8_t ret_secret[SIGN_SECRET_SIZE])
{
    (void) crypto_sign_ed25519_seed_keypair(ret_public, ret_secret, seed);
}

/* libsodium's multi-part signing is Ed25519ph, another scheme: the message must be in one piece. */
static size_t tagged(enum hash_tag tag, struct bytes payload, uint8_t into[SIGNED_SIZE_MAX])
{
    memcpy(into, hash_tag_bytes(tag), TAG_SIZE);
    bytes_copy(into + TAG_SIZE, payload);
    return TAG_SIZE + payload.size;
}

void sign_bytes(enum hash_tag tag, struct bytes payload, const uint8_t secret[SIGN_SECRET_SIZE],
                uint8_t ret_signature[SIGNATURE_SIZE])
{
    must(payload.size <= RECEIPT_SIZE_MAX);
    uint8_t message[SIGNED_SIZE_MAX];
    size_t size = tagged(tag, payload, message);
    (void) crypto_sign_ed25519_detached(ret_signature, NULL, message, size, secret);
}

enum err sign_verify(enum hash_tag tag, struct bytes payload, const uint8_t public_key[KEY_SIZE],
                     const uint8_t signature[SIGNATURE_SIZE])
{
    if (payload.size > RECEIPT_SIZE_MAX) {
        return ERR_SIZE;
    }
    uint8_t message[SIGNED_SIZE_MAX];
    size_t size = tagged(tag, payload, message);
    int bad = crypto_sign_ed25519_verify_detached(signature, message, size, public_key);
    return bad == 0 ? ERR_OK : ERR_SIGNATURE;
}

enum err link_public(const uint8_t secret[KEY_SIZE], uint8_t ret_public[KEY_SIZE])
{
    uint8_t public_key[KEY_SIZE];
    if (sodium_is_zero(secret, KEY_SIZE) ||
        crypto_scalarmult_curve25519_base(public_key, secret) != 0 ||
        sodium_is_zero(public_key, sizeof public_key)) {
        return ERR_KEY;
    }
    memcpy(ret_public, public_key, sizeof public_key);
    return ERR_OK;
}

void secret_wipe(void *secret, size_t size)
{
    sodium_memzero(secret, size);
}
