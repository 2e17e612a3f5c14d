/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/mend.c: a delta that does not make its head's root is mended bucket by bucket
 * (doc/protocol.md §6, Repair).
 *
 *   root differs ─► BUCKETS (what we would have) ─► their digests: make the root, or they lie
 *        ─► BUCKET for each that differs (our pairs) ─► what we lack, and all their pairs: make the
 * digest, or they lie ─► the delta is applied once more
 *
 * The usual cause is honest: hints of what was withdrawn are forgotten after 90 days.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/entry.h"

#define BUCKET_FILL (56u * 1024u)            /* of pairs or entries in one message */
#define ANSWER_WORTH (FETCH_CRAWL_SIZE / 10) /* two seconds an answer are enough */
#define ANSWER_N UINT64_MAX                  /* questions name a head, answers do not */
#define ORDER_MENDED UINT32_MAX              /* later than everything that came in the delta */
#define GOT_MAX (MSG_SIZE_MAX / PAIR_SIZE)   /* no list of pairs can name more */

struct mend {
    struct digests ours, theirs;
    bool answered; /* `theirs` is there */
    unsigned bucket;
    struct buf pairs;       /* ours, of `bucket` */
    struct change_list got; /* entries that came for `bucket` */
};

void mend_free(struct mend *mend)
{
    if (mend != NULL) {
        buf_done(&mend->pairs);
        change_done(&mend->got);
        free(mend);
    }
}

static enum err mend_lie(struct node *node, struct fetch *fetch, enum err why)
{
    node_log(node, 4, "mend: what a peer says it holds does not make the signed root");
    return fetch_convict(node, fetch, why);
}

/* ---- asking ---- */

static void want_buckets(struct node *node, struct fetch *fetch)
{
    link_send(node, fetch->link,
              &(struct msg){
                  .type = MSG_BUCKETS,
                  .buckets = {.stream = fetch->stream,
                              .n = fetch->head.n,
                              .lab = fetch->name.lab,
                              .audience = bytes_of_str(fetch->name.audience),
                              .digests = bytes_of(&fetch->mend->ours, sizeof fetch->mend->ours)}});
}

bool mend_begin(struct node *node, struct fetch *fetch, const struct plan *plan)
{
    struct link *link = fetch->link;
    if (link == NULL || link->file || link->state != LINK_READY || fetch->mended) {
        return false;
    }
    fetch->mend = calloc(1, sizeof *fetch->mend);
    if (fetch->mend == NULL) {
        return false;
    }
    fetch->mended = true;
    fetch->complete = false;
    fetch->mend->ours = plan->digests;
    fetch->progress_ms = link->delta_ms = node->now_ms;
    node_refuse(node, ERR_ROOT);
    want_buckets(node, fetch);
    return true;
}

