/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/unit/kit.h: what the unit tests of base and proto share: cmocka with its prerequisites,
 * bytes from hexadecimal text, and a small seeded generator. */
#ifndef ESSAIM_TESTS_UNIT_KIT_H
#define ESSAIM_TESTS_UNIT_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define assert_err(got, wanted) assert_string_equal(err_code(got), err_code(wanted))

/* Appends the bytes of hexadecimal text; blanks are skipped. */
static inline void kit_hex(struct buf *into, const char *text)
{
    unsigned nibbles = 0;
    uint8_t byte = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ') {
            continue;
        }
        unsigned char c = (unsigned char) *text;
        assert_true((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
        byte = (uint8_t) (byte << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
        if (++nibbles % 2 == 0) {
            buf_put_u8(into, byte);
        }
    }
    assert_int_equal(nibbles % 2, 0);
}

/* A copy in a heap block of exactly that size, so that the address sanitizer sees every step
 * beyond it. The caller frees it. */
static inline struct bytes kit_copy(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    assert_non_null(copy);
    bytes_copy(copy, bytes);
    return bytes_of(copy, bytes.size);
}

static inline void kit_free(struct bytes copy)
{
    free((void *) (uintptr_t) copy.data);
}

/* splitmix64 (Steele, Lea, Flood 2014): any seed will do. */
static inline uint64_t kit_random(uint64_t *seed)
{
    uint64_t mixed = (*seed += 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

#endif
