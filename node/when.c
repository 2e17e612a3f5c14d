/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/when.c: the wall clock, which may be wrong (doc/decisions/0012-time.md).
 *
 * Nothing is accepted, refused or forgotten by it. What is kept for a time counts the store's own
 * age: monotonic time while the daemon runs, and for the time it was off what the wall clock says,
 * within bounds. A clock that is wrong by more than an hour is told in `status`: it is compared
 * with the dates of the heads that come, and with the own one.
 */
#include "base/must.h"
#include "node/parts.h"
#include "store/age.h"

#define HOUR_S 3600
#define AGE_PERIOD_MS (3600u * 1000u)
#define AWAY_S_MAX (30ll * 24 * HOUR_S)    /* of the time that a daemon was off */
#define WITNESS_MS (24ull * HOUR_S * 1000) /* how long a head's date is compared with */
#define PROMPT_MS 60000 /* a link that stands for so long is up to date with what its lab signs */
#define WALL_S_MIN 1767225600ll /* 2026-01-01: there was no Essaim before */

uint64_t when_age_s(const struct node *node)
{
    return node->clock.age_s + (node->now_ms - node->clock.base_ms) / 1000;
}

static enum err when_note(struct node *node)
{
    struct age age = {.age_s = when_age_s(node), .wall_s = node->wall_s};
    struct txn *txn = NULL;
    enum err err = node_txn(node, &txn);
    node->clock.noted_ms = node->now_ms;
    return err == ERR_OK ? age_put(txn, &age) : err;
}

enum err when_load(struct node *node)
{
    struct txn *txn = NULL;
    struct age age = {0};
    enum err err = node_txn(node, &txn);
    if (err == ERR_OK) {
        err = age_get(txn, &age);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    node->clock.base_ms = node->clock.noted_ms = node->now_ms;
    if (err == ERR_NOT_FOUND) { /* as good a start as any */
        node->clock.age_s = (uint64_t) (node->wall_s > WALL_S_MIN ? node->wall_s : WALL_S_MIN);
        return when_note(node);
    }
    int64_t away_s = node->wall_s > age.wall_s ? node->wall_s - age.wall_s : 0;
    node->clock.age_s = age.age_s + (uint64_t) (away_s < AWAY_S_MAX ? away_s : AWAY_S_MAX);
    return away_s > HOUR_S || node->wall_s < age.wall_s ? when_note(node) : ERR_OK;
}

enum err when_store(struct node *node)
{
    bool due = node->now_ms - node->clock.noted_ms >= AGE_PERIOD_MS;
    return due && node->txn != NULL && txn_dirty(node->txn) ? when_note(node) : ERR_OK;
}

/* What was heard before the clock was set, or the machine slept, says nothing any more. */
void when_read(struct node *node)
{
    struct clock *clock = &node->clock;
    int64_t lead_s = node->wall_s - (int64_t) (node->now_ms / 1000);
    if (lead_s > clock->lead_s + HOUR_S || lead_s < clock->lead_s - HOUR_S) {
        memset(clock->witnesses, 0, sizeof clock->witnesses);
        clock->lead_s = lead_s;
    }
}

/* The place of a lab among the witnesses, or of the one heard longest ago. */
static struct witness *witness_of(struct clock *clock, const struct lab_id *lab)
{
    struct witness *oldest = &clock->witnesses[0];
    for (unsigned i = 0; i < WITNESSES_MAX; i++) {
        struct witness *witness = &clock->witnesses[i];
        if (memcmp(witness->lab.bytes, lab->bytes, KEY_SIZE) == 0) {
            return witness;
        }
        oldest = witness->heard_ms < oldest->heard_ms ? witness : oldest;
    }
    return oldest;
}

void when_heard(struct node *node, const struct link *link, const struct head *head)
{
    bool prompt = link->state == LINK_READY && node->now_ms - link->up_ms >= PROMPT_MS &&
                  memcmp(link->lab.bytes, head->lab.bytes, KEY_SIZE) == 0;
    int64_t issued_s = head->issued_at < INT64_MAX / 2 ? (int64_t) head->issued_at : INT64_MAX / 2;
    if (!prompt && issued_s - node->wall_s < -HOUR_S) {
        return; /* an old head may well be old */
    }
    *witness_of(&node->clock, &head->lab) = (struct witness){.lab = head->lab,
                                                             .off_s = issued_s - node->wall_s,
                                                             .heard_ms = node->now_ms,
                                                             .prompt = prompt};
}

/* More labs of the last day are an hour off, and on the same side, than agree. */
static bool when_outvoted(const struct node *node)
{
    unsigned later = 0, sooner = 0, agree = 0;
    for (unsigned i = 0; i < WITNESSES_MAX; i++) {
        const struct witness *witness = &node->clock.witnesses[i];
        if (witness->heard_ms == 0 || node->now_ms - witness->heard_ms > WITNESS_MS) {
            continue;
        }
        later += witness->off_s > HOUR_S;
        sooner += witness->off_s < -HOUR_S;
        agree += witness->off_s <= HOUR_S && witness->off_s >= -HOUR_S;
    }
    return (later >= 2 && later > agree) || (sooner >= 2 && sooner > agree);
}

bool when_wrong(const struct node *node)
{
    const struct own *own = &node->own;
    bool own_later = own->held && own->head.issued_at > HOUR_S &&
                     (node->wall_s < 0 || own->head.issued_at - HOUR_S > (uint64_t) node->wall_s);
    return node->wall_s < WALL_S_MIN || own_later || when_outvoted(node);
}
