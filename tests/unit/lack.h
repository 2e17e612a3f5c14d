/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/unit/lack.h: from the k-th allocation on there is no memory. The program is linked with
 * --wrap (see meson.build). */
#ifndef ESSAIM_TESTS_UNIT_LACK_H
#define ESSAIM_TESTS_UNIT_LACK_H

#include <stdbool.h>
#include <stddef.h>

static unsigned lack_after; /* allocations that are granted, + 1; 0: all */
static bool lack_met;

static bool lack(void)
{
    if (lack_after == 0) {
        return false;
    }
    if (lack_after > 1) {
        lack_after--;
        return false;
    }
    lack_met = true;
    return true;
}

#define LACK_WRAP(name, params, args)                                                              \
    void *__real_##name params;                                                                    \
    void *__wrap_##name params;                                                                    \
    void *__wrap_##name params                                                                     \
    {                                                                                              \
        return lack() ? NULL : __real_##name args;                                                 \
    }
LACK_WRAP(malloc, (size_t size), (size))
LACK_WRAP(calloc, (size_t count, size_t size), (count, size))
LACK_WRAP(realloc, (void *old, size_t size), (old, size))

/* Grants `count` allocations, then none. */
__attribute__((unused)) static void lack_begin(unsigned count)
{
    lack_after = count + 1;
    lack_met = false;
}

/* Did one fail? */
__attribute__((unused)) static bool lack_end(void)
{
    lack_after = 0;
    return lack_met;
}

#endif
