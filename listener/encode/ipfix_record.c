/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows to the octets of IPFIX Data Records, by a list of steps for each variant, made once. elements.c
 * has the rules and says them one element at a time; here they are asked once a flow. The unit tests
 * hold every record to element_of.
 */
#include "encode/ipfix_record.h"

#include <endian.h>

enum what { PUT_ADDRESS, PUT_EXPORTER, PUT_NUMBER, PUT_TIME, PUT_FACT };

#define NONE FIELD_UNKNOWN

static const struct record_step steps[ELEMENT_COUNT] = {
	[ELEMENT_SOURCE_IPV4] = { PUT_ADDRESS, 4, 0, FIELD_SRCADDR, FIELD_PKT_SRCADDR },
	[ELEMENT_SOURCE_IPV6] = { PUT_ADDRESS, 16, 0, FIELD_SRCADDR, FIELD_PKT_SRCADDR },
	[ELEMENT_DESTINATION_IPV4] = { PUT_ADDRESS, 4, 0, FIELD_DSTADDR, FIELD_PKT_DSTADDR },
	[ELEMENT_DESTINATION_IPV6] = { PUT_ADDRESS, 16, 0, FIELD_DSTADDR, FIELD_PKT_DSTADDR },
	[ELEMENT_SOURCE_PORT] = { PUT_NUMBER, 2, 0, FIELD_SRCPORT, NONE },
	[ELEMENT_DESTINATION_PORT] = { PUT_NUMBER, 2, 0, FIELD_DSTPORT, NONE },
	[ELEMENT_PROTOCOL] = { PUT_NUMBER, 1, 0, FIELD_PROTOCOL, NONE },
	[ELEMENT_PACKETS] = { PUT_NUMBER, 8, 0, FIELD_PACKETS, NONE },
	[ELEMENT_OCTETS] = { PUT_NUMBER, 8, 0, FIELD_BYTES, NONE },
	[ELEMENT_FLOWS] = { PUT_NUMBER, 8, 0, FIELD_FLOWS, NONE },
	[ELEMENT_START] = { PUT_TIME, 8, 0, FIELD_START, NONE },
	[ELEMENT_END] = { PUT_TIME, 8, 0, FIELD_END, NONE },
	[ELEMENT_TCP_CONTROL_BITS] = { PUT_NUMBER, 1, 0, FIELD_TCP_FLAGS, NONE },
	[ELEMENT_FORWARDING_STATUS] = { PUT_FACT, 1, FACT_FORWARDING, NONE, NONE },
	[ELEMENT_FIREWALL_EVENT] = { PUT_FACT, 1, FACT_FIREWALL, NONE, NONE },
	[ELEMENT_DIRECTION] = { PUT_FACT, 1, FACT_DIRECTION, NONE, NONE },
	[ELEMENT_INGRESS_INTERFACE] = { PUT_FACT, 4, FACT_INGRESS, NONE, NONE },
	[ELEMENT_EGRESS_INTERFACE] = { PUT_FACT, 4, FACT_EGRESS, NONE, NONE },
	[ELEMENT_EXPORTER_IPV4] = { PUT_EXPORTER, 4, 0, NONE, NONE },
	[ELEMENT_EXPORTER_IPV6] = { PUT_EXPORTER, 16, 0, NONE, NONE },
	[ELEMENT_VIEW_SOURCE_IPV4] = { PUT_ADDRESS, 4, 0, FIELD_SRCADDR, NONE },
	[ELEMENT_VIEW_DESTINATION_IPV4] = { PUT_ADDRESS, 4, 0, FIELD_DSTADDR, NONE },
	[ELEMENT_VIEW_SOURCE_IPV6] = { PUT_ADDRESS, 16, 0, FIELD_SRCADDR, NONE },
	[ELEMENT_VIEW_DESTINATION_IPV6] = { PUT_ADDRESS, 16, 0, FIELD_DSTADDR, NONE },
};

void record_compile(struct record_program *r, unsigned variant, const struct format *sums)
{
	r->count = 0;
	r->octets = 0;
	for (enum element e = 0; e < ELEMENT_COUNT; e++) {
		if (!element_in(e, variant, sums))
			continue;
		r->step[r->count] = steps[e];
		/* What the interface saw is the flow's address, unless it stands beside it. */
		if (!(variant & VARIANT_VIEW))
			r->step[r->count].instead = NONE;
		r->count++;
		r->octets += steps[e].octets;
	}
}

void record_facts_of(struct record_facts *f, const struct flow *flow)
{
	struct slice action = flow_field_text(flow, FIELD_ACTION);
	bool accepted = slice_equal(action, SLICE_LITERAL("ACCEPT"));
	bool rejected = slice_equal(action, SLICE_LITERAL("REJECT"));
	bool leaves = slice_equal(flow_field_text(flow, FIELD_FLOW_DIRECTION),
				  SLICE_LITERAL("egress"));
	f->interface_id = element_interface_id(flow);
	f->interface = element_interface(f->interface_id);
	f->fact[FACT_FORWARDING] = accepted ? 64 : rejected ? 130 : 0;
	f->fact[FACT_FIREWALL] = accepted ? 1 : rejected ? 3 : 0;
	f->fact[FACT_DIRECTION] = leaves;
	f->fact[FACT_INGRESS] = leaves ? 0 : f->interface;
	f->fact[FACT_EGRESS] = leaves ? f->interface : 0;
}

/* The low octets of a number, in network order. */
static inline void store(char *to, uint64_t n, unsigned octets)
{
	const uint8_t one = (uint8_t)n;
	const uint16_t two = htobe16((uint16_t)n);
	const uint32_t four = htobe32((uint32_t)n);
	const uint64_t eight = htobe64(n);
	switch (octets) {
	case 1:
		memcpy(to, &one, sizeof(one));
		return;
	case 2:
		memcpy(to, &two, sizeof(two));
		return;
	case 4:
		memcpy(to, &four, sizeof(four));
		return;
	default:
		memcpy(to, &eight, sizeof(eight));
	}
}

static inline void store_address(char *to, const struct address *a, unsigned octets)
{
	if (octets == 4)
		memcpy(to, a->octets, 4);
	else
		memcpy(to, a->octets, sizeof(a->octets));
}

/* The encoder takes no flow without addresses; one that lacked them would have zeros there. */
static const struct address *address_of(const struct flow *flow, const struct record_step *s)
{
	static const struct address none;
	const struct address *a = s->instead == NONE ? NULL : flow_address(flow, s->instead);
	if (a == NULL)
		a = flow_address(flow, s->field);
	return a == NULL ? &none : a;
}

void record_put(const struct record_program *r, const struct flow *flow,
		const struct record_facts *facts, char *to)
{
	for (const struct record_step *s = r->step; s < r->step + r->count; to += s++->octets) {
		switch (s->what) {
		case PUT_ADDRESS:
			store_address(to, address_of(flow, s), s->octets);
			break;
		case PUT_EXPORTER:
			store_address(to, &flow->source->address, s->octets);
			break;
		case PUT_NUMBER:
			store(to, flow_number(flow, s->field), s->octets);
			break;
		case PUT_TIME:
			store(to, time_milliseconds(flow_number(flow, s->field)), 8);
			break;
		default:
			store(to, facts->fact[s->fact], s->octets);
		}
	}
}
