/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/pattern.c: each shape is a few loops over the bytes. Whatever does not fit is a plain
 * false; telling the author how to mend it is model.c's part. */
#include "proto/pattern.h"

#include "base/utf8.h"
#include "proto/did.h"
#include "proto/entry.h"

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_upper(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z';
}

static bool is_lower(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_alpha(uint8_t byte)
{
    return is_upper(byte) || is_lower(byte);
}

static bool is_alnum(uint8_t byte)
{
    return is_alpha(byte) || is_digit(byte);
}

static uint8_t lower_of(uint8_t byte)
{
    return is_upper(byte) ? (uint8_t) (byte + ('a' - 'A')) : byte;
}

static bool all(struct bytes text, bool (*is)(uint8_t byte))
{
    for (size_t i = 0; i < text.size; i++) {
        if (!is(text.data[i])) {
            return false;
        }
    }
    return true;
}

static struct bytes tail(struct bytes text, size_t from)
{
    return bytes_of(text.data + from, text.size - from);
}

/* What stands before the first `mark`; the whole text when there is none. */
static struct bytes before(struct bytes text, char mark)
{
    const uint8_t *at = text.size == 0 ? NULL : memchr(text.data, mark, text.size);
    return bytes_of(text.data, at == NULL ? text.size : (size_t) (at - text.data));
}

/* Without case, ASCII. `list` holds lower-case words, NULL at its end. */
static bool in_list(struct bytes word, const char *const *list)
{
    for (; *list != NULL; list++) {
        size_t i = 0;
        while (i < word.size && (*list)[i] != '\0' &&
               lower_of(word.data[i]) == (uint8_t) (*list)[i]) {
            i++;
        }
        if (i == word.size && (*list)[i] == '\0') {
            return true;
        }
    }
    return false;
}

bool pattern_lang(struct bytes text)
{
    struct bytes first = before(text, '-');
    bool single = first.size == 1 && (first.data[0] == 'x' || first.data[0] == 'i');
    if (text.size > 35 || first.size > 8 || !all(first, is_alpha) ||
        (first.size < 2 && !(single && text.size > 2))) {
        return false;
    }
    size_t at = first.size;
    while (at < text.size) {
        struct bytes part = before(tail(text, at + 1), '-');
        if (part.size < 1 || part.size > 8 || !all(part, is_alnum)) {
            return false;
        }
        at += 1 + part.size;
    }
    return true;
}

/* Blanks and invisible characters that hide where an address leads: no-break and other spaces,
 * zero-width characters, line separators, direction marks. */
static bool is_blank_code(uint32_t code)
{
    return code <= 0x20 || (code >= 0x7f && code <= 0xa0) || code == 0xad || code == 0x061c ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202f) || (code >= 0x205f && code <= 0x206f) ||
           code == 0x3000 || code == 0xfeff;
}

static bool has_blank(struct bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t size = 1;
        uint8_t byte = text.data[at];
        if (is_blank_code(byte < 0x80 ? byte : utf8_next(tail(text, at), &size))) {
            return true;
        }
        at += size;
    }
    return false;
}

/* The scheme of an absolute address, empty when it is none. */
static struct bytes scheme_of(struct bytes text)
{
    struct bytes scheme = before(text, ':');
    if (scheme.size + 1 >= text.size || scheme.size == 0 || !is_alpha(scheme.data[0])) {
        return (struct bytes){0};
    }
    for (size_t i = 1; i < scheme.size; i++) {
        uint8_t byte = scheme.data[i];
        if (!is_alnum(byte) && byte != '+' && byte != '-' && byte != '.') {
            return (struct bytes){0};
        }
    }
    return scheme;
}

static bool has_host(struct bytes text, struct bytes scheme)
{
    struct bytes rest = tail(text, scheme.size + 1);
    return rest.size > 2 && memcmp(rest.data, "//", 2) == 0 && rest.data[2] != '/' &&
           rest.data[2] != '?' && rest.data[2] != '#';
}

bool pattern_uri(struct bytes text)
{
    static const char *const running[] = {"javascript", "data", "vbscript", "file", "about", NULL};
    static const char *const hosted[] = {"http", "https", "ftp", "ftps", "sftp", NULL};
    struct bytes scheme = scheme_of(text);
    if (scheme.size == 0 || text.size > URI_SIZE_MAX || in_list(scheme, running) ||
        has_blank(text)) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '<' || byte == '>' || byte == '"' || byte == '\\' || byte == '`') {
            return false;
        }
    }
    return !in_list(scheme, hosted) || has_host(text, scheme);
}

