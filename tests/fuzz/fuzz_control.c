/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_control.c: a real node and its local clients, of every role, who send anything.
 *
 * The bytes choose requests (method and parameters, its own ones or others, right or of another
 * type) and raw frames. Every answer is msgpack-RPC, and every request gets exactly one, or its
 * client is closed; a role gets what the table gives it; nobody but agents moves the head; what is
 * on disk verifies after a restart.
 */
#include <unistd.h>

#include "base/limits.h"
#include "proto/did.h"
#include "proto/pack.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/rig.h"
#include "tests/fuzz/scratch.h"

#define ACTS_MAX 60
#define PENDING_MAX 128
#define DAY_MS (24u * 3600u * 1000u)
#define PARAMS_MAX 5

static const enum role roles[RIG_CLIENTS] = {ROLE_ADMIN, ROLE_AGENT, ROLE_READER, ROLE_NONE};

enum kind { NONE, TEXT, NUMBER, BOOL, BIN, TEXTS, ENTRIES, PART, PATH };
struct param {
    const char *key;
    enum kind kind;
};

/* doc/control.md; a method that is not here has none. */
static const struct param params[CTL_COUNT][PARAMS_MAX] = {
    [CTL_labs] = {{"lab", TEXT}},
    [CTL_list] = {{"after", BIN}, {"kind", TEXT}, {"lab", TEXT}, {"limit", NUMBER}, {"own", BOOL}},
    [CTL_show] = {{"ref", TEXT}},
    [CTL_publish] = {{"entries", ENTRIES}, {"more", BOOL}, {"dry_run", BOOL}},
    [CTL_withdraw] = {{"slugs", TEXTS}, {"dry_run", BOOL}, {"erase", BOOL}},
    [CTL_peers_add] = {{"lab", TEXT}, {"address", TEXT}, {"alias", TEXT}},
    [CTL_peers_remove] = {{"lab", TEXT}},
    [CTL_sync] = {{"wait", NUMBER}, {"timeout_ms", NUMBER}},
    [CTL_bundle_export] = {{"labs", TEXTS}},
    [CTL_bundle_import] = {{"part", PART}, {"end", BOOL}},
    [CTL_verify] = {{"after", BIN}},
    [CTL_prove] = {{"ref", TEXT}},
    [CTL_fork_show] = {{"lab", TEXT}},
    [CTL_repair] = {{"force", BOOL}},
    [CTL_history] = {{"slug", TEXT}, {"after", NUMBER}},
    [CTL_backup] = {{"path", PATH}},
};

struct pending {
    uint32_t id;
    bool later; /* answered when others said something, or some time passed */
    bool gone;  /* its client is: nothing is due, and in this rig what comes reaches the next one */
};

struct asker {
    struct rig rig;
    struct choices choices;
    uint32_t id;
    struct pending pending[RIG_CLIENTS][PENDING_MAX];
    size_t pending_count[RIG_CLIENTS];
    struct buf exported; /* parts of bundles that were given out, one behind the other */
};

/* ---- values ---- */

static void text_put(struct asker *asker, struct buf *into)
{
    static const char *const texts[] = {
        "",           "a",
        "b",          "fiche-1",
        "need",       "innovation",
        "ti-lab",     "Ti Lab",
        "ti-lab/a",   "/a",
        "a/",         "192.0.2.9:1",
        "host:65536", "[::1]:80",
        "did:key:z6", "\xc3\xa9t\xc3\xa9",
        "\x1b[2J",    "\xe2\x80\xae",
        "voisin",     "zzz",
    };
    size_t pick = choose(&asker->choices, 32);
    char did[DID_SIZE_MAX];
    if (pick < sizeof texts / sizeof *texts) {
        pack_cstr(into, texts[pick]);
    } else if (pick < 24) {
        did_encode(&asker->rig.keys[pick % RIG_LABS].lab, did);
        pack_cstr(into, did);
    } else {
        pack_str(into, choose_bytes(&asker->choices, 90));
    }
}

static void body_put(struct asker *asker, struct buf *into)
{
    struct choices *choices = &asker->choices;
    struct buf body = {0};
    size_t pick = choose(choices, 8);
    if (pick < 5) {
        pack_map(&body, 2 + (pick == 4));
        if (pick == 4) {
            pack_cstr(&body, "body");
            text_put(asker, &body);
        }
        pack_cstr(&body, "summary");
        pack_cstr(&body, "Une fiche.");
        pack_cstr(&body, "title");
        pack_cstr(&body, pick % 2 == 0 ? "Essaim" : "Ruche");
    } else if (pick == 5) {
        buf_put(&body, choose_bytes(choices, 80));
    } else {
        pack_map(&body, pick - 6);
        if (pick == 7) {
            text_put(asker, &body);
            text_put(asker, &body);
        }
    }
    pack_bin(into, buf_bytes(&body));
    buf_done(&body);
}

