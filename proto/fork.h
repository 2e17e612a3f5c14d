/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/fork.h: the proof that one signing key signed two histories, doc/protocol.md §8. It needs
 * no store and no trust in whoever made it.
 */
#ifndef ESSAIM_PROTO_FORK_H
#define ESSAIM_PROTO_FORK_H

#include <stdbool.h>

#include "proto/head.h"
#include "proto/lab.h"
#include "proto/opening.h"

#define FORK_SIZE_MAX (512u * 1024u)

struct fork_branch {
    struct bytes head;           /* signed object */
    struct hash history;         /* history(k) on this branch */
    const struct opening *items; /* from k up to the head; NULL or empty where k is its n */
};

/* Appends the canonical proof, branches in their order whichever is given first. ERR_SIZE when it
 * would exceed FORK_SIZE_MAX (nothing is appended), ERR_NOMEM. Checks nothing else: verify what you
 * made. */
MUST_USE enum err fork_encode(struct bytes record, uint64_t k, const struct fork_branch *one,
                              const struct fork_branch *other, struct buf *into);

struct forked {
    struct lab_record record; /* views into the proof */
    uint64_t k;
    bool exact;                      /* the branches are the same up to head k - 1 */
    struct head a, b;                /* (n, hash) of a below that of b */
    struct bytes a_signed, b_signed; /* views into the proof */
    struct hash a_at_k, b_at_k;      /* the two heads number k */
};
/* Checks everything. ERR_CANONICAL, ERR_INVALID, ERR_SIZE, ERR_SIGNATURE, ERR_UNLINKED (items do
 * not make a head's history), ERR_NOMEM. */
MUST_USE enum err fork_verify(struct bytes bytes, struct forked *ret_forked);

#endif
