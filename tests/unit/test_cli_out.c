/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/out.c and cli/opts.c: the same items in every shape, and the command line taken apart. */
#include "tests/unit/kit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/defer.h"
#include "cli/opts.h"
#include "cli/out.h"

#define WORDS_MAX 16

/* Parses "essaim word word …". */
static enum err parsed(const char *line, struct opts *ret_opts, struct flaw *flaw)
{
    static char text[512];
    static char *words[WORDS_MAX];
    int count = 0;
    (void) snprintf(text, sizeof text, "%s", line);
    char *rest = text;
    char *word = NULL;
    while ((word = strsep(&rest, " ")) != NULL && count < WORDS_MAX - 1) {
        words[count++] = word;
    }
    words[count] = NULL;
    return opts_parse(count, words, ret_opts, flaw);
}

static void options_stand_before_or_after_the_verb(void **state)
{
    (void) state;
    struct flaw flaw = {0};
    struct opts opts;
    assert_err(parsed("essaim --dir a list --json b --limit 5 -q", &opts, &flaw), ERR_OK);
    assert_string_equal(opts.verb, "list");
    assert_string_equal(opts.values[OPT_dir], "a");
    assert_true(opts_has(&opts, OPT_json) && opts_has(&opts, OPT_quiet));
    assert_false(opts_has(&opts, OPT_csv));
    assert_int_equal(opts.limit, 5);
    assert_int_equal(opts.timeout_ms, 30000);
    assert_int_equal(opts.operand_count, 1);
    assert_string_equal(opts.operands[0], "b");
    assert_err(parsed("essaim publish --dry-run --no-input --if-rev=3 -- -x -", &opts, &flaw),
               ERR_OK);
    assert_true(opts_has(&opts, OPT_dry_run) && opts_has(&opts, OPT_no_input));
    assert_int_equal(opts.if_rev, 3);
    assert_int_equal(opts.operand_count, 2);
    assert_string_equal(opts.operands[0], "-x");
    assert_string_equal(opts.operands[1], "-");
    assert_err(opts_check(&opts, OPT_BIT(if_rev), &flaw), ERR_OK);
    assert_err(opts_check(&opts, OPT_BIT(name), &flaw), ERR_USAGE);
}

static void posix_order_is_not_forced_on_anybody(void **state)
{
    (void) state;
    struct flaw flaw = {0};
    struct opts opts;
    assert_int_equal(setenv("POSIXLY_CORRECT", "1", 1), 0);
    assert_err(parsed("essaim withdraw a --json b -q c", &opts, &flaw), ERR_OK);
    assert_int_equal(unsetenv("POSIXLY_CORRECT"), 0);
    assert_true(opts_has(&opts, OPT_json) && opts_has(&opts, OPT_quiet));
    assert_int_equal(opts.operand_count, 3);
    assert_string_equal(opts.operands[2], "c");
}

static void wrong_options_are_named(void **state)
{
    (void) state;
    static const char *const lines[] = {"essaim list --frob",      "essaim list -x",
                                        "essaim list --limit",     "essaim list --limit 1x",
                                        "essaim list --limit -1",  "essaim --timeout 99999999 list",
                                        "essaim list --color red", "essaim list --json=1"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct flaw flaw = {0};
        struct opts opts;
        assert_err(parsed(lines[i], &opts, &flaw), ERR_USAGE);
        assert_non_null(flaw.text);
        assert_true(flaw.detail[0] != '\0');
    }
}

static const struct out_column columns[] = {
    {.path = "id", .title = "ID", .where = OUT_PIPE},
    {.path = "name", .title = "NAME", .flexible = true},
    {.path = "n", .title = "N", .right = true},
    {.path = "title", .title = "TITLE", .flexible = true},
};

