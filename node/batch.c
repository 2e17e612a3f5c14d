/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/batch.c: a batch of one client, gathered over several requests. It joins the turn's draft
 * with its last one, checked again by what stands there by then.
 */
#include "base/defer.h"
#include "base/must.h"
#include "node/own.h"
#include "proto/entry.h"
#include "proto/pack.h"

enum err batch_drop(struct node *node, struct batch *batch)
{
    struct txn *txn = NULL;
    enum err err = batch->draft.changes.count > 0 ? node_txn(node, &txn) : ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < batch->draft.changes.count; i++) {
        if (batch->draft.changes.items[i].size > 0) {
            err = body_drop(txn, batch->draft.changes.items[i].seq);
        }
    }
    draft_done(&batch->draft);
    buf_done(&batch->statuses);
    buf_done(&batch->errors);
    buf_done(&batch->revs);
    buf_done(&batch->places);
    *batch = (struct batch){0};
    return err;
}

bool batch_any(const struct node *node)
{
    for (size_t i = 0; i < node->client_count; i++) {
        if (node->clients[i]->batch.open && node->clients[i]->batch.draft.changes.count > 0) {
            return true;
        }
    }
    return false;
}

/* Another head came in between: the bodies carry a rev that is no longer theirs. */
static enum err change_encode_anew(struct node *node, struct txn *txn, struct change *change)
{
    struct bytes bytes;
    enum err err = body_get(txn, node->own.catalogue, change->seq, &bytes);
    struct entry entry;
    if (err == ERR_OK) {
        err = entry_peek(bytes, &entry);
    }
    if (err != ERR_OK) {
        return err;
    }
    defer(buf_done) struct buf anew = {0};
    entry.rev = own_next_rev(&node->own);
    err = entry_encode(&entry, &anew);
    if (err == ERR_OK) {
        err = body_drop(txn, change->seq);
    }
    change->rev = entry.rev;
    change->size = (uint32_t) anew.size;
    change->leaf = entry_leaf(buf_bytes(&anew));
    return err != ERR_OK ? err
                         : body_append(txn, node->own.catalogue, buf_bytes(&anew), &change->seq);
}

/* Is the change still right, by what stands there now? */
static enum err change_check(struct node *node, struct txn *txn, const struct change *change,
                             const struct place *place, struct verdict *ret_verdict)
{
    struct bytes bytes;
    struct entry entry;
    enum err err = body_get(txn, node->own.catalogue, change->seq, &bytes);
    if (err == ERR_OK) {
        err = entry_peek(bytes, &entry);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct record record = {.slug = entry.slug,
                            .kind = entry.kind,
                            .body = entry.body,
                            .has_if_rev = place->has_if_rev,
                            .if_rev = place->if_rev};
    size_t size = entry_size_under(bytes.size, entry.rev, own_next_rev(&node->own));
    return draft_fits(node, &node->own.draft, txn, &record, size, ret_verdict);
}

/* A change of a batch that others may have overtaken: checked as if it came now. */
static enum err change_join(struct node *node, struct txn *txn, struct change *change,
                            const struct place *place, const struct tally *tally)
{
    struct draft *draft = &node->own.draft;
    struct verdict verdict;
    enum err err = change_check(node, txn, change, place, &verdict);
    if (err != ERR_OK) {
        return err;
    }
    must(place->index < tally->statuses->size);
    tally->statuses->data[place->index] = (uint8_t) verdict.status;
    if (verdict.status != CTL_CREATED && verdict.status != CTL_UPDATED) {
        tally_refused(tally, place->index, &verdict);
        tally_unchanged(tally, place->index, &verdict);
        return body_drop(txn, change->seq);
    }
    if (change->rev != own_next_rev(&node->own)) {
        err = change_encode_anew(node, txn, change);
    }
    draft->created += verdict.status == CTL_CREATED;
    draft->bytes += change->size - verdict.freed;
    return err != ERR_OK ? err : draft_add(draft, change);
}

static enum err batch_join(struct node *node, struct batch *batch, const struct tally *tally)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct draft *draft = &node->own.draft;
    struct change_list *changes = &batch->draft.changes;
    must(batch->places.size == changes->count * sizeof(struct place));
    bool alone = batch->rev == own_next_rev(&node->own) && draft->changes.count == 0;
    for (size_t i = 0; err == ERR_OK && i < changes->count; i++) {
        struct place place;
        memcpy(&place, batch->places.data + i * sizeof place, sizeof place);
        err = alone ? draft_add(draft, &changes->items[i])
                    : change_join(node, txn, &changes->items[i], &place, tally);
    }
    if (alone) {
        draft->created = batch->draft.created;
        draft->bytes = batch->draft.bytes;
    }
    draft_done(&batch->draft);
    buf_done(&batch->places);
    return err;
}

static void batch_received(struct client *client, uint32_t id)
{
    struct buf *out = client_out(client);
    if (out == NULL) {
        return;
    }
    ctl_put_response(out, id);
    pack_map(out, 1);
    pack_cstr(out, "received");
    pack_uint(out, client->batch.statuses.size);
}

enum err batch_publish(struct node *node, struct client *client, uint32_t id,
                       const msgpack_object *entries, bool more, bool dry_run)
{
    struct batch *batch = &client->batch;
    if (batch->statuses.size + entries->via.array.size > CTL_BATCH_COUNT_MAX) {
        client_error(client, id, ERR_FULL, NULL, "too many records in one batch");
        return batch_drop(node, batch);
    }
    batch->rev = batch->open ? batch->rev : own_next_rev(&node->own);
    batch->open = true;
    batch->touched_ms = node->now_ms;
    if (batch->lost) {
        client_error(client, id, ERR_FULL, NULL,
                     "this batch was cut off and is lost: send it again");
        return more ? ERR_OK : batch_drop(node, batch);
    }
    struct tally tally = {.statuses = &batch->statuses,
                          .errors = &batch->errors,
                          .revs = &batch->revs,
                          .error_count = &batch->error_count,
                          .rev_count = &batch->rev_count,
                          .places = &batch->places};
    enum err err = tally_put(node, &batch->draft, &tally, entries, dry_run);
    if (err == ERR_OK && batch->draft.changes.count > 0) {
        err = draft_stage(node, &batch->draft);
    }
    if (err == ERR_FULL) {
        client_error(client, id, err, NULL, NULL); /* no answer waits for the turn to be undone */
    }
    if (err != ERR_OK) {
        return err;
    }
    if (more) {
        batch_received(client, id);
        return ERR_OK;
    }
    struct answer *answer = NULL;
    err = answer_add(node, client->number, id, true, &answer);
    if (err == ERR_OK) {
        answer->statuses = batch->statuses;
        answer->errors = batch->errors;
        answer->revs = batch->revs;
        answer->error_count = batch->error_count;
        answer->rev_count = batch->rev_count;
        batch->statuses = batch->errors = batch->revs = (struct buf){0};
        tally = tally_of(answer);
        err = batch_join(node, batch, &tally);
    }
    *batch = (struct batch){0};
    return err;
}
