/* SPDX-License-Identifier: EUPL-1.2 */
/* node/query.c: the reading methods of doc/control.md, answered from one committed snapshot. Bad
 * parameters are the client's: an error response. What returns an error here is ours. */
#include "node/query.h"

#include "base/defer.h"
#include "proto/did.h"
#include "proto/entry.h"
#include "proto/pack.h"

bool query_same(const struct lab_id *a, const struct lab_id *b)
{
    return memcmp(a->bytes, b->bytes, KEY_SIZE) == 0;
}

void query_did(struct buf *out, const struct lab_id *lab)
{
    char did[DID_SIZE_MAX];
    did_encode(lab, did);
    pack_cstr(out, did);
}

/* Names compare without ASCII case, spaces and underscores as hyphens. */
static uint8_t fold(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint8_t) (c + 32);
    }
    return c == ' ' || c == '_' ? '-' : c;
}

static bool name_matches(struct bytes name, struct bytes text)
{
    if (name.size != text.size) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (fold(name.data[i]) != fold(text.data[i])) {
            return false;
        }
    }
    return true;
}

/* A local alias decides, of a lab never met, too; else the name of one lab. */
static enum err lab_by_name(struct node *node, struct txn *txn, struct bytes text,
                            struct lab_id *ret_lab)
{
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct peer_row *row = &node->peers[i]->row;
        if (!row->removed && bytes_equal(bytes_of_str(row->alias), text)) {
            *ret_lab = row->lab;
            return ERR_OK;
        }
    }
    struct lab_id at = {0};
    struct lab_id found = {0};
    unsigned count = 0;
    bool first = true;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        struct held_lab held;
        err = lab_next(txn, first, &at, &held);
        first = false;
        if (err == ERR_OK && name_matches(held.record.name, text)) {
            found = at;
            count++;
        }
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    if (count != 1) {
        return count == 0 ? ERR_NOT_FOUND : ERR_AMBIGUOUS;
    }
    *ret_lab = found;
    return ERR_OK;
}

enum err query_lab(struct node *node, struct txn *txn, struct bytes text, struct lab_id *ret_lab)
{
    if (text.size == 0) {
        *ret_lab = node->config.lab;
        return ERR_OK;
    }
    if (did_decode(text, ret_lab) == ERR_OK) {
        return ERR_OK;
    }
    return lab_by_name(node, txn, text, ret_lab);
}

void query_refuse(const struct asking *asking, enum err err, const char *field, const char *message)
{
    client_error(asking->client, asking->msg->id, err, field, message);
}

enum err query_begin(const struct asking *asking, struct buf **ret_out)
{
    struct buf *out = client_out(asking->client);
    if (out == NULL) {
        return ERR_NOMEM;
    }
    ctl_put_response(out, asking->msg->id);
    *ret_out = out;
    return ERR_OK;
}

enum err query_lab_param(const struct asking *asking, struct lab_id *ret_lab, bool *ret_given)
{
    struct bytes text = {0};
    *ret_given = ctl_get_str(&asking->msg->params, "lab", &text) == ERR_OK;
    if (!*ret_given) {
        return ERR_OK;
    }
    enum err err = query_lab(asking->node, asking->txn, text, ret_lab);
    if (err == ERR_NOT_FOUND || err == ERR_AMBIGUOUS) {
        query_refuse(asking, err, "lab",
                     err == ERR_NOT_FOUND ? "no lab of that name is known" : NULL);
        return ERR_REFUSED;
    }
    return err;
}

static enum err query_hello(const struct asking *asking)
{
    struct buf *out = NULL;
    enum err err = query_begin(asking, &out);
    if (err != ERR_OK) {
        return err;
    }
    const struct node *node = asking->node;
    pack_map(out, 6);
    pack_cstr(out, "did");
    query_did(out, &node->config.lab);
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(node->config.lab.bytes));
    pack_cstr(out, "name");
    pack_str(out, node->record_view.name);
    pack_cstr(out, "protocol");
    pack_uint(out, 1);
    pack_cstr(out, "role");
    pack_cstr(out, role_name(asking->client->role));
    pack_cstr(out, "version");
    pack_cstr(out, ESSAIM_VERSION);
    return ERR_OK;
}

static enum err query_status(const struct asking *asking)
{
    struct buf *out = NULL;
    enum err err = query_begin(asking, &out);
    return err != ERR_OK ? err : report_status(asking->node, asking->txn, out);
}

static enum err query_forks(const struct asking *asking)
{
    struct buf *out = NULL;
    enum err err = query_begin(asking, &out);
    return err == ERR_OK ? forks_report(asking->txn, out) : err;
}

static enum err query_fork_show(const struct asking *asking)
{
    struct bytes text = {0};
    struct catalogue_name name = {.network = asking->node->network, .audience = "public"};
    enum err err = ctl_get_str(&asking->msg->params, "lab", &text);
    if (err == ERR_FIELD) {
        query_refuse(asking, ERR_USAGE, "lab", "lab must be text");
        return ERR_OK;
    }
    err = query_lab(asking->node, asking->txn, text, &name.lab);
    uint32_t id = 0;
    if (err == ERR_OK) {
        err = catalogue_find(asking->txn, &name, &id);
    }
    struct held_fork fork;
    if (err == ERR_OK) {
        err = fork_get(asking->txn, id, &fork);
    }
    if (err == ERR_NOT_FOUND || err == ERR_AMBIGUOUS) {
        query_refuse(asking, err, "lab",
                     err == ERR_NOT_FOUND ? "no fork of that lab is known" : NULL);
        return ERR_OK;
    }
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = query_begin(asking, &out);
    }
    if (err == ERR_OK) {
        pack_map(out, 3);
        pack_cstr(out, "generation");
        pack_uint(out, fork.generation);
        pack_cstr(out, "k");
        pack_uint(out, fork.k);
        pack_cstr(out, "proof");
        pack_bin(out, fork.proof);
    }
    return err;
}

