/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/tcp.c: see tcp.h.
 *
 * A link is made by an accepted connection or by tcp_dial; its events are recorded in its source;
 * its memory is freed once its handle is closed and its last item was stepped. A timer sweeps over
 * deadlines (connect, drain, stalled writes) while there are any.
 */
#include "daemon/tcp.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "daemon/log.h"
#include "daemon/outq.h"

enum state { RESOLVING, CONNECTING, RETRYING, OPEN, DRAINING, CLOSING, GONE };

#define EDGE(state) (1u << (state))
static const unsigned edges[] = {
    [RESOLVING] = EDGE(CONNECTING) | EDGE(GONE),
    [CONNECTING] = EDGE(OPEN) | EDGE(RETRYING) | EDGE(CLOSING),
    [RETRYING] = EDGE(CONNECTING) | EDGE(GONE),
    [OPEN] = EDGE(DRAINING) | EDGE(CLOSING),
    [DRAINING] = EDGE(CLOSING),
    [CLOSING] = EDGE(GONE),
    [GONE] = 0,
};

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

static void move(struct tcp_link *link, enum state state)
{
    must((edges[link->state] & EDGE(state)) != 0);
    link->state = state;
}

static uint64_t now_ms(const struct tcp *tcp)
{
    return uv_now(tcp->loop);
}

static void on_sweep(uv_timer_t *timer);

static void sweep_start(struct tcp *tcp)
{
    if (!uv_is_active((uv_handle_t *) &tcp->sweep) && !uv_is_closing((uv_handle_t *) &tcp->sweep)) {
        (void) uv_timer_start(&tcp->sweep, on_sweep, TCP_SWEEP_MS, TCP_SWEEP_MS);
    }
}

/* ---- the end of a link ---- */

static void link_unlink(struct tcp_link *link)
{
    struct tcp_link **at = &link->tcp->links;
    while (*at != link) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
}

static void link_free(struct tcp_link *link)
{
    must(link->state == GONE);
    must(!link->resolves);
    link_unlink(link);
    inbox_forget(link->tcp->inbox, &link->source);
    outq_done(&link->out);
    uv_freeaddrinfo(link->found);
    free(link);
}

/* Frees it when nothing refers to it any more. */
static void link_settle(struct tcp_link *link)
{
    bool waits = link->source.first != NULL && !link->tcp->stopping;
    if (link->state == GONE && !waits && !link->resolves) {
        link_free(link);
    }
}

static void accept_more(struct tcp *tcp);

static void on_closed(uv_handle_t *handle)
{
    struct tcp_link *link = handle->data;
    struct tcp *tcp = link->tcp;
    move(link, GONE);
    tcp->count--;
    link_settle(link);
    accept_more(tcp);
}

static void link_news(struct tcp_link *link, struct item *item, enum event_kind kind)
{
    item->fixed = true;
    item->event = (struct event){
        .kind = kind,
        .link = link->number,
        .dialled = link->dialled,
        .lab = link->lab,
        .address = link->address,
        .queued = kind == EVENT_LINK_ROOM ? outq_size(&link->out) : 0,
    };
    inbox_put(link->tcp->inbox, &link->source, item);
}

/* Closes the socket now. */
static void link_cut(struct tcp_link *link)
{
    if (link->state == CLOSING || link->state == GONE) {
        return;
    }
    bool was_up = link->state == OPEN || link->state == DRAINING;
    move(link, CLOSING);
    link->reading = false;
    link_news(link, &link->down, was_up ? EVENT_LINK_DOWN : EVENT_DIAL_FAILED);
    uv_close((uv_handle_t *) &link->handle, on_closed);
}

/* A dial that has no socket (yet, or between two addresses) comes to nothing. */
static void dial_failed(struct tcp_link *link)
{
    move(link, GONE);
    link->tcp->count--;
    link_news(link, &link->down, EVENT_DIAL_FAILED);
}

static void on_shut(uv_shutdown_t *request, int status)
{
    struct tcp_link *link = request->data;
    if (status == UV_ECANCELED) {
        return;
    }
    uint64_t end_ms = now_ms(link->tcp) + TCP_DRAIN_END_MS;
    link->deadline_ms = end_ms < link->deadline_ms ? end_ms : link->deadline_ms;
}

/* DRAINING and all is out: says so to the other side and waits for it a little, because closing
 * with bytes unread would destroy what is still on its way. */
