/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/progress.c: one line, drawn over itself with a carriage return. */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/text.h"
#include "cli/when.h"

#define QUIET_MS 500
#define PERIOD_MS 100
#define CELLS 30

void progress_begin(struct progress *ret_progress, const char *what, bool allowed)
{
    *ret_progress = (struct progress){
        .on = allowed && isatty(STDERR_FILENO) == 1,
        .what = what,
    };
    ret_progress->begun_ms = ret_progress->on ? when_now_ms() : 0;
}

void progress_step(struct progress *progress, uint64_t done, uint64_t total)
{
    if (!progress->on) {
        return;
    }
    uint64_t now_ms = when_now_ms();
    if (now_ms - progress->begun_ms < QUIET_MS || now_ms - progress->said_ms < PERIOD_MS) {
        return;
    }
    progress->said_ms = now_ms;
    progress->shown = true;
    if (total == 0) {
        (void) fprintf(stderr, "\r\033[K%s %" PRIu64, _(progress->what), done);
    } else {
        char bar[CELLS + 1];
        uint64_t full = done >= total ? CELLS : done * CELLS / total;
        for (unsigned i = 0; i < CELLS; i++) {
            bar[i] = i < full ? '#' : '.';
        }
        bar[CELLS] = '\0';
        (void) fprintf(stderr, "\r\033[K%s [%s] %" PRIu64 "/%" PRIu64, _(progress->what), bar, done,
                       total);
    }
    (void) fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->shown) {
        (void) fprintf(stderr, "\r\033[K");
        (void) fflush(stderr);
    }
    progress->on = false;
    progress->shown = false;
}
