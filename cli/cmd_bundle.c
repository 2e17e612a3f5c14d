/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * essaim bundle export, import: what labs would tell each other, in a file, for those that never
 * meet. The file is made and checked by the daemon; here it is only written and read.
 *
 * An export goes to FILE.tmp, is synced, and only then takes its name. An import goes on where an
 * earlier one stopped; where the daemon wants to read the file again, it is read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"
#include "cli/cmd.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/value.h"
#include "cli/words.h"
#include "proto/did.h"
#include "proto/pack.h"

#define READ_SIZE (512u * 1024u)
#define PASSES_MAX 4
#define PROGRESS_UNIT 1000 /* bytes are shown by the kilobyte */

struct target {
    const char *path;
    char *path_new; /* path with .tmp; NULL: standard output, or nothing to be written */
    int fd;         /* -1: none */
    uint64_t size;
};

static enum err fail(struct cli *cli, enum err err, const char *text, const char *hint,
                     const char *word)
{
    (void) flaw_set(&cli->flaw, err, text, hint);
    flaw_detail(&cli->flaw, "%s", word);
    return err;
}

static enum err answer_bad(struct cli *cli)
{
    return flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                    N_("are essaim and essaimd of the same version?"));
}

/* ---- writing ---- */

static enum err write_failed(struct cli *cli, const char *path)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return fail(cli, full ? ERR_FULL : ERR_IO, N_("the bundle cannot be written"),
                full ? N_("make room there, or take another disk") : NULL, path);
}

static enum err target_open(struct cli *cli, struct target *target)
{
    struct stat stat;
    bool dry_run = opts_has(&cli->opts, OPT_dry_run);
    if (strcmp(target->path, "-") == 0) {
        target->fd = dry_run ? -1 : STDOUT_FILENO;
        return isatty(STDOUT_FILENO) != 1
                   ? ERR_OK
                   : flaw_set(&cli->flaw, ERR_USAGE, N_("a bundle is bytes, not text"),
                              N_("write it to a file: essaim bundle export FILE"));
    }
    bool there = lstat(target->path, &stat) == 0;
    if (there && !S_ISREG(stat.st_mode)) {
        return fail(cli, ERR_USAGE, N_("this is not a regular file"), N_("name another file"),
                    target->path);
    }
    if (there && !opts_has(&cli->opts, OPT_yes)) {
        return fail(cli, ERR_EXISTS, N_("the file is there already"),
                    N_("replace it with --yes, or name another file"), target->path);
    }
    if (dry_run) {
        return ERR_OK;
    }
    size_t size = strlen(target->path) + sizeof ".tmp";
    target->path_new = malloc(size);
    if (target->path_new == NULL) {
        return ERR_NOMEM;
    }
    (void) snprintf(target->path_new, size, "%s.tmp", target->path);
    target->fd =
        open(target->path_new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    return target->fd >= 0 ? ERR_OK : write_failed(cli, target->path_new);
}

static enum err target_write(struct cli *cli, struct target *target, struct bytes bytes)
{
    target->size += bytes.size;
    while (target->fd >= 0 && bytes.size > 0) {
        ssize_t size = write(target->fd, bytes.data, bytes.size);
        if (size < 0 && errno != EINTR) {
            return write_failed(cli, target->path);
        }
        size_t step = size > 0 ? (size_t) size : 0;
        bytes = bytes_of(bytes.data + step, bytes.size - step);
    }
    return ERR_OK;
}

/* The name, too, must be on the disk before it is pulled out. */
static bool directory_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t) (slash - path));
    int fd = parent == NULL ? -1 : open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    bool done = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    if (fd >= 0) {
        (void) close(fd);
    }
    return done;
}

static enum err target_finish(struct cli *cli, struct target *target)
{
    if (target->path_new == NULL) {
        return ERR_OK;
    }
    bool synced = fsync(target->fd) == 0;
    bool closed = close(target->fd) == 0;
    target->fd = -1;
    if (!synced || !closed || rename(target->path_new, target->path) != 0) {
        return write_failed(cli, target->path);
    }
    free(target->path_new);
    target->path_new = NULL;
    return directory_sync(target->path) ? ERR_OK : write_failed(cli, target->path);
}

