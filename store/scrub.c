/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/scrub.c: everything on disk is checked again, a page at a time.
 *
 * What is damaged becomes a problem of the page and the walk goes on behind it; only errors that
 * are no damage (I/O, memory) end it.
 *
 *     SUM ──────> SUM_SLUGS ─────────> CATALOGUES ──> FORKS ──> KEPT ──> LABS and small tables
 *       └── doubt ────┴──> BODIES ─────────┘
 *
 * Rows that cannot be found by their key are damage, too, although a walk passes them: see struct
 * order.
 */
#include "store/scrub.h"

#include "base/must.h"
#include "store/scrub_parts.h"

#define PROBLEMS_KEPT (sizeof((struct scrub_page *) NULL)->problems / sizeof(struct scrub_problem))

static void scrub_done(struct scrub *scrub)
{
    cursor_close(&scrub->bodies);
    cursor_close(&scrub->slugs);
    cursor_close(&scrub->trash);
    cursor_close(&scrub->revs);
    buf_done(&scrub->pairs);
}

void scrub_blame(struct scrub *scrub, uint32_t catalogue, const struct slug_hash *slug_hash,
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

enum err scrub_damaged(struct scrub *scrub, enum err err, const char *what)
{
    if (err != ERR_CORRUPT) {
        return err;
    }
    scrub_blame(scrub, scrub->id, NULL, what);
    return ERR_OK;
}

bool scrub_hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->bytes, b->bytes, HASH_SIZE) == 0;
}

/* ---- whether a table can be searched ---- */

#define PAGE_ALIGN 4096u

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

enum err scrub_order_row(struct scrub *scrub, struct order *order, struct bytes key)
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

enum err scrub_order_last(struct scrub *scrub, struct order *order)
{
    return order->last_size == 0
               ? ERR_OK
               : order_find(scrub, order, bytes_of(order->last, order->last_size));
}

enum err scrub_order_end(struct scrub *scrub, struct order *order)
{
    enum err err = scrub_order_last(scrub, order);
    if (order->damaged) {
        scrub_blame(scrub, scrub->id, NULL, "a table is out of order or cannot be searched");
    }
    return err;
}

enum err scrub_arrival(struct scrub *scrub, uint64_t number, const struct arrival *wanted)
{
    struct arrival found = {0};
    enum err err = number == 0 ? ERR_NOT_FOUND : arrival_next(scrub->txn, number - 1, &found);
    if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    if (err != ERR_OK || found.number != number || found.kind != wanted->kind ||
        found.catalogue != wanted->catalogue ||
        memcmp(found.lab.bytes, wanted->lab.bytes, KEY_SIZE) != 0) {
        scrub_blame(scrub, wanted->catalogue, NULL, "an arrival is missing or damaged");
    }
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
        scrub->place = (struct place){.phase = PHASE_FORKS};
        return err == ERR_CORRUPT ? scrub_damaged(scrub, err, "the table of heads is damaged")
                                  : ERR_OK;
    }
    scrub->place.position = scrub->id = id;
    return err == ERR_OK ? scrub_catalogue(scrub) : err;
}

static enum err scrub_page(struct scrub *scrub, size_t count)
{
    struct place *place = &scrub->place;
    bool over = false;
    enum err err = ERR_OK;
    switch ((enum phase) place->phase) {
    case PHASE_SUM:
    case PHASE_SUM_SLUGS:
    case PHASE_BODIES:
        return scrub_bodies(scrub, count);
    case PHASE_CATALOGUES:
        return next_catalogue(scrub);
    case PHASE_FORKS:
        err = scrub_forks(scrub, &place->position, &over);
        *place = over ? (struct place){.phase = PHASE_KEPT} : *place;
        return err;
    case PHASE_KEPT:
        err = scrub_kept(scrub, count, &over);
        *place = over ? (struct place){.phase = PHASE_LOST} : *place;
        return err;
    case PHASE_LOST:
        err = scrub_lost(scrub, count, &over);
        *place = over ? (struct place){.phase = PHASE_LABS} : *place;
        return err;
    case PHASE_LABS:
        err = scrub_labs(scrub, &place->position, &over);
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
