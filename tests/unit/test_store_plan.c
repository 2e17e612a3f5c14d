/* SPDX-License-Identifier: EUPL-1.2 */
/* Change lists, plans and applies, against a plain model in memory. */
#include "store/rows.h"
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

/* ---- change lists ---- */

static void the_later_of_two_changes_stands(void **state)
{
    (void) state;
    struct change_list list = {0};
    struct buf dropped = {0};
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            struct change change = {.slug_hash = help_slug(i * 7919 % 1000),
                                    .size = round == 1 ? 0 : 100,
                                    .seq = round == 1 ? 0 : round * 1000 + i + 1,
                                    .order = (uint32_t) list.count};
            ok(change_add(&list, &change));
        }
    }
    ok(change_settle(&list, &dropped));
    assert_int_equal(list.count, 1000);
    assert_int_equal(dropped.size, 1000 * 8); /* withdrawals have no body to drop */
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(list.items[i].seq > 2000);
        assert_true(i == 0 || memcmp(list.items[i - 1].slug_hash.bytes,
                                     list.items[i].slug_hash.bytes, SLUG_HASH_SIZE) < 0);
        assert_true(be64_get(dropped.data + 8 * i) <= 1000);
    }
    ok(change_settle(&list, NULL)); /* twice is the same */
    assert_int_equal(list.count, 1000);
    change_done(&list);
    change_done(&list);
    change_done(NULL);
    assert_int_equal(list.count, 0);
    ok(change_settle(&list, NULL));
    buf_done(&dropped);
}

/* ---- plans ---- */

static void planning_writes_nothing_and_counts(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct plan plan;
    struct head head = help_publish(scratch, 0, 50, 1, 100);
    struct txn *txn = help_write(scratch);
    help_put(txn, 1, &list, 3, 2, 2, 200);   /* replaces */
    help_put(txn, 1, &list, 100, 2, 2, 300); /* is new */
    help_withdraw(&list, 4);
    help_withdraw(&list, 200); /* is not there */
    ok(txn_commit(txn));
    ok(change_settle(&list, NULL));
    txn = help_read(scratch);
    ok(catalogue_plan(txn, 1, &list, &plan));
    txn_end(txn);
    assert_int_equal(plan.created, 1);
    assert_int_equal(plan.replaced, 1);
    assert_int_equal(plan.withdrawn, 1);
    assert_int_equal(plan.count, 50);
    /* + 3: two more digits in a slug, one more byte before a longer text */
    assert_int_equal(plan.bytes, head.bytes + 100 + 200 + 3);
    change_done(&list);
}

static void an_empty_list_plans_what_is_held(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct plan plan;
    struct head head = help_publish(scratch, 0, 50, 1, 100);
    struct txn *txn = help_read(scratch);
    ok(catalogue_plan(txn, 1, &list, &plan));
    assert_memory_equal(plan.root.bytes, head.root.bytes, HASH_SIZE);
    assert_int_equal(plan.count, head.count);
    ok(catalogue_plan(txn, 2, &list, &plan)); /* never heard of */
    struct digests empty;
    digests_init(&empty);
    struct hash root = digests_root(&empty);
    assert_memory_equal(plan.root.bytes, root.bytes, HASH_SIZE);
    txn_end(txn);
}

static enum err plan_err(struct scratch *scratch, unsigned number)
{
    struct change_list list = {0};
    struct plan plan;
    struct txn *txn = help_write(scratch);
    help_put(txn, 1, &list, number, 2, 2, 100);
    ok(change_settle(&list, NULL));
    enum err err = catalogue_plan(txn, 1, &list, &plan);
    txn_end(txn);
    change_done(&list);
    return err;
}

