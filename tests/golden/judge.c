/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/golden/judge.c: what proto/ makes of bytes: judge <LINES
 *
 * Reads lines `WHAT HEX`, answers each with `no`, or `ok` and what the bytes mean: numbers, b and s
 * with the hexadecimal of bin and str, - for nil, T and F, [ ] and { } around items. differ.py
 * beside it asks, and knows the answers from doc/protocol.md.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "base/limits.h"
#include "base/must.h"
#include "proto/did.h"
#include "proto/entry.h"
#include "proto/fields.h"
#include "proto/fork.h"
#include "proto/msg.h"
#include "proto/proof.h"
#include "proto/receipt.h"
#include "proto/recover.h"
#include "proto/scan.h"

static struct buf said;

/* ---- saying ---- */

static void say(const char *word)
{
    buf_printf(&said, " %s", word);
}

static void say_uint(uint64_t value)
{
    buf_printf(&said, " %" PRIu64, value);
}

static void say_bytes(char kind, struct bytes bytes)
{
    buf_printf(&said, " %c", kind);
    for (size_t i = 0; i < bytes.size; i++) {
        buf_printf(&said, "%02x", bytes.data[i]);
    }
}

static void say_bin(const void *data, size_t size)
{
    say_bytes('b', bytes_of(data, size));
}

/* nil where there is none. */
static void say_maybe(bool there, const void *data, size_t size)
{
    if (there) {
        say_bin(data, size);
    } else {
        say("-");
    }
}

static void say_leaf(const struct scan_item *item)
{
    if (item->kind == SCAN_NIL) {
        say("-");
    } else if (item->kind == SCAN_BOOL) {
        say(item->value != 0 ? "T" : "F");
    } else if (item->kind == SCAN_UINT) {
        say_uint(item->value);
    } else if (item->kind == SCAN_INT) {
        buf_printf(&said, " %" PRId64, item->negative);
    } else {
        say_bytes(item->kind == SCAN_STR ? 's' : 'b', item->bytes);
    }
}

/* One canonical value, as scan_next reads it. */
static void say_value(struct bytes bytes)
{
    uint64_t left[PACK_DEPTH_MAX + 2];
    const char *end[PACK_DEPTH_MAX + 2];
    unsigned depth = 0;
    size_t at = 0;
    do {
        struct scan_item item;
        must(scan_next(bytes, &at, &item) == ERR_OK);
        if (item.kind == SCAN_ARRAY || item.kind == SCAN_MAP) {
            bool is_map = item.kind == SCAN_MAP;
            must(depth < sizeof left / sizeof *left);
            say(is_map ? "{" : "[");
            end[depth] = is_map ? "}" : "]";
            left[depth++] = is_map ? 2 * item.value : item.value;
        } else {
            say_leaf(&item);
            left[depth > 0 ? depth - 1 : 0] -= depth > 0;
        }
        while (depth > 0 && left[depth - 1] == 0) {
            say(end[--depth]);
            left[depth > 0 ? depth - 1 : 0] -= depth > 0;
        }
    } while (depth > 0);
    must(at == bytes.size);
}

static void say_list(const struct list *list)
{
    size_t at = 0;
    struct bytes item;
    say("[");
    while (list_next(list, &at, &item)) {
        say_bytes('b', item);
    }
    say("]");
}

/* ---- signed objects ---- */

static void say_record(const struct lab_record *record)
{
    say_bin(record->lab.bytes, KEY_SIZE);
    say_uint(record->generation);
    say_bytes('s', record->name);
    say_bin(record->signing_pk, KEY_SIZE);
    say_bin(record->link_pk, KEY_SIZE);
    say_uint(record->issued_at);
    say("[");
    for (unsigned i = 0; i < record->last_good_count; i++) {
        const struct last_good *good = &record->last_good[i];
        say("[");
        say_bin(good->network.bytes, HASH_SIZE);
        say_bytes('s', good->audience);
        say_uint(good->n);
        say_bin(good->head_hash.bytes, HASH_SIZE);
        say("]");
    }
    say("]");
}

