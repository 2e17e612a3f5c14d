/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/test_dishonest.c: promises A1 to A4, many seeds of each: a lab that signs without end,
 * one that signs two histories, one whose machine was put back, one whose old keys are in other
 * hands. Each seed draws its own small network: who is linked with whom, how slowly, how much was
 * signed before.
 *
 * $SIM_SEEDS says how many seeds; $SIM_SEED is the only one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "proto/lab.h"
#include "tests/sim/cluster.h"

#define CREW_MAX 8
#define BAD 0 /* the lab that this is about */
#define QUOTA 12
#define MINUTE_MS 60000u
#define REPAIRS_MAX 4

struct life {
    struct sim *sim;
    uint64_t seed, dice;
    unsigned labs, late_ms, salt;
    char what[32];
};

static uint64_t roll(struct life *life)
{
    life->dice += 0x9e3779b97f4a7c15ull;
    uint64_t z = life->dice;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static unsigned pick(struct life *life, unsigned below)
{
    return (unsigned) (roll(life) % below);
}

static void claim(struct life *life, bool true_at_last, const char *promise)
{
    const char *failure = sim_failure(life->sim);
    if (true_at_last && failure == NULL) {
        return;
    }
    sim_last(life->sim);
    sim_blame(life->seed, "test_dishonest");
    fail_msg("%s, seed %llu, %u labs, up to %u ms late: not so: %s", life->what,
             (unsigned long long) life->seed, life->labs, life->late_ms,
             failure != NULL ? failure : promise);
}

/* A ring, and some more links. */
static struct life life_new(const char *what, uint64_t seed)
{
    struct life life = {.sim = sim_new(seed), .seed = seed, .dice = seed};
    (void) snprintf(life.what, sizeof life.what, "%s", what);
    sim_soft(life.sim);
    life.labs = 4 + pick(&life, CREW_MAX - 3);
    life.late_ms = 10 + pick(&life, 200);
    sim_latency(life.sim, 1, life.late_ms);
    sim_quota(life.sim, QUOTA);
    for (unsigned lab = 0; lab < life.labs; lab++) {
        (void) sim_lab(life.sim, "Labo");
    }
    for (unsigned lab = 0; lab < life.labs; lab++) {
        sim_link(life.sim, lab, (lab + 1) % life.labs);
        unsigned other = pick(&life, life.labs);
        if (pick(&life, 3) == 0 && other != lab) {
            sim_link(life.sim, lab, other);
        }
    }
    for (unsigned lab = 0; lab < life.labs; lab++) {
        sim_publish(life.sim, lab, "fonds", 1 + pick(&life, 3), 100, 1);
    }
    claim(&life, sim_converge(life.sim, 10 * MINUTE_MS), "a network comes together");
    return life;
}

static void life_end(struct life *life)
{
    for (unsigned lab = 0; lab < life->labs; lab++) {
        claim(life, !sim_live(life->sim, lab) || sim_verify(life->sim, lab), "verify is clean");
    }
    claim(life, true, "");
    sim_free(life->sim);
}

static enum err sign(struct life *life, unsigned lab, const char *slug)
{
    struct sim_batch batch = {.prefix = slug, .count = 1, .size = 100, .salt = ++life->salt};
    return sim_try_publish(life->sim, lab, &batch);
}

typedef void family(uint64_t seed);

static void each_seed(family *live)
{
    const char *only = getenv("SIM_SEED");
    const char *text = getenv("SIM_SEEDS");
    uint64_t count = text != NULL ? strtoull(text, NULL, 10) : 20;
    count = getenv("ESSAIM_LONG") != NULL ? 5000 : count;
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    count = only != NULL ? 1 : count;
    for (uint64_t seed = first; seed < first + count; seed++) {
        live(seed);
    }
    print_message("%llu seeds\n", (unsigned long long) count);
}

/* ---- A1 ---- */

static void flood(struct life *life, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        char slug[16];
        (void) snprintf(slug, sizeof slug, "s%u", pick(life, 3 * QUOTA));
        enum err err = sign(life, BAD, slug);
        claim(life, err == ERR_OK || err == ERR_REFUSED, "a flood is taken or refused");
    }
}

