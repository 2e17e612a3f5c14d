/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/record.h: what a built record must be before it is sent: slug, kind, size, the fields of the
 * model (proto/model.h). */
#ifndef ESSAIM_CLI_RECORD_H
#define ESSAIM_CLI_RECORD_H

#include "cli/build.h"
#include "proto/model.h"

/* ERR_OK, maybe with warnings in the report. ERR_SLUG, ERR_INVALID (kind), ERR_SIZE: `ret_flaw`
 * says it, the report is empty. ERR_FIELD: the report has the issues, `ret_flaw` the first of them.
 * Lines are not filled in. */
MUST_USE enum err record_check(const struct build *build, struct model_report *ret_report,
                               struct flaw *ret_flaw);

/* A flaw from one issue of the report. */
void record_flaw(const struct build *build, const struct model_issue *issue, struct flaw *ret_flaw);

#endif
