/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/power/disk.c: a disk that forgets.
 *
 * What a completed sync covers is durable and stands in `base`. Everything after it is pending: it
 * may survive or not, in any combination, each sector of it by itself. A write through O_DSYNC that
 * has completed survives; the op under way when power goes is pending like the others. Names change
 * in the order they were changed (a journal keeps that), and are durable, with all before them,
 * when their directory was synced; a file's sync says nothing of its name.
 */
#include "tests/power/power.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"

#define NAMES_MAX 8

struct file {
    uint8_t *bytes;
    size_t size, cap;
};

struct names {
    struct {
        char name[NAME_SIZE_MAX];
        unsigned file;
    } items[NAMES_MAX];
    unsigned count;
};

struct disk {
    const struct record *record;
    size_t at;
    struct file base[FILES_MAX];
    struct names names; /* durable ones */
    size_t *pending;    /* ops on files, not covered by a sync */
    size_t pending_count;
    size_t *renames; /* ops on names */
    size_t rename_count;
    struct file scratch; /* the file of an image being made */
};

struct disk *disk_new(const struct record *record)
{
    struct disk *disk = calloc(1, sizeof *disk);
    must(disk != NULL);
    disk->record = record;
    disk->pending = calloc(record->count + 1, sizeof *disk->pending);
    disk->renames = calloc(record->count + 1, sizeof *disk->renames);
    must(disk->pending != NULL);
    must(disk->renames != NULL);
    return disk;
}

void disk_free(struct disk *disk)
{
    for (unsigned i = 0; i < FILES_MAX; i++) {
        free(disk->base[i].bytes);
    }
    free(disk->scratch.bytes);
    free(disk->pending);
    free(disk->renames);
    free(disk);
}

/* ---- files ---- */

static void file_size(struct file *file, size_t size)
{
    if (size > file->cap) {
        file->cap = size * 2;
        file->bytes = realloc(file->bytes, file->cap);
        must(file->bytes != NULL);
    }
    if (size > file->size) {
        memset(file->bytes + file->size, 0, size - file->size);
    }
    file->size = size;
}

static void part_put(struct file *file, const struct op *op, size_t from, size_t size)
{
    size_t end = (size_t) op->offset + from + size;
    if (end > file->size) {
        file_size(file, end);
    }
    memcpy(file->bytes + op->offset + from, op->bytes + from, size);
}

static void op_put(struct file *file, const struct op *op)
{
    if (op->kind == OP_CUT) {
        file_size(file, (size_t) op->offset);
    } else {
        part_put(file, op, 0, op->size);
    }
}

/* Some sectors of a write: the first few, or any. */
static void op_tear(struct file *file, const struct op *op, bool in_order, uint64_t *dice)
{
    size_t first = SECTOR_SIZE - (size_t) (op->offset % SECTOR_SIZE); /* up to the next border */
    size_t sectors =
        1 + (op->size > first ? (op->size - first + SECTOR_SIZE - 1) / SECTOR_SIZE : 0);
    size_t keep = power_roll(dice) % (sectors + 1);
    size_t from = 0;
    for (size_t i = 0; i < sectors; i++) {
        size_t size = i == 0 ? first : SECTOR_SIZE;
        size = size < op->size - from ? size : op->size - from;
        if (in_order ? i < keep : power_roll(dice) % 2 == 0) {
            part_put(file, op, from, size);
        }
        from += size;
    }
}

/* ---- names ---- */

static void names_unlink(struct names *names, const char *name)
{
    for (unsigned i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].name, name) == 0) {
            names->items[i] = names->items[--names->count];
            return;
        }
    }
}

static void names_link(struct names *names, const char *name, unsigned file)
{
    names_unlink(names, name);
    must(names->count < NAMES_MAX);
    memcpy(names->items[names->count].name, name, NAME_SIZE_MAX);
    names->items[names->count++].file = file;
}

static void names_apply(struct names *names, const struct op *op)
{
    if (op->kind == OP_MAKE) {
        names_link(names, op->name, op->file);
        return;
    }
    if (op->kind == OP_UNLINK) {
        names_unlink(names, op->name);
        return;
    }
    for (unsigned i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].name, op->name) == 0) {
            unsigned file = names->items[i].file;
            names_unlink(names, op->name);
            names_link(names, op->other, file);
            return;
        }
    }
    must(names == NULL); /* a name that was never made is renamed */
}

/* ---- time goes on ---- */

static void file_sync(struct disk *disk, unsigned file)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk->pending_count; i++) {
        const struct op *op = &disk->record->ops[disk->pending[i]];
        if (op->file == file) {
            op_put(&disk->base[file], op);
        } else {
            disk->pending[kept++] = disk->pending[i];
        }
    }
    disk->pending_count = kept;
}

static bool name_in(const char *name, const char *dir)
{
    size_t size = strlen(dir);
    const char *rest = size == 0 ? name : name + size + 1;
    return (size == 0 || (strncmp(name, dir, size) == 0 && name[size] == '/')) &&
           strchr(rest, '/') == NULL;
}

static void names_sync(struct disk *disk, const char *dir)
{
    size_t durable = 0;
    for (size_t i = 0; i < disk->rename_count; i++) {
        const struct op *op = &disk->record->ops[disk->renames[i]];
        bool of_dir = name_in(op->name, dir) || (op->kind == OP_RENAME && name_in(op->other, dir));
        durable = of_dir ? i + 1 : durable;
    }
    for (size_t i = 0; i < durable; i++) {
        names_apply(&disk->names, &disk->record->ops[disk->renames[i]]);
    }
    disk->rename_count -= durable;
    memmove(disk->renames, disk->renames + durable, disk->rename_count * sizeof *disk->renames);
}

