/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/receipt.c: a receipt is read back; each field out of its bounds, rows out of order, each
 * altered bit and each other shape is refused. */
#include "proto/receipt.h"

#include "base/defer.h"
#include "proto/pack.h"
#include "proto/signed.h"
#include "tests/unit/kit.h"

static uint8_t public_key[KEY_SIZE], secret[SIGN_SECRET_SIZE];

static int keys_make(void **state)
{
    (void) state;
    uint8_t seed[SIGN_SEED_SIZE] = {9, 8, 7};
    sign_keypair(seed, public_key, secret);
    return 0;
}

/* `count` rows of labs 0, 1, …, the largest there are. */
static void rows_put(struct buf *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct receipt_row row = {
            .audience = bytes_of_str("public"), .generation = UINT64_MAX, .n = UINT64_MAX};
        be32_put(row.lab.bytes, (uint32_t) i);
        receipt_put_row(rows, &row);
    }
}

static struct receipt receipt_made(const struct buf *rows, size_t count)
{
    struct receipt receipt = {.generation = 3,
                              .number = 300,
                              .issued_at = 1735690000,
                              .rows = buf_bytes(rows),
                              .row_count = count};
    memset(receipt.lab.bytes, 2, KEY_SIZE);
    memset(receipt.network.bytes, 1, HASH_SIZE);
    return receipt;
}

static void a_receipt_is_read_back(void **state)
{
    (void) state;
    static const size_t counts[] = {0, 1, 15, 16, RECEIPT_ROWS_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        defer(buf_done) struct buf rows = {0};
        defer(buf_done) struct buf bytes = {0};
        rows_put(&rows, counts[i]);
        struct receipt receipt = receipt_made(&rows, counts[i]), opened, peeked;
        receipt.issued_at = i == 4 ? UINT64_MAX : receipt.issued_at;
        receipt.number = i == 4 ? UINT64_MAX : receipt.number;
        assert_err(receipt_sign(&receipt, secret, &bytes), ERR_OK);
        struct bytes copy = kit_copy(buf_bytes(&bytes));
        assert_err(receipt_open(copy, public_key, &opened), ERR_OK);
        assert_err(receipt_peek(copy, &peeked), ERR_OK);
        assert_int_equal(receipt_compare(&opened, &peeked), 0);
        assert_memory_equal(opened.lab.bytes, receipt.lab.bytes, KEY_SIZE);
        assert_memory_equal(opened.network.bytes, receipt.network.bytes, HASH_SIZE);
        assert_true(opened.number == receipt.number && opened.generation == 3);
        assert_true(opened.issued_at == receipt.issued_at);
        assert_int_equal(opened.row_count, counts[i]);
        assert_true(bytes_equal(opened.rows, buf_bytes(&rows)));
        struct receipt_row row;
        size_t at = 0, count = 0;
        while (receipt_next(&opened, &at, &row)) {
            assert_int_equal(be32_get(row.lab.bytes), count);
            count++;
        }
        assert_int_equal(count, counts[i]);
        kit_free(copy);
    }
}

static void a_row_is_found_by_its_catalogue(void **state)
{
    (void) state;
    defer(buf_done) struct buf rows = {0};
    struct receipt_row row;
    struct lab_id lab = {{0}};
    rows_put(&rows, 20);
    struct receipt receipt = receipt_made(&rows, 20);
    for (uint32_t i = 0; i < 22; i++) {
        be32_put(lab.bytes, i);
        assert_int_equal(receipt_find(&receipt, &lab, bytes_of_str("public"), &row), i < 20);
        assert_false(receipt_find(&receipt, &lab, bytes_of_str("publi"), &row));
        assert_false(receipt_find(&receipt, &lab, bytes_of_str("public0"), &row));
    }
}

static void later_ones_compare_greater(void **state)
{
    (void) state;
    const struct receipt order[] = {{.generation = 1, .number = UINT64_MAX},
                                    {.generation = 2, .number = 1},
                                    {.generation = 2, .number = 2}};
    for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 3; b++) {
            assert_int_equal(receipt_compare(&order[a], &order[b]), (a > b) - (a < b));
        }
    }
}

static void each_field_out_of_its_bounds_is_not_signed(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    struct buf none = {0};
    struct receipt receipt = receipt_made(&none, 0);
    receipt.generation = 0;
    assert_err(receipt_sign(&receipt, secret, &bytes), ERR_INVALID);
    receipt = receipt_made(&none, 0);
    receipt.number = 0;
    assert_err(receipt_sign(&receipt, secret, &bytes), ERR_INVALID);
    receipt = receipt_made(&none, 1); /* a row that is not there */
    assert_err(receipt_sign(&receipt, secret, &bytes), ERR_INVALID);
    defer(buf_done) struct buf many = {0};
    rows_put(&many, RECEIPT_ROWS_MAX + 1);
    receipt = receipt_made(&many, RECEIPT_ROWS_MAX + 1);
    assert_err(receipt_sign(&receipt, secret, &bytes), ERR_INVALID);
    assert_int_equal(bytes.size, 0);
}

static enum err two_rows(const struct receipt_row *one, const struct receipt_row *other)
{
    defer(buf_done) struct buf rows = {0};
    defer(buf_done) struct buf bytes = {0};
    receipt_put_row(&rows, one);
    receipt_put_row(&rows, other);
    struct receipt receipt = receipt_made(&rows, 2);
    return receipt_sign(&receipt, secret, &bytes);
}

