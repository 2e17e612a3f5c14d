/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/merge.c: two branches of the own catalogue become one again (doc/protocol.md §4.6,
 * doc/decisions/0008). Runs in the job: the other branch is staged whole in the fetch.
 *
 * The other branch must be what its head says, by itself. Then the two sets are walked side by
 * side: what was written on either branch since they parted stays, a withdrawal on one stands
 * against what is older, and of one slug written on both the higher rev, then the higher leaf; the
 * other goes into `lost`, in the same commit. What
 * comes from the shorter branch is encoded anew with the merge's number, so that those on the
 * longer one (the trunk) get it as an ordinary delta.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "store/lost.h"

struct merge {
    struct node *node;
    struct txn *txn;
    struct fetch *fetch;
    bool ours_trunk;
    uint64_t k, n;              /* first number that differs; of the merge head */
    struct change_list held;    /* ours, settled */
    struct change_list changes; /* what the merge does to what is held */
    struct buf unused;          /* seqs of bodies of theirs that do not stand, u64 each */
    struct buf side;            /* hashes of the branch that is no trunk, from k on */
    struct opening inner;       /* its chain: what it had joined since */
};

static void merge_done(struct merge *merge)
{
    change_done(&merge->held);
    change_done(&merge->changes);
    buf_done(&merge->unused);
    buf_done(&merge->side);
    opening_done(&merge->inner);
}

/* ---- where they part ---- */

