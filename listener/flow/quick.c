/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is looked at in blocks of 64 octets. What an octet is becomes a bit for each, and nearly all
 * of the grammar is arithmetic on these words, for all columns of a block at once:
 *
 *   line       2 123456789010 eni-1235b8ca123456789 172.31.9.69 ... - 80
 *   ends        ^            ^                     ^           ^     ^  ^
 *   begins     ^ ^            ^                     ^               ^ ^
 *   of numbers ^                                                    ^ ^    the format says which columns
 *   inside     1                                                    1 11   ends minus begins
 *   others     . ............ ..........                            1 ..   no digits: only "-" may be there
 *   absent                                                          ^      its begin is a "-", then its end
 *
 * That costs the same for every line, where a loop over octets would guess each column's end wrong.
 * Addresses are read one by one, and so are the numbers that have as many digits as their range allows;
 * of all others only their places are kept (flow.h). Plain C is slow to put bits into places, so there
 * the digits of each number are looked at, too. flow.c has the grammar, and judges whatever is not taken
 * here; fuzzers hold one to the other.
 *
 * quick_avx2.c and quick_avx512.c are this file once more, for machines of today.
 */
#include "flow/quick.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "base/limits.h"
#include "base/sixteen.h"
#include "flow/digits.h"
#include "flow/dotted.h"
#include "flow/grouped.h"

#ifndef QUICK_PARSE
#define QUICK_PARSE quick_parse_anywhere
#endif

enum {
	BLOCK = 64,
};

/* ---- octets to bits -------------------------------------------------------------------------- */

/* Which octets of a block are what. */
struct block {
	uint64_t spaces;
	uint64_t dashes;
	uint64_t zeros;	   /* not in plain C */
	uint64_t others;   /* no digits; nor this */
	uint64_t doubtful; /* sixteen.h */
};

#if defined(__AVX512VBMI2__)
/* Not zero: in doubt (sixteen.h); of ASCII, the first half and the second. */
#define Y 0xff
static const uint8_t in_doubt[2 * BLOCK] = {
	Y, Y, Y,	 Y,	    Y,	       Y,	  Y,	     Y,		 Y,	     Y,
	Y, Y, Y,	 Y,	    Y,	       Y,	  Y,	     Y,		 Y,	     Y,
	Y, Y, Y,	 Y,	    Y,	       Y,	  Y,	     Y,		 Y,	     Y,
	Y, Y, ['"'] = Y, ['+'] = Y, [','] = Y, ['='] = Y, ['@'] = Y, ['\\'] = Y, [0x7f] = Y,
};
#undef Y

static inline struct block look_at_block(const char *p)
{
	__m512i v = _mm512_loadu_si512(p);
	__m512i doubt = _mm512_permutex2var_epi8(_mm512_loadu_si512(in_doubt), v,
						 _mm512_loadu_si512(in_doubt + BLOCK));
	__m512i digit = _mm512_sub_epi8(v, _mm512_set1_epi8('0'));
	return (struct block){
		.spaces = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(' ')),
		.dashes = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('-')),
		.zeros = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('0')),
		.others = _mm512_cmpgt_epu8_mask(digit, _mm512_set1_epi8(9)),
		/* Above ASCII the top bit says so itself. */
		.doubtful = _mm512_movepi8_mask(_mm512_or_si512(doubt, v)),
	};
}
#elif defined(__AVX2__)
static inline uint64_t bits_of(__m256i low, __m256i high)
{
	return (unsigned)_mm256_movemask_epi8(low) | (uint64_t)(unsigned)_mm256_movemask_epi8(high)
							     << 32;
}

static inline __m256i are(__m256i v, char c)
{
	return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c));
}

static inline __m256i are_others(__m256i v)
{
	__m256i less = _mm256_cmpgt_epi8(_mm256_set1_epi8('0'), v);
	return _mm256_or_si256(less, _mm256_cmpgt_epi8(v, _mm256_set1_epi8('9')));
}

/*
 * A set of octets by two tables of bits, one for each half of an octet: those of which some bit is in
 * both. A bit stands for the octets of a row: 0 for all that is not printable but DEL, in row 7.
 */
