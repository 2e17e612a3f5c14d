/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/serve.c: answers WANT with DELTA… and DELTA_END, a budget at a time (doc/protocol.md §6,
 * Fetching).
 *
 * Nothing is held between turns but a position; each turn reads one committed snapshot. Entries
 * come first; when a snapshot has none left, its hints and opening follow and, if all of that fits
 * the budget, its head ends the delta. Otherwise the next turn starts with the entries that came
 * since. Every entry is checked against its leaf on its way out.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"

#define DELTA_FILL (60u * 1024u) /* close a DELTA beyond this */
#define HINTS_PER_MSG 2048
#define OPENING_PER_MSG 1024
#define SLICE_MSGS 4 /* per stream before the next one's turn */

static void serve_nothing(struct node *node, struct link *link, uint64_t number)
{
    link->nothing_sent++;
    link_send(node, link, &(struct msg){.type = MSG_DELTA_END, .delta_end = {.stream = number}});
}

/* From which head on the asker may have missed withdrawals. */
static uint64_t hints_after(const struct msg *msg, uint64_t held_n)
{
    if (msg->want.m == 0 && !msg->want.has_after) {
        return held_n; /* it is sent what is live, and from then on what went meanwhile */
    }
    return msg->want.after_rev == UINT64_MAX ? UINT64_MAX : msg->want.m; /* the opening alone */
}

enum err serve_want(struct node *node, struct link *link, const struct msg *msg)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    return err == ERR_OK ? serve_open(node, link, txn, msg) : err;
}

enum err serve_open(struct node *node, struct link *link, struct txn *txn, const struct msg *msg)
{
    struct stream *stream = NULL;
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (link->streams[i].open && link->streams[i].number == msg->want.stream) {
            stream = &link->streams[i]; /* asked anew: the old answer is forgotten */
            break;
        }
        if (!link->streams[i].open && stream == NULL) {
            stream = &link->streams[i];
        }
    }
    struct catalogue_name name = {.network = node->network, .lab = msg->want.lab};
    bytes_copy(name.audience, msg->want.audience);
    uint32_t catalogue = 0;
    enum err err = strcmp(name.audience, "public") != 0 || stream == NULL ? ERR_NOT_FOUND : ERR_OK;
    if (err == ERR_OK) {
        err = catalogue_find(txn, &name, &catalogue);
    }
    struct held_head held;
    if (err == ERR_OK) {
        err = catalogue_head(txn, catalogue, &held);
    }
    if (err == ERR_OK && held.head.n <= msg->want.m) {
        err = ERR_NOT_FOUND;
    }
    if (err == ERR_NOT_FOUND) {
        serve_nothing(node, link, msg->want.stream);
        return ERR_OK;
    }
    if (err != ERR_OK) {
        return err;
    }
    for (size_t i = 0; i < STREAMS_MAX; i++) { /* one delta of a catalogue is enough for a link */
        if (link->streams[i].open && link->streams[i].catalogue == catalogue) {
            link->streams[i].open = false;
        }
    }
    *stream = (struct stream){
        .open = true,
        .number = msg->want.stream,
        .catalogue = catalogue,
        .hints_after = hints_after(msg, held.head.n),
        .hints_left = HINTS_MAX,
        .after_rev = msg->want.has_after ? msg->want.after_rev : msg->want.m,
        .after_slug = msg->want.after_slug,
        .has_after = msg->want.has_after,
        .opening_next = msg->want.m == 0 ? 1 : msg->want.m,
    };
    if (!msg->want.has_after) {
        memset(stream->after_slug.bytes, 0xff, SLUG_HASH_SIZE); /* everything of rev m is held */
    }
    return ERR_OK;
}

/* One DELTA of entries. *ret_end: this snapshot has no more. */
static enum err serve_entries(struct node *node, struct link *link, struct stream *stream,
                              struct txn *txn, bool *ret_end)
{
    struct entry_cursor *cursor = NULL;
    enum err err =
        entry_cursor_open(txn, stream->catalogue, stream->after_rev, &stream->after_slug, &cursor);
    if (err != ERR_OK) {
        return err;
    }
    defer(buf_done) struct buf raw = {0};
    size_t count = 0;
    while (err == ERR_OK && raw.size < DELTA_FILL) {
        struct bytes entry;
        uint64_t rev = 0;
        struct slug_hash slug;
        err = entry_cursor_next(cursor, &entry, &rev, &slug);
        if (err != ERR_OK) {
            break;
        }
        if (raw.size + entry.size + 64 > MSG_SIZE_MAX) {
            break;
        }
        list_put(&raw, entry);
        count++;
        stream->after_rev = rev;
        stream->after_slug = slug;
    }
    entry_cursor_close(cursor);
    *ret_end = err == ERR_NOT_FOUND;
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    if (count > 0 && raw.err == ERR_OK) {
        link->entries_sent += count;
        link_send(node, link,
                  &(struct msg){.type = MSG_DELTA,
                                .delta = {.stream = stream->number,
                                          .entries = {.raw = buf_bytes(&raw), .count = count}}});
    }
    return raw.err;
}

