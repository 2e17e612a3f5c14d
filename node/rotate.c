/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/rotate.c: new keys for the own lab while it runs, and what a newer own record from elsewhere
 * means (doc/decisions/0009).
 *
 *   key_rotate ─► EFFECT_KEYS_CLAIM ─► EVENT_KEYS ─► checked, put into use, and in one commit: the
 *   record and a head of the new generation ─► EFFECT_KEYS_FINISH, the answer
 *
 * What does not fit is answered with an error and EFFECT_KEYS_DROP. A turn that is undone takes the
 * old keys back. The end of a recovery is a rotation like any other.
 */
#include "base/must.h"
#include "node/parts.h"
#include "proto/pack.h"
#include "proto/recover.h"

/* Two sets of keys change places. */
static void keys_swap(struct node *node)
{
    struct rotation *rotation = &node->rotation;
    struct buf record = node->record;
    struct lab_record view = node->record_view;
    uint8_t signing[SIGN_SECRET_SIZE];
    uint8_t link[KEY_SIZE];
    node->record = rotation->record;
    node->record_view = rotation->view;
    rotation->record = record;
    rotation->view = view;
    node->config.record = buf_bytes(&node->record);
    memcpy(signing, node->config.signing_secret, sizeof signing);
    memcpy(node->config.signing_secret, rotation->signing_secret, sizeof signing);
    memcpy(rotation->signing_secret, signing, sizeof signing);
    memcpy(link, node->config.link_secret, sizeof link);
    memcpy(node->config.link_secret, rotation->link_secret, sizeof link);
    memcpy(rotation->link_secret, link, sizeof link);
    secret_wipe(signing, sizeof signing);
    secret_wipe(link, sizeof link);
}

void rotate_done(struct node *node)
{
    buf_done(&node->rotation.record);
    secret_wipe(&node->rotation, sizeof node->rotation);
    node->rotation = (struct rotation){0};
}

static void rotate_refuse(struct node *node, enum err err, const char *message)
{
    struct client *client = client_find(node, node->rotation.client);
    if (client != NULL) {
        client_error(client, node->rotation.id, err, NULL, message);
    }
    rotate_done(node);
}

enum err rotate_begin(struct node *node, struct client *client, uint32_t id)
{
    enum err err = store_room(node->config.store);
    const char *text = NULL;
    if (node->rotation.state != ROTATION_NONE || node->repair.open) {
        err = ERR_BUSY;
    } else if ((node->own.frozen & (FREEZE_GUARD | FREEZE_REPLACED)) != 0) {
        err = ERR_FROZEN;
        text = freeze_text(node);
    }
    if (err != ERR_OK) {
        client_error(client, id, err, NULL, text);
        return err == ERR_BUSY || err == ERR_FROZEN || err == ERR_FULL ? ERR_OK : err;
    }
    node->rotation =
        (struct rotation){.state = ROTATION_CLAIMING, .client = client->number, .id = id};
    return effects_add(node, EFFECT_KEYS_CLAIM) == NULL ? ERR_NOMEM : ERR_OK;
}

/* ---- the keys that were claimed ---- */

static bool keys_fit(const struct lab_record *record, const struct node_keys *keys)
{
    uint8_t link_pk[KEY_SIZE];
    return link_public(keys->link_secret, link_pk) == ERR_OK &&
           memcmp(record->link_pk, link_pk, KEY_SIZE) == 0 &&
           memcmp(record->signing_pk, keys->signing_secret + SIGN_SEED_SIZE, KEY_SIZE) == 0;
}

/* The record names the head that is held now, and no other. */
static bool last_good_fits(const struct node *node, const struct lab_record *record)
{
    const struct own *own = &node->own;
    const struct last_good *good = &record->last_good[0];
    if (!own->held || record->last_good_count != 1) {
        return !own->held && record->last_good_count == 0;
    }
    return good->n == own->head.n &&
           memcmp(good->network.bytes, own->name.network.bytes, HASH_SIZE) == 0 &&
           bytes_equal(good->audience, bytes_of_str(own->name.audience)) &&
           memcmp(good->head_hash.bytes, own->head.hash.bytes, HASH_SIZE) == 0;
}

