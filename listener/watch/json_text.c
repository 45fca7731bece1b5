/* SPDX-License-Identifier: Apache-2.0 */
/* Any octets in, a JSON string out; the length of what comes out is at most six times theirs. */
#include "watch/json_text.h"

/* The length of the UTF-8 character that a text begins with, RFC 3629 section 4; 0 when it is none. */
static size_t character(struct slice text)
{
	const unsigned char *c = (const unsigned char *)text.data;
	size_t len = c[0] < 0x80 ? 1 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	if ((c[0] >= 0x80 && c[0] < 0xc2) || c[0] > 0xf4 || len > text.len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
	bool beyond = (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf4 && c[1] > 0x8f);
	return overlong || beyond ? 0 : len;
}

static bool is_special(unsigned char c)
{
	return c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == 0x7f;
}

void json_text_add(struct text *t, struct slice text)
{
	text_add(t, "\"");
	while (text.len > 0) {
		size_t len = character(text);
		if (len == 0)
			text_add(t, "\\ufffd");
		else if (is_special((unsigned char)text.data[0]))
			text_add(t, "\\u%04x", (unsigned char)text.data[0]);
		else
			text_add(t, "%.*s", (int)len, text.data);
		slice_skip(&text, len == 0 ? 1 : len);
	}
	text_add(t, "\"");
}
