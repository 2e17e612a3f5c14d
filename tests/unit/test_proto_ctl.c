/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/ctl: the table and its roles, frames cut anywhere and claims too large, messages of any
 * client that keeps to msgpack-RPC, everything that is none, look-ups, and what we put ourselves.
 */
#include "proto/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "proto/pack.h"

#define BYTES(...) BYTES_OF_ARRAY(((const uint8_t[]){__VA_ARGS__}))

/* ---- the table ---- */

static void every_method_is_found_by_its_name_and_nothing_else_is(void **state)
{
    (void) state;
    for (unsigned i = 0; i < CTL_COUNT; i++) {
        enum ctl_method method = CTL_COUNT;
        assert_int_equal(ctl_find(bytes_of_str(ctl_name((enum ctl_method) i)), &method), ERR_OK);
        assert_int_equal(method, i);
    }
    static const char *const strangers[] = {"", "Hello", "hell", "hello ", "hellos", "peers-add"};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        enum ctl_method method = CTL_COUNT;
        assert_int_equal(ctl_find(bytes_of_str(strangers[i]), &method), ERR_UNSUPPORTED);
        assert_int_equal(method, CTL_COUNT);
    }
    enum ctl_method method = CTL_COUNT;
    assert_int_equal(ctl_find(bytes_of("hello\0", 6), &method), ERR_UNSUPPORTED);
}

static void methods_need_the_roles_of_the_documentation(void **state)
{
    (void) state;
    static const struct {
        enum ctl_method method;
        enum role role;
        bool writes;
    } wanted[] = {
        {CTL_hello, ROLE_READER, false},         {CTL_status, ROLE_READER, false},
        {CTL_labs, ROLE_READER, false},          {CTL_list, ROLE_READER, false},
        {CTL_show, ROLE_READER, false},          {CTL_publish, ROLE_AGENT, true},
        {CTL_withdraw, ROLE_AGENT, true},        {CTL_peers_list, ROLE_READER, false},
        {CTL_peers_add, ROLE_ADMIN, true},       {CTL_peers_remove, ROLE_ADMIN, true},
        {CTL_sync, ROLE_READER, true},           {CTL_watch, ROLE_READER, true},
        {CTL_bundle_export, ROLE_READER, false}, {CTL_bundle_import, ROLE_AGENT, true},
        {CTL_verify, ROLE_READER, false},        {CTL_prove, ROLE_READER, false},
        {CTL_forks, ROLE_READER, false},         {CTL_fork_show, ROLE_READER, false},
        {CTL_repair, ROLE_ADMIN, true},          {CTL_identity, ROLE_READER, false},
        {CTL_key_rotate, ROLE_ADMIN, true},      {CTL_history, ROLE_AGENT, false},
        {CTL_compact, ROLE_ADMIN, true},         {CTL_backup, ROLE_ADMIN, true},
        {CTL_lost, ROLE_AGENT, false},           {CTL_forget, ROLE_ADMIN, true},
        {CTL_receipts, ROLE_READER, false},
    };
    assert_int_equal(sizeof wanted / sizeof wanted[0], CTL_COUNT);
    for (size_t i = 0; i < CTL_COUNT; i++) {
        assert_int_equal(ctl_role(wanted[i].method), wanted[i].role);
        assert_int_equal(ctl_writes(wanted[i].method), wanted[i].writes);
    }
    assert_int_equal(ctl_role(CTL_COUNT), ROLE_ADMIN); /* default deny */
    assert_true(ctl_writes(CTL_COUNT));
    assert_string_equal(ctl_name(CTL_COUNT), "?");
    assert_string_equal(role_name(ROLE_NONE), "none");
    assert_string_equal(role_name(ROLE_READER), "reader");
    assert_string_equal(role_name(ROLE_AGENT), "agent");
    assert_string_equal(role_name(ROLE_COORDINATOR), "coordinator");
    assert_string_equal(role_name(ROLE_ADMIN), "admin");
    assert_string_equal(role_name((enum role) 9), "?");
}

/* ---- frames ---- */

/* A request with every type a client may send. */
static struct buf request(void)
{
    struct buf buf = {0};
    ctl_put_request(&buf, 70000, CTL_publish);
    pack_map(&buf, 5);
    pack_cstr(&buf, "bin");
    pack_bin(&buf, bytes_of("\0\1\2", 3));
    pack_cstr(&buf, "list");
    pack_array(&buf, 2);
    pack_int(&buf, -5);
    pack_nil(&buf);
    pack_cstr(&buf, "more");
    pack_bool(&buf, true);
    pack_cstr(&buf, "number");
    pack_uint(&buf, UINT64_MAX);
    pack_cstr(&buf, "text");
    pack_cstr(&buf, "été");
    assert_int_equal(buf.err, ERR_OK);
    return buf;
}

