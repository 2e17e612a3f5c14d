/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/bundle.h: files between the labs of a simulation, through their clients. */
#ifndef ESSAIM_TESTS_SIM_BUNDLE_H
#define ESSAIM_TESTS_SIM_BUNDLE_H

#include "tests/sim/cluster.h"

struct bundle_outcome {
    enum err err;
    uint64_t accepted, unchanged, incomplete;
    unsigned refused;
    char why[16]; /* the code of the last one refused */
    bool whole, again;
    unsigned passes;
};

/* One more part to `into`; `first`: of a new file. True: there is another. */
bool bundle_part(struct sim *sim, unsigned lab, bool first, struct buf *into);
/* All that the lab holds; `into` is emptied first. */
void bundle_export(struct sim *sim, unsigned lab, struct buf *into);

/* What is not told again stays as it was in `outcome`. */
void bundle_import_part(struct sim *sim, unsigned lab, struct bytes part, bool end,
                        struct bundle_outcome *outcome);
/* The whole file in parts of `size`, as often as it is asked for. */
struct bundle_outcome bundle_import_by(struct sim *sim, unsigned lab, struct bytes file,
                                       size_t size);
struct bundle_outcome bundle_import(struct sim *sim, unsigned lab, struct bytes file);

/* Does `lab` hold just what `other` holds of `of`? */
bool bundle_same(struct sim *sim, unsigned lab, unsigned other, unsigned of);

#endif
