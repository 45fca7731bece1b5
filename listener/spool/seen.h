/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SPOOL_SEEN_H
#define VPCFLOWD_SPOOL_SEEN_H

#include <stdint.h>
#include <sys/queue.h>

#include "base/digest.h"

/*
 * The payloads that were taken within the last hours, so that one that comes again is not converted
 * again, and those that are being taken. Bounded: at its limit the oldest makes room, and is taken
 * again if it should come. One for all workers: every function may be called by any thread.
 *
 *   order |   old ... new |        a ring of what was seen, by time
 *   index [ place in order ]       open addressing on the digest, never more than half full
 *   claims                         what is being taken, and by whom that is nobody's business here
 */
struct seen;

struct seen_payload {
	struct digest digest;
	int64_t seconds; /* since 1970, when it was taken */
	uint64_t flows;
};

/* Remembers up to most payloads for so many seconds. NULL without memory. */
struct seen *seen_new(uint64_t most, uint64_t seconds);
void seen_free(struct seen **s);

/* Whether the payload is known and not too old; its record. */
MUST_CHECK bool seen_find(struct seen *s, const struct digest *digest, int64_t now,
			  struct seen_payload *found);
/*
 * Remembers a payload, or brings what is known of it up to date. Without memory it is not
 * remembered, and false.
 */
bool seen_add(struct seen *s, const struct seen_payload *payload, int64_t now);
/* How many are remembered. */
uint64_t seen_count(struct seen *s);

/* ---- being taken ----------------------------------------------------------------------------- */

/* The right to take a payload; part of who does. */
struct claim {
	LIST_ENTRY(claim) link;
	struct digest digest;
	bool held;
};

enum claim_result {
	CLAIM_HELD,   /* it is ours to take; seen_release is due */
	CLAIM_BEFORE, /* it was taken: *found has its record */
	CLAIM_OTHER,  /* somebody else is taking it */
};

/*
 * Claims claim->digest; where nothing is remembered everybody's claim is good. What was taken is to be told with seen_add before its claim is released, so
 * that nobody finds it neither taken nor claimed.
 */
MUST_CHECK enum claim_result seen_claim(struct seen *s, struct claim *claim, int64_t now,
					struct seen_payload *found);
/* Gives a claim back, if it is held. */
void seen_release(struct seen *s, struct claim *claim);

#endif
