/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/swarm.c: one seed, one life of a small network with faults of its own drawing.
 *
 * Each seed switches a random subset of faults on, lets labs publish, change and withdraw while
 * they happen, then heals everything. Safety, at every step: check.c; and what was acknowledged is
 * there after every restart. Liveness, after healing: within a bounded virtual time all honest labs
 * hold the same heads, exactly what was acknowledged, `verify` is clean everywhere, and forks (of
 * liars alone) are known to all or to none.
 */
#include "tests/sim/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "tests/sim/cluster.h"

#define SWARM_LABS_MAX 52
#define SMALL_LABS_MAX 12 /* honest ones, of most seeds … */
#define LARGE_LABS 50     /* … but of one in LARGE_EVERY */
#define LARGE_EVERY 250
#define SWARM_SLUGS 24
#define SWARM_LOT 2200
#define SWARM_QUOTA 30
#define HEAL_MS (1500u * 1000u)
#define REPAIR_MS (120u * 1000u)
#define REPAIRS_MAX 8
#define FLOOD_MS (60u * 1000u)
#define DAY_S (24ll * 3600)
#define WALL_S 1767225600ll

/* What stands under one slug of a lab, by its salt; 0 = nothing. */
struct sight {
    unsigned there, maybe;
    bool doubt; /* the lab ended before it answered: `there` or `maybe` */
};

struct life {
    struct sim *sim;
    uint64_t dice;
    unsigned faults;
    unsigned honest, labs; /* liars are the last */
    bool guards;           /* outlive their stores */
    unsigned unlucky;      /* whose directory is copied and put back */
    bool cut[SWARM_LABS_MAX][SWARM_LABS_MAX];
    bool live[SWARM_LABS_MAX];
    struct sight sights[SWARM_LABS_MAX][SWARM_SLUGS];
    struct sight lots[SWARM_LABS_MAX];
    bool saved[SWARM_LABS_MAX]; /* there is a copy of its directory … */
    bool loose[SWARM_LABS_MAX]; /* … and it was put back once: what it said before is disputed */
    unsigned salt;
    char failure[256];
};

#define SWARM_FAULT_ROW(name, text) [FAULT_##name] = (text),
static const char *const fault_names[FAULT_COUNT] = {SWARM_FAULTS(SWARM_FAULT_ROW)};
#undef SWARM_FAULT_ROW

const char *swarm_fault_name(enum swarm_fault fault)
{
    return fault_names[fault];
}

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

static bool has(const struct life *life, enum swarm_fault fault)
{
    return (life->faults & (1u << fault)) != 0;
}

static bool failed(const struct life *life)
{
    return life->failure[0] != 0 || sim_failure(life->sim) != NULL;
}

/* ---- what was acknowledged ---- */

static void sight_check(struct life *life, unsigned lab, const char *slug, struct sight *sight)
{
    unsigned salt = 0;
    if (!sim_entry(life->sim, lab, lab, slug, &salt)) {
        salt = 0;
    }
    if (salt != sight->there && !life->loose[lab] && (!sight->doubt || salt != sight->maybe) &&
        !failed(life)) {
        (void) snprintf(life->failure, sizeof life->failure,
                        "lab %u lost of %s what it acknowledged: %u, not %u", lab, slug, salt,
                        sight->there);
    }
    *sight = (struct sight){.there = salt};
}

/* The lab's own store holds what it acknowledged; what was in doubt is known then. */
static void own_check(struct life *life, unsigned lab)
{
    for (unsigned slug = 0; lab < life->honest && slug < SWARM_SLUGS; slug++) {
        char name[32];
        (void) snprintf(name, sizeof name, "f%u-0", slug);
        sight_check(life, lab, name, &life->sights[lab][slug]);
    }
    if (has(life, FAULT_BATCH) && lab < life->honest) {
        sight_check(life, lab, "lot-7", &life->lots[lab]);
    }
}

static void start(struct life *life, unsigned lab)
{
    sim_start(life->sim, lab);
    life->live[lab] = sim_live(life->sim, lab);
    if (life->live[lab]) {
        own_check(life, lab);
    }
}

