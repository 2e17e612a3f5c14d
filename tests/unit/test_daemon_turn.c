/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/turn.c: the order of a turn, over a node of our own that only takes notes: every call is
 * one letter of a line.
 *
 *   t tick · 1…9 bytes of source n · S settle · P performed · J job run · D job done · r read
 *   R read refused · X stop
 */
#include "tests/unit/kit.h"

#include <unistd.h>

#include "daemon/turn.h"

struct bench {
    uv_loop_t loop;
    uv_timer_t end;
    struct turn turn;
    struct source sources[4];
    char line[4096];
    size_t size;
    unsigned jobs; /* to ask for after the next settles */
    bool job_waits;
    bool fails, admits;
    enum err failed;
    int gate[2]; /* the job waits for a byte here */
    uint64_t wake_ms;
    uint8_t dice[32];
};

static struct bench *bench;

static void note(char letter)
{
    assert_true(bench->size + 1 < sizeof bench->line);
    bench->line[bench->size++] = letter;
    bench->line[bench->size] = '\0';
}

/* ---- the node that takes notes ---- */

void effects_done(struct effects *effects)
{
    free(effects->items);
    *effects = (struct effects){0};
}

enum err node_step(struct node *node, const struct event *event, struct effects *effects)
{
    (void) node;
    assert_false(bench->turn.job_runs);
    assert_true(event->now_ms > 0);
    assert_true(event->wall_s > 1700000000);
    assert_memory_not_equal(event->dice, bench->dice, sizeof event->dice);
    memcpy(bench->dice, event->dice, sizeof event->dice);
    if (event->kind == EVENT_TICK) {
        note('t');
    } else if (event->kind == EVENT_LINK_UP) {
        note('u');
    } else if (event->kind == EVENT_KEYS) {
        note('k');
    } else {
        note((char) event->bytes.data[0]);
    }
    effects->items = realloc(effects->items, sizeof *effects->items);
    effects->items[0] = (struct effect){.kind = EFFECT_LOG};
    effects->count = 1;
    return bench->fails ? ERR_IO : ERR_OK;
}

enum err node_settle(struct node *node, struct effects *effects)
{
    (void) node;
    (void) effects;
    note('S');
    if (bench->jobs > 0) {
        bench->jobs--;
        bench->job_waits = true;
    }
    return ERR_OK;
}

bool node_job(const struct node *node)
{
    (void) node;
    return bench->job_waits;
}

void node_job_run(struct node *node)
{
    (void) node;
    char byte;
    (void) !read(bench->gate[0], &byte, 1);
    bench->job_waits = false;
}

enum err node_job_done(struct node *node, struct effects *effects)
{
    (void) node;
    (void) effects;
    note('D');
    return ERR_OK;
}

enum err node_read(struct node *node, const struct event *event, struct effects *effects)
{
    (void) node;
    (void) effects;
    if (event->bytes.data[0] == '9') { /* one that writes */
        note('R');
        return ERR_BUSY;
    }
    note('r');
    return ERR_OK;
}

uint64_t node_wake_ms(const struct node *node)
{
    (void) node;
    return bench->wake_ms;
}

enum err node_stop(struct node *node, struct effects *effects)
{
    (void) node;
    (void) effects;
    note('X');
    return ERR_OK;
}

/* ---- what the turn asks for ---- */

static void on_perform(void *user, struct effect *effect)
{
    (void) user;
    (void) effect;
    note('p');
}

static void on_performed(void *user)
{
    (void) user;
    note('P');
}

static bool on_admits(void *user, struct source *source, const struct event *event)
{
    (void) user;
    (void) source;
    (void) event;
    return bench->admits;
}

static void on_failed(void *user, enum err err)
{
    (void) user;
    bench->failed = err;
}

static void on_told(void *user)
{
    (void) user;
    note('K');
}

static const struct turn_ops ops = {on_perform, on_performed, on_admits, on_told, on_failed};

static void on_stepped(struct source *source)
{
    (void) source;
}

