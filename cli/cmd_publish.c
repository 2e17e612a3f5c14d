/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * essaim publish: records from files or stdin, checked here, sent as one batch, reported one by
 * one.
 *
 * A record that is wrong is said with file, line, column, field and fix, and left out; the others
 * are published all the same (exit 9). A file that cannot be read ends the command before anything
 * is sent.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cli/batch.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/record.h"
#include "cli/text.h"

struct publish {
    struct cli *cli;
    struct batch batch;
    struct build *build; /* large: on the heap */
    struct input input;
    struct progress progress;
    unsigned file;
};

/* Errors of a record that will not be the answer of the whole command are said at once. */
static void refusal_say(struct publish *publish, const struct flaw *flaw)
{
    if (!publish->cli->voice.json) {
        progress_end(&publish->progress);
        voice_flaw(&publish->cli->voice, flaw);
    }
}

static enum err refuse(struct publish *publish, const struct flaw *flaw)
{
    refusal_say(publish, flaw);
    return batch_note(&publish->batch, flaw, publish->file);
}

static void place_fill(struct publish *publish, struct flaw *flaw)
{
    memcpy(flaw->file, publish->input.flaw.file, sizeof flaw->file);
    input_locate(&publish->input, flaw->field, &flaw->line, &flaw->column);
}

/* Every issue of a record but the first error, which the caller says. */
static void issues_say(struct publish *publish, const struct model_report *report,
                       const struct flaw *first)
{
    for (unsigned i = 0; i < report->count; i++) {
        const struct model_issue *issue = &report->issues[i];
        struct flaw flaw;
        record_flaw(publish->build, issue, &flaw);
        if (issue->warning) {
            if (publish->cli->voice.json || publish->cli->voice.quiet) {
                continue;
            }
            place_fill(publish, &flaw);
            voice_warn(&publish->cli->voice, &flaw);
        } else if (first->text != issue->text || strcmp(first->field, issue->field) != 0) {
            place_fill(publish, &flaw);
            refusal_say(publish, &flaw);
        }
    }
}

static enum err record_take(struct publish *publish)
{
    struct model_report report;
    struct flaw flaw = {0};
    enum err err = record_check(publish->build, &report, &flaw);
    if (err == ERR_OK) {
        size_t line = input_line(&publish->input);
        err = batch_add(&publish->batch, publish->build, publish->file, line);
        if (err == ERR_OK && report.count > 0) {
            issues_say(publish, &report, &flaw);
        }
        return err;
    }
    place_fill(publish, &flaw);
    err = refuse(publish, &flaw);
    issues_say(publish, &report, &flaw);
    return err;
}

static enum err file_take(struct publish *publish, const char *path)
{
    enum err err = input_open(&publish->input, path, publish->build);
    if (err != ERR_OK) {
        return refuse(publish, &publish->input.flaw);
    }
    bool more = true;
    while (more && err == ERR_OK) {
        switch (input_next(&publish->input)) {
        case INPUT_RECORD:
            err = record_take(publish);
            break;
        case INPUT_FLAWED:
            err = refuse(publish, &publish->input.flaw);
            break;
        case INPUT_BROKEN:
            err = refuse(publish, &publish->input.flaw);
            more = false;
            break;
        default:
            more = false;
            break;
        }
        progress_step(&publish->progress, publish->batch.count, 0);
    }
    input_close(&publish->input);
    return err;
}

/* Before anything is sent: is everything there that was named? */
static enum err files_check(struct cli *cli)
{
    for (int i = 0; i < cli->opts.operand_count; i++) {
        const char *path = cli->opts.operands[i];
        if (strcmp(path, "-") != 0 && access(path, R_OK) != 0) {
            (void) flaw_set(&cli->flaw, ERR_NOT_FOUND, N_("the file cannot be read"),
                            N_("nothing was published; check the name"));
            flaw_detail(&cli->flaw, "%s", path);
            return ERR_NOT_FOUND;
        }
    }
    return ERR_OK;
}

static enum err publish_run(struct publish *publish)
{
    struct cli *cli = publish->cli;
    enum err err = ERR_OK;
    for (int i = 0; i < cli->opts.operand_count && err == ERR_OK; i++) {
        publish->file = (unsigned) i;
        err = file_take(publish, cli->opts.operands[i]);
    }
    if (err == ERR_OK) {
        err = batch_finish(&publish->batch);
    }
    progress_end(&publish->progress);
    if (err != ERR_OK) {
        return err;
    }
    if (publish->batch.count == 0) {
        voice_note(&cli->voice, _("the input holds no record"));
    }
    return batch_report(&publish->batch);
}

enum err cmd_publish(struct cli *cli)
{
    struct publish publish = {.cli = cli, .build = malloc(sizeof *publish.build)};
    if (publish.build == NULL) {
        return ERR_NOMEM;
    }
    build_init(publish.build);
    enum err err = files_check(cli);
    if (err == ERR_OK) {
        err = cmd_connect(cli);
    }
    if (err == ERR_OK) {
        batch_init(&publish.batch, cli);
        progress_begin(&publish.progress, N_("publishing"), !cli->voice.json && !cli->voice.quiet);
        err = publish_run(&publish);
        batch_done(&publish.batch);
    }
    build_done(publish.build);
    free(publish.build);
    return err;
}
