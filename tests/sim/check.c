/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/check.c: what must be true at every step, whatever goes wrong around it.
 *
 * After every commit, of what it changed: a catalogue's bytes are its lab's by the record held, and
 * add up to the signed head (A6); (generation, n) never decreases, also not over restarts (A7); the
 * quota holds. Of every message an honest lab says: what it announces, serves or acknowledges is on
 * its disk already; what it acknowledges having read it holds.
 */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/entry.h"
#include "proto/fork.h"
#include "store/history.h"
#include "store/receipts.h"
#include "tests/sim/state.h"

void check_forget(struct sim_lab *lab)
{
    memset(lab->seen, 0, lab->seen_cap * sizeof *lab->seen);
    memset(lab->generation_seen, 0, sizeof lab->generation_seen);
    lab->arrival_checked = 0;
}

static struct sim_seen *seen_of(struct sim_lab *lab, uint32_t id)
{
    if (id >= lab->seen_cap) {
        size_t cap = (size_t) id + 64;
        lab->seen = realloc(lab->seen, cap * sizeof *lab->seen);
        must(lab->seen != NULL);
        memset(lab->seen + lab->seen_cap, 0, (cap - lab->seen_cap) * sizeof *lab->seen);
        lab->seen_cap = cap;
    }
    return &lab->seen[id];
}

/* ---- one catalogue ---- */

static int pair_order(const void *a, const void *b)
{
    return memcmp(a, b, PAIR_SIZE);
}

static struct hash root_of(struct buf *pairs)
{
    static struct hash empty;
    static bool known;
    if (!known) {
        empty = bucket_digest(bytes_of(NULL, 0));
        known = true;
    }
    size_t count = pairs->size / PAIR_SIZE;
    if (count > 0) {
        qsort(pairs->data, count, PAIR_SIZE, pair_order);
    }
    struct digests digests;
    size_t at = 0;
    for (unsigned bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        size_t end = at;
        while (end < count && pairs->data[end * PAIR_SIZE] == bucket) {
            end++;
        }
        digests.buckets[bucket] =
            end == at
                ? empty
                : bucket_digest(bytes_of(pairs->data + at * PAIR_SIZE, (end - at) * PAIR_SIZE));
        at = end;
    }
    return digests_root(&digests);
}

struct sum {
    uint64_t count, bytes;
    struct hash root;
    const char *wrong;
};

/* Everything a catalogue holds, by reading it all. */
static struct sum sum_of(struct txn *txn, uint32_t id, const struct head *head)
{
    struct sum sum = {0};
    defer(buf_done) struct buf pairs = {0};
    struct entry_cursor *cursor = NULL;
    enum err err = entry_cursor_open(txn, id, 0, NULL, &cursor);
    while (err == ERR_OK) {
        struct bytes bytes;
        uint64_t rev = 0;
        struct slug_hash slug;
        err = entry_cursor_next(cursor, &bytes, &rev, &slug);
        if (err != ERR_OK) {
            break;
        }
        struct entry entry;
        if (entry_decode(bytes, &entry) != ERR_OK || entry.rev != rev || rev == 0 ||
            rev > head->n) {
            sum.wrong = "an entry of a rev that its head does not cover";
        }
        struct hash leaf = entry_leaf(bytes);
        buf_put(&pairs, BYTES_OF_ARRAY(slug.bytes));
        buf_put(&pairs, BYTES_OF_ARRAY(leaf.bytes));
        sum.count++;
        sum.bytes += bytes.size;
    }
    entry_cursor_close(cursor);
    must(pairs.err == ERR_OK);
    if (err != ERR_NOT_FOUND) {
        sum.wrong = "an entry that does not match its leaf";
    }
    sum.root = root_of(&pairs);
    return sum;
}

static const char *catalogue_sum(struct sim *sim, struct txn *txn, uint32_t id,
                                 const struct head *head)
{
    uint64_t quota = sim->quota_entries != 0 ? sim->quota_entries : QUOTA_ENTRIES;
    if (head->count > quota || head->bytes > QUOTA_BYTES) {
        return "more than its quota";
    }
    struct sum sum = sum_of(txn, id, head);
    if (sum.wrong != NULL) {
        return sum.wrong;
    }
    if (sum.count != head->count || sum.bytes != head->bytes ||
        memcmp(sum.root.bytes, head->root.bytes, HASH_SIZE) != 0) {
        return "entries that do not make its head's root";
    }
    return NULL;
}

