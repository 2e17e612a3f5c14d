/* SPDX-License-Identifier: EUPL-1.2 */
/* Catalogues as they are read: ids, heads, entries, openings, chores; and bit rot in
 * them. */
#include "store_help.h"

static void ids_are_given_once(void **state)
{
    struct scratch *scratch = *state;
    struct catalogue_name other = scratch->name;
    uint32_t id = 0, again = 0, other_id = 0;
    other.network.bytes[31] = 1;
    struct txn *txn = help_write(scratch);
    is_err(catalogue_find(txn, &scratch->name, &id), ERR_NOT_FOUND);
    ok(catalogue_open(txn, &scratch->name, &id));
    ok(catalogue_open(txn, &other, &other_id));
    ok(catalogue_open(txn, &scratch->name, &again));
    assert_int_equal(id, again);
    assert_int_not_equal(id, other_id);
    assert_true(id > 0);
    ok(txn_commit(txn));
    help_reopen(scratch);
    txn = help_write(scratch);
    ok(catalogue_find(txn, &other, &again));
    assert_int_equal(again, other_id);
    memset(other.audience, 'a', AUDIENCE_SIZE_MAX);
    is_err(catalogue_find(txn, &other, &again), ERR_NOT_FOUND);
    ok(catalogue_open(txn, &other, &again));
    assert_true(again > other_id && again > id);
    txn_end(txn);
}

static void a_catalogue_without_head_is_not_walked(void **state)
{
    struct scratch *scratch = *state;
    struct catalogue_name other = scratch->name;
    struct held_head held;
    uint32_t id = 0;
    other.network.bytes[0] = 9;
    struct txn *txn = help_write(scratch);
    ok(catalogue_open(txn, &other, &id));
    is_err(catalogue_head(txn, id, &held), ERR_NOT_FOUND);
    ok(txn_commit(txn));
    struct head head = help_publish(scratch, 0, 3, 1, 100);
    txn = help_read(scratch);
    id = 0;
    ok(catalogue_next(txn, &id));
    assert_int_equal(id, 2);
    ok(catalogue_head(txn, id, &held));
    assert_memory_equal(held.head.hash.bytes, head.hash.bytes, HASH_SIZE);
    assert_int_equal(held.arrival, 1);
    is_err(catalogue_next(txn, &id), ERR_NOT_FOUND);
    id = UINT32_MAX;
    is_err(catalogue_next(txn, &id), ERR_NOT_FOUND);
    txn_end(txn);
}

static void entries_come_in_delta_order_from_any_point(void **state)
{
    struct scratch *scratch = *state;
    (void) help_publish(scratch, 0, 20, 1, 100);
    (void) help_publish(scratch, 10, 20, 2, 100);
    (void) help_publish(scratch, 5, 1, 3, 100);
    struct txn *txn = help_read(scratch);
    struct slug_hash slugs[40], slug, zero = {0};
    uint64_t revs[40], rev;
    struct bytes entry;
    struct entry_cursor *cursor = NULL;
    unsigned count = 0;
    ok(entry_cursor_open(txn, 1, 0, &zero, &cursor));
    while (entry_cursor_next(cursor, &entry, &revs[count], &slugs[count]) == ERR_OK) {
        count++;
    }
    is_err(entry_cursor_next(cursor, &entry, &rev, &slug), ERR_NOT_FOUND);
    entry_cursor_close(cursor);
    assert_int_equal(count, 30);
    assert_int_equal(revs[29], 3);
    for (unsigned from = 0; from < count; from++) {
        ok(entry_cursor_open(txn, 1, revs[from], &slugs[from], &cursor));
        for (unsigned i = from + 1; i < count; i++) {
            ok(entry_cursor_next(cursor, &entry, &rev, &slug));
            assert_int_equal(rev, revs[i]);
            assert_memory_equal(slug.bytes, slugs[i].bytes, SLUG_HASH_SIZE);
        }
        is_err(entry_cursor_next(cursor, &entry, &rev, &slug), ERR_NOT_FOUND);
        entry_cursor_close(cursor);
    }
    ok(entry_cursor_open(txn, 1, 2, NULL, &cursor)); /* all of rev 2 is behind */
    ok(entry_cursor_next(cursor, &entry, &rev, &slug));
    assert_int_equal(rev, 3);
    entry_cursor_close(cursor);
    entry_cursor_close(NULL);
    txn_end(txn);
}

