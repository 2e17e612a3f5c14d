/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/cluster.h: several real nodes with real stores under a virtual clock, network and dice.
 *
 * Replaces daemon/ only: the same turn (step, settle, job, perform), an event heap ordered by
 * (time, number), one seeded generator. Same seed, same trace hash. What must be true at every step
 * (check.c) is checked at every step; a broken promise ends the program, or is kept (sim_soft).
 */
#ifndef ESSAIM_TESTS_SIM_CLUSTER_H
#define ESSAIM_TESTS_SIM_CLUSTER_H

#include <stdbool.h>

#include "node/node.h"
#include "proto/head.h"
#include "proto/msg.h"

#define SIM_LABS_MAX 1024

struct sim;

/* Stores live under a fresh directory of $ESSAIM_SIM_DIR or /dev/shm, removed by sim_free. */
struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim);

/* A new lab with its own keys; starts its node. Its virtual address is "sim:<number + 1>".
 * Returns its number. */
unsigned sim_lab(struct sim *sim, const char *name);
const struct lab_id *sim_id(struct sim *sim, unsigned lab);
/* kill -9 (its sockets close), a power cut (nobody is told), SIGTERM; and on again from what is on
 * disk. */
void sim_crash(struct sim *sim, unsigned lab);
void sim_blackout(struct sim *sim, unsigned lab);
void sim_stop(struct sim *sim, unsigned lab);
void sim_start(struct sim *sim, unsigned lab);
bool sim_live(const struct sim *sim, unsigned lab);
/* All labs start again as if they had been one network for long: each holds all records and has
 * read its peers to their ends. Before any time went by. */
void sim_old(struct sim *sim);

/* `lab` knows `other`; with `dial` it has its address, too. */
void sim_peer(struct sim *sim, unsigned lab, unsigned other, bool dial);
void sim_unpeer(struct sim *sim, unsigned lab, unsigned other);
/* Both ways: a dials b. */
void sim_link(struct sim *sim, unsigned a, unsigned b);

/* ---- the network ---- */

/* Cuts or mends the way between two labs: what is sent on open connections is lost, and all behind
 * it; new ones fail. */
void sim_cut(struct sim *sim, unsigned a, unsigned b, bool cut);
void sim_cut_way(struct sim *sim, unsigned from, unsigned to, bool cut);
/* Breaks open connections between two labs (reset). */
void sim_reset(struct sim *sim, unsigned a, unsigned b);
/* So many of a thousand open connections are reset, by the simulator's dice; gives their number. */
unsigned sim_reset_some(struct sim *sim, unsigned of_1000);
/* `lab`'s ends are closed; the other is told only when it says something. */
void sim_half_open(struct sim *sim, unsigned lab, unsigned other);
/* Open connections between two labs carry so many bytes a second; 0 = no bound. */
void sim_rate(struct sim *sim, unsigned a, unsigned b, uint32_t rate);
/* All connections made from now on. */
void sim_rate_all(struct sim *sim, uint32_t rate);
/* Bytes are delivered in pieces of 1 to `size` (0 = whole). */
void sim_split(struct sim *sim, size_t size);
void sim_latency(struct sim *sim, uint64_t min_ms, uint64_t max_ms);
/* Loops are busy for up to so many ms: events of one lab that come meanwhile share a turn. */
void sim_busy(struct sim *sim, uint64_t ms);

/* ---- disks, clocks, honesty ---- */

enum sim_disk {
    SIM_DISK_OK,
    SIM_DISK_FULL,      /* ENOSPC */
    SIM_DISK_EIO,       /* EIO, and nothing was written: the process must end */
    SIM_DISK_EIO_LATE,  /* EIO, and all was written */
    SIM_DISK_CRASH,     /* the process dies before the commit */
    SIM_DISK_CRASH_LATE /* … right after it */
};
/* What the next commit of that lab meets. */
void sim_disk(struct sim *sim, unsigned lab, enum sim_disk disk);
/* While `full`, each commit of the lab fails for want of room. */
void sim_full(struct sim *sim, unsigned lab, bool full);
/* Of labs started from now on: the size of the map, the quota of entries (0 = as usual). */
void sim_map(struct sim *sim, uint64_t size);
void sim_quota(struct sim *sim, uint64_t entries);
/* … whether former revisions of their entries are kept ([history] keep). */
void sim_keep(struct sim *sim, bool keep);
/* A copy of the data directory of a lab that is off (as of a virtual machine: nothing in it tells),
 * and back from it. */
