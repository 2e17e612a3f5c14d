/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/escape.c: a table of ranges, and wcwidth(3) for what this system's C.UTF-8 locale cannot
 * print (unassigned characters). ASCII text is copied in runs.
 */
#include "cli/escape.h"

#include <langinfo.h>
#include <wchar.h>

#include "base/utf8.h"

#define REPLACEMENT 0xfffdu

/* Ascending. */
static const struct range {
    uint32_t first, last;
} hidden[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f}, {0x061c, 0x061c}, {0x115f, 0x1160},
    {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
    {0x3164, 0x3164}, {0xd800, 0xdfff}, {0xfdd0, 0xfdef}, {0xfeff, 0xfeff},
    {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0xe0fff},
};

bool escape_needed(uint32_t code)
{
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        if (code <= hidden[i].last) {
            return code >= hidden[i].first;
        }
    }
    return false;
}

/* In the plain C locale wcwidth knows nothing beyond ASCII: no reason to hide everything. */
static bool unknown(uint32_t code)
{
    return code >= 0x80 && wcwidth((wchar_t) code) < 0 &&
           strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void json_unit(struct buf *into, uint32_t unit)
{
    buf_printf(into, "\\u%04x", (unsigned) unit);
}

static void json_put(struct buf *into, uint32_t code)
{
    switch (code) {
    case '\n':
        buf_put_str(into, "\\n");
        break;
    case '\t':
        buf_put_str(into, "\\t");
        break;
    case '\r':
        buf_put_str(into, "\\r");
        break;
    case '"':
        buf_put_str(into, "\\\"");
        break;
    case '\\':
        buf_put_str(into, "\\\\");
        break;
    default:
        if (code >= 0x10000) {
            json_unit(into, 0xd800 + ((code - 0x10000) >> 10));
            json_unit(into, 0xdc00 + ((code - 0x10000) & 0x3ff));
        } else {
            json_unit(into, code);
        }
    }
}

static void code_put(struct buf *into, uint32_t code, enum escape_mode mode)
{
    if (mode == ESCAPE_JSON) {
        json_put(into, code);
    } else if (code == '\n' && mode == ESCAPE_BLOCK) {
        buf_put_u8(into, '\n');
    } else if (code == '\n') {
        buf_put_str(into, "\\n");
    } else if (code == '\t') {
        buf_put_str(into, mode == ESCAPE_BLOCK ? "    " : "\\t");
    } else if (code == '\r') {
        buf_put_str(into, "\\r");
    } else if (code == '\\') {
        buf_put_str(into, "\\\\");
    } else {
        buf_printf(into, "\\u{%04X}", (unsigned) code);
    }
}

static bool special(uint32_t code, enum escape_mode mode)
{
    if (code >= 0x20 && code < 0x7f) {
        return (code == '\\' && (mode == ESCAPE_FIELD || mode == ESCAPE_JSON)) ||
               (code == '"' && mode == ESCAPE_JSON);
    }
    return escape_needed(code) || (mode != ESCAPE_JSON && unknown(code));
}

/* The character at `at`, or REPLACEMENT and *ret_good false for a byte that begins none. */
static uint32_t code_at(struct bytes text, size_t at, size_t *ret_size, bool *ret_good)
{
    uint8_t lead = text.data[at];
    size_t size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    *ret_size = 1;
    *ret_good = lead < 0x80;
    if (*ret_good) {
        return lead;
    }
    if (size > text.size - at || !utf8_valid(bytes_of(text.data + at, size))) {
        return REPLACEMENT;
    }
    *ret_good = true;
    return utf8_next(bytes_of(text.data + at, size), ret_size);
}

void escape_put(struct buf *into, struct bytes text, enum escape_mode mode)
{
    size_t at = 0;
    size_t from = 0; /* of what is copied as it is */
    while (at < text.size) {
        size_t size = 0;
        bool good = false;
        uint32_t code = code_at(text, at, &size, &good);
        if (!good || special(code, mode)) {
            buf_put(into, bytes_of(text.data + from, at - from));
            if (good) {
                code_put(into, code, mode);
            } else if (mode == ESCAPE_JSON) {
                json_put(into, REPLACEMENT);
            } else {
                buf_printf(into, "\\x{%02X}", text.data[at]);
            }
            from = at + size;
        }
        at += size;
    }
    if (at > from) { /* an empty text may be NULL, which no number may be added to */
        buf_put(into, bytes_of(text.data + from, at - from));
    }
}

static size_t code_width(uint32_t code)
{
    int width = code < 0x80 ? 1 : wcwidth((wchar_t) code);
    return width < 0 ? 1 : (size_t) width;
}

size_t escape_cut(struct bytes text, size_t width)
{
    size_t at = 0;
    size_t used = 0;
    while (at < text.size) {
        size_t size = 0;
        bool good = false;
        uint32_t code = code_at(text, at, &size, &good);
        size_t more = code_width(code);
        if (used + more > width) {
            break;
        }
        used += more;
        at += size;
    }
    return at;
}

size_t escape_width(struct bytes text)
{
    size_t at = 0;
    size_t used = 0;
    while (at < text.size) {
        size_t size = 0;
        bool good = false;
        used += code_width(code_at(text, at, &size, &good));
        at += size;
    }
    return used;
}
