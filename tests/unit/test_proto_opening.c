/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/opening: what links two heads. Lines of heads are made and folded by line.h with libsodium
 * alone; every opening between any two of them must check, give its items back, and stop checking
 * when anything in it is missing, doubled, swapped or altered.
 */
#include "tests/unit/lack.h"
#include "tests/unit/line.h"

static struct line_keys keys;

/* Twelve heads; 9 joined a side of one (k == 8 == merge - 1), 12 one of five (k == 3). */
static struct line *merged_line(void)
{
    struct line *line = line_new(&keys), *one, *many;
    line_publish(line, 8);
    many = line_branch(line, 2, 7);
    line_publish(many, 5);
    for (uint64_t stamp = 1; line->side_count == 0; stamp++) { /* until the line is the trunk */
        one = line_branch(line, 7, stamp);
        line_publish(one, 1);
        if (line_is_trunk(line, one)) {
            line_join(line, one);
        }
        free(one);
    }
    line_publish(line, 2);
    line_join(line, many);
    free(many);
    assert_int_equal(line->n, 12);
    return line;
}

static enum err check(const struct line *line, uint64_t from, uint64_t n, struct opening *opening)
{
    return opening_check(opening, &line->heads[from].history, line_ask, (void *) (uintptr_t) line,
                         n, &line->heads[n].history);
}

/* ---- what fits ---- */

static void an_opening_between_any_two_heads_of_a_line_checks(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *lines[] = {line_new(&keys), merged_line()};
    line_publish(lines[0], 20);
    for (unsigned i = 0; i < 2; i++) {
        for (uint64_t n = 1; n <= lines[i]->n; n++) {
            for (uint64_t from = 1; from <= n; from++) {
                line_opening(lines[i], from, n, &opening);
                assert_err(check(lines[i], from, n, &opening), ERR_OK);
                for (uint64_t other = from; other <= lines[i]->n; other++) {
                    assert_err(check(lines[i], from, other, &opening),
                               other == n ? ERR_OK : ERR_UNLINKED);
                }
            }
        }
        free(lines[i]);
    }
    opening_done(&opening);
}

static void every_history_on_the_way_is_that_of_an_independent_fold(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = merged_line();
    for (uint64_t from = 1; from <= line->n; from++) {
        line_opening(line, from, line->n, &opening);
        for (uint64_t n = 0; n <= line->n + 2; n++) {
            struct hash got;
            memset(&got, 7, sizeof got);
            enum err err =
                opening_history(&opening, &line->heads[from].history, line_ask, line, n, &got);
            if (n < from || n > line->n) {
                assert_err(err, ERR_UNLINKED);
                assert_int_equal(got.bytes[0] + got.bytes[31], 14); /* not written */
            } else {
                struct hash wanted = line_history(line, n);
                assert_err(err, ERR_OK);
                assert_memory_equal(got.bytes, wanted.bytes, HASH_SIZE);
            }
        }
    }
    opening_done(&opening);
    free(line);
}

static void a_fold_starts_at_the_trunks_own_history_where_head_k_is_a_merge_head(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = line_new(&keys);
    line_publish(line, 5);
    struct line *first = line_branch(line, 3, 1);
    line_publish(first, 1);
    struct line *other = line_branch(line, 5, 2); /* head 6 on it is an ordinary one … */
    line_publish(other, 2);
    line_join(line, first); /* … and a merge head here */
    line_publish(line, 2);
    line_join(line, other);
    line_opening(line, 1, line->n, &opening);
    assert_err(check(line, 1, line->n, &opening), ERR_OK);
    line_opening(line, 6, line->n, &opening);
    assert_err(check(line, 6, line->n, &opening), ERR_OK);
    line_opening(line, 8, line->n, &opening);
    assert_err(check(line, 8, line->n, &opening), ERR_OK);
    opening_done(&opening);
    free(line);
    free(first);
    free(other);
}

static void a_side_may_begin_at_head_1_and_hold_a_merge_head(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = line_new(&keys), *side = line_new(&keys), *third = line_new(&keys);
    line->stamp = 1;
    line_publish(line, 9);
    side->stamp = 2;
    line_publish(side, 4);
    third->stamp = 3;
    line_publish(third, 3);
    line_join(side, third);
    line_publish(side, 2);
    line_join(line, side);
    assert_int_equal(line->sides[0].k, 1);
    assert_int_equal(line->sides[0].count, 7);
    line_opening(line, 1, line->n, &opening);
    assert_err(opening_check(&opening, &(struct hash){0}, NULL, NULL, line->n,
                             &line->heads[line->n].history),
               ERR_OK);
    opening_done(&opening);
    free(line);
    free(side);
    free(third);
}