static enum err held_hashes(struct txn *txn, uint32_t id, uint64_t from, uint64_t to,
                            struct buf *into)
{
    enum err err = catalogue_opening(txn, id, from, (size_t) (to + 1 - from), into);
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

static const uint8_t *their_hash(const struct fetch *fetch, uint64_t n)
{
    return n == fetch->head.n ? fetch->head.hash.bytes : opening_hash(&fetch->opening, n);
}

/* ERR_STALE: one holds the other, there is nothing to join. */
static enum err merge_parts(struct merge *merge)
{
    const struct fetch *fetch = merge->fetch;
    const struct head *ours = &merge->node->own.head;
    const struct head *theirs = &fetch->head;
    defer(buf_done) struct buf held = {0};
    enum err err = held_hashes(merge->txn, fetch->catalogue, 1, ours->n, &held);
    if (err != ERR_OK) {
        return err;
    }
    uint64_t shorter = ours->n < theirs->n ? ours->n : theirs->n;
    for (uint64_t n = 1; n <= shorter && merge->k == 0; n++) {
        const uint8_t *hash = their_hash(fetch, n);
        if (hash == NULL || memcmp(hash, held.data + (n - 1) * HASH_SIZE, HASH_SIZE) != 0) {
            merge->k = n;
        }
    }
    merge->n = (ours->n > theirs->n ? ours->n : theirs->n) + 1;
    merge->ours_trunk = ours->n != theirs->n
                            ? ours->n > theirs->n
                            : memcmp(ours->hash.bytes, theirs->hash.bytes, HASH_SIZE) > 0;
    bool within = opening_holds(&fetch->opening, ours->n, &ours->hash);
    return merge->k == 0 || within ? ERR_STALE : ERR_OK;
}

/* ---- the sets ---- */

static enum err held_list(struct merge *merge)
{
    struct entry_cursor *cursor = NULL;
    enum err err = entry_cursor_open(merge->txn, merge->fetch->catalogue, 0, NULL, &cursor);
    while (err == ERR_OK) {
        struct bytes entry;
        struct change change = {0};
        err = entry_cursor_next(cursor, &entry, &change.rev, &change.slug_hash);
        if (err != ERR_OK) {
            break;
        }
        change.size = (uint32_t) entry.size;
        change.leaf = entry_leaf(entry);
        err = change_add(&merge->held, &change);
    }
    entry_cursor_close(cursor);
    return err == ERR_NOT_FOUND ? change_settle(&merge->held, NULL) : err;
}

static enum err drop_theirs(struct merge *merge, const struct change *theirs)
{
    uint8_t seq[8];
    be64_put(seq, theirs->seq);
    buf_put(&merge->unused, BYTES_OF_ARRAY(seq));
    return merge->unused.err;
}

/* The same entry with the merge's number as its rev. */
static enum err put_anew(struct merge *merge, struct bytes bytes, const struct slug_hash *slug_hash)
{
    struct entry entry;
    defer(buf_done) struct buf anew = {0};
    enum err err = entry_peek(bytes, &entry);
    if (err != ERR_OK) {
        return err;
    }
    entry.rev = merge->n;
    err = entry_encode(&entry, &anew);
    struct change change = {.slug_hash = *slug_hash, .rev = merge->n, .size = (uint32_t) anew.size};
    if (err == ERR_OK) {
        change.leaf = entry_leaf(buf_bytes(&anew));
        err = body_append(merge->txn, merge->fetch->catalogue, buf_bytes(&anew), &change.seq);
    }
    return err == ERR_OK ? change_add(&merge->changes, &change) : err;
}

static enum err take_ours(struct merge *merge, const struct change *ours)
{
    if (merge->ours_trunk) {
        return ERR_OK;
    }
    struct bytes bytes;
    enum err err = catalogue_entry(merge->txn, merge->fetch->catalogue, &ours->slug_hash, &bytes);
    defer(buf_done) struct buf copy = {0}; /* the view dies with the next write */
    if (err == ERR_OK) {
        buf_put(&copy, bytes);
        err = copy.err;
    }
    return err == ERR_OK ? put_anew(merge, buf_bytes(&copy), &ours->slug_hash) : err;
}

static enum err take_theirs(struct merge *merge, const struct change *theirs)
{
    if (!merge->ours_trunk) {
        return change_add(&merge->changes, theirs);
    }
    struct bytes bytes;
    enum err err = body_get(merge->txn, merge->fetch->catalogue, theirs->seq, &bytes);
    defer(buf_done) struct buf copy = {0};
    if (err == ERR_OK) {
        buf_put(&copy, bytes);
        err = copy.err;
    }
    if (err == ERR_OK) {
        err = put_anew(merge, buf_bytes(&copy), &theirs->slug_hash);
    }
    return err == ERR_OK ? drop_theirs(merge, theirs) : err;
}

static enum err take_none(struct merge *merge, const struct change *one)
{
    return change_add(&merge->changes,
                      &(struct change){.slug_hash = one->slug_hash, .leaf = one->leaf});
}

/* Who asked for the repair is told of it, too. */
static enum err conflict_tell(struct repair *repair, uint64_t kept_rev, struct bytes bytes)
{
    struct entry entry;
    repair->conflicts++;
    if (repair->lost_rows >= CONFLICTS_MAX || repair->lost.size + bytes.size > CTL_PAGE_SIZE_MAX) {
        return ERR_OK; /* `lost` tells all */
    }
    enum err err = entry_peek(bytes, &entry);
    if (err != ERR_OK) {
        return err;
    }
    repair->lost_rows++;
    pack_array(&repair->lost, 4);
    pack_str(&repair->lost, entry.slug);
    pack_uint(&repair->lost, kept_rev);
    pack_uint(&repair->lost, entry.rev);
    pack_bin(&repair->lost, bytes);
    return repair->lost.err;
}

/* One has to give way, for the one of `kept_rev` (0: for none): it is kept for the operator. */
static enum err give_way(struct merge *merge, const struct change *lost, bool is_ours,
                         uint64_t kept_rev)
{
    uint32_t id = merge->fetch->catalogue;
    struct bytes bytes;
    defer(buf_done) struct buf copy = {0}; /* the view dies with the write */
    enum err err = is_ours ? catalogue_entry(merge->txn, id, &lost->slug_hash, &bytes)
                           : body_get(merge->txn, id, lost->seq, &bytes);
    if (err == ERR_OK) {
        buf_put(&copy, bytes);
        err = copy.err;
    }
    struct lost row = {.merge_n = merge->n, .kept_rev = kept_rev, .entry = buf_bytes(&copy)};
    if (err == ERR_OK) {
        err = lost_put(merge->txn, id, &row);
    }
    return err == ERR_OK ? conflict_tell(&merge->node->repair, kept_rev, row.entry) : err;
}

/* Would it fit under the merge's number? Old entries were let in without room for a longer one. */
static bool fits_anew(const struct merge *merge, const struct change *change)
{
    return entry_size_under(change->size, change->rev, merge->n) <= ENTRY_SIZE_MAX;
}

static enum err merge_both(struct merge *merge, const struct change *ours,
                           const struct change *theirs)
{
    if (memcmp(ours->leaf.bytes, theirs->leaf.bytes, HASH_SIZE) == 0) {
        return drop_theirs(merge, theirs);
    }
    bool ours_wins = ours->rev != theirs->rev
                         ? ours->rev > theirs->rev
                         : memcmp(ours->leaf.bytes, theirs->leaf.bytes, HASH_SIZE) > 0;
    bool anew = ours_wins != merge->ours_trunk;
    bool conflict = (ours_wins ? theirs : ours)->rev >= merge->k;
    if (anew && !fits_anew(merge, ours_wins ? ours : theirs)) {
        ours_wins = !ours_wins; /* the one on the trunk stands as it is */
        anew = false;
        conflict = true;
    }
    const struct change *kept = ours_wins ? ours : theirs;
    enum err err = ERR_OK;
    if (conflict) { /* both were written since the branches parted */
        err = give_way(merge, ours_wins ? theirs : ours, !ours_wins, anew ? merge->n : kept->rev);
    }
    if (err == ERR_OK) {
        err = ours_wins ? take_ours(merge, ours) : take_theirs(merge, theirs);
    }
    return err == ERR_OK && ours_wins ? drop_theirs(merge, theirs) : err;
}

/* Only one has it: it was written there since, or withdrawn on the other. */
static enum err merge_one(struct merge *merge, const struct change *one, bool is_ours)
{
    bool fits = is_ours == merge->ours_trunk || fits_anew(merge, one);
    if (one->rev >= merge->k && fits) {
        return is_ours ? take_ours(merge, one) : take_theirs(merge, one);
    }
    enum err err = one->rev >= merge->k ? give_way(merge, one, is_ours, 0) : ERR_OK;
    if (err == ERR_OK) {
        err = take_none(merge, one);
    }
    return err == ERR_OK && !is_ours ? drop_theirs(merge, one) : err;
}

static enum err merge_sets(struct merge *merge)
{
    const struct change_list *ours = &merge->held;
    const struct change_list *theirs = &merge->fetch->changes;
    size_t i = 0;
    size_t j = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && (i < ours->count || j < theirs->count)) {
        int order = i == ours->count     ? 1
                    : j == theirs->count ? -1
                                         : memcmp(ours->items[i].slug_hash.bytes,
                                                  theirs->items[j].slug_hash.bytes, SLUG_HASH_SIZE);
        if (order == 0) {
            err = merge_both(merge, &ours->items[i++], &theirs->items[j++]);
        } else if (order < 0) {
            err = merge_one(merge, &ours->items[i++], true);
        } else {
            err = merge_one(merge, &theirs->items[j++], false);
        }
    }
    return err;
}

