/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/record.c: the checks the daemon will make too, made here where line and column are known. */
#include "cli/record.h"

#include <stdio.h>

#include "cli/text.h"
#include "proto/entry.h"

/* Array head, slug and kind with theirs, and a revision of nine bytes. */
#define ENTRY_AROUND_SIZE (1 + 2 + 9 + 2)

static enum err name_refuse(const struct build *build, enum err err, const char *field,
                            const char *text, const char *hint, struct flaw *ret_flaw)
{
    (void) flaw_set(ret_flaw, err, text, hint);
    (void) snprintf(ret_flaw->field, sizeof ret_flaw->field, "%s", field);
    (void) snprintf(ret_flaw->slug, sizeof ret_flaw->slug, "%s", build->slug);
    return err;
}

void record_flaw(const struct build *build, const struct model_issue *issue, struct flaw *ret_flaw)
{
    (void) flaw_set(ret_flaw, ERR_FIELD, issue->text, issue->hint);
    (void) snprintf(ret_flaw->field, sizeof ret_flaw->field, "%s", issue->field);
    (void) snprintf(ret_flaw->slug, sizeof ret_flaw->slug, "%s", build->slug);
}

static enum err kind_refuse(const struct build *build, struct flaw *ret_flaw)
{
    (void) name_refuse(build, ERR_INVALID, "kind", N_("no such kind of entry"),
                       N_("one of the kinds named here"), ret_flaw);
    flaw_detail(ret_flaw, "%s:", build->kind);
    for (size_t i = 0; model_kinds[i] != NULL; i++) {
        flaw_detail(ret_flaw, " %s", model_kinds[i]);
    }
    return ERR_INVALID;
}

enum err record_check(const struct build *build, struct model_report *ret_report,
                      struct flaw *ret_flaw)
{
    ret_report->count = 0;
    ret_report->errors = 0;
    if (!slug_valid(bytes_of_str(build->slug))) {
        return name_refuse(build, ERR_SLUG, "slug", N_("this is no slug"),
                           N_("a slug has 1 to 64 of a-z, 0-9 and hyphens"), ret_flaw);
    }
    if (!model_kind_known(bytes_of_str(build->kind))) {
        return kind_refuse(build, ret_flaw);
    }
    size_t size = build->out.size + strlen(build->slug) + strlen(build->kind) + ENTRY_AROUND_SIZE;
    if (size > ENTRY_SIZE_MAX) {
        (void) name_refuse(build, ERR_SIZE, "", N_("the record is larger than 60 KiB"),
                           N_("shorten it, or move long texts into a linked document"), ret_flaw);
        flaw_detail(ret_flaw, "%zu", size);
        return ERR_SIZE;
    }
    enum err err = model_check(bytes_of_str(build->kind), buf_bytes(&build->out), ret_report);
    if (err == ERR_OK) {
        return ERR_OK;
    }
    for (unsigned i = 0; i < ret_report->count; i++) {
        if (!ret_report->issues[i].warning) {
            record_flaw(build, &ret_report->issues[i], ret_flaw);
            return err;
        }
    }
    return name_refuse(build, err, "", NULL, NULL, ret_flaw);
}
