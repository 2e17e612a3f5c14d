/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/control.c: see control.h.
 *
 * A client: UP --> DRAINING --> CLOSING --> GONE, freed once its handle is closed and its last item
 * was stepped. Whatever fails for one client closes that client.
 */
#include "daemon/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "daemon/log.h"
#include "daemon/outq.h"

#define CONTROL_IN_MAX                                                                             \
    (CTL_MSG_SIZE_MAX + CONTROL_READ_SIZE) /* a frame, and what came with its end */

enum state { UP, DRAINING, CLOSING, GONE };

#define EDGE(state) (1u << (state))
static const unsigned edges[] = {
    [UP] = EDGE(DRAINING) | EDGE(CLOSING),
    [DRAINING] = EDGE(CLOSING),
    [CLOSING] = EDGE(GONE),
    [GONE] = 0,
};

struct control_client {
    struct source source; /* first: a source of ours is its client */
    struct control *control;
    struct control_client *next;
    enum state state;
    uint32_t number;
    enum role role;
    bool known, reading, dirty; /* known: the node was told */
    bool shut, last_word;
    uv_pipe_t handle;
    uv_shutdown_t shutdown;
    struct outq out;
    struct buf in;                   /* the beginning of a frame */
    struct item up, room, down, bad; /* fixed */
    uint64_t deadline_ms;
    uint64_t sent, sent_ms;
    size_t told; /* queued, as the node knows it */
};

static void move(struct control_client *client, enum state state)
{
    must((edges[client->state] & EDGE(state)) != 0);
    client->state = state;
}

static uint64_t now_ms(const struct control *control)
{
    return uv_now(control->loop);
}

static void on_sweep(uv_timer_t *timer);

static void sweep_start(struct control *control)
{
    uv_handle_t *handle = (uv_handle_t *) &control->sweep;
    if (!uv_is_active(handle) && !uv_is_closing(handle)) {
        (void) uv_timer_start(&control->sweep, on_sweep, CONTROL_SWEEP_MS, CONTROL_SWEEP_MS);
    }
}

/* ---- the end of a client ---- */

static void client_free(struct control_client *client)
{
    struct control_client **at = &client->control->clients;
    while (*at != client) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = client->next;
    inbox_forget(client->control->inbox, &client->source);
    outq_done(&client->out);
    buf_done(&client->in);
    free(client);
}

static void client_settle(struct control_client *client)
{
    bool waits = client->source.first != NULL && !client->control->stopping;
    if (client->state == GONE && !waits) {
        client_free(client);
    }
}

static void accept_more(struct control *control);

static void on_closed(uv_handle_t *handle)
{
    struct control_client *client = handle->data;
    struct control *control = client->control;
    move(client, GONE);
    control->count--;
    client_settle(client);
    accept_more(control);
}

static void client_news(struct control_client *client, struct item *item, enum event_kind kind)
{
    item->fixed = true;
    item->event = (struct event){
        .kind = kind,
        .client = client->number,
        .role = client->role,
        .err = kind == EVENT_CLIENT_BAD ? ERR_MALFORMED : ERR_OK,
        .queued = kind == EVENT_CLIENT_ROOM ? outq_size(&client->out) : 0,
    };
    inbox_put(client->control->inbox, &client->source, item);
}

static void client_cut(struct control_client *client)
{
    if (client->state == CLOSING || client->state == GONE) {
        return;
    }
    move(client, CLOSING);
    client->reading = false;
    if (client->known) {
        inbox_release(client->control->inbox, &client->source);
        client_news(client, &client->down, EVENT_CLIENT_DOWN);
    }
    uv_close((uv_handle_t *) &client->handle, on_closed);
}

static void on_shut(uv_shutdown_t *request, int status)
{
    struct control_client *client = request->data;
    if (status == UV_ECANCELED) {
        return;
    }
    client->deadline_ms = now_ms(client->control) + CONTROL_LINGER_MS;
}

/* DRAINING and all is out: says so and waits a moment for the other side to have read it, because
 * closing with bytes unread would destroy the last word. */
static void drained(struct control_client *client)
{
    if (client->shut || outq_size(&client->out) > 0) {
        return;
    }
    client->shut = true;
    client->shutdown.data = client;
    if (!client->last_word || client->control->stopping ||
        uv_shutdown(&client->shutdown, (uv_stream_t *) &client->handle, on_shut) != 0) {
        client_cut(client);
    }
}

static void read_start(struct control_client *client);

