/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/fork.c: two histories under one key: found, proven, passed on (doc/protocol.md §8,
 * doc/decisions/0008).
 *
 * Found by a head that is not newer than the held one and not in its history (fork_seen), by a
 * newer one whose chain does not hold the held head (fork_chain), or by another's proof
 * (fork_part). The proof goes into the store as an arrival of its own, so it floods. The first
 * proof stands, unless another shows an earlier number, a bounded number of times.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/did.h"
#include "proto/fork.h"
#include "proto/pack.h"

#define PROOF_TIMES_MAX 16
#define PROOF_PART_SIZE (60u * 1024u)

static bool same_hash(const struct hash *a, const struct hash *b)
{
    return memcmp(a->bytes, b->bytes, HASH_SIZE) == 0;
}

/* ---- keeping ---- */

/* Would a proof from number `k` on tell something new? */
static enum err fork_wanted(struct txn *txn, uint32_t catalogue, uint64_t generation, uint64_t k,
                            bool *ret_wanted)
{
    struct held_fork held;
    enum err err = fork_get(txn, catalogue, &held);
    *ret_wanted = err == ERR_NOT_FOUND || held.generation < generation ||
                  (held.generation == generation && k < held.k && held.times < PROOF_TIMES_MAX);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err fork_keep(struct node *node, uint32_t catalogue, const struct head *head,
                          uint64_t k, struct bytes proof, const struct lab_id *from)
{
    struct txn *txn = NULL;
    uint64_t arrival = 0;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = fork_put(txn, catalogue, head->generation, k, proof, from, &arrival);
    }
    if (err != ERR_OK) {
        return err;
    }
    char did[DID_SIZE_MAX];
    did_encode(&head->lab, did);
    node_log(node, 3, "fork: %s signed two histories, from head %llu on; its catalogue is frozen",
             did, (unsigned long long) k);
    return memcmp(head->lab.bytes, node->config.lab.bytes, KEY_SIZE) == 0 ? freeze_review(node)
                                                                          : ERR_OK;
}

/* The proof from number k on, checked. */
static enum err fork_make(struct txn *txn, const struct lab_id *lab_id, uint64_t k,
                          const struct fork_branch *one, const struct fork_branch *other,
                          struct buf *proof)
{
    struct held_lab lab;
    struct forked forked;
    enum err err = lab_get(txn, lab_id, &lab);
    if (err == ERR_OK) {
        err = fork_encode(lab.signed_bytes, k, one, other, proof);
    }
    return err == ERR_OK ? fork_verify(buf_bytes(proof), &forked) : err;
}

/* ---- finding ---- */

enum err fork_seen(struct node *node, uint32_t catalogue, const struct head *head,
                   struct bytes signed_head, const struct lab_id *from)
{
    struct txn *txn = NULL;
    enum where where = WHERE_UNKNOWN;
    bool wanted = false;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = history_where(txn, catalogue, head->n, &head->hash, &where);
    }
    if (err != ERR_OK || where != WHERE_OTHER) {
        return err != ERR_OK ? err : ERR_STALE;
    }
    err = fork_wanted(txn, catalogue, head->generation, head->n, &wanted);
    if (err != ERR_OK || !wanted) {
        return err != ERR_OK ? err : ERR_FORK;
    }
    struct held_head held;
    defer(opening_done) struct opening items = {0};
    struct fork_branch mine = {.items = &items};
    opening_begin(&items, head->n);
    err = catalogue_head(txn, catalogue, &held);
    if (err == ERR_OK) {
        err = history_at(txn, catalogue, head->n, &mine.history);
    }
    if (err == ERR_OK) {
        err = history_opening(txn, catalogue, held.head.n, SIZE_MAX, &items);
    }
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    mine.head = held.signed_bytes;
    struct fork_branch other = {.head = signed_head, .history = head->history};
    defer(buf_done) struct buf proof = {0};
    err = fork_make(txn, &head->lab, head->n, &mine, &other, &proof);
    if (err_ours(err)) {
        return err;
    }
    if (err != ERR_OK) {
        buf_clear(&proof); /* too long to be passed on: kept as a number */
    }
    err = fork_keep(node, catalogue, head, head->n, buf_bytes(&proof), from);
    return err == ERR_OK ? ERR_FORK : err;
}

