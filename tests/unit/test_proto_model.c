/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/model.c: each field with what passes and what does not, where the issue points, and that
 * every issue says something. Bodies are written as JSON here.
 */
#include "tests/unit/kit.h"

#include <jansson.h>

#include "base/defer.h"
#include "base/limits.h"
#include "proto/model.h"
#include "proto/pack.h"

/* One level of an open JSON container while it is packed. */
struct open {
    json_t *value;
    const char **keys; /* of an object, ascending */
    size_t count, next;
};

static int keys_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Packs the head of a value; true when it opened a container. */
static bool value_put(struct buf *into, json_t *value, struct open *open)
{
    *open = (struct open){.value = value};
    switch (json_typeof(value)) {
    case JSON_STRING:
        pack_str(into, bytes_of(json_string_value(value), json_string_length(value)));
        return false;
    case JSON_INTEGER:
        pack_int(into, json_integer_value(value));
        return false;
    case JSON_ARRAY:
        open->count = json_array_size(value);
        pack_array(into, open->count);
        return true;
    case JSON_OBJECT: {
        const char *key = NULL;
        json_t *item = NULL;
        open->keys = calloc(json_object_size(value) + 1, sizeof *open->keys);
        assert_non_null(open->keys);
        json_object_foreach(value, key, item)
        {
            open->keys[open->count++] = key;
        }
        qsort(open->keys, open->count, sizeof *open->keys, keys_compare);
        pack_map(into, open->count);
        return true;
    }
    default:
        json_is_null(value) ? pack_nil(into) : pack_bool(into, json_is_true(value));
        return false;
    }
}

static void json_put(struct buf *into, const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_DECODE_ANY, &error);
    if (root == NULL) {
        print_message("# %s: %s\n", text, error.text);
    }
    assert_non_null(root);
    struct open stack[16];
    size_t depth = value_put(into, root, &stack[0]) ? 1 : 0;
    while (depth > 0) {
        struct open *open = &stack[depth - 1];
        if (open->next == open->count) {
            free(open->keys);
            depth--;
            continue;
        }
        size_t next = open->next++;
        json_t *value = json_array_get(open->value, next);
        if (open->keys != NULL) {
            pack_cstr(into, open->keys[next]);
            value = json_object_get(open->value, open->keys[next]);
        }
        depth += value_put(into, value, &stack[depth]) ? 1 : 0;
    }
    json_decref(root);
}

static enum err check_json(const char *kind, const char *text, struct model_report *ret_report)
{
    defer(buf_done) struct buf body = {0};
    json_put(&body, text);
    struct bytes copy = kit_copy(buf_bytes(&body));
    memset(ret_report, 0xee, sizeof *ret_report);
    enum err err = model_check(bytes_of_str(kind), copy, ret_report);
    kit_free(copy);
    return err;
}

/* A body of kind "event" (which needs no theme) with one more field. */
static enum err check_field(const char *field, struct model_report *ret_report)
{
    defer(buf_done) struct buf text = {0};
    buf_printf(&text, "{\"title\": \"T\", \"summary\": \"S\", %s}", field);
    buf_put_u8(&text, 0);
    return check_json("event", (const char *) text.data, ret_report);
}

static void assert_said(const struct model_report *report)
{
    unsigned errors = 0;
    for (unsigned i = 0; i < report->count; i++) {
        const struct model_issue *issue = &report->issues[i];
        errors += issue->warning ? 0 : 1;
        assert_non_null(issue->text);
        assert_true(strlen(issue->text) > 5);
        assert_true(memchr(issue->field, '\0', sizeof issue->field) != NULL);
    }
    assert_true(errors == report->errors || report->count == MODEL_ISSUES_MAX);
}

