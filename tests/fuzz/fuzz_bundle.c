/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_bundle.c: a node that imports files of who may lie.
 *
 * The first byte chooses: the rest of the input is one file as it stands, or a series of acts that
 * write files: what labs published, forked, signed wrongly; announced, given out rightly or not,
 * flipped, cut; the node's own exports among them; read in parts of any size, as often as the node
 * wants them. Held heads never go back; every request is answered; what the node exports it takes
 * for unchanged; and after a restart everything on disk verifies.
 */
#include "base/limits.h"
#include "proto/msg.h"
#include "proto/pack.h"
#include "tests/fuzz/world.h"

#define ACTS_MAX 60
#define FILE_SIZE_MAX 300000
#define PASSES_MAX 4
#define ANNOUNCED_MAX 32
#define AGENT 1

struct announced {
    uint64_t arrival, n;
    unsigned author;
};

struct writer {
    struct rig rig;
    struct choices choices;
    struct author authors[RIG_LABS];
    struct buf file;
    uint64_t arrival;
    struct announced announced[ANNOUNCED_MAX];
    unsigned count;
};

/* ---- the node ---- */

/* The answer to the request made last; true: a result, in *ret_msg, to be freed. */
static bool answered(struct writer *writer, struct ctl_msg *ret_msg)
{
    struct buf *replies = &writer->rig.clients[AGENT].replies;
    size_t size = 0;
    must(ctl_frame(buf_bytes(replies), &size) == ERR_OK);
    must(size == replies->size); /* one answer to one request */
    must(ctl_decode(bytes_of(replies->data, size), ret_msg) == ERR_OK);
    must(ret_msg->type == 1);
    if (ret_msg->error.type == MSGPACK_OBJECT_NIL) {
        return true;
    }
    ctl_done(ret_msg);
    return false;
}

struct outcome {
    bool failed, again, whole;
    uint64_t accepted, unchanged, incomplete;
    uint32_t refused;
};

static void part_import(struct writer *writer, struct bytes part, bool end,
                        struct outcome *ret_outcome)
{
    struct buf frame = {0};
    struct ctl_msg msg;
    ctl_put_request(&frame, 1, CTL_bundle_import);
    pack_map(&frame, 2);
    pack_cstr(&frame, "end");
    pack_bool(&frame, end);
    pack_cstr(&frame, "part");
    pack_bin(&frame, part);
    buf_clear(&writer->rig.clients[AGENT].replies);
    rig_request(&writer->rig, AGENT, buf_bytes(&frame));
    buf_done(&frame);
    struct outcome outcome = {.failed = !answered(writer, &msg)};
    if (!outcome.failed) {
        must(ctl_get_bool(&msg.result, "again", &outcome.again) == ERR_OK);
        must(ctl_get_bool(&msg.result, "whole", &outcome.whole) == ERR_OK);
        must(ctl_get_uint(&msg.result, "accepted", &outcome.accepted) == ERR_OK);
        must(ctl_get_uint(&msg.result, "unchanged", &outcome.unchanged) == ERR_OK);
        must(ctl_get_uint(&msg.result, "incomplete", &outcome.incomplete) == ERR_OK);
        must(!outcome.again || end);
        outcome.refused = ctl_get(&msg.result, "refused")->via.array.size;
        ctl_done(&msg);
    }
    *ret_outcome = outcome;
}

/* The whole file, in parts of `size`, as often as it is wanted. */
static struct outcome file_import(struct writer *writer, size_t size)
{
    struct outcome outcome = {.again = true};
    for (unsigned pass = 0; pass < PASSES_MAX && outcome.again && !outcome.failed; pass++) {
        size_t at = 0;
        bool end = false;
        while (!end && !outcome.failed) {
            size_t left = writer->file.size - at;
            size_t step = left < size ? left : size;
            end = step == left;
            part_import(writer, bytes_of(writer->file.data + at, step), end, &outcome);
            at += step;
        }
    }
    return outcome;
}

static void file_clear(struct writer *writer)
{
    buf_clear(&writer->file);
    writer->arrival = writer->count = 0;
}

