/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/fetch.c: what peers announce is wanted, received (receive.c), checked and applied (apply.c):
 * all of a delta or nothing.
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
#include "node/parts.h"

#define GAP_MS_MAX 5000 /* a job may have kept us from reading */
#define DOUBT_MS (3600u * 1000u)
#define STALL_DELAY_MS_MAX (600u * 1000u)
#define LINK_FETCHES_MAX (FETCHES_MAX / 2) /* of one link: others are heard, too */

void fetch_done(struct fetch *fetch)
{
    change_done(&fetch->changes);
    buf_done(&fetch->hints);
    buf_done(&fetch->pending);
    opening_done(&fetch->opening);
    buf_done(&fetch->dropped);
    mend_free(fetch->mend);
    buf_done(&fetch->signed_head);
    *fetch = (struct fetch){0};
}

void fetches_reset(struct node *node)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        fetch_done(&node->fetches[i]);
    }
}

struct fetch *fetch_of(struct node *node, uint32_t catalogue)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        if (node->fetches[i].open && node->fetches[i].catalogue == catalogue) {
            return &node->fetches[i];
        }
    }
    return NULL;
}

struct fetch *fetch_on(struct node *node, const struct link *link, uint64_t stream)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        struct fetch *fetch = &node->fetches[i];
        if (fetch->open && !fetch->complete && fetch->link == link && fetch->stream == stream) {
            return fetch;
        }
    }
    return NULL;
}

struct offer *fetch_offer(struct fetch *fetch)
{
    struct link *link = fetch->link;
    for (size_t i = 0; link != NULL && i < link->offer_count; i++) {
        struct offer *offer = &link->offers[i];
        if (offer->catalogue == fetch->catalogue && offer->fetching) {
            return offer;
        }
    }
    return NULL;
}

void fetch_over(struct node *node, struct fetch *fetch)
{
    struct link *link = fetch->link;
    struct offer *offer = fetch_offer(fetch);
    if (offer != NULL) {
        offer->fetching = false;
        offer->done = true;
    }
    fetch_done(fetch);
    if (link != NULL) {
        cursor_update(node, link, true);
    }
}

/* Gives the fetch up; what is staged stays for the next one. Its offer waits before this link is
 * asked again. */
void fetch_abandon(struct node *node, struct fetch *fetch)
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
enum err fetch_stage(struct node *node, struct fetch *fetch)
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
    bool file = fetch->link != NULL && fetch->link->file;
    return last + (file ? IMPORT_IDLE_MS : FETCH_STALL_MS); /* a file cannot be asked elsewhere */
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

/* "Nothing of yours" may also be that its disk failed it for a moment: while this lab signs nothing
 * for want of its own entries, it is asked again, more rarely each time. */
void fetch_own_later(struct node *node, struct link *link)
{
    if (link->file) {
        return; /* it is read from its beginning to its end, whatever is asked */
    }
    uint64_t delay = link->own_delay_ms == 0 ? RETRY_MS : link->own_delay_ms * 2;
    link->own_delay_ms = delay < STALL_DELAY_MS_MAX ? delay : STALL_DELAY_MS_MAX;
    link->own_due_ms = node->now_ms + link->own_delay_ms;
}

static enum err fetch_own_due(struct node *node, struct link *link)
{
    if (link->own_due_ms == 0 || node->now_ms < link->own_due_ms) {
        return ERR_OK;
    }
    link->own_due_ms = 0;
    return node->own.frozen != 0 ? offer_own(node, link) : ERR_OK;
}

static enum err fetch_too_slow(struct node *node, struct fetch *fetch)
{
    node_refuse(node, ERR_TIMEOUT);
    enum err err = fetch_keep(node, fetch);
    link_stalled(node, fetch->link);
    fetch_abandon(node, fetch);
    return err;
}

enum err fetch_tick(struct node *node)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < FETCHES_MAX; i++) {
        struct fetch *fetch = &node->fetches[i];
        if (fetch->open && !fetch->complete && node->now_ms >= fetch_stalls_ms(fetch)) {
            err = fetch_too_slow(node, fetch);
        }
    }
    return err;
}

static bool offered_elsewhere(const struct node *node, const struct link *link, uint32_t catalogue)
{
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *other = node->links[i];
        for (size_t k = 0; other != link && other->state == LINK_READY && k < other->offer_count;
             k++) {
            if (other->offers[k].catalogue == catalogue && !other->offers[k].done &&
                (other->peer == NULL || other->peer->lies == 0)) {
                return true;
            }
        }
    }
    return false;
}

