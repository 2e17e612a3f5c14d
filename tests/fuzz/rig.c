/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/rig.c: see rig.h. The first run of a process makes the store that all begin with.
 */
#include "tests/fuzz/rig.h"

#include <stdio.h>

#include "base/defer.h"
#include "proto/did.h"
#include "proto/lab.h"
#include "proto/pack.h"
#include "store/catalogue.h"
#include "store/scrub.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

static const enum role roles[RIG_CLIENTS] = {ROLE_ADMIN, ROLE_AGENT, ROLE_READER, ROLE_NONE};

void rig_keys(unsigned lab, uint64_t generation, struct rig_keys *ret_keys)
{
    uint8_t seed[SIGN_SEED_SIZE];
    fuzz_fill(seed, sizeof seed, 1000 + lab);
    sign_keypair(seed, ret_keys->lab.bytes, ret_keys->root_secret);
    fuzz_fill(seed, sizeof seed, 2000 + 16 * generation + lab);
    sign_keypair(seed, ret_keys->signing_public, ret_keys->signing_secret);
    fuzz_fill(ret_keys->link_secret, KEY_SIZE, 3000 + 16 * generation + lab);
    must(link_public(ret_keys->link_secret, ret_keys->link_public) == ERR_OK);
}

/* ---- the node ---- */

/* The own record of those keys, over what is held of the own catalogue. */
static void record_make(const struct rig *rig, const struct rig_keys *keys, uint64_t generation,
                        struct buf *into)
{
    const struct head *held = &rig->held[1];
    struct lab_record record = {.lab = keys->lab,
                                .generation = generation,
                                .name = bytes_of_str("Ti Lab"),
                                .issued_at = RIG_WALL_S};
    memcpy(record.signing_pk, keys->signing_public, KEY_SIZE);
    memcpy(record.link_pk, keys->link_public, KEY_SIZE);
    if (generation > 1 && held->n > 0) {
        record.last_good_count = 1;
        record.last_good[0] = (struct last_good){
            .audience = bytes_of_str("public"), .n = held->n, .head_hash = held->hash};
    }
    must(lab_record_sign(&record, keys->root_secret, into) == ERR_OK);
}

/* Whoever plays our lab with its root key may have renewed its keys: then those are used. */
static void keys_choose(struct rig *rig)
{
    struct txn *txn = NULL;
    struct held_lab held;
    must(txn_begin_read(rig->store, &txn) == ERR_OK);
    if (lab_get(txn, &rig->keys[0].lab, &held) == ERR_OK &&
        held.record.generation > rig->generation) {
        rig->generation = held.record.generation;
        rig_keys(0, rig->generation, &rig->keys[0]);
    }
    txn_end(txn);
}

static void node_start(struct rig *rig)
{
    struct store_options options = {.map_size = 1u << 28};
    memset(options.fresh_index, 0x11, INSTANCE_SIZE);
    memset(options.fresh_instance, 0x22, INSTANCE_SIZE);
    must(store_open(scratch_path(), &options, &rig->store) == ERR_OK);
    keys_choose(rig);
    const struct rig_keys *keys = &rig->keys[0];
    defer(buf_done) struct buf bytes = {0};
    record_make(rig, keys, rig->generation, &bytes);
    struct node_config config = {.store = rig->store,
                                 .lab = keys->lab,
                                 .record = buf_bytes(&bytes),
                                 .quota_entries = RIG_ENTRIES,
                                 .quota_bytes = RIG_BYTES,
                                 .now_ms = rig->now_ms,
                                 .wall_s = RIG_WALL_S};
    memcpy(config.signing_secret, keys->signing_secret, SIGN_SECRET_SIZE);
    memcpy(config.link_secret, keys->link_secret, KEY_SIZE);
    must(node_new(&config, &rig->node) == ERR_OK);
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        struct event event = {.kind = EVENT_CLIENT_UP, .client = i, .role = roles[i]};
        rig_step(rig, &event);
        rig->clients[i].closed = false;
    }
    rig_settle(rig);
}

static void node_end(struct rig *rig)
{
    node_free(rig->node);
    store_close(rig->store);
    rig->node = NULL;
    rig->store = NULL;
    rig->closed = true;
    rig->dialled = false;
    buf_clear(&rig->sent);
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        buf_clear(&rig->clients[i].replies);
    }
}

