/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/recover.h: the recovery statement, doc/protocol.md §9: the root key vouches for a link key
 * while the lab's server, and with it the record's keys, is lost. */
#ifndef ESSAIM_PROTO_RECOVER_H
#define ESSAIM_PROTO_RECOVER_H

#include "base/buf.h"
#include "proto/hash.h"

#define RECOVER_SIZE_MAX 256 /* the signed object; the longest possible one has fewer bytes */

/* Appends the signed object. `root_secret` must be the secret of `lab`: ERR_INVALID otherwise.
 * `issued_at`: seconds since 1970. ERR_NOMEM. */
MUST_USE enum err recover_sign(const struct lab_id *lab,
                               const uint8_t root_secret[SIGN_SECRET_SIZE],
                               const uint8_t link_pk[KEY_SIZE], uint64_t issued_at,
                               struct buf *into);
/* Pre-scan, exact fields, signature by the lab it names. ERR_CANONICAL, ERR_INVALID, ERR_SIZE,
 * ERR_SIGNATURE. */
MUST_USE enum err recover_open(struct bytes bytes, struct lab_id *ret_lab,
                               uint8_t ret_link_pk[KEY_SIZE], uint64_t *ret_issued_at);

#endif