static void drained(struct tcp_link *link)
{
    if (link->shut || outq_size(&link->out) > 0) {
        return;
    }
    link->shut = true;
    link->shutdown.data = link;
    bool nothing_said = outq_sent(&link->out) == 0;
    if (nothing_said || uv_shutdown(&link->shutdown, (uv_stream_t *) &link->handle, on_shut) != 0) {
        link_cut(link);
    }
}

/* ---- reading ---- */

static bool may_read(const struct tcp_link *link)
{
    if (link->state == DRAINING) {
        return true; /* to drop it */
    }
    return link->state == OPEN && link->source.size <= PEER_IN_SIZE_MAX &&
           link->tcp->inbox->size <= TCP_IN_SIZE_MAX;
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
    (void) wanted;
    struct tcp_link *link = handle->data;
    struct tcp *tcp = link->tcp;
    if (tcp->spare == NULL) {
        tcp->spare = buf_new(TCP_READ_SIZE);
    }
    *ret_buf = tcp->spare == NULL
                   ? uv_buf_init(NULL, 0)
                   : uv_buf_init((char *) tcp->spare->data, (unsigned) tcp->spare->cap);
}

/* The bytes just read, to keep: the read buffer itself, or a copy of a few. NULL without memory. */
static struct buf *read_take(struct tcp *tcp, size_t size)
{
    struct buf *read = tcp->spare;
    if (size > TCP_READ_COPY_MAX) {
        tcp->spare = NULL;
        read->size = size;
        return read;
    }
    struct buf *copy = buf_new(size);
    if (copy != NULL) {
        buf_put(copy, bytes_of(read->data, size));
    }
    return copy;
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *into)
{
    (void) into;
    struct tcp_link *link = stream->data;
    if (size == 0 || (link->state != OPEN && link->state != DRAINING)) {
        return;
    }
    if (size < 0) {
        link_cut(link);
        return;
    }
    if (link->state == DRAINING) {
        return;
    }
    struct buf *bytes = read_take(link->tcp, (size_t) size);
    struct event event = {.kind = EVENT_LINK_BYTES, .link = link->number};
    if (bytes == NULL ||
        inbox_put_bytes(link->tcp->inbox, &link->source, &event, bytes, 1) != ERR_OK) {
        link_cut(link);
    } else if (!may_read(link)) {
        link->reading = false;
        (void) uv_read_stop(stream);
    }
}

static void read_on(struct tcp_link *link)
{
    if (link->reading || (link->state != OPEN && link->state != DRAINING) || !may_read(link)) {
        return;
    }
    if (uv_read_start((uv_stream_t *) &link->handle, on_alloc, on_read) == 0) {
        link->reading = true;
    } else {
        link_cut(link);
    }
}

static void on_stepped(struct source *source)
{
    struct tcp_link *link = (struct tcp_link *) source;
    link_settle(link);
}

/* ---- writing ---- */

static void on_progress(struct outq *outq, enum err err)
{
    struct tcp_link *link = outq->user;
    if (link->state != OPEN && link->state != DRAINING) {
        return;
    }
    if (err != ERR_OK) {
        link_cut(link);
    } else if (link->state == DRAINING) {
        drained(link);
    } else if (outq_size(outq) < PEER_OUT_SIZE_LOW) {
        link_news(link, &link->room, EVENT_LINK_ROOM);
    }
    if (link->room.waiting) {
        link->room.event.queued = outq_size(outq);
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
        link_cut(link);
    }
}

static void link_flush(struct tcp_link *link)
{
    if (!link->dirty || link->state != OPEN) {
        return;
    }
    link->dirty = false;
    if (outq_flush(&link->out) != ERR_OK) {
        link_cut(link);
        return;
    }
    size_t queued = outq_size(&link->out);
    if (queued < PEER_OUT_SIZE_LOW) {
        link_news(link, &link->room, EVENT_LINK_ROOM);
    }
    link->room.event.queued = queued;
    if (queued > 0) {
        sweep_start(link->tcp);
    }
}

void tcp_close(struct tcp *tcp, uint32_t number)
{
    struct tcp_link *link = link_find(tcp, number);
    if (link == NULL || link->state != OPEN) {
        return;
    }
    link_flush(link);
    if (link->state != OPEN) {
        return;
    }
    move(link, DRAINING);
    inbox_forget(tcp->inbox, &link->source);
    link->deadline_ms = now_ms(tcp) + TCP_DRAIN_MS;
    sweep_start(tcp);
    read_on(link);
    if (link->state == DRAINING) {
        drained(link);
    }
}

