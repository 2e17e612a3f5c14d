/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * Promise N6 on proto/session: two sessions of the same two labs are recorded, with a rekey in each
 * direction. At every place of every stream every recorded frame is given instead of the right
 * one: earlier and later ones (replay, reordering), the receiver's own (reflection), those of the
 * other session (splicing). None is ever taken for a message, and nothing behind it is either.
 */
#include "proto/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"

#define TALKS 16 /* messages each way */
#define FRAMES_MAX (TALKS + 3)

enum { DIALLER, RESPONDER, SIDES };

/* What a side sent in one session, frame by frame. */
struct tape {
    struct bytes frames[SIDES][FRAMES_MAX];
    unsigned count[SIDES];
    struct buf *wire[SIDES];
};

/* Clamping drops the lowest three bits. */
static const uint8_t link_secrets[SIDES][KEY_SIZE] = {{0x10}, {0x20}};
static const uint8_t ephemeral_secrets[2][SIDES][KEY_SIZE] = {{{0x30}, {0x40}}, {{0x50}, {0x60}}};

static struct session *session_of(unsigned tape, unsigned side)
{
    enum err err = ERR_INTERNAL;
    struct session *session =
        session_new(side == DIALLER, link_secrets[side], ephemeral_secrets[tape][side], &err);
    assert_int_equal(err, ERR_OK);
    return session;
}

static void carry(struct session *const sessions[SIDES], unsigned from, struct tape *tape)
{
    struct bytes message;
    struct buf *wire = session_take(sessions[from]);
    if (wire == NULL) {
        return;
    }
    assert_int_equal(session_feed(sessions[1 - from], buf_bytes(wire)), ERR_OK);
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        err = session_next(sessions[1 - from], &message);
    }
    assert_int_equal(err, ERR_MORE);
    buf_put(tape->wire[from], buf_bytes(wire));
    buf_free(wire);
}

static void tape_cut(struct tape *tape, unsigned side)
{
    struct bytes wire = buf_bytes(tape->wire[side]);
    for (size_t at = 0; at < wire.size;) {
        size_t size = 2 + (size_t) be16_get(wire.data + at);
        assert_true(tape->count[side] < FRAMES_MAX);
        tape->frames[side][tape->count[side]++] = bytes_of(wire.data + at, size);
        at += size;
    }
}

static void tape_record(unsigned number, struct tape *tape)
{
    struct session *sessions[SIDES] = {session_of(number, DIALLER), session_of(number, RESPONDER)};
    *tape = (struct tape){.wire = {buf_new(0), buf_new(0)}};
    for (unsigned i = 0; i < 4; i++) {
        carry(sessions, i % 2 == 0 ? DIALLER : RESPONDER, tape);
    }
    for (unsigned i = 0; i < TALKS; i++) {
        for (unsigned side = 0; side < SIDES; side++) {
            uint8_t message[3] = {0x92, (uint8_t) (i % 3), 0x05}; /* the same again and again */
            if (i == TALKS / 2) {
                assert_int_equal(session_rekey(sessions[side]), ERR_OK);
            }
            assert_int_equal(session_send(sessions[side], BYTES_OF_ARRAY(message)), ERR_OK);
            carry(sessions, side, tape);
        }
    }
    for (unsigned side = 0; side < SIDES; side++) {
        tape_cut(tape, side);
        session_free(sessions[side]);
    }
    assert_int_equal(tape->count[DIALLER], TALKS + 3);
    assert_int_equal(tape->count[RESPONDER], TALKS + 2);
}

static void tape_done(struct tape *tape)
{
    buf_free(tape->wire[DIALLER]);
    buf_free(tape->wire[RESPONDER]);
}

/* How many messages come out of this frame; *ret_err is how it ended. */
static unsigned give(struct session *session, struct bytes frame, enum err *ret_err)
{
    struct bytes message;
    unsigned count = 0;
    enum err err = session_feed(session, frame);
    for (; err == ERR_OK; count += err == ERR_OK) {
        err = session_next(session, &message);
    }
    *ret_err = err;
    return count;
}

