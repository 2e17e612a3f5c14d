/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/signed.h: the signed object of doc/protocol.md §4: [payload bin, signature bin64]. */
#ifndef ESSAIM_PROTO_SIGNED_H
#define ESSAIM_PROTO_SIGNED_H

#include "base/buf.h"
#include "proto/hash.h"

/* What stands around a payload of less than 64 KiB, at most. */
#define SIGNED_FRAME_SIZE (1 + 3 + 2 + SIGNATURE_SIZE)

struct signed_object {
    struct bytes payload;   /* one canonical value */
    struct bytes signature; /* SIGNATURE_SIZE bytes */
};

/* Signs `payload` and appends the object. must() that the payload is canonical. */
void signed_put(enum hash_tag tag, struct bytes payload, const uint8_t secret[SIGN_SECRET_SIZE],
                struct buf *into);
/* Views into `bytes`, object and payload pre-scanned, signature not checked. ERR_SIZE (over
 * size_max), ERR_CANONICAL, ERR_INVALID. */
MUST_USE enum err signed_split(struct bytes bytes, size_t size_max,
                               struct signed_object *ret_object);
/* ERR_SIGNATURE. */
MUST_USE enum err signed_verify(const struct signed_object *object, enum hash_tag tag,
                                const uint8_t public_key[KEY_SIZE]);

#endif
