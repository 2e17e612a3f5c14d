/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/msg: decode(encode(x)) == x and encode(decode(b)) == b for every type; every bound at its
 * limit and one beyond; wrong counts and types, truncations and trailing bytes; and flipped bytes,
 * which either are refused or encode to themselves again.
 */
#include "proto/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/fork.h"
#include "proto/pack.h"
#include "proto/root.h"
#include "proto/scan.h"

static uint8_t ones[MSG_SIZE_MAX + 1];

/* What the samples below point into. */
struct pool {
    struct buf records, heads, entries, opening;
};

static int pool_setup(void **state)
{
    struct pool *pool = calloc(1, sizeof *pool);
    assert_non_null(pool);
    memset(ones, 1, sizeof ones);
    list_put(&pool->records, bytes_of(ones, 1));
    list_put(&pool->records, bytes_of(ones, RECORD_SIZE_MAX));
    list_put_head(&pool->heads, 7, bytes_of(ones, 300));
    list_put_head(&pool->heads, UINT64_MAX, bytes_of(ones, HEAD_SIZE_MAX));
    list_put(&pool->entries, bytes_of(ones, 900));
    list_put(&pool->entries, bytes_of(ones, 40000));
    list_put(&pool->entries, bytes_of(ones, 1));
    for (unsigned i = 0; i < 99; i += 3) {
        list_put(&pool->opening, bytes_of(ones, HASH_SIZE));
        list_put(&pool->opening, bytes_of(ones, 8));
        list_put(&pool->opening, bytes_of(ones, OPENING_ITEM_MAX));
    }
    *state = pool;
    return 0;
}

static int pool_teardown(void **state)
{
    struct pool *pool = *state;
    buf_done(&pool->records);
    buf_done(&pool->heads);
    buf_done(&pool->entries);
    buf_done(&pool->opening);
    free(pool);
    return 0;
}

#define SAMPLE_COUNT 24

/* BUCKETS, BUCKET and PROOF. */
static struct msg *repair_samples(const struct pool *pool, struct msg *msg)
{
    msg->type = MSG_BUCKETS;
    msg->buckets.n = 1;
    (msg++)->buckets.audience = bytes_of_str("public");
    msg->type = MSG_BUCKETS;
    msg->buckets.stream = UINT32_MAX;
    msg->buckets.n = UINT64_MAX;
    msg->buckets.lab.bytes[5] = 6;
    msg->buckets.audience = bytes_of_str("circle");
    (msg++)->buckets.digests = bytes_of(ones, (size_t) BUCKET_COUNT * HASH_SIZE);
    msg->type = MSG_BUCKET;
    msg->bucket.n = 1;
    (msg++)->bucket.audience = bytes_of_str("public");
    msg->type = MSG_BUCKET;
    msg->bucket.stream = 300;
    msg->bucket.n = UINT64_MAX;
    msg->bucket.bucket = BUCKET_COUNT - 1;
    msg->bucket.lab.bytes[6] = 7;
    msg->bucket.audience = bytes_of_str("circle");
    msg->bucket.pairs = bytes_of(ones, (size_t) 2 * PAIR_SIZE);
    (msg++)->bucket.entries = (struct list){buf_bytes(&pool->entries), 3};
    msg->type = MSG_PROOF;
    msg->proof.size = 1;
    (msg++)->proof.part = bytes_of(ones, 1);
    msg->type = MSG_PROOF;
    msg->proof.lab.bytes[7] = 8;
    msg->proof.size = FORK_SIZE_MAX;
    msg->proof.offset = FORK_SIZE_MAX - PROOF_PART_SIZE_MAX;
    (msg++)->proof.part = bytes_of(ones, PROOF_PART_SIZE_MAX);
    return msg;
}