static void say_head(const struct head *head)
{
    say_bin(head->network.bytes, HASH_SIZE);
    say_bin(head->lab.bytes, KEY_SIZE);
    say_uint(head->generation);
    say_bytes('s', bytes_of_str(head->audience));
    say_uint(head->n);
    say_uint(head->count);
    say_uint(head->bytes);
    say_bin(head->root.bytes, HASH_SIZE);
    say_bin(head->history.bytes, HASH_SIZE);
    say_uint(head->issued_at);
    say_bin(head->instance, INSTANCE_SIZE);
    say_bin(head->hash.bytes, HASH_SIZE);
}

static enum err judge_record(struct bytes bytes)
{
    struct lab_record record;
    enum err err = lab_record_open(bytes, &record);
    if (err == ERR_OK) {
        say_record(&record);
    }
    return err;
}

static enum err judge_record_form(struct bytes bytes)
{
    struct lab_record record;
    enum err err = lab_record_peek(bytes, &record);
    if (err == ERR_OK) {
        say_record(&record);
    }
    return err;
}

static enum err judge_head_form(struct bytes bytes)
{
    struct head head;
    enum err err = head_peek(bytes, &head);
    if (err == ERR_OK) {
        say_head(&head);
    }
    return err;
}

/* The key comes first. */
static enum err judge_head(struct bytes bytes)
{
    struct head head;
    if (bytes.size < KEY_SIZE) {
        return ERR_INVALID;
    }
    enum err err =
        head_open(bytes_of(bytes.data + KEY_SIZE, bytes.size - KEY_SIZE), bytes.data, &head);
    if (err == ERR_OK) {
        say_head(&head);
    }
    return err;
}

static enum err judge_recover(struct bytes bytes)
{
    struct lab_id lab;
    uint8_t link_pk[KEY_SIZE];
    uint64_t issued_at = 0;
    enum err err = recover_open(bytes, &lab, link_pk, &issued_at);
    if (err == ERR_OK) {
        say_bin(lab.bytes, KEY_SIZE);
        say_bin(link_pk, KEY_SIZE);
        say_uint(issued_at);
    }
    return err;
}

/* ---- what stands on them ---- */

static void say_receipt(const struct receipt *receipt)
{
    size_t at = 0;
    struct receipt_row row;
    say_bin(receipt->lab.bytes, KEY_SIZE);
    say_uint(receipt->generation);
    say_uint(receipt->number);
    say_uint(receipt->issued_at);
    say_bin(receipt->network.bytes, HASH_SIZE);
    say("[");
    while (receipt_next(receipt, &at, &row)) {
        say("[");
        say_bin(row.lab.bytes, KEY_SIZE);
        say_bytes('s', row.audience);
        say_uint(row.generation);
        say_uint(row.n);
        say("]");
    }
    say("]");
}

static enum err judge_receipt_form(struct bytes bytes)
{
    struct receipt receipt;
    enum err err = receipt_peek(bytes, &receipt);
    if (err == ERR_OK) {
        say_receipt(&receipt);
    }
    return err;
}

/* The key comes first. */
static enum err judge_receipt(struct bytes bytes)
{
    struct receipt receipt;
    if (bytes.size < KEY_SIZE) {
        return ERR_INVALID;
    }
    enum err err =
        receipt_open(bytes_of(bytes.data + KEY_SIZE, bytes.size - KEY_SIZE), bytes.data, &receipt);
    if (err == ERR_OK) {
        say_receipt(&receipt);
    }
    return err;
}

static enum err judge_fork(struct bytes bytes)
{
    struct forked forked;
    enum err err = fork_verify(bytes, &forked);
    if (err == ERR_OK) {
        say_bin(forked.record.lab.bytes, KEY_SIZE);
        say_uint(forked.k);
        say(forked.exact ? "T" : "F");
        say_bin(forked.a.hash.bytes, HASH_SIZE);
        say_bin(forked.b.hash.bytes, HASH_SIZE);
        say_bin(forked.a_at_k.bytes, HASH_SIZE);
        say_bin(forked.b_at_k.bytes, HASH_SIZE);
    }
    return err;
}

static enum err judge_proof(struct bytes bytes)
{
    struct proven proven;
    enum err err = proof_verify(bytes, &proven);
    if (err == ERR_OK) {
        say_bin(proven.record.lab.bytes, KEY_SIZE);
        say_bin(proven.head.hash.bytes, HASH_SIZE);
        say_bytes('s', proven.slug);
        say_maybe(proven.present, proven.leaf.bytes, HASH_SIZE);
    }
    return err;
}

