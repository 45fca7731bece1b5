/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SUM_REPORT_H
#define VPCFLOWD_SUM_REPORT_H

#include "sum/sums.h"

/*
 * All that was handed in, as flows: the tables of all workers become one, of which the largest sums
 * are written, the largest first.
 *
 *   merge tables ─▶ rank ─▶ settle their order ─▶ show one after the other
 */
struct report;

/* The summing must outlive it. NULL without memory. */
struct report *report_new(struct summing *summing);
void report_free(struct report **r);

/*
 * One short step. STEP_OK: call again; *flow is the next sum, valid until then, or NULL when there was
 * other work. STEP_MORE: that was all. STEP_BAD: *error is -ENOMEM or -ENOBUFS, as of table_find.
 */
MUST_CHECK enum step report_next(struct report *r, const struct flow **flow, int *error);

/* How many keys there were, sums shown, and of these such that are larger than they say. */
struct report_counts {
	uint64_t keys;
	uint64_t shown;
	uint64_t saturated;
};
struct report_counts report_counts(const struct report *r);

#endif
