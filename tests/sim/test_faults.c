/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/test_faults.c: whatever call of a node fails, for want of memory (promise D5), with an
 * I/O error, at a damaged page or for want of room: the node ends with that error or goes on; what
 * it acknowledged is there after its restart, and the labs agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "proto/did.h"
#include "proto/pack.h"
#include "tests/sim/cluster.h"
#include "tests/sim/fault.h"
#include "tests/sim/state.h"

#define MINUTE_MS (60ull * 1000)
#define DAY_MS (24 * 60 * MINUTE_MS)
#define TRIES 3 /* one fault a story: the second try may meet it, the third may not */

/* ---- what a story's labs do, whatever fails ---- */

static void up(struct sim *sim, unsigned lab)
{
    for (unsigned i = 0; i < TRIES && !sim_live(sim, lab); i++) {
        sim_start(sim, lab);
    }
    assert_true(sim_live(sim, lab));
}

static void all_up(struct sim *sim)
{
    for (unsigned lab = 0; lab < sim->lab_count; lab++) {
        up(sim, lab);
    }
}

/* Runs, and starts again who fell. */
static void run(struct sim *sim, uint64_t ms)
{
    sim_run(sim, ms / 2);
    all_up(sim);
    sim_run(sim, ms - ms / 2);
    all_up(sim);
}

/* A fault makes one try fail. What is refused for another reason is refused. */
static enum err ask(struct sim *sim, unsigned lab, enum ctl_method method, struct buf *params,
                    struct buf *into)
{
    enum err err = ERR_NO_DAEMON;
    if (params->size == 0) {
        pack_map(params, 0);
    }
    for (unsigned i = 0; i < TRIES && err != ERR_OK; i++) {
        up(sim, lab);
        err = sim_request(sim, lab, method, buf_bytes(params), into);
    }
    buf_clear(params);
    return err;
}

static void publish(struct sim *sim, unsigned lab, const char *prefix, unsigned count, size_t size,
                    unsigned salt)
{
    enum err err = ERR_NO_DAEMON;
    for (unsigned i = 0; i < TRIES && err != ERR_OK; i++) {
        up(sim, lab);
        err = sim_try_publish(
            sim, lab,
            &(struct sim_batch){.prefix = prefix, .count = count, .size = size, .salt = salt});
        sim->labs[lab]->hung_up = err != ERR_OK; /* a batch cut off ends with its connection */
    }
    assert_int_equal(err, ERR_OK);
}

static void withdraw(struct sim *sim, unsigned lab, const char *slug, bool erase)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 2);
    pack_cstr(&params, "erase");
    pack_bool(&params, erase);
    pack_cstr(&params, "slugs");
    pack_array(&params, 1);
    pack_cstr(&params, slug);
    assert_int_equal(ask(sim, lab, CTL_withdraw, &params, NULL), ERR_OK);
}

static void knows(struct sim *sim, unsigned lab, unsigned other, bool dials)
{
    defer(buf_done) struct buf params = {0};
    char did[DID_SIZE_MAX];
    char address[32];
    did_encode(sim_id(sim, other), did);
    (void) snprintf(address, sizeof address, "sim:%u", other + 1);
    pack_map(&params, dials ? 3 : 1);
    if (dials) {
        pack_cstr(&params, "address");
        pack_cstr(&params, address);
        pack_cstr(&params, "alias");
        pack_cstr(&params, "voisin");
    }
    pack_cstr(&params, "lab");
    pack_cstr(&params, did);
    assert_int_equal(ask(sim, lab, CTL_peers_add, &params, NULL), ERR_OK);
}

/* One request of one string. */
static enum err ask_of(struct sim *sim, unsigned lab, enum ctl_method method, const char *key,
                       const char *value)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 1);
    pack_cstr(&params, key);
    pack_cstr(&params, value);
    return ask(sim, lab, method, &params, NULL);
}

