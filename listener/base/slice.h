/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_SLICE_H
#define VPCFLOWD_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/*
 * Octets that belong to somebody else. Whoever yields a slice says until when it may be read.
 * Never NUL-terminated; an empty slice may have a NULL pointer.
 */
struct slice {
	const char *data;
	size_t len;
};

#define SLICE_NONE	    ((struct slice){ NULL, 0 })
#define SLICE_LITERAL(text) ((struct slice){ (text), sizeof(text) - 1 })

static inline struct slice slice_of(const char *data, size_t len)
{
	return (struct slice){ data, len };
}

static inline struct slice slice_text(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Drops the first n octets; n must not exceed the length. */
static inline void slice_skip(struct slice *s, size_t n)
{
	if (n == 0)
		return;
	s->data += n;
	s->len -= n;
}

#endif
