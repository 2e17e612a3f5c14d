/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/puppet.c: a lab without a node: the test itself holds its end of a link, and says and
 * hears whatever it likes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "tests/sim/state.h"

#define SHAKE_MS 5000

struct word {
    struct word *next;
    struct buf bytes;
};

struct puppet {
    uint32_t link; /* 0 = none */
    struct session *session;
    bool hello_heard;
    struct word *first, *last; /* heard, not taken yet */
    struct buf taken;
    uint8_t index[INSTANCE_SIZE];
    uint64_t features;
    puppet_hears *hears;
    void *user;
};

static void words_free(struct puppet *puppet)
{
    while (puppet->first != NULL) {
        struct word *next = puppet->first->next;
        buf_done(&puppet->first->bytes);
        free(puppet->first);
        puppet->first = next;
    }
    puppet->last = NULL;
}

static void link_gone(struct puppet *puppet)
{
    session_free(puppet->session);
    puppet->session = NULL;
    puppet->link = 0;
    puppet->hello_heard = false;
}

void puppet_free(struct puppet *puppet)
{
    if (puppet != NULL) {
        link_gone(puppet);
        words_free(puppet);
        buf_done(&puppet->taken);
        free(puppet);
    }
}

unsigned sim_puppet(struct sim *sim, const char *name)
{
    struct sim_lab *lab = lab_with_keys(sim, name);
    lab->puppet = calloc(1, sizeof *lab->puppet);
    must(lab->puppet != NULL);
    sim_roll_bytes(sim, lab->puppet->index, INSTANCE_SIZE);
    lab->live = true;
    lab->apart = true;
    return sim->lab_count - 1;
}

static void flush(struct sim *sim, unsigned number)
{
    struct puppet *puppet = sim->labs[number]->puppet;
    struct buf *bytes = puppet->session == NULL ? NULL : session_take(puppet->session);
    if (bytes != NULL) {
        conn_send(sim, number, puppet->link, buf_bytes(bytes));
        buf_free(bytes);
    }
}

void puppet_say(struct sim *sim, unsigned number, const struct msg *msg)
{
    struct puppet *puppet = sim->labs[number]->puppet;
    if (puppet->session == NULL || !session_ready(puppet->session)) {
        return;
    }
    defer(buf_done) struct buf bytes = {0};
    msg_encode(msg, &bytes);
    must(bytes.err == ERR_OK);
    must(session_send(puppet->session, buf_bytes(&bytes)) == ERR_OK);
    flush(sim, number);
}

static void hello_say(struct sim *sim, unsigned number)
{
    const struct sim_lab *lab = sim->labs[number];
    struct msg msg = {.type = MSG_HELLO,
                      .hello = {.version = 1,
                                .features = lab->puppet->features,
                                .lab = lab->id,
                                .generation = lab->generation,
                                .record = buf_bytes(&lab->record)}};
    memcpy(msg.hello.index, lab->puppet->index, INSTANCE_SIZE);
    puppet_say(sim, number, &msg);
}

static void word_keep(struct puppet *puppet, struct bytes bytes)
{
    struct word *word = calloc(1, sizeof *word);
    must(word != NULL);
    buf_put(&word->bytes, bytes);
    if (puppet->last != NULL) {
        puppet->last->next = word;
    } else {
        puppet->first = word;
    }
    puppet->last = word;
}

static void hear(struct sim *sim, unsigned number, struct bytes bytes)
{
    struct puppet *puppet = sim->labs[number]->puppet;
    struct msg msg;
    must(msg_decode(bytes, &msg) == ERR_OK);
    sim_tell(sim, "%u hears %s", number, msg_name(msg.type));
    puppet->hello_heard = puppet->hello_heard || msg.type == MSG_HELLO;
    if (msg.type == MSG_PING) {
        puppet_say(sim, number, &(struct msg){.type = MSG_PONG, .ping = msg.ping});
    } else if (puppet->hears != NULL) {
        puppet->hears(sim, number, &msg, puppet->user);
    } else {
        word_keep(puppet, bytes);
    }
}

