/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/freeze.c: why nothing of the own catalogue is signed, and how that ends.
 *
 * A lab that was put back to an older state, or whose signing key is at work elsewhere too, must
 * not sign on: it would fork its own history. What peers hold of the own catalogue is asked for
 * (offer_own: the chain alone) when a head of ours is announced that is not known here, when a link
 * comes up while frozen, and by `essaim repair`. What this very store made and lost comes back by
 * itself; what another instance made only when the operator says so (repair), for it may be a
 * thief's: then `essaim key rotate` voids it.
 */
#include <stdlib.h>

#include "base/must.h"
#include "node/parts.h"
#include "proto/pack.h"

#define REPAIR_MS 60000
#define REPAIR_GRACE_MS 10000 /* for peers that are not linked yet */

/* ---- what peers hold ---- */

static enum err own_where(struct node *node, const struct head *head, enum where *ret_where)
{
    struct txn *txn = NULL;
    *ret_where = WHERE_UNKNOWN;
    enum err err = node->own.held ? node_txn(node, &txn) : ERR_OK;
    return err == ERR_OK && txn != NULL
               ? history_where(txn, node->own.catalogue, head->n, &head->hash, ret_where)
               : err;
}

static enum err own_seen(struct node *node, const struct head *head)
{
    struct own *own = &node->own;
    if ((own->frozen & FREEZE_SEEN) != 0 && head->n <= own->seen_n) {
        return ERR_OK;
    }
    if ((own->frozen & FREEZE_SEEN) == 0) {
        node_log(node, 3,
                 "own-head-unknown: a peer holds head %llu of this lab that this store never "
                 "signed",
                 (unsigned long long) head->n);
    }
    own->frozen |= FREEZE_SEEN;
    own->seen_n = head->n;
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    return err == ERR_OK ? own_seen_put(txn, head->n, &head->hash) : err; /* over a restart, too */
}

enum err own_head_seen(struct node *node, struct link *link, const struct head *head,
                       struct bytes signed_head)
{
    const struct own *own = &node->own;
    enum where where = WHERE_UNKNOWN;
    bool recovering = (own->frozen & FREEZE_RECOVERING) != 0;
    if (!recovering && head->generation < node->record_view.generation) {
        return ERR_STALE; /* the record names what stands of it */
    }
    enum err err = own_where(node, head, &where);
    if (err != ERR_OK || where == WHERE_TRUNK || where == WHERE_SIDE) {
        return err == ERR_OK ? ERR_STALE : err;
    }
    if (where == WHERE_OTHER) {
        return fork_seen(node, own->catalogue, head, signed_head, &link->lab);
    }
    err = recovering ? ERR_OK : own_seen(node, head);
    if (err == ERR_OK && !link->file) {
        err = offer_own(node, link);
    }
    return err == ERR_OK ? ERR_STALE : err;
}

/* May it be pulled without being asked for? */
static bool pull_allowed(const struct node *node, const struct fetch *fetch)
{
    const struct own *own = &node->own;
    return node->repair.open || (own->frozen & FREEZE_RECOVERING) != 0 ||
           guard_covers(node, &fetch->head) ||
           opening_holds(&fetch->opening, node->guard.n, &node->guard.hash) ||
           memcmp(fetch->head.instance, store_instance(node->config.store), INSTANCE_SIZE) == 0;
}

enum err own_staging_drop(struct node *node, bool all)
{
    struct own *own = &node->own;
    struct txn *txn = NULL;
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < node->client_count; i++) {
        struct batch *batch = &node->clients[i]->batch;
        if (batch->open && batch->draft.changes.count > 0) {
            err = batch_drop(node, batch);
            batch->open = batch->lost = all = true;
            batch->touched_ms = node->now_ms;
        }
    }
    if (err != ERR_OK || !all) {
        return err;
    }
    if (own->draft.changes.count > 0) {
        own->keep_staging = true; /* this turn's own bodies lie there, too */
        return ERR_OK;
    }
    err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = staging_drop(txn, own->catalogue);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err own_fetch_end(struct node *node)
{
    struct fetch *fetch = fetch_of(node, node->own.catalogue);
    if (fetch != NULL) {
        fetch_over(node, fetch);
    }
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = node->links[i];
        for (size_t k = 0; k < link->offer_count; k++) {
            link->offers[k].done |= link->offers[k].catalogue == node->own.catalogue;
        }
    }
    return own_staging_drop(node, true);
}

