/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/proof.c: scanned strictly, read once, and every hash recomputed up to the signed root. */
#include "proto/proof.h"

#include "proto/pack.h"
#include "proto/scan.h"

#define PROOF_ITEMS 8

void proof_path(const struct digests *digests, unsigned bucket,
                struct hash ret_path[PROOF_PATH_COUNT])
{
    struct hash level[BUCKET_COUNT];
    memcpy(level, digests->buckets, sizeof level);
    size_t count = BUCKET_COUNT;
    for (unsigned i = 0; i < PROOF_PATH_COUNT; i++) {
        ret_path[i] = level[bucket ^ 1u];
        count /= 2;
        for (size_t k = 0; k < count; k++) {
            level[k] = hash_of_two(TAG_NODE, BYTES_OF_ARRAY(level[2 * k].bytes),
                                   BYTES_OF_ARRAY(level[2 * k + 1].bytes));
        }
        bucket /= 2;
    }
}

void proof_encode(const struct proof *proof, struct buf *into)
{
    pack_array(into, PROOF_ITEMS);
    pack_cstr(into, "proof");
    pack_uint(into, 1);
    pack_bin(into, proof->record);
    pack_bin(into, proof->head);
    pack_str(into, proof->slug);
    if (proof->entry.size > 0) {
        pack_bin(into, proof->entry);
    } else {
        pack_nil(into);
    }
    pack_bin(into, proof->pairs);
    pack_array(into, PROOF_PATH_COUNT);
    for (unsigned i = 0; i < PROOF_PATH_COUNT; i++) {
        pack_bin(into, BYTES_OF_ARRAY(proof->path[i].bytes));
    }
}

static enum err next_of(struct bytes bytes, size_t *at, enum scan_kind kind,
                        struct scan_item *ret_item)
{
    enum err err = scan_next(bytes, at, ret_item);
    if (err != ERR_OK) {
        return err;
    }
    return ret_item->kind == kind ? ERR_OK : ERR_INVALID;
}

static enum err bytes_next(struct bytes bytes, size_t *at, enum scan_kind kind,
                           struct bytes *ret_bytes)
{
    struct scan_item item;
    enum err err = next_of(bytes, at, kind, &item);
    if (err == ERR_OK) {
        *ret_bytes = item.bytes;
    }
    return err;
}

/* nil, or a bin that is not empty. */
static enum err entry_next(struct bytes bytes, size_t *at, struct bytes *ret_entry)
{
    struct scan_item item;
    enum err err = scan_next(bytes, at, &item);
    if (err != ERR_OK) {
        return err;
    }
    if (item.kind == SCAN_NIL) {
        *ret_entry = (struct bytes){0};
        return ERR_OK;
    }
    *ret_entry = item.bytes;
    return item.kind == SCAN_BIN && item.bytes.size > 0 ? ERR_OK : ERR_INVALID;
}

static enum err proof_decode(struct bytes bytes, struct proof *ret_proof)
{
    struct proof proof = {0};
    struct scan_item item;
    struct bytes name = {0};
    size_t at = 0;
    enum err err = scan_strict(bytes, (struct scan_limits){.depth_max = 2, .nodes_max = 32});
    if (err == ERR_OK) {
        err = next_of(bytes, &at, SCAN_ARRAY, &item);
    }
    if (err == ERR_OK && item.value != PROOF_ITEMS) {
        err = ERR_INVALID;
    }
    if (err == ERR_OK) {
        err = bytes_next(bytes, &at, SCAN_STR, &name);
    }
    if (err == ERR_OK) {
        err = next_of(bytes, &at, SCAN_UINT, &item);
    }
    if (err == ERR_OK && (item.value != 1 || !bytes_equal(name, bytes_of_str("proof")))) {
        err = ERR_INVALID;
    }
    if (err == ERR_OK) {
        err = bytes_next(bytes, &at, SCAN_BIN, &proof.record);
    }
    if (err == ERR_OK) {
        err = bytes_next(bytes, &at, SCAN_BIN, &proof.head);
    }
    if (err == ERR_OK) {
        err = bytes_next(bytes, &at, SCAN_STR, &proof.slug);
    }
    if (err == ERR_OK) {
        err = entry_next(bytes, &at, &proof.entry);
    }
    if (err == ERR_OK) {
        err = bytes_next(bytes, &at, SCAN_BIN, &proof.pairs);
    }
    if (err == ERR_OK) {
        err = next_of(bytes, &at, SCAN_ARRAY, &item);
    }
    if (err == ERR_OK && item.value != PROOF_PATH_COUNT) {
        err = ERR_INVALID;
    }
    for (unsigned i = 0; err == ERR_OK && i < PROOF_PATH_COUNT; i++) {
        struct bytes sibling = {0};
        err = bytes_next(bytes, &at, SCAN_BIN, &sibling);
        if (err == ERR_OK && sibling.size != HASH_SIZE) {
            err = ERR_INVALID;
        }
        if (err == ERR_OK) {
            memcpy(proof.path[i].bytes, sibling.data, HASH_SIZE);
        }
    }
    if (err == ERR_OK) {
        *ret_proof = proof;
    }
    return err;
}

