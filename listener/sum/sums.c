/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows in, and nothing out before the last: a sum that is not of all flows is none. A flow that lacks
 * a key has it empty; one that lacks packets or bytes counts as a flow with none.
 */
#include "sum/sums.h"

#include <pthread.h>
#include <stdlib.h>

#include "sum/key.h"

struct summing {
	const struct sums_wanted *wanted;
	const struct source *source;
	struct siphash_key hash_key;
	struct budget budget;
	pthread_mutex_t mutex; /* of what follows */
	unsigned adding;       /* workers that have not handed in */
	struct table **table;
	unsigned tables;
};

enum {
	WAITING_MOST = 16,
	WAITING_KEY = 96, /* octets of a key that may wait: all but those of long texts */
};

/*
 * Flows on their way into the table. A table that is larger than a cache takes its time to answer:
 * it is asked for many of them before the first is needed.
 */
struct waiting {
	uint32_t tag;
	struct sum sum; /* of the one flow */
	char key[WAITING_KEY];
};

struct sums {
	struct summing *summing;
	struct table *table;
	struct waiting waiting[WAITING_MOST];
	unsigned waits;
	char key[KEY_LIMIT];
};

struct summing *summing_new(const struct sums_wanted *wanted, const struct source *source,
			    uint64_t memory, unsigned workers)
{
	struct summing *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers. */
	s->table = calloc(workers, sizeof(*s->table));
	if (s->table == NULL || siphash_key_make(&s->hash_key) != 0 ||
	    pthread_mutex_init(&s->mutex, NULL) != 0) {
		free(s->table);
		free(s);
		return NULL;
	}
	s->wanted = wanted;
	s->source = source;
	s->adding = workers;
	s->budget.most = memory;
	atomic_init(&s->budget.taken, 0);
	return s;
}

void summing_free(struct summing **s)
{
	struct summing *old = *s;
	struct table *t;
	*s = NULL;
	if (old == NULL)
		return;
	while ((t = summing_take(old)) != NULL)
		table_free(&t);
	pthread_mutex_destroy(&old->mutex);
	free(old->table);
	free(old);
}

struct sums *sums_new(struct summing *summing)
{
	struct sums *s = malloc(sizeof(*s));
	if (s == NULL)
		return NULL;
	s->summing = summing;
	s->waits = 0;
	s->table = table_new(&summing->budget, &summing->hash_key);
	if (s->table == NULL)
		sums_free(&s);
	return s;
}

void sums_free(struct sums **s)
{
	struct sums *old = *s;
	*s = NULL;
	if (old == NULL)
		return;
	table_free(&old->table);
	free(old);
}

/* A number of a flow; false when it is not there. */
static bool get(const struct flow *flow, enum field field, uint64_t *n)
{
	const struct value *v = flow_value(flow, field);
	*n = v == NULL ? 0 : v->number;
	return v != NULL;
}

static struct sum sum_of(const struct flow *flow)
{
	struct sum one = { .flows = 1 };
	(void)get(flow, FIELD_PACKETS, &one.packets);
	(void)get(flow, FIELD_BYTES, &one.bytes);
	one.has_start = get(flow, FIELD_START, &one.start);
	one.has_end = get(flow, FIELD_END, &one.end);
	return one;
}

static int put(struct sums *s, uint32_t tag, struct slice key, const struct sum *one)
{
	struct sum *sum;
	int error = table_find_tagged(s->table, tag, key, &sum);
	if (error == 0)
		sum_add(sum, one);
	return error;
}

/* All that wait go into the table. */
static int put_waiting(struct sums *s)
{
	int error = 0;
	for (unsigned i = 0; i < s->waits; i++)
		table_ask_sum(s->table, s->waiting[i].tag);
	for (unsigned i = 0; i < s->waits && error == 0; i++) {
		const struct waiting *w = &s->waiting[i];
		error = put(s, w->tag, slice_of(w->key, w->sum.key_len), &w->sum);
	}
	s->waits = 0;
	return error;
}

int sums_add(struct sums *s, const struct flow *flow)
{
	const struct sums_wanted *wanted = s->summing->wanted;
	struct slice key = key_of(flow, wanted->format, wanted->keys, s->key);
	uint32_t tag = table_tag(s->table, key);
	struct sum one = sum_of(flow);
	if (key.len > WAITING_KEY)
		return put(s, tag, key, &one);
	struct waiting *w = &s->waiting[s->waits++];
	table_ask_place(s->table, tag);
	w->tag = tag;
	w->sum = one;
	w->sum.key_len = (uint32_t)key.len;
	memcpy(w->key, key.data, key.len);
	return s->waits == WAITING_MOST ? put_waiting(s) : 0;
}

size_t sums_count(const struct sums *s)
{
	return table_count(s->table);
}

int sums_hand_in(struct sums **s, bool *last)
{
	struct sums *old = *s;
	struct summing *summing = old->summing;
	int error = put_waiting(old);
	if (error != 0)
		return error;
	pthread_mutex_lock(&summing->mutex);
	summing->table[summing->tables++] = old->table;
	*last = --summing->adding == 0;
	pthread_mutex_unlock(&summing->mutex);
	old->table = NULL;
	sums_free(s);
	return 0;
}

const struct sums_wanted *summing_wanted(const struct summing *s)
{
	return s->wanted;
}

const struct source *summing_source(const struct summing *s)
{
	return s->source;
}

struct budget *summing_budget(struct summing *s)
{
	return &s->budget;
}

struct table *summing_take(struct summing *s)
{
	pthread_mutex_lock(&s->mutex);
	struct table *t = s->tables == 0 ? NULL : s->table[--s->tables];
	pthread_mutex_unlock(&s->mutex);
	return t;
}