/* [from, history(from), [item …], n, history(n)]: do the items lead from the one to the other? */
static enum err judge_opening(struct bytes bytes)
{
    defer(opening_done) struct opening opening = {0};
    struct hash history_from = {0}, history_n = {0};
    struct fields fields = fields_of(bytes);
    fields_expect(&fields, 5);
    uint64_t from = fields_uint(&fields);
    must(fields.err == ERR_OK && from >= 1);
    opening_begin(&opening, from);
    fields_copy(&fields, history_from.bytes, HASH_SIZE);
    uint64_t count = fields_array(&fields);
    enum err err = ERR_OK;
    for (uint64_t i = 0; i < count; i++) {
        struct bytes item = fields_bin(&fields);
        err = err == ERR_OK ? opening_add(&opening, item) : err;
    }
    uint64_t n = fields_uint(&fields);
    fields_copy(&fields, history_n.bytes, HASH_SIZE);
    must(fields_end(&fields) == ERR_OK);
    return err != ERR_OK ? err : opening_check(&opening, &history_from, NULL, NULL, n, &history_n);
}

static enum err judge_entry(struct bytes bytes)
{
    struct entry entry;
    enum err err = entry_decode(bytes, &entry);
    if (err == ERR_OK) {
        struct hash leaf = entry_leaf(bytes);
        struct slug_hash slug_hash = hash_slug(entry.slug);
        say_bytes('s', entry.slug);
        say_uint(entry.rev);
        say_bytes('s', entry.kind);
        say_value(entry.body);
        say_bin(slug_hash.bytes, SLUG_HASH_SIZE);
        say_bin(leaf.bytes, HASH_SIZE);
    }
    return err;
}

static enum err judge_value(struct bytes bytes)
{
    static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX,
                                              .nodes_max = BODY_NODES_MAX};
    enum err err = scan_strict(bytes, limits);
    if (err == ERR_OK) {
        say_value(bytes);
    }
    return err;
}

static enum err judge_did(struct bytes bytes)
{
    struct lab_id lab;
    enum err err = did_decode(bytes, &lab);
    if (err == ERR_OK) {
        say_bin(lab.bytes, KEY_SIZE);
    }
    return err;
}

/* ---- messages ---- */

static void say_hello(const struct msg *msg)
{
    say_uint(msg->hello.version);
    say_uint(msg->hello.features);
    say_bin(msg->hello.network.bytes, HASH_SIZE);
    say_bin(msg->hello.lab.bytes, KEY_SIZE);
    say_uint(msg->hello.generation);
    say_maybe(msg->hello.record.size > 0, msg->hello.record.data, msg->hello.record.size);
    say_uint(msg->hello.holds);
    say_bin(msg->hello.index, INSTANCE_SIZE);
    say_maybe(msg->hello.has_read_index, msg->hello.read_index, INSTANCE_SIZE);
    say_uint(msg->hello.cursor);
}

static void say_heads(const struct msg *msg)
{
    size_t at = 0;
    uint64_t arrival = 0;
    struct bytes head;
    say_uint(msg->heads.upto);
    say("[");
    while (list_next_head(&msg->heads.heads, &at, &arrival, &head)) {
        say("[");
        say_uint(arrival);
        say_bytes('b', head);
        say("]");
    }
    say("]");
}

static void say_delta(const struct msg *msg)
{
    if (msg->type == MSG_WANT) {
        say_uint(msg->want.stream);
        say_bin(msg->want.lab.bytes, KEY_SIZE);
        say_bytes('s', msg->want.audience);
        say_uint(msg->want.m);
        say_uint(msg->want.after_rev);
        say_maybe(msg->want.has_after, msg->want.after_slug.bytes, SLUG_HASH_SIZE);
    } else if (msg->type == MSG_DELTA) {
        say_uint(msg->delta.stream);
        say_list(&msg->delta.entries);
        say_bytes('b', msg->delta.withdrawn);
        say_list(&msg->delta.opening);
    } else {
        say_uint(msg->delta_end.stream);
        say_maybe(msg->delta_end.head.size > 0, msg->delta_end.head.data, msg->delta_end.head.size);
    }
}

