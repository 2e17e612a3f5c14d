/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/roles.h: who may do what on the control socket: from the kernel's word about the other
 * side (SO_PEERCRED, SO_PEERGROUPS: uid and groups, never the pid) and the groups of [roles].
 * Default deny.
 */
#ifndef ESSAIM_DAEMON_ROLES_H
#define ESSAIM_DAEMON_ROLES_H

#include <sys/types.h>

#include "conf/conf.h"
#include "proto/ctl.h"

#define ROLES_GROUPS_MAX 1024 /* of one caller; with more only the main group counts */

struct roles {
    uid_t owner;                  /* of the data directory */
    gid_t groups[ROLE_ADMIN + 1]; /* by role */
    bool set[ROLE_ADMIN + 1];
};

/* Looks the groups up. ERR_CONFIG with a sentence when one does not exist. */
MUST_USE enum err roles_load(const struct conf *conf, uid_t owner, struct roles *ret_roles,
                             struct say *ret_say);

/* Pure: the highest role that uid and groups give. */
enum role roles_of(const struct roles *roles, uid_t uid, const gid_t *groups, size_t count);

/* Of the other side of a connected Unix socket; ROLE_NONE when the kernel does not tell. */
enum role roles_of_socket(const struct roles *roles, int fd);

#endif
