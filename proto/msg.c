/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/msg.c: encoder and decoder are two walks over one table of slots.
 *
 * Happy path: one strict scan over the whole message, then one step per item; a bin is jumped over,
 * so an entry inside a DELTA costs its head only. How it fails: see msg.h; ret_msg is written only
 * when everything fits.
 */
#include "proto/msg.h"

#include "base/must.h"
#include "base/utf8.h"
#include "proto/entry.h"
#include "proto/fork.h"
#include "proto/pack.h"
#include "proto/root.h"
#include "proto/scan.h"

#define STREAM_MAX UINT32_MAX
#define REASON_SIZE_MAX 200
#define SLOTS_MAX 10
#define DIGESTS_SIZE (BUCKET_COUNT * HASH_SIZE)

enum slot_kind {
    SLOT_END,
    SLOT_UINT,        /* uint64_t, min to max */
    SLOT_UNSIGNED,    /* the same in an unsigned */
    SLOT_COPY,        /* bin of exactly max bytes, copied */
    SLOT_COPY_NIL,    /* the same or nil; the bool at `has` tells */
    SLOT_BIN,         /* bin of min to max bytes, a multiple of `step` */
    SLOT_BIN_NIL,     /* bin of min to max bytes, or nil: size 0 */
    SLOT_AUDIENCE,    /* str */
    SLOT_LINE,        /* str of at most max bytes, one line */
    SLOT_LIST,        /* array of bin of min to max bytes */
    SLOT_LIST_HEADS,  /* array of [uint, bin of min to max bytes] */
    SLOT_LIST_OPENING /* array of bin of 8, 32 or 33 bytes */
};

/* One item of a message: where it stands in struct msg, and its bounds. */
struct slot {
    enum slot_kind kind;
    uint64_t min, max;
    size_t at, has, step;
};

/* clang-format off */
#define AT(member) offsetof(struct msg, member)
#define UINT(member)          {SLOT_UINT, 0, UINT64_MAX, AT(member), 0, 0}
#define COUNTED(member)       {SLOT_UINT, 1, UINT64_MAX, AT(member), 0, 0}
#define SIZE(member, high)    {SLOT_UINT, 1, high, AT(member), 0, 0}
#define STREAM(member)        {SLOT_UINT, 0, STREAM_MAX, AT(member), 0, 0}
#define COPY(member, size)    {SLOT_COPY, size, size, AT(member), 0, 0}
#define COPY_NIL(member, size, flag) {SLOT_COPY_NIL, size, size, AT(member), AT(flag), 0}
#define BIN_NIL(member, size) {SLOT_BIN_NIL, 1, size, AT(member), 0, 0}
#define NUMBER(member, high)  {SLOT_UNSIGNED, 0, high, AT(member), 0, 0}
#define BIN(member, low, high, step) {SLOT_BIN, low, high, AT(member), 0, step}
#define OPENING(member)       {SLOT_LIST_OPENING, 8, OPENING_ITEM_MAX, AT(member), 0, 0}
#define AUDIENCE(member)      {SLOT_AUDIENCE, 1, AUDIENCE_SIZE_MAX, AT(member), 0, 0}
#define LINE(member, size)    {SLOT_LINE, 0, size, AT(member), 0, 0}
#define LIST(member, low, high) {SLOT_LIST, low, high, AT(member), 0, 0}
#define HEADS(member)         {SLOT_LIST_HEADS, 1, HEAD_SIZE_MAX, AT(member), 0, 0}

