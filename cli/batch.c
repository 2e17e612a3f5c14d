/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/batch.c: requests with more = true until the last one; only that one makes a head.
 *
 * An error of the daemon for the whole request (role, disk) ends everything; refusals of single
 * records come in its last response, by index among those that were sent.
 */
#include "cli/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/text.h"
#include "cli/value.h"
#include "cli/words.h"
#include "proto/pack.h"

void batch_init(struct batch *batch, struct cli *cli)
{
    *batch = (struct batch){.cli = cli, .first_id = cli->rpc.next_id};
}

void batch_done(struct batch *batch)
{
    if (batch == NULL) {
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        json_decref(batch->records[i].error);
    }
    free(batch->records);
    batch->records = NULL;
    batch->count = 0;
    buf_done(&batch->slugs);
    buf_done(&batch->entries);
}

static enum err record_new(struct batch *batch, const char *slug, unsigned file, size_t line,
                           struct batch_record **ret_record)
{
    if (batch->count == batch->cap) {
        size_t cap = batch->cap == 0 ? 64 : batch->cap * 2;
        struct batch_record *records = realloc(batch->records, cap * sizeof *records);
        if (records == NULL) {
            return flaw_set(&batch->cli->flaw, ERR_NOMEM, NULL, NULL);
        }
        batch->records = records;
        batch->cap = cap;
    }
    struct batch_record *record = &batch->records[batch->count++];
    *record = (struct batch_record){
        .slug = (uint32_t) batch->slugs.size,
        .slug_size = (uint8_t) strlen(slug),
        .line = (uint32_t) line,
        .file = (uint16_t) file,
        .status = CTL_REFUSED,
    };
    buf_put_str(&batch->slugs, slug);
    *ret_record = record;
    return batch->slugs.err == ERR_OK ? ERR_OK : flaw_set(&batch->cli->flaw, ERR_NOMEM, NULL, NULL);
}

static enum err result_take(struct batch *batch, struct ctl_msg *ret_msg)
{
    enum err err = rpc_result(&batch->cli->rpc, batch->first_id, ret_msg, &batch->cli->flaw);
    batch->first_id++;
    batch->in_flight--;
    return err;
}

static enum err room_make(struct batch *batch, unsigned in_flight_max)
{
    while (batch->in_flight > in_flight_max) {
        struct ctl_msg msg;
        enum err err = result_take(batch, &msg);
        if (err != ERR_OK) {
            return err;
        }
        ctl_done(&msg);
    }
    return ERR_OK;
}

static enum err request_send(struct batch *batch, bool more)
{
    struct cli *cli = batch->cli;
    struct buf head = {0};
    struct buf tail = {0};
    bool dry_run = opts_has(&cli->opts, OPT_dry_run);
    ctl_put_request(&head, cli->rpc.next_id++, CTL_publish);
    pack_map(&head, 1u + dry_run + more);
    if (dry_run) {
        pack_cstr(&head, "dry_run");
        pack_bool(&head, true);
    }
    pack_cstr(&head, "entries");
    pack_array(&head, batch->entries_count);
    if (more) {
        pack_cstr(&tail, "more");
        pack_bool(&tail, true);
    }
    enum err err = head.err != ERR_OK ? head.err : tail.err;
    err = err != ERR_OK ? err : batch->entries.err;
    if (err != ERR_OK) {
        (void) flaw_set(&cli->flaw, err, NULL, NULL);
    } else {
        const struct bytes parts[] = {buf_bytes(&head), buf_bytes(&batch->entries),
                                      buf_bytes(&tail)};
        err = rpc_send(&cli->rpc, parts, 3, &cli->flaw);
        batch->in_flight++;
    }
    buf_done(&head);
    buf_done(&tail);
    buf_clear(&batch->entries);
    batch->entries_count = 0;
    return err != ERR_OK || !more ? err : room_make(batch, BATCH_IN_FLIGHT_MAX);
}

enum err batch_add(struct batch *batch, const struct build *build, unsigned file, size_t line)
{
    struct batch_record *record = NULL;
    bool if_rev = opts_has(&batch->cli->opts, OPT_if_rev);
    if (if_rev && batch->sent > 0) {
        return flaw_set(&batch->cli->flaw, ERR_USAGE,
                        N_("--if-rev goes with one record, here are several"), NULL);
    }
    if (batch->entries.size > 0 && batch->entries.size + build->out.size > BATCH_REQUEST_SIZE) {
        enum err err = request_send(batch, true);
        if (err != ERR_OK) {
            return err;
        }
    }
    enum err err = record_new(batch, build->slug, file, line, &record);
    if (err != ERR_OK) {
        return err;
    }
    record->sent = true;
    batch->sent++;
    pack_array(&batch->entries, if_rev ? 4 : 3);
    pack_cstr(&batch->entries, build->slug);
    pack_cstr(&batch->entries, build->kind);
    pack_bin(&batch->entries, buf_bytes(&build->out));
    if (if_rev) {
        pack_uint(&batch->entries, batch->cli->opts.if_rev);
    }
    batch->entries_count++;
    return ERR_OK;
}

