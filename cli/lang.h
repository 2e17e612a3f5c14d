/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/lang.h: which language to speak, and which text of a language map to show (one rule each). */
#ifndef ESSAIM_CLI_LANG_H
#define ESSAIM_CLI_LANG_H

#include <jansson.h>
#include <stdbool.h>

#define LANG_SIZE_MAX 36

/* --lang, else ESSAIM_LANG, LC_ALL, LC_MESSAGES, LANG: the first that is set and not empty, as a
 * BCP 47 tag ("en_US.UTF-8" is "en-US"). "fr" where none is, and for C and POSIX. */
void lang_wanted(const char *option, char ret_tag[LANG_SIZE_MAX]);

/* Messages are English for en and en-…, French for everything else. */
bool lang_is_english(const char *tag);

/* Sets up gettext for `tag`. Without catalogue or locale the program still works, in English. */
void lang_start(const char *tag);

/* The text of a language map: the wanted tag, its parents (fr-CA, fr), the entry's own language,
 * "en", the first tag in byte order; a plain string is of the entry's language. Empty texts do not
 * count. NULL when there is none; *ret_tag says which language it is. */
const char *lang_pick(const json_t *value, const char *wanted, const char *entry_lang,
                      const char **ret_tag);

#endif
