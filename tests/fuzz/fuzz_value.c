/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_value.c: foreign text and foreign values on their way to a terminal.
 *
 * Whatever the bytes are: a value becomes JSON that jansson reads back to the same value, in which
 * nothing hides; text becomes UTF-8 in which no character controls, hides or reorders.
 */
#include "base/utf8.h"
#include "cli/escape.h"
#include "cli/value.h"
#include "tests/fuzz/fuzz.h"

/* Nothing but what is seen, and line feeds where they may be. */
static void seen_check(struct bytes text, bool lines)
{
    must(utf8_valid(text));
    while (text.size > 0) {
        size_t size = 0;
        uint32_t code = utf8_next(text, &size);
        must((lines && code == '\n') || !escape_needed(code));
        must((lines && code == '\n') || (code >= ' ' && (code < 0x7f || code > 0x9f)));
        text = bytes_of(text.data + size, text.size - size);
    }
}

static void escape_check(struct bytes text)
{
    static const enum escape_mode modes[] = {ESCAPE_LINE, ESCAPE_FIELD, ESCAPE_BLOCK};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct buf out = {0};
        escape_put(&out, text, modes[i]);
        must(out.err == ERR_OK);
        seen_check(buf_bytes(&out), modes[i] == ESCAPE_BLOCK);
        if (modes[i] == ESCAPE_LINE) {
            size_t width = escape_width(buf_bytes(&out));
            for (size_t wanted = 0; wanted < 12; wanted++) {
                size_t size = escape_cut(buf_bytes(&out), wanted);
                must(size <= out.size);
                must(escape_width(bytes_of(out.data, size)) <= wanted);
                must(width > wanted || size == out.size);
            }
        }
        buf_done(&out);
    }
}

static void leaf_check(void *user, const char *path, const json_t *leaf)
{
    (void) leaf;
    must(path != NULL);
    (*(size_t *) user)++;
}

static void value_check(struct bytes packed)
{
    json_t *value = value_unpack(packed);
    if (value == NULL) {
        return;
    }
    struct buf text = {0};
    value_put_json(&text, value);
    must(text.err == ERR_OK);
    seen_check(buf_bytes(&text), true);
    json_t *again =
        json_loadb((const char *) text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    must(again != NULL);
    must(json_equal(again, value));
    json_decref(again);
    buf_clear(&text);
    value_put_text(&text, value);
    must(text.err == ERR_OK);
    size_t leaves = 0;
    value_leaves(value, leaf_check, &leaves);
    (void) value_at(value, "a.0.b");
    buf_done(&text);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    escape_check(bytes_of(data, size));
    value_check(bytes_of(data, size));
    return 0;
}
