/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/look.c: what labs hold, by their committed state. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/defer.h"
#include "base/must.h"
#include "proto/entry.h"
#include "store/history.h"
#include "store/receipts.h"
#include "store/scrub.h"
#include "tests/sim/state.h"

enum err sim_find(struct sim *sim, struct txn *txn, unsigned of, uint32_t *ret_id,
                  struct held_head *ret_held)
{
    struct catalogue_name name = {.lab = sim->labs[of]->id, .audience = "public"};
    enum err err = catalogue_find(txn, &name, ret_id);
    return err != ERR_OK ? err : catalogue_head(txn, *ret_id, ret_held);
}

bool sim_head(struct sim *sim, unsigned lab, unsigned of, struct head *ret_head)
{
    struct txn *txn = NULL;
    if (!sim->labs[lab]->live || sim->labs[lab]->store == NULL) {
        return false;
    }
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    uint32_t id = 0;
    struct held_head held;
    bool found = sim_find(sim, txn, of, &id, &held) == ERR_OK;
    if (found) {
        *ret_head = held.head;
    }
    txn_end(txn);
    return found;
}

uint64_t sim_generation(struct sim *sim, unsigned lab, unsigned of)
{
    struct txn *txn = NULL;
    struct held_lab held;
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    bool found = lab_get(txn, &sim->labs[of]->id, &held) == ERR_OK;
    uint64_t generation = found ? held.record.generation : 0;
    txn_end(txn);
    return generation;
}

bool sim_forked(struct sim *sim, unsigned lab, unsigned of)
{
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    struct catalogue_name name = {.lab = sim->labs[of]->id, .audience = "public"};
    uint32_t id = 0;
    struct held_fork fork;
    struct held_lab held;
    bool known = catalogue_find(txn, &name, &id) == ERR_OK && fork_get(txn, id, &fork) == ERR_OK &&
                 lab_get(txn, &name.lab, &held) == ERR_OK &&
                 held.record.generation == fork.generation;
    txn_end(txn);
    return known;
}

bool sim_signed_head(struct sim *sim, unsigned lab, unsigned of, struct buf *into)
{
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    uint32_t id = 0;
    struct held_head held;
    bool found = sim_find(sim, txn, of, &id, &held) == ERR_OK;
    if (found) {
        buf_put(into, held.signed_bytes);
    }
    txn_end(txn);
    return found;
}

bool sim_receipt(struct sim *sim, unsigned lab, unsigned by, struct buf *into)
{
    struct txn *txn = NULL;
    struct held_receipt held;
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    bool found = receipts_get(txn, &sim->labs[by]->id, &held) == ERR_OK;
    if (found) {
        buf_put(into, held.signed_bytes);
    }
    txn_end(txn);
    return found;
}

uint64_t sim_claim(struct sim *sim, unsigned lab, unsigned by, unsigned of)
{
    defer(buf_done) struct buf bytes = {0};
    struct receipt receipt;
    struct receipt_row row;
    bool found = sim_receipt(sim, lab, by, &bytes) &&
                 receipt_peek(buf_bytes(&bytes), &receipt) == ERR_OK &&
                 receipt_find(&receipt, &sim->labs[of]->id, bytes_of_str("public"), &row);
    return found ? row.n : 0;
}

bool sim_staged(struct sim *sim, unsigned lab, unsigned of)
{
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    struct catalogue_name name = {.lab = sim->labs[of]->id, .audience = "public"};
    uint32_t id = 0;
    struct staging staging;
    bool found =
        catalogue_find(txn, &name, &id) == ERR_OK && staging_get(txn, id, &staging) == ERR_OK;
    txn_end(txn);
    return found;
}

/* The number behind the first word of its text: which of the publications of that slug it is. */
static unsigned entry_salt(struct bytes bytes)
{
    static const char word[] = "essaimage ";
    const uint8_t *at = memmem(bytes.data, bytes.size, word, sizeof word - 1);
    unsigned salt = 0;
    if (at == NULL) {
        return SIM_SALT_UNKNOWN;
    }
    for (at += sizeof word - 1; at < bytes.data + bytes.size && *at >= '0' && *at <= '9'; at++) {
        salt = salt * 10 + (unsigned) (*at - '0');
    }
    return salt;
}

