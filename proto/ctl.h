/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/ctl.h: the control vocabulary (doc/control.md): one table of methods with the role each
 * needs, and msgpack-RPC framing (https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md).
 * Decoding is lenient: any client may talk.
 */
#ifndef ESSAIM_PROTO_CTL_H
#define ESSAIM_PROTO_CTL_H

#include <msgpack.h>
#include <stdbool.h>

#include "base/buf.h"

enum role { ROLE_NONE, ROLE_READER, ROLE_AGENT, ROLE_COORDINATOR, ROLE_ADMIN };

/* clang-format off */
/* method, least role, writes (changes what is stored) */
#define CTL_TABLE(X) \
    X(hello,        READER, false) \
    X(status,       READER, false) \
    X(labs,         READER, false) \
    X(list,         READER, false) \
    X(show,         READER, false) \
    X(publish,      AGENT,  true) \
    X(withdraw,     AGENT,  true) \
    X(peers_list,   READER, false) \
    X(peers_add,    ADMIN,  true) \
    X(peers_remove, ADMIN,  true) \
    X(sync,         READER, true) \
    X(watch,        READER, true) \
    X(bundle_export, READER, false) \
    X(bundle_import, AGENT, true) \
    X(verify,       READER, false) \
    X(prove,        READER, false) \
    X(forks,        READER, false) \
    X(fork_show,    READER, false) \
    X(repair,       ADMIN,  true) \
    X(history,      AGENT,  false) \
    X(lost,         AGENT,  false) \
    X(forget,       ADMIN,  true) \
    X(receipts,     READER, false) \
    X(compact,      ADMIN,  true) \
    X(backup,       ADMIN,  true) \
    X(identity,     READER, false) \
    X(key_rotate,   ADMIN,  true)
/* clang-format on */
#define CTL_ENUM_ROW(name, role, writes) CTL_##name,
enum ctl_method { CTL_TABLE(CTL_ENUM_ROW) CTL_COUNT };
#undef CTL_ENUM_ROW

const char *ctl_name(enum ctl_method method);
enum role ctl_role(enum ctl_method method);
bool ctl_writes(enum ctl_method method);
/* ERR_UNSUPPORTED for a name that is not in the table. */
MUST_USE enum err ctl_find(struct bytes name, enum ctl_method *ret_method);
const char *role_name(enum role role); /* "reader", … */

enum ctl_status { CTL_CREATED = 0, CTL_UPDATED = 1, CTL_UNCHANGED = 2, CTL_REFUSED = 3 };

/* One whole message at the head of a stream: its size. ERR_MORE, ERR_MALFORMED, ERR_SIZE (over
 * CTL_MSG_SIZE_MAX). */
MUST_USE enum err ctl_frame(struct bytes stream, size_t *ret_size);

/* A decoded message; owns the memory of the unpacked objects, whose str and bin point into `bytes`.
 */
struct ctl_msg {
    unsigned type; /* 0 request, 1 response, 2 notification */
    uint32_t id;
    struct bytes method;   /* request, notification */
    msgpack_object params; /* request, notification: a map, or nil when there was none */
    msgpack_object error, result;
    msgpack_unpacked unpacked;
};
/* `bytes` is one whole frame that ctl_frame measured; must outlive ret_msg. ERR_MALFORMED for
 * anything that is not msgpack-RPC with params [] or [map]; where an id could be read it is set all
 * the same. */
MUST_USE enum err ctl_decode(struct bytes bytes, struct ctl_msg *ret_msg);
void ctl_done(struct ctl_msg *msg);

/* Lookups in a map object; absent (or nil) or of another type: ERR_NOT_FOUND / ERR_FIELD. A str
 * that is no UTF-8 is ERR_FIELD, too. */
const msgpack_object *ctl_get(const msgpack_object *map,
                              const char *key); /* NULL when absent or not a map */
MUST_USE enum err ctl_get_str(const msgpack_object *map, const char *key, struct bytes *ret_text);
MUST_USE enum err ctl_get_bin(const msgpack_object *map, const char *key, struct bytes *ret_bytes);
MUST_USE enum err ctl_get_uint(const msgpack_object *map, const char *key, uint64_t *ret_value);
MUST_USE enum err ctl_get_bool(const msgpack_object *map, const char *key, bool *ret_value);

/* Heads of messages; the caller packs the map that follows with proto/pack.h. */
void ctl_put_request(struct buf *into, uint32_t id,
                     enum ctl_method method);                    /* then one map: the params */
void ctl_put_response(struct buf *into, uint32_t id);            /* then one map: the result */
void ctl_put_notification(struct buf *into, const char *method); /* then one map: the params */
/* Whole error response. `field` may be NULL; `message` NULL: the error's own text. */
void ctl_put_error(struct buf *into, uint32_t id, enum err err, const char *field,
                   const char *message);

#endif
