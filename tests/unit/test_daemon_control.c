/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/control.c: the control socket without a node: frames, roles, bounds, the end. */
#include "tests/unit/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "daemon/control.h"
#include "proto/pack.h"

struct house {
    uv_loop_t loop;
    struct inbox inbox;
    struct roles roles;
    struct control control;
    char dir[32];
    char path[64];
};

static int setup(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    struct say say = {0};
    assert_non_null(house);
    memcpy(house->dir, "/tmp/essaim-ctl-XXXXXX", 23);
    assert_non_null(mkdtemp(house->dir));
    (void) snprintf(house->path, sizeof house->path, "%s/control.sock", house->dir);
    house->roles.owner = geteuid();
    assert_int_equal(uv_loop_init(&house->loop), 0);
    assert_err(control_init(&house->control, &house->loop, &house->inbox, &house->roles, 2),
               ERR_OK);
    assert_err(control_listen(&house->control, house->path, false, &say), ERR_OK);
    *state = house;
    return 0;
}

static int teardown(void **state)
{
    struct house *house = *state;
    control_stop(&house->control);
    uv_close((uv_handle_t *) &house->control.sweep, NULL);
    (void) uv_run(&house->loop, UV_RUN_DEFAULT);
    assert_null(house->control.clients);
    assert_int_equal(house->control.count, 0);
    assert_int_equal(house->inbox.size, 0);
    assert_int_equal(uv_loop_close(&house->loop), 0);
    assert_int_equal(access(house->path, F_OK), -1);
    assert_int_equal(rmdir(house->dir), 0);
    free(house);
    return 0;
}

static int connected(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(at.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *) &at, sizeof at), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static struct source *next_source(struct house *house)
{
    struct source *source = inbox_next(&house->inbox, INBOX_CLIENTS);
    while (source == NULL) {
        (void) uv_run(&house->loop, UV_RUN_ONCE);
        source = inbox_next(&house->inbox, INBOX_CLIENTS);
    }
    return source;
}

/* Takes the next item as a turn would; `queued` is the size of the bytes where there are some. */
static struct event expect(struct house *house, enum event_kind kind)
{
    struct source *source = next_source(house);
    struct item *item = inbox_take(&house->inbox, source);
    struct event event = item->event;
    event.queued = item->bytes == NULL ? event.queued : item->bytes->size;
    item_free(item);
    source->stepped(source);
    assert_int_equal(event.kind, kind);
    return event;
}

static void say(int fd, const struct buf *bytes)
{
    assert_int_equal(write(fd, bytes->data, bytes->size), (ssize_t) bytes->size);
}

static struct buf request(size_t extra)
{
    struct buf made = {0};
    ctl_put_request(&made, 1, CTL_hello);
    if (extra == 0) {
        pack_map(&made, 0);
        return made;
    }
    struct buf body = {0};
    (void) buf_extend(&body, extra);
    memset(body.data, 0, extra);
    pack_map(&made, 1);
    pack_cstr(&made, "x");
    pack_bin(&made, buf_bytes(&body));
    buf_done(&body);
    return made;
}

