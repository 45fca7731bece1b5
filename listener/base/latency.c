/* SPDX-License-Identifier: Apache-2.0 */
/* Durations into the buckets of the table in latency.h; nothing is allocated, nothing overflows. */
#include "base/latency.h"

void latency_note(struct latency *l, uint64_t ns)
{
	static const uint64_t bounds_us[LATENCY_BOUNDS] = {
#define X(us, text) (us),
		LATENCIES(X)
#undef X
	};
	unsigned i = 0;
	while (i < LATENCY_BOUNDS && ns > bounds_us[i] * 1000)
		i++;
	l->bucket[i]++;
	l->sum_ns += ns;
}

void latency_add(struct latency *l, const struct latency *more)
{
	for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
		l->bucket[i] += more->bucket[i];
	l->sum_ns += more->sum_ns;
}

void latency_subtract(struct latency *l, const struct latency *before)
{
	for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
		l->bucket[i] -= before->bucket[i];
	l->sum_ns -= before->sum_ns;
}

const char *latency_bound(unsigned bucket)
{
	static const char *const bounds[] = {
#define X(us, text) (text),
		LATENCIES(X)
#undef X
			"+Inf",
	};
	return bounds[bucket];
}
