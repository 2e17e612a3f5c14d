/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/input.c: bytes come in blocks of 256 KiB; a splitter finds where the next record (or YAML
 * document) ends; json.c or yaml.c reads it. Three splitters:
 *
 *     NDJSON  the next line feed, and nothing else
 *     JSON    the brace that closes the object; around it an array, or white space
 *     YAML    a line that begins with --- or ..., which no scalar can hold
 *
 * Fails where the file cannot be read, where a record is longer than INPUT_CHUNK_SIZE_MAX, and
 * where it is not what its format says. A flawed NDJSON line never touches the next one.
 */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/must.h"
#include "base/utf8.h"
#include "cli/json.h"
#include "cli/text.h"

#define READ_SIZE (256u * 1024u)

static enum input_format format_of_name(const char *name)
{
    static const struct {
        const char *end;
        enum input_format format;
    } ends[] = {
        {".ndjson", INPUT_NDJSON}, {".jsonl", INPUT_NDJSON}, {".json", INPUT_JSON},
        {".yaml", INPUT_YAML},     {".yml", INPUT_YAML},
    };
    size_t size = name == NULL ? 0 : strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t end_size = strlen(ends[i].end);
        if (size > end_size && strcasecmp(name + size - end_size, ends[i].end) == 0) {
            return ends[i].format;
        }
    }
    return INPUT_UNKNOWN;
}

/* An object that ends on its first line is NDJSON; over several lines it is JSON. */
static enum input_format format_of_text(struct bytes text)
{
    size_t at = 0;
    while (at < text.size && strchr(" \t\r\n", text.data[at]) != NULL && text.data[at] != 0) {
        at++;
    }
    if (at == text.size || (text.data[at] != '{' && text.data[at] != '[')) {
        return INPUT_YAML;
    }
    const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
    size_t line_size = end == NULL ? text.size - at : (size_t) (end - text.data) - at;
    size_t size = 0;
    bool one_line =
        text.data[at] == '{' && json_measure(bytes_of(text.data + at, line_size), &size) == ERR_OK;
    return one_line ? INPUT_NDJSON : INPUT_JSON;
}

static enum err flaw_here(struct input *input, enum err err, const char *text, const char *hint)
{
    char file[FLAW_FILE_MAX];
    memcpy(file, input->flaw.file, sizeof file);
    (void) flaw_set(&input->flaw, err, text, hint);
    memcpy(input->flaw.file, file, sizeof file);
    input->flaw.line = input->line;
    input->flaw.column = input->column;
    return err;
}

static void input_reset(struct input *input, const char *name, struct build *build)
{
    memset(input, 0, sizeof *input);
    input->fd = -1;
    input->line = 1;
    input->column = 1;
    input->build = build;
    input->format = format_of_name(name);
    (void) snprintf(input->flaw.file, sizeof input->flaw.file, "%s", name == NULL ? "-" : name);
}

enum err input_open(struct input *input, const char *path, struct build *build)
{
    bool is_stdin = strcmp(path, "-") == 0;
    input_reset(input, path, build);
    input->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (input->fd >= 0) {
        return ERR_OK;
    }
    int error = errno;
    input->eof = true;
    (void) flaw_here(input, error == ENOENT ? ERR_NOT_FOUND : ERR_IO, N_("the file cannot be read"),
                     NULL);
    flaw_detail(&input->flaw, "%s", strerror(error));
    input->flaw.line = 0;
    input->flaw.column = 0;
    return input->flaw.err;
}

void input_open_bytes(struct input *input, struct bytes text, const char *name, struct build *build)
{
    input_reset(input, name, build);
    buf_put(&input->text, text);
    input->eof = true;
}

void input_close(struct input *input)
{
    if (input == NULL) {
        return;
    }
    if (input->yaml_open) {
        yaml_close(&input->yaml);
        input->yaml_open = false;
    }
    if (input->fd > STDERR_FILENO) {
        (void) close(input->fd);
    }
    input->fd = -1;
    buf_done(&input->text);
}

