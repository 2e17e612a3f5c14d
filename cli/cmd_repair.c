/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim repair: takes back what peers hold of this lab's own catalogue and joins its branches.
 * What had to give way is listed, whole with --json, and kept: `repair lost` tells it again until
 * `repair forget` drops it. */
#include "base/defer.h"
#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/entry.h"
#include "proto/pack.h"

static const struct out_column columns[] = {
    {.path = "slug", .title = N_("SLUG"), .flexible = true},
    {.path = "kept", .title = N_("KEPT"), .right = true},
    {.path = "lost", .title = N_("GAVE WAY"), .right = true},
};

/* A row [slug, rev kept, rev lost, entry] of the answer. */
static json_t *lost_json(const msgpack_object *row)
{
    const msgpack_object *part = row->type == MSGPACK_OBJECT_ARRAY ? row->via.array.ptr : NULL;
    struct entry entry;
    if (part == NULL || row->via.array.size != 4 || part[3].type != MSGPACK_OBJECT_BIN ||
        part[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        part[2].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        entry_peek(bytes_of(part[3].via.bin.ptr, part[3].via.bin.size), &entry) != ERR_OK) {
        return NULL;
    }
    json_t *item = json_object();
    value_set(item, "slug", value_str(entry.slug));
    value_set(item, "kept", part[1].via.u64 > 0 ? value_uint(part[1].via.u64) : json_null());
    value_set(item, "lost", value_uint(part[2].via.u64));
    value_set(item, "kind", value_str(entry.kind));
    json_t *body = value_unpack(entry.body);
    value_set(item, "body", body == NULL ? json_null() : body);
    return item;
}

static enum err print(struct cli *cli, const msgpack_object *result)
{
    uint64_t n = 0;
    uint64_t merged = 0;
    uint64_t conflicts = 0;
    bool frozen = false;
    const msgpack_object *lost = ctl_get(result, "lost");
    if (ctl_get_uint(result, "n", &n) != ERR_OK ||
        ctl_get_uint(result, "merged", &merged) != ERR_OK ||
        ctl_get_uint(result, "conflicts", &conflicts) != ERR_OK ||
        ctl_get_bool(result, "frozen", &frozen) != ERR_OK || lost == NULL ||
        lost->type != MSGPACK_OBJECT_ARRAY) {
        return flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                        N_("are essaim and essaimd of the same version?"));
    }
    out_begin(&cli->out, "essaim.repair/1", columns, sizeof columns / sizeof columns[0], "slug");
    for (uint32_t i = 0; i < lost->via.array.size; i++) {
        json_t *item = lost_json(&lost->via.array.ptr[i]);
        if (item != NULL) {
            out_item(&cli->out, item);
            json_decref(item);
        }
    }
    json_t *rest = json_object();
    value_set(rest, "n", value_uint(n));
    value_set(rest, "merged", value_uint(merged));
    value_set(rest, "conflicts", value_uint(conflicts));
    value_set(rest, "frozen", json_boolean(frozen));
    enum err err = out_end(&cli->out, rest);
    if (err != ERR_OK) {
        return err;
    }
    if (frozen) {
        return flaw_set(&cli->flaw, ERR_FROZEN, N_("this lab's catalogue is still frozen"),
                        N_("essaim status says why; link the peers that hold the rest"));
    }
    voice_note(&cli->voice, _("head %llu; branches joined: %llu; entries that gave way: %llu"),
               (unsigned long long) n, (unsigned long long) merged, (unsigned long long) conflicts);
    if (conflicts > 0) {
        voice_note(&cli->voice, _("what gave way is kept: essaim repair lost"));
    }
    return ERR_OK;
}

/* ---- what gave way ---- */

/* A row of `lost`. */
static json_t *kept_json(const msgpack_object *row)
{
    struct bytes bytes = {0};
    struct entry entry;
    uint64_t kept = 0;
    uint64_t merge = 0;
    if (ctl_get_bin(row, "entry", &bytes) != ERR_OK || entry_peek(bytes, &entry) != ERR_OK ||
        ctl_get_uint(row, "kept", &kept) != ERR_OK ||
        ctl_get_uint(row, "merge", &merge) != ERR_OK) {
        return NULL;
    }
    json_t *item = json_object();
    value_set(item, "slug", value_str(entry.slug));
    value_set(item, "kept", kept > 0 ? value_uint(kept) : json_null());
    value_set(item, "lost", value_uint(entry.rev));
    value_set(item, "merge", value_uint(merge));
    value_set(item, "kind", value_str(entry.kind));
    json_t *body = value_unpack(entry.body);
    value_set(item, "body", body == NULL ? json_null() : body);
    return item;
}

