/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/renew.c: see renew.h.
 *
 * Every step is one rename or one new file, and the directory is synced before the next party may
 * rely on it. Nothing but a .next file ever becomes a key: what another essaim writes meanwhile
 * cannot be mixed into the set that is being installed.
 */
#include "conf/renew.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/limits.h"
#include "conf/conf.h"
#include "conf/keyfile.h"
#include "proto/recover.h"

#define N_(text) text
#define NEW ".new"
#define NEXT ".next"
#define FILES 3

/* In the order of writing and of renaming: the record last. */
static const char *const files[FILES] = {KEYS_LINK, KEYS_SIGNING, KEYS_RECORD};

struct name {
    char text[40];
};

static struct name name_of(unsigned file, const char *suffix)
{
    struct name name;
    (void) snprintf(name.text, sizeof name.text, "%s%s", files[file], suffix);
    return name;
}

static enum err file_rename(const struct keyfile_dir *dir, const char *from, const char *to)
{
    return renameat(dir->fd, from, dir->fd, to) == 0 ? ERR_OK : keyfile_err(errno);
}

static void set_remove(const struct keyfile_dir *dir, const char *suffix)
{
    for (unsigned i = FILES; i > 0; i--) { /* the record first: without it the set is nothing */
        (void) keyfile_remove(dir, name_of(i - 1, suffix).text);
    }
    (void) keyfile_dir_sync(dir);
}

static enum err write_say(const struct keyfile_dir *dir, enum err err)
{
    if (err == ERR_FULL) {
        (void) keyfile_refuse(dir, "", N_("there is no room for new keys"),
                              N_("make room on the disk, then try again"));
    } else if (err != ERR_OK) {
        (void) keyfile_refuse(dir, "", N_("new keys cannot be written there"),
                              N_("run this as the owner of the directory, or as root"));
    }
    return err;
}

/* ---- essaim ---- */

static enum err set_write(const struct keyfile_dir *dir, const uint8_t *seeds, struct bytes record)
{
    static const char *const types[] = {"link", "signing"};
    enum err err = ERR_OK;
    for (unsigned i = 0; err == ERR_OK && i < FILES - 1; i++) {
        err =
            keyfile_key_create(dir, name_of(i, NEW).text, types[i], seeds + i * (size_t) KEY_SIZE);
    }
    if (err == ERR_OK) {
        err = keyfile_create(dir, name_of(FILES - 1, NEW).text, record);
    }
    return err == ERR_OK ? keyfile_dir_sync(dir) : err;
}

/* seeds: link, signing. */
static enum err record_make(const uint8_t *seeds, const struct rootkey *root,
                            struct lab_record *record, struct buf *into)
{
    uint8_t secret[SIGN_SECRET_SIZE];
    sign_keypair(seeds + KEY_SIZE, record->signing_pk, secret);
    sodium_memzero(secret, sizeof secret);
    record->lab = root->lab;
    enum err err = link_public(seeds, record->link_pk);
    if (err == ERR_OK) {
        err = lab_record_sign(record, root->secret, into);
    }
    return err == ERR_OK ? into->err : err;
}

enum err renew_stage(const char *name, const struct rootkey *root, struct lab_record *record,
                     struct say *ret_say)
{
    defer(keyfile_secret_free) uint8_t *seeds = sodium_malloc(2 * (size_t) KEY_SIZE);
    struct keyfile_dir dir;
    enum err err = seeds == NULL ? ERR_NOMEM : keyfile_dir_open(name, true, ret_say, &dir);
    if (err != ERR_OK) {
        return err;
    }
    randombytes_buf(seeds, 2 * (size_t) KEY_SIZE);
    defer(buf_done) struct buf bytes = {0};
    err = record_make(seeds, root, record, &bytes);
    if (err == ERR_OK) {
        set_remove(&dir, NEW);
        err = write_say(&dir, set_write(&dir, seeds, buf_bytes(&bytes)));
    }
    if (err != ERR_OK) {
        set_remove(&dir, NEW);
    }
    keyfile_dir_close(&dir);
    return err;
}

void renew_unstage(const char *name)
{
    struct keyfile_dir dir;
    if (keyfile_dir_open(name, true, NULL, &dir) == ERR_OK) {
        set_remove(&dir, NEW);
        keyfile_dir_close(&dir);
    }
}

/* Empty, or with settings alone. */
static bool dir_fresh(const char *name)
{
    DIR *listing = opendir(name);
    bool fresh = listing != NULL;
    const struct dirent *entry = NULL;
    while (fresh && (entry = readdir(listing)) != NULL) {
        fresh = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, CONF_FILE) == 0;
    }
    if (listing != NULL) {
        (void) closedir(listing);
    }
    return fresh;
}

