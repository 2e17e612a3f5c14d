/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/guard.c: the guard, doc/decisions/0009: the newest own head that may have been told to
 * anybody, kept outside the store.
 *
 * Happy path: whenever the own head changed, EFFECT_GUARD stands before everything that leaves in
 * this turn. At the start a guard that the store does not know means that the store went back: then
 * nothing is signed until the own chain, pulled from peers, holds that head. A guard of unknown
 * number (a copy was put back) is lifted when a peer has nothing more of ours.
 */
#include "node/parts.h"

#define GUARD_QUIET_MS 10000
#define GUARD_LOOK_MS 1000

/* Does the own chain hold the head that the guard names? */
static enum err guard_held(struct node *node, struct txn *txn, bool *ret_held)
{
    const struct guarded *guard = &node->guard;
    enum where where = WHERE_UNKNOWN;
    *ret_held = guard->n == 0;
    if (guard->n == 0 || guard->n == GUARD_N_UNKNOWN || !node->own.held) {
        return ERR_OK;
    }
    enum err err = history_where(txn, node->own.catalogue, guard->n, &guard->hash, &where);
    *ret_held = where == WHERE_TRUNK || where == WHERE_SIDE;
    return err;
}

enum err guard_load(struct node *node)
{
    const struct node_config *config = &node->config;
    struct guarded *guard = &node->guard;
    struct txn *txn = NULL;
    bool held = false;
    if (config->guard_bad && !node->own.held && !config->recovering) {
        guard->n = GUARD_N_UNKNOWN; /* a guard there was, and nothing beside it */
    } else if (config->has_guard) {
        guard->written = true;
        guard->n = config->guard_n;
        guard->hash = config->guard_hash;
    }
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = guard_held(node, txn, &held);
    }
    if (err == ERR_OK && !held) {
        node->own.frozen |= FREEZE_GUARD;
    }
    return err;
}

/* What the file should say. */
static void guard_wanted(const struct node *node, struct guarded *ret_guard)
{
    const struct own *own = &node->own;
    *ret_guard = (struct guarded){.written = true};
    if (own->held && (own->frozen & FREEZE_RECOVERING) == 0) {
        ret_guard->n = own->head.n;
        ret_guard->hash = own->head.hash;
    }
}

static enum err guard_review(struct node *node)
{
    struct guarded *guard = &node->guard;
    struct own *own = &node->own;
    if (!guard->told) {
        guard->told = true;
        if (guard->n == GUARD_N_UNKNOWN) {
            node_log(node, 4,
                     "own-guard: a copy was put back: nothing is signed until a peer has shown "
                     "what it holds of this lab");
        } else {
            node_log(node, 3,
                     "own-guard: this lab signed head %llu, its store holds %llu: nothing is "
                     "signed until peers gave it back",
                     (unsigned long long) guard->n,
                     (unsigned long long) (own->held ? own->head.n : 0));
        }
    }
    if (!own->held || guard->looked == own->arrival) {
        return ERR_OK;
    }
    struct txn *txn = NULL;
    bool held = false;
    guard->looked = own->arrival;
    enum err err = txn_begin_read(node->config.store, &txn);
    if (err == ERR_OK) {
        err = guard_held(node, txn, &held);
    }
    txn_end(txn);
    if (err == ERR_OK && held) {
        guard_lift(node);
    }
    return err;
}

void guard_lift(struct node *node)
{
    node->own.frozen &= ~(unsigned) FREEZE_GUARD;
    node_log(node, 6, "own-guard: the store is as far as the guard");
}

enum err guard_settle(struct node *node)
{
    struct guarded *guard = &node->guard;
    enum err err = (node->own.frozen & FREEZE_GUARD) != 0 ? guard_review(node) : ERR_OK;
    if (err != ERR_OK || (node->own.frozen & FREEZE_GUARD) != 0) {
        return err;
    }
    struct guarded wanted;
    guard_wanted(node, &wanted);
    if (guard->written && guard->n == wanted.n &&
        memcmp(guard->hash.bytes, wanted.hash.bytes, HASH_SIZE) == 0) {
        return ERR_OK;
    }
    struct effect *effect = effects_add(node, EFFECT_GUARD);
    if (effect == NULL) {
        return ERR_NOMEM;
    }
    effect->n = wanted.n;
    effect->hash = wanted.hash;
    *guard = wanted;
    return ERR_OK;
}

bool guard_covers(const struct node *node, const struct head *head)
{
    return (node->own.frozen & FREEZE_GUARD) != 0 && node->guard.n == head->n &&
           memcmp(node->guard.hash.bytes, head->hash.bytes, HASH_SIZE) == 0;
}

/* Has it been linked for long enough, with nothing of ours to come from it? */
static bool link_empty(const struct node *node, const struct link *link)
{
    if (link->state != LINK_READY || link->file || link->reader ||
        node->now_ms - link->ready_ms < GUARD_QUIET_MS) {
        return false;
    }
    for (size_t i = 0; i < link->offer_count; i++) {
        if (!link->offers[i].done && link->offers[i].catalogue == node->own.catalogue) {
            return false;
        }
    }
    return true;
}

static bool guard_waits(const struct node *node)
{
    return (node->own.frozen & FREEZE_GUARD) != 0 && node->guard.n == GUARD_N_UNKNOWN;
}

void guard_tick(struct node *node)
{
    node->guard.look_ms = node->now_ms + GUARD_LOOK_MS;
    bool busy = (node->own.frozen & (FREEZE_SEEN | FREEZE_FORK)) != 0 ||
                fetch_of(node, node->own.catalogue) != NULL;
    for (size_t i = 0; guard_waits(node) && !busy && i < node->link_count; i++) {
        if (link_empty(node, node->links[i])) {
            guard_lift(node);
        }
    }
}

uint64_t guard_wake_ms(const struct node *node)
{
    return guard_waits(node) && node->link_count > 0 ? node->guard.look_ms : UINT64_MAX;
}

const char *freeze_text(const struct node *node)
{
    unsigned frozen = node->own.frozen;
    return (frozen & FREEZE_REPLACED) != 0
               ? "the root key signed newer keys for this lab: these sign nothing any more"
           : (frozen & FREEZE_RECOVERING) != 0
               ? "this lab is being recovered: nothing is signed before essaim recover ends"
           : (frozen & FREEZE_GUARD) != 0
               ? "this store is older than what this lab signed: nothing is signed until peers "
                 "gave the rest back"
           : (frozen & FREEZE_FORK) != 0
               ? "this lab has two histories: nothing is signed until they are joined"
           : (frozen & FREEZE_SEEN) != 0
               ? "peers hold a state of this lab that this store does not: nothing is signed"
               : NULL;
}
