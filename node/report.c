/* SPDX-License-Identifier: EUPL-1.2 */
/* node/report.c: `status`: one map about everything that runs (doc/control.md). */
#include <stdlib.h>

#include "base/defer.h"
#include "node/parts.h"
#include "proto/did.h"
#include "proto/pack.h"
#include "store/lost.h"

static const char *const link_state_names[LINK_STATE_COUNT] = {
    [LINK_SHAKING] = "handshake",
    [LINK_GREETING] = "greeting",
    [LINK_READY] = "linked",
    [LINK_CLOSING] = "closing",
};

static void put_uint(struct buf *out, const char *key, uint64_t value)
{
    pack_cstr(out, key);
    pack_uint(out, value);
}

static enum err link_name(struct txn *txn, const struct link *link, struct bytes *ret_name)
{
    struct held_lab held;
    enum err err = lab_get(txn, &link->lab, &held);
    *ret_name = err == ERR_OK ? held.record.name : (struct bytes){0};
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err report_links(struct node *node, struct txn *txn, struct buf *out)
{
    pack_cstr(out, "links");
    pack_array(out, node->link_count);
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = node->links[i];
        struct bytes name;
        enum err err = link_name(txn, link, &name);
        if (err != ERR_OK) {
            return err;
        }
        pack_map(out, 11);
        put_uint(out, "acked", link->acked);
        pack_cstr(out, "address");
        pack_cstr(out, link->address);
        put_uint(out, "arrival", link->announced);
        put_uint(out, "cursor", link->cursor_stored);
        pack_cstr(out, "dialled");
        pack_bool(out, link->dialled);
        pack_cstr(out, "lab");
        pack_bin(out, BYTES_OF_ARRAY(link->lab.bytes));
        pack_cstr(out, "name");
        pack_str(out, name);
        put_uint(out, "received", link->received);
        put_uint(out, "sent", link->sent);
        put_uint(out, "since_s", (node->now_ms - link->up_ms) / 1000);
        pack_cstr(out, "state");
        pack_cstr(out, link_state_names[link->state]);
    }
    return ERR_OK;
}

static void report_fetches(const struct node *node, struct buf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        count += node->fetches[i].open;
    }
    pack_cstr(out, "fetches");
    pack_array(out, count);
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        const struct fetch *fetch = &node->fetches[i];
        if (!fetch->open) {
            continue;
        }
        pack_map(out, 5);
        put_uint(out, "bytes", fetch->bytes);
        /* The job is working on its changes: all of them came. */
        bool job = node->job.kind == JOB_FETCH && node->job.fetch == fetch;
        put_uint(out, "count", job ? fetch->target_count : fetch->changes.count);
        pack_cstr(out, "from");
        bool peer = fetch->link != NULL && !fetch->link->file;
        pack_bin(out, peer ? BYTES_OF_ARRAY(fetch->link->lab.bytes) : (struct bytes){0});
        pack_cstr(out, "lab");
        pack_bin(out, BYTES_OF_ARRAY(fetch->name.lab.bytes));
        put_uint(out, "n", fetch->target_n);
    }
}

/* Keys ascend by code, so that the answer is canonical, too. */
static int code_order(const void *a, const void *b)
{
    return strcmp(err_code((enum err) * (const int *) a), err_code((enum err) * (const int *) b));
}

static void report_refused(const struct node *node, struct buf *out)
{
    int order[ERR_COUNT];
    size_t count = 0;
    for (int i = 0; i < ERR_COUNT; i++) {
        if (node->refused[i] > 0) {
            order[count++] = i;
        }
    }
    qsort(order, count, sizeof *order, code_order);
    pack_cstr(out, "refused");
    pack_map(out, count);
    for (size_t i = 0; i < count; i++) {
        put_uint(out, err_code((enum err) order[i]), node->refused[order[i]]);
    }
}

/* Nothing more fits under the quota, or hardly: others hold this lab to the same numbers. */
static bool quota_reached(const struct node *node)
{
    const struct own *own = &node->own;
    return own->held && (own->head.count >= node->config.quota_entries ||
                         own->head.bytes + ENTRY_SIZE_MAX > node->config.quota_bytes);
}

struct totals {
    uint64_t catalogues, entries, bytes, labs, arrival, forks, lost;
    struct receipt_count receipts;
    struct store_space space;
};

static void report_warnings(struct node *node, const struct totals *totals, struct buf *out)
{
    unsigned frozen = node->own.frozen;
    const struct {
        bool stands;
        const char *code;
    } rows[] = {
        {when_wrong(node), "clock"},
        {store_room(node->config.store) != ERR_OK, "disk-full"},
        {quota_reached(node), "own-quota"},
        {(frozen & FREEZE_SEEN) != 0, "own-head-unknown"},
        {(frozen & FREEZE_FORK) != 0, "own-fork"},
        {(frozen & FREEZE_GUARD) != 0, "own-guard"},
        {(frozen & FREEZE_REPLACED) != 0, "own-replaced"},
        {(frozen & FREEZE_RECOVERING) != 0, "recovering"},
        {node->compaction.failed, "erase-waits"},
        {totals->lost > 0, "merge-lost"},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        count += rows[i].stands;
    }
    pack_cstr(out, "warnings");
    pack_array(out, count);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].stands) {
            pack_cstr(out, rows[i].code);
        }
    }
}

