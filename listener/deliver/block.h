/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_BLOCK_H
#define VPCFLOWD_DELIVER_BLOCK_H

#include <stdbool.h>

#include "base/buf.h"

struct output;

enum block_kind {
	BLOCK_FLOWS,	/* whole records */
	BLOCK_PREAMBLE, /* what an empty file begins with */
	BLOCK_REOPEN,	/* no octets: open the path anew */
};

/*
 * What goes from an output to its writer and comes back when it is done with. One of the two owns
 * it at any time.
 */
struct block {
	struct block *next;
	struct output *output;
	enum block_kind kind;
	int error; /* negative errno when it could not be written */
	struct buf bytes;
};

/* A queue of blocks, first in first out. */
struct blocks {
	struct block *first;
	struct block **last;
};

static inline void blocks_init(struct blocks *b)
{
	b->first = NULL;
	b->last = &b->first;
}

static inline void blocks_put(struct blocks *b, struct block *block)
{
	block->next = NULL;
	*b->last = block;
	b->last = &block->next;
}

/* NULL when there is none. */
static inline struct block *blocks_take(struct blocks *b)
{
	struct block *first = b->first;
	if (first == NULL)
		return NULL;
	b->first = first->next;
	if (b->first == NULL)
		b->last = &b->first;
	return first;
}

#endif
