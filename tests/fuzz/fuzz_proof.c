/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_proof.c: proofs, true ones and what can be made of them.
 *
 * The first byte chooses. Odd: the rest is bytes. Even: the rest chooses a catalogue, a slug and a
 * change. An unchanged proof verifies; whatever verifies says the truth about that catalogue.
 */
#include <stdio.h>

#include "proto/proof.h"
#include "tests/fuzz/world.h"

#define SLUG_MAX 16

struct made {
    struct author author;
    struct digests digests;
    struct buf pairs[BUCKET_COUNT], entry;
};

static void digests_make(struct made *made, const struct state *state)
{
    digests_init(&made->digests);
    for (unsigned round = 0; round < WORLD_SLUGS; round++) { /* ascending within a bucket */
        size_t least = WORLD_SLUGS;
        static struct slug_hash last;
        for (size_t i = 0; i < WORLD_SLUGS; i++) {
            struct slug_hash hash = world_slug_hash(i), best = {0};
            best = least < WORLD_SLUGS ? world_slug_hash(least) : best;
            bool above = round == 0 || memcmp(hash.bytes, last.bytes, SLUG_HASH_SIZE) > 0;
            if (above &&
                (least == WORLD_SLUGS || memcmp(hash.bytes, best.bytes, SLUG_HASH_SIZE) < 0)) {
                least = i;
            }
        }
        last = world_slug_hash(least);
        if (state->slots[least].rev > 0) {
            struct buf entry = {0}, *pairs = &made->pairs[bucket_of(&last)];
            world_entry(&state->slots[least], least, &entry);
            struct hash leaf = entry_leaf(buf_bytes(&entry));
            buf_put(pairs, BYTES_OF_ARRAY(last.bytes));
            buf_put(pairs, BYTES_OF_ARRAY(leaf.bytes));
            made->digests.buckets[bucket_of(&last)] = bucket_digest(buf_bytes(pairs));
            buf_done(&entry);
        }
    }
}

/* What verified is so. */
static void truth_check(const struct made *made, const struct proven *proven)
{
    const struct state *state = &made->author.states[made->author.n];
    struct slug_hash hash = hash_slug(proven->slug);
    const struct buf *pairs = &made->pairs[bucket_of(&hash)];
    bool there = false;
    must(memcmp(proven->record.lab.bytes, made->author.keys.lab.bytes, KEY_SIZE) == 0);
    must(memcmp(proven->head.hash.bytes, state->head.hash.bytes, HASH_SIZE) == 0);
    for (size_t at = 0; at < pairs->size; at += PAIR_SIZE) {
        if (memcmp(pairs->data + at, hash.bytes, SLUG_HASH_SIZE) == 0) {
            there = true;
            must(!proven->present ||
                 memcmp(pairs->data + at + SLUG_HASH_SIZE, proven->leaf.bytes, HASH_SIZE) == 0);
        }
    }
    must(there == proven->present);
}

static void alter(struct choices *choices, struct proof *proof, struct buf *pairs)
{
    switch (choose(choices, 6)) {
    case 0:
        proof->entry = bytes_of(NULL, 0);
        break;
    case 1:
        proof->slug = bytes_of_str(choose(choices, 2) == 0 ? "fiche-3" : "fiche-4");
        break;
    case 2:
        pairs->size -= pairs->size > 0 ? PAIR_SIZE : 0;
        break;
    case 3:
        proof->entry = choose_bytes(choices, 200);
        break;
    case 4:
        proof->path[choose(choices, PROOF_PATH_COUNT)].bytes[0] ^= 1;
        break;
    default:
        break;
    }
    proof->pairs = buf_bytes(pairs);
}

static void proof_check(struct choices *choices, struct made *made)
{
    const struct state *state = &made->author.states[made->author.n];
    size_t number = choose(choices, WORLD_SLUGS);
    char slug[SLUG_MAX];
    (void) snprintf(slug, sizeof slug, "fiche-%zu", number);
    struct slug_hash hash = hash_slug(bytes_of_str(slug));
    struct buf pairs = {0}, bytes = {0};
    buf_put(&pairs, buf_bytes(&made->pairs[bucket_of(&hash)]));
    if (state->slots[number].rev > 0) {
        world_entry(&state->slots[number], number, &made->entry);
    }
    struct proof proof = {.record = buf_bytes(&made->author.record),
                          .head = author_head(&made->author, made->author.n),
                          .slug = bytes_of_str(slug),
                          .entry = buf_bytes(&made->entry),
                          .pairs = buf_bytes(&pairs)};
    proof_path(&made->digests, bucket_of(&hash), proof.path);
    bool changed = choose(choices, 3) != 0;
    if (changed) {
        alter(choices, &proof, &pairs);
    }
    proof_encode(&proof, &bytes);
    must(bytes.err == ERR_OK);
    if (changed) {
        size_t at = choose(choices, bytes.size);
        bytes.data[at] ^= choose_byte(choices);
    }
    struct proven proven;
    enum err err = proof_verify(buf_bytes(&bytes), &proven);
    must(changed || err == ERR_OK);
    if (err == ERR_OK) {
        truth_check(made, &proven);
    }
    buf_done(&pairs);
    buf_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = {.left = bytes_of(data, size)};
    struct proven proven;
    if (choose_byte(&choices) % 2 == 1) {
        must(proof_verify(choices.left, &proven) != ERR_OK);
        return 0;
    }
    struct made *made = calloc(1, sizeof *made);
    must(made != NULL);
    author_init(&made->author, 1);
    author_publish_many(&made->author, choose(&choices, WORLD_SLUGS), 40);
    if (choose(&choices, 2) == 1) {
        author_withdraw(&made->author, choose(&choices, WORLD_SLUGS));
    }
    digests_make(made, &made->author.states[made->author.n]);
    proof_check(&choices, made);
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        buf_done(&made->pairs[i]);
    }
    buf_done(&made->entry);
    author_done(&made->author);
    free(made);
    return 0;
}
