/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/receipt.c: receipts: what this node says of its own disk, and what others say of theirs
 * (doc/decisions/0014-receipts.md).
 *
 *     a withdrawal is applied ─► owed ─► the store is clean: after a swap, or found so ─► signed,
 *     stored, an arrival ─► announced like a head
 *
 * Clean is what the transaction sees: nothing in it, nor before it, left garbage behind. So what is
 * said is true of the very state that is committed with it. A newer receipt of the own lab that
 * this store never made is one of a store that was put back, or of a thief: it is answered by what
 * is true here, with a higher number.
 */
#include "store/receipts.h"

#include "base/defer.h"
#include "base/must.h"
#include "node/parts.h"
#include "proto/did.h"
#include "proto/pack.h"

#define LOOK_START_MS (10ull * 60 * 1000) /* a node that was off catches up first */
#define LOOK_PERIOD_MS (3600ull * 1000)
#define ANSWER_MS (10ull * 60 * 1000) /* between two answers to receipts of the own lab */
#define RECEIPTS_MSG_SIZE (MSG_SIZE_MAX - 16)

static bool same_lab(const struct lab_id *a, const struct lab_id *b)
{
    return memcmp(a->bytes, b->bytes, KEY_SIZE) == 0;
}

/* ---- saying ---- */

void receipt_load(struct node *node)
{
    node->saying.look_ms = node->now_ms + LOOK_START_MS;
    node->saying.generation = node->record_view.generation;
}

uint64_t receipt_wake_ms(const struct node *node)
{
    if (node->config.recovering) {
        return UINT64_MAX;
    }
    bool renewed = node->saying.generation != node->record_view.generation;
    return renewed ? node->now_ms : node->saying.look_ms;
}

/* What was said before, copied: the transaction is written to. */
struct said {
    struct buf bytes;
    bool any;
    struct receipt receipt;
};

static void said_done(struct said *said)
{
    buf_done(&said->bytes);
}

static enum err said_get(const struct node *node, struct txn *txn, struct said *said)
{
    struct held_receipt held;
    enum err err = receipts_get(txn, &node->config.lab, &held);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    buf_put(&said->bytes, held.signed_bytes);
    if (said->bytes.err != ERR_OK) {
        return said->bytes.err;
    }
    said->any = true;
    return receipt_peek(buf_bytes(&said->bytes), &said->receipt);
}

/* The number that is higher than all of this generation; 0: there is none. */
static uint64_t number_next(const struct node *node, const struct said *said,
                            uint64_t seen_generation, uint64_t seen_number)
{
    uint64_t generation = node->record_view.generation;
    uint64_t last = said->any && said->receipt.generation == generation ? said->receipt.number : 0;
    if (seen_generation == generation && seen_number > last) {
        last = seen_number;
    }
    return last + 1;
}

/* Does what a receipt of the own lab, of elsewhere, says want an answer now? */
static bool answer_due(struct node *node, const struct said *said, uint64_t seen_generation,
                       uint64_t seen_number)
{
    uint64_t generation = node->record_view.generation;
    bool answered =
        said->any && said->receipt.generation == generation && said->receipt.number > seen_number;
    if (seen_number == 0 || seen_generation != generation || answered) {
        return false;
    }
    if (node->now_ms < node->saying.answer_ms) {
        node->saying.look_ms = node->saying.answer_ms;
        return false;
    }
    node->saying.answer_ms = node->now_ms + ANSWER_MS;
    return true;
}

static enum err receipt_write(struct node *node, struct txn *txn, struct receipt *receipt)
{
    defer(buf_done) struct buf signed_bytes = {0};
    receipt->lab = node->config.lab;
    receipt->generation = node->record_view.generation;
    receipt->issued_at = (uint64_t) (node->wall_s > 0 ? node->wall_s : 0);
    receipt->network = node->network;
    enum err err = receipt_sign(receipt, node->config.signing_secret, &signed_bytes);
    if (err != ERR_OK) {
        return err == ERR_NOMEM ? err : ERR_CORRUPT;
    }
    node_log(node, 6, "receipt: number %llu, %zu catalogues", (unsigned long long) receipt->number,
             receipt->row_count);
    return receipts_put(txn, receipt, buf_bytes(&signed_bytes), &node->config.lab);
}

