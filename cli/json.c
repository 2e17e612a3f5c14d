/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/json.c: a loop over four states; the builder's frames are the stack. Strings without escapes,
 * nearly all of them, go to the builder as views; the others are decoded into a buffer first.
 *
 *          {            "key" :          value
 *     VALUE ──► FIRST_KEY ──► (colon) ──► VALUE ──► AFTER ──► , ──► KEY or VALUE
 *       │  [                                          │
 *       └──► FIRST_ITEM ──► VALUE                     └──► } or ] ──► AFTER, or the end
 *
 * Fails with ERR_SYNTAX at the first byte that RFC 8259 does not allow there, and where a number is
 * not an integer of 64 bits (a canonical entry has no others).
 */
#include "cli/json.h"

#include "base/must.h"
#include "cli/text.h"

struct json {
    struct bytes text;
    size_t at;
    struct build *build;
    struct buf decoded;
};

static bool json_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static void space_skip(struct json *json)
{
    while (json->at < json->text.size && json_space(json->text.data[json->at])) {
        json->at++;
    }
}

static enum err syntax(struct json *json, size_t at, const char *text, const char *hint)
{
    return build_refuse(json->build, ERR_SYNTAX, at, text, hint);
}

static enum err syntax_end(struct json *json)
{
    return syntax(json, json->text.size, N_("the JSON text ends too early"),
                  N_("close every quote, bracket and brace"));
}

/* Offset of the first byte at or after `at` that is a quote, a backslash or a control character. */
static size_t plain_end(struct bytes text, size_t at)
{
    const uint64_t ones = 0x0101010101010101ull;
    const uint64_t highs = 0x8080808080808080ull;
    while (text.size - at >= 8) {
        uint64_t word;
        memcpy(&word, text.data + at, sizeof word);
        uint64_t quote = word ^ (ones * '"');
        uint64_t slash = word ^ (ones * '\\');
        uint64_t stop =
            ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word);
        if ((stop & highs) != 0) {
            break;
        }
        at += 8;
    }
    while (at < text.size && text.data[at] != '"' && text.data[at] != '\\' &&
           text.data[at] >= 0x20) {
        at++;
    }
    return at;
}

static bool hex_four(struct bytes text, size_t at, uint32_t *ret_code)
{
    uint32_t code = 0;
    if (text.size - at < 4) {
        return false;
    }
    for (size_t i = at; i < at + 4; i++) {
        uint8_t byte = text.data[i];
        uint32_t digit = byte >= '0' && byte <= '9'   ? byte - (uint32_t) '0'
                         : byte >= 'a' && byte <= 'f' ? byte - (uint32_t) 'a' + 10u
                         : byte >= 'A' && byte <= 'F' ? byte - (uint32_t) 'A' + 10u
                                                      : 16u;
        if (digit == 16) {
            return false;
        }
        code = code << 4 | digit;
    }
    *ret_code = code;
    return true;
}

