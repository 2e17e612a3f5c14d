/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/wrap.c: where the simulator stands between the rooms, by the linker's --wrap: in front
 * of the disk (txn_commit) and of every message that leaves (session_send).
 */
#include "base/must.h"
#include "store/txn.h"
#include "tests/sim/state.h"

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
        sim_inside = false;
        check_message(sim, sim->at_lab, session, message);
        sim_inside = true;
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
