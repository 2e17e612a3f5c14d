/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim help: everything comes from the tables of commands, options and errors. */
#include "cli/cmd.h"
#include "cli/escape.h"
#include "cli/text.h"

#define HELP_COLUMN 30

/* "  left          right" */
static void row_put(struct buf *into, struct bytes left, const char *right)
{
    size_t width = 2 + escape_width(left);
    buf_put_str(into, "  ");
    buf_put(into, left);
    if (width + 2 > HELP_COLUMN) {
        buf_put_u8(into, '\n');
        width = 0;
    }
    for (size_t i = width; i < HELP_COLUMN; i++) {
        buf_put_u8(into, ' ');
    }
    buf_put_str(into, right);
    buf_put_u8(into, '\n');
}

static void option_put(struct buf *into, enum opt opt)
{
    struct buf left = {0};
    const char *argument = opts_argument(opt);
    buf_printf(&left, "--%s%s%s", opts_name(opt), argument == NULL ? "" : " ",
               argument == NULL ? "" : _(argument));
    row_put(into, buf_bytes(&left), _(opts_help(opt)));
    buf_done(&left);
}

static void options_put(struct buf *into, uint32_t own, bool general)
{
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        if (opts_general((enum opt) i) ? general : (own >> i & 1) != 0) {
            option_put(into, (enum opt) i);
        }
    }
}

static void overview_put(struct buf *into)
{
    buf_put_str(into, _("essaim: the shared directory of territorial innovation labs\n\n"
                        "  essaim [--dir DIR] COMMAND …\n\nCommands\n"));
    for (unsigned i = 0; i < cmd_count; i++) {
        struct buf left = {0};
        buf_put_str(&left, cmds[i].name);
        if (cmds[i].aliases[0] != '\0') {
            buf_printf(&left, " (%.*s)", (int) strcspn(cmds[i].aliases, " "), cmds[i].aliases);
        }
        row_put(into, buf_bytes(&left), _(cmds[i].help));
        buf_done(&left);
    }
    buf_put_str(into, _("\nGeneral options, before or after the command\n"));
    options_put(into, 0, true);
    buf_put_str(into, _("\nMore: essaim help COMMAND, essaim help scripting, man essaim\n"));
}

static void command_put(struct buf *into, const struct cmd *cmd)
{
    cmd_usage(cmd, into);
    buf_printf(into, "\n\n%s\n", _(cmd->help));
    if (cmd->aliases[0] != '\0') {
        buf_printf(into, _("Also: %s\n"), cmd->aliases);
    }
    if (cmd->role != NULL) {
        buf_printf(into, _("Needs a running daemon and the role: %s\n"), cmd->role);
    }
    if (cmd->own != 0) {
        buf_put_str(into, _("\nOptions\n"));
        options_put(into, cmd->own, false);
    }
    buf_put_str(into, _("\nGeneral options\n"));
    options_put(into, 0, true);
}

