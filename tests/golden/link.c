/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/golden/link.c: one connection between two sessions with fixed keys: handshake, HELLOs, a
 * few messages, a rekeying of either direction, and messages after it. */
#include "base/must.h"
#include "proto/session.h"
#include "tests/golden/golden.h"

struct ends {
    struct golden *golden;
    struct session *sessions[2]; /* dialler, responder */
};

/* Hands what `from` has waiting to the other end. */
static void carry(struct ends *ends, unsigned from, struct bytes message)
{
    static const char *const names[] = {"dialler", "responder"};
    struct out *out = &ends->golden->out;
    struct buf *wire = session_take(ends->sessions[from]);
    must(wire != NULL);
    out_open(out, NULL, '{');
    out_text(out, "from", names[from]);
    out_hex(out, "wire", buf_bytes(wire));
    out_hex(out, "message", message); /* empty: of the handshake */
    out_close(out, '}');
    enum err err = session_feed(ends->sessions[1 - from], buf_bytes(wire));
    must(err == ERR_OK);
    struct bytes got = {0};
    err = session_next(ends->sessions[1 - from], &got);
    if (message.size == 0 || bytes_equal(message, bytes_of("\x91\x0e", 2))) {
        must(err == ERR_MORE); /* worked off inside */
    } else {
        must(err == ERR_OK);
        must(bytes_equal(got, message));
    }
    buf_free(wire);
}

static void say(struct ends *ends, unsigned from, struct bytes message)
{
    enum err err = session_send(ends->sessions[from], message);
    must(err == ERR_OK);
    carry(ends, from, message);
}

static void rekey(struct ends *ends, unsigned from)
{
    enum err err = session_rekey(ends->sessions[from]);
    must(err == ERR_OK);
    carry(ends, from, bytes_of("\x91\x0e", 2));
}

void golden_link(struct golden *golden)
{
    struct ends ends = {.golden = golden};
    uint8_t ephemerals[2][KEY_SIZE];
    enum err err = ERR_OK;
    memset(ephemerals[0], 0x21, KEY_SIZE);
    memset(ephemerals[1], 0x22, KEY_SIZE);
    ends.sessions[0] = session_new(true, golden->a.link_secret, ephemerals[0], &err);
    ends.sessions[1] = session_new(false, golden->b.link_secret, ephemerals[1], &err);
    must(ends.sessions[0] != NULL);
    must(ends.sessions[1] != NULL);
    out_open(&golden->out, "link", '{');
    out_hex(&golden->out, "dialler_ephemeral", BYTES_OF_ARRAY(ephemerals[0]));
    out_hex(&golden->out, "responder_ephemeral", BYTES_OF_ARRAY(ephemerals[1]));
    out_open(&golden->out, "frames", '[');
    carry(&ends, 0, (struct bytes){0});
    carry(&ends, 1, (struct bytes){0});
    carry(&ends, 0, (struct bytes){0});
    must(session_ready(ends.sessions[0]));
    must(session_ready(ends.sessions[1]));
    say(&ends, 0, bytes_of("\x92\x0b\x01", 3));
    say(&ends, 0, bytes_of("\x92\x0b\x02", 3));
    say(&ends, 1, bytes_of("\x92\x0c\x01", 3));
    rekey(&ends, 0);
    say(&ends, 0, bytes_of("\x92\x0b\x03", 3));
    say(&ends, 1, bytes_of("\x92\x0c\x02", 3));
    rekey(&ends, 1);
    rekey(&ends, 0);
    say(&ends, 1, bytes_of("\x92\x0c\x03", 3));
    say(&ends, 0, bytes_of("\x93\x0d\x00\xa0", 4));
    out_close(&golden->out, ']');
    out_close(&golden->out, '}');
    session_free(ends.sessions[0]);
    session_free(ends.sessions[1]);
}
