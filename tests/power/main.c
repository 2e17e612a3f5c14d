/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/power/main.c: every moment of a recorded life, several choices each, in forked checkers.
 *
 *     power_loss [--images N] [--control N] [--seed S] [--workers W]
 *     power_loss --seed S --image I --keep DIR      leaves that one image in DIR, and its verdict
 *
 * Prints TAP. Image I of seed S is the same on every machine. A checker that dies is a failure of
 * its image like any other; another goes on behind it.
 */
#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "base/must.h"
#include "tests/power/power.h"

#define IMAGES_CI 10000
#define IMAGES_SLOW 1500 /* under sanitizers */
#define IMAGES_LONG 100000
#define CONTROL_IMAGES 1000
#define WORKERS_MAX 16
#define TOLD_MAX 5
#define CHOICES (LOSSY_COUNT * 2)

/* One worker's results, shared with the parent. */
struct tally {
    atomic_size_t next; /* the image under way */
    size_t verdicts[VERDICT_COUNT];
    size_t crashed;
    unsigned told;
};

struct run {
    uint64_t seed;
    bool sync;
    size_t images;
    unsigned workers;
    struct record record;
    uint8_t (*marks)[DIGEST_SIZE];
    size_t mark_count;
    char dir[200];
    struct tally *tallies; /* one a worker */
};

static const char *const verdict_names[VERDICT_COUNT] = {
    [VERDICT_FINE] = "fine", [VERDICT_LOST] = "lost", [VERDICT_CORRUPT] = "corrupt"};

/* ---- the record ---- */

static void path_put(char into[256], const struct run *run, const char *name)
{
    must(snprintf(into, 256, "%s/%s", run->dir, name) < 256);
}

static void dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        (void) unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL) {
        (void) closedir(dir);
    }
    (void) rmdir(path);
}

static void run_record(struct run *run)
{
    char path[256];
    const char *top = getenv("ESSAIM_SIM_DIR");
    must(snprintf(run->dir, sizeof run->dir, "%.150s/essaim-power-XXXXXX",
                  top != NULL ? top : "/dev/shm") < (int) sizeof run->dir);
    must(mkdtemp(run->dir) != NULL);
    path_put(path, run, "life");
    must(mkdir(path, 0700) == 0);
    record_start(&run->record, path);
    life_run(path, run->seed, run->sync);
    record_stop();
    dir_remove(path);
    run->marks = calloc(run->record.count, sizeof *run->marks);
    must(run->marks != NULL);
    for (size_t i = 0; i < run->record.count; i++) {
        if (run->record.ops[i].kind == OP_MARK) {
            memcpy(run->marks[run->mark_count++], run->record.ops[i].bytes, DIGEST_SIZE);
        }
    }
    must(run->mark_count > 1);
}

static void run_done(struct run *run)
{
    record_done(&run->record);
    free(run->marks);
    (void) rmdir(run->dir);
}

/* ---- images ---- */

/* Image `number` is a moment and a choice. */
static size_t image_at(const struct run *run, size_t number)
{
    size_t each = run->images / (run->record.count + 1);
    if (each == 0) { /* fewer images than moments: spread */
        return number * (run->record.count + 1) / run->images;
    }
    return number / each < run->record.count ? number / each : run->record.count;
}

static struct choice image_choice(const struct run *run, size_t number)
{
    struct choice choice = {.dice = run->seed ^ (number + 1) * 0x9e3779b97f4a7c15u};
    uint64_t kind = number % CHOICES;
    choice.lossy = kind / 2 == 0 ? LOSSY_PREFIX : LOSSY_SUBSET;
    choice.torn = kind % 2 == 1;
    return choice;
}

