/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/link.c: one connection with another lab.
 *
 *   SHAKING ──handshake through──► GREETING ──both HELLOs good──► READY ──BYE, silence, breach──►
 * CLOSING ──LINK_DOWN──► gone
 *
 * The dialler speaks first. Whoever is not the lab expected, or uses a key its record does not
 * name, hears BYE 2 and no other word. Two links with one lab: the one dialled by the lower lab id
 * stays; of the same direction, the newer.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/did.h"

#define EDGE(state) (1u << (state))
static const unsigned link_edges[LINK_STATE_COUNT] = {
    [LINK_SHAKING] = EDGE(LINK_GREETING) | EDGE(LINK_CLOSING),
    [LINK_GREETING] = EDGE(LINK_READY) | EDGE(LINK_CLOSING),
    [LINK_READY] = EDGE(LINK_CLOSING),
    [LINK_CLOSING] = 0,
};

static void link_move(struct link *link, enum link_state state)
{
    must((link_edges[link->state] & EDGE(state)) != 0);
    link->state = state;
}

struct link *link_find(struct node *node, uint32_t number)
{
    for (size_t i = 0; i < node->link_count; i++) {
        if (node->links[i]->number == number) {
            return node->links[i];
        }
    }
    return NULL;
}

size_t link_room(const struct link *link)
{
    size_t used = link->queued + (link->file ? link->out.size : session_waiting(link->session));
    size_t frame = FRAME_SIZE_MAX + 2;
    return used + frame > PEER_OUT_SIZE_MAX ? 0 : PEER_OUT_SIZE_MAX - used;
}

void link_send(struct node *node, struct link *link, const struct msg *msg)
{
    if (link->state == LINK_CLOSING || (!link->file && !session_ready(link->session))) {
        return;
    }
    defer(buf_done) struct buf bytes = {0};
    msg_encode(msg, &bytes);
    if (link->file) {
        must(bytes.size <= MSG_SIZE_MAX);
        buf_put_u8(&link->out, (uint8_t) (bytes.size >> 8));
        buf_put_u8(&link->out, (uint8_t) bytes.size);
        buf_join(&link->out, &bytes);
        return; /* its error is sticky: whoever takes `out` looks at it */
    }
    enum err err = bytes.err != ERR_OK ? bytes.err : session_send(link->session, buf_bytes(&bytes));
    if (err == ERR_NOMEM) {
        node->effects->err = err; /* ours: the node ends */
        return;
    }
    if (err != ERR_OK) {
        node_refuse(node, err);
        link_move(link, LINK_CLOSING);
        return;
    }
    link->said_ms = node->now_ms;
}

void link_close(struct node *node, struct link *link, enum bye code, const char *reason)
{
    if (link->state == LINK_CLOSING) {
        return;
    }
    link_send(
        node, link,
        &(struct msg){.type = MSG_BYE, .bye = {.code = code, .reason = bytes_of_str(reason)}});
    if (link->state == LINK_CLOSING) {
        return;
    }
    if (link->state == LINK_READY && !link->file) {
        char did[DID_SIZE_MAX];
        did_encode(&link->lab, did);
        node_log(node, 6, "link-close: %s (%d %s)", did, (int) code, reason);
    }
    fetch_link_down(node, link);
    link_move(link, LINK_CLOSING);
}

struct link *link_file(void)
{
    struct link *link = calloc(1, sizeof *link);
    if (link != NULL) {
        link->file = true;
        link->state = LINK_READY;
    }
    return link;
}

void link_free(struct link *link)
{
    if (link == NULL) {
        return;
    }
    session_free(link->session);
    buf_done(&link->out);
    buf_done(&link->proof);
    free(link->offers);
    free(link);
}