/* Until all hold what an honest lab signs now. */
static uint64_t round_ms(struct life *life, unsigned honest, bool flooded)
{
    struct head wanted, held;
    claim(life, sign(life, honest, "neuf") == ERR_OK, "an honest lab signs on");
    claim(life, sim_head(life->sim, honest, honest, &wanted), "and holds it");
    uint64_t began_ms = sim_now(life->sim);
    for (unsigned lab = 0; lab < life->labs;) {
        if (sim_head(life->sim, lab, honest, &held) && held.n >= wanted.n) {
            lab++;
            continue;
        }
        claim(life, sim_now(life->sim) - began_ms < 10 * MINUTE_MS, "all hold it");
        if (flooded) {
            flood(life, 2);
        }
        sim_run(life->sim, 5);
    }
    return sim_now(life->sim) - began_ms;
}

static uint64_t slowest_ms(struct life *life, unsigned honest, bool flooded)
{
    uint64_t worst_ms = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t ms = round_ms(life, honest, flooded);
        worst_ms = ms > worst_ms ? ms : worst_ms;
        sim_run(life->sim, 300);
    }
    return worst_ms;
}

static void flooded_life(uint64_t seed)
{
    struct life life = life_new("A1", seed);
    unsigned honest = 1 + pick(&life, life.labs - 1);
    uint64_t before_ms = slowest_ms(&life, honest, false);
    uint64_t during_ms = slowest_ms(&life, honest, true);
    /* Of four draws the slowest differs by chance, too. */
    claim(&life, during_ms <= 2 * before_ms + 2 * (uint64_t) life.late_ms, "no delay for others");
    flood(&life, 2 * QUOTA);
    claim(&life, sim_converge(life.sim, 10 * MINUTE_MS), "all hold the same");
    for (unsigned lab = 0; lab < life.labs; lab++) {
        struct head head = {0};
        claim(&life, sim_head(life.sim, lab, BAD, &head) && head.count <= QUOTA, "the quota");
        for (unsigned of = 1; of < life.labs; of++) {
            claim(&life, sim_has(life.sim, lab, of, "fonds-0"), "nothing of others goes for it");
        }
    }
    life_end(&life);
}

/* ---- A2, A3 ---- */

static void apart(struct life *life, bool cut)
{
    for (unsigned lab = 1; lab < life->labs; lab++) {
        sim_cut(life->sim, BAD, lab, cut);
    }
}

/* The bad lab signs on, is put back to what it was, and is alone. */
static void put_back(struct life *life, unsigned after)
{
    sim_stop(life->sim, BAD);
    sim_backup(life->sim, BAD);
    sim_start(life->sim, BAD);
    for (unsigned i = 0; i < after; i++) {
        char slug[16];
        (void) snprintf(slug, sizeof slug, "a%u", i);
        claim(life, sign(life, BAD, slug) == ERR_OK, "a lab signs");
    }
    claim(life, sim_converge(life->sim, 10 * MINUTE_MS), "all hold the first history");
    sim_stop(life->sim, BAD);
    apart(life, true);
    sim_restore(life->sim, BAD);
    sim_start(life->sim, BAD);
}

static bool linked(struct life *life)
{
    for (unsigned lab = 1; lab < life->labs; lab++) {
        if (sim_linked(life->sim, BAD, lab)) {
            return true;
        }
    }
    return false;
}

static unsigned knowing(struct life *life)
{
    unsigned known = 0;
    for (unsigned lab = 0; lab < life->labs; lab++) {
        known += sim_forked(life->sim, lab, BAD);
    }
    return known;
}

