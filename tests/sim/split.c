/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/split.c: promise C1: a network of many labs comes apart into three for hours, while
 * labs come and go and links are lost, and grows together again.
 *
 * Every lab dials three others. All hold the records of all from the beginning, unless the network
 * is to grow from nothing (a million records on their way to a thousand labs). A few publish, in
 * each part. 10 % of the labs go off in every hour, by a power cut, and come back within the hour;
 * of the links 20 % are reset in every ten minutes, also while it heals. Fifteen minutes after the
 * ways are mended all labs that are on hold the same, and everything that was ever acknowledged.
 */
#include "tests/sim/split.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "tests/sim/cluster.h"

#define PARTS 3
#define DIALS 3
#define SLUGS 4
#define STEP_MS 5000u
#define MINUTE_MS (60u * 1000u)
#define HOUR_MS (60u * MINUTE_MS)
#define LOSS_MS (10u * MINUTE_MS)
#define HEAL_MS (15u * MINUTE_MS)
#define GROW_MS (30u * MINUTE_MS)
#define BUSY_MS 100u

struct split {
    struct sim *sim;
    const struct split_options *options;
    unsigned writers;
    uint64_t *back_ms; /* when a lab that is off comes back; 0 = it is on */
    unsigned *salts;   /* [writer * SLUGS + slug]: the last acknowledged */
    unsigned salt;
    unsigned offs, resets, published;
    uint64_t dice;
};

