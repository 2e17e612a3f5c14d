/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_opening.c: openings against a plain reading of doc/protocol.md §4.5 and §4.6.
 *
 * The bytes choose where an opening starts and its items, fit and unfit. Whether an item is taken
 * is judged by looking at all items from the first; histories are folded here, head by head, with
 * libsodium alone. What was taken comes back the same, checks at its own end and nowhere else, and
 * every head is found where it stands.
 */
#include <sodium.h>

#include "proto/opening.h"
#include "tests/fuzz/fuzz.h"

#define ITEMS_MAX 120
#define BELOW_MAX 1000000 /* histories up to here can be asked for */

struct item {
    size_t size;
    uint8_t bytes[OPENING_ITEM_MAX + 8];
};

struct run {
    struct choices choices;
    uint64_t from;
    struct item items[ITEMS_MAX]; /* taken */
    size_t count;
    struct opening opening;
    unsigned asked;
};

/* ---- the plain reading ---- */

static uint64_t number_of(const struct item *item)
{
    return be64_get(item->bytes);
}

/* Of the trunk's heads among the first `count` items; the number after the last. */
static uint64_t next_number(const struct run *run, size_t count)
{
    uint64_t n = run->from;
    for (size_t i = 0; i < count; i++) {
        n += run->items[i].size == HASH_SIZE;
    }
    return n;
}

static unsigned sides_before(const struct run *run, size_t count)
{
    unsigned sides = 0;
    for (size_t i = 0; i < count; i++) {
        sides += run->items[i].size == 8;
    }
    return sides;
}

/* May it stand behind what was taken? */
static enum err judge(const struct run *run, const struct item *item)
{
    size_t last_size = run->count == 0 ? 0 : run->items[run->count - 1].size;
    uint64_t n = next_number(run, run->count);
    if (item->size == HASH_SIZE) {
        return last_size == 8 || n == UINT64_MAX ? ERR_MALFORMED : ERR_OK;
    }
    if (item->size == 8) {
        uint64_t k = number_of(item);
        if (last_size != HASH_SIZE || k == 0 || k >= n) {
            return ERR_MALFORMED;
        }
        return sides_before(run, run->count) == OPENING_SIDES_MAX ? ERR_SIZE : ERR_OK;
    }
    if (item->size != OPENING_ITEM_MAX || item->bytes[0] != 1 ||
        (last_size != 8 && last_size != OPENING_ITEM_MAX)) {
        return ERR_MALFORMED;
    }
    size_t at = run->count - 1; /* back to k */
    uint64_t length = 1;
    for (; run->items[at].size != 8; at--) {
        length++;
    }
    uint64_t last = number_of(&run->items[at]) + length - 1;
    const struct item *tip = &run->items[at - 1];
    if (last > n - 1) {
        return ERR_MALFORMED;
    }
    return last == n - 1 && memcmp(item->bytes + 1, tip->bytes, HASH_SIZE) >= 0 ? ERR_MALFORMED
                                                                                : ERR_OK;
}

static struct hash blake(const char *tag, const uint8_t *first, const uint8_t *second)
{
    uint8_t bytes[16 + 2 * HASH_SIZE] = {0};
    struct hash hash;
    memcpy(bytes, tag, strlen(tag));
    memcpy(bytes + 16, first, HASH_SIZE);
    memcpy(bytes + 16 + HASH_SIZE, second, HASH_SIZE);
    must(crypto_generichash(hash.bytes, HASH_SIZE, bytes, sizeof bytes, NULL, 0) == 0);
    return hash;
}

/* What the receiver holds: any history, but always the same. */
static struct hash held_history(uint64_t n)
{
    struct hash hash;
    fuzz_fill(hash.bytes, HASH_SIZE, n);
    return hash;
}

/* histories[i] is that of head from + i; the whole opening is folded. False where a side is empty
 * or starts where nothing is held. */
static bool fold(const struct run *run, bool held, struct hash histories[ITEMS_MAX + 1])
{
    histories[0] = held_history(run->from);
    uint64_t n = 0; /* from `from` on */
    for (size_t i = 0; i < run->count;) {
        histories[n + 1] = blake("essaim1 history", histories[n].bytes, run->items[i].bytes);
        n++;
        i++;
        if (i == run->count || run->items[i].size == HASH_SIZE) {
            continue;
        }
        uint64_t k = number_of(&run->items[i]);
        if (k < run->from && (!held || k > BELOW_MAX)) {
            return false;
        }
        struct hash side = k < run->from ? held_history(k) : histories[k - run->from];
        size_t begin = ++i;
        for (; i < run->count && run->items[i].size == OPENING_ITEM_MAX; i++) {
            side = blake("essaim1 history", side.bytes, run->items[i].bytes + 1);
        }
        if (i == begin) {
            return false;
        }
        histories[n] = blake("essaim1 merge", histories[n].bytes, side.bytes);
    }
    return true;
}

/* ---- choosing ---- */

