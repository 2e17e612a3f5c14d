/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/tcplink.h: one link of a struct tcp, from its socket to its end: reading with
 * back-pressure, writing with a bound, closing after a flush. For tcp.c and dial.c alone; tcp.h
 * draws the states.
 */
#ifndef ESSAIM_DAEMON_TCPLINK_H
#define ESSAIM_DAEMON_TCPLINK_H

#include <uv.h>

#include "daemon/outq.h"
#include "daemon/tcp.h"

enum state { RESOLVING, CONNECTING, RETRYING, OPEN, DRAINING, CLOSING, GONE };

struct tcp_link {
    struct source source; /* first: a source of ours is its link */
    struct tcp *tcp;
    struct tcp_link *next;
    enum state state;
    uint32_t number;
    bool dialled, reading, dirty, shut, up_waits, resolves;
    struct lab_id lab;
    char address[PEER_ADDRESS_MAX];
    uv_tcp_t handle;
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    uv_getaddrinfo_t resolver;
    struct addrinfo *found, *found_at; /* of the dialled name, and the one being tried */
    struct outq out;
    struct item up, room, down; /* fixed */
    uint64_t deadline_ms;       /* CONNECTING, DRAINING */
    uint64_t sent, sent_ms;     /* as last seen to move */
};

static inline uint64_t tcp_now_ms(const struct tcp *tcp)
{
    return uv_now(tcp->loop);
}

/* NULL without memory. It counts at once. */
struct tcp_link *tcplink_new(struct tcp *tcp, enum state state);
/* Along an edge of the drawing. */
void tcplink_move(struct tcp_link *link, enum state state);
/* Records what happened to it, in one of its fixed items. */
void tcplink_news(struct tcp_link *link, struct item *item, enum event_kind kind);
/* The socket stands. */
void tcplink_open(struct tcp_link *link);
void tcplink_read_on(struct tcp_link *link);
void tcplink_flush(struct tcp_link *link);
/* DRAINING and all is out: says so to the other side and waits for it a little, because closing
 * with bytes unread would destroy what is still on its way. */
void tcplink_drained(struct tcp_link *link);
/* Closes the socket now. */
void tcplink_cut(struct tcp_link *link);
/* After uv_close of a socket of which nobody heard. */
void tcplink_closed(uv_handle_t *handle);
/* Frees it when nothing refers to it any more. */
void tcplink_settle(struct tcp_link *link);
/* Looks after its deadlines; true while it must be looked at again. */
bool tcplink_sweep(struct tcp_link *link, uint64_t now);

#endif