/* More bytes behind what is there, or eof. */
static enum err refill(struct input *input)
{
    if (input->eof) {
        return ERR_OK;
    }
    buf_shift(&input->text, input->at);
    input->at = 0;
    uint8_t *into = buf_extend(&input->text, READ_SIZE);
    if (into == NULL) {
        return flaw_here(input, ERR_NOMEM, NULL, NULL);
    }
    ssize_t size = -1;
    do {
        size = read(input->fd, into, READ_SIZE);
    } while (size < 0 && errno == EINTR);
    input->text.size -= READ_SIZE - (size > 0 ? (size_t) size : 0);
    if (size < 0) {
        input->eof = true;
        int error = errno;
        (void) flaw_here(input, ERR_IO, N_("the file cannot be read"), NULL);
        flaw_detail(&input->flaw, "%s", strerror(error));
        return ERR_IO;
    }
    input->eof = size == 0;
    input->size_read += (uint64_t) size;
    return ERR_OK;
}

static struct bytes rest(const struct input *input)
{
    if (input->text.data == NULL) {
        return bytes_of("", 0); /* an empty input: never count from NULL */
    }
    return bytes_of(input->text.data + input->at, input->text.size - input->at);
}

/* Moves behind `size` bytes, counting lines and columns. */
static void advance(struct input *input, size_t size)
{
    const uint8_t *data = rest(input).data;
    size_t at = 0;
    while (at < size) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        if (end == NULL) {
            break;
        }
        input->line++;
        input->column = 1;
        at = (size_t) (end - data) + 1;
    }
    if (at < size) {
        input->column += utf8_count(bytes_of(data + at, size - at));
    }
    input->at += size;
}

static void chunk_set(struct input *input, size_t size)
{
    input->chunk = bytes_of(rest(input).data, size);
    input->chunk_line = input->line;
    input->chunk_column = input->column;
}

