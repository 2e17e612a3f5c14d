/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim status: what this daemon holds and its links. JSON and pipes get everything the daemon
 * says; a terminal gets the lines an operator looks for. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/escape.h"
#include "cli/text.h"
#include "cli/value.h"
#include "cli/words.h"

/* Bytes to text, seconds to dates, in the places where they are. */
static void tidy(json_t *status)
{
    static const char *const lists[] = {"links", "fetches"};
    (void) json_object_del(status, "lab");
    json_t *did = json_incref(json_object_get(status, "did"));
    (void) json_object_del(status, "did");
    value_set(status, "id", did == NULL ? json_null() : did);
    value_bin_text(status, "network", false);
    value_bin_text(status, "index", false);
    value_bin_text(status, "digest", false);
    value_when_text(json_object_get(status, "head"), "issued_at");
    for (size_t i = 0; i < 2; i++) {
        size_t index = 0;
        json_t *row = NULL;
        json_array_foreach(json_object_get(status, lists[i]), index, row)
        {
            value_bin_text(row, "lab", true);
            value_bin_text(row, "from", true);
        }
    }
}

static json_int_t number(const json_t *object, const char *path)
{
    return json_integer_value(value_at(object, path));
}

static void text_put(struct buf *into, const json_t *object, const char *path)
{
    struct buf plain = {0};
    value_put_text(&plain, value_at(object, path));
    escape_put(into, buf_bytes(&plain), ESCAPE_LINE);
    buf_done(&plain);
}

static void head_put(struct buf *into, const json_t *status)
{
    if (json_is_object(json_object_get(status, "head"))) {
        buf_printf(into, _("own entries  %lld in head %lld, signed "), number(status, "head.count"),
                   number(status, "head.n"));
        text_put(into, status, "head.issued_at");
    } else {
        buf_put_str(into, _("own entries  none yet"));
    }
    buf_put_u8(into, '\n');
    buf_printf(into, _("holds        %lld entries of %lld labs, %lld bytes\n"),
               number(status, "entries"), number(status, "labs"), number(status, "bytes"));
    buf_printf(into, _("disk         %lld bytes used, %lld free\n"), number(status, "disk.used"),
               number(status, "disk.free"));
}

/* Only where something was withdrawn. */
static void receipts_put(struct buf *into, const json_t *status)
{
    if (json_is_object(json_object_get(status, "receipts"))) {
        buf_printf(into, _("erased       by %lld of %lld labs, up to head %lld\n"),
                   number(status, "receipts.erased"), number(status, "receipts.labs"),
                   number(status, "receipts.n"));
    }
}

static void links_put(struct buf *into, const json_t *status)
{
    size_t index = 0;
    json_t *link = NULL;
    json_t *links = json_object_get(status, "links");
    if (json_array_size(links) == 0) {
        buf_put_str(into, _("links        none; add one with: essaim peers add LAB@HOST:PORT\n"));
    }
    json_array_foreach(links, index, link)
    {
        bool named = json_string_length(json_object_get(link, "name")) > 0;
        buf_put_str(into, index == 0 ? _("links        ") : "             ");
        text_put(into, link, named ? "name" : "lab");
        buf_put_str(into, "  ");
        const char *state = json_string_value(json_object_get(link, "state"));
        escape_put(into, bytes_of_str(state == NULL ? "?" : words_of(state)), ESCAPE_LINE);
        buf_put_str(into, "  ");
        text_put(into, link, "address");
        buf_put_u8(into, '\n');
    }
}

static enum err human_print(struct cli *cli, json_t *status)
{
    struct buf *into = &cli->out.text;
    size_t index = 0;
    json_t *warning = NULL;
    buf_put_str(into, cli->out.color ? "\033[1m" : "");
    text_put(into, status, "name");
    buf_put_str(into, cli->out.color ? "\033[0m  " : "  ");
    text_put(into, status, "id");
    buf_put_u8(into, '\n');
    head_put(into, status);
    receipts_put(into, status);
    links_put(into, status);
    json_array_foreach(json_object_get(status, "warnings"), index, warning)
    {
        struct flaw flaw = {0};
        const char *text = json_string_value(warning);
        (void) snprintf(flaw.detail, sizeof flaw.detail, "%s", text == NULL ? "?" : words_of(text));
        flaw.text = N_("the daemon says");
        voice_warn(&cli->voice, &flaw);
    }
    json_decref(status);
    return out_flush(&cli->out);
}

enum err cmd_status(struct cli *cli)
{
    struct ctl_msg msg;
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        err = rpc_call(&cli->rpc, CTL_status, bytes_of(NULL, 0), &msg, &cli->flaw);
    }
    if (err != ERR_OK) {
        return err;
    }
    ctl_done(&msg);
    json_t *whole = value_unpack(rpc_last(&cli->rpc));
    json_t *status = json_incref(json_array_get(whole, 3));
    json_decref(whole);
    if (!json_is_object(status)) {
        json_decref(status);
        return flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                        N_("are essaim and essaimd of the same version?"));
    }
    tidy(status);
    if (cli->out.format == OUT_TABLE && !cli->out.own_fields) {
        return human_print(cli, status);
    }
    return out_single(&cli->out, "essaim.status/1", status, "id");
}
