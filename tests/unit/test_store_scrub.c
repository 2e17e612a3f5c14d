/* SPDX-License-Identifier: EUPL-1.2 */
/* Whatever is damaged is seen, named, and does not stop the walk. */
#include "store/kept.h"
#include "store/lost.h"
#include "store_help.h"

/* All pages; the first problem's text, or "" when there is none. */
static const char *first_problem(struct scratch *scratch, size_t count, uint64_t *ret_seen)
{
    uint8_t at[SCRUB_AT_SIZE] = {0};
    const char *what = "";
    *ret_seen = 0;
    for (unsigned pages = 0; pages < 100000; pages++) {
        struct scrub_page page;
        struct txn *txn = help_read(scratch);
        ok(scrub_step(txn, at, count, &page));
        txn_end(txn);
        if (page.problem_count > 0 && *ret_seen == 0) {
            what = page.problems[0].what;
        }
        *ret_seen += page.problems_seen;
        if (page.done) {
            break;
        }
    }
    return what;
}

static void is_seen(struct scratch *scratch, const char *wanted)
{
    uint64_t seen;
    assert_string_equal(first_problem(scratch, 100, &seen), wanted);
    assert_true(seen > 0);
    assert_string_equal(first_problem(scratch, 1, &seen), wanted);
}

/* The first page with a problem, or of a catalogue when `catalogue`, or the last one. */
static struct scrub_page page_with(struct scratch *scratch, bool catalogue)
{
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page page = {0};
    while (!page.done && page.problems_seen == 0 && !(catalogue && page.catalogue != 0)) {
        struct txn *txn = help_read(scratch);
        ok(scrub_step(txn, at, 1000, &page));
        txn_end(txn);
    }
    return page;
}

static struct bytes id_key(uint8_t key[28], uint32_t id)
{
    be32_put(key, id);
    return bytes_of(key, 4);
}

static struct bytes slug_key(uint8_t key[28], unsigned number)
{
    struct slug_hash slug = help_slug(number);
    be32_put(key, 1);
    memcpy(key + 4, slug.bytes, SLUG_HASH_SIZE);
    return bytes_of(key, 20);
}

static struct bytes rev_key(uint8_t key[28], uint64_t rev, unsigned number)
{
    struct slug_hash slug = help_slug(number);
    be32_put(key, 1);
    be64_put(key + 4, rev);
    memcpy(key + 12, slug.bytes, SLUG_HASH_SIZE);
    return bytes_of(key, 28);
}

static void del(struct scratch *scratch, enum table table, struct bytes key)
{
    struct txn *txn = help_write(scratch);
    ok(txn_del(txn, table, key));
    ok(txn_commit(txn));
}

/* Changes one byte of a row's value. */
static void flip(struct scratch *scratch, enum table table, struct bytes key, size_t at)
{
    uint8_t copy[70000];
    struct txn *txn = help_write(scratch);
    struct bytes value;
    ok(txn_get(txn, table, key, &value));
    assert_true(at < value.size && value.size <= sizeof copy);
    bytes_copy(copy, value);
    copy[at] ^= 1;
    ok(txn_put(txn, table, key, bytes_of(copy, value.size)));
    ok(txn_commit(txn));
}

static void some_catalogue(struct scratch *scratch)
{
    help_lab(scratch);
    (void) help_publish(scratch, 0, 40, 1, 100);
    (void) help_publish(scratch, 10, 5, 2, 100);
    (void) help_publish(scratch, 60, 5, 3, 100);
}

static void a_sound_store_has_no_problem_whatever_the_page(void **state)
{
    struct scratch *scratch = *state;
    some_catalogue(scratch);
    for (size_t count = 1; count < 60; count += 7) {
        assert_int_equal(help_scrub(scratch, count), 0);
    }
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page page;
    struct txn *txn = help_read(scratch);
    ok(scrub_step(txn, at, 20, &page));
    assert_int_equal(page.checked, 20);
    assert_int_equal(page.total, 45);
    assert_int_equal(page.catalogue, 0);
    assert_false(page.done);
    while (!page.done) {
        ok(scrub_step(txn, at, 20, &page));
    }
    ok(scrub_step(txn, at, 1000, &page)); /* again, behind the end */
    assert_true(page.done);
    memset(at, 0xff, sizeof at);
    ok(scrub_step(txn, at, 1000, &page)); /* nonsense from a client ends it */
    assert_true(page.done);
    txn_end(txn);
    page = page_with(scratch, true);
    assert_int_equal(page.catalogue, 1);
    assert_true(page.catalogue_ok);
}

