/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * Bits flip anywhere in data.mdb (promise D6). Whatever a store says afterwards, in a process of
 * its own: it refuses to open, or dies, or names the damage, or the flip hit nothing that counts,
 * and then every entry is there and right. A wrong entry is never given out.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "store_help.h"

#define ENTRIES 120u
#define FLIPS 600u
#define PAGE 4096u

enum verdict { VERDICT_HARMLESS, VERDICT_NAMED, VERDICT_REFUSED, VERDICT_WRONG, VERDICT_SILENT };

#define CHAIN_N 150u
#define FORK_K 100u

static struct buf kept_proof;

/* By head: a flip in a meta page may show the state before the last commit, whole and signed. */
static struct hash leaves[2][ENTRIES];

/* How many entries come out right; -1 when one is wrong. */
static int good_entries(struct txn *txn, const struct hash *wanted)
{
    struct entry_cursor *cursor = NULL;
    struct bytes bytes;
    struct slug_hash slug;
    uint64_t rev;
    int good = 0;
    enum err err = entry_cursor_open(txn, 1, 0, NULL, &cursor);
    while (err != ERR_NOT_FOUND && cursor != NULL) {
        err = entry_cursor_next(cursor, &bytes, &rev, &slug);
        if (err != ERR_OK) {
            continue;
        }
        struct hash leaf = entry_leaf(bytes);
        bool known = false;
        for (unsigned i = 0; i < ENTRIES && !known; i++) {
            known = memcmp(leaf.bytes, wanted[i].bytes, HASH_SIZE) == 0;
        }
        if (!known) {
            return -1;
        }
        good++;
    }
    entry_cursor_close(cursor);
    return good;
}

/* Each entry by its slug: the right one, or none. */
static bool slugs_right(struct txn *txn, const struct hash *wanted, int *good)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct slug_hash slug = help_slug(i);
        struct bytes bytes;
        if (catalogue_entry(txn, 1, &slug, &bytes) != ERR_OK) {
            continue;
        }
        struct hash leaf = entry_leaf(bytes);
        if (memcmp(leaf.bytes, wanted[i].bytes, HASH_SIZE) != 0) {
            return false;
        }
        (*good)++;
    }
    return true;
}

/* The chain that leads to the head, and the fork. */
static bool chain_right(struct txn *txn, const struct head *head)
{
    struct hash history;
    struct held_fork held;
    return history_at(txn, 1, head->n, &history) == ERR_OK &&
           memcmp(history.bytes, head->history.bytes, HASH_SIZE) == 0 &&
           fork_get(txn, 1, &held) == ERR_OK && held.k == FORK_K && held.generation == 1 &&
           bytes_equal(held.proof, buf_bytes(&kept_proof));
}

static enum verdict look(struct scratch *scratch)
{
    struct txn *txn = NULL;
    int by_slug = 0;
    if (store_open(scratch->path, &scratch->options, &scratch->store) != ERR_OK ||
        txn_begin_read(scratch->store, &txn) != ERR_OK) {
        return VERDICT_REFUSED;
    }
    struct held_head held = {0};
    bool head = catalogue_head(txn, 1, &held) == ERR_OK;
    const struct hash *wanted = leaves[held.head.n == 1 ? 0 : 1];
    int good = good_entries(txn, wanted);
    if (good < 0 || !slugs_right(txn, wanted, &by_slug)) {
        return VERDICT_WRONG;
    }
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page page = {0};
    uint64_t problems = 0;
    for (unsigned pages = 0; !page.done && pages < 1000; pages++) {
        if (scrub_step(txn, at, 1000, &page) != ERR_OK) {
            return VERDICT_NAMED;
        }
        problems += page.problems_seen;
    }
    if (problems > 0) {
        return VERDICT_NAMED;
    }
    bool whole = good == ENTRIES && by_slug == ENTRIES && head && held.head.count == ENTRIES &&
                 chain_right(txn, &held.head);
    return whole ? VERDICT_HARMLESS : VERDICT_SILENT;
}

static int look_in_a_child(struct scratch *scratch)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0};
        (void) setrlimit(RLIMIT_CORE, &none);
        (void) !freopen("/dev/null", "w", stderr); /* LMDB's last words */
        static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < 5; i++) { /* not cmocka's */
            (void) signal(signals[i], SIG_DFL);
        }
        (void) alarm(20);
        _exit((int) look(scratch));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* What is damaged, by bit; the file is left as it was. */
struct rot {
    struct scratch *scratch;
    struct buf file;
    unsigned counts[VERDICT_SILENT + 1], died, flips;
};