/* A little now and then is no progress either, or one peer could keep a catalogue from us for as
 * long as it likes. */
enum err fetch_moved(struct node *node, struct fetch *fetch, size_t size, bool *ret_gone)
{
    struct link *link = fetch->link;
    uint64_t gap_ms = node->now_ms - link->crawl_at_ms;
    link->crawl_at_ms = node->now_ms;
    link->crawl_ms += gap_ms < GAP_MS_MAX ? gap_ms : GAP_MS_MAX;
    link->crawl_size += size;
    fetch->progress_ms = link->delta_ms = node->now_ms;
    if (fetch->own && size > 0) {
        repair_moved(node);
    }
    *ret_gone = false;
    if (link->file || link->crawl_ms < FETCH_CRAWL_MS) {
        return ERR_OK;
    }
    bool crawls = link->crawl_size < FETCH_CRAWL_SIZE;
    link->crawl_ms = link->crawl_size = 0;
    enum err err = ERR_OK;
    for (size_t i = 0; crawls && err == ERR_OK && i < FETCHES_MAX; i++) {
        struct fetch *slow = &node->fetches[i];
        if (slow->open && slow->link == link && !slow->complete &&
            offered_elsewhere(node, link, slow->catalogue)) {
            *ret_gone = *ret_gone || slow == fetch;
            err = fetch_too_slow(node, slow);
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
        uint64_t own = link->own_due_ms > link->stalled_ms ? link->own_due_ms : link->stalled_ms;
        if (link->own_due_ms != 0 && own > node->now_ms && own < wake) {
            wake = own;
        }
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

/* ---- asking ---- */

/* Goes on where an earlier fetch of the same delta stopped, if it staged something. */
static enum err fetch_resume(struct node *node, struct fetch *fetch)
{
    struct txn *txn = NULL;
    enum err err = fetch->own ? own_staging_drop(node, false) : ERR_OK;
    struct staging staging;
    if (err == ERR_OK) {
        err = node_txn(node, &txn);
    }
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

/* How to ask, by what is held: a frozen catalogue only listens to its chain; a newer generation may
 * stand at a lower number. */
static enum err fetch_ask(struct txn *txn, const struct offer *offer, struct fetch *fetch)
{
    if (offer->ask != ASK_DELTA || offer->own) {
        return ERR_OK;
    }
    if (offer->head.generation > fetch->base_generation && offer->head.n <= fetch->base_n) {
        fetch->ask = ASK_ANEW;
        return ERR_OK;
    }
    struct held_fork fork;
    enum err err = fork_get(txn, offer->catalogue, &fork);
    if (err == ERR_OK && fork.generation == offer->head.generation && offer->asked == 0) {
        fetch->ask = ASK_OPENING;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static unsigned fetches_on(const struct node *node, const struct link *link)
{
    unsigned count = 0;
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        count += node->fetches[i].open && node->fetches[i].link == link;
    }
    return count;
}

/* What was between two deltas is nobody's time. */
static void crawl_begin(const struct node *node, struct link *link)
{
    if (fetches_on(node, link) == 0) {
        link->crawl_ms = link->crawl_size = 0;
        link->crawl_at_ms = node->now_ms;
    }
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
    crawl_begin(node, link);
    *fetch = (struct fetch){
        .open = true,
        .link = link,
        .stream = link->stream_next++ & UINT32_MAX,
        .catalogue = offer->catalogue,
        .ask = offer->ask,
        .own = offer->own,
        .target_generation = offer->head.generation,
        .target_n = offer->head.n,
        .target_count = offer->own ? node->config.quota_entries : offer->head.count,
        .target_bytes = offer->own ? node->config.quota_bytes : offer->head.bytes,
        .progress_ms = node->now_ms,
    };
    if (offer->own) {
        fetch->name = node->own.name;
    } else {
        head_name(&offer->head, &fetch->name);
    }
    if (err == ERR_OK) {
        fetch->base_n = held.head.n;
        fetch->base_generation = held.head.generation;
        fetch->base_hash = held.head.hash;
        fetch->base_history = held.head.history;
        err = fetch_ask(txn, offer, fetch);
    } else if (fetch->ask == ASK_ANEW) {
        fetch->ask = ASK_DELTA;
        err = ERR_OK;
    } else {
        err = ERR_OK;
    }
    fetch->m = fetch->ask == ASK_DELTA ? fetch->base_n : 0;
    opening_begin(&fetch->opening, fetch->m == 0 ? 1 : fetch->m);
    if (err == ERR_OK && fetch->ask != ASK_OPENING) {
        err = fetch_resume(node, fetch);
    }
    if (err != ERR_OK) {
        fetch_done(fetch);
        return err;
    }
    offer->fetching = true;
    offer->asked++;
    struct msg msg = {.type = MSG_WANT,
                      .want = {.stream = fetch->stream,
                               .lab = fetch->name.lab,
                               .audience = bytes_of_str(fetch->name.audience),
                               .m = fetch->m,
                               .after_rev = fetch->last_rev,
                               .has_after = fetch->has_last,
                               .after_slug = fetch->last_slug}};
    if (fetch->ask == ASK_OPENING) {
        msg.want.has_after = true;
        msg.want.after_rev = UINT64_MAX;
        memset(msg.want.after_slug.bytes, 0xff, SLUG_HASH_SIZE);
    }
    link_send(node, link, &msg);
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

/* What came is kept; the file goes on from there. */
static enum err fetch_yield(struct node *node, struct fetch *fetch)
{
    enum err err = fetch_keep(node, fetch);
    fetch_abandon(node, fetch);
    return err;
}

/* A slot for a file: a free one, or that of the peer which has been silent longest. NULL: all wait
 * for their jobs. */
static struct fetch *fetch_take_slot(struct node *node)
{
    struct fetch *oldest = fetch_free_slot(node);
    for (size_t i = 0; i < FETCHES_MAX && (oldest == NULL || oldest->open); i++) {
        struct fetch *fetch = &node->fetches[i];
        if (!fetch->complete && (oldest == NULL || fetch->progress_ms < oldest->progress_ms)) {
            oldest = fetch;
        }
    }
    return oldest;
}

enum err fetch_open(struct node *node, struct link *link, struct offer *offer,
                    struct fetch **ret_fetch)
{
    struct txn *txn = NULL;
    struct held_head held;
    struct fetch *fetch = fetch_of(node, offer->catalogue);
    fetch = fetch != NULL ? fetch : fetch_take_slot(node);
    enum err err = fetch == NULL || fetch->complete ? ERR_BUSY : ERR_OK;
    if (err == ERR_OK && fetch->open) {
        err = fetch_yield(node, fetch);
    }
    if (err == ERR_OK) {
        err = node_txn(node, &txn);
    }
    if (err == ERR_OK) {
        err = catalogue_head(txn, offer->catalogue, &held);
    }
    if (err == ERR_OK && head_compare(&offer->head, &held.head) <= 0) {
        err = ERR_STALE;
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        err = fetch_begin(node, link, offer, fetch);
    }
    if (err == ERR_OK) {
        *ret_fetch = fetch;
    }
    return err;
}

static void job_schedule(struct node *node)
{
    for (size_t i = 0; i < FETCHES_MAX && node->job.kind == JOB_NONE; i++) {
        if (node->fetches[i].open && node->fetches[i].complete) {
            node->job = (struct job){.kind = JOB_FETCH, .fetch = &node->fetches[i]};
        }
    }
}

/* Somebody who told what cannot be is asked only where nobody else offers the same. */
static bool link_doubted(const struct node *node, const struct link *link,
                         const struct offer *offer)
{
    const struct peer *peer = link->peer;
    return peer != NULL && peer->lies > 0 && node->now_ms - peer->lied_ms < DOUBT_MS &&
           offered_elsewhere(node, link, offer->catalogue);
}

enum err fetch_schedule(struct node *node)
{
    job_schedule(node);
    for (size_t i = 0; i < node->link_count && !node->stopping; i++) {
        struct link *link = node->links[i];
        if (link->state != LINK_READY || node->now_ms < link->stalled_ms) {
            continue;
        }
        enum err due = fetch_own_due(node, link);
        if (due != ERR_OK) {
            return due;
        }
        unsigned asked = fetches_on(node, link);
        for (size_t k = 0; k < link->offer_count && asked < LINK_FETCHES_MAX; k++) {
            struct offer *offer = &link->offers[k];
            if (offer->done || offer->fetching || node->now_ms < offer->not_before_ms ||
                fetch_of(node, offer->catalogue) != NULL || link_doubted(node, link, offer)) {
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