static void a_store_that_is_written_to_meanwhile_is_sound(void **state)
{
    struct scratch *scratch = *state;
    some_catalogue(scratch);
    for (unsigned write_at = 0; write_at < 12; write_at++) {
        uint8_t at[SCRUB_AT_SIZE] = {0};
        struct scrub_page page = {0};
        for (unsigned pages = 0; !page.done; pages++) {
            struct txn *txn = help_read(scratch);
            ok(scrub_step(txn, at, 10, &page));
            txn_end(txn);
            assert_int_equal(page.problems_seen, 0);
            if (pages == write_at) {
                (void) help_publish(scratch, write_at * 3, 4, write_at + 10, 100);
            }
        }
    }
}

static void an_empty_store_is_sound(void **state)
{
    assert_int_equal(help_scrub(*state, 10), 0);
}

static void every_byte_of_a_body_counts(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[8] = {0};
    uint64_t seen;
    some_catalogue(scratch);
    be64_put(key, 20);
    for (size_t at = 0; at < 134; at++) { /* owner, entry */
        flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), at);
        (void) first_problem(scratch, 100, &seen);
        assert_true(seen > 0);
        flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), at);
    }
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void damage_to_bodies_is_named(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[8] = {0};
    some_catalogue(scratch);
    be64_put(key, 20);
    flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), 100);
    is_seen(scratch, "the entry does not match its leaf");
    flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), 100);
    flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), 4);
    is_seen(scratch, "a stored entry is malformed");
    flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), 4);
    flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), 10); /* in the slug */
    is_seen(scratch, "nothing points to this stored entry");
    flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), 10);
    be64_put(key, 1000);
    help_row(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), bytes_of("abc", 3));
    is_seen(scratch, "a row of the bodies table is malformed");
    del(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key));
    assert_int_equal(help_scrub(scratch, 100), 0);
    help_row(scratch, TABLE_BODIES, bytes_of(key, 7), bytes_of_str("whatever"));
    is_seen(scratch, "a row of the bodies table is malformed");
}

static void keys_that_are_none_are_named_wherever_they_stand(void **state)
{
    struct scratch *scratch = *state;
    static const enum table tables[] = {TABLE_SLUGS, TABLE_REVS, TABLE_HEADS, TABLE_HASHES,
                                        TABLE_NAMES, TABLE_GONE, TABLE_FORKS, TABLE_ARRIVALS};
    struct buf long_key = {0};
    memset(buf_extend(&long_key, 200), 0xff, 200);
    some_catalogue(scratch);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        uint64_t seen = 0;
        help_row(scratch, tables[i], buf_bytes(&long_key), bytes_of_str("x"));
        assert_string_not_equal(first_problem(scratch, 100, &seen), "");
        del(scratch, tables[i], buf_bytes(&long_key));
        assert_int_equal(help_scrub(scratch, 100), 0);
    }
    buf_done(&long_key);
}

static void a_body_from_before_the_staging_is_not_excused_by_it(void **state)
{
    struct scratch *scratch = *state;
    struct buf entry = {0};
    uint64_t early = 0, late = 0;
    some_catalogue(scratch);
    struct txn *txn = help_write(scratch);
    help_entry(500, 9, 1, 60, &entry);
    ok(body_append(txn, 1, buf_bytes(&entry), &early));
    help_entry(501, 9, 1, 60, &entry);
    ok(body_append(txn, 1, buf_bytes(&entry), &late));
    ok(staging_put(txn, 1, &(struct staging){.first_seq = early, .m = 3}));
    ok(txn_commit(txn));
    assert_int_equal(help_scrub(scratch, 100), 0);
    txn = help_write(scratch);
    ok(staging_put(txn, 1, &(struct staging){.first_seq = late, .m = 3}));
    ok(txn_commit(txn));
    is_seen(scratch, "nothing points to this stored entry");
    buf_done(&entry);
}

static void a_lost_body_is_named(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[8] = {0};
    some_catalogue(scratch);
    struct txn *txn = help_read(scratch);
    struct slug_hash slug = help_slug(7);
    struct slug_row row;
    ok(catalogue_slug(txn, 1, &slug, &row));
    txn_end(txn);
    be64_put(key, row.seq);
    del(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key));
    is_seen(scratch, "the stored entry is missing");
    struct scrub_page page = page_with(scratch, false);
    assert_int_equal(page.problem_count, 1);
    assert_true(page.problems[0].has_slug);
    assert_memory_equal(page.problems[0].slug_hash.bytes, slug.bytes, SLUG_HASH_SIZE);
    assert_int_equal(page.problems[0].catalogue, 1);
    assert_false(page.catalogue_ok);
}

