/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim receipts: which labs say that they have erased what this one withdrew, each by a signature
 * of its own. */
#include "base/defer.h"
#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/pack.h"

static const struct out_column columns[] = {
    {.path = "id", .title = N_("LAB-ID"), .flexible = true},
    {.path = "name", .title = N_("LAB"), .flexible = true},
    {.path = "state", .title = N_("STATE"), .word = true},
    {.path = "n", .title = N_("UP TO HEAD"), .right = true},
    {.path = "issued_at", .title = N_("SIGNED")},
};

struct asking {
    struct cli *cli;
    struct buf after; /* where the next page begins; size 0: at the first lab */
    json_int_t n;
    uint64_t erased, labs;
    bool end;
};

static void lab_print(struct asking *asking, json_t *lab)
{
    const char *state = json_string_value(json_object_get(lab, "state"));
    bool erased = state != NULL && strcmp(state, "erased") == 0;
    asking->labs++;
    asking->erased += erased;
    value_set(lab, "id", json_incref(json_object_get(lab, "did")));
    (void) json_object_del(lab, "did");
    (void) json_object_del(lab, "lab");
    value_when_text(lab, "issued_at");
    if (json_integer_value(json_object_get(lab, "n")) == 0) {
        value_set(lab, "n", json_null());
    }
    if (asking->cli->out.count < asking->cli->opts.limit) {
        out_item(&asking->cli->out, lab);
    }
}

static enum err page_print(struct asking *asking)
{
    struct cli *cli = asking->cli;
    struct ctl_msg msg;
    struct bytes next = {0};
    defer(buf_done) struct buf params = {0};
    bool resumed = asking->after.size > 0;
    pack_map(&params, resumed ? 2 : 1);
    if (resumed) {
        pack_cstr(&params, "after");
        pack_bin(&params, buf_bytes(&asking->after));
    }
    pack_cstr(&params, "since");
    pack_uint(&params, cli->opts.since);
    enum err err = rpc_call(&cli->rpc, CTL_receipts, buf_bytes(&params), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    asking->end = ctl_get_bin(&msg.result, "next", &next) != ERR_OK;
    buf_clear(&asking->after);
    buf_put(&asking->after, next);
    ctl_done(&msg);
    json_t *whole = value_unpack(rpc_last(&cli->rpc));
    const json_t *result = json_array_get(whole, 3);
    asking->n = json_integer_value(json_object_get(result, "n"));
    size_t index = 0;
    json_t *lab = NULL;
    json_array_foreach(json_object_get(result, "labs"), index, lab)
    {
        lab_print(asking, lab);
    }
    json_decref(whole);
    return asking->after.err;
}

enum err cmd_receipts(struct cli *cli)
{
    struct asking asking = {.cli = cli};
    enum err err = cmd_connect(cli);
    out_begin(&cli->out, "essaim.receipts/1", columns, sizeof columns / sizeof columns[0], "id");
    while (err == ERR_OK && !asking.end) {
        err = page_print(&asking);
    }
    buf_done(&asking.after);
    if (err != ERR_OK) {
        return err;
    }
    json_t *rest = json_object();
    value_set(rest, "n", asking.n > 0 ? json_integer(asking.n) : json_null());
    value_set(rest, "erased", value_uint(asking.erased));
    value_set(rest, "labs", value_uint(asking.labs));
    err = out_end(&cli->out, rest);
    if (err == ERR_OK && asking.n == 0) {
        voice_note(&cli->voice,
                   _("this lab has withdrawn nothing yet, as far as this store knows"));
    }
    return err;
}