/* Asks for the next bucket that differs; the delta is whole when there is none. */
static enum err mend_next(struct node *node, struct fetch *fetch)
{
    struct mend *mend = fetch->mend;
    while (mend->bucket < BUCKET_COUNT &&
           memcmp(mend->ours.buckets[mend->bucket].bytes, mend->theirs.buckets[mend->bucket].bytes,
                  HASH_SIZE) == 0) {
        mend->bucket++;
    }
    if (mend->bucket == BUCKET_COUNT) {
        mend_free(fetch->mend);
        fetch->mend = NULL;
        fetch->complete = true; /* applied by the job */
        return ERR_OK;
    }
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    buf_clear(&mend->pairs);
    mend->got.count = 0;
    if (err == ERR_OK) {
        err = catalogue_pairs(txn, fetch->catalogue, &fetch->changes, mend->bucket, &mend->pairs);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (mend->pairs.size > BUCKET_FILL) {
        return fetch_again(node, fetch, ASK_ANEW);
    }
    link_send(node, fetch->link,
              &(struct msg){.type = MSG_BUCKET,
                            .bucket = {.stream = fetch->stream,
                                       .n = fetch->head.n,
                                       .lab = fetch->name.lab,
                                       .audience = bytes_of_str(fetch->name.audience),
                                       .bucket = mend->bucket,
                                       .pairs = buf_bytes(&mend->pairs)}});
    return ERR_OK;
}

static enum err mend_digests(struct node *node, struct fetch *fetch, struct bytes digests)
{
    struct mend *mend = fetch->mend;
    if (mend->answered || digests.size != sizeof mend->theirs) {
        return mend_lie(node, fetch, ERR_MALFORMED);
    }
    memcpy(&mend->theirs, digests.data, sizeof mend->theirs);
    mend->answered = true;
    struct hash root = digests_root(&mend->theirs);
    if (memcmp(root.bytes, fetch->head.root.bytes, HASH_SIZE) != 0) {
        return mend_lie(node, fetch, ERR_ROOT);
    }
    return mend_next(node, fetch);
}

static int pair_order(const void *key, const void *pair)
{
    return memcmp(key, pair, SLUG_HASH_SIZE);
}

static const uint8_t *pair_find(struct bytes pairs, const uint8_t *slug_hash)
{
    return pairs.size == 0
               ? NULL
               : bsearch(slug_hash, pairs.data, pairs.size / PAIR_SIZE, PAIR_SIZE, pair_order);
}

static const struct change *got_find(const struct mend *mend, const uint8_t *slug_hash)
{
    for (size_t i = 0; i < mend->got.count; i++) {
        if (memcmp(mend->got.items[i].slug_hash.bytes, slug_hash, SLUG_HASH_SIZE) == 0) {
            return &mend->got.items[i];
        }
    }
    return NULL;
}

/* An entry that our pairs lack. */
static enum err mend_entry(struct node *node, struct fetch *fetch, struct bytes bytes)
{
    struct mend *mend = fetch->mend;
    struct entry entry;
    struct txn *txn = NULL;
    enum err err = entry_decode(bytes, &entry);
    if (err != ERR_OK) {
        return err;
    }
    struct change change = {
        .slug_hash = hash_slug(entry.slug),
        .leaf = entry_leaf(bytes),
        .rev = entry.rev,
        .size = (uint32_t) bytes.size,
        .order = ORDER_MENDED,
    };
    fetch->bytes += bytes.size;
    if (bucket_of(&change.slug_hash) != mend->bucket || entry.rev > fetch->head.n ||
        got_find(mend, change.slug_hash.bytes) != NULL) {
        return ERR_STALE;
    }
    if (mend->got.count >= GOT_MAX || fetch->bytes > fetch->target_bytes * 2 + PEER_IN_SIZE_MAX) {
        return ERR_QUOTA;
    }
    err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = body_append(txn, fetch->catalogue, bytes, &change.seq);
    }
    if (err == ERR_OK && !fetch->has_staging) {
        fetch->has_staging = true;
        err = staging_put(txn, fetch->catalogue,
                          &(struct staging){.first_seq = change.seq, .m = fetch->m});
    }
    return err == ERR_OK ? change_add(&mend->got, &change) : err;
}

/* All their pairs are known: what they have and we do not must have come. */
static enum err mend_pairs(struct fetch *fetch, struct bytes theirs)
{
    struct mend *mend = fetch->mend;
    struct bytes ours = buf_bytes(&mend->pairs);
    struct hash digest = bucket_digest(theirs);
    if (memcmp(digest.bytes, mend->theirs.buckets[mend->bucket].bytes, HASH_SIZE) != 0) {
        return ERR_ROOT;
    }
    enum err err = ERR_OK;
    size_t named = 0;
    for (size_t at = 0; err == ERR_OK && at < theirs.size; at += PAIR_SIZE) {
        const uint8_t *pair = theirs.data + at;
        const uint8_t *mine = pair_find(ours, pair);
        if (mine != NULL && memcmp(mine, pair, PAIR_SIZE) == 0) {
            continue;
        }
        const struct change *got = got_find(mend, pair);
        if (got == NULL || memcmp(got->leaf.bytes, pair + SLUG_HASH_SIZE, HASH_SIZE) != 0) {
            return ERR_ROOT;
        }
        named++;
        err = change_add(&fetch->changes, got);
    }
    if (err == ERR_OK && named != mend->got.count) {
        err = ERR_ROOT; /* what came besides would stay on disk for ever */
    }
    for (size_t at = 0; err == ERR_OK && at < ours.size; at += PAIR_SIZE) {
        if (pair_find(theirs, ours.data + at) == NULL) {
            struct change gone = {.order = ORDER_MENDED};
            memcpy(gone.slug_hash.bytes, ours.data + at, SLUG_HASH_SIZE);
            err = change_add(&fetch->changes, &gone);
        }
    }
    return err == ERR_OK ? change_settle(&fetch->changes, &fetch->dropped) : err;
}

