/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/former.c: the revisions that own entries had, for the lab's own agents: kept only where
 * `[history] keep` says so, never sent to anybody, gone with `withdraw --erase`.
 */
#include <string.h>

#include "base/defer.h"
#include "node/parts.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "store/kept.h"
#include "store/lost.h"

enum err former_load(struct node *node)
{
    struct txn *txn = NULL;
    if (node->config.keep_history) {
        return ERR_OK;
    }
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = kept_clear(txn);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* A merge may sign the same body anew: that makes no former one. */
static enum err same_body(struct txn *txn, uint32_t id, const struct change *change,
                          struct bytes entry, bool *ret_same)
{
    struct bytes other;
    struct entry before, after;
    *ret_same = false;
    enum err err = change->size == 0 ? ERR_NOT_FOUND : body_get(txn, id, change->seq, &other);
    if (err == ERR_OK) {
        err = entry_peek(entry, &before);
    }
    if (err == ERR_OK) {
        err = entry_peek(other, &after);
    }
    *ret_same = err == ERR_OK && bytes_equal(before.body, after.body);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err change_keep(struct txn *txn, uint32_t id, const struct change *change)
{
    struct slug_row row;
    struct bytes entry;
    bool same = false;
    defer(buf_done) struct buf copy = {0}; /* the view dies with the write */
    enum err err = catalogue_slug(txn, id, &change->slug_hash, &row);
    if (err == ERR_OK) {
        err = catalogue_entry(txn, id, &change->slug_hash, &entry);
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        return ERR_OK; /* there is nothing whole to keep */
    }
    if (err == ERR_OK) {
        err = same_body(txn, id, change, entry, &same);
    }
    if (err != ERR_OK || same || (change->size > 0 && change->rev <= row.rev)) {
        return err; /* of one number on two branches: `lost` has the one that gave way */
    }
    buf_put(&copy, entry);
    return copy.err != ERR_OK ? copy.err
                              : kept_put(txn, id, &change->slug_hash, row.rev, buf_bytes(&copy));
}

enum err former_keep(const struct node *node, struct txn *txn, const struct change_list *list)
{
    enum err err = ERR_OK;
    for (size_t i = 0; node->config.keep_history && err == ERR_OK && i < list->count; i++) {
        err = change_keep(txn, node->own.catalogue, &list->items[i]);
    }
    return err;
}

/* ---- erasure ---- */

enum err former_erase(struct node *node, struct txn *txn, const struct slug_hash *slug_hash)
{
    struct buf *erased = &node->own.draft.erased;
    uint64_t rev = 0;
    struct bytes entry;
    enum err err = kept_next(txn, node->own.catalogue, slug_hash, &rev, &entry);
    bool lost = false;
    if (err == ERR_CORRUPT) {
        err = ERR_OK; /* damaged, but there */
    } else if (err == ERR_NOT_FOUND) {
        err = lost_any(txn, node->own.catalogue, slug_hash, &lost);
        err = err == ERR_OK && !lost ? ERR_NOT_FOUND : err;
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) { /* what the turn itself replaces goes, too */
        buf_put(erased, BYTES_OF_ARRAY(slug_hash->bytes));
        err = erased->err != ERR_OK ? erased->err : err;
    }
    return err;
}

enum err former_forget(const struct node *node, struct txn *txn, const struct draft *draft)
{
    enum err err = ERR_OK;
    for (size_t at = 0; err == ERR_OK && at < draft->erased.size; at += SLUG_HASH_SIZE) {
        struct slug_hash slug_hash;
        memcpy(slug_hash.bytes, draft->erased.data + at, SLUG_HASH_SIZE);
        err = kept_drop(txn, node->own.catalogue, &slug_hash);
        if (err == ERR_OK || err == ERR_NOT_FOUND) {
            err = lost_drop(txn, node->own.catalogue, &slug_hash);
        }
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    return err;
}

/* ---- history ---- */

static void revision_put(struct buf *rows, bool current, struct bytes entry, uint64_t rev)
{
    pack_map(rows, 3);
    pack_cstr(rows, "current");
    pack_bool(rows, current);
    pack_cstr(rows, "entry");
    pack_bin(rows, entry);
    pack_cstr(rows, "rev");
    pack_uint(rows, rev);
}

struct page {
    struct buf rows;
    uint64_t count, last; /* the last revision looked at */
    bool more;
};

static void page_done(struct page *page)
{
    buf_done(&page->rows);
}

/* Damaged ones are passed over: `current` stands by itself, and nobody can mend the others. */
static enum err page_fill(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                          struct page *page)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && !page->more) {
        struct bytes entry;
        uint64_t rev = page->last;
        err = kept_next(txn, id, slug_hash, &rev, &entry);
        if (err == ERR_CORRUPT && rev > page->last) {
            page->last = rev;
            err = ERR_OK;
        } else if (err == ERR_OK && page->rows.size + entry.size > CTL_PAGE_SIZE_MAX) {
            page->more = true;
        } else if (err == ERR_OK) {
            revision_put(&page->rows, false, entry, rev);
            page->count++;
            page->last = rev;
            err = page->rows.err;
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err page_current(struct txn *txn, uint32_t id, const struct slug_hash *slug_hash,
                             struct page *page)
{
    struct bytes entry;
    struct entry parts;
    enum err err = catalogue_entry(txn, id, slug_hash, &entry);
    if (err == ERR_OK) {
        err = entry_peek(entry, &parts);
    }
    if (err == ERR_OK && parts.rev > page->last) {
        revision_put(&page->rows, true, entry, parts.rev);
        page->count++;
        err = page->rows.err;
    }
    return err;
}

enum err former_report(const struct node *node, struct txn *txn, struct bytes slug, uint64_t after,
                       struct buf *out)
{
    struct slug_hash slug_hash = hash_slug(slug);
    defer(page_done) struct page page = {.last = after};
    enum err err = page_fill(txn, node->own.catalogue, &slug_hash, &page);
    if (err == ERR_OK && !page.more) {
        err = page_current(txn, node->own.catalogue, &slug_hash, &page);
        if (err == ERR_NOT_FOUND && (page.count > 0 || after > 0)) {
            err = ERR_OK; /* withdrawn since */
        }
    }
    if (err != ERR_OK) {
        return err;
    }
    pack_map(out, 2);
    pack_cstr(out, "next");
    if (page.more) {
        pack_uint(out, page.last);
    } else {
        pack_nil(out);
    }
    pack_cstr(out, "revisions");
    pack_array(out, page.count);
    buf_join(out, &page.rows);
    return out->err;
}
