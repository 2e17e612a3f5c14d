/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_entry.c: entries and the model of their bodies.
 *
 * What entry_decode lets pass encodes to the same bytes; peek sees the same; the model check stays
 * within its report and gives the same verdict twice.
 */
#include "base/limits.h"
#include "base/utf8.h"
#include "proto/entry.h"
#include "proto/model.h"
#include "tests/fuzz/fuzz.h"

static void model(const struct entry *entry)
{
    for (size_t i = 0; model_kinds[i] != NULL; i++) {
        struct model_report report;
        enum err err = model_check(bytes_of_str(model_kinds[i]), entry->body, &report);
        must(err == ERR_OK || err == ERR_FIELD);
        must((err == ERR_OK) == (report.errors == 0));
        must(report.count <= MODEL_ISSUES_MAX);
        for (unsigned k = 0; k < report.count; k++) {
            const struct model_issue *issue = &report.issues[k];
            must(memchr(issue->field, 0, sizeof issue->field) != NULL);
            must(utf8_valid(bytes_of_str(issue->field)));
            must(issue->text != NULL);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = bytes_of(data, size);
    struct entry entry, peeked;
    enum err err = entry_decode(bytes, &entry);
    if (err != ERR_OK) {
        must(err == ERR_SLUG || err == ERR_INVALID || err == ERR_CANONICAL || err == ERR_SIZE);
        return 0;
    }
    must(entry_peek(bytes, &peeked) == ERR_OK);
    must(memcmp(&entry, &peeked, sizeof entry) == 0);
    struct buf again = {0};
    must(entry_encode(&entry, &again) == ERR_OK);
    must(bytes_equal(buf_bytes(&again), bytes));
    buf_done(&again);
    struct bytes value;
    static const char *const fields[] = {"", "body", "summary", "title", "zzz"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (entry_field(&entry, fields[i], &value) == ERR_OK) {
            must(value.data > data && value.data + value.size <= data + size);
        }
    }
    model(&entry);
    return 0;
}
