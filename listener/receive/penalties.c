/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain table, searched from end to end: a failure costs a connection, beside which that is
 * nothing, and there is no order of addresses by which a peer could make it slow.
 */
#include "receive/penalties.h"

#include <stddef.h>

static struct penalty *find(struct penalties *p, uint64_t network)
{
	for (size_t i = 0; i < PENALTY_ENTRIES; i++)
		if (p->entry[i].delay_ms != 0 && p->entry[i].network == network)
			return &p->entry[i];
	return NULL;
}

/* A free entry, or the one that failed longest ago. */
static struct penalty *make_room(struct penalties *p)
{
	struct penalty *oldest = &p->entry[0];
	for (size_t i = 0; i < PENALTY_ENTRIES && oldest->delay_ms != 0; i++)
		if (p->entry[i].delay_ms == 0 || p->entry[i].failed_ms < oldest->failed_ms)
			oldest = &p->entry[i];
	return oldest;
}

uint64_t penalties_fail(struct penalties *p, uint64_t network, uint64_t now_ms)
{
	struct penalty *e = find(p, network);
	if (e == NULL || now_ms - e->failed_ms >= PENALTY_FORGET_MS) {
		e = e == NULL ? make_room(p) : e;
		*e = (struct penalty){ .network = network, .delay_ms = PENALTY_FIRST_MS };
	} else if (e->delay_ms < PENALTY_MOST_MS) {
		e->delay_ms *= 2;
	}
	e->failed_ms = now_ms;
	return e->delay_ms;
}

void penalties_forgive(struct penalties *p, uint64_t network)
{
	struct penalty *e = find(p, network);
	if (e != NULL)
		e->delay_ms = 0;
}
