/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/golden/objects.c: keys, hashes, entries, roots, lab records, heads, histories, openings. */
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/did.h"
#include "proto/entry.h"
#include "proto/pack.h"
#include "proto/root.h"
#include "tests/golden/golden.h"

#define MANY 1000

static void lab_make(struct golden_lab *lab, uint8_t first, const char *name)
{
    uint8_t seed[SIGN_SEED_SIZE];
    memset(seed, first, sizeof seed);
    sign_keypair(seed, lab->root_public, lab->root_secret);
    memset(seed, first + 1, sizeof seed);
    sign_keypair(seed, lab->signing_public, lab->signing_secret);
    memset(lab->link_secret, first + 2, sizeof lab->link_secret);
    enum err err = link_public(lab->link_secret, lab->link_public);
    must(err == ERR_OK);
    struct lab_record record = {
        .generation = 1, .name = bytes_of_str(name), .issued_at = 1735689600};
    memcpy(record.lab.bytes, lab->root_public, KEY_SIZE);
    memcpy(record.signing_pk, lab->signing_public, KEY_SIZE);
    memcpy(record.link_pk, lab->link_public, KEY_SIZE);
    err = lab_record_sign(&record, lab->root_secret, &lab->record);
    must(err == ERR_OK);
}

static void keys_out(struct golden *golden, const char *key, const struct golden_lab *lab)
{
    struct lab_id lab_id;
    char did[DID_SIZE_MAX];
    memcpy(lab_id.bytes, lab->root_public, KEY_SIZE);
    did_encode(&lab_id, did);
    out_open(&golden->out, key, '{');
    out_hex(&golden->out, "root_seed", bytes_of(lab->root_secret, SIGN_SEED_SIZE));
    out_hex(&golden->out, "lab", BYTES_OF_ARRAY(lab->root_public));
    out_text(&golden->out, "did", did);
    out_hex(&golden->out, "signing_seed", bytes_of(lab->signing_secret, SIGN_SEED_SIZE));
    out_hex(&golden->out, "signing_pk", BYTES_OF_ARRAY(lab->signing_public));
    out_hex(&golden->out, "link_secret", BYTES_OF_ARRAY(lab->link_secret));
    out_hex(&golden->out, "link_pk", BYTES_OF_ARRAY(lab->link_public));
    out_close(&golden->out, '}');
}

/* ---- entries ---- */

static void body_full(struct buf *body)
{
    pack_map(body, 8);
    pack_cstr(body, "binary");
    pack_bin(body, bytes_of("\x00\xff\x80", 3));
    pack_cstr(body, "nested");
    pack_array(body, 3);
    pack_array(body, 0);
    pack_map(body, 0);
    pack_map(body, 1);
    pack_cstr(body, "");
    pack_nil(body);
    pack_cstr(body, "numbers");
    static const int64_t numbers[] = {
        0,   127,  128,  255,    256,    65535,     65536,           -1,        -32,
        -33, -128, -129, -32768, -32769, INT32_MIN, INT32_MIN - 1ll, INT64_MIN, INT64_MAX};
    pack_array(body, sizeof numbers / sizeof numbers[0] + 2);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        pack_int(body, numbers[i]);
    }
    pack_uint(body, 1ull << 32);
    pack_uint(body, UINT64_MAX);
    pack_cstr(body, "summary");
    pack_cstr(body,
              "Gérer et valoriser les sentiers : « à pied », 🐝.\n\tTrois parcs, \"ensemble\" \\.");
    pack_cstr(body, "title");
    pack_map(body, 2);
    pack_cstr(body, "en");
    pack_cstr(body, "Geotrek");
    pack_cstr(body, "fr");
    pack_cstr(body, "Geotrek");
    pack_cstr(body, "titles");
    pack_bool(body, true);
    pack_cstr(body, "yes");
    pack_bool(body, false);
    pack_cstr(body, "\xc3\xa9");
    pack_cstr(body, "a key above all of ASCII");
}

static void body_short(struct buf *body, const char *title)
{
    pack_map(body, 2);
    pack_cstr(body, "summary");
    pack_cstr(body, "Un besoin commun.");
    pack_cstr(body, "title");
    pack_cstr(body, title);
}

