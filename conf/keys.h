/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/keys.h: the keys of a lab on disk (design §3).
 *
 *   DIR/root.key      the lab itself: meant to be moved offline; not needed to run
 *   DIR/signing.key   signs heads                        one line each, mode 0600:
 *   DIR/link.key      authenticates links                "essaim-key-1 TYPE HEX\n", HEX = 32 bytes
 *   DIR/lab.record    the lab record signed by the root key (public, binary)
 *   DIR/retired.key   hides which slugs were withdrawn; never in the store, so in no backup of it
 *
 * A lab that is being recovered has link.key and, instead of the others, recover.statement
 * (doc/protocol.md §9). DIR itself is ours and mode 0700.
 */
#ifndef ESSAIM_CONF_KEYS_H
#define ESSAIM_CONF_KEYS_H

#include "base/buf.h"
#include "conf/say.h"
#include "proto/hash.h"

#define KEYS_ROOT "root.key"
#define KEYS_SIGNING "signing.key"
#define KEYS_LINK "link.key"
#define KEYS_RECORD "lab.record"
#define KEYS_STATEMENT "recover.statement"
#define KEYS_RETIRED "retired.key"

struct keys {
    struct lab_id lab;
    uint64_t generation;     /* 0: being recovered */
    struct buf record;       /* the signed lab record; empty while being recovered */
    struct buf statement;    /* the signed recovery statement; empty otherwise */
    uint8_t *signing_secret; /* SIGN_SECRET_SIZE, guarded memory; NULL while being recovered */
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

/* The same with `suffix` behind each name, and no other state than that of a lab. */
MUST_USE enum err keys_load_set(const char *dir, const char *suffix, struct keys *ret_keys,
                                struct say *ret_say);

/* The key of the table `retired`, made here if there is none: at the first start of a lab, and
 * where it was lost. What it hid before is then forgotten. ERR_KEY when the file is not as a key
 * must be; ERR_IO, ERR_FULL, ERR_NOMEM. */
MUST_USE enum err keys_retired(const char *dir, uint8_t ret_key[KEY_SIZE], struct say *ret_say);

/* Wipes and frees. Accepts NULL and zeroed objects. */
void keys_done(struct keys *keys);

#endif
