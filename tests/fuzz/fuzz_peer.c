/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_peer.c: a node and a peer that may lie, after a proper handshake.
 *
 * The bytes choose what the peer does: publish, fork, renew its keys, announce, answer WANTs
 * rightly or wrongly, ask, speak nonsense, be silent, come again; it may play its own lab, another
 * one, and (a stolen key) the node's. The node lives; held heads never go back; all it says
 * decodes; and after a restart everything on disk verifies.
 */
#include "base/limits.h"
#include "proto/msg.h"
#include "proto/pack.h"
#include "proto/receipt.h"
#include "proto/session.h"
#include "tests/fuzz/world.h"

#define ACTS_MAX 60
#define WANTS_MAX 16
#define ROUNDS_MAX 50
#define PIECE_SIZE 65536

struct want {
    uint64_t stream, m, after_rev;
    struct slug_hash after_slug;
    unsigned author;
};

struct foe {
    struct rig rig;
    struct choices choices;
    struct author authors[RIG_LABS]; /* by number of the keys; 1 is the peer itself */
    struct session *session;
    struct want wants[WANTS_MAX];
    unsigned want_count;
    uint64_t arrival;
    unsigned flips; /* of the next message: so many bits */
    bool greeted;   /* HELLO came */
    uint8_t index[INSTANCE_SIZE];
    uint64_t read; /* the node's arrivals, as announced */
};

/* ---- the wire ---- */

static void hear(struct foe *foe, struct bytes bytes)
{
    struct msg msg;
    must(msg_decode(bytes, &msg) == ERR_OK);
    if (msg.type == MSG_HELLO) {
        foe->greeted = true;
        memcpy(foe->index, msg.hello.index, INSTANCE_SIZE);
    } else if (msg.type == MSG_HEADS) {
        foe->read = msg.heads.upto;
    } else if (msg.type == MSG_WANT && foe->want_count < WANTS_MAX) {
        struct want *want = &foe->wants[foe->want_count];
        *want = (struct want){.stream = msg.want.stream,
                              .m = msg.want.m,
                              .after_rev = msg.want.after_rev,
                              .after_slug = msg.want.after_slug};
        for (unsigned i = 0; i < RIG_LABS; i++) {
            if (memcmp(foe->authors[i].keys.lab.bytes, msg.want.lab.bytes, KEY_SIZE) == 0) {
                want->author = i;
                foe->want_count++;
            }
        }
    }
}

/* Until nobody has anything to say: the node's bytes to the peer, the peer's to the node. */
static void pump(struct foe *foe)
{
    struct rig *rig = &foe->rig;
    for (unsigned round = 0; round < ROUNDS_MAX && foe->session != NULL; round++) {
        struct buf heard = rig->sent;
        rig->sent = (struct buf){0};
        for (size_t at = 0; at < heard.size; at += PIECE_SIZE) {
            size_t size = heard.size - at < PIECE_SIZE ? heard.size - at : PIECE_SIZE;
            must(session_feed(foe->session, bytes_of(heard.data + at, size)) == ERR_OK);
            struct bytes message;
            while (session_next(foe->session, &message) == ERR_OK) {
                hear(foe, message);
            }
        }
        buf_done(&heard);
        struct buf *said = session_take(foe->session);
        if (said == NULL || rig->closed) {
            buf_free(said);
            return;
        }
        struct event event = {
            .kind = EVENT_LINK_BYTES, .link = rig->link, .bytes = buf_bytes(said)};
        rig_step(rig, &event);
        rig_settle(rig);
        buf_free(said);
    }
}

static void raw_say(struct foe *foe, struct bytes message)
{
    if (foe->session != NULL && session_ready(foe->session) && message.size > 0 &&
        message.size <= MSG_SIZE_MAX) {
        must(session_send(foe->session, message) == ERR_OK);
        pump(foe);
    }
}

static void say(struct foe *foe, const struct msg *msg)
{
    struct buf bytes = {0};
    msg_encode(msg, &bytes);
    must(bytes.err == ERR_OK);
    for (; foe->flips > 0; foe->flips--) {
        size_t at = choose(&foe->choices, bytes.size);
        bytes.data[at] ^= (uint8_t) (1u << choose(&foe->choices, 8));
    }
    raw_say(foe, buf_bytes(&bytes));
    buf_done(&bytes);
}

static void hang_up(struct foe *foe, bool tell)
{
    session_free(foe->session);
    foe->session = NULL;
    foe->want_count = 0;
    if (tell && foe->rig.link != 0) {
        rig_turn(&foe->rig, EVENT_LINK_DOWN);
    }
}

