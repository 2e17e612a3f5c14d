/* SPDX-License-Identifier: EUPL-1.2 */
/* Transactions: all or nothing, sticky errors, the end of promises after EIO. The test program's
 * own fdatasync, pwrite and writev stand before libc's, so that liblmdb meets the faults. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include "store_help.h"

static int sync_fault, write_fault; /* errno to give, 0 = none */
static bool write_short;
static bool meta_faults; /* in writes of meta pages, else of all others */
static bool disk_full;   /* as statvfs tells */

int fstatvfs(int fd, struct statvfs *ret_disk)
{
    static int (*next)(int, struct statvfs *);
    if (next == NULL) {
        next = (__typeof__(next)) dlsym(RTLD_NEXT, "fstatvfs");
        assert_non_null(next);
    }
    int result = next(fd, ret_disk);
    ret_disk->f_bavail = disk_full ? 0 : ret_disk->f_bavail;
    return result;
}

int fdatasync(int fd)
{
    if (sync_fault != 0) {
        errno = sync_fault;
        return -1;
    }
    return fsync(fd);
}

static ssize_t faulty_pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    bool meta = at >= 0 && at < 2 * 4096;
    if (meta != meta_faults) {
        return pwritev2(fd, parts, count, at, 0);
    }
    if (write_fault != 0) {
        errno = write_fault;
        return -1;
    }
    if (write_short && parts[0].iov_len > 1) {
        struct iovec half = {.iov_base = parts[0].iov_base, .iov_len = parts[0].iov_len / 2};
        return pwritev2(fd, &half, 1, at, 0);
    }
    return pwritev2(fd, parts, count, at, 0);
}

ssize_t plain_pwrite(int fd, const void *data, size_t size, off_t at) __asm__("pwrite");
ssize_t plain_pwrite(int fd, const void *data, size_t size, off_t at)
{
    struct iovec one = {.iov_base = (void *) (uintptr_t) data, .iov_len = size};
    return faulty_pwritev(fd, &one, 1, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return faulty_pwritev(fd, parts, count, -1); /* -1: where the file stands */
}

static void put_one(struct txn *txn, uint64_t seq)
{
    uint8_t key[8];
    be64_put(key, seq);
    ok(txn_put(txn, TABLE_TRASH, BYTES_OF_ARRAY(key), bytes_of("", 0)));
}

static void what_is_committed_stays_and_what_is_ended_is_gone(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    assert_false(txn_dirty(txn));
    put_one(txn, 1);
    assert_true(txn_dirty(txn));
    ok(txn_commit(txn));
    txn = help_write(scratch);
    put_one(txn, 2);
    txn_end(txn);
    txn_end(NULL);
    help_reopen(scratch);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 1);
}

static void reading_leaves_a_transaction_clean(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[8] = {0};
    struct txn *txn = help_write(scratch);
    is_err(txn_del(txn, TABLE_TRASH, BYTES_OF_ARRAY(key)), ERR_NOT_FOUND);
    assert_false(txn_dirty(txn));
    ok(txn_commit(txn));
}

static void a_process_that_dies_before_the_commit_leaves_nothing(void **state)
{
    struct scratch *scratch = *state;
    help_close(scratch);
    for (unsigned commits = 0; commits < 2; commits++) {
        pid_t child = fork();
        if (child == 0) {
            struct store *store = NULL;
            struct txn *txn = NULL;
            if (store_open(scratch->path, &scratch->options, &store) != ERR_OK ||
                txn_begin_write(store, &txn) != ERR_OK) {
                _exit(1);
            }
            put_one(txn, commits);
            _exit(commits == 0 || txn_commit(txn) == ERR_OK ? 0 : 1);
        }
        int status = 1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        ok(store_open(scratch->path, &scratch->options, &scratch->store));
        assert_int_equal(help_rows(scratch, TABLE_TRASH), commits);
        help_close(scratch);
    }
}

