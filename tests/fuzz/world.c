/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/fuzz/world.c: see world.h. Everything here is right; what is wrong is made of it. */
#include "tests/fuzz/world.h"

#include <stdio.h>

#include "base/defer.h"
#include "proto/entry.h"
#include "proto/lab.h"
#include "proto/pack.h"
#include "proto/root.h"

#define HUGE_SIZE 61000
#define ODDITY_INSTANCE 4

static struct bytes slug_of(size_t number, char into[16])
{
    (void) snprintf(into, 16, "fiche-%zu", number);
    return bytes_of_str(into);
}

struct slug_hash world_slug_hash(size_t number)
{
    char slug[16];
    return hash_slug(slug_of(number, slug));
}

void world_entry(const struct slot *slot, size_t number, struct buf *into)
{
    defer(buf_done) struct buf body = {0};
    defer(buf_done) struct buf text = {0};
    size_t size = slot->salt == WORLD_HUGE ? HUGE_SIZE : slot->salt;
    while (text.size < size) {
        buf_printf(&text, "texte %u ", slot->salt);
    }
    char slug[16];
    pack_map(&body, 2);
    pack_cstr(&body, "body");
    pack_str(&body, buf_bytes(&text));
    pack_cstr(&body, "title");
    pack_uint(&body, slot->salt);
    struct entry entry = {.slug = slug_of(number, slug),
                          .kind = bytes_of_str("need"),
                          .body = buf_bytes(&body),
                          .rev = slot->rev};
    must(entry_encode(&entry, into) == ERR_OK);
}

struct hint world_hint(const struct slot *slot, size_t number)
{
    defer(buf_done) struct buf entry = {0};
    struct slot named = *slot;
    if (slot->rev == 0) {
        named.rev = slot->gone_rev > 0 ? slot->gone_rev : 1;
        named.salt = slot->gone_salt;
    }
    world_entry(&named, number, &entry);
    struct hash leaf = entry_leaf(buf_bytes(&entry));
    struct slug_hash slug_hash = world_slug_hash(number);
    return hash_hint(&slug_hash, &leaf);
}

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, SLUG_HASH_SIZE);
}

/* Root, count and bytes of a state, from scratch. */
static void state_sum(struct state *state)
{
    uint8_t pairs[WORLD_SLUGS][PAIR_SIZE];
    size_t count = 0;
    struct head *head = &state->head;
    head->bytes = 0;
    for (size_t i = 0; i < WORLD_SLUGS; i++) {
        if (state->slots[i].rev == 0) {
            continue;
        }
        defer(buf_done) struct buf entry = {0};
        world_entry(&state->slots[i], i, &entry);
        struct hash leaf = entry_leaf(buf_bytes(&entry));
        struct slug_hash slug_hash = world_slug_hash(i);
        memcpy(pairs[count], slug_hash.bytes, SLUG_HASH_SIZE);
        memcpy(pairs[count] + SLUG_HASH_SIZE, leaf.bytes, HASH_SIZE);
        count++;
        head->bytes += entry.size;
    }
    head->count = count;
    qsort(pairs, count, PAIR_SIZE, by_hash);
    struct digests digests;
    digests_init(&digests);
    for (size_t from = 0; from < count;) {
        size_t to = from;
        while (to < count && pairs[to][0] == pairs[from][0]) {
            to++;
        }
        digests.buckets[pairs[from][0]] =
            bucket_digest(bytes_of(pairs[from], (to - from) * PAIR_SIZE));
        from = to;
    }
    head->root = digests_root(&digests);
}

static void record_sign(struct author *author)
{
    struct lab_record record = {.lab = author->keys.lab,
                                .generation = author->generation,
                                .name = bytes_of_str("Lab du \xc3\xa9tang"),
                                .issued_at = RIG_WALL_S};
    memcpy(record.signing_pk, author->keys.signing_public, KEY_SIZE);
    memcpy(record.link_pk, author->keys.link_public, KEY_SIZE);
    if (author->generation > 1 && author->n > 0) {
        const struct head *last = &author->states[author->n].head;
        record.last_good_count = 1;
        record.last_good[0] = (struct last_good){
            .audience = bytes_of_str("public"), .n = last->n, .head_hash = last->hash};
    }
    buf_clear(&author->record);
    must(lab_record_sign(&record, author->keys.root_secret, &author->record) == ERR_OK);
}