enum err link_up(struct node *node, const struct event *event)
{
    struct peer *peer = event->dialled ? peer_find(node, &event->lab) : NULL;
    bool unwanted = event->dialled ? peer == NULL || peer->row.removed : node->config.recovering;
    struct link *link = node->link_count < LINKS_MAX && !unwanted ? calloc(1, sizeof *link) : NULL;
    enum err err = ERR_OK;
    if (link != NULL) {
        link->session = session_new(event->dialled, node->config.link_secret, event->dice, &err);
    }
    if (link == NULL || link->session == NULL) {
        free(link);
        struct effect *effect = effects_add(node, EFFECT_CLOSE);
        if (effect != NULL) {
            effect->link = event->link;
        }
        if (peer != NULL) {
            peer_failed(node, peer);
        }
        return ERR_OK;
    }
    link->number = event->link;
    link->dialled = event->dialled;
    link->lab = event->lab;
    link->up_ms = link->heard_ms = link->said_ms = link->rekey_ms = node->now_ms;
    link->up_wall_s = node->wall_s;
    if (event->address != NULL) {
        bytes_copy(link->address,
                   bytes_of(event->address, strnlen(event->address, PEER_ADDRESS_MAX - 1)));
    }
    node->links[node->link_count++] = link;
    return ERR_OK;
}

void link_down(struct node *node, struct link *link)
{
    fetch_link_down(node, link);
    struct peer *peer = link->peer;
    if (peer != NULL && peer->link == link) {
        peer->link = NULL;
        if (link->cursor > peer->row.cursor) {
            peer->row.cursor = link->cursor;
            peer->row_dirty = true;
        }
        char did[DID_SIZE_MAX];
        did_encode(&link->lab, did);
        node_log(node, 6, "link-down: %s", did);
        peer_failed(node, peer);
    } else if (peer == NULL && link->dialled) {
        peer = peer_find(node, &link->lab);
        if (peer != NULL) {
            peer_failed(node, peer);
        }
    }
    for (size_t i = 0; i < node->link_count; i++) {
        if (node->links[i] == link) {
            node->links[i] = node->links[--node->link_count];
            break;
        }
    }
    link_free(link);
}

enum err link_hello(struct node *node, struct link *link, bool with_record)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct held_lab held;
    if (err == ERR_OK) {
        err = lab_get(txn, &link->lab, &held);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    struct msg msg = {
        .type = MSG_HELLO,
        .hello =
            {
                .version = 1,
                .features = FEATURE_RECEIPTS,
                .network = node->network,
                .lab = node->config.lab,
                .generation = node->record_view.generation,
                .holds = err == ERR_OK ? held.record.generation : 0,
            },
    };
    link->said_generation = node->record_view.generation;
    if (node->config.recovering) {
        msg.hello.record = buf_bytes(&node->statement);
    } else if (with_record) {
        msg.hello.record = buf_bytes(&node->record);
    }
    memcpy(msg.hello.index, store_index(node->config.store), INSTANCE_SIZE);
    struct peer *peer = peer_find(node, &link->lab);
    if (peer != NULL && peer->row.has_index) {
        msg.hello.has_read_index = true;
        memcpy(msg.hello.read_index, peer->row.index, INSTANCE_SIZE);
        msg.hello.cursor = peer->row.cursor;
        link->told = peer->row.cursor;
    }
    link_send(node, link, &msg);
    return ERR_OK;
}

/* The HELLO's record, given or held, is the accepted lab's and names the key just used. ERR_REFUSED
 * otherwise. */
