/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_msg.c: the messages between labs.
 *
 * The first byte chooses. Even: the rest is bytes to decode: what decodes encodes to them again.
 * Odd: the rest chooses a message: encoded and decoded it is the same, member by member.
 */
#include "proto/fork.h"
#include "proto/msg.h"
#include "proto/root.h"
#include "tests/fuzz/fuzz.h"

static const enum msg_type types[] = {MSG_HELLO,  MSG_RECORDS,   MSG_HEADS,   MSG_WANT,
                                      MSG_DELTA,  MSG_DELTA_END, MSG_ACK,     MSG_PING,
                                      MSG_PONG,   MSG_BYE,       MSG_REKEY,   MSG_BUCKETS,
                                      MSG_BUCKET, MSG_PROOF,     MSG_RECEIPTS};

static void walk_list(const struct list *list, size_t size_max)
{
    size_t at = 0, count = 0;
    struct bytes item;
    while (list_next(list, &at, &item)) {
        must(item.size <= size_max);
        count++;
    }
    must(at == list->raw.size);
    must(count == list->count);
}

static void walk_heads(const struct list *list)
{
    size_t at = 0, count = 0;
    uint64_t arrival;
    struct bytes head;
    while (list_next_head(list, &at, &arrival, &head)) {
        must(head.size <= HEAD_SIZE_MAX);
        count++;
    }
    must(at == list->raw.size);
    must(count == list->count);
}

static void walk_opening(const struct list *list)
{
    size_t at = 0;
    struct bytes item;
    walk_list(list, OPENING_ITEM_MAX);
    while (list_next(list, &at, &item)) {
        must(item.size == 8 || item.size == HASH_SIZE || item.size == OPENING_ITEM_MAX);
    }
}

static void walk_lists(const struct msg *msg)
{
    if (msg->type == MSG_RECORDS) {
        walk_list(&msg->records, RECORD_SIZE_MAX);
    } else if (msg->type == MSG_RECEIPTS) {
        walk_list(&msg->receipts, RECEIPT_SIZE_MAX);
    } else if (msg->type == MSG_HEADS) {
        walk_heads(&msg->heads.heads);
    } else if (msg->type == MSG_DELTA) {
        walk_list(&msg->delta.entries, ENTRY_SIZE_MAX);
        walk_opening(&msg->delta.opening);
        must(msg->delta.withdrawn.size % HINT_SIZE == 0);
    } else if (msg->type == MSG_BUCKETS) {
        size_t size = msg->buckets.digests.size;
        must(size == 0 || size == (size_t) BUCKET_COUNT * HASH_SIZE);
        must(msg->buckets.n > 0);
    } else if (msg->type == MSG_BUCKET) {
        walk_list(&msg->bucket.entries, ENTRY_SIZE_MAX);
        must(msg->bucket.pairs.size % PAIR_SIZE == 0);
        must(msg->bucket.bucket < BUCKET_COUNT);
        must(msg->bucket.n > 0);
    } else if (msg->type == MSG_PROOF) {
        size_t size = msg->proof.part.size;
        must(size > 0 && size <= PROOF_PART_SIZE_MAX);
        must(msg->proof.size <= FORK_SIZE_MAX);
        must(msg->proof.offset < msg->proof.size && size <= msg->proof.size - msg->proof.offset);
    } else if (msg->type == MSG_HELLO) {
        must(msg->hello.generation > 0 || msg->hello.record.size > 0);
    }
}

static void decode_check(struct bytes bytes)
{
    struct msg msg;
    enum err err = msg_decode(bytes, &msg);
    if (err != ERR_OK) {
        must(err == ERR_CANONICAL || err == ERR_SIZE || err == ERR_MALFORMED ||
             err == ERR_UNSUPPORTED);
        return;
    }
    must(msg_name(msg.type)[0] != '?');
    walk_lists(&msg);
    struct buf again = {0};
    msg_encode(&msg, &again);
    must(again.err == ERR_OK);
    must(bytes_equal(buf_bytes(&again), bytes));
    buf_done(&again);
}

