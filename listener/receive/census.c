/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of entries, hashed by address; the last connection of an address takes its entry away. */
#include "receive/census.h"

#include <errno.h>
#include <stdlib.h>

void census_init(struct census *c, uint64_t seed)
{
	c->seed = seed | 1;
	for (unsigned i = 0; i < CENSUS_BUCKETS; i++)
		LIST_INIT(&c->bucket[i]);
}

static struct households *bucket_of(struct census *c, uint64_t network)
{
	uint64_t h = (network ^ network >> 32) * c->seed;
	return &c->bucket[(h ^ h >> 32) * c->seed >> 54];
}

static struct household *find(const struct households *bucket, uint64_t network)
{
	struct household *h;
	LIST_FOREACH(h, bucket, link)
		if (h->network == network)
			return h;
	return NULL;
}

int census_enter(struct census *c, uint64_t network, uint64_t limit, struct household **household)
{
	struct households *bucket = bucket_of(c, network);
	struct household *h = find(bucket, network);
	*household = NULL;
	if (h != NULL && h->count >= limit)
		return -EDQUOT;
	if (h == NULL) {
		h = calloc(1, sizeof(*h));
		if (h == NULL)
			return -ENOMEM;
		h->network = network;
		LIST_INSERT_HEAD(bucket, h, link);
	}
	h->count++;
	*household = h;
	return 0;
}

void census_leave(struct household *h)
{
	if (--h->count > 0)
		return;
	LIST_REMOVE(h, link);
	free(h);
}