static void the_eight_kinds_are_known(void **state)
{
    (void) state;
    static const char *const kinds[] = {"lab",      "innovation", "need",     "resource",
                                        "training", "event",      "adoption", "feedback"};
    unsigned count = 0;
    for (; model_kinds[count] != NULL; count++) {
        assert_true(model_kind_known(bytes_of_str(model_kinds[count])));
    }
    assert_int_equal(count, 8);
    for (unsigned i = 0; i < 8; i++) {
        struct model_report report;
        assert_true(model_kind_known(bytes_of_str(kinds[i])));
        assert_err(check_json(kinds[i], "{\"title\": \"T\", \"summary\": \"S\"}", &report), ERR_OK);
    }
    assert_false(model_kind_known(bytes_of_str("circle")));
    assert_false(model_kind_known(bytes_of_str("vouch")));
    assert_false(model_kind_known(bytes_of_str("")));
    assert_false(model_kind_known(bytes_of_str("labs")));
}

static void title_and_summary_are_all_an_entry_needs(void **state)
{
    (void) state;
    struct model_report report;
    assert_err(check_json("event", "{}", &report), ERR_FIELD);
    assert_int_equal(report.errors, 2);
    assert_int_equal(report.count, 2);
    assert_string_equal(report.issues[0].field, "summary");
    assert_string_equal(report.issues[1].field, "title");
    assert_said(&report);
    assert_err(check_json("event", "{\"title\": \"T\"}", &report), ERR_FIELD);
    assert_string_equal(report.issues[0].field, "summary");
    assert_err(check_json("event", "{\"summary\": \"T\", \"zzz\": 1}", &report), ERR_FIELD);
    assert_string_equal(report.issues[0].field, "title");
    assert_err(check_json("event", "{\"title\": \"T\", \"summary\": \"S\"}", &report), ERR_OK);
    assert_int_equal(report.count, 0);
    assert_int_equal(report.errors, 0);
}

static void a_full_entry_passes_without_a_word(void **state)
{
    (void) state;
    struct model_report report;
    enum err err = check_json(
        "innovation",
        "{\"title\": {\"fr\": \"Geotrek\", \"en\": \"Geotrek\"}, \"summary\": \"Gérer les "
        "sentiers\","
        "\"body\": {\"fr\": \"# Geotrek\\n\\nTexte\"}, \"lang\": \"fr\", \"url\": "
        "\"https://geotrek.fr\","
        "\"contact\": {\"email\": \"contact@ecrins.fr\", \"url\": \"https://geotrek.fr/contact\","
        "\"label\": {\"fr\": \"L'équipe\"}}, \"themes\": [\"05\", \"08\"], \"tags\": "
        "[\"randonnée\"],"
        "\"territory\": [\"dep:05\", \"fr\"], \"orgs\": [{\"name\": \"Parc\", \"id\": "
        "\"siren:732829320\", \"role\": \"owner\", \"type\": \"operator\"}],"
        "\"links\": [{\"rel\": \"repo\", \"url\": \"https://github.com/x\", \"title\": \"Code\"}],"
        "\"relations\": [{\"rel\": \"answers\", \"to\": \"un-besoin\"}],"
        "\"same_as\": [\"wikidata:Q1\"], \"seeking\": [\"adopters\"], \"review_by\": "
        "\"2026-01-01\","
        "\"audience\": \"public\", \"mt\": [\"en\"], \"data_licence\": \"etalab-2.0\","
        "\"source\": {\"format\": \"publiccode\", \"fetched\": \"2025-01-01\", \"url\": "
        "\"https://x.fr\", \"id\": \"1\", \"licence\": \"other\"},"
        "\"created\": \"2025-01-01T00:00:00Z\", \"updated\": \"2025-01-02T00:00:00Z\","
        "\"stage\": \"running\", \"unknown\": {\"a\": [1, null, true]}}",
        &report);
    for (unsigned i = 0; err != ERR_OK && i < report.count; i++) {
        print_message("# %s: %s\n", report.issues[i].field, report.issues[i].text);
    }
    assert_err(err, ERR_OK);
    assert_int_equal(report.count, 0);
}

/* One field, where the first issue must point; NULL: no issue. */
struct field_case {
    const char *field, *path;
};

