/* SPDX-License-Identifier: EUPL-1.2 */
/* node/tally.c: what becomes of the records of a request: one status each, errors, revisions. */
#include "node/own.h"

#include "proto/pack.h"

#define ERRORS_MAX 1000
#define REVS_MAX 10000

/* ---- requests ---- */

struct tally tally_of(struct answer *answer)
{
    return (struct tally){.statuses = &answer->statuses,
                          .errors = &answer->errors,
                          .revs = &answer->revs,
                          .error_count = &answer->error_count,
                          .rev_count = &answer->rev_count};
}

void tally_refused(const struct tally *tally, size_t index, const struct verdict *verdict)
{
    if (verdict->status == CTL_REFUSED && *tally->error_count < ERRORS_MAX) {
        (*tally->error_count)++;
        pack_array(tally->errors, 4);
        pack_uint(tally->errors, index);
        pack_cstr(tally->errors, err_code(verdict->err));
        pack_cstr(tally->errors, verdict->field);
        pack_cstr(tally->errors,
                  verdict->message != NULL ? verdict->message : err_text(verdict->err));
    }
}

void tally_unchanged(const struct tally *tally, size_t index, const struct verdict *verdict)
{
    if (verdict->status == CTL_UNCHANGED && *tally->rev_count < REVS_MAX) {
        (*tally->rev_count)++;
        pack_array(tally->revs, 2);
        pack_uint(tally->revs, index);
        pack_uint(tally->revs, verdict->rev);
    }
}

void tally_add(const struct tally *tally, const struct verdict *verdict)
{
    tally_unchanged(tally, tally->statuses->size, verdict);
    tally_refused(tally, tally->statuses->size, verdict);
    buf_put_u8(tally->statuses, (uint8_t) verdict->status);
}

static bool record_read(const msgpack_object *item, struct record *ret_record)
{
    if (item->type != MSGPACK_OBJECT_ARRAY || item->via.array.size < 3 ||
        item->via.array.size > 4) {
        return false;
    }
    const msgpack_object *parts = item->via.array.ptr;
    if (parts[0].type != MSGPACK_OBJECT_STR || parts[1].type != MSGPACK_OBJECT_STR ||
        parts[2].type != MSGPACK_OBJECT_BIN) {
        return false;
    }
    *ret_record = (struct record){
        .slug = bytes_of(parts[0].via.str.ptr, parts[0].via.str.size),
        .kind = bytes_of(parts[1].via.str.ptr, parts[1].via.str.size),
        .body = bytes_of(parts[2].via.bin.ptr, parts[2].via.bin.size),
    };
    if (item->via.array.size == 4 && parts[3].type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        ret_record->has_if_rev = true;
        ret_record->if_rev = parts[3].via.u64;
    }
    return item->via.array.size == 3 || ret_record->has_if_rev ||
           parts[3].type == MSGPACK_OBJECT_NIL;
}

enum err tally_put(struct node *node, struct draft *draft, const struct tally *tally,
                   const msgpack_object *entries, bool dry_run)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    for (uint32_t i = 0; err == ERR_OK && i < entries->via.array.size; i++) {
        struct record record;
        struct verdict verdict;
        size_t changes = draft->changes.count;
        if (record_read(&entries->via.array.ptr[i], &record)) {
            err = draft_put(node, draft, txn, &record, dry_run, &verdict);
            struct place place = {.index = tally->statuses->size,
                                  .has_if_rev = record.has_if_rev,
                                  .if_rev = record.if_rev};
            if (tally->places != NULL && draft->changes.count > changes) {
                buf_put(tally->places, bytes_of(&place, sizeof place));
            }
        } else {
            verdict = draft_refused(ERR_INVALID, "",
                                    "a record is [slug, kind, body] or [slug, kind, body, rev]");
        }
        if (err == ERR_OK) {
            tally_add(tally, &verdict);
        }
    }
    return err == ERR_OK && tally->places != NULL ? tally->places->err : err;
}