static void entry_make(struct buf *into, const char *slug, const char *kind, uint64_t rev,
                       const struct buf *body)
{
    must(body->err == ERR_OK);
    struct entry entry = {.slug = bytes_of_str(slug),
                          .kind = bytes_of_str(kind),
                          .rev = rev,
                          .body = buf_bytes(body)};
    enum err err = entry_encode(&entry, into);
    must(err == ERR_OK);
}

static void entries_out(struct golden *golden)
{
    struct buf bodies[GOLDEN_ENTRIES] = {{0}};
    body_full(&bodies[0]);
    body_short(&bodies[1], "Site en blanc");
    pack_map(&bodies[2], 0);
    entry_make(&golden->entries[0], "geotrek", "innovation", 1, &bodies[0]);
    entry_make(&golden->entries[1],
               "0-site-en-blanc-de-64-octets-0123456789-0123456789-0123456789-01", "need", 300,
               &bodies[1]);
    entry_make(&golden->entries[2], "a", "x", UINT64_MAX, &bodies[2]);
    out_open(&golden->out, "entries", '[');
    for (unsigned i = 0; i < GOLDEN_ENTRIES; i++) {
        struct bytes bytes = buf_bytes(&golden->entries[i]);
        struct entry entry;
        enum err err = entry_decode(bytes, &entry);
        must(err == ERR_OK);
        struct slug_hash slug_hash = hash_slug(entry.slug);
        struct hash leaf = entry_leaf(bytes);
        out_open(&golden->out, NULL, '{');
        out_hex(&golden->out, "bytes", bytes);
        out_value(&golden->out, "value", bytes);
        out_hex(&golden->out, "slug_hash", BYTES_OF_ARRAY(slug_hash.bytes));
        out_hex(&golden->out, "leaf", BYTES_OF_ARRAY(leaf.bytes));
        struct hint hint = hash_hint(&slug_hash, &leaf);
        out_hex(&golden->out, "hint", BYTES_OF_ARRAY(hint.bytes));
        out_close(&golden->out, '}');
        buf_done(&bodies[i]);
    }
    out_close(&golden->out, ']');
}

/* ---- roots ---- */

struct pair {
    uint8_t bytes[PAIR_SIZE];
};

static int pair_compare(const void *a, const void *b)
{
    return memcmp(a, b, SLUG_HASH_SIZE);
}

static void digests_of(const struct buf *entries, size_t count, struct digests *ret_digests)
{
    struct pair *pairs = calloc(count + 1, sizeof *pairs);
    must(pairs != NULL);
    for (size_t i = 0; i < count; i++) {
        struct entry entry;
        enum err err = entry_decode(buf_bytes(&entries[i]), &entry);
        must(err == ERR_OK);
        struct slug_hash slug_hash = hash_slug(entry.slug);
        struct hash leaf = entry_leaf(buf_bytes(&entries[i]));
        memcpy(pairs[i].bytes, slug_hash.bytes, SLUG_HASH_SIZE);
        memcpy(pairs[i].bytes + SLUG_HASH_SIZE, leaf.bytes, HASH_SIZE);
    }
    qsort(pairs, count, sizeof *pairs, pair_compare);
    digests_init(ret_digests);
    for (size_t from = 0, to = 0; from < count; from = to) {
        while (to < count && pairs[to].bytes[0] == pairs[from].bytes[0]) {
            to++;
        }
        ret_digests->buckets[pairs[from].bytes[0]] =
            bucket_digest(bytes_of(pairs + from, (to - from) * sizeof *pairs));
    }
    free(pairs);
}

struct hash golden_root(const struct buf *entries, size_t count)
{
    struct digests digests;
    digests_of(entries, count, &digests);
    return digests_root(&digests);
}

static void root_out(struct golden *golden, const struct buf *entries, size_t count)
{
    defer(buf_done) struct buf stream = {0};
    struct digests digests;
    digests_of(entries, count, &digests);
    struct hash root = digests_root(&digests);
    for (size_t i = 0; i < count; i++) {
        buf_put(&stream, buf_bytes(&entries[i]));
    }
    struct hash all = hash_of(TAG_BUCKET, bytes_of(digests.buckets, sizeof digests.buckets));
    out_open(&golden->out, NULL, '{');
    out_uint(&golden->out, "count", count);
    out_hex(&golden->out, "root", BYTES_OF_ARRAY(root.bytes));
    out_hex(&golden->out, "first_digest", BYTES_OF_ARRAY(digests.buckets[0].bytes));
    out_hex(&golden->out, "digests_hashed_as_a_bucket", BYTES_OF_ARRAY(all.bytes));
    out_hex(&golden->out, "entries", buf_bytes(&stream));
    out_close(&golden->out, '}');
}

