/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/state.h: what a node keeps in memory between turns. For node/ only; what is done with it:
 * node/parts.h.
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
    uint64_t own_due_ms, own_delay_ms;   /* asked again for what it has of ours; 0 = it is not */

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

#endif
