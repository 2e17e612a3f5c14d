/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * Every call that can fail fails once, at every place: a life of a store runs again and again, and
 * each time the k-th call of LMDB (or of malloc) gives an error. The life must stop with an error
 * of ours, leak nothing, and leave a store that opens and is sound.
 *
 * This program's own mdb_* stand before liblmdb's and hand on to them; calloc and the like come by
 * way of the linker's --wrap.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>

#include "store_help.h"

/* ---- faults ---- */

static unsigned fault_at, fault_calls; /* 0 = none; how many calls were made */
static int fault_code;
static bool fault_fired;

static bool fault(void)
{
    fault_calls++;
    if (fault_at == 0 || fault_calls != fault_at) {
        return false;
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

#define HANDS_ON(name, params, args)                                                               \
    int name params                                                                                \
    {                                                                                              \
        static int(*next) params;                                                                  \
        if (next == NULL) {                                                                        \
            next = (__typeof__(next)) real(#name);                                                 \
        }                                                                                          \
        return fault_code != ENOMEM && fault() ? fault_code : next args;                           \
    }

HANDS_ON(mdb_get, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *value),
         (txn, dbi, key, value))
HANDS_ON(mdb_put, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags),
         (txn, dbi, key, value, flags))
HANDS_ON(mdb_del, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *value),
         (txn, dbi, key, value))
HANDS_ON(mdb_cursor_open, (MDB_txn * txn, MDB_dbi dbi, MDB_cursor **cursor), (txn, dbi, cursor))
HANDS_ON(mdb_cursor_get, (MDB_cursor * cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op),
         (cursor, key, value, op))
HANDS_ON(mdb_cursor_put, (MDB_cursor * cursor, MDB_val *key, MDB_val *value, unsigned flags),
         (cursor, key, value, flags))
HANDS_ON(mdb_cursor_del, (MDB_cursor * cursor, unsigned flags), (cursor, flags))
HANDS_ON(mdb_dbi_open, (MDB_txn * txn, const char *name, unsigned flags, MDB_dbi *dbi),
         (txn, name, flags, dbi))
HANDS_ON(mdb_stat, (MDB_txn * txn, MDB_dbi dbi, MDB_stat *stat_), (txn, dbi, stat_))
HANDS_ON(mdb_env_create, (MDB_env * *env), (env))
HANDS_ON(mdb_env_open, (MDB_env * env, const char *path, unsigned flags, mdb_mode_t mode),
         (env, path, flags, mode))
HANDS_ON(mdb_env_set_maxdbs, (MDB_env * env, MDB_dbi count), (env, count))
HANDS_ON(mdb_env_set_mapsize, (MDB_env * env, size_t size), (env, size))
HANDS_ON(mdb_env_info, (MDB_env * env, MDB_envinfo *info), (env, info))
HANDS_ON(mdb_env_stat, (MDB_env * env, MDB_stat *stat_), (env, stat_))
HANDS_ON(mdb_env_get_fd, (MDB_env * env, mdb_filehandle_t *fd), (env, fd))
HANDS_ON(mdb_reader_check, (MDB_env * env, int *dead), (env, dead))
HANDS_ON(mdb_txn_begin, (MDB_env * env, MDB_txn *parent, unsigned flags, MDB_txn **txn),
         (env, parent, flags, txn))

/* What a crash would lose is no matter here: nothing waits for a disk. */
int fdatasync(int fd)
{
    (void) fd;
    return fault_code == EIO && fault() ? (errno = EIO, -1) : 0;
}

int fsync(int fd)
{
    return fdatasync(fd);
}

/* LMDB's own call: <fcntl.h> gives the name another symbol. */
int open_unsynced(const char *path, int flags, ...) __asm__("open");
int open_unsynced(const char *path, int flags, ...)
{
    static int (*next)(const char *, int, ...);
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (next == NULL) {
        next = (__typeof__(next)) real("open");
    }
    return next(path, flags & ~O_DSYNC, mode);
}

