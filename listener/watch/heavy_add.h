/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_HEAVY_ADD_H
#define VPCFLOWD_WATCH_HEAVY_ADD_H

#include "watch/heavy.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * How a key gets a weight: the part of a summary that each flow goes through, a few times. A set of entries
 * is two lines of a processor's cache, one that says which and one that says how much:
 *
 *   low   |    |    |    |    |   the halves of keys
 *   high  |    |    |    |    |
 *
 *   rank  |    |    |    |    |   (most + 1) * 8 + way; of an empty entry most is 0
 *   error |    |    |    |    |
 *
 * The least of the ranks says by itself whose it is. What went last is the greatest error, since what
 * goes never gets less: only what summaries had lost when they were merged has a place of its own.
 */
struct heavy_set {
	_Alignas(64) uint64_t low[HEAVY_WAYS];
	uint64_t high[HEAVY_WAYS];
	uint64_t rank[HEAVY_WAYS];
	uint64_t error[HEAVY_WAYS];
};

enum { HEAVY_RANK_SHIFT = 3 };

/*
 * Both halves of a product of two words. Who does not know the seed that these were mixed with cannot choose
 * words that give the same.
 */
static inline uint64_t heavy_mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The number of a key's set. */
static inline uint64_t heavy_set_of(const struct heavy *t, struct heavy_key key)
{
	return heavy_mix(key.low ^ t->seed.word[0], key.high ^ t->seed.word[1]) >> t->shift;
}

/* A bit for each way with this lower half of a key. */
static inline unsigned heavy_ways_alike(const struct heavy_set *set, uint64_t low)
{
#ifdef __SSE2__
	const __m128i *row = (const __m128i *)(const void *)set->low;
	__m128i wanted = _mm_set1_epi64x((long long)low);
	__m128 a = _mm_castsi128_ps(_mm_cmpeq_epi32(row[0], wanted));
	__m128 b = _mm_castsi128_ps(_mm_cmpeq_epi32(row[1], wanted));
	/* The first halves of all four, and the second. */
	__m128 first = _mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0));
	__m128 second = _mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1));
	return (unsigned)_mm_movemask_ps(_mm_and_ps(first, second));
#else
	unsigned alike = 0;
	for (unsigned i = 0; i < HEAVY_WAYS; i++)
		alike |= (unsigned)(set->low[i] == low) << i;
	return alike;
#endif
}

/* The way of a key in a set, HEAVY_WAYS for none. Of a key of zeros that may be an empty one. */
static inline unsigned heavy_way(const struct heavy_set *set, struct heavy_key key)
{
	for (unsigned alike = heavy_ways_alike(set, key.low); alike != 0; alike &= alike - 1) {
		unsigned way = (unsigned)__builtin_ctz(alike);
		if (set->high[way] == key.high)
			return way;
	}
	return HEAVY_WAYS;
}

/* Makes way for a new key: the least entry goes, and its sum is what the new one may have had. */
static inline unsigned heavy_replace(struct heavy_set *set, struct heavy_key key)
{
	uint64_t least = set->rank[0];
	for (unsigned i = 1; i < HEAVY_WAYS; i++)
		least = set->rank[i] < least ? set->rank[i] : least;
	unsigned way = (unsigned)least & (HEAVY_WAYS - 1);
	set->error[way] = (least >> HEAVY_RANK_SHIFT) - 1;
	set->low[way] = key.low;
	set->high[way] = key.high;
	return way;
}

/* The same when all there is passes the limit (heavy.c). */
void heavy_add_apart(struct heavy *t, struct heavy_set *set, unsigned way, uint64_t weight);

/* No entry has more than all that was added, so no other limit has to be looked at. */
static inline void heavy_add_at(struct heavy *t, struct heavy_set *set, unsigned way,
				uint64_t weight)
{
	if (weight > HEAVY_LIMIT || t->total > HEAVY_LIMIT - weight) {
		heavy_add_apart(t, set, way, weight);
		return;
	}
	t->total += weight;
	set->rank[way] += weight << HEAVY_RANK_SHIFT;
}

/* Adds a weight to a key. */
static inline void heavy_add(struct heavy *t, struct heavy_key key, uint64_t weight)
{
	if (weight == 0)
		return;
	struct heavy_set *set = &t->set[heavy_set_of(t, key)];
	unsigned way = heavy_way(set, key);
	heavy_add_at(t, set, way < HEAVY_WAYS ? way : heavy_replace(set, key), weight);
}

#endif
