/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/offer.c: records and heads that peers announce: what is taken, and what is worth asking for.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"

static bool recovers(const struct node *node, const struct lab_id *lab)
{
    return node->config.recovering && memcmp(lab->bytes, node->config.lab.bytes, KEY_SIZE) == 0;
}

/* A new record may name a head that nobody but its lost server had. What is held instead, of the
 * generation before, is all there is to recover from, and only this record shows whose it is. */
static enum err record_keep(struct node *node, struct txn *txn, const struct held_lab *held)
{
    struct catalogue_name name = {
        .network = node->network, .lab = held->record.lab, .audience = "public"};
    struct held_head head = {0};
    uint32_t id = 0;
    enum err err = catalogue_find(txn, &name, &id);
    if (err == ERR_OK) {
        err = catalogue_head(txn, id, &head);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    bool keep = (err == ERR_OK && head.head.generation == held->record.generation) ||
                recovers(node, &held->record.lab);
    return keep ? lab_former_put(txn, &held->record.lab, held->signed_bytes) : ERR_OK;
}

/* An older one than is held: of use only to its own lab. */
static enum err record_keep_older(struct node *node, struct txn *txn,
                                  const struct lab_record *record, struct bytes signed_bytes)
{
    struct held_lab former;
    if (!recovers(node, &record->lab)) {
        return ERR_OK;
    }
    enum err err = lab_former_get(txn, &record->lab, &former);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    bool newer = err == ERR_NOT_FOUND || record->generation > former.record.generation;
    return newer ? lab_former_put(txn, &record->lab, signed_bytes) : ERR_OK;
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
        return held.record.generation == record->generation
                   ? ERR_OK
                   : record_keep_older(node, txn, record, signed_bytes);
    }
    if (err == ERR_OK) {
        err = record_keep(node, txn, &held);
    } else if (err == ERR_NOT_FOUND) {
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
        bool own = memcmp(record.lab.bytes, node->config.lab.bytes, KEY_SIZE) == 0;
        err = own ? rotate_seen(node, &record, item, &link->lab)
                  : record_accept(node, &record, item, &link->lab);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

/* Of the own lab, while it is recovered: a head from before the last good one, where that one is
 * lost. One that is not older could be a thief's. */
static enum err head_former(struct node *node, struct txn *txn, struct bytes bytes,
                            const struct lab_record *record, struct head *head)
{
    struct held_lab former;
    if (!recovers(node, &head->lab)) {
        return ERR_STALE;
    }
    for (unsigned i = 0; i < record->last_good_count; i++) {
        if (head->n >= record->last_good[i].n) {
            return ERR_STALE;
        }
    }
    enum err err = lab_former_get(txn, &head->lab, &former);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_STALE : err;
    }
    return head->generation == former.record.generation
               ? head_open(bytes, former.record.signing_pk, head)
               : ERR_STALE;
}

/* The head is its lab's, by the record held. ERR_NOT_FOUND: no record of that lab or generation. */
enum err head_check(struct node *node, struct bytes bytes, struct head *ret_head)
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
        return verified_open(&node->verified, bytes, held.record.signing_pk, ret_head);
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
    return head_former(node, txn, bytes, &held.record, ret_head);
}

void head_name(const struct head *head, struct catalogue_name *ret_name)
{
    ret_name->network = head->network;
    ret_name->lab = head->lab;
    memcpy(ret_name->audience, head->audience, sizeof ret_name->audience);
}

/* ERR_OK: keep as an offer; ERR_STALE: nothing to do; other errors: refuse. */
static enum err offer_check(struct node *node, struct link *link, const struct head *head,
                            struct bytes signed_head, uint32_t *ret_catalogue)
{
    if (memcmp(head->network.bytes, node->network.bytes, HASH_SIZE) != 0 ||
        strcmp(head->audience, "public") != 0) {
        return ERR_REFUSED;
    }
    if (memcmp(head->lab.bytes, node->config.lab.bytes, KEY_SIZE) == 0) {
        return own_head_seen(node, link, head, signed_head);
    }
    if (head->count > node->config.quota_entries || head->bytes > node->config.quota_bytes) {
        return ERR_QUOTA;
    }
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    struct catalogue_name name;
    head_name(head, &name);
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
    int order = head_compare(head, &held.head);
    if (order > 0) {
        return ERR_OK;
    }
    bool same = order == 0 && memcmp(head->hash.bytes, held.head.hash.bytes, HASH_SIZE) == 0;
    return same || head->generation < held.head.generation
               ? ERR_STALE
               : fork_seen(node, *ret_catalogue, head, signed_head, &link->lab);
}

static bool offer_replaced(const struct offer *old, uint32_t catalogue)
{
    return old->catalogue == catalogue && !old->done && !old->fetching && !old->own;
}

static enum err offer_add(struct node *node, struct link *link, uint64_t arrival,
                          const struct head *head, uint32_t catalogue)
{
    for (size_t i = 0; i < link->offer_count; i++) {
        struct offer *old = &link->offers[i];
        if (offer_replaced(old, catalogue)) {
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

enum err offer_own(struct node *node, struct link *link)
{
    if (link->reader) {
        return ERR_OK;
    }
    for (size_t i = 0; i < link->offer_count; i++) {
        if (link->offers[i].own) {
            struct offer *offer = &link->offers[i];
            if (!offer->fetching) {
                offer->done = false;
                offer->ask = ASK_OPENING;
                offer->not_before_ms = 0;
                offer->asked = 0;
            }
            return ERR_OK;
        }
    }
    enum err err = node_grow((void **) &link->offers, link->offer_count, &link->offer_cap,
                             sizeof *link->offers);
    if (err == ERR_OK) {
        link->offers[link->offer_count++] =
            (struct offer){.own = true, .catalogue = node->own.catalogue, .ask = ASK_OPENING};
    }
    return err;
}

bool err_ours(enum err err)
{
    return err == ERR_IO || err == ERR_NOMEM || err == ERR_CORRUPT || err == ERR_FULL;
}

/* Its store went back to an older state: it counts from the start, and so do we. */
static void cursor_back(struct link *link, const struct list *heads)
{
    size_t at = 0;
    uint64_t arrival = 0;
    struct bytes item;
    bool back = !link->announced_to && link->peer != NULL &&
                list_next_head(heads, &at, &arrival, &item) && arrival <= link->told;
    link->announced_to = true;
    if (back) {
        link->told = link->upto = 0;
        link->cursor = link->cursor_stored = link->cursor_acked = 0;
        link->peer->row.cursor = 0;
        link->peer->row_dirty = true;
    }
}

enum err fetch_heads(struct node *node, struct link *link, const struct msg *msg)
{
    cursor_back(link, &msg->heads.heads);
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
            err = offer_check(node, link, &head, item, &catalogue);
        }
        if (err_ours(err)) {
            return err;
        }
        if (err == ERR_OK) {
            when_heard(node, link, &head);
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

/* What every link offered and is held now is done. */
enum err offers_close(struct node *node, uint32_t catalogue, const struct head *head)
{
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = node->links[i];
        bool any = false;
        for (size_t k = 0; k < link->offer_count; k++) {
            struct offer *offer = &link->offers[k];
            if (offer->catalogue == catalogue && !offer->done && !offer->own) {
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