void tcp_performed(struct tcp *tcp)
{
    struct tcp_link *next = NULL;
    for (struct tcp_link *link = tcp->links; link != NULL; link = next) {
        next = link->next;
        link_flush(link);
        read_on(link);
    }
    accept_more(tcp);
}

/* ---- beginning ---- */

static struct tcp_link *link_new(struct tcp *tcp, enum state state)
{
    struct tcp_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return NULL;
    }
    link->tcp = tcp;
    link->state = state;
    link->source.ring = INBOX_LINKS;
    link->source.stepped = on_stepped;
    link->next = tcp->links;
    tcp->links = link;
    tcp->count++;
    return link;
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

/* The socket stands. */
static void link_open(struct tcp_link *link)
{
    uv_os_fd_t fd = -1;
    unsigned timeout_ms = TCP_STALL_MS;
    if (uv_fileno((uv_handle_t *) &link->handle, &fd) == 0) {
        (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    }
    (void) uv_tcp_nodelay(&link->handle, 1);
    (void) uv_tcp_keepalive(&link->handle, 1, 60);
    outq_init(&link->out, (uv_stream_t *) &link->handle, on_progress, link);
    link->sent_ms = now_ms(link->tcp);
    link->number = ++link->tcp->number;
    link_news(link, &link->up, EVENT_LINK_UP);
    read_on(link);
}

static bool may_accept(const struct tcp *tcp)
{
    return !tcp->stopping && tcp->count < tcp->cap && tcp->ups < TCP_UPS_MAX;
}

static void accept_one(struct tcp *tcp)
{
    struct tcp_link *link = link_new(tcp, OPEN);
    if (link == NULL) {
        tcp->backlog = true;
        return;
    }
    must(uv_tcp_init(tcp->loop, &link->handle) == 0);
    link->handle.data = link;
    outq_init(&link->out, (uv_stream_t *) &link->handle, on_progress, link);
    struct sockaddr_storage from = {0};
    int size = sizeof from;
    if (uv_accept((uv_stream_t *) &tcp->listener, (uv_stream_t *) &link->handle) != 0 ||
        uv_tcp_getpeername(&link->handle, (struct sockaddr *) &from, &size) != 0) {
        move(link, CLOSING); /* nobody heard of it: no LINK_DOWN */
        uv_close((uv_handle_t *) &link->handle, on_closed);
        return;
    }
    sockaddr_print((struct sockaddr *) &from, link->address, sizeof link->address);
    link->up_waits = true;
    tcp->ups++;
    link_open(link);
}

static void accept_more(struct tcp *tcp)
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
        link_cut(link);
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
        tcp->relisten_ms = now_ms(tcp) + TCP_RELISTEN_MS;
        sweep_start(tcp);
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

/* ---- dialling ---- */

static void dial_next(struct tcp_link *link);

static void on_retry_closed(uv_handle_t *handle)
{
    struct tcp_link *link = handle->data;
    link->found_at = link->found_at->ai_next;
    if (link->found_at == NULL || link->tcp->stopping) {
        dial_failed(link);
        link_settle(link);
    } else {
        dial_next(link);
    }
}

/* This address does not answer: the next one, if any. */
static void dial_retry(struct tcp_link *link)
{
    move(link, RETRYING);
    uv_close((uv_handle_t *) &link->handle, on_retry_closed);
}

static void on_connect(uv_connect_t *request, int status)
{
    struct tcp_link *link = request->data;
    if (link->state != CONNECTING) {
        return;
    }
    if (status != 0) {
        dial_retry(link);
        return;
    }
    move(link, OPEN);
    link_open(link);
}

static void dial_next(struct tcp_link *link)
{
    if (uv_tcp_init(link->tcp->loop, &link->handle) != 0) {
        dial_failed(link);
        return;
    }
    move(link, CONNECTING);
    link->handle.data = link;
    link->connect.data = link;
    bool others = link->found_at->ai_next != NULL;
    uv_update_time(link->tcp->loop);
    link->deadline_ms = now_ms(link->tcp) + (others ? TCP_CONNECT_TRY_MS : TCP_CONNECT_MS);
    sweep_start(link->tcp);
    if (uv_tcp_connect(&link->connect, &link->handle, link->found_at->ai_addr, on_connect) != 0) {
        dial_retry(link);
    }
}

static void lookup_next(struct tcp *tcp);

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct tcp_link *link = request->data;
    struct tcp *tcp = link->tcp;
    link->resolves = false;
    tcp->lookups--;
    if (link->state == GONE) { /* given up meanwhile */
        uv_freeaddrinfo(found);
        link_settle(link);
    } else if (status != 0 || found == NULL) {
        dial_failed(link);
        link_settle(link);
    } else {
        link->found = link->found_at = found;
        dial_next(link);
    }
    lookup_next(tcp);
}

