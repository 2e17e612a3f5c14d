/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/scan.c: what is canonical passes, everything else is refused for what it is, at every
 * boundary; and over random values and mutations of them strict implies that msgpack-c reads the
 * same bytes whole and writes them back identically.
 */
#include "tests/unit/kit.h"

#include <msgpack.h>

#include "base/defer.h"
#include "base/limits.h"
#include "proto/pack.h"
#include "proto/scan.h"

static const struct scan_limits wide = {.depth_max = 16, .nodes_max = 1 << 20};

/* Both modes over a copy of exact size. */
static enum err strict_of(struct bytes bytes, struct scan_limits limits)
{
    struct bytes copy = kit_copy(bytes);
    enum err err = scan_strict(copy, limits);
    kit_free(copy);
    return err;
}

static enum err lenient_of(struct bytes bytes, struct scan_limits limits, size_t *ret_size)
{
    struct bytes copy = kit_copy(bytes);
    enum err err = scan_lenient(copy, limits, ret_size);
    kit_free(copy);
    return err;
}

static void expect(const char *hex, enum err strict, enum err lenient)
{
    defer(buf_done) struct buf bytes = {0};
    size_t size = 0;
    kit_hex(&bytes, hex);
    enum err err = strict_of(buf_bytes(&bytes), wide);
    if (err != strict) {
        print_message("# strict %s: %s\n", hex, err_code(err));
    }
    assert_err(err, strict);
    err = lenient_of(buf_bytes(&bytes), wide, &size);
    if (err != lenient) {
        print_message("# lenient %s: %s\n", hex, err_code(err));
    }
    assert_err(err, lenient);
    if (err == ERR_OK) {
        assert_int_equal(size, bytes.size);
    }
}

static void every_canonical_form_passes(void **state)
{
    (void) state;
    static const char *const good[] = {
        "c0",
        "c2",
        "c3",
        "00",
        "7f",
        "cc80",
        "ccff",
        "cd0100",
        "cdffff",
        "ce00010000",
        "ceffffffff",
        "cf0000000100000000",
        "cfffffffffffffffff",
        "ff",
        "e0",
        "d0df",
        "d080",
        "d1ff7f",
        "d18000",
        "d2ffff7fff",
        "d280000000",
        "d3ffffffff7fffffff",
        "d38000000000000000",
        "a0",
        "a161",
        "a3090a0d",
        "a2c3a9",
        "c400",
        "c401ff",
        "90",
        "80",
        "9101",
        "93010203",
        "81a16101",
        "82a161c0a162c0",
        "82a0c0a161c0",
        "82a161c0a26161c0",
        "82a161c0a2c3a9c0",
        "9191919180",
        "bf61616161616161616161616161616161616161616161616161616161616161",
        "d9206161616161616161616161616161616161616161616161616161616161616161",
        "dc001000000000000000000000000000000000",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        expect(good[i], ERR_OK, ERR_OK);
    }
}

static void a_longer_form_than_needed_is_not_canonical(void **state)
{
    (void) state;
    static const char *const longer[] = {
        "cc00",
        "cc7f",
        "cd0000",
        "cd00ff",
        "ce00000000",
        "ce0000ffff",
        "cf0000000000000000",
        "cf00000000ffffffff",
        "d0ff",
        "d0e0",
        "d1ffff",
        "d1ff80",
        "d2ffffffff",
        "d2ffff8000",
        "d3ffffffffffffffff",
        "d3ffffffff80000000",
        "d000",
        "d07f",
        "d10000",
        "d17fff",
        "d200000000",
        "d27fffffff",
        "d30000000000000000",
        "d37fffffffffffffff",
        "d900",
        "d90161",
        "da000161",
        "db0000000161",
        "c50000",
        "c5000100",
        "c600000000",
        "c60000000100",
        "dc0000",
        "dc000101",
        "dd00000000",
        "dd0000000101",
        "de0000",
        "de0001a161c0",
        "df00000000",
        "df00000001a161c0",
        "d91f61616161616161616161616161616161616161616161616161616161616161",
    };
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++) {
        expect(longer[i], ERR_CANONICAL, ERR_OK);
    }
}

