/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/value.c: three walks over trees, each with its own small stack and none calling itself.
 *
 * Fails softly: what cannot be read is NULL, what cannot be kept is left out, and a buffer without
 * memory keeps its error.
 */
#include "cli/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/utf8.h"
#include "cli/escape.h"
#include "cli/when.h"
#include "proto/did.h"
#include "proto/scan.h"

#define PATH_SIZE_MAX 512

json_t *value_str(struct bytes text)
{
    const char *data = text.size == 0 ? "" : (const char *) text.data;
    if (utf8_valid(text)) {
        return json_stringn_nocheck(data, text.size);
    }
    json_t *value = json_stringn(data, text.size); /* control characters are text here */
    return value == NULL ? json_null() : value;
}

json_t *value_hex(struct bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    struct buf hex = {0};
    for (size_t i = 0; i < bytes.size; i++) {
        buf_put_u8(&hex, (uint8_t) digits[bytes.data[i] >> 4]);
        buf_put_u8(&hex, (uint8_t) digits[bytes.data[i] & 15]);
    }
    json_t *value = value_str(buf_bytes(&hex));
    buf_done(&hex);
    return value;
}

json_t *value_uint(uint64_t value)
{
    if (value <= INT64_MAX) {
        return json_integer((json_int_t) value);
    }
    char text[24];
    (void) snprintf(text, sizeof text, "%" PRIu64, value);
    return json_pack("{s:s}", "$uint", text);
}

json_t *value_when(uint64_t seconds)
{
    char text[WHEN_SIZE_MAX];
    when_print(seconds, text);
    return json_string(text);
}

void value_set(json_t *object, const char *key, json_t *value)
{
    (void) json_object_set_new_nocheck(object, key, value);
}

static bool hex_read(const char *text, uint8_t *into, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    if (text == NULL || strlen(text) != 2 * size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        const char *high = strchr(digits, text[2 * i]);
        const char *low = strchr(digits, text[2 * i + 1]);
        if (high == NULL || low == NULL) {
            return false;
        }
        into[i] = (uint8_t) ((high - digits) << 4 | (low - digits));
    }
    return true;
}

void value_bin_text(json_t *object, const char *key, bool did)
{
    const char *hex = json_string_value(json_object_get(json_object_get(object, key), "$bin"));
    struct lab_id lab;
    if (did && hex_read(hex, lab.bytes, sizeof lab.bytes)) {
        char text[DID_SIZE_MAX];
        did_encode(&lab, text);
        value_set(object, key, json_string(text));
    } else if (hex != NULL) {
        value_set(object, key, json_string(hex));
    }
}

void value_when_text(json_t *object, const char *key)
{
    const json_t *seconds = json_object_get(object, key);
    if (json_is_integer(seconds) && json_integer_value(seconds) >= 0) {
        value_set(object, key, value_when((uint64_t) json_integer_value(seconds)));
    }
}

/* ---- from msgpack ---- */

struct unpack_level {
    json_t *container; /* owned by what holds it */
    uint64_t left;
    char *key; /* of the next value, in a map; owned */
};

static json_t *value_of_item(const struct scan_item *item)
{
    switch (item->kind) {
    case SCAN_BOOL:
        return json_boolean(item->value != 0);
    case SCAN_UINT:
        return value_uint(item->value);
    case SCAN_INT:
        return json_integer(item->negative);
    case SCAN_STR:
        return value_str(item->bytes);
    case SCAN_BIN: {
        json_t *object = json_object();
        value_set(object, "$bin", value_hex(item->bytes));
        return object;
    }
    case SCAN_ARRAY:
        return json_array();
    case SCAN_MAP:
        return json_object();
    default:
        return json_null();
    }
}

/* A key was read: kept until its value comes. */
static bool key_keep(struct unpack_level *level, const struct scan_item *item)
{
    if (item->kind != SCAN_STR || !utf8_valid(item->bytes) ||
        (item->bytes.size > 0 && memchr(item->bytes.data, 0, item->bytes.size) != NULL)) {
        return false;
    }
    level->key = calloc(1, item->bytes.size + 1);
    if (level->key != NULL) {
        bytes_copy(level->key, item->bytes);
    }
    return level->key != NULL;
}

static bool value_hang(struct unpack_level *level, json_t *value)
{
    level->left--;
    if (json_is_array(level->container)) {
        return json_array_append_new(level->container, value) == 0;
    }
    int failed = json_object_set_new_nocheck(level->container, level->key, value);
    free(level->key);
    level->key = NULL;
    return failed == 0;
}

static bool unpack_all(struct bytes packed, struct unpack_level *levels, json_t **ret_root)
{
    size_t at = 0;
    unsigned depth = 0;
    while (*ret_root == NULL || depth > 0) {
        struct unpack_level *level = depth > 0 ? &levels[depth - 1] : NULL;
        struct scan_item item;
        if (level != NULL && level->left == 0) {
            depth--;
            continue;
        }
        if (scan_next(packed, &at, &item) != ERR_OK) {
            return false;
        }
        if (level != NULL && json_is_object(level->container) && level->key == NULL) {
            if (!key_keep(level, &item)) {
                return false;
            }
            continue;
        }
        json_t *value = value_of_item(&item);
        if (value == NULL || (level != NULL && !value_hang(level, value))) {
            return false;
        }
        if (*ret_root == NULL) {
            *ret_root = value;
        }
        if (item.kind == SCAN_ARRAY || item.kind == SCAN_MAP) {
            if (depth == VALUE_DEPTH_MAX) {
                return false;
            }
            levels[depth++] = (struct unpack_level){.container = value, .left = item.value};
        }
    }
    return at == packed.size;
}

