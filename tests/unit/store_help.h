/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/unit/store_help.h: a store in a scratch directory, a lab with keys, and one-line publishing
 * for the tests of store/. */
#ifndef ESSAIM_TESTS_STORE_HELP_H
#define ESSAIM_TESTS_STORE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/limits.h"
#include "proto/entry.h"
#include "proto/fork.h"
#include "proto/opening.h"
#include "proto/pack.h"
#include "store/catalogue.h"
#include "store/history.h"
#include "store/ledger.h"
#include "store/scrub.h"
#include "store/staging.h"
#include "store/txn.h"

#define HELP __attribute__((unused)) static

#define ok(call) assert_int_equal((call), ERR_OK)
#define is_err(call, wanted) assert_int_equal((call), (wanted))

struct lab_keys {
    struct lab_id lab;
    uint8_t root_secret[SIGN_SECRET_SIZE];
    uint8_t signing_pk[KEY_SIZE], signing_secret[SIGN_SECRET_SIZE];
};

struct scratch {
    char dir[64];  /* made anew for each test */
    char path[80]; /* of the store in it */
    struct store_options options;
    struct store *store;
    struct lab_keys keys;
    struct catalogue_name name;
    uint64_t random; /* seeded: xorshift64* */
};

HELP uint64_t help_random(struct scratch *scratch)
{
    uint64_t x = scratch->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    scratch->random = x;
    return x * 0x2545F4914F6CDD1Dull;
}

HELP struct lab_keys help_keys(uint8_t seed_byte)
{
    struct lab_keys keys;
    uint8_t seed[SIGN_SEED_SIZE];
    memset(seed, seed_byte, sizeof seed);
    sign_keypair(seed, keys.lab.bytes, keys.root_secret);
    seed[0] ^= 0xff;
    sign_keypair(seed, keys.signing_pk, keys.signing_secret);
    return keys;
}

HELP void help_reopen(struct scratch *scratch)
{
    store_close(scratch->store);
    scratch->store = NULL;
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
}

HELP int help_setup(void **state)
{
    if (sodium_init() < 0) {
        return -1;
    }
    struct scratch *scratch = calloc(1, sizeof *scratch);
    const char *top = getenv("TMPDIR");
    snprintf(scratch->dir, sizeof scratch->dir, "%s/essaim-store-XXXXXX",
             top != NULL && strlen(top) < 32 ? top : "/tmp");
    if (mkdtemp(scratch->dir) == NULL) {
        return -1;
    }
    snprintf(scratch->path, sizeof scratch->path, "%s/store", scratch->dir);
    memset(scratch->options.fresh_index, 0x11, INSTANCE_SIZE);
    memset(scratch->options.fresh_instance, 0x22, INSTANCE_SIZE);
    scratch->options.map_size = 1ull << 30;
    scratch->random = 0x9E3779B97F4A7C15ull;
    scratch->keys = help_keys(7);
    scratch->name.lab = scratch->keys.lab;
    memcpy(scratch->name.audience, "public", sizeof "public");
    *state = scratch;
    return store_open(scratch->path, &scratch->options, &scratch->store) == ERR_OK ? 0 : -1;
}

HELP int help_teardown(void **state)
{
    struct scratch *scratch = *state;
    /* A test that failed half way may have left a transaction open. */
    if (scratch->store != NULL && atomic_load(&scratch->store->txn_count) == 0) {
        store_close(scratch->store);
    }
    char path[112];
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", scratch->path, files[i]);
        (void) unlink(path);
    }
    (void) rmdir(scratch->path);
    (void) rmdir(scratch->dir);
    free(scratch);
    return 0;
}

HELP struct txn *help_read(struct scratch *scratch)
{
    struct txn *txn = NULL;
    ok(txn_begin_read(scratch->store, &txn));
    return txn;
}

HELP struct txn *help_write(struct scratch *scratch)
{
    struct txn *txn = NULL;
    ok(txn_begin_write(scratch->store, &txn));
    return txn;
}

/* A signed record of `keys`. */
HELP void help_record(const struct lab_keys *keys, uint64_t generation, struct buf *into,
                      struct lab_record *ret_record)
{
    struct lab_record record = {.lab = keys->lab,
                                .generation = generation,
                                .name = bytes_of_str("Ti Lab"),
                                .issued_at = 1700000000};
    memcpy(record.signing_pk, keys->signing_pk, KEY_SIZE);
    memset(record.link_pk, 9, KEY_SIZE);
    buf_clear(into);
    ok(lab_record_sign(&record, keys->root_secret, into));
    ok(lab_record_open(buf_bytes(into), ret_record));
}

