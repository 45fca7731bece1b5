/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_BATCH_H
#define VPCFLOWD_ENCODE_BATCH_H

#include <stdint.h>

#include "base/buf.h"

/* How many flows, and the packets and octets that they counted. */
struct tally {
	uint64_t flows;
	uint64_t packets;
	uint64_t octets;
};

static inline void tally_add(struct tally *t, const struct tally *more)
{
	t->flows += more->flows;
	t->packets += more->packets;
	t->octets += more->octets;
}

/*
 * Octets that are delivered together: lines of text, or one IPFIX Message. All flows of a batch are
 * of one lane: the text formats have one lane, IPFIX has one for each observation domain.
 */
struct batch {
	struct buf bytes;
	unsigned lane;
	unsigned records; /* IPFIX Data Records: flows, or what options tell */
	struct tally tally;
	/* IPFIX, while the message is filled: the Set at its end */
	size_t set;
	unsigned set_id; /* 0: none yet */
};

/* An empty batch that takes up to size octets. */
static inline void batch_init(struct batch *b, size_t size)
{
	*b = (struct batch){ .set = 0 };
	buf_init(&b->bytes, size);
}

/* Empties it and keeps its memory. */
static inline void batch_clear(struct batch *b)
{
	struct buf bytes = b->bytes;
	bytes.len = 0;
	*b = (struct batch){ .bytes = bytes };
}

#endif
