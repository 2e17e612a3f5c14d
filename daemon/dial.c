/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/dial.c: see dial.h. */
#include "daemon/dial.h"

#include <netdb.h>
#include <stdio.h>

#include "base/limits.h"
#include "conf/address.h"

void dial_failed(struct tcp_link *link)
{
    tcplink_move(link, GONE);
    link->tcp->count--;
    tcplink_news(link, &link->down, EVENT_DIAL_FAILED);
}

static void dial_next(struct tcp_link *link);

static void on_retry_closed(uv_handle_t *handle)
{
    struct tcp_link *link = handle->data;
    link->found_at = link->found_at->ai_next;
    if (link->found_at == NULL || link->tcp->stopping) {
        dial_failed(link);
        tcplink_settle(link);
    } else {
        dial_next(link);
    }
}

void dial_retry(struct tcp_link *link)
{
    tcplink_move(link, RETRYING);
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
    tcplink_move(link, OPEN);
    tcplink_open(link);
}

static void dial_next(struct tcp_link *link)
{
    if (uv_tcp_init(link->tcp->loop, &link->handle) != 0) {
        dial_failed(link);
        return;
    }
    tcplink_move(link, CONNECTING);
    link->handle.data = link;
    link->connect.data = link;
    bool others = link->found_at->ai_next != NULL;
    uv_update_time(link->tcp->loop);
    link->deadline_ms = tcp_now_ms(link->tcp) + (others ? TCP_CONNECT_TRY_MS : TCP_CONNECT_MS);
    tcp_sweep_start(link->tcp);
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
        tcplink_settle(link);
    } else if (status != 0 || found == NULL) {
        dial_failed(link);
        tcplink_settle(link);
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

void dial_begin(struct tcp_link *link)
{
    enum err err = lookup(link, true);
    if (err == ERR_INVALID) {
        dial_failed(link);
    } else if (err == ERR_OK) {
        link->found = link->found_at = link->resolver.addrinfo;
        dial_next(link);
    } else {
        lookup_next(link->tcp);
    }
}
