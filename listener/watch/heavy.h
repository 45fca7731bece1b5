/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_HEAVY_H
#define VPCFLOWD_WATCH_HEAVY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/slice.h"

/*
 * The keys with the greatest sums of a stream, in memory that does not grow with it. Of a key that is
 * among the entries
 *
 *   most - error <= its sum <= most
 *
 * It is Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k
 * Elements in Data Streams, ICDT 2005) with weights: when there is no room for a new key it takes the
 * place of the least entry, and what that had, as its error. The keys are spread by a hash over sets
 * of HEAVY_WAYS entries, each of which is such a summary on its own, so that the least is found by
 * looking at those few. A set's floor is what a key that is not in it may have at most;
 *
 *   floor * HEAVY_WAYS <= all that was added to the set
 *
 * however keys and weights come. Two summaries make one for which the same holds (Agarwal et al.:
 * Mergeable Summaries, PODS 2012), set by set.
 */
enum { HEAVY_WAYS = 4 };

/* Weights and sums end here; 2^58 bytes are 256 PiB. */
#define HEAVY_LIMIT (UINT64_C(1) << 58)

/* A number or an address; of a name, a digest. */
struct heavy_key {
	uint64_t high;
	uint64_t low;
};

/* What the sets of keys depend on, so that nobody can choose keys that share one. */
struct heavy_seed {
	uint64_t word[4];
};

struct heavy_set;

struct heavy {
	struct heavy_seed seed;
	unsigned bits;	/* of a hash, that say which set */
	unsigned shift; /* to these */
	struct heavy_set *set;
	uint64_t *floor;  /* of each set, from when it was merged */
	char *names;	  /* one for each entry; NULL when the keys are all there is to know */
	size_t name_room; /* octets of each: length, whether it is cut, text */
	uint64_t total;
};

/* Fills the seed from the kernel. 0 or a negative errno. */
MUST_CHECK int heavy_seed_make(struct heavy_seed *seed);

/*
 * An empty summary of 2^bits sets, bits from 1 to 16, with names of so many octets, above which they
 * are cut; 0 for none. False without memory.
 */
MUST_CHECK bool heavy_init(struct heavy *t, const struct heavy_seed *seed, unsigned bits,
			   size_t name);
void heavy_deinit(struct heavy *t);
/* As it was made. */
void heavy_clear(struct heavy *t);

/* Adds a weight to a name; to a key, heavy_add does (heavy_add.h). */
void heavy_add_name(struct heavy *t, struct slice name, uint64_t weight);

/*
 * Adds a summary of the same seed and room for names, and of as many sets or more, of which some then
 * come to one.
 */
void heavy_merge(struct heavy *t, const struct heavy *more);

/* One of the greatest. The name is borrowed and stays until the summary is changed. */
struct heavy_item {
	struct heavy_key key;
	struct slice name;
	bool cut; /* the name */
	uint64_t least;
	uint64_t most;
};

/* The greatest, by the middle of their bounds, at most `room` of them; how many they are. */
unsigned heavy_best(const struct heavy *t, struct heavy_item *item, unsigned room);
/* What any key that is not among the entries may have at most. */
uint64_t heavy_floor(const struct heavy *t);
/* What a key may have at most, and at least. */
struct heavy_item heavy_find(const struct heavy *t, struct heavy_key key);

/* a + b, or the greatest number. */
static inline uint64_t heavy_sum(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

#endif
