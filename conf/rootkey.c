/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/rootkey.c: see rootkey.h.
 *
 * Exporting: the copy is durable and was read back before the original is touched, so a kill at any
 * moment leaves at least one of them. A copy that could not be finished is removed.
 */
#include "conf/rootkey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/defer.h"
#include "conf/keyfile.h"
#include "conf/keys.h"

#define N_(text) text

/* A file by its path: judged for itself, whatever directory it lies in. */
static struct keyfile_dir anywhere(const char *path, struct say *say)
{
    struct stat seen;
    uid_t uid = geteuid();
    if (uid == 0 && lstat(path, &seen) == 0) {
        uid = seen.st_uid;
    }
    return (struct keyfile_dir){.name = "", .fd = AT_FDCWD, .uid = uid, .say = say};
}

static enum err seed_load(const struct keyfile_dir *dir, const char *name, uint8_t **ret_seed)
{
    keyfile_hush();
    uint8_t *seed = sodium_init() < 0 ? NULL : sodium_malloc(SIGN_SEED_SIZE);
    enum err err = seed == NULL ? ERR_NOMEM : keyfile_key_read(dir, name, "root", seed);
    if (err != ERR_OK) {
        sodium_free(seed);
        return err;
    }
    *ret_seed = seed;
    return ERR_OK;
}

enum err rootkey_load(const char *path, struct rootkey *ret_key, struct say *ret_say)
{
    struct keyfile_dir dir = anywhere(path, ret_say);
    defer(keyfile_secret_free) uint8_t *seed = NULL;
    enum err err = seed_load(&dir, path, &seed);
    if (err == ERR_NOT_FOUND) {
        err = keyfile_refuse(&dir, path, N_("is missing"),
                             N_("say where the root key is, with --root-key FILE"));
    }
    if (err != ERR_OK) {
        return err;
    }
    struct rootkey key = {.secret = sodium_malloc(SIGN_SECRET_SIZE)};
    if (key.secret == NULL) {
        return ERR_NOMEM;
    }
    sign_keypair(seed, key.lab.bytes, key.secret);
    *ret_key = key;
    return ERR_OK;
}

void rootkey_done(struct rootkey *key)
{
    if (key == NULL) {
        return;
    }
    sodium_free(key->secret);
    *key = (struct rootkey){0};
}

/* The directory that `path` lies in; its last part in *ret_name. */
static enum err parent_open(const char *path, struct say *say, struct keyfile_dir *ret_dir,
                            const char **ret_name)
{
    char text[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int size = snprintf(text, sizeof text, "%.*s", slash == NULL ? 1 : (int) (slash - path + 1),
                        slash == NULL ? "." : path);
    struct keyfile_dir dir = {.name = "", .uid = geteuid(), .say = say};
    dir.fd = size < 0 || (size_t) size >= sizeof text
                 ? -1
                 : open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir.fd < 0) {
        say_parts(say, N_("its directory cannot be opened"), N_("choose another place"), "%s",
                  path);
        return ERR_KEY;
    }
    *ret_dir = dir;
    *ret_name = slash == NULL ? path : slash + 1;
    return ERR_OK;
}

static enum err copy_say(const struct keyfile_dir *to, const char *path, enum err err)
{
    struct keyfile_dir whole = {.name = "", .say = to->say};
    if (err == ERR_EXISTS) {
        (void) keyfile_refuse(&whole, path, N_("is there already"), N_("choose another name"));
    } else if (err == ERR_FULL) {
        (void) keyfile_refuse(&whole, path, N_("there is no room for it"),
                              N_("make room, or choose another place"));
    } else {
        (void) keyfile_refuse(&whole, path, N_("cannot be written and closed to others there"),
                              N_("choose a place where files can have mode 0600"));
    }
    return err;
}

/* The copy: written, synced, read back. */
static enum err copy_make(const struct keyfile_dir *to, const char *name, const char *path,
                          const uint8_t *seed)
{
    enum err err = keyfile_key_create(to, name, "root", seed);
    if (err != ERR_OK) {
        return copy_say(to, path, err);
    }
    defer(keyfile_secret_free) uint8_t *back = NULL;
    err = keyfile_dir_sync(to);
    if (err == ERR_OK) {
        err = seed_load(to, name, &back);
    }
    if (err == ERR_OK && sodium_memcmp(back, seed, SIGN_SEED_SIZE) != 0) {
        err = ERR_IO;
    }
    if (err != ERR_OK) {
        (void) keyfile_remove(to, name);
        struct keyfile_dir whole = {.name = "", .say = to->say};
        (void) keyfile_refuse(&whole, path, N_("what was written does not read back"),
                              N_("use another disk"));
        return err == ERR_NOT_FOUND || err == ERR_KEY ? ERR_IO : err;
    }
    return ERR_OK;
}

static enum err move(const struct keyfile_dir *from, const char *path, struct lab_id *ret_lab)
{
    defer(keyfile_secret_free) uint8_t *seed = NULL;
    enum err err = seed_load(from, KEYS_ROOT, &seed);
    if (err == ERR_NOT_FOUND) {
        (void) keyfile_refuse(from, KEYS_ROOT, N_("is not there"),
                              N_("it was moved already; use the file it was moved to"));
    }
    if (err != ERR_OK) {
        return err;
    }
    struct keyfile_dir to;
    const char *name = NULL;
    err = parent_open(path, from->say, &to, &name);
    if (err != ERR_OK) {
        return err;
    }
    err = copy_make(&to, name, path, seed);
    keyfile_dir_close(&to);
    if (err == ERR_OK) {
        err = keyfile_shred(from, KEYS_ROOT);
    }
    if (err == ERR_OK) {
        err = keyfile_dir_sync(from);
    }
    uint8_t secret[SIGN_SECRET_SIZE];
    sign_keypair(seed, ret_lab->bytes, secret);
    sodium_memzero(secret, sizeof secret);
    return err;
}

enum err rootkey_export(const char *dir, const char *path, struct lab_id *ret_lab,
                        struct say *ret_say)
{
    struct keyfile_dir from;
    enum err err = keyfile_dir_open(dir, true, ret_say, &from);
    if (err == ERR_OK) {
        err = move(&from, path, ret_lab);
        keyfile_dir_close(&from);
    }
    return err;
}
