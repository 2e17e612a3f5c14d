/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/rpc.h: msgpack-RPC with the daemon over its Unix socket (doc/control.md).
 *
 *     rpc_open · rpc_send one request or several · rpc_recv the responses in turn · rpc_close
 *     rpc_call = one request and its response
 *
 * Errors fill the flaw: no daemon (ERR_NO_DAEMON), a daemon that went away or talks nonsense
 * (ERR_NET), ERR_TIMEOUT, and whatever error the daemon answers.
 */
#ifndef ESSAIM_CLI_RPC_H
#define ESSAIM_CLI_RPC_H

#include "cli/flaw.h"
#include "proto/ctl.h"

struct rpc {
    int fd;
    uint64_t timeout_ms; /* for one answer */
    uint32_t next_id;
    struct buf in;
    size_t in_at; /* what stands before belongs to the last message */
};

/* A socket that is not open: rpc_close accepts it. */
void rpc_init(struct rpc *rpc);
MUST_USE enum err rpc_open(struct rpc *rpc, const char *dir, uint64_t timeout_ms,
                           struct flaw *flaw);
void rpc_close(struct rpc *rpc);

/* Sends the bytes of one or more whole requests. Takes in what arrives meanwhile. */
MUST_USE enum err rpc_send(struct rpc *rpc, const struct bytes *parts, size_t count,
                           struct flaw *flaw);

/* The next message, of any type. Views into it are good until the next rpc_recv. Free with
 * ctl_done. */
MUST_USE enum err rpc_recv(struct rpc *rpc, struct ctl_msg *ret_msg, struct flaw *flaw);

/* The next message must be the response to `id`: its result. */
MUST_USE enum err rpc_result(struct rpc *rpc, uint32_t id, struct ctl_msg *ret_msg,
                             struct flaw *flaw);

/* `params` is one packed map, or empty for none. */
MUST_USE enum err rpc_call(struct rpc *rpc, enum ctl_method method, struct bytes params,
                           struct ctl_msg *ret_msg, struct flaw *flaw);

/* The bytes of the last message; good until the next rpc_recv. */
struct bytes rpc_last(const struct rpc *rpc);

#endif