#define WRAPPED(name, params, args)                                                                \
    void *__real_##name params;                                                                    \
    void *__wrap_##name params;                                                                    \
    void *__wrap_##name params                                                                     \
    {                                                                                              \
        return fault_code == ENOMEM && fault() ? NULL : __real_##name args;                        \
    }
WRAPPED(malloc, (size_t size), (size))
WRAPPED(calloc, (size_t count, size_t size), (count, size))
WRAPPED(realloc, (void *old, size_t size), (old, size))
WRAPPED(strdup, (const char *text), (text))

/* ---- a life ---- */

#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum err tried = (call);                                                                   \
        if (tried != ERR_OK) {                                                                     \
            return tried;                                                                          \
        }                                                                                          \
    } while (0)

/* What the life publishes is made before the faults begin. */
#define CHAIN_N 6

struct life {
    struct scratch *scratch;
    struct buf record_bytes, entries[12], signed_head;
    struct lab_record record;
    struct change_list list;
    struct opening chain; /* of the heads before CHAIN_N, with a side */
    struct buf proof;
};

static enum err life_bodies(struct life *life, struct txn *txn, uint32_t id, unsigned first,
                            unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        struct bytes bytes = buf_bytes(&life->entries[i]);
        struct change change = {.slug_hash = help_slug(i % 8),
                                .leaf = entry_leaf(bytes),
                                .rev = i < 8 ? 1 : 2,
                                .size = (uint32_t) bytes.size,
                                .order = i};
        TRY(body_append(txn, id, bytes, &change.seq));
        TRY(change_add(&life->list, &change));
        if (i == 0) {
            TRY(staging_put(txn, id, &(struct staging){.first_seq = change.seq}));
        }
    }
    return ERR_OK;
}

static enum err life_apply(struct life *life, struct txn *txn, uint32_t id)
{
    struct plan plan;
    struct held_head held;
    defer(buf_done) struct buf dropped = {0};
    TRY(change_settle(&life->list, &dropped));
    TRY(bodies_drop(txn, &dropped));
    TRY(catalogue_plan(txn, id, &life->list, &plan));
    struct head head = {.lab = life->scratch->name.lab,
                        .generation = 1,
                        .audience = "public",
                        .n = 1,
                        .count = plan.count,
                        .bytes = plan.bytes,
                        .root = plan.root};
    enum err err = catalogue_head(txn, id, &held);
    if (err == ERR_OK) {
        head.n = held.head.n + 1;
        head.history = history_next(&held.head.history, &held.head.hash);
    } else if (err != ERR_NOT_FOUND) {
        return err;
    }
    buf_clear(&life->signed_head);
    TRY(head_sign(&head, life->scratch->keys.signing_secret, &life->signed_head));
    struct apply apply = {.id = id,
                          .list = &life->list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&life->signed_head),
                          .from = life->scratch->keys.lab,
                          .now_s = 1000};
    uint64_t arrival;
    TRY(catalogue_apply(txn, &apply, &arrival));
    change_done(&life->list);
    return ERR_OK;
}

static enum err life_first(struct life *life, struct txn *txn)
{
    uint64_t arrival;
    uint32_t id;
    TRY(lab_put(txn, &life->record, buf_bytes(&life->record_bytes), &life->record.lab, &arrival));
    TRY(catalogue_open(txn, &life->scratch->name, &id));
    TRY(life_bodies(life, txn, id, 0, 8));
    struct peer_row peer = {.cursor = 1};
    TRY(peer_put(txn, &peer));
    return ERR_OK;
}

static enum err life_second(struct life *life, struct txn *txn)
{
    struct staging staging;
    change_done(&life->list);
    TRY(staging_get(txn, 1, &staging));
    TRY(staging_load(txn, 1, &staging, &life->list));
    TRY(life_apply(life, txn, 1));
    TRY(staging_close(txn, 1));
    return ERR_OK;
}

