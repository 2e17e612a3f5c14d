/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/outq.c: everything arrives, in order, whatever the kernel takes at once. */
#include "tests/unit/kit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/outq.h"

struct line {
    uv_loop_t loop;
    uv_pipe_t pipe;
    int other;
    struct outq outq;
    unsigned progress;
    enum err err;
};

static void on_progress(struct outq *outq, enum err err)
{
    struct line *line = outq->user;
    line->progress++;
    line->err = err;
}

static int setup(void **state)
{
    struct line *line = calloc(1, sizeof *line);
    int ends[2];
    assert_non_null(line);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(uv_loop_init(&line->loop), 0);
    assert_int_equal(uv_pipe_init(&line->loop, &line->pipe, 0), 0);
    assert_int_equal(uv_pipe_open(&line->pipe, ends[0]), 0);
    line->other = ends[1];
    assert_int_equal(fcntl(line->other, F_SETFL, O_NONBLOCK), 0);
    outq_init(&line->outq, (uv_stream_t *) &line->pipe, on_progress, line);
    *state = line;
    return 0;
}

static int teardown(void **state)
{
    struct line *line = *state;
    uv_close((uv_handle_t *) &line->pipe, NULL);
    (void) uv_run(&line->loop, UV_RUN_DEFAULT);
    outq_done(&line->outq);
    assert_int_equal(uv_loop_close(&line->loop), 0);
    (void) close(line->other);
    free(line);
    return 0;
}

static struct buf *piece(uint64_t *seed, size_t size)
{
    struct buf *made = buf_new(size);
    assert_non_null(made);
    uint8_t *at = size == 0 ? NULL : buf_extend(made, size);
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t) kit_random(seed);
    }
    return made;
}

/* Reads what is there, appending; false when there is nothing. */
static bool drink(struct line *line, struct buf *into)
{
    uint8_t room[8192];
    ssize_t got = read(line->other, room, sizeof room);
    if (got <= 0) {
        return false;
    }
    buf_put(into, bytes_of(room, (size_t) got));
    return true;
}

static void many_pieces_of_every_size_arrive_in_order(void **state)
{
    struct line *line = *state;
    uint64_t seed = 7;
    struct buf wanted = {0};
    struct buf got = {0};
    for (unsigned i = 0; i < 300; i++) {
        size_t size = i % 7 == 0 ? kit_random(&seed) % 300000 : kit_random(&seed) % 3000;
        struct buf *one = piece(&seed, size);
        buf_put(&wanted, buf_bytes(one));
        assert_err(outq_take(&line->outq, one), ERR_OK);
        if (i % 5 == 0) {
            assert_err(outq_flush(&line->outq), ERR_OK);
            (void) drink(line, &got);
            (void) uv_run(&line->loop, UV_RUN_NOWAIT);
        }
        assert_int_equal(outq_sent(&line->outq) + outq_size(&line->outq), wanted.size);
    }
    assert_err(outq_flush(&line->outq), ERR_OK);
    while (got.size < wanted.size) {
        while (drink(line, &got)) {
        }
        (void) uv_run(&line->loop, UV_RUN_NOWAIT);
    }
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&wanted)));
    (void) uv_run(&line->loop, UV_RUN_NOWAIT);
    assert_int_equal(outq_size(&line->outq), 0);
    assert_int_equal(outq_sent(&line->outq), wanted.size);
    assert_true(line->progress > 0);
    buf_done(&wanted);
    buf_done(&got);
}

static void small_pieces_are_joined(void **state)
{
    struct line *line = *state;
    uint64_t seed = 1;
    for (unsigned i = 0; i < 100; i++) {
        assert_err(outq_take(&line->outq, piece(&seed, 20)), ERR_OK);
    }
    assert_int_equal(line->outq.count, 1);
    assert_int_equal(outq_size(&line->outq), 2000);
    assert_err(outq_take(&line->outq, piece(&seed, 0)), ERR_OK);
    assert_err(outq_take(&line->outq, piece(&seed, OUTQ_JOIN_SIZE)), ERR_OK);
    assert_int_equal(line->outq.count, 2);
}

static void a_reader_that_stands_still_is_seen_by_the_numbers(void **state)
{
    struct line *line = *state;
    uint64_t seed = 1;
    assert_err(outq_take(&line->outq, piece(&seed, 4 << 20)), ERR_OK);
    assert_err(outq_flush(&line->outq), ERR_OK);
    uint64_t sent = outq_sent(&line->outq);
    assert_true(sent < 4 << 20);
    (void) uv_run(&line->loop, UV_RUN_NOWAIT);
    assert_int_equal(outq_sent(&line->outq), sent);
    struct buf got = {0};
    while (drink(line, &got)) {
    }
    (void) uv_run(&line->loop, UV_RUN_NOWAIT);
    assert_true(outq_sent(&line->outq) > sent);
    buf_done(&got);
}

static void a_broken_stream_is_told_once_and_takes_nothing_more(void **state)
{
    struct line *line = *state;
    uint64_t seed = 1;
    assert_err(outq_take(&line->outq, piece(&seed, 4 << 20)), ERR_OK);
    assert_err(outq_flush(&line->outq), ERR_OK);
    assert_int_equal(close(line->other), 0);
    line->other = -1;
    for (unsigned i = 0; i < 10 && line->progress == 0; i++) {
        (void) uv_run(&line->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(line->progress, 1);
    assert_err(line->err, ERR_NET);
    assert_err(outq_flush(&line->outq), ERR_NET);
    size_t size = outq_size(&line->outq);
    assert_err(outq_take(&line->outq, piece(&seed, 100)), ERR_OK);
    assert_int_equal(outq_size(&line->outq), size);
}

#define WITH_LINE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LINE(many_pieces_of_every_size_arrive_in_order),
        WITH_LINE(small_pieces_are_joined),
        WITH_LINE(a_reader_that_stands_still_is_seen_by_the_numbers),
        WITH_LINE(a_broken_stream_is_told_once_and_takes_nothing_more),
    };
    (void) signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
