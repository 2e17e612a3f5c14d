/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * essaim verify: the daemon checks every signature, leaf, root and history on its disk, a page at a
 * time. Says of each lab "complete as of head N, signed at T"; exit 1 where anything is damaged.
 */
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/escape.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/value.h"
#include "cli/words.h"
#include "proto/pack.h"

static const struct out_column columns[] = {
    {.path = "id", .title = N_("LAB-ID")},        {.path = "name", .title = N_("LAB")},
    {.path = "audience", .title = N_("FOR")},     {.path = "ok", .title = N_("OK")},
    {.path = "n", .title = N_("HEAD")},           {.path = "count", .title = N_("ENTRIES")},
    {.path = "issued_at", .title = N_("SIGNED")},
};

struct verify {
    struct cli *cli;
    struct buf after;
    json_t *problems; /* owned */
    json_t *labs;     /* owned: of all pages */
    uint64_t checked, total;
    bool end;
};

static void problems_take(struct verify *verify, json_t *problems)
{
    size_t index = 0;
    json_t *problem = NULL;
    json_array_foreach(problems, index, problem)
    {
        value_bin_text(problem, "lab", true);
        value_bin_text(problem, "slug_hash", false);
        (void) json_array_append(verify->problems, problem);
    }
}

static enum err page_take(struct verify *verify)
{
    struct cli *cli = verify->cli;
    struct buf params = {0};
    struct ctl_msg msg;
    struct bytes next = {0};
    pack_map(&params, verify->after.size > 0 ? 1 : 0);
    if (verify->after.size > 0) {
        pack_cstr(&params, "after");
        pack_bin(&params, buf_bytes(&verify->after));
    }
    enum err err = rpc_call(&cli->rpc, CTL_verify, buf_bytes(&params), &msg, &cli->flaw);
    buf_done(&params);
    if (err != ERR_OK) {
        return err;
    }
    verify->end = ctl_get_bin(&msg.result, "next", &next) != ERR_OK;
    buf_clear(&verify->after);
    buf_put(&verify->after, next);
    if (ctl_get_uint(&msg.result, "checked", &verify->checked) != ERR_OK ||
        ctl_get_uint(&msg.result, "total", &verify->total) != ERR_OK) {
        verify->total = 0;
    }
    ctl_done(&msg);
    json_t *whole = value_unpack(rpc_last(&cli->rpc));
    const json_t *result = json_array_get(whole, 3);
    problems_take(verify, json_object_get(result, "problems"));
    (void) json_array_extend(verify->labs, json_object_get(result, "labs"));
    json_decref(whole);
    return ERR_OK;
}

/* On a terminal: a sentence a lab. */
static void sentence_put(struct buf *into, const json_t *lab, bool good)
{
    struct buf name = {0};
    struct buf when = {0};
    value_put_text(&name, json_object_get(lab, "name"));
    value_put_text(&when, json_object_get(lab, "issued_at"));
    escape_put(into, buf_bytes(&name), ESCAPE_LINE);
    buf_put_str(into, _(": "));
    buf_printf(into,
               good ? _("complete as of head %lld, signed at %.*s, %lld entries\n")
                    : _("NOT complete as of head %lld, signed at %.*s, %lld entries\n"),
               json_integer_value(json_object_get(lab, "n")), (int) when.size,
               when.size > 0 ? (const char *) when.data : "",
               json_integer_value(json_object_get(lab, "count")));
    const char *note = json_string_value(json_object_get(lab, "note")); /* no problem */
    if (note != NULL) {
        buf_put_str(into, "  ");
        escape_put(into, bytes_of_str(words_of(note)), ESCAPE_LINE);
        buf_put_str(into, "\n");
    }
    buf_done(&name);
    buf_done(&when);
}

static void labs_print(struct verify *verify, bool human)
{
    struct out *out = &verify->cli->out;
    size_t index = 0;
    json_t *lab = NULL;
    json_array_foreach(verify->labs, index, lab)
    {
        value_bin_text(lab, "lab", true);
        value_when_text(lab, "issued_at");
        json_t *id = json_incref(json_object_get(lab, "lab"));
        (void) json_object_del(lab, "lab");
        (void) json_object_del(lab, "did");
        value_set(lab, "id", id == NULL ? json_null() : id);
        if (human) {
            sentence_put(&out->text, lab, json_is_true(json_object_get(lab, "ok")));
        } else {
            out_item(out, lab);
        }
    }
}

static void problems_say(struct verify *verify)
{
    size_t index = 0;
    json_t *problem = NULL;
    json_array_foreach(verify->problems, index, problem)
    {
        struct flaw flaw;
        const char *what = json_string_value(json_object_get(problem, "what"));
        const char *lab = json_string_value(json_object_get(problem, "lab"));
        (void) flaw_set(&flaw, ERR_CORRUPT, N_("damaged"), NULL);
        (void) snprintf(flaw.file, sizeof flaw.file, "%s", lab == NULL ? "" : lab);
        flaw_detail(&flaw, "%s", what == NULL ? "?" : words_of(what));
        if (!verify->cli->voice.json) {
            voice_flaw(&verify->cli->voice, &flaw);
        }
    }
}

static enum err report(struct verify *verify)
{
    struct cli *cli = verify->cli;
    bool human = cli->out.format == OUT_TABLE && !cli->out.own_fields;
    size_t count = json_array_size(verify->problems);
    enum err err = ERR_OK;
    if (human) {
        labs_print(verify, true);
        err = out_flush(&cli->out);
    } else {
        out_begin(&cli->out, "essaim.verify/1", columns, sizeof columns / sizeof columns[0], "id");
        labs_print(verify, false);
        json_t *rest = json_object();
        value_set(rest, "checked", value_uint(verify->checked));
        value_set(rest, "problems", json_incref(verify->problems));
        err = out_end(&cli->out, rest);
    }
    problems_say(verify);
    if (err == ERR_OK && count > 0) {
        err = flaw_set(&cli->flaw, ERR_CORRUPT, NULL,
                       N_("stop this daemon, keep a copy of its directory, and look at the disk"));
        flaw_detail(&cli->flaw, "%zu", count);
    }
    return err;
}

enum err cmd_verify(struct cli *cli)
{
    struct verify verify = {.cli = cli, .problems = json_array(), .labs = json_array()};
    struct progress progress;
    enum err err = cmd_connect(cli);
    progress_begin(&progress, N_("verifying"), !cli->voice.json && !cli->voice.quiet);
    while (err == ERR_OK && !verify.end) {
        err = page_take(&verify);
        progress_step(&progress, verify.checked, verify.total);
    }
    progress_end(&progress);
    if (err == ERR_OK) {
        err = report(&verify);
    }
    json_decref(verify.problems);
    json_decref(verify.labs);
    buf_done(&verify.after);
    return err;
}