enum err own_probed(struct node *node, struct fetch *fetch)
{
    struct own *own = &node->own;
    enum where where = WHERE_UNKNOWN;
    enum err err = own_where(node, &fetch->head, &where);
    if (err != ERR_OK) {
        return err;
    }
    if (where == WHERE_TRUNK || where == WHERE_SIDE) {
        fetch_over(node, fetch);
        return freeze_review(node);
    }
    bool reaches = !own->held || fetch->head.generation > fetch->base_generation ||
                   opening_holds(&fetch->opening, fetch->base_n, &fetch->base_hash);
    if (!reaches) {
        err = fork_chain(node, fetch);
        if (err != ERR_OK) {
            return err;
        }
        if (node->repair.open) {
            return fetch_again(node, fetch, ASK_BRANCH);
        }
        fetch_over(node, fetch);
        return ERR_OK;
    }
    if (!pull_allowed(node, fetch)) {
        err = own_seen(node, &fetch->head);
        fetch_over(node, fetch);
        return err;
    }
    if ((own->frozen & FREEZE_RECOVERING) == 0) {
        err = own_seen(node, &fetch->head); /* nothing is signed until it is here */
    }
    if (err != ERR_OK) {
        return err;
    }
    const uint8_t *hash = own->held ? opening_hash(&fetch->opening, fetch->base_n) : NULL;
    bool trunk =
        !own->held || (hash != NULL && memcmp(hash, fetch->base_hash.bytes, HASH_SIZE) == 0);
    return fetch_again(node, fetch, trunk ? ASK_DELTA : ASK_ANEW);
}

enum err own_pulled(struct node *node, uint64_t old_n)
{
    struct own *own = &node->own;
    struct txn *txn = NULL;
    struct held_head held;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = catalogue_head(txn, own->catalogue, &held);
    }
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    own->held = true;
    own->head = held.head;
    own->arrival = held.arrival;
    node_log(node, 6, "own-pulled: this lab's catalogue stands at head %llu again",
             (unsigned long long) own->head.n);
    err = node_changed(node, own->catalogue, old_n);
    return err == ERR_OK ? freeze_review(node) : err;
}

/* ---- the reasons ---- */

static enum err review_seen(struct node *node, struct txn *txn)
{
    struct own *own = &node->own;
    uint64_t n = 0;
    struct hash hash;
    enum where where = WHERE_UNKNOWN;
    enum err err = own_seen_get(txn, &n, &hash);
    if (err == ERR_OK && n == 0) {
        err = ERR_NOT_FOUND; /* forgotten, with the generation it was of */
    }
    if (err == ERR_OK && own->held) {
        err = history_where(txn, own->catalogue, n, &hash, &where);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    bool frozen = err == ERR_OK && (where == WHERE_UNKNOWN || where == WHERE_OTHER);
    own->seen_n = frozen ? n : 0;
    own->frozen = (own->frozen & ~(unsigned) FREEZE_SEEN) | (frozen ? FREEZE_SEEN : 0);
    return ERR_OK;
}

static enum err review_fork(struct node *node, struct txn *txn)
{
    struct own *own = &node->own;
    struct held_fork fork;
    enum err err = fork_get(txn, own->catalogue, &fork);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    bool frozen = err == ERR_OK && fork.generation == node->record_view.generation;
    own->frozen = (own->frozen & ~(unsigned) FREEZE_FORK) | (frozen ? FREEZE_FORK : 0);
    return ERR_OK;
}

enum err freeze_review(struct node *node)
{
    struct txn *txn = NULL;
    unsigned before = node->own.frozen;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = review_seen(node, txn);
    }
    if (err == ERR_OK) {
        err = review_fork(node, txn);
    }
    if (err == ERR_OK && before != 0 && node->own.frozen == 0) {
        node_log(node, 6, "own-free: this lab signs again");
    }
    return err;
}

/* ---- essaim repair ---- */

enum err repair_ask(struct node *node)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < node->link_count; i++) {
        if (node->links[i]->state == LINK_READY) {
            err = offer_own(node, node->links[i]);
        }
    }
    return err;
}

