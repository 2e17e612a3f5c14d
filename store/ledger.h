/* SPDX-License-Identifier: EUPL-1.2 */
/* store/ledger.h: who is known and what came when: lab records, arrivals, peers. */
#ifndef ESSAIM_STORE_LEDGER_H
#define ESSAIM_STORE_LEDGER_H

#include "base/limits.h"
#include "proto/lab.h"
#include "store/store.h"

/* ---- lab records ---- */
struct held_lab {
    struct lab_record record; /* views into the transaction */
    struct bytes signed_bytes;
    uint64_t arrival;
};
MUST_USE enum err lab_get(struct txn *txn, const struct lab_id *lab, struct held_lab *ret_held);
/* Stores an opened (checked) record and gives it an arrival. The caller compared generations. */
MUST_USE enum err lab_put(struct txn *txn, const struct lab_record *record,
                          struct bytes signed_bytes, const struct lab_id *from,
                          uint64_t *ret_arrival);
/* Walks labs in id order: the next one strictly after *lab (all zero with `first` = true to start).
 * ERR_NOT_FOUND at the end. */
MUST_USE enum err lab_next(struct txn *txn, bool first, struct lab_id *lab,
                           struct held_lab *ret_held);
MUST_USE enum err lab_count(struct txn *txn, uint64_t *ret_count);
/* An older record of a lab, kept beside the one that replaced it; its arrival is 0. ERR_NOT_FOUND
 * when there is none. */
MUST_USE enum err lab_former_get(struct txn *txn, const struct lab_id *lab,
                                 struct held_lab *ret_held);
MUST_USE enum err lab_former_put(struct txn *txn, const struct lab_id *lab,
                                 struct bytes signed_bytes);

/* ---- arrivals ---- */
enum arrival_kind { ARRIVAL_RECORD, ARRIVAL_HEAD, ARRIVAL_FORK, ARRIVAL_RECEIPT };
struct arrival {
    uint64_t number;
    enum arrival_kind kind;
    struct lab_id lab;  /* record, receipt: whose */
    uint32_t catalogue; /* head, fork: which */
    struct lab_id from; /* the peer that gave it to us; own changes: the own lab */
};
/* The first arrival with a number > after. ERR_NOT_FOUND. */
MUST_USE enum err arrival_next(struct txn *txn, uint64_t after, struct arrival *ret_arrival);
/* The highest number ever given; 0 when there is none. */
MUST_USE enum err arrival_last(struct txn *txn, uint64_t *ret_number);
/* From now on no arrival gets a number below `number`. A store that went back to an older copy of
 * itself must not give numbers once more that peers have read already: the caller passes what grows
 * with time. Kept in memory only. */
void arrivals_begin(struct store *store, uint64_t number);
/* For lab_put, catalogue_apply, fork_put, receipts_put: drops row `old` (0 = none), adds the next
 * one. */
MUST_USE enum err arrival_add(struct txn *txn, uint64_t old, const struct arrival *what,
                              uint64_t *ret_number);
/* For fork_drop: the row goes, its number is never given again. What is not there is ignored. */
MUST_USE enum err arrival_drop(struct txn *txn, uint64_t number);

/* ---- peers ---- */
#define PEER_ADDRESS_MAX 280
#define PEER_ALIAS_MAX 64
struct peer_row {
    struct lab_id lab;
    char address[PEER_ADDRESS_MAX]; /* "host:port"; "" = it dials us */
    char alias[PEER_ALIAS_MAX + 1]; /* "" = none */
    bool removed;                   /* kept for its cursor only; no link accepted */
    bool has_index;
    uint8_t index[INSTANCE_SIZE]; /* of its store, as last read */
    uint64_t cursor;              /* how far we have read it */
    uint64_t generation_known;    /* generation of our record that it holds */
};
MUST_USE enum err peer_get(struct txn *txn, const struct lab_id *lab, struct peer_row *ret_row);
MUST_USE enum err peer_put(struct txn *txn, const struct peer_row *row);
MUST_USE enum err peer_next(struct txn *txn, bool first, struct lab_id *lab,
                            struct peer_row *ret_row);

/* Every peer is read from its first arrival on again: it may tell more now than before. */
MUST_USE enum err peers_reread(struct txn *txn);

/* ---- the newest head of the own catalogue that others hold and this store never signed ---- */
/* ERR_NOT_FOUND when there never was one. */
MUST_USE enum err own_seen_get(struct txn *txn, uint64_t *ret_n, struct hash *ret_hash);
MUST_USE enum err own_seen_put(struct txn *txn, uint64_t n, const struct hash *hash);

#endif
