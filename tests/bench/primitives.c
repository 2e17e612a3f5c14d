/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * primitives.c: what this machine can do at best, measured beside Essaim's own figures so that a
 * bar is a ratio (doc/performance.md). Prints one JSON object of seconds.
 *
 *     primitives ENTRIES DIR
 *     primitives ENTRIES DIR commit          one durable commit, and no more
 *
 * ENTRIES: the canonical entries of the run, each `u32 big-endian size ‖ bytes`. DIR: an empty
 * directory on the disk the daemons use. Every figure is the median of REPEATS, on one thread; the
 * two about TCP have a process at each end. Exits 1 when anything fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPEATS 3
#define FRAME_SIZE 65535
#define FRAME_PLAIN (FRAME_SIZE - 16)
#define SOCKET_SIZE (64 * 1024)
#define COMMITS 201
#define ROUND_TRIPS 2001
#define ROUND_TRIP_SIZE 1024
#define MAP_SIZE ((size_t) 8 << 30)

struct entries {
    uint8_t *bytes; /* as in the file */
    size_t size;
    size_t count;
    size_t entry_bytes; /* without the sizes */
};

static void fail(const char *what)
{
    (void) fprintf(stderr, "primitives: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void need(bool fact, const char *what)
{
    if (!fact) {
        fail(what);
    }
}

static double now_s(void)
{
    struct timespec now;
    need(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock");
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static int seconds_compare(const void *a, const void *b)
{
    double left = *(const double *) a;
    double right = *(const double *) b;
    return (left > right) - (left < right);
}

static double median(double *seconds, size_t count)
{
    qsort(seconds, count, sizeof *seconds, seconds_compare);
    return seconds[count / 2];
}

static uint32_t be32(const uint8_t *bytes)
{
    return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 |
           bytes[3];
}

static struct entries entries_load(const char *path)
{
    struct entries entries = {0};
    struct stat stat_of;
    FILE *file = fopen(path, "rb");
    need(file != NULL && fstat(fileno(file), &stat_of) == 0, path);
    entries.size = (size_t) stat_of.st_size;
    entries.bytes = malloc(entries.size + 1);
    need(entries.bytes != NULL, "memory");
    need(fread(entries.bytes, 1, entries.size, file) == entries.size, path);
    (void) fclose(file);
    size_t at = 0;
    while (at + 4 <= entries.size && be32(entries.bytes + at) <= entries.size - at - 4) {
        at += 4 + be32(entries.bytes + at);
        entries.count++;
    }
    need(at == entries.size && entries.count > 0, "not a file of entries");
    entries.entry_bytes = entries.size - 4 * entries.count;
    return entries;
}

/* ---- loopback ---- */

static int tcp_pair(int *ret_other)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    need(listener >= 0 && client >= 0, "socket");
    need(bind(listener, (struct sockaddr *) &address, size) == 0, "bind");
    need(listen(listener, 1) == 0, "listen");
    need(getsockname(listener, (struct sockaddr *) &address, &size) == 0, "getsockname");
    need(connect(client, (struct sockaddr *) &address, size) == 0, "connect");
    int server = accept(listener, NULL, NULL);
    need(server >= 0, "accept");
    need(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "nodelay");
    need(setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "nodelay");
    (void) close(listener);
    *ret_other = server;
    return client;
}

static void write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);
        need(done > 0, "write");
        bytes += done;
        size -= (size_t) done;
    }
}

static void read_all(int fd, uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = read(fd, bytes, size);
        need(done > 0, "read");
        bytes += done;
        size -= (size_t) done;
    }
}

static pid_t child_end(pid_t pid)
{
    int status = 1;
    pid_t ended = waitpid(pid, &status, 0);
    need(ended == pid && status == 0, "child");
    return ended;
}

/* The entries from one process to another. */
static double tcp_copy(const struct entries *entries)
{
    static uint8_t bytes[SOCKET_SIZE];
    int server = -1;
    int client = tcp_pair(&server);
    double begin = now_s();
    pid_t pid = fork();
    need(pid >= 0, "fork");
    if (pid == 0) {
        for (size_t at = 0; at < entries->size;) {
            size_t left = entries->size - at;
            size_t part = left < sizeof bytes ? left : sizeof bytes;
            write_all(client, entries->bytes + at, part);
            at += part;
        }
        _exit(0);
    }
    for (size_t left = entries->size; left > 0;) {
        size_t part = left < sizeof bytes ? left : sizeof bytes;
        read_all(server, bytes, part);
        left -= part;
    }
    double seconds = now_s() - begin;
    (void) child_end(pid);
    (void) close(client);
    (void) close(server);
    return seconds;
}

