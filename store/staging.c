/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/staging.c: bodies that no head covers yet.
 *
 * They lie in `bodies` like all others; the staging row says from which seq on. Others' bodies may
 * lie between them, and even visible ones of the same catalogue when something else was applied in
 * the meantime: those are told by their row in `slugs` and left alone.
 */
#include "store/staging.h"

#include "base/must.h"
#include "proto/entry.h"
#include "store/rows.h"

#define STAGING_SIZE 16

enum err staging_get(struct txn *txn, uint32_t id, struct staging *ret_staging)
{
    uint8_t key[ID_KEY_SIZE];
    struct bytes value;
    enum err err = txn_get(txn, TABLE_STAGING, rows_id(key, id), &value);
    if (err == ERR_OK && value.size != STAGING_SIZE) {
        return ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        ret_staging->first_seq = be64_get(value.data);
        ret_staging->m = be64_get(value.data + 8);
    }
    return err;
}

enum err staging_put(struct txn *txn, uint32_t id, const struct staging *staging)
{
    uint8_t key[ID_KEY_SIZE], value[STAGING_SIZE];
    be64_put(value, staging->first_seq);
    be64_put(value + 8, staging->m);
    return txn_put(txn, TABLE_STAGING, rows_id(key, id), BYTES_OF_ARRAY(value));
}

/* Walks the staged bodies of one catalogue. */
struct walk {
    struct cursor bodies, slugs;
    uint32_t id;
    bool started;
    bool mixed;    /* visible bodies of the same catalogue may lie between */
    bool dropping; /* damaged bodies do not stop the walk */
    struct staging staging;
};

static void walk_done(struct walk *walk)
{
    cursor_close(&walk->bodies);
    cursor_close(&walk->slugs);
}

static enum err walk_init(struct walk *walk, struct txn *txn, uint32_t id,
                          const struct staging *staging, bool dropping)
{
    struct held_head held;
    *walk = (struct walk){.id = id, .staging = *staging, .dropping = dropping};
    enum err err = catalogue_head(txn, id, &held);
    if (err == ERR_OK || err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        uint64_t n = err == ERR_OK ? held.head.n : 0;
        walk->mixed = err == ERR_CORRUPT || n != staging->m;
        err = cursor_open(txn, TABLE_BODIES, &walk->bodies);
    }
    return err == ERR_OK ? cursor_open(txn, TABLE_SLUGS, &walk->slugs) : err;
}

static enum err walk_row(struct walk *walk, struct row *ret_row)
{
    uint8_t key[SEQ_KEY_SIZE];
    enum err err =
        walk->started ? cursor_next(&walk->bodies, ret_row)
                      : cursor_seek(&walk->bodies, rows_seq(key, walk->staging.first_seq), ret_row);
    walk->started = true;
    return err;
}

static enum err visible(struct walk *walk, const struct change *change, bool *ret_visible)
{
    uint8_t key[SLUG_KEY_SIZE];
    struct bytes value;
    struct slug_row row = {0};
    enum err err = cursor_at(&walk->slugs, rows_slug(key, walk->id, &change->slug_hash), &value);
    if (err == ERR_OK) {
        err = rows_slug_get(value, &row);
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        *ret_visible = err == ERR_OK && row.seq == change->seq;
        return ERR_OK;
    }
    return err;
}

/* One row of `bodies` as a change without its leaf. ERR_NOT_FOUND: not a staged one of ours. */
static enum err walk_take(struct walk *walk, const struct row *row, struct change *ret_change,
                          struct bytes *ret_entry)
{
    uint32_t owner = 0;
    struct entry entry;
    bool is_visible = false;
    enum err err =
        row->key.size == SEQ_KEY_SIZE ? rows_body(row->value, &owner, ret_entry) : ERR_CORRUPT;
    if (err != ERR_OK) {
        return walk->dropping ? ERR_NOT_FOUND : err;
    }
    if (owner != walk->id) {
        return ERR_NOT_FOUND;
    }
    *ret_change =
        (struct change){.seq = be64_get(row->key.data), .size = (uint32_t) ret_entry->size};
    if (entry_peek(*ret_entry, &entry) != ERR_OK) {
        return walk->dropping ? ERR_OK : ERR_CORRUPT;
    }
    ret_change->slug_hash = hash_slug(entry.slug);
    ret_change->rev = entry.rev;
    if (walk->mixed) {
        err = visible(walk, ret_change, &is_visible);
    }
    return err == ERR_OK && is_visible ? ERR_NOT_FOUND : err;
}

/* The next staged body; ERR_NOT_FOUND at the end. */
static enum err walk_next(struct walk *walk, struct change *ret_change, struct bytes *ret_entry)
{
    for (;;) {
        struct row row;
        enum err err = walk_row(walk, &row);
        if (err != ERR_OK) {
            return err;
        }
        err = walk_take(walk, &row, ret_change, ret_entry);
        if (err != ERR_NOT_FOUND) {
            return err;
        }
    }
}

enum err staging_load(struct txn *txn, uint32_t id, const struct staging *staging,
                      struct change_list *ret_list)
{
    struct change_list list = {0};
    defer(walk_done) struct walk walk;
    enum err err = walk_init(&walk, txn, id, staging, false);
    while (err == ERR_OK) {
        struct change change;
        struct bytes entry;
        err = walk_next(&walk, &change, &entry);
        if (err == ERR_OK) {
            change.leaf = entry_leaf(entry);
            change.order = (uint32_t) list.count;
            err = change_add(&list, &change);
        }
    }
    if (err != ERR_NOT_FOUND) {
        change_done(&list);
        return err;
    }
    *ret_list = list;
    return ERR_OK;
}

enum err staging_close(struct txn *txn, uint32_t id)
{
    uint8_t key[ID_KEY_SIZE];
    return txn_del(txn, TABLE_STAGING, rows_id(key, id));
}

static enum err staged_seqs(struct txn *txn, uint32_t id, const struct staging *staging,
                            struct buf *seqs)
{
    defer(walk_done) struct walk walk;
    enum err err = walk_init(&walk, txn, id, staging, true);
    while (err == ERR_OK) {
        struct change change;
        struct bytes entry;
        err = walk_next(&walk, &change, &entry);
        if (err == ERR_OK) {
            uint8_t seq[SEQ_KEY_SIZE];
            buf_put(seqs, rows_seq(seq, change.seq));
        }
    }
    return err == ERR_NOT_FOUND ? seqs->err : err;
}

enum err staging_drop(struct txn *txn, uint32_t id)
{
    struct staging staging;
    defer(buf_done) struct buf seqs = {0};
    enum err err = staging_get(txn, id, &staging);
    if (err == ERR_OK) {
        err = staged_seqs(txn, id, &staging, &seqs);
    }
    if (err != ERR_OK) {
        return err;
    }
    err = bodies_drop(txn, &seqs);
    if (err == ERR_OK) {
        err = staging_close(txn, id);
    }
    return err == ERR_OK ? ERR_OK : txn_spoil(txn, err);
}