/* ERR_KEY, ERR_CONFLICT, ERR_FROZEN are the caller's, with a text; others are ours. */
static enum err keys_check(struct node *node, const struct node_keys *keys,
                           struct lab_record *ret_record, const char **ret_text)
{
    struct txn *txn = NULL;
    struct held_lab held;
    *ret_text = NULL;
    if (lab_record_open(keys->record, ret_record) != ERR_OK ||
        memcmp(ret_record->lab.bytes, node->config.lab.bytes, KEY_SIZE) != 0 ||
        !keys_fit(ret_record, keys)) {
        *ret_text = "the new record is not one of this lab and these keys";
        return ERR_KEY;
    }
    if ((node->own.frozen & (FREEZE_GUARD | FREEZE_REPLACED)) != 0) {
        *ret_text = freeze_text(node);
        return ERR_FROZEN;
    }
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = lab_get(txn, &ret_record->lab, &held);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    uint64_t generation = err == ERR_OK ? held.record.generation : 0;
    if (ret_record->generation <= generation || !last_good_fits(node, ret_record)) {
        *ret_text = "something was published in between: sign the record anew";
        return ERR_CONFLICT;
    }
    return ERR_OK;
}

/* The new keys are in use from here on; the turn's commit makes it last. */
static enum err keys_use(struct node *node, const struct node_keys *keys)
{
    struct rotation *rotation = &node->rotation;
    struct own *own = &node->own;
    buf_put(&rotation->record, keys->record);
    if (rotation->record.err != ERR_OK) {
        return rotation->record.err;
    }
    enum err err = lab_record_peek(buf_bytes(&rotation->record), &rotation->view);
    if (err != ERR_OK) {
        return ERR_INTERNAL;
    }
    memcpy(rotation->signing_secret, keys->signing_secret, SIGN_SECRET_SIZE);
    memcpy(rotation->link_secret, keys->link_secret, KEY_SIZE);
    keys_swap(node);
    rotation->state = ROTATION_SIGNING;
    rotation->recovered = node->config.recovering;
    node->config.recovering = false;
    own->frozen &= ~(unsigned) FREEZE_RECOVERING;
    own->reseal = own->held;
    struct txn *txn = NULL;
    uint64_t arrival = 0;
    err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err =
            lab_put(txn, &node->record_view, buf_bytes(&node->record), &node->config.lab, &arrival);
    }
    if (err == ERR_OK) {
        err = own_seen_put(txn, 0, &(struct hash){{0}}); /* of a generation that is over */
    }
    if (err == ERR_OK && own->catalogue != 0) {
        err = own_fetch_end(node); /* of an older generation */
    }
    return err == ERR_OK ? freeze_review(node) : err;
}

enum err rotate_keys(struct node *node, const struct event *event)
{
    struct rotation *rotation = &node->rotation;
    struct lab_record record;
    const char *text = NULL;
    if (rotation->state != ROTATION_CLAIMING) {
        return ERR_OK;
    }
    if (event->err != ERR_OK) {
        bool none = event->err == ERR_NOT_FOUND;
        rotate_refuse(node, none ? ERR_CONFLICT : event->err,
                      none ? "no new keys lie ready" : "the new keys cannot be used");
        return ERR_OK;
    }
    enum err err = keys_check(node, event->keys, &record, &text);
    if (err == ERR_KEY || err == ERR_CONFLICT || err == ERR_FROZEN) {
        rotate_refuse(node, err, text);
        return effects_add(node, EFFECT_KEYS_DROP) == NULL ? ERR_NOMEM : ERR_OK;
    }
    return err == ERR_OK ? keys_use(node, event->keys) : err;
}

/* ---- after the commit ---- */

static void rotate_answer(struct node *node)
{
    struct client *client = client_find(node, node->rotation.client);
    struct buf *out = client == NULL ? NULL : client_out(client);
    if (out == NULL) {
        return;
    }
    ctl_put_response(out, node->rotation.id);
    pack_map(out, 2);
    pack_cstr(out, "generation");
    pack_uint(out, node->record_view.generation);
    pack_cstr(out, "n");
    pack_uint(out, node->own.held ? node->own.head.n : 0);
}

