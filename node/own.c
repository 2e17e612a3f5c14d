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
#include "node/state.h"
#include "proto/entry.h"
#include "proto/model.h"
#include "proto/pack.h"

#define ERRORS_MAX 1000
#define REVS_MAX 10000

/* ---- the draft ---- */

static void draft_done(struct draft *draft)
{
    change_done(&draft->changes);
    buf_done(&draft->erased);
    free(draft->index);
    *draft = (struct draft){0};
}

static size_t draft_slot(const struct draft *draft, const struct slug_hash *slug_hash)
{
    size_t at = (size_t) be64_get(slug_hash->bytes) & (draft->index_cap - 1);
    while (draft->index[at] != 0 &&
           memcmp(draft->changes.items[draft->index[at] - 1].slug_hash.bytes, slug_hash->bytes,
                  SLUG_HASH_SIZE) != 0) {
        at = (at + 1) & (draft->index_cap - 1);
    }
    return at;
}

/* The last change of that slug, or NULL. */
static const struct change *draft_find(const struct draft *draft, const struct slug_hash *slug_hash)
{
    if (draft->index_cap == 0) {
        return NULL;
    }
    uint32_t position = draft->index[draft_slot(draft, slug_hash)];
    return position == 0 ? NULL : &draft->changes.items[position - 1];
}

static enum err draft_grow(struct draft *draft)
{
    size_t cap = draft->index_cap == 0 ? 64 : draft->index_cap * 2;
    uint32_t *index = calloc(cap, sizeof *index);
    if (index == NULL) {
        return ERR_NOMEM;
    }
    free(draft->index);
    draft->index = index;
    draft->index_cap = cap;
    for (size_t i = 0; i < draft->changes.count; i++) {
        draft->index[draft_slot(draft, &draft->changes.items[i].slug_hash)] = (uint32_t) i + 1;
    }
    return ERR_OK;
}

static enum err draft_add(struct draft *draft, const struct change *change)
{
    struct change copy = *change;
    copy.order = (uint32_t) draft->changes.count;
    enum err err = (draft->changes.count + 1) * 2 > draft->index_cap ? draft_grow(draft) : ERR_OK;
    if (err == ERR_OK) {
        err = change_add(&draft->changes, &copy);
    }
    if (err == ERR_OK) {
        draft->index[draft_slot(draft, &copy.slug_hash)] = (uint32_t) draft->changes.count;
    }
    return err;
}

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

static uint64_t next_rev(const struct own *own)
{
    return own->held ? own->head.n + 1 : 1;
}

/* ---- one record ---- */

struct record {
    struct bytes slug, kind, body;
    bool has_if_rev;
    uint64_t if_rev;
};

struct verdict {
    enum ctl_status status;
    uint64_t rev; /* UNCHANGED: of what stands */
    enum err err;
    char field[MODEL_PATH_MAX];
    const char *message; /* NULL: the error's own text */
};

static struct verdict refused(enum err err, const char *field, const char *message)
{
    struct verdict verdict = {.status = CTL_REFUSED, .err = err, .message = message};
    bytes_copy(verdict.field, bytes_of(field, strnlen(field, sizeof verdict.field - 1)));
    return verdict;
}

/* What stands under that slug now, the draft included. ERR_NOT_FOUND when nothing does. */
static enum err record_current(struct node *node, const struct draft *draft,
                               const struct slug_hash *slug_hash, struct txn *txn,
                               struct entry *ret_entry)
{
    struct bytes bytes;
    enum err err;
    const struct change *change = draft_find(draft, slug_hash);
    if (change == NULL) {
        err = catalogue_entry(txn, node->own.catalogue, slug_hash, &bytes);
    } else if (change->size == 0) {
        err = ERR_NOT_FOUND;
    } else {
        err = body_get(txn, node->own.catalogue, change->seq, &bytes);
    }
    return err != ERR_OK ? err : entry_peek(bytes, ret_entry);
}