static void catalogues_do_not_mix(void **state)
{
    struct scratch *scratch = *state;
    struct head first = help_publish(scratch, 0, 30, 1, 100);
    scratch->name.network.bytes[0] = 1;
    struct txn *txn = help_write(scratch);
    struct change_list list = {0};
    uint32_t id = 0;
    ok(catalogue_open(txn, &scratch->name, &id));
    for (unsigned i = 0; i < 30; i++) {
        help_put(txn, id, &list, i + 15, 1, 2, 100);
    }
    struct plan plan;
    struct buf signed_head = {0};
    uint64_t arrival, rev;
    ok(change_settle(&list, NULL));
    ok(catalogue_plan(txn, id, &list, &plan));
    assert_int_equal(plan.created, 30);
    struct head head = help_head(scratch, txn, id, &plan, &signed_head);
    struct apply apply = {.id = id,
                          .list = &list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .from = scratch->keys.lab};
    ok(catalogue_apply(txn, &apply, &arrival));
    assert_int_equal(arrival, 2);
    ok(txn_commit(txn));
    change_done(&list);
    buf_done(&signed_head);
    txn = help_read(scratch);
    struct entry_cursor *cursor = NULL;
    struct slug_hash slug;
    struct bytes entry;
    unsigned count = 0;
    ok(entry_cursor_open(txn, 1, 0, NULL, &cursor));
    while (entry_cursor_next(cursor, &entry, &rev, &slug) == ERR_OK) {
        count++;
    }
    entry_cursor_close(cursor);
    assert_int_equal(count, first.count);
    txn_end(txn);
}

static void openings_are_exact_ranges(void **state)
{
    struct scratch *scratch = *state;
    struct hash hashes[12];
    struct buf opening = {0};
    for (unsigned n = 1; n <= 10; n++) {
        hashes[n] = help_publish(scratch, n, 1, n, 50).hash;
    }
    struct txn *txn = help_read(scratch);
    ok(catalogue_opening(txn, 1, 3, 5, &opening));
    assert_int_equal(opening.size, 5 * HASH_SIZE);
    for (unsigned i = 0; i < 5; i++) {
        assert_memory_equal(opening.data + i * HASH_SIZE, hashes[3 + i].bytes, HASH_SIZE);
    }
    ok(catalogue_opening(txn, 1, 10, 1, &opening)); /* the head's own hash is there, too */
    assert_int_equal(opening.size, 6 * HASH_SIZE);
    is_err(catalogue_opening(txn, 1, 8, 4, &opening), ERR_NOT_FOUND);
    is_err(catalogue_opening(txn, 1, 0, 2, &opening), ERR_NOT_FOUND);
    is_err(catalogue_opening(txn, 2, 1, 1, &opening), ERR_NOT_FOUND);
    assert_int_equal(opening.size, 6 * HASH_SIZE);
    ok(catalogue_opening(txn, 1, 8, 0, &opening));
    opening.size_max = opening.size + 1;
    is_err(catalogue_opening(txn, 1, 1, 1, &opening), ERR_SIZE);
    txn_end(txn);
    buf_done(&opening);
}

static bool chores(struct scratch *scratch, uint64_t now_s, size_t count)
{
    bool left = false;
    struct txn *txn = help_write(scratch);
    ok(catalogue_chores(txn, now_s, count, &left));
    ok(txn_commit(txn));
    return left;
}

static void the_trash_is_emptied_a_few_at_a_time(void **state)
{
    struct scratch *scratch = *state;
    struct txn *txn = help_write(scratch);
    struct buf entry = {0};
    uint64_t seqs[20];
    help_entry(1, 1, 1, 100, &entry);
    for (unsigned i = 0; i < 20; i++) {
        ok(body_append(txn, 1, buf_bytes(&entry), &seqs[i]));
    }
    for (unsigned i = 0; i < 20; i += 2) {
        ok(body_drop(txn, seqs[i]));
    }
    ok(body_drop(txn, 999)); /* never was */
    ok(txn_commit(txn));
    assert_int_equal(help_rows(scratch, TABLE_BODIES), 20);
    assert_true(chores(scratch, 0, 4));
    assert_int_equal(help_rows(scratch, TABLE_BODIES), 16);
    assert_false(chores(scratch, 0, 100));
    assert_int_equal(help_rows(scratch, TABLE_BODIES), 10);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 0);
    txn = help_read(scratch);
    struct bytes found;
    ok(body_get(txn, 1, seqs[1], &found));
    assert_true(bytes_equal(found, buf_bytes(&entry)));
    is_err(body_get(txn, 1, seqs[0], &found), ERR_NOT_FOUND);
    is_err(body_get(txn, 2, seqs[1], &found), ERR_CORRUPT);
    txn_end(txn);
    buf_done(&entry);
}

