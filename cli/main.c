/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * essaim: what agents ask of their lab's daemon.
 *
 * Takes the command line apart, speaks the user's language, runs one command of the table, says
 * what failed, exits with the code of design §10. Parsing of YAML and JSON happens in this process,
 * never in the daemon.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/text.h"

static enum err usage_of(struct cli *cli, const struct cmd *cmd, const char *text)
{
    struct buf usage = {0};
    (void) flaw_set(&cli->flaw, ERR_USAGE, text, N_("see: essaim help COMMAND"));
    cmd_usage(cmd, &usage);
    flaw_detail(&cli->flaw, "%.*s", (int) usage.size, (const char *) usage.data);
    buf_done(&usage);
    return ERR_USAGE;
}

/* `essaim VERB --help` is `essaim help VERB`. */
static void help_redirect(struct cli *cli)
{
    static char *operand[1];
    if (cli->opts.verb != NULL && cmd_find(cli->opts.verb) != cmd_find("help")) {
        operand[0] = (char *) (uintptr_t) cli->opts.verb;
        cli->opts.operands = operand;
        cli->opts.operand_count = 1;
    }
    cli->opts.given = cli->opts.given & ~OPT_BIT(help);
    cli->opts.verb = "help";
}

static enum err run(struct cli *cli)
{
    if (opts_has(&cli->opts, OPT_help)) {
        help_redirect(cli);
    } else if (opts_has(&cli->opts, OPT_version)) {
        cli->opts.verb = "version";
        cli->opts.operand_count = 0;
    }
    if (cli->opts.verb == NULL) {
        return flaw_set(&cli->flaw, ERR_USAGE, N_("no command was given"), N_("see: essaim help"));
    }
    const struct cmd *cmd = cmd_find(cli->opts.verb);
    if (cmd == NULL) {
        (void) flaw_set(&cli->flaw, ERR_USAGE, N_("no such command"), N_("see: essaim help"));
        flaw_detail(&cli->flaw, "%s", cli->opts.verb);
        return ERR_USAGE;
    }
    enum err err = cmd->run == cmd_help ? ERR_OK : opts_check(&cli->opts, cmd->own, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    if (cli->opts.operand_count < cmd->operands_min) {
        return usage_of(cli, cmd, N_("something is missing; it is used like this"));
    }
    if (cli->opts.operand_count > cmd->operands_max) {
        return usage_of(cli, cmd, N_("that is too much; it is used like this"));
    }
    err = out_init(&cli->out, &cli->opts, &cli->flaw);
    return err != ERR_OK ? err : cmd->run(cli);
}

static void voice_init(struct cli *cli)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool plain =
        (no_color != NULL && no_color[0] != '\0') || (term != NULL && strcmp(term, "dumb") == 0);
    cli->voice.json = opts_has(&cli->opts, OPT_json) || opts_has(&cli->opts, OPT_ndjson);
    cli->voice.quiet = opts_has(&cli->opts, OPT_quiet);
    cli->voice.color = cli->opts.color == COLOR_ALWAYS ||
                       (cli->opts.color == COLOR_AUTO && isatty(STDERR_FILENO) == 1 && !plain);
}

/* A pipe may be closed before the program even starts: no descriptor 0–2 is left to a file. */
static bool descriptors_there(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (isatty(fd) != 1 && lseek(fd, 0, SEEK_CUR) < 0 && dup2(fd, fd) < 0) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct cli cli;
    if (!descriptors_there()) {
        return err_exit(ERR_IO);
    }
    rpc_init(&cli.rpc);
    enum err err = opts_parse(argc, argv, &cli.opts, &cli.flaw);
    lang_wanted(cli.opts.values[OPT_lang], cli.lang);
    lang_start(cli.lang);
    voice_init(&cli);
    cli.dir = opts_has(&cli.opts, OPT_dir) ? cli.opts.values[OPT_dir] : getenv("ESSAIM_DIR");
    if (cli.dir != NULL && cli.dir[0] == '\0') {
        cli.dir = NULL;
    }
    if (err == ERR_OK) {
        err = run(&cli);
    }
    if (err != ERR_OK) {
        if (cli.flaw.err != err) { /* nobody said more */
            (void) flaw_set(&cli.flaw, err, NULL, NULL);
        }
        if (!cli.said) {
            voice_flaw(&cli.voice, &cli.flaw);
        }
    }
    rpc_close(&cli.rpc);
    out_done(&cli.out);
    return err_exit(err);
}
