/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/fetch.c: what peers announce is wanted, received, checked and applied: all of a delta or
 * nothing.
 *
 *   HEADS ─► offer ─► WANT ─► DELTA… (kept in memory, staged to disk by the megabyte) ─► DELTA_END
 *        ─► checks: signature, order, opening, count, bytes, root ─► applied in this turn, or by
 * the job when it is large
 *
 * One peer at a time serves a catalogue; after FETCH_STALL_MS without progress the next one that
 * offered it is asked and goes on where the first stopped. A peer whose delta is against the rules
 * is closed.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/state.h"
#include "proto/entry.h"

#define RETRY_MS 10000
#define STALL_DELAY_MS_MAX (600u * 1000u)
#define LINK_FETCHES_MAX (FETCHES_MAX / 2) /* of one link: others are heard, too */

void fetch_done(struct fetch *fetch)
{
    change_done(&fetch->changes);
    buf_done(&fetch->pending);
    buf_done(&fetch->opening);
    buf_done(&fetch->signed_head);
    *fetch = (struct fetch){0};
}

void fetches_reset(struct node *node)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        fetch_done(&node->fetches[i]);
    }
}

static struct fetch *fetch_of(struct node *node, uint32_t catalogue)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        if (node->fetches[i].open && node->fetches[i].catalogue == catalogue) {
            return &node->fetches[i];
        }
    }
    return NULL;
}

static struct fetch *fetch_on(struct node *node, const struct link *link, uint64_t stream)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        struct fetch *fetch = &node->fetches[i];
        if (fetch->open && !fetch->complete && fetch->link == link && fetch->stream == stream) {
            return fetch;
        }
    }
    return NULL;
}

/* Gives the fetch up; what is staged stays for the next one. Its offer waits before this link is
 * asked again. */
static void fetch_abandon(struct node *node, struct fetch *fetch)
{
    struct link *link = fetch->link;
    for (size_t i = 0; link != NULL && i < link->offer_count; i++) {
        if (link->offers[i].catalogue == fetch->catalogue) {
            link->offers[i].fetching = false;
            link->offers[i].not_before_ms = node->now_ms + RETRY_MS;
        }
    }
    fetch_done(fetch);
}

void fetch_link_down(struct node *node, struct link *link)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        struct fetch *fetch = &node->fetches[i];
        if (fetch->open && fetch->link == link) {
            if (fetch->complete) {
                fetch->link = NULL; /* whole already: it needs the link no more */
            } else {
                fetch_done(fetch);
            }
        }
    }
    link->offer_count = 0;
}

/* Entries in memory go to disk, invisible, as a part of this turn. */
static enum err fetch_stage(struct node *node, struct fetch *fetch)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    size_t at = 0;
    while (err == ERR_OK && fetch->staged < fetch->changes.count) {
        struct change *change = &fetch->changes.items[fetch->staged];
        if (change->size > 0) {
            err = body_append(txn, fetch->catalogue,
                              bytes_of(fetch->pending.data + at, change->size), &change->seq);
            at += change->size;
        }
        if (err == ERR_OK && !fetch->has_staging && change->size > 0) {
            fetch->has_staging = true;
            err = staging_put(txn, fetch->catalogue,
                              &(struct staging){.first_seq = change->seq, .m = fetch->m});
        }
        fetch->staged++;
    }
    buf_clear(&fetch->pending);
    return err;
}

/* What came so far is kept, for whoever is asked next. */
static enum err fetch_keep(struct node *node, struct fetch *fetch)
{
    bool any = fetch->pending.size > 0 && store_room(node->config.store) == ERR_OK;
    return any ? fetch_stage(node, fetch) : ERR_OK;
}

enum err fetch_link_lost(struct node *node, struct link *link)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < FETCHES_MAX; i++) {
        struct fetch *fetch = &node->fetches[i];
        if (fetch->open && fetch->link == link && !fetch->complete) {
            err = fetch_keep(node, fetch);
        }
    }
    return err;
}

/* Deltas of one link share its bytes: while one goes on, the others only wait for their turn. */
static uint64_t fetch_stalls_ms(const struct fetch *fetch)
{
    uint64_t last = fetch->progress_ms;
    if (!fetch->complete && fetch->link->delta_ms > last) {
        last = fetch->link->delta_ms;
    }
    return last + FETCH_STALL_MS;
}