/* The body may be gone before its trash row is: the next one must not be taken for it. */
static void a_seq_in_the_trash_is_not_given_again(void **state)
{
    struct scratch *scratch = *state;
    struct buf entry = {0};
    uint64_t old = 0, new = 0;
    uint8_t key[8];
    struct bytes found;
    help_entry(1, 1, 1, 100, &entry);
    struct txn *txn = help_write(scratch);
    ok(body_append(txn, 1, buf_bytes(&entry), &old));
    ok(body_drop(txn, old));
    be64_put(key, old);
    ok(txn_del(txn, TABLE_BODIES, BYTES_OF_ARRAY(key)));
    ok(txn_commit(txn));
    txn = help_write(scratch);
    ok(body_append(txn, 1, buf_bytes(&entry), &new));
    ok(txn_commit(txn));
    assert_false(chores(scratch, 0, 100));
    txn = help_read(scratch);
    ok(body_get(txn, 1, new, &found));
    txn_end(txn);
    buf_done(&entry);
}

static void the_largest_entry_fits(void **state)
{
    struct scratch *scratch = *state;
    struct head head = help_publish(scratch, 0, 1, 1, ENTRY_SIZE_MAX - 30);
    assert_int_equal(head.bytes, ENTRY_SIZE_MAX);
    struct txn *txn = help_read(scratch);
    struct slug_hash slug = help_slug(0);
    struct bytes entry;
    ok(catalogue_entry(txn, 1, &slug, &entry));
    assert_int_equal(entry.size, ENTRY_SIZE_MAX);
    txn_end(txn);
}

static void retired_kinds_are_remembered(void **state)
{
    struct scratch *scratch = *state;
    struct slug_hash slug = help_slug(1), other = help_slug(2);
    struct bytes kind;
    struct txn *txn = help_write(scratch);
    ok(retired_put(txn, 1, &slug, bytes_of_str("innovation")));
    ok(retired_get(txn, 1, &slug, &kind));
    assert_true(bytes_equal(kind, bytes_of_str("innovation")));
    is_err(retired_get(txn, 1, &other, &kind), ERR_NOT_FOUND);
    is_err(retired_get(txn, 2, &slug, &kind), ERR_NOT_FOUND);
    ok(txn_commit(txn));
}

static void a_retired_slug_is_known_to_who_has_the_key_alone(void **state)
{
    struct scratch *scratch = *state;
    struct slug_hash slug = help_slug(1);
    struct bytes kind;
    uint8_t bare[4 + SLUG_HASH_SIZE];
    be32_put(bare, 1);
    memcpy(bare + 4, slug.bytes, SLUG_HASH_SIZE);
    for (unsigned key = 0; key < 3; key++) { /* one, another, the first again */
        memset(scratch->options.retired_key, key == 1 ? 7 : 8, KEY_SIZE);
        help_reopen(scratch);
        struct txn *txn = help_write(scratch);
        if (key == 0) {
            ok(retired_put(txn, 1, &slug, bytes_of_str("need")));
        }
        is_err(txn_get(txn, TABLE_RETIRED, BYTES_OF_ARRAY(bare), &kind), ERR_NOT_FOUND);
        is_err(retired_get(txn, 1, &slug, &kind), key == 1 ? ERR_NOT_FOUND : ERR_OK);
        ok(txn_commit(txn));
    }
}

/* ---- bit rot ---- */

static enum err entry_err(struct scratch *scratch, unsigned number, uint64_t *ret_sum)
{
    struct txn *txn = help_read(scratch);
    struct slug_hash slug = help_slug(number);
    struct bytes entry = {0};
    enum err err = catalogue_entry(txn, 1, &slug, &entry);
    for (size_t i = 0; err == ERR_OK && i < entry.size; i++) {
        *ret_sum = *ret_sum * 31 + entry.data[i];
    }
    txn_end(txn);
    return err;
}