static enum err query_history(const struct asking *asking)
{
    struct bytes slug = {0};
    uint64_t after = 0;
    if (ctl_get_str(&asking->msg->params, "slug", &slug) != ERR_OK || !slug_valid(slug)) {
        query_refuse(asking, ERR_USAGE, "slug", "slug is that of an entry of this lab");
        return ERR_OK;
    }
    if (ctl_get(&asking->msg->params, "after") != NULL &&
        ctl_get_uint(&asking->msg->params, "after", &after) != ERR_OK) {
        query_refuse(asking, ERR_USAGE, "after", "after is a revision");
        return ERR_OK;
    }
    defer(buf_done) struct buf page = {0};
    enum err err = former_report(asking->node, asking->txn, slug, after, &page);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        query_refuse(asking, err, "slug", NULL);
        return ERR_OK;
    }
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = query_begin(asking, &out);
    }
    if (err == ERR_OK) {
        buf_join(out, &page);
    }
    return err;
}

/* ---- identity: what a new lab record must name ---- */

static enum err identity_put(const struct asking *asking, const struct held_lab *held,
                             struct buf *out)
{
    const struct node *node = asking->node;
    const struct own *own = &node->own;
    struct identity_state state;
    identity_look(node, &state);
    pack_map(out, 8);
    pack_cstr(out, "generation");
    pack_uint(out, held == NULL ? 0 : held->record.generation);
    pack_cstr(out, "heads");
    pack_array(out, own->held);
    if (own->held) {
        pack_array(out, 4);
        pack_bin(out, BYTES_OF_ARRAY(own->name.network.bytes));
        pack_cstr(out, own->name.audience);
        pack_uint(out, own->head.n);
        pack_bin(out, BYTES_OF_ARRAY(own->head.hash.bytes));
    }
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(node->config.lab.bytes));
    pack_cstr(out, "own_pending");
    pack_uint(out, state.own_pending);
    pack_cstr(out, "pending");
    pack_uint(out, state.pending);
    pack_cstr(out, "quiet_ms");
    pack_uint(out, state.quiet_ms);
    pack_cstr(out, "record");
    if (held == NULL) {
        pack_nil(out);
    } else {
        pack_bin(out, held->signed_bytes);
    }
    pack_cstr(out, "recovering");
    pack_bool(out, node->config.recovering);
    return ERR_OK;
}

static enum err query_identity(const struct asking *asking)
{
    struct held_lab held;
    struct buf *out = NULL;
    enum err err = lab_get(asking->txn, &asking->node->config.lab, &held);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    bool known = err == ERR_OK;
    err = query_begin(asking, &out);
    return err == ERR_OK ? identity_put(asking, known ? &held : NULL, out) : err;
}

static enum err query_receipts(const struct asking *asking)
{
    const msgpack_object *params = &asking->msg->params;
    uint64_t since = 0;
    struct bytes after = {0};
    struct lab_id lab;
    struct buf *out = NULL;
    enum err err = ctl_get_uint(params, "since", &since);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        query_refuse(asking, ERR_USAGE, "since", "since is the number of a head");
        return ERR_OK;
    }
    bool resumed = ctl_get_bin(params, "after", &after) == ERR_OK;
    if (resumed && after.size != KEY_SIZE) {
        query_refuse(asking, ERR_USAGE, "after", "after is what the last page gave as next");
        return ERR_OK;
    }
    bytes_copy(lab.bytes, after);
    err = query_begin(asking, &out);
    return err == ERR_OK
               ? receipts_report(asking->node, asking->txn, since, resumed ? &lab : NULL, out)
               : err;
}

enum err query_answer(struct node *node, struct client *client, struct txn *txn,
                      const struct ctl_msg *msg, enum ctl_method method)
{
    struct asking asking = {.node = node, .client = client, .txn = txn, .msg = msg};
    switch (method) {
    case CTL_hello:
        return query_hello(&asking);
    case CTL_status:
        return query_status(&asking);
    case CTL_labs:
        return query_labs(&asking);
    case CTL_list:
        return query_list(&asking);
    case CTL_show:
        return query_show(&asking);
    case CTL_peers_list:
        return query_peers(&asking);
    case CTL_verify:
        return query_verify(&asking);
    case CTL_prove:
        return query_prove(&asking);
    case CTL_identity:
        return query_identity(&asking);
    case CTL_bundle_export:
        return export_answer(node, client, txn, msg);
    case CTL_forks:
        return query_forks(&asking);
    case CTL_fork_show:
        return query_fork_show(&asking);
    case CTL_lost:
        return query_lost(&asking);
    case CTL_history:
        return query_history(&asking);
    case CTL_receipts:
        return query_receipts(&asking);
    default:
        query_refuse(&asking, ERR_UNSUPPORTED, NULL, NULL);
        return ERR_OK;
    }
}
