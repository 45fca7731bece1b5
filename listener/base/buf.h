/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_BUF_H
#define VPCFLOWD_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/slice.h"

/*
 * A growing run of octets that was born with its maximum. Owns data (malloc), grows by doubling,
 * never past max; a failed growth leaves it as it was.
 *
 *   data |#### len ####|.... cap - len ....|        cap <= max
 */
struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
};

/* Makes an empty buffer that may grow to max octets. Allocates nothing. */
void buf_init(struct buf *b, size_t max);
/* Frees the octets; the buffer may be used again as an empty one with the same maximum. */
void buf_deinit(struct buf *b);
/* Makes room for n more octets. False when that would pass the maximum, or without memory. */
MUST_CHECK bool buf_reserve(struct buf *b, size_t n);
/* What cap is after that, or the maximum. */
size_t buf_grown(const struct buf *b, size_t n);
/* The same where it is known how many will come: no more room than that. */
MUST_CHECK bool buf_reserve_exactly(struct buf *b, size_t n);
/* Appends n octets. False, and nothing appended, as buf_reserve. */
MUST_CHECK bool buf_add(struct buf *b, const void *data, size_t n);

/* What was written so far; valid until the buffer next grows or is freed. */
static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->data, b->len);
}

/*
 * Appending without a check, for encoders: the caller has reserved the room before
 * (encode/encoder.h says how much).
 */
static inline void buf_put(struct buf *b, struct slice s)
{
	if (s.len != 0)
		memcpy(b->data + b->len, s.data, s.len);
	b->len += s.len;
}

static inline void buf_put_char(struct buf *b, char c)
{
	b->data[b->len++] = c;
}

/* Appends a decimal number: at most 20 octets. */
void buf_put_number(struct buf *b, uint64_t n);

#endif
