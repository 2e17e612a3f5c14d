/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_root.c: the incremental root against one computed from scratch.
 *
 * The bytes choose changes, turn by turn: entries put, put again, withdrawn, withdrawn and put.
 * What catalogue_plan says (root, count, bytes) is compared with what a plain list of entries
 * gives, summed here after doc/protocol.md §4.3 with nothing of ours. Some turns are given up, some
 * come after a restart; at the end the store verifies itself.
 */
#include <sodium.h>
#include <stdio.h>

#include "base/defer.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "store/catalogue.h"
#include "store/ledger.h"
#include "store/scrub.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

#define SLUGS 96
#define TURNS_MAX 12
#define ACTS_MAX 100
#define NOW_S 1767225600

struct item {
    struct hash leaf;
    size_t size; /* 0: not there */
};

struct run {
    struct choices choices;
    struct store *store;
    struct lab_id lab;
    uint8_t root_secret[SIGN_SECRET_SIZE], signing_secret[SIGN_SECRET_SIZE];
    uint32_t id;
    uint64_t n;
    struct item items[SLUGS], held[SLUGS]; /* with this turn's changes; as committed */
};

/* ---- from scratch ---- */

static void blake(const char *tag, const void *data, size_t size, uint8_t *ret_digest, size_t width)
{
    uint8_t padded[16] = {0};
    memcpy(padded, tag, strlen(tag));
    crypto_generichash_state state;
    must(crypto_generichash_init(&state, NULL, 0, width) == 0);
    must(crypto_generichash_update(&state, padded, sizeof padded) == 0);
    must(crypto_generichash_update(&state, data, size) == 0);
    must(crypto_generichash_final(&state, ret_digest, width) == 0);
}

static struct bytes slug_of(size_t number, char into[16])
{
    (void) snprintf(into, 16, "s-%zu", number);
    return bytes_of_str(into);
}

