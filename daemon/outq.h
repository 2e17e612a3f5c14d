/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/outq.h: what waits to be written to one stream, in order.
 *
 * Small pieces are joined; what the kernel takes at once is written at once; of the rest one
 * uv_write at a time is under way, so that a slow reader costs memory only here and we can see how
 * much.
 */
#ifndef ESSAIM_DAEMON_OUTQ_H
#define ESSAIM_DAEMON_OUTQ_H

#include <uv.h>

#include "base/buf.h"

#define OUTQ_FLY_MAX 32                 /* pieces in one write */
#define OUTQ_FLY_SIZE_MAX (256u * 1024) /* bytes in one write, but at least one piece */
#define OUTQ_JOIN_SIZE 4096             /* pieces below this are joined */

struct outq;
/* Something went out (ERR_OK), or the stream is broken: close it (called at most once then). */
typedef void outq_progress_fn(struct outq *outq, enum err err);

struct outq {
    uv_stream_t *stream;
    outq_progress_fn *progress;
    void *user;
    uv_write_t request;
    struct buf **items; /* items[first … first + count) wait */
    size_t first, count, cap;
    size_t offset;   /* bytes of the first item that are out already */
    size_t size;     /* bytes in all items, without offset */
    unsigned fly;    /* items in the write under way */
    size_t fly_size; /* … and their bytes */
    uint64_t sent;   /* bytes that went out in all, but for the write under way */
    bool broken;
};

void outq_init(struct outq *outq, uv_stream_t *stream, outq_progress_fn *progress, void *user);
/* Takes `piece` in any case. ERR_NOMEM: the stream can only be closed. */
MUST_USE enum err outq_take(struct outq *outq, struct buf *piece);
/* Writes what the kernel takes. ERR_NET: the stream is broken. Calls no callback. */
MUST_USE enum err outq_flush(struct outq *outq);
/* Bytes that wait, those of the write under way included as far as they are not out. */
size_t outq_size(const struct outq *outq);
/* A number that grows whenever a byte goes out. */
uint64_t outq_sent(const struct outq *outq);
/* After the stream's close callback: frees what waits. */
void outq_done(struct outq *outq);

#endif
