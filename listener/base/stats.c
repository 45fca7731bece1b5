/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as text, out of the tables in stats.h and result.h. */
#include "base/stats.h"

#include <inttypes.h>

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

void stats_print(const struct stats *s, FILE *out)
{
#define X(member, help) fprintf(out, #member "=%" PRIu64 "\n", s->member);
	COUNTERS(X)
#undef X
#define X(code, name, text)                                                                        \
	if (s->fault[FAULT_##code] != 0)                                                           \
		fprintf(out, "rejected_" name "=%" PRIu64 "\n", s->fault[FAULT_##code]);
	RECORD_FAULTS(X)
#undef X
#define X(code, name, text)                                                                        \
	if (s->fault[FAULT_##code] != 0)                                                           \
		fprintf(out, "payloads_rejected_" name "=%" PRIu64 "\n", s->fault[FAULT_##code]);
	PAYLOAD_FAULTS(X)
#undef X
	for (unsigned i = 0; i < CLOSE_COUNT; i++)
		if (s->closed[i] != 0)
			fprintf(out, "closed_%s=%" PRIu64 "\n", close_reason_name(i), s->closed[i]);
}
