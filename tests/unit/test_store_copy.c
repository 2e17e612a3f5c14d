/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * Copies of a store: what is in them and what is not, the swap, backups; and every call that can
 * fail, or at which the process can be killed, fails once: there is always one whole store, and
 * never garbage that nobody remembers.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "store_help.h"

#include "store/copy.h"
#include "store/kept.h"

/* ---- faults: this program's calls stand before those of libc and liblmdb ---- */

enum fault { FAULT_NONE, FAULT_FAILS, FAULT_KILLS };
static enum fault fault_kind;
static unsigned fault_at, fault_calls;
static int fault_code;
static bool fault_fired;

/* Between two calls that change files one kill is like another. */
static bool fault_of(bool changes_files)
{
    bool counts = fault_kind == FAULT_FAILS || (fault_kind == FAULT_KILLS && changes_files);
    fault_calls += counts;
    if (!counts || fault_calls != fault_at) {
        return false;
    }
    if (fault_kind == FAULT_KILLS) {
        _exit(99);
    }
    fault_fired = true;
    return true;
}

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    assert_non_null(found);
    return found;
}

#define HANDS_ON(type, name, params, args, failed)                                                 \
    type name params;                                                                              \
    type name params                                                                               \
    {                                                                                              \
        static type(*next) params;                                                                 \
        if (next == NULL) {                                                                        \
            next = (__typeof__(next)) real(#name);                                                 \
        }                                                                                          \
        return (FAULT_##failed) ? BY_##failed : next args;                                         \
    }
#define BY_CODE fault_code
#define BY_ERRNO (errno = fault_code, -1)
#define FAULT_CODE fault_of(false)
#define FAULT_ERRNO fault_of(true)

HANDS_ON(int, mdb_cursor_open, (MDB_txn * txn, MDB_dbi dbi, MDB_cursor **cursor),
         (txn, dbi, cursor), CODE)
HANDS_ON(int, mdb_cursor_get, (MDB_cursor * cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op),
         (cursor, key, value, op), CODE)
HANDS_ON(int, mdb_cursor_put, (MDB_cursor * cursor, MDB_val *key, MDB_val *value, unsigned flags),
         (cursor, key, value, flags), CODE)
HANDS_ON(int, mdb_put, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags),
         (txn, dbi, key, value, flags), CODE)
HANDS_ON(int, mdb_stat, (MDB_txn * txn, MDB_dbi dbi, MDB_stat *stat_), (txn, dbi, stat_), CODE)
HANDS_ON(int, mdb_txn_begin, (MDB_env * env, MDB_txn *parent, unsigned flags, MDB_txn **txn),
         (env, parent, flags, txn), CODE)
HANDS_ON(int, mdb_env_create, (MDB_env * *env), (env), CODE)
HANDS_ON(int, mdb_env_open, (MDB_env * env, const char *path, unsigned flags, mdb_mode_t mode),
         (env, path, flags, mode), CODE)
HANDS_ON(int, mkdir, (const char *path, mode_t mode), (path, mode), ERRNO)
HANDS_ON(int, rename, (const char *from, const char *to), (from, to), ERRNO)
HANDS_ON(int, renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
         (from_fd, from, to_fd, to, flags), ERRNO)
HANDS_ON(int, statvfs, (const char *path, struct statvfs *disk), (path, disk), ERRNO)
HANDS_ON(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
         ERRNO)
HANDS_ON(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), ERRNO)

/* What a crash of the machine would lose is no matter here: nothing waits for a disk. */
int fdatasync(int fd)
{
    (void) fd;
    return fault_of(true) ? BY_ERRNO : 0;
}

int fsync(int fd)
{
    return fdatasync(fd);
}

/* ---- looking ---- */

#define SECRET "KAN-DISPARET-"

static unsigned secrets_in_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    struct stat stat_;
    assert_int_equal(fstat(fileno(file), &stat_), 0);
    size_t size = (size_t) stat_.st_size;
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, size, file), size);
    (void) fclose(file);
    unsigned count = 0;
    const char *at = bytes;
    while ((at = memmem(at, size - (size_t) (at - bytes), SECRET, sizeof SECRET - 1)) != NULL) {
        count++;
        at++;
    }
    free(bytes);
    return count;
}

/* In every file of the store. */
static unsigned secrets(struct scratch *scratch)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "compact.tmp/data.mdb"};
    unsigned count = 0;
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", scratch->path, names[i]);
        count += secrets_in_file(path);
    }
    return count;
}