static void rot_in_digests_or_rows_is_never_planned_over(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[20] = {0}, copy[600];
    struct slug_hash slug = help_slug(3);
    struct bytes value;
    (void) help_publish(scratch, 0, 50, 1, 100);
    ok(plan_err(scratch, 3));
    struct {
        enum table table;
        size_t key_size, at;
    } cases[] = {{TABLE_DIGESTS, 5, 77}, {TABLE_SLUGS, 20, 40}, {TABLE_SLUGS, 20, 16}};
    for (size_t i = 0; i < 3; i++) {
        be32_put(key, 1);
        if (cases[i].table == TABLE_DIGESTS) {
            key[4] = 9;
        } else {
            memcpy(key + 4, slug.bytes, SLUG_HASH_SIZE);
        }
        struct txn *txn = help_write(scratch);
        ok(txn_get(txn, cases[i].table, bytes_of(key, cases[i].key_size), &value));
        bytes_copy(copy, value);
        size_t size = value.size;
        txn_end(txn);
        copy[cases[i].at] ^= 0x80;
        help_row(scratch, cases[i].table, bytes_of(key, cases[i].key_size), bytes_of(copy, size));
        is_err(plan_err(scratch, 3), ERR_CORRUPT);
        help_row(scratch, cases[i].table, bytes_of(key, cases[i].key_size), bytes_of(copy, 5));
        is_err(plan_err(scratch, 3), ERR_CORRUPT);
        copy[cases[i].at] ^= 0x80;
        help_row(scratch, cases[i].table, bytes_of(key, cases[i].key_size), bytes_of(copy, size));
        ok(plan_err(scratch, 3));
    }
    be32_put(key, 1);
    help_row(scratch, TABLE_SLUGS, bytes_of(key, 5), bytes_of("x", 1)); /* half a key: bucket x */
    help_row(scratch, TABLE_HEADS, bytes_of(key, 4), bytes_of("short", 5));
    is_err(plan_err(scratch, 3), ERR_CORRUPT);
}

/* ---- applies ---- */

static void many_replaced_bodies_go_by_way_of_the_trash(void **state)
{
    struct scratch *scratch = *state;
    help_lab(scratch);
    (void) help_publish(scratch, 0, 600, 1, 100);
    (void) help_publish(scratch, 0, 512, 2, 100);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 0);
    assert_int_equal(help_rows(scratch, TABLE_BODIES), 600);
    (void) help_publish(scratch, 0, 513, 3, 100);
    assert_int_equal(help_rows(scratch, TABLE_TRASH), 513);
    assert_int_equal(help_rows(scratch, TABLE_BODIES), 600 + 513);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void a_list_of_many_revisions_is_put_in_delta_order(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct txn *txn = help_write(scratch);
    uint32_t id;
    ok(catalogue_open(txn, &scratch->name, &id));
    for (unsigned i = 0; i < 500; i++) {
        help_put(txn, id, &list, i, 1 + i * 7919 % 41, 1, 100);
    }
    (void) help_apply(scratch, txn, id, &list, 1000);
    struct entry_cursor *cursor = NULL;
    struct bytes entry;
    uint64_t rev, before = 0;
    struct slug_hash slug;
    unsigned count = 0;
    ok(entry_cursor_open(txn, id, 0, NULL, &cursor));
    for (; entry_cursor_next(cursor, &entry, &rev, &slug) == ERR_OK; count++) {
        assert_true(rev >= before);
        before = rev;
    }
    entry_cursor_close(cursor);
    assert_int_equal(count, 500);
    ok(txn_commit(txn));
}

static void an_apply_keeps_its_opening_a_hint_and_its_own_hash(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct plan plan;
    struct buf signed_head = {0}, found = {0};
    struct hash opening[4];
    struct slug_hash other = help_slug(2);
    uint32_t id;
    uint64_t arrival;
    bool more;
    uint8_t at[24] = {0};
    memset(opening, 5, sizeof opening);
    struct txn *txn = help_write(scratch);
    ok(catalogue_open(txn, &scratch->name, &id));
    help_put(txn, id, &list, 1, 3, 1, 100);
    help_withdraw(&list, 2); /* never held: others may ask us for it … */
    memset(list.items[1].leaf.bytes, 6, HASH_SIZE);
    help_withdraw(&list, 3); /* … but nobody for what is not known */
    struct hint hint = hash_hint(&other, &list.items[1].leaf);
    ok(change_settle(&list, NULL));
    ok(catalogue_plan(txn, id, &list, &plan));
    struct head head = {.lab = scratch->name.lab,
                        .generation = 1,
                        .audience = "public",
                        .n = 5,
                        .count = plan.count,
                        .bytes = plan.bytes,
                        .root = plan.root};
    ok(head_sign(&head, scratch->keys.signing_secret, &signed_head));
    struct apply apply = {.id = id,
                          .list = &list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .opening = bytes_of(opening, sizeof opening),
                          .opening_from = 1,
                          .from = scratch->keys.lab,
                          .now_s = 1000};
    ok(catalogue_apply(txn, &apply, &arrival));
    ok(catalogue_opening(txn, id, 1, 5, &found));
    assert_memory_equal(found.data, opening, sizeof opening);
    assert_memory_equal(found.data + sizeof opening, head.hash.bytes, HASH_SIZE);
    buf_clear(&found);
    ok(catalogue_hints(txn, id, 4, at, 10, &found, &more));
    assert_int_equal(found.size, HINT_SIZE);
    assert_memory_equal(found.data, hint.bytes, HINT_SIZE);
    assert_false(more);
    ok(txn_commit(txn));
    change_done(&list);
    buf_done(&signed_head);
    buf_done(&found);
}

