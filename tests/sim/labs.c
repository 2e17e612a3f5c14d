/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/labs.c: the labs' lives: keys, power on and off, clocks, honesty. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/sim/state.h"

struct sim *sim_new(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof *sim);
    must(sim != NULL);
    sim->cut = calloc(SIM_LABS_MAX, SIM_LABS_MAX);
    must(sim->cut != NULL);
    sim_seed(sim, seed);
    sim->trace = SIM_HASH_START;
    sim->latency_min_ms = 5;
    sim->latency_max_ms = 30;
    sim->map_size = 1ull << 32;
    sim->at_lab = SIM_LABS_MAX;
    sim->telling = getenv("SIM_LOG") != NULL;
    const char *base = getenv("ESSAIM_SIM_DIR");
    (void) snprintf(sim->dir, sizeof sim->dir, "%s/essaim-sim-XXXXXX",
                    base != NULL ? base : "/dev/shm");
    must(mkdtemp(sim->dir) != NULL);
    return sim;
}

static void inbox_free(struct sim_lab *lab)
{
    while (lab->inbox != NULL) {
        struct sim_item *next = lab->inbox->next;
        sim_item_free(lab->inbox);
        lab->inbox = next;
    }
    lab->inbox_last = NULL;
}

static void lab_free(struct sim_lab *lab)
{
    node_free(lab->node);
    store_close(lab->store);
    puppet_free(lab->puppet);
    inbox_free(lab);
    buf_done(&lab->record);
    buf_done(&lab->replies);
    buf_done(&lab->hello);
    keys_free(lab);
    free(lab->seen);
    free(lab);
}

void sim_free(struct sim *sim)
{
    for (unsigned i = 0; i < sim->lab_count; i++) {
        lab_free(sim->labs[i]);
    }
    for (size_t i = 0; i < sim->heap_count; i++) {
        sim_item_free(sim->heap[i].item);
    }
    dir_remove(sim->dir);
    effects_done(&sim->effects);
    for (size_t i = 0; i < SIM_OLD_HEADS; i++) {
        buf_done(&sim->old_heads[i]);
    }
    free(sim->heap);
    free(sim->conns);
    free(sim->cut);
    free(sim);
}

/* ---- power ---- */

static void node_start(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    struct store_options options = {.map_size = sim->map_size};
    sim_roll_bytes(sim, options.fresh_index, INSTANCE_SIZE);
    sim_roll_bytes(sim, options.fresh_instance, INSTANCE_SIZE);
    memset(options.retired_key, 1 + (int) (number % 255), sizeof options.retired_key);
    enum err err = store_open(lab->dir, &options, &lab->store);
    if (err != ERR_OK) {
        sim_fail(sim, "lab %u cannot open its store: %s", number, err_code(err));
        return;
    }
    struct node_config config = {
        .store = lab->store,
        .lab = lab->id,
        .pid = number,
        .quota_entries = sim->quota_entries,
        .keep_history = sim->keep_history,
        .now_ms = sim->now_ms + SIM_AHEAD_MS,
        .wall_s = SIM_WALL_S + (int64_t) (sim->now_ms / 1000) + lab->wall_off_s,
    };
    keys_start(sim, number, &config);
    sim_inside = true;
    err = node_new(&config, &lab->node);
    sim_inside = false;
    if (err != ERR_OK && sim_faulted) {
        sim_fault_err = err;
        store_close(lab->store);
        lab->store = NULL;
    } else if (err != ERR_OK) {
        sim_fail(sim, "lab %u does not start: %s", number, err_code(err));
    }
}

void clients_connect(struct sim *sim, unsigned number)
{
    bool again = sim->labs[number]->hung_up;
    sim->labs[number]->hung_up = false;
    for (uint32_t client = 1; client <= 2; client++) {
        struct event event = {.kind = EVENT_CLIENT_DOWN, .client = client};
        if (again) {
            sim_step(sim, number, &event);
        }
        event = (struct event){.kind = EVENT_CLIENT_UP, .client = client, .role = ROLE_ADMIN};
        sim_step(sim, number, &event);
    }
    sim_settle(sim, number);
}

