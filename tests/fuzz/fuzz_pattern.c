/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_pattern.c: the forms of texts in a body: dates, addresses, codes, languages.
 *
 * Every form is asked about every text. What one says agrees with what another says, and about
 * dates with the C library's calendar.
 */
#include <stdio.h>
#include <time.h>

#include "base/utf8.h"
#include "proto/entry.h"
#include "proto/pattern.h"
#include "tests/fuzz/fuzz.h"

static bool has(struct bytes text, char mark)
{
    return text.size > 0 && memchr(text.data, mark, text.size) != NULL;
}

static bool all_of(struct bytes text, const char *allowed)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == 0 || strchr(allowed, text.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* A day that the calendar has stays what it is there. */
static bool calendar_has(struct bytes text)
{
    char line[11], again[32];
    struct tm day = {0};
    int used = 0;
    if (text.size != 10 || !all_of(text, "0123456789-")) {
        return false;
    }
    memcpy(line, text.data, 10);
    line[10] = '\0';
    if (sscanf(line, "%4d-%2d-%2d%n", &day.tm_year, &day.tm_mon, &day.tm_mday, &used) != 3 ||
        used != 10 || day.tm_year < 1) {
        return false;
    }
    day.tm_year -= 1900;
    day.tm_mon -= 1;
    (void) timegm(&day);
    (void) snprintf(again, sizeof again, "%04d-%02d-%02d", day.tm_year + 1900, day.tm_mon + 1,
                    day.tm_mday);
    return strcmp(again, line) == 0;
}

static void addresses_check(struct bytes text)
{
    bool uri = pattern_uri(text), link = pattern_link(text), mail = pattern_email(text);
    bool personal = pattern_email_personal(text), ref = pattern_ref(text);
    enum fit org = pattern_org(text);
    must(!link || uri);
    must(!uri || has(text, ':'));
    must(!mail || (has(text, '@') && has(text, '.')));
    must(!personal || (has(text, '@') && has(text, '.')));
    must(!uri || !has(text, '<'));
    must(ref || !slug_valid(text));
    bool did = text.size >= 8 && memcmp(text.data, "did:key:", 8) == 0;
    must(did || ref == (uri || slug_valid(text)));
    must(org == FIT_YES || org == FIT_NO || org == FIT_UNSURE);
    must(org != FIT_UNSURE || memcmp(text.data, "sire", 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    if (!utf8_valid(text)) { /* the scan before lets nothing else pass */
        return 0;
    }
    bool date = pattern_date(text), timestamp = pattern_timestamp(text);
    must(date == calendar_has(text));
    must(!timestamp || (size >= 20 && pattern_date(bytes_of(data, 10))));
    bool sum = size == 64 && all_of(text, "0123456789abcdef");
    must(pattern_sha256(text) == sum);
    must(!pattern_lang(text) || size <= 35);
    must(!pattern_licence(text) || (size > 0 && size <= 200));
    enum fit territory = pattern_territory(text);
    must(territory == FIT_YES || territory == FIT_NO || territory == FIT_UNSURE);
    must(territory != FIT_UNSURE || has(text, ':'));
    addresses_check(text);
    return 0;
}
