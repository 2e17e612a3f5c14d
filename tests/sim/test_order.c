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
#define SAYS (PRESSES * HEADS * 2)

struct order {
    struct sim *sim;
    unsigned lab;
    unsigned puppets[PUPPETS];
    struct press presses[PRESSES];
    uint64_t arrivals[PUPPETS];
    uint64_t said[PUPPETS][PRESSES]; /* the newest head that it announced */
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

/* ---- the puppets ---- */

static unsigned index_of(const struct order *order, unsigned puppet)
{
    unsigned i = 0;
    while (order->puppets[i] != puppet) {
        i++;
    }
    return i;
}

static const struct press *press_of(const struct order *order, const struct lab_id *lab,
                                    unsigned *ret_index)
{
    for (unsigned i = 0; i < PRESSES; i++) {
        if (memcmp(sim_id(order->sim, order->presses[i].lab)->bytes, lab->bytes, KEY_SIZE) == 0) {
            *ret_index = i;
            return &order->presses[i];
        }
    }
    fail();
    return NULL;
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
    if (msg->type != MSG_WANT) {
        return;
    }
    struct msg want = *msg;
    unsigned which = 0;
    const struct press *press = press_of(order, &want.want.lab, &which);
    uint64_t least = order->said[index_of(order, puppet)][which];
    uint64_t n = least + pick(order, (unsigned) (HEADS - least) + 1);
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

/* Dials again when it hung up, and tells whose records it knows. */
static void greet(struct order *order, unsigned i)
{
    struct sim *sim = order->sim;
    for (unsigned tries = 0; !puppet_linked(sim, order->puppets[i]); tries++) {
        assert_true(tries < 20);
        if (!puppet_dial(sim, order->puppets[i], order->lab)) {
            sim_run(sim, 1000);
        }
    }
    for (unsigned which = 0; which < PRESSES; which++) {
        press_say_record(sim, order->puppets[i], order->presses[which].lab);
    }
}

static void announce(struct order *order, unsigned i, unsigned which, uint64_t n)
{
    if (!puppet_linked(order->sim, order->puppets[i])) {
        greet(order, i);
    }
    uint64_t *said = &order->said[i][which];
    *said = n > *said ? n : *said;
    press_offer(&order->presses[which], order->puppets[i], ++order->arrivals[i], n);
}

/* ---- one order ---- */

static struct order *order_new(uint64_t seed)
{
    struct order *order = calloc(1, sizeof *order);
    assert_non_null(order);
    order->dice = seed;
    order->sim = sim_new(77); /* always the same keys */
    sim_unchecked(order->sim);
    order->lab = sim_lab(order->sim, "Labo");
    for (unsigned i = 0; i < PRESSES; i++) {
        press_init(&order->presses[i], order->sim, sim_puppet(order->sim, "Source"));
        press_fill(&order->presses[i]);
    }
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
    for (unsigned i = 0; i < PRESSES; i++) {
        press_done(&order->presses[i]);
    }
    sim_free(order->sim);
    free(order);
}

static bool whole(const struct order *order)
{
    for (unsigned i = 0; i < PRESSES; i++) {
        struct head head;
        if (!sim_head(order->sim, order->lab, order->presses[i].lab, &head) || head.n < HEADS) {
            return false;
        }
    }
    return true;
}

/* Every head twice, by anybody, shuffled. */
static void say_all(struct order *order)
{
    unsigned says[SAYS];
    for (unsigned i = 0; i < SAYS; i++) {
        says[i] = i / 2;
    }
    for (unsigned i = SAYS - 1; i > 0; i--) {
        unsigned other = pick(order, i + 1);
        unsigned say = says[i];
        says[i] = says[other];
        says[other] = say;
    }
    for (unsigned i = 0; i < SAYS; i++) {
        announce(order, pick(order, PUPPETS), says[i] / HEADS, 1 + says[i] % HEADS);
        if (pick(order, 2) == 0) {
            sim_run(order->sim, pick(order, 60));
        }
        if (pick(order, 60) == 0) {
            sim_crash(order->sim, order->lab);
            sim_start(order->sim, order->lab);
        }
    }
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
    assert_int_equal(heads, PRESSES);
    assert_int_equal(entries, PRESSES * 3);
    return digest;
}

static struct hash order_live(uint64_t seed)
{
    struct order *order = order_new(seed);
    say_all(order);
    for (unsigned round = 0; !whole(order); round++) {
        if (round >= 20) {
            fail_msg("order %llu: not whole", (unsigned long long) seed);
        }
        order->kind = true;
        for (unsigned which = 0; which < PRESSES; which++) {
            announce(order, round % PUPPETS, which, HEADS);
        }
        sim_run(order->sim, 15000);
    }
    struct hash digest = digest_of(order);
    assert_true(sim_verify(order->sim, order->lab));
    order_free(order);
    return digest;
}

static void any_order_of_the_same_updates_makes_the_same_store(void **state)
{
    (void) state;
    const char *orders = getenv("SIM_ORDERS");
    unsigned count = orders != NULL ? (unsigned) strtoul(orders, NULL, 10) : 200;
    count = getenv("ESSAIM_LONG") != NULL ? 10000 : count;
    struct hash first = order_live(1);
    for (unsigned seed = 2; seed <= count; seed++) {
        struct hash digest = order_live(seed);
        assert_memory_equal(digest.bytes, first.bytes, HASH_SIZE);
    }
    print_message("%u orders, one digest\n", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_the_same_updates_makes_the_same_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
