/* SPDX-License-Identifier: EUPL-1.2 */
/* base/utf8.c against a plain reading of RFC 3629: every code point, every pair and triple of
 * bytes, and every place in the eight-byte words. */
#include "tests/unit/kit.h"

#include "base/utf8.h"

static size_t encode(uint32_t code, uint8_t *into)
{
    if (code < 0x80) {
        into[0] = (uint8_t) code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        into[i] = (uint8_t) (0x80 | (code & 0x3f));
        code >>= 6;
    }
    into[0] = (uint8_t) (code | (0xf00u >> size & 0xff));
    return size;
}

/* Decodes by arithmetic, without the tables of lead bytes: 0 when it is not one code point. */
static size_t decode(const uint8_t *at, size_t left, uint32_t *ret_code)
{
    size_t size = at[0] < 0x80       ? 1
                  : at[0] >> 5 == 6  ? 2
                  : at[0] >> 4 == 14 ? 3
                  : at[0] >> 3 == 30 ? 4
                                     : 0;
    if (size == 0 || size > left) {
        return 0;
    }
    uint32_t code = size == 1 ? at[0] : at[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if (at[i] >> 6 != 2) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    *ret_code = code;
    return size;
}

static bool expected(struct bytes bytes, bool line)
{
    size_t at = 0;
    while (at < bytes.size) {
        uint32_t code = 0;
        size_t size = decode(bytes.data + at, bytes.size - at, &code);
        if (size == 0 || (code < 0x20 && (line || (code != 9 && code != 10 && code != 13)))) {
            return false;
        }
        at += size;
    }
    return true;
}

static void agree(struct bytes bytes)
{
    if (utf8_valid(bytes) != expected(bytes, false) ||
        utf8_valid_line(bytes) != expected(bytes, true)) {
        print_message("# %02x %02x %02x, %zu bytes\n", bytes.data[0],
                      bytes.size > 1 ? bytes.data[1] : 0, bytes.size > 2 ? bytes.data[2] : 0,
                      bytes.size);
        fail();
    }
}

static void every_code_point_is_read_back(void **state)
{
    (void) state;
    for (uint32_t code = 0; code <= 0x110000; code++) {
        uint8_t bytes[4];
        size_t size = encode(code, bytes);
        bool valid = code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) &&
                     (code >= 0x20 || code == 9 || code == 10 || code == 13);
        if (utf8_valid(bytes_of(bytes, size)) != valid) {
            print_message("# U+%04X\n", code);
            fail();
        }
        if (valid) {
            size_t read = 0;
            assert_int_equal(utf8_next(bytes_of(bytes, size), &read), code);
            assert_int_equal(read, size);
        }
    }
}

static void every_one_two_and_three_bytes_agree_with_the_reference(void **state)
{
    (void) state;
    for (uint32_t word = 0; word < 1u << 24; word++) {
        uint8_t bytes[3] = {(uint8_t) (word >> 16), (uint8_t) (word >> 8), (uint8_t) word};
        if ((word & 0xffff) == 0) {
            agree(bytes_of(bytes, 1));
        }
        if ((word & 0xff) == 0) {
            agree(bytes_of(bytes, 2));
        }
        if (bytes[0] >= 0x80 || (word & 0xf) == 0) {
            agree(bytes_of(bytes, 3));
        }
    }
}

static void four_bytes_at_the_edges_agree_with_the_reference(void **state)
{
    (void) state;
    static const uint8_t edges[] = {0x00, 0x1f, 0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                    0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xef,
                                    0xf0, 0xf1, 0xf4, 0xf5, 0xf7, 0xf8, 0xfe, 0xff};
    size_t count = sizeof edges;
    for (size_t i = 0; i < count * count * count * count; i++) {
        uint8_t bytes[4] = {edges[i % count], edges[i / count % count],
                            edges[i / count / count % count], edges[i / count / count / count]};
        agree(BYTES_OF_ARRAY(bytes));
    }
}

static void a_bad_byte_is_found_wherever_it_stands(void **state)
{
    (void) state;
    static const uint8_t bad[] = {0x00, 0x01, 0x08, 0x0b, 0x1b, 0x1f, 0x80, 0xbf, 0xc0, 0xc3, 0xff};
    for (size_t size = 1; size <= 40; size++) {
        for (size_t at = 0; at < size; at++) {
            uint8_t text[40];
            memset(text, 'a', sizeof text);
            assert_true(utf8_valid(bytes_of(text, size)));
            for (size_t i = 0; i < sizeof bad; i++) {
                text[at] = bad[i];
                assert_false(utf8_valid(bytes_of(text, size)));
            }
            static const uint8_t good[] = {0x20, 0x7e, 0x7f, '\t', '\n', '\r'};
            for (size_t i = 0; i < sizeof good; i++) {
                text[at] = good[i];
                assert_true(utf8_valid(bytes_of(text, size)));
                assert_int_equal(utf8_valid_line(bytes_of(text, size)), i < 3);
            }
        }
    }
}

static void random_texts_agree_with_the_reference(void **state)
{
    (void) state;
    uint64_t seed = 1;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t text[64];
        size_t size = 0;
        while (size < 48) {
            uint64_t dice = kit_random(&seed);
            uint32_t code = (uint32_t) (dice >> 32) % (dice % 4 == 0 ? 0x110000 : 0x200);
            size += encode(code, text + size);
        }
        if (round % 2 == 0) {
            text[kit_random(&seed) % size] = (uint8_t) kit_random(&seed);
        }
        agree(bytes_of(text, size - round % 3));
    }
}

static void nothing_is_valid(void **state)
{
    (void) state;
    assert_true(utf8_valid((struct bytes){0}));
    assert_true(utf8_valid_line((struct bytes){0}));
    assert_int_equal(utf8_count((struct bytes){0}), 0);
}

static void count_counts_characters(void **state)
{
    (void) state;
    assert_int_equal(utf8_count(bytes_of_str("élève")), 5);
    assert_int_equal(utf8_count(bytes_of_str("a\xf0\x9f\x90\x9d!")), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_read_back),
        cmocka_unit_test(every_one_two_and_three_bytes_agree_with_the_reference),
        cmocka_unit_test(four_bytes_at_the_edges_agree_with_the_reference),
        cmocka_unit_test(a_bad_byte_is_found_wherever_it_stands),
        cmocka_unit_test(random_texts_agree_with_the_reference),
        cmocka_unit_test(nothing_is_valid),
        cmocka_unit_test(count_counts_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
