/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/daemon.h: one running daemon: what stands in which order, and what ends it.
 *
 *     keys -> conf -> roles -> lock -> store -> node -> loop, sockets -> READY … SIGTERM -> end
 */
#ifndef ESSAIM_DAEMON_DAEMON_H
#define ESSAIM_DAEMON_DAEMON_H

#include "base/err.h"

struct daemon_options {
    const char *dir;
    const char *log_level; /* NULL: as configured */
};

/* Runs until SIGTERM or SIGINT. ERR_OK after a clean end; what went wrong is logged already. */
MUST_USE enum err daemon_run(const struct daemon_options *options);

/* Shares of the descriptors: how many links and clients a process with `fds_max` may have. Pure. */
void daemon_shares(unsigned fds_max, unsigned links_wanted, unsigned *ret_links,
                   unsigned *ret_clients);

#endif
