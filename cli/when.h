/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/when.h: times as RFC 3339 in UTC, the only form the program shows. */
#ifndef ESSAIM_CLI_WHEN_H
#define ESSAIM_CLI_WHEN_H

#include <stdint.h>

#define WHEN_SIZE_MAX 32

/* "2026-11-22T16:40:00Z"; beyond the year 9999 "@SECONDS". */
void when_print(uint64_t seconds, char ret_text[WHEN_SIZE_MAX]);

/* Monotonic milliseconds. */
uint64_t when_now_ms(void);

#endif
