/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/bench/store_bench.c: what the store costs beside what it is made of, in one run.
 *
 *     store_bench DIR [ENTRIES]      DIR is made, filled and left for inspection
 *
 * One JSON line a figure: name, value, unit, and for ratios what stands below the line. Entries are
 * 1,080 B each, all in one catalogue.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <sodium.h>

#include "base/limits.h"
#include "base/must.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "store/catalogue.h"
#include "store/ledger.h"
#include "store/scrub.h"
#include "store/staging.h"
#include "store/txn.h"

#define ENTRY_SIZE 1080u
#define STAGE_SIZE (1024u * 1024)
#define ONE_ROUNDS 200

struct bench {
    const char *dir;
    size_t count;
    uint8_t *entries; /* count × ENTRY_SIZE */
    struct store *store;
    struct store_options options;
    struct lab_id lab;
    uint8_t root_secret[SIGN_SECRET_SIZE], signing_pk[KEY_SIZE], signing_secret[SIGN_SECRET_SIZE];
    struct catalogue_name name;
    uint32_t id;
    struct change_list list;
};

static double clock_s(clockid_t clock)
{
    struct timespec now;
    (void) clock_gettime(clock, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* For what waits for the disk. */
static double now_s(void)
{
    return clock_s(CLOCK_MONOTONIC);
}

/* For what only computes: what others do on this machine counts less. */
static double cpu_s(void)
{
    return clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

static void figure(const char *name, double value, const char *unit)
{
    printf("{\"figure\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"}\n", name, value, unit);
    (void) fflush(stdout);
}

/* Memory of our own: without pages of the mapped file. */
static double private_mb(void)
{
    char line[256];
    double kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            kb = strtod(line + 8, NULL);
        }
    }
    if (status != NULL) {
        (void) fclose(status);
    }
    return kb / 1024;
}

static struct bytes entry_at(const struct bench *bench, size_t index)
{
    return bytes_of(bench->entries + index * ENTRY_SIZE, ENTRY_SIZE);
}

static void entry_make(size_t number, uint64_t rev, uint8_t into[ENTRY_SIZE])
{
    char slug[32];
    uint8_t text[ENTRY_SIZE];
    struct buf body = {0}, whole = {0};
    (void) snprintf(slug, sizeof slug, "entry-%08zu", number);
    for (size_t size = ENTRY_SIZE - 45; whole.size != ENTRY_SIZE; size += ENTRY_SIZE - whole.size) {
        for (size_t i = 0; i < size; i++) {
            text[i] = (uint8_t) ('a' + (number + rev * 7 + i * 31) % 26);
        }
        buf_clear(&body);
        buf_clear(&whole);
        pack_map(&body, 1);
        pack_cstr(&body, "text");
        pack_str(&body, bytes_of(text, size));
        struct entry entry = {.slug = bytes_of_str(slug),
                              .kind = bytes_of_str("innovation"),
                              .rev = rev,
                              .body = buf_bytes(&body)};
        must(entry_encode(&entry, &whole) == ERR_OK);
    }
    memcpy(into, whole.data, ENTRY_SIZE);
    buf_done(&body);
    buf_done(&whole);
}

static struct change change_of(struct bytes bytes, uint64_t seq, size_t order)
{
    struct entry entry;
    must(entry_peek(bytes, &entry) == ERR_OK);
    return (struct change){.slug_hash = hash_slug(entry.slug),
                           .leaf = entry_leaf(bytes),
                           .rev = entry.rev,
                           .seq = seq,
                           .size = (uint32_t) bytes.size,
                           .order = (uint32_t) order};
}

static struct txn *write_begin(struct bench *bench)
{
    struct txn *txn = NULL;
    must(txn_begin_write(bench->store, &txn) == ERR_OK);
    return txn;
}

static struct txn *read_begin(struct bench *bench)
{
    struct txn *txn = NULL;
    must(txn_begin_read(bench->store, &txn) == ERR_OK);
    return txn;
}

static void prepare(struct bench *bench)
{
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    sign_keypair(seed, bench->lab.bytes, bench->root_secret);
    seed[0] = 2;
    sign_keypair(seed, bench->signing_pk, bench->signing_secret);
    bench->name.lab = bench->lab;
    memcpy(bench->name.audience, "public", sizeof "public");
    bench->entries = malloc(bench->count * ENTRY_SIZE);
    must(bench->entries != NULL);
    for (size_t i = 0; i < bench->count; i++) {
        entry_make(i, 1, bench->entries + i * ENTRY_SIZE);
    }
    must(store_open(bench->dir, &bench->options, &bench->store) == ERR_OK);
    struct txn *txn = write_begin(bench);
    struct lab_record record = {
        .lab = bench->lab, .generation = 1, .name = bytes_of_str("bench"), .issued_at = 1};
    memcpy(record.signing_pk, bench->signing_pk, KEY_SIZE);
    struct buf bytes = {0};
    uint64_t arrival;
    must(lab_record_sign(&record, bench->root_secret, &bytes) == ERR_OK);
    must(lab_put(txn, &record, buf_bytes(&bytes), &bench->lab, &arrival) == ERR_OK);
    must(catalogue_open(txn, &bench->name, &bench->id) == ERR_OK);
    must(txn_commit(txn) == ERR_OK);
    buf_done(&bytes);
}

/* ---- primitives ---- */

static double bench_hash(const struct bench *bench)
{
    double start = cpu_s();
    unsigned sum = 0;
    for (size_t i = 0; i < bench->count; i++) {
        sum += entry_leaf(entry_at(bench, i)).bytes[0];
    }
    double taken = cpu_s() - start;
    must(sum > 0);
    figure("blake2b_all_cpu_ms", taken * 1e3, "ms");
    return taken;
}

static double bench_scan(struct bench *bench)
{
    double start = cpu_s();
    struct txn *txn = read_begin(bench);
    struct cursor cursor = {0};
    struct row row;
    uint8_t first[8] = {0};
    unsigned sum = 0;
    must(cursor_open(txn, TABLE_BODIES, &cursor) == ERR_OK);
    enum err err = cursor_seek(&cursor, BYTES_OF_ARRAY(first), &row);
    for (; err == ERR_OK; err = cursor_next(&cursor, &row)) {
        for (size_t at = 0; at < row.value.size; at += 64) {
            sum += row.value.data[at];
        }
    }
    cursor_close(&cursor);
    txn_end(txn);
    double taken = cpu_s() - start;
    must(sum > 0);
    figure("lmdb_scan_cpu_ms", taken * 1e3, "ms");
    return taken;
}

static void bench_commit(struct bench *bench)
{
    double start = now_s();
    for (unsigned i = 0; i < ONE_ROUNDS; i++) {
        struct txn *txn = write_begin(bench);
        struct peer_row row = {.lab = bench->lab, .cursor = i};
        must(peer_put(txn, &row) == ERR_OK);
        must(txn_commit(txn) == ERR_OK);
    }
    figure("small_commit_us", (now_s() - start) / ONE_ROUNDS * 1e6, "us");
}

/* ---- the store ---- */

static struct head head_next(struct bench *bench, struct txn *txn, const struct plan *plan,
                             struct buf *into)
{
    struct held_head held;
    struct head head = {.lab = bench->lab,
                        .generation = 1,
                        .n = 1,
                        .count = plan->count,
                        .bytes = plan->bytes,
                        .root = plan->root,
                        .issued_at = 1};
    memcpy(head.audience, bench->name.audience, sizeof head.audience);
    if (catalogue_head(txn, bench->id, &held) == ERR_OK) {
        head.n = held.head.n + 1;
        head.history = history_next(&held.head.history, &held.head.hash);
    }
    must(head_sign(&head, bench->signing_secret, into) == ERR_OK);
    return head;
}

static void apply(struct bench *bench, struct txn *txn, struct change_list *list,
                  const struct plan *plan)
{
    struct buf signed_head = {0};
    uint64_t arrival;
    struct head head = head_next(bench, txn, plan, &signed_head);
    struct apply what = {.id = bench->id,
                         .list = list,
                         .plan = plan,
                         .head = &head,
                         .signed_head = buf_bytes(&signed_head),
                         .from = bench->lab,
                         .now_s = 1};
    must(catalogue_apply(txn, &what, &arrival) == ERR_OK);
    buf_done(&signed_head);
}

static void bench_stage(struct bench *bench)
{
    double start = now_s();
    size_t i = 0;
    while (i < bench->count) {
        struct txn *txn = write_begin(bench);
        for (size_t size = 0; i < bench->count && size < STAGE_SIZE; i++, size += ENTRY_SIZE) {
            uint64_t seq;
            must(body_append(txn, bench->id, entry_at(bench, i), &seq) == ERR_OK);
            struct change change = change_of(entry_at(bench, i), seq, i);
            must(change_add(&bench->list, &change) == ERR_OK);
        }
        must(txn_commit(txn) == ERR_OK);
    }
    figure("stage_all_ms", (now_s() - start) * 1e3, "ms");
}

static void bench_apply(struct bench *bench)
{
    struct plan plan;
    double before_mb = private_mb();
    struct change_list *list = &bench->list;
    double start = cpu_s();
    must(change_settle(list, NULL) == ERR_OK);
    double settled = cpu_s();
    struct txn *txn = write_begin(bench);
    must(catalogue_plan(txn, bench->id, list, &plan) == ERR_OK);
    double planned = cpu_s();
    apply(bench, txn, list, &plan);
    double applied = cpu_s();
    double peak_mb = private_mb();
    double begun = now_s();
    must(txn_commit(txn) == ERR_OK);
    double committed = now_s();
    figure("settle_all_cpu_ms", (settled - start) * 1e3, "ms");
    figure("plan_all_cpu_ms", (planned - settled) * 1e3, "ms");
    figure("apply_all_cpu_ms", (applied - planned) * 1e3, "ms");
    figure("commit_all_ms", (committed - begun) * 1e3, "ms");
    figure("settle_plan_apply_commit_ms", (applied - start + committed - begun) * 1e3, "ms");
    figure("apply_private_peak_mb", peak_mb - before_mb, "MB");
    change_done(list);
    must(store_trim(bench->store) == ERR_OK);
    figure("private_after_trim_mb", private_mb() - before_mb, "MB");
}

static void bench_one(struct bench *bench)
{
    double plan_taken = 0, apply_taken = 0, commit_taken = 0;
    for (size_t i = 0; i < ONE_ROUNDS; i++) {
        uint8_t bytes[ENTRY_SIZE];
        struct change_list list = {0};
        struct plan plan;
        uint64_t seq;
        entry_make(i * 37 % bench->count, i + 2, bytes);
        struct txn *txn = write_begin(bench);
        must(body_append(txn, bench->id, BYTES_OF_ARRAY(bytes), &seq) == ERR_OK);
        struct change change = change_of(BYTES_OF_ARRAY(bytes), seq, 0);
        must(change_add(&list, &change) == ERR_OK);
        must(change_settle(&list, NULL) == ERR_OK);
        double start = cpu_s();
        must(catalogue_plan(txn, bench->id, &list, &plan) == ERR_OK);
        double planned = cpu_s();
        apply(bench, txn, &list, &plan);
        double applied = cpu_s();
        double begun = now_s();
        must(txn_commit(txn) == ERR_OK);
        double committed = now_s();
        plan_taken += planned - start;
        apply_taken += applied - planned;
        commit_taken += committed - begun;
        change_done(&list);
    }
    figure("plan_one_cpu_us", plan_taken / ONE_ROUNDS * 1e6, "us");
    figure("sign_apply_one_cpu_us", apply_taken / ONE_ROUNDS * 1e6, "us");
    figure("commit_one_us", commit_taken / ONE_ROUNDS * 1e6, "us");
}

static void bench_stream(struct bench *bench)
{
    double start = cpu_s();
    struct txn *txn = read_begin(bench);
    struct entry_cursor *cursor = NULL;
    struct bytes entry;
    uint64_t rev, size = 0;
    struct slug_hash slug;
    must(entry_cursor_open(txn, bench->id, 0, NULL, &cursor) == ERR_OK);
    while (entry_cursor_next(cursor, &entry, &rev, &slug) == ERR_OK) {
        size += entry.size;
    }
    entry_cursor_close(cursor);
    txn_end(txn);
    must(size == bench->count * ENTRY_SIZE);
    figure("stream_mb_per_cpu_s", (double) size / 1e6 / (cpu_s() - start), "MB/s");
}

static double bench_scrub(struct bench *bench)
{
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page page = {0};
    double start = cpu_s(), longest = 0;
    uint64_t problems = 0;
    while (!page.done) {
        double begun = cpu_s();
        struct txn *txn = read_begin(bench);
        must(scrub_step(txn, at, 2000, &page) == ERR_OK);
        txn_end(txn);
        double taken = cpu_s() - begun;
        longest = taken > longest ? taken : longest;
        problems += page.problems_seen;
    }
    double taken = cpu_s() - start;
    must(problems == 0);
    figure("scrub_cpu_ms", taken * 1e3, "ms");
    figure("scrub_longest_page_cpu_ms", longest * 1e3, "ms");
    return taken;
}

static void bench_size(const struct bench *bench)
{
    char path[4096];
    struct stat file;
    (void) snprintf(path, sizeof path, "%s/data.mdb", bench->dir);
    must(stat(path, &file) == 0);
    figure("disk_ratio", (double) file.st_size / ((double) bench->count * ENTRY_SIZE), "x");
}

static void bench_open(struct bench *bench)
{
    store_close(bench->store);
    double start = now_s();
    must(store_open(bench->dir, &bench->options, &bench->store) == ERR_OK);
    figure("open_ms", (now_s() - start) * 1e3, "ms");
}

int main(int argc, char **argv)
{
    struct bench bench = {.count = 100000};
    if (argc < 2 || sodium_init() < 0) {
        (void) fprintf(stderr, "usage: store_bench DIR [ENTRIES]\n");
        return 2;
    }
    bench.dir = argv[1];
    if (argc > 2) {
        bench.count = strtoul(argv[2], NULL, 10);
    }
    prepare(&bench);
    double hash = bench_hash(&bench);
    bench_commit(&bench);
    bench_stage(&bench);
    bench_apply(&bench);
    bench_size(&bench);
    bench_stream(&bench);
    double scan = bench_scan(&bench);
    figure("scrub_ratio", bench_scrub(&bench) / (hash + scan), "x");
    bench_one(&bench);
    bench_stream(&bench);
    figure("scrub_ratio", bench_scrub(&bench) / (hash + scan), "x");
    bench_size(&bench);
    bench_open(&bench);
    store_close(bench.store);
    free(bench.entries);
    return 0;
}
