/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/keys.c: keys made and loaded, and every way in which a key file is not safe (promise S6). */
#include "tests/unit/kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "conf/keys.h"
#include "proto/lab.h"

static const char *const files[] = {"root.key", "signing.key", "link.key", "lab.record"};

struct place {
    char dir[40];
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
    memcpy(place->dir, "/tmp/essaim-keys-XXXXXX", 24);
    assert_non_null(mkdtemp(place->dir));
    assert_err(keys_create(place->dir, "Ti Lab", 1700000000, &place->lab), ERR_OK);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    (void) chmod(place->dir, 0700);
    for (size_t i = 0; i < 4; i++) {
        (void) unlink(path_of(place, files[i]));
    }
    (void) unlink(path_of(place, "kept"));
    (void) unlink(path_of(place, "retired.key"));
    (void) unlink(path_of(place, "retired.key.new"));
    (void) rmdir(place->dir);
    free(place);
    return 0;
}

static void refused(const struct place *place, const char *name, const char *cause)
{
    struct keys keys;
    struct say say = {0};
    assert_err(keys_load(place->dir, &keys, &say), ERR_KEY);
    if (strstr(say.text, name) == NULL || strstr(say.text, cause) == NULL ||
        strstr(say.text, "; ") == NULL) {
        fail_msg("\"%s\" does not name %s, %s", say.text, name, cause);
    }
}

static void what_was_made_is_loaded_and_the_record_is_signed_by_the_lab(void **state)
{
    struct place *place = *state;
    struct keys keys;
    struct lab_record record;
    assert_err(keys_load(place->dir, &keys, NULL), ERR_OK);
    assert_memory_equal(&keys.lab, &place->lab, sizeof keys.lab);
    assert_int_equal(keys.generation, 1);
    assert_err(lab_record_open(buf_bytes(&keys.record), &record), ERR_OK);
    assert_true(bytes_equal(record.name, bytes_of_str("Ti Lab")));
    assert_int_equal(record.issued_at, 1700000000);
    assert_memory_equal(keys.signing_secret + SIGN_SEED_SIZE, record.signing_pk, KEY_SIZE);
    keys_done(&keys);
    keys_done(&keys);
    keys_done(NULL);
}

static void the_files_are_private_and_so_is_the_directory(void **state)
{
    struct place *place = *state;
    struct stat seen;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(lstat(path_of(place, files[i]), &seen), 0);
        assert_int_equal(seen.st_mode, S_IFREG | 0600);
    }
    assert_int_equal(stat(place->dir, &seen), 0);
    assert_int_equal(seen.st_mode & 07777, 0700);
}

static void the_root_key_is_not_needed_to_run(void **state)
{
    struct place *place = *state;
    struct keys keys;
    assert_int_equal(unlink(path_of(place, "root.key")), 0);
    assert_err(keys_load(place->dir, &keys, NULL), ERR_OK);
    keys_done(&keys);
}

static void keys_are_never_made_over_others(void **state)
{
    struct place *place = *state;
    struct lab_id other;
    for (size_t i = 0; i < 4; i++) { /* whichever of them is left */
        assert_err(keys_create(place->dir, "Other", 1, &other), ERR_EXISTS);
        assert_int_equal(unlink(path_of(place, files[i])), 0);
    }
    assert_err(keys_create(place->dir, "Other", 1, &other), ERR_OK);
    assert_memory_not_equal(&other, &place->lab, sizeof other);
}

static void a_name_is_a_line_of_1_to_64_bytes(void **state)
{
    struct place *place = *state;
    char name[LAB_NAME_SIZE_MAX + 2] = {0};
    struct lab_id lab;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(unlink(path_of(place, files[i])), 0);
    }
    memset(name, 'n', LAB_NAME_SIZE_MAX + 1);
    assert_err(keys_create(place->dir, name, 1, &lab), ERR_INVALID);
    assert_err(keys_create(place->dir, "", 1, &lab), ERR_INVALID);
    assert_err(keys_create(place->dir, "a\nb", 1, &lab), ERR_INVALID);
    assert_err(keys_create(place->dir, "\xff", 1, &lab), ERR_INVALID);
    assert_int_equal(access(path_of(place, "root.key"), F_OK), -1);
    name[LAB_NAME_SIZE_MAX] = '\0';
    assert_err(keys_create(place->dir, name, 1, &lab), ERR_OK);
}

