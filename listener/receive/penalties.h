/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_PENALTIES_H
#define VPCFLOWD_RECEIVE_PENALTIES_H

#include <stdint.h>

/*
 * Who failed to show a good token lately, and how long the answer to the next failure takes. It is
 * the answer alone that waits, so a good token gets in at once from an address that shares its fate
 * with a bad neighbour's, behind one NAT or load balancer.
 */
enum {
	/* Addresses remembered; a new one takes the place of the one that failed longest ago. */
	PENALTY_ENTRIES = 1024,
	/* A client with a typo in its token hardly notices the first; it doubles from there. */
	PENALTY_FIRST_MS = 250,
	/*
	 * A peer whose answer waits holds its connection, so an address has at most
	 * --max-connections-per-address tries in this time. Longer, and the client would have given
	 * up (the forwarder's own limit is 10 s) without learning why.
	 */
	PENALTY_MOST_MS = 8000,
	/* Without a failure for so long an address begins anew. */
	PENALTY_FORGET_MS = 10 * 60 * 1000,
};

struct penalties {
	struct penalty {
		uint64_t network; /* address_network */
		uint64_t failed_ms;
		uint32_t delay_ms; /* of the last answer; 0 for a free entry */
	} entry[PENALTY_ENTRIES];
};

/* Remembers a failure; how many milliseconds its answer has to wait. now_ms is the loop's clock. */
uint64_t penalties_fail(struct penalties *p, uint64_t network, uint64_t now_ms);
/* A good token came from there: its failures are forgotten. */
void penalties_forgive(struct penalties *p, uint64_t network);

#endif
