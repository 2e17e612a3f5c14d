/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/session: two sessions over a virtual wire, a raw peer that is built from noise.h and may
 * break every rule, every cut and every flipped bit of a recorded exchange, replays, and rekeying
 * by count at its limit and one over it.
 */
#include "proto/session.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/defer.h"
#include "base/limits.h"
#include "proto/noise.h"
#include "tests/unit/lack.h"

/* Clamping drops the lowest three bits. */
static const uint8_t secrets[4][32] = {{0x10}, {0x20}, {0x30}, {0x40}};
static const uint8_t rekey_message[] = {0x91, 0x0e};
static const uint8_t prologue[] = "essaim\1";

static struct session *session_made(bool dialler)
{
    enum err err = ERR_INTERNAL;
    struct session *session =
        session_new(dialler, secrets[dialler ? 0 : 2], secrets[dialler ? 1 : 3], &err);
    assert_int_equal(err, ERR_OK);
    assert_non_null(session);
    return session;
}

/* Moves what `from` has ready into `to`; its bytes are appended to `record` where there is one. */
static void carry(struct session *from, struct session *to, struct buf *record)
{
    size_t waiting = session_waiting(from);
    struct buf *wire = session_take(from);
    assert_int_equal(session_waiting(from), 0);
    assert_true((wire == NULL) == (waiting == 0));
    if (wire != NULL) {
        assert_int_equal(wire->size, waiting);
        assert_int_equal(session_feed(to, buf_bytes(wire)), ERR_OK);
        if (record != NULL) {
            buf_put(record, buf_bytes(wire));
        }
        buf_free(wire);
    }
}

static void expect_more(struct session *session)
{
    struct bytes message = {0};
    assert_int_equal(session_next(session, &message), ERR_MORE);
}

static void expect_text(struct session *session, const char *text)
{
    struct bytes message = {0};
    assert_int_equal(session_next(session, &message), ERR_OK);
    assert_true(bytes_equal(message, bytes_of_str(text)));
}

static void send_text(struct session *session, const char *text)
{
    assert_int_equal(session_send(session, bytes_of_str(text)), ERR_OK);
}

struct link {
    struct session *dialler, *responder;
};

static struct link link_made(void)
{
    struct link link = {session_made(true), session_made(false)};
    carry(link.dialler, link.responder, NULL);
    expect_more(link.responder);
    carry(link.responder, link.dialler, NULL);
    expect_more(link.dialler);
    assert_true(session_ready(link.dialler));
    assert_false(session_ready(link.responder));
    carry(link.dialler, link.responder, NULL);
    expect_more(link.responder);
    assert_true(session_ready(link.responder));
    return link;
}

static void link_done(struct link *link)
{
    session_free(link->dialler);
    session_free(link->responder);
}

/* ---- a peer that may do anything ---- */

struct raw {
    struct noise noise;
    struct noise_cipher send, recv;
    struct buf wire;
};

static void raw_frame(struct raw *raw, const uint8_t *frame, size_t size)
{
    buf_put_u8(&raw->wire, (uint8_t) (size >> 8));
    buf_put_u8(&raw->wire, (uint8_t) size);
    buf_put(&raw->wire, bytes_of(frame, size));
}

/* The next handshake message, with a payload where the rules want none. */
static void raw_handshake(struct raw *raw, size_t payload_size)
{
    uint8_t payload[256] = {0}, frame[512];
    size_t size = 0;
    assert_int_equal(noise_write(&raw->noise, bytes_of(payload, payload_size), frame, &size),
                     ERR_OK);
    raw_frame(raw, frame, size);
}

static void raw_seal(struct raw *raw, struct bytes message)
{
    uint8_t frame[256];
    assert_int_equal(noise_seal(&raw->send, message, frame), ERR_OK);
    raw_frame(raw, frame, message.size + FRAME_TAG_SIZE);
}

static enum err raw_feed(struct raw *raw, struct session *session)
{
    enum err err = session_feed(session, buf_bytes(&raw->wire));
    buf_clear(&raw->wire);
    return err;
}

static void raw_read_handshake(struct raw *raw, struct session *session)
{
    uint8_t payload[256];
    size_t size = 0;
    struct buf *wire = session_take(session);
    assert_non_null(wire);
    struct bytes frame = bytes_of(wire->data + 2, wire->size - 2);
    assert_int_equal(be16_get(wire->data), frame.size);
    assert_int_equal(noise_read(&raw->noise, frame, payload, &size), ERR_OK);
    assert_int_equal(size, 0);
    buf_free(wire);
}