static enum err record_kind_check(struct node *node, struct txn *txn, const struct record *record,
                                  const struct slug_hash *slug_hash, bool standing,
                                  const struct entry *current, bool *ret_fits)
{
    struct bytes kind;
    enum err err = ERR_OK;
    if (standing) {
        kind = current->kind;
    } else {
        err = retired_get(txn, node->own.catalogue, slug_hash, &kind);
    }
    *ret_fits = err == ERR_NOT_FOUND || (err == ERR_OK && bytes_equal(kind, record->kind));
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static struct verdict record_check(const struct record *record)
{
    if (!slug_valid(record->slug)) {
        return refused(
            ERR_SLUG, "slug",
            "a slug is 1 to 64 of a-z, 0-9 and hyphens, and starts with a letter or digit");
    }
    if (!kind_valid(record->kind) || !model_kind_known(record->kind)) {
        return refused(ERR_INVALID, "kind", "unknown kind");
    }
    /* entry_encode scans the body before the model walks it. */
    return (struct verdict){.status = CTL_CREATED};
}

/* May it stand where it wants to, by what stands there now? `size`: of its entry. */
static enum err record_fits(struct node *node, const struct draft *draft, struct txn *txn,
                            const struct record *record, size_t size, struct verdict *ret_verdict)
{
    const struct own *own = &node->own;
    struct slug_hash slug_hash = hash_slug(record->slug);
    struct entry current = {0};
    enum err err = record_current(node, draft, &slug_hash, txn, &current);
    bool standing = err == ERR_OK;
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    bool fits = false;
    err = record_kind_check(node, txn, record, &slug_hash, standing, &current, &fits);
    if (err != ERR_OK) {
        return err;
    }
    uint64_t count = (own->held ? own->head.count : 0) + draft->created;
    uint64_t bytes = (own->held ? own->head.bytes : 0) + draft->bytes + size;
    if (!fits) {
        *ret_verdict = refused(ERR_KIND, "kind", NULL);
    } else if (record->has_if_rev && record->if_rev != (standing ? current.rev : 0)) {
        *ret_verdict = refused(ERR_CONFLICT, "rev", NULL);
    } else if (standing && bytes_equal(current.body, record->body)) {
        *ret_verdict = (struct verdict){.status = CTL_UNCHANGED, .rev = current.rev};
    } else if ((!standing && count >= node->config.quota_entries) ||
               bytes > node->config.quota_bytes) {
        *ret_verdict = refused(ERR_QUOTA, "", NULL);
    } else {
        *ret_verdict = (struct verdict){.status = standing ? CTL_UPDATED : CTL_CREATED};
    }
    return ERR_OK;
}

/* Encodes, checks against the model, and adds to the draft. Our own errors return; the author's go
 * to the verdict. */
static enum err record_put(struct node *node, struct draft *draft, struct txn *txn,
                           const struct record *record, bool dry_run, struct verdict *ret_verdict)
{
    *ret_verdict = record_check(record);
    if (ret_verdict->status == CTL_REFUSED) {
        return ERR_OK;
    }
    struct own *own = &node->own;
    struct entry entry = {
        .slug = record->slug, .kind = record->kind, .body = record->body, .rev = next_rev(own)};
    defer(buf_done) struct buf bytes = {0};
    enum err err = entry_encode(&entry, &bytes);
    if (err != ERR_OK) {
        *ret_verdict = refused(err, "body", NULL);
        return err == ERR_NOMEM ? err : ERR_OK;
    }
    struct model_report report;
    if (model_check(record->kind, record->body, &report) != ERR_OK) {
        const struct model_issue *issue = &report.issues[0];
        for (unsigned i = 0; i < report.count && issue->warning; i++) {
            issue = &report.issues[i];
        }
        *ret_verdict = refused(ERR_FIELD, issue->field, issue->text);
        return ERR_OK;
    }
    struct slug_hash slug_hash = hash_slug(record->slug);
    err = record_fits(node, draft, txn, record, bytes.size, ret_verdict);
    if (err != ERR_OK || dry_run ||
        (ret_verdict->status != CTL_CREATED && ret_verdict->status != CTL_UPDATED)) {
        return err;
    }
    struct change change = {
        .slug_hash = slug_hash,
        .leaf = entry_leaf(buf_bytes(&bytes)),
        .rev = entry.rev,
        .size = (uint32_t) bytes.size,
    };
    draft->created += ret_verdict->status == CTL_CREATED;
    draft->bytes += bytes.size;
    err = body_append(txn, own->catalogue, buf_bytes(&bytes), &change.seq);
    return err != ERR_OK ? err : draft_add(draft, &change);
}

static enum err record_withdraw(struct node *node, struct draft *draft, struct txn *txn,
                                struct bytes slug, bool dry_run, struct verdict *ret_verdict)
{
    *ret_verdict = (struct verdict){.status = CTL_CREATED};
    if (!slug_valid(slug)) {
        *ret_verdict = refused(ERR_SLUG, "slug", NULL);
        return ERR_OK;
    }
    struct slug_hash slug_hash = hash_slug(slug);
    struct entry current;
    enum err err = record_current(node, draft, &slug_hash, txn, &current);
    if (err == ERR_NOT_FOUND) {
        *ret_verdict = refused(ERR_NOT_FOUND, "slug", NULL);
        return ERR_OK;
    }
    if (err != ERR_OK || dry_run) {
        return err;
    }
    char kind[KIND_SIZE_MAX];
    size_t kind_size = current.kind.size;
    bytes_copy(kind, current.kind); /* the view dies with the next write */
    err = retired_put(txn, node->own.catalogue, &slug_hash, bytes_of(kind, kind_size));
    draft->created -= draft->created > 0;
    return err != ERR_OK ? err : draft_add(draft, &(struct change){.slug_hash = slug_hash});
}

/* ---- requests ---- */

struct tally {
    struct buf *statuses, *errors, *revs;
    size_t *error_count, *rev_count;
    struct buf *places; /* of a batch: a struct place for each of its changes; else NULL */
};

static struct tally tally_of(struct answer *answer)
{
    return (struct tally){.statuses = &answer->statuses,
                          .errors = &answer->errors,
                          .revs = &answer->revs,
                          .error_count = &answer->error_count,
                          .rev_count = &answer->rev_count};
}

/* What a batch must know of a change when it is checked again. */
struct place {
    size_t index; /* of its status */
    bool has_if_rev;
    uint64_t if_rev;
};

static void tally_refused(const struct tally *tally, size_t index, const struct verdict *verdict)
{
    if (verdict->status == CTL_REFUSED && *tally->error_count < ERRORS_MAX) {
        (*tally->error_count)++;
        pack_array(tally->errors, 4);
        pack_uint(tally->errors, index);
        pack_cstr(tally->errors, err_code(verdict->err));
        pack_cstr(tally->errors, verdict->field);
        pack_cstr(tally->errors,
                  verdict->message != NULL ? verdict->message : err_text(verdict->err));
    }
}

static void tally_unchanged(const struct tally *tally, size_t index, const struct verdict *verdict)
{
    if (verdict->status == CTL_UNCHANGED && *tally->rev_count < REVS_MAX) {
        (*tally->rev_count)++;
        pack_array(tally->revs, 2);
        pack_uint(tally->revs, index);
        pack_uint(tally->revs, verdict->rev);
    }
}

static void tally_add(const struct tally *tally, const struct verdict *verdict)
{
    tally_unchanged(tally, tally->statuses->size, verdict);
    tally_refused(tally, tally->statuses->size, verdict);
    buf_put_u8(tally->statuses, (uint8_t) verdict->status);
}

static bool record_read(const msgpack_object *item, struct record *ret_record)
{
    if (item->type != MSGPACK_OBJECT_ARRAY || item->via.array.size < 3 ||
        item->via.array.size > 4) {
        return false;
    }
    const msgpack_object *parts = item->via.array.ptr;
    if (parts[0].type != MSGPACK_OBJECT_STR || parts[1].type != MSGPACK_OBJECT_STR ||
        parts[2].type != MSGPACK_OBJECT_BIN) {
        return false;
    }
    *ret_record = (struct record){
        .slug = bytes_of(parts[0].via.str.ptr, parts[0].via.str.size),
        .kind = bytes_of(parts[1].via.str.ptr, parts[1].via.str.size),
        .body = bytes_of(parts[2].via.bin.ptr, parts[2].via.bin.size),
    };
    if (item->via.array.size == 4 && parts[3].type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        ret_record->has_if_rev = true;
        ret_record->if_rev = parts[3].via.u64;
    }
    return item->via.array.size == 3 || ret_record->has_if_rev ||
           parts[3].type == MSGPACK_OBJECT_NIL;
}

static enum err records_put(struct node *node, struct draft *draft, const struct tally *tally,
                            const msgpack_object *entries, bool dry_run)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    for (uint32_t i = 0; err == ERR_OK && i < entries->via.array.size; i++) {
        struct record record;
        struct verdict verdict;
        size_t changes = draft->changes.count;
        if (record_read(&entries->via.array.ptr[i], &record)) {
            err = record_put(node, draft, txn, &record, dry_run, &verdict);
            struct place place = {.index = tally->statuses->size,
                                  .has_if_rev = record.has_if_rev,
                                  .if_rev = record.if_rev};
            if (tally->places != NULL && draft->changes.count > changes) {
                buf_put(tally->places, bytes_of(&place, sizeof place));
            }
        } else {
            verdict = refused(ERR_INVALID, "",
                              "a record is [slug, kind, body] or [slug, kind, body, rev]");
        }
        if (err == ERR_OK) {
            tally_add(tally, &verdict);
        }
    }
    return err == ERR_OK && tally->places != NULL ? tally->places->err : err;
}

