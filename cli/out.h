/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/out.h: stdout is data. One place decides its shape:
 *
 *     a terminal   an aligned table, cut to its width       --json    one document
 *     a pipe       full values between tabs, no header      --ndjson  one object a line
 *     --quiet      identifiers only                         --csv     RFC 4180 with a header
 *
 * Commands hand over items (json_t objects) and say which paths are columns; --fields replaces
 * them. A JSON document is kept until it is whole, so that a failure half-way prints none.
 */
#ifndef ESSAIM_CLI_OUT_H
#define ESSAIM_CLI_OUT_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/opts.h"

#define OUT_COLUMNS_MAX 32

enum out_format { OUT_TABLE, OUT_TSV, OUT_CSV, OUT_JSON, OUT_NDJSON, OUT_IDS };
enum out_where { OUT_BOTH, OUT_TERMINAL, OUT_PIPE };

struct out_column {
    const char *path;  /* cli/value.h */
    const char *title; /* msgid */
    enum out_where where;
    bool flexible; /* may be cut on a terminal */
    bool word;     /* a token: its msgid is shown on a terminal */
    bool right;
};

struct out {
    enum out_format format;
    bool terminal, color;
    size_t width;
    struct out_column columns[OUT_COLUMNS_MAX];
    unsigned column_count;
    bool own_fields; /* --fields was given */
    char *fields;    /* its text, cut at the commas; owned */
    const char *schema, *id_path;
    struct buf text;   /* what is printed at the end, or the cells of a table */
    struct buf starts; /* of a table's cells: uint32_t each */
    uint64_t count;
};

/* ERR_USAGE for formats that exclude each other. */
MUST_USE enum err out_init(struct out *ret_out, const struct opts *opts, struct flaw *flaw);
void out_done(struct out *out);

void out_begin(struct out *out, const char *schema, const struct out_column *columns,
               unsigned count, const char *id_path);
void out_item(struct out *out, const json_t *item);
/* `rest`: members that follow the items of a JSON document; taken, may be NULL. ERR_IO when stdout
 * cannot be written, ERR_NOMEM. */
MUST_USE enum err out_end(struct out *out, json_t *rest);

/* One object as the whole answer; taken. Without columns every leaf of it is a line. */
MUST_USE enum err out_single(struct out *out, const char *schema, json_t *object,
                             const char *id_path);

/* Whether items are JSON (then errors are too). */
bool out_is_json(const struct out *out);
/* Writes and flushes what is there (for streams). ERR_IO. */
MUST_USE enum err out_flush(struct out *out);

#endif