static enum err hello_check(struct node *node, struct link *link, const struct msg *msg)
{
    if (msg->hello.generation == 0) {
        return reader_check(node, link, msg);
    }
    struct peer *peer = peer_find(node, &msg->hello.lab);
    if (peer == NULL || peer->row.removed) {
        return ERR_REFUSED;
    }
    if (link->dialled && memcmp(link->lab.bytes, msg->hello.lab.bytes, KEY_SIZE) != 0) {
        return ERR_REFUSED;
    }
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    if (err != ERR_OK) {
        return err;
    }
    struct held_lab held;
    err = lab_get(txn, &msg->hello.lab, &held);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    uint64_t generation_held = err == ERR_OK ? held.record.generation : 0;
    struct lab_record record;
    if (msg->hello.record.size > 0) {
        err = lab_record_open(msg->hello.record, &record);
        if (err != ERR_OK || memcmp(record.lab.bytes, msg->hello.lab.bytes, KEY_SIZE) != 0) {
            return ERR_REFUSED;
        }
    } else if (generation_held == msg->hello.generation && err == ERR_OK) {
        record = held.record;
    } else {
        return ERR_REFUSED;
    }
    if (record.generation != msg->hello.generation || record.generation < generation_held ||
        memcmp(record.link_pk, session_remote(link->session), KEY_SIZE) != 0) {
        return ERR_REFUSED;
    }
    link->lab = msg->hello.lab;
    return record.generation > generation_held
               ? record_accept(node, &record, msg->hello.record, &link->lab)
               : ERR_OK;
}

/* Is `link` the one to keep, of the two that stand with its lab? */
static bool link_wins(const struct node *node, const struct link *link, const struct link *other)
{
    if (link->dialled == other->dialled || node->now_ms - other->heard_ms > PING_MS) {
        return true;
    }
    bool own_lower = memcmp(node->config.lab.bytes, link->lab.bytes, KEY_SIZE) < 0;
    return link->dialled == own_lower;
}

void link_ready(struct node *node, struct link *link, struct peer *peer)
{
    link->peer = peer;
    link->ready_ms = link->news_ms = node->now_ms;
    link_move(link, LINK_READY);
    char did[DID_SIZE_MAX];
    did_encode(&link->lab, did);
    node_log(node, 6, "link-up: %s %s", did,
             link->reader    ? "accepted, to be recovered"
             : link->dialled ? "dialled"
                             : "accepted");
}

static enum err link_greet(struct node *node, struct link *link, const struct msg *msg)
{
    if (msg->hello.version != 1) {
        link_close(node, link, BYE_VERSION, "version 1 only");
        return ERR_OK;
    }
    enum err err = hello_check(node, link, msg);
    if (err == ERR_REFUSED) {
        node_refuse(node, ERR_REFUSED);
        link_close(node, link, BYE_REFUSED, "refused");
        return ERR_OK;
    }
    if (err != ERR_OK) {
        return err;
    }
    if (memcmp(msg->hello.network.bytes, node->network.bytes, HASH_SIZE) != 0) {
        link_close(node, link, BYE_NETWORK, "another network");
        return ERR_OK;
    }
    link->receipts = (msg->hello.features & FEATURE_RECEIPTS) != 0;
    if (link->reader) {
        return reader_greet(node, link, msg);
    }
    struct peer *peer = peer_find(node, &link->lab);
    must(peer != NULL);
    if (peer->link != NULL && !link_wins(node, link, peer->link)) {
        peer->dialling = false;
        link_close(node, link, BYE_REPLACED, "replaced");
        return ERR_OK;
    }
    if (!link->dialled) {
        err = link_hello(node, link, msg->hello.holds < node->record_view.generation);
    }
    if (peer->row.generation_known != msg->hello.holds) {
        peer->row.generation_known = msg->hello.holds;
        peer->row_dirty = true;
    }
    if (peer->link != NULL) {
        struct link *old = peer->link;
        peer->row.cursor = old->cursor > peer->row.cursor ? old->cursor : peer->row.cursor;
        peer->row_dirty = true;
        peer->link = NULL;
        old->peer = NULL;
        old->dialled = false; /* its end is no failure of the peer */
        link_close(node, old, BYE_REPLACED, "replaced");
    }
    peer_alive(peer);
    peer->refused = false;
    peer->link = link;
    link_ready(node, link, peer);
    return err != ERR_OK ? err : link_start(node, link, msg);
}

