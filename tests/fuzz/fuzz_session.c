/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_session.c: two sessions and a wire in bad hands.
 *
 *     side 0 ── sent ──► wire (cut in pieces, flipped, dropped, doubled) ──► side 1, and back
 *
 * Of each direction everything sent and everything delivered is kept. A message is received only
 * when the bytes delivered are those sent up to its last one, in order and unchanged; and, where
 * both handshakes got through unchanged, whenever they are.
 */
#include "base/limits.h"
#include "proto/noise.h"
#include "proto/session.h"
#include "tests/fuzz/fuzz.h"

#define ACTS_MAX 120
#define SENT_MAX 64

struct sent {
    size_t size, end; /* of the message; where its frame ends in all that was sent */
    uint64_t number;  /* of its content */
};

struct way {
    struct buf sent, delivered; /* everything */
    struct buf wire;            /* under way */
    struct sent messages[SENT_MAX];
    unsigned sent_count, received_count;
    bool dead;
};

struct pair {
    struct choices choices;
    struct session *sessions[2];
    struct way ways[2]; /* from side i */
};

static void collect(struct pair *pair, unsigned side)
{
    struct buf *out = session_take(pair->sessions[side]);
    if (out != NULL) {
        buf_put(&pair->ways[side].sent, buf_bytes(out));
        buf_put(&pair->ways[side].wire, buf_bytes(out));
        buf_free(out);
    }
    must(session_waiting(pair->sessions[side]) == 0);
}

static void send(struct pair *pair, unsigned side)
{
    struct way *way = &pair->ways[side];
    size_t size = choose(&pair->choices, 200);
    bool rekey = size == 14; /* a message that the session itself would make */
    size = rekey ? 2 : size;
    size = size > 190 ? MSG_SIZE_MAX - (200 - size) : size;
    if (!session_ready(pair->sessions[side]) || way->sent_count == SENT_MAX) {
        return;
    }
    struct sent *sent = &way->messages[way->sent_count];
    *sent = (struct sent){.size = size, .number = 100 * side + way->sent_count};
    uint8_t *content = malloc(size + 1);
    must(content != NULL);
    fuzz_fill(content, size, sent->number);
    if (rekey) {
        memcpy(content, "\x91\x0e", 2);
    }
    enum err err = session_send(pair->sessions[side], bytes_of(content, size));
    must(err == (size == 0 ? ERR_SIZE : ERR_OK));
    free(content);
    collect(pair, side);
    if (err == ERR_OK && !rekey) {
        sent->end = way->sent.size;
        way->sent_count++;
    }
}

static size_t untouched(const struct way *way)
{
    size_t at = 0;
    while (at < way->sent.size && at < way->delivered.size &&
           way->sent.data[at] == way->delivered.data[at]) {
        at++;
    }
    return at;
}

static void receive(struct pair *pair, unsigned side, struct bytes message)
{
    struct way *way = &pair->ways[1 - side];
    must(way->received_count < way->sent_count);
    const struct sent *sent = &way->messages[way->received_count++];
    must(sent->end <= untouched(way));
    must(sent->size == message.size);
    uint8_t *content = malloc(sent->size);
    must(content != NULL);
    fuzz_fill(content, sent->size, sent->number);
    must(memcmp(content, message.data, sent->size) == 0);
    free(content);
}

/* The next bytes under way from `side` reach the other one. */
static void deliver(struct pair *pair, unsigned side, size_t size)
{
    struct way *way = &pair->ways[side];
    struct session *session = pair->sessions[1 - side];
    size = size > way->wire.size ? way->wire.size : size;
    if (way->dead || size == 0) {
        return;
    }
    uint8_t *piece = fuzz_copy(bytes_of(way->wire.data, size));
    buf_shift(&way->wire, size);
    buf_put(&way->delivered, bytes_of(piece, size));
    enum err err = session_feed(session, bytes_of(piece, size));
    free(piece);
    must(err == ERR_OK);
    struct bytes message;
    while ((err = session_next(session, &message)) == ERR_OK) {
        receive(pair, 1 - side, message);
    }
    if (err != ERR_MORE) {
        must(err == ERR_DECRYPT || err == ERR_MALFORMED || err == ERR_SIZE);
        must(session_next(session, &message) == err);
        way->dead = true;
    }
    collect(pair, 1 - side);
}

static void spoil(struct pair *pair, unsigned side)
{
    struct choices *choices = &pair->choices;
    struct buf *wire = &pair->ways[side].wire;
    size_t at = choose(choices, wire->size), how = choose(choices, 4);
    size_t size = choose(choices, 70);
    size = size > wire->size - at ? wire->size - at : size;
    if (wire->size == 0) {
        return;
    }
    if (how == 0) {
        wire->data[at] ^= (uint8_t) (1u << choose(choices, 8));
    } else if (how == 1) { /* dropped */
        memmove(wire->data + at, wire->data + at + size, wire->size - at - size);
        wire->size -= size;
    } else if (how == 2) { /* again */
        uint8_t *copy = fuzz_copy(bytes_of(wire->data + at, size));
        buf_put(wire, bytes_of(copy, size));
        free(copy);
    } else {
        buf_put(wire, choose_bytes(choices, 40));
    }
}