/* One or two messages of each type; zeroed first, so that equal means equal bytes. */
static void samples(const struct pool *pool, struct msg ret_samples[SAMPLE_COUNT])
{
    struct msg *msg = ret_samples;
    memset(msg, 0, sizeof *msg * SAMPLE_COUNT);
    msg->type = MSG_HELLO;
    msg->hello.version = 1;
    msg->hello.generation = 1;
    memset(msg->hello.index, 9, INSTANCE_SIZE);
    msg++;
    msg->type = MSG_HELLO;
    msg->hello.version = msg->hello.features = msg->hello.generation = UINT64_MAX;
    msg->hello.holds = msg->hello.cursor = UINT64_MAX;
    msg->hello.network.bytes[31] = 1;
    msg->hello.lab.bytes[0] = 2;
    msg->hello.record = bytes_of(ones, RECORD_SIZE_MAX);
    msg->hello.has_read_index = true;
    memset(msg->hello.read_index, 8, INSTANCE_SIZE);
    msg++;
    (msg++)->type = MSG_RECORDS;
    msg->type = MSG_RECORDS;
    (msg++)->records = (struct list){buf_bytes(&pool->records), 2};
    (msg++)->type = MSG_RECEIPTS;
    msg->type = MSG_RECEIPTS;
    (msg++)->receipts = (struct list){buf_bytes(&pool->records), 2};
    msg->type = MSG_HEADS;
    msg->heads.upto = 300;
    (msg++)->heads.heads = (struct list){buf_bytes(&pool->heads), 2};
    msg->type = MSG_WANT;
    (msg++)->want.audience = bytes_of_str("public");
    msg->type = MSG_WANT;
    msg->want.stream = UINT32_MAX;
    msg->want.m = msg->want.after_rev = UINT64_MAX;
    msg->want.has_after = true;
    msg->want.after_slug.bytes[15] = 3;
    msg->want.lab.bytes[3] = 4;
    (msg++)->want.audience = bytes_of_str("0.circle:a_b-c");
    (msg++)->type = MSG_DELTA;
    msg->type = MSG_DELTA;
    msg->delta.stream = 70000;
    msg->delta.entries = (struct list){buf_bytes(&pool->entries), 3};
    msg->delta.withdrawn = bytes_of(ones, (size_t) 16 * 20);
    (msg++)->delta.opening = (struct list){buf_bytes(&pool->opening), 99};
    (msg++)->type = MSG_DELTA_END;
    msg->type = MSG_DELTA_END;
    msg->delta_end.stream = 5;
    (msg++)->delta_end.head = bytes_of(ones, HEAD_SIZE_MAX);
    msg = repair_samples(pool, msg);
    msg->type = MSG_ACK;
    msg->ack.cursor = 1;
    (msg++)->ack.upto = 2;
    msg->type = MSG_PING;
    (msg++)->ping = 3;
    msg->type = MSG_PONG;
    (msg++)->ping = 1u << 31;
    msg->type = MSG_BYE;
    msg->bye.code = BYE_VERSION;
    (msg++)->bye.reason = bytes_of_str("l’été");
    (msg++)->type = MSG_REKEY;
    assert_ptr_equal(msg, ret_samples + SAMPLE_COUNT);
}

static void assert_list_equal(const struct list *a, const struct list *b)
{
    assert_int_equal(a->count, b->count);
    assert_true(bytes_equal(a->raw, b->raw));
}

static void assert_want_equal(const struct msg *a, const struct msg *b)
{
    assert_int_equal(a->want.stream, b->want.stream);
    assert_int_equal(a->want.m, b->want.m);
    assert_int_equal(a->want.after_rev, b->want.after_rev);
    assert_int_equal(a->want.has_after, b->want.has_after);
    assert_memory_equal(&a->want.after_slug, &b->want.after_slug, SLUG_HASH_SIZE);
    assert_memory_equal(&a->want.lab, &b->want.lab, KEY_SIZE);
    assert_true(bytes_equal(a->want.audience, b->want.audience));
}

static void assert_hello_equal(const struct msg *a, const struct msg *b)
{
    assert_int_equal(a->hello.version, b->hello.version);
    assert_int_equal(a->hello.features, b->hello.features);
    assert_int_equal(a->hello.generation, b->hello.generation);
    assert_int_equal(a->hello.holds, b->hello.holds);
    assert_int_equal(a->hello.cursor, b->hello.cursor);
    assert_memory_equal(&a->hello.network, &b->hello.network, HASH_SIZE);
    assert_memory_equal(&a->hello.lab, &b->hello.lab, KEY_SIZE);
    assert_true(bytes_equal(a->hello.record, b->hello.record));
    assert_memory_equal(a->hello.index, b->hello.index, INSTANCE_SIZE);
    assert_int_equal(a->hello.has_read_index, b->hello.has_read_index);
    assert_memory_equal(a->hello.read_index, b->hello.read_index, INSTANCE_SIZE);
}

