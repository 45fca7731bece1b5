/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that holds what is summed. Keys are foreign, so the hash is keyed; memory is taken from
 * a budget before it is allocated, and what does not fit is refused, never dropped.
 */
#include "sum/table.h"

#include <errno.h>
#include <stdlib.h>

#include "flow/flow.h"
#include "sum/key.h"

enum {
	PLACES_FIRST = 1024,
	UNIT = 8,
	CHUNK = 256 * 1024,
	CHUNK_UNITS = CHUNK / UNIT,
	CHUNKS_MOST = 1 << 17, /* units have 32 bits: 32 GiB */
};

_Static_assert(sizeof(struct sum) + KEY_LIMIT <= CHUNK, "any sum has room in a chunk");

/* tag and unit; unit 0: free. */
struct place {
	uint32_t tag;
	uint32_t unit;
};

struct chunk {
	size_t used;
	uint64_t octets[CHUNK_UNITS];
};

struct table {
	struct budget *budget;
	const struct siphash_key *hash_key;
	struct place *place;
	size_t places; /* a power of two, or 0 */
	size_t count;
	struct chunk **chunk;
	size_t chunks;
	size_t chunk_room;
};

/* ---- the budget ------------------------------------------------------------------------------ */

bool budget_take(struct budget *b, size_t octets)
{
	uint64_t before = atomic_fetch_add(&b->taken, octets);
	if (before + octets <= b->most)
		return true;
	budget_give(b, octets);
	return false;
}

void budget_give(struct budget *b, size_t octets)
{
	atomic_fetch_sub(&b->taken, octets);
}

/* Memory out of the budget, all zero. 0, -ENOBUFS or -ENOMEM. */
static int take_memory(struct budget *b, size_t octets, void **memory)
{
	if (!budget_take(b, octets))
		return -ENOBUFS;
	*memory = calloc(1, octets);
	if (*memory != NULL)
		return 0;
	budget_give(b, octets);
	return -ENOMEM;
}

static void give_memory(struct budget *b, void *memory, size_t octets)
{
	if (memory == NULL)
		return;
	free(memory);
	budget_give(b, octets);
}

/* ---- a sum ----------------------------------------------------------------------------------- */

static void add(uint64_t *to, uint64_t more, bool *saturated)
{
	if (__builtin_add_overflow(*to, more, to)) {
		*to = UINT64_MAX;
		*saturated = true;
	}
}

/* Of the same moment in seconds and in milliseconds, the lesser number: so that order is nothing. */
static bool is_before(uint64_t a, uint64_t b)
{
	uint64_t a_ms = time_milliseconds(a);
	uint64_t b_ms = time_milliseconds(b);
	return a_ms < b_ms || (a_ms == b_ms && a < b);
}

