/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/flaw.h: what is wrong, where, and how to mend it.
 *
 * Parsers and commands fill one and return its error; nobody prints but cli/say.c, once. Texts and
 * hints are gettext msgids (marked N_), translated when they are printed.
 */
#ifndef ESSAIM_CLI_FLAW_H
#define ESSAIM_CLI_FLAW_H

#include <stdarg.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define FLAW_FIELD_MAX 128
#define FLAW_DETAIL_MAX 512
#define FLAW_FILE_MAX 256

struct flaw {
    enum err err;
    const char *text;             /* msgid; NULL: err_text(err) */
    const char *hint;             /* msgid; may be NULL */
    char detail[FLAW_DETAIL_MAX]; /* what it is about, not translated; "" for none */
    char field[FLAW_FIELD_MAX];   /* "orgs[2].role"; "" for none */
    char slug[SLUG_SIZE_MAX + 1];
    char file[FLAW_FILE_MAX];
    size_t line, column; /* from 1; 0: not known */
};

/* Fills `ret_flaw` anew and returns err, so that one can write: return flaw_set(…); */
enum err flaw_set(struct flaw *ret_flaw, enum err err, const char *text, const char *hint);
/* Appends printf text to the detail, cut if need be. */
void flaw_detail(struct flaw *flaw, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
