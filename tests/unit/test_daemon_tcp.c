/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/tcp.c: links over loopback, without a node: what is recorded, what is bounded, what is
 * closed. */
#include "tests/unit/kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "daemon/tcp.h"

struct house {
    uv_loop_t loop;
    struct inbox inbox;
    struct tcp tcp;
    char address[ADDRESS_TEXT_MAX];
    struct sockaddr_in at;
};

static struct address parsed(const char *text)
{
    struct address address;
    assert_err(address_parse(bytes_of_str(text), &address), ERR_OK);
    return address;
}

static int setup(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    struct say say = {0};
    assert_non_null(house);
    assert_int_equal(uv_loop_init(&house->loop), 0);
    assert_err(tcp_init(&house->tcp, &house->loop, &house->inbox, 3), ERR_OK);
    struct address any = parsed("127.0.0.1:0");
    assert_err(tcp_listen(&house->tcp, &any, house->address, &say), ERR_OK);
    house->at.sin_family = AF_INET;
    house->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    house->at.sin_port = htons(parsed(house->address).port);
    *state = house;
    return 0;
}

static int teardown(void **state)
{
    struct house *house = *state;
    tcp_stop(&house->tcp);
    uv_close((uv_handle_t *) &house->tcp.sweep, NULL);
    (void) uv_run(&house->loop, UV_RUN_DEFAULT);
    tcp_done(&house->tcp);
    assert_int_equal(house->tcp.count, 0);
    assert_null(house->tcp.links);
    assert_int_equal(house->inbox.size, 0);
    assert_int_equal(uv_loop_close(&house->loop), 0);
    free(house);
    return 0;
}

static int dialled(const struct house *house)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *) &house->at, sizeof house->at), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Runs the loop until something is recorded, and takes it as a turn would. A fixed item may die
 * with its link: a copy of the event is all that is given. */
static struct event next_event(struct house *house, struct source **ret_source)
{
    struct source *source = inbox_next(&house->inbox, INBOX_LINKS);
    while (source == NULL) {
        (void) uv_run(&house->loop, UV_RUN_ONCE);
        source = inbox_next(&house->inbox, INBOX_LINKS);
    }
    struct item *item = inbox_take(&house->inbox, source);
    struct event event = item->event;
    event.queued = item->bytes == NULL ? event.queued : item->bytes->size;
    if (event.kind == EVENT_LINK_UP && !event.dialled) {
        tcp_stepped_up(&house->tcp, source, true);
    }
    item_free(item);
    if (ret_source != NULL) {
        *ret_source = source;
    }
    source->stepped(source);
    return event;
}

static struct event expect(struct house *house, enum event_kind kind)
{
    struct event event = next_event(house, NULL);
    assert_int_equal(event.kind, kind);
    return event;
}

static struct buf *piece(size_t size)
{
    struct buf *made = buf_new(size);
    assert_non_null(made);
    (void) memset(buf_extend(made, size), 'x', size);
    return made;
}

/* Whether the other side sees the end within the loop's next rounds. */
static bool ended(struct house *house, int fd)
{
    for (unsigned i = 0; i < 1000; i++) {
        char byte;
        ssize_t got = read(fd, &byte, 1);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            return true;
        }
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
    return false;
}

static void a_link_is_up_says_bytes_and_goes_down_in_that_order(void **state)
{
    struct house *house = *state;
    int fd = dialled(house);
    assert_int_equal(write(fd, "hello", 5), 5);
    struct event up = expect(house, EVENT_LINK_UP);
    assert_false(up.dialled);
    assert_int_equal(strncmp(up.address, "127.0.0.1:", 10), 0);
    struct event bytes = expect(house, EVENT_LINK_BYTES);
    assert_int_equal(bytes.queued, 5);
    assert_int_equal(bytes.link, up.link);
    assert_int_equal(close(fd), 0);
    assert_int_equal(expect(house, EVENT_LINK_DOWN).link, up.link);
}

static void numbers_are_never_used_twice(void **state)
{
    struct house *house = *state;
    uint32_t last = 0;
    for (unsigned i = 0; i < 5; i++) {
        int fd = dialled(house);
        uint32_t number = expect(house, EVENT_LINK_UP).link;
        assert_true(number > last);
        last = number;
        assert_int_equal(close(fd), 0);
        (void) expect(house, EVENT_LINK_DOWN);
    }
}

