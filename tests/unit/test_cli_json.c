/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/json.c and cli/build.c: JSON into canonical msgpack, and every refusal with its place. */
#include "tests/unit/kit.h"

#include "base/defer.h"
#include "base/limits.h"
#include "cli/json.h"
#include "proto/pack.h"
#include "proto/scan.h"

static struct build *build_made(void)
{
    struct build *build = malloc(sizeof *build);
    assert_non_null(build);
    build_init(build);
    return build;
}

static void build_ended(struct build **build)
{
    build_done(*build);
    free(*build);
}

/* Reads from a block of exactly that size. */
static enum err read_copy(struct build *build, const char *text)
{
    struct bytes copy = kit_copy(bytes_of_str(text));
    enum err err = json_read(copy, build);
    kit_free(copy);
    return err;
}

static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX, .nodes_max = BODY_NODES_MAX};

static void assert_body(const char *text, const char *hex)
{
    defer(build_ended) struct build *build = build_made();
    defer(buf_done) struct buf wanted = {0};
    kit_hex(&wanted, hex);
    assert_err(read_copy(build, text), ERR_OK);
    assert_int_equal(build->out.size, wanted.size);
    assert_memory_equal(build->out.data, wanted.data, wanted.size);
    assert_err(scan_strict(buf_bytes(&build->out), limits), ERR_OK);
}

/* Fails at byte `at`, with `field`. */
static void assert_refused(const char *text, enum err err, size_t at, const char *field)
{
    defer(build_ended) struct build *build = build_made();
    assert_err(read_copy(build, text), err);
    assert_err(build->flaw.err, err);
    assert_non_null(build->flaw.text);
    assert_int_equal(build->flaw_at, at);
    assert_string_equal(build->flaw.field, field);
}

#define HEAD "{\"kind\":\"need\",\"slug\":\"a\""

static void kind_and_slug_are_taken_out_and_the_rest_is_the_body(void **state)
{
    (void) state;
    defer(build_ended) struct build *build = build_made();
    assert_err(read_copy(build, " {\"slug\":\"a-b\",\"x\":1,\"kind\":\"need\"} \r\n"), ERR_OK);
    assert_string_equal(build->slug, "a-b");
    assert_string_equal(build->kind, "need");
    assert_int_equal(build->out.size, 4);
    assert_body(HEAD "}", "80");
}

static void every_kind_of_value_has_its_shortest_form(void **state)
{
    (void) state;
    assert_body(HEAD ",\"v\":0}", "81 a176 00");
    assert_body(HEAD ",\"v\":-0}", "81 a176 00");
    assert_body(HEAD ",\"v\":127}", "81 a176 7f");
    assert_body(HEAD ",\"v\":128}", "81 a176 cc80");
    assert_body(HEAD ",\"v\":-32}", "81 a176 e0");
    assert_body(HEAD ",\"v\":-33}", "81 a176 d0df");
    assert_body(HEAD ",\"v\":18446744073709551615}", "81 a176 cfffffffffffffffff");
    assert_body(HEAD ",\"v\":-9223372036854775808}", "81 a176 d38000000000000000");
    assert_body(HEAD ",\"v\":true}", "81 a176 c3");
    assert_body(HEAD ",\"v\":false}", "81 a176 c2");
    assert_body(HEAD ",\"v\":[]}", "81 a176 90");
    assert_body(HEAD ",\"v\":{}}", "81 a176 80");
    assert_body(HEAD ",\"v\":\"\"}", "81 a176 a0");
}

static void maps_are_sorted_bytewise_at_every_level(void **state)
{
    (void) state;
    assert_body(HEAD ",\"b\":{\"z\":1,\"aa\":2,\"a\":3},\"a\":[{\"y\":1,\"x\":2}]}",
                "82 a161 91 82 a178 02 a179 01 a162 83 a161 03 a26161 02 a17a 01");
    assert_body(HEAD ",\"\xc3\xa9\":1,\"z\":2}", "82 a17a 02 a2c3a9 01");
}

static void maps_and_lists_of_sixteen_get_the_longer_head(void **state)
{
    (void) state;
    defer(build_ended) struct build *build = build_made();
    defer(buf_done) struct buf text = {0};
    for (unsigned count = 15; count <= 60; count++) { /* 25 and more are sorted another way */
        buf_clear(&text);
        buf_put_str(&text, HEAD ",\"v\":{");
        for (unsigned i = count; i > 0; i--) {
            buf_printf(&text, "%s\"k%02u\":[%u]", i == count ? "" : ",", i, i);
        }
        buf_put_str(&text, "}}");
        assert_err(json_read(buf_bytes(&text), build), ERR_OK);
        assert_err(scan_strict(buf_bytes(&build->out), limits), ERR_OK);
        assert_int_equal(build->out.data[3], count <= 15 ? 0x80 + count : 0xde);
    }
}

