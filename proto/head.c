/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/head.c: the head, its hash and its history. Peek reads a head to learn whose key to check
 * it with; open checks that key's signature as well. */
#include "proto/head.h"

#include "base/defer.h"
#include "proto/entry.h"
#include "proto/fields.h"
#include "proto/pack.h"
#include "proto/signed.h"

static struct bytes audience_of(const struct head *head)
{
    return bytes_of(head->audience, strnlen(head->audience, sizeof head->audience));
}

static bool head_valid(const struct head *head)
{
    return head->generation >= 1 && head->n >= 1 && audience_valid(audience_of(head));
}

static void payload_put(const struct head *head, struct buf *into)
{
    pack_array(into, 13);
    pack_cstr(into, "head");
    pack_uint(into, 1);
    pack_bin(into, BYTES_OF_ARRAY(head->network.bytes));
    pack_bin(into, BYTES_OF_ARRAY(head->lab.bytes));
    pack_uint(into, head->generation);
    pack_str(into, audience_of(head));
    pack_uint(into, head->n);
    pack_uint(into, head->count);
    pack_uint(into, head->bytes);
    pack_bin(into, BYTES_OF_ARRAY(head->root.bytes));
    pack_bin(into, BYTES_OF_ARRAY(head->history.bytes));
    pack_uint(into, head->issued_at);
    pack_bin(into, BYTES_OF_ARRAY(head->instance));
}

enum err head_sign(struct head *head, const uint8_t signing_secret[SIGN_SECRET_SIZE],
                   struct buf *into)
{
    if (!head_valid(head)) {
        return ERR_INVALID;
    }
    defer(buf_done) struct buf payload = {0};
    payload_put(head, &payload);
    if (payload.err != ERR_OK) {
        return payload.err;
    }
    signed_put(TAG_SIG_HEAD, buf_bytes(&payload), signing_secret, into);
    if (into->err != ERR_OK) {
        return into->err;
    }
    head->hash = hash_of(TAG_HEAD_HASH, buf_bytes(&payload));
    return ERR_OK;
}

static enum err head_read(const struct signed_object *object, struct head *ret_head)
{
    struct head head = {0};
    struct fields fields = fields_of(object->payload);
    fields_expect(&fields, 13);
    fields_want(&fields, bytes_equal(fields_str(&fields), bytes_of_str("head")));
    fields_want(&fields, fields_uint(&fields) == 1);
    fields_copy(&fields, head.network.bytes, sizeof head.network.bytes);
    fields_copy(&fields, head.lab.bytes, sizeof head.lab.bytes);
    head.generation = fields_uint(&fields);
    struct bytes audience = fields_str(&fields);
    head.n = fields_uint(&fields);
    head.count = fields_uint(&fields);
    head.bytes = fields_uint(&fields);
    fields_copy(&fields, head.root.bytes, sizeof head.root.bytes);
    fields_copy(&fields, head.history.bytes, sizeof head.history.bytes);
    head.issued_at = fields_uint(&fields);
    fields_copy(&fields, head.instance, sizeof head.instance);
    enum err err = fields_end(&fields);
    if (err != ERR_OK) {
        return err;
    }
    if (!audience_valid(audience)) { /* before it is copied: bounds its size */
        return ERR_INVALID;
    }
    bytes_copy(head.audience, audience);
    if (!head_valid(&head)) {
        return ERR_INVALID;
    }
    head.hash = hash_of(TAG_HEAD_HASH, object->payload);
    *ret_head = head;
    return ERR_OK;
}

enum err head_peek(struct bytes bytes, struct head *ret_head)
{
    struct signed_object object;
    enum err err = signed_split(bytes, HEAD_SIZE_MAX, &object);
    if (err != ERR_OK) {
        return err;
    }
    return head_read(&object, ret_head);
}

enum err head_open(struct bytes bytes, const uint8_t signing_pk[KEY_SIZE], struct head *ret_head)
{
    struct signed_object object;
    enum err err = signed_split(bytes, HEAD_SIZE_MAX, &object);
    if (err != ERR_OK) {
        return err;
    }
    struct head head;
    err = head_read(&object, &head);
    if (err != ERR_OK) {
        return err;
    }
    err = signed_verify(&object, TAG_SIG_HEAD, signing_pk);
    if (err != ERR_OK) {
        return err;
    }
    *ret_head = head;
    return ERR_OK;
}

int head_compare(const struct head *a, const struct head *b)
{
    if (a->generation != b->generation) {
        return a->generation < b->generation ? -1 : 1;
    }
    return (a->n > b->n) - (a->n < b->n);
}

struct hash history_next(const struct hash *history, const struct hash *head_hash)
{
    return hash_of_two(TAG_HISTORY, BYTES_OF_ARRAY(history->bytes),
                       BYTES_OF_ARRAY(head_hash->bytes));
}
