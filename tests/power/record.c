/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/power/record.c: this program's write, pwrite, fdatasync and their like, before libc's.
 *
 * The kernel is asked by number; what succeeded and touched the recorded directory is noted. Which
 * file a descriptor means is asked anew each time (its inode), so that nothing needs to be known of
 * who opened and closed what; O_DSYNC is read off the descriptor.
 */
#include "tests/power/power.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/must.h"

static struct record *recording; /* NULL: nothing is noted */
static char recorded_dir[256];
static struct stat recorded_stat;
static ino_t inodes[FILES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* a copy is written by two threads */

void record_start(struct record *record, const char *dir)
{
    must(recording == NULL);
    must(snprintf(recorded_dir, sizeof recorded_dir, "%s", dir) < (int) sizeof recorded_dir);
    must(stat(dir, &recorded_stat) == 0);
    *record = (struct record){0};
    recording = record;
}

void record_stop(void)
{
    recording = NULL;
}

void record_done(struct record *record)
{
    for (size_t i = 0; i < record->count; i++) {
        free(record->ops[i].bytes);
    }
    free(record->ops);
    *record = (struct record){0};
}

static struct op *note(enum op_kind kind)
{
    if (recording->count == recording->cap) {
        recording->cap = recording->cap == 0 ? 1024 : recording->cap * 2;
        recording->ops = realloc(recording->ops, recording->cap * sizeof *recording->ops);
        must(recording->ops != NULL);
    }
    struct op *op = &recording->ops[recording->count++];
    *op = (struct op){.kind = kind};
    return op;
}

void record_mark(const uint8_t digest[DIGEST_SIZE])
{
    struct op *op = note(OP_MARK);
    op->bytes = malloc(DIGEST_SIZE);
    must(op->bytes != NULL);
    memcpy(op->bytes, digest, DIGEST_SIZE);
    op->size = DIGEST_SIZE;
}

/* The path from the recorded directory on ("" is itself); false when it is elsewhere, or the lock
 * file, which a start makes anew. The store names its files without detours. */
static bool name_of(int dir_fd, const char *path, char ret_name[NAME_SIZE_MAX])
{
    char whole[1024], link[64];
    size_t size = strlen(recorded_dir);
    if (path[0] != '/' && dir_fd != AT_FDCWD) {
        (void) snprintf(link, sizeof link, "/proc/self/fd/%d", dir_fd);
        ssize_t found = readlink(link, whole, 512);
        must(found > 0 && found < 512);
        (void) snprintf(whole + found, 512, "%s%s", path[0] == '\0' ? "" : "/", path);
        path = whole;
    }
    if (recording == NULL || strncmp(path, recorded_dir, size) != 0 ||
        (path[size] != '/' && path[size] != '\0')) {
        return false;
    }
    path += path[size] == '/' ? size + 1 : size;
    must(strlen(path) < NAME_SIZE_MAX);
    (void) snprintf(ret_name, NAME_SIZE_MAX, "%s", path);
    size = strlen(path);
    return size < 8 || strcmp(path + size - 8, "lock.mdb") != 0;
}

/* Which file of the record a descriptor is; false when it is none. */
static bool file_of(int fd, unsigned *ret_file)
{
    struct stat found;
    if (recording == NULL || fstat(fd, &found) != 0 || found.st_dev != recorded_stat.st_dev) {
        return false;
    }
    for (unsigned i = recording->files; i > 0; i--) {
        if (inodes[i - 1] == found.st_ino) {
            *ret_file = i - 1;
            return true;
        }
    }
    return false;
}

static void made(int fd, const char name[NAME_SIZE_MAX])
{
    struct stat found;
    must(fstat(fd, &found) == 0);
    must(recording->files < FILES_MAX);
    inodes[recording->files] = found.st_ino;
    struct op *op = note(OP_MAKE);
    op->file = recording->files++;
    memcpy(op->name, name, NAME_SIZE_MAX);
}

static int open_any(int dir_fd, const char *path, int flags, mode_t mode)
{
    struct stat old;
    char name[NAME_SIZE_MAX];
    bool inside =
        recording != NULL && (flags & (O_CREAT | O_TRUNC)) != 0 && name_of(dir_fd, path, name);
    bool there = inside && fstatat(dir_fd, path, &old, 0) == 0;
    int fd = (int) syscall(SYS_openat, dir_fd, path, flags, mode);
    if (fd >= 0 && inside) {
        must((flags & O_TRUNC) == 0); /* not modelled */
        if (!there) {
            pthread_mutex_lock(&lock);
            made(fd, name);
            pthread_mutex_unlock(&lock);
        }
    }
    return fd;
}

static void wrote(unsigned file, int fd, const void *bytes, size_t size, uint64_t offset)
{
    struct op *op = note(OP_WRITE);
    op->file = file;
    op->offset = offset;
    op->size = size;
    op->sure = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    op->bytes = malloc(size > 0 ? size : 1);
    must(op->bytes != NULL);
    memcpy(op->bytes, bytes, size);
}

static void wrote_some(int fd, const struct iovec *parts, int count, ssize_t size, off_t offset)
{
    unsigned file = 0;
    if (size <= 0 || !file_of(fd, &file)) {
        return;
    }
    size_t left = (size_t) size;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count && left > 0; i++) {
        size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
        wrote(file, fd, parts[i].iov_base, part, (uint64_t) offset);
        offset += (off_t) part;
        left -= part;
    }
    pthread_mutex_unlock(&lock);
}

