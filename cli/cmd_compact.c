/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim compact: rids the daemon's disk of what was withdrawn or replaced: a copy takes the
 * store's place. essaim backup: the same copy, as a file elsewhere. Both end when it is done. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/defer.h"
#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/pack.h"

static uint64_t now_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/* What the daemon answered, with how long it took. NULL without one. */
static json_t *answer_of(struct cli *cli, uint64_t begun_ms)
{
    json_t *whole = value_unpack(rpc_last(&cli->rpc));
    json_t *answer = json_incref(json_array_get(whole, 3));
    json_decref(whole);
    if (!json_is_object(answer)) {
        json_decref(answer);
        (void) flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                        N_("are essaim and essaimd of the same version?"));
        return NULL;
    }
    value_set(answer, "duration_ms", value_uint(now_ms() - begun_ms));
    return answer;
}

enum err cmd_compact(struct cli *cli)
{
    struct ctl_msg msg;
    uint64_t begun_ms = now_ms();
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        cmd_patience(cli);
        err = rpc_call(&cli->rpc, CTL_compact, bytes_of(NULL, 0), &msg, &cli->flaw);
    }
    if (err != ERR_OK) {
        return err;
    }
    ctl_done(&msg);
    json_t *answer = answer_of(cli, begun_ms);
    return answer == NULL ? ERR_NET : out_single(&cli->out, "essaim.compact/1", answer, "after");
}

/* The daemon has another working directory. */
static enum err path_whole(struct cli *cli, const char *path, char ret_path[PATH_MAX])
{
    char here[PATH_MAX];
    int size = 0;
    if (path[0] == '/') {
        size = snprintf(ret_path, PATH_MAX, "%s", path);
    } else if (getcwd(here, sizeof here) != NULL) {
        size = snprintf(ret_path, PATH_MAX, "%s/%s", strcmp(here, "/") == 0 ? "" : here, path);
    } else {
        return flaw_set(&cli->flaw, ERR_IO, N_("the current directory cannot be named"),
                        N_("give the full path"));
    }
    return size > 0 && size < PATH_MAX
               ? ERR_OK
               : flaw_set(&cli->flaw, ERR_USAGE, N_("the path is too long"), NULL);
}

/* The daemon names path, cause and next step; the last in the words of the table. */
static void refusal_explain(struct flaw *flaw)
{
    char *next = strstr(flaw->detail, "; ");
    if (next != NULL && (flaw->err == ERR_EXISTS || flaw->err == ERR_IO)) {
        *next = '\0';
    }
    if (flaw->err == ERR_EXISTS) {
        flaw->text = N_("a backup replaces nothing");
        flaw->hint =
            N_("choose another name; what ends in .tmp was left by a backup that was cut short");
    } else if (flaw->err == ERR_IO) {
        flaw->text = N_("the daemon could not write the backup");
        flaw->hint = N_("choose a directory that the daemon's user may write to");
    }
}

enum err cmd_backup(struct cli *cli)
{
    char path[PATH_MAX];
    struct ctl_msg msg;
    defer(buf_done) struct buf params = {0};
    uint64_t begun_ms = now_ms();
    enum err err = path_whole(cli, cli->opts.operands[0], path);
    if (err == ERR_OK) {
        err = cmd_connect(cli);
    }
    if (err != ERR_OK) {
        return err;
    }
    cmd_patience(cli);
    pack_map(&params, 1);
    pack_cstr(&params, "path");
    pack_cstr(&params, path);
    err = params.err != ERR_OK
              ? params.err
              : rpc_call(&cli->rpc, CTL_backup, buf_bytes(&params), &msg, &cli->flaw);
    if (err != ERR_OK) {
        refusal_explain(&cli->flaw);
        return err;
    }
    ctl_done(&msg);
    json_t *answer = answer_of(cli, begun_ms);
    if (answer == NULL) {
        return ERR_NET;
    }
    value_bin_text(answer, "digest", false);
    value_set(answer, "path", json_string(path));
    err = out_single(&cli->out, "essaim.backup/1", answer, "path");
    if (err == ERR_OK) {
        voice_note(&cli->voice,
                   _("the keys are not in it: keep root.key, signing.key, link.key and "
                     "lab.record elsewhere"));
    }
    return err;
}
