/* SPDX-License-Identifier: EUPL-1.2 */
/* node/query.c: the reading methods of doc/control.md, answered from one committed snapshot. Bad
 * parameters are the client's: an error response. What returns an error here is ours. */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/state.h"
#include "proto/did.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "proto/proof.h"
#include "store/scrub.h"

#define LIST_SCAN_MAX 20000 /* entries looked at for one page */
#define LIST_COUNT_MAX 1000
#define VERIFY_PAGE 4000
#define LIST_AT_SIZE (4 + 8 + SLUG_HASH_SIZE)

struct asking {
    struct node *node;
    struct client *client;
    struct txn *txn;
    const struct ctl_msg *msg;
};

static bool same_lab(const struct lab_id *a, const struct lab_id *b)
{
    return memcmp(a->bytes, b->bytes, KEY_SIZE) == 0;
}

static void pack_did(struct buf *out, const struct lab_id *lab)
{
    char did[DID_SIZE_MAX];
    did_encode(lab, did);
    pack_cstr(out, did);
}

static const char *alias_of(struct node *node, const struct lab_id *lab)
{
    const struct peer *peer = peer_find(node, lab);
    return peer == NULL || peer->row.removed ? "" : peer->row.alias;
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

static void refuse(const struct asking *asking, enum err err, const char *field,
                   const char *message)
{
    client_error(asking->client, asking->msg->id, err, field, message);
}

static enum err answer_begin(const struct asking *asking, struct buf **ret_out)
{
    struct buf *out = client_out(asking->client);
    if (out == NULL) {
        return ERR_NOMEM;
    }
    ctl_put_response(out, asking->msg->id);
    *ret_out = out;
    return ERR_OK;
}

static enum err query_hello(const struct asking *asking)
{
    struct buf *out = NULL;
    enum err err = answer_begin(asking, &out);
    if (err != ERR_OK) {
        return err;
    }
    const struct node *node = asking->node;
    pack_map(out, 6);
    pack_cstr(out, "did");
    pack_did(out, &node->config.lab);
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
    enum err err = answer_begin(asking, &out);
    return err != ERR_OK ? err : report_status(asking->node, asking->txn, out);
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
        if (err == ERR_OK && same_lab(&held.head.lab, lab)) {
            pack_catalogue(&rows, &held);
            count++;
        }
    }
    pack_array(out, count);
    buf_put(out, buf_bytes(&rows));
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
    pack_did(out, lab);
    pack_cstr(out, "generation");
    pack_uint(out, held->record.generation);
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(lab->bytes));
    pack_cstr(out, "name");
    pack_str(out, held->record.name);
    pack_cstr(out, "own");
    pack_bool(out, same_lab(lab, &node->config.lab));
    return err;
}

/* The `lab` parameter. *ret_given: there was one. An error that was answered already: ERR_REFUSED.
 */
static enum err lab_param(const struct asking *asking, struct lab_id *ret_lab, bool *ret_given)
{
    struct bytes text = {0};
    *ret_given = ctl_get_str(&asking->msg->params, "lab", &text) == ERR_OK;
    if (!*ret_given) {
        return ERR_OK;
    }
    enum err err = query_lab(asking->node, asking->txn, text, ret_lab);
    if (err == ERR_NOT_FOUND || err == ERR_AMBIGUOUS) {
        refuse(asking, err, "lab", err == ERR_NOT_FOUND ? "no lab of that name is known" : NULL);
        return ERR_REFUSED;
    }
    return err;
}

static enum err query_labs(const struct asking *asking)
{
    struct lab_id wanted = {0};
    bool given = false;
    enum err err = lab_param(asking, &wanted, &given);
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
        if (err == ERR_OK && (!given || same_lab(&at, &wanted))) {
            err = pack_lab(asking->node, asking->txn, &rows, &held);
            count++;
        }
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    struct buf *out = NULL;
    err = answer_begin(asking, &out);
    if (err == ERR_OK) {
        pack_map(out, 1);
        pack_cstr(out, "labs");
        pack_array(out, count);
        buf_put(out, buf_bytes(&rows));
    }
    return err;
}

/* ---- list ---- */

struct listing {
    bool by_lab;
    struct lab_id lab;
    struct bytes kind; /* size 0: any */
    uint64_t limit;
    uint32_t catalogue; /* where the page goes on */
    uint64_t rev;
    struct slug_hash slug;
    bool resume;
    struct buf rows;
    size_t count, scanned;
    bool full;
    uint64_t total;
};