static void rot_init(struct rot *rot, struct scratch *scratch)
{
    struct buf entry = {0};
    *rot = (struct rot){.scratch = scratch};
    help_lab(scratch);
    (void) help_publish(scratch, 0, ENTRIES, 1, 300);
    (void) help_publish(scratch, 7, 3, 2, 6000);
    static const struct help_side sides[] = {{.n = 60, .k = 10, .count = 40},
                                             {.n = 140, .k = 70, .count = 60}};
    help_fork_proof(scratch, FORK_K, 250, 200, &kept_proof);
    help_fork(scratch, 1, 1, FORK_K, buf_bytes(&kept_proof));
    (void) help_chain_put(scratch, 1, CHAIN_N, sides, 2);
    for (unsigned i = 0; i < ENTRIES; i++) {
        bool again = i >= 7 && i < 10;
        help_entry(i, 1, 1, 300, &entry);
        leaves[0][i] = entry_leaf(buf_bytes(&entry));
        help_entry(i, again ? 2 : 1, again ? 2 : 1, again ? 6000 : 300, &entry);
        leaves[1][i] = entry_leaf(buf_bytes(&entry));
    }
    buf_done(&entry);
    help_close(scratch);
    help_file(scratch, &rot->file);
}

static void rot_flip(struct rot *rot, size_t bit)
{
    uint8_t mask = (uint8_t) (1u << (bit % 8));
    rot->file.data[bit / 8] ^= mask;
    help_file_put(rot->scratch, buf_bytes(&rot->file));
    int status = look_in_a_child(rot->scratch);
    rot->file.data[bit / 8] ^= mask;
    rot->flips++;
    if (WIFSIGNALED(status)) {
        assert_int_not_equal(WTERMSIG(status), SIGALRM);
        rot->died++;
        return;
    }
    assert_true(WEXITSTATUS(status) <= VERDICT_SILENT);
    rot->counts[WEXITSTATUS(status)]++;
    if (WEXITSTATUS(status) >= VERDICT_WRONG) {
        fail_msg("bit %zu (page %zu, offset %zu): verdict %d", bit, bit / 8 / PAGE, bit / 8 % PAGE,
                 WEXITSTATUS(status));
    }
}

static void rot_done(struct rot *rot)
{
    print_message("%u flips: %u harmless, %u named, %u refused, %u died\n", rot->flips,
                  rot->counts[VERDICT_HARMLESS], rot->counts[VERDICT_NAMED],
                  rot->counts[VERDICT_REFUSED], rot->died);
    buf_done(&rot->file);
    buf_done(&kept_proof);
}

static void a_flipped_bit_never_gives_a_wrong_entry(void **state)
{
    struct rot rot;
    rot_init(&rot, *state);
    for (unsigned i = 0; i < FLIPS; i++) {
        rot_flip(&rot, help_random(*state) % (rot.file.size * 8));
    }
    assert_true(rot.counts[VERDICT_NAMED] > FLIPS / 5);
    rot_done(&rot);
}

/* Keys of branch pages, by which look-ups go down; and where the rows of any page lie. */
static void a_flipped_bit_in_the_ways_to_a_row_is_never_silent(void **state)
{
    struct rot rot;
    rot_init(&rot, *state);
    for (size_t page = 2; page < rot.file.size / PAGE; page++) {
        const uint8_t *head = rot.file.data + page * PAGE;
        uint16_t flags, lower;
        memcpy(&flags, head + 10, sizeof flags);
        memcpy(&lower, head + 12, sizeof lower);
        if (flags == 1) { /* a branch */
            for (size_t row = 18; row + 2 <= lower; row += 2) {
                uint16_t node; /* of page number, flags, key size; then the key */
                memcpy(&node, head + row, sizeof node);
                size_t key = page * PAGE + node + 8;
                rot_flip(&rot, (key + 4 + help_random(*state) % 2) * 8 + help_random(*state) % 8);
                rot_flip(&rot, (key + 12 + help_random(*state) % 2) * 8 + help_random(*state) % 8);
            }
        }
        if (flags == 1 || flags == 2) {
            for (unsigned i = 0; i < 4 && lower > 16 && lower < PAGE; i++) {
                size_t at = 16 + help_random(*state) % (lower - 16u);
                rot_flip(&rot, (page * PAGE + at) * 8 + help_random(*state) % 8);
            }
        }
    }
    assert_true(rot.flips > 100);
    assert_true(rot.counts[VERDICT_NAMED] > rot.flips / 10);
    rot_done(&rot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flipped_bit_never_gives_a_wrong_entry),
        TEST(a_flipped_bit_in_the_ways_to_a_row_is_never_silent),
    };
    return cmocka_run_group_tests_name("store_rot", tests, NULL, NULL);
}