/* ---- the store all runs begin with ---- */

static void peer_add(struct rig *rig, unsigned lab, const char *address)
{
    defer(buf_done) struct buf frame = {0};
    char did[DID_SIZE_MAX];
    did_encode(&rig->keys[lab].lab, did);
    ctl_put_request(&frame, 1, CTL_peers_add);
    pack_map(&frame, 2);
    pack_cstr(&frame, "address");
    pack_cstr(&frame, address);
    pack_cstr(&frame, "lab");
    pack_cstr(&frame, did);
    rig_request(rig, 0, buf_bytes(&frame));
}

static void publish(struct rig *rig)
{
    defer(buf_done) struct buf frame = {0};
    defer(buf_done) struct buf body = {0};
    pack_map(&body, 2);
    pack_cstr(&body, "summary");
    pack_cstr(&body, "Une fiche.");
    pack_cstr(&body, "title");
    pack_cstr(&body, "Essaim");
    ctl_put_request(&frame, 1, CTL_publish);
    pack_map(&frame, 1);
    pack_cstr(&frame, "entries");
    pack_array(&frame, 3);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const slugs[] = {"a", "b", "c"};
        pack_array(&frame, 3);
        pack_cstr(&frame, slugs[i]);
        pack_cstr(&frame, "need");
        pack_bin(&frame, buf_bytes(&body));
    }
    rig_request(rig, 0, buf_bytes(&frame));
}

static void image_make(struct rig *rig)
{
    node_start(rig);
    peer_add(rig, 1, "192.0.2.1:7001");
    peer_add(rig, 2, "");
    publish(rig);
    must(rig->held[1].n == 1 && rig->held[1].count == 3);
    node_end(rig);
    scratch_save();
}

void rig_open(struct rig *rig)
{
    *rig = (struct rig){.now_ms = 1000, .generation = 1};
    for (unsigned i = 0; i < RIG_LABS; i++) {
        rig_keys(i, 1, &rig->keys[i]);
    }
    if (!scratch_saved()) {
        image_make(rig);
    } else {
        scratch_restore();
    }
    rig->now_ms = 100000;
    node_start(rig);
}

void rig_restart(struct rig *rig)
{
    node_end(rig);
    node_start(rig);
}

/* A lab may renew its keys and name no head that is held here: no damage of ours. */
static bool superseded(const struct scrub_page *page)
{
    return page->problems_seen == 1 &&
           strcmp(page->problems[0].what, "the head belongs to a generation that does not stand") ==
               0;
}

static void verify(struct rig *rig)
{
    struct txn *txn = NULL;
    must(txn_begin_read(rig->store, &txn) == ERR_OK);
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page page = {0};
    while (!page.done) {
        must(scrub_step(txn, at, 1000, &page) == ERR_OK);
        if (page.problem_count > 0 && !superseded(&page)) {
            (void) fprintf(stderr, "verify: %s\n", page.problems[0].what);
        }
        must(page.problems_seen == 0 || superseded(&page));
        must(page.catalogue == 0 || page.catalogue_ok || superseded(&page));
    }
    txn_end(txn);
}

void rig_close(struct rig *rig)
{
    rig_restart(rig);
    verify(rig);
    node_end(rig);
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        buf_done(&rig->clients[i].replies);
    }
    buf_done(&rig->sent);
    effects_done(&rig->effects);
}

/* ---- a turn ---- */

/* One line, whatever a peer said. */
static void log_check(struct bytes line)
{
    must(line.size > 0);
    must(line.data[line.size - 1] == 0);
    for (size_t i = 0; i + 1 < line.size; i++) {
        must(line.data[i] >= ' ' && line.data[i] != 0x7f);
    }
}