static void act(struct pair *pair)
{
    struct choices *choices = &pair->choices;
    unsigned side = (unsigned) choose(choices, 2);
    size_t what = choose(choices, 16);
    if (what < 6) {
        send(pair, side);
    } else if (what < 9) {
        deliver(pair, side, choose(choices, 256));
    } else if (what < 13) {
        deliver(pair, side, SIZE_MAX);
    } else if (what < 14) {
        if (session_ready(pair->sessions[side])) {
            must(session_rekey(pair->sessions[side]) == ERR_OK);
            collect(pair, side);
        }
    } else {
        spoil(pair, side);
    }
}

/* Did a whole frame arrive whose content, not its length, was altered? */
static bool damaged(const struct way *way)
{
    size_t good = untouched(way), at = 0;
    while (at + 2 <= good) {
        size_t end = at + 2 + be16_get(way->sent.data + at);
        if (good < end) {
            return way->delivered.size >= end;
        }
        at = end;
    }
    return false;
}

/* What got through unchanged was received, and what did not ended the session. */
static void check(struct pair *pair)
{
    if (untouched(&pair->ways[0]) < 34 + 66 || untouched(&pair->ways[1]) < 98) {
        must(pair->ways[0].received_count == 0);
        return;
    }
    for (unsigned side = 0; side < 2; side++) {
        const struct way *way = &pair->ways[side];
        unsigned whole = 0;
        while (whole < way->sent_count && way->messages[whole].end <= untouched(way)) {
            whole++;
        }
        must(way->received_count == whole);
        must(way->dead || !damaged(way));
    }
}

/* A first message that carries something: no handshake of ours. */
static void payload_check(struct bytes payload)
{
    static const uint8_t link[2][KEY_SIZE] = {{1}, {2}}, ephemeral[2][KEY_SIZE] = {{3}, {4}};
    struct noise noise;
    struct bytes unused;
    uint8_t wire[2 + KEY_SIZE + 16];
    size_t size = 0;
    enum err err = ERR_OK;
    must(noise_init(&noise, true, bytes_of_str("essaim\1"), link[0], ephemeral[0]) == ERR_OK);
    must(noise_write(&noise, payload, wire + 2, &size) == ERR_OK);
    noise_done(&noise);
    be16_put(wire, (uint16_t) size);
    struct session *session = session_new(false, link[1], ephemeral[1], &err);
    must(session != NULL);
    must(session_feed(session, bytes_of(wire, 2 + size)) == ERR_OK);
    must(session_next(session, &unused) == (payload.size == 0 ? ERR_MORE : ERR_MALFORMED));
    session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair pair = {.choices = {.left = bytes_of(data, size)}};
    for (unsigned side = 0; side < 2; side++) {
        uint8_t link[KEY_SIZE], ephemeral[KEY_SIZE];
        enum err err = ERR_OK;
        fuzz_fill(link, sizeof link, 1 + side);
        fuzz_fill(ephemeral, sizeof ephemeral, 3 + side);
        pair.sessions[side] = session_new(side == 0, link, ephemeral, &err);
        must(pair.sessions[side] != NULL);
        collect(&pair, side);
    }
    if (choose(&pair.choices, 4) != 0) { /* mostly, the handshake is left alone */
        deliver(&pair, 0, SIZE_MAX);
        deliver(&pair, 1, SIZE_MAX);
        deliver(&pair, 0, SIZE_MAX);
        must(session_ready(pair.sessions[0]) && session_ready(pair.sessions[1]));
    }
    for (unsigned i = 0; i < ACTS_MAX && pair.choices.left.size > 0; i++) {
        act(&pair);
    }
    check(&pair);
    for (unsigned side = 0; side < 2; side++) {
        must(!session_ready(pair.sessions[side]) || session_remote(pair.sessions[side]) != NULL);
        static const uint8_t much[PEER_IN_SIZE_MAX + 1];
        must(session_feed(pair.sessions[side], BYTES_OF_ARRAY(much)) == ERR_FULL);
    }
    session_free(NULL);
    payload_check(bytes_of(data, size > 16 ? 16 : size));
    for (unsigned side = 0; side < 2; side++) {
        session_free(pair.sessions[side]);
        buf_done(&pair.ways[side].sent);
        buf_done(&pair.ways[side].delivered);
        buf_done(&pair.ways[side].wire);
    }
    return 0;
}
