/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record's text to typed values, strictly: addresses, unsigned decimal with an overflow check,
 * printable ASCII. "-" is "not there" in any column. Nothing is guessed and nothing is repaired: a
 * record that does not fit costs itself and says which column.
 */
#include "flow/flow.h"

static bool parse_number(struct slice text, uint64_t most, struct value *v, enum fault_code *why)
{
	uint64_t n = 0;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
		if (digit > 9) {
			*why = FAULT_NUMBER;
			return false;
		}
		if (n > (most - digit) / 10) {
			*why = FAULT_RANGE;
			return false;
		}
		n = n * 10 + digit;
	}
	v->number = n;
	return true;
}

static bool is_text(struct slice text)
{
	if (text.data[0] == '=' || text.data[0] == '+' || text.data[0] == '@')
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~')
			return false;
	return true;
}

static bool parse_value(enum field field, struct slice text, struct value *v, enum fault_code *why)
{
	static const uint64_t most[] = {
		[FIELD_U8] = UINT8_MAX,	  [FIELD_U16] = UINT16_MAX,  [FIELD_U32] = UINT32_MAX,
		[FIELD_U64] = UINT64_MAX, [FIELD_TIME] = UINT64_MAX,
	};
	if (text.len == 0 || (text.len == 1 && text.data[0] == '-')) {
		v->text = SLICE_NONE;
		return true;
	}
	v->text = text;
	enum field_kind kind = field_kind(field);
	switch (kind) {
	case FIELD_TEXT:
		*why = FAULT_TEXT;
		return is_text(text);
	case FIELD_ADDRESS:
		*why = FAULT_ADDRESS;
		return address_parse(text, &v->address);
	default:
		return parse_number(text, most[kind], v, why);
	}
}

/* For values that are set one by one, here. */
static void begin(struct flow *flow, const struct format *format)
{
	flow->format = format;
	flow->words.line = SLICE_NONE;
	memset(flow->words.unread, 0, sizeof(flow->words.unread));
}

void flow_read(struct flow *flow, unsigned column)
{
	struct value *v = &flow->value[column];
	flow->words.unread[column / 64] &= ~((uint64_t)1 << (column % 64));
	v->text = flow_text(flow, column);
	if (v->text.len > 0 && flow->format->kind[column] >= FIELD_U8)
		v->number = digits_number(v->text.data, v->text.len);
}

static size_t count_columns(struct slice line)
{
	size_t count = 0;
	bool inside = false;
	for (size_t at = 0; at < line.len; at++) {
		bool space = line.data[at] == ' ';
		count += !space && !inside;
		inside = !space;
	}
	return count;
}

/*
 * A record of another format fails at whichever column first does not fit. The number of columns
 * tells its reader more, so where that is wrong it is the fault.
 */
static bool refuse(struct fault *fault, enum fault_code why, const struct format *format,
		   struct slice line, unsigned column, size_t at)
{
	size_t count = count_columns(line);
	if (count != format->count)
		return fault_set(fault, FAULT_COLUMNS, count, at);
	return fault_set(fault, why, column, at);
}

bool flow_parse(struct flow *flow, const struct format *format, struct slice line,
		struct fault *fault)
{
	begin(flow, format);
	unsigned column = 0;
	size_t at = 0;
	for (;;) {
		while (at < line.len && line.data[at] == ' ')
			at++;
		if (at == line.len)
			break;
		if (column == format->count)
			return refuse(fault, FAULT_COLUMNS, format, line, column, at);
		size_t first = at;
		while (at < line.len && line.data[at] != ' ')
			at++;
		enum fault_code why;
		if (!parse_value(format->column[column].field,
				 slice_of(line.data + first, at - first), &flow->value[column],
				 &why))
			return refuse(fault, why, format, line, column, first);
		column++;
	}
	if (column != format->count)
		return refuse(fault, FAULT_COLUMNS, format, line, column, line.len);
	return true;
}

void flow_begin(struct flow *flow, const struct format *format)
{
	begin(flow, format);
	for (unsigned i = 0; i < format->count; i++)
		flow->value[i].text = SLICE_NONE;
}

bool flow_set(struct flow *flow, unsigned column, struct slice text, struct fault *fault)
{
	enum fault_code why;
	if (parse_value(flow->format->column[column].field, text, &flow->value[column], &why))
		return true;
	return fault_set(fault, why, column, 0);
}

enum flow_status flow_other_status(struct slice status)
{
	if (slice_equal(status, SLICE_LITERAL("NODATA")))
		return FLOW_NODATA;
	if (slice_equal(status, SLICE_LITERAL("SKIPDATA")))
		return FLOW_SKIPDATA;
	return FLOW_RECORD;
}
