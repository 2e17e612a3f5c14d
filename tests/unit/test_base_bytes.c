/* SPDX-License-Identifier: EUPL-1.2 */
/* base/bytes.h: views compare like memory, integers are big-endian. */
#include "tests/unit/kit.h"

static void equality_looks_at_size_and_content(void **state)
{
    (void) state;
    assert_true(bytes_equal((struct bytes){0}, bytes_of_str("")));
    assert_true(bytes_equal(bytes_of_str("abc"), bytes_of_str("abc")));
    assert_false(bytes_equal(bytes_of_str("abc"), bytes_of_str("abd")));
    assert_false(bytes_equal(bytes_of_str("abc"), bytes_of_str("ab")));
    assert_false(bytes_equal(bytes_of_str("a"), (struct bytes){0}));
}

static void order_is_by_byte_and_a_prefix_comes_first(void **state)
{
    (void) state;
    static const struct bytes rising[] = {
        {0},
        {(const uint8_t *) "\0", 1},
        {(const uint8_t *) "a", 1},
        {(const uint8_t *) "a\0", 2},
        {(const uint8_t *) "ab", 2},
        {(const uint8_t *) "b", 1},
        {(const uint8_t *) "\x80", 1},
        {(const uint8_t *) "\xff", 1},
    };
    size_t count = sizeof rising / sizeof rising[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            int order = bytes_compare(rising[i], rising[k]);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
}

static void integers_are_big_endian(void **state)
{
    (void) state;
    uint8_t at[8];
    be16_put(at, 0x8182);
    assert_memory_equal(at, "\x81\x82", 2);
    assert_int_equal(be16_get(at), 0x8182);
    be32_put(at, 0xf1020304);
    assert_memory_equal(at, "\xf1\x02\x03\x04", 4);
    assert_int_equal(be32_get(at), 0xf1020304);
    be64_put(at, 0xf102030405060708u);
    assert_memory_equal(at, "\xf1\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(be64_get(at) == 0xf102030405060708u);
}

static void copying_nothing_from_nowhere_is_allowed(void **state)
{
    (void) state;
    uint8_t into[2] = {1, 2};
    bytes_copy(into, (struct bytes){0});
    assert_int_equal(into[0], 1);
    bytes_copy(into, bytes_of("ab", 2));
    assert_memory_equal(into, "ab", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_looks_at_size_and_content),
        cmocka_unit_test(order_is_by_byte_and_a_prefix_comes_first),
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(copying_nothing_from_nowhere_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
