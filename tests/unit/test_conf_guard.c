/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/guard.c: one line, one form; what is not it is garbled, and a link is never followed. */
#include "tests/unit/kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/guard.h"

struct place {
    char dir[40], path[64];
    struct guard guard;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    memcpy(place->dir, "/tmp/essaim-guard-XXXXXX", 25);
    assert_non_null(mkdtemp(place->dir));
    (void) snprintf(place->path, sizeof place->path, "%s/" GUARD_FILE, place->dir);
    place->guard.n = 1234567890123;
    for (unsigned i = 0; i < GUARD_HASH_SIZE; i++) {
        place->guard.hash[i] = (uint8_t) (i * 7 + 1);
    }
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    (void) unlink(place->path);
    (void) rmdir(place->path);
    (void) rmdir(place->dir);
    free(place);
    return 0;
}

static enum guard_state state_of(const struct place *place, struct guard *ret_guard)
{
    int fd = -1;
    enum guard_state state = GUARD_ABSENT;
    assert_err(guard_open(place->dir, &fd, &state, ret_guard, NULL), ERR_OK);
    assert_int_equal(close(fd), 0);
    return state;
}

static void put(const struct place *place, const char *text, size_t size)
{
    int fd = open(place->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t) size);
    assert_int_equal(close(fd), 0);
}

static void what_was_written_is_read_again_and_the_file_is_private(void **state)
{
    struct place *place = *state;
    struct guard got;
    int fd = -1;
    enum guard_state found = GUARD_GOOD;
    assert_err(guard_open(place->dir, &fd, &found, &got, NULL), ERR_OK);
    assert_int_equal(found, GUARD_ABSENT);
    static const uint64_t numbers[] = {0, 1, 1234567890123, GUARD_UNKNOWN - 1, GUARD_UNKNOWN, 7};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        place->guard.n = numbers[i];
        assert_err(guard_write(fd, &place->guard), ERR_OK); /* in place, again and again */
        assert_int_equal(state_of(place, &got), GUARD_GOOD);
        assert_memory_equal(&got, &place->guard, sizeof got);
    }
    struct stat seen;
    assert_int_equal(fstat(fd, &seen), 0);
    assert_int_equal(seen.st_mode, S_IFREG | 0600);
    assert_int_equal(seen.st_size, GUARD_LINE_SIZE);
    assert_int_equal(close(fd), 0);
}

static void the_line_is_the_one_that_is_documented(void **state)
{
    (void) state;
    static const char unknown[] =
        "essaim-guard-1 18446744073709551615 "
        "0000000000000000000000000000000000000000000000000000000000000000 ";
    struct guard guard = {.n = GUARD_UNKNOWN};
    char line[GUARD_LINE_SIZE + 1];
    guard_encode(&guard, line);
    assert_int_equal(strlen(line), GUARD_LINE_SIZE);
    assert_memory_equal(line, unknown, sizeof unknown - 1);
    assert_string_equal(line + sizeof unknown - 1, "b2498cdb44d8bbda\n");
}

static void any_other_byte_anywhere_makes_it_garbled(void **state)
{
    struct place *place = *state;
    char line[GUARD_LINE_SIZE + 1];
    struct guard got;
    guard_encode(&place->guard, line);
    for (size_t i = 0; i < GUARD_LINE_SIZE; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            line[i] = (char) (line[i] ^ (1 << bit));
            assert_err(guard_decode(line, GUARD_LINE_SIZE, &got), ERR_INVALID);
            line[i] = (char) (line[i] ^ (1 << bit));
        }
    }
    assert_err(guard_decode(line, GUARD_LINE_SIZE, &got), ERR_OK);
}

static void any_other_size_makes_it_garbled_and_the_next_writing_mends_it(void **state)
{
    struct place *place = *state;
    char text[GUARD_LINE_SIZE + 9] = {0};
    struct guard got;
    guard_encode(&place->guard, text);
    for (size_t size = 1; size <= GUARD_LINE_SIZE + 8; size++) {
        int fd = -1;
        enum guard_state found = GUARD_GOOD;
        put(place, text, size);
        assert_err(guard_open(place->dir, &fd, &found, &got, NULL), ERR_OK);
        assert_int_equal(found, size == GUARD_LINE_SIZE ? GUARD_GOOD : GUARD_GARBLED);
        assert_err(guard_write(fd, &place->guard), ERR_OK);
        assert_int_equal(close(fd), 0);
        assert_int_equal(state_of(place, &got), GUARD_GOOD);
    }
    put(place, "", 0);
    assert_int_equal(state_of(place, &got), GUARD_ABSENT);
}

static void numbers_beyond_64_bits_and_signs_are_garbled(void **state)
{
    (void) state;
    static const char *const numbers[] = {"18446744073709551616", "99999999999999999999",
                                          "+0000000000000000001", "-0000000000000000001",
                                          " 0000000000000000001"};
    struct guard got;
    struct guard guard = {.n = 1};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char line[GUARD_LINE_SIZE + 1];
        guard_encode(&guard, line);
        memcpy(line + 15, numbers[i], 20);
        assert_err(guard_decode(line, GUARD_LINE_SIZE, &got), ERR_INVALID);
    }
}

static void what_is_no_regular_file_of_ours_is_refused(void **state)
{
    struct place *place = *state;
    struct guard got;
    struct say say = {0};
    int fd = -1;
    enum guard_state found = GUARD_GOOD;
    assert_int_equal(symlink("/etc/passwd", place->path), 0);
    assert_err(guard_open(place->dir, &fd, &found, &got, &say), ERR_KEY);
    assert_non_null(strstr(say.text, GUARD_FILE));
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkfifo(place->path, 0600), 0);
    assert_err(guard_open(place->dir, &fd, &found, &got, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "move it away"));
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_not_equal(guard_open(place->dir, &fd, &found, &got, &say), ERR_OK);
    assert_int_equal(fd, -1);
}

static void writing_that_fails_says_so(void **state)
{
    (void) state;
    struct guard guard = {0};
    assert_err(guard_write(-1, &guard), ERR_IO);
    int full = open("/dev/full", O_WRONLY);
    if (full >= 0) {
        assert_err(guard_write(full, &guard), ERR_FULL);
        assert_int_equal(close(full), 0);
    }
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(what_was_written_is_read_again_and_the_file_is_private),
        cmocka_unit_test(the_line_is_the_one_that_is_documented),
        WITH_PLACE(any_other_byte_anywhere_makes_it_garbled),
        WITH_PLACE(any_other_size_makes_it_garbled_and_the_next_writing_mends_it),
        cmocka_unit_test(numbers_beyond_64_bits_and_signs_are_garbled),
        WITH_PLACE(what_is_no_regular_file_of_ours_is_refused),
        cmocka_unit_test(writing_that_fails_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
