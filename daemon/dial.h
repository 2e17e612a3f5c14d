/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/dial.h: how a link gets its socket: a name is looked up (a few at a time), its addresses
 * are tried one after the other. For tcp.c and tcplink.c alone.
 */
#ifndef ESSAIM_DAEMON_DIAL_H
#define ESSAIM_DAEMON_DIAL_H

#include "daemon/tcplink.h"

/* From RESOLVING to OPEN, or to DIAL_FAILED. */
void dial_begin(struct tcp_link *link);
/* The address being tried does not answer: the next one, if any. */
void dial_retry(struct tcp_link *link);
/* A dial that has no socket (yet, or between two addresses) comes to nothing. */
void dial_failed(struct tcp_link *link);

#endif
