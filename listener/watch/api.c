/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest publication and the watches in, JSON out. Counters come from the tables that USR1 prints
 * from, under the same names. Foreign text is escaped; numbers are whole and below 2^64.
 */
#include "watch/api.h"

#include <inttypes.h>
#include <stdlib.h>

#include "watch/health.h"
#include "watch/json_text.h"
#include "watch/watches.h"

enum { HEALTH_ROOM = 64 * 1024 };

static unsigned status_of(const struct text *t)
{
	return t->failed ? 0 : 200;
}

static void add_name(struct text *t, bool first, const char *name)
{
	text_add(t, "%s\"%s\":", first ? "" : ",", name);
}

static void add_number(struct text *t, bool first, const char *name, uint64_t n)
{
	add_name(t, first, name);
	text_add(t, "%" PRIu64, n);
}

static void add_bool(struct text *t, const char *name, bool value)
{
	add_name(t, false, name);
	text_add(t, "%s", value ? "true" : "false");
}

/* ---- /api/summary ---------------------------------------------------------------------------- */

static void add_counters(struct text *t, const struct stats *s)
{
	for (size_t i = 0; i < stats_row_count; i++)
		add_number(t, i == 0, stats_rows[i].name, counter_of(s, &stats_rows[i]));
}

/* Reasons that were met, of records or of payloads. */
static void add_reasons(struct text *t, const struct stats *s, bool records)
{
	bool first = true;
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		if (fault_is_record(i) != records || s->fault[i] == 0)
			continue;
		add_number(t, first, fault_name(i), s->fault[i]);
		first = false;
	}
}

static const char *output_state(const struct published *p, size_t number)
{
	if (!p->output[number].up)
		return "down";
	return p->counts.output[number].full > 0 ? "full" : "up";
}

static void add_output(struct text *t, const struct published *p, size_t number)
{
	const struct output_config *o = &p->first->output[number];
	const char *colon = strchr(o->name, ':');
	text_add(t, "%s{\"format\":\"%s\",\"destination\":", number == 0 ? "" : ",",
		 o->encoder.class->name);
	json_text_add(t, slice_text(colon == NULL ? "-" : colon + 1));
	text_add(t, ",\"state\":\"%s\"", output_state(p, number));
	for (size_t i = 0; i < output_row_count; i++)
		if (output_counts(o, i))
			add_number(t, false, output_rows[i].name,
				   counter_of(&p->counts.output[number], &output_rows[i]));
	text_add(t, "}");
}

static void add_spool(struct text *t, const struct published *p)
{
	add_name(t, false, "spool");
	if (p->first->spool == NULL) {
		text_add(t, "null");
		return;
	}
	text_add(t, "{");
	add_number(t, true, "bytes", p->counts.stats.spool_bytes);
	add_number(t, false, "limit", p->config->limits.spool_max);
	add_bool(t, "full", p->spool_full);
	text_add(t, "}");
}

/* What /healthz says, a line a reason. */
static void add_health(struct text *t, const struct published *p)
{
	struct buf said;
	buf_init(&said, HEALTH_ROOM);
	unsigned status = health_make(&said, p);
	add_bool(t, "healthy", status == 200);
	text_add(t, ",\"reasons\":[");
	bool first = true;
	for (struct slice rest = buf_slice(&said); status != 200 && rest.len > 0; first = false) {
		const char *end = memchr(rest.data, '\n', rest.len);
		size_t len = end == NULL ? rest.len : (size_t)(end - rest.data);
		text_add(t, first ? "" : ",");
		json_text_add(t, slice_of(rest.data, len));
		slice_skip(&rest, end == NULL ? len : len + 1);
	}
	text_add(t, "]");
	buf_deinit(&said);
}