static enum verdict image_check(const struct run *run, struct disk *disk, size_t number,
                                size_t *marks_passed, size_t *ops_passed, const char *dir,
                                const char **ret_why)
{
    size_t at = image_at(run, number);
    struct choice choice = image_choice(run, number);
    for (; *ops_passed < at; (*ops_passed)++) {
        *marks_passed += run->record.ops[*ops_passed].kind == OP_MARK;
    }
    size_t passed = *marks_passed;
    size_t first = passed > 0 ? passed - 1 : 0;
    size_t end = passed < run->mark_count ? passed + 1 : passed;
    struct expected expected = {
        .held = (const uint8_t(*)[DIGEST_SIZE]) run->marks + first,
        .held_count = end - first,
        .older = (const uint8_t(*)[DIGEST_SIZE]) run->marks,
        .older_count = first,
        .thorough = number % 4 == 3,
    };
    disk_advance(disk, at);
    disk_image(disk, &choice, dir);
    return check_image(dir, &expected, ret_why);
}

static void worker(const struct run *run, unsigned number)
{
    struct tally *tally = &run->tallies[number];
    char dir[256], name[32];
    must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    (void) snprintf(name, sizeof name, "image-%u", number);
    path_put(dir, run, name);
    (void) mkdir(dir, 0700);
    if (!run->sync) { /* LMDB and the sanitizers have much to say of such images */
        must(freopen("/dev/null", "w", stderr) != NULL);
    }
    struct disk *disk = disk_new(&run->record);
    size_t marks_passed = 0, ops_passed = 0;
    for (size_t i = atomic_load(&tally->next); i < run->images; i += run->workers) {
        const char *why = "";
        atomic_store(&tally->next, i);
        enum verdict verdict = image_check(run, disk, i, &marks_passed, &ops_passed, dir, &why);
        tally->verdicts[verdict]++;
        if (verdict != VERDICT_FINE && run->sync && tally->told++ < TOLD_MAX) {
            (void) printf("# seed %llu, image %zu (op %zu): %s: %s\n",
                          (unsigned long long) run->seed, i, image_at(run, i),
                          verdict_names[verdict], why);
        }
    }
    disk_free(disk);
    dir_remove(dir);
    (void) fflush(stdout);
    _exit(0);
}

static pid_t worker_start(const struct run *run, unsigned number)
{
    (void) fflush(stdout);
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        worker(run, number);
    }
    return pid;
}

static void run_images(struct run *run)
{
    pid_t pids[WORKERS_MAX];
    run->tallies = mmap(NULL, WORKERS_MAX * sizeof *run->tallies, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(run->tallies != MAP_FAILED);
    for (unsigned i = 0; i < run->workers; i++) {
        atomic_store(&run->tallies[i].next, i);
        pids[i] = worker_start(run, i);
    }
    for (unsigned left = run->workers; left > 0;) {
        int status = 0;
        pid_t pid = wait(&status);
        must(pid > 0);
        for (unsigned i = 0; i < run->workers; i++) {
            if (pids[i] != pid) {
                continue;
            }
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
                left--;
                break;
            }
            size_t image = atomic_load(&run->tallies[i].next);
            if (run->sync) {
                (void) printf("# seed %llu, image %zu (op %zu): the checker died (status %d)\n",
                              (unsigned long long) run->seed, image, image_at(run, image), status);
            }
            run->tallies[i].crashed++;
            atomic_store(&run->tallies[i].next, image + run->workers);
            pids[i] = worker_start(run, i);
            break;
        }
    }
}

static struct tally run_sum(const struct run *run)
{
    struct tally sum = {0};
    for (unsigned i = 0; i < run->workers; i++) {
        for (unsigned verdict = 0; verdict < VERDICT_COUNT; verdict++) {
            sum.verdicts[verdict] += run->tallies[i].verdicts[verdict];
        }
        sum.crashed += run->tallies[i].crashed;
    }
    return sum;
}