static void escapes_become_their_characters(void **state)
{
    (void) state;
    assert_body(HEAD ",\"v\":\"a\\n\\t\\r\\\"\\\\\\/\"}", "81 a176 a7 61 0a 09 0d 22 5c 2f");
    assert_body(HEAD ",\"v\":\"\\u00e9\\u20AC\\ud83d\\ude00\"}", "81 a176 a9 c3a9 e282ac f09f9880");
    assert_body(HEAD ",\"v\":\"\\u202e\\u200b\"}", "81 a176 a6 e280ae e2808b");
    assert_body(HEAD ",\"\\u0076\":1}", "81 a176 01");
}

static void empty_fields_are_dropped_but_not_in_lists(void **state)
{
    (void) state;
    assert_body(HEAD ",\"v\":null,\"a\":1}", "81 a161 01");
    assert_body(HEAD ",\"t\":{\"fr\":null,\"en\":\"x\"}}", "81 a174 81 a2656e a178");
    assert_refused(HEAD ",\"v\":[1,null]}", ERR_FIELD, 33, "v[1]");
}

static void a_field_that_is_there_twice_is_refused_where_it_comes_again(void **state)
{
    (void) state;
    assert_refused(HEAD ",\"v\":1,\"w\":2,\"v\":3}", ERR_FIELD, 38, "v");
    assert_refused(HEAD ",\"t\":{\"fr\":\"\",\"fr\":\"\"}}", ERR_FIELD, 39, "t.fr");
    assert_refused(HEAD ",\"v\":null,\"v\":3}", ERR_FIELD, 35, "v");
    assert_refused(HEAD ",\"slug\":\"b\"}", ERR_FIELD, 26, "slug");
}

static void numbers_that_are_no_integers_are_refused(void **state)
{
    (void) state;
    assert_refused(HEAD ",\"v\":1.0}", ERR_FIELD, 30, "v");
    assert_refused(HEAD ",\"v\":1e3}", ERR_FIELD, 30, "v");
    assert_refused(HEAD ",\"v\":18446744073709551616}", ERR_FIELD, 30, "v");
    assert_refused(HEAD ",\"v\":-9223372036854775809}", ERR_FIELD, 30, "v");
    assert_refused(HEAD ",\"v\":01}", ERR_SYNTAX, 30, "");
    assert_refused(HEAD ",\"v\":-}", ERR_SYNTAX, 30, "");
}

static void control_characters_are_refused_however_they_are_written(void **state)
{
    (void) state;
    assert_refused(HEAD ",\"v\":\"a\\u001b\"}", ERR_FIELD, 32, "v");
    assert_refused(HEAD ",\"v\":\"a\\u0000\"}", ERR_FIELD, 32, "v");
    assert_refused(HEAD ",\"v\":\"a\\b\"}", ERR_FIELD, 32, "v");
    assert_refused(HEAD ",\"v\":\"a\x1b\"}", ERR_SYNTAX, 32, "");
    assert_refused(HEAD ",\"v\":\"a\nb\"}", ERR_SYNTAX, 32, "");
}

static void a_byte_that_ends_plain_text_is_seen_wherever_it_stands(void **state)
{
    (void) state;
    for (size_t at = 0; at < 24; at++) {
        char text[64] = HEAD ",\"v\":\"abcdefghijklmnopqrstuvwx\"}";
        text[31 + at] = '\x1f';
        assert_refused(text, ERR_SYNTAX, 31 + at, "");
        text[31 + at] = '\"';
        assert_refused(text, ERR_SYNTAX, 32 + at, "");
        text[31 + at] = '\\';
        bool good = strchr("nrtbf", "bcdefghijklmnopqrstuvwx\""[at]) != NULL;
        if (!good && at < 23 && text[32 + at] != 'u') {
            assert_refused(text, ERR_SYNTAX, 31 + at, "");
        }
        text[31 + at] = (char) 0xff;
        assert_refused(text, ERR_FIELD, 30, "v");
    }
}