bool sim_entry(struct sim *sim, unsigned lab, unsigned of, const char *slug, unsigned *ret_salt)
{
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    uint32_t id = 0;
    struct held_head held;
    struct bytes entry;
    struct slug_hash slug_hash = hash_slug(bytes_of_str(slug));
    bool found = sim_find(sim, txn, of, &id, &held) == ERR_OK &&
                 catalogue_entry(txn, id, &slug_hash, &entry) == ERR_OK;
    if (found) {
        *ret_salt = entry_salt(entry);
    }
    txn_end(txn);
    return found;
}

bool sim_has(struct sim *sim, unsigned lab, unsigned of, const char *slug)
{
    unsigned salt = 0;
    return sim_entry(sim, lab, of, slug, &salt);
}

/* Do all live labs, but the liars, hold the same head of that one? */
static bool converged_of(struct sim *sim, unsigned of)
{
    bool any = false;
    bool first_found = false;
    struct head first;
    for (unsigned lab = 0; lab < sim->lab_count; lab++) {
        if (!sim->labs[lab]->live || sim->labs[lab]->store == NULL || sim->labs[lab]->apart) {
            continue;
        }
        struct head head;
        bool found = sim_head(sim, lab, of, &head);
        if (!any) {
            any = true;
            first = head;
            first_found = found;
        } else if (found != first_found ||
                   (found && memcmp(head.hash.bytes, first.hash.bytes, HASH_SIZE) != 0)) {
            return false;
        }
    }
    return true;
}

bool sim_converged(struct sim *sim)
{
    for (unsigned of = 0; of < sim->lab_count; of++) {
        if (!sim->labs[of]->apart && !converged_of(sim, of)) {
            return false;
        }
    }
    return true;
}

void sim_apart(struct sim *sim, unsigned lab, bool apart)
{
    sim->labs[lab]->apart = apart;
}

bool sim_converge(struct sim *sim, uint64_t ms)
{
    uint64_t until_ms = sim->now_ms + ms;
    while (sim->now_ms < until_ms && sim->failure[0] == 0) {
        if (sim_converged(sim)) {
            return true;
        }
        sim_run(sim, 50);
    }
    return sim_converged(sim);
}

bool sim_verify(struct sim *sim, unsigned lab)
{
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[lab]->store, &txn) == ERR_OK);
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page *page = calloc(1, sizeof *page);
    must(page != NULL);
    bool clean = true;
    while (!page->done && clean) {
        must(scrub_step(txn, at, 1000, page) == ERR_OK);
        clean = page->problems_seen == 0 && (page->catalogue == 0 || page->catalogue_ok);
        if (!clean) {
            sim_tell(sim, "%u verify: %s", lab,
                     page->problem_count > 0 ? page->problems[0].what : "catalogue");
        }
    }
    free(page);
    txn_end(txn);
    return clean;
}

uint64_t sim_said(const struct sim *sim, unsigned lab, enum msg_type type)
{
    return sim->labs[lab]->said[type];
}

/* ---- failures ---- */

void sim_soft(struct sim *sim)
{
    sim->soft = true;
}

const char *sim_failure(const struct sim *sim)
{
    return sim->failure[0] != 0 ? sim->failure : NULL;
}

void sim_telling(struct sim *sim)
{
    sim->telling = true;
}

const char *sim_dir(const struct sim *sim, unsigned lab)
{
    return sim->labs[lab]->dir;
}

static unsigned occurrences(const char *path, struct bytes text)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    must(fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    rewind(file);
    char *bytes = malloc((size_t) size + 1);
    must(bytes != NULL);
    must(fread(bytes, 1, (size_t) size, file) == (size_t) size);
    (void) fclose(file);
    unsigned count = 0;
    const char *end = bytes + size;
    for (const char *at = bytes; at != NULL; count += at != NULL) {
        at = memmem(at, (size_t) (end - at), text.data, text.size);
        at = at == NULL ? NULL : at + 1;
    }
    free(bytes);
    return count;
}

unsigned sim_bytes(const struct sim *sim, unsigned lab, const char *text)
{
    return sim_bytes_of(sim, lab, bytes_of_str(text));
}

unsigned sim_bytes_of(const struct sim *sim, unsigned lab, struct bytes text)
{
    char path[512];
    unsigned count = 0;
    DIR *listing = opendir(sim->labs[lab]->dir);
    must(listing != NULL);
    const struct dirent *entry = NULL;
    while ((entry = readdir(listing)) != NULL) {
        must(snprintf(path, sizeof path, "%s/%s", sim->labs[lab]->dir, entry->d_name) <
             (int) sizeof path);
        count += entry->d_type == DT_REG ? occurrences(path, text) : 0;
    }
    (void) closedir(listing);
    return count;
}
