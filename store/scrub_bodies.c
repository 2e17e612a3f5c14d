/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/scrub_bodies.c: every stored entry matches its leaf and has a reason to be there.
 *
 * The quick way reads bodies and slugs once each, in order, and compares sums over (seq, owner,
 * size, leaf): equal when every slug has its body, every body its slug, and all leaves match. What
 * matches its leaf is what was checked when it came, and needs no parsing; the leaf is covered by
 * the signed root. In doubt (sums differ, something is staged or in the trash, the store was
 * written to between two pages) every body is looked up: it must be visible and match its leaf, or
 * be staged, or wait in the trash. So a bit that flips anywhere in an entry is seen and named.
 */
#include "proto/entry.h"
#include "store/scrub_parts.h"
#include "store/staging.h"

/* Slugs are read this many times faster than bodies. */
#define SLUGS_A_BODY 8

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
        err = scrub_order_row(scrub, &order, row.key);
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
    enum err last = scrub_order_last(scrub, &order);
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
        scrub_blame(scrub, 0, NULL, "a row of the bodies table is malformed");
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
            !scrub_hash_equal(&leaf, &slug_row.leaf)) {
            scrub_blame(scrub, owner, &slug_hash, "the entry does not match its leaf");
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
    scrub_blame(scrub, owner, readable ? &slug_hash : NULL,
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
        scrub_blame(scrub, 0, NULL, "the bodies table is damaged");
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
        err = scrub_order_row(scrub, &order, row.key);
        if (err == ERR_OK) {
            err = body_check(scrub, &row);
        }
        if (err != ERR_OK) {
            return err;
        }
        err = cursor_next(&scrub->bodies, &row);
    }
    enum err ended = scrub_order_end(scrub, &order);
    return ended == ERR_OK && err != ERR_OK ? bodies_end(scrub, err) : ended;
}

/* ---- either way ---- */

enum err scrub_bodies(struct scrub *scrub, size_t count)
{
    if (scrub->place.phase != PHASE_BODIES) {
        bool can = false;
        enum err err = sum_begin(scrub, &can);
        if (err != ERR_OK) {
            return err;
        }
        if (!can) {
            doubt(scrub);
        }
    }
    switch (scrub->place.phase) {
    case PHASE_SUM:
        return sum_bodies(scrub, count);
    case PHASE_SUM_SLUGS:
        return sum_slugs(scrub, count * SLUGS_A_BODY);
    default:
        return bodies_check(scrub, count);
    }
}