static void a_length_one_below_its_form_is_not_canonical(void **state)
{
    (void) state;
    static const struct {
        uint8_t lead;
        size_t number_size;
        uint32_t least;
    } forms[] = {{0xd9, 1, 32},    {0xda, 2, 256}, {0xdb, 4, 65536}, {0xc5, 2, 256},
                 {0xc6, 4, 65536}, {0xdc, 2, 16},  {0xdd, 4, 65536}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        for (unsigned below = 0; below < 2; below++) {
            defer(buf_done) struct buf bytes = {0};
            uint32_t count = forms[i].least - below;
            buf_put_u8(&bytes, forms[i].lead);
            for (size_t k = forms[i].number_size; k > 0; k--) {
                buf_put_u8(&bytes, (uint8_t) (count >> (8 * (k - 1))));
            }
            memset(buf_extend(&bytes, count), forms[i].lead >= 0xdc ? 0x05 : 'a', count);
            size_t size = 0;
            assert_err(strict_of(buf_bytes(&bytes), wide), below ? ERR_CANONICAL : ERR_OK);
            assert_err(lenient_of(buf_bytes(&bytes), wide, &size), ERR_OK);
            assert_int_equal(size, bytes.size);
        }
    }
}

/* A map of `count` keys of two bytes each, with a head of the given form. */
static void map_put(struct buf *into, uint8_t lead, size_t count)
{
    buf_put_u8(into, lead);
    if (lead == 0xdf) {
        be16_put(buf_extend(into, 2), (uint16_t) (count >> 16));
    }
    be16_put(buf_extend(into, 2), (uint16_t) count);
    for (size_t i = 0; i < count; i++) {
        uint8_t entry[5] = {0xa3, (uint8_t) ('a' + i / 1024), (uint8_t) ('0' + i / 32 % 32),
                            (uint8_t) ('0' + i % 32), 0xc0};
        buf_put(into, BYTES_OF_ARRAY(entry));
    }
}

static void large_maps_have_their_least_counts_too(void **state)
{
    (void) state;
    static const struct {
        uint8_t lead;
        size_t count;
        enum err strict;
    } cases[] = {{0xde, 15, ERR_CANONICAL}, {0xde, 16, ERR_OK}, {0xdf, 20000, ERR_CANONICAL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        map_put(&bytes, cases[i].lead, cases[i].count);
        assert_err(strict_of(buf_bytes(&bytes), wide), cases[i].strict);
    }
}

static void floats_and_ext_are_refused(void **state)
{
    (void) state;
    expect("ca00000000", ERR_CANONICAL, ERR_OK);
    expect("cb0000000000000000", ERR_CANONICAL, ERR_OK);
    expect("92ca0000000001", ERR_CANONICAL, ERR_OK);
    static const char *const ext[] = {"c1",
                                      "c70000",
                                      "c8000000",
                                      "c90000000000",
                                      "d40000",
                                      "d5000000",
                                      "d60000000000",
                                      "d7000000000000000000",
                                      "d800000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof ext / sizeof ext[0]; i++) {
        expect(ext[i], ERR_CANONICAL, ERR_MALFORMED);
    }
}

static void text_is_utf8_without_controls(void **state)
{
    (void) state;
    static const char *const bad[] = {"a100",
                                      "a101",
                                      "a10b",
                                      "a11b",
                                      "a11f",
                                      "a180",
                                      "a1c3",
                                      "a2c0af",
                                      "a3eda080",
                                      "a4f4908080",
                                      "a1ff",
                                      "a26100",
                                      "b0616161616161616161616161616161c3",
                                      "b361616161616161616161616161616161616100"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect(bad[i], ERR_CANONICAL, ERR_OK);
    }
    expect("c401c3", ERR_OK, ERR_OK);
    expect("a17f", ERR_OK, ERR_OK);
    expect("81a100c0", ERR_CANONICAL, ERR_OK);
}

static void map_keys_are_text_and_ascend(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "82a162c0a161c0", "82a161c0a161c0",   "82a26161c0a161c0", "8101c0",
        "81c0c0",         "81c40161c0",       "8190c0",           "8180c0",
        "82a0c0a0c0",     "82a2c3a9c0a161c0", "9182a162c0a161c0", "82a16181a162c0a161c0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect(bad[i], ERR_CANONICAL, ERR_OK);
    }
    /* the order is of one map, whatever stands in it */
    expect("82a16182a161c0a162c0a16281a161c0", ERR_OK, ERR_OK);
    /* a value that is text is no key */
    expect("82a161a17aa162a161", ERR_OK, ERR_OK);
}