static void target_done(struct target *target)
{
    if (target->path_new != NULL) {
        if (target->fd >= 0) {
            (void) close(target->fd);
        }
        (void) unlink(target->path_new);
        free(target->path_new);
    }
}

/* ---- export ---- */

static void labs_pack(const struct cli *cli, struct buf *params)
{
    pack_map(params, 1);
    pack_cstr(params, "labs");
    pack_array(params, cli->opts.lab_count);
    for (unsigned i = 0; i < cli->opts.lab_count; i++) {
        pack_cstr(params, cli->opts.labs[i]);
    }
}

struct exported {
    uint64_t entries, total, missing;
    bool next;
};

/* One request and its part. */
static enum err part_fetch(struct cli *cli, struct bytes params, struct target *target,
                           struct exported *exported)
{
    struct ctl_msg msg;
    struct bytes part = {0};
    enum err err = rpc_call(&cli->rpc, CTL_bundle_export, params, &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    if (ctl_get_bin(&msg.result, "part", &part) != ERR_OK ||
        ctl_get_bool(&msg.result, "next", &exported->next) != ERR_OK ||
        ctl_get_uint(&msg.result, "entries", &exported->entries) != ERR_OK ||
        ctl_get_uint(&msg.result, "total", &exported->total) != ERR_OK ||
        ctl_get_uint(&msg.result, "missing", &exported->missing) != ERR_OK) {
        err = answer_bad(cli);
    } else {
        err = target_write(cli, target, part);
    }
    ctl_done(&msg);
    return err;
}

static enum err export_run(struct cli *cli, struct target *target, struct exported *exported)
{
    defer(buf_done) struct buf params = {0};
    struct progress progress;
    labs_pack(cli, &params);
    progress_begin(&progress, N_("exporting"), !cli->voice.json && !cli->voice.quiet);
    enum err err = params.err;
    *exported = (struct exported){.next = true};
    while (err == ERR_OK && exported->next) {
        err = part_fetch(cli, buf_bytes(&params), target, exported);
        progress_step(&progress, exported->entries, exported->total);
        buf_clear(&params);
        pack_map(&params, 0);
        err = err == ERR_OK ? params.err : err;
    }
    progress_end(&progress);
    return err != ERR_OK ? err : target_finish(cli, target);
}

static enum err export_report(struct cli *cli, const struct target *target,
                              const struct exported *exported)
{
    enum err err = ERR_OK;
    if (target->fd != STDOUT_FILENO) {
        json_t *answer = json_object();
        value_set(answer, "file", value_str(bytes_of_str(target->path)));
        value_set(answer, "bytes", value_uint(target->size));
        value_set(answer, "entries", value_uint(exported->entries));
        value_set(answer, "missing", value_uint(exported->missing));
        err = out_single(&cli->out, "essaim.export/1", answer, "file");
    }
    if (err == ERR_OK && exported->missing > 0) {
        err = flaw_set(&cli->flaw, ERR_PARTIAL,
                       N_("the entries of some labs are damaged here and were left out"),
                       N_("see: essaim verify"));
    }
    return err;
}

static enum err bundle_export(struct cli *cli)
{
    struct target target = {.path = cli->opts.operands[1], .fd = -1};
    struct exported exported;
    enum err err = target_open(cli, &target);
    if (err == ERR_OK) {
        err = cmd_connect(cli);
    }
    if (err == ERR_OK) {
        err = export_run(cli, &target, &exported);
    }
    if (err == ERR_OK) {
        err = export_report(cli, &target, &exported);
    }
    target_done(&target);
    return err;
}

/* ---- import ---- */

struct imported {
    uint64_t accepted, unchanged, incomplete;
    bool whole, again;
    json_t *refused;
};

static json_t *refusals_json(const msgpack_object *refused)
{
    json_t *list = json_array();
    uint32_t count = refused->type == MSGPACK_OBJECT_ARRAY ? refused->via.array.size : 0;
    for (uint32_t i = 0; i < count; i++) {
        const msgpack_object *row = &refused->via.array.ptr[i];
        const msgpack_object *items = row->via.array.ptr;
        if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size != 3 ||
            items[0].type != MSGPACK_OBJECT_BIN || items[0].via.bin.size != KEY_SIZE ||
            items[1].type != MSGPACK_OBJECT_STR || items[2].type != MSGPACK_OBJECT_STR) {
            continue;
        }
        struct lab_id lab;
        char did[DID_SIZE_MAX];
        memcpy(lab.bytes, items[0].via.bin.ptr, KEY_SIZE);
        did_encode(&lab, did);
        json_t *refusal = json_object();
        value_set(refusal, "id", json_string(did));
        value_set(refusal, "code",
                  value_str(bytes_of(items[1].via.str.ptr, items[1].via.str.size)));
        value_set(refusal, "message",
                  value_str(bytes_of(items[2].via.str.ptr, items[2].via.str.size)));
        (void) json_array_append_new(list, refusal);
    }
    return list;
}