static void damage_to_heads_and_records_is_named(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    struct txn *txn = help_read(scratch);
    struct held_head held;
    ok(catalogue_head(txn, 1, &held));
    size_t size = held.signed_bytes.size;
    txn_end(txn);
    flip(scratch, TABLE_HEADS, id_key(key, 1), 8 + size - 1);
    is_seen(scratch, "the signature of the head does not verify");
    flip(scratch, TABLE_HEADS, id_key(key, 1), 8 + size - 1);
    flip(scratch, TABLE_HEADS, id_key(key, 1), 8);
    is_seen(scratch, "the head is malformed");
    flip(scratch, TABLE_HEADS, id_key(key, 1), 8);

    struct bytes lab = BYTES_OF_ARRAY(scratch->keys.lab.bytes);
    flip(scratch, TABLE_LABS, lab, 8);
    is_seen(scratch, "the lab's record is malformed");
    flip(scratch, TABLE_LABS, lab, 8);
    flip(scratch, TABLE_LABS, lab, 8 + 70); /* in a key */
    is_seen(scratch, "the signature of the lab's record does not verify");
    del(scratch, TABLE_LABS, lab);
    is_seen(scratch, "the lab's record is missing");
}

static void put_generation(struct scratch *scratch, uint64_t generation,
                           const struct last_good *last_good)
{
    struct buf bytes = {0};
    uint64_t arrival;
    struct lab_record record = {.lab = scratch->keys.lab,
                                .generation = generation,
                                .name = bytes_of_str("Ti Lab"),
                                .issued_at = 1700000000};
    memset(record.signing_pk, 4, KEY_SIZE);
    memset(record.link_pk, 9, KEY_SIZE);
    if (last_good != NULL) {
        record.last_good[record.last_good_count++] = *last_good;
    }
    ok(lab_record_sign(&record, scratch->keys.root_secret, &bytes));
    struct txn *txn = help_write(scratch);
    ok(lab_put(txn, &record, buf_bytes(&bytes), &scratch->keys.lab, &arrival));
    ok(txn_commit(txn));
    buf_done(&bytes);
}