bool pattern_link(struct bytes text)
{
    static const char *const followed[] = {
        "https", "http", "mailto", "tel",    "git",  "ssh",  "git+ssh", "git+https",
        "svn",   "hg",   "ftp",    "ftps",   "sftp", "ipfs", "magnet",  "matrix",
        "xmpp",  "irc",  "ircs",   "webcal", "geo",  "doi",  "urn",     NULL};
    return pattern_uri(text) && in_list(scheme_of(text), followed);
}

bool pattern_email(struct bytes text)
{
    struct bytes local = before(text, '@');
    if (local.size == 0 || local.size + 1 >= text.size || text.size > 254 || has_blank(text)) {
        return false;
    }
    struct bytes domain = tail(text, local.size + 1);
    struct bytes first = before(domain, '.');
    return before(domain, '@').size == domain.size && first.size > 0 &&
           first.size + 1 < domain.size && domain.data[domain.size - 1] != '.';
}

static bool is_name(uint8_t byte)
{
    return is_alpha(byte) || byte == '-' || byte >= 0x80;
}

bool pattern_email_personal(struct bytes text)
{
    static const char *const roles[] = {
        "accueil",   "agence",        "bonjour",   "bureau",   "cellule",     "centre", "contact",
        "data",      "design",        "direction", "equipe",   "espace",      "hello",  "info",
        "infos",     "innovation",    "lab",       "labo",     "laboratoire", "mairie", "mission",
        "numerique", "open",          "pole",      "projet",   "projets",     "public", "region",
        "reseau",    "secretariat",   "service",   "services", "support",     "team",   "tiers",
        "ville",     "communication", NULL};
    struct bytes local = before(text, '@');
    struct bytes first = before(local, '.');
    if (first.size < 2 || first.size + 2 >= local.size || local.size == text.size) {
        return false;
    }
    struct bytes last = tail(local, first.size + 1);
    return all(first, is_name) && all(last, is_name) && !in_list(first, roles) &&
           !in_list(last, roles);
}

