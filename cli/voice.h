/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/voice.h: stderr is speech. One line a message, in the user's language, foreign text escaped:
 *
 *     essaim: error [E-FIELD]: fiches.yaml:12:3: geotrek: title: too long (shorten it)
 *
 * With --json an error is one object instead: {"error":{code,exit,message,field,line,hint}}.
 */
#ifndef ESSAIM_CLI_VOICE_H
#define ESSAIM_CLI_VOICE_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/flaw.h"

struct voice {
    bool json, quiet, color;
    uint64_t warnings; /* said so far */
};

void voice_flaw(struct voice *voice, const struct flaw *flaw);
/* At most 20 are said; not with --json or --quiet. */
void voice_warn(struct voice *voice, const struct flaw *flaw);
/* A remark: printf, already translated, foreign text already escaped. Not with --json, --quiet. */
void voice_note(struct voice *voice, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The members of the error object. */
json_t *voice_json(const struct flaw *flaw);

#endif