static enum err statement_write(const struct keyfile_dir *dir, const struct rootkey *root,
                                uint64_t now_s)
{
    uint8_t link_pk[KEY_SIZE];
    defer(keyfile_secret_free) uint8_t *seed = sodium_malloc(KEY_SIZE);
    defer(buf_done) struct buf bytes = {0};
    if (seed == NULL) {
        return ERR_NOMEM;
    }
    randombytes_buf(seed, KEY_SIZE);
    enum err err = link_public(seed, link_pk);
    if (err == ERR_OK) {
        err = recover_sign(&root->lab, root->secret, link_pk, now_s, &bytes);
    }
    if (err == ERR_OK) {
        err = keyfile_key_create(dir, KEYS_LINK, "link", seed);
    }
    if (err == ERR_OK) { /* last: with it the directory is one that is being recovered */
        err = keyfile_create(dir, KEYS_STATEMENT, buf_bytes(&bytes));
    }
    return err == ERR_OK ? keyfile_dir_sync(dir) : err;
}

enum err renew_recover(const char *name, const struct rootkey *root, uint64_t now_s,
                       struct say *ret_say)
{
    if (mkdir(name, 0700) != 0 && errno != EEXIST) {
        say_parts(ret_say, N_("this directory cannot be made"), N_("choose another one"), "%s",
                  name);
        return keyfile_err(errno) == ERR_KEY ? ERR_KEY : ERR_IO;
    }
    if (!dir_fresh(name)) {
        say_parts(ret_say, N_("this directory is not empty"), N_("recover into an empty one"), "%s",
                  name);
        return ERR_EXISTS;
    }
    if (chmod(name, 0700) != 0) {
        say_parts(ret_say, N_("belongs to another user"), N_("choose another one"), "%s", name);
        return ERR_KEY;
    }
    struct keyfile_dir dir;
    enum err err = keyfile_dir_open(name, true, ret_say, &dir);
    if (err != ERR_OK) {
        return err;
    }
    err = write_say(&dir, statement_write(&dir, root, now_s));
    if (err != ERR_OK) {
        (void) keyfile_remove(&dir, KEYS_STATEMENT);
        (void) keyfile_remove(&dir, KEYS_LINK);
    }
    keyfile_dir_close(&dir);
    return err;
}

enum err renew_give(const char *name, const char *file)
{
    struct keyfile_dir dir;
    enum err err = keyfile_dir_open(name, true, NULL, &dir);
    if (err != ERR_OK) {
        return err;
    }
    if (dir.uid != geteuid() &&
        fchownat(dir.fd, file, dir.uid, (gid_t) -1, AT_SYMLINK_NOFOLLOW) != 0) {
        err = keyfile_err(errno);
    }
    keyfile_dir_close(&dir);
    return err;
}

bool renew_recovering(const char *name, const struct lab_id *lab)
{
    uint8_t bytes[RECOVER_SIZE_MAX + 1];
    uint8_t link_pk[KEY_SIZE];
    size_t size = 0;
    uint64_t issued_at = 0;
    struct lab_id found;
    struct keyfile_dir dir;
    if (keyfile_dir_open(name, true, NULL, &dir) != ERR_OK) {
        return false;
    }
    bool is = !keyfile_there(&dir, KEYS_RECORD) &&
              keyfile_read(&dir, KEYS_STATEMENT, S_IWGRP | S_IWOTH, bytes, sizeof bytes, &size) ==
                  ERR_OK &&
              recover_open(bytes_of(bytes, size), &found, link_pk, &issued_at) == ERR_OK &&
              memcmp(found.bytes, lab->bytes, KEY_SIZE) == 0;
    keyfile_dir_close(&dir);
    return is;
}

/* ---- essaimd ---- */

/* What essaim wrote is on disk before it counts; then it is ours. */
static enum err claim(const struct keyfile_dir *dir)
{
    set_remove(dir, NEXT);
    for (unsigned i = 0; i < FILES; i++) {
        int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
        struct name from = name_of(i, NEW);
        defer(keyfile_fd_close) int fd = openat(dir->fd, from.text, flags);
        if (fd < 0) {
            return keyfile_refuse_errno(dir, from.text, errno);
        }
        enum err err = fsync(fd) == 0 ? ERR_OK : keyfile_err(errno);
        if (err == ERR_OK) {
            err = file_rename(dir, from.text, name_of(i, NEXT).text);
        }
        if (err != ERR_OK) {
            return write_say(dir, err);
        }
    }
    return keyfile_dir_sync(dir);
}

