/* SPDX-License-Identifier: EUPL-1.2 */
/* Chains with merge heads, where heads stand in them, openings made from them, chains put in place
 * of others, and forks. The fold is compared with plain arrays. */
#include <dlfcn.h>

#include "proto/fork.h"
#include "store/fold.h"
#include "store_help.h"

/* Rows written to tables and deleted by cursors. */
static unsigned put_count;

int mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *value, unsigned flags)
{
    static int (*next)(MDB_cursor *, MDB_val *, MDB_val *, unsigned);
    if (next == NULL) {
        next = (__typeof__(next)) dlsym(RTLD_NEXT, "mdb_cursor_put");
        assert_non_null(next);
    }
    put_count++;
    return next(cursor, key, value, flags);
}

static unsigned del_count;

int mdb_cursor_del(MDB_cursor *cursor, unsigned flags)
{
    static int (*next)(MDB_cursor *, unsigned);
    if (next == NULL) {
        next = (__typeof__(next)) dlsym(RTLD_NEXT, "mdb_cursor_del");
        assert_non_null(next);
    }
    del_count++;
    return next(cursor, flags);
}

/* Two merges: the second branch starts behind the first merge. */
static const struct help_side two[] = {{.n = 12, .k = 5, .count = 5},
                                       {.n = 30, .k = 12, .count = 17}};

/* history(n) for all n up to `last`, one step after the other. */
static void histories(unsigned salt, const struct help_side *sides, unsigned count, uint64_t last,
                      struct hash *ret_histories)
{
    memset(ret_histories[1].bytes, 0, HASH_SIZE);
    for (uint64_t n = 2; n <= last; n++) {
        struct hash hash = help_hash(salt, n - 1);
        ret_histories[n] = history_next(&ret_histories[n - 1], &hash);
        for (unsigned i = 0; i < count; i++) {
            if (sides[i].n != n) {
                continue;
            }
            struct hash side = ret_histories[sides[i].k];
            for (uint64_t j = 0; j < sides[i].count; j++) {
                hash = help_hash(salt + 1000 + i, sides[i].k + j);
                side = history_next(&side, &hash);
            }
            ret_histories[n] = history_merge(&ret_histories[n], &side);
        }
    }
}

static void the_history_folds_through_every_side(void **state)
{
    struct scratch *scratch = *state;
    struct hash wanted[41], history;
    struct head head = help_chain_put(scratch, 1, 40, two, 2);
    histories(1, two, 2, 40, wanted);
    struct txn *txn = help_read(scratch);
    for (uint64_t n = 1; n <= 40; n++) {
        ok(history_at(txn, 1, n, &history));
        assert_memory_equal(history.bytes, wanted[n].bytes, HASH_SIZE);
    }
    assert_memory_equal(history.bytes, head.history.bytes, HASH_SIZE);
    ok(history_at(txn, 1, 41, &history));
    struct hash next = history_next(&head.history, &head.hash);
    assert_memory_equal(history.bytes, next.bytes, HASH_SIZE);
    is_err(history_at(txn, 1, 42, &history), ERR_NOT_FOUND);
    is_err(history_at(txn, 1, 0, &history), ERR_NOT_FOUND);
    txn_end(txn);
}

static void the_history_of_nothing_starts_with_zeros(void **state)
{
    struct scratch *scratch = *state;
    struct hash history, zero = {0};
    struct txn *txn = help_read(scratch);
    memset(history.bytes, 1, HASH_SIZE);
    ok(history_at(txn, 1, 1, &history));
    assert_memory_equal(history.bytes, zero.bytes, HASH_SIZE);
    is_err(history_at(txn, 1, 2, &history), ERR_NOT_FOUND);
    txn_end(txn);
}

