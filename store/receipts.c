/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/receipts.c: see receipts.h. Both tables have at most one small row for each lab or
 * catalogue. Malformed rows are ERR_CORRUPT.
 */
#include "store/receipts.h"

#include "base/must.h"
#include "store/kept.h"
#include "store/ledger.h"
#include "store/lost.h"
#include "store/rows.h"
#include "store/staging.h"

#define ARRIVAL_SIZE 8
#define WITHDRAWN_SIZE (8 + 8 + 1)
#define META_SEEN "receipt-seen"
#define NAME_FIXED_SIZE (HASH_SIZE + KEY_SIZE)

/* ---- receipts ---- */

enum err receipts_get(struct txn *txn, const struct lab_id *lab, struct held_receipt *ret_held)
{
    struct bytes value;
    enum err err = txn_get(txn, TABLE_RECEIPTS, BYTES_OF_ARRAY(lab->bytes), &value);
    if (err != ERR_OK) {
        return err;
    }
    struct held_receipt held;
    if (value.size <= ARRIVAL_SIZE) {
        return ERR_CORRUPT;
    }
    held.arrival = be64_get(value.data);
    held.signed_bytes = bytes_of(value.data + ARRIVAL_SIZE, value.size - ARRIVAL_SIZE);
    if (receipt_peek(held.signed_bytes, &held.receipt) != ERR_OK ||
        memcmp(held.receipt.lab.bytes, lab->bytes, KEY_SIZE) != 0) {
        return ERR_CORRUPT;
    }
    *ret_held = held;
    return ERR_OK;
}

enum err receipts_put(struct txn *txn, const struct receipt *receipt, struct bytes signed_bytes,
                      const struct lab_id *from)
{
    must(signed_bytes.size > 0);
    must(signed_bytes.size <= RECEIPT_SIZE_MAX);
    struct arrival arrival = {.kind = ARRIVAL_RECEIPT, .lab = receipt->lab, .from = *from};
    struct bytes old;
    defer(buf_done) struct buf value = {0};
    enum err err = txn_get(txn, TABLE_RECEIPTS, BYTES_OF_ARRAY(arrival.lab.bytes), &old);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    uint64_t old_arrival = err == ERR_OK && old.size >= ARRIVAL_SIZE ? be64_get(old.data) : 0;
    uint8_t number[ARRIVAL_SIZE] = {0};
    buf_put(&value, BYTES_OF_ARRAY(number));
    buf_put(&value, signed_bytes); /* may lie in the transaction: copied first */
    err = value.err;
    if (err == ERR_OK) {
        err = arrival_add(txn, old_arrival, &arrival, &arrival.number);
    }
    if (err != ERR_OK) {
        return err;
    }
    be64_put(value.data, arrival.number);
    return txn_put(txn, TABLE_RECEIPTS, BYTES_OF_ARRAY(arrival.lab.bytes), buf_bytes(&value));
}

/* ---- withdrawals ---- */

static enum err withdrawal_read(struct bytes value, struct withdrawal *ret_withdrawal)
{
    if (value.size != WITHDRAWN_SIZE || value.data[16] > 1) {
        return ERR_CORRUPT;
    }
    ret_withdrawal->generation = be64_get(value.data);
    ret_withdrawal->n = be64_get(value.data + 8);
    ret_withdrawal->owed = value.data[16] == 1;
    return ERR_OK;
}

static enum err withdrawal_put(struct txn *txn, uint32_t id, const struct withdrawal *withdrawal)
{
    uint8_t key[ID_KEY_SIZE], value[WITHDRAWN_SIZE];
    be64_put(value, withdrawal->generation);
    be64_put(value + 8, withdrawal->n);
    value[16] = withdrawal->owed;
    return txn_put(txn, TABLE_WITHDRAWN, rows_id(key, id), BYTES_OF_ARRAY(value));
}

enum err receipts_owe(struct txn *txn, uint32_t id, const struct head *head)
{
    return withdrawal_put(
        txn, id, &(struct withdrawal){.generation = head->generation, .n = head->n, .owed = true});
}

enum err withdrawal_get(struct txn *txn, uint32_t id, struct withdrawal *ret_withdrawal)
{
    uint8_t key[ID_KEY_SIZE];
    struct bytes value;
    enum err err = txn_get(txn, TABLE_WITHDRAWN, rows_id(key, id), &value);
    return err == ERR_OK ? withdrawal_read(value, ret_withdrawal) : err;
}

enum err receipts_owed(struct txn *txn, bool *ret_owed)
{
    struct row row;
    struct withdrawal withdrawal = {0};
    defer(cursor_close) struct cursor withdrawn = {0};
    enum err err = cursor_open(txn, TABLE_WITHDRAWN, &withdrawn);
    while (err == ERR_OK && !withdrawal.owed) {
        err = cursor_next(&withdrawn, &row);
        if (err == ERR_OK) {
            err = withdrawal_read(row.value, &withdrawal);
        }
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        *ret_owed = withdrawal.owed;
        err = ERR_OK;
    }
    return err;
}

bool receipts_clean(const struct txn *txn)
{
    return !txn->erase && !txn->store->erase;
}

/* ---- what may be said ---- */

