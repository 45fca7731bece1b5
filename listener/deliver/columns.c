/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of one output that several workers write to: the first of them to have a record's format
 * says what they are, the others go by that. A lock, held for a comparison; held by a count, as the
 * workers end in any order.
 */
#include "deliver/columns.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

struct columns {
	atomic_uint holders;
	uv_mutex_t mutex;
	struct format *agreed; /* guarded by mutex; NULL until somebody asked */
};

struct columns *columns_new(void)
{
	struct columns *c = calloc(1, sizeof(*c));
	if (c == NULL || uv_mutex_init(&c->mutex) != 0) {
		free(c);
		return NULL;
	}
	atomic_init(&c->holders, 1);
	return c;
}

struct columns *columns_share(struct columns *c)
{
	atomic_fetch_add(&c->holders, 1);
	return c;
}

void columns_release(struct columns **c)
{
	struct columns *old = *c;
	*c = NULL;
	if (old == NULL || atomic_fetch_sub(&old->holders, 1) > 1)
		return;
	uv_mutex_destroy(&old->mutex);
	free(old->agreed);
	free(old);
}

const struct format *columns_agree(struct columns *c, const struct format *proposed)
{
	uv_mutex_lock(&c->mutex);
	if (c->agreed == NULL) {
		c->agreed = malloc(sizeof(*c->agreed));
		if (c->agreed != NULL)
			*c->agreed = *proposed;
	}
	const struct format *agreed = c->agreed;
	uv_mutex_unlock(&c->mutex);
	return agreed;
}
