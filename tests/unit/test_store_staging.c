/* SPDX-License-Identifier: EUPL-1.2 */
/* Bodies that arrive before the head that covers them. */
#include "store_help.h"

/* Appends entries first … first + count - 1 without applying anything. */
static uint64_t stage(struct scratch *scratch, uint32_t id, unsigned first, unsigned count,
                      uint64_t rev, struct change_list *list)
{
    struct txn *txn = help_write(scratch);
    struct change_list own = {0};
    list = list != NULL ? list : &own;
    size_t before = list->count;
    for (unsigned i = 0; i < count; i++) {
        help_put(txn, id, list, first + i, rev, 3, 100);
    }
    uint64_t seq = list->items[before].seq;
    ok(txn_commit(txn));
    change_done(&own);
    return seq;
}

static void put(struct scratch *scratch, uint32_t id, uint64_t first_seq, uint64_t m)
{
    struct txn *txn = help_write(scratch);
    ok(staging_put(txn, id, &(struct staging){.first_seq = first_seq, .m = m}));
    ok(txn_commit(txn));
}

static void staged_bodies_resume_after_a_restart(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0}, loaded = {0};
    struct staging staging;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 10, 1, 100);
    put(scratch, 1, stage(scratch, 1, 20, 30, 2, &list), 1);
    (void) stage(scratch, 7, 0, 5, 1, NULL); /* somebody else's, in between */
    help_reopen(scratch);
    (void) stage(scratch, 1, 50, 30, 2, &list);
    help_reopen(scratch);
    assert_int_equal(help_rows(scratch, TABLE_SLUGS), 10); /* nothing is visible yet */

    struct txn *txn = help_write(scratch);
    is_err(staging_get(txn, 7, &staging), ERR_NOT_FOUND);
    ok(staging_get(txn, 1, &staging));
    assert_int_equal(staging.m, 1);
    ok(staging_load(txn, 1, &staging, &loaded));
    assert_int_equal(loaded.count, 60);
    assert_memory_equal(loaded.items, list.items, loaded.count * sizeof *loaded.items);
    struct head head = help_apply(scratch, txn, 1, &loaded, 1000);
    ok(staging_close(txn, 1));
    ok(txn_commit(txn));
    assert_int_equal(head.count, 70);
    change_done(&list);
    put(scratch, 7, 41, 0); /* so that the scrub knows whose they are */
    assert_int_equal(help_scrub(scratch, 13), 0);
}

static void dropping_sends_staged_bodies_to_the_trash_only(void **state)
{
    struct scratch *scratch = *state;
    bool left = true;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 10, 1, 100);
    put(scratch, 1, stage(scratch, 1, 20, 600, 2, NULL), 1);
    /* Meanwhile something smaller was applied: visible bodies behind the first staged one. */
    (void) help_publish(scratch, 5, 10, 2, 100);
    put(scratch, 7, stage(scratch, 7, 0, 3, 1, NULL), 0);
    uint64_t before = help_rows(scratch, TABLE_BODIES);
    struct txn *txn = help_write(scratch);
    ok(staging_drop(txn, 1));
    is_err(staging_drop(txn, 1), ERR_NOT_FOUND);
    ok(txn_commit(txn));
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 600);
    assert_int_equal(help_scrub(scratch, 100), 0); /* the trash is no problem */
    while (left) {
        txn = help_write(scratch);
        ok(catalogue_chores(txn, 0, 100, &left));
        ok(txn_commit(txn));
    }
    assert_int_equal(help_rows(scratch, TABLE_BODIES), before - 600);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void loading_passes_over_what_became_visible(void **state)
{
    struct scratch *scratch = *state;
    struct change_list loaded = {0};
    (void) help_publish(scratch, 0, 10, 1, 100);
    uint64_t first = stage(scratch, 1, 20, 4, 2, NULL);
    (void) help_publish(scratch, 5, 10, 2, 100);
    struct txn *txn = help_read(scratch);
    ok(staging_load(txn, 1, &(struct staging){.first_seq = first, .m = 1}, &loaded));
    assert_int_equal(loaded.count, 4);
    txn_end(txn);
    change_done(&loaded);
}

static void a_small_staging_is_dropped_at_once(void **state)
{
    struct scratch *scratch = *state;
    put(scratch, 1, stage(scratch, 1, 20, 512, 2, NULL), 0);
    struct txn *txn = help_write(scratch);
    ok(staging_drop(txn, 1));
    ok(txn_commit(txn));
    assert_int_equal(help_rows(scratch, TABLE_BODIES), 0);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 0);
}

static void damaged_staging_is_not_loaded_but_can_be_dropped(void **state)
{
    struct scratch *scratch = *state;
    struct change_list loaded = {0};
    struct staging staging;
    uint8_t key[8], value[40] = {0, 0, 0, 1, 0xc1};
    uint64_t first = stage(scratch, 1, 20, 3, 2, NULL);
    put(scratch, 1, first, 0);
    be64_put(key, first + 10);
    help_row(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), BYTES_OF_ARRAY(value));
    be64_put(key, first + 11);
    help_row(scratch, TABLE_BODIES, BYTES_OF_ARRAY(key), bytes_of("abc", 3));
    struct txn *txn = help_write(scratch);
    ok(staging_get(txn, 1, &staging));
    is_err(staging_load(txn, 1, &staging, &loaded), ERR_CORRUPT);
    assert_null(loaded.items);
    ok(staging_drop(txn, 1));
    ok(txn_commit(txn));
    assert_int_equal(help_rows(scratch, TABLE_BODIES), 1); /* the one that is nobody's */
    be32_put(key, 1);
    help_row(scratch, TABLE_STAGING, bytes_of(key, 4), bytes_of("short", 5));
    txn = help_write(scratch);
    is_err(staging_get(txn, 1, &staging), ERR_CORRUPT);
    is_err(staging_drop(txn, 1), ERR_CORRUPT);
    txn_end(txn);
}

static void a_damaged_head_or_row_is_told_from_the_rest(void **state)
{
    struct scratch *scratch = *state;
    struct change_list loaded = {0};
    uint8_t key[20] = {0};
    struct slug_hash slug = help_slug(21);
    uint64_t first = stage(scratch, 1, 20, 3, 2, NULL);
    put(scratch, 1, first, 0);
    be32_put(key, 1);
    help_row(scratch, TABLE_HEADS, bytes_of(key, 4), bytes_of("short", 5));
    struct txn *txn = help_read(scratch);
    ok(staging_load(txn, 1, &(struct staging){.first_seq = first}, &loaded));
    assert_int_equal(loaded.count, 3);
    change_done(&loaded);
    txn_end(txn);
    memcpy(key + 4, slug.bytes, SLUG_HASH_SIZE);
    help_row(scratch, TABLE_SLUGS, bytes_of(key, 20), bytes_of("short", 5));
    txn = help_read(scratch);
    is_err(staging_load(txn, 1, &(struct staging){.first_seq = first}, &loaded), ERR_CORRUPT);
    txn_end(txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(staged_bodies_resume_after_a_restart),
        TEST(dropping_sends_staged_bodies_to_the_trash_only),
        TEST(loading_passes_over_what_became_visible),
        TEST(a_small_staging_is_dropped_at_once),
        TEST(damaged_staging_is_not_loaded_but_can_be_dropped),
        TEST(a_damaged_head_or_row_is_told_from_the_rest),
    };
    return cmocka_run_group_tests_name("store_staging", tests, NULL, NULL);
}