static bool there(struct scratch *scratch, const char *name)
{
    char path[128];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", scratch->dir, name);
    return lstat(path, &found) == 0;
}

static struct hash digest_of(struct store *store)
{
    struct txn *txn = NULL;
    struct hash digest;
    uint64_t heads = 0, entries = 0;
    ok(txn_begin_read(store, &txn));
    ok(copy_digest(txn, &digest, &heads, &entries));
    txn_end(txn);
    return digest;
}

/* ---- filling ---- */

/* An entry that is full of secrets. */
static void secret_put(struct txn *txn, uint32_t id, struct change_list *list, unsigned number,
                       uint64_t rev, size_t size)
{
    struct buf text = {0}, body = {0}, bytes = {0};
    char slug[32];
    while (text.size < size) {
        buf_printf(&text, SECRET "%u ", number);
    }
    snprintf(slug, sizeof slug, "entry-%u", number);
    pack_map(&body, 1);
    pack_cstr(&body, "text");
    pack_str(&body, buf_bytes(&text));
    struct entry entry = {.slug = bytes_of_str(slug),
                          .kind = bytes_of_str("innovation"),
                          .body = buf_bytes(&body),
                          .rev = rev};
    ok(entry_encode(&entry, &bytes));
    struct change change = {.slug_hash = help_slug(number),
                            .leaf = entry_leaf(buf_bytes(&bytes)),
                            .rev = rev,
                            .size = (uint32_t) bytes.size,
                            .order = (uint32_t) list->count};
    ok(body_append(txn, id, buf_bytes(&bytes), &change.seq));
    ok(change_add(list, &change));
    buf_done(&text);
    buf_done(&body);
    buf_done(&bytes);
}

/* Secrets of all sizes, of which nothing is visible in the end: withdrawn, replaced, dropped. */
static void fill(struct scratch *scratch, unsigned count)
{
    struct change_list list = {0};
    uint32_t id = 0;
    help_lab(scratch);
    (void) help_publish(scratch, 1000, 20, 1, 300);
    struct txn *txn = help_write(scratch);
    ok(catalogue_open(txn, &scratch->name, &id));
    for (unsigned i = 0; i < count; i++) {
        secret_put(txn, id, &list, i, 2, 100 + i * 7919 % 9000);
    }
    (void) help_apply(scratch, txn, id, &list, 1700000000);
    ok(txn_commit(txn));
    assert_false(store_erase_due(scratch->store));
    txn = help_write(scratch);
    for (unsigned i = 0; i < count; i++) {
        if (i % 3 == 0) {
            help_put(txn, id, &list, i, 3, 5, 50 + i * 31 % 6000);
        } else {
            help_withdraw(&list, i);
        }
    }
    (void) help_apply(scratch, txn, id, &list, 1700000000);
    ok(txn_commit(txn));
    /* Bodies that wait in the trash, and a withdrawal whose page may be used again at once. */
    txn = help_write(scratch);
    secret_put(txn, id, &list, 9000, 4, 3000);
    secret_put(txn, id, &list, 9001, 4, 300);
    ok(body_drop(txn, list.items[0].seq));
    ok(body_drop(txn, list.items[1].seq));
    change_done(&list);
    ok(txn_commit(txn));
    (void) help_publish(scratch, 2000, 30, 6, 2500);
    assert_true(store_erase_due(scratch->store));
    assert_true(secrets(scratch) > 0);
}

static void compact(struct scratch *scratch)
{
    struct copy copy;
    bool swapped = false;
    ok(copy_compact(scratch->store, &copy));
    ok(copy_swap(scratch->store, &swapped));
    assert_true(swapped);
}

/* ---- compacting ---- */

