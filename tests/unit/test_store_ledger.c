/* SPDX-License-Identifier: EUPL-1.2 */
/* Lab records, arrivals, peers. */
#include "store_help.h"

static void put_lab(struct txn *txn, const struct lab_keys *keys, uint64_t generation,
                    uint64_t *ret_arrival)
{
    struct buf bytes = {0};
    struct lab_record record;
    help_record(keys, generation, &bytes, &record);
    ok(lab_put(txn, &record, buf_bytes(&bytes), &keys->lab, ret_arrival));
    buf_done(&bytes);
}

static void lab_records_come_back(void **state)
{
    struct scratch *scratch = *state;
    struct lab_keys keys[5];
    struct held_lab held;
    uint64_t arrival, count;
    struct txn *txn = help_write(scratch);
    is_err(lab_get(txn, &scratch->keys.lab, &held), ERR_NOT_FOUND);
    for (uint8_t i = 0; i < 5; i++) {
        keys[i] = help_keys((uint8_t) (i + 1));
        put_lab(txn, &keys[i], i + 1u, &arrival);
        assert_int_equal(arrival, i + 1u);
    }
    ok(txn_commit(txn));
    help_reopen(scratch);
    txn = help_read(scratch);
    for (unsigned i = 0; i < 5; i++) {
        ok(lab_get(txn, &keys[i].lab, &held));
        assert_int_equal(held.record.generation, i + 1);
        assert_int_equal(held.arrival, i + 1);
        assert_true(bytes_equal(held.record.name, bytes_of_str("Ti Lab")));
        struct lab_record again;
        ok(lab_record_open(held.signed_bytes, &again));
    }
    struct lab_id at = {0}, before = {0};
    bool first = true;
    unsigned seen = 0;
    while (lab_next(txn, first, &at, &held) == ERR_OK) {
        assert_true(first || memcmp(at.bytes, before.bytes, KEY_SIZE) > 0);
        assert_memory_equal(held.record.lab.bytes, at.bytes, KEY_SIZE);
        before = at;
        first = false;
        seen++;
    }
    ok(lab_count(txn, &count));
    assert_int_equal(seen, 5);
    assert_int_equal(count, 5);
    txn_end(txn);
}

static void what_changes_again_moves_to_a_new_number(void **state)
{
    struct scratch *scratch = *state;
    struct lab_keys other = help_keys(9);
    struct arrival arrival;
    struct held_lab held;
    uint64_t number = 0, last = 7;
    struct txn *txn = help_write(scratch);
    ok(arrival_last(txn, &last));
    assert_int_equal(last, 0);
    is_err(arrival_next(txn, 0, &arrival), ERR_NOT_FOUND);
    put_lab(txn, &scratch->keys, 1, &number);
    put_lab(txn, &other, 1, &number);
    assert_int_equal(number, 2);
    put_lab(txn, &other, 2, &number); /* the last one moves: never its old number again */
    assert_int_equal(number, 3);
    put_lab(txn, &scratch->keys, 2, &number);
    assert_int_equal(number, 4);
    ok(lab_get(txn, &other.lab, &held));
    assert_int_equal(held.arrival, 3);
    assert_int_equal(held.record.generation, 2);
    ok(txn_commit(txn));
    struct head head = help_publish(scratch, 0, 1, 1, 50);
    txn = help_read(scratch);
    ok(arrival_last(txn, &last));
    assert_int_equal(last, 5);
    static const uint64_t numbers[] = {3, 4, 5};
    uint64_t after = 0;
    for (unsigned i = 0; i < 3; i++) {
        ok(arrival_next(txn, after, &arrival));
        assert_int_equal(arrival.number, numbers[i]);
        assert_int_equal(arrival.kind, i == 2 ? ARRIVAL_HEAD : ARRIVAL_RECORD);
        after = arrival.number;
    }
    assert_int_equal(arrival.catalogue, 1);
    assert_memory_equal(arrival.from.bytes, scratch->keys.lab.bytes, KEY_SIZE);
    assert_int_equal(head.n, 1);
    is_err(arrival_next(txn, after, &arrival), ERR_NOT_FOUND);
    is_err(arrival_next(txn, UINT64_MAX, &arrival), ERR_NOT_FOUND);
    txn_end(txn);
}

