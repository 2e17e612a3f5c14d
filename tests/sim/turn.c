/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/turn.c: what daemon/ does for a node: events in, one commit, effects out. A commit may
 * meet a full or broken disk, or the end of the process; then nothing of the turn leaves.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "tests/sim/state.h"

static void turn_begin(struct sim *sim, unsigned number)
{
    sim->at_lab = number;
    sim_running = sim;
}

static void turn_end(struct sim *sim)
{
    sim->at_lab = SIM_LABS_MAX;
    sim_running = NULL;
}

static void perform_one(struct sim *sim, struct sim_lab *lab, unsigned number,
                        struct effect *effect)
{
    unsigned end = 0;
    unsigned to = SIM_LABS_MAX;
    struct sim_conn *conn = NULL;
    switch (effect->kind) {
    case EFFECT_SEND:
        sim_trace_add(sim, effect->bytes->data, effect->bytes->size);
        conn_send(sim, number, effect->link, buf_bytes(effect->bytes));
        break;
    case EFFECT_CLOSE:
        conn = conn_of(sim, number, effect->link, &end);
        if (conn != NULL) {
            conn_close(sim, conn);
        }
        break;
    case EFFECT_DIAL:
        must(sscanf(effect->address, "sim:%u", &to) == 1);
        (void) conn_dial(sim, number, to - 1, &effect->lab);
        break;
    case EFFECT_REPLY:
        buf_put(&lab->replies, buf_bytes(effect->bytes));
        lab->replied = true;
        break;
    case EFFECT_CLIENT_CLOSE:
        lab->hung_up = true;
        break;
    case EFFECT_LOG:
        sim_tell(sim, "%u %s: %s", number, lab->name, (const char *) effect->bytes->data);
        break;
    case EFFECT_GUARD:
    case EFFECT_KEYS_CLAIM:
    case EFFECT_KEYS_FINISH:
    case EFFECT_KEYS_DROP:
        keys_perform(sim, number, effect);
        break;
    }
}

void sim_perform(struct sim *sim, unsigned number)
{
    struct effects effects = sim->effects;
    sim->effects = (struct effects){0};
    bool spoke = false;
    for (size_t i = 0; i < effects.count; i++) {
        bool speaks = effects.items[i].kind == EFFECT_SEND || effects.items[i].kind == EFFECT_REPLY;
        if (speaks && !spoke) {
            check_guard(sim, number);
        }
        spoke = spoke || speaks;
        sim_trace_number(sim, effects.items[i].kind);
        perform_one(sim, sim->labs[number], number, &effects.items[i]);
    }
    effects_done(&effects);
}

/* The node said no, or its machine did: nothing of this turn leaves. */
static void turn_dies(struct sim *sim, unsigned number, enum err err)
{
    struct sim_lab *lab = sim->labs[number];
    turn_end(sim);
    effects_done(&sim->effects);
    bool faulted = sim_faulted;
    sim_faulted = false;
    if (faulted) {
        sim_fault_err = err;
    } else if (!lab->dying) {
        sim_fail(sim, "lab %u gave up: %s", number, err_code(err));
    } else if (lab->broken && err == ERR_OK) {
        sim_fail(sim, "lab %u went on after an I/O error", number);
    }
    sim_tell(sim, "%u ends (%s)", number, err_code(err));
    if (!faulted) { /* else the store itself may be half open */
        check_commits(sim, number);
    }
    lab_off(sim, number, true);
}

void sim_step(struct sim *sim, unsigned number, struct event *event)
{
    struct sim_lab *lab = sim->labs[number];
    if (!lab->live || lab->dying) {
        return;
    }
    event->now_ms = sim->now_ms + SIM_AHEAD_MS;
    event->wall_s = SIM_WALL_S + (int64_t) (sim->now_ms / 1000) + lab->wall_off_s;
    sim_roll_bytes(sim, event->dice, sizeof event->dice);
    sim_trace_number(sim, event->kind);
    sim_trace_number(sim, number);
    turn_begin(sim, number);
    sim_inside = true;
    enum err err = node_step(lab->node, event, &sim->effects);
    sim_inside = false;
    turn_end(sim);
    if (err != ERR_OK) {
        turn_dies(sim, number, err);
    }
}

