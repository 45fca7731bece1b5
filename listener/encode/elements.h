/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_ELEMENTS_H
#define VPCFLOWD_ENCODE_ELEMENTS_H

#include "flow/flow.h"

/*
 * The IPFIX information elements of a flow: code, IANA name, element number, octets, type, which
 * records have it, and which sums of flows do (--aggregate): ALWAYS, if the field is one of their keys,
 * or sums alone. Source: IANA's registry "IP Flow Information Export (IPFIX) Entities". Every IPFIX
 * output is made from this table, in its order.
 *
 * Records differ in the elements they have, and each combination is a template of its own: a bit says
 * which of two (or whether) a record has. An element of ADDRESS_4 and ADDRESS_6 is one octet string.
 */
enum variant {
	VARIANT_V6 = 1,		 /* addresses are IPv6 */
	VARIANT_EXPORTER_V6 = 2, /* the exporter's is IPv6 */
	VARIANT_DIRECTION = 4,	 /* the direction is known: its absence is not ingress */
	VARIANT_VIEW = 8,	 /* the interface saw other addresses than the packets had */
	VARIANT_COUNT = 16
};

#define ELEMENTS(X)                                                                                \
	X(SOURCE_IPV4, "sourceIPv4Address", 8, 4, ADDRESS, V4, ALWAYS)                             \
	X(DESTINATION_IPV4, "destinationIPv4Address", 12, 4, ADDRESS, V4, ALWAYS)                  \
	X(SOURCE_IPV6, "sourceIPv6Address", 27, 16, ADDRESS, V6, ALWAYS)                           \
	X(DESTINATION_IPV6, "destinationIPv6Address", 28, 16, ADDRESS, V6, ALWAYS)                 \
	X(SOURCE_PORT, "sourceTransportPort", 7, 2, NUMBER, ALL, SRCPORT)                          \
	X(DESTINATION_PORT, "destinationTransportPort", 11, 2, NUMBER, ALL, DSTPORT)               \
	X(PROTOCOL, "protocolIdentifier", 4, 1, NUMBER, ALL, PROTOCOL)                             \
	X(PACKETS, "packetDeltaCount", 2, 8, NUMBER, ALL, ALWAYS)                                  \
	X(OCTETS, "octetDeltaCount", 1, 8, NUMBER, ALL, ALWAYS)                                    \
	X(FLOWS, "deltaFlowCount", 3, 8, NUMBER, ALL, SUMS)                                        \
	X(START, "flowStartMilliseconds", 152, 8, NUMBER, ALL, ALWAYS)                             \
	X(END, "flowEndMilliseconds", 153, 8, NUMBER, ALL, ALWAYS)                                 \
	X(TCP_CONTROL_BITS, "tcpControlBits", 6, 1, NUMBER, ALL, TCP_FLAGS)                        \
	X(FORWARDING_STATUS, "forwardingStatus", 89, 1, NUMBER, ALL, ACTION)                       \
	X(FIREWALL_EVENT, "firewallEvent", 233, 1, NUMBER, ALL, ACTION)                            \
	X(DIRECTION, "flowDirection", 61, 1, NUMBER, DIRECTION, DIRECTION)                         \
	X(INGRESS_INTERFACE, "ingressInterface", 10, 4, NUMBER, ALL, INTERFACE)                    \
	X(EGRESS_INTERFACE, "egressInterface", 14, 4, NUMBER, ALL, INTERFACE)                      \
	X(EXPORTER_IPV4, "exporterIPv4Address", 130, 4, ADDRESS, EXPORTER_V4, ALWAYS)              \
	X(EXPORTER_IPV6, "exporterIPv6Address", 131, 16, ADDRESS, EXPORTER_V6, ALWAYS)             \
	/* only with --packet-addresses: what the interface saw, where the packets differ */       \
	X(VIEW_SOURCE_IPV4, "postNATSourceIPv4Address", 225, 4, ADDRESS, VIEW_V4, ALWAYS)          \
	X(VIEW_DESTINATION_IPV4, "postNATDestinationIPv4Address", 226, 4, ADDRESS, VIEW_V4,        \
	  ALWAYS)                                                                                  \
	X(VIEW_SOURCE_IPV6, "postNATSourceIPv6Address", 281, 16, ADDRESS, VIEW_V6, ALWAYS)         \
	X(VIEW_DESTINATION_IPV6, "postNATDestinationIPv6Address", 282, 16, ADDRESS, VIEW_V6, ALWAYS)

