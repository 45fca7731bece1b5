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

/* Whether a text has to be quoted. What a flow has is printable ASCII. */
static inline bool is_special(struct slice text, bool roomy)
{
	if (!roomy)
		return memchr(text.data, ',', text.len) != NULL ||
		       memchr(text.data, '"', text.len) != NULL;
	for (size_t at = 0; at < text.len; at += SIXTEEN) {
		unsigned found = sixteen_csv_special(text.data + at);
		if (text.len - at < SIXTEEN)
			found &= (1u << (text.len - at)) - 1;
		if (found != 0)
			return true;
	}
	return false;
}

static void put_quoted(struct slice text, struct buf *out)
{
	buf_put_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"')
			buf_put_char(out, '"');
		buf_put_char(out, text.data[i]);
	}
	buf_put_char(out, '"');
}

/* A line whose words are the columns, with commas for spaces. False when one has to be quoted. */
static bool put_words(struct slice line, struct buf *out)
{
	char *to = out->data + out->len;
	if (is_special(line, true))
		return false;
	for (size_t at = 0; at < line.len; at += SIXTEEN)
		sixteen_commas(to + at, line.data + at);
	out->len += line.len;
	buf_put_char(out, '\n');
	return true;
}

/* The columns one by one. */
static void put_columns(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	for (unsigned i = 0; i < e->columns.count; i++) {
		const struct value *v = encoder_value(&e->columns, i, flow);
		if (i > 0)
			buf_put_char(out, ',');
		if (v == NULL)
			continue;
		if (e->columns.kind[i] >= FIELD_U8)
			encoder_put_number(e->columns.kind[i], v, flow->roomy, out);
		else if (e->columns.kind[i] == FIELD_ADDRESS || !is_special(v->text, flow->roomy))
			encoder_copy(v->text, flow->roomy, out);
		else
			put_quoted(v->text, out);
	}
	buf_put_char(out, '\n');
}

static void csv_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	bool same = flow->verbatim.len > 0 && flow->format->serial == e->columns.serial;
	if (!same || !put_words(flow->verbatim, out))
		put_columns(e, flow, out);
}

const struct encoder_class encoder_csv = {
	.name = "csv",
	.what = "CSV with a header of AWS's field names",
	.takes_columns = true,
	.needs_columns = true,
	.header = csv_header,
	.flow = csv_flow,
};
