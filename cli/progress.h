/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/progress.h: a bar on stderr for work that lasts, on a terminal only; wiped at the end. */
#ifndef ESSAIM_CLI_PROGRESS_H
#define ESSAIM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on, shown;
    const char *what; /* msgid */
    uint64_t begun_ms, said_ms;
};

void progress_begin(struct progress *ret_progress, const char *what, bool allowed);
/* `total` 0: not known. Draws at most ten times a second, nothing in the first half second. */
void progress_step(struct progress *progress, uint64_t done, uint64_t total);
void progress_end(struct progress *progress);

#endif