HELP struct slug_hash help_slug(unsigned number)
{
    char slug[32];
    snprintf(slug, sizeof slug, "entry-%u", number);
    return hash_slug(bytes_of_str(slug));
}

/* Entry `number` with a text of `size` bytes that depends on `salt`. */
HELP void help_entry(unsigned number, uint64_t rev, unsigned salt, size_t size, struct buf *into)
{
    char slug[32];
    struct buf body = {0}, text = {0};
    snprintf(slug, sizeof slug, "entry-%u", number);
    while (text.size < size) {
        buf_printf(&text, "%08x", salt * 2654435761u + (unsigned) text.size);
    }
    text.size = size;
    pack_map(&body, 1);
    pack_cstr(&body, "text");
    pack_str(&body, buf_bytes(&text));
    struct entry entry = {.slug = bytes_of_str(slug),
                          .kind = bytes_of_str("innovation"),
                          .body = buf_bytes(&body),
                          .rev = rev};
    buf_clear(into);
    ok(entry_encode(&entry, into));
    buf_done(&body);
    buf_done(&text);
}

/* Appends the body and adds the change. */
HELP void help_put(struct txn *txn, uint32_t id, struct change_list *list, unsigned number,
                   uint64_t rev, unsigned salt, size_t size)
{
    struct buf entry = {0};
    struct change change = {
        .slug_hash = help_slug(number), .rev = rev, .order = (uint32_t) list->count};
    help_entry(number, rev, salt, size, &entry);
    change.leaf = entry_leaf(buf_bytes(&entry));
    change.size = (uint32_t) entry.size;
    ok(body_append(txn, id, buf_bytes(&entry), &change.seq));
    ok(change_add(list, &change));
    buf_done(&entry);
}

HELP void help_withdraw(struct change_list *list, unsigned number)
{
    struct change change = {.slug_hash = help_slug(number), .order = (uint32_t) list->count};
    ok(change_add(list, &change));
}

/* The head that follows the held one, of the plan. */
HELP struct head help_head(struct scratch *scratch, struct txn *txn, uint32_t id,
                           const struct plan *plan, struct buf *into)
{
    struct held_head held;
    struct head head = {.lab = scratch->name.lab,
                        .generation = 1,
                        .n = 1,
                        .count = plan->count,
                        .bytes = plan->bytes,
                        .root = plan->root,
                        .issued_at = 1700000000};
    memcpy(head.audience, scratch->name.audience, sizeof head.audience);
    enum err err = catalogue_head(txn, id, &held);
    if (err == ERR_OK) {
        head.n = held.head.n + 1;
        head.history = history_next(&held.head.history, &held.head.hash);
    } else {
        is_err(err, ERR_NOT_FOUND);
    }
    buf_clear(into);
    ok(head_sign(&head, scratch->keys.signing_secret, into));
    return head;
}

/* Settles, plans, signs and applies; the caller commits. */
HELP struct head help_apply(struct scratch *scratch, struct txn *txn, uint32_t id,
                            struct change_list *list, uint64_t now_s)
{
    struct plan plan;
    struct buf signed_head = {0};
    uint64_t arrival = 0;
    ok(change_settle(list, NULL));
    ok(catalogue_plan(txn, id, list, &plan));
    struct head head = help_head(scratch, txn, id, &plan, &signed_head);
    struct apply apply = {.id = id,
                          .list = list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .from = scratch->keys.lab,
                          .now_s = now_s};
    ok(catalogue_apply(txn, &apply, &arrival));
    assert_true(arrival > 0);
    buf_done(&signed_head);
    change_done(list);
    return head;
}

/* ---- chains that were not published head by head ---- */

/* The hash of head n of branch `salt`: any. */
HELP struct hash help_hash(unsigned salt, uint64_t n)
{
    uint8_t text[12];
    be32_put(text, salt);
    be64_put(text + 4, n);
    return hash_of(TAG_LEAF, BYTES_OF_ARRAY(text));
}

struct help_side {
    uint64_t n, k, count;
};

/* Heads 1 … n - 1 of branch `salt`, of which those in `sides` (ascending) are merge heads. */
HELP void help_chain(struct opening *opening, unsigned salt, uint64_t n,
                     const struct help_side *sides, unsigned side_count)
{
    unsigned side = 0;
    opening_begin(opening, 1);
    for (uint64_t i = 1; i < n; i++) {
        struct hash hash = help_hash(salt, i);
        ok(opening_add(opening, BYTES_OF_ARRAY(hash.bytes)));
        if (side < side_count && sides[side].n == i + 1) {
            uint8_t item[OPENING_ITEM_MAX];
            be64_put(item, sides[side].k);
            ok(opening_add(opening, bytes_of(item, 8)));
            for (uint64_t j = 0; j < sides[side].count; j++) {
                hash = help_hash(salt + 1000 + side, sides[side].k + j);
                item[0] = OPENING_SIDE_MARK;
                memcpy(item + 1, hash.bytes, HASH_SIZE);
                ok(opening_add(opening, BYTES_OF_ARRAY(item)));
            }
            side++;
        }
    }
}