static void check_cases(const struct field_case *cases, size_t count, bool warning)
{
    for (size_t i = 0; i < count; i++) {
        struct model_report report;
        enum err err = check_field(cases[i].field, &report);
        bool wrong = err != (cases[i].path == NULL || warning ? ERR_OK : ERR_FIELD) ||
                     report.count != (cases[i].path == NULL ? 0 : 1) ||
                     (report.count == 1 && (strcmp(report.issues[0].field, cases[i].path) != 0 ||
                                            report.issues[0].warning != warning));
        if (wrong) {
            print_message("# %s: %u issues, first %s\n", cases[i].field, report.count,
                          report.count > 0 ? report.issues[0].field : "none");
            fail();
        }
        assert_said(&report);
        if (report.count > 0) {
            assert_non_null(report.issues[0].hint);
        }
    }
}
#define CHECK_CASES(cases, warning) check_cases(cases, sizeof(cases) / sizeof(cases)[0], warning)

static void texts_may_have_languages(void **state)
{
    (void) state;
    static const struct field_case cases[] = {
        {"\"body\": \"x\"", NULL},
        {"\"body\": {\"fr\": \"x\", \"pt-BR\": \"y\"}", NULL},
        {"\"body\": \"\"", "body"},
        {"\"body\": \" \\n\\t\"", "body"},
        {"\"body\": \"!\"", NULL},
        {"\"body\": {}", "body"},
        {"\"body\": []", "body"},
        {"\"body\": 4", "body"},
        {"\"body\": null", "body"},
        {"\"body\": true", "body"},
        {"\"body\": {\"fr\": \"\"}", "body.fr"},
        {"\"body\": {\"fr\": 4}", "body.fr"},
        {"\"body\": {\"fr\": {\"fr\": \"x\"}}", "body.fr"},
        {"\"body\": {\"français\": \"x\"}", "body.français"},
        {"\"body\": {\"\": \"x\"}", "body.\"\""},
    };
    CHECK_CASES(cases, false);
}

static void each_field_tells_right_from_wrong(void **state)
{
    (void) state;
    static const struct field_case cases[] = {
        {"\"lang\": \"fr\"", NULL},
        {"\"lang\": \"français\"", "lang"},
        {"\"lang\": 3", "lang"},
        {"\"url\": \"https://a.fr\"", NULL},
        {"\"url\": \"a.fr\"", "url"},
        {"\"url\": \"javascript:alert(1)\"", "url"},
        {"\"url\": [\"https://a.fr\"]", "url"},
        {"\"contact\": {\"email\": \"lab@a.fr\"}", NULL},
        {"\"contact\": {\"other\": 1}", NULL},
        {"\"contact\": {\"email\": \"lab@a.fr\"}, \"label\": 5", NULL},
        {"\"contact\": {}", "contact"},
        {"\"contact\": \"lab@a.fr\"", "contact"},
        {"\"contact\": {\"email\": \"lab\"}", "contact.email"},
        {"\"contact\": {\"email\": 5}", "contact.email"},
        {"\"contact\": {\"url\": \"x\"}", "contact.url"},
        {"\"contact\": {\"label\": {\"fr\": \"\"}}", "contact.label.fr"},
        {"\"created\": \"2025-01-01T00:00:00Z\"", NULL},
        {"\"created\": \"2025-01-01\"", "created"},
        {"\"updated\": \"hier\"", "updated"},
        {"\"review_by\": \"2025-02-28\"", NULL},
        {"\"review_by\": \"2025-02-30\"", "review_by"},
        {"\"review_by\": 2025", "review_by"},
        {"\"audience\": \"public\"", NULL},
        {"\"audience\": \"lab4lab\"", "audience"},
        {"\"audience\": null", "audience"},
        {"\"data_licence\": \"etalab-2.0\"", NULL},
        {"\"data_licence\": \"Licence Ouverte / Étalab\"", "data_licence"},
        {"\"data_licence\": 1", "data_licence"},
        {"\"id\": \"x\"", "id"},
        {"\"rev\": 1", "rev"},
        {"\"kind\": \"event\"", "kind"},
        {"\"slug\": \"x\"", "slug"},
    };
    CHECK_CASES(cases, false);
}

