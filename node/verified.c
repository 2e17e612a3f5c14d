/* SPDX-License-Identifier: EUPL-1.2 */
/* node/verified.c: see verified.h. Only the very bytes under the very key are known again. */
#include "node/verified.h"

#include <string.h>

static bool verified_holds(const struct verified *verified, struct bytes signed_head,
                           const uint8_t signing_pk[KEY_SIZE])
{
    for (unsigned i = 0; i < VERIFIED_MAX; i++) {
        const struct verified_head *head = &verified->heads[i];
        if (head->size > 0 && bytes_equal(bytes_of(head->bytes, head->size), signed_head) &&
            memcmp(head->signing_pk, signing_pk, KEY_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

void verified_put(struct verified *verified, struct bytes signed_head,
                  const uint8_t signing_pk[KEY_SIZE])
{
    struct verified_head *head = &verified->heads[verified->next];
    if (signed_head.size == 0 || signed_head.size > sizeof head->bytes) {
        return;
    }
    memcpy(head->bytes, signed_head.data, signed_head.size);
    head->size = signed_head.size;
    memcpy(head->signing_pk, signing_pk, KEY_SIZE);
    verified->next = (verified->next + 1) % VERIFIED_MAX;
}

enum err verified_open(struct verified *verified, struct bytes signed_head,
                       const uint8_t signing_pk[KEY_SIZE], struct head *ret_head)
{
    if (verified_holds(verified, signed_head, signing_pk)) {
        return head_peek(signed_head, ret_head);
    }
    enum err err = head_open(signed_head, signing_pk, ret_head);
    if (err == ERR_OK) {
        verified_put(verified, signed_head, signing_pk);
    }
    return err;
}
