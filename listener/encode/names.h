/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_NAMES_H
#define VPCFLOWD_ENCODE_NAMES_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/slice.h"

/*
 * The interfaces of an observation domain: number and id, so that collectors can be told which is
 * which. Grows with them, up to NAMES_LIMIT: then it is emptied and learns anew, as interfaces come and
 * go for ever.
 */
enum {
	NAMES_LIMIT = 16 * 1024,
	/* With its NUL: "tgw-attach-" and "eni-" with 17 hex digits fit. */
	NAME_ROOM = 32,
};

struct name {
	uint32_t number;
	bool told;
	char text[NAME_ROOM]; /* padded with NUL */
};

struct names {
	/* Open addressing: the numbers stand by themselves, since every flow asks for one. */
	uint32_t *number;   /* 0: a free place; NULL until the first one */
	struct name *place; /* each where its number stands */
	unsigned places;    /* a power of two */
	unsigned count;
	unsigned untold;
};

/* The place of a number, or the free one that it would get. There must be places. */
static inline unsigned names_find(const struct names *n, uint32_t number)
{
	unsigned at = (number * 2654435769u) >> 8 & (n->places - 1);
	while (n->number[at] != 0 && n->number[at] != number)
		at = (at + 1) & (n->places - 1);
	return at;
}

MUST_CHECK bool names_add(struct names *n, uint32_t number, struct slice id);

/*
 * Remembers an interface, if it is new; its number is not 0, and the first id of a number holds. False:
 * no memory.
 */
MUST_CHECK static inline bool names_see(struct names *n, uint32_t number, struct slice id)
{
	if (n->places > 0 && n->number[names_find(n, number)] == number)
		return true;
	return names_add(n, number, id);
}

/* The next one at or after *at that is known (only_untold: and not told); NULL after the last. */
struct name *names_next(struct names *n, unsigned *at, bool only_untold);
/* Nobody was told any of them. */
void names_forget_told(struct names *n);
void names_deinit(struct names *n);

#endif