static inline __m256i are_no_doubt(__m256i v)
{
	const __m128i of_high = _mm_setr_epi8(1, 1, 2, 4, 8, 16, 0, 32, 1, 1, 1, 1, 1, 1, 1, 1);
	const __m128i of_low = _mm_setr_epi8(1 | 8, 1, 1 | 2, 1, 1, 1, 1, 1, 1, 1, 1, 1 | 2,
					     1 | 2 | 16, 1 | 4, 1, 1 | 32);
	const __m256i half = _mm256_set1_epi8(0x0f);
	__m256i low = _mm256_and_si256(v, half);
	__m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), half);
	__m256i found = _mm256_and_si256(
		_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(of_low), low),
		_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(of_high), high));
	return _mm256_cmpeq_epi8(found, _mm256_setzero_si256());
}

static inline struct block look_at_block(const char *p)
{
	__m256i low = _mm256_loadu_si256((const __m256i *)(const void *)p);
	__m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
	return (struct block){
		.spaces = bits_of(are(low, ' '), are(high, ' ')),
		.dashes = bits_of(are(low, '-'), are(high, '-')),
		.zeros = bits_of(are(low, '0'), are(high, '0')),
		.others = bits_of(are_others(low), are_others(high)),
		.doubtful = ~bits_of(are_no_doubt(low), are_no_doubt(high)),
	};
}
#else
static inline struct block look_at_block(const char *p)
{
	struct block b = { 0 };
	for (unsigned i = 0; i < BLOCK; i += SIXTEEN) {
		b.spaces |= (uint64_t)sixteen_space(p + i) << i;
		b.dashes |= (uint64_t)sixteen_dash(p + i) << i;
		b.doubtful |= (uint64_t)sixteen_doubtful(p + i) << i;
	}
	return b;
}
#endif

#ifdef __BMI2__
/* The lowest bits, one to each bit that a mask has, and back. */
static inline uint64_t deposit(uint64_t bits, uint64_t mask)
{
	return _pdep_u64(bits, mask);
}

static inline uint64_t extract(uint64_t bits, uint64_t mask)
{
	return _pext_u64(bits, mask);
}

#else
static inline uint64_t extract(uint64_t bits, uint64_t mask)
{
	uint64_t to = 0;
	for (bits &= mask; bits != 0; bits &= bits - 1)
		to |= (uint64_t)1 << __builtin_popcountll(mask & ((bits & -bits) - 1));
	return to;
}
#endif

/* ---- bits to columns ------------------------------------------------------------------------- */

/* A line so far, and what its last octet was. Each of those is 0 or 1. */
struct reading {
	const struct format *format;
	struct words *words;
	unsigned columns; /* that have ended */
	int end;	  /* AVX-512: of the last of them, from where the block begins */
	uint64_t longer[COLUMN_WORDS]; /* AVX-512: those that are longer than is sure */
	uint64_t space;		       /* a column begins */
	uint64_t dash;		       /* a column's first octet, and a dash */
	uint64_t not_more;	       /* the same, of a number: its end has to follow */
	uint64_t zero;		       /* a number's first octet, and 0 */
	uint64_t bad;		       /* not zero: not a line as AWS writes them */
	uint64_t odd;		       /* numbers that outputs write in another way */
	uint64_t doubtful;
};

/* Puts the bits of a block's columns to those of all. */
static inline void put_bits(uint64_t to[COLUMN_WORDS], uint64_t bits, unsigned column)
{
	if (column >= 64) {
		to[1] |= bits << (column - 64);
		return;
	}
	to[0] |= bits << column;
	to[1] |= bits >> 1 >> (63 - column); /* by 64 in all, where no single shift goes */
}

/* Where columns begin, behind these ends. Some are written that are none: no loop that ends anywhere. */
#if defined(__AVX512VBMI2__)
/* The places of these ends in their block, one behind the other, and what each is in a block. */
static const uint8_t places[1 + BLOCK] = {
	0,  0,	1,  2,	3,  4,	5,  6,	7,  8,	9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
	21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42,
	43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
};

static inline __m512i places_of(uint64_t ends)
{
	return _mm512_maskz_compress_epi8(ends, _mm512_loadu_si512(places + 1));
}