static void what_is_sent_arrives_and_room_is_told(void **state)
{
    struct house *house = *state;
    int fd = dialled(house);
    uint32_t link = expect(house, EVENT_LINK_UP).link;
    tcp_send(&house->tcp, link, piece(1000));
    tcp_send(&house->tcp, link + 1, piece(1000)); /* gone, or never there: dropped */
    tcp_performed(&house->tcp);
    struct event room = expect(house, EVENT_LINK_ROOM);
    assert_int_equal(room.link, link);
    assert_int_equal(room.queued, 0);
    char got[2000];
    assert_int_equal(read(fd, got, sizeof got), 1000);
    assert_int_equal(close(fd), 0);
}

static void room_is_told_only_when_little_is_left(void **state)
{
    struct house *house = *state;
    int fd = dialled(house);
    uint32_t link = expect(house, EVENT_LINK_UP).link;
    size_t sent = 0;
    while (inbox_next(&house->inbox, INBOX_LINKS) != NULL || sent == 0) {
        while (inbox_next(&house->inbox, INBOX_LINKS) != NULL) {
            (void) next_event(house, NULL);
        }
        tcp_send(&house->tcp, link, piece(PEER_OUT_SIZE_MAX)); /* until the kernel has enough */
        tcp_performed(&house->tcp);
        sent += PEER_OUT_SIZE_MAX;
    }
    char got[65536];
    size_t read_size = 0;
    while (inbox_next(&house->inbox, INBOX_LINKS) == NULL) {
        ssize_t size = read(fd, got, sizeof got);
        read_size += size > 0 ? (size_t) size : 0;
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
    assert_true(read_size > 0);
    assert_true(expect(house, EVENT_LINK_ROOM).queued < PEER_OUT_SIZE_LOW);
    assert_int_equal(close(fd), 0);
}

static void a_peer_that_is_not_stepped_is_not_read_any_further(void **state)
{
    struct house *house = *state;
    int fd = dialled(house);
    struct source *source = NULL;
    struct event up = next_event(house, &source);
    assert_int_equal(up.kind, EVENT_LINK_UP);
    static char flood[65536];
    size_t sent = 0;
    unsigned idle = 0;
    while (idle < 50) {
        ssize_t size = write(fd, flood, sizeof flood);
        idle = size > 0 ? 0 : idle + 1;
        sent += size > 0 ? (size_t) size : 0;
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
    assert_true(source->size > PEER_IN_SIZE_MAX);
    assert_true(source->size <= PEER_IN_SIZE_MAX + 2 * TCP_READ_SIZE);
    size_t got = 0;
    while (got < sent) { /* stepped, it is read again: nothing is lost */
        got += expect(house, EVENT_LINK_BYTES).queued;
        tcp_performed(&house->tcp);
    }
    assert_int_equal(got, sent);
    assert_int_equal(close(fd), 0);
}

static void connections_over_the_cap_wait_and_are_taken_when_there_is_room(void **state)
{
    struct house *house = *state;
    int fds[5];
    for (unsigned i = 0; i < 5; i++) {
        fds[i] = dialled(house); /* the kernel takes them all */
    }
    for (unsigned i = 0; i < 3; i++) {
        (void) expect(house, EVENT_LINK_UP);
        tcp_performed(&house->tcp);
    }
    for (unsigned i = 0; i < 20; i++) {
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
    assert_null(inbox_next(&house->inbox, INBOX_LINKS));
    assert_int_equal(house->tcp.count, 3);
    assert_int_equal(close(fds[0]), 0);
    (void) expect(house, EVENT_LINK_DOWN);
    (void) expect(house, EVENT_LINK_UP);
    tcp_set_cap(&house->tcp, 4);
    (void) expect(house, EVENT_LINK_UP);
    for (unsigned i = 1; i < 5; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

static void only_a_few_are_accepted_before_they_are_stepped(void **state)
{
    struct house *house = *state;
    int fds[TCP_UPS_MAX + 3];
    tcp_set_cap(&house->tcp, 100);
    for (unsigned i = 0; i < TCP_UPS_MAX + 3; i++) {
        fds[i] = dialled(house);
    }
    for (unsigned i = 0; i < 50; i++) {
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
        tcp_performed(&house->tcp);
    }
    assert_int_equal(house->tcp.count, TCP_UPS_MAX);
    for (unsigned i = 0; i < TCP_UPS_MAX + 3; i++) {
        (void) expect(house, EVENT_LINK_UP);
        tcp_performed(&house->tcp);
    }
    for (unsigned i = 0; i < TCP_UPS_MAX + 3; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

static void one_that_is_not_admitted_is_closed_without_a_word(void **state)
{
    struct house *house = *state;
    int fd = dialled(house);
    struct source *source = inbox_next(&house->inbox, INBOX_LINKS);
    while (source == NULL) {
        (void) uv_run(&house->loop, UV_RUN_ONCE);
        source = inbox_next(&house->inbox, INBOX_LINKS);
    }
    item_free(inbox_take(&house->inbox, source));
    tcp_stepped_up(&house->tcp, source, false);
    source->stepped(source);
    assert_true(ended(house, fd));
    (void) expect(house, EVENT_LINK_DOWN); /* of a number the node never heard: it ignores it */
    assert_int_equal(close(fd), 0);
}

static void closing_lets_out_what_was_sent_and_then_tells(void **state)
{
    struct house *house = *state;
    int fd = dialled(house);
    uint32_t link = expect(house, EVENT_LINK_UP).link;
    assert_int_equal(write(fd, "unread", 6), 6); /* must not destroy the goodbye */
    tcp_send(&house->tcp, link, piece(300000));
    tcp_close(&house->tcp, link);
    tcp_close(&house->tcp, link);
    tcp_send(&house->tcp, link, piece(10)); /* too late: dropped */
    assert_int_equal(write(fd, "and more", 8), 8);
    size_t size = 0;
    char got[65536];
    ssize_t part = -1;
    while (part != 0) {
        part = read(fd, got, sizeof got);
        size += part > 0 ? (size_t) part : 0;
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(size, 300000);
    assert_int_equal(close(fd), 0);
    struct event down = {.kind = EVENT_LINK_ROOM};
    while (down.kind != EVENT_LINK_DOWN) {
        assert_int_not_equal(down.kind, EVENT_LINK_BYTES); /* nobody wants them any more */
        down = next_event(house, NULL);
    }
    assert_int_equal(down.link, link);
}

static void one_that_does_not_take_the_goodbye_is_cut_after_two_seconds(void **state)
{
    struct house *house = *state;
    int fd = dialled(house);
    uint32_t link = expect(house, EVENT_LINK_UP).link;
    for (unsigned i = 0; i < 3; i++) {
        tcp_send(&house->tcp, link, piece(PEER_OUT_SIZE_MAX));
        tcp_performed(&house->tcp);
    }
    tcp_close(&house->tcp, link);
    uint64_t start_ms = uv_hrtime() / 1000000;
    while (next_event(house, NULL).kind != EVENT_LINK_DOWN) {
    }
    uint64_t took_ms = uv_hrtime() / 1000000 - start_ms;
    assert_true(took_ms <= TCP_DRAIN_MS + 2000);
    assert_int_equal(close(fd), 0);
}

static void a_dial_comes_up_or_fails_with_the_labs_id(void **state)
{
    struct house *house = *state;
    struct lab_id lab = {{1, 2, 3}};
    tcp_dial(&house->tcp, &lab, house->address);
    for (unsigned i = 0; i < 2; i++) { /* both ends are ours */
        struct event up = expect(house, EVENT_LINK_UP);
        if (up.dialled) {
            assert_memory_equal(&up.lab, &lab, sizeof lab);
            assert_string_equal(up.address, house->address);
        }
    }
    static const char *const bad[] = {
        "", "nowhere", "*:1", "127.0.0.1:1", "[::1]:1", "no-such-host.invalid:7700"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tcp_dial(&house->tcp, &lab, bad[i]);
        struct event failed = expect(house, EVENT_DIAL_FAILED);
        assert_memory_equal(&failed.lab, &lab, sizeof lab);
    }
}

static void a_dial_over_the_cap_fails_at_once(void **state)
{
    struct house *house = *state;
    struct lab_id lab = {{1}};
    tcp_set_cap(&house->tcp, 0);
    tcp_dial(&house->tcp, &lab, house->address);
    (void) expect(house, EVENT_DIAL_FAILED);
}

static void a_dial_under_way_is_dropped_by_a_stop(void **state)
{
    struct house *house = *state;
    struct lab_id lab = {{1}};
    tcp_dial(&house->tcp, &lab, house->address);
    tcp_dial(&house->tcp, &lab, "no-such-host.invalid:7700");
    tcp_dial(&house->tcp, &lab, "no-such-host.invalid:7701");
    tcp_dial(&house->tcp, &lab, "no-such-host.invalid:7702"); /* waits for a look-up */
}

static void an_address_in_use_is_named(void **state)
{
    struct house *house = *state;
    struct tcp other;
    struct say say = {0};
    char real[ADDRESS_TEXT_MAX];
    struct address taken = parsed(house->address);
    assert_err(tcp_init(&other, &house->loop, &house->inbox, 3), ERR_OK);
    assert_err(tcp_listen(&other, &taken, real, &say), ERR_NET);
    assert_non_null(strstr(say.text, house->address));
    tcp_stop(&other);
    uv_close((uv_handle_t *) &other.sweep, NULL);
    (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    tcp_done(&other);
}

static void every_address_means_ipv4_and_ipv6(void **state)
{
    struct house *house = *state;
    struct tcp other;
    struct say say = {0};
    char real[ADDRESS_TEXT_MAX];
    struct address any = parsed("*:0");
    assert_err(tcp_init(&other, &house->loop, &house->inbox, 3), ERR_OK);
    assert_err(tcp_listen(&other, &any, real, &say), ERR_OK);
    struct sockaddr_in at = house->at;
    at.sin_port = htons(parsed(real).port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &at, sizeof at), 0);
    while (inbox_next(&house->inbox, INBOX_LINKS) == NULL) {
        (void) uv_run(&house->loop, UV_RUN_ONCE);
    }
    struct source *source = inbox_next(&house->inbox, INBOX_LINKS);
    struct item *item = inbox_take(&house->inbox, source);
    assert_int_equal(strncmp(item->event.address, "127.0.0.1:", 10), 0); /* not ::ffff:… */
    tcp_stepped_up(&other, source, true);
    assert_int_equal(close(fd), 0);
    tcp_stop(&other);
    uv_close((uv_handle_t *) &other.sweep, NULL);
    for (unsigned i = 0; i < 1000 && other.links != NULL; i++) {
        (void) uv_run(&house->loop, UV_RUN_NOWAIT);
    }
    tcp_done(&other);
}

static void the_ip_of_an_address_is_what_stands_before_the_port(void **state)
{
    (void) state;
    char ip[ADDRESS_TEXT_MAX];
    tcp_ip_of("127.0.0.1:80", ip);
    assert_string_equal(ip, "127.0.0.1");
    tcp_ip_of("[::1]:80", ip);
    assert_string_equal(ip, "[::1]");
}

#define AT_HOME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_HOME(a_link_is_up_says_bytes_and_goes_down_in_that_order),
        AT_HOME(numbers_are_never_used_twice),
        AT_HOME(what_is_sent_arrives_and_room_is_told),
        AT_HOME(room_is_told_only_when_little_is_left),
        AT_HOME(a_peer_that_is_not_stepped_is_not_read_any_further),
        AT_HOME(connections_over_the_cap_wait_and_are_taken_when_there_is_room),
        AT_HOME(only_a_few_are_accepted_before_they_are_stepped),
        AT_HOME(one_that_is_not_admitted_is_closed_without_a_word),
        AT_HOME(closing_lets_out_what_was_sent_and_then_tells),
        AT_HOME(one_that_does_not_take_the_goodbye_is_cut_after_two_seconds),
        AT_HOME(a_dial_comes_up_or_fails_with_the_labs_id),
        AT_HOME(a_dial_over_the_cap_fails_at_once),
        AT_HOME(a_dial_under_way_is_dropped_by_a_stop),
        AT_HOME(an_address_in_use_is_named),
        AT_HOME(every_address_means_ipv4_and_ipv6),
        cmocka_unit_test(the_ip_of_an_address_is_what_stands_before_the_port),
    };
    (void) signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
