/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums by the second in, the last fifteen minutes out. A ring: the place of a second is its number
 * modulo the size, and going on to a newer second empties the places between.
 */
#include "watch/series.h"

#include <stdbool.h>

#include "watch/heavy.h"

enum { PLACES = SERIES_SECONDS + 1 };

void second_add(struct second *to, const struct second *more)
{
#define X(member, help) to->member = heavy_sum(to->member, more->member);
	SERIES(X)
#undef X
}

static bool is_inside(const struct series *s, uint64_t number)
{
	return number <= s->newest && s->newest - number < PLACES;
}

static void go_on(struct series *s, uint64_t number)
{
	uint64_t steps = number - s->newest;
	for (uint64_t i = 0; i < steps && i < PLACES; i++)
		s->second[(number - i) % PLACES] = (struct second){ .flows = 0 };
	s->newest = number;
}

void series_add(struct series *s, uint64_t number, const struct second *more)
{
	if (number > s->newest)
		go_on(s, number);
	if (is_inside(s, number))
		second_add(&s->second[number % PLACES], more);
}

struct second series_at(const struct series *s, uint64_t number)
{
	return is_inside(s, number) ? s->second[number % PLACES] : (struct second){ .flows = 0 };
}
