/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/pattern.c: for each shape, what is one and what is almost one. */
#include "tests/unit/kit.h"

#include "proto/pattern.h"

typedef bool pattern(struct bytes text);

/* Lists end with NULL. Each text stands in a block of its exact size. */
static void expect_all(pattern *fits, const char *const *texts, bool wanted)
{
    for (; *texts != NULL; texts++) {
        struct bytes copy = kit_copy(bytes_of_str(*texts));
        if (fits(copy) != wanted) {
            print_message("# \"%s\" should%s fit\n", *texts, wanted ? "" : " not");
            fail();
        }
        kit_free(copy);
    }
}

static void a_language_is_a_bcp_47_tag(void **state)
{
    (void) state;
    static const char *const good[] = {
        "fr",         "en",       "br",       "pt-BR",     "ca-ES-valencia",
        "zh-Hant-TW", "x-essaim", "en-a-bbb", "i-klingon", "de-1996",
        "oci",        NULL};
    static const char *const bad[] = {"",          "f",
                                      "x",         "x-",
                                      "français",  "fr_FR",
                                      "fr-",       "-fr",
                                      "fr--FR",    "12",
                                      "fr FR",     "fr-ninechars",
                                      "ninechars", "fr-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa",
                                      "a-b",       NULL};
    expect_all(pattern_lang, good, true);
    expect_all(pattern_lang, bad, false);
}

static void a_uri_is_absolute_and_runs_nothing(void **state)
{
    (void) state;
    static const char *const good[] = {"https://example.fr",
                                       "http://example.fr/a?b#c",
                                       "HTTPS://EXAMPLE.FR/",
                                       "mailto:a@b.fr",
                                       "urn:isbn:1",
                                       "wikidata:Q42",
                                       "did:key:z6Mk",
                                       "git+ssh://h/p",
                                       "https://fr.wikipedia.org/wiki/Élection",
                                       "doi:10.1/x",
                                       "x:y",
                                       "https://a/\xc2\xa1",
                                       NULL};
    static const char *const bad[] = {"",
                                      ":",
                                      "a",
                                      "a:",
                                      "example.fr",
                                      "/page",
                                      "//example.fr/",
                                      "1a:b",
                                      "javascript:alert(1)",
                                      "JavaScript:alert(1)",
                                      "data:text/html,x",
                                      "vbscript:x",
                                      "file:///etc/passwd",
                                      "http:",
                                      "http:/a",
                                      "https://",
                                      "https:///a",
                                      "https://?q",
                                      "https://#f",
                                      "https://a b",
                                      "https://a\nb",
                                      "https://a\tb",
                                      "https://a\x7f",
                                      "https://a\"b",
                                      "https://a<b",
                                      "https://a>b",
                                      "https://a\\b",
                                      "https://a`b",
                                      "ht_tp://a",
                                      "https://a\xc2\xa0"
                                      "b", /* no-break space */
                                      "https://a\xe2\x80\x8b"
                                      "b", /* zero width space */
                                      "https://a\xe2\x80\xae"
                                      "b", /* right-to-left override */
                                      "https://a\xe2\x81\xa6"
                                      "b", /* isolate */
                                      "https://a\xef\xbb\xbf"
                                      "b", /* byte order mark */
                                      "https://a\xc2\x9d"
                                      "b",                      /* C1 control */
                                      "https://a\xc2\xad/",     /* soft hyphen */
                                      "https://a\xd8\x9c/",     /* Arabic letter mark */
                                      "https://a\xe2\x80\xa8/", /* line separator */
                                      "https://a\xe3\x80\x80/", /* wide space */
                                      "https://a\xe1\x9a\x80/", /* ogham space */
                                      "https://a\xc2\x80/",     /* C1 control */
                                      "https://a\xc2\xa0/",     /* no-break space */
                                      NULL};
    expect_all(pattern_uri, good, true);
    expect_all(pattern_uri, bad, false);
    expect_all(pattern_link, bad, false);
}

static void a_uri_has_its_greatest_size(void **state)
{
    (void) state;
    char text[URI_SIZE_MAX + 1] = "https://";
    memset(text + 8, 'a', sizeof text - 8);
    assert_true(pattern_uri(bytes_of(text, URI_SIZE_MAX)));
    assert_false(pattern_uri(bytes_of(text, URI_SIZE_MAX + 1)));
}

static void a_link_has_a_scheme_that_can_be_followed(void **state)
{
    (void) state;
    static const char *const good[] = {"https://a.fr",  "http://a", "mailto:lab@a.fr",  "git://a/b",
                                       "ssh://git@a/b", "ftp://a/", "tel:+33123456789", NULL};
    static const char *const bad[] = {"wikidata:Q42", "did:key:z6Mk", "foo:bar", "httpss://a",
                                      NULL};
    expect_all(pattern_link, good, true);
    expect_all(pattern_link, bad, false);
}

