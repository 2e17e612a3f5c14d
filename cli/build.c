/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/build.c: one pass in input order, no tree.
 *
 *     out:   [map head][key][value][key][value]…        one byte is kept for the head of each
 *             ^frame    ^member start                   container; a closing map knows its members
 *
 * A map whose keys came in ascending order stays as it is. Otherwise its members are sorted and
 * copied in order through `scratch`. Then the head is written; where it needs three bytes the
 * content moves by two.
 *
 * Fails where a value cannot be canonical (depth, number of values, control characters), where a
 * key comes twice, and where kind or slug are no short texts.
 */
#include "cli/build.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/utf8.h"
#include "cli/text.h"
#include "proto/pack.h"

#define FIX_COUNT_MAX 15
#define INSERTION_COUNT_MAX 24

void build_init(struct build *build)
{
    memset(build, 0, sizeof *build);
}

void build_done(struct build *build)
{
    if (build == NULL) {
        return;
    }
    buf_done(&build->out);
    buf_done(&build->scratch);
}

void build_start(struct build *build)
{
    buf_clear(&build->out);
    build->depth = 0;
    build->nodes = 0;
    build->member_count = 0;
    build->slug[0] = '\0';
    build->kind[0] = '\0';
    build->want_size = 0;
}

bool build_in_map(const struct build *build)
{
    return build->depth > 0 && build->frames[build->depth - 1].map;
}

static struct bytes member_key(const struct build *build, const struct build_member *member)
{
    return bytes_of(build->out.data + member->key, member->key_size);
}

/* The path of the value under way, cut if need be. */
static void path_write(const struct build *build, char ret_path[FLAW_FIELD_MAX])
{
    size_t used = 0;
    ret_path[0] = '\0';
    for (unsigned i = 0; i < build->depth; i++) {
        const struct build_frame *frame = &build->frames[i];
        char *into = ret_path + used;
        size_t room = FLAW_FIELD_MAX - used;
        int size = 0;
        if (frame->map && frame->count > 0) {
            unsigned after =
                i + 1 < build->depth ? build->frames[i + 1].members : build->member_count;
            struct bytes key = member_key(build, &build->members[after - 1]);
            size = snprintf(into, room, "%s%.*s", used > 0 ? "." : "", (int) key.size,
                            (const char *) key.data);
        } else if (!frame->map) {
            size = snprintf(into, room, "[%u]", frame->count > 0 ? frame->count - 1 : 0);
        }
        used += size > 0 ? (size_t) size : 0;
        if (used >= FLAW_FIELD_MAX) {
            return;
        }
    }
}

enum err build_refuse(struct build *build, enum err err, uint64_t at, const char *text,
                      const char *hint)
{
    (void) flaw_set(&build->flaw, err, text, hint);
    if (err != ERR_SYNTAX) { /* there the place says all, and the path may not be the right one */
        path_write(build, build->flaw.field);
    }
    (void) snprintf(build->flaw.slug, sizeof build->flaw.slug, "%s", build->slug);
    build->flaw_at = at;
    return err;
}

/* Remembers where the wanted path, or the longest beginning of it, is. */
static void want_check(struct build *build, uint64_t at)
{
    char path[FLAW_FIELD_MAX];
    path_write(build, path);
    size_t size = strlen(path);
    bool inside = strncmp(build->want, path, size) == 0 &&
                  (size == 0 || build->want[size] == '\0' || build->want[size] == '.' ||
                   build->want[size] == '[');
    if (inside && (size > build->want_size || build->depth == 0)) {
        build->want_size = size;
        build->want_at = at;
    }
}

static enum err check_out(struct build *build, uint64_t at)
{
    if (build->out.err != ERR_OK) {
        return build_refuse(build, build->out.err, at, NULL, NULL);
    }
    return ERR_OK;
}

/* What every value has in common. */
static enum err value_begin(struct build *build, uint64_t at)
{
    if (build->depth > 0 && !build->frames[build->depth - 1].map) {
        build->frames[build->depth - 1].count++;
        if (build->want != NULL) {
            want_check(build, at);
        }
    }
    if (++build->nodes > BUILD_NODES_MAX) {
        return build_refuse(build, ERR_SIZE, at, N_("the record has too many values"),
                            N_("split it, or move long lists into a linked document"));
    }
    return ERR_OK;
}

static enum err container_begin(struct build *build, bool map, uint64_t at)
{
    if (build->depth == 0) {
        build->start_at = at;
        if (build->want != NULL) {
            want_check(build, at);
        }
    }
    enum err err = value_begin(build, at);
    if (err != ERR_OK) {
        return err;
    }
    if (build->depth == PACK_DEPTH_MAX) {
        return build_refuse(build, ERR_SIZE, at, N_("lists and maps are nested too deep"),
                            N_("at most 8 levels; flatten this field"));
    }
    build->frames[build->depth++] = (struct build_frame){
        .head = (uint32_t) build->out.size,
        .members = build->member_count,
        .map = map,
        .sorted = true,
    };
    buf_put_u8(&build->out, 0);
    return check_out(build, at);
}

