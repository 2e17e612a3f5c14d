/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * daemon/daemon.c: see daemon.h.
 *
 * Happy path: everything is opened in order, READY is told, the loop runs; SIGTERM lets the node
 * say goodbye, everything is flushed for at most two seconds, the store is closed. What fails at
 * start-up is told in one sentence and undone; a failure of the store later on ends the process at
 * once, with nothing more acknowledged.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/guard.h"
#include "conf/keys.h"
#include "conf/renew.h"
#include "daemon/control.h"
#include "daemon/lock.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/process.h"
#include "daemon/roles.h"
#include "daemon/tcp.h"
#include "daemon/turn.h"
#include "node/node.h"
#include "proto/did.h"
#include "store/ledger.h"
#include "store/store.h"

#define FDS_OWN 24       /* what runs besides links and clients, with some air */
#define STOP_MS_MAX 3000 /* flushes take at most two seconds */
#define LISTEN_FILE "listen"

struct daemon {
    const struct daemon_options *options;
    struct conf conf;
    struct roles roles;
    struct store *store;
    struct node *node;
    int lock_fd, guard_fd;
    bool loop_open, stopping;
    struct keys fresh; /* claimed for a rotation, until the node has its copies */
    struct node_keys fresh_keys;
    bool keys_unfinished; /* keys in use are not all in their place yet */
    uv_loop_t loop;
    uv_signal_t sigterm, sigint, sighup;
    uv_timer_t watchdog, stop_timer;
    struct turn turn;
    struct tcp tcp;
    struct control control;
    struct say say; /* what went wrong at start-up */
};

void daemon_shares(unsigned fds_max, unsigned links_wanted, unsigned *ret_links,
                   unsigned *ret_clients)
{
    unsigned spare = fds_max > FDS_OWN ? fds_max - FDS_OWN : 0;
    unsigned clients = spare * 2 / 5;
    if (clients > CTL_CLIENTS_MAX) {
        clients = CTL_CLIENTS_MAX;
    }
    unsigned links = spare - clients;
    /* With the usual limits FD_RESERVE stay free besides; with tiny ones every one is needed. */
    if (fds_max >= 4 * FD_RESERVE && links > fds_max - CTL_CLIENTS_MAX - FD_RESERVE) {
        links = fds_max - CTL_CLIENTS_MAX - FD_RESERVE;
    }
    *ret_links = links < links_wanted ? links : links_wanted;
    *ret_clients = clients;
}

/* ---- what the turn asks for ---- */

/* The text of a LOG effect, with or without its closing NUL. */
static struct bytes line_of(const struct buf *text)
{
    struct bytes line = text == NULL ? (struct bytes){0} : buf_bytes(text);
    while (line.size > 0 && line.data[line.size - 1] == '\0') {
        line.size--;
    }
    return line;
}

static void on_failed(void *user, enum err err);

/* Before anything of this turn is said. A guard that lies behind would let a store that went back
 * pass unseen: better to end. */
static void guard_keep(struct daemon *daemon, const struct effect *effect)
{
    struct guard guard = {.n = effect->n};
    _Static_assert(sizeof guard.hash == sizeof effect->hash.bytes, "one hash");
    memcpy(guard.hash, effect->hash.bytes, sizeof guard.hash);
    enum err err = guard_write(daemon->guard_fd, &guard);
    if (err != ERR_OK) {
        log_write(LOG_LEVEL_ERROR, "guard", "%s/" GUARD_FILE " cannot be written",
                  daemon->options->dir);
        on_failed(daemon, err);
    }
}

static void keys_claim(struct daemon *daemon)
{
    struct say say = {0};
    struct event event = {.kind = EVENT_KEYS};
    event.err = renew_claim(daemon->options->dir, &daemon->keys_unfinished, &daemon->fresh, &say);
    if (event.err == ERR_OK) {
        daemon->fresh_keys = (struct node_keys){.record = buf_bytes(&daemon->fresh.record),
                                                .signing_secret = daemon->fresh.signing_secret,
                                                .link_secret = daemon->fresh.link_secret};
        event.keys = &daemon->fresh_keys;
    } else {
        log_write(LOG_LEVEL_WARNING, "keys", "no new keys: %s", say.text);
    }
    turn_tell(&daemon->turn, &event);
}

