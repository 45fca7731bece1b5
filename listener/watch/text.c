/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of printf's formats into a buffer that grows up to its maximum. What has no room there, or no
 * memory, leaves the text as it was and marked as failed for good; who made it looks at that once.
 */
#include "watch/text.h"

#include <stdarg.h>
#include <stdio.h>

enum { PIECE = 256 }; /* what most of what is added fits */

void text_add(struct text *t, const char *format, ...)
{
	va_list args;
	t->failed = t->failed || !buf_reserve(t->buf, PIECE);
	if (t->failed)
		return;
	va_start(args, format);
	int len = vsnprintf(t->buf->data + t->buf->len, PIECE, format, args);
	va_end(args);
	if (len >= PIECE) {
		t->failed = !buf_reserve(t->buf, (size_t)len + 1);
		if (t->failed)
			return;
		va_start(args, format);
		len = vsnprintf(t->buf->data + t->buf->len, (size_t)len + 1, format, args);
		va_end(args);
	}
	if (len > 0)
		t->buf->len += (size_t)len;
}