static inline void keep_begins(struct reading *r, size_t at, uint64_t ends, unsigned count)
{
	(void)count; /* at most 32, or some are empty */
	__m512i begins = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(places_of(ends)));
	_mm512_storeu_si512(&r->words->begin[r->columns + 1],
			    _mm512_add_epi16(begins, _mm512_set1_epi16((short)(at + 1))));
}
#elif defined(__BMI2__)
static inline void keep_begins(struct reading *r, size_t at, uint64_t ends, unsigned count)
{
	enum { AT_ONCE = 12 };
	uint16_t *to = &r->words->begin[r->columns + 1];
	unsigned i = 0;
	do {
		for (unsigned k = 0; k < AT_ONCE; k++, ends = _blsr_u64(ends))
			*to++ = (uint16_t)(at + _tzcnt_u64(ends) + 1);
		i += AT_ONCE;
	} while (i < count);
}
#else
static inline void keep_begins(struct reading *r, size_t at, uint64_t ends, unsigned count)
{
	uint16_t *to = &r->words->begin[r->columns + 1];
	for (unsigned i = 0; i < count; i++, ends &= ends - 1)
		to[i] = (uint16_t)(at + (unsigned)__builtin_ctzll(ends) + 1);
}
#endif

/*
 * Which of the columns that end in a block are longer than is sure. With AVX-512 that is told from
 * registers: begins were just written in pieces, and could not be read in one for a while.
 */
#if defined(__AVX512VBMI2__)
static inline void keep_longer(struct reading *r, uint64_t ends, unsigned count)
{
	enum { END_LEAST = -2 * BLOCK }; /* longer than any is sure; an octet has room for it */
	const __m512i one_back = _mm512_loadu_si512(places);
	__m512i end = places_of(ends);
	__m512i before = _mm512_mask_permutexvar_epi8(_mm512_set1_epi8((char)r->end), ~(uint64_t)1,
						      one_back, end);
	__m512i octets = _mm512_sub_epi8(_mm512_sub_epi8(end, before), _mm512_set1_epi8(1));
	__m512i sure = _mm512_loadu_si512(r->format->sure + r->columns);
	uint64_t longer = _mm512_cmpgt_epu8_mask(octets, sure);
	put_bits(r->longer, _bzhi_u64(longer, count), r->columns);
	int last = ends == 0 ? r->end : BLOCK - 1 - __builtin_clzll(ends);
	r->end = last - BLOCK < END_LEAST ? END_LEAST : last - BLOCK;
}
#else
static inline void keep_longer(struct reading *r, uint64_t ends, unsigned count)
{
	(void)r;
	(void)ends;
	(void)count;
}
#endif

#ifdef __BMI2__
/* The bits of columns from one on; more than a block has. */
static inline uint64_t columns_from(const uint64_t bits[COLUMN_WORDS], unsigned column)
{
	if (column >= 64)
		return bits[1] >> (column - 64);
	return bits[0] >> column | bits[1] << 1 << (63 - column);
}

/* Numbers are of digits, or absent. */
static inline void check_numbers(struct reading *r, const struct block *b, uint64_t begins)
{
	uint64_t numbers = columns_from(r->format->numbers, r->columns);
	/* A column that goes on from the last block ends here, and has no begin here. */
	unsigned goes_on = r->space == 0;
	uint64_t first = deposit(numbers >> goes_on, begins);
	uint64_t inside = deposit(numbers, b->spaces) - (first | (numbers & goes_on));
	uint64_t dash = b->dashes & first;
	uint64_t zero = b->zeros & first;
	r->bad |= b->others & inside & ~dash;
	r->bad |= (dash << 1 | r->not_more) & ~b->spaces;
	r->odd |= (zero << 1 | r->zero) & ~b->spaces;
	r->not_more = dash >> 63;
	r->zero = zero >> 63;
}

static inline bool is_number(struct reading *r, struct slice text)
{
	(void)r;
	(void)text;
	return true; /* or check_numbers has said so */
}
#else
/* Where nothing deposits bits fast, each number is looked at by itself, with its range. */
static inline void check_numbers(struct reading *r, const struct block *b, uint64_t begins)
{
	(void)r;
	(void)b;
	(void)begins;
}

