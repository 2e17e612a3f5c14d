/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/conf.c: see conf.h.
 *
 * Happy path: inih asks our reader for one line after the other (so that we count them and refuse
 * what it would split), and hands each setting to a handler that finds its row and sets its field.
 * The first failure is kept in `struct parse` and ends the parse; later calls do nothing.
 */
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/must.h"
#include "base/utf8.h"

enum type { TYPE_ADDRESS, TYPE_COUNT, TYPE_LEVEL, TYPE_GROUP, TYPE_PATH, TYPE_YESNO };

struct row {
    const char *section, *key, *preset, *help;
    enum type type;
    uint64_t preset_count, least, most;
    size_t field_at;
};

#define PRESET_ADDRESS preset
#define PRESET_COUNT preset_count
#define PRESET_LEVEL preset
#define PRESET_GROUP preset
#define PRESET_PATH preset
#define PRESET_YESNO preset
#define ROW(section_, key_, type_, preset_, least_, most_, help_)                                  \
    {.section = #section_,                                                                         \
     .key = #key_,                                                                                 \
     .PRESET_##type_ = (preset_),                                                                  \
     .help = (help_),                                                                              \
     .type = TYPE_##type_,                                                                         \
     .least = (least_),                                                                            \
     .most = (most_),                                                                              \
     .field_at = offsetof(struct conf, section_##_##key_)},
static const struct row rows[] = {CONF_TABLE(ROW)};
#undef ROW
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static const struct {
    const char *name;
    enum conf_level level;
} levels[] = {
    {"error", CONF_ERROR}, {"warning", CONF_WARNING}, {"info", CONF_INFO}, {"debug", CONF_DEBUG}};

struct parse {
    const char *name; /* of the file */
    struct bytes rest;
    unsigned line;
    struct conf *conf;
    struct say *say;
    bool failed;
    bool seen[ROW_COUNT];
};

enum err conf_level_parse(const char *text, enum conf_level *ret_level)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(levels[i].name, text) == 0) {
            *ret_level = levels[i].level;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

static enum err count_parse(const char *text, uint64_t least, uint64_t most, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text[0] == '\0' || strlen(text) > 18) {
        return ERR_INVALID;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return ERR_INVALID;
        }
        value = value * 10 + (uint64_t) (*at - '0');
    }
    if (value < least || value > most) {
        return ERR_INVALID;
    }
    *ret_value = value;
    return ERR_OK;
}

