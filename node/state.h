/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/state.h: what a node keeps in memory between turns. For node/ only.
 *
 *   node ─┬─ peers[]    whom we know (durable rows), back-off, what they acknowledged
 *         ├─ links[]    connections: session, announced, offered, being served
 *         ├─ fetches[]  deltas being received, at most one a catalogue
 *         ├─ clients[]  control connections: batches, watches
 *         ├─ own        this turn's own changes, and the requests that wait for their head
 *         └─ txn        the turn's one write transaction, begun when first needed
 *
 * Everything that leaves is built after the commit (flush), from a read transaction.
 */
#ifndef ESSAIM_NODE_STATE_H
#define ESSAIM_NODE_STATE_H

#include "base/limits.h"
#include "node/node.h"
#include "node/verified.h"
#include "proto/msg.h"
#include "proto/session.h"
#include "store/catalogue.h"
#include "store/copy.h"
#include "store/history.h"
#include "store/staging.h"

#define LINKS_MAX (PEERS_MAX + HALF_OPEN_MAX)
#define KNOWN_PEERS_MAX 1024
#define STREAMS_MAX 8
#define ANNOUNCE_RING 32
#define CURSOR_DELAY_MS 200
#define JOB_CHANGES_MIN 2000
#define BATCH_IDLE_MS 60000
#define IMPORT_IDLE_MS 60000
#define OFFERS_MAX 4096
#define SYNC_WAITS_MAX 64
#define WENT_SIZE (4 + SLUG_HASH_SIZE)
#define RETRY_MS 10000 /* before a link is asked again for what it did not give */
#define COMPACT_WAITS_MAX CTL_CLIENTS_MAX
#define WITNESSES_MAX 16

struct node;

/* Who is known by hand or by a link. */
struct peer {
    struct peer_row row;
    bool row_dirty;
    bool dialling;
    uint64_t dial_at_ms, dial_delay_ms;
    bool linked;      /* a link stood since the last failure */
    uint64_t lost_ms; /* when the last one ended; 0 = none did */
    bool refused;     /* it said so when it was dialled last */
    uint64_t acked;   /* our arrivals it holds, as far as it said so */
    unsigned lies;    /* deltas that were against the rules … */
    uint64_t lied_ms; /* … the last one: others are asked first for a while */
    struct link *link;
};

enum link_state { LINK_SHAKING, LINK_GREETING, LINK_READY, LINK_CLOSING, LINK_STATE_COUNT };

/* What is asked of a link that offered a head. */
enum ask {
    ASK_DELTA,   /* what came after the held head */
    ASK_OPENING, /* the chain alone, from head 1: is it a fork, a merge, or a lie? */
    ASK_ANEW,    /* everything, from head 1: what is held and does not come is withdrawn */
    ASK_BRANCH   /* everything of another branch of the own catalogue, to be merged */
};

/* A head that a link offered and that is not held yet. */
struct offer {
    uint64_t arrival;
    uint32_t catalogue;
    uint64_t not_before_ms; /* tried in vain: wait */
    struct head head;       /* n is 0 where `own`: whatever the link holds */
    bool done, fetching;
    bool own; /* not announced: what does it hold of our own catalogue? */
    enum ask ask;
    unsigned asked; /* how often */
};

/* One WANT being answered. */
struct stream {
    bool open;
    uint64_t number;
    uint32_t catalogue;
    uint64_t hints_after; /* the head from which on withdrawals are told */
    size_t hints_left;
    uint64_t after_rev;
    struct slug_hash after_slug;
    bool has_after;
    uint8_t hint_at[24];
    uint64_t opening_next; /* next head number whose hash is due */
};

struct link {
    uint32_t number;
    enum link_state state;
    bool file;      /* a bundle, not a connection: what is sent to it goes to `out` */
    struct buf out; /* FILE: u16 length and message, each */
    uint64_t entries_sent, nothing_sent; /* FILE: entries, and deltas that could not be served */
    bool dialled, close_sent;
    bool reader; /* of a lab that is being recovered: it reads, beside its ordinary link */
    uint64_t said_generation; /* of our record: what our HELLO named */
    uint64_t ready_ms;        /* from READY on */
    uint64_t news_ms;         /* when it last gave something */
    struct lab_id lab;        /* wanted (dialled) or proven (from GREETING on) */
    char address[PEER_ADDRESS_MAX];
    struct session *session;
    struct peer *peer; /* from READY on */
    uint64_t up_ms, heard_ms, said_ms, ping_ms, rekey_ms;
    int64_t up_wall_s;
    size_t queued;
    uint64_t received, sent; /* bytes */