/* The tops of those octets of a word that are no digits; one is right, those above it may not be. */
static inline uint64_t no_digits(uint64_t digits)
{
	return ((digits + WORD_ONES * (0x80 - 10)) | digits) & WORD_TOPS;
}

/* Digits, or a dash alone. */
static inline bool is_number(struct reading *r, struct slice text)
{
	enum { EIGHT = sizeof(uint64_t) };
	const char *p = text.data;
	size_t first = (text.len - 1) % EIGHT + 1;
	uint64_t others = no_digits((word_load(p) ^ WORD_ONES * '0') << (8 * (EIGHT - first)));
	for (size_t at = first; at < text.len; at += EIGHT)
		others |= no_digits(word_load(p + at) ^ WORD_ONES * '0');
	r->odd |= (p[0] == '0') & (text.len > 1);
	return others == 0 || (p[0] == '-' && text.len == 1);
}
#endif

/* A block's columns; its spaces end with the line's end, if that is in it. False: too many. */
static inline bool take_block(struct reading *r, const struct block *b, size_t at)
{
	uint64_t begins = b->spaces << 1 | r->space;
	unsigned count = (unsigned)__builtin_popcountll(b->spaces);
	unsigned left = r->format->count - r->columns;
	if (left == 0 || count > left)
		return false;
	keep_begins(r, at, b->spaces, count);
	keep_longer(r, b->spaces, count);
	check_numbers(r, b, begins);
	uint64_t dash = b->dashes & begins;
	uint64_t absent = (dash << 1 | r->dash) & b->spaces;
	if (absent != 0)
		put_bits(r->words->absent, extract(absent, b->spaces), r->columns);
	r->bad |= b->spaces & begins; /* one behind the other */
	r->doubtful |= b->doubtful;
	r->dash = dash >> 63;
	r->space = b->spaces >> 63;
	r->columns += count;
	return true;
}

static inline bool take_columns(struct reading *r, struct slice line)
{
	for (size_t at = 0; at <= line.len; at += BLOCK) {
		struct block b = look_at_block(line.data + at);
		if (line.len - at < BLOCK) {
			uint64_t end = (uint64_t)1 << (line.len - at);
			b.spaces = (b.spaces & (end - 1)) | end;
			b.doubtful &= end - 1;
		}
		if (!take_block(r, &b, at))
			return false;
	}
	return r->columns == r->format->count && r->bad == 0;
}

/* ---- columns one by one ---------------------------------------------------------------------- */

static inline bool take_address(struct slice text, struct address *a)
{
	a->version = 4;
	if (text.len <= DOTTED_MOST && dotted_octets(text.data, text.len, a->octets))
		return true;
	a->version = 6;
	return grouped_octets(text.data, text.len, a->octets) || address_parse(text, a);
}

static inline bool take_addresses(struct flow *flow, const struct format *format)
{
	const struct words *w = &flow->words;
	for (unsigned k = 0; k < COLUMN_WORDS; k++) {
		uint64_t columns = format->addresses[k] & ~w->absent[k];
		for (; columns != 0; columns &= columns - 1) {
			unsigned column = 64 * k + (unsigned)__builtin_ctzll(columns);
			struct slice text = words_text(w, column);
			if (!take_address(text, &flow->value[column].address))
				return false;
		}
	}
	return true;
}

/* Of a word of columns, the numbers that have to be looked at one by one: those longer than is sure. */
#if defined(__AVX512VBMI2__)
static inline uint64_t in_question(const struct reading *r, unsigned k)
{
	return r->format->numbers[k] & r->longer[k];
}
#elif defined(__AVX2__)
enum { HALF = sizeof(__m256i) / sizeof(uint16_t) };

static inline __m256i load_half(const uint16_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline __m256i not_longer(const uint16_t *begin, const uint8_t *most)
{
	__m256i end = _mm256_sub_epi16(load_half(begin + 1), _mm256_set1_epi16(1));
	__m256i octets = _mm256_sub_epi16(end, load_half(begin));
	__m256i sure = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)most));
	return _mm256_cmpeq_epi16(_mm256_subs_epu16(octets, sure), _mm256_setzero_si256());
}