void sim_backup(struct sim *sim, unsigned lab);
void sim_restore(struct sim *sim, unsigned lab);
/* Guard files outlive their stores from now on: sim_restore and sim_store_lost leave them be. */
void sim_guards(struct sim *sim, bool kept);
void sim_guard(struct sim *sim, unsigned lab, uint64_t n); /* as somebody wrote it */
uint64_t sim_guard_n(const struct sim *sim, unsigned lab);
/* The data directory of a lab that is off is gone. */
void sim_store_lost(struct sim *sim, unsigned lab);
/* `essaim key rotate`: new keys that lie ready, and the request. */
void sim_stage(struct sim *sim, unsigned lab, uint64_t generation);
struct bytes sim_next_record(struct sim *sim, unsigned lab, uint64_t generation);
enum err sim_rotate(struct sim *sim, unsigned lab);
/* `essaim repair`, with --force. Was anything frozen left? Asked of a lab that is on. */
enum err sim_repair(struct sim *sim, unsigned lab, bool force, bool *ret_frozen);
/* A lab that is off lost all but its root key: starts to be recovered. sim_rotate ends it. */
void sim_recover(struct sim *sim, unsigned lab);
/* `essaim backup` of a lab that lives, and `essaim restore` of it to one that is off. */
void sim_save(struct sim *sim, unsigned lab);
void sim_load(struct sim *sim, unsigned lab);
/* A bit of an entry flips on `lab`'s disk. */
void sim_rot(struct sim *sim, unsigned lab, unsigned of, const char *slug);
/* Its wall clock is wrong by so much. */
void sim_clock(struct sim *sim, unsigned lab, int64_t off_s);
/* Of a thousand of its messages so many are lies (liar.c). */
void sim_lies(struct sim *sim, unsigned lab, unsigned lies);
/* It need not hold what the others hold, nor they what it signs. */
void sim_apart(struct sim *sim, unsigned lab, bool apart);

/* ---- asking ---- */

#define SIM_SALT_UNKNOWN (~0u)

struct sim_batch {
    const char *prefix;
    unsigned count;
    size_t size;
    unsigned salt;
};
/* Publishes `count` entries slug-prefix-i with a body of about `size` bytes in one request (a
 * batch when large). The answer is awaited: its error, ERR_REFUSED when a record was,
 * ERR_NO_DAEMON when the lab ended before it answered. */
enum err sim_try_publish(struct sim *sim, unsigned lab, const struct sim_batch *batch);
enum err sim_try_withdraw(struct sim *sim, unsigned lab, const char *slug);
/* The same where it must succeed. */
void sim_publish(struct sim *sim, unsigned lab, const char *prefix, unsigned count, size_t size,
                 unsigned salt);
void sim_withdraw(struct sim *sim, unsigned lab, const char *slug);
/* One request with packed params (one map); gives the whole answer's bytes to `into` (may be
 * NULL). ERR_NO_DAEMON when the lab ended before it answered. */
enum err sim_request(struct sim *sim, unsigned lab, enum ctl_method method, struct bytes params,
                     struct buf *into);
/* The same by another of the lab's clients: 1 (sim_request's) or 2. */
enum err sim_request_by(struct sim *sim, unsigned lab, uint32_t client, enum ctl_method method,
                        struct bytes params, struct buf *into);

/* The request comes like any other event: it may share a turn with others (sim_busy). Nobody waits
 * for its answer; sim_answered gives it, if it came since. */
void sim_request_later(struct sim *sim, unsigned lab, uint32_t client, enum ctl_method method,
                       struct bytes params);
bool sim_answered(struct sim *sim, unsigned lab, enum err *ret_err);
/* The client of sim_request goes; 2 is left until the next start. */
void sim_client_lost(struct sim *sim, unsigned lab);

/* ---- time ---- */

/* Runs for `ms` of virtual time. */
void sim_run(struct sim *sim, uint64_t ms);
/* Runs until every live lab that is not apart holds the same heads, at most `ms`; false when they
 * do not. */
bool sim_converge(struct sim *sim, uint64_t ms);
bool sim_converged(struct sim *sim);
uint64_t sim_now(const struct sim *sim);

/* ---- looking ---- */

/* The head `lab` holds of `of`'s public catalogue; false when none. */
bool sim_head(struct sim *sim, unsigned lab, unsigned of, struct head *ret_head);
bool sim_has(struct sim *sim, unsigned lab, unsigned of, const char *slug);
/* Which publication (salt) of that slug it holds. */
bool sim_entry(struct sim *sim, unsigned lab, unsigned of, const char *slug, unsigned *ret_salt);
/* The generation of the record that `lab` holds of `of`; 0 = none. */
uint64_t sim_generation(struct sim *sim, unsigned lab, unsigned of);
/* Does `lab` know that `of` signed two histories (of its generation now)? */
bool sim_forked(struct sim *sim, unsigned lab, unsigned of);
/* The signed head that `lab` holds of `of`. */
bool sim_signed_head(struct sim *sim, unsigned lab, unsigned of, struct buf *into);
/* The signed receipt that `lab` holds of `by`; and up to which head of `of` that one says to have
 * erased: 0 = it says nothing of it. */
