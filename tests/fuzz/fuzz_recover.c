/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_recover.c: recovery statements, below the signature and above it.
 *
 * The first byte chooses. Even: the rest is a payload, in which our lab is put in its place, signed
 * here with a fixed key: what opens signs again to the same bytes, and any other bit makes it
 * refused. Odd: the rest is the object as it stands.
 */
#include "base/limits.h"
#include "proto/pack.h"
#include "proto/recover.h"
#include "proto/scan.h"
#include "proto/signed.h"
#include "tests/fuzz/fuzz.h"

#define LAB_AT 12 /* of the lab id, in every payload: ["recover", 1, bin32 … */

static struct lab_id lab;
static uint8_t root_secret[SIGN_SECRET_SIZE];

static enum err opened(struct bytes bytes, struct buf *again)
{
    struct lab_id named;
    uint8_t link_pk[KEY_SIZE];
    uint64_t issued_at;
    enum err err = recover_open(bytes, &named, link_pk, &issued_at);
    must(err == ERR_OK || err == ERR_CANONICAL || err == ERR_INVALID || err == ERR_SIZE ||
         err == ERR_SIGNATURE);
    if (err == ERR_OK && memcmp(named.bytes, lab.bytes, KEY_SIZE) == 0) {
        must(recover_sign(&lab, root_secret, link_pk, issued_at, again) == ERR_OK);
        struct lab_id other = lab;
        struct buf unused = {0};
        other.bytes[0] ^= 1;
        must(recover_sign(&other, root_secret, link_pk, issued_at, &unused) == ERR_INVALID);
    }
    return err;
}

static void object_check(struct bytes bytes)
{
    struct buf again = {0};
    uint8_t *copy = fuzz_copy(bytes);
    enum err err = opened(bytes_of(copy, bytes.size), &again);
    must(again.size == 0 || bytes_equal(buf_bytes(&again), bytes));
    if (err == ERR_OK) {
        must(bytes.size <= RECOVER_SIZE_MAX);
        for (size_t bit = 0; bit < 8 * bytes.size; bit += 61) {
            struct buf unused = {0};
            copy[bit / 8] ^= (uint8_t) (1u << bit % 8);
            must(opened(bytes_of(copy, bytes.size), &unused) != ERR_OK);
            copy[bit / 8] ^= (uint8_t) (1u << bit % 8);
        }
    }
    free(copy);
    buf_done(&again);
}

static void payload_check(struct bytes bytes)
{
    static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX,
                                              .nodes_max = BODY_NODES_MAX};
    uint8_t *copy = fuzz_copy(bytes);
    if (bytes.size > LAB_AT + KEY_SIZE) {
        memcpy(copy + LAB_AT, lab.bytes, KEY_SIZE);
    }
    struct bytes payload = bytes_of(copy, bytes.size);
    if (scan_strict(payload, limits) == ERR_OK) {
        struct buf object = {0};
        signed_put(TAG_SIG_RECOVER, payload, root_secret, &object);
        object_check(buf_bytes(&object));
        buf_done(&object);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[SIGN_SEED_SIZE] = "a lab that is made for fuzzing";
    if (size == 0) {
        return 0;
    }
    sign_keypair(seed, lab.bytes, root_secret);
    if (data[0] % 2 == 0) {
        payload_check(bytes_of(data + 1, size - 1));
    } else {
        object_check(bytes_of(data + 1, size - 1));
    }
    return 0;
}
