/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * node/import.h: an import under way: import.c reads the file and answers, reading.c takes its
 * deltas. For these two only.
 */
#ifndef ESSAIM_NODE_IMPORT_H
#define ESSAIM_NODE_IMPORT_H

#include "node/parts.h"

#define WAITS_MAX 64

enum outcome {
    OUTCOME_WANTED,  /* its delta is still to come */
    OUTCOME_AGAIN,   /* … in another pass */
    OUTCOME_NOTHING, /* the writer could not give it out */
    OUTCOME_UNCHANGED,
    OUTCOME_ACCEPTED,
    OUTCOME_REFUSED,
    OUTCOME_COUNT
};

/* A catalogue whose head the file announces. */
struct item {
    struct catalogue_name name;
    uint64_t arrival; /* of the newest such head */
    enum outcome outcome;
    enum err why;   /* REFUSED */
    enum ask ask;   /* AGAIN: in this way */
    unsigned asked; /* … after so many times */
};

/* The delta that is being read. */
struct reading {
    bool on, skip;
    bool ended; /* DELTA_END was taken: its job must run first */
    uint64_t stream;
    size_t item;
    struct fetch *fetch; /* NULL: not begun */
    bool feeding;        /* what was held or staged is behind us */
    uint64_t last_rev;   /* of those passed over */
    struct slug_hash last_slug;
    uint64_t hashes;             /* of the opening so far */
    size_t staged;               /* changes that an earlier reading staged */
    uint64_t held;               /* entries of the held head */
    struct buf named;            /* slug hashes of those passed over */
    struct head head;            /* of DELTA_END */
    uint64_t refused[ERR_COUNT]; /* counts before */
};

struct importing {
    struct link *link;
    struct buf in; /* not read yet */
    bool begun;    /* the magic was read */
    bool listed;   /* HEADS came */
    bool whole;    /* BYE came */
    bool end;      /* the file ends with `in` */
    bool over;     /* … and was read to there */
    bool blocked;  /* a job must run before the next frame */
    uint64_t touched_ms;
    uint32_t waits[WAITS_MAX]; /* requests to be answered */
    unsigned wait_count;
    struct item *items;
    size_t count, cap;
    struct reading reading;
    enum err err; /* the import failed */
    const char *text;
    struct lab_id lab; /* whose delta it was; zero: nobody's */
};

/* import.c */
/* Ends the import; nothing of the delta under way is kept. `text` is a literal; NULL: why's own. */
MUST_USE enum err import_fail(struct node *node, struct importing *importing, enum err why,
                              const char *text);
/* A file that no writer makes. */
MUST_USE enum err import_refuse(struct node *node, struct importing *importing, const char *text);
/* Was the link closed, as a peer's would be? Then the import ends. `lab`: of whom it was told, when
 * not in a delta. */
MUST_USE enum err import_judge(struct node *node, struct importing *importing,
                               const struct lab_id *lab);
/* Is the fetch of the delta under way still there, and this file's? */
bool import_fetching(const struct importing *importing);
/* The open offer of that arrival; NULL. */
struct offer *import_offer(struct link *link, uint64_t arrival);
/* What was counted as refused since; ERR_OK: nothing. */
enum err import_refused(const struct node *node, const uint64_t before[ERR_COUNT]);

/* reading.c: each may set importing->blocked (a job must run before the same message is given
 * again, or, when reading.ended, before the next one) or end the import. */
MUST_USE enum err reading_delta(struct node *node, struct importing *importing,
                                const struct msg *msg);
MUST_USE enum err reading_end(struct node *node, struct importing *importing,
                              const struct msg *msg);
/* The delta was read, and applied or not: what became of it? */
MUST_USE enum err reading_close(struct node *node, struct importing *importing);
void reading_done(struct reading *reading);

#endif
