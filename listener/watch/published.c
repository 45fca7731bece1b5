/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publications and the board that the newest is on. A publication is counted by its holders; the lock
 * is the pointer's alone, so that what is read costs the loops nothing, however long it is read.
 */
#include "watch/published.h"

#include <stdlib.h>

struct board {
	uv_mutex_t mutex; /* of newest */
	const struct published *newest;
};

struct published *published_new(void)
{
	struct published *p = calloc(1, sizeof(*p));
	if (p != NULL)
		atomic_init(&p->holders, 1);
	return p;
}

void published_free(const struct published **p)
{
	struct published *old = (struct published *)(uintptr_t)*p;
	*p = NULL;
	if (old == NULL || atomic_fetch_sub(&old->holders, 1) != 1)
		return;
	config_release(old->first);
	config_release(old->config);
	free(old);
}

struct board *board_new(void)
{
	struct board *b = calloc(1, sizeof(*b));
	if (b != NULL && uv_mutex_init(&b->mutex) == 0)
		return b;
	free(b);
	return NULL;
}

void board_free(struct board **b)
{
	struct board *old = *b;
	*b = NULL;
	if (old == NULL)
		return;
	published_free(&old->newest);
	uv_mutex_destroy(&old->mutex);
	free(old);
}

void board_put(struct board *b, struct published *p)
{
	uv_mutex_lock(&b->mutex);
	const struct published *before = b->newest;
	b->newest = p;
	uv_mutex_unlock(&b->mutex);
	published_free(&before);
}

const struct published *board_take(struct board *b)
{
	uv_mutex_lock(&b->mutex);
	struct published *p = (struct published *)(uintptr_t)b->newest;
	atomic_fetch_add(&p->holders, 1);
	uv_mutex_unlock(&b->mutex);
	return p;
}
