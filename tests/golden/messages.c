/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/golden/messages.c: every type of message, each in its forms; and the reserved types, which
 * only their shape is known of. */
#include "base/defer.h"
#include "base/must.h"
#include "proto/entry.h"
#include "proto/fork.h"
#include "proto/msg.h"
#include "proto/pack.h"
#include "proto/recover.h"
#include "proto/root.h"
#include "tests/golden/golden.h"

static void bytes_out(struct golden *golden, const char *name, struct bytes bytes)
{
    out_open(&golden->out, NULL, '{');
    out_text(&golden->out, "name", name);
    out_hex(&golden->out, "bytes", bytes);
    out_value(&golden->out, "value", bytes);
    out_close(&golden->out, '}');
}

/* encode, decode, encode: the same bytes. */
static void message_out(struct golden *golden, const struct msg *msg)
{
    defer(buf_done) struct buf bytes = {0}, again = {0};
    struct msg decoded;
    msg_encode(msg, &bytes);
    must(bytes.err == ERR_OK);
    enum err err = msg_decode(buf_bytes(&bytes), &decoded);
    must(err == ERR_OK);
    msg_encode(&decoded, &again);
    must(bytes_equal(buf_bytes(&bytes), buf_bytes(&again)));
    bytes_out(golden, msg_name(msg->type), buf_bytes(&bytes));
}

static void hellos_out(struct golden *golden)
{
    struct msg msg = {.type = MSG_HELLO};
    msg.hello.version = 1;
    msg.hello.generation = 1;
    memcpy(msg.hello.lab.bytes, golden->a.root_public, KEY_SIZE);
    memset(msg.hello.index, 0x55, INSTANCE_SIZE);
    msg.hello.record = buf_bytes(&golden->a.record);
    message_out(golden, &msg);
    msg.hello.record = (struct bytes){0};
    msg.hello.features = UINT64_MAX;
    msg.hello.holds = 2;
    msg.hello.has_read_index = true;
    memset(msg.hello.read_index, 0x66, INSTANCE_SIZE);
    msg.hello.cursor = 123456789;
    message_out(golden, &msg);
    defer(buf_done) struct buf recovery = {0}; /* the server is lost: a statement for a record */
    enum err err = recover_sign(&msg.hello.lab, golden->a.root_secret, golden->b.link_public,
                                1735690001, &recovery);
    must(err == ERR_OK);
    msg.hello.generation = msg.hello.features = msg.hello.holds = msg.hello.cursor = 0;
    msg.hello.has_read_index = false;
    msg.hello.record = buf_bytes(&recovery);
    message_out(golden, &msg);
}

static void announcements_out(struct golden *golden)
{
    defer(buf_done) struct buf raw = {0};
    struct msg msg = {.type = MSG_RECORDS};
    message_out(golden, &msg);
    list_put(&raw, buf_bytes(&golden->a.record));
    list_put(&raw, buf_bytes(&golden->b.record));
    msg.records = (struct list){.raw = buf_bytes(&raw), .count = 2};
    message_out(golden, &msg);
    msg = (struct msg){.type = MSG_RECEIPTS};
    msg.receipts = (struct list){.raw = buf_bytes(&raw), .count = 2};
    message_out(golden, &msg);
    msg = (struct msg){.type = MSG_HEADS};
    msg.heads.upto = 7;
    message_out(golden, &msg);
    buf_clear(&raw);
    list_put_head(&raw, 8, buf_bytes(&golden->chain[0]));
    list_put_head(&raw, 300, buf_bytes(&golden->chain[5]));
    msg.heads.upto = 301;
    msg.heads.heads = (struct list){.raw = buf_bytes(&raw), .count = 2};
    message_out(golden, &msg);
}

static void fetch_out(struct golden *golden)
{
    struct msg msg = {.type = MSG_WANT};
    msg.want.stream = 1;
    msg.want.audience = bytes_of_str("public");
    memcpy(msg.want.lab.bytes, golden->a.root_public, KEY_SIZE);
    message_out(golden, &msg);
    msg.want.stream = UINT32_MAX;
    msg.want.m = 3;
    msg.want.after_rev = 300;
    msg.want.has_after = true;
    msg.want.after_slug = hash_slug(bytes_of_str("geotrek"));
    message_out(golden, &msg);
    defer(buf_done) struct buf entries = {0}, opening = {0}, withdrawn = {0};
    for (unsigned i = 0; i < GOLDEN_ENTRIES; i++) {
        list_put(&entries, buf_bytes(&golden->entries[i]));
        struct entry entry;
        must(entry_decode(buf_bytes(&golden->entries[i]), &entry) == ERR_OK);
        struct slug_hash slug_hash = hash_slug(entry.slug);
        struct hash leaf = entry_leaf(buf_bytes(&golden->entries[i]));
        struct hint hint = hash_hint(&slug_hash, &leaf);
        buf_put(&withdrawn, BYTES_OF_ARRAY(hint.bytes));
        list_put(&opening, BYTES_OF_ARRAY(golden->heads[i].hash.bytes));
    }
    static const uint8_t k[8] = {[7] = 2}, side[OPENING_ITEM_MAX] = {OPENING_SIDE_MARK};
    list_put(&opening, BYTES_OF_ARRAY(k));
    list_put(&opening, BYTES_OF_ARRAY(side));
    msg = (struct msg){.type = MSG_DELTA};
    msg.delta.stream = 1;
    message_out(golden, &msg);
    msg.delta.entries = (struct list){.raw = buf_bytes(&entries), .count = GOLDEN_ENTRIES};
    msg.delta.withdrawn = buf_bytes(&withdrawn);
    msg.delta.opening = (struct list){.raw = buf_bytes(&opening), .count = GOLDEN_ENTRIES + 2};
    message_out(golden, &msg);
    msg = (struct msg){.type = MSG_DELTA_END};
    msg.delta_end.stream = 1;
    message_out(golden, &msg);
    msg.delta_end.head = buf_bytes(&golden->chain[5]);
    message_out(golden, &msg);
}

