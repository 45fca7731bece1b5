/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_SIXTEEN_H
#define VPCFLOWD_BASE_SIXTEEN_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * Questions about sixteen octets at once. The answer has a bit for each octet, that of the first
 * lowest:
 *
 *   octets    2 _ 1 2 3 4 5 6 7 8 9 0 1 0 _ e
 *   space?    0 1 0 0 0 0 0 0 0 0 0 0 0 0 1 0      0x4002
 *
 * By SSE2, which every amd64 has, so nothing is chosen at run time; elsewhere by two words of plain C.
 * Those are there everywhere, as name_words, and the unit tests hold one to the other.
 */
enum { SIXTEEN = 16 };

#define WORD_ONES 0x0101010101010101u
#define WORD_TOPS 0x8080808080808080u

/* Of eight octets, the top bit of those that are at least n, 1 to 128. Nothing is carried over. */
static inline uint64_t word_at_least(uint64_t w, unsigned n)
{
	return (((w & ~WORD_TOPS) + WORD_ONES * (0x80 - n)) | w) & WORD_TOPS;
}

static inline uint64_t word_below(uint64_t w, unsigned n)
{
	return ~word_at_least(w, n) & WORD_TOPS;
}

/* Of eight octets without their top bits, the top bit of those that are not c, which is ASCII. */
static inline uint64_t word_is_not(uint64_t low, char c)
{
	return (low ^ WORD_ONES * (unsigned char)c) + ~WORD_TOPS;
}

static inline uint64_t word_is(uint64_t w, char c)
{
	return ~(word_is_not(w & ~WORD_TOPS, c) | w) & WORD_TOPS;
}

/* Those that sixteen_doubtful below asks for, in one piece: nothing that plain C is asked is dearer. */
static inline uint64_t word_doubtful(uint64_t w)
{
	uint64_t low = w & ~WORD_TOPS;
	uint64_t fine = low + WORD_ONES * (0x80 - ' ');
	fine &= word_is_not(low, '=') & word_is_not(low, '+') & word_is_not(low, '@');
	fine &= word_is_not(low, '"') & word_is_not(low, ',') & word_is_not(low, '\\');
	return (~(fine & word_is_not(low, 0x7f)) | w) & WORD_TOPS;
}

/* Top bits to eight bits. */
static inline unsigned word_gather(uint64_t tops)
{
	return (unsigned)((tops >> 7) * 0x0102040810204080u >> 56);
}

/* The next eight octets in this machine's order, and the first one lowest. */
static inline uint64_t word_raw(const char *p)
{
	uint64_t w;
	memcpy(&w, p, sizeof(w));
	return w;
}

static inline uint64_t word_load(const char *p)
{
	return le64toh(word_raw(p));
}

#ifdef __SSE2__
#define SIXTEEN_ANSWER(name, vector)                                                               \
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);                             \
	return (unsigned)_mm_movemask_epi8(vector)
#define SIXTEEN_ALL(c) _mm_set1_epi8(c)

/* Those that are one of a few octets, which are known when this is compiled. */
static inline __m128i sixteen_among(__m128i v, const char octets[static 7])
{
	__m128i found = _mm_setzero_si128();
	for (unsigned i = 0; i < 7; i++)
		found = _mm_or_si128(found, _mm_cmpeq_epi8(v, SIXTEEN_ALL(octets[i])));
	return found;
}
#else
#define SIXTEEN_ANSWER(name, vector) return name##_words(p)
#endif

/* A question: of a word w, and of a vector v. There must be sixteen octets at p. */
#define SIXTEEN_QUESTION(name, word, vector)                                                       \
	static inline uint64_t name##_word(uint64_t w)                                             \
	{                                                                                          \
		return word;                                                                       \
	}                                                                                          \
	static inline unsigned name##_words(const char *p)                                         \
	{                                                                                          \
		return word_gather(name##_word(word_load(p))) |                                    \
		       word_gather(name##_word(word_load(p + 8))) << 8;                            \
	}                                                                                          \
	static inline unsigned name(const char *p)                                                 \
	{                                                                                          \
		SIXTEEN_ANSWER(name, vector);                                                      \
	}

SIXTEEN_QUESTION(sixteen_space, word_is(w, ' '), _mm_cmpeq_epi8(v, SIXTEEN_ALL(' ')))
SIXTEEN_QUESTION(sixteen_dash, word_is(w, '-'), _mm_cmpeq_epi8(v, SIXTEEN_ALL('-')))
SIXTEEN_QUESTION(sixteen_dot, word_is(w, '.'), _mm_cmpeq_epi8(v, SIXTEEN_ALL('.')))
SIXTEEN_QUESTION(sixteen_colon, word_is(w, ':'), _mm_cmpeq_epi8(v, SIXTEEN_ALL(':')))
SIXTEEN_QUESTION(sixteen_nul, word_is(w, '\0'), _mm_cmpeq_epi8(v, SIXTEEN_ALL('\0')))
/* Not a plain character of a JSON string: a quote, a backslash, a control character. */
SIXTEEN_QUESTION(sixteen_not_plain, word_is(w, '"') | word_is(w, '\\') | word_below(w, ' '),
		 _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, SIXTEEN_ALL('"')),
					   _mm_cmpeq_epi8(v, SIXTEEN_ALL('\\'))),
			      _mm_cmpeq_epi8(_mm_min_epu8(v, SIXTEEN_ALL(0x1f)), v)))
