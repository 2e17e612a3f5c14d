/* SPDX-License-Identifier: EUPL-1.2 */
/* base/err.c: the one table of errors, read by code, by text and by exit code. */
#include "base/err.h"

#include <stddef.h>
#include <string.h>

struct err_row {
    const char *code;
    const char *text;
    int exit_code;
};

#define ERR_ROW(name, code_, exit_, text_)                                                         \
    [ERR_##name] = {.code = (code_), .text = (text_), .exit_code = (exit_)},
static const struct err_row err_rows[ERR_COUNT] = {ERR_TABLE(ERR_ROW)};
#undef ERR_ROW

static const struct err_row *err_row(enum err err)
{
    size_t index = (size_t) err;
    return &err_rows[index < ERR_COUNT ? index : ERR_INTERNAL];
}

const char *err_code(enum err err)
{
    return err_row(err)->code;
}

const char *err_text(enum err err)
{
    return err_row(err)->text;
}

int err_exit(enum err err)
{
    return err_row(err)->exit_code;
}

enum err err_from_code(const char *code)
{
    for (size_t i = 0; i < ERR_COUNT; i++) {
        if (strcmp(err_rows[i].code, code) == 0) {
            return (enum err) i;
        }
    }
    return ERR_INTERNAL;
}