static int setup(void **state)
{
    bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    assert_err(turn_init(&bench->turn, &bench->loop, NULL, &ops, bench), ERR_OK);
    bench->turn.tick_due = false;
    bench->admits = true;
    bench->wake_ms = UINT64_MAX / 2;
    assert_int_equal(pipe(bench->gate), 0);
    for (unsigned i = 0; i < 4; i++) {
        bench->sources[i].ring = i < 2 ? INBOX_LINKS : INBOX_CLIENTS;
        bench->sources[i].stepped = on_stepped;
    }
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    turn_close(&bench->turn);
    (void) uv_run(&bench->loop, UV_RUN_DEFAULT);
    turn_done(&bench->turn);
    for (unsigned i = 0; i < 4; i++) {
        inbox_forget(&bench->turn.inbox, &bench->sources[i]);
    }
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    assert_int_equal(close(bench->gate[0]) + close(bench->gate[1]), 0);
    free(bench);
    return 0;
}

static void put(unsigned source, const char *text, size_t size)
{
    struct buf *bytes = buf_new(size);
    assert_non_null(bytes);
    (void) memset(buf_extend(bytes, size), text[0], size);
    struct event event = {.kind = source < 2 ? EVENT_LINK_BYTES : EVENT_CLIENT_BYTES};
    assert_err(inbox_put_bytes(&bench->turn.inbox, &bench->sources[source], &event, bytes, 1),
               ERR_OK);
}

static void go(const char *wanted)
{
    bench->size = 0;
    bench->line[0] = '\0';
    (void) uv_run(&bench->loop, UV_RUN_NOWAIT);
    assert_string_equal(bench->line, wanted);
}

static void a_turn_is_tick_clients_links_then_one_settle_then_effects(void **state)
{
    (void) state;
    put(0, "1", 10);
    put(1, "2", 10);
    put(0, "3", 10);
    put(2, "4", 10);
    bench->turn.tick_due = true;
    go("t4123SpP");
    go("");
}

static void what_the_daemon_itself_tells_comes_once_and_before_the_others(void **state)
{
    (void) state;
    struct event event = {.kind = EVENT_KEYS};
    put(0, "1", 10);
    put(2, "4", 10);
    turn_tell(&bench->turn, &event);
    go("kK41SpP");
    go("");
    turn_tell(&bench->turn, &event);
    go("kKSpP");
}

static void an_idle_loop_does_nothing_and_may_wait(void **state)
{
    (void) state;
    go("");
    assert_int_equal(uv_is_active((uv_handle_t *) &bench->turn.idle), 0);
}

static void the_tick_comes_when_the_node_wants_it(void **state)
{
    (void) state;
    bench->wake_ms = 0; /* long ago: in a millisecond */
    put(0, "1", 1);
    go("1SpP");
    bench->size = 0;
    bench->wake_ms = UINT64_MAX / 2;
    (void) uv_run(&bench->loop, UV_RUN_ONCE);
    go(bench->size > 0 ? "" : "tSpP");
}

static void a_turn_steps_about_a_mebibyte_of_a_peer_and_leaves_the_rest_for_the_next(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 5; i++) {
        put(0, "1", TURN_LINK_SIZE_MAX / 2);
    }
    put(3, "4", 1);
    go("411SpP11SpP");
    assert_int_equal(uv_is_active((uv_handle_t *) &bench->turn.idle), 1);
    go("1SpP");
    assert_int_equal(uv_is_active((uv_handle_t *) &bench->turn.idle), 0);
}

static void a_turn_steps_a_bounded_number_of_requests(void **state)
{
    (void) state;
    for (unsigned i = 0; i < TURN_COST_MAX + 1; i++) {
        put(2, "4", 1);
    }
    (void) uv_run(&bench->loop, UV_RUN_NOWAIT);
    assert_ptr_equal(strchr(bench->line, 'S'), bench->line + TURN_COST_MAX);
}

