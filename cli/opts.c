/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/opts.c: getopt_long over the table, then the values that are numbers. Fails with ERR_USAGE,
 * naming the word and the next step. */
#include "cli/opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/text.h"

#define TIMEOUT_MS 30000u
#define TIMEOUT_S_MAX (7u * 24 * 3600)
#define FIRST_LONG 256

/* clang-format off */
#define ROW(name, argument, general, help) [OPT_##name] = {#name, argument, help, general},
/* clang-format on */
static const struct {
    const char *name, *argument, *help;
    bool general;
} rows[OPT_COUNT] = {OPTS_TABLE(ROW)};

/* As typed: hyphens for underscores. Static memory, one buffer an option. */
const char *opts_name(enum opt opt)
{
    static char names[OPT_COUNT][16];
    char *name = names[opt];
    if (name[0] == '\0') {
        (void) snprintf(name, sizeof names[opt], "%s", rows[opt].name);
        char *mark = strchr(name, '_');
        while (mark != NULL) {
            *mark = '-';
            mark = strchr(mark, '_');
        }
    }
    return name;
}

const char *opts_argument(enum opt opt)
{
    return rows[opt].argument;
}

const char *opts_help(enum opt opt)
{
    return rows[opt].help;
}

bool opts_general(enum opt opt)
{
    return rows[opt].general;
}

bool opts_has(const struct opts *opts, enum opt opt)
{
    return (opts->given >> opt & 1) != 0;
}

static enum err usage(struct flaw *flaw, const char *text, const char *hint, const char *word)
{
    (void) flaw_set(flaw, ERR_USAGE, text, hint);
    flaw_detail(flaw, "%s", word);
    return ERR_USAGE;
}

static enum err number_parse(struct opts *opts, enum opt opt, uint64_t max, uint64_t *ret_value,
                             struct flaw *flaw)
{
    const char *text = opts->values[opt];
    if (!opts_has(opts, opt)) {
        return ERR_OK;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value > max) {
        (void) usage(flaw, N_("a whole number is needed here"), NULL, "--");
        flaw_detail(flaw, "%s %s", opts_name(opt), text);
        return ERR_USAGE;
    }
    *ret_value = value;
    return ERR_OK;
}

static enum err values_parse(struct opts *opts, struct flaw *flaw)
{
    uint64_t timeout_s = TIMEOUT_MS / 1000;
    enum err err = number_parse(opts, OPT_limit, UINT64_MAX - 1, &opts->limit, flaw);
    if (err == ERR_OK) {
        err = number_parse(opts, OPT_timeout, TIMEOUT_S_MAX, &timeout_s, flaw);
    }
    if (err == ERR_OK) {
        err = number_parse(opts, OPT_wait, UINT32_MAX, &opts->wait, flaw);
    }
    if (err == ERR_OK) {
        err = number_parse(opts, OPT_since, INT64_MAX, &opts->since, flaw);
    }
    if (err == ERR_OK) {
        err = number_parse(opts, OPT_if_rev, INT64_MAX, &opts->if_rev, flaw);
    }
    opts->timeout_ms = timeout_s * 1000;
    if (err != ERR_OK || !opts_has(opts, OPT_color)) {
        return err;
    }
    static const char *const words[] = {
        [COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(opts->values[OPT_color], words[i]) == 0) {
            opts->color = (enum opts_color) i;
            return ERR_OK;
        }
    }
    return usage(flaw, N_("--color takes auto, always or never"), NULL, opts->values[OPT_color]);
}

/* The verb, or an operand; it takes a place of argv that was read already. */
static void word_take(struct opts *opts, char *word)
{
    if (opts->verb == NULL) {
        opts->verb = word;
    } else {
        opts->operands[opts->operand_count++] = word;
    }
}

/* Options that may come several times. */
static enum err again_keep(struct opts *opts, int opt, const char *value, struct flaw *flaw)
{
    if (opt == OPT_lab) {
        if (opts->lab_count == OPTS_LABS_MAX) {
            return usage(flaw, N_("too many labs"), NULL, value);
        }
        opts->labs[opts->lab_count++] = value;
    }
    if (opt == OPT_from) {
        if (opts->from_count == OPTS_FROM_MAX) {
            return usage(flaw, N_("at most 8 peers"), NULL, value);
        }
        opts->from[opts->from_count++] = value;
    }
    return ERR_OK;
}

/* The "-" in front has words that are no options come in their order, whatever POSIXLY_CORRECT
 * says. */
enum err opts_parse(int argc, char **argv, struct opts *ret_opts, struct flaw *flaw)
{
    struct option longs[OPT_COUNT + 1] = {0};
    for (int i = 0; i < OPT_COUNT; i++) {
        longs[i] = (struct option){
            .name = opts_name((enum opt) i),
            .has_arg = rows[i].argument != NULL ? required_argument : no_argument,
            .val = FIRST_LONG + i,
        };
    }
    *ret_opts = (struct opts){.limit = UINT64_MAX, .operands = argv + 1};
    opterr = 0;
    optind = 0;
    int found = 0;
    while ((found = getopt_long(argc, argv, "-:d:hqyV", longs, NULL)) != -1) {
        const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
        if (found == '?') {
            return usage(flaw, N_("no such option"), N_("see: essaim help"), word);
        }
        if (found == ':') {
            return usage(flaw, N_("this option needs a value"), N_("see: essaim help"), word);
        }
        if (found == 1) {
            word_take(ret_opts, optarg);
            continue;
        }
        int opt = found == 'd'   ? OPT_dir
                  : found == 'h' ? OPT_help
                  : found == 'q' ? OPT_quiet
                  : found == 'y' ? OPT_yes
                  : found == 'V' ? OPT_version
                                 : found - FIRST_LONG;
        enum err err = again_keep(ret_opts, opt, optarg, flaw);
        if (err != ERR_OK) {
            return err;
        }
        ret_opts->given |= 1u << opt;
        ret_opts->values[opt] = optarg == NULL ? "" : optarg;
    }
    for (int i = optind; i < argc; i++) { /* behind "--" */
        word_take(ret_opts, argv[i]);
    }
    return values_parse(ret_opts, flaw);
}

enum err opts_check(const struct opts *opts, uint32_t own, struct flaw *flaw)
{
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        if (!rows[i].general && (opts->given >> i & 1) != 0 && (own >> i & 1) == 0) {
            (void) usage(flaw, N_("this command does not take that option"),
                         N_("see: essaim help COMMAND"), "--");
            flaw_detail(flaw, "%s", opts_name((enum opt) i));
            return ERR_USAGE;
        }
    }
    return ERR_OK;
}
