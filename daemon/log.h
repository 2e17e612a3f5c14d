/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/log.h: what is told to the operator, on stderr, one line a message:
 *
 *     <6>ready listening on 127.0.0.1:7700        under the journal (JOURNAL_STREAM is set)
 *     info ready listening on 127.0.0.1:7700      in a terminal
 *
 * The word after the level is a stable event code, never translated. Whatever comes from a peer or
 * a file has its control, bidirectional and zero-width characters escaped. The one global state of
 * the daemon: how serious a message must be, and the prefix style.
 */
#ifndef ESSAIM_DAEMON_LOG_H
#define ESSAIM_DAEMON_LOG_H

#include "base/bytes.h"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

#define LOG_LINE_MAX 2048

/* Looks at JOURNAL_STREAM; the level starts at info. */
void log_init(void);
void log_set_level(int level);

void log_write(int level, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A text from below, without formatting: code and text are in `line`. */
void log_line(int level, struct bytes line);

/* Escapes into `into` (NUL-terminated, cut if need be): bytes that are no printable text become
 * \xNN. Returns the length. */
size_t log_escape(struct bytes text, char *into, size_t size);

#endif