static enum err link_bye(struct node *node, struct link *link, const struct msg *msg)
{
    struct peer *peer = peer_find(node, &link->lab);
    if (link->dialled && link->state == LINK_GREETING && peer != NULL &&
        msg->bye.code == BYE_REFUSED) {
        peer->refused = peer->row.generation_known == 0;
        peer->row_dirty = peer->row_dirty || !peer->refused;
        peer->row.generation_known = 0; /* it may have lost our record: bring it next time */
    }
    if (link->state == LINK_GREETING && msg->bye.code == BYE_REPLACED) {
        link->dialled = false;
        if (peer != NULL) {
            peer->dialling = false;
            peer->dial_at_ms = node->now_ms + DIAL_MS_MIN;
        }
    }
    enum err err = fetch_link_lost(node, link);
    fetch_link_down(node, link);
    link_move(link, LINK_CLOSING);
    return err;
}

static bool brings(const struct msg *msg)
{
    return msg->type != MSG_PING && msg->type != MSG_PONG && msg->type != MSG_ACK &&
           msg->type != MSG_WANT;
}

static enum err link_message(struct node *node, struct link *link, const struct msg *msg)
{
    if (reader_ignores(link, msg)) {
        return ERR_OK;
    }
    link->news_ms = brings(msg) ? node->now_ms : link->news_ms;
    switch (msg->type) {
    case MSG_RECORDS:
        return fetch_records(node, link, msg);
    case MSG_HEADS:
        return fetch_heads(node, link, msg);
    case MSG_WANT:
        return serve_want(node, link, msg);
    case MSG_DELTA:
        return fetch_delta(node, link, msg);
    case MSG_DELTA_END:
        return fetch_end(node, link, msg);
    case MSG_ACK:
        announce_acked(node, link, msg->ack.cursor);
        if (link->reader) {
            return ERR_OK;
        }
        link->upto = msg->ack.upto > link->upto ? msg->ack.upto : link->upto;
        cursor_update(node, link, false);
        return ERR_OK;
    case MSG_PING:
        link_send(node, link, &(struct msg){.type = MSG_PONG, .ping = msg->ping});
        return ERR_OK;
    case MSG_PONG:
        return ERR_OK;
    case MSG_RECEIPTS:
        return fetch_receipts(node, link, msg);
    case MSG_PROOF:
        return fork_part(node, link, msg);
    case MSG_BUCKETS:
        return mend_buckets(node, link, msg);
    case MSG_BUCKET:
        return mend_bucket(node, link, msg);
    case MSG_HELLO:
    case MSG_BYE:
    case MSG_REKEY:
    case MSG_JOIN:
    case MSG_JOINED:
        break;
    }
    node_refuse(node, ERR_MALFORMED);
    link_close(node, link, BYE_PROTOCOL, "not now");
    return ERR_OK;
}

static enum err link_receive(struct node *node, struct link *link, struct bytes plain)
{
    struct msg msg;
    enum err err = msg_decode(plain, &msg);
    if (err != ERR_OK) {
        node_refuse(node, err);
        link_close(node, link, BYE_PROTOCOL, err_text(err));
        return ERR_OK;
    }
    link->heard_ms = node->now_ms;
    if (msg.type == MSG_BYE) {
        return link_bye(node, link, &msg);
    }
    if (link->state == LINK_GREETING && msg.type == MSG_HELLO) {
        return link_greet(node, link, &msg);
    }
    if (link->state != LINK_READY) {
        node_refuse(node, ERR_MALFORMED);
        link_close(node, link, BYE_PROTOCOL, "HELLO first");
        return ERR_OK;
    }
    return link_message(node, link, &msg);
}

