/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_HEALTH_H
#define VPCFLOWD_WATCH_HEALTH_H

#include "base/buf.h"
#include "watch/published.h"

/*
 * /healthz, a route's make: 200 and "ok" while payloads can be taken and delivered, else 503 and a
 * line for each reason why not.
 */
unsigned health_make(struct buf *body, const struct published *p);

/* What is remembered of a spool from one publication to the next; begins as 0. */
struct spool_health {
	bool refused;	 /* it had no room when it was last asked */
	uint64_t at_ns;	 /* when that was */
	uint64_t octets; /* in it then */
};

/*
 * Whether the spool is full: since a payload was refused, and until there is a sign that another would
 * be taken. One was, or something has gone; or, since a disk may get room from elsewhere, the spool
 * is not what is full, and some time has passed.
 */
bool health_spool_is_full(struct spool_health *h, const struct published *p);

#endif
