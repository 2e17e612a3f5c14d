/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * essaim recover: a lost server comes back from the root key and any peer.
 *
 *   prepare DIR ─► wait for the daemon there ─► add the peers ─► wait until nothing is left to pull
 *   ─► sign the next generation: an ordinary lab again
 *
 * Nothing of it is lost when this command is stopped: run again, it goes on where it was.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/progress.h"
#include "cli/renewal.h"
#include "cli/target.h"
#include "cli/text.h"
#include "cli/value.h"
#include "cli/when.h"
#include "conf/conf.h"
#include "conf/renew.h"
#include "proto/did.h"
#include "proto/pack.h"

#define STEP_MS 250
#define QUIET_MS 3000     /* nothing came for so long: all is there */
#define STUCK_MS 60000    /* what still is to come, comes later */
#define PATIENCE_MS 60000 /* for peers that do not answer */

enum peer_news { PEER_UNSEEN, PEER_REFUSES, PEER_LINKED };

struct recovery {
    struct cli *cli;
    struct rootkey root;
    struct target targets[OPTS_FROM_MAX];
    enum peer_news news[OPTS_FROM_MAX];
    unsigned count;
    uint64_t since_ms;
    struct identity identity;
    uint64_t entries;
};

static void pause_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void) nanosleep(&time, NULL);
}

static enum err targets_parse(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    recovery->count = cli->opts.from_count;
    for (unsigned i = 0; i < recovery->count; i++) {
        struct target *target = &recovery->targets[i];
        enum err err = target_parse(cli->opts.from[i], target, &cli->flaw);
        if (err != ERR_OK) {
            return err;
        }
        if (target->address.size == 0) {
            (void) flaw_set(&cli->flaw, ERR_USAGE, N_("this is no address"),
                            N_("write LAB@HOST:PORT"));
            flaw_detail(&cli->flaw, "%s", cli->opts.from[i]);
            return ERR_USAGE;
        }
    }
    return ERR_OK;
}

static enum err from_whom(struct cli *cli)
{
    return flaw_set(&cli->flaw, ERR_USAGE, N_("from whom? no peer was given"),
                    N_("add --from LAB@HOST:PORT, of a lab that knew this one"));
}

/* ---- the directory ---- */

static enum err listen_check(struct cli *cli, const char *listen)
{
    struct address address;
    if (listen == NULL || address_parse(bytes_of_str(listen), &address) == ERR_OK) {
        return ERR_OK;
    }
    (void) flaw_set(&cli->flaw, ERR_USAGE, N_("--listen takes HOST:PORT"),
                    N_("such as --listen 0.0.0.0:4242 or --listen [::]:4242"));
    flaw_detail(&cli->flaw, "%s", listen);
    return ERR_USAGE;
}

static enum err prepare(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    struct say say = {0};
    time_t now = time(NULL);
    bool begun = renew_recovering(cli->dir, &recovery->root.lab);
    if (!begun && recovery->count == 0) {
        return from_whom(cli);
    }
    enum err err =
        begun ? ERR_OK
              : renew_recover(cli->dir, &recovery->root, now > 0 ? (uint64_t) now : 0, &say);
    if (err != ERR_OK) {
        return renewal_say(cli, err, &say);
    }
    err = conf_write(cli->dir, cli->opts.values[OPT_listen]);
    if (err == ERR_OK) {
        err = renew_give(cli->dir, CONF_FILE);
    }
    if (err != ERR_OK && err != ERR_EXISTS) { /* begun before: its settings are there */
        (void) flaw_set(&cli->flaw, err, N_("the settings could not be written"), NULL);
        flaw_detail(&cli->flaw, "%s", cli->dir);
        return err;
    }
    return ERR_OK;
}

/* ---- the daemon ---- */

