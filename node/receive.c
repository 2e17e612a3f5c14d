/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/receive.c: the parts of a delta as they come, and what becomes of one that is wrong.
 *
 * Entries ascend and are kept (fetch.c stages them by the megabyte), hints and the opening are put
 * by until DELTA_END (apply.c). A delta that does not add up is asked for in another way where that
 * may help; its peer is closed where it cannot be honest.
 */
#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/entry.h"

#define ASKED_MAX 6 /* ways of asking one link for one head */

/* ---- its parts ---- */

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
    if (fetch->ask == ASK_OPENING || fetch->ask == ASK_BRANCH) {
        return ERR_OK; /* not what was asked for */
    }
    buf_put(&fetch->hints, withdrawn);
    bool many = fetch->hints.size / HINT_SIZE > HINTS_MAX;
    return fetch->hints.err == ERR_OK && many ? ERR_QUOTA : fetch->hints.err;
}

/* A chain is about as long as the offered head's number says: the rest would be memory that anybody
 * can take. What is held of the own catalogue elsewhere has no number yet. */
static enum err opening_fits(const struct fetch *fetch)
{
    const struct opening *opening = &fetch->opening;
    uint64_t n = fetch->target_n;
    uint64_t side = n < OPENING_SIDE_COUNT_MAX ? n : OPENING_SIDE_COUNT_MAX;
    uint64_t most = (n > opening->from ? n - opening->from : 0) + OPENING_SPARE;
    uint64_t count = (opening->hashes.size + opening->side_hashes.size) / HASH_SIZE;
    return fetch->own || count <= most + side * OPENING_SIDES_MAX || most > OPENING_COUNT_MAX
               ? ERR_OK
               : ERR_SIZE;
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
    if (err == ERR_OK && fetch->ask == ASK_OPENING && msg->delta.entries.count > 0) {
        err = ERR_MALFORMED;
    }
    at = 0;
    while (err == ERR_OK && list_next(&msg->delta.opening, &at, &item)) {
        err = opening_add(&fetch->opening, item);
    }
    return err == ERR_OK ? opening_fits(fetch) : err;
}

/* ---- what is wrong ---- */

/* A delta against the rules: what it staged goes, its peer is closed. */
enum err fetch_convict(struct node *node, struct fetch *fetch, enum err why)
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
    if (link != NULL && link->peer != NULL) {
        link->peer->lies++;
        link->peer->lied_ms = node->now_ms;
    }
    if (link != NULL) {
        link_close(node, link, BYE_PROTOCOL, err_text(why));
    }
    return err;
}

/* `link` is asked at once, in that way, or only later. */
static void offers_retry(struct node *node, struct link *link, const struct fetch *fetch,
                         enum ask ask)
{
    bool asked = link == fetch->link;
    for (size_t k = 0; k < link->offer_count; k++) {
        struct offer *offer = &link->offers[k];
        if (offer->catalogue == fetch->catalogue && offer->own == fetch->own) {
            offer->fetching = false;
            offer->not_before_ms = asked ? 0 : node->now_ms + RETRY_MS;
            offer->ask = asked ? ask : offer->ask;
        }
    }
}

enum err fetch_again(struct node *node, struct fetch *fetch, enum ask ask)
{
    struct txn *txn = NULL;
    enum err err = fetch->has_staging ? node_txn(node, &txn) : ERR_OK;
    if (err == ERR_OK && txn != NULL) {
        err = staging_drop(txn, fetch->catalogue);
    }
    for (size_t i = 0; i < node->link_count; i++) {
        offers_retry(node, node->links[i], fetch, ask);
    }
    if (fetch->link != NULL && fetch->link->file) {
        offers_retry(node, fetch->link, fetch, ask);
    }
    fetch_done(fetch);
    return err;
}

/* A delta that does not add up is not always its sender's fault: a part may be another's, hints of
 * what was withdrawn may be forgotten by now, and the history may have forked. */
enum err fetch_wrong(struct node *node, struct fetch *fetch, enum err why)
{
    bool sum = why == ERR_ROOT || why == ERR_STALE || why == ERR_QUOTA;
    const struct offer *offer = fetch_offer(fetch);
    if (offer == NULL || offer->asked >= ASKED_MAX) {
        return fetch_convict(node, fetch, why);
    }
    if (fetch->resumed && sum) {
        node_refuse(node, why);
        return fetch_again(node, fetch, fetch->ask);
    }
    if (why == ERR_ROOT && fetch->m > 0) {
        node_refuse(node, why);
        return fetch_again(node, fetch, ASK_ANEW);
    }
    if (why == ERR_UNLINKED && (fetch->m > 0 || fetch->ask == ASK_ANEW)) {
        node_refuse(node, why);
        return fetch_again(node, fetch, ASK_OPENING);
    }
    return fetch_convict(node, fetch, why);
}

/* The disk is too full to take more: wait, and go on later where this stopped. */
bool fetch_no_room(struct node *node, struct fetch *fetch)
{
    if (store_room(node->config.store) == ERR_OK) {
        return false;
    }
    node_refuse(node, ERR_FULL);
    node_log(node, 4, "disk-full: a catalogue waits for room");
    fetch_abandon(node, fetch);
    return true;
}

/* ---- DELTA ---- */

enum err fetch_delta(struct node *node, struct link *link, const struct msg *msg)
{
    struct fetch *fetch = fetch_on(node, link, msg->delta.stream);
    if (fetch == NULL) {
        return ERR_OK; /* given up meanwhile */
    }
    if (fetch->mend != NULL) {
        return fetch_convict(node, fetch, ERR_MALFORMED); /* it ended, and was checked */
    }
    enum err err = fetch_take(fetch, msg);
    if (err == ERR_NOMEM) {
        return err;
    }
    if (err != ERR_OK) {
        return fetch_wrong(node, fetch, err);
    }
    size_t size =
        msg->delta.entries.raw.size + msg->delta.withdrawn.size + msg->delta.opening.raw.size;
    bool gone = false;
    if (size > 0 || link->file) { /* nothing is no progress */
        err = fetch_moved(node, fetch, size, &gone);
    }
    if (err != ERR_OK || gone) {
        return err;
    }
    if (fetch->pending.size < STAGE_FLUSH_SIZE || fetch_no_room(node, fetch)) {
        return ERR_OK;
    }
    return fetch_stage(node, fetch);
}
