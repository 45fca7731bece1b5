/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to IP address without libc, on the path of every record. The grammar is inet_pton's
 * (RFC 4291 section 2.2 for IPv6), which the unit tests hold it to.
 */
#include "flow/address.h"

static bool parse_v4(struct slice text, uint8_t octets[4])
{
	size_t at = 0;
	for (unsigned i = 0; i < 4; i++) {
		if (i > 0 && (at == text.len || text.data[at++] != '.'))
			return false;
		size_t first = at;
		unsigned n = 0;
		while (at < text.len && text.data[at] >= '0' && text.data[at] <= '9' &&
		       at - first < 3)
			n = n * 10 + (unsigned)(text.data[at++] - '0');
		bool leading_zero = at - first > 1 && text.data[first] == '0';
		if (at == first || n > 255 || leading_zero)
			return false;
		octets[i] = (uint8_t)n;
	}
	return at == text.len;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads up to four hex digits from *at on; false when there is none. */
static bool parse_group(struct slice text, size_t *at, unsigned *group)
{
	size_t first = *at;
	*group = 0;
	while (*at < text.len && *at - first < 4) {
		int digit = hex_digit(text.data[*at]);
		if (digit < 0)
			break;
		*group = *group << 4 | (unsigned)digit;
		++*at;
	}
	return *at > first;
}

/* Moves the octets after the "::" to the end and fills the gap with zeros. */
static bool expand(uint8_t octets[16], unsigned len, unsigned gap)
{
	if (len == 16)
		return false;
	memmove(octets + 16 - (len - gap), octets + gap, len - gap);
	memset(octets + gap, 0, 16 - len);
	return true;
}

static bool parse_v6(struct slice text, uint8_t octets[16])
{
	const unsigned none = 17;
	unsigned len = 0;
	unsigned gap = none;
	size_t at = 0;
	if (text.len >= 2 && text.data[0] == ':') {
		if (text.data[1] != ':')
			return false;
		gap = 0;
		at = 2;
	}
	while (at < text.len) {
		size_t first = at;
		unsigned group;
		if (len == 16 || !parse_group(text, &at, &group))
			return false;
		if (at < text.len && text.data[at] == '.') {
			slice_skip(&text, first);
			if (len > 12 || !parse_v4(text, octets + len))
				return false;
			len += 4;
			break;
		}
		octets[len++] = (uint8_t)(group >> 8);
		octets[len++] = (uint8_t)group;
		if (at == text.len)
			break;
		if (text.data[at++] != ':' || at == text.len)
			return false;
		if (text.data[at] == ':') {
			if (gap != none)
				return false;
			gap = len;
			at++;
		}
	}
	return gap == none ? len == 16 : expand(octets, len, gap);
}

bool address_parse(struct slice text, struct address *a)
{
	if (text.len > 0 && text.len <= 15 && memchr(text.data, ':', text.len) == NULL) {
		a->version = 4;
		return parse_v4(text, a->octets);
	}
	a->version = 6;
	return text.len >= 2 && text.len <= 45 && parse_v6(text, a->octets);
}

bool address_equal(const struct address *a, const struct address *b)
{
	return a->version == b->version &&
	       memcmp(a->octets, b->octets, a->version == 4 ? 4 : 16) == 0;
}

uint64_t address_network(const struct address *a)
{
	uint64_t network = a->version == 4 ? 0xffff : 0;
	for (unsigned i = 0; i < (a->version == 4 ? 4 : 8); i++)
		network = network << 8 | a->octets[i];
	return network;
}

bool cidr_parse(struct slice text, struct cidr *c)
{
	const char *slash = text.len == 0 ? NULL : memchr(text.data, '/', text.len);
	size_t len = slash == NULL ? text.len : (size_t)(slash - text.data);
	if (!address_parse(slice_of(text.data, len), &c->base))
		return false;
	unsigned most = c->base.version == 4 ? 32 : 128;
	c->bits = most;
	if (slash == NULL)
		return true;
	size_t digits = text.len - len - 1;
	if (digits == 0 || digits > 3)
		return false;
	c->bits = 0;
	for (size_t i = 1; i <= digits; i++) {
		if (slash[i] < '0' || slash[i] > '9')
			return false;
		c->bits = c->bits * 10 + (unsigned)(slash[i] - '0');
	}
	return c->bits <= most;
}

bool cidr_contains(const struct cidr *c, const struct address *a)
{
	if (c->base.version != a->version)
		return false;
	unsigned whole = c->bits / 8;
	if (memcmp(c->base.octets, a->octets, whole) != 0)
		return false;
	unsigned rest = c->bits % 8;
	return rest == 0 || (c->base.octets[whole] ^ a->octets[whole]) >> (8 - rest) == 0;
}
