/* SPDX-License-Identifier: EUPL-1.2 */
/* node/query.h: one reading method being answered. For query*.c only. */
#ifndef ESSAIM_NODE_QUERY_H
#define ESSAIM_NODE_QUERY_H

#include "node/parts.h"

struct asking {
    struct node *node;
    struct client *client;
    struct txn *txn;
    const struct ctl_msg *msg;
};

/* query.c */
bool query_same(const struct lab_id *a, const struct lab_id *b);
void query_did(struct buf *out, const struct lab_id *lab);
/* An error response. */
void query_refuse(const struct asking *asking, enum err err, const char *field,
                  const char *message);
MUST_USE enum err query_begin(const struct asking *asking, struct buf **ret_out);
/* The `lab` parameter. *ret_given: there was one. An error that was answered already: ERR_REFUSED.
 */
MUST_USE enum err query_lab_param(const struct asking *asking, struct lab_id *ret_lab,
                                  bool *ret_given);

/* lost.c */
MUST_USE enum err query_lost(const struct asking *asking);

/* query_labs.c */
MUST_USE enum err query_labs(const struct asking *asking);
MUST_USE enum err query_peers(const struct asking *asking);

/* query_list.c */
MUST_USE enum err query_list(const struct asking *asking);
MUST_USE enum err query_verify(const struct asking *asking);

/* query_show.c */
MUST_USE enum err query_show(const struct asking *asking);
MUST_USE enum err query_prove(const struct asking *asking);

#endif
