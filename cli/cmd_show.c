/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim show: one entry, whole, with the head that proves it. */
#include "cli/cmd.h"
#include "cli/item.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/pack.h"

static json_t *head_json(const msgpack_object *result)
{
    uint64_t n = 0;
    uint64_t generation = 0;
    uint64_t issued_at = 0;
    json_t *head = json_object();
    if (ctl_get_uint(result, "n", &n) == ERR_OK) {
        value_set(head, "n", value_uint(n));
    }
    if (ctl_get_uint(result, "generation", &generation) == ERR_OK) {
        value_set(head, "generation", value_uint(generation));
    }
    if (ctl_get_uint(result, "issued_at", &issued_at) == ERR_OK) {
        value_set(head, "issued_at", value_when(issued_at));
    }
    return head;
}

/* A terminal shows the chosen title first; everything else follows as it is. */
static json_t *ordered(json_t *item, json_t *head, struct bytes leaf)
{
    json_t *body = json_incref(json_object_get(item, "body"));
    (void) json_object_del(item, "body");
    value_set(item, "head", head);
    value_set(item, "leaf", value_hex(leaf));
    value_set(item, "body", body == NULL ? json_null() : body);
    return item;
}

static enum err answer(struct cli *cli, struct labs *labs, const msgpack_object *result)
{
    struct bytes lab = {0};
    struct bytes entry = {0};
    struct bytes leaf = {0};
    if (ctl_get_bin(result, "lab", &lab) != ERR_OK ||
        ctl_get_bin(result, "entry", &entry) != ERR_OK ||
        ctl_get_bin(result, "leaf", &leaf) != ERR_OK) {
        return flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                        N_("are essaim and essaimd of the same version?"));
    }
    json_t *item = item_of_entry(labs, lab, entry, cli->lang, true);
    if (item == NULL) {
        return flaw_set(&cli->flaw, ERR_CORRUPT, NULL, NULL);
    }
    return out_single(&cli->out, "essaim.entry/1", ordered(item, head_json(result), leaf), "id");
}

enum err cmd_show(struct cli *cli)
{
    struct labs labs = {0};
    struct ctl_msg msg;
    struct buf params = {0};
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        err = labs_load(&labs, &cli->rpc, NULL, &cli->flaw);
    }
    if (err == ERR_OK) {
        pack_map(&params, 1);
        pack_cstr(&params, "ref");
        pack_cstr(&params, cli->opts.operands[0]);
        err = rpc_call(&cli->rpc, CTL_show, buf_bytes(&params), &msg, &cli->flaw);
        if (err != ERR_OK) {
            flaw_detail(&cli->flaw, "%s", cli->opts.operands[0]);
        }
    }
    if (err == ERR_OK) {
        err = answer(cli, &labs, &msg.result);
        ctl_done(&msg);
    }
    buf_done(&params);
    labs_done(&labs);
    return err;
}
