/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/turn.h: the heartbeat.
 *
 *     libuv callbacks ──record──> inbox ──node_step──> node_settle (one commit) ──> perform
 *
 * Runs from a prepare and from a check handle, that is once after timers and once after sockets; it
 * does nothing while the inbox is empty. A turn steps a bounded share of what waits (bytes,
 * requests, time), the rest follows in the next iteration. A long commit runs in a worker as a
 * *job*: until it is done the node is not stepped, but requests that only read are answered.
 */
#ifndef ESSAIM_DAEMON_TURN_H
#define ESSAIM_DAEMON_TURN_H

#include <uv.h>

#include "daemon/inbox.h"
#include "node/node.h"

#define TURN_LINK_SIZE_MAX (1024u * 1024) /* link bytes stepped in one turn */
#define TURN_COST_MAX 512                 /* requests stepped in one turn, by cost */
#define TURN_STEP_US_MAX 15000            /* … and the time for each of the two */

/* What the turn needs from those who listen and act. */
struct turn_ops {
    /* Does one effect; takes its bytes. */
    void (*perform)(void *user, struct effect *effect);
    /* All effects of a turn were performed. */
    void (*performed)(void *user);
    /* A link wants in: its LINK_UP is about to be stepped. False: drop it unheard. */
    bool (*admits)(void *user, struct source *source, const struct event *event);
    /* What turn_tell told was stepped. */
    void (*told)(void *user);
    /* The node failed, nothing more may be said: end the process. */
    void (*failed)(void *user, enum err err);
};

struct turn {
    struct node *node;
    const struct turn_ops *ops;
    void *user;
    struct inbox inbox;
    struct effects effects;
    uv_loop_t *loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active while work is left over: the loop must not wait */
    uv_timer_t tick;
    uv_work_t work;
    struct event told;
    bool tick_due, told_due, job_runs, stop_due, stopped, dead;
    unsigned job; /* number of the job under way, or of the last one */
};

MUST_USE enum err turn_init(struct turn *turn, uv_loop_t *loop, struct node *node,
                            const struct turn_ops *ops, void *user);
/* An event of the daemon's own, stepped first in the next turn: what it borrows must live until
 * ops->told. One at a time. */
void turn_tell(struct turn *turn, const struct event *event);
/* node_stop, as soon as no job runs; then nothing is stepped any more. `stopped` tells. */
void turn_stop(struct turn *turn);
/* Closes the handles. */
void turn_close(struct turn *turn);
/* After the loop has ended. */
void turn_done(struct turn *turn);

#endif