/* Every request that only reads. */
static void look_around(struct sim *sim, unsigned lab, const char *slug)
{
    static const enum ctl_method plain[] = {CTL_hello,  CTL_status, CTL_labs,     CTL_list,
                                            CTL_verify, CTL_forks,  CTL_identity, CTL_peers_list};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        defer(buf_done) struct buf params = {0};
        assert_int_equal(ask(sim, lab, plain[i], &params, NULL), ERR_OK);
    }
    assert_int_equal(ask_of(sim, lab, CTL_show, "ref", slug), ERR_OK);
    assert_int_equal(ask_of(sim, lab, CTL_show, "ref", "jamais-vu"), ERR_NOT_FOUND);
    assert_int_equal(ask_of(sim, lab, CTL_prove, "ref", slug), ERR_OK);
    assert_int_equal(ask_of(sim, lab, CTL_prove, "ref", "jamais-vu"), ERR_OK);
    assert_int_equal(ask_of(sim, lab, CTL_history, "slug", slug), ERR_OK);
    assert_int_equal(ask_of(sim, lab, CTL_list, "lab", "ti-lab"), ERR_OK);
}

static void watch(struct sim *sim, unsigned lab)
{
    defer(buf_done) struct buf params = {0};
    up(sim, lab);
    pack_map(&params, 0);
    (void) sim_request_by(sim, lab, 2, CTL_watch, buf_bytes(&params), NULL);
}

/* ---- the stories ---- */

/* What is made before anything fails, then what may fail. */
struct story {
    const char *name;
    void (*before)(struct sim *sim);
    void (*told)(struct sim *sim);
    unsigned labs;
};

static void nothing(struct sim *sim)
{
    (void) sim;
}

static void two_labs_meet(struct sim *sim)
{
    defer(buf_done) struct buf params = {0};
    watch(sim, 1);
    knows(sim, 1, 0, false);
    knows(sim, 0, 1, true);
    publish(sim, 0, "fiche", 3, 200, 1);
    run(sim, MINUTE_MS);
    publish(sim, 0, "fiche", 1, 200, 2);
    withdraw(sim, 0, "fiche-2", false);
    publish(sim, 1, "autre", 1, 200, 1);
    run(sim, MINUTE_MS);
    look_around(sim, 0, "fiche-0");
    look_around(sim, 1, "autre-0");
    assert_int_equal(ask_of(sim, 1, CTL_show, "ref", "ti-lab/fiche-0"), ERR_OK);
    pack_map(&params, 2);
    pack_cstr(&params, "timeout_ms");
    pack_uint(&params, 20000);
    pack_cstr(&params, "wait");
    pack_uint(&params, 1);
    assert_int_equal(ask(sim, 0, CTL_sync, &params, NULL), ERR_OK);
    sim_stop(sim, 1);
    publish(sim, 0, "tard", 1, 200, 1);
    up(sim, 1);
    run(sim, 2 * MINUTE_MS);
    char did[DID_SIZE_MAX];
    did_encode(sim_id(sim, 1), did);
    assert_int_equal(ask_of(sim, 0, CTL_peers_remove, "lab", did), ERR_OK);
    knows(sim, 0, 1, true);
    assert_true(sim_has(sim, 0, 0, "tard-0"));
    assert_false(sim_has(sim, 0, 0, "fiche-2"));
}

static void linked(struct sim *sim)
{
    sim_link(sim, 1, 0);
    sim_publish(sim, 0, "fonds", 5, 200, 1);
    assert_true(sim_converge(sim, 5 * MINUTE_MS));
}

static void a_large_delta_is_cut(struct sim *sim)
{
    publish(sim, 0, "gros", 600, 900, 1); /* several requests, one head */
    sim_rate(sim, 0, 1, 200000);
    sim_run(sim, 2500);
    sim_reset(sim, 0, 1);
    run(sim, 2 * MINUTE_MS);
    publish(sim, 0, "gros", 90, 900, 2);
    sim_run(sim, 500);
    up(sim, 1);
    sim_crash(sim, 1);
    up(sim, 1);
    run(sim, 2 * MINUTE_MS);
    assert_true(sim_has(sim, 0, 0, "gros-599"));
}

