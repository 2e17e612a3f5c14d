/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/fork.c: two signed heads, and from number k on what leads to each.
 *
 *     history_a ── k ── k+1 ── … ── head a
 *     history_b ── k'── … ──────────────── head b       k and k' are two heads of one number
 *
 * Verifying: strict scan; the record by its lab; both heads by the record's key; that they are of
 * one catalogue and generation; and only then the hashes, folded up to each head's signed history.
 * Nobody but the holder of the signing key can make two that differ at k. How it fails: fork.h.
 */
#include "proto/fork.h"

#include "base/defer.h"
#include "proto/fields.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define FORK_ITEMS 10
/* No item of an opening takes fewer bytes than 10, packed. */
#define FORK_NODES_MAX (FORK_ITEMS + 3 + FORK_SIZE_MAX / 10)

static const struct scan_limits limits = {.depth_max = 2, .nodes_max = FORK_NODES_MAX};

/* (n, head hash): <0, 0, >0. */
static int branch_order(const struct head *a, const struct head *b)
{
    return a->n != b->n ? (a->n < b->n ? -1 : 1) : memcmp(a->hash.bytes, b->hash.bytes, HASH_SIZE);
}

/* ---- encode ---- */

static void branch_put(const struct fork_branch *branch, struct buf *into)
{
    static const struct opening nothing = {.from = 1};
    const struct opening *items = branch->items != NULL ? branch->items : &nothing;
    pack_bin(into, branch->head);
    pack_bin(into, BYTES_OF_ARRAY(branch->history.bytes));
    pack_array(into,
               (items->hashes.size + items->side_hashes.size) / HASH_SIZE + items->side_count);
    struct opening_at at = {0};
    uint8_t room[OPENING_ITEM_MAX];
    struct bytes item;
    while (into->err == ERR_OK && opening_next(items, &at, room, &item)) {
        pack_bin(into, item);
    }
}

enum err fork_encode(struct bytes record, uint64_t k, const struct fork_branch *one,
                     const struct fork_branch *other, struct buf *into)
{
    struct head head, other_head;
    enum err err = head_peek(one->head, &head);
    if (err == ERR_OK) {
        err = head_peek(other->head, &other_head);
    }
    if (err != ERR_OK) {
        return err;
    }
    bool in_order = branch_order(&head, &other_head) <= 0;
    defer(buf_done) struct buf proof = {0};
    buf_init(&proof, FORK_SIZE_MAX);
    pack_array(&proof, FORK_ITEMS);
    pack_cstr(&proof, "fork");
    pack_uint(&proof, 1);
    pack_bin(&proof, record);
    pack_uint(&proof, k);
    branch_put(in_order ? one : other, &proof);
    branch_put(in_order ? other : one, &proof);
    if (proof.err != ERR_OK) {
        return proof.err;
    }
    buf_put(into, buf_bytes(&proof));
    return into->err;
}

/* ---- verify ---- */

struct branch {
    struct bytes head, items; /* signed object; the packed array */
    struct hash history;
};

static void branch_read(struct fields *fields, struct branch *branch)
{
    branch->head = fields_bin(fields);
    fields_copy(fields, branch->history.bytes, HASH_SIZE);
    branch->items = fields_raw(fields);
}

static enum err fork_read(struct bytes bytes, struct bytes *ret_record, uint64_t *ret_k,
                          struct branch branches[2])
{
    struct fields fields = fields_of(bytes);
    fields_expect(&fields, FORK_ITEMS);
    fields_want(&fields, bytes_equal(fields_str(&fields), bytes_of_str("fork")));
    fields_want(&fields, fields_uint(&fields) == 1);
    *ret_record = fields_bin(&fields);
    *ret_k = fields_uint(&fields);
    branch_read(&fields, &branches[0]);
    branch_read(&fields, &branches[1]);
    return fields_end(&fields);
}

static bool same_catalogue(const struct head *a, const struct head *b)
{
    return memcmp(a->network.bytes, b->network.bytes, HASH_SIZE) == 0 &&
           memcmp(a->lab.bytes, b->lab.bytes, KEY_SIZE) == 0 &&
           strcmp(a->audience, b->audience) == 0;
}

/* Both of the record's lab and generation, of one catalogue, in order, and not before k. */
static bool heads_fit(const struct forked *forked)
{
    const struct head *a = &forked->a, *b = &forked->b;
    return memcmp(a->lab.bytes, forked->record.lab.bytes, KEY_SIZE) == 0 && same_catalogue(a, b) &&
           a->generation == forked->record.generation &&
           b->generation == forked->record.generation && branch_order(a, b) < 0 && forked->k >= 1 &&
           forked->k <= a->n;
}

/* The items lead from history(k) to the head; which hash of number k is on that way. */
static enum err branch_verify(const struct branch *branch, uint64_t k, const struct head *head,
                              struct hash *ret_at_k)
{
    defer(opening_done) struct opening opening = {0};
    opening_begin(&opening, k);
    struct fields fields = fields_of(branch->items);
    uint64_t count = fields_array(&fields);
    for (uint64_t i = 0; fields.err == ERR_OK && i < count; i++) {
        enum err err = opening_add(&opening, fields_bin(&fields));
        if (err != ERR_OK) {
            return err == ERR_MALFORMED ? ERR_INVALID : err;
        }
    }
    enum err err = fields_end(&fields);
    if (err != ERR_OK) {
        return err;
    }
    err = opening_check(&opening, &branch->history, NULL, NULL, head->n, &head->history);
    if (err != ERR_OK) {
        return err == ERR_MALFORMED ? ERR_INVALID : err;
    }
    const uint8_t *first = opening_hash(&opening, k);
    memcpy(ret_at_k->bytes, first != NULL ? first : head->hash.bytes, HASH_SIZE);
    return ERR_OK;
}

enum err fork_verify(struct bytes bytes, struct forked *ret_forked)
{
    struct branch branches[2];
    struct bytes record = {0};
    struct forked forked = {0};
    enum err err = bytes.size > FORK_SIZE_MAX ? ERR_SIZE : scan_strict(bytes, limits);
    if (err == ERR_OK) {
        err = fork_read(bytes, &record, &forked.k, branches);
    }
    if (err == ERR_OK) {
        err = lab_record_open(record, &forked.record);
    }
    if (err == ERR_OK) {
        err = head_open(branches[0].head, forked.record.signing_pk, &forked.a);
    }
    if (err == ERR_OK) {
        err = head_open(branches[1].head, forked.record.signing_pk, &forked.b);
    }
    if (err == ERR_OK && !heads_fit(&forked)) {
        err = ERR_INVALID;
    }
    if (err == ERR_OK) {
        err = branch_verify(&branches[0], forked.k, &forked.a, &forked.a_at_k);
    }
    if (err == ERR_OK) {
        err = branch_verify(&branches[1], forked.k, &forked.b, &forked.b_at_k);
    }
    if (err == ERR_OK && memcmp(forked.a_at_k.bytes, forked.b_at_k.bytes, HASH_SIZE) == 0) {
        err = ERR_INVALID; /* they part later, or not at all */
    }
    if (err != ERR_OK) {
        return err;
    }
    forked.exact = memcmp(branches[0].history.bytes, branches[1].history.bytes, HASH_SIZE) == 0;
    forked.a_signed = branches[0].head;
    forked.b_signed = branches[1].head;
    *ret_forked = forked;
    return ERR_OK;
}
