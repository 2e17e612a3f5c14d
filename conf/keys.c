/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/keys.c: see keys.h.
 *
 * Creating: open the directory, refuse if any of the four files is there, draw three seeds, sign
 * the record, write file by file with O_EXCL and fsync. Loading: open the directory and each file
 * without following a link, look at what was opened (never at the name), read, compare with the
 * record. Fails as keys.h says; a failed creation removes what it made. Secrets live in guarded
 * memory and are wiped on every way out.
 */
#include "conf/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/utf8.h"
#include "proto/lab.h"

#define KEY_PREFIX "essaim-key-1 "
#define KEY_LINE_MAX 128

static const char *const file_names[] = {"root.key", "signing.key", "link.key", "lab.record"};

static void fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void) close(*fd);
    }
}

static void secret_free(uint8_t **secret)
{
    sodium_free(*secret);
}

static enum err err_of_errno(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case ENOMEM:
        return ERR_NOMEM;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case ENOENT:
    case ELOOP:
    case ENOTDIR:
        return ERR_KEY;
    default:
        return ERR_IO;
    }
}

static enum err write_all(int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t done = write(fd, bytes.data, bytes.size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return err_of_errno(errno);
        }
        bytes = bytes_of(bytes.data + done, bytes.size - (size_t) done);
    }
    return fsync(fd) == 0 ? ERR_OK : err_of_errno(errno);
}

static enum err file_create(int dir_fd, const char *name, struct bytes bytes)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    defer(fd_close) int fd = openat(dir_fd, name, flags, 0600);
    if (fd < 0) {
        return err_of_errno(errno);
    }
    enum err err = fchmod(fd, 0600) == 0 ? ERR_OK : err_of_errno(errno); /* whatever the umask */
    if (err == ERR_OK) {
        err = write_all(fd, bytes);
    }
    if (err != ERR_OK) {
        (void) unlinkat(dir_fd, name, 0);
    }
    return err;
}

static enum err key_create(int dir_fd, const char *name, const char *type, const uint8_t *seed)
{
    char line[KEY_LINE_MAX];
    char hex[2 * SIGN_SEED_SIZE + 1];
    (void) sodium_bin2hex(hex, sizeof hex, seed, SIGN_SEED_SIZE);
    int size = snprintf(line, sizeof line, KEY_PREFIX "%s %s\n", type, hex);
    must(size > 0 && (size_t) size < sizeof line);
    enum err err = file_create(dir_fd, name, bytes_of(line, (size_t) size));
    sodium_memzero(line, sizeof line);
    sodium_memzero(hex, sizeof hex);
    return err;
}

/* Opens DIR, made if need be. An existing one must be ours; one that is open to others is closed
 * to them only when nothing of ours can have leaked from it: it holds no key yet. */
static enum err dir_open_new(const char *dir, bool *ret_made, int *ret_fd)
{
    bool made = mkdir(dir, 0700) == 0;
    if (!made && errno != EEXIST) {
        return errno == ENOENT ? ERR_NOT_FOUND : err_of_errno(errno);
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_of_errno(errno);
    }
    struct stat seen;
    if (fstat(fd, &seen) != 0 || seen.st_uid != geteuid()) {
        (void) close(fd);
        return ERR_KEY;
    }
    for (size_t i = 0; i < sizeof file_names / sizeof file_names[0]; i++) {
        struct stat file;
        if (fstatat(fd, file_names[i], &file, AT_SYMLINK_NOFOLLOW) == 0) {
            (void) close(fd);
            return ERR_EXISTS;
        }
    }
    if (fchmod(fd, 0700) != 0) {
        (void) close(fd);
        return ERR_KEY;
    }
    *ret_made = made;
    *ret_fd = fd;
    return ERR_OK;
}

/* seeds: root, signing, link; SIGN_SEED_SIZE each. */
static enum err record_make(const uint8_t *seeds, const char *name, uint64_t now_s,
                            struct buf *record, struct lab_id *ret_lab)
{
    struct lab_record fields = {
        .generation = 1,
        .name = bytes_of_str(name),
        .issued_at = now_s,
    };
    uint8_t root_secret[SIGN_SECRET_SIZE];
    uint8_t signing_secret[SIGN_SECRET_SIZE];
    sign_keypair(seeds, fields.lab.bytes, root_secret);
    sign_keypair(seeds + SIGN_SEED_SIZE, fields.signing_pk, signing_secret);
    sodium_memzero(signing_secret, sizeof signing_secret);
    enum err err = link_public(seeds + 2 * (size_t) SIGN_SEED_SIZE, fields.link_pk);
    if (err == ERR_OK) {
        err = lab_record_sign(&fields, root_secret, record);
    }
    sodium_memzero(root_secret, sizeof root_secret);
    if (err == ERR_OK) {
        err = record->err;
    }
    if (err == ERR_OK) {
        *ret_lab = fields.lab;
    }
    return err;
}

