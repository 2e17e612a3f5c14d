/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/did.h: a lab id as text, did:key:z6Mk… (did:key method v0.7, multicodec 0xed01, multibase
 * base58btc). */
#ifndef ESSAIM_PROTO_DID_H
#define ESSAIM_PROTO_DID_H

#include "proto/hash.h"

#define DID_SIZE_MAX 64 /* with the closing NUL */

void did_encode(const struct lab_id *lab, char ret_did[DID_SIZE_MAX]);
/* ERR_INVALID for anything but the one text did_encode gives for that key. */
MUST_USE enum err did_decode(struct bytes text, struct lab_id *ret_lab);

#endif
