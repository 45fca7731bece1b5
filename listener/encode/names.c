/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with linear probing, never more than half full; entries only go all at once. */
#include "encode/names.h"

#include <stdlib.h>

enum { PLACES = 2 * NAMES_LIMIT };

static struct name *find(const struct names *n, uint32_t number)
{
	unsigned at = (unsigned)((number * 2654435769u) >> 16) % PLACES;
	while (n->place[at].number != 0 && n->place[at].number != number)
		at = (at + 1) % PLACES;
	return &n->place[at];
}

bool names_see(struct names *n, uint32_t number, struct slice id)
{
	if (n->place == NULL)
		n->place = calloc(PLACES, sizeof(*n->place));
	if (n->place == NULL)
		return false;
	struct name *name = find(n, number);
	if (name->number == number)
		return true;
	if (n->count == NAMES_LIMIT) {
		memset(n->place, 0, PLACES * sizeof(*n->place));
		n->count = 0;
		n->untold = 0;
		name = find(n, number);
	}
	name->number = number;
	memcpy(name->text, id.data, id.len < NAME_ROOM ? id.len : NAME_ROOM - 1);
	n->count++;
	n->untold++;
	return true;
}

struct name *names_next(struct names *n, unsigned *at, bool only_untold)
{
	for (; n->place != NULL && *at < PLACES; ++*at) {
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
