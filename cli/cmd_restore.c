/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * essaim restore: puts a backup in the place of a lab's store, while its daemon is off.
 *
 * The backup is copied beside the store first, whole and durable; then both change places in one
 * step, and the old one stays as store.before-restore. Where DIR has no guard, one is written that
 * says that nobody knows how far the lab had gone: the daemon signs nothing before a peer has told
 * it (doc/decisions/0009, 0010). What root makes here belongs to the owner of DIR.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"
#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "conf/guard.h"
#include "conf/keys.h"

#define STORE "store"
#define PART "store.restore.tmp"
#define ASIDE "store.before-restore"
#define PART_SIZE 65536
/* How a file of LMDB begins: behind the header of page 0 stand a number and a version. */
#define MAGIC_AT 16
#define MAGIC 0xBEEFC0DEu
#define PAGES_SIZE_MIN 8192

struct restore {
    struct cli *cli;
    const char *file, *dir;
    int dir_fd, file_fd, lock_fd;
    struct stat dir_stat;
    bool has_store, guard_unknown;
};

static void restore_done(struct restore *restore)
{
    int fds[] = {restore->file_fd, restore->lock_fd, restore->dir_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0) {
            (void) close(fds[i]);
        }
    }
}

static void fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void) close(*fd);
    }
}

/* An errno that `what` met. */
static enum err failed(struct restore *restore, const char *what, const char *hint)
{
    int code = errno;
    enum err err = code == ENOSPC || code == EDQUOT || code == EFBIG ? ERR_FULL
                   : code == ENOENT                                  ? ERR_NOT_FOUND
                                                                     : ERR_IO;
    (void) flaw_set(&restore->cli->flaw, err, N_("the backup was not put back"), hint);
    flaw_detail(&restore->cli->flaw, "%s: %s", what, strerrordesc_np(code));
    return err;
}

static enum err refuse(struct restore *restore, enum err err, const char *text, const char *hint,
                       const char *what)
{
    (void) flaw_set(&restore->cli->flaw, err, text, hint);
    flaw_detail(&restore->cli->flaw, "%s", what);
    return err;
}

/* ---- looking ---- */

static enum err file_look(struct restore *restore)
{
    struct stat found;
    uint8_t start[8] = {0};
    uint32_t magic = 0, version = 0;
    restore->file_fd = open(restore->file, O_RDONLY | O_CLOEXEC);
    if (restore->file_fd < 0 || fstat(restore->file_fd, &found) != 0) {
        return failed(restore, restore->file, N_("check the name"));
    }
    bool good = S_ISREG(found.st_mode) && found.st_size >= PAGES_SIZE_MIN &&
                pread(restore->file_fd, start, sizeof start, MAGIC_AT) == (ssize_t) sizeof start;
    memcpy(&magic, start, sizeof magic);
    memcpy(&version, start + sizeof magic, sizeof version);
    return good && magic == MAGIC && version == 1
               ? ERR_OK
               : refuse(restore, ERR_INVALID, N_("this is no backup of a store"),
                        N_("give a file that essaim backup made"), restore->file);
}

