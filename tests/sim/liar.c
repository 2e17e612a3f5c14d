/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/liar.c: a dishonest lab: a real node whose messages are changed on their way into the
 * session. It may reorder, drop, repeat, alter and forget what it says, replay old heads, sign
 * heads of its own that nothing stands behind, claim to have read more than it did, and talk
 * nonsense.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/entry.h"
#include "tests/sim/state.h"

#define ITEMS_MAX 4096

struct items {
    size_t count;
    struct bytes at[ITEMS_MAX];
    uint64_t numbers[ITEMS_MAX]; /* of HEADS */
};

static size_t pick(struct sim *sim, size_t below)
{
    return (size_t) (sim_roll(sim) % below);
}

/* A copy with one bit flipped, in `room`. */
static struct bytes flipped(struct sim *sim, struct bytes bytes, struct buf *room)
{
    buf_clear(room);
    buf_put(room, bytes);
    must(room->err == ERR_OK && room->size > 0);
    room->data[pick(sim, room->size)] ^= (uint8_t) (1u << pick(sim, 8));
    return buf_bytes(room);
}

/* ---- heads ---- */

static void head_remember(struct sim *sim, struct bytes head)
{
    struct buf *slot = &sim->old_heads[sim->old_head_count++ % SIM_OLD_HEADS];
    buf_clear(slot);
    buf_put(slot, head);
}

static struct bytes head_old(struct sim *sim, struct buf *room)
{
    size_t count = sim->old_head_count < SIM_OLD_HEADS ? sim->old_head_count : SIM_OLD_HEADS;
    buf_clear(room);
    if (count > 0) {
        buf_put(room, buf_bytes(&sim->old_heads[pick(sim, count)]));
    }
    return buf_bytes(room);
}

/* A head of its own catalogue, well signed, with nothing behind it. */
static struct bytes head_forged(struct sim *sim, unsigned number, struct buf *room)
{
    const struct sim_lab *lab = sim->labs[number];
    struct head head = {.lab = lab->id,
                        .generation = lab->generation,
                        .audience = "public",
                        .n = 1 + pick(sim, 40),
                        .count = pick(sim, 3) == 0 ? UINT32_MAX : pick(sim, 50),
                        .bytes = pick(sim, 3) == 0 ? UINT32_MAX : pick(sim, 50000),
                        .issued_at = SIM_WALL_S};
    if (pick(sim, 8) == 0) {
        head.n = UINT64_MAX - pick(sim, 2);
    }
    sim_roll_bytes(sim, head.root.bytes, HASH_SIZE);
    sim_roll_bytes(sim, head.history.bytes, HASH_SIZE);
    buf_clear(room);
    must(head_sign(&head, lab->signing_secret, room) == ERR_OK);
    return buf_bytes(room);
}

static struct bytes head_instead(struct sim *sim, unsigned number, struct bytes head,
                                 struct buf *room)
{
    switch (pick(sim, 3)) {
    case 0:
        return head_old(sim, room);
    case 1:
        return head_forged(sim, number, room);
    default:
        return head.size > 0 ? flipped(sim, head, room) : head;
    }
}

static void lie_heads(struct sim *sim, unsigned number, struct msg *msg, struct items *items,
                      struct buf *raw)
{
    defer(buf_done) struct buf room = {0};
    size_t at = 0;
    while (items->count < ITEMS_MAX &&
           list_next_head(&msg->heads.heads, &at, &items->numbers[items->count],
                          &items->at[items->count])) {
        head_remember(sim, items->at[items->count]);
        items->count++;
    }
    if (items->count == 0) {
        msg->heads.upto += pick(sim, 3);
        return;
    }
    size_t which = pick(sim, items->count);
    switch (pick(sim, 4)) {
    case 0:
        items->numbers[which] += pick(sim, 2);
        break;
    case 1:
        msg->heads.upto += pick(sim, 3);
        break;
    default: {
        struct bytes instead = head_instead(sim, number, items->at[which], &room);
        items->at[which] = instead.size > 0 ? instead : items->at[which];
        break;
    }
    }
    for (size_t i = 0; i < items->count; i++) {
        list_put_head(raw, items->numbers[i], items->at[i]);
    }
    msg->heads.heads = (struct list){.raw = buf_bytes(raw), .count = items->count};
}

/* ---- lists ---- */

static void items_take(const struct list *list, struct items *items)
{
    size_t at = 0;
    items->count = 0;
    while (items->count < ITEMS_MAX && list_next(list, &at, &items->at[items->count])) {
        items->count++;
    }
}

static struct list items_give(const struct items *items, struct buf *raw)
{
    for (size_t i = 0; i < items->count; i++) {
        list_put(raw, items->at[i]);
    }
    return (struct list){.raw = buf_bytes(raw), .count = items->count};
}

