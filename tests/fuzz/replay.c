/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/replay.c: a fuzz target as an ordinary test: replay RUNS DIR…
 *
 * Every file of the directories goes through the target, then RUNS inputs of seeded dice, and the
 * empty one. One TAP line a directory. It fails as a target does: it aborts, and what was fed last
 * is named on stderr.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/defer.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_SIZE_MAX (1 << 20)
#define DICE_SIZE_MAX 600

static char path[4096];

static void on_abort(int number)
{
    (void) !write(STDERR_FILENO, path, strlen(path));
    (void) !write(STDERR_FILENO, "\n", 1);
    (void) signal(number, SIG_DFL);
    (void) raise(number);
}

static void feed(struct bytes input)
{
    uint8_t *copy = fuzz_copy(input);
    (void) LLVMFuzzerTestOneInput(copy, input.size);
    free(copy);
}

static void feed_file(void)
{
    static uint8_t input[INPUT_SIZE_MAX];
    FILE *file = fopen(path, "rb");
    must(file != NULL);
    size_t size = fread(input, 1, sizeof input, file);
    (void) fclose(file);
    feed(bytes_of(input, size));
}

static int visible(const struct dirent *item)
{
    return item->d_name[0] != '.';
}

/* Number of files. */
static unsigned feed_directory(const char *directory)
{
    struct dirent **items = NULL;
    int count = scandir(directory, &items, visible, alphasort);
    for (int i = 0; i < count; i++) {
        (void) snprintf(path, sizeof path, "%s/%s", directory, items[i]->d_name);
        feed_file();
        free(items[i]);
    }
    free(items);
    return count < 0 ? 0 : (unsigned) count;
}

static void feed_dice(unsigned runs)
{
    uint8_t dice[DICE_SIZE_MAX + 2];
    for (unsigned run = 0; run < runs; run++) {
        (void) snprintf(path, sizeof path, "dice %u", run);
        fuzz_fill(dice, sizeof dice, run);
        feed(bytes_of(dice + 2, be16_get(dice) % DICE_SIZE_MAX));
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void) fprintf(stderr, "usage: %s RUNS DIR…\n", argv[0]);
        return 2;
    }
    (void) signal(SIGABRT, on_abort);
    (void) printf("1..%d\n", argc - 1);
    (void) snprintf(path, sizeof path, "the empty input");
    feed(bytes_of(NULL, 0));
    for (int i = 2; i < argc; i++) {
        unsigned count = feed_directory(argv[i]);
        (void) printf("ok %d - the %u inputs of %s\n", i - 1, count, argv[i]);
    }
    unsigned runs = (unsigned) strtoul(argv[1], NULL, 10);
    feed_dice(runs);
    (void) printf("ok %d - %u inputs of dice\n", argc - 1, runs);
    return 0;
}
