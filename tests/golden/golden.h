/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/golden/golden.h: what the parts of the generator share: two labs with fixed keys, their
 * records, entries and a head, made once and used in every vector.
 *
 * Each part writes one list of vectors and checks with must() that proto reads back, or refuses,
 * what it wrote.
 */
#ifndef ESSAIM_TESTS_GOLDEN_GOLDEN_H
#define ESSAIM_TESTS_GOLDEN_GOLDEN_H

#include "proto/head.h"
#include "proto/lab.h"
#include "tests/golden/out.h"

#define GOLDEN_ENTRIES 3
#define GOLDEN_CHAIN 6

struct golden_lab {
    uint8_t root_public[KEY_SIZE], root_secret[SIGN_SECRET_SIZE];
    uint8_t signing_public[KEY_SIZE], signing_secret[SIGN_SECRET_SIZE];
    uint8_t link_public[KEY_SIZE], link_secret[KEY_SIZE];
    struct buf record; /* of generation 1 */
};

struct golden {
    struct out out;
    struct golden_lab a, b;
    struct buf entries[GOLDEN_ENTRIES];
    struct buf chain[GOLDEN_CHAIN];      /* signed heads 1 … of lab A */
    struct buf catalogues[GOLDEN_CHAIN]; /* the entries under each, one behind the other */
    struct head heads[GOLDEN_CHAIN];
};

void golden_objects(struct golden *golden);  /* keys, hashes, entries, roots, records, heads */
void golden_messages(struct golden *golden); /* every type */
void golden_link(struct golden *golden);     /* a whole connection, byte for byte */
void golden_forks(struct golden *golden);    /* branches, merge heads, fork proofs, recovery */
void golden_receipts(struct golden *golden);
void golden_bad(struct golden *golden);       /* what everyone must refuse */
void golden_bad_forks(struct golden *golden); /* … of golden_forks, in the same list */

void golden_bad_receipts(struct golden *golden);

/* Root over `count` entries. */
struct hash golden_root(const struct buf *entries, size_t count);

#endif