/* What verify says of catalogue 1 that is no problem; no problem may be seen. */
static void is_noted(struct scratch *scratch, const char *wanted)
{
    struct scrub_page page = page_with(scratch, true);
    assert_int_equal(page.catalogue, 1);
    assert_true(page.catalogue_ok);
    assert_int_equal(page.problems_seen, 0);
    if (wanted == NULL) {
        assert_null(page.note);
    } else {
        assert_non_null(page.note);
        assert_string_equal(page.note, wanted);
    }
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void a_head_of_an_older_generation_waits_or_is_vouched_for(void **state)
{
    struct scratch *scratch = *state;
    static const char *const waiting = "a newer generation's head has not arrived yet";
    some_catalogue(scratch);
    struct txn *txn = help_read(scratch);
    struct held_head held;
    ok(catalogue_head(txn, 1, &held));
    txn_end(txn);
    is_noted(scratch, NULL);
    put_generation(scratch, 2, NULL);
    is_noted(scratch, waiting);
    struct last_good good = {
        .audience = bytes_of_str("public"), .n = held.head.n, .head_hash = held.head.hash};
    put_generation(scratch, 2, &good);
    is_noted(scratch, NULL);
    good.n++; /* ours is on the way to it */
    put_generation(scratch, 3, &good);
    is_noted(scratch, NULL);
    good.n = held.head.n - 1;
    put_generation(scratch, 4, &good);
    is_noted(scratch, waiting);
    good.n = held.head.n;
    good.head_hash = help_hash(1, 1);
    put_generation(scratch, 5, &good);
    is_noted(scratch, waiting);
    good.head_hash = held.head.hash;
    good.audience = bytes_of_str("other");
    put_generation(scratch, 6, &good);
    is_noted(scratch, waiting);
    good.audience = bytes_of_str("public");
    good.network = help_hash(1, 1);
    put_generation(scratch, 7, &good);
    is_noted(scratch, waiting);
}

static void a_head_of_a_generation_without_its_record_is_named(void **state)
{
    struct scratch *scratch = *state;
    struct opening chain = {0};
    struct change_list none = {0};
    some_catalogue(scratch);
    help_chain(&chain, 1, 4, NULL, 0);
    struct txn *txn = help_write(scratch);
    (void) help_replace(scratch, txn, 1, &chain, 2, &none);
    ok(txn_commit(txn));
    is_seen(scratch, "the head belongs to a generation that does not stand");
    opening_done(&chain);
}

/* A record whose signing key is the one that the heads of these tests are signed with. */
static void put_generation_with_key(struct scratch *scratch, uint64_t generation,
                                    const struct last_good *last_good)
{
    struct buf bytes = {0};
    uint64_t arrival;
    struct lab_record record = {.lab = scratch->keys.lab,
                                .generation = generation,
                                .name = bytes_of_str("Ti Lab"),
                                .last_good_count = 1};
    memcpy(record.signing_pk, scratch->keys.signing_pk, KEY_SIZE);
    memset(record.link_pk, 9, KEY_SIZE);
    record.last_good[0] = *last_good;
    ok(lab_record_sign(&record, scratch->keys.root_secret, &bytes));
    struct txn *txn = help_write(scratch);
    ok(lab_put(txn, &record, buf_bytes(&bytes), &scratch->keys.lab, &arrival));
    ok(txn_commit(txn));
    buf_done(&bytes);
}

static void a_newer_generation_stands_on_the_last_good_head(void **state)
{
    struct scratch *scratch = *state;
    struct opening chain = {0};
    struct change_list none = {0};
    struct last_good good = {
        .audience = bytes_of_str("public"), .n = 2, .head_hash = help_hash(1, 2)};
    static const char *const wrong =
        "the chain does not hold the last good head of the generation before";
    static const struct help_side side[] = {{.n = 5, .k = 2, .count = 2}};
    some_catalogue(scratch);
    help_chain(&chain, 1, 6, side, 1);
    struct txn *txn = help_write(scratch);
    (void) help_replace(scratch, txn, 1, &chain, 2, &none);
    ok(txn_commit(txn));
    opening_done(&chain);
    put_generation_with_key(scratch, 2, &good);
    is_noted(scratch, NULL);
    good.head_hash = help_hash(2, 2);
    put_generation_with_key(scratch, 2, &good);
    is_seen(scratch, wrong);
    good.head_hash = help_hash(1001, 2); /* on a side only */
    put_generation_with_key(scratch, 2, &good);
    is_seen(scratch, wrong);
    good.n = 60; /* not reached */
    put_generation_with_key(scratch, 2, &good);
    is_seen(scratch, wrong);
    uint8_t key[28] = {0};
    good.n = 2;
    put_generation_with_key(scratch, 2, &good);
    be32_put(key, 1);
    be64_put(key + 4, 2);
    del(scratch, TABLE_HASHES, bytes_of(key, 12)); /* not said twice */
    is_seen(scratch, "hashes of earlier heads are missing or damaged");
}

static struct bytes side_key(uint8_t key[28], uint32_t id, uint64_t merge, uint64_t n)
{
    be32_put(key, id);
    be64_put(key + 4, merge);
    be64_put(key + 12, n);
    return bytes_of(key, 20);
}

static void damage_to_sides_is_named(void **state)
{
    struct scratch *scratch = *state;
    static const struct help_side sides[] = {{.n = 6, .k = 2, .count = 3},
                                             {.n = 12, .k = 7, .count = 2}};
    struct hash hash = help_hash(9, 9);
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    (void) help_chain_put(scratch, 1, 12, sides, 2);
    assert_int_equal(help_scrub(scratch, 100), 0);
    flip(scratch, TABLE_SIDES, side_key(key, 1, 6, 3), 7);
    is_seen(scratch, "the hashes of earlier heads do not lead to the head");
    flip(scratch, TABLE_SIDES, side_key(key, 1, 6, 3), 7);
    del(scratch, TABLE_SIDES, side_key(key, 1, 6, 4)); /* a shorter side, another history */
    is_seen(scratch, "the hashes of earlier heads do not lead to the head");
    (void) help_chain_put(scratch, 1, 12, sides, 2);
    del(scratch, TABLE_SIDES, side_key(key, 1, 6, 3));
    is_seen(scratch, "the side of a merge head is damaged");
    (void) help_chain_put(scratch, 1, 12, sides, 2);
    del(scratch, TABLE_SIDES, side_key(key, 1, 12, 7));
    del(scratch, TABLE_SIDES, side_key(key, 1, 12, 8));
    is_seen(scratch, "the hashes of earlier heads do not lead to the head");
    (void) help_chain_put(scratch, 1, 12, sides, 2);
    help_row(scratch, TABLE_SIDES, side_key(key, 1, 9, 4), BYTES_OF_ARRAY(hash.bytes));
    is_seen(scratch, "the hashes of earlier heads do not lead to the head");
    (void) help_chain_put(scratch, 1, 12, sides, 2);
    help_row(scratch, TABLE_SIDES, side_key(key, 1, 13, 4), BYTES_OF_ARRAY(hash.bytes));
    is_seen(scratch, "a side belongs to no merge head");
    (void) help_chain_put(scratch, 1, 12, sides, 2);
    assert_int_equal(help_scrub(scratch, 100), 0);
    static const uint32_t others[] = {0, 2, UINT32_MAX};
    for (unsigned i = 0; i < 3; i++) {
        help_row(scratch, TABLE_SIDES, side_key(key, others[i], 6, 4), BYTES_OF_ARRAY(hash.bytes));
        is_seen(scratch, "a side belongs to no merge head");
        del(scratch, TABLE_SIDES, side_key(key, others[i], 6, 4));
    }
    help_row(scratch, TABLE_SIDES, bytes_of_str("no key"), BYTES_OF_ARRAY(hash.bytes));
    is_seen(scratch, "the side of a merge head is damaged");
}

static void hashes_behind_the_head_are_named(void **state)
{
    struct scratch *scratch = *state;
    struct hash hash = help_hash(9, 9);
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    be32_put(key, 1);
    be64_put(key + 4, 4);
    help_row(scratch, TABLE_HASHES, bytes_of(key, 12), BYTES_OF_ARRAY(hash.bytes));
    is_seen(scratch, "there are hashes of heads behind the held one");
}

static void fork_forget(struct scratch *scratch, uint32_t id)
{
    struct txn *txn = help_write(scratch);
    ok(fork_drop(txn, id));
    ok(txn_commit(txn));
}

static void proofs_of_forks_are_verified(void **state)
{
    struct scratch *scratch = *state;
    static const char *const wrong = "the proof of a fork does not verify";
    struct buf proof = {0};
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    help_fork_proof(scratch, 3, 5, 6, &proof);
    help_fork(scratch, 1, 1, 3, buf_bytes(&proof));
    assert_int_equal(help_scrub(scratch, 100), 0);
    for (size_t at = 25; at < 25 + proof.size; at += 37) {
        flip(scratch, TABLE_FORKS, id_key(key, 1), at);
        is_seen(scratch, wrong);
        flip(scratch, TABLE_FORKS, id_key(key, 1), at);
    }
    help_fork(scratch, 1, 1, 2, buf_bytes(&proof));
    is_seen(scratch, wrong);
    help_fork(scratch, 1, 2, 3, buf_bytes(&proof));
    is_seen(scratch, wrong);
    help_fork(scratch, 1, 1, 3, bytes_of(NULL, 0)); /* too large to be kept: nothing to verify */
    assert_int_equal(help_scrub(scratch, 100), 0);
    help_row(scratch, TABLE_FORKS, id_key(key, 1), bytes_of_str("short"));
    is_seen(scratch, "a fork is malformed");
    help_row(scratch, TABLE_FORKS, bytes_of_str("no id"), bytes_of_str("short"));
    is_seen(scratch, "a fork is malformed");
    buf_done(&proof);
}

static void a_fork_has_its_catalogue_and_its_arrival(void **state)
{
    struct scratch *scratch = *state;
    static const char *const lost = "a fork belongs to no catalogue";
    struct buf proof = {0};
    uint8_t key[28] = {0};
    uint32_t id = 0;
    some_catalogue(scratch);
    help_fork_proof(scratch, 3, 5, 6, &proof);
    help_fork(scratch, 2, 1, 3, buf_bytes(&proof)); /* the proof is of catalogue 1 */
    is_seen(scratch, lost);
    help_fork(scratch, 2, 1, 3, bytes_of(NULL, 0));
    is_seen(scratch, lost);
    fork_forget(scratch, 2);
    assert_int_equal(help_scrub(scratch, 100), 0);
    struct txn *txn = help_write(scratch);
    memcpy(scratch->name.audience, "other", sizeof "other");
    ok(catalogue_open(txn, &scratch->name, &id));
    ok(txn_commit(txn));
    help_fork(scratch, id, 1, 3, buf_bytes(&proof));
    is_seen(scratch, lost);
    help_fork(scratch, id, 1, 3, bytes_of(NULL, 0)); /* met, but no head is held */
    assert_int_equal(help_scrub(scratch, 100), 0);
    fork_forget(scratch, id);
    help_fork(scratch, 1, 1, 3, buf_bytes(&proof));
    struct held_fork held;
    txn = help_read(scratch);
    ok(fork_get(txn, 1, &held));
    txn_end(txn);
    be64_put(key, held.arrival);
    flip(scratch, TABLE_ARRIVALS, bytes_of(key, 8), 0); /* 'F' to 'G' */
    is_seen(scratch, "an arrival is missing or damaged");
    flip(scratch, TABLE_ARRIVALS, bytes_of(key, 8), 0);
    flip(scratch, TABLE_ARRIVALS, bytes_of(key, 8), 4); /* another catalogue */
    is_seen(scratch, "an arrival is missing or damaged");
    del(scratch, TABLE_ARRIVALS, bytes_of(key, 8));
    is_seen(scratch, "an arrival is missing or damaged");
    buf_done(&proof);
}

static void an_arrival_of_a_fork_that_is_not_there_is_named(void **state)
{
    struct scratch *scratch = *state;
    uint64_t arrival;
    some_catalogue(scratch);
    struct txn *txn = help_write(scratch);
    struct arrival fork = {.kind = ARRIVAL_FORK, .catalogue = 1};
    ok(arrival_add(txn, 0, &fork, &arrival));
    ok(txn_commit(txn));
    is_seen(scratch, "there are not as many arrivals as heads, records, forks and receipts");
}

static void damage_to_former_revisions_is_named(void **state)
{
    struct scratch *scratch = *state;
    static const char *const wrong = "a kept former revision is damaged";
    struct buf entry = {0};
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    struct txn *txn = help_write(scratch);
    for (unsigned i = 0; i < 30; i++) {
        struct slug_hash slug = help_slug(i % 3);
        help_entry(i % 3, 1 + i / 3, i, 60, &entry);
        ok(kept_put(txn, 1, &slug, 1 + i / 3, buf_bytes(&entry)));
    }
    ok(txn_commit(txn));
    for (size_t count = 1; count < 40; count += 6) {
        assert_int_equal(help_scrub(scratch, count), 0);
    }
    struct bytes row = bytes_of(key, 28);
    (void) slug_key(key, 2);
    be64_put(key + 20, 4);
    flip(scratch, TABLE_KEPT, row, 1); /* no entry */
    is_seen(scratch, wrong);
    flip(scratch, TABLE_KEPT, row, 1);
    flip(scratch, TABLE_KEPT, row, 3); /* another slug */
    is_seen(scratch, wrong);
    flip(scratch, TABLE_KEPT, row, 3);
    help_entry(2, 5, 0, 60, &entry);
    help_row(scratch, TABLE_KEPT, row, buf_bytes(&entry)); /* another revision */
    is_seen(scratch, wrong);
    del(scratch, TABLE_KEPT, row);
    assert_int_equal(help_scrub(scratch, 1), 0);
    help_row(scratch, TABLE_KEPT, bytes_of(key, 21), buf_bytes(&entry));
    is_seen(scratch, "a table is out of order or cannot be searched");
    buf_done(&entry);
}

static void damage_to_what_gave_way_is_named(void **state)
{
    struct scratch *scratch = *state;
    struct buf entry = {0};
    some_catalogue(scratch);
    struct txn *txn = help_write(scratch);
    for (unsigned i = 0; i < 30; i++) {
        buf_clear(&entry);
        help_entry(i % 3, 1 + i / 3, i, 60, &entry);
        ok(lost_put(txn, 1, &(struct lost){.merge_n = 40, .entry = buf_bytes(&entry)}));
    }
    ok(txn_commit(txn));
    for (size_t count = 1; count < 40; count += 6) {
        assert_int_equal(help_scrub(scratch, count), 0);
    }
    uint8_t key[4 + LOST_AT_SIZE] = {0, 0, 0, 1};
    struct slug_hash slug = help_slug(2);
    struct hash leaf = entry_leaf(buf_bytes(&entry)); /* of 29: slug 2 */
    memcpy(key + 4, slug.bytes, SLUG_HASH_SIZE);
    memcpy(key + 4 + SLUG_HASH_SIZE, leaf.bytes, HASH_SIZE);
    flip(scratch, TABLE_LOST, BYTES_OF_ARRAY(key), 30);
    is_seen(scratch, "a version that gave way in a merge is damaged");
    buf_done(&entry);
}

static void many_forks_take_many_pages(void **state)
{
    struct scratch *scratch = *state;
    some_catalogue(scratch);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(scratch->name.audience, sizeof scratch->name.audience, "circle-%u", i);
        struct head head = help_publish(scratch, i, 1, 1, 50);
        assert_int_equal(head.n, 1);
        help_fork(scratch, i + 2, 1, 1, bytes_of(NULL, 0));
    }
    assert_int_equal(help_scrub(scratch, 100), 0);
    uint8_t key[28] = {0};
    help_row(scratch, TABLE_FORKS, id_key(key, 21), bytes_of_str("short"));
    is_seen(scratch, "a fork is malformed");
}

