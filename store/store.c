/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/store.c: the LMDB environment: opening, room, giving memory back.
 *
 * Happy path: make the directory and its two files with modes that no umask changes, open the
 * environment with MDB_NOTLS and nothing else, make sure that the file reaches to its last page
 * (reading behind the end would be SIGBUS), open the tables, read `meta`. A store of an older
 * schema is brought to this one in the same transaction; one of a newer schema is refused before
 * anything is written to it.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "store/ledger.h"
#include "store/txn.h"

#define DIR_MODE 0700
#define FILE_MODE 0600
#define ROOM_CALLS 64
#define ROOM_GROWTH_SIZE (4u * 1024 * 1024)

#define TABLE_NAME_ROW(name, text) [TABLE_##name] = (text),
static const char *const table_names[TABLE_COUNT] = {TABLES(TABLE_NAME_ROW)};
#undef TABLE_NAME_ROW

/* ---- files ---- */

static void fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void) close(*fd);
    }
}

/* Makes the file if need be and sets its mode: LMDB's own creation would obey the umask. Before the
 * environment is open only: closing a file drops the process's locks on it. */
static enum err file_prepare(int dir_fd, const char *name, bool *ret_made)
{
    defer(fd_close) int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    bool made = false;
    if (fd < 0 && errno == ENOENT) {
        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
        made = true;
    }
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0) {
        return txn_err(errno);
    }
    if (!S_ISREG(stat.st_mode)) {
        return ERR_IO;
    }
    if ((stat.st_mode & 07777) != FILE_MODE && fchmod(fd, FILE_MODE) != 0) {
        return txn_err(errno);
    }
    *ret_made = *ret_made || made;
    return ERR_OK;
}

/* A name is durable when its directory is. */
enum err dir_sync(const char *dir)
{
    defer(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        return txn_err(errno);
    }
    return ERR_OK;
}

enum err dir_parent_sync(const char *path_given)
{
    char *path = strdup(path_given);
    if (path == NULL) {
        return ERR_NOMEM;
    }
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    while (size > 0 && path[size - 1] != '/') {
        size--;
    }
    path[size] = '\0';
    enum err err = dir_sync(size == 0 ? "." : path);
    free(path);
    return err;
}

/* What a compaction that was cut short left behind may hold what was withdrawn since. */
static enum err left_remove(int dir_fd)
{
    static const char *const names[] = {COPY_DIR "/data.mdb", COPY_DIR "/lock.mdb",
                                        COPY_DIR "/" NEW_FILE, COPY_DIR "/" NEW_FILE "-lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (unlinkat(dir_fd, names[i], 0) == 0 || errno == ENOENT) {
            continue;
        }
        /* A file of that name is nobody's: it would keep the store shut, and from being compacted.
         */
        return errno == ENOTDIR && unlinkat(dir_fd, COPY_DIR, 0) == 0 ? ERR_OK : txn_err(errno);
    }
    (void) unlinkat(dir_fd, COPY_DIR, AT_REMOVEDIR);
    return ERR_OK;
}

/* *ret_fresh: there is no store yet. */
static enum err files_prepare(const char *dir, bool *ret_fresh)
{
    bool made_dir = mkdir(dir, DIR_MODE) == 0;
    if (!made_dir && errno != EEXIST) {
        return txn_err(errno);
    }
    if (made_dir && chmod(dir, DIR_MODE) != 0) {
        return txn_err(errno);
    }
    defer(fd_close) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return txn_err(errno);
    }
    bool made_files = false;
    *ret_fresh = faccessat(dir_fd, "data.mdb", F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
    enum err err = left_remove(dir_fd);
    if (err != ERR_OK) {
        return err;
    }
    if (*ret_fresh) { /* made beside: see store_make */
        (void) unlinkat(dir_fd, NEW_FILE, 0);
        (void) unlinkat(dir_fd, NEW_FILE "-lock", 0);
        err = file_prepare(dir_fd, NEW_FILE, &made_files);
    } else {
        err = file_prepare(dir_fd, "data.mdb", &made_files);
    }
    if (err == ERR_OK) {
        err = file_prepare(dir_fd, "lock.mdb", &made_files);
    }
    if (err == ERR_OK && made_files && fsync(dir_fd) != 0) {
        err = txn_err(errno);
    }
    if (err == ERR_OK && made_dir) {
        err = dir_parent_sync(dir);
    }
    return err;
}

/* ---- the environment ---- */