static void assert_bucket_equal(const struct msg *a, const struct msg *b)
{
    assert_int_equal(a->bucket.stream, b->bucket.stream);
    assert_int_equal(a->bucket.n, b->bucket.n);
    assert_int_equal(a->bucket.bucket, b->bucket.bucket);
    assert_memory_equal(&a->bucket.lab, &b->bucket.lab, KEY_SIZE);
    assert_true(bytes_equal(a->bucket.audience, b->bucket.audience));
    assert_true(bytes_equal(a->bucket.pairs, b->bucket.pairs));
    assert_list_equal(&a->bucket.entries, &b->bucket.entries);
}

static void assert_msg_equal(const struct msg *a, const struct msg *b)
{
    assert_int_equal(a->type, b->type);
    switch (a->type) {
    case MSG_HELLO:
        assert_hello_equal(a, b);
        break;
    case MSG_RECEIPTS:
    case MSG_RECORDS:
        assert_list_equal(&a->records, &b->records);
        break;
    case MSG_HEADS:
        assert_int_equal(a->heads.upto, b->heads.upto);
        assert_list_equal(&a->heads.heads, &b->heads.heads);
        break;
    case MSG_WANT:
        assert_want_equal(a, b);
        break;
    case MSG_DELTA:
        assert_int_equal(a->delta.stream, b->delta.stream);
        assert_list_equal(&a->delta.entries, &b->delta.entries);
        assert_true(bytes_equal(a->delta.withdrawn, b->delta.withdrawn));
        assert_list_equal(&a->delta.opening, &b->delta.opening);
        break;
    case MSG_DELTA_END:
        assert_int_equal(a->delta_end.stream, b->delta_end.stream);
        assert_true(bytes_equal(a->delta_end.head, b->delta_end.head));
        break;
    case MSG_BUCKETS:
        assert_int_equal(a->buckets.stream, b->buckets.stream);
        assert_int_equal(a->buckets.n, b->buckets.n);
        assert_memory_equal(&a->buckets.lab, &b->buckets.lab, KEY_SIZE);
        assert_true(bytes_equal(a->buckets.audience, b->buckets.audience));
        assert_true(bytes_equal(a->buckets.digests, b->buckets.digests));
        break;
    case MSG_BUCKET:
        assert_bucket_equal(a, b);
        break;
    case MSG_PROOF:
        assert_int_equal(a->proof.size, b->proof.size);
        assert_int_equal(a->proof.offset, b->proof.offset);
        assert_memory_equal(&a->proof.lab, &b->proof.lab, KEY_SIZE);
        assert_true(bytes_equal(a->proof.part, b->proof.part));
        break;
    case MSG_ACK:
        assert_int_equal(a->ack.cursor, b->ack.cursor);
        assert_int_equal(a->ack.upto, b->ack.upto);
        break;
    case MSG_PING:
    case MSG_PONG:
        assert_int_equal(a->ping, b->ping);
        break;
    case MSG_BYE:
        assert_int_equal(a->bye.code, b->bye.code);
        assert_true(bytes_equal(a->bye.reason, b->bye.reason));
        break;
    default:
        assert_int_equal(a->type, MSG_REKEY);
    }
}

/* ---- what fits ---- */

static void every_message_decodes_to_what_was_encoded(void **state)
{
    struct msg wanted[SAMPLE_COUNT];
    samples(*state, wanted);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct buf bytes = {0}, again = {0};
        struct msg got;
        msg_encode(&wanted[i], &bytes);
        assert_int_equal(bytes.err, ERR_OK);
        assert_int_equal(msg_decode(buf_bytes(&bytes), &got), ERR_OK);
        assert_msg_equal(&got, &wanted[i]);
        msg_encode(&got, &again);
        assert_true(bytes_equal(buf_bytes(&bytes), buf_bytes(&again)));
        buf_done(&bytes);
        buf_done(&again);
    }
}

