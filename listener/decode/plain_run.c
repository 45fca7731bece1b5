/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matches log events written as CloudWatch writes them, octet by octet the same but for the values.
 * An event that is not whole in what is there, or that differs in anything, is none. What is kept of
 * one is less than half of its text, and of a document not more than an amount: events beyond that are
 * read as any other.
 *
 * plain_run_avx2.c and plain_run_avx512.c are this file once more, for machines of today.
 */
#include "decode/plain.h"

#include <stddef.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "base/sixteen.h"

#ifndef PLAIN_RUN
#define PLAIN_RUN plain_run_anywhere
#endif

enum {
	BLOCK = 64,
	ANYTHING = 0xff,
};

static const char begins[] = "{\"id\":\"";
static const char id_ends[] = "\",\"timestamp\":";
static const char time_ends[] = ",\"message\":\"";
static const char message_ends[] = "\"}";

/* ---- blocks of 64 octets --------------------------------------------------------------------- */

/*
 * block_not_plain   a bit for each octet, set for those that are no plain character of a JSON string
 * blocks_unlike     sixteens_unlike, of whole blocks
 */
#if defined(__AVX512BW__)
static inline uint64_t block_not_plain(const char *p)
{
	__m512i v = _mm512_loadu_si512(p);
	return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')) |
	       _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')) |
	       _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(' '));
}