static void bytes_that_are_no_utf8_are_refused(void **state)
{
    (void) state;
    assert_refused(HEAD ",\"v\":\"\xff\"}", ERR_FIELD, 30, "v");
    assert_refused(HEAD ",\"v\":\"\xed\xa0\x80\"}", ERR_FIELD, 30, "v");
    assert_refused(HEAD ",\"\xc3\":1}", ERR_FIELD, 26, "slug");
    assert_refused(HEAD ",\"v\":\"\\ud800\"}", ERR_SYNTAX, 31, "");
    assert_refused(HEAD ",\"v\":\"\\udc00\\ud800\"}", ERR_SYNTAX, 31, "");
    assert_refused(HEAD ",\"v\":\"\\u12g4\"}", ERR_SYNTAX, 31, "");
}

static void syntax_errors_name_the_byte(void **state)
{
    (void) state;
    assert_refused("", ERR_SYNTAX, 0, "");
    assert_refused("[]", ERR_SYNTAX, 0, "");
    assert_refused("null", ERR_SYNTAX, 0, "");
    assert_refused(HEAD, ERR_SYNTAX, 25, "");
    assert_refused(HEAD ",}", ERR_SYNTAX, 26, "");
    assert_refused(HEAD ",\"v\"}", ERR_SYNTAX, 29, "");
    assert_refused(HEAD ",\"v\":}", ERR_SYNTAX, 30, "");
    assert_refused(HEAD ",\"v\":[1,]}", ERR_SYNTAX, 33, "");
    assert_refused(HEAD ",\"v\":[1}", ERR_SYNTAX, 32, "");
    assert_refused(HEAD ",\"v\":1]", ERR_SYNTAX, 31, "");
    assert_refused(HEAD "\"v\":1}", ERR_SYNTAX, 25, "");
    assert_refused(HEAD "} x", ERR_SYNTAX, 27, "");
    assert_refused(HEAD ",'v':1}", ERR_SYNTAX, 26, "");
    assert_refused(HEAD ",\"v\":True}", ERR_SYNTAX, 30, "");
    assert_refused(HEAD ",\"v\":\"\\x\"}", ERR_SYNTAX, 31, "");
    assert_refused(HEAD ",\"v\":\"a", ERR_SYNTAX, 32, "");
    assert_refused(HEAD ",\"v\":\"a\\", ERR_SYNTAX, 33, "");
}

static void kind_and_slug_must_be_there_and_be_text(void **state)
{
    (void) state;
    assert_refused("{\"kind\":\"need\"}", ERR_SLUG, 0, "slug");
    assert_refused("{\"slug\":\"a\"}", ERR_INVALID, 0, "kind");
    assert_refused("{\"slug\":12,\"kind\":\"need\"}", ERR_SLUG, 1, "slug");
    assert_refused("{\"slug\":[],\"kind\":\"need\"}", ERR_SLUG, 1, "slug");
    assert_refused("{\"slug\":null,\"kind\":\"need\"}", ERR_SLUG, 0, "slug");
    defer(buf_done) struct buf text = {0};
    for (unsigned size = 64; size <= 65; size++) {
        defer(build_ended) struct build *build = build_made();
        buf_clear(&text);
        buf_put_str(&text, "{\"kind\":\"need\",\"slug\":\"");
        for (unsigned i = 0; i < size; i++) {
            buf_put_u8(&text, 'a');
        }
        buf_put_str(&text, "\"}");
        assert_err(json_read(buf_bytes(&text), build), size == 64 ? ERR_OK : ERR_SLUG);
    }
}

static void the_body_nests_eight_deep_and_not_nine(void **state)
{
    (void) state;
    assert_body(HEAD ",\"v\":[[[[[[[]]]]]]]}", "81 a176 91 91 91 91 91 91 90");
    assert_refused(HEAD ",\"v\":[[[[[[[[]]]]]]]]}", ERR_SIZE, 37, "v[0][0][0][0][0][0][0]");
}

static void the_body_has_4096_values_and_not_one_more(void **state)
{
    (void) state;
    defer(buf_done) struct buf text = {0};
    for (unsigned more = 0; more <= 1; more++) {
        defer(build_ended) struct build *build = build_made();
        buf_clear(&text);
        buf_put_str(&text, HEAD ",\"empty\":null,\"v\":[0");       /* what is dropped counts not */
        for (unsigned i = 1; i < BODY_NODES_MAX - 3 + more; i++) { /* map, key, list */
            buf_put_str(&text, ",0");
        }
        buf_put_str(&text, "]}");
        enum err err = json_read(buf_bytes(&text), build);
        assert_err(err, more == 0 ? ERR_OK : ERR_SIZE);
        if (err == ERR_OK) {
            assert_err(scan_strict(buf_bytes(&build->out), limits), ERR_OK);
        }
    }
}