static void utf8_put(struct buf *into, uint32_t code)
{
    if (code < 0x80) {
        buf_put_u8(into, (uint8_t) code);
    } else if (code < 0x800) {
        buf_put_u8(into, (uint8_t) (0xc0 | code >> 6));
        buf_put_u8(into, (uint8_t) (0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buf_put_u8(into, (uint8_t) (0xe0 | code >> 12));
        buf_put_u8(into, (uint8_t) (0x80 | (code >> 6 & 0x3f)));
        buf_put_u8(into, (uint8_t) (0x80 | (code & 0x3f)));
    } else {
        buf_put_u8(into, (uint8_t) (0xf0 | code >> 18));
        buf_put_u8(into, (uint8_t) (0x80 | (code >> 12 & 0x3f)));
        buf_put_u8(into, (uint8_t) (0x80 | (code >> 6 & 0x3f)));
        buf_put_u8(into, (uint8_t) (0x80 | (code & 0x3f)));
    }
}

/* \uXXXX, or a pair of them; json->at stands behind the first "\u". */
static enum err unicode_decode(struct json *json)
{
    size_t start = json->at - 2;
    uint32_t code = 0;
    uint32_t low = 0;
    if (!hex_four(json->text, json->at, &code)) {
        return syntax(json, start, N_("four hexadecimal digits must follow \\u"), NULL);
    }
    json->at += 4;
    if (code >= 0xd800 && code < 0xe000) {
        bool pair = code < 0xdc00 && json->text.size - json->at >= 6 &&
                    json->text.data[json->at] == '\\' && json->text.data[json->at + 1] == 'u' &&
                    hex_four(json->text, json->at + 2, &low) && low >= 0xdc00 && low < 0xe000;
        if (!pair) {
            return syntax(json, start, N_("half of a surrogate pair stands for no character"),
                          N_("write the character itself"));
        }
        json->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code < 0x20 && code != '\t' && code != '\n' && code != '\r') {
        enum err err = build_refuse(json->build, ERR_FIELD, start,
                                    N_("a control character cannot be published"),
                                    N_("remove it; only tabs and line ends may stay"));
        flaw_detail(&json->build->flaw, "U+%04X", (unsigned) code);
        return err;
    }
    utf8_put(&json->decoded, code);
    return ERR_OK;
}

/* json->at stands on a backslash. */
static enum err escape_decode(struct json *json)
{
    static const char names[] = "\"\\/nrtbf";
    static const char values[] = "\"\\/\n\r\t\b\f";
    size_t start = json->at;
    if (json->text.size - json->at < 2) {
        return syntax_end(json);
    }
    uint8_t name = json->text.data[json->at + 1];
    json->at += 2;
    if (name == 'u') {
        return unicode_decode(json);
    }
    const char *found = name == 0 ? NULL : strchr(names, name);
    if (found == NULL) {
        return syntax(json, start, N_("no such escape in JSON"), N_("write a backslash as \\\\"));
    }
    char value = values[found - names];
    if (value == '\b' || value == '\f') {
        enum err err = build_refuse(json->build, ERR_FIELD, start,
                                    N_("a control character cannot be published"),
                                    N_("remove it; only tabs and line ends may stay"));
        flaw_detail(&json->build->flaw, "U+%04X", (unsigned) value);
        return err;
    }
    buf_put_u8(&json->decoded, (uint8_t) value);
    return ERR_OK;
}

/* json->at stands behind the opening quote; the view is good until the next string. */
static enum err string_read(struct json *json, struct bytes *ret_text)
{
    size_t start = json->at;
    size_t end = plain_end(json->text, start);
    if (end < json->text.size && json->text.data[end] == '"') {
        *ret_text = bytes_of(json->text.data + start, end - start);
        json->at = end + 1;
        return ERR_OK;
    }
    buf_clear(&json->decoded);
    while (true) {
        buf_put(&json->decoded, bytes_of(json->text.data + json->at, end - json->at));
        json->at = end;
        if (end == json->text.size) {
            return syntax_end(json);
        }
        uint8_t byte = json->text.data[end];
        if (byte == '"') {
            json->at++;
            *ret_text = buf_bytes(&json->decoded);
            return json->decoded.err;
        }
        if (byte < 0x20) {
            return syntax(json, end, N_("a control character stands inside quotes"),
                          N_("write line ends as \\n and tabs as \\t; remove the others"));
        }
        enum err err = escape_decode(json);
        if (err != ERR_OK) {
            return err;
        }
        end = plain_end(json->text, json->at);
    }
}

static enum err number_read(struct json *json)
{
    const uint8_t *data = json->text.data;
    size_t start = json->at;
    size_t at = start + (data[start] == '-' ? 1 : 0);
    size_t digits = at;
    uint64_t value = 0;
    bool over = false;
    while (at < json->text.size && data[at] >= '0' && data[at] <= '9') {
        over = over || value > (UINT64_MAX - (uint64_t) (data[at] - '0')) / 10;
        value = value * 10 + (uint64_t) (data[at] - '0');
        at++;
    }
    if (at == digits || (data[digits] == '0' && at - digits > 1)) {
        return syntax(json, start, N_("this is no JSON number"), N_("write it in quotes"));
    }
    if (at < json->text.size && (data[at] == '.' || data[at] == 'e' || data[at] == 'E')) {
        return build_refuse(json->build, ERR_FIELD, start, N_("only whole numbers are allowed"),
                            N_("write it in quotes"));
    }
    bool negative = data[start] == '-' && value > 0;
    if (over || (negative && value > (uint64_t) INT64_MAX + 1)) {
        return build_refuse(json->build, ERR_FIELD, start, N_("this number is too large"),
                            N_("write it in quotes"));
    }
    json->at = at;
    return negative ? build_int(json->build, -(int64_t) (value - 1) - 1, start)
                    : build_uint(json->build, value, start);
}

static bool word_take(struct json *json, const char *word)
{
    size_t size = strlen(word);
    if (json->text.size - json->at < size || memcmp(json->text.data + json->at, word, size) != 0) {
        return false;
    }
    json->at += size;
    return true;
}

/* A value that is neither a map nor a list. */
static enum err scalar_read(struct json *json)
{
    size_t start = json->at;
    uint8_t byte = json->text.data[start];
    if (byte == '"') {
        struct bytes text = {0};
        json->at++;
        enum err err = string_read(json, &text);
        return err != ERR_OK ? err : build_str(json->build, text, start);
    }
    if (byte == '-' || (byte >= '0' && byte <= '9')) {
        return number_read(json);
    }
    if (word_take(json, "true")) {
        return build_bool(json->build, true, start);
    }
    if (word_take(json, "false")) {
        return build_bool(json->build, false, start);
    }
    if (word_take(json, "null")) {
        return build_null(json->build, start);
    }
    return syntax(json, start, N_("a value is missing, or this is none"),
                  N_("texts stand in double quotes; no comma before a closing bracket"));
}

static enum err key_read(struct json *json)
{
    size_t start = json->at;
    struct bytes text = {0};
    if (json->text.data[start] != '"') {
        return syntax(json, start, N_("a field name in double quotes is needed here"),
                      N_("no comma before a closing brace"));
    }
    json->at++;
    enum err err = string_read(json, &text);
    if (err == ERR_OK) {
        err = build_key(json->build, text, start);
    }
    if (err != ERR_OK) {
        return err;
    }
    space_skip(json);
    if (json->at == json->text.size) {
        return syntax_end(json);
    }
    if (json->text.data[json->at] != ':') {
        return syntax(json, json->at, N_("a colon is missing after the field name"), NULL);
    }
    json->at++;
    return ERR_OK;
}

enum json_state { JSON_VALUE, JSON_FIRST_ITEM, JSON_FIRST_KEY, JSON_KEY, JSON_AFTER };

/* One step; json->at stands on a byte that is no space. */
static enum err step(struct json *json, enum json_state *state)
{
    uint8_t byte = json->text.data[json->at];
    enum err err = ERR_OK;
    bool closes = byte == (build_in_map(json->build) ? '}' : ']');
    if (*state != JSON_VALUE && *state != JSON_KEY && closes) {
        json->at++;
        *state = JSON_AFTER;
        return build_close(json->build);
    }
    switch (*state) {
    case JSON_AFTER:
        if (byte != ',') {
            return syntax(json, json->at, N_("a comma or a closing bracket is missing here"), NULL);
        }
        json->at++;
        *state = build_in_map(json->build) ? JSON_KEY : JSON_VALUE;
        return ERR_OK;
    case JSON_FIRST_KEY:
    case JSON_KEY:
        *state = JSON_VALUE;
        return key_read(json);
    default:
        break;
    }
    if (byte == '{' || byte == '[') {
        err = byte == '{' ? build_map(json->build, json->at) : build_array(json->build, json->at);
        json->at++;
        *state = byte == '{' ? JSON_FIRST_KEY : JSON_FIRST_ITEM;
        return err;
    }
    *state = JSON_AFTER;
    return scalar_read(json);
}

static enum err object_read(struct json *json)
{
    enum json_state state = JSON_VALUE;
    space_skip(json);
    if (json->at == json->text.size || json->text.data[json->at] != '{') {
        return syntax(json, json->at, N_("a record must be a map of fields"),
                      N_("such as {\"kind\": \"innovation\", \"slug\": \"my-entry\", …}"));
    }
    while (true) {
        enum err err = step(json, &state);
        if (err != ERR_OK) {
            return err;
        }
        space_skip(json);
        if (json->build->depth == 0) {
            break;
        }
        if (json->at == json->text.size) {
            return syntax_end(json);
        }
    }
    if (json->at < json->text.size) {
        return syntax(json, json->at, N_("something follows the record on its line"),
                      N_("one record a line"));
    }
    return ERR_OK;
}

enum err json_read(struct bytes text, struct build *build)
{
    struct json json = {.text = text, .build = build};
    build_start(build);
    enum err err = object_read(&json);
    if (err == ERR_OK) {
        err = build_finish(build);
    }
    buf_done(&json.decoded);
    return err;
}

enum err json_measure(struct bytes text, size_t *ret_size)
{
    size_t at = 0;
    size_t depth = 0;
    bool quoted = false;
    while (at < text.size && json_space(text.data[at])) {
        at++;
    }
    if (at < text.size && text.data[at] != '{') {
        return ERR_SYNTAX;
    }
    for (; at < text.size; at++) {
        uint8_t byte = text.data[at];
        if (quoted) {
            at += byte == '\\' ? 1 : 0;
            quoted = byte != '"';
        } else if (byte == '"') {
            quoted = true;
        } else if (byte == '{' || byte == '[') {
            depth++;
        } else if (byte == '}' || byte == ']') {
            if (--depth == 0) {
                *ret_size = at + 1;
                return ERR_OK;
            }
        }
    }
    return ERR_MORE;
}
