/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/inbox.c: order within a source, rounds between sources, nothing lost. */
#include "tests/unit/kit.h"

#include "daemon/inbox.h"

static void on_stepped(struct source *source)
{
    (void) source;
}

static void put(struct inbox *inbox, struct source *source, uint32_t link, const char *text)
{
    struct buf *bytes = buf_new(0);
    assert_non_null(bytes);
    buf_put_str(bytes, text);
    struct event event = {.kind = EVENT_LINK_BYTES, .link = link};
    assert_err(inbox_put_bytes(inbox, source, &event, bytes, 1), ERR_OK);
}

/* Takes what comes next and compares its bytes. */
static void expect(struct inbox *inbox, enum inbox_ring ring, const char *text)
{
    struct source *source = inbox_next(inbox, ring);
    assert_non_null(source);
    struct item *item = inbox_take(inbox, source);
    assert_non_null(item);
    assert_true(bytes_equal(buf_bytes(item->bytes), bytes_of_str(text)));
    item_free(item);
}

static void sources_take_turns_and_each_keeps_its_order(void **state)
{
    (void) state;
    struct inbox inbox = {0};
    struct source a = {.ring = INBOX_LINKS, .stepped = on_stepped};
    struct source b = a;
    struct source c = {.ring = INBOX_CLIENTS, .stepped = on_stepped};
    assert_false(inbox_waits(&inbox));
    put(&inbox, &a, 1, "a1");
    put(&inbox, &a, 1, "a2");
    put(&inbox, &a, 1, "a3");
    put(&inbox, &b, 2, "b1");
    put(&inbox, &b, 2, "b2");
    put(&inbox, &c, 3, "c1");
    assert_true(inbox_waits(&inbox));
    expect(&inbox, INBOX_LINKS, "a1");
    expect(&inbox, INBOX_LINKS, "b1");
    expect(&inbox, INBOX_LINKS, "a2");
    expect(&inbox, INBOX_LINKS, "b2");
    expect(&inbox, INBOX_LINKS, "a3");
    assert_null(inbox_next(&inbox, INBOX_LINKS));
    expect(&inbox, INBOX_CLIENTS, "c1");
    assert_false(inbox_waits(&inbox));
    assert_int_equal(inbox.size + a.size + b.size + c.size, 0);
    assert_null(inbox_take(&inbox, &a));
}

static void a_held_source_is_passed_over_until_it_is_released(void **state)
{
    (void) state;
    struct inbox inbox = {0};
    struct source a = {.ring = INBOX_CLIENTS, .stepped = on_stepped};
    struct source b = a;
    struct source c = a;
    put(&inbox, &a, 1, "a1");
    put(&inbox, &b, 2, "b1");
    put(&inbox, &c, 3, "c1");
    inbox_hold(&inbox, &b);
    expect(&inbox, INBOX_CLIENTS, "a1");
    expect(&inbox, INBOX_CLIENTS, "c1");
    assert_null(inbox_next(&inbox, INBOX_CLIENTS));
    put(&inbox, &b, 2, "b2");
    assert_null(inbox_next(&inbox, INBOX_CLIENTS));
    inbox_release(&inbox, &b);
    inbox_release(&inbox, &b);
    expect(&inbox, INBOX_CLIENTS, "b1");
    expect(&inbox, INBOX_CLIENTS, "b2");
    assert_null(inbox_next(&inbox, INBOX_CLIENTS));
}

static void a_fixed_item_waits_once_and_needs_no_memory(void **state)
{
    (void) state;
    struct inbox inbox = {0};
    struct source a = {.ring = INBOX_LINKS, .stepped = on_stepped};
    struct item room = {.fixed = true, .event = {.kind = EVENT_LINK_ROOM}};
    inbox_put(&inbox, &a, &room);
    inbox_put(&inbox, &a, &room);
    assert_ptr_equal(inbox_take(&inbox, inbox_next(&inbox, INBOX_LINKS)), &room);
    item_free(&room);
    assert_null(inbox_next(&inbox, INBOX_LINKS));
    inbox_put(&inbox, &a, &room);
    assert_ptr_equal(inbox_take(&inbox, inbox_next(&inbox, INBOX_LINKS)), &room);
}

static void a_source_in_the_middle_can_be_forgotten(void **state)
{
    (void) state;
    struct inbox inbox = {0};
    struct source all[3] = {{.ring = INBOX_LINKS}, {.ring = INBOX_LINKS}, {.ring = INBOX_LINKS}};
    for (unsigned gone = 0; gone < 3; gone++) {
        for (unsigned i = 0; i < 3; i++) {
            put(&inbox, &all[i], i, "1");
            put(&inbox, &all[i], i, "2");
        }
        inbox_forget(&inbox, &all[gone]);
        inbox_forget(&inbox, &all[gone]);
        for (unsigned i = 0; i < 4; i++) {
            struct source *source = inbox_next(&inbox, INBOX_LINKS);
            assert_non_null(source);
            assert_ptr_not_equal(source, &all[gone]);
            item_free(inbox_take(&inbox, source));
        }
        assert_null(inbox_next(&inbox, INBOX_LINKS));
        assert_int_equal(inbox.size, 0);
    }
}

static void what_is_kept_is_counted_with_its_whole_memory(void **state)
{
    (void) state;
    struct inbox inbox = {0};
    struct source a = {.ring = INBOX_LINKS};
    struct buf *bytes = buf_new(1 << 16);
    assert_non_null(bytes);
    struct event event = {.kind = EVENT_LINK_BYTES};
    assert_err(inbox_put_bytes(&inbox, &a, &event, bytes, 1), ERR_OK);
    assert_true(a.size >= (1 << 16) + sizeof(struct item));
    assert_int_equal(a.size, inbox.size);
    inbox_forget(&inbox, &a);
    assert_int_equal(inbox.size + a.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_take_turns_and_each_keeps_its_order),
        cmocka_unit_test(a_held_source_is_passed_over_until_it_is_released),
        cmocka_unit_test(a_fixed_item_waits_once_and_needs_no_memory),
        cmocka_unit_test(a_source_in_the_middle_can_be_forgotten),
        cmocka_unit_test(what_is_kept_is_counted_with_its_whole_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