static void requests_that_read_count_for_more(void **state)
{
    (void) state;
    for (unsigned i = 0; i < TURN_COST_MAX / INBOX_READ_COST + 5; i++) {
        put(2, "4", 1);
        bench->sources[2].last->cost = INBOX_READ_COST;
    }
    (void) uv_run(&bench->loop, UV_RUN_NOWAIT);
    assert_ptr_equal(strchr(bench->line, 'S'), bench->line + TURN_COST_MAX / INBOX_READ_COST);
}

/* Runs the loop until the line holds `letter`. */
static void run_to(char letter)
{
    bench->line[bench->size] = '\0';
    while (strchr(bench->line, letter) == NULL) {
        (void) uv_run(&bench->loop, UV_RUN_ONCE);
    }
}

static void while_a_job_runs_only_reads_are_answered_and_order_is_kept(void **state)
{
    (void) state;
    bench->jobs = 1;
    put(0, "1", 1);
    go("1SpP");
    assert_true(bench->turn.job_runs);
    put(0, "2", 1);
    put(2, "5", 1);
    put(2, "9", 1);
    put(2, "6", 1); /* behind a write of the same client: waits */
    put(3, "7", 1);
    go("rPRrP");
    go("");
    bench->size = 0;
    assert_int_equal(write(bench->gate[1], "x", 1), 1);
    run_to('D');
    (void) uv_run(&bench->loop, UV_RUN_NOWAIT);
    bench->line[bench->size] = '\0';
    assert_string_equal(bench->line, "DSP962SpP");
}

static void a_connection_that_is_not_admitted_is_never_stepped(void **state)
{
    (void) state;
    struct item up = {.fixed = true, .event = {.kind = EVENT_LINK_UP}};
    bench->admits = false;
    inbox_put(&bench->turn.inbox, &bench->sources[0], &up);
    go("SP");
    up.event.dialled = true; /* our own dial is never refused */
    inbox_put(&bench->turn.inbox, &bench->sources[0], &up);
    go("uSpP");
}

static void after_an_error_of_the_node_nothing_is_performed_any_more(void **state)
{
    (void) state;
    bench->fails = true;
    put(0, "1", 1);
    put(2, "2", 1);
    go("2");
    assert_err(bench->failed, ERR_IO);
    go("");
}

static void a_stop_waits_for_the_job_and_is_the_last_turn(void **state)
{
    (void) state;
    bench->jobs = 1;
    put(0, "1", 1);
    go("1SpP");
    turn_stop(&bench->turn);
    go("");
    bench->size = 0;
    assert_int_equal(write(bench->gate[1], "x", 1), 1);
    run_to('X');
    (void) uv_run(&bench->loop, UV_RUN_NOWAIT);
    bench->line[bench->size] = '\0';
    assert_string_equal(bench->line, "DSPXSP");
    assert_true(bench->turn.stopped);
    put(0, "3", 1);
    go("");
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(a_turn_is_tick_clients_links_then_one_settle_then_effects),
        WITH_BENCH(what_the_daemon_itself_tells_comes_once_and_before_the_others),
        WITH_BENCH(what_the_daemon_itself_tells_comes_once_and_before_the_others),
        WITH_BENCH(an_idle_loop_does_nothing_and_may_wait),
        WITH_BENCH(the_tick_comes_when_the_node_wants_it),
        WITH_BENCH(a_turn_steps_about_a_mebibyte_of_a_peer_and_leaves_the_rest_for_the_next),
        WITH_BENCH(a_turn_steps_a_bounded_number_of_requests),
        WITH_BENCH(requests_that_read_count_for_more),
        WITH_BENCH(while_a_job_runs_only_reads_are_answered_and_order_is_kept),
        WITH_BENCH(a_connection_that_is_not_admitted_is_never_stepped),
        WITH_BENCH(after_an_error_of_the_node_nothing_is_performed_any_more),
        WITH_BENCH(a_stop_waits_for_the_job_and_is_the_last_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