static inline uint64_t in_question(const struct reading *r, unsigned k)
{
	uint64_t longer = 0;
	for (unsigned i = 0; i < 64 && 64 * k + i < r->format->count; i += 2 * HALF) {
		const uint16_t *begin = r->words->begin + 64 * k + i;
		const uint8_t *sure = r->format->sure + 64 * k + i;
		__m256i both = _mm256_packs_epi16(not_longer(begin, sure),
						  not_longer(begin + HALF, sure + HALF));
		both = _mm256_permute4x64_epi64(both, _MM_SHUFFLE(3, 1, 2, 0));
		longer |= (uint64_t) ~(unsigned)_mm256_movemask_epi8(both) << i;
	}
	return r->format->numbers[k] & longer;
}
#else
static inline uint64_t in_question(const struct reading *r, unsigned k)
{
	return r->format->numbers[k];
}
#endif

/*
 * Whether a number of more digits than are sure is in its range: as many as the largest has, compared
 * as words are in a dictionary. Zeros before it may make it longer: that is for others to say.
 */
static inline bool in_range(struct slice text, unsigned kind)
{
	static const struct {
		size_t digits;
		unsigned beyond; /* bits of the word that are behind them */
		uint64_t most;	 /* their first eight */
	} ranges[] = {
		[FIELD_U8] = { 3, 40, 0x323535 },      /* 255 */
		[FIELD_U16] = { 5, 24, 0x3635353335 }, /* 65535 */
		/* 42949671, whatever follows: 96 more fit, and no version is so large. */
		[FIELD_U32] = { 10, 0, 0x3432393439363731 },
		[FIELD_U64] = { 0, 0, 0 },
	};
	return text.len == ranges[kind].digits &&
	       be64toh(word_raw(text.data)) >> ranges[kind].beyond <= ranges[kind].most;
}

/* The same for times, of which it is only sure that they are seconds. */
static inline bool fits(struct reading *r, struct slice text, unsigned kind)
{
	if (kind != FIELD_TIME)
		return in_range(text, kind);
	r->odd |= 1;
	return text.len <= SURE_OF_U64;
}

static inline bool take_numbers(struct reading *r, const struct words *w,
				const struct format *format)
{
	for (unsigned k = 0; k < COLUMN_WORDS; k++) {
		uint64_t columns = in_question(r, k);
		for (; columns != 0; columns &= columns - 1) {
			unsigned column = 64 * k + (unsigned)__builtin_ctzll(columns);
			struct slice text = words_text(w, column);
			if (!is_number(r, text) || (text.len > format->sure[column] &&
						    !fits(r, text, format->kind[column])))
				return false;
		}
	}
	return true;
}

/* With an octet of doubt in it: all of it printable, and no text with such a beginning. */
static bool take_texts(const struct words *w, const struct format *format)
{
	for (size_t i = 0; i < w->line.len; i++)
		if (w->line.data[i] < ' ' || w->line.data[i] > '~')
			return false;
	for (unsigned i = 0; i < format->count; i++) {
		char first = w->line.data[w->begin[i]];
		if (format->kind[i] == FIELD_TEXT && (first == '=' || first == '+' || first == '@'))
			return false;
	}
	return true;
}

bool QUICK_PARSE(struct flow *flow, const struct format *format, struct slice line)
{
	struct words *w = &flow->words;
	struct reading r = { .format = format, .words = w, .end = -1, .space = 1 };
	if (line.len == 0 || line.len > LINE_LIMIT)
		return false;
	flow->format = format;
	w->line = line;
	w->begin[0] = 0;
	for (unsigned k = 0; k < COLUMN_WORDS; k++) {
		w->absent[k] = 0;
		w->unread[k] = UINT64_MAX;
	}
	if (!take_columns(&r, line) || !take_addresses(flow, format) ||
	    !take_numbers(&r, w, format) || (r.doubtful != 0 && !take_texts(w, format)))
		return false;
	w->odd = r.odd != 0;
	w->plain = r.doubtful == 0;
	return true;
}
