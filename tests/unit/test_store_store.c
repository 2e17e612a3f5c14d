/* SPDX-License-Identifier: EUPL-1.2 */
/* Opening, refusing, room, and giving memory back. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "store_help.h"
#include "store/copy.h"

static mode_t mode_of(const char *dir, const char *name)
{
    char path[128];
    struct stat stat_;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(stat(path, &stat_), 0);
    return stat_.st_mode & 07777;
}

static void modes_do_not_depend_on_the_umask(void **state)
{
    struct scratch *scratch = *state;
    static const mode_t masks[] = {0, 0277, 0777};
    for (size_t i = 0; i < 3; i++) {
        help_close(scratch);
        char path[112];
        snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
        assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof path, "%s/lock.mdb", scratch->path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(scratch->path), 0);
        mode_t before = umask(masks[i]);
        enum err err = store_open(scratch->path, &scratch->options, &scratch->store);
        (void) umask(before);
        ok(err);
        assert_int_equal(mode_of(scratch->path, "."), 0700);
        assert_int_equal(mode_of(scratch->path, "data.mdb"), 0600);
        assert_int_equal(mode_of(scratch->path, "lock.mdb"), 0600);
    }
}

static void loose_modes_are_tightened(void **state)
{
    struct scratch *scratch = *state;
    char path[112];
    help_close(scratch);
    snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
    assert_int_equal(chmod(path, 0644), 0);
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
    assert_int_equal(mode_of(scratch->path, "data.mdb"), 0600);
}

static void the_dice_of_the_first_opening_stand(void **state)
{
    struct scratch *scratch = *state;
    uint8_t index[INSTANCE_SIZE], instance[INSTANCE_SIZE];
    memset(index, 0x11, sizeof index);
    memset(instance, 0x22, sizeof instance);
    memset(scratch->options.fresh_index, 0x33, INSTANCE_SIZE);
    help_reopen(scratch);
    assert_memory_equal(store_index(scratch->store), index, INSTANCE_SIZE);
    assert_memory_equal(store_instance(scratch->store), instance, INSTANCE_SIZE);
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
    struct scratch *scratch = *state;
    struct buf before = {0}, after = {0};
    uint8_t schema[4];
    be32_put(schema, STORE_SCHEMA + 1);
    help_row(scratch, TABLE_META, bytes_of_str("schema"), BYTES_OF_ARRAY(schema));
    help_close(scratch);
    help_file(scratch, &before);
    is_err(store_open(scratch->path, &scratch->options, &scratch->store), ERR_SCHEMA);
    help_file(scratch, &after);
    assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    buf_done(&before);
    buf_done(&after);
}

static void brought_up(struct scratch *scratch, void (*make)(struct scratch *scratch))
{
    struct bytes schema, entry;
    struct slug_hash slug = help_slug(3);
    help_lab(scratch);
    (void) help_publish(scratch, 0, 20, 1, 300);
    help_close(scratch);
    make(scratch);
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
    struct txn *txn = help_read(scratch);
    ok(txn_get(txn, TABLE_META, bytes_of_str("schema"), &schema));
    assert_int_equal(be32_get(schema.data), STORE_SCHEMA);
    ok(catalogue_entry(txn, 1, &slug, &entry));
    txn_end(txn);
    assert_int_equal(help_rows(scratch, TABLE_SIDES), 0);
    assert_int_equal(help_rows(scratch, TABLE_FORKS), 0);
    assert_int_equal(help_rows(scratch, TABLE_KEPT), 0);
    assert_int_equal(help_rows(scratch, TABLE_LOST), 0);
    assert_true(store_erase_due(scratch->store)); /* it noted no garbage */
    assert_int_equal(help_scrub(scratch, 100), 0);
    (void) help_publish(scratch, 20, 1, 1, 300);
    help_reopen(scratch);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void schema_put(struct scratch *scratch, uint32_t number)
{
    uint8_t schema[4];
    be32_put(schema, number);
    help_row(scratch, TABLE_META, bytes_of_str("schema"), BYTES_OF_ARRAY(schema));
}

/* Rows of `gone` and `retired` as schema 2 had them. */
static void slugs_remember(struct scratch *scratch, unsigned count)
{
    struct txn *txn = help_write(scratch);
    for (unsigned i = 0; i < count; i++) {
        uint8_t gone[GONE_KEY_SIZE] = {0}, retired[4 + SLUG_HASH_SIZE], age[8] = {0};
        struct slug_hash slug = help_slug(i);
        be32_put(gone, 1);
        be64_put(gone + 4, 2);
        memcpy(gone + 12, slug.bytes, SLUG_HASH_SIZE);
        be32_put(retired, 1);
        memcpy(retired + 4, slug.bytes, SLUG_HASH_SIZE);
        ok(txn_put(txn, TABLE_GONE, BYTES_OF_ARRAY(gone), BYTES_OF_ARRAY(age)));
        ok(txn_put(txn, TABLE_RETIRED, BYTES_OF_ARRAY(retired),
                   bytes_of_str(i % 2 == 0 ? "innovation" : "need")));
    }
    ok(txn_commit(txn));
}

