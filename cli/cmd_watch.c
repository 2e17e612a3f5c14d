/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * essaim watch: every change that becomes visible here from now on, one a line: NDJSON in a pipe,
 * columns on a terminal. Ends after --limit changes, or after --timeout seconds (exit 8 if --limit
 * was not reached by then), or with Ctrl-C.
 */
#include "cli/cmd.h"
#include "cli/item.h"
#include "cli/text.h"
#include "cli/value.h"
#include "cli/when.h"

#define ANSWER_MS 5000u /* what the daemon may take to begin */
#define FOREVER_MS (1000ull * 3600 * 24 * 365 * 10)

static const struct out_column columns[] = {
    {.path = "change", .title = N_("CHANGE"), .word = true},
    {.path = "lab.name", .title = N_("LAB")},
    {.path = "slug", .title = N_("ENTRY")},
    {.path = "kind", .title = N_("KIND")},
    {.path = "rev", .title = N_("REV")},
    {.path = "title", .title = N_("TITLE")},
};

static json_t *lab_json(struct bytes lab, struct bytes name)
{
    struct labs none = {0};
    json_t *json = labs_json(&none, lab);
    value_set(json, "name", name.size > 0 ? value_str(name) : json_null());
    return json;
}

/* A withdrawal has no entry: who was not there knows its slug's hash only. */
static json_t *item_of_change(struct cli *cli, const msgpack_object *change)
{
    struct bytes lab = {0};
    struct bytes name = {0};
    struct bytes word = {0};
    struct bytes entry = {0};
    struct bytes slug_hash = {0};
    uint64_t n = 0;
    struct labs none = {0};
    if (ctl_get_bin(change, "lab", &lab) != ERR_OK ||
        ctl_get_str(change, "change", &word) != ERR_OK) {
        return NULL;
    }
    if (ctl_get_str(change, "name", &name) != ERR_OK) {
        name.size = 0;
    }
    json_t *item = NULL;
    if (ctl_get_bin(change, "entry", &entry) == ERR_OK) {
        item = item_of_entry(&none, lab, entry, cli->lang, true);
    }
    if (item == NULL) {
        item = json_pack("{s:n,s:n,s:n,s:n,s:n,s:n,s:n}", "id", "lab", "slug", "kind", "rev",
                         "title", "lang");
    }
    value_set(item, "change", value_str(word));
    value_set(item, "lab", lab_json(lab, name));
    if (ctl_get_bin(change, "slug_hash", &slug_hash) == ERR_OK) {
        value_set(item, "slug_hash", value_hex(slug_hash));
    }
    if (ctl_get_uint(change, "n", &n) == ERR_OK) {
        value_set(item, "n", value_uint(n));
    }
    return item;
}

static enum err changes_print(struct cli *cli)
{
    bool timed = opts_has(&cli->opts, OPT_timeout);
    uint64_t until_ms = when_now_ms() + (timed ? cli->opts.timeout_ms : FOREVER_MS);
    while (cli->out.count < cli->opts.limit) {
        struct ctl_msg msg;
        uint64_t now_ms = when_now_ms();
        cli->rpc.timeout_ms = now_ms < until_ms ? until_ms - now_ms : 0;
        enum err err = rpc_recv(&cli->rpc, &msg, &cli->flaw);
        if (err == ERR_TIMEOUT && !opts_has(&cli->opts, OPT_limit)) {
            return ERR_OK;
        }
        if (err != ERR_OK) {
            return err;
        }
        json_t *item = msg.type == 2 ? item_of_change(cli, &msg.params) : NULL;
        if (item != NULL) {
            out_item(&cli->out, item);
            json_decref(item);
        }
        ctl_done(&msg);
        if (cli->out.format != OUT_JSON) {
            err = out_flush(&cli->out);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

enum err cmd_watch(struct cli *cli)
{
    struct ctl_msg msg;
    struct out *out = &cli->out;
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        cli->rpc.timeout_ms += ANSWER_MS; /* --timeout is how long to watch */
        err = rpc_call(&cli->rpc, CTL_watch, bytes_of(NULL, 0), &msg, &cli->flaw);
    }
    if (err != ERR_OK) {
        return err;
    }
    ctl_done(&msg);
    if (out->format == OUT_TSV && !out->own_fields) {
        out->format = OUT_NDJSON;
    } else if (out->format == OUT_TABLE) {
        out->format = OUT_TSV; /* a stream has no widths */
    }
    out_begin(out, "essaim.watch/1", columns, sizeof columns / sizeof columns[0], "id");
    err = changes_print(cli);
    enum err end = out_end(out, NULL);
    return err != ERR_OK ? err : end;
}