static void items_come_back_as_they_were_added(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = merged_line();
    for (uint64_t from = 1; from <= line->n; from++) {
        struct line_items items = {0};
        items_make(&items, line, from, line->n);
        assert_err(items_add(&items, from, &opening), ERR_OK);
        struct opening_at at = {0};
        uint8_t room[OPENING_ITEM_MAX];
        struct bytes item;
        for (size_t i = 0; i < items.count; i++) {
            assert_true(opening_next(&opening, &at, room, &item));
            assert_true(bytes_equal(item, items_get(&items, i)));
        }
        assert_false(opening_next(&opening, &at, room, &item));
        assert_false(opening_next(&opening, &at, room, &item));
    }
    opening_done(&opening);
    free(line);
}

static void heads_are_found_on_the_trunk_and_on_sides(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = merged_line();
    line_opening(line, 4, line->n, &opening);
    for (uint64_t n = 0; n <= line->n + 1; n++) {
        bool there = n >= 4 && n < line->n;
        const uint8_t *hash = opening_hash(&opening, n);
        assert_int_equal(hash != NULL, there);
        assert_int_equal(opening_holds(&opening, n, &line->heads[n].hash), there);
        if (there) {
            assert_memory_equal(hash, line->heads[n].hash.bytes, HASH_SIZE);
            struct hash other = line->heads[n].hash;
            other.bytes[31] ^= 1;
            assert_false(opening_holds(&opening, n, &other));
        }
    }
    assert_int_equal(opening.side_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct line_side *side = &line->sides[i];
        assert_int_equal(opening.sides[i].n, side->n);
        for (uint64_t n = 0; n < 15; n++) {
            const uint8_t *hash = opening_side_hash(&opening, i, n);
            assert_int_equal(hash != NULL, n >= side->k && n - side->k < side->count);
            if (hash != NULL) {
                assert_memory_equal(hash, side->hashes[n - side->k].bytes, HASH_SIZE);
                assert_true(opening_holds(&opening, n, &side->hashes[n - side->k]));
                assert_false(opening_holds(&opening, n + 1, &side->hashes[n - side->k]));
            }
        }
    }
    assert_null(opening_side_hash(&opening, 2, 3));
    assert_null(opening_hash(&opening, UINT64_MAX));
    opening_done(&opening);
    free(line);
}

static void begun_again_it_is_empty_and_done_twice_it_is_zeroed(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = merged_line();
    opening_done(&opening);
    line_opening(line, 1, line->n, &opening);
    assert_non_null(opening_side_hash(&opening, 0, 8));
    opening_begin(&opening, 5);
    assert_null(opening_side_hash(&opening, 0, 8));
    assert_int_equal(opening.hashes.size + opening.side_hashes.size, 0);
    struct opening_at at = {0};
    uint8_t room[OPENING_ITEM_MAX];
    struct bytes item;
    assert_false(opening_next(&opening, &at, room, &item));
    assert_err(check(line, 5, 5, &opening), ERR_OK);
    assert_err(check(line, 5, 6, &opening), ERR_UNLINKED);
    opening_done(&opening);
    opening_done(&opening);
    static const struct opening zeroed;
    assert_memory_equal(&opening, &zeroed, sizeof zeroed);
    free(line);
}

/* ---- what does not ---- */

/* Refused as it comes, or does not check. */
static void expect_bad(const struct line *line, uint64_t from, const struct line_items *items)
{
    struct opening opening = {0};
    enum err err = items_add(items, from, &opening);
    if (err == ERR_OK) {
        err = check(line, from, line->n, &opening);
    }
    assert_true(err == ERR_MALFORMED || err == ERR_UNLINKED);
    opening_done(&opening);
}

static void no_altered_bit_of_any_item_passes(void **state)
{
    (void) state;
    struct line *line = merged_line();
    struct line_items items = {0};
    items_make(&items, line, 2, line->n);
    for (size_t i = 0; i < items.count; i++) {
        for (size_t bit = 0; bit < 8 * items.sizes[i]; bit++) {
            items.bytes[i][bit / 8] ^= (uint8_t) (1u << bit % 8);
            expect_bad(line, 2, &items);
            items.bytes[i][bit / 8] ^= (uint8_t) (1u << bit % 8);
        }
    }
    free(line);
}

