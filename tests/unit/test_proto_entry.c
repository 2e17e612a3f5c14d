/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/entry.c: names, both directions, every limit to the byte and the node, and nothing read of
 * what is not canonical. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "base/limits.h"
#include "proto/entry.h"
#include "proto/pack.h"

static struct entry entry_with(struct bytes body)
{
    return (struct entry){
        .slug = bytes_of_str("a-1"), .kind = bytes_of_str("need"), .body = body, .rev = 1};
}

static void slugs_are_short_plain_and_start_well(void **state)
{
    (void) state;
    static const char *const good[] = {"a",
                                       "0",
                                       "geotrek",
                                       "a-",
                                       "a--b",
                                       "2024-site-en-blanc",
                                       ("a234567890123456789012345678901234567890123456789012345678"
                                        "901234")};
    static const char *const bad[] = {"",
                                      "-",
                                      "-a",
                                      "A",
                                      "geoTrek",
                                      "a_b",
                                      "a b",
                                      "a/b",
                                      "a.b",
                                      "\xc3\xa9",
                                      "a\n",
                                      "a`",
                                      "a{",
                                      "a:",
                                      "a!",
                                      ("a2345678901234567890123456789012345678901234567890123456789"
                                       "01234x")};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(slug_valid(bytes_of_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(slug_valid(bytes_of_str(bad[i])));
    }
    assert_false(slug_valid(bytes_of("a\0", 2)));
}

static void kinds_start_with_a_letter_and_are_shorter(void **state)
{
    (void) state;
    assert_true(kind_valid(bytes_of_str("innovation")));
    assert_true(kind_valid(bytes_of_str("x-1")));
    assert_true(kind_valid(bytes_of_str("abcdefghijklmnopqrstuvwxyz-45678")));
    assert_false(kind_valid(bytes_of_str("abcdefghijklmnopqrstuvwxyz-456789")));
    assert_false(kind_valid(bytes_of_str("")));
    assert_false(kind_valid(bytes_of_str("1a")));
    assert_false(kind_valid(bytes_of_str("-a")));
    assert_false(kind_valid(bytes_of_str("Need")));
}

static void audiences_may_hold_a_little_more(void **state)
{
    (void) state;
    assert_true(audience_valid(bytes_of_str("public")));
    assert_true(audience_valid(bytes_of_str("circle:lab4lab_2.0-x")));
    assert_true(audience_valid(bytes_of_str("0")));
    static const char *const bad[] = {"", ":a", ".a", "_a", "-a", "Public", "a b", "a/b", "a\xc3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(audience_valid(bytes_of_str(bad[i])));
    }
    assert_false(audience_valid(bytes_of("a\0", 2)));
    char text[AUDIENCE_SIZE_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_true(audience_valid(bytes_of(text, AUDIENCE_SIZE_MAX)));
    assert_false(audience_valid(bytes_of(text, AUDIENCE_SIZE_MAX + 1)));
}

static void an_entry_is_read_back(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    buf_put_str(&bytes, "before"); /* appends: what stands there stays */
    struct entry entry = {.slug = bytes_of_str("geotrek"),
                          .kind = bytes_of_str("innovation"),
                          .body = bytes_of("\x81\xa5title\xa7Geotrek", 15),
                          .rev = 300};
    assert_err(entry_encode(&entry, &bytes), ERR_OK);
    buf_shift(&bytes, 6);
    defer(buf_done) struct buf wanted = {0};
    kit_hex(&wanted, "94 a7 67656f7472656b cd012c aa 696e6e6f766174696f6e "
                     "81 a5 7469746c65 a7 47656f7472656b");
    assert_true(bytes_equal(buf_bytes(&bytes), buf_bytes(&wanted)));
    struct bytes copy = kit_copy(buf_bytes(&bytes));
    struct entry again;
    assert_err(entry_decode(copy, &again), ERR_OK);
    assert_true(bytes_equal(again.slug, entry.slug));
    assert_true(bytes_equal(again.kind, entry.kind));
    assert_true(bytes_equal(again.body, entry.body));
    assert_int_equal(again.rev, 300);
    struct entry peeked;
    assert_err(entry_peek(copy, &peeked), ERR_OK);
    assert_int_equal(peeked.rev, 300);
    assert_true(bytes_equal(peeked.body, entry.body));
    kit_free(copy);
}

static void what_does_not_decode_does_not_encode(void **state)
{
    (void) state;
    static const struct {
        const char *slug, *kind, *body;
        uint64_t rev;
        enum err err;
    } cases[] = {
        {"a", "need", "80", 1, ERR_OK},
        {"a", "need", "80", UINT64_MAX, ERR_OK},
        {"A", "need", "80", 1, ERR_SLUG},
        {"", "need", "80", 1, ERR_SLUG},
        {"a", "Need", "80", 1, ERR_INVALID},
        {"a", "", "80", 1, ERR_INVALID},
        {"a", "need", "80", 0, ERR_INVALID},
        {"a", "need", "90", 1, ERR_INVALID},
        {"a", "need", "c0", 1, ERR_INVALID},
        {"a", "need", "", 1, ERR_CANONICAL},
        {"a", "need", "81", 1, ERR_CANONICAL},
        {"a", "need", "8080", 1, ERR_CANONICAL},
        {"a", "need", "de0000", 1, ERR_CANONICAL},
        {"a", "need", "82a162c0a161c0", 1, ERR_CANONICAL},
        {"a", "need", "81a161ca00000000", 1, ERR_CANONICAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf body = {0}, bytes = {0}, raw = {0};
        kit_hex(&body, cases[i].body);
        struct entry entry = {.slug = bytes_of_str(cases[i].slug),
                              .kind = bytes_of_str(cases[i].kind),
                              .body = buf_bytes(&body),
                              .rev = cases[i].rev};
        buf_put_u8(&bytes, 7);
        assert_err(entry_encode(&entry, &bytes), cases[i].err);
        assert_err(bytes.err, ERR_OK);
        if (cases[i].err != ERR_OK) {
            assert_int_equal(bytes.size, 1); /* nothing half written */
        }
        pack_array(&raw, 4);
        pack_cstr(&raw, cases[i].slug);
        pack_uint(&raw, cases[i].rev);
        pack_cstr(&raw, cases[i].kind);
        pack_raw(&raw, buf_bytes(&body));
        struct entry again = {.rev = 77};
        assert_err(entry_decode(buf_bytes(&raw), &again), cases[i].err);
        assert_int_equal(again.rev, cases[i].err == ERR_OK ? cases[i].rev : 77);
    }
}

static void another_shape_is_no_entry(void **state)
{
    (void) state;
    static const struct {
        const char *hex;
        enum err err;
    } cases[] = {
        {"", ERR_CANONICAL},
        {"c0", ERR_INVALID},
        {"80", ERR_INVALID},
        {"93a16101a16b", ERR_INVALID},
        {"95a16101a16b80c0", ERR_INVALID},
        {"94c4016101a16b80", ERR_INVALID},   /* slug as bin */
        {"94a161a131a16b80", ERR_INVALID},   /* rev as text */
        {"94a161ffa16b80", ERR_INVALID},     /* rev below zero */
        {"94a16101c4016b80", ERR_INVALID},   /* kind as bin */
        {"94a16101a16b80c0", ERR_CANONICAL}, /* something follows */
        {"94a161cc01a16b80", ERR_CANONICAL},
        {"94a16101a16b80", ERR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        kit_hex(&bytes, cases[i].hex);
        struct entry entry;
        assert_err(entry_decode(buf_bytes(&bytes), &entry), cases[i].err);
    }
}

static void peek_stays_inside_what_it_is_given(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct entry entry = entry_with(bytes_of("\x81\xa1x\xc4\x02zz", 7));
    assert_err(entry_encode(&entry, &bytes), ERR_OK);
    for (size_t cut = 0; cut < bytes.size; cut++) {
        struct bytes copy = kit_copy(bytes_of(bytes.data, cut));
        struct entry peeked;
        struct bytes value;
        assert_err(entry_decode(copy, &peeked), ERR_CANONICAL);
        if (entry_peek(copy, &peeked) == ERR_OK) { /* the body is cut: fields are not found */
            assert_err(entry_field(&peeked, "x", &value), ERR_NOT_FOUND);
        }
        kit_free(copy);
    }
}

/* A body of one map {"x": bin} whose entry has exactly `entry_size` bytes. */
static void body_put(struct buf *into, size_t entry_size)
{
    pack_map(into, 1);
    pack_cstr(into, "x");
    size_t content = entry_size - (1 + 4 + 1 + 5) - (1 + 2 + 3);
    static const uint8_t zeroes[ENTRY_SIZE_MAX];
    pack_bin(into, bytes_of(zeroes, content));
}

static void size_is_bounded_to_the_byte(void **state)
{
    (void) state;
    for (size_t over = 0; over < 2; over++) {
        defer(buf_done) struct buf body = {0}, bytes = {0}, raw = {0};
        body_put(&body, ENTRY_SIZE_MAX + over);
        struct entry entry = entry_with(buf_bytes(&body));
        assert_err(entry_encode(&entry, &bytes), over ? ERR_SIZE : ERR_OK);
        assert_int_equal(bytes.size, over ? 0 : ENTRY_SIZE_MAX);
        kit_hex(&raw, "94 a3612d31 01 a46e656564");
        buf_put(&raw, buf_bytes(&body));
        assert_int_equal(raw.size, ENTRY_SIZE_MAX + over);
        assert_err(entry_decode(buf_bytes(&raw), &entry), over ? ERR_SIZE : ERR_OK);
    }
}

static void the_size_under_another_revision_is_that_of_its_bytes(void **state)
{
    (void) state;
    static const uint64_t revs[] = {1,     127,      128,        255,        256,       65535,
                                    65536, 1u << 31, UINT32_MAX, 1ull << 32, UINT64_MAX};
    defer(buf_done) struct buf body = {0};
    body_put(&body, 200);
    struct entry entry = entry_with(buf_bytes(&body));
    for (size_t i = 0; i < sizeof revs / sizeof revs[0]; i++) {
        for (size_t k = 0; k < sizeof revs / sizeof revs[0]; k++) {
            defer(buf_done) struct buf one = {0}, other = {0};
            entry.rev = revs[i];
            assert_err(entry_encode(&entry, &one), ERR_OK);
            entry.rev = revs[k];
            assert_err(entry_encode(&entry, &other), ERR_OK);
            assert_int_equal(entry_size_under(one.size, revs[i], revs[k]), other.size);
        }
    }
}

static void a_body_has_so_many_nodes_and_no_more(void **state)
{
    (void) state;
    for (size_t over = 0; over < 2; over++) {
        defer(buf_done) struct buf body = {0}, bytes = {0};
        pack_map(&body, 1); /* the map, its key, its list: 3 nodes */
        pack_cstr(&body, "x");
        size_t items = BODY_NODES_MAX - 3 + over;
        pack_array(&body, items);
        for (size_t i = 0; i < items; i++) {
            pack_nil(&body);
        }
        struct entry entry = entry_with(buf_bytes(&body));
        assert_err(entry_encode(&entry, &bytes), over ? ERR_SIZE : ERR_OK);
    }
}

static void a_body_nests_so_deep_and_no_deeper(void **state)
{
    (void) state;
    for (size_t over = 0; over < 2; over++) {
        defer(buf_done) struct buf body = {0}, bytes = {0};
        kit_hex(&body, "81a178");
        for (size_t i = 1; i < PACK_DEPTH_MAX - 1 + over; i++) {
            pack_array(&body, 1);
        }
        pack_array(&body, 0);
        struct entry entry = entry_with(buf_bytes(&body));
        assert_err(entry_encode(&entry, &bytes), over ? ERR_SIZE : ERR_OK);
    }
}

static void a_full_buffer_is_an_error_of_encoding(void **state)
{
    (void) state;
    struct buf bytes;
    buf_init(&bytes, 8);
    struct entry entry = entry_with(bytes_of("\x80", 1));
    assert_err(entry_encode(&entry, &bytes), ERR_SIZE);
    buf_done(&bytes);
}

static void a_leaf_is_the_tagged_hash_of_the_bytes(void **state)
{
    (void) state;
    struct hash leaf = entry_leaf(bytes_of_str("abc"));
    struct hash hash = hash_of(TAG_LEAF, bytes_of_str("abc"));
    assert_memory_equal(leaf.bytes, hash.bytes, HASH_SIZE);
}

static void fields_are_found_by_name_whatever_stands_between(void **state)
{
    (void) state;
    defer(buf_done) struct buf body = {0};
    kit_hex(&body, "83 a162 82a16101a162a0 a163 93019190a178 a26363 c403010203");
    struct entry entry = entry_with(buf_bytes(&body));
    struct bytes value = {0};
    assert_err(entry_field(&entry, "b", &value), ERR_OK);
    assert_true(bytes_equal(value, bytes_of("\x82\xa1\x61\x01\xa1\x62\xa0", 7)));
    assert_err(entry_field(&entry, "c", &value), ERR_OK);
    assert_int_equal(value.size, 6);
    assert_err(entry_field(&entry, "cc", &value), ERR_OK);
    assert_true(bytes_equal(value, bytes_of("\xc4\x03\x01\x02\x03", 5)));
    static const char *const absent[] = {"", "a", "ba", "ca", "ccc", "z"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        assert_err(entry_field(&entry, absent[i], &value), ERR_NOT_FOUND);
    }
    entry.body = bytes_of("\x80", 1);
    assert_err(entry_field(&entry, "b", &value), ERR_NOT_FOUND);
    entry.body = bytes_of("\x91\xa1", 2);
    assert_err(entry_field(&entry, "b", &value), ERR_NOT_FOUND);
    entry.body = bytes_of("\x81\x01\x02", 3);
    assert_err(entry_field(&entry, "b", &value), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slugs_are_short_plain_and_start_well),
        cmocka_unit_test(kinds_start_with_a_letter_and_are_shorter),
        cmocka_unit_test(audiences_may_hold_a_little_more),
        cmocka_unit_test(an_entry_is_read_back),
        cmocka_unit_test(what_does_not_decode_does_not_encode),
        cmocka_unit_test(another_shape_is_no_entry),
        cmocka_unit_test(peek_stays_inside_what_it_is_given),
        cmocka_unit_test(size_is_bounded_to_the_byte),
        cmocka_unit_test(the_size_under_another_revision_is_that_of_its_bytes),
        cmocka_unit_test(a_body_has_so_many_nodes_and_no_more),
        cmocka_unit_test(a_body_nests_so_deep_and_no_deeper),
        cmocka_unit_test(a_full_buffer_is_an_error_of_encoding),
        cmocka_unit_test(a_leaf_is_the_tagged_hash_of_the_bytes),
        cmocka_unit_test(fields_are_found_by_name_whatever_stands_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