static enum err env_sizes(const struct store *store, uint64_t *ret_pages, uint64_t *ret_page_size)
{
    MDB_envinfo info;
    MDB_stat stat;
    int code = mdb_env_info(store->env, &info);
    if (code == MDB_SUCCESS) {
        code = mdb_env_stat(store->env, &stat);
    }
    if (code != MDB_SUCCESS) {
        return txn_err(code);
    }
    *ret_pages = (uint64_t) info.me_last_pgno + 1;
    *ret_page_size = stat.ms_psize;
    return ERR_OK;
}

/*
 * The file must reach to the end of its last page. It may fall short in one honest way: LMDB does
 * not write pages that one transaction took and gave back, and those may be the last ones; then all
 * that is missing is in the free list. The file is made longer first, so that reading the free
 * list of a damaged file cannot run behind its end.
 */
static enum err length_check(struct store *store)
{
    uint64_t pages = 0, page_size = 0, missing_free = 0;
    int fd = -1;
    struct stat file;
    enum err err = env_sizes(store, &pages, &page_size);
    if (err != ERR_OK) {
        return err;
    }
    if (mdb_env_get_fd(store->env, &fd) != MDB_SUCCESS || fstat(fd, &file) != 0) {
        return ERR_IO;
    }
    uint64_t whole = (uint64_t) file.st_size / page_size;
    if (whole >= pages) {
        return ERR_OK;
    }
    if (ftruncate(fd, (off_t) (pages * page_size)) != 0) {
        return txn_err(errno);
    }
    struct txn *txn = NULL;
    err = txn_begin_read(store, &txn);
    if (err == ERR_OK) {
        err = txn_free_between(txn, whole, pages - 1, &missing_free);
        txn_end(txn);
    }
    if (err == ERR_OK && missing_free != pages - whole) {
        err = ERR_CORRUPT;
    }
    if (err != ERR_OK && ftruncate(fd, file.st_size) != 0) { /* refused as it was found */
        return txn_err(errno);
    }
    return err;
}

static enum err meta_get(struct txn *txn, const char *name, uint8_t *ret_value, size_t size)
{
    struct bytes value;
    enum err err = txn_get(txn, TABLE_META, bytes_of_str(name), &value);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && value.size != size)) {
        return ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        bytes_copy(ret_value, value);
    }
    return err;
}

static enum err table_open(struct txn *txn, enum table table, unsigned flags)
{
    return txn_err(mdb_dbi_open(txn->mdb, table_names[table], flags, &txn->store->tables[table]));
}

static enum err schema_put(struct txn *txn)
{
    uint8_t schema[4];
    be32_put(schema, STORE_SCHEMA);
    return txn_put(txn, TABLE_META, bytes_of_str("schema"), BYTES_OF_ARRAY(schema));
}

static enum err index_put(struct txn *txn, const struct store_options *options)
{
    return txn_put(txn, TABLE_META, bytes_of_str("index"), BYTES_OF_ARRAY(options->fresh_index));
}

static enum err tables_make(struct txn *txn, const struct store_options *options)
{
    MDB_dbi main_table;
    MDB_stat stat;
    int code = mdb_dbi_open(txn->mdb, NULL, 0, &main_table);
    if (code == MDB_SUCCESS) {
        code = mdb_stat(txn->mdb, main_table, &stat);
    }
    if (code != MDB_SUCCESS) {
        return txn_err(code);
    }
    if (stat.ms_entries != 0) {
        return ERR_SCHEMA; /* somebody else's */
    }
    enum err err = ERR_OK;
    for (unsigned table = 0; table < TABLE_COUNT && err == ERR_OK; table++) {
        err = table_open(txn, table, MDB_CREATE);
    }
    if (err == ERR_OK) {
        err = schema_put(txn);
    }
    if (err == ERR_OK) {
        err = index_put(txn, options);
    }
    if (err == ERR_OK) {
        err = txn_put(txn, TABLE_META, bytes_of_str("instance"),
                      BYTES_OF_ARRAY(options->fresh_instance));
    }
    return err;
}

static enum err schema_get(struct txn *txn, uint32_t *ret_schema)
{
    struct bytes value;
    enum err err = txn_get(txn, TABLE_META, bytes_of_str("schema"), &value);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && value.size != 4)) {
        return ERR_SCHEMA;
    }
    if (err != ERR_OK) {
        return err;
    }
    uint32_t schema = be32_get(value.data);
    if (schema == 0 || schema > STORE_SCHEMA) {
        return ERR_SCHEMA;
    }
    *ret_schema = schema;
    return ERR_OK;
}

