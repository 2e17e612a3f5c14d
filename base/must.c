/* SPDX-License-Identifier: EUPL-1.2 */
/* base/must.c: the end of a process that found itself mistaken. The one place below daemon and cli
 * that prints. */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_failed(const char *fact, const char *file, int line)
{
    (void) fprintf(stderr, "%s:%d: must(%s) failed\n", file, line, fact);
    abort();
}
