/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/bundle.c: see bundle.h. */
#include "tests/sim/bundle.h"

#include <stdio.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/pack.h"

#define PART_SIZE 100000
#define PASSES_MAX 4

/* One more part to `into`. True: there is another. */
bool bundle_part(struct sim *sim, unsigned lab, bool first, struct buf *into)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    struct bytes part = {0};
    bool next = false;
    pack_map(&params, first);
    if (first) {
        pack_cstr(&params, "labs");
        pack_array(&params, 0);
    }
    must(sim_request(sim, lab, CTL_bundle_export, buf_bytes(&params), &reply) == ERR_OK);
    must(ctl_decode(buf_bytes(&reply), &msg) == ERR_OK);
    must(ctl_get_bin(&msg.result, "part", &part) == ERR_OK);
    must(ctl_get_bool(&msg.result, "next", &next) == ERR_OK);
    must(part.size <= 256 * 1024);
    buf_put(into, part);
    ctl_done(&msg);
    return next;
}

void bundle_export(struct sim *sim, unsigned lab, struct buf *into)
{
    bool first = true;
    buf_clear(into);
    while (bundle_part(sim, lab, first, into)) {
        first = false;
    }
    must(into->err == ERR_OK);
}

static void outcome_read(struct bytes reply, struct bundle_outcome *outcome)
{
    struct ctl_msg msg;
    must(ctl_decode(reply, &msg) == ERR_OK);
    must(ctl_get_uint(&msg.result, "accepted", &outcome->accepted) == ERR_OK);
    must(ctl_get_uint(&msg.result, "unchanged", &outcome->unchanged) == ERR_OK);
    must(ctl_get_uint(&msg.result, "incomplete", &outcome->incomplete) == ERR_OK);
    must(ctl_get_bool(&msg.result, "whole", &outcome->whole) == ERR_OK);
    must(ctl_get_bool(&msg.result, "again", &outcome->again) == ERR_OK);
    const msgpack_object *refused = ctl_get(&msg.result, "refused");
    outcome->refused = refused->via.array.size;
    for (unsigned i = 0; i < outcome->refused; i++) {
        const msgpack_object_str *code = &refused->via.array.ptr[i].via.array.ptr[1].via.str;
        (void) snprintf(outcome->why, sizeof outcome->why, "%.*s", (int) code->size, code->ptr);
    }
    ctl_done(&msg);
}

void bundle_import_part(struct sim *sim, unsigned lab, struct bytes part, bool end,
                        struct bundle_outcome *outcome)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    pack_map(&params, 2);
    pack_cstr(&params, "end");
    pack_bool(&params, end);
    pack_cstr(&params, "part");
    pack_bin(&params, part);
    outcome->err = sim_request(sim, lab, CTL_bundle_import, buf_bytes(&params), &reply);
    if (outcome->err == ERR_OK) {
        outcome_read(buf_bytes(&reply), outcome);
    }
}

/* The whole file in parts of `size`, as often as it is asked for. */
struct bundle_outcome bundle_import_by(struct sim *sim, unsigned lab, struct bytes file,
                                       size_t size)
{
    struct bundle_outcome outcome = {.again = true};
    while (outcome.err == ERR_OK && outcome.again && outcome.passes < PASSES_MAX) {
        size_t at = 0;
        do {
            size_t left = file.size - at;
            size_t step = left < size ? left : size;
            bundle_import_part(sim, lab, bytes_of(file.data + at, step), step == left, &outcome);
            at += step;
        } while (outcome.err == ERR_OK && at < file.size);
        outcome.passes++;
    }
    return outcome;
}

struct bundle_outcome bundle_import(struct sim *sim, unsigned lab, struct bytes file)
{
    return bundle_import_by(sim, lab, file, PART_SIZE);
}

/* Does `lab` hold just what `other` holds of `of`? */
bool bundle_same(struct sim *sim, unsigned lab, unsigned other, unsigned of)
{
    struct head one;
    struct head two;
    return sim_head(sim, lab, of, &one) && sim_head(sim, other, of, &two) &&
           memcmp(one.hash.bytes, two.hash.bytes, HASH_SIZE) == 0;
}
