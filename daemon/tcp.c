/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/tcp.c: see tcp.h.
 *
 * The listener and the links as a whole: one is made by an accepted connection or by tcp_dial
 * (dial.c) and lives in tcplink.c. A timer sweeps over deadlines (connect, drain, stalled writes)
 * while there are any.
 */
#include "daemon/tcp.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "daemon/dial.h"
#include "daemon/log.h"
#include "daemon/tcplink.h"

static void on_sweep(uv_timer_t *timer);

void tcp_sweep_start(struct tcp *tcp)
{
    if (!uv_is_active((uv_handle_t *) &tcp->sweep) && !uv_is_closing((uv_handle_t *) &tcp->sweep)) {
        (void) uv_timer_start(&tcp->sweep, on_sweep, TCP_SWEEP_MS, TCP_SWEEP_MS);
    }
}

static struct tcp_link *link_find(struct tcp *tcp, uint32_t number)
{
    struct tcp_link *link = tcp->links;
    while (link != NULL && (link->number != number || link->state == GONE)) {
        link = link->next;
    }
    return link;
}

void tcp_send(struct tcp *tcp, uint32_t number, struct buf *piece)
{
    struct tcp_link *link = link_find(tcp, number);
    if (link == NULL || link->state != OPEN) {
        buf_free(piece);
        return;
    }
    link->dirty = true;
    if (outq_take(&link->out, piece) != ERR_OK || outq_size(&link->out) > 4u * PEER_OUT_SIZE_MAX) {
        tcplink_cut(link);
    }
}

void tcp_close(struct tcp *tcp, uint32_t number)
{
    struct tcp_link *link = link_find(tcp, number);
    if (link == NULL || link->state != OPEN) {
        return;
    }
    tcplink_flush(link);
    if (link->state != OPEN) {
        return;
    }
    tcplink_move(link, DRAINING);
    inbox_forget(tcp->inbox, &link->source);
    link->deadline_ms = tcp_now_ms(tcp) + TCP_DRAIN_MS;
    tcp_sweep_start(tcp);
    tcplink_read_on(link);
    if (link->state == DRAINING) {
        tcplink_drained(link);
    }
}

void tcp_performed(struct tcp *tcp)
{
    struct tcp_link *next = NULL;
    for (struct tcp_link *link = tcp->links; link != NULL; link = next) {
        next = link->next;
        tcplink_flush(link);
        tcplink_read_on(link);
    }
    tcp_accept_more(tcp);
}

/* The address of a socket as text; an IPv4 address in IPv6 form is shown as IPv4. */
static void sockaddr_print(const struct sockaddr *from, char *ret_text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *) from;
        (void) inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void) snprintf(ret_text, size, "%s:%u", host, (unsigned) ntohs(in->sin_port));
        return;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) from;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        (void) inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host, sizeof host);
        (void) snprintf(ret_text, size, "%s:%u", host, (unsigned) ntohs(in6->sin6_port));
        return;
    }
    (void) inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
    (void) snprintf(ret_text, size, "[%s]:%u", host, (unsigned) ntohs(in6->sin6_port));
}

void tcp_ip_of(const char *address, char ret_ip[ADDRESS_TEXT_MAX])
{
    (void) snprintf(ret_ip, ADDRESS_TEXT_MAX, "%s", address);
    char *colon = strrchr(ret_ip, ':');
    if (colon != NULL) {
        *colon = '\0';
    }
}

static bool may_accept(const struct tcp *tcp)
{
    return !tcp->stopping && tcp->count < tcp->cap && tcp->ups < TCP_UPS_MAX;
}