enum err repair_begin(struct node *node, struct client *client, uint32_t id,
                      const msgpack_object *params)
{
    bool force = false;
    enum err err =
        ctl_get(params, "force") == NULL ? ERR_OK : ctl_get_bool(params, "force", &force);
    if (err != ERR_OK) {
        client_error(client, id, ERR_USAGE, "force", "force is a boolean");
        return ERR_OK;
    }
    struct repair *repair = &node->repair;
    if (repair->open && client_find(node, repair->client) != NULL) {
        client_error(client, id, ERR_BUSY, NULL, "a repair is under way");
        return ERR_OK;
    }
    if ((node->own.frozen & (FREEZE_RECOVERING | FREEZE_REPLACED)) != 0) {
        client_error(client, id, ERR_FROZEN, NULL, freeze_text(node)); /* no keys to sign with */
        return ERR_OK;
    }
    if (!repair->open) {
        buf_done(&repair->lost); /* of a merge that came after its time */
        *repair = (struct repair){.open = true};
    }
    /* Who asked before is gone: what goes on is this client's now. */
    repair->force = repair->force || force;
    repair->client = client->number;
    repair->id = id;
    repair->grace_ms = node->now_ms + REPAIR_GRACE_MS;
    repair->deadline_ms = node->now_ms + REPAIR_MS;
    return repair_ask(node);
}

void repair_moved(struct node *node)
{
    node->repair.deadline_ms = node->now_ms + REPAIR_MS;
}

/* Peers that may link in a moment. */
static bool peers_missing(const struct node *node)
{
    for (size_t i = 0; i < node->peer_count; i++) {
        if (!node->peers[i]->row.removed && node->peers[i]->link == NULL) {
            return true;
        }
    }
    return false;
}

static bool any_linked(const struct node *node)
{
    for (size_t i = 0; i < node->link_count; i++) {
        if (node->links[i]->state == LINK_READY) {
            return true;
        }
    }
    return false;
}

static bool repair_pending(struct node *node)
{
    if (fetch_of(node, node->own.catalogue) != NULL || node->job.kind != JOB_NONE) {
        return true;
    }
    bool wanted = node->own.frozen != 0 || !any_linked(node);
    if (wanted && peers_missing(node) && node->now_ms < node->repair.grace_ms) {
        return true;
    }
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = node->links[i];
        for (size_t k = 0; link->state == LINK_READY && k < link->offer_count; k++) {
            if (link->offers[k].own && !link->offers[k].done) {
                return true;
            }
        }
    }
    return false;
}

static void repair_answer(struct node *node, struct client *client)
{
    struct repair *repair = &node->repair;
    const struct own *own = &node->own;
    struct buf *out = client_out(client);
    if (out == NULL) {
        return;
    }
    ctl_put_response(out, repair->id);
    pack_map(out, 5);
    pack_cstr(out, "conflicts");
    pack_uint(out, repair->conflicts);
    pack_cstr(out, "frozen");
    pack_bool(out, own->frozen != 0);
    pack_cstr(out, "lost");
    pack_array(out, repair->lost_rows);
    buf_join(out, &repair->lost);
    pack_cstr(out, "merged");
    pack_uint(out, repair->merged);
    pack_cstr(out, "n");
    pack_uint(out, own->held ? own->head.n : 0);
}

/* Nothing more is waited for. What is whole is merged first. */
static bool repair_ends(struct node *node)
{
    const struct fetch *fetch = fetch_of(node, node->own.catalogue);
    bool whole = (fetch != NULL && fetch->complete) || node->job.kind != JOB_NONE;
    return node->repair.open && !whole &&
           (!repair_pending(node) || node->now_ms >= node->repair.deadline_ms);
}

enum err repair_settle(struct node *node)
{
    if (!node->repair.force || (node->own.frozen & FREEZE_GUARD) == 0 || !repair_ends(node)) {
        return ERR_OK;
    }
    node_log(node, 4, "own-guard: given up: heads that no linked peer has are lost");
    guard_lift(node); /* after the commit the true one is written */
    return own_fetch_end(node);
}

void repair_check(struct node *node)
{
    struct repair *repair = &node->repair;
    if (!repair_ends(node)) {
        return;
    }
    bool late = repair_pending(node);
    struct client *client = client_find(node, repair->client);
    if (client != NULL && repair->err != ERR_OK) {
        client_error(client, repair->id, repair->err, NULL,
                     "the branches cannot be joined: sign on under new keys: essaim key rotate");
    } else if (client != NULL && late) {
        client_error(client, repair->id, ERR_TIMEOUT, NULL,
                     "a peer did not give its branch in time: try again");
    } else if (client != NULL && !any_linked(node) && !repair->force) {
        client_error(client, repair->id, ERR_NET, NULL,
                     "no peer is linked: the other branch can only come from one");
    } else if (client != NULL) {
        repair_answer(node, client);
    }
    buf_done(&repair->lost);
    *repair = (struct repair){0};
}

uint64_t repair_wake_ms(const struct node *node)
{
    const struct repair *repair = &node->repair;
    if (!repair->open) {
        return UINT64_MAX;
    }
    return node->now_ms < repair->grace_ms ? repair->grace_ms : repair->deadline_ms;
}
