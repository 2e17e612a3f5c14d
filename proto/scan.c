/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/scan.c: one reader of value heads (token_read) under two walkers and one stepper.
 *
 * A walker keeps a small stack of what each open array or map still owes. `nodes` counts a
 * container's items as soon as its head is read, so a lying count is refused before its items are
 * looked at: in strict mode when more items are owed than bytes remain, in both when the sum passes
 * nodes_max.
 *
 * Fails with ERR_CANONICAL (strict), ERR_MALFORMED (lenient), ERR_SIZE over the limits, and
 * ERR_MORE (lenient) when the bytes end early.
 */
#include "proto/scan.h"

#include "base/must.h"
#include "base/utf8.h"

#define SCAN_DEPTH_MAX 16

enum token_kind {
    TOKEN_NIL,
    TOKEN_BOOL,
    TOKEN_UINT,
    TOKEN_INT,
    TOKEN_FLOAT,
    TOKEN_STR,
    TOKEN_BIN,
    TOKEN_ARRAY,
    TOKEN_MAP,
    TOKEN_NONE /* ext and the byte that stands for nothing */
};

/* The head of a value: what it is, and how many bytes or items follow it. */
struct token {
    enum token_kind kind;
    bool minimal;     /* no shorter form says the same */
    size_t head_size; /* bytes of the head */
    uint64_t value;   /* UINT, BOOL; content bytes of STR, BIN, FLOAT; items, pairs of the rest */
    int64_t negative; /* INT, when below zero */
};

/* What an open array or map still owes. A map owes a key while `left` is even. */
struct level {
    uint64_t left;
    bool map;
    struct bytes key; /* the last one */
};

/* The heads 0xc0 to 0xdf: kind, and bytes of the number behind the lead byte. */
static const struct lead {
    uint8_t kind, number_size;
} leads[32] = {
    [0x00] = {TOKEN_NIL, 0},  [0x01] = {TOKEN_NONE, 0},  [0x02] = {TOKEN_BOOL, 0},
    [0x03] = {TOKEN_BOOL, 0}, [0x04] = {TOKEN_BIN, 1},   [0x05] = {TOKEN_BIN, 2},
    [0x06] = {TOKEN_BIN, 4},  [0x07] = {TOKEN_NONE, 0},  [0x08] = {TOKEN_NONE, 0},
    [0x09] = {TOKEN_NONE, 0}, [0x0a] = {TOKEN_FLOAT, 0}, [0x0b] = {TOKEN_FLOAT, 0},
    [0x0c] = {TOKEN_UINT, 1}, [0x0d] = {TOKEN_UINT, 2},  [0x0e] = {TOKEN_UINT, 4},
    [0x0f] = {TOKEN_UINT, 8}, [0x10] = {TOKEN_INT, 1},   [0x11] = {TOKEN_INT, 2},
    [0x12] = {TOKEN_INT, 4},  [0x13] = {TOKEN_INT, 8},   [0x14] = {TOKEN_NONE, 0},
    [0x15] = {TOKEN_NONE, 0}, [0x16] = {TOKEN_NONE, 0},  [0x17] = {TOKEN_NONE, 0},
    [0x18] = {TOKEN_NONE, 0}, [0x19] = {TOKEN_STR, 1},   [0x1a] = {TOKEN_STR, 2},
    [0x1b] = {TOKEN_STR, 4},  [0x1c] = {TOKEN_ARRAY, 2}, [0x1d] = {TOKEN_ARRAY, 4},
    [0x1e] = {TOKEN_MAP, 2},  [0x1f] = {TOKEN_MAP, 4},
};

static uint64_t number_read(const uint8_t *at, size_t size)
{
    switch (size) {
    case 1:
        return at[0];
    case 2:
        return be16_get(at);
    case 4:
        return be32_get(at);
    default:
        return be64_get(at);
    }
}

/* Smallest number that needs `size` bytes behind a lead byte; below it a shorter form exists. */
static uint64_t number_min(enum token_kind kind, size_t size)
{
    if (size == 1) {
        return kind == TOKEN_UINT ? 0x80 : kind == TOKEN_STR ? 32 : 0;
    }
    if (size == 2) {
        return kind == TOKEN_ARRAY || kind == TOKEN_MAP ? 16 : 0x100;
    }
    return size == 4 ? 0x10000 : 0x100000000;
}

