/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/power/power.h: what a power cut may leave of a store (promise D2).
 *
 *   life.c    the real store/ lives a seeded life in a scratch directory; after every commit that
 *             was acknowledged, a MARK with the digest of all that the store holds
 *   record.c  this program's own write, pwrite, fdatasync, rename … stand before libc's and note
 *             what reaches the disk, in order
 *   disk.c    a disk that forgets: for a moment in the record, what is durable, and any subset of
 *             what is not, torn by sectors where chance wants it
 *   check.c   opens such an image with the real store: it must hold exactly what the last mark
 *             says, or the one after it (the commit under way may have made it), scrub clean,
 *             account for every page, and take another commit
 *   main.c    every moment, many choices each, in forked checkers; and the control: the same life
 *             without syncing must be seen to lose
 */
#ifndef ESSAIM_TESTS_POWER_H
#define ESSAIM_TESTS_POWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

#define SECTOR_SIZE 512
#define DIGEST_SIZE 16
#define NAME_SIZE_MAX 48  /* of a path from the recorded directory on */
#define FILES_MAX 64      /* made in one record */
#define NO_FILE FILES_MAX /* a directory */

enum op_kind {
    OP_MAKE,     /* file appears as name; NO_FILE: a directory does */
    OP_RENAME,   /* name becomes other */
    OP_UNLINK,   /* name goes */
    OP_DIR_SYNC, /* what happened to the names of directory `name` is durable, "" = the recorded */
    OP_WRITE,    /* bytes at offset of file; `sure`: through O_DSYNC */
    OP_CUT,      /* file has size `offset` from now on */
    OP_SYNC,     /* file is durable */
    OP_MARK,     /* a commit was acknowledged; the store's digest is `bytes` */
};

struct op {
    enum op_kind kind;
    unsigned file;
    bool sure;
    uint64_t offset;
    size_t size;
    uint8_t *bytes;
    char name[NAME_SIZE_MAX], other[NAME_SIZE_MAX];
};

struct record {
    struct op *ops;
    size_t count, cap;
    unsigned files;
};

/* ---- record.c ---- */
/* Notes what happens to the files of `dir` (but lock.mdb, which a start makes anew), until stopped.
 * One record at a time. */
void record_start(struct record *record, const char *dir);
void record_stop(void);
void record_mark(const uint8_t digest[DIGEST_SIZE]);
void record_done(struct record *record);

/* ---- life.c ---- */
/* Lives in `dir`, which is there and empty and being recorded. With `sync` false nothing is ever
 * synced: the control. */
void life_run(const char *dir, uint64_t seed, bool sync);

/* ---- disk.c ---- */
struct disk;
struct disk *disk_new(const struct record *record);
void disk_free(struct disk *disk);
/* Ops 0 … at - 1 have completed. Forward only. */
void disk_advance(struct disk *disk, size_t at);

enum lossy { LOSSY_PREFIX, LOSSY_SUBSET, LOSSY_COUNT };
struct choice {
    enum lossy lossy; /* what is not durable survives up to some moment, or any of it does */
    bool torn;        /* writes may survive in part, sector by sector */
    uint64_t dice;    /* seeds the rest */
};
/* Writes into `dir` what this choice leaves when power goes while op `at` is under way. */
void disk_image(struct disk *disk, const struct choice *choice, const char *dir);

/* ---- check.c ---- */
enum verdict { VERDICT_FINE, VERDICT_LOST, VERDICT_CORRUPT, VERDICT_COUNT };
/* `held`: the digests that the image may have, `older`: those of earlier marks, for the verdict
 * alone. `thorough`: it must take another commit, too. ret_why: static English text. */
struct expected {
    const uint8_t (*held)[DIGEST_SIZE];
    size_t held_count;
    const uint8_t (*older)[DIGEST_SIZE];
    size_t older_count;
    bool thorough;
};
struct store_options check_options(void);
/* Of every row of every table; false when a table cannot be walked. */
bool check_digest(struct store *store, uint8_t ret_digest[DIGEST_SIZE]);
enum verdict check_image(const char *dir, const struct expected *expected, const char **ret_why);

/* splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t power_roll(uint64_t *dice)
{
    uint64_t mixed = (*dice += 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

#endif
