/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SUM_WANTED_H
#define VPCFLOWD_SUM_WANTED_H

#include <stdint.h>

#include "base/attributes.h"
#include "flow/format.h"

/* What sums can be ordered by, the largest first: code, word of --by. */
#define SUM_ORDERS(X)                                                                              \
	X(BYTES, "bytes")                                                                          \
	X(PACKETS, "packets")                                                                      \
	X(FLOWS, "flows")

enum sum_order {
#define X(code, word) BY_##code,
	SUM_ORDERS(X)
#undef X
		BY_COUNT
};

/* What --aggregate, --top and --by ask for. */
struct sums_wanted {
	struct format *format; /* the keys, then packets, bytes, flows, start, end; NULL: no sums */
	unsigned keys;
	uint64_t top; /* so many of them, 0 for all */
	enum sum_order order;
	bool has_order; /* --by was given */
};

/* What is wrong with KEYS, and the name it lies in, or the beginning of that. */
struct wanted_mistake {
	const char *why;
	char name[COLUMN_NAME_LIMIT];
	size_t len;
};

/*
 * Reads KEYS: AWS's field names between commas or spaces, or 5-tuple (or default) for the addresses,
 * ports and protocol. False with the mistake; the wanted is as before.
 */
MUST_CHECK bool wanted_set_keys(struct sums_wanted *w, struct slice text,
				struct wanted_mistake *mistake);
MUST_CHECK bool wanted_set_order(struct sums_wanted *w, struct slice word);
const char *wanted_order(const struct sums_wanted *w);
void wanted_deinit(struct sums_wanted *w);

#endif