static void int_read(const uint8_t *at, size_t size, struct token *ret_token)
{
    uint64_t raw = number_read(at, size);
    unsigned shift = (unsigned) (64 - 8 * size);
    int64_t value = (int64_t) (raw << shift) >> shift;
    if (value >= 0) { /* the unsigned forms are for these */
        ret_token->kind = TOKEN_UINT;
        ret_token->value = raw;
        ret_token->minimal = false;
        return;
    }
    static const int64_t above[9] = {[1] = -32, [2] = INT8_MIN, [4] = INT16_MIN, [8] = INT32_MIN};
    ret_token->negative = value;
    ret_token->minimal = value < above[size];
}

/* Heads whose lead byte is 0xc0 to 0xdf. */
static enum err token_read_long(const uint8_t *at, size_t left, struct token *ret_token)
{
    const struct lead *lead = &leads[at[0] & 0x1f];
    struct token token = {.kind = lead->kind, .minimal = true};
    token.head_size = 1u + lead->number_size;
    if (left < token.head_size) {
        return ERR_MORE;
    }
    switch (token.kind) {
    case TOKEN_NIL:
        break;
    case TOKEN_NONE:
        return ERR_MALFORMED;
    case TOKEN_BOOL:
        token.value = at[0] & 1;
        break;
    case TOKEN_FLOAT:
        token.value = at[0] == 0xca ? 4 : 8;
        break;
    case TOKEN_INT:
        int_read(at + 1, lead->number_size, &token);
        break;
    default:
        token.value = number_read(at + 1, lead->number_size);
        token.minimal = token.value >= number_min(token.kind, lead->number_size);
        break;
    }
    *ret_token = token;
    return ERR_OK;
}

/* ERR_MORE when the head is cut, ERR_MALFORMED for ext and 0xc1. */
static inline enum err token_read(struct bytes bytes, size_t at, struct token *ret_token)
{
    if (at >= bytes.size) {
        return ERR_MORE;
    }
    uint8_t lead = bytes.data[at];
    if (lead >= 0xc0 && lead < 0xe0) {
        return token_read_long(bytes.data + at, bytes.size - at, ret_token);
    }
    *ret_token = (struct token){.minimal = true, .head_size = 1};
    if (lead >= 0xe0) {
        ret_token->kind = TOKEN_INT;
        ret_token->negative = (int8_t) lead;
    } else if (lead >= 0xa0) {
        ret_token->kind = TOKEN_STR;
        ret_token->value = lead & 0x1f;
    } else if (lead < 0x80) {
        ret_token->kind = TOKEN_UINT;
        ret_token->value = lead;
    } else {
        ret_token->kind = lead < 0x90 ? TOKEN_MAP : TOKEN_ARRAY;
        ret_token->value = lead & 0x0f;
    }
    return ERR_OK;
}

static bool token_has_content(const struct token *token)
{
    return token->kind == TOKEN_STR || token->kind == TOKEN_BIN || token->kind == TOKEN_FLOAT;
}

/* Values a container's head promises. At most 2^33, so the sums here cannot overflow. */
static uint64_t token_items(const struct token *token)
{
    return token->kind == TOKEN_ARRAY ? token->value
           : token->kind == TOKEN_MAP ? 2 * token->value
                                      : 0;
}

static bool text_valid(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) { /* short ASCII, the common case, without a call */
        if (text.data[i] < 0x20 || text.data[i] >= 0x80 || i == 16) {
            return utf8_valid(text);
        }
    }
    return true;
}

/* A key is a str above the one before it. */
static bool key_fits(struct level *level, const struct token *token, struct bytes content)
{
    if (token->kind != TOKEN_STR ||
        (level->key.data != NULL && bytes_compare(level->key, content) >= 0)) {
        return false;
    }
    level->key = content;
    return true;
}

/* One walk for both modes; `strict` is a constant where it is called. On success *ret_size is the
 * size of the value. */