static void refusal_keep(struct batch *batch, struct batch_record *record, const struct flaw *flaw)
{
    if (batch->first.err == ERR_OK) {
        batch->first = *flaw;
    }
    if (out_is_json(&batch->cli->out)) {
        record->error = voice_json(flaw);
    }
}

enum err batch_note(struct batch *batch, const struct flaw *flaw, unsigned file)
{
    struct batch_record *record = NULL;
    enum err err = record_new(batch, flaw->slug, file, flaw->line, &record);
    if (err == ERR_OK) {
        refusal_keep(batch, record, flaw);
    }
    return err;
}

static void text_copy(char *into, size_t room, const msgpack_object *object)
{
    if (object->type == MSGPACK_OBJECT_STR) {
        (void) snprintf(into, room, "%.*s", (int) object->via.str.size, object->via.str.ptr);
    }
}

/* [index, code, field, message]; `flaw` has the record's place already. */
static void error_read(const msgpack_object_array *error, struct flaw *flaw)
{
    char code[32] = "";
    char message[FLAW_DETAIL_MAX] = "";
    text_copy(code, sizeof code, &error->ptr[1]);
    text_copy(flaw->field, sizeof flaw->field, &error->ptr[2]);
    text_copy(message, sizeof message, &error->ptr[3]);
    enum err err = err_from_code(code);
    flaw->err = err == ERR_OK ? ERR_INTERNAL : err;
    flaw->text = NULL;
    if (message[0] != '\0' && strcmp(message, err_text(flaw->err)) != 0) {
        flaw_detail(flaw, "%s", words_of(message));
    }
}

/* What the daemon says about the record, or only that it refused it. */
static void refusal_say(struct batch *batch, struct batch_record *record,
                        const msgpack_object *error)
{
    struct flaw flaw = {.err = ERR_REFUSED, .line = record->line};
    const char *file = batch->cli->opts.operands[record->file];
    (void) snprintf(flaw.file, sizeof flaw.file, "%s", file);
    (void) snprintf(flaw.slug, sizeof flaw.slug, "%.*s", (int) record->slug_size,
                    (const char *) batch->slugs.data + record->slug);
    if (error != NULL) {
        error_read(&error->via.array, &flaw);
    }
    refusal_keep(batch, record, &flaw);
    if (!batch->cli->voice.json) {
        voice_flaw(&batch->cli->voice, &flaw);
    }
}

/* The error for the sent record `index`; errors come in ascending order of index. */
static const msgpack_object *error_of(const msgpack_object *errors, uint64_t index, uint32_t *at)
{
    while (errors != NULL && errors->type == MSGPACK_OBJECT_ARRAY && *at < errors->via.array.size) {
        const msgpack_object *error = &errors->via.array.ptr[*at];
        bool good = error->type == MSGPACK_OBJECT_ARRAY && error->via.array.size >= 4 &&
                    error->via.array.ptr[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER;
        if (good && error->via.array.ptr[0].via.u64 == index) {
            return error;
        }
        if (good && error->via.array.ptr[0].via.u64 > index) {
            return NULL;
        }
        (*at)++;
    }
    return NULL;
}

/* The revision that stands under an unchanged record; 0 when the daemon did not say. */
static uint64_t rev_of(const msgpack_object *revs, size_t index, uint32_t *at)
{
    if (revs == NULL || revs->type != MSGPACK_OBJECT_ARRAY) {
        return 0;
    }
    for (; *at < revs->via.array.size; (*at)++) {
        const msgpack_object *row = &revs->via.array.ptr[*at];
        if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size != 2 ||
            row->via.array.ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
            row->via.array.ptr[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
            return 0;
        }
        if (row->via.array.ptr[0].via.u64 >= index) {
            return row->via.array.ptr[0].via.u64 == index ? row->via.array.ptr[1].via.u64 : 0;
        }
    }
    return 0;
}

static enum err verdicts_take(struct batch *batch, const struct ctl_msg *msg)
{
    struct bytes statuses = {0};
    if (ctl_get_bin(&msg->result, "statuses", &statuses) != ERR_OK ||
        statuses.size != batch->sent) {
        return flaw_set(&batch->cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                        N_("are essaim and essaimd of the same version?"));
    }
    if (ctl_get_uint(&msg->result, "n", &batch->n) != ERR_OK) {
        batch->n = 0;
    }
    const msgpack_object *errors = ctl_get(&msg->result, "errors");
    const msgpack_object *revs = ctl_get(&msg->result, "revs");
    size_t index = 0;
    uint32_t at = 0;
    uint32_t rev_at = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_record *record = &batch->records[i];
        if (!record->sent) {
            continue;
        }
        uint8_t status = statuses.data[index];
        record->status = status < CTL_REFUSED ? status : CTL_REFUSED;
        record->rev = status == CTL_UNCHANGED ? rev_of(revs, index, &rev_at) : 0;
        if (record->status == CTL_REFUSED) {
            refusal_say(batch, record, error_of(errors, index, &at));
        }
        index++;
    }
    return ERR_OK;
}

