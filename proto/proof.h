/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/proof.h: a proof that a lab's catalogue holds an entry, or does not, doc/protocol.md §7.
 * It needs no store, no
 * network and no trust in whoever made it: record, head, bucket, path and entry are checked
 * against the lab id.
 */
#ifndef ESSAIM_PROTO_PROOF_H
#define ESSAIM_PROTO_PROOF_H

#include <stdbool.h>

#include "proto/entry.h"
#include "proto/head.h"
#include "proto/lab.h"
#include "proto/root.h"

#define PROOF_PATH_COUNT 8 /* log2 of BUCKET_COUNT */
#define PROOF_SIZE_MAX (16u * 1024u * 1024u)

struct proof {
    struct bytes record, head; /* signed objects */
    struct bytes slug;
    struct bytes entry;                 /* size 0: a proof of absence */
    struct bytes pairs;                 /* of the slug's whole bucket, PAIR_SIZE each, ascending */
    struct hash path[PROOF_PATH_COUNT]; /* sibling digests, from the bucket up */
};

/* Siblings of `bucket` on the way to the root. */
void proof_path(const struct digests *digests, unsigned bucket,
                struct hash ret_path[PROOF_PATH_COUNT]);
/* Appends the canonical proof. Errors are the buffer's. */
void proof_encode(const struct proof *proof, struct buf *into);

struct proven {
    struct lab_record record; /* views into the proof */
    struct head head;
    struct bytes slug;
    bool present;
    struct entry entry; /* when present */
    struct hash leaf;   /* when present */
};
/* Checks everything: ERR_OK means that the lab `ret_proven->record.lab` signed a catalogue, head
 * n, that holds (or does
 * not hold) that slug. ERR_CANONICAL, ERR_INVALID, ERR_SIZE, ERR_SIGNATURE, ERR_ROOT. Views into
 * `bytes`. */
MUST_USE enum err proof_verify(struct bytes bytes, struct proven *ret_proven);

#endif
