/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/rig.h: one real node on a real store, in place of daemon/: events in by hand, effects
 * kept for whoever plays the other side.
 *
 *     rig_open      a lab with three entries that knows two peers, the same bytes every time
 *     rig_step, rig_settle      as daemon/turn.c does; held heads never go back
 *     rig_close     starts once more from disk and verifies it all
 */
#ifndef ESSAIM_TESTS_FUZZ_RIG_H
#define ESSAIM_TESTS_FUZZ_RIG_H

#include "node/node.h"
#include "proto/head.h"

#define RIG_LABS 3 /* 0 is the node's own; 1 and 2 are its peers */
#define RIG_CLIENTS 4
#define RIG_CATALOGUES_MAX 16
#define RIG_ENTRIES 19 /* quotas */
#define RIG_BYTES (19 * 61200)
#define RIG_WALL_S 1767225600

struct rig_keys {
    struct lab_id lab;
    uint8_t root_secret[SIGN_SECRET_SIZE], signing_secret[SIGN_SECRET_SIZE];
    uint8_t signing_public[KEY_SIZE], link_secret[KEY_SIZE], link_public[KEY_SIZE];
};

struct rig_client {
    struct buf replies;
    bool closed;
};

struct rig {
    struct store *store;
    struct node *node;
    struct effects effects;
    uint64_t now_ms, steps;
    struct rig_keys keys[RIG_LABS];
    uint64_t generation; /* of the own keys */
    bool claimed;        /* EFFECT_KEYS_CLAIM, not answered yet */
    unsigned claims;
    uint32_t link; /* the one whose bytes are kept; others are closed ones */
    struct buf sent;
    bool closed;
    bool dialled;         /* EFFECT_DIAL, not answered yet */
    struct lab_id wanted; /* by the dial */
    struct rig_client clients[RIG_CLIENTS];
    struct head held[RIG_CATALOGUES_MAX]; /* by id */
    unsigned catalogue_count;
};

/* Keys number `lab` of generation `generation`: the root key stays. */
void rig_keys(unsigned lab, uint64_t generation, struct rig_keys *ret_keys);
void rig_open(struct rig *rig);
void rig_close(struct rig *rig);
void rig_restart(struct rig *rig);
void rig_step(struct rig *rig, struct event *event);
void rig_settle(struct rig *rig);
/* Both, for an event that needs no more than its kind. */
void rig_turn(struct rig *rig, enum event_kind kind);
/* One request of client `client` (0: admin, 1: agent, 2: reader) as bytes, and its turn. */
void rig_request(struct rig *rig, unsigned client, struct bytes frame);

#endif