/* ---- the chain ---- */

static enum err side_put(struct opening *chain, uint64_t k, struct bytes hashes)
{
    uint8_t start[8];
    uint8_t item[1 + HASH_SIZE] = {OPENING_SIDE_MARK};
    be64_put(start, k);
    enum err err = opening_add(chain, BYTES_OF_ARRAY(start));
    for (size_t at = 0; err == ERR_OK && at < hashes.size; at += HASH_SIZE) {
        memcpy(item + 1, hashes.data + at, HASH_SIZE);
        err = opening_add(chain, BYTES_OF_ARRAY(item));
    }
    return err;
}

/* Ours stays the trunk: one more side behind our last head. */
static enum err chain_ours(struct merge *merge, struct opening *ret_chain)
{
    struct fetch *fetch = merge->fetch;
    const struct head *ours = &merge->node->own.head;
    for (uint64_t n = merge->k; n <= fetch->head.n; n++) {
        buf_put(&merge->side, bytes_of(their_hash(fetch, n), HASH_SIZE));
    }
    merge->inner = fetch->opening;
    fetch->opening = (struct opening){0};
    opening_begin(ret_chain, ours->n);
    enum err err = merge->side.err;
    return err == ERR_OK ? opening_add(ret_chain, BYTES_OF_ARRAY(ours->hash.bytes)) : err;
}

