/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_LATENCY_H
#define VPCFLOWD_BASE_LATENCY_H

#include <stdint.h>

/*
 * How often something took how long: fixed buckets, each with what took at most so many microseconds
 * and more than the bucket before; one more has the rest. Without --spool an ACK waits for outputs,
 * with it for a disk: hence from half a millisecond to a minute. Upper bound, the same in seconds.
 */
#define LATENCIES(X)                                                                               \
	X(500, "0.0005")                                                                           \
	X(1000, "0.001")                                                                           \
	X(2500, "0.0025")                                                                          \
	X(5000, "0.005")                                                                           \
	X(10000, "0.01")                                                                           \
	X(25000, "0.025")                                                                          \
	X(50000, "0.05")                                                                           \
	X(100000, "0.1")                                                                           \
	X(250000, "0.25")                                                                          \
	X(500000, "0.5")                                                                           \
	X(1000000, "1")                                                                            \
	X(2500000, "2.5")                                                                          \
	X(5000000, "5")                                                                            \
	X(10000000, "10")                                                                          \
	X(30000000, "30")                                                                          \
	X(60000000, "60")

enum {
#define X(us, text) LATENCY_##us,
	LATENCIES(X)
#undef X
		LATENCY_BOUNDS
};

struct latency {
	uint64_t bucket[LATENCY_BOUNDS + 1];
	uint64_t sum_ns;
};

void latency_note(struct latency *l, uint64_t ns);
void latency_add(struct latency *l, const struct latency *more);
/* Takes away what was noted before. */
void latency_subtract(struct latency *l, const struct latency *before);
/* The bound of a bucket in seconds, "+Inf" for the last. */
const char *latency_bound(unsigned bucket);

#endif
