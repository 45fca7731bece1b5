/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From AWS's fields to IPFIX's elements: the rules that are more than a change of name. A flow's
 * action is given twice, as collectors know one or the other: forwardingStatus (RFC 7270 section
 * 4.12: 64 forwarded, 130 dropped by an ACL) and firewallEvent (1 created, 3 denied).
 */
#include "encode/elements.h"

struct slice element_name(enum element element)
{
	static const struct slice names[] = {
#define X(code, name, number, octets, type) [ELEMENT_##code] = { (name), sizeof(name) - 1 },
		ELEMENTS(X)
#undef X
	};
	return names[element];
}

enum element_type element_type(enum element element)
{
	static const enum element_type types[] = {
#define X(code, name, number, octets, type) [ELEMENT_##code] = ELEMENT_##type,
		ELEMENTS(X)
#undef X
	};
	return types[element];
}

static bool text_is(const struct flow *flow, enum field field, const char *text)
{
	const struct value *v = flow_value(flow, field);
	return v != NULL && slice_equal(v->text, slice_text(text));
}

static bool number(const struct flow *flow, enum field field, struct element_value *v)
{
	const struct value *value = flow_value(flow, field);
	v->number = value == NULL ? 0 : value->number;
	return true;
}

static bool milliseconds(const struct flow *flow, enum field field, struct element_value *v)
{
	number(flow, field, v);
	v->number = time_milliseconds(v->number);
	return true;
}

static bool address(const struct flow *flow, enum field field, unsigned version,
		    struct element_value *v)
{
	const struct value *value = flow_value(flow, field);
	if (value == NULL || value->address.version != version)
		return false;
	v->address = &value->address;
	v->text = value->text;
	return true;
}

static bool exporter(const struct flow *flow, unsigned version, struct element_value *v)
{
	v->address = &flow->source->address;
	v->text = slice_text(flow->source->exporter);
	return v->address->version == version;
}

static bool by_action(const struct flow *flow, uint64_t accept, uint64_t reject,
		      struct element_value *v)
{
	v->number = text_is(flow, FIELD_ACTION, "ACCEPT")   ? accept
		    : text_is(flow, FIELD_ACTION, "REJECT") ? reject
							    : 0;
	return true;
}

static bool direction(const struct flow *flow, struct element_value *v)
{
	v->number = text_is(flow, FIELD_FLOW_DIRECTION, "egress");
	return v->number == 1 || text_is(flow, FIELD_FLOW_DIRECTION, "ingress");
}

/* The last eight hex digits of an id; 1 without an id or when they are all zero. */
static uint32_t interface_number(struct slice id)
{
	enum { DIGITS = 8 };
	uint32_t n = 0;
	if (id.len < DIGITS)
		return 1;
	for (size_t i = id.len - DIGITS; i < id.len; i++) {
		char c = id.data[i];
		unsigned digit;
		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			return 1;
		n = n << 4 | digit;
	}
	return n == 0 ? 1 : n;
}

/* The interface stands on the side it was observed on: egress, or ingress when unknown. */
static bool interface(const struct flow *flow, bool egress, struct element_value *v)
{
	const struct value *id = flow_value(flow, FIELD_INTERFACE_ID);
	if (id == NULL)
		id = flow_value(flow, FIELD_TGW_ATTACHMENT_ID);
	bool leaves = text_is(flow, FIELD_FLOW_DIRECTION, "egress");
	v->number = leaves == egress ? interface_number(id == NULL ? SLICE_NONE : id->text) : 0;
	return true;
}

bool element_of(const struct flow *flow, enum element element, struct element_value *v)
{
	switch (element) {
	case ELEMENT_SOURCE_IPV4:
		return address(flow, FIELD_SRCADDR, 4, v);
	case ELEMENT_DESTINATION_IPV4:
		return address(flow, FIELD_DSTADDR, 4, v);
	case ELEMENT_SOURCE_IPV6:
		return address(flow, FIELD_SRCADDR, 6, v);
	case ELEMENT_DESTINATION_IPV6:
		return address(flow, FIELD_DSTADDR, 6, v);
	case ELEMENT_SOURCE_PORT:
		return number(flow, FIELD_SRCPORT, v);
	case ELEMENT_DESTINATION_PORT:
		return number(flow, FIELD_DSTPORT, v);
	case ELEMENT_PROTOCOL:
		return number(flow, FIELD_PROTOCOL, v);
	case ELEMENT_PACKETS:
		return number(flow, FIELD_PACKETS, v);
	case ELEMENT_OCTETS:
		return number(flow, FIELD_BYTES, v);
	case ELEMENT_START:
		return milliseconds(flow, FIELD_START, v);
	case ELEMENT_END:
		return milliseconds(flow, FIELD_END, v);
	case ELEMENT_TCP_CONTROL_BITS:
		/* One octet (elements.h): the bits above are not TCP's eight flags. */
		number(flow, FIELD_TCP_FLAGS, v);
		v->number &= UINT8_MAX;
		return true;
	case ELEMENT_FORWARDING_STATUS:
		return by_action(flow, 64, 130, v);
	case ELEMENT_FIREWALL_EVENT:
		return by_action(flow, 1, 3, v);
	case ELEMENT_DIRECTION:
		return direction(flow, v);
	case ELEMENT_INGRESS_INTERFACE:
		return interface(flow, false, v);
	case ELEMENT_EGRESS_INTERFACE:
		return interface(flow, true, v);
	case ELEMENT_EXPORTER_IPV4:
		return exporter(flow, 4, v);
	case ELEMENT_EXPORTER_IPV6:
		return exporter(flow, 6, v);
	default:
		return false;
	}
}
