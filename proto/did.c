/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/did.c: base58btc of 34 bytes (0xed 0x01 ‖ key) by schoolbook division; their first byte
 * fixes the length at 47 digits, so there is one text a key. */
#include "proto/did.h"

#define PREFIX "did:key:z"
#define PREFIX_SIZE (sizeof PREFIX - 1)
#define RAW_SIZE (2 + KEY_SIZE)
#define DIGIT_COUNT 47

static const char digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

void did_encode(const struct lab_id *lab, char ret_did[DID_SIZE_MAX])
{
    uint8_t raw[RAW_SIZE] = {0xed, 0x01};
    memcpy(raw + 2, lab->bytes, KEY_SIZE);
    memcpy(ret_did, PREFIX, PREFIX_SIZE);
    for (size_t i = DIGIT_COUNT; i > 0; i--) {
        unsigned rest = 0;
        for (size_t k = 0; k < RAW_SIZE; k++) {
            unsigned value = rest * 256 + raw[k];
            raw[k] = (uint8_t) (value / 58);
            rest = value % 58;
        }
        ret_did[PREFIX_SIZE + i - 1] = digits[rest];
    }
    ret_did[PREFIX_SIZE + DIGIT_COUNT] = '\0';
}

enum err did_decode(struct bytes text, struct lab_id *ret_lab)
{
    if (text.size != PREFIX_SIZE + DIGIT_COUNT || memcmp(text.data, PREFIX, PREFIX_SIZE) != 0) {
        return ERR_INVALID;
    }
    uint8_t raw[RAW_SIZE] = {0};
    for (size_t i = PREFIX_SIZE; i < text.size; i++) {
        const char *digit = memchr(digits, text.data[i], sizeof digits - 1);
        if (digit == NULL) {
            return ERR_INVALID;
        }
        unsigned carry = (unsigned) (digit - digits);
        for (size_t k = RAW_SIZE; k > 0; k--) {
            carry += raw[k - 1] * 58u;
            raw[k - 1] = (uint8_t) carry;
            carry >>= 8;
        }
        if (carry != 0) {
            return ERR_INVALID;
        }
    }
    if (raw[0] != 0xed || raw[1] != 0x01) {
        return ERR_INVALID;
    }
    memcpy(ret_lab->bytes, raw + 2, KEY_SIZE);
    return ERR_OK;
}