/* Both branches can be reached from now on: who knows, and how soon. */
static uint64_t known_ms(struct life *life)
{
    apart(life, false);
    while (!linked(life)) {
        sim_run(life->sim, 5);
    }
    uint64_t began_ms = sim_now(life->sim);
    while (knowing(life) < life->labs && sim_now(life->sim) - began_ms < 10 * MINUTE_MS) {
        sim_run(life->sim, 5);
    }
    claim(life, knowing(life) == life->labs, "all know the fork");
    return sim_now(life->sim) - began_ms;
}

static void repaired(struct life *life, unsigned after, unsigned others)
{
    bool frozen = true;
    for (unsigned tries = 0; frozen && tries < REPAIRS_MAX; tries++) {
        sim_run(life->sim, MINUTE_MS);
        (void) sim_repair(life->sim, BAD, false, &frozen);
    }
    claim(life, !frozen, "repair joins what was found");
    claim(life, sim_converge(life->sim, 10 * MINUTE_MS), "all take the joined history");
    for (unsigned lab = 0; lab < life->labs; lab++) {
        char slug[16];
        for (unsigned i = 0; i < after; i++) {
            (void) snprintf(slug, sizeof slug, "a%u-0", i);
            claim(life, sim_has(life->sim, lab, BAD, slug), "nothing of the first is lost");
        }
        for (unsigned i = 0; i < others; i++) {
            (void) snprintf(slug, sizeof slug, "b%u-0", i);
            claim(life, sim_has(life->sim, lab, BAD, slug), "nothing of the second is lost");
        }
    }
}

static void forked_life(uint64_t seed)
{
    struct life life = life_new("A2", seed);
    uint64_t round = slowest_ms(&life, 1 + pick(&life, life.labs - 1), false);
    unsigned after = 1 + pick(&life, 3);
    unsigned others = 1 + pick(&life, 3);
    put_back(&life, after);
    for (unsigned i = 0; i < others; i++) {
        char slug[16];
        (void) snprintf(slug, sizeof slug, "b%u", i);
        claim(&life, sign(&life, BAD, slug) == ERR_OK, "who knows no better signs");
    }
    uint64_t took_ms = known_ms(&life);
    claim(&life, took_ms <= 3 * (round + life.late_ms), "within three rounds");
    claim(&life, sign(&life, BAD, "gel") == ERR_FROZEN, "it is frozen");
    sim_run(life.sim, MINUTE_MS);
    struct head held, other;
    for (unsigned lab = 2; lab < life.labs; lab++) {
        claim(&life,
              sim_head(life.sim, 1, BAD, &held) && sim_head(life.sim, lab, BAD, &other) &&
                  memcmp(&held.hash, &other.hash, sizeof held.hash) == 0,
              "the honest hold the same of it");
    }
    repaired(&life, after, others);
    life_end(&life);
}

static void guarded_life(uint64_t seed)
{
    struct life life = life_new("A3", seed);
    sim_guards(life.sim, true);
    sim_stop(life.sim, BAD); /* its guard file is written when it signs */
    sim_start(life.sim, BAD);
    claim(&life, sign(&life, BAD, "garde") == ERR_OK, "a lab signs");
    put_back(&life, 1 + pick(&life, 4));
    claim(&life, sign(&life, BAD, "gel") == ERR_FROZEN, "its guard stops it");
    apart(&life, false);
    claim(&life, sim_converge(life.sim, 10 * MINUTE_MS), "it has caught up");
    sim_run(life.sim, MINUTE_MS);
    claim(&life, sign(&life, BAD, "suite") == ERR_OK, "and signs on");
    claim(&life, sim_converge(life.sim, 10 * MINUTE_MS), "all hold it");
    claim(&life, knowing(&life) == 0, "no fork");
    life_end(&life);
}

/* ---- A4 ---- */

