/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/input.c and cli/yaml.c: the same record in YAML, JSON and NDJSON gives the same bytes; every
 * refusal says line and column; one bad record does not take the next one with it. */
#include "tests/unit/kit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/defer.h"
#include "cli/input.h"
#include "cli/record.h"

struct reading {
    struct build build;
    struct input input;
};

static struct reading *reading_made(const char *text, const char *name)
{
    struct reading *reading = malloc(sizeof *reading);
    assert_non_null(reading);
    build_init(&reading->build);
    input_open_bytes(&reading->input, bytes_of_str(text), name, &reading->build);
    return reading;
}

static void reading_ended(struct reading **reading)
{
    input_close(&(*reading)->input);
    build_done(&(*reading)->build);
    free(*reading);
}

static void next_is_record(struct reading *reading, const char *slug)
{
    assert_int_equal(input_next(&reading->input), INPUT_RECORD);
    assert_string_equal(reading->build.slug, slug);
}

static void next_is(struct reading *reading, enum input_step step, enum err err, size_t line,
                    size_t column)
{
    assert_int_equal(input_next(&reading->input), step);
    assert_err(reading->input.flaw.err, err);
    assert_int_equal(reading->input.flaw.line, line);
    assert_int_equal(reading->input.flaw.column, column);
}

static void assert_flaw(const char *text, const char *name, enum input_step step, enum err err,
                        size_t line, size_t column)
{
    defer(reading_ended) struct reading *reading = reading_made(text, name);
    next_is(reading, step, err, line, column);
}

static void yaml_and_json_give_the_same_bytes(void **state)
{
    (void) state;
    static const char yaml[] = "# a comment\n"
                               "slug: geotrek\n"
                               "title:\n  fr: G\xc3\xa9otrek\n  en: \"Geotrek\"\n"
                               "summary: >\n  deux\n  lignes\n"
                               "themes: ['08', \"05\"]\n"
                               "orgs:\n- {name: Makina, role: provider}\n"
                               "since: 2013\nbig: 0x1F\noct: 0o17\nminus: -5\n"
                               "date: 2024-01-02\ntime: 12:30\nversion: 1.2.3\n"
                               "yes: yes\nok: true\nno: False\ntext: 'true'\nnumber: \"12\"\n"
                               "nothing: ~\nempty:\n"
                               "kind: innovation\n";
    static const char json[] =
        "{\"kind\":\"innovation\",\"slug\":\"geotrek\",\"title\":{\"en\":\"Geotrek\",\"fr\":"
        "\"G\\u00e9otrek\"},\"summary\":\"deux lignes\\n\",\"themes\":[\"08\",\"05\"],\"orgs\":"
        "[{\"role\":\"provider\",\"name\":\"Makina\"}],\"since\":2013,\"big\":31,\"oct\":15,"
        "\"minus\":-5,\"date\":\"2024-01-02\",\"time\":\"12:30\",\"version\":\"1.2.3\","
        "\"yes\":\"yes\",\"ok\":true,\"no\":false,\"text\":\"true\",\"number\":\"12\"}";
    defer(reading_ended) struct reading *one = reading_made(yaml, "a.yaml");
    defer(reading_ended) struct reading *two = reading_made(json, "a.json");
    defer(reading_ended) struct reading *three = reading_made(json, "a.ndjson");
    next_is_record(one, "geotrek");
    next_is_record(two, "geotrek");
    next_is_record(three, "geotrek");
    assert_true(bytes_equal(buf_bytes(&one->build.out), buf_bytes(&two->build.out)));
    assert_true(bytes_equal(buf_bytes(&one->build.out), buf_bytes(&three->build.out)));
    assert_string_equal(one->build.kind, "innovation");
    assert_int_equal(input_next(&one->input), INPUT_END);
    assert_int_equal(input_next(&two->input), INPUT_END);
    assert_int_equal(input_next(&three->input), INPUT_END);
}

static void the_format_is_told_by_name_and_else_by_the_text(void **state)
{
    (void) state;
    static const struct {
        const char *text, *name;
        enum input_format format;
    } cases[] = {
        {"{}", "x.NDJSON", INPUT_NDJSON},
        {"{}", "x.jsonl", INPUT_NDJSON},
        {"{}", "x.json", INPUT_JSON},
        {"{}", "x.yml", INPUT_YAML},
        {"{\"a\":1}\n{\"a\":2}\n", NULL, INPUT_NDJSON},
        {"{\n\"a\":1}\n", "-", INPUT_JSON},
        {"\n [{}]", "-", INPUT_JSON},
        {"kind: a\n", "-", INPUT_YAML},
        {"", "-", INPUT_YAML},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(reading_ended) struct reading *reading = reading_made(cases[i].text, cases[i].name);
        (void) input_next(&reading->input);
        assert_int_equal(reading->input.format, cases[i].format);
    }
}

