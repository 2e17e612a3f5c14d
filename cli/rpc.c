/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/rpc.c: a non-blocking socket and poll(2), so that a deadline holds and a daemon that answers
 * while we still send is heard (otherwise both could wait for each other).
 */
#include "cli/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"
#include "cli/text.h"
#include "cli/when.h"
#include "cli/words.h"
#include "proto/pack.h"

#define READ_SIZE (128u * 1024u)
#define PARTS_MAX 4
#define SOCKET_NAME "control.sock"

void rpc_init(struct rpc *rpc)
{
    *rpc = (struct rpc){.fd = -1, .next_id = 1};
    buf_init(&rpc->in, CTL_OUT_SIZE_MAX + READ_SIZE);
}

void rpc_close(struct rpc *rpc)
{
    if (rpc == NULL) {
        return;
    }
    if (rpc->fd >= 0) {
        (void) close(rpc->fd);
        rpc->fd = -1;
    }
    buf_done(&rpc->in);
}

/* A path longer than a socket address can hold goes through the directory's descriptor. */
static bool address_fill(const char *dir, int *ret_dir_fd, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int size =
        snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "%s/" SOCKET_NAME, dir);
    if (size > 0 && (size_t) size < sizeof ret_address->sun_path) {
        return true;
    }
    *ret_dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    (void) snprintf(ret_address->sun_path, sizeof ret_address->sun_path,
                    "/proc/self/fd/%d/" SOCKET_NAME, *ret_dir_fd);
    return *ret_dir_fd >= 0;
}

static enum err no_daemon(int error, const char *dir, struct flaw *flaw)
{
    bool denied = error == EACCES || error == EPERM;
    (void) flaw_set(flaw, ERR_NO_DAEMON, denied ? N_("you may not use this daemon's socket") : NULL,
                    denied ? N_("ask its operator for a role (essaimd.conf, section roles)")
                           : N_("start it with: essaimd --dir DIR"));
    flaw_detail(flaw, "%s/" SOCKET_NAME, dir);
    return ERR_NO_DAEMON;
}

enum err rpc_open(struct rpc *rpc, const char *dir, uint64_t timeout_ms, struct flaw *flaw)
{
    struct sockaddr_un address;
    int dir_fd = -1;
    rpc->timeout_ms = timeout_ms;
    if (!address_fill(dir, &dir_fd, &address)) {
        return no_daemon(errno, dir, flaw);
    }
    struct timeval wait = {.tv_sec = (time_t) (timeout_ms / 1000),
                           .tv_usec = (suseconds_t) (timeout_ms % 1000 * 1000)};
    rpc->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = rpc->fd < 0 ||
                 setsockopt(rpc->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0 ||
                 connect(rpc->fd, (const struct sockaddr *) &address, sizeof address) != 0 ||
                 fcntl(rpc->fd, F_SETFL, O_NONBLOCK) != 0;
    int error = errno;
    if (dir_fd >= 0) {
        (void) close(dir_fd);
    }
    if (failed) {
        return no_daemon(error, dir, flaw);
    }
    return ERR_OK;
}

static enum err net_lost(struct flaw *flaw)
{
    return flaw_set(flaw, ERR_NET, N_("the daemon closed the connection"),
                    N_("look at its log, and try again"));
}

/* Takes in what is there. */
static enum err fill(struct rpc *rpc, struct flaw *flaw)
{
    uint8_t *into = buf_extend(&rpc->in, READ_SIZE);
    if (into == NULL) {
        return flaw_set(flaw, rpc->in.err, NULL, NULL);
    }
    ssize_t size = recv(rpc->fd, into, READ_SIZE, 0);
    rpc->in.size -= READ_SIZE - (size > 0 ? (size_t) size : 0);
    if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) {
        return ERR_OK;
    }
    return net_lost(flaw);
}

/* Waits until one of `events` can be done. */
static enum err wait_for(struct rpc *rpc, short events, uint64_t until_ms, short *ret_events,
                         struct flaw *flaw)
{
    while (true) {
        uint64_t now_ms = when_now_ms();
        if (now_ms >= until_ms) {
            return flaw_set(flaw, ERR_TIMEOUT, N_("the daemon did not answer in time"),
                            N_("wait longer with --timeout SECONDS"));
        }
        uint64_t left_ms = until_ms - now_ms;
        struct pollfd poller = {.fd = rpc->fd, .events = events};
        int ready = poll(&poller, 1, left_ms > 60000 ? 60000 : (int) left_ms);
        if (ready > 0) {
            *ret_events = poller.revents;
            return ERR_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return net_lost(flaw);
        }
    }
}

/* Moves behind `size` bytes that were sent. */
static void parts_pass(struct iovec *parts, size_t count, size_t size)
{
    size_t left = size;
    for (size_t i = 0; i < count && left > 0; i++) {
        size_t step = parts[i].iov_len < left ? parts[i].iov_len : left;
        parts[i].iov_base = (uint8_t *) parts[i].iov_base + step;
        parts[i].iov_len -= step;
        left -= step;
    }
}

