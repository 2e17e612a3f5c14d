/* SPDX-License-Identifier: EUPL-1.2 */
/* store/hints.c: hints given out page by page, resolved by who holds what they name, forgotten
 * after ninety days. */
#include "store_help.h"

#define HINT_AT_SIZE 24

/* Of entry `number` as help_publish made it in head `rev` with `salt`, 50 bytes of text. */
static struct hint hint_of(unsigned number, uint64_t rev, unsigned salt)
{
    struct buf entry = {0};
    struct slug_hash slug_hash = help_slug(number);
    help_entry(number, rev, salt, 50, &entry);
    struct hash leaf = entry_leaf(buf_bytes(&entry));
    buf_done(&entry);
    return hash_hint(&slug_hash, &leaf);
}

static struct head withdraw(struct scratch *scratch, unsigned first, unsigned count, uint64_t now_s)
{
    struct txn *txn = help_write(scratch);
    struct change_list list = {0};
    for (unsigned i = 0; i < count; i++) {
        help_withdraw(&list, first + i);
    }
    struct head head = help_apply(scratch, txn, 1, &list, now_s);
    ok(txn_commit(txn));
    return head;
}

static unsigned hints_after(struct scratch *scratch, uint64_t n, size_t page, struct buf *hints)
{
    uint8_t at[HINT_AT_SIZE] = {0};
    bool more = true;
    unsigned pages = 0;
    struct txn *txn = help_read(scratch);
    buf_clear(hints);
    for (; more; pages++) {
        size_t before = hints->size;
        ok(catalogue_hints(txn, 1, n, at, page, hints, &more));
        assert_true(hints->size - before <= page * HINT_SIZE);
        assert_true(pages < 10000);
    }
    txn_end(txn);
    return (unsigned) (hints->size / HINT_SIZE);
}

static void hints_tell_what_went_after_a_head(void **state)
{
    struct scratch *scratch = *state;
    struct buf hints = {0}, in_pages = {0};
    (void) help_publish(scratch, 0, 300, 1, 50); /* head 1 */
    (void) withdraw(scratch, 0, 3, 1000);        /* head 2 */
    (void) withdraw(scratch, 50, 200, 1000);     /* head 3 */
    (void) withdraw(scratch, 299, 1, 1000);      /* head 4 */
    assert_int_equal(hints_after(scratch, 0, 1000, &hints), 204);
    assert_int_equal(hints_after(scratch, 0, 7, &in_pages), 204);
    assert_true(bytes_equal(buf_bytes(&hints), buf_bytes(&in_pages)));
    assert_int_equal(hints_after(scratch, 2, 1000, &hints), 201);
    assert_int_equal(hints_after(scratch, 3, 1000, &hints), 1);
    struct hint last = hint_of(299, 1, 1);
    assert_memory_equal(hints.data, last.bytes, HINT_SIZE);
    assert_int_equal(hints_after(scratch, 4, 1000, &hints), 0);
    assert_int_equal(hints_after(scratch, UINT64_MAX, 1000, &hints), 0);
    buf_done(&hints);
    buf_done(&in_pages);
}

static bool chores(struct scratch *scratch, uint64_t now_s, size_t count)
{
    bool left = false;
    struct txn *txn = help_write(scratch);
    ok(catalogue_chores(txn, now_s, count, &left));
    ok(txn_commit(txn));
    return left;
}

static void hints_are_kept_ninety_days(void **state)
{
    struct scratch *scratch = *state;
    (void) help_publish(scratch, 0, 30, 1, 50);
    (void) withdraw(scratch, 0, 10, 1000);
    (void) withdraw(scratch, 10, 10, 2000);
    assert_false(chores(scratch, 500, 100)); /* a clock that went back */
    assert_false(chores(scratch, 1000 + (uint64_t) HINT_TTL_S, 100));
    assert_int_equal(help_rows(scratch, TABLE_GONE), 20);
    unsigned calls = 1;
    while (chores(scratch, 1001 + (uint64_t) HINT_TTL_S, 3)) {
        assert_true(++calls < 20);
    }
    assert_true(calls >= 6); /* a few at a time */
    assert_int_equal(help_rows(scratch, TABLE_GONE), 10);
    struct buf hints = {0};
    assert_int_equal(hints_after(scratch, 0, 100, &hints), 10);
    buf_done(&hints);
    assert_false(chores(scratch, 1001 + (uint64_t) HINT_TTL_S, 100));
}

