/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * base/buf.h: a growing byte buffer with a sticky error.
 *
 * A zeroed struct buf is empty and ready. Appends never fail loudly: when memory or `size_max` runs
 * out `err` is set (ERR_NOMEM, ERR_SIZE), further appends do nothing, and whoever built the buffer
 * checks `err` once at the end.
 */
#ifndef ESSAIM_BASE_BUF_H
#define ESSAIM_BASE_BUF_H

#include "base/bytes.h"
#include "base/err.h"

struct buf {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t cap;      /* bytes allocated */
    size_t size_max; /* 0 = no bound of its own */
    enum err err;    /* sticky */
};

void buf_init(struct buf *buf, size_t size_max);
/* Frees the memory and leaves an empty, usable buffer. Accepts NULL and zeroed buffers. */
void buf_done(struct buf *buf);
/* Empties, keeps the memory, clears the error. */
void buf_clear(struct buf *buf);
/* Room for `size` more bytes, now or ERR_NOMEM / ERR_SIZE (also kept in buf->err). */
enum err buf_reserve(struct buf *buf, size_t size);
void buf_put(struct buf *buf, struct bytes bytes);
/* Appends what another buffer holds; its error becomes this one's. */
void buf_join(struct buf *buf, const struct buf *from);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_str(struct buf *buf, const char *text);
/* Appends `size` bytes for the caller to fill; NULL when that failed. Valid until the next append.
 */
uint8_t *buf_extend(struct buf *buf, size_t size);
/* Drops the first `size` bytes (size <= buf->size), moving the rest to the front. */
void buf_shift(struct buf *buf, size_t size);
/* printf into the buffer. */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* On the heap, for handing over. buf_new returns NULL without memory; buf_free accepts NULL. */
struct buf *buf_new(size_t cap);
void buf_free(struct buf *buf);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_of(buf->data, buf->size);
}

#endif
