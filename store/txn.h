/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/txn.h: the tables and their rows, for the files of store/ alone. Nobody outside includes
 * it.
 *
 * Every key and value is a struct bytes; LMDB's codes stay in txn.c. A write that fails spoils its
 * transaction: whatever the caller does next, txn_commit gives that error back and keeps nothing.
 */
#ifndef ESSAIM_STORE_TXN_H
#define ESSAIM_STORE_TXN_H

#include <stdatomic.h>

#include <lmdb.h>

#include "base/defer.h"
#include "store/store.h"

/* In the order they came: what stands behind TRASH is made in a store of schema 1 on opening, what
 * stands behind KEPT in one of schema 2. */
/* clang-format off */
#define TABLES(X) \
    X(META, "meta") X(LABS, "labs") X(NAMES, "names") X(HEADS, "heads") X(HASHES, "hashes") \
    X(DIGESTS, "digests") X(SLUGS, "slugs") X(REVS, "revs") X(BODIES, "bodies") X(GONE, "gone") \
    X(RETIRED, "retired") X(ARRIVALS, "arrivals") X(PEERS, "peers") X(STAGING, "staging") \
    X(TRASH, "trash") \
    X(SIDES, "sides") X(FORKS, "forks") X(KEPT, "kept") \
    X(LOST, "lost") X(RECEIPTS, "receipts") X(WITHDRAWN, "withdrawn")
/* clang-format on */
#define TABLE_ENUM_ROW(name, text) TABLE_##name,
enum table { TABLES(TABLE_ENUM_ROW) TABLE_COUNT };
#undef TABLE_ENUM_ROW

/* rows of `meta` that come and go */
#define META_ERASE "erase"
#define META_COPY "copy"

#define NEW_FILE "new.mdb"
#define COPY_DIR "compact.tmp" /* in the store's directory: the copy that takes its place */

#define GONE_KEY_SIZE (4 + 8 + HINT_SIZE)

struct store {
    MDB_env *env; /* NULL only after a store_trim that failed */
    MDB_dbi tables[TABLE_COUNT];
    char *dir;
    uint64_t map_size;
    uint8_t index[INSTANCE_SIZE], instance[INSTANCE_SIZE];
    uint8_t retired_key[KEY_SIZE];
    uint64_t arrivals_from; /* no arrival gets a lower number from now on */
    atomic_uint txn_count;  /* open ones */
    atomic_bool writing;    /* one of them writes */
    /* the last answer of store_room, good for a while */
    enum err room;
    atomic_bool room_doubt; /* a write found none since */
    unsigned room_calls;
    uint64_t room_pages;
    /* how far catalogue_chores has looked through `gone` in this round */
    uint8_t gone_at[GONE_KEY_SIZE];
    bool erase;     /* `meta` says that free pages hold what should be gone */
    uint64_t swaps; /* how often a copy took its place: LMDB's numbers start over with it */
};

struct txn {
    struct store *store;
    MDB_txn *mdb;
    bool writes, dirty;
    enum err err;       /* sticky: of the first write that failed */
    MDB_cursor *bodies; /* body_append's, opened at its first use */
    uint64_t next_seq;
    bool erase; /* the row was put in this transaction */
};

/* The one place where LMDB's codes (and errno) become ours. */
MUST_USE enum err txn_err(int code);
/* Makes txn_commit fail with `err`: something was written by halves. Gives `err` back. */
enum err txn_spoil(struct txn *txn, enum err err);

MUST_USE enum err txn_get(struct txn *txn, enum table table, struct bytes key,
                          struct bytes *ret_value);
MUST_USE enum err txn_put(struct txn *txn, enum table table, struct bytes key, struct bytes value);
/* ERR_NOT_FOUND when it was not there. */
MUST_USE enum err txn_del(struct txn *txn, enum table table, struct bytes key);
/* Deletes every row. */
MUST_USE enum err txn_clear(struct txn *txn, enum table table);
/* Something becomes garbage: notes it in `meta`, if it is not noted yet (store_erase_due). */
MUST_USE enum err txn_erase_due(struct txn *txn);
MUST_USE enum err txn_rows(struct txn *txn, enum table table, uint64_t *ret_count);
/* Pages that LMDB may use again. */
MUST_USE enum err txn_free_pages(struct txn *txn, uint64_t *ret_count);
/* How many of the pages from `first` up to `last` are such free pages. */
MUST_USE enum err txn_free_between(struct txn *txn, uint64_t first, uint64_t last,
                                   uint64_t *ret_count);

/* A zeroed cursor is closed. Closed before its transaction ends. Reads give ERR_NOT_FOUND at the
 * end; what they give is borrowed until the transaction's next write. */
struct cursor {
    MDB_cursor *mdb;
    struct txn *txn;
};
struct row {
    struct bytes key, value;
};
MUST_USE enum err cursor_open(struct txn *txn, enum table table, struct cursor *ret_cursor);
void cursor_close(struct cursor *cursor); /* accepts closed ones */
MUST_USE enum err cursor_at(struct cursor *cursor, struct bytes key, struct bytes *ret_value);
MUST_USE enum err cursor_seek(struct cursor *cursor, struct bytes key, struct row *ret_row);
MUST_USE enum err cursor_next(struct cursor *cursor, struct row *ret_row);
MUST_USE enum err cursor_last(struct cursor *cursor, struct row *ret_row);
MUST_USE enum err cursor_put(struct cursor *cursor, struct bytes key, struct bytes value);
/* Puts when the key is not there. Otherwise ERR_EXISTS: the cursor stands on the old row and
 * *ret_old is its value. */
MUST_USE enum err cursor_put_new(struct cursor *cursor, struct bytes key, struct bytes value,
                                 struct bytes *ret_old);
/* Puts behind the last row. ERR_CORRUPT when the key is not greater than the last one. */
MUST_USE enum err cursor_append(struct cursor *cursor, struct bytes key, struct bytes value);
/* Overwrites the row the cursor stands on with a value of the same size. */
MUST_USE enum err cursor_put_here(struct cursor *cursor, struct bytes key, struct bytes value);
/* Deletes the row the cursor stands on. Seek before reading on. */
MUST_USE enum err cursor_del(struct cursor *cursor);

/* Appends a row with the highest key of its table; *ret_value is `size` bytes to fill at once. */
MUST_USE enum err txn_append_body(struct txn *txn, size_t size, uint64_t *ret_seq,
                                  uint8_t **ret_value);

/* upgrade.c, for store.c: from a schema below 3, when all tables are open. */
MUST_USE enum err upgrade_tombstones(struct txn *txn);

/* store.c, for copy.c: a closed environment, and the one that lies there now. No transaction may be
 * open. ERR_IO and the like leave the store closed for good: txn_begin_* say ERR_IO. */
void store_shut(struct store *store);
MUST_USE enum err store_reopen(struct store *store);
/* Names in a directory, or in the one that holds `path`, are durable when it is synced. */
MUST_USE enum err dir_sync(const char *dir);
MUST_USE enum err dir_parent_sync(const char *path);

#endif
