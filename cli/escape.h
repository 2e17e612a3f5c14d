/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/escape.h: makes foreign text safe to show.
 *
 * Control characters (C0, DEL, C1), bidirectional controls, zero-width and invisible characters,
 * line and paragraph separators, tag characters and whatever this system cannot print become
 * \u{XXXX}; bytes that are no UTF-8 become \x{XX}. Nothing here fails but by memory (buf->err).
 */
#ifndef ESSAIM_CLI_ESCAPE_H
#define ESSAIM_CLI_ESCAPE_H

#include "base/buf.h"

enum escape_mode {
    ESCAPE_LINE,  /* a terminal, one line: tab and line ends become \t \n \r */
    ESCAPE_FIELD, /* a tab-separated field: the same, and a backslash doubled, so that it reverses
                   */
    ESCAPE_BLOCK, /* a terminal, several lines: line feeds stay */
    ESCAPE_JSON   /* inside a JSON string: as JSON writes them, the value intact */
};

void escape_put(struct buf *into, struct bytes text, enum escape_mode mode);

/* Would this character hide, reorder or act, instead of being seen? */
bool escape_needed(uint32_t code);

/* Columns that text takes on a terminal; text must be escaped already. */
size_t escape_width(struct bytes text);
/* The longest beginning of at most `width` columns: its size in bytes. */
size_t escape_cut(struct bytes text, size_t width);

#endif
