/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/batch.h: many records as one publish, sent while the next ones are still being read.
 *
 *     batch_init · batch_add a record, or batch_note one that was refused here · batch_finish
 *     batch_report to the output
 *
 * Requests have at most BATCH_REQUEST_SIZE; a few are under way at once, so that the daemon works
 * while we parse. What is kept a record: its slug, status and line.
 */
#ifndef ESSAIM_CLI_BATCH_H
#define ESSAIM_CLI_BATCH_H

#include "cli/build.h"
#include "cli/cmd.h"

#define BATCH_REQUEST_SIZE (512u * 1024u)
#define BATCH_IN_FLIGHT_MAX 4

struct batch_record {
    uint32_t slug; /* where in batch->slugs */
    uint32_t line;
    uint16_t file; /* operand */
    uint8_t slug_size;
    uint8_t status; /* enum ctl_status */
    bool sent;
    uint64_t rev;  /* of what stands, when unchanged; 0 = not told */
    json_t *error; /* owned; only when items are JSON */
};

struct batch {
    struct cli *cli;
    struct buf slugs;
    struct batch_record *records; /* owned */
    size_t count, cap;
    size_t counts[CTL_REFUSED + 1];
    size_t sent;
    struct buf entries; /* of the next request */
    uint32_t entries_count;
    unsigned in_flight;
    uint32_t first_id; /* oldest request that waits for its response */
    uint64_t n;        /* the head that holds what was published */
    struct flaw first; /* of the first refused record */
};

void batch_init(struct batch *batch, struct cli *cli);
void batch_done(struct batch *batch);
/* A good record of operand `file`. */
MUST_USE enum err batch_add(struct batch *batch, const struct build *build, unsigned file,
                            size_t line);
/* One that was refused here; `flaw` was or will be said by the caller. */
MUST_USE enum err batch_note(struct batch *batch, const struct flaw *flaw, unsigned file);
/* Sends the rest, waits for the daemon, takes in its verdicts and says the refusals. */
MUST_USE enum err batch_finish(struct batch *batch);
/* Prints an item a record. ERR_OK; what the batch as a whole came to otherwise: ERR_PARTIAL, or the
 * error of the one record, or ERR_INVALID; cli->flaw filled. */
MUST_USE enum err batch_report(struct batch *batch);

#endif