static void a_bad_line_of_ndjson_leaves_the_others_alone(void **state)
{
    (void) state;
    defer(reading_ended) struct reading *reading =
        reading_made("\xef\xbb\xbf{\"kind\":\"need\",\"slug\":\"a\"}\r\n"
                     "\n"
                     "{\"kind\":\"need\",\"slug\":\"b\",\n"
                     "{\"kind\":\"need\",\"slug\":\"\xc3\xa9\xc3\xa9\",\"v\":1.5}\n"
                     "{\"kind\":\"need\",\"slug\":\"c\"}",
                     "x.ndjson");
    next_is_record(reading, "a");
    assert_int_equal(input_line(&reading->input), 1);
    next_is(reading, INPUT_FLAWED, ERR_SYNTAX, 3, 27);
    next_is(reading, INPUT_FLAWED, ERR_FIELD, 4, 32);
    next_is_record(reading, "c");
    assert_int_equal(input_line(&reading->input), 5);
    assert_int_equal(input_next(&reading->input), INPUT_END);
    assert_int_equal(input_next(&reading->input), INPUT_END);
}

static void a_json_array_is_read_record_by_record(void **state)
{
    (void) state;
    defer(reading_ended) struct reading *reading =
        reading_made("[ {\"kind\":\"need\",\"slug\":\"a\"},\n"
                     "  {\"kind\":\"need\",\n   \"slug\":\"b\", \"v\": 1.5},\n"
                     "  {\"kind\":\"need\",\"slug\":\"c\"}\n]\n",
                     "x.json");
    next_is_record(reading, "a");
    next_is(reading, INPUT_FLAWED, ERR_FIELD, 3, 21);
    next_is_record(reading, "c");
    assert_int_equal(input_line(&reading->input), 4);
    assert_int_equal(input_next(&reading->input), INPUT_END);
}

static void a_json_array_that_is_none_is_broken(void **state)
{
    (void) state;
    assert_flaw("[1]", "x.json", INPUT_BROKEN, ERR_SYNTAX, 1, 2);
    assert_flaw("\n]", "x.json", INPUT_BROKEN, ERR_SYNTAX, 2, 1);
    assert_flaw("[", "x.json", INPUT_BROKEN, ERR_SYNTAX, 1, 2);
    assert_flaw("{\"kind\":", "x.json", INPUT_BROKEN, ERR_SYNTAX, 1, 9);
    defer(reading_ended) struct reading *reading = reading_made(
        "[{\"kind\":\"need\",\"slug\":\"a\"} {\"kind\":\"need\",\"slug\":\"b\"}]", "x.json");
    next_is_record(reading, "a");
    next_is(reading, INPUT_BROKEN, ERR_SYNTAX, 1, 29);
}

static void yaml_documents_and_lists_are_read_record_by_record(void **state)
{
    (void) state;
    defer(reading_ended) struct reading *reading =
        reading_made("%YAML 1.2\n---\nkind: need\nslug: a\n...\n# between\n---\n"
                     "- kind: need\n  slug: b\n"
                     "- kind: need\n  slug: c\n  v: 1.5\n  w: [1, {x: y}]\n"
                     "- kind: need\n  slug: d\n"
                     "---\n---\n"
                     "kind: need\nslug: e\ntext: |\n  --- not a marker\n   ...\n",
                     "x.yaml");
    next_is_record(reading, "a");
    assert_int_equal(input_line(&reading->input), 3);
    next_is_record(reading, "b");
    assert_int_equal(input_line(&reading->input), 8);
    next_is(reading, INPUT_FLAWED, ERR_FIELD, 12, 6);
    next_is_record(reading, "d");
    assert_int_equal(input_line(&reading->input), 14);
    next_is_record(reading, "e");
    assert_int_equal(input_line(&reading->input), 18);
    assert_int_equal(input_next(&reading->input), INPUT_END);
}