static enum err part_send(struct cli *cli, struct bytes part, bool end, struct imported *imported)
{
    struct ctl_msg msg;
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 2);
    pack_cstr(&params, "end");
    pack_bool(&params, end);
    pack_cstr(&params, "part");
    pack_bin(&params, part);
    enum err err = params.err;
    if (err == ERR_OK) {
        err = rpc_call(&cli->rpc, CTL_bundle_import, buf_bytes(&params), &msg, &cli->flaw);
    }
    if (err != ERR_OK) {
        return err;
    }
    const msgpack_object *refused = ctl_get(&msg.result, "refused");
    if (refused == NULL || ctl_get_bool(&msg.result, "whole", &imported->whole) != ERR_OK ||
        ctl_get_bool(&msg.result, "again", &imported->again) != ERR_OK ||
        ctl_get_uint(&msg.result, "accepted", &imported->accepted) != ERR_OK ||
        ctl_get_uint(&msg.result, "unchanged", &imported->unchanged) != ERR_OK ||
        ctl_get_uint(&msg.result, "incomplete", &imported->incomplete) != ERR_OK) {
        err = answer_bad(cli);
    } else if (end) {
        json_decref(imported->refused);
        imported->refused = refusals_json(refused);
    }
    ctl_done(&msg);
    return err;
}

/* As much as there is, up to READ_SIZE. */
static enum err part_read(struct cli *cli, int fd, const char *path, uint8_t *into,
                          size_t *ret_size)
{
    size_t have = 0;
    while (have < READ_SIZE) {
        ssize_t size = read(fd, into + have, READ_SIZE - have);
        if (size < 0 && errno != EINTR) {
            return fail(cli, ERR_IO, N_("the file cannot be read"), NULL, path);
        }
        if (size == 0) {
            break;
        }
        have += size > 0 ? (size_t) size : 0;
    }
    *ret_size = have;
    return ERR_OK;
}

/* One reading of the file. */
static enum err import_pass(struct cli *cli, int fd, uint64_t total, struct imported *imported)
{
    uint8_t *part = malloc(READ_SIZE);
    struct progress progress;
    uint64_t done = 0;
    bool end = false;
    enum err err = part == NULL ? ERR_NOMEM : ERR_OK;
    progress_begin(&progress, N_("importing, kB"), !cli->voice.json && !cli->voice.quiet);
    while (err == ERR_OK && !end) {
        size_t size = 0;
        err = part_read(cli, fd, cli->opts.operands[1], part, &size);
        end = size < READ_SIZE;
        if (err == ERR_OK) {
            err = part_send(cli, bytes_of(part, size), end, imported);
        }
        done += size;
        progress_step(&progress, done / PROGRESS_UNIT, total / PROGRESS_UNIT);
    }
    progress_end(&progress);
    free(part);
    return err;
}