static bool group_valid(const char *text)
{
    if (strlen(text) > CONF_GROUP_MAX) {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at == ':' || *at == ',' || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Sets the row's field; ERR_INVALID leaves it as it was. */
static enum err field_set(const struct row *row, const char *value, struct conf *conf)
{
    char *field = (char *) conf + row->field_at;
    struct address address;
    uint64_t count = 0;
    enum conf_level level = CONF_INFO;
    bool yes = false;
    switch (row->type) {
    case TYPE_ADDRESS:
        if (value[0] != '\0' && address_parse(bytes_of_str(value), &address) != ERR_OK) {
            return ERR_INVALID;
        }
        (void) snprintf(field, ADDRESS_TEXT_MAX, "%s", value);
        return ERR_OK;
    case TYPE_COUNT:
        if (count_parse(value, row->least, row->most, &count) != ERR_OK) {
            return ERR_INVALID;
        }
        memcpy(field, &count, sizeof count);
        return ERR_OK;
    case TYPE_LEVEL:
        if (conf_level_parse(value, &level) != ERR_OK) {
            return ERR_INVALID;
        }
        memcpy(field, &level, sizeof level);
        return ERR_OK;
    case TYPE_GROUP:
        if (!group_valid(value)) {
            return ERR_INVALID;
        }
        (void) snprintf(field, CONF_GROUP_MAX + 1, "%s", value);
        return ERR_OK;
    case TYPE_PATH:
        if (value[0] != '\0' && (value[0] != '/' || strlen(value) > CONF_PATH_MAX)) {
            return ERR_INVALID;
        }
        (void) snprintf(field, CONF_PATH_MAX + 1, "%s", value);
        return ERR_OK;
    case TYPE_YESNO:
        yes = strcmp(value, "yes") == 0;
        if (!yes && strcmp(value, "no") != 0) {
            return ERR_INVALID;
        }
        memcpy(field, &yes, sizeof yes);
        return ERR_OK;
    }
    return ERR_INVALID;
}

static void value_wanted(const struct row *row, char *ret_text, size_t size)
{
    switch (row->type) {
    case TYPE_ADDRESS:
        (void) snprintf(ret_text, size, "write HOST:PORT, [IPv6]:PORT, *:PORT or nothing");
        return;
    case TYPE_COUNT:
        (void) snprintf(ret_text, size, "write a number from %llu to %llu",
                        (unsigned long long) row->least, (unsigned long long) row->most);
        return;
    case TYPE_LEVEL:
        (void) snprintf(ret_text, size, "write error, warning, info or debug");
        return;
    case TYPE_GROUP:
        (void) snprintf(ret_text, size, "write one Unix group's name, or nothing");
        return;
    case TYPE_PATH:
        (void) snprintf(ret_text, size, "write a full path of at most %d bytes, or nothing",
                        CONF_PATH_MAX);
        return;
    case TYPE_YESNO:
        (void) snprintf(ret_text, size, "write yes or no");
        return;
    }
}

static void fail(struct parse *parse, const char *cause, const char *what, const char *next)
{
    if (!parse->failed) {
        parse->failed = true;
        say_set(parse->say, "%s:%u: %s%s; %s", parse->name, parse->line, cause, what, next);
    }
}

/* inih's handler: 1 = went well, 0 = an error. */
static int handle(void *user, const char *section, const char *key, const char *value)
{
    struct parse *parse = user;
    if (parse->failed) {
        return 0;
    }
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].section, section) != 0 || strcmp(rows[i].key, key) != 0) {
            continue;
        }
        if (parse->seen[i]) {
            fail(parse, "set a second time: ", key, "keep one of the two lines");
            return 0;
        }
        parse->seen[i] = true;
        if (field_set(&rows[i], value, parse->conf) != ERR_OK) {
            char next[120];
            value_wanted(&rows[i], next, sizeof next);
            fail(parse, "bad value for ", key, next);
            return 0;
        }
        return 1;
    }
    char named[CONF_LINE_MAX + 8];
    (void) snprintf(named, sizeof named, "[%s] %s", section, key);
    fail(parse, "unknown setting ", named, "see essaimd.conf(5), or remove the line");
    return 0;
}

static bool line_text(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++) {
        if ((line.data[i] < 0x20 && line.data[i] != '\t') || line.data[i] == 0x7f) {
            return false;
        }
    }
    return utf8_valid(line);
}

/* inih's reader, as fgets: one line into `into`, or NULL at the end. */
static char *read_line(char *into, int size, void *stream)
{
    struct parse *parse = stream;
    if (parse->failed || parse->rest.size == 0) {
        return NULL;
    }
    const uint8_t *start = parse->rest.data;
    const uint8_t *feed = memchr(start, '\n', parse->rest.size);
    size_t line_size = feed == NULL ? parse->rest.size : (size_t) (feed - start);
    size_t used = feed == NULL ? line_size : line_size + 1;
    parse->line++;
    parse->rest = bytes_of(start + used, parse->rest.size - used);
    if (line_size > 0 && start[line_size - 1] == '\r') {
        line_size--;
    }
    if (line_size > CONF_LINE_MAX || (size_t) size < line_size + 2) {
        fail(parse, "line too long", "", "keep lines under 190 bytes");
        return NULL;
    }
    if (!line_text(bytes_of(start, line_size))) {
        fail(parse, "not a line of text", "", "write the line anew");
        return NULL;
    }
    if (start[0] == '[' && memchr(start, ']', line_size) == NULL) {
        fail(parse, "not a setting", "", "write [section]");
        return NULL; /* inih would tell only at the end, after complaints about what follows */
    }
    memcpy(into, start, line_size);
    into[line_size] = '\n';
    into[line_size + 1] = '\0';
    return into;
}

/* The default as it is written. */
static const char *preset_of(const struct row *row, char room[24])
{
    if (row->type != TYPE_COUNT) {
        return row->preset;
    }
    (void) snprintf(room, 24, "%llu", (unsigned long long) row->preset_count);
    return room;
}

void conf_default(struct conf *ret_conf)
{
    *ret_conf = (struct conf){0};
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char room[24];
        must(field_set(&rows[i], preset_of(&rows[i], room), ret_conf) == ERR_OK);
    }
}

