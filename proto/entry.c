/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/entry.c: an entry is one canonical array [slug, rev, kind, body].
 *
 * The limits on the body are applied in the one pass over the whole: the array around it adds one
 * level and four nodes (itself, slug, rev, kind), which cannot be anything but single nodes.
 */
#include "proto/entry.h"

#include "base/limits.h"
#include "proto/fields.h"
#include "proto/pack.h"
#include "proto/scan.h"

static const struct scan_limits entry_limits = {.depth_max = PACK_DEPTH_MAX + 1,
                                                .nodes_max = BODY_NODES_MAX + 4};

static bool is_lower(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

bool slug_valid(struct bytes slug)
{
    if (slug.size == 0 || slug.size > SLUG_SIZE_MAX || slug.data[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < slug.size; i++) {
        if (!is_lower(slug.data[i]) && !is_digit(slug.data[i]) && slug.data[i] != '-') {
            return false;
        }
    }
    return true;
}

bool kind_valid(struct bytes kind)
{
    return kind.size <= KIND_SIZE_MAX && slug_valid(kind) && is_lower(kind.data[0]);
}

bool audience_valid(struct bytes audience)
{
    if (audience.size == 0 || audience.size > AUDIENCE_SIZE_MAX ||
        !(is_lower(audience.data[0]) || is_digit(audience.data[0]))) {
        return false;
    }
    for (size_t i = 0; i < audience.size; i++) {
        uint8_t byte = audience.data[i];
        if (!is_lower(byte) && !is_digit(byte) && memchr(":._-", byte, 4) == NULL) {
            return false;
        }
    }
    return true;
}

enum err entry_peek(struct bytes bytes, struct entry *ret_entry)
{
    struct fields fields = fields_of(bytes);
    fields_expect(&fields, 4);
    struct entry entry = {.slug = fields_str(&fields)};
    entry.rev = fields_uint(&fields);
    entry.kind = fields_str(&fields);
    size_t at = fields.at;
    if (fields.err != ERR_OK) {
        return ERR_INVALID;
    }
    entry.body = bytes_of(bytes.data + at, bytes.size - at);
    struct scan_item body;
    if (scan_next(bytes, &at, &body) != ERR_OK || body.kind != SCAN_MAP) {
        return ERR_INVALID;
    }
    if (!slug_valid(entry.slug)) {
        return ERR_SLUG;
    }
    if (!kind_valid(entry.kind) || entry.rev == 0) {
        return ERR_INVALID;
    }
    *ret_entry = entry;
    return ERR_OK;
}

enum err entry_decode(struct bytes bytes, struct entry *ret_entry)
{
    if (bytes.size > ENTRY_SIZE_MAX) {
        return ERR_SIZE;
    }
    enum err err = scan_strict(bytes, entry_limits);
    if (err != ERR_OK) {
        return err;
    }
    return entry_peek(bytes, ret_entry);
}

enum err entry_encode(const struct entry *entry, struct buf *into)
{
    if (!slug_valid(entry->slug)) {
        return ERR_SLUG;
    }
    if (!kind_valid(entry->kind) || entry->rev == 0) {
        return ERR_INVALID;
    }
    if (entry->body.size > ENTRY_SIZE_MAX) {
        return ERR_SIZE;
    }
    size_t before = into->size;
    pack_array(into, 4);
    pack_str(into, entry->slug);
    pack_uint(into, entry->rev);
    pack_str(into, entry->kind);
    pack_raw(into, entry->body);
    if (into->err != ERR_OK) {
        return into->err;
    }
    /* decode(encode(x)) == x, or x is refused: the checks of the body are those of the receiver. */
    struct entry again;
    enum err err = entry_decode(bytes_of(into->data + before, into->size - before), &again);
    if (err != ERR_OK) {
        into->size = before;
    }
    return err;
}

static size_t rev_size(uint64_t rev)
{
    return rev < 128 ? 1 : rev <= UINT8_MAX ? 2 : rev <= UINT16_MAX ? 3 : rev <= UINT32_MAX ? 5 : 9;
}

size_t entry_size_under(size_t size, uint64_t rev, uint64_t other_rev)
{
    return size - rev_size(rev) + rev_size(other_rev);
}

struct hash entry_leaf(struct bytes bytes)
{
    return hash_of(TAG_LEAF, bytes);
}

enum err entry_field(const struct entry *entry, const char *name, struct bytes *ret_value)
{
    struct bytes wanted = bytes_of_str(name);
    struct scan_item map;
    size_t at = 0;
    if (scan_next(entry->body, &at, &map) != ERR_OK || map.kind != SCAN_MAP) {
        return ERR_NOT_FOUND;
    }
    for (uint64_t i = 0; i < map.value; i++) {
        struct scan_item key;
        if (scan_next(entry->body, &at, &key) != ERR_OK || key.kind != SCAN_STR) {
            return ERR_NOT_FOUND;
        }
        size_t from = at;
        if (scan_skip(entry->body, &at) != ERR_OK) {
            return ERR_NOT_FOUND;
        }
        int order = bytes_compare(key.bytes, wanted);
        if (order == 0) {
            *ret_value = bytes_of(entry->body.data + from, at - from);
            return ERR_OK;
        }
        if (order > 0) { /* keys ascend */
            return ERR_NOT_FOUND;
        }
    }
    return ERR_NOT_FOUND;
}
