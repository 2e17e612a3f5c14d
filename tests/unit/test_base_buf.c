/* SPDX-License-Identifier: EUPL-1.2 */
/* base/buf.c: growth, the bound, the sticky error, and what may be handed to the releasers. */
#include "tests/unit/kit.h"

#include "base/defer.h"

static void a_zeroed_buffer_is_empty_and_ready(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf = {0};
    assert_int_equal(buf_bytes(&buf).size, 0);
    buf_put_str(&buf, "a");
    buf_put_u8(&buf, 'b');
    buf_put(&buf, bytes_of("cd", 2));
    assert_true(bytes_equal(buf_bytes(&buf), bytes_of_str("abcd")));
    assert_err(buf.err, ERR_OK);
}

static void it_grows_without_losing_a_byte(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf = {0};
    for (unsigned i = 0; i < 100000; i++) {
        buf_put_u8(&buf, (uint8_t) (i * 7));
    }
    assert_int_equal(buf.size, 100000);
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(buf.data[i], (uint8_t) (i * 7));
    }
}

static void putting_nothing_is_nothing(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf = {0};
    buf_put(&buf, (struct bytes){0});
    buf_put_str(&buf, "");
    assert_int_equal(buf.size, 0);
    assert_null(buf.data);
}

static void what_was_not_gathered_whole_is_not_joined_silently(void **state)
{
    (void) state;
    defer(buf_done) struct buf all = {0};
    defer(buf_done) struct buf part;
    buf_init(&part, 2);
    buf_put_str(&part, "ab");
    buf_join(&all, &part);
    assert_true(bytes_equal(buf_bytes(&all), bytes_of_str("ab")));
    buf_put_str(&part, "c");
    buf_join(&all, &part);
    assert_err(all.err, ERR_SIZE);
    part.err = ERR_NOMEM;
    buf_join(&all, &part);
    assert_err(all.err, ERR_SIZE); /* the first one stays */
}

static void the_bound_holds_to_the_byte_and_its_error_stays(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf;
    buf_init(&buf, 100);
    uint8_t bytes[100] = {0};
    buf_put(&buf, BYTES_OF_ARRAY(bytes));
    assert_err(buf.err, ERR_OK);
    assert_int_equal(buf.size, 100);
    buf_put_u8(&buf, 1);
    assert_err(buf.err, ERR_SIZE);
    assert_int_equal(buf.size, 100);
    buf_shift(&buf, 50);
    buf_put_u8(&buf, 1);
    assert_int_equal(buf.size, 50);
    assert_null(buf_extend(&buf, 1));
    assert_err(buf_reserve(&buf, 1), ERR_SIZE);
    buf_clear(&buf);
    buf_put_u8(&buf, 1);
    assert_err(buf.err, ERR_OK);
    assert_int_equal(buf.size, 1);
}

static void a_size_that_cannot_be_is_an_error_not_a_wrap(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf = {0};
    buf_put_u8(&buf, 1);
    assert_err(buf_reserve(&buf, SIZE_MAX), ERR_SIZE);
    buf_clear(&buf);
    buf_put_u8(&buf, 1);
    assert_err(buf_reserve(&buf, SIZE_MAX - 1), ERR_SIZE);
    assert_int_equal(buf.size, 1);
}

static void extend_gives_room_to_fill(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf = {0};
    buf_put_str(&buf, "ab");
    uint8_t *at = buf_extend(&buf, 3);
    assert_non_null(at);
    memcpy(at, "cde", 3);
    assert_true(bytes_equal(buf_bytes(&buf), bytes_of_str("abcde")));
}

static void shift_drops_from_the_front(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf = {0};
    buf_put_str(&buf, "abcde");
    buf_shift(&buf, 0);
    buf_shift(&buf, 2);
    assert_true(bytes_equal(buf_bytes(&buf), bytes_of_str("cde")));
    buf_shift(&buf, 3);
    assert_int_equal(buf.size, 0);
}

static void printf_appends_and_counts_no_nul(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf = {0};
    buf_put_str(&buf, "n=");
    buf_printf(&buf, "%d, %s", 42, "forty-two");
    assert_true(bytes_equal(buf_bytes(&buf), bytes_of_str("n=42, forty-two")));
    struct buf bounded;
    buf_init(&bounded, 4);
    buf_printf(&bounded, "%s", "12345");
    assert_err(bounded.err, ERR_SIZE);
    assert_int_equal(bounded.size, 0);
    buf_done(&bounded);
}

static void releasing_accepts_anything_half_built(void **state)
{
    (void) state;
    struct buf zeroed = {0};
    buf_done(&zeroed);
    buf_done(NULL);
    buf_free(NULL);
    struct buf used = {.size_max = 10};
    buf_put_str(&used, "abc");
    buf_done(&used);
    assert_null(used.data);
    assert_int_equal(used.size_max, 10);
    buf_put_str(&used, "abc"); /* usable again */
    assert_int_equal(used.size, 3);
    buf_done(&used);
}

static void a_buffer_on_the_heap_can_be_handed_over(void **state)
{
    (void) state;
    struct buf *page = buf_new(4096);
    assert_non_null(page);
    assert_true(page->cap >= 4096);
    struct buf *other = take(&page);
    assert_null(page);
    assert_non_null(other);
    buf_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_buffer_is_empty_and_ready),
        cmocka_unit_test(it_grows_without_losing_a_byte),
        cmocka_unit_test(putting_nothing_is_nothing),
        cmocka_unit_test(what_was_not_gathered_whole_is_not_joined_silently),
        cmocka_unit_test(the_bound_holds_to_the_byte_and_its_error_stays),
        cmocka_unit_test(a_size_that_cannot_be_is_an_error_not_a_wrap),
        cmocka_unit_test(extend_gives_room_to_fill),
        cmocka_unit_test(shift_drops_from_the_front),
        cmocka_unit_test(printf_appends_and_counts_no_nul),
        cmocka_unit_test(releasing_accepts_anything_half_built),
        cmocka_unit_test(a_buffer_on_the_heap_can_be_handed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