static void rows_must_ascend_and_be_in_their_bounds(void **state)
{
    (void) state;
    struct receipt_row a = {.audience = bytes_of_str("public"), .generation = 1, .n = 1};
    struct receipt_row b = a;
    assert_err(two_rows(&a, &b), ERR_INVALID); /* twice */
    b.n = 2;
    assert_err(two_rows(&a, &b), ERR_INVALID);
    b.audience = bytes_of_str("public0");
    assert_err(two_rows(&a, &b), ERR_OK);
    assert_err(two_rows(&b, &a), ERR_INVALID);
    b.lab.bytes[31] = 1;
    b.audience = bytes_of_str("a");
    assert_err(two_rows(&a, &b), ERR_OK);
    assert_err(two_rows(&b, &a), ERR_INVALID);
    b.n = 0;
    assert_err(two_rows(&a, &b), ERR_INVALID);
    b.n = 1;
    b.generation = 0;
    assert_err(two_rows(&a, &b), ERR_INVALID);
    b.generation = 1;
    b.audience = bytes_of_str("");
    assert_err(two_rows(&a, &b), ERR_INVALID);
    b.audience = bytes_of_str("Public");
    assert_err(two_rows(&a, &b), ERR_INVALID);
}

/* The longest names: not all labs fit. */
static void over_the_limit_nothing_is_signed(void **state)
{
    (void) state;
    char audience[AUDIENCE_SIZE_MAX];
    memset(audience, 'a', sizeof audience);
    size_t size = 0;
    for (size_t count = 500; count < RECEIPT_ROWS_MAX; count++) {
        defer(buf_done) struct buf rows = {0};
        defer(buf_done) struct buf bytes = {0};
        for (size_t i = 0; i < count; i++) {
            struct receipt_row row = {
                .audience = BYTES_OF_ARRAY((uint8_t *) audience), .generation = 1, .n = UINT64_MAX};
            row.audience.size = sizeof audience;
            be32_put(row.lab.bytes, (uint32_t) i);
            receipt_put_row(&rows, &row);
        }
        struct receipt receipt = receipt_made(&rows, count), opened;
        enum err err = receipt_sign(&receipt, secret, &bytes);
        if (err != ERR_OK) {
            assert_err(err, ERR_SIZE);
            assert_true(size > RECEIPT_SIZE_MAX - 120);
            return;
        }
        assert_err(receipt_open(buf_bytes(&bytes), public_key, &opened), ERR_OK);
        size = bytes.size;
        assert_true(size <= RECEIPT_SIZE_MAX);
    }
    fail();
}

static void no_altered_bit_and_no_cut_passes(void **state)
{
    (void) state;
    defer(buf_done) struct buf rows = {0};
    defer(buf_done) struct buf bytes = {0};
    struct receipt opened;
    rows_put(&rows, 3);
    struct receipt receipt = receipt_made(&rows, 3);
    assert_err(receipt_sign(&receipt, secret, &bytes), ERR_OK);
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        struct bytes copy = kit_copy(buf_bytes(&bytes));
        ((uint8_t *) (uintptr_t) copy.data)[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_true(receipt_open(copy, public_key, &opened) != ERR_OK);
        kit_free(copy);
    }
    for (size_t size = 0; size < bytes.size; size++) {
        struct bytes copy = kit_copy(bytes_of(bytes.data, size));
        assert_err(receipt_open(copy, public_key, &opened), ERR_CANONICAL);
        kit_free(copy);
    }
    buf_put_u8(&bytes, 0xc0);
    assert_err(receipt_open(buf_bytes(&bytes), public_key, &opened), ERR_CANONICAL);
    defer(buf_done) struct buf large = {0};
    assert_non_null(buf_extend(&large, RECEIPT_SIZE_MAX + 1));
    assert_err(receipt_peek(buf_bytes(&large), &opened), ERR_SIZE);
}

static void signed_for_another_purpose_it_is_refused(void **state)
{
    (void) state;
    defer(buf_done) struct buf bytes = {0};
    defer(buf_done) struct buf other = {0};
    struct buf none = {0};
    struct receipt receipt = receipt_made(&none, 0), opened;
    struct signed_object object;
    assert_err(receipt_sign(&receipt, secret, &bytes), ERR_OK);
    assert_err(signed_split(buf_bytes(&bytes), RECEIPT_SIZE_MAX, &object), ERR_OK);
    signed_put(TAG_SIG_HEAD, object.payload, secret, &other);
    assert_err(receipt_peek(buf_bytes(&other), &opened), ERR_OK);
    assert_err(receipt_open(buf_bytes(&other), public_key, &opened), ERR_SIGNATURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_receipt_is_read_back),
        cmocka_unit_test(a_row_is_found_by_its_catalogue),
        cmocka_unit_test(later_ones_compare_greater),
        cmocka_unit_test(each_field_out_of_its_bounds_is_not_signed),
        cmocka_unit_test(rows_must_ascend_and_be_in_their_bounds),
        cmocka_unit_test(over_the_limit_nothing_is_signed),
        cmocka_unit_test(no_altered_bit_and_no_cut_passes),
        cmocka_unit_test(signed_for_another_purpose_it_is_refused),
    };
    return cmocka_run_group_tests_name("receipt", tests, keys_make, NULL);
}