static enum err own_writable(struct node *node)
{
    return node->own.frozen ? ERR_FROZEN : store_room(node->config.store);
}

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

static bool batches_open(const struct node *node)
{
    for (size_t i = 0; i < node->client_count; i++) {
        if (node->clients[i]->batch.open && node->clients[i]->batch.draft.changes.count > 0) {
            return true;
        }
    }
    return false;
}

/* Bodies on disk before their head: remembered, so that a crash leaves nothing behind. */
static enum err draft_stage(struct node *node, const struct draft *draft)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct staging staging;
    if (err == ERR_OK) {
        err = staging_get(txn, node->own.catalogue, &staging);
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    for (size_t i = 0; i < draft->changes.count; i++) {
        const struct change *change = &draft->changes.items[i];
        if (change->size > 0) {
            return staging_put(txn, node->own.catalogue,
                               &(struct staging){.first_seq = change->seq, .m = node->own.head.n});
        }
    }
    return ERR_OK;
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
    entry.rev = next_rev(&node->own);
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
    return record_fits(node, &node->own.draft, txn, &record, bytes.size, ret_verdict);
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
    if (change->rev != next_rev(&node->own)) {
        err = change_encode_anew(node, txn, change);
    }
    draft->created += verdict.status == CTL_CREATED;
    draft->bytes += change->size;
    return err != ERR_OK ? err : draft_add(draft, change);
}

