/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/txn.c: transactions, rows and cursors over LMDB. The only file that calls mdb_txn_*, and
 * txn_commit the only function that commits.
 *
 * Happy path: begin, read and write rows, commit (write) or end (read). Every LMDB code becomes
 * one of ours in txn_err. A failed write is remembered, so that nothing is ever committed by
 * halves. A commit that fails for want of room leaves the store as it was and usable; any other
 * failed commit is the end of this process's promises (design §8).
 */
#include "store/txn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/must.h"

#define SNAPSHOT_BITS 40 /* of a number that is not reached by commits */
/* LMDB writes runs of at most 64 pages; less room than this means that a run did not fit. */
#define ROOM_FOR_A_RUN (1024u * 1024u)

enum err txn_err(int code)
{
    switch (code) {
    case MDB_SUCCESS:
        return ERR_OK;
    case MDB_NOTFOUND:
        return ERR_NOT_FOUND;
    case MDB_KEYEXIST:
        return ERR_EXISTS;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_PAGE_FULL:
    case MDB_CURSOR_FULL:
        return ERR_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return ERR_SCHEMA;
    case MDB_READERS_FULL:
    case EBUSY:
    case EAGAIN:
        return ERR_BUSY;
    case ENOMEM:
        return ERR_NOMEM;
    case EINVAL:
    case MDB_BAD_VALSIZE:
    case MDB_BAD_TXN:
        return ERR_INTERNAL;
    default:
        return ERR_IO;
    }
}

enum err txn_spoil(struct txn *txn, enum err err)
{
    must(err != ERR_OK);
    if (txn->err == ERR_OK) {
        txn->err = err;
    }
    if (err == ERR_FULL) {
        atomic_store(&txn->store->room_doubt, true);
    }
    return err;
}

/* ---- transactions ---- */

static enum err txn_begin(struct store *store, bool writes, struct txn **ret_txn)
{
    if (store->env == NULL) {
        return ERR_IO;
    }
    struct txn *txn = calloc(1, sizeof *txn);
    if (txn == NULL) {
        return ERR_NOMEM;
    }
    txn->store = store;
    txn->writes = writes;
    enum err err = txn_err(mdb_txn_begin(store->env, NULL, writes ? 0 : MDB_RDONLY, &txn->mdb));
    if (err != ERR_OK) {
        free(txn);
        return err;
    }
    (void) atomic_fetch_add(&store->txn_count, 1);
    *ret_txn = txn;
    return ERR_OK;
}

enum err txn_begin_read(struct store *store, struct txn **ret_txn)
{
    return txn_begin(store, false, ret_txn);
}

enum err txn_begin_write(struct store *store, struct txn **ret_txn)
{
    bool writing = atomic_exchange(&store->writing, true);
    must(!writing);
    enum err err = txn_begin(store, true, ret_txn);
    if (err != ERR_OK) {
        atomic_store(&store->writing, false);
    }
    return err;
}

static void txn_free(struct txn *txn)
{
    struct store *store = txn->store;
    if (txn->writes) {
        atomic_store(&store->writing, false);
    }
    (void) atomic_fetch_sub(&store->txn_count, 1);
    free(txn);
}

static void txn_release(struct txn *txn)
{
    if (txn->bodies != NULL) {
        mdb_cursor_close(txn->bodies);
        txn->bodies = NULL;
    }
}

/* LMDB says EIO when a write was cut short, which is what a disk or a file size limit does when it
 * fills up in the middle of a run of pages. A true EIO looks the same but for the room left. */
static bool commit_met_the_end(const struct store *store)
{
    int fd = -1;
    struct stat file;
    struct statvfs disk;
    struct rlimit limit;
    if (mdb_env_get_fd(store->env, &fd) != MDB_SUCCESS || fstat(fd, &file) != 0) {
        return false;
    }
    if (fstatvfs(fd, &disk) == 0 && (uint64_t) disk.f_bavail * disk.f_frsize < ROOM_FOR_A_RUN) {
        return true;
    }
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           (uint64_t) file.st_size + ROOM_FOR_A_RUN > limit.rlim_cur;
}

enum err txn_commit(struct txn *txn)
{
    must(txn != NULL);
    must(txn->writes);
    enum err err = txn->err;
    txn_release(txn);
    if (err != ERR_OK) {
        mdb_txn_abort(txn->mdb);
    } else {
        int code = mdb_txn_commit(txn->mdb); /* frees the handle even when it fails */
        err = txn_err(code);
        if (code == EIO && commit_met_the_end(txn->store)) {
            err = ERR_FULL;
        }
        if (err == ERR_FULL) {
            atomic_store(&txn->store->room_doubt, true);
        }
        txn->store->erase = txn->store->erase || (err == ERR_OK && txn->erase);
    }
    txn_free(txn);
    return err;
}

void txn_end(struct txn *txn)
{
    if (txn == NULL) {
        return;
    }
    txn_release(txn);
    mdb_txn_abort(txn->mdb);
    txn_free(txn);
}

