/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_RESULT_H
#define VPCFLOWD_BASE_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/slice.h"

/*
 * The three shapes of result in this program:
 *   a pull from a stream returns enum step: needing more octets is no error;
 *   a conversion returns bool and, when false, fills a struct fault;
 *   system work returns 0 or a negative errno, as libuv does.
 * All of them are MUST_CHECK.
 */

enum step {
	STEP_OK,   /* something came out, call again */
	STEP_MORE, /* all input is used, give more */
	STEP_BAD,  /* the fault says why; the stream cannot go on */
};

/*
 * Everything foreign octets can do wrong: code, name (of counters and replies), text.
 * The first group costs one record, the second a whole document or payload.
 */
#define RECORD_FAULTS(X)                                                                           \
	X(COLUMNS, "columns", "the number of columns does not match the flow format")              \
	X(NUMBER, "number", "not an unsigned decimal number")                                      \
	X(RANGE, "range", "number too large for its field")                                        \
	X(ADDRESS, "address", "not an IPv4 or IPv6 address")                                       \
	X(TEXT, "text", "text outside printable ASCII, or beginning with = + @")                   \
	X(LINE_LENGTH, "line_length", "line too long")                                             \
	X(EVENT, "event", "log event without a message")                                           \
	X(MESSAGE_JSON, "message_json", "JSON message that is no flow log record")                 \
	X(HEADER, "header", "header line above it has a column twice, or too many")

#define PAYLOAD_FAULTS(X)                                                                          \
	X(EMPTY, "empty", "empty payload")                                                         \
	X(TOO_LARGE, "too_large", "payload larger than --max-payload")                             \
	X(GZIP, "gzip", "damaged gzip")                                                            \
	X(GZIP_CUT, "gzip_cut", "gzip ends before its trailer")                                    \
	X(INFLATED, "inflated", "inflates to more than --max-inflated")                            \
	X(RATIO, "ratio", "compressed beyond --max-ratio")                                         \
	X(JSON, "json", "invalid JSON")                                                            \
	X(JSON_CUT, "json_cut", "JSON ends before its closing brace")                              \
	X(JSON_DEPTH, "json_depth", "JSON nested deeper than --max-depth")                         \
	X(JSON_SHAPE, "json_shape", "JSON of no known kind")                                       \
	X(BASE64, "base64", "invalid base64")                                                      \
	X(NESTING, "nesting", "gzip and base64 nested deeper than --max-nesting")                  \
	X(NOTHING, "nothing_converted", "none of its records could be converted")                  \
	X(MEMORY, "memory", "out of memory")

#define FAULTS(X) RECORD_FAULTS(X) PAYLOAD_FAULTS(X)

enum fault_code {
#define X(code, name, text) FAULT_##code,
	FAULTS(X)
#undef X
		FAULT_COUNT
};

enum { FAULT_SAMPLE = 64 };

struct fault {
	enum fault_code code;
	size_t column; /* record faults: the column's place, from 0 */
	size_t offset; /* octets from the start of the line or document, where known */
	/* Payload faults: where the document ends is known, so the stream goes on after it. */
	bool contained;
	/* Payload faults: the first octets of what it lies in, for the log. */
	uint8_t sample_len;
	char sample[FAULT_SAMPLE];
};

/* Lives as long as the fault. */
static inline struct slice fault_sample(const struct fault *f)
{
	return slice_of(f->sample, f->sample_len);
}

/* Whether it costs one record, not a document or payload. */
static inline bool fault_is_record(enum fault_code code)
{
	return code < FAULT_EMPTY;
}

const char *fault_name(enum fault_code code);
const char *fault_text(enum fault_code code);

/* Fills the fault and returns false, so that a conversion can return it. */
static inline bool fault_set(struct fault *f, enum fault_code code, size_t column, size_t offset)
{
	f->code = code;
	f->column = column;
	f->offset = offset;
	f->contained = false;
	f->sample_len = 0;
	return false;
}

#endif