/* A link that let us wait is left alone for a while, longer each time, until it serves something.
 */
static void link_stalled(struct node *node, struct link *link)
{
    if (link->stalled_ms > node->now_ms) {
        return;
    }
    uint64_t delay = link->stall_delay_ms == 0 ? RETRY_MS : link->stall_delay_ms * 2;
    link->stall_delay_ms = delay < STALL_DELAY_MS_MAX ? delay : STALL_DELAY_MS_MAX;
    link->stalled_ms = node->now_ms + link->stall_delay_ms;
}

enum err fetch_tick(struct node *node)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < FETCHES_MAX; i++) {
        struct fetch *fetch = &node->fetches[i];
        if (fetch->open && !fetch->complete && node->now_ms >= fetch_stalls_ms(fetch)) {
            node_refuse(node, ERR_TIMEOUT);
            err = fetch_keep(node, fetch);
            link_stalled(node, fetch->link);
            fetch_abandon(node, fetch);
        }
    }
    return err;
}

uint64_t fetch_wake_ms(const struct node *node)
{
    uint64_t wake = UINT64_MAX;
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        const struct fetch *fetch = &node->fetches[i];
        if (fetch->open && fetch_stalls_ms(fetch) < wake) {
            wake = fetch_stalls_ms(fetch);
        }
    }
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = node->links[i];
        for (size_t k = 0; k < link->offer_count; k++) {
            uint64_t due = link->offers[k].not_before_ms;
            due = due > link->stalled_ms ? due : link->stalled_ms;
            if (!link->offers[k].done && due > node->now_ms && due < wake) {
                wake = due;
            }
        }
    }
    return wake;
}

enum err record_accept(struct node *node, const struct lab_record *record,
                       struct bytes signed_bytes, const struct lab_id *from)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct held_lab held;
    if (err == ERR_OK) {
        err = lab_get(txn, &record->lab, &held);
    }
    if (err == ERR_OK && held.record.generation >= record->generation) {
        return ERR_OK;
    }
    if (err == ERR_NOT_FOUND) {
        uint64_t count = 0;
        err = lab_count(txn, &count);
        if (err == ERR_OK && count >= LABS_MAX) {
            node_refuse(node, ERR_QUOTA);
            return ERR_OK;
        }
    }
    if (err != ERR_OK) {
        return err;
    }
    uint64_t arrival = 0;
    return lab_put(txn, record, signed_bytes, from, &arrival);
}

enum err fetch_records(struct node *node, struct link *link, const struct msg *msg)
{
    size_t at = 0;
    struct bytes item;
    while (list_next(&msg->records, &at, &item)) {
        struct lab_record record;
        enum err err = lab_record_open(item, &record);
        if (err != ERR_OK) {
            node_refuse(node, err);
            link_close(node, link, BYE_PROTOCOL, err_text(err));
            return ERR_OK;
        }
        if (memcmp(record.lab.bytes, node->config.lab.bytes, KEY_SIZE) == 0) {
            continue; /* the own record comes from the own key files only */
        }
        err = record_accept(node, &record, item, &link->lab);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

/* The head is its lab's, by the record held. ERR_NOT_FOUND: no record of that lab or generation. */
static enum err head_check(struct node *node, struct bytes bytes, struct head *ret_head)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = head_peek(bytes, ret_head);
    }
    struct held_lab held;
    if (err == ERR_OK) {
        err = lab_get(txn, &ret_head->lab, &held);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (ret_head->generation == held.record.generation) {
        return head_open(bytes, held.record.signing_pk, ret_head);
    }
    if (ret_head->generation > held.record.generation) {
        return ERR_NOT_FOUND;
    }
    /* An older generation's head counts where the record names it as the last good one. */
    for (unsigned i = 0; i < held.record.last_good_count; i++) {
        const struct last_good *good = &held.record.last_good[i];
        if (good->n == ret_head->n &&
            memcmp(good->head_hash.bytes, ret_head->hash.bytes, HASH_SIZE) == 0) {
            return ERR_OK;
        }
    }
    return ERR_STALE;
}

static void name_of(const struct head *head, struct catalogue_name *ret_name)
{
    ret_name->network = head->network;
    ret_name->lab = head->lab;
    memcpy(ret_name->audience, head->audience, sizeof ret_name->audience);
}

/* Another head of ours than the ones we made: somebody signs with our key, or this data directory
 * is an old copy. */
static enum err own_head_seen(struct node *node, const struct head *head)
{
    struct own *own = &node->own;
    if (own_knows(own, head->n, &head->hash) ||
        ((own->frozen & FREEZE_SEEN) != 0 && head->n <= own->seen_n)) {
        return ERR_STALE;
    }
    if ((own->frozen & FREEZE_SEEN) == 0) {
        node_log(
            node, 3,
            "own-head-unknown: a peer holds head %llu of this lab that this store never signed",
            (unsigned long long) head->n);
    }
    own->frozen |= FREEZE_SEEN;
    own->seen_n = head->n;
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = own_seen_put(txn, head->n, &head->hash); /* a restart must not forget it */
    }
    return err == ERR_OK ? ERR_STALE : err;
}

