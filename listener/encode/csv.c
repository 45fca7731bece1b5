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
		buf_put(out, format_shown_name(&e->columns, i));
	}
	buf_put_char(out, '\n');
}

/* ---- the line's own columns ------------------------------------------------------------------ */

static inline char *put_words(char *to, const char *from, size_t len)
{
	for (size_t at = 0; at < len; at += SIXTEEN)
		sixteen_commas(to + at, from + at);
	return to + len;
}

/* A line whose words are the columns: with commas for spaces, and without dashes that stand alone. */
static char *put_line(char *to, const struct words *w)
{
	size_t from = 0;
	for (unsigned k = 0; k < COLUMN_WORDS; k++) {
		for (uint64_t absent = w->absent[k]; absent != 0; absent &= absent - 1) {
			size_t dash = w->begin[64 * k + (unsigned)__builtin_ctzll(absent)];
			to = put_words(to, w->line.data + from, dash - from);
			from = dash + 1;
		}
	}
	return put_words(to, w->line.data + from, w->line.len - from);
}

/* ---- column by column ------------------------------------------------------------------------ */

/* Whether a text has to be quoted. What a flow has is printable ASCII. */
static inline bool is_special(struct slice text)
{
	return memchr(text.data, ',', text.len) != NULL || memchr(text.data, '"', text.len) != NULL;
}

static char *put_quoted(char *to, struct slice text)
{
	*to++ = '"';
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"')
			*to++ = '"';
		*to++ = text.data[i];
	}
	*to++ = '"';
	return to;
}

static inline char *put_column(char *to, const struct flow *flow, unsigned column)
{
	struct slice text = flow_text(flow, column);
	const struct words *w = &flow->words;
	bool quick = w->line.len > 0;
	if (text.len == 0)
		return to;
	if (flow->format->kind[column] >= FIELD_U8)
		return encoder_put_number(to, flow, column);
	if ((quick && w->plain) || !is_special(text))
		return encoder_copy(to, text, quick);
	return put_quoted(to, text);
}

static void csv_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	const struct words *w = &flow->words;
	char *to = out->data + out->len;
	if (w->line.len > 0 && w->plain && flow->format->serial == e->columns.serial &&
	    flow_is_literal(flow)) {
		to = put_line(to, w);
		*to++ = '\n';
	} else {
		for (unsigned i = 0; i < e->columns.count; i++) {
			int column = encoder_column(&e->columns, i, flow);
			if (column >= 0)
				to = put_column(to, flow, (unsigned)column);
			*to++ = i + 1 < e->columns.count ? ',' : '\n';
		}
	}
	out->len = (size_t)(to - out->data);
}

const struct encoder_class encoder_csv = {
	.name = "csv",
	.what = "CSV with a header of AWS's field names",
	.takes_columns = true,
	.needs_columns = true,
	.header = csv_header,
	.flow = csv_flow,
};
