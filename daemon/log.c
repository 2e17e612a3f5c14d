/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/log.c: see log.h.
 *
 * A line is put together in one buffer and written with one write(2), so that lines of threads
 * never mix. Cannot fail: what does not fit is cut, what cannot be written is lost.
 */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/utf8.h"

static struct {
    int level;
    bool journal;
} log_state = {.level = LOG_LEVEL_INFO};

void log_init(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    log_state.journal = stream != NULL && stream[0] != '\0';
}

void log_set_level(int level)
{
    log_state.level = level;
}

/* Characters that move the cursor, turn the text around or cannot be seen. */
static bool hidden(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0xad || point == 0x61c ||
           (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
}

/* The size of the character at the head of `text` that may be shown as it is; 0 = it may not. */
static size_t shown_size(struct bytes text)
{
    size_t size_max = text.size < 4 ? text.size : 4;
    for (size_t size = 1; size <= size_max; size++) {
        struct bytes one = bytes_of(text.data, size);
        if (utf8_valid(one)) {
            size_t used = 0;
            return hidden(utf8_next(one, &used)) ? 0 : used;
        }
    }
    return 0;
}

size_t log_escape(struct bytes text, char *into, size_t size)
{
    size_t at = 0;
    size_t used = 0;
    while (used < text.size) {
        struct bytes rest = bytes_of(text.data + used, text.size - used);
        size_t shown = shown_size(rest);
        size_t need = shown == 0 ? 4 : shown;
        if (at + need >= size) {
            break;
        }
        if (shown == 0) {
            (void) snprintf(into + at, size - at, "\\x%02x", rest.data[0]);
        } else {
            memcpy(into + at, rest.data, shown);
        }
        at += need;
        used += shown == 0 ? 1 : shown;
    }
    into[at] = '\0';
    return at;
}

static const char *level_name(int level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_DEBUG:
        return "debug";
    default:
        return "info";
    }
}

void log_line(int level, struct bytes line)
{
    if (level > log_state.level) {
        return;
    }
    char out[LOG_LINE_MAX];
    int head = log_state.journal ? snprintf(out, sizeof out, "<%d>", level)
                                 : snprintf(out, sizeof out, "%s ", level_name(level));
    size_t size = head > 0 ? (size_t) head : 0;
    size += log_escape(line, out + size, sizeof out - size - 1);
    out[size] = '\n';
    (void) !write(STDERR_FILENO, out, size + 1);
}

void log_write(int level, const char *code, const char *format, ...)
{
    if (level > log_state.level) {
        return;
    }
    char text[LOG_LINE_MAX];
    int head = snprintf(text, sizeof text, "%s ", code);
    size_t size = head > 0 && (size_t) head < sizeof text ? (size_t) head : 0;
    va_list args;
    va_start(args, format);
    (void) vsnprintf(text + size, sizeof text - size, format, args);
    va_end(args);
    log_line(level, bytes_of_str(text));
}
