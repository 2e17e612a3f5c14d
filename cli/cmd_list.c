/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim list: entries held here, page after page until --limit. Without a limit, all of them. */
#include "cli/cmd.h"
#include "cli/item.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/model.h"
#include "proto/pack.h"

#define CURSOR_SIZE_MAX 512

static const struct out_column columns[] = {
    {.path = "id", .title = N_("ID"), .where = OUT_PIPE},
    {.path = "lab.name", .title = N_("LAB"), .flexible = true},
    {.path = "slug", .title = N_("ENTRY"), .flexible = true},
    {.path = "kind", .title = N_("KIND"), .word = true},
    {.path = "rev", .title = N_("REV"), .right = true},
    {.path = "title", .title = N_("TITLE"), .flexible = true},
};

struct list {
    struct cli *cli;
    struct labs labs;
    struct buf after; /* where the next page begins; empty: at the beginning */
    bool end;
    uint64_t total;
};

static enum err cursor_parse(struct cli *cli, struct buf *into)
{
    const char *text = opts_has(&cli->opts, OPT_cursor) ? cli->opts.values[OPT_cursor] : "";
    size_t size = strlen(text);
    static const char digits[] = "0123456789abcdef";
    bool good = size % 2 == 0 && size <= 2 * (size_t) CURSOR_SIZE_MAX;
    for (size_t i = 0; i < size && good; i += 2) {
        const char *high = strchr(digits, text[i]);
        const char *low = strchr(digits, text[i + 1]);
        good = high != NULL && low != NULL;
        if (good) {
            buf_put_u8(into, (uint8_t) ((high - digits) << 4 | (low - digits)));
        }
    }
    return good ? ERR_OK
                : flaw_set(&cli->flaw, ERR_USAGE, N_("this is no cursor"),
                           N_("take the \"next\" of a page printed with --json"));
}

static enum err page_ask(struct list *list, uint64_t limit, struct ctl_msg *ret_msg)
{
    const struct opts *opts = &list->cli->opts;
    struct buf params = {0};
    unsigned count = 0;
    struct buf body = {0};
    static const struct {
        enum opt opt;
        const char *key;
    } texts[] = {{OPT_kind, "kind"}, {OPT_lab, "lab"}};
    if (list->after.size > 0) {
        pack_cstr(&body, "after");
        pack_bin(&body, buf_bytes(&list->after));
        count++;
    }
    for (size_t i = 0; i < 2; i++) {
        if (opts_has(opts, texts[i].opt)) {
            pack_cstr(&body, texts[i].key);
            pack_cstr(&body, opts->values[texts[i].opt]);
            count++;
        }
    }
    if (limit != UINT64_MAX) {
        pack_cstr(&body, "limit");
        pack_uint(&body, limit);
        count++;
    }
    if (opts_has(opts, OPT_mine)) {
        pack_cstr(&body, "own");
        pack_bool(&body, true);
        count++;
    }
    pack_map(&params, count);
    pack_raw(&params, buf_bytes(&body));
    enum err err = body.err != ERR_OK ? body.err
                                      : rpc_call(&list->cli->rpc, CTL_list, buf_bytes(&params),
                                                 ret_msg, &list->cli->flaw);
    buf_done(&body);
    buf_done(&params);
    return err;
}

static void entry_print(struct list *list, const msgpack_object *pair)
{
    if (pair->type != MSGPACK_OBJECT_ARRAY || pair->via.array.size != 2 ||
        pair->via.array.ptr[0].type != MSGPACK_OBJECT_BIN ||
        pair->via.array.ptr[1].type != MSGPACK_OBJECT_BIN) {
        return;
    }
    const msgpack_object_bin *lab = &pair->via.array.ptr[0].via.bin;
    const msgpack_object_bin *entry = &pair->via.array.ptr[1].via.bin;
    json_t *item =
        item_of_entry(&list->labs, bytes_of(lab->ptr, lab->size), bytes_of(entry->ptr, entry->size),
                      list->cli->lang, list->cli->out.own_fields);
    if (item != NULL) {
        out_item(&list->cli->out, item);
        json_decref(item);
    }
}

static void page_print(struct list *list, const struct ctl_msg *msg)
{
    const msgpack_object *entries = ctl_get(&msg->result, "entries");
    struct bytes next = {0};
    uint64_t limit = list->cli->opts.limit;
    for (uint32_t i = 0; entries != NULL && entries->type == MSGPACK_OBJECT_ARRAY &&
                         i < entries->via.array.size && list->cli->out.count < limit;
         i++) {
        entry_print(list, &entries->via.array.ptr[i]);
    }
    buf_clear(&list->after);
    list->end = ctl_get_bin(&msg->result, "next", &next) != ERR_OK || next.size == 0;
    buf_put(&list->after, next);
    if (ctl_get_uint(&msg->result, "total", &list->total) != ERR_OK) {
        list->total = 0;
    }
}

static enum err pages_print(struct list *list)
{
    struct cli *cli = list->cli;
    uint64_t limit = cli->opts.limit;
    while (!list->end && cli->out.count < limit) {
        struct ctl_msg msg;
        uint64_t left = limit == UINT64_MAX ? UINT64_MAX : limit - cli->out.count;
        enum err err = page_ask(list, left, &msg);
        if (err != ERR_OK) {
            return err;
        }
        page_print(list, &msg);
        ctl_done(&msg);
    }
    return ERR_OK;
}

/* Of a kind, the total is known only when the list went to its end. */
static json_t *rest_json(struct list *list)
{
    json_t *rest = json_object();
    bool whole = list->end && !opts_has(&list->cli->opts, OPT_cursor);
    bool by_kind = opts_has(&list->cli->opts, OPT_kind);
    value_set(rest, "total",
              !by_kind ? value_uint(list->total)
              : whole  ? value_uint(list->cli->out.count)
                       : json_null());
    value_set(rest, "next",
              list->end || list->after.size == 0 ? json_null()
                                                 : value_hex(buf_bytes(&list->after)));
    return rest;
}

static enum err kind_check(struct cli *cli)
{
    const char *kind = cli->opts.values[OPT_kind];
    if (kind == NULL || model_kind_known(bytes_of_str(kind))) {
        return ERR_OK;
    }
    (void) flaw_set(&cli->flaw, ERR_USAGE, N_("no such kind of entry"),
                    N_("one of the kinds named here"));
    flaw_detail(&cli->flaw, "%s:", kind);
    for (size_t i = 0; model_kinds[i] != NULL; i++) {
        flaw_detail(&cli->flaw, " %s", model_kinds[i]);
    }
    return ERR_USAGE;
}

enum err cmd_list(struct cli *cli)
{
    struct list list = {.cli = cli};
    enum err err = kind_check(cli);
    if (err == ERR_OK) {
        err = cursor_parse(cli, &list.after);
    }
    if (err == ERR_OK) {
        err = cmd_connect(cli);
    }
    if (err == ERR_OK) {
        err = labs_load(&list.labs, &cli->rpc, NULL, &cli->flaw);
    }
    if (err == ERR_OK) {
        out_begin(&cli->out, "essaim.list/1", columns, sizeof columns / sizeof columns[0], "id");
        err = pages_print(&list);
    }
    if (err == ERR_OK) {
        err = out_end(&cli->out, rest_json(&list));
    }
    labs_done(&list.labs);
    buf_done(&list.after);
    return err;
}
