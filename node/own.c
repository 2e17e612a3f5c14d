/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/own.c: the own catalogue: publish, withdraw, and the one head that all changes of a turn
 * share.
 *
 * A request without `more` joins this turn's draft. A batch gathers its own draft over many
 * requests, its bodies already on disk but invisible, and joins the turn's draft with its last
 * request. own_settle plans, signs and applies the draft, or leaves a large one to the job. Answers
 * go out after the commit only.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/own.h"
#include "proto/entry.h"
#include "proto/pack.h"

void answer_done(struct answer *answer)
{
    buf_done(&answer->statuses);
    buf_done(&answer->errors);
    buf_done(&answer->revs);
}

void own_done(struct own *own)
{
    draft_done(&own->draft);
    for (size_t i = 0; i < own->answer_count; i++) {
        answer_done(&own->answers[i]);
    }
    own->answer_count = 0;
    free(own->answers);
    own->answers = NULL;
    own->answer_cap = 0;
}

enum err own_load(struct node *node)
{
    struct own *own = &node->own;
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    own->name = (struct catalogue_name){
        .network = node->network, .lab = node->config.lab, .audience = "public"};
    own->held = false;
    if (err == ERR_OK) {
        err = catalogue_open(txn, &own->name, &own->catalogue);
    }
    struct held_head held;
    if (err == ERR_OK) {
        err = catalogue_head(txn, own->catalogue, &held);
    }
    if (err == ERR_OK) {
        own->held = true;
        own->head = held.head;
        own->arrival = held.arrival;
    } else if (err != ERR_NOT_FOUND) {
        return err;
    }
    err = freeze_review(node);
    if (err != ERR_OK) {
        return err;
    }
    if (node->config.recovering) {
        return ERR_OK; /* what is staged is what peers gave so far */
    }
    /* A batch that a crash cut off never happened. */
    err = staging_drop(txn, own->catalogue);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

uint64_t own_next_rev(const struct own *own)
{
    return own->held ? own->head.n + 1 : 1;
}

/* ---- requests ---- */

static enum err own_writable(struct node *node)
{
    return node->own.frozen ? ERR_FROZEN : store_room(node->config.store);
}

/* The turn's bodies are not there: no draft may name them. What earlier turns staged stays on disk,
 * and its row with it, until the next start sweeps both. */
void own_undo(struct node *node)
{
    draft_done(&node->own.draft);
    node->own.keep_staging = true;
    for (size_t i = 0; i < node->client_count; i++) {
        struct batch *batch = &node->clients[i]->batch;
        batch->lost = batch->lost || batch->open;
        draft_done(&batch->draft);
    }
}

enum err own_publish(struct node *node, struct client *client, uint32_t id,
                     const msgpack_object *params)
{
    const msgpack_object *entries = ctl_get(params, "entries");
    if (entries == NULL || entries->type != MSGPACK_OBJECT_ARRAY) {
        client_error(client, id, ERR_USAGE, "entries",
                     "entries must be an array of [slug, kind, body]");
        return ERR_OK;
    }
    enum err err = own_writable(node);
    if (err == ERR_FULL || err == ERR_FROZEN) {
        client_error(client, id, err, NULL, err == ERR_FROZEN ? freeze_text(node) : NULL);
        return batch_drop(node, &client->batch);
    }
    bool more = false;
    bool dry_run = false;
    if (err == ERR_OK && ctl_get(params, "more") != NULL) {
        err = ctl_get_bool(params, "more", &more);
    }
    if (err == ERR_OK && ctl_get(params, "dry_run") != NULL) {
        err = ctl_get_bool(params, "dry_run", &dry_run);
    }
    if (err == ERR_FIELD || err == ERR_NOT_FOUND) {
        client_error(client, id, ERR_USAGE, NULL, "more and dry_run are booleans");
        return ERR_OK;
    }
    if (err != ERR_OK) {
        return err;
    }
    if (more || client->batch.open) {
        return batch_publish(node, client, id, entries, more, dry_run);
    }
    struct answer *answer = NULL;
    err = answer_add(node, client->number, id, true, &answer);
    if (err != ERR_OK) {
        return err;
    }
    struct tally tally = tally_of(answer);
    return tally_put(node, &node->own.draft, &tally, entries, dry_run);
}

struct withdrawal {
    bool dry_run, erase;
};

/* Withdraws, and forgets what was kept of it. That may be all there is to do. */
static enum err slug_withdraw(struct node *node, struct txn *txn, const msgpack_object *item,
                              const struct withdrawal *how, struct verdict *ret_verdict)
{
    struct bytes slug = {0};
    if (item->type == MSGPACK_OBJECT_STR) {
        slug = bytes_of(item->via.str.ptr, item->via.str.size);
    }
    enum err err = draft_withdraw(node, &node->own.draft, txn, slug, how->dry_run, ret_verdict);
    if (err != ERR_OK || !how->erase || how->dry_run || !slug_valid(slug)) {
        return err;
    }
    struct slug_hash slug_hash = hash_slug(slug);
    err = former_erase(node, txn, &slug_hash);
    if (err == ERR_OK && ret_verdict->status == CTL_REFUSED) {
        *ret_verdict = (struct verdict){.status = CTL_UNCHANGED};
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static bool flag_read(const msgpack_object *params, const char *name, bool *ret_flag)
{
    *ret_flag = false;
    return ctl_get(params, name) == NULL || ctl_get_bool(params, name, ret_flag) == ERR_OK;
}

enum err own_withdraw(struct node *node, struct client *client, uint32_t id,
                      const msgpack_object *params)
{
    const msgpack_object *slugs = ctl_get(params, "slugs");
    struct withdrawal how;
    if (slugs == NULL || slugs->type != MSGPACK_OBJECT_ARRAY) {
        client_error(client, id, ERR_USAGE, "slugs", "slugs must be an array of text");
        return ERR_OK;
    }
    if (node->own.frozen) {
        client_error(client, id, ERR_FROZEN, NULL, freeze_text(node));
        return ERR_OK;
    }
    if (!flag_read(params, "dry_run", &how.dry_run) || !flag_read(params, "erase", &how.erase)) {
        client_error(client, id, ERR_USAGE, NULL, "dry_run and erase are booleans");
        return ERR_OK;
    }
    struct answer *answer = NULL;
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = answer_add(node, client->number, id, true, &answer);
    }
    if (err == ERR_OK) {
        answer->erase = how.erase && !how.dry_run;
    }
    for (uint32_t i = 0; err == ERR_OK && i < slugs->via.array.size; i++) {
        struct verdict verdict;
        err = slug_withdraw(node, txn, &slugs->via.array.ptr[i], &how, &verdict);
        if (err == ERR_OK) {
            struct tally tally = tally_of(answer);
            tally_add(&tally, &verdict);
        }
    }
    return err;
}

/* ---- the head ---- */

enum err own_sign(struct node *node, const struct plan *plan, uint64_t n,
                  const struct hash *history, struct head *ret_head, struct buf *signed_head)
{
    const struct own *own = &node->own;
    struct head head = {
        .network = own->name.network,
        .lab = own->name.lab,
        .generation = node->record_view.generation,
        .n = n,
        .count = plan->count,
        .bytes = plan->bytes,
        .root = plan->root,
        .history = *history,
        .issued_at = (uint64_t) (node->wall_s > 0 ? node->wall_s : 0),
    };
    memcpy(head.audience, own->name.audience, sizeof head.audience);
    memcpy(head.instance, store_instance(node->config.store), INSTANCE_SIZE);
    enum err err = head_sign(&head, node->config.signing_secret, signed_head);
    if (err == ERR_OK) { /* peers tell it back */
        verified_put(&node->verified, buf_bytes(signed_head), node->record_view.signing_pk);
    }
    *ret_head = head;
    return err;
}

static struct hash next_history(const struct own *own)
{
    return own->held ? history_next(&own->head.history, &own->head.hash) : (struct hash){{0}};
}

static enum err own_apply(struct node *node, struct txn *txn, struct plan *plan,
                          struct head *ret_head, uint64_t *ret_arrival)
{
    struct own *own = &node->own;
    defer(buf_done) struct buf dropped = {0};
    defer(buf_done) struct buf signed_head = {0};
    enum err err = change_settle(&own->draft.changes, &dropped);
    if (err == ERR_OK) {
        err = catalogue_plan(txn, own->catalogue, &own->draft.changes, plan);
    }
    for (size_t at = 0; err == ERR_OK && at < dropped.size; at += 8) {
        uint64_t seq = be64_get(dropped.data + at);
        err = seq == 0 ? ERR_OK : body_drop(txn, seq);
    }
    bool same = plan->created + plan->replaced + plan->withdrawn == 0;
    if (err == ERR_OK && !same) {
        err = former_keep(node, txn, &own->draft.changes);
    }
    if (err == ERR_OK) {
        err = former_forget(node, txn, &own->draft);
    }
    if (err != ERR_OK || (same && !own->reseal)) {
        return err;
    }
    struct head head;
    struct hash history = next_history(own);
    err = own_sign(node, plan, own_next_rev(own), &history, &head, &signed_head);
    if (err != ERR_OK) {
        return err;
    }
    struct apply apply = {
        .id = own->catalogue,
        .list = &own->draft.changes,
        .plan = plan,
        .head = &head,
        .signed_head = buf_bytes(&signed_head),
        .opening_from = head.n,
        .from = own->name.lab,
        .now_s = when_age_s(node),
        .went = &node->went,
    };
    err = catalogue_apply(txn, &apply, ret_arrival);
    if (err == ERR_OK) {
        *ret_head = head;
    }
    return err;
}

/* Neither changes anything in memory but the draft: the job runs it beside node_read. */
static enum err own_write(struct node *node, struct txn *txn, bool keep_staging,
                          struct head *ret_head, uint64_t *ret_arrival)
{
    struct plan *plan = malloc(sizeof *plan);
    enum err err = plan == NULL ? ERR_NOMEM : own_apply(node, txn, plan, ret_head, ret_arrival);
    free(plan);
    if (err == ERR_OK && !keep_staging) {
        err = staging_close(txn, node->own.catalogue);
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    return err;
}

/* The head just committed, or about to be in this turn, is the held one. */
static enum err own_hold(struct node *node, const struct head *head, uint64_t arrival)
{
    struct own *own = &node->own;
    uint64_t old_n = own->held ? own->head.n : 0;
    own->head = *head;
    own->held = true;
    own->reseal = false;
    own->arrival = arrival;
    return node_changed(node, own->catalogue, old_n);
}

/* Frozen in the very turn that a publication came in: it did not happen. */
static enum err own_refused(struct node *node)
{
    struct own *own = &node->own;
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    for (size_t i = 0; err == ERR_OK && i < own->draft.changes.count; i++) {
        const struct change *change = &own->draft.changes.items[i];
        err = change->size > 0 ? body_drop(txn, change->seq) : ERR_OK;
    }
    for (size_t at = 0; err == ERR_OK && at < own->draft.retired.size; at += SLUG_HASH_SIZE) {
        struct slug_hash slug_hash;
        memcpy(slug_hash.bytes, own->draft.retired.data + at, SLUG_HASH_SIZE);
        err = retired_drop(txn, own->catalogue, &slug_hash);
    }
    for (size_t i = 0; i < own->answer_count; i++) {
        own->answers[i].err = own->answers[i].own ? ERR_FROZEN : own->answers[i].err;
    }
    draft_done(&own->draft);
    return err;
}

enum err own_settle(struct node *node)
{
    struct own *own = &node->own;
    if (own->draft.changes.count == 0 && own->draft.erased.size == 0 && !own->reseal) {
        return ERR_OK;
    }
    if (own->frozen != 0) {
        own->reseal = false;
        return own_refused(node);
    }
    bool keep_staging = own->keep_staging || batch_any(node);
    if (own->draft.changes.count > JOB_CHANGES_MIN) {
        node->job = (struct job){.kind = JOB_OWN, .keep_staging = keep_staging};
        return draft_stage(node, &own->draft); /* the bodies are on disk before the job is done */
    }
    struct txn *txn = NULL;
    struct head head;
    uint64_t arrival = 0;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = own_write(node, txn, keep_staging, &head, &arrival);
    }
    own->reseal = false;
    draft_done(&own->draft);
    return err != ERR_OK || arrival == 0 ? err : own_hold(node, &head, arrival);
}

enum err own_job(struct node *node)
{
    struct job *job = &node->job;
    struct txn *txn = NULL;
    enum err err = txn_begin_write(node->config.store, &txn);
    if (err != ERR_OK) {
        return err;
    }
    err = own_write(node, txn, job->keep_staging, &job->head, &job->arrival);
    if (err == ERR_OK) {
        return txn_commit(txn);
    }
    txn_end(txn);
    return err;
}

enum err own_job_done(struct node *node, const struct job *job)
{
    draft_done(&node->own.draft);
    if (job->err == ERR_FULL) {
        own_answer(node, ERR_FULL);
        own_undo(node); /* own_load sweeps what other clients staged, too */
        return own_load(node);
    }
    if (job->err != ERR_OK || job->arrival == 0) {
        return job->err;
    }
    return own_hold(node, &job->head, job->arrival);
}

void answer_put(struct node *node, struct answer *answer)
{
    struct client *client = client_find(node, answer->client);
    struct buf *out = client == NULL ? NULL : client_out(client);
    if (out == NULL) {
        return;
    }
    ctl_put_response(out, answer->id);
    if (!answer->own) {
        pack_map(out, 0);
        return;
    }
    pack_map(out, 4);
    pack_cstr(out, "errors");
    pack_array(out, answer->error_count);
    buf_join(out, &answer->errors);
    pack_cstr(out, "n");
    pack_uint(out, node->own.held ? node->own.head.n : 0);
    pack_cstr(out, "revs");
    pack_array(out, answer->rev_count);
    buf_join(out, &answer->revs);
    pack_cstr(out, "statuses");
    pack_bin(out, buf_bytes(&answer->statuses));
}

void own_answer(struct node *node, enum err err)
{
    struct own *own = &node->own;
    for (size_t i = 0; i < own->answer_count; i++) {
        struct answer *answer = &own->answers[i];
        struct client *client = client_find(node, answer->client);
        enum err why = err != ERR_OK ? err : answer->err;
        if (why == ERR_OK && answer->erase && compact_takes(node, answer)) {
            continue;
        }
        if (why == ERR_OK) {
            answer_put(node, answer);
        } else if (client != NULL) {
            client_error(client, answer->id, why, NULL, NULL);
        }
        answer_done(answer);
    }
    own->answer_count = 0;
    if (err != ERR_OK) {
        draft_done(&own->draft);
    }
}