/* ERR_OK: keep as an offer; ERR_STALE: nothing to do; other errors: refuse. */
static enum err offer_check(struct node *node, const struct head *head, uint32_t *ret_catalogue)
{
    if (memcmp(head->network.bytes, node->network.bytes, HASH_SIZE) != 0 ||
        strcmp(head->audience, "public") != 0) {
        return ERR_REFUSED;
    }
    if (memcmp(head->lab.bytes, node->config.lab.bytes, KEY_SIZE) == 0) {
        return own_head_seen(node, head);
    }
    if (head->count > node->config.quota_entries || head->bytes > node->config.quota_bytes) {
        return ERR_QUOTA;
    }
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct catalogue_name name;
    name_of(head, &name);
    if (err == ERR_OK) {
        err = catalogue_open(txn, &name, ret_catalogue);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct held_head held;
    err = catalogue_head(txn, *ret_catalogue, &held);
    if (err == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (err != ERR_OK) {
        return err;
    }
    if (head_compare(head, &held.head) > 0) {
        return ERR_OK;
    }
    bool twin =
        head->n == held.head.n && memcmp(head->hash.bytes, held.head.hash.bytes, HASH_SIZE) != 0;
    return twin ? ERR_FORK : ERR_STALE;
}

static enum err offer_add(struct node *node, struct link *link, uint64_t arrival,
                          const struct head *head, uint32_t catalogue)
{
    for (size_t i = 0; i < link->offer_count; i++) {
        struct offer *old = &link->offers[i];
        if (old->catalogue == catalogue && !old->done && !old->fetching) {
            old->done = true; /* the newer one stands for it */
        }
    }
    enum err err = node_grow((void **) &link->offers, link->offer_count, &link->offer_cap,
                             sizeof *link->offers);
    if (err != ERR_OK) {
        return err;
    }
    link->offers[link->offer_count++] =
        (struct offer){.arrival = arrival, .catalogue = catalogue, .head = *head};
    struct fetch *fetch = fetch_of(node, catalogue);
    if (fetch != NULL && fetch->link == link && !fetch->complete) {
        /* Its lab publishes on: what it signs now may come in this delta, too. */
        fetch->target_count += head->count;
        fetch->target_bytes += head->bytes;
    }
    return ERR_OK;
}

static bool ours(enum err err)
{
    return err == ERR_IO || err == ERR_NOMEM || err == ERR_CORRUPT || err == ERR_FULL;
}

enum err fetch_heads(struct node *node, struct link *link, const struct msg *msg)
{
    size_t at = 0;
    uint64_t arrival = 0;
    uint64_t last = link->upto;
    struct bytes item;
    while (list_next_head(&msg->heads.heads, &at, &arrival, &item)) {
        if (arrival <= last || arrival > msg->heads.upto || link->offer_count >= OFFERS_MAX) {
            node_refuse(node, ERR_MALFORMED);
            link_close(node, link, BYE_PROTOCOL, "arrivals out of order");
            return ERR_OK;
        }
        last = arrival;
        struct head head;
        uint32_t catalogue = 0;
        enum err err = head_check(node, item, &head);
        if (err == ERR_CANONICAL || err == ERR_INVALID || err == ERR_SIZE || err == ERR_SIGNATURE) {
            node_refuse(node, err);
            link_close(node, link, BYE_PROTOCOL, err_text(err));
            return ERR_OK;
        }
        if (err == ERR_OK) {
            err = offer_check(node, &head, &catalogue);
        }
        if (ours(err)) {
            return err;
        }
        if (err == ERR_OK) {
            err = offer_add(node, link, arrival, &head, catalogue);
            if (err != ERR_OK) {
                return err;
            }
        } else if (err != ERR_STALE) {
            node_refuse(node, err);
        }
    }
    if (msg->heads.upto > link->upto) {
        link->upto = msg->heads.upto;
    }
    cursor_update(node, link, true);
    return ERR_OK;
}

/* ---- asking ---- */

/* Goes on where an earlier fetch of the same delta stopped, if it staged something. */
static enum err fetch_resume(struct node *node, struct fetch *fetch)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct staging staging;
    if (err == ERR_OK) {
        err = staging_get(txn, fetch->catalogue, &staging);
    }
    if (err == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (err != ERR_OK) {
        return err;
    }
    if (staging.m != fetch->m) {
        return staging_drop(txn, fetch->catalogue);
    }
    err = staging_load(txn, fetch->catalogue, &staging, &fetch->changes);
    if (err != ERR_OK) {
        return err;
    }
    fetch->has_staging = fetch->resumed = true;
    fetch->staged = fetch->changes.count;
    for (size_t i = 0; i < fetch->changes.count; i++) {
        fetch->bytes += fetch->changes.items[i].size;
    }
    if (fetch->changes.count > 0) {
        const struct change *last = &fetch->changes.items[fetch->changes.count - 1];
        fetch->last_rev = last->rev;
        fetch->last_slug = last->slug_hash;
        fetch->has_last = true;
    }
    return ERR_OK;
}

static enum err fetch_begin(struct node *node, struct link *link, struct offer *offer,
                            struct fetch *fetch)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct held_head held;
    if (err == ERR_OK) {
        err = catalogue_head(txn, offer->catalogue, &held);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    *fetch = (struct fetch){
        .open = true,
        .link = link,
        .stream = link->stream_next++ & UINT32_MAX,
        .catalogue = offer->catalogue,
        .target_n = offer->head.n,
        .target_count = offer->head.count,
        .target_bytes = offer->head.bytes,
        .progress_ms = node->now_ms,
    };
    name_of(&offer->head, &fetch->name);
    if (err == ERR_OK) {
        fetch->m = offer->anew ? 0 : held.head.n;
        fetch->anew = offer->anew;
        fetch->base_n = held.head.n;
        fetch->base_hash = held.head.hash;
        fetch->base_history = held.head.history;
    }
    err = fetch_resume(node, fetch);
    if (err != ERR_OK) {
        fetch_done(fetch);
        return err;
    }
    offer->fetching = true;
    link_send(node, link,
              &(struct msg){.type = MSG_WANT,
                            .want = {.stream = fetch->stream,
                                     .lab = fetch->name.lab,
                                     .audience = bytes_of_str(fetch->name.audience),
                                     .m = fetch->m,
                                     .after_rev = fetch->last_rev,
                                     .has_after = fetch->has_last,
                                     .after_slug = fetch->last_slug}});
    return ERR_OK;
}

static struct fetch *fetch_free_slot(struct node *node)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        if (!node->fetches[i].open) {
            return &node->fetches[i];
        }
    }
    return NULL;
}