static uint64_t roll(struct split *split)
{
    split->dice += 0x9e3779b97f4a7c15ull;
    uint64_t z = split->dice;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static unsigned pick(struct split *split, unsigned below)
{
    return (unsigned) (roll(split) % below);
}

static unsigned part_of(unsigned lab)
{
    return lab % PARTS;
}

/* Writers are spread over the parts. */
static void publish(struct split *split, unsigned writer)
{
    char name[16];
    unsigned slug = pick(split, SLUGS);
    struct sim_batch batch = {.prefix = name, .count = 1, .size = 200, .salt = ++split->salt};
    (void) snprintf(name, sizeof name, "f%u", slug);
    if (sim_live(split->sim, writer) && sim_try_publish(split->sim, writer, &batch) == ERR_OK) {
        split->salts[writer * SLUGS + slug] = batch.salt;
        split->published++;
    }
}

/* A ring and some more; the parts hang together by themselves, too. */
static void make(struct split *split)
{
    unsigned labs = split->options->labs;
    for (unsigned lab = 0; lab < labs; lab++) {
        (void) sim_lab(split->sim, "Labo");
    }
    for (unsigned lab = 0; lab < labs; lab++) {
        sim_link(split->sim, lab, (lab + PARTS) % labs); /* its own part */
        sim_link(split->sim, lab, (lab + 1) % labs);     /* the next one */
        for (unsigned i = 2; i < DIALS; i++) {
            unsigned other = pick(split, labs);
            if (other != lab) {
                sim_link(split->sim, lab, other);
            }
        }
    }
    if (!split->options->grow) {
        sim_old(split->sim);
    }
}

static void cut(struct split *split, bool is_cut)
{
    for (unsigned a = 0; a < split->options->labs; a++) {
        for (unsigned b = 0; b < a; b++) {
            if (part_of(a) != part_of(b)) {
                sim_cut(split->sim, a, b, is_cut);
            }
        }
    }
}

/* 10 % of the labs in an hour. */
static void churn(struct split *split)
{
    for (unsigned lab = 0; lab < split->options->labs; lab++) {
        if (split->back_ms[lab] != 0 && sim_now(split->sim) >= split->back_ms[lab]) {
            sim_start(split->sim, lab);
            split->back_ms[lab] = 0;
        } else if (split->back_ms[lab] == 0 && pick(split, 10 * HOUR_MS / STEP_MS) == 0) {
            sim_blackout(split->sim, lab);
            split->back_ms[lab] = sim_now(split->sim) + 1 + pick(split, HOUR_MS);
            split->offs++;
        }
    }
}

/* 20 % of the links in ten minutes. */
static void lose(struct split *split)
{
    split->resets += sim_reset_some(split->sim, 200 * STEP_MS / LOSS_MS);
}

static void write_some(struct split *split)
{
    for (unsigned writer = 0; writer < split->writers; writer++) {
        if (pick(split, 20 * MINUTE_MS / STEP_MS) == 0) {
            publish(split, writer);
        }
    }
}

static bool over(const struct split *split)
{
    return sim_failure(split->sim) != NULL;
}

/* Until they agree; the time it took, or more than `ms`. */
static uint64_t settle(struct split *split, uint64_t ms)
{
    uint64_t began_ms = sim_now(split->sim);
    while (!over(split) && sim_now(split->sim) - began_ms <= ms && !sim_converged(split->sim)) {
        lose(split);
        sim_run(split->sim, STEP_MS);
    }
    return sim_now(split->sim) - began_ms;
}

static unsigned lost(struct split *split)
{
    unsigned count = 0;
    for (unsigned lab = 0; lab < split->options->labs; lab++) {
        for (unsigned i = 0; sim_live(split->sim, lab) && i < split->writers * SLUGS; i++) {
            char name[16];
            unsigned salt = 0;
            (void) snprintf(name, sizeof name, "f%u-0", i % SLUGS);
            bool there = sim_entry(split->sim, lab, i / SLUGS, name, &salt);
            count += split->salts[i] != 0 && (!there || salt != split->salts[i]);
        }
    }
    return count;
}

static void run(struct split *split, struct split_result *ret_result)
{
    make(split);
    for (unsigned writer = 0; writer < split->writers; writer++) {
        publish(split, writer);
    }
    ret_result->grown_ms = settle(split, GROW_MS);
    cut(split, true);
    uint64_t until_ms = sim_now(split->sim) + split->options->hours * HOUR_MS;
    while (!over(split) && sim_now(split->sim) < until_ms) {
        churn(split);
        lose(split);
        write_some(split);
        sim_run(split->sim, STEP_MS);
    }
    for (unsigned writer = 0; writer < split->writers; writer++) { /* its own part has the latest */
        if (split->back_ms[writer] != 0) {
            sim_start(split->sim, writer);
            split->back_ms[writer] = 0;
        }
    }
    cut(split, false);
    ret_result->healed_ms = settle(split, HEAL_MS);
    ret_result->lost = lost(split);
    for (unsigned i = 0; i < 10; i++) {
        unsigned lab = pick(split, split->options->labs);
        ret_result->unclean += sim_live(split->sim, lab) && !sim_verify(split->sim, lab);
    }
}

bool split_live(const struct split_options *options, struct split_result *ret_result)
{
    struct split split = {.options = options, .dice = options->seed};
    split.writers = options->labs < 30 ? options->labs : 30;
    split.sim = sim_new(options->seed);
    split.back_ms = calloc(options->labs, sizeof *split.back_ms);
    split.salts = calloc((size_t) split.writers * SLUGS, sizeof *split.salts);
    must(split.back_ms != NULL && split.salts != NULL);
    sim_soft(split.sim);
    sim_busy(split.sim, BUSY_MS);
    if (options->labs > 100) {
        sim_unchecked(split.sim);
    }
    *ret_result = (struct split_result){0};
    run(&split, ret_result);
    const char *failure = sim_failure(split.sim);
    ret_result->trace = sim_trace(split.sim);
    ret_result->offs = split.offs;
    ret_result->resets = split.resets;
    ret_result->published = split.published;
    (void) snprintf(ret_result->failure, sizeof ret_result->failure, "%s",
                    failure != NULL ? failure : "");
    sim_free(split.sim);
    free(split.back_ms);
    free(split.salts);
    return failure == NULL && ret_result->lost == 0 && ret_result->unclean == 0 &&
           ret_result->grown_ms <= GROW_MS && ret_result->healed_ms <= HEAL_MS;
}