/* ---- choosing ---- */

static void choose_key(struct choices *choices, uint8_t *into, size_t size)
{
    struct bytes bytes = choose_bytes(choices, size);
    bytes_copy(into, bytes);
}

static struct list choose_list(struct choices *choices, struct buf *raw)
{
    size_t count = choose(choices, 6);
    for (size_t i = 0; i < count; i++) {
        uint8_t item[300] = {0};
        size_t size = 1 + choose(choices, sizeof item - 1);
        choose_key(choices, item, size);
        list_put(raw, bytes_of(item, size));
    }
    return (struct list){.raw = buf_bytes(raw), .count = count};
}

static struct list choose_opening(struct choices *choices, struct buf *raw)
{
    static const size_t sizes[] = {HASH_SIZE, 8, OPENING_ITEM_MAX};
    size_t count = choose(choices, 6);
    for (size_t i = 0; i < count; i++) {
        uint8_t item[OPENING_ITEM_MAX] = {0};
        size_t size = sizes[choose(choices, 3)];
        choose_key(choices, item, size);
        list_put(raw, bytes_of(item, size));
    }
    return (struct list){.raw = buf_bytes(raw), .count = count};
}

static struct list choose_heads(struct choices *choices, struct buf *raw)
{
    size_t count = choose(choices, 4);
    for (size_t i = 0; i < count; i++) {
        uint8_t head[HEAD_SIZE_MAX] = {0};
        size_t size = 1 + choose(choices, sizeof head - 1);
        choose_key(choices, head, size);
        list_put_head(raw, choose_number(choices), bytes_of(head, size));
    }
    return (struct list){.raw = buf_bytes(raw), .count = count};
}

static void choose_hello(struct choices *choices, struct msg *msg)
{
    msg->hello.version = choose_number(choices);
    msg->hello.features = choose_number(choices);
    msg->hello.generation = choose_number(choices);
    msg->hello.holds = choose_number(choices);
    msg->hello.cursor = choose_number(choices);
    choose_key(choices, msg->hello.network.bytes, HASH_SIZE);
    choose_key(choices, msg->hello.lab.bytes, KEY_SIZE);
    choose_key(choices, msg->hello.index, INSTANCE_SIZE);
    msg->hello.has_read_index = choose(choices, 2) == 1;
    if (msg->hello.has_read_index) {
        choose_key(choices, msg->hello.read_index, INSTANCE_SIZE);
    }
    msg->hello.record = choose_bytes(choices, RECORD_SIZE_MAX);
    msg->hello.generation |= msg->hello.record.size == 0; /* 0 only with a statement */
}

static const char *const audiences[] = {"public", "a", "0:x._-", "circle-7"};

/* BUCKETS, BUCKET, PROOF. */
static void choose_repair(struct choices *choices, struct msg *msg, struct buf *one)
{
    static const uint8_t digests[BUCKET_COUNT * HASH_SIZE];
    if (msg->type == MSG_BUCKETS) {
        msg->buckets.stream = choose_number(choices) & UINT32_MAX;
        msg->buckets.n = choose_number(choices) | 1;
        choose_key(choices, msg->buckets.lab.bytes, KEY_SIZE);
        msg->buckets.audience = bytes_of_str(audiences[choose(choices, 4)]);
        msg->buckets.digests = bytes_of(digests, choose(choices, 2) * sizeof digests);
    } else if (msg->type == MSG_BUCKET) {
        msg->bucket.stream = choose_number(choices) & UINT32_MAX;
        msg->bucket.n = choose_number(choices) | 1;
        choose_key(choices, msg->bucket.lab.bytes, KEY_SIZE);
        msg->bucket.audience = bytes_of_str(audiences[choose(choices, 4)]);
        msg->bucket.bucket = (unsigned) choose(choices, BUCKET_COUNT);
        msg->bucket.entries = choose_list(choices, one);
        msg->bucket.pairs = choose_bytes(choices, 1000);
        msg->bucket.pairs.size -= msg->bucket.pairs.size % PAIR_SIZE;
    } else {
        choose_key(choices, msg->proof.lab.bytes, KEY_SIZE);
        msg->proof.offset = choose(choices, FORK_SIZE_MAX - 1000);
        msg->proof.part = bytes_of(digests, 1 + choose(choices, 1000));
        msg->proof.size = msg->proof.offset + msg->proof.part.size;
        msg->proof.size += choose(choices, FORK_SIZE_MAX + 1 - msg->proof.size);
    }
}