static void no_item_may_be_missing_or_stand_twice_or_change_places(void **state)
{
    (void) state;
    struct line *line = merged_line();
    struct line_items whole = {0}, other;
    items_make(&whole, line, 2, line->n);
    for (size_t i = 0; i < whole.count; i++) {
        other.count = 0;
        for (size_t k = 0; k < whole.count; k++) {
            if (k != i) {
                items_put(&other, items_get(&whole, k));
            }
        }
        expect_bad(line, 2, &other);
        other.count = 0;
        for (size_t k = 0; k < whole.count; k++) {
            items_put(&other, items_get(&whole, k));
            if (k == i) {
                items_put(&other, items_get(&whole, k));
            }
        }
        expect_bad(line, 2, &other);
        for (size_t with = i + 1; with < whole.count; with++) {
            other.count = 0;
            for (size_t k = 0; k < whole.count; k++) {
                items_put(&other, items_get(&whole, k == i ? with : k == with ? i : k));
            }
            expect_bad(line, 2, &other);
        }
    }
    free(line);
}

static void an_opening_that_starts_elsewhere_is_unlinked(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = merged_line();
    for (uint64_t from = 1; from <= line->n; from++) {
        for (uint64_t other = 1; other <= line->n; other++) {
            line_opening(line, from, line->n, &opening);
            enum err err = opening_check(&opening, &line->heads[other].history, line_ask, line,
                                         line->n, &line->heads[line->n].history);
            assert_err(err, other == from ? ERR_OK : ERR_UNLINKED);
        }
    }
    opening_done(&opening);
    free(line);
}

/* ---- items ---- */

/* What may stand behind three hashes from 5 on; then whether a further item may follow. */
static void expect_items(const char *words, enum err wanted)
{
    struct opening opening = {0};
    struct hash high, low;
    memset(&high, 0xee, sizeof high);
    memset(&low, 0x11, sizeof low);
    struct line_items items = {0};
    for (const char *word = words; *word != '\0'; word++) {
        switch (*word) {
        case 'H':
            items_put(&items, BYTES_OF_ARRAY(high.bytes));
            break;
        case 's':
            items_put_side(&items, &low);
            break;
        case 'S':
            items_put_side(&items, &high);
            break;
        default:
            items_put_k(&items, (uint64_t) (*word - '0'));
        }
    }
    assert_err(items_add(&items, 5, &opening), wanted);
    opening_done(&opening);
}

static void items_stand_in_their_order(void **state)
{
    (void) state;
    expect_items("", ERR_OK);
    expect_items("HHH", ERR_OK);
    expect_items("HHH7s", ERR_OK);
    expect_items("HHH7sH", ERR_OK);
    expect_items("H5sH6sH7s", ERR_OK);
    expect_items("HHH1sssssss", ERR_OK);
    expect_items("HHH1ssssssS", ERR_MALFORMED); /* as long, and the tip is not lower */
    expect_items("HHH1sssssSs", ERR_OK);
    expect_items("HHH1ssssssss", ERR_MALFORMED); /* longer than the trunk */
    expect_items("HHH7ss", ERR_MALFORMED);
    expect_items("HHH7S", ERR_MALFORMED);
    expect_items("HHH6S", ERR_OK);
    expect_items("HHH0", ERR_MALFORMED);
    expect_items("HHH8", ERR_MALFORMED); /* its merge head is number 8 */
    expect_items("HHH9", ERR_MALFORMED);
    expect_items("HHH7", ERR_OK);         /* not finished */
    expect_items("HHH7H", ERR_MALFORMED); /* empty */
    expect_items("HHH77", ERR_MALFORMED);
    expect_items("HHH7s7", ERR_MALFORMED); /* twice in one place */
    expect_items("4", ERR_MALFORMED);      /* before any hash */
    expect_items("s", ERR_MALFORMED);
    expect_items("Hs", ERR_MALFORMED);
    expect_items("H5sHs", ERR_MALFORMED); /* that side is closed */
}

static void an_empty_side_at_the_end_is_found_by_the_check(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = line_new(&keys);
    struct hash got;
    line_publish(line, 4);
    line_opening(line, 1, 4, &opening);
    uint8_t k[8] = {[7] = 2};
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(k)), ERR_OK);
    assert_err(check(line, 1, 4, &opening), ERR_MALFORMED);
    assert_err(opening_history(&opening, &(struct hash){0}, NULL, NULL, 2, &got), ERR_MALFORMED);
    opening_done(&opening);
    free(line);
}

