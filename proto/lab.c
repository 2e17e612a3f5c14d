/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/lab.c: the lab record. Form is checked first, then the fields, then the signature by the
 * key the record itself names: who names a key it does not hold gets ERR_SIGNATURE. */
#include "proto/lab.h"

#include "base/defer.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "proto/entry.h"
#include "proto/fields.h"
#include "proto/pack.h"
#include "proto/signed.h"

static bool name_valid(struct bytes name)
{
    return name.size > 0 && name.size <= LAB_NAME_SIZE_MAX && utf8_valid_line(name);
}

static void payload_put(const struct lab_record *record, struct buf *into)
{
    pack_array(into, 9);
    pack_cstr(into, "lab");
    pack_uint(into, 1);
    pack_bin(into, BYTES_OF_ARRAY(record->lab.bytes));
    pack_uint(into, record->generation);
    pack_str(into, record->name);
    pack_bin(into, BYTES_OF_ARRAY(record->signing_pk));
    pack_bin(into, BYTES_OF_ARRAY(record->link_pk));
    pack_uint(into, record->issued_at);
    pack_array(into, record->last_good_count);
    for (unsigned i = 0; i < record->last_good_count; i++) {
        const struct last_good *good = &record->last_good[i];
        pack_array(into, 4);
        pack_bin(into, BYTES_OF_ARRAY(good->network.bytes));
        pack_str(into, good->audience);
        pack_uint(into, good->n);
        pack_bin(into, BYTES_OF_ARRAY(good->head_hash.bytes));
    }
}

/* What no type says. */
static bool record_valid(const struct lab_record *record)
{
    if (record->generation == 0 || !name_valid(record->name) ||
        record->last_good_count > LAST_GOOD_MAX ||
        (record->generation == 1 && record->last_good_count > 0)) {
        return false;
    }
    for (unsigned i = 0; i < record->last_good_count; i++) {
        if (!audience_valid(record->last_good[i].audience) || record->last_good[i].n == 0) {
            return false;
        }
    }
    return true;
}

enum err lab_record_sign(const struct lab_record *record,
                         const uint8_t root_secret[SIGN_SECRET_SIZE], struct buf *into)
{
    /* libsodium keeps the public key behind the seed. */
    if (!record_valid(record) ||
        memcmp(root_secret + SIGN_SEED_SIZE, record->lab.bytes, KEY_SIZE) != 0) {
        return ERR_INVALID;
    }
    defer(buf_done) struct buf payload = {0};
    payload_put(record, &payload);
    if (payload.err != ERR_OK) {
        return payload.err;
    }
    signed_put(TAG_SIG_LAB, buf_bytes(&payload), root_secret, into);
    return into->err;
}

static void last_good_read(struct fields *fields, struct lab_record *record)
{
    uint64_t count = fields_array(fields);
    if (count > LAST_GOOD_MAX) {
        fields->err = ERR_INVALID;
        return;
    }
    record->last_good_count = (unsigned) count;
    for (unsigned i = 0; i < record->last_good_count; i++) {
        struct last_good *good = &record->last_good[i];
        fields_expect(fields, 4);
        fields_copy(fields, good->network.bytes, sizeof good->network.bytes);
        good->audience = fields_str(fields);
        good->n = fields_uint(fields);
        fields_copy(fields, good->head_hash.bytes, sizeof good->head_hash.bytes);
    }
}

static enum err record_read(const struct signed_object *object, struct lab_record *ret_record)
{
    struct lab_record record = {0};
    struct fields fields = fields_of(object->payload);
    fields_expect(&fields, 9);
    fields_want(&fields, bytes_equal(fields_str(&fields), bytes_of_str("lab")));
    fields_want(&fields, fields_uint(&fields) == 1);
    fields_copy(&fields, record.lab.bytes, sizeof record.lab.bytes);
    record.generation = fields_uint(&fields);
    record.name = fields_str(&fields);
    fields_copy(&fields, record.signing_pk, sizeof record.signing_pk);
    fields_copy(&fields, record.link_pk, sizeof record.link_pk);
    record.issued_at = fields_uint(&fields);
    last_good_read(&fields, &record);
    enum err err = fields_end(&fields);
    if (err != ERR_OK) {
        return err;
    }
    if (!record_valid(&record)) {
        return ERR_INVALID;
    }
    *ret_record = record;
    return ERR_OK;
}

enum err lab_record_peek(struct bytes bytes, struct lab_record *ret_record)
{
    struct signed_object object;
    enum err err = signed_split(bytes, RECORD_SIZE_MAX, &object);
    if (err != ERR_OK) {
        return err;
    }
    return record_read(&object, ret_record);
}

enum err lab_record_open(struct bytes bytes, struct lab_record *ret_record)
{
    struct signed_object object;
    enum err err = signed_split(bytes, RECORD_SIZE_MAX, &object);
    if (err != ERR_OK) {
        return err;
    }
    struct lab_record record;
    err = record_read(&object, &record);
    if (err != ERR_OK) {
        return err;
    }
    err = signed_verify(&object, TAG_SIG_LAB, record.lab.bytes);
    if (err != ERR_OK) {
        return err;
    }
    *ret_record = record;
    return ERR_OK;
}