static enum err life_third(struct life *life, struct txn *txn)
{
    struct slug_hash slug = help_slug(5);
    bool left;
    TRY(life_bodies(life, txn, 1, 8, 4));
    help_withdraw(&life->list, 5);
    TRY(life_apply(life, txn, 1));
    TRY(retired_put(txn, 1, &slug, bytes_of_str("innovation")));
    uint64_t seq;
    TRY(body_append(txn, 1, buf_bytes(&life->entries[1]), &seq));
    TRY(staging_put(txn, 1, &(struct staging){.first_seq = seq, .m = 1}));
    TRY(staging_drop(txn, 1));
    TRY(body_append(txn, 1, buf_bytes(&life->entries[2]), &seq));
    TRY(body_drop(txn, seq));
    return catalogue_chores(txn, 1000, 100, &left);
}

/* The chain up to head n, with its sides or without, in place of what is held. */
static enum err life_replace(struct life *life, struct txn *txn, uint64_t n, bool sides)
{
    static const struct hash zero;
    struct plan plan;
    struct head head = {
        .lab = life->scratch->name.lab, .generation = 1, .audience = "public", .n = n};
    uint64_t arrival;
    TRY(change_settle(&life->list, NULL));
    TRY(catalogue_plan(txn, 1, &life->list, &plan));
    head.count = plan.count;
    head.bytes = plan.bytes;
    head.root = plan.root;
    TRY(opening_history(&life->chain, &zero, NULL, NULL, n, &head.history));
    buf_clear(&life->signed_head);
    TRY(head_sign(&head, life->scratch->keys.signing_secret, &life->signed_head));
    struct apply apply = {.id = 1,
                          .list = &life->list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&life->signed_head),
                          .opening = bytes_of(life->chain.hashes.data, (n - 1) * HASH_SIZE),
                          .opening_from = 1,
                          .chain = sides ? &life->chain : NULL,
                          .replace = true,
                          .from = life->scratch->keys.lab,
                          .now_s = 1000};
    TRY(catalogue_apply(txn, &apply, &arrival));
    change_done(&life->list);
    return ERR_OK;
}

/* A longer chain with a side, a shorter one (hashes, sides and hints go), the longer one again. */
static enum err life_chains(struct life *life, struct txn *txn)
{
    struct change withdrawal = {.slug_hash = help_slug(6)};
    struct plan alone;
    defer(buf_done) struct buf pairs = {0};
    unsigned bucket = bucket_of(&withdrawal.slug_hash);
    TRY(change_add(&life->list, &withdrawal));
    TRY(catalogue_pairs(txn, 1, &life->list, bucket, &pairs));
    TRY(catalogue_pairs(txn, 1, NULL, bucket, &pairs));
    TRY(change_plan(&life->list, &alone));
    TRY(life_replace(life, txn, CHAIN_N, true));
    TRY(life_replace(life, txn, 2, false));
    return life_replace(life, txn, CHAIN_N, true);
}

static enum err life_forks(struct life *life, struct txn *txn)
{
    const struct lab_id *from = &life->record.lab;
    uint64_t arrival;
    uint64_t seq;
    TRY(life_chains(life, txn));
    TRY(body_append(txn, 1, buf_bytes(&life->entries[3]), &seq));
    TRY(body_drop(txn, seq)); /* so that verify looks up every body */
    TRY(fork_put(txn, 1, 1, 4, bytes_of(NULL, 0), from, &arrival));
    TRY(fork_drop(txn, 1));
    TRY(fork_put(txn, 1, 1, 4, bytes_of(NULL, 0), from, &arrival));
    return fork_put(txn, 1, 1, 3, buf_bytes(&life->proof), from, &arrival);
}

