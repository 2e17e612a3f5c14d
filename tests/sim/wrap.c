/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/wrap.c: where the simulator stands between the rooms, by the linker's --wrap: in front
 * of the disk (txn_commit), of every message that leaves (session_send), and of the signature
 * check, which costs most: the same bytes are verified once (a table keyed by their hash).
 */
#include <sodium.h>
#include <string.h>

#include "base/must.h"
#include "store/txn.h"
#include "tests/sim/state.h"

#define MEMO_COUNT (1u << 18)

static uint8_t memo[MEMO_COUNT][16]; /* all zero: free */

enum err __wrap_sign_verify(enum hash_tag tag, struct bytes payload,
                            const uint8_t public_key[KEY_SIZE],
                            const uint8_t signature[SIGNATURE_SIZE])
{
    uint8_t key[16];
    crypto_generichash_state state;
    must(crypto_generichash_init(&state, NULL, 0, sizeof key) == 0);
    must(crypto_generichash_update(&state, hash_tag_bytes(tag), 16) == 0);
    must(crypto_generichash_update(&state, public_key, KEY_SIZE) == 0);
    must(crypto_generichash_update(&state, signature, SIGNATURE_SIZE) == 0);
    must(crypto_generichash_update(&state, payload.data, payload.size) == 0);
    must(crypto_generichash_final(&state, key, sizeof key) == 0);
    uint8_t *slot = memo[be32_get(key) % MEMO_COUNT];
    if (memcmp(slot, key, sizeof key) == 0) {
        return ERR_OK;
    }
    enum err err = __real_sign_verify(tag, payload, public_key, signature);
    if (err == ERR_OK) {
        memcpy(slot, key, sizeof key);
    }
    return err;
}

static enum err commit(struct txn *txn, struct sim_lab *lab)
{
    enum err err = __real_txn_commit(txn);
    lab->commits += err == ERR_OK;
    return err;
}

enum err __wrap_txn_commit(struct txn *txn)
{
    if (sim_running == NULL || sim_running->at_lab == SIM_LABS_MAX || !txn_dirty(txn)) {
        return __real_txn_commit(txn); /* nothing to write */
    }
    struct sim_lab *lab = sim_running->labs[sim_running->at_lab];
    if (lab->store != NULL && txn->store != lab->store) {
        return __real_txn_commit(txn); /* of a copy: no promise hangs on it */
    }
    enum sim_disk disk = lab->full && lab->disk == SIM_DISK_OK ? SIM_DISK_FULL : lab->disk;
    lab->disk = SIM_DISK_OK;
    enum err err = ERR_OK;
    switch (disk) {
    case SIM_DISK_OK:
        return commit(txn, lab);
    case SIM_DISK_FULL:
        txn_end(txn);
        return ERR_FULL;
    case SIM_DISK_EIO:
    case SIM_DISK_CRASH:
        txn_end(txn);
        lab->dying = true;
        lab->broken = disk == SIM_DISK_EIO;
        return ERR_IO;
    case SIM_DISK_EIO_LATE:
        err = commit(txn, lab);
        lab->dying = lab->broken = true;
        return err == ERR_OK ? ERR_IO : err;
    case SIM_DISK_CRASH_LATE:
        err = commit(txn, lab);
        lab->dying = true;
        return err;
    }
    return ERR_INTERNAL;
}

enum err __wrap_session_send(struct session *session, struct bytes message)
{
    struct sim *sim = sim_running;
    if (sim == NULL || sim->at_lab == SIM_LABS_MAX) {
        return __real_session_send(session, message);
    }
    if (sim->labs[sim->at_lab]->lies == 0) {
        check_message(sim, sim->at_lab, session, message);
        return __real_session_send(session, message);
    }
    struct buf instead = {0};
    bool said = liar_says(sim, sim->at_lab, session, message, &instead);
    enum err err = !said              ? ERR_OK
                   : instead.size > 0 ? __real_session_send(session, buf_bytes(&instead))
                                      : __real_session_send(session, message);
    buf_done(&instead);
    return err;
}
