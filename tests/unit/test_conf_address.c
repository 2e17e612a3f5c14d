/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/address.c: what people write as host and port, and what is none. */
#include "tests/unit/kit.h"

#include "conf/address.h"

static void expect(const char *text, const char *host, unsigned port)
{
    struct address address;
    assert_err(address_parse(bytes_of_str(text), &address), ERR_OK);
    assert_string_equal(address.host, host);
    assert_int_equal(address.port, port);
    char printed[ADDRESS_TEXT_MAX];
    address_print(&address, printed);
    struct address again;
    assert_err(address_parse(bytes_of_str(printed), &again), ERR_OK);
    assert_string_equal(again.host, host);
    assert_int_equal(again.port, port);
}

static void names_and_numbers_are_read_and_printed(void **state)
{
    (void) state;
    expect("127.0.0.1:7700", "127.0.0.1", 7700);
    expect("labo.example.fr:1", "labo.example.fr", 1);
    expect("[::1]:65535", "::1", 65535);
    expect("[fe80::1%eth0]:80", "fe80::1%eth0", 80);
    expect("*:0", "", 0);
}

static void what_is_no_address_is_refused(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "",        "host",     ":80",         "host:",     "host:65536", "host:-1", "host:+1",
        "host:1x", "ho st:80", "host\n:1",    "[]:80",     "::1:80",     "[::1]",   "host:000001",
        "a/b:80",  "[a b]:80", "h\xc3\xa9:1", "[host]:80", "[*]:80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct address address;
        struct bytes copy = kit_copy(bytes_of_str(bad[i]));
        assert_err(address_parse(copy, &address), ERR_INVALID);
        kit_free(copy);
    }
}

static void a_host_has_at_most_253_bytes(void **state)
{
    (void) state;
    char text[ADDRESS_HOST_MAX + 8];
    struct address address;
    memset(text, 'a', sizeof text);
    memcpy(text + ADDRESS_HOST_MAX, ":80", 4);
    assert_err(address_parse(bytes_of_str(text), &address), ERR_OK);
    memset(text, 'a', sizeof text);
    memcpy(text + ADDRESS_HOST_MAX + 1, ":80", 4);
    assert_err(address_parse(bytes_of_str(text), &address), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers_are_read_and_printed),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_host_has_at_most_253_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
