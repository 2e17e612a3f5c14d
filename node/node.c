/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/node.c: the turn. Steps only change memory and the turn's write transaction; node_settle
 * commits it and then builds, from the committed state, everything that leaves: announcements,
 * deltas, answers. A commit that fails for want of room undoes the turn: links close (their
 * sessions may have promised too much), writers get ERR_FULL. Any other failure ends the process.
 */
#include "node/node.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/model.h"

#define CHORE_COUNT 500
#define CHORE_PERIOD_MS (3600u * 1000u)
#define CHORE_AGAIN_MS (60u * 1000u)
#define CHORE_SOON_MS 100

enum err node_grow(void **array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return ERR_OK;
    }
    size_t grown = *cap == 0 ? 8 : *cap * 2;
    void *items = realloc(*array, grown * size);
    if (items == NULL) {
        return ERR_NOMEM;
    }
    *array = items;
    *cap = grown;
    return ERR_OK;
}

void node_log(struct node *node, int level, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size < 0) {
        return;
    }
    struct effect *effect = effects_add(node, EFFECT_LOG);
    if (effect == NULL) {
        return;
    }
    effect->level = level;
    effect->bytes = buf_new(0);
    if (effect->bytes == NULL) {
        node->effects->err = ERR_NOMEM;
        return;
    }
    buf_put_str(effect->bytes, line);
    buf_put_u8(effect->bytes, 0);
}

void node_refuse(struct node *node, enum err err)
{
    node->refused[err]++;
}

enum err node_txn(struct node *node, struct txn **ret_txn)
{
    if (node->txn == NULL) {
        enum err err = txn_begin_write(node->config.store, &node->txn);
        if (err != ERR_OK) {
            return err;
        }
    }
    *ret_txn = node->txn;
    return ERR_OK;
}

enum err node_changed(struct node *node, uint32_t catalogue, uint64_t old_n)
{
    enum err err = node_grow((void **) &node->changed, node->changed_count, &node->changed_cap,
                             sizeof *node->changed);
    if (err != ERR_OK) {
        return err;
    }
    node->changed[node->changed_count++] = (struct changed){.catalogue = catalogue, .old_n = old_n};
    return ERR_OK;
}

/* The own record is known, newest, and an arrival; keys must be the ones it names. */
static enum err own_record(struct node *node)
{
    uint8_t link_pk[KEY_SIZE];
    enum err err = link_public(node->config.link_secret, link_pk);
    if (err != ERR_OK) {
        return err;
    }
    const struct lab_record *record = &node->record_view;
    if (memcmp(record->lab.bytes, node->config.lab.bytes, KEY_SIZE) != 0 ||
        memcmp(record->link_pk, link_pk, KEY_SIZE) != 0 ||
        memcmp(record->signing_pk, node->config.signing_secret + SIGN_SEED_SIZE, KEY_SIZE) != 0) {
        return ERR_KEY;
    }
    struct txn *txn = NULL;
    err = node_txn(node, &txn);
    if (err != ERR_OK) {
        return err;
    }
    struct held_lab held;
    err = lab_get(txn, &record->lab, &held);
    if (err == ERR_OK && held.record.generation > record->generation) {
        return ERR_KEY; /* these keys were replaced */
    }
    if (err == ERR_OK && held.record.generation == record->generation) {
        return ERR_OK;
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    uint64_t arrival = 0;
    return lab_put(txn, record, buf_bytes(&node->record), &record->lab, &arrival);
}

/* Seconds since 1970, a thousand steps in each, and as many arrivals in a step. */
static uint64_t arrivals_floor(const struct node *node)
{
    uint64_t wall_s = node->wall_s > 0 ? (uint64_t) node->wall_s : 0;
    return wall_s << 20 | (node->now_ms % 1000) << 10;
}

static enum err node_load(struct node *node)
{
    arrivals_begin(node->config.store, arrivals_floor(node));
    buf_put(&node->record, node->config.record);
    if (node->record.err != ERR_OK) {
        return node->record.err;
    }
    enum err err = ERR_OK;
    if (node->config.recovering) {
        err = rotate_statement(node);
    } else {
        err = lab_record_open(buf_bytes(&node->record), &node->record_view);
        err = err == ERR_OK ? own_record(node) : err;
    }
    if (err == ERR_OK) {
        err = own_load(node);
    }
    if (err == ERR_OK) {
        err = guard_load(node);
    }
    if (err == ERR_OK) {
        err = peers_load(node);
    }
    if (err == ERR_OK) {
        err = former_load(node);
    }
    if (err == ERR_OK) {
        err = when_load(node);
    }
    struct txn *txn = node->txn;
    node->txn = NULL;
    if (err == ERR_OK && txn != NULL && txn_dirty(txn)) {
        return txn_commit(txn);
    }
    txn_end(txn);
    return err;
}

enum err node_new(const struct node_config *config, struct node **ret_node)
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return ERR_NOMEM;
    }
    node->config = *config;
    if (node->config.quota_entries == 0) {
        node->config.quota_entries = QUOTA_ENTRIES;
    }
    if (node->config.quota_bytes == 0) {
        node->config.quota_bytes = QUOTA_BYTES;
    }
    node->now_ms = node->started_ms = config->now_ms;
    node->wall_s = config->wall_s;
    node->chores_left = true;
    enum err err = node_load(node);
    node->config.record = buf_bytes(&node->record);
    compact_load(node);
    receipt_load(node);
    if (err != ERR_OK) {
        node_free(node);
        return err;
    }
    *ret_node = node;
    return ERR_OK;
}

