/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/peer.c: the labs we hold or held a link with, and when to dial which.
 *
 * A peer with an address is dialled while fewer than PEERS_OUT_MAX links go out; a failure doubles
 * its delay from DIAL_MS_MIN to DIAL_MS_MAX, with up to a quarter of jitter; any sign of life
 * resets it. Who has no link at all asks each peer at least every DIAL_ALONE_MS_MAX, and who lost a
 * peer within LOST_MS asks it every DIAL_LOST_MS_MAX: when the network comes back, or two parts of
 * it find each other again, that is noticed soon.
 */
#include <stdlib.h>

#include "base/must.h"
#include "node/parts.h"

struct peer *peer_find(struct node *node, const struct lab_id *lab)
{
    for (size_t i = 0; i < node->peer_count; i++) {
        if (memcmp(node->peers[i]->row.lab.bytes, lab->bytes, KEY_SIZE) == 0) {
            return node->peers[i];
        }
    }
    return NULL;
}

struct peer *peer_make(struct node *node, const struct lab_id *lab)
{
    struct peer *peer = peer_find(node, lab);
    if (peer != NULL || node->peer_count == KNOWN_PEERS_MAX) {
        return peer;
    }
    peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        return NULL;
    }
    peer->row.lab = *lab;
    peer->dial_delay_ms = DIAL_MS_MIN;
    node->peers[node->peer_count++] = peer;
    return peer;
}

enum err peers_load(struct node *node)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct lab_id lab = {0};
    bool first = true;
    while (err == ERR_OK) {
        struct peer_row row;
        err = peer_next(txn, first, &lab, &row);
        first = false;
        if (err != ERR_OK) {
            break;
        }
        struct peer *peer = peer_make(node, &row.lab);
        if (peer == NULL) {
            return node->peer_count == KNOWN_PEERS_MAX ? ERR_OK : ERR_NOMEM;
        }
        peer->row = row;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err peers_undo(struct node *node)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    for (size_t i = 0; err == ERR_OK && i < node->peer_count; i++) {
        struct peer *peer = node->peers[i];
        must(peer->link == NULL);
        struct peer_row row;
        err = peer_get(txn, &peer->row.lab, &row);
        if (err == ERR_NOT_FOUND) {
            row = (struct peer_row){.lab = peer->row.lab, .removed = true};
            err = ERR_OK;
        }
        if (err == ERR_OK) {
            peer->row = row;
            peer->row_dirty = false;
        }
    }
    return err;
}

static unsigned links_out(const struct node *node)
{
    unsigned out = 0;
    for (size_t i = 0; i < node->link_count; i++) {
        out += node->links[i]->dialled && node->links[i]->state == LINK_READY;
    }
    for (size_t i = 0; i < node->peer_count; i++) {
        out += node->peers[i]->dialling;
    }
    return out;
}

static bool wants_dial(const struct peer *peer)
{
    return peer->row.address[0] != 0 && !peer->row.removed && peer->link == NULL && !peer->dialling;
}

void peers_dial(struct node *node)
{
    if (node->stopping) {
        return;
    }
    unsigned out = links_out(node);
    for (size_t i = 0; i < node->peer_count && out < PEERS_OUT_MAX; i++) {
        struct peer *peer = node->peers[i];
        if (!wants_dial(peer) || node->now_ms < peer->dial_at_ms) {
            continue;
        }
        struct effect *effect = effects_add(node, EFFECT_DIAL);
        if (effect == NULL) {
            return;
        }
        effect->lab = peer->row.lab;
        memcpy(effect->address, peer->row.address, sizeof effect->address);
        peer->dialling = true;
        out++;
    }
}

static bool alone(const struct node *node)
{
    for (size_t i = 0; i < node->peer_count; i++) {
        if (node->peers[i]->link != NULL) {
            return false;
        }
    }
    return true;
}

/* Up to a quarter of `delay_ms` sooner, so that not all dial at once. */
static uint64_t dial_time(const struct node *node, const struct peer *peer, uint64_t delay_ms)
{
    uint64_t dice = node->dice[31] ^ peer->row.lab.bytes[KEY_SIZE - 1];
    return node->now_ms + delay_ms - dice * (delay_ms / 4) / 255;
}

/* A link that was being made, or one that was refused, came to nothing. */
void peer_failed(struct node *node, struct peer *peer)
{
    peer->dialling = false;
    if (peer->linked) {
        peer->linked = false;
        peer->lost_ms = node->now_ms;
    }
    bool lost = peer->lost_ms != 0 && node->now_ms - peer->lost_ms < LOST_MS;
    uint64_t delay_ms_max = lost ? DIAL_LOST_MS_MAX : DIAL_MS_MAX;
    peer->dial_at_ms = dial_time(node, peer, peer->dial_delay_ms);
    bool is_alone = alone(node);
    for (size_t i = 0; is_alone && i < node->peer_count; i++) {
        struct peer *other = node->peers[i];
        uint64_t latest_ms = dial_time(node, other, DIAL_ALONE_MS_MAX);
        other->dial_at_ms = other->dial_at_ms < latest_ms ? other->dial_at_ms : latest_ms;
    }
    peer->dial_delay_ms *= 2;
    if (peer->dial_delay_ms > delay_ms_max) {
        peer->dial_delay_ms = delay_ms_max;
    }
}

void peer_alive(struct peer *peer)
{
    peer->dial_delay_ms = DIAL_MS_MIN;
    peer->dialling = false;
    peer->linked = true;
}

enum err peers_store(struct node *node)
{
    for (size_t i = 0; i < node->peer_count; i++) {
        struct peer *peer = node->peers[i];
        if (!peer->row_dirty) {
            continue;
        }
        struct txn *txn = NULL;
        enum err err = node_txn(node, &txn);
        if (err == ERR_OK) {
            err = peer_put(txn, &peer->row);
        }
        if (err != ERR_OK) {
            return err;
        }
        peer->row_dirty = false;
    }
    return ERR_OK;
}

uint64_t peers_wake_ms(const struct node *node)
{
    uint64_t wake = UINT64_MAX;
    if (links_out(node) >= PEERS_OUT_MAX) {
        return wake;
    }
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct peer *peer = node->peers[i];
        if (wants_dial(peer) && peer->dial_at_ms < wake) {
            wake = peer->dial_at_ms;
        }
    }
    return wake;
}