static void node_export(struct writer *writer)
{
    bool next = true;
    while (next) {
        struct buf frame = {0};
        struct ctl_msg msg;
        struct bytes part;
        ctl_put_request(&frame, 1, CTL_bundle_export);
        pack_map(&frame, 0);
        buf_clear(&writer->rig.clients[AGENT].replies);
        rig_request(&writer->rig, AGENT, buf_bytes(&frame));
        must(answered(writer, &msg));
        must(ctl_get_bin(&msg.result, "part", &part) == ERR_OK);
        must(ctl_get_bool(&msg.result, "next", &next) == ERR_OK);
        buf_put(&writer->file, part);
        ctl_done(&msg);
        buf_done(&frame);
    }
}

/* ---- messages ---- */

static void raw_say(struct writer *writer, struct bytes message)
{
    if (writer->file.size < FILE_SIZE_MAX && message.size <= UINT16_MAX) {
        buf_put_u8(&writer->file, (uint8_t) (message.size >> 8));
        buf_put_u8(&writer->file, (uint8_t) message.size);
        buf_put(&writer->file, message);
    }
}

static void say(struct writer *writer, const struct msg *msg)
{
    struct buf bytes = {0};
    msg_encode(msg, &bytes);
    must(bytes.err == ERR_OK);
    raw_say(writer, buf_bytes(&bytes));
    buf_done(&bytes);
}

static void say_records(struct writer *writer)
{
    struct buf raw = {0};
    for (unsigned i = 0; i < RIG_LABS; i++) {
        list_put(&raw, buf_bytes(&writer->authors[i].record));
    }
    say(writer, &(struct msg){.type = MSG_RECORDS, .records = {buf_bytes(&raw), RIG_LABS}});
    buf_done(&raw);
}

static void say_heads(struct writer *writer)
{
    struct choices *choices = &writer->choices;
    struct buf raw = {0};
    size_t count = 0;
    for (size_t tries = choose(choices, 4); tries > 0; tries--) {
        unsigned number = (unsigned) choose(choices, RIG_LABS);
        const struct author *author = &writer->authors[number];
        if (author->n == 0 || writer->count == ANNOUNCED_MAX) {
            continue;
        }
        size_t how = choose(choices, 16);
        uint64_t back = how == 15 ? choose(choices, author->n) : 0;
        writer->arrival += how == 14 ? choose_number(choices) : 1;
        list_put_head(&raw, writer->arrival, author_head(author, author->n - back));
        writer->announced[writer->count++] =
            (struct announced){.arrival = writer->arrival, .n = author->n - back, .author = number};
        count++;
    }
    say(writer,
        &(struct msg){.type = MSG_HEADS, .heads = {writer->arrival, {buf_bytes(&raw), count}}});
    buf_done(&raw);
}

/* ---- deltas ---- */

enum { TRUTH, OLDER, SKIP, TWICE, HINT, OPENING, HEAD, NIL, SILENCE, ORDER, LIES };

struct delta {
    const struct author *author;
    const struct state *state;
    uint64_t stream;
    size_t lie, about;
};

static void say_entry(struct writer *writer, const struct delta *delta, size_t slot)
{
    struct buf entry = {0}, raw = {0};
    world_entry(&delta->state->slots[slot], slot, &entry);
    list_put(&raw, buf_bytes(&entry));
    say(writer, &(struct msg){.type = MSG_DELTA,
                              .delta = {.stream = delta->stream,
                                        .entries = {.raw = buf_bytes(&raw), .count = 1}}});
    buf_done(&entry);
    buf_done(&raw);
}