static const struct slot slots[][SLOTS_MAX + 1] = {
    [MSG_HELLO] = {UINT(hello.version), UINT(hello.features), COPY(hello.network, HASH_SIZE),
                   COPY(hello.lab, KEY_SIZE), UINT(hello.generation),
                   BIN_NIL(hello.record, RECORD_SIZE_MAX), UINT(hello.holds),
                   COPY(hello.index, INSTANCE_SIZE),
                   COPY_NIL(hello.read_index, INSTANCE_SIZE, hello.has_read_index),
                   UINT(hello.cursor)},
    [MSG_RECORDS] = {LIST(records, 1, RECORD_SIZE_MAX)},
    [MSG_HEADS] = {UINT(heads.upto), HEADS(heads.heads)},
    [MSG_WANT] = {STREAM(want.stream), COPY(want.lab, KEY_SIZE), AUDIENCE(want.audience),
                  UINT(want.m), UINT(want.after_rev),
                  COPY_NIL(want.after_slug, SLUG_HASH_SIZE, want.has_after)},
    [MSG_DELTA] = {STREAM(delta.stream), LIST(delta.entries, 1, ENTRY_SIZE_MAX),
                   BIN(delta.withdrawn, 0, MSG_SIZE_MAX, HINT_SIZE), OPENING(delta.opening)},
    [MSG_DELTA_END] = {STREAM(delta_end.stream), BIN_NIL(delta_end.head, HEAD_SIZE_MAX)},
    [MSG_BUCKETS] = {STREAM(buckets.stream), COPY(buckets.lab, KEY_SIZE),
                     AUDIENCE(buckets.audience), COUNTED(buckets.n),
                     BIN(buckets.digests, 0, DIGESTS_SIZE, DIGESTS_SIZE)},
    [MSG_BUCKET] = {STREAM(bucket.stream), COPY(bucket.lab, KEY_SIZE), AUDIENCE(bucket.audience),
                    COUNTED(bucket.n), NUMBER(bucket.bucket, BUCKET_COUNT - 1),
                    BIN(bucket.pairs, 0, MSG_SIZE_MAX, PAIR_SIZE),
                    LIST(bucket.entries, 1, ENTRY_SIZE_MAX)},
    [MSG_PROOF] = {COPY(proof.lab, KEY_SIZE), SIZE(proof.size, FORK_SIZE_MAX), UINT(proof.offset),
                   BIN(proof.part, 1, PROOF_PART_SIZE_MAX, 1)},
    [MSG_ACK] = {UINT(ack.cursor), UINT(ack.upto)},
    [MSG_PING] = {UINT(ping)},
    [MSG_PONG] = {UINT(ping)},
    [MSG_BYE] = {UINT(bye.code), LINE(bye.reason, REASON_SIZE_MAX)},
    [MSG_RECEIPTS] = {LIST(receipts, 1, RECEIPT_SIZE_MAX)}, /* the reserved types have no slots */
};

#define ROW(number, name, items) [number] = {#name, items},
static const struct {
    const char *name;
    uint64_t item_count; /* the type included; 0: no such type */
} rows[] = {MSG_TABLE(ROW)};
/* clang-format on */
#define ROW_COUNT (sizeof rows / sizeof rows[0])
_Static_assert(sizeof slots / sizeof slots[0] == ROW_COUNT, "a row of slots for every type");

static const struct scan_limits limits = {.depth_max = MSG_DEPTH_MAX, .nodes_max = MSG_NODES_MAX};

const char *msg_name(enum msg_type type)
{
    return (size_t) type < ROW_COUNT && rows[type].item_count > 0 ? rows[type].name : "?";
}

/* A type of the table that this version does not speak. REKEY alone has no items at all. */
static bool reserved(enum msg_type type)
{
    return slots[type][0].kind == SLOT_END && rows[type].item_count > 1;
}

/* ---- encode ---- */

static void slot_put(const struct slot *slot, const struct msg *msg, struct buf *into)
{
    const uint8_t *base = (const uint8_t *) msg;
    const void *at = base + slot->at;
    const struct bytes *bytes = at; /* or what the kind says */
    const struct list *list = at;
    switch (slot->kind) {
    case SLOT_UINT:
        pack_uint(into, *(const uint64_t *) at);
        break;
    case SLOT_UNSIGNED:
        pack_uint(into, *(const unsigned *) at);
        break;
    case SLOT_COPY_NIL:
        if (!*(const bool *) (base + slot->has)) {
            pack_nil(into);
            break;
        }
        pack_bin(into, bytes_of(at, (size_t) slot->max));
        break;
    case SLOT_COPY:
        pack_bin(into, bytes_of(at, (size_t) slot->max));
        break;
    case SLOT_BIN_NIL:
        if (bytes->size == 0) {
            pack_nil(into);
            break;
        }
        pack_bin(into, *bytes);
        break;
    case SLOT_BIN:
        pack_bin(into, *bytes);
        break;
    case SLOT_AUDIENCE:
    case SLOT_LINE:
        pack_str(into, *bytes);
        break;
    case SLOT_LIST:
    case SLOT_LIST_HEADS:
    case SLOT_LIST_OPENING:
        pack_array(into, list->count);
        pack_raw(into, list->raw);
        break;
    case SLOT_END:
        break;
    }
}

