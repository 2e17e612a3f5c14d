/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/power/life.c: the life of a small store: an own catalogue that is written to, two that are
 * followed, one that arrives staged; records, peers, forks, trash, restarts, compactions. One
 * commit a step, one mark a commit.
 */
#include "tests/power/power.h"

#include "base/must.h"
#include "store/copy.h"
#include "store/history.h"
#include "tests/unit/store_help.h"

#define LABS 4
#define STAGED 3 /* this one's catalogue arrives staged */
#define STEPS 170
#define SLUGS 40
#define LIFE_WALL_S 1700000000

struct life {
    struct scratch labs[LABS]; /* one store, seen as each lab's */
    uint64_t dice;
    uint64_t now_s;
    unsigned salt;
    bool sync;
    unsigned staged; /* commits that went into the staging under way */
};

static unsigned pick(struct life *life, unsigned below)
{
    return (unsigned) (power_roll(&life->dice) % below);
}

static struct store *store_of(struct life *life)
{
    return life->labs[0].store;
}

/* The control: what it shows is what the product must never do. */
static void unsynced(struct life *life)
{
    if (!life->sync) {
        must(mdb_env_set_flags(store_of(life)->env, MDB_NOSYNC, 1) == MDB_SUCCESS);
    }
}

static void mark(struct life *life)
{
    uint8_t digest[DIGEST_SIZE];
    must(check_digest(store_of(life), digest));
    record_mark(digest);
}

/* ---- one catalogue's changes ---- */

static uint64_t next_rev(struct txn *txn, uint32_t id)
{
    struct held_head held;
    return catalogue_head(txn, id, &held) == ERR_OK ? held.head.n + 1 : 1;
}

static void change_some(struct life *life, struct txn *txn, uint32_t id, struct change_list *list)
{
    uint64_t rev = next_rev(txn, id);
    unsigned count = 1 + pick(life, 4);
    unsigned first = pick(life, SLUGS);
    for (unsigned i = 0; i < count; i++) {
        unsigned slug = (first + i) % SLUGS;
        if (pick(life, 4) == 0) {
            help_withdraw(list, slug);
        } else {
            size_t size = pick(life, 12) == 0 ? 9000 : 40 + pick(life, 500);
            help_put(txn, id, list, slug, rev, life->salt++, size);
        }
    }
}

static void step_change(struct life *life, unsigned lab, struct txn *txn)
{
    struct change_list list = {0};
    uint32_t id = 0;
    ok(catalogue_open(txn, &life->labs[lab].name, &id));
    change_some(life, txn, id, &list);
    (void) help_apply(&life->labs[lab], txn, id, &list, life->now_s);
}

/* A followed lab's head after the next: what lay between comes as an opening. */
static void step_leap(struct life *life, unsigned lab, struct txn *txn)
{
    struct change_list list = {0};
    struct held_head held;
    struct plan plan;
    struct buf signed_head = {0}, opening = {0};
    uint32_t id = 0;
    uint64_t arrival = 0;
    ok(catalogue_open(txn, &life->labs[lab].name, &id));
    if (catalogue_head(txn, id, &held) != ERR_OK) {
        step_change(life, lab, txn);
        return;
    }
    struct hash between = {.bytes = {(uint8_t) life->salt}};
    struct hash history = history_next(&held.head.history, &held.head.hash);
    buf_put(&opening, BYTES_OF_ARRAY(held.head.hash.bytes));
    buf_put(&opening, BYTES_OF_ARRAY(between.bytes));
    uint64_t from = held.head.n;
    change_some(life, txn, id, &list);
    struct change other = {.slug_hash = help_slug(SLUGS + 1), /* held elsewhere */
                           .leaf = between,
                           .order = (uint32_t) list.count};
    ok(change_add(&list, &other));
    ok(change_settle(&list, NULL));
    ok(catalogue_plan(txn, id, &list, &plan));
    struct head head = help_head(&life->labs[lab], txn, id, &plan, &signed_head);
    head.n = from + 2;
    head.history = history_next(&history, &between);
    buf_clear(&signed_head);
    ok(head_sign(&head, life->labs[lab].keys.signing_secret, &signed_head));
    struct apply apply = {.id = id,
                          .list = &list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .opening = buf_bytes(&opening),
                          .opening_from = from,
                          .from = life->labs[0].keys.lab,
                          .now_s = life->now_s};
    ok(catalogue_apply(txn, &apply, &arrival));
    change_done(&list);
    buf_done(&signed_head);
    buf_done(&opening);
}

/* ---- staging ---- */

static void stage(struct life *life, struct txn *txn, uint32_t id)
{
    struct change_list list = {0};
    struct staging staging;
    uint64_t rev = next_rev(txn, id);
    for (unsigned i = 0; i < 6; i++) {
        help_put(txn, id, &list, life->staged * 6 + i, rev, life->salt++, 300);
    }
    if (staging_get(txn, id, &staging) == ERR_NOT_FOUND) {
        staging = (struct staging){.first_seq = list.items[0].seq, .m = rev - 1};
        ok(staging_put(txn, id, &staging));
    }
    change_done(&list);
    life->staged++;
}

