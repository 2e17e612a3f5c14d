/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/fuzz/records.h: what the targets for YAML, JSON and NDJSON share. */
#ifndef ESSAIM_TESTS_FUZZ_RECORDS_H
#define ESSAIM_TESTS_FUZZ_RECORDS_H

#include "cli/build.h"
#include "tests/fuzz/fuzz.h"

/* Reads all records of a file called `name`, as `essaim publish` does. Each is canonical, is found
 * again by its fields, and comes back the same through JSON; each flaw has its place; there is an
 * end. */
void records_check(struct bytes text, const char *name);

/* Both were built from the same record. */
void records_same(const struct build *a, const struct build *b);

#endif
