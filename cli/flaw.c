/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/flaw.c: filling a flaw. Cannot fail: what is too long is cut. */
#include "cli/flaw.h"

#include <stdio.h>

enum err flaw_set(struct flaw *ret_flaw, enum err err, const char *text, const char *hint)
{
    *ret_flaw = (struct flaw){.err = err, .text = text, .hint = hint};
    return err;
}

void flaw_detail(struct flaw *flaw, const char *format, ...)
{
    size_t used = strlen(flaw->detail);
    va_list args;
    va_start(args, format);
    (void) vsnprintf(flaw->detail + used, sizeof flaw->detail - used, format, args);
    va_end(args);
}