/* What was answered goes out, then the socket is closed. */
static void client_drain(struct control_client *client)
{
    if (client->state != UP) {
        return;
    }
    move(client, DRAINING);
    client->deadline_ms = now_ms(client->control) + CONTROL_DRAIN_MS;
    sweep_start(client->control);
    read_start(client); /* to drop it */
    if (client->state == DRAINING && outq_flush(&client->out) != ERR_OK) {
        client_cut(client);
    } else if (client->state == DRAINING) {
        drained(client);
    }
}

/* A last word to one that cannot be served. */
static void client_refuse(struct control_client *client, enum err err, const char *message)
{
    struct buf *answer = buf_new(128);
    if (answer != NULL) {
        ctl_put_error(answer, 0, err, NULL, message);
        if (outq_take(&client->out, answer) != ERR_OK) {
            client_cut(client);
            return;
        }
    }
    client->last_word = true;
    client_drain(client);
}

/* ---- reading ---- */

static bool may_read(const struct control_client *client)
{
    return client->state == UP && client->source.size <= CONTROL_IN_SIZE_MAX &&
           outq_size(&client->out) <= CTL_OUT_SIZE_MAX;
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
    (void) wanted;
    struct control_client *client = handle->data;
    *ret_buf = uv_buf_init(client->control->read, CONTROL_READ_SIZE);
}

/* The frame of `size` bytes at the head of client->in, to keep: the buffer itself where the frame
 * fills it, else a copy. NULL without memory. */
static struct buf *frame_copy(struct control_client *client, struct bytes frame)
{
    struct buf *bytes = NULL;
    if (frame.size == client->in.size && frame.size > CONTROL_READ_SIZE) {
        bytes = buf_new(0);
        if (bytes != NULL) {
            *bytes = client->in;
            buf_init(&client->in, CONTROL_IN_MAX);
        }
        return bytes;
    }
    bytes = buf_new(frame.size);
    if (bytes != NULL) {
        buf_put(bytes, frame);
    }
    return bytes;
}

/* What a request may cost in a turn: an answer of many kilobytes, or a share in one commit. */
static unsigned frame_cost(struct bytes frame)
{
    struct ctl_msg msg;
    enum ctl_method method = CTL_hello;
    if (frame.size > CONTROL_READ_SIZE || ctl_decode(frame, &msg) != ERR_OK) {
        return 1; /* large ones carry entries */
    }
    bool reads = ctl_find(msg.method, &method) == ERR_OK && !ctl_writes(method);
    ctl_done(&msg);
    return reads ? INBOX_READ_COST : 1;
}

/* Cuts whole frames off client->in. ERR_MORE: the rest is the beginning of one. */
static enum err frames_cut(struct control_client *client)
{
    size_t used = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && used < client->in.size) {
        struct bytes rest = bytes_of(client->in.data + used, client->in.size - used);
        size_t size = 0;
        err = ctl_frame(rest, &size);
        if (err != ERR_OK) {
            break;
        }
        struct event event = {
            .kind = EVENT_CLIENT_BYTES, .client = client->number, .role = client->role};
        bool whole = used == 0;
        struct buf *bytes = frame_copy(client, bytes_of(rest.data, size));
        if (bytes == NULL) {
            return ERR_NOMEM;
        }
        err = inbox_put_bytes(client->control->inbox, &client->source, &event, bytes,
                              frame_cost(buf_bytes(bytes)));
        used = whole && client->in.size == 0 ? 0 : used + size;
    }
    buf_shift(&client->in, used);
    return err == ERR_OK ? ERR_MORE : err;
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *into)
{
    struct control_client *client = stream->data;
    if (size == 0 || (client->state != UP && client->state != DRAINING)) {
        return;
    }
    if (size < 0) {
        client_cut(client);
        return;
    }
    if (client->state == DRAINING) {
        return;
    }
    buf_put(&client->in, bytes_of(into->base, (size_t) size));
    enum err err = client->in.err == ERR_OK ? frames_cut(client) : client->in.err;
    if (err == ERR_MALFORMED || err == ERR_SIZE) {
        client_news(client, &client->bad, EVENT_CLIENT_BAD);
        client->bad.event.err = err;
        client_refuse(client, err, NULL);
    } else if (err != ERR_MORE) {
        client_cut(client);
    } else if (!may_read(client)) {
        client->reading = false;
        (void) uv_read_stop(stream);
    }
}