void sim_start(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    must(!lab->live);
    lab->disk = SIM_DISK_OK;
    sim->at_lab = number;
    sim_running = sim;
    bool full = lab->full; /* LMDB has pages left over for the few rows of a start */
    lab->full = false;
    node_start(sim, number);
    lab->full = full;
    sim_running = NULL;
    sim->at_lab = SIM_LABS_MAX;
    if (sim->failure[0] != 0 || lab->store == NULL) {
        sim_faulted = false;
        return;
    }
    lab->live = true;
    lab->epoch++;
    lab->wake_ms = 0;
    lab->hung_up = false;
    sim_tell(sim, "%u starts", number);
    check_commits(sim, number);
    clients_connect(sim, number);
}

void lab_off(struct sim *sim, unsigned number, bool told)
{
    struct sim_lab *lab = sim->labs[number];
    node_free(lab->node);
    store_close(lab->store);
    inbox_free(lab);
    lab->node = NULL;
    lab->store = NULL;
    lab->live = false;
    lab->dying = lab->broken = false;
    conns_end(sim, number, told);
}

void sim_crash(struct sim *sim, unsigned number)
{
    must(sim->labs[number]->live);
    sim_tell(sim, "%u is killed", number);
    lab_off(sim, number, true);
}

void sim_blackout(struct sim *sim, unsigned number)
{
    must(sim->labs[number]->live);
    sim_tell(sim, "%u loses its power", number);
    lab_off(sim, number, false);
}

void sim_stop(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    sim_tell(sim, "%u stops", number);
    sim_inside = true;
    enum err err = node_stop(lab->node, &sim->effects);
    sim_inside = false;
    must(err == ERR_OK || sim_faulted);
    if (err != ERR_OK) {
        sim_fault_err = err;
        sim_faulted = false;
        effects_done(&sim->effects);
    }
    if (err == ERR_OK) {
        sim_settle(sim, number);
    }
    if (lab->live) {
        lab_off(sim, number, true);
    }
}

bool sim_live(const struct sim *sim, unsigned lab)
{
    return sim->labs[lab]->live;
}

/* ---- who they are ---- */

struct sim_lab *lab_new(struct sim *sim, const char *name)
{
    must(sim->lab_count < SIM_LABS_MAX);
    struct sim_lab *lab = calloc(1, sizeof *lab);
    must(lab != NULL);
    int size = snprintf(lab->dir, sizeof lab->dir, "%s/%u", sim->dir, sim->lab_count);
    must(size > 0 && (size_t) size < sizeof lab->dir);
    (void) snprintf(lab->name, sizeof lab->name, "%s", name);
    sim->labs[sim->lab_count++] = lab;
    return lab;
}

/* New signing and link keys, and the record that names them. */
void lab_keys(struct sim *sim, struct sim_lab *lab, uint64_t generation,
              const struct last_good *good)
{
    uint8_t seed[SIGN_SEED_SIZE];
    struct lab_record record = {.lab = lab->id,
                                .generation = generation,
                                .name = bytes_of_str(lab->name),
                                .issued_at = SIM_WALL_S};
    sim_roll_bytes(sim, seed, sizeof seed);
    sign_keypair(seed, record.signing_pk, lab->signing_secret);
    sim_roll_bytes(sim, lab->link_secret, sizeof lab->link_secret);
    must(link_public(lab->link_secret, record.link_pk) == ERR_OK);
    if (good != NULL) {
        record.last_good_count = 1;
        record.last_good[0] = *good;
    }
    buf_clear(&lab->record);
    must(lab_record_sign(&record, lab->root_secret, &lab->record) == ERR_OK);
    lab->generation = generation;
}

struct sim_lab *lab_with_keys(struct sim *sim, const char *name)
{
    uint8_t seed[SIGN_SEED_SIZE];
    struct sim_lab *lab = lab_new(sim, name);
    sim_roll_bytes(sim, seed, sizeof seed);
    sign_keypair(seed, lab->id.bytes, lab->root_secret);
    lab_keys(sim, lab, 1, NULL);
    return lab;
}