bool sim_receipt(struct sim *sim, unsigned lab, unsigned by, struct buf *into);
uint64_t sim_claim(struct sim *sim, unsigned lab, unsigned by, unsigned of);
/* Is a part of a delta of `of` kept on `lab`'s disk? */
bool sim_staged(struct sim *sim, unsigned lab, unsigned of);
/* Every check of `essaim verify` is clean. */
bool sim_verify(struct sim *sim, unsigned lab);
/* Wire bytes both ways that the last connection between two labs has carried. */
uint64_t sim_wire(struct sim *sim, unsigned a, unsigned b);
/* How many messages of that type it has said since it started first. */
uint64_t sim_said(const struct sim *sim, unsigned lab, enum msg_type type);
bool sim_linked(struct sim *sim, unsigned a, unsigned b);
/* How often a text stands in the files of a lab's directory, on or off. */
unsigned sim_bytes(const struct sim *sim, unsigned lab, const char *text);
unsigned sim_bytes_of(const struct sim *sim, unsigned lab, struct bytes text);
const char *sim_dir(const struct sim *sim, unsigned lab);
/* Hash of every event and effect so far. */
uint64_t sim_trace(const struct sim *sim);

/* ---- promises ---- */

/* All catalogues and cursors of a lab at once, beside what is checked at every step. */
void sim_check(struct sim *sim, unsigned lab);
/* A broken promise is kept for sim_failure instead of ending the program: time stands still. */
void sim_soft(struct sim *sim);
const char *sim_failure(const struct sim *sim); /* NULL: none */
/* No checks at every step (for size). */
void sim_unchecked(struct sim *sim);
/* What happened last, on stderr; with sim_telling everything as it happens (also SIM_LOG=1). */
void sim_last(const struct sim *sim);
void sim_telling(struct sim *sim);
/* The commit of the tree that this was built from; and the line that says how a seed of a program
 * that reads $SIM_SEED is lived again, on stderr. */
void sim_commit(char *into, size_t size);
void sim_blame(uint64_t seed, const char *program);

/* ---- puppets: labs played by the test ---- */

typedef void puppet_hears(struct sim *sim, unsigned puppet, const struct msg *msg, void *user);

/* A lab with keys and without a node. Others must know it (sim_peer). */
unsigned sim_puppet(struct sim *sim, const char *name);
/* Dials and greets; true when the other's HELLO came. One link at a time. */
bool puppet_dial(struct sim *sim, unsigned puppet, unsigned to);
void puppet_close(struct sim *sim, unsigned puppet);
bool puppet_linked(const struct sim *sim, unsigned puppet);
void puppet_say(struct sim *sim, unsigned puppet, const struct msg *msg);
/* The next message heard, but PINGs (answered by themselves); views die at the next call. */
bool puppet_next(struct sim *sim, unsigned puppet, struct msg *ret_msg);
/* Runs until it hears one of that type, dropping the others, at most `ms`. */
bool puppet_await(struct sim *sim, unsigned puppet, enum msg_type type, uint64_t ms,
                  struct msg *ret_msg);
/* From now on each message is given to `hears` at once instead. */
void puppet_on(struct sim *sim, unsigned puppet, puppet_hears *hears, void *user);
/* Its store is a new one: the others read it from 0. */
void puppet_index(struct sim *sim, unsigned puppet);
/* A puppet with the keys of another lab: whoever stole its server. */
unsigned sim_twin(struct sim *sim, unsigned of);
/* What its HELLOs say that it understands; 0 at first. */
void puppet_features(struct sim *sim, unsigned puppet, uint64_t features);
/* It uses another link key from now on than its record names. */
void puppet_key(struct sim *sim, unsigned puppet);
/* New keys and the record of the next generation, whose last good head is `good` (NULL: none). */
void puppet_rotate(struct sim *sim, unsigned puppet, const struct head *good);
/* One that is being recovered: generation 0 and a statement, of its own link key or (not `fits`) of
 * another one. */
unsigned sim_reader(struct sim *sim, unsigned of, bool fits);
struct bytes sim_record(const struct sim *sim, unsigned lab);
const uint8_t *sim_signing(const struct sim *sim, unsigned lab); /* SIGN_SECRET_SIZE */

#endif