static void no_flipped_bit_of_an_entry_is_ever_served(void **state)
{
    struct scratch *scratch = *state;
    struct buf file = {0}, entry = {0};
    help_lab(scratch);
    (void) help_publish(scratch, 0, 50, 1, 300);
    (void) help_publish(scratch, 7, 1, 2, 6000); /* one on pages of its own */
    help_close(scratch);
    help_file(scratch, &file);
    for (unsigned round = 0; round < 200; round++) {
        unsigned number = round % 2 == 0 ? 7 : 20;
        help_entry(number, number == 7 ? 2 : 1, number == 7 ? 2 : 1, number == 7 ? 6000 : 300,
                   &entry);
        uint8_t *found = memmem(file.data, file.size, entry.data, entry.size);
        assert_non_null(found);
        size_t bit = help_random(scratch) % (entry.size * 8);
        found[bit / 8] ^= (uint8_t) (1u << (bit % 8));
        help_file_put(scratch, buf_bytes(&file));
        ok(store_open(scratch->path, &scratch->options, &scratch->store));
        uint64_t sum = 0;
        is_err(entry_err(scratch, number, &sum), ERR_CORRUPT);
        ok(entry_err(scratch, 21, &sum));
        assert_true(help_scrub(scratch, 1000) > 0);

        struct txn *txn = help_read(scratch);
        struct entry_cursor *cursor = NULL;
        struct slug_hash slug, wanted = help_slug(number);
        struct bytes bytes;
        uint64_t rev = 0;
        unsigned good = 0, bad = 0;
        enum err err;
        ok(entry_cursor_open(txn, 1, 0, NULL, &cursor));
        while ((err = entry_cursor_next(cursor, &bytes, &rev, &slug)) != ERR_NOT_FOUND) {
            good += err == ERR_OK;
            bad += err == ERR_CORRUPT;
            if (err == ERR_CORRUPT) {
                assert_memory_equal(slug.bytes, wanted.bytes, SLUG_HASH_SIZE);
            }
        }
        entry_cursor_close(cursor);
        txn_end(txn);
        assert_int_equal(good, 49);
        assert_int_equal(bad, 1);
        help_close(scratch);
        found[bit / 8] ^= (uint8_t) (1u << (bit % 8));
    }
    help_file_put(scratch, buf_bytes(&file));
    ok(store_open(scratch->path, &scratch->options, &scratch->store));
    assert_int_equal(help_scrub(scratch, 1000), 0);
    buf_done(&file);
    buf_done(&entry);
}

/* Every table's rows are measured before they are read. */
static void malformed_rows_are_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct buf into = {0};
    struct slug_hash slug = help_slug(1), other = help_slug(2);
    struct slug_row row;
    struct held_head held;
    struct bytes bytes;
    uint8_t key[64] = {0};
    uint32_t id;
    (void) help_publish(scratch, 0, 5, 1, 100);

    be32_put(key, 1);
    memcpy(key + 4, slug.bytes, SLUG_HASH_SIZE);
    help_row(scratch, TABLE_SLUGS, bytes_of(key, 20), bytes_of("short", 5));
    memcpy(key + 4, other.bytes, SLUG_HASH_SIZE);
    struct slug_hash keyed = hash_retired(scratch->options.retired_key, &other);
    uint8_t hidden[4 + SLUG_HASH_SIZE] = {0, 0, 0, 1};
    memcpy(hidden + 4, keyed.bytes, SLUG_HASH_SIZE);
    help_row(scratch, TABLE_RETIRED, BYTES_OF_ARRAY(hidden), bytes_of("Not A Kind", 10));
    uint8_t missing[52] = {0};
    help_row(scratch, TABLE_SLUGS, bytes_of(key, 20), BYTES_OF_ARRAY(missing));
    be64_put(key + 4, 1);
    help_row(scratch, TABLE_HASHES, bytes_of(key, 12), bytes_of("short", 5));
    be32_put(key, 2);
    help_row(scratch, TABLE_HEADS, bytes_of(key, 4), bytes_of("short", 5));
    be32_put(key, 3);
    help_row(scratch, TABLE_HEADS, bytes_of(key, 4), bytes_of("longer than an arrival", 22));
    be64_put(key, 50);
    help_row(scratch, TABLE_BODIES, bytes_of(key, 8), bytes_of("abc", 3));

    struct txn *txn = help_read(scratch);
    is_err(catalogue_slug(txn, 1, &slug, &row), ERR_CORRUPT);
    is_err(catalogue_entry(txn, 1, &slug, &bytes), ERR_CORRUPT);
    is_err(catalogue_entry(txn, 1, &other, &bytes), ERR_CORRUPT); /* its body is not there */
    is_err(retired_get(txn, 1, &other, &bytes), ERR_CORRUPT);
    is_err(catalogue_opening(txn, 1, 1, 1, &into), ERR_CORRUPT);
    is_err(catalogue_head(txn, 2, &held), ERR_CORRUPT);
    is_err(catalogue_head(txn, 3, &held), ERR_CORRUPT);
    is_err(body_get(txn, 1, 50, &bytes), ERR_CORRUPT);
    txn_end(txn);

    static uint8_t huge[4 + ENTRY_SIZE_MAX + 1] = {0, 0, 0, 1};
    be64_put(key, 51);
    help_row(scratch, TABLE_BODIES, bytes_of(key, 8), BYTES_OF_ARRAY(huge));
    txn = help_read(scratch);
    is_err(body_get(txn, 1, 51, &bytes), ERR_CORRUPT);
    txn_end(txn);

    help_row(scratch, TABLE_HEADS, bytes_of("abcdef", 6), bytes_of("x", 1));
    help_row(scratch, TABLE_META, bytes_of_str("catalogues"), bytes_of("x", 1));
    txn = help_write(scratch);
    id = 3;
    is_err(catalogue_next(txn, &id), ERR_CORRUPT);
    scratch->name.network.bytes[5] = 5;
    is_err(catalogue_open(txn, &scratch->name, &id), ERR_CORRUPT);
    txn_end(txn);
    buf_done(&into);
}

