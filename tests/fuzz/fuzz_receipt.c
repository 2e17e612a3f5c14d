/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_receipt.c: receipts, below the signature and above it.
 *
 * The first byte chooses. Even: the rest is a payload, signed here with a fixed key: what opens
 * signs again to the same bytes, row by row, and any other bit makes it refused. Odd: the rest is
 * the object as it stands.
 */
#include "proto/receipt.h"

#include "proto/entry.h"
#include "proto/scan.h"
#include "proto/signed.h"
#include "tests/fuzz/fuzz.h"

static uint8_t signing_public[KEY_SIZE], signing_secret[SIGN_SECRET_SIZE];

/* Each row is in its bounds, greater than the last, and the one that is found. */
static void rows_check(const struct receipt *receipt, struct buf *rows)
{
    struct receipt_row row, last = {0}, found;
    size_t at = 0, count = 0;
    while (receipt_next(receipt, &at, &row)) {
        int order = memcmp(last.lab.bytes, row.lab.bytes, KEY_SIZE);
        must(audience_valid(row.audience));
        must(row.generation > 0 && row.n > 0);
        must(count == 0 || order < 0 ||
             (order == 0 && bytes_compare(last.audience, row.audience) < 0));
        must(receipt_find(receipt, &row.lab, row.audience, &found));
        must(found.n == row.n && found.generation == row.generation);
        receipt_put_row(rows, &row);
        last = row;
        count++;
    }
    must(at == receipt->rows.size);
    must(count == receipt->row_count && count <= RECEIPT_ROWS_MAX);
}

static enum err object_check(struct bytes bytes)
{
    struct receipt receipt, peeked;
    enum err peek = receipt_peek(bytes, &peeked);
    enum err err = receipt_open(bytes, signing_public, &receipt);
    must(err != ERR_OK || peek == ERR_OK);
    if (peek != ERR_OK) {
        must(peek == ERR_CANONICAL || peek == ERR_INVALID || peek == ERR_SIZE);
        return err;
    }
    struct buf rows = {0}, again = {0};
    rows_check(&peeked, &rows);
    must(bytes_equal(buf_bytes(&rows), peeked.rows));
    if (err == ERR_OK) {
        must(receipt_compare(&receipt, &peeked) == 0);
        receipt.rows = buf_bytes(&rows);
        must(receipt_sign(&receipt, signing_secret, &again) == ERR_OK);
        must(bytes_equal(buf_bytes(&again), bytes));
    }
    must(err == ERR_OK || err == ERR_SIGNATURE);
    buf_done(&rows);
    buf_done(&again);
    return err;
}

/* One bit changed: refused. */
static void flip_check(struct bytes bytes, size_t number)
{
    struct receipt receipt;
    uint8_t *copy = fuzz_copy(bytes);
    copy[number / 8 % bytes.size] ^= (uint8_t) (1u << number % 8);
    must(receipt_open(bytes_of(copy, bytes.size), signing_public, &receipt) != ERR_OK);
    free(copy);
}

static void payload_check(struct bytes payload)
{
    static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX,
                                              .nodes_max = BODY_NODES_MAX};
    if (payload.size > RECEIPT_SIZE_MAX - SIGNED_FRAME_SIZE ||
        scan_strict(payload, limits) != ERR_OK) {
        return;
    }
    struct buf object = {0};
    signed_put(TAG_SIG_RECEIPT, payload, signing_secret, &object);
    if (object_check(buf_bytes(&object)) == ERR_OK) {
        flip_check(buf_bytes(&object), payload.data[payload.size - 1]);
        flip_check(buf_bytes(&object), 7 * payload.size);
    }
    buf_done(&object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    static const uint8_t seed[SIGN_SEED_SIZE] = "a key that is made for fuzzing";
    sign_keypair(seed, signing_public, signing_secret);
    if (data[0] % 2 == 0) {
        payload_check(bytes_of(data + 1, size - 1));
    } else {
        (void) object_check(bytes_of(data + 1, size - 1));
    }
    return 0;
}
