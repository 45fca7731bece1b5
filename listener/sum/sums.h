/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SUM_SUMS_H
#define VPCFLOWD_SUM_SUMS_H

#include "flow/flow.h"
#include "sum/table.h"
#include "sum/wanted.h"

/*
 * What the workers of one run sum together: each in a table of its own, which it hands in when it has
 * no more to add. Who hands in last makes the report (sum/report.h).
 *
 *   sums_new ─▶ sums_add … ─▶ sums_hand_in ─┬─▶ others are still adding
 *                                           └─▶ the last: all tables are here
 */
struct summing;

/* NULL without memory or random numbers. What is wanted and the source must outlive it. */
struct summing *summing_new(const struct sums_wanted *wanted, const struct source *source,
			    uint64_t memory, unsigned workers);
/* Not before all sums are freed or handed in. */
void summing_free(struct summing **s);

/* One worker's; its thread's. */
struct sums;

/* NULL without memory. */
struct sums *sums_new(struct summing *summing);
void sums_free(struct sums **s);
/*
 * Adds a flow to the sum of its keys. 0, -ENOMEM, or -ENOBUFS: --aggregate-memory is used up. An error
 * may be that of a flow some calls before.
 */
MUST_CHECK int sums_add(struct sums *s, const struct flow *flow);
/* How many there are. */
size_t sums_count(const struct sums *s);
/* Hands over the table and frees the rest; whether it was the last. Or an error, as sums_add. */
MUST_CHECK int sums_hand_in(struct sums **s, bool *last);

/* ---- for the report -------------------------------------------------------------------------- */

const struct sums_wanted *summing_wanted(const struct summing *s);
const struct source *summing_source(const struct summing *s);
struct budget *summing_budget(struct summing *s);
/* A table that was handed in, from now on the caller's; NULL when there is none left. */
struct table *summing_take(struct summing *s);

#endif
