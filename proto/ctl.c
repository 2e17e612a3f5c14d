/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/ctl.c: the table of methods, and msgpack-RPC on top of msgpack-c.
 *
 * Happy path: ctl_frame measures one message in a stream, ctl_decode unpacks and checks it, the
 * ctl_get functions read its map. How it fails: bytes that are no msgpack-RPC of ours give
 * ERR_MALFORMED, too many of them ERR_SIZE; nothing is unpacked before the pre-scan allowed it.
 */
#include "proto/ctl.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define TYPE_REQUEST 0
#define TYPE_RESPONSE 1
#define TYPE_NOTIFICATION 2
#define METHOD_SIZE_MAX 64
#define PARAMS_COUNT_MAX 64 /* bounds the look for equal keys */

/* clang-format off */
#define ROW(method, least, changes) [CTL_##method] = {#method, ROLE_##least, changes},
/* clang-format on */
static const struct {
    const char *name;
    enum role role;
    bool writes;
} rows[CTL_COUNT] = {CTL_TABLE(ROW)};

static const struct scan_limits limits = {.depth_max = CTL_DEPTH_MAX,
                                          .nodes_max = CTL_MSG_SIZE_MAX};

const char *ctl_name(enum ctl_method method)
{
    return (size_t) method < CTL_COUNT ? rows[method].name : "?";
}

enum role ctl_role(enum ctl_method method)
{
    return (size_t) method < CTL_COUNT ? rows[method].role : ROLE_ADMIN;
}

bool ctl_writes(enum ctl_method method)
{
    return (size_t) method >= CTL_COUNT || rows[method].writes;
}

enum err ctl_find(struct bytes name, enum ctl_method *ret_method)
{
    for (unsigned i = 0; i < CTL_COUNT; i++) {
        if (bytes_equal(name, bytes_of_str(rows[i].name))) {
            *ret_method = (enum ctl_method) i;
            return ERR_OK;
        }
    }
    return ERR_UNSUPPORTED;
}

const char *role_name(enum role role)
{
    static const char *const names[] = {
        [ROLE_NONE] = "none",   [ROLE_READER] = "reader",
        [ROLE_AGENT] = "agent", [ROLE_COORDINATOR] = "coordinator",
        [ROLE_ADMIN] = "admin",
    };
    return (size_t) role < sizeof names / sizeof names[0] ? names[role] : "?";
}

/* ---- decode ---- */

enum err ctl_frame(struct bytes stream, size_t *ret_size)
{
    if (stream.size == 0) {
        return ERR_MORE;
    }
    bool cut = stream.size >= CTL_MSG_SIZE_MAX;
    struct bytes window = bytes_of(stream.data, cut ? CTL_MSG_SIZE_MAX : stream.size);
    enum err err = scan_lenient(window, limits, ret_size);
    /* A message that goes on behind the largest window there may be is too large. */
    return err == ERR_MORE && cut ? ERR_SIZE : err;
}

static bool text_get(const msgpack_object *object, struct bytes *ret_text)
{
    if (object->type == MSGPACK_OBJECT_STR) {
        *ret_text = bytes_of(object->via.str.ptr, object->via.str.size);
        return true;
    }
    if (object->type == MSGPACK_OBJECT_BIN) { /* what clients of the old specification call raw */
        *ret_text = bytes_of(object->via.bin.ptr, object->via.bin.size);
        return true;
    }
    return false;
}

static bool keys_differ(const msgpack_object_map *map)
{
    if (map->size > PARAMS_COUNT_MAX) {
        return false;
    }
    struct bytes keys[PARAMS_COUNT_MAX];
    for (uint32_t i = 0; i < map->size; i++) {
        if (!text_get(&map->ptr[i].key, &keys[i])) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (bytes_equal(keys[i], keys[j])) {
                return false;
            }
        }
    }
    return true;
}

