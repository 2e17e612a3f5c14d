/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/renewal.c: see renewal.h.
 *
 * Happy path: ask what stands, sign a record over it, leave keys and record in the directory, tell
 * the daemon. A kill in between leaves files that the daemon removes when it starts.
 */
#include "cli/renewal.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "cli/text.h"
#include "conf/keys.h"
#include "conf/renew.h"

#define TRIES 5

enum err renewal_say(struct cli *cli, enum err err, const struct say *say)
{
    (void) flaw_set(&cli->flaw, err, say->cause, say->next);
    if (say->cause != NULL) {
        (void) snprintf(cli->flaw.file, sizeof cli->flaw.file, "%s", say->place);
    } else if (say->text[0] != '\0') {
        flaw_detail(&cli->flaw, "%s", say->text);
    }
    return err;
}

enum err renewal_root(struct cli *cli, struct rootkey *ret_key)
{
    struct say say = {0};
    char path[PATH_MAX];
    const char *file = cli->opts.values[OPT_root_key];
    if (!opts_has(&cli->opts, OPT_root_key)) {
        int size = snprintf(path, sizeof path, "%s/" KEYS_ROOT, cli->dir);
        if (size < 0 || (size_t) size >= sizeof path) {
            return flaw_set(&cli->flaw, ERR_USAGE, N_("this path is too long"), NULL);
        }
        file = path;
    }
    enum err err = rootkey_load(file, ret_key, &say);
    return err == ERR_OK ? ERR_OK : renewal_say(cli, err, &say);
}

/* ---- identity ---- */

static bool head_read(const msgpack_object *row, struct last_good *ret_good, char *audience)
{
    if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size != 4) {
        return false;
    }
    const msgpack_object *part = row->via.array.ptr;
    if (part[0].type != MSGPACK_OBJECT_BIN || part[0].via.bin.size != HASH_SIZE ||
        part[1].type != MSGPACK_OBJECT_STR || part[1].via.str.size > AUDIENCE_SIZE_MAX ||
        part[2].type != MSGPACK_OBJECT_POSITIVE_INTEGER || part[3].type != MSGPACK_OBJECT_BIN ||
        part[3].via.bin.size != HASH_SIZE) {
        return false;
    }
    memcpy(ret_good->network.bytes, part[0].via.bin.ptr, HASH_SIZE);
    memcpy(audience, part[1].via.str.ptr, part[1].via.str.size);
    audience[part[1].via.str.size] = '\0';
    ret_good->audience = bytes_of(audience, part[1].via.str.size);
    ret_good->n = part[2].via.u64;
    memcpy(ret_good->head_hash.bytes, part[3].via.bin.ptr, HASH_SIZE);
    return true;
}

static bool heads_read(const msgpack_object *result, struct identity *identity)
{
    const msgpack_object *heads = ctl_get(result, "heads");
    if (heads == NULL || heads->type != MSGPACK_OBJECT_ARRAY ||
        heads->via.array.size > LAST_GOOD_MAX) {
        return false;
    }
    identity->head_count = heads->via.array.size;
    for (unsigned i = 0; i < identity->head_count; i++) {
        if (!head_read(&heads->via.array.ptr[i], &identity->heads[i], identity->audiences[i])) {
            return false;
        }
    }
    return true;
}

static bool identity_read(const msgpack_object *result, struct identity *identity)
{
    struct bytes lab = {0};
    struct bytes bytes = {0};
    struct lab_record record;
    if (ctl_get_bin(result, "lab", &lab) != ERR_OK || lab.size != KEY_SIZE ||
        ctl_get_uint(result, "generation", &identity->generation) != ERR_OK ||
        ctl_get_bool(result, "recovering", &identity->recovering) != ERR_OK ||
        ctl_get_uint(result, "pending", &identity->pending) != ERR_OK ||
        ctl_get_uint(result, "own_pending", &identity->own_pending) != ERR_OK ||
        ctl_get_uint(result, "quiet_ms", &identity->quiet_ms) != ERR_OK) {
        return false;
    }
    bytes_copy(identity->lab.bytes, lab);
    if (ctl_get_bin(result, "record", &bytes) == ERR_OK) {
        if (lab_record_open(bytes, &record) != ERR_OK ||
            memcmp(record.lab.bytes, identity->lab.bytes, KEY_SIZE) != 0) {
            return false;
        }
        bytes_copy(identity->name, record.name);
    }
    return heads_read(result, identity);
}

