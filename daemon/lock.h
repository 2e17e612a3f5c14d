/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/lock.h: one daemon a directory: flock(2) on DIR/lock, held as long as the process lives.
 */
#ifndef ESSAIM_DAEMON_LOCK_H
#define ESSAIM_DAEMON_LOCK_H

#include "base/err.h"
#include "conf/say.h"

/* Takes the lock and writes our pid into the file. ERR_LOCKED when another process has it (its pid
 * is in the sentence), ERR_IO. The descriptor stays open until lock_release. */
MUST_USE enum err lock_take(const char *dir, int *ret_fd, struct say *ret_say);
void lock_release(int fd); /* accepts -1 */

#endif
