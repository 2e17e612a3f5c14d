/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/compact.c: when the store is copied: to be rid of what was withdrawn, or for a backup
 * (doc/decisions/0010-erasure.md).
 *
 *     commit ─► something became garbage, somebody asks ─► job: the copy (reads go on)
 *            ─► job done: the swap, the answers
 *
 * Garbage waits 12 hours of uptime at most, or until 10 minutes after the start when it came from
 * before, or in those minutes: a node that was away catches up first. A copy that fails leaves the
 * store as it was; it is tried again in an hour.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/parts.h"
#include "proto/pack.h"

#define ERASE_UPTIME_MS (12ull * 3600 * 1000)
#define ERASE_START_MS (10ull * 60 * 1000)
#define ERASE_RETRY_MS (3600ull * 1000)
#define BACKUP_PATH_MAX 1024
#define MIB (1024u * 1024)

/* ---- when ---- */

/* Garbage that a turn, or the time before the start, has left. */
static void due_review(struct node *node)
{
    struct compaction *compaction = &node->compaction;
    if (!store_erase_due(node->config.store)) {
        compaction->due_ms = 0;
    } else if (compaction->due_ms == 0) {
        uint64_t settled_ms = node->started_ms + ERASE_START_MS;
        compaction->due_ms =
            node->now_ms < settled_ms ? settled_ms : node->now_ms + ERASE_UPTIME_MS;
    }
}

void compact_load(struct node *node)
{
    due_review(node);
}

uint64_t compact_wake_ms(const struct node *node)
{
    uint64_t due_ms = node->compaction.due_ms;
    return due_ms == 0 ? UINT64_MAX : due_ms;
}

void compact_begin(struct node *node)
{
    const struct compaction *compaction = &node->compaction;
    due_review(node);
    if (node->job.kind != JOB_NONE || node->stopping) {
        return;
    }
    bool due = compaction->due_ms != 0 && node->now_ms >= compaction->due_ms;
    if (due || compaction->wait_count > 0 || compaction->erased_count > 0) {
        node->job = (struct job){.kind = JOB_COMPACT};
    } else if (compaction->backup_path != NULL) {
        node->job = (struct job){.kind = JOB_BACKUP};
    }
}

/* ---- who asks ---- */

enum err compact_ask(struct node *node, struct client *client, uint32_t id)
{
    struct compaction *compaction = &node->compaction;
    if (compaction->wait_count == COMPACT_WAITS_MAX) {
        client_error(client, id, ERR_BUSY, NULL, NULL);
        return ERR_OK;
    }
    compaction->waits[compaction->wait_count++] =
        (struct asker){.client = client->number, .id = id};
    return ERR_OK;
}

enum err backup_ask(struct node *node, struct client *client, uint32_t id,
                    const msgpack_object *params)
{
    struct compaction *compaction = &node->compaction;
    struct bytes path = {0};
    if (ctl_get_str(params, "path", &path) != ERR_OK || path.size < 2 ||
        path.size > BACKUP_PATH_MAX || path.data[0] != '/' ||
        memchr(path.data, 0, path.size) != NULL) {
        client_error(client, id, ERR_USAGE, "path",
                     "path is the full path of a file that is not there yet");
        return ERR_OK;
    }
    if (compaction->backup_path != NULL) {
        client_error(client, id, ERR_BUSY, NULL, "another backup was just asked for");
        return ERR_OK;
    }
    compaction->backup_path = calloc(1, path.size + 1);
    if (compaction->backup_path == NULL) {
        return ERR_NOMEM;
    }
    bytes_copy(compaction->backup_path, path);
    compaction->backup = (struct asker){.client = client->number, .id = id};
    return ERR_OK;
}

bool compact_takes(struct node *node, struct answer *answer)
{
    struct compaction *compaction = &node->compaction;
    if (!store_erase_due(node->config.store) ||
        node_grow((void **) &compaction->erased, compaction->erased_count, &compaction->erased_cap,
                  sizeof *compaction->erased) != ERR_OK) {
        return false;
    }
    compaction->erased[compaction->erased_count++] = *answer;
    *answer = (struct answer){0};
    return true;
}

/* ---- the job ---- */

void compact_job(struct node *node)
{
    struct job *job = &node->job;
    job->err = job->kind == JOB_COMPACT
                   ? copy_compact(node->config.store, &job->copy)
                   : copy_backup(node->config.store, node->compaction.backup_path, &job->copy);
}

/* Name, cause, next step. */
static void failure_text(const struct job *job, const char *path, char *ret_text, size_t size)
{
    const struct copy *copy = &job->copy;
    const char *part = copy->where == COPY_AT_PART ? ".tmp" : "";
    if (job->err == ERR_FULL && copy->needed > 0) {
        (void) snprintf(ret_text, size,
                        "%s%s: the copy needs %llu MiB of free disk, there are %llu; make room, "
                        "then try again",
                        path, part, (unsigned long long) (copy->needed + MIB - 1) / MIB,
                        (unsigned long long) copy->free / MIB);
    } else if (job->err == ERR_EXISTS) {
        (void) snprintf(ret_text, size, "%s%s: it is there already; %s", path, part,
                        copy->where == COPY_AT_PART
                            ? "a backup that was cut short left it: remove it"
                            : "choose another name");
    } else if (copy->cause != 0) {
        (void) snprintf(ret_text, size, "%s%s: %s; choose a directory that the daemon may write to",
                        path, part, strerrordesc_np(copy->cause));
    } else {
        (void) snprintf(ret_text, size, "%s: %s", path, err_text(job->err));
    }
}