static enum err serve_hints(struct node *node, struct link *link, struct stream *stream,
                            struct txn *txn, bool *ret_more)
{
    defer(buf_done) struct buf all = {0};
    size_t count = stream->hints_left < HINTS_PER_MSG ? stream->hints_left : HINTS_PER_MSG;
    if (count == 0) {
        *ret_more = false;
        return ERR_OK;
    }
    enum err err = catalogue_hints(txn, stream->catalogue, stream->hints_after, stream->hint_at,
                                   count, &all, ret_more);
    if (err == ERR_OK && all.size > 0) {
        stream->hints_left -= all.size / HINT_SIZE;
        link_send(node, link,
                  &(struct msg){.type = MSG_DELTA,
                                .delta = {.stream = stream->number, .withdrawn = buf_bytes(&all)}});
    }
    return err;
}

static enum err opening_send(struct node *node, struct link *link, const struct stream *stream,
                             struct buf *raw, size_t *count)
{
    if (raw->err != ERR_OK) {
        return raw->err;
    }
    if (*count > 0) {
        link_send(node, link,
                  &(struct msg){.type = MSG_DELTA,
                                .delta = {.stream = stream->number,
                                          .opening = {.raw = buf_bytes(raw), .count = *count}}});
    }
    buf_clear(raw);
    *count = 0;
    return ERR_OK;
}

/* A page of head hashes, and the sides that belong between them. */
static enum err serve_opening(struct node *node, struct link *link, struct stream *stream,
                              struct txn *txn, uint64_t n)
{
    uint64_t left = n - stream->opening_next;
    size_t page = left < OPENING_PER_MSG ? (size_t) left : OPENING_PER_MSG;
    defer(opening_done) struct opening opening = {0};
    defer(buf_done) struct buf raw = {0};
    opening_begin(&opening, stream->opening_next);
    enum err err = history_opening(txn, stream->catalogue, n, page, &opening);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    struct opening_at at = {0};
    uint8_t room[OPENING_ITEM_MAX];
    struct bytes item;
    size_t count = 0;
    while (err == ERR_OK && opening_next(&opening, &at, room, &item)) {
        list_put(&raw, item);
        if (++count == OPENING_PER_MSG) {
            err = opening_send(node, link, stream, &raw, &count);
        }
    }
    if (err == ERR_OK) {
        err = opening_send(node, link, stream, &raw, &count);
    }
    stream->opening_next += page;
    return err;
}

/* Sends a few messages of one stream; closes it with DELTA_END when its snapshot is all sent. */
static enum err serve_slice(struct node *node, struct link *link, struct stream *stream,
                            struct txn *txn)
{
    struct held_head held;
    enum err err = catalogue_head(txn, stream->catalogue, &held);
    bool end = false;
    for (unsigned i = 0; err == ERR_OK && !end; i++) {
        if (i == SLICE_MSGS || link_room(link) == 0) {
            return ERR_OK;
        }
        err = serve_entries(node, link, stream, txn, &end);
    }
    bool more = true;
    while (err == ERR_OK && more) {
        if (link_room(link) == 0) {
            return ERR_OK;
        }
        err = serve_hints(node, link, stream, txn, &more);
    }
    while (err == ERR_OK && stream->opening_next < held.head.n) {
        if (link_room(link) == 0) {
            return ERR_OK;
        }
        err = serve_opening(node, link, stream, txn, held.head.n);
    }
    if (err == ERR_OK && link_room(link) > 0) {
        link_send(
            node, link,
            &(struct msg){.type = MSG_DELTA_END,
                          .delta_end = {.stream = stream->number, .head = held.signed_bytes}});
        stream->open = false;
    }
    return err;
}

enum err serve_flush(struct node *node, struct link *link, struct txn *txn)
{
    unsigned idle = 0;
    while (idle < STREAMS_MAX && link_room(link) > 0 && link->state == LINK_READY) {
        struct stream *stream = &link->streams[link->stream_turn];
        link->stream_turn = (link->stream_turn + 1) % STREAMS_MAX;
        if (!stream->open) {
            idle++;
            continue;
        }
        idle = 0;
        enum err err = serve_slice(node, link, stream, txn);
        if (err == ERR_CORRUPT) {
            /* A damaged entry is never served; what stands on this disk is for `verify` to name. */
            node_refuse(node, ERR_CORRUPT);
            node_log(node, 3, "corrupt: an entry does not match its leaf and is not served");
            serve_nothing(node, link, stream->number);
            stream->open = false;
            continue;
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}