static struct tally run_all(struct run *run)
{
    struct timespec began, ended;
    (void) clock_gettime(CLOCK_MONOTONIC, &began);
    run_record(run);
    run_images(run);
    (void) clock_gettime(CLOCK_MONOTONIC, &ended);
    struct tally sum = run_sum(run);
    (void) printf("# seed %llu, %zu commits, %zu moments, %zu images: %zu lost, %zu corrupt, %zu "
                  "crashed, %.1f s\n",
                  (unsigned long long) run->seed, run->mark_count, run->record.count, run->images,
                  sum.verdicts[VERDICT_LOST], sum.verdicts[VERDICT_CORRUPT], sum.crashed,
                  (double) (ended.tv_sec - began.tv_sec) +
                      (double) (ended.tv_nsec - began.tv_nsec) / 1e9);
    run_done(run);
    return sum;
}

/* ---- one image, to look at ---- */

static int run_one(struct run *run, size_t number, const char *keep)
{
    const char *why = "";
    size_t marks_passed = 0, ops_passed = 0;
    run_record(run);
    struct disk *disk = disk_new(&run->record);
    (void) mkdir(keep, 0700);
    enum verdict verdict = image_check(run, disk, number, &marks_passed, &ops_passed, keep, &why);
    struct choice choice = image_choice(run, number);
    disk_image(disk, &choice, keep); /* the check wrote to it */
    (void) printf("image %zu at op %zu of %zu, %s%s: %s %s\n", number, image_at(run, number),
                  run->record.count, choice.lossy == LOSSY_PREFIX ? "in order" : "reordered",
                  choice.torn ? ", torn" : "", verdict_names[verdict], why);
    disk_free(disk);
    run_done(run);
    return verdict != VERDICT_FINE;
}

static size_t images_usual(void)
{
    if (getenv("ESSAIM_LONG") != NULL) {
        return IMAGES_LONG;
    }
    const char *slow = getenv("ESSAIM_SANITIZED");
    return slow != NULL && slow[0] != '\0' ? IMAGES_SLOW : IMAGES_CI;
}

static uint64_t seed_usual(void)
{
    uint32_t seed = 0;
    const char *given = getenv("ESSAIM_SEED");
    if (given != NULL) {
        return strtoull(given, NULL, 10);
    }
    must(getrandom(&seed, sizeof seed, 0) == sizeof seed);
    return seed;
}

int main(int argc, char **argv)
{
    struct run run = {.seed = seed_usual(), .sync = true, .images = images_usual(), .workers = 1};
    size_t control = CONTROL_IMAGES, one = 0;
    const char *keep = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        keep = strcmp(argv[i], "--keep") == 0 ? value : keep;
        run.seed = strcmp(argv[i], "--seed") == 0 ? strtoull(value, NULL, 10) : run.seed;
        run.images = strcmp(argv[i], "--images") == 0 ? strtoul(value, NULL, 10) : run.images;
        run.workers =
            strcmp(argv[i], "--workers") == 0 ? (unsigned) strtoul(value, NULL, 10) : run.workers;
        control = strcmp(argv[i], "--control") == 0 ? strtoul(value, NULL, 10) : control;
        one = strcmp(argv[i], "--image") == 0 ? strtoul(value, NULL, 10) : one;
    }
    must(sodium_init() >= 0);
    must(run.workers > 0 && run.workers <= WORKERS_MAX);
    if (keep != NULL) {
        return run_one(&run, one, keep);
    }
    struct run other = {.seed = run.seed, .sync = false, .images = control, .workers = run.workers};
    struct tally sum = run_all(&run);
    bool well = sum.verdicts[VERDICT_FINE] == run.images;
    (void) printf("%sok 1 - power that goes at any moment loses nothing acknowledged and breaks "
                  "nothing\n",
                  well ? "" : "not ");
    sum = run_all(&other);
    bool seen = sum.verdicts[VERDICT_FINE] < control / 2;
    (void) printf("%sok 2 - the same life without syncing is seen to lose, more often than not\n",
                  seen ? "" : "not ");
    (void) printf("1..2\n");
    return well && seen ? 0 : 1;
}
