/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/scrub.h: `essaim verify`: every signature, leaf, root and history on disk, in pages.
 *
 * Phase 1 walks `bodies` in seq order (sequential reads): visible bodies must match their slugs row
 * and leaf (they were checked to be canonical when they came); others must be staged or trash. Phase
 * 3 checks all lab records, phase 2 checks, per catalogue: lab record signature, head
 * signature, the chain of head hashes from head 1 to the head's history, digests and root
 * recomputed from `slugs`, count and bytes, and that revs and slugs agree.
 */
#ifndef ESSAIM_STORE_SCRUB_H
#define ESSAIM_STORE_SCRUB_H

#include "store/catalogue.h"
#include "store/ledger.h"

#define SCRUB_AT_SIZE 24

struct scrub_problem {
    uint32_t catalogue; /* 0 = unknown */
    bool has_slug;
    struct slug_hash slug_hash; /* when has_slug */
    const char *what;           /* static English text */
};
struct scrub_page {
    uint64_t checked; /* bodies so far */
    uint64_t total;   /* bodies in all */
    bool done;
    unsigned problem_count; /* kept in problems (at most 64 a page; more are counted only) */
    uint64_t problems_seen;
    struct scrub_problem problems[64];
    uint32_t catalogue; /* phase 2: the catalogue this page checked; 0 in phase 1 */
    bool catalogue_ok;
};
/* One page: `at` says where to go on (all zero to start) and is moved; about `count` bodies, or one
 * catalogue. */
MUST_USE enum err scrub_step(struct txn *txn, uint8_t at[SCRUB_AT_SIZE], size_t count,
                             struct scrub_page *ret_page);

#endif
