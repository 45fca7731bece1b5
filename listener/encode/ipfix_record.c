/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows, and what ipfix_facts.c makes of them, to the octets of IPFIX Data Records, straight down the
 * table of elements. elements.c has the rules and says them one element at a time; here they are asked
 * once a flow. The unit tests hold every record to element_of.
 */
#include "encode/ipfix_record.h"

#include <endian.h>

_Static_assert(ELEMENT_COUNT <= 32, "a bit for each");

#define BIT(code) (1u << ELEMENT_##code)

/* The elements of most records: of IPv4 flows without anything that is seldom known. */
enum {
	MOST = BIT(SOURCE_IPV4) | BIT(DESTINATION_IPV4) | BIT(SOURCE_PORT) | BIT(DESTINATION_PORT) |
	       BIT(PROTOCOL) | BIT(PACKETS) | BIT(OCTETS) | BIT(START) | BIT(END) |
	       BIT(TCP_CONTROL_BITS) | BIT(FORWARDING_STATUS) | BIT(FIREWALL_EVENT) |
	       BIT(INGRESS_INTERFACE) | BIT(EGRESS_INTERFACE) | BIT(EXPORTER_IPV4),
};

const enum field record_number_field[RECORD_NUMBERS] = {
#define X(field) [RECORD_##field] = FIELD_##field,
	RECORD_NARROW(X) RECORD_WIDE(X)
#undef X
};

record_reader record_reader_of(enum machine machine)
{
#ifdef __x86_64__
	if (machine >= MACHINE_AVX2)
		return record_facts_avx2;
#endif
	(void)machine;
	return record_facts_anywhere;
}

void record_shape_of(struct record_shape *s, unsigned variant, const struct format *sums)
{
	*s = (struct record_shape){ .variant = variant };
	for (enum element e = 0; e < ELEMENT_COUNT; e++) {
		if (!element_in(e, variant, sums))
			continue;
		s->elements |= 1u << e;
		s->octets += element_info[e].octets;
	}
}

/* A column of all; another one where it is not in the format. */
static uint8_t ask(struct record_columns *c, const struct format *format, enum field field)
{
	int column = format->place[field];
	if (column < 0) {
		c->all = false;
		return 0;
	}
	c->asked[column / 64] |= (uint64_t)1 << (column % 64);
	return (uint8_t)column;
}

void record_columns_of(struct record_columns *c, const struct format *format)
{
	*c = (struct record_columns){ .serial = format->serial, .all = true };
	c->tcp_flags = format->place[FIELD_TCP_FLAGS] >= 0;
	for (unsigned i = 0; i < RECORD_NUMBERS; i++) {
		bool missing = i == RECORD_TCP_FLAGS && !c->tcp_flags;
		c->number[i] = ask(c, format, missing ? FIELD_PROTOCOL : record_number_field[i]);
	}
	c->action = ask(c, format, FIELD_ACTION);
	c->interface_id = ask(c, format, FIELD_INTERFACE_ID);
}

/* ---- octets ---------------------------------------------------------------------------------- */

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
	const uint64_t *number = facts->number;
	switch (e) {
	case ELEMENT_SOURCE_PORT:
		return number[RECORD_SRCPORT];
	case ELEMENT_DESTINATION_PORT:
		return number[RECORD_DSTPORT];
	case ELEMENT_PROTOCOL:
		return number[RECORD_PROTOCOL];
	case ELEMENT_PACKETS:
		return number[RECORD_PACKETS];
	case ELEMENT_OCTETS:
		return number[RECORD_BYTES];
	case ELEMENT_FLOWS:
		return flow_number(flow, FIELD_FLOWS);
	case ELEMENT_START:
		return time_milliseconds(number[RECORD_START]);
	case ELEMENT_END:
		return time_milliseconds(number[RECORD_END]);
	case ELEMENT_TCP_CONTROL_BITS:
		return number[RECORD_TCP_FLAGS];
	case ELEMENT_FORWARDING_STATUS:
		return facts->forwarding;
	case ELEMENT_FIREWALL_EVENT:
		return facts->firewall;
	case ELEMENT_DIRECTION:
		return facts->leaves;
	case ELEMENT_INGRESS_INTERFACE:
		return facts->leaves ? 0 : facts->interface;
	case ELEMENT_EGRESS_INTERFACE:
		return facts->leaves ? facts->interface : 0;
	default:
		return 0;
	}
}

/* ---- records --------------------------------------------------------------------------------- */

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
static inline char *put(char *to, const struct flow *flow, const struct record_facts *facts,
			uint32_t elements, unsigned variant)
{
#define X(code, name, number, octets, type, records, sums)                                         \
	to = elements & BIT(code) ? PUT_##type(to, flow, facts, variant, ELEMENT_##code, octets)   \
				  : to;
	ELEMENTS(X)
#undef X
	return to;
}

char *record_put(char *to, const struct flow *flow, const struct record_facts *facts,
		 const struct record_shape *shape)
{
	if (shape->elements == MOST)
		return put(to, flow, facts, MOST, 0);
	return put(to, flow, facts, shape->elements, shape->variant);
}