static void lie_list(struct sim *sim, struct list *list, struct items *items, struct buf *raw,
                     struct buf *room)
{
    items_take(list, items);
    if (items->count == 0) {
        return;
    }
    size_t a = pick(sim, items->count);
    size_t b = pick(sim, items->count);
    struct bytes held = items->at[a];
    switch (pick(sim, 5)) {
    case 0: /* another order */
        items->at[a] = items->at[b];
        items->at[b] = held;
        break;
    case 1: /* one less */
        items->at[a] = items->at[--items->count];
        break;
    case 2: /* the last ones left out: the order stays right */
        items->count = a + 1;
        break;
    case 3: /* one twice */
        items->at[a] = items->at[b];
        break;
    default:
        items->at[a] = flipped(sim, held, room);
        break;
    }
    *list = items_give(items, raw);
}

/* Withdraws what it sends, or what nobody has, or forgets to say what was withdrawn. */
static void lie_withdrawn(struct sim *sim, struct msg *msg, struct items *items, struct buf *raw)
{
    struct hint hint;
    struct entry entry;
    items_take(&msg->delta.entries, items);
    buf_put(raw, msg->delta.withdrawn);
    if (raw->size > 0 && pick(sim, 2) == 0) {
        raw->size -= HINT_SIZE;
    } else if (items->count > 0 && raw->size < 1024) {
        struct bytes item = items->at[pick(sim, items->count)];
        if (entry_peek(item, &entry) == ERR_OK) {
            struct slug_hash slug = hash_slug(entry.slug);
            struct hash leaf = entry_leaf(item);
            hint = hash_hint(&slug, &leaf);
            buf_put(raw, BYTES_OF_ARRAY(hint.bytes));
        }
    } else if (raw->size < 1024) {
        sim_roll_bytes(sim, hint.bytes, HINT_SIZE);
        buf_put(raw, BYTES_OF_ARRAY(hint.bytes));
    }
    msg->delta.withdrawn = buf_bytes(raw);
}

static void lie_delta(struct sim *sim, struct msg *msg, struct items *items, struct buf *raw,
                      struct buf *room)
{
    switch (pick(sim, 4)) {
    case 0:
        lie_withdrawn(sim, msg, items, raw);
        break;
    case 1:
        lie_list(sim, &msg->delta.opening, items, raw, room);
        break;
    default:
        lie_list(sim, &msg->delta.entries, items, raw, room);
        break;
    }
}

/* ---- any message ---- */

static void lie(struct sim *sim, unsigned number, struct msg *msg, struct buf *ret_instead)
{
    struct items *items = calloc(1, sizeof *items);
    must(items != NULL);
    defer(buf_done) struct buf raw = {0};
    defer(buf_done) struct buf room = {0};
    switch (msg->type) {
    case MSG_HEADS:
        lie_heads(sim, number, msg, items, &raw);
        break;
    case MSG_RECORDS:
        lie_list(sim, &msg->records, items, &raw, &room);
        break;
    case MSG_RECEIPTS:
        lie_list(sim, &msg->receipts, items, &raw, &room);
        break;
    case MSG_DELTA:
        lie_delta(sim, msg, items, &raw, &room);
        break;
    case MSG_DELTA_END:
        msg->delta_end.head = pick(sim, 4) == 0
                                  ? (struct bytes){0}
                                  : head_instead(sim, number, msg->delta_end.head, &room);
        break;
    case MSG_ACK:
        msg->ack.cursor += pick(sim, 5);
        msg->ack.upto += pick(sim, 3);
        break;
    case MSG_WANT:
        msg->want.m += pick(sim, 3);
        msg->want.stream += pick(sim, 2);
        break;
    default:
        break;
    }
    msg_encode(msg, ret_instead);
    free(items);
}

bool liar_says(struct sim *sim, unsigned number, const struct session *session,
               struct bytes message, struct buf *ret_instead)
{
    (void) session;
    struct msg msg;
    if (msg_decode(message, &msg) != ERR_OK || msg.type == MSG_HELLO ||
        pick(sim, 1000) >= sim->labs[number]->lies) {
        return true;
    }
    size_t how = pick(sim, 20);
    sim_tell(sim, "%u lies: %s (%zu)", number, msg_name(msg.type), how);
    if (how == 0) {
        return false; /* nothing at all */
    }
    if (how == 1) { /* nonsense */
        uint8_t bytes[64];
        sim_roll_bytes(sim, bytes, sizeof bytes);
        buf_put(ret_instead, bytes_of(bytes, 1 + pick(sim, sizeof bytes - 1)));
    } else if (how == 2) { /* the same, broken */
        (void) flipped(sim, message, ret_instead);
    } else {
        lie(sim, number, &msg, ret_instead);
    }
    if (ret_instead->err != ERR_OK || ret_instead->size > MSG_SIZE_MAX) {
        buf_clear(ret_instead);
    }
    return true;
}