static void step_stage(struct life *life, struct txn *txn)
{
    struct staging staging;
    struct change_list list = {0};
    uint32_t id = 0;
    ok(catalogue_open(txn, &life->labs[STAGED].name, &id));
    if (life->staged < 1 + pick(life, 3)) {
        stage(life, txn, id);
        return;
    }
    life->staged = 0;
    if (pick(life, 3) == 0) {
        ok(staging_drop(txn, id));
        return;
    }
    ok(staging_get(txn, id, &staging));
    ok(staging_load(txn, id, &staging, &list));
    (void) help_apply(&life->labs[STAGED], txn, id, &list, life->now_s);
    ok(staging_close(txn, id));
}

/* ---- the rest ---- */

static void record_put(struct life *life, unsigned lab, struct txn *txn)
{
    struct buf bytes = {0};
    struct lab_record record;
    uint64_t arrival = 0;
    help_record(&life->labs[lab].keys, 1, &bytes, &record);
    ok(lab_put(txn, &record, buf_bytes(&bytes), &life->labs[0].keys.lab, &arrival));
    buf_done(&bytes);
}

static void step_peer(struct life *life, struct txn *txn)
{
    struct peer_row row = {.lab = life->labs[1 + pick(life, LABS - 1)].keys.lab,
                           .has_index = true,
                           .cursor = pick(life, 1000),
                           .generation_known = 1};
    ok(peer_put(txn, &row));
}

static void step_trash(struct life *life, struct txn *txn)
{
    uint32_t id = 0;
    uint64_t seq = 0;
    bool left = false;
    struct buf entry = {0};
    ok(catalogue_open(txn, &life->labs[0].name, &id));
    for (unsigned i = 0; i < 3; i++) {
        help_entry(i, 1, life->salt++, 200, &entry);
        ok(body_append(txn, id, buf_bytes(&entry), &seq));
        ok(body_drop(txn, seq));
    }
    buf_done(&entry);
    ok(catalogue_chores(txn, life->now_s, 2, &left));
}

static void step_seen(struct life *life, struct txn *txn)
{
    struct hash hash = {.bytes = {(uint8_t) life->salt}};
    struct slug_hash slug = help_slug(pick(life, SLUGS));
    ok(own_seen_put(txn, 1000 + life->salt++, &hash));
    ok(retired_put(txn, 1, &slug, bytes_of_str("need")));
}

/* A fork is seen, seen at another place, gone (its proof is too large to be kept). */
static void step_fork(struct life *life, struct txn *txn)
{
    uint32_t id = 0;
    uint64_t arrival = 0;
    ok(catalogue_open(txn, &life->labs[1].name, &id));
    if (pick(life, 3) == 0 && fork_drop(txn, id) == ERR_OK) {
        return;
    }
    ok(fork_put(txn, id, 1, 1 + pick(life, 9), bytes_of(NULL, 0), &life->labs[2].keys.lab,
                &arrival));
}

static void step_chores(struct life *life, struct txn *txn)
{
    bool left = false;
    life->now_s += 40ull * 24 * 3600;
    ok(catalogue_chores(txn, life->now_s, 20, &left));
}

static void step(struct life *life)
{
    struct txn *txn = NULL;
    ok(txn_begin_write(store_of(life), &txn));
    unsigned what = pick(life, 20);
    if (what < 8) {
        step_change(life, what < 6 ? 0 : 1 + pick(life, 2), txn);
    } else if (what < 10) {
        step_leap(life, 1 + pick(life, 2), txn);
    } else if (what < 13) {
        step_stage(life, txn);
    } else if (what < 15) {
        step_peer(life, txn);
    } else if (what < 17) {
        step_trash(life, txn);
    } else if (what < 18) {
        record_put(life, pick(life, LABS), txn);
    } else if (what < 19) {
        (pick(life, 2) == 0 ? step_seen : step_fork)(life, txn);
    } else {
        step_chores(life, txn);
    }
    ok(txn_commit(txn));
    mark(life);
}

/* A clean copy takes the store's place. */
static void compact(struct life *life)
{
    struct copy copy;
    bool swapped = false;
    ok(copy_compact(store_of(life), &copy));
    ok(copy_swap(store_of(life), &swapped));
    must(swapped);
    mark(life);
}

static void restart(struct life *life)
{
    struct scratch *own = &life->labs[0];
    unsigned how = pick(life, 3);
    if (how == 0) {
        ok(store_trim(own->store));
    } else if (how == 1) {
        help_reopen(own);
    } else {
        compact(life);
    }
    for (unsigned i = 1; i < LABS; i++) {
        life->labs[i].store = own->store;
    }
    unsynced(life);
}

void life_run(const char *dir, uint64_t seed, bool sync)
{
    struct life life = {.dice = seed, .now_s = LIFE_WALL_S, .sync = sync};
    struct scratch *own = &life.labs[0];
    must(snprintf(own->path, sizeof own->path, "%s", dir) < (int) sizeof own->path);
    own->options = check_options();
    ok(store_open(own->path, &own->options, &own->store));
    unsynced(&life);
    mark(&life);
    struct txn *txn = NULL;
    ok(txn_begin_write(own->store, &txn));
    for (unsigned i = 0; i < LABS; i++) {
        life.labs[i].store = own->store;
        life.labs[i].keys = help_keys((uint8_t) (7 + i));
        life.labs[i].name.lab = life.labs[i].keys.lab;
        memcpy(life.labs[i].name.audience, "public", sizeof "public");
        record_put(&life, i, txn);
    }
    ok(txn_commit(txn));
    mark(&life);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&life);
        if (pick(&life, 30) == 0) {
            restart(&life);
        }
    }
    store_close(own->store);
}