static enum err meta_has(struct txn *txn, const char *name, bool *ret_has)
{
    struct bytes value;
    enum err err = txn_get(txn, TABLE_META, bytes_of_str(name), &value);
    *ret_has = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* A backup put back is another store to its peers: those that had read the old one further than the
 * copy reaches must start over. It is the same lab's, though: the instance stays, by which it knows
 * the heads it made since. */
static enum err copy_renew(struct txn *txn, const struct store_options *options)
{
    bool is_copy = false;
    enum err err = meta_has(txn, META_COPY, &is_copy);
    if (err == ERR_OK && is_copy && options != NULL) {
        err = index_put(txn, options);
        if (err == ERR_OK) {
            err = txn_del(txn, TABLE_META, bytes_of_str(META_COPY));
        }
    }
    return err;
}

/* All tables are there by now. */
static enum err schema_upgrade(struct txn *txn, uint32_t schema)
{
    enum err err = schema_put(txn);
    if (err == ERR_OK) { /* schema 1 did not note what it left behind, 2 named what was withdrawn */
        err = txn_put(txn, TABLE_META, bytes_of_str(META_ERASE), bytes_of("", 0));
    }
    if (err == ERR_OK && schema < 3) {
        err = upgrade_tombstones(txn);
    }
    if (err == ERR_OK && schema < 3) { /* it was not told receipts */
        err = peers_reread(txn);
    }
    return err;
}

/* options NULL: the store must be there. */
static enum err tables_open(struct txn *txn, const struct store_options *options)
{
    enum err err = table_open(txn, TABLE_META, 0);
    if (err == ERR_NOT_FOUND && options != NULL) {
        err = tables_make(txn, options);
    }
    if (err != ERR_OK) {
        return err;
    }
    uint32_t schema = 0;
    err = schema_get(txn, &schema);
    for (unsigned table = 0; table < TABLE_COUNT && err == ERR_OK; table++) {
        bool newer = (schema == 1 && table > TABLE_TRASH) || /* than the store */
                     (schema == 2 && table > TABLE_KEPT);
        err = table_open(txn, table, newer ? MDB_CREATE : 0);
        err = err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    if (err == ERR_OK && schema != STORE_SCHEMA) {
        err = schema_upgrade(txn, schema);
    }
    if (err == ERR_OK) {
        err = copy_renew(txn, options);
    }
    if (err == ERR_OK) {
        err = meta_has(txn, META_ERASE, &txn->store->erase);
    }
    if (err == ERR_OK) {
        err = meta_get(txn, "index", txn->store->index, INSTANCE_SIZE);
    }
    if (err == ERR_OK) {
        err = meta_get(txn, "instance", txn->store->instance, INSTANCE_SIZE);
    }
    return err;
}

static enum err env_tables(struct store *store, const struct store_options *options)
{
    struct txn *txn = NULL;
    enum err err = txn_begin_write(store, &txn);
    if (err != ERR_OK) {
        return err;
    }
    err = tables_open(txn, options);
    if (err != ERR_OK) {
        txn_end(txn);
        return err;
    }
    return txn_commit(txn); /* keeps the table handles */
}

static void env_close(struct store *store)
{
    mdb_env_close(store->env);
    store->env = NULL;
}

static enum err env_open_at(struct store *store, const char *path, unsigned flags,
                            const struct store_options *options)
{
    int dead;
    int code = mdb_env_create(&store->env);
    if (code != MDB_SUCCESS) {
        store->env = NULL;
        return txn_err(code);
    }
    code = mdb_env_set_maxdbs(store->env, TABLE_COUNT);
    if (code == MDB_SUCCESS) {
        code = mdb_env_set_mapsize(store->env, store->map_size);
    }
    if (code == MDB_SUCCESS) {
        code = mdb_env_open(store->env, path, MDB_NOTLS | flags, FILE_MODE);
    }
    if (code == MDB_SUCCESS) {
        code = mdb_reader_check(store->env, &dead);
    }
    enum err err = txn_err(code);
    if (err == ERR_OK) {
        err = length_check(store);
    }
    if (err == ERR_OK) {
        err = env_tables(store, options);
    }
    if (err != ERR_OK) {
        env_close(store);
    }
    return err;
}

static enum err env_open(struct store *store, const struct store_options *options)
{
    return env_open_at(store, store->dir, 0, options);
}

/* A store that is made comes whole or not at all: LMDB does not sync its first pages before it
 * writes over them, so a power cut could leave a file that is none. It is made under another name,
 * and has its own when it is durable. */
static enum err store_make(struct store *store, const struct store_options *options)
{
    size_t size = strlen(store->dir) + sizeof "/" NEW_FILE "-lock";
    char *path = malloc(2 * size);
    if (path == NULL) {
        return ERR_NOMEM;
    }
    char *other = path + size;
    (void) snprintf(path, size, "%s/" NEW_FILE, store->dir);
    enum err err = env_open_at(store, path, MDB_NOSUBDIR, options);
    if (err == ERR_OK) {
        env_close(store);
        (void) snprintf(other, size, "%s/data.mdb", store->dir);
        err = rename(path, other) == 0 ? dir_sync(store->dir) : txn_err(errno);
        (void) snprintf(other, size, "%s/" NEW_FILE "-lock", store->dir);
        (void) unlink(other);
    }
    free(path);
    return err;
}

enum err store_open(const char *dir, const struct store_options *options, struct store **ret_store)
{
    bool fresh = false;
    enum err err = files_prepare(dir, &fresh);
    if (err != ERR_OK) {
        return err;
    }
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return ERR_NOMEM;
    }
    store->map_size = options->map_size != 0 ? options->map_size : STORE_MAP_SIZE;
    memcpy(store->retired_key, options->retired_key, sizeof store->retired_key);
    store->dir = strdup(dir);
    err = store->dir == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK && fresh) {
        err = store_make(store, options);
    }
    if (err == ERR_OK) {
        err = env_open(store, options);
    }
    if (err != ERR_OK) {
        store_close(store);
        return err;
    }
    *ret_store = store;
    return ERR_OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    must(atomic_load(&store->txn_count) == 0);
    if (store->env != NULL) {
        env_close(store);
    }
    free(store->dir);
    secret_wipe(store->retired_key, sizeof store->retired_key);
    free(store);
}

