/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/session.c: one connection as two byte streams.
 *
 *     HANDSHAKE ──third message──> READY        both, on any bad frame, ──> receiving is over
 *
 * Happy path: fed bytes are copied once behind what waits; session_next opens each frame where it
 * lies and hands out a view; session_send seals straight into the buffer that session_take gives
 * away. In steady state nothing is allocated per message. How it fails: the first bad frame makes
 * the receiving direction fail for good with that error; sending still works, for a BYE.
 */
#include "proto/session.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "proto/noise.h"

#define LENGTH_SIZE 2u
#define HANDSHAKE_FRAME_SIZE_MAX 200u /* the longest handshake message has 96 bytes */
#define IN_KEEP_SIZE_MAX (256u * 1024u)
#define OUT_CAP_MIN 512u
#define OUT_CAP_MAX (512u * 1024u)

struct session {
    bool ready;
    struct noise noise; /* wiped once ready */
    struct noise_cipher send, recv;
    uint8_t remote[KEY_SIZE];
    uint32_t sent_count, received_count; /* messages since the last REKEY of that direction */
    enum err err;                        /* of the receiving direction, sticky */
    struct buf in;
    size_t in_at; /* `in` is worked off up to here */
    struct buf *out;
    size_t out_cap; /* what the next `out` starts with: the size of the last */
};

static const uint8_t prologue[] = {'e', 's', 's', 'a', 'i', 'm', 1};
static const uint8_t rekey_message[] = {0x91, 0x0e}; /* [14] */

/* The tail of `out` for one more frame, its length in place; NULL without memory. */
static uint8_t *frame_begin(struct session *session, size_t frame_size)
{
    size_t size = LENGTH_SIZE + frame_size;
    if (session->out == NULL) {
        session->out = buf_new(size > session->out_cap ? size : session->out_cap);
        if (session->out == NULL) {
            return NULL;
        }
    }
    uint8_t *at = buf_extend(session->out, size);
    if (at == NULL) {
        session->out->err = ERR_OK; /* what waits already is still whole */
        return NULL;
    }
    be16_put(at, (uint16_t) frame_size);
    return at + LENGTH_SIZE;
}

static enum err handshake_write(struct session *session)
{
    size_t size = noise_overhead(&session->noise);
    uint8_t *at = frame_begin(session, size);
    if (at == NULL) {
        return ERR_NOMEM;
    }
    enum err err = noise_write(&session->noise, bytes_of(NULL, 0), at, &size);
    if (err != ERR_OK) {
        session->out->size -= LENGTH_SIZE + size;
    }
    return err;
}

static void handshake_finish(struct session *session)
{
    noise_split(&session->noise, &session->send, &session->recv);
    memcpy(session->remote, session->noise.remote_static, KEY_SIZE);
    noise_done(&session->noise);
    session->ready = true;
}

