/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/lost.c: versions of own entries that gave way in a merge: shown to the lab's own agents, and
 * dropped when the operator says so (or with `withdraw --erase`, former.c).
 */
#include "store/lost.h"

#include "base/defer.h"
#include "node/query.h"
#include "proto/entry.h"
#include "proto/pack.h"

static void lost_pack(struct buf *rows, const struct lost *lost)
{
    pack_map(rows, 3);
    pack_cstr(rows, "entry");
    pack_bin(rows, lost->entry);
    pack_cstr(rows, "kept");
    pack_uint(rows, lost->kept_rev);
    pack_cstr(rows, "merge");
    pack_uint(rows, lost->merge_n);
}

/* Damaged rows are passed over: `verify` names them. */
static enum err page_fill(const struct asking *asking, uint8_t at[LOST_AT_SIZE], struct buf *rows,
                          uint64_t *ret_count, bool *ret_more)
{
    uint64_t count = 0;
    bool more = false;
    enum err err = ERR_OK;
    while (err == ERR_OK && !more) {
        struct lost lost;
        uint8_t next[LOST_AT_SIZE];
        memcpy(next, at, sizeof next);
        err = lost_next(asking->txn, asking->node->own.catalogue, next, &lost);
        if (err == ERR_CORRUPT && memcmp(next, at, sizeof next) != 0) {
            memcpy(at, next, sizeof next);
            err = ERR_OK;
        } else if (err == ERR_OK && rows->size + lost.entry.size > CTL_PAGE_SIZE_MAX) {
            more = true;
        } else if (err == ERR_OK) {
            memcpy(at, next, sizeof next);
            lost_pack(rows, &lost);
            count++;
            err = rows->err;
        }
    }
    *ret_count = count;
    *ret_more = more;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err query_lost(const struct asking *asking)
{
    uint8_t at[LOST_AT_SIZE] = {0};
    struct bytes after = {0};
    if (ctl_get_bin(&asking->msg->params, "after", &after) == ERR_OK) {
        if (after.size != sizeof at) {
            query_refuse(asking, ERR_USAGE, "after", "not a resume key of this method");
            return ERR_OK;
        }
        memcpy(at, after.data, sizeof at);
    }
    defer(buf_done) struct buf rows = {0};
    struct buf *out = NULL;
    uint64_t count = 0, total = 0;
    bool more = false;
    enum err err = page_fill(asking, at, &rows, &count, &more);
    if (err == ERR_OK) {
        err = lost_count(asking->txn, &total);
    }
    if (err == ERR_OK) {
        err = query_begin(asking, &out);
    }
    if (err != ERR_OK) {
        return err;
    }
    pack_map(out, 3);
    pack_cstr(out, "lost");
    pack_array(out, count);
    buf_put(out, buf_bytes(&rows));
    pack_cstr(out, "next");
    if (more) {
        pack_bin(out, BYTES_OF_ARRAY(at));
    } else {
        pack_nil(out);
    }
    pack_cstr(out, "total");
    pack_uint(out, total);
    return out->err;
}

static struct bytes slug_read(const msgpack_object *item)
{
    return item->type == MSGPACK_OBJECT_STR ? bytes_of(item->via.str.ptr, item->via.str.size)
                                            : (struct bytes){0};
}

/* All of them, or none: ERR_NOT_FOUND. */
static enum err slugs_drop(struct node *node, struct txn *txn, const msgpack_object *slugs)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; err == ERR_OK && i < slugs->via.array.size; i++) {
        struct slug_hash slug_hash = hash_slug(slug_read(&slugs->via.array.ptr[i]));
        bool any = false;
        err = lost_any(txn, node->own.catalogue, &slug_hash, &any);
        err = err == ERR_OK && !any ? ERR_NOT_FOUND : err;
    }
    for (uint32_t i = 0; err == ERR_OK && i < slugs->via.array.size; i++) {
        struct slug_hash slug_hash = hash_slug(slug_read(&slugs->via.array.ptr[i]));
        err = lost_drop(txn, node->own.catalogue, &slug_hash);
        err = err == ERR_NOT_FOUND ? ERR_OK : err; /* named twice */
    }
    return err;
}

enum err lost_forget(struct node *node, struct client *client, uint32_t id,
                     const msgpack_object *params)
{
    const msgpack_object *slugs = ctl_get(params, "slugs");
    struct txn *txn = NULL;
    struct answer *answer = NULL;
    if (slugs == NULL || slugs->type != MSGPACK_OBJECT_ARRAY) {
        client_error(client, id, ERR_USAGE, "slugs", "slugs must be an array of text");
        return ERR_OK;
    }
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = slugs_drop(node, txn, slugs);
    }
    if (err == ERR_NOT_FOUND) {
        client_error(client, id, err, "slugs", "nothing of that slug gave way");
        return ERR_OK;
    }
    return err == ERR_OK ? answer_add(node, client->number, id, false, &answer) : err;
}