static void spin(struct house *house)
{
    for (unsigned i = 0; i < 20; i++) {
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
}

/* What the daemon said until the end of the stream. */
static struct buf heard(struct house *house, int fd)
{
    struct buf all = {0};
    for (;;) {
        char got[4096];
        ssize_t size = read(fd, got, sizeof got);
        if (size == 0 || (size < 0 && errno != EAGAIN)) {
            return all;
        }
        buf_put(&all, bytes_of(got, size > 0 ? (size_t) size : 0));
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
}

/* An error response with id 0 and this code. */
static void expect_error(struct house *house, int fd, enum err err)
{
    struct buf all = heard(house, fd);
    struct ctl_msg msg;
    struct bytes code;
    assert_err(ctl_decode(buf_bytes(&all), &msg), ERR_OK);
    assert_int_equal(msg.type, 1);
    assert_int_equal(msg.id, 0);
    assert_err(ctl_get_str(&msg.error, "code", &code), ERR_OK);
    assert_true(bytes_equal(code, bytes_of_str(err_code(err))));
    ctl_done(&msg);
    buf_done(&all);
}

static void the_socket_is_private_and_the_second_one_is_for_the_group(void **state)
{
    struct house *house = *state;
    struct stat seen;
    struct say said = {0};
    char second[64];
    assert_int_equal(stat(house->path, &seen), 0);
    assert_int_equal(seen.st_mode & 07777, 0600);
    (void) snprintf(second, sizeof second, "%s/2.sock", house->dir);
    assert_err(control_listen(&house->control, second, true, &said), ERR_OK);
    assert_int_equal(stat(second, &seen), 0);
    assert_int_equal(seen.st_mode & 07777, 0660);
    int fd = connected(second);
    assert_int_equal(expect(house, EVENT_CLIENT_UP).role, ROLE_ADMIN);
    assert_int_equal(close(fd), 0);
}

static void a_path_is_checked_and_a_stale_socket_replaced(void **state)
{
    struct house *house = *state;
    struct say said = {0};
    char path[160];
    memset(path, 'x', sizeof path);
    memcpy(path, "/tmp/", 5);
    path[108] = '\0'; /* one byte too long: libuv would cut it */
    assert_err(control_listen(&house->control, path, false, &said), ERR_CONFIG);
    assert_non_null(strstr(said.text, "107"));
    (void) snprintf(path, sizeof path, "%s/other", house->dir);
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_err(control_listen(&house->control, path, false, &said), ERR_IO);
    assert_int_equal(close(file) + unlink(path), 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, path, strlen(path) + 1);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(stale, (struct sockaddr *) &at, sizeof at), 0);
    assert_int_equal(close(stale), 0);
    assert_err(control_listen(&house->control, path, false, &said), ERR_OK);
    assert_int_equal(close(connected(path)), 0);
    (void) expect(house, EVENT_CLIENT_UP);
}

static void frames_are_cut_whatever_way_they_come(void **state)
{
    struct house *house = *state;
    int fd = connected(house->path);
    uint32_t client = expect(house, EVENT_CLIENT_UP).client;
    struct buf small = request(0);
    for (size_t i = 0; i < small.size; i++) { /* byte by byte */
        assert_int_equal(write(fd, small.data + i, 1), 1);
        spin(house);
    }
    struct event bytes = expect(house, EVENT_CLIENT_BYTES);
    assert_int_equal(bytes.queued, small.size);
    assert_int_equal(bytes.client, client);
    assert_int_equal(bytes.role, ROLE_ADMIN);
    struct buf three = {0}; /* three at once, and half of a fourth */
    for (unsigned i = 0; i < 3; i++) {
        buf_put(&three, buf_bytes(&small));
    }
    buf_put(&three, bytes_of(small.data, small.size / 2));
    say(fd, &three);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(expect(house, EVENT_CLIENT_BYTES).queued, small.size);
    }
    spin(house);
    assert_null(inbox_next(&house->inbox, INBOX_CLIENTS));
    assert_int_equal(write(fd, small.data + small.size / 2, small.size - small.size / 2),
                     (ssize_t) (small.size - small.size / 2));
    assert_int_equal(expect(house, EVENT_CLIENT_BYTES).queued, small.size);
    assert_int_equal(close(fd), 0);
    (void) expect(house, EVENT_CLIENT_DOWN);
    buf_done(&small);
    buf_done(&three);
}

/* Writes it all while the loop runs. */
static void pour(struct house *house, int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t done = write(fd, bytes.data, bytes.size);
        if (done < 0 && errno != EAGAIN) {
            return;
        }
        size_t used = done > 0 ? (size_t) done : 0;
        bytes = bytes_of(bytes.data + used, bytes.size - used);
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
}

static void a_message_has_at_most_a_mebibyte(void **state)
{
    struct house *house = *state;
    struct buf probe = request(100000);
    size_t around = probe.size - 100000;
    struct buf most = request(CTL_MSG_SIZE_MAX - around);
    assert_int_equal(most.size, CTL_MSG_SIZE_MAX);
    int fd = connected(house->path);
    (void) expect(house, EVENT_CLIENT_UP);
    pour(house, fd, buf_bytes(&most));
    assert_int_equal(expect(house, EVENT_CLIENT_BYTES).queued, CTL_MSG_SIZE_MAX);
    struct buf more = request(CTL_MSG_SIZE_MAX - around + 1);
    pour(house, fd, buf_bytes(&more));
    assert_err(expect(house, EVENT_CLIENT_BAD).err, ERR_SIZE);
    expect_error(house, fd, ERR_SIZE);
    (void) expect(house, EVENT_CLIENT_DOWN);
    assert_int_equal(close(fd), 0);
    buf_done(&probe);
    buf_done(&most);
    buf_done(&more);
}

static void bytes_that_are_no_message_are_told_and_closed(void **state)
{
    struct house *house = *state;
    int fd = connected(house->path);
    (void) expect(house, EVENT_CLIENT_UP);
    assert_int_equal(write(fd, "\xc1\xc1", 2), 2);
    assert_err(expect(house, EVENT_CLIENT_BAD).err, ERR_MALFORMED);
    expect_error(house, fd, ERR_MALFORMED);
    (void) expect(house, EVENT_CLIENT_DOWN);
    assert_int_equal(close(fd), 0);
}

static void one_without_a_role_is_told_so_and_the_node_never_hears_of_it(void **state)
{
    struct house *house = *state;
    if (geteuid() == 0) {
        /* root is always admin: be somebody else for the kernel's word */
        assert_int_equal(chmod(house->dir, 0711) + chmod(house->path, 0666), 0);
        assert_int_equal(seteuid(65534), 0);
    } else {
        house->roles.owner = geteuid() + 1;
    }
    int fd = connected(house->path);
    if (geteuid() == 65534) {
        assert_int_equal(seteuid(0), 0);
    }
    (void) !write(fd, "\xc0", 1); /* a word of its own must not destroy the answer */
    expect_error(house, fd, ERR_ROLE);
    assert_int_equal(close(fd), 0);
    spin(house);
    assert_null(inbox_next(&house->inbox, INBOX_CLIENTS));
    assert_int_equal(house->control.count, 0);
}

