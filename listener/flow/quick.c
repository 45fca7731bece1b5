/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is looked at in blocks of 64 octets, which become the columns' ends and the certainty that all
 * of it is printable:
 *
 *   2 123456789010 eni-1235b8ca123456789 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 ... OK
 *    ^            ^                     ^           ^           ^     ^    ^ ^  ^        ^
 *
 * Each column is read by the arithmetic of a word or two rather than by its octets: lengths differ from
 * line to line, and a loop over octets would guess its end wrong nearly every time.
 * flow.c has the grammar, and judges whatever is not taken here; fuzzers hold one to the other.
 *
 * quick_avx2.c is this file once more, for machines of today.
 */
#include "flow/quick.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "base/sixteen.h"

#ifndef QUICK_PARSE
#define QUICK_PARSE quick_parse_anywhere
#endif

enum {
	BLOCK = 64,
	SHORT_DIGITS = 8, /* of a number that fits a word */
	MOST_DIGITS = 16,
	V4_LEAST = 7, /* octets of text: 0.0.0.0 */
	V4_MOST = 15,
};

#define WORD_ZEROS (WORD_ONES * '0')

/* ---- columns --------------------------------------------------------------------------------- */

/* Where in a block spaces are, and what is not printable. */
struct block {
	uint64_t spaces;
	uint64_t unfit;
};

#ifdef __AVX2__
static inline struct block look_at_block(const char *p)
{
	const __m256i space = _mm256_set1_epi8(' ');
	const __m256i del = _mm256_set1_epi8(0x7f);
	struct block b = { 0 };
	for (unsigned i = 0; i < BLOCK; i += 32) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
		__m256i low = _mm256_cmpgt_epi8(space, v);
		__m256i bad = _mm256_or_si256(low, _mm256_cmpeq_epi8(v, del));
		__m256i spaces = _mm256_cmpeq_epi8(v, space);
		b.spaces |= (uint64_t)(unsigned)_mm256_movemask_epi8(spaces) << i;
		b.unfit |= (uint64_t)(unsigned)_mm256_movemask_epi8(bad) << i;
	}
	return b;
}
#else
static inline struct block look_at_block(const char *p)
{
	struct block b = { 0 };
	for (unsigned i = 0; i < BLOCK; i += SIXTEEN) {
		b.spaces |= (uint64_t)sixteen_space(p + i) << i;
		b.unfit |= (uint64_t)sixteen_not_text(p + i) << i;
	}
	return b;
}
#endif

/* A place in a line: the ends of the columns behind it that lie in its block. */
struct columns {
	struct slice line;
	size_t block;	/* where the block begins */
	uint64_t ends;	/* a bit for each; the line's own is the last */
	uint64_t unfit; /* not zero: not all that was seen is printable */
};

static inline void look(struct columns *c)
{
	size_t left = c->line.len - c->block;
	struct block b = look_at_block(c->line.data + c->block);
	if (left < BLOCK) {
		uint64_t end = (uint64_t)1 << left;
		b.spaces = (b.spaces & (end - 1)) | end;
		b.unfit &= end - 1;
	}
	c->ends = b.spaces;
	c->unfit |= b.unfit;
}

