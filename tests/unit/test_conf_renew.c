/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/renew.c: from one set of keys to the next, cut at every step.
 *
 * The calls that change a name or make it durable are wrapped by the linker: the k-th of them ends
 * the process (a kill), or fails. Whatever k is, the next start finds the old set or the new one.
 */
#include "tests/unit/kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/limits.h"
#include "conf/conf.h"
#include "conf/renew.h"

#define KILLED 99

/* ---- the k-th step ---- */

static unsigned countdown; /* 0: none */
static bool fails;         /* else it kills */
static unsigned steps;

static bool cut(void)
{
    steps++;
    if (countdown == 0 || --countdown > 0) {
        return false;
    }
    if (!fails) {
        _exit(KILLED);
    }
    errno = EIO;
    return true;
}

int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return cut() ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags)
{
    return cut() ? -1 : __real_unlinkat(dir, name, flags);
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    (void) fd;
    return cut() ? -1 : 0; /* what the disk itself loses is not what this is about */
}

ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    return cut() ? -1 : __real_write(fd, bytes, size);
}

/* ---- a lab ---- */

struct place {
    char dir[40], commit[64];
    struct rootkey root;
};

static const char *path_of(const struct place *place, const char *name)
{
    static char path[128];
    (void) snprintf(path, sizeof path, "%s/%s", place->dir, name);
    return path;
}

static void clear(const struct place *place)
{
    char command[128];
    (void) snprintf(command, sizeof command, "rm -rf '%s'", place->dir);
    assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    struct lab_id lab;
    assert_non_null(place);
    memcpy(place->dir, "/tmp/essaim-renew-XXXXXX", 25);
    assert_non_null(mkdtemp(place->dir));
    assert_err(keys_create(place->dir, "Ti Lab", 1700000000, &lab), ERR_OK);
    assert_err(rootkey_load(path_of(place, KEYS_ROOT), &place->root, NULL), ERR_OK);
    (void) snprintf(place->commit, sizeof place->commit, "%s/commit", place->dir);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    countdown = 0;
    clear(place);
    rootkey_done(&place->root);
    free(place);
    return 0;
}

static enum err stage(const struct place *place, uint64_t generation)
{
    struct lab_record record = {
        .generation = generation, .name = bytes_of_str("Ti Lab"), .issued_at = 1700000001};
    return renew_stage(place->dir, &place->root, &record, NULL);
}

static uint64_t generation_of(const struct place *place)
{
    struct keys keys;
    struct say say = {0};
    enum err err = keys_load(place->dir, &keys, &say);
    if (err != ERR_OK) {
        fail_msg("no keys: %s", say.text);
    }
    uint64_t generation = keys.generation;
    keys_done(&keys);
    return generation;
}

/* As the daemon does at its start, whose store holds that generation. */
static void start(const struct place *place, uint64_t stored)
{
    struct renew_left left;
    struct lab_record record = {0};
    assert_err(renew_left(place->dir, &left, NULL), ERR_OK);
    if (left.record.size > 0) {
        assert_err(lab_record_open(buf_bytes(&left.record), &record), ERR_OK);
    }
    if (left.any && (left.begun || (left.record.size > 0 && record.generation == stored))) {
        assert_err(renew_finish(place->dir, NULL), ERR_OK);
    } else if (left.any) {
        renew_drop(place->dir);
        renew_unstage(place->dir);
    }
    buf_done(&left.record);
}

static unsigned count_of(const struct place *place, const char *pattern)
{
    unsigned count = 0;
    DIR *listing = opendir(place->dir);
    assert_non_null(listing);
    const struct dirent *entry = NULL;
    while ((entry = readdir(listing)) != NULL) {
        count += fnmatch(pattern, entry->d_name, 0) == 0;
    }
    assert_int_equal(closedir(listing), 0);
    return count;
}

static bool there(const struct place *place, const char *name)
{
    struct stat seen;
    return lstat(path_of(place, name), &seen) == 0;
}