void msg_encode(const struct msg *msg, struct buf *into)
{
    size_t start = into->size;
    must((size_t) msg->type < ROW_COUNT && rows[msg->type].item_count > 0);
    must(!reserved(msg->type));
    pack_array(into, rows[msg->type].item_count);
    pack_uint(into, msg->type);
    for (const struct slot *slot = slots[msg->type]; slot->kind != SLOT_END; slot++) {
        slot_put(slot, msg, into);
    }
    if (into->err == ERR_OK) {
        struct bytes bytes = bytes_of(into->data + start, into->size - start);
        must(scan_strict(bytes, limits) == ERR_OK);
    }
}

/* ---- decode ---- */

static bool size_fits(const struct slot *slot, const struct scan_item *item)
{
    return item->kind == SCAN_BIN && item->bytes.size >= slot->min && item->bytes.size <= slot->max;
}

static bool uint_fits(const struct slot *slot, const struct scan_item *item)
{
    return item->kind == SCAN_UINT && item->value >= slot->min && item->value <= slot->max;
}

static bool list_item_fits(const struct slot *slot, struct bytes bytes, size_t *at)
{
    struct scan_item item;
    if (scan_next(bytes, at, &item) != ERR_OK) {
        return false;
    }
    if (slot->kind == SLOT_LIST) {
        return size_fits(slot, &item);
    }
    if (slot->kind == SLOT_LIST_OPENING) {
        return size_fits(slot, &item) && (item.bytes.size == 8 || item.bytes.size >= HASH_SIZE);
    }
    if (item.kind != SCAN_ARRAY || item.value != 2) {
        return false;
    }
    if (scan_next(bytes, at, &item) != ERR_OK || item.kind != SCAN_UINT) {
        return false;
    }
    return scan_next(bytes, at, &item) == ERR_OK && size_fits(slot, &item);
}

static bool list_get(const struct slot *slot, struct bytes bytes, size_t *at,
                     const struct scan_item *head, struct list *ret_list)
{
    if (head->kind != SCAN_ARRAY) {
        return false;
    }
    size_t start = *at;
    for (uint64_t i = 0; i < head->value; i++) {
        if (!list_item_fits(slot, bytes, at)) {
            return false;
        }
    }
    ret_list->raw = bytes_of(bytes.data + start, *at - start);
    ret_list->count = (size_t) head->value;
    return true;
}

/* Reads the item at *at into its place; false where it does not fit. */
static bool slot_get(const struct slot *slot, struct bytes bytes, size_t *at, struct msg *msg)
{
    uint8_t *base = (uint8_t *) msg;
    void *place = base + slot->at;
    struct scan_item item;
    if (scan_next(bytes, at, &item) != ERR_OK) {
        return false;
    }
    bool nil = item.kind == SCAN_NIL;
    switch (slot->kind) {
    case SLOT_UINT:
        *(uint64_t *) place = item.value;
        return uint_fits(slot, &item);
    case SLOT_UNSIGNED:
        *(unsigned *) place = (unsigned) item.value;
        return uint_fits(slot, &item);
    case SLOT_COPY_NIL:
        *(bool *) (base + slot->has) = !nil;
        if (nil) {
            return true;
        }
        /* fall through */
    case SLOT_COPY:
        if (!size_fits(slot, &item)) {
            return false;
        }
        memcpy(place, item.bytes.data, item.bytes.size);
        return true;
    case SLOT_BIN_NIL:
        *(struct bytes *) place = item.bytes;
        return nil || size_fits(slot, &item);
    case SLOT_BIN:
        *(struct bytes *) place = item.bytes;
        return size_fits(slot, &item) && item.bytes.size % slot->step == 0;
    case SLOT_AUDIENCE:
        *(struct bytes *) place = item.bytes;
        return item.kind == SCAN_STR && audience_valid(item.bytes);
    case SLOT_LINE:
        *(struct bytes *) place = item.bytes;
        return item.kind == SCAN_STR && item.bytes.size <= slot->max && utf8_valid_line(item.bytes);
    case SLOT_LIST:
    case SLOT_LIST_HEADS:
    case SLOT_LIST_OPENING:
        return list_get(slot, bytes, at, &item, place);
    case SLOT_END:
        break;
    }
    return false;
}

