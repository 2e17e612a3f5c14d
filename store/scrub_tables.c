/* SPDX-License-Identifier: EUPL-1.2 */
/* store/scrub_tables.c: forks, former revisions, lab records, and the small tables. */
#include "proto/entry.h"
#include "proto/fork.h"
#include "store/history.h"
#include "store/lost.h"
#include "store/receipts.h"
#include "store/scrub_parts.h"

#define LABS_A_PAGE 64
#define KEPT_KEY_SIZE (SLUG_KEY_SIZE + 8)
/* A proof of FORK_SIZE_MAX is some 16,000 hashes. */
#define FORKS_A_PAGE 8

/* ---- forks ---- */

static void catalogue_of(const struct head *head, struct catalogue_name *ret_name)
{
    *ret_name = (struct catalogue_name){.network = head->network, .lab = head->lab};
    memcpy(ret_name->audience, head->audience, sizeof ret_name->audience);
}

/* A fork without a proof leaves its catalogue alone to be looked for. */
static enum err fork_named(struct scrub *scrub, uint32_t id, const struct forked *forked,
                           bool *ret_is)
{
    struct catalogue_name name;
    uint32_t found = id;
    enum err err = ERR_OK;
    if (forked != NULL) {
        catalogue_of(&forked->a, &name);
        err = catalogue_find(scrub->txn, &name, &found);
    } else {
        err = catalogue_name_of(scrub->txn, id, &name);
    }
    *ret_is = err == ERR_OK && found == id;
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

static enum err fork_check(struct scrub *scrub, uint32_t id)
{
    struct held_fork held;
    struct forked forked = {0};
    struct arrival arrival = {.kind = ARRIVAL_FORK, .catalogue = id};
    bool named = false;
    enum err err = fork_get(scrub->txn, id, &held);
    if (err != ERR_OK) {
        return scrub_damaged(scrub, err, "a fork is malformed");
    }
    bool proved = held.proof.size > 0;
    if (proved) {
        err = fork_verify(held.proof, &forked);
        if (err == ERR_NOMEM) {
            return err;
        }
        if (err != ERR_OK || forked.k != held.k || forked.a.generation != held.generation) {
            scrub_blame(scrub, id, NULL, "the proof of a fork does not verify");
            return scrub_arrival(scrub, held.arrival, &arrival);
        }
    }
    err = fork_named(scrub, id, proved ? &forked : NULL, &named);
    if (err == ERR_OK && !named) {
        scrub_blame(scrub, id, NULL, "a fork belongs to no catalogue");
    }
    return err == ERR_OK ? scrub_arrival(scrub, held.arrival, &arrival) : err;
}

enum err scrub_forks(struct scrub *scrub, uint64_t *after, bool *ret_over)
{
    uint32_t id = (uint32_t) *after;
    *ret_over = false;
    for (unsigned i = 0; i < FORKS_A_PAGE; i++) {
        enum err err = fork_next(scrub->txn, &id);
        if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) { /* tables_check names a damaged table */
            *ret_over = true;
            return ERR_OK;
        }
        if (err == ERR_OK) {
            err = fork_check(scrub, id);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    *after = id;
    return ERR_OK;
}

/* ---- former revisions ---- */

/* No head covers them: what can be said is that they are what their key says. */
static void kept_check(struct scrub *scrub, const struct row *row)
{
    struct entry entry;
    const uint8_t *key = row->key.data;
    if (row->key.size != KEPT_KEY_SIZE) { /* tables_check names it */
        return;
    }
    bool good =
        entry_decode(row->value, &entry) == ERR_OK && entry.rev == be64_get(key + SLUG_KEY_SIZE);
    if (good) {
        struct slug_hash of_entry = hash_slug(entry.slug);
        good = memcmp(of_entry.bytes, key + ID_KEY_SIZE, SLUG_HASH_SIZE) == 0;
    }
    if (!good) {
        struct slug_hash slug_hash;
        memcpy(slug_hash.bytes, key + ID_KEY_SIZE, SLUG_HASH_SIZE);
        scrub_blame(scrub, be32_get(key), &slug_hash, "a kept former revision is damaged");
    }
}

enum err scrub_kept(struct scrub *scrub, size_t count, bool *ret_over)
{
    struct place *place = &scrub->place;
    uint8_t from[KEPT_KEY_SIZE];
    struct row row;
    memcpy(from, place->slug_key, SLUG_KEY_SIZE);
    be64_put(from + SLUG_KEY_SIZE, place->position);
    defer(cursor_close) struct cursor kept = {0};
    enum err err = cursor_open(scrub->txn, TABLE_KEPT, &kept);
    if (err == ERR_OK) {
        err = cursor_seek(&kept, BYTES_OF_ARRAY(from), &row);
    }
    if (err == ERR_OK && bytes_equal(row.key, BYTES_OF_ARRAY(from))) {
        err = cursor_next(&kept, &row);
    }
    while (err == ERR_OK && count > 0) {
        kept_check(scrub, &row);
        if (row.key.size == KEPT_KEY_SIZE) {
            memcpy(place->slug_key, row.key.data, SLUG_KEY_SIZE);
            place->position = be64_get(row.key.data + SLUG_KEY_SIZE);
            count--;
        }
        err = cursor_next(&kept, &row);
    }
    *ret_over = err == ERR_NOT_FOUND || err == ERR_CORRUPT; /* tables_check names what is damaged */
    return *ret_over ? ERR_OK : err;
}

/* ---- what gave way in merges ---- */

/* The place holds the start of the last key: of two leaves that begin alike the second one would be
 * passed over. */
enum err scrub_lost(struct scrub *scrub, size_t count, bool *ret_over)
{
    struct place *place = &scrub->place;
    uint8_t from[LOST_KEY_SIZE];
    struct row row;
    struct lost found;
    memset(from, place->position > 0 ? 0xff : 0, sizeof from);
    memcpy(from, place->slug_key, SLUG_KEY_SIZE);
    be64_put(from + SLUG_KEY_SIZE, place->position);
    defer(cursor_close) struct cursor lost = {0};
    enum err err = cursor_open(scrub->txn, TABLE_LOST, &lost);
    if (err == ERR_OK) {
        err = cursor_seek(&lost, BYTES_OF_ARRAY(from), &row);
    }
    while (err == ERR_OK && count > 0) {
        if (row.key.size == LOST_KEY_SIZE) { /* tables_check names the others */
            memcpy(place->slug_key, row.key.data, SLUG_KEY_SIZE);
            place->position = be64_get(row.key.data + SLUG_KEY_SIZE);
            if (lost_decode(&row, &found) != ERR_OK) {
                struct slug_hash slug_hash;
                memcpy(slug_hash.bytes, place->slug_key + ID_KEY_SIZE, SLUG_HASH_SIZE);
                scrub_blame(scrub, be32_get(place->slug_key), &slug_hash,
                            "a version that gave way in a merge is damaged");
            }
            count--;
        }
        err = cursor_next(&lost, &row);
    }
    *ret_over = err == ERR_NOT_FOUND || err == ERR_CORRUPT; /* tables_check names what is damaged */
    return *ret_over ? ERR_OK : err;
}

/* ---- sides of catalogues that have no head ---- */

static enum err sides_check(struct scrub *scrub)
{
    uint8_t key[ID_KEY_SIZE];
    struct row row;
    struct bytes head;
    uint64_t next = 0;
    defer(cursor_close) struct cursor sides = {0};
    enum err err = cursor_open(scrub->txn, TABLE_SIDES, &sides);
    while (err == ERR_OK && next <= UINT32_MAX) {
        err = cursor_seek(&sides, rows_id(key, (uint32_t) next), &row);
        if (err != ERR_OK || row.key.size != SIDE_KEY_SIZE) { /* tables_check names those */
            break;
        }
        uint32_t id = be32_get(row.key.data);
        err = txn_get(scrub->txn, TABLE_HEADS, rows_id(key, id), &head);
        if (err == ERR_NOT_FOUND) {
            scrub_blame(scrub, id, NULL, "a side belongs to no merge head");
            err = ERR_OK;
        }
        next = (uint64_t) id + 1;
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

/* ---- small tables ---- */

/* Walks one table; as many rows must be met as it is said to have, all with keys of `key_size` (0 =
 * they differ). */
static enum err table_check(struct scrub *scrub, enum table table, size_t key_size)
{
    static const uint8_t first[1];
    uint64_t wanted = 0, count = 0;
    struct row row;
    struct order order = {.table = table};
    defer(cursor_close) struct cursor cursor = {0};
    enum err err = txn_rows(scrub->txn, table, &wanted);
    if (err == ERR_OK) {
        err = cursor_open(scrub->txn, table, &cursor);
    }
    if (err == ERR_OK) {
        err = cursor_seek(&cursor, BYTES_OF_ARRAY(first), &row);
    }
    for (; err == ERR_OK; err = err == ERR_OK ? cursor_next(&cursor, &row) : err) {
        count++;
        order.damaged = order.damaged || (key_size != 0 && row.key.size != key_size);
        err = scrub_order_row(scrub, &order, row.key);
    }
    if (err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    order.damaged = order.damaged || err == ERR_CORRUPT || count != wanted;
    return scrub_order_end(scrub, &order);
}

static enum err arrivals_check(struct scrub *scrub)
{
    static const enum table tables[] = {TABLE_HEADS, TABLE_LABS, TABLE_FORKS, TABLE_RECEIPTS};
    uint64_t arrivals = 0, wanted = 0;
    enum err err = txn_rows(scrub->txn, TABLE_ARRIVALS, &arrivals);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && err == ERR_OK; i++) {
        uint64_t rows = 0;
        err = txn_rows(scrub->txn, tables[i], &rows);
        wanted += rows;
    }
    if (err == ERR_OK && arrivals != wanted) {
        scrub_blame(scrub, 0, NULL,
                    "there are not as many arrivals as heads, records, forks and receipts");
    }
    return err;
}

/* Each names a catalogue that is held, and no head that is not. */
static enum err withdrawn_check(struct scrub *scrub)
{
    struct row row;
    defer(cursor_close) struct cursor withdrawn = {0};
    enum err err = cursor_open(scrub->txn, TABLE_WITHDRAWN, &withdrawn);
    while (err == ERR_OK) {
        err = cursor_next(&withdrawn, &row);
        if (err != ERR_OK || row.key.size != ID_KEY_SIZE) { /* tables_check named those */
            break;
        }
        uint32_t id = be32_get(row.key.data);
        struct withdrawal withdrawal = {0};
        struct held_head held = {0};
        enum err wrong = withdrawal_get(scrub->txn, id, &withdrawal);
        if (wrong == ERR_OK) {
            wrong = catalogue_head(scrub->txn, id, &held);
        }
        if (wrong != ERR_OK && wrong != ERR_NOT_FOUND && wrong != ERR_CORRUPT) {
            return wrong;
        }
        bool later = withdrawal.generation > held.head.generation ||
                     (withdrawal.generation == held.head.generation && withdrawal.n > held.head.n);
        if (wrong != ERR_OK || later) {
            scrub_blame(scrub, id, NULL, "the note of a withdrawal is damaged");
        }
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

/* The small tables; and one arrival for each head, record, fork and receipt. */
static enum err tables_check(struct scrub *scrub)
{
    static const struct {
        enum table table;
        size_t key_size;
    } tables[] = {{TABLE_META, 0},
                  {TABLE_NAMES, 0},
                  {TABLE_LABS, KEY_SIZE},
                  {TABLE_PEERS, KEY_SIZE},
                  {TABLE_HEADS, ID_KEY_SIZE},
                  {TABLE_STAGING, ID_KEY_SIZE},
                  {TABLE_DIGESTS, ID_KEY_SIZE + 1},
                  {TABLE_GONE, GONE_KEY_SIZE},
                  {TABLE_RETIRED, SLUG_KEY_SIZE},
                  {TABLE_ARRIVALS, SEQ_KEY_SIZE},
                  {TABLE_TRASH, SEQ_KEY_SIZE},
                  {TABLE_SIDES, SIDE_KEY_SIZE},
                  {TABLE_FORKS, ID_KEY_SIZE},
                  {TABLE_KEPT, KEPT_KEY_SIZE},
                  {TABLE_LOST, LOST_KEY_SIZE},
                  {TABLE_RECEIPTS, KEY_SIZE},
                  {TABLE_WITHDRAWN, ID_KEY_SIZE}};
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && err == ERR_OK; i++) {
        err = table_check(scrub, tables[i].table, tables[i].key_size);
    }
    if (err == ERR_OK) {
        err = sides_check(scrub);
    }
    if (err == ERR_OK) {
        err = withdrawn_check(scrub);
    }
    return err == ERR_OK ? arrivals_check(scrub) : err;
}

/* ---- lab records, and what their labs said ---- */

/* That of a generation which is over cannot be checked any more: it counts for nothing. */
static enum err receipt_check(struct scrub *scrub, const struct lab_record *record)
{
    struct held_receipt held;
    struct receipt receipt;
    enum err err = receipts_get(scrub->txn, &record->lab, &held);
    if (err == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (err != ERR_OK) {
        return scrub_damaged(scrub, err, "a receipt is malformed");
    }
    if (held.receipt.generation > record->generation ||
        (held.receipt.generation == record->generation &&
         receipt_open(held.signed_bytes, record->signing_pk, &receipt) != ERR_OK)) {
        scrub_blame(scrub, 0, NULL, "the signature of a receipt does not verify");
    }
    return scrub_arrival(scrub, held.arrival,
                         &(struct arrival){.kind = ARRIVAL_RECEIPT, .lab = record->lab});
}

enum err scrub_labs(struct scrub *scrub, uint64_t *after, bool *ret_over)
{
    struct lab_id lab;
    struct held_lab held;
    struct lab_record record;
    bool first = *after == 0;
    memset(lab.bytes, 0xff, sizeof lab.bytes);
    be64_put(lab.bytes, *after);
    *ret_over = false;
    for (unsigned i = 0; i < LABS_A_PAGE; i++) {
        struct lab_id before = lab;
        enum err err = lab_next(scrub->txn, first, &lab, &held);
        bool moved = first || memcmp(before.bytes, lab.bytes, sizeof lab.bytes) != 0;
        if (err == ERR_NOT_FOUND || (err == ERR_CORRUPT && !moved)) {
            *ret_over = true;
            return err == ERR_NOT_FOUND ? tables_check(scrub)
                                        : scrub_damaged(scrub, err, "the table of labs is damaged");
        }
        if (err == ERR_OK) {
            err = scrub_arrival(scrub, held.arrival, &(struct arrival){.lab = lab});
        }
        if (err != ERR_OK && err != ERR_CORRUPT) {
            return err;
        }
        if (err == ERR_CORRUPT || lab_record_open(held.signed_bytes, &record) != ERR_OK) {
            scrub_blame(scrub, 0, NULL,
                        "a lab record is malformed or its signature does not verify");
        } else {
            err = receipt_check(scrub, &record);
            if (err != ERR_OK) {
                return err;
            }
        }
        first = false;
    }
    *after = be64_get(lab.bytes);
    return ERR_OK;
}