static enum err receipt_make(struct node *node, struct txn *txn)
{
    defer(said_done) struct said said = {0};
    defer(buf_done) struct buf rows = {0};
    uint64_t seen_generation = 0, seen_number = 0;
    bool moved = false;
    enum err err = said_get(node, txn, &said);
    if (err == ERR_OK) {
        err = receipts_seen_get(txn, &seen_generation, &seen_number);
    }
    if (err != ERR_OK) {
        return err;
    }
    bool same = said.any && memcmp(said.receipt.network.bytes, node->network.bytes, HASH_SIZE) == 0;
    struct receipt receipt = {.number = number_next(node, &said, seen_generation, seen_number)};
    if (receipts_clean(txn)) {
        err = receipts_rows(txn, &node->network, same ? &said.receipt : NULL, &rows,
                            &receipt.row_count, &moved);
        receipt.rows = buf_bytes(&rows);
    } else if (same) { /* true of this store once, and still */
        receipt.rows = said.receipt.rows;
        receipt.row_count = said.receipt.row_count;
    }
    bool renewed = said.any && said.receipt.generation < node->record_view.generation;
    bool answer = answer_due(node, &said, seen_generation, seen_number);
    if (err != ERR_OK || !(moved || renewed || answer) || receipt.number == 0) {
        return err;
    }
    return receipt_write(node, txn, &receipt);
}

/* A full disk puts it off. */
enum err receipt_look(struct node *node)
{
    struct txn *txn = NULL;
    node->saying.look_ms = node->now_ms + LOOK_PERIOD_MS;
    node->saying.generation = node->record_view.generation;
    if (node->config.recovering || (node->own.frozen & FREEZE_REPLACED) != 0 ||
        store_room(node->config.store) != ERR_OK) {
        return ERR_OK;
    }
    enum err err = node_txn(node, &txn);
    return err == ERR_OK ? receipt_make(node, txn) : err;
}

enum err receipt_tick(struct node *node)
{
    return node->now_ms >= receipt_wake_ms(node) ? receipt_look(node) : ERR_OK;
}

/* ---- hearing ---- */

/* Of the own lab, signed by its key. */
static enum err own_receipt_seen(struct node *node, struct txn *txn, const struct receipt *receipt)
{
    uint64_t generation = 0, number = 0;
    enum err err = receipts_seen_get(txn, &generation, &number);
    struct receipt seen = {.generation = generation, .number = number};
    if (err != ERR_OK || receipt_compare(receipt, &seen) <= 0) {
        return err;
    }
    node->saying.look_ms = node->now_ms;
    return receipts_seen_put(txn, receipt->generation, receipt->number);
}

/* ERR_STALE: nothing new; ERR_NOT_FOUND: no record of that lab or generation. */
static enum err receipt_accept(struct node *node, const struct link *link, struct bytes bytes)
{
    struct txn *txn = NULL;
    struct receipt receipt;
    struct held_lab lab;
    struct held_receipt held;
    enum err err = receipt_peek(bytes, &receipt);
    if (err == ERR_OK && memcmp(receipt.network.bytes, node->network.bytes, HASH_SIZE) != 0) {
        return ERR_REFUSED;
    }
    if (err == ERR_OK) {
        err = node_txn(node, &txn);
    }
    if (err == ERR_OK) {
        err = lab_get(txn, &receipt.lab, &lab);
    }
    if (err == ERR_OK && receipt.generation != lab.record.generation) {
        err = receipt.generation < lab.record.generation ? ERR_STALE : ERR_NOT_FOUND;
    }
    if (err != ERR_OK) {
        return err;
    }
    bool own = same_lab(&receipt.lab, &node->config.lab);
    err = receipts_get(txn, &receipt.lab, &held);
    if (err == ERR_OK && receipt_compare(&receipt, &held.receipt) <= 0 &&
        (!own || bytes_equal(bytes, held.signed_bytes) || receipt.number < held.receipt.number)) {
        return ERR_STALE;
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        err = receipt_open(bytes, lab.record.signing_pk, &receipt);
    }
    if (err != ERR_OK) {
        return err;
    }
    return own ? own_receipt_seen(node, txn, &receipt)
               : receipts_put(txn, &receipt, bytes, &link->lab);
}

