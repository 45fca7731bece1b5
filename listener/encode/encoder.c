/* SPDX-License-Identifier: Apache-2.0 */
/* The table of output formats, and what the text encoders share. */
#include "encode/encoder.h"

const struct encoder_class *const encoder_classes[] = {
	&encoder_ftsq, &encoder_csv, &encoder_json, &encoder_ipfix_csv, NULL,
};

const struct encoder_class *encoder_class_by_name(struct slice name)
{
	for (size_t i = 0; encoder_classes[i] != NULL; i++)
		if (slice_equal(name, slice_text(encoder_classes[i]->name)))
			return encoder_classes[i];
	return NULL;
}

void encoder_init(struct encoder *e, const struct encoder_class *class,
		  const struct format *columns)
{
	e->class = class;
	e->has_columns = false;
	if (columns != NULL)
		encoder_choose_columns(e, columns);
}

void encoder_choose_columns(struct encoder *e, const struct format *columns)
{
	if (e->has_columns)
		return;
	e->columns = *columns;
	e->has_columns = true;
}

bool encoder_takes(const struct encoder *e, const struct flow *flow)
{
	if (!e->class->needs_addresses)
		return true;
	const struct value *src = flow_value(flow, FIELD_SRCADDR);
	const struct value *dst = flow_value(flow, FIELD_DSTADDR);
	return src != NULL && dst != NULL && src->address.version == dst->address.version;
}

static const struct value *value_by_name(const struct flow *flow, struct slice name)
{
	for (unsigned i = 0; i < flow->format->count; i++)
		if (flow->format->column[i].field == FIELD_UNKNOWN &&
		    slice_equal(format_column_name(flow->format, i), name))
			return flow->value[i].text.len > 0 ? &flow->value[i] : NULL;
	return NULL;
}

const struct value *encoder_value(const struct format *columns, unsigned column,
				  const struct flow *flow)
{
	enum field field = columns->column[column].field;
	if (field != FIELD_UNKNOWN)
		return flow_value(flow, field);
	return value_by_name(flow, format_column_name(columns, column));
}

void encoder_put_name(const struct format *columns, unsigned column, struct buf *out)
{
	struct slice name = format_column_name(columns, column);
	for (size_t i = 0; i < name.len; i++)
		buf_put_char(out, name.data[i] == '-' ? '_' : name.data[i]);
}

void encoder_put_number(enum field_kind kind, const struct value *v, struct buf *out)
{
	bool leading_zero = v->text.len > 1 && v->text.data[0] == '0';
	uint64_t n = kind == FIELD_TIME ? time_seconds(v->number) : v->number;
	if (leading_zero || n != v->number)
		buf_put_number(out, n);
	else
		buf_put(out, v->text);
}
