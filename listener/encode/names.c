/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with linear probing, never more than half full; entries only go all at once. */
#include "encode/names.h"

#include <stdlib.h>

enum { PLACES_FIRST = 64 };

static struct name *find(const struct names *n, uint32_t number)
{
	unsigned at = (number * 2654435769u) >> 8 & (n->places - 1);
	while (n->place[at].number != 0 && n->place[at].number != number)
		at = (at + 1) & (n->places - 1);
	return &n->place[at];
}

static bool grow(struct names *n)
{
	struct names old = *n;
	unsigned places = old.places == 0 ? PLACES_FIRST : 2 * old.places;
	struct name *place = calloc(places, sizeof(*place));
	if (place == NULL)
		return false;
	n->place = place;
	n->places = places;
	for (unsigned i = 0; i < old.places; i++)
		if (old.place[i].number != 0)
			*find(n, old.place[i].number) = old.place[i];
	free(old.place);
	return true;
}

/* Room for one more, the table half full at most. */
static bool make_room(struct names *n)
{
	if (n->count == NAMES_LIMIT) {
		memset(n->place, 0, n->places * sizeof(*n->place));
		n->count = 0;
		n->untold = 0;
	}
	return n->count < n->places / 2 || grow(n);
}

bool names_see(struct names *n, uint32_t number, struct slice id)
{
	if (n->places > 0 && find(n, number)->number == number)
		return true;
	if (!make_room(n))
		return false;
	struct name *name = find(n, number);
	name->number = number;
	memcpy(name->text, id.data, id.len < NAME_ROOM ? id.len : NAME_ROOM - 1);
	n->count++;
	n->untold++;
	return true;
}

struct name *names_next(struct names *n, unsigned *at, bool only_untold)
{
	for (; *at < n->places; ++*at) {
		struct name *name = &n->place[*at];
		if (name->number != 0 && !(only_untold && name->told)) {
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
	free(n->place);
	*n = (struct names){ .place = NULL };
}
