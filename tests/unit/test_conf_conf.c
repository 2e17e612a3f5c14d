/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/conf.c: the settings: the committed example, every type at its bounds, every mistake with
 * file and line. */
#include "tests/unit/kit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"
#include "conf/conf.h"

static struct conf parsed(const char *text)
{
    struct conf conf;
    struct say say = {0};
    enum err err = conf_parse("f", bytes_of_str(text), &conf, &say);
    if (err != ERR_OK) {
        print_message("# %s\n", say.text);
    }
    assert_err(err, ERR_OK);
    return conf;
}

/* Refused, with a sentence that begins with file and line and holds `word`. */
static void refused(const char *text, unsigned line, const char *word)
{
    struct conf conf;
    struct say say = {0};
    char begin[32];
    (void) snprintf(begin, sizeof begin, "some.conf:%u: ", line);
    struct bytes copy = kit_copy(bytes_of_str(text));
    assert_err(conf_parse("some.conf", copy, &conf, &say), ERR_CONFIG);
    kit_free(copy);
    if (strncmp(say.text, begin, strlen(begin)) != 0 || strstr(say.text, word) == NULL ||
        strstr(say.text, "; ") == NULL) {
        fail_msg("%s does not say %s%s", say.text, begin, word);
    }
}

static void example_read(struct buf *into)
{
    const char *source = getenv("ESSAIM_SOURCE");
    char path[4096];
    (void) snprintf(path, sizeof path, "%s/conf/essaimd.conf.example",
                    source == NULL ? "." : source);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char room[4096];
    size_t size = 0;
    while ((size = fread(room, 1, sizeof room, file)) > 0) {
        buf_put(into, bytes_of(room, size));
    }
    (void) fclose(file);
    buf_put_u8(into, 0);
    assert_err(into->err, ERR_OK);
    into->size--;
}

static void the_committed_example_is_what_the_table_writes(void **state)
{
    (void) state;
    defer(buf_done) struct buf committed = {0};
    defer(buf_done) struct buf written = {0};
    example_read(&committed);
    conf_example(NULL, &written);
    buf_put_u8(&written, 0);
    assert_string_equal((char *) committed.data, (char *) written.data);
}

static void the_example_sets_every_key_once_with_a_comment_above_and_its_default(void **state)
{
    (void) state;
    defer(buf_done) struct buf text = {0};
    example_read(&text);
    struct conf conf = parsed((char *) text.data);
    struct conf preset;
    conf_default(&preset);
    assert_memory_equal(&conf, &preset, sizeof conf);
#define KEY_ROW(section, key, type, preset_, least, most, help) #key " =",
    static const char *const keys[] = {CONF_TABLE(KEY_ROW)};
    size_t set = 0;
    bool comment = false;
    char *rest = (char *) text.data;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        if (line[0] == '\0') {
            continue;
        }
        if (line[0] != '#' && line[0] != '[') {
            assert_true(comment);
            assert_true(set < sizeof keys / sizeof keys[0]);
            assert_int_equal(strncmp(line, keys[set], strlen(keys[set])), 0);
            set++;
        }
        comment = line[0] == '#';
        assert_true(strlen(line) <= CONF_LINE_MAX);
    }
    assert_int_equal(set, sizeof keys / sizeof keys[0]);
}

static void every_setting_is_read(void **state)
{
    (void) state;
    struct conf conf = parsed("[network]\nlisten = [::1]:7700\nmax_links = 7\n"
                              "[log]\nlevel=debug\r\n"
                              "[control]\nsocket: /run/essaim/control.sock ; the second\n"
                              "[roles]\nreader=lecteurs\nagent=agents\ncoordinator=coord\n"
                              "admin = adm\n# a comment\n"
                              "[quota]\nentries=5\nbytes=65536\n[history]\nkeep = yes");
    assert_string_equal(conf.network_listen, "[::1]:7700");
    assert_int_equal(conf.network_max_links, 7);
    assert_int_equal(conf.log_level, CONF_DEBUG);
    assert_string_equal(conf.control_socket, "/run/essaim/control.sock");
    assert_string_equal(conf.roles_reader, "lecteurs");
    assert_string_equal(conf.roles_agent, "agents");
    assert_string_equal(conf.roles_coordinator, "coord");
    assert_string_equal(conf.roles_admin, "adm");
    assert_int_equal(conf.quota_entries, 5);
    assert_int_equal(conf.quota_bytes, 65536);
    assert_true(conf.history_keep);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void) state;
    struct conf conf = parsed("");
    assert_string_equal(conf.network_listen, "");
    assert_int_equal(conf.network_max_links, PEERS_MAX);
    assert_int_equal(conf.log_level, CONF_INFO);
    assert_int_equal(conf.quota_entries, QUOTA_ENTRIES);
    assert_int_equal(conf.quota_bytes, QUOTA_BYTES);
    assert_false(conf.history_keep);
}

static void unknown_settings_are_refused_with_file_and_line(void **state)
{
    (void) state;
    refused("[network]\n\nport = 5\n", 3, "[network] port");
    refused("[net]\nlisten = a:1\n", 2, "[net] listen");
    refused("listen = a:1\n", 1, "[] listen");
    refused("[log]\nlevel = info\nlevelx = info\nlevel = bad\n", 3, "levelx");
}

static void a_setting_given_twice_is_refused(void **state)
{
    (void) state;
    refused("[log]\nlevel = info\nlevel = info\n", 3, "second time");
    refused("[log]\nlevel = info\n[quota]\nentries=1\n[log]\nlevel = info\n", 6, "second time");
    refused("[network]\nlisten = a:1\n  b:1\n", 3, "second time"); /* inih: a folded line */
}