static enum err life_walk(struct txn *txn)
{
    struct entry_cursor *cursor = NULL;
    struct bytes entry;
    struct slug_hash slug;
    uint64_t rev;
    enum err err = ERR_OK;
    TRY(entry_cursor_open(txn, 1, 0, NULL, &cursor));
    while (err == ERR_OK) {
        err = entry_cursor_next(cursor, &entry, &rev, &slug);
    }
    entry_cursor_close(cursor);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err life_history(struct life *life, struct txn *txn)
{
    struct hash history, hash = help_hash(77, 3);
    enum where where;
    struct held_fork held;
    struct opening opening = {0};
    uint32_t id = 0;
    TRY(history_at(txn, 1, CHAIN_N, &history));
    TRY(history_where(txn, 1, 3, &hash, &where));
    opening_begin(&opening, 1);
    enum err err = history_opening(txn, 1, CHAIN_N, SIZE_MAX, &opening);
    bool same = opening.hashes.size == life->chain.hashes.size && opening.side_count == 1;
    opening_done(&opening);
    TRY(err);
    TRY(fork_next(txn, &id));
    TRY(fork_get(txn, id, &held));
    return same && id == 1 && held.k == 3 ? ERR_OK : ERR_CORRUPT;
}

static enum err life_scrub(struct txn *txn, size_t count)
{
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page page = {0};
    while (!page.done) {
        TRY(scrub_step(txn, at, count, &page));
        if (page.problems_seen > 0) {
            return ERR_CORRUPT;
        }
    }
    return ERR_OK;
}

static enum err life_read(struct life *life, struct txn *txn)
{
    struct slug_hash slug = help_slug(3), gone = help_slug(5);
    struct bytes bytes;
    struct held_lab lab;
    struct arrival arrival;
    struct peer_row peer;
    struct lab_id at;
    defer(buf_done) struct buf into = {0};
    uint8_t hint_at[24] = {0};
    bool more;
    uint64_t count;
    uint32_t id = 0;
    TRY(catalogue_next(txn, &id));
    TRY(catalogue_entry(txn, id, &slug, &bytes));
    TRY(retired_get(txn, id, &gone, &bytes));
    TRY(life_walk(txn));
    TRY(catalogue_opening(txn, id, 1, 2, &into));
    TRY(catalogue_hints(txn, id, 0, hint_at, 10, &into, &more));
    TRY(lab_get(txn, &life->record.lab, &lab));
    TRY(lab_next(txn, true, &at, &lab));
    TRY(lab_count(txn, &count));
    TRY(arrival_next(txn, 0, &arrival));
    TRY(arrival_last(txn, &count));
    TRY(peer_next(txn, true, &at, &peer));
    TRY(life_history(life, txn));
    return life_scrub(txn, 4);
}

typedef enum err life_part(struct life *life, struct txn *txn);

static enum err life_write(struct life *life, life_part *part)
{
    struct txn *txn = NULL;
    TRY(txn_begin_write(life->scratch->store, &txn));
    enum err err = part(life, txn);
    if (err != ERR_OK) {
        txn_end(txn);
        return err;
    }
    return txn_commit(txn);
}

static enum err life_run(struct life *life)
{
    struct scratch *scratch = life->scratch;
    struct store_space space;
    struct txn *txn = NULL;
    TRY(store_open(scratch->path, &scratch->options, &scratch->store));
    TRY(life_write(life, life_first));
    TRY(life_write(life, life_second));
    TRY(store_trim(scratch->store));
    TRY(life_write(life, life_third));
    TRY(txn_begin_read(scratch->store, &txn));
    enum err err = life_scrub(txn, 100);
    txn_end(txn);
    TRY(err);
    TRY(life_write(life, life_forks));
    for (unsigned i = 0; i < 70; i++) {
        TRY(store_room(scratch->store));
    }
    TRY(store_space(scratch->store, &space));
    TRY(txn_begin_read(scratch->store, &txn));
    err = life_read(life, txn);
    txn_end(txn);
    return err;
}

static void life_init(struct life *life, struct scratch *scratch)
{
    *life = (struct life){.scratch = scratch};
    help_record(&scratch->keys, 1, &life->record_bytes, &life->record);
    for (unsigned i = 0; i < 12; i++) {
        help_entry(i % 8, i < 8 ? 1 : 2, i, 200, &life->entries[i]);
    }
    static const struct help_side side[] = {{.n = 4, .k = 2, .count = 1}};
    help_chain(&life->chain, 1, CHAIN_N, side, 1);
    help_fork_proof(scratch, 3, 4, 5, &life->proof);
    assert_non_null(buf_extend(&life->signed_head, HEAD_SIZE_MAX));
}

static void life_done(struct life *life)
{
    for (unsigned i = 0; i < 12; i++) {
        buf_done(&life->entries[i]);
    }
    buf_done(&life->record_bytes);
    buf_done(&life->signed_head);
    change_done(&life->list);
    opening_done(&life->chain);
    buf_done(&life->proof);
}

static void files_remove(struct scratch *scratch)
{
    char path[112];
    help_close(scratch);
    snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
    (void) unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", scratch->path);
    (void) unlink(path);
}

/* Once with the k-th call failing. True when no call was left to fail. */
static bool life_with_fault(struct scratch *scratch, unsigned k, int code)
{
    struct life life;
    life_init(&life, scratch);
    files_remove(scratch);
    fault_calls = 0;
    fault_fired = false;
    fault_code = code;
    fault_at = k;
    enum err err = life_run(&life);
    fault_at = 0;
    fault_code = 0;
    if (!fault_fired) {
        ok(err);
    } else if (err == ERR_OK || (code == EIO && err != ERR_IO) ||
               (code == ENOMEM && err != ERR_NOMEM)) {
        fail_msg("fault %d at call %u ended in %s", code, k, err_code(err));
    }
    change_done(&life.list);
    help_close(scratch);
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
    if (help_rows(scratch, TABLE_HEADS) > 0) {
        assert_int_equal(help_scrub(scratch, 100), 0);
    }
    life_done(&life);
    return !fault_fired;
}

static void every_failing_call_of_lmdb_ends_in_an_error_and_a_sound_store(void **state)
{
    unsigned k = 1;
    while (!life_with_fault(*state, k, EIO)) {
        assert_true(++k < 5000);
    }
    assert_true(k > 300);
}

static void every_failing_allocation_ends_in_an_error_and_a_sound_store(void **state)
{
    unsigned k = 1;
    while (!life_with_fault(*state, k, ENOMEM)) {
        assert_true(++k < 5000);
    }
    assert_true(k > 20);
}

/* An upgrade that fails leaves the old store, and the next opening brings it up. */
static bool upgrade_with_fault(struct scratch *scratch, struct bytes file, unsigned k, int code)
{
    help_close(scratch);
    help_file_put(scratch, file);
    fault_calls = 0;
    fault_fired = false;
    fault_code = code;
    fault_at = k;
    enum err err = store_open(scratch->path, &scratch->options, &scratch->store);
    fault_at = 0;
    fault_code = 0;
    if (fault_fired && err == ERR_OK) {
        fail_msg("fault %d at call %u was passed over", code, k);
    }
    help_close(scratch);
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
    assert_int_equal(help_rows(scratch, TABLE_SIDES), 0);
    assert_int_equal(help_scrub(scratch, 100), 0);
    return !fault_fired;
}

static void an_upgrade_that_fails_is_done_by_the_next_opening(void **state)
{
    struct scratch *scratch = *state;
    struct buf file = {0};
    static const int codes[] = {EIO, ENOMEM};
    help_lab(scratch);
    (void) help_publish(scratch, 0, 20, 1, 100);
    help_close(scratch);
    help_schema_1(scratch);
    help_file(scratch, &file);
    for (size_t i = 0; i < 2; i++) {
        unsigned k = 1;
        while (!upgrade_with_fault(scratch, buf_bytes(&file), k, codes[i])) {
            assert_true(++k < 500);
        }
        assert_true(k > 2);
    }
    buf_done(&file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_failing_call_of_lmdb_ends_in_an_error_and_a_sound_store),
        TEST(every_failing_allocation_ends_in_an_error_and_a_sound_store),
        TEST(an_upgrade_that_fails_is_done_by_the_next_opening),
    };
    return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}
