/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/cmd.c: the table itself, and what several commands need. */
#include "cli/cmd.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/text.h"

#define PATIENCE_MS (24u * 3600u * 1000u)

/* clang-format off */
#define ROW(word, name, aliases, role, own, least, most, synopsis, help) \
    {name, aliases, role, own, least, most, synopsis, help, cmd_##word},
const struct cmd cmds[] = {CMD_TABLE(ROW)};
#undef ROW
/* clang-format on */
const unsigned cmd_count = sizeof cmds / sizeof cmds[0];

static bool alias_is(const char *aliases, const char *word)
{
    const char *at = aliases;
    size_t word_size = strlen(word);
    while (*at != '\0') {
        size_t size = strcspn(at, " ");
        if (size == word_size && memcmp(at, word, size) == 0) {
            return true;
        }
        at += size + strspn(at + size, " ");
    }
    return false;
}

const struct cmd *cmd_find(const char *word)
{
    for (unsigned i = 0; i < cmd_count; i++) {
        if (strcmp(cmds[i].name, word) == 0 || alias_is(cmds[i].aliases, word)) {
            return &cmds[i];
        }
    }
    return NULL;
}

enum err cmd_connect(struct cli *cli)
{
    if (cli->dir == NULL) {
        return flaw_set(&cli->flaw, ERR_USAGE, N_("which lab? no directory was given"),
                        N_("add --dir DIR, or set ESSAIM_DIR"));
    }
    return rpc_open(&cli->rpc, cli->dir, cli->opts.timeout_ms, &cli->flaw);
}

void cmd_patience(struct cli *cli)
{
    if (!opts_has(&cli->opts, OPT_timeout)) {
        cli->rpc.timeout_ms = PATIENCE_MS;
    }
}

bool cmd_confirm(struct cli *cli, const char *question)
{
    if (opts_has(&cli->opts, OPT_yes) || opts_has(&cli->opts, OPT_no_input) ||
        isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1) {
        return true;
    }
    char answer[16] = "";
    (void) fprintf(stderr, "%s %s ", question, _("[y/N]"));
    (void) fflush(stderr);
    return fgets(answer, sizeof answer, stdin) != NULL && strchr("yYoO", answer[0]) != NULL &&
           answer[0] != '\0';
}

void cmd_usage(const struct cmd *cmd, struct buf *into)
{
    buf_printf(into, "essaim %s%s%s", cmd->name, cmd->synopsis[0] == '\0' ? "" : " ",
               cmd->synopsis[0] == '\0' ? "" : _(cmd->synopsis));
}
