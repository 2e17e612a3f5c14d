/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim history: the revisions of an entry of this lab, as far as they are kept ([history] keep),
 * the oldest first; bodies with --json. */
#include "base/defer.h"
#include "cli/cmd.h"
#include "cli/item.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/pack.h"

static const struct out_column columns[] = {
    {.path = "rev", .title = N_("REV"), .right = true},
    {.path = "current", .title = N_("CURRENT")},
    {.path = "title", .title = N_("TITLE"), .flexible = true},
};

struct history {
    struct cli *cli;
    struct labs labs;
    uint64_t after;
    bool end;
};

static void revision_print(struct history *history, const msgpack_object *row)
{
    struct bytes entry = {0};
    bool current = false;
    if (ctl_get_bin(row, "entry", &entry) != ERR_OK ||
        ctl_get_bool(row, "current", &current) != ERR_OK) {
        return;
    }
    struct bytes own = {0};
    if (history->labs.count > 0) {
        own = BYTES_OF_ARRAY(history->labs.rows[0].lab.bytes);
    }
    json_t *item = item_of_entry(&history->labs, own, entry, history->cli->lang, true);
    if (item != NULL) {
        value_set(item, "current", json_boolean(current));
        out_item(&history->cli->out, item);
        json_decref(item);
    }
}

static enum err page_print(struct history *history)
{
    struct cli *cli = history->cli;
    struct ctl_msg msg;
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 2);
    pack_cstr(&params, "after");
    pack_uint(&params, history->after);
    pack_cstr(&params, "slug");
    pack_cstr(&params, cli->opts.operands[0]);
    enum err err = rpc_call(&cli->rpc, CTL_history, buf_bytes(&params), &msg, &cli->flaw);
    if (err != ERR_OK) {
        flaw_detail(&cli->flaw, "%s%s", cli->flaw.detail[0] == '\0' ? "" : ": ",
                    cli->opts.operands[0]);
        return err;
    }
    const msgpack_object *rows = ctl_get(&msg.result, "revisions");
    for (uint32_t i = 0; rows != NULL && rows->type == MSGPACK_OBJECT_ARRAY &&
                         i < rows->via.array.size && cli->out.count < cli->opts.limit;
         i++) {
        revision_print(history, &rows->via.array.ptr[i]);
    }
    history->end = ctl_get_uint(&msg.result, "next", &history->after) != ERR_OK ||
                   cli->out.count >= cli->opts.limit;
    ctl_done(&msg);
    return ERR_OK;
}

enum err cmd_history(struct cli *cli)
{
    struct history history = {.cli = cli};
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        err = labs_load(&history.labs, &cli->rpc, "", &cli->flaw); /* this one alone */
    }
    out_begin(&cli->out, "essaim.history/1", columns, sizeof columns / sizeof columns[0], "rev");
    while (err == ERR_OK && !history.end) {
        err = page_print(&history);
    }
    if (err == ERR_OK) {
        err = out_end(&cli->out, NULL);
    }
    labs_done(&history.labs);
    return err;
}