static void choose_item(struct run *run, struct item *item)
{
    static const size_t odd[] = {0, 1, 7, 9, 16, 31, 34, 40};
    struct choices *choices = &run->choices;
    uint64_t n = next_number(run, run->count);
    size_t kind = choose(choices, 16);
    *item = (struct item){.size = HASH_SIZE};
    uint8_t fill = choose_byte(choices);
    memset(item->bytes, fill, sizeof item->bytes);
    if (kind < 7) {
        return;
    }
    if (kind < 10) {
        item->size = 8;
        be64_put(item->bytes, kind == 7 ? choose_number(choices) : n - 1 - fill % 12);
    } else if (kind < 15) {
        item->size = OPENING_ITEM_MAX;
        item->bytes[0] = 1;
    } else {
        item->size = choose(choices, 2) == 0 ? OPENING_ITEM_MAX : odd[fill % 8];
    }
}

static void add_all(struct run *run)
{
    opening_begin(&run->opening, run->from);
    while (run->choices.left.size > 0 && run->count < ITEMS_MAX) {
        struct item *item = &run->items[run->count];
        choose_item(run, item);
        enum err wanted = judge(run, item);
        uint8_t *copy = fuzz_copy(bytes_of(item->bytes, item->size));
        must(opening_add(&run->opening, bytes_of(copy, item->size)) == wanted);
        free(copy);
        run->count += wanted == ERR_OK;
    }
}

/* ---- checks ---- */

static void items_check(const struct run *run)
{
    struct opening_at at = {0};
    uint8_t room[OPENING_ITEM_MAX];
    struct bytes item;
    for (size_t i = 0; i < run->count; i++) {
        must(opening_next(&run->opening, &at, room, &item));
        must(bytes_equal(item, bytes_of(run->items[i].bytes, run->items[i].size)));
    }
    must(!opening_next(&run->opening, &at, room, &item));
}

static void places_check(const struct run *run)
{
    uint64_t n = run->from, side = 0;
    unsigned sides = 0;
    for (size_t i = 0; i < run->count; i++) {
        const struct item *item = &run->items[i];
        struct hash hash;
        const uint8_t *found = NULL;
        if (item->size == 8) {
            side = number_of(item);
            sides++;
            continue;
        }
        bool trunk = item->size == HASH_SIZE;
        memcpy(hash.bytes, item->bytes + !trunk, HASH_SIZE);
        uint64_t number = trunk ? n++ : side++;
        found = trunk ? opening_hash(&run->opening, number)
                      : opening_side_hash(&run->opening, sides - 1, number);
        must(found != NULL && memcmp(found, hash.bytes, HASH_SIZE) == 0);
        must(opening_holds(&run->opening, number, &hash));
        hash.bytes[5] ^= 0x55; /* every other hash here is of one byte, repeated */
        must(!opening_holds(&run->opening, number, &hash));
    }
    must(opening_hash(&run->opening, n) == NULL);
    must(opening_hash(&run->opening, run->from - 1) == NULL);
    must(opening_side_hash(&run->opening, sides, side) == NULL);
}

static enum err ask(void *user, uint64_t n, struct hash *ret_history)
{
    struct run *run = user;
    must(n > 0 && n < run->from);
    must(++run->asked <= OPENING_SIDES_MAX);
    if (n > BELOW_MAX) {
        return ERR_NOT_FOUND;
    }
    *ret_history = held_history(n);
    return ERR_OK;
}

static void fold_check(struct run *run, bool held)
{
    static struct hash histories[ITEMS_MAX + 1];
    struct hash from = held_history(run->from), got;
    opening_history_fn *asked = held ? ask : NULL;
    uint64_t end = next_number(run, run->count);
    bool folds = fold(run, held, histories);
    run->asked = 0;
    enum err err = opening_check(&run->opening, &from, asked, run, end,
                                 &histories[folds ? end - run->from : 0]);
    must((err == ERR_OK) == folds);
    must(err == ERR_OK || err == ERR_MALFORMED || err == ERR_UNLINKED || err == ERR_NOT_FOUND);
    if (!folds) {
        return;
    }
    for (uint64_t i = 0; i <= end - run->from; i++) {
        run->asked = 0;
        must(opening_history(&run->opening, &from, asked, run, run->from + i, &got) == ERR_OK);
        must(memcmp(got.bytes, histories[i].bytes, HASH_SIZE) == 0);
    }
    uint64_t other = choose_number(&run->choices);
    run->asked = 0;
    must(other == end || opening_check(&run->opening, &from, asked, run, other,
                                       &histories[end - run->from]) == ERR_UNLINKED);
    histories[end - run->from].bytes[choose(&run->choices, HASH_SIZE)] ^= 1;
    run->asked = 0;
    must(opening_check(&run->opening, &from, asked, run, end, &histories[end - run->from]) ==
         ERR_UNLINKED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t froms[] = {1, 2, 3, 4, 20, 100000, 1 << 21, UINT64_MAX - 3};
    struct run *run = calloc(1, sizeof *run);
    must(run != NULL);
    run->choices.left = bytes_of(data, size);
    run->from = froms[choose(&run->choices, 8)];
    bool held = choose(&run->choices, 3) != 0;
    add_all(run);
    items_check(run);
    places_check(run);
    fold_check(run, held);
    opening_done(&run->opening);
    free(run);
    return 0;
}