enum err conf_parse(const char *name, struct bytes text, struct conf *ret_conf, struct say *ret_say)
{
    struct conf conf;
    conf_default(&conf);
    struct parse parse = {.name = name, .rest = text, .conf = &conf, .say = ret_say};
    int bad_line = ini_parse_stream(read_line, &parse, handle, &parse);
    if (bad_line != 0 && !parse.failed) {
        parse.line = bad_line > 0 ? (unsigned) bad_line : parse.line;
        fail(&parse, "not a setting", "", "write KEY = VALUE under a [section]");
    }
    if (parse.failed) {
        return ERR_CONFIG;
    }
    *ret_conf = conf;
    return ERR_OK;
}

static void fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void) close(*fd);
    }
}

enum err conf_load(const char *dir, struct conf *ret_conf, struct say *ret_say)
{
    char path[PATH_MAX];
    int path_size = snprintf(path, sizeof path, "%s/" CONF_FILE, dir);
    if (path_size < 0 || (size_t) path_size >= sizeof path) {
        say_set(ret_say, "%s: the path is too long; use a shorter one", dir);
        return ERR_CONFIG;
    }
    defer(fd_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        say_set(ret_say, "%s: %s; make a lab there with: essaim init", path,
                strerrordesc_np(errno));
        return ERR_CONFIG;
    }
    defer(buf_done) struct buf text = {0};
    uint8_t *into = buf_extend(&text, CONF_SIZE_MAX + 1);
    if (into == NULL) {
        return text.err;
    }
    size_t size = 0;
    ssize_t got = 1;
    while (size <= CONF_SIZE_MAX && got != 0) {
        got = read(fd, into + size, CONF_SIZE_MAX + 1 - size);
        if (got < 0 && errno != EINTR) {
            say_set(ret_say, "%s: %s; check the file", path, strerrordesc_np(errno));
            return ERR_CONFIG;
        }
        size += got > 0 ? (size_t) got : 0;
    }
    if (size > CONF_SIZE_MAX) {
        say_set(ret_say, "%s: over 64 KiB; write it anew from the example", path);
        return ERR_CONFIG;
    }
    return conf_parse(path, bytes_of(into, size), ret_conf, ret_say);
}

/* The help of a row as comment lines. */
static void help_print(const char *help, struct buf *into)
{
    while (*help != '\0') {
        size_t size = strcspn(help, "\n");
        buf_put_str(into, "# ");
        buf_put(into, bytes_of(help, size));
        buf_put_u8(into, '\n');
        help += size + (help[size] == '\n' ? 1 : 0);
    }
}

void conf_example(const char *listen, struct buf *into)
{
    buf_put_str(into, "# essaimd.conf: the settings of one lab's daemon, see essaimd.conf(5).\n"
                      "# Every setting is shown with its default. After a change: send SIGHUP for\n"
                      "# [log], [roles] and max_links; start the daemon anew for the others.\n");
    const char *section = "";
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            buf_printf(into, "\n[%s]\n", section);
        } else {
            buf_put_u8(into, '\n');
        }
        help_print(row->help, into);
        bool is_listen = row->field_at == offsetof(struct conf, network_listen);
        char room[24];
        const char *value = is_listen && listen != NULL ? listen : preset_of(row, room);
        buf_printf(into, "%s =%s%s\n", row->key, value[0] == '\0' ? "" : " ", value);
    }
}

static enum err err_of_errno(int code)
{
    if (code == EEXIST) {
        return ERR_EXISTS;
    }
    if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
        return ERR_FULL;
    }
    return code == ENOMEM ? ERR_NOMEM : ERR_IO;
}

enum err conf_write(const char *dir, const char *listen)
{
    struct address address;
    if (listen != NULL && listen[0] != '\0' &&
        (strlen(listen) > CONF_LINE_MAX - 16 ||
         address_parse(bytes_of_str(listen), &address) != ERR_OK)) {
        return ERR_INVALID;
    }
    defer(buf_done) struct buf text = {0};
    conf_example(listen, &text);
    if (text.err != ERR_OK) {
        return text.err;
    }
    char path[PATH_MAX];
    int path_size = snprintf(path, sizeof path, "%s/" CONF_FILE, dir);
    if (path_size < 0 || (size_t) path_size >= sizeof path) {
        return ERR_INVALID;
    }
    defer(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_of_errno(errno);
    }
    /* A few kilobytes: a short write means a full disk. */
    ssize_t done = write(fd, text.data, text.size);
    if (done != (ssize_t) text.size || fsync(fd) != 0) {
        enum err err = done >= 0 && (size_t) done < text.size ? ERR_FULL : err_of_errno(errno);
        (void) unlink(path);
        return err;
    }
    return ERR_OK;
}