/* One commit and what it lets out. */
static enum err turn_commit(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    sim_inside = true;
    enum err err = node_settle(lab->node, &sim->effects);
    sim_inside = false;
    if (err == ERR_OK && !lab->dying) {
        check_commits(sim, number);
        sim_perform(sim, number);
    }
    return err;
}

void sim_settle(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    if (!lab->live) {
        return;
    }
    turn_begin(sim, number);
    enum err err = turn_commit(sim, number);
    while (err == ERR_OK && !lab->dying && node_job(lab->node)) {
        sim_inside = true;
        node_job_run(lab->node);
        err = node_job_done(lab->node, &sim->effects);
        sim_inside = false;
        if (err == ERR_OK && !lab->dying) {
            err = turn_commit(sim, number);
        }
    }
    if (err != ERR_OK || lab->dying) {
        turn_dies(sim, number, err);
        return;
    }
    turn_end(sim);
    sim_faulted = false;
    uint64_t wake_ms = node_wake_ms(lab->node);
    wake_ms = wake_ms > SIM_AHEAD_MS ? wake_ms - SIM_AHEAD_MS : 0;
    if (wake_ms < lab->wake_ms || lab->wake_ms <= sim->now_ms) {
        lab->wake_ms = wake_ms > sim->now_ms ? wake_ms : sim->now_ms + 1;
        (void) sim_push(sim, lab->wake_ms, number, SIM_WAKE);
    }
}

static void item_step(struct sim *sim, struct sim_item *item)
{
    struct sim_lab *lab = sim->labs[item->lab];
    if (lab->epoch != item->epoch) {
        return;
    }
    if (item->kind == SIM_WAKE) {
        item->event.kind = EVENT_TICK;
    } else if (item->event.kind == EVENT_LINK_ROOM) {
        conn_room(sim, item);
    }
    item->event.bytes = buf_bytes(&item->bytes);
    item->event.address = item->address;
    if (lab->puppet != NULL) {
        puppet_event(sim, item->lab, &item->event);
    } else {
        sim_step(sim, item->lab, &item->event);
    }
}

/* The loop of that lab was busy: what came meanwhile goes into one turn. */
static void inbox_run(struct sim *sim, struct sim_lab *lab, unsigned number)
{
    struct sim_item *item = lab->inbox;
    lab->inbox = lab->inbox_last = NULL;
    while (item != NULL) {
        struct sim_item *next = item->next;
        item_step(sim, item);
        sim_item_free(item);
        item = next;
    }
    sim_settle(sim, number);
}

static void inbox_put(struct sim *sim, struct sim_lab *lab, struct sim_item *item)
{
    if (lab->inbox == NULL) {
        uint64_t until_ms = sim->now_ms + sim_roll(sim) % (sim->busy_ms + 1);
        (void) sim_push(sim, until_ms, item->lab, SIM_TURN);
        lab->inbox = item;
    } else {
        lab->inbox_last->next = item;
    }
    lab->inbox_last = item;
}

bool sim_next(struct sim *sim, uint64_t until_ms)
{
    if (sim->heap_count == 0 || sim->heap[0].at_ms > until_ms || sim->failure[0] != 0) {
        return false;
    }
    struct sim_item *item = sim_pop(sim, &sim->now_ms);
    struct sim_lab *lab = sim->labs[item->lab];
    unsigned number = item->lab;
    if (!lab->live || lab->epoch != item->epoch) {
        sim_item_free(item);
    } else if (item->kind == SIM_TURN) {
        sim_item_free(item);
        inbox_run(sim, lab, number);
    } else if (sim->busy_ms > 0 && lab->puppet == NULL) {
        inbox_put(sim, lab, item);
    } else {
        item_step(sim, item);
        sim_item_free(item);
        if (lab->puppet == NULL) {
            sim_settle(sim, number);
        }
    }
    return true;
}

void sim_run(struct sim *sim, uint64_t ms)
{
    uint64_t until_ms = sim->now_ms + ms;
    while (sim_next(sim, until_ms)) {
    }
    sim->now_ms = until_ms;
}

uint64_t sim_now(const struct sim *sim)
{
    return sim->now_ms;
}

uint64_t sim_trace(const struct sim *sim)
{
    return sim->trace;
}

void sim_busy(struct sim *sim, uint64_t ms)
{
    sim->busy_ms = ms;
}
