/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/receipt.c: receipts. Peek reads one to learn whose key to check it with; open checks that
 * key's signature as well. Rows stay bytes: reading them is one walk, once when the receipt comes,
 * in which everything about them is checked.
 */
#include "proto/receipt.h"

#include "base/defer.h"
#include "base/must.h"
#include "proto/entry.h"
#include "proto/fields.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "proto/signed.h"

void receipt_put_row(struct buf *rows, const struct receipt_row *row)
{
    pack_array(rows, 4);
    pack_bin(rows, BYTES_OF_ARRAY(row->lab.bytes));
    pack_str(rows, row->audience);
    pack_uint(rows, row->generation);
    pack_uint(rows, row->n);
}

static int row_compare(const struct receipt_row *a, const struct receipt_row *b)
{
    int order = memcmp(a->lab.bytes, b->lab.bytes, KEY_SIZE);
    return order != 0 ? order : bytes_compare(a->audience, b->audience);
}

static void row_read(struct fields *fields, struct receipt_row *row)
{
    fields_expect(fields, 4);
    fields_copy(fields, row->lab.bytes, sizeof row->lab.bytes);
    row->audience = fields_str(fields);
    row->generation = fields_uint(fields);
    row->n = fields_uint(fields);
}

/* `count` rows, each good and greater than the one before. */
static void rows_read(struct fields *fields, uint64_t count)
{
    struct receipt_row last = {0};
    fields_want(fields, count <= RECEIPT_ROWS_MAX);
    for (uint64_t i = 0; i < count && fields->err == ERR_OK; i++) {
        struct receipt_row row = {0};
        row_read(fields, &row);
        fields_want(fields, audience_valid(row.audience) && row.generation > 0 && row.n > 0);
        fields_want(fields, i == 0 || row_compare(&last, &row) < 0);
        last = row;
    }
}

static void payload_put(const struct receipt *receipt, struct buf *into)
{
    pack_array(into, 8);
    pack_cstr(into, "erased");
    pack_uint(into, 1);
    pack_bin(into, BYTES_OF_ARRAY(receipt->lab.bytes));
    pack_uint(into, receipt->generation);
    pack_uint(into, receipt->number);
    pack_uint(into, receipt->issued_at);
    pack_bin(into, BYTES_OF_ARRAY(receipt->network.bytes));
    pack_array(into, receipt->row_count);
    pack_raw(into, receipt->rows);
}

static enum err payload_read(struct bytes payload, struct receipt *ret_receipt)
{
    struct receipt receipt = {0};
    struct fields fields = fields_of(payload);
    fields_expect(&fields, 8);
    fields_want(&fields, bytes_equal(fields_str(&fields), bytes_of_str("erased")));
    fields_want(&fields, fields_uint(&fields) == 1);
    fields_copy(&fields, receipt.lab.bytes, sizeof receipt.lab.bytes);
    receipt.generation = fields_uint(&fields);
    receipt.number = fields_uint(&fields);
    receipt.issued_at = fields_uint(&fields);
    fields_copy(&fields, receipt.network.bytes, sizeof receipt.network.bytes);
    fields_want(&fields, receipt.generation > 0 && receipt.number > 0);
    uint64_t count = fields_array(&fields);
    size_t start = fields.at;
    rows_read(&fields, count);
    enum err err = fields_end(&fields);
    if (err != ERR_OK) {
        return err;
    }
    receipt.row_count = (size_t) count;
    receipt.rows = bytes_of(payload.data + start, payload.size - start);
    *ret_receipt = receipt;
    return ERR_OK;
}

enum err receipt_sign(const struct receipt *receipt, const uint8_t signing_secret[SIGN_SECRET_SIZE],
                      struct buf *into)
{
    static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX,
                                              .nodes_max = RECORD_SIZE_MAX};
    defer(buf_done) struct buf payload = {0};
    struct receipt read;
    size_t before = into->size;
    payload_put(receipt, &payload);
    if (payload.err != ERR_OK) {
        return payload.err;
    }
    if (payload.size > RECEIPT_SIZE_MAX - SIGNED_FRAME_SIZE) {
        return ERR_SIZE;
    }
    if (scan_strict(buf_bytes(&payload), limits) != ERR_OK ||
        payload_read(buf_bytes(&payload), &read) != ERR_OK) {
        return ERR_INVALID;
    }
    signed_put(TAG_SIG_RECEIPT, buf_bytes(&payload), signing_secret, into);
    must(into->err != ERR_OK || into->size - before <= RECEIPT_SIZE_MAX);
    return into->err;
}

enum err receipt_peek(struct bytes bytes, struct receipt *ret_receipt)
{
    struct signed_object object;
    enum err err = signed_split(bytes, RECEIPT_SIZE_MAX, &object);
    return err == ERR_OK ? payload_read(object.payload, ret_receipt) : err;
}

enum err receipt_open(struct bytes bytes, const uint8_t signing_pk[KEY_SIZE],
                      struct receipt *ret_receipt)
{
    struct signed_object object;
    struct receipt receipt;
    enum err err = signed_split(bytes, RECEIPT_SIZE_MAX, &object);
    if (err == ERR_OK) {
        err = payload_read(object.payload, &receipt);
    }
    if (err == ERR_OK) {
        err = signed_verify(&object, TAG_SIG_RECEIPT, signing_pk);
    }
    if (err == ERR_OK) {
        *ret_receipt = receipt;
    }
    return err;
}

bool receipt_next(const struct receipt *receipt, size_t *at, struct receipt_row *ret_row)
{
    struct fields fields = {.bytes = receipt->rows, .at = *at, .err = ERR_OK};
    if (*at >= receipt->rows.size) {
        return false;
    }
    row_read(&fields, ret_row);
    *at = fields.at;
    return fields.err == ERR_OK;
}

bool receipt_find(const struct receipt *receipt, const struct lab_id *lab, struct bytes audience,
                  struct receipt_row *ret_row)
{
    const struct receipt_row wanted = {.lab = *lab, .audience = audience};
    struct receipt_row row;
    size_t at = 0;
    int order = -1;
    while (order < 0 && receipt_next(receipt, &at, &row)) {
        order = row_compare(&row, &wanted);
    }
    if (order == 0) {
        *ret_row = row;
    }
    return order == 0;
}

int receipt_compare(const struct receipt *a, const struct receipt *b)
{
    if (a->generation != b->generation) {
        return a->generation < b->generation ? -1 : 1;
    }
    return (a->number > b->number) - (a->number < b->number);
}
