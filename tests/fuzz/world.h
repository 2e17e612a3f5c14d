/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/world.h: labs as a hostile peer plays them: keys, histories of heads, and deltas made
 * of them, right or wrong.
 *
 * A lab has twenty slugs; a head is what each of them holds. Roots are computed from scratch here,
 * bucket by bucket, after doc/protocol.md. Texts of salt WORLD_HUGE are as large as can be: a head
 * of eighteen of them does not fit the memory a node gives to one delta.
 */
#ifndef ESSAIM_TESTS_FUZZ_WORLD_H
#define ESSAIM_TESTS_FUZZ_WORLD_H

#include "proto/head.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/rig.h"

#define WORLD_SLUGS 20
#define WORLD_HUGE 255
#define WORLD_HEADS 24

struct slot {
    uint64_t rev;       /* 0: not there */
    uint64_t withdrawn; /* the head that withdrew it last; 0: none … */
    uint64_t gone_rev;  /* … and what that was */
    uint8_t salt, gone_salt;
};

struct state {
    struct slot slots[WORLD_SLUGS];
    struct head head;
    uint8_t bytes[HEAD_SIZE_MAX]; /* signed */
    size_t size;
};

struct author {
    unsigned number; /* of its keys */
    struct rig_keys keys;
    uint64_t generation;
    struct buf record;
    struct state states[WORLD_HEADS + 1]; /* [n]; [0] is empty */
    uint64_t n;
    size_t oddity; /* of the next head: a signed lie; 0: none */
};

#define WORLD_ODDITIES 9

void author_init(struct author *author, unsigned number);
void author_done(struct author *author);
/* Next head: slug `slot` gets a new text, or goes. */
void author_publish(struct author *author, size_t slot, uint8_t salt);
/* The first `count` slots at once. */
void author_publish_many(struct author *author, size_t count, uint8_t salt);
void author_withdraw(struct author *author, size_t slot);
/* Another head for the newest one, of the same entries. */
void author_twin(struct author *author);
/* Forgets the newest heads down to `n`: what follows is another history. */
void author_rewind(struct author *author, uint64_t n);
/* New keys under the root key; the newest head is the last good one of the old. */
void author_renew(struct author *author);
struct bytes author_head(const struct author *author, uint64_t n);

/* Appends the entry of a slot. */
void world_entry(const struct slot *slot, size_t number, struct buf *into);
struct slug_hash world_slug_hash(size_t number);
/* Of what is in the slot, or was withdrawn from it last. */
struct hint world_hint(const struct slot *slot, size_t number);

#endif
