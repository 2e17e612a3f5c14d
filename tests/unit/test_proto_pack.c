/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/pack.c: every value in its shortest form, and the buffer's error kept. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "proto/pack.h"
#include "proto/scan.h"

static const struct scan_limits limits = {.depth_max = 4, .nodes_max = 100000};

static void assert_packed(const struct buf *buf, const char *hex)
{
    defer(buf_done) struct buf wanted = {0};
    kit_hex(&wanted, hex);
    assert_err(buf->err, ERR_OK);
    assert_int_equal(buf->size, wanted.size);
    assert_memory_equal(buf->data, wanted.data, wanted.size);
}

static void unsigned_numbers_take_the_shortest_form(void **state)
{
    (void) state;
    static const struct {
        uint64_t value;
        const char *hex;
    } cases[] = {
        {0, "00"},
        {127, "7f"},
        {128, "cc80"},
        {255, "ccff"},
        {256, "cd0100"},
        {65535, "cdffff"},
        {65536, "ce00010000"},
        {UINT32_MAX, "ceffffffff"},
        {1ull << 32, "cf0000000100000000"},
        {UINT64_MAX, "cfffffffffffffffff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf buf = {0};
        pack_uint(&buf, cases[i].value);
        assert_packed(&buf, cases[i].hex);
        if (cases[i].value <= INT64_MAX) {
            buf_clear(&buf);
            pack_int(&buf, (int64_t) cases[i].value);
            assert_packed(&buf, cases[i].hex);
        }
    }
}

static void negative_numbers_take_the_shortest_form(void **state)
{
    (void) state;
    static const struct {
        int64_t value;
        const char *hex;
    } cases[] = {
        {-1, "ff"},
        {-32, "e0"},
        {-33, "d0df"},
        {-128, "d080"},
        {-129, "d1ff7f"},
        {-32768, "d18000"},
        {-32769, "d2ffff7fff"},
        {INT32_MIN, "d280000000"},
        {INT32_MIN - 1ll, "d3ffffffff7fffffff"},
        {INT64_MIN, "d38000000000000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf buf = {0};
        pack_int(&buf, cases[i].value);
        assert_packed(&buf, cases[i].hex);
    }
}

static void the_rest_is_as_msgpack_says(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf = {0};
    pack_array(&buf, 7);
    pack_nil(&buf);
    pack_bool(&buf, true);
    pack_bool(&buf, false);
    pack_cstr(&buf, "ab");
    pack_bin(&buf, bytes_of("\xff", 1));
    pack_map(&buf, 1);
    pack_str(&buf, (struct bytes){0});
    pack_bin(&buf, (struct bytes){0});
    pack_raw(&buf, bytes_of("\x05", 1));
    assert_packed(&buf, "97c0c3c2a26162c401ff81a0c40005");
    assert_err(scan_strict(buf_bytes(&buf), limits), ERR_OK);
}

static void every_length_is_canonical(void **state)
{
    (void) state;
    static const size_t sizes[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *bytes = malloc(sizes[i] + 1);
        assert_non_null(bytes);
        memset(bytes, 'a', sizes[i] + 1);
        defer(buf_done) struct buf text = {0}, binary = {0}, array = {0};
        pack_str(&text, bytes_of(bytes, sizes[i]));
        assert_err(scan_strict(buf_bytes(&text), limits), ERR_OK);
        pack_bin(&binary, bytes_of(bytes, sizes[i]));
        assert_err(scan_strict(buf_bytes(&binary), limits), ERR_OK);
        pack_array(&array, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++) {
            pack_nil(&array);
        }
        assert_err(scan_strict(buf_bytes(&array), limits), ERR_OK);
        free(bytes);
    }
}

static void the_error_of_the_buffer_stays(void **state)
{
    (void) state;
    defer(buf_done) struct buf buf;
    buf_init(&buf, 4);
    pack_cstr(&buf, "abc");
    assert_err(buf.err, ERR_OK);
    pack_uint(&buf, 1);
    assert_err(buf.err, ERR_SIZE);
    pack_nil(&buf);
    pack_map(&buf, 3);
    assert_int_equal(buf.size, 4);
}

static void a_length_no_form_can_say_is_an_error(void **state)
{
    (void) state;
    size_t over = (size_t) UINT32_MAX + 1;
    struct buf buf = {0};
    pack_str(&buf, bytes_of("", over)); /* refused before it is read */
    assert_err(buf.err, ERR_SIZE);
    buf_clear(&buf);
    pack_bin(&buf, bytes_of("", over));
    assert_err(buf.err, ERR_SIZE);
    buf_clear(&buf);
    pack_array(&buf, over);
    assert_err(buf.err, ERR_SIZE);
    buf_clear(&buf);
    pack_map(&buf, over);
    assert_err(buf.err, ERR_SIZE);
    buf.err = ERR_NOMEM; /* the first error stays */
    pack_str(&buf, bytes_of("", over));
    pack_bin(&buf, bytes_of("", over));
    pack_array(&buf, over);
    pack_map(&buf, over);
    assert_err(buf.err, ERR_NOMEM);
    assert_int_equal(buf.size, 0);
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_numbers_take_the_shortest_form),
        cmocka_unit_test(negative_numbers_take_the_shortest_form),
        cmocka_unit_test(the_rest_is_as_msgpack_says),
        cmocka_unit_test(every_length_is_canonical),
        cmocka_unit_test(the_error_of_the_buffer_stays),
        cmocka_unit_test(a_length_no_form_can_say_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
