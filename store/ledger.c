/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/ledger.c: lab records, arrivals and peers.
 *
 * Every change of the store has an arrival number, one higher than any before. What changes again
 * moves to a new number, so there is one row for each lab, each catalogue, each fork and each
 * receipt, and the last row is the newest: the next number is the last one plus one. Where a row
 * goes without a new one, `meta` keeps the number that was the last ("arrivals"), so that no peer's
 * cursor ever stands beyond what comes. Malformed rows are ERR_CORRUPT.
 */
#include "store/ledger.h"

#include "base/must.h"
#include "store/txn.h"

#define NUMBER_SIZE 8
#define LAB_ARRIVAL_SIZE (1 + 2 * KEY_SIZE)
#define HEAD_ARRIVAL_SIZE (1 + 4 + KEY_SIZE)

static struct bytes lab_key(const struct lab_id *lab)
{
    return bytes_of(lab->bytes, KEY_SIZE);
}

/* The first row of a table whose keys are labs, from the first lab or strictly after one. */
static enum err lab_row_next(struct txn *txn, enum table table, bool first,
                             const struct lab_id *after, struct row *ret_row)
{
    static const struct lab_id zero;
    defer(cursor_close) struct cursor cursor = {0};
    struct bytes from = lab_key(first ? &zero : after);
    enum err err = cursor_open(txn, table, &cursor);
    if (err == ERR_OK) {
        err = cursor_seek(&cursor, from, ret_row);
    }
    if (err == ERR_OK && !first && bytes_equal(ret_row->key, from)) {
        err = cursor_next(&cursor, ret_row);
    }
    if (err == ERR_OK && ret_row->key.size != KEY_SIZE) {
        err = ERR_CORRUPT;
    }
    return err;
}

/* ---- lab records ---- */

static enum err lab_decode(struct bytes key, struct bytes value, struct held_lab *ret_held)
{
    if (value.size <= NUMBER_SIZE || value.size > NUMBER_SIZE + RECORD_SIZE_MAX) {
        return ERR_CORRUPT;
    }
    ret_held->arrival = be64_get(value.data);
    ret_held->signed_bytes = bytes_of(value.data + NUMBER_SIZE, value.size - NUMBER_SIZE);
    enum err err = lab_record_peek(ret_held->signed_bytes, &ret_held->record);
    bool good = err == ERR_OK && bytes_equal(key, lab_key(&ret_held->record.lab));
    return good ? ERR_OK : ERR_CORRUPT;
}

enum err lab_get(struct txn *txn, const struct lab_id *lab, struct held_lab *ret_held)
{
    struct bytes value;
    enum err err = txn_get(txn, TABLE_LABS, lab_key(lab), &value);
    return err == ERR_OK ? lab_decode(lab_key(lab), value, ret_held) : err;
}