static void nothing_may_follow_and_nothing_may_lack(void **state)
{
    (void) state;
    expect("", ERR_CANONICAL, ERR_MORE);
    defer(buf_done) struct buf value = {0};
    kit_hex(&value, "84a16193cd0100c403010203c0a162cf0000000100000000a16381a0d9206161616161616161"
                    "616161616161616161616161616161616161616161616161a164d2ffff7fff");
    assert_err(strict_of(buf_bytes(&value), wide), ERR_OK);
    size_t size = 0;
    for (size_t cut = 0; cut < value.size; cut++) {
        assert_err(strict_of(bytes_of(value.data, cut), wide), ERR_CANONICAL);
        assert_err(lenient_of(bytes_of(value.data, cut), wide, &size), ERR_MORE);
    }
    size_t whole = value.size;
    buf_put_u8(&value, 0xc0);
    assert_err(strict_of(buf_bytes(&value), wide), ERR_CANONICAL);
    assert_err(lenient_of(buf_bytes(&value), wide, &size), ERR_OK);
    assert_int_equal(size, whole);
}

static void lying_counts_are_refused_before_their_items(void **state)
{
    (void) state;
    expect("ddffffffff", ERR_CANONICAL, ERR_SIZE);
    expect("dfffffffff", ERR_CANONICAL, ERR_SIZE);
    expect("dbffffffff", ERR_CANONICAL, ERR_MORE);
    expect("c6ffffffff", ERR_CANONICAL, ERR_MORE);
    /* each container's items would fit alone, but not all together */
    expect("93930000930000", ERR_CANONICAL, ERR_MORE);
    expect("92ddffffffffddffffffff", ERR_CANONICAL, ERR_SIZE);
    defer(buf_done) struct buf nested = {0};
    for (unsigned i = 0; i < 16; i++) {
        kit_hex(&nested, "dfffffffff a0");
    }
    size_t size = 0;
    assert_err(strict_of(buf_bytes(&nested), wide), ERR_CANONICAL);
    assert_err(lenient_of(buf_bytes(&nested), (struct scan_limits){16, SIZE_MAX}, &size), ERR_MORE);
}

static void depth_is_counted_to_the_limit_and_no_further(void **state)
{
    (void) state;
    for (unsigned depth_max = 0; depth_max <= 16; depth_max++) {
        struct scan_limits limits = {.depth_max = depth_max, .nodes_max = 100};
        for (unsigned map = 0; map < 2; map++) {
            defer(buf_done) struct buf bytes = {0};
            for (unsigned i = 0; i < depth_max; i++) {
                kit_hex(&bytes, map ? "81a161" : "91");
            }
            size_t before = bytes.size, size = 0;
            buf_put_u8(&bytes, 0xc0);
            assert_err(strict_of(buf_bytes(&bytes), limits), ERR_OK);
            assert_err(lenient_of(buf_bytes(&bytes), limits, &size), ERR_OK);
            bytes.data[before] = map ? 0x80 : 0x90; /* empty, one level too deep */
            assert_err(strict_of(buf_bytes(&bytes), limits), ERR_SIZE);
            assert_err(lenient_of(buf_bytes(&bytes), limits, &size), ERR_SIZE);
        }
    }
    /* side by side is not deep */
    defer(buf_done) struct buf wide_value = {0};
    kit_hex(&wide_value, "93 91c0 81a16101 90");
    assert_err(strict_of(buf_bytes(&wide_value), (struct scan_limits){2, 100}), ERR_OK);
}

static void nodes_are_counted_to_the_limit_and_no_further(void **state)
{
    (void) state;
    static const struct {
        const char *hex;
        size_t nodes;
    } cases[] = {{"c0", 1}, {"90", 1}, {"93010203", 4}, {"81a16101", 3}, {"9281a16191c090", 6}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        kit_hex(&bytes, cases[i].hex);
        struct scan_limits limits = {.depth_max = 4, .nodes_max = cases[i].nodes};
        size_t size = 0;
        assert_err(strict_of(buf_bytes(&bytes), limits), ERR_OK);
        assert_err(lenient_of(buf_bytes(&bytes), limits, &size), ERR_OK);
        if (cases[i].nodes > 1) {
            limits.nodes_max--;
            assert_err(strict_of(buf_bytes(&bytes), limits), ERR_SIZE);
            assert_err(lenient_of(buf_bytes(&bytes), limits, &size), ERR_SIZE);
        }
    }
}

/* ---- random values ---- */

static void value_put(struct buf *into, uint64_t *seed)
{
    uint64_t dice = kit_random(seed);
    uint64_t number = kit_random(seed) >> (dice >> 8) % 64;
    size_t size = (dice >> 16) % 40;
    uint8_t text[40];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t) ('a' + (dice >> i) % 26);
    }
    switch (dice % 6) {
    case 0:
        pack_nil(into);
        break;
    case 1:
        pack_bool(into, number % 2 == 0);
        break;
    case 2:
        pack_uint(into, number);
        break;
    case 3:
        pack_int(into, -(int64_t) (number >> 1));
        break;
    case 4:
        pack_str(into, bytes_of(text, size));
        break;
    default:
        pack_bin(into, bytes_of(text, size));
        break;
    }
}