/* Bodies that may be older than the held head, and not under it. */
static enum err keeps_more(struct txn *txn, uint32_t id, uint64_t held_n, bool *ret_more)
{
    struct staging staging = {0};
    enum err err = staging_get(txn, id, &staging);
    if (err == ERR_OK && staging.m < held_n) {
        *ret_more = true;
        return ERR_OK;
    }
    err = err == ERR_OK || err == ERR_NOT_FOUND ? kept_any(txn, id, ret_more) : err;
    if (err != ERR_OK || *ret_more) {
        return err;
    }
    uint8_t at[LOST_AT_SIZE] = {0};
    struct lost lost;
    err = lost_next(txn, id, at, &lost); /* what gave way in a merge */
    *ret_more = err == ERR_OK || err == ERR_CORRUPT;
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

struct saying {
    struct txn *txn;
    const struct receipt *before;
    struct buf *rows;
    size_t count;
    bool moved;
};

/* Who came after the withdrawal was told nothing of it. But its lab says that it has erased
 * something of its own: so a word is owed, once. */
static enum err withdrawal_told(struct saying *saying, const struct receipt_row *row, uint32_t id,
                                struct withdrawal *ret_withdrawal)
{
    struct held_receipt theirs;
    struct receipt_row said;
    enum err err = withdrawal_get(saying->txn, id, ret_withdrawal);
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    err = receipts_get(saying->txn, &row->lab, &theirs);
    if (err == ERR_OK && !receipt_find(&theirs.receipt, &row->lab, row->audience, &said)) {
        err = ERR_NOT_FOUND;
    }
    bool held = err == ERR_OK && (row->generation > said.generation ||
                                  (row->generation == said.generation && row->n >= said.n));
    if (held) {
        *ret_withdrawal =
            (struct withdrawal){.generation = said.generation, .n = said.n, .owed = true};
    }
    return err == ERR_OK && !held ? ERR_NOT_FOUND : err;
}

/* One catalogue, `key` its name. */
static enum err catalogue_say(struct saying *saying, struct bytes key, uint32_t id)
{
    struct withdrawal withdrawal;
    struct held_head held;
    struct receipt_row row, was;
    bool more = false;
    memcpy(row.lab.bytes, key.data + HASH_SIZE, KEY_SIZE);
    row.audience = bytes_of(key.data + NAME_FIXED_SIZE, key.size - NAME_FIXED_SIZE);
    enum err err = catalogue_head(saying->txn, id, &held);
    if (err == ERR_OK) {
        row.generation = held.head.generation;
        row.n = held.head.n;
        err = withdrawal_told(saying, &row, id, &withdrawal);
    }
    if (err == ERR_OK) {
        err = keeps_more(saying->txn, id, held.head.n, &more);
    }
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    if (more) {
        bool said =
            saying->before != NULL && receipt_find(saying->before, &row.lab, row.audience, &was);
        if (said) {
            receipt_put_row(saying->rows, &was);
        }
        saying->count += said;
        return saying->rows->err;
    }
    receipt_put_row(saying->rows, &row);
    saying->count++;
    if (saying->rows->err != ERR_OK || !withdrawal.owed) {
        return saying->rows->err;
    }
    saying->moved = true;
    withdrawal.owed = false;
    return withdrawal_put(saying->txn, id, &withdrawal);
}

/* Names are in the order that rows must have. */
enum err receipts_rows(struct txn *txn, const struct hash *network, const struct receipt *before,
                       struct buf *rows, size_t *ret_count, bool *ret_moved)
{
    must(receipts_clean(txn));
    struct saying saying = {.txn = txn, .before = before, .rows = rows};
    struct row row;
    defer(cursor_close) struct cursor names = {0};
    enum err err = cursor_open(txn, TABLE_NAMES, &names);
    if (err == ERR_OK) {
        err = cursor_seek(&names, BYTES_OF_ARRAY(network->bytes), &row);
    }
    while (err == ERR_OK && saying.count < RECEIPT_ROWS_MAX) {
        if (row.key.size <= NAME_FIXED_SIZE || row.value.size != ID_KEY_SIZE) {
            return ERR_CORRUPT;
        }
        if (memcmp(row.key.data, network->bytes, HASH_SIZE) != 0) {
            break;
        }
        err = catalogue_say(&saying, row.key, be32_get(row.value.data));
        if (err == ERR_OK) {
            err = cursor_next(&names, &row);
        }
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        *ret_count = saying.count;
        *ret_moved = saying.moved;
        err = ERR_OK;
    }
    return err;
}

/* ---- of the own lab, by another store ---- */

enum err receipts_seen_get(struct txn *txn, uint64_t *ret_generation, uint64_t *ret_number)
{
    struct bytes value;
    enum err err = txn_get(txn, TABLE_META, bytes_of_str(META_SEEN), &value);
    if (err == ERR_NOT_FOUND) {
        *ret_generation = *ret_number = 0;
        return ERR_OK;
    }
    if (err == ERR_OK && value.size != 16) {
        return ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *ret_generation = be64_get(value.data);
        *ret_number = be64_get(value.data + 8);
    }
    return err;
}

enum err receipts_seen_put(struct txn *txn, uint64_t generation, uint64_t number)
{
    uint8_t value[16];
    be64_put(value, generation);
    be64_put(value + 8, number);
    return txn_put(txn, TABLE_META, bytes_of_str(META_SEEN), BYTES_OF_ARRAY(value));
}