static void damaged_hints_are_swept_away(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[5] = {0}, good[GONE_KEY_SIZE] = {1};
    help_row(scratch, TABLE_GONE, BYTES_OF_ARRAY(key), bytes_of("", 0));
    help_row(scratch, TABLE_GONE, BYTES_OF_ARRAY(good), bytes_of("abc", 3));
    assert_false(chores(scratch, 5, 10));
    assert_int_equal(help_rows(scratch, TABLE_GONE), 0);
}

/* ---- resolved ---- */

static void hint_put(struct buf *hints, unsigned number, uint64_t rev, unsigned salt)
{
    struct hint hint = hint_of(number, rev, salt);
    buf_put(hints, BYTES_OF_ARRAY(hint.bytes));
}

static const struct change *change_of(const struct change_list *list, unsigned number)
{
    struct slug_hash slug_hash = help_slug(number);
    for (size_t i = 0; i < list->count; i++) {
        if (memcmp(list->items[i].slug_hash.bytes, slug_hash.bytes, SLUG_HASH_SIZE) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

static void a_hint_withdraws_the_very_entry_it_names(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct buf hints = {0};
    (void) help_publish(scratch, 0, 20, 1, 50);
    (void) help_publish(scratch, 5, 1, 2, 50);
    hint_put(&hints, 3, 1, 1);
    hint_put(&hints, 5, 1, 1); /* an older revision than is held */
    hint_put(&hints, 6, 2, 1); /* a newer one */
    hint_put(&hints, 7, 1, 9); /* another text */
    hint_put(&hints, 99, 1, 1);
    hint_put(&hints, 3, 1, 1); /* twice */
    struct txn *txn = help_read(scratch);
    ok(change_hinted(txn, 1, &hints, &list, NULL));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].size, 0);
    assert_non_null(change_of(&list, 3));
    change_done(&list);
    ok(change_hinted(txn, 2, &hints, &list, NULL)); /* of another catalogue: of nothing */
    assert_int_equal(list.count, 0);
    buf_clear(&hints);
    ok(change_hinted(txn, 1, &hints, &list, NULL));
    assert_int_equal(list.count, 0);
    txn_end(txn);
    buf_done(&hints);
}

static void what_came_with_the_hints_is_theirs_too(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct buf hints = {0}, dropped = {0};
    (void) help_publish(scratch, 0, 10, 1, 50);
    struct txn *txn = help_write(scratch);
    help_put(txn, 1, &list, 1, 2, 1, 50); /* published again: what was withdrawn is the former */
    help_put(txn, 1, &list, 2, 2, 1, 50); /* and withdrawn once more while it was sent */
    help_put(txn, 1, &list, 30, 2, 1, 50);
    help_put(txn, 1, &list, 31, 2, 1, 50);
    help_withdraw(&list, 4);
    uint64_t seqs[2] = {list.items[1].seq, list.items[2].seq};
    hint_put(&hints, 1, 1, 1);
    hint_put(&hints, 2, 1, 1);
    hint_put(&hints, 2, 2, 1);
    hint_put(&hints, 30, 2, 1);
    hint_put(&hints, 4, 1, 1);
    hint_put(&hints, 8, 1, 1);
    ok(change_settle(&list, NULL));
    ok(change_hinted(txn, 1, &hints, &list, &dropped));
    assert_int_equal(list.count, 6);
    assert_true(change_of(&list, 1)->size > 0);
    assert_int_equal(change_of(&list, 2)->size, 0);
    assert_int_equal(change_of(&list, 30)->size, 0);
    assert_true(change_of(&list, 31)->size > 0);
    assert_int_equal(change_of(&list, 4)->size, 0);
    assert_int_equal(change_of(&list, 8)->size, 0);
    assert_int_equal(dropped.size, 2 * 8);
    assert_int_equal(be64_get(dropped.data) + be64_get(dropped.data + 8), seqs[0] + seqs[1]);
    struct head head = help_apply(scratch, txn, 1, &list, 1000);
    ok(txn_commit(txn));
    assert_int_equal(head.count, 10 - 3 + 1); /* 2, 4 and 8 went, 31 came */
    (void) hints_after(scratch, 1, 100, &hints);
    assert_int_equal(hints.size, 5 * HINT_SIZE); /* both of 2; 30, 4, 8 */
    buf_done(&hints);
    buf_done(&dropped);
}

/* Every one of a catalogue, among as many that name nothing: each bucket is walked once. */
static void a_crowd_of_hints_costs_one_walk(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct buf hints = {0};
    unsigned count = 20000;
    (void) help_publish(scratch, 0, count, 1, 50);
    uint8_t *noise = buf_extend(&hints, (size_t) (HINTS_MAX - count) * HINT_SIZE);
    for (size_t i = 0; i < (size_t) (HINTS_MAX - count) * HINT_SIZE; i++) {
        noise[i] = (uint8_t) help_random(scratch);
    }
    for (unsigned i = 0; i < count; i++) {
        hint_put(&hints, i, 1, 1);
    }
    assert_int_equal(hints.size / HINT_SIZE, HINTS_MAX);
    struct txn *txn = help_read(scratch);
    ok(change_hinted(txn, 1, &hints, &list, NULL));
    txn_end(txn);
    assert_int_equal(list.count, count);
    change_done(&list);
    buf_done(&hints);
}

static void a_damaged_row_is_not_passed_over(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct buf hints = {0};
    (void) help_publish(scratch, 0, 3, 1, 50);
    struct slug_hash slug = help_slug(1);
    uint8_t key[4 + SLUG_HASH_SIZE];
    be32_put(key, 1);
    memcpy(key + 4, slug.bytes, SLUG_HASH_SIZE);
    help_row(scratch, TABLE_SLUGS, BYTES_OF_ARRAY(key), bytes_of("short", 5));
    hint_put(&hints, 1, 1, 1);
    struct txn *txn = help_read(scratch);
    is_err(change_hinted(txn, 1, &hints, &list, NULL), ERR_CORRUPT);
    txn_end(txn);
    hints.err = ERR_NOMEM;
    txn = help_read(scratch);
    is_err(change_hinted(txn, 1, &hints, &list, NULL), ERR_NOMEM);
    txn_end(txn);
    buf_done(&hints);
}

static void what_is_published_again_is_another_entry(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct buf hints = {0};
    (void) help_publish(scratch, 0, 10, 1, 50);
    (void) withdraw(scratch, 3, 1, 1000);
    (void) help_publish(scratch, 3, 1, 1, 50); /* the same text, of head 3 */
    assert_int_equal(hints_after(scratch, 1, 10, &hints), 1);
    struct txn *txn = help_read(scratch);
    ok(change_hinted(txn, 1, &hints, &list, NULL));
    assert_int_equal(list.count, 0);
    txn_end(txn);
    buf_done(&hints);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hints_tell_what_went_after_a_head),
        TEST(hints_are_kept_ninety_days),
        TEST(damaged_hints_are_swept_away),
        TEST(a_hint_withdraws_the_very_entry_it_names),
        TEST(what_came_with_the_hints_is_theirs_too),
        TEST(a_crowd_of_hints_costs_one_walk),
        TEST(a_damaged_row_is_not_passed_over),
        TEST(what_is_published_again_is_another_entry),
    };
    return cmocka_run_group_tests_name("store_hints", tests, NULL, NULL);
}
