/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/apply.c: a delta that came whole: checked against its head, and applied: all of it or
 * nothing.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"

/* ---- the chain ---- */

struct chain {
    struct txn *txn;
    uint32_t catalogue;
};

static enum err chain_history(void *user, uint64_t n, struct hash *ret_history)
{
    const struct chain *chain = user;
    enum err err = history_at(chain->txn, chain->catalogue, n, ret_history);
    return err == ERR_NOT_FOUND ? ERR_UNLINKED : err;
}

/* It must go through the heads that its lab's record names, doc/protocol.md §4.7. */
static enum err chain_good(struct txn *txn, const struct fetch *fetch)
{
    const struct head *head = &fetch->head;
    struct held_lab held;
    enum err err = lab_get(txn, &head->lab, &held);
    if (err != ERR_OK || held.record.generation != head->generation) {
        return err; /* an older one: the record names this very head */
    }
    for (unsigned i = 0; i < held.record.last_good_count; i++) {
        const struct last_good *good = &held.record.last_good[i];
        if (memcmp(good->network.bytes, head->network.bytes, HASH_SIZE) != 0 ||
            !bytes_equal(good->audience, bytes_of_str(head->audience))) {
            continue;
        }
        enum where where = WHERE_OTHER;
        if (good->n < fetch->opening.from) {
            err = history_where(txn, fetch->catalogue, good->n, &good->head_hash, &where);
        } else {
            const uint8_t *hash = opening_hash(&fetch->opening, good->n);
            bool there = hash != NULL && memcmp(hash, good->head_hash.bytes, HASH_SIZE) == 0;
            where = there ? WHERE_TRUNK : WHERE_OTHER;
        }
        if (err != ERR_OK || where != WHERE_TRUNK) {
            return err != ERR_OK ? err : ERR_UNLINKED;
        }
    }
    return ERR_OK;
}

/* The items make the head's history, doc/protocol.md §4.5. */
static enum err chain_fold(struct txn *txn, const struct fetch *fetch)
{
    struct chain chain = {.txn = txn, .catalogue = fetch->catalogue};
    struct hash first = fetch->m == 0 ? (struct hash){{0}} : fetch->base_history;
    const struct head *head = &fetch->head;
    if (fetch->m > 0) {
        const uint8_t *hash = opening_hash(&fetch->opening, fetch->m);
        if (hash == NULL || memcmp(hash, fetch->base_hash.bytes, HASH_SIZE) != 0) {
            return ERR_UNLINKED;
        }
    }
    return opening_check(&fetch->opening, &first, fetch->m == 0 ? NULL : chain_history, &chain,
                         head->n, &head->history);
}

/* Does it reach the held head, or replace it by a newer generation? */
static bool chain_reaches(const struct fetch *fetch)
{
    return fetch->m > 0 || fetch->base_n == 0 || fetch->head.generation > fetch->base_generation ||
           opening_holds(&fetch->opening, fetch->base_n, &fetch->base_hash);
}

static enum err chain_check(struct node *node, struct fetch *fetch)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = chain_fold(txn, fetch);
    }
    if (err == ERR_OK) {
        err = chain_good(txn, fetch);
    }
    if (err != ERR_OK || fetch->ask == ASK_OPENING || fetch->ask == ASK_BRANCH) {
        return err;
    }
    if (!chain_reaches(fetch)) {
        return ERR_UNLINKED;
    }
    unsigned sides = 0;
    if (fetch->m > 0 && fetch->opening.side_count > 0) {
        err = history_sides(txn, fetch->catalogue, &sides);
    }
    if (err != ERR_OK || sides + fetch->opening.side_count > OPENING_SIDES_MAX) {
        return err != ERR_OK ? err : ERR_SIZE; /* nobody could be shown the whole chain */
    }
    bool known = false;
    err = fork_judge(node, fetch, &known, &fetch->joined);
    return err == ERR_OK && known && !fetch->joined && fetch->base_n > 0 ? ERR_FROZEN : err;
}

/* ---- the end ---- */

