/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/keys.h: the keys of a lab on disk (design §3).
 *
 *   DIR/root.key      the lab itself: meant to be moved offline; not needed to run
 *   DIR/signing.key   signs heads                        one line each, mode 0600:
 *   DIR/link.key      authenticates links                "essaim-key-1 TYPE HEX\n", HEX = 32 bytes
 *   DIR/lab.record    the lab record signed by the root key (public, binary)
 *
 * DIR itself is ours and mode 0700.
 */
#ifndef ESSAIM_CONF_KEYS_H
#define ESSAIM_CONF_KEYS_H

#include "base/buf.h"
#include "conf/say.h"
#include "proto/hash.h"

struct keys {
    struct lab_id lab;
    uint64_t generation;
    struct buf record;       /* the signed lab record */
    uint8_t *signing_secret; /* SIGN_SECRET_SIZE, guarded memory */
    uint8_t *link_secret;    /* KEY_SIZE, guarded memory */
};

/* Makes DIR (0700) if it is not there, or takes an empty one of ours, and in it the three keys and
 * the record of generation 1, all of them durable. ERR_EXISTS when there is a key already (nothing
 * is touched), ERR_INVALID for a name that is not one line of 1 to 64 bytes, ERR_KEY when DIR is
 * not ours or open to others, ERR_IO, ERR_FULL, ERR_NOMEM: then nothing new is left behind.
 * Calls sodium_init. */
MUST_USE enum err keys_create(const char *dir, const char *name, uint64_t now_s,
                              struct lab_id *ret_lab);

/* Loads what a running lab needs. ERR_KEY when a file or DIR is missing, not regular, not ours or
 * open to others, is not a key, or does not belong to the record; ERR_IO, ERR_NOMEM. `ret_say`
 * (may be NULL) is set on an error. Free with keys_done. Calls sodium_init. */
MUST_USE enum err keys_load(const char *dir, struct keys *ret_keys, struct say *ret_say);

/* Wipes and frees. Accepts NULL and zeroed objects. */
void keys_done(struct keys *keys);

#endif