    /* reading them */
    uint64_t told;           /* the cursor our HELLO named */
    bool announced_to;       /* they announced something on this link */
    uint64_t upto;           /* their arrivals announced so far */
    uint64_t cursor;         /* read, in memory */
    uint64_t cursor_stored;  /* read, on disk */
    uint64_t cursor_acked;   /* told them */
    bool must_ack;           /* the cursor moved by what they announced */
    uint64_t cursor_pending; /* in this turn's commit */
    uint64_t cursor_due_ms;  /* 0 = nothing to write */
    struct offer *offers;
    size_t offer_count, offer_cap;
    uint64_t stream_next;
    uint64_t delta_ms;                   /* when any delta last went on */
    uint64_t crawl_ms, crawl_size;       /* of deltas lately: time they took, what came … */
    uint64_t crawl_at_ms;                /* … until then */
    uint64_t stalled_ms, stall_delay_ms; /* not asked before, for it let us wait */

    struct buf proof; /* a fork proof that comes in parts */
    uint64_t proof_size;

    /* being read by them */
    bool receipts;      /* they understand them */
    bool skip_own;      /* what came from them need not go back … */
    uint64_t skip_from; /* … from this arrival on: their store may be an old copy */
    uint64_t announced; /* our arrivals announced so far … */
    uint64_t all_at;    /* … which were all that this snapshot of the store holds; 0 = unknown */
    uint64_t acked;
    struct {
        uint64_t upto;
        size_t size;
    } ring[ANNOUNCE_RING];
    unsigned ring_count;
    struct stream streams[STREAMS_MAX];
    unsigned stream_turn;
};

struct mend;

/* A delta being received. */
struct fetch {
    bool open;
    struct link *link;
    uint64_t stream;
    uint32_t catalogue;
    struct catalogue_name name;
    uint64_t m;                          /* asked from there */
    uint64_t base_n;                     /* of the held head: m, or more when asked anew */
    struct hash base_hash, base_history; /* of the held head; zero when base_n is 0 */
    uint64_t base_generation;
    enum ask ask;
    bool own;     /* our own catalogue: freeze.c says what becomes of it */
    bool joined;  /* its opening joins the branches of the fork that is known */
    bool resumed; /* a part came from an earlier link: this one is not to blame for it */
    uint64_t target_generation, target_n, target_count, target_bytes;
    struct change_list changes;
    struct buf hints;   /* HINT_SIZE each, not looked up yet */
    size_t staged;      /* changes[0 … staged) have their seq */
    struct buf pending; /* entries not staged yet, back to back, in order */
    struct opening opening;
    struct buf dropped; /* seqs of staged bodies that were overtaken, u64 each */
    struct mend *mend;  /* being mended bucket by bucket: mend.c */
    bool mended;        /* once is enough */
    bool hinted;        /* it came with hints, of what is held here or not */
    uint64_t bytes;     /* of entries received */
    uint64_t last_rev;
    struct slug_hash last_slug;
    bool has_last, has_staging;
    uint64_t progress_ms;
    bool complete;    /* DELTA_END checked; waits for the job */
    struct head head; /* from DELTA_END */
    struct buf signed_head;
};

/* Own changes not under a head yet, and a table to find the last one of a slug. */
struct draft {
    struct change_list changes;
    uint32_t *index; /* open addressing by slug hash: position + 1, 0 = free */
    size_t index_cap;
    /* What it adds to the catalogue, for the quota; below zero by wrapping around. */
    uint64_t created, bytes;
    struct buf erased;  /* slug hashes of which nothing is to be kept */
    struct buf retired; /* slug hashes that it was the first to retire */
};

/* A batch of one client, gathered over several requests. */
struct batch {
    bool open;
    bool lost;    /* a turn of it was undone */
    uint64_t rev; /* the first of its bodies was encoded with */
    uint64_t touched_ms;
    struct draft draft;
    struct buf statuses, errors, revs; /* one byte a record; packed rows */
    size_t rev_count;
    struct buf places; /* one for each change of the draft: batch.c */
    size_t error_count;
};

struct watch_item {
    uint32_t catalogue;
    uint64_t after_rev;
    struct slug_hash after_slug;
    bool has_after;
    struct buf went; /* slug hashes */
    size_t went_at;
};