static void op_complete(struct disk *disk, size_t at)
{
    const struct op *op = &disk->record->ops[at];
    switch (op->kind) {
    case OP_MAKE:
    case OP_RENAME:
    case OP_UNLINK:
        disk->renames[disk->rename_count++] = at;
        break;
    case OP_DIR_SYNC:
        names_sync(disk, op->name);
        break;
    case OP_WRITE:
    case OP_CUT:
        disk->pending[disk->pending_count++] = at;
        break;
    case OP_SYNC:
        file_sync(disk, op->file);
        break;
    case OP_MARK:
        break;
    }
}

void disk_advance(struct disk *disk, size_t at)
{
    must(at >= disk->at && at <= disk->record->count);
    while (disk->at < at) {
        op_complete(disk, disk->at++);
    }
}

/* ---- power goes ---- */

/* What the choice leaves of one file. */
static void file_image(const struct disk *disk, const struct choice *choice, unsigned number,
                       struct file *into)
{
    uint64_t dice = choice->dice + number;
    const struct file *base = &disk->base[number];
    into->size = 0;
    file_size(into, base->size);
    if (base->size > 0) {
        memcpy(into->bytes, base->bytes, base->size);
    }
    const struct op *last = disk->at < disk->record->count ? &disk->record->ops[disk->at] : NULL;
    bool under_way = last != NULL && (last->kind == OP_WRITE || last->kind == OP_CUT);
    size_t count = disk->pending_count + under_way;
    size_t prefix = power_roll(&dice) % (count + 1);
    uint64_t of_four = power_roll(&dice) % 5; /* how many in four survive */
    for (size_t i = 0; i < count; i++) {
        bool is_last = i == disk->pending_count;
        const struct op *op = is_last ? last : &disk->record->ops[disk->pending[i]];
        if (op->file != number) {
            continue;
        }
        bool in_order = choice->lossy == LOSSY_PREFIX;
        bool survives = in_order ? i < prefix : power_roll(&dice) % 4 < of_four;
        bool edge = in_order && i == prefix; /* in order, only the first one lost can be torn */
        if (op->sure && !is_last) {
            op_put(into, op);
        } else if (choice->torn && op->kind == OP_WRITE && (edge || (!in_order && !survives))) {
            op_tear(into, op, in_order, &dice);
        } else if (survives) {
            op_put(into, op);
        }
    }
}

static void names_image(const struct disk *disk, const struct choice *choice,
                        struct names *ret_names)
{
    uint64_t dice = ~choice->dice;
    *ret_names = disk->names;
    const struct op *last = disk->at < disk->record->count ? &disk->record->ops[disk->at] : NULL;
    bool under_way = last != NULL &&
                     (last->kind == OP_MAKE || last->kind == OP_RENAME || last->kind == OP_UNLINK);
    size_t count = disk->rename_count + under_way;
    size_t prefix = power_roll(&dice) % (count + 1);
    for (size_t i = 0; i < prefix; i++) {
        bool is_last = i == disk->rename_count;
        names_apply(ret_names, is_last ? last : &disk->record->ops[disk->renames[i]]);
    }
}

static void file_write(const char *path, const struct file *file)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0);
    must(ftruncate(fd, (off_t) file->size) == 0);
    must(file->size == 0 || pwrite(fd, file->bytes, file->size, 0) == (ssize_t) file->size);
    must(close(fd) == 0);
}

/* What an earlier image had goes, but for the file that all have: it is overwritten. */
static void dir_clean(const char *path)
{
    DIR *dir = opendir(path);
    must(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, "data.mdb") == 0 || name[0] == '.' || unlinkat(dirfd(dir), name, 0) == 0) {
            continue;
        }
        char inner[512], file[600];
        static const char *const files[] = {"data.mdb", "lock.mdb", "new.mdb", "new.mdb-lock"};
        must(snprintf(inner, sizeof inner, "%s/%s", path, name) < (int) sizeof inner);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            (void) snprintf(file, sizeof file, "%s/%s", inner, files[i]);
            (void) unlink(file);
        }
        must(rmdir(inner) == 0);
    }
    must(closedir(dir) == 0);
}

void disk_image(struct disk *disk, const struct choice *choice, const char *dir)
{
    struct names names;
    char path[512];
    bool has_data = false;
    names_image(disk, choice, &names);
    dir_clean(dir);
    for (unsigned pass = 0; pass < 2; pass++) { /* directories first */
        for (unsigned i = 0; i < names.count; i++) {
            const char *name = names.items[i].name;
            bool is_dir = names.items[i].file == NO_FILE;
            must(snprintf(path, sizeof path, "%s/%s", dir, name) < (int) sizeof path);
            if (pass == 0 && is_dir) {
                must(mkdir(path, 0700) == 0);
            } else if (pass == 1 && !is_dir) {
                has_data = has_data || strcmp(name, "data.mdb") == 0;
                file_image(disk, choice, names.items[i].file, &disk->scratch);
                file_write(path, &disk->scratch);
            }
        }
    }
    must(snprintf(path, sizeof path, "%s/data.mdb", dir) < (int) sizeof path);
    must(has_data || unlink(path) == 0 || errno == ENOENT);
}