static void an_item_of_another_size_or_mark_is_malformed(void **state)
{
    (void) state;
    static const uint8_t bytes[64] = {1, 0, 0, 0, 0, 0, 0, 1};
    for (size_t size = 0; size <= sizeof bytes; size++) {
        struct opening opening = {0};
        opening_begin(&opening, 200000000000000000u); /* so that any 8 bytes are a fit k */
        uint8_t hash[HASH_SIZE] = {3}, side[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
        assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_OK);
        bool fits = size == 8 || size == 32;
        assert_err(opening_add(&opening, bytes_of(bytes, size)), fits ? ERR_OK : ERR_MALFORMED);
        if (size == 8) {
            assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_OK);
            for (unsigned mark = 0; mark < 256; mark++) {
                side[0] = (uint8_t) mark;
                assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)),
                           mark == OPENING_SIDE_MARK ? ERR_OK : ERR_MALFORMED);
            }
        }
        opening_done(&opening);
    }
}

static void a_refused_item_leaves_what_was_there(void **state)
{
    (void) state;
    struct line *line = merged_line();
    struct line_items items = {0};
    struct opening opening = {0};
    items_make(&items, line, 2, line->n);
    uint8_t zeros[OPENING_ITEM_MAX] = {0}; /* k of 0, a side without its mark, no item */
    opening_begin(&opening, 2);
    for (size_t i = 0; i < items.count; i++) {
        assert_err(opening_add(&opening, bytes_of(zeros, 8)), ERR_MALFORMED);
        assert_err(opening_add(&opening, bytes_of(zeros, 33)), ERR_MALFORMED);
        assert_err(opening_add(&opening, bytes_of(zeros, 31)), ERR_MALFORMED);
        assert_err(opening_add(&opening, items_get(&items, i)), ERR_OK);
    }
    assert_err(check(line, 2, line->n, &opening), ERR_OK);
    opening_done(&opening);
    free(line);
}

/* ---- limits ---- */

static void sixteen_sides_fit_and_one_more_does_not(void **state)
{
    (void) state;
    struct opening opening = {0};
    uint8_t hash[HASH_SIZE] = {9}, k[8] = {0}, side[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
    opening_begin(&opening, 1);
    for (unsigned i = 1; i <= OPENING_SIDES_MAX + 1; i++) {
        be64_put(k, i);
        assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_OK);
        enum err wanted = i <= OPENING_SIDES_MAX ? ERR_OK : ERR_SIZE;
        assert_err(opening_add(&opening, BYTES_OF_ARRAY(k)), wanted);
        if (wanted == ERR_OK) {
            assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_OK);
        }
    }
    assert_int_equal(opening.side_count, 16);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_OK); /* the trunk may go on */
    opening_done(&opening);
}

static void hashes_fit_up_to_their_limit_trunk_and_sides_together(void **state)
{
    (void) state;
    struct opening opening = {0};
    uint8_t hash[HASH_SIZE] = {9}, k[8] = {[7] = 1}, side[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
    opening_begin(&opening, 1);
    for (size_t i = 0; i < OPENING_COUNT_MAX - 2; i++) {
        assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_OK);
    }
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(k)), ERR_OK);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_OK);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_OK);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_SIZE);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_SIZE);
    assert_int_equal(opening.sides[0].count, 2);
    assert_int_equal(opening.hashes.size, ((size_t) OPENING_COUNT_MAX - 2) * HASH_SIZE);
    opening_done(&opening);
}

static void a_side_has_at_most_its_largest_count(void **state)
{
    (void) state;
    struct opening opening = {0};
    uint8_t hash[HASH_SIZE] = {9}, k[8] = {[7] = 1}, side[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
    struct hash from = {{1}}, reached;
    opening_begin(&opening, 1);
    for (size_t i = 0; i < OPENING_SIDE_COUNT_MAX + 2; i++) {
        assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_OK);
    }
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(k)), ERR_OK);
    for (size_t i = 0; i < OPENING_SIDE_COUNT_MAX; i++) {
        assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_OK);
    }
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_SIZE);
    assert_int_equal(opening.sides[0].count, 16384);
    assert_err(opening_history(&opening, &from, NULL, NULL, opening.sides[0].n, &reached), ERR_OK);
    opening_done(&opening);
}

static void numbers_end_at_the_largest(void **state)
{
    (void) state;
    struct opening opening = {0};
    uint8_t hash[HASH_SIZE] = {9}, k[8], side[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
    memset(k, 0xff, sizeof k);
    k[7] = 0xfe;
    struct hash from = {{1}}, reached;
    opening_begin(&opening, UINT64_MAX - 1);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_OK);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_MALFORMED);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(k)), ERR_OK);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_OK);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(side)), ERR_MALFORMED);
    assert_err(opening_history(&opening, &from, NULL, NULL, UINT64_MAX, &reached), ERR_OK);
    assert_err(opening_check(&opening, &from, NULL, NULL, UINT64_MAX, &reached), ERR_OK);
    opening_begin(&opening, UINT64_MAX);
    assert_err(opening_add(&opening, BYTES_OF_ARRAY(hash)), ERR_MALFORMED);
    assert_err(opening_check(&opening, &from, NULL, NULL, UINT64_MAX, &from), ERR_OK);
    opening_done(&opening);
}

