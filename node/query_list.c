/* SPDX-License-Identifier: EUPL-1.2 */
/* node/query_list.c: `list` and `verify`: pages of what the store holds. */
#include <stdlib.h>

#include "base/defer.h"
#include "node/query.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "store/scrub.h"

#define LIST_SCAN_MAX 20000 /* entries looked at for one page */
#define LIST_COUNT_MAX 1000
#define VERIFY_PAGE 4000
#define LIST_AT_SIZE (4 + 8 + SLUG_HASH_SIZE)

/* ---- list ---- */

struct listing {
    bool by_lab;
    struct lab_id lab;
    struct bytes kind; /* size 0: any */
    uint64_t limit;
    uint32_t catalogue; /* where the page goes on */
    uint64_t rev;
    struct slug_hash slug;
    bool resume;
    struct buf rows;
    size_t count, scanned;
    bool full;
    uint64_t total;
};

static enum err list_catalogue(struct listing *listing, struct txn *txn, uint32_t id,
                               const struct lab_id *lab)
{
    struct entry_cursor *cursor = NULL;
    struct slug_hash none = {0};
    bool resume = listing->resume && id == listing->catalogue;
    enum err err = entry_cursor_open(txn, id, resume ? listing->rev : 0,
                                     resume ? &listing->slug : &none, &cursor);
    if (err != ERR_OK) {
        return err;
    }
    listing->catalogue = id;
    while (err == ERR_OK) {
        struct bytes bytes;
        err = entry_cursor_next(cursor, &bytes, &listing->rev, &listing->slug);
        if (err == ERR_CORRUPT) {
            err = ERR_OK; /* never shown; `verify` names it */
            continue;
        }
        if (err != ERR_OK) {
            break;
        }
        listing->scanned++;
        struct entry entry;
        bool fits = listing->kind.size == 0 ||
                    (entry_peek(bytes, &entry) == ERR_OK && bytes_equal(entry.kind, listing->kind));
        if (fits) {
            pack_array(&listing->rows, 2);
            pack_bin(&listing->rows, BYTES_OF_ARRAY(lab->bytes));
            pack_bin(&listing->rows, bytes);
            listing->count++;
        }
        listing->full = listing->count >= listing->limit ||
                        listing->rows.size >= CTL_PAGE_SIZE_MAX ||
                        listing->scanned >= LIST_SCAN_MAX;
        if (listing->full) {
            break;
        }
    }
    entry_cursor_close(cursor);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err list_all(struct listing *listing, struct txn *txn)
{
    uint32_t id = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        err = catalogue_next(txn, &id);
        struct held_head held;
        if (err == ERR_OK) {
            err = catalogue_head(txn, id, &held);
        }
        if (err != ERR_OK || (listing->by_lab && !query_same(&held.head.lab, &listing->lab))) {
            continue;
        }
        listing->total += held.head.count;
        if (!listing->full && (!listing->resume || id >= listing->catalogue)) {
            struct lab_id lab = held.head.lab;
            err = list_catalogue(listing, txn, id, &lab);
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static bool list_params(const struct asking *asking, struct listing *listing)
{
    const msgpack_object *params = &asking->msg->params;
    bool own = false;
    listing->limit = LIST_COUNT_MAX;
    struct bytes after = {0};
    if (ctl_get_bool(params, "own", &own) == ERR_OK && own) {
        listing->by_lab = true;
        listing->lab = asking->node->config.lab;
    }
    if (ctl_get_str(params, "kind", &listing->kind) == ERR_FIELD) {
        query_refuse(asking, ERR_USAGE, "kind", "kind is text");
        return false;
    }
    uint64_t limit = 0;
    if (ctl_get_uint(params, "limit", &limit) == ERR_OK && limit > 0 && limit < listing->limit) {
        listing->limit = limit;
    }
    if (ctl_get_bin(params, "after", &after) == ERR_OK) {
        if (after.size != LIST_AT_SIZE) {
            query_refuse(asking, ERR_USAGE, "after", "not a resume key of this method");
            return false;
        }
        listing->resume = true;
        listing->catalogue = be32_get(after.data);
        listing->rev = be64_get(after.data + 4);
        memcpy(listing->slug.bytes, after.data + 12, SLUG_HASH_SIZE);
    }
    return true;
}

enum err query_list(const struct asking *asking)
{
    struct listing listing = {0};
    enum err err = query_lab_param(asking, &listing.lab, &listing.by_lab);
    if (err != ERR_OK) {
        return err == ERR_REFUSED ? ERR_OK : err;
    }
    if (!list_params(asking, &listing)) {
        return ERR_OK;
    }
    err = list_all(&listing, asking->txn);
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = listing.rows.err != ERR_OK ? listing.rows.err : query_begin(asking, &out);
    }
    if (err == ERR_OK) {
        pack_map(out, 3);
        pack_cstr(out, "entries");
        pack_array(out, listing.count);
        buf_join(out, &listing.rows);
        pack_cstr(out, "next");
        if (listing.full) {
            uint8_t next[LIST_AT_SIZE];
            be32_put(next, listing.catalogue);
            be64_put(next + 4, listing.rev);
            memcpy(next + 12, listing.slug.bytes, SLUG_HASH_SIZE);
            pack_bin(out, BYTES_OF_ARRAY(next));
        } else {
            pack_nil(out);
        }
        pack_cstr(out, "total");
        pack_uint(out, listing.total);
    }
    buf_done(&listing.rows);
    return err;
}

/* ---- verify ---- */

static enum err lab_of(struct txn *txn, uint32_t catalogue, struct lab_id *ret_lab)
{
    struct held_head held;
    enum err err = catalogue == 0 ? ERR_NOT_FOUND : catalogue_head(txn, catalogue, &held);
    *ret_lab = err == ERR_OK ? held.head.lab : (struct lab_id){{0}};
    return err;
}

static void verify_problems(struct buf *out, struct txn *txn, const struct scrub_page *page)
{
    pack_array(out, page->problem_count);
    for (unsigned i = 0; i < page->problem_count; i++) {
        const struct scrub_problem *problem = &page->problems[i];
        struct lab_id lab;
        (void) lab_of(txn, problem->catalogue, &lab);
        pack_map(out, problem->has_slug ? 3 : 2);
        pack_cstr(out, "lab");
        pack_bin(out, BYTES_OF_ARRAY(lab.bytes));
        if (problem->has_slug) {
            pack_cstr(out, "slug_hash");
            pack_bin(out, BYTES_OF_ARRAY(problem->slug_hash.bytes));
        }
        pack_cstr(out, "what");
        pack_cstr(out, problem->what);
    }
}

static void verify_lab(struct buf *out, struct txn *txn, const struct scrub_page *page)
{
    struct held_head held;
    struct held_lab lab;
    if (page->catalogue == 0 || catalogue_head(txn, page->catalogue, &held) != ERR_OK ||
        lab_get(txn, &held.head.lab, &lab) != ERR_OK) {
        pack_array(out, 0);
        return;
    }
    pack_array(out, 1);
    pack_map(out, page->note != NULL ? 9 : 8);
    pack_cstr(out, "audience");
    pack_cstr(out, held.head.audience);
    pack_cstr(out, "count");
    pack_uint(out, held.head.count);
    pack_cstr(out, "did");
    query_did(out, &held.head.lab);
    pack_cstr(out, "issued_at");
    pack_uint(out, held.head.issued_at);
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(held.head.lab.bytes));
    pack_cstr(out, "n");
    pack_uint(out, held.head.n);
    pack_cstr(out, "name");
    pack_str(out, lab.record.name);
    if (page->note != NULL) {
        pack_cstr(out, "note");
        pack_cstr(out, page->note);
    }
    pack_cstr(out, "ok");
    pack_bool(out, page->catalogue_ok);
}

enum err query_verify(const struct asking *asking)
{
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct bytes after = {0};
    if (ctl_get_bin(&asking->msg->params, "after", &after) == ERR_OK) {
        if (after.size != sizeof at) {
            query_refuse(asking, ERR_USAGE, "after", "not a resume key of this method");
            return ERR_OK;
        }
        memcpy(at, after.data, sizeof at);
    }
    struct scrub_page *page = calloc(1, sizeof *page);
    struct buf *out = NULL;
    enum err err = page == NULL ? ERR_NOMEM : scrub_step(asking->txn, at, VERIFY_PAGE, page);
    if (err == ERR_OK) {
        err = query_begin(asking, &out);
    }
    if (err == ERR_OK) {
        pack_map(out, 6);
        pack_cstr(out, "checked");
        pack_uint(out, page->checked);
        pack_cstr(out, "labs");
        verify_lab(out, asking->txn, page);
        pack_cstr(out, "next");
        if (page->done) {
            pack_nil(out);
        } else {
            pack_bin(out, BYTES_OF_ARRAY(at));
        }
        pack_cstr(out, "problem_count");
        pack_uint(out, page->problems_seen);
        pack_cstr(out, "problems");
        verify_problems(out, asking->txn, page);
        pack_cstr(out, "total");
        pack_uint(out, page->total);
    }
    free(page);
    return err;
}
