/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/keyfile.h: the rules for a file that holds a secret, in one place: regular, never a symbolic
 * link, of the right owner, mode 0600, in a directory of mode 0700; durable before it counts.
 *
 * Sentences go to place.say (may be NULL). For conf/ alone.
 */
#ifndef ESSAIM_CONF_KEYFILE_H
#define ESSAIM_CONF_KEYFILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "conf/say.h"

#define KEYFILE_SEED_SIZE 32

/* An open directory. */
struct keyfile_dir {
    const char *name; /* "" for the sentences: files are named as they are */
    int fd;
    uid_t uid; /* whose files these must be, and whose new ones become */
    struct say *say;
};

/* Opens DIR and looks at it: ours and 0700, else ERR_KEY; ERR_IO. `as_root`: to root it may belong
 * to anyone, and what root makes in it becomes that user's. */
MUST_USE enum err keyfile_dir_open(const char *name, bool as_root, struct say *say,
                                   struct keyfile_dir *ret_dir);
void keyfile_dir_close(struct keyfile_dir *dir);
enum err keyfile_dir_sync(const struct keyfile_dir *dir);

/* Sets the sentence; ERR_KEY. */
enum err keyfile_refuse(const struct keyfile_dir *dir, const char *name, const char *cause,
                        const char *next);
/* The same for an errno; its error. */
enum err keyfile_refuse_errno(const struct keyfile_dir *dir, const char *name, int code);
/* errno in our words. */
enum err keyfile_err(int code);

/* A new file (0600, O_EXCL), written and synced. ERR_EXISTS, ERR_IO, ERR_FULL, ERR_KEY; then it is
 * not left behind. */
MUST_USE enum err keyfile_create(const struct keyfile_dir *dir, const char *name,
                                 struct bytes bytes);
/* The line "essaim-key-1 TYPE HEX\n" in a new file. */
MUST_USE enum err keyfile_key_create(const struct keyfile_dir *dir, const char *name,
                                     const char *type, const uint8_t seed[KEYFILE_SEED_SIZE]);

/* Reads a small file of less than size_max bytes. `closed`: the mode bits that must not be set.
 * ERR_KEY, ERR_IO; ERR_NOT_FOUND (sentence set, too) when it is not there. */
MUST_USE enum err keyfile_read(const struct keyfile_dir *dir, const char *name, mode_t closed,
                               uint8_t *into, size_t size_max, size_t *ret_size);
/* The seed of such a line. ERR_KEY also for any other text. `ret_seed` should be guarded memory. */
MUST_USE enum err keyfile_key_read(const struct keyfile_dir *dir, const char *name,
                                   const char *type, uint8_t ret_seed[KEYFILE_SEED_SIZE]);

/* Is there something of that name? */
bool keyfile_there(const struct keyfile_dir *dir, const char *name);
/* Removes it if it is there. ERR_IO, ERR_KEY. */
enum err keyfile_remove(const struct keyfile_dir *dir, const char *name);
/* Overwrites with zeros, syncs, removes. For a secret that moved elsewhere. */
MUST_USE enum err keyfile_shred(const struct keyfile_dir *dir, const char *name);

/* From here on this process leaves no core and cannot be traced: a secret is coming. */
void keyfile_hush(void);

/* For defer(). */
void keyfile_fd_close(const int *fd);
void keyfile_secret_free(uint8_t **secret);

#endif
