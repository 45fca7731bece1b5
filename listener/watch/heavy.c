/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys with weights in; the greatest out, each with how much less it may be. A set of entries:
 *
 *   hash  |    |    |    |    |
 *   rank  |    |    |    |    |   (most + 1) * 8 + way; of an empty entry most is 0
 *   error |    |    |    |    |
 *   key   |    |    |    |    |   only to be shown
 *   floor |    |                  the most that went
 *
 * A new weight goes to the least of four numbers: an entry's way if the hash is its own, else its rank.
 * So a hit wins over the least entry, and neither needs a jump that a processor could guess wrong.
 */
#include "watch/heavy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	NAME_HEAD = 2, /* octets before a name: its length, and whether it is cut */
	NAME_MOST = 255,
	RANK_SHIFT = 3,
};

struct heavy_set {
	_Alignas(64) uint64_t hash[HEAVY_WAYS];
	uint64_t rank[HEAVY_WAYS];
	_Alignas(64) uint64_t error[HEAVY_WAYS];
	uint64_t floor;
	_Alignas(64) struct heavy_key key[HEAVY_WAYS];
};

int heavy_seed_make(struct heavy_seed *seed)
{
	ssize_t n = getrandom(seed, sizeof(*seed), 0);
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(*seed) ? 0 : -EIO;
}

/* A rank, its weight added, cannot overflow. */
#define RANK_LIMIT ((HEAVY_LIMIT + 1) << RANK_SHIFT)

static inline uint64_t rank_of(uint64_t most, unsigned way)
{
	return (most + 1) << RANK_SHIFT | way;
}

static inline uint64_t most_at(const struct heavy_set *set, unsigned way)
{
	return (set->rank[way] >> RANK_SHIFT) - 1;
}