static void a_job_publishes(struct sim *sim)
{
    publish(sim, 0, "masse", 2100, 30, 1);
    run(sim, MINUTE_MS);
    assert_true(sim_has(sim, 0, 0, "masse-2099"));
}

/* A lab of three was put back to a copy, and publishes far from the others. */
static void put_back(struct sim *sim)
{
    sim_link(sim, 0, 1);
    sim_link(sim, 0, 2);
    sim_link(sim, 1, 2);
    sim_publish(sim, 0, "fonds", 6, 200, 1);
    assert_true(sim_converge(sim, 5 * MINUTE_MS));
    sim_stop(sim, 0);
    sim_backup(sim, 0);
    sim_start(sim, 0);
    sim_publish(sim, 0, "a", 3, 200, 1);
    assert_true(sim_converge(sim, 10 * MINUTE_MS));
    sim_stop(sim, 0);
    sim_cut(sim, 0, 1, true);
    sim_cut(sim, 0, 2, true);
    sim_restore(sim, 0);
    sim_start(sim, 0);
    sim_publish(sim, 0, "b", 2, 200, 1);
    sim_publish(sim, 0, "a", 1, 200, 7);
}

static void a_fork_is_repaired(struct sim *sim)
{
    defer(buf_done) struct buf params = {0};
    sim_cut(sim, 0, 1, false);
    sim_cut(sim, 0, 2, false);
    run(sim, 15 * MINUTE_MS);
    assert_int_equal(ask(sim, 2, CTL_forks, &params, NULL), ERR_OK);
    assert_int_equal(ask_of(sim, 2, CTL_fork_show, "lab", "ti-lab"), ERR_OK);
    assert_int_equal(ask(sim, 0, CTL_status, &params, NULL), ERR_OK);
    for (unsigned i = 0; i < TRIES; i++) { /* one that met the fault may have merged nothing */
        bool frozen = true;
        up(sim, 0);
        enum err err = sim_repair(sim, 0, false, &frozen);
        run(sim, MINUTE_MS);
        i = err == ERR_OK && !frozen ? TRIES : i;
    }
    publish(sim, 0, "suite", 1, 200, 1);
    for (unsigned i = 0; i < 3; i++) {
        char slug[16];
        (void) snprintf(slug, sizeof slug, "a-%u", i);
        assert_true(sim_has(sim, 0, 0, slug));
    }
    assert_true(sim_has(sim, 0, 0, "b-1"));
}

/* By now nobody knows what was withdrawn while one was off. */
static void slept(struct sim *sim)
{
    sim_link(sim, 1, 0);
    sim_publish(sim, 0, "fiche", 40, 1000, 1);
    assert_true(sim_converge(sim, 5 * MINUTE_MS));
    sim_stop(sim, 1);
    sim_withdraw(sim, 0, "fiche-3");
    sim_withdraw(sim, 0, "fiche-30");
    sim_publish(sim, 0, "plus", 2, 1000, 1);
    sim_run(sim, 100 * DAY_MS);
}

static void a_catalogue_is_mended(struct sim *sim)
{
    up(sim, 1);
    run(sim, 10 * MINUTE_MS);
    assert_false(sim_has(sim, 0, 0, "fiche-3"));
}

/* `essaim key rotate`, until the generation is that one. */
static void rotate(struct sim *sim, unsigned lab, uint64_t generation)
{
    up(sim, lab);
    for (unsigned i = 0; i < TRIES && sim_generation(sim, lab, lab) < generation; i++) {
        (void) sim_rotate(sim, lab);
        up(sim, lab);
    }
    assert_int_equal(sim_generation(sim, lab, lab), generation);
}

static void keys_are_replaced(struct sim *sim)
{
    rotate(sim, 0, 2);
    run(sim, 2 * MINUTE_MS);
    publish(sim, 0, "neuf", 2, 200, 1);
    run(sim, 2 * MINUTE_MS);
    assert_int_equal(sim_generation(sim, 1, 0), 2);
}