static void broken_yaml_ends_its_file(void **state)
{
    (void) state;
    defer(reading_ended) struct reading *reading = reading_made(
        "kind: need\nslug: a\n---\nkind: need\nslug: \"b\n---\nkind: need\nslug: c\n", "x.yaml");
    next_is_record(reading, "a");
    assert_int_equal(input_next(&reading->input), INPUT_BROKEN);
    assert_err(reading->input.flaw.err, ERR_SYNTAX);
    assert_int_equal(reading->input.flaw.line, 5);
    assert_true(reading->input.flaw.detail[0] != '\0');
}

#define HEAD "kind: need\nslug: a\n"

static void what_yaml_can_do_beyond_records_is_refused(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        enum input_step step;
        enum err err;
        size_t line, column;
    } cases[] = {
        {HEAD "x: &anchor 1\n", INPUT_FLAWED, ERR_SYNTAX, 3, 12},
        {HEAD "x: *alias\n", INPUT_FLAWED, ERR_SYNTAX, 3, 5},
        {HEAD "x: !!str 1\n", INPUT_FLAWED, ERR_SYNTAX, 3, 10},
        {HEAD "x: !local {}\n", INPUT_FLAWED, ERR_SYNTAX, 3, 11},
        {HEAD "<<: {a: 1}\n", INPUT_FLAWED, ERR_SYNTAX, 3, 1},
        {HEAD "? [a]\n: 1\n", INPUT_FLAWED, ERR_SYNTAX, 3, 3},
        {"%TAG ! tag:x,2000:\n---\n" HEAD, INPUT_BROKEN, ERR_SYNTAX, 2, 1},
        {"just text\n", INPUT_BROKEN, ERR_SYNTAX, 1, 1},
        {"- just text\n", INPUT_BROKEN, ERR_SYNTAX, 1, 3},
        {HEAD "a\x1b", INPUT_BROKEN, ERR_SYNTAX, 3, 2},
        {HEAD "\xc3\xa9\xff", INPUT_BROKEN, ERR_SYNTAX, 3, 2},
        {HEAD "x: \"\\e\"\n", INPUT_FLAWED, ERR_FIELD, 3, 5},
        {HEAD "x: 01\n", INPUT_FLAWED, ERR_FIELD, 3, 4},
        {HEAD "x: +33\n", INPUT_FLAWED, ERR_FIELD, 3, 4},
        {HEAD "x: 1.5\n", INPUT_FLAWED, ERR_FIELD, 3, 4},
        {HEAD "x: .5e3\n", INPUT_FLAWED, ERR_FIELD, 3, 4},
        {HEAD "x: -.inf\n", INPUT_FLAWED, ERR_FIELD, 3, 4},
        {HEAD "x: .NaN\n", INPUT_FLAWED, ERR_FIELD, 3, 4},
        {HEAD "x: 18446744073709551616\n", INPUT_FLAWED, ERR_FIELD, 3, 4},
        {HEAD "x: -9223372036854775809\n", INPUT_FLAWED, ERR_FIELD, 3, 4},
        {HEAD "x: [1, ~]\n", INPUT_FLAWED, ERR_FIELD, 3, 8},
        {HEAD "t: {fr: x,\n    fr: y}\n", INPUT_FLAWED, ERR_FIELD, 4, 5},
        {HEAD "slug: b\n", INPUT_FLAWED, ERR_FIELD, 3, 1},
        {"kind: need\nslug: 12\n", INPUT_FLAWED, ERR_SLUG, 2, 1},
        {"kind: need\n", INPUT_FLAWED, ERR_SLUG, 1, 1},
        {"slug: a\n", INPUT_FLAWED, ERR_INVALID, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(reading_ended) struct reading *reading = reading_made(cases[i].text, "x.yaml");
        if (input_next(&reading->input) != cases[i].step ||
            reading->input.flaw.err != cases[i].err || reading->input.flaw.line != cases[i].line ||
            reading->input.flaw.column != cases[i].column) {
            fail_msg("%s: %s %zu:%zu", cases[i].text, err_code(reading->input.flaw.err),
                     reading->input.flaw.line, reading->input.flaw.column);
        }
    }
}

static void an_alias_bomb_costs_nothing(void **state)
{
    (void) state;
    assert_flaw("kind: need\nslug: a\nx: &a [l, l, l, l]\ny: &b [*a, *a, *a]\nz: [*b, *b]\n",
                "x.yaml", INPUT_FLAWED, ERR_SYNTAX, 3, 7);
}

