/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/say.c: see say.h. Cannot fail: what does not fit is cut. */
#include "conf/say.h"

#include <stdarg.h>
#include <stdio.h>

void say_set(struct say *say, const char *format, ...)
{
    if (say == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void) vsnprintf(say->text, sizeof say->text, format, args);
    va_end(args);
    for (char *at = say->text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char) *at;
        if (byte < 0x20 || byte == 0x7f) {
            *at = '?';
        }
    }
}
