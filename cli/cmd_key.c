/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim key: the root key goes offline; new signing and link keys come into use. */
#include "cli/cmd.h"
#include "cli/renewal.h"
#include "cli/text.h"
#include "cli/value.h"
#include "conf/rootkey.h"
#include "proto/did.h"

static bool word_is(const char *word, const char *name, const char *alias)
{
    return strcmp(word, name) == 0 || strcmp(word, alias) == 0;
}

static json_t *answer_json(const struct lab_id *lab)
{
    char did[DID_SIZE_MAX];
    json_t *answer = json_object();
    did_encode(lab, did);
    value_set(answer, "id", json_string(did));
    return answer;
}

static enum err dir_wanted(struct cli *cli)
{
    return cli->dir != NULL
               ? ERR_OK
               : flaw_set(&cli->flaw, ERR_USAGE, N_("which lab? no directory was given"),
                          N_("add --dir DIR, or set ESSAIM_DIR"));
}

static enum err export_root(struct cli *cli, const char *file)
{
    struct say say = {0};
    struct lab_id lab;
    enum err err = dir_wanted(cli);
    if (err != ERR_OK || opts_has(&cli->opts, OPT_dry_run)) {
        return err;
    }
    err = rootkey_export(cli->dir, file, &lab, &say);
    if (err != ERR_OK) {
        return renewal_say(cli, err, &say);
    }
    if (!out_is_json(&cli->out)) {
        voice_note(&cli->voice,
                   _("the root key is in that file alone now: keep it offline, and a copy of it"));
        return ERR_OK;
    }
    json_t *answer = answer_json(&lab);
    value_set(answer, "file", value_str(bytes_of_str(file)));
    return out_single(&cli->out, "essaim.key/1", answer, "id");
}

static enum err rotate(struct cli *cli)
{
    struct rootkey root = {0};
    uint64_t generation = 0;
    uint64_t n = 0;
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        err = renewal_root(cli, &root);
    }
    if (err == ERR_OK) {
        err = renewal_rotate(cli, &root, NULL, &generation, &n);
    }
    struct lab_id lab = root.lab;
    rootkey_done(&root);
    if (err != ERR_OK || opts_has(&cli->opts, OPT_dry_run)) {
        return err;
    }
    json_t *answer = answer_json(&lab);
    value_set(answer, "generation", value_uint(generation));
    value_set(answer, "n", value_uint(n));
    return out_single(&cli->out, "essaim.key/1", answer, "id");
}

enum err cmd_key(struct cli *cli)
{
    const char *word = cli->opts.operands[0];
    int count = cli->opts.operand_count;
    bool is_export = word_is(word, "export-root", "exporter-racine") && count == 2;
    bool is_rotate = word_is(word, "rotate", "renouveler") && count == 1;
    if (is_export && opts_has(&cli->opts, OPT_root_key)) {
        is_export = false;
    }
    if (!is_export && !is_rotate) {
        (void) flaw_set(&cli->flaw, ERR_USAGE,
                        N_("use: key export-root FILE, key rotate [--root-key FILE]"),
                        N_("see: essaim help key"));
        flaw_detail(&cli->flaw, "%s", word);
        return ERR_USAGE;
    }
    return is_export ? export_root(cli, cli->opts.operands[1]) : rotate(cli);
}
