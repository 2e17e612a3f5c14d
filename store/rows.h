/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/rows.h: how keys and values of the catalogue tables look in bytes, for the files of store/
 * alone. Reading checks sizes before use: a row that does not look as it must is ERR_CORRUPT.
 */
#ifndef ESSAIM_STORE_ROWS_H
#define ESSAIM_STORE_ROWS_H

#include "base/buf.h"
#include "store/catalogue.h"
#include "store/txn.h"

#define ID_KEY_SIZE 4
#define SEQ_KEY_SIZE 8
#define N_KEY_SIZE (4 + 8)
#define SIDE_KEY_SIZE (4 + 8 + 8)
#define SLUG_KEY_SIZE (4 + SLUG_HASH_SIZE)
#define REV_KEY_SIZE (4 + 8 + SLUG_HASH_SIZE)
#define SLUG_VALUE_SIZE (8 + 8 + 4 + HASH_SIZE)
#define BODY_VALUE_MIN 4
#define LOST_KEY_SIZE (SLUG_KEY_SIZE + HASH_SIZE)

/* `into` has room for the size named by the suffix. */
struct bytes rows_id(uint8_t into[ID_KEY_SIZE], uint32_t id);
struct bytes rows_seq(uint8_t into[SEQ_KEY_SIZE], uint64_t seq);
struct bytes rows_n(uint8_t into[N_KEY_SIZE], uint32_t id, uint64_t n);
struct bytes rows_side(uint8_t into[SIDE_KEY_SIZE], uint32_t id, uint64_t merge, uint64_t n);
struct bytes rows_slug(uint8_t into[SLUG_KEY_SIZE], uint32_t id, const struct slug_hash *slug_hash);
/* Keyed: store_options.retired_key. */
struct bytes rows_retired(const struct txn *txn, uint8_t into[SLUG_KEY_SIZE], uint32_t id,
                          const struct slug_hash *slug_hash);
struct bytes rows_rev(uint8_t into[REV_KEY_SIZE], uint32_t id, uint64_t rev,
                      const struct slug_hash *slug_hash);
struct bytes rows_gone(uint8_t into[GONE_KEY_SIZE], uint32_t id, uint64_t n,
                       const struct hint *hint);

/* Whether `key` is one of catalogue `id`: ERR_NOT_FOUND when it belongs to another one, ERR_CORRUPT
 * when it is not `size` bytes long. */
MUST_USE enum err rows_own(struct bytes key, size_t size, uint32_t id);

void rows_slug_put(uint8_t into[SLUG_VALUE_SIZE], const struct slug_row *row);
MUST_USE enum err rows_slug_get(struct bytes value, struct slug_row *ret_row);

/* The entry that `row` points to, checked against its owner, size and leaf: ERR_CORRUPT. */
MUST_USE enum err rows_entry(struct cursor *bodies, uint32_t id, const struct slug_row *row,
                             struct bytes *ret_entry);
/* Takes a value of `bodies` apart. */
MUST_USE enum err rows_body(struct bytes value, uint32_t *ret_id, struct bytes *ret_entry);

/* lost.c: a row of `lost` as its key says. */
struct lost;
MUST_USE enum err lost_decode(const struct row *row, struct lost *ret_lost);

/* The catalogue's digests; ERR_CORRUPT when they are incomplete. */
MUST_USE enum err rows_digests(struct txn *txn, uint32_t id, struct digests *ret_digests);
/* Writes the parts that changed. */
MUST_USE enum err rows_digests_put(struct txn *txn, uint32_t id, const struct digests *digests);

#endif
