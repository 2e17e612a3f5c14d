/* SPDX-License-Identifier: EUPL-1.2 */
/* What labs say to have erased, and what this store may say. */
#include "store_help.h"

#include "store/copy.h"
#include "store/kept.h"
#include "store/receipts.h"

static void receipt_put(struct scratch *scratch, uint64_t generation, uint64_t number,
                        const struct buf *rows, size_t count)
{
    struct buf bytes = {0};
    struct receipt receipt = {.lab = scratch->keys.lab,
                              .generation = generation,
                              .number = number,
                              .rows = buf_bytes(rows),
                              .row_count = count};
    ok(receipt_sign(&receipt, scratch->keys.signing_secret, &bytes));
    struct txn *txn = help_write(scratch);
    ok(receipts_put(txn, &receipt, buf_bytes(&bytes), &scratch->keys.lab));
    ok(txn_commit(txn));
    buf_done(&bytes);
}

static void withdraw(struct scratch *scratch, unsigned number)
{
    struct change_list list = {0};
    struct txn *txn = help_write(scratch);
    help_withdraw(&list, number);
    (void) help_apply(scratch, txn, 1, &list, 1700000000);
    ok(txn_commit(txn));
}

static void compact(struct scratch *scratch)
{
    struct copy copy;
    bool swapped = false;
    ok(copy_compact(scratch->store, &copy));
    ok(copy_swap(scratch->store, &swapped));
    assert_true(swapped);
}

/* What may be said; the number of the row, 0 for none. */
static uint64_t said(struct scratch *scratch, const struct receipt *before, bool *ret_moved)
{
    struct buf rows = {0};
    struct receipt receipt = {0};
    struct receipt_row row = {0};
    size_t count = 7;
    struct txn *txn = help_write(scratch);
    assert_true(receipts_clean(txn));
    ok(receipts_rows(txn, &scratch->name.network, before, &rows, &count, ret_moved));
    ok(txn_commit(txn));
    receipt.rows = buf_bytes(&rows);
    bool any = receipt_find(&receipt, &scratch->name.lab, bytes_of_str("public"), &row);
    assert_int_equal(any, count);
    uint64_t n = any ? row.n : 0;
    buf_done(&rows);
    return n;
}

static bool owed(struct scratch *scratch)
{
    bool any = false;
    struct txn *txn = help_read(scratch);
    ok(receipts_owed(txn, &any));
    txn_end(txn);
    return any;
}

static bool clean(struct scratch *scratch)
{
    struct txn *txn = help_read(scratch);
    bool is = receipts_clean(txn);
    txn_end(txn);
    return is;
}

static void a_newer_receipt_takes_the_place_of_its_labs_older_one(void **state)
{
    struct scratch *scratch = *state;
    struct buf none = {0};
    struct held_receipt held;
    struct arrival arrival;
    help_lab(scratch);
    struct txn *txn = help_read(scratch);
    is_err(receipts_get(txn, &scratch->keys.lab, &held), ERR_NOT_FOUND);
    txn_end(txn);
    receipt_put(scratch, 1, 1, &none, 0);
    receipt_put(scratch, 1, 2, &none, 0);
    assert_int_equal(help_rows(scratch, TABLE_RECEIPTS), 1);
    assert_int_equal(help_rows(scratch, TABLE_ARRIVALS), 2); /* with the record's */
    txn = help_read(scratch);
    ok(receipts_get(txn, &scratch->keys.lab, &held));
    assert_int_equal(held.receipt.number, 2);
    ok(arrival_next(txn, held.arrival - 1, &arrival));
    assert_int_equal(arrival.kind, ARRIVAL_RECEIPT);
    assert_memory_equal(arrival.lab.bytes, scratch->keys.lab.bytes, KEY_SIZE);
    txn_end(txn);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void a_withdrawal_is_owed_until_it_may_be_said(void **state)
{
    struct scratch *scratch = *state;
    bool moved = true;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 20, 1, 300);
    assert_false(owed(scratch));
    assert_int_equal(said(scratch, NULL, &moved), 0);
    assert_false(moved);
    withdraw(scratch, 3); /* head 2 */
    assert_true(owed(scratch));
    assert_false(clean(scratch));
    compact(scratch);
    assert_true(clean(scratch));
    assert_true(owed(scratch)); /* the copy owes it, too */
    assert_int_equal(said(scratch, NULL, &moved), 2);
    assert_true(moved);
    assert_false(owed(scratch));
    assert_int_equal(said(scratch, NULL, &moved), 2);
    assert_false(moved);
    (void) help_publish(scratch, 30, 1, 1, 300); /* head 3, which leaves no garbage */
    assert_int_equal(said(scratch, NULL, &moved), 3);
    assert_false(moved);
    help_reopen(scratch);
    assert_false(owed(scratch));
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void what_was_not_here_is_owed_without_garbage(void **state)
{
    struct scratch *scratch = *state;
    struct withdrawal withdrawal;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 5, 1, 300);
    withdraw(scratch, 77);
    assert_true(owed(scratch));
    assert_true(clean(scratch));
    struct txn *txn = help_read(scratch);
    ok(withdrawal_get(txn, 1, &withdrawal));
    assert_int_equal(withdrawal.n, 2);
    assert_int_equal(withdrawal.generation, 1);
    is_err(withdrawal_get(txn, 2, &withdrawal), ERR_NOT_FOUND);
    txn_end(txn);
}