static enum err files_create(int dir_fd, const uint8_t *seeds, struct bytes record)
{
    static const char *const types[] = {"root", "signing", "link"};
    enum err err = ERR_OK;
    size_t made = 0;
    for (; made < 3 && err == ERR_OK; made++) {
        err = key_create(dir_fd, file_names[made], types[made], seeds + made * SIGN_SEED_SIZE);
    }
    if (err == ERR_OK) { /* last: with it the set is complete */
        err = file_create(dir_fd, file_names[3], record);
    }
    if (err == ERR_OK && fsync(dir_fd) != 0) {
        err = err_of_errno(errno);
        made = 4;
    }
    if (err == ERR_OK) {
        return ERR_OK;
    }
    for (size_t i = 0; i < made && err != ERR_EXISTS; i++) {
        (void) unlinkat(dir_fd, file_names[i], 0);
    }
    return err;
}

enum err keys_create(const char *dir, const char *name, uint64_t now_s, struct lab_id *ret_lab)
{
    struct bytes text = bytes_of_str(name);
    if (text.size == 0 || text.size > LAB_NAME_SIZE_MAX || !utf8_valid_line(text)) {
        return ERR_INVALID;
    }
    if (sodium_init() < 0) {
        return ERR_INTERNAL;
    }
    defer(secret_free) uint8_t *seeds = sodium_malloc(3 * (size_t) SIGN_SEED_SIZE);
    if (seeds == NULL) {
        return ERR_NOMEM;
    }
    bool made = false;
    defer(fd_close) int dir_fd = -1;
    enum err err = dir_open_new(dir, &made, &dir_fd);
    if (err != ERR_OK) {
        return err;
    }
    randombytes_buf(seeds, 3 * (size_t) SIGN_SEED_SIZE);
    defer(buf_done) struct buf record = {0};
    struct lab_id lab;
    err = record_make(seeds, name, now_s, &record, &lab);
    if (err == ERR_OK) {
        err = files_create(dir_fd, seeds, buf_bytes(&record));
    }
    if (err != ERR_OK) {
        if (made) {
            (void) rmdir(dir);
        }
        return err;
    }
    *ret_lab = lab;
    return ERR_OK;
}

/* ---- loading ---- */

/* What one load works on: for the sentences. */
struct load {
    const char *dir;
    int dir_fd;
    struct say *say;
};

static enum err refuse(const struct load *load, const char *name, const char *cause,
                       const char *next)
{
    say_set(load->say, "%s/%s: %s; %s", load->dir, name, cause, next);
    return ERR_KEY;
}

static enum err refuse_errno(const struct load *load, const char *name, int code)
{
    if (code == ELOOP) {
        return refuse(load, name, "is a symbolic link", "put the file itself there");
    }
    if (code == ENOENT) {
        return refuse(load, name, "is missing", "restore it, or make a lab with: essaim init");
    }
    say_set(load->say, "%s/%s: %s; check the file and who owns it", load->dir, name,
            strerrordesc_np(code));
    return err_of_errno(code);
}

/* Judges what is open, not its name, so that nothing can be swapped in between. `closed`: the mode
 * bits that must not be set. */
static enum err stat_check(const struct load *load, const char *name, const struct stat *seen,
                           mode_t closed)
{
    if (!S_ISREG(seen->st_mode)) {
        return refuse(load, name, "is not a regular file", "put the file itself there");
    }
    if (seen->st_uid != geteuid()) {
        return refuse(load, name, "belongs to another user",
                      "chown it to the user the daemon runs as");
    }
    if ((seen->st_mode & closed) != 0) {
        return refuse(load, name, "is open to others",
                      "chmod 0600 it, and make new keys if others may have read it");
    }
    return ERR_OK;
}

/* Reads at most size_max bytes of a small file; more is refused. */
static enum err file_read(const struct load *load, const char *name, mode_t closed, uint8_t *into,
                          size_t size_max, size_t *ret_size)
{
    /* O_NONBLOCK: a FIFO under that name must be refused, not waited for. */
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    defer(fd_close) int fd = openat(load->dir_fd, name, flags);
    struct stat seen;
    if (fd < 0 || fstat(fd, &seen) != 0) {
        return refuse_errno(load, name, errno);
    }
    enum err err = stat_check(load, name, &seen, closed);
    if (err != ERR_OK) {
        return err;
    }
    size_t size = 0;
    ssize_t got = 1;
    while (size < size_max && got != 0) {
        got = read(fd, into + size, size_max - size);
        if (got < 0 && errno != EINTR) {
            return refuse_errno(load, name, errno);
        }
        size += got > 0 ? (size_t) got : 0;
    }
    if (size == size_max) {
        return refuse(load, name, "is too long", "restore the file as essaim init made it");
    }
    *ret_size = size;
    return ERR_OK;
}

