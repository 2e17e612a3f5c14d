/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/hash.h: H and H16 of doc/protocol.md §1, Ed25519 signatures with their domain tags, and the
 * four keys. */
#ifndef ESSAIM_PROTO_HASH_H
#define ESSAIM_PROTO_HASH_H

#include "base/bytes.h"
#include "base/err.h"

#define HASH_SIZE 32
#define SLUG_HASH_SIZE 16
#define HINT_SIZE 16
#define KEY_SIZE 32       /* public keys, X25519 secret keys */
#define SIGN_SEED_SIZE 32 /* an Ed25519 secret is kept as its seed (RFC 8032) */
#define SIGN_SECRET_SIZE 64
#define SIGNATURE_SIZE 64
#define INSTANCE_SIZE 16

struct hash {
    uint8_t bytes[HASH_SIZE];
};
struct slug_hash {
    uint8_t bytes[SLUG_HASH_SIZE];
};
/* What is remembered of a withdrawn entry, doc/protocol.md §6: its bucket, and a hash of its leaf.
 * Who never had that very entry learns nothing from it. */
struct hint {
    uint8_t bytes[HINT_SIZE];
};
struct lab_id {
    uint8_t bytes[KEY_SIZE];
};

/* Domain tags: 16 bytes, zero padded. */
enum hash_tag {
    TAG_LEAF,
    TAG_SLUG,
    TAG_BUCKET,
    TAG_NODE,
    TAG_HEAD_HASH,
    TAG_HISTORY,
    TAG_MERGE,
    TAG_GONE,
    TAG_SIG_LAB,
    TAG_SIG_HEAD,
    TAG_SIG_RECOVER,
    TAG_SIG_RECEIPT,
    TAG_COUNT
};
const uint8_t *hash_tag_bytes(enum hash_tag tag); /* 16 bytes */

struct hash hash_of(enum hash_tag tag, struct bytes bytes);
struct hash hash_of_two(enum hash_tag tag, struct bytes first, struct bytes second);
struct slug_hash hash_slug(struct bytes slug);
struct hint hash_hint(const struct slug_hash *slug_hash, const struct hash *leaf);
/* What stands for a slug where it may not be found again without the key. */
struct slug_hash hash_retired(const uint8_t key[KEY_SIZE], const struct slug_hash *slug_hash);

/* Deterministic Ed25519 (libsodium). `secret` is libsodium's 64-byte form (seed ‖ public key). */
void sign_keypair(const uint8_t seed[SIGN_SEED_SIZE], uint8_t ret_public[KEY_SIZE],
                  uint8_t ret_secret[SIGN_SECRET_SIZE]);
void sign_bytes(enum hash_tag tag, struct bytes payload, const uint8_t secret[SIGN_SECRET_SIZE],
                uint8_t ret_signature[SIGNATURE_SIZE]);
MUST_USE enum err sign_verify(enum hash_tag tag, struct bytes payload,
                              const uint8_t public_key[KEY_SIZE],
                              const uint8_t signature[SIGNATURE_SIZE]);

/* Overwrites secrets in a way the compiler keeps. */
void secret_wipe(void *secret, size_t size);

/* Public link key (X25519) of a secret one. ERR_KEY on a degenerate key. */
MUST_USE enum err link_public(const uint8_t secret[KEY_SIZE], uint8_t ret_public[KEY_SIZE]);

#endif