/* Labs also end by themselves, by what their disks do. */
static void notice(struct life *life)
{
    for (unsigned lab = 0; lab < life->labs; lab++) {
        life->live[lab] = sim_live(life->sim, lab);
    }
}

/* ---- the beginning ---- */

static void draw(struct life *life, const struct swarm_options *options)
{
    static const unsigned one_in[FAULT_COUNT] = {
        [FAULT_KILL] = 2,   [FAULT_BLACKOUT] = 3,  [FAULT_CUT] = 2,   [FAULT_ONE_WAY] = 3,
        [FAULT_RESET] = 2,  [FAULT_HALF_OPEN] = 3, [FAULT_SLOW] = 4,  [FAULT_SPLIT] = 4,
        [FAULT_LATE] = 3,   [FAULT_BUSY] = 2,      [FAULT_FULL] = 3,  [FAULT_EIO] = 3,
        [FAULT_COMMIT] = 3, [FAULT_CLOCK] = 3,     [FAULT_BATCH] = 5, [FAULT_LIAR] = 3,
        [FAULT_ROTATE] = 3, [FAULT_RESTORE] = 4,
    };
    for (unsigned fault = 0; fault < FAULT_COUNT; fault++) {
        life->faults |= pick(life, one_in[fault]) == 0 ? 1u << fault : 0;
    }
    life->faults &= options->faults;
    if (has(life, FAULT_RESTORE)) { /* what tells a copy put back is the time */
        life->faults &= ~(1u << FAULT_CLOCK);
    }
    life->guards = pick(life, 2) == 0;
    sim_guards(life->sim, life->guards);
    life->honest = 2 + pick(life, SMALL_LABS_MAX - 2);
    if (options->seed % LARGE_EVERY == LARGE_EVERY / 2) {
        life->honest = LARGE_LABS;
    }
    if (options->labs_max != 0 && life->honest > options->labs_max) {
        life->honest = options->labs_max;
    }
    unsigned liars = 1 + pick(life, 2);
    life->unlucky = pick(life, life->honest);
    life->labs = life->honest + (has(life, FAULT_LIAR) ? liars : 0);
    unsigned split = 1 + pick(life, 900);
    unsigned late = 1 + pick(life, 800);
    unsigned busy = 1 + pick(life, 60);
    sim_split(life->sim, has(life, FAULT_SPLIT) ? split : 0);
    if (has(life, FAULT_LATE)) {
        sim_latency(life->sim, 1, late);
    }
    sim_busy(life->sim, has(life, FAULT_BUSY) ? busy : 0);
    if (has(life, FAULT_LIAR) && !has(life, FAULT_BATCH)) {
        sim_quota(life->sim, SWARM_QUOTA);
    }
}

static void join(struct life *life, unsigned lab, unsigned other)
{
    bool dials = pick(life, 2) == 0;
    sim_link(life->sim, dials ? lab : other, dials ? other : lab);
}

static void make(struct life *life)
{
    for (unsigned lab = 0; lab < life->labs; lab++) {
        (void) sim_lab(life->sim, "Labo");
        if (lab >= life->honest) {
            sim_apart(life->sim, lab, true);
            sim_lies(life->sim, lab, 20 + pick(life, 400));
        }
        if (lab > 0) { /* a random tree of the honest ones, and liars at their edge … */
            join(life, lab, pick(life, lab < life->honest ? lab : life->honest));
        }
    }
    for (unsigned i = 0; i < life->labs; i++) { /* … and some more edges */
        unsigned a = pick(life, life->labs);
        unsigned b = pick(life, life->labs);
        if (a != b) {
            join(life, a, b);
        }
    }
    notice(life);
}

/* ---- acts ---- */

/* A full disk and a lab that ends are no failures of the request, nor is a lab that is frozen for
 * what its copy or it, a liar, signed; anything else is. */