static enum err list_catalogue(struct listing *listing, struct txn *txn, uint32_t id,
                               const struct lab_id *lab)
{
    struct entry_cursor *cursor = NULL;
    struct slug_hash none = {0};
    bool resume = listing->resume && id == listing->catalogue;
    enum err err = entry_cursor_open(txn, id, resume ? listing->rev : 0,
                                     resume ? &listing->slug : &none, &cursor);
    if (err != ERR_OK) {
        return err;
    }
    listing->catalogue = id;
    while (err == ERR_OK) {
        struct bytes bytes;
        err = entry_cursor_next(cursor, &bytes, &listing->rev, &listing->slug);
        if (err == ERR_CORRUPT) {
            err = ERR_OK; /* never shown; `verify` names it */
            continue;
        }
        if (err != ERR_OK) {
            break;
        }
        listing->scanned++;
        struct entry entry;
        bool fits = listing->kind.size == 0 ||
                    (entry_peek(bytes, &entry) == ERR_OK && bytes_equal(entry.kind, listing->kind));
        if (fits) {
            pack_array(&listing->rows, 2);
            pack_bin(&listing->rows, BYTES_OF_ARRAY(lab->bytes));
            pack_bin(&listing->rows, bytes);
            listing->count++;
        }
        listing->full = listing->count >= listing->limit ||
                        listing->rows.size >= CTL_PAGE_SIZE_MAX ||
                        listing->scanned >= LIST_SCAN_MAX;
        if (listing->full) {
            break;
        }
    }
    entry_cursor_close(cursor);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err list_all(struct listing *listing, struct txn *txn)
{
    uint32_t id = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        err = catalogue_next(txn, &id);
        struct held_head held;
        if (err == ERR_OK) {
            err = catalogue_head(txn, id, &held);
        }
        if (err != ERR_OK || (listing->by_lab && !same_lab(&held.head.lab, &listing->lab))) {
            continue;
        }
        listing->total += held.head.count;
        if (!listing->full && (!listing->resume || id >= listing->catalogue)) {
            struct lab_id lab = held.head.lab;
            err = list_catalogue(listing, txn, id, &lab);
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static bool list_params(const struct asking *asking, struct listing *listing)
{
    const msgpack_object *params = &asking->msg->params;
    bool own = false;
    listing->limit = LIST_COUNT_MAX;
    struct bytes after = {0};
    if (ctl_get_bool(params, "own", &own) == ERR_OK && own) {
        listing->by_lab = true;
        listing->lab = asking->node->config.lab;
    }
    if (ctl_get_str(params, "kind", &listing->kind) == ERR_FIELD) {
        refuse(asking, ERR_USAGE, "kind", "kind is text");
        return false;
    }
    uint64_t limit = 0;
    if (ctl_get_uint(params, "limit", &limit) == ERR_OK && limit > 0 && limit < listing->limit) {
        listing->limit = limit;
    }
    if (ctl_get_bin(params, "after", &after) == ERR_OK) {
        if (after.size != LIST_AT_SIZE) {
            refuse(asking, ERR_USAGE, "after", "not a resume key of this method");
            return false;
        }
        listing->resume = true;
        listing->catalogue = be32_get(after.data);
        listing->rev = be64_get(after.data + 4);
        memcpy(listing->slug.bytes, after.data + 12, SLUG_HASH_SIZE);
    }
    return true;
}

static enum err query_list(const struct asking *asking)
{
    struct listing listing = {0};
    enum err err = lab_param(asking, &listing.lab, &listing.by_lab);
    if (err != ERR_OK) {
        return err == ERR_REFUSED ? ERR_OK : err;
    }
    if (!list_params(asking, &listing)) {
        return ERR_OK;
    }
    err = list_all(&listing, asking->txn);
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = listing.rows.err != ERR_OK ? listing.rows.err : answer_begin(asking, &out);
    }
    if (err == ERR_OK) {
        pack_map(out, 3);
        pack_cstr(out, "entries");
        pack_array(out, listing.count);
        buf_put(out, buf_bytes(&listing.rows));
        pack_cstr(out, "next");
        if (listing.full) {
            uint8_t next[LIST_AT_SIZE];
            be32_put(next, listing.catalogue);
            be64_put(next + 4, listing.rev);
            memcpy(next + 12, listing.slug.bytes, SLUG_HASH_SIZE);
            pack_bin(out, BYTES_OF_ARRAY(next));
        } else {
            pack_nil(out);
        }
        pack_cstr(out, "total");
        pack_uint(out, listing.total);
    }
    buf_done(&listing.rows);
    return err;
}

/* ---- show ---- */

/* An entry of `lab`, from its public catalogue. */
static enum err find_entry(struct node *node, struct txn *txn, const struct lab_id *lab,
                           struct bytes slug, struct held_head *ret_held, struct bytes *ret_entry)
{
    struct catalogue_name name = {.network = node->network, .lab = *lab, .audience = "public"};
    uint32_t id = 0;
    enum err err = catalogue_find(txn, &name, &id);
    if (err == ERR_OK) {
        err = catalogue_head(txn, id, ret_held);
    }
    struct slug_hash slug_hash = hash_slug(slug);
    return err != ERR_OK ? err : catalogue_entry(txn, id, &slug_hash, ret_entry);
}

/* A bare slug: the own lab's, else the only lab's that has it. */
static enum err find_anywhere(struct node *node, struct txn *txn, struct bytes slug,
                              struct lab_id *ret_lab)
{
    struct held_head held;
    struct bytes entry;
    enum err err = find_entry(node, txn, &node->config.lab, slug, &held, &entry);
    if (err != ERR_NOT_FOUND) {
        *ret_lab = node->config.lab;
        return err;
    }
    struct lab_id at = {0};
    bool first = true;
    unsigned count = 0;
    struct held_lab lab;
    err = ERR_OK;
    while (err == ERR_OK) {
        err = lab_next(txn, first, &at, &lab);
        first = false;
        if (err == ERR_OK && find_entry(node, txn, &at, slug, &held, &entry) == ERR_OK) {
            *ret_lab = at;
            count++;
        }
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    return count == 1 ? ERR_OK : count == 0 ? ERR_NOT_FOUND : ERR_AMBIGUOUS;
}

static enum err show_lab(const struct asking *asking, struct bytes ref, struct bytes *ret_slug,
                         struct lab_id *ret_lab)
{
    size_t slash = ref.size;
    for (size_t i = 0; i < ref.size; i++) {
        slash = ref.data[i] == '/' ? i : slash;
    }
    if (slash == ref.size) {
        *ret_slug = ref;
        return slug_valid(ref) ? find_anywhere(asking->node, asking->txn, ref, ret_lab) : ERR_SLUG;
    }
    *ret_slug = bytes_of(ref.data + slash + 1, ref.size - slash - 1);
    return slug_valid(*ret_slug)
               ? query_lab(asking->node, asking->txn, bytes_of(ref.data, slash), ret_lab)
               : ERR_SLUG;
}

static void show_put(struct buf *out, const struct held_head *held, struct bytes name,
                     struct bytes entry)
{
    struct hash leaf = entry_leaf(entry);
    pack_map(out, 7);
    pack_cstr(out, "entry");
    pack_bin(out, entry);
    pack_cstr(out, "generation");
    pack_uint(out, held->head.generation);
    pack_cstr(out, "issued_at");
    pack_uint(out, held->head.issued_at);
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(held->head.lab.bytes));
    pack_cstr(out, "leaf");
    pack_bin(out, BYTES_OF_ARRAY(leaf.bytes));
    pack_cstr(out, "n");
    pack_uint(out, held->head.n);
    pack_cstr(out, "name");
    pack_str(out, name);
}

static enum err query_show(const struct asking *asking)
{
    struct bytes ref = {0};
    if (ctl_get_str(&asking->msg->params, "ref", &ref) != ERR_OK || ref.size > 512) {
        refuse(asking, ERR_USAGE, "ref", "ref is LAB/SLUG or SLUG");
        return ERR_OK;
    }
    struct bytes slug = {0};
    struct lab_id lab = {0};
    struct held_head held;
    struct held_lab held_lab;
    struct bytes entry = {0};
    enum err err = show_lab(asking, ref, &slug, &lab);
    if (err == ERR_OK) {
        err = find_entry(asking->node, asking->txn, &lab, slug, &held, &entry);
    }
    if (err == ERR_OK) {
        err = lab_get(asking->txn, &lab, &held_lab);
    }
    if (err == ERR_NOT_FOUND || err == ERR_AMBIGUOUS || err == ERR_SLUG || err == ERR_CORRUPT) {
        refuse(asking, err, "ref", NULL);
        return ERR_OK;
    }
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = answer_begin(asking, &out);
    }
    if (err == ERR_OK) {
        show_put(out, &held, held_lab.record.name, entry);
    }
    return err;
}

/* ---- prove ---- */

static enum err prove_put(const struct asking *asking, const struct lab_id *lab, struct bytes slug)
{
    struct catalogue_name name = {
        .network = asking->node->network, .lab = *lab, .audience = "public"};
    struct slug_hash slug_hash = hash_slug(slug);
    struct proof proof = {.slug = slug};
    defer(buf_done) struct buf pairs = {0};
    struct digests *digests = malloc(sizeof *digests);
    struct held_head held;
    struct held_lab held_lab;
    uint32_t id = 0;
    enum err err = digests == NULL ? ERR_NOMEM : catalogue_find(asking->txn, &name, &id);
    if (err == ERR_OK) {
        err = catalogue_head(asking->txn, id, &held);
    }
    if (err == ERR_OK) {
        err = lab_get(asking->txn, lab, &held_lab);
    }
    if (err == ERR_OK) {
        err = catalogue_bucket(asking->txn, id, bucket_of(&slug_hash), digests, &pairs);
    }
    if (err == ERR_OK) {
        err = catalogue_entry(asking->txn, id, &slug_hash, &proof.entry);
        err = err == ERR_NOT_FOUND ? ERR_OK : err; /* a proof of absence */
    }
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = answer_begin(asking, &out);
    }
    if (err == ERR_OK) {
        proof.record = held_lab.signed_bytes;
        proof.head = held.signed_bytes;
        proof.pairs = buf_bytes(&pairs);
        proof_path(digests, bucket_of(&slug_hash), proof.path);
        defer(buf_done) struct buf bytes = {0};
        proof_encode(&proof, &bytes);
        err = bytes.err;
        pack_map(out, 1);
        pack_cstr(out, "proof");
        pack_bin(out, buf_bytes(&bytes));
    }
    free(digests);
    return err;
}