/* ERR_INVALID: no address; ERR_NET: no look-up. With `now`, only numbers are understood. */
static enum err lookup(struct tcp_link *link, bool now)
{
    struct address address;
    if (address_parse(bytes_of_str(link->address), &address) != ERR_OK || address.host[0] == '\0') {
        return ERR_INVALID;
    }
    char port[8];
    (void) snprintf(port, sizeof port, "%u", (unsigned) address.port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (now ? AI_NUMERICHOST : AI_ADDRCONFIG),
    };
    link->resolver.data = link;
    int code = uv_getaddrinfo(link->tcp->loop, &link->resolver, now ? NULL : on_resolved,
                              address.host, port, &hints);
    return code == 0 ? ERR_OK : ERR_NET;
}

/* Look-ups block a worker each: a few at a time, the others wait in RESOLVING. */
static void lookup_next(struct tcp *tcp)
{
    struct tcp_link *next = NULL;
    for (struct tcp_link *link = tcp->links; link != NULL; link = next) {
        next = link->next;
        if (link->state != RESOLVING || link->resolves || tcp->lookups >= TCP_LOOKUPS_MAX) {
            continue;
        }
        if (lookup(link, false) == ERR_OK) {
            link->resolves = true;
            tcp->lookups++;
        } else {
            dial_failed(link);
        }
    }
}

void tcp_dial(struct tcp *tcp, const struct lab_id *lab, const char *address)
{
    struct tcp_link *link = link_new(tcp, RESOLVING);
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
    enum err err = lookup(link, true);
    if (err == ERR_INVALID) {
        dial_failed(link);
    } else if (err == ERR_OK) {
        link->found = link->found_at = link->resolver.addrinfo;
        dial_next(link);
    } else {
        lookup_next(tcp);
    }
}

/* ---- deadlines ---- */

/* Looks after one link; true while it must be looked at again. */
static bool link_sweep(struct tcp_link *link, uint64_t now)
{
    if (link->state == CONNECTING) {
        if (now >= link->deadline_ms) {
            dial_retry(link);
        }
        return true;
    }
    if (link->state == DRAINING) {
        if (now >= link->deadline_ms) {
            link_cut(link);
        }
        return true;
    }
    if (link->state != OPEN || outq_size(&link->out) == 0) {
        link->sent_ms = now;
        return false;
    }
    uint64_t sent = outq_sent(&link->out);
    if (sent != link->sent) {
        link->sent = sent;
        link->sent_ms = now;
    } else if (now - link->sent_ms >= TCP_STALL_MS) {
        log_write(LOG_LEVEL_INFO, "link-stalled", "%s takes no bytes; closed", link->address);
        link_cut(link);
    }
    return true;
}

static void relisten(struct tcp *tcp)
{
    tcp->relisten_ms = 0;
    int code = listener_open(tcp);
    if (code != 0) {
        log_write(LOG_LEVEL_WARNING, "listen-pause", "%s; trying again", uv_strerror(code));
        tcp->relisten_ms = now_ms(tcp) + TCP_RELISTEN_MS;
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct tcp *tcp = timer->data;
    uint64_t now = now_ms(tcp);
    bool again = false;
    struct tcp_link *next = NULL;
    for (struct tcp_link *link = tcp->links; link != NULL; link = next) {
        next = link->next;
        again = link_sweep(link, now) || again;
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
    accept_more(tcp);
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
            link_settle(link);
        } else if (link->state == CONNECTING) {
            link_cut(link);
        } else {
            link_settle(link);
        }
    }
}

void tcp_done(struct tcp *tcp)
{
    buf_free(tcp->spare);
    tcp->spare = NULL;
}
