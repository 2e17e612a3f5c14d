/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/conf.h: the settings of a daemon, DIR/essaimd.conf: one table.
 *
 * From the table come the parser, the checks, the commented example (conf/essaimd.conf.example) and
 * the file that `essaim init` writes. Adding a setting is one row.
 */
#ifndef ESSAIM_CONF_CONF_H
#define ESSAIM_CONF_CONF_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/limits.h"
#include "conf/address.h"
#include "conf/say.h"

#define CONF_FILE "essaimd.conf"
#define CONF_SIZE_MAX (64 * 1024)
#define CONF_LINE_MAX 190 /* bytes; inih splits at 200 */
#define CONF_GROUP_MAX 63
#define CONF_PATH_MAX 107 /* what a Unix socket's address holds */

/* clang-format off */
/* section, key, type, default (text, or the number of a COUNT), least, most, help (lines of the
 * example).
 * Types: ADDRESS (empty or host:port), COUNT (a number), LEVEL (error warning info debug),
 * GROUP (empty, or a Unix group's name), PATH (empty, or a full path), YESNO (yes or no). */
#define CONF_TABLE(X) \
    X(network, listen, ADDRESS, "", 0, 0, \
      "Where other labs' daemons reach this one: HOST:PORT, [IPv6]:PORT, or *:PORT for every\n" \
      "address of this machine. Empty: this daemon only dials out, as behind a NAT.") \
    X(network, max_links, COUNT, PEERS_MAX, 1, PEERS_MAX, \
      "Links with other labs at once.") \
    X(log, level, LEVEL, "info", 0, 0, \
      "The least serious messages to log: error, warning, info or debug.") \
    X(control, socket, PATH, "", 0, 0, \
      "A second control socket, beside the one in the data directory, for people who may not\n" \
      "enter that directory: a full path such as /run/essaim/control.sock (mode 0660, so its\n" \
      "users must be in the daemon's group, too). Empty: none.") \
    X(roles, reader, GROUP, "", 0, 0, \
      "Unix groups whose members may use the control socket, one a role, each role with the\n" \
      "rights of those before it. Empty: nobody. The owner of the data directory and root are\n" \
      "always admin. A reader may look.") \
    X(roles, agent, GROUP, "", 0, 0, \
      "An agent may publish and withdraw, too.") \
    X(roles, coordinator, GROUP, "", 0, 0, \
      "A coordinator may admit labs, too.") \
    X(roles, admin, GROUP, "", 0, 0, \
      "An admin may do everything, such as choosing peers.") \
    X(quota, entries, COUNT, QUOTA_ENTRIES, 1, 10000000, \
      "The most entries one catalogue may have here.") \
    X(quota, bytes, COUNT, QUOTA_BYTES, 65536, 1099511627776, \
      "The most bytes one catalogue may have here.") \
    X(history, keep, YESNO, "no", 0, 0, \
      "Whether former revisions of this lab's own entries are kept for `essaim history`: yes or\n" \
      "no. They stay on this machine. With no, those kept so far are erased at the next start.")
/* clang-format on */

enum conf_level { CONF_ERROR = 3, CONF_WARNING = 4, CONF_INFO = 6, CONF_DEBUG = 7 }; /* syslog */

/* One member per row: section_key. */
#define CONF_FIELD_ADDRESS(name) char name[ADDRESS_TEXT_MAX];
#define CONF_FIELD_COUNT(name) uint64_t name;
#define CONF_FIELD_LEVEL(name) enum conf_level name;
#define CONF_FIELD_GROUP(name) char name[CONF_GROUP_MAX + 1];
#define CONF_FIELD_PATH(name) char name[CONF_PATH_MAX + 1];
#define CONF_FIELD_YESNO(name) bool name;
#define CONF_FIELD_ROW(section, key, type, preset, least, most, help)                              \
    CONF_FIELD_##type(section##_##key)
struct conf {
    CONF_TABLE(CONF_FIELD_ROW)
};
#undef CONF_FIELD_ROW

/* Every setting at its default. */
void conf_default(struct conf *ret_conf);

/* Parses the text of a file; `name` is its name for the sentences. Pure. ERR_CONFIG: a line that is
 * no setting, an unknown or repeated one, a value out of bounds, a line over CONF_LINE_MAX bytes, a
 * byte no text has; `ret_say` (may be NULL) names file, line, cause and next step. */
MUST_USE enum err conf_parse(const char *name, struct bytes text, struct conf *ret_conf,
                             struct say *ret_say);

/* conf_parse of DIR/essaimd.conf. ERR_CONFIG also when it cannot be read. */
MUST_USE enum err conf_load(const char *dir, struct conf *ret_conf, struct say *ret_say);

/* "error", "warning", "info", "debug". ERR_INVALID. */
MUST_USE enum err conf_level_parse(const char *text, enum conf_level *ret_level);

/* The commented example, with network.listen = `listen` (NULL: the default). */
void conf_example(const char *listen, struct buf *into);

/* Writes DIR/essaimd.conf (0600). ERR_INVALID for a bad `listen`, ERR_EXISTS, ERR_IO,
 * ERR_FULL, ERR_NOMEM. */
MUST_USE enum err conf_write(const char *dir, const char *listen);

#endif
