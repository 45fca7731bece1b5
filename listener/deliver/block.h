/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_BLOCK_H
#define VPCFLOWD_DELIVER_BLOCK_H

#include <sys/queue.h>
#include <uv.h>

#include "encode/batch.h"

struct output;

enum block_kind {
	BLOCK_FLOWS,  /* whole records, one message of a format of messages */
	BLOCK_HEADER, /* what an empty file, or a session, of text begins with */
	BLOCK_AHEAD,  /* templates and options of IPFIX */
	BLOCK_REOPEN, /* no octets: for files, open the path anew */
};

/*
 * What an output fills and its transport carries away. One of the two owns it at any time; made and
 * freed by the output.
 *
 *   filled ─▶ ready ─▶ pulled by the transport ─▶ delivered ─▶ recycled
 *               ▲              │
 *               └── returned ◀─┘ the session broke
 */
struct block {
	TAILQ_ENTRY(block) link; /* in a queue of its owner */
	TAILQ_ENTRY(block) age;	 /* the output's, of all that are not delivered */
	struct output *output;
	enum block_kind kind;
	bool carried;	/* pulled, and not yet delivered or returned */
	bool delivered; /* at least once */
	bool sent;	/* at least once: another time makes duplicates */
	unsigned
		hup; /* BLOCK_REOPEN: which one, so that a file that several share is opened once */
	uint64_t first; /* flows that the output had taken before this block's first */
	struct batch batch;

	/* the transport's */
	int error;
	uint64_t end;	       /* octets of the session up to its end */
	uint64_t delivered_ms; /* when */
	uv_write_t write;
	bool write_done; /* its callback came */
};

TAILQ_HEAD(blocks, block);

/* The first of a queue, taken out of it; NULL when there is none. */
static inline struct block *blocks_take(struct blocks *b)
{
	struct block *first = TAILQ_FIRST(b);
	if (first != NULL)
		TAILQ_REMOVE(b, first, link);
	return first;
}

#endif