static void in_the_transaction_that_leaves_garbage_nothing_is_clean(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    (void) help_publish(scratch, 0, 5, 1, 300);
    struct txn *txn = help_write(scratch);
    assert_true(receipts_clean(txn));
    help_withdraw(&list, 3);
    (void) help_apply(scratch, txn, 1, &list, 1700000000);
    assert_false(receipts_clean(txn));
    txn_end(txn); /* undone */
    assert_true(clean(scratch));
    assert_false(owed(scratch));
}

/* A staging that began before the held head, or kept revisions: what was said stays, no more. */
static void what_is_kept_beside_the_head_keeps_the_old_word(void **state)
{
    struct scratch *scratch = *state;
    struct buf entry = {0}, rows = {0};
    struct slug_hash slug = help_slug(3);
    struct staging staging = {.first_seq = 1000, .m = 1};
    bool moved = false;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 20, 1, 300);
    withdraw(scratch, 70);
    withdraw(scratch, 71); /* head 3 */
    struct receipt_row row = {
        .lab = scratch->name.lab, .audience = bytes_of_str("public"), .generation = 1, .n = 2};
    receipt_put_row(&rows, &row);
    struct receipt before = {.rows = buf_bytes(&rows), .row_count = 1};
    struct txn *txn = help_write(scratch);
    ok(staging_put(txn, 1, &staging));
    ok(txn_commit(txn));
    assert_int_equal(said(scratch, &before, &moved), 2);
    assert_int_equal(said(scratch, NULL, &moved), 0);
    assert_false(moved);
    assert_true(owed(scratch));
    staging.m = 3; /* from the held head on: younger than it */
    txn = help_write(scratch);
    ok(staging_put(txn, 1, &staging));
    help_entry(3, 1, 1, 100, &entry);
    ok(kept_put(txn, 1, &slug, 1, buf_bytes(&entry)));
    ok(txn_commit(txn));
    assert_int_equal(said(scratch, &before, &moved), 2);
    assert_false(moved);
    txn = help_write(scratch);
    ok(kept_drop(txn, 1, &slug));
    ok(staging_close(txn, 1));
    ok(txn_commit(txn));
    compact(scratch);
    assert_int_equal(said(scratch, &before, &moved), 3);
    assert_true(moved);
    buf_done(&entry);
    buf_done(&rows);
}

static void another_networks_catalogues_are_left_out(void **state)
{
    struct scratch *scratch = *state;
    bool moved = false;
    (void) help_publish(scratch, 0, 5, 1, 300);
    withdraw(scratch, 77);
    scratch->name.network.bytes[0] = 1;
    assert_int_equal(said(scratch, NULL, &moved), 0);
    scratch->name.network.bytes[0] = 0;
    assert_int_equal(said(scratch, NULL, &moved), 2);
}

