/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_handshake.c: the three messages of the handshake, one of them perhaps altered.
 *
 * An untouched handshake ends with equal keys. One message touched in any way (a bit, cut, longer,
 * another altogether): nobody ends it. Message 1 is in the clear, so that it shows at message 2.
 */
#include "proto/noise.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGE_SIZE_MAX 512

struct shake {
    struct noise sides[2]; /* initiator, responder */
    struct choices choices;
    unsigned victim; /* 0 to 2: this message may be altered; 3: none */
    bool touched;
    struct noise *dead; /* whose handshake is over before its end; NULL: none yet */
};

/* What arrives instead of `size` bytes at `message`; its new size. */
static size_t alter(struct shake *shake, uint8_t message[MESSAGE_SIZE_MAX], size_t size)
{
    struct choices *choices = &shake->choices;
    uint8_t before[MESSAGE_SIZE_MAX];
    memcpy(before, message, size);
    size_t now = size;
    switch (choose(choices, 5)) {
    case 0: {
        size_t at = choose(choices, size);
        message[at] ^= choose_byte(choices);
        break;
    }
    case 1:
        now = choose(choices, size + 1);
        break;
    case 2: {
        struct bytes more = choose_bytes(choices, 64);
        bytes_copy(message + size, more);
        now += more.size;
        break;
    }
    case 3: {
        struct bytes other = choose_bytes(choices, 200);
        bytes_copy(message, other);
        now = other.size;
        break;
    }
    default: { /* another public key, small orders among them */
        memset(message, 0, 32);
        message[0] = choose_byte(choices);
        message[31] = choose_byte(choices);
        break;
    }
    }
    shake->touched |= now != size || memcmp(before, message, size) != 0;
    return now;
}

/* One message from one side to the other. False: the handshake ended there. */
static bool pass(struct shake *shake, unsigned number)
{
    struct noise *from = &shake->sides[number % 2], *to = &shake->sides[1 - number % 2];
    static const size_t overheads[] = {32, 96, 64};
    must(noise_overhead(from) == overheads[number]);
    uint8_t message[MESSAGE_SIZE_MAX] = {0};
    struct bytes payload = choose_bytes(&shake->choices, 100);
    size_t size = 0;
    enum err err = noise_write(from, payload, message, &size);
    must(err == ERR_OK || (err == ERR_DECRYPT && shake->touched));
    if (err != ERR_OK) {
        shake->dead = from;
        return false;
    }
    must(size == payload.size + overheads[number]);
    if (number == shake->victim) {
        size = alter(shake, message, size);
    }
    uint8_t *wire = fuzz_copy(bytes_of(message, size));
    uint8_t *plain = malloc(size + 1);
    must(plain != NULL);
    size_t plain_size = 0;
    err = noise_read(to, bytes_of(wire, size), plain, &plain_size);
    must(err == ERR_OK || err == ERR_DECRYPT);
    must(err == ERR_OK || shake->touched);
    must(err != ERR_OK || number == 0 || !shake->touched);
    if (err == ERR_OK && !shake->touched) {
        must(bytes_equal(bytes_of(plain, plain_size), payload));
    }
    free(wire);
    free(plain);
    shake->dead = err == ERR_OK ? NULL : to;
    return err == ERR_OK;
}

static void transport_check(struct shake *shake)
{
    struct noise_cipher send[2], recv[2];
    for (unsigned i = 0; i < 2; i++) {
        noise_split(&shake->sides[i], &send[i], &recv[i]);
    }
    must(memcmp(shake->sides[0].remote_static, shake->sides[1].static_public, 32) == 0);
    must(memcmp(shake->sides[1].remote_static, shake->sides[0].static_public, 32) == 0);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t sealed[64], plain[48] = "both ends hold the same keys, one each way";
        must(noise_seal(&send[i], bytes_of(plain, sizeof plain), sealed) == ERR_OK);
        uint8_t mask = choose_byte(&shake->choices);
        sealed[choose(&shake->choices, sizeof sealed)] ^= mask;
        enum err err = noise_open(&recv[1 - i], bytes_of(sealed, sizeof sealed), sealed);
        must(mask == 0 ? err == ERR_OK : err == ERR_DECRYPT);
        must(mask != 0 || memcmp(sealed, plain, sizeof plain) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shake shake = {.choices = {.left = bytes_of(data, size)}};
    shake.victim = (unsigned) choose(&shake.choices, 4);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t link[32], ephemeral[32];
        fuzz_fill(link, sizeof link, 1 + i);
        fuzz_fill(ephemeral, sizeof ephemeral, 3 + i);
        must(noise_init(&shake.sides[i], i == 0, bytes_of_str("essaim\1"), link, ephemeral) ==
             ERR_OK);
    }
    unsigned number = 0;
    while (number < 3 && pass(&shake, number)) {
        number++;
    }
    must(shake.touched == (number < 3));
    if (number == 3) {
        transport_check(&shake);
    }
    if (shake.dead != NULL) { /* who refused one message takes and makes no other */
        uint8_t room[200];
        size_t given = 0;
        must(noise_read(shake.dead, bytes_of(NULL, 0), room, &given) == ERR_DECRYPT);
        must(noise_write(shake.dead, bytes_of(NULL, 0), room, &given) == ERR_DECRYPT);
    }
    noise_done(&shake.sides[0]);
    noise_done(&shake.sides[1]);
    return 0;
}
