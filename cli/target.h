/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/target.h: LAB or LAB@HOST:PORT, as people name another lab and where to dial it. */
#ifndef ESSAIM_CLI_TARGET_H
#define ESSAIM_CLI_TARGET_H

#include "cli/flaw.h"
#include "proto/hash.h"

struct target {
    struct lab_id id;
    struct bytes lab;     /* its did:key, a view into the text */
    struct bytes address; /* size 0: none was given */
};

/* ERR_USAGE, naming what is wrong with it. */
MUST_USE enum err target_parse(const char *text, struct target *ret_target, struct flaw *flaw);

#endif
