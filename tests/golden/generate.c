/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/golden/generate.c: makes vectors.json out of fixed keys, or compares it.
 *
 *     generate > vectors.json       writes the file anew
 *     generate vectors.json         exit 0 when the file is what we would write, 1 when not
 *
 * A difference means that bytes on the wire or on disk changed: other labs' nodes would no longer
 * agree. See README.md beside this file before writing it anew.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "base/must.h"
#include "tests/golden/golden.h"

static bool file_read(const char *path, struct buf *into)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    size_t size = 0;
    do {
        uint8_t *at = buf_extend(into, 65536);
        size = at == NULL ? 0 : fread(at, 1, 65536, file);
        into->size -= 65536 - size;
    } while (size > 0);
    bool good = ferror(file) == 0;
    (void) fclose(file);
    return good;
}

static int compare(const char *path, struct bytes wanted)
{
    defer(buf_done) struct buf got = {0};
    if (!file_read(path, &got)) {
        (void) fprintf(stderr, "generate: cannot read %s\n", path);
        return 1;
    }
    if (bytes_equal(buf_bytes(&got), wanted)) {
        return 0;
    }
    size_t line = 1;
    for (size_t i = 0; i < got.size && i < wanted.size && got.data[i] == wanted.data[i]; i++) {
        line += got.data[i] == '\n';
    }
    (void) fprintf(stderr, "generate: %s:%zu is not what proto/ makes today\n", path, line);
    return 1;
}

int main(int argc, char **argv)
{
    must(sodium_init() >= 0);
    struct golden *golden = calloc(1, sizeof *golden);
    must(golden != NULL);
    out_open(&golden->out, NULL, '{');
    golden_objects(golden);
    golden_forks(golden);
    golden_receipts(golden);
    golden_messages(golden);
    golden_link(golden);
    golden_bad(golden);
    out_close(&golden->out, '}');
    buf_put_str(&golden->out.text, "\n");
    must(golden->out.text.err == ERR_OK);
    struct bytes text = buf_bytes(&golden->out.text);
    int status = 0;
    if (argc > 1) {
        status = compare(argv[1], text);
    } else {
        status = fwrite(text.data, 1, text.size, stdout) == text.size ? 0 : 1;
    }
    buf_done(&golden->out.text);
    buf_done(&golden->a.record);
    buf_done(&golden->b.record);
    for (unsigned i = 0; i < GOLDEN_ENTRIES; i++) {
        buf_done(&golden->entries[i]);
    }
    for (unsigned i = 0; i < GOLDEN_CHAIN; i++) {
        buf_done(&golden->chain[i]);
        buf_done(&golden->catalogues[i]);
    }
    free(golden);
    return status;
}