static void answered(struct life *life, unsigned lab, struct sight *sight, enum err err,
                     unsigned salt)
{
    if (err == ERR_FROZEN && (lab >= life->honest || life->loose[lab])) {
        return;
    }
    if (err == ERR_OK) {
        *sight = (struct sight){.there = salt};
    } else if (err == ERR_NO_DAEMON) {
        *sight = (struct sight){.there = sight->there, .maybe = salt, .doubt = true};
    } else if (err != ERR_FULL) {
        (void) snprintf(life->failure, sizeof life->failure, "a request was answered %s",
                        err_code(err));
    }
}

static void write_some(struct life *life, unsigned lab)
{
    unsigned slug = pick(life, SWARM_SLUGS);
    struct sight *sight = &life->sights[lab][slug];
    char name[32];
    bool lot = pick(life, 12) == 0;
    if (pick(life, 4) == 0 && sight->there != 0) {
        (void) snprintf(name, sizeof name, "f%u-0", slug);
        answered(life, lab, sight, sim_try_withdraw(life->sim, lab, name), 0);
    } else {
        (void) snprintf(name, sizeof name, "f%u", slug);
        struct sim_batch batch = {
            .prefix = name, .count = 1, .size = 50 + pick(life, 3000), .salt = ++life->salt};
        answered(life, lab, sight, sim_try_publish(life->sim, lab, &batch), batch.salt);
    }
    if (lot && has(life, FAULT_BATCH) && sim_live(life->sim, lab)) {
        struct sim_batch batch = {
            .prefix = "lot", .count = SWARM_LOT, .size = 150, .salt = ++life->salt};
        answered(life, lab, &life->lots[lab], sim_try_publish(life->sim, lab, &batch), batch.salt);
    }
    if (sim_live(life->sim, lab)) {
        own_check(life, lab);
    }
}

static void power(struct life *life, unsigned lab)
{
    bool kill = has(life, FAULT_KILL);
    bool blackout = has(life, FAULT_BLACKOUT);
    if (blackout && (!kill || pick(life, 2) == 0)) {
        sim_blackout(life->sim, lab);
    } else if (kill && pick(life, 2) == 0) {
        sim_crash(life->sim, lab);
    } else if (kill) {
        sim_stop(life->sim, lab);
    }
}

static void cable(struct life *life, unsigned lab, unsigned other)
{
    bool both = has(life, FAULT_CUT) && (!has(life, FAULT_ONE_WAY) || pick(life, 2) == 0);
    if (both) {
        bool cut = !life->cut[lab][other];
        life->cut[lab][other] = life->cut[other][lab] = cut;
        sim_cut(life->sim, lab, other, cut);
    } else if (has(life, FAULT_ONE_WAY)) {
        life->cut[lab][other] = !life->cut[lab][other];
        sim_cut_way(life->sim, lab, other, life->cut[lab][other]);
    }
}

static void disk(struct life *life, unsigned lab)
{
    switch (pick(life, 4)) {
    case 0:
        if (has(life, FAULT_FULL)) {
            sim_full(life->sim, lab, pick(life, 2) == 0);
        }
        break;
    case 1:
        if (has(life, FAULT_FULL)) {
            sim_disk(life->sim, lab, SIM_DISK_FULL);
        }
        break;
    case 2:
        if (has(life, FAULT_EIO)) {
            sim_disk(life->sim, lab, pick(life, 2) == 0 ? SIM_DISK_EIO : SIM_DISK_EIO_LATE);
        }
        break;
    default:
        if (has(life, FAULT_COMMIT)) {
            sim_disk(life->sim, lab, pick(life, 2) == 0 ? SIM_DISK_CRASH : SIM_DISK_CRASH_LATE);
        }
        break;
    }
}

static void rotate(struct life *life, unsigned lab)
{
    enum err err = sim_rotate(life->sim, lab);
    bool fine = err == ERR_OK || err == ERR_NO_DAEMON || err == ERR_FULL || err == ERR_CONFLICT ||
                err == ERR_BUSY || (err == ERR_FROZEN && (life->loose[lab] || lab >= life->honest));
    if (!fine && !failed(life)) {
        (void) snprintf(life->failure, sizeof life->failure, "lab %u may not rotate its keys: %s",
                        lab, err_code(err));
    }
}

