/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/cmd.h: the one table of commands. Help, aliases, allowed options and the words that the man
 * page and the completions must have all come from it.
 */
#ifndef ESSAIM_CLI_CMD_H
#define ESSAIM_CLI_CMD_H

#include "cli/flaw.h"
#include "cli/lang.h"
#include "cli/opts.h"
#include "cli/out.h"
#include "cli/rpc.h"
#include "cli/voice.h"

/* identifier, name, French aliases between spaces, least role (NULL: no daemon is asked), own
 * options, operands least and most, synopsis, help msgid */
/* clang-format off */
#define CMD_TABLE(C) \
    C(init, "init", "initialiser", NULL, OPT_BIT(name) | OPT_BIT(listen), 1, 1, \
      N_("DIR --name NAME [--listen HOST:PORT]"), \
      N_("make a lab: its keys and settings in DIR; prints its id")) \
    C(id, "id", "qui", "reader", 0, 0, 0, "", N_("this lab's id (did:key)")) \
    C(publish, "publish", "publier", "agent", OPT_BIT(if_rev), 1, 100000, \
      N_("[--if-rev N] FILE…|-"), \
      N_("create or update entries from YAML, JSON or NDJSON")) \
    C(withdraw, "withdraw", "retirer", "agent", OPT_BIT(reason) | OPT_BIT(erase), 1, \
      100000, N_("SLUG… [--reason TEXT] [--erase]"), \
      N_("withdraw entries of this lab everywhere")) \
    C(list, "list", "lister", "reader", OPT_BIT(lab) | OPT_BIT(kind) | OPT_BIT(mine), 0, 0, \
      N_("[--lab LAB] [--kind KIND] [--mine]"), N_("the entries held here, of all labs")) \
    C(show, "show", "voir", "reader", 0, 1, 1, N_("[LAB/]SLUG"), N_("one entry, whole")) \
    C(status, "status", "état etat", "reader", 0, 0, 0, "", \
      N_("what this daemon holds, and its links with others")) \
    C(peers, "peers", "pairs", "reader", OPT_BIT(alias), 0, 2, \
      N_("[list] | add LAB[@HOST:PORT] [--alias ALIAS] | remove LAB"), \
      N_("the labs this one exchanges with")) \
    C(sync, "sync", "synchroniser", "reader", OPT_BIT(wait), 0, 0, \
      N_("[--wait N] [--timeout SECONDS]"), \
      N_("wait until peers hold this lab's newest entries")) \
    C(watch, "watch", "suivre", "reader", 0, 0, 0, N_("[--limit N] [--timeout SECONDS]"), \
      N_("changes as they become visible here")) \
    C(verify, "verify", "vérifier verifier", "reader", 0, 0, 0, "", \
      N_("check every signature, hash and history on disk")) \
    C(prove, "prove", "prouver", "reader", 0, 1, 1, N_("[LAB/]SLUG > FILE"), \
      N_("a proof that an entry is there, or is not, for whoever has no daemon")) \
    C(verify_proof, "verify-proof", "vérifier-preuve verifier-preuve", NULL, 0, 1, 1, \
      N_("FILE|-"), N_("check a proof: no daemon, no network, no trust")) \
    C(fork, "fork", "fourche", "reader", 0, 0, 2, N_("[list | show [LAB]]"), \
      N_("labs that signed two histories, and the proof")) \
    C(repair, "repair", "réparer reparer", "admin", OPT_BIT(force), 0, 100000, \
      N_("[--force] | lost | forget SLUG…"), \
      N_("take back what peers hold of this lab, join its branches, sign on")) \
    C(bundle, "bundle", "paquet", "reader", OPT_BIT(lab), 2, 2, \
      N_("export FILE|- [--lab LAB]… | import FILE|-"), \
      N_("exchange with labs out of reach by a file")) \
    C(history, "history", "historique", "agent", 0, 1, 1, N_("SLUG"), \
      N_("former revisions of an entry of this lab, where they are kept")) \
    C(receipts, "receipts", "reçus recus", "reader", OPT_BIT(since), 0, 0, N_("[--since N]"), \
      N_("which labs have erased what this one withdrew")) \
    C(compact, "compact", "compacter", "admin", 0, 0, 0, "", \
      N_("rid this machine's disk of what was withdrawn or replaced")) \
    C(backup, "backup", "sauvegarder", "admin", 0, 1, 1, N_("FILE"), \
      N_("a copy of all that the daemon holds, but the keys, while it runs")) \
    C(restore, "restore", "restaurer", NULL, 0, 2, 2, N_("FILE DIR"), \
      N_("put a backup back, while the daemon is off")) \
    C(key, "key", "clé cle", "admin", OPT_BIT(root_key), 1, 2, \
      N_("export-root FILE | rotate [--root-key FILE]"), \
      N_("move the root key offline; sign new keys for the server with it")) \
    C(recover, "recover", "récupérer recuperer", "admin", \
      OPT_BIT(root_key) | OPT_BIT(from) | OPT_BIT(name) | OPT_BIT(listen) | \
          OPT_BIT(force), 1, 1, \
      N_("DIR --root-key FILE --from LAB@HOST:PORT [--from …] [--name NAME]"), \
      N_("a lost server comes back from the root key and any peer")) \
    C(version, "version", "", NULL, 0, 0, 0, "", N_("the version of this program")) \
    C(help, "help", "aide", NULL, 0, 0, 1, N_("[COMMAND | scripting]"), \
      N_("help, in short or about one command"))
/* clang-format on */

struct cli {
    struct opts opts;
    char lang[LANG_SIZE_MAX]; /* wanted for texts */
    const char *dir;          /* NULL: neither --dir nor ESSAIM_DIR */
    struct out out;
    struct voice voice;
    struct rpc rpc;
    struct flaw flaw; /* filled by whoever fails */
    bool said;        /* and said already */
};

/* A command prints its answer on stdout and returns; what it says on stderr goes through
 * cli->voice, but its own failure, cli->flaw, is said by main. */
typedef enum err cmd_run_fn(struct cli *cli);

struct cmd {
    const char *name, *aliases, *role;
    uint32_t own;
    int operands_min, operands_max;
    const char *synopsis, *help;
    cmd_run_fn *run;
};
extern const struct cmd cmds[];
extern const unsigned cmd_count;

/* By name or alias; NULL. */
const struct cmd *cmd_find(const char *word);

/* clang-format off */
#define CMD_DECLARE(name, ...) enum err cmd_##name(struct cli *cli);
CMD_TABLE(CMD_DECLARE)
#undef CMD_DECLARE
/* clang-format on */

/* Opens cli->rpc; ERR_USAGE without a directory. */
MUST_USE enum err cmd_connect(struct cli *cli);
/* Asks before something that cannot be undone: yes with --yes or without a terminal to ask on. */
bool cmd_confirm(struct cli *cli, const char *question);
/* For what lasts as long as the disk takes: waits a day for an answer unless --timeout says. */
void cmd_patience(struct cli *cli);
/* The line "essaim publish [--if-rev N] FILE…|-". */
void cmd_usage(const struct cmd *cmd, struct buf *into);

#endif
