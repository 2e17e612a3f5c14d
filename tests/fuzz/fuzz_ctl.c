/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_ctl.c: a control stream, cut into frames and decoded as the daemon does.
 *
 * A frame measures the same alone, and no part of it is one. What decodes is a request, a response
 * or a notification; lookups give what the map holds; nothing leaks.
 */
#include "base/limits.h"
#include "base/utf8.h"
#include "proto/ctl.h"
#include "tests/fuzz/fuzz.h"

static const char *const keys[] = {"lab",     "own",        "kind", "after", "limit",
                                   "ref",     "entries",    "more", "slugs", "wait",
                                   "address", "timeout_ms", "code", ""};

static void lookups(const msgpack_object *map)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct bytes bytes = {0};
        uint64_t number = 0;
        bool flag = false;
        unsigned got = 0;
        if (ctl_get_str(map, keys[i], &bytes) == ERR_OK) {
            must(utf8_valid(bytes));
            got++;
        }
        got += ctl_get_bin(map, keys[i], &bytes) == ERR_OK;
        got += ctl_get_uint(map, keys[i], &number) == ERR_OK;
        got += ctl_get_bool(map, keys[i], &flag) == ERR_OK;
        must(got <= 1);
        must(got == 0 || ctl_get(map, keys[i]) != NULL);
    }
}

static void keys_check(const msgpack_object *map)
{
    uint32_t count = map->type == MSGPACK_OBJECT_MAP ? map->via.map.size : 0;
    for (uint32_t i = 0; i < count; i++) {
        const msgpack_object *a = &map->via.map.ptr[i].key;
        must(a->type == MSGPACK_OBJECT_STR || a->type == MSGPACK_OBJECT_BIN);
        for (uint32_t k = 0; k < i; k++) {
            const msgpack_object *b = &map->via.map.ptr[k].key;
            must(!bytes_equal(bytes_of(a->via.str.ptr, a->via.str.size),
                              bytes_of(b->via.str.ptr, b->via.str.size)));
        }
    }
}

static void frame_check(struct bytes frame)
{
    size_t size = 0;
    must(ctl_frame(frame, &size) == ERR_OK);
    must(size == frame.size);
    size_t step = frame.size > 32 ? frame.size / 8 : 1;
    for (size_t part = 0; part < frame.size; part += step) {
        must(ctl_frame(bytes_of(frame.data, part), &size) == ERR_MORE);
    }
    struct ctl_msg msg;
    enum err err = ctl_decode(frame, &msg);
    must(err == ERR_OK || err == ERR_MALFORMED);
    if (err != ERR_OK) {
        return;
    }
    must(msg.type <= 2);
    must(msg.params.type == MSGPACK_OBJECT_NIL || msg.params.type == MSGPACK_OBJECT_MAP);
    if (msg.type != 1) {
        enum ctl_method method = CTL_hello;
        must(msg.method.size > 0);
        err = ctl_find(msg.method, &method);
        must(err == ERR_UNSUPPORTED || bytes_equal(bytes_of_str(ctl_name(method)), msg.method));
    }
    keys_check(&msg.params);
    lookups(&msg.params);
    lookups(&msg.error);
    lookups(&msg.result);
    ctl_done(&msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes stream = bytes_of(data, size);
    size_t frame = 0;
    while (ctl_frame(stream, &frame) == ERR_OK) {
        must(frame > 0 && frame <= stream.size);
        uint8_t *copy = fuzz_copy(bytes_of(stream.data, frame));
        frame_check(bytes_of(copy, frame));
        free(copy);
        stream = bytes_of(stream.data + frame, stream.size - frame);
    }
    return 0;
}
