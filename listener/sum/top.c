/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A heap with the least on top, then sorted in place: no memory but what is lent, and steps that are
 * short, whatever the number.
 */
#include "sum/top.h"

void top_init(struct top *t, struct rank *rank, size_t room)
{
	*t = (struct top){ .rank = rank, .room = room };
}

/* Whether a comes after b. */
static bool is_less(const struct rank *a, const struct rank *b)
{
	if (a->value != b->value)
		return a->value < b->value;
	struct slice x = sum_key(a->sum);
	struct slice y = sum_key(b->sum);
	int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
	return order != 0 ? order > 0 : x.len > y.len;
}

static void swap(struct rank *a, struct rank *b)
{
	struct rank was = *a;
	*a = *b;
	*b = was;
}

static void rise(struct rank *heap, size_t at)
{
	while (at > 0 && is_less(&heap[at], &heap[(at - 1) / 2])) {
		swap(&heap[at], &heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

/* The top one, among so many. */
static void sink(struct rank *heap, size_t count)
{
	size_t at = 0;
	for (size_t child = 1; child < count; child = 2 * at + 1) {
		if (child + 1 < count && is_less(&heap[child + 1], &heap[child]))
			child++;
		if (!is_less(&heap[child], &heap[at]))
			break;
		swap(&heap[child], &heap[at]);
		at = child;
	}
}

void top_offer(struct top *t, uint64_t value, const struct sum *sum)
{
	const struct rank new = { value, sum };
	if (t->count < t->room) {
		t->rank[t->count] = new;
		rise(t->rank, t->count++);
	} else if (t->room > 0 && is_less(&t->rank[0], &new)) {
		t->rank[0] = new;
		sink(t->rank, t->count);
	}
	t->heaped = t->count;
}

bool top_settle(struct top *t)
{
	if (t->heaped <= 1)
		return false;
	swap(&t->rank[0], &t->rank[--t->heaped]);
	sink(t->rank, t->heaped);
	return true;
}
