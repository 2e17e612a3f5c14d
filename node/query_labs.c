/* SPDX-License-Identifier: EUPL-1.2 */
/* node/query_labs.c: `labs` and `peers_list`: who is known, and what is held of them. */
#include "base/defer.h"
#include "node/query.h"
#include "proto/pack.h"

static const char *alias_of(struct node *node, const struct lab_id *lab)
{
    const struct peer *peer = peer_find(node, lab);
    return peer == NULL || peer->row.removed ? "" : peer->row.alias;
}

static void pack_catalogue(struct buf *out, const struct held_head *held)
{
    pack_map(out, 8);
    pack_cstr(out, "audience");
    pack_cstr(out, held->head.audience);
    pack_cstr(out, "bytes");
    pack_uint(out, held->head.bytes);
    pack_cstr(out, "count");
    pack_uint(out, held->head.count);
    pack_cstr(out, "head_hash");
    pack_bin(out, BYTES_OF_ARRAY(held->head.hash.bytes));
    pack_cstr(out, "issued_at");
    pack_uint(out, held->head.issued_at);
    pack_cstr(out, "n");
    pack_uint(out, held->head.n);
    pack_cstr(out, "network");
    pack_bin(out, BYTES_OF_ARRAY(held->head.network.bytes));
    pack_cstr(out, "root");
    pack_bin(out, BYTES_OF_ARRAY(held->head.root.bytes));
}

static enum err pack_catalogues(struct txn *txn, struct buf *out, const struct lab_id *lab)
{
    defer(buf_done) struct buf rows = {0};
    size_t count = 0;
    uint32_t id = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        err = catalogue_next(txn, &id);
        struct held_head held;
        if (err == ERR_OK) {
            err = catalogue_head(txn, id, &held);
        }
        if (err == ERR_OK && query_same(&held.head.lab, lab)) {
            pack_catalogue(&rows, &held);
            count++;
        }
    }
    pack_array(out, count);
    buf_join(out, &rows);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err pack_lab(struct node *node, struct txn *txn, struct buf *out,
                         const struct held_lab *held)
{
    const struct lab_id *lab = &held->record.lab;
    pack_map(out, 7);
    pack_cstr(out, "alias");
    pack_cstr(out, alias_of(node, lab));
    pack_cstr(out, "catalogues");
    enum err err = pack_catalogues(txn, out, lab);
    pack_cstr(out, "did");
    query_did(out, lab);
    pack_cstr(out, "generation");
    pack_uint(out, held->record.generation);
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(lab->bytes));
    pack_cstr(out, "name");
    pack_str(out, held->record.name);
    pack_cstr(out, "own");
    pack_bool(out, query_same(lab, &node->config.lab));
    return err;
}

enum err query_labs(const struct asking *asking)
{
    struct lab_id wanted = {0};
    bool given = false;
    enum err err = query_lab_param(asking, &wanted, &given);
    if (err != ERR_OK) {
        return err == ERR_REFUSED ? ERR_OK : err;
    }
    defer(buf_done) struct buf rows = {0};
    size_t count = 0;
    struct lab_id at = {0};
    bool first = true;
    while (err == ERR_OK) {
        struct held_lab held;
        err = lab_next(asking->txn, first, &at, &held);
        first = false;
        if (err == ERR_OK && (!given || query_same(&at, &wanted))) {
            err = pack_lab(asking->node, asking->txn, &rows, &held);
            count++;
        }
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    struct buf *out = NULL;
    err = query_begin(asking, &out);
    if (err == ERR_OK) {
        pack_map(out, 1);
        pack_cstr(out, "labs");
        pack_array(out, count);
        buf_join(out, &rows);
    }
    return err;
}

/* ---- peers_list ---- */

static const char *peer_state(const struct peer *peer)
{
    if (peer->link != NULL) {
        return "linked";
    }
    if (peer->dialling) {
        return "dialling";
    }
    if (peer->row.address[0] == 0) {
        return "absent";
    }
    return peer->refused ? "refuses" : "waiting";
}

enum err query_peers(const struct asking *asking)
{
    struct node *node = asking->node;
    defer(buf_done) struct buf rows = {0};
    size_t count = 0;
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct peer *peer = node->peers[i];
        if (peer->row.removed) {
            continue;
        }
        struct held_lab held;
        enum err err = lab_get(asking->txn, &peer->row.lab, &held);
        if (err != ERR_OK && err != ERR_NOT_FOUND) {
            return err;
        }
        count++;
        pack_map(&rows, 7);
        pack_cstr(&rows, "address");
        pack_cstr(&rows, peer->row.address);
        pack_cstr(&rows, "alias");
        pack_cstr(&rows, peer->row.alias);
        pack_cstr(&rows, "dial");
        pack_bool(&rows, peer->row.address[0] != 0);
        pack_cstr(&rows, "did");
        query_did(&rows, &peer->row.lab);
        pack_cstr(&rows, "lab");
        pack_bin(&rows, BYTES_OF_ARRAY(peer->row.lab.bytes));
        pack_cstr(&rows, "name");
        pack_str(&rows, err == ERR_OK ? held.record.name : (struct bytes){0});
        pack_cstr(&rows, "state");
        pack_cstr(&rows, peer_state(peer));
    }
    struct buf *out = NULL;
    enum err err = query_begin(asking, &out);
    if (err == ERR_OK) {
        pack_map(out, 1);
        pack_cstr(out, "peers");
        pack_array(out, count);
        buf_join(out, &rows);
    }
    return err;
}