/* [count, type, …: the type, and `at` behind it. */
static enum err type_get(struct bytes bytes, size_t *at, enum msg_type *ret_type)
{
    struct scan_item array, type;
    enum err err = scan_next(bytes, at, &array);
    if (err != ERR_OK) {
        return err;
    }
    if (array.kind != SCAN_ARRAY || array.value == 0) {
        return ERR_MALFORMED;
    }
    err = scan_next(bytes, at, &type);
    if (err != ERR_OK) {
        return err;
    }
    if (type.kind != SCAN_UINT || type.value >= ROW_COUNT ||
        rows[type.value].item_count != array.value) {
        return ERR_MALFORMED;
    }
    *ret_type = (enum msg_type) type.value;
    return reserved(*ret_type) ? ERR_UNSUPPORTED : ERR_OK;
}

/* What no single item shows. */
static bool items_agree(const struct msg *msg)
{
    switch (msg->type) {
    case MSG_HELLO: /* recovery: no record yet, but a statement in its place */
        return msg->hello.generation > 0 || msg->hello.record.size > 0;
    case MSG_WANT: /* where a kept part ends: both its numbers, or neither */
        return msg->want.has_after == (msg->want.after_rev > 0);
    case MSG_PROOF:
        return msg->proof.part.size <= msg->proof.size &&
               msg->proof.offset <= msg->proof.size - msg->proof.part.size;
    default:
        return true;
    }
}

enum err msg_decode(struct bytes bytes, struct msg *ret_msg)
{
    if (bytes.size > MSG_SIZE_MAX) {
        return ERR_SIZE;
    }
    if (bytes.size == 0) {
        return ERR_CANONICAL;
    }
    enum err err = scan_strict(bytes, limits);
    if (err != ERR_OK) {
        return err;
    }
    size_t at = 0;
    struct msg msg = {0};
    err = type_get(bytes, &at, &msg.type);
    if (err != ERR_OK) {
        return err;
    }
    for (const struct slot *slot = slots[msg.type]; slot->kind != SLOT_END; slot++) {
        if (!slot_get(slot, bytes, &at, &msg)) {
            return ERR_MALFORMED;
        }
    }
    if (!items_agree(&msg)) {
        return ERR_MALFORMED;
    }
    *ret_msg = msg;
    return ERR_OK;
}

/* ---- lists ---- */

bool list_next(const struct list *list, size_t *at, struct bytes *ret_item)
{
    struct scan_item item;
    if (*at >= list->raw.size || scan_next(list->raw, at, &item) != ERR_OK) {
        return false;
    }
    *ret_item = item.bytes;
    return true;
}

bool list_next_head(const struct list *list, size_t *at, uint64_t *ret_arrival,
                    struct bytes *ret_head)
{
    struct scan_item pair, arrival, head;
    if (*at >= list->raw.size || scan_next(list->raw, at, &pair) != ERR_OK ||
        scan_next(list->raw, at, &arrival) != ERR_OK || scan_next(list->raw, at, &head) != ERR_OK) {
        return false;
    }
    *ret_arrival = arrival.value;
    *ret_head = head.bytes;
    return true;
}

void list_put(struct buf *raw, struct bytes item)
{
    pack_bin(raw, item);
}

void list_put_head(struct buf *raw, uint64_t arrival, struct bytes head)
{
    pack_array(raw, 2);
    pack_uint(raw, arrival);
    pack_bin(raw, head);
}