static enum err query_prove(const struct asking *asking)
{
    struct bytes ref = {0};
    struct bytes slug = {0};
    struct lab_id lab = {0};
    if (ctl_get_str(&asking->msg->params, "ref", &ref) != ERR_OK || ref.size > 512) {
        refuse(asking, ERR_USAGE, "ref", "ref is LAB/SLUG or SLUG");
        return ERR_OK;
    }
    enum err err = show_lab(asking, ref, &slug, &lab);
    if (err == ERR_NOT_FOUND && bytes_equal(slug, ref)) {
        lab = asking->node->config
                  .lab; /* a bare slug that nobody has: absent from the own catalogue */
        err = ERR_OK;
    }
    if (err == ERR_OK) {
        err = prove_put(asking, &lab, slug);
    }
    if (err == ERR_NOT_FOUND || err == ERR_AMBIGUOUS || err == ERR_SLUG || err == ERR_CORRUPT) {
        refuse(asking, err, "ref", NULL);
        return ERR_OK;
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

static enum err query_peers(const struct asking *asking)
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
        pack_did(&rows, &peer->row.lab);
        pack_cstr(&rows, "lab");
        pack_bin(&rows, BYTES_OF_ARRAY(peer->row.lab.bytes));
        pack_cstr(&rows, "name");
        pack_str(&rows, err == ERR_OK ? held.record.name : (struct bytes){0});
        pack_cstr(&rows, "state");
        pack_cstr(&rows, peer_state(peer));
    }
    struct buf *out = NULL;
    enum err err = answer_begin(asking, &out);
    if (err == ERR_OK) {
        pack_map(out, 1);
        pack_cstr(out, "peers");
        pack_array(out, count);
        buf_put(out, buf_bytes(&rows));
    }
    return err;
}

