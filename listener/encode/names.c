/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with linear probing, never more than half full; entries only go all at once. */
#include "encode/names.h"

#include <stdlib.h>

enum { PLACES_FIRST = 64 };

/* Free places, in one piece of memory. False, and nothing changed, without. */
static bool make_places(struct names *n, unsigned places)
{
	char *room = calloc(places, sizeof(*n->number) + sizeof(*n->place));
	if (room == NULL)
		return false;
	n->number = (uint32_t *)(void *)room;
	n->place = (struct name *)(void *)(room + places * sizeof(*n->number));
	n->places = places;
	return true;
}

static struct name *take_place(struct names *n, uint32_t number)
{
	unsigned at = names_find(n, number);
	n->number[at] = number;
	n->place[at].number = number;
	return &n->place[at];
}

static bool grow(struct names *n)
{
	const struct names old = *n;
	if (!make_places(n, old.places == 0 ? PLACES_FIRST : 2 * old.places))
		return false;
	for (unsigned i = 0; i < old.places; i++)
		if (old.number[i] != 0)
			*take_place(n, old.number[i]) = old.place[i];
	free(old.number);
	return true;
}

/* Room for one more, the table half full at most. */
static bool make_room(struct names *n)
{
	if (n->count == NAMES_LIMIT) {
		memset(n->number, 0, n->places * (sizeof(*n->number) + sizeof(*n->place)));
		n->count = 0;
		n->untold = 0;
	}
	return n->count < n->places / 2 || grow(n);
}

bool names_add(struct names *n, uint32_t number, struct slice id)
{
	if (!make_room(n))
		return false;
	struct name *name = take_place(n, number);
	memcpy(name->text, id.data, id.len < NAME_ROOM ? id.len : NAME_ROOM - 1);
	n->count++;
	n->untold++;
	return true;
}

struct name *names_next(struct names *n, unsigned *at, bool only_untold)
{
	for (; *at < n->places; ++*at) {
		struct name *name = &n->place[*at];
		if (n->number[*at] != 0 && !(only_untold && name->told)) {
			++*at;
			return name;
		}
	}
	return NULL;
}

void names_forget_told(struct names *n)
{
	unsigned at = 0;
	struct name *name;
	while ((name = names_next(n, &at, false)) != NULL)
		name->told = false;
	n->untold = n->count;
}

void names_deinit(struct names *n)
{
	free(n->number);
	*n = (struct names){ .place = NULL };
}