unsigned sim_lab(struct sim *sim, const char *name)
{
    (void) lab_with_keys(sim, name);
    sim_start(sim, sim->lab_count - 1);
    return sim->lab_count - 1;
}

const struct lab_id *sim_id(struct sim *sim, unsigned lab)
{
    return &sim->labs[lab]->id;
}

unsigned sim_number(const struct sim *sim, const struct lab_id *id)
{
    for (unsigned i = 0; i < sim->lab_count; i++) {
        if (memcmp(sim->labs[i]->id.bytes, id->bytes, KEY_SIZE) == 0) {
            return i;
        }
    }
    return SIM_LABS_MAX;
}

/* ---- an old network ---- */

/* Holds every other lab's record. */
static void records_put(struct sim *sim, unsigned number, const struct lab_record *records)
{
    struct txn *txn = NULL;
    uint64_t arrival = 0;
    must(txn_begin_write(sim->labs[number]->store, &txn) == ERR_OK);
    for (unsigned of = 0; of < sim->lab_count; of++) {
        if (of != number) {
            must(lab_put(txn, &records[of], buf_bytes(&sim->labs[of]->record), &sim->labs[of]->id,
                         &arrival) == ERR_OK);
        }
    }
    must(txn_commit(txn) == ERR_OK);
}

/* Has read its peers to their ends, and they hold its record. */
static void peers_read(struct sim *sim, unsigned number, const uint64_t *lasts)
{
    struct txn *txn = NULL;
    struct lab_id peer = {0};
    struct peer_row row;
    must(txn_begin_write(sim->labs[number]->store, &txn) == ERR_OK);
    for (bool first = true; peer_next(txn, first, &peer, &row) == ERR_OK; first = false) {
        unsigned of = sim_number(sim, &peer);
        must(of < sim->lab_count);
        row.has_index = true;
        memcpy(row.index, store_index(sim->labs[of]->store), INSTANCE_SIZE);
        row.cursor = lasts[of];
        row.generation_known = 1;
        must(peer_put(txn, &row) == ERR_OK);
    }
    must(txn_commit(txn) == ERR_OK);
}

void sim_old(struct sim *sim)
{
    struct lab_record *records = calloc(sim->lab_count, sizeof *records);
    uint64_t *lasts = calloc(sim->lab_count, sizeof *lasts);
    must(records != NULL && lasts != NULL);
    for (unsigned lab = 0; lab < sim->lab_count; lab++) {
        must(lab_record_open(buf_bytes(&sim->labs[lab]->record), &records[lab]) == ERR_OK);
    }
    for (unsigned lab = 0; lab < sim->lab_count; lab++) {
        struct txn *txn = NULL;
        records_put(sim, lab, records);
        must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
        must(arrival_last(txn, &lasts[lab]) == ERR_OK);
        txn_end(txn);
    }
    for (unsigned lab = 0; lab < sim->lab_count; lab++) {
        peers_read(sim, lab, lasts);
        sim_crash(sim, lab);
        sim_start(sim, lab);
    }
    free(records);
    free(lasts);
}

/* ---- what a test does to it ---- */

void sim_map(struct sim *sim, uint64_t size)
{
    sim->map_size = size;
}

void sim_quota(struct sim *sim, uint64_t entries)
{
    sim->quota_entries = entries;
}

void sim_keep(struct sim *sim, bool keep)
{
    sim->keep_history = keep;
}

void sim_full(struct sim *sim, unsigned lab, bool full)
{
    sim->labs[lab]->full = full;
}

void sim_disk(struct sim *sim, unsigned lab, enum sim_disk disk)
{
    sim->labs[lab]->disk = disk;
}

void sim_clock(struct sim *sim, unsigned lab, int64_t off_s)
{
    sim->labs[lab]->wall_off_s = off_s;
}

void sim_lies(struct sim *sim, unsigned lab, unsigned lies)
{
    sim->labs[lab]->lies = lies;
}
