/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_IPFIX_RECORD_H
#define VPCFLOWD_ENCODE_IPFIX_RECORD_H

#include "encode/elements.h"

/* What goes into a record at one place. */
struct record_step {
	uint8_t what;
	uint8_t octets;
	uint8_t fact;	  /* of record_facts */
	uint16_t field;	  /* of the flow */
	uint16_t instead; /* another one that comes first, where the record has it */
};

/* The elements of a variant's records, in elements.h's order, as steps to write one. */
struct record_program {
	unsigned count;
	unsigned octets;
	struct record_step step[ELEMENT_COUNT];
};

/* sums: the columns of sums of flows; NULL for flows. */
void record_compile(struct record_program *r, unsigned variant, const struct format *sums);

/* What several elements ask of a flow, found out once. */
enum { FACT_FORWARDING, FACT_FIREWALL, FACT_DIRECTION, FACT_INGRESS, FACT_EGRESS, FACT_COUNT };

struct record_facts {
	uint32_t fact[FACT_COUNT];
	struct slice interface_id;
	uint32_t interface;
};

void record_facts_of(struct record_facts *f, const struct flow *flow);

/* Writes a record of program->octets octets: what element_of says, element by element. */
void record_put(const struct record_program *r, const struct flow *flow,
		const struct record_facts *facts, char *to);

#endif