enum err lab_put(struct txn *txn, const struct lab_record *record, struct bytes signed_bytes,
                 const struct lab_id *from, uint64_t *ret_arrival)
{
    must(signed_bytes.size > 0);
    must(signed_bytes.size <= RECORD_SIZE_MAX);
    struct lab_id lab = record->lab;
    struct arrival arrival = {.lab = lab, .from = *from};
    struct bytes old;
    uint64_t old_arrival = 0;
    enum err err = txn_get(txn, TABLE_LABS, lab_key(&lab), &old);
    if (err == ERR_OK && old.size < NUMBER_SIZE) {
        return ERR_CORRUPT;
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    old_arrival = err == ERR_OK ? be64_get(old.data) : 0;
    uint8_t value[NUMBER_SIZE + RECORD_SIZE_MAX];
    bytes_copy(value + NUMBER_SIZE, signed_bytes); /* may lie in the transaction: copied first */
    err = arrival_add(txn, old_arrival, &arrival, &arrival.number);
    if (err != ERR_OK) {
        return err;
    }
    be64_put(value, arrival.number);
    err = txn_put(txn, TABLE_LABS, lab_key(&lab), bytes_of(value, NUMBER_SIZE + signed_bytes.size));
    if (err == ERR_OK) {
        *ret_arrival = arrival.number;
    }
    return err;
}

enum err lab_next(struct txn *txn, bool first, struct lab_id *lab, struct held_lab *ret_held)
{
    struct row row;
    enum err err = lab_row_next(txn, TABLE_LABS, first, lab, &row);
    if (err != ERR_OK) {
        return err;
    }
    /* A damaged record does not stop the walk: the caller sees it and may go on behind it. */
    memcpy(lab->bytes, row.key.data, KEY_SIZE);
    return lab_decode(row.key, row.value, ret_held);
}

enum err lab_count(struct txn *txn, uint64_t *ret_count)
{
    return txn_rows(txn, TABLE_LABS, ret_count);
}

/* ---- former records ---- */

#define FORMER "former"
#define FORMER_KEY_SIZE (sizeof FORMER - 1 + KEY_SIZE)

static struct bytes former_key(uint8_t into[FORMER_KEY_SIZE], const struct lab_id *lab)
{
    memcpy(into, FORMER, sizeof FORMER - 1);
    memcpy(into + sizeof FORMER - 1, lab->bytes, KEY_SIZE);
    return bytes_of(into, FORMER_KEY_SIZE);
}

enum err lab_former_get(struct txn *txn, const struct lab_id *lab, struct held_lab *ret_held)
{
    uint8_t key[FORMER_KEY_SIZE];
    struct held_lab held = {0};
    enum err err = txn_get(txn, TABLE_META, former_key(key, lab), &held.signed_bytes);
    if (err != ERR_OK) {
        return err;
    }
    bool good = lab_record_peek(held.signed_bytes, &held.record) == ERR_OK &&
                memcmp(held.record.lab.bytes, lab->bytes, KEY_SIZE) == 0;
    if (good) {
        *ret_held = held;
    }
    return good ? ERR_OK : ERR_CORRUPT;
}

enum err lab_former_put(struct txn *txn, const struct lab_id *lab, struct bytes signed_bytes)
{
    must(signed_bytes.size > 0);
    must(signed_bytes.size <= RECORD_SIZE_MAX);
    uint8_t key[FORMER_KEY_SIZE], value[RECORD_SIZE_MAX];
    bytes_copy(value, signed_bytes); /* may lie in the transaction: copied first */
    return txn_put(txn, TABLE_META, former_key(key, lab), bytes_of(value, signed_bytes.size));
}

/* ---- arrivals ---- */

static enum err arrival_decode(struct row row, struct arrival *ret_arrival)
{
    struct arrival arrival = {0};
    if (row.key.size != NUMBER_SIZE || row.value.size < 1) {
        return ERR_CORRUPT;
    }
    arrival.number = be64_get(row.key.data);
    const uint8_t *value = row.value.data;
    if ((value[0] == 'L' || value[0] == 'E') && row.value.size == LAB_ARRIVAL_SIZE) {
        arrival.kind = value[0] == 'L' ? ARRIVAL_RECORD : ARRIVAL_RECEIPT;
        memcpy(arrival.lab.bytes, value + 1, KEY_SIZE);
        memcpy(arrival.from.bytes, value + 1 + KEY_SIZE, KEY_SIZE);
    } else if ((value[0] == 'H' || value[0] == 'F') && row.value.size == HEAD_ARRIVAL_SIZE) {
        arrival.kind = value[0] == 'H' ? ARRIVAL_HEAD : ARRIVAL_FORK;
        arrival.catalogue = be32_get(value + 1);
        memcpy(arrival.from.bytes, value + 5, KEY_SIZE);
    } else {
        return ERR_CORRUPT;
    }
    *ret_arrival = arrival;
    return ERR_OK;
}

enum err arrival_next(struct txn *txn, uint64_t after, struct arrival *ret_arrival)
{
    if (after == UINT64_MAX) {
        return ERR_NOT_FOUND;
    }
    uint8_t key[NUMBER_SIZE];
    struct row row;
    defer(cursor_close) struct cursor arrivals = {0};
    be64_put(key, after + 1);
    enum err err = cursor_open(txn, TABLE_ARRIVALS, &arrivals);
    if (err == ERR_OK) {
        err = cursor_seek(&arrivals, BYTES_OF_ARRAY(key), &row);
    }
    return err == ERR_OK ? arrival_decode(row, ret_arrival) : err;
}

/* The number of the last row; 0 when there is none. */
static enum err arrival_last_row(struct txn *txn, uint64_t *ret_number)
{
    struct row row;
    defer(cursor_close) struct cursor arrivals = {0};
    enum err err = cursor_open(txn, TABLE_ARRIVALS, &arrivals);
    if (err == ERR_OK) {
        err = cursor_last(&arrivals, &row);
    }
    if (err == ERR_OK && row.key.size != NUMBER_SIZE) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *ret_number = be64_get(row.key.data);
    } else if (err == ERR_NOT_FOUND) {
        *ret_number = 0;
        err = ERR_OK;
    }
    return err;
}

