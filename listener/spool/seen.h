/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SPOOL_SEEN_H
#define VPCFLOWD_SPOOL_SEEN_H

#include <stdint.h>

#include "base/digest.h"

/*
 * The payloads that were taken within the last hours, so that one that comes again is not converted
 * again. Bounded: at its limit the oldest makes room, and is taken again if it should come.
 *
 *   order |   old ... new |        a ring of what was seen, by time
 *   index [ place in order ]       open addressing on the digest, never more than half full
 */
struct seen;

struct seen_payload {
	struct digest digest;
	int64_t seconds; /* since 1970, when it was taken */
	uint64_t flows;
};

/* Remembers up to most payloads for so many seconds. NULL without memory. */
struct seen *seen_new(uint64_t most, uint64_t seconds);
void seen_free(struct seen **s);

/* The payload's record, unless it is unknown or too old; valid until the next call. */
const struct seen_payload *seen_find(const struct seen *s, const struct digest *digest,
				     int64_t now);
/*
 * Remembers a payload, or brings what is known of it up to date. Without memory it is not
 * remembered, and false.
 */
bool seen_add(struct seen *s, const struct seen_payload *payload, int64_t now);
/* How many are remembered. */
uint64_t seen_count(const struct seen *s);

#endif
