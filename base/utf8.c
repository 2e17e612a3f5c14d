/* SPDX-License-Identifier: EUPL-1.2 */
/* base/utf8.c: one pass, eight bytes at a time where the text is plain ASCII. */
#include "base/utf8.h"

#include "base/must.h"

#define ASCII_HIGH 0x8080808080808080ull
#define ASCII_SPACES 0x2020202020202020ull

/* How many of the eight bytes stand before the first that is not in 0x20 … 0x7f. Taking 0x20 away
 * borrows only towards later bytes, so the first mark is right. */
static size_t plain_run(const uint8_t *at)
{
    uint64_t word = (uint64_t) at[0] | (uint64_t) at[1] << 8 | (uint64_t) at[2] << 16 |
                    (uint64_t) at[3] << 24 | (uint64_t) at[4] << 32 | (uint64_t) at[5] << 40 |
                    (uint64_t) at[6] << 48 | (uint64_t) at[7] << 56; /* one load, any machine */
    uint64_t marks = (word | (word - ASCII_SPACES)) & ASCII_HIGH;
    return marks == 0 ? 8 : (size_t) __builtin_ctzll(marks) / 8;
}

/* Length of the well-formed sequence at `at`, 0 if it is none (RFC 3629 §4). */
static size_t sequence_size(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    if (lead < 0x80) {
        return 1;
    }
    size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < size) {
        return 0;
    }
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

static bool valid(struct bytes bytes, bool line)
{
    size_t at = 0;
    while (at < bytes.size) {
        if (bytes.size - at >= 8) {
            size_t plain = plain_run(bytes.data + at);
            at += plain;
            if (plain == 8) {
                continue;
            }
        }
        uint8_t lead = bytes.data[at];
        if (lead < 0x20 && (line || (lead != '\t' && lead != '\n' && lead != '\r'))) {
            return false;
        }
        size_t size = sequence_size(bytes.data + at, bytes.size - at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

bool utf8_valid(struct bytes bytes)
{
    return valid(bytes, false);
}

bool utf8_valid_line(struct bytes bytes)
{
    return valid(bytes, true);
}

uint32_t utf8_next(struct bytes bytes, size_t *ret_size)
{
    must(bytes.size > 0);
    const uint8_t *at = bytes.data;
    size_t size = sequence_size(at, bytes.size);
    must(size > 0);
    *ret_size = size;
    if (size == 1) {
        return at[0];
    }
    uint32_t code = at[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        code = (code << 6) | (at[i] & 0x3fu);
    }
    return code;
}

size_t utf8_count(struct bytes bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        count += (bytes.data[i] & 0xc0) != 0x80;
    }
    return count;
}