static bool there(const struct restore *restore, const char *name)
{
    struct stat found;
    return fstatat(restore->dir_fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

static enum err dir_look(struct restore *restore)
{
    restore->dir_fd = open(restore->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (restore->dir_fd < 0 || fstat(restore->dir_fd, &restore->dir_stat) != 0) {
        return failed(restore, restore->dir, N_("check the name"));
    }
    static const char *const wanted[] = {KEYS_SIGNING, KEYS_LINK, KEYS_RECORD};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!there(restore, wanted[i])) {
            return refuse(restore, ERR_KEY, N_("the lab's keys are missing: they are in no backup"),
                          N_("put them back first; without them, see essaim recover"), wanted[i]);
        }
    }
    if (there(restore, PART "/lock.mdb") && !there(restore, ASIDE) &&
        renameat(restore->dir_fd, PART, restore->dir_fd, ASIDE) != 0) {
        return failed(restore, PART, NULL); /* the old store, of a restore that was cut short */
    }
    if (there(restore, ASIDE)) {
        return refuse(restore, ERR_EXISTS, N_("an earlier restore left the store before it"),
                      N_("move it away or remove it, then try again"), ASIDE);
    }
    restore->has_store = there(restore, STORE);
    return ERR_OK;
}

/* What root makes belongs to the owner of DIR. */
static bool give(const struct restore *restore, int fd)
{
    return geteuid() != 0 || fchown(fd, restore->dir_stat.st_uid, restore->dir_stat.st_gid) == 0;
}

/* As the daemon takes it (daemon/lock.c), until this process ends. */
static enum err lock_take(struct restore *restore)
{
    int fd = openat(restore->dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    restore->lock_fd = fd;
    if (fd < 0 || !give(restore, fd)) {
        return failed(restore, "lock", N_("run this as the owner of DIR, or as root"));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return ERR_OK;
    }
    return errno == EWOULDBLOCK ? refuse(restore, ERR_LOCKED, NULL,
                                         N_("stop it first: a store is put back while "
                                            "its daemon is off"),
                                         restore->dir)
                                : failed(restore, "lock", N_("use a local disk"));
}

/* ---- copying ---- */

static void part_remove(const struct restore *restore)
{
    (void) unlinkat(restore->dir_fd, PART "/data.mdb", 0);
    (void) unlinkat(restore->dir_fd, PART, AT_REMOVEDIR);
}

static bool bytes_copied(int from, int to)
{
    static uint8_t part[PART_SIZE];
    for (;;) {
        ssize_t got = read(from, part, sizeof part);
        if (got <= 0) {
            return got == 0;
        }
        for (ssize_t done = 0; done < got;) {
            ssize_t wrote = write(to, part + done, (size_t) (got - done));
            if (wrote < 0) {
                return false;
            }
            done += wrote;
        }
    }
}

static enum err part_make(struct restore *restore)
{
    part_remove(restore); /* of an earlier try */
    if (mkdirat(restore->dir_fd, PART, 0700) != 0) {
        return failed(restore, PART, NULL);
    }
    defer(fd_close) int part_fd =
        openat(restore->dir_fd, PART, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    defer(fd_close) int fd =
        part_fd < 0 ? -1
                    : openat(part_fd, "data.mdb",
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool done = fd >= 0 && give(restore, part_fd) && give(restore, fd) &&
                bytes_copied(restore->file_fd, fd) && fsync(fd) == 0 && fsync(part_fd) == 0;
    return done ? ERR_OK : failed(restore, PART, NULL);
}

/* Before the stores change places: a copy must not stand for a moment without its guard. */
static enum err guard_make(struct restore *restore)
{
    struct stat found;
    defer(fd_close) int fd =
        openat(restore->dir_fd, GUARD_FILE, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &found) != 0) {
        return failed(restore, GUARD_FILE, NULL);
    }
    if (!S_ISREG(found.st_mode) || found.st_size > 0) {
        return ERR_OK; /* it knows */
    }
    restore->guard_unknown = true;
    const struct guard guard = {.n = GUARD_UNKNOWN};
    if (guard_write(fd, &guard) != ERR_OK || !give(restore, fd) || fsync(fd) != 0) {
        return failed(restore, GUARD_FILE, NULL);
    }
    return ERR_OK;
}

/* One step where the file system can, so that DIR is never without a store. */
static bool places_change(const struct restore *restore)
{
    int dir = restore->dir_fd;
    if (!restore->has_store) {
        return renameat(dir, PART, dir, STORE) == 0;
    }
    if (renameat2(dir, PART, dir, STORE, RENAME_EXCHANGE) == 0) {
        return renameat(dir, PART, dir, ASIDE) == 0;
    }
    return (errno == EINVAL || errno == ENOSYS) && renameat(dir, STORE, dir, ASIDE) == 0 &&
           renameat(dir, PART, dir, STORE) == 0;
}

static enum err put_back(struct restore *restore)
{
    enum err err = part_make(restore);
    if (err == ERR_OK) {
        err = guard_make(restore);
    }
    if (err != ERR_OK) {
        part_remove(restore);
        return err;
    }
    int dir = restore->dir_fd;
    bool done = fsync(dir) == 0 && places_change(restore) && fsync(dir) == 0;
    return done ? ERR_OK : failed(restore, STORE, NULL);
}

/* ---- the command ---- */

static enum err report(struct restore *restore)
{
    struct cli *cli = restore->cli;
    json_t *answer = json_object();
    value_set(answer, "dir", json_string(restore->dir));
    value_set(answer, "aside", restore->has_store ? json_string(ASIDE) : json_null());
    value_set(answer, "guard", json_string(restore->guard_unknown ? "unknown" : "kept"));
    enum err err = out_single(&cli->out, "essaim.restore/1", answer, "dir");
    if (err == ERR_OK) {
        voice_note(&cli->voice,
                   _("start the daemon; where peers hold newer entries of this lab, it signs "
                     "nothing until it has them back: see essaim status and essaim repair"));
    }
    return err;
}

static enum err look(struct restore *restore)
{
    enum err err = file_look(restore);
    if (err == ERR_OK) {
        err = dir_look(restore);
    }
    return err == ERR_OK ? lock_take(restore) : err;
}

enum err cmd_restore(struct cli *cli)
{
    defer(restore_done) struct restore restore = {.cli = cli,
                                                  .file = cli->opts.operands[0],
                                                  .dir = cli->opts.operands[1],
                                                  .dir_fd = -1,
                                                  .file_fd = -1,
                                                  .lock_fd = -1};
    enum err err = look(&restore);
    if (err != ERR_OK || opts_has(&cli->opts, OPT_dry_run)) {
        return err;
    }
    if (restore.has_store &&
        !cmd_confirm(cli, _("Put the backup in the place of the store? The store that is there "
                            "now stays beside it, as store.before-restore."))) {
        return flaw_set(&cli->flaw, ERR_REFUSED, N_("nothing was changed"), NULL);
    }
    err = put_back(&restore);
    return err == ERR_OK ? report(&restore) : err;
}
