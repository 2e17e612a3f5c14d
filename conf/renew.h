/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/renew.h: from one set of keys to the next, file by file (doc/decisions/0009).
 *
 *   essaim          signing.key.new  link.key.new  lab.record.new         renew_stage
 *   essaimd         signing.key.next link.key.next lab.record.next        renew_claim, and loads
 *                   … one commit of the store …
 *                   link.key         signing.key   lab.record             renew_finish
 *
 * The record is always the last one. A kill at any moment leaves the old set or the new one:
 * renew_left says, at the next start, what is lying about.
 */
#ifndef ESSAIM_CONF_RENEW_H
#define ESSAIM_CONF_RENEW_H

#include <stdbool.h>

#include "conf/keys.h"
#include "conf/rootkey.h"
#include "proto/lab.h"

/* ---- essaim: needs the root key, and rights on DIR (its owner, or root) ---- */

/* Draws a signing and a link key, fills them and the lab into `record`, signs it and leaves the
 * three .new files, durable; older ones are removed first. ERR_INVALID for a bad field, ERR_KEY,
 * ERR_IO, ERR_FULL, ERR_NOMEM; `ret_say` is set. */
MUST_USE enum err renew_stage(const char *dir, const struct rootkey *root,
                              struct lab_record *record, struct say *ret_say);
/* Removes .new files, as far as it can. */
void renew_unstage(const char *dir);

/* Makes DIR (0700) if it is not there, or takes an empty one or one with essaimd.conf alone, and in
 * it link.key and recover.statement. ERR_EXISTS when anything else is there. */
MUST_USE enum err renew_recover(const char *dir, const struct rootkey *root, uint64_t now_s,
                                struct say *ret_say);
/* What root made in it belongs to the owner of DIR, like the keys. ERR_KEY, ERR_IO. */
MUST_USE enum err renew_give(const char *dir, const char *name);
/* Is DIR one that renew_recover made, of that lab, and not yet a lab? */
bool renew_recovering(const char *dir, const struct lab_id *lab);

/* ---- essaimd: holds the directory's lock ---- */

/* Takes the .new files over and loads them. `unfinished` (or NULL): a renew_finish of this process
 * failed, so what was claimed before is in use: it is put in its place first (false, then), or
 * kept. ERR_NOT_FOUND when there are none, else as keys_load; after an error no .new is left. */
MUST_USE enum err renew_claim(const char *dir, bool *unfinished, struct keys *ret_keys,
                              struct say *ret_say);
/* Removes what renew_claim took over. */
void renew_drop(const char *dir);
/* Puts it in place of the present keys, durably; recover.statement goes. ERR_IO, ERR_KEY, ERR_FULL:
 * then the next renew_claim or the next start goes on. */
MUST_USE enum err renew_finish(const char *dir, struct say *ret_say);

struct renew_left {
    bool any;          /* a .new or .next file is there */
    bool begun;        /* renew_finish had begun */
    struct buf record; /* the signed record it is about; empty when none was claimed */
};
/* What an earlier process left: to be finished when begun, or when the store holds the record; else
 * renew_drop and renew_unstage. ERR_KEY, ERR_IO, ERR_NOMEM. */
MUST_USE enum err renew_left(const char *dir, struct renew_left *ret_left, struct say *ret_say);

#endif
