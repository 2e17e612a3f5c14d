/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/recover.c: the recovery statement. Form first, then the fields, then the signature by the
 * lab that the statement names: whether that lab is wanted is the caller's question. */
#include "proto/recover.h"

#include "base/defer.h"
#include "proto/fields.h"
#include "proto/pack.h"
#include "proto/signed.h"

enum err recover_sign(const struct lab_id *lab, const uint8_t root_secret[SIGN_SECRET_SIZE],
                      const uint8_t link_pk[KEY_SIZE], uint64_t issued_at, struct buf *into)
{
    /* libsodium keeps the public key behind the seed. */
    if (memcmp(root_secret + SIGN_SEED_SIZE, lab->bytes, KEY_SIZE) != 0) {
        return ERR_INVALID;
    }
    defer(buf_done) struct buf payload = {0};
    pack_array(&payload, 5);
    pack_cstr(&payload, "recover");
    pack_uint(&payload, 1);
    pack_bin(&payload, BYTES_OF_ARRAY(lab->bytes));
    pack_bin(&payload, bytes_of(link_pk, KEY_SIZE));
    pack_uint(&payload, issued_at);
    if (payload.err != ERR_OK) {
        return payload.err;
    }
    signed_put(TAG_SIG_RECOVER, buf_bytes(&payload), root_secret, into);
    return into->err;
}

enum err recover_open(struct bytes bytes, struct lab_id *ret_lab, uint8_t ret_link_pk[KEY_SIZE],
                      uint64_t *ret_issued_at)
{
    struct signed_object object;
    enum err err = signed_split(bytes, RECOVER_SIZE_MAX, &object);
    if (err != ERR_OK) {
        return err;
    }
    struct lab_id lab = {0};
    uint8_t link_pk[KEY_SIZE] = {0};
    struct fields fields = fields_of(object.payload);
    fields_expect(&fields, 5);
    fields_want(&fields, bytes_equal(fields_str(&fields), bytes_of_str("recover")));
    fields_want(&fields, fields_uint(&fields) == 1);
    fields_copy(&fields, lab.bytes, sizeof lab.bytes);
    fields_copy(&fields, link_pk, sizeof link_pk);
    uint64_t issued_at = fields_uint(&fields);
    err = fields_end(&fields);
    if (err != ERR_OK) {
        return err;
    }
    err = signed_verify(&object, TAG_SIG_RECOVER, lab.bytes);
    if (err != ERR_OK) {
        return err;
    }
    *ret_lab = lab;
    memcpy(ret_link_pk, link_pk, sizeof link_pk);
    *ret_issued_at = issued_at;
    return ERR_OK;
}
