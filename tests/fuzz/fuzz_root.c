/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_root.c: the incremental root against one computed from scratch.
 *
 * The bytes choose changes, turn by turn: entries put, put again, withdrawn (by name or by a hint),
 * withdrawn and put.
 * What catalogue_plan says (digests, root, count, bytes) is compared with what a plain list of
 * entries gives, summed here after doc/protocol.md §4.3 with nothing of ours; so are the pairs of a
 * bucket, and what the changes alone would make. Some turns are given up, some come after a
 * restart; at the end the store verifies itself.
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
    struct hinted {
        size_t number;
        struct hash leaf;
    } hinted[ACTS_MAX];
    size_t hinted_count;
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

/* What a list of entries makes. */
struct sum {
    struct hash root;
    uint64_t count, bytes;
    uint8_t pairs[SLUGS][48];
    size_t ends[256]; /* of each bucket among the pairs */
    uint8_t digests[256][32];
};

static void sum_up(const struct item items[SLUGS], struct sum *sum)
{
    uint8_t tree[256][32];
    memset(sum, 0, sizeof *sum);
    for (size_t i = 0; i < SLUGS; i++) {
        if (items[i].size > 0) {
            char slug[16];
            struct bytes text = slug_of(i, slug);
            blake("essaim1 slug", text.data, text.size, sum->pairs[sum->count], 16);
            memcpy(sum->pairs[sum->count++] + 16, items[i].leaf.bytes, 32);
            sum->bytes += items[i].size;
        }
    }
    qsort(sum->pairs, sum->count, sizeof sum->pairs[0], pair_order);
    size_t at = 0;
    for (unsigned bucket = 0; bucket < 256; bucket++) {
        size_t from = at;
        while (at < sum->count && sum->pairs[at][0] == bucket) {
            at++;
        }
        sum->ends[bucket] = at;
        blake("essaim1 bucket", sum->pairs[from < sum->count ? from : 0], 48 * (at - from),
              sum->digests[bucket], 32);
    }
    memcpy(tree, sum->digests, sizeof tree);
    for (unsigned width = 128; width > 0; width /= 2) {
        for (unsigned i = 0; i < width; i++) {
            uint8_t both[64];
            memcpy(both, tree[2 * i], 32);
            memcpy(both + 32, tree[2 * i + 1], 32);
            blake("essaim1 node", both, sizeof both, tree[i], 32);
        }
    }
    memcpy(sum->root.bytes, tree[0], HASH_SIZE);
}

static void plan_check(const struct plan *plan, const struct sum *sum)
{
    for (unsigned i = 0; i < 256; i++) {
        must(memcmp(plan->digests.buckets[i].bytes, sum->digests[i], 32) == 0);
    }
    must(memcmp(plan->root.bytes, sum->root.bytes, HASH_SIZE) == 0);
    must(sum->count == plan->count);
    must(sum->bytes == plan->bytes);
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

/* Of what stands there now, of what is held, or of nothing. */
static void hint(struct run *run, struct buf *hints, size_t number)
{
    struct hinted *hinted = &run->hinted[run->hinted_count++];
    size_t which = choose(&run->choices, 4);
    char slug[16];
    uint8_t slug_hash[16], digest[16], hint[HINT_SIZE];
    struct bytes text = slug_of(number, slug);
    *hinted = (struct hinted){.number = number, .leaf = run->held[number].leaf};
    if (which == 2) {
        hinted->leaf = run->items[number].leaf;
    }
    hinted->leaf.bytes[0] ^= which == 3;
    blake("essaim1 slug", text.data, text.size, slug_hash, sizeof slug_hash);
    blake("essaim1 gone", hinted->leaf.bytes, HASH_SIZE, digest, sizeof digest);
    hint[0] = slug_hash[0];
    memcpy(hint + 1, digest, sizeof hint - 1);
    buf_put(hints, BYTES_OF_ARRAY(hint));
}

/* An entry goes when it is the one named, of this turn or, where this turn left it alone, held. */
static void hints_follow(struct run *run)
{
    for (size_t i = 0; i < run->hinted_count; i++) {
        const struct hinted *hinted = &run->hinted[i];
        struct item *item = &run->items[hinted->number];
        if (memcmp(item->leaf.bytes, hinted->leaf.bytes, HASH_SIZE) == 0) {
            item->size = 0;
        }
    }
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

/* The pairs of the buckets that change, and of one that does not; with the changes and without. */
static void pairs_check(const struct run *run, struct txn *txn, const struct change_list *list,
                        const struct sum *sum)
{
    static struct sum held;
    sum_up(run->held, &held);
    for (size_t i = 0; i <= list->count && i < 4; i++) {
        unsigned bucket = i < list->count ? bucket_of(&list->items[i].slug_hash) : 77;
        size_t from = bucket == 0 ? 0 : sum->ends[bucket - 1];
        size_t held_from = bucket == 0 ? 0 : held.ends[bucket - 1];
        struct buf pairs = {0};
        must(catalogue_pairs(txn, run->id, list, bucket, &pairs) == ERR_OK);
        must(bytes_equal(buf_bytes(&pairs),
                         bytes_of(sum->pairs + from, 48 * (sum->ends[bucket] - from))));
        buf_clear(&pairs);
        must(catalogue_pairs(txn, run->id, NULL, bucket, &pairs) == ERR_OK);
        must(bytes_equal(buf_bytes(&pairs),
                         bytes_of(held.pairs + held_from, 48 * (held.ends[bucket] - held_from))));
        buf_done(&pairs);
    }
}

/* What the changes by themselves would make. */
static void alone_check(const struct change_list *list)
{
    static struct item items[SLUGS];
    static struct sum sum;
    struct plan *plan = malloc(sizeof *plan);
    must(plan != NULL);
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < SLUGS; i++) {
        char slug[16];
        struct slug_hash hash = hash_slug(slug_of(i, slug));
        for (size_t k = 0; k < list->count; k++) {
            const struct change *change = &list->items[k];
            if (memcmp(change->slug_hash.bytes, hash.bytes, SLUG_HASH_SIZE) == 0) {
                items[i] = (struct item){.leaf = change->leaf, .size = change->size};
            }
        }
    }
    sum_up(items, &sum);
    must(change_plan(list, plan) == ERR_OK);
    plan_check(plan, &sum);
    free(plan);
}

static void turn(struct run *run)
{
    struct choices *choices = &run->choices;
    struct txn *txn = NULL;
    defer(change_done) struct change_list list = {0};
    defer(buf_done) struct buf dropped = {0};
    defer(buf_done) struct buf hints = {0};
    run->hinted_count = 0;
    must(txn_begin_write(run->store, &txn) == ERR_OK);
    size_t acts = 1 + choose(choices, ACTS_MAX);
    bool keep = choose(choices, 4) != 3;
    for (size_t i = 0; i < acts && choices->left.size > 0; i++) {
        size_t number = choose(choices, SLUGS);
        size_t what = choose(choices, 4);
        if (what == 2) {
            withdraw(run, &list, number);
        } else if (what == 3) {
            hint(run, &hints, number);
        } else {
            put(run, txn, &list, number);
        }
    }
    struct plan *plan = malloc(sizeof *plan);
    must(plan != NULL);
    must(change_settle(&list, &dropped) == ERR_OK);
    must(change_hinted(txn, run->id, &hints, &list, &dropped) == ERR_OK);
    hints_follow(run);
    must(catalogue_plan(txn, run->id, &list, plan) == ERR_OK);
    static struct sum sum;
    sum_up(run->items, &sum);
    plan_check(plan, &sum);
    pairs_check(run, txn, &list, &sum);
    alone_check(&list);
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
