/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/ask.c: what the labs' clients ask for, and what the answers promise. */
#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/did.h"
#include "proto/pack.h"
#include "tests/sim/state.h"

#define ANSWER_MS 120000

/* The error of the answer; the whole of it goes to `into`. */
static enum err answer_read(const struct sim_lab *lab, struct buf *into)
{
    size_t size = 0;
    struct ctl_msg msg;
    must(ctl_frame(buf_bytes(&lab->replies), &size) == ERR_OK);
    must(ctl_decode(bytes_of(lab->replies.data, size), &msg) == ERR_OK);
    enum err err = ERR_OK;
    struct bytes code;
    if (msg.error.type != MSGPACK_OBJECT_NIL && ctl_get_str(&msg.error, "code", &code) == ERR_OK) {
        char text[32] = {0};
        bytes_copy(text, bytes_of(code.data, code.size < 31 ? code.size : 31));
        err = err_from_code(text);
    }
    ctl_done(&msg);
    if (into != NULL) {
        buf_clear(into);
        buf_put(into, bytes_of(lab->replies.data, size));
    }
    return err;
}

enum err sim_request_by(struct sim *sim, unsigned number, uint32_t client, enum ctl_method method,
                        struct bytes params, struct buf *into)
{
    struct sim_lab *lab = sim->labs[number];
    if (lab->hung_up && lab->live) {
        clients_connect(sim, number);
    }
    unsigned epoch = lab->epoch;
    defer(buf_done) struct buf request = {0};
    ctl_put_request(&request, 7, method);
    pack_raw(&request, params);
    buf_clear(&lab->replies);
    lab->replied = false;
    struct event event = {
        .kind = EVENT_CLIENT_BYTES, .client = client, .bytes = buf_bytes(&request)};
    sim_step(sim, number, &event);
    sim_settle(sim, number);
    uint64_t until_ms = sim->now_ms + ANSWER_MS;
    while (!lab->replied && lab->live && !lab->hung_up && lab->epoch == epoch &&
           sim_next(sim, until_ms)) {
    }
    if (lab->replied) {
        return answer_read(lab, into);
    }
    if (lab->live && !lab->hung_up) {
        sim_fail(sim, "lab %u left a request without an answer", number);
    }
    return ERR_NO_DAEMON;
}

enum err sim_request(struct sim *sim, unsigned number, enum ctl_method method, struct bytes params,
                     struct buf *into)
{
    return sim_request_by(sim, number, 1, method, params, into);
}

void sim_request_later(struct sim *sim, unsigned number, uint32_t client, enum ctl_method method,
                       struct bytes params)
{
    struct sim_lab *lab = sim->labs[number];
    buf_clear(&lab->replies);
    lab->replied = false;
    struct sim_item *item = sim_push(sim, sim->now_ms, number, SIM_EVENT);
    item->event = (struct event){.kind = EVENT_CLIENT_BYTES, .client = client};
    ctl_put_request(&item->bytes, 7, method);
    pack_raw(&item->bytes, params);
}

bool sim_answered(struct sim *sim, unsigned number, enum err *ret_err)
{
    const struct sim_lab *lab = sim->labs[number];
    if (lab->replied) {
        *ret_err = answer_read(lab, NULL);
    }
    return lab->replied;
}

void sim_client_lost(struct sim *sim, unsigned number)
{
    struct event down = {.kind = EVENT_CLIENT_DOWN, .client = 1};
    sim_step(sim, number, &down);
    sim_settle(sim, number);
}

/* ---- peers ---- */

static void peer_params(struct sim *sim, unsigned other, bool dial, struct buf *params)
{
    char did[DID_SIZE_MAX];
    char address[32];
    did_encode(&sim->labs[other]->id, did);
    (void) snprintf(address, sizeof address, "sim:%u", other + 1);
    pack_map(params, dial ? 2 : 1);
    if (dial) {
        pack_cstr(params, "address");
        pack_cstr(params, address);
    }
    pack_cstr(params, "lab");
    pack_cstr(params, did);
}

void sim_peer(struct sim *sim, unsigned lab, unsigned other, bool dial)
{
    if (sim->labs[lab]->puppet != NULL) {
        return;
    }
    defer(buf_done) struct buf params = {0};
    peer_params(sim, other, dial, &params);
    must(sim_request(sim, lab, CTL_peers_add, buf_bytes(&params), NULL) == ERR_OK);
}

void sim_unpeer(struct sim *sim, unsigned lab, unsigned other)
{
    defer(buf_done) struct buf params = {0};
    peer_params(sim, other, false, &params);
    must(sim_request(sim, lab, CTL_peers_remove, buf_bytes(&params), NULL) == ERR_OK);
}