static void an_encoded_message_is_appended_to_what_stands_there(void **state)
{
    (void) state;
    struct buf bytes = {0};
    msg_encode(&(struct msg){.type = MSG_REKEY}, &bytes);
    msg_encode(&(struct msg){.type = MSG_PING, .ping = 200}, &bytes);
    static const uint8_t wanted[] = {0x91, 14, 0x92, 11, 0xcc, 200};
    assert_true(bytes_equal(buf_bytes(&bytes), BYTES_OF_ARRAY(wanted)));
    buf_done(&bytes);
}

static void lists_are_walked_item_by_item(void **state)
{
    const struct pool *pool = *state;
    struct list entries = {buf_bytes(&pool->entries), 3}, heads = {buf_bytes(&pool->heads), 2};
    struct list empty = {0};
    struct bytes item = {0};
    uint64_t arrival = 0;
    size_t at = 0;
    static const size_t sizes[] = {900, 40000, 1};
    for (size_t i = 0; i < 3; i++) {
        assert_true(list_next(&entries, &at, &item));
        assert_int_equal(item.size, sizes[i]);
        assert_memory_equal(item.data, ones, item.size);
    }
    assert_false(list_next(&entries, &at, &item));
    at = 0;
    assert_true(list_next_head(&heads, &at, &arrival, &item));
    assert_int_equal(arrival, 7);
    assert_int_equal(item.size, 300);
    assert_true(list_next_head(&heads, &at, &arrival, &item));
    assert_true(arrival == UINT64_MAX);
    assert_int_equal(item.size, HEAD_SIZE_MAX);
    assert_false(list_next_head(&heads, &at, &arrival, &item));
    at = 0;
    assert_false(list_next(&empty, &at, &item));
    assert_false(list_next_head(&empty, &at, &arrival, &item));
}

static void types_have_names(void **state)
{
    (void) state;
    assert_string_equal(msg_name(MSG_HELLO), "HELLO");
    assert_string_equal(msg_name(MSG_JOINED), "JOINED");
    assert_string_equal(msg_name(MSG_RECEIPTS), "RECEIPTS");
    assert_string_equal(msg_name((enum msg_type) 0), "?");
    assert_string_equal(msg_name((enum msg_type) 18), "?");
}

/* ---- what does not ---- */

static enum err decoded(const struct buf *buf)
{
    struct msg msg = {.type = (enum msg_type) 99};
    enum err err = msg_decode(buf_bytes(buf), &msg);
    assert_true(err == ERR_OK || msg.type == (enum msg_type) 99); /* written only on success */
    return err;
}

/* A message of `type` and `count` items in all, of which the caller packs the rest. */
static struct buf begun(unsigned type, size_t count)
{
    struct buf buf = {0};
    pack_array(&buf, count);
    pack_uint(&buf, type);
    return buf;
}

static void expect(struct buf buf, enum err err)
{
    assert_int_equal(buf.err, ERR_OK);
    assert_int_equal(decoded(&buf), err);
    buf_done(&buf);
}

static void every_truncation_and_every_trailing_byte_is_not_canonical(void **state)
{
    struct msg wanted[SAMPLE_COUNT];
    samples(*state, wanted);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct buf bytes = {0};
        msg_encode(&wanted[i], &bytes);
        size_t size = bytes.size;
        for (bytes.size = 0; bytes.size < size; bytes.size += 1 + bytes.size / 50) {
            assert_int_equal(decoded(&bytes), ERR_CANONICAL);
        }
        bytes.size = size;
        buf_put_u8(&bytes, 0xc0);
        expect(bytes, ERR_CANONICAL);
    }
}

static void every_wrong_count_of_items_is_malformed(void **state)
{
    struct msg wanted[SAMPLE_COUNT];
    samples(*state, wanted);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct buf bytes = {0};
        msg_encode(&wanted[i], &bytes);
        bytes.data[0]++;
        pack_nil(&bytes);
        expect(bytes, ERR_MALFORMED);
    }
    expect(begun(MSG_PING, 1), ERR_MALFORMED);
    expect(begun(MSG_HELLO, 1), ERR_MALFORMED);
}

