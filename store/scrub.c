/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/scrub.c: everything on disk is checked again, a page at a time.
 *
 * What is damaged becomes a problem of the page and the walk goes on behind it; only errors that
 * are no damage (I/O, memory) end it.
 *
 *     SUM ──────> SUM_SLUGS ──────────────────────> CATALOGUES ──> LABS and small tables
 *       └── doubt ────┴──> BODIES (each looked up) ────┘
 *
 * The quick way reads bodies and slugs once each, in order, and compares sums over (seq, owner,
 * size, leaf): equal when every slug has its body, every body its slug, and all leaves match. What
 * matches its leaf is what was checked when it came, and needs no parsing; the leaf is covered by
 * the signed root. In doubt (sums differ, something is staged or in the trash, the store was
 * written to between two pages) every body is looked up: it must be visible and match its leaf, or
 * be staged, or wait in the trash. So a bit that flips anywhere in an entry is seen and named.
 *
 * Rows that cannot be found by their key are damage, too, although a walk passes them: see struct
 * order.
 */
#include "store/scrub.h"

#include <stdlib.h>

#include "base/must.h"
#include "proto/entry.h"
#include "store/rows.h"
#include "store/staging.h"

#define PROBLEMS_KEPT (sizeof((struct scrub_page *) NULL)->problems / sizeof(struct scrub_problem))
#define LABS_A_PAGE 64

/* Slugs are read this many times faster than bodies. */
#define SLUGS_A_BODY 8

enum phase { PHASE_SUM, PHASE_SUM_SLUGS, PHASE_BODIES, PHASE_CATALOGUES, PHASE_LABS, PHASE_COUNT };

/* Between two pages, packed in the caller's `at`. */
struct place {
    unsigned phase;
    uint64_t checked;                /* bodies */
    uint64_t position;               /* next seq, last catalogue id, start of the last lab */
    uint8_t slug_key[SLUG_KEY_SIZE]; /* the last one, PHASE_SUM_SLUGS */
    uint64_t sums[2];                /* of bodies, minus those of slugs */
    uint64_t snapshot;               /* the transaction that the sums are of */
    uint64_t visible;                /* PHASE_BODIES: count; then: 1 = look up every slug's body */
};

struct scrub {
    struct txn *txn;
    struct scrub_page *page;
    struct place place;
    struct cursor bodies, slugs, trash, revs;
    struct buf pairs;
    uint32_t id; /* the catalogue, PHASE_CATALOGUES */
    struct held_head held;
    struct digests digests;
};

static void scrub_done(struct scrub *scrub)
{
    cursor_close(&scrub->bodies);
    cursor_close(&scrub->slugs);
    cursor_close(&scrub->trash);
    cursor_close(&scrub->revs);
    buf_done(&scrub->pairs);
}

static void problem(struct scrub *scrub, uint32_t catalogue, const struct slug_hash *slug_hash,
                    const char *what)
{
    struct scrub_page *page = scrub->page;
    page->problems_seen++;
    page->catalogue_ok = false;
    if (page->problem_count == PROBLEMS_KEPT) {
        return;
    }
    struct scrub_problem *kept = &page->problems[page->problem_count++];
    *kept =
        (struct scrub_problem){.catalogue = catalogue, .has_slug = slug_hash != NULL, .what = what};
    if (slug_hash != NULL) {
        kept->slug_hash = *slug_hash;
    }
}

/* Damage that LMDB itself noticed: a problem, not the end. */
static enum err damaged(struct scrub *scrub, enum err err, const char *what)
{
    if (err != ERR_CORRUPT) {
        return err;
    }
    problem(scrub, scrub->id, NULL, what);
    return ERR_OK;
}

static bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->bytes, b->bytes, HASH_SIZE) == 0;
}

/* ---- whether a table can be searched ---- */