static void heads_are_found_on_the_trunk_and_on_sides(void **state)
{
    struct scratch *scratch = *state;
    struct head head = help_chain_put(scratch, 1, 40, two, 2);
    struct txn *txn = help_read(scratch);
    const struct {
        struct hash hash;
        uint64_t n;
        enum where where;
    } rows[] = {
        {help_hash(1, 1), 1, WHERE_TRUNK},      {help_hash(1, 39), 39, WHERE_TRUNK},
        {head.hash, 40, WHERE_TRUNK},           {help_hash(1, 1), 40, WHERE_OTHER},
        {help_hash(1001, 5), 5, WHERE_SIDE},    {help_hash(1001, 9), 9, WHERE_SIDE},
        {help_hash(1001, 10), 10, WHERE_OTHER}, {help_hash(1001, 5), 6, WHERE_OTHER},
        {help_hash(1002, 28), 28, WHERE_SIDE},  {help_hash(1002, 5), 5, WHERE_OTHER},
        {help_hash(1, 1), 2, WHERE_OTHER},      {help_hash(1, 41), 41, WHERE_UNKNOWN},
        {help_hash(1, 0), 0, WHERE_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum where where = WHERE_UNKNOWN;
        ok(history_where(txn, 1, rows[i].n, &rows[i].hash, &where));
        assert_int_equal(where, rows[i].where);
    }
    enum where where = WHERE_TRUNK;
    ok(history_where(txn, 2, 1, &head.hash, &where)); /* a catalogue without a head */
    assert_int_equal(where, WHERE_UNKNOWN);
    txn_end(txn);
}

static void same_openings(const struct opening *a, const struct opening *b)
{
    struct opening_at at_a = {0}, at_b = {0};
    uint8_t room_a[OPENING_ITEM_MAX], room_b[OPENING_ITEM_MAX];
    struct bytes item_a, item_b;
    while (opening_next(a, &at_a, room_a, &item_a)) {
        assert_true(opening_next(b, &at_b, room_b, &item_b));
        assert_true(bytes_equal(item_a, item_b));
    }
    assert_false(opening_next(b, &at_b, room_b, &item_b));
}

static void openings_come_back_whole_and_in_portions(void **state)
{
    struct scratch *scratch = *state;
    struct opening chain = {0}, opening = {0};
    struct head head = help_chain_put(scratch, 1, 40, two, 2);
    static const struct hash zero;
    help_chain(&chain, 1, 40, two, 2);
    struct txn *txn = help_read(scratch);
    static const size_t counts[] = {1000, 1, 11, 7};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        opening_begin(&opening, 1);
        for (size_t calls = 0; opening.hashes.size < 39 * (size_t) HASH_SIZE; calls++) {
            ok(history_opening(txn, 1, 40, counts[i], &opening));
            assert_true(calls < 40);
        }
        same_openings(&chain, &opening);
        ok(opening_check(&opening, &zero, NULL, NULL, 40, &head.history));
        ok(history_opening(txn, 1, 40, counts[i], &opening)); /* nothing is left */
        same_openings(&chain, &opening);
    }
    txn_end(txn);
    opening_done(&chain);
    opening_done(&opening);
}

/* history(n) from the store, for sides that start below an opening. */
static enum err from_the_store(void *user, uint64_t n, struct hash *ret_history)
{
    return history_at(user, 1, n, ret_history);
}

static void openings_between_any_two_heads_check(void **state)
{
    struct scratch *scratch = *state;
    struct opening opening = {0};
    (void) help_chain_put(scratch, 1, 40, two, 2);
    struct txn *txn = help_read(scratch);
    for (uint64_t from = 1; from <= 40; from++) {
        for (uint64_t end = from; end <= 40; end++) {
            struct hash history_from, history_end;
            ok(history_at(txn, 1, from, &history_from));
            ok(history_at(txn, 1, end, &history_end));
            opening_begin(&opening, from);
            ok(history_opening(txn, 1, end, SIZE_MAX, &opening));
            ok(opening_check(&opening, &history_from, from_the_store, txn, end, &history_end));
            bool merges = (from < 12 && end >= 12) || (from < 30 && end >= 30);
            assert_int_equal(opening.side_count > 0, merges);
        }
    }
    opening_begin(&opening, 1);
    is_err(history_opening(txn, 1, 42, SIZE_MAX, &opening), ERR_NOT_FOUND);
    txn_end(txn);
    opening_done(&opening);
}

static void row_del(struct scratch *scratch, enum table table, struct bytes key)
{
    struct txn *txn = help_write(scratch);
    ok(txn_del(txn, table, key));
    ok(txn_commit(txn));
}