static void say_hello(struct foe *foe, bool honest)
{
    struct choices *choices = &foe->choices;
    const struct author *self = &foe->authors[1];
    struct msg msg = {.type = MSG_HELLO,
                      .hello = {.version = 1,
                                .features = FEATURE_RECEIPTS,
                                .lab = self->keys.lab,
                                .generation = self->generation,
                                .record = buf_bytes(&self->record),
                                .holds = 1}};
    memset(msg.hello.index, 0x33, INSTANCE_SIZE);
    if (!honest) {
        msg.hello.version = choose(choices, 8) == 0 ? choose_number(choices) : 1;
        msg.hello.features = choose_number(choices);
        msg.hello.holds = choose_number(choices);
        msg.hello.index[0] = choose_byte(choices);
        msg.hello.has_read_index = choose(choices, 2) == 1;
        memcpy(msg.hello.read_index, foe->index, INSTANCE_SIZE);
        msg.hello.cursor = choose_number(choices);
        const struct author *other = &foe->authors[choose(choices, 16) < 14 ? 1 : 2];
        msg.hello.lab = other->keys.lab;
        msg.hello.generation = other->generation;
        msg.hello.record = choose(choices, 3) == 0 ? bytes_of(NULL, 0) : buf_bytes(&other->record);
        msg.hello.network.bytes[0] = choose(choices, 16) == 15;
    }
    say(foe, &msg);
}

/* A new link: the peer dials, or answers the node's own dial. */
static void link_make(struct foe *foe, bool honest)
{
    struct rig *rig = &foe->rig;
    uint8_t ephemeral[KEY_SIZE];
    enum err err = ERR_OK;
    bool dialled = rig->dialled;
    rig->link++;
    rig->closed = rig->dialled = false;
    foe->greeted = false;
    buf_clear(&rig->sent);
    fuzz_fill(ephemeral, sizeof ephemeral, 5000 + rig->link);
    foe->session = session_new(!dialled, foe->authors[1].keys.link_secret, ephemeral, &err);
    must(foe->session != NULL);
    struct event event = {.kind = EVENT_LINK_UP,
                          .link = rig->link,
                          .dialled = dialled,
                          .lab = rig->wanted,
                          .address = "192.0.2.1:7001"};
    rig_step(rig, &event);
    rig_settle(rig);
    pump(foe);
    if (!session_ready(foe->session)) {
        return;
    }
    if (honest || choose(&foe->choices, 8) != 0) {
        say_hello(foe, honest);
    }
    must(!honest || foe->greeted);
}

/* ---- deltas ---- */

/* One delta being said: right, but for one chosen lie. */
struct delta {
    const struct want *want;
    const struct author *author;
    const struct state *state;
    uint64_t stream;
    size_t lie, victim; /* the slot that the lie is about */
    unsigned left;      /* entries before the peer falls silent */
};

enum { TRUTH, OLD, SKIP, TWICE, HINT, OPENING, HEAD, NIL, SILENCE, CROWD, LIES };

static void say_delta(struct foe *foe, const struct delta *delta, struct list entries,
                      struct bytes withdrawn, struct list opening)
{
    say(foe,
        &(struct msg){.type = MSG_DELTA, .delta = {delta->stream, entries, withdrawn, opening}});
}

static void say_entry(struct foe *foe, const struct delta *delta, size_t slot)
{
    struct buf entry = {0}, raw = {0};
    world_entry(&delta->state->slots[slot], slot, &entry);
    list_put(&raw, buf_bytes(&entry));
    say_delta(foe, delta, (struct list){buf_bytes(&raw), 1}, bytes_of(NULL, 0), (struct list){0});
    buf_done(&entry);
    buf_done(&raw);
}

/* The slot with the least slug hash above `after` among those of `rev`; WORLD_SLUGS: none. */
static size_t slot_after(const struct state *state, uint64_t rev, const struct slug_hash *after)
{
    size_t least = WORLD_SLUGS;
    struct slug_hash least_hash = {0};
    for (size_t i = 0; i < WORLD_SLUGS; i++) {
        struct slug_hash hash = world_slug_hash(i);
        if (state->slots[i].rev == rev &&
            (after == NULL || memcmp(hash.bytes, after->bytes, SLUG_HASH_SIZE) > 0) &&
            (least == WORLD_SLUGS || memcmp(hash.bytes, least_hash.bytes, SLUG_HASH_SIZE) < 0)) {
            least = i;
            least_hash = hash;
        }
    }
    return least;
}

