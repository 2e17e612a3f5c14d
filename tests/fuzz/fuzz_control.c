/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_control.c: a real node and its local clients, of every role, who send anything.
 *
 * The bytes choose requests (method and parameters, right or of another type) and raw frames. Every
 * answer is msgpack-RPC; a role gets what the table gives it; nobody but agents moves the head;
 * what is on disk verifies after a restart.
 */
#include <stdio.h>

#include "base/limits.h"
#include "proto/did.h"
#include "proto/pack.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/rig.h"

#define ACTS_MAX 60

static const enum role roles[RIG_CLIENTS] = {ROLE_ADMIN, ROLE_AGENT, ROLE_READER, ROLE_NONE};
static const char *const keys[] = {
    "lab",   "own",     "kind",  "after", "limit",      "ref", "entries", "more", "dry_run",
    "slugs", "address", "alias", "wait",  "timeout_ms", "zzz", "erase",   "slug",
};
#define ENTRIES_KEY 6
#define KEYS_COUNT (sizeof keys / sizeof *keys)

struct asker {
    struct rig rig;
    struct choices choices;
    uint32_t id;
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

/* The value that `key` wants, or any other. */
static void value_put(struct asker *asker, const char *key, struct buf *into)
{
    struct choices *choices = &asker->choices;
    size_t pick = choose(choices, 16);
    if (strcmp(key, "entries") == 0 && pick < 13) {
        entries_put(asker, into);
    } else if (strcmp(key, "slugs") == 0 && pick < 13) {
        size_t count = choose(choices, 4);
        pack_array(into, count);
        for (size_t i = 0; i < count; i++) {
            text_put(asker, into);
        }
    } else if (strcmp(key, "after") == 0 && pick < 13) {
        pack_bin(into, choose_bytes(choices, 80));
    } else if (strchr("lwt", key[0]) != NULL && strcmp(key, "lab") != 0 && pick < 13) {
        pack_uint(into, choose_number(choices));
    } else if ((strchr("omd", key[0]) != NULL || strcmp(key, "erase") == 0) && pick < 13) {
        pack_bool(into, pick % 2 == 0);
    } else if (pick < 13) {
        text_put(asker, into);
    } else if (pick == 13) {
        pack_nil(into);
    } else if (pick == 14) {
        pack_int(into, -(int64_t) choose(choices, 200));
    } else {
        pack_array(into, 1);
        pack_map(into, 0);
    }
}

/* ---- asking ---- */

/* The answers of one client: whole frames, responses or notifications. Gives back how many were
 * responses, and whether the last one was an error of `code`. */
static unsigned answers_check(struct rig_client *client, const char *code, bool *ret_is)
{
    struct bytes stream = buf_bytes(&client->replies);
    unsigned responses = 0;
    *ret_is = false;
    while (stream.size > 0) {
        size_t size = 0;
        struct ctl_msg msg;
        must(ctl_frame(stream, &size) == ERR_OK);
        must(ctl_decode(bytes_of(stream.data, size), &msg) == ERR_OK);
        must(msg.type == 1 || msg.type == 2);
        if (msg.type == 1) {
            struct bytes text;
            must((msg.error.type == MSGPACK_OBJECT_NIL) == (msg.result.type == MSGPACK_OBJECT_MAP));
            if (msg.error.type != MSGPACK_OBJECT_NIL) {
                must(ctl_get_str(&msg.error, "code", &text) == ERR_OK);
                *ret_is = bytes_equal(text, bytes_of_str(code));
                must(ctl_get_str(&msg.error, "message", &text) == ERR_OK);
            }
            responses++;
        }
        ctl_done(&msg);
        stream = bytes_of(stream.data + size, stream.size - size);
    }
    buf_clear(&client->replies);
    return responses;
}

static void answers_drop(struct asker *asker)
{
    bool unused = false;
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        (void) answers_check(&asker->rig.clients[i], "", &unused);
    }
}

/* A backup goes to any path that an admin names: not while fuzzing. */
static bool harmless(struct bytes frame)
{
    return frame.size == 0 || memmem(frame.data, frame.size, "backup", 6) == NULL;
}

static void give(struct asker *asker, unsigned client, struct bytes frame)
{
    struct rig *rig = &asker->rig;
    if (!harmless(frame)) {
        return;
    }
    struct hash before = rig->held[1].hash;
    uint8_t *copy = fuzz_copy(frame);
    rig_request(rig, client, bytes_of(copy, frame.size));
    free(copy);
    must(roles[client] >= ROLE_AGENT ||
         memcmp(before.bytes, rig->held[1].hash.bytes, HASH_SIZE) == 0);
}

static void request(struct asker *asker)
{
    struct choices *choices = &asker->choices;
    unsigned client = (unsigned) choose(choices, 8);
    client = client < RIG_CLIENTS ? client : 0;
    enum ctl_method method = (enum ctl_method) choose(choices, CTL_COUNT);
    struct buf frame = {0};
    size_t count = choose(choices, 5), first = choose(choices, KEYS_COUNT);
    if (method == CTL_publish && first % 4 != 0) {
        first = ENTRIES_KEY;
    }
    ctl_put_request(&frame, asker->id++, method);
    pack_map(&frame, count);
    for (size_t i = 0; i < count; i++) {
        const char *key = keys[(first + i) % KEYS_COUNT];
        pack_cstr(&frame, key);
        value_put(asker, key, &frame);
    }
    size_t size = 0;
    if (ctl_frame(buf_bytes(&frame), &size) == ERR_OK && size == frame.size &&
        harmless(buf_bytes(&frame))) {
        answers_drop(asker);
        give(asker, client, buf_bytes(&frame));
        bool refused = false;
        unsigned answers = answers_check(&asker->rig.clients[client], "E-ROLE", &refused);
        bool later = method == CTL_sync || method == CTL_repair;
        must(later || asker->rig.clients[client].closed || answers > 0);
        must(refused == (roles[client] < ctl_role(method)) || answers == 0);
    }
    buf_done(&frame);
}

/* A stream as the daemon would cut it. */
static void raw(struct asker *asker)
{
    struct bytes stream = choose_bytes(&asker->choices, 200);
    unsigned client = (unsigned) choose(&asker->choices, RIG_CLIENTS);
    size_t size = 0;
    enum err err = ERR_MORE;
    while (stream.size > 0 && (err = ctl_frame(stream, &size)) == ERR_OK) {
        give(asker, client, bytes_of(stream.data, size));
        stream = bytes_of(stream.data + size, stream.size - size);
    }
    if (err != ERR_OK && err != ERR_MORE) {
        struct event event = {.kind = EVENT_CLIENT_BAD, .client = client, .err = err};
        rig_step(&asker->rig, &event);
        rig_settle(&asker->rig);
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
        struct event event = {.kind = EVENT_CLIENT_DOWN,
                              .client = (uint32_t) choose(choices, RIG_CLIENTS)};
        rig_step(rig, &event);
        rig_settle(rig);
        event.kind = EVENT_CLIENT_UP;
        event.role = roles[event.client];
        rig_step(rig, &event);
        rig_settle(rig);
        buf_clear(&rig->clients[event.client].replies);
        rig->clients[event.client].closed = false;
    } else if (what < 30) {
        struct event event = {.kind = EVENT_CLIENT_ROOM};
        event.client = (uint32_t) choose(choices, RIG_CLIENTS);
        event.queued = (size_t) choose_number(choices);
        rig_step(rig, &event);
        rig_settle(rig);
    } else if (what < 31) {
        rig_restart(rig);
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
    rig_close(&asker->rig);
    free(asker);
    return 0;
}
