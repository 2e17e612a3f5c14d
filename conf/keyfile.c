/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/keyfile.c: see keyfile.h.
 *
 * A file is opened without following a link, and what was opened is judged (never its name), so
 * that nothing can be swapped in between. Secrets live in guarded memory and are wiped on every way
 * out.
 */
#include "conf/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/must.h"

#define N_(text) text
#define KEY_PREFIX "essaim-key-1 "
#define KEY_LINE_MAX 128

void keyfile_hush(void)
{
    struct rlimit none = {0};
    (void) setrlimit(RLIMIT_CORE, &none);
    (void) prctl(PR_SET_DUMPABLE, 0);
}

void keyfile_fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void) close(*fd);
    }
}

void keyfile_secret_free(uint8_t **secret)
{
    sodium_free(*secret);
}

enum err keyfile_err(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case ENOMEM:
        return ERR_NOMEM;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case ENOENT:
    case ELOOP:
    case ENOTDIR:
        return ERR_KEY;
    default:
        return ERR_IO;
    }
}

/* ---- sentences ---- */

enum err keyfile_refuse(const struct keyfile_dir *dir, const char *name, const char *cause,
                        const char *next)
{
    say_parts(dir->say, cause, next, "%s%s%s", dir->name, dir->name[0] == '\0' ? "" : "/", name);
    return ERR_KEY;
}

enum err keyfile_refuse_errno(const struct keyfile_dir *dir, const char *name, int code)
{
    if (code == ELOOP) {
        return keyfile_refuse(dir, name, N_("is a symbolic link"), N_("put the file itself there"));
    }
    if (code == ENOENT) {
        (void) keyfile_refuse(dir, name, N_("is missing"),
                              N_("restore it, or make a lab with: essaim init"));
        return ERR_NOT_FOUND;
    }
    say_set(dir->say, "%s%s%s: %s; check the file and who owns it", dir->name,
            dir->name[0] == '\0' ? "" : "/", name, strerrordesc_np(code));
    return keyfile_err(code);
}

/* ---- directories ---- */

enum err keyfile_dir_open(const char *name, bool as_root, struct say *say,
                          struct keyfile_dir *ret_dir)
{
    struct stat seen;
    struct keyfile_dir dir = {.name = name, .say = say};
    dir.fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir.fd < 0 || fstat(dir.fd, &seen) != 0) {
        say_set(say, "%s: %s; make a lab there with: essaim init", name, strerrordesc_np(errno));
        keyfile_dir_close(&dir);
        return ERR_KEY;
    }
    dir.uid = seen.st_uid;
    if (seen.st_uid != geteuid() && !(as_root && geteuid() == 0)) {
        say_parts(say, N_("belongs to another user"),
                  N_("run this as that user, or chown it to the user the daemon runs as"), "%s",
                  name);
        keyfile_dir_close(&dir);
        return ERR_KEY;
    }
    if ((seen.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        say_parts(say, N_("is open to others"), N_("chmod 0700 it"), "%s", name);
        keyfile_dir_close(&dir);
        return ERR_KEY;
    }
    *ret_dir = dir;
    return ERR_OK;
}

void keyfile_dir_close(struct keyfile_dir *dir)
{
    keyfile_fd_close(&dir->fd);
    dir->fd = -1;
}

enum err keyfile_dir_sync(const struct keyfile_dir *dir)
{
    return fsync(dir->fd) == 0 ? ERR_OK : keyfile_err(errno);
}

/* ---- writing ---- */

static enum err write_all(int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t done = write(fd, bytes.data, bytes.size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return keyfile_err(errno);
        }
        bytes = bytes_of(bytes.data + done, bytes.size - (size_t) done);
    }
    return fsync(fd) == 0 ? ERR_OK : keyfile_err(errno);
}

enum err keyfile_create(const struct keyfile_dir *dir, const char *name, struct bytes bytes)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    defer(keyfile_fd_close) int fd = openat(dir->fd, name, flags, 0600);
    if (fd < 0) {
        return keyfile_err(errno);
    }
    bool mine = dir->uid == geteuid() || fchown(fd, dir->uid, (gid_t) -1) == 0;
    enum err err =
        mine && fchmod(fd, 0600) == 0 ? ERR_OK : keyfile_err(errno); /* whatever the umask */
    if (err == ERR_OK) {
        err = write_all(fd, bytes);
    }
    if (err != ERR_OK) {
        (void) unlinkat(dir->fd, name, 0);
    }
    return err;
}

enum err keyfile_key_create(const struct keyfile_dir *dir, const char *name, const char *type,
                            const uint8_t seed[KEYFILE_SEED_SIZE])
{
    char line[KEY_LINE_MAX];
    char hex[2 * KEYFILE_SEED_SIZE + 1];
    (void) sodium_bin2hex(hex, sizeof hex, seed, KEYFILE_SEED_SIZE);
    int size = snprintf(line, sizeof line, KEY_PREFIX "%s %s\n", type, hex);
    must(size > 0 && (size_t) size < sizeof line);
    enum err err = keyfile_create(dir, name, bytes_of(line, (size_t) size));
    sodium_memzero(line, sizeof line);
    sodium_memzero(hex, sizeof hex);
    return err;
}

