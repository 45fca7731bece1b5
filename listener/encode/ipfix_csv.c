/* SPDX-License-Identifier: Apache-2.0 */
/* CSV whose columns are the elements of an IPFIX record, in elements.h's order. */
#include "encode/elements.h"
#include "encode/encoder.h"

/* What only --packet-addresses gives has a column only then. */
static bool has_column(const struct encoder *e, enum element element)
{
	return element_kept(element, e->settings.sums) &&
	       (e->settings.packet_addresses || element < ELEMENT_VIEW_SOURCE_IPV4);
}

static void ipfix_csv_header(const struct encoder *e, struct buf *out)
{
	for (unsigned i = 0; i < ELEMENT_COUNT; i++) {
		if (!has_column(e, i))
			continue;
		if (i > 0)
			buf_put_char(out, ',');
		buf_put(out, element_info[i].name);
	}
	buf_put_char(out, '\n');
}

static void ipfix_csv_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	unsigned variant = element_variant(flow, e->settings.packet_addresses);
	for (unsigned i = 0; i < ELEMENT_COUNT; i++) {
		struct element_value v;
		if (!has_column(e, i))
			continue;
		if (i > 0)
			buf_put_char(out, ',');
		if (!element_in(i, variant, e->settings.sums))
			continue;
		element_of(flow, i, variant, &v);
		if (element_info[i].type == ELEMENT_ADDRESS)
			buf_put(out, v.text);
		else
			buf_put_number(out, v.number);
	}
	buf_put_char(out, '\n');
}

const struct encoder_class encoder_ipfix_csv = {
	.name = "ipfix-csv",
	.what = "CSV with a header of IPFIX element names",
	.needs_addresses = true,
	.header = ipfix_csv_header,
	.flow = ipfix_csv_flow,
};
