/* SPDX-License-Identifier: Apache-2.0 */
/* The queue between unpacking and converting. */
#include "decode/document.h"

#include <stdlib.h>

#include "base/attributes.h"
#include "base/limits.h"
#include "decode/json.h"

enum { JOINED_MOST = 64 * 1024 }; /* octets that are copied to be joined */

static size_t cost(const struct document *d)
{
	return d->len + DOCUMENT_COST;
}

void document_deinit(struct document *d)
{
	if (!d->borrowed)
		free(d->text);
	plain_deinit(&d->plain);
}

/*
 * What was found of plain events is a help and no more: it depends on how the octets were cut, so no
 * limit of a payload counts it. It has one of its own, above which it is let go.
 */
static void keep_plain(struct documents *d, struct document *document)
{
	if (document->plain.found.cap > PLAIN_MOST - d->plain)
		plain_deinit(&document->plain);
	d->plain += document->plain.found.cap;
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
	keep_plain(d, copy);
	*d->last = copy;
	d->last = &copy->next;
	d->size += cost(copy);
	return true;
}

/* In a whole payload messages follow one another where they lie, if nothing else is in between. */
static bool join_borrowed(struct document *to, const struct document *more)
{
	for (const char *p = to->text + to->len; p < more->text; p++)
		if (!json_is_space(*p))
			return false;
	to->len = (size_t)(more->text + more->len - to->text);
	return true;
}

static bool join_owned(struct document *to, const struct document *more)
{
	size_t len = to->len + more->len;
	if (len > JOINED_MOST)
		return false;
	if (len > to->room) {
		size_t room = len > JOINED_MOST / 2 ? JOINED_MOST : 2 * len;
		char *text = realloc(to->text, room);
		if (text == NULL)
			return false;
		to->text = text;
		to->room = room;
	}
	memcpy(to->text + to->len, more->text, more->len);
	to->len = len;
	return true;
}

/* Whether the one document of from could be joined to the last of d. */
static bool join(struct documents *d, struct documents *from)
{
	struct document *more = from->first;
	if (documents_empty(d) || more->next != NULL || more->kind != DOCUMENT_MESSAGES)
		return false;
	struct document *to = CONTAINER_OF(d->last, struct document, next);
	size_t before = to->len;
	if (to->kind != DOCUMENT_MESSAGES || to->borrowed != more->borrowed ||
	    !(to->borrowed ? join_borrowed(to, more) : join_owned(to, more)))
		return false;
	d->size += to->len - before;
	documents_drop_first(from);
	return true;
}

void documents_move(struct documents *d, struct documents *from)
{
	if (documents_empty(from) || join(d, from))
		return;
	for (struct document *more = from->first; more != NULL; more = more->next)
		keep_plain(d, more);
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
	d->plain -= first->plain.found.cap;
	if (d->first == NULL)
		d->last = &d->first;
	document_deinit(first);
	free(first);
}