static void entries_put(struct asker *asker, struct buf *into)
{
    struct choices *choices = &asker->choices;
    size_t count = choose(choices, 5);
    pack_array(into, count);
    for (size_t i = 0; i < count; i++) {
        size_t items = choose(choices, 8) == 7 ? choose(choices, 6) : 3 + choose(choices, 2);
        pack_array(into, items);
        for (size_t k = 0; k < items; k++) {
            if (k == 2) {
                body_put(asker, into);
            } else if (k == 3) {
                pack_uint(into, choose_number(choices));
            } else {
                static const char *const words[] = {"a", "b", "c", "d", "e"};
                bool easy = choose(choices, 4) != 3;
                if (easy) {
                    pack_cstr(into, k == 1 ? "need" : words[choose(choices, 5)]);
                } else {
                    text_put(asker, into);
                }
            }
        }
    }
}

/* Part of what was exported, as it is or with a byte changed; or anything. */
static void part_put(struct asker *asker, struct buf *into)
{
    struct choices *choices = &asker->choices;
    size_t pick = choose(choices, 4);
    if (pick == 0 || asker->exported.size == 0) {
        pack_bin(into, choose_bytes(choices, 200));
        return;
    }
    struct bytes all = buf_bytes(&asker->exported);
    size_t from = pick == 1 ? 0 : choose(choices, all.size);
    size_t size = pick == 1 ? all.size : choose(choices, all.size - from + 1);
    uint8_t *part = fuzz_copy(bytes_of(all.data + from, size));
    if (pick == 3 && size > 0) {
        size_t at = choose(choices, size);
        part[at] ^= choose_byte(choices);
    }
    pack_bin(into, bytes_of(part, size));
    free(part);
}

/* A backup goes to any place that an admin names: only to ours. */
static void path_put(struct asker *asker, struct buf *into)
{
    static const char *const bad[] = {"", "/", "backup", "/nowhere/essaim/backup", "/dev/null"};
    size_t pick = choose(&asker->choices, 8);
    if (pick < 2) {
        pack_cstr(into, scratch_beside());
    } else if (pick == 2) {
        pack_cstr(into, scratch_path()); /* is there */
    } else {
        pack_cstr(into, bad[pick - 3]);
    }
}

static void texts_put(struct asker *asker, struct buf *into)
{
    size_t count = choose(&asker->choices, 4);
    pack_array(into, count);
    for (size_t i = 0; i < count; i++) {
        text_put(asker, into);
    }
}

/* A value of that kind, or any other. */
static void value_put(struct asker *asker, enum kind kind, struct buf *into)
{
    struct choices *choices = &asker->choices;
    size_t pick = choose(choices, 16);
    if (pick == 13) {
        pack_nil(into);
    } else if (pick == 14) {
        pack_int(into, -(int64_t) choose(choices, 200));
    } else if (pick == 15) {
        pack_array(into, 1);
        pack_map(into, 0);
    } else if (kind == ENTRIES) {
        entries_put(asker, into);
    } else if (kind == TEXTS) {
        texts_put(asker, into);
    } else if (kind == BIN) {
        pack_bin(into, choose_bytes(choices, 80));
    } else if (kind == NUMBER) {
        pack_uint(into, choose_number(choices));
    } else if (kind == BOOL) {
        pack_bool(into, pick % 2 == 0);
    } else if (kind == PART) {
        part_put(asker, into);
    } else if (kind == PATH) {
        path_put(asker, into);
    } else {
        text_put(asker, into);
    }
}

/* The method's own parameters, mostly all of them; now and then one of another method's. */
static void params_put(struct asker *asker, enum ctl_method method, struct buf *into)
{
    struct choices *choices = &asker->choices;
    struct buf pairs = {0};
    size_t count = 0, pick = choose(choices, 8);
    uint8_t given = pick < 5 ? 0xff : choose_byte(choices);
    for (size_t i = 0; i < PARAMS_MAX && params[method][i].key != NULL; i++) {
        if ((given >> i & 1u) != 0) {
            pack_cstr(&pairs, params[method][i].key);
            value_put(asker, params[method][i].kind, &pairs);
            count++;
        }
    }
    if (pick == 7) {
        size_t other = choose(choices, CTL_COUNT);
        const char *key = params[other][0].key;
        pack_cstr(&pairs, key == NULL || other == CTL_backup ? "zzz" : key);
        value_put(asker, params[other][0].kind == PATH ? TEXT : params[other][0].kind, &pairs);
        count++;
    }
    pack_map(into, count);
    buf_put(into, buf_bytes(&pairs));
    buf_done(&pairs);
}

