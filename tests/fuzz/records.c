/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/fuzz/records.c: see records.h. */
#include "tests/fuzz/records.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/record.h"
#include "cli/value.h"
#include "proto/entry.h"
#include "proto/scan.h"

static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX, .nodes_max = BODY_NODES_MAX};

void records_same(const struct build *a, const struct build *b)
{
    must(strcmp(a->slug, b->slug) == 0);
    must(strcmp(a->kind, b->kind) == 0);
    must(bytes_equal(buf_bytes(&a->out), buf_bytes(&b->out)));
}

static void flaw_check(const struct flaw *flaw)
{
    must(flaw->err != ERR_OK);
    must(memchr(flaw->detail, 0, sizeof flaw->detail) != NULL);
    must(memchr(flaw->field, 0, sizeof flaw->field) != NULL);
    must(memchr(flaw->slug, 0, sizeof flaw->slug) != NULL);
    must(memchr(flaw->file, 0, sizeof flaw->file) != NULL);
}

/* Out as JSON and in again. */
static void json_check(const struct build *build)
{
    json_t *value = value_unpack(buf_bytes(&build->out));
    must(value != NULL);
    value_set(value, "kind", value_str(bytes_of_str(build->kind)));
    value_set(value, "slug", value_str(bytes_of_str(build->slug)));
    struct buf text = {0};
    value_put_json(&text, value);
    json_decref(value);
    must(text.err == ERR_OK);
    if (memmem(text.data, text.size, "\"$uint\"", 7) == NULL) { /* beyond JSON's integers */
        struct build *again = malloc(sizeof *again);
        must(again != NULL);
        build_init(again);
        must(json_read(buf_bytes(&text), again) == ERR_OK);
        records_same(build, again);
        build_done(again);
        free(again);
    }
    buf_done(&text);
}

/* The same record is built again while its fields are looked for. */
static void locate_check(struct input *input, const struct model_report *report)
{
    const struct build *build = input->build;
    uint8_t *before = fuzz_copy(buf_bytes(&build->out));
    size_t size = build->out.size, line = 0, column = 0;
    input_locate(input, report->count > 0 ? report->issues[0].field : "title", &line, &column);
    must(line >= 1);
    must(column >= 1);
    must(bytes_equal(buf_bytes(&build->out), bytes_of(before, size)));
    free(before);
}

static void record_one(struct input *input)
{
    const struct build *build = input->build;
    struct model_report report;
    struct flaw flaw;
    must(scan_strict(buf_bytes(&build->out), limits) == ERR_OK);
    must((build->out.data[0] & 0xf0) == 0x80 || build->out.data[0] == 0xde);
    must(utf8_valid(bytes_of_str(build->slug)));
    must(input_line(input) >= 1);
    enum err err = record_check(build, &report, &flaw);
    if (err != ERR_OK) {
        must(flaw.err == err);
        flaw_check(&flaw);
    } else {
        must(slug_valid(bytes_of_str(build->slug)));
        must(kind_valid(bytes_of_str(build->kind)));
    }
    json_check(build);
    locate_check(input, &report);
}

void records_check(struct bytes text, const char *name)
{
    struct build *build = malloc(sizeof *build);
    must(build != NULL);
    build_init(build);
    struct input input;
    input_open_bytes(&input, text, name, build);
    size_t steps = 0;
    enum input_step step;
    do {
        must(steps++ <= text.size + 2);
        step = input_next(&input);
        if (step == INPUT_RECORD) {
            record_one(&input);
        } else if (step != INPUT_END) {
            flaw_check(&input.flaw);
        }
    } while (step == INPUT_RECORD || step == INPUT_FLAWED);
    input_close(&input);
    build_done(build);
    free(build);
}
