/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/swarm.h: one seed, one life of a small network with faults of its own drawing. */
#ifndef ESSAIM_TESTS_SIM_SWARM_H
#define ESSAIM_TESTS_SIM_SWARM_H

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define SWARM_FAULTS(X) \
    X(KILL, "kill") X(BLACKOUT, "blackout") X(CUT, "cut") X(ONE_WAY, "one-way") X(RESET, "reset") \
    X(HALF_OPEN, "half-open") X(SLOW, "slow") X(SPLIT, "split") X(LATE, "late") X(BUSY, "busy") \
    X(FULL, "full") X(EIO, "eio") X(COMMIT, "commit") X(CLOCK, "clock") X(BATCH, "batch") \
    X(LIAR, "liar") X(ROTATE, "rotate") X(RESTORE, "restore")
/* clang-format on */
#define SWARM_FAULT_ROW(name, text) FAULT_##name,
enum swarm_fault { SWARM_FAULTS(SWARM_FAULT_ROW) FAULT_COUNT };
#undef SWARM_FAULT_ROW

const char *swarm_fault_name(enum swarm_fault fault);

struct swarm_options {
    uint64_t seed;
    unsigned faults;             /* of those it draws only these: all bits set = all */
    unsigned labs_max, acts_max; /* 0 = as drawn */
    uint64_t until_ms;           /* stop there; 0 = at the end */
    bool telling;                /* every event on stderr */
};

struct swarm_result {
    uint64_t trace;
    unsigned faults; /* those it drew */
    unsigned labs, acts;
    char failure[256]; /* "" = none */
};

/* Lives it. The last events of a failure go to stderr when `loud`. */
void swarm_live(const struct swarm_options *options, bool loud, struct swarm_result *ret_result);

#endif