static void a_stream_is_measured_message_by_message_wherever_it_is_cut(void **state)
{
    (void) state;
    struct buf buf = request();
    size_t first = buf.size, size = 0;
    for (size_t cut = 0; cut < first; cut++) {
        assert_int_equal(ctl_frame(bytes_of(buf.data, cut), &size), ERR_MORE);
    }
    ctl_put_response(&buf, 1);
    pack_map(&buf, 0);
    for (size_t cut = first; cut <= buf.size; cut++) {
        assert_int_equal(ctl_frame(bytes_of(buf.data, cut), &size), ERR_OK);
        assert_int_equal(size, first);
    }
    assert_int_equal(ctl_frame(bytes_of(buf.data + first, buf.size - first), &size), ERR_OK);
    assert_int_equal(size, buf.size - first);
    buf_done(&buf);
}

static void a_frame_may_have_one_mebibyte_and_no_more(void **state)
{
    (void) state;
    size_t whole = CTL_MSG_SIZE_MAX + 1, size = 0;
    uint8_t *stream = calloc(1, whole);
    assert_non_null(stream);
    static const uint8_t head[] = {0x93, 2, 0xa1, 'x', 0xc6};
    memcpy(stream, head, sizeof head);
    be32_put(stream + 5, CTL_MSG_SIZE_MAX - 9);
    assert_int_equal(ctl_frame(bytes_of(stream, CTL_MSG_SIZE_MAX - 1), &size), ERR_MORE);
    assert_int_equal(ctl_frame(bytes_of(stream, CTL_MSG_SIZE_MAX), &size), ERR_OK);
    assert_int_equal(size, CTL_MSG_SIZE_MAX);
    assert_int_equal(ctl_frame(bytes_of(stream, whole), &size), ERR_OK);
    assert_int_equal(size, CTL_MSG_SIZE_MAX);
    be32_put(stream + 5, CTL_MSG_SIZE_MAX - 8);
    assert_int_equal(ctl_frame(bytes_of(stream, CTL_MSG_SIZE_MAX), &size), ERR_SIZE);
    assert_int_equal(ctl_frame(bytes_of(stream, whole), &size), ERR_SIZE);
    free(stream);
}

static void a_frame_nests_16_deep_and_no_deeper(void **state)
{
    (void) state;
    uint8_t nested[18];
    size_t size = 0;
    memset(nested, 0x91, sizeof nested);
    nested[16] = 0x00;
    assert_int_equal(ctl_frame(bytes_of(nested, 17), &size), ERR_OK);
    nested[16] = 0x90;
    assert_int_equal(ctl_frame(bytes_of(nested, 17), &size), ERR_SIZE);
}

static void claims_that_no_message_can_fill_and_no_msgpack_are_refused_at_once(void **state)
{
    (void) state;
    size_t size = 0;
    assert_int_equal(ctl_frame(BYTES(0xdd, 0xff, 0xff, 0xff, 0xff), &size), ERR_SIZE);
    assert_int_equal(ctl_frame(BYTES(0xdf, 0xff, 0xff, 0xff, 0xff), &size), ERR_SIZE);
    assert_int_equal(ctl_frame(BYTES(0xdd, 0x00, 0x10, 0x00, 0x00), &size), ERR_SIZE);
    assert_int_equal(ctl_frame(BYTES(0xc1), &size), ERR_MALFORMED);
    assert_int_equal(ctl_frame(BYTES(0x94, 0x00, 0xd4, 0x01, 0x02), &size), ERR_MALFORMED);
}

/* ---- messages ---- */

static enum err decoded(struct bytes bytes, struct ctl_msg *ret_msg)
{
    size_t size = 0;
    assert_int_equal(ctl_frame(bytes, &size), ERR_OK);
    assert_int_equal(size, bytes.size);
    return ctl_decode(bytes, ret_msg);
}