/* Settles, plans and applies with the whole of `chain` (from head 1) in place of what is held; the
 * head is the one behind it, of that generation. */
HELP struct head help_replace(struct scratch *scratch, struct txn *txn, uint32_t id,
                              const struct opening *chain, uint64_t generation,
                              struct change_list *list)
{
    struct plan plan;
    struct buf signed_head = {0};
    static const struct hash zero;
    uint64_t arrival = 0;
    ok(change_settle(list, NULL));
    ok(catalogue_plan(txn, id, list, &plan));
    struct head head = {.lab = scratch->name.lab,
                        .generation = generation,
                        .n = 1 + chain->hashes.size / HASH_SIZE,
                        .count = plan.count,
                        .bytes = plan.bytes,
                        .root = plan.root,
                        .issued_at = 1700000000};
    memcpy(head.audience, scratch->name.audience, sizeof head.audience);
    ok(opening_history(chain, &zero, NULL, NULL, head.n, &head.history));
    ok(head_sign(&head, scratch->keys.signing_secret, &signed_head));
    struct apply apply = {.id = id,
                          .list = list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .opening = buf_bytes(&chain->hashes),
                          .opening_from = 1,
                          .chain = chain,
                          .replace = true,
                          .from = scratch->keys.lab,
                          .now_s = 1700000000};
    ok(catalogue_apply(txn, &apply, &arrival));
    buf_done(&signed_head);
    change_done(list);
    return head;
}

/* A catalogue at the head behind such a chain, with whatever entries it held before. */
HELP struct head help_chain_put(struct scratch *scratch, unsigned salt, uint64_t n,
                                const struct help_side *sides, unsigned side_count)
{
    struct opening chain = {0};
    struct change_list none = {0};
    uint32_t id = 0;
    help_chain(&chain, salt, n, sides, side_count);
    struct txn *txn = help_write(scratch);
    ok(catalogue_open(txn, &scratch->name, &id));
    struct head head = help_replace(scratch, txn, id, &chain, 1, &none);
    ok(txn_commit(txn));
    opening_done(&chain);
    return head;
}

/* Two branches that part at head k and end at heads n_a and n_b, in a proof. */
HELP void help_fork_proof(struct scratch *scratch, uint64_t k, uint64_t n_a, uint64_t n_b,
                          struct buf *into)
{
    struct lab_record record;
    struct buf record_bytes = {0}, heads[2] = {{0}, {0}};
    struct fork_branch branches[2];
    struct opening common = {0}, items[2] = {{0}, {0}};
    struct hash at_k;
    static const struct hash zero;
    help_record(&scratch->keys, 1, &record_bytes, &record);
    help_chain(&common, 1, k, NULL, 0);
    ok(opening_history(&common, &zero, NULL, NULL, k, &at_k));
    for (unsigned i = 0; i < 2; i++) {
        struct head head = {.lab = scratch->name.lab,
                            .generation = 1,
                            .n = i == 0 ? n_a : n_b,
                            .issued_at = 1700000000 + i};
        memcpy(head.audience, scratch->name.audience, sizeof head.audience);
        opening_begin(&items[i], k);
        for (uint64_t n = k; n < head.n; n++) {
            struct hash hash = help_hash(500 + i, n);
            ok(opening_add(&items[i], BYTES_OF_ARRAY(hash.bytes)));
        }
        ok(opening_history(&items[i], &at_k, NULL, NULL, head.n, &head.history));
        ok(head_sign(&head, scratch->keys.signing_secret, &heads[i]));
        branches[i] =
            (struct fork_branch){.head = buf_bytes(&heads[i]), .history = at_k, .items = &items[i]};
    }
    ok(fork_encode(buf_bytes(&record_bytes), k, &branches[0], &branches[1], into));
    buf_done(&record_bytes);
    opening_done(&common);
    for (unsigned i = 0; i < 2; i++) {
        buf_done(&heads[i]);
        opening_done(&items[i]);
    }
}

/* Keeps it, or a fork without a proof. */
HELP void help_fork(struct scratch *scratch, uint32_t id, uint64_t generation, uint64_t k,
                    struct bytes proof)
{
    struct txn *txn = help_write(scratch);
    uint64_t arrival;
    ok(fork_put(txn, id, generation, k, proof, &scratch->keys.lab, &arrival));
    ok(txn_commit(txn));
}

