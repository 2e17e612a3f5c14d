/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_scan.c: the pre-scan against msgpack-c.
 *
 * What scan_strict lets pass unpacks, fills its bytes, and packs again to the same bytes: so it is
 * canonical. What scan_lenient measures unpacks to that size, and no part of it is refused or taken
 * for a whole.
 */
#include <msgpack.h>

#include "base/limits.h"
#include "proto/scan.h"
#include "tests/fuzz/fuzz.h"

static const struct scan_limits wide = {.depth_max = 8, .nodes_max = MSG_NODES_MAX};

static void repack(struct bytes bytes)
{
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t at = 0;
    must(msgpack_unpack_next(&unpacked, (const char *) bytes.data, bytes.size, &at) ==
         MSGPACK_UNPACK_SUCCESS);
    must(at == bytes.size);
    msgpack_sbuffer packed;
    msgpack_sbuffer_init(&packed);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    must(msgpack_pack_object(&packer, unpacked.data) == 0);
    must(bytes_equal(bytes_of(packed.data, packed.size), bytes));
    msgpack_sbuffer_destroy(&packed);
    msgpack_unpacked_destroy(&unpacked);
}

/* Step by step over the bytes: never beyond them, always forwards. True when all were read. */
static bool walk(struct bytes bytes)
{
    size_t at = 0;
    while (at < bytes.size) {
        struct scan_item item;
        size_t before = at;
        if (scan_next(bytes, &at, &item) != ERR_OK) {
            return false;
        }
        must(at > before);
        must(at <= bytes.size);
    }
    return true;
}

static void strict(struct bytes bytes)
{
    enum err err = scan_strict(bytes, wide);
    must(err == ERR_OK || err == ERR_CANONICAL || err == ERR_SIZE);
    struct scan_limits narrow = {.depth_max = 2, .nodes_max = 20};
    must(scan_strict(bytes, narrow) != ERR_OK || err == ERR_OK);
    bool walked = walk(bytes);
    size_t at = 0;
    enum err skipped = scan_skip(bytes, &at);
    must(at <= bytes.size);
    if (err == ERR_OK) {
        must(walked);
        must(skipped == ERR_OK);
        must(at == bytes.size);
        repack(bytes);
        size_t size = 0;
        must(scan_lenient(bytes, wide, &size) == ERR_OK);
        must(size == bytes.size);
    }
}

static void lenient(struct bytes bytes)
{
    static const struct scan_limits limits = {.depth_max = CTL_DEPTH_MAX, .nodes_max = 1 << 16};
    size_t size = 0;
    enum err err = scan_lenient(bytes, limits, &size);
    must(err == ERR_OK || err == ERR_MORE || err == ERR_MALFORMED || err == ERR_SIZE);
    if (err != ERR_OK) {
        return;
    }
    must(size > 0);
    must(size <= bytes.size);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t at = 0;
    must(msgpack_unpack_next(&unpacked, (const char *) bytes.data, bytes.size, &at) ==
         MSGPACK_UNPACK_SUCCESS);
    must(at == size);
    msgpack_unpacked_destroy(&unpacked);
    size_t step = size > 64 ? size / 16 : 1;
    for (size_t part = 0; part < size; part += step) {
        size_t none = 0;
        must(scan_lenient(bytes_of(bytes.data, part), limits, &none) == ERR_MORE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    strict(bytes_of(data, size));
    lenient(bytes_of(data, size));
    return 0;
}
