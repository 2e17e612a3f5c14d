/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/node.h: what is decided. Event in, effects out; no network, no clock, no dice.
 *
 *     each turn:   while an event waits: node_step(node, &event, &effects)
 *                  node_settle(node, &effects)            one durable commit
 *                  perform the effects
 *     when node_job(node) says so, after settle: run node_job_run (any thread; only node_read may
 * be called meanwhile), then node_job_done, then settle and perform again, then go on stepping.
 */
#ifndef ESSAIM_NODE_NODE_H
#define ESSAIM_NODE_NODE_H

#include "node/event.h"
#include "store/store.h"

struct node;

#define GUARD_N_UNKNOWN UINT64_MAX

struct node_config {
    struct store *store; /* borrowed, outlives the node */
    struct lab_id lab;   /* own */
    struct bytes record; /* own signed lab record; copied */
    uint8_t signing_secret[SIGN_SECRET_SIZE];
    uint8_t link_secret[KEY_SIZE];
    /* The guard file (doc/decisions/0009): what it says, or that it is garbled. */
    bool has_guard, guard_bad;
    uint64_t guard_n; /* GUARD_N_UNKNOWN: nobody knows */
    struct hash guard_hash;
    /* A lab that lost its server: no record and no signing secret yet, but a statement. */
    bool recovering;
    struct bytes statement;              /* copied */
    uint64_t quota_entries, quota_bytes; /* per catalogue; 0 = the default */
    bool keep_history;                   /* former revisions of own entries */
    unsigned pid;                        /* for status */
    uint64_t now_ms;
    int64_t wall_s;
};

/* ERR_KEY when the keys do not fit the record; ERR_IO, ERR_CORRUPT, ERR_NOMEM. Commits once (own
 * record). */
MUST_USE enum err node_new(const struct node_config *config, struct node **ret_node);
void node_free(struct node *node); /* wipes keys; accepts NULL */

/* Records what the event means. Bad input from outside is dealt with inside (BYE, error reply): an
 * error here is ours (ERR_IO, ERR_NOMEM, ERR_CORRUPT): stop and exit non-zero. */
MUST_USE enum err node_step(struct node *node, const struct event *event, struct effects *effects);
/* Commits the turn, then adds the effects that may be shown now. On an error all effects are void.
 */
MUST_USE enum err node_settle(struct node *node, struct effects *effects);

/* A long commit is waiting to run off the loop. */
bool node_job(const struct node *node);
void node_job_run(struct node *node);
MUST_USE enum err node_job_done(struct node *node, struct effects *effects);

/* While a job runs: answers a CLIENT_BYTES event whose method only reads; ERR_BUSY: keep the event
 * for later. */
MUST_USE enum err node_read(struct node *node, const struct event *event, struct effects *effects);

/* When the node wants EVENT_TICK next (monotonic ms). */
uint64_t node_wake_ms(const struct node *node);

/* SIGTERM: says goodbye on all links and writes what is only in memory (cursors). Then settle,
 * perform, close. */
MUST_USE enum err node_stop(struct node *node, struct effects *effects);

/* Should the daemon accept one more connection from `address` (bare IP)? Half-open and per-address
 * caps. */
bool node_accepts(const struct node *node, const char *address);

#endif