/* A raw dialler before its third message, and the responder it talks to. */
static struct session *raw_begin(struct raw *raw)
{
    struct session *session = session_made(false);
    *raw = (struct raw){0};
    assert_int_equal(noise_init(&raw->noise, true, bytes_of(prologue, sizeof prologue - 1),
                                secrets[0], secrets[1]),
                     ERR_OK);
    raw_handshake(raw, 0);
    assert_int_equal(raw_feed(raw, session), ERR_OK);
    expect_more(session);
    raw_read_handshake(raw, session);
    return session;
}

static struct session *raw_link(struct raw *raw)
{
    struct session *session = raw_begin(raw);
    raw_handshake(raw, 0);
    assert_int_equal(raw_feed(raw, session), ERR_OK);
    expect_more(session);
    assert_true(session_ready(session));
    noise_split(&raw->noise, &raw->send, &raw->recv);
    return session;
}

static void expect_dead(struct session *session, enum err err)
{
    struct bytes message = {0};
    for (unsigned i = 0; i < 3; i++) { /* for good */
        assert_int_equal(session_next(session, &message), err);
    }
    assert_null(message.data);
    session_free(session);
}

/* ---- the straight path ---- */

static void two_sessions_shake_hands_and_talk_both_ways(void **state)
{
    (void) state;
    struct link link = link_made();
    uint8_t public_key[32];
    (void) crypto_scalarmult_base(public_key, secrets[2]);
    assert_memory_equal(session_remote(link.dialler), public_key, 32);
    (void) crypto_scalarmult_base(public_key, secrets[0]);
    assert_memory_equal(session_remote(link.responder), public_key, 32);
    assert_null(session_take(link.dialler));
    for (unsigned i = 0; i < 100; i++) {
        send_text(link.dialler, "ping");
        send_text(link.dialler, "another");
        send_text(link.responder, "pong");
        carry(link.dialler, link.responder, NULL);
        carry(link.responder, link.dialler, NULL);
        expect_text(link.responder, "ping");
        expect_text(link.responder, "another");
        expect_more(link.responder);
        expect_text(link.dialler, "pong");
        expect_more(link.dialler);
    }
    link_done(&link);
    session_free(NULL);
}

static void the_wire_bytes_of_the_handshake_are_198_and_a_message_costs_18(void **state)
{
    (void) state;
    struct link link = {session_made(true), session_made(false)};
    assert_int_equal(session_waiting(link.dialler), 2 + 32);
    assert_int_equal(session_waiting(link.responder), 0);
    carry(link.dialler, link.responder, NULL);
    expect_more(link.responder);
    assert_int_equal(session_waiting(link.responder), 2 + 96);
    carry(link.responder, link.dialler, NULL);
    expect_more(link.dialler);
    assert_int_equal(session_waiting(link.dialler), 2 + 64);
    send_text(link.dialler, "x"); /* may follow at once */
    assert_int_equal(session_waiting(link.dialler), 2 + 64 + 2 + 1 + 16);
    carry(link.dialler, link.responder, NULL);
    expect_text(link.responder, "x");
    link_done(&link);
}

static void a_message_may_have_one_byte_up_to_the_largest_and_no_more(void **state)
{
    (void) state;
    struct link link = link_made();
    uint8_t *big = calloc(1, MSG_SIZE_MAX + 1);
    assert_non_null(big);
    big[MSG_SIZE_MAX - 1] = 5;
    struct bytes message = {0};
    assert_int_equal(session_send(link.dialler, bytes_of(big, 0)), ERR_SIZE);
    assert_int_equal(session_send(link.dialler, bytes_of(big, MSG_SIZE_MAX + 1)), ERR_SIZE);
    assert_int_equal(session_waiting(link.dialler), 0);
    assert_int_equal(session_send(link.dialler, bytes_of(big, 1)), ERR_OK);
    assert_int_equal(session_send(link.dialler, bytes_of(big, MSG_SIZE_MAX)), ERR_OK);
    carry(link.dialler, link.responder, NULL);
    assert_int_equal(session_next(link.responder, &message), ERR_OK);
    assert_int_equal(message.size, 1);
    assert_int_equal(session_next(link.responder, &message), ERR_OK);
    assert_int_equal(message.size, MSG_SIZE_MAX);
    assert_memory_equal(message.data, big, MSG_SIZE_MAX);
    free(big);
    link_done(&link);
}

