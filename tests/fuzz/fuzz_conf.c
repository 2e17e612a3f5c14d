/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_conf.c: the configuration file, and addresses.
 *
 * What parses is within its bounds, and parses again to the same; what does not says why. An
 * address prints and parses back; as `listen` it survives the example file.
 */
#include "base/utf8.h"
#include "conf/conf.h"
#include "tests/fuzz/fuzz.h"

static void conf_check(struct bytes text)
{
    struct conf conf, again;
    struct say say = {0};
    memset(&conf, 0, sizeof conf);
    memset(&again, 0, sizeof again);
    enum err err = conf_parse("essaimd.conf", text, &conf, &say);
    must(err == ERR_OK || err == ERR_CONFIG);
    must(conf_parse("essaimd.conf", text, &again, NULL) == err);
    if (err == ERR_CONFIG) {
        must(memchr(say.text, 0, sizeof say.text) != NULL);
        must(say.text[0] != '\0');
        return;
    }
    must(conf.network_max_links >= 1 && conf.network_max_links <= PEERS_MAX);
    must(conf.quota_entries >= 1 && conf.quota_entries <= 10000000);
    must(conf.quota_bytes >= 65536 && conf.quota_bytes <= 1099511627776);
    must(conf.control_socket[0] == '\0' || conf.control_socket[0] == '/');
    must(strcmp(conf.network_listen, again.network_listen) == 0);
    must(strcmp(conf.roles_admin, again.roles_admin) == 0);
    must(conf.log_level == again.log_level);
    struct address address;
    must(conf.network_listen[0] == '\0' ||
         address_parse(bytes_of_str(conf.network_listen), &address) == ERR_OK);
}

static void address_check(struct bytes text)
{
    struct address address, again;
    char printed[ADDRESS_TEXT_MAX];
    enum err err = address_parse(text, &address);
    must(err == ERR_OK || err == ERR_INVALID);
    if (err != ERR_OK) {
        return;
    }
    address_print(&address, printed);
    must(address_parse(bytes_of_str(printed), &again) == ERR_OK);
    must(strcmp(address.host, again.host) == 0);
    must(address.port == again.port);
    bool plain = memchr(text.data, '[', text.size) == NULL &&
                 memchr(text.data, '*', text.size) == NULL &&
                 memmem(text.data, text.size, ":0", 2) == NULL;
    must(!plain || bytes_equal(bytes_of_str(printed), text));
    struct buf example = {0};
    struct conf conf;
    conf_example(printed, &example);
    must(example.err == ERR_OK);
    err = conf_parse("essaimd.conf", buf_bytes(&example), &conf, NULL);
    must(err == ERR_OK || strlen(printed) > CONF_LINE_MAX - 10);
    must(err != ERR_OK || strcmp(conf.network_listen, printed) == 0);
    buf_done(&example);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    conf_check(bytes_of(data, size));
    address_check(bytes_of(data, size));
    return 0;
}
