/* SPDX-License-Identifier: Apache-2.0 */
/* The watches of all workers: one seed for their lists, so that these can be put together. */
#include "watch/watches.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"

int watches_new(struct watches **w, unsigned count)
{
	struct watches *new = calloc(1, sizeof(*new) + count * sizeof(struct watch *));
	int error = new == NULL ? -ENOMEM : heavy_seed_make(&new->seed);
	for (unsigned i = 0; error == 0 && i < count; i++) {
		new->watch[i] = watch_new(&new->seed);
		new->count = i + 1;
		error = new->watch[i] == NULL ? -ENOMEM : 0;
	}
	*w = new;
	if (error != 0) {
		log_error("http", "nothing can be watched error=\"%s\"", error_text(error));
		watches_free(w);
	}
	return error;
}

void watches_free(struct watches **w)
{
	struct watches *old = *w;
	*w = NULL;
	if (old == NULL)
		return;
	for (unsigned i = 0; i < old->count; i++)
		watch_free(&old->watch[i]);
	free(old);
}

void watches_gather(const struct watches *w, enum watch_window window, struct lists *sum)
{
	for (unsigned i = 0; i < w->count; i++)
		watch_gather(w->watch[i], window, sum);
}

uint64_t watches_series(const struct watches *w, struct series *sum)
{
	uint64_t end = UINT64_MAX;
	for (unsigned i = 0; i < w->count; i++) {
		uint64_t complete = watch_series(w->watch[i], sum);
		if (complete < end)
			end = complete;
	}
	return end;
}
