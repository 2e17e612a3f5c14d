/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/pack.h: writes canonical msgpack into a struct buf (over msgpack-c's packer). Errors are
 * the buffer's sticky one. Map keys must be packed by the caller in ascending byte order: encoders
 * end with a must() on scan_strict. */
#ifndef ESSAIM_PROTO_PACK_H
#define ESSAIM_PROTO_PACK_H

#include <stdbool.h>

#include "base/buf.h"

void pack_nil(struct buf *buf);
void pack_bool(struct buf *buf, bool value);
void pack_uint(struct buf *buf, uint64_t value);
void pack_int(struct buf *buf, int64_t value); /* shortest form, unsigned forms when >= 0 */
void pack_str(struct buf *buf, struct bytes text);
void pack_cstr(struct buf *buf, const char *text);
void pack_bin(struct buf *buf, struct bytes bytes);
void pack_array(struct buf *buf, size_t count);
void pack_map(struct buf *buf, size_t count);
/* Appends bytes that are one packed value already. */
void pack_raw(struct buf *buf, struct bytes packed);

#endif