json_t *value_unpack(struct bytes packed)
{
    struct unpack_level levels[VALUE_DEPTH_MAX] = {0};
    json_t *root = NULL;
    bool good = unpack_all(packed, levels, &root);
    for (size_t i = 0; i < VALUE_DEPTH_MAX; i++) {
        free(levels[i].key);
    }
    if (!good) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* ---- walking ---- */

/* An open container, and where we are in it. */
struct walk_level {
    const json_t *container;
    void *iter;   /* object */
    size_t index; /* array */
    size_t path_size;
};

static const json_t *level_value(const struct walk_level *level)
{
    if (json_is_array(level->container)) {
        return json_array_get(level->container, level->index);
    }
    return level->iter == NULL ? NULL : json_object_iter_value(level->iter);
}

static void level_open(struct walk_level *level, const json_t *container)
{
    *level = (struct walk_level){.container = container};
    if (json_is_object(container)) {
        level->iter = json_object_iter((json_t *) container);
    }
}

static void level_next(struct walk_level *level)
{
    level->index++;
    if (level->iter != NULL) {
        level->iter = json_object_iter_next((json_t *) level->container, level->iter);
    }
}

static void json_text(struct buf *into, struct bytes text)
{
    buf_put_u8(into, '"');
    escape_put(into, text, ESCAPE_JSON);
    buf_put_u8(into, '"');
}

static void json_scalar(struct buf *into, const json_t *value)
{
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_STRING:
        json_text(into, bytes_of(json_string_value(value), json_string_length(value)));
        break;
    case JSON_INTEGER:
        buf_printf(into, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_TRUE:
        buf_put_str(into, "true");
        break;
    case JSON_FALSE:
        buf_put_str(into, "false");
        break;
    default:
        buf_put_str(into, "null");
        break;
    }
}

static bool is_container(const json_t *value)
{
    return json_is_object(value) || json_is_array(value);
}

void value_put_json(struct buf *into, const json_t *value)
{
    struct walk_level levels[VALUE_DEPTH_MAX];
    unsigned depth = 0;
    const json_t *next = value;
    while (true) {
        if (is_container(next) && depth < VALUE_DEPTH_MAX) {
            buf_put_u8(into, json_is_object(next) ? '{' : '[');
            level_open(&levels[depth++], next);
        } else {
            json_scalar(into, next);
            if (depth > 0) {
                level_next(&levels[depth - 1]);
            }
        }
        while (depth > 0 && level_value(&levels[depth - 1]) == NULL) {
            buf_put_u8(into, json_is_object(levels[depth - 1].container) ? '}' : ']');
            depth--;
            if (depth > 0) {
                level_next(&levels[depth - 1]);
            }
        }
        if (depth == 0) {
            return;
        }
        struct walk_level *level = &levels[depth - 1];
        if (level->index > 0) {
            buf_put_u8(into, ',');
        }
        if (level->iter != NULL) {
            json_text(into, bytes_of_str(json_object_iter_key(level->iter)));
            buf_put_u8(into, ':');
        }
        next = level_value(level);
    }
}

static void path_put(char path[PATH_SIZE_MAX], const struct walk_level *level)
{
    size_t size = level->path_size;
    const char *dot = size > 0 ? "." : "";
    if (level->iter != NULL) {
        (void) snprintf(path + size, PATH_SIZE_MAX - size, "%s%s", dot,
                        json_object_iter_key(level->iter));
    } else {
        (void) snprintf(path + size, PATH_SIZE_MAX - size, "%s%zu", dot, level->index);
    }
}

void value_leaves(const json_t *value, value_leaf_fn *each, void *user)
{
    struct walk_level levels[VALUE_DEPTH_MAX];
    char path[PATH_SIZE_MAX] = "";
    unsigned depth = 1;
    if (!is_container(value)) {
        each(user, path, value);
        return;
    }
    level_open(&levels[0], value);
    while (depth > 0) {
        struct walk_level *level = &levels[depth - 1];
        const json_t *next = level_value(level);
        if (next == NULL) {
            depth--;
            continue;
        }
        path_put(path, level);
        level_next(level);
        if (is_container(next) && depth < VALUE_DEPTH_MAX) {
            level_open(&levels[depth], next);
            levels[depth++].path_size = strlen(path);
        } else {
            each(user, path, next);
        }
    }
}

const json_t *value_at(const json_t *value, const char *path)
{
    const json_t *found = value;
    const char *at = path;
    while (found != NULL && *at != '\0') {
        size_t size = strcspn(at, ".");
        if (json_is_array(found)) {
            char *end = NULL;
            unsigned long index = strtoul(at, &end, 10);
            found = end == at + size && size > 0 ? json_array_get(found, index) : NULL;
        } else {
            char key[PATH_SIZE_MAX];
            (void) snprintf(key, sizeof key, "%.*s", (int) size, at);
            found = json_object_get(found, key);
        }
        at += size + (at[size] == '.' ? 1 : 0);
    }
    return found;
}

void value_put_text(struct buf *into, const json_t *value)
{
    if (value == NULL || json_is_null(value)) {
        return;
    }
    if (json_is_string(value)) {
        buf_put(into, bytes_of(json_string_value(value), json_string_length(value)));
    } else {
        value_put_json(into, value);
    }
}