/* Publishes entries first … first + count - 1 as one head. */
HELP struct head help_publish(struct scratch *scratch, unsigned first, unsigned count,
                              unsigned salt, size_t size)
{
    struct txn *txn = help_write(scratch);
    struct change_list list = {0};
    struct held_head held;
    uint32_t id = 0;
    ok(catalogue_open(txn, &scratch->name, &id));
    uint64_t rev = catalogue_head(txn, id, &held) == ERR_OK ? held.head.n + 1 : 1;
    for (unsigned i = 0; i < count; i++) {
        help_put(txn, id, &list, first + i, rev, salt, size);
    }
    struct head head = help_apply(scratch, txn, id, &list, 1700000000);
    ok(txn_commit(txn));
    return head;
}

/* The whole of data.mdb, closed store: for flipping bits. */
HELP void help_file(struct scratch *scratch, struct buf *into)
{
    char path[112];
    snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct stat stat;
    assert_int_equal(fstat(fileno(file), &stat), 0);
    buf_clear(into);
    uint8_t *at = buf_extend(into, (size_t) stat.st_size);
    assert_int_equal(fread(at, 1, into->size, file), into->size);
    fclose(file);
}

HELP void help_file_put(struct scratch *scratch, struct bytes bytes)
{
    char path[112];
    snprintf(path, sizeof path, "%s/data.mdb", scratch->path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    fclose(file);
}

HELP void help_close(struct scratch *scratch)
{
    store_close(scratch->store);
    scratch->store = NULL;
}

HELP uint64_t help_rows(struct scratch *scratch, enum table table)
{
    struct txn *txn = help_read(scratch);
    uint64_t count = 0;
    ok(txn_rows(txn, table, &count));
    txn_end(txn);
    return count;
}

/* Puts a row as it is, whatever it means. */
HELP void help_row(struct scratch *scratch, enum table table, struct bytes key, struct bytes value)
{
    struct txn *txn = help_write(scratch);
    ok(txn_put(txn, table, key, value));
    ok(txn_commit(txn));
}

/* The signed record of the lab, which the scrub wants. */
HELP void help_lab(struct scratch *scratch)
{
    struct txn *txn = help_write(scratch);
    struct buf bytes = {0};
    struct lab_record record;
    uint64_t arrival;
    help_record(&scratch->keys, 1, &bytes, &record);
    ok(lab_put(txn, &record, buf_bytes(&bytes), &scratch->keys.lab, &arrival));
    ok(txn_commit(txn));
    buf_done(&bytes);
}

/* Makes the store, which must be closed, what an older release left: the tables up to TRASH (schema
 * 1) or up to KEPT (schema 2). */
#define HELP_TABLE_ROW(name, text) (text),
HELP void help_schema(struct scratch *scratch, uint32_t number, size_t last)
{
    static const char *const tables[] = {TABLES(HELP_TABLE_ROW)};
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    uint8_t schema[4];
    be32_put(schema, number);
    MDB_val key = {.mv_size = 6, .mv_data = (void *) (uintptr_t) "schema"};
    MDB_val value = {.mv_size = sizeof schema, .mv_data = schema};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, TABLE_COUNT), 0);
    assert_int_equal(mdb_env_set_mapsize(env, scratch->options.map_size), 0);
    assert_int_equal(mdb_env_open(env, scratch->path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    for (size_t i = last + 1; i < TABLE_COUNT; i++) {
        assert_int_equal(mdb_dbi_open(txn, tables[i], 0, &dbi), 0);
        assert_int_equal(mdb_drop(txn, dbi, 1), 0);
    }
    assert_int_equal(mdb_dbi_open(txn, tables[TABLE_META], 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}
#undef HELP_TABLE_ROW

HELP void help_schema_1(struct scratch *scratch)
{
    help_schema(scratch, 1, TABLE_TRASH);
}

HELP void help_schema_2(struct scratch *scratch)
{
    help_schema(scratch, 2, TABLE_KEPT);
}

/* Scrubs all and gives the number of problems. */
HELP uint64_t help_scrub(struct scratch *scratch, size_t count)
{
    uint8_t at[SCRUB_AT_SIZE] = {0};
    uint64_t problems = 0;
    for (unsigned pages = 0;; pages++) {
        struct scrub_page page;
        struct txn *txn = help_read(scratch);
        ok(scrub_step(txn, at, count, &page));
        txn_end(txn);
        problems += page.problems_seen;
        if (page.done) {
            return problems;
        }
        assert_true(pages < 1000000);
    }
}

#endif