/* The first number at which the fetch's chain and the held one differ. */
static enum err chain_parts(struct txn *txn, const struct fetch *fetch, uint64_t *ret_k)
{
    uint64_t n = 1;
    while (n <= fetch->base_n) {
        defer(buf_done) struct buf held = {0};
        uint64_t left = fetch->base_n + 1 - n;
        size_t count = left < 1024 ? (size_t) left : 1024;
        enum err err = catalogue_opening(txn, fetch->catalogue, n, count, &held);
        if (err != ERR_OK) {
            return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
        for (size_t i = 0; i < count; i++) {
            const uint8_t *theirs =
                n == fetch->head.n ? fetch->head.hash.bytes : opening_hash(&fetch->opening, n);
            if (theirs == NULL || memcmp(theirs, held.data + i * HASH_SIZE, HASH_SIZE) != 0) {
                *ret_k = n;
                return ERR_OK;
            }
            n++;
        }
    }
    return ERR_NOT_FOUND;
}

/* The part of an opening from k on, as an opening of its own. ERR_MALFORMED: it cannot begin
 * there. */
static enum err opening_tail(const struct opening *whole, uint64_t k, struct opening *ret_tail)
{
    struct opening_at at = {0};
    uint8_t room[OPENING_ITEM_MAX];
    struct bytes item;
    enum err err = ERR_OK;
    uint64_t n = whole->from; /* of the next hash */
    opening_begin(ret_tail, k);
    while (err == ERR_OK && opening_next(whole, &at, room, &item)) {
        n += item.size == HASH_SIZE;
        if (n > k) { /* a side behind head k - 1 belongs to head k: folded into its history */
            err = opening_add(ret_tail, item);
        }
    }
    return err;
}

/* The proof that the fetch's chain and the held one differ at number k. */
static enum err chain_prove(struct txn *txn, const struct fetch *fetch, uint64_t k,
                            struct buf *proof)
{
    struct held_head held;
    defer(opening_done) struct opening mine_items = {0};
    defer(opening_done) struct opening other_items = {0};
    struct fork_branch mine = {.items = &mine_items};
    struct fork_branch other = {.items = &other_items, .head = buf_bytes(&fetch->signed_head)};
    static const struct hash zero;
    opening_begin(&mine_items, k);
    enum err err = catalogue_head(txn, fetch->catalogue, &held);
    if (err == ERR_OK) {
        err = history_at(txn, fetch->catalogue, k, &mine.history);
    }
    if (err == ERR_OK) {
        err = history_opening(txn, fetch->catalogue, held.head.n, SIZE_MAX, &mine_items);
    }
    if (err == ERR_OK) {
        err = opening_history(&fetch->opening, &zero, NULL, NULL, k, &other.history);
    }
    if (err == ERR_OK) {
        err = opening_tail(&fetch->opening, k, &other_items);
    }
    mine.head = held.signed_bytes;
    return err == ERR_OK ? fork_make(txn, &fetch->head.lab, k, &mine, &other, proof) : err;
}

/* From the first number that differs; or, where that is too long to be passed on or cannot be said
 * (a side begins below it), from the tip of the shorter chain, of which it takes no hash at all. */
static enum err chain_prove_any(struct txn *txn, const struct fetch *fetch, uint64_t *k,
                                struct buf *proof)
{
    uint64_t tip = fetch->base_n < fetch->head.n ? fetch->base_n : fetch->head.n;
    enum err err = chain_prove(txn, fetch, *k, proof);
    if (err == ERR_OK || err_ours(err) || tip <= *k) {
        return err;
    }
    buf_clear(proof);
    err = chain_prove(txn, fetch, tip, proof);
    *k = err == ERR_OK ? tip : *k;
    return err;
}

enum err fork_chain(struct node *node, struct fetch *fetch)
{
    struct txn *txn = NULL;
    uint64_t k = 0;
    bool wanted = false;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = chain_parts(txn, fetch, &k);
    }
    if (err == ERR_OK) {
        err = fork_wanted(txn, fetch->catalogue, fetch->head.generation, k, &wanted);
    }
    if (err != ERR_OK || !wanted) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err; /* the caller missed the held head in it */
    }
    defer(buf_done) struct buf proof = {0};
    enum err proven = chain_prove_any(txn, fetch, &k, &proof);
    if (err_ours(proven)) {
        return proven;
    }
    if (proven != ERR_OK) {
        buf_clear(&proof); /* each node finds out by itself */
    }
    err = fork_wanted(txn, fetch->catalogue, fetch->head.generation, k, &wanted);
    if (err != ERR_OK || !wanted) {
        return err;
    }
    static const struct lab_id nobody;
    const struct lab_id *from = fetch->link != NULL ? &fetch->link->lab : &nobody;
    return fork_keep(node, fetch->catalogue, &fetch->head, k, buf_bytes(&proof), from);
}

