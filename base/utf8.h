/* SPDX-License-Identifier: EUPL-1.2 */
/* base/utf8.h: UTF-8 as RFC 3629 has it: shortest form, no surrogates, at most U+10FFFF. */
#ifndef ESSAIM_BASE_UTF8_H
#define ESSAIM_BASE_UTF8_H

#include <stdbool.h>

#include "base/bytes.h"

/* Valid UTF-8 without C0 control characters (U+0000–U+001F) other than tab, line feed and carriage
 * return. Eight bytes at a time over ASCII. */
bool utf8_valid(struct bytes bytes);

/* The same, and without tab, line feed and carriage return: names, slugs, one-line texts. */
bool utf8_valid_line(struct bytes bytes);

/* Decodes one code point at bytes.data (valid UTF-8, size > 0); stores its length, 1 to 4. */
uint32_t utf8_next(struct bytes bytes, size_t *ret_size);

/* Number of code points of valid UTF-8. */
size_t utf8_count(struct bytes bytes);

#endif