static void perform(struct rig *rig, struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_SEND:
        must(effect->bytes->size > 0);
        if (effect->link == rig->link && !rig->closed) {
            buf_put(&rig->sent, buf_bytes(effect->bytes));
        }
        break;
    case EFFECT_CLOSE:
        rig->closed |= effect->link == rig->link;
        break;
    case EFFECT_DIAL:
        must(memchr(effect->address, 0, sizeof effect->address) != NULL);
        rig->dialled = true;
        rig->wanted = effect->lab;
        break;
    case EFFECT_REPLY:
        must(effect->client < RIG_CLIENTS);
        buf_put(&rig->clients[effect->client].replies, buf_bytes(effect->bytes));
        break;
    case EFFECT_CLIENT_CLOSE:
        must(effect->client < RIG_CLIENTS);
        rig->clients[effect->client].closed = true;
        break;
    case EFFECT_LOG:
        log_check(buf_bytes(effect->bytes));
        break;
    case EFFECT_GUARD:
        must(effect->n != GUARD_N_UNKNOWN);
        break;
    case EFFECT_KEYS_CLAIM:
        rig->claimed = true;
        break;
    case EFFECT_KEYS_FINISH:
        rig->generation++;
        rig_keys(0, rig->generation, &rig->keys[0]);
        break;
    case EFFECT_KEYS_DROP:
        break;
    }
}

static void perform_all(struct rig *rig)
{
    struct effects effects = rig->effects;
    rig->effects = (struct effects){0};
    for (size_t i = 0; i < effects.count; i++) {
        perform(rig, &effects.items[i]);
    }
    effects_done(&effects);
}

/* Now and then no keys lie ready, or those of another lab. */
static void claim_answer(struct rig *rig)
{
    unsigned claim = rig->claims++ % 4;
    struct rig_keys fresh;
    defer(buf_done) struct buf record = {0};
    rig_keys(claim == 1, rig->generation + 1, &fresh);
    record_make(rig, &fresh, rig->generation + 1, &record);
    struct node_keys keys = {.record = buf_bytes(&record),
                             .signing_secret = fresh.signing_secret,
                             .link_secret = fresh.link_secret};
    struct event event = {.kind = EVENT_KEYS,
                          .err = claim == 3 ? ERR_NOT_FOUND : ERR_OK,
                          .keys = claim == 3 ? NULL : &keys};
    rig->claimed = false;
    rig_step(rig, &event);
}

/* Every catalogue's held head is the one seen last, or a newer one. */
static void heads_check(struct rig *rig)
{
    struct txn *txn = NULL;
    must(txn_begin_read(rig->store, &txn) == ERR_OK);
    uint32_t id = 0;
    unsigned count = 0;
    while (catalogue_next(txn, &id) == ERR_OK) {
        struct held_head held;
        must(catalogue_head(txn, id, &held) == ERR_OK);
        must(id < RIG_CATALOGUES_MAX);
        struct head *last = &rig->held[id];
        must(last->n == 0 || head_compare(&held.head, last) >= 0);
        must(last->n == 0 || head_compare(&held.head, last) > 0 ||
             memcmp(held.head.hash.bytes, last->hash.bytes, HASH_SIZE) == 0);
        must(held.head.count <= RIG_ENTRIES);
        must(held.head.bytes <= RIG_BYTES);
        *last = held.head;
        count++;
    }
    must(count >= rig->catalogue_count);
    rig->catalogue_count = count;
    txn_end(txn);
}

void rig_step(struct rig *rig, struct event *event)
{
    event->now_ms = rig->now_ms;
    event->wall_s = RIG_WALL_S + (int64_t) (rig->now_ms / 1000);
    fuzz_fill(event->dice, sizeof event->dice, rig->steps++);
    must(node_step(rig->node, event, &rig->effects) == ERR_OK);
}

void rig_settle(struct rig *rig)
{
    must(node_settle(rig->node, &rig->effects) == ERR_OK);
    perform_all(rig);
    while (node_job(rig->node) || rig->claimed) {
        if (node_job(rig->node)) {
            node_job_run(rig->node);
            must(node_job_done(rig->node, &rig->effects) == ERR_OK);
        } else {
            claim_answer(rig);
        }
        must(node_settle(rig->node, &rig->effects) == ERR_OK);
        perform_all(rig);
    }
    (void) node_wake_ms(rig->node);
    heads_check(rig);
}

void rig_turn(struct rig *rig, enum event_kind kind)
{
    struct event event = {.kind = kind, .link = rig->link, .lab = rig->wanted};
    rig_step(rig, &event);
    rig_settle(rig);
}

void rig_request(struct rig *rig, unsigned client, struct bytes frame)
{
    struct event event = {.kind = EVENT_CLIENT_BYTES, .client = client, .bytes = frame};
    rig_step(rig, &event);
    rig_settle(rig);
}