static unsigned fetches_on(const struct node *node, const struct link *link)
{
    unsigned count = 0;
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        count += node->fetches[i].open && node->fetches[i].link == link;
    }
    return count;
}

static void job_schedule(struct node *node)
{
    for (size_t i = 0; i < FETCHES_MAX && node->job.kind == JOB_NONE; i++) {
        if (node->fetches[i].open && node->fetches[i].complete) {
            node->job = (struct job){.kind = JOB_FETCH, .fetch = &node->fetches[i]};
        }
    }
}

enum err fetch_schedule(struct node *node)
{
    job_schedule(node);
    for (size_t i = 0; i < node->link_count && !node->stopping; i++) {
        struct link *link = node->links[i];
        if (link->state != LINK_READY || node->now_ms < link->stalled_ms) {
            continue;
        }
        unsigned asked = fetches_on(node, link);
        for (size_t k = 0; k < link->offer_count && asked < LINK_FETCHES_MAX; k++) {
            struct offer *offer = &link->offers[k];
            if (offer->done || offer->fetching || node->now_ms < offer->not_before_ms ||
                fetch_of(node, offer->catalogue) != NULL) {
                continue;
            }
            struct fetch *fetch = fetch_free_slot(node);
            if (fetch == NULL) {
                return ERR_OK;
            }
            enum err err = fetch_begin(node, link, offer, fetch);
            if (err != ERR_OK) {
                return err;
            }
            asked++;
        }
    }
    return ERR_OK;
}