static enum err mend_answer(struct node *node, struct fetch *fetch, const struct msg *msg)
{
    struct mend *mend = fetch->mend;
    size_t at = 0;
    struct bytes item;
    enum err err = ERR_OK;
    if (!mend->answered || msg->bucket.bucket != mend->bucket) {
        err = ERR_MALFORMED;
    }
    while (err == ERR_OK && list_next(&msg->bucket.entries, &at, &item)) {
        err = mend_entry(node, fetch, item);
    }
    bool last = msg->bucket.pairs.size > 0 || msg->bucket.entries.count == 0;
    if (err == ERR_OK && last) {
        err = mend_pairs(fetch, msg->bucket.pairs);
    }
    if (err_ours(err)) {
        return err;
    }
    if (err != ERR_OK) {
        return mend_lie(node, fetch, err);
    }
    if (!last) {
        return ERR_OK;
    }
    mend->bucket++;
    return mend_next(node, fetch);
}

/* ---- answering ---- */

static void answer_nothing(struct node *node, struct link *link, uint64_t stream)
{
    link_send(node, link, &(struct msg){.type = MSG_DELTA_END, .delta_end = {.stream = stream}});
}

/* The catalogue that is asked about, where head n is held and the answer finds room. */
static enum err asked_of(struct node *node, struct link *link, const struct lab_id *lab,
                         struct bytes audience, uint64_t n, uint32_t *ret_id)
{
    struct catalogue_name name = {.network = node->network, .lab = *lab};
    struct txn *txn = NULL;
    struct held_head held;
    bytes_copy(name.audience, audience);
    if (strcmp(name.audience, "public") != 0 || link_room(link) < 4 * FRAME_SIZE_MAX) {
        return ERR_NOT_FOUND;
    }
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = catalogue_find(txn, &name, ret_id);
    }
    if (err == ERR_OK) {
        err = catalogue_head(txn, *ret_id, &held);
    }
    return err == ERR_OK && held.head.n != n ? ERR_NOT_FOUND : err;
}

static enum err serve_buckets(struct node *node, struct link *link, const struct msg *msg)
{
    uint32_t id = 0;
    struct txn *txn = NULL;
    struct digests digests;
    defer(buf_done) struct buf pairs = {0};
    enum err err =
        asked_of(node, link, &msg->buckets.lab, msg->buckets.audience, msg->buckets.n, &id);
    if (err == ERR_OK) {
        err = node_txn(node, &txn);
    }
    if (err == ERR_OK) {
        err = catalogue_bucket(txn, id, 0, &digests, &pairs);
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        answer_nothing(node, link, msg->buckets.stream);
        return ERR_OK;
    }
    struct msg answer = *msg;
    answer.buckets.n = ANSWER_N;
    answer.buckets.digests = bytes_of(&digests, sizeof digests);
    if (err == ERR_OK) {
        link_send(node, link, &answer);
    }
    return err;
}

