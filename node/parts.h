/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/parts.h: what the files of node/ do for each other, a file a paragraph. For node/ only.
 */
#ifndef ESSAIM_NODE_PARTS_H
#define ESSAIM_NODE_PARTS_H

#include "node/state.h"

/* effects.c */
/* One more effect of the call under way; NULL without memory (sticky in effects). */
struct effect *effects_add(struct node *node, enum effect_kind kind);

/* node.c */
/* The turn's write transaction. */
MUST_USE enum err node_txn(struct node *node, struct txn **ret_txn);
void node_log(struct node *node, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
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
/* That link had nothing of ours: when it is asked again. */
void fetch_own_later(struct node *node, struct link *link);
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