static void a_store_of_schema_2_forgets_which_slugs_were_withdrawn(void **state)
{
    struct scratch *scratch = *state;
    struct bytes kind;
    struct copy copy = {0};
    struct buf file = {0};
    bool swapped = false;
    help_lab(scratch);
    (void) help_publish(scratch, 100, 5, 1, 300);
    slugs_remember(scratch, 50);
    help_row(scratch, TABLE_RETIRED, bytes_of("odd", 3), bytes_of_str("need")); /* bit rot */
    schema_put(scratch, 2);
    help_close(scratch);
    memset(scratch->options.retired_key, 8, KEY_SIZE);
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
    assert_int_equal(help_rows(scratch, TABLE_GONE), 0);
    assert_int_equal(help_rows(scratch, TABLE_RETIRED), 50);
    for (unsigned round = 0; round < 2; round++) { /* at once, and at the next start */
        struct txn *txn = help_read(scratch);
        for (unsigned i = 0; i < 50; i++) {
            struct slug_hash slug = help_slug(i);
            ok(retired_get(txn, 1, &slug, &kind));
            assert_true(bytes_equal(kind, bytes_of_str(i % 2 == 0 ? "innovation" : "need")));
        }
        txn_end(txn);
        assert_int_equal(help_scrub(scratch, 100), 0);
        help_reopen(scratch);
    }
    assert_true(store_erase_due(scratch->store));
    ok(copy_compact(scratch->store, &copy));
    ok(copy_swap(scratch->store, &swapped));
    assert_true(swapped);
    help_close(scratch);
    help_file(scratch, &file);
    for (unsigned i = 0; i < 50; i++) {
        struct slug_hash slug = help_slug(i);
        assert_null(memmem(file.data, file.size, slug.bytes, SLUG_HASH_SIZE));
    }
    buf_done(&file);
}

static void a_store_of_schema_1_is_brought_up_with_all_it_holds(void **state)
{
    brought_up(*state, help_schema_1);
}

static void a_store_of_schema_2_is_brought_up_with_all_it_holds(void **state)
{
    brought_up(*state, help_schema_2);
}

static void a_store_of_schema_2_reads_its_peers_anew_for_their_receipts(void **state)
{
    struct scratch *scratch = *state;
    struct peer_row peer = {.lab = scratch->keys.lab, .has_index = true, .cursor = 77}, found;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 20, 1, 300);
    struct txn *txn = help_write(scratch);
    for (unsigned i = 0; i < 3; i++) {
        peer.lab.bytes[0] = (uint8_t) i;
        ok(peer_put(txn, &peer));
    }
    ok(txn_commit(txn));
    help_close(scratch);
    help_schema_2(scratch);
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
    txn = help_read(scratch);
    for (unsigned i = 0; i < 3; i++) {
        peer.lab.bytes[0] = (uint8_t) i;
        ok(peer_get(txn, &peer.lab, &found));
        assert_int_equal(found.cursor, 0);
        assert_true(found.has_index);
    }
    txn_end(txn);
    assert_int_equal(help_rows(scratch, TABLE_RECEIPTS), 0);
    assert_int_equal(help_rows(scratch, TABLE_WITHDRAWN), 0);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void a_table_lost_from_a_store_of_schema_1_is_damage(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    assert_int_equal(mdb_drop(txn->mdb, scratch->store->tables[TABLE_GONE], 1), 0);
    ok(txn_put(txn, TABLE_META, bytes_of_str("schema"), bytes_of("\0\0\0\1", 4)));
    ok(txn_commit(txn));
    help_close(scratch);
    is_err(store_open(scratch->path, &scratch->options, &scratch->store), ERR_CORRUPT);
}

static void foreign_files_are_refused(void **state)
{
    struct scratch *scratch = *state;
    help_close(scratch);
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    char path[112];
    snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 1), 0);
    assert_int_equal(mdb_env_open(env, scratch->path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "other", MDB_CREATE, &dbi), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    is_err(store_open(scratch->path, &scratch->options, &scratch->store), ERR_SCHEMA);

    uint8_t noise[8192];
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (uint8_t) help_random(scratch);
    }
    help_file_put(scratch, BYTES_OF_ARRAY(noise));
    is_err(store_open(scratch->path, &scratch->options, &scratch->store), ERR_CORRUPT);
}