/* ---- judging ---- */

/* Is head n of that hash in the chain that the fetch shows, or below it in the held one? */
static enum err chain_has(struct txn *txn, const struct fetch *fetch, uint64_t n,
                          const struct hash *hash, bool *ret_has)
{
    *ret_has = opening_holds(&fetch->opening, n, hash) ||
               (n == fetch->head.n && same_hash(hash, &fetch->head.hash));
    if (*ret_has || n >= fetch->opening.from) {
        return ERR_OK;
    }
    enum where where = WHERE_OTHER;
    enum err err = history_where(txn, fetch->catalogue, n, hash, &where);
    *ret_has = where == WHERE_TRUNK || where == WHERE_SIDE;
    return err;
}

static bool side_covers(const struct opening *opening, uint64_t n)
{
    for (unsigned i = 0; i < opening->side_count; i++) {
        const struct side *side = &opening->sides[i];
        if (side->k <= n && n < side->k + side->count) {
            return true;
        }
    }
    return false;
}

enum err fork_judge(struct node *node, struct fetch *fetch, bool *ret_known, bool *ret_joined)
{
    *ret_known = *ret_joined = false;
    struct txn *txn = NULL;
    struct held_fork held;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = fork_get(txn, fetch->catalogue, &held);
    }
    if (err != ERR_OK || held.generation != fetch->head.generation) {
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    *ret_known = true;
    if (held.proof.size == 0) {
        *ret_joined = side_covers(&fetch->opening, held.k);
        return ERR_OK;
    }
    struct forked forked;
    err = fork_verify(held.proof, &forked);
    if (err != ERR_OK) {
        return err == ERR_NOMEM ? err : ERR_CORRUPT;
    }
    bool a = false;
    bool b = false;
    err = chain_has(txn, fetch, forked.k, &forked.a_at_k, &a);
    if (err == ERR_OK) {
        err = chain_has(txn, fetch, forked.k, &forked.b_at_k, &b);
    }
    *ret_joined = a && b;
    return err;
}

/* ---- others' proofs ---- */

/* Both branches are in the held history: a merge head joined them. */
static enum err fork_joined(struct txn *txn, uint32_t catalogue, const struct forked *forked,
                            bool *ret_joined)
{
    enum where a = WHERE_UNKNOWN;
    enum where b = WHERE_UNKNOWN;
    enum err err = history_where(txn, catalogue, forked->k, &forked->a_at_k, &a);
    if (err == ERR_OK) {
        err = history_where(txn, catalogue, forked->k, &forked->b_at_k, &b);
    }
    *ret_joined = (a == WHERE_TRUNK || a == WHERE_SIDE) && (b == WHERE_TRUNK || b == WHERE_SIDE);
    return err;
}