/* ---- asking ---- */

/* That request waits for one answer. */
static void expect(struct asker *asker, unsigned client, uint32_t id, bool later)
{
    must(asker->pending_count[client] < PENDING_MAX);
    struct pending *pending = &asker->pending[client][asker->pending_count[client]++];
    *pending = (struct pending){.id = id, .later = later};
}

/* An answer to what was asked, once; of two that chose one number the newer, which is answered at
 * once where one of them is. */
static void answered(struct asker *asker, unsigned client, uint32_t id)
{
    struct pending *pending = asker->pending[client];
    size_t at = asker->pending_count[client];
    while (at > 0 && pending[at - 1].id != id) {
        at--;
    }
    must(at > 0);
    memmove(&pending[at - 1], &pending[at], (asker->pending_count[client] - at) * sizeof *pending);
    asker->pending_count[client]--;
}

/* Nobody waits any longer. */
static void forget(struct asker *asker, unsigned client)
{
    struct pending *pending = asker->pending[client];
    size_t count = 0;
    for (size_t i = 0; i < asker->pending_count[client]; i++) {
        if (pending[i].later) {
            pending[count] = pending[i];
            pending[count++].gone = true;
        }
    }
    asker->pending_count[client] = count;
}

static void keep_part(struct asker *asker, const struct ctl_msg *msg)
{
    struct bytes part;
    if (ctl_get_bin(&msg->result, "part", &part) == ERR_OK && asker->exported.size < 100000) {
        buf_put(&asker->exported, part);
    }
}

/* One frame to a client; whether it is an error of `code`. */
static bool answer_check(struct asker *asker, unsigned client, struct bytes frame, const char *code)
{
    struct ctl_msg msg;
    struct bytes text;
    bool is = false;
    must(ctl_decode(frame, &msg) == ERR_OK);
    must(msg.type == 1 || msg.type == 2);
    if (msg.type == 1) {
        must((msg.error.type == MSGPACK_OBJECT_NIL) == (msg.result.type == MSGPACK_OBJECT_MAP));
        if (msg.error.type != MSGPACK_OBJECT_NIL) {
            must(ctl_get_str(&msg.error, "code", &text) == ERR_OK);
            is = bytes_equal(text, bytes_of_str(code));
            must(ctl_get_str(&msg.error, "message", &text) == ERR_OK);
        }
        answered(asker, client, msg.id);
        keep_part(asker, &msg);
    }
    ctl_done(&msg);
    return is;
}

/* All that one client was answered; whether there was an error of `code`. What was asked and could
 * be answered at once is. */
static bool answers_check(struct asker *asker, unsigned client, const char *code)
{
    struct rig_client *rig = &asker->rig.clients[client];
    struct bytes stream = buf_bytes(&rig->replies);
    bool is = false;
    while (stream.size > 0) {
        size_t size = 0;
        must(ctl_frame(stream, &size) == ERR_OK);
        is |= answer_check(asker, client, bytes_of(stream.data, size), code);
        stream = bytes_of(stream.data + size, stream.size - size);
    }
    buf_clear(&rig->replies);
    if (rig->closed) {
        forget(asker, client);
    }
    for (size_t i = 0; i < asker->pending_count[client]; i++) {
        must(asker->pending[client][i].later);
    }
    return is;
}

static void answers_drop(struct asker *asker)
{
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        (void) answers_check(asker, i, "");
    }
}

static void give(struct asker *asker, unsigned client, struct bytes frame)
{
    struct rig *rig = &asker->rig;
    struct hash before = rig->held[1].hash;
    uint8_t *copy = fuzz_copy(frame);
    rig_request(rig, client, bytes_of(copy, frame.size));
    free(copy);
    must(roles[client] >= ROLE_AGENT ||
         memcmp(before.bytes, rig->held[1].hash.bytes, HASH_SIZE) == 0);
}

static bool is_later(enum ctl_method method)
{
    return method == CTL_sync || method == CTL_repair;
}

static void request(struct asker *asker)
{
    struct choices *choices = &asker->choices;
    unsigned client = (unsigned) choose(choices, 8);
    client = client < RIG_CLIENTS ? client : 0;
    enum ctl_method method = (enum ctl_method) choose(choices, CTL_COUNT);
    struct buf frame = {0};
    size_t size = 0;
    uint32_t id = ++asker->id;
    ctl_put_request(&frame, id, method);
    params_put(asker, method, &frame);
    must(frame.err == ERR_OK);
    if (ctl_frame(buf_bytes(&frame), &size) == ERR_OK && size == frame.size) {
        answers_drop(asker);
        bool open = !asker->rig.clients[client].closed;
        if (open) {
            expect(asker, client, id, is_later(method));
        }
        give(asker, client, buf_bytes(&frame));
        size_t replies = asker->rig.clients[client].replies.size;
        bool refused = answers_check(asker, client, "E-ROLE");
        bool closed = !open || asker->rig.clients[client].closed; /* a key may stand there twice */
        must(refused == (roles[client] < ctl_role(method)) || closed || replies == 0);
    }
    buf_done(&frame);
    (void) unlink(scratch_beside());
}

