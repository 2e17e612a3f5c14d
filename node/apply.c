/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/apply.c: a delta that came whole: checked against its head, and applied: all of it or nothing.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/state.h"

/* ---- the end ---- */

/* The chain from the held head to the new one, doc/protocol.md §4.5. */
static enum err opening_check(const struct fetch *fetch)
{
    const struct head *head = &fetch->head;
    uint64_t from = fetch->m == 0 ? 1 : fetch->m;
    uint64_t count = fetch->opening.size / HASH_SIZE;
    if (head->n < from || head->n - from != count || (fetch->anew && head->n <= fetch->base_n)) {
        return ERR_UNLINKED;
    }
    struct hash history = fetch->m == 0 ? (struct hash){{0}} : fetch->base_history;
    for (uint64_t i = 0; i < count; i++) {
        struct hash item;
        memcpy(item.bytes, fetch->opening.data + i * HASH_SIZE, HASH_SIZE);
        if (from + i == fetch->base_n &&
            memcmp(item.bytes, fetch->base_hash.bytes, HASH_SIZE) != 0) {
            return ERR_UNLINKED;
        }
        history = history_next(&history, &item);
    }
    return memcmp(history.bytes, head->history.bytes, HASH_SIZE) == 0 ? ERR_OK : ERR_UNLINKED;
}

static enum err end_check(struct node *node, struct fetch *fetch, struct bytes signed_head)
{
    enum err err = head_check(node, signed_head, &fetch->head);
    if (err != ERR_OK) {
        return err;
    }
    struct catalogue_name name = {0};
    head_name(&fetch->head, &name);
    if (memcmp(name.network.bytes, fetch->name.network.bytes, HASH_SIZE) != 0 ||
        memcmp(name.lab.bytes, fetch->name.lab.bytes, KEY_SIZE) != 0 ||
        strcmp(name.audience, fetch->name.audience) != 0) {
        return ERR_INVALID;
    }
    if (fetch->head.n < fetch->target_n || fetch->last_rev > fetch->head.n) {
        return ERR_STALE;
    }
    if (fetch->head.count > node->config.quota_entries ||
        fetch->head.bytes > node->config.quota_bytes) {
        return ERR_QUOTA;
    }
    buf_clear(&fetch->signed_head);
    buf_put(&fetch->signed_head, signed_head);
    return fetch->signed_head.err != ERR_OK ? fetch->signed_head.err : opening_check(fetch);
}

static bool plan_fits(const struct plan *plan, const struct head *head)
{
    return plan->count == head->count && plan->bytes == head->bytes &&
           memcmp(plan->root.bytes, head->root.bytes, HASH_SIZE) == 0;
}

static int slug_order(const void *key, const void *item)
{
    const struct slug_hash *slug_hash = key;
    const struct change *change = item;
    return memcmp(slug_hash->bytes, change->slug_hash.bytes, SLUG_HASH_SIZE);
}

/* Asked anew: what is held and did not come is withdrawn. */
static enum err fetch_rest(struct fetch *fetch, struct txn *txn)
{
    struct entry_cursor *cursor = NULL;
    size_t count = fetch->changes.count;
    enum err err = entry_cursor_open(txn, fetch->catalogue, 0, NULL, &cursor);
    while (err == ERR_OK) {
        struct bytes entry;
        uint64_t rev = 0;
        struct change gone = {.order = UINT32_MAX};
        err = entry_cursor_next(cursor, &entry, &rev, &gone.slug_hash);
        if (err != ERR_OK && err != ERR_CORRUPT) {
            break;
        }
        bool came = count > 0 && bsearch(&gone.slug_hash, fetch->changes.items, count,
                                         sizeof(struct change), slug_order) != NULL;
        err = came ? ERR_OK : change_add(&fetch->changes, &gone);
    }
    entry_cursor_close(cursor);
    return err == ERR_NOT_FOUND ? change_settle(&fetch->changes, NULL) : err;
}

/* The changes as the plan wants them. */
static enum err fetch_settle(struct fetch *fetch, struct txn *txn, struct buf *dropped)
{
    enum err err = change_settle(&fetch->changes, dropped);
    return err == ERR_OK && fetch->anew ? fetch_rest(fetch, txn) : err;
}

static enum err fetch_apply(struct node *node, struct fetch *fetch, struct txn *txn,
                            const struct plan *plan, struct lab_id from, uint64_t *ret_arrival)
{
    uint64_t first = fetch->base_n == 0 ? 1 : fetch->base_n;
    size_t known = fetch->anew ? (size_t) (first - 1) * HASH_SIZE : 0;
    struct bytes opening = buf_bytes(&fetch->opening);
    if (known > 0) {
        opening = bytes_of(opening.data + known, opening.size - known);
    }
    struct apply apply = {
        .id = fetch->catalogue,
        .list = &fetch->changes,
        .plan = plan,
        .head = &fetch->head,
        .signed_head = buf_bytes(&fetch->signed_head),
        .opening = opening,
        .opening_from = first,
        .from = from,
        .now_s = (uint64_t) node->wall_s,
    };
    return catalogue_apply(txn, &apply, ret_arrival);
}

