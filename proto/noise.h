/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/noise.h: Noise_XX_25519_ChaChaPoly_SHA512 over libsodium (the Noise Protocol Framework,
 * revision 34), this one pattern and suite only. Pure: the ephemeral secret comes from the caller.
 *
 *     -> e            32 B + payload
 *     <- e, ee, s, es 96 B + payload
 *     -> s, se        64 B + payload
 */
#ifndef ESSAIM_PROTO_NOISE_H
#define ESSAIM_PROTO_NOISE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proto/hash.h"

#define NOISE_HASH_SIZE 64
#define NOISE_TAG_SIZE 16

/* One direction of transport: key and nonce counter. */
struct noise_cipher {
    uint8_t key[32];
    uint64_t nonce;
    bool keyed;
};

struct noise {
    bool initiator;
    unsigned step; /* handshake messages done: 0 to 3 */
    uint8_t static_secret[32], static_public[32];
    uint8_t ephemeral_secret[32], ephemeral_public[32];
    uint8_t remote_static[32], remote_ephemeral[32];
    uint8_t chaining_key[NOISE_HASH_SIZE], hash[NOISE_HASH_SIZE];
    struct noise_cipher cipher; /* of the handshake */
};

/* ERR_KEY when a secret is degenerate. */
MUST_USE enum err noise_init(struct noise *noise, bool initiator, struct bytes prologue,
                             const uint8_t static_secret[32], const uint8_t ephemeral_secret[32]);
/* Wipes everything. Accepts NULL and zeroed objects. */
void noise_done(struct noise *noise);
/* Bytes the next handshake message adds to its payload (32, 96, 64). */
size_t noise_overhead(const struct noise *noise);
/* `into` has room for payload.size + noise_overhead(). must() on a wrong turn; ERR_DECRYPT for a
 * low-order remote key. */
MUST_USE enum err noise_write(struct noise *noise, struct bytes payload, uint8_t *into,
                              size_t *ret_size);
/* `into` has room for message.size. ERR_DECRYPT for anything altered, short or low-order; the state
 * is then useless. */
MUST_USE enum err noise_read(struct noise *noise, struct bytes message, uint8_t *into,
                             size_t *ret_size);
/* After step 3: splits into the two transport directions. */
void noise_split(const struct noise *noise, struct noise_cipher *ret_send,
                 struct noise_cipher *ret_recv);

/* plain.size + 16 bytes into `into` (may overlap exactly: into == plain.data). ERR_FULL when the
 * nonce is used up. */
MUST_USE enum err noise_seal(struct noise_cipher *cipher, struct bytes plain, uint8_t *into);
/* sealed.size - 16 bytes into `into` (may be sealed.data). ERR_DECRYPT. */
MUST_USE enum err noise_open(struct noise_cipher *cipher, struct bytes sealed, uint8_t *into);
/* Rekey() of the specification, §4.2 and §11.3. The nonce goes on. */
void noise_rekey(struct noise_cipher *cipher);

#endif
