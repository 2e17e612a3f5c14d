/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/value.c and cli/when.c: msgpack to trees, trees to JSON, paths, times. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "cli/value.h"
#include "cli/when.h"

static void assert_json(const char *hex, const char *wanted)
{
    defer(buf_done) struct buf packed = {0};
    defer(buf_done) struct buf text = {0};
    kit_hex(&packed, hex);
    struct bytes copy = kit_copy(buf_bytes(&packed));
    json_t *value = value_unpack(copy);
    kit_free(copy);
    if (wanted == NULL) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    value_put_json(&text, value);
    buf_put_u8(&text, '\0');
    assert_string_equal((const char *) text.data, wanted);
    json_decref(value);
}

static void msgpack_becomes_json(void **state)
{
    (void) state;
    assert_json("c0", "null");
    assert_json("c3", "true");
    assert_json("2a", "42");
    assert_json("e0", "-32");
    assert_json("d38000000000000000", "-9223372036854775808");
    assert_json("cf7fffffffffffffff", "9223372036854775807");
    assert_json("cfffffffffffffffff", "{\"$uint\":\"18446744073709551615\"}");
    assert_json("a3c3a90a", "\"\xc3\xa9\\n\"");
    assert_json("c402ff00", "{\"$bin\":\"ff00\"}");
    assert_json("90", "[]");
    assert_json("80", "{}");
    assert_json("93 01 90 82 a161 91 02 a162 80", "[1,[],{\"a\":[2],\"b\":{}}]");
}

static void what_is_no_value_is_none(void **state)
{
    (void) state;
    assert_json("", NULL);
    assert_json("92 01", NULL);
    assert_json("01 02", NULL);
    assert_json("81 01 02", NULL);
    assert_json("82 a161", NULL);
    assert_json("81 a3610062 01", NULL);
    assert_json("ca 00000000", NULL);
    assert_json("91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 91 90", NULL);
}

static void hidden_characters_are_escaped_in_json_and_keys_too(void **state)
{
    (void) state;
    assert_json("81 a3e280ae a1 1b", "{\"\\u202e\":\"\\u001b\"}");
}

static void paths_lead_into_maps_and_lists(void **state)
{
    (void) state;
    json_t *value = json_loads("{\"a\":{\"b\":[1,{\"c\":\"x\"}]},\"\":2}", 0, NULL);
    assert_string_equal(json_string_value(value_at(value, "a.b.1.c")), "x");
    assert_int_equal(json_integer_value(value_at(value, "a.b.0")), 1);
    assert_ptr_equal(value_at(value, ""), value);
    assert_null(value_at(value, "a.b.2"));
    assert_null(value_at(value, "a.b.x"));
    assert_null(value_at(value, "a.c.d"));
    assert_null(value_at(value, "a.b.0.c"));
    json_decref(value);
}

static void leaf_note(void *user, const char *path, const json_t *leaf)
{
    struct buf *into = user;
    buf_printf(into, "%s=", path);
    value_put_text(into, leaf);
    buf_put_u8(into, ';');
}

static void leaves_come_with_their_paths(void **state)
{
    (void) state;
    defer(buf_done) struct buf text = {0};
    json_t *value =
        json_loads("{\"a\":1,\"b\":{\"c\":[true,{\"d\":\"x\"}],\"e\":[]},\"f\":null}", 0, NULL);
    value_leaves(value, leaf_note, &text);
    buf_put_u8(&text, '\0');
    assert_string_equal((const char *) text.data, "a=1;b.c.0=true;b.c.1.d=x;f=;");
    json_decref(value);
}

static void lab_ids_and_times_are_written_as_people_read_them(void **state)
{
    (void) state;
    json_t *object = json_pack("{s:{s:s},s:{s:s},s:i,s:i}", "lab", "$bin",
                               "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                               "index", "$bin", "ff00", "at", 1700000000, "bad", -1);
    value_bin_text(object, "lab", true);
    value_bin_text(object, "index", true);
    value_bin_text(object, "nothing", true);
    value_when_text(object, "at");
    value_when_text(object, "bad");
    assert_string_equal(json_string_value(json_object_get(object, "lab")),
                        "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw");
    assert_string_equal(json_string_value(json_object_get(object, "index")), "ff00");
    assert_string_equal(json_string_value(json_object_get(object, "at")), "2023-11-14T22:13:20Z");
    assert_int_equal(json_integer_value(json_object_get(object, "bad")), -1);
    json_decref(object);
}

static void times_are_rfc_3339_in_utc(void **state)
{
    (void) state;
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {2147483648, "2038-01-19T03:14:08Z"},
        {4294967296, "2106-02-07T06:28:16Z"},
        {253402300799, "9999-12-31T23:59:59Z"},
        {253402300800, "@253402300800"},
        {UINT64_MAX, "@18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[WHEN_SIZE_MAX];
        when_print(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(msgpack_becomes_json),
        cmocka_unit_test(what_is_no_value_is_none),
        cmocka_unit_test(hidden_characters_are_escaped_in_json_and_keys_too),
        cmocka_unit_test(paths_lead_into_maps_and_lists),
        cmocka_unit_test(leaves_come_with_their_paths),
        cmocka_unit_test(lab_ids_and_times_are_written_as_people_read_them),
        cmocka_unit_test(times_are_rfc_3339_in_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
