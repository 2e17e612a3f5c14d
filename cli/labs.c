/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/labs.c: one call of `labs`, kept sorted. Fails as rpc_call does. */
#include "cli/labs.h"

#include <stdlib.h>

#include "cli/text.h"
#include "cli/value.h"
#include "proto/did.h"
#include "proto/pack.h"

static json_t *row_json(struct bytes lab, struct bytes name, struct bytes alias)
{
    char did[DID_SIZE_MAX] = "";
    json_t *json = json_object();
    if (lab.size == KEY_SIZE) {
        struct lab_id id;
        bytes_copy(id.bytes, lab);
        did_encode(&id, did);
    }
    value_set(json, "id", json_string(did));
    value_set(json, "name", name.size > 0 ? value_str(name) : json_null());
    value_set(json, "alias", alias.size > 0 ? value_str(alias) : json_null());
    return json;
}

static bool row_read(const msgpack_object *object, struct labs_row *ret_row)
{
    struct bytes lab = {0};
    struct bytes name = {0};
    struct bytes alias = {0};
    bool own = false;
    if (ctl_get_bin(object, "lab", &lab) != ERR_OK || lab.size != KEY_SIZE) {
        return false;
    }
    if (ctl_get_str(object, "name", &name) != ERR_OK) {
        name.size = 0;
    }
    if (ctl_get_str(object, "alias", &alias) != ERR_OK) {
        alias.size = 0;
    }
    if (ctl_get_bool(object, "own", &own) != ERR_OK) {
        own = false;
    }
    bytes_copy(ret_row->lab.bytes, lab);
    ret_row->own = own;
    ret_row->json = row_json(lab, name, alias);
    return true;
}

static int row_compare(const void *left, const void *right)
{
    const struct labs_row *a = left;
    const struct labs_row *b = right;
    return memcmp(a->lab.bytes, b->lab.bytes, KEY_SIZE);
}

enum err labs_load(struct labs *ret_labs, struct rpc *rpc, const char *lab, struct flaw *flaw)
{
    struct buf params = {0};
    struct ctl_msg msg;
    pack_map(&params, lab == NULL ? 0 : 1);
    if (lab != NULL) {
        pack_cstr(&params, "lab");
        pack_cstr(&params, lab);
    }
    enum err err = rpc_call(rpc, CTL_labs, buf_bytes(&params), &msg, flaw);
    buf_done(&params);
    if (err != ERR_OK) {
        return err;
    }
    const msgpack_object *array = ctl_get(&msg.result, "labs");
    size_t count = array != NULL && array->type == MSGPACK_OBJECT_ARRAY ? array->via.array.size : 0;
    struct labs labs = {.rows = calloc(count + 1, sizeof *labs.rows)};
    for (size_t i = 0; i < count && labs.rows != NULL; i++) {
        labs.count += row_read(&array->via.array.ptr[i], &labs.rows[labs.count]) ? 1 : 0;
    }
    ctl_done(&msg);
    if (labs.rows == NULL) {
        return flaw_set(flaw, ERR_NOMEM, NULL, NULL);
    }
    qsort(labs.rows, labs.count, sizeof *labs.rows, row_compare);
    *ret_labs = labs;
    return ERR_OK;
}

void labs_done(struct labs *labs)
{
    if (labs == NULL) {
        return;
    }
    for (size_t i = 0; i < labs->count; i++) {
        json_decref(labs->rows[i].json);
    }
    free(labs->rows);
    *labs = (struct labs){0};
}

static const struct labs_row *row_find(struct labs *labs, struct bytes lab)
{
    if (lab.size != KEY_SIZE || labs->count == 0) {
        return NULL;
    }
    if (memcmp(labs->rows[labs->last].lab.bytes, lab.data, KEY_SIZE) == 0) {
        return &labs->rows[labs->last];
    }
    struct labs_row wanted = {0};
    bytes_copy(wanted.lab.bytes, lab);
    const struct labs_row *row =
        bsearch(&wanted, labs->rows, labs->count, sizeof *labs->rows, row_compare);
    if (row != NULL) {
        labs->last = (size_t) (row - labs->rows);
    }
    return row;
}

json_t *labs_json(struct labs *labs, struct bytes lab)
{
    const struct labs_row *row = row_find(labs, lab);
    return row != NULL ? json_incref(row->json)
                       : row_json(lab, bytes_of(NULL, 0), bytes_of(NULL, 0));
}

bool labs_own(struct labs *labs, struct bytes lab)
{
    const struct labs_row *row = row_find(labs, lab);
    return row != NULL && row->own;
}