/* Two levels of containers over scalars; the keys of a map ascend by their last letter. */
static void tree_put(struct buf *into, uint64_t *seed)
{
    size_t outer = kit_random(seed) % 20;
    pack_array(into, outer);
    for (size_t i = 0; i < outer; i++) {
        size_t inner = kit_random(seed) % 18;
        bool map = kit_random(seed) % 2 == 0;
        if (map) {
            pack_map(into, inner);
        } else {
            pack_array(into, inner);
        }
        for (size_t k = 0; k < inner; k++) {
            if (map) {
                uint8_t key[3] = {'k', 'a', (uint8_t) ('a' + k)};
                pack_str(into, BYTES_OF_ARRAY(key));
            }
            value_put(into, seed);
        }
    }
}

/* msgpack-c reads the whole and packs it again to the same bytes. */
static bool packs_again(struct bytes bytes)
{
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t at = 0;
    bool same = false;
    if (msgpack_unpack_next(&unpacked, (const char *) bytes.data, bytes.size, &at) ==
            MSGPACK_UNPACK_SUCCESS &&
        at == bytes.size) {
        msgpack_sbuffer again;
        msgpack_sbuffer_init(&again);
        msgpack_packer packer;
        msgpack_packer_init(&packer, &again, msgpack_sbuffer_write);
        same = msgpack_pack_object(&packer, unpacked.data) == 0 &&
               bytes_equal(bytes_of(again.data, again.size), bytes);
        msgpack_sbuffer_destroy(&again);
    }
    msgpack_unpacked_destroy(&unpacked);
    return same;
}

static void what_is_strict_reads_and_packs_to_the_same_bytes(void **state)
{
    (void) state;
    uint64_t seed = 2;
    unsigned passed = 0;
    for (unsigned round = 0; round < 3000; round++) {
        defer(buf_done) struct buf tree = {0};
        tree_put(&tree, &seed);
        assert_err(strict_of(buf_bytes(&tree), wide), ERR_OK);
        assert_true(packs_again(buf_bytes(&tree)));
        for (unsigned k = 0; k < 20; k++) {
            size_t at = kit_random(&seed) % tree.size;
            uint8_t was = tree.data[at];
            tree.data[at] = (uint8_t) kit_random(&seed);
            size_t size = 0;
            if (strict_of(buf_bytes(&tree), wide) == ERR_OK) {
                passed++;
                assert_true(packs_again(buf_bytes(&tree)));
                assert_err(lenient_of(buf_bytes(&tree), wide, &size), ERR_OK);
                assert_int_equal(size, tree.size);
            }
            tree.data[at] = was;
        }
    }
    assert_true(passed > 1000); /* the oracle had something to say */
}

static void noise_never_passes_unread(void **state)
{
    (void) state;
    uint64_t seed = 3;
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t noise[24];
        size_t size = 1 + kit_random(&seed) % sizeof noise;
        for (size_t i = 0; i < size; i++) {
            uint64_t dice = kit_random(&seed);
            noise[i] = (uint8_t) (dice % 3 == 0 ? dice >> 8 : 0x80 | (dice >> 8 & 0x3f));
        }
        struct bytes bytes = bytes_of(noise, size);
        size_t value_size = 0, at = 0;
        bool strict = strict_of(bytes, wide) == ERR_OK;
        enum err lenient = lenient_of(bytes, wide, &value_size);
        if (strict) {
            assert_true(packs_again(bytes));
            assert_err(lenient, ERR_OK);
            assert_err(scan_skip(bytes, &at), ERR_OK);
            assert_int_equal(at, size);
        }
        if (lenient == ERR_OK) {
            assert_in_range(value_size, 1, size);
            assert_err(lenient_of(bytes_of(noise, value_size), wide, &at), ERR_OK);
            if (value_size > 1) {
                assert_err(lenient_of(bytes_of(noise, value_size - 1), wide, &at), ERR_MORE);
            }
        }
    }
}

/* ---- the stepper ---- */

