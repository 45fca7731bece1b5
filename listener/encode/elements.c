/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From AWS's fields to IPFIX's elements: the rules that are more than a change of name. A flow's
 * action is given twice, as collectors know one or the other: forwardingStatus (RFC 7270 section
 * 4.12: 64 forwarded, 130 dropped by an ACL) and firewallEvent (1 created, 3 denied).
 */
#include "encode/elements.h"

const struct element_info element_info[ELEMENT_COUNT] = {
#define X(code, name, number, octets, type, records, sums)                                         \
	[ELEMENT_##code] = { { (name), sizeof(name) - 1 }, (number), (octets), ELEMENT_##type },
	ELEMENTS(X)
#undef X
};

/* Which records have an element: those whose bits under the mask are these. */
static const struct {
	unsigned mask;
	unsigned bits;
} records[ELEMENT_COUNT] = {
#define RECORDS_ALL					   0, 0
#define RECORDS_V4					   VARIANT_V6, 0
#define RECORDS_V6					   VARIANT_V6, VARIANT_V6
#define RECORDS_DIRECTION				   VARIANT_DIRECTION, VARIANT_DIRECTION
#define RECORDS_EXPORTER_V4				   VARIANT_EXPORTER_V6, 0
#define RECORDS_EXPORTER_V6				   VARIANT_EXPORTER_V6, VARIANT_EXPORTER_V6
#define RECORDS_VIEW_V4					   VARIANT_VIEW | VARIANT_V6, VARIANT_VIEW
#define RECORDS_VIEW_V6					   VARIANT_VIEW | VARIANT_V6, VARIANT_VIEW | VARIANT_V6
#define X(code, name, number, octets, type, records, sums) [ELEMENT_##code] = { RECORDS_##records },
	ELEMENTS(X)
#undef X
};

/* Which sums have an element: those with one of these fields, or all; flows have none of SUMS. */
static const struct {
	bool always;
	bool only;
	enum field field;
	enum field other;
} sums_with[ELEMENT_COUNT] = {
#define EITHER(a, b)					   .field = FIELD_##a, .other = FIELD_##b
#define SUMS_ALWAYS					   .always = true
#define SUMS_SUMS					   .always = true, .only = true
#define SUMS_SRCPORT					   EITHER(SRCPORT, SRCPORT)
#define SUMS_DSTPORT					   EITHER(DSTPORT, DSTPORT)
#define SUMS_PROTOCOL					   EITHER(PROTOCOL, PROTOCOL)
#define SUMS_TCP_FLAGS					   EITHER(TCP_FLAGS, TCP_FLAGS)
#define SUMS_ACTION					   EITHER(ACTION, ACTION)
#define SUMS_DIRECTION					   EITHER(FLOW_DIRECTION, FLOW_DIRECTION)
#define SUMS_INTERFACE					   EITHER(INTERFACE_ID, TGW_ATTACHMENT_ID)
#define X(code, name, number, octets, type, records, sums) [ELEMENT_##code] = { SUMS_##sums },
	ELEMENTS(X)
#undef X
};

bool element_kept(enum element element, const struct format *sums)
{
	if (sums == NULL)
		return !sums_with[element].only;
	return sums_with[element].always || sums->place[sums_with[element].field] >= 0 ||
	       sums->place[sums_with[element].other] >= 0;
}

bool element_in(enum element element, unsigned variant, const struct format *sums)
{
	return element_kept(element, sums) &&
	       (variant & records[element].mask) == records[element].bits;
}

static bool text_is(const struct flow *flow, enum field field, const char *text)
{
	return slice_equal(flow_field_text(flow, field), slice_text(text));
}

static uint64_t by_action(const struct flow *flow, uint64_t accept, uint64_t reject)
{
	if (text_is(flow, FIELD_ACTION, "ACCEPT"))
		return accept;
	return text_is(flow, FIELD_ACTION, "REJECT") ? reject : 0;
}

static bool leaves(const struct flow *flow)
{
	return text_is(flow, FIELD_FLOW_DIRECTION, "egress");
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* The address in the packets where the record has it, else what the interface saw. */
static const struct value *packet_address(const struct flow *flow, enum field packet,
					  enum field interface)
{
	const struct value *v = flow_value(flow, packet);
	return v != NULL ? v : flow_value(flow, interface);
}

bool element_view_differs(const struct flow *flow)
{
	const struct address *src = &flow_value(flow, FIELD_SRCADDR)->address;
	const struct address *dst = &flow_value(flow, FIELD_DSTADDR)->address;
	const struct address *pkt_src =
		&packet_address(flow, FIELD_PKT_SRCADDR, FIELD_SRCADDR)->address;
	const struct address *pkt_dst =
		&packet_address(flow, FIELD_PKT_DSTADDR, FIELD_DSTADDR)->address;
	if (pkt_src->version != src->version || pkt_dst->version != src->version)
		return false;
	return !address_equal(src, pkt_src) || !address_equal(dst, pkt_dst);
}

static void address(const struct value *value, struct element_value *v)
{
	v->address = &value->address;
	v->text = value->text;
}

static void main_address(const struct flow *flow, enum field packet, enum field interface,
			 unsigned variant, struct element_value *v)
{
	address(variant & VARIANT_VIEW ? packet_address(flow, packet, interface)
				       : flow_value(flow, interface),
		v);
}

/* ---- interfaces ------------------------------------------------------------------------------ */

/* The interface stands on the side it was observed on: egress, or ingress when unknown. */
static uint64_t interface(const struct flow *flow, bool egress)
{
	return leaves(flow) == egress ? element_interface(element_interface_id(flow)) : 0;
}

/* ---- every element --------------------------------------------------------------------------- */

static void address_of(const struct flow *flow, enum element element, unsigned variant,
		       struct element_value *v)
{
	switch (element) {
	case ELEMENT_SOURCE_IPV4:
	case ELEMENT_SOURCE_IPV6:
		main_address(flow, FIELD_PKT_SRCADDR, FIELD_SRCADDR, variant, v);
		return;
	case ELEMENT_DESTINATION_IPV4:
	case ELEMENT_DESTINATION_IPV6:
		main_address(flow, FIELD_PKT_DSTADDR, FIELD_DSTADDR, variant, v);
		return;
	case ELEMENT_VIEW_SOURCE_IPV4:
	case ELEMENT_VIEW_SOURCE_IPV6:
		address(flow_value(flow, FIELD_SRCADDR), v);
		return;
	case ELEMENT_VIEW_DESTINATION_IPV4:
	case ELEMENT_VIEW_DESTINATION_IPV6:
		address(flow_value(flow, FIELD_DSTADDR), v);
		return;
	default: /* the exporter's */
		v->address = &flow->source->address;
		v->text = slice_text(flow->source->exporter);
	}
}

static uint64_t number_of(const struct flow *flow, enum element element)
{
	switch (element) {
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
		/* One octet (elements.h): the bits above are not TCP's eight flags. */
		return flow_number(flow, FIELD_TCP_FLAGS) & UINT8_MAX;
	case ELEMENT_FORWARDING_STATUS:
		return by_action(flow, 64, 130);
	case ELEMENT_FIREWALL_EVENT:
		return by_action(flow, 1, 3);
	case ELEMENT_DIRECTION:
		return leaves(flow);
	case ELEMENT_INGRESS_INTERFACE:
		return interface(flow, false);
	case ELEMENT_EGRESS_INTERFACE:
		return interface(flow, true);
	default:
		return 0;
	}
}

void element_of(const struct flow *flow, enum element element, unsigned variant,
		struct element_value *v)
{
	if (element_info[element].type == ELEMENT_ADDRESS)
		address_of(flow, element, variant, v);
	else
		v->number = number_of(flow, element);
}
