/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/draft.c: the changes that the next own head is to make: records checked by the model, by the
 * quota and by what stands under their slug, their bodies on disk but invisible.
 */
#include "node/own.h"

#include <stdlib.h>

#include "base/defer.h"
#include "proto/entry.h"
#include "proto/model.h"

/* ---- the draft ---- */

void draft_done(struct draft *draft)
{
    change_done(&draft->changes);
    buf_done(&draft->erased);
    buf_done(&draft->retired);
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

enum err draft_add(struct draft *draft, const struct change *change)
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

/* ---- one record ---- */

struct verdict draft_refused(enum err err, const char *field, const char *message)
{
    struct verdict verdict = {.status = CTL_REFUSED, .err = err, .message = message};
    bytes_copy(verdict.field, bytes_of(field, strnlen(field, sizeof verdict.field - 1)));
    return verdict;
}

/* What stands under that slug now, the draft included. ERR_NOT_FOUND when nothing does. */
static enum err record_current(struct node *node, const struct draft *draft,
                               const struct slug_hash *slug_hash, struct txn *txn,
                               struct entry *ret_entry, size_t *ret_size)
{
    struct bytes bytes = {0};
    enum err err;
    const struct change *change = draft_find(draft, slug_hash);
    if (change == NULL) {
        err = catalogue_entry(txn, node->own.catalogue, slug_hash, &bytes);
    } else if (change->size == 0) {
        err = ERR_NOT_FOUND;
    } else {
        err = body_get(txn, node->own.catalogue, change->seq, &bytes);
    }
    *ret_size = bytes.size;
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
        return draft_refused(
            ERR_SLUG, "slug",
            "a slug is 1 to 64 of a-z, 0-9 and hyphens, and starts with a letter or digit");
    }
    if (!kind_valid(record->kind) || !model_kind_known(record->kind)) {
        return draft_refused(ERR_INVALID, "kind", "unknown kind");
    }
    /* entry_encode scans the body before the model walks it. */
    return (struct verdict){.status = CTL_CREATED};
}

enum err draft_fits(struct node *node, const struct draft *draft, struct txn *txn,
                    const struct record *record, size_t size, struct verdict *ret_verdict)
{
    const struct own *own = &node->own;
    struct slug_hash slug_hash = hash_slug(record->slug);
    struct entry current = {0};
    size_t freed = 0;
    enum err err = record_current(node, draft, &slug_hash, txn, &current, &freed);
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
    uint64_t bytes = (own->held ? own->head.bytes : 0) + draft->bytes + size - freed;
    if (!fits) {
        *ret_verdict = draft_refused(ERR_KIND, "kind", NULL);
    } else if (record->has_if_rev && record->if_rev != (standing ? current.rev : 0)) {
        *ret_verdict = draft_refused(ERR_CONFLICT, "rev", NULL);
    } else if (standing && bytes_equal(current.body, record->body)) {
        *ret_verdict = (struct verdict){.status = CTL_UNCHANGED, .rev = current.rev};
    } else if ((!standing && count >= node->config.quota_entries) ||
               (size > freed && bytes > node->config.quota_bytes)) {
        *ret_verdict = draft_refused(ERR_QUOTA, "", NULL);
    } else {
        *ret_verdict =
            (struct verdict){.status = standing ? CTL_UPDATED : CTL_CREATED, .freed = freed};
    }
    return ERR_OK;
}

enum err draft_put(struct node *node, struct draft *draft, struct txn *txn,
                   const struct record *record, bool dry_run, struct verdict *ret_verdict)
{
    *ret_verdict = record_check(record);
    if (ret_verdict->status == CTL_REFUSED) {
        return ERR_OK;
    }
    struct own *own = &node->own;
    struct entry entry = {
        .slug = record->slug, .kind = record->kind, .body = record->body, .rev = own_next_rev(own)};
    defer(buf_done) struct buf bytes = {0};
    enum err err = entry_encode(&entry, &bytes);
    if (err != ERR_OK) {
        *ret_verdict = draft_refused(err, "body", NULL);
        return err == ERR_NOMEM ? err : ERR_OK;
    }
    /* A merge, or a batch that another head overtakes, encodes it anew under a greater number. */
    if (entry_size_under(bytes.size, entry.rev, UINT64_MAX) > ENTRY_SIZE_MAX) {
        *ret_verdict = draft_refused(ERR_SIZE, "body", NULL);
        return ERR_OK;
    }
    struct model_report report;
    if (model_check(record->kind, record->body, &report) != ERR_OK) {
        const struct model_issue *issue = &report.issues[0];
        for (unsigned i = 0; i < report.count && issue->warning; i++) {
            issue = &report.issues[i];
        }
        *ret_verdict = draft_refused(ERR_FIELD, issue->field, issue->text);
        return ERR_OK;
    }
    struct slug_hash slug_hash = hash_slug(record->slug);
    err = draft_fits(node, draft, txn, record, bytes.size, ret_verdict);
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
    draft->bytes += bytes.size - ret_verdict->freed;
    err = body_append(txn, own->catalogue, buf_bytes(&bytes), &change.seq);
    return err != ERR_OK ? err : draft_add(draft, &change);
}

/* Its kind is remembered from this very request on: another one of the turn may use the slug. */
static enum err draft_retire(struct node *node, struct draft *draft, struct txn *txn,
                             const struct slug_hash *slug_hash, struct bytes view)
{
    struct bytes before;
    enum err err = retired_get(txn, node->own.catalogue, slug_hash, &before);
    if (err == ERR_NOT_FOUND) {
        buf_put(&draft->retired, BYTES_OF_ARRAY(slug_hash->bytes));
        err = draft->retired.err;
    }
    char kind[KIND_SIZE_MAX];
    struct bytes copy = bytes_of(kind, view.size);
    bytes_copy(kind, view); /* the view dies with the write */
    return err != ERR_OK ? err : retired_put(txn, node->own.catalogue, slug_hash, copy);
}

enum err draft_withdraw(struct node *node, struct draft *draft, struct txn *txn, struct bytes slug,
                        bool dry_run, struct verdict *ret_verdict)
{
    *ret_verdict = (struct verdict){.status = CTL_CREATED};
    if (!slug_valid(slug)) {
        *ret_verdict = draft_refused(ERR_SLUG, "slug", NULL);
        return ERR_OK;
    }
    struct slug_hash slug_hash = hash_slug(slug);
    struct entry current;
    size_t freed = 0;
    enum err err = record_current(node, draft, &slug_hash, txn, &current, &freed);
    if (err == ERR_NOT_FOUND) {
        *ret_verdict = draft_refused(ERR_NOT_FOUND, "slug", NULL);
        return ERR_OK;
    }
    if (err != ERR_OK || dry_run) {
        return err;
    }
    err = draft_retire(node, draft, txn, &slug_hash, current.kind);
    draft->created--;
    draft->bytes -= freed;
    return err != ERR_OK ? err : draft_add(draft, &(struct change){.slug_hash = slug_hash});
}

enum err draft_stage(struct node *node, const struct draft *draft)
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