/* Theirs becomes the trunk, from head 1; ours, since they parted, its side. */
static enum err chain_theirs(struct merge *merge, struct opening *ret_chain)
{
    struct fetch *fetch = merge->fetch;
    const struct head *ours = &merge->node->own.head;
    opening_begin(&merge->inner, merge->k > 1 ? merge->k - 1 : 1); /* k may be a merge head */
    enum err err = history_opening(merge->txn, fetch->catalogue, ours->n, SIZE_MAX, &merge->inner);
    if (err == ERR_NOT_FOUND || err == ERR_MALFORMED) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : ERR_UNSUPPORTED;
    }
    if (err == ERR_OK) {
        err = held_hashes(merge->txn, fetch->catalogue, merge->k, ours->n, &merge->side);
    }
    *ret_chain = fetch->opening;
    fetch->opening = (struct opening){0};
    return err == ERR_OK ? opening_add(ret_chain, BYTES_OF_ARRAY(fetch->head.hash.bytes)) : err;
}

static enum err held_history(void *user, uint64_t n, struct hash *ret_history)
{
    const struct merge *merge = user;
    return history_at(merge->txn, merge->fetch->catalogue, n, ret_history);
}

/* The head behind the chain, which has a side there. */
static enum err joint_sign(struct merge *merge, const struct plan *plan,
                           const struct opening *chain, struct head *ret_head,
                           struct buf *signed_head)
{
    static const struct hash zero;
    struct hash history;
    const struct hash *from = chain->from == 1 ? &zero : &merge->node->own.head.history;
    uint64_t n = chain->from + chain->hashes.size / HASH_SIZE;
    enum err err = opening_history(chain, from, held_history, merge, n, &history);
    buf_clear(signed_head);
    return err == ERR_OK ? own_sign(merge->node, plan, n, &history, ret_head, signed_head) : err;
}

/* A branch that the side had joined itself, as a side that starts where the trunk was left. */
static enum err inner_put(const struct merge *merge, unsigned i, struct opening *chain)
{
    const struct side *inner = &merge->inner.sides[i];
    uint64_t k = inner->k < merge->k ? inner->k : merge->k;
    defer(buf_done) struct buf hashes = {0};
    buf_put(&hashes, bytes_of(merge->side.data, (inner->k - k) * HASH_SIZE));
    buf_put(&hashes, bytes_of(merge->inner.side_hashes.data + inner->at, inner->count * HASH_SIZE));
    return hashes.err == ERR_OK ? side_put(chain, k, buf_bytes(&hashes)) : hashes.err;
}

/* Does the chain lead over its last head anyhow? */
static enum err inner_there(const struct merge *merge, unsigned i, const struct opening *chain,
                            bool *ret_there)
{
    const struct side *inner = &merge->inner.sides[i];
    uint64_t n = inner->k + inner->count - 1;
    struct hash last;
    enum where where = WHERE_OTHER;
    memcpy(last.bytes, opening_side_hash(&merge->inner, i, n), HASH_SIZE);
    enum err err = merge->ours_trunk
                       ? history_where(merge->txn, merge->fetch->catalogue, n, &last, &where)
                       : ERR_OK;
    *ret_there = where == WHERE_TRUNK || where == WHERE_SIDE || opening_holds(chain, n, &last);
    return err;
}

/* One head joins the branch; one more each branch that this one had joined since they parted, or
 * whoever still stands there could not follow. Only the last head is ever shown. */
static enum err joints_sign(struct merge *merge, const struct plan *plan, struct opening *chain,
                            struct head *ret_head, struct buf *signed_head)
{
    unsigned sides = 0;
    enum err err = side_put(chain, merge->k, buf_bytes(&merge->side));
    if (err == ERR_OK) {
        err = joint_sign(merge, plan, chain, ret_head, signed_head);
    }
    for (unsigned i = 0; err == ERR_OK && i < merge->inner.side_count; i++) {
        bool there = merge->inner.sides[i].n < merge->k; /* before they parted */
        err = there ? ERR_OK : inner_there(merge, i, chain, &there);
        if (err != ERR_OK || there) {
            continue;
        }
        err = opening_add(chain, BYTES_OF_ARRAY(ret_head->hash.bytes));
        if (err == ERR_OK) {
            err = inner_put(merge, i, chain);
        }
        if (err == ERR_OK) {
            err = joint_sign(merge, plan, chain, ret_head, signed_head);
        }
    }
    if (err == ERR_OK && merge->ours_trunk) {
        err = history_sides(merge->txn, merge->fetch->catalogue, &sides);
    }
    bool many = sides + chain->side_count > OPENING_SIDES_MAX || err == ERR_SIZE;
    return many ? ERR_UNSUPPORTED : err;
}

/* ---- all of it ---- */