void sim_link(struct sim *sim, unsigned a, unsigned b)
{
    sim_peer(sim, b, a, false);
    sim_peer(sim, a, b, true);
}

enum err sim_repair(struct sim *sim, unsigned lab, bool force, bool *ret_frozen)
{
    defer(buf_done) struct buf params = {0};
    defer(buf_done) struct buf reply = {0};
    struct ctl_msg msg;
    pack_map(&params, 1);
    pack_cstr(&params, "force");
    pack_bool(&params, force);
    enum err err = sim_request(sim, lab, CTL_repair, buf_bytes(&params), &reply);
    if (err != ERR_OK) {
        return err;
    }
    must(ctl_decode(buf_bytes(&reply), &msg) == ERR_OK);
    must(ctl_get_bool(&msg.result, "frozen", ret_frozen) == ERR_OK);
    ctl_done(&msg);
    return ERR_OK;
}

/* ---- entries ---- */

static void body_put(struct buf *body, size_t size, unsigned salt, unsigned number)
{
    defer(buf_done) struct buf text = {0};
    while (text.size < size) {
        buf_printf(&text, "essaimage %u.%u ", salt, number);
    }
    pack_map(body, 3);
    pack_cstr(body, "body");
    pack_str(body, buf_bytes(&text));
    pack_cstr(body, "summary");
    pack_cstr(body, "Une fiche de simulation.");
    pack_cstr(body, "title");
    pack_cstr(body, "Fiche");
}

/* What is acknowledged is on disk: the head named is held, by the committed state. */
static void acknowledged(struct sim *sim, unsigned lab, const struct ctl_msg *msg)
{
    uint64_t n = 0;
    struct head head;
    if (ctl_get_uint(&msg->result, "n", &n) == ERR_OK && n > 0 && sim->labs[lab]->live &&
        (!sim_head(sim, lab, lab, &head) || head.n < n)) {
        sim_fail(sim, "lab %u acknowledged head %llu and does not hold it", lab,
                 (unsigned long long) n);
    }
}

static enum err publish_some(struct sim *sim, unsigned lab, const struct sim_batch *batch,
                             unsigned first, unsigned count, bool more)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 2);
    pack_cstr(&params, "entries");
    pack_array(&params, count);
    for (unsigned i = first; i < first + count; i++) {
        char slug[64];
        (void) snprintf(slug, sizeof slug, "%s-%u", batch->prefix, i);
        defer(buf_done) struct buf body = {0};
        body_put(&body, batch->size, batch->salt, i);
        pack_array(&params, 3);
        pack_cstr(&params, slug);
        pack_cstr(&params, "innovation");
        pack_bin(&params, buf_bytes(&body));
    }
    pack_cstr(&params, "more");
    pack_bool(&params, more);
    defer(buf_done) struct buf reply = {0};
    enum err err = sim_request(sim, lab, CTL_publish, buf_bytes(&params), &reply);
    if (err != ERR_OK || more) {
        return err;
    }
    struct ctl_msg msg;
    struct bytes statuses = {0};
    must(ctl_decode(buf_bytes(&reply), &msg) == ERR_OK);
    must(ctl_get_bin(&msg.result, "statuses", &statuses) == ERR_OK);
    for (size_t i = 0; i < statuses.size; i++) {
        err = statuses.data[i] == CTL_REFUSED ? ERR_REFUSED : err;
    }
    acknowledged(sim, lab, &msg);
    ctl_done(&msg);
    return err;
}

enum err sim_try_publish(struct sim *sim, unsigned lab, const struct sim_batch *batch)
{
    unsigned chunk = (unsigned) (500000 / (batch->size + 200));
    unsigned first = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && first + chunk < batch->count) {
        err = publish_some(sim, lab, batch, first, chunk, true);
        first += chunk;
    }
    return err != ERR_OK ? err : publish_some(sim, lab, batch, first, batch->count - first, false);
}

void sim_publish(struct sim *sim, unsigned lab, const char *prefix, unsigned count, size_t size,
                 unsigned salt)
{
    struct sim_batch batch = {.prefix = prefix, .count = count, .size = size, .salt = salt};
    must(sim_try_publish(sim, lab, &batch) == ERR_OK);
}

enum err sim_try_withdraw(struct sim *sim, unsigned lab, const char *slug)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 1);
    pack_cstr(&params, "slugs");
    pack_array(&params, 1);
    pack_cstr(&params, slug);
    return sim_request(sim, lab, CTL_withdraw, buf_bytes(&params), NULL);
}

void sim_withdraw(struct sim *sim, unsigned lab, const char *slug)
{
    must(sim_try_withdraw(sim, lab, slug) == ERR_OK);
}
