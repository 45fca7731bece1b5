/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_CENSUS_H
#define VPCFLOWD_RECEIVE_CENSUS_H

#include <stdint.h>
#include <sys/queue.h>

#include "base/attributes.h"

/*
 * How many connections each address has, an IPv6 /64 being one (address_network). Holds an entry
 * for each address that has any, so --max-connections bounds it.
 */
enum { CENSUS_BUCKETS = 1024 };

struct household {
	LIST_ENTRY(household) link;
	uint64_t network;
	uint64_t count;
};

struct census {
	uint64_t seed; /* so that no peer can choose addresses that share a bucket */
	LIST_HEAD(households, household) bucket[CENSUS_BUCKETS];
};

void census_init(struct census *c, uint64_t seed);
/*
 * Counts one more. 0 with the household, for which census_leave is due; -EDQUOT when the address has
 * limit of them already, -ENOMEM without memory: then there is none.
 */
MUST_CHECK int census_enter(struct census *c, uint64_t network, uint64_t limit,
			    struct household **household);
void census_leave(struct household *h);

#endif