/* ---- reading ---- */

static enum err stat_check(const struct keyfile_dir *dir, const char *name, const struct stat *seen,
                           mode_t closed)
{
    if (!S_ISREG(seen->st_mode)) {
        return keyfile_refuse(dir, name, N_("is not a regular file"),
                              N_("put the file itself there"));
    }
    if (seen->st_uid != dir->uid && seen->st_uid != geteuid()) {
        return keyfile_refuse(dir, name, N_("belongs to another user"),
                              N_("chown it to the user the daemon runs as"));
    }
    if ((seen->st_mode & closed) != 0) {
        return keyfile_refuse(dir, name, N_("is open to others"),
                              N_("chmod 0600 it, and make new keys if others may have read it"));
    }
    return ERR_OK;
}

enum err keyfile_read(const struct keyfile_dir *dir, const char *name, mode_t closed, uint8_t *into,
                      size_t size_max, size_t *ret_size)
{
    /* O_NONBLOCK: a FIFO under that name must be refused, not waited for. */
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    defer(keyfile_fd_close) int fd = openat(dir->fd, name, flags);
    struct stat seen;
    if (fd < 0 || fstat(fd, &seen) != 0) {
        return keyfile_refuse_errno(dir, name, errno);
    }
    enum err err = stat_check(dir, name, &seen, closed);
    if (err != ERR_OK) {
        return err;
    }
    size_t size = 0;
    ssize_t got = 1;
    while (size < size_max && got != 0) {
        got = read(fd, into + size, size_max - size);
        if (got < 0 && errno != EINTR) {
            return keyfile_refuse_errno(dir, name, errno);
        }
        size += got > 0 ? (size_t) got : 0;
    }
    if (size == size_max) {
        return keyfile_refuse(dir, name, N_("is too long"),
                              N_("restore the file as essaim init made it"));
    }
    *ret_size = size;
    return ERR_OK;
}

/* "essaim-key-1 TYPE HEX\n", nothing else. */
static bool line_decode(const char *line, size_t size, const char *type, uint8_t *ret_seed)
{
    char head[KEY_LINE_MAX];
    int head_size = snprintf(head, sizeof head, KEY_PREFIX "%s ", type);
    must(head_size > 0 && (size_t) head_size < sizeof head);
    size_t hex_at = (size_t) head_size;
    size_t hex_size = 2 * (size_t) KEYFILE_SEED_SIZE;
    if (size != hex_at + hex_size + 1 || memcmp(line, head, hex_at) != 0 ||
        line[size - 1] != '\n') {
        return false;
    }
    size_t bin_size = 0;
    const char *end = NULL;
    int failed =
        sodium_hex2bin(ret_seed, KEYFILE_SEED_SIZE, line + hex_at, hex_size, NULL, &bin_size, &end);
    return failed == 0 && bin_size == KEYFILE_SEED_SIZE && end == line + hex_at + hex_size;
}

enum err keyfile_key_read(const struct keyfile_dir *dir, const char *name, const char *type,
                          uint8_t ret_seed[KEYFILE_SEED_SIZE])
{
    defer(keyfile_secret_free) uint8_t *line = sodium_malloc(KEY_LINE_MAX);
    if (line == NULL) {
        return ERR_NOMEM;
    }
    size_t size = 0;
    enum err err = keyfile_read(dir, name, S_IRWXG | S_IRWXO, line, KEY_LINE_MAX, &size);
    if (err != ERR_OK) {
        return err;
    }
    if (!line_decode((const char *) line, size, type, ret_seed)) {
        return keyfile_refuse(dir, name, N_("is not a key of this kind"),
                              N_("restore the file as essaim init made it"));
    }
    return ERR_OK;
}

/* ---- names ---- */

bool keyfile_there(const struct keyfile_dir *dir, const char *name)
{
    struct stat seen;
    return fstatat(dir->fd, name, &seen, AT_SYMLINK_NOFOLLOW) == 0;
}

enum err keyfile_remove(const struct keyfile_dir *dir, const char *name)
{
    return unlinkat(dir->fd, name, 0) == 0 || errno == ENOENT ? ERR_OK : keyfile_err(errno);
}

enum err keyfile_shred(const struct keyfile_dir *dir, const char *name)
{
    static const uint8_t zeros[KEY_LINE_MAX];
    defer(keyfile_fd_close) int fd = openat(dir->fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat seen;
    if (fd < 0 || fstat(fd, &seen) != 0) {
        return keyfile_refuse_errno(dir, name, errno);
    }
    size_t size = (size_t) seen.st_size < sizeof zeros ? (size_t) seen.st_size : sizeof zeros;
    enum err err = write_all(fd, bytes_of(zeros, size));
    return err == ERR_OK ? keyfile_remove(dir, name) : err;
}