static double tcp_round_trip(void)
{
    static uint8_t bytes[ROUND_TRIP_SIZE];
    static double seconds[ROUND_TRIPS];
    int server = -1;
    int client = tcp_pair(&server);
    pid_t pid = fork();
    need(pid >= 0, "fork");
    if (pid == 0) {
        for (size_t i = 0; i < ROUND_TRIPS; i++) {
            read_all(server, bytes, sizeof bytes);
            write_all(server, bytes, sizeof bytes);
        }
        _exit(0);
    }
    for (size_t i = 0; i < ROUND_TRIPS; i++) {
        double begin = now_s();
        write_all(client, bytes, sizeof bytes);
        read_all(client, bytes, sizeof bytes);
        seconds[i] = now_s() - begin;
    }
    (void) child_end(pid);
    (void) close(client);
    (void) close(server);
    return median(seconds, ROUND_TRIPS);
}

/* ---- cryptography ---- */

static double seal(size_t size, bool opening)
{
    static uint8_t plain[FRAME_PLAIN];
    static uint8_t sealed[FRAME_SIZE];
    static const uint8_t key[crypto_aead_chacha20poly1305_ietf_KEYBYTES] = {1};
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
    unsigned long long done = 0;
    int bad = crypto_aead_chacha20poly1305_ietf_encrypt(sealed, &done, plain, sizeof plain, NULL, 0,
                                                        NULL, nonce, key);
    double begin = now_s();
    for (size_t left = size; left > 0 && bad == 0;) {
        size_t part = left < sizeof plain ? left : sizeof plain;
        if (opening) { /* always the whole frame that is there: the last part is rounded up */
            bad = crypto_aead_chacha20poly1305_ietf_decrypt(plain, &done, NULL, sealed,
                                                            sizeof sealed, NULL, 0, nonce, key);
        } else {
            bad = crypto_aead_chacha20poly1305_ietf_encrypt(sealed, &done, plain, part, NULL, 0,
                                                            NULL, nonce, key);
        }
        left -= part;
    }
    need(bad == 0, "ChaCha20-Poly1305");
    return now_s() - begin;
}

static double hash(const struct entries *entries)
{
    static const uint8_t tag[16] = "primitives leaf";
    uint8_t digest[32];
    uint8_t all = 0;
    double begin = now_s();
    for (size_t at = 0; at < entries->size;) {
        size_t size = be32(entries->bytes + at);
        crypto_generichash_state state;
        need(crypto_generichash_init(&state, NULL, 0, sizeof digest) == 0, "BLAKE2b");
        need(crypto_generichash_update(&state, tag, sizeof tag) == 0, "BLAKE2b");
        need(crypto_generichash_update(&state, entries->bytes + at + 4, size) == 0, "BLAKE2b");
        need(crypto_generichash_final(&state, digest, sizeof digest) == 0, "BLAKE2b");
        all ^= digest[0];
        at += 4 + size;
    }
    double seconds = now_s() - begin;
    return all == 0 ? seconds + 1e-12 : seconds; /* so that the digests are needed */
}

/* ---- LMDB, default durability ---- */

static void lmdb_need(int code, const char *what)
{
    if (code != 0) {
        (void) fprintf(stderr, "primitives: %s: %s\n", what, mdb_strerror(code));
        exit(1);
    }
}

static MDB_env *lmdb_open(const char *dir, MDB_dbi *ret_dbi)
{
    char path[4096];
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < 2; i++) {
        (void) snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        need(unlink(path) == 0 || errno == ENOENT, path);
    }
    lmdb_need(mdb_env_create(&env), "mdb_env_create");
    lmdb_need(mdb_env_set_mapsize(env, MAP_SIZE), "mdb_env_set_mapsize");
    lmdb_need(mdb_env_open(env, dir, MDB_NOTLS, 0600), "mdb_env_open");
    lmdb_need(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    lmdb_need(mdb_dbi_open(txn, NULL, 0, ret_dbi), "mdb_dbi_open");
    lmdb_need(mdb_txn_commit(txn), "mdb_txn_commit");
    return env;
}

static void key_put(uint8_t key[8], uint64_t number)
{
    for (int i = 7; i >= 0; i--) {
        key[i] = (uint8_t) number;
        number >>= 8;
    }
}