/* Ascending by (rev, slug hash), or, as a lie, by number. */
static void say_entries(struct writer *writer, const struct delta *delta)
{
    bool said[WORLD_SLUGS] = {0};
    for (size_t turn = 0; turn < WORLD_SLUGS; turn++) {
        size_t least = WORLD_SLUGS;
        for (size_t i = 0; i < WORLD_SLUGS; i++) {
            const struct slot *slot = &delta->state->slots[i];
            if (slot->rev == 0 || said[i]) {
                continue;
            }
            struct slug_hash one = world_slug_hash(i);
            struct slug_hash other = world_slug_hash(least < WORLD_SLUGS ? least : i);
            uint64_t rev = least < WORLD_SLUGS ? delta->state->slots[least].rev : UINT64_MAX;
            bool before = slot->rev < rev ||
                          (slot->rev == rev && memcmp(one.bytes, other.bytes, SLUG_HASH_SIZE) < 0);
            least = delta->lie == ORDER ? i : before ? i : least;
        }
        if (least == WORLD_SLUGS || (delta->lie == SILENCE && turn == delta->about)) {
            return;
        }
        said[least] = true;
        if (least != delta->about || delta->lie != SKIP) {
            say_entry(writer, delta, least);
        }
        if (least == delta->about && delta->lie == TWICE) {
            say_entry(writer, delta, least);
        }
    }
}

static void say_chain(struct writer *writer, const struct delta *delta)
{
    struct buf hints = {0}, raw = {0};
    size_t count = 0;
    for (size_t i = 0; i < WORLD_SLUGS; i++) {
        const struct slot *slot = &delta->state->slots[i];
        bool due = slot->rev == 0 && slot->withdrawn > 0;
        if (due != (delta->lie == HINT && i == delta->about)) {
            struct hint hint = world_hint(slot, i);
            buf_put(&hints, BYTES_OF_ARRAY(hint.bytes));
        }
    }
    uint64_t from = delta->lie == OPENING && delta->about % 2 == 0 ? delta->about : 1;
    for (uint64_t i = from == 0 ? 1 : from; i < delta->state->head.n && i <= delta->author->n;
         i++) {
        list_put(&raw, BYTES_OF_ARRAY(delta->author->states[i].head.hash.bytes));
        count++;
    }
    if (delta->lie == OPENING && from == 1 && raw.size > 0) {
        raw.data[raw.size - 1] ^= 1;
    }
    say(writer, &(struct msg){.type = MSG_DELTA,
                              .delta = {.stream = delta->stream,
                                        .withdrawn = buf_bytes(&hints),
                                        .opening = {.raw = buf_bytes(&raw), .count = count}}});
    buf_done(&hints);
    buf_done(&raw);
}

static void say_delta(struct writer *writer, const struct announced *announced)
{
    struct choices *choices = &writer->choices;
    const struct author *author = &writer->authors[announced->author];
    size_t lie = choose(choices, 16 + LIES);
    lie = lie > 15 ? lie - 16 : TRUTH;
    size_t about = lie == TRUTH ? WORLD_SLUGS : choose(choices, WORLD_SLUGS);
    uint64_t n = lie == OLDER && about < author->n ? about : author->n;
    struct delta delta = {.author = author,
                          .state = &author->states[n],
                          .stream = announced->arrival & UINT32_MAX,
                          .lie = lie,
                          .about = about};
    say_entries(writer, &delta);
    if (lie == SILENCE && about % 2 == 0) {
        return; /* the next one begins in it */
    }
    say_chain(writer, &delta);
    const struct author *signer = lie == HEAD ? &writer->authors[about % RIG_LABS] : author;
    struct bytes head = author_head(signer, lie == HEAD ? about : n);
    say(writer, &(struct msg){.type = MSG_DELTA_END,
                              .delta_end = {delta.stream, lie == NIL ? bytes_of(NULL, 0) : head}});
}

static void say_deltas(struct writer *writer)
{
    size_t from = choose(&writer->choices, 8) == 7 ? choose(&writer->choices, ANNOUNCED_MAX) : 0;
    for (unsigned i = (unsigned) from; i < writer->count; i++) {
        say_delta(writer, &writer->announced[i]);
    }
}

/* ---- acts ---- */

static void history_act(struct writer *writer, size_t what)
{
    struct choices *choices = &writer->choices;
    struct author *author = &writer->authors[choose(choices, RIG_LABS)];
    size_t slot = choose(choices, WORLD_SLUGS);
    if (what < 3) {
        author_publish(author, slot, choose_byte(choices));
    } else if (what == 3) {
        author_publish_many(author, slot, choose_byte(choices));
    } else if (what == 4) {
        author_withdraw(author, slot);
    } else if (what == 5) {
        author->oddity = choose(choices, WORLD_ODDITIES);
    } else if (what == 6) {
        author_rewind(author, author->n - choose(choices, author->n + 1));
        author_publish(author, slot, choose_byte(choices));
    } else {
        author_renew(author);
    }
}