static void a_secret_of_zeroes_makes_no_session(void **state)
{
    (void) state;
    static const uint8_t zero[32];
    enum err err = ERR_OK;
    assert_null(session_new(true, zero, secrets[0], &err));
    assert_int_equal(err, ERR_KEY);
    err = ERR_OK;
    assert_null(session_new(false, secrets[0], zero, &err));
    assert_int_equal(err, ERR_KEY);
}

/* ---- the wire cuts where it likes ---- */

#define TEXT_COUNT 5
static const char *const texts[TEXT_COUNT] = {"hello", "a", "some longer message of the dialler",
                                              "b", "end"};

/* All the dialler ever says, the third message with what follows it. */
static struct buf *recorded(size_t *ret_first)
{
    struct link link = {session_made(true), session_made(false)};
    struct buf *record = buf_new(1024);
    assert_non_null(record);
    carry(link.dialler, link.responder, record);
    *ret_first = record->size;
    expect_more(link.responder);
    carry(link.responder, link.dialler, NULL);
    expect_more(link.dialler);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        send_text(link.dialler, texts[i]);
        if (i == 2) {
            assert_int_equal(session_rekey(link.dialler), ERR_OK);
        }
    }
    carry(link.dialler, link.responder, record);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        expect_text(link.responder, texts[i]);
    }
    link_done(&link);
    return record;
}

/* Feeds a part and takes every message that is whole by then. */
static void feed_part(struct session *session, struct bytes part, size_t *at)
{
    assert_int_equal(session_feed(session, part), ERR_OK);
    struct bytes message = {0};
    enum err err = session_next(session, &message);
    while (err == ERR_OK) {
        assert_true(*at < TEXT_COUNT);
        assert_true(bytes_equal(message, bytes_of_str(texts[*at])));
        (*at)++;
        err = session_next(session, &message);
    }
    assert_int_equal(err, ERR_MORE);
}

static void a_stream_cut_anywhere_in_two_gives_the_same_messages(void **state)
{
    (void) state;
    size_t first = 0;
    struct buf *record = recorded(&first);
    for (size_t cut = 0; cut <= record->size; cut++) {
        struct session *session = session_made(false);
        size_t at = 0;
        feed_part(session, bytes_of(record->data, cut), &at);
        feed_part(session, bytes_of(record->data + cut, record->size - cut), &at);
        assert_int_equal(at, TEXT_COUNT);
        session_free(session);
    }
    buf_free(record);
}

static void a_stream_fed_in_parts_of_every_size_gives_the_same_messages(void **state)
{
    (void) state;
    size_t first = 0;
    struct buf *record = recorded(&first);
    for (size_t size = 1; size <= 40; size++) {
        struct session *session = session_made(false);
        size_t at = 0;
        for (size_t from = 0; from < record->size; from += size) {
            size_t left = record->size - from;
            feed_part(session, bytes_of(record->data + from, left < size ? left : size), &at);
        }
        assert_int_equal(at, TEXT_COUNT);
        session_free(session);
    }
    buf_free(record);
}

static void messages_that_pile_up_come_out_whole_and_in_order(void **state)
{
    (void) state;
    struct link link = link_made();
    uint8_t text[3000];
    uint32_t sent = 0, got = 0;
    /* the reader falls behind, catches up, and falls behind again */
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 50; i++) {
            memset(text, (int) (sent & 0xff), sizeof text);
            be32_put(text, sent);
            size_t size = 4 + (size_t) sent * 7 % 2900;
            assert_int_equal(session_send(link.dialler, bytes_of(text, size)), ERR_OK);
            sent++;
        }
        carry(link.dialler, link.responder, NULL);
        struct bytes message = {0};
        unsigned reads = round % 4 == 3 ? 1000 : 30;
        for (unsigned i = 0; i < reads && got < sent; i++) {
            assert_int_equal(session_next(link.responder, &message), ERR_OK);
            assert_int_equal(be32_get(message.data), got);
            assert_int_equal(message.size, 4 + (size_t) got * 7 % 2900);
            assert_int_equal(message.data[message.size - 1], message.size > 4 ? got & 0xff : got);
            got++;
        }
    }
    assert_int_equal(sent, got);
    expect_more(link.responder);
    link_done(&link);
}