static void a_server_is_lost(struct sim *sim)
{
    defer(buf_done) struct buf params = {0};
    up(sim, 0);
    sim_crash(sim, 0);
    sim_recover(sim, 0);
    up(sim, 0);
    knows(sim, 0, 1, true);
    for (unsigned i = 0; i < 60 && !sim_has(sim, 0, 0, "fonds-4"); i++) {
        run(sim, MINUTE_MS);
    }
    assert_true(sim_has(sim, 0, 0, "fonds-4"));
    assert_int_equal(ask(sim, 0, CTL_identity, &params, NULL), ERR_OK);
    run(sim, 2 * MINUTE_MS);
    rotate(sim, 0, 2);
    publish(sim, 0, "encore", 1, 200, 1);
    assert_true(sim_has(sim, 0, 0, "fonds-4"));
}

static void bytes_are_erased(struct sim *sim)
{
    defer(buf_done) struct buf path = {0};
    publish(sim, 0, "secret", 2, 2500, 1);
    publish(sim, 0, "secret", 1, 2500, 2);
    assert_int_equal(ask_of(sim, 0, CTL_history, "slug", "secret-0"), ERR_OK);
    withdraw(sim, 0, "secret-0", true);
    withdraw(sim, 0, "secret-1", false);
    defer(buf_done) struct buf params = {0};
    (void) ask(sim, 0, CTL_compact, &params, NULL);
    buf_printf(&path, "%s.backup", sim_dir(sim, 0));
    buf_put_u8(&path, 0);
    enum err err = ask_of(sim, 0, CTL_backup, "path", (const char *) path.data);
    assert_true(err == ERR_OK || err == ERR_EXISTS); /* the answer of the first did not come */
    run(sim, 2 * DAY_MS);
    assert_false(sim_has(sim, 0, 0, "secret-0"));
}

/* The whole of what a lab exports. */
static bool export_to(struct sim *sim, unsigned lab, struct buf *into)
{
    bool next = true;
    buf_clear(into);
    for (bool first = true; next; first = false) {
        defer(buf_done) struct buf params = {0};
        defer(buf_done) struct buf reply = {0};
        struct ctl_msg msg;
        struct bytes part = {0};
        pack_map(&params, first);
        if (first) {
            pack_cstr(&params, "labs");
            pack_array(&params, 0);
        }
        up(sim, lab);
        if (sim_request(sim, lab, CTL_bundle_export, buf_bytes(&params), &reply) != ERR_OK) {
            return false;
        }
        assert_int_equal(ctl_decode(buf_bytes(&reply), &msg), ERR_OK);
        assert_int_equal(ctl_get_bin(&msg.result, "part", &part), ERR_OK);
        assert_int_equal(ctl_get_bool(&msg.result, "next", &next), ERR_OK);
        buf_put(into, part);
        ctl_done(&msg);
    }
    return true;
}

static void a_file_is_carried(struct sim *sim)
{
    defer(buf_done) struct buf file = {0};
    defer(buf_done) struct buf params = {0};
    bool there = false;
    for (unsigned i = 0; i < TRIES && !there; i++) { /* what the fault cost comes with the next */
        if (!export_to(sim, 0, &file)) {
            continue;
        }
        up(sim, 1);
        pack_map(&params, 2);
        pack_cstr(&params, "end");
        pack_bool(&params, true);
        pack_cstr(&params, "part");
        pack_bin(&params, buf_bytes(&file));
        (void) sim_request(sim, 1, CTL_bundle_import, buf_bytes(&params), NULL);
        buf_clear(&params);
        up(sim, 1);
        struct head held;
        there = sim_head(sim, 1, 0, &held) && sim_has(sim, 1, 0, "fiche-79");
    }
    assert_true(there);
    knows(sim, 0, 1, false);
    knows(sim, 1, 0, true);
}