/* "essaim-key-1 TYPE HEX\n", nothing else. */
static bool line_decode(const char *line, size_t size, const char *type, uint8_t *ret_seed)
{
    char head[KEY_LINE_MAX];
    int head_size = snprintf(head, sizeof head, KEY_PREFIX "%s ", type);
    must(head_size > 0 && (size_t) head_size < sizeof head);
    size_t hex_at = (size_t) head_size;
    size_t hex_size = 2 * (size_t) SIGN_SEED_SIZE;
    if (size != hex_at + hex_size + 1 || memcmp(line, head, hex_at) != 0 ||
        line[size - 1] != '\n') {
        return false;
    }
    size_t bin_size = 0;
    const char *end = NULL;
    int failed =
        sodium_hex2bin(ret_seed, SIGN_SEED_SIZE, line + hex_at, hex_size, NULL, &bin_size, &end);
    return failed == 0 && bin_size == SIGN_SEED_SIZE && end == line + hex_at + hex_size;
}

static enum err key_read(const struct load *load, const char *name, const char *type,
                         uint8_t *ret_seed)
{
    defer(secret_free) uint8_t *line = sodium_malloc(KEY_LINE_MAX);
    if (line == NULL) {
        return ERR_NOMEM;
    }
    size_t size = 0;
    enum err err = file_read(load, name, S_IRWXG | S_IRWXO, line, KEY_LINE_MAX, &size);
    if (err != ERR_OK) {
        return err;
    }
    if (!line_decode((const char *) line, size, type, ret_seed)) {
        return refuse(load, name, "is not a key of this kind",
                      "restore the file as essaim init made it");
    }
    return ERR_OK;
}

static enum err record_read(const struct load *load, struct keys *keys,
                            struct lab_record *ret_record)
{
    uint8_t *into = buf_extend(&keys->record, RECORD_SIZE_MAX + 1);
    if (into == NULL) {
        return keys->record.err;
    }
    size_t size = 0;
    enum err err =
        file_read(load, "lab.record", S_IWGRP | S_IWOTH, into, RECORD_SIZE_MAX + 1, &size);
    if (err != ERR_OK) {
        return err;
    }
    keys->record.size = size;
    if (lab_record_open(buf_bytes(&keys->record), ret_record) != ERR_OK) {
        return refuse(load, "lab.record", "is not a lab record its root key signed",
                      "restore the file as it was made");
    }
    keys->lab = ret_record->lab;
    keys->generation = ret_record->generation;
    return ERR_OK;
}

static enum err keys_read(const struct load *load, struct keys *keys)
{
    struct lab_record record;
    enum err err = record_read(load, keys, &record);
    if (err != ERR_OK) {
        return err;
    }
    defer(secret_free) uint8_t *seed = sodium_malloc(SIGN_SEED_SIZE);
    keys->signing_secret = sodium_malloc(SIGN_SECRET_SIZE);
    keys->link_secret = sodium_malloc(KEY_SIZE);
    if (seed == NULL || keys->signing_secret == NULL || keys->link_secret == NULL) {
        say_set(load->say, "%s: no memory for the keys", load->dir);
        return ERR_NOMEM;
    }
    err = key_read(load, "signing.key", "signing", seed);
    if (err != ERR_OK) {
        return err;
    }
    uint8_t public_key[KEY_SIZE];
    sign_keypair(seed, public_key, keys->signing_secret);
    if (memcmp(public_key, record.signing_pk, KEY_SIZE) != 0) {
        return refuse(load, "signing.key", "does not belong to lab.record",
                      "restore the two files that were made together");
    }
    err = key_read(load, "link.key", "link", keys->link_secret);
    if (err != ERR_OK) {
        return err;
    }
    if (link_public(keys->link_secret, public_key) != ERR_OK ||
        memcmp(public_key, record.link_pk, KEY_SIZE) != 0) {
        return refuse(load, "link.key", "does not belong to lab.record",
                      "restore the two files that were made together");
    }
    return ERR_OK;
}

static enum err dir_check(const struct load *load)
{
    struct stat seen;
    if (load->dir_fd < 0 || fstat(load->dir_fd, &seen) != 0) {
        say_set(load->say, "%s: %s; make a lab there with: essaim init", load->dir,
                strerrordesc_np(errno));
        return ERR_KEY;
    }
    if (seen.st_uid != geteuid()) {
        say_set(load->say, "%s: belongs to another user; chown it to the user the daemon runs as",
                load->dir);
        return ERR_KEY;
    }
    if ((seen.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        say_set(load->say, "%s: is open to others; chmod 0700 it", load->dir);
        return ERR_KEY;
    }
    return ERR_OK;
}

enum err keys_load(const char *dir, struct keys *ret_keys, struct say *ret_say)
{
    if (sodium_init() < 0) {
        return ERR_INTERNAL;
    }
    defer(fd_close) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct load load = {.dir = dir, .dir_fd = dir_fd, .say = ret_say};
    enum err err = dir_check(&load);
    if (err != ERR_OK) {
        return err;
    }
    struct keys keys = {0};
    err = keys_read(&load, &keys);
    if (err != ERR_OK) {
        keys_done(&keys);
        return err;
    }
    *ret_keys = keys;
    return ERR_OK;
}

void keys_done(struct keys *keys)
{
    if (keys == NULL) {
        return;
    }
    sodium_free(keys->signing_secret);
    sodium_free(keys->link_secret);
    buf_done(&keys->record);
    *keys = (struct keys){0};
}
