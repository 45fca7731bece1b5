/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as text, out of the tables in stats.h and result.h. */
#include "base/stats.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

const char *close_reason_name(enum close_reason reason)
{
	static const char *const names[] = {
#define X(code, name, text) [CLOSE_##code] = (name),
		CLOSE_REASONS(X)
#undef X
	};
	return names[reason];
}

const char *close_reason_text(enum close_reason reason)
{
	static const char *const texts[] = {
#define X(code, name, text) [CLOSE_##code] = (text),
		CLOSE_REASONS(X)
#undef X
	};
	return texts[reason];
}

const struct counter_row stats_rows[] = {
#define X(member, type, metric, label, help)                                                       \
	{ #member, offsetof(struct stats, member), type, metric, label, help },
	COUNTERS(X)
#undef X
};

const size_t stats_row_count = sizeof(stats_rows) / sizeof(*stats_rows);

uint64_t counter_of(const void *counters, const struct counter_row *row)
{
	uint64_t n;
	memcpy(&n, (const char *)counters + row->offset, sizeof(n));
	return n;
}

void stats_add(struct stats *s, const struct stats *more)
{
#define X(member, type, metric, label, help) s->member += more->member;
	COUNTERS(X)
#undef X
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		s->fault[i] += more->fault[i];
	for (unsigned i = 0; i < CLOSE_COUNT; i++)
		s->closed[i] += more->closed[i];
	latency_add(&s->ack, &more->ack);
}

void stats_subtract(struct stats *s, const struct stats *before)
{
#define X(member, type, metric, label, help) s->member -= (type) == GAUGE ? 0 : before->member;
	COUNTERS(X)
#undef X
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		s->fault[i] -= before->fault[i];
	for (unsigned i = 0; i < CLOSE_COUNT; i++)
		s->closed[i] -= before->closed[i];
	latency_subtract(&s->ack, &before->ack);
}

void stats_print(const struct stats *s, FILE *out)
{
	for (size_t i = 0; i < stats_row_count; i++)
		fprintf(out, "%s=%" PRIu64 "\n", stats_rows[i].name, counter_of(s, &stats_rows[i]));
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		if (s->fault[i] != 0)
			fprintf(out, "%s_%s=%" PRIu64 "\n",
				fault_is_record(i) ? "rejected" : "payloads_rejected",
				fault_name(i), s->fault[i]);
	for (unsigned i = 0; i < CLOSE_COUNT; i++)
		if (s->closed[i] != 0)
			fprintf(out, "closed_%s=%" PRIu64 "\n", close_reason_name(i), s->closed[i]);
}