static void filled(struct sim *sim)
{
    sim_publish(sim, 0, "fiche", 80, 1500, 1);
    sim_publish(sim, 1, "autre", 2, 200, 1);
}

/* ---- telling them ---- */

static const struct story stories[] = {
    {"two labs meet", nothing, two_labs_meet, 2},
    {"a fork is repaired", put_back, a_fork_is_repaired, 3},
    {"a catalogue is mended", slept, a_catalogue_is_mended, 2},
    {"keys are replaced", linked, keys_are_replaced, 2},
    {"a server is lost", linked, a_server_is_lost, 2},
    {"bytes are erased", linked, bytes_are_erased, 2},
    {"a file is carried", filled, a_file_is_carried, 2},
    {"a large delta is cut", linked, a_large_delta_is_cut, 2},
    {"a job publishes", linked, a_job_publishes, 2},
};

/* What the node may end with. */
static bool fits(enum fault_kind kind, enum err err)
{
    switch (kind) {
    case FAULT_MEMORY:
        return err == ERR_OK || err == ERR_NOMEM;
    case FAULT_EIO:
        return err == ERR_OK || err == ERR_IO;
    case FAULT_ROT:
        return err == ERR_OK || err == ERR_CORRUPT;
    case FAULT_ROOM:
        return err == ERR_OK || err == ERR_FULL;
    case FAULT_NONE:
        break;
    }
    return false;
}

static bool tell(const struct story *story, enum fault_kind kind)
{
    static const char *const names[] = {"Ti Lab", "Région Sud", "Lab4Lab"};
    struct sim *sim = sim_new(7);
    sim_keep(sim, true);
    for (unsigned i = 0; i < story->labs; i++) {
        (void) sim_lab(sim, names[i]);
    }
    story->before(sim);
    fault_begin(kind);
    story->told(sim);
    bool struck = fault_end();
    all_up(sim);
    bool good = sim_converge(sim, 30 * MINUTE_MS) && fits(kind, sim_fault_err);
    for (unsigned lab = 0; good && lab < story->labs; lab++) {
        good = sim_verify(sim, lab);
        sim_check(sim, lab);
    }
    if (!good) {
        sim_last(sim);
        fault_tell();
        fail_msg("%s, place %u: ended with %s", story->name, fault_places(kind),
                 err_code(sim_fault_err));
    }
    sim_free(sim);
    return struck;
}

static void tell_all(enum fault_kind kind)
{
    const char *only = getenv("FAULT_STORY");
    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
        unsigned before = fault_places(kind);
        if (only != NULL && strtoul(only, NULL, 10) != i) {
            continue;
        }
        while (tell(&stories[i], kind)) {
        }
        print_message("%s: %u places\n", stories[i].name, fault_places(kind) - before);
    }
}

static void a_node_without_memory_ends_or_goes_on_and_loses_nothing(void **state)
{
    (void) state;
    tell_all(FAULT_MEMORY);
}

static void a_node_whose_disk_fails_ends_or_goes_on_and_loses_nothing(void **state)
{
    (void) state;
    tell_all(FAULT_EIO);
}

static void a_node_that_reads_a_damaged_page_ends_or_goes_on_and_loses_nothing(void **state)
{
    (void) state;
    tell_all(FAULT_ROT);
}

static void a_node_without_room_ends_or_goes_on_and_loses_nothing(void **state)
{
    (void) state;
    tell_all(FAULT_ROOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_without_memory_ends_or_goes_on_and_loses_nothing),
        cmocka_unit_test(a_node_whose_disk_fails_ends_or_goes_on_and_loses_nothing),
        cmocka_unit_test(a_node_that_reads_a_damaged_page_ends_or_goes_on_and_loses_nothing),
        cmocka_unit_test(a_node_without_room_ends_or_goes_on_and_loses_nothing),
    };
    const char *of = getenv("SIM_FAULTS");
    bool all = of == NULL || getenv("ESSAIM_LONG") != NULL;
    fault_sample(all ? 1 : (unsigned) strtoul(of, NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