/* nil, [], [nil] or [map]: the map, or nil. */
static enum err params_get(const msgpack_object *object, msgpack_object *ret_params)
{
    msgpack_object params = {.type = MSGPACK_OBJECT_NIL};
    if (object->type == MSGPACK_OBJECT_ARRAY && object->via.array.size <= 1) {
        if (object->via.array.size == 1) {
            params = object->via.array.ptr[0];
        }
    } else if (object->type != MSGPACK_OBJECT_NIL) {
        return ERR_MALFORMED;
    }
    if (params.type != MSGPACK_OBJECT_NIL &&
        (params.type != MSGPACK_OBJECT_MAP || !keys_differ(&params.via.map))) {
        return ERR_MALFORMED;
    }
    *ret_params = params;
    return ERR_OK;
}

static enum err call_get(const msgpack_object *method, const msgpack_object *params,
                         struct ctl_msg *msg)
{
    if (!text_get(method, &msg->method) || msg->method.size == 0 ||
        msg->method.size > METHOD_SIZE_MAX || !utf8_valid_line(msg->method)) {
        return ERR_MALFORMED;
    }
    return params_get(params, &msg->params);
}

/* The array of the message: type, id, and what the type asks for. */
static enum err message_get(const msgpack_object_array *array, struct ctl_msg *msg)
{
    const msgpack_object *items = array->ptr;
    if (array->size < 3 || items[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        items[0].via.u64 > TYPE_NOTIFICATION) {
        return ERR_MALFORMED;
    }
    msg->type = (unsigned) items[0].via.u64;
    if (msg->type == TYPE_NOTIFICATION) {
        return array->size == 3 ? call_get(&items[1], &items[2], msg) : ERR_MALFORMED;
    }
    if (items[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER || items[1].via.u64 > UINT32_MAX) {
        return ERR_MALFORMED;
    }
    msg->id = (uint32_t) items[1].via.u64;
    if (array->size != 4) {
        return ERR_MALFORMED;
    }
    if (msg->type == TYPE_REQUEST) {
        return call_get(&items[2], &items[3], msg);
    }
    msg->error = items[2];
    msg->result = items[3];
    return ERR_OK;
}

static void message_clear(struct ctl_msg *msg)
{
    *msg = (struct ctl_msg){.params = {.type = MSGPACK_OBJECT_NIL},
                            .error = {.type = MSGPACK_OBJECT_NIL},
                            .result = {.type = MSGPACK_OBJECT_NIL}};
    msgpack_unpacked_init(&msg->unpacked);
}

enum err ctl_decode(struct bytes bytes, struct ctl_msg *ret_msg)
{
    message_clear(ret_msg);
    size_t size = 0, at = 0;
    /* Never msgpack-c without the pre-scan: it allocates what a count claims. */
    if (bytes.size == 0 || bytes.size > CTL_MSG_SIZE_MAX ||
        scan_lenient(bytes, limits, &size) != ERR_OK || size != bytes.size) {
        return ERR_MALFORMED;
    }
    msgpack_unpack_return unpacked =
        msgpack_unpack_next(&ret_msg->unpacked, (const char *) bytes.data, bytes.size, &at);
    enum err err = ERR_OK;
    if (unpacked == MSGPACK_UNPACK_NOMEM_ERROR) {
        err = ERR_NOMEM;
    } else if (unpacked != MSGPACK_UNPACK_SUCCESS || at != bytes.size ||
               ret_msg->unpacked.data.type != MSGPACK_OBJECT_ARRAY) {
        err = ERR_MALFORMED;
    } else {
        err = message_get(&ret_msg->unpacked.data.via.array, ret_msg);
    }
    if (err != ERR_OK) {
        unsigned type = ret_msg->type;
        uint32_t id = ret_msg->id;
        ctl_done(ret_msg);
        ret_msg->type = type; /* for the error response */
        ret_msg->id = id;
    }
    return err;
}

void ctl_done(struct ctl_msg *msg)
{
    if (msg != NULL) {
        msgpack_unpacked_destroy(&msg->unpacked);
        message_clear(msg);
    }
}

/* ---- lookups ---- */

const msgpack_object *ctl_get(const msgpack_object *map, const char *key)
{
    if (map == NULL || map->type != MSGPACK_OBJECT_MAP) {
        return NULL;
    }
    struct bytes wanted = bytes_of_str(key), found;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        if (text_get(&pair->key, &found) && bytes_equal(found, wanted)) {
            return &pair->val;
        }
    }
    return NULL;
}

/* The value if it is of `type`; nil is how many clients say absent. */
static enum err typed_get(const msgpack_object *map, const char *key, msgpack_object_type type,
                          const msgpack_object **ret_value)
{
    const msgpack_object *value = ctl_get(map, key);
    if (value == NULL || value->type == MSGPACK_OBJECT_NIL) {
        return ERR_NOT_FOUND;
    }
    if (value->type != type) {
        return ERR_FIELD;
    }
    *ret_value = value;
    return ERR_OK;
}

enum err ctl_get_str(const msgpack_object *map, const char *key, struct bytes *ret_text)
{
    const msgpack_object *value = NULL;
    enum err err = typed_get(map, key, MSGPACK_OBJECT_STR, &value);
    if (err != ERR_OK) {
        return err;
    }
    struct bytes text = bytes_of(value->via.str.ptr, value->via.str.size);
    if (!utf8_valid(text)) {
        return ERR_FIELD;
    }
    *ret_text = text;
    return ERR_OK;
}

enum err ctl_get_bin(const msgpack_object *map, const char *key, struct bytes *ret_bytes)
{
    const msgpack_object *value = NULL;
    enum err err = typed_get(map, key, MSGPACK_OBJECT_BIN, &value);
    if (err == ERR_OK) {
        *ret_bytes = bytes_of(value->via.bin.ptr, value->via.bin.size);
    }
    return err;
}

enum err ctl_get_uint(const msgpack_object *map, const char *key, uint64_t *ret_value)
{
    const msgpack_object *value = NULL;
    enum err err = typed_get(map, key, MSGPACK_OBJECT_POSITIVE_INTEGER, &value);
    if (err == ERR_OK) {
        *ret_value = value->via.u64;
    }
    return err;
}

enum err ctl_get_bool(const msgpack_object *map, const char *key, bool *ret_value)
{
    const msgpack_object *value = NULL;
    enum err err = typed_get(map, key, MSGPACK_OBJECT_BOOLEAN, &value);
    if (err == ERR_OK) {
        *ret_value = value->via.boolean;
    }
    return err;
}

/* ---- encode ---- */

void ctl_put_request(struct buf *into, uint32_t id, enum ctl_method method)
{
    pack_array(into, 4);
    pack_uint(into, TYPE_REQUEST);
    pack_uint(into, id);
    pack_cstr(into, ctl_name(method));
    pack_array(into, 1);
}

void ctl_put_response(struct buf *into, uint32_t id)
{
    pack_array(into, 4);
    pack_uint(into, TYPE_RESPONSE);
    pack_uint(into, id);
    pack_nil(into);
}

void ctl_put_notification(struct buf *into, const char *method)
{
    pack_array(into, 3);
    pack_uint(into, TYPE_NOTIFICATION);
    pack_cstr(into, method);
    pack_array(into, 1);
}

void ctl_put_error(struct buf *into, uint32_t id, enum err err, const char *field,
                   const char *message)
{
    pack_array(into, 4);
    pack_uint(into, TYPE_RESPONSE);
    pack_uint(into, id);
    pack_map(into, field == NULL ? 2 : 3);
    pack_cstr(into, "code");
    pack_cstr(into, err_code(err));
    if (field != NULL) {
        pack_cstr(into, "field");
        pack_cstr(into, field);
    }
    pack_cstr(into, "message");
    pack_cstr(into, message == NULL ? err_text(err) : message);
    pack_nil(into);
}
