/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_TAKE_H
#define VPCFLOWD_RECEIVE_TAKE_H

#include "base/buf.h"
#include "base/digest.h"
#include "spool/seen.h"
#include "spool/spool.h"
#include "worker.h"

/*
 * The taking of a whole payload, from its last octet to the answer.
 *
 *   take_begin ─▶ seen before? ──────────────────────────────────────────▶ BEFORE (DUP)
 *        ├──────▶ TWIN: the same octets are being taken already ────┐
 *        └──────▶ CONVERTING ─▶ STORING, with a spool ──────────────┼────▶ TAKEN (ACK)
 *                     │            └─ no room ─▶ LATER (RETRY)      │
 *                     ├───────▶ DELIVERING, without ────────────────┘
 *                     └─ damaged ─▶ NEVER (REJECT)
 *
 * Once conversion has begun a payload is taken to its end even if its peer goes away: the peer will
 * send it again, and then gets DUP. One that the spool has no room for, part of which is out already,
 * is not refused: its rest waits for the outputs, and it is taken when they have it.
 */

enum verdict_kind {
	VERDICT_TAKEN,
	VERDICT_BEFORE,
	VERDICT_LATER,
	VERDICT_NEVER,
};

struct verdict {
	enum verdict_kind kind;
	uint64_t flows;	  /* TAKEN, BEFORE: records converted */
	const char *why;  /* LATER, NEVER: a word or two, static */
	unsigned seconds; /* LATER: until it is worth another try */
};

/* Who waits for the verdict. All are called from the loop, or from within take_begin. */
struct take_owner {
	/* The next payload of the same peer may begin: this one has its place before it. */
	void (*converted)(void *data);
	/* So many octets of memory are free again. */
	void (*released)(void *data, size_t octets);
	/* The take is over, and gone. */
	void (*done)(void *data, const struct verdict *verdict);
};

struct take;
struct server;

/* What the takes of one worker share. */
struct takes {
	struct server *server;
	struct worker *worker;
	struct seen *seen;
	struct spool *spool; /* NULL without --spool */
	LIST_HEAD(take_bucket, take) bucket[256];
	unsigned count; /* under way, those without an owner too */
};

void takes_init(struct takes *all, struct server *server, struct seen *seen, struct spool *spool);
/* Gives up those that are left. No owner may be left, and nothing may be on its way to disk. */
void takes_deinit(struct takes *all);

struct taking {
	const struct config *config; /* the take gets a reference of its own */
	const char *peer;	     /* for log lines */
	const char *id;
	struct digest digest;
	const struct take_owner *owner;
	void *data;
};

/*
 * Begins to take a payload, whose octets it empties *body of. *take is set before the owner is
 * called; NULL when the verdict, which the owner has got by the time this returns, came at once.
 */
void take_begin(struct takes *all, const struct taking *taking, struct buf *body,
		struct take **take);
/* The owner goes away and is not called any more. */
void take_leave(struct take **take);

#endif