static void nothing_withdrawn_is_in_a_compacted_store(void **state)
{
    struct scratch *scratch = *state;
    fill(scratch, 300);
    struct hash before = digest_of(scratch->store);
    uint64_t entries = help_rows(scratch, TABLE_SLUGS);
    compact(scratch);
    assert_int_equal(secrets(scratch), 0);
    assert_false(store_erase_due(scratch->store));
    struct hash after = digest_of(scratch->store);
    assert_memory_equal(before.bytes, after.bytes, HASH_SIZE);
    assert_int_equal(help_rows(scratch, TABLE_SLUGS), entries);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 0);
    assert_int_equal(help_rows(scratch, TABLE_BODIES), entries);
    assert_int_equal(help_scrub(scratch, 100), 0);
    assert_false(there(scratch, "store/compact.tmp"));
    /* It goes on as before: also what is written now brings nothing back. */
    (void) help_publish(scratch, 3000, 40, 6, 2100);
    assert_int_equal(secrets(scratch), 0);
    help_reopen(scratch);
    assert_false(store_erase_due(scratch->store));
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void a_compacted_store_keeps_its_name_and_its_arrivals(void **state)
{
    struct scratch *scratch = *state;
    uint8_t index[INSTANCE_SIZE], instance[INSTANCE_SIZE];
    uint64_t before = 0, after = 0;
    fill(scratch, 10);
    memcpy(index, store_index(scratch->store), INSTANCE_SIZE);
    memcpy(instance, store_instance(scratch->store), INSTANCE_SIZE);
    struct txn *txn = help_read(scratch);
    ok(arrival_last(txn, &before));
    txn_end(txn);
    compact(scratch);
    memset(scratch->options.fresh_index, 0x33, INSTANCE_SIZE);
    help_reopen(scratch);
    assert_memory_equal(store_index(scratch->store), index, INSTANCE_SIZE);
    assert_memory_equal(store_instance(scratch->store), instance, INSTANCE_SIZE);
    txn = help_read(scratch);
    ok(arrival_last(txn, &after));
    txn_end(txn);
    assert_int_equal(before, after);
}

static void a_state_before_the_swap_is_not_taken_for_one_after_it(void **state)
{
    struct scratch *scratch = *state;
    fill(scratch, 10);
    struct txn *txn = help_read(scratch);
    uint64_t before = txn_snapshot(txn);
    txn_end(txn);
    compact(scratch);
    for (unsigned i = 0; i < 20; i++) {
        txn = help_read(scratch);
        assert_true(txn_snapshot(txn) > before);
        txn_end(txn);
        (void) help_publish(scratch, 5000 + i, 1, 1, 100);
    }
}

static void staged_bodies_survive_a_compaction(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0}, loaded = {0};
    struct staging staging = {.m = 1};
    help_lab(scratch);
    (void) help_publish(scratch, 0, 10, 1, 100);
    struct txn *txn = help_write(scratch);
    for (unsigned i = 0; i < 30; i++) {
        help_put(txn, 1, &list, 100 + i, 2, 3, 2500);
    }
    staging.first_seq = list.items[0].seq;
    ok(staging_put(txn, 1, &staging));
    ok(txn_commit(txn));
    compact(scratch);
    txn = help_write(scratch);
    ok(staging_get(txn, 1, &staging));
    ok(staging_load(txn, 1, &staging, &loaded));
    assert_int_equal(loaded.count, list.count);
    assert_memory_equal(loaded.items, list.items, list.count * sizeof *list.items);
    (void) help_apply(scratch, txn, 1, &loaded, 1000);
    ok(staging_close(txn, 1));
    ok(txn_commit(txn));
    assert_int_equal(help_scrub(scratch, 100), 0);
    change_done(&list);
}

static void former_revisions_are_kept_until_they_are_dropped(void **state)
{
    struct scratch *scratch = *state;
    struct slug_hash slug = help_slug(3);
    struct change_list list = {0};
    struct bytes entry, kept;
    uint64_t rev = 0;
    help_lab(scratch);
    struct txn *txn = help_write(scratch);
    secret_put(txn, 1, &list, 3, 1, 3000);
    ok(body_get(txn, 1, list.items[0].seq, &entry));
    struct buf copy = {0};
    buf_put(&copy, entry);
    ok(kept_put(txn, 1, &slug, 1, buf_bytes(&copy)));
    ok(body_drop(txn, list.items[0].seq));
    ok(txn_commit(txn));
    compact(scratch);
    txn = help_read(scratch);
    ok(kept_next(txn, 1, &slug, &rev, &kept));
    assert_true(bytes_equal(kept, buf_bytes(&copy)));
    txn_end(txn);
    assert_false(store_erase_due(scratch->store));
    txn = help_write(scratch);
    ok(kept_drop(txn, 1, &slug));
    ok(txn_commit(txn));
    assert_true(store_erase_due(scratch->store));
    compact(scratch);
    assert_int_equal(secrets(scratch), 0);
    buf_done(&copy);
    change_done(&list);
}