static int synced(int fd, long number)
{
    struct stat found;
    char name[NAME_SIZE_MAX];
    int done = (int) syscall(number, fd);
    unsigned file = 0;
    if (done != 0 || recording == NULL) {
        return done;
    }
    pthread_mutex_lock(&lock);
    if (file_of(fd, &file)) {
        note(OP_SYNC)->file = file;
    } else if (fstat(fd, &found) == 0 && S_ISDIR(found.st_mode) && name_of(fd, "", name)) {
        memcpy(note(OP_DIR_SYNC)->name, name, sizeof name);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

/* ---- libc's names ---- */

/* The headers may have other ideas of some of these: so they are named by their symbol alone. */
#define STANDS_FOR(symbol) __asm__(symbol)
int power_open(const char *path, int flags, ...) STANDS_FOR("open");
int power_open64(const char *path, int flags, ...) STANDS_FOR("open64");
int power_openat(int dir_fd, const char *path, int flags, ...) STANDS_FOR("openat");
int power_openat64(int dir_fd, const char *path, int flags, ...) STANDS_FOR("openat64");
ssize_t power_write(int fd, const void *bytes, size_t size) STANDS_FOR("write");
ssize_t power_pwrite(int fd, const void *bytes, size_t size, off_t at) STANDS_FOR("pwrite");
ssize_t power_pwrite64(int fd, const void *bytes, size_t size, off_t at) STANDS_FOR("pwrite64");
ssize_t power_writev(int fd, const struct iovec *parts, int count) STANDS_FOR("writev");
ssize_t power_pwritev(int fd, const struct iovec *parts, int count, off_t at) STANDS_FOR("pwritev");
ssize_t power_pwritev64(int fd, const struct iovec *parts, int count, off_t at)
    STANDS_FOR("pwritev64");
int power_fdatasync(int fd) STANDS_FOR("fdatasync");
int power_fsync(int fd) STANDS_FOR("fsync");
int power_ftruncate(int fd, off_t size) STANDS_FOR("ftruncate");
int power_ftruncate64(int fd, off_t size) STANDS_FOR("ftruncate64");
int power_rename(const char *from, const char *to) STANDS_FOR("rename");
int power_renameat(int from_fd, const char *from, int to_fd, const char *to) STANDS_FOR("renameat");
int power_unlink(const char *path) STANDS_FOR("unlink");
int power_unlinkat(int dir_fd, const char *path, int flags) STANDS_FOR("unlinkat");
int power_rmdir(const char *path) STANDS_FOR("rmdir");
int power_mkdir(const char *path, mode_t mode) STANDS_FOR("mkdir");
int power_mkdirat(int dir_fd, const char *path, mode_t mode) STANDS_FOR("mkdirat");

#define OPENS(name, dir_fd, params)                                                                \
    int name params                                                                                \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;                           \
        va_end(args);                                                                              \
        return open_any(dir_fd, path, flags, mode);                                                \
    }
OPENS(power_open, AT_FDCWD, (const char *path, int flags, ...))
OPENS(power_open64, AT_FDCWD, (const char *path, int flags, ...))
OPENS(power_openat, dir_fd, (int dir_fd, const char *path, int flags, ...))
OPENS(power_openat64, dir_fd, (int dir_fd, const char *path, int flags, ...))

ssize_t power_pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, size, at);
    struct iovec part = {.iov_base = (void *) (uintptr_t) bytes, .iov_len = size};
    wrote_some(fd, &part, 1, done, at);
    return done;
}

