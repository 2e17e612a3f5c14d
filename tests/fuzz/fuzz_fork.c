/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_fork.c: fork proofs, true ones and what can be made of them.
 *
 * The first byte chooses. Odd: the rest is bytes. Even: the rest chooses two branches of one lab,
 * with merge heads or without, two heads of them (or of one branch), k, and a change below or above
 * the signatures. An unchanged proof verifies exactly when the two heads' chains differ at k;
 * whatever verifies names two heads that were signed here, and what stands at k on the way to each.
 */
#include "proto/fork.h"
#include "proto/pack.h"
#include "tests/fuzz/fuzz.h"

#define HEADS_MAX 24
#define SIDES_MAX 2

struct keys {
    struct lab_record record;
    uint8_t root_secret[SIGN_SECRET_SIZE], signing_secret[SIGN_SECRET_SIZE];
    struct buf signed_record;
};

struct branch {
    uint64_t n;
    struct head heads[HEADS_MAX + 1]; /* by number */
    uint8_t bytes[HEADS_MAX + 1][HEAD_SIZE_MAX];
    size_t sizes[HEADS_MAX + 1];
    unsigned side_count;
    struct {
        uint64_t n, k, count;
        struct hash hashes[HEADS_MAX];
    } sides[SIDES_MAX];
};

struct run {
    struct choices choices;
    struct keys lab, stranger;
    struct branch branches[2];
};

/* What a proof is made of. */
struct parts {
    uint64_t k;
    struct bytes record;
    struct fork_branch branches[2];
    struct opening items[2];
};

static void keys_make(struct keys *keys, uint8_t number)
{
    uint8_t seed[SIGN_SEED_SIZE] = "a lab that is made for fuzzing";
    seed[31] = number;
    keys->record = (struct lab_record){.generation = 1, .name = bytes_of_str("Lab")};
    sign_keypair(seed, keys->record.lab.bytes, keys->root_secret);
    seed[31] = (uint8_t) (number + 1);
    sign_keypair(seed, keys->record.signing_pk, keys->signing_secret);
    must(lab_record_sign(&keys->record, keys->root_secret, &keys->signed_record) == ERR_OK);
}

/* The same root key (or another one) names this signing key for this generation. */
static void record_make(const struct keys *keys, uint64_t generation, const uint8_t *signing_pk,
                        struct buf *into)
{
    struct lab_record record = keys->record;
    record.generation = generation;
    memcpy(record.signing_pk, signing_pk, KEY_SIZE);
    must(lab_record_sign(&record, keys->root_secret, into) == ERR_OK);
}

/* ---- branches ---- */

