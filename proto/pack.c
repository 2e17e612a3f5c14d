/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/pack.c: msgpack-c's packer, which already picks the shortest forms, over a struct buf. Its
 * write callback never fails: the buffer keeps the error. */
#include "proto/pack.h"

#include <msgpack/pack.h>

static int buf_write(void *buf, const char *data, size_t size)
{
    buf_put(buf, bytes_of(data, size));
    return 0;
}

static msgpack_packer packer_of(struct buf *buf)
{
    return (msgpack_packer){.data = buf, .callback = buf_write};
}

void pack_nil(struct buf *buf)
{
    msgpack_packer packer = packer_of(buf);
    (void) msgpack_pack_nil(&packer);
}

void pack_bool(struct buf *buf, bool value)
{
    msgpack_packer packer = packer_of(buf);
    (void) (value ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
}

void pack_uint(struct buf *buf, uint64_t value)
{
    msgpack_packer packer = packer_of(buf);
    (void) msgpack_pack_uint64(&packer, value);
}

void pack_int(struct buf *buf, int64_t value)
{
    if (value >= 0) {
        pack_uint(buf, (uint64_t) value);
        return;
    }
    msgpack_packer packer = packer_of(buf);
    (void) msgpack_pack_int64(&packer, value);
}

void pack_str(struct buf *buf, struct bytes text)
{
    if (text.size > UINT32_MAX) {
        buf->err = buf->err == ERR_OK ? ERR_SIZE : buf->err;
        return;
    }
    msgpack_packer packer = packer_of(buf);
    (void) msgpack_pack_str(&packer, text.size);
    buf_put(buf, text);
}

void pack_cstr(struct buf *buf, const char *text)
{
    pack_str(buf, bytes_of_str(text));
}

void pack_bin(struct buf *buf, struct bytes bytes)
{
    if (bytes.size > UINT32_MAX) {
        buf->err = buf->err == ERR_OK ? ERR_SIZE : buf->err;
        return;
    }
    msgpack_packer packer = packer_of(buf);
    (void) msgpack_pack_bin(&packer, bytes.size);
    buf_put(buf, bytes);
}

void pack_array(struct buf *buf, size_t count)
{
    if (count > UINT32_MAX) {
        buf->err = buf->err == ERR_OK ? ERR_SIZE : buf->err;
        return;
    }
    msgpack_packer packer = packer_of(buf);
    (void) msgpack_pack_array(&packer, count);
}

void pack_map(struct buf *buf, size_t count)
{
    if (count > UINT32_MAX) {
        buf->err = buf->err == ERR_OK ? ERR_SIZE : buf->err;
        return;
    }
    msgpack_packer packer = packer_of(buf);
    (void) msgpack_pack_map(&packer, count);
}

void pack_raw(struct buf *buf, struct bytes packed)
{
    buf_put(buf, packed);
}
