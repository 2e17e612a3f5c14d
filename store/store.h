/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/store.h: the LMDB environment and its tables.
 *
 * One directory (data.mdb, lock.mdb), mode 0700/0600, default durability, MDB_NOTLS only. Keys are
 * big-endian and fixed in size; the schema number stands once, in `meta`.
 *
 *   meta      name                              -> schema u32 | index 16 B | instance 16 B |
 *                                                  catalogues: the last id given, u32 |
 *                                                  erase: nothing; free pages hold what should be
 *                                                  gone | copy: nothing; a backup, copy.h | age:
 *                                                  age.h | former ‖ lab 32: a signed lab record
 *   labs      lab 32                            -> arrival u64 ‖ signed lab record
 *   names     network 32 ‖ lab 32 ‖ audience    -> catalogue id u32
 *   heads     id u32                            -> arrival u64 ‖ signed head
 *   hashes    id u32 ‖ n u64                    -> head hash 32: what openings are made of
 *   digests   id u32 ‖ part u8                  -> 16 of the 256 bucket digests, 512 B: one change
 *                                                  touches one small row
 *   slugs     id u32 ‖ slug hash 16             -> rev u64 ‖ seq u64 ‖ size u32 ‖ leaf 32
 *   revs      id u32 ‖ rev u64 ‖ slug hash 16   -> seq u64: delta order
 *   bodies    seq u64                           -> id u32 ‖ entry: appended only
 *   gone      id u32 ‖ n u64 ‖ hint 16          -> age s u64 (age.h): withdrawal hints
 *   retired   id u32 ‖ keyed hash 16            -> kind: own slugs once withdrawn
 *   arrivals  arrival u64                       -> 'L' lab 32 ‖ from lab 32 |
 *                                                  'H' id u32 ‖ from lab 32 (a head) |
 *                                                  'F' id u32 ‖ from lab 32 (a fork) |
 *                                                  'E' lab 32 ‖ from lab 32 (a receipt)
 *   peers     lab 32                            -> struct peer_row, packed
 *   staging   id u32                            -> first seq u64 ‖ m u64: bodies from first seq
 *                                                  on that no head covers yet
 *   trash     seq u64                           -> nothing: bodies to delete, a few at a time
 *   sides     id u32 ‖ merge n u64 ‖ n u64      -> head hash 32: of the branch that head `merge n`
 *                                                  joined, history.h (schema 2)
 *   forks     id u32                            -> generation u64 ‖ k u64 ‖ arrival u64 ‖ times u8
 *                                                  ‖ proof, history.h (schema 2)
 *   kept      id u32 ‖ slug hash 16 ‖ rev u64   -> entry: former own ones, kept.h (schema 2)
 *   lost      id u32 ‖ slug hash 16 ‖ leaf 32   -> merge n u64 ‖ rev u64 ‖ entry: own ones that
 *                                                  gave way in a merge, lost.h (schema 3)
 *   receipts  lab 32                            -> arrival u64 ‖ signed receipt, receipts.h
 *                                                  (schema 3)
 *   withdrawn id u32                            -> generation u64 ‖ n u64 ‖ owed u8, receipts.h
 *                                                  (schema 3)
 *
 * A body is visible when `slugs` points to its seq. Staged bodies are in `bodies` only; `staging`
 * remembers them across a lost link and a restart.
 */
#ifndef ESSAIM_STORE_STORE_H
#define ESSAIM_STORE_STORE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proto/hash.h"

/* An older store is brought to this one when it is opened, in one transaction. */
#define STORE_SCHEMA 3

struct store;
struct txn;

struct store_options {
    uint64_t map_size;                  /* 0 = STORE_MAP_SIZE */
    uint8_t fresh_index[INSTANCE_SIZE]; /* dice for a store that is made now */
    uint8_t fresh_instance[INSTANCE_SIZE];
    uint8_t retired_key[KEY_SIZE]; /* of the table `retired`; never in the store */
};

/* Opens or makes the store in `dir` (made 0700 if absent). A backup that was put there (copy.h)
 * gets the fresh index of the options; what a compaction that was cut short left goes.
 * ERR_SCHEMA when a newer version wrote it, ERR_IO, ERR_FULL, ERR_CORRUPT (the file is shorter than
 * its own last page). Stale staging of fetches that cannot resume is kept: see staging.h. */
MUST_USE enum err store_open(const char *dir, const struct store_options *options,
                             struct store **ret_store);
void store_close(struct store *store); /* accepts NULL; no transaction may be open */
/* Closes and reopens the environment to give back the memory that one large transaction left in
 * LMDB's free lists. No transaction may be open. */
MUST_USE enum err store_trim(struct store *store);

/* Bodies were deleted, or wait for it, since the store was last compacted: their bytes may still be
 * in the file. Durable. */
bool store_erase_due(const struct store *store);

const uint8_t *store_index(const struct store *store);    /* 16 bytes */
const uint8_t *store_instance(const struct store *store); /* 16 bytes */

struct store_space {
    uint64_t used; /* bytes: of the file, those that hold something */
    uint64_t file, map, disk_free, disk_size;
};
MUST_USE enum err store_space(struct store *store, struct store_space *ret_space);
/* ERR_FULL when writes must be refused: over STORE_FULL_PERCENT of the map (or of the disk, when
 * that is smaller), or less than STORE_FREE_MIN or 5 % of the disk free. Cheap: looks at the disk
 * once in 64 calls, when the file has grown by some MiB, when a write found no room, and as long as
 * the answer is ERR_FULL. */
MUST_USE enum err store_room(struct store *store);

/* Transactions: txn.c only. A read transaction ends in the function that began it. At most one
 * write transaction; it ends on the thread that began it. */
MUST_USE enum err txn_begin_read(struct store *store, struct txn **ret_txn);
MUST_USE enum err txn_begin_write(struct store *store, struct txn **ret_txn);
/* Consumes txn, even when it fails. ERR_FULL (MAP_FULL, ENOSPC: the store stays usable) or ERR_IO,
 * ERR_CORRUPT: then the process must stop acknowledging and exit. */
MUST_USE enum err txn_commit(struct txn *txn);
/* Ends a read transaction, or aborts a write one. Accepts NULL. */
void txn_end(struct txn *txn);
bool txn_dirty(
    const struct txn *txn); /* a write transaction in which something was put or deleted */
/* A number that grows with every commit: equal for two readers of the same state. */
uint64_t txn_snapshot(const struct txn *txn);

#endif
