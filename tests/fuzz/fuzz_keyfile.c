/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_keyfile.c: the small files beside the store, which somebody may have edited: a
 * key, the guard.
 *
 * What reads is what is written for what was read; in a key but for the case of its digits.
 */
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/guard.h"
#include "conf/keyfile.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

static void file_write(const char *path, struct bytes content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0);
    must(write(fd, content.data, content.size) == (ssize_t) content.size);
    must(close(fd) == 0);
}

static void key_check(struct bytes content)
{
    const char *path = scratch_beside();
    struct keyfile_dir dir = {.name = "", .fd = AT_FDCWD, .uid = geteuid()};
    uint8_t seed[KEYFILE_SEED_SIZE];
    char line[100];
    file_write(path, content);
    enum err err = keyfile_key_read(&dir, path, "root", seed);
    must(err == ERR_OK || err == ERR_KEY);
    if (err == ERR_OK) {
        int size = snprintf(line, sizeof line, "essaim-key-1 root ");
        for (size_t i = 0; i < sizeof seed; i++) {
            size += snprintf(line + size, sizeof line - (size_t) size, "%02x", seed[i]);
        }
        line[size++] = '\n';
        must((size_t) size == content.size);
        must(strncasecmp(line, (const char *) content.data, content.size) == 0);
    }
    must(unlink(path) == 0);
}

static void guard_check(struct bytes content)
{
    struct guard guard;
    char line[GUARD_LINE_SIZE + 1];
    uint8_t *copy = fuzz_copy(content);
    if (guard_decode((const char *) copy, content.size, &guard) == ERR_OK) {
        guard_encode(&guard, line);
        must(bytes_equal(bytes_of(line, GUARD_LINE_SIZE), content));
    }
    free(copy);
}

/* Those bytes as number and hash: written and read they are the same, and with a bit changed
 * garbled. */
static void guard_made_check(struct choices *choices)
{
    struct guard guard = {.n = choose_number(choices)}, back;
    char line[GUARD_LINE_SIZE + 1];
    bytes_copy(guard.hash, choose_bytes(choices, GUARD_HASH_SIZE));
    guard_encode(&guard, line);
    must(guard_decode(line, GUARD_LINE_SIZE, &back) == ERR_OK);
    must(guard.n == back.n && memcmp(guard.hash, back.hash, GUARD_HASH_SIZE) == 0);
    size_t at = choose(choices, GUARD_LINE_SIZE);
    line[at] = (char) (line[at] ^ (char) (1 << choose(choices, 7)));
    must(guard_decode(line, GUARD_LINE_SIZE, &back) == ERR_INVALID);
    must(guard_decode(line, GUARD_LINE_SIZE - 1, &back) == ERR_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = {.left = bytes_of(data, size)};
    must(sodium_init() >= 0);
    key_check(choices.left);
    guard_check(choices.left);
    guard_made_check(&choices);
    return 0;
}
