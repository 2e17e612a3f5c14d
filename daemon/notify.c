/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/notify.c: see notify.h. Cannot fail. */
#include "daemon/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size >= sizeof to.sun_path) {
        return;
    }
    memcpy(to.sun_path, path, size);
    if (to.sun_path[0] == '@') { /* an abstract name */
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t to_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + size);
    (void) sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *) &to,
                  to_size);
    (void) close(fd);
}

/* A decimal number; 0 for anything else. */
static uint64_t number_of(const char *text)
{
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return 0;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? value : 0;
}

uint64_t notify_watchdog_ms(void)
{
    const char *pid = getenv("WATCHDOG_PID");
    if (pid != NULL && number_of(pid) != (uint64_t) getpid()) {
        return 0;
    }
    uint64_t period_us = number_of(getenv("WATCHDOG_USEC"));
    return period_us == 0 ? 0 : (period_us < 2000 ? 1 : period_us / 2000);
}