static void a_row_republished_in_place_keeps_its_body(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct slug_hash slug = help_slug(3);
    struct slug_row row;
    struct bytes entry;
    (void) help_publish(scratch, 0, 5, 1, 100);
    struct txn *txn = help_write(scratch);
    ok(catalogue_slug(txn, 1, &slug, &row));
    struct change change = {
        .slug_hash = slug, .leaf = row.leaf, .rev = row.rev, .seq = row.seq, .size = row.size};
    ok(change_add(&list, &change));
    (void) help_apply(scratch, txn, 1, &list, 1000);
    ok(catalogue_entry(txn, 1, &slug, &entry));
    ok(txn_commit(txn));
    help_lab(scratch);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static void an_apply_that_fails_half_way_leaves_nothing(void **state)
{
    struct scratch *scratch = *state;
    scratch->options.map_size = 256 * 1024;
    help_reopen(scratch);
    (void) help_publish(scratch, 0, 20, 1, 100);
    struct change_list list = {0};
    struct plan plan;
    struct buf signed_head = {0};
    uint64_t arrival = 0;
    uint64_t seq = 0;
    struct txn *txn = help_write(scratch);
    ok(body_append(txn, 1, bytes_of("0123456789", 10), &seq));
    for (unsigned i = 0; i < 2000; i++) { /* all of one body: in a list this long nobody looks */
        struct change change = {
            .slug_hash = help_slug(i), .rev = 2, .seq = seq, .size = 10, .order = i};
        ok(change_add(&list, &change));
    }
    ok(change_settle(&list, NULL));
    ok(catalogue_plan(txn, 1, &list, &plan));
    struct head head = help_head(scratch, txn, 1, &plan, &signed_head);
    struct apply apply = {.id = 1,
                          .list = &list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .from = scratch->keys.lab};
    is_err(catalogue_apply(txn, &apply, &arrival), ERR_FULL);
    assert_int_equal(arrival, 0);
    is_err(txn_commit(txn), ERR_FULL);
    change_done(&list);
    buf_done(&signed_head);
    assert_int_equal(help_rows(scratch, TABLE_SLUGS), 20);
    help_lab(scratch);
    assert_int_equal(help_scrub(scratch, 100), 0);
}

static enum err apply_err(struct scratch *scratch, struct txn *txn, struct change_list *list)
{
    struct plan plan;
    struct buf signed_head = {0};
    uint64_t arrival = 0;
    ok(change_settle(list, NULL));
    ok(catalogue_plan(txn, 1, list, &plan));
    struct head head = help_head(scratch, txn, 1, &plan, &signed_head);
    struct apply apply = {.id = 1,
                          .list = list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .from = scratch->keys.lab};
    enum err err = catalogue_apply(txn, &apply, &arrival);
    buf_done(&signed_head);
    change_done(list);
    return err;
}

/* A seq that another transaction gave, and that came to nothing, stands for another body by now. */
static void a_seq_that_stands_for_another_body_is_never_made_visible(void **state)
{
    struct scratch *scratch = *state;
    static const unsigned counts[] = {1, 600};
    (void) help_publish(scratch, 0, 20, 1, 100);
    for (size_t i = 0; i < 2; i++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            struct change_list list = {0};
            uint64_t seq = 0;
            struct txn *txn = help_write(scratch);
            for (unsigned k = 0; k < counts[i]; k++) {
                help_put(txn, 1, &list, k, 2, 2, 100);
            }
            if (kind == 0) { /* is not there */
                list.items[0].seq += 5000;
            } else if (kind == 1) { /* belongs to another catalogue */
                ok(body_append(txn, 2, bytes_of("0123456789", 10), &seq));
                list.items[0].seq = seq;
                list.items[0].size = 10;
            } else if (kind == 2) { /* has another size */
                list.items[0].size++;
            } else if (counts[i] == 1) { /* has another leaf */
                list.items[0].leaf.bytes[9] ^= 1;
            }
            bool seen = kind < 3 || counts[i] == 1;
            is_err(apply_err(scratch, txn, &list), seen ? ERR_CORRUPT : ERR_OK);
            if (seen) {
                is_err(txn_commit(txn), ERR_CORRUPT);
            } else {
                txn_end(txn);
            }
        }
    }
}

