/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/turn.c: see turn.h.
 *
 * Happy path of a turn: the tick if it is due, then clients and links one item each in rounds, then
 * node_settle, then the effects. An error of the node is ours: it is reported through ops->failed
 * and ends the process; its effects are void and never performed.
 */
#include "daemon/turn.h"

#include <sodium.h>
#include <time.h>

#include "base/must.h"
#include "daemon/process.h"

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void turn_fail(struct turn *turn, enum err err)
{
    turn->dead = true;
    effects_done(&turn->effects);
    turn->ops->failed(turn->user, err);
}

/* Time and dice come in the event. */
static void event_stamp(struct event *event)
{
    event->now_ms = now_ms();
    event->wall_s = (int64_t) time(NULL);
    randombytes_buf(event->dice, sizeof event->dice);
}

static enum err step(struct turn *turn, struct source *source, struct item *item)
{
    struct event *event = &item->event;
    event_stamp(event);
    event->bytes = item->bytes == NULL ? (struct bytes){0} : buf_bytes(item->bytes);
    bool comes_in = event->kind == EVENT_LINK_UP && !event->dialled;
    if (comes_in && !turn->ops->admits(turn->user, source, event)) {
        return ERR_OK;
    }
    return node_step(turn->node, event, &turn->effects);
}

static enum err step_tick(struct turn *turn)
{
    if (!turn->tick_due) {
        return ERR_OK;
    }
    turn->tick_due = false;
    struct event tick = {.kind = EVENT_TICK};
    event_stamp(&tick);
    return node_step(turn->node, &tick, &turn->effects);
}

static enum err step_told(struct turn *turn)
{
    if (!turn->told_due) {
        return ERR_OK;
    }
    turn->told_due = false;
    event_stamp(&turn->told);
    enum err err = node_step(turn->node, &turn->told, &turn->effects);
    turn->ops->told(turn->user);
    return err;
}

/* One item a source, round after round, until a share is used up. */
static enum err step_ring(struct turn *turn, enum inbox_ring ring)
{
    uint64_t end_ns = uv_hrtime() + TURN_STEP_US_MAX * 1000ull;
    size_t size = 0;
    unsigned cost = 0;
    while (cost < TURN_COST_MAX) {
        struct source *source = inbox_next(&turn->inbox, ring);
        if (source == NULL) {
            break;
        }
        struct item *item = inbox_take(&turn->inbox, source);
        size += item->bytes == NULL ? 0 : item->bytes->size;
        cost += item->cost > 0 ? item->cost : 1;
        enum err err = step(turn, source, item);
        item_free(item);
        source->stepped(source);
        if (err != ERR_OK) {
            return err;
        }
        if (size >= TURN_LINK_SIZE_MAX || uv_hrtime() >= end_ns) {
            break;
        }
    }
    return ERR_OK;
}

static void perform(struct turn *turn)
{
    for (size_t i = 0; i < turn->effects.count; i++) {
        turn->ops->perform(turn->user, &turn->effects.items[i]);
    }
    effects_done(&turn->effects);
    turn->ops->performed(turn->user);
}

static void on_tick(uv_timer_t *timer)
{
    struct turn *turn = timer->data;
    turn->tick_due = true;
}

static void on_idle(uv_idle_t *idle)
{
    (void) idle; /* its being there keeps the loop from waiting */
}

static void on_job(uv_work_t *work)
{
    struct turn *turn = work->data;
    node_job_run(turn->node);
}

static void turn_settle(struct turn *turn);

static void on_job_done(uv_work_t *work, int status)
{
    struct turn *turn = work->data;
    must(status == 0);
    turn->job_runs = false;
    enum err err = node_job_done(turn->node, &turn->effects);
    process_trim();
    if (err != ERR_OK) {
        turn_fail(turn, err);
        return;
    }
    turn_settle(turn);
}

/* Asks for the next tick, and for the next iteration where work is left over. */
static void turn_wind(struct turn *turn)
{
    uint64_t now = now_ms();
    uint64_t wake = node_wake_ms(turn->node);
    uv_update_time(turn->loop);
    (void) uv_timer_start(&turn->tick, on_tick, wake > now ? wake - now : 1, 0);
}

static void turn_settle(struct turn *turn)
{
    enum err err = node_settle(turn->node, &turn->effects);
    if (err != ERR_OK) {
        turn_fail(turn, err);
        return;
    }
    perform(turn);
    if (node_job(turn->node)) {
        turn->work.data = turn;
        turn->job_runs = true;
        turn->job++;
        must(uv_queue_work(turn->loop, &turn->work, on_job, on_job_done) == 0);
    } else {
        turn_wind(turn);
    }
}