static inline uint64_t limited(uint64_t n)
{
	return n < HEAVY_LIMIT ? n : HEAVY_LIMIT;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void empty_set(struct heavy_set *set)
{
	*set = (struct heavy_set){ .floor = 0 };
	for (unsigned i = 0; i < HEAVY_WAYS; i++)
		set->rank[i] = rank_of(0, i);
}

static unsigned sets_of(const struct heavy *t)
{
	return 1u << t->bits;
}

bool heavy_init(struct heavy *t, const struct heavy_seed *seed, unsigned bits, size_t name)
{
	if (name > NAME_MOST)
		name = NAME_MOST;
	*t = (struct heavy){ .seed = seed, .bits = bits };
	t->name_room = name == 0 ? 0 : NAME_HEAD + name;
	t->set = aligned_alloc(64, sets_of(t) * sizeof(*t->set));
	t->names = name == 0 ? NULL : calloc((size_t)sets_of(t) * HEAVY_WAYS, t->name_room);
	if (t->set == NULL || (t->names == NULL && name != 0)) {
		heavy_deinit(t);
		return false;
	}
	for (unsigned i = 0; i < sets_of(t); i++)
		empty_set(&t->set[i]);
	return true;
}

void heavy_deinit(struct heavy *t)
{
	free(t->set);
	free(t->names);
	t->set = NULL;
	t->names = NULL;
}

void heavy_clear(struct heavy *t)
{
	if (t->total == 0)
		return;
	for (unsigned i = 0; i < sets_of(t); i++)
		empty_set(&t->set[i]);
	t->total = 0;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static inline struct heavy_set *set_of(const struct heavy *t, uint64_t hash)
{
	return &t->set[hash >> (64 - t->bits)];
}

/* The way of the least entry. */
static inline unsigned least_way(const struct heavy_set *set)
{
	uint64_t least = set->rank[0];
	for (unsigned i = 1; i < HEAVY_WAYS; i++)
		least = set->rank[i] < least ? set->rank[i] : least;
	return (unsigned)least & (HEAVY_WAYS - 1);
}

/* Makes way for a new key: the least entry goes, and its sum is what the new one may have had. */
static inline unsigned replace(struct heavy_set *set, struct heavy_key key, uint64_t hash)
{
	unsigned way = least_way(set);
	uint64_t before = most_at(set, way);
	before = before > set->floor ? before : set->floor;
	set->hash[way] = hash;
	set->rank[way] = rank_of(before, way);
	set->error[way] = before;
	set->floor = before;
	set->key[way] = key;
	return way;
}

/* Adds to the entry of this hash. Its way; *hit: it was there. */
static inline unsigned add(struct heavy_set *set, struct heavy_key key, uint64_t hash,
			   uint64_t weight, bool *hit)
{
	unsigned found = 0;
	for (unsigned i = 0; i < HEAVY_WAYS; i++)
		found |= (unsigned)(set->hash[i] == hash) << i;
	*hit = found != 0;
	unsigned way = *hit ? (unsigned)__builtin_ctz(found) : replace(set, key, hash);
	uint64_t rank = set->rank[way] + (weight << RANK_SHIFT);
	set->rank[way] = rank < RANK_LIMIT ? rank : RANK_LIMIT | way;
	return way;
}

void heavy_add(struct heavy *t, struct heavy_key key, uint64_t weight)
{
	heavy_add_all(t, &key, &weight, 1);
}

void heavy_add_all(struct heavy *t, const struct heavy_key *key, const uint64_t *weight,
		   unsigned count)
{
	bool hit;
	uint64_t hash[HEAVY_BATCH];
	for (unsigned i = 0; i < count; i++)
		hash[i] = heavy_hash(t->seed, key[i]);
	for (unsigned i = 0; i < count; i++) {
		if (weight[i] == 0)
			continue;
		uint64_t w = limited(weight[i]);
		(void)add(set_of(t, hash[i]), key[i], hash[i], w, &hit);
		t->total = heavy_sum(t->total, w);
	}
}

static inline uint64_t lane(uint64_t h, uint64_t word, uint64_t factor)
{
	h = (h ^ word) * (factor | 1);
	return h ^ h >> 32;
}

static struct heavy_key digest_short(const struct heavy_seed *seed, const struct heavy_short *name)
{
	uint64_t high = lane(seed->word[0] ^ name->len, name->word[0], seed->word[2]);
	uint64_t low = lane(seed->word[1] ^ name->len, name->word[2], seed->word[3]);
	return (struct heavy_key){ lane(high, name->word[1], seed->word[3]),
				   lane(low, name->word[3], seed->word[2]) };
}

/* All octets in two lanes, eight at a time. */
static struct heavy_key digest_long(const struct heavy_seed *seed, struct slice name)
{
	struct heavy_key d = { seed->word[0] ^ name.len, seed->word[1] ^ name.len };
	for (size_t at = 0; at < name.len; at += 8) {
		uint64_t word = 0;
		memcpy(&word, name.data + at, name.len - at < 8 ? name.len - at : 8);
		d.high = lane(d.high, word, seed->word[2]);
		d.low = lane(d.low, word, seed->word[3]);
	}
	return d;
}

static char *name_at(const struct heavy *t, size_t set, unsigned way)
{
	return t->names + (set * HEAVY_WAYS + way) * t->name_room;
}

/* Adds to a name by its digest. Where the text is to be put; NULL when it is there. */
static char *add_name(struct heavy *t, struct heavy_key key, uint64_t weight)
{
	bool hit;
	uint64_t hash = heavy_hash(t->seed, key);
	struct heavy_set *set = set_of(t, hash);
	unsigned way = add(set, key, hash, weight, &hit);
	t->total = heavy_sum(t->total, weight);
	return hit ? NULL : name_at(t, (size_t)(set - t->set), way);
}

static void keep_name(const struct heavy *t, char *to, struct slice name)
{
	bool cut = name.len > t->name_room - NAME_HEAD;
	size_t len = cut ? t->name_room - NAME_HEAD : name.len;
	to[0] = (char)(unsigned char)len;
	to[1] = cut;
	memcpy(to + NAME_HEAD, name.data, len);
}

/* The words of a name, back in their places. */
static inline void spell(char *to, const struct heavy_short *name)
{
	memcpy(to, &name->word[0], 8);
	if (name->len >= 16) {
		memcpy(to + 8, &name->word[1], 8);
		memcpy(to + name->len - 16, &name->word[2], 8);
	}
	memcpy(to + name->len - 8, &name->word[3], 8);
}

void heavy_add_short(struct heavy *t, const struct heavy_short *name, uint64_t weight)
{
	weight = limited(weight);
	if (weight == 0)
		return;
	char *to = add_name(t, digest_short(t->seed, name), weight);
	if (to == NULL)
		return;
	if (name->len <= t->name_room - NAME_HEAD) {
		to[0] = (char)name->len;
		to[1] = false;
		spell(to + NAME_HEAD, name);
		return;
	}
	char text[sizeof(name->word)];
	spell(text, name);
	keep_name(t, to, slice_of(text, name->len));
}

void heavy_add_name(struct heavy *t, struct slice name, uint64_t weight)
{
	struct heavy_short s;
	weight = limited(weight);
	if (weight == 0 || name.len == 0)
		return;
	if (heavy_short_of(name, &s)) {
		heavy_add_short(t, &s, weight);
		return;
	}
	char *to = add_name(t, digest_long(t->seed, name), weight);
	if (to != NULL)
		keep_name(t, to, name);
}

/* ---- merging --------------------------------------------------------------------------------- */

/* The entries of two sets, before the greatest are chosen. */
struct both {
	unsigned count;
	struct {
		uint64_t hash;
		uint64_t most;
		uint64_t error;
		struct heavy_key key;
		unsigned from; /* way in the first set, or HEAVY_WAYS + way in the second */
	} entry[2 * HEAVY_WAYS];
};

/* The way of a hash in a set, HEAVY_WAYS for none. */
static unsigned way_of(const struct heavy_set *set, uint64_t hash)
{
	unsigned way = 0;
	while (way < HEAVY_WAYS && (set->hash[way] != hash || most_at(set, way) == 0))
		way++;
	return way;
}

/* Adds an entry of one set with what the other has of it. */
static void take(struct both *b, const struct heavy_set *set, unsigned way,
		 const struct heavy_set *other, unsigned from)
{
	unsigned there = way_of(other, set->hash[way]);
	uint64_t most = there < HEAVY_WAYS ? most_at(other, there) : other->floor;
	uint64_t error = there < HEAVY_WAYS ? other->error[there] : other->floor;
	b->entry[b->count].hash = set->hash[way];
	b->entry[b->count].most = limited(most_at(set, way) + most);
	b->entry[b->count].error = set->error[way] + error;
	b->entry[b->count].key = set->key[way];
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
		set->hash[ways] = b->entry[best].hash;
		set->rank[ways] = rank_of(b->entry[best].most, ways);
		set->error[ways] = error < b->entry[best].most ? error : b->entry[best].most;
		set->key[ways] = b->entry[best].key;
		chosen[ways] = b->entry[best].from;
		b->entry[best] = b->entry[--b->count];
	}
	return ways;
}

static void merge_sets(struct heavy_set *set, const struct heavy_set *more,
		       unsigned chosen[HEAVY_WAYS], unsigned *ways)
{
	struct both b = { .count = 0 };
	for (unsigned i = 0; i < HEAVY_WAYS; i++)
		if (most_at(set, i) > 0)
			take(&b, set, i, more, i);
	for (unsigned i = 0; i < HEAVY_WAYS; i++)
		if (most_at(more, i) > 0 && way_of(set, more->hash[i]) == HEAVY_WAYS)
			take(&b, more, i, set, HEAVY_WAYS + i);
	uint64_t floor = limited(set->floor + more->floor);
	*ways = choose(&b, set, chosen);
	if (b.count > 0 && b.entry[greatest(&b)].most > floor)
		floor = b.entry[greatest(&b)].most;
	set->floor = floor;
}

static void merge_names(struct heavy *t, const struct heavy *more, size_t set,
			const unsigned chosen[HEAVY_WAYS], unsigned ways)
{
	char before[HEAVY_WAYS * (NAME_HEAD + NAME_MOST)];
	memcpy(before, name_at(t, set, 0), HEAVY_WAYS * t->name_room);
	for (unsigned i = 0; i < ways; i++)
		memcpy(name_at(t, set, i),
		       chosen[i] < HEAVY_WAYS ? before + chosen[i] * t->name_room
					      : name_at(more, set, chosen[i] - HEAVY_WAYS),
		       t->name_room);
}

void heavy_merge(struct heavy *t, const struct heavy *more)
{
	if (more->total == 0)
		return;
	for (unsigned i = 0; i < sets_of(t); i++) {
		unsigned chosen[HEAVY_WAYS];
		unsigned ways;
		merge_sets(&t->set[i], &more->set[i], chosen, &ways);
		if (t->names != NULL)
			merge_names(t, more, i, chosen, ways);
	}
	t->total = heavy_sum(t->total, more->total);
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct heavy_item item_at(const struct heavy *t, size_t set, unsigned way)
{
	const struct heavy_set *s = &t->set[set];
	struct heavy_item item = { .key = s->key[way], .most = most_at(s, way) };
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
		if (t->set[i].floor > floor)
			floor = t->set[i].floor;
	return floor;
}

struct heavy_item heavy_find(const struct heavy *t, struct heavy_key key)
{
	uint64_t hash = heavy_hash(t->seed, key);
	const struct heavy_set *set = set_of(t, hash);
	unsigned way = way_of(set, hash);
	if (way < HEAVY_WAYS)
		return item_at(t, (size_t)(set - t->set), way);
	return (struct heavy_item){ .key = key, .most = set->floor };
}