static void garbage_is_remembered_across_a_restart_and_not_when_undone(void **state)
{
    struct scratch *scratch = *state;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 10, 1, 100);
    struct txn *txn = help_write(scratch);
    ok(body_drop(txn, 3));
    txn_end(txn);
    assert_false(store_erase_due(scratch->store));
    txn = help_write(scratch);
    ok(body_drop(txn, 3));
    fault_calls = 0;
    fault_at = 1;
    fault_code = ENOSPC;
    fault_kind = FAULT_FAILS;
    is_err(txn_commit(txn), ERR_FULL);
    fault_kind = FAULT_NONE;
    assert_false(store_erase_due(scratch->store));
    txn = help_write(scratch);
    ok(body_drop(txn, 3));
    ok(body_drop(txn, 4));
    ok(txn_commit(txn));
    assert_true(store_erase_due(scratch->store));
    help_reopen(scratch);
    assert_true(store_erase_due(scratch->store));
}

static void a_copy_that_was_cut_short_is_gone_at_the_next_start(void **state)
{
    struct scratch *scratch = *state;
    struct copy copy;
    fill(scratch, 10);
    ok(copy_compact(scratch->store, &copy));
    assert_true(there(scratch, "store/compact.tmp/data.mdb"));
    help_reopen(scratch);
    assert_false(there(scratch, "store/compact.tmp"));
    assert_true(store_erase_due(scratch->store));
    compact(scratch);
    assert_int_equal(secrets(scratch), 0);
}

static void a_large_store_is_copied_in_several_commits(void **state)
{
    struct scratch *scratch = *state;
    struct copy copy;
    bool swapped = false;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 400, 1, 50000); /* 20 MB: three commits */
    (void) help_publish(scratch, 0, 10, 2, 50000);
    ok(copy_compact(scratch->store, &copy));
    assert_true(copy.bytes > 20000000);
    assert_true(copy.before > copy.bytes);
    assert_int_equal(copy.entries, 400);
    assert_int_equal(copy.heads, 1);
    ok(copy_swap(scratch->store, &swapped));
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void a_damaged_store_is_not_copied(void **state)
{
    struct scratch *scratch = *state;
    struct copy copy;
    fill(scratch, 10);
    uint8_t key[4];
    be32_put(key, 1);
    help_row(scratch, TABLE_HEADS, BYTES_OF_ARRAY(key), bytes_of_str("no head at all"));
    is_err(copy_compact(scratch->store, &copy), ERR_CORRUPT);
    assert_false(there(scratch, "store/compact.tmp"));
}

/* ---- backups ---- */

static void backup_path(struct scratch *scratch, char into[128])
{
    snprintf(into, 128, "%s/copy", scratch->dir);
}

/* The backup in the store's place, as `essaim restore` would put it. */
static void restore(struct scratch *scratch, const char *path)
{
    char to[128];
    help_close(scratch);
    snprintf(to, sizeof to, "%s/data.mdb", scratch->path);
    assert_int_equal(rename(path, to), 0);
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
}

static void a_backup_holds_the_same_and_nothing_withdrawn(void **state)
{
    struct scratch *scratch = *state;
    struct copy copy;
    struct stat found;
    char path[128];
    fill(scratch, 100);
    backup_path(scratch, path);
    ok(copy_backup(scratch->store, path, &copy));
    assert_int_equal(secrets_in_file(path), 0);
    assert_true(store_erase_due(scratch->store)); /* the store itself has them still */
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    assert_int_equal(found.st_size, copy.bytes);
    assert_false(there(scratch, "copy.tmp"));
    struct hash before = digest_of(scratch->store);
    assert_memory_equal(before.bytes, copy.digest.bytes, HASH_SIZE);
    (void) help_publish(scratch, 5000, 3, 1, 100);
    restore(scratch, path);
    struct hash after = digest_of(scratch->store);
    assert_memory_equal(after.bytes, copy.digest.bytes, HASH_SIZE);
    assert_int_equal(help_scrub(scratch, 100), 0);
    assert_false(store_erase_due(scratch->store));
}

static void a_backup_put_back_is_another_store_once(void **state)
{
    struct scratch *scratch = *state;
    struct copy copy;
    char path[128];
    uint8_t index[INSTANCE_SIZE], instance[INSTANCE_SIZE];
    fill(scratch, 10);
    backup_path(scratch, path);
    ok(copy_backup(scratch->store, path, &copy));
    memset(scratch->options.fresh_index, 0x44, INSTANCE_SIZE);
    memset(scratch->options.fresh_instance, 0x55, INSTANCE_SIZE);
    memset(index, 0x44, sizeof index);
    memset(instance, 0x22, sizeof instance); /* by which it knows the heads it made since */
    restore(scratch, path);
    assert_memory_equal(store_index(scratch->store), index, INSTANCE_SIZE);
    assert_memory_equal(store_instance(scratch->store), instance, INSTANCE_SIZE);
    memset(scratch->options.fresh_index, 0x66, INSTANCE_SIZE);
    help_reopen(scratch);
    assert_memory_equal(store_index(scratch->store), index, INSTANCE_SIZE);
}