/* Whoever has the old keys signs at somebody: a newer head of the generation that is over. */
static void forge(struct life *life, unsigned thief, unsigned at, const struct head *last,
                  const uint8_t *signing)
{
    defer(buf_done) struct buf signed_head = {0};
    defer(buf_done) struct buf raw = {0};
    struct head head = *last;
    head.n += 1 + pick(life, 1000);
    head.issued_at++;
    claim(life, head_sign(&head, signing, &signed_head) == ERR_OK, "a thief signs");
    if (!puppet_dial(life->sim, thief, at)) {
        return; /* its link key is over, too */
    }
    uint64_t arrival = 1000 + roll(life) % 100000;
    list_put_head(&raw, arrival, buf_bytes(&signed_head));
    puppet_say(
        life->sim, thief,
        &(struct msg){.type = MSG_HEADS,
                      .heads = {.upto = arrival, .heads = {.raw = buf_bytes(&raw), .count = 1}}});
    sim_run(life->sim, 2000);
    puppet_close(life->sim, thief);
}

static unsigned unknowing(struct life *life)
{
    unsigned count = 0;
    for (unsigned lab = 0; lab < life->labs; lab++) {
        count += sim_live(life->sim, lab) && sim_generation(life->sim, lab, BAD) < 2;
    }
    return count;
}

static void replaced_life(uint64_t seed)
{
    struct life life = life_new("A4", seed);
    unsigned stranger = sim_puppet(life.sim, "Voisin"); /* a member who passes on what he has */
    sim_apart(life.sim, stranger, true);
    for (unsigned lab = 1; lab < life.labs; lab++) {
        sim_peer(life.sim, lab, stranger, false);
    }
    unsigned twin = sim_twin(life.sim, BAD); /* the old keys in other hands */
    sim_apart(life.sim, twin, true);
    struct head last = {0};
    claim(&life, sim_head(life.sim, BAD, BAD, &last), "it signed");
    unsigned away = 1 + pick(&life, life.labs - 1);
    sim_stop(life.sim, away);
    claim(&life, sim_rotate(life.sim, BAD) == ERR_OK, "keys are replaced");
    uint64_t began_ms = sim_now(life.sim);
    while (unknowing(&life) > 0 && sim_now(life.sim) - began_ms <= 10 * MINUTE_MS) {
        sim_run(life.sim, 50);
    }
    claim(&life, unknowing(&life) == 0, "all who are on know within ten minutes");
    sim_start(life.sim, away);
    claim(&life, sim_converge(life.sim, 10 * MINUTE_MS), "all hold what the new keys signed");
    for (unsigned i = 0; i < 4; i++) {
        unsigned at = 1 + pick(&life, life.labs - 1);
        forge(&life, pick(&life, 2) == 0 ? stranger : twin, at, &last, sim_signing(life.sim, twin));
        if (pick(&life, 3) == 0) {
            sim_crash(life.sim, at);
            sim_start(life.sim, at);
        }
    }
    claim(&life, sim_converge(life.sim, 10 * MINUTE_MS), "nobody took anything else");
    for (unsigned lab = 0; lab < life.labs; lab++) {
        struct head head = {0};
        claim(&life,
              sim_head(life.sim, lab, BAD, &head) && head.generation == 2 &&
                  sim_generation(life.sim, lab, BAD) == 2,
              "the old keys count for nothing");
    }
    claim(&life, !puppet_dial(life.sim, twin, 1), "who has the old link key is not let in");
    life_end(&life);
}

static void who_signs_without_end_delays_and_displaces_nobody(void **state)
{
    (void) state;
    each_seed(flooded_life);
}

static void two_histories_are_proven_frozen_and_joined(void **state)
{
    (void) state;
    each_seed(forked_life);
}

static void who_was_put_back_is_stopped_by_its_guard_and_forks_nothing(void **state)
{
    (void) state;
    each_seed(guarded_life);
}

static void keys_that_were_replaced_count_nowhere_any_more(void **state)
{
    (void) state;
    each_seed(replaced_life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_signs_without_end_delays_and_displaces_nobody),
        cmocka_unit_test(two_histories_are_proven_frozen_and_joined),
        cmocka_unit_test(who_was_put_back_is_stopped_by_its_guard_and_forks_nothing),
        cmocka_unit_test(keys_that_were_replaced_count_nowhere_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
