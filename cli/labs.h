/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/labs.h: who a lab id is: did:key, name and alias, as the daemon knows them. */
#ifndef ESSAIM_CLI_LABS_H
#define ESSAIM_CLI_LABS_H

#include <jansson.h>

#include "cli/rpc.h"
#include "proto/hash.h"

struct labs_row {
    struct lab_id lab;
    bool own;
    json_t *json; /* {"id", "name", "alias"}; owned */
};
struct labs {
    struct labs_row *rows; /* owned, ascending by id */
    size_t count;
    size_t last; /* entries of one lab come together */
};

/* Asks the daemon; `lab` is text to choose one, or NULL for all. */
MUST_USE enum err labs_load(struct labs *ret_labs, struct rpc *rpc, const char *lab,
                            struct flaw *flaw);
void labs_done(struct labs *labs);

/* {"id", "name", "alias"}: a new reference. A lab the daemon did not name has only its id. */
json_t *labs_json(struct labs *labs, struct bytes lab);
bool labs_own(struct labs *labs, struct bytes lab);

#endif
