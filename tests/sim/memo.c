/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/memo.c: what costs most and gives the same for the same bytes is done once, by the
 * linker's --wrap: signing, checking a signature, X25519, inner nodes of the catalogues' trees. A
 * thousand labs, or ten thousand orders of the same updates, do mostly what one of them did.
 *
 * Two tables: by a hash of the function and all it was given, and, for inner nodes, by the two
 * digests themselves. Nothing but time depends on what they hold; a signature that is refused is
 * checked again each time.
 */
#include <sodium.h>
#include <string.h>

#include "base/must.h"
#include "tests/sim/state.h"

#define MEMO_COUNT (1u << 18)
#define INNER_COUNT (1u << 16)
#define KEY_BYTES 16

enum memo_kind { MEMO_SIGN, MEMO_VERIFY, MEMO_DH, MEMO_PUBLIC };

struct memo {
    uint8_t key[KEY_BYTES]; /* all zero: free */
    uint8_t value[SIGNATURE_SIZE];
};

static struct memo memos[MEMO_COUNT];

/* The place for what `kind` gives for these: is it there? */
static bool memo_find(enum memo_kind kind, struct bytes one, struct bytes two, struct bytes three,
                      struct memo **ret_memo, uint8_t key[KEY_BYTES])
{
    uint8_t which = (uint8_t) kind;
    crypto_generichash_state state;
    must(crypto_generichash_init(&state, NULL, 0, KEY_BYTES) == 0);
    must(crypto_generichash_update(&state, &which, 1) == 0);
    must(crypto_generichash_update(&state, one.data, one.size) == 0);
    must(crypto_generichash_update(&state, two.data, two.size) == 0);
    must(crypto_generichash_update(&state, three.data, three.size) == 0); /* the only long one */
    must(crypto_generichash_final(&state, key, KEY_BYTES) == 0);
    *ret_memo = &memos[be32_get(key) % MEMO_COUNT];
    return memcmp((*ret_memo)->key, key, KEY_BYTES) == 0;
}

static void memo_keep(struct memo *memo, const uint8_t key[KEY_BYTES], struct bytes value)
{
    memcpy(memo->key, key, KEY_BYTES);
    bytes_copy(memo->value, value);
}

static struct bytes tag_of(enum hash_tag tag)
{
    return bytes_of(hash_tag_bytes(tag), 16);
}

enum err __wrap_sign_verify(enum hash_tag tag, struct bytes payload,
                            const uint8_t public_key[KEY_SIZE],
                            const uint8_t signature[SIGNATURE_SIZE])
{
    uint8_t signer[KEY_SIZE + SIGNATURE_SIZE], key[KEY_BYTES];
    struct memo *memo = NULL;
    memcpy(signer, public_key, KEY_SIZE);
    memcpy(signer + KEY_SIZE, signature, SIGNATURE_SIZE);
    if (memo_find(MEMO_VERIFY, tag_of(tag), BYTES_OF_ARRAY(signer), payload, &memo, key)) {
        return ERR_OK;
    }
    enum err err = __real_sign_verify(tag, payload, public_key, signature);
    if (err == ERR_OK) {
        memo_keep(memo, key, (struct bytes){0});
    }
    return err;
}

void __wrap_sign_bytes(enum hash_tag tag, struct bytes payload,
                       const uint8_t secret[SIGN_SECRET_SIZE],
                       uint8_t ret_signature[SIGNATURE_SIZE])
{
    uint8_t key[KEY_BYTES];
    struct memo *memo = NULL;
    if (!memo_find(MEMO_SIGN, tag_of(tag), bytes_of(secret, SIGN_SECRET_SIZE), payload, &memo,
                   key)) {
        __real_sign_bytes(tag, payload, secret, ret_signature);
        memo_keep(memo, key, bytes_of(ret_signature, SIGNATURE_SIZE));
    }
    memcpy(ret_signature, memo->value, SIGNATURE_SIZE);
}

int __wrap_crypto_scalarmult(unsigned char *ret_shared, const unsigned char *secret,
                             const unsigned char *point)
{
    uint8_t key[KEY_BYTES];
    struct memo *memo = NULL;
    if (!memo_find(MEMO_DH, bytes_of(secret, KEY_SIZE), bytes_of(point, KEY_SIZE),
                   (struct bytes){0}, &memo, key)) {
        int bad = __real_crypto_scalarmult(ret_shared, secret, point);
        if (bad != 0) {
            return bad;
        }
        memo_keep(memo, key, bytes_of(ret_shared, KEY_SIZE));
    }
    memcpy(ret_shared, memo->value, KEY_SIZE);
    return 0;
}

int __wrap_crypto_scalarmult_base(unsigned char *ret_point, const unsigned char *secret)
{
    uint8_t key[KEY_BYTES];
    struct memo *memo = NULL;
    if (!memo_find(MEMO_PUBLIC, bytes_of(secret, KEY_SIZE), (struct bytes){0}, (struct bytes){0},
                   &memo, key)) {
        int bad = __real_crypto_scalarmult_base(ret_point, secret);
        if (bad != 0) {
            return bad;
        }
        memo_keep(memo, key, bytes_of(ret_point, KEY_SIZE));
    }
    memcpy(ret_point, memo->value, KEY_SIZE);
    return 0;
}

/* ---- inner nodes ---- */

struct inner {
    bool known;
    uint8_t sides[2][HASH_SIZE];
    struct hash hash;
};

static struct inner inners[INNER_COUNT];

struct hash __wrap_hash_of_two(enum hash_tag tag, struct bytes first, struct bytes second)
{
    if (tag != TAG_NODE || first.size != HASH_SIZE || second.size != HASH_SIZE) {
        return __real_hash_of_two(tag, first, second);
    }
    uint32_t at = be32_get(first.data) ^ be32_get(second.data + 4);
    struct inner *inner = &inners[at % INNER_COUNT];
    if (!inner->known || memcmp(inner->sides[0], first.data, HASH_SIZE) != 0 ||
        memcmp(inner->sides[1], second.data, HASH_SIZE) != 0) {
        inner->known = true;
        inner->hash = __real_hash_of_two(tag, first, second);
        memcpy(inner->sides[0], first.data, HASH_SIZE);
        memcpy(inner->sides[1], second.data, HASH_SIZE);
    }
    return inner->hash;
}