/* Ascending by (rev, slug hash), as the protocol wants them. False: silent before the end. */
static bool say_entries(struct foe *foe, struct delta *delta)
{
    const struct want *want = delta->want;
    uint64_t from = want->after_rev > want->m ? want->after_rev : want->m + 1;
    for (uint64_t rev = from; rev <= delta->state->head.n && rev <= WORLD_HEADS; rev++) {
        struct slug_hash last = want->after_slug;
        bool any = rev == want->after_rev;
        size_t slot;
        while ((slot = slot_after(delta->state, rev, any ? &last : NULL)) < WORLD_SLUGS) {
            last = world_slug_hash(slot);
            any = true;
            if (delta->left-- == 0) {
                return false;
            }
            bool victim = slot == delta->victim;
            if (!victim || delta->lie != SKIP) {
                say_entry(foe, delta, slot);
            }
            if (victim && delta->lie == TWICE) {
                say_entry(foe, delta, slot);
            }
        }
    }
    return true;
}

static void say_withdrawn(struct foe *foe, const struct delta *delta)
{
    struct buf hints = {0};
    for (size_t i = 0; i < WORLD_SLUGS; i++) {
        const struct slot *slot = &delta->state->slots[i];
        bool due = slot->rev == 0 && slot->withdrawn > delta->want->m;
        if (due != (delta->lie == HINT && i == delta->victim)) {
            struct hint hint = world_hint(slot, i);
            buf_put(&hints, BYTES_OF_ARRAY(hint.bytes));
        }
    }
    if (delta->lie == CROWD) { /* of entries nobody ever had: legal, and much to do */
        uint8_t *at = buf_extend(&hints, 2100 * HINT_SIZE);
        must(at != NULL);
        fuzz_fill(at, 2100 * HINT_SIZE, delta->victim);
    }
    say_delta(foe, delta, (struct list){0}, buf_bytes(&hints), (struct list){0});
    buf_done(&hints);
}

static void say_opening(struct foe *foe, const struct delta *delta)
{
    struct buf raw = {0};
    size_t count = 0;
    bool shifted = delta->lie == OPENING && delta->victim % 2 == 0;
    uint64_t m = shifted ? delta->victim : delta->want->m;
    for (uint64_t i = m == 0 ? 1 : m; i < delta->state->head.n && i <= delta->author->n; i++) {
        list_put(&raw, BYTES_OF_ARRAY(delta->author->states[i].head.hash.bytes));
        count++;
    }
    if (delta->lie == OPENING && !shifted && raw.size > 0) {
        raw.data[raw.size - 1] ^= 1;
    }
    say_delta(foe, delta, (struct list){0}, bytes_of(NULL, 0),
              (struct list){buf_bytes(&raw), count});
    buf_done(&raw);
}

static void serve(struct foe *foe)
{
    struct choices *choices = &foe->choices;
    if (foe->want_count == 0) {
        return;
    }
    struct want want = foe->wants[0];
    memmove(foe->wants, foe->wants + 1, --foe->want_count * sizeof *foe->wants);
    const struct author *author = &foe->authors[want.author];
    size_t lie = choose(choices, 16 + LIES);
    lie = lie > 15 ? lie - 16 : TRUTH;
    size_t about = lie == TRUTH ? 0 : choose(choices, WORLD_SLUGS);
    uint64_t n = lie == OLD && about < author->n ? about : author->n;
    struct delta delta = {
        .want = &want,
        .author = author,
        .state = &author->states[n],
        .stream = want.stream,
        .lie = lie,
        .victim = lie == SKIP || lie == TWICE || lie == HINT || lie == OPENING || lie == CROWD
                      ? about
                      : WORLD_SLUGS,
        .left = lie == SILENCE ? (unsigned) about : UINT32_MAX,
    };
    if (!say_entries(foe, &delta)) {
        return;
    }
    say_withdrawn(foe, &delta);
    say_opening(foe, &delta);
    const struct author *signer = lie == HEAD ? &foe->authors[about % RIG_LABS] : author;
    struct bytes head = author_head(signer, lie == HEAD ? about : n);
    say(foe, &(struct msg){.type = MSG_DELTA_END,
                           .delta_end = {delta.stream, lie == NIL ? bytes_of(NULL, 0) : head}});
}

/* ---- acts ---- */