ssize_t power_pwrite64(int fd, const void *bytes, size_t size, off_t at)
{
    return power_pwrite(fd, bytes, size, at);
}

ssize_t power_pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    ssize_t done = syscall(SYS_pwritev, fd, parts, count, at, 0);
    wrote_some(fd, parts, count, done, at);
    return done;
}

ssize_t power_pwritev64(int fd, const struct iovec *parts, int count, off_t at)
{
    return power_pwritev(fd, parts, count, at);
}

ssize_t power_write(int fd, const void *bytes, size_t size)
{
    ssize_t done = syscall(SYS_write, fd, bytes, size);
    struct iovec part = {.iov_base = (void *) (uintptr_t) bytes, .iov_len = size};
    if (recording != NULL && done > 0) {
        wrote_some(fd, &part, 1, done, (off_t) syscall(SYS_lseek, fd, 0, SEEK_CUR) - done);
    }
    return done;
}

ssize_t power_writev(int fd, const struct iovec *parts, int count)
{
    ssize_t done = syscall(SYS_writev, fd, parts, count);
    if (recording != NULL && done > 0) {
        wrote_some(fd, parts, count, done, (off_t) syscall(SYS_lseek, fd, 0, SEEK_CUR) - done);
    }
    return done;
}

int power_fdatasync(int fd)
{
    return synced(fd, SYS_fdatasync);
}

int power_fsync(int fd)
{
    return synced(fd, SYS_fsync);
}

int power_ftruncate(int fd, off_t size)
{
    int done = (int) syscall(SYS_ftruncate, fd, size);
    unsigned file = 0;
    if (done == 0 && file_of(fd, &file)) {
        struct op *op = note(OP_CUT);
        op->file = file;
        op->offset = (uint64_t) size;
    }
    return done;
}

int power_ftruncate64(int fd, off_t size)
{
    return power_ftruncate(fd, size);
}

int power_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    char name[NAME_SIZE_MAX], other[NAME_SIZE_MAX];
    bool inside = recording != NULL && name_of(from_fd, from, name);
    bool within = recording != NULL && name_of(to_fd, to, other);
    must(inside == within); /* in or out: not modelled */
    int done = (int) syscall(SYS_renameat, from_fd, from, to_fd, to);
    if (done == 0 && inside) {
        struct op *op = note(OP_RENAME);
        memcpy(op->name, name, sizeof name);
        memcpy(op->other, other, sizeof other);
    }
    return done;
}

int power_rename(const char *from, const char *to)
{
    return power_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int power_unlinkat(int dir_fd, const char *path, int flags)
{
    char name[NAME_SIZE_MAX];
    bool inside = recording != NULL && name_of(dir_fd, path, name);
    int done = (int) syscall(SYS_unlinkat, dir_fd, path, flags);
    if (done == 0 && inside) {
        memcpy(note(OP_UNLINK)->name, name, sizeof name);
    }
    return done;
}

int power_unlink(const char *path)
{
    return power_unlinkat(AT_FDCWD, path, 0);
}

int power_rmdir(const char *path)
{
    return power_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int power_mkdirat(int dir_fd, const char *path, mode_t mode)
{
    char name[NAME_SIZE_MAX];
    bool inside = recording != NULL && name_of(dir_fd, path, name);
    int done = (int) syscall(SYS_mkdirat, dir_fd, path, mode);
    if (done == 0 && inside) {
        struct op *op = note(OP_MAKE);
        op->file = NO_FILE;
        memcpy(op->name, name, sizeof name);
    }
    return done;
}

int power_mkdir(const char *path, mode_t mode)
{
    return power_mkdirat(AT_FDCWD, path, mode);
}
