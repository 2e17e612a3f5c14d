/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/catalogue.h: catalogues: heads, entries, digests, history, hints.
 *
 * Writing is: body_append for each new entry (any time before, also in earlier transactions:
 * staging.h), a change_list of what becomes visible or goes, catalogue_plan (reads only: the new
 * digests, root, count, bytes), and, when the root is what the head says, catalogue_apply. Nothing
 * is visible before apply; nothing needs undoing when the plan does not fit.
 */
#ifndef ESSAIM_STORE_CATALOGUE_H
#define ESSAIM_STORE_CATALOGUE_H

#include "base/buf.h"
#include "proto/head.h"
#include "proto/root.h"
#include "store/store.h"

struct opening;

struct catalogue_name {
    struct hash network;
    struct lab_id lab;
    char audience[AUDIENCE_SIZE_MAX + 1];
};

/* ERR_NOT_FOUND when this store never held it. */
MUST_USE enum err catalogue_find(struct txn *txn, const struct catalogue_name *name,
                                 uint32_t *ret_id);
/* The other way round, by a walk over all names. ERR_NOT_FOUND. */
MUST_USE enum err catalogue_name_of(struct txn *txn, uint32_t id, struct catalogue_name *ret_name);
/* Finds it or gives it an id. */
MUST_USE enum err catalogue_open(struct txn *txn, const struct catalogue_name *name,
                                 uint32_t *ret_id);
/* Walks catalogues that have a head, by id: *id = the next one with id > *id (start with 0).
 * ERR_NOT_FOUND at the end. */
MUST_USE enum err catalogue_next(struct txn *txn, uint32_t *id);

struct held_head {
    struct head head;
    struct bytes signed_bytes; /* borrowed: dead at the end of the transaction or its next write */
    uint64_t arrival;
};
/* ERR_NOT_FOUND when it has no head yet. */
MUST_USE enum err catalogue_head(struct txn *txn, uint32_t id, struct held_head *ret_held);

struct slug_row {
    uint64_t rev, seq;
    uint32_t size; /* bytes of the entry */
    struct hash leaf;
};
/* ERR_NOT_FOUND when no live entry has this slug. */
MUST_USE enum err catalogue_slug(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                                 struct slug_row *ret_row);
/* The entry, checked against its leaf: ERR_NOT_FOUND, ERR_CORRUPT. Borrowed from the transaction.
 */
MUST_USE enum err catalogue_entry(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                                  struct bytes *ret_entry);

/* The catalogue's digests, and the pairs of one bucket (slug hash and leaf, PAIR_SIZE each,
 * ascending) appended to `pairs`. ERR_CORRUPT when the pairs do not make the stored digest. */
MUST_USE enum err catalogue_bucket(struct txn *txn, uint32_t id, unsigned bucket,
                                   struct digests *ret_digests, struct buf *pairs);

/* Live entries in delta order, strictly after (rev, slug_hash), or after all of after_rev when
 * after_slug is NULL: every one checked against its leaf. */
struct entry_cursor;
MUST_USE enum err entry_cursor_open(struct txn *txn, uint32_t id, uint64_t after_rev,
                                    const struct slug_hash *after_slug,
                                    struct entry_cursor **ret_cursor);
/* ERR_NOT_FOUND at the end; ERR_CORRUPT names a damaged one (ret_slug and ret_rev are always set,
 * at the end to the last one). A caller may go on behind ERR_CORRUPT: the end comes. */
MUST_USE enum err entry_cursor_next(struct entry_cursor *cursor, struct bytes *ret_entry,
                                    uint64_t *ret_rev, struct slug_hash *ret_slug);
void entry_cursor_close(
    struct entry_cursor *cursor); /* accepts NULL; before the transaction ends */

/* Appends the hashes of heads from, from+1, … (at most count) to `into`, HASH_SIZE each.
 * ERR_NOT_FOUND when one is missing. */
MUST_USE enum err catalogue_opening(struct txn *txn, uint32_t id, uint64_t from, size_t count,
                                    struct buf *into);
/* Appends hints (HINT_SIZE each) of withdrawals at heads > after_n, resuming strictly after *at
 * (24-byte key n ‖ hint, all zero to start), at most count; *ret_more tells whether there are
 * others. */
MUST_USE enum err catalogue_hints(struct txn *txn, uint32_t id, uint64_t after_n, uint8_t at[24],
                                  size_t count, struct buf *into, bool *ret_more);

/* ---- writing ---- */

/* Appends an entry's bytes; invisible until a change with this seq is applied. */
MUST_USE enum err body_append(struct txn *txn, uint32_t id, struct bytes entry, uint64_t *ret_seq);

/* The entry at `seq`, visible or not (for a batch that must be encoded anew). ERR_NOT_FOUND,
 * ERR_CORRUPT (not of `id`). */
