/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/announce.c: arrivals go out, cursors come back (doc/protocol.md §6, Announcing and ACK).
 *
 * Live push and catch-up are one loop: whatever stands after `announced` and is for this peer is
 * sent while the window (ANNOUNCE_SIZE_MAX unacknowledged bytes) allows. What comes from the peer
 * itself meanwhile does not go back.
 */
#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"

#define ANNOUNCE_MSG_SIZE (32u * 1024u)

enum err link_start(struct node *node, struct link *link, const struct msg *hello)
{
    struct peer_row *row = &link->peer->row;
    if (!row->has_index || memcmp(row->index, hello->hello.index, INSTANCE_SIZE) != 0) {
        row->has_index = true;
        memcpy(row->index, hello->hello.index, INSTANCE_SIZE);
        row->cursor = 0;
        link->told = 0; /* our read_index is not its index: it starts over */
        link->peer->row_dirty = true;
    }
    link->upto = link->told;
    link->cursor = link->cursor_stored = link->cursor_acked = row->cursor;
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    uint64_t last = 0;
    if (err == ERR_OK) {
        err = arrival_last(txn, &last);
    }
    if (err != ERR_OK) {
        return err;
    }
    link->skip_own =
        hello->hello.has_read_index &&
        memcmp(hello->hello.read_index, store_index(node->config.store), INSTANCE_SIZE) == 0 &&
        hello->hello.cursor <= last;
    link->skip_from = last + 1;
    link->announced = link->acked = link->skip_own ? hello->hello.cursor : 0;
    link->peer->acked = link->acked;
    return node->own.frozen != 0 ? offer_own(node, link) : ERR_OK;
}

static bool same_lab(const struct lab_id *a, const struct lab_id *b)
{
    return memcmp(a->bytes, b->bytes, KEY_SIZE) == 0;
}

static enum err announce_record(struct txn *txn, const struct lab_id *lab, uint64_t after,
                                struct buf *records, size_t *count)
{
    struct held_lab held;
    enum err err = lab_get(txn, lab, &held);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    if (held.arrival >= after) {
        list_put(records, held.signed_bytes);
        (*count)++;
    }
    return ERR_OK;
}

/* To the head's own lab, which is being recovered: the record that the head is of goes first, where
 * a newer one does not name it. */