/* One page, from behind `after`, which moves on; empty = the end. */
static enum err lost_page(struct cli *cli, struct buf *after)
{
    struct ctl_msg msg;
    struct bytes next = {0};
    defer(buf_done) struct buf params = {0};
    pack_map(&params, after->size > 0);
    if (after->size > 0) {
        pack_cstr(&params, "after");
        pack_bin(&params, buf_bytes(after));
    }
    enum err err = rpc_call(&cli->rpc, CTL_lost, buf_bytes(&params), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    const msgpack_object *rows = ctl_get(&msg.result, "lost");
    for (uint32_t i = 0; rows != NULL && rows->type == MSGPACK_OBJECT_ARRAY &&
                         i < rows->via.array.size && cli->out.count < cli->opts.limit;
         i++) {
        json_t *item = kept_json(&rows->via.array.ptr[i]);
        if (item != NULL) {
            out_item(&cli->out, item);
            json_decref(item);
        }
    }
    buf_clear(after);
    if (ctl_get_bin(&msg.result, "next", &next) == ERR_OK && cli->out.count < cli->opts.limit) {
        buf_put(after, next);
    }
    ctl_done(&msg);
    return after->err;
}

static enum err lost(struct cli *cli)
{
    defer(buf_done) struct buf after = {0};
    out_begin(&cli->out, "essaim.lost/1", columns, sizeof columns / sizeof columns[0], "slug");
    enum err err = lost_page(cli, &after);
    while (err == ERR_OK && after.size > 0) {
        err = lost_page(cli, &after);
    }
    return err == ERR_OK ? out_end(&cli->out, NULL) : err;
}

static enum err forget(struct cli *cli, char *const *slugs, size_t count)
{
    struct ctl_msg msg;
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 1);
    pack_cstr(&params, "slugs");
    pack_array(&params, count);
    for (size_t i = 0; i < count; i++) {
        pack_cstr(&params, slugs[i]);
    }
    enum err err = params.err != ERR_OK
                       ? params.err
                       : rpc_call(&cli->rpc, CTL_forget, buf_bytes(&params), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    ctl_done(&msg);
    json_t *answer = json_object();
    value_set(answer, "forgotten", value_uint(count));
    return out_single(&cli->out, "essaim.forget/1", answer, "forgotten");
}

/* ---- the command ---- */

static enum err repair(struct cli *cli)
{
    struct ctl_msg msg;
    defer(buf_done) struct buf params = {0};
    cmd_patience(cli); /* the daemon itself says when a minute brought nothing */
    pack_map(&params, 1);
    pack_cstr(&params, "force");
    pack_bool(&params, opts_has(&cli->opts, OPT_force));
    enum err err = rpc_call(&cli->rpc, CTL_repair, buf_bytes(&params), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    err = print(cli, &msg.result);
    ctl_done(&msg);
    return err;
}

enum err cmd_repair(struct cli *cli)
{
    const char *verb = cli->opts.operand_count > 0 ? cli->opts.operands[0] : "";
    bool lists = strcmp(verb, "lost") == 0 && cli->opts.operand_count == 1;
    bool forgets = strcmp(verb, "forget") == 0 && cli->opts.operand_count > 1;
    if (verb[0] != '\0' && ((!lists && !forgets) || opts_has(&cli->opts, OPT_force))) {
        (void) flaw_set(&cli->flaw, ERR_USAGE, N_("unknown word"),
                        N_("say nothing more, lost, or forget SLUG…"));
        flaw_detail(&cli->flaw, "%s", verb);
        return ERR_USAGE;
    }
    enum err err = cmd_connect(cli);
    if (err != ERR_OK) {
        return err;
    }
    return lists     ? lost(cli)
           : forgets ? forget(cli, cli->opts.operands + 1, (size_t) cli->opts.operand_count - 1)
                     : repair(cli);
}