static void a_key_that_others_may_read_or_write_is_refused(void **state)
{
    struct place *place = *state;
    for (size_t i = 1; i < 3; i++) {
        for (mode_t bit = 1; bit <= 040; bit *= 2) {
            assert_int_equal(chmod(path_of(place, files[i]), 0600 | bit), 0);
            refused(place, files[i], "open to others");
        }
        assert_int_equal(chmod(path_of(place, files[i]), 0600), 0);
    }
    assert_int_equal(chmod(path_of(place, "lab.record"), 0620), 0);
    refused(place, "lab.record", "open to others");
    assert_int_equal(chmod(path_of(place, "lab.record"), 0644), 0); /* it is public */
    struct keys keys;
    assert_err(keys_load(place->dir, &keys, NULL), ERR_OK);
    keys_done(&keys);
}

static void a_directory_open_to_others_is_refused(void **state)
{
    struct place *place = *state;
    for (mode_t bit = 1; bit <= 040; bit *= 2) {
        assert_int_equal(chmod(place->dir, 0700 | bit), 0);
        refused(place, place->dir, "chmod 0700");
    }
}

static void what_is_no_regular_file_is_refused(void **state)
{
    struct place *place = *state;
    char kept[128];
    (void) snprintf(kept, sizeof kept, "%s", path_of(place, "kept"));
    assert_int_equal(rename(path_of(place, "link.key"), kept), 0);
    refused(place, "link.key", "missing");
    assert_int_equal(symlink(kept, path_of(place, "link.key")), 0);
    refused(place, "link.key", "symbolic link");
    assert_int_equal(unlink(path_of(place, "link.key")), 0);
    assert_int_equal(mkfifo(path_of(place, "link.key"), 0600), 0); /* must not be waited for */
    refused(place, "link.key", "regular file");
    assert_int_equal(unlink(path_of(place, "link.key")), 0);
    assert_int_equal(mkdir(path_of(place, "link.key"), 0700), 0);
    refused(place, "link.key", "regular file");
    assert_int_equal(rmdir(path_of(place, "link.key")), 0);
}

static void a_file_of_another_user_is_refused(void **state)
{
    struct place *place = *state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(chown(path_of(place, "signing.key"), 65534, 65534), 0);
    refused(place, "signing.key", "another user");
    assert_int_equal(chown(path_of(place, "signing.key"), 0, 0), 0);
    assert_int_equal(chown(place->dir, 65534, 65534), 0);
    refused(place, place->dir, "another user");
}

static void overwrite(const struct place *place, const char *name, const char *text, size_t size)
{
    int fd = open(path_of(place, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t) size);
    assert_int_equal(close(fd), 0);
}