/* What somebody says to have erased: of a few catalogues, signed by whoever. */
static void announce_receipt(struct foe *foe)
{
    struct choices *choices = &foe->choices;
    struct buf raw = {0}, rows = {0}, bytes = {0};
    const struct author *author = &foe->authors[choose(choices, RIG_LABS)];
    const struct author *signer = choose(choices, 4) > 0 ? author : &foe->authors[1];
    struct receipt receipt = {.lab = author->keys.lab,
                              .generation = 1 + choose(choices, 3),
                              .number = choose_number(choices) | 1};
    size_t count = choose(choices, 3);
    for (size_t i = 0; i < count; i++) { /* in order or not: then nothing is said */
        const struct author *of = &foe->authors[choose(choices, RIG_LABS)];
        receipt_put_row(&rows, &(struct receipt_row){.lab = of->keys.lab,
                                                     .audience = bytes_of_str("public"),
                                                     .generation = 1,
                                                     .n = 1 + choose(choices, 9)});
    }
    receipt.rows = buf_bytes(&rows);
    receipt.row_count = count;
    if (receipt_sign(&receipt, signer->keys.signing_secret, &bytes) == ERR_OK) {
        list_put(&raw, buf_bytes(&bytes));
        say(foe, &(struct msg){.type = MSG_RECEIPTS, .receipts = {buf_bytes(&raw), 1}});
    }
    buf_done(&raw);
    buf_done(&rows);
    buf_done(&bytes);
}

static void announce_record(struct foe *foe)
{
    struct buf raw = {0};
    size_t count = choose(&foe->choices, 3);
    if (count == 0) {
        announce_receipt(foe);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        list_put(&raw, buf_bytes(&foe->authors[choose(&foe->choices, RIG_LABS)].record));
    }
    say(foe, &(struct msg){.type = MSG_RECORDS, .records = {buf_bytes(&raw), count}});
    buf_done(&raw);
}

static void announce_heads(struct foe *foe)
{
    struct choices *choices = &foe->choices;
    struct buf raw = {0};
    size_t count = 0;
    for (size_t tries = 1 + choose(choices, 3); tries > 0; tries--) {
        const struct author *author =
            &foe->authors[choose(choices, 8) < 5 ? 1 : choose(choices, RIG_LABS)];
        if (author->n == 0) {
            continue;
        }
        uint64_t back = choose(choices, 8) > 5 ? choose(choices, author->n) : 0;
        foe->arrival += 1 + (choose(choices, 16) == 15 ? choose_number(choices) : 0);
        list_put_head(&raw, foe->arrival, author_head(author, author->n - back));
        count++;
    }
    uint64_t upto = choose(choices, 16) == 15 ? choose_number(choices) : foe->arrival;
    say(foe, &(struct msg){.type = MSG_HEADS, .heads = {upto, {buf_bytes(&raw), count}}});
    buf_done(&raw);
}

static void ask(struct foe *foe)
{
    struct choices *choices = &foe->choices;
    struct msg msg = {.type = MSG_WANT, .want = {.audience = bytes_of_str("public")}};
    msg.want.stream = choose(choices, 12);
    msg.want.m = choose(choices, 4) == 0 ? choose_number(choices) : choose(choices, 4);
    msg.want.lab = foe->authors[choose(choices, RIG_LABS)].keys.lab;
    if (choose(choices, 3) == 0) {
        msg.want.has_after = true;
        msg.want.after_rev = choose_number(choices) | 1;
        msg.want.after_slug = world_slug_hash(choose(choices, WORLD_SLUGS));
    }
    say(foe, &msg);
}

static void small_talk(struct foe *foe)
{
    struct choices *choices = &foe->choices;
    struct msg msg = {.type = MSG_ACK};
    switch (choose(choices, 6)) {
    case 0:
        msg.ack.cursor = choose(choices, 2) == 0 ? foe->read : choose_number(choices);
        msg.ack.upto = choose(choices, 2) == 0 ? foe->arrival : choose_number(choices);
        break;
    case 1:
        msg = (struct msg){.type = MSG_PING, .ping = choose_number(choices)};
        break;
    case 2:
        msg = (struct msg){.type = MSG_PONG, .ping = choose_number(choices)};
        break;
    case 3:
        msg = (struct msg){.type = MSG_DELTA_END, .delta_end = {.stream = choose(choices, 12)}};
        break;
    case 4:
        msg = (struct msg){.type = MSG_REKEY};
        break;
    default:
        msg = (struct msg){.type = MSG_BYE,
                           .bye = {choose(choices, 9), bytes_of_str("au revoir\xc2\x9b[2J")}};
        break;
    }
    say(foe, &msg);
}

