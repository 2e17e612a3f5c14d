/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/session.h: one connection, no socket (doc/protocol.md §5). Wire bytes in, messages out;
 * messages in, wire bytes out. Handles framing, the Noise handshake and rekeying. Pure: secrets
 * come from the caller.
 */
#ifndef ESSAIM_PROTO_SESSION_H
#define ESSAIM_PROTO_SESSION_H

#include <stdbool.h>

#include "base/buf.h"
#include "proto/hash.h"

struct session;

/* NULL without memory; `ret_err` tells ERR_KEY apart. A dialler has its first handshake message
 * ready at once. */
struct session *session_new(bool dialler, const uint8_t link_secret[KEY_SIZE],
                            const uint8_t ephemeral_secret[KEY_SIZE], enum err *ret_err);
void session_free(struct session *session); /* wipes; accepts NULL */

/* Copies wire bytes in. ERR_FULL when more than 1 MiB waits undecrypted. */
MUST_USE enum err session_feed(struct session *session, struct bytes wire);
/* The next whole message: ERR_OK and a view that dies at the next call to feed or next; ERR_MORE
 * when none is whole. Handshake messages are worked off inside (their answers wait in
 * session_take). ERR_DECRYPT, ERR_MALFORMED (empty frame), ERR_SIZE: the session is dead, close it.
 * REKEY messages are obeyed here and not shown. */
MUST_USE enum err session_next(struct session *session, struct bytes *ret_message);
/* Seals one message (1 to MSG_SIZE_MAX bytes) behind what waits to be taken. Sends a REKEY by
 * itself when one is due by count. must(session_ready). */
MUST_USE enum err session_send(struct session *session, struct bytes message);
/* Rekeys the sending direction now (the hourly one). */
MUST_USE enum err session_rekey(struct session *session);
/* All wire bytes waiting, handed over; NULL when there are none. */
struct buf *session_take(struct session *session);
size_t session_waiting(const struct session *session); /* bytes session_take would give */

bool session_ready(const struct session *session); /* handshake through */
/* The remote static key; must(session_ready). */
const uint8_t *session_remote(const struct session *session);

#endif