/* Each item of each sample is replaced by values of every other type. */
static void every_item_of_a_wrong_type_is_malformed(void **state)
{
    static const struct {
        uint8_t packed[3];
        size_t size;
    } strangers[] = {{{0xc0}, 1},      {{0xc2}, 1},       {{0xff}, 1},    {{0x01}, 1},
                     {{0xa1, 'x'}, 2}, {{0xa0}, 1},       {{0xc4, 0}, 2}, {{0xc4, 1, 'x'}, 3},
                     {{0x90}, 1},      {{0x91, 0x01}, 2}, {{0x80}, 1}};
    struct msg wanted[SAMPLE_COUNT];
    samples(*state, wanted);
    unsigned accepted = 0, refused = 0;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct buf bytes = {0};
        msg_encode(&wanted[i], &bytes);
        struct bytes whole = buf_bytes(&bytes);
        size_t from = 2, to = 2;
        while (to < whole.size) {
            assert_int_equal(scan_skip(whole, &to), ERR_OK);
            for (size_t k = 0; k < sizeof strangers / sizeof strangers[0]; k++) {
                struct buf other = {0};
                struct msg msg;
                buf_put(&other, bytes_of(whole.data, from));
                buf_put(&other, bytes_of(strangers[k].packed, strangers[k].size));
                buf_put(&other, bytes_of(whole.data + to, whole.size - to));
                enum err err = msg_decode(buf_bytes(&other), &msg);
                if (err == ERR_OK) { /* a value that may stand there: it comes back the same */
                    struct buf again = {0};
                    msg_encode(&msg, &again);
                    assert_true(bytes_equal(buf_bytes(&other), buf_bytes(&again)));
                    buf_done(&again);
                    accepted++;
                } else {
                    assert_int_equal(err, ERR_MALFORMED);
                    refused++;
                }
                buf_done(&other);
            }
            from = to;
        }
        buf_done(&bytes);
    }
    assert_int_equal(accepted, 75); /* counted by hand from the table of the protocol */
    assert_true(refused > 6 * accepted);
}

static void unknown_types_are_malformed_and_reserved_ones_unsupported(void **state)
{
    (void) state;
    static const size_t counts[] = {[MSG_JOIN] = 3, [MSG_JOINED] = 2};
    for (size_t type = 0; type < sizeof counts / sizeof counts[0]; type++) {
        if (counts[type] > 0) {
            struct buf bytes = begun((unsigned) type, counts[type]);
            for (size_t i = 1; i < counts[type]; i++) {
                pack_uint(&bytes, 1);
            }
            expect(bytes, ERR_UNSUPPORTED);
        }
    }
    static const unsigned unknown[] = {0, 18, 200, 70000};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        expect(begun(unknown[i], 1), ERR_MALFORMED);
    }
    static const uint8_t strange[][3] = {{0x90},       {0x80},       {0x01},       {0xc0},
                                         {0x91, 0xff}, {0x91, 0xa0}, {0x91, 0x90}, {0x92, 0xc3, 1}};
    static const size_t sizes[] = {1, 1, 1, 1, 2, 2, 2, 3};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct msg msg;
        assert_int_equal(msg_decode(bytes_of(strange[i], sizes[i]), &msg), ERR_MALFORMED);
    }
}

static void expect_msg(const struct msg *msg, enum err err)
{
    struct buf bytes = {0};
    msg_encode(msg, &bytes);
    expect(bytes, err);
}

