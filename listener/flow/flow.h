/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_FLOW_H
#define VPCFLOWD_FLOW_FLOW_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/result.h"
#include "flow/address.h"
#include "flow/digits.h"
#include "flow/format.h"
#include "flow/source.h"

/* One column of a record. */
struct value {
	struct slice text; /* as it came; empty when the record has "-" there */
	union {
		uint64_t number; /* U8 to U64 and TIME */
		struct address address;
	};
};

/* A bit for each column; and what may be written behind the last column's place. */
enum { COLUMN_WORDS = COLUMN_LIMIT / 64, WORDS_SLACK = 32 };

/*
 * What the quick way (quick.h) makes of a line, in which single spaces are between the columns:
 *
 *   2 123456789010 eni-1235b8ca123456789 172.31.9.69 ...
 *   ^ ^            ^                     ^            begin[0], begin[1], ...
 *
 * QUICK_BEYOND octets behind the line may be read.
 */
struct words {
	struct slice line; /* empty: the flow was not read in this way */
	bool odd;	   /* a number does not stand there as outputs write it; times aside */
	bool plain;	   /* nothing in it that an output escapes */
	uint16_t begin[COLUMN_LIMIT + 1 + WORDS_SLACK]; /* one more: behind the line's end */
	uint64_t absent[COLUMN_WORDS];			/* those of "-" */
	uint64_t unread[COLUMN_WORDS];			/* of which no value was made yet */
};

/*
 * One record, taken apart. The texts borrow from the line it was parsed from and are valid as long
 * as that; the format must live as long as the flow is used. Made to be used again and again.
 */
struct flow {
	const struct format *format;
	const struct source *source; /* where it was observed */
	const struct origin *origin; /* where its document came from */
	struct words words;
	struct value
		value[COLUMN_LIMIT]; /* for flow_value and flow_column, which know what is set */
};

/* What log-status says a record is. */
enum flow_status {
	FLOW_RECORD, /* traffic, or no log-status in the format */
	FLOW_NODATA,
	FLOW_SKIPDATA,
};

/*
 * Parses one line without its line end, one pass, no allocation. Any run of spaces separates
 * columns. False when the record does not fit the format exactly: the fault has the column, from 0
 * (for FAULT_COLUMNS the number of columns there are), and the offset in the line.
 */
MUST_CHECK bool flow_parse(struct flow *flow, const struct format *format, struct slice line,
			   struct fault *fault);

/* The same for a record given by names: begin with every column empty, then set them one by one. */
void flow_begin(struct flow *flow, const struct format *format);
MUST_CHECK bool flow_set(struct flow *flow, unsigned column, struct slice text,
			 struct fault *fault);

/* Of what log-status says, if it is not "OK". */
enum flow_status flow_other_status(struct slice status);

/* A column as it stands in the line, "-" too. */
static inline struct slice words_text(const struct words *w, size_t column)
{
	return slice_of(w->line.data + w->begin[column],
			(size_t)w->begin[column + 1] - w->begin[column] - 1);
}

/*
 * Of a time in words that are not odd, which has ten digits at most: whether outputs may have to divide it
 * by 1,000 (time_seconds). From the year 2033 on, and before 2001, if they have to look at it.
 */
static inline bool words_late(const struct words *w, size_t column)
{
	return w->line.data[w->begin[column]] > '1';
}

/* Makes the value of a column out of the words (quick.c). */
void flow_read(struct flow *flow, unsigned column);

/* Whether all numbers and times stand in the words as outputs write them. */
static inline bool flow_is_literal(const struct flow *flow)
{
	bool odd = flow->words.odd;
	for (unsigned k = 0; k < COLUMN_WORDS; k++)
		for (uint64_t columns = flow->format->times[k]; columns != 0;
		     columns &= columns - 1)
			odd |= words_late(&flow->words,
					  64 * k + (unsigned)__builtin_ctzll(columns));
	return !odd;
}

static inline bool column_in(const uint64_t bits[COLUMN_WORDS], unsigned column)
{
	return (bits[column / 64] >> (column % 64) & 1) != 0;
}

/*
 * A column's value; NULL when the record has "-" there. What was read the quick way becomes a value
 * when it is first asked for: most outputs do not. That is no change of the flow, so it may be const.
 */
static inline const struct value *flow_column(const struct flow *flow, unsigned column)
{
	if (column_in(flow->words.unread, column))
		flow_read((struct flow *)(uintptr_t)flow, column);
	return flow->value[column].text.len == 0 ? NULL : &flow->value[column];
}

/* A field's value; NULL when the format has no such column or the record has "-" there. */
static inline const struct value *flow_value(const struct flow *flow, enum field field)
{
	int column = flow->format->place[field];
	return column < 0 ? NULL : flow_column(flow, (unsigned)column);
}

/* Whether a column has a value, which its text would say as well. */
static inline bool flow_has(const struct flow *flow, unsigned column)
{
	return flow->words.line.len == 0 ? flow->value[column].text.len > 0
					 : !column_in(flow->words.absent, column);
}

/* The text of a column that has one. */
static inline struct slice flow_present_text(const struct flow *flow, unsigned column)
{
	return flow->words.line.len == 0 ? flow->value[column].text
					 : words_text(&flow->words, column);
}

/* A column's text alone, which costs less than its value; empty when the record has "-" there. */
static inline struct slice flow_text(const struct flow *flow, unsigned column)
{
	return flow_has(flow, column) ? flow_present_text(flow, column) : SLICE_NONE;
}

/* A field's address alone; NULL as flow_value. */
static inline const struct address *flow_address(const struct flow *flow, enum field field)
{
	int column = flow->format->place[field];
	return column < 0 || !flow_has(flow, (unsigned)column) ? NULL
							       : &flow->value[column].address;
}

/* The number or time of a column that has this text, which is not empty. */
static inline uint64_t flow_number_of(const struct flow *flow, unsigned column, struct slice text)
{
	return flow->words.line.len == 0 ? flow->value[column].number
					 : digits_number(text.data, text.len);
}

/* A field's number or time alone; 0 where flow_value gives NULL. */
static inline uint64_t flow_number(const struct flow *flow, enum field field)
{
	int column = flow->format->place[field];
	if (column < 0)
		return 0;
	struct slice text = flow_text(flow, (unsigned)column);
	return text.len == 0 ? 0 : flow_number_of(flow, (unsigned)column, text);
}

/* The text of a field; empty where flow_value gives NULL. */
static inline struct slice flow_field_text(const struct flow *flow, enum field field)
{
	int column = flow->format->place[field];
	return column < 0 ? SLICE_NONE : flow_text(flow, (unsigned)column);
}

static inline enum flow_status flow_status(const struct flow *flow)
{
	struct slice status = flow_field_text(flow, FIELD_LOG_STATUS);
	return status.len <= 2 ? FLOW_RECORD : flow_other_status(status);
}

/* A TIME in seconds, or in milliseconds: above 2^31-1 it came in milliseconds. */
static inline uint64_t time_seconds(uint64_t time)
{
	return time > INT32_MAX ? time / 1000 : time;
}

static inline uint64_t time_milliseconds(uint64_t time)
{
	return time > INT32_MAX ? time : time * 1000;
}

#endif