static void roots_out(struct golden *golden)
{
    struct buf *many = calloc(MANY, sizeof *many);
    must(many != NULL);
    for (unsigned i = 0; i < MANY; i++) {
        defer(buf_done) struct buf body = {0}, slug = {0};
        buf_printf(&slug, "fiche-%u", i);
        buf_put_u8(&slug, 0);
        pack_map(&body, 1);
        pack_cstr(&body, "title");
        pack_cstr(&body, (const char *) slug.data);
        entry_make(&many[i], (const char *) slug.data, "need", i + 1, &body);
    }
    out_open(&golden->out, "roots", '[');
    root_out(golden, many, 0);
    root_out(golden, golden->entries, 1);
    root_out(golden, golden->entries, 3);
    root_out(golden, many, MANY);
    out_close(&golden->out, ']');
    for (unsigned i = 0; i < MANY; i++) {
        buf_done(&many[i]);
    }
    free(many);
}

/* ---- hashes, records, heads ---- */

static void hashes_out(struct golden *golden)
{
    out_open(&golden->out, "hashes", '[');
    for (unsigned i = 0; i < TAG_COUNT; i++) {
        struct hash hash = hash_of((enum hash_tag) i, bytes_of_str("essaimage"));
        out_open(&golden->out, NULL, '{');
        char tag[17] = {0}; /* a tag of 16 letters has no room for a zero */
        memcpy(tag, hash_tag_bytes((enum hash_tag) i), 16);
        out_text(&golden->out, "tag", tag);
        out_text(&golden->out, "text", "essaimage");
        out_hex(&golden->out, "hash", BYTES_OF_ARRAY(hash.bytes));
        out_close(&golden->out, '}');
    }
    out_close(&golden->out, ']');
}

static void signed_out(struct golden *golden, const uint8_t public_key[KEY_SIZE],
                       const struct buf *object)
{
    struct bytes bytes = buf_bytes(object);
    struct bytes payload = bytes_of(bytes.data + 3, bytes.data[2]);
    if (bytes.data[1] == 0xc5) { /* bin 16 */
        payload = bytes_of(bytes.data + 4, be16_get(bytes.data + 2));
    }
    out_hex(&golden->out, "key", bytes_of(public_key, KEY_SIZE));
    out_hex(&golden->out, "bytes", bytes);
    out_value(&golden->out, "value", payload);
}

static void records_out(struct golden *golden)
{
    defer(buf_done) struct buf second = {0};
    struct lab_record record;
    enum err err = lab_record_open(buf_bytes(&golden->a.record), &record);
    must(err == ERR_OK);
    record.generation = 2; /* server stolen: new keys, the last head that stands */
    memcpy(record.signing_pk, golden->b.signing_public, KEY_SIZE);
    memcpy(record.link_pk, golden->b.link_public, KEY_SIZE);
    record.issued_at++;
    record.last_good_count = 1;
    record.last_good[0] = (struct last_good){.audience = bytes_of_str("public"),
                                             .n = golden->heads[4].n,
                                             .head_hash = golden->heads[4].hash};
    err = lab_record_sign(&record, golden->a.root_secret, &second);
    must(err == ERR_OK);
    err = lab_record_open(buf_bytes(&second), &record);
    must(err == ERR_OK);
    const struct buf *records[] = {&golden->a.record, &golden->b.record, &second};
    out_open(&golden->out, "records", '[');
    for (unsigned i = 0; i < 3; i++) {
        out_open(&golden->out, NULL, '{');
        signed_out(golden, i == 1 ? golden->b.root_public : golden->a.root_public, records[i]);
        out_close(&golden->out, '}');
    }
    out_close(&golden->out, ']');
}

/* What lab A published, version by version: slug, and the number of the head that introduced it. */
static const struct {
    const char *slug;
    uint64_t rev;
} versions[] = {{"geotrek", 1}, {"noa", 2}, {"vitam", 3}, {"vitam", 5}, {"noa", 6}};
#define VERSIONS (sizeof versions / sizeof versions[0])