/* Where the next column ends; NULL behind the last. */
static inline const char *next_end(struct columns *c)
{
	while (c->ends == 0) {
		if (c->line.len - c->block < BLOCK)
			return NULL;
		c->block += BLOCK;
		look(c);
	}
	const char *end = c->line.data + c->block + __builtin_ctzll(c->ends);
	c->ends &= c->ends - 1;
	return end;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Up to eight digits at p; what else is there is told in *bad. */
static inline uint64_t digits(const char *p, size_t len, uint64_t *bad)
{
	/* The first digit of eight in the lowest octet, with zeros before them. */
	uint64_t w = (word_load(p) ^ WORD_ZEROS) << (8 * (SHORT_DIGITS - len));
	*bad |= ((w + WORD_ONES * (0x80 - 10)) | w) & WORD_TOPS;
	w = w * (1 + (10 << 8)) >> 8 & 0x00ff00ff00ff00ffu;
	w = w * (1 + (100 << 16)) >> 16 & 0x0000ffff0000ffffu;
	return w * (1 + ((uint64_t)10000 << 32)) >> 32;
}

static inline bool number(const char *p, size_t len, uint64_t most, uint64_t *n)
{
	uint64_t bad = 0;
	if (len <= SHORT_DIGITS) {
		*n = digits(p, len, &bad);
	} else {
		if (len > MOST_DIGITS)
			return false;
		*n = digits(p, len - SHORT_DIGITS, &bad) * 100000000u;
		*n += digits(p + len - SHORT_DIGITS, SHORT_DIGITS, &bad);
	}
	return bad == 0 && *n <= most;
}

/*
 * Four groups of dotted decimal, each of one to three digits, without leading zeros, up to 255: where
 * each begins, and its length.
 */
#ifdef __AVX2__
static inline bool groups(const char *p, const unsigned begin[4], const unsigned len[4],
			  uint8_t octets[4])
{
	const __m128i weights = _mm_set1_epi32(0x010a6400); /* 0, 100, 10, 1 */
	const __m128i lowest_octets = _mm_set_epi32(-1, -1, -1, 0x0c080400);
	uint32_t word[4];
	for (unsigned i = 0; i < 4; i++)
		memcpy(&word[i], p + begin[i], sizeof(word[i]));
	__m128i w = _mm_set_epi32((int)word[3], (int)word[2], (int)word[1], (int)word[0]);
	__m128i l = _mm_set_epi32((int)len[3], (int)len[2], (int)len[1], (int)len[0]);
	w = _mm_xor_si128(w, SIXTEEN_ALL('0'));
	__m128i zero_first = _mm_cmpeq_epi32(_mm_slli_epi32(w, 24), _mm_setzero_si128());
	__m128i bad = _mm_and_si128(zero_first, _mm_cmpgt_epi32(l, _mm_set1_epi32(1)));
	/* The last digit goes to the highest octet, what is behind it out. */
	w = _mm_sllv_epi32(w, _mm_sub_epi32(_mm_set1_epi32(32), _mm_slli_epi32(l, 3)));
	bad = _mm_or_si128(bad, _mm_subs_epu8(w, SIXTEEN_ALL(9)));
	__m128i n = _mm_madd_epi16(_mm_maddubs_epi16(w, weights), _mm_set1_epi16(1));
	bad = _mm_or_si128(bad, _mm_cmpgt_epi32(n, _mm_set1_epi32(255)));
	bad = _mm_or_si128(bad, _mm_cmpgt_epi32(l, _mm_set1_epi32(3)));
	bad = _mm_or_si128(bad, _mm_cmpgt_epi32(_mm_set1_epi32(1), l));
	uint32_t packed = (uint32_t)_mm_cvtsi128_si32(_mm_shuffle_epi8(n, lowest_octets));
	memcpy(octets, &packed, sizeof(packed));
	return _mm_testz_si128(bad, bad);
}
#else
static inline bool groups(const char *p, const unsigned begin[4], const unsigned len[4],
			  uint8_t octets[4])
{
	uint32_t bad = 0;
	for (unsigned i = 0; i < 4; i++) {
		uint32_t w;
		memcpy(&w, p + begin[i], sizeof(w));
		bad |= (len[i] - 1 > 2) | (len[i] > 1 && p[begin[i]] == '0');
		/* The last digit goes to the highest octet, what is behind it out. */
		w = (le32toh(w) ^ 0x30303030u) << (8 * ((4 - len[i]) & 3));
		unsigned n = (w >> 24) + 10 * (w >> 16 & 0xff) + 100 * (w >> 8 & 0xff);
		bad |= (((w + 0x76767676u) | w) & 0x80808080u) | (n > UINT8_MAX);
		octets[i] = (uint8_t)n;
	}
	return bad == 0;
}
#endif

static inline bool address_v4(const char *p, size_t len, struct address *a)
{
	const unsigned guard = 1u << SIXTEEN;
	unsigned dots = (sixteen_dot(p) & ((1u << len) - 1)) | guard;
	unsigned begin[5] = { 0 };
	unsigned lens[4];
	for (unsigned i = 0; i < 4; i++) {
		begin[i + 1] = (unsigned)__builtin_ctz(dots | guard) + 1;
		lens[i] = begin[i + 1] - 1 - begin[i];
		dots &= dots - 1;
	}
	/* The guard is the fourth: three dots, no more. */
	if (begin[4] != SIXTEEN + 1 || begin[3] > len)
		return false;
	lens[3] = (unsigned)len - begin[3];
	a->version = 4;
	return groups(p, begin, lens, a->octets);
}

static inline bool address(const char *p, size_t len, struct address *a)
{
	if (len >= V4_LEAST && len <= V4_MOST && address_v4(p, len, a))
		return true;
	return address_parse(slice_of(p, len), a);
}

/* *odd: an output may write it in another way than it came. */
static inline bool value(unsigned kind, const char *p, size_t len, struct value *v, unsigned *odd)
{
	static const uint64_t most[] = {
		[FIELD_U8] = UINT8_MAX,	  [FIELD_U16] = UINT16_MAX,  [FIELD_U32] = UINT32_MAX,
		[FIELD_U64] = UINT64_MAX, [FIELD_TIME] = UINT64_MAX,
	};
	if (kind == FIELD_TEXT)
		return *p != '=' && *p != '+' && *p != '@';
	if (kind == FIELD_ADDRESS)
		return address(p, len, &v->address);
	bool good = number(p, len, most[kind], &v->number);
	*odd |= (*p == '0') & (len > 1);
	if (kind == FIELD_TIME)
		*odd |= v->number > INT32_MAX;
	return good;
}

bool QUICK_PARSE(struct flow *flow, const struct format *format, struct slice line)
{
	struct columns c = { .line = line };
	const char *p = line.data;
	const unsigned count = format->count;
	unsigned odd = 0;
	look(&c);
	for (unsigned i = 0; i < count; i++) {
		struct value *v = &flow->value[i];
		const char *end = next_end(&c);
		if (end == NULL || end == p)
			return false;
		size_t len = (size_t)(end - p);
		v->text = slice_of(p, len);
		/* In this order: how long a number is, no branch can foretell. */
		if (*p == '-' && len == 1) {
			v->text = SLICE_NONE;
			odd = 1;
		} else if (!value(format->kind[i], p, len, v, &odd)) {
			return false;
		}
		p = end + 1;
	}
	flow->format = format;
	flow->roomy = true;
	flow->verbatim = slice_of(line.data, odd == 0 ? line.len : 0);
	return p == line.data + line.len + 1 && c.unfit == 0;
}