/* A frame that nobody made on purpose: a request, another message, or none. */
static void give_raw(struct asker *asker, unsigned client, struct bytes frame)
{
    struct ctl_msg msg = {0};
    enum ctl_method method = CTL_hello;
    enum err err = ctl_decode(frame, &msg);
    bool found = err == ERR_OK && msg.type == 0 && ctl_find(msg.method, &method) == ERR_OK;
    if (!asker->rig.clients[client].closed && (err != ERR_OK || msg.type == 0)) {
        expect(asker, client, msg.id, found && is_later(method));
    }
    if (err == ERR_OK) {
        ctl_done(&msg);
    }
    if (!found || method != CTL_backup) { /* see path_put */
        give(asker, client, frame);
        (void) answers_check(asker, client, "");
        must(err == ERR_OK || asker->rig.clients[client].closed);
    } else {
        asker->pending_count[client]--;
    }
}

/* A stream as the daemon would cut it. */
static void raw(struct asker *asker)
{
    struct bytes stream = choose_bytes(&asker->choices, 200);
    unsigned client = (unsigned) choose(&asker->choices, RIG_CLIENTS);
    size_t size = 0;
    enum err err = ERR_MORE;
    answers_drop(asker);
    while (stream.size > 0 && (err = ctl_frame(stream, &size)) == ERR_OK) {
        give_raw(asker, client, bytes_of(stream.data, size));
        stream = bytes_of(stream.data + size, stream.size - size);
    }
    if (err != ERR_OK && err != ERR_MORE) {
        struct event event = {.kind = EVENT_CLIENT_BAD, .client = client, .err = err};
        rig_step(&asker->rig, &event);
        rig_settle(&asker->rig);
    }
}

/* ---- acts ---- */

static void come_again(struct asker *asker, uint32_t client)
{
    struct rig *rig = &asker->rig;
    struct event event = {.kind = EVENT_CLIENT_DOWN, .client = client};
    rig_step(rig, &event);
    rig_settle(rig);
    event.kind = EVENT_CLIENT_UP;
    event.role = roles[client];
    rig_step(rig, &event);
    rig_settle(rig);
    buf_clear(&rig->clients[client].replies);
    rig->clients[client].closed = false;
    forget(asker, client);
}

/* A day goes by: nobody waits for an answer any longer. */
static void end(struct asker *asker)
{
    for (unsigned i = 0; i < 3; i++) {
        asker->rig.now_ms += i == 0 ? 61000 : DAY_MS;
        rig_turn(&asker->rig, EVENT_TICK);
        answers_drop(asker);
    }
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        for (size_t k = 0; k < asker->pending_count[i]; k++) {
            must(asker->pending[i][k].gone);
        }
    }
}

static void act(struct asker *asker)
{
    struct rig *rig = &asker->rig;
    struct choices *choices = &asker->choices;
    size_t what = choose(choices, 32);
    if (what < 24) {
        request(asker);
    } else if (what < 27) {
        raw(asker);
    } else if (what < 28) {
        rig->now_ms += choose(choices, 2) == 0 ? 100 : 3600000;
        rig_turn(rig, EVENT_TICK);
    } else if (what < 29) {
        come_again(asker, (uint32_t) choose(choices, RIG_CLIENTS));
    } else if (what < 30) {
        struct event event = {.kind = EVENT_CLIENT_ROOM};
        event.client = (uint32_t) choose(choices, RIG_CLIENTS);
        event.queued = (size_t) choose_number(choices);
        rig_step(rig, &event);
        rig_settle(rig);
    } else if (what < 31) {
        rig_restart(rig);
        memset(asker->pending_count, 0, sizeof asker->pending_count);
    } else if (rig->dialled) {
        rig->dialled = false;
        rig_turn(rig, EVENT_DIAL_FAILED);
    }
    answers_drop(asker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct asker *asker = calloc(1, sizeof *asker);
    must(asker != NULL);
    asker->choices.left = bytes_of(data, size);
    rig_open(&asker->rig);
    for (unsigned i = 0; i < ACTS_MAX && asker->choices.left.size > 0; i++) {
        act(asker);
    }
    end(asker);
    buf_done(&asker->exported);
    rig_close(&asker->rig);
    free(asker);
    return 0;
}