/* Until it answers; without --timeout as long as it takes. */
static enum err daemon_await(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    uint64_t end_ms =
        opts_has(&cli->opts, OPT_timeout) ? when_now_ms() + cli->opts.timeout_ms : UINT64_MAX;
    bool told = false;
    for (;;) {
        rpc_init(&cli->rpc);
        enum err err = rpc_open(&cli->rpc, cli->dir, cli->opts.timeout_ms, &cli->flaw);
        bool denied = cli->flaw.text != NULL;
        if (err != ERR_NO_DAEMON || denied || when_now_ms() >= end_ms) {
            return err;
        }
        rpc_close(&cli->rpc);
        if (!told) {
            told = true;
            voice_note(&cli->voice, _("now start the daemon there: essaimd --dir %s"), cli->dir);
        }
        pause_ms(STEP_MS);
    }
}

static enum err peers_add(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    enum err err = ERR_OK;
    for (unsigned i = 0; err == ERR_OK && i < recovery->count; i++) {
        struct buf params = {0};
        struct ctl_msg msg;
        pack_map(&params, 2);
        pack_cstr(&params, "address");
        pack_str(&params, recovery->targets[i].address);
        pack_cstr(&params, "lab");
        pack_str(&params, recovery->targets[i].lab);
        err = params.err != ERR_OK
                  ? params.err
                  : rpc_call(&cli->rpc, CTL_peers_add, buf_bytes(&params), &msg, &cli->flaw);
        buf_done(&params);
        if (err == ERR_OK) {
            ctl_done(&msg);
        }
    }
    return err;
}

/* It is the daemon of that lab, and being recovered. */
static enum err daemon_check(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    enum err err = renewal_identity(cli, &recovery->identity);
    if (err != ERR_OK) {
        return err;
    }
    if (memcmp(recovery->identity.lab.bytes, recovery->root.lab.bytes, KEY_SIZE) != 0) {
        return flaw_set(&cli->flaw, ERR_KEY, N_("this is the root key of another lab"),
                        N_("use that of the lab whose daemon runs here"));
    }
    return recovery->identity.recovering
               ? ERR_OK
               : flaw_set(&cli->flaw, ERR_EXISTS, N_("this lab needs no recovery"),
                          N_("new keys come with: essaim key rotate"));
}

/* ---- pulling ---- */

static void news_take(struct recovery *recovery, const msgpack_object *peer)
{
    struct bytes lab = {0};
    struct bytes state = {0};
    if (ctl_get_bin(peer, "lab", &lab) != ERR_OK || ctl_get_str(peer, "state", &state) != ERR_OK) {
        return;
    }
    for (unsigned i = 0; i < recovery->count; i++) {
        if (!bytes_equal(lab, BYTES_OF_ARRAY(recovery->targets[i].id.bytes))) {
            continue;
        }
        bool linked = bytes_equal(state, bytes_of_str("linked"));
        bool refuses = bytes_equal(state, bytes_of_str("refuses"));
        if (linked && recovery->news[i] != PEER_LINKED) {
            recovery->news[i] = PEER_LINKED;
            voice_note(&recovery->cli->voice, _("linked: %.*s"),
                       (int) recovery->targets[i].lab.size,
                       (const char *) recovery->targets[i].lab.data);
        } else if (refuses && recovery->news[i] == PEER_UNSEEN) {
            recovery->news[i] = PEER_REFUSES;
            char did[DID_SIZE_MAX];
            did_encode(&recovery->root.lab, did);
            voice_note(&recovery->cli->voice,
                       _("%.*s refuses this lab; its operator can let it in: essaim peers add %s"),
                       (int) recovery->targets[i].lab.size,
                       (const char *) recovery->targets[i].lab.data, did);
        }
    }
}

/* Peers that an earlier run added are waited for, too. */
static void target_adopt(struct recovery *recovery, const msgpack_object *peer)
{
    struct bytes lab = {0};
    bool dial = false;
    if (recovery->count >= OPTS_FROM_MAX || ctl_get_bin(peer, "lab", &lab) != ERR_OK ||
        lab.size != KEY_SIZE || ctl_get_bool(peer, "dial", &dial) != ERR_OK || !dial) {
        return;
    }
    for (unsigned i = 0; i < recovery->count; i++) {
        if (bytes_equal(lab, BYTES_OF_ARRAY(recovery->targets[i].id.bytes))) {
            return;
        }
    }
    static char dids[OPTS_FROM_MAX][DID_SIZE_MAX];
    struct target *target = &recovery->targets[recovery->count];
    bytes_copy(target->id.bytes, lab);
    did_encode(&target->id, dids[recovery->count]);
    target->lab = bytes_of_str(dids[recovery->count]);
    recovery->count++;
}

