/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/reading.c: one delta of a bundle. The file has everything from head 1 on: what is held, or
 * staged by an earlier reading, is passed over; the rest goes the way of a peer's delta. What is
 * held and not named by the file is gone.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/import.h"
#include "proto/entry.h"

void reading_done(struct reading *reading)
{
    buf_done(&reading->named);
    *reading = (struct reading){0};
}

/* ---- its messages ---- */

static struct item *item_read(struct importing *importing)
{
    return &importing->items[importing->reading.item];
}

/* The delta of which head? */
static enum err reading_begin(struct node *node, struct importing *importing, uint64_t stream)
{
    struct reading *reading = &importing->reading;
    for (size_t i = 0; i < importing->count; i++) {
        if (importing->items[i].arrival == stream) {
            *reading = (struct reading){.on = true, .stream = stream, .item = i};
            reading->skip = importing->items[i].outcome != OUTCOME_WANTED;
            memcpy(reading->refused, node->refused, sizeof reading->refused);
            return ERR_OK;
        }
    }
    return import_refuse(node, importing, "a delta in a bundle that was not announced");
}

/* Its fetch, as for a peer, but that whoever served it so far gives way. */
static enum err reading_open(struct node *node, struct importing *importing)
{
    struct reading *reading = &importing->reading;
    struct item *item = item_read(importing);
    struct offer *offer = import_offer(importing->link, item->arrival);
    must(offer != NULL);
    importing->link->stream_next = reading->stream;
    enum err err = fetch_open(node, importing->link, offer, &reading->fetch);
    if (err == ERR_BUSY) {
        importing->blocked = true;
        return ERR_OK;
    }
    if (err == ERR_STALE) {
        reading->skip = true; /* it came from elsewhere meanwhile */
        item->outcome = OUTCOME_UNCHANGED;
        offer->done = true;
        return ERR_OK;
    }
    struct txn *txn = NULL;
    struct held_head held;
    err = err == ERR_OK ? node_txn(node, &txn) : err;
    err = err == ERR_OK ? catalogue_head(txn, reading->fetch->catalogue, &held) : err;
    if (err == ERR_OK) {
        reading->held = held.head.count;
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        reading->staged = reading->fetch->changes.count;
        buf_clear(&importing->link->out); /* the WANT */
        err = ERR_OK;
    }
    return err;
}

/* Gives the delta its stream and its fetch. *ret_go: it is wanted, and may be read on now. */
static enum err reading_reach(struct node *node, struct importing *importing, uint64_t stream,
                              bool *ret_go)
{
    struct reading *reading = &importing->reading;
    enum err err = ERR_OK;
    *ret_go = false;
    if (!reading->on) {
        err = reading_begin(node, importing, stream);
    } else if (reading->stream != stream) {
        err = import_refuse(node, importing, "a delta in a bundle begins before another ends");
    }
    if (err != ERR_OK || importing->err != ERR_OK || reading->skip) {
        return err;
    }
    if (reading->fetch == NULL) {
        err = reading_open(node, importing);
    } else if (!import_fetching(importing)) {
        reading->skip = true; /* given up: reading_close tells */
    }
    *ret_go = err == ERR_OK && !importing->blocked && !reading->skip;
    return err;
}

/* Is that entry held, or staged by an earlier reading? Those come first. ERR_STALE: out of order.
 */
static enum err entry_pass(struct reading *reading, struct bytes bytes, bool *ret_pass)
{
    const struct fetch *fetch = reading->fetch;
    struct entry entry;
    enum err err = entry_decode(bytes, &entry);
    if (err != ERR_OK) {
        return err;
    }
    struct slug_hash slug = hash_slug(entry.slug);
    bool known = entry.rev <= fetch->m || entry.rev < fetch->last_rev ||
                 (fetch->has_last && entry.rev == fetch->last_rev &&
                  memcmp(slug.bytes, fetch->last_slug.bytes, SLUG_HASH_SIZE) <= 0);
    *ret_pass = known;
    if (!known) {
        return ERR_OK;
    }
    bool ascending = reading->named.size == 0 || entry.rev > reading->last_rev ||
                     (entry.rev == reading->last_rev &&
                      memcmp(slug.bytes, reading->last_slug.bytes, SLUG_HASH_SIZE) > 0);
    if (!ascending) {
        return ERR_STALE;
    }
    /* An honest file has no more of them than are held and staged. */
    if (reading->named.size / SLUG_HASH_SIZE >= reading->held + reading->staged) {
        return ERR_QUOTA;
    }
    reading->last_rev = entry.rev;
    reading->last_slug = slug;
    buf_put(&reading->named, BYTES_OF_ARRAY(slug.bytes));
    return reading->named.err;
}

