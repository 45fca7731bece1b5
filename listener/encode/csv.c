/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV with a header (RFC 4180, but lines end in \n): AWS's field names with underscores, empty for
 * what is not there.
 */
#include "encode/encoder.h"

static void csv_header(const struct encoder *e, struct buf *out)
{
	for (unsigned i = 0; i < e->columns.count; i++) {
		if (i > 0)
			buf_put_char(out, ',');
		encoder_put_name(&e->columns, i, out);
	}
	buf_put_char(out, '\n');
}

static void put_text(struct slice text, struct buf *out)
{
	if (memchr(text.data, ',', text.len) == NULL && memchr(text.data, '"', text.len) == NULL) {
		buf_put(out, text);
		return;
	}
	buf_put_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"')
			buf_put_char(out, '"');
		buf_put_char(out, text.data[i]);
	}
	buf_put_char(out, '"');
}

static void csv_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	for (unsigned i = 0; i < e->columns.count; i++) {
		enum field field = e->columns.column[i].field;
		const struct value *v = encoder_value(&e->columns, i, flow);
		if (i > 0)
			buf_put_char(out, ',');
		if (v == NULL)
			continue;
		if (field_is_number(field))
			encoder_put_number(field_kind(field), v, out);
		else
			put_text(v->text, out);
	}
	buf_put_char(out, '\n');
}

const struct encoder_class encoder_csv = {
	.name = "csv",
	.what = "CSV with a header of AWS's field names",
	.takes_columns = true,
	.needs_columns = true,
	.header = csv_header,
	.flow = csv_flow,
};
