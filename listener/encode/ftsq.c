/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FlowTraq's exporter input, a line a flow, no header:
 *   srcaddr,srcport,dstaddr,dstport,protocol,packets,bytes,0,0,start,end,exporter,"unknown"
 * A number that is not there is 0.
 */
#include "encode/encoder.h"

static inline char *put_number(char *to, const struct flow *flow, enum field field)
{
	int column = flow->format->place[field];
	if (column < 0 || flow_text(flow, (unsigned)column).len == 0)
		*to++ = '0';
	else
		to = encoder_put_number(to, flow, (unsigned)column);
	*to++ = ',';
	return to;
}

/* Which is there, or the flow had no place here. */
static inline char *put_address(char *to, const struct flow *flow, enum field field)
{
	struct slice text = flow_text(flow, (unsigned)flow->format->place[field]);
	to = encoder_copy(to, text, flow->words.line.len > 0 && text.len > 0);
	*to++ = ',';
	return to;
}

static inline char *put_literal(char *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return to + len;
}

#define LITERAL(to, text) put_literal(to, text, sizeof(text) - 1)

/* Source and exporter: what ends every line. */
static inline char *put_end(char *to, const struct source *source)
{
	to = encoder_copy(to, slice_of(source->exporter, source->exporter_len), true);
	return LITERAL(to, ",\"unknown\"\n");
}

/* The same of a word that is there, as it is to be written. */
static inline char *put_word(char *to, const struct flow *flow, enum field field)
{
	struct slice text = words_text(&flow->words, (size_t)flow->format->place[field]);
	to = encoder_copy(to, text, true);
	*to++ = ',';
	return to;
}

typedef char *(*put_column)(char *to, const struct flow *flow, enum field field);

/* The columns in their order; inlined into either of its callers. */
static inline __attribute__((always_inline)) char *
put_columns(char *to, const struct flow *flow, put_column address, put_column number)
{
	to = address(to, flow, FIELD_SRCADDR);
	to = number(to, flow, FIELD_SRCPORT);
	to = address(to, flow, FIELD_DSTADDR);
	to = number(to, flow, FIELD_DSTPORT);
	to = number(to, flow, FIELD_PROTOCOL);
	to = number(to, flow, FIELD_PACKETS);
	to = number(to, flow, FIELD_BYTES);
	to = LITERAL(to, "0,0,");
	to = number(to, flow, FIELD_START);
	return number(to, flow, FIELD_END);
}

static char *put_values(char *to, const struct flow *flow)
{
	return put_columns(to, flow, put_address, put_number);
}

/* Of words that are there, all of them. */
static inline char *put_words(char *to, const struct flow *flow)
{
	return put_columns(to, flow, put_word, put_word);
}

static inline bool has_all(const struct flow *flow)
{
	const struct words *w = &flow->words;
	const int16_t *place = flow->format->place;
	return w->line.len > 0 && flow_is_literal(flow) && (w->absent[0] | w->absent[1]) == 0 &&
	       (place[FIELD_SRCPORT] | place[FIELD_DSTPORT] | place[FIELD_PROTOCOL] |
		place[FIELD_PACKETS] | place[FIELD_BYTES] | place[FIELD_START] |
		place[FIELD_END]) >= 0;
}

static void ftsq_flow(const struct encoder *e, const struct flow *flow, struct buf *out)
{
	(void)e;
	char *to = out->data + out->len;
	to = has_all(flow) ? put_words(to, flow) : put_values(to, flow);
	to = put_end(to, flow->source);
	out->len = (size_t)(to - out->data);
}

const struct encoder_class encoder_ftsq = {
	.name = "ftsq",
	.what = "FlowTraq exporter lines, for ftsq -read",
	.needs_addresses = true,
	.flow = ftsq_flow,
};