/* ---- receiving ---- */

static enum err fetch_entry(struct fetch *fetch, struct bytes bytes)
{
    struct entry entry;
    enum err err = entry_decode(bytes, &entry);
    if (err != ERR_OK) {
        return err;
    }
    struct change change = {
        .slug_hash = hash_slug(entry.slug),
        .leaf = entry_leaf(bytes),
        .rev = entry.rev,
        .size = (uint32_t) bytes.size,
        .order = (uint32_t) fetch->changes.count,
    };
    bool ascending = entry.rev > fetch->last_rev ||
                     (entry.rev == fetch->last_rev && fetch->has_last &&
                      memcmp(change.slug_hash.bytes, fetch->last_slug.bytes, SLUG_HASH_SIZE) > 0);
    if (!ascending || entry.rev <= fetch->m) {
        return ERR_STALE;
    }
    fetch->last_rev = entry.rev;
    fetch->last_slug = change.slug_hash;
    fetch->has_last = true;
    fetch->bytes += bytes.size;
    /* What changed while it was being sent comes twice: a small surplus over the signed numbers is
     * honest. */
    if (fetch->bytes > fetch->target_bytes + PEER_IN_SIZE_MAX ||
        fetch->changes.count > fetch->target_count + QUOTA_ENTRIES) {
        return ERR_QUOTA;
    }
    buf_put(&fetch->pending, bytes);
    return fetch->pending.err != ERR_OK ? fetch->pending.err : change_add(&fetch->changes, &change);
}