struct client {
    uint32_t number;
    enum role role;
    bool closing, watching;
    bool unanswered; /* an answer found no memory: the node ends */
    struct batch batch;
    struct exporting *exporting; /* export.c; NULL */
    struct importing *importing; /* import.c; NULL; at most one client has it */
    struct buf *out;
    size_t queued;
    struct watch_item *watch_items;
    size_t watch_count, watch_cap;
    size_t went_count; /* in all of them */
};

/* An answer that waits for the commit: of a publication, or of a plain write. */
struct answer {
    uint32_t client, id;
    bool own;     /* a publication: statuses below; else an empty map */
    enum err err; /* it was refused after all */
    struct buf statuses, errors, revs;
    size_t rev_count;
    size_t error_count;
    bool erase; /* a withdrawal that is answered when its bytes are gone */
};

/* Why nothing of the own catalogue is signed: any number of these. */
enum freeze {
    FREEZE_SEEN = 1,       /* others hold a head of ours that this store never signed */
    FREEZE_FORK = 2,       /* two histories of ours are proven */
    FREEZE_GUARD = 4,      /* the guard file knows a head that the store does not */
    FREEZE_REPLACED = 8,   /* the root key signed a newer record than the one in use */
    FREEZE_RECOVERING = 16 /* no record yet: `essaim recover` is pulling */
};

struct own {
    struct catalogue_name name;
    uint32_t catalogue; /* 0 until first used */
    bool held;
    struct head head;   /* the held one */
    uint64_t arrival;   /* of the held one */
    unsigned frozen;    /* enum freeze: 0 = may sign */
    uint64_t seen_n;    /* FREEZE_SEEN: the newest such */
    bool keep_staging;  /* until the next start: see own_undo */
    bool reseal;        /* sign a head in this turn though nothing changed: new keys */
    struct draft draft; /* of this turn */
    struct answer *answers;
    size_t answer_count, answer_cap;
};

struct sync_wait {
    bool open;
    uint32_t client, id;
    uint64_t wait, deadline_ms;
};

/* A copy of the store that is due or wanted; compact.c. */
struct compaction {
    uint64_t due_ms; /* 0: nothing waits to be erased */
    bool failed;     /* the last one */
    struct asker {
        uint32_t client, id;
    } waits[COMPACT_WAITS_MAX]; /* of `compact` */
    size_t wait_count;
    struct answer *erased; /* withdrawals that are answered when it is done */
    size_t erased_count, erased_cap;
    struct asker backup;
    char *backup_path; /* NULL: none is wanted */
};

/* What this node says of its own disk; receipt.c. */
struct saying {
    uint64_t look_ms;    /* when to look whether something is to be said */
    uint64_t answer_ms;  /* not before: to receipts of ours that this store did not make */
    uint64_t generation; /* of the own record, when it was looked last */
};

#define CONFLICTS_MAX 1000
/* `essaim repair` under way: the other branches of the own catalogue are pulled and merged. */
struct repair {
    bool open;
    uint32_t client, id;
    bool force; /* sign on without the heads that the guard knows and nobody has */
    uint64_t grace_ms, deadline_ms;
    uint64_t merged;    /* branches joined */
    uint64_t conflicts; /* slugs of which one version had to give way */
    struct buf lost; /* packed rows [slug, rev kept, rev lost, entry bin], at most CONFLICTS_MAX */
    uint64_t lost_rows;
    enum err err; /* of a merge that could not be made */
};

struct read_wait {
    uint32_t client;
    struct buf bytes;
};

/* What the guard file says; guard.c. */
struct guarded {
    bool written;     /* it says n and hash */
    bool told;        /* the log was */
    uint64_t looked;  /* the arrival of the own head that was looked at last */
    uint64_t look_ms; /* unknown: when to look again whether a peer has nothing more */
    uint64_t n;
    struct hash hash;
};

/* `essaim key rotate` under way; rotate.c. */
enum rotation_state { ROTATION_NONE, ROTATION_CLAIMING, ROTATION_SIGNING };
struct rotation {
    enum rotation_state state;
    uint32_t client, id;
    bool recovered; /* it ends a recovery */
    /* SIGNING: the keys that were in use before this turn */
    struct buf record;
    struct lab_record view;
    uint8_t signing_secret[SIGN_SECRET_SIZE], link_secret[KEY_SIZE];
};