static void sizes_are_bounded_at_their_limits(void **state)
{
    (void) state;
    struct msg msg = {.type = MSG_HELLO, .hello.generation = 1};
    msg.hello.record = bytes_of(ones, RECORD_SIZE_MAX);
    expect_msg(&msg, ERR_OK);
    msg.hello.record.size++;
    expect_msg(&msg, ERR_MALFORMED);
    msg.hello.record.size = 0;
    expect_msg(&msg, ERR_OK);

    msg = (struct msg){.type = MSG_DELTA_END, .delta_end.head = {ones, HEAD_SIZE_MAX}};
    expect_msg(&msg, ERR_OK);
    msg.delta_end.head.size++;
    expect_msg(&msg, ERR_MALFORMED);

    msg = (struct msg){.type = MSG_BYE, .bye.reason = {(const uint8_t *) "", 0}};
    expect_msg(&msg, ERR_OK);
    static uint8_t reason[201];
    memset(reason, 'r', sizeof reason);
    msg.bye.reason = bytes_of(reason, 200);
    expect_msg(&msg, ERR_OK);
    msg.bye.reason.size = 201;
    expect_msg(&msg, ERR_MALFORMED);
    msg.bye.reason = bytes_of_str("two\nlines");
    expect_msg(&msg, ERR_MALFORMED);

    msg = (struct msg){.type = MSG_WANT, .want.audience = bytes_of_str("public")};
    msg.want.stream = UINT32_MAX;
    expect_msg(&msg, ERR_OK);
    msg.want.stream++;
    expect_msg(&msg, ERR_MALFORMED);
    msg.want.stream = 0;
    msg.want.audience = bytes_of_str("");
    expect_msg(&msg, ERR_MALFORMED);
    msg.want.audience = bytes_of_str("Public");
    expect_msg(&msg, ERR_MALFORMED);
    msg.want.audience = bytes_of(reason, AUDIENCE_SIZE_MAX);
    expect_msg(&msg, ERR_OK);
    msg.want.audience.size++;
    expect_msg(&msg, ERR_MALFORMED);
}

static void a_kept_part_has_both_its_numbers_or_neither(void **state)
{
    (void) state;
    struct msg msg = {.type = MSG_WANT, .want.audience = bytes_of_str("public")};
    msg.want.after_rev = 1;
    expect_msg(&msg, ERR_MALFORMED);
    msg.want.has_after = true;
    expect_msg(&msg, ERR_OK);
    msg.want.after_rev = 0;
    expect_msg(&msg, ERR_MALFORMED);
}

static void generation_0_needs_a_statement_in_the_records_place(void **state)
{
    (void) state;
    struct msg msg = {.type = MSG_HELLO};
    expect_msg(&msg, ERR_MALFORMED);
    msg.hello.record = bytes_of(ones, 1);
    expect_msg(&msg, ERR_OK);
    msg.hello.generation = 1;
    msg.hello.record.size = 0;
    expect_msg(&msg, ERR_OK);
}

static void a_repair_stays_within_its_bounds(void **state)
{
    (void) state;
    struct msg msg = {.type = MSG_BUCKETS, .buckets = {.n = 1, .audience = bytes_of_str("public")}};
    static const size_t digests_sizes[] = {0, 8192, 1, 32, 8191, 8193, 16384};
    for (size_t i = 0; i < 7; i++) {
        msg.buckets.digests = bytes_of(ones, digests_sizes[i]);
        expect_msg(&msg, i < 2 ? ERR_OK : ERR_MALFORMED);
    }
    msg.buckets.digests.size = 0;
    msg.buckets.n = 0;
    expect_msg(&msg, ERR_MALFORMED);
    msg.buckets.n = 1;
    msg.buckets.stream = 1ull << 32;
    expect_msg(&msg, ERR_MALFORMED);

    msg = (struct msg){.type = MSG_BUCKET, .bucket = {.n = 1, .audience = bytes_of_str("public")}};
    msg.bucket.bucket = 255;
    expect_msg(&msg, ERR_OK);
    msg.bucket.bucket = 256;
    expect_msg(&msg, ERR_MALFORMED);
    msg.bucket.bucket = 0;
    static const size_t pairs_sizes[] = {0, 48, 48 * 1363, 1, 47, 49, 48 * 1363 - 16};
    for (size_t i = 0; i < 7; i++) {
        msg.bucket.pairs = bytes_of(ones, pairs_sizes[i]);
        expect_msg(&msg, i < 3 ? ERR_OK : ERR_MALFORMED);
    }
    msg.bucket.pairs.size = 0;
    msg.bucket.n = 0;
    expect_msg(&msg, ERR_MALFORMED);
    msg.bucket.n = 1;
    static const size_t entry_sizes[] = {1, ENTRY_SIZE_MAX, 0, ENTRY_SIZE_MAX + 1};
    for (size_t i = 0; i < 4; i++) {
        struct buf entries = {0};
        list_put(&entries, bytes_of(ones, entry_sizes[i]));
        msg.bucket.entries = (struct list){buf_bytes(&entries), 1};
        expect_msg(&msg, i < 2 ? ERR_OK : ERR_MALFORMED);
        buf_done(&entries);
    }
}

