/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_lab.c: lab records, below the signature and above it.
 *
 * The first byte chooses. Even: the rest is a payload, signed here with a fixed key: what opens
 * signs again to the same bytes, and any other bit makes it refused. Odd: the rest is the object as
 * it stands.
 */
#include "base/limits.h"
#include "proto/lab.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "proto/signed.h"
#include "tests/fuzz/fuzz.h"

#define LAB_AT 8 /* of the lab id, in every payload: ["lab", 1, bin32 … */

static uint8_t lab_public[KEY_SIZE], lab_secret[SIGN_SECRET_SIZE];

static void object_check(struct bytes bytes)
{
    struct lab_record record, peeked;
    enum err err = lab_record_open(bytes, &record);
    enum err peek = lab_record_peek(bytes, &peeked);
    must(err != ERR_OK || peek == ERR_OK);
    if (err != ERR_OK) {
        must(err == ERR_CANONICAL || err == ERR_INVALID || err == ERR_SIZE || err == ERR_SIGNATURE);
        must(err == ERR_SIGNATURE || peek != ERR_OK);
        return;
    }
    must(record.generation > 0);
    must(record.last_good_count <= LAST_GOOD_MAX);
    if (memcmp(record.lab.bytes, lab_public, KEY_SIZE) != 0) {
        return;
    }
    struct buf again = {0};
    must(lab_record_sign(&record, lab_secret, &again) == ERR_OK);
    must(bytes_equal(buf_bytes(&again), bytes));
    buf_done(&again);
}

/* One bit changed: refused. */
static void flip_check(struct bytes bytes, size_t number)
{
    struct lab_record record;
    uint8_t *copy = fuzz_copy(bytes);
    copy[number / 8 % bytes.size] ^= (uint8_t) (1u << number % 8);
    must(lab_record_open(bytes_of(copy, bytes.size), &record) != ERR_OK);
    free(copy);
}

/* Nobody signs what nobody would open. */
static void sign_check(const struct lab_record *record)
{
    struct lab_record bad[] = {*record, *record, *record};
    bad[0].generation = 0;
    bad[1].name = bytes_of_str("two\nlines");
    bad[2].last_good_count = LAST_GOOD_MAX + 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf into = {0};
        must(lab_record_sign(&bad[i], lab_secret, &into) == ERR_INVALID);
        must(into.size == 0);
    }
}

static void payload_check(struct bytes bytes)
{
    uint8_t *copy = fuzz_copy(bytes);
    if (bytes.size > LAB_AT + KEY_SIZE) {
        memcpy(copy + LAB_AT, lab_public, KEY_SIZE);
    }
    struct bytes payload = bytes_of(copy, bytes.size);
    static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX,
                                              .nodes_max = BODY_NODES_MAX};
    if (scan_strict(payload, limits) == ERR_OK) {
        struct buf object = {0};
        struct lab_record record;
        signed_put(TAG_SIG_LAB, payload, lab_secret, &object);
        object_check(buf_bytes(&object));
        if (lab_record_open(buf_bytes(&object), &record) == ERR_OK) {
            flip_check(buf_bytes(&object), be16_get(copy + LAB_AT + KEY_SIZE - 1));
            flip_check(buf_bytes(&object), 7 * bytes.size);
            sign_check(&record);
        }
        buf_done(&object);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    static const uint8_t seed[SIGN_SEED_SIZE] = "a lab that is made for fuzzing";
    sign_keypair(seed, lab_public, lab_secret);
    if (data[0] % 2 == 0) {
        payload_check(bytes_of(data + 1, size - 1));
    } else {
        object_check(bytes_of(data + 1, size - 1));
    }
    return 0;
}
