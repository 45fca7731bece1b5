/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SUM_TABLE_H
#define VPCFLOWD_SUM_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/siphash.h"

/* What tables may take together, --aggregate-memory, and how much of that they have taken. */
struct budget {
	uint64_t most;
	atomic_uint_fast64_t taken;
};

/* False: too much, and nothing is taken. Any thread's. */
MUST_CHECK bool budget_take(struct budget *b, size_t octets);
void budget_give(struct budget *b, size_t octets);

/* What was summed for one key. Sums end at 2^64-1. */
struct sum {
	uint64_t packets;
	uint64_t bytes;
	uint64_t flows;
	uint64_t start; /* the least, as it came: in seconds or milliseconds */
	uint64_t end;	/* the greatest */
	uint32_t key_len;
	bool has_start; /* some flow had one */
	bool has_end;
	bool saturated; /* a sum is larger than it says */
};

/* Of a table's sum, behind which its key lies; valid as long as the sum. */
static inline struct slice sum_key(const struct sum *s)
{
	return slice_of((const char *)(s + 1), s->key_len);
}

/* Adds up; the key stays. Whatever the order of many, the result is the same. */
void sum_add(struct sum *to, const struct sum *more);

/*
 * Sums by their keys: open addressing with linear probing, at most three quarters full, over entries
 * that lie in chunks one behind the other and never move.
 *
 *   place  |tag unit|........|tag unit|...      tag: 32 bits of the hash; unit: where, in eights
 *               |
 *   chunk  |sum key|sum key|sum key|....|       256 KiB each
 */
struct table;

/* The budget must outlive it. All tables that are merged have the same hash key. NULL: no memory. */
struct table *table_new(struct budget *budget, const struct siphash_key *hash_key);
void table_free(struct table **t);

/*
 * The sum of a key of at most KEY_LIMIT octets, all zero when it is new; stays where it is until the
 * table is freed. 0, -ENOMEM, or -ENOBUFS when the budget has no more.
 */
MUST_CHECK int table_find(struct table *t, struct slice key, struct sum **sum);
/*
 * The same in three steps, for who has other keys to go on with while memory answers: the key's tag,
 * asking for its place, asking for what may be its sum there.
 */
uint32_t table_tag(const struct table *t, struct slice key);
void table_ask_place(const struct table *t, uint32_t tag);
void table_ask_sum(const struct table *t, uint32_t tag);
MUST_CHECK int table_find_tagged(struct table *t, uint32_t tag, struct slice key, struct sum **sum);

size_t table_count(const struct table *t);

/* A walk over all sums, in the order they came: begin with zeros. NULL behind the last. */
struct table_walk {
	size_t chunk;
	size_t at;
};
struct sum *table_next(const struct table *t, struct table_walk *walk);

/*
 * Adds a chunk of another table's sums to this one's and frees it, until that is empty: *more false.
 * Nothing may be looked up in the other any more. 0, or as table_find.
 */
MUST_CHECK int table_drain(struct table *t, struct table *from, bool *more);

#endif
