/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/opts.h: the command line. One table of options; each command says which of its own it takes,
 * the general ones go with every command, before or after it.
 */
#ifndef ESSAIM_CLI_OPTS_H
#define ESSAIM_CLI_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/flaw.h"

/* name, argument (NULL: none; a msgid), general?, help msgid */
/* clang-format off */
#define OPTS_TABLE(X) \
    X(dir,      N_("DIR"),       true,  N_("the lab's directory (else ESSAIM_DIR)")) \
    X(json,     NULL,            true,  N_("one JSON document on stdout")) \
    X(ndjson,   NULL,            true,  N_("one JSON object a line")) \
    X(csv,      NULL,            true,  N_("comma-separated values with a header")) \
    X(quiet,    NULL,            true,  N_("identifiers only, no warnings")) \
    X(fields,   N_("A,B.C"),     true,  N_("these fields, in this order")) \
    X(limit,    N_("N"),         true,  N_("at most N items")) \
    X(cursor,   N_("CURSOR"),    true,  N_("go on where a page ended (its \"next\")")) \
    X(lang,     N_("TAG"),       true,  N_("language of messages and texts: fr, en, br…")) \
    X(color,    N_("WHEN"),      true,  N_("auto, always or never")) \
    X(yes,      NULL,            true,  N_("do not ask for confirmation")) \
    X(no_input, NULL,            true,  N_("never ask anything")) \
    X(dry_run,  NULL,            true,  N_("check everything, change nothing")) \
    X(timeout,  N_("SECONDS"),   true,  N_("how long to wait for an answer (30)")) \
    X(help,     NULL,            true,  N_("help about a command")) \
    X(version,  NULL,            true,  N_("the version")) \
    X(name,     N_("NAME"),      false, N_("the lab's name, as people write it")) \
    X(listen,   N_("HOST:PORT"), false, N_("where other labs reach this one")) \
    X(if_rev,   N_("N"),         false, N_("only if the entry is at revision N (0: none yet)")) \
    X(reason,   N_("TEXT"),      false, N_("why; kept in this command's own report only")) \
    X(erase,    NULL,            false, N_("and wait until the bytes are gone from this machine")) \
    X(lab,      N_("LAB"),       false, N_("only this lab: name, alias or did:key")) \
    X(kind,     N_("KIND"),      false, N_("only this kind of entry")) \
    X(mine,     NULL,            false, N_("only this lab's own entries")) \
    X(alias,    N_("ALIAS"),     false, N_("a short name for that lab, used here only")) \
    X(root_key, N_("FILE"),      false, N_("where the root key is (else DIR/root.key)")) \
    X(from,     N_("LAB@HOST:PORT"), false, N_("a peer to come back from; may be given again")) \
    X(force,    NULL,            false, N_("sign on although newer heads may be lost")) \
    X(wait,     N_("N"),         false, N_("until N peers hold this lab's newest entries")) \
    X(since,    N_("N"),         false, N_("up to head N (else the last that withdrew something)"))
/* clang-format on */

#define OPTS_LABS_MAX 64 /* --lab, where a command takes several */

#define OPTS_ENUM_ROW(name, argument, general, help) OPT_##name,
enum opt { OPTS_TABLE(OPTS_ENUM_ROW) OPT_COUNT };
#undef OPTS_ENUM_ROW
#define OPT_BIT(name) (1u << OPT_##name)

#define OPTS_FROM_MAX 8

enum opts_color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct opts {
    const char *values[OPT_COUNT]; /* NULL: not given; "" for those without an argument */
    uint32_t given;                /* bits */
    uint64_t limit;                /* UINT64_MAX: none */
    uint64_t timeout_ms;
    uint64_t wait;
    uint64_t if_rev;
    uint64_t since;                  /* 0: not given */
    const char *labs[OPTS_LABS_MAX]; /* every --lab */
    unsigned lab_count;
    enum opts_color color;
    const char *from[OPTS_FROM_MAX];
    unsigned from_count;
    const char *verb; /* NULL: none was given */
    char **operands;
    int operand_count;
};

/* Takes argv apart; its places are used for the operands. ERR_USAGE. */
MUST_USE enum err opts_parse(int argc, char **argv, struct opts *ret_opts, struct flaw *flaw);
bool opts_has(const struct opts *opts, enum opt opt);
/* An option that is neither general nor in `own` was given: ERR_USAGE. */
MUST_USE enum err opts_check(const struct opts *opts, uint32_t own, struct flaw *flaw);

/* "dry-run", the argument's msgid or NULL, the help msgid. */
const char *opts_name(enum opt opt);
const char *opts_argument(enum opt opt);
const char *opts_help(enum opt opt);
bool opts_general(enum opt opt);

#endif
