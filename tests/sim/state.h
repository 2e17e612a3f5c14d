/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/state.h: what a simulation keeps. For the files of tests/sim alone.
 *
 *   heap.c     events by (time, number), dice, trace, what happened last
 *   network.c  connections and what goes wrong on them
 *   turn.c     a lab's turn: step, settle, job, perform; what its disk does to it
 *   labs.c     keys, power, clocks
 *   disk.c     copies of the data directory, loss, rot
 *   ask.c      requests of clients
 *   look.c     what labs hold
 *   keys.c     rotations, recoveries, guards
 *   check.c    what must be true after every commit and of every message
 *   liar.c     what a dishonest lab makes of its messages
 *   puppet.c   a lab played by the test itself
 *   wrap.c     the functions of proto/ and store/ that the simulator stands in front of
 *   memo.c     those that it remembers, to be quick
 */
#ifndef ESSAIM_TESTS_SIM_STATE_H
#define ESSAIM_TESTS_SIM_STATE_H

#include "node/parts.h"
#include "store/ledger.h"
#include "tests/sim/cluster.h"

#define SIM_WALL_S 1767225600 /* 2026-01-01 */
#define SIM_AHEAD_MS 1000     /* a node's clock, which starts at some time */
#define SIM_LAST_COUNT 200
#define SIM_LAST_SIZE 160
#define SIM_OLD_HEADS 64
#define SIM_HASH_START 0xcbf29ce484222325ull

enum sim_kind { SIM_WAKE, SIM_EVENT, SIM_TURN };

struct sim_item {
    unsigned lab;
    unsigned epoch; /* of the lab's life: events for an earlier one are dropped */
    enum sim_kind kind;
    struct event event;
    struct buf bytes;
    size_t left; /* LINK_ROOM: bytes that went out */
    char address[32];
    struct sim_item *next; /* in an inbox */
};

struct sim_slot {
    uint64_t at_ms, number;
    struct sim_item *item;
};

struct sim_end {
    unsigned lab;
    uint32_t link;
    uint64_t bytes;      /* sent by this end */
    uint64_t arrives_ms; /* of the last bytes on their way: order is kept */
    size_t queued;       /* on their way */
    bool lost;           /* what this end sends arrives no more */
    bool gone;           /* this end is there no more, and the other was not told */
};

struct sim_conn {
    bool open;
    uint32_t rate; /* bytes a second; 0 = no bound */
    struct sim_end ends[2];
};

/* The newest that was ever held of one catalogue. */
struct sim_seen {
    uint64_t generation, n;
    bool frozen; /* a fork of that generation is known */
};

/* A signing key, a link key and the record that names them. */
struct sim_set {
    struct buf record;
    uint64_t generation;
    uint8_t signing_secret[SIGN_SECRET_SIZE], link_secret[KEY_SIZE];
};

struct sim_lab {
    bool live;
    bool dying;  /* the process ends with this turn … */
    bool broken; /* … for its disk said EIO, and it must say so */
    bool apart;  /* it need not hold what the others hold, nor they what it signs */
    bool full;
    enum sim_disk disk; /* what the next commit meets */
    unsigned lies;      /* of 1,000 messages */
    bool rotten;        /* its disk flips bits */
    unsigned epoch;
    char dir[256];
    char name[64];
    struct lab_id id;
    uint64_t generation;
    uint8_t root_secret[SIGN_SECRET_SIZE];
    uint8_t signing_secret[SIGN_SECRET_SIZE], link_secret[KEY_SIZE];
    struct buf record;
    struct sim_set next; /* lies ready */
    struct node_keys next_keys;
    bool recovering;
    struct buf statement;
    bool has_guard;
    uint64_t guard_n;
    struct hash guard_hash;
    int64_t wall_off_s;
    struct store *store;
    struct node *node;
    struct puppet *puppet;
    uint64_t wake_ms;
    struct sim_item *inbox, *inbox_last;
    struct buf replies;
    bool replied;
    bool hung_up; /* the node closed a client */
    /* check.c */
    uint64_t commits, commits_checked, arrival_checked;
    uint64_t said[MSG_RECEIPTS + 1];
    struct buf hello;      /* said in this turn: checked when it is committed */
    struct sim_seen *seen; /* by catalogue id */
    size_t seen_cap;
    uint32_t generation_seen[SIM_LABS_MAX];
};

struct sim {
    char dir[200];
    uint64_t now_ms, numbers, trace;
    uint64_t dice[4];
    uint64_t latency_min_ms, latency_max_ms;
    size_t split;
    uint64_t busy_ms;
    uint32_t rate; /* of new connections */
    uint64_t map_size, quota_entries;
    bool keep_history;
    struct sim_lab *labs[SIM_LABS_MAX];
    unsigned lab_count;
    uint8_t *cut; /* SIM_LABS_MAX x SIM_LABS_MAX: from, to */
    struct sim_conn *conns;
    size_t conn_count, conn_cap;
    struct sim_slot *heap;
    size_t heap_count, heap_cap;
    struct effects effects;
    unsigned at_lab; /* whose turn it is; SIM_LABS_MAX: nobody's */
    bool guards;     /* outlive their stores */
    bool soft;       /* a failure is kept, not fatal */
    bool unchecked;
    bool telling; /* every event, on stderr */
    char failure[256];
    char last[SIM_LAST_COUNT][SIM_LAST_SIZE];
    uint64_t last_count;
    struct buf old_heads[SIM_OLD_HEADS]; /* liar.c */
    size_t old_head_count;
};

