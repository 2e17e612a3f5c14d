/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/fault.c: see fault.h. This program's own mdb_* and msgpack_unpack_next stand before the
 * libraries' and hand on to them; malloc and the like come by way of the linker's --wrap.
 */
#include "tests/sim/fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <lmdb.h>
#include <msgpack.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/sim/state.h"

#define FAULT_DEPTH 7
#define SEEN_COUNT (1u << 16)

static enum fault_kind wanted;
static bool struck, telling;
static void *where[FAULT_DEPTH + 2]; /* the innermost two are ours */
static int where_count;
static uint64_t seen[SEEN_COUNT]; /* 0: free */
static unsigned sample = 1, places[FAULT_ROOM + 1];

/* A place that was never met before. */
static bool fresh(enum fault_kind kind)
{
    uint64_t hash = 0xcbf29ce484222325ull + kind;
    where_count = backtrace(where, FAULT_DEPTH + 2);
    for (int i = 2; i < where_count; i++) {
        hash = (hash ^ (uint64_t) (uintptr_t) where[i]) * 0x100000001b3ull;
        hash ^= hash >> 29;
    }
    size_t at = hash % SEEN_COUNT;
    while (seen[at] != 0 && seen[at] != hash) {
        at = (at + 1) % SEEN_COUNT;
    }
    bool known = seen[at] == hash;
    seen[at] = hash;
    return !known && (hash >> 32) % sample == 0;
}

static __attribute__((noinline)) bool fault(enum fault_kind kind)
{
    if (kind != wanted || struck || !sim_inside || !fresh(kind)) {
        return false;
    }
    struck = sim_faulted = true;
    places[kind]++;
    if (telling) {
        fault_tell();
    }
    return true;
}

void fault_begin(enum fault_kind kind)
{
    void *first[1];
    (void) backtrace(first, 1); /* it loads what it needs now */
    telling = getenv("FAULT_LOG") != NULL;
    wanted = kind;
    struck = false;
    sim_fault_err = ERR_OK;
}

bool fault_end(void)
{
    wanted = FAULT_NONE;
    return struck;
}

void fault_tell(void)
{
    backtrace_symbols_fd(where, where_count, STDERR_FILENO);
}

void fault_sample(unsigned of)
{
    sample = of;
}

unsigned fault_places(enum fault_kind kind)
{
    return places[kind];
}

/* ---- no memory ---- */

#define WRAPPED(name, params, args)                                                                \
    void *__real_##name params;                                                                    \
    void *__wrap_##name params;                                                                    \
    void *__wrap_##name params                                                                     \
    {                                                                                              \
        return fault(FAULT_MEMORY) ? NULL : __real_##name args;                                    \
    }
WRAPPED(malloc, (size_t size), (size))
WRAPPED(calloc, (size_t count, size_t size), (count, size))
WRAPPED(realloc, (void *old, size_t size), (old, size))

static __attribute__((noinline)) int reads(void)
{
    return fault(FAULT_EIO) ? EIO : fault(FAULT_ROT) ? MDB_CORRUPTED : 0;
}

static __attribute__((noinline)) int writes(void)
{
    return fault(FAULT_EIO) ? EIO : fault(FAULT_ROOM) ? MDB_MAP_FULL : 0;
}

static void *next_of(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    must(found != NULL);
    return found;
}

#define HANDS_ON(type, name, params, args, broken, value)                                          \
    type name params                                                                               \
    {                                                                                              \
        static type(*next) params;                                                                 \
        if (next == NULL) {                                                                        \
            next = (__typeof__(next)) next_of(#name);                                              \
        }                                                                                          \
        return (broken) ? (value) : next args;                                                     \
    }

HANDS_ON(msgpack_unpack_return, msgpack_unpack_next,
         (msgpack_unpacked * result, const char *bytes, size_t size, size_t *at),
         (result, bytes, size, at), fault(FAULT_MEMORY), MSGPACK_UNPACK_NOMEM_ERROR)

/* ---- LMDB ---- */

#define READS(name, params, args)                                                                  \
    int name params                                                                                \
    {                                                                                              \
        static int(*next) params;                                                                  \
        if (next == NULL) {                                                                        \
            next = (__typeof__(next)) next_of(#name);                                              \
        }                                                                                          \
        int code = reads();                                                                        \
        return code != 0 ? code : next args;                                                       \
    }
#define WRITES(name, params, args)                                                                 \
    int name params                                                                                \
    {                                                                                              \
        static int(*next) params;                                                                  \
        if (next == NULL) {                                                                        \
            next = (__typeof__(next)) next_of(#name);                                              \
        }                                                                                          \
        int code = writes();                                                                       \
        return code != 0 ? code : next args;                                                       \
    }

READS(mdb_get, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *value), (txn, dbi, key, value))
READS(mdb_cursor_get, (MDB_cursor * cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op),
      (cursor, key, value, op))
WRITES(mdb_put, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags),
       (txn, dbi, key, value, flags))
WRITES(mdb_del, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *value), (txn, dbi, key, value))
WRITES(mdb_cursor_put, (MDB_cursor * cursor, MDB_val *key, MDB_val *value, unsigned flags),
       (cursor, key, value, flags))
WRITES(mdb_cursor_del, (MDB_cursor * cursor, unsigned flags), (cursor, flags))
HANDS_ON(int, mdb_cursor_open, (MDB_txn * txn, MDB_dbi dbi, MDB_cursor **cursor),
         (txn, dbi, cursor), fault(FAULT_EIO), EIO)
HANDS_ON(int, mdb_stat, (MDB_txn * txn, MDB_dbi dbi, MDB_stat *stat_), (txn, dbi, stat_),
         fault(FAULT_EIO), EIO)
HANDS_ON(int, mdb_txn_begin, (MDB_env * env, MDB_txn *parent, unsigned flags, MDB_txn **txn),
         (env, parent, flags, txn), fault(FAULT_EIO), EIO)