static void a_number_that_was_dropped_is_never_given_again(void **state)
{
    struct scratch *scratch = *state;
    struct arrival fork = {.kind = ARRIVAL_FORK, .catalogue = 7}, found;
    uint64_t number = 0, last = 0;
    fork.from = scratch->keys.lab;
    struct txn *txn = help_write(scratch);
    put_lab(txn, &scratch->keys, 1, &number);
    ok(arrival_add(txn, 0, &fork, &number));
    assert_int_equal(number, 2);
    ok(arrival_next(txn, 1, &found));
    assert_int_equal(found.kind, ARRIVAL_FORK);
    assert_int_equal(found.catalogue, 7);
    assert_memory_equal(found.from.bytes, fork.from.bytes, KEY_SIZE);
    ok(arrival_drop(txn, 2));
    ok(arrival_drop(txn, 2));
    is_err(arrival_next(txn, 1, &found), ERR_NOT_FOUND);
    ok(arrival_last(txn, &last));
    assert_int_equal(last, 2); /* a peer may have read so far */
    put_lab(txn, &scratch->keys, 2, &number);
    assert_int_equal(number, 3);
    ok(arrival_drop(txn, 1)); /* lost already */
    ok(arrival_last(txn, &last));
    assert_int_equal(last, 3);
    ok(txn_put(txn, TABLE_META, bytes_of_str("arrivals"), bytes_of_str("short")));
    is_err(arrival_last(txn, &last), ERR_CORRUPT);
    txn_end(txn);
}

static void a_record_may_be_put_from_the_store_itself(void **state)
{
    struct scratch *scratch = *state;
    struct held_lab held;
    uint64_t number = 0;
    struct txn *txn = help_write(scratch);
    put_lab(txn, &scratch->keys, 1, &number);
    ok(lab_get(txn, &scratch->keys.lab, &held));
    struct lab_record record = held.record;
    ok(lab_put(txn, &record, held.signed_bytes, &scratch->keys.lab, &number));
    ok(lab_get(txn, &scratch->keys.lab, &held));
    ok(lab_record_open(held.signed_bytes, &record));
    assert_int_equal(held.arrival, 2);
    txn_end(txn);
}

static void peers_come_back_as_they_were(void **state)
{
    struct scratch *scratch = *state;
    struct peer_row row = {.cursor = UINT64_MAX, .generation_known = 3, .has_index = true}, found;
    memset(row.lab.bytes, 5, KEY_SIZE);
    memset(row.index, 6, INSTANCE_SIZE);
    memset(row.address, 'a', PEER_ADDRESS_MAX - 1);
    memset(row.alias, 'b', PEER_ALIAS_MAX);
    struct txn *txn = help_write(scratch);
    ok(peer_put(txn, &row));
    struct peer_row bare = {.removed = true};
    ok(peer_put(txn, &bare));
    ok(txn_commit(txn));
    help_reopen(scratch);
    txn = help_read(scratch);
    ok(peer_get(txn, &row.lab, &found));
    assert_memory_equal(&found, &row, sizeof row);
    struct lab_id at = {0};
    ok(peer_next(txn, true, &at, &found));
    assert_true(found.removed && !found.has_index);
    assert_string_equal(found.address, "");
    ok(peer_next(txn, false, &at, &found));
    assert_memory_equal(&found, &row, sizeof row);
    is_err(peer_next(txn, false, &at, &found), ERR_NOT_FOUND);
    memset(at.bytes, 7, KEY_SIZE);
    is_err(peer_get(txn, &at, &found), ERR_NOT_FOUND);
    txn_end(txn);
}

static void malformed_peers_are_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct lab_id lab = {.bytes = {1}};
    struct peer_row found;
    uint8_t good[34 + 5] = {0};
    good[33] = 2;
    memcpy(good + 34, "aliax", 5);
    struct {
        size_t at, size;
        uint8_t value;
        enum err err;
    } cases[] = {
        {0, 39, 3, ERR_OK},       {0, 39, 4, ERR_CORRUPT},  /* a flag of the future */
        {33, 39, 5, ERR_OK},      {33, 39, 6, ERR_CORRUPT}, /* alias longer than the row */
        {36, 39, 0, ERR_CORRUPT}, {0, 33, 0, ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t value[sizeof good];
        memcpy(value, good, sizeof good);
        value[cases[i].at] = cases[i].value;
        help_row(scratch, TABLE_PEERS, BYTES_OF_ARRAY(lab.bytes), bytes_of(value, cases[i].size));
        struct txn *txn = help_read(scratch);
        is_err(peer_get(txn, &lab, &found), cases[i].err);
        txn_end(txn);
    }
    uint8_t huge[34 + PEER_ALIAS_MAX + 1] = {0};
    huge[33] = PEER_ALIAS_MAX + 1;
    memset(huge + 34, 'a', PEER_ALIAS_MAX + 1);
    help_row(scratch, TABLE_PEERS, BYTES_OF_ARRAY(lab.bytes), BYTES_OF_ARRAY(huge));
    struct txn *txn = help_read(scratch);
    is_err(peer_next(txn, true, &lab, &found), ERR_CORRUPT);
    txn_end(txn);
    uint8_t address[34 + PEER_ADDRESS_MAX] = {0};
    memset(address + 34, 'a', PEER_ADDRESS_MAX);
    help_row(scratch, TABLE_PEERS, BYTES_OF_ARRAY(lab.bytes), BYTES_OF_ARRAY(address));
    txn = help_read(scratch);
    is_err(peer_get(txn, &lab, &found), ERR_CORRUPT);
    txn_end(txn);
    help_row(scratch, TABLE_PEERS, bytes_of("\0", 1), BYTES_OF_ARRAY(good));
    txn = help_read(scratch);
    is_err(peer_next(txn, true, &lab, &found), ERR_CORRUPT);
    txn_end(txn);
}

