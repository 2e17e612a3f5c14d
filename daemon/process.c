/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/process.c: see process.h. */
#include "daemon/process.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The store is a mapped file: where the disk below fails or the file is cut, a read ends here. */
static void on_sigbus(int number)
{
    static const char text[] = "error disk-lost the store could not be read; check the disk, then "
                               "start again\n";
    (void) number;
    (void) !write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

bool process_descriptors(void)
{
    int hole = 0;
    do {
        hole = open("/dev/null", O_RDWR);
    } while (hole >= 0 && hole <= STDERR_FILENO);
    return hole >= 0 && close(hole) == 0;
}

enum err process_harden(void)
{
    (void) umask(0077);
    struct rlimit none = {0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0) {
        return ERR_INTERNAL;
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction bus = {.sa_handler = on_sigbus};
    (void) sigaction(SIGPIPE, &ignore, NULL);
    (void) sigaction(SIGBUS, &bus, NULL);
    /* Idle memory is a promise: few arenas, big blocks given back at once. */
    (void) mallopt(M_ARENA_MAX, 2);
    (void) mallopt(M_MMAP_THRESHOLD, 512 * 1024);
    (void) mallopt(M_TRIM_THRESHOLD, 2 * 1024 * 1024);
    return ERR_OK;
}

unsigned process_fds_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }
    return limit.rlim_cur > INT_MAX ? INT_MAX : (unsigned) limit.rlim_cur;
}

void process_trim(void)
{
    (void) malloc_trim(0);
}
