/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/signed.c: the frame that lab records and heads share. Splitting checks form only, so that a
 * caller may read whose key to verify with. */
#include "proto/signed.h"

#include "base/limits.h"
#include "base/must.h"
#include "proto/fields.h"
#include "proto/pack.h"
#include "proto/scan.h"

static const struct scan_limits frame_limits = {.depth_max = 1, .nodes_max = 3};
static const struct scan_limits payload_limits = {
    .depth_max = PACK_DEPTH_MAX,
    .nodes_max = RECORD_SIZE_MAX}; /* a thousand rows of a receipt, too */

void signed_put(enum hash_tag tag, struct bytes payload, const uint8_t secret[SIGN_SECRET_SIZE],
                struct buf *into)
{
    must(scan_strict(payload, payload_limits) == ERR_OK);
    uint8_t signature[SIGNATURE_SIZE];
    sign_bytes(tag, payload, secret, signature);
    pack_array(into, 2);
    pack_bin(into, payload);
    pack_bin(into, BYTES_OF_ARRAY(signature));
}

enum err signed_split(struct bytes bytes, size_t size_max, struct signed_object *ret_object)
{
    if (bytes.size > size_max) {
        return ERR_SIZE;
    }
    enum err err = scan_strict(bytes, frame_limits);
    if (err != ERR_OK) {
        return err;
    }
    struct fields fields = fields_of(bytes);
    fields_expect(&fields, 2);
    struct signed_object object = {.payload = fields_bin(&fields)};
    object.signature = fields_bin(&fields);
    fields_want(&fields, object.signature.size == SIGNATURE_SIZE);
    err = fields_end(&fields);
    if (err != ERR_OK) {
        return err;
    }
    err = scan_strict(object.payload, payload_limits);
    if (err != ERR_OK) {
        return err;
    }
    *ret_object = object;
    return ERR_OK;
}

enum err signed_verify(const struct signed_object *object, enum hash_tag tag,
                       const uint8_t public_key[KEY_SIZE])
{
    return sign_verify(tag, object->payload, public_key, object->signature.data);
}