static void more_than_one_mebibyte_waiting_is_refused_and_harms_nothing(void **state)
{
    (void) state;
    struct link link = link_made();
    uint8_t *text = calloc(1, 60000);
    assert_non_null(text);
    size_t fed = 0;
    unsigned count = 0;
    while (true) {
        assert_int_equal(session_send(link.dialler, bytes_of(text, 60000)), ERR_OK);
        struct buf *wire = session_take(link.dialler);
        enum err err = session_feed(link.responder, buf_bytes(wire));
        if (err == ERR_OK) {
            fed += wire->size;
            count++;
            buf_free(wire);
            continue;
        }
        assert_int_equal(err, ERR_FULL);
        assert_true(fed + wire->size > PEER_IN_SIZE_MAX);
        /* up to the very limit it is taken */
        size_t fits = PEER_IN_SIZE_MAX - fed;
        assert_int_equal(session_feed(link.responder, bytes_of(wire->data, fits + 1)), ERR_FULL);
        assert_int_equal(session_feed(link.responder, bytes_of(wire->data, fits)), ERR_OK);
        struct bytes message = {0};
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(session_next(link.responder, &message), ERR_OK);
            assert_int_equal(message.size, 60000);
        }
        expect_more(link.responder);
        struct bytes rest = bytes_of(wire->data + fits, wire->size - fits);
        assert_int_equal(session_feed(link.responder, rest), ERR_OK);
        assert_int_equal(session_next(link.responder, &message), ERR_OK);
        expect_more(link.responder); /* gives the large buffer back */
        send_text(link.dialler, "and on it goes");
        carry(link.dialler, link.responder, NULL);
        expect_text(link.responder, "and on it goes");
        buf_free(wire);
        break;
    }
    assert_int_equal(count, PEER_IN_SIZE_MAX / 60018);
    free(text);
    link_done(&link);
}