static enum err merge_apply(struct merge *merge, const struct plan *plan, uint64_t *ret_arrival)
{
    struct node *node = merge->node;
    defer(opening_done) struct opening chain = {0};
    defer(buf_done) struct buf signed_head = {0};
    struct head head;
    enum err err = merge->ours_trunk ? chain_ours(merge, &chain) : chain_theirs(merge, &chain);
    if (err == ERR_OK &&
        (plan->count > node->config.quota_entries || plan->bytes > node->config.quota_bytes)) {
        err = ERR_QUOTA;
    }
    if (err == ERR_OK) {
        err = joints_sign(merge, plan, &chain, &head, &signed_head);
    }
    if (err != ERR_OK) {
        return err;
    }
    /* Ours is the trunk: its own head, first in the chain, stands already. */
    size_t held = merge->ours_trunk ? HASH_SIZE : 0;
    struct apply apply = {
        .id = merge->fetch->catalogue,
        .list = &merge->changes,
        .plan = plan,
        .head = &head,
        .signed_head = buf_bytes(&signed_head),
        .opening = bytes_of(chain.hashes.data + held, chain.hashes.size - held),
        .opening_from = merge->ours_trunk ? merge->n : 1,
        .chain = &chain,
        .replace = !merge->ours_trunk,
        .from = node->config.lab,
        .now_s = when_age_s(node),
        .went = &node->went,
    };
    err = former_keep(node, merge->txn, &merge->changes);
    if (err == ERR_OK) {
        err = catalogue_apply(merge->txn, &apply, ret_arrival);
    }
    return err == ERR_OK ? fork_settle(merge->txn, merge->fetch->catalogue) : err;
}

static enum err merge_run(struct merge *merge, struct plan *plan, uint64_t *ret_arrival)
{
    struct fetch *fetch = merge->fetch;
    enum err err = change_settle(&fetch->changes, &merge->unused);
    if (err == ERR_OK) {
        err = change_plan(&fetch->changes, plan);
    }
    if (err == ERR_OK && (plan->count != fetch->head.count || plan->bytes != fetch->head.bytes ||
                          memcmp(plan->root.bytes, fetch->head.root.bytes, HASH_SIZE) != 0)) {
        err = ERR_ROOT;
    }
    if (err == ERR_OK) {
        err = merge_parts(merge);
    }
    if (err == ERR_OK) {
        err = held_list(merge);
    }
    if (err == ERR_OK) {
        err = merge_sets(merge);
    }
    if (err == ERR_OK) {
        err = change_settle(&merge->changes, NULL);
    }
    if (err == ERR_OK) {
        err = catalogue_plan(merge->txn, fetch->catalogue, &merge->changes, plan);
    }
    if (err == ERR_OK) {
        err = merge_apply(merge, plan, ret_arrival);
    }
    for (size_t at = 0; err == ERR_OK && at < merge->unused.size; at += 8) {
        uint64_t seq = be64_get(merge->unused.data + at);
        err = seq == 0 ? ERR_OK : body_drop(merge->txn, seq);
    }
    return err != ERR_OK || !fetch->has_staging ? err : staging_close(merge->txn, fetch->catalogue);
}

enum err merge_job(struct node *node, struct fetch *fetch, struct txn *txn, uint64_t *ret_arrival)
{
    struct plan *plan = malloc(sizeof *plan);
    if (plan == NULL) {
        return ERR_NOMEM;
    }
    defer(merge_done) struct merge merge = {.node = node, .txn = txn, .fetch = fetch};
    enum err err = merge_run(&merge, plan, ret_arrival);
    free(plan);
    return err;
}

enum err merge_over(struct node *node, struct fetch *fetch, enum err err)
{
    if (err == ERR_UNSUPPORTED || err == ERR_QUOTA || err == ERR_STALE || err == ERR_SIZE) {
        struct txn *txn = NULL;
        node->repair.err = err == ERR_STALE ? node->repair.err : err;
        err = node_txn(node, &txn);
        if (err == ERR_OK && fetch->has_staging) {
            err = staging_drop(txn, fetch->catalogue);
        }
        fetch_over(node, fetch);
        return err;
    }
    if (err != ERR_OK) {
        return err;
    }
    node->repair.merged++;
    repair_moved(node);
    uint64_t old_n = node->own.head.n;
    fetch_over(node, fetch);
    err = own_pulled(node, old_n);
    return err == ERR_OK ? repair_ask(node) : err; /* others may hold a third branch */
}