static void damage_to_history_and_digests_is_named(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[28] = {0};
    struct bytes hash_key = bytes_of(key, 12);
    some_catalogue(scratch);
    be32_put(key, 1);
    be64_put(key + 4, 1);
    flip(scratch, TABLE_HASHES, hash_key, 5);
    is_seen(scratch, "the hashes of earlier heads do not lead to the head");
    flip(scratch, TABLE_HASHES, hash_key, 5);
    be64_put(key + 4, 3);
    flip(scratch, TABLE_HASHES, hash_key, 5);
    is_seen(scratch, "hashes of earlier heads are missing or damaged");
    flip(scratch, TABLE_HASHES, hash_key, 5);
    be64_put(key + 4, 2);
    del(scratch, TABLE_HASHES, hash_key);
    is_seen(scratch, "hashes of earlier heads are missing or damaged");
}

static void damage_to_digests_is_named(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    be32_put(key, 1);
    key[4] = 3;
    flip(scratch, TABLE_DIGESTS, bytes_of(key, 5), 100);
    is_seen(scratch, "a bucket of entries does not match its digest");
    del(scratch, TABLE_DIGESTS, bytes_of(key, 5));
    is_seen(scratch, "the digests are malformed");
}

static void damage_to_rows_of_entries_is_named(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    flip(scratch, TABLE_SLUGS, slug_key(key, 30), 30); /* the leaf */
    is_seen(scratch, "the entry does not match its leaf");
    flip(scratch, TABLE_SLUGS, slug_key(key, 30), 30);
    flip(scratch, TABLE_SLUGS, slug_key(key, 30), 7); /* the rev */
    is_seen(scratch, "the order of revisions does not match the entries");
    flip(scratch, TABLE_SLUGS, slug_key(key, 30), 7);
    flip(scratch, TABLE_SLUGS, slug_key(key, 30), 15); /* the seq */
    is_seen(scratch, "nothing points to this stored entry");
    flip(scratch, TABLE_SLUGS, slug_key(key, 30), 15);
    flip(scratch, TABLE_REVS, rev_key(key, 1, 30), 7);
    is_seen(scratch, "the order of revisions does not match the entries");
    flip(scratch, TABLE_REVS, rev_key(key, 1, 30), 7);
    del(scratch, TABLE_REVS, rev_key(key, 1, 30));
    is_seen(scratch, "entries are missing from the order of revisions");
    help_row(scratch, TABLE_SLUGS, slug_key(key, 30), bytes_of("short", 5));
    is_seen(scratch, "nothing points to this stored entry");
}