/*
 * A walk visits one leaf page after the other and does not see damage in the pages above them, by
 * which keys are looked up; nor does it see one row come twice in place of another. So keys must
 * ascend, and the first and the last one of every page must be found from the top. Where a page
 * ends is seen from where keys lie in the map.
 */
#define PAGE_ALIGN 4096u
#define ORDER_KEY_MAX 128 /* names: network, lab, audience */

struct order {
    enum table table;
    uint8_t last[ORDER_KEY_MAX];
    size_t last_size; /* 0 = none yet */
    uintptr_t page;
    bool damaged;
};

static enum err order_find(struct scrub *scrub, struct order *order, struct bytes key)
{
    struct bytes value;
    enum err err = txn_get(scrub->txn, order->table, key, &value);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        order->damaged = true;
        return ERR_OK;
    }
    return err;
}

static enum err order_row(struct scrub *scrub, struct order *order, struct bytes key)
{
    struct bytes last = bytes_of(order->last, order->last_size);
    uintptr_t page = (uintptr_t) key.data / PAGE_ALIGN;
    enum err err = ERR_OK;
    if (key.size == 0 || key.size > ORDER_KEY_MAX ||
        (last.size > 0 && bytes_compare(last, key) >= 0)) {
        order->damaged = true;
        return ERR_OK;
    }
    if (page != order->page) {
        err = last.size > 0 ? order_find(scrub, order, last) : ERR_OK;
        if (err == ERR_OK) {
            err = order_find(scrub, order, key);
        }
        order->page = page;
    }
    bytes_copy(order->last, key);
    order->last_size = key.size;
    return err;
}

static enum err order_last(struct scrub *scrub, struct order *order)
{
    return order->last_size == 0
               ? ERR_OK
               : order_find(scrub, order, bytes_of(order->last, order->last_size));
}

static enum err order_end(struct scrub *scrub, struct order *order)
{
    enum err err = order_last(scrub, order);
    if (order->damaged) {
        problem(scrub, scrub->id, NULL, "a table is out of order or cannot be searched");
    }
    return err;
}

/* ---- the quick way: sums ---- */

static void doubt(struct scrub *scrub)
{
    scrub->place = (struct place){.phase = PHASE_BODIES};
    scrub->page->checked = 0;
}

static uint64_t mixed(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b * 0x9E3779B97F4A7C15ull)) * 0xD6E8FEB86659FD93ull;
    return x ^ (x >> 32);
}

/* Adds (sign 1) a body, or takes away (sign -1, modulo 2^64) a slug's row. */
static void sum(struct scrub *scrub, uint64_t sign, uint32_t id, const struct slug_row *row)
{
    uint64_t words[4];
    memcpy(words, row->leaf.bytes, sizeof words);
    uint64_t low = mixed(words[0], row->seq), high = mixed(words[1], id);
    scrub->place.sums[0] += sign * mixed(low, words[2]);
    scrub->place.sums[1] += sign * mixed(high, words[3] + row->size);
}

/* Only a store at rest, all of whose bodies are visible, can be summed up. */
static enum err sum_begin(struct scrub *scrub, bool *ret_can)
{
    struct place *place = &scrub->place;
    uint64_t trash = 0, staging = 0;
    if (place->phase != PHASE_SUM || place->snapshot != 0) {
        *ret_can = place->snapshot == txn_snapshot(scrub->txn);
        return ERR_OK;
    }
    enum err err = txn_rows(scrub->txn, TABLE_TRASH, &trash);
    if (err == ERR_OK) {
        err = txn_rows(scrub->txn, TABLE_STAGING, &staging);
    }
    place->snapshot = txn_snapshot(scrub->txn);
    *ret_can = trash == 0 && staging == 0;
    return err;
}