/* A place in the chunk, as the builder counts, to line and column of the file. */
static void place_resolve(const struct input *input, uint64_t at, size_t *ret_line,
                          size_t *ret_column)
{
    if (input->format == INPUT_YAML) {
        *ret_line = input->chunk_line + YAML_LINE(at);
        *ret_column = YAML_COLUMN(at) + 1;
        return;
    }
    size_t size = at < input->chunk.size ? (size_t) at : input->chunk.size;
    size_t line_start = 0;
    size_t line = input->chunk_line;
    for (size_t i = 0; i < size; i++) {
        if (input->chunk.data[i] == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    *ret_line = line;
    *ret_column = utf8_count(bytes_of(input->chunk.data + line_start, size - line_start)) +
                  (line == input->chunk_line ? input->chunk_column : 1);
}

static enum input_step flaw_of_build(struct input *input, enum input_step step)
{
    char file[FLAW_FILE_MAX];
    memcpy(file, input->flaw.file, sizeof file);
    input->flaw = input->build->flaw;
    memcpy(input->flaw.file, file, sizeof file);
    place_resolve(input, input->build->flaw_at, &input->flaw.line, &input->flaw.column);
    return step;
}

static enum input_step too_long(struct input *input, enum input_step step)
{
    (void) flaw_here(input, ERR_SIZE, N_("one record, or YAML document, is longer than 1 MiB"),
                     N_("a record has at most 60 KiB; separate YAML records by a line with ---"));
    return step;
}

/* The next line into the chunk, without its line feed. ERR_NOT_FOUND at the end. */
static enum err line_take(struct input *input)
{
    while (true) {
        struct bytes text = rest(input);
        const uint8_t *end = text.size == 0 ? NULL : memchr(text.data, '\n', text.size);
        if (end != NULL || (input->eof && text.size > 0)) {
            size_t size = end == NULL ? text.size : (size_t) (end - text.data);
            chunk_set(input, size);
            input->at += size + (end != NULL ? 1 : 0);
            input->line++;
            return ERR_OK;
        }
        if (input->eof) {
            return ERR_NOT_FOUND;
        }
        if (input->skipping) {
            input->at = input->text.size;
        } else if (text.size > INPUT_CHUNK_SIZE_MAX) {
            input->skipping = true;
            return ERR_SIZE;
        }
        enum err err = refill(input);
        if (err != ERR_OK) {
            return err;
        }
    }
}

static bool blank(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != ' ' && text.data[i] != '\t' && text.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

static enum input_step ndjson_next(struct input *input)
{
    while (true) {
        enum err err = line_take(input);
        if (err == ERR_SIZE) {
            return too_long(input, INPUT_FLAWED);
        }
        if (err != ERR_OK) {
            return err == ERR_NOT_FOUND ? INPUT_END : INPUT_BROKEN;
        }
        if (input->skipping) { /* that was the end of a line already refused */
            input->skipping = false;
            continue;
        }
        if (!blank(input->chunk)) {
            err = json_read(input->chunk, input->build);
            return err == ERR_OK ? INPUT_RECORD : flaw_of_build(input, INPUT_FLAWED);
        }
    }
}

/* Over white space, reading on where needed. False at the end of the file, or when reading failed
 * (*ret_err). */
static bool space_pass(struct input *input, enum err *ret_err)
{
    *ret_err = ERR_OK;
    while (true) {
        struct bytes text = rest(input);
        size_t at = 0;
        while (at < text.size && (text.data[at] == ' ' || text.data[at] == '\t' ||
                                  text.data[at] == '\r' || text.data[at] == '\n')) {
            at++;
        }
        advance(input, at);
        if (at < text.size) {
            return true;
        }
        if (input->eof) {
            return false;
        }
        *ret_err = refill(input);
        if (*ret_err != ERR_OK) {
            return false;
        }
    }
}

/* The object that starts here. */
static enum input_step object_next(struct input *input)
{
    size_t size = 0;
    enum err err = ERR_MORE;
    while ((err = json_measure(rest(input), &size)) == ERR_MORE && !input->eof) {
        if (rest(input).size > INPUT_CHUNK_SIZE_MAX) {
            return too_long(input, INPUT_BROKEN);
        }
        if (refill(input) != ERR_OK) {
            return INPUT_BROKEN;
        }
    }
    if (err != ERR_OK) { /* json_read will say what is wrong */
        size = rest(input).size;
    }
    chunk_set(input, size);
    advance(input, size);
    if (json_read(input->chunk, input->build) != ERR_OK) {
        return flaw_of_build(input, err == ERR_OK ? INPUT_FLAWED : INPUT_BROKEN);
    }
    return INPUT_RECORD;
}

static enum input_step json_broken(struct input *input, const char *text, const char *hint)
{
    (void) flaw_here(input, ERR_SYNTAX, text, hint);
    return INPUT_BROKEN;
}

static enum input_step json_next(struct input *input)
{
    enum err err = ERR_OK;
    while (space_pass(input, &err)) {
        uint8_t byte = input->text.data[input->at];
        if (byte == '{' && !input->comma) {
            input->comma = input->in_array;
            return object_next(input);
        }
        if (byte == '[' && !input->in_array) {
            input->in_array = true;
            input->comma = false;
        } else if (byte == ']' && input->in_array) {
            input->in_array = false;
            input->comma = false;
        } else if (byte == ',' && input->comma) {
            input->comma = false;
        } else {
            return json_broken(input, N_("a record in braces is needed here"),
                               N_("separate the records of an array by commas"));
        }
        advance(input, 1);
    }
    if (err != ERR_OK) {
        return INPUT_BROKEN;
    }
    if (input->in_array) {
        input->in_array = false;
        return json_broken(input, N_("the JSON text ends too early"),
                           N_("close every quote, bracket and brace"));
    }
    return INPUT_END;
}

static bool marker(struct bytes line, const char *mark)
{
    return line.size >= 3 && memcmp(line.data, mark, 3) == 0 &&
           (line.size == 3 || strchr(" \t\r", line.data[3]) != NULL);
}

/* Size of the YAML document at the head of `text`. ERR_MORE while its end is not in sight. */
static enum err document_measure(struct bytes text, bool eof, size_t *ret_size)
{
    size_t at = 0;
    bool content = false;
    while (at < text.size) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        if (end == NULL && !eof) {
            return ERR_MORE;
        }
        size_t size = end == NULL ? text.size - at : (size_t) (end - text.data) - at;
        size_t whole = size + (end == NULL ? 0 : 1);
        struct bytes line = bytes_of(text.data + at, size);
        if (marker(line, "---")) {
            if (content) {
                *ret_size = at;
                return ERR_OK;
            }
            content = true;
        } else if (marker(line, "...")) {
            *ret_size = at + whole;
            return ERR_OK;
        } else if (!blank(line) && line.data[0] != '#' && line.data[0] != '%') {
            content = true;
        }
        at += whole;
    }
    *ret_size = text.size;
    return eof ? ERR_OK : ERR_MORE;
}

/* The next document into the chunk, opened. ERR_NOT_FOUND at the end. */
static enum err document_open(struct input *input)
{
    size_t size = 0;
    while (document_measure(rest(input), input->eof, &size) == ERR_MORE) {
        if (rest(input).size > INPUT_CHUNK_SIZE_MAX) {
            return ERR_SIZE;
        }
        enum err err = refill(input);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (size == 0) {
        return ERR_NOT_FOUND;
    }
    chunk_set(input, size);
    advance(input, size);
    input->yaml_index = 0;
    enum err err = yaml_open(&input->yaml, input->chunk, input->build);
    input->yaml_open = err == ERR_OK;
    return err == ERR_SIZE || err == ERR_NOT_FOUND ? ERR_INTERNAL : err;
}

static enum input_step yaml_step(struct input *input, bool *ret_found)
{
    *ret_found = true;
    enum err err = yaml_next(&input->yaml, input->build, ret_found);
    if (err != ERR_OK) {
        *ret_found = true;
        input->yaml_index++;
        return flaw_of_build(input, input->yaml.broken ? INPUT_BROKEN : INPUT_FLAWED);
    }
    if (*ret_found) {
        input->yaml_index++;
        return INPUT_RECORD;
    }
    yaml_close(&input->yaml);
    input->yaml_open = false;
    return INPUT_END;
}

static enum input_step yaml_input_next(struct input *input)
{
    while (true) {
        if (!input->yaml_open) {
            enum err err = document_open(input);
            if (err == ERR_NOT_FOUND) {
                return INPUT_END;
            }
            if (err == ERR_SIZE) {
                return too_long(input, INPUT_BROKEN);
            }
            if (err == ERR_SYNTAX) {
                return flaw_of_build(input, INPUT_BROKEN);
            }
            if (err != ERR_OK) {
                return INPUT_BROKEN;
            }
        }
        bool found = false;
        enum input_step step = yaml_step(input, &found);
        if (found) {
            return step;
        }
    }
}

/* The first bytes: a byte order mark is passed over, the format found. */
static enum err format_find(struct input *input)
{
    enum err err = ERR_OK;
    while (!input->eof && input->text.size < 3 && err == ERR_OK) {
        err = refill(input);
    }
    if (err == ERR_OK && input->text.size >= 3 &&
        memcmp(input->text.data, "\xef\xbb\xbf", 3) == 0) {
        input->at = 3;
    }
    if (input->format == INPUT_UNKNOWN) {
        input->format = format_of_text(rest(input));
    }
    return err;
}

enum input_step input_next(struct input *input)
{
    if (input->size_read == 0 && input->at == 0) {
        enum err err = format_find(input);
        if (err != ERR_OK) {
            return INPUT_BROKEN;
        }
    }
    switch (input->format) {
    case INPUT_NDJSON:
        return ndjson_next(input);
    case INPUT_JSON:
        return json_next(input);
    default:
        return yaml_input_next(input);
    }
}

size_t input_line(const struct input *input)
{
    if (input->format == INPUT_NDJSON) {
        return input->chunk_line;
    }
    size_t line = 0;
    size_t column = 0;
    place_resolve(input, input->build->start_at, &line, &column);
    return line;
}

/* Reads the last record of a YAML document again. */
static void yaml_again(struct input *input)
{
    struct yaml yaml = {0};
    bool found = true;
    if (yaml_open(&yaml, input->chunk, input->build) != ERR_OK) {
        return;
    }
    for (unsigned i = 0; i < input->yaml_index && found && !yaml.broken; i++) {
        input->build->want_at = 0;
        if (yaml_next(&yaml, input->build, &found) != ERR_OK) {
            continue; /* a refused record has places, too */
        }
    }
    yaml_close(&yaml);
}

void input_locate(struct input *input, const char *field, size_t *ret_line, size_t *ret_column)
{
    struct build *build = input->build;
    build->want = field;
    build->want_at = 0;
    if (input->format == INPUT_YAML) {
        yaml_again(input);
    } else if (json_read(input->chunk, build) != ERR_OK) {
        build->want_at = build->flaw_at;
    }
    build->want = NULL;
    place_resolve(input, build->want_at, ret_line, ret_column);
}
