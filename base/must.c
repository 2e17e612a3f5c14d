/* SPDX-License-Identifier: EUPL-1.2 */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_failed(const char *fact, const char *file, int line)
{
    (void) fprintf(stderr, "%s:%d: must(%s) failed\n", file, line, fact);
    abort();
}
