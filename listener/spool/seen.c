/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring that grows by doubling up to its limit, and an index into it twice as large. Records are
 * forgotten at the old end only, so neither ever has holes; the index closes up behind a record that
 * goes (Knuth 6.4, algorithm R). A digest is as good as random: its first octets are its hash. One
 * lock around all of it: a look takes less than a microsecond, and is taken once a payload.
 */
#include "spool/seen.h"

#include <stdlib.h>
#include <uv.h>

enum { FIRST_ROOM = 1024, CLAIM_BUCKETS = 256 };

struct seen {
	uv_mutex_t mutex; /* of all that follows */
	uint64_t most;
	int64_t seconds;
	struct seen_payload *order;
	uint32_t *index; /* 0 for free, else place in order + 1 */
	size_t room;	 /* of order, a power of two; index has twice as many */
	size_t first;
	size_t count;
	LIST_HEAD(claims, claim) claims[CLAIM_BUCKETS];
};

struct seen *seen_new(uint64_t most, uint64_t seconds)
{
	struct seen *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	if (uv_mutex_init(&s->mutex) != 0) {
		free(s);
		return NULL;
	}
	s->most = most;
	s->seconds = (int64_t)seconds;
	return s;
}

void seen_free(struct seen **s)
{
	if (*s == NULL)
		return;
	uv_mutex_destroy(&(*s)->mutex);
	free((*s)->order);
	free((*s)->index);
	free(*s);
	*s = NULL;
}

/* ---- the index ------------------------------------------------------------------------------- */

static size_t index_mask(const struct seen *s)
{
	return 2 * s->room - 1;
}

static size_t home_of(const struct seen *s, const struct digest *digest)
{
	uint64_t hash;
	memcpy(&hash, digest->octets, sizeof(hash));
	return (size_t)hash & index_mask(s);
}

/* Where in the index the digest stands, or would. */
static size_t slot_of(const struct seen *s, const struct digest *digest)
{
	size_t slot = home_of(s, digest);
	while (s->index[slot] != 0 && !digest_equal(&s->order[s->index[slot] - 1].digest, digest))
		slot = (slot + 1) & index_mask(s);
	return slot;
}

/* Moves what stood behind a freed slot only because that was taken. */
static void close_up(struct seen *s, size_t free)
{
	size_t slot = free;
	for (;;) {
		s->index[free] = 0;
		size_t home;
		do {
			slot = (slot + 1) & index_mask(s);
			if (s->index[slot] == 0)
				return;
			home = home_of(s, &s->order[s->index[slot] - 1].digest);
			/* It may stay while its home lies behind the free slot, up to itself. */
		} while (((slot - home) & index_mask(s)) < ((slot - free) & index_mask(s)));
		s->index[free] = s->index[slot];
		free = slot;
	}
}

/* ---- the ring -------------------------------------------------------------------------------- */

static void forget_oldest(struct seen *s)
{
	close_up(s, slot_of(s, &s->order[s->first].digest));
	s->first = (s->first + 1) & (s->room - 1);
	s->count--;
}

static bool is_old(const struct seen *s, const struct seen_payload *p, int64_t now)
{
	return p->seconds <= now - s->seconds;
}

static bool grow(struct seen *s)
{
	size_t room = s->room == 0 ? FIRST_ROOM : 2 * s->room;
	struct seen_payload *order = room > UINT32_MAX / 2 ? NULL : malloc(room * sizeof(*order));
	uint32_t *index = order == NULL ? NULL : calloc(2 * room, sizeof(*index));
	if (index == NULL) {
		free(order);
		return false;
	}
	for (size_t i = 0; i < s->count; i++)
		order[i] = s->order[(s->first + i) & (s->room - 1)];
	free(s->order);
	free(s->index);
	s->order = order;
	s->index = index;
	s->room = room;
	s->first = 0;
	for (size_t i = 0; i < s->count; i++)
		index[slot_of(s, &order[i].digest)] = (uint32_t)i + 1;
	return true;
}

