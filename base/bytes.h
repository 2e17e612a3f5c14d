/* SPDX-License-Identifier: EUPL-1.2 */
/* base/bytes.h: a borrowed view of bytes, and big-endian integers. A view is dead at the next feed
 * or commit of what it looks into; whoever keeps the bytes copies them. */
#ifndef ESSAIM_BASE_BYTES_H
#define ESSAIM_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;         /* bytes */
};

#define BYTES_OF_ARRAY(array) ((struct bytes){.data = (array), .size = sizeof(array)})

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){.data = data, .size = size};
}

static inline struct bytes bytes_of_str(const char *text)
{
    return bytes_of(text, strlen(text));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, a shorter prefix first: <0, 0, >0. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* memcpy that allows a NULL source of size 0. */
static inline void bytes_copy(void *into, struct bytes from)
{
    if (from.size > 0) {
        memcpy(into, from.data, from.size);
    }
}

static inline uint16_t be16_get(const uint8_t *at)
{
    return (uint16_t) ((at[0] << 8) | at[1]);
}

static inline uint32_t be32_get(const uint8_t *at)
{
    return ((uint32_t) at[0] << 24) | ((uint32_t) at[1] << 16) | ((uint32_t) at[2] << 8) | at[3];
}

static inline uint64_t be64_get(const uint8_t *at)
{
    return ((uint64_t) be32_get(at) << 32) | be32_get(at + 4);
}

static inline void be16_put(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t) (value >> 8);
    at[1] = (uint8_t) value;
}

static inline void be32_put(uint8_t *at, uint32_t value)
{
    be16_put(at, (uint16_t) (value >> 16));
    be16_put(at + 2, (uint16_t) value);
}

static inline void be64_put(uint8_t *at, uint64_t value)
{
    be32_put(at, (uint32_t) (value >> 32));
    be32_put(at + 4, (uint32_t) value);
}

#endif