static void empty_input_holds_no_record(void **state)
{
    (void) state;
    static const char *const texts[] = {"", "\n\n", "---\n", "# only words\n", "---\n...\n---\n"};
    static const char *const names[] = {"x.yaml", "x.ndjson", "x.json", NULL};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        defer(reading_ended) struct reading *reading = reading_made(texts[i], "x.yaml");
        assert_int_equal(input_next(&reading->input), INPUT_END);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        defer(reading_ended) struct reading *reading = reading_made(texts[1], names[i]);
        assert_int_equal(input_next(&reading->input), INPUT_END);
    }
}

static void a_line_of_over_a_mebibyte_is_passed_over(void **state)
{
    (void) state;
    FILE *file = tmpfile();
    assert_non_null(file);
    (void) fputs("{\"kind\":\"need\",\"slug\":\"a\"}\n{\"kind\":\"", file);
    for (unsigned i = 0; i < 3u << 20; i++) {
        (void) fputc('x', file);
    }
    (void) fputs("\"}\n{\"kind\":\"need\",\"slug\":\"b\"}\n", file);
    (void) fflush(file);
    rewind(file);
    defer(reading_ended) struct reading *reading = reading_made("", "x.ndjson");
    reading->input.fd = dup(fileno(file));
    reading->input.eof = false;
    next_is_record(reading, "a");
    next_is(reading, INPUT_FLAWED, ERR_SIZE, 2, 1);
    next_is_record(reading, "b");
    assert_int_equal(input_line(&reading->input), 3);
    assert_int_equal(input_next(&reading->input), INPUT_END);
    assert_true(reading->input.text.cap <= 4u << 20);
    (void) fclose(file);
}

static void blocks_may_end_anywhere(void **state)
{
    (void) state;
    static const char *const names[] = {"x.ndjson", "x.json", "x.yaml"};
    static const char *const records[] = {"{\"kind\":\"need\",\"slug\":\"s%u\",\"v\":\"%0*u\"}\n",
                                          "{\"kind\":\"need\",\n\"slug\":\"s%u\",\"v\":\"%0*u\"}\n",
                                          "---\nkind: need\nslug: s%u\nv: \"%0*u\"\n"};
    for (unsigned format = 0; format < 3; format++) {
        FILE *file = tmpfile();
        assert_non_null(file);
        for (unsigned i = 0; i < 2000; i++) {
            (void) fprintf(file, records[format], i, (int) (i % 997) + 1, i);
        }
        (void) fflush(file);
        rewind(file);
        defer(reading_ended) struct reading *reading = reading_made("", names[format]);
        reading->input.fd = dup(fileno(file));
        reading->input.eof = false;
        for (unsigned i = 0; i < 2000; i++) {
            char slug[16];
            (void) snprintf(slug, sizeof slug, "s%u", i);
            next_is_record(reading, slug);
            assert_int_equal(input_line(&reading->input), format == 0   ? i + 1
                                                          : format == 1 ? 2 * i + 1
                                                                        : 4 * i + 2);
        }
        assert_int_equal(input_next(&reading->input), INPUT_END);
        (void) fclose(file);
    }
}

static void fields_are_located_in_every_format(void **state)
{
    (void) state;
    static const struct {
        const char *text, *name, *field;
        size_t line, column;
    } cases[] = {
        {"- kind: need\n  slug: a\n- kind: need\n  slug: b\n  t:\n    fr: x\n", "x.yaml", "t.fr", 6,
         5},
        {"[{\"kind\":\"need\",\"slug\":\"a\"},\n "
         "{\"kind\":\"need\",\"slug\":\"b\",\n\"t\":{\"fr\":1}}]",
         "x.json", "t.fr", 3, 6},
        {"{\"kind\":\"need\",\"slug\":\"a\"}\n{\"kind\":\"need\",\"slug\":\"b\",\"t\":{\"fr\":1}}",
         "x.ndjson", "t.fr", 2, 32},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t line = 0;
        size_t column = 0;
        defer(reading_ended) struct reading *reading = reading_made(cases[i].text, cases[i].name);
        next_is_record(reading, "a");
        next_is_record(reading, "b");
        input_locate(&reading->input, cases[i].field, &line, &column);
        assert_int_equal(line, cases[i].line);
        assert_int_equal(column, cases[i].column);
        assert_string_equal(reading->build.slug, "b");
    }
}