/* What is left of a list from its first item that is needed on. */
static enum err entries_pass(struct reading *reading, struct list *entries)
{
    size_t at = 0;
    size_t from = 0;
    size_t passed = 0;
    struct bytes item;
    if (reading->fetch->ask == ASK_OPENING) {
        *entries = (struct list){0};
    }
    while (!reading->feeding && list_next(entries, &at, &item)) {
        bool pass = false;
        enum err err = entry_pass(reading, item, &pass);
        if (err != ERR_OK) {
            return err;
        }
        if (!pass) {
            reading->feeding = true;
            break;
        }
        from = at;
        passed++;
    }
    if (from > 0) {
        entries->raw = bytes_of(entries->raw.data + from, entries->raw.size - from);
        entries->count -= passed;
    }
    return ERR_OK;
}

/* The chain is asked for from head m on. A side stands behind the hash before its merge head. */
static void opening_pass(struct reading *reading, struct list *opening)
{
    size_t at = 0;
    size_t from = 0;
    size_t passed = 0;
    struct bytes item;
    while (reading->hashes < reading->fetch->m && list_next(opening, &at, &item)) {
        reading->hashes += item.size == HASH_SIZE;
        if (reading->hashes < reading->fetch->m) {
            from = at;
            passed++;
        }
    }
    if (from > 0) {
        opening->raw = bytes_of(opening->raw.data + from, opening->raw.size - from);
        opening->count -= passed;
    }
}

/* Gives it to the fetch, and looks what that made of it. */
static enum err delta_feed(struct node *node, struct importing *importing, const struct msg *msg)
{
    enum err err = fetch_delta(node, importing->link, msg);
    return err == ERR_OK ? import_judge(node, importing, NULL) : err;
}

enum err reading_delta(struct node *node, struct importing *importing, const struct msg *msg)
{
    bool go = false;
    enum err err = reading_reach(node, importing, msg->delta.stream, &go);
    if (err != ERR_OK || !go) {
        return err;
    }
    struct reading *reading = &importing->reading;
    struct msg rest = *msg;
    err = entries_pass(reading, &rest.delta.entries);
    if (err == ERR_NOMEM) {
        return err;
    }
    if (err != ERR_OK) {
        err = fetch_wrong(node, reading->fetch, err);
        return err == ERR_OK ? import_judge(node, importing, NULL) : err;
    }
    opening_pass(reading, &rest.delta.opening);
    bool empty = rest.delta.entries.count == 0 && rest.delta.withdrawn.size == 0 &&
                 rest.delta.opening.count == 0;
    return empty ? ERR_OK : delta_feed(node, importing, &rest);
}

/* ---- what is gone ---- */

static int slug_order(const void *a, const void *b)
{
    return memcmp(a, b, SLUG_HASH_SIZE);
}

static bool slug_among(const struct buf *slugs, const uint8_t *slug)
{
    return slugs->size > 0 && bsearch(slug, slugs->data, slugs->size / SLUG_HASH_SIZE,
                                      SLUG_HASH_SIZE, slug_order) != NULL;
}

/* What is held and not named. */
static enum err gone_held(struct node *node, const struct fetch *fetch, const struct buf *named,
                          struct buf *gone)
{
    struct txn *txn = NULL;
    struct digests *digests = malloc(sizeof *digests);
    defer(buf_done) struct buf pairs = {0};
    enum err err = digests == NULL ? ERR_NOMEM : node_txn(node, &txn);
    for (unsigned bucket = 0; err == ERR_OK && bucket < BUCKET_COUNT; bucket++) {
        buf_clear(&pairs);
        err = catalogue_bucket(txn, fetch->catalogue, bucket, digests, &pairs);
        for (size_t at = 0; err == ERR_OK && at < pairs.size; at += PAIR_SIZE) {
            if (!slug_among(named, pairs.data + at)) {
                buf_put(gone, bytes_of(pairs.data + at, SLUG_HASH_SIZE));
            }
        }
        err = err == ERR_CORRUPT ? ERR_OK : err; /* the plan says so, too */
    }
    free(digests);
    return err;
}

/* The file names every live entry: what it does not name is withdrawn, remembered or not. */
static enum err gone_find(struct node *node, struct reading *reading, struct buf *gone)
{
    const struct fetch *fetch = reading->fetch;
    struct buf *named = &reading->named;
    if (fetch->ask != ASK_DELTA ||
        (reading->staged == 0 && named->size / SLUG_HASH_SIZE == reading->held)) {
        return ERR_OK;
    }
    for (size_t i = reading->staged; i < fetch->changes.count; i++) {
        const struct change *change = &fetch->changes.items[i];
        if (change->size > 0) {
            buf_put(named, BYTES_OF_ARRAY(change->slug_hash.bytes));
        }
    }
    if (named->size > 0) {
        qsort(named->data, named->size / SLUG_HASH_SIZE, SLUG_HASH_SIZE, slug_order);
    }
    enum err err = named->err;
    for (size_t i = 0; err == ERR_OK && i < reading->staged; i++) {
        const struct change *change = &fetch->changes.items[i];
        if (!slug_among(named, change->slug_hash.bytes)) {
            buf_put(gone, BYTES_OF_ARRAY(change->slug_hash.bytes));
        }
    }
    if (err == ERR_OK && reading->held > 0) {
        err = gone_held(node, fetch, named, gone);
    }
    return err != ERR_OK ? err : gone->err;
}