static void file_begin(struct writer *writer)
{
    file_clear(writer);
    buf_put_str(&writer->file, BUNDLE_MAGIC);
    say_records(writer);
}

static void file_spoil(struct writer *writer, size_t what)
{
    struct choices *choices = &writer->choices;
    if (what == 0 && writer->file.size > 0) {
        size_t at = choose(choices, writer->file.size < (1u << 24) ? writer->file.size : 1u << 24);
        writer->file.data[at] ^= (uint8_t) (1u << choose(choices, 8));
    } else if (what == 1) {
        raw_say(writer, choose_bytes(choices, 300));
    } else if (what == 2) {
        buf_put(&writer->file, choose_bytes(choices, 60));
    } else if (writer->file.size > 0) {
        writer->file.size -= choose(choices, writer->file.size < 2000 ? writer->file.size : 2000);
    }
}

static void file_read(struct writer *writer)
{
    static const size_t sizes[] = {1u << 19, 100000, 3000, 70, 7};
    size_t size = sizes[choose(&writer->choices, 5)];
    while (writer->file.size / size > 300) { /* not all day */
        size *= 16;
    }
    (void) file_import(writer, size);
}

/* A part alone, and whatever comes then. */
static void file_leave(struct writer *writer)
{
    struct outcome outcome;
    size_t size = choose(&writer->choices, 65536);
    size = size < writer->file.size ? size : writer->file.size;
    part_import(writer, bytes_of(writer->file.data, size), false, &outcome);
}

static void wait(struct writer *writer)
{
    static const uint64_t steps[] = {1, 1000, 10001, 30000, 60000, 3600000};
    writer->rig.now_ms += steps[choose(&writer->choices, 6)];
    rig_turn(&writer->rig, EVENT_TICK);
}

static void act(struct writer *writer)
{
    size_t what = choose(&writer->choices, 32);
    if (what < 8) {
        history_act(writer, what);
    } else if (what < 10) {
        file_begin(writer);
    } else if (what < 14) {
        say_heads(writer);
    } else if (what < 19) {
        say_deltas(writer);
    } else if (what < 20) {
        say_records(writer);
    } else if (what < 21) {
        say(writer, &(struct msg){.type = MSG_BYE});
    } else if (what < 25) {
        file_read(writer);
    } else if (what < 29) {
        file_spoil(writer, what - 25);
    } else if (what == 29) {
        file_clear(writer);
        node_export(writer);
    } else if (what == 30) {
        file_leave(writer);
    } else if (choose(&writer->choices, 2) == 0) {
        wait(writer);
    } else {
        rig_restart(&writer->rig);
    }
}

/* What it holds it takes for what it holds. */
static void mirror(struct writer *writer)
{
    rig_restart(&writer->rig); /* an import may be under way */
    file_clear(writer);
    node_export(writer);
    struct outcome outcome = file_import(writer, 1u << 19);
    must(!outcome.failed && outcome.whole);
    must(outcome.accepted + outcome.incomplete + outcome.refused == 0);
    must(outcome.unchanged >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct writer *writer = calloc(1, sizeof *writer);
    must(writer != NULL);
    writer->choices.left = bytes_of(data, size);
    rig_open(&writer->rig);
    for (unsigned i = 0; i < RIG_LABS; i++) {
        author_init(&writer->authors[i], i);
    }
    if (choose(&writer->choices, 2) == 1) {
        buf_put(&writer->file, writer->choices.left);
        (void) file_import(writer, 1u << 19);
    } else {
        file_begin(writer);
        for (unsigned i = 0; i < ACTS_MAX && writer->choices.left.size > 0; i++) {
            act(writer);
        }
        (void) file_import(writer, 1u << 19);
    }
    mirror(writer);
    rig_close(&writer->rig);
    for (unsigned i = 0; i < RIG_LABS; i++) {
        author_done(&writer->authors[i]);
    }
    buf_done(&writer->file);
    free(writer);
    return 0;
}