void author_init(struct author *author, unsigned number)
{
    *author = (struct author){.number = number, .generation = 1};
    rig_keys(number, 1, &author->keys);
    record_sign(author);
}

void author_done(struct author *author)
{
    buf_done(&author->record);
}

/* The state after the newest, a copy of it to change; NULL when there are enough. */
static struct state *state_next(struct author *author)
{
    if (author->n == WORLD_HEADS) {
        return NULL;
    }
    const struct state *last = &author->states[author->n];
    struct state *next = &author->states[author->n + 1];
    memcpy(next->slots, last->slots, sizeof next->slots);
    return next;
}

/* A head that its lab signed all the same. */
static void head_lie(struct head *head, size_t oddity)
{
    static const char circle[] = "circle-1";
    uint8_t *const bytes[] = {head->root.bytes, head->history.bytes, head->network.bytes,
                              head->instance};
    if (oddity >= 1 && oddity <= 4) {
        bytes[oddity - 1][0] ^= 1;
    } else if (oddity == 5) {
        head->count++;
    } else if (oddity == 6) {
        head->bytes += 1u << 20;
    } else if (oddity == 7) {
        memcpy(head->audience, circle, sizeof circle);
    } else if (oddity == 8) {
        head->n = 1ull << 63;
    }
}

static void state_sign(struct author *author, struct state *state)
{
    const struct state *last = &author->states[author->n];
    struct head *head = &state->head;
    *head = (struct head){.lab = author->keys.lab,
                          .generation = author->generation,
                          .audience = "public",
                          .n = ++author->n,
                          .issued_at = RIG_WALL_S};
    state_sum(state);
    if (head->n > 1) {
        head->history = history_next(&last->head.history, &last->head.hash);
    }
    head_lie(head, author->oddity);
    author->oddity = 0;
    struct buf bytes = {0};
    must(head_sign(head, author->keys.signing_secret, &bytes) == ERR_OK);
    must(bytes.size <= sizeof state->bytes);
    memcpy(state->bytes, bytes.data, bytes.size);
    state->size = bytes.size;
    buf_done(&bytes);
}

void author_publish(struct author *author, size_t slot, uint8_t salt)
{
    struct state *state = state_next(author);
    if (state != NULL) {
        state->slots[slot].rev = author->n + 1;
        state->slots[slot].salt = salt;
        state_sign(author, state);
    }
}

void author_publish_many(struct author *author, size_t count, uint8_t salt)
{
    struct state *state = state_next(author);
    if (state != NULL) {
        for (size_t i = 0; i < count; i++) {
            state->slots[i].rev = author->n + 1;
            state->slots[i].salt = salt;
        }
        state_sign(author, state);
    }
}

void author_withdraw(struct author *author, size_t slot)
{
    struct state *state = state_next(author);
    if (state != NULL) {
        if (state->slots[slot].rev != 0) {
            state->slots[slot].withdrawn = author->n + 1;
            state->slots[slot].gone_rev = state->slots[slot].rev;
            state->slots[slot].gone_salt = state->slots[slot].salt;
        }
        state->slots[slot].rev = 0;
        state_sign(author, state);
    }
}

void author_twin(struct author *author)
{
    if (author->n > 0) {
        author->n--;
        author->oddity = ODDITY_INSTANCE;
        state_sign(author, &author->states[author->n + 1]);
    }
}

void author_rewind(struct author *author, uint64_t n)
{
    author->n = n < author->n ? n : author->n;
}

void author_renew(struct author *author)
{
    author->generation++;
    rig_keys(author->number, author->generation, &author->keys);
    record_sign(author);
}

struct bytes author_head(const struct author *author, uint64_t n)
{
    const struct state *state = &author->states[n <= author->n ? n : author->n];
    return bytes_of(state->bytes, state->size);
}
