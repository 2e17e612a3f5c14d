/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/build.h: builds one record, value by value, into canonical msgpack.
 *
 * The JSON and the YAML reader feed it in input order: build_start, then one build_map with keys
 * and values inside, closed by build_close; build_finish. Maps are sorted as they close, duplicate
 * keys refused, empty (null) fields dropped, `kind` and `slug` of the outermost map taken out. What
 * remains is the body. `at` says where in the input a value begins, in whatever way the reader
 * counts; it comes back in build->flaw_at. Every function fails with ERR_FIELD, ERR_SIZE, ERR_SLUG
 * or ERR_NOMEM and fills build->flaw (field, text, hint); the record is then lost.
 */
#ifndef ESSAIM_CLI_BUILD_H
#define ESSAIM_CLI_BUILD_H

#include <stdbool.h>

#include "base/buf.h"
#include "cli/flaw.h"

/* The outermost map, two nodes more for each of kind and slug. */
#define BUILD_NODES_MAX (BODY_NODES_MAX + 4)

struct build_member {
    uint32_t start, end;    /* of key and value, in build->out */
    uint32_t key, key_size; /* of the key's text */
    uint64_t at;            /* of the key, in the input */
    bool drop;              /* null, or taken out */
};

struct build_frame {
    uint32_t head;    /* where the one byte kept for the head is, in build->out */
    unsigned members; /* map: first of its members */
    unsigned count;   /* items, or members */
    bool map, sorted, dropping;
};

struct build {
    struct buf out;     /* after build_finish: the body */
    struct buf scratch; /* of the sort */
    struct build_frame frames[PACK_DEPTH_MAX];
    unsigned depth;
    unsigned nodes;
    unsigned member_count;
    struct build_member members[BUILD_NODES_MAX];
    char slug[SLUG_SIZE_MAX + 1], kind[KIND_SIZE_MAX + 1]; /* "" until met */
    uint64_t start_at, slug_at, kind_at;
    struct flaw flaw;
    uint64_t flaw_at;
    /* Looking for a field's place: set before build_start. */
    const char *want; /* a path such as "orgs[2].role"; NULL for none */
    uint64_t want_at; /* where it is, or the nearest thing around it */
    size_t want_size; /* how much of the path was found */
};

void build_init(struct build *build);
void build_done(struct build *build);

void build_start(struct build *build);
MUST_USE enum err build_map(struct build *build, uint64_t at);
MUST_USE enum err build_array(struct build *build, uint64_t at);
MUST_USE enum err build_close(struct build *build); /* the innermost map or array */
MUST_USE enum err build_key(struct build *build, struct bytes text, uint64_t at);
MUST_USE enum err build_str(struct build *build, struct bytes text, uint64_t at);
MUST_USE enum err build_uint(struct build *build, uint64_t value, uint64_t at);
MUST_USE enum err build_int(struct build *build, int64_t value, uint64_t at);
MUST_USE enum err build_bool(struct build *build, bool value, uint64_t at);
MUST_USE enum err build_null(struct build *build, uint64_t at);
/* kind and slug must be there now. */
MUST_USE enum err build_finish(struct build *build);

/* For readers that find something wrong themselves: field and place are filled in. */
enum err build_refuse(struct build *build, enum err err, uint64_t at, const char *text,
                      const char *hint);

/* Inside a map, and a key comes next? Readers use it to tell keys from values. */
bool build_in_map(const struct build *build);

#endif