static enum err gone_add(struct node *node, struct reading *reading)
{
    struct change_list *changes = &reading->fetch->changes;
    defer(buf_done) struct buf gone = {0};
    enum err err = gone_find(node, reading, &gone);
    for (size_t at = 0; err == ERR_OK && at < gone.size; at += SLUG_HASH_SIZE) {
        struct change change = {.order = (uint32_t) changes->count};
        memcpy(change.slug_hash.bytes, gone.data + at, SLUG_HASH_SIZE);
        err = change_add(changes, &change);
    }
    return err;
}

/* ---- its end ---- */

static enum err held_now(struct node *node, const struct item *item, const struct head *head,
                         bool *ret_held)
{
    struct txn *txn = NULL;
    uint32_t catalogue = 0;
    struct held_head held;
    enum err err = node_txn(node, &txn);
    err = err == ERR_OK ? catalogue_find(txn, &item->name, &catalogue) : err;
    err = err == ERR_OK ? catalogue_head(txn, catalogue, &held) : err;
    *ret_held = err == ERR_OK && head->n > 0 && head_compare(&held.head, head) >= 0;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void offers_over(struct link *link, uint32_t catalogue)
{
    for (size_t i = 0; i < link->offer_count; i++) {
        if (link->offers[i].catalogue == catalogue) {
            link->offers[i].done = true;
        }
    }
}

/* The delta was read, and applied or not. */
enum err reading_close(struct node *node, struct importing *importing)
{
    struct reading *reading = &importing->reading;
    struct item *item = item_read(importing);
    struct offer *offer = import_offer(importing->link, item->arrival);
    bool held = false;
    enum err err = held_now(node, item, &reading->head, &held);
    if (err != ERR_OK) {
        return err;
    }
    enum err why = import_refused(node, reading->refused);
    if (held) {
        item->outcome = OUTCOME_ACCEPTED;
        item->ask = ASK_DELTA;
        item->asked = 0;
    } else if (reading->head.n == 0) {
        item->outcome = OUTCOME_NOTHING;
    } else if (why == ERR_FULL || store_room(node->config.store) != ERR_OK) {
        return import_fail(node, importing, ERR_FULL, NULL);
    } else if (offer != NULL && !offer->fetching) {
        item->outcome = OUTCOME_AGAIN;
        item->ask = offer->ask;
        item->asked = offer->asked;
    } else {
        item->outcome = OUTCOME_REFUSED;
        item->why = why != ERR_OK ? why : ERR_STALE;
    }
    if (offer != NULL) {
        offers_over(importing->link, offer->catalogue);
    }
    reading_done(reading);
    return ERR_OK;
}

static enum err end_feed(struct node *node, struct importing *importing, const struct msg *msg)
{
    struct reading *reading = &importing->reading;
    enum err err = fetch_end(node, importing->link, msg);
    if (err == ERR_OK) {
        err = import_judge(node, importing, NULL);
    }
    if (err != ERR_OK || importing->err != ERR_OK || !import_fetching(importing)) {
        return err;
    }
    must(reading->fetch->complete); /* only a peer can be asked for more */
    reading->ended = importing->blocked = true;
    return ERR_OK;
}

enum err reading_end(struct node *node, struct importing *importing, const struct msg *msg)
{
    bool go = false;
    struct bytes signed_head = msg->delta_end.head;
    enum err err = reading_reach(node, importing, msg->delta_end.stream, &go);
    if (err != ERR_OK || importing->err != ERR_OK || importing->blocked) {
        return err;
    }
    struct reading *reading = &importing->reading;
    if (reading->fetch == NULL) { /* of no use here */
        reading_done(reading);
        return ERR_OK;
    }
    if (signed_head.size > 0 && head_peek(signed_head, &reading->head) != ERR_OK) {
        reading->head = (struct head){0}; /* fetch_end says so */
    }
    if (go && signed_head.size > 0) {
        err = gone_add(node, reading);
    }
    if (err == ERR_OK && importing->err == ERR_OK && import_fetching(importing)) {
        err = end_feed(node, importing, msg);
    }
    return err != ERR_OK || importing->err != ERR_OK || importing->blocked
               ? err
               : reading_close(node, importing);
}