/* ---- verify ---- */

static enum err lab_of(struct txn *txn, uint32_t catalogue, struct lab_id *ret_lab)
{
    struct held_head held;
    enum err err = catalogue == 0 ? ERR_NOT_FOUND : catalogue_head(txn, catalogue, &held);
    *ret_lab = err == ERR_OK ? held.head.lab : (struct lab_id){{0}};
    return err;
}

static void verify_problems(struct buf *out, struct txn *txn, const struct scrub_page *page)
{
    pack_array(out, page->problem_count);
    for (unsigned i = 0; i < page->problem_count; i++) {
        const struct scrub_problem *problem = &page->problems[i];
        struct lab_id lab;
        (void) lab_of(txn, problem->catalogue, &lab);
        pack_map(out, problem->has_slug ? 3 : 2);
        pack_cstr(out, "lab");
        pack_bin(out, BYTES_OF_ARRAY(lab.bytes));
        if (problem->has_slug) {
            pack_cstr(out, "slug_hash");
            pack_bin(out, BYTES_OF_ARRAY(problem->slug_hash.bytes));
        }
        pack_cstr(out, "what");
        pack_cstr(out, problem->what);
    }
}

static void verify_lab(struct buf *out, struct txn *txn, const struct scrub_page *page)
{
    struct held_head held;
    struct held_lab lab;
    if (page->catalogue == 0 || catalogue_head(txn, page->catalogue, &held) != ERR_OK ||
        lab_get(txn, &held.head.lab, &lab) != ERR_OK) {
        pack_array(out, 0);
        return;
    }
    pack_array(out, 1);
    pack_map(out, page->note != NULL ? 9 : 8);
    pack_cstr(out, "audience");
    pack_cstr(out, held.head.audience);
    pack_cstr(out, "count");
    pack_uint(out, held.head.count);
    pack_cstr(out, "did");
    pack_did(out, &held.head.lab);
    pack_cstr(out, "issued_at");
    pack_uint(out, held.head.issued_at);
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(held.head.lab.bytes));
    pack_cstr(out, "n");
    pack_uint(out, held.head.n);
    pack_cstr(out, "name");
    pack_str(out, lab.record.name);
    if (page->note != NULL) {
        pack_cstr(out, "note");
        pack_cstr(out, page->note);
    }
    pack_cstr(out, "ok");
    pack_bool(out, page->catalogue_ok);
}