static void a_request_is_decoded_with_all_its_parameters(void **state)
{
    (void) state;
    struct buf buf = request();
    struct ctl_msg msg;
    assert_int_equal(decoded(buf_bytes(&buf), &msg), ERR_OK);
    assert_int_equal(msg.type, 0);
    assert_int_equal(msg.id, 70000);
    assert_true(bytes_equal(msg.method, bytes_of_str("publish")));
    struct bytes bytes = {0};
    uint64_t number = 0;
    bool more = false;
    assert_int_equal(ctl_get_bin(&msg.params, "bin", &bytes), ERR_OK);
    assert_true(bytes_equal(bytes, bytes_of("\0\1\2", 3)));
    assert_true(bytes.data > buf.data && bytes.data < buf.data + buf.size); /* a view */
    assert_int_equal(ctl_get_str(&msg.params, "text", &bytes), ERR_OK);
    assert_true(bytes_equal(bytes, bytes_of_str("été")));
    assert_int_equal(ctl_get_uint(&msg.params, "number", &number), ERR_OK);
    assert_true(number == UINT64_MAX);
    assert_int_equal(ctl_get_bool(&msg.params, "more", &more), ERR_OK);
    assert_true(more);
    const msgpack_object *list = ctl_get(&msg.params, "list");
    assert_non_null(list);
    assert_int_equal(list->type, MSGPACK_OBJECT_ARRAY);
    assert_int_equal(list->via.array.ptr[0].via.i64, -5);
    ctl_done(&msg);
    assert_int_equal(msg.params.type, MSGPACK_OBJECT_NIL);
    ctl_done(&msg); /* twice does no harm */
    ctl_done(NULL);
    buf_done(&buf);
}

static void look_ups_tell_absent_from_another_type(void **state)
{
    (void) state;
    struct buf buf = request();
    struct ctl_msg msg;
    struct bytes bytes = {0};
    uint64_t number = 3;
    bool flag = false;
    assert_int_equal(decoded(buf_bytes(&buf), &msg), ERR_OK);
    assert_int_equal(ctl_get_str(&msg.params, "bin", &bytes), ERR_FIELD);
    assert_int_equal(ctl_get_str(&msg.params, "number", &bytes), ERR_FIELD);
    assert_int_equal(ctl_get_bin(&msg.params, "text", &bytes), ERR_FIELD);
    assert_int_equal(ctl_get_uint(&msg.params, "more", &number), ERR_FIELD);
    assert_int_equal(ctl_get_uint(&msg.params, "list", &number), ERR_FIELD);
    assert_int_equal(ctl_get_bool(&msg.params, "number", &flag), ERR_FIELD);
    assert_int_equal(ctl_get_str(&msg.params, "tex", &bytes), ERR_NOT_FOUND);
    assert_int_equal(ctl_get_bin(&msg.params, "", &bytes), ERR_NOT_FOUND);
    assert_int_equal(ctl_get_uint(&msg.params, "numbers", &number), ERR_NOT_FOUND);
    assert_int_equal(ctl_get_bool(&msg.error, "more", &flag), ERR_NOT_FOUND); /* no map */
    assert_int_equal(ctl_get_bool(NULL, "more", &flag), ERR_NOT_FOUND);
    assert_null(ctl_get(&msg.params, "absent"));
    assert_null(bytes.data);
    assert_int_equal(number, 3);
    ctl_done(&msg);
    buf_done(&buf);
}

static void a_negative_number_bad_utf8_and_nil_are_no_values(void **state)
{
    (void) state;
    struct ctl_msg msg;
    struct bytes text = {0};
    uint64_t number = 0;
    /* [2, "m", [{"a": -1, "b": "\xff", "c": nil, "d": "\x01"}]] */
    assert_int_equal(decoded(BYTES(0x93, 2, 0xa1, 'm', 0x91, 0x84, 0xa1, 'a', 0xff, 0xa1, 'b', 0xa1,
                                   0xff, 0xa1, 'c', 0xc0, 0xa1, 'd', 0xa1, 0x01),
                             &msg),
                     ERR_OK);
    assert_int_equal(ctl_get_uint(&msg.params, "a", &number), ERR_FIELD);
    assert_int_equal(ctl_get_str(&msg.params, "b", &text), ERR_FIELD);
    assert_int_equal(ctl_get_str(&msg.params, "c", &text), ERR_NOT_FOUND);
    assert_int_equal(ctl_get_uint(&msg.params, "c", &number), ERR_NOT_FOUND);
    assert_int_equal(ctl_get_str(&msg.params, "d", &text), ERR_FIELD);
    assert_int_equal(ctl_get(&msg.params, "c")->type, MSGPACK_OBJECT_NIL);
    ctl_done(&msg);
}