/* Its directory is copied, or put back to the copy. */
static void copy(struct life *life, unsigned lab)
{
    sim_stop(life->sim, lab);
    if (!life->saved[lab] || pick(life, 3) == 0) {
        sim_backup(life->sim, lab);
        life->saved[lab] = true;
    } else {
        sim_restore(life->sim, lab);
        life->loose[lab] = true;
    }
    start(life, lab);
    if (life->live[lab] && pick(life, 2) == 0) {
        write_some(life, lab); /* before anybody could tell it anything */
    }
}

static void keep_house(struct life *life, unsigned lab)
{
    bool keys = pick(life, 2) == 0;
    if (keys && has(life, FAULT_ROTATE) && life->live[lab]) {
        rotate(life, lab);
    } else if (!keys && has(life, FAULT_RESTORE) && life->live[life->unlucky]) {
        copy(life, life->unlucky);
    }
}

static void clock_jump(struct life *life, unsigned lab)
{
    static const int64_t off_s[] = {0,
                                    3600,
                                    -3600,
                                    400 * DAY_S,
                                    -400 * DAY_S,
                                    -WALL_S,
                                    -WALL_S - 10 * DAY_S,
                                    2147483647ll - WALL_S,
                                    4294967295ll - WALL_S};
    unsigned which = pick(life, sizeof off_s / sizeof *off_s);
    if (has(life, FAULT_CLOCK)) {
        sim_clock(life->sim, lab, off_s[which]);
    }
}

static void link_act(struct life *life, unsigned lab, unsigned other)
{
    unsigned what = pick(life, 3);
    uint32_t rate = 20 + pick(life, 4000);
    if (what == 0 && has(life, FAULT_RESET)) {
        sim_reset(life->sim, lab, other);
    } else if (what == 1 && has(life, FAULT_HALF_OPEN)) {
        sim_half_open(life->sim, lab, other);
    } else if (what == 2 && has(life, FAULT_SLOW)) {
        sim_rate(life->sim, lab, other, rate);
    }
}

static void act(struct life *life)
{
    unsigned lab = pick(life, life->labs);
    unsigned other = pick(life, life->labs);
    unsigned what = pick(life, 16);
    if (what < 7 && life->live[lab]) {
        write_some(life, lab);
    } else if (what == 7 && life->live[lab]) {
        power(life, lab);
    } else if (what == 8 && !life->live[lab]) {
        start(life, lab);
    } else if (what == 9 && lab != other) {
        cable(life, lab, other);
    } else if (what == 10) {
        disk(life, lab);
    } else if (what == 11) {
        clock_jump(life, lab);
    } else if (what >= 14) {
        keep_house(life, lab);
    } else if (what >= 12 && lab != other) {
        link_act(life, lab, other);
    }
}

/* ---- the end ---- */

/* What copies put back have signed is joined again, or given up where nobody holds it. What parted
 * before an earlier merge, or was proven and is in no store any more, cannot be joined: new keys
 * end that. */
static void repair(struct life *life)
{
    for (unsigned lab = 0; lab < life->honest; lab++) {
        bool frozen = life->loose[lab];
        for (unsigned tries = 0; frozen && tries < REPAIRS_MAX && !failed(life); tries++) {
            sim_run(life->sim, REPAIR_MS);
            (void) sim_repair(life->sim, lab, tries > REPAIRS_MAX / 2, &frozen);
            frozen = frozen && (tries < REPAIRS_MAX / 2 || sim_rotate(life->sim, lab) != ERR_OK);
        }
        if (frozen && !failed(life)) {
            (void) snprintf(life->failure, sizeof life->failure,
                            "lab %u was put back and cannot be repaired", lab);
        }
    }
}

static void heal(struct life *life)
{
    for (unsigned a = 0; a < life->labs; a++) {
        for (unsigned b = 0; b < life->labs; b++) {
            if (a != b) {
                sim_cut(life->sim, a, b, false);
                sim_rate(life->sim, a, b, 0);
            }
        }
        sim_disk(life->sim, a, SIM_DISK_OK);
        sim_full(life->sim, a, false);
        if (!sim_live(life->sim, a)) {
            start(life, a);
        }
    }
    repair(life);
    if (!sim_converge(life->sim, HEAL_MS) && !failed(life)) {
        (void) snprintf(life->failure, sizeof life->failure, "no convergence after healing");
    }
}

