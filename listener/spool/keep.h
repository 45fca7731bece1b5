/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SPOOL_KEEP_H
#define VPCFLOWD_SPOOL_KEEP_H

#include <stddef.h>
#include <stdint.h>

#include "base/result.h"

/*
 * Segments that are not removed once they are delivered, since something in them could not be. An
 * empty file says so, or a start in between would not know; at last the segment gets another name:
 *
 *   0000000000000001.put            something in it cannot be delivered
 *   0000000000000001.put  .keep     the rest still is
 *   0000000000000001.kept           all of it was, as far as possible
 */

/* Segments that have no mark in the folder yet. Starts as zeros. */
struct keeps {
	uint64_t *number;
	size_t count;
	size_t room;
	uint64_t from; /* without memory: this one and all that follow; 0 for none */
};

void keeps_deinit(struct keeps *k);
void keeps_add(struct keeps *k, uint64_t number);
bool keeps_has(const struct keeps *k, uint64_t number);
/* Moves what is in one to the other. */
void keeps_move(struct keeps *from, struct keeps *to);
/* Marks what it has, which then goes. What could not be marked stays: the lowest, 0 for none. */
uint64_t keeps_mark(struct keeps *k, int dir);

/* 0 or a negative errno. */
MUST_CHECK int keep_mark(int dir, uint64_t number);
/* True also when that cannot be found out. */
bool keep_is_marked(int dir, uint64_t number);
/* Gives a segment its last name, and takes the mark away; 0 also when it is not there. */
MUST_CHECK int keep_rename(int dir, uint64_t number);

#endif