static void a_spoiled_transaction_commits_nothing(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    put_one(txn, 1);
    is_err(txn_spoil(txn, ERR_CORRUPT), ERR_CORRUPT);
    is_err(txn_spoil(txn, ERR_FULL), ERR_FULL);
    put_one(txn, 2);
    is_err(txn_commit(txn), ERR_CORRUPT);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 0);
}

static void a_failed_write_spoils(void **state)
{
    struct scratch *scratch = *state;
    static const uint8_t long_key[600];
    struct txn *txn = help_write(scratch);
    put_one(txn, 1);
    is_err(txn_put(txn, TABLE_TRASH, BYTES_OF_ARRAY(long_key), bytes_of("", 0)), ERR_INTERNAL);
    is_err(txn_commit(txn), ERR_INTERNAL);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 0);
}

static void readers_see_their_snapshot(void **state)
{
    struct scratch *scratch = *state;
    struct txn *reader = help_read(scratch);
    uint64_t count = 9;
    struct txn *txn = help_write(scratch);
    put_one(txn, 1);
    ok(txn_commit(txn));
    ok(txn_rows(reader, TABLE_TRASH, &count));
    assert_int_equal(count, 0);
    txn_end(reader);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 1);
}

static void a_failed_sync_is_an_io_error_and_loses_nothing_before(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    put_one(txn, 1);
    ok(txn_commit(txn));
    txn = help_write(scratch);
    put_one(txn, 2);
    sync_fault = EIO;
    enum err err = txn_commit(txn);
    sync_fault = 0;
    is_err(err, ERR_IO);
    help_reopen(scratch);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 1);
}

static void a_write_without_room_leaves_the_store_usable(void **state)
{
    struct scratch *scratch = *state;
    static const int faults[] = {ENOSPC, EDQUOT, EFBIG};
    for (size_t i = 0; i < 3; i++) {
        struct txn *txn = help_write(scratch);
        put_one(txn, 1);
        write_fault = faults[i];
        enum err err = txn_commit(txn);
        write_fault = 0;
        is_err(err, ERR_FULL);
        assert_int_equal(help_rows(scratch, TABLE_TRASH), 0);
    }
    struct txn *txn = help_write(scratch);
    put_one(txn, 1);
    ok(txn_commit(txn));
}

static void a_write_cut_short_on_a_roomy_disk_is_an_io_error(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    put_one(txn, 1);
    write_short = true;
    enum err err = txn_commit(txn);
    write_short = false;
    is_err(err, ERR_IO);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 0);
}

static void a_write_cut_short_on_a_full_disk_is_a_lack_of_room(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    put_one(txn, 1);
    write_short = disk_full = true;
    enum err err = txn_commit(txn);
    write_short = disk_full = false;
    is_err(err, ERR_FULL);
    txn = help_write(scratch);
    put_one(txn, 1);
    ok(txn_commit(txn));
}

static void no_body_goes_behind_a_key_that_is_none(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[9], *value = NULL;
    uint64_t seq = 0;
    memset(key, 0xfe, sizeof key);
    help_row(scratch, TABLE_TRASH, BYTES_OF_ARRAY(key), bytes_of("", 0)); /* names no seq */
    struct txn *txn = help_write(scratch);
    ok(txn_append_body(txn, 10, &seq, &value));
    assert_int_equal(seq, 1);
    txn_end(txn);
    memset(key, 0xff, sizeof key);
    help_row(scratch, TABLE_TRASH, bytes_of(key, 8),
             bytes_of("", 0)); /* behind it, there is none */
    txn = help_write(scratch);
    ok(txn_append_body(txn, 10, &seq, &value));
    assert_int_equal(seq, 1);
    txn_end(txn);
    help_row(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), bytes_of_str("x"));
    txn = help_write(scratch);
    is_err(txn_append_body(txn, 10, &seq, &value), ERR_CORRUPT);
    txn_end(txn);
}