enum element {
#define X(code, name, number, octets, type, records, sums) ELEMENT_##code,
	ELEMENTS(X)
#undef X
		ELEMENT_COUNT
};

enum element_type { ELEMENT_NUMBER, ELEMENT_ADDRESS };

struct element_info {
	struct slice name;
	uint16_t number;
	uint8_t octets; /* on the wire */
	enum element_type type;
};

extern const struct element_info element_info[ELEMENT_COUNT];

/* An element of a flow, of its type: a number, or an address with its text. */
struct element_value {
	uint64_t number;
	const struct address *address;
	struct slice text;
};

/* Whether a flow's packets had other addresses than the interface saw, of the same family. */
bool element_view_differs(const struct flow *flow);

/*
 * Which elements the record of a flow has, whose flow-direction is given. packet_addresses: the addresses
 * in the packets (pkt-srcaddr, pkt-dstaddr) come first, and what the interface saw stands beside them
 * where it differs. The flow must have both addresses, of one family.
 */
static inline unsigned element_variant_of(const struct flow *flow, struct slice direction,
					  bool packet_addresses)
{
	unsigned variant = 0;
	if (flow_address(flow, FIELD_SRCADDR)->version == 6)
		variant |= VARIANT_V6;
	if (flow->source->address.version == 6)
		variant |= VARIANT_EXPORTER_V6;
	if (slice_equal(direction, SLICE_LITERAL("egress")) ||
	    slice_equal(direction, SLICE_LITERAL("ingress")))
		variant |= VARIANT_DIRECTION;
	if (packet_addresses && element_view_differs(flow))
		variant |= VARIANT_VIEW;
	return variant;
}

static inline unsigned element_variant(const struct flow *flow, bool packet_addresses)
{
	return element_variant_of(flow, flow_field_text(flow, FIELD_FLOW_DIRECTION),
				  packet_addresses);
}

bool element_in(enum element element, unsigned variant, const struct format *sums);
/* Whether records of any variant have it. sums: the columns of sums of flows; NULL for flows. */
bool element_kept(enum element element, const struct format *sums);

/*
 * What a flow has for an element that is in its variant. Ports, protocol, counters, flags and times
 * that the record lacks are 0.
 */
void element_of(const struct flow *flow, enum element element, unsigned variant,
		struct element_value *v);

/* The number that stands for an interface: the last eight hex digits of its id, else 1. */
static inline uint32_t element_interface(struct slice id)
{
	enum { DIGITS = 8 };
	if (id.len < DIGITS)
		return 1;
	/* All eight at once: which is letter and which is digit, nobody can foretell. */
	uint64_t w = word_load(id.data + id.len - DIGITS);
	uint64_t n = (w & WORD_ONES * 0x0f) + (w >> 6 & WORD_ONES) * 9;
	uint64_t letters = (n + WORD_ONES * 6) >> 4 & WORD_ONES;
	bool hex = (n & WORD_ONES * 0xf0) == 0 &&
		   n + WORD_ONES * '0' + letters * ('a' - '0' - 10) == w;
	n = (n << 4 | n >> 8) & 0x00ff00ff00ff00ffu;
	n = (n << 8 | n >> 16) & 0x0000ffff0000ffffu;
	uint32_t number = (uint32_t)(n << 16 | n >> 32);
	return !hex || number == 0 ? 1 : number;
}
/* The id of the interface that a flow was observed on; empty when it does not say. */
static inline struct slice element_interface_id(const struct flow *flow)
{
	struct slice id = flow_field_text(flow, FIELD_INTERFACE_ID);
	return id.len > 0 ? id : flow_field_text(flow, FIELD_TGW_ATTACHMENT_ID);
}

#endif