static const char *const scripting[] = {
    N_("Essaim in scripts\n\n"
       "stdout is data, stderr is speech. On a terminal: tables. In a pipe: full values between\n"
       "tabs, no header; in a value \\t \\n \\r \\\\ stand for tab, line ends and backslash, and\n"
       "\\u{XXXX} for hidden characters. --json: exactly one JSON document. --ndjson: one object "
       "a\n"
       "line. --fields a,b.c chooses columns, --quiet prints identifiers only. Keys, codes, "
       "kinds,\n"
       "dates (RFC 3339, UTC) and numbers are never translated; fields are only ever added.\n"),
    N_("\nFirst columns in a pipe\n"
       "  list     id, lab.name, slug, kind, rev, title\n"
       "  publish  status, slug, rev      status: created updated unchanged refused\n"
       "  withdraw status, slug           status: withdrawn erased refused\n"
       "  peers    id, name, alias, address, state\n"
       "  verify   id, name, audience, ok, n, count, issued_at\n"
       "  key, recover, show, status, sync, bundle: a line for each value: path, value\n"
       "  fork     id, name, generation, from, n    repair  slug, kept, lost\n"
       "  history  rev, current, title    compact, backup, restore: as show\n"
       "  receipts id, name, state, n, issued_at   state: erased behind silent void\n"
       "  id, init: the did:key alone     watch: NDJSON\n"),
    N_("\nJSON documents\n"
       "  {\"schema\":\"essaim.list/1\",\"items\":[…],\"total\":N,\"next\":CURSOR or null}\n"
       "  item of list: "
       "{\"id\",\"lab\":{\"id\",\"name\",\"alias\"},\"slug\",\"kind\",\"rev\",\"title\",\"lang\"}\n"
       "  essaim.entry/1: the same, \"head\":{\"n\",\"generation\",\"issued_at\"}, \"leaf\", "
       "\"body\"\n"
       "  essaim.publish/1: items {\"slug\",\"status\",\"rev\",\"error\"}, \"n\", a count for each "
       "status\n"
       "  essaim.withdraw/1, essaim.peers/1, essaim.verify/1 (\"problems\"), essaim.watch/1, "
       "essaim.forks/1,\n"
       "  essaim.repair/1 (\"n\", \"merged\", \"conflicts\", \"frozen\"), essaim.lost/1,\n"
       "  essaim.history/1 (\"body\"): items\n"
       "  essaim.receipts/1: items, \"n\", \"erased\", \"labs\"\n"
       "  essaim.backup/1 essaim.compact/1 essaim.export/1 essaim.forget/1 essaim.fork/1\n"
       "  essaim.id/1 essaim.import/1\n"
       "  (\"refused\") essaim.init/1 essaim.key/1 essaim.proof/1 essaim.recover/1 "
       "essaim.restore/1\n"
       "  essaim.status/1 essaim.sync/1 essaim.version/1: one object\n"
       "With --json an error is one object on stderr:\n"
       "  "
       "{\"error\":{\"code\",\"exit\",\"message\",\"field\",\"file\",\"line\",\"column\",\"slug\","
       "\"hint\"}}\n"),
    N_("\nNo sleep is needed: publish returns when the entries are durable here,\n"
       "sync --wait N when N peers hold them. publish may be repeated: what is the same stays\n"
       "\"unchanged\". Errors go by code, not by sentence.\n"),
    N_("\nExit codes\n"
       "  0 done (an empty result is 0)   5 invalid entry\n"
       "  1 internal                      6 conflict\n"
       "  2 usage                         7 no daemon\n"
       "  3 not found                     8 network or timeout\n"
       "  4 refused                       9 partly done         130 interrupted\n"),
    N_("\nError codes, with their exit code\n"),
};

static void scripting_put(struct buf *into)
{
    for (size_t i = 0; i < sizeof scripting / sizeof scripting[0]; i++) {
        buf_put_str(into, _(scripting[i]));
    }
    for (int i = ERR_OK + 1; i < ERR_COUNT; i++) {
        struct buf left = {0};
        buf_printf(&left, "%d %s", err_exit((enum err) i), err_code((enum err) i));
        row_put(into, buf_bytes(&left), _(err_text((enum err) i)));
        buf_done(&left);
    }
}

enum err cmd_help(struct cli *cli)
{
    struct buf *into = &cli->out.text;
    if (cli->opts.operand_count == 0) {
        overview_put(into);
        return out_flush(&cli->out);
    }
    const char *word = cli->opts.operands[0];
    const struct cmd *cmd = cmd_find(word);
    if (strcmp(word, "scripting") == 0) {
        scripting_put(into);
    } else if (cmd != NULL) {
        command_put(into, cmd);
    } else {
        (void) flaw_set(&cli->flaw, ERR_USAGE, N_("no such command"), N_("see: essaim help"));
        flaw_detail(&cli->flaw, "%s", word);
        return ERR_USAGE;
    }
    return out_flush(&cli->out);
}