static void a_backup_replaces_nothing(void **state)
{
    struct scratch *scratch = *state;
    struct copy copy;
    char path[128], part[136];
    fill(scratch, 5);
    backup_path(scratch, path);
    snprintf(part, sizeof part, "%s.tmp", path);
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    is_err(copy_backup(scratch->store, path, &copy), ERR_EXISTS);
    assert_int_equal(copy.where, COPY_AT_FILE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(scratch->dir, part), 0);
    is_err(copy_backup(scratch->store, path, &copy), ERR_EXISTS);
    assert_int_equal(copy.where, COPY_AT_PART);
    assert_int_equal(unlink(part), 0);
    assert_false(there(scratch, "copy"));
    ok(copy_backup(scratch->store, path, &copy));
    is_err(copy_backup(scratch->store, path, &copy), ERR_EXISTS);
    assert_int_equal(unlink(path), 0);
}

static void a_backup_says_why_it_cannot_be_written(void **state)
{
    struct scratch *scratch = *state;
    struct copy copy;
    char path[128];
    snprintf(path, sizeof path, "%s/nowhere/copy", scratch->dir);
    is_err(copy_backup(scratch->store, path, &copy), ERR_IO);
    assert_int_equal(copy.cause, ENOENT);
    is_err(copy_backup(scratch->store, "copy", &copy), ERR_USAGE);
    is_err(copy_backup(scratch->store, "/proc/copy", &copy), ERR_IO);
    assert_true(copy.cause != 0);
}

static void too_little_room_is_said_before_anything_is_written(void **state)
{
    struct scratch *scratch = *state;
    struct copy copy;
    char top[96], path[128];
    help_lab(scratch);
    (void) help_publish(scratch, 0, 100, 1, 50000); /* 5 MB */
    snprintf(top, sizeof top, "%s/small", scratch->dir);
    assert_int_equal(mkdir(top, 0700), 0);
    if (mount("small", top, "tmpfs", 0, "size=2m") != 0) {
        (void) rmdir(top);
        print_message("# no mounting here: skipped\n");
        return;
    }
    snprintf(path, sizeof path, "%s/copy", top);
    is_err(copy_backup(scratch->store, path, &copy), ERR_FULL);
    assert_true(copy.needed > 5000000);
    assert_true(copy.free <= 2 * 1024 * 1024);
    assert_false(there(scratch, "small/copy"));
    assert_false(there(scratch, "small/copy.tmp"));
    assert_int_equal(umount(top), 0);
    (void) rmdir(top);
}

/* ---- faults ---- */

/* Compacts and swaps as a node would. True: swapped. */
static bool try_compact(struct scratch *scratch, enum err *ret_err)
{
    struct copy copy;
    bool swapped = false;
    *ret_err = copy_compact(scratch->store, &copy);
    if (*ret_err == ERR_OK) {
        *ret_err = copy_swap(scratch->store, &swapped);
    }
    return swapped;
}

static void sound(struct scratch *scratch, const struct hash *digest, unsigned k)
{
    struct hash found = digest_of(scratch->store);
    assert_memory_equal(found.bytes, digest->bytes, HASH_SIZE);
    assert_int_equal(help_scrub(scratch, 100), 0);
    if (secrets(scratch) > 0 && !store_erase_due(scratch->store)) {
        fail_msg("call %u: garbage that nobody remembers", k);
    }
    assert_false(there(scratch, "store/compact.tmp"));
}

/* The store as it was when it was filled. */
static void refill(struct scratch *scratch, const struct buf *filled)
{
    help_close(scratch);
    help_file_put(scratch, buf_bytes(filled));
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
}

static void fill_once(struct scratch *scratch, struct buf *ret_filled)
{
    fill(scratch, 12);
    help_close(scratch);
    help_file(scratch, ret_filled);
}