bool txn_dirty(const struct txn *txn)
{
    return txn->dirty;
}

/* ---- rows ---- */

static MDB_val val_of(struct bytes bytes)
{
    return (MDB_val){.mv_size = bytes.size, .mv_data = (void *) (uintptr_t) bytes.data};
}

static struct bytes bytes_of_val(const MDB_val *val)
{
    return bytes_of(val->mv_data, val->mv_size);
}

/* What a write gave: anything but success spoils the transaction. */
static enum err wrote(struct txn *txn, int code)
{
    if (code == MDB_SUCCESS) {
        txn->dirty = true;
        return ERR_OK;
    }
    return txn_spoil(txn, txn_err(code));
}

enum err txn_get(struct txn *txn, enum table table, struct bytes key, struct bytes *ret_value)
{
    MDB_val key_val = val_of(key), value;
    enum err err = txn_err(mdb_get(txn->mdb, txn->store->tables[table], &key_val, &value));
    if (err == ERR_OK) {
        *ret_value = bytes_of_val(&value);
    }
    return err;
}

enum err txn_put(struct txn *txn, enum table table, struct bytes key, struct bytes value)
{
    must(txn->writes);
    MDB_val key_val = val_of(key), value_val = val_of(value);
    return wrote(txn, mdb_put(txn->mdb, txn->store->tables[table], &key_val, &value_val, 0));
}

enum err txn_del(struct txn *txn, enum table table, struct bytes key)
{
    must(txn->writes);
    MDB_val key_val = val_of(key);
    int code = mdb_del(txn->mdb, txn->store->tables[table], &key_val, NULL);
    return code == MDB_NOTFOUND ? ERR_NOT_FOUND : wrote(txn, code);
}

enum err txn_clear(struct txn *txn, enum table table)
{
    must(txn->writes);
    return wrote(txn, mdb_drop(txn->mdb, txn->store->tables[table], 0));
}

enum err txn_erase_due(struct txn *txn)
{
    if (txn->erase || txn->store->erase) {
        return ERR_OK;
    }
    enum err err = txn_put(txn, TABLE_META, bytes_of_str(META_ERASE), bytes_of("", 0));
    txn->erase = err == ERR_OK;
    return err;
}

uint64_t txn_snapshot(const struct txn *txn)
{
    return mdb_txn_id(txn->mdb) + (txn->store->swaps << SNAPSHOT_BITS);
}

enum err txn_rows(struct txn *txn, enum table table, uint64_t *ret_count)
{
    MDB_stat stat;
    enum err err = txn_err(mdb_stat(txn->mdb, txn->store->tables[table], &stat));
    if (err == ERR_OK) {
        *ret_count = stat.ms_entries;
    }
    return err;
}

/* ---- cursors ---- */

enum err cursor_open(struct txn *txn, enum table table, struct cursor *ret_cursor)
{
    MDB_cursor *mdb = NULL;
    enum err err = txn_err(mdb_cursor_open(txn->mdb, txn->store->tables[table], &mdb));
    if (err == ERR_OK) {
        *ret_cursor = (struct cursor){.mdb = mdb, .txn = txn};
    }
    return err;
}

void cursor_close(struct cursor *cursor)
{
    if (cursor != NULL && cursor->mdb != NULL) {
        mdb_cursor_close(cursor->mdb);
        cursor->mdb = NULL;
    }
}

static enum err cursor_get(struct cursor *cursor, struct bytes key, MDB_cursor_op op,
                           struct row *ret_row)
{
    MDB_val key_val = val_of(key), value;
    enum err err = txn_err(mdb_cursor_get(cursor->mdb, &key_val, &value, op));
    if (err == ERR_OK) {
        *ret_row = (struct row){.key = bytes_of_val(&key_val), .value = bytes_of_val(&value)};
    }
    return err;
}

enum err cursor_at(struct cursor *cursor, struct bytes key, struct bytes *ret_value)
{
    struct row row;
    enum err err = cursor_get(cursor, key, MDB_SET, &row);
    if (err == ERR_OK) {
        *ret_value = row.value;
    }
    return err;
}

enum err cursor_seek(struct cursor *cursor, struct bytes key, struct row *ret_row)
{
    return cursor_get(cursor, key, MDB_SET_RANGE, ret_row);
}

enum err cursor_next(struct cursor *cursor, struct row *ret_row)
{
    return cursor_get(cursor, bytes_of(NULL, 0), MDB_NEXT, ret_row);
}

enum err cursor_last(struct cursor *cursor, struct row *ret_row)
{
    return cursor_get(cursor, bytes_of(NULL, 0), MDB_LAST, ret_row);
}

enum err cursor_put(struct cursor *cursor, struct bytes key, struct bytes value)
{
    must(cursor->txn->writes);
    MDB_val key_val = val_of(key), value_val = val_of(value);
    return wrote(cursor->txn, mdb_cursor_put(cursor->mdb, &key_val, &value_val, 0));
}

