/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * store/copy.h: copies of a whole store, row by row into a new environment, so that nothing but
 * live rows is in their bytes (doc/decisions/0010-erasure.md). Compacting is a copy that takes the
 * store's place; a backup is one that lies elsewhere.
 *
 *     copy_compact   any thread, no write transaction meanwhile   DIR/compact.tmp/
 *     copy_swap      no transaction at all                        DIR/data.mdb
 *     copy_backup    as copy_compact                              PATH, by way of PATH.tmp/
 */
#ifndef ESSAIM_STORE_COPY_H
#define ESSAIM_STORE_COPY_H

#include "store/store.h"

enum copy_where { COPY_AT_STORE, COPY_AT_FILE, COPY_AT_PART };

struct copy {
    uint64_t bytes;  /* of the file that was made */
    uint64_t before; /* of the store's file */
    uint64_t heads, entries;
    struct hash digest; /* copy_digest of what it holds */
    /* after an error: where it met it (FILE: PATH, PART: PATH.tmp), errno (0: none), and what
     * ERR_FULL would have needed */
    enum copy_where where;
    int cause;
    uint64_t needed, free;
};

/* Makes DIR/compact.tmp/data.mdb, durable. ERR_FULL (too little room: looked at first), ERR_IO,
 * ERR_CORRUPT (the store is damaged), ERR_NOMEM: the store is as it was, and nothing is left
 * behind. *ret_copy is filled in any case. */
MUST_USE enum err copy_compact(struct store *store, struct copy *ret_copy);
/* Puts the copy in the store's place. No transaction may be open. ERR_OK: done, or, with
 * *ret_swapped false, the old store goes on and the copy is gone. After an error the store is
 * closed: the process must end; the next start finds the old store or the new one. */
MUST_USE enum err copy_swap(struct store *store, bool *ret_swapped);

/* Makes `path` (absolute), 0600, durable: data.mdb of a store, marked as a copy. ERR_REFUSED in the
 * directory of the store itself, ERR_EXISTS when `path` or PATH.tmp is there; ERR_FULL, ERR_IO,
 * ERR_CORRUPT, ERR_NOMEM; nothing is left behind. */
MUST_USE enum err copy_backup(struct store *store, const char *path, struct copy *ret_copy);

/* All head hashes, folded like a history in the order of network, lab and audience: equal where the
 * same catalogues are held. Zero for no heads. */
MUST_USE enum err copy_digest(struct txn *txn, struct hash *ret_digest, uint64_t *ret_heads,
                              uint64_t *ret_entries);

#endif
