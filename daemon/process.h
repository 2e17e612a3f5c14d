/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/process.h: what a process that holds keys sets up before anything else: no core dumps, no
 * tracing, private files, no SIGPIPE, an end with a word on SIGBUS, and a small heap. */
#ifndef ESSAIM_DAEMON_PROCESS_H
#define ESSAIM_DAEMON_PROCESS_H

#include <stdbool.h>

#include "base/err.h"

/* Opens what the caller closed of standard input, output and error: else the store's file could get
 * number 2, and the log would be written into it. */
MUST_USE bool process_descriptors(void);

/* ERR_INTERNAL when a core dump could not be forbidden. */
MUST_USE enum err process_harden(void);

/* File descriptors this process may have. */
unsigned process_fds_max(void);

/* Gives freed memory back to the system. */
void process_trim(void);

#endif