static enum err sum_bodies(struct scrub *scrub, size_t count)
{
    struct place *place = &scrub->place;
    uint8_t key[SEQ_KEY_SIZE];
    struct row row;
    struct order order = {.table = TABLE_BODIES};
    enum err err = cursor_seek(&scrub->bodies, rows_seq(key, place->position), &row);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        struct slug_row body = {0};
        struct bytes entry = {0};
        uint32_t owner = 0;
        err = order_row(scrub, &order, row.key);
        if (err == ERR_OK && row.key.size != SEQ_KEY_SIZE) {
            err = ERR_CORRUPT;
        }
        if (err == ERR_OK) {
            err = rows_body(row.value, &owner, &entry);
        }
        if (err != ERR_OK) {
            break;
        }
        body.seq = be64_get(row.key.data);
        body.size = (uint32_t) entry.size;
        body.leaf = entry_leaf(entry);
        sum(scrub, 1, owner, &body);
        place->position = body.seq + 1;
        scrub->page->checked++;
        err = cursor_next(&scrub->bodies, &row);
    }
    enum err last = order_last(scrub, &order);
    if (order.damaged || err == ERR_CORRUPT) {
        doubt(scrub);
        return last;
    }
    if (err == ERR_NOT_FOUND) {
        place->phase = PHASE_SUM_SLUGS;
        err = ERR_OK;
    }
    return err == ERR_OK ? last : err;
}

static enum err sum_slugs(struct scrub *scrub, size_t count)
{
    struct place *place = &scrub->place;
    struct row row;
    struct bytes at = BYTES_OF_ARRAY(place->slug_key);
    enum err err = cursor_seek(&scrub->slugs, at, &row);
    if (err == ERR_OK && bytes_equal(row.key, at)) {
        err = cursor_next(&scrub->slugs, &row);
    }
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        struct slug_row slug_row;
        err = row.key.size == SLUG_KEY_SIZE ? rows_slug_get(row.value, &slug_row) : ERR_CORRUPT;
        if (err == ERR_OK) {
            sum(scrub, UINT64_MAX, be32_get(row.key.data), &slug_row);
            memcpy(place->slug_key, row.key.data, SLUG_KEY_SIZE);
            err = cursor_next(&scrub->slugs, &row);
        }
    }
    if (err == ERR_CORRUPT || (err == ERR_NOT_FOUND && (place->sums[0] | place->sums[1]) != 0)) {
        doubt(scrub);
        return ERR_OK;
    }
    if (err == ERR_NOT_FOUND) {
        *place = (struct place){.phase = PHASE_CATALOGUES};
        err = ERR_OK;
    }
    return err;
}

/* ---- bodies, each looked up ---- */

