/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_IPFIX_RECORD_H
#define VPCFLOWD_ENCODE_IPFIX_RECORD_H

#include "encode/elements.h"

/* What records of a variant have: a bit for each element, and their octets. */
struct record_shape {
	uint32_t elements;
	unsigned octets;
};

/* sums: the columns of sums of flows; NULL for flows. */
void record_shape_of(struct record_shape *s, unsigned variant, const struct format *sums);

/* What several elements ask of a flow, found out once. */
enum { FACT_FORWARDING, FACT_FIREWALL, FACT_DIRECTION, FACT_INGRESS, FACT_EGRESS, FACT_COUNT };

struct record_facts {
	uint32_t fact[FACT_COUNT];
	struct slice interface_id;
	uint32_t interface;
};

void record_facts_of(struct record_facts *f, const struct flow *flow);

/*
 * Writes a record of a variant, which has this shape: what element_of says, element by element. Gives
 * back where it ends, shape->octets on.
 */
char *record_put(char *to, const struct flow *flow, const struct record_facts *facts,
		 const struct record_shape *shape, unsigned variant);

#endif
