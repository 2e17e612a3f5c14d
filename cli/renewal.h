/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/renewal.h: what `key` and `recover` share: the root key, what the daemon holds of its own
 * lab, and one rotation (doc/decisions/0009). The root key stays in this process.
 */
#ifndef ESSAIM_CLI_RENEWAL_H
#define ESSAIM_CLI_RENEWAL_H

#include "cli/cmd.h"
#include "conf/rootkey.h"
#include "proto/lab.h"

/* The answer to `identity`. */
struct identity {
    struct lab_id lab;
    uint64_t generation; /* of the newest own record; 0: none is known */
    char name[LAB_NAME_SIZE_MAX + 1];
    bool recovering;
    uint64_t pending, own_pending, quiet_ms;
    unsigned head_count;
    struct last_good heads[LAST_GOOD_MAX];
    char audiences[LAST_GOOD_MAX][AUDIENCE_SIZE_MAX + 1];
};

/* A sentence of conf/ as the program's own. */
enum err renewal_say(struct cli *cli, enum err err, const struct say *say);

/* From --root-key, else from DIR/root.key. */
MUST_USE enum err renewal_root(struct cli *cli, struct rootkey *ret_key);

/* Over cli->rpc. */
MUST_USE enum err renewal_identity(struct cli *cli, struct identity *ret_identity);

/* New keys and a record over what the daemon holds now; asked anew, a few times, when something is
 * published in between. `name` may be NULL: as before. */
MUST_USE enum err renewal_rotate(struct cli *cli, const struct rootkey *root, const char *name,
                                 uint64_t *ret_generation, uint64_t *ret_n);

#endif
