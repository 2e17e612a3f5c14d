/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/lang.c: which language is spoken, and which text of a map is shown. */
#include "tests/unit/kit.h"

#include "cli/lang.h"

static void environment_clear(void)
{
    static const char *const names[] = {"ESSAIM_LANG", "LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
}

static void assert_wanted(const char *option, const char *wanted)
{
    char tag[LANG_SIZE_MAX];
    lang_wanted(option, tag);
    assert_string_equal(tag, wanted);
}

static void the_first_that_is_set_decides(void **state)
{
    (void) state;
    environment_clear();
    assert_wanted(NULL, "fr");
    assert_wanted("", "fr");
    assert_wanted("pt-BR", "pt-BR");
    assert_int_equal(setenv("LANG", "en_US.UTF-8", 1), 0);
    assert_wanted(NULL, "en-US");
    assert_int_equal(setenv("LC_MESSAGES", "br_FR@euro", 1), 0);
    assert_wanted(NULL, "br-FR");
    assert_int_equal(setenv("LC_ALL", "C", 1), 0);
    assert_wanted(NULL, "fr");
    assert_int_equal(setenv("LC_ALL", "", 1), 0);
    assert_wanted(NULL, "br-FR");
    assert_int_equal(setenv("ESSAIM_LANG", "en", 1), 0);
    assert_wanted(NULL, "en");
    assert_wanted("fr", "fr");
    environment_clear();
}

static void the_c_locale_is_french(void **state)
{
    (void) state;
    assert_wanted("C", "fr");
    assert_wanted("C.UTF-8", "fr");
    assert_wanted("POSIX", "fr");
    assert_wanted("a-language-tag-that-is-much-too-long-to-be-one", "fr");
}

static void english_is_en_and_its_regions_only(void **state)
{
    (void) state;
    assert_true(lang_is_english("en"));
    assert_true(lang_is_english("EN-gb"));
    assert_false(lang_is_english("eng"));
    assert_false(lang_is_english("e"));
    assert_false(lang_is_english(""));
    assert_false(lang_is_english("fr"));
}

static void assert_picked(const char *map, const char *wanted, const char *entry_lang,
                          const char *text, const char *tag)
{
    const char *used = NULL;
    json_t *value = json_loads(map, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    const char *picked = lang_pick(value, wanted, entry_lang, &used);
    if (text == NULL) {
        assert_null(picked);
    } else {
        assert_non_null(picked);
        assert_string_equal(picked, text);
        assert_string_equal(used, tag);
    }
    json_decref(value);
}

static void asked_then_parents_then_own_then_english_then_first(void **state)
{
    (void) state;
    const char *map = "{\"fr\":\"F\",\"en\":\"E\",\"br\":\"B\",\"fr-CA\":\"C\",\"ca-ES\":\"A\"}";
    assert_picked(map, "fr-CA", "br", "C", "fr-CA");
    assert_picked(map, "fr-CA-x", "br", "C", "fr-CA");
    assert_picked(map, "fr-BE", "br", "F", "fr");
    assert_picked(map, "FR", "br", "F", "fr");
    assert_picked(map, "oc", "br", "B", "br");
    assert_picked(map, "oc", "oc", "E", "en");
    assert_picked("{\"it\":\"I\",\"de\":\"D\"}", "oc", "oc", "D", "de");
    assert_picked("{\"it\":\"I\",\"de\":\"D\"}", "", "", "D", "de");
}

static void an_empty_text_is_no_text(void **state)
{
    (void) state;
    assert_picked("{\"fr\":\"\",\"it\":\"I\"}", "fr", "fr", "I", "it");
    assert_picked("{\"fr\":\"\"}", "fr", "fr", NULL, NULL);
    assert_picked("{\"fr\":12,\"it\":\"I\"}", "fr", "fr", "I", "it");
    assert_picked("{}", "fr", "fr", NULL, NULL);
    assert_picked("\"\"", "fr", "fr", NULL, NULL);
    assert_picked("[1]", "fr", "fr", NULL, NULL);
}

static void a_plain_text_is_of_the_entrys_language(void **state)
{
    (void) state;
    assert_picked("\"T\"", "en", "br", "T", "br");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_is_set_decides),
        cmocka_unit_test(the_c_locale_is_french),
        cmocka_unit_test(english_is_en_and_its_regions_only),
        cmocka_unit_test(asked_then_parents_then_own_then_english_then_first),
        cmocka_unit_test(an_empty_text_is_no_text),
        cmocka_unit_test(a_plain_text_is_of_the_entrys_language),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