enum err build_map(struct build *build, uint64_t at)
{
    return container_begin(build, true, at);
}

enum err build_array(struct build *build, uint64_t at)
{
    return container_begin(build, false, at);
}

/* Why utf8_valid said no. */
static enum err text_refuse(struct build *build, struct bytes text, uint64_t at)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') {
            enum err err =
                build_refuse(build, ERR_FIELD, at, N_("a control character cannot be published"),
                             N_("remove it; only tabs and line ends may stay"));
            flaw_detail(&build->flaw, "U+%04X", byte);
            return err;
        }
    }
    return build_refuse(build, ERR_FIELD, at, N_("this text is not valid UTF-8"),
                        N_("save the file as UTF-8"));
}

static void member_end(struct build *build, const struct build_frame *frame)
{
    if (build->member_count > frame->members) {
        build->members[build->member_count - 1].end = (uint32_t) build->out.size;
    }
}

enum err build_key(struct build *build, struct bytes text, uint64_t at)
{
    must(build_in_map(build));
    struct build_frame *frame = &build->frames[build->depth - 1];
    if (!utf8_valid(text)) {
        return text_refuse(build, text, at);
    }
    if (++build->nodes > BUILD_NODES_MAX) {
        return build_refuse(build, ERR_SIZE, at, N_("the record has too many values"),
                            N_("split it, or move long lists into a linked document"));
    }
    member_end(build, frame);
    struct build_member *member = &build->members[build->member_count];
    *member = (struct build_member){.start = (uint32_t) build->out.size, .at = at};
    pack_str(&build->out, text);
    if (build->out.err != ERR_OK) {
        return check_out(build, at);
    }
    member->key_size = (uint32_t) text.size;
    member->key = (uint32_t) (build->out.size - text.size);
    if (frame->count > 0 && bytes_compare(member_key(build, member - 1), text) >= 0) {
        frame->sorted = false;
    }
    build->member_count++;
    frame->count++;
    if (build->want != NULL) {
        want_check(build, at);
    }
    return ERR_OK;
}

enum err build_str(struct build *build, struct bytes text, uint64_t at)
{
    enum err err = value_begin(build, at);
    if (err != ERR_OK) {
        return err;
    }
    if (!utf8_valid(text)) {
        return text_refuse(build, text, at);
    }
    pack_str(&build->out, text);
    return check_out(build, at);
}

enum err build_uint(struct build *build, uint64_t value, uint64_t at)
{
    enum err err = value_begin(build, at);
    if (err == ERR_OK) {
        pack_uint(&build->out, value);
        err = check_out(build, at);
    }
    return err;
}

enum err build_int(struct build *build, int64_t value, uint64_t at)
{
    enum err err = value_begin(build, at);
    if (err == ERR_OK) {
        pack_int(&build->out, value);
        err = check_out(build, at);
    }
    return err;
}

enum err build_bool(struct build *build, bool value, uint64_t at)
{
    enum err err = value_begin(build, at);
    if (err == ERR_OK) {
        pack_bool(&build->out, value);
        err = check_out(build, at);
    }
    return err;
}

enum err build_null(struct build *build, uint64_t at)
{
    enum err err = value_begin(build, at);
    if (err != ERR_OK) {
        return err;
    }
    if (!build_in_map(build)) {
        return build_refuse(build, ERR_FIELD, at, N_("a list cannot hold an empty (null) value"),
                            N_("remove the item, or write it in quotes"));
    }
    struct build_frame *frame = &build->frames[build->depth - 1];
    build->members[build->member_count - 1].drop = true;
    frame->dropping = true;
    build->nodes -= 2;
    return ERR_OK;
}

static int member_compare(const void *left, const void *right, void *user)
{
    const struct build *build = user;
    return bytes_compare(member_key(build, left), member_key(build, right));
}

/* Most maps have few members, and those nearly in order. */
static void members_sort(struct build *build, struct build_member *members, unsigned count)
{
    if (count > INSERTION_COUNT_MAX) {
        qsort_r(members, count, sizeof *members, member_compare, build);
        return;
    }
    for (unsigned i = 1; i < count; i++) {
        struct build_member moved = members[i];
        struct bytes key = member_key(build, &moved);
        unsigned j = i;
        while (j > 0 && bytes_compare(member_key(build, &members[j - 1]), key) > 0) {
            members[j] = members[j - 1];
            j--;
        }
        members[j] = moved;
    }
}

/* Sorts the innermost map's members, refuses twins, rewrites the content without what is dropped.
 */
