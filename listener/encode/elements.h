/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_ELEMENTS_H
#define VPCFLOWD_ENCODE_ELEMENTS_H

#include "flow/flow.h"

/*
 * The IPFIX information elements of a flow: code, IANA name, element number, octets, type. Source:
 * IANA's registry "IP Flow Information Export (IPFIX) Entities". Every IPFIX output is made from
 * this table.
 */
#define ELEMENTS(X)                                                                                \
	X(SOURCE_IPV4, "sourceIPv4Address", 8, 4, ADDRESS)                                         \
	X(DESTINATION_IPV4, "destinationIPv4Address", 12, 4, ADDRESS)                              \
	X(SOURCE_IPV6, "sourceIPv6Address", 27, 16, ADDRESS)                                       \
	X(DESTINATION_IPV6, "destinationIPv6Address", 28, 16, ADDRESS)                             \
	X(SOURCE_PORT, "sourceTransportPort", 7, 2, NUMBER)                                        \
	X(DESTINATION_PORT, "destinationTransportPort", 11, 2, NUMBER)                             \
	X(PROTOCOL, "protocolIdentifier", 4, 1, NUMBER)                                            \
	X(PACKETS, "packetDeltaCount", 2, 8, NUMBER)                                               \
	X(OCTETS, "octetDeltaCount", 1, 8, NUMBER)                                                 \
	X(START, "flowStartMilliseconds", 152, 8, NUMBER)                                          \
	X(END, "flowEndMilliseconds", 153, 8, NUMBER)                                              \
	X(TCP_CONTROL_BITS, "tcpControlBits", 6, 1, NUMBER)                                        \
	X(FORWARDING_STATUS, "forwardingStatus", 89, 1, NUMBER)                                    \
	X(FIREWALL_EVENT, "firewallEvent", 233, 1, NUMBER)                                         \
	X(DIRECTION, "flowDirection", 61, 1, NUMBER)                                               \
	X(INGRESS_INTERFACE, "ingressInterface", 10, 4, NUMBER)                                    \
	X(EGRESS_INTERFACE, "egressInterface", 14, 4, NUMBER)                                      \
	X(EXPORTER_IPV4, "exporterIPv4Address", 130, 4, ADDRESS)                                   \
	X(EXPORTER_IPV6, "exporterIPv6Address", 131, 16, ADDRESS)

enum element {
#define X(code, name, number, octets, type) ELEMENT_##code,
	ELEMENTS(X)
#undef X
		ELEMENT_COUNT
};

enum element_type { ELEMENT_NUMBER, ELEMENT_ADDRESS };

struct slice element_name(enum element element);
enum element_type element_type(enum element element);

/* An element of a flow, of its type: a number, or an address with its text. */
struct element_value {
	uint64_t number;
	const struct address *address;
	struct slice text;
};

/*
 * What a flow has for an element. False when it has none: the other address family, or a direction
 * that is not known (which is not ingress). Ports, protocol, counters, flags and times that the
 * record lacks are 0. The flow must have both addresses, of one family.
 */
bool element_of(const struct flow *flow, enum element element, struct element_value *v);

#endif