void node_free(struct node *node)
{
    if (node == NULL) {
        return;
    }
    struct effects dropped = {0};
    node->effects = &dropped;
    while (node->link_count > 0) {
        link_down(node, node->links[0]);
    }
    while (node->client_count > 0) {
        client_down(node, node->clients[0]);
    }
    fetches_reset(node);
    for (size_t i = 0; i < node->peer_count; i++) {
        free(node->peers[i]);
    }
    for (size_t i = 0; i < node->read_count; i++) {
        buf_done(&node->reads[i].bytes);
    }
    txn_end(node->txn);
    own_done(&node->own);
    buf_done(&node->repair.lost);
    compact_done(node);
    free(node->job.plan);
    free(node->reads);
    free(node->changed);
    buf_done(&node->went);
    buf_done(&node->record);
    buf_done(&node->statement);
    rotate_done(node);
    effects_done(&dropped);
    secret_wipe(node, sizeof *node);
    free(node);
}

static void chores_soon(struct node *node)
{
    uint64_t soon_ms = node->now_ms + CHORE_SOON_MS;
    node->chores_left = true;
    node->chores_at_ms = soon_ms < node->chores_at_ms ? soon_ms : node->chores_at_ms;
}

/* Chores in a transaction of their own: what they find wrong, a full disk first of all, undoes no
 * turn. They are tried again later. */
static enum err chores_alone(struct node *node)
{
    struct txn *txn = NULL;
    bool left = false;
    enum err err = txn_begin_write(node->config.store, &txn);
    if (err != ERR_OK) {
        return err;
    }
    err = catalogue_chores(txn, when_age_s(node), CHORE_COUNT, &left);
    if (err == ERR_OK && txn_dirty(txn)) {
        err = txn_commit(txn);
    } else {
        txn_end(txn);
    }
    node->chores_left = false;
    if (err == ERR_OK && left) {
        chores_soon(node);
    }
    if (err == ERR_FULL || err == ERR_CORRUPT) {
        node->chores_at_ms = node->now_ms + CHORE_AGAIN_MS;
        err = ERR_OK;
    }
    return err;
}

static enum err step_tick(struct node *node)
{
    links_tick(node);
    enum err err = fetch_tick(node);
    if (err == ERR_OK) {
        err = clients_tick(node);
    }
    if (err != ERR_OK) {
        return err;
    }
    guard_tick(node);
    peers_dial(node);
    err = receipt_tick(node);
    if (err != ERR_OK) {
        return err;
    }
    if (node->now_ms < node->chores_at_ms) {
        return ERR_OK;
    }
    node->chores_left = true;
    node->chores_at_ms = node->now_ms + CHORE_PERIOD_MS;
    return node->txn == NULL ? chores_alone(node) : ERR_OK;
}

