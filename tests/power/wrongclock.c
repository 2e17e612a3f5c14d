/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/power/wrongclock.c: preloaded into a real essaimd, a wall clock that is wrong (promise N8).
 *
 *   WRONG_CLOCK   a file of 8 bytes, an int64 of this machine: so many seconds it is ahead, now
 *
 * The monotonic clock is left alone.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead_s;

__attribute__((constructor)) static void wrongclock_init(void)
{
    const char *path = getenv("WRONG_CLOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) {
        ahead_s = mapped;
    }
    if (fd >= 0) {
        (void) close(fd);
    }
}

#define STANDS_FOR(symbol) __asm__(symbol)
int wrongclock_gettime(clockid_t clock, struct timespec *now) STANDS_FOR("clock_gettime");
int wrongclock_timeofday(struct timeval *now, void *zone) STANDS_FOR("gettimeofday");
time_t wrongclock_time(time_t *now) STANDS_FOR("time");

int wrongclock_gettime(clockid_t clock, struct timespec *now)
{
    int done = (int) syscall(SYS_clock_gettime, clock, now);
    if (done == 0 && ahead_s != NULL &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)) {
        now->tv_sec += *ahead_s;
    }
    return done;
}

int wrongclock_timeofday(struct timeval *now, void *zone)
{
    struct timespec exact;
    (void) zone;
    (void) wrongclock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t wrongclock_time(time_t *now)
{
    struct timespec exact;
    (void) wrongclock_gettime(CLOCK_REALTIME, &exact);
    if (now != NULL) {
        *now = exact.tv_sec;
    }
    return exact.tv_sec;
}