static double lmdb_append(MDB_env *env, MDB_dbi dbi, const struct entries *entries)
{
    MDB_txn *txn = NULL;
    uint8_t key[8];
    uint64_t number = 0;
    double begin = now_s();
    lmdb_need(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    for (size_t at = 0; at < entries->size;) {
        size_t size = be32(entries->bytes + at);
        key_put(key, ++number);
        MDB_val name = {.mv_size = sizeof key, .mv_data = key};
        MDB_val value = {.mv_size = size, .mv_data = entries->bytes + at + 4};
        lmdb_need(mdb_put(txn, dbi, &name, &value, MDB_APPEND), "mdb_put");
        at += 4 + size;
    }
    lmdb_need(mdb_txn_commit(txn), "mdb_txn_commit");
    return now_s() - begin;
}

static double lmdb_scan(MDB_env *env, MDB_dbi dbi, const struct entries *entries)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val name;
    MDB_val value;
    size_t count = 0;
    unsigned all = 0;
    double begin = now_s();
    lmdb_need(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    lmdb_need(mdb_cursor_open(txn, dbi, &cursor), "mdb_cursor_open");
    while (mdb_cursor_get(cursor, &name, &value, MDB_NEXT) == 0) {
        for (size_t at = 0; at < value.mv_size; at += 64) { /* a byte of every cache line */
            all += ((const uint8_t *) value.mv_data)[at];
        }
        count++;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    need(count == entries->count && all > 0, "scan");
    return now_s() - begin;
}

static double lmdb_commit(MDB_env *env, MDB_dbi dbi, const struct entries *entries)
{
    static double seconds[COMMITS];
    uint8_t key[8];
    size_t size = be32(entries->bytes);
    for (size_t i = 0; i < COMMITS; i++) {
        MDB_txn *txn = NULL;
        key_put(key, entries->count + 1 + i);
        MDB_val name = {.mv_size = sizeof key, .mv_data = key};
        MDB_val value = {.mv_size = size, .mv_data = entries->bytes + 4};
        double begin = now_s();
        lmdb_need(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
        lmdb_need(mdb_put(txn, dbi, &name, &value, 0), "mdb_put");
        lmdb_need(mdb_txn_commit(txn), "mdb_txn_commit");
        seconds[i] = now_s() - begin;
    }
    return median(seconds, COMMITS);
}

static void commit_only(const struct entries *entries, const char *dir)
{
    MDB_dbi dbi = 0;
    MDB_env *env = lmdb_open(dir, &dbi);
    (void) lmdb_append(env, dbi, entries);
    (void) printf("{\"commit_s\": %.9f}\n", lmdb_commit(env, dbi, entries));
    mdb_env_close(env);
}

static void everything(const struct entries *entries, const char *dir)
{
    double tcp[REPEATS], sealing[REPEATS], opening[REPEATS], hashing[REPEATS], append[REPEATS],
        scan[REPEATS], commit[REPEATS];
    for (size_t i = 0; i < REPEATS; i++) {
        MDB_dbi dbi = 0;
        tcp[i] = tcp_copy(entries);
        sealing[i] = seal(entries->entry_bytes, false);
        opening[i] = seal(entries->entry_bytes, true);
        hashing[i] = hash(entries);
        MDB_env *env = lmdb_open(dir, &dbi);
        append[i] = lmdb_append(env, dbi, entries);
        scan[i] = lmdb_scan(env, dbi, entries);
        commit[i] = lmdb_commit(env, dbi, entries);
        mdb_env_close(env);
    }
    (void) printf("{\"entries\": %zu, \"bytes\": %zu, \"tcp_s\": %.9f, \"seal_s\": %.9f, "
                  "\"open_s\": %.9f, \"hash_s\": %.9f, \"append_s\": %.9f, \"scan_s\": %.9f, "
                  "\"commit_s\": %.9f, \"round_trip_s\": %.9f}\n",
                  entries->count, entries->entry_bytes, median(tcp, REPEATS),
                  median(sealing, REPEATS), median(opening, REPEATS), median(hashing, REPEATS),
                  median(append, REPEATS), median(scan, REPEATS), median(commit, REPEATS),
                  tcp_round_trip());
}

int main(int argc, char **argv)
{
    bool commit = argc == 4 && strcmp(argv[3], "commit") == 0;
    if (argc != 3 && !commit) {
        (void) fprintf(stderr, "usage: primitives ENTRIES DIR [commit]\n");
        return 2;
    }
    need(sodium_init() >= 0, "libsodium");
    struct entries entries = entries_load(argv[1]);
    if (commit) {
        commit_only(&entries, argv[2]);
    } else {
        everything(&entries, argv[2]);
    }
    free(entries.bytes);
    return 0;
}