/* Works off what is whole. */
static enum err link_drain(struct node *node, struct link *link)
{
    while (link->state != LINK_CLOSING) {
        struct bytes plain;
        enum err err = session_next(link->session, &plain);
        if (link->state == LINK_SHAKING && session_ready(link->session)) {
            link_move(link, LINK_GREETING);
            struct peer *peer = link->dialled ? peer_find(node, &link->lab) : NULL;
            if (peer != NULL) {
                bool known = peer->row.generation_known == node->record_view.generation;
                enum err sent = link_hello(node, link, !known);
                if (sent != ERR_OK) {
                    return sent;
                }
            }
        }
        if (err == ERR_MORE) {
            return ERR_OK;
        }
        if (err != ERR_OK) {
            node_refuse(node, err);
            fetch_link_down(node, link);
            link_move(link, LINK_CLOSING);
            return err == ERR_NOMEM ? err : ERR_OK;
        }
        err = link_receive(node, link, plain);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

enum err link_bytes(struct node *node, struct link *link, struct bytes bytes)
{
    link->received += bytes.size;
    while (bytes.size > 0 && link->state != LINK_CLOSING) {
        size_t size = bytes.size < FRAME_SIZE_MAX * 4 ? bytes.size : FRAME_SIZE_MAX * 4;
        enum err err = session_feed(link->session, bytes_of(bytes.data, size));
        if (err == ERR_OK) {
            err = link_drain(node, link);
        }
        if (err != ERR_OK) {
            return err;
        }
        bytes = bytes_of(bytes.data + size, bytes.size - size);
    }
    return ERR_OK;
}

void links_tick(struct node *node)
{
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = node->links[i];
        if (link->state == LINK_CLOSING) {
            continue;
        }
        if (link->state != LINK_READY) {
            if (node->now_ms - link->up_ms >= HANDSHAKE_MS) {
                node_refuse(node, ERR_TIMEOUT);
                link_close(node, link, BYE_TIMEOUT, "handshake");
            }
            continue;
        }
        if (node->now_ms - link->heard_ms >= DEAD_MS) {
            link_close(node, link, BYE_TIMEOUT, "silence");
            continue;
        }
        if (node->now_ms - link->rekey_ms >= REKEY_PERIOD_MS) {
            link->rekey_ms = node->now_ms;
            if (session_rekey(link->session) != ERR_OK) {
                link_close(node, link, BYE_GOING, "rekey");
                continue;
            }
        }
        uint64_t quiet_ms = link->heard_ms < link->said_ms ? link->heard_ms : link->said_ms;
        if (node->now_ms - quiet_ms >= PING_MS && node->now_ms - link->ping_ms >= PING_MS) {
            link->ping_ms = node->now_ms;
            link_send(node, link, &(struct msg){.type = MSG_PING, .ping = 1});
        }
    }
}

/* When links_tick has something to do for it. Never counted from now: who is busy asks for this
 * after every turn, and would put it off for ever. */
static uint64_t link_wake_ms(const struct link *link)
{
    if (link->state == LINK_CLOSING) {
        return UINT64_MAX;
    }
    if (link->state != LINK_READY) {
        return link->up_ms + HANDSHAKE_MS;
    }
    uint64_t quiet_ms = link->heard_ms < link->said_ms ? link->heard_ms : link->said_ms;
    uint64_t times[] = {
        link->heard_ms + DEAD_MS,
        (quiet_ms > link->ping_ms ? quiet_ms : link->ping_ms) + PING_MS,
        link->rekey_ms + REKEY_PERIOD_MS,
        link->cursor_due_ms == 0 ? UINT64_MAX : link->cursor_due_ms,
    };
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        due = times[i] < due ? times[i] : due;
    }
    return due;
}

uint64_t links_wake_ms(const struct node *node)
{
    uint64_t wake = UINT64_MAX;
    for (size_t i = 0; i < node->link_count; i++) {
        uint64_t due = link_wake_ms(node->links[i]);
        wake = due < wake ? due : wake;
    }
    return wake;
}

void links_emit(struct node *node)
{
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = node->links[i];
        struct buf *bytes = session_take(link->session);
        if (bytes != NULL) {
            struct effect *effect = effects_add(node, EFFECT_SEND);
            if (effect == NULL) {
                buf_free(bytes);
                return;
            }
            link->queued += bytes->size;
            link->sent += bytes->size;
            effect->link = link->number;
            effect->bytes = bytes;
        }
        if (link->state == LINK_CLOSING && !link->close_sent) {
            link->close_sent = true;
            struct effect *effect = effects_add(node, EFFECT_CLOSE);
            if (effect != NULL) {
                effect->link = link->number;
            }
        }
    }
}
