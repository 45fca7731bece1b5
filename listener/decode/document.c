/* SPDX-License-Identifier: Apache-2.0 */
/* The queue between unpacking and converting. */
#include "decode/document.h"

#include <stdlib.h>

#include "base/limits.h"

static size_t cost(const struct document *d)
{
	return d->len + DOCUMENT_COST;
}

void documents_init(struct documents *d)
{
	*d = (struct documents){ .last = &d->first };
}

void documents_free(struct documents *d)
{
	while (!documents_empty(d))
		documents_drop_first(d);
}

bool documents_add(struct documents *d, const struct document *document)
{
	struct document *copy = malloc(sizeof(*copy));
	if (copy == NULL)
		return false;
	*copy = *document;
	copy->next = NULL;
	*d->last = copy;
	d->last = &copy->next;
	d->size += cost(copy);
	return true;
}

void documents_move(struct documents *d, struct documents *from)
{
	if (documents_empty(from))
		return;
	*d->last = from->first;
	d->last = from->last;
	d->size += from->size;
	documents_init(from);
}

void documents_drop_first(struct documents *d)
{
	struct document *first = d->first;
	d->first = first->next;
	d->size -= cost(first);
	if (d->first == NULL)
		d->last = &d->first;
	free(first->text);
	free(first);
}
