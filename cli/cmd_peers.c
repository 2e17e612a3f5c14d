/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim peers: list, add, remove. LAB is a did:key; LAB@HOST:PORT also says where to dial it. */
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/target.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/did.h"
#include "proto/pack.h"

static const struct out_column columns[] = {
    {.path = "id", .title = N_("LAB-ID"), .flexible = true},
    {.path = "name", .title = N_("LAB"), .flexible = true},
    {.path = "alias", .title = N_("ALIAS")},
    {.path = "address", .title = N_("ADDRESS")},
    {.path = "state", .title = N_("STATE"), .word = true},
};

static enum err list(struct cli *cli)
{
    struct ctl_msg msg;
    enum err err = rpc_call(&cli->rpc, CTL_peers_list, bytes_of(NULL, 0), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    ctl_done(&msg);
    json_t *whole = value_unpack(rpc_last(&cli->rpc));
    json_t *peers = json_object_get(json_array_get(whole, 3), "peers");
    size_t index = 0;
    json_t *peer = NULL;
    out_begin(&cli->out, "essaim.peers/1", columns, sizeof columns / sizeof columns[0], "id");
    json_array_foreach(peers, index, peer)
    {
        value_bin_text(peer, "lab", true);
        json_t *id = json_incref(json_object_get(peer, "lab"));
        (void) json_object_del(peer, "lab");
        (void) json_object_del(peer, "did");
        value_set(peer, "id", id == NULL ? json_null() : id);
        out_item(&cli->out, peer);
    }
    json_decref(whole);
    return out_end(&cli->out, NULL);
}

static enum err usage(struct cli *cli, const char *text, const char *hint, const char *word)
{
    (void) flaw_set(&cli->flaw, ERR_USAGE, text, hint);
    flaw_detail(&cli->flaw, "%s", word);
    return ERR_USAGE;
}

static enum err change(struct cli *cli, enum ctl_method method, const struct buf *params,
                       const char *lab)
{
    struct ctl_msg msg;
    if (opts_has(&cli->opts, OPT_dry_run)) {
        return ERR_OK;
    }
    enum err err = params->err != ERR_OK
                       ? params->err
                       : rpc_call(&cli->rpc, method, buf_bytes(params), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    ctl_done(&msg);
    if (!out_is_json(&cli->out)) {
        return ERR_OK;
    }
    json_t *answer = json_object();
    value_set(answer, "id", value_str(bytes_of_str(lab)));
    value_set(answer, "change", json_string(method == CTL_peers_add ? "added" : "removed"));
    return out_single(&cli->out, "essaim.peer/1", answer, "id");
}

static enum err add(struct cli *cli, const char *text)
{
    struct buf params = {0};
    struct target target;
    const char *alias = cli->opts.values[OPT_alias];
    char did[DID_SIZE_MAX] = "";
    enum err err = target_parse(text, &target, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    struct bytes lab = target.lab;
    struct bytes address = target.address;
    (void) snprintf(did, sizeof did, "%.*s", (int) lab.size, (const char *) lab.data);
    pack_map(&params, 1u + (address.size > 0) + (alias != NULL));
    if (address.size > 0) {
        pack_cstr(&params, "address");
        pack_str(&params, address);
    }
    if (alias != NULL) {
        pack_cstr(&params, "alias");
        pack_cstr(&params, alias);
    }
    pack_cstr(&params, "lab");
    pack_str(&params, lab);
    err = change(cli, CTL_peers_add, &params, did);
    buf_done(&params);
    return err;
}

static enum err drop(struct cli *cli, const char *lab)
{
    struct buf params = {0};
    pack_map(&params, 1);
    pack_cstr(&params, "lab");
    pack_cstr(&params, lab);
    enum err err = change(cli, CTL_peers_remove, &params, lab);
    buf_done(&params);
    return err;
}

static bool word_is(const char *word, const char *name, const char *alias)
{
    return strcmp(word, name) == 0 || strcmp(word, alias) == 0;
}

enum err cmd_peers(struct cli *cli)
{
    int count = cli->opts.operand_count;
    const char *word = count > 0 ? cli->opts.operands[0] : "list";
    bool is_list = word_is(word, "list", "lister");
    bool is_add = word_is(word, "add", "ajouter");
    bool is_remove = word_is(word, "remove", "retirer");
    if ((!is_list && !is_add && !is_remove) || (is_list && count > 1) || (!is_list && count != 2)) {
        return usage(cli, N_("use: peers list, peers add LAB[@HOST:PORT], peers remove LAB"),
                     N_("see: essaim help peers"), word);
    }
    enum err err = cmd_connect(cli);
    if (err != ERR_OK) {
        return err;
    }
    return is_list  ? list(cli)
           : is_add ? add(cli, cli->opts.operands[1])
                    : drop(cli, cli->opts.operands[1]);
}
