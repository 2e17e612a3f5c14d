/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/when.c: gmtime_r and strftime, bounded. */
#include "cli/when.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define YEAR_10000_S 253402300800ull

void when_print(uint64_t seconds, char ret_text[WHEN_SIZE_MAX])
{
    time_t time = (time_t) seconds;
    struct tm tm;
    if (seconds >= YEAR_10000_S || gmtime_r(&time, &tm) == NULL ||
        strftime(ret_text, WHEN_SIZE_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        (void) snprintf(ret_text, WHEN_SIZE_MAX, "@%" PRIu64, seconds);
    }
}

uint64_t when_now_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}
