/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_WATCHES_H
#define VPCFLOWD_WATCH_WATCHES_H

#include "watch/watch.h"

/*
 * What each worker sees go by, and what that is together. Made before the workers and freed after
 * them; any thread may gather.
 */
struct watches {
	struct heavy_seed seed;
	unsigned count;
	struct watch *watch[]; /* by the worker's number */
};

/* 0 with as many watches as there are workers, or a negative errno after the reason was logged. */
MUST_CHECK int watches_new(struct watches **w, unsigned count);
void watches_free(struct watches **w);

/* Puts a window's lists together in empty ones. */
void watches_gather(const struct watches *w, enum watch_window window, struct lists *sum);
/*
 * Puts the series together in an empty one. Returns the second, by the loops' clock, before which all
 * are complete.
 */
uint64_t watches_series(const struct watches *w, struct series *sum);

#endif