/* The bucket's pairs ascend, all belong to it, and lead to the root. *ret_leaf: of `slug_hash`,
 * NULL when it is absent. */
static enum err bucket_verify(const struct proof *proof, const struct slug_hash *slug_hash,
                              const struct hash *root, const uint8_t **ret_leaf)
{
    *ret_leaf = NULL;
    if (proof->pairs.size % PAIR_SIZE != 0) {
        return ERR_INVALID;
    }
    for (size_t at = 0; at < proof->pairs.size; at += PAIR_SIZE) {
        const uint8_t *pair = proof->pairs.data + at;
        bool ascends = at == 0 || memcmp(pair - PAIR_SIZE, pair, SLUG_HASH_SIZE) < 0;
        if (pair[0] != slug_hash->bytes[0] || !ascends) {
            return ERR_INVALID;
        }
        if (memcmp(pair, slug_hash->bytes, SLUG_HASH_SIZE) == 0) {
            *ret_leaf = pair + SLUG_HASH_SIZE;
        }
    }
    struct hash digest = bucket_digest(proof->pairs);
    unsigned bucket = bucket_of(slug_hash);
    for (unsigned i = 0; i < PROOF_PATH_COUNT; i++) {
        struct bytes own = BYTES_OF_ARRAY(digest.bytes);
        struct bytes other = BYTES_OF_ARRAY(proof->path[i].bytes);
        digest = (bucket & 1u) == 0 ? hash_of_two(TAG_NODE, own, other)
                                    : hash_of_two(TAG_NODE, other, own);
        bucket /= 2;
    }
    return memcmp(digest.bytes, root->bytes, HASH_SIZE) == 0 ? ERR_OK : ERR_ROOT;
}

static enum err entry_verify(const struct proof *proof, const uint8_t *leaf, struct proven *proven)
{
    proven->present = proof->entry.size > 0;
    if (proven->present != (leaf != NULL)) {
        return ERR_ROOT; /* says absent what is there, or there what is absent */
    }
    if (!proven->present) {
        return ERR_OK;
    }
    enum err err = entry_decode(proof->entry, &proven->entry);
    if (err != ERR_OK) {
        return err;
    }
    proven->leaf = entry_leaf(proof->entry);
    if (!bytes_equal(proven->entry.slug, proof->slug)) {
        return ERR_INVALID;
    }
    return memcmp(proven->leaf.bytes, leaf, HASH_SIZE) == 0 ? ERR_OK : ERR_ROOT;
}

enum err proof_verify(struct bytes bytes, struct proven *ret_proven)
{
    struct proof proof;
    struct proven proven = {0};
    enum err err = bytes.size > PROOF_SIZE_MAX ? ERR_SIZE : proof_decode(bytes, &proof);
    if (err == ERR_OK && !slug_valid(proof.slug)) {
        err = ERR_SLUG;
    }
    if (err == ERR_OK) {
        err = lab_record_open(proof.record, &proven.record);
    }
    if (err == ERR_OK) {
        err = head_open(proof.head, proven.record.signing_pk, &proven.head);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (memcmp(proven.head.lab.bytes, proven.record.lab.bytes, KEY_SIZE) != 0 ||
        proven.head.generation != proven.record.generation) {
        return ERR_SIGNATURE;
    }
    struct slug_hash slug_hash = hash_slug(proof.slug);
    const uint8_t *leaf = NULL;
    err = bucket_verify(&proof, &slug_hash, &proven.head.root, &leaf);
    if (err == ERR_OK) {
        err = entry_verify(&proof, leaf, &proven);
    }
    if (err == ERR_OK) {
        proven.slug = proof.slug;
        *ret_proven = proven;
    }
    return err;
}