/* ---- sides that start below ---- */

struct asked {
    const struct line *line;
    uint64_t ks[OPENING_SIDES_MAX];
    unsigned count;
    enum err err;
};

static enum err ask(void *user, uint64_t n, struct hash *ret_history)
{
    struct asked *asked = user;
    assert_true(asked->count < OPENING_SIDES_MAX);
    asked->ks[asked->count++] = n;
    if (asked->err == ERR_OK) {
        *ret_history = asked->line->heads[n].history;
    }
    return asked->err;
}

static void only_histories_below_the_first_hash_are_asked_for(void **state)
{
    (void) state;
    struct opening opening = {0};
    struct line *line = merged_line(); /* 9 joined 8 …, 12 joined 3 … */
    struct hash history;
    for (uint64_t from = 1; from < line->n; from++) {
        struct asked asked = {.line = line};
        line_opening(line, from, line->n, &opening);
        assert_err(opening_check(&opening, &line->heads[from].history, ask, &asked, line->n,
                                 &line->heads[line->n].history),
                   ERR_OK);
        assert_int_equal(asked.count, from > 3);
        assert_true(asked.count == 0 || asked.ks[0] == 3);
        enum err alone = opening_check(&opening, &line->heads[from].history, NULL, NULL, line->n,
                                       &line->heads[line->n].history);
        assert_err(alone, from > 3 ? ERR_UNLINKED : ERR_OK);
        asked = (struct asked){.line = line, .err = ERR_CORRUPT};
        assert_err(opening_check(&opening, &line->heads[from].history, ask, &asked, line->n,
                                 &line->heads[line->n].history),
                   from > 3 ? ERR_CORRUPT : ERR_OK);
        /* Up to head 11 that side is no matter. */
        assert_err(opening_history(&opening, &line->heads[from].history, ask, &asked, 11, &history),
                   ERR_OK);
        assert_memory_equal(history.bytes, line->heads[11].history.bytes, HASH_SIZE);
    }
    opening_done(&opening);
    free(line);
}

static void without_memory_an_item_is_refused_and_nothing_is_lost(void **state)
{
    (void) state;
    struct line *line = merged_line();
    struct line_items items = {0};
    items_make(&items, line, 1, line->n);
    bool met = true;
    for (unsigned granted = 0; met; granted++) {
        struct opening opening = {0};
        lack_begin(granted);
        enum err err = items_add(&items, 1, &opening);
        met = lack_end();
        assert_err(err, met ? ERR_NOMEM : ERR_OK);
        if (!met) {
            assert_err(check(line, 1, line->n, &opening), ERR_OK);
        }
        opening_done(&opening);
        assert_true(granted < 100);
    }
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_opening_between_any_two_heads_of_a_line_checks),
        cmocka_unit_test(every_history_on_the_way_is_that_of_an_independent_fold),
        cmocka_unit_test(a_fold_starts_at_the_trunks_own_history_where_head_k_is_a_merge_head),
        cmocka_unit_test(a_side_may_begin_at_head_1_and_hold_a_merge_head),
        cmocka_unit_test(items_come_back_as_they_were_added),
        cmocka_unit_test(heads_are_found_on_the_trunk_and_on_sides),
        cmocka_unit_test(begun_again_it_is_empty_and_done_twice_it_is_zeroed),
        cmocka_unit_test(no_altered_bit_of_any_item_passes),
        cmocka_unit_test(no_item_may_be_missing_or_stand_twice_or_change_places),
        cmocka_unit_test(an_opening_that_starts_elsewhere_is_unlinked),
        cmocka_unit_test(items_stand_in_their_order),
        cmocka_unit_test(an_empty_side_at_the_end_is_found_by_the_check),
        cmocka_unit_test(an_item_of_another_size_or_mark_is_malformed),
        cmocka_unit_test(a_refused_item_leaves_what_was_there),
        cmocka_unit_test(sixteen_sides_fit_and_one_more_does_not),
        cmocka_unit_test(hashes_fit_up_to_their_limit_trunk_and_sides_together),
        cmocka_unit_test(a_side_has_at_most_its_largest_count),
        cmocka_unit_test(numbers_end_at_the_largest),
        cmocka_unit_test(only_histories_below_the_first_hash_are_asked_for),
        cmocka_unit_test(without_memory_an_item_is_refused_and_nothing_is_lost),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    line_keys_make(&keys, 1, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&keys.signed_record);
    return failed;
}