static enum err step_link(struct node *node, const struct event *event)
{
    if (event->kind == EVENT_LINK_UP) {
        return link_up(node, event);
    }
    struct link *link = link_find(node, event->link);
    if (link == NULL) {
        return ERR_OK;
    }
    if (event->kind == EVENT_LINK_BYTES) {
        return link_bytes(node, link, event->bytes);
    }
    if (event->kind == EVENT_LINK_ROOM) {
        link->queued = event->queued;
        return ERR_OK;
    }
    enum err err = fetch_link_lost(node, link);
    link_down(node, link);
    return err;
}

static enum err step_client(struct node *node, const struct event *event)
{
    if (event->kind == EVENT_CLIENT_UP) {
        return client_up(node, event);
    }
    struct client *client = client_find(node, event->client);
    if (client == NULL) {
        return ERR_OK;
    }
    if (event->kind == EVENT_CLIENT_BYTES) {
        return client_bytes(node, client, event->bytes);
    }
    if (event->kind == EVENT_CLIENT_ROOM) {
        client->queued = event->queued;
        return ERR_OK;
    }
    if (event->kind == EVENT_CLIENT_BAD) {
        node_refuse(node, event->err);
        return ERR_OK;
    }
    client_down(node, client);
    return ERR_OK;
}

static void node_enter(struct node *node, const struct event *event, struct effects *effects)
{
    node->effects = effects;
    if (event->now_ms > node->now_ms) {
        node->now_ms = event->now_ms;
    }
    node->wall_s = event->wall_s;
    when_read(node);
    memcpy(node->dice, event->dice, sizeof node->dice);
}

enum err node_step(struct node *node, const struct event *event, struct effects *effects)
{
    must(node->job.kind == JOB_NONE);
    node_enter(node, event, effects);
    enum err err = ERR_OK;
    switch (event->kind) {
    case EVENT_TICK:
        err = step_tick(node);
        break;
    case EVENT_LINK_UP:
    case EVENT_LINK_BYTES:
    case EVENT_LINK_ROOM:
    case EVENT_LINK_DOWN:
        err = step_link(node, event);
        break;
    case EVENT_DIAL_FAILED: {
        struct peer *peer = peer_find(node, &event->lab);
        if (peer != NULL) {
            peer_failed(node, peer);
        }
        break;
    }
    case EVENT_CLIENT_UP:
    case EVENT_CLIENT_BYTES:
    case EVENT_CLIENT_ROOM:
    case EVENT_CLIENT_DOWN:
    case EVENT_CLIENT_BAD:
        err = step_client(node, event);
        break;
    case EVENT_KEYS:
        err = rotate_keys(node, event);
        break;
    }
    if (err == ERR_FULL) {
        node->undo = true; /* the transaction took no more: node_settle undoes the turn */
        err = ERR_OK;
    }
    return err != ERR_OK ? err : effects->err;
}

/* The deferred reads, now that the turn is on disk. */
static enum err reads_flush(struct node *node, struct txn *txn)
{
    for (size_t i = 0; i < node->read_count; i++) {
        struct read_wait *wait = &node->reads[i];
        struct client *client = client_find(node, wait->client);
        struct ctl_msg msg;
        if (client != NULL) { /* what it asks was decoded before */
            enum ctl_method method = CTL_hello;
            enum err err = ctl_decode(buf_bytes(&wait->bytes), &msg);
            if (err != ERR_OK) {
                return err;
            }
            err = ctl_find(msg.method, &method);
            if (err == ERR_OK) {
                err = query_answer(node, client, txn, &msg, method);
            }
            ctl_done(&msg);
            if (err != ERR_OK) {
                return err;
            }
        }
        buf_done(&wait->bytes);
    }
    node->read_count = 0;
    return ERR_OK;
}

