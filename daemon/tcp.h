/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/tcp.h: links: listening, accepting within our own cap, dialling, reading with
 * back-pressure, writing with a bound, closing after a flush.
 *
 *                ┌────────────────────────> CLOSING ──> GONE (freed when its last item is stepped)
 *   RESOLVING ──> CONNECTING ──> OPEN ──> DRAINING ──┘
 *        └──> GONE    ↑└─> RETRYING
 *                     └──────┘
 *
 * Nothing here knows what the bytes mean. What goes wrong with a link closes that link and becomes
 * LINK_DOWN or DIAL_FAILED; the listener comes back by itself.
 */
#ifndef ESSAIM_DAEMON_TCP_H
#define ESSAIM_DAEMON_TCP_H

#include <uv.h>

#include "conf/address.h"
#include "conf/say.h"
#include "daemon/inbox.h"

#define TCP_READ_SIZE (256u * 1024)         /* one read */
#define TCP_READ_COPY_MAX (64u * 1024)      /* smaller ones are copied, the buffer is used again */
#define TCP_IN_SIZE_MAX (16u * 1024 * 1024) /* received and not stepped, all links */
#define TCP_UPS_MAX 8                       /* accepted and not stepped */
#define TCP_LOOKUPS_MAX 2
#define TCP_BACKLOG 128
#define TCP_CONNECT_MS 10000
#define TCP_CONNECT_TRY_MS 3000 /* where another address can be tried */
#define TCP_DRAIN_MS 2000
#define TCP_DRAIN_END_MS 500 /* all is out: how long the other side may take to see the end */
#define TCP_STALL_MS 30000
#define TCP_RELISTEN_MS 500
#define TCP_SWEEP_MS 250

struct tcp_link;

struct tcp {
    uv_loop_t *loop;
    struct inbox *inbox;
    struct tcp_link *links; /* all of them, the GONE ones, too */
    unsigned count;         /* that hold a descriptor, or will */
    unsigned cap;
    unsigned ups;     /* inbound LINK_UPs not stepped */
    unsigned lookups; /* under way */
    uint32_t number;  /* of the last link */
    uv_timer_t sweep;
    uv_tcp_t listener;
    bool listens, listener_open, backlog, stopping;
    uint64_t relisten_ms; /* 0 = not due */
    struct sockaddr_storage bound;
    struct buf *spare; /* of TCP_READ_SIZE, for the next read */
};

MUST_USE enum err tcp_init(struct tcp *tcp, uv_loop_t *loop, struct inbox *inbox, unsigned cap);
/* Listens at `address` and tells the real one (port 0: any). ERR_NET with a sentence. */
MUST_USE enum err tcp_listen(struct tcp *tcp, const struct address *address,
                             char ret_text[ADDRESS_TEXT_MAX], struct say *ret_say);
void tcp_set_cap(struct tcp *tcp, unsigned cap);

/* Effects. tcp_send takes the piece; what is for a link that is gone is dropped. */
void tcp_send(struct tcp *tcp, uint32_t link, struct buf *piece);
void tcp_close(struct tcp *tcp, uint32_t link);
void tcp_dial(struct tcp *tcp, const struct lab_id *lab, const char *address);
/* After the effects of a turn: writes, reads on, accepts on. */
void tcp_performed(struct tcp *tcp);

/* An inbound LINK_UP is stepped now, or (admitted = false) the link is closed unheard. */
void tcp_stepped_up(struct tcp *tcp, struct source *source, bool admitted);
/* The IP in the address of an inbound link, as node_accepts wants it. */
void tcp_ip_of(const char *address, char ret_ip[ADDRESS_TEXT_MAX]);

/* Of its links (tcplink.c, dial.c): one has ended, another may be accepted; one has a deadline. */
void tcp_accept_more(struct tcp *tcp);
void tcp_sweep_start(struct tcp *tcp);

/* Closes the listener, drains all links, drops dials. The handles close by themselves. */
void tcp_stop(struct tcp *tcp);
/* After the loop has ended: frees what is left. */
void tcp_done(struct tcp *tcp);

#endif
