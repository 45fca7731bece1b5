/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON object a line: AWS's field names with underscores, numbers as numbers, what is not
 * there left out. Without --fields every column of the record's own format.
 */
#include "encode/encoder.h"

static char *put_escaped(char *to, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			*to++ = '\\';
		*to++ = text.data[i];
	}
	return to;
}

/* The comma before, the name, and what stands between it and the value. */
static inline char *put_key(char *to, const struct format *columns, unsigned column)
{
	enum { MOST = 2 * SIXTEEN };
	size_t len = columns->column[column].key_len;
	memcpy(to, columns->column[column].key, MOST);
	if (len > MOST)
		memcpy(to + MOST, columns->column[column].key + MOST, len - MOST);
	return to + len;
}

static inline char *put_member(char *to, const struct format *columns, unsigned column,
			       const struct flow *flow, unsigned from)
{
	struct slice text = flow_text(flow, from);
	const struct words *w = &flow->words;
	if (text.len == 0)
		return to;
	to = put_key(to, columns, column);
	if (columns->kind[column] >= FIELD_U8)
		return encoder_put_number(to, flow, from);
	if (w->line.len > 0 && w->plain)
		to = encoder_copy(to, text, true);
	else
		to = put_escaped(to, text);
	*to++ = '"';
	return to;
}

static void json_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	const struct format *columns = e->has_columns ? &e->columns : flow->format;
	char *first = out->data + out->len;
	char *to = first;
	for (unsigned i = 0; i < columns->count; i++) {
		int from = encoder_column(columns, i, flow);
		if (from >= 0)
			to = put_member(to, columns, i, flow, (unsigned)from);
	}
	to += to == first;
	*first = '{'; /* instead of the first comma */
	*to++ = '}';
	*to++ = '\n';
	out->len = (size_t)(to - out->data);
}

const struct encoder_class encoder_json = {
	.name = "json",
	.what = "one JSON object a line",
	.takes_columns = true,
	.flow = json_flow,
};