static size_t heap_size(void)
{
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

/* As TCP has it: a part of the next frame is always there already. (Under a sanitizer the heap
 * counts nothing, and this only checks the messages.) */
static void a_stream_without_a_pause_between_frames_takes_bounded_memory(void **state)
{
    (void) state;
    struct link link = link_made();
    static uint8_t text[50000];
    size_t before = heap_size();
    defer(buf_done) struct buf wire = {0};
    for (unsigned i = 0; i < 400; i++) {
        assert_int_equal(session_send(link.dialler, BYTES_OF_ARRAY(text)), ERR_OK);
        struct buf *frame = session_take(link.dialler);
        buf_put(&wire, buf_bytes(frame));
        buf_free(frame);
        size_t fed = wire.size - 1000;
        assert_int_equal(session_feed(link.responder, bytes_of(wire.data, fed)), ERR_OK);
        buf_shift(&wire, fed);
        struct bytes message = {0};
        if (i > 0) {
            assert_int_equal(session_next(link.responder, &message), ERR_OK);
            assert_int_equal(message.size, sizeof text);
        }
        expect_more(link.responder);
    }
    assert_true(heap_size() < before + 1024 * 1024);
    link_done(&link);
}

/* ---- altered, replayed, reordered ---- */

/* Feeds altered bytes and wants no word of them accepted behind the alteration. */
static void every_flipped_bit_of_a_recorded_exchange_ends_it(void **state)
{
    (void) state;
    size_t first = 0;
    struct buf *record = recorded(&first);
    for (size_t bit = 8 * first; bit < 8 * record->size; bit++) {
        struct session *session = session_made(false);
        struct bytes message = {0};
        record->data[bit / 8] ^= (uint8_t) (1u << (bit % 8));
        assert_int_equal(session_feed(session, buf_bytes(record)), ERR_OK);
        size_t got = 0;
        enum err err = session_next(session, &message);
        while (err == ERR_OK) {
            assert_true(got < TEXT_COUNT);
            assert_true(bytes_equal(message, bytes_of_str(texts[got])));
            got++;
            err = session_next(session, &message);
        }
        assert_true(got < TEXT_COUNT);
        /* a length that became too long waits for bytes that may come */
        assert_true(err == ERR_DECRYPT || err == ERR_MALFORMED || err == ERR_SIZE ||
                    err == ERR_MORE);
        record->data[bit / 8] ^= (uint8_t) (1u << (bit % 8));
        session_free(session);
    }
    buf_free(record);
}

static void a_flipped_bit_in_the_first_messages_leaves_both_sides_unready(void **state)
{
    (void) state;
    for (size_t bit = 0; bit < 8 * 34; bit++) {
        struct link link = {session_made(true), session_made(false)};
        struct buf *wire = session_take(link.dialler);
        wire->data[bit / 8] ^= (uint8_t) (1u << (bit % 8));
        assert_int_equal(session_feed(link.responder, buf_bytes(wire)), ERR_OK);
        struct bytes message = {0};
        enum err err = session_next(link.responder, &message);
        if (err == ERR_MORE) { /* an altered key is found out by the dialler */
            carry(link.responder, link.dialler, NULL);
            err = session_next(link.dialler, &message);
            assert_true(err == ERR_DECRYPT || err == ERR_MORE);
        }
        assert_false(session_ready(link.dialler));
        assert_false(session_ready(link.responder));
        buf_free(wire);
        link_done(&link);
    }
    for (size_t bit = 0; bit < 8 * 98; bit++) {
        struct link link = {session_made(true), session_made(false)};
        carry(link.dialler, link.responder, NULL);
        expect_more(link.responder);
        struct buf *wire = session_take(link.responder);
        wire->data[bit / 8] ^= (uint8_t) (1u << (bit % 8));
        assert_int_equal(session_feed(link.dialler, buf_bytes(wire)), ERR_OK);
        struct bytes message = {0};
        assert_int_not_equal(session_next(link.dialler, &message), ERR_OK);
        assert_false(session_ready(link.dialler));
        buf_free(wire);
        link_done(&link);
    }
}

static void a_replayed_frame_is_refused(void **state)
{
    (void) state;
    struct link link = link_made();
    send_text(link.dialler, "once");
    struct buf *wire = session_take(link.dialler);
    assert_int_equal(session_feed(link.responder, buf_bytes(wire)), ERR_OK);
    expect_text(link.responder, "once");
    assert_int_equal(session_feed(link.responder, buf_bytes(wire)), ERR_OK);
    session_free(link.dialler);
    expect_dead(link.responder, ERR_DECRYPT);
    buf_free(wire);
}

static void reordered_frames_are_refused(void **state)
{
    (void) state;
    struct link link = link_made();
    send_text(link.dialler, "first");
    buf_free(session_take(link.dialler));
    send_text(link.dialler, "second");
    carry(link.dialler, link.responder, NULL);
    session_free(link.dialler);
    expect_dead(link.responder, ERR_DECRYPT);
}

static void frames_sent_back_to_their_sender_are_refused(void **state)
{
    (void) state;
    struct link link = link_made();
    send_text(link.dialler, "to you");
    carry(link.dialler, link.dialler, NULL);
    session_free(link.responder);
    expect_dead(link.dialler, ERR_DECRYPT);
    /* and so is a first message */
    struct session *dialler = session_made(true);
    carry(dialler, dialler, NULL);
    expect_dead(dialler, ERR_DECRYPT);
}

static void a_recorded_dialler_gets_nowhere_with_a_responder_of_another_ephemeral(void **state)
{
    (void) state;
    size_t first = 0;
    struct buf *record = recorded(&first);
    enum err err = ERR_OK;
    struct session *session = session_new(false, secrets[2], secrets[1], &err);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(session_feed(session, buf_bytes(record)), ERR_OK);
    expect_dead(session, ERR_DECRYPT);
    buf_free(record);
}

static void after_a_refused_frame_a_last_word_can_still_be_sent(void **state)
{
    (void) state;
    struct link link = link_made();
    static const uint8_t bad[2 + 20] = {0, 20};
    assert_int_equal(session_feed(link.responder, BYTES_OF_ARRAY(bad)), ERR_OK);
    struct bytes message = {0};
    assert_int_equal(session_next(link.responder, &message), ERR_DECRYPT);
    send_text(link.responder, "bye");
    carry(link.responder, link.dialler, NULL);
    expect_text(link.dialler, "bye");
    link_done(&link);
}

/* ---- frames that no honest peer sends ---- */

static void a_frame_without_a_message_is_malformed(void **state)
{
    (void) state;
    static const uint8_t zeroes[2 + FRAME_TAG_SIZE];
    struct raw raw;
    for (size_t size = 0; size < FRAME_TAG_SIZE; size++) {
        struct session *session = raw_link(&raw);
        raw_frame(&raw, zeroes, size);
        assert_int_equal(raw_feed(&raw, session), ERR_OK);
        expect_dead(session, ERR_MALFORMED);
        buf_done(&raw.wire);
    }
    struct session *session = raw_link(&raw);
    raw_seal(&raw, bytes_of(NULL, 0)); /* sealed well, but empty */
    assert_int_equal(raw_feed(&raw, session), ERR_OK);
    expect_dead(session, ERR_MALFORMED);
    session = session_made(false);
    assert_int_equal(session_feed(session, bytes_of(zeroes, 2)), ERR_OK);
    expect_dead(session, ERR_MALFORMED);
    buf_done(&raw.wire);
}

static void a_handshake_frame_over_200_bytes_is_refused_by_its_length_alone(void **state)
{
    (void) state;
    static const uint8_t over[] = {0, 201}, most[] = {0xff, 0xff}, at_limit[] = {0, 200};
    struct session *session = session_made(false);
    assert_int_equal(session_feed(session, BYTES_OF_ARRAY(over)), ERR_OK);
    expect_dead(session, ERR_SIZE);
    session = session_made(true);
    assert_int_equal(session_feed(session, BYTES_OF_ARRAY(most)), ERR_OK);
    expect_dead(session, ERR_SIZE);
    session = session_made(false);
    assert_int_equal(session_feed(session, BYTES_OF_ARRAY(at_limit)), ERR_OK);
    expect_more(session);
    session_free(session);
}

static void a_handshake_message_with_a_payload_is_malformed(void **state)
{
    (void) state;
    struct raw raw = {0};
    struct session *session = session_made(false);
    assert_int_equal(noise_init(&raw.noise, true, bytes_of(prologue, sizeof prologue - 1),
                                secrets[0], secrets[1]),
                     ERR_OK);
    raw_handshake(&raw, 168); /* as long as may be */
    assert_int_equal(raw_feed(&raw, session), ERR_OK);
    expect_dead(session, ERR_MALFORMED);
    buf_done(&raw.wire);

    session = raw_begin(&raw);
    raw_handshake(&raw, 1);
    assert_int_equal(raw_feed(&raw, session), ERR_OK);
    struct bytes message = {0};
    assert_int_equal(session_next(session, &message), ERR_MALFORMED);
    assert_false(session_ready(session));
    session_free(session);
    buf_done(&raw.wire);
}

static void another_protocol_or_version_gets_no_handshake(void **state)
{
    (void) state;
    static const char *const others[] = {"essaim\2", "essaim", "", "essaim\1 "};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct raw raw = {0};
        struct session *session = session_made(true);
        assert_int_equal(
            noise_init(&raw.noise, false, bytes_of_str(others[i]), secrets[2], secrets[3]), ERR_OK);
        raw_read_handshake(&raw, session);
        raw_handshake(&raw, 0);
        assert_int_equal(raw_feed(&raw, session), ERR_OK);
        expect_dead(session, ERR_DECRYPT);
        buf_done(&raw.wire);
    }
}

