/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/copy.c: see copy.h.
 *
 * Happy path: look at the room, make a directory, open a new store in it, append every row of every
 * table but the trash and what it names, some MiB a commit; compare the heads; close it. Then its
 * data.mdb takes the place of the store's, or gets the name of the backup.
 *
 * What fails leaves the store as it was. The one exception is a directory that cannot be synced
 * after the rename: nobody knows which file the next start will find, so nothing may be written.
 */
#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/must.h"
#include "proto/head.h"
#include "store/catalogue.h"
#include "store/rows.h"

#define COMMIT_SIZE (8u * 1024 * 1024) /* of keys and values in one commit of the copy */
#define SPARE_SIZE (1024u * 1024)      /* room wanted beyond what the store uses, and a sixteenth */
#define PART ".tmp"

/* ---- rows ---- */

struct copying {
    struct txn *from, *to;
    struct store *into;
    struct cursor in, trash, out;
    enum table table;
    size_t held; /* since the last commit */
    uint64_t rows;
    struct row trashed;
    bool trash_left;
};

static void copying_done(struct copying *copying)
{
    cursor_close(&copying->in);
    cursor_close(&copying->trash);
    cursor_close(&copying->out);
    txn_end(copying->to);
    txn_end(copying->from);
}

/* A cursor must be closed before its transaction ends. */
static enum err copying_commit(struct copying *copying)
{
    struct txn *txn = copying->to;
    cursor_close(&copying->out);
    copying->to = NULL;
    copying->held = 0;
    return txn_commit(txn);
}

static enum err copying_begin(struct copying *copying)
{
    enum err err = txn_begin_write(copying->into, &copying->to);
    return err == ERR_OK ? cursor_open(copying->to, copying->table, &copying->out) : err;
}

