/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/opening.c: head hashes in a row, and beside them the sides of merge heads.
 *
 *     from, from + 1, …          the trunk
 *          └ k, k + 1, …         a side: goes behind the hash of the head before its merge head
 *
 * Items are taken one by one, as they come; the fold is one walk over the trunk, which remembers
 * history(k) for every side that starts on its way. Bad items fail with ERR_MALFORMED or ERR_SIZE
 * and leave what was there; a fold that ends elsewhere is ERR_UNLINKED.
 */
#include "proto/opening.h"

#include "base/must.h"
#include "proto/head.h"

#define SIDE_ITEM_SIZE 8 /* k, u64 */

void opening_begin(struct opening *opening, uint64_t from)
{
    must(from >= 1);
    buf_clear(&opening->hashes);
    buf_clear(&opening->side_hashes);
    opening->side_count = 0;
    opening->from = from;
}

void opening_done(struct opening *opening)
{
    buf_done(&opening->hashes);
    buf_done(&opening->side_hashes);
    *opening = (struct opening){0};
}

/* ---- items ---- */

static uint64_t trunk_count(const struct opening *opening)
{
    return opening->hashes.size / HASH_SIZE;
}

/* The number of the head after the trunk's last hash. */
static uint64_t trunk_end(const struct opening *opening)
{
    return opening->from + trunk_count(opening);
}

/* The side of head trunk_end, or NULL: the one that more side hashes belong to. */
static struct side *side_open(struct opening *opening)
{
    if (opening->side_count == 0) {
        return NULL;
    }
    struct side *last = &opening->sides[opening->side_count - 1];
    return last->n == trunk_end(opening) ? last : NULL;
}

static enum err hash_put(struct opening *opening, struct buf *hashes, const uint8_t *hash)
{
    size_t size = opening->hashes.size + opening->side_hashes.size;
    if (size >= (size_t) OPENING_COUNT_MAX * HASH_SIZE) {
        return ERR_SIZE;
    }
    buf_put(hashes, bytes_of(hash, HASH_SIZE));
    return hashes->err;
}

static enum err trunk_add(struct opening *opening, const uint8_t *hash)
{
    const struct side *side = side_open(opening);
    if ((side != NULL && side->count == 0) || trunk_end(opening) == UINT64_MAX) {
        return ERR_MALFORMED;
    }
    return hash_put(opening, &opening->hashes, hash);
}

static enum err side_begin(struct opening *opening, uint64_t k)
{
    uint64_t n = trunk_end(opening);
    if (trunk_count(opening) == 0 || side_open(opening) != NULL || k == 0 || k >= n) {
        return ERR_MALFORMED;
    }
    if (opening->side_count == OPENING_SIDES_MAX) {
        return ERR_SIZE;
    }
    opening->sides[opening->side_count++] =
        (struct side){.n = n, .k = k, .at = opening->side_hashes.size};
    return ERR_OK;
}

static enum err side_add(struct opening *opening, struct bytes item)
{
    struct side *side = side_open(opening);
    if (side == NULL || item.data[0] != OPENING_SIDE_MARK) {
        return ERR_MALFORMED;
    }
    const uint8_t *hash = item.data + 1;
    uint64_t number = side->k + side->count, tip = side->n - 1;
    if (number > tip) {
        return ERR_MALFORMED;
    }
    if (side->count == OPENING_SIDE_COUNT_MAX) {
        return ERR_SIZE;
    }
    /* As long as the trunk: then the higher hash is the trunk's. */
    if (number == tip && memcmp(hash, opening_hash(opening, tip), HASH_SIZE) >= 0) {
        return ERR_MALFORMED;
    }
    enum err err = hash_put(opening, &opening->side_hashes, hash);
    if (err == ERR_OK) {
        side->count++;
    }
    return err;
}

enum err opening_add(struct opening *opening, struct bytes item)
{
    must(opening->from >= 1);
    switch (item.size) {
    case HASH_SIZE:
        return trunk_add(opening, item.data);
    case SIDE_ITEM_SIZE:
        return side_begin(opening, be64_get(item.data));
    case OPENING_ITEM_MAX:
        return side_add(opening, item);
    default:
        return ERR_MALFORMED;
    }
}

bool opening_next(const struct opening *opening, struct opening_at *at,
                  uint8_t room[OPENING_ITEM_MAX], struct bytes *ret_item)
{
    const struct side *side =
        at->side < opening->side_count ? &opening->sides[at->side] : &(struct side){0};
    if (at->in_side && at->side_hash < side->count) {
        room[0] = OPENING_SIDE_MARK;
        memcpy(room + 1, opening->side_hashes.data + side->at + at->side_hash * HASH_SIZE,
               HASH_SIZE);
        at->side_hash++;
        *ret_item = bytes_of(room, OPENING_ITEM_MAX);
        return true;
    }
    if (at->in_side) {
        at->in_side = false;
        at->side++;
    } else if (side->n == opening->from + at->hash) { /* never 0 */
        at->in_side = true;
        at->side_hash = 0;
        be64_put(room, side->k);
        *ret_item = bytes_of(room, SIDE_ITEM_SIZE);
        return true;
    }
    if (at->hash >= trunk_count(opening)) {
        return false;
    }
    memcpy(room, opening->hashes.data + at->hash * HASH_SIZE, HASH_SIZE);
    at->hash++;
    *ret_item = bytes_of(room, HASH_SIZE);
    return true;
}