/* ---- rekeying ---- */

static void a_rekey_is_obeyed_and_not_shown(void **state)
{
    (void) state;
    struct link link = link_made();
    for (unsigned i = 0; i < 20; i++) {
        struct session *from = i % 3 == 0 ? link.responder : link.dialler;
        struct session *to = i % 3 == 0 ? link.dialler : link.responder;
        send_text(from, "before");
        assert_int_equal(i % 2 == 0 ? session_rekey(from)
                                    : session_send(from, BYTES_OF_ARRAY(rekey_message)),
                         ERR_OK);
        send_text(from, "after");
        carry(from, to, NULL);
        expect_text(to, "before");
        expect_text(to, "after");
        expect_more(to);
        assert_int_equal(session_rekey(from), ERR_OK);
        carry(from, to, NULL);
        expect_more(to);
    }
    link_done(&link);
}

static void a_rekey_changes_the_key_of_its_own_direction_only(void **state)
{
    (void) state;
    struct raw raw;
    struct session *session = raw_link(&raw);
    uint8_t plain[64];
    send_text(session, "old key");
    assert_int_equal(session_rekey(session), ERR_OK);
    send_text(session, "new key");
    struct buf *wire = session_take(session);
    size_t at = 0;
    for (unsigned i = 0; i < 3; i++) {
        size_t size = be16_get(wire->data + at);
        struct bytes frame = bytes_of(wire->data + at + 2, size);
        at += 2 + size;
        struct noise_cipher kept = raw.recv;
        if (i == 2) {
            assert_int_equal(noise_open(&kept, frame, plain), ERR_DECRYPT);
            noise_rekey(&raw.recv);
        }
        assert_int_equal(noise_open(&raw.recv, frame, plain), ERR_OK);
    }
    assert_memory_equal(plain, "new key", 7);
    raw_seal(&raw, bytes_of_str("mine is the old one"));
    assert_int_equal(raw_feed(&raw, session), ERR_OK);
    expect_text(session, "mine is the old one");
    session_free(session);
    buf_free(wire);
    buf_done(&raw.wire);
}

