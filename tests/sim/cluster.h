/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/cluster.h: several real nodes with real stores under a virtual clock, network and dice.
 *
 * Replaces daemon/ only: the same turn (step, settle, job, perform), an event heap ordered by
 * (time, number), one seeded
 * generator. Same seed, same trace hash.
 */
#ifndef ESSAIM_TESTS_SIM_CLUSTER_H
#define ESSAIM_TESTS_SIM_CLUSTER_H

#include <stdbool.h>

#include "node/node.h"
#include "proto/head.h"

#define SIM_LABS_MAX 64

struct sim;

/* Stores live under a fresh directory of $TMPDIR or /dev/shm, removed by sim_free. */
struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim);

/* A new lab with its own keys; starts its node. Its virtual address is "sim:<number + 1>".
 * Returns its number. */
unsigned sim_lab(struct sim *sim, const char *name);
const struct lab_id *sim_id(struct sim *sim, unsigned lab);
/* Power off (nothing said, nothing flushed) and on again from what is on disk. */
void sim_crash(struct sim *sim, unsigned lab);
void sim_start(struct sim *sim, unsigned lab);
/* SIGTERM. */
void sim_stop(struct sim *sim, unsigned lab);

/* `lab` knows `other`; with `dial` it has its address, too. */
void sim_peer(struct sim *sim, unsigned lab, unsigned other, bool dial);
/* Both ways: a dials b. */
void sim_link(struct sim *sim, unsigned a, unsigned b);
/* Cuts or mends the way between two labs: open connections stall for ever, new ones fail. */
void sim_cut(struct sim *sim, unsigned a, unsigned b, bool cut);
/* Breaks open connections between two labs (reset). */
void sim_reset(struct sim *sim, unsigned a, unsigned b);
/* Bytes are delivered in pieces of at most this many (0 = whole). */
void sim_split(struct sim *sim, size_t size);
void sim_latency(struct sim *sim, uint64_t min_ms, uint64_t max_ms);

/* Publishes `count` entries slug-prefix-i with a body of about `size` bytes in one request (a
 * batch when large). The answer is
 * awaited; every record must be accepted. */
void sim_publish(struct sim *sim, unsigned lab, const char *prefix, unsigned count, size_t size,
                 unsigned salt);
void sim_withdraw(struct sim *sim, unsigned lab, const char *slug);
/* One request with packed params (one map); gives the result map's bytes to `into`, or the error
 * code text. */
enum err sim_request(struct sim *sim, unsigned lab, enum ctl_method method, struct bytes params,
                     struct buf *into);

/* The same by another of the lab's clients: 1 (sim_request's) or 2. */
enum err sim_request_by(struct sim *sim, unsigned lab, uint32_t client, enum ctl_method method,
                        struct bytes params, struct buf *into);

/* Of labs started from now on: the size of the map, the quota of entries (0 = as usual). */
void sim_map(struct sim *sim, uint64_t size);
void sim_quota(struct sim *sim, uint64_t entries);
/* While `full`, each turn of the lab is undone as for a full disk. */
void sim_full(struct sim *sim, unsigned lab, bool full);
/* A copy of the data directory of a lab that is off, and back from it. */
void sim_backup(struct sim *sim, unsigned lab);
void sim_restore(struct sim *sim, unsigned lab);

/* Runs for `ms` of virtual time. */
void sim_run(struct sim *sim, uint64_t ms);
/* Runs until every live lab holds the same heads, at most `ms`; false when they do not. */
bool sim_converge(struct sim *sim, uint64_t ms);
uint64_t sim_now(const struct sim *sim);
/* The head `lab` holds of `of`'s public catalogue; false when none. */
bool sim_head(struct sim *sim, unsigned lab, unsigned of, struct head *ret_head);
bool sim_has(struct sim *sim, unsigned lab, unsigned of, const char *slug);
/* Every check of `essaim verify` is clean. */
bool sim_verify(struct sim *sim, unsigned lab);
/* Wire bytes both ways that the last connection between two labs has carried. */
uint64_t sim_wire(struct sim *sim, unsigned a, unsigned b);
bool sim_linked(struct sim *sim, unsigned a, unsigned b);
/* Hash of every event and effect so far. */
uint64_t sim_trace(const struct sim *sim);

#endif