/* What each question gives about head `n` after something was damaged. */
static void asked(struct scratch *scratch, uint64_t n, enum err history_err, enum err where_err,
                  enum err opening_err)
{
    struct hash history, hash = help_hash(77, 1);
    struct opening opening = {0};
    enum where where;
    struct txn *txn = help_read(scratch);
    is_err(history_at(txn, 1, 41, &history), history_err);
    is_err(history_where(txn, 1, n, &hash, &where), where_err);
    opening_begin(&opening, 1);
    is_err(history_opening(txn, 1, 40, SIZE_MAX, &opening), opening_err);
    txn_end(txn);
    opening_done(&opening);
}

static void lost_and_malformed_rows_are_corrupt(void **state)
{
    struct scratch *scratch = *state;
    uint8_t n_key[N_KEY_SIZE], key[SIDE_KEY_SIZE];
    (void) help_chain_put(scratch, 1, 40, two, 2);
    asked(scratch, 20, ERR_OK, ERR_OK, ERR_OK);
    row_del(scratch, TABLE_HASHES, rows_n(n_key, 1, 20));
    asked(scratch, 20, ERR_CORRUPT, ERR_CORRUPT, ERR_NOT_FOUND);
    help_row(scratch, TABLE_HASHES, rows_n(n_key, 1, 20), bytes_of_str("short"));
    asked(scratch, 20, ERR_CORRUPT, ERR_CORRUPT, ERR_CORRUPT);
    (void) help_chain_put(scratch, 1, 40, two, 2);
    asked(scratch, 20, ERR_OK, ERR_OK, ERR_OK);
    row_del(scratch, TABLE_SIDES, rows_side(key, 1, 30, 14)); /* a hole */
    asked(scratch, 20, ERR_CORRUPT, ERR_OK, ERR_CORRUPT);
    (void) help_chain_put(scratch, 1, 40, two, 2);
    help_row(scratch, TABLE_SIDES, rows_side(key, 1, 30, 20), bytes_of_str("short"));
    asked(scratch, 20, ERR_CORRUPT, ERR_CORRUPT, ERR_CORRUPT);
    (void) help_chain_put(scratch, 1, 40, two, 2);
    asked(scratch, 20, ERR_OK, ERR_OK, ERR_OK);
    struct hash hash = help_hash(1, 1);
    help_row(scratch, TABLE_SIDES, rows_side(key, 1, 33, 0), BYTES_OF_ARRAY(hash.bytes));
    asked(scratch, 20, ERR_CORRUPT, ERR_CORRUPT, ERR_CORRUPT); /* k = 0 */
    (void) help_chain_put(scratch, 1, 40, two, 2);
    asked(scratch, 20, ERR_OK, ERR_OK, ERR_OK);
    help_row(scratch, TABLE_SIDES, rows_side(key, 1, 33, 33), BYTES_OF_ARRAY(hash.bytes));
    asked(scratch, 20, ERR_CORRUPT, ERR_CORRUPT, ERR_CORRUPT); /* k = n */
    (void) help_chain_put(scratch, 1, 40, two, 2);
    asked(scratch, 20, ERR_OK, ERR_OK, ERR_OK);
    help_row(scratch, TABLE_SIDES, rows_side(key, 1, UINT64_MAX, 40), BYTES_OF_ARRAY(hash.bytes));
    asked(scratch, 20, ERR_OK, ERR_OK, ERR_OK); /* above the head: not its chain */
    uint8_t long_key[SIDE_KEY_SIZE + 1] = {0};
    (void) rows_side(long_key, 1, 31, 1);
    help_row(scratch, TABLE_SIDES, BYTES_OF_ARRAY(long_key), BYTES_OF_ARRAY(hash.bytes));
    asked(scratch, 20, ERR_CORRUPT, ERR_CORRUPT, ERR_CORRUPT); /* no key at all */
}

static void a_side_ends_below_its_merge_head(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[SIDE_KEY_SIZE];
    struct hash hash = help_hash(1, 1);
    static const struct help_side one[] = {{.n = 12, .k = 10, .count = 1}};
    (void) help_chain_put(scratch, 1, 40, one, 1);
    asked(scratch, 20, ERR_OK, ERR_OK, ERR_OK);
    help_row(scratch, TABLE_SIDES, rows_side(key, 1, 12, 11), BYTES_OF_ARRAY(hash.bytes));
    help_row(scratch, TABLE_SIDES, rows_side(key, 1, 12, 12), BYTES_OF_ARRAY(hash.bytes));
    asked(scratch, 20, ERR_CORRUPT, ERR_OK, ERR_CORRUPT);
}

