/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/power/failing.c: preloaded into a real essaimd, lets one system call fail (promise D4).
 *
 *   FAIL_DIR   calls on files below it count: open, write, pwrite, writev, fdatasync, fsync,
 *              ftruncate, rename and their like
 *   FAIL_AT    the number of the one that fails; 0 = none
 *   FAIL_CODE  with this errno
 *   FAIL_LOG   a line a call: "call N NAME PATH", or "fail N NAME PATH" for the one that failed;
 *              and from then on "said HEX" for whatever is written to a socket
 *
 * A write through O_DSYNC is called "dsync": it is a sync as much as a write.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SAID_MAX 300

static const char *dir;
static size_t dir_size;
static unsigned long fail_at;
static int fail_code, log_fd = -1;
static atomic_ulong calls;
static atomic_bool failed;

__attribute__((constructor)) static void failing_init(void)
{
    const char *at = getenv("FAIL_AT"), *code = getenv("FAIL_CODE"), *path = getenv("FAIL_LOG");
    dir = getenv("FAIL_DIR");
    if (dir == NULL || path == NULL) {
        return;
    }
    dir_size = strlen(dir);
    fail_at = at == NULL ? 0 : strtoul(at, NULL, 10);
    fail_code = code == NULL ? EIO : (int) strtol(code, NULL, 10);
    int fd =
        (int) syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    (void) close(fd);
}

static void tell(const char *line, int size)
{
    if (size > 0) {
        (void) syscall(SYS_write, log_fd, line, (size_t) size);
    }
}

static bool below(const char *path)
{
    return strncmp(path, dir, dir_size) == 0 && (path[dir_size] == '/' || path[dir_size] == '\0');
}

/* True: this call is the one, errno is set. */
static bool fails(const char *name, const char *path)
{
    char line[600];
    if (log_fd < 0 || !below(path)) {
        return false;
    }
    unsigned long number = atomic_fetch_add(&calls, 1) + 1;
    bool now = number == fail_at;
    tell(line, snprintf(line, sizeof line, "%s %lu %s %.400s\n", now ? "fail" : "call", number,
                        name, path + dir_size));
    if (now) {
        atomic_store(&failed, true);
        errno = fail_code;
    }
    return now;
}

static bool path_of(int fd, char path[512])
{
    char link[64];
    (void) snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, 511);
    path[size < 0 ? 0 : size] = '\0';
    return size > 0;
}

static bool fails_fd(const char *name, int fd)
{
    char path[512];
    int kept = errno;
    bool now = log_fd >= 0 && path_of(fd, path) && fails(name, path);
    errno = now ? fail_code : kept;
    return now;
}

/* What goes out after the failure: a client must not be told that all is well. */
static void said(int fd, const struct iovec *parts, int count)
{
    struct stat found;
    int kept = errno;
    if (log_fd >= 0 && atomic_load(&failed) && fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode)) {
        char line[2 * SAID_MAX + 16];
        int size = snprintf(line, sizeof line, "said ");
        for (int i = 0; i < count; i++) {
            const unsigned char *bytes = parts[i].iov_base;
            for (size_t at = 0; at < parts[i].iov_len && size < 2 * SAID_MAX; at++) {
                size += snprintf(line + size, 3, "%02x", bytes[at]);
            }
        }
        line[size++] = '\n';
        tell(line, size);
    }
    errno = kept;
}

static bool fails_write(const char *name, int fd)
{
    bool synced = log_fd >= 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    return fails_fd(synced ? "dsync" : name, fd);
}

static bool fails_open(int dir_fd, const char *path)
{
    char whole[1024];
    if (log_fd < 0 || path[0] == '/' || dir_fd == AT_FDCWD || !path_of(dir_fd, whole)) {
        return log_fd >= 0 && fails("open", path);
    }
    size_t size = strlen(whole);
    (void) snprintf(whole + size, sizeof whole - size, "/%s", path);
    return fails("open", whole);
}

/* ---- libc's names, by their symbols alone: the headers have ideas of their own ---- */

#define STANDS_FOR(symbol) __asm__(symbol)
int failing_open(const char *path, int flags, ...) STANDS_FOR("open");
int failing_open64(const char *path, int flags, ...) STANDS_FOR("open64");
int failing_openat(int dir_fd, const char *path, int flags, ...) STANDS_FOR("openat");
int failing_openat64(int dir_fd, const char *path, int flags, ...) STANDS_FOR("openat64");
ssize_t failing_write(int fd, const void *bytes, size_t size) STANDS_FOR("write");
ssize_t failing_pwrite(int fd, const void *bytes, size_t size, off_t at) STANDS_FOR("pwrite");
ssize_t failing_pwrite64(int fd, const void *bytes, size_t size, off_t at) STANDS_FOR("pwrite64");
ssize_t failing_writev(int fd, const struct iovec *parts, int count) STANDS_FOR("writev");
int failing_fdatasync(int fd) STANDS_FOR("fdatasync");
int failing_fsync(int fd) STANDS_FOR("fsync");
int failing_ftruncate(int fd, off_t size) STANDS_FOR("ftruncate");
int failing_ftruncate64(int fd, off_t size) STANDS_FOR("ftruncate64");
int failing_rename(const char *from, const char *to) STANDS_FOR("rename");
int failing_renameat(int from_fd, const char *from, int to_fd, const char *to)
    STANDS_FOR("renameat");

#define OPENS(name, dir_fd, params)                                                                \
    int name params                                                                                \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;             \
        va_end(args);                                                                              \
        return fails_open(dir_fd, path) ? -1                                                       \
                                        : (int) syscall(SYS_openat, dir_fd, path, flags, mode);    \
    }
OPENS(failing_open, AT_FDCWD, (const char *path, int flags, ...))
OPENS(failing_open64, AT_FDCWD, (const char *path, int flags, ...))
OPENS(failing_openat, dir_fd, (int dir_fd, const char *path, int flags, ...))
OPENS(failing_openat64, dir_fd, (int dir_fd, const char *path, int flags, ...))

ssize_t failing_write(int fd, const void *bytes, size_t size)
{
    struct iovec part = {.iov_base = (void *) (size_t) bytes, .iov_len = size};
    said(fd, &part, 1);
    return fails_write("write", fd) ? -1 : syscall(SYS_write, fd, bytes, size);
}

ssize_t failing_pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    return fails_write("pwrite", fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, size, at);
}

ssize_t failing_pwrite64(int fd, const void *bytes, size_t size, off_t at)
{
    return failing_pwrite(fd, bytes, size, at);
}

ssize_t failing_writev(int fd, const struct iovec *parts, int count)
{
    said(fd, parts, count);
    return fails_write("writev", fd) ? -1 : syscall(SYS_writev, fd, parts, count);
}

int failing_fdatasync(int fd)
{
    return fails_fd("fdatasync", fd) ? -1 : (int) syscall(SYS_fdatasync, fd);
}

int failing_fsync(int fd)
{
    return fails_fd("fsync", fd) ? -1 : (int) syscall(SYS_fsync, fd);
}

int failing_ftruncate(int fd, off_t size)
{
    return fails_fd("ftruncate", fd) ? -1 : (int) syscall(SYS_ftruncate, fd, size);
}

int failing_ftruncate64(int fd, off_t size)
{
    return failing_ftruncate(fd, size);
}

int failing_rename(const char *from, const char *to)
{
    return log_fd >= 0 && fails("rename", from)
               ? -1
               : (int) syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int failing_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    char path[512];
    return log_fd >= 0 && path_of(from_fd, path) && fails("rename", path)
               ? -1
               : (int) syscall(SYS_renameat, from_fd, from, to_fd, to);
}
