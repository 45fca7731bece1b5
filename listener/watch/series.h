/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_SERIES_H
#define VPCFLOWD_WATCH_SERIES_H

#include <stdint.h>

/*
 * What arrived in each of the last seconds: flows, bytes that they say were transferred, flows that
 * were refused. Seconds are numbered by a clock that does not go back.
 */
#define SERIES(X)                                                                                  \
	X(flows, "flow records")                                                                   \
	X(bytes, "bytes that flows had")                                                           \
	X(refused, "flow records with action REJECT")

enum { SERIES_SECONDS = 15 * 60 };

struct second {
#define X(member, help) uint64_t member;
	SERIES(X)
#undef X
};

/* A ring; begins with zeros. The second being filled has a place beside those that are shown. */
struct series {
	uint64_t newest;
	struct second second[SERIES_SECONDS + 1];
};

void second_add(struct second *to, const struct second *more);
/* Adds to a second. One that is newer than any moves the ring on; one that has left it is dropped. */
void series_add(struct series *s, uint64_t number, const struct second *more);
/* What there is of a second; zeros when it is not in the ring. */
struct second series_at(const struct series *s, uint64_t number);

#endif