static void more_sides_than_an_opening_holds_are_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct help_side sides[OPENING_SIDES_MAX];
    uint8_t key[SIDE_KEY_SIZE];
    struct hash hash = help_hash(5, 5);
    for (unsigned i = 0; i < OPENING_SIDES_MAX; i++) {
        sides[i] = (struct help_side){.n = 4 + 2 * i, .k = 2, .count = 1};
    }
    (void) help_chain_put(scratch, 1, 40, sides, OPENING_SIDES_MAX);
    asked(scratch, 20, ERR_OK, ERR_OK, ERR_OK);
    help_row(scratch, TABLE_SIDES, rows_side(key, 1, 39, 37), BYTES_OF_ARRAY(hash.bytes));
    asked(scratch, 20, ERR_CORRUPT, ERR_CORRUPT, ERR_CORRUPT);
}

/* ---- one chain in place of another ---- */

static void chain_is(struct scratch *scratch, unsigned salt, uint64_t n,
                     const struct help_side *sides, unsigned count)
{
    struct opening chain = {0}, held = {0};
    uint64_t side_hashes = 0;
    help_chain(&chain, salt, n, sides, count);
    struct txn *txn = help_read(scratch);
    opening_begin(&held, 1);
    ok(history_opening(txn, 1, n, SIZE_MAX, &held));
    txn_end(txn);
    same_openings(&chain, &held);
    for (unsigned i = 0; i < count; i++) {
        side_hashes += sides[i].count;
    }
    assert_int_equal(help_rows(scratch, TABLE_HASHES), n);
    assert_int_equal(help_rows(scratch, TABLE_SIDES), side_hashes);
    opening_done(&chain);
    opening_done(&held);
}

static void a_chain_takes_the_place_of_any_other(void **state)
{
    struct scratch *scratch = *state;
    static const struct help_side others[] = {{.n = 12, .k = 5, .count = 3},
                                              {.n = 20, .k = 18, .count = 1},
                                              {.n = 30, .k = 12, .count = 17}};
    const struct {
        const struct help_side *sides;
        uint64_t n;
        unsigned salt, count;
    } chains[] = {{NULL, 1, 1, 0},    {two, 40, 1, 2},    {two, 40, 2, 2}, {others, 33, 2, 3},
                  {NULL, 50, 2, 0},   {others, 50, 2, 3}, {two, 30, 1, 2}, {NULL, 2, 9, 0},
                  {others, 31, 9, 3}, {NULL, 1, 9, 0}};
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        (void) help_chain_put(scratch, chains[i].salt, chains[i].n, chains[i].sides,
                              chains[i].count);
        chain_is(scratch, chains[i].salt, chains[i].n, chains[i].sides, chains[i].count);
    }
}

static void only_what_differs_in_a_chain_is_written(void **state)
{
    struct scratch *scratch = *state;
    (void) help_chain_put(scratch, 1, 3000, two, 2);
    put_count = del_count = 0;
    (void) help_chain_put(scratch, 1, 3000, two, 2);
    /* 22 rows of sides are looked at with a put that finds them there */
    assert_in_range(put_count, 22, 22);
    assert_int_equal(del_count, 0);
    put_count = 0;
    (void) help_chain_put(scratch, 1, 2900, two, 2);
    assert_in_range(put_count, 23, 23); /* the head's own hash */
    uint8_t key[N_KEY_SIZE];
    struct hash hash = help_hash(2, 2);
    for (uint64_t n = 100; n < 110; n++) {
        help_row(scratch, TABLE_HASHES, rows_n(key, 1, n), BYTES_OF_ARRAY(hash.bytes));
    }
    row_del(scratch, TABLE_HASHES, rows_n(key, 1, 200));
    put_count = 0;
    (void) help_chain_put(scratch, 1, 2901, two, 2);
    assert_in_range(put_count, 22 + 11 + 2, 22 + 11 + 2);
    chain_is(scratch, 1, 2901, two, 2);
}

