/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys with weights in; the greatest out, each with how much less it may be. What each flow goes through is in
 * heavy_add.h; here is what names need besides, and how summaries are made, merged and read.
 */
#include "watch/heavy_add.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* Kept out of what most keys need, whose registers it would take. */
#define APART __attribute__((noinline))

enum {
	NAME_HEAD = 2, /* octets before a name: its length, and whether it is cut */
	NAME_MOST = 255,
	SHORT_LEAST = 8, /* octets of a name that is read without a loop */
	SHORT_MOST = 32,
};

int heavy_seed_make(struct heavy_seed *seed)
{
	ssize_t n = getrandom(seed, sizeof(*seed), 0);
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(*seed) ? 0 : -EIO;
}

/* A rank, its weight added, cannot overflow. */
#define RANK_LIMIT ((HEAVY_LIMIT + 1) << HEAVY_RANK_SHIFT)

static inline uint64_t limited(uint64_t n)
{
	return n < HEAVY_LIMIT ? n : HEAVY_LIMIT;
}

static inline uint64_t rank_of(uint64_t most, unsigned way)
{
	return (most + 1) << HEAVY_RANK_SHIFT | way;
}

static inline uint64_t most_at(const struct heavy_set *set, unsigned way)
{
	return (set->rank[way] >> HEAVY_RANK_SHIFT) - 1;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static unsigned sets_of(const struct heavy *t)
{
	return 1u << t->bits;
}

static void empty(struct heavy *t)
{
	for (unsigned i = 0; i < sets_of(t); i++) {
		t->set[i] = (struct heavy_set){ .rank = { 0 } };
		for (unsigned way = 0; way < HEAVY_WAYS; way++)
			t->set[i].rank[way] = rank_of(0, way);
		t->floor[i] = 0;
	}
	t->total = 0;
}

bool heavy_init(struct heavy *t, const struct heavy_seed *seed, unsigned bits, size_t name)
{
	if (name > NAME_MOST)
		name = NAME_MOST;
	*t = (struct heavy){ .seed = *seed, .bits = bits, .shift = 64 - bits };
	t->name_room = name == 0 ? 0 : NAME_HEAD + name;
	t->set = aligned_alloc(64, sets_of(t) * sizeof(*t->set));
	t->floor = calloc(sets_of(t), sizeof(*t->floor));
	t->names = name == 0 ? NULL : calloc((size_t)sets_of(t) * HEAVY_WAYS, t->name_room);
	if (t->set == NULL || t->floor == NULL || (t->names == NULL && name != 0)) {
		heavy_deinit(t);
		return false;
	}
	empty(t);
	return true;
}

void heavy_deinit(struct heavy *t)
{
	free(t->set);
	free(t->floor);
	free(t->names);
	t->set = NULL;
	t->floor = NULL;
	t->names = NULL;
}

void heavy_clear(struct heavy *t)
{
	if (t->total > 0)
		empty(t);
}

/* ---- adding ---------------------------------------------------------------------------------- */

void heavy_add_apart(struct heavy *t, struct heavy_set *set, unsigned way, uint64_t weight)
{
	uint64_t rank = set->rank[way] + (limited(weight) << HEAVY_RANK_SHIFT);
	set->rank[way] = rank < RANK_LIMIT ? rank : RANK_LIMIT | way;
	t->total = heavy_sum(t->total, limited(weight));
}

/*
 * Of 8 to 32 octets, as most names of AWS's have: without a loop, by words of which the last ones end
 * where the name does.
 *
 *   eni-0a1b2c3d4e5f60718
 *   |  0   ||  1   |
 *        |  2   ||  3   |
 */
static inline struct heavy_key digest_short(const uint64_t seed[4], struct slice name)
{
	uint64_t word[4] = { 0 };
	memcpy(&word[0], name.data, 8);
	memcpy(&word[3], name.data + name.len - 8, 8);
	if (name.len >= 16) {
		memcpy(&word[1], name.data + 8, 8);
		memcpy(&word[2], name.data + name.len - 16, 8);
	}
	return (struct heavy_key){ heavy_mix(word[0] ^ seed[0], word[1] ^ seed[1]) + name.len,
				   heavy_mix(word[2] ^ seed[2], word[3] ^ seed[3]) };
}

/* All octets, sixteen at a time. */
static struct heavy_key digest_long(const uint64_t seed[4], struct slice name)
{
	struct heavy_key d = { name.len, 0 };
	for (size_t at = 0; at < name.len; at += 16) {
		uint64_t word[2] = { 0 };
		memcpy(word, name.data + at, name.len - at < 16 ? name.len - at : 16);
		d.high = heavy_mix(d.high ^ word[0] ^ seed[0], word[1] ^ seed[1]);
		d.low = heavy_mix(d.low ^ word[0] ^ seed[2], word[1] ^ seed[3]);
	}
	return d;
}

static char *name_at(const struct heavy *t, size_t set, unsigned way)
{
	return t->names + (set * HEAVY_WAYS + way) * t->name_room;
}

static void keep_name(const struct heavy *t, char *to, struct slice name)
{
	bool cut = name.len > t->name_room - NAME_HEAD;
	size_t len = cut ? t->name_room - NAME_HEAD : name.len;
	to[0] = (char)(unsigned char)len;
	to[1] = cut;
	memcpy(to + NAME_HEAD, name.data, len);
}

/* Adds to a name that had no entry. */
static APART void add_new(struct heavy *t, uint64_t set, struct heavy_key key, struct slice name,
			  uint64_t weight)
{
	unsigned way = heavy_replace(&t->set[set], key);
	keep_name(t, name_at(t, set, way), name);
	heavy_add_at(t, &t->set[set], way, weight);
}

static inline void add_digest(struct heavy *t, struct heavy_key key, struct slice name,
			      uint64_t weight)
{
	uint64_t set = (key.high + key.low) >> t->shift;
	unsigned way = heavy_way(&t->set[set], key);
	if (way == HEAVY_WAYS)
		add_new(t, set, key, name, weight);
	else
		heavy_add_at(t, &t->set[set], way, weight);
}

static APART void add_long(struct heavy *t, struct slice name, uint64_t weight)
{
	if (name.len > 0)
		add_digest(t, digest_long(t->seed.word, name), name, weight);
}

void heavy_add_name(struct heavy *t, struct slice name, uint64_t weight)
{
	if (weight == 0)
		return;
	if (name.len < SHORT_LEAST || name.len > SHORT_MOST)
		add_long(t, name, weight);
	else
		add_digest(t, digest_short(t->seed.word, name), name, weight);
}

/* ---- merging --------------------------------------------------------------------------------- */

/* What a key that is not in a set may have at most. */
static uint64_t floor_of(const struct heavy *t, size_t set)
{
	uint64_t floor = t->floor[set];
	for (unsigned i = 0; i < HEAVY_WAYS; i++)
		if (t->set[set].error[i] > floor)
			floor = t->set[set].error[i];
	return floor;
}

/* The entries of two sets, before the greatest are chosen. */
struct both {
	unsigned count;
	struct {
		uint64_t most;
		uint64_t error;
		struct heavy_key key;
		unsigned from; /* way in the first set, or HEAVY_WAYS + way in the second */
	} entry[2 * HEAVY_WAYS];
};

static inline struct heavy_key key_at(const struct heavy_set *set, unsigned way)
{
	return (struct heavy_key){ set->high[way], set->low[way] };
}

static bool has(const struct heavy_set *set, struct heavy_key key)
{
	unsigned way = heavy_way(set, key);
	return way < HEAVY_WAYS && most_at(set, way) > 0;
}

/* Adds an entry of one set with what the other has of it. */
static void take(struct both *b, const struct heavy_set *set, unsigned way,
		 const struct heavy_set *other, uint64_t other_floor, unsigned from)
{
	unsigned there = heavy_way(other, key_at(set, way));
	uint64_t most = there < HEAVY_WAYS ? most_at(other, there) : other_floor;
	uint64_t error = there < HEAVY_WAYS ? other->error[there] : other_floor;
	b->entry[b->count].most = limited(most_at(set, way) + most);
	b->entry[b->count].error = set->error[way] + error;
	b->entry[b->count].key = key_at(set, way);
	b->entry[b->count++].from = from;
}

static unsigned greatest(const struct both *b)
{
	unsigned best = 0;
	for (unsigned i = 1; i < b->count; i++)
		if (b->entry[i].most > b->entry[best].most)
			best = i;
	return best;
}

/* Moves the greatest of both to the set. chosen[way]: where the entry of this way came from. */
static unsigned choose(struct both *b, struct heavy_set *set, unsigned chosen[HEAVY_WAYS])
{
	unsigned ways = 0;
	for (; ways < HEAVY_WAYS && b->count > 0; ways++) {
		unsigned best = greatest(b);
		uint64_t error = b->entry[best].error;
		set->rank[ways] = rank_of(b->entry[best].most, ways);
		set->error[ways] = error < b->entry[best].most ? error : b->entry[best].most;
		set->low[ways] = b->entry[best].key.low;
		set->high[ways] = b->entry[best].key.high;
		chosen[ways] = b->entry[best].from;
		b->entry[best] = b->entry[--b->count];
	}
	return ways;
}

/* Makes one of a set and another, of a summary that may have more of them. How many entries it has. */
static unsigned merge_sets(struct heavy *t, size_t at, const struct heavy *from, size_t set,
			   unsigned chosen[HEAVY_WAYS])
{
	struct both b = { .count = 0 };
	struct heavy_set *to = &t->set[at];
	const struct heavy_set *more = &from->set[set];
	uint64_t to_floor = floor_of(t, at);
	uint64_t more_floor = floor_of(from, set);
	for (unsigned i = 0; i < HEAVY_WAYS; i++)
		if (most_at(to, i) > 0)
			take(&b, to, i, more, more_floor, i);
	for (unsigned i = 0; i < HEAVY_WAYS; i++)
		if (most_at(more, i) > 0 && !has(to, key_at(more, i)))
			take(&b, more, i, to, to_floor, HEAVY_WAYS + i);
	unsigned ways = choose(&b, to, chosen);
	uint64_t floor = limited(to_floor + more_floor);
	if (b.count > 0 && b.entry[greatest(&b)].most > floor)
		floor = b.entry[greatest(&b)].most;
	t->floor[at] = floor;
	return ways;
}

/* What the entries of a set are called: room for each way, and the names that more come with. */
static void merge_names(const struct heavy *t, char *to, const char *more,
			const unsigned chosen[HEAVY_WAYS], unsigned ways)
{
	char before[HEAVY_WAYS * (NAME_HEAD + NAME_MOST)];
	memcpy(before, to, HEAVY_WAYS * t->name_room);
	for (unsigned i = 0; i < ways; i++)
		memcpy(to + i * t->name_room,
		       chosen[i] < HEAVY_WAYS ? before + chosen[i] * t->name_room
					      : more + (chosen[i] - HEAVY_WAYS) * t->name_room,
		       t->name_room);
}

void heavy_merge(struct heavy *t, const struct heavy *more)
{
	if (more->total == 0)
		return;
	for (unsigned i = 0; i < sets_of(more); i++) {
		unsigned at = i >> (more->bits - t->bits);
		unsigned chosen[HEAVY_WAYS];
		unsigned ways = merge_sets(t, at, more, i, chosen);
		if (t->names != NULL)
			merge_names(t, name_at(t, at, 0), name_at(more, i, 0), chosen, ways);
	}
	t->total = heavy_sum(t->total, more->total);
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct heavy_item item_at(const struct heavy *t, size_t set, unsigned way)
{
	const struct heavy_set *s = &t->set[set];
	struct heavy_item item = { .key = key_at(s, way), .most = most_at(s, way) };
	item.least = item.most - s->error[way];
	if (t->names != NULL) {
		const char *name = name_at(t, set, way);
		item.name = slice_of(name + NAME_HEAD, (unsigned char)name[0]);
		item.cut = name[1] != 0;
	}
	return item;
}

/* Equal ones by their keys, so that they do not change places for nothing. */
static bool is_before(const struct heavy_item *a, const struct heavy_item *b)
{
	uint64_t x = a->least + a->most;
	uint64_t y = b->least + b->most;
	if (x != y)
		return x > y;
	return a->key.high != b->key.high ? a->key.high < b->key.high : a->key.low < b->key.low;
}

/* Puts an item where it belongs among the greatest, of which the last may fall out. */
static unsigned put_in_order(struct heavy_item *item, unsigned count, unsigned room,
			     const struct heavy_item *one)
{
	unsigned at = count;
	while (at > 0 && is_before(one, &item[at - 1]))
		at--;
	if (at == room)
		return count;
	unsigned stay = count < room ? count : room - 1;
	memmove(&item[at + 1], &item[at], (stay - at) * sizeof(*item));
	item[at] = *one;
	return stay + 1;
}

unsigned heavy_best(const struct heavy *t, struct heavy_item *item, unsigned room)
{
	unsigned count = 0;
	for (unsigned i = 0; i < sets_of(t); i++)
		for (unsigned way = 0; way < HEAVY_WAYS; way++) {
			struct heavy_item one = item_at(t, i, way);
			if (one.most > 0)
				count = put_in_order(item, count, room, &one);
		}
	return count;
}

uint64_t heavy_floor(const struct heavy *t)
{
	uint64_t floor = 0;
	for (unsigned i = 0; i < sets_of(t); i++)
		if (floor_of(t, i) > floor)
			floor = floor_of(t, i);
	return floor;
}

struct heavy_item heavy_find(const struct heavy *t, struct heavy_key key)
{
	uint64_t set = heavy_set_of(t, key);
	unsigned way = heavy_way(&t->set[set], key);
	if (way < HEAVY_WAYS)
		return item_at(t, set, way);
	return (struct heavy_item){ .key = key, .most = floor_of(t, set) };
}
