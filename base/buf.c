/* SPDX-License-Identifier: EUPL-1.2 */
/* base/buf.c: the growing buffer. Every append goes through buf_extend, which keeps the bounds. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

#define BUF_CAP_MIN 64u

void buf_init(struct buf *buf, size_t size_max)
{
    *buf = (struct buf){.size_max = size_max};
}

void buf_done(struct buf *buf)
{
    if (buf == NULL) {
        return;
    }
    free(buf->data);
    buf_init(buf, buf->size_max);
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->err = ERR_OK;
}

enum err buf_reserve(struct buf *buf, size_t size)
{
    if (buf->err != ERR_OK) {
        return buf->err;
    }
    if (size > SIZE_MAX / 2 - buf->size ||
        (buf->size_max != 0 && buf->size + size > buf->size_max)) {
        buf->err = ERR_SIZE;
        return buf->err;
    }
    size_t need = buf->size + size;
    if (need <= buf->cap) {
        return ERR_OK;
    }
    size_t cap = buf->cap < BUF_CAP_MIN ? BUF_CAP_MIN : buf->cap;
    while (cap < need) {
        cap *= 2;
    }
    if (buf->size_max != 0 && cap > buf->size_max) {
        cap = buf->size_max;
    }
    uint8_t *data = realloc(buf->data, cap);
    if (data == NULL) {
        buf->err = ERR_NOMEM;
        return buf->err;
    }
    buf->data = data;
    buf->cap = cap;
    return ERR_OK;
}

uint8_t *buf_extend(struct buf *buf, size_t size)
{
    if (buf_reserve(buf, size) != ERR_OK) {
        return NULL;
    }
    uint8_t *at = buf->data + buf->size;
    buf->size += size;
    return at;
}

void buf_put(struct buf *buf, struct bytes bytes)
{
    if (bytes.size == 0) {
        return;
    }
    uint8_t *at = buf_extend(buf, bytes.size);
    if (at != NULL) {
        memcpy(at, bytes.data, bytes.size);
    }
}

void buf_join(struct buf *buf, const struct buf *from)
{
    if (buf->err == ERR_OK) {
        buf->err = from->err;
    }
    buf_put(buf, buf_bytes(from));
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
    buf_put(buf, bytes_of(&value, 1));
}

void buf_put_str(struct buf *buf, const char *text)
{
    buf_put(buf, bytes_of_str(text));
}

void buf_shift(struct buf *buf, size_t size)
{
    must(size <= buf->size);
    if (size > 0) {
        memmove(buf->data, buf->data + size, buf->size - size);
        buf->size -= size;
    }
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    must(size >= 0);
    if (buf_reserve(buf, (size_t) size + 1) != ERR_OK) {
        return;
    }
    va_start(args, format);
    (void) vsnprintf((char *) buf->data + buf->size, (size_t) size + 1, format, args);
    va_end(args);
    buf->size += (size_t) size;
}

struct buf *buf_new(size_t cap)
{
    struct buf *buf = calloc(1, sizeof *buf);
    if (buf != NULL && cap > 0 && buf_reserve(buf, cap) != ERR_OK) {
        free(buf);
        return NULL;
    }
    return buf;
}

void buf_free(struct buf *buf)
{
    buf_done(buf);
    free(buf);
}
