/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/fields.h: reads the items of a canonical array one after the other, with a sticky error.
 *
 * For objects with exact fields: after scan_strict, take each item by its type; the first that does
 * not fit sets `err` to ERR_INVALID and the rest give zeroes; fields_end also wants nothing left
 * over. Views point into the bytes.
 */
#ifndef ESSAIM_PROTO_FIELDS_H
#define ESSAIM_PROTO_FIELDS_H

#include "base/bytes.h"
#include "base/err.h"

struct fields {
    struct bytes bytes;
    size_t at;
    enum err err;
};

static inline struct fields fields_of(struct bytes bytes)
{
    return (struct fields){.bytes = bytes, .err = ERR_OK};
}

/* An array head; its item count, 0 once failed. */
uint64_t fields_array(struct fields *fields);
/* An array head of exactly `count` items. */
void fields_expect(struct fields *fields, uint64_t count);
uint64_t fields_uint(struct fields *fields);
struct bytes fields_str(struct fields *fields);
struct bytes fields_bin(struct fields *fields);
/* A bin of exactly `size` bytes, copied. */
void fields_copy(struct fields *fields, uint8_t *into, size_t size);
/* One whole value of any type, raw. */
struct bytes fields_raw(struct fields *fields);
/* The sticky error, or ERR_INVALID when `wanted` does not hold: for checks of values. */
void fields_want(struct fields *fields, int wanted);
MUST_USE enum err fields_end(const struct fields *fields);

#endif