static void choose_want(struct choices *choices, struct msg *msg)
{
    msg->want.stream = choose_number(choices) & UINT32_MAX;
    choose_key(choices, msg->want.lab.bytes, KEY_SIZE);
    msg->want.audience = bytes_of_str(audiences[choose(choices, 4)]);
    msg->want.m = choose_number(choices);
    msg->want.has_after = choose(choices, 2) == 1;
    if (msg->want.has_after) {
        msg->want.after_rev = choose_number(choices) | 1;
        choose_key(choices, msg->want.after_slug.bytes, SLUG_HASH_SIZE);
    }
}

static void choose_msg(struct choices *choices, struct msg *msg, struct buf *one, struct buf *two)
{
    msg->type = types[choose(choices, sizeof types / sizeof *types)];
    if (msg->type == MSG_HELLO) {
        choose_hello(choices, msg);
    } else if (msg->type == MSG_RECORDS) {
        msg->records = choose_list(choices, one);
    } else if (msg->type == MSG_RECEIPTS) {
        msg->receipts = choose_list(choices, one);
    } else if (msg->type == MSG_HEADS) {
        msg->heads.upto = choose_number(choices);
        msg->heads.heads = choose_heads(choices, one);
    } else if (msg->type == MSG_WANT) {
        choose_want(choices, msg);
    } else if (msg->type == MSG_DELTA) {
        msg->delta.stream = choose_number(choices) & UINT32_MAX;
        msg->delta.entries = choose_list(choices, one);
        msg->delta.opening = choose_opening(choices, two);
        msg->delta.withdrawn = choose_bytes(choices, 1000);
        msg->delta.withdrawn.size -= msg->delta.withdrawn.size % HINT_SIZE;
    } else if (msg->type == MSG_DELTA_END) {
        msg->delta_end.stream = choose_number(choices) & UINT32_MAX;
        msg->delta_end.head = choose_bytes(choices, HEAD_SIZE_MAX);
    } else if (msg->type == MSG_ACK) {
        msg->ack.cursor = choose_number(choices);
        msg->ack.upto = choose_number(choices);
    } else if (msg->type == MSG_PING || msg->type == MSG_PONG) {
        msg->ping = choose_number(choices);
    } else if (msg->type == MSG_BYE) {
        msg->bye.code = choose_number(choices);
        msg->bye.reason = bytes_of("reasonable, é", choose(choices, 15) % 12);
    } else if (msg->type != MSG_REKEY) {
        choose_repair(choices, msg, one);
    }
}

/* ---- comparing ---- */

static bool list_same(const struct list *a, const struct list *b)
{
    return a->count == b->count && bytes_equal(a->raw, b->raw);
}

static bool hello_same(const struct msg *a, const struct msg *b)
{
    return a->hello.version == b->hello.version && a->hello.features == b->hello.features &&
           a->hello.generation == b->hello.generation && a->hello.holds == b->hello.holds &&
           a->hello.cursor == b->hello.cursor &&
           memcmp(a->hello.network.bytes, b->hello.network.bytes, HASH_SIZE) == 0 &&
           memcmp(a->hello.lab.bytes, b->hello.lab.bytes, KEY_SIZE) == 0 &&
           memcmp(a->hello.index, b->hello.index, INSTANCE_SIZE) == 0 &&
           a->hello.has_read_index == b->hello.has_read_index &&
           memcmp(a->hello.read_index, b->hello.read_index, INSTANCE_SIZE) == 0 &&
           bytes_equal(a->hello.record, b->hello.record);
}