enum err fork_settle(struct txn *txn, uint32_t catalogue)
{
    struct held_fork held;
    struct forked forked;
    bool joined = true; /* without a proof: of what was met here, and is merged now */
    enum err err = fork_get(txn, catalogue, &held);
    if (err == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (err == ERR_OK && held.proof.size > 0) {
        err = fork_verify(held.proof, &forked);
        err = err == ERR_OK || err == ERR_NOMEM ? err : ERR_CORRUPT;
        if (err == ERR_OK) {
            err = fork_joined(txn, catalogue, &forked, &joined);
        }
    }
    return err == ERR_OK && joined ? fork_drop(txn, catalogue) : err;
}

/* ERR_STALE: true, and nothing new. */
static enum err fork_news(struct node *node, const struct forked *forked, uint32_t *ret_catalogue)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct held_lab lab;
    if (err == ERR_OK) {
        err = lab_get(txn, &forked->a.lab, &lab);
    }
    if (err == ERR_NOT_FOUND || (err == ERR_OK && lab.record.generation < forked->a.generation)) {
        return ERR_STALE; /* its record comes before any head of it: this one is not known here */
    }
    if (err != ERR_OK || lab.record.generation > forked->a.generation) {
        return err != ERR_OK ? err : ERR_STALE;
    }
    struct catalogue_name name;
    head_name(&forked->a, &name);
    bool wanted = false;
    bool joined = false;
    err = catalogue_open(txn, &name, ret_catalogue);
    if (err == ERR_OK) {
        err = fork_wanted(txn, *ret_catalogue, forked->a.generation, forked->k, &wanted);
    }
    if (err == ERR_OK && wanted) {
        err = fork_joined(txn, *ret_catalogue, forked, &joined);
    }
    return err == ERR_OK && (!wanted || joined) ? ERR_STALE : err;
}

static enum err fork_take(struct node *node, struct link *link, struct bytes proof)
{
    struct forked forked;
    enum err err = fork_verify(proof, &forked);
    if (err == ERR_NOMEM) {
        return err;
    }
    bool here = err == ERR_OK &&
                memcmp(forked.a.network.bytes, node->network.bytes, HASH_SIZE) == 0 &&
                strcmp(forked.a.audience, "public") == 0;
    if (!here) {
        err = err == ERR_OK ? ERR_REFUSED : err;
        node_refuse(node, err);
        link_close(node, link, BYE_PROTOCOL, err_text(err));
        return ERR_OK;
    }
    uint32_t catalogue = 0;
    err = fork_news(node, &forked, &catalogue);
    if (err != ERR_OK) {
        return err == ERR_STALE ? ERR_OK : err;
    }
    return fork_keep(node, catalogue, &forked.a, forked.k, proof, &link->lab);
}

enum err fork_part(struct node *node, struct link *link, const struct msg *msg)
{
    if (msg->proof.offset == 0) {
        buf_done(&link->proof);
        link->proof_size = msg->proof.size;
    }
    if (msg->proof.size != link->proof_size || msg->proof.offset != link->proof.size ||
        msg->proof.part.size > link->proof_size - link->proof.size) {
        node_refuse(node, ERR_MALFORMED);
        link_close(node, link, BYE_PROTOCOL, "parts of a proof out of order");
        return ERR_OK;
    }
    buf_put(&link->proof, msg->proof.part);
    if (link->proof.err != ERR_OK) {
        return link->proof.err;
    }
    if (link->proof.size < link->proof_size) {
        return ERR_OK;
    }
    struct buf proof = link->proof;
    link->proof = (struct buf){0};
    link->proof_size = 0;
    enum err err = fork_take(node, link, buf_bytes(&proof));
    buf_done(&proof);
    return err;
}