static void an_apply_that_meets_damage_half_way_spoils_its_transaction(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct plan plan;
    struct buf signed_head = {0};
    uint8_t id_key[4] = {0, 0, 0, 1};
    uint64_t arrival = 0;
    (void) help_publish(scratch, 0, 20, 1, 100);
    struct txn *txn = help_write(scratch);
    help_put(txn, 1, &list, 3, 2, 2, 100);
    ok(change_settle(&list, NULL));
    ok(catalogue_plan(txn, 1, &list, &plan));
    struct head head = help_head(scratch, txn, 1, &plan, &signed_head);
    struct apply apply = {.id = 1,
                          .list = &list,
                          .plan = &plan,
                          .head = &head,
                          .signed_head = buf_bytes(&signed_head),
                          .from = scratch->keys.lab};
    ok(txn_put(txn, TABLE_HEADS, BYTES_OF_ARRAY(id_key), bytes_of("short", 5)));
    is_err(catalogue_apply(txn, &apply, &arrival), ERR_CORRUPT);
    is_err(txn_commit(txn), ERR_CORRUPT);
    help_lab(scratch);
    assert_int_equal(help_scrub(scratch, 100), 0);
    change_done(&list);
    buf_done(&signed_head);
}

/* The pairs of all buckets as they would be, in one buffer. */
static void all_pairs(struct txn *txn, uint32_t id, const struct change_list *list,
                      struct buf *into)
{
    buf_clear(into);
    for (unsigned bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        size_t before = into->size;
        ok(catalogue_pairs(txn, id, list, bucket, into));
        for (size_t at = before; at < into->size; at += PAIR_SIZE) {
            assert_int_equal(into->data[at], bucket);
        }
    }
}

static void pairs_are_known_before_a_list_is_applied(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0}, none = {0};
    struct buf before = {0}, planned = {0}, after = {0};
    (void) help_publish(scratch, 0, 700, 1, 60);
    struct txn *txn = help_write(scratch);
    all_pairs(txn, 1, NULL, &before);
    all_pairs(txn, 1, &none, &planned);
    assert_int_equal(before.size, 700 * PAIR_SIZE);
    assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&planned)));
    for (unsigned i = 650; i < 800; i++) { /* half of them new, half other than they were */
        help_put(txn, 1, &list, i, 2, 2, 80);
    }
    for (unsigned i = 0; i < 900; i += 9) {
        help_withdraw(&list, i);
    }
    ok(change_settle(&list, NULL));
    all_pairs(txn, 1, &list, &planned);
    assert_false(bytes_equal(buf_bytes(&before), buf_bytes(&planned)));
    (void) help_apply(scratch, txn, 1, &list, 1000);
    all_pairs(txn, 1, NULL, &after);
    assert_true(bytes_equal(buf_bytes(&planned), buf_bytes(&after)));
    ok(txn_commit(txn));
    buf_done(&before);
    buf_done(&planned);
    buf_done(&after);
}