static void each_list_tells_which_item_is_wrong(void **state)
{
    (void) state;
    static const struct field_case cases[] = {
        {"\"themes\": [\"01\", \"10\"]", NULL},
        {"\"themes\": [\"01\", \"11\"]", "themes[1]"},
        {"\"themes\": [1]", "themes[0]"},
        {"\"themes\": \"01\"", "themes"},
        {"\"tags\": []", NULL},
        {"\"tags\": [\"a\", \"\"]", "tags[1]"},
        {"\"tags\": [\"a\", 2]", "tags[1]"},
        {"\"tags\": {\"a\": 1}", "tags"},
        {"\"territory\": [\"fr\", \"com:35238\"]", NULL},
        {"\"territory\": [\"fr\", \"Rennes\"]", "territory[1]"},
        {"\"territory\": [5]", "territory[0]"},
        {"\"same_as\": [\"wikidata:Q1\"]", NULL},
        {"\"same_as\": [\"Q1\"]", "same_as[0]"},
        {"\"same_as\": [null]", "same_as[0]"},
        {"\"seeking\": [\"adopters\", \"host\"]", NULL},
        {"\"seeking\": [\"adopters\", \"money\"]", "seeking[1]"},
        {"\"mt\": [\"en\"]", NULL},
        {"\"mt\": [\"en\", \"f\"]", "mt[1]"},
        {"\"links\": [{\"rel\": \"doc\", \"url\": \"https://a.fr\"}]", NULL},
        {"\"links\": [\"https://a.fr\"]", "links[0]"},
        {"\"links\": {}", "links"},
        {"\"links\": [{\"url\": \"https://a.fr\"}]", "links[0].rel"},
        {"\"links\": [{\"rel\": \"doc\"}]", "links[0].url"},
        {"\"links\": [{\"rel\": \"docs\", \"url\": \"https://a.fr\"}]", "links[0].rel"},
        {"\"links\": [{\"rel\": \"doc\", \"url\": \"a\"}]", "links[0].url"},
        {"\"links\": [{\"rel\": \"doc\", \"url\": \"https://a.fr\", \"title\": {\"fr\": 1}}]",
         "links[0].title.fr"},
        {"\"orgs\": [{\"name\": \"N\", \"role\": \"owner\"}]", NULL},
        {"\"orgs\": [{\"name\": \"N\", \"role\": \"boss\"}]", "orgs[0].role"},
        {"\"orgs\": [{\"name\": \"N\"}]", "orgs[0].role"},
        {"\"orgs\": [{\"role\": \"owner\"}]", "orgs[0].name"},
        {"\"orgs\": [{\"name\": \"N\", \"role\": \"owner\", \"id\": \"N\"}]", "orgs[0].id"},
        {"\"orgs\": [{\"name\": \"N\", \"role\": \"owner\", \"type\": \"\"}]", "orgs[0].type"},
        {"\"orgs\": [{\"name\": {\"fr\": \"\"}, \"role\": \"owner\"}]", "orgs[0].name.fr"},
        {"\"relations\": [{\"rel\": \"uses\", \"to\": \"x\"}]", NULL},
        {"\"relations\": [{\"rel\": \"uses\", \"to\": \"Ti Lab/x\"}]", "relations[0].to"},
        {"\"relations\": [{\"rel\": \"used\", \"to\": \"x\"}]", "relations[0].rel"},
        {"\"relations\": [{\"to\": \"x\"}]", "relations[0].rel"},
        {"\"relations\": [{\"rel\": \"uses\"}]", "relations[0].to"},
        {"\"source\": {\"format\": \"csv\", \"fetched\": \"2025-01-01T00:00:00Z\"}", NULL},
        {"\"source\": {\"format\": \"csv\", \"fetched\": \"2025-01-01\", \"sha256\": 5}",
         "source.sha256"},
        {"\"source\": {\"format\": \"csv\", \"fetched\": \"2025-01-01\", \"sha256\": "
         "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}",
         NULL},
        {"\"source\": []", "source"},
        {"\"source\": {\"format\": \"csv\"}", "source.fetched"},
        {"\"source\": {\"fetched\": \"2025-01-01\"}", "source.format"},
        {"\"source\": {\"format\": \"csv\", \"fetched\": \"x\"}", "source.fetched"},
        {"\"source\": {\"format\": \"csv\", \"fetched\": 5}", "source.fetched"},
        {"\"source\": {\"format\": \"csv\", \"fetched\": \"2025-01-01\", \"sha256\": \"ab\"}",
         "source.sha256"},
        {"\"source\": {\"format\": \"csv\", \"fetched\": \"2025-01-01\", \"url\": \"ab\"}",
         "source.url"},
    };
    CHECK_CASES(cases, false);
}