static void what_is_no_file_or_no_directory_is_refused(void **state)
{
    struct scratch *scratch = *state;
    char path[112], other[112];
    help_close(scratch);
    snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
    snprintf(other, sizeof other, "%s/elsewhere", scratch->dir);
    is_err(store_open(path, &scratch->options, &scratch->store), ERR_IO);
    is_err(store_open("/nonexistent/store", &scratch->options, &scratch->store), ERR_IO);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    is_err(store_open(scratch->path, &scratch->options, &scratch->store), ERR_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    is_err(store_open(scratch->path, &scratch->options, &scratch->store), ERR_IO);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(unlink(other), 0);
}

static void lost_meta_rows_and_tables_are_seen(void **state)
{
    struct scratch *scratch = *state;
    struct buf good = {0};
    static const char *const names[] = {"schema", "index", "instance"};
    static const enum err wanted[] = {ERR_SCHEMA, ERR_CORRUPT, ERR_CORRUPT};
    help_close(scratch);
    help_file(scratch, &good);
    for (size_t i = 0; i < 3; i++) {
        help_file_put(scratch, buf_bytes(&good));
        ok(store_open(scratch->path, &scratch->options, &scratch->store));
        struct txn *txn = help_write(scratch);
        ok(txn_del(txn, TABLE_META, bytes_of_str(names[i])));
        ok(txn_commit(txn));
        help_close(scratch);
        is_err(store_open(scratch->path, &scratch->options, &scratch->store), wanted[i]);
    }
    help_file_put(scratch, buf_bytes(&good));
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
    struct txn *txn = help_write(scratch);
    assert_int_equal(mdb_drop(txn->mdb, scratch->store->tables[TABLE_TRASH], 1), 0);
    ok(txn_commit(txn));
    help_close(scratch);
    is_err(store_open(scratch->path, &scratch->options, &scratch->store), ERR_CORRUPT);
    buf_done(&good);
}

static void a_file_shorter_than_its_last_page_is_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct buf bytes = {0};
    (void) help_publish(scratch, 0, 200, 1, 900);
    help_close(scratch);
    help_file(scratch, &bytes);
    for (size_t cut = 1; cut < bytes.size - 3 * 4096; cut += 4096 * 7 + 1) {
        help_file_put(scratch, bytes_of(bytes.data, bytes.size - cut));
        is_err(store_open(scratch->path, &scratch->options, &scratch->store), ERR_CORRUPT);
        char path[112];
        struct stat stat_;
        snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
        assert_int_equal(stat(path, &stat_), 0);
        assert_int_equal(stat_.st_size, bytes.size - cut);
    }
    buf_done(&bytes);
}

/* How many bytes the file lacks of its last page. */
static uint64_t missing_tail(struct scratch *scratch)
{
    char path[112];
    struct stat stat_;
    MDB_envinfo info;
    assert_int_equal(mdb_env_info(scratch->store->env, &info), 0);
    snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
    assert_int_equal(stat(path, &stat_), 0);
    uint64_t wanted = ((uint64_t) info.me_last_pgno + 1) * 4096;
    return wanted > (uint64_t) stat_.st_size ? wanted - (uint64_t) stat_.st_size : 0;
}

static void random_bodies(struct scratch *scratch)
{
    static const uint8_t zeros[6000];
    struct txn *txn = help_write(scratch);
    size_t size_max = help_random(scratch) % 3 == 0 ? 1000 : sizeof zeros;
    for (uint64_t count = help_random(scratch) % 200; count > 0; count--) {
        uint8_t key[8];
        be64_put(key, help_random(scratch) % 400);
        size_t size = help_random(scratch) % size_max;
        if (help_random(scratch) % 2 == 0) {
            ok(txn_put(txn, TABLE_BODIES, BYTES_OF_ARRAY(key), bytes_of(zeros, size)));
        } else {
            enum err err = txn_del(txn, TABLE_BODIES, BYTES_OF_ARRAY(key));
            assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
        }
    }
    if (help_random(scratch) % 4 == 0) {
        assert_int_equal(mdb_drop(txn->mdb, scratch->store->tables[TABLE_BODIES], 0), 0);
    }
    ok(txn_commit(txn));
}

/* LMDB does not write pages that one transaction took and gave back, and now and then (5 in 18,000
 * commits of this kind) those are the last ones. This seed gets there soon with LMDB 0.9.24. */