static void accept_one(struct tcp *tcp)
{
    struct tcp_link *link = tcplink_new(tcp, OPEN);
    if (link == NULL) {
        tcp->backlog = true;
        return;
    }
    must(uv_tcp_init(tcp->loop, &link->handle) == 0);
    link->handle.data = link;
    struct sockaddr_storage from = {0};
    int size = sizeof from;
    if (uv_accept((uv_stream_t *) &tcp->listener, (uv_stream_t *) &link->handle) != 0 ||
        uv_tcp_getpeername(&link->handle, (struct sockaddr *) &from, &size) != 0) {
        tcplink_move(link, CLOSING); /* nobody heard of it: no LINK_DOWN */
        uv_close((uv_handle_t *) &link->handle, tcplink_closed);
        return;
    }
    sockaddr_print((struct sockaddr *) &from, link->address, sizeof link->address);
    link->up_waits = true;
    tcp->ups++;
    tcplink_open(link);
}

void tcp_accept_more(struct tcp *tcp)
{
    if (tcp->backlog && tcp->listener_open && may_accept(tcp)) {
        tcp->backlog = false;
        accept_one(tcp);
    }
}

void tcp_stepped_up(struct tcp *tcp, struct source *source, bool admitted)
{
    struct tcp_link *link = (struct tcp_link *) source;
    must(link->up_waits);
    link->up_waits = false;
    tcp->ups--;
    if (!admitted) {
        inbox_forget(tcp->inbox, source);
        tcplink_cut(link);
    }
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct tcp *tcp = handle->data;
    tcp->backlog = false;
}

