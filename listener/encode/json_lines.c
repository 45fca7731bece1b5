/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON object a line: AWS's field names with underscores, numbers as numbers, what is not
 * there left out. Without --fields every column of the record's own format.
 */
#include "encode/encoder.h"

/* Whether a printable text needs an escape; a block of it may be read beyond its end. */
static inline bool is_special(struct slice text)
{
	for (size_t at = 0; at < text.len; at += SIXTEEN) {
		unsigned found = sixteen_not_plain(text.data + at);
		if (text.len - at < SIXTEEN)
			found &= (1u << (text.len - at)) - 1;
		if (found != 0)
			return true;
	}
	return false;
}

static inline void put_string(struct slice text, bool roomy, struct buf *out)
{
	buf_put_char(out, '"');
	if (roomy && !is_special(text)) {
		encoder_copy(text, roomy, out);
		buf_put_char(out, '"');
		return;
	}
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
		const struct value *v = encoder_value(columns, i, flow);
		if (v == NULL)
			continue;
		buf_put_char(out, before);
		before = ',';
		buf_put_char(out, '"');
		encoder_put_name(columns, i, out);
		buf_put(out, SLICE_LITERAL("\":"));
		if (columns->kind[i] >= FIELD_U8)
			encoder_put_number(columns->kind[i], v, flow->roomy, out);
		else
			put_string(v->text, flow->roomy, out);
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
