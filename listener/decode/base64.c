/* SPDX-License-Identifier: Apache-2.0 */
/* base64 as AWS sends it: the plain alphabet, padded, nothing between. */
#include "decode/base64.h"

#include <pthread.h>

enum { INVALID = 64 };

static uint8_t values[256];

static void make_values(void)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	memset(values, INVALID, sizeof(values));
	for (unsigned i = 0; i < 64; i++)
		values[(unsigned char)alphabet[i]] = (uint8_t)i;
}

/* Four characters to 24 bits; false when one of the first count is not in the alphabet. */
static bool decode_group(const char *text, unsigned count, uint32_t *bits)
{
	*bits = 0;
	unsigned seen = 0;
	for (unsigned i = 0; i < 4; i++) {
		uint8_t v = i < count ? values[(unsigned char)text[i]] : 0;
		seen |= v;
		*bits = *bits << 6 | (v & 63u);
	}
	return (seen & INVALID) == 0;
}

bool base64_decode(struct slice text, struct buf *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_values);
	if (text.len % 4 != 0)
		return false;
	if (text.len == 0)
		return true;
	unsigned padding = 0;
	while (padding < 2 && text.data[text.len - 1 - padding] == '=')
		padding++;
	if (!buf_reserve(out, text.len / 4 * 3))
		return false;
	char *to = out->data + out->len;
	const char *last = text.data + text.len - 4;
	uint32_t bits;
	for (const char *p = text.data; p < last; p += 4) {
		if (!decode_group(p, 4, &bits))
			return false;
		*to++ = (char)(bits >> 16);
		*to++ = (char)(bits >> 8);
		*to++ = (char)bits;
	}
	if (!decode_group(last, 4 - padding, &bits))
		return false;
	for (unsigned i = 0; i < 3 - padding; i++)
		*to++ = (char)(bits >> (16 - 8 * i));
	out->len = (size_t)(to - out->data);
	return true;
}
