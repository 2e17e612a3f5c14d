/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/guard.h: DIR/guard, outside the store: the number and hash of the newest own head that may
 * have been told to anybody (doc/decisions/0009).
 *
 *     essaim-guard-1 N(20 digits) HASH(64 hex) CHECK(16 hex)\n
 *
 * CHECK = the first 8 bytes of BLAKE2b-256 of what stands before it. The line has a fixed size and
 * is overwritten in place; the file is never synced.
 */
#ifndef ESSAIM_CONF_GUARD_H
#define ESSAIM_CONF_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/say.h"

#define GUARD_FILE "guard"
#define GUARD_HASH_SIZE 32
#define GUARD_LINE_SIZE 118
/* As n, with a hash of zeros: a copy was put back, and nobody knows how far the lab had gone. */
#define GUARD_UNKNOWN UINT64_MAX

struct guard {
    uint64_t n; /* 0: no head yet */
    uint8_t hash[GUARD_HASH_SIZE];
};

enum guard_state { GUARD_ABSENT, GUARD_GOOD, GUARD_GARBLED };

/* Pure. */
void guard_encode(const struct guard *guard, char ret_line[GUARD_LINE_SIZE + 1]);
/* ERR_INVALID: any other size, form or checksum. */
MUST_USE enum err guard_decode(const char *line, size_t size, struct guard *ret_guard);

/* Opens DIR/guard (made 0600 if it is not there) for guard_write and reads it. An empty file counts
 * as absent. ERR_KEY when it is no regular file of ours, ERR_IO; `ret_say` (may be NULL) is set.
 * The caller closes *ret_fd. */
MUST_USE enum err guard_open(const char *dir, int *ret_fd, enum guard_state *ret_state,
                             struct guard *ret_guard, struct say *ret_say);
/* One pwrite. ERR_IO, ERR_FULL. */
MUST_USE enum err guard_write(int fd, const struct guard *guard);

#endif
