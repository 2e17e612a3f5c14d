/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/rootkey.c: the root key moves offline: the copy stands before the original goes. */
#include "tests/unit/kit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/keys.h"
#include "conf/rootkey.h"

struct place {
    char dir[40], away[64], copy[96];
    struct lab_id lab;
};

static const char *path_of(const struct place *place, const char *name)
{
    static char path[128];
    (void) snprintf(path, sizeof path, "%s/%s", place->dir, name);
    return path;
}

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    memcpy(place->dir, "/tmp/essaim-root-XXXXXX", 24);
    assert_non_null(mkdtemp(place->dir));
    assert_err(keys_create(place->dir, "Ti Lab", 1700000000, &place->lab), ERR_OK);
    (void) snprintf(place->away, sizeof place->away, "%s.away", place->dir);
    (void) snprintf(place->copy, sizeof place->copy, "%s/kept.key", place->away);
    assert_int_equal(mkdir(place->away, 0755), 0); /* a stick is open to others, the file is not */
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[160];
    (void) snprintf(command, sizeof command, "rm -rf '%s' '%s'", place->dir, place->away);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static bool there(const char *path)
{
    struct stat seen;
    return lstat(path, &seen) == 0;
}

static void it_is_moved_and_still_is_that_labs(void **state)
{
    struct place *place = *state;
    struct lab_id lab;
    struct rootkey key;
    assert_err(rootkey_export(place->dir, place->copy, &lab, NULL), ERR_OK);
    assert_memory_equal(&lab, &place->lab, sizeof lab);
    assert_false(there(path_of(place, KEYS_ROOT)));
    struct stat seen;
    assert_int_equal(lstat(place->copy, &seen), 0);
    assert_int_equal(seen.st_mode, S_IFREG | 0600);
    assert_err(rootkey_load(place->copy, &key, NULL), ERR_OK);
    assert_memory_equal(&key.lab, &place->lab, sizeof key.lab);
    rootkey_done(&key);
    rootkey_done(&key);
    rootkey_done(NULL);
    struct keys keys;
    assert_err(keys_load(place->dir, &keys, NULL), ERR_OK); /* the daemon does not miss it */
    keys_done(&keys);
}

static void the_original_is_overwritten_before_it_goes(void **state)
{
    struct place *place = *state;
    char text[256] = {0};
    struct lab_id lab;
    int fd = open(path_of(place, KEYS_ROOT), O_RDONLY); /* as a disk would still have it */
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof text) > 60);
    assert_err(rootkey_export(place->dir, place->copy, &lab, NULL), ERR_OK);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    ssize_t size = read(fd, text, sizeof text);
    assert_true(size > 60);
    for (ssize_t i = 0; i < size; i++) {
        assert_int_equal(text[i], 0);
    }
    assert_int_equal(close(fd), 0);
}

static void nothing_is_overwritten_and_nothing_is_moved_into_nowhere(void **state)
{
    struct place *place = *state;
    struct lab_id lab;
    struct say say = {0};
    int fd = open(place->copy, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(close(fd), 0);
    assert_err(rootkey_export(place->dir, place->copy, &lab, &say), ERR_EXISTS);
    assert_non_null(strstr(say.text, place->copy));
    assert_int_equal(unlink(place->copy), 0);
    assert_int_equal(symlink("/tmp/essaim-never", place->copy), 0);
    assert_err(rootkey_export(place->dir, place->copy, &lab, &say), ERR_EXISTS);
    assert_err(rootkey_export(place->dir, "/nonexistent/x.key", &lab, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "/nonexistent/x.key"));
    assert_err(rootkey_export(place->dir, place->away, &lab, &say), ERR_EXISTS);
    assert_true(there(path_of(place, KEYS_ROOT)));
}

static void a_disk_without_room_keeps_the_original_and_no_half_copy(void **state)
{
    struct place *place = *state;
    pid_t child = fork();
    if (child == 0) { /* the limit stands for a full disk: EFBIG */
        struct lab_id lab;
        struct rlimit none = {0, 0};
        bool good = signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &none) == 0 &&
                    rootkey_export(place->dir, place->copy, &lab, NULL) == ERR_FULL;
        _exit(good ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(there(place->copy));
    assert_true(there(path_of(place, KEYS_ROOT)));
}

static void once_moved_it_is_said_so(void **state)
{
    struct place *place = *state;
    struct lab_id lab;
    struct say say = {0};
    assert_err(rootkey_export(place->dir, place->copy, &lab, NULL), ERR_OK);
    char second[128];
    (void) snprintf(second, sizeof second, "%s.2", place->copy);
    assert_err(rootkey_export(place->dir, second, &lab, &say), ERR_NOT_FOUND);
    assert_non_null(strstr(say.text, "moved already"));
    assert_false(there(second));
}

static void a_file_that_is_open_to_others_or_no_root_key_is_refused(void **state)
{
    struct place *place = *state;
    struct rootkey key;
    struct say say = {0};
    assert_err(rootkey_load(path_of(place, KEYS_SIGNING), &key, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "not a key of this kind"));
    assert_int_equal(chmod(path_of(place, KEYS_ROOT), 0640), 0);
    assert_err(rootkey_load(path_of(place, KEYS_ROOT), &key, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "open to others"));
    assert_err(rootkey_load("/nonexistent/root.key", &key, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "--root-key"));
}

#define WITH_LAB(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LAB(it_is_moved_and_still_is_that_labs),
        WITH_LAB(the_original_is_overwritten_before_it_goes),
        WITH_LAB(nothing_is_overwritten_and_nothing_is_moved_into_nowhere),
        WITH_LAB(a_disk_without_room_keeps_the_original_and_no_half_copy),
        WITH_LAB(once_moved_it_is_said_so),
        WITH_LAB(a_file_that_is_open_to_others_or_no_root_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