static enum err import_run(struct cli *cli, int fd, struct imported *imported)
{
    struct stat stat;
    bool regular = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
    off_t begin = regular ? lseek(fd, 0, SEEK_CUR) : -1;
    enum err err = ERR_OK;
    for (unsigned pass = 0; err == ERR_OK && pass < PASSES_MAX; pass++) {
        err = import_pass(cli, fd, regular ? (uint64_t) stat.st_size : 0, imported);
        if (!imported->again || begin < 0 || lseek(fd, begin, SEEK_SET) < 0) {
            break;
        }
    }
    return err;
}

static void refusals_say(struct cli *cli, const json_t *refused)
{
    size_t index = 0;
    const json_t *refusal = NULL;
    json_array_foreach(refused, index, refusal)
    {
        struct flaw flaw;
        enum err err = err_from_code(json_string_value(json_object_get(refusal, "code")));
        (void) flaw_set(&flaw, err == ERR_OK ? ERR_INTERNAL : err, NULL, NULL);
        (void) snprintf(flaw.field, sizeof flaw.field, "%s",
                        json_string_value(json_object_get(refusal, "id")));
        if (!cli->voice.json) {
            voice_flaw(&cli->voice, &flaw);
        }
    }
}

static enum err import_outcome(struct cli *cli, const struct imported *imported, size_t refused)
{
    struct flaw *flaw = &cli->flaw;
    if (!imported->whole) {
        return flaw_set(flaw, ERR_PARTIAL, N_("the bundle is cut short"),
                        N_("import the whole file to go on from here"));
    }
    if (refused > 0) {
        enum err err = imported->accepted + imported->unchanged + imported->incomplete > 0
                           ? ERR_PARTIAL
                           : ERR_REFUSED;
        return flaw_set(flaw, err, N_("what some labs say was refused"), NULL);
    }
    if (imported->incomplete > 0) {
        return flaw_set(flaw, ERR_PARTIAL, N_("the catalogues of some labs are not complete"),
                        imported->again ? N_("import the same file again, from a disk")
                                        : N_("ask for another bundle, or link with another lab"));
    }
    return ERR_OK;
}

static enum err import_report(struct cli *cli, struct imported *imported)
{
    size_t refused = json_array_size(imported->refused);
    refusals_say(cli, imported->refused);
    json_t *answer = json_object();
    value_set(answer, "file", value_str(bytes_of_str(cli->opts.operands[1])));
    value_set(answer, "accepted", value_uint(imported->accepted));
    value_set(answer, "unchanged", value_uint(imported->unchanged));
    value_set(answer, "incomplete", value_uint(imported->incomplete));
    value_set(answer, "whole", json_boolean(imported->whole));
    value_set(answer, "refused", json_incref(imported->refused));
    enum err err = out_single(&cli->out, "essaim.import/1", answer, "file");
    return err != ERR_OK ? err : import_outcome(cli, imported, refused);
}

static enum err bundle_import(struct cli *cli)
{
    const char *path = cli->opts.operands[1];
    if (opts_has(&cli->opts, OPT_dry_run)) {
        return flaw_set(&cli->flaw, ERR_USAGE, N_("an import cannot be tried out"), NULL);
    }
    bool given = strcmp(path, "-") == 0;
    int fd = given ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail(cli, ERR_NOT_FOUND, N_("the file cannot be read"), N_("check the name"), path);
    }
    struct imported imported = {.refused = json_array()};
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        err = import_run(cli, fd, &imported);
    }
    if (err == ERR_OK) {
        err = import_report(cli, &imported);
    }
    json_decref(imported.refused);
    if (!given) {
        (void) close(fd);
    }
    return err;
}

static bool word_is(const char *word, const char *name, const char *alias)
{
    return strcmp(word, name) == 0 || strcmp(word, alias) == 0;
}

enum err cmd_bundle(struct cli *cli)
{
    const char *word = cli->opts.operands[0];
    if (word_is(word, "export", "exporter")) {
        return bundle_export(cli);
    }
    if (word_is(word, "import", "importer") && cli->opts.lab_count == 0) {
        return bundle_import(cli);
    }
    return fail(cli, ERR_USAGE, N_("use: bundle export FILE [--lab LAB]…, bundle import FILE"),
                N_("see: essaim help bundle"), word);
}