static void read_start(struct control_client *client)
{
    if (client->reading) {
        return;
    }
    if (uv_read_start((uv_stream_t *) &client->handle, on_alloc, on_read) == 0) {
        client->reading = true;
    } else {
        client_cut(client);
    }
}

static void read_on(struct control_client *client)
{
    if (may_read(client)) {
        read_start(client);
    }
}

static void on_stepped(struct source *source)
{
    struct control_client *client = (struct control_client *) source;
    client_settle(client);
}

/* ---- writing ---- */

/* One that does not read its answers is not stepped: no more answers for it. */
static void client_balance(struct control_client *client)
{
    size_t queued = outq_size(&client->out);
    if (queued != client->told) {
        client_news(client, &client->room, EVENT_CLIENT_ROOM);
        client->room.event.queued = queued;
        client->told = queued;
    }
    if (queued > CTL_OUT_SIZE_MAX) {
        inbox_hold(client->control->inbox, &client->source);
    } else if (client->source.held) {
        inbox_release(client->control->inbox, &client->source);
    }
    if (queued > 0) {
        sweep_start(client->control);
    }
}

static void on_progress(struct outq *outq, enum err err)
{
    struct control_client *client = outq->user;
    if (client->state != UP && client->state != DRAINING) {
        return;
    }
    if (err != ERR_OK) {
        client_cut(client);
    } else if (client->state == DRAINING) {
        drained(client);
    }
    if (client->state == UP) {
        client_balance(client);
        read_on(client);
    }
}

static struct control_client *client_find(struct control *control, uint32_t number)
{
    struct control_client *client = control->clients;
    while (client != NULL && client->number != number) {
        client = client->next;
    }
    return client;
}

void control_reply(struct control *control, uint32_t number, struct buf *piece)
{
    struct control_client *client = client_find(control, number);
    if (client == NULL || client->state != UP) {
        buf_free(piece);
        return;
    }
    client->dirty = true;
    client->told += piece->size; /* the node counts what it replies as queued until told better */
    if (outq_take(&client->out, piece) != ERR_OK) {
        client_cut(client);
    }
}

static void client_flush(struct control_client *client)
{
    if (!client->dirty || client->state != UP) {
        return;
    }
    client->dirty = false;
    if (outq_flush(&client->out) != ERR_OK) {
        client_cut(client);
        return;
    }
    client_balance(client);
}

void control_close(struct control *control, uint32_t number)
{
    struct control_client *client = client_find(control, number);
    if (client != NULL) {
        client_drain(client);
    }
}

void control_performed(struct control *control)
{
    struct control_client *next = NULL;
    for (struct control_client *client = control->clients; client != NULL; client = next) {
        next = client->next;
        client_flush(client);
        read_on(client);
    }
    accept_more(control);
}

/* ---- beginning ---- */

static enum role role_of(const struct control_client *client)
{
    uv_os_fd_t fd = -1;
    if (uv_fileno((const uv_handle_t *) &client->handle, &fd) != 0) {
        return ROLE_NONE;
    }
    return roles_of_socket(client->control->roles, fd);
}

static void accept_one(struct control_socket *socket)
{
    struct control *control = socket->control;
    struct control_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        socket->backlog = true;
        return;
    }
    client->control = control;
    client->source.ring = INBOX_CLIENTS;
    client->source.stepped = on_stepped;
    client->number = ++control->number;
    client->next = control->clients;
    control->clients = client;
    control->count++;
    must(uv_pipe_init(control->loop, &client->handle, 0) == 0);
    client->handle.data = client;
    buf_init(&client->in, CONTROL_IN_MAX);
    client->sent_ms = now_ms(control);
    outq_init(&client->out, (uv_stream_t *) &client->handle, on_progress, client);
    if (uv_accept((uv_stream_t *) &socket->pipe, (uv_stream_t *) &client->handle) != 0) {
        client_cut(client);
        return;
    }
    client->role = role_of(client);
    if (client->role == ROLE_NONE) {
        client_refuse(client, ERR_ROLE, "you have no role here: see [roles] in essaimd.conf");
        return;
    }
    client->known = true;
    client_news(client, &client->up, EVENT_CLIENT_UP);
    read_on(client);
}

static bool may_accept(const struct control *control)
{
    return !control->stopping && control->count < control->cap;
}

