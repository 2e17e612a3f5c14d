/* SPDX-License-Identifier: EUPL-1.2 */
/* conf/say.h: what went wrong with a file of the operator, in one line: the file, the cause and the
 * next step. Printed by whoever has a terminal or a log; control bytes are escaped already. */
#ifndef ESSAIM_CONF_SAY_H
#define ESSAIM_CONF_SAY_H

#define SAY_SIZE_MAX 768
#define SAY_PLACE_MAX 256

struct say {
    char text[SAY_SIZE_MAX]; /* NUL-terminated, cut if need be */
    /* The same in parts, where it was said in parts (else NULL): msgids, for who translates. */
    const char *cause, *next;
    char place[SAY_PLACE_MAX];
};

/* Formats; bytes below space and DEL become '?'. `say` may be NULL. */
void say_set(struct say *say, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "place: cause; next", with its parts. `cause` and `next` are constants. `say` may be NULL. */
void say_parts(struct say *say, const char *cause, const char *next, const char *place, ...)
    __attribute__((format(printf, 4, 5)));

#endif
