/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/fuzz/scratch.c: see scratch.h. About a millisecond a run. */
#include "tests/fuzz/scratch.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static char directory[200], store_path[220], data_path[240], lock_path[240];
static struct buf image; /* of data.mdb; empty until saved */

static void directory_remove(void)
{
    (void) unlink(data_path);
    (void) unlink(lock_path);
    (void) rmdir(store_path);
    (void) rmdir(directory);
}

const char *scratch_path(void)
{
    if (directory[0] != '\0') {
        return store_path;
    }
    const char *top = getenv("ESSAIM_SIM_DIR");
    (void) snprintf(directory, sizeof directory, "%.150s/essaim-fuzz-XXXXXX",
                    top != NULL ? top : "/dev/shm");
    must(mkdtemp(directory) != NULL);
    (void) snprintf(store_path, sizeof store_path, "%s/store", directory);
    (void) snprintf(data_path, sizeof data_path, "%s/data.mdb", store_path);
    (void) snprintf(lock_path, sizeof lock_path, "%s/lock.mdb", store_path);
    (void) atexit(directory_remove);
    return store_path;
}

const char *scratch_beside(void)
{
    static char path[240];
    (void) scratch_path();
    (void) snprintf(path, sizeof path, "%s/copy", directory);
    return path;
}

bool scratch_saved(void)
{
    return image.size > 0;
}

void scratch_restore(void)
{
    FILE *file = fopen(data_path, "wb");
    must(file != NULL);
    must(fwrite(image.data, 1, image.size, file) == image.size);
    must(fclose(file) == 0);
}

void scratch_save(void)
{
    FILE *file = fopen(data_path, "rb");
    must(file != NULL);
    struct stat stat;
    must(fstat(fileno(file), &stat) == 0);
    uint8_t *at = buf_extend(&image, (size_t) stat.st_size);
    must(at != NULL);
    must(fread(at, 1, image.size, file) == image.size);
    (void) fclose(file);
}
