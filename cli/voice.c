/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/voice.c: the one place that writes to stderr, but for the progress bar and questions. */
#include "cli/voice.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/escape.h"
#include "cli/text.h"
#include "cli/value.h"

#define WARNINGS_MAX 20

/* Hints for errors that the daemon finds, which says no more than what is wrong. */
static const char *hint_of(const struct flaw *flaw)
{
    static const struct {
        enum err err;
        const char *hint;
    } hints[] = {
        {ERR_NOT_FOUND, N_("essaim list shows what there is")},
        {ERR_AMBIGUOUS, N_("use the lab's alias or its did:key")},
        {ERR_ROLE, N_("ask the operator of this daemon for a higher role")},
        {ERR_CONFLICT, N_("look at it with essaim show, then publish on top of that revision")},
        {ERR_TIMEOUT, N_("wait longer with --timeout SECONDS")},
        {ERR_FULL, N_("make room on the disk, then try again")},
        {ERR_KIND, N_("choose another slug: a slug keeps its kind for ever")},
        {ERR_QUOTA, N_("withdraw what is no longer needed")},
        {ERR_FROZEN, N_("essaim status says what to do about it")},
        {ERR_CORRUPT, N_("essaim verify names what is damaged")},
    };
    if (flaw->hint != NULL) {
        return flaw->hint;
    }
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (hints[i].err == flaw->err) {
            return hints[i].hint;
        }
    }
    return NULL;
}

static void line_put(struct buf *into, const char *text)
{
    escape_put(into, bytes_of_str(text), ESCAPE_LINE);
}

/* Text and detail, without place and hint. */
static void message_put(struct buf *into, const struct flaw *flaw)
{
    line_put(into, _(flaw->text == NULL ? err_text(flaw->err) : flaw->text));
    if (flaw->detail[0] != '\0') {
        buf_put_str(into, _(": ")); /* in French a space stands before the colon */
        line_put(into, flaw->detail);
    }
}

static void place_put(struct buf *into, const struct flaw *flaw)
{
    if (flaw->file[0] != '\0') {
        line_put(into, flaw->file);
        if (flaw->line > 0) {
            buf_printf(into, ":%zu", flaw->line);
        }
        if (flaw->line > 0 && flaw->column > 0) {
            buf_printf(into, ":%zu", flaw->column);
        }
        buf_put_str(into, ": ");
    }
    if (flaw->slug[0] != '\0') {
        line_put(into, flaw->slug);
        buf_put_str(into, ": ");
    }
    if (flaw->field[0] != '\0') {
        line_put(into, flaw->field);
        buf_put_str(into, ": ");
    }
}

static void text_set(json_t *object, const char *key, const char *text)
{
    value_set(object, key, text[0] == '\0' ? json_null() : value_str(bytes_of_str(text)));
}

json_t *voice_json(const struct flaw *flaw)
{
    struct buf message = {0};
    json_t *error = json_object();
    const char *hint = hint_of(flaw);
    message_put(&message, flaw);
    value_set(error, "code", json_string(err_code(flaw->err)));
    value_set(error, "exit", json_integer(err_exit(flaw->err)));
    value_set(error, "message", value_str(buf_bytes(&message)));
    text_set(error, "field", flaw->field);
    text_set(error, "file", flaw->file);
    value_set(error, "line", flaw->line > 0 ? value_uint(flaw->line) : json_null());
    value_set(error, "column", flaw->column > 0 ? value_uint(flaw->column) : json_null());
    text_set(error, "slug", flaw->slug);
    value_set(error, "hint", hint == NULL ? json_null() : json_string(_(hint)));
    buf_done(&message);
    return error;
}

static void say(struct buf *line)
{
    buf_put_u8(line, '\n');
    if (line->err == ERR_OK) {
        (void) fwrite(line->data, 1, line->size, stderr);
    }
    buf_done(line);
}

static void flaw_line(struct buf *line, const struct flaw *flaw)
{
    const char *hint = hint_of(flaw);
    place_put(line, flaw);
    message_put(line, flaw);
    if (hint != NULL) {
        buf_put_str(line, " (");
        line_put(line, _(hint));
        buf_put_str(line, ")");
    }
}

void voice_flaw(struct voice *voice, const struct flaw *flaw)
{
    struct buf line = {0};
    if (voice->json) {
        json_t *whole = json_object();
        value_set(whole, "error", voice_json(flaw));
        value_put_json(&line, whole);
        json_decref(whole);
    } else {
        buf_put_str(&line, "essaim: ");
        buf_put_str(&line, voice->color ? "\033[31m" : "");
        buf_put_str(&line, _("error"));
        buf_printf(&line, " [%s]", err_code(flaw->err));
        buf_put_str(&line, voice->color ? "\033[0m: " : ": ");
        flaw_line(&line, flaw);
    }
    say(&line);
}

void voice_warn(struct voice *voice, const struct flaw *flaw)
{
    voice->warnings++;
    if (voice->json || voice->quiet || voice->warnings > WARNINGS_MAX) {
        return;
    }
    struct buf line = {0};
    buf_put_str(&line, "essaim: ");
    buf_put_str(&line, voice->color ? "\033[33m" : "");
    buf_put_str(&line, _("warning"));
    buf_put_str(&line, voice->color ? "\033[0m: " : ": ");
    flaw_line(&line, flaw);
    say(&line);
}

void voice_note(struct voice *voice, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (voice->json || voice->quiet) {
        return;
    }
    va_start(args, format);
    (void) vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct buf line = {0};
    buf_put_str(&line, "essaim: ");
    buf_put_str(&line, text);
    say(&line);
}