/* `count` digits at `at` as a number, within [low, high]. */
static bool number_in(struct bytes text, size_t at, size_t count, unsigned low, unsigned high)
{
    unsigned value = 0;
    for (size_t i = at; i < at + count; i++) {
        if (i >= text.size || !is_digit(text.data[i])) {
            return false;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    return value >= low && value <= high;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

bool pattern_date(struct bytes text)
{
    if (text.size != 10 || text.data[4] != '-' || text.data[7] != '-' ||
        !number_in(text, 0, 4, 1, 9999) || !number_in(text, 5, 2, 1, 12)) {
        return false;
    }
    unsigned year = 0;
    for (size_t i = 0; i < 4; i++) {
        year = year * 10 + (text.data[i] - '0');
    }
    unsigned month = (text.data[5] - '0') * 10u + (text.data[6] - '0');
    return number_in(text, 8, 2, 1, days_in(year, month));
}

bool pattern_timestamp(struct bytes text)
{
    if (text.size < 20 || text.size > 40 || !pattern_date(bytes_of(text.data, 10)) ||
        text.data[10] != 'T' || text.data[13] != ':' || text.data[16] != ':' ||
        text.data[text.size - 1] != 'Z' || !number_in(text, 11, 2, 0, 23) ||
        !number_in(text, 14, 2, 0, 59) || !number_in(text, 17, 2, 0, 60)) {
        return false;
    }
    if (text.size == 20) {
        return true;
    }
    struct bytes fraction = bytes_of(text.data + 20, text.size - 21);
    return text.data[19] == '.' && fraction.size > 0 && all(fraction, is_digit);
}

/* A department as INSEE writes it: 01 to 95, 2A, 2B, 971 to 989. */
static bool department(struct bytes code)
{
    if (code.size == 3) {
        return number_in(code, 0, 3, 970, 989);
    }
    return code.size == 2 &&
           (number_in(code, 0, 2, 1, 95) ||
            (code.data[0] == '2' && (code.data[1] == 'A' || code.data[1] == 'B')));
}

static bool commune(struct bytes code)
{
    return code.size == 5 && all(tail(code, 2), is_digit) &&
           (number_in(code, 0, 2, 1, 98) || department(bytes_of(code.data, 2)));
}

static bool digits_only(struct bytes text, size_t count)
{
    return text.size == count && all(text, is_digit);
}

static bool has_prefix(struct bytes text, const char *prefix, struct bytes *ret_rest)
{
    size_t size = strlen(prefix);
    if (text.size < size || memcmp(text.data, prefix, size) != 0) {
        return false;
    }
    *ret_rest = tail(text, size);
    return true;
}

static bool is_upper_or_digit(uint8_t byte)
{
    return is_upper(byte) || is_digit(byte);
}

static bool country_part(struct bytes text, size_t rest_max)
{
    return text.size >= 2 && text.size <= 2 + rest_max && is_upper(text.data[0]) &&
           is_upper(text.data[1]) && all(tail(text, 2), is_upper_or_digit);
}

/* AUTHORITY:CODE in plain characters: perhaps a code of another country. */
static bool other_code(struct bytes text)
{
    struct bytes authority = before(text, ':');
    if (authority.size == 0 || authority.size + 1 >= text.size || text.size > 64 ||
        !all(authority, is_lower)) {
        return false;
    }
    for (size_t i = authority.size + 1; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (!is_alnum(byte) && memchr(":._-", byte, 4) == NULL) {
            return false;
        }
    }
    return true;
}

enum fit pattern_territory(struct bytes text)
{
    struct bytes code;
    bool fits;
    if (has_prefix(text, "com:", &code)) {
        fits = commune(code);
    } else if (has_prefix(text, "dep:", &code)) {
        fits = department(code);
    } else if (has_prefix(text, "reg:", &code)) {
        fits = digits_only(code, 2);
    } else if (has_prefix(text, "epci:", &code)) {
        fits = digits_only(code, 9);
    } else if (has_prefix(text, "nuts:", &code)) {
        fits = country_part(code, 3);
    } else if (other_code(text)) {
        return FIT_UNSURE;
    } else {
        fits = bytes_equal(text, bytes_of_str("fr")) || country_part(text, 0) ||
               (text.size >= 4 && text.size <= 6 && text.data[2] == '-' &&
                country_part(bytes_of(text.data, 2), 0) && all(tail(text, 3), is_upper_or_digit));
    }
    return fits ? FIT_YES : FIT_NO;
}

/* Luhn's check digit; the sites of La Poste (SIREN 356000000) instead sum to a multiple of 5. */
static bool luhn(struct bytes text)
{
    unsigned sum = 0;
    unsigned plain = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned) (text.data[text.size - 1 - i] - '0');
        plain += digit;
        digit = i % 2 == 1 ? digit * 2 : digit;
        sum += digit > 9 ? digit - 9 : digit;
    }
    bool poste = text.size == 14 && memcmp(text.data, "356000000", 9) == 0;
    return sum % 10 == 0 || (poste && plain % 5 == 0);
}

enum fit pattern_org(struct bytes text)
{
    struct bytes code;
    if (has_prefix(text, "siren:", &code)) {
        return !digits_only(code, 9) ? FIT_NO : luhn(code) ? FIT_YES : FIT_UNSURE;
    }
    if (has_prefix(text, "siret:", &code)) {
        return !digits_only(code, 14) ? FIT_NO : luhn(code) ? FIT_YES : FIT_UNSURE;
    }
    bool fits = false;
    if (has_prefix(text, "rna:", &code)) {
        fits = code.size == 10 && code.data[0] == 'W' && all(tail(code, 1), is_alnum);
    } else if (has_prefix(text, "wikidata:", &code)) {
        fits = code.size >= 2 && code.data[0] == 'Q' && all(tail(code, 1), is_digit);
    } else if (has_prefix(text, "ror:", &code)) {
        fits = code.size == 9 && all(code, is_alnum);
    } else {
        fits = pattern_uri(text);
    }
    return fits ? FIT_YES : FIT_NO;
}

bool pattern_licence(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (!is_alnum(byte) && memchr(" .+-():", byte, 7) == NULL) {
            return false;
        }
    }
    return text.size > 0 && text.size <= 200 && text.data[0] != ' ';
}

bool pattern_sha256(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (!is_digit(byte) && !(byte >= 'a' && byte <= 'f')) {
            return false;
        }
    }
    return text.size == 64;
}

bool pattern_ref(struct bytes text)
{
    if (slug_valid(text)) {
        return true;
    }
    struct bytes lab = before(text, '/');
    struct lab_id lab_id;
    struct bytes key;
    if (has_prefix(lab, "did:key:", &key)) {
        return did_decode(lab, &lab_id) == ERR_OK && lab.size + 1 < text.size &&
               slug_valid(tail(text, lab.size + 1));
    }
    return pattern_uri(text);
}
