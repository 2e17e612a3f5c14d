/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/main.c: essaim-sim: lives of small networks, one a seed (swarm.c).
 *
 *     essaim-sim [--seed S] [--count N] [--seconds T] [--twice [--every K]] [--quiet] [--fail-fast]
 *     essaim-sim --file FILE        the seeds of a file, each with the faults it names or all
 *     essaim-sim --seed S --trace [--until MS] [--faults a,b,…] [--labs N] [--acts N]
 *     essaim-sim --seed S --minimise
 *     essaim-sim --split LABS [--hours H] [--grow] [--seed S] [--count N]     split.c
 *
 * Each failure is printed with its seed, the commit, the faults and the last events; exit 1 when
 * there is one. --seconds stops after that time and says how far it came. --minimise looks for the
 * fewest faults, labs and acts with which the seed still fails.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/sim/cluster.h"
#include "tests/sim/split.h"
#include "tests/sim/swarm.h"

#define ALL_FAULTS ((1u << FAULT_COUNT) - 1)

struct job {
    struct swarm_options options;
    uint64_t count, every;
    double seconds;
    bool twice, quiet, minimise, fail_fast;
    struct split_options split; /* labs 0: no split */
    const char *file;
    uint64_t lived, failed;
};

static volatile sig_atomic_t aborted_seed;

/* One of our own assertions: which seed it was. */
static void aborted(int number)
{
    char line[32] = "seed 0000000000 aborted\n";
    unsigned long seed = (unsigned long) aborted_seed;
    for (unsigned i = 14; i >= 5; i--) {
        line[i] = (char) ('0' + seed % 10);
        seed /= 10;
    }
    (void) !write(STDOUT_FILENO, line, strlen(line));
    (void) signal(number, SIG_DFL);
    (void) raise(number);
}

static double seconds_now(void)
{
    struct timespec now;
    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void faults_print(unsigned faults)
{
    const char *comma = "";
    for (unsigned fault = 0; fault < FAULT_COUNT; fault++) {
        if ((faults & (1u << fault)) != 0) {
            (void) printf("%s%s", comma, swarm_fault_name(fault));
            comma = ",";
        }
    }
    (void) printf("%s", comma[0] == 0 ? "none" : "");
}

static void failure_print(const struct swarm_options *options, const struct swarm_result *result)
{
    char commit[64];
    sim_commit(commit, sizeof commit);
    (void) printf("seed %llu failed: %s\n  commit %s, faults ", (unsigned long long) options->seed,
                  result->failure, commit);
    faults_print(result->faults);
    (void) printf(", %u labs, %u acts; again with: essaim-sim --seed %llu --trace\n", result->labs,
                  result->acts, (unsigned long long) options->seed);
    (void) fflush(stdout);
}

/* One seed; true when it lived well. */
static bool seed_live(struct job *job, const struct swarm_options *options)
{
    struct swarm_result result;
    aborted_seed = (sig_atomic_t) options->seed;
    swarm_live(options, !job->quiet, &result);
    job->lived++;
    if (result.failure[0] == 0 && job->twice && options->seed % job->every == 0) {
        struct swarm_result again;
        swarm_live(options, !job->quiet, &again);
        if (again.trace != result.trace || again.failure[0] != 0) {
            (void) snprintf(result.failure, sizeof result.failure,
                            "the same seed gave another trace");
        }
    }
    if (result.failure[0] != 0) {
        job->failed++;
        failure_print(options, &result);
    }
    return result.failure[0] == 0;
}

/* ---- fewer faults, labs, acts ---- */

static bool still_fails(const struct swarm_options *options, struct swarm_result *result)
{
    swarm_live(options, false, result);
    return result->failure[0] != 0;
}

static void minimise(const struct swarm_options *from)
{
    struct swarm_options best = *from;
    struct swarm_result result, held;
    if (!still_fails(&best, &held)) {
        (void) printf("seed %llu does not fail\n", (unsigned long long) best.seed);
        return;
    }
    best.acts_max = held.acts;
    best.labs_max = held.labs;
    best.faults &= held.faults;
    for (unsigned fault = 0; fault < FAULT_COUNT; fault++) {
        struct swarm_options less = best;
        less.faults &= ~(1u << fault);
        if (less.faults != best.faults && still_fails(&less, &result)) {
            best = less;
            held = result;
        }
    }
    for (unsigned step = best.acts_max / 2; step > 0; step /= 2) {
        struct swarm_options less = best;
        less.acts_max -= step < less.acts_max ? step : 0;
        if (still_fails(&less, &result)) {
            best = less;
            held = result;
        }
    }
    while (best.labs_max > 2) {
        struct swarm_options less = best;
        less.labs_max--;
        if (!still_fails(&less, &result)) {
            break;
        }
        best = less;
        held = result;
    }
    failure_print(&best, &held);
    (void) printf("  fewest: --seed %llu --labs %u --acts %u --faults ",
                  (unsigned long long) best.seed, best.labs_max, best.acts_max);
    faults_print(best.faults);
    (void) printf("\n");
}

/* ---- a network that comes apart ---- */

static void split_seed(struct job *job, uint64_t seed)
{
    struct split_result result;
    job->split.seed = seed;
    double began = seconds_now();
    bool fine = split_live(&job->split, &result);
    job->lived++;
    job->failed += !fine;
    (void) printf("seed %llu %s: %u labs, %u h apart, %u times a lab was off, %u links lost, %u "
                  "publications: agreed %.1f min after healing (%.1f min at first), %u lost, %u "
                  "unclean%s%s (%.1f s)\n",
                  (unsigned long long) seed, fine ? "ok" : "failed", job->split.labs,
                  job->split.hours, result.offs, result.resets, result.published,
                  (double) result.healed_ms / 60000, (double) result.grown_ms / 60000, result.lost,
                  result.unclean, result.failure[0] != 0 ? ": " : "", result.failure,
                  seconds_now() - began);
}

/* ---- the command line ---- */

static bool faults_read(const char *text, unsigned *ret_faults)
{
    unsigned faults = 0;
    while (*text != 0) {
        size_t size = strcspn(text, ",");
        unsigned fault = 0;
        while (fault < FAULT_COUNT && (strlen(swarm_fault_name(fault)) != size ||
                                       strncmp(swarm_fault_name(fault), text, size) != 0)) {
            fault++;
        }
        if (fault < FAULT_COUNT) {
            faults |= 1u << fault;
        } else if (size != 4 || strncmp(text, "none", 4) != 0) {
            return false;
        }
        text += size + (text[size] == ',');
    }
    *ret_faults = faults;
    return true;
}

/* Lines: SEED [faults] # what it found */
static void file_live(struct job *job)
{
    FILE *file = fopen(job->file, "r");
    char line[512];
    if (file == NULL) {
        (void) fprintf(stderr, "%s: cannot be read\n", job->file);
        job->failed++;
        return;
    }
    while (fgets(line, sizeof line, file) != NULL && !(job->fail_fast && job->failed > 0)) {
        struct swarm_options options = job->options;
        char faults[256] = "";
        line[strcspn(line, "#\n")] = 0;
        unsigned long long seed = 0;
        int fields = sscanf(line, "%llu %255s", &seed, faults);
        if (fields < 1) {
            continue;
        }
        options.seed = seed;
        if (fields == 2 && !faults_read(faults, &options.faults)) {
            (void) fprintf(stderr, "%s: unknown fault: %s\n", job->file, faults);
            job->failed++;
            continue;
        }
        (void) seed_live(job, &options);
    }
    (void) fclose(file);
}

static bool option_read(struct job *job, const char *name, const char *value)
{
    uint64_t number = value == NULL ? 0 : strtoull(value, NULL, 10);
    if (strcmp(name, "--seed") == 0) {
        job->options.seed = number;
    } else if (strcmp(name, "--count") == 0) {
        job->count = number;
    } else if (strcmp(name, "--seconds") == 0) {
        job->seconds = (double) number;
    } else if (strcmp(name, "--every") == 0 && number > 0) {
        job->every = number;
    } else if (strcmp(name, "--until") == 0) {
        job->options.until_ms = number;
    } else if (strcmp(name, "--labs") == 0) {
        job->options.labs_max = (unsigned) number;
    } else if (strcmp(name, "--acts") == 0) {
        job->options.acts_max = (unsigned) number;
    } else if (strcmp(name, "--split") == 0) {
        job->split.labs = (unsigned) number;
    } else if (strcmp(name, "--hours") == 0) {
        job->split.hours = (unsigned) number;
    } else if (strcmp(name, "--file") == 0) {
        job->file = value;
    } else if (strcmp(name, "--faults") == 0) {
        return value != NULL && faults_read(value, &job->options.faults);
    } else {
        return false;
    }
    return value != NULL;
}

static bool options_read(struct job *job, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--twice") == 0) {
            job->twice = true;
        } else if (strcmp(argv[i], "--quiet") == 0) {
            job->quiet = true;
        } else if (strcmp(argv[i], "--fail-fast") == 0) {
            job->fail_fast = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            job->options.telling = true;
        } else if (strcmp(argv[i], "--grow") == 0) {
            job->split.grow = true;
        } else if (strcmp(argv[i], "--minimise") == 0) {
            job->minimise = true;
        } else if (option_read(job, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) {
            i++;
        } else {
            return false;
        }
    }
    return true;
}