/* Whether a body that `slugs` does not point to has a reason to be there. */
static enum err body_excused(struct scrub *scrub, uint32_t owner, struct bytes key, bool *ret_is)
{
    struct bytes nothing;
    struct staging staging;
    enum err err = cursor_at(&scrub->trash, key, &nothing);
    if (err == ERR_NOT_FOUND) {
        err = staging_get(scrub->txn, owner, &staging);
        if (err == ERR_OK && be64_get(key.data) < staging.first_seq) {
            err = ERR_NOT_FOUND;
        }
    }
    *ret_is = err == ERR_OK;
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

static enum err body_check(struct scrub *scrub, const struct row *row)
{
    uint32_t owner = 0;
    struct bytes bytes = {0}, value;
    struct entry entry;
    struct slug_row slug_row = {0};
    bool excused = false;
    if (row->key.size != SEQ_KEY_SIZE || rows_body(row->value, &owner, &bytes) != ERR_OK) {
        problem(scrub, 0, NULL, "a row of the bodies table is malformed");
        return ERR_OK;
    }
    bool readable = entry_peek(bytes, &entry) == ERR_OK;
    struct slug_hash slug_hash = {0};
    enum err err = ERR_NOT_FOUND;
    if (readable) {
        uint8_t key[SLUG_KEY_SIZE];
        slug_hash = hash_slug(entry.slug);
        err = cursor_at(&scrub->slugs, rows_slug(key, owner, &slug_hash), &value);
        if (err == ERR_OK) {
            err = rows_slug_get(value, &slug_row);
        }
    }
    if (err == ERR_OK && slug_row.seq == be64_get(row->key.data)) {
        struct hash leaf = entry_leaf(bytes);
        scrub->place.visible++;
        if (slug_row.size != bytes.size || slug_row.rev != entry.rev ||
            !hash_equal(&leaf, &slug_row.leaf)) {
            problem(scrub, owner, &slug_hash, "the entry does not match its leaf");
        }
        return ERR_OK;
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    err = body_excused(scrub, owner, row->key, &excused);
    if (err != ERR_OK || excused) {
        return err;
    }
    problem(scrub, owner, readable ? &slug_hash : NULL,
            readable ? "nothing points to this stored entry" : "a stored entry is malformed");
    return ERR_OK;
}

static enum err bodies_end(struct scrub *scrub, enum err err)
{
    uint64_t slugs = 0;
    uint64_t visible = scrub->place.visible;
    if (err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    if (err == ERR_CORRUPT) {
        problem(scrub, 0, NULL, "the bodies table is damaged");
    }
    err = txn_rows(scrub->txn, TABLE_SLUGS, &slugs);
    scrub->place = (struct place){.phase = PHASE_CATALOGUES, .visible = visible != slugs};
    return err;
}

static enum err bodies_check(struct scrub *scrub, size_t count)
{
    struct place *place = &scrub->place;
    uint8_t key[SEQ_KEY_SIZE];
    struct row row;
    struct order order = {.table = TABLE_BODIES};
    enum err err = cursor_seek(&scrub->bodies, rows_seq(key, place->position), &row);
    while (count > 0 && err == ERR_OK) {
        /* Keys that are none do not count, so that every page gets on. */
        if (row.key.size == SEQ_KEY_SIZE && be64_get(row.key.data) >= place->position) {
            place->position = be64_get(row.key.data) + 1;
            scrub->page->checked++;
            count--;
        }
        err = order_row(scrub, &order, row.key);
        if (err == ERR_OK) {
            err = body_check(scrub, &row);
        }
        if (err != ERR_OK) {
            return err;
        }
        err = cursor_next(&scrub->bodies, &row);
    }
    enum err ended = order_end(scrub, &order);
    return ended == ERR_OK && err != ERR_OK ? bodies_end(scrub, err) : ended;
}

/* ---- catalogues ---- */

static bool stands(const struct lab_record *record, const struct head *head)
{
    for (unsigned i = 0; i < record->last_good_count; i++) {
        if (hash_equal(&record->last_good[i].head_hash, &head->hash)) {
            return true;
        }
    }
    return false;
}

static enum err head_check(struct scrub *scrub)
{
    const struct head *head = &scrub->held.head;
    struct held_lab lab;
    struct lab_record record;
    struct head opened;
    enum err err = lab_get(scrub->txn, &head->lab, &lab);
    if (err == ERR_NOT_FOUND) {
        problem(scrub, scrub->id, NULL, "the lab's record is missing");
        return ERR_OK;
    }
    if (err != ERR_OK) {
        return damaged(scrub, err, "the lab's record is malformed");
    }
    if (lab_record_open(lab.signed_bytes, &record) != ERR_OK) {
        problem(scrub, scrub->id, NULL, "the signature of the lab's record does not verify");
        return ERR_OK;
    }
    if (record.generation == head->generation) {
        if (head_open(scrub->held.signed_bytes, record.signing_pk, &opened) != ERR_OK) {
            problem(scrub, scrub->id, NULL, "the signature of the head does not verify");
        }
    } else if (record.generation < head->generation || !stands(&record, head)) {
        problem(scrub, scrub->id, NULL, "the head belongs to a generation that does not stand");
    }
    return ERR_OK;
}

/* The hashes of heads 1 … n-1 must chain to the head's history, and hash n be the head's own. */
static enum err chain_check(struct scrub *scrub)
{
    const struct head *head = &scrub->held.head;
    uint8_t key[N_KEY_SIZE];
    struct hash history = {0}, head_hash = {0};
    struct row row;
    uint64_t n = 0;
    struct order order = {.table = TABLE_HASHES};
    defer(cursor_close) struct cursor hashes = {0};
    enum err err = cursor_open(scrub->txn, TABLE_HASHES, &hashes);
    if (err == ERR_OK) {
        err = cursor_seek(&hashes, rows_n(key, scrub->id, 0), &row);
    }
    while (err == ERR_OK && n < head->n) {
        err = rows_own(row.key, N_KEY_SIZE, scrub->id);
        if (err != ERR_OK || be64_get(row.key.data + 4) != n + 1 || row.value.size != HASH_SIZE) {
            break;
        }
        memcpy(head_hash.bytes, row.value.data, HASH_SIZE);
        n++;
        if (n < head->n) {
            history = history_next(&history, &head_hash);
        }
        err = order_row(scrub, &order, row.key);
        if (err == ERR_OK) {
            err = cursor_next(&hashes, &row);
        }
    }
    enum err ended = order_end(scrub, &order);
    if (ended != ERR_OK) {
        return ended;
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    if (n != head->n || !hash_equal(&head_hash, &head->hash)) {
        problem(scrub, scrub->id, NULL, "hashes of earlier heads are missing or damaged");
    } else if (!hash_equal(&history, &head->history)) {
        problem(scrub, scrub->id, NULL, "the hashes of earlier heads do not lead to the head");
    }
    return ERR_OK;
}

/* Compares one bucket, whose pairs were gathered, with its stored digest; keeps what it is. */
static enum err bucket_check(struct scrub *scrub, unsigned bucket)
{
    if (scrub->pairs.err != ERR_OK) {
        return scrub->pairs.err;
    }
    struct hash digest = bucket_digest(buf_bytes(&scrub->pairs));
    if (!hash_equal(&digest, &scrub->digests.buckets[bucket])) {
        problem(scrub, scrub->id, NULL, "a bucket of entries does not match its digest");
    }
    scrub->digests.buckets[bucket] = digest;
    buf_clear(&scrub->pairs);
    return ERR_OK;
}

static enum err slugs_check(struct scrub *scrub, uint64_t *ret_count)
{
    const struct head *head = &scrub->held.head;
    uint8_t key[SLUG_KEY_SIZE];
    struct slug_hash first = {0};
    struct slug_row slug_row;
    struct row row;
    uint64_t count = 0, bytes = 0;
    unsigned bucket = 0;
    struct order order = {.table = TABLE_SLUGS};
    enum err err = cursor_seek(&scrub->slugs, rows_slug(key, scrub->id, &first), &row);
    for (; err == ERR_OK; err = cursor_next(&scrub->slugs, &row)) {
        err = rows_own(row.key, SLUG_KEY_SIZE, scrub->id);
        if (err == ERR_OK) {
            err = rows_slug_get(row.value, &slug_row);
        }
        if (err == ERR_OK) {
            err = order_row(scrub, &order, row.key);
        }
        if (err != ERR_OK) {
            break;
        }
        while (bucket < row.key.data[4]) {
            enum err checked = bucket_check(scrub, bucket++);
            if (checked != ERR_OK) {
                return checked;
            }
        }
        buf_put(&scrub->pairs, bytes_of(row.key.data + 4, SLUG_HASH_SIZE));
        buf_put(&scrub->pairs, BYTES_OF_ARRAY(slug_row.leaf.bytes));
        count++;
        bytes += slug_row.size;
    }
    while (bucket < BUCKET_COUNT) {
        enum err checked = bucket_check(scrub, bucket++);
        if (checked != ERR_OK) {
            return checked;
        }
    }
    *ret_count = count;
    struct hash root = digests_root(&scrub->digests);
    if (!hash_equal(&root, &head->root)) {
        problem(scrub, scrub->id, NULL, "the entries do not match the signed root");
    }
    if (count != head->count || bytes != head->bytes) {
        problem(scrub, scrub->id, NULL, "count or bytes are not those of the head");
    }
    enum err ended = order_end(scrub, &order);
    if (ended != ERR_OK) {
        return ended;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : damaged(scrub, err, "the table of entries is damaged");
}

/* One row of the delta order: its slug says the same, and the body is there. */
static enum err rev_check(struct scrub *scrub, const struct row *row)
{
    struct slug_hash slug_hash;
    struct slug_row slug_row = {0};
    struct bytes value, entry = {0};
    uint8_t key[SLUG_KEY_SIZE];
    uint32_t owner = 0;
    uint64_t rev = be64_get(row->key.data + 4);
    memcpy(slug_hash.bytes, row->key.data + 12, SLUG_HASH_SIZE);
    enum err err = cursor_at(&scrub->slugs, rows_slug(key, scrub->id, &slug_hash), &value);
    if (err == ERR_OK) {
        err = rows_slug_get(value, &slug_row);
    }
    if (err == ERR_OK && (row->value.size != SEQ_KEY_SIZE || slug_row.rev != rev ||
                          slug_row.seq != be64_get(row->value.data) || rev > scrub->held.head.n)) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        problem(scrub, scrub->id, &slug_hash, "the order of revisions does not match the entries");
        return ERR_OK;
    }
    if (err != ERR_OK || scrub->place.visible == 0) {
        return err;
    }
    err = cursor_at(&scrub->bodies, row->value, &value);
    if (err == ERR_OK) {
        err = rows_body(value, &owner, &entry);
    }
    if (err == ERR_OK && (owner != scrub->id || entry.size != slug_row.size)) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        problem(scrub, scrub->id, &slug_hash, "the stored entry is missing");
        return ERR_OK;
    }
    return err;
}

static enum err revs_check(struct scrub *scrub, uint64_t slug_count)
{
    uint8_t key[REV_KEY_SIZE];
    struct slug_hash first = {0};
    struct row row;
    uint64_t count = 0;
    struct order order = {.table = TABLE_REVS};
    enum err err = cursor_seek(&scrub->revs, rows_rev(key, scrub->id, 0, &first), &row);
    for (; err == ERR_OK; err = cursor_next(&scrub->revs, &row)) {
        err = rows_own(row.key, REV_KEY_SIZE, scrub->id);
        if (err != ERR_OK) {
            break;
        }
        count++;
        err = order_row(scrub, &order, row.key);
        if (err == ERR_OK) {
            err = rev_check(scrub, &row);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    enum err ended = order_end(scrub, &order);
    if (ended != ERR_OK) {
        return ended;
    }
    if (count != slug_count) {
        problem(scrub, scrub->id, NULL, "entries are missing from the order of revisions");
    }
    return err == ERR_NOT_FOUND ? ERR_OK : damaged(scrub, err, "the order of revisions is damaged");
}

/* What stands at arrival `number` must be `wanted`. */
static enum err arrival_check(struct scrub *scrub, uint64_t number, const struct arrival *wanted)
{
    struct arrival found = {0};
    enum err err = number == 0 ? ERR_NOT_FOUND : arrival_next(scrub->txn, number - 1, &found);
    if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    if (err != ERR_OK || found.number != number || found.kind != wanted->kind ||
        found.catalogue != wanted->catalogue ||
        memcmp(found.lab.bytes, wanted->lab.bytes, KEY_SIZE) != 0) {
        problem(scrub, wanted->catalogue, NULL, "an arrival is missing or damaged");
    }
    return ERR_OK;
}

static enum err catalogue_check(struct scrub *scrub)
{
    struct scrub_page *page = scrub->page;
    struct catalogue_name name;
    uint32_t id = 0;
    uint64_t count = 0;
    page->catalogue = scrub->id;
    page->catalogue_ok = true;
    enum err err = catalogue_head(scrub->txn, scrub->id, &scrub->held);
    if (err != ERR_OK) {
        return damaged(scrub, err, "the head is malformed");
    }
    name.network = scrub->held.head.network;
    name.lab = scrub->held.head.lab;
    memcpy(name.audience, scrub->held.head.audience, sizeof name.audience);
    err = catalogue_find(scrub->txn, &name, &id);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT || (err == ERR_OK && id != scrub->id)) {
        problem(scrub, scrub->id, NULL, "the head does not belong to this catalogue");
        err = ERR_OK;
    }
    if (err == ERR_OK) {
        struct arrival arrival = {.kind = ARRIVAL_HEAD, .catalogue = scrub->id};
        err = arrival_check(scrub, scrub->held.arrival, &arrival);
    }
    if (err == ERR_OK) {
        err = head_check(scrub);
    }
    if (err == ERR_OK) {
        err = chain_check(scrub);
    }
    if (err == ERR_OK) {
        err = rows_digests(scrub->txn, scrub->id, &scrub->digests);
        err = damaged(scrub, err, "the digests are malformed");
    }
    if (err == ERR_OK) {
        err = slugs_check(scrub, &count);
    }
    return err == ERR_OK ? revs_check(scrub, count) : err;
}

/* ---- lab records and small tables ---- */

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
        err = order_row(scrub, &order, row.key);
    }
    if (err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    order.damaged = order.damaged || err == ERR_CORRUPT || count != wanted;
    return order_end(scrub, &order);
}

/* The small tables; and one arrival for each head and each record. */
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
                  {TABLE_FORKS, ID_KEY_SIZE}};
    uint64_t heads = 0, labs = 0, forks = 0, arrivals = 0;
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && err == ERR_OK; i++) {
        err = table_check(scrub, tables[i].table, tables[i].key_size);
    }
    if (err == ERR_OK) {
        err = txn_rows(scrub->txn, TABLE_HEADS, &heads);
    }
    if (err == ERR_OK) {
        err = txn_rows(scrub->txn, TABLE_LABS, &labs);
    }
    if (err == ERR_OK) {
        err = txn_rows(scrub->txn, TABLE_FORKS, &forks);
    }
    if (err == ERR_OK) {
        err = txn_rows(scrub->txn, TABLE_ARRIVALS, &arrivals);
    }
    if (err == ERR_OK && arrivals != heads + labs + forks) {
        problem(scrub, 0, NULL, "there are not as many arrivals as heads, records and forks");
    }
    return err;
}

