/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/say.h: what went wrong with a file of the operator, in one line: the file, the cause and the
 * next step. Printed by whoever has a terminal or a log; control bytes are escaped already. */
#ifndef ESSAIM_CONF_SAY_H
#define ESSAIM_CONF_SAY_H

#define SAY_SIZE_MAX 768

struct say {
    char text[SAY_SIZE_MAX]; /* NUL-terminated, cut if need be */
};

/* Formats; bytes below space and DEL become '?'. `say` may be NULL. */
void say_set(struct say *say, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