static void accept_more(struct control *control)
{
    for (unsigned i = 0; i < control->socket_count; i++) {
        struct control_socket *socket = &control->sockets[i];
        if (socket->open && socket->backlog && may_accept(control)) {
            socket->backlog = false;
            accept_one(socket);
        }
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct control_socket *socket = listener->data;
    if (status < 0) {
        log_write(LOG_LEVEL_WARNING, "control-pause", "%s", uv_strerror(status));
        return;
    }
    if (may_accept(socket->control)) {
        accept_one(socket);
    } else {
        socket->backlog = true; /* not accepted: the others wait in the kernel's queue */
    }
}

/* Removes a socket left behind by one that was killed; anything else is not ours to remove. */
static enum err stale_remove(const char *path, struct say *ret_say)
{
    struct stat seen;
    if (lstat(path, &seen) != 0) {
        return ERR_OK;
    }
    if (!S_ISSOCK(seen.st_mode)) {
        say_set(ret_say, "%s: is no socket; move it away", path);
        return ERR_IO;
    }
    if (unlink(path) != 0) {
        say_set(ret_say, "%s: %s; remove it", path, strerrordesc_np(errno));
        return ERR_IO;
    }
    return ERR_OK;
}

enum err control_init(struct control *control, uv_loop_t *loop, struct inbox *inbox,
                      const struct roles *roles, unsigned cap)
{
    *control = (struct control){.loop = loop, .inbox = inbox, .roles = roles, .cap = cap};
    control->sweep.data = control;
    return uv_timer_init(loop, &control->sweep) == 0 ? ERR_OK : ERR_INTERNAL;
}

enum err control_listen(struct control *control, const char *path, bool for_group,
                        struct say *ret_say)
{
    must(control->socket_count < CONTROL_SOCKETS_MAX);
    struct control_socket *socket = &control->sockets[control->socket_count];
    if (strlen(path) >= sizeof socket->path) { /* libuv would cut it and bind something else */
        say_set(ret_say, "%s: over 107 bytes, too long for a socket; use a shorter path", path);
        return ERR_CONFIG;
    }
    enum err err = stale_remove(path, ret_say);
    if (err != ERR_OK) {
        return err;
    }
    (void) snprintf(socket->path, sizeof socket->path, "%s", path);
    socket->control = control;
    if (uv_pipe_init(control->loop, &socket->pipe, 0) != 0) {
        return ERR_INTERNAL;
    }
    socket->pipe.data = socket;
    socket->open = true;
    control->socket_count++;
    mode_t before = umask(for_group ? 0117 : 0177);
    int code = uv_pipe_bind(&socket->pipe, path);
    (void) umask(before);
    if (code == 0) {
        code = uv_listen((uv_stream_t *) &socket->pipe, CTL_CLIENTS_MAX, on_connection);
    }
    if (code != 0) {
        say_set(ret_say, "%s: %s; check the directory", path, uv_strerror(code));
        return ERR_IO;
    }
    return ERR_OK;
}

/* ---- deadlines and the end ---- */

static bool client_sweep(struct control_client *client, uint64_t now)
{
    if (client->state == DRAINING) {
        if (now >= client->deadline_ms) {
            client_cut(client);
        }
        return true;
    }
    if (client->state != UP || outq_size(&client->out) == 0) {
        client->sent_ms = now;
        return false;
    }
    uint64_t sent = outq_sent(&client->out);
    if (sent != client->sent) {
        client->sent = sent;
        client->sent_ms = now;
    } else if (now - client->sent_ms >= CONTROL_STALL_MS) {
        log_write(LOG_LEVEL_INFO, "client-stalled", "client %u reads no answers; closed",
                  client->number);
        client_cut(client);
    }
    return true;
}

static void on_sweep(uv_timer_t *timer)
{
    struct control *control = timer->data;
    bool again = false;
    struct control_client *next = NULL;
    for (struct control_client *client = control->clients; client != NULL; client = next) {
        next = client->next;
        again = client_sweep(client, now_ms(control)) || again;
    }
    if (!again) {
        (void) uv_timer_stop(timer);
    }
}

void control_stop(struct control *control)
{
    control->stopping = true;
    for (unsigned i = 0; i < control->socket_count; i++) {
        if (control->sockets[i].open) {
            control->sockets[i].open = false;
            (void) unlink(control->sockets[i].path);
            uv_close((uv_handle_t *) &control->sockets[i].pipe, NULL);
        }
    }
    struct control_client *next = NULL;
    for (struct control_client *client = control->clients; client != NULL; client = next) {
        next = client->next;
        if (client->shut) {
            client_cut(client);
        }
        client_drain(client);
        client_settle(client);
    }
}