/* What the shape prints for two items; stdout is a file meanwhile. */
static void printed(const char *line, enum out_format format, size_t width, char ret_text[4096])
{
    struct flaw flaw = {0};
    struct opts opts;
    struct out out;
    assert_err(parsed(line, &opts, &flaw), ERR_OK);
    assert_err(out_init(&out, &opts, &flaw), ERR_OK);
    if (format != OUT_TSV) {
        out.format = format;
    }
    out.width = width;
    out.color = false;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fflush(stdout), 0);
    int saved = dup(STDOUT_FILENO);
    assert_true(saved >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
    out_begin(&out, "essaim.test/1", columns, 4, "id");
    for (int i = 1; i <= 2; i++) {
        json_t *item =
            json_pack("{s:i,s:s,s:i,s:s}", "id", i, "name", i == 1 ? "un" : "deux", "n", i * 50,
                      "title", i == 1 ? "plain, \"quoted\"" : "tab\there\\n\xc3\xa9\xc3\xa9");
        out_item(&out, item);
        json_decref(item);
    }
    enum err err = out_end(&out, json_pack("{s:i}", "total", 2));
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    (void) close(saved);
    assert_err(err, ERR_OK);
    rewind(file);
    size_t size = fread(ret_text, 1, 4095, file);
    ret_text[size] = '\0';
    (void) fclose(file);
    out_done(&out);
}

static void assert_printed(const char *line, enum out_format format, const char *wanted)
{
    char text[4096];
    printed(line, format, 80, text);
    assert_string_equal(text, wanted);
}

static void each_shape_is_what_it_says(void **state)
{
    (void) state;
    assert_printed("essaim list", OUT_TABLE,
                   "NAME    N  TITLE\n"
                   "un     50  plain, \"quoted\"\n"
                   "deux  100  tab\\there\\n\xc3\xa9\xc3\xa9\n");
    assert_printed("essaim list --json", OUT_JSON,
                   "{\"schema\":\"essaim.test/1\",\"items\":[\n"
                   "{\"id\":1,\"name\":\"un\",\"n\":50,\"title\":\"plain, \\\"quoted\\\"\"},\n"
                   "{\"id\":2,\"name\":\"deux\",\"n\":100,\"title\":\"tab\\there\\\\n\xc3\xa9\xc3"
                   "\xa9\"}\n],\"total\":2}\n");
    assert_printed("essaim list --ndjson --fields n", OUT_NDJSON, "{\"n\":50}\n{\"n\":100}\n");
    assert_printed("essaim list --csv", OUT_CSV,
                   "id,name,n,title\r\n"
                   "1,un,50,\"plain, \"\"quoted\"\"\"\r\n"
                   "2,deux,100,tab    here\\n\xc3\xa9\xc3\xa9\r\n");
    assert_printed("essaim list --quiet", OUT_IDS, "1\n2\n");
}

static void a_table_never_passes_its_width(void **state)
{
    (void) state;
    char text[4096];
    printed("essaim list", OUT_TABLE, 21, text);
    assert_string_equal(text, "NAME    N  TITLE\n"
                              "un     50  plain, \"q\xe2\x80\xa6\n"
                              "deux  100  tab\\there\xe2\x80\xa6\n");
    printed("essaim list --fields title,name", OUT_TABLE, 16, text);
    assert_string_equal(text, "title       name\n"
                              "plain, \"q\xe2\x80\xa6  un\n"
                              "tab\\there\xe2\x80\xa6  deux\n");
}

static void fields_are_one_to_thirty_two_names(void **state)
{
    (void) state;
    struct flaw flaw = {0};
    struct opts opts;
    struct out out;
    assert_err(parsed("essaim list --fields a,,b", &opts, &flaw), ERR_OK);
    assert_err(out_init(&out, &opts, &flaw), ERR_USAGE);
    out_done(&out);
    defer(buf_done) struct buf line = {0};
    for (unsigned count = OUT_COLUMNS_MAX; count <= OUT_COLUMNS_MAX + 1; count++) {
        buf_clear(&line);
        buf_put_str(&line, "essaim list --fields a");
        for (unsigned i = 1; i < count; i++) {
            buf_put_str(&line, ",a");
        }
        buf_put_u8(&line, '\0');
        assert_err(parsed((const char *) line.data, &opts, &flaw), ERR_OK);
        assert_err(out_init(&out, &opts, &flaw), count == OUT_COLUMNS_MAX ? ERR_OK : ERR_USAGE);
        out_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_before_or_after_the_verb),
        cmocka_unit_test(posix_order_is_not_forced_on_anybody),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(each_shape_is_what_it_says),
        cmocka_unit_test(a_table_never_passes_its_width),
        cmocka_unit_test(fields_are_one_to_thirty_two_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
