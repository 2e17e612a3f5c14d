/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_head.c: heads, below the signature and above it.
 *
 * The first byte chooses. Even: the rest is a payload, signed here with a fixed key: what opens
 * signs again to the same bytes and hash, and any other bit makes it refused. Odd: the rest is the
 * object as it stands.
 */
#include "base/limits.h"
#include "proto/entry.h"
#include "proto/head.h"
#include "proto/scan.h"
#include "proto/signed.h"
#include "tests/fuzz/fuzz.h"

static uint8_t signing_public[KEY_SIZE], signing_secret[SIGN_SECRET_SIZE];

static void object_check(struct bytes bytes)
{
    struct head head, peeked;
    enum err peek = head_peek(bytes, &peeked);
    enum err err = head_open(bytes, signing_public, &head);
    must(err != ERR_OK || peek == ERR_OK);
    if (peek != ERR_OK) {
        must(peek == ERR_CANONICAL || peek == ERR_INVALID || peek == ERR_SIZE);
        return;
    }
    must(audience_valid(bytes_of_str(peeked.audience)));
    must(peeked.n > 0);
    if (err != ERR_OK) {
        must(err == ERR_SIGNATURE);
        return;
    }
    must(head_compare(&head, &peeked) == 0);
    struct hash hash = head.hash;
    struct buf again = {0};
    must(head_sign(&head, signing_secret, &again) == ERR_OK);
    must(bytes_equal(buf_bytes(&again), bytes));
    must(memcmp(head.hash.bytes, hash.bytes, HASH_SIZE) == 0);
    buf_done(&again);
}

/* One bit changed: refused. */
static void flip_check(struct bytes bytes, size_t number)
{
    struct head head;
    uint8_t *copy = fuzz_copy(bytes);
    copy[number / 8 % bytes.size] ^= (uint8_t) (1u << number % 8);
    must(head_open(bytes_of(copy, bytes.size), signing_public, &head) != ERR_OK);
    free(copy);
}

/* Nobody signs what nobody would open. */
static void sign_check(const struct head *head)
{
    struct head bad[] = {*head, *head, *head};
    bad[0].n = 0;
    bad[1].generation = 0;
    bad[2].audience[0] = '-';
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf into = {0};
        must(head_sign(&bad[i], signing_secret, &into) == ERR_INVALID);
        must(into.size == 0);
    }
    struct head newer = *head;
    newer.generation++;
    newer.n = 1;
    must(newer.generation == 0 ||
         (head_compare(head, &newer) < 0 && head_compare(&newer, head) > 0));
}

static void payload_check(struct bytes payload)
{
    static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX,
                                              .nodes_max = BODY_NODES_MAX};
    if (scan_strict(payload, limits) != ERR_OK) {
        return;
    }
    struct buf object = {0};
    struct head head;
    signed_put(TAG_SIG_HEAD, payload, signing_secret, &object);
    object_check(buf_bytes(&object));
    if (head_open(buf_bytes(&object), signing_public, &head) == ERR_OK) {
        flip_check(buf_bytes(&object), be16_get(head.root.bytes));
        flip_check(buf_bytes(&object), 7 * payload.size);
        sign_check(&head);
    }
    buf_done(&object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    static const uint8_t seed[SIGN_SEED_SIZE] = "a key that is made for fuzzing";
    sign_keypair(seed, signing_public, signing_secret);
    if (data[0] % 2 == 0) {
        payload_check(bytes_of(data + 1, size - 1));
    } else {
        object_check(bytes_of(data + 1, size - 1));
    }
    return 0;
}
