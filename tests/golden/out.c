/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/golden/out.c: a JSON writer. Wrong use, or bytes that are not canonical, break a must(). */
#include "tests/golden/out.h"

#include <inttypes.h>

#include "base/must.h"
#include "proto/scan.h"

static void text_put(struct out *out, struct bytes text)
{
    buf_put_u8(&out->text, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            buf_printf(&out->text, "\\u%04x", byte);
        } else {
            buf_put_u8(&out->text, byte);
        }
    }
    buf_put_u8(&out->text, '"');
}

static void hex_put(struct out *out, struct bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    buf_put_u8(&out->text, '"');
    for (size_t i = 0; i < bytes.size; i++) {
        buf_put_u8(&out->text, (uint8_t) digits[bytes.data[i] >> 4]);
        buf_put_u8(&out->text, (uint8_t) digits[bytes.data[i] & 15]);
    }
    buf_put_u8(&out->text, '"');
}

/* What stands before a value: a comma, a new line for whole vectors, the key. */
static void lead_put(struct out *out, const char *key)
{
    if (out->depth > 0) {
        buf_put_str(&out->text, out->begun[out->depth - 1] ? "," : "");
        buf_put_str(&out->text, out->depth <= 2 ? "\n" : out->begun[out->depth - 1] ? " " : "");
        out->begun[out->depth - 1] = true;
    }
    if (key != NULL) {
        text_put(out, bytes_of_str(key));
        buf_put_str(&out->text, ": ");
    }
}

void out_open(struct out *out, const char *key, char bracket)
{
    must(out->depth < OUT_DEPTH_MAX);
    lead_put(out, key);
    buf_put_u8(&out->text, (uint8_t) bracket);
    out->begun[out->depth++] = false;
}

void out_close(struct out *out, char bracket)
{
    must(out->depth > 0);
    out->depth--;
    buf_put_str(&out->text, out->depth < 2 ? "\n" : "");
    buf_put_u8(&out->text, (uint8_t) bracket);
}

void out_hex(struct out *out, const char *key, struct bytes bytes)
{
    lead_put(out, key);
    hex_put(out, bytes);
}

void out_text(struct out *out, const char *key, const char *text)
{
    lead_put(out, key);
    text_put(out, bytes_of_str(text));
}

void out_uint(struct out *out, const char *key, uint64_t value)
{
    lead_put(out, key);
    buf_printf(&out->text, "%" PRIu64, value);
}

static void scalar_put(struct out *out, const struct scan_item *item)
{
    switch (item->kind) {
    case SCAN_NIL:
        buf_put_str(&out->text, "null");
        break;
    case SCAN_BOOL:
        buf_put_str(&out->text, item->value ? "true" : "false");
        break;
    case SCAN_UINT:
        buf_printf(&out->text, "%" PRIu64, item->value);
        break;
    case SCAN_INT:
        buf_printf(&out->text, "%" PRId64, item->negative);
        break;
    case SCAN_STR:
        text_put(out, item->bytes);
        break;
    case SCAN_BIN:
        buf_put_str(&out->text, "{\"bin\": ");
        hex_put(out, item->bytes);
        buf_put_u8(&out->text, '}');
        break;
    default:
        must(item->kind == SCAN_NIL); /* arrays and maps are not for here */
    }
}

/* An open array or map: what it still owes. Of a map, an even number means a key is next. */
struct level {
    uint64_t left;
    bool map;
};

void out_value(struct out *out, const char *key, struct bytes packed)
{
    struct level levels[OUT_DEPTH_MAX];
    unsigned depth = 0;
    size_t at = 0;
    lead_put(out, key);
    do {
        struct scan_item item;
        enum err err = scan_next(packed, &at, &item);
        must(err == ERR_OK);
        if (item.kind == SCAN_ARRAY || item.kind == SCAN_MAP) {
            must(depth < OUT_DEPTH_MAX);
            bool map = item.kind == SCAN_MAP;
            buf_put_u8(&out->text, map ? '{' : '[');
            levels[depth++] = (struct level){.left = item.value * (map ? 2 : 1), .map = map};
        } else {
            scalar_put(out, &item);
        }
        while (depth > 0 && levels[depth - 1].left == 0) {
            buf_put_u8(&out->text, levels[--depth].map ? '}' : ']');
        }
        if (depth > 0) {
            /* between two items: after a key a colon, else a comma, at first nothing */
            struct level *level = &levels[depth - 1];
            uint8_t last = out->text.data[out->text.size - 1];
            bool first = last == '{' || last == '[';
            bool colon = level->map && level->left % 2 == 1;
            buf_put_str(&out->text, first ? "" : colon ? ": " : ", ");
            level->left--;
        }
    } while (depth > 0);
    must(at == packed.size);
}