/* Room for one more: what is too old goes, then what is too much. */
static bool make_room(struct seen *s, int64_t now)
{
	while (s->count > 0 && (is_old(s, &s->order[s->first], now) || s->count >= s->most))
		forget_oldest(s);
	if (s->count < s->room || grow(s))
		return true;
	if (s->count == 0)
		return false;
	forget_oldest(s);
	return true;
}

/* The payload's record, unless it is unknown or too old. */
static const struct seen_payload *find(const struct seen *s, const struct digest *digest,
				       int64_t now)
{
	if (s->count == 0)
		return NULL;
	uint32_t at = s->index[slot_of(s, digest)];
	const struct seen_payload *p = at == 0 ? NULL : &s->order[at - 1];
	return p == NULL || is_old(s, p, now) ? NULL : p;
}

static bool add(struct seen *s, const struct seen_payload *payload, int64_t now)
{
	if (s->most == 0)
		return true;
	size_t known = s->count == 0 ? 0 : slot_of(s, &payload->digest);
	if (s->count > 0 && s->index[known] != 0 &&
	    !is_old(s, &s->order[s->index[known] - 1], now)) {
		s->order[s->index[known] - 1].flows = payload->flows;
		return true;
	}
	if (!make_room(s, now))
		return false;
	size_t slot = slot_of(s, &payload->digest);
	/* Too old, but not forgotten yet as one before it is younger, by a clock that was set back. */
	if (s->index[slot] != 0) {
		s->order[s->index[slot] - 1] = *payload;
		return true;
	}
	size_t at = (s->first + s->count) & (s->room - 1);
	s->order[at] = *payload;
	s->index[slot] = (uint32_t)at + 1;
	s->count++;
	return true;
}

/* ---- for the taking of payloads -------------------------------------------------------------- */

uint64_t seen_count(struct seen *s)
{
	uv_mutex_lock(&s->mutex);
	uint64_t count = s->count;
	uv_mutex_unlock(&s->mutex);
	return count;
}

bool seen_find(struct seen *s, const struct digest *digest, int64_t now, struct seen_payload *found)
{
	uv_mutex_lock(&s->mutex);
	const struct seen_payload *p = find(s, digest, now);
	if (p != NULL)
		*found = *p;
	uv_mutex_unlock(&s->mutex);
	return p != NULL;
}

bool seen_add(struct seen *s, const struct seen_payload *payload, int64_t now)
{
	uv_mutex_lock(&s->mutex);
	bool added = add(s, payload, now);
	uv_mutex_unlock(&s->mutex);
	return added;
}

/* ---- being taken ----------------------------------------------------------------------------- */

static struct claims *claims_of(struct seen *s, const struct digest *digest)
{
	return &s->claims[digest->octets[0]];
}

static bool is_claimed(struct seen *s, const struct digest *digest)
{
	const struct claim *c;
	LIST_FOREACH(c, claims_of(s, digest), link)
		if (digest_equal(&c->digest, digest))
			return true;
	return false;
}

static enum claim_result claim_or_find(struct seen *s, struct claim *claim, int64_t now,
				       struct seen_payload *found)
{
	const struct seen_payload *p = find(s, &claim->digest, now);
	if (p != NULL) {
		*found = *p;
		return CLAIM_BEFORE;
	}
	/* Who remembers nothing has nothing to tell who would wait. */
	if (s->most == 0 || s->seconds == 0)
		return CLAIM_HELD;
	if (is_claimed(s, &claim->digest))
		return CLAIM_OTHER;
	LIST_INSERT_HEAD(claims_of(s, &claim->digest), claim, link);
	claim->held = true;
	return CLAIM_HELD;
}

enum claim_result seen_claim(struct seen *s, struct claim *claim, int64_t now,
			     struct seen_payload *found)
{
	uv_mutex_lock(&s->mutex);
	enum claim_result result = claim_or_find(s, claim, now, found);
	uv_mutex_unlock(&s->mutex);
	return result;
}

void seen_release(struct seen *s, struct claim *claim)
{
	if (!claim->held)
		return;
	uv_mutex_lock(&s->mutex);
	LIST_REMOVE(claim, link);
	uv_mutex_unlock(&s->mutex);
	claim->held = false;
}
