/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/golden/bad.c: bytes that every implementation must refuse, and a few that stand just inside
 * a limit. `zeros` zero bytes follow the given ones, so that large vectors stay short.
 */
#include "base/defer.h"
#include "base/must.h"
#include "proto/did.h"
#include "proto/entry.h"
#include "proto/msg.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/golden/golden.h"

struct bad {
    const char *what, *why, *hex; /* what: value, entry, message */
    size_t zeros;
    bool ok; /* stands just inside the limit */
};

/* clang-format off */
#define Z16 "00000000000000000000000000000000"
#define Z32 Z16 Z16
static const struct bad bads[] = {
    {"value", "empty", "", 0, false},
    {"value", "float 32", "ca00000000", 0, false},
    {"value", "float 64", "cb0000000000000000", 0, false},
    {"value", "ext", "d40000", 0, false},
    {"value", "ext 8", "c70000", 0, false},
    {"value", "the byte that is nothing", "c1", 0, false},
    {"value", "0 as uint 8", "cc00", 0, false},
    {"value", "127 as uint 8", "cc7f", 0, false},
    {"value", "255 as uint 16", "cd00ff", 0, false},
    {"value", "65535 as uint 32", "ce0000ffff", 0, false},
    {"value", "2^32-1 as uint 64", "cf00000000ffffffff", 0, false},
    {"value", "5 as int 8", "d005", 0, false},
    {"value", "128 as int 16", "d10080", 0, false},
    {"value", "-1 as int 8", "d0ff", 0, false},
    {"value", "-32 as int 8", "d0e0", 0, false},
    {"value", "-128 as int 16", "d1ff80", 0, false},
    {"value", "-32768 as int 32", "d2ffff8000", 0, false},
    {"value", "-2^31 as int 64", "d3ffffffff80000000", 0, false},
    {"value", "str 8 of one byte", "d90161", 0, false},
    {"value", "str 16 of one byte", "da000161", 0, false},
    {"value", "bin 16 of one byte", "c5000161", 0, false},
    {"value", "bin 32 of one byte", "c60000000161", 0, false},
    {"value", "array 16 of one item", "dc0001c0", 0, false},
    {"value", "map 16 of no pair", "de0000", 0, false},
    {"value", "U+0000 in text", "a100", 0, false},
    {"value", "U+001B in text", "a11b", 0, false},
    {"value", "a lone continuation byte", "a180", 0, false},
    {"value", "an overlong slash", "a2c0af", 0, false},
    {"value", "a surrogate", "a3eda080", 0, false},
    {"value", "above U+10FFFF", "a4f4908080", 0, false},
    {"value", "a cut character", "a2e282", 0, false},
    {"value", "keys fall", "82a162c0a161c0", 0, false},
    {"value", "a key twice", "82a161c0a161c0", 0, false},
    {"value", "a prefix second", "82a26161c0a161c0", 0, false},
    {"value", "a number as key", "8101c0", 0, false},
    {"value", "bin as key", "81c40161c0", 0, false},
    {"value", "something follows", "c000", 0, false},
    {"value", "cut text at the end", "a261", 0, false},
    {"value", "an array that lies", "ddffffffff", 0, false},
    {"value", "a map that lies", "df80000000", 0, false},
    {"value", "nested 8 deep", "9191919191919190", 0, true},
    {"value", "nested 9 deep", "919191919191919190", 0, false},
    {"entry", "as it should be", "94a16101a16b80", 0, true},
    {"entry", "three items", "93a16101a16b", 0, false},
    {"entry", "five items", "95a16101a16b80c0", 0, false},
    {"entry", "a map", "80", 0, false},
    {"entry", "a capital in the slug", "94a14101a16b80", 0, false},
    {"entry", "an empty slug", "94a001a16b80", 0, false},
    {"entry", "a slug that starts with a hyphen", "94a12d01a16b80", 0, false},
    {"entry", "a slug with a line feed", "94a2610a01a16b80", 0, false},
    {"entry", "a slug of 65 bytes",
     "94d941616161616161616161616161616161616161616161616161616161616161616161616161616161616161"
     "6161616161616161616161616161616161616161616161" "01a16b80", 0, false},
    {"entry", "a slug as bin", "94c4016101a16b80", 0, false},
    {"entry", "revision 0", "94a16100a16b80", 0, false},
    {"entry", "a negative revision", "94a161ffa16b80", 0, false},
    {"entry", "a digit first in the kind", "94a16101a13180", 0, false},
    {"entry", "a kind of 33 bytes",
     "94a16101d921616161616161616161616161616161616161616161616161616161616161616161" "80", 0,
     false},
    {"entry", "an array as body", "94a16101a16b90", 0, false},
    {"entry", "a float in the body", "94a16101a16b81a161ca00000000", 0, false},
    {"entry", "a body nested 8 deep", "94a16101a16b81a16191919191919190", 0, true},
    {"entry", "a body nested 9 deep", "94a16101a16b81a1619191919191919190", 0, false},
    {"entry", "4,096 nodes in the body", "94a16101a16b81a161dc0ffd", 4093, true},
    {"entry", "4,097 nodes in the body", "94a16101a16b81a161dc0ffe", 4094, false},
    {"entry", "61,440 bytes", "94a16101a16b81a161c5eff4", 61428, true},
    {"entry", "61,441 bytes", "94a16101a16b81a161c5eff5", 61429, false},
    {"message", "as it should be", "920b05", 0, true},
    {"message", "no array", "0b", 0, false},
    {"message", "no type", "90", 0, false},
    {"message", "type 0", "9100", 0, false},
    {"message", "type 17", "9111", 0, false},
    {"message", "a type that is text", "91a14e", 0, false},
    {"message", "PING without number", "910b", 0, false},
    {"message", "PING with two numbers", "930b0505", 0, false},
    {"message", "PING with text", "920ba135", 0, false},
    {"message", "PING below zero", "920bff", 0, false},
    {"message", "REKEY with an item", "920ec0", 0, false},
    {"message", "ACK with nil", "930a01c0", 0, false},
    {"message", "BYE with bin", "930d00c400", 0, false},
    {"message", "BYE with two lines", "930d00a3610a62", 0, false},
    {"message", "RECORDS with an empty record", "920291c400", 0, false},
    {"message", "RECORDS with text", "920291a161", 0, false},
    {"message", "HEADS without numbers", "93030191c40100", 0, false},
    {"message", "HEADS with threes", "930301919305c4010005", 0, false},
    {"message", "HEADS with an empty head", "93030191" "9205c400", 0, false},
    {"message", "DELTA as it should be", "950500" "90c40090", 0, true},
    {"message", "DELTA on stream 2^32", "9505cf0000000100000000" "90c40090", 0, false},
    {"message", "DELTA with 15 bytes withdrawn",
     "95050090c40f00000000000000000000000000000090", 0, false},
    {"message", "DELTA with an opening of 31 bytes", "95050090c40091c41f", 31, false},
    {"message", "DELTA with an opening of 32 bytes", "95050090c40091c420", 32, true},
    {"message", "DELTA with an empty entry", "95050091c400c40090", 0, false},
    {"message", "DELTA_END with an empty head", "930601c400", 0, false},
    {"message", "DELTA_END with a head of 512 bytes", "930601c50200", 512, true},
    {"message", "DELTA_END with a head of 513 bytes", "930601c50201", 513, false},
    {"message", "RECORDS with a record of 8,192 bytes", "920291c52000", 8192, true},
    {"message", "RECORDS with a record of 8,193 bytes", "920291c52001", 8193, false},
    {"message", "HELLO of generation 1 without record",
     "9b010100c420" Z32 "c420" Z32 "01c000c410" Z16 "c000", 0, true},
    {"message", "HELLO of generation 0 without statement",
     "9b010100c420" Z32 "c420" Z32 "00c000c410" Z16 "c000", 0, false},
    {"message", "HELLO of generation 0 with one",
     "9b010100c420" Z32 "c420" Z32 "00c4010000c410" Z16 "c000", 0, true},
    {"message", "HELLO of generation -1",
     "9b010100c420" Z32 "c420" Z32 "ffc4010000c410" Z16 "c000", 0, false},
    {"message", "DELTA with an opening of 7 bytes", "95050090c40091c407", 7, false},
    {"message", "DELTA with an opening of 8 bytes", "95050090c40091c408", 8, true},
    {"message", "DELTA with an opening of 9 bytes", "95050090c40091c409", 9, false},
    {"message", "DELTA with an opening of 33 bytes", "95050090c40091c421", 33, true},
    {"message", "DELTA with an opening of 34 bytes", "95050090c40091c422", 34, false},
    {"message", "BUCKETS without digests", "960705c420" Z32 "a67075626c696301c400", 0, true},
    {"message", "BUCKETS of head 0", "960705c420" Z32 "a67075626c696300c400", 0, false},
    {"message", "BUCKETS with one digest", "960705c420" Z32 "a67075626c696301c420", 32, false},
    {"message", "BUCKETS with 8,191 bytes", "960705c420" Z32 "a67075626c696301c51fff", 8191, false},
    {"message", "BUCKETS with 8,192 bytes", "960705c420" Z32 "a67075626c696301c52000", 8192, true},
    {"message", "BUCKETS with 8,193 bytes", "960705c420" Z32 "a67075626c696301c52001", 8193, false},
    {"message", "BUCKETS with nil", "960705c420" Z32 "a67075626c696301c0", 0, false},
    {"message", "BUCKET as it should be",
     "980805c420" Z32 "a67075626c69630100" "c400" "90", 0, true},
    {"message", "BUCKET of head 0", "980805c420" Z32 "a67075626c69630000" "c400" "90", 0, false},
    {"message", "BUCKET 255", "980805c420" Z32 "a67075626c696301ccff" "c400" "90", 0, true},
    {"message", "BUCKET 256", "980805c420" Z32 "a67075626c696301cd0100" "c400" "90", 0, false},
    {"message", "BUCKET 2^32",
     "980805c420" Z32 "a67075626c696301cf0000000100000000" "c400" "90", 0, false},
    {"message", "BUCKET with 48 bytes of pairs",
     "980805c420" Z32 "a67075626c69630100" "c430" Z32 Z16 "90", 0, true},
    {"message", "BUCKET with 47 bytes of pairs",
     "980805c420" Z32 "a67075626c69630100" "c42f" Z32
     "000000000000000000000000000000" "90", 0, false},
    {"message", "BUCKET with an empty entry",
     "980805c420" Z32 "a67075626c69630100" "c400" "91c400", 0, false},
    {"message", "BUCKET with an entry of 61,440 bytes",
     "980805c420" Z32 "a67075626c69630100" "c400" "91c5f000", 61440, true},
    {"message", "BUCKET with an entry of 61,441 bytes",
     "980805c420" Z32 "a67075626c69630100" "c400" "91c5f001", 61441, false},
    {"message", "PROOF of one byte", "9509c420" Z32 "0100c40100", 0, true},
    {"message", "PROOF of no byte", "9509c420" Z32 "0000c40100", 0, false},
    {"message", "PROOF with an empty part", "9509c420" Z32 "0100c400", 0, false},
    {"message", "PROOF with a part beyond its end", "9509c420" Z32 "0101c40100", 0, false},
    {"message", "PROOF with a part larger than it", "9509c420" Z32 "0100c4020000", 0, false},
    {"message", "PROOF with the largest offset",
     "9509c420" Z32 "01cfffffffffffffffffc40100", 0, false},
    {"message", "PROOF of 524,288 bytes", "9509c420" Z32 "ce00080000ce0007ffffc40100", 0, true},
    {"message", "PROOF of 524,289 bytes", "9509c420" Z32 "ce0008000100c40100", 0, false},
    {"message", "PROOF with a part of 61,440 bytes",
     "9509c420" Z32 "ce0008000000c5f000", 61440, true},
    {"message", "PROOF with a part of 61,441 bytes",
     "9509c420" Z32 "ce0008000000c5f001", 61441, false},
    {"message", "PROOF of three items", "9309c420" Z32 "c40100", 0, false},
};
/* clang-format on */