static int pair_order(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void root_of(const struct item items[SLUGS], struct hash *ret_root, uint64_t *ret_count,
                    uint64_t *ret_bytes)
{
    static uint8_t pairs[SLUGS][48];
    uint8_t tree[256][32];
    size_t count = 0;
    *ret_bytes = 0;
    for (size_t i = 0; i < SLUGS; i++) {
        if (items[i].size > 0) {
            char slug[16];
            struct bytes text = slug_of(i, slug);
            blake("essaim1 slug", text.data, text.size, pairs[count], 16);
            memcpy(pairs[count++] + 16, items[i].leaf.bytes, 32);
            *ret_bytes += items[i].size;
        }
    }
    *ret_count = count;
    qsort(pairs, count, sizeof pairs[0], pair_order);
    size_t at = 0;
    for (unsigned bucket = 0; bucket < 256; bucket++) {
        size_t from = at;
        while (at < count && pairs[at][0] == bucket) {
            at++;
        }
        blake("essaim1 bucket", pairs[from < count ? from : 0], 48 * (at - from), tree[bucket], 32);
    }
    for (unsigned width = 128; width > 0; width /= 2) {
        for (unsigned i = 0; i < width; i++) {
            uint8_t both[64];
            memcpy(both, tree[2 * i], 32);
            memcpy(both + 32, tree[2 * i + 1], 32);
            blake("essaim1 node", both, sizeof both, tree[i], 32);
        }
    }
    memcpy(ret_root->bytes, tree[0], HASH_SIZE);
}

/* ---- a turn ---- */

static void put(struct run *run, struct txn *txn, struct change_list *list, size_t number)
{
    struct buf body = {0}, bytes = {0};
    char slug[16];
    pack_map(&body, 1);
    pack_cstr(&body, "t");
    pack_bin(&body, choose_bytes(&run->choices, 12));
    struct entry entry = {.slug = slug_of(number, slug),
                          .kind = bytes_of_str("need"),
                          .body = buf_bytes(&body),
                          .rev = run->n + 1};
    must(entry_encode(&entry, &bytes) == ERR_OK);
    struct change change = {.slug_hash = hash_slug(entry.slug),
                            .leaf = entry_leaf(buf_bytes(&bytes)),
                            .rev = entry.rev,
                            .size = (uint32_t) bytes.size,
                            .order = (uint32_t) list->count};
    must(body_append(txn, run->id, buf_bytes(&bytes), &change.seq) == ERR_OK);
    must(change_add(list, &change) == ERR_OK);
    run->items[number].size = bytes.size;
    blake("essaim1 leaf", bytes.data, bytes.size, run->items[number].leaf.bytes, 32);
    buf_done(&body);
    buf_done(&bytes);
}

static void withdraw(struct run *run, struct change_list *list, size_t number)
{
    char slug[16];
    struct change change = {.slug_hash = hash_slug(slug_of(number, slug)),
                            .order = (uint32_t) list->count};
    must(change_add(list, &change) == ERR_OK);
    run->items[number].size = 0;
}

static void apply(struct run *run, struct txn *txn, const struct change_list *list,
                  const struct plan *plan)
{
    struct held_head held;
    struct buf bytes = {0};
    struct head head = {.lab = run->lab,
                        .generation = 1,
                        .audience = "public",
                        .n = run->n + 1,
                        .count = plan->count,
                        .bytes = plan->bytes,
                        .root = plan->root,
                        .issued_at = NOW_S};
    if (run->n > 0) {
        must(catalogue_head(txn, run->id, &held) == ERR_OK);
        head.history = history_next(&held.head.history, &held.head.hash);
    }
    must(head_sign(&head, run->signing_secret, &bytes) == ERR_OK);
    uint64_t arrival = 0;
    struct apply what = {.id = run->id,
                         .list = list,
                         .plan = plan,
                         .head = &head,
                         .signed_head = buf_bytes(&bytes),
                         .from = run->lab,
                         .now_s = NOW_S};
    must(catalogue_apply(txn, &what, &arrival) == ERR_OK);
    buf_done(&bytes);
}

static void turn(struct run *run)
{
    struct choices *choices = &run->choices;
    struct txn *txn = NULL;
    defer(change_done) struct change_list list = {0};
    defer(buf_done) struct buf dropped = {0};
    must(txn_begin_write(run->store, &txn) == ERR_OK);
    size_t acts = 1 + choose(choices, ACTS_MAX);
    bool keep = choose(choices, 4) != 3;
    for (size_t i = 0; i < acts && choices->left.size > 0; i++) {
        size_t number = choose(choices, SLUGS);
        if (choose(choices, 3) == 2) {
            withdraw(run, &list, number);
        } else {
            put(run, txn, &list, number);
        }
    }
    struct plan *plan = malloc(sizeof *plan);
    must(plan != NULL);
    must(change_settle(&list, &dropped) == ERR_OK);
    must(catalogue_plan(txn, run->id, &list, plan) == ERR_OK);
    struct hash root;
    uint64_t count = 0, bytes = 0;
    root_of(run->items, &root, &count, &bytes);
    must(memcmp(root.bytes, plan->root.bytes, HASH_SIZE) == 0);
    must(count == plan->count);
    must(bytes == plan->bytes);
    if (keep) {
        apply(run, txn, &list, plan);
        must(bodies_drop(txn, &dropped) == ERR_OK);
        must(txn_commit(txn) == ERR_OK);
        run->n++;
        memcpy(run->held, run->items, sizeof run->held);
    } else {
        txn_end(txn);
        memcpy(run->items, run->held, sizeof run->items);
    }
    free(plan);
}

/* ---- around it ---- */

static void open_store(struct run *run)
{
    struct store_options options = {.map_size = 1u << 28};
    must(store_open(scratch_path(), &options, &run->store) == ERR_OK);
}

/* A store that knows the lab and its catalogue's name. */
static void make(struct run *run)
{
    struct txn *txn = NULL;
    struct buf bytes = {0};
    struct lab_record record = {
        .lab = run->lab, .generation = 1, .name = bytes_of_str("Lab"), .issued_at = NOW_S};
    memcpy(record.signing_pk, run->signing_secret + SIGN_SEED_SIZE, KEY_SIZE);
    memset(record.link_pk, 9, KEY_SIZE);
    must(lab_record_sign(&record, run->root_secret, &bytes) == ERR_OK);
    open_store(run);
    must(txn_begin_write(run->store, &txn) == ERR_OK);
    uint64_t arrival = 0;
    must(lab_put(txn, &record, buf_bytes(&bytes), &run->lab, &arrival) == ERR_OK);
    struct catalogue_name name = {.lab = run->lab, .audience = "public"};
    must(catalogue_open(txn, &name, &run->id) == ERR_OK);
    must(txn_commit(txn) == ERR_OK);
    store_close(run->store);
    buf_done(&bytes);
}

static void verify(struct run *run)
{
    struct txn *txn = NULL;
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page page = {0};
    must(txn_begin_read(run->store, &txn) == ERR_OK);
    while (!page.done) {
        must(scrub_step(txn, at, 500, &page) == ERR_OK);
        must(page.problems_seen == 0);
    }
    txn_end(txn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run *run = calloc(1, sizeof *run);
    must(run != NULL);
    run->choices.left = bytes_of(data, size);
    run->id = 1;
    uint8_t seed[SIGN_SEED_SIZE] = {7};
    uint8_t unused[KEY_SIZE];
    sign_keypair(seed, run->lab.bytes, run->root_secret);
    seed[1] = 1;
    sign_keypair(seed, unused, run->signing_secret);
    if (!scratch_saved()) {
        make(run);
        scratch_save();
    } else {
        scratch_restore();
    }
    open_store(run);
    for (unsigned i = 0; i < TURNS_MAX && run->choices.left.size > 0; i++) {
        turn(run);
        if (choose(&run->choices, 8) == 7) {
            store_close(run->store);
            open_store(run);
        }
    }
    verify(run);
    store_close(run->store);
    free(run);
    return 0;
}
