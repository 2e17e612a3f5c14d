/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/value.h: values as trees (json_t): from canonical msgpack, and to JSON text.
 *
 * JSON has no byte strings and jansson no integers beyond 63 bits: bytes become {"$bin": hex} and
 * such integers {"$uint": decimal}.
 */
#ifndef ESSAIM_CLI_VALUE_H
#define ESSAIM_CLI_VALUE_H

#include <jansson.h>

#include "base/buf.h"

#define VALUE_DEPTH_MAX 24

/* One packed value; NULL when it is malformed, nested deeper than VALUE_DEPTH_MAX, or memory is
 * out. The caller owns the tree. */
json_t *value_unpack(struct bytes packed);

/* Bytes at object[key] become hexadecimal text, or with `did` a lab id's did:key. */
void value_bin_text(json_t *object, const char *key, bool did);
/* Seconds at object[key] become RFC 3339. */
void value_when_text(json_t *object, const char *key);

/* The tree as JSON on one line, every hidden character escaped (cli/escape.h). */
void value_put_json(struct buf *into, const json_t *value);

/* The value at "a.b.0.c"; NULL when it is not there. Borrowed. */
const json_t *value_at(const json_t *value, const char *path);

/* Text of a value for a table or a field: strings as they are, numbers, true, false; JSON for maps
 * and lists; nothing for null and NULL. Not escaped. */
void value_put_text(struct buf *into, const json_t *value);

/* Appends each leaf with its path ("title.fr", "orgs.0.name") to `each`. */
typedef void value_leaf_fn(void *user, const char *path, const json_t *leaf);
void value_leaves(const json_t *value, value_leaf_fn *each, void *user);

/* New strings from views; invalid UTF-8 gives null. */
json_t *value_str(struct bytes text);
json_t *value_hex(struct bytes bytes);
json_t *value_uint(uint64_t value);
json_t *value_when(uint64_t seconds);
/* json_object_set_new that goes on without memory: the program then reports it at the end. */
void value_set(json_t *object, const char *key, json_t *value);

#endif