static enum err place(const struct keyfile_dir *dir, unsigned file)
{
    struct name next = name_of(file, NEXT);
    return keyfile_there(dir, next.text) ? file_rename(dir, next.text, files[file]) : ERR_OK;
}

enum err renew_finish(const char *name, struct say *ret_say)
{
    struct keyfile_dir dir;
    enum err err = keyfile_dir_open(name, false, ret_say, &dir);
    if (err != ERR_OK) {
        return err;
    }
    for (unsigned i = 0; err == ERR_OK && i < FILES; i++) {
        err = place(&dir, i);
    }
    if (err == ERR_OK) {
        err = keyfile_dir_sync(&dir);
    }
    if (err == ERR_OK) {
        err = keyfile_remove(&dir, KEYS_STATEMENT);
    }
    keyfile_dir_close(&dir);
    return write_say(&dir, err);
}

enum err renew_claim(const char *name, bool *unfinished, struct keys *ret_keys, struct say *ret_say)
{
    struct keyfile_dir dir;
    enum err err = keyfile_dir_open(name, false, ret_say, &dir);
    if (err != ERR_OK) {
        return err;
    }
    if (unfinished != NULL && *unfinished) {
        /* The .next files there are the only copy of keys in use. */
        err = renew_finish(name, ret_say);
        if (err != ERR_OK) {
            set_remove(&dir, NEW);
            keyfile_dir_close(&dir);
            return err;
        }
        *unfinished = false;
    }
    err = claim(&dir);
    if (err == ERR_OK) {
        err = keys_load_set(name, NEXT, ret_keys, ret_say);
    }
    if (err != ERR_OK) {
        set_remove(&dir, NEXT);
        set_remove(&dir, NEW);
    }
    keyfile_dir_close(&dir);
    return err;
}

void renew_drop(const char *name)
{
    struct keyfile_dir dir;
    if (keyfile_dir_open(name, false, NULL, &dir) == ERR_OK) {
        set_remove(&dir, NEXT);
        keyfile_dir_close(&dir);
    }
}

/* The record of the set; false when there is no good one. */
static bool record_read(const struct keyfile_dir *dir, struct buf *into,
                        struct lab_record *ret_record)
{
    uint8_t *at = buf_extend(into, RECORD_SIZE_MAX + 1);
    size_t size = 0;
    if (at == NULL) {
        return false;
    }
    enum err err = keyfile_read(dir, name_of(FILES - 1, NEXT).text, S_IWGRP | S_IWOTH, at,
                                RECORD_SIZE_MAX + 1, &size);
    into->size = err == ERR_OK ? size : 0;
    return err == ERR_OK && lab_record_open(buf_bytes(into), ret_record) == ERR_OK;
}

/* The first rename was done: link.key is the new one already. */
static enum err begun(const struct keyfile_dir *dir, const struct lab_record *record,
                      bool *ret_begun)
{
    *ret_begun = false;
    if (keyfile_there(dir, name_of(0, NEXT).text)) {
        return ERR_OK;
    }
    defer(keyfile_secret_free) uint8_t *seed = sodium_malloc(KEY_SIZE);
    uint8_t link_pk[KEY_SIZE];
    if (seed == NULL) {
        return ERR_NOMEM;
    }
    *ret_begun = keyfile_key_read(dir, KEYS_LINK, "link", seed) == ERR_OK &&
                 link_public(seed, link_pk) == ERR_OK &&
                 memcmp(link_pk, record->link_pk, KEY_SIZE) == 0;
    return ERR_OK;
}

enum err renew_left(const char *name, struct renew_left *ret_left, struct say *ret_say)
{
    struct keyfile_dir dir;
    struct renew_left left = {0};
    enum err err = sodium_init() < 0 ? ERR_INTERNAL : keyfile_dir_open(name, false, ret_say, &dir);
    if (err != ERR_OK) {
        return err;
    }
    dir.say = NULL; /* whatever is wrong with it: it goes */
    for (unsigned i = 0; i < FILES; i++) {
        left.any = left.any || keyfile_there(&dir, name_of(i, NEW).text) ||
                   keyfile_there(&dir, name_of(i, NEXT).text);
    }
    struct lab_record record;
    if (left.any && record_read(&dir, &left.record, &record)) {
        err = begun(&dir, &record, &left.begun);
    } else {
        buf_clear(&left.record);
    }
    keyfile_dir_close(&dir);
    if (err != ERR_OK) {
        buf_done(&left.record);
        return err;
    }
    *ret_left = left;
    return ERR_OK;
}
