# SPDX-License-Identifier: EUPL-1.2
"""The mutants: checks that are disabled, one at a time, to see that the simulator notices.

Each has a name, a sentence, and changes (room, exact old text, new text). The old text must stand
exactly once in the room's sources: otherwise the mutant is stale, which is a failure, too. Whoever
changes the code changes its mutant.
"""
from typing import NamedTuple


class Mutant(NamedTuple):
    name: str
    sentence: str
    changes: list
    first: str = ""  # the program that is known to notice: only to be quick


MUTANTS = [
    Mutant("head-unsigned", "a head's signature is not checked", [
        ("node", "        return verified_open(&node->verified, bytes, held.record.signing_pk, ret_head);",
         "        return ERR_OK;")]),
    Mutant("head-known", "a head is known again without its signature", [
        ("node", "bytes_equal(bytes_of(head->bytes, head->size), signed_head) &&",
         "head->size == signed_head.size &&\n"
         "            memcmp(head->bytes, signed_head.data, head->size - SIGNATURE_SIZE) == 0 &&")]),
    Mutant("root-free", "a delta need not make its head's root", [
        ("node", "           memcmp(plan->root.bytes, head->root.bytes, HASH_SIZE) == 0;",
         "           true;"),
        ("store", "    must(memcmp(plan->root.bytes, head->root.bytes, HASH_SIZE) == 0);\n", "")]),
    Mutant("count-free", "a delta need not have its head's count and bytes", [
        ("node", "    return plan->count == head->count && plan->bytes == head->bytes &&\n",
         "    return\n"),
        ("store", "    must(plan->count == head->count);\n    must(plan->bytes == head->bytes);\n",
         "")]),
    Mutant("rev-order-free", "a delta's entries may come in any order of revs", [
        ("node", "    if (!ascending || entry.rev <= fetch->m) {",
         "    (void) ascending;\n    if (entry.rev <= fetch->m) {")]),
    Mutant("rev-beyond", "an entry may carry a rev above its head's number", [
        ("node", " || fetch->last_rev > fetch->head.n) {", ") {")]),
    Mutant("other-lab", "a delta of another lab is taken for the one wanted", [
        ("node", "        memcmp(name.lab.bytes, fetch->name.lab.bytes, KEY_SIZE) != 0 ||\n", "")]),
    Mutant("quota-free", "a head beyond the quota is taken", [
        ("node", "    if (head->count > node->config.quota_entries || "
         "head->bytes > node->config.quota_bytes) {", "    if (false) {"),
        ("node", "    if (fetch->head.count > node->config.quota_entries ||\n"
         "        fetch->head.bytes > node->config.quota_bytes) {", "    if (false) {")]),
    Mutant("leaf-unchecked", "an entry is served without a look at its leaf", [
        ("store", "    if (memcmp(leaf.bytes, row->leaf.bytes, HASH_SIZE) != 0) {\n"
         "        return ERR_CORRUPT;\n    }\n    *ret_entry = entry;",
         "    (void) leaf;\n    *ret_entry = entry;")]),
    Mutant("said-before-stored", "announcements leave before the commit", [
        ("node", "    enum err err = node->undo ? ERR_FULL : turn_commit(node);\n"
         "    if (err == ERR_FULL) {",
         "    if (node->txn != NULL) {\n        (void) flush_from(node, node->txn);\n    }\n"
         "    enum err err = node->undo ? ERR_FULL : turn_commit(node);\n"
         "    if (err == ERR_FULL) {")]),
    Mutant("commit-ignored", "a commit that failed counts as one", [
        ("node", "    if (err == ERR_OK && txn != NULL && txn_dirty(txn)) {\n"
         "        return txn_commit(txn);\n    }\n    txn_end(txn);\n    return err;\n}\n\n"
         "enum err node_settle",
         "    if (err == ERR_OK && txn != NULL && txn_dirty(txn)) {\n"
         "        (void) !txn_commit(txn);\n        return ERR_OK;\n    }\n    txn_end(txn);\n"
         "    return err;\n}\n\nenum err node_settle")]),
    Mutant("ack-undurable", "a cursor is acknowledged before it is on disk", [
        ("node", "                                .ack = {.cursor = link->cursor_stored,",
         "                                .ack = {.cursor = link->cursor,"),
        ("node", "    if (link->must_ack && link->cursor_stored > link->cursor_acked) {",
         "    if (link->must_ack && link->cursor > link->cursor_acked) {")]),
    Mutant("ack-unread", "a cursor passes what was offered and is not held yet", [
        ("node", "                cursor = link->offers[i].arrival - 1;",
         "                cursor = link->upto;")]),
    Mutant("undone-cursor", "an undone turn keeps its cursors", [
        ("node", "        err = peers_undo(node); /* cursors of this turn passed what it did not keep"
         " */", "        err = ERR_OK;")], first="test_stories2"),
    Mutant("undone-links", "an undone turn keeps its links", [
        ("node", "    fetches_reset(node);\n    node->changed_count = 0;\n"
         "    while (node->link_count > 0) {",
         "    node->changed_count = 0;\n    while (false) {"),
        ("node", "        must(peer->link == NULL);\n", "")], first="test_stories2"),
    Mutant("skip-always", "what another store had read of us is skipped for this one", [
        ("node", "        memcmp(hello->hello.read_index, store_index(node->config.store), "
         "INSTANCE_SIZE) == 0 &&\n        hello->hello.cursor <= last;",
         "        (hello->hello.cursor <= last || last > 0);")]),
    Mutant("index-ignored", "a new store is read on from where the old one was left", [
        ("node", "    if (!row->has_index || memcmp(row->index, hello->hello.index, "
         "INSTANCE_SIZE) != 0) {\n        row->has_index = true;",
         "    if (!row->has_index) {\n        row->has_index = true;"),
        ("node", "    bool back = !link->announced_to && link->peer != NULL &&\n",
         "    bool back = false && link->peer != NULL &&\n")]),
    Mutant("convicted-staging", "what a convicted peer sent stays staged", [
        ("node", "    enum err err = ERR_OK;\n    if (fetch->has_staging) {\n"
         "        struct txn *txn = NULL;",
         "    enum err err = ERR_OK;\n    if (false) {\n        struct txn *txn = NULL;")]),
    Mutant("record-older", "an older lab record replaces a newer one", [
        ("node", "    if (err == ERR_OK && held.record.generation >= record->generation) {",
         "    if (err == ERR_OK && held.record.generation == record->generation) {")]),
    Mutant("own-head-ignored", "a head of ours that we never signed freezes nothing", [
        ("node", "    own->frozen |= FREEZE_SEEN;\n", "")]),
    Mutant("resume-skips", "a resumed delta leaves one entry out", [
        ("node", "        .after_rev = msg->want.has_after ? msg->want.after_rev : msg->want.m,",
         "        .after_rev = msg->want.has_after ? msg->want.after_rev + 1 : msg->want.m,")]),
    Mutant("hints-ignored", "withdrawn hints are ignored", [
        ("node", "    buf_put(&fetch->hints, withdrawn);\n", "    (void) withdrawn;\n")],
        first="test_stories_hints"),
    Mutant("hints-coarse", "a hint withdraws its whole bucket", [
        ("store", "bsearch(hint.bytes, hints.data, hints.size / HINT_SIZE, HINT_SIZE, hint_order) "
         "!= NULL", "(void) hint_order, hint.bytes[0] == hints.data[0]")],
        first="test_stories_hints"),
    Mutant("hints-of-others", "hints of heads that were replaced are kept", [
        ("store", "applying->parted > 0 ? applying->parted : apply->head->n + 1",
         "apply->head->n + 1")], first="test_stories_hints"),
    Mutant("retired-bare", "a retired slug is remembered without the key", [
        ("store", "    struct slug_hash hash = hash_retired(txn->store->retired_key, slug_hash);\n",
         "    struct slug_hash hash = txn == NULL ? (struct slug_hash){{0}} : *slug_hash;\n")],
        first="test_stories_hints"),
    Mutant("withdrawn-kept", "what is withdrawn stays in the store", [
        ("store", "        if (err == ERR_OK) {\n            err = cursor_del(&applying->slugs);\n"
         "        }\n", "")]),
    Mutant("job-twice", "the result of a job is applied twice", [
        ("node", "        job->err = fetch_job(node, job->fetch, &job->arrival);",
         "        job->err = fetch_job(node, job->fetch, &job->arrival);\n"
         "        if (job->err == ERR_OK) {\n"
         "            job->err = fetch_job(node, job->fetch, &job->arrival);\n        }")]),
    Mutant("key-unnamed", "a link key that the record does not name is taken", [
        ("node", "    if (record.generation != msg->hello.generation || "
         "record.generation < generation_held ||\n"
         "        memcmp(record.link_pk, session_remote(link->session), KEY_SIZE) != 0) {",
         "    if (record.generation != msg->hello.generation || "
         "record.generation < generation_held) {")]),
    Mutant("removed-welcome", "a removed peer is let in", [
        ("node", "    struct peer *peer = peer_find(node, &msg->hello.lab);\n"
         "    if (peer == NULL || peer->row.removed) {",
         "    struct peer *peer = peer_find(node, &msg->hello.lab);\n    if (peer == NULL) {")]),
    Mutant("record-late", "a head travels before the record that it needs", [
        ("node", "    if (err == ERR_OK) {\n        err = announce_record(txn, &held.head.lab, "
         "arrival->number, &into->records,\n                              &into->record_count);\n"
         "    }\n", "")]),
    Mutant("stall-for-ever", "a peer that stalls keeps its delta for ever", [
        ("node", "    return last + (file ? IMPORT_IDLE_MS : FETCH_STALL_MS);",
         "    (void) file;\n    return last + (1ull << 40);")], first="test_stories2"),
    Mutant("silence-for-ever", "a silent link is never found dead", [
        ("node", "        if (node->now_ms - link->heard_ms >= DEAD_MS) {", "        if (false) {")], first="test_stories_break"),
    Mutant("history-free", "a head's history need not be made by its opening", [
        ("node", "    return opening_check(&fetch->opening, &first, fetch->m == 0 ? NULL : "
         "chain_history, &chain,\n                         head->n, &head->history);",
         "    return ERR_OK;")], first="test_stories_bundle"),
    Mutant("held-head-skipped", "an opening need not begin with the head that is held", [
        ("node", "        if (hash == NULL || memcmp(hash, fetch->base_hash.bytes, HASH_SIZE) != 0) {"
         "\n            return ERR_UNLINKED;", "        if (false) {\n            return ERR_UNLINKED;"),
        ("node", "    return opening_check(&fetch->opening, &first, fetch->m == 0 ? NULL : "
         "chain_history, &chain,\n                         head->n, &head->history);",
         "    return fetch->m > 0 ? ERR_OK\n        : opening_check(&fetch->opening, &first, NULL, "
         "&chain, head->n, &head->history);")]),
    Mutant("chain-unreached", "a whole chain need not hold the head that is held", [
        ("node", "    return fetch->m > 0 || fetch->base_n == 0 || fetch->head.generation > "
         "fetch->base_generation ||\n", "    return true ||\n")]),
    Mutant("last-good-ignored", "a new generation need not go through the last good head", [
        ("node", "        if (err != ERR_OK || where != WHERE_TRUNK) {",
         "        if (err != ERR_OK) {")]),
    Mutant("old-generation", "heads of a generation that is over still count", [
        ("node", "    return head_former(node, txn, bytes, &held.record, ret_head);",
         "    (void) head_former;\n    return ERR_OK;"),
    ]),
    Mutant("head-older", "an older head, whole, replaces a newer one", [
        ("node", "    if (order > 0) {\n        return ERR_OK;", "    if (order != 0) {\n        return ERR_OK;"),
        ("node", "    if (offer->head.generation > fetch->base_generation && offer->head.n <= "
         "fetch->base_n) {", "    if (offer->head.n < fetch->base_n) {"),
        ("node", "    return head_compare(head, &target) >= 0 && (branch || head_compare(head, &base) "
         "> 0);", "    return true;"),
        ("node", "    return fetch->m > 0 || fetch->base_n == 0 || fetch->head.generation > "
         "fetch->base_generation ||\n", "    return true ||\n")]),
    Mutant("own-head-forgotten", "a restart forgets that others hold a head of ours we lack", [
        ("node", "    return err == ERR_OK ? own_seen_put(txn, head->n, &head->hash) : err; "
         "/* over a restart, too */", "    return err;")]),
    Mutant("refused-for-ever", "a link that failed is never dialled again", [
        ("node", "    peer->dial_at_ms = dial_time(node, peer, peer->dial_delay_ms);",
         "    peer->dial_at_ms = UINT64_MAX;"),
        ("node", "    bool is_alone = alone(node);", "    bool is_alone = false && alone(node);")]),
    Mutant("fork-unseen", "another head with a number that is held is no fork", [
        ("node", "    if (err != ERR_OK || where != WHERE_OTHER) {\n        return err != ERR_OK ? err "
         ": ERR_STALE;", "    if (true) {\n        return err != ERR_OK ? err : ERR_STALE;")]),
    Mutant("chain-unforked", "a chain that parts from the held one is no fork", [
        ("node", "        err = fork_chain(node, fetch);\n        if (err == ERR_OK) {\n"
         "            node_refuse", "        err = ERR_OK;\n        if (err == ERR_OK) {\n"
         "            node_refuse")]),
    Mutant("fork-unsaid", "a fork proof is not passed on", [
        ("node", "    if (err != ERR_OK || held.proof.size == 0) {\n        return err == ERR_NOT_FOUND ?"
         " ERR_OK : err;", "    if (true) {\n        return err == ERR_NOT_FOUND ? ERR_OK : err;")]),
    Mutant("proof-free", "a fork proof's heads need not be signed", [
        ("proto", "        err = head_open(branches[0].head, forked.record.signing_pk, &forked.a);",
         "        err = head_peek(branches[0].head, &forked.a);"),
        ("proto", "        err = head_open(branches[1].head, forked.record.signing_pk, &forked.b);",
         "        err = head_peek(branches[1].head, &forked.b);")]),
    Mutant("frozen-moves", "a forked catalogue takes further heads", [
        ("node", "    return err == ERR_OK && known && !fetch->joined && fetch->base_n > 0 ? ERR_FROZEN "
         ": err;", "    return err;"),
        ("node", "    if (known && !joined && fetch->base_n > 0) {", "    if (false) {")]),
    Mutant("merge-of-one", "a head that holds one branch counts as a merge", [
        ("node", "    *ret_joined = a && b;", "    *ret_joined = a || b;")]),
    Mutant("merge-loses", "a merge drops what the first forked head brought", [
        ("node", "    if (one->rev >= merge->k && fits) {",
         "    if (one->rev > merge->k && fits) {")]),
    Mutant("frozen-signs", "a forked lab signs on", [
        ("node", "    bool frozen = err == ERR_OK && fork.generation == node->record_view.generation;",
         "    bool frozen = false;")]),
    Mutant("digests-unchecked", "the digests of a mending peer need not make the root", [
        ("node", "    if (memcmp(root.bytes, fetch->head.root.bytes, HASH_SIZE) != 0) {\n"
         "        return mend_lie", "    (void) root;\n    if (false) {\n        return mend_lie")]),
    Mutant("bucket-unchecked", "the pairs of a mending peer need not make the digest", [
        ("node", "    if (memcmp(digest.bytes, mend->theirs.buckets[mend->bucket].bytes, HASH_SIZE) "
         "!= 0) {", "    if (false) {")]),
    Mutant("unmended", "a delta that does not add up is never mended by buckets", [
        ("node", "    if (link == NULL || link->file || link->state != LINK_READY || fetch->mended) {",
         "    if (true) {")]),
    Mutant("rewound-store", "a peer whose store went back is read on from where it was left", [
        ("node", "    bool back = !link->announced_to && link->peer != NULL &&\n",
         "    bool back = false && link->peer != NULL &&\n")]),
    Mutant("guard-blind", "a store that went back is not seen by its guard", [
        ("node", "    if (err == ERR_OK && !held) {\n        node->own.frozen |= FREEZE_GUARD;",
         "    (void) held;\n    if (false) {\n        node->own.frozen |= FREEZE_GUARD;")]),
    Mutant("guard-lowered", "the guard is written down to a store that went back", [
        ("node", "    if (err != ERR_OK || (node->own.frozen & FREEZE_GUARD) != 0) {",
         "    if (err != ERR_OK) {")]),
    Mutant("guard-stays", "the guard does not follow the own head", [
        ("node", "    if (guard->written && guard->n == wanted.n &&", "    if (guard->written ||")]),
    Mutant("guard-rash", "a guard of unknown number is lifted by a link that just came up", [
        ("node", "        node->now_ms - link->ready_ms < GUARD_QUIET_MS) {", "        false) {")]),
    Mutant("guard-never-covers", "a lost store does not take back what its guard names", [
        ("node", "           guard_covers(node, &fetch->head) ||\n", "")]),
    Mutant("own-record-kept", "the new own record is not told over standing links", [
        ("node", "                link->said_generation >= node->record_view.generation);",
         "                true);")]),
    Mutant("last-good-free", "a new record need not name the head held now", [
        ("node", "    if (ret_record->generation <= generation || "
         "!last_good_fits(node, ret_record)) {",
         "    (void) last_good_fits;\n    if (ret_record->generation <= generation) {")]),
    Mutant("rotated-bare", "new keys without a head of their generation", [
        ("node", "    own->reseal = own->held;", "    own->reseal = false;")]),
    Mutant("thief-remembered", "heads of the old generation are still feared after a rotation", [
        ("node", "        err = own_seen_put(txn, 0, &(struct hash){{0}}); "
         "/* of a generation that is over */", "        err = ERR_OK;")]),
    Mutant("undone-keys", "a turn that is undone keeps the new keys", [
        ("node", "    if (rotation->state == ROTATION_SIGNING) {\n        keys_swap(node);",
         "    if (rotation->state == ROTATION_SIGNING) {")]),
    Mutant("replaced-signs", "a newer own record stops nothing", [
        ("node", "    own->frozen |= FREEZE_REPLACED;", "")]),
    Mutant("replaced-rotates", "keys that were replaced may be replaced again here", [
        ("node", "    } else if ((node->own.frozen & (FREEZE_GUARD | FREEZE_REPLACED)) != 0) {",
         "    } else if (false) {"),
        ("node", "    if ((node->own.frozen & (FREEZE_GUARD | FREEZE_REPLACED)) != 0) {\n"
         "        *ret_text", "    if (false) {\n        *ret_text")]),
    Mutant("reader-strange", "a recovering lab may use any link key", [
        ("node", "        memcmp(link_pk, session_remote(link->session), KEY_SIZE) != 0) {\n"
         "        return ERR_REFUSED;\n    }\n    link->lab = msg->hello.lab;\n"
         "    link->reader = true;",
         "        false) {\n        return ERR_REFUSED;\n    }\n"
         "    link->lab = msg->hello.lab;\n    link->reader = true;")]),
    Mutant("reader-unknown", "a recovering lab that is no peer is told everything", [
        ("node", "    if (link->dialled || peer == NULL || peer->row.removed || "
         "node->config.recovering) {", "    if (link->dialled || node->config.recovering) {")]),
    Mutant("reader-heard", "what a recovering lab says is taken", [
        ("node", "        return link->reader;\n    default:", "        return false;\n    default:")]),
    Mutant("recovering-signs", "a lab that is being recovered publishes", [
        ("node", "    node->own.frozen |= FREEZE_RECOVERING;\n", "")]),
    Mutant("guard-ignored", "a store that went back behind its guard signs on", [
        ("node", "        node->own.frozen |= FREEZE_GUARD;", "        node->own.frozen |= 0;")]),
    Mutant("guard-late", "a head is told before the guard knows it", [
        ("node", "    cursors_committed(node);\n    err = guard_settle(node);\n",
         "    cursors_committed(node);\n"),
        ("node", "        err = node_flush(node);\n    }\n    if (err == ERR_OK && node->trim",
         "        err = node_flush(node);\n        err = err == ERR_OK ? guard_settle(node) : err;\n"
         "    }\n    if (err == ERR_OK && node->trim")]),
    Mutant("answered-early", "a publication is acknowledged before the commit", [
        ("node", "    enum err err = node->undo ? ERR_FULL : turn_commit(node);\n"
         "    if (err == ERR_FULL) {",
         "    own_answer(node, ERR_OK);\n    clients_emit(node);\n"
         "    enum err err = node->undo ? ERR_FULL : turn_commit(node);\n"
         "    if (err == ERR_FULL) {")]),
    Mutant("arrivals-again", "a copy put back gives its arrivals numbers that peers have read", [
        ("store", "    store->arrivals_from = number;\n", "    (void) number;\n"
         "    store->arrivals_from = 0;\n")], first="test_stories_fork"),
    Mutant("body-kept", "the bytes of what is withdrawn stay in the store", [
        ("store", "        err = txn_del(txn, TABLE_BODIES, key);\n        if (err == ERR_OK || err == "
         "ERR_NOT_FOUND) { /* lost", "        err = ERR_OK;\n        if (err == ERR_OK || err == "
         "ERR_NOT_FOUND) { /* lost")]),
    Mutant("repair-hurried", "a branch that takes more than a minute is given up", [
        ("node", "        repair_moved(node);\n    }\n    *ret_gone = false;",
         "    }\n    *ret_gone = false;")], first="test_stories_merge"),
    Mutant("force-leaves", "what repair --force gives up stays staged", [
        ("node", "    return own_fetch_end(node);\n}", "    return ERR_OK;\n}")],
        first="test_stories_merge"),
    Mutant("refused-erases", "an erasure that a freeze refuses happens all the same", [
        ("node", "        buf_put(erased, BYTES_OF_ARRAY(slug_hash->bytes));\n"
         "        err = erased->err != ERR_OK ? erased->err : err;",
         "        err = kept_drop(txn, node->own.catalogue, slug_hash);")],
        first="test_stories_merge"),
    Mutant("proof-long", "a fork of many heads is proven from its first one or not at all", [
        ("node", "    if (err == ERR_OK || err_ours(err) || tip <= *k) {", "    if (true) {")],
        first="test_stories_merge"),
    Mutant("lost-unkept", "what gives way in a merge is only in the answer", [
        ("node", "        err = lost_put(merge->txn, id, &row);", "        err = ERR_OK;")],
        first="test_stories_merge"),
    Mutant("merge-former", "a merge keeps no former bodies", [
        ("node", "    err = former_keep(node, merge->txn, &merge->changes);", "    err = ERR_OK;")],
        first="test_stories_merge"),
    Mutant("anew-unfit", "an entry without room for the merge's number is signed anew", [
        ("node", "    return entry_size_under(change->size, change->rev, merge->n) <= ENTRY_SIZE_MAX;",
         "    return true || merge->n == change->rev;")], first="test_stories_merge"),
    Mutant("receipt-rash", "a receipt is made before the copy took the store's place", [
        ("store", "    return !txn->erase && !txn->store->erase;",
         "    (void) txn;\n    return true;")], first="test_stories_receipt"),
    Mutant("receipt-unsigned", "a receipt need not be signed by its lab", [
        ("node", "        err = receipt_open(bytes, lab.record.signing_pk, &receipt);",
         "        err = ERR_OK;")], first="test_stories_receipt"),
    Mutant("receipt-older", "an older receipt takes a newer one's place", [
        ("node", "    if (err == ERR_OK && receipt_compare(&receipt, &held.receipt) <= 0 &&\n",
         "    if (false &&\n")], first="test_stories_receipt"),
    Mutant("receipt-stands", "a store that went back lets stand what was said after it", [
        ("node", "    return own ? own_receipt_seen(node, txn, &receipt)",
         "    (void) own_receipt_seen;\n    return own ? ERR_OK")], first="test_stories_receipt"),
    Mutant("receipt-unowed", "only who was told of the withdrawal says that it is gone", [
        ("store", "    bool held = err == ERR_OK && (row->generation > said.generation ||",
         "    bool held = false && (row->generation > said.generation ||")],
           first="test_stories_receipt"),
    Mutant("receipt-for-all", "receipts go to who does not understand them", [
        ("node", "    if (!link->receipts) {\n        return ERR_OK;\n    }\n", "")],
           first="test_stories_receipt"),
]

# Three that a test of every `./dev test` tries.
FAST = ("head-unsigned", "ack-undurable", "root-free")