static enum err batch_join(struct node *node, struct batch *batch, const struct tally *tally)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct draft *draft = &node->own.draft;
    struct change_list *changes = &batch->draft.changes;
    must(batch->places.size == changes->count * sizeof(struct place));
    bool alone = batch->rev == next_rev(&node->own) && draft->changes.count == 0;
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

static enum err batch_publish(struct node *node, struct client *client, uint32_t id,
                              const msgpack_object *entries, bool more, bool dry_run)
{
    struct batch *batch = &client->batch;
    if (batch->statuses.size + entries->via.array.size > CTL_BATCH_COUNT_MAX) {
        client_error(client, id, ERR_FULL, NULL, "too many records in one batch");
        return batch_drop(node, batch);
    }
    batch->rev = batch->open ? batch->rev : next_rev(&node->own);
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
    enum err err = records_put(node, &batch->draft, &tally, entries, dry_run);
    if (err == ERR_OK && batch->draft.changes.count > 0) {
        err = draft_stage(node, &batch->draft);
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
    return records_put(node, &node->own.draft, &tally, entries, dry_run);
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
    enum err err = record_withdraw(node, &node->own.draft, txn, slug, how->dry_run, ret_verdict);
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
    if (err != ERR_OK || (same && !own->reseal)) {
        return err;
    }
    struct head head;
    struct hash history = next_history(own);
    err = own_sign(node, plan, next_rev(own), &history, &head, &signed_head);
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
    };
    err = former_keep(node, txn, &own->draft);
    if (err == ERR_OK) {
        err = catalogue_apply(txn, &apply, ret_arrival);
    }
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
    for (size_t i = 0; i < own->answer_count; i++) {
        own->answers[i].err = own->answers[i].own ? ERR_FROZEN : own->answers[i].err;
    }
    draft_done(&own->draft);
    return err;
}

enum err own_settle(struct node *node)
{
    struct own *own = &node->own;
    if (own->draft.changes.count == 0 && !own->reseal) {
        return ERR_OK;
    }
    if (own->frozen != 0) {
        own->reseal = false;
        return own_refused(node);
    }
    bool keep_staging = own->keep_staging || batches_open(node);
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
    buf_put(out, buf_bytes(&answer->errors));
    pack_cstr(out, "n");
    pack_uint(out, node->own.held ? node->own.head.n : 0);
    pack_cstr(out, "revs");
    pack_array(out, answer->rev_count);
    buf_put(out, buf_bytes(&answer->revs));
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