static void report_quota(const struct node *node, struct buf *out)
{
    pack_cstr(out, "quota");
    pack_map(out, 2);
    put_uint(out, "bytes", node->config.quota_bytes);
    put_uint(out, "entries", node->config.quota_entries);
}

static void report_receipts(const struct receipt_count *count, struct buf *out)
{
    pack_cstr(out, "receipts");
    if (count->n == 0) {
        pack_nil(out);
        return;
    }
    pack_map(out, 3);
    put_uint(out, "erased", count->erased);
    put_uint(out, "labs", count->labs);
    put_uint(out, "n", count->n);
}

static enum err report_totals(struct node *node, struct txn *txn, struct totals *ret_totals)
{
    struct totals totals = {0};
    uint32_t id = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        err = catalogue_next(txn, &id);
        struct held_head held;
        if (err == ERR_OK) {
            err = catalogue_head(txn, id, &held);
        }
        if (err == ERR_OK) {
            totals.catalogues++;
            totals.entries += held.head.count;
            totals.bytes += held.head.bytes;
        }
    }
    if (err == ERR_NOT_FOUND) {
        err = lab_count(txn, &totals.labs);
    }
    if (err == ERR_OK) {
        err = arrival_last(txn, &totals.arrival);
    }
    if (err == ERR_OK) {
        err = forks_count(txn, &totals.forks);
    }
    if (err == ERR_OK) {
        err = lost_count(txn, &totals.lost);
    }
    if (err == ERR_OK) {
        err = receipts_count(node, txn, &totals.receipts);
    }
    if (err == ERR_OK) {
        err = store_space(node->config.store, &totals.space);
    }
    *ret_totals = totals;
    return err;
}

static void report_head(const struct node *node, struct buf *out)
{
    const struct own *own = &node->own;
    pack_cstr(out, "head");
    if (!own->held) {
        pack_nil(out);
        return;
    }
    pack_map(out, 4);
    put_uint(out, "bytes", own->head.bytes);
    put_uint(out, "count", own->head.count);
    put_uint(out, "issued_at", own->head.issued_at);
    put_uint(out, "n", own->head.n);
}

/* What runs beside the loop while only reads are answered. */
static void report_job(const struct node *node, struct buf *out)
{
    static const char *const names[] = {
        [JOB_OWN] = "publish",
        [JOB_FETCH] = "fetch",
        [JOB_COMPACT] = "compact",
        [JOB_BACKUP] = "backup",
    };
    pack_cstr(out, "job");
    if (node->job.kind == JOB_NONE) {
        pack_nil(out);
    } else {
        pack_cstr(out, names[node->job.kind]);
    }
}

enum err report_status(struct node *node, struct txn *txn, struct buf *out)
{
    struct totals totals;
    struct hash digest;
    uint64_t heads = 0;
    uint64_t entries = 0;
    enum err err = report_totals(node, txn, &totals);
    if (err == ERR_OK) {
        err = copy_digest(txn, &digest, &heads, &entries);
    }
    if (err != ERR_OK) {
        return err;
    }
    char did[DID_SIZE_MAX];
    did_encode(&node->config.lab, did);
    pack_map(out, 26);
    put_uint(out, "arrival", totals.arrival);
    put_uint(out, "bytes", totals.bytes);
    put_uint(out, "catalogues", totals.catalogues);
    pack_cstr(out, "did");
    pack_cstr(out, did);
    pack_cstr(out, "digest");
    pack_bin(out, BYTES_OF_ARRAY(digest.bytes));
    pack_cstr(out, "disk");
    pack_map(out, 3);
    put_uint(out, "free", totals.space.disk_free);
    put_uint(out, "map", totals.space.map);
    put_uint(out, "used", totals.space.used);
    put_uint(out, "entries", totals.entries);
    report_fetches(node, out);
    put_uint(out, "forks", totals.forks);
    put_uint(out, "generation", node->record_view.generation);
    report_head(node, out);
    pack_cstr(out, "index");
    pack_bin(out, bytes_of(store_index(node->config.store), INSTANCE_SIZE));
    report_job(node, out);
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(node->config.lab.bytes));
    put_uint(out, "labs", totals.labs);
    err = report_links(node, txn, out);
    pack_cstr(out, "name");
    pack_str(out, node->record_view.name);
    pack_cstr(out, "network");
    pack_bin(out, BYTES_OF_ARRAY(node->network.bytes));
    put_uint(out, "pid", node->config.pid);
    put_uint(out, "protocol", 1);
    report_quota(node, out);
    report_receipts(&totals.receipts, out);
    report_refused(node, out);
    put_uint(out, "uptime_s", (node->now_ms - node->started_ms) / 1000);
    pack_cstr(out, "version");
    pack_cstr(out, ESSAIM_VERSION);
    report_warnings(node, &totals, out);
    return err;
}