static enum err query_verify(const struct asking *asking)
{
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct bytes after = {0};
    if (ctl_get_bin(&asking->msg->params, "after", &after) == ERR_OK) {
        if (after.size != sizeof at) {
            refuse(asking, ERR_USAGE, "after", "not a resume key of this method");
            return ERR_OK;
        }
        memcpy(at, after.data, sizeof at);
    }
    struct scrub_page *page = calloc(1, sizeof *page);
    struct buf *out = NULL;
    enum err err = page == NULL ? ERR_NOMEM : scrub_step(asking->txn, at, VERIFY_PAGE, page);
    if (err == ERR_OK) {
        err = answer_begin(asking, &out);
    }
    if (err == ERR_OK) {
        pack_map(out, 6);
        pack_cstr(out, "checked");
        pack_uint(out, page->checked);
        pack_cstr(out, "labs");
        verify_lab(out, asking->txn, page);
        pack_cstr(out, "next");
        if (page->done) {
            pack_nil(out);
        } else {
            pack_bin(out, BYTES_OF_ARRAY(at));
        }
        pack_cstr(out, "problem_count");
        pack_uint(out, page->problems_seen);
        pack_cstr(out, "problems");
        verify_problems(out, asking->txn, page);
        pack_cstr(out, "total");
        pack_uint(out, page->total);
    }
    free(page);
    return err;
}

static enum err query_forks(const struct asking *asking)
{
    struct buf *out = NULL;
    enum err err = answer_begin(asking, &out);
    return err == ERR_OK ? forks_report(asking->txn, out) : err;
}

static enum err query_fork_show(const struct asking *asking)
{
    struct bytes text = {0};
    struct catalogue_name name = {.network = asking->node->network, .audience = "public"};
    enum err err = ctl_get_str(&asking->msg->params, "lab", &text);
    if (err == ERR_FIELD) {
        refuse(asking, ERR_USAGE, "lab", "lab must be text");
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
        refuse(asking, err, "lab", err == ERR_NOT_FOUND ? "no fork of that lab is known" : NULL);
        return ERR_OK;
    }
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = answer_begin(asking, &out);
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
        refuse(asking, ERR_USAGE, "slug", "slug is that of an entry of this lab");
        return ERR_OK;
    }
    if (ctl_get(&asking->msg->params, "after") != NULL &&
        ctl_get_uint(&asking->msg->params, "after", &after) != ERR_OK) {
        refuse(asking, ERR_USAGE, "after", "after is a revision");
        return ERR_OK;
    }
    defer(buf_done) struct buf page = {0};
    enum err err = former_report(asking->node, asking->txn, slug, after, &page);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        refuse(asking, err, "slug", NULL);
        return ERR_OK;
    }
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = answer_begin(asking, &out);
    }
    if (err == ERR_OK) {
        buf_put(out, buf_bytes(&page));
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
    err = answer_begin(asking, &out);
    return err == ERR_OK ? identity_put(asking, known ? &held : NULL, out) : err;
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
    case CTL_history:
        return query_history(&asking);
    default:
        refuse(&asking, ERR_UNSUPPORTED, NULL, NULL);
        return ERR_OK;
    }
}
