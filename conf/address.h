/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/address.h: "host:port" as people write it: a name, an IPv4 address, or an IPv6 address in
 * square brackets; the port is a number. No look-up happens here. */
#ifndef ESSAIM_CONF_ADDRESS_H
#define ESSAIM_CONF_ADDRESS_H

#include "base/bytes.h"
#include "base/err.h"

#define ADDRESS_HOST_MAX 253 /* a DNS name in text form */
#define ADDRESS_TEXT_MAX 264 /* [host]:port with the closing NUL */

struct address {
    char host[ADDRESS_HOST_MAX + 1]; /* without brackets; "" = every address of this machine */
    uint16_t port;                   /* 0: any free one */
};

/* ERR_INVALID: no port, a port over 65535, an empty or too long host, bytes no host has. "*:PORT"
 * and "[::]:PORT" stand for every address. */
MUST_USE enum err address_parse(struct bytes text, struct address *ret_address);

/* The same as text. */
void address_print(const struct address *address, char ret_text[ADDRESS_TEXT_MAX]);

#endif