enum err cursor_put_new(struct cursor *cursor, struct bytes key, struct bytes value,
                        struct bytes *ret_old)
{
    must(cursor->txn->writes);
    MDB_val key_val = val_of(key), value_val = val_of(value);
    int code = mdb_cursor_put(cursor->mdb, &key_val, &value_val, MDB_NOOVERWRITE);
    if (code == MDB_KEYEXIST) {
        *ret_old = bytes_of_val(&value_val);
        return ERR_EXISTS;
    }
    return wrote(cursor->txn, code);
}

enum err cursor_append(struct cursor *cursor, struct bytes key, struct bytes value)
{
    must(cursor->txn->writes);
    MDB_val key_val = val_of(key), value_val = val_of(value);
    int code = mdb_cursor_put(cursor->mdb, &key_val, &value_val, MDB_APPEND);
    return wrote(cursor->txn, code == MDB_KEYEXIST ? MDB_CORRUPTED : code);
}

enum err cursor_put_here(struct cursor *cursor, struct bytes key, struct bytes value)
{
    must(cursor->txn->writes);
    MDB_val key_val = val_of(key), value_val = val_of(value);
    return wrote(cursor->txn, mdb_cursor_put(cursor->mdb, &key_val, &value_val, MDB_CURRENT));
}

enum err cursor_del(struct cursor *cursor)
{
    must(cursor->txn->writes);
    return wrote(cursor->txn, mdb_cursor_del(cursor->mdb, 0));
}

/* A seq that the trash names is not given again: the chores would take the new body for the old. */
static enum err seqs_in_trash(struct txn *txn)
{
    struct cursor trash = {0};
    struct row last;
    enum err err = cursor_open(txn, TABLE_TRASH, &trash);
    if (err == ERR_OK) {
        err = cursor_last(&trash, &last);
    }
    uint64_t seq = err == ERR_OK && last.key.size == 8 ? be64_get(last.key.data) : 0;
    if (seq >= txn->next_seq && seq < UINT64_MAX) {
        txn->next_seq = seq + 1;
    }
    cursor_close(&trash);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err txn_append_body(struct txn *txn, size_t size, uint64_t *ret_seq, uint8_t **ret_value)
{
    must(txn->writes);
    if (txn->bodies == NULL) {
        struct cursor cursor = {0};
        struct row last;
        enum err err = cursor_open(txn, TABLE_BODIES, &cursor);
        if (err != ERR_OK) {
            return err;
        }
        err = cursor_last(&cursor, &last);
        if (err == ERR_OK && last.key.size != 8) {
            err = ERR_CORRUPT;
        }
        if (err != ERR_OK && err != ERR_NOT_FOUND) {
            cursor_close(&cursor);
            return err;
        }
        txn->next_seq = err == ERR_OK ? be64_get(last.key.data) + 1 : 1;
        txn->bodies = cursor.mdb;
        err = seqs_in_trash(txn);
        if (err != ERR_OK) {
            return err;
        }
    }
    uint8_t key[8];
    be64_put(key, txn->next_seq);
    MDB_val key_val = {.mv_size = sizeof key, .mv_data = key};
    MDB_val value = {.mv_size = size};
    enum err err =
        wrote(txn, mdb_cursor_put(txn->bodies, &key_val, &value, MDB_APPEND | MDB_RESERVE));
    if (err != ERR_OK) {
        return err;
    }
    *ret_seq = txn->next_seq++;
    *ret_value = value.mv_data;
    return ERR_OK;
}

/* ---- the free list: table 0 of LMDB, txn id -> count, page numbers ---- */

static enum err free_walk(struct txn *txn, uint64_t first, uint64_t last, uint64_t *ret_all,
                          uint64_t *ret_between)
{
    struct cursor cursor = {.txn = txn};
    enum err err = txn_err(mdb_cursor_open(txn->mdb, 0, &cursor.mdb));
    uint64_t all = 0, between = 0;
    struct row row;
    while (err == ERR_OK && (err = cursor_next(&cursor, &row)) == ERR_OK) {
        size_t count = 0;
        if (row.value.size >= sizeof count) {
            memcpy(&count, row.value.data, sizeof count);
        }
        if (row.value.size < sizeof count || count > row.value.size / sizeof count - 1) {
            err = ERR_CORRUPT;
            break;
        }
        all += count;
        for (size_t i = 1; first <= last && i <= count; i++) {
            size_t page;
            memcpy(&page, row.value.data + i * sizeof page, sizeof page);
            between += page >= first && page <= last;
        }
    }
    cursor_close(&cursor);
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    *ret_all = all;
    *ret_between = between;
    return ERR_OK;
}

enum err txn_free_pages(struct txn *txn, uint64_t *ret_count)
{
    uint64_t between;
    return free_walk(txn, 1, 0, ret_count, &between);
}

enum err txn_free_between(struct txn *txn, uint64_t first, uint64_t last, uint64_t *ret_count)
{
    uint64_t all;
    return free_walk(txn, first, last, &all, ret_count);
}