void store_shut(struct store *store)
{
    must(atomic_load(&store->txn_count) == 0);
    if (store->env != NULL) {
        env_close(store);
    }
}

enum err store_reopen(struct store *store)
{
    enum err err = env_open(store, NULL);
    (void) malloc_trim(0);
    return err;
}

enum err store_trim(struct store *store)
{
    store_shut(store);
    return store_reopen(store);
}

bool store_erase_due(const struct store *store)
{
    return store->erase;
}

const uint8_t *store_index(const struct store *store)
{
    return store->index;
}

const uint8_t *store_instance(const struct store *store)
{
    return store->instance;
}

/* ---- room ---- */

enum err store_space(struct store *store, struct store_space *ret_space)
{
    struct txn *txn = NULL;
    struct statvfs disk;
    uint64_t pages = 0, page_size = 0, free_pages = 0;
    enum err err = txn_begin_read(store, &txn);
    if (err != ERR_OK) {
        return err;
    }
    err = txn_free_pages(txn, &free_pages);
    txn_end(txn);
    if (err == ERR_OK) {
        err = env_sizes(store, &pages, &page_size);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (statvfs(store->dir, &disk) != 0) {
        return txn_err(errno);
    }
    free_pages = free_pages < pages ? free_pages : pages;
    *ret_space = (struct store_space){.used = (pages - free_pages) * page_size,
                                      .file = pages * page_size,
                                      .map = store->map_size,
                                      .disk_free = (uint64_t) disk.f_bavail * disk.f_frsize,
                                      .disk_size = (uint64_t) disk.f_blocks * disk.f_frsize};
    return ERR_OK;
}

static enum err room_of(const struct store_space *space)
{
    uint64_t bound = space->map < space->disk_size ? space->map : space->disk_size;
    uint64_t reserve = space->disk_size / 20;
    reserve = reserve > STORE_FREE_MIN ? reserve : STORE_FREE_MIN;
    bool full = space->used > bound / 100 * STORE_FULL_PERCENT || space->disk_free < reserve;
    return full ? ERR_FULL : ERR_OK;
}

enum err store_room(struct store *store)
{
    uint64_t pages = 0, page_size = 0;
    if (store->env == NULL) {
        return ERR_IO;
    }
    enum err err = env_sizes(store, &pages, &page_size);
    if (err != ERR_OK) {
        return err;
    }
    bool doubt = atomic_exchange(&store->room_doubt, false);
    if (!doubt && store->room == ERR_OK && store->room_calls > 0 &&
        (pages - store->room_pages) * page_size < ROOM_GROWTH_SIZE) {
        store->room_calls--;
        return ERR_OK;
    }
    struct store_space space;
    err = store_space(store, &space);
    if (err != ERR_OK) {
        return err;
    }
    store->room = room_of(&space);
    store->room_calls = ROOM_CALLS - 1;
    store->room_pages = pages;
    return store->room;
}