/* A receiver that has had the first `count` frames of its session. */
static struct session *receiver(const struct tape *tape, unsigned number, unsigned side,
                                unsigned count)
{
    struct session *session = session_of(number, side);
    enum err err = ERR_MORE;
    for (unsigned i = 0; i < count; i++) {
        (void) give(session, tape->frames[1 - side][i], &err);
        assert_int_equal(err, ERR_MORE);
    }
    return session;
}

static bool is_end(enum err err)
{
    return err == ERR_DECRYPT || err == ERR_MALFORMED || err == ERR_SIZE;
}

struct count {
    unsigned pairs, right, begun;
};

/* At place `at` of what `side` of session `number` receives: frame `index` of `from`. */
static void try_frame(const struct tape tapes[2], unsigned number, unsigned side, unsigned at,
                      unsigned other, unsigned from, unsigned index, struct count *count)
{
    const struct tape *tape = &tapes[number];
    unsigned sent = tape->count[1 - side];
    bool right = other == number && from == 1 - side && index == at;
    struct session *session = receiver(tape, number, side, at);
    enum err err = ERR_OK;
    unsigned messages = give(session, tapes[other].frames[from][index], &err);
    count->pairs++;
    count->right += right;
    if (right) {
        assert_int_equal(err, ERR_MORE);
        session_free(session);
        return;
    }
    assert_int_equal(messages, 0);
    bool begins = err == ERR_MORE; /* another's first handshake message is one */
    if (begins) {
        assert_true(side == RESPONDER && at == 0 && from == DIALLER && index == 0);
        assert_false(session_ready(session));
        count->begun++;
    } else {
        assert_true(is_end(err));
    }
    for (unsigned i = at; i < sent; i++) { /* and all that would have come */
        assert_int_equal(give(session, tape->frames[1 - side][i], &err), 0);
        assert_true(is_end(err));
    }
    session_free(session);
}

static void no_recorded_frame_is_taken_at_any_other_place(void **state)
{
    (void) state;
    struct tape tapes[2];
    struct count count = {0};
    tape_record(0, &tapes[0]);
    tape_record(1, &tapes[1]);
    for (unsigned number = 0; number < 2; number++) {
        for (unsigned side = 0; side < SIDES; side++) {
            for (unsigned at = 0; at < tapes[number].count[1 - side]; at++) {
                for (unsigned frame = 0; frame < 2 * SIDES * FRAMES_MAX; frame++) {
                    unsigned other = frame / (SIDES * FRAMES_MAX);
                    unsigned from = frame / FRAMES_MAX % SIDES, index = frame % FRAMES_MAX;
                    if (index < tapes[other].count[from]) {
                        try_frame(tapes, number, side, at, other, from, index, &count);
                    }
                }
            }
        }
    }
    print_message("%u pairs, %u of them right\n", count.pairs, count.right);
    assert_int_equal(count.right, 2 * (2 * TALKS + 5));
    assert_int_equal(count.begun, 2);
    tape_done(&tapes[0]);
    tape_done(&tapes[1]);
}

/* From any place on the rest of the other session comes instead. */
static void the_rest_of_another_session_is_never_taken(void **state)
{
    (void) state;
    struct tape tapes[2];
    tape_record(0, &tapes[0]);
    tape_record(1, &tapes[1]);
    for (unsigned side = 0; side < SIDES; side++) {
        unsigned sent = tapes[1].count[1 - side];
        for (unsigned at = 0; at < sent; at++) {
            struct session *session = receiver(&tapes[0], 0, side, at);
            enum err err = ERR_MORE;
            for (unsigned i = at; i < sent; i++) {
                assert_int_equal(give(session, tapes[1].frames[1 - side][i], &err), 0);
            }
            assert_int_not_equal(err, ERR_MORE);
            session_free(session);
        }
    }
    tape_done(&tapes[0]);
    tape_done(&tapes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_recorded_frame_is_taken_at_any_other_place),
        cmocka_unit_test(the_rest_of_another_session_is_never_taken),
    };
    return cmocka_run_group_tests_name("proto_splice", tests, NULL, NULL);
}
