/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/guard.c: see guard.h. A line that is not exactly as it is written is garbled: a torn write,
 * or somebody's editor. What it means is the node's matter.
 */
#include "conf/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "conf/keyfile.h"

#define N_(text) text
#define PREFIX "essaim-guard-1 "
#define CHECK_SIZE 8
#define DIGITS 20
#define CHECKED_SIZE (sizeof PREFIX - 1 + DIGITS + 1 + 2 * GUARD_HASH_SIZE + 1)

_Static_assert(CHECKED_SIZE + 2 * CHECK_SIZE + 1 == GUARD_LINE_SIZE, "one size");

void guard_encode(const struct guard *guard, char ret_line[GUARD_LINE_SIZE + 1])
{
    char hash[2 * GUARD_HASH_SIZE + 1];
    char check[2 * CHECK_SIZE + 1];
    uint8_t digest[32];
    (void) sodium_bin2hex(hash, sizeof hash, guard->hash, GUARD_HASH_SIZE);
    int size = snprintf(ret_line, GUARD_LINE_SIZE + 1, PREFIX "%020" PRIu64 " %s ", guard->n, hash);
    must(size == (int) CHECKED_SIZE);
    must(crypto_generichash(digest, sizeof digest, (const uint8_t *) ret_line, CHECKED_SIZE, NULL,
                            0) == 0);
    (void) sodium_bin2hex(check, sizeof check, digest, CHECK_SIZE);
    (void) snprintf(ret_line + CHECKED_SIZE, GUARD_LINE_SIZE + 1 - CHECKED_SIZE, "%s\n", check);
}

enum err guard_decode(const char *line, size_t size, struct guard *ret_guard)
{
    struct guard guard = {0};
    char again[GUARD_LINE_SIZE + 1];
    size_t hash_size = 0;
    if (size != GUARD_LINE_SIZE || memcmp(line, PREFIX, sizeof PREFIX - 1) != 0) {
        return ERR_INVALID;
    }
    const char *at = line + sizeof PREFIX - 1;
    for (unsigned i = 0; i < DIGITS; i++) {
        unsigned digit = (unsigned char) at[i] - (unsigned) '0';
        if (digit > 9 || guard.n > (UINT64_MAX - digit) / 10) {
            return ERR_INVALID;
        }
        guard.n = guard.n * 10 + digit;
    }
    at += DIGITS + 1;
    if (sodium_hex2bin(guard.hash, sizeof guard.hash, at, 2 * GUARD_HASH_SIZE, NULL, &hash_size,
                       NULL) != 0 ||
        hash_size != GUARD_HASH_SIZE) {
        return ERR_INVALID;
    }
    guard_encode(&guard, again); /* one form, so the checksum needs no second way */
    if (memcmp(again, line, GUARD_LINE_SIZE) != 0) {
        return ERR_INVALID;
    }
    *ret_guard = guard;
    return ERR_OK;
}

static enum err file_look(int fd, const char *path, struct say *say)
{
    struct stat seen;
    if (fd < 0 || fstat(fd, &seen) != 0) {
        int code = errno;
        say_set(say, "%s: %s; check the file and who owns it", path, strerrordesc_np(code));
        return keyfile_err(code);
    }
    if (!S_ISREG(seen.st_mode) || seen.st_uid != geteuid()) {
        say_parts(say, N_("is no regular file of the daemon's user"),
                  N_("move it away, then start again"), "%s", path);
        return ERR_KEY;
    }
    return ERR_OK;
}

enum err guard_open(const char *dir, int *ret_fd, enum guard_state *ret_state,
                    struct guard *ret_guard, struct say *ret_say)
{
    char path[PATH_MAX];
    char line[GUARD_LINE_SIZE + 1];
    int size = snprintf(path, sizeof path, "%s/" GUARD_FILE, dir);
    if (sodium_init() < 0 || size < 0 || (size_t) size >= sizeof path) {
        return ERR_INTERNAL;
    }
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = open(path, flags, 0600);
    enum err err = file_look(fd, path, ret_say);
    ssize_t got = err == ERR_OK ? pread(fd, line, sizeof line, 0) : 0;
    if (got > GUARD_LINE_SIZE && ftruncate(fd, GUARD_LINE_SIZE) != 0) {
        got = -1; /* what is overwritten later must not keep a tail */
    }
    if (got < 0) {
        say_set(ret_say, "%s: %s; look at the disk", path, strerrordesc_np(errno));
        err = ERR_IO;
    }
    if (err != ERR_OK) {
        keyfile_fd_close(&fd);
        return err;
    }
    *ret_guard = (struct guard){0};
    *ret_state = got == 0                                                ? GUARD_ABSENT
                 : guard_decode(line, (size_t) got, ret_guard) == ERR_OK ? GUARD_GOOD
                                                                         : GUARD_GARBLED;
    *ret_fd = fd;
    return ERR_OK;
}

enum err guard_write(int fd, const struct guard *guard)
{
    char line[GUARD_LINE_SIZE + 1];
    guard_encode(guard, line);
    ssize_t done = -1;
    do {
        done = pwrite(fd, line, GUARD_LINE_SIZE, 0);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        return keyfile_err(errno) == ERR_FULL ? ERR_FULL : ERR_IO;
    }
    return done == GUARD_LINE_SIZE ? ERR_OK : ERR_FULL;
}