static void a_file_that_lacks_free_pages_only_opens(void **state)
{
    struct scratch *scratch = *state;
    scratch->random = 125 * 0x9E3779B97F4A7C15ull;
    for (unsigned i = 0; i < 60 && missing_tail(scratch) == 0; i++) {
        random_bodies(scratch);
    }
    if (missing_tail(scratch) == 0) {
        print_message("this LMDB wrote its last page: skipped\n");
        skip();
    }
    help_reopen(scratch);
    struct txn *txn = help_write(scratch);
    assert_int_equal(mdb_drop(txn->mdb, scratch->store->tables[TABLE_BODIES], 0), 0);
    ok(txn_commit(txn));
    help_lab(scratch);
    (void) help_publish(scratch, 3, 50, 1, 5000);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void trimming_keeps_everything(void **state)
{
    struct scratch *scratch = *state;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 500, 1, 900);
    ok(store_trim(scratch->store));
    assert_int_equal(help_rows(scratch, TABLE_SLUGS), 500);
    (void) help_publish(scratch, 500, 10, 1, 900);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void a_store_lost_while_trimming_answers_with_errors(void **state)
{
    struct scratch *scratch = *state;
    char path[112];
    struct txn *txn = NULL;
    struct store_space space;
    snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    is_err(store_trim(scratch->store), ERR_IO);
    is_err(txn_begin_read(scratch->store, &txn), ERR_IO);
    is_err(txn_begin_write(scratch->store, &txn), ERR_IO);
    is_err(store_room(scratch->store), ERR_IO);
    is_err(store_space(scratch->store, &space), ERR_IO);
    is_err(store_trim(scratch->store), ERR_IO);
    assert_int_equal(rmdir(path), 0);
}

/* ---- room ---- */

static void small_map(struct scratch *scratch, uint64_t size)
{
    scratch->options.map_size = size;
    help_reopen(scratch);
}

static void a_full_map_refuses_and_recovers(void **state)
{
    struct scratch *scratch = *state;
    struct buf entry = {0};
    uint64_t seq, first = 0, last = 0;
    small_map(scratch, 1024 * 1024);
    help_lab(scratch);
    (void) help_publish(scratch, 0, 20, 1, 900);
    help_entry(1000, 2, 1, 30000, &entry);
    ok(store_room(scratch->store));
    enum err err = ERR_OK;
    for (unsigned i = 0; i < 100 && err == ERR_OK; i++) {
        struct txn *txn = help_write(scratch);
        err = body_append(txn, 1, buf_bytes(&entry), &seq);
        enum err committed = txn_commit(txn);
        assert_int_equal(committed, err); /* spoiled */
        if (err == ERR_OK) {
            first = first == 0 ? seq : first;
            last = seq;
        }
    }
    is_err(err, ERR_FULL);
    assert_true(last > first);
    is_err(store_room(scratch->store), ERR_FULL);
    struct txn *txn = help_read(scratch);
    struct slug_hash slug = help_slug(3);
    struct bytes found;
    ok(catalogue_entry(txn, 1, &slug, &found));
    txn_end(txn);
    for (seq = first; seq <= last; seq++) {
        txn = help_write(scratch);
        uint8_t key[8];
        be64_put(key, seq);
        ok(txn_del(txn, TABLE_BODIES, BYTES_OF_ARRAY(key)));
        ok(txn_commit(txn));
    }
    ok(store_room(scratch->store));
    (void) help_publish(scratch, 20, 20, 1, 900);
    assert_int_equal(help_scrub(scratch, 100), 0);
    buf_done(&entry);
}

static void a_file_size_limit_refuses_and_recovers(void **state)
{
    struct scratch *scratch = *state;
    struct rlimit before, limit;
    struct buf entry = {0};
    uint64_t seq;
    (void) signal(SIGXFSZ, SIG_IGN);
    help_lab(scratch);
    (void) help_publish(scratch, 0, 20, 1, 900);
    help_entry(1000, 2, 1, 50000, &entry);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t size = 300000; size < 340000; size += 1237) { /* on a page's border and within */
        limit = (struct rlimit){.rlim_cur = size, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        struct txn *txn = help_write(scratch);
        for (unsigned i = 0; i < 10; i++) {
            ok(body_append(txn, 1, buf_bytes(&entry), &seq));
        }
        enum err err = txn_commit(txn);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        is_err(err, ERR_FULL);
        assert_int_equal(help_rows(scratch, TABLE_BODIES), 20);
    }
    (void) help_publish(scratch, 20, 200, 1, 900);
    assert_int_equal(help_scrub(scratch, 100), 0);
    buf_done(&entry);
}

static bool file_says(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool said = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);
    if (fd >= 0) {
        (void) close(fd);
    }
    return said;
}