static void other_catalogues_keep_their_chains(void **state)
{
    struct scratch *scratch = *state;
    (void) help_chain_put(scratch, 1, 20, two, 1);
    memcpy(scratch->name.audience, "other", sizeof "other");
    (void) help_chain_put(scratch, 2, 20, two, 1);
    memcpy(scratch->name.audience, "third", sizeof "third");
    (void) help_chain_put(scratch, 3, 20, two, 1);
    memcpy(scratch->name.audience, "other", sizeof "other");
    (void) help_chain_put(scratch, 4, 5, NULL, 0);
    assert_int_equal(help_rows(scratch, TABLE_HASHES), 45);
    assert_int_equal(help_rows(scratch, TABLE_SIDES), 10);
    struct txn *txn = help_read(scratch);
    for (uint32_t id = 1; id <= 3; id++) {
        struct held_head held;
        struct hash history;
        ok(catalogue_head(txn, id, &held));
        ok(history_at(txn, id, held.head.n, &history));
        assert_memory_equal(history.bytes, held.head.history.bytes, HASH_SIZE);
    }
    txn_end(txn);
}

static void a_shorter_chain_takes_later_hints_along(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    uint8_t at[24] = {0};
    struct buf hints = {0};
    bool more = false;
    (void) help_publish(scratch, 0, 10, 1, 50);
    for (unsigned i = 0; i < 5; i++) { /* heads 2 … 6 */
        struct txn *txn = help_write(scratch);
        help_withdraw(&list, i);
        (void) help_apply(scratch, txn, 1, &list, 1700000000);
        ok(txn_commit(txn));
    }
    assert_int_equal(help_rows(scratch, TABLE_GONE), 5);
    struct opening chain = {0};
    help_chain(&chain, 3, 4, NULL, 0);
    struct txn *txn = help_write(scratch);
    help_withdraw(&list, 9);
    struct head head = help_replace(scratch, txn, 1, &chain, 2, &list);
    ok(txn_commit(txn));
    opening_done(&chain);
    assert_int_equal(head.n, 4);
    assert_int_equal(head.generation, 2);
    assert_int_equal(help_rows(scratch, TABLE_GONE), 1); /* all heads are others: the new one */
    txn = help_read(scratch);
    struct held_head held;
    ok(catalogue_head(txn, 1, &held));
    assert_int_equal(held.head.n, 4);
    assert_memory_equal(held.head.hash.bytes, head.hash.bytes, HASH_SIZE);
    ok(catalogue_hints(txn, 1, 0, at, 10, &hints, &more));
    assert_int_equal(hints.size, HINT_SIZE);
    txn_end(txn);
    buf_done(&hints);
}