void puppet_event(struct sim *sim, unsigned number, const struct event *event)
{
    struct puppet *puppet = sim->labs[number]->puppet;
    if (event->link != puppet->link || puppet->session == NULL) {
        return;
    }
    if (event->kind == EVENT_LINK_DOWN || event->kind == EVENT_DIAL_FAILED) {
        link_gone(puppet);
        return;
    }
    if (event->kind == EVENT_LINK_UP) {
        flush(sim, number);
        return;
    }
    if (event->kind != EVENT_LINK_BYTES) {
        return;
    }
    bool was_ready = session_ready(puppet->session);
    must(session_feed(puppet->session, event->bytes) == ERR_OK);
    struct bytes plain;
    enum err err = ERR_OK;
    while (puppet->session != NULL && (err = session_next(puppet->session, &plain)) == ERR_OK) {
        hear(sim, number, plain);
    }
    must(err == ERR_OK || err == ERR_MORE);
    flush(sim, number);
    if (puppet->session != NULL && !was_ready && session_ready(puppet->session)) {
        hello_say(sim, number);
    }
}

bool puppet_dial(struct sim *sim, unsigned number, unsigned to)
{
    struct sim_lab *lab = sim->labs[number];
    struct puppet *puppet = lab->puppet;
    uint8_t dice[KEY_SIZE];
    enum err err = ERR_OK;
    link_gone(puppet);
    words_free(puppet);
    sim_roll_bytes(sim, dice, sizeof dice);
    puppet->session = session_new(true, lab->link_secret, dice, &err);
    must(puppet->session != NULL);
    puppet->link = conn_dial(sim, number, to, &sim->labs[to]->id);
    if (puppet->link == 0) {
        link_gone(puppet);
        return false;
    }
    uint64_t until_ms = sim->now_ms + SHAKE_MS;
    while (puppet->session != NULL && !puppet->hello_heard && sim_next(sim, until_ms)) {
    }
    return puppet->session != NULL && puppet->hello_heard;
}

void puppet_close(struct sim *sim, unsigned number)
{
    struct puppet *puppet = sim->labs[number]->puppet;
    unsigned end = 0;
    struct sim_conn *conn = conn_of(sim, number, puppet->link, &end);
    if (conn != NULL) {
        conn_close(sim, conn);
    }
    link_gone(puppet);
}

bool puppet_linked(const struct sim *sim, unsigned number)
{
    return sim->labs[number]->puppet->session != NULL;
}

bool puppet_next(struct sim *sim, unsigned number, struct msg *ret_msg)
{
    struct puppet *puppet = sim->labs[number]->puppet;
    struct word *word = puppet->first;
    if (word == NULL) {
        return false;
    }
    buf_done(&puppet->taken);
    puppet->taken = word->bytes;
    puppet->first = word->next;
    puppet->last = puppet->first == NULL ? NULL : puppet->last;
    free(word);
    must(msg_decode(buf_bytes(&puppet->taken), ret_msg) == ERR_OK);
    return true;
}

bool puppet_await(struct sim *sim, unsigned number, enum msg_type type, uint64_t ms,
                  struct msg *ret_msg)
{
    uint64_t until_ms = sim->now_ms + ms;
    for (;;) {
        while (puppet_next(sim, number, ret_msg)) {
            if (ret_msg->type == type) {
                return true;
            }
        }
        if (!sim_next(sim, until_ms)) {
            return false;
        }
    }
}

void puppet_on(struct sim *sim, unsigned number, puppet_hears *hears, void *user)
{
    sim->labs[number]->puppet->hears = hears;
    sim->labs[number]->puppet->user = user;
}

void puppet_index(struct sim *sim, unsigned number)
{
    sim_roll_bytes(sim, sim->labs[number]->puppet->index, INSTANCE_SIZE);
}

void puppet_features(struct sim *sim, unsigned number, uint64_t features)
{
    sim->labs[number]->puppet->features = features;
}

void puppet_key(struct sim *sim, unsigned number)
{
    sim_roll_bytes(sim, sim->labs[number]->link_secret, KEY_SIZE);
}

void puppet_rotate(struct sim *sim, unsigned number, const struct head *good)
{
    struct sim_lab *lab = sim->labs[number];
    struct last_good last = {.audience = bytes_of_str("public")};
    if (good != NULL) {
        last.n = good->n;
        last.head_hash = good->hash;
    }
    lab_keys(sim, lab, lab->generation + 1, good != NULL ? &last : NULL);
}

struct bytes sim_record(const struct sim *sim, unsigned lab)
{
    return buf_bytes(&sim->labs[lab]->record);
}

const uint8_t *sim_signing(const struct sim *sim, unsigned lab)
{
    return sim->labs[lab]->signing_secret;
}