/* Handshakes under way name the old link key; links of a recovering lab are for reading only. */
static void links_renew(struct node *node, bool all)
{
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = node->links[i];
        if (all || link->state == LINK_SHAKING || link->state == LINK_GREETING) {
            link_close(node, link, BYE_GOING, "new keys");
        }
    }
}

void rotate_settle(struct node *node)
{
    struct rotation *rotation = &node->rotation;
    if (rotation->state != ROTATION_SIGNING) {
        return;
    }
    (void) effects_add(node, EFFECT_KEYS_FINISH); /* no memory: sticky in the effects */
    node_log(node, 6, "keys: generation %llu is in use",
             (unsigned long long) node->record_view.generation);
    rotate_answer(node);
    links_renew(node, rotation->recovered);
    rotate_done(node);
}

void rotate_undo(struct node *node)
{
    struct rotation *rotation = &node->rotation;
    if (rotation->state == ROTATION_SIGNING) {
        keys_swap(node);
        node->config.recovering = rotation->recovered;
        node->own.frozen |= rotation->recovered ? FREEZE_RECOVERING : 0;
        node->own.reseal = false;
        (void) effects_add(node, EFFECT_KEYS_DROP);
        rotate_refuse(node, ERR_FULL, NULL);
    }
}

/* ---- records of ours from elsewhere ---- */

enum err rotate_seen(struct node *node, const struct lab_record *record, struct bytes signed_bytes,
                     const struct lab_id *from)
{
    struct own *own = &node->own;
    if (node->config.recovering) {
        return record_accept(node, record, signed_bytes, from);
    }
    if (record->generation <= node->record_view.generation) {
        return ERR_OK;
    }
    if ((own->frozen & FREEZE_REPLACED) == 0) {
        node_log(node, 3,
                 "own-replaced: the root key signed generation %llu of this lab's keys, these are "
                 "%llu: nothing is signed any more",
                 (unsigned long long) record->generation,
                 (unsigned long long) node->record_view.generation);
    }
    own->frozen |= FREEZE_REPLACED;
    return record_accept(node, record, signed_bytes, from);
}

/* ---- what is still to come ---- */

void identity_look(const struct node *node, struct identity_state *ret_state)
{
    struct identity_state state = {0};
    uint64_t news_ms = node->started_ms;
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        const struct fetch *fetch = &node->fetches[i];
        state.pending += fetch->open;
        state.own_pending += fetch->open && fetch->catalogue == node->own.catalogue;
    }
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = node->links[i];
        for (size_t k = 0; link->state == LINK_READY && k < link->offer_count; k++) {
            const struct offer *offer = &link->offers[k];
            state.pending += !offer->done && !offer->fetching;
            state.own_pending += !offer->done && !offer->fetching &&
                                 (offer->own || offer->catalogue == node->own.catalogue);
        }
        news_ms = link->news_ms > news_ms ? link->news_ms : news_ms;
    }
    state.quiet_ms = node->now_ms - news_ms;
    *ret_state = state;
}

enum err rotate_statement(struct node *node)
{
    struct lab_id lab;
    uint8_t stated[KEY_SIZE];
    uint8_t link_pk[KEY_SIZE];
    uint64_t issued_at = 0;
    buf_put(&node->statement, node->config.statement);
    if (node->statement.err != ERR_OK) {
        return node->statement.err;
    }
    node->config.statement = buf_bytes(&node->statement);
    enum err err = recover_open(buf_bytes(&node->statement), &lab, stated, &issued_at);
    if (err == ERR_OK) {
        err = link_public(node->config.link_secret, link_pk);
    }
    if (err != ERR_OK || memcmp(lab.bytes, node->config.lab.bytes, KEY_SIZE) != 0 ||
        memcmp(link_pk, stated, KEY_SIZE) != 0) {
        return err == ERR_NOMEM ? err : ERR_KEY;
    }
    node->own.frozen |= FREEZE_RECOVERING;
    return ERR_OK;
}
