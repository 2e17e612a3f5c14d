/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/lock.c: see lock.h. The file is never removed: removing it would let two hold "the" lock.
 */
#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The pid in the file, for the sentence; "?" when there is none. */
static void owner_read(int fd, char ret_pid[16])
{
    ssize_t size = pread(fd, ret_pid, 15, 0);
    size_t digits = 0;
    while (size > 0 && digits < (size_t) size && ret_pid[digits] >= '0' && ret_pid[digits] <= '9') {
        digits++;
    }
    if (digits == 0) {
        ret_pid[digits++] = '?';
    }
    ret_pid[digits] = '\0';
}

enum err lock_take(const char *dir, int *ret_fd, struct say *ret_say)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/lock", dir);
    if (size < 0 || (size_t) size >= sizeof path) {
        say_set(ret_say, "%s: the path is too long; use a shorter one", dir);
        return ERR_IO;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        say_set(ret_say, "%s: %s; check the directory", path, strerrordesc_np(errno));
        return ERR_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        bool taken = errno == EWOULDBLOCK;
        char pid[16] = "?";
        owner_read(fd, pid);
        (void) close(fd);
        if (taken) {
            say_set(ret_say, "%s: another daemon (pid %s) uses this directory; stop that one first",
                    dir, pid);
            return ERR_LOCKED;
        }
        say_set(ret_say, "%s: cannot be locked; use a local disk", path);
        return ERR_IO;
    }
    char pid[16];
    int pid_size = snprintf(pid, sizeof pid, "%ld\n", (long) getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t) pid_size, 0) != pid_size) {
        say_set(ret_say, "%s: %s; make room on the disk", path, strerrordesc_np(errno));
        (void) close(fd);
        return ERR_IO;
    }
    *ret_fd = fd;
    return ERR_OK;
}

void lock_release(int fd)
{
    if (fd >= 0) {
        (void) close(fd);
    }
}
