/* SPDX-License-Identifier: Apache-2.0 */
/* The table of output formats, and what the text encoders share. */
#include "encode/encoder.h"

#include "encode/ipfix.h"

enum {
	TEXT_BATCH = 256 * 1024
}; /* a few times what a pipe holds, and fits the second-level cache */

const struct encoder_class *const encoder_classes[] = {
	&encoder_ftsq, &encoder_csv, &encoder_json, &encoder_ipfix_csv, &encoder_ipfix, NULL,
};

const struct encoder_class *encoder_class_by_name(struct slice name)
{
	for (size_t i = 0; encoder_classes[i] != NULL; i++)
		if (slice_equal(name, slice_text(encoder_classes[i]->name)))
			return encoder_classes[i];
	return NULL;
}

void encoder_init(struct encoder *e, const struct encoder_settings *settings)
{
	e->settings = *settings;
	e->has_columns = settings->columns != NULL;
	if (e->has_columns)
		e->columns = *settings->columns;
	e->header_due = false;
	e->ipfix = NULL;
}

void encoder_deinit(struct encoder *e)
{
	ipfix_free(&e->ipfix);
}

bool encoder_needs_columns(const struct encoder *e)
{
	return encoder_names_columns(&e->settings) && !e->has_columns;
}

bool encoder_begin(struct encoder *e, const struct format *columns)
{
	if (encoder_needs_columns(e)) {
		e->columns = *columns;
		e->has_columns = true;
	}
	if (!e->settings.class->messages)
		return true;
	e->ipfix = ipfix_new(&e->settings, &e->columns);
	return e->ipfix != NULL;
}

/* ---- batches and sessions: text is simple, IPFIX is not -------------------------------------- */

unsigned encoder_lane(struct encoder *e, const struct flow *flow)
{
	return e->ipfix == NULL ? 0 : ipfix_domain(e->ipfix, flow);
}

size_t encoder_batch_size(const struct encoder *e)
{
	return e->settings.class->messages ? e->settings.message_size : TEXT_BATCH;
}

bool encoder_add(struct encoder *e, const struct flow *flow, struct batch *b)
{
	if (e->ipfix != NULL)
		return ipfix_add(e->ipfix, flow, b);
	if (b->bytes.max - b->bytes.len < ENCODED_ROOM)
		return false;
	e->settings.class->flow(e, flow, &b->bytes);
	b->records++;
	b->tally.flows++;
	return true;
}

void encoder_not_sent(struct encoder *e, unsigned lane, const struct tally *tally)
{
	if (e->ipfix != NULL)
		ipfix_not_sent(e->ipfix, lane, tally);
}

uint64_t encoder_texts_cut(const struct encoder *e)
{
	return e->ipfix == NULL ? 0 : ipfix_texts_cut(e->ipfix);
}

void encoder_new_session(struct encoder *e)
{
	e->header_due = e->settings.class->header != NULL;
	if (e->ipfix != NULL)
		ipfix_new_session(e->ipfix);
}

void encoder_repeat(struct encoder *e)
{
	if (e->ipfix != NULL)
		ipfix_repeat(e->ipfix);
}

void encoder_last_call(struct encoder *e)
{
	if (e->ipfix != NULL)
		ipfix_last_call(e->ipfix);
}

bool encoder_may_be_ahead(const struct encoder *e)
{
	return e->ipfix != NULL || e->header_due;
}

enum step encoder_ahead(struct encoder *e, unsigned lane, uint64_t now_ms, struct batch *b)
{
	if (e->ipfix != NULL)
		return ipfix_ahead(e->ipfix, lane, now_ms, b);
	if (!e->header_due)
		return STEP_MORE;
	e->header_due = false;
	e->settings.class->header(e, &b->bytes);
	return STEP_OK;
}

void encoder_stamp(struct encoder *e, struct batch *b)
{
	if (e->ipfix != NULL)
		ipfix_stamp(e->ipfix, b);
}

/* ---- what the text formats share ------------------------------------------------------------- */

int encoder_column_by_name(const struct format *columns, unsigned column, const struct flow *flow)
{
	struct slice name = format_column_name(columns, column);
	for (unsigned i = 0; i < flow->format->count; i++)
		if (flow->format->column[i].field == FIELD_UNKNOWN &&
		    slice_equal(format_column_name(flow->format, i), name))
			return (int)i;
	return -1;
}

char *encoder_put_odd_number(char *to, const struct flow *flow, unsigned column)
{
	const struct value *v = flow_column(flow, column);
	uint64_t n = v == NULL ? 0 : v->number;
	struct buf digits = { .data = to };
	buf_put_number(&digits, flow->format->kind[column] == FIELD_TIME ? time_seconds(n) : n);
	return to + digits.len;
}
