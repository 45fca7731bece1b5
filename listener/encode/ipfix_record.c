/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows to the octets of IPFIX Data Records, straight down the table of elements. elements.c has the
 * rules and says them one element at a time; here they are asked once a flow. The unit tests hold every
 * record to element_of.
 */
#include "encode/ipfix_record.h"

#include <endian.h>

_Static_assert(ELEMENT_COUNT <= 32, "a bit for each");

void record_shape_of(struct record_shape *s, unsigned variant, const struct format *sums)
{
	*s = (struct record_shape){ .octets = 0 };
	for (enum element e = 0; e < ELEMENT_COUNT; e++) {
		if (!element_in(e, variant, sums))
			continue;
		s->elements |= 1u << e;
		s->octets += element_info[e].octets;
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
static inline const struct address *address_of(const struct flow *flow, enum field field)
{
	static const struct address none;
	const struct address *a = flow_address(flow, field);
	return a == NULL ? &none : a;
}

/* What the interface saw is the flow's address, unless it stands beside it. */
static inline const struct address *main_address(const struct flow *flow, enum field packet,
						 enum field interface, unsigned variant)
{
	const struct address *a = variant & VARIANT_VIEW ? flow_address(flow, packet) : NULL;
	return a == NULL ? address_of(flow, interface) : a;
}

/* The address of an element of addresses. */
static inline const struct address *address_element(const struct flow *flow, enum element e,
						    unsigned variant)
{
	switch (e) {
	case ELEMENT_SOURCE_IPV4:
	case ELEMENT_SOURCE_IPV6:
		return main_address(flow, FIELD_PKT_SRCADDR, FIELD_SRCADDR, variant);
	case ELEMENT_DESTINATION_IPV4:
	case ELEMENT_DESTINATION_IPV6:
		return main_address(flow, FIELD_PKT_DSTADDR, FIELD_DSTADDR, variant);
	case ELEMENT_VIEW_SOURCE_IPV4:
	case ELEMENT_VIEW_SOURCE_IPV6:
		return address_of(flow, FIELD_SRCADDR);
	case ELEMENT_VIEW_DESTINATION_IPV4:
	case ELEMENT_VIEW_DESTINATION_IPV6:
		return address_of(flow, FIELD_DSTADDR);
	default:
		return &flow->source->address;
	}
}

static inline uint64_t number_element(const struct flow *flow, const struct record_facts *facts,
				      enum element e)
{
	switch (e) {
	case ELEMENT_SOURCE_PORT:
		return flow_number(flow, FIELD_SRCPORT);
	case ELEMENT_DESTINATION_PORT:
		return flow_number(flow, FIELD_DSTPORT);
	case ELEMENT_PROTOCOL:
		return flow_number(flow, FIELD_PROTOCOL);
	case ELEMENT_PACKETS:
		return flow_number(flow, FIELD_PACKETS);
	case ELEMENT_OCTETS:
		return flow_number(flow, FIELD_BYTES);
	case ELEMENT_FLOWS:
		return flow_number(flow, FIELD_FLOWS);
	case ELEMENT_START:
		return time_milliseconds(flow_number(flow, FIELD_START));
	case ELEMENT_END:
		return time_milliseconds(flow_number(flow, FIELD_END));
	case ELEMENT_TCP_CONTROL_BITS:
		return flow_number(flow, FIELD_TCP_FLAGS);
	case ELEMENT_FORWARDING_STATUS:
		return facts->fact[FACT_FORWARDING];
	case ELEMENT_FIREWALL_EVENT:
		return facts->fact[FACT_FIREWALL];
	case ELEMENT_DIRECTION:
		return facts->fact[FACT_DIRECTION];
	case ELEMENT_INGRESS_INTERFACE:
		return facts->fact[FACT_INGRESS];
	case ELEMENT_EGRESS_INTERFACE:
		return facts->fact[FACT_EGRESS];
	default:
		return 0;
	}
}

static inline char *put_number(char *to, const struct flow *flow, const struct record_facts *facts,
			       unsigned variant, enum element e, unsigned octets)
{
	(void)variant;
	store(to, number_element(flow, facts, e), octets);
	return to + octets;
}

static inline char *put_address(char *to, const struct flow *flow, const struct record_facts *facts,
				unsigned variant, enum element e, unsigned octets)
{
	(void)facts;
	store_address(to, address_element(flow, e, variant), octets);
	return to + octets;
}

#define PUT_NUMBER  put_number
#define PUT_ADDRESS put_address

/* The table becomes the code: each element is a few instructions at its place. */
char *record_put(char *to, const struct flow *flow, const struct record_facts *facts,
		 const struct record_shape *shape, unsigned variant)
{
#define X(code, name, number, octets, type, records, sums)                                         \
	to = shape->elements >> ELEMENT_##code & 1                                                 \
		     ? PUT_##type(to, flow, facts, variant, ELEMENT_##code, octets)                \
		     : to;
	ELEMENTS(X)
#undef X
	return to;
}