static void bucket_send(struct node *node, struct link *link, const struct msg *msg,
                        struct bytes pairs, struct buf *raw, size_t *count)
{
    struct msg answer = *msg;
    answer.bucket.n = ANSWER_N;
    answer.bucket.pairs = pairs;
    answer.bucket.entries = (struct list){.raw = buf_bytes(raw), .count = *count};
    link_send(node, link, &answer);
    buf_clear(raw);
    *count = 0;
}

/* What of `mine` the asker lacks or has otherwise. */
static enum err bucket_entries(struct node *node, struct link *link, const struct msg *msg,
                               uint32_t id, struct bytes mine)
{
    struct txn *txn = NULL;
    defer(buf_done) struct buf raw = {0};
    size_t count = 0;
    enum err err = node_txn(node, &txn);
    for (size_t at = 0; err == ERR_OK && at < mine.size; at += PAIR_SIZE) {
        const uint8_t *theirs = pair_find(msg->bucket.pairs, mine.data + at);
        if (theirs != NULL && memcmp(theirs, mine.data + at, PAIR_SIZE) == 0) {
            continue;
        }
        struct slug_hash slug_hash;
        struct bytes entry;
        memcpy(slug_hash.bytes, mine.data + at, SLUG_HASH_SIZE);
        err = catalogue_entry(txn, id, &slug_hash, &entry);
        if (err != ERR_OK) {
            break;
        }
        if (count > 0 && raw.size + entry.size > BUCKET_FILL) {
            if (link_room(link) < 2 * FRAME_SIZE_MAX) {
                return ERR_NOT_FOUND;
            }
            bucket_send(node, link, msg, (struct bytes){0}, &raw, &count);
        }
        list_put(&raw, entry);
        count++;
    }
    if (err == ERR_OK && count > 0) {
        bucket_send(node, link, msg, (struct bytes){0}, &raw, &count);
    }
    if (err == ERR_OK) {
        bucket_send(node, link, msg, mine, &raw, &count);
    }
    return err != ERR_OK ? err : raw.err;
}

static enum err serve_bucket(struct node *node, struct link *link, const struct msg *msg)
{
    uint32_t id = 0;
    struct txn *txn = NULL;
    struct digests digests;
    defer(buf_done) struct buf mine = {0};
    enum err err = asked_of(node, link, &msg->bucket.lab, msg->bucket.audience, msg->bucket.n, &id);
    if (err == ERR_OK) {
        err = node_txn(node, &txn);
    }
    if (err == ERR_OK) {
        err = catalogue_bucket(txn, id, msg->bucket.bucket, &digests, &mine);
    }
    if (err == ERR_OK) {
        err = mine.size > BUCKET_FILL ? ERR_NOT_FOUND
                                      : bucket_entries(node, link, msg, id, buf_bytes(&mine));
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        answer_nothing(node, link, msg->bucket.stream);
        return ERR_OK;
    }
    return err;
}

/* ---- question or answer: an answer names no head ---- */

enum err mend_buckets(struct node *node, struct link *link, const struct msg *msg)
{
    if (msg->buckets.n != ANSWER_N) {
        return serve_buckets(node, link, msg);
    }
    struct fetch *fetch = fetch_on(node, link, msg->buckets.stream);
    if (fetch == NULL || fetch->mend == NULL) {
        return ERR_OK; /* given up meanwhile */
    }
    bool gone = false;
    enum err err = fetch_moved(node, fetch, ANSWER_WORTH, &gone);
    return err != ERR_OK || gone ? err : mend_digests(node, fetch, msg->buckets.digests);
}

enum err mend_bucket(struct node *node, struct link *link, const struct msg *msg)
{
    if (msg->bucket.n != ANSWER_N) {
        return serve_bucket(node, link, msg);
    }
    struct fetch *fetch = fetch_on(node, link, msg->bucket.stream);
    if (fetch == NULL || fetch->mend == NULL) {
        return ERR_OK;
    }
    bool gone = false;
    enum err err = fetch_moved(node, fetch, ANSWER_WORTH, &gone);
    return err != ERR_OK || gone ? err : mend_answer(node, fetch, msg);
}
