/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/bench/smaller_map.c: for LD_PRELOAD: an LMDB map small enough for valgrind, whose address
 * space does not hold the daemon's (costs.py).
 */
#include <dlfcn.h>
#include <lmdb.h>
#include <string.h>

#define MAP_SIZE_MAX ((size_t) 1 << 30)

int mdb_env_set_mapsize(MDB_env *env, size_t size)
{
    int (*set)(MDB_env *, size_t) = NULL;
    void *found = dlsym(RTLD_NEXT, "mdb_env_set_mapsize");
    memcpy(&set, &found, sizeof set);
    return set == NULL ? MDB_PANIC : set(env, size < MAP_SIZE_MAX ? size : MAP_SIZE_MAX);
}
