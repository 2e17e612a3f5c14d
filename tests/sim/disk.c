/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/disk.c: what becomes of the labs' directories: copied, put back, lost, rotten. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/must.h"
#include "store/copy.h"
#include "store/txn.h"
#include "tests/sim/state.h"

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void) stat;
    (void) flag;
    (void) ftw;
    return remove(path);
}

void dir_remove(const char *dir)
{
    (void) nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void dir_copy(const char *from, const char *from_tail, const char *to, const char *to_tail)
{
    defer(buf_done) struct buf command = {0};
    buf_printf(&command, "rm -rf '%s%s' && cp -a '%s%s' '%s%s'", to, to_tail, from, from_tail, to,
               to_tail);
    buf_put_u8(&command, 0);
    must(command.err == ERR_OK && system((const char *) command.data) == 0);
}

void sim_backup(struct sim *sim, unsigned lab)
{
    must(!sim->labs[lab]->live);
    dir_copy(sim->labs[lab]->dir, "", sim->labs[lab]->dir, ".copy");
}

void sim_restore(struct sim *sim, unsigned lab)
{
    must(!sim->labs[lab]->live);
    sim_tell(sim, "%u is restored from its copy", lab);
    dir_copy(sim->labs[lab]->dir, ".copy", sim->labs[lab]->dir, "");
    check_forget(sim->labs[lab]);
}

void sim_store_lost(struct sim *sim, unsigned lab)
{
    must(!sim->labs[lab]->live);
    sim_tell(sim, "%u lost its store", lab);
    dir_remove(sim->labs[lab]->dir);
    check_forget(sim->labs[lab]);
}

void sim_save(struct sim *sim, unsigned lab)
{
    struct copy copy;
    defer(buf_done) struct buf path = {0};
    buf_printf(&path, "%s.saved", sim->labs[lab]->dir);
    buf_put_u8(&path, 0);
    (void) unlink((const char *) path.data);
    must(copy_backup(sim->labs[lab]->store, (const char *) path.data, &copy) == ERR_OK);
}

void sim_load(struct sim *sim, unsigned lab)
{
    const char *dir = sim->labs[lab]->dir;
    sim_store_lost(sim, lab);
    must(mkdir(dir, 0700) == 0);
    dir_copy(dir, ".saved", dir, "/data.mdb");
}

void sim_rot(struct sim *sim, unsigned lab, unsigned of, const char *slug)
{
    struct txn *txn = NULL;
    uint32_t id = 0;
    struct held_head held;
    struct slug_row row;
    struct slug_hash slug_hash = hash_slug(bytes_of_str(slug));
    uint8_t key[8];
    struct bytes value;
    defer(buf_done) struct buf rotten = {0};
    must(txn_begin_write(sim->labs[lab]->store, &txn) == ERR_OK);
    must(sim_find(sim, txn, of, &id, &held) == ERR_OK);
    must(catalogue_slug(txn, id, &slug_hash, &row) == ERR_OK);
    be64_put(key, row.seq);
    must(txn_get(txn, TABLE_BODIES, BYTES_OF_ARRAY(key), &value) == ERR_OK);
    buf_put(&rotten, value);
    rotten.data[rotten.size - 3] ^= 1;
    must(txn_put(txn, TABLE_BODIES, BYTES_OF_ARRAY(key), buf_bytes(&rotten)) == ERR_OK);
    must(txn_commit(txn) == ERR_OK);
    sim->labs[lab]->rotten = true;
}