static void say_repair(const struct msg *msg)
{
    if (msg->type == MSG_BUCKETS) {
        say_uint(msg->buckets.stream);
        say_bin(msg->buckets.lab.bytes, KEY_SIZE);
        say_bytes('s', msg->buckets.audience);
        say_uint(msg->buckets.n);
        say_bytes('b', msg->buckets.digests);
    } else if (msg->type == MSG_BUCKET) {
        say_uint(msg->bucket.stream);
        say_bin(msg->bucket.lab.bytes, KEY_SIZE);
        say_bytes('s', msg->bucket.audience);
        say_uint(msg->bucket.n);
        say_uint(msg->bucket.bucket);
        say_bytes('b', msg->bucket.pairs);
        say_list(&msg->bucket.entries);
    } else {
        say_bin(msg->proof.lab.bytes, KEY_SIZE);
        say_uint(msg->proof.size);
        say_uint(msg->proof.offset);
        say_bytes('b', msg->proof.part);
    }
}

static void say_rest(const struct msg *msg)
{
    if (msg->type == MSG_ACK) {
        say_uint(msg->ack.cursor);
        say_uint(msg->ack.upto);
    } else if (msg->type == MSG_BYE) {
        say_uint(msg->bye.code);
        say_bytes('s', msg->bye.reason);
    } else if (msg->type == MSG_PING || msg->type == MSG_PONG) {
        say_uint(msg->ping);
    } else {
        must(msg->type == MSG_REKEY); /* a new type has its words above */
    }
}

static enum err judge_message(struct bytes bytes)
{
    struct msg msg;
    enum err err = msg_decode(bytes, &msg);
    if (err != ERR_OK) {
        return err;
    }
    say_uint(msg.type);
    if (msg.type == MSG_HELLO) {
        say_hello(&msg);
    } else if (msg.type == MSG_RECORDS) {
        say_list(&msg.records);
    } else if (msg.type == MSG_RECEIPTS) {
        say_list(&msg.receipts);
    } else if (msg.type == MSG_HEADS) {
        say_heads(&msg);
    } else if (msg.type == MSG_WANT || msg.type == MSG_DELTA || msg.type == MSG_DELTA_END) {
        say_delta(&msg);
    } else if (msg.type == MSG_BUCKETS || msg.type == MSG_BUCKET || msg.type == MSG_PROOF) {
        say_repair(&msg);
    } else {
        say_rest(&msg);
    }
    return ERR_OK;
}

/* ---- lines ---- */

static const struct {
    const char *what;
    enum err (*judge)(struct bytes bytes);
} judges[] = {
    {"did", judge_did},
    {"entry", judge_entry},
    {"fork", judge_fork},
    {"head", judge_head},
    {"head-form", judge_head_form},
    {"message", judge_message},
    {"opening", judge_opening},
    {"proof", judge_proof},
    {"receipt", judge_receipt},
    {"receipt-form", judge_receipt_form},
    {"record", judge_record},
    {"record-form", judge_record_form},
    {"recover", judge_recover},
    {"value", judge_value},
};

static uint8_t nibble(char digit)
{
    return (uint8_t) (digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* The bytes in a block of exactly their size, for the address sanitizer. */
static void line_judge(const char *what, const char *hex)
{
    size_t size = strlen(hex) / 2, i = 0;
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    must(bytes != NULL);
    for (size_t k = 0; k < size; k++) {
        bytes[k] = (uint8_t) (nibble(hex[2 * k]) << 4 | nibble(hex[2 * k + 1]));
    }
    while (i < sizeof judges / sizeof *judges && strcmp(judges[i].what, what) != 0) {
        i++;
    }
    must(i < sizeof judges / sizeof *judges);
    buf_clear(&said);
    enum err err = judges[i].judge(bytes_of(bytes, size));
    must(said.err == ERR_OK);
    if (err == ERR_OK) {
        (void) printf("ok%.*s\n", (int) said.size, said.size > 0 ? (const char *) said.data : "");
    } else {
        (void) puts("no");
    }
    free(bytes);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t size = 0;
    while ((size = getline(&line, &cap, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *hex = strchr(line, ' ');
        must(hex != NULL);
        *hex = '\0';
        line_judge(line, hex + 1);
    }
    free(line);
    buf_done(&said);
    return 0;
}
