/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/scrub.h: `essaim verify`: every signature, leaf, root and history on disk, in pages.
 *
 * First bodies in seq order (sequential reads): each must match its slugs row and leaf (it was
 * checked to be canonical when it came), or be staged or trash; then, per catalogue: lab record
 * signature, head signature, the chain of head hashes from head 1 through merge heads to the head's
 * history, and the last good head of the generation before in it, digests and root recomputed from
 * `slugs`, count and bytes, and that revs and slugs agree; then the proofs of forks, former
 * revisions that were kept, all lab records, receipts and the small tables. When bodies are damaged
 * they are gone through twice.
 */
#ifndef ESSAIM_STORE_SCRUB_H
#define ESSAIM_STORE_SCRUB_H

#include "store/catalogue.h"
#include "store/ledger.h"

#define SCRUB_AT_SIZE 68

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
    uint32_t catalogue; /* the catalogue this page checked; 0 = none */
    bool catalogue_ok;
    const char *note; /* of this catalogue, no problem: static English text; NULL */
};
/* One page: `at` says where to go on (all zero to start) and is moved; about `count` bodies, or one
 * catalogue. */
MUST_USE enum err scrub_step(struct txn *txn, uint8_t at[SCRUB_AT_SIZE], size_t count,
                             struct scrub_page *ret_page);

#endif