static void listener_close(struct tcp *tcp)
{
    if (tcp->listener_open) {
        tcp->listener_open = false;
        uv_close((uv_handle_t *) &tcp->listener, on_listener_closed);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct tcp *tcp = listener->data;
    if (!tcp->listener_open) {
        return;
    }
    if (status < 0) { /* out of descriptors in spite of the cap: libuv would spin */
        log_write(LOG_LEVEL_WARNING, "listen-pause", "%s; listening again in a moment",
                  uv_strerror(status));
        listener_close(tcp);
        tcp->relisten_ms = tcp_now_ms(tcp) + TCP_RELISTEN_MS;
        tcp_sweep_start(tcp);
        return;
    }
    if (may_accept(tcp)) {
        accept_one(tcp);
    } else {
        tcp->backlog = true; /* not accepted: libuv leaves the others in the kernel's queue */
    }
}

static int listener_open(struct tcp *tcp)
{
    int code = uv_tcp_init(tcp->loop, &tcp->listener);
    if (code != 0) {
        return code;
    }
    tcp->listener.data = tcp;
    tcp->listener_open = true;
    code = uv_tcp_bind(&tcp->listener, (struct sockaddr *) &tcp->bound, 0);
    if (code == 0) {
        code = uv_listen((uv_stream_t *) &tcp->listener, TCP_BACKLOG, on_connection);
    }
    if (code != 0) {
        listener_close(tcp);
    }
    return code;
}

void tcp_dial(struct tcp *tcp, const struct lab_id *lab, const char *address)
{
    struct tcp_link *link = tcplink_new(tcp, RESOLVING);
    if (link == NULL) {
        log_write(LOG_LEVEL_ERROR, "no-memory", "a dial was dropped");
        return;
    }
    link->dialled = true;
    link->lab = *lab;
    (void) snprintf(link->address, sizeof link->address, "%s", address);
    if (tcp->stopping || tcp->count > tcp->cap) {
        dial_failed(link);
        return;
    }
    dial_begin(link);
}

/* ---- deadlines ---- */

static void relisten(struct tcp *tcp)
{
    tcp->relisten_ms = 0;
    int code = listener_open(tcp);
    if (code != 0) {
        log_write(LOG_LEVEL_WARNING, "listen-pause", "%s; trying again", uv_strerror(code));
        tcp->relisten_ms = tcp_now_ms(tcp) + TCP_RELISTEN_MS;
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct tcp *tcp = timer->data;
    uint64_t now = tcp_now_ms(tcp);
    bool again = false;
    struct tcp_link *next = NULL;
    for (struct tcp_link *link = tcp->links; link != NULL; link = next) {
        next = link->next;
        again = tcplink_sweep(link, now) || again;
    }
    bool closed = !uv_is_active((uv_handle_t *) &tcp->listener);
    if (tcp->relisten_ms != 0 && now >= tcp->relisten_ms && closed && !tcp->stopping) {
        relisten(tcp);
    }
    if (!again && (tcp->relisten_ms == 0 || tcp->stopping)) {
        (void) uv_timer_stop(timer);
    }
}

/* ---- the whole ---- */

enum err tcp_init(struct tcp *tcp, uv_loop_t *loop, struct inbox *inbox, unsigned cap)
{
    *tcp = (struct tcp){.loop = loop, .inbox = inbox, .cap = cap};
    tcp->sweep.data = tcp;
    return uv_timer_init(loop, &tcp->sweep) == 0 ? ERR_OK : ERR_INTERNAL;
}

void tcp_set_cap(struct tcp *tcp, unsigned cap)
{
    tcp->cap = cap;
    tcp_accept_more(tcp);
}

/* Every address of this machine: IPv6 sockets take IPv4 as well, where there is IPv6. */
static enum err bind_any(struct tcp *tcp, uint16_t port)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int code = fd >= 0 ? uv_ip6_addr("::", port, (struct sockaddr_in6 *) &tcp->bound)
                       : uv_ip4_addr("0.0.0.0", port, (struct sockaddr_in *) &tcp->bound);
    if (fd >= 0) {
        (void) close(fd);
    }
    return code == 0 ? ERR_OK : ERR_NET;
}

/* The socket address to bind; a name is looked up now, at start-up. */
static enum err bind_address(struct tcp *tcp, const struct address *address)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    char port[8];
    (void) snprintf(port, sizeof port, "%u", (unsigned) address->port);
    if (address->host[0] == '\0') {
        return bind_any(tcp, address->port);
    }
    uv_getaddrinfo_t request;
    if (uv_getaddrinfo(tcp->loop, &request, NULL, address->host, port, &hints) != 0) {
        return ERR_NET;
    }
    memcpy(&tcp->bound, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return ERR_OK;
}

enum err tcp_listen(struct tcp *tcp, const struct address *address, char ret_text[ADDRESS_TEXT_MAX],
                    struct say *ret_say)
{
    char wanted[ADDRESS_TEXT_MAX];
    address_print(address, wanted);
    if (bind_address(tcp, address) != ERR_OK) {
        say_set(ret_say, "listen = %s: no such host; name an address of this machine", wanted);
        return ERR_NET;
    }
    int code = listener_open(tcp);
    struct sockaddr_storage real = {0};
    int size = sizeof real;
    if (code == 0) {
        code = uv_tcp_getsockname(&tcp->listener, (struct sockaddr *) &real, &size);
    }
    if (code != 0) {
        say_set(ret_say, "listen = %s: %s; choose another address or port, or stop what uses it",
                wanted, uv_strerror(code));
        return ERR_NET;
    }
    tcp->bound = real; /* so that listening again gets the same port */
    tcp->listens = true;
    sockaddr_print((struct sockaddr *) &real, ret_text, ADDRESS_TEXT_MAX);
    return ERR_OK;
}

void tcp_stop(struct tcp *tcp)
{
    tcp->stopping = true;
    listener_close(tcp);
    struct tcp_link *next = NULL;
    for (struct tcp_link *link = tcp->links; link != NULL; link = next) {
        next = link->next;
        if (link->state == OPEN) {
            tcp_close(tcp, link->number);
        } else if (link->state == RESOLVING) {
            (void) (link->resolves && uv_cancel((uv_req_t *) &link->resolver));
            dial_failed(link);
            tcplink_settle(link);
        } else if (link->state == CONNECTING) {
            tcplink_cut(link);
        } else {
            tcplink_settle(link);
        }
    }
}

void tcp_done(struct tcp *tcp)
{
    buf_free(tcp->spare);
    tcp->spare = NULL;
}
