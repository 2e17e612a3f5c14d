/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/control.h: the control socket (doc/control.md): accepting, who may do what, cutting the
 * stream into frames, answers with a bound.
 *
 * A client without a role, or one that sends what is no msgpack, gets an error response with id 0
 * and is closed. One whose answers are not read is not listened to; after 30 s without progress it
 * is closed.
 */
#ifndef ESSAIM_DAEMON_CONTROL_H
#define ESSAIM_DAEMON_CONTROL_H

#include <uv.h>

#include "conf/say.h"
#include "daemon/inbox.h"
#include "daemon/roles.h"

#define CONTROL_FILE "control.sock"
#define CONTROL_SOCKETS_MAX 2 /* DIR/control.sock, and the one of [control] */
#define CONTROL_READ_SIZE (64u * 1024)
#define CONTROL_IN_SIZE_MAX (2u * CTL_MSG_SIZE_MAX) /* received and not stepped, one client */
#define CONTROL_STALL_MS 30000
#define CONTROL_DRAIN_MS 2000
#define CONTROL_LINGER_MS 250 /* all is out: how long a refused one may take to read it */
#define CONTROL_SWEEP_MS 250

struct control_client;
struct control;

struct control_socket {
    struct control *control;
    uv_pipe_t pipe;
    bool open, backlog;
    char path[108];
};

struct control {
    uv_loop_t *loop;
    struct inbox *inbox;
    const struct roles *roles; /* as of now; may change at SIGHUP */
    struct control_client *clients;
    unsigned count, cap;
    uint32_t number; /* of the last client */
    uv_timer_t sweep;
    struct control_socket sockets[CONTROL_SOCKETS_MAX];
    unsigned socket_count;
    bool stopping;
    char read[CONTROL_READ_SIZE];
};

MUST_USE enum err control_init(struct control *control, uv_loop_t *loop, struct inbox *inbox,
                               const struct roles *roles, unsigned cap);
/* Listens at `path` (at most 107 bytes), replacing a socket left behind; only after the directory's
 * lock was taken. `for_group`: mode 0660, else 0600. ERR_CONFIG or ERR_IO with a sentence. */
MUST_USE enum err control_listen(struct control *control, const char *path, bool for_group,
                                 struct say *ret_say);

/* Effects. control_reply takes the piece. */
void control_reply(struct control *control, uint32_t client, struct buf *piece);
void control_close(struct control *control, uint32_t client);
void control_performed(struct control *control);

/* Closes the listeners and removes their files, drains all clients. */
void control_stop(struct control *control);

#endif
