/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/event.h: everything that can happen to a node, and everything a node can want.
 *
 * Links and clients are named by numbers that the performer gives, ascending and never used twice:
 * what comes late for one that is gone is ignored. Time and dice come in the event.
 */
#ifndef ESSAIM_NODE_EVENT_H
#define ESSAIM_NODE_EVENT_H

#include "base/buf.h"
#include "proto/ctl.h"
#include "proto/hash.h"
#include "store/ledger.h"

enum event_kind {
    EVENT_TICK,        /* time went by: at node_wake_ms, or sooner */
    EVENT_LINK_UP,     /* a TCP connection stands: link, dialled, lab (when dialled), address */
    EVENT_LINK_BYTES,  /* link, bytes */
    EVENT_LINK_ROOM,   /* link, queued: what was sent went out; so many bytes still wait */
    EVENT_LINK_DOWN,   /* link: closed by the other side or by an error (also after EFFECT_CLOSE) */
    EVENT_DIAL_FAILED, /* lab: EFFECT_DIAL came to nothing */
    EVENT_CLIENT_UP,   /* client, role */
    EVENT_CLIENT_BYTES, /* client, bytes: exactly one frame as measured by ctl_frame */
    EVENT_CLIENT_ROOM,  /* client, queued */
    EVENT_CLIENT_DOWN,  /* client */
    EVENT_CLIENT_BAD,   /* client, err: unparsable bytes; it is being closed */
    EVENT_KEYS,         /* err, keys: what EFFECT_KEYS_CLAIM came to */
};

/* New keys for the own lab; borrowed until node_step returns. */
struct node_keys {
    struct bytes record;           /* the signed record */
    const uint8_t *signing_secret; /* SIGN_SECRET_SIZE */
    const uint8_t *link_secret;    /* KEY_SIZE */
};

struct event {
    enum event_kind kind;
    uint64_t now_ms;  /* monotonic; with wall_s the only clocks below daemon/ */
    int64_t wall_s;   /* seconds since 1970, for what a person will read */
    uint8_t dice[32]; /* fresh randomness: LINK_UP takes its ephemeral key from it */
    uint32_t link, client;
    bool dialled;
    enum role role;
    enum err err;
    struct lab_id lab;
    const char *address; /* LINK_UP: "host:port" of the other side, for people; borrowed */
    size_t queued;
    struct bytes bytes;           /* borrowed until node_step returns */
    const struct node_keys *keys; /* NULL when err says why */
};

enum effect_kind {
    EFFECT_SEND,  /* link, bytes */
    EFFECT_CLOSE, /* link: after what was sent has gone out, at most 2 s */
    EFFECT_DIAL,  /* lab, address "host:port": LINK_UP with dialled, or DIAL_FAILED, must follow */
    EFFECT_REPLY, /* client, bytes */
    EFFECT_CLIENT_CLOSE, /* client: after what was replied has gone out */
    EFFECT_LOG,          /* text in bytes: one line for the log, escaped already */
    EFFECT_GUARD,        /* n, hash: the newest own head, to be kept before anything else is done */
    EFFECT_KEYS_CLAIM,   /* take over the keys that lie ready: EVENT_KEYS must follow */
    EFFECT_KEYS_FINISH,  /* they are in use, and on disk: put them in their place */
    EFFECT_KEYS_DROP,    /* they are not wanted */
};

struct effect {
    enum effect_kind kind;
    uint32_t link, client;
    struct lab_id lab;
    char address[PEER_ADDRESS_MAX];
    int level;  /* LOG: 3 error, 4 warning, 6 info (syslog) */
    uint64_t n; /* GUARD */
    struct hash hash;
    struct buf *bytes; /* owned: the performer takes it */
};

struct effects {
    struct effect *items;
    size_t count, cap;
    enum err err; /* sticky: ERR_NOMEM */
};

/* Empties and frees what was not taken. Leaves a usable object. */
void effects_done(struct effects *effects);

#endif
