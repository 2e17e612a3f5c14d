/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz.h: what the fuzz targets share.
 *
 * A target is one file fuzz_NAME.c with one LLVMFuzzerTestOneInput. It is linked with libFuzzer
 * (`./dev fuzz`), or with replay.c, which feeds it the kept inputs and some seeded dice on any
 * compiler. An oracle that does not hold is a must() that fails. Where an input is not bytes to
 * decode it is a series of choices: when it ends, every further choice is 0, so a shorter input is
 * a simpler one. At most one choice stands in an expression or a list of arguments: their order is
 * the compiler's, and an input must mean the same to all.
 */
#ifndef ESSAIM_TESTS_FUZZ_FUZZ_H
#define ESSAIM_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Functions that not every target uses. */
#define FUZZ __attribute__((unused)) static inline

struct choices {
    struct bytes left;
};

FUZZ uint8_t choose_byte(struct choices *choices)
{
    if (choices->left.size == 0) {
        return 0;
    }
    uint8_t byte = choices->left.data[0];
    choices->left = bytes_of(choices->left.data + 1, choices->left.size - 1);
    return byte;
}

/* 0 to count - 1. */
FUZZ size_t choose(struct choices *choices, size_t count)
{
    size_t value = choose_byte(choices);
    if (count > 256) {
        value = value << 8 | choose_byte(choices);
    }
    if (count > 65536) {
        value = value << 8 | choose_byte(choices);
    }
    return count == 0 ? 0 : value % count;
}

/* Any number; the edges of the encodings come often. */
FUZZ uint64_t choose_number(struct choices *choices)
{
    static const uint64_t edges[] = {
        0,           1,          2,          127,        128,
        255,         256,        65535,      65536,      1 << 20,
        UINT32_MAX,  1ull << 32, 1ull << 63, INT64_MAX,  UINT64_MAX - 1,
        UINT64_MAX,  100000,     3600,       1700000000, 2147483648u,
        4294967296u, 90,         4096,       4097,
    };
    size_t pick = choose_byte(choices);
    if (pick < 128) {
        return pick;
    }
    if (pick < 128 + sizeof edges / sizeof *edges) {
        return edges[pick - 128];
    }
    uint64_t value = 0;
    for (size_t i = 0; i <= pick % 8; i++) {
        value = value << 8 | choose_byte(choices);
    }
    return value;
}

/* At most `size_max` bytes of the input itself. */
FUZZ struct bytes choose_bytes(struct choices *choices, size_t size_max)
{
    size_t size = choose(choices, size_max + 1);
    size = size > choices->left.size ? choices->left.size : size;
    struct bytes bytes = bytes_of(choices->left.data, size);
    choices->left = bytes_of(choices->left.data + size, choices->left.size - size);
    return bytes;
}

/* `size` bytes that differ for every `number`. */
FUZZ void fuzz_fill(uint8_t *into, size_t size, uint64_t number)
{
    uint64_t state = number;
    for (size_t i = 0; i < size; i++) { /* splitmix64 (Steele, Lea, Flood 2014) */
        uint64_t mixed = (state += 0x9e3779b97f4a7c15u);
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
        into[i] = (uint8_t) (mixed ^ (mixed >> 31));
    }
}

/* A copy in a heap block of exactly that size, for the address sanitizer. free(.data). */
FUZZ uint8_t *fuzz_copy(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    must(copy != NULL);
    bytes_copy(copy, bytes);
    return copy;
}

#endif
