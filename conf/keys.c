/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/keys.c: see keys.h.
 *
 * Creating: open the directory, refuse if any of the four files is there, draw three seeds, sign
 * the record, write file by file with O_EXCL and fsync. Loading: open the directory and each file
 * by the rules of keyfile.h, compare with the record. Fails as keys.h says; a failed creation
 * removes what it made. Secrets live in guarded memory and are wiped on every way out.
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
#include "conf/keyfile.h"
#include "proto/lab.h"
#include "proto/recover.h"

#define N_(text) text
#define NAME_MAX_HERE 32

static_assert(KEYFILE_SEED_SIZE == SIGN_SEED_SIZE && KEYFILE_SEED_SIZE == KEY_SIZE,
              "one form for all keys");

static const char *const file_names[] = {KEYS_ROOT, KEYS_SIGNING, KEYS_LINK, KEYS_RECORD};

/* Opens DIR, made if need be. An existing one must be ours; one that is open to others is closed
 * to them only when nothing of ours can have leaked from it: it holds no key yet. */
static enum err dir_open_new(const char *dir, bool *ret_made, int *ret_fd)
{
    bool made = mkdir(dir, 0700) == 0;
    if (!made && errno != EEXIST) {
        return errno == ENOENT ? ERR_NOT_FOUND : keyfile_err(errno);
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return keyfile_err(errno);
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
    struct keyfile_dir dir = {.name = "", .fd = dir_fd, .uid = geteuid()};
    enum err err = ERR_OK;
    size_t made = 0;
    for (; made < 3 && err == ERR_OK; made++) {
        err =
            keyfile_key_create(&dir, file_names[made], types[made], seeds + made * SIGN_SEED_SIZE);
    }
    if (err == ERR_OK) { /* last: with it the set is complete */
        err = keyfile_create(&dir, file_names[3], record);
    }
    if (err == ERR_OK && fsync(dir_fd) != 0) {
        err = keyfile_err(errno);
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
    keyfile_hush();
    defer(keyfile_secret_free) uint8_t *seeds = sodium_malloc(3 * (size_t) SIGN_SEED_SIZE);
    if (seeds == NULL) {
        return ERR_NOMEM;
    }
    bool made = false;
    defer(keyfile_fd_close) int dir_fd = -1;
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

/* A file of the set that keys_load_set names. */
struct load {
    struct keyfile_dir dir;
    const char *suffix;
    char name[NAME_MAX_HERE];
};

static const char *name_of(struct load *load, const char *name)
{
    (void) snprintf(load->name, sizeof load->name, "%s%s", name, load->suffix);
    return load->name;
}

static enum err missing_is_bad(enum err err)
{
    return err == ERR_NOT_FOUND ? ERR_KEY : err;
}

static enum err public_read(struct load *load, const char *name, size_t size_max, struct buf *into)
{
    uint8_t *at = buf_extend(into, size_max + 1);
    if (at == NULL) {
        return into->err;
    }
    size_t size = 0;
    enum err err = keyfile_read(&load->dir, name, S_IWGRP | S_IWOTH, at, size_max + 1, &size);
    into->size = size;
    return err;
}

static enum err record_read(struct load *load, struct keys *keys, struct lab_record *ret_record)
{
    const char *name = name_of(load, KEYS_RECORD);
    enum err err = public_read(load, name, RECORD_SIZE_MAX, &keys->record);
    if (err != ERR_OK) {
        return err;
    }
    if (lab_record_open(buf_bytes(&keys->record), ret_record) != ERR_OK) {
        return keyfile_refuse(&load->dir, name, N_("is not a lab record its root key signed"),
                              N_("restore the file as it was made"));
    }
    keys->lab = ret_record->lab;
    keys->generation = ret_record->generation;
    return ERR_OK;
}

static enum err no_memory(const struct load *load)
{
    say_set(load->dir.say, "%s: no memory for the keys", load->dir.name);
    return ERR_NOMEM;
}

static enum err signing_read(struct load *load, struct keys *keys, const uint8_t wanted[KEY_SIZE])
{
    defer(keyfile_secret_free) uint8_t *seed = sodium_malloc(SIGN_SEED_SIZE);
    keys->signing_secret = sodium_malloc(SIGN_SECRET_SIZE);
    if (seed == NULL || keys->signing_secret == NULL) {
        return no_memory(load);
    }
    const char *name = name_of(load, KEYS_SIGNING);
    enum err err = keyfile_key_read(&load->dir, name, "signing", seed);
    if (err != ERR_OK) {
        return missing_is_bad(err);
    }
    uint8_t public_key[KEY_SIZE];
    sign_keypair(seed, public_key, keys->signing_secret);
    return memcmp(public_key, wanted, KEY_SIZE) == 0
               ? ERR_OK
               : keyfile_refuse(&load->dir, name, N_("does not belong to lab.record"),
                                N_("restore the two files that were made together"));
}

static enum err link_read(struct load *load, struct keys *keys, const uint8_t wanted[KEY_SIZE])
{
    keys->link_secret = sodium_malloc(KEY_SIZE);
    if (keys->link_secret == NULL) {
        return no_memory(load);
    }
    const char *name = name_of(load, KEYS_LINK);
    enum err err = keyfile_key_read(&load->dir, name, "link", keys->link_secret);
    if (err != ERR_OK) {
        return missing_is_bad(err);
    }
    uint8_t public_key[KEY_SIZE];
    bool fits = link_public(keys->link_secret, public_key) == ERR_OK &&
                memcmp(public_key, wanted, KEY_SIZE) == 0;
    const char *cause = keys->statement.size > 0 ? N_("does not belong to recover.statement")
                                                 : N_("does not belong to lab.record");
    return fits ? ERR_OK
                : keyfile_refuse(&load->dir, name, cause,
                                 N_("restore the two files that were made together"));
}

/* ERR_NOT_FOUND when there is no record. */
static enum err set_read(struct load *load, struct keys *keys)
{
    struct lab_record record;
    enum err err = record_read(load, keys, &record);
    if (err == ERR_OK) {
        err = signing_read(load, keys, record.signing_pk);
    }
    if (err == ERR_OK) {
        err = link_read(load, keys, record.link_pk);
    }
    return err;
}

static enum err statement_read(struct load *load, struct keys *keys)
{
    uint8_t link_pk[KEY_SIZE];
    uint64_t issued_at = 0;
    enum err err = public_read(load, KEYS_STATEMENT, RECOVER_SIZE_MAX, &keys->statement);
    if (err != ERR_OK) {
        return err;
    }
    if (recover_open(buf_bytes(&keys->statement), &keys->lab, link_pk, &issued_at) != ERR_OK) {
        return keyfile_refuse(&load->dir, KEYS_STATEMENT,
                              N_("is not a statement its root key signed"),
                              N_("empty the directory, and run essaim recover again"));
    }
    return link_read(load, keys, link_pk);
}

static enum err set_load(const char *name, const char *suffix, bool recovering, struct keys *keys,
                         struct say *say)
{
    struct load load = {.suffix = suffix};
    enum err err = sodium_init() < 0 ? ERR_INTERNAL : keyfile_dir_open(name, false, say, &load.dir);
    if (err != ERR_OK) {
        return err;
    }
    err = set_read(&load, keys);
    if (err == ERR_NOT_FOUND && recovering && keyfile_there(&load.dir, KEYS_STATEMENT)) {
        buf_clear(&keys->record);
        err = statement_read(&load, keys);
    }
    keyfile_dir_close(&load.dir);
    return missing_is_bad(err);
}

static enum err load_whole(const char *dir, const char *suffix, bool recovering,
                           struct keys *ret_keys, struct say *ret_say)
{
    struct keys keys = {0};
    enum err err = set_load(dir, suffix, recovering, &keys, ret_say);
    if (err != ERR_OK) {
        keys_done(&keys);
        return err;
    }
    *ret_keys = keys;
    return ERR_OK;
}

enum err keys_load(const char *dir, struct keys *ret_keys, struct say *ret_say)
{
    return load_whole(dir, "", true, ret_keys, ret_say);
}

enum err keys_load_set(const char *dir, const char *suffix, struct keys *ret_keys,
                       struct say *ret_say)
{
    return load_whole(dir, suffix, false, ret_keys, ret_say);
}

/* ---- the key of the retired slugs ---- */

/* Under another name first: a power cut leaves the whole file or none. */
static enum err retired_make(const struct keyfile_dir *dir)
{
    static const char new_name[] = KEYS_RETIRED ".new";
    defer(keyfile_secret_free) uint8_t *seed = sodium_malloc(KEY_SIZE);
    if (seed == NULL) {
        return ERR_NOMEM;
    }
    randombytes_buf(seed, KEY_SIZE);
    enum err err = keyfile_remove(dir, new_name);
    if (err == ERR_OK) {
        err = keyfile_key_create(dir, new_name, "retired", seed);
    }
    if (err == ERR_OK && renameat(dir->fd, new_name, dir->fd, KEYS_RETIRED) != 0) {
        err = keyfile_err(errno);
    }
    if (err == ERR_OK) {
        err = keyfile_dir_sync(dir);
    }
    if (err != ERR_OK) {
        say_set(dir->say, "%s/" KEYS_RETIRED ": it cannot be made: %s; look at the disk", dir->name,
                err_text(err));
    }
    return err;
}

enum err keys_retired(const char *dir, uint8_t ret_key[KEY_SIZE], struct say *ret_say)
{
    struct keyfile_dir open_dir;
    enum err err =
        sodium_init() < 0 ? ERR_INTERNAL : keyfile_dir_open(dir, false, ret_say, &open_dir);
    if (err != ERR_OK) {
        return err;
    }
    if (!keyfile_there(&open_dir, KEYS_RETIRED)) {
        err = retired_make(&open_dir);
    }
    if (err == ERR_OK) {
        err = missing_is_bad(keyfile_key_read(&open_dir, KEYS_RETIRED, "retired", ret_key));
    }
    keyfile_dir_close(&open_dir);
    return err;
}

void keys_done(struct keys *keys)
{
    if (keys == NULL) {
        return;
    }
    sodium_free(keys->signing_secret);
    sodium_free(keys->link_secret);
    buf_done(&keys->record);
    buf_done(&keys->statement);
    *keys = (struct keys){0};
}