enum err fetch_receipts(struct node *node, struct link *link, const struct msg *msg)
{
    size_t at = 0;
    struct bytes item;
    while (list_next(&msg->receipts, &at, &item)) {
        enum err err = receipt_accept(node, link, item);
        if (err == ERR_CANONICAL || err == ERR_INVALID || err == ERR_SIZE || err == ERR_SIGNATURE) {
            node_refuse(node, err);
            link_close(node, link, BYE_PROTOCOL, err_text(err));
            return ERR_OK;
        }
        if (err_ours(err)) {
            return err;
        }
        if (err != ERR_OK && err != ERR_STALE) {
            node_refuse(node, err);
        }
    }
    return ERR_OK;
}

/* ---- passing on ---- */

/* Adds what is held of that lab to `raw`; ERR_MORE: it wants a message of its own. What nobody can
 * check by the record that is held is not passed on. */
enum err receipt_announce(struct txn *txn, const struct lab_id *lab, struct buf *raw,
                          size_t *ret_count)
{
    struct held_lab record;
    struct held_receipt held;
    *ret_count = 0;
    enum err err = lab_get(txn, lab, &record);
    if (err == ERR_OK) {
        err = receipts_get(txn, lab, &held);
    }
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    if (held.receipt.generation != record.record.generation) {
        return ERR_OK;
    }
    if (raw->size > 0 && raw->size + held.signed_bytes.size > RECEIPTS_MSG_SIZE) {
        return ERR_MORE;
    }
    list_put(raw, held.signed_bytes);
    *ret_count = 1;
    return ERR_OK;
}

/* ---- telling ---- */

/* What is asked of each lab: has it erased up to head `n`? */
struct question {
    uint64_t n, generation; /* the least that covers it */
};

/* Heads up to the last good one of the generation before may be named by either. */
static enum err question_of(const struct node *node, struct txn *txn, uint64_t since,
                            struct question *ret_question)
{
    struct withdrawal withdrawal = {0};
    struct question question = {.n = since};
    enum err err = withdrawal_get(txn, node->own.catalogue, &withdrawal);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    if (since == 0) {
        question.n = withdrawal.n;
    }
    uint64_t last_good = 0;
    for (unsigned i = 0; i < node->record_view.last_good_count; i++) {
        const struct last_good *good = &node->record_view.last_good[i];
        bool ours = memcmp(good->network.bytes, node->own.name.network.bytes, HASH_SIZE) == 0 &&
                    bytes_equal(good->audience, bytes_of_str(node->own.name.audience));
        last_good = ours ? good->n : last_good;
    }
    question.generation = question.n > last_good ? node->record_view.generation : 0;
    *ret_question = question;
    return ERR_OK;
}

enum told { TOLD_SILENT, TOLD_VOID, TOLD_BEHIND, TOLD_ERASED, TOLD_COUNT };

struct word {
    enum told told;
    struct receipt_row row;
    uint64_t issued_at;
};

/* What a lab says of the own catalogue. */
static enum err word_of(const struct node *node, struct txn *txn, const struct held_lab *lab,
                        const struct question *question, struct word *ret_word)
{
    struct held_receipt held;
    struct word word = {.told = TOLD_SILENT};
    enum err err = receipts_get(txn, &lab->record.lab, &held);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    bool any = err == ERR_OK &&
               memcmp(held.receipt.network.bytes, node->network.bytes, HASH_SIZE) == 0 &&
               receipt_find(&held.receipt, &node->config.lab, bytes_of_str(node->own.name.audience),
                            &word.row);
    if (any) {
        bool covers = word.row.n >= question->n && word.row.generation >= question->generation;
        word.issued_at = held.receipt.issued_at;
        word.told = held.receipt.generation != lab->record.generation ? TOLD_VOID
                    : covers                                          ? TOLD_ERASED
                                                                      : TOLD_BEHIND;
    }
    *ret_word = word;
    return ERR_OK;
}