/* keys.c */
void keys_perform(struct sim *sim, unsigned number, const struct effect *effect);
/* Keys and guard of a lab that starts. */
void keys_start(struct sim *sim, unsigned number, struct node_config *config);
void keys_free(struct sim_lab *lab);

/* The simulation whose turn is running; NULL between turns. */
extern struct sim *sim_running;
/* For fault.c. The node's own code runs now, and not the simulator's. */
extern bool sim_inside;
/* A call failed in this turn, for that was wanted: the node may end with an error. */
extern bool sim_faulted;
/* … and what it ended with; ERR_OK: it went on. */
extern enum err sim_fault_err;

/* heap.c */
uint64_t sim_roll(struct sim *sim);
void sim_roll_bytes(struct sim *sim, uint8_t *into, size_t size);
void sim_seed(struct sim *sim, uint64_t seed);
void sim_trace_add(struct sim *sim, const void *bytes, size_t size);
void sim_trace_number(struct sim *sim, uint64_t value);
struct sim_item *sim_push(struct sim *sim, uint64_t at_ms, unsigned lab, enum sim_kind kind);
struct sim_item *sim_pop(struct sim *sim, uint64_t *ret_at_ms); /* sim_item_free it */
void sim_item_free(struct sim_item *item);
/* A line for who reads about a failure. */
void sim_tell(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A promise was broken. The first one stands. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* network.c */
struct sim_conn *conn_of(struct sim *sim, unsigned lab, uint32_t link, unsigned *ret_end);
void conn_close(struct sim *sim, struct sim_conn *conn);
void conn_send(struct sim *sim, unsigned lab, uint32_t link, struct bytes bytes);
/* Gives the dialler's link number, 0 when it came to nothing. */
uint32_t conn_dial(struct sim *sim, unsigned lab, unsigned to, const struct lab_id *wanted);
/* All connections of a lab that ends: the others are told, or not. */
void conns_end(struct sim *sim, unsigned lab, bool told);
void conn_room(struct sim *sim, struct sim_item *item);

/* turn.c */
void sim_step(struct sim *sim, unsigned number, struct event *event);
void sim_settle(struct sim *sim, unsigned number);
void sim_perform(struct sim *sim, unsigned number);
/* The next event, whatever its time; false when none waits until then. */
bool sim_next(struct sim *sim, uint64_t until_ms);

/* labs.c */
struct sim_lab *lab_new(struct sim *sim, const char *name);
struct sim_lab *lab_with_keys(struct sim *sim, const char *name);
void lab_keys(struct sim *sim, struct sim_lab *lab, uint64_t generation,
              const struct last_good *good);
/* Both clients of a lab, anew. */
void clients_connect(struct sim *sim, unsigned number);
void lab_off(struct sim *sim, unsigned number, bool told);

/* disk.c */
void dir_remove(const char *dir);

/* look.c */
enum err sim_find(struct sim *sim, struct txn *txn, unsigned of, uint32_t *ret_id,
                  struct held_head *ret_held);
unsigned sim_number(const struct sim *sim, const struct lab_id *id); /* SIM_LABS_MAX: nobody */

/* check.c */
void check_commits(struct sim *sim, unsigned number);
void check_message(struct sim *sim, unsigned number, const struct session *session,
                   struct bytes message);
void check_guard(struct sim *sim, unsigned number);
void check_forget(struct sim_lab *lab);

/* liar.c: perhaps another message instead; false: none at all. */
bool liar_says(struct sim *sim, unsigned number, const struct session *session,
               struct bytes message, struct buf *ret_instead);

/* puppet.c */
void puppet_event(struct sim *sim, unsigned number, const struct event *event);
void puppet_free(struct puppet *puppet);

/* wrap.c, by the linker's --wrap */
enum err __wrap_txn_commit(struct txn *txn);
enum err __real_txn_commit(struct txn *txn);
enum err __wrap_session_send(struct session *session, struct bytes message);
enum err __real_session_send(struct session *session, struct bytes message);
/* memo.c, by the linker's --wrap */
enum err __wrap_sign_verify(enum hash_tag tag, struct bytes payload,
                            const uint8_t public_key[KEY_SIZE],
                            const uint8_t signature[SIGNATURE_SIZE]);
enum err __real_sign_verify(enum hash_tag tag, struct bytes payload,
                            const uint8_t public_key[KEY_SIZE],
                            const uint8_t signature[SIGNATURE_SIZE]);
void __wrap_sign_bytes(enum hash_tag tag, struct bytes payload,
                       const uint8_t secret[SIGN_SECRET_SIZE],
                       uint8_t ret_signature[SIGNATURE_SIZE]);
void __real_sign_bytes(enum hash_tag tag, struct bytes payload,
                       const uint8_t secret[SIGN_SECRET_SIZE],
                       uint8_t ret_signature[SIGNATURE_SIZE]);
int __wrap_crypto_scalarmult(unsigned char *ret_shared, const unsigned char *secret,
                             const unsigned char *point);
int __real_crypto_scalarmult(unsigned char *ret_shared, const unsigned char *secret,
                             const unsigned char *point);
int __wrap_crypto_scalarmult_base(unsigned char *ret_point, const unsigned char *secret);
int __real_crypto_scalarmult_base(unsigned char *ret_point, const unsigned char *secret);
struct hash __wrap_hash_of_two(enum hash_tag tag, struct bytes first, struct bytes second);
struct hash __real_hash_of_two(enum hash_tag tag, struct bytes first, struct bytes second);

#endif