static void the_place_of_a_field_can_be_found(void **state)
{
    (void) state;
    defer(build_ended) struct build *build = build_made();
    const char *text = HEAD ",\"orgs\":[{\"name\":\"x\"},{\"role\":1}],\"t\":{\"fr\":\"\"}}";
    static const struct {
        const char *field;
        uint64_t at;
    } cases[] = {{"orgs", 26}, {"orgs[1]", 47}, {"orgs[1].role", 48}, {"t.fr", 64},
                 {"t.en", 59}, {"orgs[7]", 26}, {"title", 0},         {"", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        build->want = cases[i].field;
        assert_err(read_copy(build, text), ERR_OK);
        assert_int_equal(build->want_at, cases[i].at);
    }
}

static void cut_anywhere_it_is_an_error_and_never_a_crash(void **state)
{
    (void) state;
    const char *text =
        HEAD ",\"v\":[1,\"\\u00e9\\ud83d\\ude00\",{\"a\":null,\"b\":true}],\"z\":-12}";
    defer(build_ended) struct build *build = build_made();
    for (size_t size = 0; size < strlen(text); size++) {
        struct bytes copy = kit_copy(bytes_of(text, size));
        assert_err(json_read(copy, build), ERR_SYNTAX);
        kit_free(copy);
    }
}

static void changed_anywhere_what_is_accepted_is_canonical(void **state)
{
    (void) state;
    const char *text =
        HEAD ",\"v\":[1,\"\\u00e9\",{\"b\":null,\"a\":true}],\"z\":{\"k\":\"\xc3\xa9\"}}";
    defer(build_ended) struct build *build = build_made();
    uint64_t seed = 7;
    for (unsigned round = 0; round < 20000; round++) {
        struct bytes copy = kit_copy(bytes_of_str(text));
        uint8_t *bytes = (uint8_t *) (uintptr_t) copy.data;
        for (unsigned i = 0; i < 1 + round % 3; i++) {
            bytes[kit_random(&seed) % copy.size] = (uint8_t) kit_random(&seed);
        }
        if (json_read(copy, build) == ERR_OK) {
            assert_err(scan_strict(buf_bytes(&build->out), limits), ERR_OK);
        }
        kit_free(copy);
    }
}

static void one_object_is_measured_without_being_read(void **state)
{
    (void) state;
    size_t size = 0;
    assert_err(json_measure(bytes_of_str(" {\"a\":\"}\\\"{\",\"b\":[{}]} {"), &size), ERR_OK);
    assert_int_equal(size, 22);
    assert_err(json_measure(bytes_of_str("{\"a\":"), &size), ERR_MORE);
    assert_err(json_measure(bytes_of_str(" "), &size), ERR_MORE);
    assert_err(json_measure(bytes_of_str(" 1"), &size), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kind_and_slug_are_taken_out_and_the_rest_is_the_body),
        cmocka_unit_test(every_kind_of_value_has_its_shortest_form),
        cmocka_unit_test(maps_are_sorted_bytewise_at_every_level),
        cmocka_unit_test(maps_and_lists_of_sixteen_get_the_longer_head),
        cmocka_unit_test(escapes_become_their_characters),
        cmocka_unit_test(empty_fields_are_dropped_but_not_in_lists),
        cmocka_unit_test(a_field_that_is_there_twice_is_refused_where_it_comes_again),
        cmocka_unit_test(numbers_that_are_no_integers_are_refused),
        cmocka_unit_test(control_characters_are_refused_however_they_are_written),
        cmocka_unit_test(a_byte_that_ends_plain_text_is_seen_wherever_it_stands),
        cmocka_unit_test(bytes_that_are_no_utf8_are_refused),
        cmocka_unit_test(syntax_errors_name_the_byte),
        cmocka_unit_test(kind_and_slug_must_be_there_and_be_text),
        cmocka_unit_test(the_body_nests_eight_deep_and_not_nine),
        cmocka_unit_test(the_body_has_4096_values_and_not_one_more),
        cmocka_unit_test(the_place_of_a_field_can_be_found),
        cmocka_unit_test(cut_anywhere_it_is_an_error_and_never_a_crash),
        cmocka_unit_test(changed_anywhere_what_is_accepted_is_canonical),
        cmocka_unit_test(one_object_is_measured_without_being_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
