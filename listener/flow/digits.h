/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_DIGITS_H
#define VPCFLOWD_FLOW_DIGITS_H

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "base/sixteen.h"

/*
 * Decimal digits to a number, by the arithmetic of a word rather than octet by octet. Eight octets
 * may be read from any digit on, however near the text's end it is.
 */
enum { DIGITS_WORD = 8, DIGITS_WORD_IS = 100000000 };

/* One to eight digits at p as a word of eight: the first in the lowest octet, with NUL before them. */
static inline uint64_t digits_load(const char *p, size_t len)
{
	return word_load(p) << (8 * (DIGITS_WORD - len));
}

/* The number of such a word; what is no digit gives any. */
static inline uint32_t digits_of(uint64_t w)
{
	w &= WORD_ONES * 0x0f;
	w = w * (1 + (10 << 8)) >> 8 & 0x00ff00ff00ff00ffu;
	w = w * (1 + (100 << 16)) >> 16 & 0x0000ffff0000ffffu;
	return (uint32_t)(w * (1 + ((uint64_t)10000 << 32)) >> 32);
}

static inline uint64_t digits_word(const char *p, size_t len)
{
	return digits_of(digits_load(p, len));
}

/* Any number of digits of a number that fits 64 bits. */
static inline uint64_t digits_number(const char *p, size_t len)
{
	if (len <= DIGITS_WORD)
		return digits_word(p, len);
	size_t first = (len - 1) % DIGITS_WORD + 1;
	uint64_t n = digits_word(p, first);
	for (size_t at = first; at < len; at += DIGITS_WORD)
		n = n * DIGITS_WORD_IS + digits_word(p + at, DIGITS_WORD);
	return n;
}

#if defined(__AVX2__)
/* The numbers of four words at once. */
static inline void digits_of_four(uint64_t numbers[4], uint64_t a, uint64_t b, uint64_t c,
				  uint64_t d)
{
	__m256i v = _mm256_set_epi64x((long long)d, (long long)c, (long long)b, (long long)a);
	v = _mm256_and_si256(v, _mm256_set1_epi8(0x0f));
	v = _mm256_maddubs_epi16(v, _mm256_set1_epi16(1 << 8 | 10));
	v = _mm256_madd_epi16(v, _mm256_set1_epi32(1 << 16 | 100));
	/* Four digits in the lower half of each, and the last four above them. */
	__m256i first = _mm256_mul_epu32(v, _mm256_set1_epi64x(10000));
	v = _mm256_add_epi64(first, _mm256_srli_epi64(v, 32));
	_mm256_storeu_si256((__m256i *)(void *)numbers, v);
}
#elif defined(__SSE2__)
/* Of two words: eight numbers of two digits, and of these four of four. */
static inline __m128i digits_fours(uint64_t a, uint64_t b)
{
	__m128i v = _mm_set_epi64x((long long)b, (long long)a);
	v = _mm_and_si128(v, _mm_set1_epi8(0x0f));
	__m128i tens = _mm_mullo_epi16(v, _mm_set1_epi16(10));
	v = _mm_and_si128(_mm_add_epi16(tens, _mm_srli_epi16(v, 8)), _mm_set1_epi16(0xff));
	return _mm_madd_epi16(v, _mm_set1_epi32(1 << 16 | 100));
}

static inline void digits_of_four(uint64_t numbers[4], uint64_t a, uint64_t b, uint64_t c,
				  uint64_t d)
{
	__m128i v = _mm_packs_epi32(digits_fours(a, b), digits_fours(c, d));
	v = _mm_madd_epi16(v, _mm_set1_epi32(1 << 16 | 10000));
	__m128i above = _mm_setzero_si128();
	_mm_storeu_si128((__m128i *)(void *)numbers, _mm_unpacklo_epi32(v, above));
	_mm_storeu_si128((__m128i *)(void *)(numbers + 2), _mm_unpackhi_epi32(v, above));
}
#else
static inline void digits_of_four(uint64_t numbers[4], uint64_t a, uint64_t b, uint64_t c,
				  uint64_t d)
{
	const uint64_t words[4] = { a, b, c, d };
	for (unsigned i = 0; i < 4; i++)
		numbers[i] = digits_of(words[i]);
}
#endif

#endif
