/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/swarm.c: one seed, one life of a small network with faults of its own drawing.
 *
 * Each seed switches a random subset of faults on (crashes, resets, cuts, tiny pieces, long
 * latencies, large batches), lets labs publish, change and withdraw, then heals everything.
 * Safety, while it runs: no lab's held head of another ever goes back. Liveness, after healing:
 * within a bounded virtual time all labs hold the same heads, every entry expected is there and no
 * withdrawn one, and `verify` is clean everywhere.
 *
 *     essaim-sim [--seed S] [--count N] [--twice]
 *
 * prints the seed of every failure; exit 1 when there is one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "tests/sim/cluster.h"

#define SWARM_LABS_MAX 12
#define SWARM_SLUGS 24
#define HEAL_MS (1500u * 1000u)

struct life {
    struct sim *sim;
    uint64_t seed, dice;
    unsigned labs;
    bool crashes, resets, cuts, batches;
    bool live[SWARM_LABS_MAX];
    bool cut[SWARM_LABS_MAX][SWARM_LABS_MAX];
    bool there[SWARM_LABS_MAX][SWARM_SLUGS];
    uint64_t seen[SWARM_LABS_MAX][SWARM_LABS_MAX]; /* newest n of [of] at [lab] */
    unsigned salt;
    const char *failure;
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

static void look(struct life *life)
{
    for (unsigned lab = 0; lab < life->labs; lab++) {
        for (unsigned of = 0; life->live[lab] && of < life->labs; of++) {
            struct head head;
            uint64_t n = sim_head(life->sim, lab, of, &head) ? head.n : 0;
            if (n < life->seen[lab][of]) {
                life->failure = "a held head went back";
            }
            life->seen[lab][of] = n;
        }
    }
}

static void make(struct life *life)
{
    life->labs = 2 + pick(life, SWARM_LABS_MAX - 2);
    life->crashes = pick(life, 2) == 0;
    life->resets = pick(life, 2) == 0;
    life->cuts = pick(life, 2) == 0;
    life->batches = pick(life, 4) == 0;
    if (pick(life, 4) == 0) {
        sim_split(life->sim, 1 + pick(life, 900));
    }
    if (pick(life, 3) == 0) {
        sim_latency(life->sim, 1, 1 + pick(life, 800));
    }
    for (unsigned lab = 0; lab < life->labs; lab++) {
        (void) sim_lab(life->sim, "Labo");
        life->live[lab] = true;
        if (lab > 0) {
            unsigned other = pick(life, lab); /* a random tree … */
            bool dials = pick(life, 2) == 0;
            sim_link(life->sim, dials ? lab : other, dials ? other : lab);
        }
    }
    for (unsigned i = 0; i < life->labs; i++) { /* … and some more edges */
        unsigned a = pick(life, life->labs);
        unsigned b = pick(life, life->labs);
        if (a != b) {
            sim_link(life->sim, a, b);
        }
    }
}

static void write_some(struct life *life, unsigned lab)
{
    unsigned slug = pick(life, SWARM_SLUGS);
    char name[32];
    if (pick(life, 4) == 0 && life->there[lab][slug]) {
        (void) snprintf(name, sizeof name, "f%u-0", slug);
        sim_withdraw(life->sim, lab, name);
        life->there[lab][slug] = false;
        return;
    }
    (void) snprintf(name, sizeof name, "f%u", slug);
    sim_publish(life->sim, lab, name, 1, 50 + pick(life, 3000), life->salt++);
    life->there[lab][slug] = true;
    if (life->batches && pick(life, 12) == 0) {
        sim_publish(life->sim, lab, "lot", 2200, 150, life->salt++);
    }
}

static void act(struct life *life)
{
    unsigned lab = pick(life, life->labs);
    unsigned other = pick(life, life->labs);
    unsigned what = pick(life, 10);
    if (what < 6 && life->live[lab]) {
        write_some(life, lab);
    } else if (what == 6 && life->crashes && life->live[lab]) {
        if (pick(life, 2) == 0) {
            sim_crash(life->sim, lab);
        } else {
            sim_stop(life->sim, lab);
        }
        life->live[lab] = false;
    } else if (what == 7 && !life->live[lab]) {
        sim_start(life->sim, lab);
        life->live[lab] = true;
    } else if (what == 8 && life->cuts && lab != other) {
        life->cut[lab][other] = !life->cut[lab][other];
        sim_cut(life->sim, lab, other, life->cut[lab][other]);
    } else if (what == 9 && life->resets && lab != other) {
        sim_reset(life->sim, lab, other);
    }
}

static void heal(struct life *life)
{
    for (unsigned a = 0; a < life->labs; a++) {
        for (unsigned b = 0; b < life->labs; b++) {
            if (a != b) {
                sim_cut(life->sim, a, b, false);
            }
        }
        if (!life->live[a]) {
            sim_start(life->sim, a);
            life->live[a] = true;
        }
    }
    if (!sim_converge(life->sim, HEAL_MS)) {
        life->failure = "no convergence after healing";
    }
}

static void check(struct life *life)
{
    for (unsigned lab = 0; lab < life->labs && life->failure == NULL; lab++) {
        for (unsigned of = 0; of < life->labs; of++) {
            for (unsigned slug = 0; slug < SWARM_SLUGS; slug++) {
                char name[32];
                (void) snprintf(name, sizeof name, "f%u-0", slug);
                if (sim_has(life->sim, lab, of, name) != life->there[of][slug]) {
                    life->failure =
                        life->there[of][slug] ? "an entry is missing" : "a withdrawn entry is back";
                }
            }
        }
        if (!sim_verify(life->sim, lab)) {
            life->failure = "verify is not clean";
        }
    }
}

static uint64_t live(uint64_t seed, const char **ret_failure)
{
    struct life *life = calloc(1, sizeof *life);
    must(life != NULL);
    life->seed = life->dice = seed;
    life->sim = sim_new(seed);
    make(life);
    unsigned acts = 20 + pick(life, 60);
    for (unsigned i = 0; i < acts && life->failure == NULL; i++) {
        act(life);
        sim_run(life->sim, pick(life, 4) == 0 ? pick(life, 20000) : pick(life, 300));
        look(life);
    }
    if (life->failure == NULL) {
        heal(life);
        look(life);
    }
    if (life->failure == NULL) {
        check(life);
    }
    uint64_t trace = sim_trace(life->sim);
    *ret_failure = life->failure;
    sim_free(life->sim);
    free(life);
    return trace;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    uint64_t count = 1;
    bool twice = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc) {
            count = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--twice") == 0) {
            twice = true;
        } else {
            (void) fprintf(stderr, "usage: essaim-sim [--seed S] [--count N] [--twice]\n");
            return 2;
        }
    }
    uint64_t failed = 0;
    for (uint64_t at = seed; at < seed + count; at++) {
        const char *failure = NULL;
        uint64_t trace = live(at, &failure);
        if (failure == NULL && twice) {
            const char *again = NULL;
            failure = live(at, &again) != trace ? "the same seed gave another trace" : again;
        }
        if (failure != NULL) {
            failed++;
            (void) printf("seed %llu: %s\n", (unsigned long long) at, failure);
        }
    }
    (void) printf("%llu seeds, %llu failed\n", (unsigned long long) count,
                  (unsigned long long) failed);
    return failed > 0;
}