static struct buf *piece(size_t size)
{
    struct buf *made = buf_new(size);
    assert_non_null(made);
    (void) memset(buf_extend(made, size), 'x', size);
    return made;
}

static void one_that_reads_no_answers_is_not_stepped_until_it_does(void **state)
{
    struct house *house = *state;
    int fd = connected(house->path);
    uint32_t client = expect(house, EVENT_CLIENT_UP).client;
    struct buf small = request(0);
    control_reply(&house->control, client, piece(CTL_OUT_SIZE_MAX + 1000000));
    control_performed(&house->control);
    say(fd, &small);
    spin(house);
    assert_null(inbox_next(&house->inbox, INBOX_CLIENTS));
    char got[65536];
    struct source *source = NULL;
    while (source == NULL) {
        (void) !read(fd, got, sizeof got);
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
        source = inbox_next(&house->inbox, INBOX_CLIENTS);
    }
    assert_true(expect(house, EVENT_CLIENT_ROOM).queued <= CTL_OUT_SIZE_MAX);
    (void) expect(house, EVENT_CLIENT_BYTES);
    buf_done(&small);
    assert_int_equal(close(fd), 0);
}

static void a_flood_of_requests_is_not_read_further_than_its_bound(void **state)
{
    struct house *house = *state;
    int fd = connected(house->path);
    (void) expect(house, EVENT_CLIENT_UP);
    struct buf flood = {0};
    struct buf small = request(0);
    while (flood.size < 65536) {
        buf_put(&flood, buf_bytes(&small));
    }
    unsigned idle = 0;
    size_t at = 0;
    size_t sent = 0;
    while (idle < 50) {
        ssize_t done = write(fd, flood.data + at, flood.size - at);
        idle = done > 0 ? 0 : idle + 1;
        sent += done > 0 ? (size_t) done : 0;
        at = (at + (done > 0 ? (size_t) done : 0)) % flood.size;
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
    struct source *source = next_source(house);
    assert_true(source->size > CONTROL_IN_SIZE_MAX);
    assert_true(source->size < 5 * CONTROL_IN_SIZE_MAX); /* one read's worth of small ones more */
    size_t got = 0;
    while (got + small.size <= sent) {
        got += expect(house, EVENT_CLIENT_BYTES).queued;
        control_performed(&house->control);
    }
    buf_done(&flood);
    buf_done(&small);
    assert_int_equal(close(fd), 0);
}

static void clients_over_the_cap_wait_for_their_turn(void **state)
{
    struct house *house = *state;
    int fds[3];
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = connected(house->path);
    }
    (void) expect(house, EVENT_CLIENT_UP);
    (void) expect(house, EVENT_CLIENT_UP);
    spin(house);
    assert_null(inbox_next(&house->inbox, INBOX_CLIENTS));
    assert_int_equal(close(fds[0]), 0);
    (void) expect(house, EVENT_CLIENT_DOWN);
    (void) expect(house, EVENT_CLIENT_UP);
    assert_int_equal(close(fds[1]) + close(fds[2]), 0);
}

static void a_close_lets_the_answers_out_first(void **state)
{
    struct house *house = *state;
    int fd = connected(house->path);
    uint32_t client = expect(house, EVENT_CLIENT_UP).client;
    control_reply(&house->control, client, piece(1000000));
    control_close(&house->control, client);
    control_reply(&house->control, client, piece(10));
    control_reply(&house->control, client + 1, piece(10));
    struct buf all = heard(house, fd);
    assert_int_equal(all.size, 1000000);
    buf_done(&all);
    assert_int_equal(close(fd), 0);
    (void) expect(house, EVENT_CLIENT_DOWN);
}

#define AT_HOME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_HOME(the_socket_is_private_and_the_second_one_is_for_the_group),
        AT_HOME(a_path_is_checked_and_a_stale_socket_replaced),
        AT_HOME(frames_are_cut_whatever_way_they_come),
        AT_HOME(a_message_has_at_most_a_mebibyte),
        AT_HOME(bytes_that_are_no_message_are_told_and_closed),
        AT_HOME(one_without_a_role_is_told_so_and_the_node_never_hears_of_it),
        AT_HOME(one_that_reads_no_answers_is_not_stepped_until_it_does),
        AT_HOME(a_flood_of_requests_is_not_read_further_than_its_bound),
        AT_HOME(clients_over_the_cap_wait_for_their_turn),
        AT_HOME(a_close_lets_the_answers_out_first),
    };
    (void) signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
