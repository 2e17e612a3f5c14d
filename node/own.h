/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/own.h: how a request becomes changes of the next own head. For own.c, batch.c, draft.c and
 * tally.c only.
 *
 *   own.c ─┬─ records of one request ─▶ tally.c ─▶ draft.c: checked, the body on disk ─▶ the turn's
 *          └─ a batch: batch.c ───────▶ tally.c ─▶ draft.c (its own) ─▶ batch_join ─────▶ draft
 */
#ifndef ESSAIM_NODE_OWN_H
#define ESSAIM_NODE_OWN_H

#include "node/parts.h"
#include "proto/model.h"

struct record {
    struct bytes slug, kind, body;
    bool has_if_rev;
    uint64_t if_rev;
};

struct verdict {
    enum ctl_status status;
    uint64_t rev; /* UNCHANGED: of what stands */
    size_t freed; /* CREATED, UPDATED: the size of what stood there */
    enum err err;
    char field[MODEL_PATH_MAX];
    const char *message; /* NULL: the error's own text */
};

/* What a batch must know of a change when it is checked again. */
struct place {
    size_t index; /* of its status */
    bool has_if_rev;
    uint64_t if_rev;
};

struct tally {
    struct buf *statuses, *errors, *revs;
    size_t *error_count, *rev_count;
    struct buf *places; /* of a batch: a struct place for each of its changes; else NULL */
};

/* own.c: the number of the next head, which its entries carry as their rev. */
uint64_t own_next_rev(const struct own *own);

/* draft.c */
void draft_done(struct draft *draft);
MUST_USE enum err draft_add(struct draft *draft, const struct change *change);
/* Bodies on disk before their head: remembered, so that a crash leaves nothing behind. */
MUST_USE enum err draft_stage(struct node *node, const struct draft *draft);
struct verdict draft_refused(enum err err, const char *field, const char *message);
/* May it stand where it wants to, by what stands there now? `size`: of its entry. */
MUST_USE enum err draft_fits(struct node *node, const struct draft *draft, struct txn *txn,
                             const struct record *record, size_t size, struct verdict *ret_verdict);
/* Encodes, checks against the model, and adds to the draft. Our own errors return; the author's go
 * to the verdict. */
MUST_USE enum err draft_put(struct node *node, struct draft *draft, struct txn *txn,
                            const struct record *record, bool dry_run, struct verdict *ret_verdict);
MUST_USE enum err draft_withdraw(struct node *node, struct draft *draft, struct txn *txn,
                                 struct bytes slug, bool dry_run, struct verdict *ret_verdict);

/* tally.c */
struct tally tally_of(struct answer *answer);
void tally_refused(const struct tally *tally, size_t index, const struct verdict *verdict);
void tally_unchanged(const struct tally *tally, size_t index, const struct verdict *verdict);
void tally_add(const struct tally *tally, const struct verdict *verdict);
/* All records of a request, each with its verdict. */
MUST_USE enum err tally_put(struct node *node, struct draft *draft, const struct tally *tally,
                            const msgpack_object *entries, bool dry_run);

/* batch.c */
/* Is one open that has staged something? */
bool batch_any(const struct node *node);
MUST_USE enum err batch_publish(struct node *node, struct client *client, uint32_t id,
                                const msgpack_object *entries, bool more, bool dry_run);

#endif
