/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/rootkey.h: the root key, as the operator's command uses it: never the daemon. */
#ifndef ESSAIM_CONF_ROOTKEY_H
#define ESSAIM_CONF_ROOTKEY_H

#include "conf/say.h"
#include "proto/hash.h"

struct rootkey {
    struct lab_id lab;
    uint8_t *secret; /* SIGN_SECRET_SIZE, guarded memory */
};

/* From a file that `essaim init` or rootkey_export wrote: a regular one, of the caller (for root:
 * of anyone), mode 0600. ERR_KEY, ERR_IO, ERR_NOMEM; `ret_say` (may be NULL) is set. Free with
 * rootkey_done. Calls sodium_init. */
MUST_USE enum err rootkey_load(const char *path, struct rootkey *ret_key, struct say *ret_say);
void rootkey_done(struct rootkey *key); /* wipes; accepts NULL and zeroed ones */

/* Moves DIR/root.key to `path`: written (0600, O_EXCL), synced with its directory, read back and
 * compared; only then is the original overwritten and removed. ERR_EXISTS when something is at
 * `path`; ERR_NOT_FOUND when there is no DIR/root.key; ERR_KEY, ERR_IO, ERR_FULL, ERR_NOMEM: then
 * the original is untouched, but for an error at its very removal. */
MUST_USE enum err rootkey_export(const char *dir, const char *path, struct lab_id *ret_lab,
                                 struct say *ret_say);

#endif