static void lines_that_are_no_setting_are_refused(void **state)
{
    (void) state;
    refused("[log]\nlevel\n", 2, "not a setting");
    refused("[log\nlevel = info\n", 1, "not a setting");
}

static void bad_values_are_refused_with_what_to_write(void **state)
{
    (void) state;
    refused("[network]\nlisten = nowhere\n", 2, "HOST:PORT");
    refused("[network]\nmax_links = 0\n", 2, "from 1 to 64");
    refused("[network]\nmax_links = 65\n", 2, "from 1 to 64");
    refused("[network]\nmax_links =\n", 2, "from 1 to 64");
    refused("[network]\nmax_links = 1k\n", 2, "from 1 to 64");
    refused("[network]\nmax_links = -1\n", 2, "from 1 to 64");
    refused("[quota]\nbytes = 99999999999999999999999\n", 2, "from 65536 to");
    refused("[log]\nlevel = loud\n", 2, "warning");
    refused("[roles]\nagent = a b\n", 2, "group");
    refused("[control]\nsocket = run/x.sock\n", 2, "full path");
    refused("[history]\nkeep = maybe\n", 2, "yes or no");
    refused("[history]\nkeep =\n", 2, "yes or no");
    assert_false(parsed("[history]\nkeep = no\n").history_keep);
    assert_int_equal(parsed("[network]\nmax_links = 64\n").network_max_links, 64);
    assert_int_equal(parsed("[network]\nmax_links = 1\n").network_max_links, 1);
}

static void names_and_paths_fit_exactly(void **state)
{
    (void) state;
    char text[256] = "[roles]\nagent = ";
    size_t at = strlen(text);
    memset(text + at, 'g', CONF_GROUP_MAX);
    assert_int_equal(strlen(parsed(text).roles_agent), CONF_GROUP_MAX);
    text[at + CONF_GROUP_MAX] = 'g';
    refused(text, 2, "group");
    char path[256] = "[control]\nsocket = /";
    at = strlen(path);
    memset(path + at, 'p', CONF_PATH_MAX - 1);
    assert_int_equal(strlen(parsed(path).control_socket), CONF_PATH_MAX);
    path[at + CONF_PATH_MAX - 1] = 'p';
    refused(path, 2, "full path");
}

static void long_lines_are_refused_not_split(void **state)
{
    (void) state;
    char text[512] = "[log]\n;";
    size_t at = strlen("[log]\n");
    memset(text + at, ';', CONF_LINE_MAX);
    memcpy(text + at + CONF_LINE_MAX, "\nlevel = debug\n", 16);
    assert_int_equal(parsed(text).log_level, CONF_DEBUG);
    memset(text + at, ';', CONF_LINE_MAX + 1);
    memcpy(text + at + CONF_LINE_MAX + 1, "\nlevel = debug\n", 16);
    refused(text, 2, "too long");
}

static void bytes_no_text_has_are_refused(void **state)
{
    (void) state;
    struct conf conf;
    struct say say = {0};
    assert_err(conf_parse("f", bytes_of("[log]\nlevel = in\0fo\n", 20), &conf, &say), ERR_CONFIG);
    assert_non_null(strstr(say.text, "f:2:"));
    refused("[log]\nlevel = \x1b[31m\n", 2, "not a line of text");
    refused("[log]\nlevel = \xff\n", 2, "not a line of text");
    refused("# \x7f\n", 1, "not a line of text");
}

static void what_init_writes_is_what_the_daemon_loads(void **state)
{
    (void) state;
    char dir[] = "/tmp/essaim-conf-XXXXXX";
    char path[64];
    struct conf conf;
    struct say say = {0};
    assert_non_null(mkdtemp(dir));
    (void) snprintf(path, sizeof path, "%s/" CONF_FILE, dir);
    assert_err(conf_load(dir, &conf, &say), ERR_CONFIG);
    assert_non_null(strstr(say.text, "essaim init"));
    assert_err(conf_write(dir, "nowhere"), ERR_INVALID);
    assert_int_equal(access(path, F_OK), -1);
    assert_err(conf_write(dir, "127.0.0.1:7700"), ERR_OK);
    struct stat seen;
    assert_int_equal(stat(path, &seen), 0);
    assert_int_equal(seen.st_mode & 07777, 0600);
    assert_err(conf_load(dir, &conf, &say), ERR_OK);
    assert_string_equal(conf.network_listen, "127.0.0.1:7700");
    assert_err(conf_write(dir, NULL), ERR_EXISTS);
    assert_int_equal(truncate(path, CONF_SIZE_MAX + 1), 0);
    assert_err(conf_load(dir, &conf, &say), ERR_CONFIG);
    assert_non_null(strstr(say.text, "64 KiB"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_committed_example_is_what_the_table_writes),
        cmocka_unit_test(the_example_sets_every_key_once_with_a_comment_above_and_its_default),
        cmocka_unit_test(every_setting_is_read),
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(unknown_settings_are_refused_with_file_and_line),
        cmocka_unit_test(a_setting_given_twice_is_refused),
        cmocka_unit_test(lines_that_are_no_setting_are_refused),
        cmocka_unit_test(bad_values_are_refused_with_what_to_write),
        cmocka_unit_test(names_and_paths_fit_exactly),
        cmocka_unit_test(long_lines_are_refused_not_split),
        cmocka_unit_test(bytes_no_text_has_are_refused),
        cmocka_unit_test(what_init_writes_is_what_the_daemon_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
