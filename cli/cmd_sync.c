/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim sync: returns when enough peers hold this lab's newest entries; exit 8 when they do not in
 * time. Scripts need no sleep. */
#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/pack.h"

#define ANSWER_MS 5000u /* what the daemon may take beyond the time it was given */

enum err cmd_sync(struct cli *cli)
{
    struct buf params = {0};
    struct ctl_msg msg;
    uint64_t held = 0;
    uint64_t n = 0;
    uint64_t wait = opts_has(&cli->opts, OPT_wait) ? cli->opts.wait : 1;
    enum err err = cmd_connect(cli);
    if (err != ERR_OK) {
        return err;
    }
    cli->rpc.timeout_ms = cli->opts.timeout_ms + ANSWER_MS;
    pack_map(&params, 2);
    pack_cstr(&params, "timeout_ms");
    pack_uint(&params, cli->opts.timeout_ms);
    pack_cstr(&params, "wait");
    pack_uint(&params, wait);
    err = rpc_call(&cli->rpc, CTL_sync, buf_bytes(&params), &msg, &cli->flaw);
    buf_done(&params);
    if (err == ERR_TIMEOUT) {
        return flaw_set(&cli->flaw, ERR_TIMEOUT, N_("not enough peers hold the newest entries yet"),
                        N_("essaim status shows the links; wait longer with --timeout SECONDS"));
    }
    if (err != ERR_OK) {
        return err;
    }
    bool good = ctl_get_uint(&msg.result, "held", &held) == ERR_OK;
    bool has_n = ctl_get_uint(&msg.result, "n", &n) == ERR_OK;
    ctl_done(&msg);
    json_t *answer = json_object();
    value_set(answer, "held", good ? value_uint(held) : json_null());
    value_set(answer, "n", has_n ? value_uint(n) : json_null());
    return out_single(&cli->out, "essaim.sync/1", answer, "n");
}