/* An agent of the node's lab at work meanwhile. */
static void local(struct foe *foe)
{
    struct choices *choices = &foe->choices;
    static const char *const slugs[] = {"a", "b", "c", "d"};
    struct buf frame = {0}, body = {0};
    const char *slug = slugs[choose(choices, 4)];
    bool withdraw = choose(choices, 3) == 0;
    ctl_put_request(&frame, 1, withdraw ? CTL_withdraw : CTL_publish);
    pack_map(&frame, 1);
    pack_cstr(&frame, withdraw ? "slugs" : "entries");
    pack_array(&frame, 1);
    if (!withdraw) {
        pack_map(&body, 2);
        pack_cstr(&body, "summary");
        pack_cstr(&body, "Une fiche.");
        pack_cstr(&body, "title");
        pack_cstr(&body, choose(choices, 2) == 0 ? "Essaim" : "Ruche");
        pack_array(&frame, 3);
    }
    pack_cstr(&frame, slug);
    if (!withdraw) {
        pack_cstr(&frame, "need");
        pack_bin(&frame, buf_bytes(&body));
    }
    rig_request(&foe->rig, 1, buf_bytes(&frame));
    buf_done(&frame);
    buf_done(&body);
    pump(foe);
}

static void wait(struct foe *foe)
{
    static const uint64_t steps[] = {1, 100, 1000, 5000, 10001, 30000, 90000, 3600000};
    foe->rig.now_ms += steps[choose(&foe->choices, 8)];
    rig_turn(&foe->rig, EVENT_TICK);
    pump(foe);
}

static void publish_one(struct choices *choices, struct author *author)
{
    size_t slot = choose(choices, WORLD_SLUGS);
    author_publish(author, slot, choose_byte(choices));
}

static void history_act(struct foe *foe, size_t what)
{
    struct choices *choices = &foe->choices;
    struct author *author = &foe->authors[choose(choices, 8) < 5 ? 1 : choose(choices, RIG_LABS)];
    if (what < 3) {
        publish_one(choices, author);
    } else if (what == 3) {
        if (choose(choices, 2) == 0) {
            size_t count = choose(choices, WORLD_SLUGS);
            author_publish_many(author, count, choose_byte(choices));
        } else {
            author->oddity = choose(choices, WORLD_ODDITIES);
        }
    } else if (what == 4) {
        author_withdraw(author, choose(choices, WORLD_SLUGS));
    } else if ((what = choose(choices, 4)) == 3) {
        author_renew(author);
    } else if (what == 2) {
        author_twin(author);
    } else {
        author_rewind(author, author->n - choose(choices, author->n + 1));
        publish_one(choices, author);
    }
}

static void rough_act(struct foe *foe, size_t what)
{
    struct rig *rig = &foe->rig;
    struct choices *choices = &foe->choices;
    if (what == 0) {
        foe->flips = 1 + (unsigned) choose(choices, 3);
    } else if (what == 1) {
        raw_say(foe, choose_bytes(choices, 300));
    } else if (what == 2) { /* below the encryption */
        struct event event = {
            .kind = EVENT_LINK_BYTES, .link = rig->link, .bytes = choose_bytes(choices, 100)};
        rig_step(rig, &event);
        rig_settle(rig);
    } else if (what == 3) {
        hang_up(foe, choose(choices, 2) == 0);
        link_make(foe, false);
    } else if (what == 4) {
        hang_up(foe, false);
        rig_restart(rig);
        link_make(foe, false);
    } else if (what == 5) {
        struct event event = {
            .kind = EVENT_LINK_ROOM, .link = rig->link, .queued = (size_t) choose_number(choices)};
        rig_step(rig, &event);
        rig_settle(rig);
        pump(foe);
    } else if (rig->dialled) {
        rig->dialled = false;
        rig_turn(rig, EVENT_DIAL_FAILED);
    }
}

static void act(struct foe *foe)
{
    size_t what = choose(&foe->choices, 32);
    if (what < 6) {
        history_act(foe, what);
    } else if (what < 8) {
        announce_record(foe);
    } else if (what < 13) {
        announce_heads(foe);
    } else if (what < 18) {
        serve(foe);
    } else if (what < 20) {
        ask(foe);
    } else if (what < 22) {
        small_talk(foe);
    } else if (what < 24) {
        wait(foe);
    } else if (what < 25) {
        local(foe);
    } else {
        rough_act(foe, what - 25);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct foe *foe = calloc(1, sizeof *foe);
    must(foe != NULL);
    foe->choices.left = bytes_of(data, size);
    rig_open(&foe->rig);
    for (unsigned i = 0; i < RIG_LABS; i++) {
        author_init(&foe->authors[i], i);
    }
    link_make(foe, choose(&foe->choices, 8) != 7);
    for (unsigned i = 0; i < ACTS_MAX && foe->choices.left.size > 0; i++) {
        act(foe);
    }
    hang_up(foe, true);
    rig_close(&foe->rig);
    for (unsigned i = 0; i < RIG_LABS; i++) {
        author_done(&foe->authors[i]);
    }
    free(foe);
    return 0;
}