static inline __attribute__((always_inline)) enum err
walk(struct bytes bytes, struct scan_limits limits, bool strict, size_t *ret_size)
{
    struct level levels[SCAN_DEPTH_MAX];
    unsigned depth = 0;
    uint64_t nodes = 1; /* seen and promised */
    uint64_t owed = 1;
    size_t at = 0;
    while (owed > 0) {
        struct token token;
        enum err err = token_read(bytes, at, &token);
        if (err != ERR_OK) {
            return strict ? ERR_CANONICAL : err;
        }
        at += token.head_size;
        owed--;
        struct bytes content = {0};
        if (token_has_content(&token)) {
            if (token.value > bytes.size - at) {
                return strict ? ERR_CANONICAL : ERR_MORE;
            }
            content = bytes_of(bytes.data + at, (size_t) token.value);
            at += content.size;
        }
        if (strict && (!token.minimal || token.kind == TOKEN_FLOAT ||
                       (token.kind == TOKEN_STR && !text_valid(content)))) {
            return ERR_CANONICAL;
        }
        if (depth > 0) {
            struct level *level = &levels[depth - 1];
            if (strict && level->map && level->left % 2 == 0 && !key_fits(level, &token, content)) {
                return ERR_CANONICAL;
            }
            level->left--;
        }
        if (token.kind == TOKEN_ARRAY || token.kind == TOKEN_MAP) {
            uint64_t items = token_items(&token);
            owed += items;
            nodes += items;
            if (strict && owed > bytes.size - at) {
                return ERR_CANONICAL;
            }
            if (depth == limits.depth_max || nodes > limits.nodes_max) {
                return ERR_SIZE;
            }
            levels[depth++] = (struct level){.left = items, .map = token.kind == TOKEN_MAP};
        }
        while (depth > 0 && levels[depth - 1].left == 0) {
            depth--;
        }
    }
    *ret_size = at;
    return ERR_OK;
}

enum err scan_strict(struct bytes bytes, struct scan_limits limits)
{
    must(limits.depth_max <= SCAN_DEPTH_MAX);
    size_t size = 0;
    enum err err = walk(bytes, limits, true, &size);
    if (err != ERR_OK) {
        return err;
    }
    return size == bytes.size ? ERR_OK : ERR_CANONICAL;
}

enum err scan_lenient(struct bytes bytes, struct scan_limits limits, size_t *ret_size)
{
    must(limits.depth_max <= SCAN_DEPTH_MAX);
    return walk(bytes, limits, false, ret_size);
}

enum err scan_next(struct bytes bytes, size_t *at, struct scan_item *ret_item)
{
    static const enum scan_kind kinds[] = {
        [TOKEN_NIL] = SCAN_NIL,     [TOKEN_BOOL] = SCAN_BOOL, [TOKEN_UINT] = SCAN_UINT,
        [TOKEN_INT] = SCAN_INT,     [TOKEN_STR] = SCAN_STR,   [TOKEN_BIN] = SCAN_BIN,
        [TOKEN_ARRAY] = SCAN_ARRAY, [TOKEN_MAP] = SCAN_MAP,
    };
    struct token token;
    if (token_read(bytes, *at, &token) != ERR_OK || token.kind == TOKEN_FLOAT) {
        return ERR_CANONICAL;
    }
    size_t next = *at + token.head_size;
    struct scan_item item = {.kind = kinds[token.kind], .negative = token.negative};
    if (token_has_content(&token)) {
        if (token.value > bytes.size - next) {
            return ERR_CANONICAL;
        }
        item.bytes = bytes_of(bytes.data + next, (size_t) token.value);
        next += item.bytes.size;
    } else {
        item.value = token.value;
    }
    *ret_item = item;
    *at = next;
    return ERR_OK;
}

enum err scan_skip(struct bytes bytes, size_t *at)
{
    size_t next = *at;
    uint64_t owed = 1;
    while (owed > 0) {
        struct token token;
        if (token_read(bytes, next, &token) != ERR_OK) {
            return ERR_CANONICAL;
        }
        next += token.head_size;
        if (token_has_content(&token)) {
            if (token.value > bytes.size - next) {
                return ERR_CANONICAL;
            }
            next += (size_t) token.value;
        }
        owed += token_items(&token) - 1;
        if (owed > bytes.size - next) {
            return ERR_CANONICAL;
        }
    }
    *at = next;
    return ERR_OK;
}
