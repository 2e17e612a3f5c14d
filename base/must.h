/* SPDX-License-Identifier: EUPL-1.2 */
/* base/must.h: assertions for our own mistakes. Always on; prints and aborts. Never on what a peer,
 * a file or a user sent: those return errors. One fact per must. */
#ifndef ESSAIM_BASE_MUST_H
#define ESSAIM_BASE_MUST_H

#define must(x) ((x) ? (void) 0 : must_failed(#x, __FILE__, __LINE__))

__attribute__((noreturn, cold)) void must_failed(const char *fact, const char *file, int line);

#endif