static void a_malformed_order_of_revisions_is_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct entry_cursor *cursor = NULL;
    struct bytes bytes;
    struct slug_hash slug;
    uint64_t rev = 0;
    uint8_t key[28] = {0}, seq[8] = {0};
    (void) help_publish(scratch, 0, 1, 1, 100);
    be32_put(key, 1);
    be64_put(key + 4, 5);
    help_row(scratch, TABLE_REVS, BYTES_OF_ARRAY(key), bytes_of("x", 1)); /* rev 5: bad seq */
    be64_put(key + 4, 6);
    help_row(scratch, TABLE_REVS, BYTES_OF_ARRAY(key), BYTES_OF_ARRAY(seq)); /* no such slug */
    be64_put(key + 4, 7);
    slug = help_slug(0);
    memcpy(key + 12, slug.bytes, SLUG_HASH_SIZE);
    be64_put(seq, 1);
    help_row(scratch, TABLE_REVS, BYTES_OF_ARRAY(key), BYTES_OF_ARRAY(seq)); /* another rev */
    help_row(scratch, TABLE_REVS, bytes_of(key, 12), BYTES_OF_ARRAY(seq));   /* half a key, rev 7 */
    struct txn *txn = help_read(scratch);
    ok(entry_cursor_open(txn, 1, 0, NULL, &cursor));
    ok(entry_cursor_next(cursor, &bytes, &rev, &slug));
    for (uint64_t wanted = 5; wanted <= 6; wanted++) {
        is_err(entry_cursor_next(cursor, &bytes, &rev, &slug), ERR_CORRUPT);
        assert_int_equal(rev, wanted);
    }
    /* half a key names nothing */
    is_err(entry_cursor_next(cursor, &bytes, &rev, &slug), ERR_CORRUPT);
    assert_int_equal(rev, 7);
    is_err(entry_cursor_next(cursor, &bytes, &rev, &slug), ERR_NOT_FOUND);
    entry_cursor_close(cursor);
    txn_end(txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ids_are_given_once),
        TEST(a_catalogue_without_head_is_not_walked),
        TEST(entries_come_in_delta_order_from_any_point),
        TEST(catalogues_do_not_mix),
        TEST(openings_are_exact_ranges),
        TEST(the_trash_is_emptied_a_few_at_a_time),
        TEST(a_seq_in_the_trash_is_not_given_again),
        TEST(the_largest_entry_fits),
        TEST(retired_kinds_are_remembered),
        TEST(a_retired_slug_is_known_to_who_has_the_key_alone),
        TEST(no_flipped_bit_of_an_entry_is_ever_served),
        TEST(malformed_rows_are_corrupt),
        TEST(a_malformed_order_of_revisions_is_corrupt),
    };
    return cmocka_run_group_tests_name("store_catalogue", tests, NULL, NULL);
}