static enum err flush_from(struct node *node, struct txn *txn)
{
    enum err err = reads_flush(node, txn);
    for (size_t i = 0; err == ERR_OK && i < node->client_count; i++) {
        err = watch_flush(node, node->clients[i], txn);
    }
    for (size_t i = 0; err == ERR_OK && i < node->link_count; i++) {
        struct link *link = node->links[i];
        if (link->state != LINK_READY) {
            continue;
        }
        err = announce_flush(node, link, txn);
        if (err == ERR_OK) {
            err = serve_flush(node, link, txn);
        }
    }
    return err;
}

/* Builds everything that leaves, from the committed state. */
static enum err node_flush(struct node *node)
{
    struct txn *txn = NULL;
    enum err err = txn_begin_read(node->config.store, &txn);
    if (err != ERR_OK) {
        return err;
    }
    err = flush_from(node, txn);
    txn_end(txn);
    if (err != ERR_OK) {
        return err;
    }
    syncs_check(node);
    repair_check(node);
    links_emit(node);
    clients_emit(node);
    return node->effects->err;
}

/* Chores ride on what the turn writes; what it threw away itself is theirs, too. */
static enum err chores(struct node *node)
{
    bool trash = false;
    enum err err = node->txn == NULL ? ERR_OK : catalogue_trash(node->txn, &trash);
    node->chores_left = node->chores_left || trash;
    if (err != ERR_OK || node->txn == NULL || !node->chores_left) {
        return err;
    }
    err = catalogue_chores(node->txn, when_age_s(node), CHORE_COUNT, &node->chores_left);
    if (node->chores_left) {
        chores_soon(node);
    }
    return err;
}

/* The commit failed for want of room: nothing of this turn happened. */
static enum err turn_undone(struct node *node)
{
    node_log(node, 3, "disk-full: the turn was undone");
    node->undo = false;
    chores_soon(node); /* what they did was undone, too */
    node->job = (struct job){0};
    txn_end(node->txn);
    node->txn = NULL;
    rotate_undo(node);
    own_answer(node, ERR_FULL);
    own_undo(node);
    buf_clear(&node->went);
    fetches_reset(node);
    node->changed_count = 0;
    while (node->link_count > 0) {
        struct effect *effect = effects_add(node, EFFECT_CLOSE);
        if (effect != NULL) {
            effect->link = node->links[0]->number;
        }
        link_down(node, node->links[0]);
    }
    enum err err = imports_undo(node);
    if (err == ERR_OK) {
        err = own_load(node);
    }
    if (err == ERR_OK) {
        err = peers_undo(node); /* cursors of this turn passed what it did not keep */
    }
    struct txn *txn = node->txn;
    node->txn = NULL;
    txn_end(txn);
    clients_emit(node);
    return err != ERR_OK ? err : node->effects->err;
}

static enum err turn_commit(struct node *node)
{
    enum err err = imports_settle(node);
    if (err == ERR_OK) {
        err = own_settle(node);
    }
    if (err == ERR_OK) {
        err = fetch_schedule(node);
    }
    if (err == ERR_OK) {
        err = repair_settle(node);
    }
    if (err == ERR_OK) {
        err = cursors_store(node, node->stopping);
    }
    if (err == ERR_OK) {
        err = peers_store(node);
    }
    if (err == ERR_OK) {
        err = chores(node);
    }
    if (err == ERR_OK) {
        err = when_store(node);
    }
    struct txn *txn = node->txn;
    node->txn = NULL;
    if (err == ERR_OK && txn != NULL && txn_dirty(txn)) {
        return txn_commit(txn);
    }
    txn_end(txn);
    return err;
}

enum err node_settle(struct node *node, struct effects *effects)
{
    node->effects = effects;
    enum err err = node->undo ? ERR_FULL : turn_commit(node);
    if (err == ERR_FULL) {
        return turn_undone(node);
    }
    if (err != ERR_OK) {
        return err;
    }
    cursors_committed(node);
    err = guard_settle(node);
    if (err != ERR_OK) {
        return err;
    }
    rotate_settle(node);
    if (node->job.kind != JOB_OWN) {
        own_answer(node, ERR_OK);
    }
    err = imports_answer(node);
    if (err == ERR_OK) {
        err = watch_changed(node);
    }
    if (err == ERR_OK) {
        err = node_flush(node);
    }
    if (err == ERR_OK && node->trim && node->job.kind == JOB_NONE) {
        node->trim = false;
        err = store_trim(node->config.store);
    }
    if (err == ERR_OK) {
        compact_begin(node);
    }
    return err;
}

