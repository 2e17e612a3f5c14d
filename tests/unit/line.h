/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/unit/line.h: a lab's signed heads in a row, which may be branched (copied) and joined.
 *
 * Histories are folded here with libsodium alone, from doc/protocol.md §4.4 to §4.6, so that
 * proto/opening.c is compared with something else than itself.
 */
#ifndef ESSAIM_TESTS_UNIT_LINE_H
#define ESSAIM_TESTS_UNIT_LINE_H

#include <sodium.h>
#include <string.h>

#include "proto/head.h"
#include "proto/lab.h"
#include "proto/opening.h"
#include "tests/unit/kit.h"

#define LINE_HEADS_MAX 48
#define LINE_SIDES_MAX 4
#define LINE_ITEMS_MAX (3 * LINE_HEADS_MAX)

struct line_keys {
    struct lab_record record;
    uint8_t root_secret[SIGN_SECRET_SIZE], signing_secret[SIGN_SECRET_SIZE];
    struct buf signed_record;
};

struct line_side {
    uint64_t n, k, count;
    struct hash hashes[LINE_HEADS_MAX];
};

/* Heads 1 … n, each at its number. */
struct line {
    const struct line_keys *keys;
    uint64_t n, stamp; /* the stamp tells branches apart */
    struct head heads[LINE_HEADS_MAX + 1];
    uint8_t bytes[LINE_HEADS_MAX + 1][HEAD_SIZE_MAX];
    size_t sizes[LINE_HEADS_MAX + 1];
    unsigned side_count;
    struct line_side sides[LINE_SIDES_MAX];
};

/* An opening's items as they are sent. */
struct line_items {
    size_t count;
    size_t sizes[LINE_ITEMS_MAX];
    uint8_t bytes[LINE_ITEMS_MAX][OPENING_ITEM_MAX + 1];
};

#define LINE __attribute__((unused)) static

LINE void line_keys_make(struct line_keys *keys, uint8_t number, uint64_t generation)
{
    uint8_t seed[SIGN_SEED_SIZE] = {number};
    keys->record = (struct lab_record){.generation = generation, .name = bytes_of_str("Ti Lab")};
    sign_keypair(seed, keys->record.lab.bytes, keys->root_secret);
    seed[1] = (uint8_t) generation;
    sign_keypair(seed, keys->record.signing_pk, keys->signing_secret);
    keys->record.link_pk[0] = 9;
    assert_err(lab_record_sign(&keys->record, keys->root_secret, &keys->signed_record), ERR_OK);
}

LINE struct line *line_new(const struct line_keys *keys)
{
    struct line *line = calloc(1, sizeof *line);
    assert_non_null(line);
    line->keys = keys;
    return line;
}

/* The same up to here; what follows differs. free() both. */
LINE struct line *line_branch(const struct line *line, uint64_t n, uint64_t stamp)
{
    struct line *branch = line_new(line->keys);
    *branch = *line;
    branch->n = n;
    branch->stamp = stamp;
    while (branch->side_count > 0 && branch->sides[branch->side_count - 1].n > n) {
        branch->side_count--;
    }
    return branch;
}

LINE struct hash line_hash(const char *tag, const struct hash *first, const struct hash *second)
{
    uint8_t bytes[16 + 2 * HASH_SIZE] = {0};
    struct hash hash;
    memcpy(bytes, tag, strlen(tag));
    memcpy(bytes + 16, first->bytes, HASH_SIZE);
    memcpy(bytes + 16 + HASH_SIZE, second->bytes, HASH_SIZE);
    crypto_generichash(hash.bytes, HASH_SIZE, bytes, sizeof bytes, NULL, 0);
    return hash;
}

LINE const struct line_side *line_side_of(const struct line *line, uint64_t n)
{
    for (unsigned i = 0; i < line->side_count; i++) {
        if (line->sides[i].n == n) {
            return &line->sides[i];
        }
    }
    return NULL;
}

/* history(n), out of the heads below n. */
LINE struct hash line_history(const struct line *line, uint64_t n)
{
    if (n == 1) {
        return (struct hash){0};
    }
    const struct head *last = &line->heads[n - 1];
    struct hash trunk = line_hash("essaim1 history", &last->history, &last->hash);
    const struct line_side *side = line_side_of(line, n);
    if (side == NULL) {
        return trunk;
    }
    struct hash fold = line->heads[side->k].history;
    for (uint64_t i = 0; i < side->count; i++) {
        fold = line_hash("essaim1 history", &fold, &side->hashes[i]);
    }
    return line_hash("essaim1 merge", &trunk, &fold);
}