/* Is it newer than what is held, and at least what was offered? */
static bool head_newer(const struct fetch *fetch)
{
    const struct head *head = &fetch->head;
    struct head base = {.generation = fetch->base_generation, .n = fetch->base_n};
    struct head target = {.generation = fetch->target_generation, .n = fetch->target_n};
    bool branch = fetch->ask == ASK_BRANCH || (fetch->own && fetch->ask == ASK_OPENING);
    return head_compare(head, &target) >= 0 && (branch || head_compare(head, &base) > 0);
}

/* fetch->head is its lab's. */
static enum err end_check(struct node *node, struct fetch *fetch, struct bytes signed_head)
{
    struct catalogue_name name = {0};
    head_name(&fetch->head, &name);
    if (memcmp(name.network.bytes, fetch->name.network.bytes, HASH_SIZE) != 0 ||
        memcmp(name.lab.bytes, fetch->name.lab.bytes, KEY_SIZE) != 0 ||
        strcmp(name.audience, fetch->name.audience) != 0) {
        return ERR_INVALID;
    }
    if (!head_newer(fetch) || fetch->last_rev > fetch->head.n) {
        return ERR_STALE;
    }
    if (fetch->head.count > node->config.quota_entries ||
        fetch->head.bytes > node->config.quota_bytes) {
        return ERR_QUOTA;
    }
    buf_clear(&fetch->signed_head);
    buf_put(&fetch->signed_head, signed_head);
    return fetch->signed_head.err != ERR_OK ? fetch->signed_head.err : chain_check(node, fetch);
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

/* The changes as the plan wants them. The hints are looked up once: what is mended later is not
 * theirs to take away. */
static enum err fetch_settle(struct fetch *fetch, struct txn *txn, struct buf *dropped)
{
    enum err err = change_settle(&fetch->changes, dropped);
    if (err == ERR_OK) {
        err = change_hinted(txn, fetch->catalogue, &fetch->hints, &fetch->changes, dropped);
    }
    fetch->hinted = fetch->hinted || fetch->hints.size > 0;
    buf_clear(&fetch->hints);
    return err == ERR_OK && fetch->ask == ASK_ANEW ? fetch_rest(fetch, txn) : err;
}

static enum err fetch_apply(struct node *node, struct fetch *fetch, struct txn *txn,
                            const struct plan *plan, struct lab_id from, uint64_t *ret_arrival)
{
    struct held_fork fork;
    struct apply apply = {
        .id = fetch->catalogue,
        .list = &fetch->changes,
        .hinted = fetch->hinted,
        .plan = plan,
        .head = &fetch->head,
        .signed_head = buf_bytes(&fetch->signed_head),
        .opening = buf_bytes(&fetch->opening.hashes),
        .opening_from = fetch->opening.from,
        .chain = fetch->opening.side_count > 0 ? &fetch->opening : NULL,
        .replace = fetch->ask == ASK_ANEW,
        .from = from,
        .now_s = when_age_s(node),
        .went = &node->went,
    };
    enum err err = fetch->own ? former_keep(node, txn, &fetch->changes) : ERR_OK;
    if (err == ERR_OK) {
        err = catalogue_apply(txn, &apply, ret_arrival);
    }
    if (err == ERR_OK) {
        err = fork_get(txn, fetch->catalogue, &fork);
    }
    if (err == ERR_OK && (fetch->joined || fork.generation < fetch->head.generation)) {
        err = fork_drop(txn, fetch->catalogue);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Where each change's bytes lie in `pending`: they are in the order of arrival there. */
static enum err pending_offsets(const struct fetch *fetch, size_t **ret_offsets)
{
    size_t count = fetch->changes.count;
    size_t *offsets = calloc(count + 1, sizeof *offsets);
    for (size_t i = 0; offsets != NULL && i < count; i++) {
        offsets[i + 1] = offsets[i] + fetch->changes.items[i].size;
    }
    *ret_offsets = offsets;
    return offsets == NULL ? ERR_NOMEM : ERR_OK;
}

/* Settled changes get their bodies. */
static enum err bodies_put(struct fetch *fetch, struct txn *txn, const size_t *offsets)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < fetch->changes.count; i++) {
        struct change *change = &fetch->changes.items[i];
        if (change->size > 0) {
            struct bytes body =
                bytes_of(fetch->pending.data + offsets[change->order], change->size);
            err = body_append(txn, fetch->catalogue, body, &change->seq);
        }
    }
    return err;
}

/* It will take more than this turn: what came goes to disk, and the job applies it. */
static enum err small_stage(struct fetch *fetch, struct txn *txn, const size_t *offsets)
{
    enum err err = bodies_put(fetch, txn, offsets);
    struct staging staging = {.m = fetch->m};
    for (size_t i = 0; i < fetch->changes.count; i++) {
        uint64_t seq = fetch->changes.items[i].size > 0 ? fetch->changes.items[i].seq : 0;
        staging.first_seq = seq != 0 && (staging.first_seq == 0 || seq < staging.first_seq)
                                ? seq
                                : staging.first_seq;
    }
    fetch->staged = fetch->changes.count;
    buf_clear(&fetch->pending);
    if (err == ERR_OK && staging.first_seq != 0) {
        fetch->has_staging = true;
        err = staging_put(txn, fetch->catalogue, &staging);
    }
    return err;
}

static enum err small_plan(struct node *node, struct fetch *fetch, struct txn *txn,
                           struct plan *plan, const size_t *offsets)
{
    enum err err = fetch_settle(fetch, txn, NULL);
    if (err == ERR_OK) {
        err = catalogue_plan(txn, fetch->catalogue, &fetch->changes, plan);
    }
    if (err != ERR_OK || plan_fits(plan, &fetch->head)) {
        return err;
    }
    if (!mend_begin(node, fetch, plan)) {
        return ERR_ROOT;
    }
    err = small_stage(fetch, txn, offsets);
    return err == ERR_OK ? ERR_MORE : err;
}

/* A delta that stayed in memory: planned, checked, and only then written, all in this turn.
 * ERR_MORE: it is being mended. */
static enum err fetch_finish_small(struct node *node, struct fetch *fetch)
{
    struct txn *txn = NULL;
    size_t *offsets = NULL;
    struct plan *plan = malloc(sizeof *plan);
    enum err err = plan == NULL ? ERR_NOMEM : node_txn(node, &txn);
    if (err == ERR_OK) {
        err = pending_offsets(fetch, &offsets);
    }
    if (err == ERR_OK) {
        err = small_plan(node, fetch, txn, plan, offsets);
    }
    if (err == ERR_OK) {
        err = bodies_put(fetch, txn, offsets);
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
    uint64_t old_n = fetch->ask == ASK_ANEW && head.n <= fetch->base_n ? 0 : fetch->base_n;
    if (fetch->link != NULL) {
        fetch->link->stall_delay_ms = fetch->link->own_delay_ms = 0;
    }
    if (fetch->own) {
        fetch_over(node, fetch);
        return own_pulled(node, old_n);
    }
    enum err err = node_changed(node, catalogue, old_n);
    fetch_done(fetch);
    return err != ERR_OK ? err : offers_close(node, catalogue, &head);
}

/* The chain alone was asked for, and it is what it says. */
static enum err chain_judge(struct node *node, struct fetch *fetch)
{
    if (fetch->own) {
        return own_probed(node, fetch);
    }
    bool known = false;
    bool joined = false;
    enum err err = fork_judge(node, fetch, &known, &joined);
    if (err != ERR_OK) {
        return err;
    }
    if (!chain_reaches(fetch)) {
        if (known) {
            return fork_refuse(node, fetch);
        }
        err = fork_chain(node, fetch);
        if (err == ERR_OK) {
            node_refuse(node, ERR_FORK);
            fetch_over(node, fetch);
        }
        return err;
    }
    if (known && !joined && fetch->base_n > 0) {
        return fork_refuse(node, fetch);
    }
    const uint8_t *hash = opening_hash(&fetch->opening, fetch->base_n);
    bool trunk = fetch->base_n == 0 ||
                 (hash != NULL && memcmp(hash, fetch->base_hash.bytes, HASH_SIZE) == 0);
    return fetch_again(node, fetch, known && trunk ? ASK_DELTA : ASK_ANEW);
}

static enum err fetch_nothing(struct node *node, struct fetch *fetch)
{
    if (fetch->mend != NULL && fetch->ask != ASK_ANEW) {
        return fetch_again(node, fetch, ASK_ANEW); /* it moved on, or its bucket is too large */
    }
    if (fetch->own) {
        fetch_own_later(node, fetch->link);
        fetch_over(node, fetch); /* it holds nothing of ours, or nothing newer, or cannot read it */
    } else {
        fetch_abandon(node, fetch);
    }
    return ERR_OK;
}

enum err fetch_end(struct node *node, struct link *link, const struct msg *msg)
{
    struct fetch *fetch = fetch_on(node, link, msg->delta_end.stream);
    if (fetch == NULL) {
        return ERR_OK;
    }
    if (msg->delta_end.head.size == 0) {
        return fetch_nothing(node, fetch);
    }
    if (fetch->mend != NULL) {
        return fetch_convict(node, fetch, ERR_MALFORMED); /* it ended, and was checked */
    }
    enum err err = head_check(node, msg->delta_end.head, &fetch->head);
    if (err == ERR_STALE || err == ERR_NOT_FOUND) {
        node_refuse(node, err); /* its lab has new keys, of which one of us knows no more yet */
        return fetch_nothing(node, fetch);
    }
    if (err == ERR_OK) {
        err = end_check(node, fetch, msg->delta_end.head);
    }
    if (err_ours(err)) {
        return err;
    }
    if (err == ERR_FROZEN) {
        return fork_refuse(node, fetch);
    }
    if (err != ERR_OK) {
        return fetch_wrong(node, fetch, err);
    }
    fetch->progress_ms = link->delta_ms = node->now_ms;
    if (fetch->ask == ASK_OPENING) {
        return chain_judge(node, fetch);
    }
    if (fetch_no_room(node, fetch)) {
        return ERR_OK;
    }
    size_t work = fetch->changes.count + fetch->hints.size / HINT_SIZE;
    if (fetch->ask == ASK_BRANCH || fetch->has_staging || work > JOB_CHANGES_MIN) {
        fetch->complete = true;
        return fetch_stage(node, fetch);
    }
    err = fetch_finish_small(node, fetch);
    if (err == ERR_MORE) {
        return ERR_OK;
    }
    if (err == ERR_ROOT) {
        return fetch_wrong(node, fetch, err);
    }
    return err != ERR_OK ? err : fetch_applied(node, fetch);
}

/* ---- the job: off the loop, its own transaction ---- */

static enum err job_apply(struct node *node, struct fetch *fetch, struct txn *txn,
                          struct plan *plan, uint64_t *ret_arrival)
{
    enum err err = fetch_settle(fetch, txn, &fetch->dropped);
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
    for (size_t at = 0; err == ERR_OK && at < fetch->dropped.size; at += 8) {
        uint64_t seq = be64_get(fetch->dropped.data + at);
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
        err = fetch->ask == ASK_BRANCH ? merge_job(node, fetch, txn, ret_arrival)
                                       : job_apply(node, fetch, txn, plan, ret_arrival);
        if (err == ERR_OK) {
            err = txn_commit(txn);
        } else {
            txn_end(txn);
        }
    }
    if (err == ERR_ROOT && fetch->ask != ASK_BRANCH) {
        node->job.plan = plan; /* what it would have been: to be mended */
        return err;
    }
    free(plan);
    return err;
}

enum err fetch_job_done(struct node *node, struct fetch *fetch, struct plan *plan, enum err err)
{
    bool mending = plan != NULL && mend_begin(node, fetch, plan);
    free(plan);
    if (mending) {
        return ERR_OK;
    }
    if (err == ERR_ROOT) {
        return fetch_wrong(node, fetch, err);
    }
    if (err == ERR_FULL) {
        node_log(node, 3, "disk-full: a catalogue could not be applied");
        fetch_abandon(node, fetch);
        return ERR_OK;
    }
    if (fetch->ask == ASK_BRANCH) {
        return merge_over(node, fetch, err);
    }
    return err != ERR_OK ? err : fetch_applied(node, fetch);
}