static void a_sender_rekeys_by_itself_with_message_2_to_the_20(void **state)
{
    (void) state;
    struct raw raw;
    struct session *session = raw_link(&raw);
    uint32_t count = 0, rekeys = 0;
    while (count < REKEY_MESSAGES_MAX + 10) {
        send_text(session, "tiny");
        struct buf *wire = session_take(session);
        for (size_t at = 0; at < wire->size; at += 2u + be16_get(wire->data + at)) {
            uint8_t plain[64];
            struct bytes frame = bytes_of(wire->data + at + 2, be16_get(wire->data + at));
            assert_int_equal(noise_open(&raw.recv, frame, plain), ERR_OK);
            count++;
            if (frame.size == sizeof rekey_message + FRAME_TAG_SIZE) {
                assert_int_equal(count, REKEY_MESSAGES_MAX);
                noise_rekey(&raw.recv);
                rekeys++;
            }
        }
        buf_free(wire);
    }
    assert_int_equal(rekeys, 1);
    session_free(session);
    buf_done(&raw.wire);
}

static void take_messages(struct raw *raw, struct session *session, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        raw_seal(raw, bytes_of_str("x"));
        if (i % 1024 == 1023 || i + 1 == count) {
            assert_int_equal(raw_feed(raw, session), ERR_OK);
            struct bytes message = {0};
            enum err err = session_next(session, &message);
            while (err == ERR_OK) {
                err = session_next(session, &message);
            }
            assert_int_equal(err, ERR_MORE);
        }
    }
}

static void a_receiver_takes_2_to_the_20_messages_without_a_rekey_and_not_one_more(void **state)
{
    (void) state;
    struct raw raw;
    struct session *session = raw_link(&raw);
    take_messages(&raw, session, 100);
    raw_seal(&raw, BYTES_OF_ARRAY(rekey_message)); /* the count begins again */
    noise_rekey(&raw.send);
    take_messages(&raw, session, REKEY_MESSAGES_MAX);
    raw_seal(&raw, bytes_of_str("x"));
    assert_int_equal(raw_feed(&raw, session), ERR_OK);
    expect_dead(session, ERR_SIZE);
    buf_done(&raw.wire);
}

#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum err tried = (call);                                                                   \
        if (tried != ERR_OK) {                                                                     \
            return tried;                                                                          \
        }                                                                                          \
    } while (0)

static enum err carried(struct session *from, struct session *to)
{
    struct bytes message;
    struct buf *wire = session_take(from);
    enum err err = wire == NULL ? ERR_OK : session_feed(to, buf_bytes(wire));
    buf_free(wire);
    if (err == ERR_OK) {
        err = session_next(to, &message);
    }
    return err == ERR_MORE ? ERR_OK : err;
}

