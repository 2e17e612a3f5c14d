/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/golden/out.h: writes vectors.json, always the same text for the same values: one vector a
 * line, bytes in hexadecimal, a msgpack value as JSON where bin is {"bin": hex}. */
#ifndef ESSAIM_TESTS_GOLDEN_OUT_H
#define ESSAIM_TESTS_GOLDEN_OUT_H

#include "base/buf.h"

#define OUT_DEPTH_MAX 16

struct out {
    struct buf text;
    unsigned depth;
    bool begun[OUT_DEPTH_MAX]; /* something stands in this container already */
};

/* `key` is NULL inside an array. `bracket` is '{' or '['. */
void out_open(struct out *out, const char *key, char bracket);
void out_close(struct out *out, char bracket);
void out_hex(struct out *out, const char *key, struct bytes bytes);
void out_text(struct out *out, const char *key, const char *text);
void out_uint(struct out *out, const char *key, uint64_t value);
/* One canonical msgpack value. */
void out_value(struct out *out, const char *key, struct bytes packed);

#endif