static void a_mail_address_has_one_at_and_a_domain(void **state)
{
    (void) state;
    static const char *const good[] = {"lab@region.fr", "a@b.c", "lab+x@sub.region.fr", NULL};
    static const char *const bad[] = {
        "",           "lab",         "@region.fr",     "lab@",
        "lab@region", "a@b@c.fr",    "lab @region.fr", "lab@region.fr ",
        "lab@.fr",    "lab@region.", "lab@reg ion.fr", NULL};
    expect_all(pattern_email, good, true);
    expect_all(pattern_email, bad, false);
}

static void a_persons_address_is_told_from_a_roles(void **state)
{
    (void) state;
    static const char *const persons[] = {"camille.martin@region.fr", "Jean-Luc.Le-Goff@a.fr",
                                          "zoé.durand@a.fr", NULL};
    static const char *const roles[] = {"contact@region.fr",
                                        "labo.innovation@region.fr",
                                        "region.sud@a.fr",
                                        "c.martin@a.fr",
                                        "a.b@c.fr",
                                        "camille.m@a.fr",
                                        "equipe.numerique@a.fr",
                                        "lab4.lab5@a.fr",
                                        "a.b.c@d.fr",
                                        "camille.martin",
                                        ".@",
                                        "",
                                        "contact.Lab@region.fr",
                                        NULL};
    expect_all(pattern_email_personal, persons, true);
    expect_all(pattern_email_personal, roles, false);
}

static void a_date_is_a_day_that_exists(void **state)
{
    (void) state;
    static const char *const good[] = {"2025-03-31", "2024-02-29", "2000-02-29",
                                       "0001-01-01", "9999-12-31", NULL};
    static const char *const bad[] = {
        "",           "2025-3-1",   "2025-02-29",  "1900-02-29", "2025-04-31",
        "2025-00-10", "2025-13-01", "2025-01-00",  "2025-01-32", "0000-01-01",
        "2025/03/31", "31-03-2025", "2025-03-31 ", "2025-03-3a", "2025-03-31T00:00:00Z",
        "20250331",   NULL};
    expect_all(pattern_date, good, true);
    expect_all(pattern_date, bad, false);
}

static void a_timestamp_is_rfc_3339_in_utc(void **state)
{
    (void) state;
    static const char *const good[] = {"2025-03-31T14:00:00Z",
                                       "2025-03-31T23:59:60Z",
                                       "2025-03-31T00:00:00.5Z",
                                       "2025-03-31T00:00:00.123456Z",
                                       "2025-03-31T00:00:00.1234567890123456789Z",
                                       NULL};
    static const char *const bad[] = {"",
                                      "2025-03-31",
                                      "2025-03-31T14:00:00",
                                      "2025-03-31T14:00:00+02:00",
                                      "2025-03-31 14:00:00Z",
                                      "2025-03-31t14:00:00Z",
                                      "2025-03-31T14:00:00z",
                                      "2025-03-31T24:00:00Z",
                                      "2025-03-31T14:60:00Z",
                                      "2025-03-31T14:00:61Z",
                                      "2025-02-30T14:00:00Z",
                                      "2025-03-31T14:00:00.Z",
                                      "2025-03-31T14:00:00.5aZ",
                                      "2025-03-31T14-00:00Z",
                                      "2025-03-31T14:00-00Z",
                                      "2025-03-31T14:00:00x5Z",
                                      "2025-03-31T1a:00:00Z",
                                      "2025-03-31T14:00:00.12345678901234567890Z",
                                      NULL};
    expect_all(pattern_timestamp, good, true);
    expect_all(pattern_timestamp, bad, false);
}

static void expect_fit(enum fit (*fit_of)(struct bytes text), const char *const *texts,
                       enum fit wanted)
{
    for (; *texts != NULL; texts++) {
        struct bytes copy = kit_copy(bytes_of_str(*texts));
        enum fit fit = fit_of(copy);
        if (fit != wanted) {
            print_message("# \"%s\" gives %d\n", *texts, (int) fit);
            fail();
        }
        kit_free(copy);
    }
}

static void territories_are_codes(void **state)
{
    (void) state;
    static const char *const good[] = {
        "com:35238", "com:2A004", "com:2B033", "com:97411",      "dep:2A",     "dep:01", "dep:95",
        "dep:974",   "reg:53",    "reg:01",    "epci:243500139", "fr",         "IT",     "FR",
        "FR-BRE",    "FR-75C",    "nuts:FR",   "nuts:FRH0",      "nuts:FRH03", "AT-1",   NULL};
    static const char *const unsure[] = {"statbel:21004", "geonames:2988507", "osm:relation-1",
                                         NULL};
    static const char *const bad[] = {"",           "com:",      "com:3523",      "com:352380",
                                      "com:3A238",  "com:2C004", "com:00001",     "com:99001",
                                      "dep:",       "dep:1",     "dep:00",        "dep:96",
                                      "dep:2C",     "dep:969",   "dep:990",       "reg:5",
                                      "reg:533",    "reg:2A",    "epci:24350013", "epci:24350013x",
                                      "nuts:",      "nuts:fr",   "nuts:FRH033",   "F",
                                      "it",         "FRA",       "FR-",           "FR-BRET",
                                      "FR-br",      "FR_BRE",    "Bretagne",      "35238",
                                      "com :35238", "abc:",      ":abc",          "abc:d e",
                                      "Abc:d",      NULL};
    expect_fit(pattern_territory, good, FIT_YES);
    expect_fit(pattern_territory, unsure, FIT_UNSURE);
    expect_fit(pattern_territory, bad, FIT_NO);
}