enum err arrival_last(struct txn *txn, uint64_t *ret_number)
{
    uint64_t last = 0;
    struct bytes dropped;
    enum err err = arrival_last_row(txn, &last);
    if (err != ERR_OK) {
        return err;
    }
    err = txn_get(txn, TABLE_META, bytes_of_str("arrivals"), &dropped);
    if (err == ERR_OK && dropped.size != NUMBER_SIZE) {
        return ERR_CORRUPT;
    }
    if (err == ERR_OK && be64_get(dropped.data) > last) {
        last = be64_get(dropped.data);
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        *ret_number = last;
        err = ERR_OK;
    }
    return err;
}

void arrivals_begin(struct store *store, uint64_t number)
{
    store->arrivals_from = number;
}

enum err arrival_drop(struct txn *txn, uint64_t number)
{
    uint64_t last = 0;
    uint8_t key[NUMBER_SIZE];
    enum err err = arrival_last(txn, &last);
    if (err == ERR_OK && last == number) {
        be64_put(key, number);
        err = txn_put(txn, TABLE_META, bytes_of_str("arrivals"), BYTES_OF_ARRAY(key));
    }
    if (err == ERR_OK) {
        be64_put(key, number);
        err = txn_del(txn, TABLE_ARRIVALS, BYTES_OF_ARRAY(key));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err arrival_add(struct txn *txn, uint64_t old, const struct arrival *what,
                     uint64_t *ret_number)
{
    uint64_t last = 0;
    enum err err = arrival_last(txn, &last); /* before the old row goes: it may be the last */
    last = last > old ? last : old; /* if the last row was lost: no number is given twice */
    if (err == ERR_OK && last == UINT64_MAX) {
        err = ERR_CORRUPT;
    }
    if (err != ERR_OK) {
        return err;
    }
    if (last + 1 < txn->store->arrivals_from) {
        last = txn->store->arrivals_from - 1;
    }
    uint8_t key[NUMBER_SIZE], value[LAB_ARRIVAL_SIZE];
    bool by_lab = what->kind == ARRIVAL_RECORD || what->kind == ARRIVAL_RECEIPT;
    size_t size = by_lab ? LAB_ARRIVAL_SIZE : HEAD_ARRIVAL_SIZE;
    if (!by_lab) {
        value[0] = what->kind == ARRIVAL_HEAD ? 'H' : 'F';
        be32_put(value + 1, what->catalogue);
        memcpy(value + 5, what->from.bytes, KEY_SIZE);
    } else {
        value[0] = what->kind == ARRIVAL_RECORD ? 'L' : 'E';
        memcpy(value + 1, what->lab.bytes, KEY_SIZE);
        memcpy(value + 1 + KEY_SIZE, what->from.bytes, KEY_SIZE);
    }
    be64_put(key, last + 1);
    err = txn_put(txn, TABLE_ARRIVALS, BYTES_OF_ARRAY(key), bytes_of(value, size));
    if (err == ERR_OK && old != 0) {
        be64_put(key, old);
        err = txn_del(txn, TABLE_ARRIVALS, BYTES_OF_ARRAY(key));
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    if (err == ERR_OK) {
        *ret_number = last + 1;
    }
    return err;
}

/* ---- peers: flags u8 ‖ index 16 ‖ cursor u64 ‖ generation u64 ‖ alias size u8 ‖ alias ‖ address
 * ---- */

#define PEER_FLAG_REMOVED 1u
#define PEER_FLAG_INDEX 2u
#define PEER_FIXED_SIZE (1 + INSTANCE_SIZE + 8 + 8 + 1)
#define PEER_VALUE_MAX (PEER_FIXED_SIZE + PEER_ALIAS_MAX + PEER_ADDRESS_MAX)

static enum err peer_decode(struct row row, struct peer_row *ret_row)
{
    struct peer_row peer = {0};
    const uint8_t *value = row.value.data;
    if (row.key.size != KEY_SIZE || row.value.size < PEER_FIXED_SIZE ||
        row.value.size >= PEER_VALUE_MAX || value[0] > (PEER_FLAG_REMOVED | PEER_FLAG_INDEX)) {
        return ERR_CORRUPT;
    }
    size_t alias_size = value[PEER_FIXED_SIZE - 1];
    size_t rest = row.value.size - PEER_FIXED_SIZE;
    if (alias_size > PEER_ALIAS_MAX || alias_size > rest || rest - alias_size >= PEER_ADDRESS_MAX ||
        memchr(value + PEER_FIXED_SIZE, 0, rest) != NULL) {
        return ERR_CORRUPT;
    }
    memcpy(peer.lab.bytes, row.key.data, KEY_SIZE);
    peer.removed = (value[0] & PEER_FLAG_REMOVED) != 0;
    peer.has_index = (value[0] & PEER_FLAG_INDEX) != 0;
    memcpy(peer.index, value + 1, INSTANCE_SIZE);
    peer.cursor = be64_get(value + 1 + INSTANCE_SIZE);
    peer.generation_known = be64_get(value + 1 + INSTANCE_SIZE + 8);
    memcpy(peer.alias, value + PEER_FIXED_SIZE, alias_size);
    memcpy(peer.address, value + PEER_FIXED_SIZE + alias_size, rest - alias_size);
    *ret_row = peer;
    return ERR_OK;
}

enum err peer_get(struct txn *txn, const struct lab_id *lab, struct peer_row *ret_row)
{
    struct row row = {.key = lab_key(lab)};
    enum err err = txn_get(txn, TABLE_PEERS, row.key, &row.value);
    return err == ERR_OK ? peer_decode(row, ret_row) : err;
}

enum err peer_put(struct txn *txn, const struct peer_row *row)
{
    uint8_t value[PEER_VALUE_MAX];
    size_t alias_size = strnlen(row->alias, sizeof row->alias);
    size_t address_size = strnlen(row->address, sizeof row->address);
    must(alias_size <= PEER_ALIAS_MAX);
    must(address_size < PEER_ADDRESS_MAX);
    value[0] =
        (uint8_t) ((row->removed ? PEER_FLAG_REMOVED : 0) | (row->has_index ? PEER_FLAG_INDEX : 0));
    memcpy(value + 1, row->index, INSTANCE_SIZE);
    be64_put(value + 1 + INSTANCE_SIZE, row->cursor);
    be64_put(value + 1 + INSTANCE_SIZE + 8, row->generation_known);
    value[PEER_FIXED_SIZE - 1] = (uint8_t) alias_size;
    memcpy(value + PEER_FIXED_SIZE, row->alias, alias_size);
    memcpy(value + PEER_FIXED_SIZE + alias_size, row->address, address_size);
    return txn_put(txn, TABLE_PEERS, lab_key(&row->lab),
                   bytes_of(value, PEER_FIXED_SIZE + alias_size + address_size));
}

enum err peer_next(struct txn *txn, bool first, struct lab_id *lab, struct peer_row *ret_row)
{
    struct row row;
    enum err err = lab_row_next(txn, TABLE_PEERS, first, lab, &row);
    if (err != ERR_OK) {
        return err;
    }
    memcpy(lab->bytes, row.key.data, KEY_SIZE);
    return peer_decode(row, ret_row);
}

enum err peers_reread(struct txn *txn)
{
    struct lab_id lab;
    struct peer_row peer;
    enum err err = peer_next(txn, true, &lab, &peer);
    while (err == ERR_OK) {
        peer.cursor = 0;
        err = peer_put(txn, &peer);
        if (err == ERR_OK) {
            err = peer_next(txn, false, &lab, &peer);
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err own_seen_get(struct txn *txn, uint64_t *ret_n, struct hash *ret_hash)
{
    struct bytes value;
    enum err err = txn_get(txn, TABLE_META, bytes_of_str("own-seen"), &value);
    if (err == ERR_OK && value.size != 8 + HASH_SIZE) {
        return ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        *ret_n = be64_get(value.data);
        memcpy(ret_hash->bytes, value.data + 8, HASH_SIZE);
    }
    return err;
}

enum err own_seen_put(struct txn *txn, uint64_t n, const struct hash *hash)
{
    uint8_t value[8 + HASH_SIZE];
    be64_put(value, n);
    memcpy(value + 8, hash->bytes, HASH_SIZE);
    return txn_put(txn, TABLE_META, bytes_of_str("own-seen"), BYTES_OF_ARRAY(value));
}