enum err renewal_identity(struct cli *cli, struct identity *ret_identity)
{
    struct ctl_msg msg;
    *ret_identity = (struct identity){0};
    enum err err = rpc_call(&cli->rpc, CTL_identity, bytes_of(NULL, 0), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    if (!identity_read(&msg.result, ret_identity)) {
        err = flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                       N_("are essaim and essaimd of the same version?"));
    }
    ctl_done(&msg);
    return err;
}

/* ---- one rotation ---- */

static enum err record_fill(struct cli *cli, const struct identity *identity, const char *name,
                            struct lab_record *ret_record)
{
    time_t now = time(NULL);
    *ret_record = (struct lab_record){
        .generation = identity->generation + 1,
        .name = bytes_of_str(name != NULL ? name : identity->name),
        .issued_at = now > 0 ? (uint64_t) now : 0,
    };
    if (ret_record->name.size == 0) {
        return flaw_set(&cli->flaw, ERR_USAGE, N_("no peer knows this lab: it needs a name"),
                        N_("such as --name \"Ti Lab\""));
    }
    if (ret_record->generation > 1) {
        ret_record->last_good_count = identity->head_count;
        memcpy(ret_record->last_good, identity->heads,
               identity->head_count * sizeof identity->heads[0]);
    }
    return ERR_OK;
}

static enum err rotate_once(struct cli *cli, const struct rootkey *root, const char *name,
                            struct ctl_msg *ret_msg)
{
    struct identity identity;
    struct lab_record record;
    struct say say = {0};
    enum err err = renewal_identity(cli, &identity);
    if (err == ERR_OK && memcmp(identity.lab.bytes, root->lab.bytes, KEY_SIZE) != 0) {
        err = flaw_set(&cli->flaw, ERR_KEY, N_("this is the root key of another lab"),
                       N_("use that of the lab whose daemon runs here"));
    }
    if (err == ERR_OK) {
        err = record_fill(cli, &identity, name, &record);
    }
    if (err != ERR_OK || opts_has(&cli->opts, OPT_dry_run)) {
        return err;
    }
    err = renew_stage(cli->dir, root, &record, &say);
    if (err == ERR_INVALID) {
        return flaw_set(&cli->flaw, ERR_USAGE, N_("a lab's name is one line of 1 to 64 bytes"),
                        N_("such as --name \"Ti Lab\""));
    }
    if (err != ERR_OK) {
        return renewal_say(cli, err, &say);
    }
    err = rpc_call(&cli->rpc, CTL_key_rotate, bytes_of(NULL, 0), ret_msg, &cli->flaw);
    if (err != ERR_OK) {
        renew_unstage(cli->dir);
    }
    return err;
}

enum err renewal_rotate(struct cli *cli, const struct rootkey *root, const char *name,
                        uint64_t *ret_generation, uint64_t *ret_n)
{
    struct ctl_msg msg = {0};
    enum err err = ERR_CONFLICT;
    for (unsigned i = 0; i < TRIES && err == ERR_CONFLICT; i++) {
        err = rotate_once(cli, root, name, &msg);
    }
    if (err == ERR_CONFLICT) {
        cli->flaw.hint = N_("much is being published: try again when less is");
    }
    if (err != ERR_OK || opts_has(&cli->opts, OPT_dry_run)) {
        return err;
    }
    bool good = ctl_get_uint(&msg.result, "generation", ret_generation) == ERR_OK &&
                ctl_get_uint(&msg.result, "n", ret_n) == ERR_OK;
    ctl_done(&msg);
    return good ? ERR_OK
                : flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                           N_("are essaim and essaimd of the same version?"));
}