/* A handshake, and a message each way with a rekey before it. */
static enum err life(struct link *link)
{
    enum err err = ERR_OK;
    static uint8_t large[20000];
    link->dialler = session_new(true, secrets[0], secrets[1], &err);
    if (link->dialler != NULL) {
        link->responder = session_new(false, secrets[2], secrets[3], &err);
    }
    TRY(err);
    TRY(carried(link->dialler, link->responder));
    TRY(carried(link->responder, link->dialler));
    TRY(carried(link->dialler, link->responder));
    TRY(session_rekey(link->dialler));
    TRY(session_send(link->dialler, BYTES_OF_ARRAY(large)));
    TRY(session_send(link->dialler, BYTES_OF_ARRAY(large)));
    TRY(carried(link->dialler, link->responder));
    TRY(session_send(link->responder, bytes_of_str("answer")));
    return carried(link->responder, link->dialler);
}

static void without_memory_a_session_says_so_and_loses_none(void **state)
{
    (void) state;
    bool met = true;
    for (unsigned granted = 0; met; granted++) {
        struct link link = {0};
        lack_begin(granted);
        enum err err = life(&link);
        met = lack_end();
        assert_int_equal(err, met ? ERR_NOMEM : ERR_OK);
        link_done(&link);
        assert_true(granted < 100);
    }
}

static void what_found_no_memory_can_be_sent_again(void **state)
{
    (void) state;
    struct link link = link_made();
    static const uint8_t large[20000] = {1};
    struct bytes message;
    send_text(link.dialler, "first");
    lack_begin(0);
    assert_int_equal(session_send(link.dialler, BYTES_OF_ARRAY(large)), ERR_NOMEM);
    assert_true(lack_end());
    assert_int_equal(session_send(link.dialler, BYTES_OF_ARRAY(large)), ERR_OK);
    struct buf *wire = session_take(link.dialler);
    lack_begin(0);
    assert_int_equal(session_feed(link.responder, buf_bytes(wire)), ERR_NOMEM);
    assert_true(lack_end());
    assert_int_equal(session_feed(link.responder, buf_bytes(wire)), ERR_OK);
    buf_free(wire);
    expect_text(link.responder, "first");
    assert_int_equal(session_next(link.responder, &message), ERR_OK);
    assert_true(bytes_equal(message, BYTES_OF_ARRAY(large)));
    link_done(&link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_sessions_shake_hands_and_talk_both_ways),
        cmocka_unit_test(the_wire_bytes_of_the_handshake_are_198_and_a_message_costs_18),
        cmocka_unit_test(a_message_may_have_one_byte_up_to_the_largest_and_no_more),
        cmocka_unit_test(a_secret_of_zeroes_makes_no_session),
        cmocka_unit_test(a_stream_cut_anywhere_in_two_gives_the_same_messages),
        cmocka_unit_test(a_stream_fed_in_parts_of_every_size_gives_the_same_messages),
        cmocka_unit_test(messages_that_pile_up_come_out_whole_and_in_order),
        cmocka_unit_test(more_than_one_mebibyte_waiting_is_refused_and_harms_nothing),
        cmocka_unit_test(a_stream_without_a_pause_between_frames_takes_bounded_memory),
        cmocka_unit_test(every_flipped_bit_of_a_recorded_exchange_ends_it),
        cmocka_unit_test(a_flipped_bit_in_the_first_messages_leaves_both_sides_unready),
        cmocka_unit_test(a_replayed_frame_is_refused),
        cmocka_unit_test(reordered_frames_are_refused),
        cmocka_unit_test(frames_sent_back_to_their_sender_are_refused),
        cmocka_unit_test(a_recorded_dialler_gets_nowhere_with_a_responder_of_another_ephemeral),
        cmocka_unit_test(after_a_refused_frame_a_last_word_can_still_be_sent),
        cmocka_unit_test(a_frame_without_a_message_is_malformed),
        cmocka_unit_test(a_handshake_frame_over_200_bytes_is_refused_by_its_length_alone),
        cmocka_unit_test(a_handshake_message_with_a_payload_is_malformed),
        cmocka_unit_test(another_protocol_or_version_gets_no_handshake),
        cmocka_unit_test(a_rekey_is_obeyed_and_not_shown),
        cmocka_unit_test(a_rekey_changes_the_key_of_its_own_direction_only),
        cmocka_unit_test(a_sender_rekeys_by_itself_with_message_2_to_the_20),
        cmocka_unit_test(a_receiver_takes_2_to_the_20_messages_without_a_rekey_and_not_one_more),
        cmocka_unit_test(without_memory_a_session_says_so_and_loses_none),
        cmocka_unit_test(what_found_no_memory_can_be_sent_again),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