static void sweep(struct scratch *scratch, int code, unsigned step)
{
    bool fired = true;
    unsigned swaps = 0;
    struct buf filled = {0};
    fill_once(scratch, &filled);
    for (unsigned k = 1; fired; k += step) {
        enum err err;
        refill(scratch, &filled);
        struct hash digest = digest_of(scratch->store);
        fault_calls = 0;
        fault_at = k;
        fault_code = code;
        fault_fired = false;
        fault_kind = FAULT_FAILS;
        bool swapped = try_compact(scratch, &err);
        fault_kind = FAULT_NONE;
        fired = fault_fired;
        swaps += swapped;
        if (err == ERR_OK || scratch->store->env != NULL) { /* it goes on */
            assert_int_equal(store_erase_due(scratch->store), !swapped);
            sound(scratch, &digest, k);
            (void) help_publish(scratch, 7000, 1, 1, 100);
            digest = digest_of(scratch->store);
        }
        help_reopen(scratch);
        sound(scratch, &digest, k);
        assert_true(k < 5000);
    }
    assert_true(swaps >= 1);
    assert_true(fault_calls > 100);
    buf_done(&filled);
}

static void every_failing_call_leaves_the_old_store_or_the_new_one(void **state)
{
    sweep(*state, EIO, 1);
}

static void a_disk_that_fills_up_anywhere_leaves_the_old_store_or_the_new_one(void **state)
{
    sweep(*state, ENOSPC, 3);
}

static void a_kill_at_any_call_leaves_the_old_store_or_the_new_one(void **state)
{
    struct scratch *scratch = *state;
    struct buf filled = {0};
    int status = 0;
    fill_once(scratch, &filled);
    for (unsigned k = 1; WEXITSTATUS(status) == 99 || k == 1; k++) {
        refill(scratch, &filled);
        struct hash digest = digest_of(scratch->store);
        help_close(scratch);
        pid_t child = fork();
        if (child == 0) {
            enum err err = store_open(scratch->path, &scratch->options, &scratch->store);
            fault_calls = 0;
            fault_at = k;
            fault_kind = FAULT_KILLS;
            _exit(err == ERR_OK && try_compact(scratch, &err) ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == 99 || WEXITSTATUS(status) == 0);
        ok(store_open(scratch->path, &scratch->options, &scratch->store));
        sound(scratch, &digest, k);
        assert_true(k < 5000);
    }
    buf_done(&filled);
}

static void every_failing_call_leaves_no_backup_or_a_whole_one(void **state)
{
    struct scratch *scratch = *state;
    char path[128];
    struct copy copy;
    fill(scratch, 12);
    backup_path(scratch, path);
    bool fired = true;
    for (unsigned k = 1; fired; k++) {
        fault_calls = 0;
        fault_at = k;
        fault_code = EIO;
        fault_fired = false;
        fault_kind = FAULT_FAILS;
        enum err err = copy_backup(scratch->store, path, &copy);
        fault_kind = FAULT_NONE;
        fired = fault_fired;
        assert_false(there(scratch, "copy.tmp"));
        if (err != ERR_OK && there(scratch, "copy")) { /* all but its name was made sure of */
            assert_int_equal(unlink(path), 0);
        }
        if (err == ERR_OK) {
            assert_true(there(scratch, "copy"));
            assert_int_equal(unlink(path), 0);
        }
        assert_true(k < 5000);
    }
    assert_int_equal(help_scrub(scratch, 100), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_withdrawn_is_in_a_compacted_store),
        TEST(a_compacted_store_keeps_its_name_and_its_arrivals),
        TEST(a_state_before_the_swap_is_not_taken_for_one_after_it),
        TEST(staged_bodies_survive_a_compaction),
        TEST(former_revisions_are_kept_until_they_are_dropped),
        TEST(garbage_is_remembered_across_a_restart_and_not_when_undone),
        TEST(a_copy_that_was_cut_short_is_gone_at_the_next_start),
        TEST(a_large_store_is_copied_in_several_commits),
        TEST(a_damaged_store_is_not_copied),
        TEST(a_backup_holds_the_same_and_nothing_withdrawn),
        TEST(a_backup_put_back_is_another_store_once),
        TEST(a_backup_replaces_nothing),
        TEST(a_backup_says_why_it_cannot_be_written),
        TEST(too_little_room_is_said_before_anything_is_written),
        TEST(every_failing_call_leaves_the_old_store_or_the_new_one),
        TEST(a_disk_that_fills_up_anywhere_leaves_the_old_store_or_the_new_one),
        TEST(a_kill_at_any_call_leaves_the_old_store_or_the_new_one),
        TEST(every_failing_call_leaves_no_backup_or_a_whole_one),
    };
    return cmocka_run_group_tests_name("store_copy", tests, NULL, NULL);
}
