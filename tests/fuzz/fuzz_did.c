/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/fuzz/fuzz_did.c: a lab id has one text: what decodes encodes to it, what is encoded decodes
 * back. */
#include "proto/did.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct lab_id lab, again;
    char did[DID_SIZE_MAX];
    enum err err = did_decode(text, &lab);
    must(err == ERR_OK || err == ERR_INVALID);
    if (err == ERR_OK) {
        did_encode(&lab, did);
        must(bytes_equal(bytes_of_str(did), text));
    }
    memset(lab.bytes, 0, sizeof lab.bytes);
    bytes_copy(lab.bytes, bytes_of(data, size < KEY_SIZE ? size : KEY_SIZE));
    did_encode(&lab, did);
    must(did_decode(bytes_of_str(did), &again) == ERR_OK);
    must(memcmp(lab.bytes, again.bytes, KEY_SIZE) == 0);
    return 0;
}