/* Mounts that nobody else sees: as root, or as root of a user namespace. */
static bool own_mounts(void)
{
    char map[64];
    snprintf(map, sizeof map, "0 %u 1", (unsigned) getuid());
    if (unshare(CLONE_NEWNS) != 0 &&
        (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !file_says("/proc/self/uid_map", map))) {
        return false;
    }
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* In a namespace of its own, on a disk of 3 MiB: fills it, then looks and goes on. */
static int on_a_tiny_disk(struct scratch *scratch)
{
    struct store *store = NULL;
    struct txn *txn = NULL;
    struct buf entry = {0};
    uint64_t seq;
    if (!own_mounts() || mount("none", scratch->path, "tmpfs", 0, "size=3m") != 0) {
        return 77;
    }
    if (store_open(scratch->path, &scratch->options, &store) != ERR_OK) {
        return 2;
    }
    if (store_room(store) != ERR_FULL) { /* the reserve is larger than this disk */
        return 3;
    }
    help_entry(1, 1, 1, 30011, &entry);
    enum err err = ERR_OK;
    unsigned done = 0;
    for (unsigned i = 0; i < 400 && err == ERR_OK; i++) {
        if (txn_begin_write(store, &txn) != ERR_OK) {
            return 4;
        }
        for (unsigned k = 0; k < 1 + i % 5; k++) {
            if (body_append(txn, 1, buf_bytes(&entry), &seq) != ERR_OK) {
                return 5;
            }
        }
        err = txn_commit(txn);
        done += err == ERR_OK ? 1 + i % 5 : 0;
    }
    if (err != ERR_FULL || txn_begin_write(store, &txn) != ERR_OK) {
        return 6;
    }
    uint64_t count = 0;
    if (txn_rows(txn, TABLE_BODIES, &count) != ERR_OK || count != done) {
        return 7;
    }
    for (seq = 1; seq < 20; seq++) {
        uint8_t key[8];
        be64_put(key, seq);
        if (txn_del(txn, TABLE_BODIES, BYTES_OF_ARRAY(key)) != ERR_OK) {
            return 8;
        }
    }
    err = txn_commit(txn); /* may itself find no room: it writes a few pages first */
    if (err != ERR_OK && err != ERR_FULL) {
        return 10;
    }
    store_close(store);
    return store_open(scratch->path, &scratch->options, &store) == ERR_OK ? 0 : 9;
}

static void a_full_disk_refuses_and_recovers(void **state)
{
    struct scratch *scratch = *state;
    pid_t child = fork();
    if (child == 0) {
        _exit(on_a_tiny_disk(scratch));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no tmpfs of our own here: skipped\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void space_adds_up(void **state)
{
    struct scratch *scratch = *state;
    struct store_space before, after;
    ok(store_space(scratch->store, &before));
    assert_int_equal(before.map, scratch->options.map_size);
    assert_true(before.used <= before.file);
    assert_true(before.disk_free <= before.disk_size);
    (void) help_publish(scratch, 0, 100, 1, 900);
    ok(store_space(scratch->store, &after));
    assert_true(after.used >= before.used + 100 * 900);
    assert_true(after.used <= after.file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(modes_do_not_depend_on_the_umask),
        TEST(loose_modes_are_tightened),
        TEST(the_dice_of_the_first_opening_stand),
        TEST(a_newer_schema_is_refused_and_left_alone),
        TEST(a_store_of_schema_1_is_brought_up_with_all_it_holds),
        TEST(a_store_of_schema_2_forgets_which_slugs_were_withdrawn),
        TEST(a_store_of_schema_2_is_brought_up_with_all_it_holds),
        TEST(a_store_of_schema_2_reads_its_peers_anew_for_their_receipts),
        TEST(a_table_lost_from_a_store_of_schema_1_is_damage),
        TEST(foreign_files_are_refused),
        TEST(what_is_no_file_or_no_directory_is_refused),
        TEST(lost_meta_rows_and_tables_are_seen),
        TEST(a_file_shorter_than_its_last_page_is_corrupt),
        TEST(a_file_that_lacks_free_pages_only_opens),
        TEST(trimming_keeps_everything),
        TEST(a_store_lost_while_trimming_answers_with_errors),
        TEST(a_full_map_refuses_and_recovers),
        TEST(a_file_size_limit_refuses_and_recovers),
        TEST(a_full_disk_refuses_and_recovers),
        TEST(space_adds_up),
    };
    return cmocka_run_group_tests_name("store_store", tests, NULL, NULL);
}