static void a_delta_may_bring_sides_of_its_own(void **state)
{
    struct scratch *scratch = *state;
    struct opening all = {0}, part = {0};
    struct plan plan;
    struct change_list none = {0};
    struct buf signed_head = {0};
    struct held_head held;
    struct hash history;
    uint64_t arrival;
    struct head ours = help_chain_put(scratch, 1, 20, two, 1);
    /* Heads 20 … 29, and head 30 joins a branch that left before ours. */
    opening_begin(&part, 20);
    ok(opening_add(&part, BYTES_OF_ARRAY(ours.hash.bytes)));
    for (uint64_t n = 21; n < 30; n++) {
        struct hash hash = help_hash(1, n);
        ok(opening_add(&part, BYTES_OF_ARRAY(hash.bytes)));
    }
    uint8_t item[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
    uint8_t k[8];
    be64_put(k, 15);
    ok(opening_add(&part, BYTES_OF_ARRAY(k)));
    memset(item + 1, 7, HASH_SIZE);
    ok(opening_add(&part, BYTES_OF_ARRAY(item)));
    uint8_t key[SIDE_KEY_SIZE]; /* something stands in its place: rot of a head's number */
    help_row(scratch, TABLE_SIDES, rows_side(key, 1, 30, 15), BYTES_OF_ARRAY(ours.hash.bytes));
    struct txn *txn = help_write(scratch);
    ok(catalogue_head(txn, 1, &held));
    struct head head = held.head;
    head.n = 30;
    ok(opening_history(&part, &ours.history, from_the_store, txn, 30, &head.history));
    ok(head_sign(&head, scratch->keys.signing_secret, &signed_head));
    ok(catalogue_plan(txn, 1, &none, &plan));
    struct apply apply = {.id = 1,
                          .list = &none,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .opening = buf_bytes(&part.hashes),
                          .opening_from = 20,
                          .chain = &part,
                          .from = scratch->keys.lab};
    ok(catalogue_apply(txn, &apply, &arrival));
    ok(txn_commit(txn));
    assert_int_equal(help_rows(scratch, TABLE_SIDES), 6);
    assert_int_equal(help_rows(scratch, TABLE_HASHES), 30);
    txn = help_read(scratch);
    ok(history_at(txn, 1, 30, &history));
    assert_memory_equal(history.bytes, head.history.bytes, HASH_SIZE);
    opening_begin(&all, 1);
    static const struct hash zero;
    ok(history_opening(txn, 1, 30, SIZE_MAX, &all));
    ok(opening_check(&all, &zero, NULL, NULL, 30, &head.history));
    txn_end(txn);
    opening_done(&all);
    opening_done(&part);
    buf_done(&signed_head);
}

/* ---- forks ---- */

static void a_fork_comes_back_and_moves_to_a_new_arrival(void **state)
{
    struct scratch *scratch = *state;
    struct held_fork held;
    struct arrival arrival;
    uint64_t number = 0, again = 0;
    struct txn *txn = help_write(scratch);
    is_err(fork_get(txn, 3, &held), ERR_NOT_FOUND);
    ok(fork_put(txn, 3, 1, 9, bytes_of_str("proof"), &scratch->keys.lab, &number));
    ok(fork_get(txn, 3, &held));
    assert_int_equal(held.generation, 1);
    assert_int_equal(held.k, 9);
    assert_int_equal(held.arrival, number);
    assert_int_equal(held.times, 0);
    assert_true(bytes_equal(held.proof, bytes_of_str("proof")));
    ok(arrival_next(txn, number - 1, &arrival));
    assert_int_equal(arrival.kind, ARRIVAL_FORK);
    assert_int_equal(arrival.catalogue, 3);
    assert_memory_equal(arrival.from.bytes, scratch->keys.lab.bytes, KEY_SIZE);
    /* An earlier k, the proof given as it lies in the store. */
    ok(fork_put(txn, 3, 1, 4, held.proof, &scratch->keys.lab, &again));
    assert_int_equal(again, number + 1);
    ok(fork_get(txn, 3, &held));
    assert_int_equal(held.k, 4);
    assert_int_equal(held.times, 1);
    assert_true(bytes_equal(held.proof, bytes_of_str("proof")));
    ok(arrival_next(txn, 0, &arrival));
    assert_int_equal(arrival.number, again);
    for (unsigned i = 0; i < 300; i++) {
        ok(fork_put(txn, 3, 1, 4, bytes_of(NULL, 0), &scratch->keys.lab, &again));
    }
    ok(fork_get(txn, 3, &held));
    assert_int_equal(held.times, 255);
    assert_int_equal(held.proof.size, 0); /* seen, too large to be passed on */
    ok(fork_put(txn, 3, 2, 8, bytes_of(NULL, 0), &scratch->keys.lab, &again));
    ok(fork_get(txn, 3, &held));
    assert_int_equal(held.generation, 2);
    assert_int_equal(held.times, 0);
    ok(txn_commit(txn));
    assert_int_equal(help_rows(scratch, TABLE_ARRIVALS), 1);
    assert_int_equal(help_rows(scratch, TABLE_FORKS), 1);
}

static void the_largest_proof_is_kept(void **state)
{
    struct scratch *scratch = *state;
    struct buf proof = {0};
    struct held_fork held;
    uint64_t number;
    memset(buf_extend(&proof, FORK_SIZE_MAX), 0x5a, FORK_SIZE_MAX);
    struct txn *txn = help_write(scratch);
    ok(fork_put(txn, 1, 1, 1, buf_bytes(&proof), &scratch->keys.lab, &number));
    ok(txn_commit(txn));
    txn = help_read(scratch);
    ok(fork_get(txn, 1, &held));
    assert_true(bytes_equal(held.proof, buf_bytes(&proof)));
    txn_end(txn);
    buf_done(&proof);
}

static void forks_are_walked_and_dropped(void **state)
{
    struct scratch *scratch = *state;
    struct held_fork held;
    struct arrival arrival;
    uint64_t number, last = 0;
    uint32_t id = 0;
    struct txn *txn = help_write(scratch);
    is_err(fork_next(txn, &id), ERR_NOT_FOUND);
    static const uint32_t ids[] = {2, 5, UINT32_MAX};
    for (unsigned i = 0; i < 3; i++) {
        ok(fork_put(txn, ids[i], 1, 1, bytes_of_str("x"), &scratch->keys.lab, &number));
    }
    for (unsigned i = 0; i < 3; i++) {
        ok(fork_next(txn, &id));
        assert_int_equal(id, ids[i]);
    }
    is_err(fork_next(txn, &id), ERR_NOT_FOUND);
    ok(fork_drop(txn, UINT32_MAX));
    is_err(fork_drop(txn, UINT32_MAX), ERR_NOT_FOUND);
    is_err(fork_get(txn, UINT32_MAX, &held), ERR_NOT_FOUND);
    ok(fork_get(txn, 5, &held));
    is_err(arrival_next(txn, held.arrival, &arrival), ERR_NOT_FOUND);
    ok(arrival_last(txn, &last));
    assert_int_equal(last, number); /* who read so far waits for what is newer */
    ok(fork_put(txn, 7, 1, 1, bytes_of_str("x"), &scratch->keys.lab, &last));
    assert_int_equal(last, number + 1);
    txn_end(txn);
}

static void malformed_forks_are_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct held_fork held;
    struct buf long_value = {0};
    uint8_t key[ID_KEY_SIZE], value[25] = {0};
    uint64_t number;
    uint32_t id = 0;
    for (size_t zero = 0; zero < 3; zero++) { /* generation, k, arrival */
        memset(value, 1, sizeof value);
        memset(value + 8 * zero, 0, 8);
        help_row(scratch, TABLE_FORKS, rows_id(key, 1), BYTES_OF_ARRAY(value));
        struct txn *txn = help_read(scratch);
        is_err(fork_get(txn, 1, &held), ERR_CORRUPT);
        txn_end(txn);
    }
    memset(value, 1, sizeof value);
    help_row(scratch, TABLE_FORKS, rows_id(key, 1), bytes_of(value, 24));
    memset(buf_extend(&long_value, 26 + FORK_SIZE_MAX), 1, 26 + FORK_SIZE_MAX);
    help_row(scratch, TABLE_FORKS, rows_id(key, 2), buf_bytes(&long_value));
    struct txn *txn = help_write(scratch);
    is_err(fork_get(txn, 1, &held), ERR_CORRUPT);
    is_err(fork_get(txn, 2, &held), ERR_CORRUPT);
    is_err(fork_drop(txn, 1), ERR_CORRUPT);
    is_err(fork_put(txn, 1, 1, 1, bytes_of_str("x"), &scratch->keys.lab, &number), ERR_CORRUPT);
    txn_end(txn);
    help_row(scratch, TABLE_FORKS, bytes_of_str("no id"), BYTES_OF_ARRAY(value));
    txn = help_read(scratch);
    id = 3;
    is_err(fork_next(txn, &id), ERR_CORRUPT);
    txn_end(txn);
    buf_done(&long_value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_history_folds_through_every_side),
        TEST(the_history_of_nothing_starts_with_zeros),
        TEST(heads_are_found_on_the_trunk_and_on_sides),
        TEST(openings_come_back_whole_and_in_portions),
        TEST(openings_between_any_two_heads_check),
        TEST(lost_and_malformed_rows_are_corrupt),
        TEST(a_side_ends_below_its_merge_head),
        TEST(more_sides_than_an_opening_holds_are_corrupt),
        TEST(a_chain_takes_the_place_of_any_other),
        TEST(only_what_differs_in_a_chain_is_written),
        TEST(other_catalogues_keep_their_chains),
        TEST(a_shorter_chain_takes_later_hints_along),
        TEST(a_delta_may_bring_sides_of_its_own),
        TEST(a_fork_comes_back_and_moves_to_a_new_arrival),
        TEST(the_largest_proof_is_kept),
        TEST(forks_are_walked_and_dropped),
        TEST(malformed_forks_are_corrupt),
    };
    return cmocka_run_group_tests_name("store_history", tests, NULL, NULL);
}