static enum err labs_check(struct scrub *scrub, uint64_t *after, bool *ret_over)
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
                                        : damaged(scrub, err, "the table of labs is damaged");
        }
        if (err == ERR_OK) {
            err = arrival_check(scrub, held.arrival, &(struct arrival){.lab = lab});
        }
        if (err != ERR_OK && err != ERR_CORRUPT) {
            return err;
        }
        if (err == ERR_CORRUPT || lab_record_open(held.signed_bytes, &record) != ERR_OK) {
            problem(scrub, 0, NULL, "a lab record is malformed or its signature does not verify");
        }
        first = false;
    }
    *after = be64_get(lab.bytes);
    return ERR_OK;
}

/* ---- one page ---- */

static enum err scrub_init(struct scrub *scrub)
{
    enum err err = cursor_open(scrub->txn, TABLE_BODIES, &scrub->bodies);
    if (err == ERR_OK) {
        err = cursor_open(scrub->txn, TABLE_SLUGS, &scrub->slugs);
    }
    if (err == ERR_OK) {
        err = cursor_open(scrub->txn, TABLE_TRASH, &scrub->trash);
    }
    if (err == ERR_OK) {
        err = cursor_open(scrub->txn, TABLE_REVS, &scrub->revs);
    }
    return err;
}

