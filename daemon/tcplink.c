/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/tcplink.c: see tcplink.h. A link's events are recorded in its source; its memory is freed
 * once its handle is closed and its last item was stepped.
 */
#include "daemon/tcplink.h"

#include <netinet/tcp.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "daemon/dial.h"
#include "daemon/log.h"

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

void tcplink_move(struct tcp_link *link, enum state state)
{
    must((edges[link->state] & EDGE(state)) != 0);
    link->state = state;
}

/* ---- the end of a link ---- */

static void unlink_from(struct tcp_link *link)
{
    struct tcp_link **at = &link->tcp->links;
    while (*at != link) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
}

static void release(struct tcp_link *link)
{
    must(link->state == GONE);
    must(!link->resolves);
    unlink_from(link);
    inbox_forget(link->tcp->inbox, &link->source);
    outq_done(&link->out);
    uv_freeaddrinfo(link->found);
    free(link);
}

void tcplink_settle(struct tcp_link *link)
{
    bool waits = link->source.first != NULL && !link->tcp->stopping;
    if (link->state == GONE && !waits && !link->resolves) {
        release(link);
    }
}

void tcplink_closed(uv_handle_t *handle)
{
    struct tcp_link *link = handle->data;
    struct tcp *tcp = link->tcp;
    tcplink_move(link, GONE);
    tcp->count--;
    tcplink_settle(link);
    tcp_accept_more(tcp);
}

void tcplink_news(struct tcp_link *link, struct item *item, enum event_kind kind)
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

void tcplink_cut(struct tcp_link *link)
{
    if (link->state == CLOSING || link->state == GONE) {
        return;
    }
    bool was_up = link->state == OPEN || link->state == DRAINING;
    tcplink_move(link, CLOSING);
    link->reading = false;
    tcplink_news(link, &link->down, was_up ? EVENT_LINK_DOWN : EVENT_DIAL_FAILED);
    uv_close((uv_handle_t *) &link->handle, tcplink_closed);
}

static void on_shut(uv_shutdown_t *request, int status)
{
    struct tcp_link *link = request->data;
    if (status == UV_ECANCELED) {
        return;
    }
    uint64_t end_ms = tcp_now_ms(link->tcp) + TCP_DRAIN_END_MS;
    link->deadline_ms = end_ms < link->deadline_ms ? end_ms : link->deadline_ms;
}

void tcplink_drained(struct tcp_link *link)
{
    if (link->shut || outq_size(&link->out) > 0) {
        return;
    }
    link->shut = true;
    link->shutdown.data = link;
    bool nothing_said = outq_sent(&link->out) == 0;
    if (nothing_said || uv_shutdown(&link->shutdown, (uv_stream_t *) &link->handle, on_shut) != 0) {
        tcplink_cut(link);
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
        tcplink_cut(link);
        return;
    }
    if (link->state == DRAINING) {
        return;
    }
    struct buf *bytes = read_take(link->tcp, (size_t) size);
    struct event event = {.kind = EVENT_LINK_BYTES, .link = link->number};
    if (bytes == NULL ||
        inbox_put_bytes(link->tcp->inbox, &link->source, &event, bytes, 1) != ERR_OK) {
        tcplink_cut(link);
    } else if (!may_read(link)) {
        link->reading = false;
        (void) uv_read_stop(stream);
    }
}

void tcplink_read_on(struct tcp_link *link)
{
    if (link->reading || (link->state != OPEN && link->state != DRAINING) || !may_read(link)) {
        return;
    }
    if (uv_read_start((uv_stream_t *) &link->handle, on_alloc, on_read) == 0) {
        link->reading = true;
    } else {
        tcplink_cut(link);
    }
}

static void on_stepped(struct source *source)
{
    struct tcp_link *link = (struct tcp_link *) source;
    tcplink_settle(link);
}

/* ---- writing ---- */

static void on_progress(struct outq *outq, enum err err)
{
    struct tcp_link *link = outq->user;
    if (link->state != OPEN && link->state != DRAINING) {
        return;
    }
    if (err != ERR_OK) {
        tcplink_cut(link);
    } else if (link->state == DRAINING) {
        tcplink_drained(link);
    } else if (outq_size(outq) < PEER_OUT_SIZE_LOW) {
        tcplink_news(link, &link->room, EVENT_LINK_ROOM);
    }
    if (link->room.waiting) {
        link->room.event.queued = outq_size(outq);
    }
}

void tcplink_flush(struct tcp_link *link)
{
    if (!link->dirty || link->state != OPEN) {
        return;
    }
    link->dirty = false;
    if (outq_flush(&link->out) != ERR_OK) {
        tcplink_cut(link);
        return;
    }
    size_t queued = outq_size(&link->out);
    if (queued < PEER_OUT_SIZE_LOW) {
        tcplink_news(link, &link->room, EVENT_LINK_ROOM);
    }
    link->room.event.queued = queued;
    if (queued > 0) {
        tcp_sweep_start(link->tcp);
    }
}

/* ---- beginning ---- */

struct tcp_link *tcplink_new(struct tcp *tcp, enum state state)
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

void tcplink_open(struct tcp_link *link)
{
    uv_os_fd_t fd = -1;
    unsigned timeout_ms = TCP_STALL_MS;
    if (uv_fileno((uv_handle_t *) &link->handle, &fd) == 0) {
        (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    }
    (void) uv_tcp_nodelay(&link->handle, 1);
    (void) uv_tcp_keepalive(&link->handle, 1, 60);
    outq_init(&link->out, (uv_stream_t *) &link->handle, on_progress, link);
    link->sent_ms = tcp_now_ms(link->tcp);
    link->number = ++link->tcp->number;
    tcplink_news(link, &link->up, EVENT_LINK_UP);
    tcplink_read_on(link);
}

/* ---- deadlines ---- */

bool tcplink_sweep(struct tcp_link *link, uint64_t now)
{
    if (link->state == CONNECTING) {
        if (now >= link->deadline_ms) {
            dial_retry(link);
        }
        return true;
    }
    if (link->state == DRAINING) {
        if (now >= link->deadline_ms) {
            tcplink_cut(link);
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
        tcplink_cut(link);
    }
    return true;
}
