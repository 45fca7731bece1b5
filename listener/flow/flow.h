/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_FLOW_H
#define VPCFLOWD_FLOW_FLOW_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/result.h"
#include "flow/address.h"
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

/*
 * One record, taken apart. The texts borrow from the line it was parsed from and are valid as long
 * as that; the format must live as long as the flow is used. Only the first format->count values
 * are set. Made to be used again and again.
 */
struct flow {
	const struct format *format;
	const struct source *source; /* where it was observed */
	const struct origin *origin; /* where its document came from */
	struct slice verbatim;	     /* the line, if its words are what csv has of it; else empty */
	bool roomy; /* sixteen octets may be read from any place in a text, however near its end */
	struct value value[COLUMN_LIMIT];
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

enum flow_status flow_status(const struct flow *flow);

/* A field's value; NULL when the format has no such column or the record has "-" there. */
static inline const struct value *flow_value(const struct flow *flow, enum field field)
{
	int column = flow->format->place[field];
	if (column < 0 || flow->value[column].text.len == 0)
		return NULL;
	return &flow->value[column];
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