static void doubts_are_warnings_and_pass(void **state)
{
    (void) state;
    static const struct field_case cases[] = {
        {"\"contact\": {\"email\": \"camille.martin@a.fr\"}", "contact.email"},
        {"\"territory\": [\"statbel:21004\"]", "territory[0]"},
        {"\"orgs\": [{\"name\": \"N\", \"role\": \"owner\", \"id\": \"siren:123456789\"}]",
         "orgs[0].id"},
    };
    CHECK_CASES(cases, true);
}

static void an_innovation_or_a_need_without_theme_is_warned(void **state)
{
    (void) state;
    static const char *const kinds[] = {"innovation", "need", "event"};
    for (unsigned i = 0; i < 3; i++) {
        struct model_report report;
        assert_err(check_json(kinds[i], "{\"title\": \"T\", \"summary\": \"S\"}", &report), ERR_OK);
        assert_int_equal(report.count, i < 2 ? 1 : 0);
        assert_err(
            check_json(kinds[i], "{\"title\": \"T\", \"summary\": \"S\", \"themes\": []}", &report),
            ERR_OK);
        assert_int_equal(report.count, i < 2 ? 1 : 0);
        if (i < 2) {
            assert_true(report.issues[0].warning);
            assert_string_equal(report.issues[0].field, "themes");
        }
        assert_err(check_json(kinds[i],
                              "{\"title\": \"T\", \"summary\": \"S\", \"themes\": [\"05\"]}",
                              &report),
                   ERR_OK);
        assert_int_equal(report.count, 0);
    }
}

/* A body whose `field` is `count` times the letter é. */
static enum err check_long(const char *field, size_t count)
{
    defer(buf_done) struct buf text = {0};
    struct model_report report;
    bool title = strcmp(field, "title") == 0, summary = strcmp(field, "summary") == 0;
    buf_put_str(&text, title ? "{\"summary\": \"S\"" : "{\"title\": \"T\"");
    buf_put_str(&text, title || summary ? "" : ", \"summary\": \"S\"");
    buf_put_str(&text, title || summary ? ", \"" : ", \"tags\": [\"");
    buf_put_str(&text, title || summary ? field : "");
    buf_put_str(&text, title || summary ? "\": \"" : "");
    for (size_t i = 0; i < count; i++) {
        buf_put_str(&text, "é");
    }
    buf_put_str(&text, title || summary ? "\"}" : "\"]}");
    buf_put_u8(&text, 0);
    enum err err = check_json("event", (const char *) text.data, &report);
    assert_int_equal(report.errors, err == ERR_OK ? 0 : 1);
    return err;
}

static void lengths_are_counted_in_characters(void **state)
{
    (void) state;
    assert_err(check_long("title", 200), ERR_OK);
    assert_err(check_long("title", 201), ERR_FIELD);
    assert_err(check_long("summary", 500), ERR_OK);
    assert_err(check_long("summary", 501), ERR_FIELD);
    assert_err(check_long("tag", 40), ERR_OK);
    assert_err(check_long("tag", 41), ERR_FIELD);
}

static void there_are_at_most_20_tags(void **state)
{
    (void) state;
    for (unsigned count = 20; count <= 21; count++) {
        defer(buf_done) struct buf text = {0};
        struct model_report report;
        buf_put_str(&text, "\"tags\": [\"a\"");
        for (unsigned i = 1; i < count; i++) {
            buf_put_str(&text, ", \"a\"");
        }
        buf_put_str(&text, "]");
        buf_put_u8(&text, 0);
        assert_err(check_field((const char *) text.data, &report),
                   count == 20 ? ERR_OK : ERR_FIELD);
    }
}