enum err fork_announce(struct node *node, struct link *link, struct txn *txn, uint32_t catalogue,
                       bool *ret_sent)
{
    struct held_fork held;
    struct forked forked;
    *ret_sent = true;
    enum err err = fork_get(txn, catalogue, &held);
    if (err != ERR_OK || held.proof.size == 0) {
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    err = fork_verify(held.proof, &forked);
    if (err != ERR_OK) {
        return err == ERR_NOMEM ? err : ERR_CORRUPT;
    }
    if (link_room(link) < held.proof.size + 2 * FRAME_SIZE_MAX) {
        *ret_sent = false;
        return ERR_OK;
    }
    struct held_lab lab;
    defer(buf_done) struct buf records = {0};
    err = lab_get(txn, &forked.a.lab, &lab);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    list_put(&records, lab.signed_bytes); /* the record always comes first */
    if (records.err != ERR_OK) {
        return records.err;
    }
    link_send(
        node, link,
        &(struct msg){.type = MSG_RECORDS, .records = {.raw = buf_bytes(&records), .count = 1}});
    for (size_t at = 0; at < held.proof.size; at += PROOF_PART_SIZE) {
        size_t left = held.proof.size - at;
        size_t size = left < PROOF_PART_SIZE ? left : PROOF_PART_SIZE;
        link_send(node, link,
                  &(struct msg){.type = MSG_PROOF,
                                .proof = {.lab = forked.a.lab,
                                          .size = held.proof.size,
                                          .offset = at,
                                          .part = bytes_of(held.proof.data + at, size)}});
    }
    return ERR_OK;
}

enum err fork_refuse(struct node *node, struct fetch *fetch)
{
    struct link *link = fetch->link;
    struct txn *txn = NULL;
    bool sent = false;
    enum err err = ERR_OK;
    if (link != NULL && !link->file && link->state == LINK_READY &&
        memcmp(link->lab.bytes, fetch->head.lab.bytes, KEY_SIZE) == 0) {
        err = node_txn(node, &txn);
        if (err == ERR_OK) {
            err = fork_announce(node, link, txn, fetch->catalogue, &sent);
        }
    }
    node_refuse(node, ERR_FROZEN);
    fetch_over(node, fetch);
    return err;
}

/* ---- telling ---- */

/* The next fork that counts: of a generation that is not over. */
static enum err fork_standing(struct txn *txn, uint32_t *id, struct held_fork *ret_fork,
                              struct held_lab *ret_lab)
{
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        struct catalogue_name name;
        err = fork_next(txn, id);
        if (err == ERR_OK) {
            err = fork_get(txn, *id, ret_fork);
        }
        if (err == ERR_OK) {
            err = catalogue_name_of(txn, *id, &name);
        }
        if (err == ERR_OK) {
            err = lab_get(txn, &name.lab, ret_lab);
        }
        if (err == ERR_OK && ret_lab->record.generation == ret_fork->generation) {
            break;
        }
    }
    return err;
}

enum err forks_count(struct txn *txn, uint64_t *ret_count)
{
    uint32_t id = 0;
    struct held_fork fork;
    struct held_lab lab;
    enum err err = ERR_OK;
    *ret_count = 0;
    while (err == ERR_OK) {
        err = fork_standing(txn, &id, &fork, &lab);
        *ret_count += err == ERR_OK;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err forks_report(struct txn *txn, struct buf *into)
{
    uint64_t count = 0;
    uint32_t id = 0;
    enum err err = forks_count(txn, &count);
    pack_map(into, 1);
    pack_cstr(into, "forks");
    pack_array(into, count);
    while (err == ERR_OK && count-- > 0) {
        struct held_fork fork;
        struct held_lab lab;
        struct held_head held = {0};
        err = fork_standing(txn, &id, &fork, &lab);
        if (err == ERR_OK) {
            err = catalogue_head(txn, id, &held);
        }
        bool any = err == ERR_OK;
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
        if (err != ERR_OK) {
            break;
        }
        char did[DID_SIZE_MAX];
        did_encode(&lab.record.lab, did);
        pack_map(into, 7);
        pack_cstr(into, "did");
        pack_cstr(into, did);
        pack_cstr(into, "generation");
        pack_uint(into, fork.generation);
        pack_cstr(into, "k");
        pack_uint(into, fork.k);
        pack_cstr(into, "lab");
        pack_bin(into, BYTES_OF_ARRAY(lab.record.lab.bytes));
        pack_cstr(into, "n");
        pack_uint(into, any ? held.head.n : 0);
        pack_cstr(into, "name");
        pack_str(into, lab.record.name);
        pack_cstr(into, "proof_size");
        pack_uint(into, fork.proof.size);
    }
    return err;
}
