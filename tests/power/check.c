/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/power/check.c: what a store holds, as one digest; and whether an image is whole.
 */
#include "tests/power/power.h"

#include <lmdb.h>
#include <sodium.h>

#include "base/must.h"
#include "proto/entry.h"
#include "store/catalogue.h"
#include "store/scrub.h"
#include "store/txn.h"

#define MAP_SIZE (64ull * 1024 * 1024)
#define META_PAGES 2

struct store_options check_options(void)
{
    struct store_options options = {.map_size = MAP_SIZE};
    memset(options.fresh_index, 0x11, INSTANCE_SIZE);
    memset(options.fresh_instance, 0x22, INSTANCE_SIZE);
    return options;
}

static void digest_add(crypto_generichash_state *state, struct bytes bytes)
{
    uint8_t size[8];
    be64_put(size, bytes.size);
    (void) crypto_generichash_update(state, size, sizeof size);
    (void) crypto_generichash_update(state, bytes.data, bytes.size);
}

static enum err table_add(struct txn *txn, enum table table, crypto_generichash_state *state)
{
    static const uint8_t first[1];
    struct cursor cursor = {0};
    struct row row;
    uint64_t rows = 0, seen = 0;
    uint8_t number[1] = {(uint8_t) table};
    digest_add(state, BYTES_OF_ARRAY(number));
    enum err err = txn_rows(txn, table, &rows);
    if (err == ERR_OK) {
        err = cursor_open(txn, table, &cursor);
    }
    if (err == ERR_OK) {
        err = cursor_seek(&cursor, BYTES_OF_ARRAY(first), &row);
    }
    for (; err == ERR_OK; err = cursor_next(&cursor, &row)) {
        digest_add(state, row.key);
        digest_add(state, row.value);
        seen++;
    }
    cursor_close(&cursor);
    return err == ERR_NOT_FOUND && seen == rows ? ERR_OK : ERR_CORRUPT;
}

bool check_digest(struct store *store, uint8_t ret_digest[DIGEST_SIZE])
{
    crypto_generichash_state state;
    struct txn *txn = NULL;
    (void) crypto_generichash_init(&state, NULL, 0, DIGEST_SIZE);
    enum err err = txn_begin_read(store, &txn);
    for (unsigned table = 0; table < TABLE_COUNT && err == ERR_OK; table++) {
        err = table_add(txn, table, &state);
    }
    txn_end(txn);
    (void) crypto_generichash_final(&state, ret_digest, DIGEST_SIZE);
    return err == ERR_OK;
}

/* ---- what must be true of every image ---- */

static bool scrubs_clean(struct store *store)
{
    static struct scrub_page page;
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct txn *txn = NULL;
    bool clean = txn_begin_read(store, &txn) == ERR_OK;
    page.done = false;
    while (clean && !page.done) {
        clean = scrub_step(txn, at, 1000, &page) == ERR_OK && page.problems_seen == 0;
    }
    txn_end(txn);
    return clean;
}

static uint64_t pages_of(const MDB_stat *stat)
{
    return stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages;
}

/* Every page of the file belongs to one table or is free. */
static bool pages_add_up(struct store *store)
{
    struct txn *txn = NULL;
    MDB_envinfo info;
    MDB_stat stat;
    uint64_t free_count = 0, used = META_PAGES;
    if (txn_begin_read(store, &txn) != ERR_OK) {
        return false;
    }
    bool well = txn_free_pages(txn, &free_count) == ERR_OK &&
                mdb_env_info(store->env, &info) == MDB_SUCCESS;
    for (MDB_dbi own = 0; well && own < 2; own++) { /* the free list, the table of tables */
        well = mdb_stat(txn->mdb, own, &stat) == MDB_SUCCESS;
        used += well ? pages_of(&stat) : 0;
    }
    for (unsigned table = 0; well && table < TABLE_COUNT; table++) {
        well = mdb_stat(txn->mdb, store->tables[table], &stat) == MDB_SUCCESS;
        used += well ? pages_of(&stat) : 0;
    }
    txn_end(txn);
    return well && used + free_count == info.me_last_pgno + 1;
}

/* Another commit, of pages in every table it can reach; twice, so that freed ones come back. */
static bool goes_on(struct store *store)
{
    for (unsigned round = 0; round < 2; round++) {
        struct txn *txn = NULL;
        if (txn_begin_write(store, &txn) != ERR_OK) {
            return false;
        }
        enum err err = ERR_OK;
        for (unsigned table = 0; table < TABLE_COUNT && err == ERR_OK; table++) {
            static const uint8_t key[40] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
            uint8_t value[600] = {(uint8_t) round};
            err = txn_put(txn, table, BYTES_OF_ARRAY(key), BYTES_OF_ARRAY(value));
            if (err == ERR_OK) {
                err = txn_del(txn, table, BYTES_OF_ARRAY(key));
            }
        }
        if (err != ERR_OK) {
            txn_end(txn);
            return false;
        }
        if (txn_commit(txn) != ERR_OK) {
            return false;
        }
    }
    return true;
}

static bool among(const uint8_t digest[DIGEST_SIZE], const uint8_t (*list)[DIGEST_SIZE],
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(list[i], digest, DIGEST_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static enum verdict corrupt(const char **ret_why, const char *why)
{
    *ret_why = why;
    return VERDICT_CORRUPT;
}

static enum verdict check_store(struct store *store, const struct expected *expected,
                                const char **ret_why)
{
    uint8_t digest[DIGEST_SIZE], after[DIGEST_SIZE];
    if (!check_digest(store, digest)) {
        return corrupt(ret_why, "a table cannot be walked");
    }
    if (!among(digest, expected->held, expected->held_count)) {
        *ret_why = "what was acknowledged is not there";
        return among(digest, expected->older, expected->older_count)
                   ? VERDICT_LOST
                   : corrupt(ret_why, "it holds what was never committed");
    }
    if (!scrubs_clean(store)) {
        return corrupt(ret_why, "verify finds problems");
    }
    if (!pages_add_up(store)) {
        return corrupt(ret_why, "pages do not add up");
    }
    if (!expected->thorough) {
        return VERDICT_FINE;
    }
    if (!goes_on(store)) {
        return corrupt(ret_why, "it takes no further commit");
    }
    if (!check_digest(store, after) || memcmp(digest, after, DIGEST_SIZE) != 0 ||
        !scrubs_clean(store) || !pages_add_up(store)) {
        return corrupt(ret_why, "a further commit breaks it");
    }
    return VERDICT_FINE;
}

enum verdict check_image(const char *dir, const struct expected *expected, const char **ret_why)
{
    struct store_options options = check_options();
    struct store *store = NULL;
    enum err err = store_open(dir, &options, &store);
    if (err != ERR_OK) {
        *ret_why = err_code(err);
        return VERDICT_CORRUPT;
    }
    enum verdict verdict = check_store(store, expected, ret_why);
    store_close(store);
    return verdict;
}