static enum err announce_former(struct link *link, struct txn *txn, const struct head *head,
                                struct buf *records, size_t *count)
{
    struct held_lab former;
    if (!link->reader || !same_lab(&head->lab, &link->lab)) {
        return ERR_OK;
    }
    enum err err = lab_former_get(txn, &head->lab, &former);
    if (err == ERR_OK && former.record.generation == head->generation) {
        list_put(records, former.signed_bytes);
        (*count)++;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

struct announcement {
    struct buf records, heads, receipts;
    size_t record_count, head_count, fork_count, receipt_count;
    uint64_t upto;
    bool more; /* what comes next has to wait for room */
};

/* A proof goes out by itself: ERR_MORE when it has to wait for what was gathered, or for room. */
static enum err announce_fork(struct node *node, struct link *link, struct txn *txn,
                              uint32_t catalogue, struct announcement *into)
{
    bool sent = false;
    if (into->record_count + into->head_count + into->receipt_count > 0) {
        return ERR_MORE;
    }
    enum err err = fork_announce(node, link, txn, catalogue, &sent);
    into->fork_count += sent;
    return err == ERR_OK && !sent ? ERR_MORE : err;
}

/* After the record that verifies it. */
static enum err announce_receipt(struct link *link, struct txn *txn, const struct arrival *arrival,
                                 struct announcement *into)
{
    size_t count = 0;
    if (!link->receipts) {
        return ERR_OK;
    }
    enum err err = receipt_announce(txn, &arrival->lab, &into->receipts, &count);
    if (err == ERR_OK && count > 0) {
        err = announce_record(txn, &arrival->lab, arrival->number, &into->records,
                              &into->record_count);
    }
    into->receipt_count += count;
    return err;
}

static enum err announce_one(struct node *node, struct link *link, struct txn *txn,
                             const struct arrival *arrival, struct announcement *into)
{
    bool skip = link->skip_own && arrival->number >= link->skip_from &&
                same_lab(&arrival->from, &link->lab);
    if (arrival->kind == ARRIVAL_FORK) {
        return skip ? ERR_OK : announce_fork(node, link, txn, arrival->catalogue, into);
    }
    if (arrival->kind == ARRIVAL_RECEIPT) {
        return skip ? ERR_OK : announce_receipt(link, txn, arrival, into);
    }
    if (arrival->kind == ARRIVAL_RECORD) {
        /* The HELLOs carry both labs' own records, but for what came later. */
        skip = skip || (same_lab(&arrival->lab, &link->lab) && !link->reader) ||
               (same_lab(&arrival->lab, &node->config.lab) &&
                link->said_generation >= node->record_view.generation);
        return skip ? ERR_OK
                    : announce_record(txn, &arrival->lab, arrival->number, &into->records,
                                      &into->record_count);
    }
    if (skip) {
        return ERR_OK;
    }
    struct held_head held;
    enum err err = catalogue_head(txn, arrival->catalogue, &held);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    if (memcmp(held.head.network.bytes, node->network.bytes, HASH_SIZE) != 0) {
        return ERR_OK;
    }
    /* A record that changed after this head stands later in the list: it must go first all the
     * same. */
    err = announce_former(link, txn, &held.head, &into->records, &into->record_count);
    if (err == ERR_OK) {
        err = announce_record(txn, &held.head.lab, arrival->number, &into->records,
                              &into->record_count);
    }
    if (err == ERR_OK) {
        list_put_head(&into->heads, arrival->number, held.signed_bytes);
        into->head_count++;
    }
    return err;
}

static enum err announce_gather(struct node *node, struct link *link, struct txn *txn,
                                struct announcement *into)
{
    into->upto = link->announced;
    while (into->records.size + into->heads.size + into->receipts.size < ANNOUNCE_MSG_SIZE) {
        struct arrival arrival;
        enum err err = arrival_next(txn, into->upto, &arrival);
        if (err == ERR_NOT_FOUND) {
            break;
        }
        if (err == ERR_OK) {
            err = announce_one(node, link, txn, &arrival, into);
        }
        if (err == ERR_MORE) {
            into->more = true;
            break;
        }
        if (err != ERR_OK) {
            return err;
        }
        into->upto = arrival.number;
    }
    enum err err = into->records.err != ERR_OK ? into->records.err : into->heads.err;
    return err != ERR_OK ? err : into->receipts.err;
}

static void announce_send(struct node *node, struct link *link, const struct announcement *what)
{
    if (what->record_count > 0) {
        link_send(node, link,
                  &(struct msg){
                      .type = MSG_RECORDS,
                      .records = {.raw = buf_bytes(&what->records), .count = what->record_count}});
    }
    if (what->receipt_count > 0) {
        link_send(node, link,
                  &(struct msg){.type = MSG_RECEIPTS,
                                .receipts = {.raw = buf_bytes(&what->receipts),
                                             .count = what->receipt_count}});
    }
    if (what->record_count + what->head_count + what->fork_count + what->receipt_count > 0) {
        link_send(node, link,
                  &(struct msg){.type = MSG_HEADS,
                                .heads = {.upto = what->upto,
                                          .heads = {.raw = buf_bytes(&what->heads),
                                                    .count = what->head_count}}});
        link->ring[link->ring_count].upto = what->upto;
        link->ring[link->ring_count].size =
            what->records.size + what->heads.size + what->receipts.size;
        link->ring_count++;
    }
    link->announced = what->upto;
}

static bool announce_open(const struct link *link)
{
    size_t size = 0;
    for (unsigned i = 0; i < link->ring_count; i++) {
        size += link->ring[i].size;
    }
    return link->ring_count < ANNOUNCE_RING && size < ANNOUNCE_SIZE_MAX && link_room(link) > 0 &&
           link->state == LINK_READY;
}

enum err announce_flush(struct node *node, struct link *link, struct txn *txn)
{
    uint64_t snapshot = txn_snapshot(txn); /* most turns write nothing: there is nothing to read */
    while (link->all_at != snapshot && announce_open(link) && !node->config.recovering) {
        defer(buf_done) struct buf records = {0};
        defer(buf_done) struct buf heads = {0};
        defer(buf_done) struct buf receipts = {0};
        struct announcement what = {.records = records, .heads = heads, .receipts = receipts};
        enum err err = announce_gather(node, link, txn, &what);
        records = what.records;
        heads = what.heads;
        receipts = what.receipts;
        if (err != ERR_OK) {
            return err;
        }
        if (what.upto == link->announced) {
            link->all_at = what.more ? 0 : snapshot;
            break;
        }
        announce_send(node, link, &what);
    }
    if (link->must_ack && link->cursor_stored > link->cursor_acked) {
        link->must_ack = link->cursor > link->cursor_stored;
        link->cursor_acked = link->cursor_stored;
        link_send(node, link,
                  &(struct msg){.type = MSG_ACK,
                                .ack = {.cursor = link->cursor_stored, .upto = link->announced}});
    }
    return ERR_OK;
}

void announce_acked(struct node *node, struct link *link, uint64_t cursor)
{
    (void) node;
    if (cursor > link->announced) {
        cursor = link->announced;
    }
    if (cursor <= link->acked) {
        return;
    }
    link->acked = cursor;
    if (!link->reader) {
        link->peer->acked = cursor;
    }
    unsigned done = 0;
    while (done < link->ring_count && link->ring[done].upto <= cursor) {
        done++;
    }
    link->ring_count -= done;
    memmove(&link->ring[0], &link->ring[done], link->ring_count * sizeof link->ring[0]);
}

void cursor_update(struct node *node, struct link *link, bool said)
{
    size_t kept = 0;
    bool held_back = false;
    uint64_t cursor = link->upto;
    for (size_t i = 0; i < link->offer_count; i++) {
        if (!link->offers[i].done) {
            if (!held_back && !link->offers[i].own) {
                cursor = link->offers[i].arrival - 1;
                held_back = true;
            }
            link->offers[kept++] = link->offers[i];
        }
    }
    link->offer_count = kept;
    if (cursor <= link->cursor) {
        return;
    }
    link->cursor = cursor;
    if (said) {
        link->must_ack = true;
        if (link->cursor_due_ms == 0) {
            link->cursor_due_ms = node->now_ms + CURSOR_DELAY_MS;
        }
    }
}

/* Before the commit: cursors ride on a turn that writes anyway, or write for themselves when they
 * have waited. */
enum err cursors_store(struct node *node, bool now)
{
    bool write = now || (node->txn != NULL && txn_dirty(node->txn));
    for (size_t i = 0; i < node->link_count && !write; i++) {
        const struct link *link = node->links[i];
        write = link->cursor_due_ms != 0 && node->now_ms >= link->cursor_due_ms;
    }
    for (size_t i = 0; i < node->link_count && write; i++) {
        struct link *link = node->links[i];
        if (link->peer == NULL || link->peer->link != link || link->cursor <= link->cursor_stored) {
            continue;
        }
        link->peer->row.cursor = link->cursor;
        link->peer->row_dirty = true;
        link->cursor_pending = link->cursor;
    }
    return ERR_OK;
}

void cursors_committed(struct node *node)
{
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = node->links[i];
        if (link->cursor_pending > link->cursor_stored) {
            link->cursor_stored = link->cursor_pending;
            link->cursor_due_ms = 0;
        }
    }
}