static void the_newest_of_elsewhere_is_remembered(void **state)
{
    struct scratch *scratch = *state;
    uint64_t generation = 9, number = 9;
    struct txn *txn = help_write(scratch);
    ok(receipts_seen_get(txn, &generation, &number));
    assert_true(generation == 0 && number == 0);
    ok(receipts_seen_put(txn, 3, UINT64_MAX));
    ok(txn_commit(txn));
    help_reopen(scratch);
    txn = help_read(scratch);
    ok(receipts_seen_get(txn, &generation, &number));
    assert_true(generation == 3 && number == UINT64_MAX);
    txn_end(txn);
    help_row(scratch, TABLE_META, bytes_of_str("receipt-seen"), bytes_of_str("short"));
    txn = help_read(scratch);
    is_err(receipts_seen_get(txn, &generation, &number), ERR_CORRUPT);
    txn_end(txn);
}

static void damaged_rows_are_told(void **state)
{
    struct scratch *scratch = *state;
    struct buf none = {0}, other = {0};
    struct held_receipt held;
    struct withdrawal withdrawal;
    uint8_t id[4] = {0, 0, 0, 1}, value[17] = {[7] = 1, [15] = 9, [16] = 0};
    bool any;
    struct bytes lab = BYTES_OF_ARRAY(scratch->keys.lab.bytes);
    help_lab(scratch);
    (void) help_publish(scratch, 0, 5, 1, 300);
    receipt_put(scratch, 1, 1, &none, 0);
    assert_int_equal(help_scrub(scratch, 100), 0);
    struct txn *txn = help_read(scratch);
    ok(receipts_get(txn, &scratch->keys.lab, &held));
    be64_put(buf_extend(&other, 8), held.arrival);
    buf_put(&other, held.signed_bytes);
    txn_end(txn);
    other.data[other.size - 1] ^= 1; /* the signature */
    help_row(scratch, TABLE_RECEIPTS, lab, buf_bytes(&other));
    assert_int_equal(help_scrub(scratch, 100), 1);
    other.data[other.size - 1] ^= 1;
    other.data[0] ^= 1; /* the arrival */
    help_row(scratch, TABLE_RECEIPTS, lab, buf_bytes(&other));
    assert_int_equal(help_scrub(scratch, 100), 1);
    help_row(scratch, TABLE_RECEIPTS, lab, bytes_of_str("short"));
    assert_int_equal(help_scrub(scratch, 100), 1);
    txn = help_read(scratch);
    is_err(receipts_get(txn, &scratch->keys.lab, &held), ERR_CORRUPT);
    txn_end(txn);
    other.data[0] ^= 1;
    help_row(scratch, TABLE_RECEIPTS, lab, buf_bytes(&other));
    help_row(scratch, TABLE_WITHDRAWN, BYTES_OF_ARRAY(id), BYTES_OF_ARRAY(value)); /* head 9 */
    assert_int_equal(help_scrub(scratch, 100), 1);
    help_row(scratch, TABLE_WITHDRAWN, BYTES_OF_ARRAY(id), bytes_of(value, 16));
    assert_int_equal(help_scrub(scratch, 100), 1);
    txn = help_read(scratch);
    is_err(withdrawal_get(txn, 1, &withdrawal), ERR_CORRUPT);
    is_err(receipts_owed(txn, &any), ERR_CORRUPT);
    txn_end(txn);
    value[15] = 1;
    value[16] = 2;
    help_row(scratch, TABLE_WITHDRAWN, BYTES_OF_ARRAY(id), BYTES_OF_ARRAY(value));
    txn = help_read(scratch);
    is_err(withdrawal_get(txn, 1, &withdrawal), ERR_CORRUPT);
    txn_end(txn);
    buf_done(&other);
}

#define T(test) cmocka_unit_test_setup_teardown(test, help_setup, help_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_newer_receipt_takes_the_place_of_its_labs_older_one),
        T(a_withdrawal_is_owed_until_it_may_be_said),
        T(what_was_not_here_is_owed_without_garbage),
        T(in_the_transaction_that_leaves_garbage_nothing_is_clean),
        T(what_is_kept_beside_the_head_keeps_the_old_word),
        T(another_networks_catalogues_are_left_out),
        T(the_newest_of_elsewhere_is_remembered),
        T(damaged_rows_are_told),
    };
    return cmocka_run_group_tests_name("receipts", tests, NULL, NULL);
}
