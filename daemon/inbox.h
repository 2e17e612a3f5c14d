/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/inbox.h: what happened and was not stepped yet.
 *
 * Every link and every client is a source with its own queue of items, in order; sources with items
 * stand in one of two rings, and the turn takes one item a source, going round. So a peer that
 * sends a lot delays neither another peer nor a client. Items own copies of their bytes.
 */
#ifndef ESSAIM_DAEMON_INBOX_H
#define ESSAIM_DAEMON_INBOX_H

#include "node/event.h"

enum inbox_ring { INBOX_CLIENTS, INBOX_LINKS, INBOX_RINGS };

#define INBOX_READ_COST 32 /* a request that only reads: its answer may have many kilobytes */

/* One event that waits. `fixed` items live inside their link or client, so that news that must not
 * be lost needs no memory. */
struct item {
    struct item *next;
    struct event event; /* event.bytes is filled from `bytes` when it is stepped */
    struct buf *bytes;  /* owned */
    unsigned cost;      /* of the turn's share; 0 = next to nothing */
    bool fixed;
    bool waiting; /* in a queue */
};

struct source;
/* After one of its items was stepped, or when it must go on by itself. May free the source. */
typedef void source_stepped_fn(struct source *source);

struct source {
    enum inbox_ring ring;
    source_stepped_fn *stepped;
    struct item *first, *last;
    size_t size;         /* bytes that wait, with what keeping them costs */
    bool held;           /* skip it for now */
    unsigned busy;       /* number of the job it waits for */
    bool listed;         /* in the ring */
    struct source *next; /* in the ring */
};

struct inbox {
    struct source *first[INBOX_RINGS], *last[INBOX_RINGS];
    size_t size; /* of all sources */
};

/* Appends; `item` belongs to the inbox until it is stepped (a fixed one is only lent). A fixed item
 * that waits already stays where it is. */
void inbox_put(struct inbox *inbox, struct source *source, struct item *item);
/* The same for bytes, which it takes in any case: `event` says all but the bytes. ERR_NOMEM. */
MUST_USE enum err inbox_put_bytes(struct inbox *inbox, struct source *source,
                                  const struct event *event, struct buf *bytes, unsigned cost);

/* The next source of the ring that has an item and is not held; it goes to the end of the ring.
 * NULL when there is none. */
struct source *inbox_next(struct inbox *inbox, enum inbox_ring ring);
bool inbox_waits(const struct inbox *inbox); /* a source stands in a ring */

/* The source's first item, out of its queue: the caller frees it. NULL when there is none. */
struct item *inbox_take(struct inbox *inbox, struct source *source);
void item_free(struct item *item); /* a fixed one is only emptied */

void inbox_hold(struct inbox *inbox, struct source *source);
void inbox_release(struct inbox *inbox, struct source *source);
/* Drops all items of a source and takes it out of its ring. */
void inbox_forget(struct inbox *inbox, struct source *source);

#endif
