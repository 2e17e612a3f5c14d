/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/input.h: a file, or stdin, as a series of records.
 *
 *     input_open, then input_next until INPUT_END or INPUT_BROKEN, input_close
 *
 * NDJSON (one record a line), JSON (one record, several, or an array of them) and YAML (documents,
 * each a record or a list of records). The format is told by the file's name, else by its first
 * character. Memory is bounded: what is held is one record, or one YAML document, and what was read
 * ahead.
 */
#ifndef ESSAIM_CLI_INPUT_H
#define ESSAIM_CLI_INPUT_H

#include "cli/build.h"
#include "cli/yaml.h"

/* Text of one record, or of one YAML document. */
#define INPUT_CHUNK_SIZE_MAX (1024u * 1024u)

enum input_format { INPUT_UNKNOWN, INPUT_NDJSON, INPUT_JSON, INPUT_YAML };
enum input_step {
    INPUT_END,
    INPUT_RECORD, /* input->build holds it */
    INPUT_FLAWED, /* input->flaw says why; the next one can be read */
    INPUT_BROKEN  /* input->flaw says why; this is the end */
};

struct input {
    int fd; /* -1: only what is in `text` */
    enum input_format format;
    struct buf text; /* read and not yet left behind */
    size_t at;       /* of the next chunk */
    bool eof;
    bool skipping;       /* the rest of a line that was too long */
    bool in_array;       /* JSON: inside [ … ] */
    bool comma;          /* JSON: between two items */
    struct bytes chunk;  /* of the last record; a view into text */
    size_t line, column; /* where `at` is; from 1 */
    size_t chunk_line, chunk_column;
    bool yaml_open;
    struct yaml yaml;
    unsigned yaml_index; /* records taken from this document */
    struct build *build; /* borrowed */
    struct flaw flaw;
    uint64_t size_read; /* for the progress bar */
};

/* `path` "-" is stdin. ERR_IO, ERR_NOT_FOUND with input->flaw filled. */
MUST_USE enum err input_open(struct input *input, const char *path, struct build *build);
/* For tests and fuzzing: bytes instead of a file. `name` may be NULL. */
void input_open_bytes(struct input *input, struct bytes text, const char *name,
                      struct build *build);
void input_close(struct input *input);
enum input_step input_next(struct input *input);
/* Line of the last record. */
size_t input_line(const struct input *input);
/* Where `field` of the last record is, as near as can be found. Reads the record again: what
 * input->build held is built anew, the same. */
void input_locate(struct input *input, const char *field, size_t *ret_line, size_t *ret_column);

#endif
