/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/scrub_catalogue.c: one catalogue: its head, the chain that leads to it, its entries against
 * the signed root, and the order of revisions.
 */
#include "store/fold.h"
#include "store/history.h"
#include "store/scrub_parts.h"

/* What the record says of this catalogue's last head of the generation before; NULL: nothing. */
static const struct last_good *last_good_of(const struct lab_record *record,
                                            const struct head *head)
{
    for (unsigned i = 0; i < record->last_good_count; i++) {
        const struct last_good *good = &record->last_good[i];
        if (scrub_hash_equal(&good->network, &head->network) &&
            bytes_equal(good->audience, bytes_of_str(head->audience))) {
            return good;
        }
    }
    return NULL;
}

/* A head of the record's generation stands on the last good one of the generation before. */
static enum err stands_check(struct scrub *scrub, const struct last_good *good)
{
    enum where where = WHERE_UNKNOWN;
    enum err err = good == NULL
                       ? ERR_NOT_FOUND
                       : history_where(scrub->txn, scrub->id, good->n, &good->head_hash, &where);
    if (err == ERR_OK && where != WHERE_TRUNK) {
        scrub_blame(scrub, scrub->id, NULL,
                    "the chain does not hold the last good head of the generation before");
    }
    /* Rows that are missing: chain_check names them. */
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

/* The record is of a newer generation than the head: so it is between two arrivals. */
static void older_head(struct scrub *scrub, const struct last_good *good)
{
    const struct head *head = &scrub->held.head;
    bool vouched =
        good != NULL && (head->n < good->n ||
                         (head->n == good->n && scrub_hash_equal(&good->head_hash, &head->hash)));
    if (!vouched) {
        scrub->page->note = "a newer generation's head has not arrived yet";
    }
}

static enum err head_check(struct scrub *scrub)
{
    const struct head *head = &scrub->held.head;
    struct held_lab lab;
    struct lab_record record;
    struct head opened;
    enum err err = lab_get(scrub->txn, &head->lab, &lab);
    if (err == ERR_NOT_FOUND) {
        scrub_blame(scrub, scrub->id, NULL, "the lab's record is missing");
        return ERR_OK;
    }
    if (err != ERR_OK) {
        return scrub_damaged(scrub, err, "the lab's record is malformed");
    }
    if (lab_record_open(lab.signed_bytes, &record) != ERR_OK) {
        scrub_blame(scrub, scrub->id, NULL, "the signature of the lab's record does not verify");
        return ERR_OK;
    }
    const struct last_good *good = last_good_of(&record, head);
    if (record.generation < head->generation) {
        scrub_blame(scrub, scrub->id, NULL, "the head belongs to a generation that does not stand");
        return ERR_OK;
    }
    if (record.generation > head->generation) {
        older_head(scrub, good);
        return ERR_OK;
    }
    if (head_open(scrub->held.signed_bytes, record.signing_pk, &opened) != ERR_OK) {
        scrub_blame(scrub, scrub->id, NULL, "the signature of the head does not verify");
        return ERR_OK;
    }
    return stands_check(scrub, good);
}

/* Folds the hashes of heads 1 … n; *ret_n of them are there, the last one is *ret_hash. ERR_CORRUPT
 * when sides are damaged. */
static enum err chain_fold(struct scrub *scrub, struct fold *fold, uint64_t *ret_n,
                           struct hash *ret_hash)
{
    const struct head *head = &scrub->held.head;
    uint8_t key[N_KEY_SIZE];
    struct row row;
    struct order order = {.table = TABLE_HASHES};
    defer(cursor_close) struct cursor hashes = {0};
    uint64_t n = 0;
    enum err folded = ERR_OK, err = cursor_open(scrub->txn, TABLE_HASHES, &hashes);
    if (err == ERR_OK) {
        err = cursor_seek(&hashes, rows_n(key, scrub->id, 0), &row);
    }
    while (err == ERR_OK && folded == ERR_OK && n < head->n) {
        err = rows_own(row.key, N_KEY_SIZE, scrub->id);
        if (err != ERR_OK || be64_get(row.key.data + 4) != n + 1 || row.value.size != HASH_SIZE) {
            break;
        }
        memcpy(ret_hash->bytes, row.value.data, HASH_SIZE);
        n++;
        if (n < head->n) {
            folded = fold_step(fold, ret_hash);
        }
        err = scrub_order_row(scrub, &order, row.key);
        if (err == ERR_OK) {
            err = cursor_next(&hashes, &row);
        }
    }
    if (err == ERR_OK && folded == ERR_OK && n == head->n) {
        enum err own = rows_own(row.key, N_KEY_SIZE, scrub->id);
        order.damaged = order.damaged || own == ERR_CORRUPT;
        if (own == ERR_OK) {
            scrub_blame(scrub, scrub->id, NULL, "there are hashes of heads behind the held one");
        }
    }
    *ret_n = n;
    enum err ended = scrub_order_end(scrub, &order);
    if (ended != ERR_OK || folded != ERR_OK) {
        return ended != ERR_OK ? ended : folded;
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

/* The hashes of heads 1 … n-1 must chain to the head's history, through what merge heads joined,
 * and hash n be the head's own. */
static enum err chain_check(struct scrub *scrub)
{
    const struct head *head = &scrub->held.head;
    struct hash head_hash = {0};
    uint64_t n = 0;
    defer(fold_close) struct fold fold = {0};
    enum err err = fold_open(scrub->txn, scrub->id, &fold);
    if (err == ERR_OK) {
        err = chain_fold(scrub, &fold, &n, &head_hash);
    }
    if (err != ERR_OK) {
        return scrub_damaged(scrub, err, "the side of a merge head is damaged");
    }
    if (n != head->n || !scrub_hash_equal(&head_hash, &head->hash)) {
        scrub_blame(scrub, scrub->id, NULL, "hashes of earlier heads are missing or damaged");
    } else if (!scrub_hash_equal(&fold.history, &head->history)) {
        scrub_blame(scrub, scrub->id, NULL, "the hashes of earlier heads do not lead to the head");
    }
    if (fold.side_count > 0 && fold.list[fold.side_count - 1].n > head->n) {
        scrub_blame(scrub, scrub->id, NULL, "a side belongs to no merge head");
    }
    return ERR_OK;
}

/* Compares one bucket, whose pairs were gathered, with its stored digest; keeps what it is. */
static enum err bucket_check(struct scrub *scrub, unsigned bucket)
{
    if (scrub->pairs.err != ERR_OK) {
        return scrub->pairs.err;
    }
    struct hash digest = bucket_digest(buf_bytes(&scrub->pairs));
    if (!scrub_hash_equal(&digest, &scrub->digests.buckets[bucket])) {
        scrub_blame(scrub, scrub->id, NULL, "a bucket of entries does not match its digest");
    }
    scrub->digests.buckets[bucket] = digest;
    buf_clear(&scrub->pairs);
    return ERR_OK;
}

static enum err slugs_check(struct scrub *scrub, uint64_t *ret_count)
{
    const struct head *head = &scrub->held.head;
    uint8_t key[SLUG_KEY_SIZE];
    struct slug_hash first = {0};
    struct slug_row slug_row;
    struct row row;
    uint64_t count = 0, bytes = 0;
    unsigned bucket = 0;
    struct order order = {.table = TABLE_SLUGS};
    enum err err = cursor_seek(&scrub->slugs, rows_slug(key, scrub->id, &first), &row);
    for (; err == ERR_OK; err = cursor_next(&scrub->slugs, &row)) {
        err = rows_own(row.key, SLUG_KEY_SIZE, scrub->id);
        if (err == ERR_OK) {
            err = rows_slug_get(row.value, &slug_row);
        }
        if (err == ERR_OK) {
            err = scrub_order_row(scrub, &order, row.key);
        }
        if (err != ERR_OK) {
            break;
        }
        while (bucket < row.key.data[4]) {
            enum err checked = bucket_check(scrub, bucket++);
            if (checked != ERR_OK) {
                return checked;
            }
        }
        buf_put(&scrub->pairs, bytes_of(row.key.data + 4, SLUG_HASH_SIZE));
        buf_put(&scrub->pairs, BYTES_OF_ARRAY(slug_row.leaf.bytes));
        count++;
        bytes += slug_row.size;
    }
    while (bucket < BUCKET_COUNT) {
        enum err checked = bucket_check(scrub, bucket++);
        if (checked != ERR_OK) {
            return checked;
        }
    }
    *ret_count = count;
    struct hash root = digests_root(&scrub->digests);
    if (!scrub_hash_equal(&root, &head->root)) {
        scrub_blame(scrub, scrub->id, NULL, "the entries do not match the signed root");
    }
    if (count != head->count || bytes != head->bytes) {
        scrub_blame(scrub, scrub->id, NULL, "count or bytes are not those of the head");
    }
    enum err ended = scrub_order_end(scrub, &order);
    if (ended != ERR_OK) {
        return ended;
    }
    return err == ERR_NOT_FOUND ? ERR_OK
                                : scrub_damaged(scrub, err, "the table of entries is damaged");
}

/* One row of the delta order: its slug says the same, and the body is there. */
static enum err rev_check(struct scrub *scrub, const struct row *row)
{
    struct slug_hash slug_hash;
    struct slug_row slug_row = {0};
    struct bytes value, entry = {0};
    uint8_t key[SLUG_KEY_SIZE];
    uint32_t owner = 0;
    uint64_t rev = be64_get(row->key.data + 4);
    memcpy(slug_hash.bytes, row->key.data + 12, SLUG_HASH_SIZE);
    enum err err = cursor_at(&scrub->slugs, rows_slug(key, scrub->id, &slug_hash), &value);
    if (err == ERR_OK) {
        err = rows_slug_get(value, &slug_row);
    }
    if (err == ERR_OK && (row->value.size != SEQ_KEY_SIZE || slug_row.rev != rev ||
                          slug_row.seq != be64_get(row->value.data) || rev > scrub->held.head.n)) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        scrub_blame(scrub, scrub->id, &slug_hash,
                    "the order of revisions does not match the entries");
        return ERR_OK;
    }
    if (err != ERR_OK || scrub->place.visible == 0) {
        return err;
    }
    err = cursor_at(&scrub->bodies, row->value, &value);
    if (err == ERR_OK) {
        err = rows_body(value, &owner, &entry);
    }
    if (err == ERR_OK && (owner != scrub->id || entry.size != slug_row.size)) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        scrub_blame(scrub, scrub->id, &slug_hash, "the stored entry is missing");
        return ERR_OK;
    }
    return err;
}

static enum err revs_check(struct scrub *scrub, uint64_t slug_count)
{
    uint8_t key[REV_KEY_SIZE];
    struct slug_hash first = {0};
    struct row row;
    uint64_t count = 0;
    struct order order = {.table = TABLE_REVS};
    enum err err = cursor_seek(&scrub->revs, rows_rev(key, scrub->id, 0, &first), &row);
    for (; err == ERR_OK; err = cursor_next(&scrub->revs, &row)) {
        err = rows_own(row.key, REV_KEY_SIZE, scrub->id);
        if (err != ERR_OK) {
            break;
        }
        count++;
        err = scrub_order_row(scrub, &order, row.key);
        if (err == ERR_OK) {
            err = rev_check(scrub, &row);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    enum err ended = scrub_order_end(scrub, &order);
    if (ended != ERR_OK) {
        return ended;
    }
    if (count != slug_count) {
        scrub_blame(scrub, scrub->id, NULL, "entries are missing from the order of revisions");
    }
    return err == ERR_NOT_FOUND ? ERR_OK
                                : scrub_damaged(scrub, err, "the order of revisions is damaged");
}

enum err scrub_catalogue(struct scrub *scrub)
{
    struct scrub_page *page = scrub->page;
    struct catalogue_name name;
    uint32_t id = 0;
    uint64_t count = 0;
    page->catalogue = scrub->id;
    page->catalogue_ok = true;
    enum err err = catalogue_head(scrub->txn, scrub->id, &scrub->held);
    if (err != ERR_OK) {
        return scrub_damaged(scrub, err, "the head is malformed");
    }
    name.network = scrub->held.head.network;
    name.lab = scrub->held.head.lab;
    memcpy(name.audience, scrub->held.head.audience, sizeof name.audience);
    err = catalogue_find(scrub->txn, &name, &id);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT || (err == ERR_OK && id != scrub->id)) {
        scrub_blame(scrub, scrub->id, NULL, "the head does not belong to this catalogue");
        err = ERR_OK;
    }
    if (err == ERR_OK) {
        struct arrival arrival = {.kind = ARRIVAL_HEAD, .catalogue = scrub->id};
        err = scrub_arrival(scrub, scrub->held.arrival, &arrival);
    }
    if (err == ERR_OK) {
        err = head_check(scrub);
    }
    if (err == ERR_OK) {
        err = chain_check(scrub);
    }
    if (err == ERR_OK) {
        err = rows_digests(scrub->txn, scrub->id, &scrub->digests);
        err = scrub_damaged(scrub, err, "the digests are malformed");
    }
    if (err == ERR_OK) {
        err = slugs_check(scrub, &count);
    }
    return err == ERR_OK ? revs_check(scrub, count) : err;
}
