/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/split.h: a network that comes apart and grows together again (promise C1). */
#ifndef ESSAIM_TESTS_SIM_SPLIT_H
#define ESSAIM_TESTS_SIM_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

struct split_options {
    uint64_t seed;
    unsigned labs, hours;
    bool grow; /* from labs that know their peers alone */
};

struct split_result {
    uint64_t trace;
    uint64_t grown_ms, healed_ms;     /* until all agreed, at first and after the split */
    unsigned offs, resets, published; /* what happened meanwhile */
    unsigned lost;                    /* acknowledged entries that some lab lacks */
    unsigned unclean;                 /* labs whose `verify` complains */
    char failure[256];
};

/* True when all is as promised. */
bool split_live(const struct split_options *options, struct split_result *ret_result);

#endif
