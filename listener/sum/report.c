/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums to flows of a format of their own, in steps of some thousand sums at most. Encoders need know
 * nothing of sums: what was a key is a column as of any record, and what was summed is one too.
 */
#include "sum/report.h"

#include <errno.h>
#include <stdlib.h>

#include "sum/key.h"
#include "sum/top.h"

enum { STEP_SUMS = 4096 };

enum stage { MERGING, RANKING, SETTLING, SHOWING };

struct report {
	struct summing *summing;
	enum stage stage;
	struct table *table;
	struct table *part; /* going into table */
	struct table_walk walk;
	struct top top;
	size_t next; /* to be shown */
	struct report_counts counts;
	struct flow flow;
	struct buf texts;
};

struct report *report_new(struct summing *summing)
{
	struct report *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->summing = summing;
	r->table = summing_take(summing);
	r->flow.format = summing_wanted(summing)->format;
	r->flow.source = summing_source(summing);
	buf_init(&r->texts, KEY_TEXTS);
	if (!buf_reserve(&r->texts, KEY_TEXTS))
		report_free(&r);
	return r;
}

void report_free(struct report **r)
{
	struct report *old = *r;
	*r = NULL;
	if (old == NULL)
		return;
	if (old->top.rank != NULL)
		budget_give(summing_budget(old->summing), old->top.room * sizeof(struct rank));
	free(old->top.rank);
	table_free(&old->table);
	table_free(&old->part);
	buf_deinit(&old->texts);
	free(old);
}

/* ---- one table of all ------------------------------------------------------------------------ */

/* Room for as many as are to be shown. */
static int begin_ranking(struct report *r)
{
	uint64_t most = summing_wanted(r->summing)->top;
	r->counts.keys = table_count(r->table);
	size_t room = most == 0 || most > r->counts.keys ? r->counts.keys : (size_t)most;
	r->stage = RANKING;
	if (room == 0)
		return 0;
	if (!budget_take(summing_budget(r->summing), room * sizeof(struct rank)))
		return -ENOBUFS;
	struct rank *rank = malloc(room * sizeof(*rank));
	if (rank == NULL) {
		budget_give(summing_budget(r->summing), room * sizeof(*rank));
		return -ENOMEM;
	}
	top_init(&r->top, rank, room);
	return 0;
}

static int merge(struct report *r)
{
	bool more;
	if (r->part == NULL)
		r->part = summing_take(r->summing);
	if (r->part == NULL)
		return begin_ranking(r);
	if (table_count(r->part) > table_count(r->table)) {
		struct table *larger = r->part;
		r->part = r->table;
		r->table = larger;
	}
	int error = table_drain(r->table, r->part, &more);
	if (error == 0 && !more)
		table_free(&r->part);
	return error;
}

/* ---- their order ----------------------------------------------------------------------------- */

static uint64_t value_of(const struct sum *s, enum sum_order order)
{
	switch (order) {
	case BY_PACKETS:
		return s->packets;
	case BY_FLOWS:
		return s->flows;
	default:
		return s->bytes;
	}
}

static void rank(struct report *r)
{
	enum sum_order order = summing_wanted(r->summing)->order;
	for (unsigned n = 0; n < STEP_SUMS; n++) {
		const struct sum *sum = table_next(r->table, &r->walk);
		if (sum == NULL) {
			r->stage = SETTLING;
			return;
		}
		top_offer(&r->top, value_of(sum, order), sum);
	}
}

static void settle(struct report *r)
{
	for (unsigned n = 0; n < STEP_SUMS; n++) {
		if (!top_settle(&r->top)) {
			r->stage = SHOWING;
			return;
		}
	}
}

/* ---- flows ----------------------------------------------------------------------------------- */

static void show_number(struct report *r, enum field field, bool there, uint64_t number)
{
	struct value *v = &r->flow.value[r->flow.format->place[field]];
	v->text = SLICE_NONE;
	if (there)
		key_show_number(number, v, &r->texts);
}

static const struct flow *show(struct report *r, const struct sum *s)
{
	key_show(sum_key(s), summing_wanted(r->summing)->keys, &r->flow, &r->texts);
	show_number(r, FIELD_PACKETS, true, s->packets);
	show_number(r, FIELD_BYTES, true, s->bytes);
	show_number(r, FIELD_FLOWS, true, s->flows);
	show_number(r, FIELD_START, s->has_start, s->start);
	show_number(r, FIELD_END, s->has_end, s->end);
	r->counts.shown++;
	r->counts.saturated += s->saturated;
	return &r->flow;
}

enum step report_next(struct report *r, const struct flow **flow, int *error)
{
	*flow = NULL;
	*error = 0;
	switch (r->stage) {
	case MERGING:
		*error = merge(r);
		return *error == 0 ? STEP_OK : STEP_BAD;
	case RANKING:
		rank(r);
		return STEP_OK;
	case SETTLING:
		settle(r);
		return STEP_OK;
	default:
		if (r->next == r->top.count)
			return STEP_MORE;
		*flow = show(r, r->top.rank[r->next++].sum);
		return STEP_OK;
	}
}

struct report_counts report_counts(const struct report *r)
{
	return r->counts;
}