static void an_entry_lost_with_its_body_still_misses_from_the_root(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    struct txn *txn = help_read(scratch);
    struct slug_hash slug = help_slug(30);
    struct slug_row row;
    ok(catalogue_slug(txn, 1, &slug, &row));
    txn_end(txn);
    be64_put(key, row.seq);
    del(scratch, TABLE_BODIES, bytes_of(key, 8));
    del(scratch, TABLE_SLUGS, slug_key(key, 30));
    del(scratch, TABLE_REVS, rev_key(key, 1, 30));
    is_seen(scratch, "a bucket of entries does not match its digest");
}

static void a_head_under_another_id_is_named(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[28] = {0};
    some_catalogue(scratch);
    struct bytes name = bytes_of(NULL, 0);
    struct buf name_key = {0};
    buf_put(&name_key, BYTES_OF_ARRAY(scratch->name.network.bytes));
    buf_put(&name_key, BYTES_OF_ARRAY(scratch->name.lab.bytes));
    buf_put_str(&name_key, "public");
    name = buf_bytes(&name_key);
    help_row(scratch, TABLE_NAMES, name, id_key(key, 9));
    is_seen(scratch, "the head does not belong to this catalogue");
    buf_done(&name_key);
}

static void a_damaged_record_of_a_lab_without_catalogue_is_named(void **state)
{
    struct scratch *scratch = *state;
    some_catalogue(scratch);
    for (unsigned i = 0; i < 150; i++) { /* several pages of labs */
        struct lab_keys keys = help_keys((uint8_t) (i + 50));
        struct buf bytes = {0};
        struct lab_record record;
        uint64_t arrival;
        help_record(&keys, 1, &bytes, &record);
        struct txn *txn = help_write(scratch);
        ok(lab_put(txn, &record, buf_bytes(&bytes), &keys.lab, &arrival));
        ok(txn_commit(txn));
        buf_done(&bytes);
    }
    assert_int_equal(help_scrub(scratch, 100), 0);
    struct lab_keys keys = help_keys(99);
    flip(scratch, TABLE_LABS, BYTES_OF_ARRAY(keys.lab.bytes), 100);
    is_seen(scratch, "a lab record is malformed or its signature does not verify");
    help_row(scratch, TABLE_LABS, bytes_of("\xff\xff", 2), bytes_of("x", 1));
    uint64_t seen;
    (void) first_problem(scratch, 100, &seen);
    assert_int_equal(seen, 2);
}

