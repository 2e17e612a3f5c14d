/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/json.h: reads JSON (RFC 8259, strictly) into a builder.
 *
 * Own reader and not jansson, which needs about 21 µs for a record of 1 kB and gives no place for a
 * value (doc/decisions/0007-json.md). Iterative; nothing is kept but the builder's bytes.
 */
#ifndef ESSAIM_CLI_JSON_H
#define ESSAIM_CLI_JSON_H

#include "cli/build.h"

/* `text` is one JSON object, white space around it allowed. `at` of the builder is the byte offset
 * in `text`. ERR_SYNTAX, or an error of the builder; build->flaw and build->flaw_at say more. */
MUST_USE enum err json_read(struct bytes text, struct build *build);

/* Finds the end of one value in a longer text without understanding it: the size of the white space
 * and the value from `text` on. ERR_MORE: not complete. ERR_SYNTAX: no object starts here. */
MUST_USE enum err json_measure(struct bytes text, size_t *ret_size);

#endif