unsigned api_summary(struct buf *body, const struct published *p)
{
	struct text t = { .buf = body };
	text_add(&t, "{\"version\":\"" VPCFLOWD_VERSION "\"");
	add_number(&t, false, "time_ms", p->time);
	add_number(&t, false, "started_ms", p->started);
	add_number(&t, false, "uptime_ms", p->uptime_ms);
	add_number(&t, false, "workers", p->workers);
	add_health(&t, p);
	text_add(&t, ",\"counters\":{");
	add_counters(&t, &p->counts.stats);
	text_add(&t, "},\"rejected\":{");
	add_reasons(&t, &p->counts.stats, true);
	text_add(&t, "},\"payloads_rejected\":{");
	add_reasons(&t, &p->counts.stats, false);
	text_add(&t, "},\"outputs\":[");
	for (size_t i = 0; i < p->first->outputs; i++)
		add_output(&t, p, i);
	text_add(&t, "]");
	add_spool(&t, p);
	text_add(&t, "}\n");
	return status_of(&t);
}

/* ---- /api/series ----------------------------------------------------------------------------- */

/* The complete seconds since the start, at most all of the ring. */
static uint64_t seconds_shown(const struct published *p, uint64_t end)
{
	uint64_t now = p->at_ns / 1000000000;
	uint64_t start = now - p->uptime_ms / 1000;
	if (end <= start)
		return 0;
	return end - start < SERIES_SECONDS ? end - start : SERIES_SECONDS;
}

static void add_seconds(struct text *t, const struct series *s, uint64_t end, uint64_t count)
{
#define X(member, help)                                                                            \
	text_add(t, ",\"" #member "\":[");                                                         \
	for (uint64_t n = end - count; n < end; n++)                                               \
		text_add(t, "%s%" PRIu64, n == end - count ? "" : ",", series_at(s, n).member);    \
	text_add(t, "]");
	SERIES(X)
#undef X
}

unsigned api_series(struct buf *body, const struct published *p)
{
	struct text t = { .buf = body };
	struct series *sum = calloc(1, sizeof(*sum));
	if (sum == NULL)
		return 0;
	uint64_t end = watches_series(p->watches, sum);
	uint64_t count = seconds_shown(p, end);
	uint64_t now_ms = p->at_ns / 1000000;
	text_add(&t, "{");
	add_number(&t, true, "end_ms", count == 0 ? p->time : p->time - (now_ms - end * 1000));
	add_number(&t, false, "seconds", count);
	add_seconds(&t, sum, end, count);
	text_add(&t, "}\n");
	free(sum);
	return status_of(&t);
}

/* ---- /api/top -------------------------------------------------------------------------------- */

static void add_item(struct text *t, enum watch_list list, const struct heavy_item *item,
		     bool first)
{
	char room[KEY_TEXT];
	text_add(t, "%s{\"name\":", first ? "" : ",");
	json_text_add(t, watch_key_text(list, item, room));
	if (item->cut)
		add_bool(t, "cut", true);
	add_number(t, false, "least", item->least);
	add_number(t, false, "most", item->most);
	text_add(t, "}");
}

static void add_list(struct text *t, const struct lists *l, enum watch_list list)
{
	struct heavy_item item[API_TOP];
	unsigned count = heavy_best(&l->top[list], item, API_TOP);
	add_name(t, list == 0, watch_list_name(list));
	text_add(t, "{\"unit\":\"%s\"", watch_list_unit(list));
	add_number(t, false, "total", l->top[list].total);
	add_number(t, false, "others_most", heavy_floor(&l->top[list]));
	text_add(t, ",\"items\":[");
	for (unsigned i = 0; i < count; i++)
		add_item(t, list, &item[i], i == 0);
	text_add(t, "]}");
}

static unsigned top(struct buf *body, const struct published *p, enum watch_window window)
{
	struct text t = { .buf = body };
	struct lists sum;
	if (!lists_init(&sum, &p->watches->seed))
		return 0;
	watches_gather(p->watches, window, &sum);
	text_add(&t, "{\"window\":\"%s\",\"lists\":{", watch_window_name(window));
	for (unsigned i = 0; i < LIST_COUNT; i++)
		add_list(&t, &sum, i);
	text_add(&t, "}}\n");
	lists_deinit(&sum);
	return status_of(&t);
}

unsigned api_top_minute(struct buf *body, const struct published *p)
{
	return top(body, p, WINDOW_MINUTE);
}

unsigned api_top_quarter(struct buf *body, const struct published *p)
{
	return top(body, p, WINDOW_QUARTER);
}

unsigned api_top_start(struct buf *body, const struct published *p)
{
	return top(body, p, WINDOW_START);
}
