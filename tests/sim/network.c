/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/network.c: the links between labs: bytes arrive whole and in order or not at all, late,
 * in pieces, slowly; a connection is closed, reset, or silently dead on one side or both.
 *
 * Connection i has the links 2 i + 1 (the dialler's) and 2 i + 2.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "tests/sim/state.h"

struct sim_conn *conn_of(struct sim *sim, unsigned lab, uint32_t link, unsigned *ret_end)
{
    size_t index = (size_t) (link - 1) / 2;
    unsigned end = (link - 1) % 2;
    if (link == 0 || index >= sim->conn_count || sim->conns[index].ends[end].lab != lab) {
        return NULL;
    }
    *ret_end = end;
    return &sim->conns[index];
}

static bool cut(const struct sim *sim, unsigned from, unsigned to)
{
    return sim->cut[from * SIM_LABS_MAX + to] != 0;
}

static uint64_t latency(struct sim *sim)
{
    return sim->latency_min_ms + sim_roll(sim) % (sim->latency_max_ms - sim->latency_min_ms + 1);
}

static struct sim_item *link_event(struct sim *sim, uint64_t at_ms, const struct sim_end *end,
                                   enum event_kind kind)
{
    struct sim_item *item = sim_push(sim, at_ms, end->lab, SIM_EVENT);
    item->event.kind = kind;
    item->event.link = end->link;
    return item;
}

void conn_close(struct sim *sim, struct sim_conn *conn)
{
    if (!conn->open) {
        return;
    }
    conn->open = false;
    for (unsigned end = 0; end < 2; end++) {
        uint64_t last_ms = conn->ends[1 - end].arrives_ms;
        uint64_t at_ms = last_ms > sim->now_ms ? last_ms : sim->now_ms;
        if (!conn->ends[end].gone) {
            (void) link_event(sim, at_ms + 1, &conn->ends[end], EVENT_LINK_DOWN);
        }
    }
}

/* Nobody is there any more: a host that lives says so, one that is off says nothing. */
static void sent_to_nobody(struct sim *sim, struct sim_conn *conn, const struct sim_end *from,
                           const struct sim_end *to)
{
    if (sim->labs[to->lab]->live && !cut(sim, to->lab, from->lab)) {
        conn->open = false;
        (void) link_event(sim, sim->now_ms + latency(sim), from, EVENT_LINK_DOWN);
    }
}

void conn_send(struct sim *sim, unsigned lab, uint32_t link, struct bytes bytes)
{
    unsigned end = 0;
    struct sim_conn *conn = conn_of(sim, lab, link, &end);
    if (conn == NULL || !conn->open) {
        return;
    }
    struct sim_end *from = &conn->ends[end];
    const struct sim_end *to = &conn->ends[1 - end];
    from->bytes += bytes.size;
    from->queued += bytes.size;
    from->lost = from->lost || cut(sim, from->lab, to->lab);
    if (from->lost) {
        return; /* in the dark; nobody is told */
    }
    if (to->gone) {
        sent_to_nobody(sim, conn, from, to);
        return;
    }
    uint64_t at_ms = sim->now_ms + latency(sim);
    at_ms = at_ms > from->arrives_ms ? at_ms : from->arrives_ms;
    from->arrives_ms = at_ms + (conn->rate == 0 ? 0 : bytes.size * 1000 / conn->rate);
    link_event(sim, from->arrives_ms, from, EVENT_LINK_ROOM)->left = bytes.size;
    while (bytes.size > 0) {
        size_t size = sim->split == 0 ? bytes.size : 1 + (size_t) sim_roll(sim) % sim->split;
        size = size < bytes.size ? size : bytes.size;
        struct sim_item *item = link_event(sim, from->arrives_ms, to, EVENT_LINK_BYTES);
        buf_put(&item->bytes, bytes_of(bytes.data, size));
        bytes = bytes_of(bytes.data + size, bytes.size - size);
    }
}

void conn_room(struct sim *sim, struct sim_item *item)
{
    unsigned end = 0;
    struct sim_conn *conn = conn_of(sim, item->lab, item->event.link, &end);
    must(conn != NULL);
    must(conn->ends[end].queued >= item->left);
    conn->ends[end].queued -= item->left;
    item->event.queued = conn->ends[end].queued;
}

uint32_t conn_dial(struct sim *sim, unsigned lab, unsigned to, const struct lab_id *wanted)
{
    uint64_t at_ms = sim->now_ms + latency(sim);
    if (to >= sim->lab_count || !sim->labs[to]->live || cut(sim, lab, to) || cut(sim, to, lab)) {
        struct sim_item *item = sim_push(sim, at_ms, lab, SIM_EVENT);
        item->event.kind = EVENT_DIAL_FAILED;
        item->event.lab = *wanted;
        return 0;
    }
    if (sim->conn_count == sim->conn_cap) {
        sim->conn_cap = sim->conn_cap == 0 ? 256 : sim->conn_cap * 2;
        sim->conns = realloc(sim->conns, sim->conn_cap * sizeof *sim->conns);
        must(sim->conns != NULL);
    }
    uint32_t link = (uint32_t) (sim->conn_count * 2 + 1);
    struct sim_conn *conn = &sim->conns[sim->conn_count++];
    *conn = (struct sim_conn){.open = true,
                              .rate = sim->rate,
                              .ends = {{.lab = lab, .link = link, .arrives_ms = at_ms},
                                       {.lab = to, .link = link + 1, .arrives_ms = at_ms}}};
    for (unsigned end = 0; end < 2; end++) {
        struct sim_item *item = link_event(sim, at_ms, &conn->ends[end], EVENT_LINK_UP);
        item->event.dialled = end == 0;
        item->event.lab = *wanted;
        (void) snprintf(item->address, sizeof item->address, "sim:%u", 1 + (end == 0 ? to : lab));
    }
    return link;
}

void conns_end(struct sim *sim, unsigned lab, bool told)
{
    for (size_t i = 0; i < sim->conn_count; i++) {
        struct sim_conn *conn = &sim->conns[i];
        for (unsigned end = 0; conn->open && end < 2; end++) {
            if (conn->ends[end].lab != lab || conn->ends[end].gone) {
                continue;
            }
            conn->ends[end].gone = true;
            if (told || conn->ends[1 - end].gone) {
                conn_close(sim, conn);
            }
        }
    }
}

/* ---- what a test does to it ---- */

static bool joins(const struct sim_conn *conn, unsigned a, unsigned b)
{
    unsigned x = conn->ends[0].lab;
    unsigned y = conn->ends[1].lab;
    return (x == a && y == b) || (x == b && y == a);
}

void sim_cut(struct sim *sim, unsigned a, unsigned b, bool is_cut)
{
    sim_cut_way(sim, a, b, is_cut);
    sim_cut_way(sim, b, a, is_cut);
}

void sim_cut_way(struct sim *sim, unsigned from, unsigned to, bool is_cut)
{
    sim->cut[from * SIM_LABS_MAX + to] = is_cut;
}

void sim_reset(struct sim *sim, unsigned a, unsigned b)
{
    for (size_t i = 0; i < sim->conn_count; i++) {
        if (sim->conns[i].open && joins(&sim->conns[i], a, b)) {
            conn_close(sim, &sim->conns[i]);
        }
    }
}

unsigned sim_reset_some(struct sim *sim, unsigned of_1000)
{
    unsigned count = 0;
    for (size_t i = 0; i < sim->conn_count; i++) {
        if (sim->conns[i].open && sim_roll(sim) % 1000 < of_1000) {
            conn_close(sim, &sim->conns[i]);
            count++;
        }
    }
    return count;
}

void sim_half_open(struct sim *sim, unsigned lab, unsigned other)
{
    for (size_t i = 0; i < sim->conn_count; i++) {
        struct sim_conn *conn = &sim->conns[i];
        if (conn->open && joins(conn, lab, other)) {
            struct sim_end *end = &conn->ends[conn->ends[0].lab == lab ? 0 : 1];
            if (!end->gone) {
                (void) link_event(sim, sim->now_ms + 1, end, EVENT_LINK_DOWN);
            }
            end->gone = true;
        }
    }
}

void sim_rate(struct sim *sim, unsigned a, unsigned b, uint32_t rate)
{
    for (size_t i = 0; i < sim->conn_count; i++) {
        if (sim->conns[i].open && joins(&sim->conns[i], a, b)) {
            sim->conns[i].rate = rate;
        }
    }
}

void sim_rate_all(struct sim *sim, uint32_t rate)
{
    sim->rate = rate;
}

void sim_split(struct sim *sim, size_t size)
{
    sim->split = size;
}

void sim_latency(struct sim *sim, uint64_t min_ms, uint64_t max_ms)
{
    sim->latency_min_ms = min_ms;
    sim->latency_max_ms = max_ms;
}

uint64_t sim_wire(struct sim *sim, unsigned a, unsigned b)
{
    for (size_t i = sim->conn_count; i > 0; i--) {
        const struct sim_conn *conn = &sim->conns[i - 1];
        if (joins(conn, a, b)) {
            return conn->ends[0].bytes + conn->ends[1].bytes;
        }
    }
    return 0;
}

bool sim_linked(struct sim *sim, unsigned a, unsigned b)
{
    for (size_t i = sim->conn_count; i > 0; i--) {
        if (sim->conns[i - 1].open && joins(&sim->conns[i - 1], a, b)) {
            return true;
        }
    }
    return false;
}