static void on_told(void *user)
{
    struct daemon *daemon = user;
    keys_done(&daemon->fresh);
}

/* What fails is done before the next rotation, or at the next start: the store has the record. */
static void keys_finish(struct daemon *daemon)
{
    struct say say = {0};
    daemon->keys_unfinished = renew_finish(daemon->options->dir, &say) != ERR_OK;
    if (daemon->keys_unfinished) {
        log_write(LOG_LEVEL_ERROR, "keys",
                  "%s; the new keys are in use, and put in their place at the next start",
                  say.text);
    }
}

static void on_perform(void *user, struct effect *effect)
{
    struct daemon *daemon = user;
    struct buf *bytes = effect->bytes;
    effect->bytes = NULL;
    switch (effect->kind) {
    case EFFECT_SEND:
        tcp_send(&daemon->tcp, effect->link, bytes);
        return;
    case EFFECT_REPLY:
        control_reply(&daemon->control, effect->client, bytes);
        return;
    case EFFECT_CLOSE:
        tcp_close(&daemon->tcp, effect->link);
        break;
    case EFFECT_DIAL:
        tcp_dial(&daemon->tcp, &effect->lab, effect->address);
        break;
    case EFFECT_CLIENT_CLOSE:
        control_close(&daemon->control, effect->client);
        break;
    case EFFECT_LOG:
        log_line(effect->level, line_of(bytes));
        break;
    case EFFECT_GUARD:
        guard_keep(daemon, effect);
        break;
    case EFFECT_KEYS_CLAIM:
        keys_claim(daemon);
        break;
    case EFFECT_KEYS_FINISH:
        keys_finish(daemon);
        break;
    case EFFECT_KEYS_DROP:
        renew_drop(daemon->options->dir);
        break;
    }
    buf_free(bytes);
}

static void on_performed(void *user)
{
    struct daemon *daemon = user;
    control_performed(&daemon->control);
    tcp_performed(&daemon->tcp);
}

static bool on_admits(void *user, struct source *source, const struct event *event)
{
    struct daemon *daemon = user;
    char ip[ADDRESS_TEXT_MAX];
    tcp_ip_of(event->address, ip);
    bool admitted = node_accepts(daemon->node, ip);
    tcp_stepped_up(&daemon->tcp, source, admitted);
    return admitted;
}

/* Nothing of this turn may be said, nothing more may be acknowledged: end at once. A restart looks
 * at the store anew. */
static void on_failed(void *user, enum err err)
{
    (void) user;
    log_write(LOG_LEVEL_ERROR, "failed", "%s: %s; look at the disk, then start again",
              err_code(err), err_text(err));
    _exit(err_exit(err));
}

static const struct turn_ops turn_ops = {
    .perform = on_perform,
    .performed = on_performed,
    .admits = on_admits,
    .told = on_told,
    .failed = on_failed,
};

/* ---- signals and timers ---- */

static void on_sigterm(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    (void) number;
    turn_stop(&daemon->turn);
}

static void say_unchanged(const char *key)
{
    log_write(LOG_LEVEL_WARNING, "reload", "%s has changed; start the daemon anew for it", key);
}

static void reload(struct daemon *daemon)
{
    struct conf conf;
    struct roles roles;
    struct say say = {0};
    enum err err = conf_load(daemon->options->dir, &conf, &say);
    if (err == ERR_OK) {
        err = roles_load(&conf, daemon->roles.owner, &roles, &say);
    }
    if (err != ERR_OK) {
        log_write(LOG_LEVEL_ERROR, "reload", "%s; nothing was changed", say.text);
        return;
    }
    const struct conf *old = &daemon->conf;
    if (strcmp(conf.network_listen, old->network_listen) != 0) {
        say_unchanged("[network] listen");
    }
    if (strcmp(conf.control_socket, old->control_socket) != 0) {
        say_unchanged("[control] socket");
    }
    if (conf.quota_entries != old->quota_entries || conf.quota_bytes != old->quota_bytes) {
        say_unchanged("[quota]");
    }
    if (conf.history_keep != old->history_keep) {
        say_unchanged("[history]");
    }
    daemon->roles = roles;
    daemon->conf.network_max_links = conf.network_max_links;
    unsigned links = 0;
    unsigned clients = 0;
    daemon_shares(process_fds_max(), (unsigned) conf.network_max_links + HALF_OPEN_MAX, &links,
                  &clients);
    tcp_set_cap(&daemon->tcp, links);
    log_write(LOG_LEVEL_INFO, "reload", "done: log level, roles, max_links");
    if (daemon->options->log_level == NULL) {
        log_set_level((int) conf.log_level);
    }
}

