/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/fuzz/fuzz_ndjson.c: a file of records in NDJSON, as `essaim publish` reads it. */
#include "tests/fuzz/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    records_check(bytes_of(data, size), "records.ndjson");
    return 0;
}