static size_t parts_size(const struct iovec *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].iov_len;
    }
    return size;
}

enum err rpc_send(struct rpc *rpc, const struct bytes *parts, size_t count, struct flaw *flaw)
{
    struct iovec left[PARTS_MAX];
    must(count <= PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        left[i].iov_base = (void *) (uintptr_t) parts[i].data;
        left[i].iov_len = parts[i].size;
    }
    uint64_t until_ms = when_now_ms() + rpc->timeout_ms;
    while (parts_size(left, count) > 0) {
        struct msghdr message = {.msg_iov = left, .msg_iovlen = count};
        ssize_t size = sendmsg(rpc->fd, &message, MSG_NOSIGNAL);
        if (size > 0) {
            parts_pass(left, count, (size_t) size);
            until_ms = when_now_ms() + rpc->timeout_ms;
            continue;
        }
        if (size < 0 && errno != EAGAIN && errno != EINTR) {
            return net_lost(flaw);
        }
        short events = 0;
        enum err err = wait_for(rpc, POLLIN | POLLOUT, until_ms, &events, flaw);
        if (err == ERR_OK && (events & POLLIN) != 0) {
            err = fill(rpc, flaw);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

enum err rpc_recv(struct rpc *rpc, struct ctl_msg *ret_msg, struct flaw *flaw)
{
    uint64_t until_ms = when_now_ms() + rpc->timeout_ms;
    buf_shift(&rpc->in, rpc->in_at);
    rpc->in_at = 0;
    while (true) {
        size_t size = 0;
        enum err err = ctl_frame(buf_bytes(&rpc->in), &size);
        if (err == ERR_OK) {
            err = ctl_decode(bytes_of(rpc->in.data, size), ret_msg);
            rpc->in_at = size;
        }
        if (err == ERR_OK) {
            return ERR_OK;
        }
        if (err != ERR_MORE) {
            return flaw_set(flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                            N_("are essaim and essaimd of the same version?"));
        }
        short events = 0;
        err = wait_for(rpc, POLLIN, until_ms, &events, flaw);
        if (err == ERR_OK) {
            err = fill(rpc, flaw);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
}

/* The daemon's words for an error: known ones are msgids, too. */
static enum err remote_error(const msgpack_object *error, struct flaw *flaw)
{
    struct bytes code = {0};
    struct bytes text = {0};
    struct bytes field = {0};
    char name[32] = "";
    if (ctl_get_str(error, "code", &code) == ERR_OK && code.size < sizeof name) {
        memcpy(name, code.data, code.size);
        name[code.size] = '\0';
    }
    enum err err = err_from_code(name);
    (void) flaw_set(flaw, err == ERR_OK ? ERR_INTERNAL : err, NULL, NULL);
    if (ctl_get_str(error, "message", &text) == ERR_OK && text.size > 0 &&
        !bytes_equal(text, bytes_of_str(err_text(flaw->err)))) {
        char message[FLAW_DETAIL_MAX];
        (void) snprintf(message, sizeof message, "%.*s", (int) text.size, (const char *) text.data);
        flaw_detail(flaw, "%s", words_of(message));
    }
    if (ctl_get_str(error, "field", &field) == ERR_OK) {
        (void) snprintf(flaw->field, sizeof flaw->field, "%.*s", (int) field.size,
                        (const char *) field.data);
    }
    return flaw->err;
}

enum err rpc_result(struct rpc *rpc, uint32_t id, struct ctl_msg *ret_msg, struct flaw *flaw)
{
    struct ctl_msg msg;
    enum err err = rpc_recv(rpc, &msg, flaw);
    if (err != ERR_OK) {
        return err;
    }
    if (msg.type == 1 && msg.error.type == MSGPACK_OBJECT_MAP) {
        err = remote_error(&msg.error, flaw);
    } else if (msg.type != 1 || msg.id != id || msg.result.type != MSGPACK_OBJECT_MAP) {
        err = flaw_set(flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                       N_("are essaim and essaimd of the same version?"));
    }
    if (err != ERR_OK) {
        ctl_done(&msg);
        return err;
    }
    *ret_msg = msg;
    return ERR_OK;
}

enum err rpc_call(struct rpc *rpc, enum ctl_method method, struct bytes params,
                  struct ctl_msg *ret_msg, struct flaw *flaw)
{
    struct buf head = {0};
    uint32_t id = rpc->next_id++;
    ctl_put_request(&head, id, method);
    if (params.size == 0) {
        pack_map(&head, 0);
    }
    const struct bytes parts[] = {buf_bytes(&head), params};
    enum err err =
        head.err != ERR_OK ? flaw_set(flaw, head.err, NULL, NULL) : rpc_send(rpc, parts, 2, flaw);
    buf_done(&head);
    return err != ERR_OK ? err : rpc_result(rpc, id, ret_msg, flaw);
}

struct bytes rpc_last(const struct rpc *rpc)
{
    return bytes_of(rpc->in.data, rpc->in_at);
}