static void malformed_records_and_arrivals_are_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct lab_id lab = {.bytes = {1}}, at;
    struct held_lab held;
    struct arrival arrival;
    struct buf bytes = {0};
    struct lab_record record;
    uint64_t number;
    uint8_t key[8] = {0};
    help_row(scratch, TABLE_LABS, BYTES_OF_ARRAY(lab.bytes), bytes_of("12345678", 8));
    struct txn *txn = help_read(scratch);
    is_err(lab_get(txn, &lab, &held), ERR_CORRUPT);
    is_err(lab_next(txn, true, &at, &held), ERR_CORRUPT);
    assert_memory_equal(at.bytes, lab.bytes, KEY_SIZE); /* the walk can go on behind it */
    is_err(lab_next(txn, false, &at, &held), ERR_NOT_FOUND);
    txn_end(txn);

    help_record(&scratch->keys, 1, &bytes, &record); /* somebody else's record under this key */
    struct buf row = {0};
    buf_put(&row, BYTES_OF_ARRAY(key));
    buf_put(&row, buf_bytes(&bytes));
    help_row(scratch, TABLE_LABS, BYTES_OF_ARRAY(lab.bytes), buf_bytes(&row));
    txn = help_read(scratch);
    is_err(lab_get(txn, &lab, &held), ERR_CORRUPT);
    txn_end(txn);
    buf_done(&row);

    static const char *const values[] = {"", "L", "H1234", "X"};
    for (unsigned i = 0; i < 4; i++) {
        be64_put(key, i + 1);
        help_row(scratch, TABLE_ARRIVALS, BYTES_OF_ARRAY(key), bytes_of_str(values[i]));
        txn = help_read(scratch);
        is_err(arrival_next(txn, i, &arrival), ERR_CORRUPT);
        txn_end(txn);
    }
    help_row(scratch, TABLE_LABS, BYTES_OF_ARRAY(record.lab.bytes), bytes_of("1", 1));
    txn = help_write(scratch);
    is_err(lab_put(txn, &record, buf_bytes(&bytes), &lab, &number), ERR_CORRUPT);
    ok(arrival_add(txn, 99, &(struct arrival){.kind = ARRIVAL_HEAD}, &number));
    assert_int_equal(number, 100); /* row 99 was lost, its number is not given again */
    txn_end(txn);
    memset(key, 0xff, sizeof key);
    help_row(scratch, TABLE_ARRIVALS, BYTES_OF_ARRAY(key), bytes_of_str("L"));
    txn = help_write(scratch);
    is_err(arrival_add(txn, 0, &(struct arrival){.kind = ARRIVAL_HEAD}, &number), ERR_CORRUPT);
    txn_end(txn);
    uint8_t long_key[9];
    memset(long_key, 0xff, sizeof long_key);
    help_row(scratch, TABLE_ARRIVALS, BYTES_OF_ARRAY(long_key), bytes_of_str("L"));
    txn = help_read(scratch);
    is_err(arrival_last(txn, &number), ERR_CORRUPT);
    txn_end(txn);
    buf_done(&bytes);
}

static void the_newest_own_head_that_others_hold_is_remembered(void **state)
{
    struct scratch *scratch = *state;
    struct hash hash = help_hash(1, 1), found;
    uint64_t n = 0;
    struct txn *txn = help_write(scratch);
    is_err(own_seen_get(txn, &n, &found), ERR_NOT_FOUND);
    ok(own_seen_put(txn, 7, &hash));
    ok(txn_commit(txn));
    txn = help_write(scratch);
    ok(own_seen_get(txn, &n, &found));
    assert_int_equal(n, 7);
    assert_memory_equal(found.bytes, hash.bytes, HASH_SIZE);
    ok(txn_put(txn, TABLE_META, bytes_of_str("own-seen"), bytes_of_str("short")));
    is_err(own_seen_get(txn, &n, &found), ERR_CORRUPT);
    txn_end(txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lab_records_come_back),
        TEST(what_changes_again_moves_to_a_new_number),
        TEST(a_number_that_was_dropped_is_never_given_again),
        TEST(a_record_may_be_put_from_the_store_itself),
        TEST(peers_come_back_as_they_were),
        TEST(malformed_peers_are_corrupt),
        TEST(malformed_records_and_arrivals_are_corrupt),
        TEST(the_newest_own_head_that_others_hold_is_remembered),
    };
    return cmocka_run_group_tests_name("store_ledger", tests, NULL, NULL);
}