bool node_job(const struct node *node)
{
    return node->job.kind != JOB_NONE && !node->job.ran;
}

void node_job_run(struct node *node)
{
    struct job *job = &node->job;
    must(job->kind != JOB_NONE);
    if (job->kind == JOB_OWN) {
        job->err = own_job(node);
    } else if (job->kind == JOB_FETCH) {
        job->err = fetch_job(node, job->fetch, &job->arrival);
    } else {
        compact_job(node);
    }
    job->ran = true;
}

enum err node_job_done(struct node *node, struct effects *effects)
{
    node->effects = effects;
    struct job job = node->job;
    must(job.ran);
    node->job = (struct job){0};
    enum err err = ERR_OK;
    if (job.kind == JOB_COMPACT || job.kind == JOB_BACKUP) {
        return compact_job_done(node, &job);
    }
    if (job.err != ERR_OK) {
        buf_clear(&node->went);
    }
    if (job.kind == JOB_OWN) {
        err = own_job_done(node, &job);
    } else {
        err = fetch_job_done(node, job.fetch, job.plan, job.err);
    }
    node->trim = true;
    chores_soon(node); /* the job may have thrown much away */
    return err;
}

/* The job's thread reads the clock, the draft and the fetch under way: none of them changes
 * here. */
enum err node_read(struct node *node, const struct event *event, struct effects *effects)
{
    node->effects = effects;
    if (event->kind == EVENT_CLIENT_UP) {
        return client_up(node, event);
    }
    struct client *client = client_find(node, event->client);
    if (event->kind == EVENT_CLIENT_ROOM && client != NULL) {
        client->queued = event->queued;
        return ERR_OK;
    }
    if (event->kind != EVENT_CLIENT_BYTES || client == NULL || client->closing) {
        return ERR_BUSY;
    }
    struct ctl_msg msg;
    if (ctl_decode(event->bytes, &msg) != ERR_OK) {
        return ERR_BUSY;
    }
    enum ctl_method method = CTL_hello;
    enum err err = ctl_find(msg.method, &method);
    struct txn *txn = NULL;
    if (err != ERR_OK || msg.type != 0 || ctl_writes(method) || client->role < ctl_role(method)) {
        err = ERR_BUSY;
    } else {
        err = txn_begin_read(node->config.store, &txn);
    }
    if (err == ERR_OK) {
        err = query_answer(node, client, txn, &msg, method);
        clients_emit(node);
    }
    txn_end(txn);
    ctl_done(&msg);
    return err;
}

uint64_t node_wake_ms(const struct node *node)
{
    uint64_t wake = node->now_ms + 3600u * 1000u;
    uint64_t others[] = {peers_wake_ms(node),   links_wake_ms(node),  fetch_wake_ms(node),
                         clients_wake_ms(node), repair_wake_ms(node), compact_wake_ms(node),
                         guard_wake_ms(node),   receipt_wake_ms(node)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        wake = others[i] < wake ? others[i] : wake;
    }
    wake = node->chores_at_ms < wake ? node->chores_at_ms : wake;
    return wake;
}

enum err node_stop(struct node *node, struct effects *effects)
{
    node->effects = effects;
    node->stopping = true;
    for (size_t i = 0; i < node->link_count; i++) {
        link_close(node, node->links[i], BYE_GOING, "stopping");
    }
    return ERR_OK;
}

bool node_accepts(const struct node *node, const char *address)
{
    unsigned half = 0;
    unsigned same = 0;
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = node->links[i];
        if (link->state == LINK_SHAKING || link->state == LINK_GREETING) {
            half++;
            size_t size = strlen(address);
            same += strncmp(link->address, address, size) == 0 && link->address[size] == ':';
        }
    }
    return half < HALF_OPEN_MAX && same < HALF_OPEN_ADDR_MAX && node->link_count < LINKS_MAX;
}