static void params_may_be_missing_in_every_way_clients_have(void **state)
{
    (void) state;
    struct ctl_msg msg;
    static const uint8_t none[][2] = {{0x90}, {0xc0}, {0x91, 0xc0}, {0x91, 0x80}};
    static const size_t sizes[] = {1, 1, 2, 2};
    for (size_t i = 0; i < 4; i++) {
        uint8_t bytes[16] = {0x94, 0, 5, 0xa1, 'x'};
        memcpy(bytes + 5, none[i], sizes[i]);
        assert_int_equal(decoded(bytes_of(bytes, 5 + sizes[i]), &msg), ERR_OK);
        assert_int_equal(msg.params.type, i == 3 ? MSGPACK_OBJECT_MAP : MSGPACK_OBJECT_NIL);
        assert_null(ctl_get(&msg.params, "a"));
        ctl_done(&msg);
    }
}

static void longer_forms_and_raw_names_are_understood(void **state)
{
    (void) state;
    struct ctl_msg msg;
    uint64_t number = 0;
    /* array16, uint64 for a small id, a bin for the name, str8 for a key, uint32 for a value */
    assert_int_equal(
        decoded(BYTES(0xdc, 0, 4, 0xcc, 0, 0xcf, 0, 0, 0, 0, 0, 0, 0, 9, 0xc4, 4, 's', 'h', 'o',
                      'w', 0xdd, 0, 0, 0, 1, 0xde, 0, 1, 0xd9, 1, 'k', 0xce, 0, 0, 0, 7),
                &msg),
        ERR_OK);
    assert_int_equal(msg.id, 9);
    assert_true(bytes_equal(msg.method, bytes_of_str("show")));
    assert_int_equal(ctl_get_uint(&msg.params, "k", &number), ERR_OK);
    assert_int_equal(number, 7);
    ctl_done(&msg);
    /* a key may be raw, too; and a positive number of a signed form is a number */
    assert_int_equal(decoded(BYTES(0x93, 2, 0xa1, 'm', 0x91, 0x81, 0xc4, 1, 'k', 0xd0, 8), &msg),
                     ERR_OK);
    assert_int_equal(ctl_get_uint(&msg.params, "k", &number), ERR_OK);
    assert_int_equal(number, 8);
    ctl_done(&msg);
}

static void expect_malformed(struct bytes bytes, uint32_t id)
{
    struct ctl_msg msg;
    assert_int_equal(ctl_decode(bytes, &msg), ERR_MALFORMED);
    assert_int_equal(msg.id, id);
    assert_null(msg.unpacked.zone); /* nothing is left to free */
    assert_int_equal(msg.params.type, MSGPACK_OBJECT_NIL);
    assert_int_equal(msg.method.size, 0);
}

static void what_is_no_msgpack_rpc_is_malformed(void **state)
{
    (void) state;
    expect_malformed(BYTES(0xc0), 0);
    expect_malformed(BYTES(0x80), 0);
    expect_malformed(BYTES(0x90), 0);
    expect_malformed(BYTES(0x92, 0, 5), 0);
    expect_malformed(BYTES(0x93, 0, 5, 0xa1), 0);                  /* cut */
    expect_malformed(BYTES(0x93, 0, 5, 0xa1, 'x'), 5);             /* params missing */
    expect_malformed(BYTES(0x95, 0, 5, 0xa1, 'x', 0x90, 0x90), 5); /* one too many */
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 'x', 0x90, 0x90), 0); /* a byte behind it */
    expect_malformed(BYTES(0x94, 3, 5, 0xa1, 'x', 0x90), 0);       /* type 3 */
    expect_malformed(BYTES(0x94, 0xff, 5, 0xa1, 'x', 0x90), 0);    /* type -1 */
    expect_malformed(BYTES(0x94, 0xa0, 5, 0xa1, 'x', 0x90), 0);    /* type "" */
    expect_malformed(BYTES(0x94, 0xc2, 5, 0xa1, 'x', 0x90), 0);
    expect_malformed(BYTES(0x94, 0xc0, 5, 0xa1, 'x', 0x90), 0);
    expect_malformed(BYTES(0x94, 0xca, 0, 0, 0, 0, 5, 0xa1, 'x', 0x90), 0); /* type 0.0 */
    expect_malformed(BYTES(0x94, 0, 0xff, 0xa1, 'x', 0x90), 0);             /* id -1 */
    expect_malformed(BYTES(0x94, 0, 0xa1, '1', 0xa1, 'x', 0x90), 0);        /* id "1" */
    expect_malformed(BYTES(0x94, 0, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 0xa1, 'x', 0x90), 0); /* 2^32 */
    expect_malformed(BYTES(0x94, 0, 5, 0xa0, 0x90), 5);                  /* method "" */
    expect_malformed(BYTES(0x94, 0, 5, 7, 0x90), 5);                     /* method 7 */
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 0xff, 0x90), 5);            /* no UTF-8 */
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, '\n', 0x90), 5);            /* no line */
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 'x', 0x80), 5);             /* params a bare map */
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 'x', 0x91, 0x90), 5);       /* params [[]] */
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 'x', 0x92, 0x80, 0x80), 5); /* params [{}, {}] */
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 'x', 0x91, 7), 5);          /* params [7] */
    expect_malformed(BYTES(0x94, 2, 0xa1, 'x', 0x90, 0xc0), 0);          /* notification of four */
    expect_malformed(BYTES(0x93, 1, 6, 0xc0), 6);                        /* response of three */
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 'x', 0x91, 0x81, 7, 7), 5); /* key 7 */
    expect_malformed(BYTES(0xc1), 0);
    expect_malformed(bytes_of(NULL, 0), 0);
}