static void every_error_counts_even_when_no_more_are_kept(void **state)
{
    (void) state;
    struct model_report report;
    assert_err(
        check_field("\"seeking\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]", &report),
        ERR_FIELD);
    assert_int_equal(report.count, MODEL_ISSUES_MAX);
    assert_int_equal(report.errors, 20);
    assert_string_equal(report.issues[15].field, "seeking[15]");
    assert_said(&report);
}

static void a_path_too_long_is_cut_between_characters(void **state)
{
    (void) state;
    defer(buf_done) struct buf text = {0};
    struct model_report report;
    buf_put_str(&text, "\"body\": {\"a");
    for (unsigned i = 0; i < 200; i++) {
        buf_put_str(&text, "é");
    }
    buf_put_str(&text, "\": \"x\"}");
    buf_put_u8(&text, 0);
    assert_err(check_field((const char *) text.data, &report), ERR_FIELD);
    assert_int_equal(strlen(report.issues[0].field), MODEL_PATH_MAX - 2);
    assert_memory_equal(report.issues[0].field + MODEL_PATH_MAX - 4, "é", 3);
    /* and what follows a full path finds no room, without harm */
    assert_said(&report);
}

static void what_is_no_body_is_refused(void **state)
{
    (void) state;
    struct model_report report;
    assert_err(check_json("circle", "{\"title\": \"T\", \"summary\": \"S\"}", &report), ERR_FIELD);
    assert_string_equal(report.issues[0].field, "kind");
    assert_err(check_json("event", "[]", &report), ERR_FIELD);
    assert_string_equal(report.issues[0].field, "");
    static const char *const bad[] = {"", "c1", "82a162c0a161c0", "81a161ca00000000", "8000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        defer(buf_done) struct buf body = {0};
        kit_hex(&body, bad[i]);
        assert_err(model_check(bytes_of_str("event"), buf_bytes(&body), &report), ERR_FIELD);
        assert_int_equal(report.errors, 1);
    }
    static const uint8_t zeroes[ENTRY_SIZE_MAX + 1];
    assert_err(model_check(bytes_of_str("event"), BYTES_OF_ARRAY(zeroes), &report), ERR_FIELD);
    assert_non_null(strstr(report.issues[0].text, "large"));
}

static void random_bodies_never_harm(void **state)
{
    (void) state;
    uint64_t seed = 6;
    defer(buf_done) struct buf body = {0};
    json_put(&body, "{\"title\": {\"fr\": \"T\"}, \"summary\": \"S\", \"contact\": {\"email\": "
                    "\"a@b.fr\"}, \"orgs\": [{\"name\": \"N\", \"role\": \"owner\"}], \"tags\": "
                    "[\"a\", \"b\"], \"themes\": [\"01\"], \"url\": \"https://a.fr\"}");
    for (unsigned round = 0; round < 100000; round++) {
        struct bytes copy = kit_copy(buf_bytes(&body));
        uint8_t *at = (uint8_t *) (uintptr_t) copy.data;
        for (unsigned i = 0; i <= round % 3; i++) {
            at[kit_random(&seed) % copy.size] = (uint8_t) kit_random(&seed);
        }
        struct model_report report;
        enum err err = model_check(bytes_of_str("need"), copy, &report);
        assert_true((err == ERR_OK) == (report.errors == 0));
        kit_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_eight_kinds_are_known),
        cmocka_unit_test(title_and_summary_are_all_an_entry_needs),
        cmocka_unit_test(a_full_entry_passes_without_a_word),
        cmocka_unit_test(texts_may_have_languages),
        cmocka_unit_test(each_field_tells_right_from_wrong),
        cmocka_unit_test(each_list_tells_which_item_is_wrong),
        cmocka_unit_test(doubts_are_warnings_and_pass),
        cmocka_unit_test(an_innovation_or_a_need_without_theme_is_warned),
        cmocka_unit_test(lengths_are_counted_in_characters),
        cmocka_unit_test(there_are_at_most_20_tags),
        cmocka_unit_test(every_error_counts_even_when_no_more_are_kept),
        cmocka_unit_test(a_path_too_long_is_cut_between_characters),
        cmocka_unit_test(what_is_no_body_is_refused),
        cmocka_unit_test(random_bodies_never_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
