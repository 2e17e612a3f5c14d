/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/roles.c: see roles.h. Whatever fails gives no right. */
#include "daemon/roles.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define GROUP_SIZE_MAX (256 * 1024) /* of one line of the group database */

static enum err group_find(const char *name, gid_t *ret_group)
{
    struct group row;
    struct group *found = NULL;
    size_t size = 4096;
    int code = ERANGE;
    while (code == ERANGE && size <= GROUP_SIZE_MAX) {
        char *room = malloc(size);
        if (room == NULL) {
            return ERR_NOMEM;
        }
        code = getgrnam_r(name, &row, room, size, &found);
        gid_t group = code == 0 && found != NULL ? found->gr_gid : 0;
        free(room);
        if (code == 0 && found != NULL) {
            *ret_group = group;
            return ERR_OK;
        }
        size *= 4;
    }
    return ERR_NOT_FOUND;
}

enum err roles_load(const struct conf *conf, uid_t owner, struct roles *ret_roles,
                    struct say *ret_say)
{
    const char *const names[] = {
        [ROLE_READER] = conf->roles_reader,
        [ROLE_AGENT] = conf->roles_agent,
        [ROLE_COORDINATOR] = conf->roles_coordinator,
        [ROLE_ADMIN] = conf->roles_admin,
    };
    struct roles roles = {.owner = owner};
    for (int role = ROLE_READER; role <= ROLE_ADMIN; role++) {
        if (names[role][0] == '\0') {
            continue;
        }
        if (group_find(names[role], &roles.groups[role]) != ERR_OK) {
            say_set(ret_say,
                    CONF_FILE ": [roles] %s = %s: no such Unix group; create it, or "
                              "leave the value empty",
                    role_name((enum role) role), names[role]);
            return ERR_CONFIG;
        }
        roles.set[role] = true;
    }
    *ret_roles = roles;
    return ERR_OK;
}

enum role roles_of(const struct roles *roles, uid_t uid, const gid_t *groups, size_t count)
{
    if (uid == 0 || uid == roles->owner) {
        return ROLE_ADMIN;
    }
    for (int role = ROLE_ADMIN; role >= ROLE_READER; role--) {
        for (size_t i = 0; i < count && roles->set[role]; i++) {
            if (groups[i] == roles->groups[role]) {
                return (enum role) role;
            }
        }
    }
    return ROLE_NONE;
}

enum role roles_of_socket(const struct roles *roles, int fd)
{
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || size != sizeof who) {
        return ROLE_NONE;
    }
    gid_t groups[1 + ROLES_GROUPS_MAX];
    groups[0] = who.gid;
    size = ROLES_GROUPS_MAX * sizeof groups[0];
    size_t count = 1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) == 0) {
        count += size / sizeof groups[0];
    }
    return roles_of(roles, who.uid, groups, count);
}