/* Is this row to stay behind? Bodies and trash are walked side by side. */
static enum err passed_over(struct copying *copying, const struct row *row, bool *ret_passed)
{
    *ret_passed = copying->table == TABLE_META && bytes_equal(row->key, bytes_of_str(META_ERASE));
    enum err err = ERR_OK;
    while (copying->trash_left && err == ERR_OK &&
           bytes_compare(copying->trashed.key, row->key) < 0) {
        err = cursor_next(&copying->trash, &copying->trashed);
        copying->trash_left = err == ERR_OK;
    }
    if (copying->trash_left && bytes_equal(copying->trashed.key, row->key)) {
        *ret_passed = true;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err row_copy(struct copying *copying, const struct row *row)
{
    bool passed = false;
    enum err err = passed_over(copying, row, &passed);
    if (err != ERR_OK || passed) {
        return err;
    }
    if (copying->held > COMMIT_SIZE) {
        err = copying_commit(copying);
        if (err == ERR_OK) {
            err = copying_begin(copying);
        }
    }
    if (err != ERR_OK) {
        return err;
    }
    copying->held += row->key.size + row->value.size;
    /* `meta` is not empty: the new store has its own rows. */
    return copying->table == TABLE_META ? cursor_put(&copying->out, row->key, row->value)
                                        : cursor_append(&copying->out, row->key, row->value);
}

static enum err table_walk(struct copying *copying)
{
    struct row row;
    uint64_t rows = 0, wanted = 0;
    enum err err = cursor_next(&copying->in, &row);
    while (err == ERR_OK) {
        rows++;
        err = row_copy(copying, &row);
        if (err == ERR_OK) {
            err = cursor_next(&copying->in, &row);
        }
    }
    if (err == ERR_NOT_FOUND) {
        err = txn_rows(copying->from, copying->table, &wanted);
    }
    return err == ERR_OK && rows != wanted ? ERR_CORRUPT : err;
}

static enum err table_copy(struct copying *copying, enum table table)
{
    copying->table = table;
    enum err err = cursor_open(copying->from, table, &copying->in);
    if (err == ERR_OK) {
        err = cursor_open(copying->to, table, &copying->out);
    }
    if (err == ERR_OK && table == TABLE_BODIES) {
        err = cursor_open(copying->from, TABLE_TRASH, &copying->trash);
        if (err == ERR_OK) {
            err = cursor_next(&copying->trash, &copying->trashed);
            copying->trash_left = err == ERR_OK;
            err = err == ERR_NOT_FOUND ? ERR_OK : err;
        }
    }
    if (err == ERR_OK) {
        err = table_walk(copying);
    }
    cursor_close(&copying->in);
    cursor_close(&copying->trash);
    cursor_close(&copying->out);
    copying->trash_left = false;
    return err;
}

static enum err tables_copy(struct copying *copying, bool is_backup)
{
    enum err err = ERR_OK;
    for (unsigned table = 0; table < TABLE_COUNT && err == ERR_OK; table++) {
        if (table != TABLE_TRASH) {
            err = table_copy(copying, table);
        }
    }
    if (err == ERR_OK && is_backup) {
        err = txn_put(copying->to, TABLE_META, bytes_of_str(META_COPY), bytes_of("", 0));
    }
    return err == ERR_OK ? copying_commit(copying) : err;
}

/* ---- what a store holds ---- */

enum err copy_digest(struct txn *txn, struct hash *ret_digest, uint64_t *ret_heads,
                     uint64_t *ret_entries)
{
    struct hash digest = {{0}};
    uint64_t heads = 0, entries = 0;
    defer(cursor_close) struct cursor names = {0};
    struct row row;
    enum err err = cursor_open(txn, TABLE_NAMES, &names);
    while (err == ERR_OK) {
        err = cursor_next(&names, &row);
        if (err != ERR_OK) {
            break;
        }
        struct held_head held;
        err = row.value.size == ID_KEY_SIZE ? catalogue_head(txn, be32_get(row.value.data), &held)
                                            : ERR_CORRUPT;
        if (err == ERR_OK) {
            digest = history_next(&digest, &held.head.hash);
            heads++;
            entries += held.head.count;
        }
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    *ret_digest = digest;
    *ret_heads = heads;
    *ret_entries = entries;
    return ERR_OK;
}

/* Reads the copy back. */
static enum err copy_compare(struct store *made, struct copy *copy)
{
    struct txn *txn = NULL;
    struct hash digest;
    uint64_t heads = 0, entries = 0;
    enum err err = txn_begin_read(made, &txn);
    if (err == ERR_OK) {
        err = copy_digest(txn, &digest, &heads, &entries);
    }
    txn_end(txn);
    if (err == ERR_OK && memcmp(digest.bytes, copy->digest.bytes, HASH_SIZE) != 0) {
        err = ERR_CORRUPT;
    }
    return err;
}

/* ---- files ---- */

static void part_remove(const char *dir)
{
    char path[PATH_MAX];
    static const char *const names[] = {"data.mdb", "lock.mdb", NEW_FILE, NEW_FILE "-lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (snprintf(path, sizeof path, "%s/%s", dir, names[i]) < (int) sizeof path) {
            (void) unlink(path);
        }
    }
    (void) rmdir(dir);
}

static enum err room_look(struct store *store, const char *dir, struct copy *copy)
{
    struct store_space space;
    struct statvfs disk;
    enum err err = store_space(store, &space);
    if (err != ERR_OK) {
        return err;
    }
    if (statvfs(dir, &disk) != 0) {
        copy->cause = errno;
        return txn_err(errno);
    }
    copy->before = space.file;
    copy->needed = space.used + space.used / 16 + SPARE_SIZE;
    copy->free = (uint64_t) disk.f_bavail * disk.f_frsize;
    return copy->free < copy->needed ? ERR_FULL : ERR_OK;
}

static enum err rows_into(struct store *store, struct store *made, bool is_backup,
                          struct copy *copy)
{
    defer(copying_done) struct copying copying = {.into = made};
    enum err err = txn_begin_read(store, &copying.from);
    if (err == ERR_OK) {
        err = copy_digest(copying.from, &copy->digest, &copy->heads, &copy->entries);
    }
    if (err == ERR_OK) {
        err = txn_begin_write(made, &copying.to);
    }
    return err == ERR_OK ? tables_copy(&copying, is_backup) : err;
}

/* Fills the directory `dir`, which was just made. */
static enum err part_fill(struct store *store, const char *dir, bool is_backup, struct copy *copy)
{
    struct store_options options = {.map_size = store->map_size};
    struct store_space space;
    struct store *made = NULL;
    enum err err = room_look(store, dir, copy);
    if (err == ERR_OK) {
        err = store_open(dir, &options, &made);
    }
    if (err == ERR_OK) {
        err = rows_into(store, made, is_backup, copy);
    }
    if (err == ERR_OK) {
        err = copy_compare(made, copy);
    }
    if (err == ERR_OK) {
        err = store_space(made, &space);
        copy->bytes = err == ERR_OK ? space.file : 0;
    }
    store_close(made);
    return err;
}

/* Makes `dir` and fills it; removes it again when that fails. */
static enum err part_make(struct store *store, const char *dir, bool is_backup, struct copy *copy)
{
    if (mkdir(dir, 0700) != 0) {
        copy->cause = errno;
        return errno == EEXIST ? ERR_EXISTS : txn_err(errno);
    }
    enum err err = part_fill(store, dir, is_backup, copy);
    if (err != ERR_OK) {
        part_remove(dir);
    }
    return err;
}

/* ---- compacting ---- */

static bool path_join(char into[PATH_MAX], const char *dir, const char *name)
{
    int size = snprintf(into, PATH_MAX, "%s/%s", dir, name);
    return size > 0 && size < PATH_MAX;
}

enum err copy_compact(struct store *store, struct copy *ret_copy)
{
    char dir[PATH_MAX];
    *ret_copy = (struct copy){.where = COPY_AT_STORE};
    if (!path_join(dir, store->dir, COPY_DIR)) {
        return ERR_IO;
    }
    part_remove(dir);
    return part_make(store, dir, false, ret_copy);
}

/* The lock file goes first: whoever has the old file open from outside keeps the old lock with it.
 */
static bool files_swap(const struct store *store, const char *part)
{
    static const char *const names[] = {"lock.mdb", "data.mdb"};
    char from[PATH_MAX], to[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!path_join(from, part, names[i]) || !path_join(to, store->dir, names[i]) ||
            rename(from, to) != 0) {
            return false;
        }
    }
    return true;
}

enum err copy_swap(struct store *store, bool *ret_swapped)
{
    char part[PATH_MAX];
    if (!path_join(part, store->dir, COPY_DIR)) {
        return ERR_IO;
    }
    store_shut(store);
    bool swapped = files_swap(store, part);
    enum err err = swapped ? dir_sync(store->dir) : ERR_OK;
    part_remove(part);
    if (err == ERR_OK) {
        err = store_reopen(store);
    }
    if (err == ERR_OK) {
        store->swaps += swapped;
        *ret_swapped = swapped;
    }
    return err;
}

/* ---- backups ---- */

/* Gives the file its name if nobody has it. File systems that cannot do both at once get both one
 * after the other. */
static int rename_new(const char *from, const char *to)
{
    struct stat found;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) {
        return errno;
    }
    if (lstat(to, &found) == 0) {
        return EEXIST;
    }
    return rename(from, to) == 0 ? 0 : errno;
}