static enum err look(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    struct ctl_msg msg;
    enum err err = rpc_call(&cli->rpc, CTL_peers_list, bytes_of(NULL, 0), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    const msgpack_object *peers = ctl_get(&msg.result, "peers");
    for (uint32_t i = 0;
         peers != NULL && peers->type == MSGPACK_OBJECT_ARRAY && i < peers->via.array.size; i++) {
        target_adopt(recovery, &peers->via.array.ptr[i]);
        news_take(recovery, &peers->via.array.ptr[i]);
    }
    ctl_done(&msg);
    err = rpc_call(&cli->rpc, CTL_status, bytes_of(NULL, 0), &msg, &cli->flaw);
    if (err == ERR_OK) {
        if (ctl_get_uint(&msg.result, "entries", &recovery->entries) != ERR_OK) {
            recovery->entries = 0;
        }
        ctl_done(&msg);
        err = renewal_identity(cli, &recovery->identity);
    }
    return err;
}

static unsigned heard(const struct recovery *recovery, enum peer_news news)
{
    unsigned count = 0;
    for (unsigned i = 0; i < recovery->count; i++) {
        count += recovery->news[i] == news;
    }
    return count;
}

/* Every peer linked, or not waited for any more, and nothing is left. */
static bool pulled(const struct recovery *recovery, bool late)
{
    const struct identity *identity = &recovery->identity;
    bool stuck = identity->own_pending == 0 && identity->quiet_ms >= STUCK_MS;
    bool all = heard(recovery, PEER_LINKED) == recovery->count || late;
    return heard(recovery, PEER_LINKED) > 0 && all &&
           ((identity->pending == 0 && identity->quiet_ms >= QUIET_MS) || stuck);
}

static enum err nobody(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    bool refused = heard(recovery, PEER_REFUSES) > 0;
    (void) flaw_set(&cli->flaw, refused ? ERR_REFUSED : ERR_NET,
                    refused ? N_("no peer lets this lab in") : N_("no peer answers"),
                    refused
                        ? N_("a peer's operator runs: essaim peers add LAB; then run this again")
                        : N_("check the addresses; then run this again"));
    for (unsigned i = 0; i < recovery->count; i++) {
        flaw_detail(&cli->flaw, "%s%.*s", i == 0 ? "" : ", ", (int) recovery->targets[i].lab.size,
                    (const char *) recovery->targets[i].lab.data);
    }
    return cli->flaw.err;
}

static enum err pull(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    struct progress progress;
    uint64_t patience_ms = opts_has(&cli->opts, OPT_timeout) ? cli->opts.timeout_ms : PATIENCE_MS;
    uint64_t begun_ms = when_now_ms();
    enum err err = ERR_OK;
    progress_begin(&progress, N_("pulling"), !cli->voice.json && !cli->voice.quiet);
    for (;;) {
        err = look(recovery);
        if (err == ERR_OK && recovery->count == 0) {
            err = from_whom(cli); /* stopped the last time before the daemon had heard of any */
        }
        bool late = when_now_ms() - begun_ms >= patience_ms;
        if (err == ERR_OK && late && heard(recovery, PEER_LINKED) == 0) {
            err = nobody(recovery);
        }
        if (err != ERR_OK || pulled(recovery, late)) {
            break;
        }
        progress_step(&progress, recovery->entries, 0);
        pause_ms(STEP_MS);
    }
    progress_end(&progress);
    return err;
}

/* ---- what the new record would void ---- */

/* A newer record than all that peers hold: signed over nothing, it would wipe what they hold. */
static enum err emptiness_check(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    const struct identity *identity = &recovery->identity;
    if (identity->generation < 2 || identity->head_count > 0 || opts_has(&cli->opts, OPT_force)) {
        return ERR_OK;
    }
    (void) flaw_set(&cli->flaw, ERR_REFUSED, N_("no peer holds a valid catalogue of this lab"),
                    N_("add --from for a peer that may; or go on with nothing: --force"));
    flaw_detail(&cli->flaw, "%llu", (unsigned long long) identity->generation);
    return ERR_REFUSED;
}

static bool forked(const msgpack_object *result, const struct lab_id *lab)
{
    const msgpack_object *forks = ctl_get(result, "forks");
    bool found = false;
    for (uint32_t i = 0;
         forks != NULL && forks->type == MSGPACK_OBJECT_ARRAY && i < forks->via.array.size; i++) {
        struct bytes of = {0};
        found = found || (ctl_get_bin(&forks->via.array.ptr[i], "lab", &of) == ERR_OK &&
                          bytes_equal(of, BYTES_OF_ARRAY(lab->bytes)));
    }
    return found;
}

/* One branch is kept, the record voids the other: not without a word. */
static enum err fork_check(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    struct ctl_msg msg;
    enum err err = rpc_call(&cli->rpc, CTL_forks, bytes_of(NULL, 0), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    bool found = forked(&msg.result, &recovery->root.lab);
    ctl_done(&msg);
    if (!found || opts_has(&cli->opts, OPT_force)) {
        return ERR_OK;
    }
    return flaw_set(&cli->flaw, ERR_REFUSED,
                    N_("this lab was forked: new keys void the branch that was not pulled"),
                    N_("see both: essaim fork; to go on with the one pulled: --force"));
}

/* ---- the whole ---- */

static enum err answer(struct recovery *recovery, uint64_t generation, uint64_t n)
{
    struct cli *cli = recovery->cli;
    char did[DID_SIZE_MAX];
    json_t *object = json_object();
    did_encode(&recovery->root.lab, did);
    value_set(object, "id", json_string(did));
    value_set(object, "dir", value_str(bytes_of_str(cli->dir)));
    value_set(object, "generation", value_uint(generation));
    value_set(object, "n", value_uint(n));
    value_set(object, "entries", value_uint(recovery->entries));
    return out_single(&cli->out, "essaim.recover/1", object, "id");
}

static enum err recover(struct recovery *recovery)
{
    struct cli *cli = recovery->cli;
    uint64_t generation = 0;
    uint64_t n = 0;
    enum err err = targets_parse(recovery);
    if (err == ERR_OK) {
        err = listen_check(cli, cli->opts.values[OPT_listen]);
    }
    if (err == ERR_OK) {
        err = renewal_root(cli, &recovery->root);
    }
    if (err != ERR_OK || opts_has(&cli->opts, OPT_dry_run)) {
        return err;
    }
    err = prepare(recovery);
    if (err == ERR_OK) {
        err = daemon_await(recovery);
    }
    if (err == ERR_OK) {
        err = daemon_check(recovery);
    }
    if (err == ERR_OK) {
        err = peers_add(recovery);
    }
    if (err == ERR_OK) {
        err = pull(recovery);
    }
    if (err == ERR_OK) {
        err = emptiness_check(recovery);
    }
    if (err == ERR_OK) {
        err = fork_check(recovery);
    }
    if (err == ERR_OK) {
        err = renewal_rotate(cli, &recovery->root, cli->opts.values[OPT_name], &generation, &n);
    }
    return err == ERR_OK ? answer(recovery, generation, n) : err;
}

enum err cmd_recover(struct cli *cli)
{
    struct recovery recovery = {.cli = cli};
    cli->dir = cli->opts.operands[0];
    if (!opts_has(&cli->opts, OPT_root_key)) {
        return flaw_set(&cli->flaw, ERR_USAGE, N_("a lab is recovered with its root key"),
                        N_("say where it is, with --root-key FILE"));
    }
    enum err err = recover(&recovery);
    rootkey_done(&recovery.root);
    return err;
}
