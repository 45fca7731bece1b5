/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_GROUPED_H
#define VPCFLOWD_FLOW_GROUPED_H

#include <endian.h>

#include "base/sixteen.h"

/*
 * Groups of hexadecimal digits to the octets of an IPv6 address, as AWS writes them: small letters, one to
 * four digits a group, "::" for as many groups of zeros as are missing (RFC 4291 section 2.2).
 *
 *   text    2001:db8::8a2e:370:7334
 *   colons      ^   ^^    ^   ^       a bit for each, as are the ends of groups
 *   groups  2001 db8      8a2e 370 7334
 *
 * At most GROUPED_MOST octets of text come in, and GROUPED_READ may be read. What is written in another
 * way is refused: address_parse (address.h) has the whole grammar.
 */
enum { GROUPED_MOST = 39, GROUPED_READ = 3 * SIXTEEN, GROUPED_OCTETS = 16 };

/* The number of one to four digits, of which the first stands at p. */
static inline uint16_t grouped_number(const char *p, unsigned digits)
{
	uint32_t w;
	memcpy(&w, p, sizeof(w));
	w = be32toh(w) >> (8 * (4 - digits) & 31);
	w = (w & 0x0f0f0f0fu) + (w >> 6 & 0x01010101u) * 9;
	w = (w | w >> 4) & 0x00ff00ffu;
	return (uint16_t)(w | w >> 8);
}

/* The groups from a place on, which end where there is a bit. False: one is empty or too long. */
static inline bool grouped_run(const char *p, unsigned from, uint64_t ends, uint8_t *octets)
{
	unsigned bad = 0;
	for (; ends != 0; ends &= ends - 1) {
		unsigned end = (unsigned)__builtin_ctzll(ends);
		unsigned digits = end - from;
		uint16_t number = htobe16(grouped_number(p + from, digits));
		memcpy(octets, &number, sizeof(number));
		bad |= digits - 1 > 3;
		octets += sizeof(number);
		from = end + 1;
	}
	return bad == 0;
}

/* With "::" at a place: what is before it goes to the front, what is behind it to the end. */
static inline bool grouped_with_gap(const char *p, size_t len, uint64_t colons, unsigned gap,
				    uint8_t octets[GROUPED_OCTETS])
{
	uint64_t before = (uint64_t)1 << gap;
	uint64_t ends = gap == 0 ? 0 : (colons & (before - 1)) | before;
	uint64_t ends_behind = gap + 2 == len ? 0 : (colons & -(before << 2)) | (uint64_t)1 << len;
	unsigned behind = 2 * (unsigned)__builtin_popcountll(ends_behind);
	if (2 * (unsigned)__builtin_popcountll(ends) + behind >= GROUPED_OCTETS)
		return false;
	memset(octets, 0, GROUPED_OCTETS);
	return grouped_run(p, 0, ends, octets) &&
	       grouped_run(p, gap + 2, ends_behind, octets + GROUPED_OCTETS - behind);
}

static inline bool grouped_octets(const char *p, size_t len, uint8_t octets[GROUPED_OCTETS])
{
	uint64_t colons = 0;
	uint64_t others = 0;
	if (len > GROUPED_MOST)
		return false;
	for (unsigned i = 0; i < GROUPED_READ; i += SIXTEEN) {
		colons |= (uint64_t)sixteen_colon(p + i) << i;
		others |= (uint64_t)sixteen_not_hex(p + i) << i;
	}
	uint64_t end = (uint64_t)1 << len;
	colons &= end - 1;
	uint64_t gaps = colons & colons >> 1;
	if ((others & ~colons & (end - 1)) != 0 || (gaps & (gaps - 1)) != 0)
		return false;
	if (gaps != 0)
		return grouped_with_gap(p, len, colons, (unsigned)__builtin_ctzll(gaps), octets);
	return 2 * (__builtin_popcountll(colons) + 1) == GROUPED_OCTETS &&
	       grouped_run(p, 0, colons | end, octets);
}

#endif