static enum err fetch_hints(struct fetch *fetch, struct bytes withdrawn)
{
    for (size_t at = 0; at < withdrawn.size; at += SLUG_HASH_SIZE) {
        struct change change = {.order = (uint32_t) fetch->changes.count};
        memcpy(change.slug_hash.bytes, withdrawn.data + at, SLUG_HASH_SIZE);
        if (fetch->changes.count > fetch->target_count + QUOTA_ENTRIES) {
            return ERR_QUOTA;
        }
        enum err err = change_add(&fetch->changes, &change);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static enum err fetch_take(struct fetch *fetch, const struct msg *msg)
{
    size_t at = 0;
    struct bytes item;
    while (list_next(&msg->delta.entries, &at, &item)) {
        enum err err = fetch_entry(fetch, item);
        if (err != ERR_OK) {
            return err;
        }
    }
    enum err err = fetch_hints(fetch, msg->delta.withdrawn);
    at = 0;
    while (err == ERR_OK && list_next(&msg->delta.opening, &at, &item)) {
        if (item.size != HASH_SIZE ||
            fetch->opening.size >= (size_t) OPENING_COUNT_MAX * HASH_SIZE) {
            return ERR_MALFORMED;
        }
        buf_put(&fetch->opening, item);
        err = fetch->opening.err;
    }
    return err;
}

/* A delta against the rules: what it staged goes, its peer is closed. */
static enum err fetch_convict(struct node *node, struct fetch *fetch, enum err why)
{
    struct link *link = fetch->link;
    enum err err = ERR_OK;
    if (fetch->has_staging) {
        struct txn *txn = NULL;
        err = node_txn(node, &txn);
        if (err == ERR_OK) {
            err = staging_drop(txn, fetch->catalogue);
        }
    }
    node_refuse(node, why);
    fetch_done(fetch);
    if (link != NULL) {
        link_close(node, link, BYE_PROTOCOL, err_text(why));
    }
    return err;
}

/* Drops what is staged and asks the same link once more, the others only later. */
static enum err fetch_again(struct node *node, struct fetch *fetch, bool anew)
{
    struct link *asked = fetch->link;
    uint32_t catalogue = fetch->catalogue;
    struct txn *txn = NULL;
    enum err err = fetch->has_staging ? node_txn(node, &txn) : ERR_OK;
    if (err == ERR_OK && txn != NULL) {
        err = staging_drop(txn, catalogue);
    }
    fetch_done(fetch);
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = node->links[i];
        for (size_t k = 0; k < link->offer_count; k++) {
            struct offer *offer = &link->offers[k];
            if (offer->catalogue == catalogue) {
                offer->fetching = false;
                offer->not_before_ms = link == asked ? 0 : node->now_ms + RETRY_MS;
                offer->anew = anew && link == asked;
            }
        }
    }
    return err;
}

/* A delta that does not add up is not always its sender's fault: a part may be another's, or hints
 * of what was withdrawn may be forgotten by now. */
static enum err fetch_wrong(struct node *node, struct fetch *fetch, enum err why)
{
    bool sum = why == ERR_ROOT || why == ERR_STALE || why == ERR_QUOTA;
    if (fetch->link != NULL && fetch->resumed && sum) {
        node_refuse(node, why);
        return fetch_again(node, fetch, fetch->anew);
    }
    if (fetch->link != NULL && fetch->m > 0 && why == ERR_ROOT) {
        node_refuse(node, why);
        return fetch_again(node, fetch, true);
    }
    return fetch_convict(node, fetch, why);
}

/* The disk is too full to take more: wait, and go on later where this stopped. */
static bool fetch_no_room(struct node *node, struct fetch *fetch)
{
    if (store_room(node->config.store) == ERR_OK) {
        return false;
    }
    node_refuse(node, ERR_FULL);
    node_log(node, 4, "disk-full: a catalogue waits for room");
    fetch_abandon(node, fetch);
    return true;
}

enum err fetch_delta(struct node *node, struct link *link, const struct msg *msg)
{
    struct fetch *fetch = fetch_on(node, link, msg->delta.stream);
    if (fetch == NULL) {
        return ERR_OK; /* given up meanwhile */
    }
    enum err err = fetch_take(fetch, msg);
    if (err == ERR_NOMEM) {
        return err;
    }
    if (err != ERR_OK) {
        return fetch_wrong(node, fetch, err);
    }
    fetch->progress_ms = link->delta_ms = node->now_ms;
    if (fetch->pending.size < STAGE_FLUSH_SIZE || fetch_no_room(node, fetch)) {
        return ERR_OK;
    }
    return fetch_stage(node, fetch);
}

/* ---- the end ---- */

/* The chain from the held head to the new one, doc/protocol.md §4.5. */
static enum err opening_check(const struct fetch *fetch)
{
    const struct head *head = &fetch->head;
    uint64_t from = fetch->m == 0 ? 1 : fetch->m;
    uint64_t count = fetch->opening.size / HASH_SIZE;
    if (head->n < from || head->n - from != count || (fetch->anew && head->n <= fetch->base_n)) {
        return ERR_UNLINKED;
    }
    struct hash history = fetch->m == 0 ? (struct hash){{0}} : fetch->base_history;
    for (uint64_t i = 0; i < count; i++) {
        struct hash item;
        memcpy(item.bytes, fetch->opening.data + i * HASH_SIZE, HASH_SIZE);
        if (from + i == fetch->base_n &&
            memcmp(item.bytes, fetch->base_hash.bytes, HASH_SIZE) != 0) {
            return ERR_UNLINKED;
        }
        history = history_next(&history, &item);
    }
    return memcmp(history.bytes, head->history.bytes, HASH_SIZE) == 0 ? ERR_OK : ERR_UNLINKED;
}

static enum err end_check(struct node *node, struct fetch *fetch, struct bytes signed_head)
{
    enum err err = head_check(node, signed_head, &fetch->head);
    if (err != ERR_OK) {
        return err;
    }
    struct catalogue_name name = {0};
    name_of(&fetch->head, &name);
    if (memcmp(name.network.bytes, fetch->name.network.bytes, HASH_SIZE) != 0 ||
        memcmp(name.lab.bytes, fetch->name.lab.bytes, KEY_SIZE) != 0 ||
        strcmp(name.audience, fetch->name.audience) != 0) {
        return ERR_INVALID;
    }
    if (fetch->head.n < fetch->target_n || fetch->last_rev > fetch->head.n) {
        return ERR_STALE;
    }
    if (fetch->head.count > node->config.quota_entries ||
        fetch->head.bytes > node->config.quota_bytes) {
        return ERR_QUOTA;
    }
    buf_clear(&fetch->signed_head);
    buf_put(&fetch->signed_head, signed_head);
    return fetch->signed_head.err != ERR_OK ? fetch->signed_head.err : opening_check(fetch);
}

static bool plan_fits(const struct plan *plan, const struct head *head)
{
    return plan->count == head->count && plan->bytes == head->bytes &&
           memcmp(plan->root.bytes, head->root.bytes, HASH_SIZE) == 0;
}

static int slug_order(const void *key, const void *item)
{
    const struct slug_hash *slug_hash = key;
    const struct change *change = item;
    return memcmp(slug_hash->bytes, change->slug_hash.bytes, SLUG_HASH_SIZE);
}

/* Asked anew: what is held and did not come is withdrawn. */
static enum err fetch_rest(struct fetch *fetch, struct txn *txn)
{
    struct entry_cursor *cursor = NULL;
    size_t count = fetch->changes.count;
    enum err err = entry_cursor_open(txn, fetch->catalogue, 0, NULL, &cursor);
    while (err == ERR_OK) {
        struct bytes entry;
        uint64_t rev = 0;
        struct change gone = {.order = UINT32_MAX};
        err = entry_cursor_next(cursor, &entry, &rev, &gone.slug_hash);
        if (err != ERR_OK && err != ERR_CORRUPT) {
            break;
        }
        bool came = count > 0 && bsearch(&gone.slug_hash, fetch->changes.items, count,
                                         sizeof(struct change), slug_order) != NULL;
        err = came ? ERR_OK : change_add(&fetch->changes, &gone);
    }
    entry_cursor_close(cursor);
    return err == ERR_NOT_FOUND ? change_settle(&fetch->changes, NULL) : err;
}

/* The changes as the plan wants them. */
static enum err fetch_settle(struct fetch *fetch, struct txn *txn, struct buf *dropped)
{
    enum err err = change_settle(&fetch->changes, dropped);
    return err == ERR_OK && fetch->anew ? fetch_rest(fetch, txn) : err;
}

static enum err fetch_apply(struct node *node, struct fetch *fetch, struct txn *txn,
                            const struct plan *plan, struct lab_id from, uint64_t *ret_arrival)
{
    uint64_t first = fetch->base_n == 0 ? 1 : fetch->base_n;
    size_t known = fetch->anew ? (size_t) (first - 1) * HASH_SIZE : 0;
    struct bytes opening = buf_bytes(&fetch->opening);
    if (known > 0) {
        opening = bytes_of(opening.data + known, opening.size - known);
    }
    struct apply apply = {
        .id = fetch->catalogue,
        .list = &fetch->changes,
        .plan = plan,
        .head = &fetch->head,
        .signed_head = buf_bytes(&fetch->signed_head),
        .opening = opening,
        .opening_from = first,
        .from = from,
        .now_s = (uint64_t) node->wall_s,
    };
    return catalogue_apply(txn, &apply, ret_arrival);
}

/* What every link offered and is held now is done. */
static enum err offers_close(struct node *node, uint32_t catalogue, const struct head *head)
{
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = node->links[i];
        bool any = false;
        for (size_t k = 0; k < link->offer_count; k++) {
            struct offer *offer = &link->offers[k];
            if (offer->catalogue == catalogue && !offer->done) {
                offer->done = head_compare(&offer->head, head) <= 0;
                offer->fetching = false;
                any = true;
            }
        }
        if (any) {
            cursor_update(node, link, true);
            if (link->cursor_due_ms != 0) {
                link->cursor_due_ms = node->now_ms; /* somebody may be waiting for this ACK */
            }
        }
    }
    return ERR_OK;
}

