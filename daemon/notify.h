/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/notify.h: tells the service manager how we are (sd_notify(3), own implementation: one
 * datagram to $NOTIFY_SOCKET). Without a manager nothing happens. */
#ifndef ESSAIM_DAEMON_NOTIFY_H
#define ESSAIM_DAEMON_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", … Failures are ignored: the manager has time limits. */
void notify_send(const char *state);

/* How often WATCHDOG=1 must be sent: half of $WATCHDOG_USEC. 0 = not wanted. */
uint64_t notify_watchdog_ms(void);

#endif