static void on_sighup(uv_signal_t *handle, int number)
{
    (void) number;
    reload(handle->data);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void) timer;
    notify_send("WATCHDOG=1");
}

static void on_stop_late(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    uv_stop(&daemon->loop);
}

/* ---- start-up ---- */

static enum err path_of(struct daemon *daemon, const char *name, char ret_path[PATH_MAX])
{
    int size = snprintf(ret_path, PATH_MAX, "%s/%s", daemon->options->dir, name);
    if (size < 0 || size >= PATH_MAX) {
        say_set(&daemon->say, "%s: the path is too long; use a shorter one", daemon->options->dir);
        return ERR_CONFIG;
    }
    return ERR_OK;
}

static enum err choose(struct daemon *daemon)
{
    const struct daemon_options *options = daemon->options;
    enum err err = conf_load(options->dir, &daemon->conf, &daemon->say);
    if (err != ERR_OK) {
        return err;
    }
    enum conf_level level = daemon->conf.log_level;
    if (options->log_level != NULL && conf_level_parse(options->log_level, &level) != ERR_OK) {
        say_set(&daemon->say, "--log-level %s: unknown; say error, warning, info or debug",
                options->log_level);
        return ERR_USAGE;
    }
    log_set_level((int) level);
    struct stat seen;
    if (stat(options->dir, &seen) != 0) {
        say_set(&daemon->say, "%s: %s", options->dir, strerrordesc_np(errno));
        return ERR_IO;
    }
    return roles_load(&daemon->conf, seen.st_uid, &daemon->roles, &daemon->say);
}

/* What to do about a store that does not open. */
static const char *store_advice(enum err err)
{
    switch (err) {
    case ERR_SCHEMA:
        return "a newer essaimd wrote it, or it is no store of essaimd; start the newer one, or "
               "put "
               "a backup back with essaim restore";
    case ERR_CORRUPT:
        return "damaged, or no store of essaimd; put a backup back with essaim restore";
    default:
        return "see essaimd(8), section FILES";
    }
}

static enum err lock_begin(struct daemon *daemon)
{
    return daemon->lock_fd >= 0 ? ERR_OK
                                : lock_take(daemon->options->dir, &daemon->lock_fd, &daemon->say);
}

static enum err store_begin(struct daemon *daemon)
{
    char path[PATH_MAX];
    enum err err = path_of(daemon, "store", path);
    if (err != ERR_OK || daemon->store != NULL) {
        return err;
    }
    struct store_options options = {0};
    err = keys_retired(daemon->options->dir, options.retired_key, &daemon->say);
    if (err != ERR_OK) {
        return err;
    }
    randombytes_buf(options.fresh_index, sizeof options.fresh_index);
    randombytes_buf(options.fresh_instance, sizeof options.fresh_instance);
    err = store_open(path, &options, &daemon->store);
    sodium_memzero(&options, sizeof options);
    if (err != ERR_OK) {
        say_set(&daemon->say, "%s: %s: %s; %s", path, err_code(err), err_text(err),
                store_advice(err));
    }
    return err;
}

