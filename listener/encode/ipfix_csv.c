/* SPDX-License-Identifier: Apache-2.0 */
/* CSV whose columns are the elements of an IPFIX record, in elements.h's order. */
#include "encode/elements.h"
#include "encode/encoder.h"

static void ipfix_csv_preamble(const struct encoder *e, struct buf *out)
{
	(void)e;
	for (unsigned i = 0; i < ELEMENT_COUNT; i++) {
		if (i > 0)
			buf_put_char(out, ',');
		buf_put(out, element_name(i));
	}
	buf_put_char(out, '\n');
}

static void ipfix_csv_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	(void)e;
	for (unsigned i = 0; i < ELEMENT_COUNT; i++) {
		struct element_value v;
		if (i > 0)
			buf_put_char(out, ',');
		if (!element_of(flow, i, &v))
			continue;
		if (element_type(i) == ELEMENT_ADDRESS)
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
	.preamble = ipfix_csv_preamble,
	.flow = ipfix_csv_flow,
};