static void pairs_of_a_catalogue_without_a_head_are_those_of_the_list(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct buf pairs = {0};
    uint32_t id = 0;
    struct txn *txn = help_write(scratch);
    ok(catalogue_open(txn, &scratch->name, &id));
    all_pairs(txn, id, NULL, &pairs);
    assert_int_equal(pairs.size, 0);
    for (unsigned i = 0; i < 300; i++) {
        help_put(txn, id, &list, i, 1, 1, 50);
    }
    ok(change_settle(&list, NULL));
    all_pairs(txn, id, &list, &pairs);
    assert_int_equal(pairs.size, 300 * PAIR_SIZE);
    txn_end(txn);
    change_done(&list);
    buf_done(&pairs);
}

static void pairs_of_a_damaged_bucket_are_corrupt(void **state)
{
    struct scratch *scratch = *state;
    struct buf pairs = {0};
    struct slug_hash slug = help_slug(3);
    struct slug_row row;
    (void) help_publish(scratch, 0, 10, 1, 60);
    struct txn *txn = help_write(scratch);
    uint8_t key[SLUG_KEY_SIZE], value[SLUG_VALUE_SIZE];
    ok(catalogue_slug(txn, 1, &slug, &row));
    row.leaf.bytes[5] ^= 1;
    rows_slug_put(value, &row);
    ok(txn_put(txn, TABLE_SLUGS, rows_slug(key, 1, &slug), BYTES_OF_ARRAY(value)));
    is_err(catalogue_pairs(txn, 1, NULL, bucket_of(&slug), &pairs), ERR_CORRUPT);
    assert_int_equal(pairs.size, 0);
    pairs.err = ERR_SIZE;
    is_err(catalogue_pairs(txn, 1, NULL, bucket_of(&slug) ^ 1, &pairs), ERR_SIZE);
    txn_end(txn);
    buf_done(&pairs);
}

static void a_list_by_itself_is_what_an_empty_catalogue_would_be(void **state)
{
    struct scratch *scratch = *state;
    struct change_list list = {0};
    struct plan alone, planned;
    uint32_t id = 0;
    struct digests empty;
    ok(change_plan(&list, &alone));
    digests_init(&empty);
    assert_memory_equal(&alone.digests, &empty, sizeof empty);
    struct hash root = digests_root(&empty);
    assert_memory_equal(alone.root.bytes, root.bytes, HASH_SIZE);
    struct txn *txn = help_write(scratch);
    ok(catalogue_open(txn, &scratch->name, &id));
    for (unsigned i = 0; i < 500; i++) {
        help_put(txn, id, &list, i % 400, 1, i, 50 + i);
    }
    for (unsigned i = 0; i < 900; i += 9) {
        help_withdraw(&list, i);
    }
    ok(change_settle(&list, NULL));
    ok(change_plan(&list, &alone));
    ok(catalogue_plan(txn, id, &list, &planned));
    assert_memory_equal(&alone.digests, &planned.digests, sizeof alone.digests);
    assert_memory_equal(alone.root.bytes, planned.root.bytes, HASH_SIZE);
    assert_int_equal(alone.count, planned.count);
    assert_int_equal(alone.count, 400 - 45);
    assert_int_equal(alone.bytes, planned.bytes);
    assert_int_equal(alone.created, planned.created);
    txn_end(txn);
    change_done(&list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_changes_agree_with_a_plain_model),
        cmocka_unit_test(the_later_of_two_changes_stands),
        TEST(planning_writes_nothing_and_counts),
        TEST(an_empty_list_plans_what_is_held),
        TEST(rot_in_digests_or_rows_is_never_planned_over),
        TEST(many_replaced_bodies_go_by_way_of_the_trash),
        TEST(a_list_of_many_revisions_is_put_in_delta_order),
        TEST(an_apply_keeps_its_opening_a_hint_and_its_own_hash),
        TEST(a_row_republished_in_place_keeps_its_body),
        TEST(an_apply_that_fails_half_way_leaves_nothing),
        TEST(a_seq_that_stands_for_another_body_is_never_made_visible),
        TEST(an_apply_that_meets_damage_half_way_spoils_its_transaction),
        TEST(pairs_are_known_before_a_list_is_applied),
        TEST(pairs_of_a_catalogue_without_a_head_are_those_of_the_list),
        TEST(pairs_of_a_damaged_bucket_are_corrupt),
        TEST(a_list_by_itself_is_what_an_empty_catalogue_would_be),
    };
    return cmocka_run_group_tests_name("store_plan", tests, NULL, NULL);
}