/* Does the store hold that very record? */
static enum err record_held(struct daemon *daemon, struct bytes bytes, bool *ret_held)
{
    struct lab_record record;
    struct txn *txn = NULL;
    struct held_lab held;
    enum err err = lab_record_open(bytes, &record);
    if (err == ERR_OK) {
        err = txn_begin_read(daemon->store, &txn);
    }
    if (err == ERR_OK) {
        err = lab_get(txn, &record.lab, &held);
    }
    *ret_held = err == ERR_OK && bytes_equal(held.signed_bytes, bytes);
    txn_end(txn);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* A rotation that was cut off is finished, or never happened: the store knows. */
static enum err left_settle(struct daemon *daemon, const struct renew_left *left)
{
    const char *dir = daemon->options->dir;
    bool held = false;
    enum err err = lock_begin(daemon);
    if (err == ERR_OK) {
        err = store_begin(daemon);
    }
    if (err == ERR_OK && left->record.size > 0 && !left->begun) {
        err = record_held(daemon, buf_bytes(&left->record), &held);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (left->begun || held) {
        log_write(LOG_LEVEL_INFO, "keys", "the new keys are put in their place");
        return renew_finish(dir, &daemon->say);
    }
    log_write(LOG_LEVEL_INFO, "keys", "new keys that were never in use are removed");
    renew_drop(dir);
    renew_unstage(dir);
    return ERR_OK;
}

static enum err keys_begin(struct daemon *daemon, struct keys *ret_keys)
{
    struct renew_left left = {0};
    enum err err = renew_left(daemon->options->dir, &left, &daemon->say);
    if (err == ERR_OK && left.any) {
        err = left_settle(daemon, &left);
    }
    buf_done(&left.record);
    return err == ERR_OK ? keys_load(daemon->options->dir, ret_keys, &daemon->say) : err;
}

static enum err guard_begin(struct daemon *daemon, struct node_config *config)
{
    struct guard guard;
    enum guard_state state = GUARD_ABSENT;
    enum err err =
        guard_open(daemon->options->dir, &daemon->guard_fd, &state, &guard, &daemon->say);
    if (err != ERR_OK) {
        return err;
    }
    config->has_guard = state == GUARD_GOOD;
    config->guard_bad = state == GUARD_GARBLED;
    config->guard_n = guard.n;
    memcpy(config->guard_hash.bytes, guard.hash, sizeof guard.hash);
    if (config->guard_bad) {
        log_write(LOG_LEVEL_WARNING, "guard",
                  "%s/" GUARD_FILE " is garbled: how far this lab had gone is taken from its store",
                  daemon->options->dir);
    }
    return ERR_OK;
}

static enum err node_begin(struct daemon *daemon, const struct keys *keys)
{
    struct node_config config = {
        .store = daemon->store,
        .lab = keys->lab,
        .record = buf_bytes(&keys->record),
        .recovering = keys->statement.size > 0,
        .statement = buf_bytes(&keys->statement),
        .quota_entries = daemon->conf.quota_entries,
        .quota_bytes = daemon->conf.quota_bytes,
        .keep_history = daemon->conf.history_keep,
        .pid = (unsigned) getpid(),
        .now_ms = uv_hrtime() / 1000000,
        .wall_s = (int64_t) time(NULL),
    };
    if (keys->signing_secret != NULL) {
        memcpy(config.signing_secret, keys->signing_secret, SIGN_SECRET_SIZE);
    }
    memcpy(config.link_secret, keys->link_secret, KEY_SIZE);
    enum err err = guard_begin(daemon, &config);
    if (err != ERR_OK) {
        sodium_memzero(&config, sizeof config);
        return err;
    }
    err = node_new(&config, &daemon->node);
    sodium_memzero(&config, sizeof config);
    if (err == ERR_KEY) {
        say_set(&daemon->say,
                "%s: the root key signed newer keys than these, and the store knows it: the lab "
                "went on elsewhere; use that directory, or make this one anew with: essaim recover",
                daemon->options->dir);
    } else if (err != ERR_OK) {
        say_set(&daemon->say, "%s: %s: %s; look at the disk", daemon->options->dir, err_code(err),
                err_text(err));
    }
    return err;
}

static enum err loop_begin(struct daemon *daemon)
{
    uv_loop_t *loop = &daemon->loop;
    if (uv_loop_init(loop) != 0) {
        return ERR_INTERNAL;
    }
    daemon->loop_open = true;
    unsigned links = 0;
    unsigned clients = 0;
    daemon_shares(process_fds_max(), (unsigned) daemon->conf.network_max_links + HALF_OPEN_MAX,
                  &links, &clients);
    enum err err = turn_init(&daemon->turn, loop, daemon->node, &turn_ops, daemon);
    if (err == ERR_OK) {
        err = tcp_init(&daemon->tcp, loop, &daemon->turn.inbox, links);
    }
    if (err == ERR_OK) {
        err = control_init(&daemon->control, loop, &daemon->turn.inbox, &daemon->roles, clients);
    }
    daemon->sigterm.data = daemon->sigint.data = daemon->sighup.data = daemon;
    daemon->watchdog.data = daemon->stop_timer.data = daemon;
    bool failed =
        uv_signal_init(loop, &daemon->sigterm) != 0 || uv_signal_init(loop, &daemon->sigint) != 0 ||
        uv_signal_init(loop, &daemon->sighup) != 0 || uv_timer_init(loop, &daemon->watchdog) != 0 ||
        uv_timer_init(loop, &daemon->stop_timer) != 0 ||
        uv_signal_start(&daemon->sigterm, on_sigterm, SIGTERM) != 0 ||
        uv_signal_start(&daemon->sigint, on_sigterm, SIGINT) != 0 ||
        uv_signal_start(&daemon->sighup, on_sighup, SIGHUP) != 0;
    return err != ERR_OK ? err : (failed ? ERR_INTERNAL : ERR_OK);
}

/* DIR/listen: where links are taken, one line; empty for a daemon that only dials. */
static enum err listen_write(struct daemon *daemon, const char *real)
{
    char path[PATH_MAX];
    char fresh[PATH_MAX];
    enum err err = path_of(daemon, LISTEN_FILE, path);
    if (err == ERR_OK) {
        err = path_of(daemon, LISTEN_FILE ".new", fresh);
    }
    if (err != ERR_OK) {
        return err;
    }
    char line[ADDRESS_TEXT_MAX + 1];
    int size = snprintf(line, sizeof line, "%s%s", real, real[0] == '\0' ? "" : "\n");
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, line, (size_t) size) == size;
    if (fd >= 0) {
        (void) close(fd);
    }
    if (!written || rename(fresh, path) != 0) {
        say_set(&daemon->say, "%s: %s; look at the disk", path, strerrordesc_np(errno));
        return ERR_IO;
    }
    return ERR_OK;
}

static enum err listen_begin(struct daemon *daemon, char ret_real[ADDRESS_TEXT_MAX])
{
    char path[PATH_MAX];
    enum err err = path_of(daemon, CONTROL_FILE, path);
    if (err == ERR_OK) {
        err = control_listen(&daemon->control, path, false, &daemon->say);
    }
    const struct conf *conf = &daemon->conf;
    if (err == ERR_OK && conf->control_socket[0] != '\0') {
        err = control_listen(&daemon->control, conf->control_socket, true, &daemon->say);
    }
    if (err != ERR_OK) {
        return err;
    }
    ret_real[0] = '\0';
    if (conf->network_listen[0] != '\0') {
        struct address address;
        err = address_parse(bytes_of_str(conf->network_listen), &address);
        if (err == ERR_OK) {
            err = tcp_listen(&daemon->tcp, &address, ret_real, &daemon->say);
        }
    }
    return err != ERR_OK ? err : listen_write(daemon, ret_real);
}

static enum err daemon_begin(struct daemon *daemon)
{
    struct keys keys = {0};
    char real[ADDRESS_TEXT_MAX] = "";
    enum err err = keys_begin(daemon, &keys);
    struct lab_id lab = keys.lab;
    bool recovering = keys.statement.size > 0;
    if (err == ERR_OK) {
        err = choose(daemon);
    }
    if (err == ERR_OK) {
        err = lock_begin(daemon);
    }
    if (err == ERR_OK) {
        err = store_begin(daemon);
    }
    if (err == ERR_OK) {
        err = node_begin(daemon, &keys);
    }
    keys_done(&keys); /* the node has its copies */
    if (err == ERR_OK) {
        err = loop_begin(daemon);
    }
    if (err == ERR_OK) {
        err = listen_begin(daemon, real);
    }
    if (err == ERR_OK) {
        char did[DID_SIZE_MAX];
        did_encode(&lab, did);
        log_write(LOG_LEVEL_INFO, "ready", "%s, pid %ld, %s%s%s", did, (long) getpid(),
                  real[0] == '\0' ? "dialling only" : "listening on ", real,
                  recovering ? ", to be recovered by essaim recover" : "");
    }
    return err;
}

/* ---- the end ---- */

static void handle_close(uv_handle_t *handle, void *user)
{
    (void) user;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* The node has said goodbye: flush and close. */
static void daemon_drain(struct daemon *daemon)
{
    daemon->stopping = true;
    notify_send("STOPPING=1");
    log_write(LOG_LEVEL_INFO, "stopping", "pid %ld", (long) getpid());
    control_stop(&daemon->control);
    tcp_stop(&daemon->tcp);
    uv_close((uv_handle_t *) &daemon->sigterm, NULL);
    uv_close((uv_handle_t *) &daemon->sigint, NULL);
    uv_close((uv_handle_t *) &daemon->sighup, NULL);
    uv_close((uv_handle_t *) &daemon->watchdog, NULL);
    turn_close(&daemon->turn);
    uv_unref((uv_handle_t *) &daemon->tcp.sweep); /* they end with what they sweep */
    uv_unref((uv_handle_t *) &daemon->control.sweep);
    uv_unref((uv_handle_t *) &daemon->stop_timer);
    (void) uv_timer_start(&daemon->stop_timer, on_stop_late, STOP_MS_MAX, 0);
}

static void daemon_loop(struct daemon *daemon)
{
    uint64_t watchdog_ms = notify_watchdog_ms();
    if (watchdog_ms > 0) {
        (void) uv_timer_start(&daemon->watchdog, on_watchdog, watchdog_ms, watchdog_ms);
    }
    notify_send("READY=1");
    while (!daemon->turn.stopped && uv_run(&daemon->loop, UV_RUN_ONCE) != 0) {
    }
    daemon_drain(daemon);
    (void) uv_run(&daemon->loop, UV_RUN_DEFAULT);
}

static void daemon_free(struct daemon *daemon)
{
    bool busy = false;
    if (daemon->loop_open) {
        uv_walk(&daemon->loop, handle_close, NULL);
        (void) uv_run(&daemon->loop, UV_RUN_NOWAIT);
        tcp_done(&daemon->tcp);
        turn_done(&daemon->turn);
        (void) uv_loop_close(
            &daemon->loop); /* busy when a look-up hangs: the process ends anyway */
    }
    node_free(daemon->node);
    store_close(daemon->store);
    char path[PATH_MAX];
    if (daemon->lock_fd >= 0 && path_of(daemon, LISTEN_FILE, path) == ERR_OK) {
        (void) unlink(path);
    }
    if (daemon->guard_fd >= 0) {
        (void) close(daemon->guard_fd);
    }
    keys_done(&daemon->fresh);
    lock_release(daemon->lock_fd);
    if (!busy) { /* a look-up that hangs still uses the loop: the process ends anyway */
        free(daemon);
    }
}

enum err daemon_run(const struct daemon_options *options)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL) {
        return ERR_NOMEM;
    }
    daemon->options = options;
    daemon->lock_fd = daemon->guard_fd = -1;
    enum err err = sodium_init() < 0 ? ERR_INTERNAL : daemon_begin(daemon);
    if (err == ERR_OK) {
        daemon_loop(daemon);
    } else {
        log_write(LOG_LEVEL_ERROR, err_code(err), "%s",
                  daemon->say.text[0] == '\0' ? err_text(err) : daemon->say.text);
        if (daemon->loop_open) {
            control_stop(&daemon->control);
            tcp_stop(&daemon->tcp);
        }
    }
    daemon_free(daemon);
    return err;
}