static void a_set_that_was_staged_claimed_and_finished_is_the_new_one(void **state)
{
    struct place *place = *state;
    struct keys keys;
    assert_err(stage(place, 2), ERR_OK);
    assert_int_equal(generation_of(place), 1);
    assert_err(renew_claim(place->dir, NULL, &keys, NULL), ERR_OK);
    assert_int_equal(keys.generation, 2);
    assert_int_equal(generation_of(place), 1);
    assert_err(renew_finish(place->dir, NULL), ERR_OK);
    struct keys after;
    assert_err(keys_load(place->dir, &after, NULL), ERR_OK);
    assert_memory_equal(after.signing_secret, keys.signing_secret, SIGN_SECRET_SIZE);
    assert_memory_equal(after.link_secret, keys.link_secret, KEY_SIZE);
    assert_true(bytes_equal(buf_bytes(&after.record), buf_bytes(&keys.record)));
    assert_memory_equal(&after.lab, &place->root.lab, sizeof after.lab);
    keys_done(&keys);
    keys_done(&after);
    assert_int_equal(count_of(place, "*.new") + count_of(place, "*.next"), 0);
    struct stat seen;
    assert_int_equal(lstat(path_of(place, KEYS_SIGNING), &seen), 0);
    assert_int_equal(seen.st_mode, S_IFREG | 0600);
}

static void what_was_staged_can_be_taken_back_and_what_was_claimed_dropped(void **state)
{
    struct place *place = *state;
    struct keys keys;
    assert_err(stage(place, 2), ERR_OK);
    assert_err(stage(place, 3), ERR_OK); /* over the older one */
    renew_unstage(place->dir);
    assert_err(renew_claim(place->dir, NULL, &keys, NULL), ERR_NOT_FOUND);
    assert_err(stage(place, 2), ERR_OK);
    assert_err(renew_claim(place->dir, NULL, &keys, NULL), ERR_OK);
    keys_done(&keys);
    renew_drop(place->dir);
    assert_int_equal(count_of(place, "*.new") + count_of(place, "*.next"), 0);
    assert_int_equal(generation_of(place), 1);
}