static inline bool blocks_unlike(const char *p, const char *like, const char *vary, size_t n)
{
	__m512i unlike = _mm512_setzero_si512();
	for (size_t i = 0; i < n; i += BLOCK) {
		__m512i v = _mm512_xor_si512(_mm512_loadu_si512(p + i),
					     _mm512_loadu_si512(like + i));
		v = _mm512_subs_epu8(v, _mm512_loadu_si512(vary + i));
		unlike = _mm512_or_si512(unlike, v);
	}
	return _mm512_test_epi8_mask(unlike, unlike) != 0;
}
#elif defined(__AVX2__)
static inline __m256i half_load(const char *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline uint64_t half_not_plain(const char *p)
{
	__m256i v = half_load(p);
	__m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
	__m256i quote = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"'));
	__m256i escape = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'));
	v = _mm256_or_si256(control, _mm256_or_si256(quote, escape));
	return (unsigned)_mm256_movemask_epi8(v);
}

static inline uint64_t block_not_plain(const char *p)
{
	return half_not_plain(p) | half_not_plain(p + BLOCK / 2) << BLOCK / 2;
}

static inline bool blocks_unlike(const char *p, const char *like, const char *vary, size_t n)
{
	__m256i unlike = _mm256_setzero_si256();
	for (size_t i = 0; i < n; i += BLOCK / 2) {
		__m256i v = _mm256_xor_si256(half_load(p + i), half_load(like + i));
		unlike = _mm256_or_si256(unlike, _mm256_subs_epu8(v, half_load(vary + i)));
	}
	return !_mm256_testz_si256(unlike, unlike);
}
#else
static inline uint64_t block_not_plain(const char *p)
{
	uint64_t found = 0;
	for (unsigned i = 0; i < BLOCK; i += SIXTEEN)
		found |= (uint64_t)sixteen_not_plain(p + i) << i;
	return found;
}

static inline bool blocks_unlike(const char *p, const char *like, const char *vary, size_t n)
{
	return sixteens_unlike(p, like, vary, n);
}
#endif

/* ---- pieces of an event ---------------------------------------------------------------------- */

/* Past the text, which is `size` with its NUL, if it stands at p; NULL otherwise. */
#define AFTER(text) after(p, end, text, sizeof(text) - 1)

static inline const char *after(const char *p, const char *end, const char *text, size_t len)
{
	if (p == NULL || (size_t)(end - p) < len || memcmp(p, text, len) != 0)
		return NULL;
	return p + len;
}

/* The first octet that is no plain character of a string; NULL when it is not here. */
static inline const char *string_end(const char *p, const char *end)
{
	if (p == NULL)
		return NULL;
	for (; end - p >= BLOCK; p += BLOCK) {
		uint64_t found = block_not_plain(p);
		if (found != 0)
			return p + __builtin_ctzll(found);
	}
	for (; end - p >= SIXTEEN; p += SIXTEEN) {
		unsigned found = sixteen_not_plain(p);
		if (found != 0)
			return p + __builtin_ctz(found);
	}
	return NULL;
}

/* Behind a number as JSON has them, without sign or fraction. */
static inline const char *number_end(const char *p, const char *end)
{
	if (p == NULL || end - p < SIXTEEN)
		return NULL;
	unsigned found = sixteen_not_digit(p);
	unsigned digits = found == 0 ? 0 : (unsigned)__builtin_ctz(found);
	return digits == 0 || (digits > 1 && *p == '0') ? NULL : p + digits;
}

/* ---- up to the message ----------------------------------------------------------------------- */

/* An event's head is as it was read: others may be like it, but for the digits of id and time. */
static void learn_head(struct plain_head *h, const char *first, size_t time, size_t len)
{
	size_t id_end = time - (sizeof(id_ends) - 1);
	h->len = 0;
	if (len > PLAIN_HEAD)
		return;
	memset(h->like, '0', sizeof(h->like));
	memset(h->vary, ANYTHING, sizeof(h->vary));
	for (size_t i = 0; i < len; i++) {
		bool digit = first[i] >= '0' && first[i] <= '9';
		h->like[i] = digit ? '0' : first[i];
		h->vary[i] = digit ? 9 : 0;
		/* An id is what it likes to be; only those of digits are alike. */
		if (i >= sizeof(begins) - 1 && i < id_end && !digit)
			return;
	}
	h->time = time;
	h->len = len;
}

/* Octet by octet. */
static const char *read_head(struct plain_head *h, const char *first, const char *end)
{
	const char *p = first;
	p = AFTER(begins);
	p = string_end(p, end);
	p = AFTER(id_ends);
	const char *time = p;
	p = number_end(p, end);
	p = AFTER(time_ends);
	if (p != NULL)
		learn_head(h, first, (size_t)(time - first), (size_t)(p - first));
	return p;
}

/* Where the message of the event that begins at first begins; NULL when there is none. */
static inline const char *head_end(struct plain_head *h, const char *first, const char *end)
{
	if (h->len == 0 || end - first < PLAIN_HEAD ||
	    blocks_unlike(first, h->like, h->vary, (h->len + BLOCK - 1) & -(size_t)BLOCK))
		return read_head(h, first, end);
	/* A number of several digits does not begin with 0. */
	const char *time = first + h->time;
	if (time[0] == '0' && time[1] != ',')
		return NULL;
	return first + h->len;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Behind the event that begins at first, which is kept; NULL when there is none. */
static inline const char *event_end(struct plain *plain, const char *data, const char *first,
				    const char *end, size_t offset)
{
	const char *message = head_end(&plain->head, first, end);
	const char *past = string_end(message, end);
	if (past == NULL || end - past < (ptrdiff_t)sizeof(message_ends) - 1 ||
	    memcmp(past, message_ends, sizeof(message_ends) - 1) != 0)
		return NULL;
	if (message - first > UINT16_MAX || past - message > UINT16_MAX)
		return NULL;
	const struct plain_event event = {
		.at = (uint32_t)(plain->seen + offset + (size_t)(message - data)),
		.before = (uint16_t)(message - first),
		.len = (uint16_t)(past - message),
	};
	struct buf *found = &plain->found;
	if (found->cap - found->len < sizeof(event) && !buf_reserve(found, sizeof(event)))
		return NULL;
	memcpy(found->data + found->len, &event, sizeof(event));
	found->len += sizeof(event);
	return past + sizeof(message_ends) - 1;
}

size_t PLAIN_RUN(struct plain *p, struct slice data, size_t offset, bool first)
{
	const char *at = data.data;
	const char *end = data.data + data.len;
	if (p->end != 0 || p->seen + offset + data.len > UINT32_MAX)
		return 0;
	while (at < end && (first || *at == ',')) {
		const char *next = event_end(p, data.data, at + !first, end, offset);
		if (next == NULL)
			break;
		at = next;
		first = false;
	}
	return (size_t)(at - data.data);
}