enum err batch_finish(struct batch *batch)
{
    struct ctl_msg msg;
    if (batch->sent == 0) {
        return ERR_OK;
    }
    enum err err = request_send(batch, false);
    if (err == ERR_OK) {
        err = room_make(batch, 1);
    }
    if (err == ERR_OK) {
        err = result_take(batch, &msg);
    }
    if (err == ERR_OK) {
        err = verdicts_take(batch, &msg);
        ctl_done(&msg);
    }
    return err;
}

/* ---- the report ---- */

static const char *const status_words[] = {
    [CTL_CREATED] = N_("created"),
    [CTL_UPDATED] = N_("updated"),
    [CTL_UNCHANGED] = N_("unchanged"),
    [CTL_REFUSED] = N_("refused"),
};

static const struct out_column columns[] = {
    {.path = "status", .title = N_("STATUS"), .word = true},
    {.path = "slug", .title = N_("ENTRY"), .flexible = true},
    {.path = "rev", .title = N_("REV"), .right = true},
};

static void record_report(struct batch *batch, const struct batch_record *record)
{
    json_t *item = json_object();
    bool changed = record->status == CTL_CREATED || record->status == CTL_UPDATED;
    struct bytes slug = {0};
    if (record->slug_size > 0) {
        slug = bytes_of(batch->slugs.data + record->slug, record->slug_size);
    }
    value_set(item, "slug", slug.size == 0 ? json_null() : value_str(slug));
    value_set(item, "status", json_string(status_words[record->status]));
    bool dry_run = opts_has(&batch->cli->opts, OPT_dry_run);
    uint64_t rev = !changed ? record->rev : dry_run ? 0 : batch->n;
    value_set(item, "rev", rev > 0 ? value_uint(rev) : json_null());
    if (record->error != NULL) {
        value_set(item, "error", json_incref(record->error));
    }
    out_item(&batch->cli->out, item);
    json_decref(item);
    batch->counts[record->status]++;
}

static json_t *totals_json(const struct batch *batch)
{
    json_t *rest = json_object();
    value_set(rest, "n", batch->n > 0 ? value_uint(batch->n) : json_null());
    for (size_t i = 0; i <= CTL_REFUSED; i++) {
        value_set(rest, status_words[i], value_uint(batch->counts[i]));
    }
    value_set(rest, "dry_run", json_boolean(opts_has(&batch->cli->opts, OPT_dry_run)));
    return rest;
}

static void totals_say(struct batch *batch)
{
    if (batch->cli->out.terminal) {
        voice_note(&batch->cli->voice, _("%zu created, %zu updated, %zu unchanged, %zu refused"),
                   batch->counts[CTL_CREATED], batch->counts[CTL_UPDATED],
                   batch->counts[CTL_UNCHANGED], batch->counts[CTL_REFUSED]);
    }
    if (opts_has(&batch->cli->opts, OPT_dry_run)) {
        voice_note(&batch->cli->voice, _("dry run: nothing was published"));
    }
}

/* What the whole came to. */
static enum err outcome(struct batch *batch)
{
    size_t refused = batch->counts[CTL_REFUSED];
    struct flaw *flaw = &batch->cli->flaw;
    if (refused == 0) {
        return ERR_OK;
    }
    if (batch->count == 1) {
        *flaw = batch->first;
        batch->cli->said = !batch->cli->voice.json;
        return flaw->err;
    }
    enum err err = refused < batch->count ? ERR_PARTIAL : ERR_INVALID;
    (void) flaw_set(flaw, err, N_("records were refused, the others are done"), NULL);
    if (err == ERR_INVALID) {
        flaw->text = N_("every record was refused");
    }
    flaw_detail(flaw, "%zu/%zu", refused, batch->count);
    return err;
}

enum err batch_report(struct batch *batch)
{
    struct out *out = &batch->cli->out;
    out_begin(out, "essaim.publish/1", columns, sizeof columns / sizeof columns[0], "slug");
    for (size_t i = 0; i < batch->count; i++) {
        record_report(batch, &batch->records[i]);
    }
    enum err err = out_end(out, totals_json(batch));
    totals_say(batch);
    return err != ERR_OK ? err : outcome(batch);
}