static enum err bad_check(const char *what, struct bytes bytes)
{
    static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX,
                                              .nodes_max = BODY_NODES_MAX};
    if (strcmp(what, "entry") == 0) {
        struct entry entry;
        return entry_decode(bytes, &entry);
    }
    if (strcmp(what, "message") == 0) {
        struct msg msg;
        return msg_decode(bytes, &msg);
    }
    if (strcmp(what, "did") == 0) {
        struct lab_id lab;
        return did_decode(bytes, &lab);
    }
    return scan_strict(bytes, limits);
}

static uint8_t nibble_of(char digit)
{
    return (uint8_t) (digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static void bad_out(struct golden *golden, const struct bad *bad)
{
    defer(buf_done) struct buf bytes = {0};
    for (const char *at = bad->hex; *at != '\0'; at += 2) {
        buf_put_u8(&bytes, (uint8_t) (nibble_of(at[0]) << 4 | nibble_of(at[1])));
    }
    size_t given = bytes.size;
    if (bad->zeros > 0) {
        uint8_t *zeros = buf_extend(&bytes, bad->zeros);
        must(zeros != NULL);
        memset(zeros, 0, bad->zeros);
    }
    must((bad_check(bad->what, buf_bytes(&bytes)) == ERR_OK) == bad->ok);
    out_open(&golden->out, NULL, '{');
    out_text(&golden->out, "what", bad->what);
    out_text(&golden->out, "why", bad->why);
    out_hex(&golden->out, "bytes", bytes_of(bytes.data, given));
    out_uint(&golden->out, "zeros", bad->zeros);
    out_uint(&golden->out, "ok", bad->ok);
    out_close(&golden->out, '}');
}

static void dids_out(struct golden *golden)
{
    static const char *const dids[] = {
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWpp",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW0",
        "did:key:z16MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
        "did:key:zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        "did:web:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
    };
    for (size_t i = 0; i < sizeof dids / sizeof dids[0]; i++) {
        must(bad_check("did", bytes_of_str(dids[i])) != ERR_OK);
        out_open(&golden->out, NULL, '{');
        out_text(&golden->out, "what", "did");
        out_text(&golden->out, "text", dids[i]);
        out_close(&golden->out, '}');
    }
}

/* ---- signed objects ---- */

static void signed_bad_out(struct golden *golden, bool head, const char *why, struct bytes bytes)
{
    struct head opened;
    struct lab_record record;
    enum err err = head ? head_open(bytes, golden->a.signing_public, &opened)
                        : lab_record_open(bytes, &record);
    must(err != ERR_OK);
    out_open(&golden->out, NULL, '{');
    out_text(&golden->out, "what", head ? "head" : "record");
    out_text(&golden->out, "why", why);
    out_hex(&golden->out, "bytes", bytes);
    out_close(&golden->out, '}');
}

/* The payload with item number `item` replaced by one packed value, signed again by the right key
 * for the right purpose. */
static void resigned_out(struct golden *golden, bool head, uint64_t item, const char *packed,
                         size_t packed_size, const char *why)
{
    const struct buf *object = head ? &golden->chain[1] : &golden->a.record;
    struct bytes whole = bytes_of(object->data + 3, object->data[2]);
    if (object->data[1] == 0xc5) {
        whole = bytes_of(object->data + 4, be16_get(object->data + 2));
    }
    defer(buf_done) struct buf payload = {0}, bytes = {0};
    struct scan_item array;
    size_t at = 0;
    enum err err = scan_next(whole, &at, &array);
    must(err == ERR_OK);
    pack_array(&payload, array.value);
    for (uint64_t i = 0; i < array.value; i++) {
        size_t from = at;
        err = scan_skip(whole, &at);
        must(err == ERR_OK);
        buf_put(&payload,
                i == item ? bytes_of(packed, packed_size) : bytes_of(whole.data + from, at - from));
    }
    uint8_t signature[SIGNATURE_SIZE];
    sign_bytes(head ? TAG_SIG_HEAD : TAG_SIG_LAB, buf_bytes(&payload),
               head ? golden->a.signing_secret : golden->a.root_secret, signature);
    pack_array(&bytes, 2);
    pack_bin(&bytes, buf_bytes(&payload));
    pack_bin(&bytes, BYTES_OF_ARRAY(signature));
    signed_bad_out(golden, head, why, buf_bytes(&bytes));
}

#define RESIGNED(head, item, packed, why)                                                          \
    resigned_out(golden, head, item, packed, sizeof(packed) - 1, why)

static void fields_out(struct golden *golden)
{
    RESIGNED(false, 0,
             "\xa4"
             "head",
             "another word first");
    RESIGNED(false, 1, "\x02", "version 2");
    RESIGNED(false, 2, "\xc4\x01\x00", "a lab of one byte");
    RESIGNED(false, 3, "\x00", "generation 0");
    RESIGNED(false, 4, "\xa0", "no name");
    RESIGNED(false, 4,
             "\xa3"
             "a\nb",
             "a name of two lines");
    RESIGNED(false, 4,
             "\xd9\x41"
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
             "a name of 65 bytes");
    RESIGNED(false, 5, "\xc0", "no signing key");
    RESIGNED(false, 7, "\xff", "issued before 1970");
    RESIGNED(false, 8, "\xc0", "nil for last_good");
    RESIGNED(false, 8, "\x91\x90", "an empty last_good");
    RESIGNED(false, 8, "\xcc\x05", "not canonical");
    RESIGNED(true, 0,
             "\xa3"
             "lab",
             "another word first");
    RESIGNED(true, 1, "\x02", "version 2");
    RESIGNED(true, 2,
             "\xc4\x10"
             "0123456789abcdef",
             "a network of 16 bytes");
    RESIGNED(true, 4, "\x00", "generation 0");
    RESIGNED(true, 5, "\xa0", "no audience");
    RESIGNED(true, 5,
             "\xa6"
             "Public",
             "an audience in capitals");
    RESIGNED(true, 6, "\x00", "head 0");
    RESIGNED(true, 7, "\xff", "a count below zero");
    RESIGNED(true, 12,
             "\xc4\x0f"
             "0123456789abcde",
             "an instance of 15 bytes");
}

static void altered_out(struct golden *golden)
{
    for (unsigned head = 0; head < 2; head++) {
        const struct buf *object = head == 1 ? &golden->chain[1] : &golden->a.record;
        static const struct {
            const char *why;
            size_t from_end;
        } places[] = {{"the signature altered", 1}, {"R altered", 64}, {"the payload altered", 70}};
        for (unsigned i = 0; i < 3; i++) {
            defer(buf_done) struct buf bytes = {0};
            buf_put(&bytes, buf_bytes(object));
            bytes.data[bytes.size - places[i].from_end] ^= 1;
            signed_bad_out(golden, head == 1, places[i].why, buf_bytes(&bytes));
        }
        defer(buf_done) struct buf longer = {0}, malleable = {0};
        buf_put(&longer, buf_bytes(object));
        buf_put_u8(&longer, 0);
        signed_bad_out(golden, head == 1, "something follows", buf_bytes(&longer));
        static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a,       0x63,
                                          0x12, 0x58, 0xd6, 0x9c, 0xf7,       0xa2,
                                          0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
        buf_put(&malleable, buf_bytes(object));
        unsigned carry = 0;
        for (size_t i = 0; i < 32; i++) {
            uint8_t *at = &malleable.data[malleable.size - 32 + i];
            carry += (unsigned) *at + order[i];
            *at = (uint8_t) carry;
            carry >>= 8;
        }
        signed_bad_out(golden, head == 1, "S plus the order of the group", buf_bytes(&malleable));
    }
    signed_bad_out(golden, true, "a lab record", buf_bytes(&golden->a.record));
    signed_bad_out(golden, false, "a head", buf_bytes(&golden->chain[1]));
}

/* ---- openings ---- */

static void opening_out(struct golden *golden, const char *why, unsigned held, unsigned offered,
                        const unsigned *numbers, size_t count)
{
    struct hash history = {0};
    bool linked = true;
    if (held > 0) {
        history = golden->heads[held - 1].history;
        linked = count > 0 && numbers[0] == held;
    }
    for (size_t i = 0; i < count; i++) {
        history = history_next(&history, &golden->heads[numbers[i] - 1].hash);
    }
    linked = linked && memcmp(history.bytes, golden->heads[offered - 1].history.bytes,
                              sizeof history.bytes) == 0;
    must(!linked);
    out_open(&golden->out, NULL, '{');
    out_text(&golden->out, "what", "opening");
    out_text(&golden->out, "why", why);
    out_uint(&golden->out, "held", held);
    out_uint(&golden->out, "offered", offered);
    out_open(&golden->out, "opening", '[');
    for (size_t i = 0; i < count; i++) {
        out_hex(&golden->out, NULL, BYTES_OF_ARRAY(golden->heads[numbers[i] - 1].hash.bytes));
    }
    out_close(&golden->out, ']');
    out_close(&golden->out, '}');
}

static void openings_out(struct golden *golden)
{
    static const unsigned rising[] = {1, 2, 3, 4, 5, 6};
    static const unsigned swapped[] = {2, 4, 3, 5};
    opening_out(golden, "nothing", 2, 6, rising, 0);
    opening_out(golden, "one short at the end", 2, 6, rising + 1, 3);
    opening_out(golden, "one short at the front", 2, 6, rising + 2, 3);
    opening_out(golden, "one too many", 2, 5, rising + 1, 4);
    opening_out(golden, "one too early", 2, 6, rising, 5);
    opening_out(golden, "out of order", 2, 6, swapped, 4);
    opening_out(golden, "for a newcomer, one short", 0, 6, rising + 1, 4);
}

void golden_bad(struct golden *golden)
{
    out_open(&golden->out, "bad", '[');
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        bad_out(golden, &bads[i]);
    }
    dids_out(golden);
    fields_out(golden);
    altered_out(golden);
    openings_out(golden);
    golden_bad_forks(golden);
    golden_bad_receipts(golden);
    out_close(&golden->out, ']');
}
