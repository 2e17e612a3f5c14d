/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_entry.c: entries and the model of their bodies.
 *
 * What entry_decode lets pass encodes to the same bytes; peek sees the same; with a field that is
 * wrong it does not encode. The model check stays within its report, also over what is no body.
 */
#include "base/limits.h"
#include "base/utf8.h"
#include "proto/entry.h"
#include "proto/model.h"
#include "tests/fuzz/fuzz.h"

static enum err model(const char *kind, struct bytes body)
{
    struct model_report report;
    enum err err = model_check(bytes_of_str(kind), body, &report);
    must(err == ERR_OK || err == ERR_FIELD || err == ERR_SIZE || err == ERR_CANONICAL);
    must((err == ERR_OK) == (report.errors == 0));
    must(report.count <= MODEL_ISSUES_MAX);
    for (unsigned k = 0; k < report.count; k++) {
        const struct model_issue *issue = &report.issues[k];
        must(memchr(issue->field, 0, sizeof issue->field) != NULL);
        must(utf8_valid(bytes_of_str(issue->field)));
        must(issue->text != NULL);
    }
    return err;
}

/* Nothing is appended where a field is wrong. */
static void encode_check(const struct entry *entry, struct bytes broken)
{
    struct entry bad[] = {*entry, *entry, *entry, *entry, *entry};
    bad[0].slug = bytes_of_str("-");
    bad[1].kind = bytes_of_str("A");
    bad[2].rev = 0;
    bad[3].body = bytes_of_str("\xc0");
    bad[4].body = broken;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf into = {0};
        must(entry_encode(&bad[i], &into) != ERR_OK);
        must(into.size == 0);
        buf_done(&into);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = bytes_of(data, size);
    struct entry entry, peeked;
    enum err err = entry_decode(bytes, &entry);
    if (err != ERR_OK) {
        must(err == ERR_SLUG || err == ERR_INVALID || err == ERR_CANONICAL || err == ERR_SIZE);
        (void) model("need", bytes);
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
    encode_check(&entry, bytes_of(entry.body.data, entry.body.size - 1));
    must(model("zzz", entry.body) != ERR_OK);
    for (size_t i = 0; model_kinds[i] != NULL; i++) {
        (void) model(model_kinds[i], entry.body);
    }
    return 0;
}
