/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_JSON_H
#define VPCFLOWD_DECODE_JSON_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "base/result.h"

/*
 * JSON in two steps. First json_scan goes over the octets as they arrive, holds them to RFC 8259
 * and finds where the value ends, without storing anything. Then the walkers yield members and
 * elements of text that was found good, as slices of it. Values that hold escapes go through
 * cJSON, one string at a time, so no tree grows with the input and no number is rounded.
 */

enum { JSON_DEPTH_LIMIT = 64 };

struct plain;

struct json_scan {
	uint8_t state;
	uint8_t literal;  /* which of true, false, null */
	uint8_t progress; /* octets of the literal, or digits of \u */
	unsigned depth;	  /* open objects and arrays */
	unsigned max_depth;
	uint64_t objects;    /* a bit a level: object or array */
	bool key;	     /* the string is a member's name */
	struct plain *plain; /* takes over where it can (decode/plain.h); NULL: nowhere */
};

/* Ready for one value, at most max_depth <= JSON_DEPTH_LIMIT levels deep. */
void json_scan_init(struct json_scan *s, unsigned max_depth);

/*
 * Goes over the next octets of one object or array. STEP_OK: it ended after *used of them.
 * STEP_MORE: all are part of it. STEP_BAD: FAULT_JSON or FAULT_JSON_DEPTH, with the offset in
 * data. Control characters in strings are invalid, as RFC 8259 section 7 says; NUL is one.
 */
MUST_CHECK enum step json_scan(struct json_scan *s, struct slice data, size_t *used,
			       struct fault *fault);

/* Whether text is one object, complete and within max_depth, with nothing but spaces around it. */
MUST_CHECK bool json_is_object(struct slice text, unsigned max_depth);

/* What may stand between values (RFC 8259 section 2). */
static inline bool json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * A place in an object or array; valid as long as its text. A value that begins at `known` ends at
 * `known_end`: it may be long, and was gone over before.
 */
struct json_walk {
	const char *at;
	const char *end;
	const char *known;
	const char *known_end;
};

/* Walks the object or array that value is, from bracket to bracket, of text found good. */
struct json_walk json_walk(struct slice value);
/* The next member: key and value as written, the key with its quotes. False at the end. */
bool json_member(struct json_walk *w, struct slice *key, struct slice *value);
/* The next element of an array, as written. False at the end. */
bool json_element(struct json_walk *w, struct slice *value);

/* Whether a key or string as written is the given text, which needs no escapes. */
bool json_is(struct slice written, const char *text);

static inline bool json_is_string(struct slice value)
{
	return value.len > 0 && value.data[0] == '"';
}

/*
 * The text of a value as written: a string's characters, a number's digits, "true", "false",
 * nothing for null. Borrows from the value, or from scratch when there were escapes; scratch only
 * grows, so texts taken before stay valid if it had room for the whole value (buf_reserve).
 * False with FAULT_TEXT for objects and arrays, \u0000 and surrogates without their half, and where
 * scratch must not grow so far; with FAULT_MEMORY without memory.
 */
MUST_CHECK bool json_text(struct slice value, struct buf *scratch, struct slice *text,
			  struct fault *fault);

#endif
