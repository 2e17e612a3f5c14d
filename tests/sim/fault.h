/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/fault.h: one call that the nodes make fails, at each place of theirs that makes one.
 *
 * A place is the way there: the callers of the call, up to FAULT_DEPTH of them. A story is told
 * again and again; each time the first call from a place that never failed before fails, and then
 * none, until no place is left. Calls of the simulator never fail.
 */
#ifndef ESSAIM_TESTS_SIM_FAULT_H
#define ESSAIM_TESTS_SIM_FAULT_H

#include <stdbool.h>

#include "base/err.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_MEMORY, /* malloc, calloc, realloc, msgpack's decoder: there is none */
    FAULT_EIO,    /* any call of LMDB */
    FAULT_ROT,    /* LMDB finds a page damaged while it reads */
    FAULT_ROOM    /* LMDB has no page left to write to */
};

/* From now on the first new place fails. Places of every kind are remembered for ever. */
void fault_begin(enum fault_kind kind);
/* No more. Did one fail? */
bool fault_end(void);
/* Where, on stderr. */
void fault_tell(void);
/* Of the places met only each `of`th is tried (by its hash): 1 = all. */
void fault_sample(unsigned of);
unsigned fault_places(enum fault_kind kind); /* tried so far */

#endif