/* A delta that stayed in memory: planned, checked, and only then written, all in this turn. */
static enum err fetch_finish_small(struct node *node, struct fetch *fetch)
{
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    size_t count = fetch->changes.count;
    size_t *offsets = calloc(count + 1, sizeof *offsets);
    struct plan *plan = malloc(sizeof *plan);
    if (offsets == NULL || plan == NULL) {
        err = ERR_NOMEM;
    }
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        offsets[i + 1] = offsets[i] + fetch->changes.items[i].size;
    }
    if (err == ERR_OK) {
        err = fetch_settle(fetch, txn, NULL);
    }
    if (err == ERR_OK) {
        err = catalogue_plan(txn, fetch->catalogue, &fetch->changes, plan);
    }
    if (err == ERR_OK && !plan_fits(plan, &fetch->head)) {
        err = ERR_ROOT;
    }
    for (size_t i = 0; err == ERR_OK && i < fetch->changes.count; i++) {
        struct change *change = &fetch->changes.items[i];
        if (change->size > 0) {
            struct bytes body =
                bytes_of(fetch->pending.data + offsets[change->order], change->size);
            err = body_append(txn, fetch->catalogue, body, &change->seq);
        }
    }
    uint64_t arrival = 0;
    if (err == ERR_OK) {
        err = fetch_apply(node, fetch, txn, plan, fetch->link->lab, &arrival);
    }
    free(offsets);
    free(plan);
    return err;
}

