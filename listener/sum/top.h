/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SUM_TOP_H
#define VPCFLOWD_SUM_TOP_H

#include "sum/table.h"

/* A sum and what it is ordered by. */
struct rank {
	uint64_t value;
	const struct sum *sum;
};

/*
 * The largest of those that are offered, as many as it has room for, in the end in order: the largest
 * value first, of equal ones the least key first, so that the order is the same however they came.
 *
 *   top_offer …   the least of them on top of a heap:   4           goes when a larger one comes
 *                                                      9 5
 *   top_settle …  |heap 4 9 5| ─▶ |9 5|4| ─▶ |9|5 4| ─▶ |9 5 4|
 */
struct top {
	struct rank *rank; /* lent by the caller, room of them */
	size_t room;
	size_t count;
	size_t heaped; /* of them, not in order yet */
};

void top_init(struct top *t, struct rank *rank, size_t room);
void top_offer(struct top *t, uint64_t value, const struct sum *sum);
/* Puts the next one to where it belongs, after the last offer. False: all are. */
bool top_settle(struct top *t);

#endif
