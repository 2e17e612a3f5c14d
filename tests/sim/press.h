/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/press.h: a catalogue that a test makes by itself, head by head, and serves through
 * puppets as it likes: as of any of its heads, whole or from another.
 */
#ifndef ESSAIM_TESTS_SIM_PRESS_H
#define ESSAIM_TESTS_SIM_PRESS_H

#include "base/buf.h"
#include "proto/root.h"
#include "tests/sim/cluster.h"

#define PRESS_HEADS_MAX 64

struct press_item {
    struct slug_hash slug;
    uint64_t rev;
    uint64_t end;   /* the head that ended it; 0 = live */
    bool withdrawn; /* … by a withdrawal */
    struct buf bytes;
};

struct press {
    struct sim *sim;
    unsigned lab; /* whose catalogue: its keys sign */
    struct press_item *items;
    size_t count, cap;
    uint64_t generation;
    uint64_t n; /* heads signed so far */
    struct head heads[PRESS_HEADS_MAX + 1];
    struct buf signed_heads[PRESS_HEADS_MAX + 1]; /* by n */
};

void press_init(struct press *press, struct sim *sim, unsigned lab);
/* Another branch: the same up to head n. */
void press_branch(const struct press *press, uint64_t n, struct press *ret_branch);
/* What `by` holds of `lab`, to go on from there. */
void press_take(struct press *press, struct sim *sim, unsigned by, unsigned lab);
void press_done(struct press *press);
/* Changes for the next head. */
void press_put(struct press *press, const char *slug, unsigned salt, size_t size);
void press_put_rev(struct press *press, const char *slug, uint64_t rev);
void press_drop(struct press *press, const char *slug);
/* The next head as it should be; signed as given. */
struct head press_head(const struct press *press);
void press_digests(const struct press *press, struct digests *ret_digests); /* of what is live */
void press_sign_head(struct press *press, const struct head *head);
void press_sign(struct press *press);

/* What takes a replica from head m to head n. */
struct press_delta {
    struct buf entries, withdrawn, opening;
    size_t entry_count, opening_count;
};
struct hint press_hint(const struct press_item *item);
void press_delta(const struct press *press, const struct msg *want, uint64_t n,
                 struct press_delta *delta);
void press_delta_done(struct press_delta *delta);

/* ---- through a puppet ---- */
void press_offer(const struct press *press, unsigned puppet, uint64_t arrival, uint64_t n);
void press_say_record(struct sim *sim, unsigned puppet, unsigned lab);
void press_say_delta(struct sim *sim, unsigned puppet, uint64_t stream,
                     const struct press_delta *delta);
void press_say_end(const struct press *press, unsigned puppet, uint64_t stream, uint64_t n);
/* All of it. */
void press_serve(const struct press *press, unsigned puppet, const struct msg *want, uint64_t n);

#endif