static void organisations_are_numbers_with_their_check_digits(void **state)
{
    (void) state;
    static const char *const good[] = {"siren:732829320",
                                       "siret:73282932000074",
                                       "siren:356000000",
                                       "siret:35600000000048",
                                       "siret:35600000009075",
                                       "rna:W751234567",
                                       "ror:03yrm5c26",
                                       "wikidata:Q142",
                                       "wikidata:Q1",
                                       "https://example.org/id/1",
                                       NULL};
    static const char *const unsure[] = {"siren:732829321", "siret:73282932000075",
                                         "siret:35600000009076", "siren:123456789", NULL};
    static const char *const bad[] = {"",
                                      "siren:",
                                      "siren:73282932",
                                      "siren:7328293200",
                                      "siren:73282932x",
                                      "siret:732829320",
                                      "rna:751234567",
                                      "rna:W75123456",
                                      "rna:W75123456-",
                                      "ror:03yrm5c2",
                                      "ror:03yrm5c2-",
                                      "wikidata:142",
                                      "wikidata:Q",
                                      "wikidata:Q1x",
                                      "Ville de Rennes",
                                      NULL};
    expect_fit(pattern_org, good, FIT_YES);
    expect_fit(pattern_org, unsure, FIT_UNSURE);
    expect_fit(pattern_org, bad, FIT_NO);
}

static void licences_have_spdx_characters(void **state)
{
    (void) state;
    static const char *const good[] = {
        "etalab-2.0",   "CC-BY-4.0", "EUPL-1.2", "other", "(MIT OR Apache-2.0) AND GPL-2.0+",
        "LicenseRef-x", NULL};
    static const char *const bad[] = {"", " MIT", "MIT/GPL", "Licence ouverte é", "MIT\n", NULL};
    expect_all(pattern_licence, good, true);
    expect_all(pattern_licence, bad, false);
    char text[201];
    memset(text, 'a', sizeof text);
    assert_true(pattern_licence(bytes_of(text, 200)));
    assert_false(pattern_licence(bytes_of(text, 201)));
}

static void a_sha256_has_64_small_digits(void **state)
{
    (void) state;
    char text[65];
    memset(text, 'a', sizeof text);
    memset(text, '9', 9);
    assert_true(pattern_sha256(bytes_of(text, 64)));
    assert_false(pattern_sha256(bytes_of(text, 63)));
    assert_false(pattern_sha256(bytes_of(text, 65)));
    text[5] = 'g';
    assert_false(pattern_sha256(bytes_of(text, 64)));
    text[5] = 'A';
    assert_false(pattern_sha256(bytes_of(text, 64)));
}

#define DID "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"

static void a_reference_is_an_entry_or_a_uri(void **state)
{
    (void) state;
    static const char *const good[] = {"geotrek",        DID "/geotrek", DID "/a",
                                       "https://a.fr/x", "wikidata:Q1",  NULL};
    static const char *const bad[] = {
        "",      "Geotrek",      "Ti Lab/geotrek", "ti-lab/geotrek",       DID,
        DID "/", DID "/Geotrek", DID "/a/b",       "did:key:z6Mk/geotrek", NULL};
    expect_all(pattern_ref, good, true);
    expect_all(pattern_ref, bad, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_language_is_a_bcp_47_tag),
        cmocka_unit_test(a_uri_is_absolute_and_runs_nothing),
        cmocka_unit_test(a_uri_has_its_greatest_size),
        cmocka_unit_test(a_link_has_a_scheme_that_can_be_followed),
        cmocka_unit_test(a_mail_address_has_one_at_and_a_domain),
        cmocka_unit_test(a_persons_address_is_told_from_a_roles),
        cmocka_unit_test(a_date_is_a_day_that_exists),
        cmocka_unit_test(a_timestamp_is_rfc_3339_in_utc),
        cmocka_unit_test(territories_are_codes),
        cmocka_unit_test(organisations_are_numbers_with_their_check_digits),
        cmocka_unit_test(licences_have_spdx_characters),
        cmocka_unit_test(a_sha256_has_64_small_digits),
        cmocka_unit_test(a_reference_is_an_entry_or_a_uri),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
