/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/fields.c: scan_next with a wanted kind. Fails with ERR_INVALID only, kept in `err`. */
#include "proto/fields.h"

#include "proto/scan.h"

static struct scan_item item_of(struct fields *fields, enum scan_kind kind)
{
    struct scan_item item = {0};
    size_t at = fields->at;
    if (fields->err != ERR_OK || scan_next(fields->bytes, &at, &item) != ERR_OK ||
        item.kind != kind) {
        fields->err = ERR_INVALID;
        return (struct scan_item){0};
    }
    fields->at = at;
    return item;
}

uint64_t fields_array(struct fields *fields)
{
    return item_of(fields, SCAN_ARRAY).value;
}

void fields_expect(struct fields *fields, uint64_t count)
{
    fields_want(fields, fields_array(fields) == count);
}

uint64_t fields_uint(struct fields *fields)
{
    return item_of(fields, SCAN_UINT).value;
}

struct bytes fields_str(struct fields *fields)
{
    return item_of(fields, SCAN_STR).bytes;
}

struct bytes fields_bin(struct fields *fields)
{
    return item_of(fields, SCAN_BIN).bytes;
}

void fields_copy(struct fields *fields, uint8_t *into, size_t size)
{
    struct bytes bytes = fields_bin(fields);
    if (bytes.size != size) {
        fields->err = ERR_INVALID;
        return;
    }
    bytes_copy(into, bytes);
}

struct bytes fields_raw(struct fields *fields)
{
    size_t at = fields->at;
    if (fields->err != ERR_OK || scan_skip(fields->bytes, &at) != ERR_OK) {
        fields->err = ERR_INVALID;
        return (struct bytes){0};
    }
    struct bytes raw = bytes_of(fields->bytes.data + fields->at, at - fields->at);
    fields->at = at;
    return raw;
}

void fields_want(struct fields *fields, int wanted)
{
    if (!wanted) {
        fields->err = ERR_INVALID;
    }
}

enum err fields_end(const struct fields *fields)
{
    return fields->err != ERR_OK || fields->at != fields->bytes.size ? ERR_INVALID : ERR_OK;
}
