/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SPOOL_FOLDER_H
#define VPCFLOWD_SPOOL_FOLDER_H

#include <stdatomic.h>

#include "spool/keep.h"
#include "spool/segment.h"

/*
 * The spool's folder (store.h): its lock, its position, and the segments that are there. Belongs to
 * the store's thread, but for the octets.
 */
struct folder {
	int dir;
	int lock;
	int position_fd;
	uint64_t oldest;    /* segment that is there */
	struct place noted; /* the position */
	struct keeps keeps;
	bool left;		      /* a segment before the oldest could not be renamed */
	atomic_uint_least64_t octets; /* of all segments, those about to be appended too */
};

void folder_init(struct folder *f);
/*
 * Opens or makes it, and locks it. Where delivery goes on, and the place behind all that is there. 0;
 * -EWOULDBLOCK when another process holds it, or another negative errno; folder_close is due in any
 * case.
 */
MUST_CHECK int folder_open(struct folder *f, const char *path, struct place *delivered,
			   struct place *end);
/* Gives the lock back; the folder can still be read. */
void folder_unlock(struct folder *f);
void folder_close(struct folder *f);

/* Everything before the place is delivered. */
void folder_note(struct folder *f, struct place to);
/* Removes segments, or gives those that are to be kept their other name. */
void folder_remove_before(struct folder *f, uint64_t number);

#endif
