/* SPDX-License-Identifier: EUPL-1.2 */
/* Change lists, plans and applies, against a plain model in memory. */
#include "store_help.h"

#define MODEL_COUNT 400

struct model {
    bool live[MODEL_COUNT];
    uint64_t rev[MODEL_COUNT];
    uint32_t size[MODEL_COUNT];
    struct hash leaf[MODEL_COUNT];
};

static int pair_order(const void *a, const void *b)
{
    return memcmp(a, b, SLUG_HASH_SIZE);
}

/* The root from scratch: all pairs sorted, one bucket after the other. */
static struct hash model_root(const struct model *model)
{
    static uint8_t pairs[MODEL_COUNT][PAIR_SIZE];
    size_t count = 0;
    for (unsigned i = 0; i < MODEL_COUNT; i++) {
        if (model->live[i]) {
            struct slug_hash slug = help_slug(i);
            memcpy(pairs[count], slug.bytes, SLUG_HASH_SIZE);
            memcpy(pairs[count++] + SLUG_HASH_SIZE, model->leaf[i].bytes, HASH_SIZE);
        }
    }
    qsort(pairs, count, PAIR_SIZE, pair_order);
    struct digests digests;
    size_t at = 0;
    for (unsigned bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        size_t end = at;
        while (end < count && pairs[end][0] == bucket) {
            end++;
        }
        digests.buckets[bucket] = bucket_digest(bytes_of(pairs[at], (end - at) * PAIR_SIZE));
        at = end;
    }
    return digests_root(&digests);
}

/* Every live entry of the model, and no other, comes out of the cursor in delta order. */
static void model_compare(struct scratch *scratch, uint32_t id, const struct model *model)
{
    struct txn *txn = help_read(scratch);
    struct entry_cursor *cursor = NULL;
    struct bytes bytes;
    uint64_t rev, before_rev = 0;
    struct slug_hash slug, before_slug = {0};
    size_t seen = 0, live = 0;
    ok(entry_cursor_open(txn, id, 0, NULL, &cursor));
    while (entry_cursor_next(cursor, &bytes, &rev, &slug) == ERR_OK) {
        struct entry entry;
        ok(entry_decode(bytes, &entry));
        unsigned number = 0; /* "entry-N" */
        for (size_t i = 6; i < entry.slug.size; i++) {
            number = number * 10 + entry.slug.data[i] - '0';
        }
        struct hash leaf = entry_leaf(bytes);
        assert_true(number < MODEL_COUNT && model->live[number]);
        assert_memory_equal(leaf.bytes, model->leaf[number].bytes, HASH_SIZE);
        assert_int_equal(rev, model->rev[number]);
        assert_true(rev > before_rev ||
                    (rev == before_rev && memcmp(slug.bytes, before_slug.bytes, 16) > 0));
        before_rev = rev;
        before_slug = slug;
        seen++;
    }
    entry_cursor_close(cursor);
    for (unsigned i = 0; i < MODEL_COUNT; i++) {
        struct slug_row row;
        struct slug_hash wanted = help_slug(i);
        live += model->live[i];
        is_err(catalogue_slug(txn, id, &wanted, &row), model->live[i] ? ERR_OK : ERR_NOT_FOUND);
    }
    assert_int_equal(seen, live);
    txn_end(txn);
}

static void model_step(struct scratch *scratch, uint32_t id, struct model *model, unsigned round)
{
    struct txn *txn = help_write(scratch);
    struct change_list list = {0};
    uint64_t rev = round + 1;
    size_t count = round % 7 == 0 ? 200 : 1 + help_random(scratch) % 9;
    for (size_t i = 0; i < count; i++) {
        unsigned number = (unsigned) (help_random(scratch) % MODEL_COUNT);
        if (help_random(scratch) % 3 == 0) {
            help_withdraw(&list, number);
            model->live[number] = false;
            continue;
        }
        size_t size = help_random(scratch) % 8 == 0 ? 5000 : 40 + help_random(scratch) % 900;
        help_put(txn, id, &list, number, rev, (unsigned) help_random(scratch), size);
        const struct change *last = &list.items[list.count - 1];
        model->live[number] = true;
        model->rev[number] = rev;
        model->leaf[number] = last->leaf;
        model->size[number] = last->size;
    }
    struct buf dropped = {0};
    ok(change_settle(&list, &dropped));
    ok(bodies_drop(txn, &dropped));
    buf_done(&dropped);
    struct head head = help_apply(scratch, txn, id, &list, 1700000000);
    ok(txn_commit(txn));
    struct hash root = model_root(model);
    uint64_t live = 0, bytes = 0;
    for (unsigned i = 0; i < MODEL_COUNT; i++) {
        live += model->live[i];
        bytes += model->live[i] ? model->size[i] : 0;
    }
    assert_memory_equal(head.root.bytes, root.bytes, HASH_SIZE);
    assert_int_equal(head.count, live);
    assert_int_equal(head.bytes, bytes);
}

static void random_changes_agree_with_a_plain_model(void **state)
{
    struct scratch *scratch = *state;
    struct model *model = calloc(1, sizeof *model);
    struct txn *txn = help_write(scratch);
    uint32_t id = 0;
    ok(catalogue_open(txn, &scratch->name, &id));
    ok(txn_commit(txn));
    help_lab(scratch);
    for (unsigned round = 0; round < 150; round++) {
        model_step(scratch, id, model, round);
        if (round % 25 == 24) {
            help_reopen(scratch);
            model_compare(scratch, id, model);
            assert_int_equal(help_scrub(scratch, 64), 0);
        }
    }
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_changes_agree_with_a_plain_model, help_setup,
                                        help_teardown),
    };
    return cmocka_run_group_tests_name("store_plan", tests, NULL, NULL);
}