/* `./dev test --long`: the sizes that are promised. */
static void lengthen(struct job *job)
{
    if (getenv("ESSAIM_LONG") == NULL) {
        return;
    }
    job->count = job->file == NULL && job->count > 1 ? 20000 : job->count;
    if (job->split.labs > 0) { /* five seeds of the whole size, from nothing */
        job->split.labs = 1000;
        job->split.grow = true;
        job->count = 5;
    }
}

int main(int argc, char **argv)
{
    struct job job = {.options = {.seed = 1, .faults = ALL_FAULTS},
                      .count = 1,
                      .every = 1,
                      .split = {.hours = 6}};
    if (!options_read(&job, argc, argv)) {
        (void) fprintf(stderr, "usage: essaim-sim [--seed S] [--count N] [--seconds T] [--twice] "
                               "[--every K] [--quiet] [--fail-fast]\n"
                               "       essaim-sim --file FILE\n"
                               "       essaim-sim --seed S [--trace] [--until MS] [--faults A,B] "
                               "[--labs N] [--acts N] [--minimise]\n"
                               "       essaim-sim --split LABS [--hours H] [--grow]\n");
        return 2;
    }
    lengthen(&job);
    if (job.minimise) {
        minimise(&job.options);
        return 0;
    }
    (void) signal(SIGABRT, aborted);
    double begin = seconds_now();
    uint64_t first = job.options.seed;
    if (job.file != NULL) {
        file_live(&job);
    }
    for (uint64_t seed = first; job.file == NULL && seed < first + job.count; seed++) {
        bool late = job.seconds > 0 && seconds_now() - begin > job.seconds;
        if (late || (job.fail_fast && job.failed > 0)) {
            break;
        }
        job.options.seed = seed;
        if (job.split.labs > 0) {
            split_seed(&job, seed);
        } else {
            (void) seed_live(&job, &job.options);
        }
    }
    (void) printf("%llu seeds in %.1f s, %llu failed\n", (unsigned long long) job.lived,
                  seconds_now() - begin, (unsigned long long) job.failed);
    return job.failed > 0;
}