/* Answers one client as far as its requests only read. */
static enum err read_source(struct turn *turn, struct source *source)
{
    while (source->first != NULL && !source->held && source->busy != turn->job) {
        struct item *item = source->first;
        event_stamp(&item->event);
        item->event.bytes = item->bytes == NULL ? (struct bytes){0} : buf_bytes(item->bytes);
        enum err err = node_read(turn->node, &item->event, &turn->effects);
        if (err == ERR_BUSY) {
            source->busy = turn->job;
            return ERR_OK;
        }
        if (err != ERR_OK) {
            return err;
        }
        item_free(inbox_take(&turn->inbox, source));
        perform(turn);
    }
    return ERR_OK;
}

/* While a job runs. */
static void turn_read(struct turn *turn)
{
    struct source *source = turn->inbox.first[INBOX_CLIENTS];
    while (source != NULL) {
        struct source *next = source->next;
        enum err err = read_source(turn, source);
        if (err != ERR_OK) {
            turn_fail(turn, err);
            return;
        }
        if (source->busy != turn->job) {
            source->stepped(source);
        }
        source = next;
    }
}

static void turn_end(struct turn *turn)
{
    turn->stop_due = false;
    enum err err = node_stop(turn->node, &turn->effects);
    if (err == ERR_OK) {
        err = node_settle(turn->node, &turn->effects);
    }
    while (err == ERR_OK && node_job(turn->node)) { /* nobody waits any more: at once */
        perform(turn);
        node_job_run(turn->node);
        err = node_job_done(turn->node, &turn->effects);
        err = err != ERR_OK ? err : node_settle(turn->node, &turn->effects);
    }
    if (err != ERR_OK) {
        turn_fail(turn, err);
        return;
    }
    perform(turn);
    turn->stopped = true;
}

static void turn_run(struct turn *turn)
{
    if (turn->dead || turn->stopped) {
        return;
    }
    if (turn->job_runs) {
        turn_read(turn);
        return;
    }
    if (turn->stop_due) {
        turn_end(turn);
        return;
    }
    if (!turn->tick_due && !turn->told_due && !inbox_waits(&turn->inbox)) {
        return;
    }
    enum err err = step_tick(turn);
    err = err != ERR_OK ? err : step_told(turn);
    err = err != ERR_OK ? err : step_ring(turn, INBOX_CLIENTS);
    err = err != ERR_OK ? err : step_ring(turn, INBOX_LINKS);
    if (err != ERR_OK) {
        turn_fail(turn, err);
        return;
    }
    turn_settle(turn);
}

/* The loop may wait when nothing is left to step. */
static void turn_idle(struct turn *turn)
{
    bool runs = !turn->dead && !turn->stopped && !turn->job_runs;
    bool due = turn->tick_due || turn->told_due || turn->stop_due;
    if (runs && (due || inbox_waits(&turn->inbox))) {
        (void) uv_idle_start(&turn->idle, on_idle);
    } else {
        (void) uv_idle_stop(&turn->idle);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct turn *turn = prepare->data;
    turn_run(turn);
    turn_idle(turn);
}

static void on_check(uv_check_t *check)
{
    struct turn *turn = check->data;
    turn_run(turn);
    turn_idle(turn);
}

enum err turn_init(struct turn *turn, uv_loop_t *loop, struct node *node,
                   const struct turn_ops *ops, void *user)
{
    *turn = (struct turn){.node = node, .ops = ops, .user = user, .loop = loop, .tick_due = true};
    turn->prepare.data = turn->check.data = turn->idle.data = turn->tick.data = turn;
    if (uv_prepare_init(loop, &turn->prepare) != 0 || uv_check_init(loop, &turn->check) != 0 ||
        uv_idle_init(loop, &turn->idle) != 0 || uv_timer_init(loop, &turn->tick) != 0 ||
        uv_prepare_start(&turn->prepare, on_prepare) != 0 ||
        uv_check_start(&turn->check, on_check) != 0) {
        return ERR_INTERNAL;
    }
    return ERR_OK;
}

void turn_tell(struct turn *turn, const struct event *event)
{
    must(!turn->told_due);
    turn->told = *event;
    turn->told_due = true;
}

void turn_stop(struct turn *turn)
{
    turn->stop_due = !turn->stopped;
}

void turn_close(struct turn *turn)
{
    uv_close((uv_handle_t *) &turn->prepare, NULL);
    uv_close((uv_handle_t *) &turn->check, NULL);
    uv_close((uv_handle_t *) &turn->idle, NULL);
    uv_close((uv_handle_t *) &turn->tick, NULL);
}

void turn_done(struct turn *turn)
{
    effects_done(&turn->effects);
}
