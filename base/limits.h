/* SPDX-License-Identifier: EUPL-1.2 */
/* base/limits.h: every bound of the system, one constant each (design §7). A test reaches each of
 * them. Sizes are bytes, counts are things, times carry their unit. */
#ifndef ESSAIM_BASE_LIMITS_H
#define ESSAIM_BASE_LIMITS_H

#include <assert.h>

/* entries */
#define SLUG_SIZE_MAX 64
#define KIND_SIZE_MAX 32
#define ENTRY_SIZE_MAX (60 * 1024)
#define BODY_NODES_MAX 4096
#define PACK_DEPTH_MAX 8 /* of an entry body, of a signed payload: nesting of arrays and maps */
#define LAB_NAME_SIZE_MAX 64
#define AUDIENCE_SIZE_MAX 64

/* the wire */
#define FRAME_SIZE_MAX 65535 /* a Noise message: ciphertext and tag */
#define FRAME_TAG_SIZE 16
#define MSG_SIZE_MAX (FRAME_SIZE_MAX - FRAME_TAG_SIZE)
#define MSG_NODES_MAX 65536 /* every message costs at least a byte a node */
#define MSG_DEPTH_MAX 8
#define RECORD_SIZE_MAX 8192         /* a signed lab record */
#define HEAD_SIZE_MAX 512            /* a signed head */
#define RECEIPT_SIZE_MAX (60 * 1024) /* a signed receipt */
#define RECEIPT_ROWS_MAX LABS_MAX    /* catalogues in it */
#define REKEY_MESSAGES_MAX (1u << 20)
#define REKEY_PERIOD_MS (3600u * 1000u)

/* links */
#define PEERS_MAX 64         /* links at once */
#define PEERS_OUT_MAX 8      /* dialled at once */
#define HALF_OPEN_MAX 32     /* handshakes under way */
#define HALF_OPEN_ADDR_MAX 4 /* … from one address */
#define HANDSHAKE_MS 5000
#define PING_MS 30000
#define DEAD_MS 85000 /* of silence: noticed within 90 s, also on a busy machine */
#define DIAL_MS_MIN 3000
#define DIAL_MS_MAX (300u * 1000u)
#define DIAL_ALONE_MS_MAX 15000         /* while there is no link at all */
#define DIAL_LOST_MS_MAX 30000          /* to whom a link stood … */
#define LOST_MS (3600u * 1000u)         /* … not longer ago than this */
#define PEER_OUT_SIZE_MAX (1024 * 1024) /* queued for one peer */
#define PEER_OUT_SIZE_LOW (256 * 1024)  /* produce more below this */
#define PEER_IN_SIZE_MAX (1024 * 1024)  /* received and not yet stepped */
#define FETCH_STALL_MS 10000
#define FETCH_CRAWL_MS 20000          /* who gives less than this size in this time … */
#define FETCH_CRAWL_SIZE (640 * 1024) /* … is asked only where nobody else offers the same */
#define FETCHES_MAX 8                 /* deltas being received at once */
#define STAGE_FLUSH_SIZE (4 * 1024 * 1024)
#define OPENING_COUNT_MAX (1u << 20)
#define OPENING_SPARE 65536            /* heads that a lab may sign while its delta is on its way */
#define ANNOUNCE_SIZE_MAX (128 * 1024) /* heads announced and not yet acknowledged, per peer */

/* catalogues */
#define LABS_MAX 1000
#define QUOTA_ENTRIES 250000
#define QUOTA_BYTES (512ull * 1024 * 1024)
#define HINT_TTL_S (90ll * 24 * 3600)
#define HINTS_MAX QUOTA_ENTRIES /* in one delta: the rest is mended */

/* control socket */
#define CTL_MSG_SIZE_MAX (1024 * 1024)
#define CTL_DEPTH_MAX 16
#define CTL_CLIENTS_MAX 64
#define CTL_OUT_SIZE_MAX (4 * 1024 * 1024)
#define CTL_PAGE_SIZE_MAX (256 * 1024)
#define CTL_BATCH_COUNT_MAX 1000000

/* store */
#define STORE_MAP_SIZE                                                                             \
    (64ull * 1024 * 1024 * 1024) /* sparse; the 80 % rule is checked against the disk, too */
#define STORE_FULL_PERCENT 80
#define STORE_FREE_MIN (64ull * 1024 * 1024)

#define FD_RESERVE 64

static_assert(ENTRY_SIZE_MAX + 64 <= MSG_SIZE_MAX, "one entry must fit a message");
static_assert(RECEIPT_SIZE_MAX + 64 <= MSG_SIZE_MAX, "one receipt must fit a message");
static_assert(RECEIPT_ROWS_MAX * 61 + 200 <= RECEIPT_SIZE_MAX, "public catalogues of all labs fit");
static_assert(FRAME_SIZE_MAX + 2 <= PEER_OUT_SIZE_MAX, "one frame must fit a peer's budget");

#endif
