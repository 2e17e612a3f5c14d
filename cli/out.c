/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/out.c: items in, text out. Tables keep their cells (escaped text, one after the other, with
 * where each starts) until the widths are known; everything else is written as it comes.
 */
#include "cli/out.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/escape.h"
#include "cli/text.h"
#include "cli/value.h"
#include "cli/words.h"

#define WIDTH_DEFAULT 80
#define WIDTH_FLEX_MIN 8
#define GAP 2
#define FLUSH_SIZE (64u * 1024u)

static size_t terminal_width(void)
{
    struct winsize size;
    const char *text = getenv("COLUMNS");
    long columns = text == NULL ? 0 : strtol(text, NULL, 10);
    if (columns > 0 && columns < 10000) {
        return (size_t) columns;
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return WIDTH_DEFAULT;
}

static bool color_wanted(const struct opts *opts, bool terminal)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (opts->color != COLOR_AUTO) {
        return opts->color == COLOR_ALWAYS;
    }
    return terminal && (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

/* --fields a,b.c: columns of their own. */
static enum err fields_parse(struct out *out, const char *text, struct flaw *flaw)
{
    out->fields = strdup(text);
    if (out->fields == NULL) {
        return flaw_set(flaw, ERR_NOMEM, NULL, NULL);
    }
    out->own_fields = true;
    char *at = out->fields;
    while (at != NULL) {
        char *comma = strchr(at, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        if (*at == '\0' || out->column_count == OUT_COLUMNS_MAX) {
            return flaw_set(flaw, ERR_USAGE, N_("--fields takes 1 to 32 names between commas"),
                            N_("such as: --fields slug,title,body.stage"));
        }
        out->columns[out->column_count++] =
            (struct out_column){.path = at, .title = at, .flexible = true};
        at = comma == NULL ? NULL : comma + 1;
    }
    return ERR_OK;
}

enum err out_init(struct out *ret_out, const struct opts *opts, struct flaw *flaw)
{
    static const struct {
        enum opt opt;
        enum out_format format;
    } choices[] = {
        {OPT_json, OUT_JSON}, {OPT_ndjson, OUT_NDJSON}, {OPT_csv, OUT_CSV}, {OPT_quiet, OUT_IDS}};
    struct out out = {.terminal = isatty(STDOUT_FILENO) == 1};
    unsigned shapes = 0;
    out.format = out.terminal ? OUT_TABLE : OUT_TSV;
    for (size_t i = sizeof choices / sizeof choices[0]; i > 0; i--) {
        if (opts_has(opts, choices[i - 1].opt)) {
            out.format = choices[i - 1].format;
            shapes += choices[i - 1].opt != OPT_quiet;
        }
    }
    if (shapes > 1) {
        return flaw_set(flaw, ERR_USAGE, N_("choose one of --json, --ndjson and --csv"), NULL);
    }
    out.color = color_wanted(opts, out.terminal);
    out.width = terminal_width();
    enum err err = ERR_OK;
    if (opts_has(opts, OPT_fields)) {
        err = fields_parse(&out, opts->values[OPT_fields], flaw);
    }
    *ret_out = out;
    return err;
}

void out_done(struct out *out)
{
    if (out == NULL) {
        return;
    }
    buf_done(&out->text);
    buf_done(&out->starts);
    free(out->fields);
    out->fields = NULL;
}

bool out_is_json(const struct out *out)
{
    return out->format == OUT_JSON || out->format == OUT_NDJSON;
}

enum err out_flush(struct out *out)
{
    enum err err = out->text.err;
    if (err == ERR_OK && out->text.size > 0 &&
        fwrite(out->text.data, 1, out->text.size, stdout) != out->text.size) {
        err = ERR_IO;
    }
    buf_clear(&out->text);
    return err == ERR_OK && fflush(stdout) != 0 ? ERR_IO : err;
}

/* Text goes out in blocks; what could not be written shows at the end. */
static void text_spill(struct out *out)
{
    if (out->text.size >= FLUSH_SIZE && out->text.err == ERR_OK) {
        (void) fwrite(out->text.data, 1, out->text.size, stdout); /* out_flush sees ferror */
        out->text.size = 0;
    }
}

/* The columns of this shape, unless --fields chose them. */
static void columns_set(struct out *out, const struct out_column *columns, unsigned count)
{
    enum out_where skip = out->format == OUT_TABLE ? OUT_PIPE : OUT_TERMINAL;
    for (unsigned i = 0; i < count && !out->own_fields; i++) {
        if (columns[i].where != skip && out->column_count < OUT_COLUMNS_MAX) {
            out->columns[out->column_count++] = columns[i];
        }
    }
}

static void csv_cell(struct buf *into, struct bytes text)
{
    struct buf safe = {0};
    escape_put(&safe, text, ESCAPE_BLOCK);
    bool quote = false;
    for (size_t i = 0; i < safe.size; i++) {
        quote = quote || strchr("\",\n", safe.data[i]) != NULL;
    }
    if (!quote) {
        buf_put(into, buf_bytes(&safe));
        buf_done(&safe);
        return;
    }
    buf_put_u8(into, '"');
    for (size_t i = 0; i < safe.size; i++) {
        if (safe.data[i] == '"') {
            buf_put_u8(into, '"');
        }
        buf_put_u8(into, safe.data[i]);
    }
    buf_put_u8(into, '"');
    buf_done(&safe);
}

void out_begin(struct out *out, const char *schema, const struct out_column *columns,
               unsigned count, const char *id_path)
{
    out->schema = schema;
    out->id_path = id_path;
    columns_set(out, columns, count);
    if (out->format == OUT_JSON) {
        buf_printf(&out->text, "{\"schema\":\"%s\",\"items\":[", schema);
    }
    for (unsigned i = 0; i < out->column_count && out->format == OUT_CSV; i++) {
        buf_put_str(&out->text, i > 0 ? "," : "");
        csv_cell(&out->text, bytes_of_str(out->columns[i].path));
    }
    if (out->format == OUT_CSV) {
        buf_put_str(&out->text, "\r\n");
    }
}

/* Only the chosen fields of an item, as an object: path → value. */
static json_t *item_narrow(const struct out *out, const json_t *item)
{
    json_t *narrow = json_object();
    for (unsigned i = 0; i < out->column_count; i++) {
        const json_t *value = value_at(item, out->columns[i].path);
        value_set(narrow, out->columns[i].path,
                  value == NULL ? json_null() : json_incref((json_t *) value));
    }
    return narrow;
}

static void item_json(struct out *out, const json_t *item)
{
    if (out->own_fields) {
        json_t *narrow = item_narrow(out, item);
        value_put_json(&out->text, narrow);
        json_decref(narrow);
    } else {
        value_put_json(&out->text, item);
    }
}

static void cell_put(struct out *out, const json_t *item, const struct out_column *column)
{
    struct buf plain = {0};
    const json_t *value = value_at(item, column->path);
    if (out->format == OUT_TABLE && column->word && json_string_length(value) > 0) {
        buf_put_str(&plain, words_of(json_string_value(value)));
    } else {
        value_put_text(&plain, value);
    }
    if (out->format == OUT_CSV) {
        csv_cell(&out->text, buf_bytes(&plain));
    } else {
        escape_put(&out->text, buf_bytes(&plain),
                   out->format == OUT_TABLE ? ESCAPE_LINE : ESCAPE_FIELD);
    }
    buf_done(&plain);
}

static void start_note(struct out *out)
{
    uint32_t start = (uint32_t) out->text.size;
    buf_put(&out->starts, bytes_of(&start, sizeof start));
}

static void item_cells(struct out *out, const json_t *item)
{
    for (unsigned i = 0; i < out->column_count; i++) {
        if (out->format == OUT_TABLE) {
            start_note(out);
        } else if (i > 0) {
            buf_put_u8(&out->text, out->format == OUT_CSV ? ',' : '\t');
        }
        cell_put(out, item, &out->columns[i]);
    }
}

void out_item(struct out *out, const json_t *item)
{
    static const struct out_column id_column = {.title = ""};
    switch (out->format) {
    case OUT_JSON:
        buf_put_str(&out->text, out->count > 0 ? ",\n" : "\n");
        item_json(out, item);
        break;
    case OUT_NDJSON:
        item_json(out, item);
        buf_put_u8(&out->text, '\n');
        break;
    case OUT_IDS: {
        struct out_column column = id_column;
        column.path = out->id_path;
        cell_put(out, item, &column);
        buf_put_u8(&out->text, '\n');
        break;
    }
    default:
        item_cells(out, item);
        if (out->format != OUT_TABLE) {
            buf_put_str(&out->text, out->format == OUT_CSV ? "\r\n" : "\n");
        }
        break;
    }
    out->count++;
    if (out->format != OUT_JSON && out->format != OUT_TABLE) {
        text_spill(out);
    }
}

/* ---- the table ---- */

static struct bytes cell_at(const struct out *out, uint64_t index)
{
    uint32_t start = 0;
    uint32_t end = (uint32_t) out->text.size;
    memcpy(&start, out->starts.data + index * sizeof start, sizeof start);
    if ((index + 1) * sizeof end < out->starts.size) {
        memcpy(&end, out->starts.data + (index + 1) * sizeof end, sizeof end);
    }
    return bytes_of(out->text.data + start, end - start);
}

/* Natural widths, then the widest flexible columns give way until the line fits. */
static void widths_fit(const struct out *out, size_t *widths)
{
    size_t total = 0;
    for (unsigned i = 0; i < out->column_count; i++) {
        widths[i] = escape_width(bytes_of_str(_(out->columns[i].title)));
        for (uint64_t row = 0; row < out->count; row++) {
            size_t width = escape_width(cell_at(out, row * out->column_count + i));
            widths[i] = width > widths[i] ? width : widths[i];
        }
        total += widths[i] + (i > 0 ? GAP : 0);
    }
    while (total > out->width) {
        unsigned widest = OUT_COLUMNS_MAX;
        for (unsigned i = 0; i < out->column_count; i++) {
            if (out->columns[i].flexible && widths[i] > WIDTH_FLEX_MIN &&
                (widest == OUT_COLUMNS_MAX || widths[i] > widths[widest])) {
                widest = i;
            }
        }
        if (widest == OUT_COLUMNS_MAX) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

static void cell_print(const struct out *out, struct buf *into, unsigned column, struct bytes text,
                       size_t width)
{
    size_t used = escape_width(text);
    bool last = column + 1 == out->column_count;
    bool right = out->columns[column].right;
    size_t pad = used < width ? width - used : 0;
    for (size_t i = 0; i < pad && right; i++) {
        buf_put_u8(into, ' ');
    }
    if (used > width) {
        buf_put(into, bytes_of(text.data, escape_cut(text, width - 1)));
        buf_put_str(into, "…");
    } else {
        buf_put(into, text);
    }
    for (size_t i = 0; i < pad + GAP && !last; i++) {
        if (i >= pad || !right) {
            buf_put_u8(into, ' ');
        }
    }
}

static void table_print(struct out *out)
{
    size_t widths[OUT_COLUMNS_MAX] = {0};
    struct buf page = {0};
    widths_fit(out, widths);
    buf_put_str(&page, out->color ? "\033[1m" : "");
    for (unsigned i = 0; i < out->column_count && out->count > 0; i++) {
        cell_print(out, &page, i, bytes_of_str(_(out->columns[i].title)), widths[i]);
    }
    buf_put_str(&page, out->color ? "\033[0m" : "");
    buf_put_str(&page, out->count > 0 ? "\n" : "");
    for (uint64_t row = 0; row < out->count; row++) {
        for (unsigned i = 0; i < out->column_count; i++) {
            cell_print(out, &page, i, cell_at(out, row * out->column_count + i), widths[i]);
        }
        buf_put_u8(&page, '\n');
    }
    buf_done(&out->text);
    out->text = page;
}

enum err out_end(struct out *out, json_t *rest)
{
    if (out->format == OUT_TABLE && out->text.err == ERR_OK && out->starts.err == ERR_OK) {
        table_print(out);
    } else if (out->format == OUT_JSON) {
        buf_put_str(&out->text, out->count > 0 ? "\n]" : "]");
        const char *key = NULL;
        json_t *value = NULL;
        json_object_foreach(rest, key, value)
        {
            buf_printf(&out->text, ",\"%s\":", key);
            value_put_json(&out->text, value);
        }
        buf_put_str(&out->text, "}\n");
    }
    json_decref(rest);
    enum err err = out_flush(out);
    return err == ERR_OK && ferror(stdout) != 0 ? ERR_IO : err;
}

/* ---- one object ---- */

struct leaf_list {
    struct out *out;
    size_t width; /* of the widest path */
    bool measuring;
};

static void leaf_print(struct leaf_list *list, const char *path, struct bytes text)
{
    struct out *out = list->out;
    struct buf *into = &out->text;
    if (out->format != OUT_TABLE) {
        escape_put(into, bytes_of_str(path), ESCAPE_FIELD);
        buf_put_u8(into, '\t');
        escape_put(into, text, ESCAPE_FIELD);
        buf_put_u8(into, '\n');
        return;
    }
    struct buf safe = {0};
    struct buf label = {0};
    escape_put(&label, bytes_of_str(path), ESCAPE_LINE);
    escape_put(&safe, text, ESCAPE_BLOCK);
    buf_put_str(into, out->color ? "\033[1m" : "");
    buf_put(into, buf_bytes(&label));
    buf_put_str(into, out->color ? "\033[0m" : "");
    size_t pad = list->width + GAP - escape_width(buf_bytes(&label));
    size_t at = 0;
    do { /* further lines of a text stand under its first */
        const uint8_t *end = memchr(safe.data + at, '\n', safe.size - at);
        size_t size = end == NULL ? safe.size - at : (size_t) (end - safe.data) - at;
        for (size_t i = 0; i < pad; i++) {
            buf_put_u8(into, ' ');
        }
        buf_put(into, bytes_of(safe.data + at, size));
        buf_put_u8(into, '\n');
        pad = list->width + GAP;
        at += size + 1;
    } while (at < safe.size);
    buf_done(&label);
    buf_done(&safe);
}

static void leaf_take(void *user, const char *path, const json_t *leaf)
{
    struct leaf_list *list = user;
    if (json_is_null(leaf)) {
        return;
    }
    if (list->measuring) {
        size_t width = escape_width(bytes_of_str(path));
        list->width = width > list->width && width <= 40 ? width : list->width;
        return;
    }
    struct buf plain = {0};
    value_put_text(&plain, leaf);
    if (plain.data != NULL) {
        leaf_print(list, path, buf_bytes(&plain));
    } else {
        leaf_print(list, path, bytes_of_str(""));
    }
    buf_done(&plain);
}

static void leaves_print(struct out *out, const json_t *object)
{
    struct leaf_list list = {.out = out, .measuring = true};
    value_leaves(object, leaf_take, &list);
    list.measuring = false;
    value_leaves(object, leaf_take, &list);
}

enum err out_single(struct out *out, const char *schema, json_t *object, const char *id_path)
{
    if (object == NULL) {
        return ERR_NOMEM;
    }
    out->id_path = id_path;
    if (out_is_json(out)) {
        json_t *whole = out->own_fields ? item_narrow(out, object) : json_object();
        if (!out->own_fields) {
            value_set(whole, "schema", json_string(schema));
            (void) json_object_update(whole, object);
        }
        value_put_json(&out->text, whole);
        buf_put_u8(&out->text, '\n');
        json_decref(whole);
    } else if (out->own_fields || out->format == OUT_IDS) {
        out_begin(out, schema, NULL, 0, id_path);
        out_item(out, object);
        json_decref(object);
        return out_end(out, NULL);
    } else {
        leaves_print(out, object);
    }
    json_decref(object);
    enum err err = out_flush(out);
    return err == ERR_OK && ferror(stdout) != 0 ? ERR_IO : err;
}