enum job_kind { JOB_NONE, JOB_OWN, JOB_FETCH, JOB_COMPACT, JOB_BACKUP };
struct job {
    enum job_kind kind;
    bool ran;
    bool keep_staging; /* OWN: another batch is open */
    struct head head;  /* OWN: the one signed */
    struct fetch *fetch;
    enum err err;      /* ERR_ROOT: the delta does not fit … */
    struct plan *plan; /* … and this is what it would have made; owned */
    uint64_t arrival;
    struct copy copy; /* COMPACT, BACKUP */
};

struct changed {
    uint32_t catalogue;
    uint64_t old_n;
};

/* How a lab dated the last head that came in. */
struct witness {
    struct lab_id lab;
    int64_t off_s;     /* later than our clock said then */
    uint64_t heard_ms; /* 0 = none */
    bool prompt;       /* it came at once from the lab itself: its date was then */
};
struct clock {
    uint64_t age_s, base_ms; /* the store's age at base_ms */
    uint64_t noted_ms;       /* when it was last put into the store */
    int64_t lead_s;          /* of the wall clock over the monotonic one */
    struct witness witnesses[WITNESSES_MAX];
};

struct node {
    struct node_config config;
    struct buf record;
    struct lab_record record_view; /* into record; all zero while being recovered */
    struct buf statement;
    struct guarded guard;
    struct rotation rotation;
    struct hash network;
    struct txn *txn;
    uint64_t now_ms;
    int64_t wall_s; /* for people alone: when_age_s is what counts */
    struct clock clock;
    struct verified verified;
    uint64_t started_ms;
    uint8_t dice[32];
    struct peer *peers[KNOWN_PEERS_MAX];
    size_t peer_count;
    struct link *links[LINKS_MAX];
    size_t link_count;
    struct fetch fetches[FETCHES_MAX];
    struct client *clients[CTL_CLIENTS_MAX];
    size_t client_count;
    struct own own;
    struct sync_wait syncs[SYNC_WAITS_MAX];
    struct repair repair;
    struct read_wait *reads;
    size_t read_count, read_cap;
    struct changed *changed;
    size_t changed_count, changed_cap;
    struct buf went; /* id u32 ‖ slug hash of what was withdrawn in this turn: catalogue_apply */
    struct job job;
    struct compaction compaction;
    struct saying saying;
    bool chores_left;
    bool stopping;
    bool trim; /* a job left memory behind: give it back after the turn */
    bool undo; /* this turn's transaction ran out of room */
    uint64_t chores_at_ms;
    uint64_t refused[ERR_COUNT];
    struct effects *effects; /* of the call under way */
};

