/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_DOTTED_H
#define VPCFLOWD_FLOW_DOTTED_H

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "base/sixteen.h"

/*
 * Dotted decimal to the octets of an IPv4 address: four groups of one to three digits, without
 * leading zeros, up to 255. In come at most fifteen octets of text, and sixteen may be read; what is no
 * such address is refused.
 */
enum { DOTTED_MOST = 15 };

/* Where the groups of a text end, a bit for each: three dots, and the end itself. */
static inline unsigned dotted_marks(const char *p, size_t len)
{
	return (sixteen_dot(p) & ((1u << len) - 1)) | 1u << len;
}

#ifdef __AVX2__
/* The lengths of the groups, and what moves each group's digits to the end of four octets. */
struct dotted {
	int8_t from[SIXTEEN]; /* -1: no digit */
	uint8_t least[4];     /* of a number of so many digits */
	uint16_t marks;
};

/* All 81 of them, each at a place of its own: the factor was found by trying. */
#define DOTTED_PLACE(marks) ((marks)*0x372da969u >> 24)
#define DOTTED_MARKS(a, b, c, d)                                                                   \
	(1u << (a) | 1u << ((a) + (b) + 1) | 1u << ((a) + (b) + (c) + 2) |                         \
	 1u << ((a) + (b) + (c) + (d) + 3))
#define DOTTED_GROUP(first, n)                                                                     \
	-1, (n) == 3 ? (first) : -1, (n) >= 2 ? (first) + (n)-2 : -1, (first) + (n)-1
#define DOTTED_LEAST(n)	      (n) == 1 ? 0 : (n) == 2 ? 10 : 100
#define DOTTED_AT(a, b, c, d) DOTTED_PLACE(DOTTED_MARKS(a, b, c, d))
#define DOTTED_ENTRY(a, b, c, d)                                                                   \
	[DOTTED_AT(a, b, c, d)] = {                                                                \
		.from = { DOTTED_GROUP(0, a), DOTTED_GROUP((a) + 1, b),                            \
			  DOTTED_GROUP((a) + (b) + 2, c), DOTTED_GROUP((a) + (b) + (c) + 3, d) },  \
		.least = { DOTTED_LEAST(a), DOTTED_LEAST(b), DOTTED_LEAST(c), DOTTED_LEAST(d) },   \
		.marks = DOTTED_MARKS(a, b, c, d),                                                 \
	},
#define DOTTED_1(a, b, c) DOTTED_ENTRY(a, b, c, 1) DOTTED_ENTRY(a, b, c, 2) DOTTED_ENTRY(a, b, c, 3)
#define DOTTED_2(a, b)	  DOTTED_1(a, b, 1) DOTTED_1(a, b, 2) DOTTED_1(a, b, 3)
#define DOTTED_3(a)	  DOTTED_2(a, 1) DOTTED_2(a, 2) DOTTED_2(a, 3)

static const struct dotted dotted_table[256] = { DOTTED_3(1) DOTTED_3(2) DOTTED_3(3) };

/* The entry for these marks; NULL when they are none of an address. */
static inline const struct dotted *dotted_find(unsigned marks)
{
	const struct dotted *d = &dotted_table[DOTTED_PLACE(marks)];
	return d->marks == marks ? d : NULL;
}

static inline int dotted_least(const struct dotted *d)
{
	int least;
	memcpy(&least, d->least, sizeof(least));
	return least;
}

static inline bool dotted_octets(const char *p, size_t len, uint8_t octets[4])
{
	const __m128i weights = _mm_set1_epi32(0x010a6400); /* 0, 100, 10, 1 */
	const __m128i lowest_octets = _mm_set_epi32(-1, -1, -1, 0x0c080400);
	const struct dotted *d = dotted_find(dotted_marks(p, len));
	if (d == NULL)
		return false;
	__m128i digits = _mm_xor_si128(sixteen_load(p), SIXTEEN_ALL('0'));
	digits = _mm_shuffle_epi8(digits, sixteen_load((const char *)d->from));
	__m128i least = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(dotted_least(d)));
	__m128i bad = _mm_subs_epu8(digits, SIXTEEN_ALL(9));
	__m128i n = _mm_madd_epi16(_mm_maddubs_epi16(digits, weights), _mm_set1_epi16(1));
	bad = _mm_or_si128(bad, _mm_cmpgt_epi32(n, _mm_set1_epi32(255)));
	bad = _mm_or_si128(bad, _mm_cmpgt_epi32(least, n));
	uint32_t packed = (uint32_t)_mm_cvtsi128_si32(_mm_shuffle_epi8(n, lowest_octets));
	memcpy(octets, &packed, sizeof(packed));
	return _mm_testz_si128(bad, bad);
}
#else
static inline bool dotted_octets(const char *p, size_t len, uint8_t octets[4])
{
	unsigned marks = dotted_marks(p, len);
	unsigned first = 0;
	uint32_t bad = 0;
	for (unsigned i = 0; i < 4; i++, marks &= marks - 1) {
		if (marks == 0)
			return false;
		unsigned end = (unsigned)__builtin_ctz(marks);
		unsigned n = end - first;
		uint32_t w;
		memcpy(&w, p + first, sizeof(w));
		bad |= (n - 1 > 2) | ((n > 1) & (p[first] == '0'));
		/* The last digit goes to the highest octet, what is behind it out. */
		w = (le32toh(w) ^ 0x30303030u) << (8 * ((4 - n) & 3));
		uint32_t value = (w >> 24) + 10 * (w >> 16 & 0xff) + 100 * (w >> 8 & 0xff);
		bad |= (((w + 0x76767676u) | w) & 0x80808080u) | (value > UINT8_MAX);
		octets[i] = (uint8_t)value;
		first = end + 1;
	}
	return bad == 0 && marks == 0;
}
#endif

#endif
