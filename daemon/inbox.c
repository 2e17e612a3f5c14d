/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/inbox.c: see inbox.h.
 *
 * A ring is a list of sources: taken at the head, put back at the tail. Fails only with ERR_NOMEM,
 * when an item for bytes cannot be made; the caller then closes that source.
 */
#include "daemon/inbox.h"

#include <stdlib.h>

#include "base/must.h"

static size_t item_size(const struct item *item)
{
    return sizeof *item + (item->bytes == NULL ? 0 : item->bytes->cap);
}

static void list(struct inbox *inbox, struct source *source)
{
    if (source->listed || source->held || source->first == NULL) {
        return;
    }
    source->listed = true;
    source->next = NULL;
    if (inbox->last[source->ring] == NULL) {
        inbox->first[source->ring] = source;
    } else {
        inbox->last[source->ring]->next = source;
    }
    inbox->last[source->ring] = source;
}

static void unlist(struct inbox *inbox, struct source *source)
{
    if (!source->listed) {
        return;
    }
    struct source *before = NULL;
    struct source *at = inbox->first[source->ring];
    while (at != source) {
        must(at != NULL);
        before = at;
        at = at->next;
    }
    if (before == NULL) {
        inbox->first[source->ring] = source->next;
    } else {
        before->next = source->next;
    }
    if (inbox->last[source->ring] == source) {
        inbox->last[source->ring] = before;
    }
    source->listed = false;
    source->next = NULL;
}

void inbox_put(struct inbox *inbox, struct source *source, struct item *item)
{
    if (item->waiting) {
        must(item->fixed);
        return;
    }
    item->waiting = true;
    item->next = NULL;
    if (source->last == NULL) {
        source->first = item;
    } else {
        source->last->next = item;
    }
    source->last = item;
    source->size += item_size(item);
    inbox->size += item_size(item);
    list(inbox, source);
}

enum err inbox_put_bytes(struct inbox *inbox, struct source *source, const struct event *event,
                         struct buf *bytes, unsigned cost)
{
    struct item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        buf_free(bytes);
        return ERR_NOMEM;
    }
    item->event = *event;
    item->bytes = bytes;
    item->cost = cost;
    inbox_put(inbox, source, item);
    return ERR_OK;
}

struct source *inbox_next(struct inbox *inbox, enum inbox_ring ring)
{
    struct source *source = inbox->first[ring];
    if (source == NULL) {
        return NULL;
    }
    must(source->first != NULL);
    must(!source->held);
    unlist(inbox, source);
    list(inbox, source);
    return source;
}

bool inbox_waits(const struct inbox *inbox)
{
    return inbox->first[INBOX_CLIENTS] != NULL || inbox->first[INBOX_LINKS] != NULL;
}

struct item *inbox_take(struct inbox *inbox, struct source *source)
{
    struct item *item = source->first;
    if (item == NULL) {
        return NULL;
    }
    source->first = item->next;
    if (source->first == NULL) {
        source->last = NULL;
        unlist(inbox, source);
    }
    source->size -= item_size(item);
    inbox->size -= item_size(item);
    item->next = NULL;
    item->waiting = false;
    return item;
}

void item_free(struct item *item)
{
    if (item == NULL) {
        return;
    }
    buf_free(item->bytes);
    item->bytes = NULL;
    if (!item->fixed) {
        free(item);
    }
}

void inbox_hold(struct inbox *inbox, struct source *source)
{
    source->held = true;
    unlist(inbox, source);
}

void inbox_release(struct inbox *inbox, struct source *source)
{
    source->held = false;
    list(inbox, source);
}

void inbox_forget(struct inbox *inbox, struct source *source)
{
    unlist(inbox, source);
    while (source->first != NULL) {
        item_free(inbox_take(inbox, source));
    }
}
