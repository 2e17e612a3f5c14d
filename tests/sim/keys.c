/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/keys.c: what essaim and essaimd do about a lab's keys and its guard file, around the
 * node: rotations, recoveries, and copies that are put back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/pack.h"
#include "proto/recover.h"
#include "tests/sim/state.h"

static void set_move(struct sim_set *to, struct sim_set *from)
{
    buf_done(&to->record);
    *to = *from;
    *from = (struct sim_set){0};
}

/* The present keys as a set, and back. */
static struct sim_set set_take(struct sim_lab *lab)
{
    struct sim_set set = {.record = lab->record, .generation = lab->generation};
    memcpy(set.signing_secret, lab->signing_secret, sizeof set.signing_secret);
    memcpy(set.link_secret, lab->link_secret, sizeof set.link_secret);
    lab->record = (struct buf){0};
    return set;
}

static void set_give(struct sim_lab *lab, struct sim_set *set)
{
    buf_done(&lab->record);
    lab->record = set->record;
    lab->generation = set->generation;
    memcpy(lab->signing_secret, set->signing_secret, sizeof lab->signing_secret);
    memcpy(lab->link_secret, set->link_secret, sizeof lab->link_secret);
    *set = (struct sim_set){0};
}

void keys_perform(struct sim *sim, unsigned number, const struct effect *effect)
{
    struct sim_lab *lab = sim->labs[number];
    struct sim_item *item = NULL;
    switch (effect->kind) {
    case EFFECT_GUARD:
        lab->has_guard = true;
        lab->guard_n = effect->n;
        lab->guard_hash = effect->hash;
        return;
    case EFFECT_KEYS_CLAIM:
        item = sim_push(sim, sim->now_ms + 1, number, SIM_EVENT);
        item->event.kind = EVENT_KEYS;
        item->event.err = lab->next.record.size == 0 ? ERR_NOT_FOUND : ERR_OK;
        lab->next_keys = (struct node_keys){.record = buf_bytes(&lab->next.record),
                                            .signing_secret = lab->next.signing_secret,
                                            .link_secret = lab->next.link_secret};
        item->event.keys = &lab->next_keys;
        return;
    case EFFECT_KEYS_FINISH:
        set_give(lab, &lab->next);
        lab->recovering = false;
        return;
    default:
        buf_done(&lab->next.record);
        lab->next = (struct sim_set){0};
    }
}

/* As the daemon does at its start, whose store is open. */
void keys_start(struct sim *sim, unsigned number, struct node_config *config)
{
    struct sim_lab *lab = sim->labs[number];
    struct txn *txn = NULL;
    struct held_lab held;
    must(txn_begin_read(lab->store, &txn) == ERR_OK);
    bool done = lab->next.record.size > 0 && lab_get(txn, &lab->id, &held) == ERR_OK &&
                bytes_equal(held.signed_bytes, buf_bytes(&lab->next.record));
    txn_end(txn);
    if (done) {
        set_give(lab, &lab->next);
        lab->recovering = false;
    }
    buf_done(&lab->next.record);
    lab->next = (struct sim_set){0};
    if (sim->guards) {
        config->has_guard = lab->has_guard;
        config->guard_n = lab->guard_n;
        config->guard_hash = lab->guard_hash;
    }
    config->recovering = lab->recovering;
    config->record = lab->recovering ? (struct bytes){0} : buf_bytes(&lab->record);
    config->statement = buf_bytes(&lab->statement);
    memcpy(config->signing_secret, lab->signing_secret, sizeof config->signing_secret);
    memcpy(config->link_secret, lab->link_secret, sizeof config->link_secret);
}

void keys_free(struct sim_lab *lab)
{
    buf_done(&lab->next.record);
    buf_done(&lab->statement);
}

/* New keys lie ready, signed over what that lab holds of itself. */
void sim_stage(struct sim *sim, unsigned number, uint64_t generation)
{
    struct sim_lab *lab = sim->labs[number];
    struct head head;
    struct sim_set old = set_take(lab);
    bool held = sim_head(sim, number, number, &head);
    struct last_good good = {
        .audience = bytes_of_str("public"), .n = head.n, .head_hash = head.hash};
    lab_keys(sim, lab, generation, held && generation > 1 ? &good : NULL);
    struct sim_set fresh = set_take(lab);
    set_give(lab, &old);
    set_move(&lab->next, &fresh);
}

struct bytes sim_next_record(struct sim *sim, unsigned number, uint64_t generation)
{
    sim_stage(sim, number, generation);
    return buf_bytes(&sim->labs[number]->next.record);
}

unsigned sim_twin(struct sim *sim, unsigned of)
{
    unsigned number = sim_puppet(sim, "twin");
    struct sim_lab *twin = sim->labs[number];
    const struct sim_lab *lab = sim->labs[of];
    twin->id = lab->id;
    twin->generation = lab->generation;
    memcpy(twin->signing_secret, lab->signing_secret, sizeof twin->signing_secret);
    memcpy(twin->link_secret, lab->link_secret, sizeof twin->link_secret);
    buf_clear(&twin->record);
    buf_put(&twin->record, buf_bytes(&lab->record));
    must(twin->record.err == ERR_OK);
    return number;
}

unsigned sim_reader(struct sim *sim, unsigned of, bool fits)
{
    unsigned number = sim_twin(sim, of);
    struct sim_lab *reader = sim->labs[number];
    uint8_t link_pk[KEY_SIZE];
    sim_roll_bytes(sim, reader->link_secret, KEY_SIZE);
    must(link_public(reader->link_secret, link_pk) == ERR_OK);
    link_pk[0] ^= fits ? 0 : 1;
    reader->generation = 0;
    buf_clear(&reader->record);
    must(recover_sign(&reader->id, sim->labs[of]->root_secret, link_pk, SIM_WALL_S,
                      &reader->record) == ERR_OK);
    return number;
}

enum err sim_rotate(struct sim *sim, unsigned number)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 0);
    sim_stage(sim, number, sim_generation(sim, number, number) + 1);
    return sim_request(sim, number, CTL_key_rotate, buf_bytes(&params), NULL);
}

void sim_guards(struct sim *sim, bool kept)
{
    sim->guards = kept;
}

void sim_guard(struct sim *sim, unsigned number, uint64_t n)
{
    struct sim_lab *lab = sim->labs[number];
    lab->has_guard = true;
    lab->guard_n = n;
    lab->guard_hash = (struct hash){{0}};
}

uint64_t sim_guard_n(const struct sim *sim, unsigned number)
{
    return sim->labs[number]->guard_n;
}

void sim_recover(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    uint8_t link_pk[KEY_SIZE];
    sim_store_lost(sim, number);
    sim_roll_bytes(sim, lab->link_secret, KEY_SIZE);
    memset(lab->signing_secret, 0, sizeof lab->signing_secret);
    must(link_public(lab->link_secret, link_pk) == ERR_OK);
    buf_clear(&lab->statement);
    must(recover_sign(&lab->id, lab->root_secret, link_pk, SIM_WALL_S, &lab->statement) == ERR_OK);
    lab->recovering = true;
    lab->has_guard = false;
    sim_start(sim, number);
}