static void small_out(struct golden *golden)
{
    struct msg msg = {.type = MSG_ACK};
    msg.ack.cursor = 300;
    msg.ack.upto = UINT64_MAX;
    message_out(golden, &msg);
    msg = (struct msg){.type = MSG_PING};
    msg.ping = 42;
    message_out(golden, &msg);
    msg = (struct msg){.type = MSG_PONG};
    msg.ping = UINT64_MAX;
    message_out(golden, &msg);
    msg = (struct msg){.type = MSG_BYE};
    message_out(golden, &msg);
    msg.bye.code = BYE_PROTOCOL;
    msg.bye.reason = bytes_of_str("malformé");
    message_out(golden, &msg);
    msg = (struct msg){.type = MSG_REKEY};
    message_out(golden, &msg);
}

static void repair_out(struct golden *golden)
{
    struct digests digests;
    defer(buf_done) struct buf entries = {0}, pairs = {0};
    struct msg msg = {.type = MSG_BUCKETS};
    digests_init(&digests);
    msg.buckets.stream = 5;
    memcpy(msg.buckets.lab.bytes, golden->a.root_public, KEY_SIZE);
    msg.buckets.audience = bytes_of_str("public");
    msg.buckets.n = 6;
    message_out(golden, &msg);
    msg.buckets.n = UINT64_MAX;
    msg.buckets.digests = bytes_of(digests.buckets, sizeof digests.buckets);
    message_out(golden, &msg);
    msg = (struct msg){.type = MSG_BUCKET};
    msg.bucket.stream = UINT32_MAX;
    memcpy(msg.bucket.lab.bytes, golden->a.root_public, KEY_SIZE);
    msg.bucket.audience = bytes_of_str("public");
    msg.bucket.n = 1;
    message_out(golden, &msg);
    for (unsigned i = 0; i < 2; i++) {
        list_put(&entries, buf_bytes(&golden->entries[i]));
        uint8_t pair[PAIR_SIZE];
        memset(pair, (int) (0x70 + i), sizeof pair);
        buf_put(&pairs, BYTES_OF_ARRAY(pair));
    }
    msg.bucket.bucket = BUCKET_COUNT - 1;
    msg.bucket.pairs = buf_bytes(&pairs);
    msg.bucket.entries = (struct list){.raw = buf_bytes(&entries), .count = 2};
    message_out(golden, &msg);
}

static void proofs_out(struct golden *golden)
{
    struct msg msg = {.type = MSG_PROOF};
    memcpy(msg.proof.lab.bytes, golden->a.root_public, KEY_SIZE);
    msg.proof.size = 1;
    msg.proof.part = bytes_of_str("p");
    message_out(golden, &msg);
    msg.proof.size = FORK_SIZE_MAX;
    msg.proof.offset = FORK_SIZE_MAX - 3;
    msg.proof.part = bytes_of_str("end");
    message_out(golden, &msg);
}

/* Shape only: this version refuses them. */
static void reserved_out(struct golden *golden)
{
    static const enum msg_type types[] = {MSG_JOIN, MSG_JOINED};
    for (unsigned i = 0; i < 2; i++) {
        defer(buf_done) struct buf bytes = {0};
        pack_array(&bytes, types[i] == MSG_JOIN ? 3 : 2);
        pack_uint(&bytes, types[i]);
        if (types[i] == MSG_JOIN) {
            pack_bin(&bytes, bytes_of_str("token"));
        }
        pack_bin(&bytes, buf_bytes(&golden->b.record));
        struct msg msg;
        enum err err = msg_decode(buf_bytes(&bytes), &msg);
        must(err == ERR_UNSUPPORTED);
        bytes_out(golden, msg_name(types[i]), buf_bytes(&bytes));
    }
}

void golden_messages(struct golden *golden)
{
    out_open(&golden->out, "messages", '[');
    hellos_out(golden);
    announcements_out(golden);
    fetch_out(golden);
    repair_out(golden);
    proofs_out(golden);
    small_out(golden);
    out_close(&golden->out, ']');
    out_open(&golden->out, "reserved", '[');
    reserved_out(golden);
    out_close(&golden->out, ']');
}
