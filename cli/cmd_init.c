/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * essaim init: makes a lab. Keys (conf/keys.c) and settings (conf/conf.c) in DIR; the store is made
 * by essaimd when it first starts. Prints the lab id alone.
 *
 * Refuses a directory that holds anything, saying what to do.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "conf/conf.h"
#include "conf/keys.h"
#include "proto/did.h"

static enum err refuse(struct cli *cli, enum err err, const char *text, const char *hint,
                       const char *what)
{
    (void) flaw_set(&cli->flaw, err, text, hint);
    flaw_detail(&cli->flaw, "%s", what);
    return err;
}

/* ERR_OK for a directory that is not there, or is empty. */
static enum err dir_check(struct cli *cli, const char *dir)
{
    DIR *listing = opendir(dir);
    if (listing == NULL) {
        return errno == ENOENT
                   ? ERR_OK
                   : refuse(cli, errno == ENOTDIR ? ERR_EXISTS : ERR_IO,
                            N_("this directory cannot be used"), N_("choose another one"), dir);
    }
    bool empty = true;
    const struct dirent *entry = NULL;
    while ((entry = readdir(listing)) != NULL) {
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    }
    (void) closedir(listing);
    return empty ? ERR_OK
                 : refuse(cli, ERR_EXISTS, N_("this directory is not empty"),
                          N_("choose another one; if it is a lab already, start it: essaimd --dir "
                             "DIR"),
                          dir);
}

static enum err listen_check(struct cli *cli, const char *listen)
{
    struct address address;
    if (listen == NULL || address_parse(bytes_of_str(listen), &address) == ERR_OK) {
        return ERR_OK;
    }
    return refuse(cli, ERR_USAGE, N_("--listen takes HOST:PORT"),
                  N_("such as --listen 0.0.0.0:4242 or --listen [::]:4242"), listen);
}

static enum err keys_make(struct cli *cli, const char *dir, struct lab_id *ret_lab)
{
    const char *name = cli->opts.values[OPT_name];
    time_t now = time(NULL);
    enum err err = keys_create(dir, name, now > 0 ? (uint64_t) now : 0, ret_lab);
    switch (err) {
    case ERR_OK:
        return ERR_OK;
    case ERR_INVALID:
        return refuse(cli, ERR_USAGE, N_("a lab's name is one line of 1 to 64 bytes"),
                      N_("such as --name \"Ti Lab\""), name);
    case ERR_KEY:
        return refuse(cli, err, N_("the directory must be yours and closed to others"),
                      N_("chmod 700 DIR, or choose another one"), dir);
    default:
        return refuse(cli, err, NULL, NULL, dir);
    }
}

enum err cmd_init(struct cli *cli)
{
    const char *dir = cli->opts.operands[0];
    const char *listen = cli->opts.values[OPT_listen];
    struct lab_id lab;
    if (!opts_has(&cli->opts, OPT_name)) {
        return flaw_set(&cli->flaw, ERR_USAGE, N_("the lab needs a name"),
                        N_("such as --name \"Ti Lab\""));
    }
    enum err err = listen_check(cli, listen);
    if (err == ERR_OK) {
        err = dir_check(cli, dir);
    }
    if (err != ERR_OK || opts_has(&cli->opts, OPT_dry_run)) {
        return err;
    }
    err = keys_make(cli, dir, &lab);
    if (err == ERR_OK) {
        err = conf_write(dir, listen);
        if (err != ERR_OK) {
            return refuse(cli, err, N_("the settings could not be written"), NULL, dir);
        }
    }
    if (err != ERR_OK) {
        return err;
    }
    char did[DID_SIZE_MAX];
    did_encode(&lab, did);
    json_t *answer = json_object();
    value_set(answer, "id", json_string(did));
    value_set(answer, "name", json_string(cli->opts.values[OPT_name]));
    value_set(answer, "dir", json_string(dir));
    if (!out_is_json(&cli->out)) {
        cli->out.format = OUT_IDS;
    }
    err = out_single(&cli->out, "essaim.init/1", answer, "id");
    if (cli->out.terminal) {
        voice_note(&cli->voice,
                   _("move root.key to a safe place offline; start the lab: essaimd --dir DIR"));
    }
    return err;
}