static void what_is_no_key_of_its_kind_is_refused(void **state)
{
    struct place *place = *state;
    static const char hex[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    char line[512];
    static const char *const shapes[] = {
        "",
        "\n",
        "essaim-key-1 signing %s\n",
        "essaim-key-2 link %s\n",
        "essaim-key-1 link %s",
        "essaim-key-1 link %s\n\n",
        "essaim-key-1 link %sx",
        "essaim-key-1 link  %s\n",
        "essaim-key-1 link g%s\n",
        "essaim-key-1 link %s0\n",
        "essaim-key-1 link %.62s\n",
        "essaim-key-1 link %.62sgg\n",
        "essaim-key-1 link %1$s%1$s%1$s\n",
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int size = snprintf(line, sizeof line, shapes[i], hex);
#pragma GCC diagnostic pop
        overwrite(place, "link.key", line, (size_t) size);
        refused(place, "link.key", i + 1 == sizeof shapes / sizeof shapes[0] ? "too long" : "kind");
    }
    int size = snprintf(line, sizeof line, "essaim-key-1 link %s\n", hex);
    overwrite(place, "link.key", line, (size_t) size);
    refused(place, "link.key", "does not belong");
}

static void a_signing_key_of_another_lab_is_refused(void **state)
{
    struct place *place = *state;
    static const char line[] = "essaim-key-1 signing "
                               "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    overwrite(place, "signing.key", line, sizeof line - 1);
    refused(place, "signing.key", "does not belong");
}

static void a_record_its_lab_did_not_sign_is_refused(void **state)
{
    struct place *place = *state;
    char record[RECORD_SIZE_MAX + 1] = {0};
    int fd = open(path_of(place, "lab.record"), O_RDONLY);
    ssize_t size = read(fd, record, sizeof record);
    assert_int_equal(close(fd), 0);
    assert_true(size > 64);
    record[size / 3] ^= 1;
    overwrite(place, "lab.record", record, (size_t) size);
    refused(place, "lab.record", "not a lab record");
    overwrite(place, "lab.record", "", 0);
    refused(place, "lab.record", "not a lab record");
    overwrite(place, "lab.record", record, sizeof record);
    refused(place, "lab.record", "too long");
}

/* ---- the key of the retired slugs ---- */

static void the_key_of_retired_slugs_is_made_once_and_stays(void **state)
{
    struct place *place = *state;
    uint8_t keys[3][KEY_SIZE];
    struct stat seen;
    assert_int_not_equal(lstat(path_of(place, "retired.key"), &seen), 0);
    overwrite(place, "retired.key.new", "torn", 4); /* by a power cut */
    for (size_t i = 0; i < 2; i++) {
        assert_err(keys_retired(place->dir, keys[i], NULL), ERR_OK);
    }
    assert_memory_equal(keys[0], keys[1], KEY_SIZE);
    assert_int_equal(lstat(path_of(place, "retired.key"), &seen), 0);
    assert_int_equal(seen.st_mode, S_IFREG | 0600);
    assert_int_not_equal(lstat(path_of(place, "retired.key.new"), &seen), 0);
    assert_int_equal(unlink(path_of(place, "retired.key")), 0); /* lost: another one */
    assert_err(keys_retired(place->dir, keys[2], NULL), ERR_OK);
    assert_memory_not_equal(keys[0], keys[2], KEY_SIZE);
}

static void an_unsafe_key_of_retired_slugs_is_refused_and_never_replaced(void **state)
{
    struct place *place = *state;
    uint8_t key[KEY_SIZE];
    struct say say = {0};
    assert_err(keys_retired(place->dir, key, NULL), ERR_OK);
    assert_int_equal(chmod(path_of(place, "retired.key"), 0640), 0);
    assert_err(keys_retired(place->dir, key, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "retired.key"));
    assert_int_equal(chmod(path_of(place, "retired.key"), 0600), 0);
    assert_err(keys_retired(place->dir, key, NULL), ERR_OK);
    overwrite(place, "retired.key", "essaim-key-1 signing ", 21);
    assert_err(keys_retired(place->dir, key, NULL), ERR_KEY);
    assert_int_equal(unlink(path_of(place, "retired.key")), 0);
    assert_int_equal(symlink("nowhere", path_of(place, "retired.key")), 0);
    assert_err(keys_retired(place->dir, key, NULL), ERR_KEY);
    assert_int_equal(chmod(place->dir, 0750), 0);
    assert_err(keys_retired(place->dir, key, NULL), ERR_KEY);
}

static void where_no_key_of_retired_slugs_can_be_made_that_is_said(void **state)
{
    struct place *place = *state;
    uint8_t key[KEY_SIZE];
    struct say say = {0};
    if (geteuid() == 0) { /* root writes anywhere: a directory stands in the way instead */
        assert_int_equal(mkdir(path_of(place, "retired.key.new"), 0700), 0);
    } else {
        assert_int_equal(chmod(place->dir, 0500), 0);
    }
    assert_true(keys_retired(place->dir, key, &say) != ERR_OK);
    assert_non_null(strstr(say.text, "retired.key"));
    (void) chmod(place->dir, 0700);
    (void) rmdir(path_of(place, "retired.key.new"));
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    (void) state;
    struct keys keys;
    struct say say = {0};
    struct lab_id lab;
    assert_err(keys_load("/nonexistent/essaim", &keys, &say), ERR_KEY);
    assert_non_null(strstr(say.text, "/nonexistent/essaim"));
    assert_err(keys_create("/nonexistent/essaim", "x", 1, &lab), ERR_NOT_FOUND);
}

#define WITH_KEYS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KEYS(what_was_made_is_loaded_and_the_record_is_signed_by_the_lab),
        WITH_KEYS(the_files_are_private_and_so_is_the_directory),
        WITH_KEYS(the_root_key_is_not_needed_to_run),
        WITH_KEYS(keys_are_never_made_over_others),
        WITH_KEYS(a_name_is_a_line_of_1_to_64_bytes),
        WITH_KEYS(a_key_that_others_may_read_or_write_is_refused),
        WITH_KEYS(a_directory_open_to_others_is_refused),
        WITH_KEYS(what_is_no_regular_file_is_refused),
        WITH_KEYS(a_file_of_another_user_is_refused),
        WITH_KEYS(what_is_no_key_of_its_kind_is_refused),
        WITH_KEYS(a_signing_key_of_another_lab_is_refused),
        WITH_KEYS(a_record_its_lab_did_not_sign_is_refused),
        WITH_KEYS(the_key_of_retired_slugs_is_made_once_and_stays),
        WITH_KEYS(an_unsafe_key_of_retired_slugs_is_refused_and_never_replaced),
        WITH_KEYS(where_no_key_of_retired_slugs_can_be_made_that_is_said),
        cmocka_unit_test(a_directory_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
