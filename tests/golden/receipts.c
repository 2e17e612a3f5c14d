/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/golden/receipts.c: receipts, and what of them must be refused. */
#include "base/defer.h"
#include "base/must.h"
#include "proto/pack.h"
#include "proto/receipt.h"
#include "proto/signed.h"
#include "tests/golden/golden.h"

static struct receipt_row row_of(const struct golden_lab *lab, const char *audience, uint64_t n)
{
    struct receipt_row row = {.audience = bytes_of_str(audience), .generation = 1, .n = n};
    memcpy(row.lab.bytes, lab->root_public, KEY_SIZE);
    return row;
}

/* Rows in the order of their labs. */
static void rows_put(const struct golden *golden, struct buf *rows)
{
    struct receipt_row a = row_of(&golden->a, "public", 12);
    struct receipt_row b = row_of(&golden->b, "public", UINT64_MAX);
    struct receipt_row again = row_of(&golden->b, "public.0", 1);
    b.generation = 70000;
    if (memcmp(a.lab.bytes, b.lab.bytes, KEY_SIZE) < 0) {
        receipt_put_row(rows, &a);
    }
    receipt_put_row(rows, &b);
    receipt_put_row(rows, &again);
    if (memcmp(a.lab.bytes, b.lab.bytes, KEY_SIZE) > 0) {
        receipt_put_row(rows, &a);
    }
}

static void receipt_out(struct golden *golden, const struct receipt *receipt)
{
    defer(buf_done) struct buf bytes = {0};
    struct signed_object object;
    struct receipt read;
    must(receipt_sign(receipt, golden->a.signing_secret, &bytes) == ERR_OK);
    must(receipt_open(buf_bytes(&bytes), golden->a.signing_public, &read) == ERR_OK);
    must(signed_split(buf_bytes(&bytes), RECEIPT_SIZE_MAX, &object) == ERR_OK);
    out_open(&golden->out, NULL, '{');
    out_hex(&golden->out, "key", BYTES_OF_ARRAY(golden->a.signing_public));
    out_hex(&golden->out, "bytes", buf_bytes(&bytes));
    out_value(&golden->out, "value", object.payload);
    out_close(&golden->out, '}');
}

void golden_receipts(struct golden *golden)
{
    defer(buf_done) struct buf rows = {0};
    struct receipt receipt = {.generation = 1, .number = 1, .issued_at = 1735690002};
    memcpy(receipt.lab.bytes, golden->a.root_public, KEY_SIZE);
    out_open(&golden->out, "receipts", '[');
    receipt_out(golden, &receipt);
    rows_put(golden, &rows);
    receipt.rows = buf_bytes(&rows);
    receipt.row_count = 3;
    receipt.number = receipt.generation = UINT64_MAX;
    memset(receipt.network.bytes, 7, HASH_SIZE);
    receipt_out(golden, &receipt);
    out_close(&golden->out, ']');
}

/* ---- what must be refused ---- */

struct wrong {
    const char *why, *word;
    uint64_t version, generation, number;
    struct bytes rows;
    size_t row_count;
    enum hash_tag tag;
};

static void bad_out(struct golden *golden, const struct wrong *wrong)
{
    defer(buf_done) struct buf payload = {0};
    defer(buf_done) struct buf bytes = {0};
    static const uint8_t network[HASH_SIZE];
    struct receipt read;
    pack_array(&payload, 8);
    pack_cstr(&payload, wrong->word);
    pack_uint(&payload, wrong->version);
    pack_bin(&payload, BYTES_OF_ARRAY(golden->a.root_public));
    pack_uint(&payload, wrong->generation);
    pack_uint(&payload, wrong->number);
    pack_uint(&payload, 1735690002);
    pack_bin(&payload, BYTES_OF_ARRAY(network));
    pack_array(&payload, wrong->row_count);
    pack_raw(&payload, wrong->rows);
    signed_put(wrong->tag, buf_bytes(&payload), golden->a.signing_secret, &bytes);
    must(receipt_open(buf_bytes(&bytes), golden->a.signing_public, &read) != ERR_OK);
    out_open(&golden->out, NULL, '{');
    out_text(&golden->out, "what", "receipt");
    out_text(&golden->out, "why", wrong->why);
    out_hex(&golden->out, "bytes", buf_bytes(&bytes));
    out_close(&golden->out, '}');
}

static void bad_rows_out(struct golden *golden, const char *why, const struct receipt_row *one,
                         const struct receipt_row *other)
{
    defer(buf_done) struct buf rows = {0};
    receipt_put_row(&rows, one);
    receipt_put_row(&rows, other);
    bad_out(golden, &(struct wrong){.why = why,
                                    .word = "erased",
                                    .version = 1,
                                    .generation = 1,
                                    .number = 1,
                                    .rows = buf_bytes(&rows),
                                    .row_count = 2,
                                    .tag = TAG_SIG_RECEIPT});
}

void golden_bad_receipts(struct golden *golden)
{
    const struct wrong good = {.why = "",
                               .word = "erased",
                               .version = 1,
                               .generation = 1,
                               .number = 1,
                               .tag = TAG_SIG_RECEIPT};
    struct wrong wrong = good;
    wrong.why = "another word first";
    wrong.word = "erase";
    bad_out(golden, &wrong);
    wrong = good;
    wrong.why = "version 2";
    wrong.version = 2;
    bad_out(golden, &wrong);
    wrong = good;
    wrong.why = "generation 0";
    wrong.generation = 0;
    bad_out(golden, &wrong);
    wrong = good;
    wrong.why = "number 0";
    wrong.number = 0;
    bad_out(golden, &wrong);
    wrong = good;
    wrong.why = "signed as a head";
    wrong.tag = TAG_SIG_HEAD;
    bad_out(golden, &wrong);
    const struct receipt_row row = row_of(&golden->a, "public", 1);
    struct receipt_row other = row_of(&golden->a, "public", 2);
    bad_rows_out(golden, "one catalogue twice", &row, &other);
    other = row_of(&golden->a, "public.0", 1);
    bad_rows_out(golden, "rows out of order", &other, &row);
    other.n = 0;
    bad_rows_out(golden, "a head 0", &row, &other);
}