static void lost_arrivals_and_lost_records_are_named(void **state)
{
    struct scratch *scratch = *state;
    struct lab_keys keys = help_keys(99);
    struct buf bytes = {0};
    struct lab_record record;
    uint64_t arrival;
    uint8_t key[8];
    some_catalogue(scratch);
    help_record(&keys, 1, &bytes, &record);
    struct txn *txn = help_write(scratch);
    ok(lab_put(txn, &record, buf_bytes(&bytes), &keys.lab, &arrival));
    ok(txn_commit(txn));
    assert_int_equal(help_scrub(scratch, 100), 0);
    be64_put(key, arrival);
    del(scratch, TABLE_ARRIVALS, BYTES_OF_ARRAY(key));
    is_seen(scratch, "an arrival is missing or damaged");
    txn = help_write(scratch);
    ok(lab_put(txn, &record, buf_bytes(&bytes), &keys.lab, &arrival));
    ok(txn_commit(txn));
    assert_int_equal(help_scrub(scratch, 100), 0);
    del(scratch, TABLE_LABS, BYTES_OF_ARRAY(keys.lab.bytes));
    is_seen(scratch, "there are not as many arrivals as heads, records, forks and receipts");
    buf_done(&bytes);
}

static void a_head_that_counts_otherwise_is_named(void **state)
{
    struct scratch *scratch = *state;
    struct held_head held;
    struct buf row = {0};
    uint8_t key[28] = {0}, arrival[8];
    some_catalogue(scratch);
    for (unsigned lie = 0; lie < 2; lie++) {
        struct txn *txn = help_read(scratch);
        ok(catalogue_head(txn, 1, &held));
        txn_end(txn);
        held.head.count += lie == 0;
        held.head.bytes += lie == 1;
        buf_clear(&row);
        be64_put(arrival, held.arrival);
        buf_put(&row, BYTES_OF_ARRAY(arrival));
        ok(head_sign(&held.head, scratch->keys.signing_secret, &row));
        help_row(scratch, TABLE_HEADS, id_key(key, 1), buf_bytes(&row));
        be64_put(key + 4, held.head.n);
        help_row(scratch, TABLE_HASHES, bytes_of(key, 12), BYTES_OF_ARRAY(held.head.hash.bytes));
        is_seen(scratch, "count or bytes are not those of the head");
    }
    buf_done(&row);
}