static enum err next_catalogue(struct scrub *scrub)
{
    uint32_t id = (uint32_t) scrub->place.position;
    enum err err = catalogue_next(scrub->txn, &id);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        scrub->place = (struct place){.phase = PHASE_LABS};
        return err == ERR_CORRUPT ? damaged(scrub, err, "the table of heads is damaged") : ERR_OK;
    }
    scrub->place.position = scrub->id = id;
    return err == ERR_OK ? catalogue_check(scrub) : err;
}

static enum err scrub_page(struct scrub *scrub, size_t count)
{
    struct place *place = &scrub->place;
    bool over = false;
    enum err err = ERR_OK;
    if (place->phase == PHASE_SUM || place->phase == PHASE_SUM_SLUGS) {
        bool can = false;
        err = sum_begin(scrub, &can);
        if (err != ERR_OK) {
            return err;
        }
        if (!can) {
            doubt(scrub);
        }
    }
    switch ((enum phase) place->phase) {
    case PHASE_SUM:
        return sum_bodies(scrub, count);
    case PHASE_SUM_SLUGS:
        return sum_slugs(scrub, count * SLUGS_A_BODY);
    case PHASE_BODIES:
        return bodies_check(scrub, count);
    case PHASE_CATALOGUES:
        return next_catalogue(scrub);
    case PHASE_LABS:
        err = labs_check(scrub, &place->position, &over);
        place->phase = over ? PHASE_COUNT : PHASE_LABS;
        return err;
    case PHASE_COUNT:
        break;
    }
    return ERR_OK;
}