static void a_record_is_checked_before_it_is_sent(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        enum err err;
        const char *field;
    } cases[] = {
        {"kind: innovation\nslug: a\ntitle: T\nsummary: S\n", ERR_OK, ""},
        {"kind: innovation\nslug: -a\ntitle: T\nsummary: S\n", ERR_SLUG, "slug"},
        {"kind: innovation\nslug: A\ntitle: T\nsummary: S\n", ERR_SLUG, "slug"},
        {"kind: poem\nslug: a\ntitle: T\nsummary: S\n", ERR_INVALID, "kind"},
        {"kind: innovation\nslug: a\nsummary: S\n", ERR_FIELD, "title"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_report report;
        struct flaw flaw = {0};
        defer(reading_ended) struct reading *reading = reading_made(cases[i].text, "x.yaml");
        assert_int_equal(input_next(&reading->input), INPUT_RECORD);
        assert_err(record_check(&reading->build, &report, &flaw), cases[i].err);
        assert_string_equal(flaw.field, cases[i].field);
    }
}

static void a_record_has_60_kib_and_not_a_byte_more(void **state)
{
    (void) state;
    defer(buf_done) struct buf text = {0};
    size_t accepted = 0;
    for (size_t size = ENTRY_SIZE_MAX - 100; size < ENTRY_SIZE_MAX; size++) {
        struct model_report report;
        struct flaw flaw = {0};
        buf_clear(&text);
        buf_put_str(&text, "kind: innovation\nslug: a\ntitle: T\nsummary: S\nbody: ");
        for (size_t i = 0; i < size; i++) {
            buf_put_u8(&text, 'x');
        }
        buf_put_u8(&text, '\0');
        defer(reading_ended) struct reading *reading =
            reading_made((const char *) text.data, "x.yaml");
        assert_int_equal(input_next(&reading->input), INPUT_RECORD);
        enum err err = record_check(&reading->build, &report, &flaw);
        assert_true(err == ERR_OK || err == ERR_SIZE);
        accepted += err == ERR_OK;
        if (err == ERR_SIZE) {
            break;
        }
    }
    assert_true(accepted > 10 && accepted < 100);
}

static void no_text_makes_the_readers_fail_otherwise_than_with_an_error(void **state)
{
    (void) state;
    static const char *const seeds[] = {
        HEAD "t: {fr: \"x\", en: 'y'}\nl:\n- a\n- {b: [1, 2]}\nz: |\n  q\n",
        "[{\"kind\":\"need\",\"slug\":\"a\",\"v\":[1,{\"b\":\"\\u00e9\"}]},{}]",
        "{\"kind\":\"need\",\"slug\":\"a\"}\n{\"kind\":\"need\",\"slug\":\"b\",\"x\":[1]}\n",
    };
    static const char *const names[] = {"x.yaml", "x.json", "x.ndjson"};
    static const char marks[] = "\n\n  :-{}[],&*!|>'\"#%?@`\\\t~<x0.";
    uint64_t seed = 11;
    for (unsigned round = 0; round < 6000; round++) {
        char text[256];
        (void) snprintf(text, sizeof text, "%s", seeds[round % 3]);
        size_t size = strlen(text);
        for (unsigned i = 0; i < 1 + round % 4; i++) {
            text[kit_random(&seed) % size] = marks[kit_random(&seed) % (sizeof marks - 1)];
        }
        defer(reading_ended) struct reading *reading = reading_made(text, names[round % 3]);
        enum input_step step = INPUT_RECORD;
        for (unsigned i = 0; i < 20 && (step == INPUT_RECORD || step == INPUT_FLAWED); i++) {
            step = input_next(&reading->input);
        }
        assert_true(step == INPUT_END || step == INPUT_BROKEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_and_json_give_the_same_bytes),
        cmocka_unit_test(the_format_is_told_by_name_and_else_by_the_text),
        cmocka_unit_test(a_bad_line_of_ndjson_leaves_the_others_alone),
        cmocka_unit_test(a_json_array_is_read_record_by_record),
        cmocka_unit_test(a_json_array_that_is_none_is_broken),
        cmocka_unit_test(yaml_documents_and_lists_are_read_record_by_record),
        cmocka_unit_test(broken_yaml_ends_its_file),
        cmocka_unit_test(what_yaml_can_do_beyond_records_is_refused),
        cmocka_unit_test(an_alias_bomb_costs_nothing),
        cmocka_unit_test(empty_input_holds_no_record),
        cmocka_unit_test(a_line_of_over_a_mebibyte_is_passed_over),
        cmocka_unit_test(blocks_may_end_anywhere),
        cmocka_unit_test(fields_are_located_in_every_format),
        cmocka_unit_test(a_record_is_checked_before_it_is_sent),
        cmocka_unit_test(a_record_has_60_kib_and_not_a_byte_more),
        cmocka_unit_test(no_text_makes_the_readers_fail_otherwise_than_with_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