/* What makes CSV quote. */
SIXTEEN_QUESTION(sixteen_csv_special, word_is(w, '"') | word_is(w, ','),
		 _mm_or_si128(_mm_cmpeq_epi8(v, SIXTEEN_ALL('"')),
			      _mm_cmpeq_epi8(v, SIXTEEN_ALL(','))))
/* Outside of printable ASCII. As signed numbers, octets above 0x7f are below the space. */
SIXTEEN_QUESTION(sixteen_not_text, word_below(w, ' ') | word_at_least(w, 0x7f),
		 _mm_or_si128(_mm_cmplt_epi8(v, SIXTEEN_ALL(' ')),
			      _mm_cmpeq_epi8(v, SIXTEEN_ALL(0x7f))))
/*
 * What a line of a flow log seldom has: what is not printable, what no text may begin with since a
 * spreadsheet would take it for a formula (= + @), what outputs have to escape (" , \\).
 */
SIXTEEN_QUESTION(sixteen_doubtful, word_doubtful(w),
		 _mm_or_si128(sixteen_among(v, "=+@\",\\\x7f"),
			      _mm_cmplt_epi8(v, SIXTEEN_ALL(' '))))
SIXTEEN_QUESTION(sixteen_not_digit, word_below(w, '0') | word_at_least(w, '9' + 1),
		 _mm_or_si128(_mm_cmplt_epi8(v, SIXTEEN_ALL('0')),
			      _mm_cmpgt_epi8(v, SIXTEEN_ALL('9'))))

/* Neither a digit nor one of a to f. */
SIXTEEN_QUESTION(sixteen_not_hex,
		 (word_below(w, '0') | word_at_least(w, '9' + 1)) &
			 (word_below(w, 'a') | word_at_least(w, 'f' + 1)),
		 _mm_and_si128(_mm_or_si128(_mm_cmplt_epi8(v, SIXTEEN_ALL('0')),
					    _mm_cmpgt_epi8(v, SIXTEEN_ALL('9'))),
			       _mm_or_si128(_mm_cmplt_epi8(v, SIXTEEN_ALL('a')),
					    _mm_cmpgt_epi8(v, SIXTEEN_ALL('f')))))

/*
 * Whether sixteen octets differ from a pattern: an octet of `like` stands for itself where that of
 * `vary` is 0, and for the octets that differ from it in bits that make a number up to `vary`
 * elsewhere. So '0' and 9 are any digit, 255 is anything.
 */
static inline bool sixteen_unlike_words(const char *p, const char *like, const char *vary)
{
	uint64_t unlike = 0;
	for (unsigned i = 0; i < SIXTEEN; i += 8) {
		uint64_t w = word_load(p + i) ^ word_load(like + i);
		uint64_t most = word_load(vary + i);
		/* Above the most: the seven low bits are, or the top bit alone. */
		uint64_t low = ((w & ~WORD_TOPS) | WORD_TOPS) - (most & ~WORD_TOPS) - WORD_ONES;
		unlike |= ((low | w) & ~most) | (low & w);
	}
	return (unlike & WORD_TOPS) != 0;
}

#ifdef __SSE2__
static inline __m128i sixteen_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}
#endif

/* The same of `n` octets, a multiple of sixteen. */
static inline bool sixteens_unlike(const char *p, const char *like, const char *vary, size_t n)
{
#ifdef __SSE2__
	__m128i unlike = _mm_setzero_si128();
	for (size_t i = 0; i < n; i += SIXTEEN) {
		__m128i v = _mm_xor_si128(sixteen_load(p + i), sixteen_load(like + i));
		unlike = _mm_or_si128(unlike, _mm_subs_epu8(v, sixteen_load(vary + i)));
	}
	return _mm_movemask_epi8(_mm_cmpeq_epi8(unlike, _mm_setzero_si128())) != 0xffff;
#else
	for (size_t i = 0; i < n; i += SIXTEEN)
		if (sixteen_unlike_words(p + i, like + i, vary + i))
			return true;
	return false;
#endif
}

/* Copies sixteen octets, with commas for spaces. */
static inline void sixteen_commas_words(char *to, const char *p)
{
	for (unsigned i = 0; i < SIXTEEN; i += 8) {
		uint64_t w = word_load(p + i);
		/* The two differ in two bits. */
		w = htole64(w ^ (word_is(w, ' ') >> 7) * (' ' ^ ','));
		memcpy(to + i, &w, sizeof(w));
	}
}

static inline void sixteen_commas(char *to, const char *p)
{
#ifdef __SSE2__
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i spaces = _mm_cmpeq_epi8(v, SIXTEEN_ALL(' '));
	v = _mm_xor_si128(v, _mm_and_si128(spaces, SIXTEEN_ALL(' ' ^ ',')));
	_mm_storeu_si128((__m128i *)(void *)to, v);
#else
	sixteen_commas_words(to, p);
#endif
}

#endif
