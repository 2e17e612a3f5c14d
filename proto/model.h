/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/model.h: the eight content kinds and the checks on the fields they share (docs:
 * essaim-entry(5)). Unknown fields pass.
 */
#ifndef ESSAIM_PROTO_MODEL_H
#define ESSAIM_PROTO_MODEL_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

#define MODEL_PATH_MAX 128
#define MODEL_ISSUES_MAX 16

/* One thing wrong, or worth a warning, with a body. */
struct model_issue {
    bool warning;
    char field[MODEL_PATH_MAX]; /* "title", "orgs[2].role"; NUL-terminated, cut if need be */
    const char *text;           /* English, static, a gettext msgid: what is wrong */
    const char *hint;           /* English, static, a gettext msgid: how to mend it; may be NULL */
};
struct model_report {
    unsigned count;  /* issues kept */
    unsigned errors; /* issues that are not warnings, kept or not */
    struct model_issue issues[MODEL_ISSUES_MAX];
};

/* One of lab innovation need resource training event adoption feedback. */
bool model_kind_known(struct bytes kind);
extern const char *const model_kinds[]; /* NULL-terminated */

/* Checks the common fields of a canonical body. ERR_OK when there is no error (warnings may be
 * there), else ERR_FIELD. */
MUST_USE enum err model_check(struct bytes kind, struct bytes body,
                              struct model_report *ret_report);

#endif