LINE void line_publish(struct line *line, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t n = ++line->n;
        assert_true(n <= LINE_HEADS_MAX);
        struct head *head = &line->heads[n];
        struct buf bytes = {0};
        *head = (struct head){.lab = line->keys->record.lab,
                              .generation = line->keys->record.generation,
                              .audience = "public",
                              .n = n,
                              .issued_at = line->stamp,
                              .history = line_history(line, n)};
        assert_err(head_sign(head, line->keys->signing_secret, &bytes), ERR_OK);
        memcpy(line->bytes[n], bytes.data, bytes.size);
        line->sizes[n] = bytes.size;
        buf_done(&bytes);
    }
}

LINE struct bytes line_head(const struct line *line, uint64_t n)
{
    return bytes_of(line->bytes[n], line->sizes[n]);
}

LINE bool line_is_trunk(const struct line *line, const struct line *other)
{
    return line->n != other->n ? line->n > other->n
                               : memcmp(line->heads[line->n].hash.bytes,
                                        other->heads[other->n].hash.bytes, HASH_SIZE) > 0;
}

/* The trunk's next head, which joins `other`: its heads from `k` on. */
LINE void line_join_at(struct line *line, const struct line *other, uint64_t k)
{
    assert_true(line_is_trunk(line, other) && line->side_count < LINE_SIDES_MAX);
    struct line_side *side = &line->sides[line->side_count++];
    *side = (struct line_side){.n = line->n + 1, .k = k, .count = other->n - k + 1};
    for (uint64_t i = 0; i < side->count; i++) {
        side->hashes[i] = other->heads[k + i].hash;
    }
    line_publish(line, 1);
}

/* … where they part. */
LINE void line_join(struct line *line, const struct line *other)
{
    uint64_t k = 1;
    while (memcmp(line->heads[k].hash.bytes, other->heads[k].hash.bytes, HASH_SIZE) == 0) {
        k++;
    }
    line_join_at(line, other, k);
}

LINE void items_put(struct line_items *items, struct bytes item)
{
    assert_true(items->count < LINE_ITEMS_MAX && item.size <= OPENING_ITEM_MAX + 1);
    memcpy(items->bytes[items->count], item.data, item.size);
    items->sizes[items->count++] = item.size;
}

LINE void items_put_k(struct line_items *items, uint64_t k)
{
    uint8_t bytes[8];
    be64_put(bytes, k);
    items_put(items, BYTES_OF_ARRAY(bytes));
}

LINE void items_put_side(struct line_items *items, const struct hash *hash)
{
    uint8_t bytes[OPENING_ITEM_MAX] = {1};
    memcpy(bytes + 1, hash->bytes, HASH_SIZE);
    items_put(items, BYTES_OF_ARRAY(bytes));
}

/* From head `from` up to head n, doc/protocol.md §4.5. */
LINE void items_make(struct line_items *items, const struct line *line, uint64_t from, uint64_t n)
{
    items->count = 0;
    for (uint64_t i = from; i < n; i++) {
        items_put(items, BYTES_OF_ARRAY(line->heads[i].hash.bytes));
        const struct line_side *side = line_side_of(line, i + 1);
        if (side != NULL) {
            items_put_k(items, side->k);
            for (uint64_t at = 0; at < side->count; at++) {
                items_put_side(items, &side->hashes[at]);
            }
        }
    }
}

LINE struct bytes items_get(const struct line_items *items, size_t i)
{
    return bytes_of(items->bytes[i], items->sizes[i]);
}

/* Adds them all; the first error. */
LINE enum err items_add(const struct line_items *items, uint64_t from, struct opening *opening)
{
    opening_begin(opening, from);
    for (size_t i = 0; i < items->count; i++) {
        enum err err = opening_add(opening, items_get(items, i));
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

LINE void line_opening(const struct line *line, uint64_t from, uint64_t n, struct opening *opening)
{
    struct line_items items = {0};
    items_make(&items, line, from, n);
    assert_err(items_add(&items, from, opening), ERR_OK);
}

/* An opening_history_fn over a line. */
LINE enum err line_ask(void *user, uint64_t n, struct hash *ret_history)
{
    const struct line *line = user;
    assert_true(n >= 1 && n <= line->n);
    *ret_history = line->heads[n].history;
    return ERR_OK;
}

#endif
