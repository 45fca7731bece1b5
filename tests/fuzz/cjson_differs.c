/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over the tokens of JSON text, which knows nothing of the scanner it helps to judge: only
 * strings, numbers, brackets, and what is between.
 */
#include "cjson_differs.h"

#include <ctype.h>
#include <stdint.h>

enum { CJSON_NUMBER_MOST = 63 };

struct walk {
	const char *at;
	const char *end;
	bool type_follows; /* the value that comes is messageType's */
	struct cjson_differs found;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The four hex digits at p; -1 when they are none. */
static int32_t code_unit(const char *p, const char *end)
{
	int32_t n = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		if (!isxdigit((unsigned char)c))
			return -1;
		n = n * 16 + (isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return n;
}

/* At \u; leaves *p at the last octet of the escape, or of the pair. */
static void look_at_unicode(struct walk *w, const char **p)
{
	int32_t first = code_unit(*p + 2, w->end);
	if (first < 0) {
		w->found.hex = true;
		*p += 1;
		return;
	}
	*p += 5;
	if (first < 0xd800 || first > 0xdfff)
		return;
	bool more = first < 0xdc00 && w->end - *p > 6 && (*p)[1] == '\\' && (*p)[2] == 'u';
	int32_t second = more ? code_unit(*p + 3, w->end) : -1;
	if (second >= 0xdc00 && second <= 0xdfff)
		*p += 6;
	else
		w->found.surrogate = true;
}

static void look_at_string(struct walk *w)
{
	static const struct slice type = { "\"messageType\"", 13 };
	const char *first = w->at;
	const char *p = first + 1;
	bool escapes = false;
	for (; p < w->end && *p != '"'; p++) {
		w->found.control |= (unsigned char)*p < 0x20;
		if (*p != '\\')
			continue;
		escapes = true;
		if (w->end - p > 1 && p[1] == 'u')
			look_at_unicode(w, &p);
		else
			p++;
	}
	w->at = p < w->end ? p + 1 : w->end;
	const char *next = w->at;
	while (next < w->end && (unsigned char)*next <= ' ')
		next++;
	bool name = next < w->end && *next == ':';
	w->found.name |= escapes && (name || w->type_follows);
	w->type_follows = name && slice_equal(slice_of(first, (size_t)(w->at - first)), type);
}

static size_t digits(const char **p, const char *end)
{
	const char *first = *p;
	while (*p < end && isdigit((unsigned char)**p))
		++*p;
	return (size_t)(*p - first);
}

/* RFC 8259 section 6. */
static bool is_number(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	bool zero = p < end && *p == '0';
	size_t n = digits(&p, end);
	if (n == 0 || (zero && n > 1))
		return false;
	if (p < end && *p == '.') {
		p++;
		if (digits(&p, end) == 0)
			return false;
	}
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (digits(&p, end) == 0)
			return false;
	}
	return p == end;
}

static void look_at_number(struct walk *w)
{
	const char *first = w->at;
	while (w->at < w->end && *w->at != '\0' && strchr("0123456789+-.eE", *w->at) != NULL)
		w->at++;
	w->found.number |= !is_number(first, w->at);
	w->found.long_number |= w->at - first > CJSON_NUMBER_MOST;
}

struct cjson_differs cjson_differs(struct slice text)
{
	struct walk w = { .at = text.data, .end = text.data + text.len };
	unsigned depth = 0;
	w.found.mark = text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0;
	while (w.at < w.end) {
		char c = *w.at;
		if (c == '"') {
			look_at_string(&w);
			continue;
		}
		if (c == '-' || isdigit((unsigned char)c)) {
			look_at_number(&w);
			continue;
		}
		w.found.space |= (unsigned char)c < 0x20 && !is_space(c);
		depth += c == '{' || c == '[';
		depth -= depth > 0 && (c == '}' || c == ']');
		if (depth > w.found.depth)
			w.found.depth = depth;
		w.at++;
	}
	return w.found;
}