static bool named_good(const struct lab_record *record, const struct head *head)
{
    for (unsigned i = 0; i < record->last_good_count; i++) {
        const struct last_good *good = &record->last_good[i];
        if (good->n == head->n && memcmp(good->head_hash.bytes, head->hash.bytes, HASH_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

/* Pulled back by its own lab from before a last good head that was lost. */
static bool recovered(struct txn *txn, const struct lab_record *record,
                      const struct held_head *held)
{
    struct held_lab former;
    struct head head;
    return record->last_good_count == 1 && held->head.n < record->last_good[0].n &&
           lab_former_get(txn, &record->lab, &former) == ERR_OK &&
           former.record.generation == held->head.generation &&
           head_open(held->signed_bytes, former.record.signing_pk, &head) == ERR_OK;
}

/* The head's bytes are its lab's, and it stands under its own name. */
static const char *catalogue_owner(struct txn *txn, uint32_t id, const struct held_head *held)
{
    struct catalogue_name name = {.network = held->head.network, .lab = held->head.lab};
    memcpy(name.audience, held->head.audience, sizeof name.audience);
    uint32_t named = 0;
    struct held_lab lab;
    struct head head;
    if (catalogue_find(txn, &name, &named) != ERR_OK || named != id) {
        return "a head of another catalogue";
    }
    if (lab_get(txn, &held->head.lab, &lab) != ERR_OK) {
        return "a head of a lab without a record";
    }
    if (held->head.generation > lab.record.generation) {
        return "a head of a generation without a record";
    }
    if (held->head.generation == lab.record.generation &&
        head_open(held->signed_bytes, lab.record.signing_pk, &head) != ERR_OK) {
        return "a head that its lab did not sign";
    }
    if (held->head.generation < lab.record.generation && held->arrival > lab.arrival &&
        !named_good(&lab.record, &held->head) && !recovered(txn, &lab.record, held)) {
        return "a head of a generation that was over when it came";
    }
    return NULL;
}

/* Two histories are known: only a head that joins them, or a newer generation, moves it on. */
static bool catalogue_frozen(struct txn *txn, uint32_t id, const struct head *head)
{
    struct held_fork fork;
    return fork_get(txn, id, &fork) == ERR_OK && fork.generation == head->generation;
}

static const char *catalogue_newer(struct sim_lab *lab, struct txn *txn, uint32_t id,
                                   const struct head *head)
{
    struct sim_seen *seen = seen_of(lab, id);
    bool frozen = catalogue_frozen(txn, id, head);
    bool own = memcmp(head->lab.bytes, lab->id.bytes, KEY_SIZE) == 0; /* may join in steps */
    if (frozen && seen->frozen && !own && seen->generation == head->generation &&
        head->n != seen->n) {
        return "a head that came after its fork was known";
    }
    if (head->generation < seen->generation ||
        (head->generation == seen->generation && head->n < seen->n)) {
        return "an older head than before";
    }
    *seen = (struct sim_seen){.generation = head->generation, .n = head->n, .frozen = frozen};
    return NULL;
}

static void check_catalogue(struct sim *sim, unsigned number, struct txn *txn, uint32_t id,
                            bool whole)
{
    struct held_head held;
    if (catalogue_head(txn, id, &held) != ERR_OK) {
        sim_fail(sim, "lab %u: an arrival without its head", number);
        return;
    }
    const char *wrong = catalogue_owner(txn, id, &held);
    wrong = wrong != NULL ? wrong : catalogue_newer(sim->labs[number], txn, id, &held.head);
    wrong = wrong != NULL || !whole || sim->labs[number]->rotten
                ? wrong
                : catalogue_sum(sim, txn, id, &held.head);
    if (wrong != NULL) {
        sim_fail(sim, "lab %u holds of lab %u at head %llu: %s", number,
                 sim_number(sim, &held.head.lab), (unsigned long long) held.head.n, wrong);
    }
}

static void check_record(struct sim *sim, unsigned number, struct txn *txn, const struct lab_id *id)
{
    struct held_lab held;
    struct lab_record record;
    if (lab_get(txn, id, &held) != ERR_OK ||
        lab_record_open(held.signed_bytes, &record) != ERR_OK ||
        memcmp(record.lab.bytes, id->bytes, KEY_SIZE) != 0) {
        sim_fail(sim, "lab %u holds a record that its lab did not sign", number);
        return;
    }
    unsigned of = sim_number(sim, id);
    struct sim_lab *lab = sim->labs[number];
    if (of < SIM_LABS_MAX && record.generation < lab->generation_seen[of]) {
        sim_fail(sim, "lab %u went back to record %llu of lab %u", number,
                 (unsigned long long) record.generation, of);
    } else if (of < SIM_LABS_MAX) {
        lab->generation_seen[of] = (uint32_t) record.generation;
    }
}

/* A proof convicts whom it names, whoever brought it. */
static void check_fork(struct sim *sim, unsigned number, struct txn *txn, uint32_t id)
{
    struct held_fork fork;
    struct held_head held;
    struct forked forked;
    struct head head;
    if (fork_get(txn, id, &fork) != ERR_OK || fork.proof.size == 0) {
        return;
    }
    struct catalogue_name name;
    bool right = fork_verify(fork.proof, &forked) == ERR_OK &&
                 head_open(forked.a_signed, forked.record.signing_pk, &head) == ERR_OK &&
                 head_open(forked.b_signed, forked.record.signing_pk, &head) == ERR_OK &&
                 catalogue_name_of(txn, id, &name) == ERR_OK &&
                 memcmp(name.lab.bytes, forked.a.lab.bytes, KEY_SIZE) == 0;
    if (!right) {
        sim_fail(sim, "lab %u holds a fork proof that proves nothing", number);
    } else if (catalogue_head(txn, id, &held) == ERR_OK) {
        seen_of(sim->labs[number], id)->frozen = held.head.generation == fork.generation;
    }
}

/* What a lab says is signed by it; of the own one nothing is said that is not held. */
static void check_receipt(struct sim *sim, unsigned number, struct txn *txn,
                          const struct lab_id *lab)
{
    struct held_receipt held;
    struct held_lab record;
    struct receipt receipt;
    struct receipt_row row;
    size_t at = 0;
    if (receipts_get(txn, lab, &held) != ERR_OK || lab_get(txn, lab, &record) != ERR_OK) {
        sim_fail(sim, "lab %u holds a receipt that is none, or of nobody", number);
        return;
    }
    if (held.receipt.generation == record.record.generation &&
        receipt_open(held.signed_bytes, record.record.signing_pk, &receipt) != ERR_OK) {
        sim_fail(sim, "lab %u holds a receipt that its lab did not sign", number);
    }
    if (memcmp(lab->bytes, sim->labs[number]->id.bytes, KEY_SIZE) != 0) {
        return;
    }
    while (receipt_next(&held.receipt, &at, &row)) {
        struct held_head head;
        uint32_t id = 0;
        unsigned of = sim_number(sim, &row.lab);
        bool good = of < SIM_LABS_MAX && sim_find(sim, txn, of, &id, &head) == ERR_OK &&
                    (head.head.generation > row.generation ||
                     (head.head.generation == row.generation && head.head.n >= row.n));
        if (!good) {
            sim_fail(sim, "lab %u says of lab %u what it does not hold", number, of);
        }
    }
}

static void check_arrivals(struct sim *sim, unsigned number, struct txn *txn)
{
    struct sim_lab *lab = sim->labs[number];
    struct arrival arrival;
    while (arrival_next(txn, lab->arrival_checked, &arrival) == ERR_OK) {
        lab->arrival_checked = arrival.number;
        if (arrival.kind == ARRIVAL_HEAD) {
            check_catalogue(sim, number, txn, arrival.catalogue, true);
        } else if (arrival.kind == ARRIVAL_RECORD) {
            check_record(sim, number, txn, &arrival.lab);
        } else if (arrival.kind == ARRIVAL_FORK) {
            check_fork(sim, number, txn, arrival.catalogue);
        } else {
            check_receipt(sim, number, txn, &arrival.lab);
        }
    }
}

/* ---- what was read ---- */

/* The receipt that stands there, or a newer one; what nobody can check need not be held. */
static bool holds_receipt(struct sim *sim, unsigned number, struct txn *own, struct txn *theirs,
                          const struct lab_id *lab)
{
    struct held_receipt there, here;
    struct held_lab record, known;
    must(receipts_get(theirs, lab, &there) == ERR_OK);
    must(lab_get(theirs, lab, &record) == ERR_OK);
    if (memcmp(lab->bytes, sim->labs[number]->id.bytes, KEY_SIZE) == 0 ||
        there.receipt.generation != record.record.generation) {
        return true;
    }
    if (lab_get(own, lab, &known) == ERR_OK && known.record.generation > there.receipt.generation) {
        return true;
    }
    return receipts_get(own, lab, &here) == ERR_OK &&
           receipt_compare(&here.receipt, &there.receipt) >= 0;
}

/* Does `lab` hold what stands at this arrival of another's store? */
static bool holds_arrival(struct sim *sim, unsigned number, struct txn *own, struct txn *theirs,
                          const struct arrival *arrival)
{
    const struct lab_id *self = &sim->labs[number]->id;
    if (arrival->kind == ARRIVAL_RECORD) {
        struct held_lab there, here;
        must(lab_get(theirs, &arrival->lab, &there) == ERR_OK);
        return memcmp(arrival->lab.bytes, self->bytes, KEY_SIZE) == 0 ||
               (lab_get(own, &arrival->lab, &here) == ERR_OK &&
                here.record.generation >= there.record.generation);
    }
    if (arrival->kind == ARRIVAL_RECEIPT) {
        return holds_receipt(sim, number, own, theirs, &arrival->lab);
    }
    if (arrival->kind != ARRIVAL_HEAD) {
        return true;
    }
    struct held_head there, here;
    must(catalogue_head(theirs, arrival->catalogue, &there) == ERR_OK);
    unsigned of = sim_number(sim, &there.head.lab);
    uint64_t quota = sim->quota_entries != 0 ? sim->quota_entries : QUOTA_ENTRIES;
    if (of >= SIM_LABS_MAX || sim->labs[of]->apart || there.head.count > quota ||
        memcmp(there.head.lab.bytes, self->bytes, KEY_SIZE) == 0) {
        return true;
    }
    uint32_t id = 0;
    struct held_fork fork;
    struct held_lab lab;
    if (lab_get(own, &there.head.lab, &lab) == ERR_OK &&
        lab.record.generation > there.head.generation) {
        return true; /* of keys that are over: what they signed is not taken any more */
    }
    if (sim_find(sim, own, of, &id, &here) != ERR_OK) {
        return false;
    }
    /* Of a frozen catalogue nothing more is taken: the proof is held. */
    return head_compare(&here.head, &there.head) >= 0 || fork_get(own, id, &fork) == ERR_OK;
}

/* Everything up to `cursor` of the peer's store is durably held here. */
static void check_cursor(struct sim *sim, unsigned number, struct txn *txn,
                         const struct lab_id *peer, uint64_t cursor)
{
    unsigned other = sim_number(sim, peer);
    struct peer_row row;
    if (other >= SIM_LABS_MAX || sim->labs[other]->store == NULL || sim->labs[other]->lies > 0 ||
        sim->labs[other]->apart || sim->labs[number]->apart) {
        return;
    }
    if (peer_get(txn, peer, &row) != ERR_OK || !row.has_index ||
        memcmp(row.index, store_index(sim->labs[other]->store), INSTANCE_SIZE) != 0) {
        return;
    }
    struct txn *theirs = NULL;
    must(txn_begin_read(sim->labs[other]->store, &theirs) == ERR_OK);
    struct arrival arrival = {0};
    while (arrival_next(theirs, arrival.number, &arrival) == ERR_OK && arrival.number <= cursor) {
        if (!holds_arrival(sim, number, txn, theirs, &arrival)) {
            sim_fail(
                sim, "lab %u says it has read lab %u up to %llu and does not hold arrival %llu",
                number, other, (unsigned long long) cursor, (unsigned long long) arrival.number);
            break;
        }
    }
    txn_end(theirs);
}

/* ---- what is said ---- */

static struct link *link_by(struct sim *sim, unsigned number, const struct session *session)
{
    struct node *node = sim->labs[number]->node;
    for (size_t i = 0; i < node->link_count; i++) {
        if (node->links[i]->session == session) {
            return node->links[i];
        }
    }
    return NULL;
}

/* The catalogue that a stream serves; 0 when it is none. */
static uint32_t served(const struct link *link, uint64_t stream)
{
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (link->streams[i].open && link->streams[i].number == stream) {
            return link->streams[i].catalogue;
        }
    }
    return 0;
}

static const char *said_heads(struct txn *txn, const struct msg *msg)
{
    size_t at = 0;
    uint64_t number = 0;
    struct bytes item;
    while (list_next_head(&msg->heads.heads, &at, &number, &item)) {
        struct head head;
        struct held_head held;
        struct catalogue_name name = {0};
        uint32_t id = 0;
        if (head_peek(item, &head) != ERR_OK) {
            return "a head that is none";
        }
        name.network = head.network;
        name.lab = head.lab;
        memcpy(name.audience, head.audience, sizeof name.audience);
        if (catalogue_find(txn, &name, &id) != ERR_OK || catalogue_head(txn, id, &held) != ERR_OK ||
            held.arrival != number || !bytes_equal(held.signed_bytes, item)) {
            return "a head that is not on its disk";
        }
    }
    return NULL;
}

static const char *said_records(struct txn *txn, const struct msg *msg)
{
    size_t at = 0;
    struct bytes item;
    while (list_next(&msg->records, &at, &item)) {
        struct lab_record record;
        struct held_lab held;
        bool there =
            lab_record_peek(item, &record) == ERR_OK &&
            ((lab_get(txn, &record.lab, &held) == ERR_OK && bytes_equal(held.signed_bytes, item)) ||
             (lab_former_get(txn, &record.lab, &held) == ERR_OK &&
              bytes_equal(held.signed_bytes, item)));
        if (!there) {
            return "a record that is not on its disk";
        }
    }
    return NULL;
}

/* Does one of them name an entry that is live? */
static bool hints_false(struct txn *txn, uint32_t id, struct bytes hints)
{
    defer(buf_done) struct buf copy = {0};
    struct change_list list = {0};
    buf_put(&copy, hints);
    must(change_hinted(txn, id, &copy, &list, NULL) == ERR_OK);
    bool any = list.count > 0;
    change_done(&list);
    return any;
}

static const char *said_receipts(struct txn *txn, const struct msg *msg)
{
    size_t at = 0;
    struct bytes item;
    while (list_next(&msg->receipts, &at, &item)) {
        struct receipt receipt;
        struct held_receipt held;
        if (receipt_peek(item, &receipt) != ERR_OK ||
            receipts_get(txn, &receipt.lab, &held) != ERR_OK ||
            !bytes_equal(held.signed_bytes, item)) {
            return "a receipt that is not on its disk";
        }
    }
    return NULL;
}

static const char *said_delta(struct txn *txn, const struct link *link, const struct msg *msg)
{
    uint32_t id = served(link, msg->delta.stream);
    size_t at = 0;
    struct bytes item;
    while (list_next(&msg->delta.entries, &at, &item)) {
        struct entry entry;
        struct slug_row row;
        if (entry_peek(item, &entry) != ERR_OK) {
            return "an entry that is none";
        }
        struct slug_hash slug = hash_slug(entry.slug);
        struct hash leaf = entry_leaf(item);
        if (catalogue_slug(txn, id, &slug, &row) != ERR_OK ||
            memcmp(row.leaf.bytes, leaf.bytes, HASH_SIZE) != 0) {
            return "an entry that its catalogue does not hold";
        }
    }
    return hints_false(txn, id, msg->delta.withdrawn) ? "that a live entry is withdrawn" : NULL;
}

static const char *said_end(struct txn *txn, const struct link *link, const struct msg *msg)
{
    struct held_head held;
    if (msg->delta_end.head.size == 0) {
        return NULL;
    }
    bool same = catalogue_head(txn, served(link, msg->delta_end.stream), &held) == ERR_OK &&
                bytes_equal(held.signed_bytes, msg->delta_end.head);
    return same ? NULL : "a last head that is not on its disk";
}

static const char *said_ack(struct txn *txn, const struct link *link, const struct msg *msg)
{
    struct peer_row row;
    bool durable = peer_get(txn, &link->lab, &row) == ERR_OK && row.cursor >= msg->ack.cursor;
    return durable ? NULL : "a cursor that is not on its disk";
}

static void check_said(struct sim *sim, unsigned number, const struct link *link, struct txn *txn,
                       const struct msg *msg)
{
    const char *wrong = NULL;
    switch (msg->type) {
    case MSG_HEADS:
        wrong = said_heads(txn, msg);
        break;
    case MSG_RECORDS:
        wrong = said_records(txn, msg);
        break;
    case MSG_RECEIPTS:
        wrong = said_receipts(txn, msg);
        break;
    case MSG_DELTA:
        wrong = said_delta(txn, link, msg);
        break;
    case MSG_DELTA_END:
        wrong = said_end(txn, link, msg);
        break;
    case MSG_ACK:
        wrong = said_ack(txn, link, msg);
        check_cursor(sim, number, txn, &link->lab, msg->ack.cursor);
        break;
    default:
        break;
    }
    if (wrong != NULL) {
        sim_fail(sim, "lab %u says %s: %s", number, msg_name(msg->type), wrong);
    }
}

/* A HELLO's cursor may stand in this very turn's commit: it is looked at when that is done. */
static void hello_keep(struct sim_lab *lab, const struct link *link, const struct msg *msg)
{
    if (msg->hello.has_read_index) {
        uint8_t cursor[8];
        be64_put(cursor, msg->hello.cursor);
        buf_put(&lab->hello, BYTES_OF_ARRAY(link->lab.bytes));
        buf_put(&lab->hello, BYTES_OF_ARRAY(cursor));
    }
}

void check_message(struct sim *sim, unsigned number, const struct session *session,
                   struct bytes message)
{
    const struct link *link = link_by(sim, number, session);
    struct msg msg;
    if (link == NULL || msg_decode(message, &msg) != ERR_OK) {
        sim_fail(sim, "lab %u says what is no message", number);
        return;
    }
    sim->labs[number]->said[msg.type]++;
    if (msg.type != MSG_PING && msg.type != MSG_PONG && !sim->unchecked) {
        sim_tell(sim, "%u says %s to %u, %zu bytes", number, msg_name(msg.type),
                 sim_number(sim, &link->lab), message.size);
    }
    if (sim->unchecked) {
        return;
    }
    if (msg.type == MSG_HELLO) {
        hello_keep(sim->labs[number], link, &msg);
        return;
    }
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[number]->store, &txn) == ERR_OK);
    check_said(sim, number, link, txn, &msg);
    txn_end(txn);
}

/* The guard knows of a head before anybody hears of it. */
void check_guard(struct sim *sim, unsigned number)
{
    const struct sim_lab *lab = sim->labs[number];
    struct head head;
    if (!sim->unchecked && lab->node->own.frozen == 0 && sim_head(sim, number, number, &head) &&
        (!lab->has_guard || lab->guard_n < head.n)) {
        sim_fail(sim, "lab %u spoke before its guard knew head %llu", number,
                 (unsigned long long) head.n);
    }
}

/* ---- when ---- */

static void check_hellos(struct sim *sim, unsigned number, struct txn *txn)
{
    struct buf *hello = &sim->labs[number]->hello;
    for (size_t at = 0; at < hello->size; at += KEY_SIZE + 8) {
        struct lab_id peer;
        memcpy(peer.bytes, hello->data + at, KEY_SIZE);
        check_cursor(sim, number, txn, &peer, be64_get(hello->data + at + KEY_SIZE));
    }
    buf_clear(hello);
}

void check_commits(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    if (sim->unchecked || (lab->commits == lab->commits_checked && lab->hello.size == 0)) {
        return;
    }
    struct txn *txn = NULL;
    must(txn_begin_read(lab->store, &txn) == ERR_OK);
    lab->commits_checked = lab->commits;
    check_arrivals(sim, number, txn);
    check_hellos(sim, number, txn);
    txn_end(txn);
}

void sim_check(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = sim->labs[number];
    if (!lab->live || lab->store == NULL) {
        return;
    }
    struct txn *txn = NULL;
    must(txn_begin_read(lab->store, &txn) == ERR_OK);
    uint32_t id = 0;
    while (catalogue_next(txn, &id) == ERR_OK) {
        check_catalogue(sim, number, txn, id, false);
    }
    struct lab_id peer = {0};
    struct peer_row row;
    bool first = true;
    while (peer_next(txn, first, &peer, &row) == ERR_OK) {
        first = false;
        check_cursor(sim, number, txn, &peer, row.cursor);
    }
    txn_end(txn);
}

void sim_unchecked(struct sim *sim)
{
    sim->unchecked = true;
}