static bool want_same(const struct msg *a, const struct msg *b)
{
    return a->want.stream == b->want.stream && a->want.m == b->want.m &&
           a->want.after_rev == b->want.after_rev && a->want.has_after == b->want.has_after &&
           memcmp(a->want.lab.bytes, b->want.lab.bytes, KEY_SIZE) == 0 &&
           memcmp(a->want.after_slug.bytes, b->want.after_slug.bytes, SLUG_HASH_SIZE) == 0 &&
           bytes_equal(a->want.audience, b->want.audience);
}

static bool repair_same(const struct msg *a, const struct msg *b)
{
    if (a->type == MSG_BUCKETS) {
        return a->buckets.stream == b->buckets.stream && a->buckets.n == b->buckets.n &&
               memcmp(a->buckets.lab.bytes, b->buckets.lab.bytes, KEY_SIZE) == 0 &&
               bytes_equal(a->buckets.audience, b->buckets.audience) &&
               bytes_equal(a->buckets.digests, b->buckets.digests);
    }
    if (a->type == MSG_BUCKET) {
        return a->bucket.stream == b->bucket.stream && a->bucket.n == b->bucket.n &&
               memcmp(a->bucket.lab.bytes, b->bucket.lab.bytes, KEY_SIZE) == 0 &&
               bytes_equal(a->bucket.audience, b->bucket.audience) &&
               a->bucket.bucket == b->bucket.bucket &&
               bytes_equal(a->bucket.pairs, b->bucket.pairs) &&
               list_same(&a->bucket.entries, &b->bucket.entries);
    }
    return a->proof.size == b->proof.size && a->proof.offset == b->proof.offset &&
           memcmp(a->proof.lab.bytes, b->proof.lab.bytes, KEY_SIZE) == 0 &&
           bytes_equal(a->proof.part, b->proof.part);
}

static bool same(const struct msg *a, const struct msg *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case MSG_HELLO:
        return hello_same(a, b);
    case MSG_RECORDS:
        return list_same(&a->records, &b->records);
    case MSG_RECEIPTS:
        return list_same(&a->receipts, &b->receipts);
    case MSG_HEADS:
        return a->heads.upto == b->heads.upto && list_same(&a->heads.heads, &b->heads.heads);
    case MSG_WANT:
        return want_same(a, b);
    case MSG_DELTA:
        return a->delta.stream == b->delta.stream &&
               list_same(&a->delta.entries, &b->delta.entries) &&
               bytes_equal(a->delta.withdrawn, b->delta.withdrawn) &&
               list_same(&a->delta.opening, &b->delta.opening);
    case MSG_DELTA_END:
        return a->delta_end.stream == b->delta_end.stream &&
               bytes_equal(a->delta_end.head, b->delta_end.head);
    case MSG_ACK:
        return a->ack.cursor == b->ack.cursor && a->ack.upto == b->ack.upto;
    case MSG_BYE:
        return a->bye.code == b->bye.code && bytes_equal(a->bye.reason, b->bye.reason);
    case MSG_BUCKETS:
    case MSG_BUCKET:
    case MSG_PROOF:
        return repair_same(a, b);
    default:
        return a->ping == b->ping;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = {.left = bytes_of(data, size)};
    if (choose_byte(&choices) % 2 == 0) {
        decode_check(choices.left);
        return 0;
    }
    static const uint8_t much[MSG_SIZE_MAX + 1];
    struct msg msg = {0}, back;
    must(msg_decode(BYTES_OF_ARRAY(much), &back) == ERR_SIZE);
    struct buf one = {0}, two = {0}, wire = {0};
    choose_msg(&choices, &msg, &one, &two);
    msg_encode(&msg, &wire);
    must(wire.err == ERR_OK);
    must(msg_decode(buf_bytes(&wire), &back) == ERR_OK);
    must(same(&msg, &back));
    decode_check(buf_bytes(&wire));
    buf_done(&one);
    buf_done(&two);
    buf_done(&wire);
    return 0;
}
