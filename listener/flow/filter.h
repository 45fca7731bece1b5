/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_FILTER_H
#define VPCFLOWD_FLOW_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/slice.h"
#include "flow/fields.h"

struct flow;

/*
 * Which flows are wanted, as --filter has it:
 *
 *   action = REJECT and dstport in 22,3389 and not srcaddr in 10.0.0.0/8
 *
 * Compiled once, then read-only: any number of threads may ask it.
 */
struct filter;

enum {
	FILTER_TEXT = 64 *
		      1024, /* octets of an expression: half of what Linux lets an argument be */
	FILTER_WHY = 160,
	FILTER_SHOWN = 80, /* columns of an expression that are shown around a mistake */
};

/* What is wrong with an expression: where, in octets (behind its end with len 1), and why. */
struct filter_mistake {
	size_t at;
	size_t len; /* at least 1 */
	char why[FILTER_WHY];
};

/*
 * Compiles an expression. True: *filter owns all of it, a copy of the text too, until filter_free.
 * False with the mistake filled in; without memory that is its why.
 */
MUST_CHECK bool filter_compile(struct filter **filter, struct slice text,
			       struct filter_mistake *mistake);
void filter_free(struct filter **filter);

/*
 * Whether the flow is wanted. A comparison with a field that the record does not have is false. One
 * pass over the terms that decide it, each at most once: no recursion, no allocation.
 */
bool filter_keeps(const struct filter *filter, const struct flow *flow);

/* The expression as it was given, on one line and printable; lives as long as the filter. */
struct slice filter_text(const struct filter *filter);
/* Whether some term asks for the field. */
bool filter_asks(const struct filter *filter, enum field field);

/*
 * Writes what there is to see of a mistake: the expression around it, printable whatever is in it, and
 * carets to go under that. Both are NUL-terminated.
 */
void filter_show(struct slice text, const struct filter_mistake *mistake,
		 char shown[FILTER_SHOWN + 1], char carets[FILTER_SHOWN + 1]);

#endif
