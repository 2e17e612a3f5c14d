/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/lang.c: no locale need be installed. The C.UTF-8 locale of libc itself is enough for gettext
 * to look at LANGUAGE, which we set; the catalogue is found beside the program.
 */
#include "cli/lang.h"

#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/text.h"

void lang_wanted(const char *option, char ret_tag[LANG_SIZE_MAX])
{
    static const char *const names[] = {"ESSAIM_LANG", "LC_ALL", "LC_MESSAGES", "LANG"};
    const char *found = option;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (found == NULL || found[0] == '\0') {
            found = getenv(names[i]);
        }
    }
    size_t size = found == NULL ? 0 : strcspn(found, ".@:");
    if (size == 0 || size >= LANG_SIZE_MAX || strncmp(found, "C", size) == 0 ||
        strncmp(found, "POSIX", size) == 0) {
        (void) snprintf(ret_tag, LANG_SIZE_MAX, "fr");
        return;
    }
    for (size_t i = 0; i < size; i++) {
        ret_tag[i] = found[i] == '_' ? '-' : found[i];
    }
    ret_tag[size] = '\0';
}

bool lang_is_english(const char *tag)
{
    return strncasecmp(tag, "en", 2) == 0 && (tag[2] == '\0' || tag[2] == '-');
}

/* PREFIX/bin/essaim has PREFIX/share/locale; BUILD/cli/essaim has BUILD/po. */
static bool catalogue_dir(char ret_dir[PATH_MAX])
{
    static const char *const places[] = {"../share/locale", "../po"};
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size <= 0) {
        return false;
    }
    program[size] = '\0';
    char *slash = strrchr(program, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char file[PATH_MAX + 64];
        int dir_size = snprintf(ret_dir, PATH_MAX, "%s/%s", program, places[i]);
        (void) snprintf(file, sizeof file, "%s/fr/LC_MESSAGES/" TEXT_DOMAIN ".mo", ret_dir);
        if (dir_size > 0 && dir_size < PATH_MAX && access(file, R_OK) == 0) {
            return true;
        }
    }
    return false;
}

void lang_start(const char *tag)
{
    char found[PATH_MAX];
    const char *dir = getenv("ESSAIM_LOCALEDIR");
    if (dir == NULL || dir[0] == '\0') {
        dir = catalogue_dir(found) ? found : NULL;
    }
    if (setlocale(LC_ALL, "C.UTF-8") == NULL) {
        return;
    }
    (void) setenv("LANGUAGE", lang_is_english(tag) ? "en" : "fr", 1);
    if (dir != NULL) {
        (void) bindtextdomain(TEXT_DOMAIN, dir);
    }
    (void) bind_textdomain_codeset(TEXT_DOMAIN, "UTF-8");
    (void) textdomain(TEXT_DOMAIN);
}

static const char *text_of(const json_t *map, const char *tag, const char **ret_tag)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *) map, key, value)
    {
        if (strcasecmp(key, tag) == 0 && json_string_length(value) > 0) {
            *ret_tag = key;
            return json_string_value(value);
        }
    }
    return NULL;
}

static const char *text_of_parents(const json_t *map, const char *wanted, const char **ret_tag)
{
    char tag[LANG_SIZE_MAX];
    (void) snprintf(tag, sizeof tag, "%s", wanted);
    while (tag[0] != '\0') {
        const char *text = text_of(map, tag, ret_tag);
        if (text != NULL) {
            return text;
        }
        char *hyphen = strrchr(tag, '-');
        *(hyphen == NULL ? tag : hyphen) = '\0';
    }
    return NULL;
}

static const char *text_of_first(const json_t *map, const char **ret_tag)
{
    const char *first = NULL;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *) map, key, value)
    {
        if (json_string_length(value) > 0 && (first == NULL || strcmp(key, first) < 0)) {
            first = key;
        }
    }
    return first == NULL ? NULL : text_of(map, first, ret_tag);
}

const char *lang_pick(const json_t *value, const char *wanted, const char *entry_lang,
                      const char **ret_tag)
{
    if (json_is_string(value)) {
        *ret_tag = entry_lang;
        return json_string_length(value) > 0 ? json_string_value(value) : NULL;
    }
    if (!json_is_object(value)) {
        return NULL;
    }
    const char *const tags[] = {wanted, entry_lang, "en"};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        const char *text = text_of_parents(value, tags[i], ret_tag);
        if (text != NULL) {
            return text;
        }
    }
    return text_of_first(value, ret_tag);
}