MUST_USE enum err body_get(struct txn *txn, uint32_t id, uint64_t seq, struct bytes *ret_entry);
/* Sends an invisible body to the trash. */
MUST_USE enum err body_drop(struct txn *txn, uint64_t seq);
/* Drops bodies that nothing points to: `seqs`, u64 big-endian each, is sorted here. Many at once go
 * to the trash, which catalogue_chores empties. */
MUST_USE enum err bodies_drop(struct txn *txn, struct buf *seqs);

struct change {
    struct slug_hash slug_hash;
    /* of the entry; where it is withdrawn: of one that is not held here but may be elsewhere, or
     * zero */
    struct hash leaf;
    uint64_t rev, seq;
    uint32_t size;  /* of the entry; 0 = withdrawn */
    uint32_t order; /* of arrival: the later of two changes of one slug stands */
};
struct change_list {
    struct change *items;
    size_t count, cap;
};
MUST_USE enum err change_add(struct change_list *list, const struct change *change);
/* Sorts by slug hash, keeps the last of each (the seqs of the others are appended to `dropped`, u64
 * big-endian, may be NULL). */
MUST_USE enum err change_settle(struct change_list *list, struct buf *dropped);
void change_done(struct change_list *list); /* accepts zeroed lists; leaves an empty one */

/* What `hints` (HINT_SIZE each, in any order; sorted here) say of the held entries and of those in
 * the settled `list`: an entry of the list that is hinted becomes a withdrawal (its seq is appended
 * to `dropped`, may be NULL), a held one that the list does not touch is added as one. Hints of
 * anything else mean nothing. Leaves the list settled. Reads each bucket that is hinted once. */
MUST_USE enum err change_hinted(struct txn *txn, uint32_t id, struct buf *hints,
                                struct change_list *list, struct buf *dropped);

struct plan {
    struct digests digests;
    struct hash root;
    uint64_t count, bytes;
    uint64_t created, replaced, withdrawn;
};
/* What the catalogue will be with the settled `list` applied. A withdrawal of what is not there is
 * ignored. Reads only the touched buckets' rows. */
MUST_USE enum err catalogue_plan(struct txn *txn, uint32_t id, const struct change_list *list,
                                 struct plan *ret_plan);
/* What a catalogue will be that holds the settled list's entries and nothing else (its withdrawals
 * count nothing): a branch by itself. ERR_NOMEM. */
MUST_USE enum err change_plan(const struct change_list *list, struct plan *ret_plan);
/* The pairs of one bucket (PAIR_SIZE each, ascending) as they will be with the settled list applied
 * (NULL or empty: as they are), appended to `pairs`. ERR_CORRUPT when what is held does not make
 * its stored digest. */
MUST_USE enum err catalogue_pairs(struct txn *txn, uint32_t id, const struct change_list *list,
                                  unsigned bucket, struct buf *pairs);

struct apply {
    uint32_t id;
    const struct change_list *list; /* settled */
    const struct plan *plan;
    const struct head *head; /* the new head, checked by the caller */
    struct bytes signed_head;
    struct bytes
        opening; /* head hashes of the heads from opening_from up to head->n - 1, HASH_SIZE each */
    uint64_t opening_from;
    /* Whose sides are remembered; NULL: there are none. */
    const struct opening *chain;
    /* The chain is put in place of the held one, of which it need not be a continuation, and may be
     * shorter: a newer generation, or a merge head that has ours on its side. The opening is whole
     * then (opening_from = 1), and rows of the held chain that differ are replaced, those behind
     * the head forgotten; so are the hints from the first head that differs on. */
    bool replace;
    struct lab_id from; /* the peer it came from; own changes: the own lab */
    uint64_t now_s;     /* the store's age, for hints */
    bool hinted;        /* hints came, also of what was not held: a withdrawal (receipts.h) */
    struct buf *went;   /* id u32 ‖ slug hash of each that goes is appended; NULL: nobody asks */
};
/* Writes it all: slugs, revs, hints, digests, hashes, head, arrival, and drops the replaced bodies
 * (large numbers of them go to the trash). The entries' own retired kinds are the caller's matter.
 * Gives the new arrival number. ERR_CORRUPT when a change's seq is not a body of this catalogue, of
 * its size and (in lists of up to 512) of its leaf; after any error nothing can be committed. */
MUST_USE enum err catalogue_apply(struct txn *txn, const struct apply *apply,
                                  uint64_t *ret_arrival);

/* ERR_NOT_FOUND when the slug was never withdrawn here; else its kind (borrowed). */
MUST_USE enum err retired_get(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                              struct bytes *ret_kind);
/* A withdrawal that did not happen. ERR_NOT_FOUND. */
MUST_USE enum err retired_drop(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash);
MUST_USE enum err retired_put(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                              struct bytes kind);

/* Does anything wait in the trash? */
MUST_USE enum err catalogue_trash(struct txn *txn, bool *ret_waits);
/* Deletes up to `count` bodies of the trash and hints older than now_s - HINT_TTL_S; *ret_left
 * tells whether more waits. */
MUST_USE enum err catalogue_chores(struct txn *txn, uint64_t now_s, size_t count, bool *ret_left);

#endif