static void next_reads_each_kind(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    kit_hex(&bytes, "c0 c2 c3 07 cfffffffffffffffff ff e0 d38000000000000000 a26162 c40101 92 81"
                    " 90 9f 80 8f a26162");
    static const struct {
        enum scan_kind kind;
        uint64_t value;
        int64_t negative;
        size_t size;
    } wanted[] = {
        {SCAN_NIL, 0, 0, 0},   {SCAN_BOOL, 0, 0, 0},          {SCAN_BOOL, 1, 0, 0},
        {SCAN_UINT, 7, 0, 0},  {SCAN_UINT, UINT64_MAX, 0, 0}, {SCAN_INT, 0, -1, 0},
        {SCAN_INT, 0, -32, 0}, {SCAN_INT, 0, INT64_MIN, 0},   {SCAN_STR, 0, 0, 2},
        {SCAN_BIN, 0, 0, 1},   {SCAN_ARRAY, 2, 0, 0},         {SCAN_MAP, 1, 0, 0},
        {SCAN_ARRAY, 0, 0, 0}, {SCAN_ARRAY, 15, 0, 0},        {SCAN_MAP, 0, 0, 0},
        {SCAN_MAP, 15, 0, 0},  {SCAN_STR, 0, 0, 2},
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct scan_item item;
        assert_err(scan_next(buf_bytes(&bytes), &at, &item), ERR_OK);
        assert_int_equal(item.kind, wanted[i].kind);
        assert_true(item.value == wanted[i].value);
        assert_true(item.negative == wanted[i].negative);
        assert_int_equal(item.bytes.size, wanted[i].size);
    }
    assert_int_equal(at, bytes.size);
    struct scan_item item = {.kind = SCAN_MAP, .value = 99};
    assert_err(scan_next(buf_bytes(&bytes), &at, &item), ERR_CANONICAL);
    assert_int_equal(item.value, 99);
    assert_int_equal(at, bytes.size);
    at = bytes.size + 1;
    assert_err(scan_next(buf_bytes(&bytes), &at, &item), ERR_CANONICAL);
    assert_err(scan_skip(buf_bytes(&bytes), &at), ERR_CANONICAL);
}

static void skip_moves_behind_whole_values(void **state)
{
    (void) state;
    uint64_t seed = 4;
    for (unsigned round = 0; round < 200; round++) {
        defer(buf_done) struct buf bytes = {0};
        tree_put(&bytes, &seed);
        size_t middle = bytes.size, at = 0;
        tree_put(&bytes, &seed);
        struct bytes copy = kit_copy(buf_bytes(&bytes));
        assert_err(scan_skip(copy, &at), ERR_OK);
        assert_int_equal(at, middle);
        assert_err(scan_skip(copy, &at), ERR_OK);
        assert_int_equal(at, bytes.size);
        kit_free(copy);
        for (size_t cut = 0; cut < middle; cut++) {
            struct bytes short_copy = kit_copy(bytes_of(bytes.data, cut));
            at = 0;
            assert_err(scan_skip(short_copy, &at), ERR_CANONICAL);
            assert_int_equal(at, 0);
            kit_free(short_copy);
        }
    }
}

static void the_stepper_refuses_what_it_cannot_name(void **state)
{
    (void) state;
    static const char *const bad[] = {"", "c1", "c70000", "ca00000000", "a2", "c402ff", "cd01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        defer(buf_done) struct buf bytes = {0};
        kit_hex(&bytes, bad[i]);
        size_t at = 0;
        struct scan_item item;
        assert_err(scan_next(buf_bytes(&bytes), &at, &item), ERR_CANONICAL);
        assert_int_equal(at, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_canonical_form_passes),
        cmocka_unit_test(a_longer_form_than_needed_is_not_canonical),
        cmocka_unit_test(a_length_one_below_its_form_is_not_canonical),
        cmocka_unit_test(large_maps_have_their_least_counts_too),
        cmocka_unit_test(floats_and_ext_are_refused),
        cmocka_unit_test(text_is_utf8_without_controls),
        cmocka_unit_test(map_keys_are_text_and_ascend),
        cmocka_unit_test(nothing_may_follow_and_nothing_may_lack),
        cmocka_unit_test(lying_counts_are_refused_before_their_items),
        cmocka_unit_test(depth_is_counted_to_the_limit_and_no_further),
        cmocka_unit_test(nodes_are_counted_to_the_limit_and_no_further),
        cmocka_unit_test(what_is_strict_reads_and_packs_to_the_same_bytes),
        cmocka_unit_test(noise_never_passes_unread),
        cmocka_unit_test(next_reads_each_kind),
        cmocka_unit_test(skip_moves_behind_whole_values),
        cmocka_unit_test(the_stepper_refuses_what_it_cannot_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