/* ---- fold ---- */

static struct hash history_step(const struct hash *history, const uint8_t *hash)
{
    struct hash head_hash;
    memcpy(head_hash.bytes, hash, HASH_SIZE);
    return history_next(history, &head_hash);
}

/* From history(k) of the trunk over the side's hashes. */
static struct hash side_fold(const struct opening *opening, const struct side *side,
                             struct hash history)
{
    for (uint64_t i = 0; i < side->count; i++) {
        history = history_step(&history, opening->side_hashes.data + side->at + i * HASH_SIZE);
    }
    return history;
}

/* Where the sides begin that start below the first hash. */
static enum err starts_ask(const struct opening *opening, opening_history_fn *history, void *user,
                           uint64_t n, struct hash starts[OPENING_SIDES_MAX])
{
    for (unsigned i = 0; i < opening->side_count && opening->sides[i].n <= n; i++) {
        if (opening->sides[i].k >= opening->from) {
            continue;
        }
        if (history == NULL) {
            return ERR_UNLINKED;
        }
        enum err err = history(user, opening->sides[i].k, &starts[i]);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

enum err opening_history(const struct opening *opening, const struct hash *history_from,
                         opening_history_fn *history, void *user, uint64_t n,
                         struct hash *ret_history)
{
    for (unsigned i = 0; i < opening->side_count; i++) {
        if (opening->sides[i].count == 0) {
            return ERR_MALFORMED;
        }
    }
    if (n < opening->from || n > trunk_end(opening)) {
        return ERR_UNLINKED;
    }
    struct hash starts[OPENING_SIDES_MAX] = {0};
    enum err err = starts_ask(opening, history, user, n, starts);
    if (err != ERR_OK) {
        return err;
    }
    const struct side *sides = opening->sides;
    struct hash now = *history_from;
    unsigned joined = 0;
    for (uint64_t number = opening->from; number < n; number++) {
        for (unsigned i = joined; i < opening->side_count; i++) {
            if (sides[i].k == number) {
                starts[i] = now;
            }
        }
        now = history_step(&now, opening_hash(opening, number));
        if (joined < opening->side_count && sides[joined].n == number + 1) {
            struct hash side_next = side_fold(opening, &sides[joined], starts[joined]);
            now = history_merge(&now, &side_next);
            joined++;
        }
    }
    *ret_history = now;
    return ERR_OK;
}

enum err opening_check(const struct opening *opening, const struct hash *history_from,
                       opening_history_fn *history, void *user, uint64_t n,
                       const struct hash *history_n)
{
    struct hash reached;
    enum err err =
        opening_history(opening, history_from, history, user, trunk_end(opening), &reached);
    if (err != ERR_OK) {
        return err;
    }
    bool same = n == trunk_end(opening) && memcmp(reached.bytes, history_n->bytes, HASH_SIZE) == 0;
    return same ? ERR_OK : ERR_UNLINKED;
}

/* ---- look up ---- */

const uint8_t *opening_hash(const struct opening *opening, uint64_t n)
{
    if (n < opening->from || n - opening->from >= trunk_count(opening)) {
        return NULL;
    }
    return opening->hashes.data + (n - opening->from) * HASH_SIZE;
}

const uint8_t *opening_side_hash(const struct opening *opening, unsigned i, uint64_t n)
{
    if (i >= opening->side_count) {
        return NULL;
    }
    const struct side *side = &opening->sides[i];
    if (n < side->k || n - side->k >= side->count) {
        return NULL;
    }
    return opening->side_hashes.data + side->at + (n - side->k) * HASH_SIZE;
}

bool opening_holds(const struct opening *opening, uint64_t n, const struct hash *hash)
{
    const uint8_t *at = opening_hash(opening, n);
    if (at != NULL && memcmp(at, hash->bytes, HASH_SIZE) == 0) {
        return true;
    }
    for (unsigned i = 0; i < opening->side_count; i++) {
        at = opening_side_hash(opening, i, n);
        if (at != NULL && memcmp(at, hash->bytes, HASH_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

struct hash history_merge(const struct hash *trunk_next, const struct hash *side_next)
{
    return hash_of_two(TAG_MERGE, BYTES_OF_ARRAY(trunk_next->bytes),
                       BYTES_OF_ARRAY(side_next->bytes));
}