static void more_problems_than_a_page_keeps_are_counted(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[8] = {0};
    help_lab(scratch);
    (void) help_publish(scratch, 0, 100, 1, 100);
    for (unsigned i = 1; i <= 70; i++) {
        be64_put(key, i);
        flip(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), 100);
    }
    struct scrub_page page = page_with(scratch, false);
    assert_int_equal(page.problem_count, 64);
    assert_int_equal(page.problems_seen, 70);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_store_has_no_problem_whatever_the_page),
        TEST(a_store_that_is_written_to_meanwhile_is_sound),
        TEST(an_empty_store_is_sound),
        TEST(every_byte_of_a_body_counts),
        TEST(damage_to_bodies_is_named),
        TEST(keys_that_are_none_are_named_wherever_they_stand),
        TEST(a_body_from_before_the_staging_is_not_excused_by_it),
        TEST(a_lost_body_is_named),
        TEST(damage_to_heads_and_records_is_named),
        TEST(a_head_of_an_older_generation_waits_or_is_vouched_for),
        TEST(a_head_of_a_generation_without_its_record_is_named),
        TEST(a_newer_generation_stands_on_the_last_good_head),
        TEST(damage_to_sides_is_named),
        TEST(hashes_behind_the_head_are_named),
        TEST(proofs_of_forks_are_verified),
        TEST(a_fork_has_its_catalogue_and_its_arrival),
        TEST(an_arrival_of_a_fork_that_is_not_there_is_named),
        TEST(damage_to_former_revisions_is_named),
        TEST(damage_to_what_gave_way_is_named),
        TEST(many_forks_take_many_pages),
        TEST(damage_to_history_and_digests_is_named),
        TEST(damage_to_digests_is_named),
        TEST(damage_to_rows_of_entries_is_named),
        TEST(an_entry_lost_with_its_body_still_misses_from_the_root),
        TEST(a_head_under_another_id_is_named),
        TEST(a_damaged_record_of_a_lab_without_catalogue_is_named),
        TEST(lost_arrivals_and_lost_records_are_named),
        TEST(a_head_that_counts_otherwise_is_named),
        TEST(more_problems_than_a_page_keeps_are_counted),
    };
    return cmocka_run_group_tests_name("store_scrub", tests, NULL, NULL);
}
