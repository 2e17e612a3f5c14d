/* SPDX-License-Identifier: EUPL-1.2 */
/* node/query_show.c: `show` and `prove`: one entry. */
#include <stdlib.h>

#include "base/defer.h"
#include "node/query.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "proto/proof.h"

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

enum err query_show(const struct asking *asking)
{
    struct bytes ref = {0};
    if (ctl_get_str(&asking->msg->params, "ref", &ref) != ERR_OK || ref.size > 512) {
        query_refuse(asking, ERR_USAGE, "ref", "ref is LAB/SLUG or SLUG");
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
        query_refuse(asking, err, "ref", NULL);
        return ERR_OK;
    }
    struct buf *out = NULL;
    if (err == ERR_OK) {
        err = query_begin(asking, &out);
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
        err = query_begin(asking, &out);
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

enum err query_prove(const struct asking *asking)
{
    struct bytes ref = {0};
    struct bytes slug = {0};
    struct lab_id lab = {0};
    if (ctl_get_str(&asking->msg->params, "ref", &ref) != ERR_OK || ref.size > 512) {
        query_refuse(asking, ERR_USAGE, "ref", "ref is LAB/SLUG or SLUG");
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
        query_refuse(asking, err, "ref", NULL);
        return ERR_OK;
    }
    return err;
}