static struct buf *reply_begin(struct node *node, const struct asker *asker)
{
    struct client *client = client_find(node, asker->client);
    struct buf *out = client == NULL ? NULL : client_out(client);
    if (out != NULL) {
        ctl_put_response(out, asker->id);
    }
    return out;
}

static void reply_error(struct node *node, const struct asker *asker, enum err err,
                        const char *text)
{
    struct client *client = client_find(node, asker->client);
    if (client != NULL) {
        client_error(client, asker->id, err, NULL, text);
    }
}

static void backup_answer(struct node *node, const struct job *job)
{
    struct compaction *compaction = &node->compaction;
    const struct copy *copy = &job->copy;
    char text[BACKUP_PATH_MAX + 256];
    if (job->err != ERR_OK) {
        failure_text(job, compaction->backup_path, text, sizeof text);
        reply_error(node, &compaction->backup, job->err, text);
    }
    struct buf *out = job->err == ERR_OK ? reply_begin(node, &compaction->backup) : NULL;
    if (out != NULL) {
        pack_map(out, 4);
        pack_cstr(out, "bytes");
        pack_uint(out, copy->bytes);
        pack_cstr(out, "digest");
        pack_bin(out, BYTES_OF_ARRAY(copy->digest.bytes));
        pack_cstr(out, "entries");
        pack_uint(out, copy->entries);
        pack_cstr(out, "heads");
        pack_uint(out, copy->heads);
    }
    node_log(node, job->err == ERR_OK ? 6 : 4, "backup: %s",
             job->err == ERR_OK ? "done" : err_text(job->err));
    free(compaction->backup_path);
    compaction->backup_path = NULL;
}

static void compact_answer(struct node *node, const struct job *job, const char *failure)
{
    struct compaction *compaction = &node->compaction;
    for (size_t i = 0; i < compaction->wait_count; i++) {
        const struct asker *asker = &compaction->waits[i];
        struct buf *out = failure == NULL ? reply_begin(node, asker) : NULL;
        if (failure != NULL) {
            reply_error(node, asker, job->err, failure);
        } else if (out != NULL) {
            pack_map(out, 2);
            pack_cstr(out, "after");
            pack_uint(out, job->copy.bytes);
            pack_cstr(out, "before");
            pack_uint(out, job->copy.before);
        }
    }
    compaction->wait_count = 0;
}

/* The withdrawals themselves were committed before. */
static void erased_answer(struct node *node, const char *failure)
{
    struct compaction *compaction = &node->compaction;
    char text[512];
    (void) snprintf(text, sizeof text, "withdrawn, but the bytes are still on the disk: %s",
                    failure == NULL ? "" : failure);
    for (size_t i = 0; i < compaction->erased_count; i++) {
        struct answer *answer = &compaction->erased[i];
        const struct asker asker = {.client = answer->client, .id = answer->id};
        if (failure == NULL) {
            answer_put(node, answer);
        } else {
            reply_error(node, &asker, ERR_PARTIAL, text);
        }
        answer_done(answer);
    }
    compaction->erased_count = 0;
}

/* The copy takes the store's place. */
static enum err swap(struct node *node, struct job *job)
{
    bool swapped = false;
    if (job->err != ERR_OK) {
        return ERR_OK;
    }
    enum err err = copy_swap(node->config.store, &swapped);
    job->err = swapped ? ERR_OK : ERR_IO;
    return err;
}

/* The store is clean: who waits for a receipt gets it. What there is no room for comes later. */
static enum err swapped_said(struct node *node)
{
    enum err err = receipt_look(node);
    if (err == ERR_FULL) {
        node->undo = true;
        err = ERR_OK;
    }
    return err;
}

enum err compact_job_done(struct node *node, const struct job *done)
{
    struct compaction *compaction = &node->compaction;
    struct job job = *done;
    char text[384];
    if (job.kind == JOB_BACKUP) {
        backup_answer(node, &job);
        return ERR_OK;
    }
    enum err err = swap(node, &job);
    if (err != ERR_OK) {
        return err;
    }
    compaction->failed = job.err != ERR_OK;
    compaction->due_ms = compaction->failed ? node->now_ms + ERASE_RETRY_MS : 0;
    if (compaction->failed) {
        failure_text(&job, "the store", text, sizeof text);
        node_log(node, 4, "compact: %s", text);
    } else {
        node_log(node, 6, "compact: %llu bytes, before %llu", (unsigned long long) job.copy.bytes,
                 (unsigned long long) job.copy.before);
    }
    compact_answer(node, &job, compaction->failed ? text : NULL);
    erased_answer(node, compaction->failed ? text : NULL);
    due_review(node);
    return compaction->failed ? ERR_OK : swapped_said(node);
}

void compact_done(struct node *node)
{
    struct compaction *compaction = &node->compaction;
    for (size_t i = 0; i < compaction->erased_count; i++) {
        answer_done(&compaction->erased[i]);
    }
    free(compaction->erased);
    free(compaction->backup_path);
}