static enum err handshake_read(struct session *session, struct bytes frame)
{
    uint8_t payload[HANDSHAKE_FRAME_SIZE_MAX];
    size_t payload_size = 0;
    enum err err = noise_read(&session->noise, frame, payload, &payload_size);
    if (err != ERR_OK) {
        return err;
    }
    if (payload_size != 0) {
        return ERR_MALFORMED;
    }
    if (session->noise.step < 3) {
        err = handshake_write(session);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (session->noise.step == 3) {
        handshake_finish(session);
    }
    return ERR_OK;
}

struct session *session_new(bool dialler, const uint8_t link_secret[KEY_SIZE],
                            const uint8_t ephemeral_secret[KEY_SIZE], enum err *ret_err)
{
    *ret_err = ERR_NOMEM;
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    session->out_cap = OUT_CAP_MIN;
    *ret_err = noise_init(&session->noise, dialler, BYTES_OF_ARRAY(prologue), link_secret,
                          ephemeral_secret);
    if (*ret_err == ERR_OK && dialler) {
        *ret_err = handshake_write(session);
    }
    if (*ret_err != ERR_OK) {
        session_free(session);
        return NULL;
    }
    return session;
}

void session_free(struct session *session)
{
    if (session == NULL) {
        return;
    }
    buf_free(session->out);
    buf_done(&session->in);
    sodium_memzero(session, sizeof *session);
    free(session);
}

enum err session_feed(struct session *session, struct bytes wire)
{
    size_t waiting = session->in.size - session->in_at;
    if (wire.size > PEER_IN_SIZE_MAX - waiting) {
        return ERR_FULL;
    }
    /* Moved only when what is worked off is at least what is moved: linear over any stream. */
    if (session->in_at >= waiting) {
        if (waiting > 0) {
            memmove(session->in.data, session->in.data + session->in_at, waiting);
        }
        session->in.size = waiting;
        session->in_at = 0;
    }
    if (buf_reserve(&session->in, wire.size) != ERR_OK) {
        session->in.err = ERR_OK;
        return ERR_NOMEM;
    }
    buf_put(&session->in, wire);
    return ERR_OK;
}

/* The next whole frame, taken off `in`. */
static enum err frame_next(struct session *session, uint8_t **ret_frame, size_t *ret_size)
{
    size_t waiting = session->in.size - session->in_at;
    if (waiting < LENGTH_SIZE) {
        if (waiting == 0 && session->in.cap > IN_KEEP_SIZE_MAX) {
            buf_done(&session->in);
            session->in_at = 0;
        }
        return ERR_MORE;
    }
    uint8_t *at = session->in.data + session->in_at;
    size_t size = be16_get(at);
    if (size == 0 || (session->ready && size <= FRAME_TAG_SIZE)) {
        return ERR_MALFORMED;
    }
    if (!session->ready && size > HANDSHAKE_FRAME_SIZE_MAX) {
        return ERR_SIZE;
    }
    if (waiting - LENGTH_SIZE < size) {
        return ERR_MORE;
    }
    session->in_at += LENGTH_SIZE + size;
    *ret_frame = at + LENGTH_SIZE;
    *ret_size = size;
    return ERR_OK;
}

/* Works off one frame; ERR_OK with an empty view when it was no message for the caller. */
static enum err frame_read(struct session *session, uint8_t *frame, size_t size,
                           struct bytes *ret_message)
{
    *ret_message = bytes_of(NULL, 0);
    if (!session->ready) {
        return handshake_read(session, bytes_of(frame, size));
    }
    enum err err = noise_open(&session->recv, bytes_of(frame, size), frame);
    if (err != ERR_OK) {
        return err;
    }
    struct bytes message = bytes_of(frame, size - FRAME_TAG_SIZE);
    if (bytes_equal(message, BYTES_OF_ARRAY(rekey_message))) {
        noise_rekey(&session->recv);
        session->received_count = 0;
        return ERR_OK;
    }
    if (session->received_count >= REKEY_MESSAGES_MAX) {
        return ERR_SIZE;
    }
    session->received_count++;
    *ret_message = message;
    return ERR_OK;
}

enum err session_next(struct session *session, struct bytes *ret_message)
{
    while (session->err == ERR_OK) {
        uint8_t *frame = NULL;
        size_t size = 0;
        struct bytes message = {0};
        enum err err = frame_next(session, &frame, &size);
        if (err == ERR_MORE) {
            return err;
        }
        if (err == ERR_OK) {
            err = frame_read(session, frame, size, &message);
        }
        session->err = err;
        if (err == ERR_OK && message.size > 0) {
            *ret_message = message;
            return ERR_OK;
        }
    }
    return session->err;
}

/* Seals one message where it will be taken from. */
static enum err message_put(struct session *session, struct bytes message)
{
    size_t size = message.size + FRAME_TAG_SIZE;
    uint8_t *at = frame_begin(session, size);
    if (at == NULL) {
        return ERR_NOMEM;
    }
    memcpy(at, message.data, message.size);
    enum err err = noise_seal(&session->send, bytes_of(at, message.size), at);
    if (err != ERR_OK) {
        session->out->size -= LENGTH_SIZE + size;
        return err;
    }
    session->sent_count++;
    return ERR_OK;
}

enum err session_send(struct session *session, struct bytes message)
{
    must(session->ready);
    if (message.size == 0 || message.size > MSG_SIZE_MAX) {
        return ERR_SIZE;
    }
    if (bytes_equal(message, BYTES_OF_ARRAY(rekey_message))) {
        return session_rekey(session); /* the peer will take it as one */
    }
    if (session->sent_count >= REKEY_MESSAGES_MAX - 1) {
        enum err err = session_rekey(session);
        if (err != ERR_OK) {
            return err;
        }
    }
    return message_put(session, message);
}

enum err session_rekey(struct session *session)
{
    must(session->ready);
    enum err err = message_put(session, BYTES_OF_ARRAY(rekey_message));
    if (err != ERR_OK) {
        return err;
    }
    noise_rekey(&session->send);
    session->sent_count = 0;
    return ERR_OK;
}

struct buf *session_take(struct session *session)
{
    struct buf *out = session->out;
    session->out = NULL;
    if (out == NULL || out->size == 0) {
        buf_free(out);
        return NULL;
    }
    session->out_cap = out->size < OUT_CAP_MIN ? OUT_CAP_MIN : out->size;
    session->out_cap = session->out_cap > OUT_CAP_MAX ? OUT_CAP_MAX : session->out_cap;
    return out;
}

size_t session_waiting(const struct session *session)
{
    return session->out == NULL ? 0 : session->out->size;
}

bool session_ready(const struct session *session)
{
    return session->ready;
}

const uint8_t *session_remote(const struct session *session)
{
    must(session->ready);
    return session->remote;
}