static enum err fetch_applied(struct node *node, struct fetch *fetch)
{
    uint32_t catalogue = fetch->catalogue;
    struct head head = fetch->head;
    enum err err = node_changed(node, catalogue, fetch->base_n);
    if (fetch->link != NULL) {
        fetch->link->stall_delay_ms = 0;
    }
    fetch_done(fetch);
    return err != ERR_OK ? err : offers_close(node, catalogue, &head);
}

enum err fetch_end(struct node *node, struct link *link, const struct msg *msg)
{
    struct fetch *fetch = fetch_on(node, link, msg->delta_end.stream);
    if (fetch == NULL) {
        return ERR_OK;
    }
    if (msg->delta_end.head.size == 0) {
        fetch_abandon(node, fetch);
        return ERR_OK;
    }
    enum err err = end_check(node, fetch, msg->delta_end.head);
    if (ours(err)) {
        return err;
    }
    if (err != ERR_OK) {
        return fetch_wrong(node, fetch, err);
    }
    fetch->progress_ms = link->delta_ms = node->now_ms;
    if (fetch_no_room(node, fetch)) {
        return ERR_OK;
    }
    if (fetch->has_staging || fetch->changes.count > JOB_CHANGES_MIN) {
        fetch->complete = true;
        return fetch_stage(node, fetch);
    }
    err = fetch_finish_small(node, fetch);
    if (err == ERR_ROOT) {
        return fetch_wrong(node, fetch, err);
    }
    return err != ERR_OK ? err : fetch_applied(node, fetch);
}

/* ---- the job: off the loop, its own transaction ---- */

static enum err job_apply(struct node *node, struct fetch *fetch, struct txn *txn,
                          struct plan *plan, uint64_t *ret_arrival)
{
    defer(buf_done) struct buf dropped = {0};
    enum err err = fetch_settle(fetch, txn, &dropped);
    if (err == ERR_OK) {
        err = catalogue_plan(txn, fetch->catalogue, &fetch->changes, plan);
    }
    if (err == ERR_OK && !plan_fits(plan, &fetch->head)) {
        err = ERR_ROOT;
    }
    if (err == ERR_OK) {
        struct lab_id from = fetch->link != NULL ? fetch->link->lab : (struct lab_id){{0}};
        err = fetch_apply(node, fetch, txn, plan, from, ret_arrival);
    }
    for (size_t at = 0; err == ERR_OK && at < dropped.size; at += 8) {
        uint64_t seq = be64_get(dropped.data + at);
        err = seq == 0 ? ERR_OK : body_drop(txn, seq);
    }
    /* A delta of hints alone staged nothing. */
    return err != ERR_OK || !fetch->has_staging ? err : staging_close(txn, fetch->catalogue);
}

enum err fetch_job(struct node *node, struct fetch *fetch, uint64_t *ret_arrival)
{
    struct plan *plan = malloc(sizeof *plan);
    if (plan == NULL) {
        return ERR_NOMEM;
    }
    struct txn *txn = NULL;
    enum err err = txn_begin_write(node->config.store, &txn);
    if (err == ERR_OK) {
        err = job_apply(node, fetch, txn, plan, ret_arrival);
        if (err == ERR_OK) {
            err = txn_commit(txn);
        } else {
            txn_end(txn);
        }
    }
    free(plan);
    return err;
}

enum err fetch_job_done(struct node *node, struct fetch *fetch, enum err err)
{
    if (err == ERR_ROOT) {
        return fetch_wrong(node, fetch, err);
    }
    if (err == ERR_FULL) {
        node_log(node, 3, "disk-full: a catalogue could not be applied");
        fetch_abandon(node, fetch);
        return ERR_OK;
    }
    return err != ERR_OK ? err : fetch_applied(node, fetch);
}