static void check_at(struct life *life, unsigned lab, unsigned of)
{
    for (unsigned slug = 0; !life->loose[of] && slug < SWARM_SLUGS && !failed(life); slug++) {
        const struct sight *sight = &life->sights[of][slug];
        char name[32];
        unsigned salt = 0;
        (void) snprintf(name, sizeof name, "f%u-0", slug);
        bool there = sim_entry(life->sim, lab, of, name, &salt);
        if (there != (sight->there != 0) || (there && salt != sight->there)) {
            (void) snprintf(life->failure, sizeof life->failure,
                            "lab %u holds %u of lab %u's %s, not %u", lab, salt, of, name,
                            sight->there);
        }
    }
}

static void check(struct life *life)
{
    for (unsigned lab = 0; lab < life->honest && !failed(life); lab++) {
        own_check(life, lab);
        for (unsigned of = 0; of < life->honest; of++) {
            check_at(life, lab, of);
        }
        sim_check(life->sim, lab);
        if (!sim_verify(life->sim, lab) && !failed(life)) {
            (void) snprintf(life->failure, sizeof life->failure, "lab %u: verify is not clean",
                            lab);
        }
    }
}

/* Who signed two histories is known to all or to none. */
static void check_forks(struct life *life)
{
    for (unsigned of = 0; of < life->labs && !failed(life); of++) {
        unsigned known = 0;
        for (unsigned lab = 0; lab < life->honest; lab++) {
            known += sim_forked(life->sim, lab, of);
        }
        if (known > 0 && (known < life->honest || of < life->honest)) {
            (void) snprintf(life->failure, sizeof life->failure,
                            "%u of %u labs know a fork of lab %u", known, life->honest, of);
        }
    }
}

static void look(struct life *life)
{
    notice(life);
    for (unsigned lab = 0; lab < life->honest; lab++) {
        sim_check(life->sim, lab);
        if (life->guards && life->live[lab] && sim_forked(life->sim, lab, lab) && !failed(life)) {
            (void) snprintf(life->failure, sizeof life->failure,
                            "lab %u forked where its guard survived", lab);
        }
    }
}

static void run(struct life *life, const struct swarm_options *options, unsigned acts)
{
    bool stopped = false;
    for (unsigned i = 0; i < acts && !failed(life) && !stopped; i++) {
        act(life);
        sim_run(life->sim, pick(life, 4) == 0 ? pick(life, 20000) : pick(life, 300));
        look(life);
        stopped = options->until_ms != 0 && sim_now(life->sim) >= options->until_ms;
    }
    if (!failed(life) && !stopped) {
        heal(life);
        look(life);
    }
    if (!failed(life) && !stopped) {
        check(life);
        sim_run(life->sim, FLOOD_MS);
        check_forks(life);
    }
}

void swarm_live(const struct swarm_options *options, bool loud, struct swarm_result *ret_result)
{
    struct life *life = calloc(1, sizeof *life);
    must(life != NULL);
    life->dice = options->seed;
    life->sim = sim_new(options->seed);
    sim_soft(life->sim);
    if (options->telling) {
        sim_telling(life->sim);
    }
    draw(life, options);
    unsigned acts = 20 + pick(life, 60);
    acts = options->acts_max != 0 && acts > options->acts_max ? options->acts_max : acts;
    make(life);
    run(life, options, acts);
    const char *why = sim_failure(life->sim);
    why = why != NULL ? why : life->failure;
    *ret_result = (struct swarm_result){
        .trace = sim_trace(life->sim), .faults = life->faults, .labs = life->honest, .acts = acts};
    (void) snprintf(ret_result->failure, sizeof ret_result->failure, "%s", why);
    if (why[0] != 0 && loud && !options->telling) {
        sim_last(life->sim);
    }
    sim_free(life->sim);
    free(life);
}