/* A delta that stayed in memory: planned, checked, and only then written, all in this turn. */
static enum err fetch_finish_small(struct node *node, struct fetch *fetch)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    size_t count = fetch->changes.count;
    size_t *offsets = calloc(count + 1, sizeof *offsets);
    struct plan *plan = malloc(sizeof *plan);
    if (offsets == NULL || plan == NULL) {
        err = ERR_NOMEM;
    }
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        offsets[i + 1] = offsets[i] + fetch->changes.items[i].size;
    }
    if (err == ERR_OK) {
        err = fetch_settle(fetch, txn, NULL);
    }
    if (err == ERR_OK) {
        err = catalogue_plan(txn, fetch->catalogue, &fetch->changes, plan);
    }
    if (err == ERR_OK && !plan_fits(plan, &fetch->head)) {
        err = ERR_ROOT;
    }
    for (size_t i = 0; err == ERR_OK && i < fetch->changes.count; i++) {
        struct change *change = &fetch->changes.items[i];
        if (change->size > 0) {
            struct bytes body =
                bytes_of(fetch->pending.data + offsets[change->order], change->size);
            err = body_append(txn, fetch->catalogue, body, &change->seq);
        }
    }
    uint64_t arrival = 0;
    if (err == ERR_OK) {
        err = fetch_apply(node, fetch, txn, plan, fetch->link->lab, &arrival);
    }
    free(offsets);
    free(plan);
    return err;
}

static enum err fetch_applied(struct node *node, struct fetch *fetch)
{
    uint32_t catalogue = fetch->catalogue;
    struct head head = fetch->head;
    enum err err = node_changed(node, catalogue, fetch->base_n);
    if (fetch->link != NULL) {
        fetch->link->stall_delay_ms = 0;
    }
    fetch_done(fetch);
    return err != ERR_OK ? err : offers_close(node, catalogue, &head);
}

enum err fetch_end(struct node *node, struct link *link, const struct msg *msg)
{
    struct fetch *fetch = fetch_on(node, link, msg->delta_end.stream);
    if (fetch == NULL) {
        return ERR_OK;
    }
    if (msg->delta_end.head.size == 0) {
        fetch_abandon(node, fetch);
        return ERR_OK;
    }
    enum err err = end_check(node, fetch, msg->delta_end.head);
    if (err_ours(err)) {
        return err;
    }
    if (err != ERR_OK) {
        return fetch_wrong(node, fetch, err);
    }
    fetch->progress_ms = link->delta_ms = node->now_ms;
    if (fetch_no_room(node, fetch)) {
        return ERR_OK;
    }
    if (fetch->has_staging || fetch->changes.count > JOB_CHANGES_MIN) {
        fetch->complete = true;
        return fetch_stage(node, fetch);
    }
    err = fetch_finish_small(node, fetch);
    if (err == ERR_ROOT) {
        return fetch_wrong(node, fetch, err);
    }
    return err != ERR_OK ? err : fetch_applied(node, fetch);
}

/* ---- the job: off the loop, its own transaction ---- */

static enum err job_apply(struct node *node, struct fetch *fetch, struct txn *txn,
                          struct plan *plan, uint64_t *ret_arrival)
{
    defer(buf_done) struct buf dropped = {0};
    enum err err = fetch_settle(fetch, txn, &dropped);
    if (err == ERR_OK) {
        err = catalogue_plan(txn, fetch->catalogue, &fetch->changes, plan);
    }
    if (err == ERR_OK && !plan_fits(plan, &fetch->head)) {
        err = ERR_ROOT;
    }
    if (err == ERR_OK) {
        struct lab_id from = fetch->link != NULL ? fetch->link->lab : (struct lab_id){{0}};
        err = fetch_apply(node, fetch, txn, plan, from, ret_arrival);
    }
    for (size_t at = 0; err == ERR_OK && at < dropped.size; at += 8) {
        uint64_t seq = be64_get(dropped.data + at);
        err = seq == 0 ? ERR_OK : body_drop(txn, seq);
    }
    /* A delta of hints alone staged nothing. */
    return err != ERR_OK || !fetch->has_staging ? err : staging_close(txn, fetch->catalogue);
}

enum err fetch_job(struct node *node, struct fetch *fetch, uint64_t *ret_arrival)
{
    struct plan *plan = malloc(sizeof *plan);
    if (plan == NULL) {
        return ERR_NOMEM;
    }
    struct txn *txn = NULL;
    enum err err = txn_begin_write(node->config.store, &txn);
    if (err == ERR_OK) {
        err = job_apply(node, fetch, txn, plan, ret_arrival);
        if (err == ERR_OK) {
            err = txn_commit(txn);
        } else {
            txn_end(txn);
        }
    }
    free(plan);
    return err;
}

enum err fetch_job_done(struct node *node, struct fetch *fetch, enum err err)
{
    if (err == ERR_ROOT) {
        return fetch_wrong(node, fetch, err);
    }
    if (err == ERR_FULL) {
        node_log(node, 3, "disk-full: a catalogue could not be applied");
        fetch_abandon(node, fetch);
        return ERR_OK;
    }
    return err != ERR_OK ? err : fetch_applied(node, fetch);
}
