/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/test_order.c: promise C3: the same updates, in any order, repeated, from several peers,
 * whole or in parts, make the same store.
 *
 * Three catalogues of a few heads each are known before; four puppets announce them to one lab in
 * an order of their own, serve what they are asked for as of any head from the announced one on,
 * say now and then that they cannot, fall silent, or hang up in the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "store/copy.h"
#include "tests/sim/press.h"
#include "tests/sim/state.h"

#define PRESSES 3
#define PUPPETS 4
#define HEADS 7
#define SAYS_MAX (PRESSES * HEADS * 2)
#define PARTED 4 /* the last head that two branches share */

struct order {
    struct sim *sim;
    unsigned lab;
    unsigned puppets[PUPPETS];
    struct press presses[PRESSES]; /* of several labs, or branches of one */
    struct buf records[PRESSES];   /* that make a press's heads count */
    unsigned count;                /* of presses */
    uint64_t arrivals[PUPPETS];
    uint64_t said[PUPPETS][PRESSES]; /* the newest head that it announced */
    uint64_t when[PUPPETS][PRESSES]; /* … and when: the last one is what it serves */
    bool kind;                       /* no more tricks */
    uint64_t dice;
};

static uint64_t roll(struct order *order)
{
    order->dice += 0x9e3779b97f4a7c15ull;
    uint64_t z = order->dice;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static unsigned pick(struct order *order, unsigned below)
{
    return (unsigned) (roll(order) % below);
}

/* ---- the updates: always the same ---- */

static void press_fill(struct press *press)
{
    press_put(press, "un", 1, 40);
    press_put(press, "deux", 1, 40);
    press_sign(press);
    press_put(press, "trois", 2, 40);
    press_drop(press, "un");
    press_sign(press);
    press_put(press, "deux", 3, 40);
    press_sign(press);
    press_put(press, "un", 4, 40); /* lives again */
    press_put(press, "quatre", 4, 40);
    press_sign(press);
    press_drop(press, "trois");
    press_drop(press, "deux");
    press_sign(press);
    press_put(press, "cinq", 6, 4000);
    press_sign(press);
    press_drop(press, "quatre");
    press_put(press, "six", 7, 40);
    press_sign(press);
    assert_int_equal(press->n, HEADS);
}

static void press_other(struct press *press)
{
    press_drop(press, "un");
    press_sign(press);
    press_put(press, "sept", 15, 40);
    press_put(press, "deux", 15, 40);
    press_sign(press);
}

static void record_keep(struct order *order, unsigned which)
{
    buf_put(&order->records[which], sim_record(order->sim, order->presses[which].lab));
}

/* Three labs. */
static void fill_labs(struct order *order)
{
    order->count = PRESSES;
    for (unsigned i = 0; i < PRESSES; i++) {
        press_init(&order->presses[i], order->sim, sim_puppet(order->sim, "Source"));
        press_fill(&order->presses[i]);
        record_keep(order, i);
    }
}

/* One lab and whoever stole its key: both sign on from head PARTED. */
static void fill_branches(struct order *order)
{
    order->count = 2;
    press_init(&order->presses[0], order->sim, sim_puppet(order->sim, "Source"));
    press_fill(&order->presses[0]);
    press_branch(&order->presses[0], PARTED, &order->presses[1]);
    press_other(&order->presses[1]);
    record_keep(order, 0);
    record_keep(order, 1);
}

/* The same, but the lab has new keys, and its record names head PARTED as the last good one. */
static void fill_generations(struct order *order)
{
    order->count = 2;
    press_init(&order->presses[0], order->sim, sim_puppet(order->sim, "Source"));
    press_fill(&order->presses[0]);
    record_keep(order, 0);
    press_branch(&order->presses[0], PARTED, &order->presses[1]);
    puppet_rotate(order->sim, order->presses[0].lab, &order->presses[0].heads[PARTED]);
    order->presses[1].generation = 2;
    press_other(&order->presses[1]);
    record_keep(order, 1);
}

/* ---- the puppets ---- */

static unsigned index_of(const struct order *order, unsigned puppet)
{
    unsigned i = 0;
    while (order->puppets[i] != puppet) {
        i++;
    }
    return i;
}

/* What that puppet announced last of the lab. */
static unsigned press_of(const struct order *order, unsigned puppet, const struct lab_id *lab)
{
    unsigned best = 0;
    uint64_t latest = 0;
    for (unsigned i = 0; i < order->count; i++) {
        const struct lab_id *of = sim_id(order->sim, order->presses[i].lab);
        if (memcmp(of->bytes, lab->bytes, KEY_SIZE) == 0 && order->when[puppet][i] >= latest) {
            latest = order->when[puppet][i];
            best = i;
        }
    }
    return best;
}

static void nothing(struct sim *sim, unsigned puppet, uint64_t stream)
{
    puppet_say(sim, puppet, &(struct msg){.type = MSG_DELTA_END, .delta_end = {.stream = stream}});
}

/* Half of a delta, and then it hangs up. */
static void half(const struct press *press, unsigned puppet, const struct msg *want, uint64_t n)
{
    struct sim *sim = press->sim;
    uint64_t stream = want->want.stream;
    defer(press_delta_done) struct press_delta delta = {0};
    press_delta(press, want, n, &delta);
    struct list list = {.raw = buf_bytes(&delta.entries), .count = delta.entry_count};
    defer(buf_done) struct buf first = {0};
    size_t at = 0;
    struct bytes item;
    if (list_next(&list, &at, &item)) {
        list_put(&first, item);
        puppet_say(sim, puppet,
                   &(struct msg){.type = MSG_DELTA,
                                 .delta = {.stream = stream,
                                           .entries = {.raw = buf_bytes(&first), .count = 1}}});
    }
    puppet_close(sim, puppet);
}

static void hears(struct sim *sim, unsigned puppet, const struct msg *msg, void *user)
{
    struct order *order = user;
    if (msg->type == MSG_BUCKETS) {
        nothing(sim, puppet, msg->buckets.stream);
    }
    if (msg->type != MSG_WANT) {
        return;
    }
    struct msg want = *msg;
    unsigned i = index_of(order, puppet);
    unsigned which = press_of(order, i, &want.want.lab);
    const struct press *press = &order->presses[which];
    uint64_t least = order->said[i][which];
    uint64_t n = least + pick(order, (unsigned) (press->n - least) + 1);
    unsigned how = order->kind ? 99 : pick(order, 100);
    if (n <= want.want.m || least == 0 || how < 8) {
        nothing(sim, puppet, want.want.stream);
    } else if (how < 12) {
        return; /* silent */
    } else if (how < 20) {
        half(press, puppet, &want, n);
    } else {
        press_serve(press, puppet, &want, n);
    }
}

static void record_say(struct order *order, unsigned i, unsigned which)
{
    defer(buf_done) struct buf raw = {0};
    list_put(&raw, buf_bytes(&order->records[which]));
    struct msg msg = {.type = MSG_RECORDS, .records = {.raw = buf_bytes(&raw), .count = 1}};
    puppet_say(order->sim, order->puppets[i], &msg);
}

/* Dials again when it hung up, or was hung up on. */
static void greet(struct order *order, unsigned i)
{
    for (unsigned tries = 0; !puppet_linked(order->sim, order->puppets[i]); tries++) {
        assert_true(tries < 20);
        if (!puppet_dial(order->sim, order->puppets[i], order->lab)) {
            sim_run(order->sim, 1000);
        }
    }
}

static void announce(struct order *order, unsigned i, unsigned which, uint64_t n)
{
    greet(order, i);
    record_say(order, i, which);
    uint64_t *said = &order->said[i][which];
    *said = n > *said ? n : *said;
    order->when[i][which] = ++order->arrivals[i];
    press_offer(&order->presses[which], order->puppets[i], order->arrivals[i], n);
}

/* ---- one order ---- */

typedef void order_fill(struct order *order);

static struct order *order_new(uint64_t seed, order_fill *fill, bool checked)
{
    struct order *order = calloc(1, sizeof *order);
    assert_non_null(order);
    order->dice = seed;
    order->sim = sim_new(77); /* always the same keys */
    if (!checked) {
        sim_unchecked(order->sim);
    }
    order->lab = sim_lab(order->sim, "Labo");
    fill(order);
    for (unsigned i = 0; i < PUPPETS; i++) {
        order->puppets[i] = sim_puppet(order->sim, "Pantin");
        puppet_on(order->sim, order->puppets[i], hears, order);
        sim_peer(order->sim, order->lab, order->puppets[i], false);
        greet(order, i);
    }
    return order;
}

static void order_free(struct order *order)
{
    for (unsigned i = 0; i < order->count; i++) {
        press_done(&order->presses[i]);
        buf_done(&order->records[i]);
    }
    sim_free(order->sim);
    free(order);
}

/* Every head twice, by anybody, shuffled. */
static void say_all(struct order *order)
{
    struct say {
        unsigned which;
        uint64_t n;
    } says[SAYS_MAX];
    unsigned count = 0;
    for (unsigned which = 0; which < order->count; which++) {
        for (uint64_t n = 1; n <= order->presses[which].n; n++) {
            says[count++] = (struct say){which, n};
            says[count++] = (struct say){which, n};
        }
    }
    for (unsigned i = count - 1; i > 0; i--) {
        unsigned other = pick(order, i + 1);
        struct say say = says[i];
        says[i] = says[other];
        says[other] = say;
    }
    for (unsigned i = 0; i < count; i++) {
        announce(order, pick(order, PUPPETS), says[i].which, says[i].n);
        if (pick(order, 2) == 0) {
            sim_run(order->sim, pick(order, 60));
        }
        if (pick(order, 60) == 0) {
            sim_crash(order->sim, order->lab);
            sim_start(order->sim, order->lab);
        }
    }
}

/* Everybody is kind now and says what is last, until it is as it must be. */
typedef bool order_over(const struct order *order);

static void say_last(struct order *order, order_over *over)
{
    order->kind = true;
    for (unsigned round = 0; !over(order); round++) {
        if (round >= 20) {
            fail_msg("an order comes to no end");
        }
        for (unsigned which = 0; which < order->count; which++) {
            announce(order, (round + which) % PUPPETS, which, order->presses[which].n);
        }
        sim_run(order->sim, 15000);
    }
    assert_true(sim_verify(order->sim, order->lab));
}

static struct hash digest_of(const struct order *order)
{
    struct txn *txn = NULL;
    struct hash digest;
    uint64_t heads = 0;
    uint64_t entries = 0;
    assert_int_equal(txn_begin_read(order->sim->labs[order->lab]->store, &txn), ERR_OK);
    assert_int_equal(copy_digest(txn, &digest, &heads, &entries), ERR_OK);
    txn_end(txn);
    return digest;
}

static struct hash order_live(uint64_t seed, order_fill *fill, order_over *over, bool checked)
{
    struct order *order = order_new(seed, fill, checked);
    say_all(order);
    say_last(order, over);
    struct hash digest = digest_of(order);
    order_free(order);
    return digest;
}

static unsigned orders(void)
{
    const char *text = getenv("SIM_ORDERS");
    unsigned count = text != NULL ? (unsigned) strtoul(text, NULL, 10) : 200;
    return getenv("ESSAIM_LONG") != NULL ? 10000 : count;
}

/* ---- the promises ---- */

static bool all_held(const struct order *order)
{
    for (unsigned i = 0; i < order->count; i++) {
        struct head head;
        if (!sim_head(order->sim, order->lab, order->presses[i].lab, &head) || head.n < HEADS) {
            return false;
        }
    }
    return true;
}

static void any_order_of_the_same_updates_makes_the_same_store(void **state)
{
    (void) state;
    struct hash first = order_live(1, fill_labs, all_held, true);
    for (unsigned seed = 2; seed <= orders(); seed++) {
        struct hash digest = order_live(seed, fill_labs, all_held, false);
        assert_memory_equal(digest.bytes, first.bytes, HASH_SIZE);
    }
    print_message("%u orders, one digest\n", orders());
}

static bool generation_held(const struct order *order)
{
    struct head head;
    return sim_head(order->sim, order->lab, order->presses[0].lab, &head) && head.generation == 2 &&
           head.n == order->presses[1].n;
}

static void new_keys_win_in_any_order(void **state)
{
    (void) state;
    struct hash first = order_live(1, fill_generations, generation_held, true);
    for (unsigned seed = 2; seed <= orders() / 4; seed++) {
        struct hash digest = order_live(seed, fill_generations, generation_held, true);
        assert_memory_equal(digest.bytes, first.bytes, HASH_SIZE);
    }
}

static bool fork_known(const struct order *order)
{
    return sim_forked(order->sim, order->lab, order->presses[0].lab);
}

static void two_branches_are_a_fork_in_any_order(void **state)
{
    (void) state;
    for (unsigned seed = 1; seed <= orders() / 4; seed++) {
        (void) order_live(seed, fill_branches, fork_known, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_the_same_updates_makes_the_same_store),
        cmocka_unit_test(new_keys_win_in_any_order),
        cmocka_unit_test(two_branches_are_a_fork_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