/* node.c */
/* The turn's write transaction. */
MUST_USE enum err node_txn(struct node *node, struct txn **ret_txn);
void node_log(struct node *node, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct effect *node_effect(struct node *node,
                           enum effect_kind kind); /* NULL without memory (sticky in effects) */
MUST_USE enum err node_changed(struct node *node, uint32_t catalogue, uint64_t old_n);
void node_refuse(struct node *node, enum err err); /* counts */
/* Keeps *array with room for one more item of `size`. */
MUST_USE enum err node_grow(void **array, size_t count, size_t *cap, size_t size);

/* when.c */
MUST_USE enum err when_load(struct node *node);
/* Puts the age into a transaction that will be committed anyway, once an hour. */
MUST_USE enum err when_store(struct node *node);
/* The store's age, in seconds: what anything that expires is measured by. */
uint64_t when_age_s(const struct node *node);
/* The wall clock was read. */
void when_read(struct node *node);
/* A new head that came over this link, its signature checked. */
void when_heard(struct node *node, const struct link *link, const struct head *head);
/* The wall clock is an hour off, or more. */
bool when_wrong(const struct node *node);

/* peer.c */
struct peer *peer_find(struct node *node, const struct lab_id *lab);
/* Found or made (memory only). NULL when full. */
struct peer *peer_make(struct node *node, const struct lab_id *lab);
MUST_USE enum err peers_load(struct node *node);
/* Forgets what is not on disk. No link is up. */
MUST_USE enum err peers_undo(struct node *node);
void peers_dial(struct node *node);
void peer_failed(struct node *node, struct peer *peer);
void peer_alive(struct peer *peer);
MUST_USE enum err peers_store(struct node *node); /* dirty rows, into the turn's transaction */
uint64_t peers_wake_ms(const struct node *node);

/* link.c */
struct link *link_find(struct node *node, uint32_t number);
MUST_USE enum err link_up(struct node *node, const struct event *event);
MUST_USE enum err link_bytes(struct node *node, struct link *link, struct bytes bytes);
void link_down(struct node *node, struct link *link);
/* A pseudo link of no lab, READY, in no list. NULL without memory. */
struct link *link_file(void);
void link_free(struct link *link); /* accepts NULL */
/* Queues a message on the session. */
void link_send(struct node *node, struct link *link, const struct msg *msg);
/* BYE and close. */
void link_close(struct node *node, struct link *link, enum bye code, const char *reason);
/* HELLO. */
MUST_USE enum err link_hello(struct node *node, struct link *link, bool with_record);
/* Both HELLOs are good. */
void link_ready(struct node *node, struct link *link, struct peer *peer);
void links_tick(struct node *node);
uint64_t links_wake_ms(const struct node *node);
void links_emit(struct node *node);        /* SEND effects for everything sealed */
size_t link_room(const struct link *link); /* bytes that may still be queued */

/* announce.c */
MUST_USE enum err link_start(struct node *node, struct link *link, const struct msg *hello);
MUST_USE enum err announce_flush(struct node *node, struct link *link, struct txn *txn);
void announce_acked(struct node *node, struct link *link, uint64_t cursor);
MUST_USE enum err cursors_store(struct node *node, bool now);
void cursors_committed(struct node *node);
/* `said`: by an announcement, which wants an ACK; else it may wait for the next commit. */
void cursor_update(struct node *node, struct link *link, bool said);

/* offer.c */
MUST_USE enum err fetch_heads(struct node *node, struct link *link, const struct msg *msg);
MUST_USE enum err fetch_records(struct node *node, struct link *link, const struct msg *msg);
MUST_USE enum err record_accept(struct node *node, const struct lab_record *record,
                                struct bytes signed_bytes, const struct lab_id *from);
/* The head is its lab's, by the record held. ERR_NOT_FOUND: no record of that lab or generation;
 * ERR_STALE: of a generation that is over. */
MUST_USE enum err head_check(struct node *node, struct bytes bytes, struct head *ret_head);
void head_name(const struct head *head, struct catalogue_name *ret_name);
/* Asks that link what it holds of our own catalogue. */
MUST_USE enum err offer_own(struct node *node, struct link *link);
/* What every link offered and is held now is done. */
MUST_USE enum err offers_close(struct node *node, uint32_t catalogue, const struct head *head);
/* Ours, not the other side's: the turn cannot go on. */
bool err_ours(enum err err);

/* fetch.c */
MUST_USE enum err fetch_schedule(struct node *node);
void fetch_link_down(struct node *node, struct link *link);
/* The same, for a link that was lost and did no wrong: what came is kept on disk. */
MUST_USE enum err fetch_link_lost(struct node *node, struct link *link);
MUST_USE enum err fetch_tick(struct node *node);
uint64_t fetch_wake_ms(const struct node *node);
struct fetch *fetch_of(struct node *node, uint32_t catalogue); /* NULL */
/* The one that link serves on that stream; NULL: given up meanwhile. */
struct fetch *fetch_on(struct node *node, const struct link *link, uint64_t stream);
/* For a file, which goes before peers: opens the fetch of that offer; whoever was asked is asked no
 * more. ERR_STALE: it is held already. ERR_BUSY: a job must run first. */
MUST_USE enum err fetch_open(struct node *node, struct link *link, struct offer *offer,
                             struct fetch **ret_fetch);
/* The offer it serves; NULL when that is gone. */
struct offer *fetch_offer(struct fetch *fetch);
/* Nothing more is to be had there: the offer is done. */
void fetch_over(struct node *node, struct fetch *fetch);
/* Gives it up; what is staged stays for the next one. Its offer waits before this link is asked
 * again. */
void fetch_abandon(struct node *node, struct fetch *fetch);
/* So much came for it. *ret_gone: its peer is too slow, and others offer the same: it is given up,
 * what came is kept, another will be asked. */
MUST_USE enum err fetch_moved(struct node *node, struct fetch *fetch, size_t size, bool *ret_gone);
/* Entries in memory go to disk, invisible, as a part of this turn. */
MUST_USE enum err fetch_stage(struct node *node, struct fetch *fetch);
void fetch_done(struct fetch *fetch);
void fetches_reset(struct node *node);

/* receive.c */
MUST_USE enum err fetch_delta(struct node *node, struct link *link, const struct msg *msg);
/* Drops what is staged and asks the same link once more, in that way; the others only later. */
MUST_USE enum err fetch_again(struct node *node, struct fetch *fetch, enum ask ask);
/* Against the rules: what it staged goes, its link is closed and remembered. */
MUST_USE enum err fetch_convict(struct node *node, struct fetch *fetch, enum err why);
/* It does not add up, for that reason: asked again in another way, or its link convicted. */
MUST_USE enum err fetch_wrong(struct node *node, struct fetch *fetch, enum err why);
/* The disk is too full to take more: given up for now. */
bool fetch_no_room(struct node *node, struct fetch *fetch);

/* apply.c */
MUST_USE enum err fetch_end(struct node *node, struct link *link, const struct msg *msg);
MUST_USE enum err fetch_job(struct node *node, struct fetch *fetch, uint64_t *ret_arrival);
/* `plan`: of one whose root was another (freed here); else NULL. */
MUST_USE enum err fetch_job_done(struct node *node, struct fetch *fetch, struct plan *plan,
                                 enum err err);

/* fork.c */
/* A head that is not newer than the held one, and not in its history: proven at once. */
MUST_USE enum err fork_seen(struct node *node, uint32_t catalogue, const struct head *head,
                            struct bytes signed_head, const struct lab_id *from);
/* A newer head whose chain, whole in the fetch, does not hold the held head. */
MUST_USE enum err fork_chain(struct node *node, struct fetch *fetch);
/* Is a fork of the head's generation known? Then: does the fetch's opening join its branches? */
MUST_USE enum err fork_judge(struct node *node, struct fetch *fetch, bool *ret_known,
                             bool *ret_joined);
/* A head of a frozen catalogue is not taken. Its lab is shown why: it may have joined others than
 * the branches that are known here. */
MUST_USE enum err fork_refuse(struct node *node, struct fetch *fetch);
/* The held history grew by a merge: forgets the fork if that joined both its branches. */
MUST_USE enum err fork_settle(struct txn *txn, uint32_t catalogue);
MUST_USE enum err fork_part(struct node *node, struct link *link, const struct msg *msg);
/* Sends the proof of that catalogue's fork; *ret_sent is false when there is no room now. */
MUST_USE enum err fork_announce(struct node *node, struct link *link, struct txn *txn,
                                uint32_t catalogue, bool *ret_sent);

/* Appends the answer of `forks`: what stands, of the generation that counts. */
MUST_USE enum err forks_report(struct txn *txn, struct buf *into);
MUST_USE enum err forks_count(struct txn *txn, uint64_t *ret_count);

/* freeze.c: why the own catalogue stands still, and how it goes on */
/* A head of ours that a peer holds. */
MUST_USE enum err own_head_seen(struct node *node, struct link *link, const struct head *head,
                                struct bytes signed_head);
/* What a link holds of our catalogue: its opening is in the fetch. */
MUST_USE enum err own_probed(struct node *node, struct fetch *fetch);
/* The own catalogue changed by what was pulled. */
MUST_USE enum err own_pulled(struct node *node, uint64_t old_n);
/* What is to be pulled of the own catalogue, or void, may not mix with what open batches staged:
 * they are lost, and everything staged goes with them (without any of them: only if `all`). */
MUST_USE enum err own_staging_drop(struct node *node, bool all);
/* Nothing of ours is taken in any more that is on its way; what is staged of it goes. */
MUST_USE enum err own_fetch_end(struct node *node);
/* Looks anew at every reason to stand still. */
MUST_USE enum err freeze_review(struct node *node);
MUST_USE enum err repair_begin(struct node *node, struct client *client, uint32_t id,
                               const msgpack_object *params);
/* Asks every link once more what it holds of our catalogue. */
MUST_USE enum err repair_ask(struct node *node);
/* Something of ours came: who asked waits on. */
void repair_moved(struct node *node);
/* Before the commit: what `force` gives up goes. */
MUST_USE enum err repair_settle(struct node *node);
void repair_check(struct node *node); /* after the commit: answers when all is done */
uint64_t repair_wake_ms(const struct node *node);

/* merge.c: the job that joins another branch of the own catalogue with the held one */
MUST_USE enum err merge_job(struct node *node, struct fetch *fetch, struct txn *txn,
                            uint64_t *ret_arrival);
/* After the job. */
MUST_USE enum err merge_over(struct node *node, struct fetch *fetch, enum err err);

/* mend.c */
/* The delta, staged and settled, makes another root than its head's: false when it cannot be mended
 * with this link. */
bool mend_begin(struct node *node, struct fetch *fetch, const struct plan *plan);
/* BUCKETS and BUCKET: questions and answers. */
MUST_USE enum err mend_buckets(struct node *node, struct link *link, const struct msg *msg);
MUST_USE enum err mend_bucket(struct node *node, struct link *link, const struct msg *msg);
void mend_free(struct mend *mend); /* accepts NULL */

/* reader.c */
/* A HELLO of generation 0. ERR_REFUSED. */
MUST_USE enum err reader_check(struct node *node, struct link *link, const struct msg *msg);
MUST_USE enum err reader_greet(struct node *node, struct link *link, const struct msg *msg);
/* Nothing is taken from a reader. */
bool reader_ignores(const struct link *link, const struct msg *msg);

/* guard.c */
/* After own_load: does the store hold what the guard file names? */
MUST_USE enum err guard_load(struct node *node);
/* After the commit, before anything leaves. */
MUST_USE enum err guard_settle(struct node *node);
void guard_tick(struct node *node);
uint64_t guard_wake_ms(const struct node *node);
/* FREEZE_GUARD ends. */
void guard_lift(struct node *node);
/* Is that the very head which the guard waits for? Then this machine made it. */
bool guard_covers(const struct node *node, const struct head *head);
/* Why nothing is signed, for people; NULL when it is. */
const char *freeze_text(const struct node *node);

/* rotate.c */
MUST_USE enum err rotate_begin(struct node *node, struct client *client, uint32_t id);
MUST_USE enum err rotate_keys(struct node *node, const struct event *event);
/* After the commit. */
void rotate_settle(struct node *node);
/* The turn is undone. */
void rotate_undo(struct node *node);
void rotate_done(struct node *node); /* wipes */
/* A record of the own lab that a peer gave. */
MUST_USE enum err rotate_seen(struct node *node, const struct lab_record *record,
                              struct bytes signed_bytes, const struct lab_id *from);
/* What is offered or being received, and for how long nothing came. */
struct identity_state {
    uint64_t pending, own_pending, quiet_ms;
};
void identity_look(const struct node *node, struct identity_state *ret_state);
/* At the start of a lab that is being recovered. ERR_KEY. */
MUST_USE enum err rotate_statement(struct node *node);

/* serve.c */
MUST_USE enum err serve_want(struct node *node, struct link *link, const struct msg *msg);
/* The same, from a snapshot. */
MUST_USE enum err serve_open(struct node *node, struct link *link, struct txn *txn,
                             const struct msg *msg);
MUST_USE enum err serve_flush(struct node *node, struct link *link, struct txn *txn);

/* own.c */
MUST_USE enum err own_load(struct node *node);
MUST_USE enum err own_publish(struct node *node, struct client *client, uint32_t id,
                              const msgpack_object *params);
MUST_USE enum err own_withdraw(struct node *node, struct client *client, uint32_t id,
                               const msgpack_object *params);
/* Before the commit: signs and applies this turn's changes, or leaves them to the job. */
MUST_USE enum err own_settle(struct node *node);
void answer_put(struct node *node, struct answer *answer);
void answer_done(struct answer *answer);
/* After it: answers. `err` tells why nothing was written. */
void own_answer(struct node *node, enum err err);
MUST_USE enum err own_job(struct node *node);
MUST_USE enum err own_job_done(struct node *node, const struct job *job);
/* A head of the own catalogue as it is planned. */
MUST_USE enum err own_sign(struct node *node, const struct plan *plan, uint64_t n,
                           const struct hash *history, struct head *ret_head,
                           struct buf *signed_head);
void own_undo(struct node *node);
void own_done(struct own *own);

/* batch.c */
MUST_USE enum err batch_drop(struct node *node, struct batch *batch);

/* client.c */
struct client *client_find(struct node *node, uint32_t number);
MUST_USE enum err client_up(struct node *node, const struct event *event);
void client_down(struct node *node, struct client *client);
MUST_USE enum err client_bytes(struct node *node, struct client *client, struct bytes bytes);
struct buf *client_out(struct client *client); /* NULL without memory */
void client_error(struct client *client, uint32_t id, enum err err, const char *field,
                  const char *message);
void clients_emit(struct node *node);
MUST_USE enum err clients_tick(struct node *node);
uint64_t clients_wake_ms(const struct node *node);
MUST_USE enum err answer_add(struct node *node, uint32_t client, uint32_t id, bool own,
                             struct answer **ret_answer);
void syncs_check(struct node *node);
MUST_USE enum err watch_flush(struct node *node, struct client *client, struct txn *txn);
MUST_USE enum err watch_changed(struct node *node);

/* compact.c: copies of the store */
void compact_load(struct node *node);
MUST_USE enum err compact_ask(struct node *node, struct client *client, uint32_t id);
MUST_USE enum err backup_ask(struct node *node, struct client *client, uint32_t id,
                             const msgpack_object *params);
/* A withdrawal that is to be answered when its bytes are gone: takes what the answer owns. False:
 * they are, answer it now. */
bool compact_takes(struct node *node, struct answer *answer);
/* After the turn's commit: leaves a copy that is due to the job. */
void compact_begin(struct node *node);
void compact_job(struct node *node);
MUST_USE enum err compact_job_done(struct node *node, const struct job *job);
uint64_t compact_wake_ms(const struct node *node);
void compact_done(struct node *node);

/* receipt.c: who has erased what was withdrawn */
void receipt_load(struct node *node);
/* Says what is due to be said, if the store is clean, in the turn's transaction. */
MUST_USE enum err receipt_look(struct node *node);
MUST_USE enum err receipt_tick(struct node *node);
uint64_t receipt_wake_ms(const struct node *node);
MUST_USE enum err fetch_receipts(struct node *node, struct link *link, const struct msg *msg);
MUST_USE enum err receipt_announce(struct txn *txn, const struct lab_id *lab, struct buf *raw,
                                   size_t *ret_count);
/* The answer to `receipts`: a page of labs, and whether each erased up to head `since` of the own
 * catalogue (0: the last one that withdrew). */
MUST_USE enum err receipts_report(struct node *node, struct txn *txn, uint64_t since,
                                  const struct lab_id *after, struct buf *out);
struct receipt_count {
    uint64_t n; /* of the last head that withdrew; 0: none did */
    uint64_t labs, erased;
};
MUST_USE enum err receipts_count(struct node *node, struct txn *txn,
                                 struct receipt_count *ret_count);

/* former.c: revisions that own entries had */
MUST_USE enum err former_load(struct node *node);
/* Before these changes of the own catalogue are applied: keeps what they replace, where the lab
 * wants that. */
MUST_USE enum err former_keep(const struct node *node, struct txn *txn,
                              const struct change_list *list);
/* Nothing of that slug is to be kept once the turn's draft is applied. ERR_NOT_FOUND when nothing
 * is, now. */
MUST_USE enum err former_erase(struct node *node, struct txn *txn,
                               const struct slug_hash *slug_hash);
/* … and now it is. */
MUST_USE enum err former_forget(const struct node *node, struct txn *txn,
                                const struct draft *draft);
/* The answer to `history`: a page of the revisions of a slug, from behind `after`. ERR_NOT_FOUND
 * when there never was such an entry, as far as this store knows. */
MUST_USE enum err former_report(const struct node *node, struct txn *txn, struct bytes slug,
                                uint64_t after, struct buf *out);

/* lost.c: the operator drops what gave way in merges. */
MUST_USE enum err lost_forget(struct node *node, struct client *client, uint32_t id,
                              const msgpack_object *params);

/* query.c: answers from a read transaction. */
MUST_USE enum err query_answer(struct node *node, struct client *client, struct txn *txn,
                               const struct ctl_msg *msg, enum ctl_method method);
/* A lab by did, alias, or name; empty = own. */
MUST_USE enum err query_lab(struct node *node, struct txn *txn, struct bytes text,
                            struct lab_id *ret_lab);

/* export.c */
MUST_USE enum err export_answer(struct node *node, struct client *client, struct txn *txn,
                                const struct ctl_msg *msg);
void export_drop(struct client *client);

/* import.c */
MUST_USE enum err import_request(struct node *node, struct client *client, uint32_t id,
                                 const msgpack_object *params);
/* Before the commit: goes on where a job was waited for. */
MUST_USE enum err imports_settle(struct node *node);
/* After it. */
MUST_USE enum err imports_answer(struct node *node);
/* The turn was undone, and with it every fetch. */
MUST_USE enum err imports_undo(struct node *node);
void import_drop(struct node *node, struct client *client); /* what came is kept for the next */
void imports_tick(struct node *node);
uint64_t imports_wake_ms(const struct node *node);

/* report.c */
MUST_USE enum err report_status(struct node *node, struct txn *txn, struct buf *into);

#endif
