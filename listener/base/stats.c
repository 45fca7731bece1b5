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

/* A name and where its number stands in struct stats. */
static const struct {
	const char *name;
	size_t offset;
} counters[] = {
#define X(member, help) { #member, offsetof(struct stats, member) },
	COUNTERS(X)
#undef X
};

void stats_add(struct stats *s, const struct stats *more)
{
#define X(member, help) s->member += more->member;
	COUNTERS(X)
#undef X
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		s->fault[i] += more->fault[i];
	for (unsigned i = 0; i < CLOSE_COUNT; i++)
		s->closed[i] += more->closed[i];
}

void stats_print(const struct stats *s, FILE *out)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++) {
		uint64_t n;
		memcpy(&n, (const char *)s + counters[i].offset, sizeof(n));
		fprintf(out, "%s=%" PRIu64 "\n", counters[i].name, n);
	}
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		if (s->fault[i] != 0)
			fprintf(out, "%s_%s=%" PRIu64 "\n",
				fault_is_record(i) ? "rejected" : "payloads_rejected",
				fault_name(i), s->fault[i]);
	for (unsigned i = 0; i < CLOSE_COUNT; i++)
		if (s->closed[i] != 0)
			fprintf(out, "closed_%s=%" PRIu64 "\n", close_reason_name(i), s->closed[i]);
}