/* ---- the place between two pages: phase u8 ‖ checked u56 ‖ position ‖ sums ‖ snapshot ‖ visible ‖
 * slug key ---- */

static struct place place_get(const uint8_t at[SCRUB_AT_SIZE])
{
    struct place place = {
        .phase = at[0] < PHASE_COUNT ? at[0] : PHASE_COUNT,
        .checked = be64_get(at) & (UINT64_MAX >> 8),
        .position = be64_get(at + 8),
        .sums = {be64_get(at + 16), be64_get(at + 24)},
        .snapshot = be64_get(at + 32),
        .visible = be64_get(at + 40),
    };
    memcpy(place.slug_key, at + 48, SLUG_KEY_SIZE);
    return place;
}

static void place_put(const struct place *place, uint8_t at[SCRUB_AT_SIZE])
{
    static_assert(48 + SLUG_KEY_SIZE == SCRUB_AT_SIZE, "the place fills `at`");
    be64_put(at, place->checked);
    at[0] = (uint8_t) place->phase;
    be64_put(at + 8, place->position);
    be64_put(at + 16, place->sums[0]);
    be64_put(at + 24, place->sums[1]);
    be64_put(at + 32, place->snapshot);
    be64_put(at + 40, place->visible);
    memcpy(at + 48, place->slug_key, SLUG_KEY_SIZE);
}

enum err scrub_step(struct txn *txn, uint8_t at[SCRUB_AT_SIZE], size_t count,
                    struct scrub_page *ret_page)
{
    must(count > 0);
    struct scrub_page page = {0};
    defer(scrub_done) struct scrub scrub = {.txn = txn, .page = &page, .place = place_get(at)};
    page.checked = scrub.place.checked;
    enum err err = txn_rows(txn, TABLE_BODIES, &page.total);
    if (err == ERR_OK) {
        err = scrub_init(&scrub);
    }
    if (err == ERR_OK) {
        err = scrub_page(&scrub, count);
    }
    if (err != ERR_OK) {
        return err;
    }
    scrub.place.checked = page.checked;
    place_put(&scrub.place, at);
    page.done = scrub.place.phase == PHASE_COUNT;
    *ret_page = page;
    return ERR_OK;
}