static void equal_keys_are_refused_and_so_are_too_many(void **state)
{
    (void) state;
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 'x', 0x91, 0x82, 0xa1, 'a', 1, 0xa1, 'a', 2), 5);
    expect_malformed(BYTES(0x94, 0, 5, 0xa1, 'x', 0x91, 0x82, 0xa1, 'a', 1, 0xc4, 1, 'a', 2), 5);
    for (unsigned count = 64; count <= 65; count++) {
        struct buf buf = {0};
        struct ctl_msg msg;
        ctl_put_request(&buf, 5, CTL_hello);
        pack_map(&buf, count);
        for (unsigned i = 0; i < count; i++) {
            uint8_t key = (uint8_t) ('0' + i);
            pack_str(&buf, bytes_of(&key, 1));
            pack_nil(&buf);
        }
        assert_int_equal(ctl_decode(buf_bytes(&buf), &msg), count == 64 ? ERR_OK : ERR_MALFORMED);
        ctl_done(&msg);
        buf_done(&buf);
    }
}

static void a_method_name_has_at_most_64_bytes(void **state)
{
    (void) state;
    for (size_t size = 64; size <= 65; size++) {
        struct buf buf = {0};
        struct ctl_msg msg;
        char name[65];
        memset(name, 'n', sizeof name);
        pack_array(&buf, 3);
        pack_uint(&buf, 2);
        pack_str(&buf, bytes_of(name, size));
        pack_array(&buf, 0);
        assert_int_equal(decoded(buf_bytes(&buf), &msg), size == 64 ? ERR_OK : ERR_MALFORMED);
        ctl_done(&msg);
        buf_done(&buf);
    }
}

static void nothing_over_the_limits_reaches_msgpack_c(void **state)
{
    (void) state;
    expect_malformed(BYTES(0xdd, 0xff, 0xff, 0xff, 0xff), 0);
    expect_malformed(BYTES(0xdf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0a), 0);
    uint8_t nested[24];
    memset(nested, 0x91, sizeof nested);
    expect_malformed(BYTES_OF_ARRAY(nested), 0);
    uint8_t *large = calloc(1, CTL_MSG_SIZE_MAX + 1);
    assert_non_null(large);
    static const uint8_t head[] = {0x93, 2, 0xa1, 'x', 0x91, 0x81, 0xa1, 'a', 0xc6};
    memcpy(large, head, sizeof head);
    be32_put(large + 9, CTL_MSG_SIZE_MAX - 12); /* well-formed, but one byte too long */
    expect_malformed(bytes_of(large, CTL_MSG_SIZE_MAX + 1), 0);
    free(large);
}

/* ---- what we say ---- */

static void what_is_put_is_decoded_again(void **state)
{
    (void) state;
    struct buf buf = {0};
    struct ctl_msg msg;
    ctl_put_response(&buf, UINT32_MAX);
    pack_map(&buf, 1);
    pack_cstr(&buf, "n");
    pack_uint(&buf, 12);
    uint64_t n = 0;
    assert_int_equal(decoded(buf_bytes(&buf), &msg), ERR_OK);
    assert_int_equal(msg.type, 1);
    assert_int_equal(msg.id, UINT32_MAX);
    assert_int_equal(msg.error.type, MSGPACK_OBJECT_NIL);
    assert_int_equal(ctl_get_uint(&msg.result, "n", &n), ERR_OK);
    assert_int_equal(n, 12);
    ctl_done(&msg);

    buf_clear(&buf);
    ctl_put_notification(&buf, "change");
    pack_map(&buf, 0);
    assert_int_equal(decoded(buf_bytes(&buf), &msg), ERR_OK);
    assert_int_equal(msg.type, 2);
    assert_true(bytes_equal(msg.method, bytes_of_str("change")));
    assert_int_equal(msg.params.type, MSGPACK_OBJECT_MAP);
    ctl_done(&msg);
    buf_done(&buf);
}