static void a_bucket_number_above_32_bits_is_not_cut(void **state)
{
    (void) state;
    struct buf bytes = begun(MSG_BUCKET, 8);
    pack_uint(&bytes, 1);
    pack_bin(&bytes, bytes_of(ones, KEY_SIZE));
    pack_cstr(&bytes, "public");
    pack_uint(&bytes, 1);
    pack_uint(&bytes, (1ull << 32) + 5);
    pack_bin(&bytes, (struct bytes){0});
    pack_array(&bytes, 0);
    expect(bytes, ERR_MALFORMED);
}

static void a_part_lies_within_its_proof(void **state)
{
    (void) state;
    static const struct {
        uint64_t size, offset;
        size_t part_size;
        enum err err;
    } cases[] = {{1, 0, 1, ERR_OK},           {0, 0, 1, ERR_MALFORMED},
                 {1, 0, 0, ERR_MALFORMED},    {1, 1, 1, ERR_MALFORMED},
                 {1, 0, 2, ERR_MALFORMED},    {10, 7, 3, ERR_OK},
                 {10, 8, 3, ERR_MALFORMED},   {10, UINT64_MAX, 1, ERR_MALFORMED},
                 {524288, 524287, 1, ERR_OK}, {524289, 0, 1, ERR_MALFORMED},
                 {524288, 0, 61440, ERR_OK},  {524288, 0, 61441, ERR_MALFORMED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct msg msg = {.type = MSG_PROOF};
        msg.proof.size = cases[i].size;
        msg.proof.offset = cases[i].offset;
        msg.proof.part = bytes_of(ones, cases[i].part_size);
        expect_msg(&msg, cases[i].err);
    }
}

/* A DELTA with one item in each list and `withdrawn` bytes. */
static void expect_delta(size_t entry_size, size_t withdrawn_size, size_t hash_size, enum err err)
{
    struct buf entries = {0}, opening = {0};
    list_put(&entries, bytes_of(ones, entry_size));
    list_put(&opening, bytes_of(ones, hash_size));
    struct msg msg = {.type = MSG_DELTA,
                      .delta = {.entries = {buf_bytes(&entries), 1},
                                .withdrawn = {ones, withdrawn_size},
                                .opening = {buf_bytes(&opening), 1}}};
    expect_msg(&msg, err);
    buf_done(&entries);
    buf_done(&opening);
}

static void items_of_lists_are_bounded_at_their_limits(void **state)
{
    (void) state;
    expect_delta(ENTRY_SIZE_MAX, 16, 32, ERR_OK);
    expect_delta(ENTRY_SIZE_MAX + 1, 16, 32, ERR_MALFORMED);
    expect_delta(0, 16, 32, ERR_MALFORMED);
    expect_delta(1, 0, 32, ERR_OK);
    expect_delta(1, 15, 32, ERR_MALFORMED);
    expect_delta(1, 17, 32, ERR_MALFORMED);
    expect_delta(1, 32, 31, ERR_MALFORMED);
    expect_delta(1, 32, 33, ERR_OK);
    expect_delta(1, 32, 34, ERR_MALFORMED);
    expect_delta(1, 32, 9, ERR_MALFORMED);
    expect_delta(1, 32, 8, ERR_OK);
    expect_delta(1, 32, 7, ERR_MALFORMED);
    expect_delta(1, 32, 0, ERR_MALFORMED);
    static const size_t record_sizes[] = {0, 1, RECORD_SIZE_MAX, RECORD_SIZE_MAX + 1};
    static const size_t head_sizes[] = {0, 1, HEAD_SIZE_MAX, HEAD_SIZE_MAX + 1};
    static const size_t receipt_sizes[] = {0, 1, RECEIPT_SIZE_MAX, RECEIPT_SIZE_MAX + 1};
    for (size_t i = 0; i < 4; i++) {
        struct buf raw = {0}, heads = {0};
        list_put(&raw, bytes_of(ones, record_sizes[i]));
        struct msg msg = {.type = MSG_RECORDS, .records = {buf_bytes(&raw), 1}};
        expect_msg(&msg, i % 3 == 0 ? ERR_MALFORMED : ERR_OK);
        list_put_head(&heads, 1, bytes_of(ones, head_sizes[i]));
        msg = (struct msg){.type = MSG_HEADS, .heads.heads = {buf_bytes(&heads), 1}};
        expect_msg(&msg, i % 3 == 0 ? ERR_MALFORMED : ERR_OK);
        buf_clear(&raw);
        list_put(&raw, bytes_of(ones, receipt_sizes[i]));
        msg = (struct msg){.type = MSG_RECEIPTS, .receipts = {buf_bytes(&raw), 1}};
        expect_msg(&msg, i % 3 == 0 ? ERR_MALFORMED : ERR_OK);
        buf_done(&raw);
        buf_done(&heads);
    }
}

static void a_list_of_anything_but_its_items_is_malformed(void **state)
{
    (void) state;
    static const uint8_t pairs[][6] = {
        {0x91, 0x01},                   /* the head is missing */
        {0x93, 0x01, 0xc4, 0x01, 0, 0}, /* one item too many */
        {0x92, 0xff, 0xc4, 0x01, 0},    /* a negative arrival */
        {0x92, 0x01, 0xa1, 'x'},        /* str for bin */
        {0xc4, 0x01, 0},                /* no pair */
        {0x92, 0xc4, 0x01, 0, 0x01},    /* the wrong way round */
    };
    static const size_t sizes[] = {2, 6, 5, 4, 3, 5};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct msg msg = {.type = MSG_HEADS, .heads.heads = {bytes_of(pairs[i], sizes[i]), 1}};
        expect_msg(&msg, ERR_MALFORMED);
    }
}

