/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/reader.c: links of labs that are being recovered (doc/protocol.md §6 Recovery, §9).
 *
 * Such a lab says HELLO with generation 0 and a statement of its root key about the link key it
 * uses. It is told everything, its own record and heads among it, and nothing is taken from it. Its
 * link stands beside the ordinary one of that lab, of which no row is touched: whoever holds a
 * stolen server's keys cannot push it out.
 */
#include "node/parts.h"
#include "proto/recover.h"

enum err reader_check(struct node *node, struct link *link, const struct msg *msg)
{
    struct lab_id lab;
    uint8_t link_pk[KEY_SIZE];
    uint64_t issued_at = 0;
    const struct peer *peer = peer_find(node, &msg->hello.lab);
    if (link->dialled || peer == NULL || peer->row.removed || node->config.recovering) {
        return ERR_REFUSED;
    }
    if (recover_open(msg->hello.record, &lab, link_pk, &issued_at) != ERR_OK ||
        memcmp(lab.bytes, msg->hello.lab.bytes, KEY_SIZE) != 0 ||
        memcmp(link_pk, session_remote(link->session), KEY_SIZE) != 0) {
        return ERR_REFUSED;
    }
    link->lab = msg->hello.lab;
    link->reader = true;
    return ERR_OK;
}

enum err reader_greet(struct node *node, struct link *link, const struct msg *msg)
{
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *old = node->links[i];
        if (old != link && old->reader && old->state == LINK_READY &&
            memcmp(old->lab.bytes, link->lab.bytes, KEY_SIZE) == 0) {
            link_close(node, old, BYE_REPLACED, "replaced");
        }
    }
    bool lacks = msg->hello.holds < node->record_view.generation;
    enum err err = link_hello(node, link, lacks);
    struct peer *peer = peer_find(node, &link->lab);
    if (err != ERR_OK || peer == NULL) {
        return err;
    }
    link_ready(node, link, peer);
    bool again = msg->hello.has_read_index &&
                 memcmp(msg->hello.read_index, store_index(node->config.store), INSTANCE_SIZE) == 0;
    link->announced = link->acked = again ? msg->hello.cursor : 0;
    return ERR_OK;
}

bool reader_ignores(const struct link *link, const struct msg *msg)
{
    switch (msg->type) {
    case MSG_RECORDS:
    case MSG_HEADS:
    case MSG_DELTA:
    case MSG_DELTA_END:
    case MSG_PROOF:
    case MSG_RECEIPTS:
        return link->reader;
    default:
        return false;
    }
}