static void items_make(const struct branch *branch, uint64_t from, uint64_t n,
                       struct opening *opening)
{
    opening_begin(opening, from);
    unsigned side = 0;
    for (uint64_t i = from; i < n; i++) {
        must(opening_add(opening, BYTES_OF_ARRAY(branch->heads[i].hash.bytes)) == ERR_OK);
        while (side < branch->side_count && branch->sides[side].n <= i) {
            side++;
        }
        if (side < branch->side_count && branch->sides[side].n == i + 1) {
            uint8_t k[8], item[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
            be64_put(k, branch->sides[side].k);
            must(opening_add(opening, BYTES_OF_ARRAY(k)) == ERR_OK);
            for (uint64_t at = 0; at < branch->sides[side].count; at++) {
                memcpy(item + 1, branch->sides[side].hashes[at].bytes, HASH_SIZE);
                must(opening_add(opening, BYTES_OF_ARRAY(item)) == ERR_OK);
            }
        }
    }
}

static void publish(struct run *run, struct branch *branch, uint8_t stamp)
{
    static const struct hash zero;
    struct opening whole = {0};
    struct buf bytes = {0};
    uint64_t n = branch->n + 1;
    must(n <= HEADS_MAX);
    struct head head = {.lab = run->lab.record.lab,
                        .generation = 1,
                        .audience = "public",
                        .n = n,
                        .issued_at = stamp};
    items_make(branch, 1, n, &whole);
    must(opening_history(&whole, &zero, NULL, NULL, n, &head.history) == ERR_OK);
    must(head_sign(&head, run->lab.signing_secret, &bytes) == ERR_OK);
    branch->n = n;
    branch->heads[n] = head;
    memcpy(branch->bytes[n], bytes.data, bytes.size);
    branch->sizes[n] = bytes.size;
    opening_done(&whole);
    buf_done(&bytes);
}

/* A merge head on the trunk of the two, when they differ. */
static void join(struct run *run)
{
    struct branch *a = &run->branches[0], *b = &run->branches[1];
    int tips = memcmp(a->heads[a->n].hash.bytes, b->heads[b->n].hash.bytes, HASH_SIZE);
    bool a_trunk = a->n != b->n ? a->n > b->n : tips > 0;
    struct branch *trunk = a_trunk ? a : b;
    const struct branch *side = a_trunk ? b : a;
    uint64_t k = 1;
    while (k <= side->n &&
           memcmp(trunk->heads[k].hash.bytes, side->heads[k].hash.bytes, HASH_SIZE) == 0) {
        k++;
    }
    if (k > side->n || trunk->side_count == SIDES_MAX) {
        return;
    }
    unsigned number = trunk->side_count++;
    trunk->sides[number].n = trunk->n + 1;
    trunk->sides[number].k = k;
    trunk->sides[number].count = side->n - k + 1;
    for (uint64_t i = k; i <= side->n; i++) {
        trunk->sides[number].hashes[i - k] = side->heads[i].hash;
    }
    publish(run, trunk, 0);
}

static void branches_make(struct run *run)
{
    struct choices *choices = &run->choices;
    struct branch *a = &run->branches[0], *b = &run->branches[1];
    size_t common = choose(choices, 5), acts = 2 + choose(choices, 10);
    for (size_t i = 0; i < common; i++) {
        publish(run, a, 0);
    }
    *b = *a;
    publish(run, a, 1);
    publish(run, b, 2);
    for (size_t i = 0; i < acts; i++) {
        size_t act = choose(choices, 6);
        if (act == 5) {
            join(run);
        } else {
            publish(run, act < 3 ? b : a, act < 3 ? 2 : 1);
        }
    }
}

/* ---- a proof ---- */

/* The hash of number k on the way to head n. */
static const struct hash *hash_at(const struct branch *branch, uint64_t k)
{
    return &branch->heads[k].hash;
}

/* Does a side join between k and n that starts below k? */
static bool side_below(const struct branch *branch, uint64_t k, uint64_t n)
{
    for (unsigned i = 0; i < branch->side_count; i++) {
        if (branch->sides[i].n > k && branch->sides[i].n <= n && branch->sides[i].k < k) {
            return true;
        }
    }
    return false;
}

/* Is it a head that this run signed, and does that hash stand at k on the way to it? */
static void truth_check(const struct run *run, const struct head *head, struct bytes bytes,
                        uint64_t k, const struct hash *at_k)
{
    bool found = false;
    for (unsigned i = 0; i < 2; i++) {
        const struct branch *branch = &run->branches[i];
        uint64_t n = head->n;
        if (n <= branch->n && k <= n &&
            memcmp(branch->heads[n].hash.bytes, head->hash.bytes, HASH_SIZE) == 0) {
            must(bytes_equal(bytes, bytes_of(branch->bytes[n], branch->sizes[n])));
            must(memcmp(hash_at(branch, k)->bytes, at_k->bytes, HASH_SIZE) == 0);
            found = true;
        }
    }
    must(found);
}

static void verdict_check(const struct run *run, struct bytes bytes, bool changed, enum err wanted)
{
    struct forked forked;
    uint8_t *copy = fuzz_copy(bytes);
    enum err err = fork_verify(bytes_of(copy, bytes.size), &forked);
    must(err == ERR_OK || err == ERR_CANONICAL || err == ERR_INVALID || err == ERR_SIZE ||
         err == ERR_SIGNATURE || err == ERR_UNLINKED);
    must(changed || err == wanted);
    if (err == ERR_OK) {
        must(memcmp(forked.record.lab.bytes, run->lab.record.lab.bytes, KEY_SIZE) == 0);
        must(forked.k >= 1 && forked.k <= forked.a.n && forked.a.n <= forked.b.n);
        must(memcmp(forked.a.hash.bytes, forked.b.hash.bytes, HASH_SIZE) != 0);
        must(memcmp(forked.a_at_k.bytes, forked.b_at_k.bytes, HASH_SIZE) != 0);
        truth_check(run, &forked.a, forked.a_signed, forked.k, &forked.a_at_k);
        truth_check(run, &forked.b, forked.b_signed, forked.k, &forked.b_at_k);
        uint64_t before = forked.k - 1;
        must(!forked.exact || before == 0 ||
             memcmp(hash_at(&run->branches[0], before)->bytes,
                    hash_at(&run->branches[1], before)->bytes, HASH_SIZE) == 0);
    }
    free(copy);
}

/* One change to the parts; what is made lives in `spare`. */
static void alter(struct run *run, struct parts *parts, struct buf *spare)
{
    struct choices *choices = &run->choices;
    struct fork_branch *branch = &parts->branches[choose(choices, 2)];
    size_t act = choose(choices, 7);
    struct head head;
    switch (act) {
    case 0: /* another record: a stranger's, with this signing key; ours, of another generation */
    case 1:
        record_make(act == 0 ? &run->stranger : &run->lab, act + 1, run->lab.record.signing_pk,
                    spare);
        parts->record = buf_bytes(spare);
        break;
    case 2:
        parts->k = choose_number(choices);
        break;
    case 3:
        branch->history.bytes[choose(choices, HASH_SIZE)] ^= 1;
        break;
    case 4: /* the items of the other branch */
        branch->items = branch->items == &parts->items[0] ? &parts->items[1] : &parts->items[0];
        break;
    case 5: /* a head of another catalogue, truly signed */
        must(head_peek(branch->head, &head) == ERR_OK);
        head.generation += choose(choices, 2);
        head.network.bytes[0] = (uint8_t) choose(choices, 2);
        head.audience[6] = choose(choices, 2) == 1 ? 's' : '\0';
        head.lab.bytes[0] ^= (uint8_t) choose(choices, 2);
        must(head_sign(&head, run->lab.signing_secret, spare) == ERR_OK);
        branch->head = buf_bytes(spare);
        break;
    default:
        *branch = branch == &parts->branches[0] ? parts->branches[1] : parts->branches[0];
        break;
    }
}

/* What an unchanged proof deserves. */
static enum err wanted_of(const struct branch *one, uint64_t one_n, const struct branch *other,
                          uint64_t other_n, uint64_t k)
{
    if (memcmp(one->heads[one_n].hash.bytes, other->heads[other_n].hash.bytes, HASH_SIZE) == 0) {
        return ERR_INVALID;
    }
    if (side_below(one, k, one_n) || side_below(other, k, other_n)) {
        return ERR_UNLINKED;
    }
    return memcmp(hash_at(one, k)->bytes, hash_at(other, k)->bytes, HASH_SIZE) == 0 ? ERR_INVALID
                                                                                    : ERR_OK;
}

static void proof_check(struct run *run)
{
    struct choices *choices = &run->choices;
    const struct branch *one = &run->branches[0];
    const struct branch *other = &run->branches[1];
    one = choose(choices, 8) == 7 ? other : one;
    uint64_t one_n = 1 + choose(choices, one->n), other_n = 1;
    other_n += choose(choices, other->n);
    uint64_t lower = one_n < other_n ? one_n : other_n;
    uint64_t k = lower - choose(choices, lower);
    struct parts parts = {.k = k, .record = buf_bytes(&run->lab.signed_record)};
    items_make(one, k, one_n, &parts.items[0]);
    items_make(other, k, other_n, &parts.items[1]);
    parts.branches[0] = (struct fork_branch){bytes_of(one->bytes[one_n], one->sizes[one_n]),
                                             one->heads[k].history, &parts.items[0]};
    parts.branches[1] = (struct fork_branch){bytes_of(other->bytes[other_n], other->sizes[other_n]),
                                             other->heads[k].history, &parts.items[1]};
    struct buf spare = {0}, bytes = {0};
    size_t change = choose(choices, 4);
    if (change == 1) {
        alter(run, &parts, &spare);
    }
    must(fork_encode(parts.record, parts.k, &parts.branches[0], &parts.branches[1], &bytes) ==
         ERR_OK);
    struct fork_branch no_head = parts.branches[0];
    struct buf nothing = {0};
    no_head.head = parts.record;
    must(fork_encode(parts.record, parts.k, &no_head, &parts.branches[1], &nothing) != ERR_OK);
    must(nothing.size == 0);
    if (change > 1) {
        size_t at = choose(choices, bytes.size);
        uint8_t bits = choose_byte(choices);
        bytes.data[at] ^= bits;
        verdict_check(run, buf_bytes(&bytes), bits != 0, wanted_of(one, one_n, other, other_n, k));
    } else {
        verdict_check(run, buf_bytes(&bytes), change == 1,
                      wanted_of(one, one_n, other, other_n, k));
    }
    buf_done(&spare);
    buf_done(&bytes);
    opening_done(&parts.items[0]);
    opening_done(&parts.items[1]);
}

/* Somebody's proof: it is about one catalogue, and both heads bear the key's signature. */
static void raw_check(struct bytes bytes)
{
    struct forked forked;
    struct head a, b;
    if (fork_verify(bytes, &forked) != ERR_OK) {
        return;
    }
    must(head_open(forked.a_signed, forked.record.signing_pk, &a) == ERR_OK);
    must(head_open(forked.b_signed, forked.record.signing_pk, &b) == ERR_OK);
    must(memcmp(a.hash.bytes, forked.a.hash.bytes, HASH_SIZE) == 0);
    must(memcmp(b.hash.bytes, forked.b.hash.bytes, HASH_SIZE) == 0);
    must(memcmp(a.lab.bytes, forked.record.lab.bytes, KEY_SIZE) == 0);
    must(memcmp(b.lab.bytes, forked.record.lab.bytes, KEY_SIZE) == 0);
    must(memcmp(a.network.bytes, b.network.bytes, HASH_SIZE) == 0);
    must(strcmp(a.audience, b.audience) == 0);
    must(a.generation == forked.record.generation && b.generation == a.generation);
    must(forked.k >= 1 && forked.k <= a.n && a.n <= b.n);
    must(memcmp(forked.a_at_k.bytes, forked.b_at_k.bytes, HASH_SIZE) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run *run = calloc(1, sizeof *run);
    must(run != NULL);
    run->choices.left = bytes_of(data, size);
    bool raw = choose_byte(&run->choices) % 2 == 1;
    keys_make(&run->lab, 1);
    keys_make(&run->stranger, 3);
    if (raw) {
        raw_check(run->choices.left);
    } else {
        branches_make(run);
        proof_check(run);
    }
    buf_done(&run->lab.signed_record);
    buf_done(&run->stranger.signed_record);
    free(run);
    return 0;
}