static void a_message_over_the_largest_is_refused(void **state)
{
    (void) state;
    struct msg msg;
    assert_int_equal(msg_decode(bytes_of(ones, MSG_SIZE_MAX + 1), &msg), ERR_SIZE);
    assert_int_equal(msg_decode(bytes_of(ones, MSG_SIZE_MAX), &msg), ERR_CANONICAL);
    assert_int_equal(msg_decode(bytes_of(NULL, 0), &msg), ERR_CANONICAL);
}

static void flipped_bits_are_refused_or_are_another_message_of_the_same_bytes(void **state)
{
    struct msg wanted[SAMPLE_COUNT];
    samples(*state, wanted);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct buf bytes = {0};
        msg_encode(&wanted[i], &bytes);
        for (size_t bit = 0; bit < 8 * bytes.size; bit += bit < 3200 ? 1 : 1013) {
            struct msg msg;
            bytes.data[bit / 8] ^= (uint8_t) (1u << (bit % 8));
            if (msg_decode(buf_bytes(&bytes), &msg) == ERR_OK) {
                struct buf again = {0};
                msg_encode(&msg, &again);
                assert_true(bytes_equal(buf_bytes(&bytes), buf_bytes(&again)));
                buf_done(&again);
            }
            bytes.data[bit / 8] ^= (uint8_t) (1u << (bit % 8));
        }
        buf_done(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_decodes_to_what_was_encoded),
        cmocka_unit_test(an_encoded_message_is_appended_to_what_stands_there),
        cmocka_unit_test(lists_are_walked_item_by_item),
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(every_truncation_and_every_trailing_byte_is_not_canonical),
        cmocka_unit_test(every_wrong_count_of_items_is_malformed),
        cmocka_unit_test(every_item_of_a_wrong_type_is_malformed),
        cmocka_unit_test(unknown_types_are_malformed_and_reserved_ones_unsupported),
        cmocka_unit_test(sizes_are_bounded_at_their_limits),
        cmocka_unit_test(a_kept_part_has_both_its_numbers_or_neither),
        cmocka_unit_test(generation_0_needs_a_statement_in_the_records_place),
        cmocka_unit_test(a_repair_stays_within_its_bounds),
        cmocka_unit_test(a_bucket_number_above_32_bits_is_not_cut),
        cmocka_unit_test(a_part_lies_within_its_proof),
        cmocka_unit_test(items_of_lists_are_bounded_at_their_limits),
        cmocka_unit_test(a_list_of_anything_but_its_items_is_malformed),
        cmocka_unit_test(a_message_over_the_largest_is_refused),
        cmocka_unit_test(flipped_bits_are_refused_or_are_another_message_of_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, pool_setup, pool_teardown);
}
