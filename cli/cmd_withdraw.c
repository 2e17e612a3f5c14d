/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim withdraw: takes entries of this lab back, everywhere. Asks first on a terminal. A slug
 * that is not there is said; the others are withdrawn all the same (exit 9, or 3 if none was). */
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/ctl.h"
#include "proto/entry.h"
#include "proto/pack.h"

static const struct out_column columns[] = {
    {.path = "status", .title = N_("STATUS"), .word = true},
    {.path = "slug", .title = N_("ENTRY"), .flexible = true},
};

static enum err slugs_check(struct cli *cli)
{
    for (int i = 0; i < cli->opts.operand_count; i++) {
        const char *slug = cli->opts.operands[i];
        if (!slug_valid(bytes_of_str(slug))) {
            (void) flaw_set(&cli->flaw, ERR_USAGE, N_("this is no slug"),
                            N_("only this lab's own entries can be withdrawn, by their slug"));
            flaw_detail(&cli->flaw, "%s", slug);
            return ERR_USAGE;
        }
    }
    return ERR_OK;
}

static enum err request(struct cli *cli, struct ctl_msg *ret_msg)
{
    struct buf params = {0};
    pack_map(&params, 3);
    pack_cstr(&params, "dry_run");
    pack_bool(&params, opts_has(&cli->opts, OPT_dry_run));
    pack_cstr(&params, "erase");
    pack_bool(&params, opts_has(&cli->opts, OPT_erase));
    pack_cstr(&params, "slugs");
    pack_array(&params, (size_t) cli->opts.operand_count);
    for (int i = 0; i < cli->opts.operand_count; i++) {
        pack_cstr(&params, cli->opts.operands[i]);
    }
    enum err err = params.err != ERR_OK
                       ? params.err
                       : rpc_call(&cli->rpc, CTL_withdraw, buf_bytes(&params), ret_msg, &cli->flaw);
    buf_done(&params);
    if (err == ERR_PARTIAL) {
        cli->flaw.text = N_("withdrawn everywhere, but the bytes are still on this machine's disk");
        cli->flaw.hint = N_("make room; the daemon tries again every hour, essaim compact at once");
    }
    return err;
}

/* An error for a slug that was refused: it was not there. */
static void refusal_say(struct cli *cli, const char *slug)
{
    struct flaw flaw;
    (void) flaw_set(&flaw, ERR_NOT_FOUND, N_("this lab has no such entry"), NULL);
    (void) snprintf(flaw.slug, sizeof flaw.slug, "%s", slug);
    if (!cli->voice.json) {
        voice_flaw(&cli->voice, &flaw);
    }
    cli->flaw = flaw;
}

static enum err report(struct cli *cli, const struct ctl_msg *msg)
{
    struct bytes statuses = {0};
    uint64_t n = 0;
    size_t count = (size_t) cli->opts.operand_count;
    size_t refused = 0;
    if (ctl_get_bin(&msg->result, "statuses", &statuses) != ERR_OK || statuses.size != count) {
        return flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                        N_("are essaim and essaimd of the same version?"));
    }
    enum err err = ctl_get_uint(&msg->result, "n", &n);
    out_begin(&cli->out, "essaim.withdraw/1", columns, sizeof columns / sizeof columns[0], "slug");
    for (size_t i = 0; i < count; i++) {
        /* 2: it was gone before, and what was kept of it is gone now */
        bool gone = statuses.data[i] == CTL_CREATED || statuses.data[i] == CTL_UNCHANGED;
        bool before = statuses.data[i] == CTL_UNCHANGED;
        json_t *item = json_object();
        value_set(item, "slug", json_string(cli->opts.operands[i]));
        value_set(item, "status",
                  json_string(before ? N_("erased")
                              : gone ? N_("withdrawn")
                                     : N_("refused")));
        if (!gone) {
            refused++;
            refusal_say(cli, cli->opts.operands[i]);
            value_set(item, "error", voice_json(&cli->flaw));
        }
        out_item(&cli->out, item);
        json_decref(item);
    }
    json_t *rest = json_object();
    value_set(rest, "n", err == ERR_OK && n > 0 ? value_uint(n) : json_null());
    value_set(rest, "withdrawn", value_uint(count - refused));
    value_set(rest, "refused", value_uint(refused));
    value_set(rest, "reason",
              opts_has(&cli->opts, OPT_reason) ? json_string(cli->opts.values[OPT_reason])
                                               : json_null());
    value_set(rest, "erase", json_boolean(opts_has(&cli->opts, OPT_erase)));
    value_set(rest, "dry_run", json_boolean(opts_has(&cli->opts, OPT_dry_run)));
    err = out_end(&cli->out, rest);
    if (err != ERR_OK || refused == 0) {
        return err;
    }
    if (refused == count) {
        cli->said = !cli->voice.json;
        return ERR_NOT_FOUND;
    }
    (void) flaw_set(&cli->flaw, ERR_PARTIAL, N_("some entries were not there"), NULL);
    flaw_detail(&cli->flaw, "%zu/%zu", refused, count);
    return ERR_PARTIAL;
}

enum err cmd_withdraw(struct cli *cli)
{
    struct ctl_msg msg;
    enum err err = slugs_check(cli);
    if (err == ERR_OK) {
        err = cmd_connect(cli);
    }
    if (err != ERR_OK) {
        return err;
    }
    char question[256];
    (void) snprintf(question, sizeof question,
                    _("Withdraw %d entries from the whole network? This cannot be undone."),
                    cli->opts.operand_count);
    if (!opts_has(&cli->opts, OPT_dry_run) && !cmd_confirm(cli, question)) {
        return flaw_set(&cli->flaw, ERR_REFUSED, N_("nothing was withdrawn"), NULL);
    }
    if (opts_has(&cli->opts, OPT_erase)) {
        cmd_patience(cli);
    }
    err = request(cli, &msg);
    if (err == ERR_OK) {
        err = report(cli, &msg);
        ctl_done(&msg);
    }
    return err;
}
