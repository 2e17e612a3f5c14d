/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_json.c: a file of records in JSON, and our reader against jansson.
 *
 * What json_read takes, jansson takes, and what jansson writes of it gives the same record. What
 * json_measure measures is what json_read reads.
 */
#include <jansson.h>

#include "cli/json.h"
#include "tests/fuzz/records.h"

static void jansson_check(struct bytes text, const struct build *build)
{
    json_error_t error;
    json_t *value = json_loadb((const char *) text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) {
        must(strstr(error.text, "too big") != NULL); /* integers beyond 63 bits */
        return;
    }
    char *again = json_dumps(value, JSON_COMPACT);
    must(again != NULL);
    struct build *other = malloc(sizeof *other);
    must(other != NULL);
    build_init(other);
    must(json_read(bytes_of_str(again), other) == ERR_OK);
    records_same(build, other);
    build_done(other);
    free(other);
    free(again);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    records_check(text, "records.json");
    struct build *build = malloc(sizeof *build);
    must(build != NULL);
    build_init(build);
    size_t whole = 0;
    enum err measured = json_measure(text, &whole);
    must(measured != ERR_OK || whole <= size);
    if (json_read(text, build) == ERR_OK) {
        must(measured == ERR_OK);
        jansson_check(text, build);
    }
    build_done(build);
    free(build);
    return 0;
}
