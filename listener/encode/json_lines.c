/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON object a line: AWS's field names with underscores, numbers as numbers, what is not
 * there left out. Without --fields every column of the record's own format.
 */
#include "encode/encoder.h"

static void put_string(struct slice text, struct buf *out)
{
	buf_put_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			buf_put_char(out, '\\');
		buf_put_char(out, text.data[i]);
	}
	buf_put_char(out, '"');
}

static void json_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	const struct format *columns = e->has_columns ? &e->columns : flow->format;
	char before = '{';
	for (unsigned i = 0; i < columns->count; i++) {
		enum field field = columns->column[i].field;
		const struct value *v = encoder_value(columns, i, flow);
		if (v == NULL)
			continue;
		buf_put_char(out, before);
		before = ',';
		buf_put_char(out, '"');
		encoder_put_name(columns, i, out);
		buf_put(out, SLICE_LITERAL("\":"));
		if (field_is_number(field))
			encoder_put_number(field_kind(field), v, out);
		else
			put_string(v->text, out);
	}
	if (before == '{')
		buf_put_char(out, '{');
	buf_put(out, SLICE_LITERAL("}\n"));
}

const struct encoder_class encoder_json = {
	.name = "json",
	.what = "one JSON object a line",
	.takes_columns = true,
	.flow = json_flow,
};