static void expect_error(const char *field, const char *message, const char *wanted_message)
{
    struct buf buf = {0};
    struct ctl_msg msg;
    struct bytes text = {0};
    ctl_put_error(&buf, 3, ERR_SLUG, field, message);
    assert_int_equal(decoded(buf_bytes(&buf), &msg), ERR_OK);
    assert_int_equal(msg.type, 1);
    assert_int_equal(msg.id, 3);
    assert_int_equal(msg.result.type, MSGPACK_OBJECT_NIL);
    assert_int_equal(ctl_get_str(&msg.error, "code", &text), ERR_OK);
    assert_true(bytes_equal(text, bytes_of_str("E-SLUG")));
    assert_int_equal(ctl_get_str(&msg.error, "message", &text), ERR_OK);
    assert_true(bytes_equal(text, bytes_of_str(wanted_message)));
    assert_int_equal(ctl_get_str(&msg.error, "field", &text),
                     field == NULL ? ERR_NOT_FOUND : ERR_OK);
    assert_true(field == NULL || bytes_equal(text, bytes_of_str(field)));
    for (uint32_t i = 1; i < msg.error.via.map.size; i++) { /* canonical order */
        const msgpack_object_str *last = &msg.error.via.map.ptr[i - 1].key.via.str;
        const msgpack_object_str *key = &msg.error.via.map.ptr[i].key.via.str;
        assert_true(bytes_compare(bytes_of(last->ptr, last->size), bytes_of(key->ptr, key->size)) <
                    0);
    }
    ctl_done(&msg);
    buf_done(&buf);
}

static void an_error_names_its_code_its_field_and_says_why(void **state)
{
    (void) state;
    expect_error(NULL, NULL, "invalid slug");
    expect_error("slug", NULL, "invalid slug");
    expect_error("slug", "a slug has no spaces", "a slug has no spaces");
}

/* Bit by bit: no crash, no leak, and whatever is accepted is msgpack-RPC. */
static void flipped_bits_never_do_harm(void **state)
{
    (void) state;
    struct buf buf = request();
    for (size_t bit = 0; bit < 8 * buf.size; bit++) {
        struct ctl_msg msg;
        buf.data[bit / 8] ^= (uint8_t) (1u << (bit % 8));
        if (ctl_decode(buf_bytes(&buf), &msg) == ERR_OK) {
            assert_true(msg.type <= 2);
            assert_true(msg.type == 1 || msg.method.size > 0);
        }
        ctl_done(&msg);
        buf.data[bit / 8] ^= (uint8_t) (1u << (bit % 8));
    }
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_found_by_its_name_and_nothing_else_is),
        cmocka_unit_test(methods_need_the_roles_of_the_documentation),
        cmocka_unit_test(a_stream_is_measured_message_by_message_wherever_it_is_cut),
        cmocka_unit_test(a_frame_may_have_one_mebibyte_and_no_more),
        cmocka_unit_test(a_frame_nests_16_deep_and_no_deeper),
        cmocka_unit_test(claims_that_no_message_can_fill_and_no_msgpack_are_refused_at_once),
        cmocka_unit_test(a_request_is_decoded_with_all_its_parameters),
        cmocka_unit_test(look_ups_tell_absent_from_another_type),
        cmocka_unit_test(a_negative_number_bad_utf8_and_nil_are_no_values),
        cmocka_unit_test(params_may_be_missing_in_every_way_clients_have),
        cmocka_unit_test(longer_forms_and_raw_names_are_understood),
        cmocka_unit_test(what_is_no_msgpack_rpc_is_malformed),
        cmocka_unit_test(equal_keys_are_refused_and_so_are_too_many),
        cmocka_unit_test(a_method_name_has_at_most_64_bytes),
        cmocka_unit_test(nothing_over_the_limits_reaches_msgpack_c),
        cmocka_unit_test(what_is_put_is_decoded_again),
        cmocka_unit_test(an_error_names_its_code_its_field_and_says_why),
        cmocka_unit_test(flipped_bits_never_do_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
