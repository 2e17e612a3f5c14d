/* SPDX-License-Identifier: EUPL-1.2 */
/* store/scrub_parts.h: what the scrub_*.c share: one scrub, its place between two pages, and the
 * order of a table. Nobody else includes it. */
#ifndef ESSAIM_STORE_SCRUB_PARTS_H
#define ESSAIM_STORE_SCRUB_PARTS_H

#include "store/rows.h"
#include "store/scrub.h"

enum phase {
    PHASE_SUM,
    PHASE_SUM_SLUGS,
    PHASE_BODIES,
    PHASE_CATALOGUES,
    PHASE_FORKS,
    PHASE_KEPT,
    PHASE_LOST,
    PHASE_LABS,
    PHASE_COUNT
};

/* Between two pages, packed in the caller's `at`. */
struct place {
    unsigned phase;
    uint64_t checked;                /* bodies */
    uint64_t position;               /* next seq, last catalogue id, last rev, last lab's start */
    uint8_t slug_key[SLUG_KEY_SIZE]; /* the last one, PHASE_SUM_SLUGS, KEPT, LOST */
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

/* ---- scrub.c ---- */

/* A problem of this page; slug_hash may be NULL. */
void scrub_blame(struct scrub *scrub, uint32_t catalogue, const struct slug_hash *slug_hash,
                 const char *what);
/* Damage that LMDB itself noticed (ERR_CORRUPT) is a problem and not the end: gives ERR_OK then. */
MUST_USE enum err scrub_damaged(struct scrub *scrub, enum err err, const char *what);
bool scrub_hash_equal(const struct hash *a, const struct hash *b);

/*
 * A walk visits one leaf page after the other and does not see damage in the pages above them, by
 * which keys are looked up; nor does it see one row come twice in place of another. So keys must
 * ascend, and the first and the last one of every page must be found from the top. Where a page
 * ends is seen from where keys lie in the map.
 */
#define ORDER_KEY_MAX 128 /* names: network, lab, audience */

struct order {
    enum table table;
    uint8_t last[ORDER_KEY_MAX];
    size_t last_size; /* 0 = none yet */
    uintptr_t page;
    bool damaged;
};
MUST_USE enum err scrub_order_row(struct scrub *scrub, struct order *order, struct bytes key);
/* Behind the last row; _end names what was found damaged. */
MUST_USE enum err scrub_order_last(struct scrub *scrub, struct order *order);
MUST_USE enum err scrub_order_end(struct scrub *scrub, struct order *order);
/* What stands at arrival `number` must be `wanted`. */
MUST_USE enum err scrub_arrival(struct scrub *scrub, uint64_t number, const struct arrival *wanted);

/* ---- scrub_bodies.c: moves the place to PHASE_CATALOGUES when all are through ---- */

MUST_USE enum err scrub_bodies(struct scrub *scrub, size_t count);

/* ---- scrub_catalogue.c: of scrub->id ---- */

MUST_USE enum err scrub_catalogue(struct scrub *scrub);

/* ---- scrub_tables.c: one page each; *ret_over behind the last one ---- */

MUST_USE enum err scrub_forks(struct scrub *scrub, uint64_t *after, bool *ret_over);
/* Former revisions, about `count` of them, from the place on. */
MUST_USE enum err scrub_kept(struct scrub *scrub, size_t count, bool *ret_over);
/* The same of what gave way in merges. */
MUST_USE enum err scrub_lost(struct scrub *scrub, size_t count, bool *ret_over);
/* All lab records, and the small tables with the last of them. */
MUST_USE enum err scrub_labs(struct scrub *scrub, uint64_t *after, bool *ret_over);

#endif