static enum err backup_name(const char *part, const char *path, struct copy *copy)
{
    char made[PATH_MAX];
    int code = path_join(made, part, "data.mdb") ? rename_new(made, path) : ENAMETOOLONG;
    enum err err = code == 0 ? dir_parent_sync(path) : ERR_OK;
    part_remove(part);
    if (code == 0) {
        return err;
    }
    copy->where = COPY_AT_FILE;
    copy->cause = code;
    return code == EEXIST ? ERR_EXISTS : txn_err(code);
}

/* In the store's own directory it would stand in the way of what is made there. */
static bool in_store(const struct store *store, const char *path)
{
    char dir[PATH_MAX];
    struct stat parent, own;
    size_t size = (size_t) (strrchr(path, '/') - path);
    memcpy(dir, path, size);
    memcpy(dir + size, "/", 2);
    return stat(dir, &parent) == 0 && stat(store->dir, &own) == 0 && parent.st_dev == own.st_dev &&
           parent.st_ino == own.st_ino;
}

enum err copy_backup(struct store *store, const char *path, struct copy *ret_copy)
{
    char part[PATH_MAX];
    struct stat found;
    *ret_copy = (struct copy){.where = COPY_AT_FILE};
    int size = snprintf(part, sizeof part, "%s" PART, path);
    if (path[0] != '/' || size < 0 || (size_t) size >= sizeof part) {
        ret_copy->cause = ENAMETOOLONG;
        return ERR_USAGE;
    }
    if (in_store(store, path)) {
        ret_copy->cause = EPERM;
        return ERR_REFUSED;
    }
    if (lstat(path, &found) == 0) {
        ret_copy->cause = EEXIST;
        return ERR_EXISTS;
    }
    ret_copy->where = COPY_AT_PART;
    enum err err = part_make(store, part, true, ret_copy);
    return err == ERR_OK ? backup_name(part, path, ret_copy) : err;
}
