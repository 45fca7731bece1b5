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
 *   take_begin ─▶ seen before? ───────────────────────────────────────────▶ BEFORE (DUP)
 *        ├──────▶ TWIN: the same octets are being taken already, ────┐
 *        │              by this worker or another                    │
 *        └──────▶ CONVERTING ─▶ STORING, with a spool ───────────────┼────▶ TAKEN (ACK)
 *                     │            ├─ no room, nothing is out ───────│────▶ LATER (RETRY)
 *                     │            └─ no room, part is out ─▶ RESUMING    │
 *                     │                                         │    │
 *                     ├───────▶ DELIVERING, without ◀───────────┴────┘
 *                     └─ damaged ─────────────────────────────────────────▶ NEVER (REJECT)
 *
 * Once conversion has begun a payload is taken to its end even if its peer goes away: the peer will
 * send it again, and then gets DUP.
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

/*
 * Who waits for the verdict. Called from the loop, never from within take_begin. The owner may leave
 * the take, or any other, from within.
 */
struct take_owner {
	/* The next payload of the same peer may begin: this one has its place before it. */
	void (*converted)(void *data);
	/* The take is over, and gone. */
	void (*done)(void *data, const struct verdict *verdict);
};

struct take;
struct server;

/* What the takes of one worker share. seen is that of all workers. */
struct takes {
	struct server *server;
	struct worker *worker;
	struct seen *seen;
	struct spool *spool; /* NULL without --spool */
	LIST_HEAD(take_bucket, take) bucket[256];
	unsigned count; /* under way, those without an owner too */
	bool others;	/* twins may wait for what another worker takes: takes_tick asks */
	unsigned tick;
};

void takes_init(struct takes *all, struct server *server, struct seen *seen, struct spool *spool);
/* Gives up those that are left. No owner may be left, and nothing may be on its way to disk. */
void takes_deinit(struct takes *all);

/* Asks what became of payloads that other workers take; called a few times a second. */
void takes_tick(struct takes *all);

struct taking {
	const char *peer; /* for log lines */
	const char *id;
	struct digest digest;
	struct hold *hold; /* of which the body's octets are a part until here */
	const struct take_owner *owner;
	void *data;
};

/*
 * Begins to take a payload; *body is empty after it. True: *take is under way, and the owner will
 * hear of it. False: *verdict came at once, and there is no take.
 */
MUST_CHECK bool take_begin(struct takes *all, const struct taking *taking, struct buf *body,
			   struct take **take, struct verdict *verdict);
/* The owner goes away and is not called any more. */
void take_leave(struct take **take);

#endif
