/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/say.c: see say.h. Cannot fail: what does not fit is cut. */
#include "conf/say.h"

#include <stdarg.h>
#include <stdio.h>

static void escape(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char) *at;
        if (byte < 0x20 || byte == 0x7f) {
            *at = '?';
        }
    }
}

void say_set(struct say *say, const char *format, ...)
{
    if (say == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void) vsnprintf(say->text, sizeof say->text, format, args);
    va_end(args);
    escape(say->text);
    say->cause = say->next = NULL;
    say->place[0] = '\0';
}

void say_parts(struct say *say, const char *cause, const char *next, const char *place, ...)
{
    if (say == NULL) {
        return;
    }
    char path[SAY_PLACE_MAX];
    va_list args;
    va_start(args, place);
    (void) vsnprintf(path, sizeof path, place, args);
    va_end(args);
    escape(path);
    say_set(say, "%s: %s; %s", path, cause, next);
    (void) snprintf(say->place, sizeof say->place, "%s", path);
    say->cause = cause;
    say->next = next;
}
