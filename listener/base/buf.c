/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing buffers with a maximum. Sizes never wrap: every comparison is of the form
 * n > max - len, with len <= max kept true at all times.
 */
#include "base/buf.h"

#include <stdlib.h>

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_deinit(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

static bool set_cap(struct buf *b, size_t cap)
{
	char *data = realloc(b->data, cap);
	if (data == NULL)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

size_t buf_grown(const struct buf *b, size_t n)
{
	size_t cap = b->cap == 0 ? BUF_FIRST : b->cap;
	if (n <= b->cap - b->len)
		return b->cap;
	while (cap < b->max && cap - b->len < n)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	return cap < b->max ? cap : b->max;
}

bool buf_reserve(struct buf *b, size_t n)
{
	if (n <= b->cap - b->len)
		return true;
	return n <= b->max - b->len && set_cap(b, buf_grown(b, n));
}

bool buf_reserve_exactly(struct buf *b, size_t n)
{
	if (n <= b->cap - b->len)
		return true;
	return n <= b->max - b->len && set_cap(b, b->len + n);
}

bool buf_add(struct buf *b, const void *data, size_t n)
{
	if (!buf_reserve(b, n))
		return false;
	buf_put(b, slice_of(data, n));
	return true;
}

void buf_put_number(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	buf_put(b, slice_of(digits + at, sizeof(digits) - at));
}