static void a_meta_page_that_fails_ends_this_opening(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    put_one(txn, 1);
    ok(txn_commit(txn));
    txn = help_write(scratch);
    put_one(txn, 2);
    meta_faults = true;
    write_fault = EIO;
    enum err err = txn_commit(txn);
    meta_faults = false;
    write_fault = 0;
    is_err(err, ERR_IO);
    is_err(txn_begin_write(scratch->store, &txn), ERR_IO);
    help_reopen(scratch);
    uint64_t count = help_rows(scratch, TABLE_TRASH);
    assert_true(count == 1 || count == 2); /* LMDB may have written either */
    txn = help_write(scratch);
    put_one(txn, 3);
    ok(txn_commit(txn));
}

static void foreign_codes_become_ours(void **state)
{
    (void) state;
    static const struct {
        int code;
        enum err err;
    } rows[] = {
        {0, ERR_OK},
        {MDB_NOTFOUND, ERR_NOT_FOUND},
        {MDB_KEYEXIST, ERR_EXISTS},
        {MDB_MAP_FULL, ERR_FULL},
        {MDB_TXN_FULL, ERR_FULL},
        {ENOSPC, ERR_FULL},
        {EDQUOT, ERR_FULL},
        {EFBIG, ERR_FULL},
        {MDB_CORRUPTED, ERR_CORRUPT},
        {MDB_PAGE_NOTFOUND, ERR_CORRUPT},
        {MDB_INVALID, ERR_CORRUPT},
        {MDB_VERSION_MISMATCH, ERR_SCHEMA},
        {MDB_READERS_FULL, ERR_BUSY},
        {ENOMEM, ERR_NOMEM},
        {MDB_PANIC, ERR_IO},
        {EIO, ERR_IO},
        {EACCES, ERR_IO},
        {MDB_BAD_TXN, ERR_INTERNAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        is_err(txn_err(rows[i].code), rows[i].err);
    }
}

static void more_readers_than_slots_are_told_to_wait(void **state)
{
    struct scratch *scratch = *state;
    struct txn *readers[200] = {0};
    size_t count = 0;
    enum err err = ERR_OK;
    while (count < 200 && (err = txn_begin_read(scratch->store, &readers[count])) == ERR_OK) {
        count++;
    }
    is_err(err, ERR_BUSY);
    for (size_t i = 0; i < count; i++) {
        txn_end(readers[i]);
    }
    txn_end(help_read(scratch));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_committed_stays_and_what_is_ended_is_gone,
                                        help_setup, help_teardown),
        cmocka_unit_test_setup_teardown(reading_leaves_a_transaction_clean, help_setup,
                                        help_teardown),
        cmocka_unit_test_setup_teardown(a_process_that_dies_before_the_commit_leaves_nothing,
                                        help_setup, help_teardown),
        cmocka_unit_test_setup_teardown(a_spoiled_transaction_commits_nothing, help_setup,
                                        help_teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_spoils, help_setup, help_teardown),
        cmocka_unit_test_setup_teardown(readers_see_their_snapshot, help_setup, help_teardown),
        cmocka_unit_test_setup_teardown(a_failed_sync_is_an_io_error_and_loses_nothing_before,
                                        help_setup, help_teardown),
        cmocka_unit_test_setup_teardown(a_write_without_room_leaves_the_store_usable, help_setup,
                                        help_teardown),
        cmocka_unit_test_setup_teardown(a_write_cut_short_on_a_roomy_disk_is_an_io_error,
                                        help_setup, help_teardown),
        cmocka_unit_test_setup_teardown(a_write_cut_short_on_a_full_disk_is_a_lack_of_room,
                                        help_setup, help_teardown),
        cmocka_unit_test_setup_teardown(no_body_goes_behind_a_key_that_is_none, help_setup,
                                        help_teardown),
        cmocka_unit_test_setup_teardown(a_meta_page_that_fails_ends_this_opening, help_setup,
                                        help_teardown),
        cmocka_unit_test(foreign_codes_become_ours),
        cmocka_unit_test_setup_teardown(more_readers_than_slots_are_told_to_wait, help_setup,
                                        help_teardown),
    };
    return cmocka_run_group_tests_name("store_txn", tests, NULL, NULL);
}