/* Which versions are live under which head: one, two, three, vitam withdrawn, vitam again, noa
 * altered. */
static const bool live[GOLDEN_CHAIN][VERSIONS] = {{1},    {1, 1},       {1, 1, 1},
                                                  {1, 1}, {1, 1, 0, 1}, {1, 0, 0, 1, 1}};

static void head_make(struct golden *golden, unsigned i, const struct hash *history,
                      const struct buf *published)
{
    struct buf entries[VERSIONS] = {{0}}; /* borrowed from `published` */
    struct head *head = &golden->heads[i];
    *head = (struct head){.generation = 1,
                          .audience = "public",
                          .n = i + 1,
                          .history = *history,
                          .issued_at = 1735689600 + i};
    memcpy(head->lab.bytes, golden->a.root_public, KEY_SIZE);
    memset(head->instance, 0x77, INSTANCE_SIZE);
    for (unsigned k = 0; k < VERSIONS; k++) {
        if (live[i][k]) {
            entries[head->count++] = published[k];
            head->bytes += published[k].size;
            buf_put(&golden->catalogues[i], buf_bytes(&published[k]));
        }
    }
    head->root = golden_root(entries, head->count);
    enum err err = head_sign(head, golden->a.signing_secret, &golden->chain[i]);
    must(err == ERR_OK);
    struct head opened;
    err = head_open(buf_bytes(&golden->chain[i]), golden->a.signing_public, &opened);
    must(err == ERR_OK);
}

static void chain_make(struct golden *golden)
{
    struct buf published[VERSIONS] = {{0}};
    for (unsigned i = 0; i < VERSIONS; i++) {
        defer(buf_done) struct buf body = {0};
        body_short(&body, versions[i].slug);
        entry_make(&published[i], versions[i].slug, "innovation", versions[i].rev, &body);
    }
    struct hash history = {0};
    for (unsigned i = 0; i < GOLDEN_CHAIN; i++) {
        head_make(golden, i, &history, published);
        history = history_next(&history, &golden->heads[i].hash);
    }
    for (unsigned i = 0; i < VERSIONS; i++) {
        buf_done(&published[i]);
    }
}

static void heads_out(struct golden *golden)
{
    out_open(&golden->out, "heads", '[');
    for (unsigned i = 0; i < GOLDEN_CHAIN; i++) {
        out_open(&golden->out, NULL, '{');
        signed_out(golden, golden->a.signing_public, &golden->chain[i]);
        out_hex(&golden->out, "head_hash", BYTES_OF_ARRAY(golden->heads[i].hash.bytes));
        out_hex(&golden->out, "entries", buf_bytes(&golden->catalogues[i]));
        out_close(&golden->out, '}');
    }
    out_close(&golden->out, ']');
}

/* From each held head (0: none) to each later one. */
static void openings_out(struct golden *golden)
{
    out_open(&golden->out, "openings", '[');
    for (unsigned held = 0; held < GOLDEN_CHAIN; held++) {
        for (unsigned offered = held + 1; offered <= GOLDEN_CHAIN; offered++) {
            out_open(&golden->out, NULL, '{');
            out_uint(&golden->out, "held", held);
            out_uint(&golden->out, "offered", offered);
            out_open(&golden->out, "opening", '[');
            for (unsigned n = held == 0 ? 1 : held; n < offered; n++) {
                out_hex(&golden->out, NULL, BYTES_OF_ARRAY(golden->heads[n - 1].hash.bytes));
            }
            out_close(&golden->out, ']');
            out_close(&golden->out, '}');
        }
    }
    out_close(&golden->out, ']');
}

void golden_objects(struct golden *golden)
{
    lab_make(&golden->a, 0x01, "Ti Lab");
    lab_make(&golden->b, 0x11, "Région Sud — laboratoire d’innovation");
    out_open(&golden->out, "labs", '{');
    keys_out(golden, "a", &golden->a);
    keys_out(golden, "b", &golden->b);
    out_close(&golden->out, '}');
    hashes_out(golden);
    entries_out(golden);
    roots_out(golden);
    chain_make(golden);
    records_out(golden);
    heads_out(golden);
    openings_out(golden);
}