static enum err map_settle(struct build *build, struct build_frame *frame)
{
    struct build_member *members = &build->members[frame->members];
    members_sort(build, members, frame->count);
    for (unsigned i = 1; i < frame->count; i++) {
        struct bytes key = member_key(build, &members[i]);
        if (bytes_equal(member_key(build, &members[i - 1]), key)) {
            uint64_t at = members[i].at > members[i - 1].at ? members[i].at : members[i - 1].at;
            members[frame->count - 1] = members[i]; /* for the path */
            return build_refuse(build, ERR_FIELD, at, N_("this field is there twice"),
                                N_("keep one of the two"));
        }
    }
    buf_clear(&build->scratch);
    unsigned kept = 0;
    for (unsigned i = 0; i < frame->count; i++) {
        if (!members[i].drop) {
            size_t size = members[i].end - members[i].start;
            buf_put(&build->scratch, bytes_of(build->out.data + members[i].start, size));
            kept++;
        }
    }
    build->out.size = frame->head + 1;
    buf_put(&build->out, buf_bytes(&build->scratch));
    frame->count = kept;
    return build->scratch.err;
}

static void head_write(struct build *build, const struct build_frame *frame)
{
    if (frame->count <= FIX_COUNT_MAX) {
        build->out.data[frame->head] = (uint8_t) ((frame->map ? 0x80 : 0x90) | frame->count);
        return;
    }
    size_t size = build->out.size - frame->head - 1;
    if (buf_extend(&build->out, 2) == NULL) {
        return;
    }
    uint8_t *head = build->out.data + frame->head;
    memmove(head + 3, head + 1, size);
    head[0] = frame->map ? 0xde : 0xdc;
    be16_put(head + 1, (uint16_t) frame->count);
}

/* Takes the text of `kind` or `slug` out of the outermost map. */
static enum err name_take(struct build *build, struct build_member *member, char *into,
                          size_t size_max, enum err err, uint64_t *ret_at)
{
    const uint8_t *value = build->out.data + member->key + member->key_size;
    size_t size = member->end - member->key - member->key_size;
    size_t head = size > 0 && value[0] >= 0xa0 && value[0] < 0xc0 ? 1 : 2;
    bool text = size > 0 && (head == 1 || value[0] == 0xd9);
    if (text && size - head <= size_max && memchr(value + head, '\0', size - head) == NULL) {
        memcpy(into, value + head, size - head);
        into[size - head] = '\0';
        *ret_at = member->at;
        member->drop = true;
        return ERR_OK;
    }
    const char *name = err == ERR_SLUG ? "slug" : "kind";
    bool number =
        size > 0 && (value[0] < 0x80 || (value[0] >= 0xcc && value[0] <= 0xd3) || value[0] >= 0xe0);
    (void) build_refuse(build, err, member->at,
                        number  ? N_("a text is needed here, not a number")
                        : !text ? N_("a text is needed here")
                                : N_("this is too long"),
                        number ? N_("write it in quotes")
                               : N_("a slug has 1 to 64 of a-z, 0-9 and hyphens"));
    (void) snprintf(build->flaw.field, sizeof build->flaw.field, "%s", name);
    return err;
}

static enum err names_take(struct build *build, struct build_frame *frame)
{
    for (unsigned i = 0; i < frame->count; i++) {
        struct build_member *member = &build->members[frame->members + i];
        struct bytes key = member_key(build, member);
        enum err err = ERR_OK;
        if (member->drop || key.size != 4) {
            continue;
        }
        if (memcmp(key.data, "slug", 4) == 0) {
            err = name_take(build, member, build->slug, SLUG_SIZE_MAX, ERR_SLUG, &build->slug_at);
        } else if (memcmp(key.data, "kind", 4) == 0) {
            err =
                name_take(build, member, build->kind, KIND_SIZE_MAX, ERR_INVALID, &build->kind_at);
        }
        if (err != ERR_OK) {
            return err;
        }
        frame->dropping = frame->dropping || member->drop;
    }
    return ERR_OK;
}

enum err build_close(struct build *build)
{
    must(build->depth > 0);
    struct build_frame *frame = &build->frames[build->depth - 1];
    enum err err = ERR_OK;
    if (frame->map) {
        member_end(build, frame);
        if (build->depth == 1) {
            err = names_take(build, frame);
        }
        if (err == ERR_OK && (!frame->sorted || frame->dropping)) {
            err = map_settle(build, frame);
        }
    }
    if (err != ERR_OK) {
        return err;
    }
    head_write(build, frame);
    build->member_count = frame->members;
    build->depth--;
    return check_out(build, build->start_at);
}

enum err build_finish(struct build *build)
{
    must(build->depth == 0);
    if (build->slug[0] == '\0') {
        (void) build_refuse(build, ERR_SLUG, build->start_at, N_("the slug is missing"),
                            N_("add a line such as: slug: my-entry"));
        (void) snprintf(build->flaw.field, sizeof build->flaw.field, "slug");
        return ERR_SLUG;
    }
    if (build->kind[0] == '\0') {
        (void) build_refuse(build, ERR_INVALID, build->start_at, N_("the kind is missing"),
                            N_("add a line such as: kind: innovation"));
        (void) snprintf(build->flaw.field, sizeof build->flaw.field, "kind");
        return ERR_INVALID;
    }
    return ERR_OK;
}