static void word_put(struct node *node, const struct held_lab *lab, const struct word *word,
                     struct buf *out)
{
    static const char *const names[TOLD_COUNT] = {[TOLD_SILENT] = "silent",
                                                  [TOLD_VOID] = "void",
                                                  [TOLD_BEHIND] = "behind",
                                                  [TOLD_ERASED] = "erased"};
    const struct peer *peer = peer_find(node, &lab->record.lab);
    char did[DID_SIZE_MAX];
    did_encode(&lab->record.lab, did);
    pack_map(out, 8);
    pack_cstr(out, "alias");
    pack_cstr(out, peer == NULL || peer->row.removed ? "" : peer->row.alias);
    pack_cstr(out, "did");
    pack_cstr(out, did);
    pack_cstr(out, "issued_at");
    if (word->told == TOLD_SILENT) {
        pack_nil(out);
    } else {
        pack_uint(out, word->issued_at);
    }
    pack_cstr(out, "lab");
    pack_bin(out, BYTES_OF_ARRAY(lab->record.lab.bytes));
    pack_cstr(out, "n");
    pack_uint(out, word->row.n);
    pack_cstr(out, "name");
    pack_str(out, lab->record.name);
    pack_cstr(out, "own");
    pack_bool(out, same_lab(&lab->record.lab, &node->config.lab));
    pack_cstr(out, "state");
    pack_cstr(out, names[word->told]);
}

/* A page: labs behind `after` (NULL: from the first). */
static enum err page_put(struct node *node, struct txn *txn, const struct question *question,
                         const struct lab_id *after, struct buf *out)
{
    defer(buf_done) struct buf rows = {0};
    struct lab_id lab = after == NULL ? (struct lab_id){{0}} : *after;
    bool first = after == NULL;
    size_t count = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && rows.size < CTL_PAGE_SIZE_MAX) {
        struct held_lab held;
        struct word word;
        err = lab_next(txn, first, &lab, &held);
        first = false;
        if (err == ERR_OK) {
            err = word_of(node, txn, &held, question, &word);
        }
        if (err == ERR_OK) {
            word_put(node, &held, &word, &rows);
            count++;
        }
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    pack_map(out, 3);
    pack_cstr(out, "labs");
    pack_array(out, count);
    buf_put(out, buf_bytes(&rows));
    pack_cstr(out, "n");
    pack_uint(out, question->n);
    pack_cstr(out, "next");
    if (err == ERR_OK) {
        pack_bin(out, BYTES_OF_ARRAY(lab.bytes));
    } else {
        pack_nil(out);
    }
    return rows.err;
}

enum err receipts_report(struct node *node, struct txn *txn, uint64_t since,
                         const struct lab_id *after, struct buf *out)
{
    struct question question;
    enum err err = question_of(node, txn, since, &question);
    return err == ERR_OK ? page_put(node, txn, &question, after, out) : err;
}

enum err receipts_count(struct node *node, struct txn *txn, struct receipt_count *ret_count)
{
    struct receipt_count count = {0};
    struct question question;
    struct lab_id lab = {{0}};
    bool first = true;
    enum err err = question_of(node, txn, 0, &question);
    count.n = err == ERR_OK ? question.n : 0;
    while (err == ERR_OK && count.n > 0) {
        struct held_lab held;
        struct word word;
        err = lab_next(txn, first, &lab, &held);
        first = false;
        if (err == ERR_OK) {
            err = word_of(node, txn, &held, &question, &word);
        }
        if (err == ERR_OK) {
            count.labs++;
            count.erased += word.told == TOLD_ERASED;
        }
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    *ret_count = count;
    return ERR_OK;
}
