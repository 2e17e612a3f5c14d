/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/outq.c: see outq.h.
 *
 * take: append, joining small pieces. flush: uv_try_write as long as the kernel takes everything
 * offered; then one uv_write whose completion drops its pieces, reports and flushes again. Fails
 * with ERR_NOMEM and ERR_NET; after ERR_NET nothing is written any more.
 */
#include "daemon/outq.h"

#include <stdlib.h>

#include "base/must.h"

void outq_init(struct outq *outq, uv_stream_t *stream, outq_progress_fn *progress, void *user)
{
    *outq = (struct outq){.stream = stream, .progress = progress, .user = user};
}

/* Room for one more item at the end. */
static enum err grow(struct outq *outq)
{
    if (outq->first + outq->count < outq->cap) {
        return ERR_OK;
    }
    if (outq->first > 0) {
        memmove(outq->items, outq->items + outq->first, outq->count * sizeof(struct buf *));
        outq->first = 0;
        return ERR_OK;
    }
    size_t cap = outq->cap == 0 ? 8 : 2 * outq->cap;
    struct buf **items = realloc(outq->items, cap * sizeof *items);
    if (items == NULL) {
        return ERR_NOMEM;
    }
    outq->items = items;
    outq->cap = cap;
    return ERR_OK;
}

enum err outq_take(struct outq *outq, struct buf *piece)
{
    if (piece->size == 0 || outq->broken) {
        buf_free(piece);
        return ERR_OK;
    }
    if (piece->size < OUTQ_JOIN_SIZE && outq->count > outq->fly) {
        struct buf *last = outq->items[outq->first + outq->count - 1];
        if (last->size < OUTQ_JOIN_SIZE && last->size_max == 0) {
            buf_put(last, buf_bytes(piece));
            if (last->err == ERR_OK) {
                outq->size += piece->size;
                buf_free(piece);
                return ERR_OK;
            }
            last->err = ERR_OK; /* it stays a piece of its own */
        }
    }
    enum err err = grow(outq);
    if (err != ERR_OK) {
        buf_free(piece);
        return err;
    }
    outq->items[outq->first + outq->count] = piece;
    outq->count++;
    outq->size += piece->size;
    return ERR_OK;
}

/* Drops the first `size` bytes. */
static void drop(struct outq *outq, size_t size)
{
    must(size <= outq->size);
    outq->size -= size;
    outq->sent += size;
    size += outq->offset;
    while (outq->count > 0 && size >= outq->items[outq->first]->size) {
        size -= outq->items[outq->first]->size;
        buf_free(outq->items[outq->first]);
        outq->first++;
        outq->count--;
    }
    outq->offset = size;
    if (outq->count == 0) {
        outq->first = 0;
    }
}

/* The pieces of the next write. */
static unsigned gather(const struct outq *outq, uv_buf_t pieces[OUTQ_FLY_MAX], size_t *ret_size)
{
    unsigned count = 0;
    size_t size = 0;
    while (count < OUTQ_FLY_MAX && count < outq->count && size < OUTQ_FLY_SIZE_MAX) {
        struct buf *item = outq->items[outq->first + count];
        size_t from = count == 0 ? outq->offset : 0;
        pieces[count] = uv_buf_init((char *) item->data + from, (unsigned) (item->size - from));
        size += item->size - from;
        count++;
    }
    *ret_size = size;
    return count;
}

static void on_written(uv_write_t *request, int status)
{
    struct outq *outq = request->data;
    size_t size = outq->fly_size;
    outq->fly = 0;
    outq->fly_size = 0;
    if (uv_is_closing((uv_handle_t *) outq->stream)) { /* outq_done frees */
        return;
    }
    if (status == 0) {
        drop(outq, size);
    }
    enum err err = status == 0 ? outq_flush(outq) : ERR_NET;
    outq->broken = err != ERR_OK;
    outq->progress(outq, err);
}

static enum err fly(struct outq *outq, const uv_buf_t *pieces, unsigned count, size_t size)
{
    outq->request.data = outq;
    if (uv_write(&outq->request, outq->stream, pieces, count, on_written) != 0) {
        return ERR_NET;
    }
    outq->fly = count;
    outq->fly_size = size;
    return ERR_OK;
}

enum err outq_flush(struct outq *outq)
{
    while (outq->count > 0 && outq->fly == 0 && !outq->broken) {
        uv_buf_t pieces[OUTQ_FLY_MAX];
        size_t size = 0;
        unsigned count = gather(outq, pieces, &size);
        int done = uv_try_write(outq->stream, pieces, count);
        if (done < 0 && done != UV_EAGAIN) {
            outq->broken = true;
            return ERR_NET;
        }
        if (done > 0) {
            drop(outq, (size_t) done);
        }
        if (done > 0 && (size_t) done == size) {
            continue;
        }
        count = gather(outq, pieces, &size);
        enum err err = fly(outq, pieces, count, size);
        if (err != ERR_OK) {
            outq->broken = true;
            return err;
        }
    }
    return outq->broken ? ERR_NET : ERR_OK;
}

size_t outq_size(const struct outq *outq)
{
    if (outq->fly == 0) {
        return outq->size;
    }
    return outq->size - outq->fly_size + uv_stream_get_write_queue_size(outq->stream);
}

uint64_t outq_sent(const struct outq *outq)
{
    if (outq->fly == 0) {
        return outq->sent;
    }
    return outq->sent + outq->fly_size - uv_stream_get_write_queue_size(outq->stream);
}

void outq_done(struct outq *outq)
{
    for (size_t i = 0; i < outq->count; i++) {
        buf_free(outq->items[outq->first + i]);
    }
    free(outq->items);
    *outq = (struct outq){0};
}
