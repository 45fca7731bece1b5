/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FlowTraq's exporter input, a line a flow, no header:
 *   srcaddr,srcport,dstaddr,dstport,protocol,packets,bytes,0,0,start,end,exporter,"unknown"
 * A number that is not there is 0.
 */
#include "encode/encoder.h"

static inline void put_number(const struct flow *flow, enum field field, struct buf *out)
{
	const struct value *v = flow_value(flow, field);
	bool time = field == FIELD_START || field == FIELD_END;
	if (v == NULL)
		buf_put_char(out, '0');
	else
		encoder_put_number(time ? FIELD_TIME : FIELD_U64, v, flow->roomy, out);
	buf_put_char(out, ',');
}

static inline void put_address(const struct flow *flow, enum field field, struct buf *out)
{
	encoder_copy(flow_value(flow, field)->text, flow->roomy, out);
	buf_put_char(out, ',');
}

static inline void put_exporter(const struct source *source, struct buf *out)
{
	unsigned ends = sixteen_nul(source->exporter);
	size_t len = ends != 0 ? (size_t)__builtin_ctz(ends) : strlen(source->exporter);
	encoder_copy(slice_of(source->exporter, len), true, out);
}

static void ftsq_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	(void)e;
	put_address(flow, FIELD_SRCADDR, out);
	put_number(flow, FIELD_SRCPORT, out);
	put_address(flow, FIELD_DSTADDR, out);
	put_number(flow, FIELD_DSTPORT, out);
	put_number(flow, FIELD_PROTOCOL, out);
	put_number(flow, FIELD_PACKETS, out);
	put_number(flow, FIELD_BYTES, out);
	buf_put(out, SLICE_LITERAL("0,0,"));
	put_number(flow, FIELD_START, out);
	put_number(flow, FIELD_END, out);
	put_exporter(flow->source, out);
	buf_put(out, SLICE_LITERAL(",\"unknown\"\n"));
}

const struct encoder_class encoder_ftsq = {
	.name = "ftsq",
	.what = "FlowTraq exporter lines, for ftsq -read",
	.needs_addresses = true,
	.flow = ftsq_flow,
};