/* In a child: everything from staging to the end, with the store's commit as a file. */
static int cut_run(const struct place *place, unsigned at)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct keys keys;
        countdown = at;
        bool done =
            stage(place, 2) == ERR_OK && renew_claim(place->dir, NULL, &keys, NULL) == ERR_OK;
        if (done) {
            int fd = open(place->commit, O_WRONLY | O_CREAT, 0600);
            done = fd >= 0 && !cut() && renew_finish(place->dir, NULL) == ERR_OK;
        }
        _exit(done ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Every k: the next start finds what the store holds. */
static void sweep(void **state, bool failing)
{
    struct place *place = *state;
    steps = countdown = 0;
    struct keys keys;
    assert_err(stage(place, 2), ERR_OK);
    assert_err(renew_claim(place->dir, NULL, &keys, NULL), ERR_OK);
    keys_done(&keys);
    assert_err(renew_finish(place->dir, NULL), ERR_OK);
    unsigned whole = steps + 1; /* and the commit */
    assert_in_range(whole, 20, 60);
    fails = failing;
    for (unsigned at = 1; at <= whole + 1; at++) {
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        place = *state;
        int status = cut_run(place, at);
        assert_true(failing || status == (at <= whole ? KILLED : 0));
        uint64_t stored = there(place, "commit") ? 2 : 1;
        start(place, stored);
        if (generation_of(place) != stored) {
            fail_msg("cut at step %u: generation %u", at, (unsigned) generation_of(place));
        }
        start(place, stored); /* once more changes nothing */
        assert_int_equal(generation_of(place), stored);
        assert_int_equal(count_of(place, "*.new") + count_of(place, "*.next"), 0);
    }
}

static void a_kill_at_any_step_leaves_the_old_set_or_the_new_one(void **state)
{
    sweep(state, false);
}

static void a_failure_at_any_step_does_so_too(void **state)
{
    sweep(state, true);
}

static void a_start_that_is_killed_while_it_finishes_goes_on_the_next_time(void **state)
{
    fails = false;
    for (unsigned at = 1; at < 8; at++) {
        struct place *place = *state;
        struct keys keys;
        assert_err(stage(place, 2), ERR_OK);
        assert_err(renew_claim(place->dir, NULL, &keys, NULL), ERR_OK);
        keys_done(&keys);
        pid_t child = fork();
        if (child == 0) {
            countdown = at;
            _exit(renew_finish(place->dir, NULL) == ERR_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(child, NULL, 0), child);
        /* The store was put back meanwhile: what had begun is finished all the same. */
        struct renew_left left;
        assert_err(renew_left(place->dir, &left, NULL), ERR_OK);
        bool began = left.begun || !left.any;
        assert_int_equal(began, at > 1);
        buf_done(&left.record);
        start(place, 1);
        assert_int_equal(generation_of(place), began ? 2 : 1);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

/* The daemon went on after renew_finish had failed: its keys are in .next files, in part or all. */
static void a_claim_after_a_failed_finish_loses_no_key_in_use(void **state)
{
    fails = true;
    for (unsigned first = 1; first < 5; first++) {
        for (unsigned then = 0; then < 8; then++) {
            struct place *place = *state;
            struct keys keys;
            bool unfinished = true;
            assert_err(stage(place, 2), ERR_OK);
            assert_err(renew_claim(place->dir, NULL, &keys, NULL), ERR_OK);
            keys_done(&keys);
            countdown = first;
            assert_true(renew_finish(place->dir, NULL) != ERR_OK);
            countdown = 0;
            assert_err(stage(place, 3), ERR_OK);
            countdown = then;
            enum err err = renew_claim(place->dir, &unfinished, &keys, NULL);
            countdown = 0;
            if (err == ERR_OK) {
                keys_done(&keys);
            }
            start(place, 2); /* generation 3 was never in use */
            assert_int_equal(generation_of(place), 2);
            assert_int_equal(teardown(state), 0);
            assert_int_equal(setup(state), 0);
        }
    }
}

static void another_essaim_that_writes_meanwhile_is_not_mixed_in(void **state)
{
    struct place *place = *state;
    struct keys keys;
    assert_err(stage(place, 2), ERR_OK);
    assert_err(renew_claim(place->dir, NULL, &keys, NULL), ERR_OK);
    assert_err(stage(place, 7), ERR_OK);
    assert_err(renew_finish(place->dir, NULL), ERR_OK);
    assert_int_equal(generation_of(place), 2);
    struct keys after;
    assert_err(keys_load(place->dir, &after, NULL), ERR_OK);
    assert_memory_equal(after.link_secret, keys.link_secret, KEY_SIZE);
    keys_done(&after);
    keys_done(&keys);
    start(place, 2);
    assert_int_equal(count_of(place, "*.new"), 0);
}

static void a_set_that_does_not_belong_together_is_refused_and_goes(void **state)
{
    struct place *place = *state;
    struct keys keys;
    struct say say = {0};
    char kept[128];
    assert_err(stage(place, 2), ERR_OK);
    (void) snprintf(kept, sizeof kept, "%s", path_of(place, "link.key.new"));
    assert_int_equal(rename(kept, path_of(place, "other")), 0);
    assert_err(stage(place, 2), ERR_OK);
    assert_int_equal(rename(path_of(place, "other"), kept), 0);
    assert_err(renew_claim(place->dir, NULL, &keys, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "does not belong"));
    assert_int_equal(count_of(place, "*.new") + count_of(place, "*.next"), 0);
    assert_int_equal(generation_of(place), 1);
}

static void a_directory_that_is_not_ours_is_refused(void **state)
{
    struct place *place = *state;
    struct say say = {0};
    struct lab_record record = {.generation = 2, .name = bytes_of_str("x")};
    assert_int_equal(chmod(place->dir, 0755), 0);
    assert_err(renew_stage(place->dir, &place->root, &record, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "chmod 0700"));
    assert_string_equal(say.place, place->dir);
    assert_non_null(say.cause);
    assert_int_equal(chmod(place->dir, 0700), 0);
    record.name = bytes_of_str("");
    assert_err(renew_stage(place->dir, &place->root, &record, &say), ERR_INVALID);
    assert_int_equal(count_of(place, "*.new"), 0);
}

static void what_root_makes_belongs_to_the_owner_of_the_directory(void **state)
{
    struct place *place = *state;
    struct stat seen;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(chown(place->dir, 65534, 65534), 0);
    assert_err(stage(place, 2), ERR_OK);
    assert_int_equal(lstat(path_of(place, "signing.key.new"), &seen), 0);
    assert_int_equal(seen.st_uid, 65534);
    assert_int_equal(chown(place->dir, 0, 0), 0);
}

/* ---- recovering ---- */

static void a_recovering_directory_is_loaded_as_one_and_ends_as_a_lab(void **state)
{
    struct place *place = *state;
    struct keys keys;
    struct lab_id other = {{1}};
    clear(place);
    assert_err(renew_recover(place->dir, &place->root, 1700000002, NULL), ERR_OK);
    assert_true(renew_recovering(place->dir, &place->root.lab));
    assert_false(renew_recovering(place->dir, &other));
    assert_err(keys_load(place->dir, &keys, NULL), ERR_OK);
    assert_int_equal(keys.generation, 0);
    assert_int_equal(keys.record.size, 0);
    assert_true(keys.statement.size > 0);
    assert_null(keys.signing_secret);
    assert_memory_equal(&keys.lab, &place->root.lab, sizeof keys.lab);
    keys_done(&keys);
    assert_err(stage(place, 5), ERR_OK);
    assert_err(renew_claim(place->dir, NULL, &keys, NULL), ERR_OK);
    keys_done(&keys);
    assert_err(renew_finish(place->dir, NULL), ERR_OK);
    assert_int_equal(generation_of(place), 5);
    assert_false(there(place, KEYS_STATEMENT));
    assert_false(renew_recovering(place->dir, &place->root.lab));
}

static void recovering_wants_an_empty_directory(void **state)
{
    struct place *place = *state;
    struct say say = {0};
    assert_err(renew_recover(place->dir, &place->root, 1, &say), ERR_EXISTS);
    assert_non_null(strstr(say.text, "not empty"));
    assert_int_equal(generation_of(place), 1);
    clear(place);
    assert_int_equal(mkdir(place->dir, 0755), 0); /* closed to others on the way */
    assert_err(conf_write(place->dir, NULL), ERR_OK);
    assert_err(renew_recover(place->dir, &place->root, 1, &say), ERR_OK);
    assert_err(renew_recover(place->dir, &place->root, 1, &say), ERR_EXISTS);
    assert_err(renew_recover("/nonexistent/x", &place->root, 1, &say), ERR_KEY);
}

static void a_statement_that_fits_nothing_is_refused(void **state)
{
    struct place *place = *state;
    struct keys keys;
    struct say say = {0};
    clear(place);
    assert_err(renew_recover(place->dir, &place->root, 1, NULL), ERR_OK);
    int fd = open(path_of(place, KEYS_STATEMENT), O_RDWR);
    uint8_t bytes[256];
    ssize_t size = read(fd, bytes, sizeof bytes);
    assert_true(size > 60);
    bytes[60] ^= 1;
    assert_int_equal(pwrite(fd, bytes, (size_t) size, 0), size);
    assert_int_equal(close(fd), 0);
    assert_err(keys_load(place->dir, &keys, &say), ERR_KEY);
    assert_non_null(strstr(say.text, KEYS_STATEMENT));
    assert_false(renew_recovering(place->dir, &place->root.lab));
    clear(place);
    assert_err(renew_recover(place->dir, &place->root, 1, NULL), ERR_OK);
    fd = open(path_of(place, KEYS_LINK), O_RDWR | O_TRUNC);
    static const char line[] = "essaim-key-1 link "
                               "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    assert_int_equal(write(fd, line, sizeof line - 1), (ssize_t) sizeof line - 1);
    assert_int_equal(close(fd), 0);
    assert_err(keys_load(place->dir, &keys, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "recover.statement"));
}

#define WITH_LAB(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LAB(a_set_that_was_staged_claimed_and_finished_is_the_new_one),
        WITH_LAB(what_was_staged_can_be_taken_back_and_what_was_claimed_dropped),
        WITH_LAB(a_kill_at_any_step_leaves_the_old_set_or_the_new_one),
        WITH_LAB(a_failure_at_any_step_does_so_too),
        WITH_LAB(a_start_that_is_killed_while_it_finishes_goes_on_the_next_time),
        WITH_LAB(a_claim_after_a_failed_finish_loses_no_key_in_use),
        WITH_LAB(another_essaim_that_writes_meanwhile_is_not_mixed_in),
        WITH_LAB(a_set_that_does_not_belong_together_is_refused_and_goes),
        WITH_LAB(a_directory_that_is_not_ours_is_refused),
        WITH_LAB(what_root_makes_belongs_to_the_owner_of_the_directory),
        WITH_LAB(a_recovering_directory_is_loaded_as_one_and_ends_as_a_lab),
        WITH_LAB(recovering_wants_an_empty_directory),
        WITH_LAB(a_statement_that_fits_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