void sum_add(struct sum *to, const struct sum *more)
{
	to->saturated = to->saturated || more->saturated;
	add(&to->packets, more->packets, &to->saturated);
	add(&to->bytes, more->bytes, &to->saturated);
	add(&to->flows, more->flows, &to->saturated);
	if (more->has_start && (!to->has_start || is_before(more->start, to->start)))
		to->start = more->start;
	if (more->has_end && (!to->has_end || is_before(to->end, more->end)))
		to->end = more->end;
	to->has_start = to->has_start || more->has_start;
	to->has_end = to->has_end || more->has_end;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static size_t octets_of(size_t key_len)
{
	return (sizeof(struct sum) + key_len + UNIT - 1) / UNIT * UNIT;
}

static struct sum *sum_at(const struct table *t, uint32_t unit)
{
	unit--;
	return (struct sum *)(void *)&t->chunk[unit / CHUNK_UNITS]->octets[unit % CHUNK_UNITS];
}

static int add_chunk(struct table *t)
{
	void *memory;
	if (t->chunks == t->chunk_room) {
		size_t room = t->chunk_room == 0 ? 64 : 2 * t->chunk_room;
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers. */
		struct chunk **grown = realloc(t->chunk, room * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		t->chunk = grown;
		t->chunk_room = room;
	}
	if (t->chunks == CHUNKS_MOST)
		return -ENOBUFS;
	int error = take_memory(t->budget, sizeof(struct chunk), &memory);
	if (error == 0)
		t->chunk[t->chunks++] = memory;
	return error;
}

static void free_chunk(struct table *t, size_t chunk)
{
	give_memory(t->budget, t->chunk[chunk], sizeof(struct chunk));
	t->chunk[chunk] = NULL;
}

/* A new sum behind the others. */
static int append(struct table *t, struct slice key, uint32_t *unit)
{
	size_t octets = octets_of(key.len);
	bool full = t->chunks == 0 || t->chunk[t->chunks - 1]->used + octets > CHUNK;
	int error = full ? add_chunk(t) : 0;
	if (error != 0)
		return error;
	struct chunk *c = t->chunk[t->chunks - 1];
	*unit = (uint32_t)((t->chunks - 1) * CHUNK_UNITS + c->used / UNIT) + 1;
	struct sum *sum = sum_at(t, *unit);
	sum->key_len = (uint32_t)key.len;
	memcpy(sum + 1, key.data, key.len);
	c->used += octets;
	t->count++;
	return 0;
}

/* ---- places ---------------------------------------------------------------------------------- */

static struct place *free_place(struct place *place, size_t places, uint32_t tag)
{
	size_t at = tag & (places - 1);
	while (place[at].unit != 0)
		at = (at + 1) & (places - 1);
	return &place[at];
}

static int grow(struct table *t)
{
	size_t places = t->places == 0 ? PLACES_FIRST : 2 * t->places;
	void *memory;
	int error = take_memory(t->budget, places * sizeof(struct place), &memory);
	if (error != 0)
		return error;
	struct place *place = memory;
	for (size_t i = 0; i < t->places; i++)
		if (t->place[i].unit != 0)
			*free_place(place, places, t->place[i].tag) = t->place[i];
	give_memory(t->budget, t->place, t->places * sizeof(struct place));
	t->place = place;
	t->places = places;
	return 0;
}

uint32_t table_tag(const struct table *t, struct slice key)
{
	return (uint32_t)siphash(t->hash_key, key);
}

void table_ask_place(const struct table *t, uint32_t tag)
{
	if (t->places > 0)
		__builtin_prefetch(&t->place[tag & (t->places - 1)]);
}

void table_ask_sum(const struct table *t, uint32_t tag)
{
	if (t->places == 0)
		return;
	size_t at = tag & (t->places - 1);
	while (t->place[at].unit != 0 && t->place[at].tag != tag)
		at = (at + 1) & (t->places - 1);
	if (t->place[at].unit != 0)
		__builtin_prefetch(sum_at(t, t->place[at].unit), 1);
}

int table_find_tagged(struct table *t, uint32_t tag, struct slice key, struct sum **sum)
{
	size_t at = tag & (t->places - 1);
	for (; t->places > 0 && t->place[at].unit != 0; at = (at + 1) & (t->places - 1)) {
		*sum = sum_at(t, t->place[at].unit);
		if (t->place[at].tag == tag && slice_equal(sum_key(*sum), key))
			return 0;
	}
	struct place new = { .tag = tag };
	int error = t->count >= t->places / 4 * 3 ? grow(t) : 0;
	if (error == 0)
		error = append(t, key, &new.unit);
	if (error != 0)
		return error;
	*free_place(t->place, t->places, tag) = new;
	*sum = sum_at(t, new.unit);
	return 0;
}

int table_find(struct table *t, struct slice key, struct sum **sum)
{
	return table_find_tagged(t, table_tag(t, key), key, sum);
}

/* ---- a table --------------------------------------------------------------------------------- */

struct table *table_new(struct budget *budget, const struct siphash_key *hash_key)
{
	struct table *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->budget = budget;
	t->hash_key = hash_key;
	return t;
}

void table_free(struct table **t)
{
	struct table *old = *t;
	*t = NULL;
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->chunks; i++)
		free_chunk(old, i);
	free(old->chunk);
	give_memory(old->budget, old->place, old->places * sizeof(struct place));
	free(old);
}

size_t table_count(const struct table *t)
{
	return t->count;
}

struct sum *table_next(const struct table *t, struct table_walk *walk)
{
	if (walk->chunk < t->chunks && walk->at == t->chunk[walk->chunk]->used) {
		walk->chunk++;
		walk->at = 0;
	}
	if (walk->chunk >= t->chunks)
		return NULL;
	struct sum *sum = (struct sum *)(void *)&t->chunk[walk->chunk]->octets[walk->at / UNIT];
	walk->at += octets_of(sum->key_len);
	return sum;
}

/* The last chunk: of the others the numbers stay. */
int table_drain(struct table *t, struct table *from, bool *more)
{
	give_memory(from->budget, from->place, from->places * sizeof(struct place));
	from->place = NULL;
	from->places = 0;
	struct table_walk walk = { .chunk = from->chunks - 1 };
	struct sum *sum;
	while (from->chunks > 0 && (sum = table_next(from, &walk)) != NULL) {
		struct sum *to;
		int error = table_find(t, sum_key(sum), &to);
		if (error != 0)
			return error;
		sum_add(to, sum);
		from->count--;
	}
	if (from->chunks > 0)
		free_chunk(from, --from->chunks);
	*more = from->chunks > 0;
	return 0;
}
